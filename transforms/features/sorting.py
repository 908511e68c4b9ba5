"""Sorting by radix: linear in the number of values, which are a field's pixels or an object's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only

FloatArray = NDArray[np.float64]
#: Moves per value, on average, after which values that leading bits do not tell apart are sorted by comparisons.
_MOST_MOVES = 8


@kernel
def sort_by_key(items: NDArray[np.uint64]) -> None:
    """Sort the first row of items by their upper 32 bits, equal ones staying as they are.

    Parameters
    ----------
    items : uint64 (2, m)
        The second row is room.
    """
    m = items.shape[1]
    counts = np.zeros((4, 256), np.int64)
    for i in range(m):
        for digit in range(4):
            counts[digit, (items[0, i] >> np.uint64(32 + 8 * digit)) & np.uint64(255)] += 1
    source, target = items[0], items[1]
    for digit in range(4):
        shift = np.uint64(32 + 8 * digit)
        starts = counts[digit]
        at = 0
        for value in range(256):
            count = starts[value]
            starts[value] = at
            at += count
        for i in range(m):
            value = (source[i] >> shift) & np.uint64(255)
            target[starts[value]] = source[i]
            starts[value] += 1
        source, target = target, source


def ascending(values: FloatArray) -> NDArray[np.int64]:
    """Give an order of positive numbers, as ``argsort`` does: bits of positive floats rise with their value."""
    items = np.empty((2, len(values)), np.uint64)
    items[0] = values.astype(np.float32).view(np.uint32)
    items[0] <<= np.uint64(32)
    items[0] |= np.arange(len(values), dtype=np.uint64)
    sort_by_key(items)
    order: NDArray[np.int64] = (items[0] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    if not _settle(order, read_only(values)):
        order = np.argsort(values)
    return order


@kernel
def _settle(order: NDArray[np.int64], values: FloatArray) -> bool:
    """Finish an order that is almost right, by insertion; False if it is not."""
    moves = 0
    for i in range(1, len(order)):
        place, value = order[i], values[order[i]]
        at = i
        while at > 0 and values[order[at - 1]] > value:
            order[at] = order[at - 1]
            at -= 1
            moves += 1
        order[at] = place
        if moves > _MOST_MOVES * len(order):
            return False
    return True
