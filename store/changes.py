"""What a commit does to one table: which rows go, which files come.

A change is an intention that can be planned against any version of its table, and again against a newer one: rows
are named by their key, never by the file they happen to be in. A file that holds other rows too (after a compaction)
is replaced by one that holds just those.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import ConflictError, InvalidDataError, StorageError
from .datafiles import (
    DataFile,
    delete_data_files,
    describe_data_file,
    fingerprint,
    partition_folder,
    table_path,
    write_parquet,
)
from .scan import Filter, live_files
from .storage import storage_error

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from .storage import Storage

_MOST_FILTER_VALUES = 10_000  # beyond this, pruning by value costs more than it spares


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Rows out, files in.

    Attributes
    ----------
    key
        Column → value: the rows with these values go. None where ``on`` names them, or where no row goes.
    on
        Columns: the rows whose values in these equal those of a row in ``files`` go.
    files
        Data files that come in; they are in the table's folder already.
    absent
        Whether a row that would go is a conflict instead: the caller believes that there is none.
    same
        With ``absent`` and ``on``: a row that is there already and equals the new one in these columns is no
        conflict, the new one is left out.
    """

    key: Mapping[str, str | int] | None = None
    on: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()
    absent: bool = False
    same: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes an equal object."""
        return {
            "key": None if self.key is None else dict(self.key),
            "on": list(self.on),
            "files": [file.to_json() for file in self.files],
            "absent": self.absent,
            "same": list(self.same),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Change:
        """Return the object that :meth:`to_json` described."""
        return cls(
            key=values["key"],
            on=tuple(values["on"]),
            files=tuple(DataFile.from_json(file) for file in values["files"]),
            absent=values["absent"],
            same=tuple(values["same"]),
        )


@dataclass(slots=True, kw_only=True)
class Plan:
    """The files that one transaction on a table removes and adds.

    ``version`` is the table's version for which it is right, None for a table that does not exist yet; ``written``
    are the files that the planning itself wrote, orphans if the plan is not carried out; ``unused`` are those that
    are orphans once it is.
    """

    version: int | None
    removes: dict[str, DataFile] = field(default_factory=dict)
    adds: dict[str, DataFile] = field(default_factory=dict)
    written: list[DataFile] = field(default_factory=list)
    unused: list[DataFile] = field(default_factory=list)

    def actions(self) -> list[Any]:
        """Return the Delta actions, removals first."""
        return [
            *(file.remove_action() for file in self.removes.values()),
            *(file.add_action() for file in self.adds.values()),
        ]


class Planner:
    """Works out what a sequence of changes removes from and adds to one table.

    Parameters
    ----------
    delta
        The table as it is; None where it does not exist yet.
    checked
        Whether rows that were to be absent are a conflict. A commit that was decided already must be carried out:
        then rows of the key are replaced, and rows with the same values in ``on`` stay beside the new ones.
    """

    def __init__(self, storage: Storage, table: str, delta: DeltaTable | None, *, checked: bool = True) -> None:
        self.storage = storage
        self.table = table
        self.delta = delta
        self.checked = checked
        self.plan = Plan(version=None if delta is None else delta.version())

    def add(self, changes: Sequence[Change]) -> Plan:
        """Plan further changes; ``ConflictError`` where one meets rows that were to be absent."""
        try:
            for change in changes:
                self._add(change)
        except BaseException:
            delete_data_files(self.storage, self.table, self.plan.written)
            raise
        new = [*(file for change in changes for file in change.files), *self.plan.written]
        self.plan.unused = [file for file in new if file.path not in self.plan.adds]
        return self.plan

    def _add(self, change: Change) -> None:
        files: Sequence[DataFile] = change.files
        if change.on and change.absent:
            files = self._new_only(change)
        elif change.on or change.key is not None:
            for file, goes in list(self._touched(change)):
                if change.absent and self.checked:
                    raise self._conflict(change.key or {})
                self._take_out(file, goes)
        self.plan.adds.update((file.path, file) for file in files)

    def _touched(self, change: Change) -> Iterator[tuple[DataFile, Any | None]]:
        """Yield the files that hold rows of a change's key, each with the mask of those rows (None: all)."""
        keys = self._read_all(change.files, change.on) if change.key is None else None
        for file in self._candidates(change, keys):
            if change.key is not None and _wholly(file, change.key):
                yield file, None
                continue
            rows = self._read(file, change.on if change.key is None else list(change.key))
            mask = _equal(rows, change.key or {}) if keys is None else _among(rows, keys)
            hits = pc.sum(mask).as_py() or 0
            if hits:
                yield file, None if hits == rows.num_rows else mask

    def _candidates(self, change: Change, keys: pa.Table | None) -> list[DataFile]:
        filters = [Filter(column, "=", value) for column, value in (change.key or {}).items()]
        if keys is not None:
            for column in change.on:
                values = pc.unique(keys[column])
                if len(values) <= _MOST_FILTER_VALUES:
                    filters.append(Filter(column, "in", values.to_pylist()))
        there = [] if self.delta is None else live_files(self.delta, filters)
        added = [file for file in self.plan.adds.values() if _may_hold(file, change.key or {})]
        return [*(file for file in there if file.path not in self.plan.removes), *added]

    def _take_out(self, file: DataFile, goes: Any | None) -> None:
        if file.path in self.plan.adds:
            del self.plan.adds[file.path]
        else:
            self.plan.removes[file.path] = file
        if goes is not None:
            rest = self._write_rest(file, goes)
            self.plan.adds[rest.path] = rest

    def _new_only(self, change: Change) -> list[DataFile]:
        """Return the new files without the rows that are there already."""
        columns = list(dict.fromkeys([*change.on, *change.same]))
        touched = [self._read(file, columns) for file, _ in self._touched(change)]
        if not touched:
            return list(change.files)
        there = pa.concat_tables(touched)
        files = []
        for file in change.files:
            rows = self._read(file, columns)
            known, equal = _among(rows, there.select(change.on)), _among(rows, there)
            if self.checked and change.same and pc.any(pc.and_not(known, equal)).as_py():
                raise self._conflict(rows.filter(pc.and_not(known, equal)).to_pylist()[0])
            if self.checked and not change.same:
                raise self._conflict(rows.filter(known).to_pylist()[0])
            same = (pc.sum(equal).as_py() or 0) if change.same else 0
            if same == 0:
                files.append(file)
            elif same < rows.num_rows:
                files.append(self._write_rest(file, equal))
        return files

    def _write_rest(self, file: DataFile, goes: Any) -> DataFile:
        """Write the rows of a file that stay, row group by row group, with the file's own columns."""
        with self._open(file) as source:
            schema = source.schema_arrow
            folder = partition_folder(file.partition_values)
            path = f"{folder}part-{uuid.uuid4().hex}-s{fingerprint(schema)}.parquet"

            def staying() -> Iterator[pa.Table]:
                start = 0
                for group in range(source.num_row_groups):
                    rows = source.read_row_group(group)
                    yield rows.filter(pc.invert(goes.slice(start, rows.num_rows)))
                    start += rows.num_rows

            write_parquet(self.storage, f"{table_path(self.table)}/{path}", schema, staying())
        rest = describe_data_file(
            self.storage, self.table, path, partition_values=file.partition_values, key=file.stats
        )
        self.plan.written.append(rest)
        return rest

    def _conflict(self, key: Mapping[str, Any]) -> ConflictError:
        what = ", ".join(f"{column} {value}" for column, value in key.items())
        return ConflictError(
            f"{self.table}: rows of {what} were written by somebody else in the meantime; nothing of this run was kept",
            hint="look at what is there, then run again with --existing replace, skip or extend",
        )

    def _read_all(self, files: Sequence[DataFile], columns: Sequence[str]) -> pa.Table:
        return pa.concat_tables([self._read(file, columns) for file in files])

    def _read(self, file: DataFile, columns: Sequence[str]) -> pa.Table:
        """Read columns of one data file, partition columns included; a column it lacks is NULL."""
        with self._open(file) as source:
            stored = source.schema_arrow.names
            body = source.read(columns=[name for name in columns if name in stored])
            rows = source.metadata.num_rows
        arrays: list[Any] = []
        for name in columns:
            if name in file.partition_values:
                arrays.append(pa.repeat(pa.scalar(file.partition_values[name], pa.string()), rows))
            else:
                arrays.append(body[name] if name in body.column_names else pa.nulls(rows))
        return pa.table(arrays, names=list(columns))

    def _open(self, file: DataFile) -> pq.ParquetFile:
        filesystem, base = self.storage.arrow_filesystem()
        path = f"{table_path(self.table)}/{file.path}"
        try:
            return pq.ParquetFile(f"{base}/{path}", filesystem=filesystem)
        except FileNotFoundError as error:
            raise StorageError(
                f"{self.storage.uri(path)} is named by the table's log but is not there",
                hint="run `cytolake validate`; the file may have been removed by hand",
            ) from error
        except OSError as error:
            raise storage_error(f"reading {self.storage.uri(path)}", error) from error


