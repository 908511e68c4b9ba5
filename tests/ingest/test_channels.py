"""Roles: given where a name or a whole set is sure, left open otherwise, and overruled by a person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cytolake.errors import UsageError
from cytolake.ingest.channels import apply_roles, guess_role, guess_roles
from cytolake.ingest.export import FIELDS_SCHEMA, PLANES_SCHEMA, AcquisitionInfo, ChannelInfo, PlateExport
from cytolake.schemas.ontology import enum_values

WAVES = {
    "blue": (405.0, 456.0),
    "green": (488.0, 522.0),
    "long": (488.0, 599.0),
    "orange": (561.0, 599.0),
    "red": (640.0, 706.0),
    "none": (None, None),
}


def channels(*stains: tuple[str, str]) -> tuple[ChannelInfo, ...]:
    return tuple(
        ChannelInfo(
            acquisition_id=1,
            channel_index=i,
            name=name,
            vendor_id=str(i + 1),
            excitation_nm=740.0 if wave == "white" else WAVES[wave][0],
            emission_nm=None if wave == "white" else WAVES[wave][1],
            contrast_method="brightfield" if wave == "white" else "fluorescence",
        )
        for i, (name, wave) in enumerate(stains)
    )


def roles(*stains: tuple[str, str]) -> list[str | None]:
    return [c.role for c in guess_roles(channels(*stains))[0]]


def export(*stains: tuple[str, str]) -> PlateExport:
    named, warnings = guess_roles(channels(*stains))
    acquisition = AcquisitionInfo(acquisition_id=1, height=1, width=1, pixel_size_x_um=1.0, pixel_size_y_um=1.0)
    return PlateExport(
        reader="x", vendor="x", format_version="1", root="/x", plate_id="P1", barcode=None, name=None, plate_type=None,
        n_rows=8, n_columns=12, acquisitions=(acquisition,), channels=named, planes=PLANES_SCHEMA.empty_table(),
        fields=FIELDS_SCHEMA.empty_table(), warnings=warnings,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("HOECHST 33342", "DNA"),
        ("Hoechst", "DNA"),
        ("DAPI (1)", "DNA"),
        ("DRAQ5", "DNA"),
        ("MitoTracker Deep Red", "Mito"),
        ("TMRM", "Mito"),
        ("Mito", "Mito"),
        ("Concanavalin A", "ER"),
        ("ER", "ER"),
        ("SYTO 14", "RNA"),
        ("Phalloidin 568", "Actin"),
        ("F-actin", "Actin"),
        ("anti-tubulin", "Tubulin"),
        ("LysoTracker Red", "Lysosome"),
        ("Brightfield High", "Brightfield"),
        ("Bright_Field", "Brightfield"),
        ("Digital Phase Contrast", "Phase"),
        ("Alexa 488", None),
        ("Alexa 647", None),
        ("Fluorescein (FITC)", None),
        ("mCherry", None),
        ("EGFP", None),
        ("ERK1", None),
        ("Her2", None),
        ("laser", None),
        ("", None),
    ],
)
def test_names_that_say_it(name: str, role: str | None) -> None:
    assert guess_role(name, None, None, "fluorescence") == role


def test_contrast_says_more_than_a_name() -> None:
    assert guess_role("DAPI", None, None, "brightfield") == "Brightfield"
    assert guess_role("x", None, None, "digital_phase") == "Phase"


def test_a_blue_dye_read_in_the_red_is_no_dna() -> None:
    assert guess_role("DAPI", 405.0, 456.0, None) == "DNA"
    assert guess_role("DAPI", 405.0, 599.0, None) is None


def test_guessed_roles_are_known_ones() -> None:
    known = set(enum_values("ChannelRole"))
    names = [
        "hoechst",
        "mito",
        "er",
        "rna",
        "agp",
        "golgi",
        "lysosome",
        "tubulin",
        "actin",
        "bf",
        "dpc",
        "dic",
        "nucleoli",
    ]
    assert {guess_role(n, None, None, None) for n in names} <= known


def test_cell_painting_as_a_set() -> None:
    stains = (
        ("Alexa 647", "red"), ("Alexa 568", "orange"), ("488 long", "long"), ("Alexa 488", "green"),
        ("HOECHST 33342", "blue"), ("Brightfield", "white"),
    )  # fmt: skip
    named, warnings = guess_roles(channels(*stains))
    assert [c.role for c in named] == ["Mito", "AGP", "RNA", "ER", "DNA", "Brightfield"]
    assert any("Cell Painting: Alexa 647 = Mito" in w for w in warnings)


def test_cell_painting_by_names_without_wavelengths() -> None:
    stains = (
        ("Hoechst", "none"), ("ConA", "none"), ("SYTO14", "none"), ("Phalloidin/WGA", "none"), ("MitoTracker", "none"),
    )  # fmt: skip
    assert roles(*stains) == ["DNA", "ER", "RNA", "AGP", "Mito"]


@pytest.mark.parametrize(
    "stains",
    [
        (("DAPI", "blue"), ("Alexa 488", "green"), ("Alexa 568", "orange"), ("Alexa 647", "red")),
        (("Alexa 488", "green"), ("488 long", "long"), ("Alexa 568", "orange"), ("Alexa 647", "red")),
        (
            ("DAPI", "blue"),
            ("Alexa 488", "green"),
            ("FITC", "green"),
            ("488 long", "long"),
            ("a", "orange"),
            ("b", "red"),
        ),
    ],
    ids=["no long band", "no DNA", "two in one band"],
)
def test_generic_dyes_outside_cell_painting_get_no_role(stains: tuple[tuple[str, str], ...]) -> None:
    named, warnings = guess_roles(channels(*stains))
    assert {c.role for c in named} <= {"DNA", None}
    assert any("'Alexa 488' (id" in w and "--role 'Alexa 488=ROLE'" in w for w in warnings)


def test_two_claims_to_one_role_are_none() -> None:
    named, warnings = guess_roles(channels(("DAPI", "blue"), ("DRAQ5", "red")))
    assert [c.role for c in named] == [None, None]
    assert any("several channels claim DNA" in w for w in warnings)


def test_a_person_overrules() -> None:
    before = export(("HOECHST 33342", "blue"), ("Alexa 488", "green"))
    after = apply_roles(before, {"alexa 488": "ER", "1": "Nuclei"})
    assert [c.role for c in after.channels] == ["Nuclei", "ER"]
    assert after.warnings == ()
    assert [c.role for c in before.channels] == ["DNA", None]
    assert len(before.warnings) == 1


def test_a_role_that_was_guessed_moves() -> None:
    after = apply_roles(export(("HOECHST 33342", "blue"), ("DRAQ9", "red")), {"DRAQ9": "DNA"})
    assert [c.role for c in after.channels] == [None, "DNA"]
    assert "HOECHST 33342 loses DNA to DRAQ9" in after.warnings


@pytest.mark.parametrize(
    ("given", "role"),
    [("dna", "DNA"), ("MITO", "Mito"), ("brightField", "Brightfield"), ("DNA2", "DNA2"), ("mRNA", "mRNA"),
     ("Marker", "Marker"), ("Nuclei", "Nuclei"), ("ERK", "ERK")],
)  # fmt: skip
def test_known_roles_have_one_spelling_and_others_are_free(given: str, role: str) -> None:
    after = apply_roles(export(("Alexa 488", "green")), {"Alexa 488": given})
    assert [c.role for c in after.channels] == [role]


@pytest.mark.parametrize(("given", "meant"), [("AGPP", "AGP"), ("DNAA", "DNA"), ("Mitto", "Mito"), ("DAN", "DNA")])
def test_a_slip_of_a_known_role_is_an_error(given: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"{given}.* is not known; did you mean '{meant}'") as raised:
        apply_roles(export(("Alexa 488", "green")), {"Alexa 488": given})
    assert raised.value.hint is not None
    assert "Known roles are DNA, ER, RNA" in raised.value.hint


def test_one_name_in_two_acquisitions() -> None:
    one = export(("FITC", "green"))
    second = replace(one.acquisitions[0], acquisition_id=2)
    both = replace(
        one,
        acquisitions=(*one.acquisitions, second),
        channels=(*one.channels, *(replace(c, acquisition_id=2) for c in one.channels)),
    )
    assert [c.role for c in apply_roles(both, {"FITC": "ER"}).channels] == ["ER", "ER"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"Alexa 489": "ER"}, "no channel 'Alexa 489'; did you mean 'Alexa 488'?"),
        ({"Alexa 488": "my role"}, "letters and digits"),
        ({"Alexa 488": "dna", "HOECHST 33342": "DNA"}, "'DNA' is given to two channels"),
        ({"FITC": "ER"}, "2 channels are called 'FITC', with the ids 3, 4"),
    ],
)
def test_what_a_person_cannot_say(given: dict[str, str], said: str) -> None:
    one = export(("HOECHST 33342", "blue"), ("Alexa 488", "green"), ("FITC", "green"), ("FITC", "long"))
    with pytest.raises(UsageError) as raised:
        apply_roles(one, given)
    assert said in raised.value.message
    assert raised.value.hint
