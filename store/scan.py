"""Which files of a Delta table a question needs, decided from the log alone.

Three rungs. A table whose files hold exactly its rows is *plain*: its files are listed, those that the log's
statistics rule out are left out, and any reader of Parquet gives the right rows. A table with deletion vectors or
column mapping is not, and is read by deltalake's own engine instead. Whatever else a table demands of its readers
is refused: never a wrong row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import NotFoundError, QueryError, StorageError, UnsupportedTableError
from .arrays import array_of, no_rows
from .datafiles import DataFile, fingerprint, marked_fingerprint, table_path
from .filters import Filter, may_hold, satisfied
from .snapshots import Snapshot, add_actions
from .storage import Storage, open_storage, storage_error
from .tables import Tables

if TYPE_CHECKING:
    import pyarrow.fs
    from deltalake import DeltaTable

    from .root import LakeRoot

__all__ = [
    "Filter",
    "Scan",
    "ScanFile",
    "count",
    "file_paths",
    "live_files",
    "scan",
    "scan_files",
    "scan_foreign",
    "scan_snapshot",
]

_PARTITION = "partition."
_MOST_OPEN = 16  # files at a time: each is there with its footer


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFile:
    """One file that has to be read.

    Attributes
    ----------
    uri
        What a reader opens: an absolute path or an ``s3://`` URL.
    rows, bytes
        Number of rows (None where the log does not say) and of bytes.
    fingerprint
        Eight hex digits shared by the files with the same columns and types; None for a file that another writer made.
    partition
        Partition column → value; these columns are not in the file.
    """

    uri: str
    rows: int | None
    bytes: int
    fingerprint: str | None
    partition: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The answer for one table: what to read, and how much was spared.

    Attributes
    ----------
    version
        The table's version that was looked at; None for a table that does not exist yet.
    schema
        All columns, partition columns included.
    files
        What to read where ``plain``; empty otherwise.
    considered, pruned
        How many files the table has, and how many of them cannot hold a row that satisfies the filters.
    plain
        Whether reading ``files`` gives the right rows; if not, only :meth:`read` does.
    """

    table: str
    version: int | None
    schema: pa.Schema
    partition_by: tuple[str, ...]
    files: tuple[ScanFile, ...]
    considered: int
    pruned: int
    filters: tuple[Filter, ...] = ()
    plain: bool = True
    _filesystem: pyarrow.fs.FileSystem | None = field(default=None, repr=False, compare=False)
    _delta: DeltaTable | None = field(default=None, repr=False, compare=False)
    _opened: Mapping[str, pq.ParquetFile] = field(default_factory=dict, repr=False, compare=False)

    def groups_by_fingerprint(self) -> dict[str, list[ScanFile]]:
        """Return the files grouped by schema: within a group no columns need to be matched up.

        Files of other writers carry no fingerprint; their footers are read.
        """
        groups: dict[str, list[ScanFile]] = {}
        for file in self.files:
            mark = file.fingerprint or fingerprint(self._open(file).schema_arrow)
            groups.setdefault(mark, []).append(file)
        return groups

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return exactly the rows that satisfy the filters, in memory.

        Raises
        ------
        QueryError
            The table has no such column.
        """
        names = list(columns) if columns is not None else self.schema.names
        fields = {one.name: one for one in self.schema}
        for name in names:
            if name not in fields:
                _check_column(self.table, self.schema, name)
        needed = list(dict.fromkeys([*names, *(f.column for f in self.filters)]))
        schema = pa.schema([fields[name] for name in needed])
        if self._delta is not None:
            parts = [self._read_delta(self._delta, schema)]
        else:
            parts = [self._read_file(file, schema) for file in self.files]
        if self.filters:
            parts = [_satisfying(part, self.filters) for part in parts]
        return pa.concat_tables([no_rows(_loose(schema)), *parts]).select(names)

    @contextmanager
    def kept_open(self) -> Iterator[Scan]:
        """Give a scan that opens each file once, if they are few, to be read several times, some columns each."""
        with ExitStack() as stack:
            few = self.files if len(self.files) <= _MOST_OPEN else ()
            opened = {file.uri: stack.enter_context(self._open(file)) for file in few}
            yield replace(self, _opened=opened)

    def stored_columns(self) -> set[str]:
        """Return the columns that some file has, partition columns included: others are empty in all of its rows.

        Where the table is not plain these are all columns.
        """
        if not self.plain:
            return set(self.schema.names)
        stored: set[str] = set()
        for files in self.groups_by_fingerprint().values():
            with self._opening(files[0]) as parquet:
                stored |= {*parquet.schema_arrow.names, *files[0].partition}
        return stored

    def read_in_parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the same rows file by file, so that no more than one of them is in memory; all at once if not plain."""
        if not self.plain:
            yield self.read(columns)
        for file in self.files:
            yield replace(self, files=(file,)).read(columns)

    def _read_delta(self, delta: DeltaTable, schema: pa.Schema) -> pa.Table:
        from deltalake.exceptions import DeltaError

        try:
            rows = pa.table(delta.scan(columns=schema.names))
        # What goes wrong in deltalake's engine comes out as any of these, the missing file included.
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise storage_error(f"reading {self.table}", error) from error
        return _conform(rows, schema)

    def _opening(self, file: ScanFile) -> AbstractContextManager[pq.ParquetFile]:
        return nullcontext(self._opened[file.uri]) if file.uri in self._opened else self._open(file)

    def _open(self, file: ScanFile) -> pq.ParquetFile:
        path = file.uri.removeprefix("s3://")
        try:
            return pq.ParquetFile(path, filesystem=self._filesystem, coerce_int96_timestamp_unit="us")
        except FileNotFoundError as error:
            raise StorageError(
                f"{self.table}: {file.uri} is named by the table's log but is not there",
                hint="run `cytolake validate`; the file may have been removed by hand or by a vacuum",
            ) from error
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(file, error) from error

    def _damaged(self, file: ScanFile, error: BaseException) -> StorageError:
        return StorageError(
            f"{self.table}: {file.uri} is damaged ({_first_line(error)})",
            hint="run `cytolake validate --deep` to see what else is; then write its plate again, or restore the file",
        )

    def _read_file(self, file: ScanFile, schema: pa.Schema) -> pa.Table:
        with self._opening(file) as parquet:
            stored = set(parquet.schema_arrow.names)
            try:
                body = parquet.read(columns=[n for n in schema.names if n in stored and n not in file.partition])
            except (OSError, pa.ArrowException) as error:
                raise self._damaged(file, error) from error
            rows = parquet.metadata.num_rows
        columns: list[Any] = []
        read = dict(zip(body.column_names, body.columns, strict=True))  # by name: a profile has thousands of columns
        for one in schema:
            if one.name in file.partition:
                columns.append(_repeated(file.partition[one.name], one.type, rows))
            elif one.name in read:
                columns.append(read[one.name])
            else:
                columns.append(pa.nulls(rows, one.type))
        return _conform(pa.table(columns, names=schema.names), schema)


