"""A table with one header and one row per thing: what every kind of sheet is brought into before it is checked.

A row knows its line; a cell that was put into it from elsewhere (a square of a grid, the facts of a reagent) knows its
own place, so that a message always points at what somebody typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from ...schemas.identifiers import row_letters
from .result import RowError
from .table import NOTHING_ODD, Oddity, RawTable, TableRow


class Place(NamedTuple):
    """Where a text stands: the file, its row, and the header above it."""

    file: str
    row: int
    column: str

    def error(self, rule: str, value: str, message: str) -> RowError:
        """Return what is wrong with the text there."""
        return RowError(file=self.file, row=self.row, column=self.column, value=value, rule=rule, message=message)


#: Rows and columns of plates.
_PLATES = frozenset({(4, 6), (6, 8), (8, 12), (16, 24), (32, 48)})
HERE: Mapping[int, Place] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row.

    Attributes
    ----------
    line
        The line of the file that it starts on.
    cells
        One text per header.
    odd
        Position -> why the text of a cell is not to be trusted.
    places
        Position -> where the text of a cell stands, if not in this row of this sheet.
    """

    line: int
    cells: tuple[str, ...]
    odd: Mapping[int, Oddity] = field(default_factory=lambda: NOTHING_ODD)
    places: Mapping[int, Place] = field(default_factory=lambda: HERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table with a header.

    Attributes
    ----------
    name
        What messages call it.
    uneven
        Lines with another number of cells than there are headers, and how many; :meth:`uneven_errors` says so.
    header_line
        The line of the header.
    faults
        What is wrong with the table already.
    stem, title
        File name without its endings; name of the sheet in its workbook.
    plates
        Plates that every row is about, where another file says so: names and barcodes.
    whole_screen
        Whether the sheet speaks of more plates than a lake needs to have: rows about others are left out and told.
    drawn
        Whether the rows were a drawing of a plate.
    any_control
        Whether words for controls that nobody knows are names of controls, not faults.
    blank_is_treatment
        Whether an empty cell for the control means a treatment where there is one.
    """

    name: str
    headers: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    uneven: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()
    header_line: int = 1
    faults: tuple[RowError, ...] = ()
    stem: str = ""
    title: str = ""
    plates: tuple[str, ...] = ()
    whole_screen: bool = False
    drawn: bool = False
    any_control: bool = False
    blank_is_treatment: bool = False

    def uneven_errors(self) -> list[RowError]:
        """Return the faults of rows that are longer or shorter than the header."""
        header = len(self.headers)
        return [
            Place(self.name, line, "").error("row-length", "", f"the row has {count} cells, the header has {header}")
            for line, count in self.uneven
        ]


def with_header(table: RawTable, at: int = 0) -> Sheet:
    """Take the row number ``at`` of a table, from 0, for its header and the rows below for its body."""
    header = table.rows[at] if table.rows else TableRow(1, ())
    headers = _trim(header.cells)
    width = len(headers)
    rows: list[SheetRow] = []
    uneven: list[tuple[int, int]] = []
    for row in table.rows[at + 1 :]:
        cells = row.cells
        if len(cells) > width and not any(cells[width:]):
            cells = cells[:width]
        elif len(cells) < width and not table.ragged:
            cells = cells + ("",) * (width - len(cells))
        if len(cells) != width:
            uneven.append((row.line, len(cells)))
        elif any(cells):
            rows.append(SheetRow(row.line, cells, row.odd))
    faults = [
        Place(table.name, header.line, headers[position]).error(odd.rule, headers[position], odd.message)
        for position, odd in header.odd.items()
        if position < width
    ]
    sheet = Sheet(
        name=table.name,
        headers=headers,
        rows=tuple(rows),
        uneven=tuple(uneven),
        warnings=table.warnings,
        header_line=header.line,
        faults=tuple(faults),
        stem=table.stem,
        title=table.title,
    )
    return _without_nameless(sheet)


def sheet_of(name: str, headers: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Sheet:
    """Make a sheet of values that did not come from a text file; its lines count from 2, as if it had a header."""
    numbered = tuple(SheetRow(line, cells) for line, cells in enumerate(rows, start=2))
    return Sheet(name=name, headers=tuple(headers), rows=numbered)


def _trim(headers: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the nameless columns at the end, which spreadsheets leave behind."""
    end = len(headers)
    while end and not headers[end - 1]:
        end -= 1
    return headers[:end]


def _without_nameless(sheet: Sheet) -> Sheet:
    """Drop nameless columns that are empty, and the row numbers that pandas writes in front."""
    drop = [
        position
        for position, header in enumerate(sheet.headers)
        if (not header and not any(row.cells[position] for row in sheet.rows))
        or (position == 0 and header in ("", "Unnamed: 0") and _is_numbering(sheet))
    ]
    if not drop or sheet.uneven:
        return sheet
    kept = [position for position in range(len(sheet.headers)) if position not in drop]
    return select(sheet, kept)


def _is_numbering(sheet: Sheet) -> bool:
    numbers = [row.cells[0] for row in sheet.rows]
    return any(numbers == [str(i) for i in range(start, start + len(numbers))] for start in (0, 1))


def select(sheet: Sheet, kept: list[int]) -> Sheet:
    """Return a sheet with only some of its columns."""
    moved = {old: new for new, old in enumerate(kept)}
    rows = tuple(
        SheetRow(
            row.line,
            tuple(row.cells[position] for position in kept),
            {moved[p]: odd for p, odd in row.odd.items() if p in moved} if row.odd else NOTHING_ODD,
            {moved[p]: place for p, place in row.places.items() if p in moved} if row.places else HERE,
        )
        for row in sheet.rows
    )
    return replace(sheet, headers=tuple(sheet.headers[position] for position in kept), rows=rows)


def without_wells(sheet: Sheet) -> str:
    """Say that no column names the wells, and what the sheet may be instead."""
    shape = (len(sheet.rows) + 1, len(sheet.headers))
    if shape in _PLATES:
        return (
            f"no column says the well; these are the {shape[0]} × {shape[1]} squares of a plate: write the column "
            "numbers 1, 2, 3 … above them and the row letters A, B, C … before them, and into the corner what they show"
        )
    letters = [header for header in sheet.headers if header]
    if len(letters) > 1 and letters == [row_letters(n) for n in range(1, len(letters) + 1)]:
        return "no column says the well; in a drawing of a plate the letters stand down the side and the numbers above"
    names = ", ".join(sheet.headers) or "none"
    return f"no column says the well; its columns are {names}; name one 'well', or two 'row' and 'column'"
