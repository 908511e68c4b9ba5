"""Ontology terms without a connection: what the schema's enumerations mean, by identifier and by name.

The table is small on purpose. A term that is not in it is not wrong, only unknown here; whether an identifier is well
formed is a matter of the slot's pattern.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from ..errors import NotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term: CURIE, label, other names, whether it is obsolete, and the release it was checked against.

    ``version`` is None where the label was not checked against a release.
    """

    id: str
    label: str
    synonyms: tuple[str, ...]
    obsolete: bool
    ontology: str
    version: str | None


def term(curie: str) -> Term | None:
    """Return the term of an identifier such as ``NCBITaxon:9606``, or None where it is not known here."""
    return _by_id().get(curie)


def find_term(name: str, ontology: str | None = None) -> Term | None:
    """Return the term of a label or synonym in any case, of one ontology if given, or None.

    ``find_term("human", "NCBITaxon")`` is ``NCBITaxon:9606``.
    """
    for found in _by_name().get(_folded(name), ()):
        if ontology is None or found.ontology == ontology:
            return found
    return None


def enum_values(enum: str) -> tuple[str, ...]:
    """Return the values of an enumeration of the schema, ``"ChannelRole"`` for example, in their order."""
    return tuple(_values(enum))


def enum_value(enum: str, text: str) -> str | None:
    """Return the value of an enumeration that a text means, by the value itself or one of its aliases, in any case.

    ``enum_value("ControlType", "DMSO")`` is ``"negative_vehicle"``.
    """
    wanted = _folded(text)
    for value, aliases in _values(enum).items():
        if wanted in (_folded(value), *map(_folded, aliases)):
            return value
    return None


def enum_aliases(enum: str) -> dict[str, tuple[str, ...]]:
    """Return what each value of an enumeration may also be called."""
    return {value: tuple(aliases) for value, aliases in _values(enum).items()}


def _folded(text: str) -> str:
    return " ".join(text.replace("_", " ").replace("-", " ").lower().split())


def _values(enum: str) -> dict[str, list[str]]:
    enums: dict[str, dict[str, list[str]]] = _data()["enums"]
    if enum not in enums:
        close = get_close_matches(enum, enums, n=1)
        raise NotFoundError(
            f"the schema has no enumeration {enum!r}", hint=f"Did you mean {close[0]!r}?" if close else None
        )
    return enums[enum]


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        files(__package__).joinpath("generated/ontology.json").read_text(encoding="utf-8")
    )
    return data


@cache
def _by_id() -> dict[str, Term]:
    return {
        t["id"]: Term(
            id=t["id"],
            label=t["label"],
            synonyms=tuple(t["synonyms"]),
            obsolete=t["obsolete"],
            ontology=t["ontology"],
            version=t["version"],
        )
        for t in _data()["terms"]
    }


@cache
def _by_name() -> dict[str, tuple[Term, ...]]:
    names: dict[str, tuple[Term, ...]] = {}
    for found in _by_id().values():
        for name in (found.label, *found.synonyms):
            names[_folded(name)] = (*names.get(_folded(name), ()), found)
    return names
