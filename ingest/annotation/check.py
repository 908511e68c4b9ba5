"""Checks a plate map or sample sheet before there is a plate to annotate.

Every plate that a sheet names is taken to exist, and to be as large as plates are; the rest is checked as
:func:`.apply.annotate` checks it.
"""

from __future__ import annotations

from pathlib import Path

from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS, slug
from .columns import known_column
from .files import is_sheet, open_file, split_sheet, stem_of
from .gather import contributions
from .platemap import read_annotation
from .result import AnnotationResult, PlateFormat

__all__ = ["check_sheet", "is_sheet"]


def check_sheet(path: Path | str) -> AnnotationResult:
    """Check every cell of a sheet.

    Raises
    ------
    NotFoundError
        There is no such file.
    InvalidDataError
        It is no table. What is wrong inside a table is in ``errors`` of the result.
    """
    formats = [
        PlateFormat(plate_id=slug(name), name=name, n_rows=MAX_ROWS, n_columns=MAX_COLUMNS)
        for name in _plates_named(path)
    ]
    return read_annotation([path], study_id="unknown", plates=formats, run_id="check")


def _plates_named(path: Path | str) -> list[str]:
    """Return the plates that a file speaks of; one that names none is taken for the map of one plate."""
    if Path(path).is_dir():
        return [Path(path).name]
    names: set[str] = set()
    for one in contributions(open_file(path)):
        names |= {plate.barcode for plate in one.barcodes}
        for sheet in one.wells:
            found = [
                c for i, h in enumerate(sheet.headers) if h and (c := known_column(h, i)) and c.slot.name == "plate"
            ]
            named = {row.cells[c.position] for c in found[:1] for row in sheet.rows} | set(sheet.plates)
            names |= named or ({sheet.title} if sheet.title else set())
    return sorted(names - {""}) or [stem_of(split_sheet(path)[0].name)]
