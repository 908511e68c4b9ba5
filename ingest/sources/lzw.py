"""LZW as TIFF has it, decoded so that damaged data are an error and never reach beyond a buffer.

Decoders in C trust the codes that they read: one that points behind the table took the process, and a whole ingest,
down with it. Every code is checked here. A string of the table is a place in what is decoded already, because each
is the string before it and one byte more, and these lie side by side there (TIFF 6.0, section 13).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CLEAR, _END, _FIRST_FREE = 256, 257, 258
_MOST_CODES = 4096
_DAMAGED, _OLD = -1, -2


def lzw_decode(data: bytes | memoryview, *, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode one strip or tile.

    Parameters
    ----------
    data
        What is stored: codes of 9 to 12 bits, the most significant bit first.
    out
        Where to put the bytes, one axis; decoding ends when it is full.

    Returns
    -------
    numpy.ndarray
        The part of ``out`` that was filled.

    Raises
    ------
    ValueError
        The data are no LZW: a code is not in the table yet, or the stream does not begin as one does.
    """
    filled = _kernel()(np.frombuffer(data, np.uint8), out)
    if filled == _OLD:
        raise ValueError("LZW with the least significant bit first, as before TIFF 5.0, is not read")
    if filled < 0:
        raise ValueError("damaged LZW data: a code that is not in its table")
    return out[:filled]


@cache
def _kernel() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], int]:
    import numba

    @numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
    def decode(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> Any:
        start = np.empty(_MOST_CODES, np.int64)
        length = np.empty(_MOST_CODES, np.int64)
        if data.size >= 2 and data[0] == 0 and data[1] & 1:
            return _OLD
        at, bits, held = 0, np.uint64(0), 0
        width, free = 9, _FIRST_FREE
        filled, before, before_length = 0, 0, 0
        while filled < out.size:
            while held < width:
                if at == data.size:
                    return filled
                bits = (bits << np.uint64(8)) | np.uint64(data[at])
                at += 1
                held += 8
            held -= width
            code = np.int64((bits >> np.uint64(held)) & np.uint64((1 << width) - 1))
            if code == _END:
                return filled
            if code == _CLEAR:
                width, free, before_length = 9, _FIRST_FREE, 0
                continue
            if code < _CLEAR:
                out[filled] = code
                size = 1
            elif before_length > 0 and code <= free:
                # The string that this very code adds is the one before and its own first byte, which follows it.
                source = start[code] if code < free else before
                size = length[code] if code < free else before_length + 1
                size = min(size, out.size - filled)
                for i in range(size):
                    out[filled + i] = out[source + i]
            else:
                return _DAMAGED
            # Some writers go on with a table that is full.
            if before_length > 0 and free < _MOST_CODES:
                start[free] = before
                length[free] = before_length + 1
                free += 1
                if free == (1 << width) - 1 and width < 12:
                    width += 1
            before, before_length = filled, size
            filled += size
        return filled

    return decode  # type: ignore[no-any-return]