def _may_hold(file: DataFile, key: Mapping[str, str | int]) -> bool:
    """Whether a file may hold rows of a key, by its partition and its bounds."""
    for column, value in key.items():
        if column in file.partition_values:
            if file.partition_values[column] != str(value):
                return False
        elif column in file.stats:
            low, high, _ = file.stats[column]
            if low is None or not low <= value <= high:
                return False
    return True


def _wholly(file: DataFile, key: Mapping[str, str | int]) -> bool:
    """Whether the log says that every row of a file has the key's values."""
    for column, value in key.items():
        if column in file.partition_values:
            if file.partition_values[column] != str(value):
                return False
        elif file.stats.get(column) != (value, value, 0):
            return False
    return True


def _equal(rows: pa.Table, key: Mapping[str, str | int]) -> Any:
    mask: Any = pa.chunked_array([pa.repeat(pa.scalar(True), rows.num_rows)])
    for column, value in key.items():
        held: Any = rows[column]
        equal: Any = pc.equal(held, pa.scalar(value))
        mask = pc.and_(mask, pc.fill_null(equal, False))
    return mask


def _among(rows: pa.Table, keys: pa.Table) -> Any:
    """Return which rows equal, in the columns of ``keys``, one of its rows."""
    names = keys.column_names
    numbered = rows.select(names).append_column("__row", pa.array(range(rows.num_rows), pa.int64()))
    keys = keys.cast(rows.select(names).schema)
    hits = numbered.join(keys, keys=names, join_type="left semi", use_threads=False)["__row"]
    return pc.is_in(pa.chunked_array([numbered["__row"].combine_chunks()]), value_set=hits.combine_chunks())


def conform(table: str, rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with exactly the columns of a schema, in its order and types.

    Raises
    ------
    InvalidDataError
        A column is unknown, does not convert, or is required and has NULLs or is absent.
    """
    unknown = sorted(set(rows.column_names) - set(schema.names))
    if unknown:
        raise InvalidDataError(f"table {table}: there is no column {', '.join(unknown)}")
    columns = []
    for one in schema:
        if one.name not in rows.column_names:
            column: Any = pa.chunked_array([pa.nulls(rows.num_rows, one.type)])
        else:
            try:
                column = rows[one.name].cast(one.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InvalidDataError(f"table {table}, column {one.name}: {error}") from error
        if not one.nullable and column.null_count:
            raise InvalidDataError(f"table {table}: column {one.name} is required and {column.null_count} rows lack it")
        columns.append(column)
    return pa.table(columns, schema=pa.schema([one.with_nullable(True) for one in schema]))
