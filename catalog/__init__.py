"""Questions: SQL over every table of a lake, answered from the few files that matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .query import Catalog as Catalog
    from .result import Result as Result
    from .result import TableScan as TableScan

__all__ = ["Catalog", "Result", "TableScan"]

_WHERE = {"Catalog": "query", "Result": "result", "TableScan": "result"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
