"""Ontology terms and enumerations without a connection."""

from __future__ import annotations

import re

import pytest
from cytolake.errors import NotFoundError
from cytolake.schemas import ontology


def test_terms_by_identifier_and_by_name() -> None:
    human = ontology.term("NCBITaxon:9606")
    assert human is not None
    assert (human.label, human.obsolete, human.ontology) == ("Homo sapiens", False, "NCBITaxon")
    assert human.version
    assert ontology.find_term("HUMAN") == ontology.find_term("homo  sapiens", "NCBITaxon") == human
    assert ontology.find_term("human", "CL") is None
    assert ontology.term("NCBITaxon:1") is None


def test_every_known_term_is_a_well_formed_curie_with_a_label() -> None:
    for curie, found in ontology._by_id().items():
        assert re.fullmatch(r"[A-Za-z]+:[A-Z]?\d+", curie)
        assert curie.startswith(f"{found.ontology}:")
        assert found.label not in ("", "None"), curie
        assert not found.obsolete, curie


@pytest.mark.parametrize(
    "role",
    [
        "DNA",
        "ER",
        "RNA",
        "AGP",
        "Mito",
        "Actin",
        "Tubulin",
        "Golgi",
        "Lysosome",
        "PlasmaMembrane",
        "Brightfield",
        "Phase",
        "DIC",
    ],
)
def test_the_channel_roles(role: str) -> None:
    assert role in ontology.enum_values("ChannelRole")
    assert ontology.enum_value("ChannelRole", role.lower()) == role


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("DMSO", "negative_vehicle"),
        ("negcon", "negative_vehicle"),
        ("Non-targeting", "negative_non_targeting"),
        ("poscon", "positive"),
        ("trt", "treatment"),
        ("Negative Vehicle", "negative_vehicle"),
        ("whatever", None),
    ],
)
def test_control_types_by_the_words_of_plate_maps(text: str, value: str | None) -> None:
    assert ontology.enum_value("ControlType", text) == value


@pytest.mark.parametrize(
    "enum", ["ChannelRole", "ControlType", "PerturbationType", "BiosampleKind", "ZMode", "ContrastMethod"]
)
def test_no_two_values_of_an_enumeration_share_a_name(enum: str) -> None:
    names = [ontology._folded(n) for value, aliases in ontology._values(enum).items() for n in (value, *aliases)]
    assert len(names) == len(set(names))


def test_an_unknown_enumeration_is_refused() -> None:
    with pytest.raises(NotFoundError) as caught:
        ontology.enum_values("ChannelRoles")
    assert "ChannelRole" in str(caught.value.hint)
