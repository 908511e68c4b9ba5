"""What every kind of sheet is: something that recognises a table, and says what it contributes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from ....wording import listed
from ..columns import known_column
from ..result import RowError
from ..sheet import Place, Sheet, with_header
from ..table import RawTable

_SHOWN = 5


class PlateOfMap(NamedTuple):
    """A plate (by barcode) that was made from a plate map (by name), and where that is said."""

    barcode: str
    plate_map: str
    place: Place


class Fact(NamedTuple):
    """A fact beyond the wells: which record (``study``, ``biosample``, ``plate``, ``acquisition``), slot and value."""

    record: str
    slot: str
    value: object
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What a table says.

    Attributes
    ----------
    wells
        Sheets with a row per well.
    reagents
        Sheets with a row per reagent, to be joined to the wells that name it.
    barcodes
        Which plates were made from which map.
    facts
        What is said of the study, its samples, plates and acquisitions.
    errors, warnings
        What is wrong with the table already, and what somebody should know.
    """

    wells: tuple[Sheet, ...] = ()
    reagents: tuple[Sheet, ...] = ()
    barcodes: tuple[PlateOfMap, ...] = ()
    facts: tuple[Fact, ...] = ()
    errors: tuple[RowError, ...] = ()
    warnings: tuple[str, ...] = field(default=())


class SheetKind(Protocol):
    """One kind of sheet."""

    name: str

    def claims(self, table: RawTable) -> bool:
        """Whether a table is of this kind, by what stands in it."""

    def read(self, table: RawTable) -> Contribution:
        """Say what the table contributes; what is wrong with it is told there, not raised."""


def header_row(table: RawTable) -> int:
    """Return which row of a table is its header, from 0.

    That is the first one that names a well, else the first of several cells; comments (``#``) are none.
    """
    rows = [i for i, row in enumerate(table.rows[:40]) if not row.cells[0].startswith("#")]
    if not rows:
        return 0
    for i in rows:
        slots = slots_of(table.rows[i].cells)
        if "well" in slots or {"row", "column"} <= slots:
            return i
    return next((i for i in rows if sum(map(bool, table.rows[i].cells)) > 1), rows[0])


def headed(table: RawTable) -> Sheet:
    """Take the header that :func:`header_row` finds; lines above it that are no comments are told."""
    at = header_row(table)
    sheet = with_header(table, at)
    above = [row.line for row in table.rows[:at] if not row.cells[0].startswith("#")]
    if not above:
        return sheet
    warning = f"{table.name}: line {listed(above, _SHOWN)} above the header is not read"
    return replace(sheet, warnings=(*sheet.warnings, warning))


def slots_of(headers: tuple[str, ...]) -> set[str]:
    """Return the names of the slots that headers fill."""
    return {column.slot.name for header in headers if header and (column := known_column(header)) is not None}
