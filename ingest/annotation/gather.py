"""From the files that were named to the tables in them, and what each contributes.

A folder of the Cell Painting gallery (``barcode_platemap.csv`` beside ``platemap/``) is named by the folder or by that
file; the maps that it speaks of are found beside it, by name, among the files that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...errors import CytolakeError, InvalidDataError
from ...wording import listed
from .files import SheetFile, is_sheet, names_of, open_file, split_sheet, stem_of
from .kinds import KINDS, Contribution
from .kinds.base import Fact, PlateOfMap, header_row, slots_of
from .kinds.grid import complete_each_other
from .result import RowError
from .sheet import Sheet
from .table import RawTable, parse_text
from .workbook import parse_workbook

_BARCODES = "barcode_platemap"
#: Sheets of a folder of which one is looked for that is a barcode map by another name.
_MOST_LOOKED_AT = 50


@dataclass(slots=True)
class Gathered:
    """Everything that some files contribute."""

    wells: list[Sheet] = field(default_factory=list)
    reagents: list[Sheet] = field(default_factory=list)
    barcodes: list[PlateOfMap] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: Name and SHA-256 of each file that was read, once.
    inputs: dict[tuple[str, str], None] = field(default_factory=dict)

    def read(self, file: SheetFile) -> None:
        """Take in what the tables of one file contribute."""
        self.inputs[file.name, file.sha256] = None
        for one in contributions(file):
            self.wells += one.wells
            self.reagents += one.reagents
            self.barcodes += one.barcodes
            self.facts += one.facts
            self.errors += one.errors
            self.warnings += one.warnings


def gather(paths: Sequence[Path | str]) -> Gathered:
    """Read every file, and the plate maps beside a barcode map.

    Raises
    ------
    NotFoundError
        A file does not exist.
    StorageError
        One cannot be read.
    InvalidDataError
        One is no table.
    """
    found = Gathered()
    folders: dict[Path, None] = {}
    named = list({place.absolute(): place for place in (_named(Path(path)) for path in paths)}.values())
    files = [split_sheet(path)[0] for path in named]
    names = names_of(files)
    for path, whole in zip(named, files, strict=True):
        before = len(found.barcodes)
        file = open_file(path, names[whole])
        found.read(file)
        if len(found.barcodes) > before:
            folders[file.folder] = None
    for path in _maps_beside(found, folders, {file.absolute() for file in files}):
        found.read(open_file(path, names_of([*files, path])[path]))
    return found


def contributions(file: SheetFile) -> list[Contribution]:
    """Return what the tables of one file contribute.

    Of a workbook that is all sheets that have something to say; which were left out is told.
    """
    if not file.is_workbook:
        return [_read(parse_text(file.data, file.name))]
    tables = [table for table in parse_workbook(file) if table.rows]
    if not tables:
        raise InvalidDataError(
            f"{file.name}{f'#{file.sheet}' if file.sheet else ''} is empty",
            hint="The first line names the columns, such as well,compound.",
        )
    used = [table for table in tables if _speaks(table)]
    if file.sheet is not None or len(tables) == 1 or not used:
        return [_read(table) for table in (tables if file.sheet is not None else tables[:1])]
    left = [table.title for table in tables if table not in used and not table.title.startswith("_")]
    told = [f"{file.name}: sheets without wells are not read: {', '.join(left)}"] if left else []
    parts = [_read(table) for table in used]
    drawings = complete_each_other([sheet for part in parts for sheet in part.wells])
    return [Contribution(warnings=tuple(told), wells=tuple(drawings)), *(replace(part, wells=()) for part in parts)]


def _speaks(table: RawTable) -> bool:
    """Whether a kind of sheet claims a table, or its header names a well."""
    slots = slots_of(table.rows[header_row(table)].cells)
    return any(kind.claims(table) for kind in KINDS[:-1]) or "well" in slots or {"row", "column"} <= slots


def _read(table: RawTable) -> Contribution:
    return next(kind for kind in KINDS if kind.claims(table)).read(table)


def _named(path: Path) -> Path:
    """Return the file that a path means: of a folder, its barcode map, known by its name or else by its header."""
    if not path.is_dir():
        return path
    sheets = [p for p in sorted(path.iterdir()) if is_sheet(p) and p.is_file()]
    maps = [p for p in sheets if stem_of(p.name).lower() == _BARCODES][:1]
    maps = maps or [p for p in sheets[:_MOST_LOOKED_AT] if _is_barcode_map(p)]
    if len(maps) == 1:
        return maps[0]
    what = f"has several barcode maps: {listed([p.name for p in maps], 5)}" if maps else f"has no {_BARCODES}.csv"
    raise InvalidDataError(f"{path} is a folder, not a sheet, and {what}", hint="Name the files in it.")


def _is_barcode_map(path: Path) -> bool:
    try:
        return any(one.barcodes for one in contributions(open_file(path)))
    except CytolakeError:  # nobody named this file
        return False


def _maps_beside(found: Gathered, folders: Iterable[Path], read: set[Path]) -> list[Path]:
    """Return the files of plate maps that are spoken of and not named, beside the barcode map or in ``platemap``.

    A name out of a file is only ever compared with names of files that are there, never made a path.
    """
    there = {sheet.stem for sheet in found.wells} | {name for sheet in found.wells for name in map_names(sheet)}
    missing = {one.plate_map for one in found.barcodes} - there
    paths: list[Path] = []
    for folder in folders:
        for place in (folder / "platemap", folder / "platemaps", folder):
            if not place.is_dir():
                continue
            for path in sorted(place.iterdir()):
                known = path.absolute() not in read and path.is_file() and is_sheet(path)
                if known and stem_of(path.name) in missing:
                    missing.discard(stem_of(path.name))
                    paths.append(path)
    return paths


def map_names(sheet: Sheet) -> set[str]:
    """Return the names of plate maps that the rows of a sheet say they are of."""
    from .slots import fold

    at = next((i for i, header in enumerate(sheet.headers) if fold(header) == "platemapname"), None)
    return set() if at is None else {row.cells[at] for row in sheet.rows} - {""}
