"""A plate drawn as a plate: letters down the side, numbers along the top, one square per well.

Each drawing is one column of annotation. What it shows is its title, in the corner or in the row above, or the name of
the sheet; several drawings of one plate complete each other. ``Plate: P1`` above says which plate is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ....schemas.identifiers import MAX_COLUMNS, MAX_ROWS, row_letters
from ....wording import listed
from ..columns import known_column
from ..result import RowError
from ..sheet import Place, Sheet, SheetRow
from ..table import NOTHING_ODD, Oddity, RawTable, TableRow
from .base import Contribution, slots_of

_DEFAULT_TITLES = re.compile(
    r"(sheet|tabelle|feuil|hoja|blad|foglio|planilha|munka|arkusz|plate ?map|layout)[ _]?\d*", re.I
)
_PLATE = re.compile(r"plate(?:[ _]?(?:id|name|barcode))?\s*[:=]\s*(\S.*)|barcode\s*[:=]\s*(\S.*)", re.IGNORECASE)
_CORNERS = frozenset({"", "row", "rows", "well", "wells", "<>", "\\", "/", "row/col", "row\\col", "<>."})
_SHOWN = 5
#: Numbers beside an empty cell become fractions in many programs.
_NUMBER = re.compile(r"([0-9]+)(?:\.0+)?")
_ROW_NUMBERS = {row_letters(row): row for row in range(1, MAX_ROWS + 1)}


@dataclass(slots=True)
class _Grid:
    """One drawing: its title, where that stands, the plate it is of, and its squares by (row letters, column)."""

    title: str
    line: int
    plate: str
    squares: dict[tuple[str, int], tuple[str, Place, Oddity | None]] = field(default_factory=dict)
    faults: list[RowError] = field(default_factory=list)


class PlateGrid:
    """Drawings of plates, one above the other."""

    name = "grid"

    def claims(self, table: RawTable) -> bool:
        """Whether there are rows A, B, C … below a row of numbers."""
        is_long = bool(table.rows) and bool({"well", "row"} & slots_of(table.rows[0].cells))
        return not (is_long and _is_header(table.rows[0])) and next(_starts(table.rows), None) is not None

    def read(self, table: RawTable) -> Contribution:
        """Bring the drawings of each plate into one table, with a row per well and a column per drawing."""
        starts = list(_starts(table.rows))
        grids = [_read_grid(table, start, corner) for start, corner in starts]
        for before, grid in pairwise(grids):
            grid.plate = grid.plate or before.plate  # a plate is named above its first drawing
        plates = dict.fromkeys(grid.plate for grid in grids)
        errors, warnings = _beside_drawings(table, starts, grids)
        return Contribution(
            wells=tuple(_sheet(table, p, [g for g in grids if g.plate == p]) for p in plates),
            errors=tuple(errors),
            warnings=tuple(warnings),
        )


def complete_each_other(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Put drawings of several sheets of a workbook together where they show different things of the same plate."""
    done: list[Sheet] = []
    for sheet in sheets:
        before = done[-1] if done else None
        alike = before is not None and before.drawn and sheet.drawn and before.plates == sheet.plates
        if before is not None and alike and not {*before.headers[1:]} & {*sheet.headers[1:]}:
            done[-1] = _together(before, sheet)
        else:
            done.append(sheet)
    return done


def _together(one: Sheet, other: Sheet) -> Sheet:
    width = len(one.headers)
    more = {row.cells[0]: row for row in other.rows}
    rows = []
    for row in one.rows:
        beside = more.pop(row.cells[0], None)
        rows.append(_beside(row, beside, width, len(other.headers)))
    rows += [
        SheetRow(
            row.line,
            (row.cells[0], *([""] * (width - 1)), *row.cells[1:]),
            {p and p + width - 1: odd for p, odd in row.odd.items()},
            {p and p + width - 1: place for p, place in row.places.items()},
        )
        for row in more.values()
    ]
    return replace(
        one,
        headers=(*one.headers, *other.headers[1:]),
        rows=tuple(rows),
        faults=(*one.faults, *other.faults),
        warnings=(*one.warnings, *other.warnings),
        title=one.title if one.title == other.title else "",
    )


def _beside(row: SheetRow, other: SheetRow | None, width: int, more: int) -> SheetRow:
    if other is None:
        return replace(row, cells=(*row.cells, *([""] * (more - 1))))
    return SheetRow(
        row.line,
        (*row.cells, *other.cells[1:]),
        {**row.odd, **{p + width - 1: odd for p, odd in other.odd.items() if p}},
        {**row.places, **{p + width - 1: place for p, place in other.places.items() if p}},
    )


def _is_header(row: TableRow) -> bool:
    """Whether a row names columns: then a number in it is no column of a plate."""
    return not any(map(_NUMBER.fullmatch, row.cells))


def _starts(rows: Sequence[TableRow]) -> Iterator[tuple[int, int]]:
    """Yield, for each drawing, the row of its numbers and the column of its letters, both from 0."""
    end = 0
    for index, row in enumerate(rows):
        if index < end or index + 1 >= len(rows):
            continue
        corner = next((i for i, cell in enumerate(row.cells) if _NUMBER.fullmatch(cell)), 0) - 1
        if corner < 0 or len(_numbers(row, corner)) < 2 or any(row.cells[:corner]):
            continue
        if _row_number(row.cells[corner]) is not None:
            continue  # a row of a table that happens to go on with two numbers
        length = _length(rows, index, corner)
        if length:
            yield index, corner
            end = index + 1 + length


