"""``-study.txt`` of the Image Data Resource: what a study is, who made it, under which terms.

Keys stand in the first column and values behind them, several where there are several persons. The sections about
single screens that follow are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from ..result import RowError
from ..sheet import Place
from ..slots import fold
from ..table import RawTable
from .base import Contribution, Fact

_TEXTS = {
    "studytitle": "title",
    "studydescription": "description",
    "commentidrstudyaccession": "related_accession",
}
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/\S+)")
_LICENCE = re.compile(r"CC[ -]?(BY(?:-NC)?(?:-SA|-ND)?|0)[ -]?(\d\.\d)(?: International)?", re.IGNORECASE)


class IdrStudy:
    """The study file of the Image Data Resource."""

    name = "idr study"

    def claims(self, table: RawTable) -> bool:
        """Whether the first column has the study's accession and its title."""
        keys = {fold(row.cells[0]) for row in table.rows[:20]}
        return "studytitle" in keys and bool(keys & {"commentidrstudyaccession", "studytype", "studyscreensnumber"})

    def read(self, table: RawTable) -> Contribution:
        """Read the lines above the first screen."""
        said: dict[str, tuple[list[str], Place]] = {}
        for row in table.rows:
            key = row.cells[0]
            if fold(key) == "screennumber":
                break
            if not key.startswith("#"):
                values = [cell for cell in row.cells[1:] if cell]
                if values:
                    said.setdefault(fold(key), (values, Place(table.name, row.line, key)))
        facts: list[Fact] = []
        errors: list[RowError] = []
        for key, (values, place) in said.items():
            slot, value = _fact(key, values)
            if slot and value is None:
                message = f"{values[0]!r} is no {slot.replace('_', ' ')}"
                errors.append(place.error("value", values[0], message))
            elif slot:
                facts.append(Fact("study", slot, value, place))
        people = _people(said)
        if people:
            facts.append(Fact("study", "contributors", people, said["studypersonlastname"][1]))
        return Contribution(facts=tuple(facts), errors=tuple(errors), warnings=table.warnings)


def _fact(key: str, values: list[str]) -> tuple[str, Any]:
    """Return the slot of a key, empty where there is none, with its value, None where that is wrong."""
    if key in _TEXTS:
        return _TEXTS[key], values[0]
    if key == "studykeywords":
        return "keywords", [word.strip() for value in values for word in re.split(r"[;,]", value) if word.strip()]
    if key == "studydoi":
        found = _DOI.fullmatch(values[0])
        return "publication_doi", found[1] if found else None
    if key == "studylicense":
        found = _LICENCE.fullmatch(values[0])
        if found is None:
            return ("licence", values[0]) if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", values[0]) else ("", None)
        return "licence", f"CC0-{found[2]}" if found[1] == "0" else f"CC-{found[1].upper()}-{found[2]}"
    if key == "studypublicreleasedate":
        try:
            return "release_date", date.fromisoformat(values[0])
        except ValueError:
            return "release_date", None
    return "", None


def _people(said: Mapping[str, tuple[list[str], Place]]) -> list[dict[str, str | None]]:
    def of(key: str, number: int) -> str | None:
        values = said.get(f"studyperson{key}", ([], None))[0]
        return values[number] if number < len(values) else None

    people = []
    for number, last in enumerate(said.get("studypersonlastname", ([], None))[0]):
        name = " ".join(part for part in (of("firstname", number), last) if part)
        email, role = of("email", number), of("roles", number)
        people.append({"name": name, "email": email, "orcid": of("orcid", number), "role": role})
    return people
