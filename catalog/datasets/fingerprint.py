"""What a data set *is*, as one hash: names, types and values of columns in order, whatever file they are written to.

Each column of each split has a SHA-256 of its own over its values in the order of rows, in one form: numbers little
endian; -0 as 0; NULL and NaN of a float as the same NaN; of other columns a byte per row that says whether there is a
value; texts as UTF-8 with their lengths. Nothing of it depends on a library, on compression, or on how rows are cut
into pieces. The logical hash is the SHA-256 over these, as JSON with sorted keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORM = "cytolake-dataset/1"
_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(29)


def logical_type(kind: pa.DataType, where: str) -> str:
    """Return how a type is called in the hash and in the card.

    Raises
    ------
    InvalidDataError
        A column of this type cannot be in a data set. ``where`` says which.
    """
    if pa.types.is_floating(kind):
        return "float32" if kind in (pa.float32(), pa.float16()) else "float64"
    if pa.types.is_decimal(kind):
        return "float64"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int64"
    if pa.types.is_temporal(kind):
        return "timestamp" if pa.types.is_timestamp(kind) else "string"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return "string"
    raise InvalidDataError(
        f"{where} holds values of type {kind}, which a data set cannot have", hint="take one text or number out of it"
    )


def arrow_type(logical: str) -> pa.DataType:
    """Return the type that a column is stored with."""
    if logical == "timestamp":
        return pa.timestamp("us", tz="UTC")
    kinds: dict[str, pa.DataType] = {
        "float32": pa.float32(),
        "float64": pa.float64(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
    }
    return kinds.get(logical, pa.string())


def canonical(block: NDArray[Any]) -> NDArray[Any]:
    """Give floats their one form, in place: one NaN, no negative zero."""
    block += 0.0
    block[np.isnan(block)] = np.nan
    return block


class ColumnHash:
    """The SHA-256 of one column, fed in pieces."""

    def __init__(self) -> None:
        self._values = hashlib.sha256()
        self._valid = hashlib.sha256()
        self._lengths = hashlib.sha256()

    def floats(self, values: NDArray[Any]) -> None:
        """Take the next values, which are canonical and contiguous."""
        self._values.update(values.data)

    def array(self, values: pa.Array[Any]) -> None:
        """Take the next values of another type."""
        if pa.types.is_floating(values.type):
            numbers = values.to_numpy(zero_copy_only=False)
            self.floats(np.ascontiguousarray(canonical(np.array(numbers))))
            return
        self._valid.update(np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=np.uint8).tobytes())
        if pa.types.is_string(values.type):
            known: Any = values
            filled: Any = pc.fill_null(known, "")
            _, offsets, data = filled.buffers()
            at = np.frombuffer(offsets, dtype=np.int32)[filled.offset : filled.offset + len(filled) + 1]
            self._lengths.update(np.diff(at).astype("<i8").tobytes())
            if data is not None:
                self._values.update(memoryview(data)[at[0] : at[-1]])
            return
        kind = pa.int64()
        numbered: Any = values.cast(kind) if values.type != kind else values
        as_numbers: Any = pc.fill_null(numbered, 0)
        self._values.update(np.asarray(as_numbers.to_numpy(zero_copy_only=False), dtype="<i8").tobytes())

    def hexdigest(self) -> str:
        """Return the hash of what was taken so far."""
        parts = (self._values, self._valid, self._lengths)
        return hashlib.sha256(b"".join(one.digest() for one in parts)).hexdigest()


def logical_hash(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the hash of a data set.

    Parameters
    ----------
    splits
        Split → ``rows``, and ``columns``: name, type and hash of each, in order.
    """
    content = [[name, one["rows"], [list(column) for column in one["columns"]]] for name, one in splits.items()]
    data = json.dumps([_FORM, content], ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(data.encode()).hexdigest()


def _salt(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def row_digests(
    names: Sequence[str], block: NDArray[Any], others: Mapping[str, pa.Array[Any]], rows: int
) -> NDArray[np.uint64]:
    """Return a number of 64 bits for each row, by which a changed one is found (not a cryptographic hash).

    Parameters
    ----------
    names, block
        The features and their canonical values, of shape (features, rows).
    others
        Name → values of other columns.
    """
    found = np.zeros(rows, dtype=np.uint64)
    for name, values in zip(names, block, strict=True):
        bits = values.view(np.uint32).astype(np.uint64) if values.dtype.itemsize == 4 else values.view(np.uint64)
        found += _mixed(bits, name)
    for name, array in others.items():
        if pa.types.is_floating(array.type):
            numbers = canonical(np.array(array.to_numpy(zero_copy_only=False), dtype=np.float64))
            found += _mixed(numbers.view(np.uint64), name)
            continue
        encoded: Any = array.dictionary_encode()
        known = [_salt(json.dumps(value, default=str)) for value in encoded.dictionary.to_pylist()]
        table = np.array([_ODD, *known], dtype=np.uint64)
        at: Any = pc.fill_null(encoded.indices, -1)
        found += _mixed(table[np.asarray(at.to_numpy(zero_copy_only=False)) + 1], name)
    return found


def _mixed(bits: NDArray[np.uint64], name: str) -> NDArray[np.uint64]:
    """Return well mixed bits (the multiplications of SplitMix64), another for each column."""
    mixed = (bits ^ _salt(name)) * _ODD
    mixed ^= mixed >> _SHIFT
    mixed *= _MIX
    return mixed ^ (mixed >> _SHIFT)
