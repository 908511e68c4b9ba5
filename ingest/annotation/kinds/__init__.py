"""The kinds of sheets that are understood, one module each, in the order in which they are asked.

A kind recognises a table by what stands in it and says what it contributes: rows of wells, facts of reagents that rows
name, which plates were made from which map, or facts of the whole study. A new kind is a module with a class that has
:class:`~.base.SheetKind`'s two methods, and a line in :data:`KINDS`.
"""

from __future__ import annotations

from .barcodes import BarcodeMap
from .base import Contribution, SheetKind
from .grid import PlateGrid
from .idr import IdrLibrary
from .idr_study import IdrStudy
from .long import LongTable
from .mihcsme import Mihcsme
from .reagents import ReagentTable

__all__ = ["KINDS", "Contribution", "SheetKind"]

#: The last one takes whatever the others leave.
KINDS: tuple[SheetKind, ...] = (
    Mihcsme(),
    BarcodeMap(),
    PlateGrid(),
    IdrStudy(),
    IdrLibrary(),
    ReagentTable(),
    LongTable(),
)
