"""Sheets put together: facts of reagents to the wells that name them, plate maps to the plates made from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ...wording import did_you_mean, listed
from .cells import is_nothing
from .columns import Column, known_column
from .gather import Gathered, map_names
from .kinds.base import PlateOfMap
from .kinds.reagents import KEYS
from .plates import PlateFinder
from .result import RowError
from .sheet import Place, Sheet, SheetRow
from .slots import fold
from .table import Oddity

#: Names of which near ones are looked for, and the most that they are looked for among.
_MOST_HINTS = 20
_MANY = 20_000
_SHOWN = 5


@dataclass(slots=True)
class Joined:
    """Sheets of wells, ready to be read, and what was said and found wrong on the way."""

    sheets: list[Sheet] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: Plate -> name of the map that it was made from.
    maps: dict[str, str] = field(default_factory=dict)
    #: Tables of reagents by their keys, made once for all sheets.
    indexes: dict[tuple[int, int], _Index] = field(default_factory=dict)


def join(gathered: Gathered, plates: PlateFinder, plate_id: str | None) -> Joined:
    """Put the tables of some files together."""
    joined = Joined(list(gathered.wells), list(gathered.errors), list(gathered.warnings))
    for sheet in (*gathered.wells, *gathered.reagents):
        joined.warnings += sheet.warnings
    if gathered.barcodes:
        joined.sheets = _assign(joined, gathered.barcodes, plates, plate_id)
    if gathered.reagents:
        for reagents in gathered.reagents:
            joined.errors += reagents.faults
            joined.errors += reagents.uneven_errors()
        joined.sheets = [_with_facts(joined, sheet, gathered.reagents) for sheet in joined.sheets]
    return joined


# --- plates of maps


def _assign(joined: Joined, barcodes: Sequence[PlateOfMap], plates: PlateFinder, plate_id: str | None) -> list[Sheet]:
    """Give every plate map the plates that were made from it; only those of ``plate_id``, if it is given."""
    mine = {}
    absent = []
    for one in barcodes:
        found = [p.plate_id for p in plates.find(one.barcode) if plate_id in (None, p.plate_id)]
        if found:
            mine[one.barcode] = found
        else:
            absent.append(one.barcode)
    file = barcodes[0].place.file
    if not mine:
        place = barcodes[0].place
        wanted = plate_id or f"{barcodes[0].barcode!r} or any other plate of the {len(barcodes)} there"
        what = f"no row is about plate {plate_id!r}" if plate_id else f"the study has no plate {wanted}"
        if plate_id is None:
            what += f"; its plates are {listed([p.plate_id for p in plates.plates], _SHOWN)}"
        joined.errors.append(place.error("unknown-plate", barcodes[0].barcode, what))
        return []
    if absent and plate_id is None:
        joined.warnings.append(f"{file}: {len(absent)} plates are not in the study: {listed(absent, _SHOWN)}")
    silent = [p.plate_id for p in plates.plates if not any(p.plate_id in found for found in mine.values())]
    if silent and plate_id is None:
        joined.warnings.append(f"{file}: no row is about {listed(silent, _SHOWN)}, which the study has")
    by_map: dict[str, list[Sheet]] = {}
    sheets = []
    by_themselves = set()  # maps of one plate, whose rows name it
    for sheet in joined.sheets:
        parts = _parts(sheet, {one.plate_map for one in barcodes})
        if parts is None:
            sheets.append(sheet)
            by_themselves.add(sheet.stem)
            continue
        for name, part in parts.items():
            by_map.setdefault(name, []).append(part)
    for name, parts_of in by_map.items():
        made = [b.barcode for b in barcodes if b.plate_map == name]
        here = [p for barcode in made for p in mine.get(barcode, ())]
        if not made:
            message = (
                f"no plate of {file} has the plate map {name!r}{did_you_mean(name, [b.plate_map for b in barcodes])}"
            )
            joined.warnings.append(f"{parts_of[0].name} is not used: {message}")
        sheets += [replace(part, plates=tuple(here)) for part in parts_of if here]
    for one in barcodes:
        if one.barcode in mine:
            joined.maps |= dict.fromkeys(mine[one.barcode], one.plate_map)
            if one.plate_map not in by_map and one.plate_map not in by_themselves:
                near = did_you_mean(one.plate_map, by_map)
                message = f"there is no plate map {one.plate_map!r} among the files{near}; name its file too"
                joined.errors.append(one.place.error("unknown-map", one.plate_map, message))
    return sheets


def _parts(sheet: Sheet, known: set[str]) -> dict[str, Sheet] | None:
    """Return the rows of a sheet by the map that they are of; None for a sheet whose rows name their plates."""
    if any((c := known_column(header)) and c.slot.name == "plate" for header in sheet.headers) or sheet.plates:
        return None
    names = map_names(sheet)
    if len(names) > 1:
        at = next(i for i, header in enumerate(sheet.headers) if fold(header) == "platemapname")
        return {n: replace(sheet, rows=tuple(r for r in sheet.rows if r.cells[at] == n)) for n in sorted(names)}
    for name in (*names, sheet.title, sheet.stem):
        if name in known:
            return {name: sheet}
    # Files that travel are often renamed, with their folders in front.
    endings = [n for n in known if sheet.stem.endswith(n) and not sheet.stem[: -len(n)][-1:].isalnum()]
    return {max(endings, key=len) if endings else (*names, sheet.stem)[0]: sheet}


# --- facts of reagents


@dataclass(slots=True)
class _Index:
    """The rows of a table of reagents by their key; those of one key that differ are kept apart, to be told."""

    sheet: Sheet
    column: int
    rows: dict[str, SheetRow] = field(default_factory=dict)
    twice: dict[str, SheetRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.sheet.rows:
            key = _key(row.cells[self.column])
            first = self.rows.setdefault(key, row)
            if first.cells != row.cells:
                self.twice.setdefault(key, row)


def _key(text: str) -> str:
    return "" if is_nothing(text) else text


def _with_facts(joined: Joined, sheet: Sheet, tables: Sequence[Sheet]) -> Sheet:
    """Add the facts of the reagents that the rows of a sheet name."""
    matched: set[str] = set()
    key: int | None = None
    known: dict[str, None] = {}
    for reagents in tables:
        pair = _key_columns(sheet, reagents)
        if pair is None:
            continue
        key = pair[0]
        if (id(reagents), pair[1]) not in joined.indexes:
            joined.indexes[id(reagents), pair[1]] = _Index(reagents, pair[1])
        index = joined.indexes[id(reagents), pair[1]]
        used = {_key(row.cells[key]) for row in sheet.rows} & index.rows.keys()
        known |= dict.fromkeys(index.rows)
        if used - {""}:
            matched |= used
            sheet = _add_columns(sheet, key, index)
    if key is None:
        return sheet
    if not matched:
        names = ", ".join(table.name for table in tables)
        joined.warnings.append(f"{sheet.name}: none of its reagents is in {names}")
        return sheet
    unknown = {name for row in sheet.rows if (name := _key(row.cells[key])) and name not in matched}
    return _with_unknown(sheet, key, unknown, known) if unknown else sheet


def _with_unknown(sheet: Sheet, key: int, unknown: Collection[str], known: Collection[str]) -> Sheet:
    """Mark the cells that name a reagent of which no table has facts."""
    near = {name: did_you_mean(name, known) for name in sorted(unknown)[:_MOST_HINTS]} if len(known) < _MANY else {}
    rows = []
    for row in sheet.rows:
        name = _key(row.cells[key])
        if name in unknown:
            message = f"{name!r} is not among the reagents that were named{near.get(name, '')}"
            row = replace(row, odd={**row.odd, key: Oddity("unknown-reagent", message)})
        rows.append(row)
    return replace(sheet, rows=tuple(rows))


def _key_columns(sheet: Sheet, reagents: Sheet) -> tuple[int, int] | None:
    """Return the positions of the columns by which wells and reagents are joined; the same header is the best."""
    mine, theirs = _slots(sheet.headers), _slots(reagents.headers)
    for slot in KEYS:
        here = [c for c in mine if c.slot.name == slot and c.number == 1]
        there = [c for c in theirs if c.slot.name == slot and c.number == 1]
        for one in here:
            for other in there:
                if fold(one.header) == fold(other.header):
                    return one.position, other.position
        if here and there:
            return here[0].position, there[0].position
    return None


def _slots(headers: Iterable[str]) -> list[Column]:
    return [c for i, header in enumerate(headers) if header and (c := known_column(header, i)) is not None]


def _add_columns(sheet: Sheet, key: int, index: _Index) -> Sheet:
    """Add or fill the columns of a table of reagents in the sheet whose rows name them."""
    reagents = index.sheet
    targets: list[tuple[int, int]] = []
    headers = list(sheet.headers)
    mine = {(c.slot.name, c.number): c.position for c in reversed(_slots(headers))}
    for position, header in enumerate(reagents.headers):
        if position == index.column or not header:
            continue
        column = known_column(header, position)
        named = None if column is None or column.weak else mine.get((column.slot.name, column.number))
        if named is None and header in headers:
            named = headers.index(header)
        if named is None:
            named = len(headers)
            headers.append(header)
        targets.append((position, named))
    rows = [_filled(sheet, row, index, key, targets, len(headers)) for row in sheet.rows]
    return replace(sheet, headers=tuple(headers), rows=tuple(rows))


def _filled(
    sheet: Sheet, row: SheetRow, index: _Index, key: int, targets: Sequence[tuple[int, int]], width: int
) -> SheetRow:
    """Return a row with the facts of its reagent; what contradicts is marked, at the place where the reagent stands."""
    cells = [*row.cells, *([""] * (width - len(row.cells)))]
    name = _key(cells[key])
    found = index.rows.get(name)
    if found is None:
        return replace(row, cells=tuple(cells))
    places: dict[int, Place] = dict(row.places)
    odd: dict[int, Oddity] = dict(row.odd)
    other = index.twice.get(name)
    if other is not None:
        places[key] = Place(index.sheet.name, other.line, index.sheet.headers[index.column])
        what = f"{name or 'the empty sample'} has other facts here than in row {found.line}"
        odd[key] = Oddity("conflict", what)
    for position, target in targets:
        text = found.cells[position]
        if is_nothing(text) or cells[target] == text:
            continue
        if not is_nothing(cells[target]):
            message = f"this says {text!r}, row {row.line} of {sheet.name} says {cells[target]!r}"
            odd[target] = Oddity("conflict", message)
        else:
            cells[target] = text
            if position in found.odd:
                odd[target] = found.odd[position]
        places[target] = Place(index.sheet.name, found.line, index.sheet.headers[position])
    return replace(row, cells=tuple(cells), places=places, odd=odd or row.odd)
