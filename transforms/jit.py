"""How the package compiles its CPU kernels: one decorator, so that every kernel is compiled alike.

Kernels are compiled by Numba at their first call and kept on disk; they let go of the interpreter lock, so threads may
run them side by side. Call them with read-only views of their inputs (:func:`read_only`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Floating-point sums may then be taken in any order, which lets them vectorise. Sums of whole numbers below 2^53 are
# exact in every order.
_ANY_ORDER = {"reassoc", "contract", "nsz"}


def kernel(function: _Function) -> _Function:
    """Compile a function; its body is limited to what Numba's nopython mode knows."""
    compiled: _Function = njit(cache=True, nogil=True)(function)
    return compiled


def summing_kernel(function: _Function) -> _Function:
    """Compile a function whose floating-point sums may be taken in any order."""
    compiled: _Function = njit(cache=True, nogil=True, fastmath=_ANY_ORDER)(function)
    return compiled


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Give a view that cannot be written.

    Numba compiles a function anew for writable and for read-only arrays. Handing every kernel read-only views of its
    inputs means one compilation, wherever an array came from.
    """
    view = array.view()
    view.flags.writeable = False
    return view
