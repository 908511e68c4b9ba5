"""cytolake: data lake and feature store for high-content imaging.

``cytolake.open_lake(PATH)`` is the way in. Nothing is imported before it is asked for: the command line answers
``--help`` within a fraction of a second, and pytest may meet this file under the checkout's folder name without
loading a second copy of the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import CytolakeError as CytolakeError
    from .lake import Lake as Lake
    from .lake import init_lake as init_lake
    from .lake import inspect as inspect
    from .lake import open_lake as open_lake

__version__ = "0.1.0"
__all__ = ["CytolakeError", "Lake", "__version__", "init_lake", "inspect", "open_lake"]

_WHERE = {
    "CytolakeError": "errors",
    "Lake": "lake",
    "init_lake": "lake",
    "inspect": "lake",
    "open_lake": "lake",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
