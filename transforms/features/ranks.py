"""Dense ranks: 0 for the smallest value, 1 for the next, whatever the number of pixels that share each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from .sorting import sort_by_key

Int32Array = NDArray[np.int32]


@kernel
def ranks_by_bits(keys: NDArray[np.uint32], words: NDArray[np.uint64], ranks: Int32Array) -> int:
    """Rank keys below 65,536 by a bit for each that occurs; give the number of ranks.

    Parameters
    ----------
    words : uint64 (1024,)
        Zeros; they are zeros again in the end.
    """
    low, high = np.uint32(0xFFFFFFFF), np.uint32(0)
    for i in range(len(keys)):
        low, high = min(low, keys[i]), max(high, keys[i])
        words[keys[i] >> 6] |= np.uint64(1) << np.uint64(keys[i] & 63)
    first, last = low >> 6, high >> 6
    below = np.empty(1024, np.int32)
    levels = np.int64(0)
    for word in range(first, last + 1):
        below[word] = levels
        levels += _bits(words[word])
    for i in range(len(keys)):
        word = keys[i] >> 6
        ranks[i] = below[word] + _bits(words[word] & ((np.uint64(1) << np.uint64(keys[i] & 63)) - np.uint64(1)))
    words[first : last + 1] = 0
    return int(levels)


@kernel
def _bits(word: np.uint64) -> np.int64:
    """Count the bits; LLVM knows this pattern as one instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def ranks_by_sorting(keys: NDArray[np.uint32], items: NDArray[np.uint64], ranks: Int32Array) -> int:
    """Rank keys of 32 bits by a radix sort; give the number of ranks.

    Parameters
    ----------
    items : uint64 (2, m)
        Room.
    """
    m = len(keys)
    for i in range(m):
        items[0, i] = (np.uint64(keys[i]) << np.uint64(32)) | np.uint64(i)
    sort_by_key(items)
    rank = 0
    for i in range(m):
        if i and items[0, i] >> np.uint64(32) != items[0, i - 1] >> np.uint64(32):
            rank += 1
        ranks[items[0, i] & np.uint64(0xFFFFFFFF)] = rank
    return rank + 1


def ranks_in_set(plane: NDArray[Any], pixels: NDArray[np.int32], ranks: NDArray[Any]) -> int:
    """Rank a channel's pixels among all objects of a set, into an image; give the number of ranks.

    Parameters
    ----------
    plane, ranks : (y, x)
    pixels : int32 (m,)
        Flat positions of the set's pixels.
    """
    values = plane.ravel()[pixels]
    if plane.dtype.kind == "f":
        found, ranked = np.unique(values, return_inverse=True)
        ranks.ravel()[pixels] = ranked
        return len(found)
    occurs = np.bincount(values, minlength=1) > 0
    ranks.ravel()[pixels] = (np.cumsum(occurs) - 1)[values]
    return int(np.count_nonzero(occurs))
