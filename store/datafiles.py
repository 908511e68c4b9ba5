"""Parquet files of our Delta tables: how they are written, and what the log says about each.

A file's name ends in its schema fingerprint (``part-<random>-s<8 hex>.parquet``), so whoever holds the log can group
files by schema without opening one. Statistics go into the log for identity and key columns only: a feature file has
hundreds of columns and nobody prunes by them. Floats are never dictionary-encoded: on random float32 that made files
half as large again and scans three times as slow.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import InvalidDataError, StorageError
from ..schemas.identifiers import IDENTITY_COLUMNS
from .storage import storage_error

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction

    from .storage import Storage

#: (smallest, largest, number of NULLs); the bounds are None where every value is NULL
Entry = tuple[Any, Any, int]

_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_MARKED = re.compile(r"-s([0-9a-f]{8})\.parquet$")
#: Rows of a row group: DuckDB's vector batches; one row group is one thread's work there.
ROW_GROUP = 122_880


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One Parquet file of a table as the Delta log describes it.

    Attributes
    ----------
    path
        Relative to the table's folder, as on disk (not URL-encoded).
    rows, size
        Number of rows (None where the log does not say, in files of other writers), and of bytes.
    stats
        Bounds of the identity and key columns that are stored in the file.
    partition_values
        Partition column → value as text; these columns are not stored in the file.
    """

    path: str
    rows: int | None
    size: int
    stats: Mapping[str, Entry]
    partition_values: Mapping[str, str | None]

    @property
    def fingerprint(self) -> str | None:
        """Eight hex digits that name the file's columns and types; None for a file that others wrote."""
        return marked_fingerprint(self.path)

    def add_action(self, *, data_change: bool = True) -> AddAction:
        """Return the Delta action that makes this file part of its table.

        Without ``data_change`` its rows were in other files of the table before.
        """
        from deltalake.transaction import AddAction

        bounded = {name: entry for name, entry in self.stats.items() if entry[0] is not None}
        stats = {
            "numRecords": self.rows,
            "minValues": {name: low for name, (low, _, _) in bounded.items()},
            "maxValues": {name: high for name, (_, high, _) in bounded.items()},
            "nullCount": {name: nulls for name, (_, _, nulls) in self.stats.items()},
        }
        return AddAction(
            path=self.path,
            size=self.size,
            partition_values=self.partition_values,
            modification_time=int(time.time() * 1000),
            data_change=data_change,
            stats=json.dumps(stats),
        )

    def remove_action(self, *, data_change: bool = True) -> RemoveAction:
        """Return the Delta action that takes this file out of its table."""
        from deltalake.transaction import RemoveAction

        now = int(time.time() * 1000)
        return RemoveAction(self.path, data_change, now, self.size, dict(self.partition_values))

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes an equal object."""
        return {
            "path": self.path,
            "rows": self.rows,
            "size": self.size,
            "stats": {name: list(entry) for name, entry in self.stats.items()},
            "partition_values": dict(self.partition_values),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataFile:
        """Return the object that :meth:`to_json` described."""
        stats = {name: (low, high, nulls) for name, (low, high, nulls) in values["stats"].items()}
        return cls(**{**values, "stats": stats})


def table_path(table: str) -> str:
    """Return the folder of a table, relative to the lake root."""
    return f"tables/{table}"


def fingerprint(schema: pa.Schema) -> str:
    """Return eight hex digits that two schemas share when they have the same columns and types, in any order."""
    text = "\n".join(sorted(f"{field.name}\t{field.type}" for field in schema))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def marked_fingerprint(path: str) -> str | None:
    """Return the fingerprint that a file's name carries, if it is one of ours."""
    found = _MARKED.search(path)
    return found.group(1) if found else None


def statistics_columns(schema: pa.Schema, *, key: Iterable[str] = ()) -> list[str]:
    """Return the columns whose bounds go into the log: identity and ``key``, if text or integer."""
    wanted = {*IDENTITY_COLUMNS, *key}
    return [f.name for f in schema if f.name in wanted and (pa.types.is_string(f.type) or pa.types.is_integer(f.type))]


def write_rows(
    storage: Storage,
    table: str,
    rows: pa.Table,
    *,
    partition_by: Sequence[str] = ("study_id",),
    key: Iterable[str] = (),
) -> list[DataFile]:
    """Write rows as one file per combination of partition values; see :func:`write_data_file`."""
    parts = split_partitions(rows, partition_by)
    return [write_data_file(storage, table, part, partition_by=partition_by, key=key) for part in parts]


