"""Workbooks of MIHCSME, the minimum information about a high-content screening experiment.

``AssayConditions`` has a row per well; ``InvestigationInformation``, ``StudyInformation`` and ``AssayInformation`` have
groups of keys and values, of which those that have a slot become facts of the study, its samples, plates and
acquisitions. Lines that begin with ``#`` explain the template. Unlike the original, wells go to AF48.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ....errors import InvalidDataError
from ..cells import in_one_line, read_taxon
from ..result import RowError
from ..sheet import Place, with_header
from ..slots import fold
from ..table import RawTable
from .base import Contribution, Fact, slots_of

_CONDITIONS = "assayconditions"
_INFORMATION = frozenset({"investigationinformation", "studyinformation", "assayinformation"})
#: (group, key), folded -> (record, slot).
_SLOTS = {
    ("study", "studytitle"): ("study", "title"),
    ("study", "studydescription"): ("study", "description"),
    ("study", "studykeywords"): ("study", "keywords"),
    ("dataowner", "institute"): ("study", "institution"),
    ("biosample", "biosampletaxon"): ("biosample", "organism"),
    ("biosample", "biosampleorganism"): ("biosample", "organism"),
    ("biosample", "biosampledescription"): ("biosample", "genotype"),
    ("biosample", "celllinesclonenumber"): ("biosample", "clone"),
    ("biosample", "celllinespassagenumber"): ("biosample", "passage"),
    ("plate", "platetype"): ("plate", "plate_type"),
    ("plate", "platetypemanufacturer"): ("plate", "manufacturer"),
    ("plate", "platetypecatalognumber"): ("plate", "catalogue_number"),
    ("assaycomponent", "imagingprotocol"): ("acquisition", "protocol_file"),
    ("imagedata", "imagesitesperwell"): ("acquisition", "sites_per_well"),
    ("imageacquisition", "microscopeid"): ("acquisition", "instrument_model"),
}
_OWNER = {
    "firstname": "first", "middlenames": "middle", "lastname": "last", "emailaddress": "email",
    "orcidinvestigator": "orcid", "orcid": "orcid",
}  # fmt: skip
_ORCID = re.compile(r"(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])/?", re.IGNORECASE)


class Mihcsme:
    """The sheets of a MIHCSME workbook."""

    name = "mihcsme"

    def claims(self, table: RawTable) -> bool:
        """Whether this is a sheet of a workbook that has assay conditions and information about the study."""
        siblings = {fold(title) for title in table.siblings}
        known = _CONDITIONS in siblings and bool(siblings & _INFORMATION)
        return known and (fold(table.title) in _INFORMATION | {_CONDITIONS} or table.title.startswith("_"))

    def read(self, table: RawTable) -> Contribution:
        """Read the wells or the facts; sheets of reference are left out."""
        if fold(table.title) == _CONDITIONS:
            return _conditions(table)
        if table.title.startswith("_"):
            return Contribution()
        return _information(table)


def _conditions(table: RawTable) -> Contribution:
    """Take the first row that names plate and well for the header; whatever explains the template stands above it."""
    rows = [row for row in table.rows if not row.cells[0].startswith("#")]
    at = next((i for i, row in enumerate(rows) if "well" in slots_of(row.cells)), 0)
    return Contribution(wells=(with_header(replace(table, rows=tuple(rows)), at),))


def _information(table: RawTable) -> Contribution:
    facts: list[Fact] = []
    errors: list[RowError] = []
    open_keys: list[str] = []
    owner: dict[str, tuple[str, Place]] = {}
    collaborators: list[tuple[str, Place]] = []
    for group, key, value, place in _pairs(table):
        folded = (fold(group), fold(key))
        if folded[0] == "dataowner" and folded[1] in _OWNER:
            owner[_OWNER[folded[1]]] = (value, place)
        elif folded[0] == "datacollaborator" and "orcid" in folded[1]:
            collaborators.append((value, place))
        elif folded in _SLOTS:
            record, slot = _SLOTS[folded]
            text, problem = _value(slot, value)
            if problem:
                errors.append(place.error("value", value, problem))
            elif text is not None:
                facts.append(Fact(record, slot, text, place))
        else:
            open_keys.append(key)
    facts += _contributors(owner, collaborators)
    warnings = []
    if open_keys:
        warnings.append(f"{table.name}: no slot for {', '.join(dict.fromkeys(open_keys))}; they are not kept")
    return Contribution(facts=tuple(facts), errors=tuple(errors), warnings=tuple(warnings))


def _pairs(table: RawTable) -> Iterator[tuple[str, str, str, Place]]:
    """Yield group, key and value of every line that has one; a group's name may stand in its first line alone."""
    group = ""
    for row in table.rows:
        if row.cells[0].startswith("#"):
            continue
        first, key, value, *_ = (*row.cells, "", "", "")
        group = first or group
        if key and value and fold(key) != "key":
            yield group, key, value, Place(table.name, row.line, key)


def _value(slot: str, text: str) -> tuple[Any, str]:
    """Return the value of a fact, or what is wrong with it."""
    match slot:
        case "keywords":
            return [word.strip() for word in re.split(r"[;,\n]", text) if word.strip()], ""
        case "organism":
            try:
                return read_taxon(text), ""
            except InvalidDataError as error:
                return None, in_one_line(error)
        case "passage" | "sites_per_well":
            found = re.fullmatch(r"[pP]?\s*(\d{1,6})", text)
            return (int(found[1]), "") if found else (None, f"{text!r} is no number")
        case _:
            return text, ""


def _contributors(owner: dict[str, tuple[str, Place]], collaborators: list[tuple[str, Place]]) -> Iterator[Fact]:
    people: list[dict[str, str | None]] = []
    place: Place | None = None
    parts = [owner[part][0] for part in ("first", "middle", "last") if part in owner]
    if parts:
        place = owner["last" if "last" in owner else "first" if "first" in owner else "middle"][1]
        email, orcid = (owner.get(part, ("", place))[0] or None for part in ("email", "orcid"))
        people.append({"name": " ".join(parts), "email": email, "orcid": _orcid(orcid), "role": "data owner"})
    for text, where in collaborators:
        place = place or where
        # The template asks for nothing but the ORCID; it is the only name there is.
        people.append({"name": _orcid(text) or text, "email": None, "orcid": _orcid(text), "role": "data collaborator"})
    if people and place is not None:
        yield Fact("study", "contributors", people, place)


def _orcid(text: str | None) -> str | None:
    """Return an ORCID without the address of its resolver; whatever is none comes back for the schema to refuse."""
    found = _ORCID.fullmatch(text.strip()) if text else None
    return found[1].upper() if found else text