def scan(lake: LakeRoot | Storage, table: str, filters: Iterable[Filter] = (), *, version: int | None = None) -> Scan:
    """Find the files of one of the lake's tables that may hold rows satisfying all ``filters``.

    A table that nobody has written to yet, but whose schema is known, has no files.

    Raises
    ------
    NotFoundError
        There is no such table, or it has no such version.
    QueryError
        A filter names a column that the table does not have.
    """
    storage = lake if isinstance(lake, Storage) else lake.storage
    tables = Tables(storage)
    filters = tuple(filters)
    if version is None and not tables.exists(table):
        schema = tables.schema(table)
        for one in filters:
            _check_column(table, schema, one.column)
        return Scan(
            table=table,
            version=None,
            schema=schema,
            partition_by=tables.partition_by(table),
            files=(),
            considered=0,
            pruned=0,
            filters=filters,
        )
    delta = tables.open(table, version=version)
    return scan_snapshot(Snapshot(table, storage.uri(table_path(table)), storage, delta), filters)


def scan_foreign(path: str, filters: Iterable[Filter] = (), *, version: int | None = None) -> Scan:
    """Do the same for a Delta table that somebody else wrote, at a path or an ``s3://`` URL.

    Raises
    ------
    NotFoundError
        There is no Delta table, or it has no such version yet.
    UnsupportedTableError
        Reading it rightly needs something that neither we nor deltalake can do.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    storage = open_storage(path)
    try:
        delta = DeltaTable(storage.url, version=version, storage_options=storage.delta_options() or None)
        delta.schema().to_arrow()
    except TableNotFoundError as error:
        raise NotFoundError(f"{path} is no Delta table") from error
    # An unreadable log makes deltalake raise its own errors, and pyarrow's for types Arrow does not have.
    except (DeltaError, pa.ArrowException, ValueError, OSError) as error:
        if version is not None:  # that a version is not there yet looks like a broken log
            newest = scan_foreign(path).version or 0
            if version > newest:
                hint = f"its newest version is {newest}"
                raise NotFoundError(f"{path} has no version {version}", hint=hint) from None
        raise UnsupportedTableError(f"{path}: its Delta log cannot be read ({_first_line(error)})") from error
    return scan_snapshot(Snapshot(path, storage.url, storage, delta), filters)


def count(lake: LakeRoot | Storage, table: str, filters: Iterable[Filter] = (), *, version: int | None = None) -> int:
    """Count rows; from the log alone where it is enough (no filters, or only on partition columns)."""
    found = scan(lake, table, filters, version=version)
    if all(one.column in found.partition_by for one in found.filters) and all(f.rows is not None for f in found.files):
        return sum(file.rows or 0 for file in found.files)
    return found.read(columns=[found.schema.names[0]]).num_rows


def file_paths(delta: DeltaTable) -> set[str]:
    """Return the paths of all files of an open table, relative to its folder, as on disk."""
    paths: list[Any] = add_actions(delta)["path"].to_pylist()
    return {unquote(path) for path in paths}


def live_files(delta: DeltaTable, filters: Iterable[Filter] = ()) -> list[DataFile]:
    """Return the files of an open table that may hold rows satisfying ``filters``, as the log describes them."""
    actions = add_actions(delta)
    kept = actions.filter(may_hold(actions, tuple(filters)))
    bounded = [name.removeprefix("min.") for name in kept.column_names if name.startswith("min.")]
    partitions = [name for name in kept.column_names if name.startswith(_PARTITION)]
    files = []
    for row in kept.to_pylist():
        values = {name.removeprefix(_PARTITION): row[name] for name in partitions}
        bounds = {name: (row[f"min.{name}"], row[f"max.{name}"], row[f"null_count.{name}"]) for name in bounded}
        files.append(
            DataFile(
                path=unquote(row["path"]),
                rows=row["num_records"],
                size=row["size_bytes"],
                stats={name: entry for name, entry in bounds.items() if entry[2] is not None},
                partition_values={name: None if v is None else str(v) for name, v in values.items()},
            )
        )
    return files


def scan_snapshot(snapshot: Snapshot, filters: Iterable[Filter] = ()) -> Scan:
    """Find the files of one version of a table that may hold rows satisfying all ``filters``.

    Raises
    ------
    QueryError
        A filter names a column that the table does not have.
    """
    filters = tuple(filters)
    for one in filters:
        _check_column(snapshot.table, snapshot.schema, one.column)
    same: dict[str, Any] = {
        "table": snapshot.table,
        "version": snapshot.version,
        "schema": snapshot.schema,
        "partition_by": snapshot.partition_by,
        "filters": filters,
        "_filesystem": snapshot.storage.arrow_filesystem()[0],
    }
    if snapshot.delta is not None:
        considered = len(snapshot.delta.file_uris())
        return Scan(**same, files=(), considered=considered, pruned=0, plain=False, _delta=snapshot.delta)
    kept = snapshot.files(filters)
    files = tuple(scan_files(snapshot.uri, kept, snapshot.partition_by))
    considered = snapshot.actions.num_rows
    return Scan(**same, files=files, considered=considered, pruned=considered - len(files))


def scan_files(uri: str, kept: pa.Table, partition_by: Sequence[str]) -> list[ScanFile]:
    """Return the files that rows of a table's log name; see :attr:`.snapshots.Snapshot.actions`."""
    names = [f"{_PARTITION}{name}" for name in partition_by]
    # Tens of thousands of files are usual: only these columns become Python objects.
    wanted = kept.select(["path", "num_records", "size_bytes", *names])
    files = []
    for path, rows, size, *values in zip(*(column.to_pylist() for column in wanted.columns), strict=True):
        decoded = unquote(path)
        files.append(
            ScanFile(
                uri=f"{uri}/{decoded}",
                rows=rows,
                bytes=size,
                fingerprint=marked_fingerprint(decoded),
                partition=dict(zip(partition_by, values, strict=True)),
            )
        )
    return files


def _satisfying(rows: pa.Table, filters: tuple[Filter, ...]) -> pa.Table:
    """Keep the rows that satisfy the filters; mostly that is every row of a file, and nothing is copied."""
    mask = satisfied(rows, filters)
    return rows if pc.all(mask, skip_nulls=False, min_count=0).as_py() else rows.filter(mask)


def _check_column(table: str, schema: pa.Schema, name: str) -> None:
    if name not in schema.names:
        from difflib import get_close_matches

        close = get_close_matches(name, schema.names, n=1)
        raise QueryError(
            f"{table}: there is no column {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(schema.names[:20])}",
        )


def _conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Cast to the log's schema; a file that does not fit raises instead of giving other values."""
    return rows.select(schema.names).cast(_loose(schema))


def _repeated(value: Any, kind: pa.DataType, rows: int) -> Any:
    if type(value) in (str, int):
        return pa.repeat(array_of([value], kind)[0], rows)
    one: Any = pa.scalar(value, kind)
    return pa.repeat(one, rows)


def _loose(schema: pa.Schema) -> pa.Schema:
    return pa.schema([one.with_nullable(True) for one in schema])


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
