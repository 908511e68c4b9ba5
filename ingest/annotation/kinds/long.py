"""One row per well, whatever else it says: the plate map that most people have."""

from __future__ import annotations

from dataclasses import replace

from ..sheet import with_header
from ..table import RawTable
from .base import Contribution, header_row


class LongTable:
    """A table with a header and a row per well; takes every table that no other kind claims."""

    name = "plate map"

    def claims(self, table: RawTable) -> bool:
        """Whatever is left."""
        return True

    def read(self, table: RawTable) -> Contribution:
        """Take the first row that names a well, or else the first row, for the header."""
        at = header_row(table)
        sheet = with_header(table, at)
        above = [row for row in table.rows[:at] if not row.cells[0].startswith("#")]
        if above:
            lines = ", ".join(str(row.line) for row in above[:5])
            sheet = replace(
                sheet, warnings=(*sheet.warnings, f"{table.name}: line {lines} above the header is not read")
            )
        return Contribution(wells=(sheet,))
