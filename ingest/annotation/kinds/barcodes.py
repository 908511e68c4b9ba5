"""``barcode_platemap.csv`` of the Cell Painting gallery: which plates were made from which plate map."""

from __future__ import annotations

from ..files import is_sheet, stem_of
from ..result import RowError
from ..sheet import Place
from ..slots import fold
from ..table import RawTable
from .base import Contribution, PlateOfMap, headed, header_row, slots_of

_MAPS = frozenset({
    "platemapname", "platemap", "platemapid", "layout", "layoutname", "platemapfile", "platemapfilename", "layoutfile",
})  # fmt: skip
#: Names that say so only where files are named below them.
_FILES = frozenset({"filename", "file"})


def _mapped(table: RawTable, at: int) -> int | None:
    """Return the column that names plate maps, by their names or by their files."""
    folded = [fold(header) for header in table.rows[at].cells]
    named = next((i for i, header in enumerate(folded) if header in _MAPS), None)
    if named is not None:
        return named
    files = next((i for i, header in enumerate(folded) if header in _FILES), None)
    below = [row.cells[files] for row in table.rows[at + 1 :] if len(row.cells) > files] if files is not None else []
    return files if below and all(map(is_sheet, below)) else None


class BarcodeMap:
    """A table of plates and the names of their maps, without wells."""

    name = "barcode map"

    def claims(self, table: RawTable) -> bool:
        """Whether there is a column of plates and one of plate maps, and none of wells."""
        if not table.rows:
            return False
        at = header_row(table)
        slots = slots_of(table.rows[at].cells)
        return "plate" in slots and not slots & {"well", "row"} and _mapped(table, at) is not None

    def read(self, table: RawTable) -> Contribution:
        """List the plates."""
        sheet = headed(table)
        plate = next(i for i, header in enumerate(sheet.headers) if "plate" in slots_of((header,)))
        mapped = _mapped(table, header_row(table))
        assert mapped is not None  # claimed
        found: list[PlateOfMap] = []
        errors: list[RowError] = []
        seen: dict[str, PlateOfMap] = {}
        for row in sheet.rows:
            place = Place(sheet.name, row.line, sheet.headers[mapped])
            name = row.cells[mapped]
            one = PlateOfMap(row.cells[plate], stem_of(name) if is_sheet(name) else name, place)
            first = seen.setdefault(one.barcode, one)
            if not one.barcode or not one.plate_map:
                errors.append(place.error("missing", one.plate_map, "the plate or its map is empty"))
            elif first.plate_map != one.plate_map:
                message = (
                    f"plate {one.barcode} has map {one.plate_map} here and {first.plate_map} in row {first.place.row}"
                )
                errors.append(place.error("conflict", one.plate_map, message))
            elif first is one:
                found.append(one)
        errors += sheet.uneven_errors()
        return Contribution(barcodes=tuple(found), errors=tuple(errors), warnings=sheet.warnings)
