"""Arrow's arrays of text and whole numbers, made from their bytes.

``pyarrow.array`` and ``pyarrow.scalar`` import pandas, where it is installed, to find out whether they were given
part of a data frame. In a process that asks one question that takes as long as the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def array_of(values: Sequence[str] | Sequence[int], kind: pa.DataType) -> Any:
    """Return texts or whole numbers as an array of ``kind``.

    Raises
    ------
    pyarrow.ArrowInvalid, OverflowError
        A number does not fit.
    """
    if values and isinstance(values[0], str):
        data = [str(value).encode() for value in values]
        offsets: Any = np.cumsum([0, *map(len, data)], dtype=np.int64)
        buffers: list[Any] = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(data))]
        return pa.Array.from_buffers(pa.large_string(), len(data), buffers).cast(kind)
    numbers: Any = np.array(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)]).cast(kind)


def no_rows(schema: pa.Schema) -> pa.Table:
    """Return a table without rows, as ``Schema.empty_table`` does."""
    return pa.Table.from_batches([], schema=schema)


def all_true(rows: int) -> Any:
    """Return as many times True."""
    return pa.nulls(rows).is_null()


#: Scalars.
TRUE: Any = all_true(1)[0]
FALSE: Any = pa.nulls(1).is_valid()[0]
ZERO: Any = array_of([0], pa.int64())[0]
