"""``barcode_platemap.csv`` of the Cell Painting gallery: which plates were made from which plate map."""

from __future__ import annotations

from ..result import RowError
from ..sheet import Place
from ..slots import fold
from ..table import RawTable
from .base import Contribution, PlateOfMap, headed, header_row, slots_of

_MAPS = frozenset({"platemapname", "platemap", "platemapid", "layout", "layoutname"})


class BarcodeMap:
    """A table of plates and the names of their maps, without wells."""

    name = "barcode map"

    def claims(self, table: RawTable) -> bool:
        """Whether there is a column of plates and one of plate maps, and none of wells."""
        headers = table.rows[header_row(table)].cells if table.rows else ()
        slots = slots_of(headers)
        return "plate" in slots and not slots & {"well", "row"} and any(fold(header) in _MAPS for header in headers)

    def read(self, table: RawTable) -> Contribution:
        """List the plates."""
        sheet = headed(table)
        plate = next(i for i, header in enumerate(sheet.headers) if "plate" in slots_of((header,)))
        mapped = next(i for i, header in enumerate(sheet.headers) if fold(header) in _MAPS)
        found: list[PlateOfMap] = []
        errors: list[RowError] = []
        seen: dict[str, PlateOfMap] = {}
        for row in sheet.rows:
            place = Place(sheet.name, row.line, sheet.headers[mapped])
            one = PlateOfMap(row.cells[plate], row.cells[mapped], place)
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
