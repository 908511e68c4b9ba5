"""Harmony and Columbus (PerkinElmer, Revvity): ``Objects_Population - Nuclei.txt``, ``PlateResults.txt`` and the like.

A file begins with lines of a key and a value, then ``[Data]``, then a table with tabs; Columbus also writes the table
alone. Well results have one row per well, object lists one per object. Encodings, decimal commas and the signs of units
vary with the computer that wrote them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...schemas.feature_synonyms import object_set_of
from ...schemas.tool_names import split_harmony
from ...wording import listed
from .columns import first_named
from .contract import Evidence, Level, Options, SourceTable
from .csvfile import CsvTable
from .flat import from_zero, not_numbers, sort_columns, source_table, tool_names
from .look import FoundFile
from .names import inferred

_KEY_LINES = 60
_DATA = "[Data]"
#: Identity → what Harmony and Columbus call it, without case.
_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "plate": ("platename", "plate name", "plate", "barcode", "plate barcode"),
    "well": ("wellname", "well name", "well"),
    "row": ("row",),
    "column": ("column", "col"),
    "field": ("field", "fieldnumber", "field number"),
    "timepoint": ("timepoint",),
    "object_id": ("object no", "object number", "objectnumber"),
}
#: Columns of annotation layers, and what else is said of wells.
_OF_WELL = re.compile(
    r"compound|concentration( \[.*\])?|cell type|cell count|treatment|annotation.*|number of analyzed fields|sirna"
    r"|gene.*",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    r"plane|time \[s\]|abs time|bounding box.*|result|screenname|measurement( no)?|height \[µm\]", re.IGNORECASE
)
_MEASUREMENT = re.compile(r"Measurement (\d+)\b")
_FOLDER = re.compile(r"(?P<plate>.+?)__\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d-Measurement (?P<number>\d+)")
_PER_WELL = re.compile(r"- .*\bper (well|field)\b|number of objects", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands above the table: its keys, the header, rows and lines above the values."""

    keys: Mapping[str, str]
    header: tuple[str, ...]
    above: int
    lines: int


class Harmony:
    """Object lists and well results of Harmony and Columbus."""

    name = "harmony"
    description = (
        "PerkinElmer/Revvity Harmony and Columbus: Objects_Population - *.txt, PlateResults.txt, tables of Columbus"
    )

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Know files with ``[Data]``, and tables with Row, Column and Object No or results per well."""
        known = [file for file in files if _head(file) is not None]
        if not known:
            return None
        return Evidence(
            text=f"{listed([file.name for file in known], 3)}: Row and Column, with objects or results per well",
            files=tuple(file.path for file in known),
        )

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe one table for each file."""
        return [_table(file, head, options) for file in files if (head := _head(file)) is not None]


def _head(file: FoundFile) -> _Head | None:
    """Read what stands above the table; None where the file is none of Harmony's."""
    if file.kind != "text" or file.text is None:
        return None
    rows = file.text.rows[:_KEY_LINES]
    marked = next((at for at, row in enumerate(rows) if row[0].strip().strip('"') == _DATA), None)
    at = 0 if marked is None else marked + 1
    if at >= len(rows):
        return None
    header = tuple(name.strip() for name in rows[at])
    low = {name.casefold() for name in header}
    if not ({"row", "column"} <= low):
        return None
    if marked is None:
        objects = low & set(_IDENTITY["object_id"])
        results = any(_PER_WELL.search(name) for name in header)
        if not (objects or results) or "plate" in low or "imagenumber" in low:
            return None
    keys = {row[0].strip().casefold(): row[1].strip() for row in rows[:at] if len(row) > 1 and row[1].strip()}
    return _Head(keys, header, at + 1, _line_of_header(file, rows[at]) + 1)


