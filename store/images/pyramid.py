"""The next level of a pyramid: means for pixels, nearest for labels.

The mean of a 2 × 2 block is exact and rounded half up: ``floor((a + b + c + d + 2) / 4)`` for integers, the float32
sum times 0.25 for floats. Where a side is odd the last block has only the pixels that exist, which is the same as
repeating them. Level n + 1 is made from level n. Numba is imported at the first call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def halve(planes: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the 2 × 2 means of ``planes`` (n, y, x) into ``out`` (n, ⌈y/2⌉, ⌈x/2⌉) of the same dtype."""
    _kernels()[planes.dtype.kind](planes, out)


def nearest(labels: NDArray[Any]) -> NDArray[Any]:
    """Every second pixel of the last two axes, from the first: (…, y, x) → (…, ⌈y/2⌉, ⌈x/2⌉), a view."""
    return labels[..., ::2, ::2]


@cache
def _kernels() -> dict[str, Callable[[NDArray[Any], NDArray[Any]], None]]:
    import numba

    @numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
    def integers(planes: NDArray[Any], out: NDArray[Any]) -> None:
        n, height, width = planes.shape
        for p in range(n):
            for y in range(out.shape[1]):
                above = 2 * y
                below = min(above + 1, height - 1)
                for x in range(width // 2):
                    total = (
                        np.uint64(planes[p, above, 2 * x])
                        + np.uint64(planes[p, above, 2 * x + 1])
                        + np.uint64(planes[p, below, 2 * x])
                        + np.uint64(planes[p, below, 2 * x + 1])
                    )
                    out[p, y, x] = (total + np.uint64(2)) >> np.uint64(2)
                if width % 2:
                    total = np.uint64(planes[p, above, width - 1]) + np.uint64(planes[p, below, width - 1])
                    out[p, y, width // 2] = (total + np.uint64(1)) >> np.uint64(1)

    @numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
    def floats(planes: NDArray[Any], out: NDArray[Any]) -> None:
        n, height, width = planes.shape
        for p in range(n):
            for y in range(out.shape[1]):
                above = 2 * y
                below = min(above + 1, height - 1)
                for x in range(out.shape[2]):
                    right = min(2 * x + 1, width - 1)
                    out[p, y, x] = np.float32(0.25) * (
                        planes[p, above, 2 * x]
                        + planes[p, above, right]
                        + planes[p, below, 2 * x]
                        + planes[p, below, right]
                    )

    return {"u": integers, "f": floats}
