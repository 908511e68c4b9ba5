"""How the lakes of older versions become lakes of this one.

Each step is a frozen module ``from_<N>_to_<N+1>`` with a function ``migrate(storage)`` that may be run again after an
interruption; once released it is never edited. There is none yet: format 1 is the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..storage import Storage

#: The lake format that this version of cytolake writes.
FORMAT_VERSION = 1

#: format version → what turns a lake of it into one of the next version
STEPS: Mapping[int, Callable[[Storage], None]] = {}
