"""What other tools call features: the table ``feature_synonyms.toml``, read both ways.

Each row is a pair of names with places for what varies in them, and says how equal the two are. One way it reads a
column of Nyxus, InCarta, Harmony or cp_measure; the other way it lists the names that a column of ours has there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

#: How equal a feature of another tool is to ours; see the head of ``feature_synonyms.toml``.
Equal = Literal["same", "close", "scaled", "different", "own"]

#: Tools of the table, as people write them.
TOOLS: Mapping[str, str] = {
    "cp_measure": "cp_measure",
    "nyxus": "Nyxus",
    "incarta": "InCarta",
    "harmony": "Harmony",
}
#: What stands behind a name → UCUM.
UNITS: Mapping[str, str] = {
    "um": "um",
    "um2": "um2",
    "um3": "um3",
    "grey": "{grey}",
    "grey_um2": "{grey}.um2",
}
_PLACES = {
    "c": r".+?",
    "c2": r".+?",
    "wave": r"(?: wv\d+)?",
    "axis": "[XYZ]",
    "way": r"Adjacent|Expanded|\d+",
    "word": "[A-Za-z]+",
    "shape": "[A-Za-z0-9_]+",
    "p": r"\d",
    "q": r"\d",
    **dict.fromkeys("abdn", r"\d+"),
}
_REGION = {"harmony": r"[Ww]hole [Cc]ell|\S+ [Rr]egion|\S+", "incarta": r".+?"}
#: Regions of a cell as Harmony and its users call them → our object sets.
_HARMONY_SETS = {
    **dict.fromkeys(("nucleus", "nuclei", "nuclear"), "Nuclei"),
    **dict.fromkeys(("cell", "cells", "whole cell"), "Cells"),
    **dict.fromkeys(("cytoplasm", "cytoplasmic"), "Cytoplasm"),
}
_HARMONY_REGIONS = {"nuclei": "Nucleus", "cells": "Cell", "cytoplasm": "Cytoplasm"}
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Synonym:
    """One row of the table."""

    tool: str
    theirs: str
    ours: str
    equal: Equal
    unit: str | None
    note: str | None

    @property
    def suffix(self) -> str | None:
        """What stands behind our name, because the number is not ours: the unit, the tool, or both."""
        if self.equal in ("same", "close"):
            return None
        if self.equal == "own":
            return f"{self.unit}_{self.tool}" if self.unit else self.tool
        return self.unit or self.tool


@dataclass(frozen=True, slots=True)
class Found:
    """A name of another tool, read: its row and what stands in its places."""

    synonym: Synonym
    places: Mapping[str, str]

    def ours(self, roles: Collection[str]) -> str:
        """Return our name without object set and suffix, with these roles for ``{c}`` and ``{c2}``."""
        filled = dict(self.places) | dict(zip(("c", "c2"), roles, strict=False))
        return _filled(self.synonym.ours, filled)


@cache
def synonyms() -> tuple[Synonym, ...]:
    """Return all rows, in the order of the file."""
    text = files(__package__).joinpath("feature_synonyms.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return tuple(
        Synonym(
            tool=tool, theirs=theirs, ours=ours, equal=group["equal"], unit=group.get("unit"), note=group.get("note")
        )
        for tool in TOOLS
        for group in table[tool]
        for theirs, ours in group["names"]
    )


def find(tool: str, name: str) -> Iterator[Found]:
    """Yield how a tool's name can be read, the reading with most of it spelled out first."""
    for pattern, synonym in _readers(tool):
        match = pattern.fullmatch(name)
        if match:
            yield Found(synonym, match.groupdict())


def object_set_of(tool: str, region: str) -> str:
    """Return an object set as it stands in our names, for a region or target as a tool calls it."""
    if tool == "harmony":
        known = _HARMONY_SETS.get(" ".join(region.split()).lower())
        if known:
            return known
    return camel(region)


def camel(text: str) -> str:
    """Return words as one: ``Nuclei Selected`` is ``NucleiSelected``; empty where nothing of it may stand in a name."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    return "".join(word[:1].upper() + word[1:] for word in words)


def aliases(
    object_set: str, family: str, operator: str, roles: tuple[str, ...] = (), suffix: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return what other tools call a column of ours, as ``tool:name``.

    Parameters
    ----------
    object_set
        As the lake writes it, ``nuclei``.
    family, operator, roles, suffix
        The parts of the name behind the object set. A role stands where another tool has its name of the channel.
    """
    places = ("{c}", "{c2}")[: len(roles)]
    name = "_".join((family, operator, *places, *suffix))
    found = {} if operator == "Slope" else {"cellprofiler:" + "_".join((family, operator, *roles, *suffix)): None}
    for pattern, synonym in _writers().get(family, ()):
        match = pattern.fullmatch(name)
        if match is None:
            continue
        filled = match.groupdict() | dict(zip(("c", "c2"), roles, strict=False))
        filled |= {"region": _region(synonym.tool, object_set), "wave": ""}
        theirs = _filled(synonym.theirs, filled)
        back = next(find(synonym.tool, theirs), None)
        if back is not None and back.synonym is synonym:  # not shadowed by a row that is more explicit
            found[f"{synonym.tool}:{theirs}"] = None
    return tuple(found)


def _filled(template: str, places: Mapping[str, str]) -> str:
    """Put what is known into the places of a template; the others stay as they are written."""
    return _PLACE.sub(lambda place: places.get(place[1], place[0]), template)


def _region(tool: str, object_set: str) -> str:
    name = object_set[:1].upper() + object_set[1:]
    return _HARMONY_REGIONS.get(object_set, name) if tool == "harmony" else name


@cache
def _readers(tool: str) -> tuple[tuple[re.Pattern[str], Synonym], ...]:
    rows = [one for one in synonyms() if one.tool == tool]
    rows.sort(key=lambda one: -len(_PLACE.sub("", one.theirs)))
    return tuple((re.compile(_pattern(one.theirs, _REGION.get(tool, r"\S+"))), one) for one in rows)


@cache
def _writers() -> dict[str, list[tuple[re.Pattern[str], Synonym]]]:
    """Return the rows that a column of ours may have, by family."""
    found: dict[str, list[tuple[re.Pattern[str], Synonym]]] = {}
    for one in synonyms():
        if one.equal != "own":
            pattern = re.compile(_pattern(one.ours, "", fixed=("c", "c2")))
            found.setdefault(one.ours.partition("_")[0], []).append((pattern, one))
    return found


def _pattern(template: str, region: str, fixed: Collection[str] = ()) -> str:
    """Return the regular expression of a template; places in ``fixed`` stay as they are written."""
    parts: list[str] = []
    at = 0
    for place in _PLACE.finditer(template):
        parts.append(_literal(template[at : place.start()]))
        name = place[1]
        inner = region if name == "region" else _PLACES[name]
        parts.append(re.escape(place[0]) if name in fixed else f"(?P<{name}>{inner})")
        at = place.end()
    return "".join([*parts, _literal(template[at:])])


def _literal(text: str) -> str:
    """Return text as an expression; ``*`` is what their name does not tell."""
    return ".+".join(map(re.escape, text.split("*")))