def _line_of_header(file: FoundFile, header: Sequence[str]) -> int:
    """Return how many lines stand above the header, the empty ones too."""
    assert file.text is not None
    text = file.head.decode(file.text.encoding, errors="ignore").removeprefix("\ufeff")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=file.text.delimiter)
    return next(number for number, row in enumerate(rows) if row == list(header))


def _table(file: FoundFile, head: _Head, options: Options) -> SourceTable:
    assert file.text is not None
    header = list(head.header)
    body = file.text.rows[head.above :]
    if body and all(len(row) == len(header) + 1 and not row[-1].strip() for row in body):
        header.append("")  # a tab at the end of each row
    raw = CsvTable(file, columns=header, above=head.above, lines=head.lines)
    low = {name.casefold(): name for name in raw.columns}
    identity = first_named(_IDENTITY, low)
    if "row" in identity and "column" in identity:
        identity.pop("well", None)
    parents = [name for name in raw.columns if re.search(r"\bObject No in ", name)]
    if len(parents) == 1 and "object_id" in identity:
        identity["parent_id"] = parents[0]
    plain = {name: " ".join(name.split()) for name in raw.columns}
    layout = sort_columns(
        raw,
        identity,
        metadata=[name for name in raw.columns if _OF_WELL.fullmatch(plain[name])],
        texts=[name for name in raw.columns if _BESIDE.fullmatch(plain[name]) and name not in raw.numbers],
        others=[
            name
            for name in raw.columns
            if name in raw.numbers
            and (_BESIDE.fullmatch(plain[name]) or name in parents[1:] or name.startswith("column "))
        ],
        fixed=_fixed(file, head, identity),
    )
    level: Level = "object" if "object_id" in identity else "field" if "field" in identity else "well"
    object_set = _population(file, head, layout.features) if level == "object" else None
    names, roles = tool_names("harmony", layout.features, object_set, options)
    first = _first_timepoint(file, head, identity)
    return source_table(
        raw,
        layout,
        level=level,
        object_set=object_set,
        change=lambda rows: from_zero(rows, first),
        names=names,
        warnings=[*inferred(roles, options.roles), *not_numbers("harmony", raw, layout, object_set)],
    )


def _fixed(file: FoundFile, head: _Head, identity: Mapping[str, str]) -> dict[str, object]:
    """Return plate and measurement, as the lines above the table or the folders say."""
    folder = next((match for part in reversed(file.path.parts[:-1]) if (match := _FOLDER.fullmatch(part))), None)
    fixed: dict[str, object] = {}
    plate = head.keys.get("plate name") or head.keys.get("plate") or (folder["plate"] if folder else None)
    if plate and "plate" not in identity:
        fixed["plate"] = plate
    said = _MEASUREMENT.search(head.keys.get("measurement", ""))
    number = said[1] if said else folder["number"] if folder else None
    if number:
        fixed["acquisition"] = int(number)
    return fixed


def _population(file: FoundFile, head: _Head, features: Sequence[str]) -> str:
    """Return the object set: the population of the file, as its first lines, its name or its columns say."""
    said = head.keys.get("population")
    if said:
        said = said.removeprefix("Population - ")
    named = re.fullmatch(r".*Population - (.+)", file.stem)
    common = {population for name in features if (population := split_harmony(name)[0])}
    text = said or (named[1] if named else None) or (next(iter(common)) if len(common) == 1 else None) or "objects"
    name = object_set_of("harmony", text) or "Objects"
    return name[:1].lower() + name[1:]


def _first_timepoint(file: FoundFile, head: _Head, identity: Mapping[str, str]) -> int:
    """Return 1 where time points are counted from 1: the first row is one of the first time point."""
    column = identity.get("timepoint")
    rows = file.text.rows[head.above :] if file.text else ()
    if column is None or not rows:
        return 0
    at = [name.strip() for name in head.header].index(column)
    values = {row[at].strip() for row in rows if len(row) > at}
    return 1 if values and "0" not in values and "1" in values else 0


DIALECTS = (Harmony(),)
