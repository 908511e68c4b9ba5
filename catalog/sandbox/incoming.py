"""Rows that come from a process which may have been broken by what it was asked: taken apart with care.

What is small on the pipe may be large in memory: compressed buffers, values that many rows share, lists of nothing.
Each is refused, or counted as what it is written out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

#: Where a flat buffer of Arrow's keeps what: the header of a message, and of it the compression (``Message.fbs``).
_HEADER_OF_MESSAGE, _COMPRESSION_OF_BATCH = 2, 3
#: A value or a list takes this much, even where Arrow keeps nothing for it.
_LEAST = 1
_SHARING = (
    pa.types.is_run_end_encoded,
    pa.types.is_string_view,
    pa.types.is_binary_view,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)


def batches(stream: bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema of an Arrow stream and its batches, each validated.

    Raises
    ------
    ValueError
        It has what DuckDB does not send.
    pyarrow.ArrowException, OSError, struct.error
        It is broken.
    """
    for message in pa.ipc.MessageReader.open_stream(stream):
        if message.type in {"record batch", "dictionary"} and _is_compressed(message):
            raise ValueError("compressed rows")
    reader = pa.ipc.open_stream(stream)
    for kind in reader.schema.types:
        _check(kind)
    return reader.schema, _validated(reader)


def _validated(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        batch.validate(full=True)
        yield batch


def weight(column: Any) -> int:
    """Return the bytes that a column, an Arrow array, takes with every value written out."""
    kind = column.type
    own: int = len(column) * _LEAST
    if isinstance(column, pa.ExtensionArray):
        return weight(column.storage)
    if isinstance(column, pa.DictionaryArray):
        texts: Any = column.dictionary
        lengths: Any = pc.binary_length(texts).take(column.indices)
        return own + (pc.sum(lengths).as_py() or 0)
    if pa.types.is_struct(kind):
        return own + sum(weight(one) for one in column.flatten())
    if pa.types.is_union(kind):
        return own + sum(weight(column.field(place)) for place in range(kind.num_fields))
    if pa.types.is_map(kind):
        return own + weight(column.keys) + weight(column.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return own + weight(column.flatten())
    return max(own, int(column.nbytes))


def _check(kind: pa.DataType) -> None:
    """Refuse types whose values may lie on top of one another, and dictionaries of more than texts."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if any(is_such(kind) for is_such in _SHARING):
        raise ValueError(f"a column of {kind}")
    if pa.types.is_dictionary(kind) and not pa.types.is_string(kind.value_type):
        raise ValueError(f"a dictionary of {kind.value_type}")
    for place in range(kind.num_fields):
        _check(kind.field(place).type)


def _is_compressed(message: pa.Message) -> bool:
    data = bytes(message.metadata)
    (root,) = struct.unpack_from("<I", data)
    slot = _slot(data, root, _HEADER_OF_MESSAGE)
    if slot is None:
        raise ValueError("a message without a header")
    batch = slot + struct.unpack_from("<I", data, slot)[0]
    if message.type == "dictionary":  # its second field is a batch
        inner = _slot(data, batch, 1)
        if inner is None:
            raise ValueError("a dictionary without values")
        batch = inner + struct.unpack_from("<I", data, inner)[0]
    return _slot(data, batch, _COMPRESSION_OF_BATCH) is not None


def _slot(data: bytes, table: int, number: int) -> int | None:
    """Return where a field of a flat buffer's table lies, None where it is not given."""
    directory = table - struct.unpack_from("<i", data, table)[0]
    (size,) = struct.unpack_from("<H", data, directory)
    place = 4 + 2 * number
    if place >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, directory + place)
    return table + offset if offset else None
