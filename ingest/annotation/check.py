"""Checks a plate map or sample sheet before there is a plate to annotate.

Every plate that a sheet names is taken to exist, and to be as large as plates are; the rest is checked as
:func:`.apply.annotate` checks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .columns import match_columns
from .platemap import check_sheets
from .result import AnnotationResult, PlateFormat
from .sheet import Sheet, read_sheet

#: Rows and columns of the largest format that well names reach.
_LARGEST = (32, 48)
_SUFFIXES = {".csv", ".tsv", ".txt", ".xlsx", ".xls"}


def is_sheet(path: Path | str) -> bool:
    """Whether a path is named like a sheet."""
    return Path(path).suffix.lower() in _SUFFIXES


def check_sheet(path: Path | str, plates: Mapping[str, PlateFormat] | None = None) -> AnnotationResult:
    """Check every cell of a sheet.

    Parameters
    ----------
    plates
        Plates of which the size is known, by name.

    Raises
    ------
    NotFoundError
        There is no such file.
    InvalidDataError
        It is no text table. What is wrong inside a table is in ``errors`` of the result.
    """
    sheet = read_sheet(path)
    known = plates or {}
    rows, columns = _LARGEST
    formats = [
        known.get(name) or PlateFormat(plate_id=name, n_rows=rows, n_columns=columns) for name in _plates_named(sheet)
    ]
    return check_sheets([sheet], study_id="unknown", plates=formats, run_id="check")


def _plates_named(sheet: Sheet) -> list[str]:
    columns, _ = match_columns(sheet.headers, keep_unknown=False, as_attributes=())
    place = next((column for column in columns if column.slot.name == "plate"), None)
    if place is None:
        return [Path(sheet.name).stem]
    return sorted({row.cells[place.position] for row in sheet.rows} - {""})