def write_data_file(
    storage: Storage,
    table: str,
    rows: pa.Table,
    *,
    partition_by: Sequence[str] = ("study_id",),
    key: Iterable[str] = (),
) -> DataFile:
    """Write rows of one partition as a Parquet file in the table's folder, synced; no reader sees it yet.

    Parameters
    ----------
    table
        Name of the table; it need not exist yet.
    rows
        All columns, the partition columns included; those hold one value each and are not stored.
    key
        Columns beside the identity columns whose bounds the log shall hold.

    Raises
    ------
    InvalidDataError
        There are no rows, or they belong to several partitions.
    StorageError
        The disk is full or not writable; nothing is left behind.
    """
    return write_data_batches(storage, table, rows.schema, [rows], partition_by=partition_by, key=key)


def write_data_batches(
    storage: Storage,
    table: str,
    schema: pa.Schema,
    batches: Iterable[pa.Table],
    *,
    partition_by: Sequence[str] = ("study_id",),
    key: Iterable[str] = (),
) -> DataFile:
    """Do the same with rows that come in batches, of which one at a time is in memory.

    Parameters
    ----------
    schema
        All columns, the partition columns included; every batch must have just these.
    """
    with DataFileWriter(storage, table, schema, partition_by=partition_by, key=key) as writer:
        for batch in batches:
            writer.write(batch)
        return writer.finish()


class DataFileWriter:
    """Do the same step by step, for rows of several partitions or plates that come mixed.

    Used as a context manager; leaving the block without :meth:`finish` removes what was written. Each
    :meth:`write` becomes at least one row group.
    """

    def __init__(
        self,
        storage: Storage,
        table: str,
        schema: pa.Schema,
        *,
        partition_by: Sequence[str] = ("study_id",),
        key: Iterable[str] = (),
    ) -> None:
        self._storage = storage
        self._table = table
        self._partition_by = tuple(partition_by)
        self._body = pa.schema([one for one in schema if one.name not in partition_by])
        self._bounded = statistics_columns(self._body, key=key)
        self._values: dict[str, str | None] = {}
        self._name = ""
        self._stats: dict[str, Entry] = {}
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def write(self, batch: pa.Table) -> None:
        """Add rows; none is allowed.

        Raises
        ------
        InvalidDataError
            They belong to another partition than the rows before.
        StorageError
            The disk is full or not writable.
        """
        if not batch.num_rows:
            return
        values = _partition_of(self._table, batch, self._partition_by)
        if not self._rows:
            self._values = values
            self._name = f"{partition_folder(values)}part-{uuid.uuid4().hex}-s{fingerprint(self._body)}.parquet"
        elif values != self._values:
            raise InvalidDataError(
                f"{self._table}: the rows of a data file belong to one {', '.join(self._partition_by)}"
            )
        try:
            if self._writer is None:
                self._storage.make_parents(self._path)
                self._writer = parquet_writer(self._storage, self._path, self._body)
            self._writer.write_table(batch.select(self._body.names), row_group_size=ROW_GROUP)
        except OSError as error:
            raise storage_error(f"writing {self._storage.uri(self._path)}", error) from error
        self._rows += batch.num_rows
        for column in self._bounded:
            self._stats[column] = _wider(self._stats.get(column), _bounds(batch[column]))

    def finish(self) -> DataFile:
        """Close the file, synced, and return what the log needs to know of it."""
        if self._writer is None:
            raise InvalidDataError(f"{self._table}: a data file needs at least one row")
        try:
            self._writer.close()
            self._storage.sync([self._path])
            size = self._storage.size(self._path)
        except OSError as error:
            raise storage_error(f"writing {self._storage.uri(self._path)}", error) from error
        self._writer = None
        return DataFile(path=self._name, rows=self._rows, size=size, stats=self._stats, partition_values=self._values)

    def discard(self) -> None:
        """Remove what was written, unless it is finished."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with suppress(OSError):  # a full disk cannot take the footer, which nobody needs
                writer.close()
            self._storage.delete(self._path)

    @property
    def _path(self) -> str:
        return f"{table_path(self._table)}/{self._name}"


def describe_data_file(
    storage: Storage,
    table: str,
    path: str,
    *,
    partition_values: Mapping[str, str | None],
    key: Iterable[str] = (),
) -> DataFile:
    """Return what the log needs to know of a Parquet file that is in the table's folder already, from its footer."""
    filesystem, base = storage.arrow_filesystem()
    with filesystem.open_input_file(f"{base}/{table_path(table)}/{path}") as file:
        size = file.size()
        footer = pq.read_metadata(file)
    columns = set(statistics_columns(footer.schema.to_arrow_schema(), key=key))
    stats: dict[str, Entry] = {}
    for index in range(footer.num_columns):
        column = footer.schema.column(index).path
        if column in columns:
            groups: list[Any] = [footer.row_group(g).column(index).statistics for g in range(footer.num_row_groups)]
            if groups and all(s is not None and s.has_null_count for s in groups):
                valued = [s for s in groups if s.num_values]
                if all(s.has_min_max for s in valued):
                    low = min((s.min for s in valued), default=None)
                    high = max((s.max for s in valued), default=None)
                    stats[column] = (low, high, sum(s.null_count for s in groups))
    return DataFile(path=path, rows=footer.num_rows, size=size, stats=stats, partition_values=dict(partition_values))


