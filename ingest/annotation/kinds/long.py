"""One row per well, whatever else it says: the plate map that most people have."""

from __future__ import annotations

from ..table import RawTable
from .base import Contribution, headed


class LongTable:
    """A table with a header and a row per well; takes every table that no other kind claims."""

    name = "plate map"

    def claims(self, table: RawTable) -> bool:
        """Whatever is left."""
        return True

    def read(self, table: RawTable) -> Contribution:
        """Take the first row that names a well, or else the first row, for the header."""
        return Contribution(wells=(headed(table),))
