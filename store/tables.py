"""The Delta tables of a lake: which there are, their schemas, and small reads.

Every handle is opened afresh: a long-lived one slows down with each commit, and never sees other writers' work.
Writing is :mod:`.commit`'s business alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import InvalidDataError, NotFoundError, StorageError
from ..schemas.tables import SCHEMA_VERSION, TABLES, arrow_schema
from .datafiles import statistics_columns, table_path
from .storage import Storage, storage_error

if TYPE_CHECKING:
    from deltalake import DeltaTable

#: Feature tables and whatever else is not in the schema are partitioned by this.
DEFAULT_PARTITION = ("study_id",)
#: Commits between two checkpoints of a table's log.
CHECKPOINT_EVERY = 25
#: The property that has to be "false": cleaning the log makes pinned releases unreadable.
KEEP_LOG = "delta.enableExpiredLogCleanup"
_LOG = "_delta_log"
_DEEPEST = 4  # features/<name>/<hash8>/<object_set>


class Tables:
    """The tables below ``tables/`` of one lake."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def names(self) -> list[str]:
        """Return the names of all tables that have been written to, sorted."""
        return sorted(self._below("", _DEEPEST))

    def _below(self, prefix: str, depth: int) -> list[str]:
        found = []
        for child in self.storage.children(table_path(prefix).rstrip("/")):
            name = f"{prefix}{child}"
            if child.startswith("_") or "=" in child:
                continue
            if self.exists(name):
                found.append(name)
            elif depth > 1:
                found += self._below(f"{name}/", depth - 1)
        return found

    def exists(self, name: str) -> bool:
        """Whether the table has been written to."""
        return self.storage.exists(f"{table_path(name)}/{_LOG}")

    def open(self, name: str, *, version: int | None = None) -> DeltaTable:
        """Return a fresh handle of a table, of its newest version or of ``version``.

        Raises
        ------
        NotFoundError
            Nothing was ever written to a table of that name, or it has no such version.
        StorageError
            Its log cannot be read, or its last entry is empty; says which file is damaged.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        uri = self.storage.uri(table_path(name))
        if not self.exists(name):
            raise NotFoundError(f"{self.storage.url}: there is no table {name!r}")
        try:
            table = DeltaTable(uri, version=version, storage_options=self.storage.delta_options() or None)
        except TableNotFoundError as error:
            raise NotFoundError(f"{self.storage.url}: there is no table {name!r}") from error
        except (DeltaError, OSError) as error:
            if version is not None and version > self.version(name):
                raise NotFoundError(f"{self.storage.url}: table {name!r} has no version {version}") from error
            damaged = self._damaged_log_file(name)
            if damaged is not None:
                raise _damaged(name, damaged) from error
            raise storage_error(f"opening table {uri}", error) from error
        # deltalake takes an empty entry for a commit of nothing: the rows would silently be missing.
        last = self.log_file(name, table.version())
        if self._is_empty(last):
            raise _damaged(name, self.storage.uri(last))
        return table

    def log_file(self, name: str, version: int) -> str:
        """Return the path of one entry of a table's log, relative to the lake root."""
        return f"{table_path(name)}/{_LOG}/{version:020}.json"

    def _is_empty(self, path: str) -> bool:
        try:
            return self.storage.size(path) == 0
        except NotFoundError:  # cleaned away behind a checkpoint
            return False

    def _damaged_log_file(self, name: str) -> str | None:
        """Return where the newest entry of a table's log lies that is not JSON; None where all are."""
        folder = f"{table_path(name)}/{_LOG}"
        for entry in sorted(self.storage.children(folder), reverse=True):
            if entry.endswith(".json"):
                try:
                    lines = self.storage.read(f"{folder}/{entry}").decode().splitlines()
                    sound = bool(lines) and all(isinstance(json.loads(line), dict) for line in lines)
                except ValueError:
                    sound = False
                if not sound:
                    return self.storage.uri(f"{folder}/{entry}")
        return None

    def log_entry(self, name: str, version: int) -> list[dict[str, Any]]:
        """Return what the log says of one version, an action each; ``NotFoundError`` where it was cleaned away."""
        return [json.loads(line) for line in self.storage.read(self.log_file(name, version)).decode().splitlines()]

    def version(self, name: str) -> int:
        """Return the number of a table's newest version; ``NotFoundError`` where there is none."""
        return self.open(name).version()

    def schema(self, name: str) -> pa.Schema:
        """Return a table's columns: the table's own where it exists, the declared ones where it does not yet.

        Raises
        ------
        NotFoundError
            There is no such table and the schema declares none.
        """
        if self.exists(name):
            return delta_schema(self.open(name))
        return bare(arrow_schema(name))

    def partition_by(self, name: str) -> tuple[str, ...]:
        """Return the columns by which a table is (or will be) partitioned."""
        if name in TABLES:
            return TABLES[name].partition_by
        if self.exists(name):
            return tuple(self.open(name).metadata().partition_columns)
        return DEFAULT_PARTITION

    def key(self, name: str) -> tuple[str, ...]:
        """Return the columns that identify a row, empty where the schema declares none."""
        return TABLES[name].key if name in TABLES else ()

    def ensure(self, name: str, schema: pa.Schema, partition_by: Sequence[str]) -> DeltaTable:
        """Return a table after making sure that it is there and has every column of ``schema``.

        New columns are added as nullable ones; none is ever removed.

        Raises
        ------
        InvalidDataError
            A column exists with another type.
        """
        from deltalake import DeltaTable, Schema
        from deltalake.exceptions import CommitFailedError, DeltaError

        uri = self.storage.uri(table_path(name))
        try:
            if not self.exists(name):
                DeltaTable.create(
                    uri,
                    schema=bare(schema),
                    mode="ignore",
                    partition_by=list(partition_by),
                    configuration=properties(schema, key=self.key(name), partition_by=partition_by),
                    storage_options=self.storage.delta_options() or None,
                    raise_if_key_not_exists=False,
                )
                self.sync_log(name, 0)
            table = self.open(name)
            missing = missing_columns(name, delta_schema(table), schema)
            if missing:
                table.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)
                self.sync_log(name, table.version())
                table = self.open(name)
        except CommitFailedError:
            # Somebody else created or widened it at the same moment: what is still missing is little or nothing.
            return self.ensure(name, schema, partition_by)
        except (DeltaError, OSError) as error:
            if isinstance(error, StorageError | NotFoundError):
                raise
            raise storage_error(f"preparing table {uri}", error) from error
        return table

    def sync_log(self, name: str, version: int) -> None:
        """Make the log entry of ``version`` survive a power cut: delta-rs itself never syncs."""
        self.storage.sync([self.log_file(name, version)])

    def read(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Return rows of a table in memory; meant for small ones, and for one plate of large ones.

        Parameters
        ----------
        columns
            Which columns; all where None.
        where
            Column → value, list of values (any of them), or None (is NULL); all must hold.

        Returns
        -------
        pyarrow.Table
            Empty where nothing was written to the table yet.
        """
        from .scan import Filter, scan

        filters = [
            Filter(column, "is null")
            if value is None
            else Filter(column, "in", list(value))
            if isinstance(value, list | tuple | set | frozenset)
            else Filter(column, "=", value)
            for column, value in (where or {}).items()
        ]
        return scan(self.storage, name, filters, version=version).read(columns)


def _damaged(name: str, file: str) -> StorageError:
    return StorageError(
        f"table {name} cannot be opened: {file} of its log is damaged",
        hint="restore that file from a backup; `cytolake validate` checks the other tables",
    )


def delta_schema(table: DeltaTable) -> pa.Schema:
    """Return the columns of an open table, without metadata."""
    exported: Any = table.schema().to_arrow()
    return pa.schema(exported).remove_metadata()


def bare(schema: pa.Schema) -> pa.Schema:
    """Return a schema without field and schema metadata, which the Delta log would repeat for ever."""
    return pa.schema([one.remove_metadata() for one in schema])


def properties(schema: pa.Schema, *, key: Sequence[str], partition_by: Sequence[str]) -> dict[str, str | None]:
    """Return the Delta properties of a new table."""
    bounded = [name for name in statistics_columns(schema, key=key) if name not in partition_by]
    return {
        KEEP_LOG: "false",
        "delta.checkpointInterval": str(CHECKPOINT_EVERY),
        # What a compaction by others shall keep bounds of, as our own commits do.
        "delta.dataSkippingStatsColumns": ",".join(bounded),
        "cytolake.schemaVersion": SCHEMA_VERSION,
    }


def missing_columns(table: str, there: pa.Schema, wanted: pa.Schema) -> list[pa.Field[Any]]:
    """Return the columns of ``wanted`` that a table lacks, as nullable ones.

    Raises
    ------
    InvalidDataError
        A column of that name has another type.
    """
    missing = []
    types = {one.name: one.type for one in there}
    for one in bare(wanted):
        if one.name not in types:
            missing.append(one.with_nullable(True))
        elif not _same_type(types[one.name], one.type):
            raise InvalidDataError(f"table {table}: column {one.name} holds {types[one.name]}, not {one.type}")
    return missing


def _same_type(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether Delta stores two Arrow types alike (names of list elements and map entries do not count)."""
    from deltalake import Field

    return bool(one == other) or Field.from_arrow(pa.field("x", one)) == Field.from_arrow(pa.field("x", other))