def write_parquet(storage: Storage, path: str, schema: pa.Schema, batches: Iterable[pa.Table]) -> int:
    """Write one Parquet file at a path of the lake, synced, and return its size in bytes.

    A failure removes what was written and raises ``StorageError``.
    """
    storage.make_parents(path)
    whole = False
    try:
        with parquet_writer(storage, path, schema) as writer:
            for batch in batches:
                writer.write_table(batch, row_group_size=ROW_GROUP)
        storage.sync([path])
        size = storage.size(path)
        whole = True
    except OSError as error:
        raise storage_error(f"writing {storage.uri(path)}", error) from error
    finally:
        if not whole:
            storage.delete(path)
    return size


def parquet_writer(storage: Storage, path: str, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file at a path of the lake, with the coding and the statistics that our tables have."""
    filesystem, base = storage.arrow_filesystem()
    # pyarrow takes a list of columns here; its stubs know only True and False
    coded: Any = [leaf for field in schema for leaf, kind in _leaves(field) if not pa.types.is_floating(kind)]
    return pq.ParquetWriter(
        f"{base}/{path}",
        schema,
        filesystem=filesystem,
        compression="zstd",
        use_dictionary=coded or False,
        write_statistics=coded or False,
    )


def split_partitions(rows: pa.Table, partition_by: Sequence[str]) -> list[pa.Table]:
    """Return the rows in one table per combination of partition values, in order of first appearance."""
    if not rows.num_rows or not partition_by:
        return [rows] if rows.num_rows else []
    parts = []
    for values in (
        rows.select(list(partition_by)).group_by(list(partition_by), use_threads=False).aggregate([]).to_pylist()
    ):
        mask: Any = pa.repeat(pa.scalar(True), rows.num_rows)
        for name, value in values.items():
            mask = pc.and_(mask, pc.is_null(rows[name]) if value is None else pc.equal(rows[name], pa.scalar(value)))
        parts.append(rows.filter(mask))
    return parts


def _partition_of(table: str, rows: pa.Table, partition_by: Sequence[str]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for name in partition_by:
        held = pc.unique(rows[name])
        if len(held) != 1:
            raise InvalidDataError(f"{table}: the rows of a data file belong to one {name}, these to {len(held)}")
        value = held[0].as_py()
        values[name] = None if value is None else str(value)
    return values


def _wider(one: Entry | None, other: Entry) -> Entry:
    """Return the bounds of the rows of both."""
    if one is None:
        return other
    lows = [low for low, _, _ in (one, other) if low is not None]
    highs = [high for _, high, _ in (one, other) if high is not None]
    return min(lows, default=None), max(highs, default=None), one[2] + other[2]


def partition_folder(values: Mapping[str, str | None]) -> str:
    """Return ``study_id=a%20b/`` for ``{"study_id": "a b"}``: Hive's layout, safe for any value."""
    return "".join(
        f"{name}={_NULL_PARTITION if value is None else quote(value, safe='')}/" for name, value in values.items()
    )


def delete_data_files(storage: Storage, table: str, files: Iterable[DataFile]) -> None:
    """Remove files that no commit will name."""
    for file in files:
        try:
            storage.delete(f"{table_path(table)}/{file.path}")
        except StorageError:
            # An orphan costs only space, and the error that brought us here is the one to be shown.
            continue


def _bounds(column: pa.ChunkedArray[Any]) -> Entry:
    found: Any = pc.min_max(column).as_py()
    return found["min"], found["max"], column.null_count


def _leaves(field: pa.Field[Any], prefix: str = "") -> Iterator[tuple[str, pa.DataType]]:
    """Yield (path, type) of the Parquet columns that a field becomes."""
    path = f"{prefix}{field.name}"
    kind = field.type
    if pa.types.is_struct(kind):
        for child in kind.fields:
            yield from _leaves(child, f"{path}.")
    elif pa.types.is_map(kind):
        for child in (kind.key_field, kind.item_field):
            yield from _leaves(child.with_name("key" if child is kind.key_field else "value"), f"{path}.key_value.")
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(kind.value_field.with_name("element"), f"{path}.list.")
    else:
        yield path, kind