def _numbers(row: TableRow, corner: int) -> list[int]:
    """Return the column numbers behind a corner: they count up by one, from anywhere."""
    found: list[int] = []
    for cell in row.cells[corner + 1 :]:
        written = _NUMBER.fullmatch(cell)
        number = int(written[1]) if written and len(written[1]) < 3 else 0
        if not 1 <= number <= MAX_COLUMNS or (found and number != found[-1] + 1):
            break
        found.append(number)
    rest = row.cells[corner + 1 + len(found) :]
    return [] if any(map(_NUMBER.fullmatch, rest)) else found


def _length(rows: Sequence[TableRow], index: int, corner: int) -> int:
    """Return how many rows a drawing has: letters that go on, perhaps with rows left out."""
    letters: list[int] = []
    for row in rows[index + 1 : index + 1 + MAX_ROWS]:
        number = _row_number(_cell(row, corner))
        if number is None or (letters and number <= letters[-1]):
            break
        letters.append(number)
    return len(letters)


def _cell(row: TableRow, position: int) -> str:
    return row.cells[position].strip() if position < len(row.cells) else ""


def _beside_drawings(
    table: RawTable, starts: Sequence[tuple[int, int]], grids: Sequence[_Grid]
) -> tuple[list[RowError], list[str]]:
    """Tell of rows that no drawing takes; one with a letter right below a drawing is a row of its plate: an error."""
    taken = {grid.line for grid in grids}
    for start, corner in starts:
        taken |= {row.line for row in table.rows[start : start + 1 + _length(table.rows, start, corner)]}
    corners = {corner for _, corner in starts}
    errors: list[RowError] = []
    left: list[int] = []
    for row in table.rows:
        if row.line in taken or _PLATE.fullmatch(": ".join(cell for cell in row.cells if cell)):
            continue
        letters = next((_cell(row, c) for c in corners if _row_number(_cell(row, c)) is not None), "")
        if letters and row.line - 1 in taken:
            taken.add(row.line)
            message = f"row {letters!r} does not follow the one above it in the drawing of a plate"
            errors.append(Place(table.name, row.line, "").error("well", letters, message))
        else:
            left.append(row.line)
    told = [f"{table.name}: line {listed(left, _SHOWN)} beside the drawings is not read"] if left else []
    return errors, told


def _row_number(letters: str) -> int | None:
    return _ROW_NUMBERS.get(letters.upper())


def _read_grid(table: RawTable, start: int, corner: int) -> _Grid:
    rows = table.rows
    title, line, plate = _title(table, start, corner)
    grid = _Grid(title, line, plate)
    numbers = _numbers(rows[start], corner)
    for row in rows[start + 1 : start + 1 + _length(rows, start, corner)]:
        letters = row.cells[corner].upper()
        for offset, number in enumerate(numbers, start=corner + 1):
            text = row.cells[offset] if offset < len(row.cells) else ""
            odd = row.odd.get(offset)
            if text or odd:
                grid.squares[letters, number] = (text, Place(table.name, row.line, str(number)), odd)
        for offset in range(corner + 1 + len(numbers), len(row.cells)):
            # The letters are often repeated on the right; anything else there is lost silently, and is told.
            if row.cells[offset] and row.cells[offset].upper() != letters:
                message = f"{row.cells[offset]!r} stands beside the columns of the plate"
                grid.faults.append(Place(table.name, row.line, "").error("row-length", row.cells[offset], message))
    return grid


def _title(table: RawTable, start: int, corner: int) -> tuple[str, int, str]:
    """Return what a drawing shows, the line that says so, and the plate that it is of, if it says one."""
    row = table.rows[start]
    title, line, plate = row.cells[corner].strip(), row.line, ""
    if title.casefold() in _CORNERS:
        title = ""
    for above in reversed(table.rows[max(0, start - 3) : start]):
        words = [cell for cell in above.cells if cell]
        letters = above.cells[corner] if corner < len(above.cells) else ""
        if above.line < row.line - 3 or len(words) > 2 or _row_number(letters) is not None:
            break
        if found := _PLATE.fullmatch(": ".join(words)):
            plate = (found[1] or found[2]).strip()
        elif len(words) == 1 and not title:
            title, line = words[0], above.line
    if not title and table.title and not _DEFAULT_TITLES.fullmatch(table.title):
        title = table.title
    return title, line, plate


def _sheet(table: RawTable, plate: str, grids: list[_Grid]) -> Sheet:
    headers: list[str] = []
    for grid in grids:
        if not grid.title:
            message = "nothing says what this drawing of the plate shows; write compound, concentration … above it"
            grid.faults.append(Place(table.name, grid.line, "").error("no-header", "", message))
        headers.append(grid.title or f"line {grid.line}")
    wells = dict.fromkeys(well for grid in grids for well in grid.squares)
    rows = []
    for letters, number in wells:
        cells, odd, places = [f"{letters}{number}"], dict(NOTHING_ODD), {}
        for position, (grid, header) in enumerate(zip(grids, headers, strict=True), start=1):
            text, place, strange = grid.squares.get((letters, number), ("", None, None))
            cells.append(text)
            if place is not None:
                places[position] = place._replace(column=f"{header}, column {number}")
                places.setdefault(0, places[position])
            if strange is not None:
                odd[position] = strange
        rows.append(SheetRow(places[0].row, tuple(cells), odd, places))
    return Sheet(
        name=table.name,
        headers=("well", *headers),
        rows=tuple(rows),
        header_line=grids[0].line,
        warnings=table.warnings,
        stem=table.stem,
        title=table.title if known_column(table.title or "-") is None else "",
        plates=(plate,) if plate else (),
        faults=tuple(fault for grid in grids for fault in grid.faults),
        drawn=True,
    )
