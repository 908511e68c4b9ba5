"""What the log says of a table at one version, kept while a lake is open.

Opening a log of 10,000 files and turning it into columns takes longer than most questions. A version never changes, so
it is read once; before each use two looks at the log's folder say whether there is a newer version, and whether the
table is still the one that was read. Data files never change either, so what was found in one is kept by its address.
Nothing is written: every process reads for itself.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UnsupportedTableError
from .datafiles import table_path
from .filters import Filter, may_hold
from .tables import Tables, delta_schema

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from .storage import Stamp, Storage

T = TypeVar("T")

# Reader features that change nothing about what a data file means.
_HARMLESS = {"v2Checkpoint", "timestampNtz", "vacuumProtocolCheck"}
# Reader features that deltalake's engine applies (checked against the foreign tables of the tests).
_APPLIED = {"deletionVectors", "columnMapping"}
_ABSOLUTE = r"^(/|[a-zA-Z][a-zA-Z0-9+.-]*:)"
#: Versions of tables that are kept, and bytes that their logs' columns may take together.
MOST_SNAPSHOTS, MOST_BYTES = 64, 256 * 2**20
#: Facts about data files that are kept.
MOST_FACTS = 100_000


class Snapshot:
    """One version of a table, as its log describes it; never changes.

    Attributes
    ----------
    table, uri
        What it is called, and where it lies.
    version
        Its version.
    schema
        All columns, partition columns included.
    partition_by
        The partition columns.
    plain
        Whether its files hold just its rows; if not, only deltalake's engine reads them rightly.

    Raises
    ------
    UnsupportedTableError
        The table demands of its readers what nobody here can do.
    """

    def __init__(self, table: str, uri: str, storage: Storage, delta: DeltaTable) -> None:
        self.table, self.uri, self.storage = table, uri, storage
        self.version: int = delta.version()
        self.schema = delta_schema(delta)
        self.partition_by = tuple(delta.metadata().partition_columns)
        self._facts: dict[Hashable, Any] = {}
        self.plain = _is_plain(table, delta)
        if self.plain:
            self.actions = add_actions(delta)
            # The files of a shallow clone lie elsewhere; deltalake knows where.
            self.plain = not pc.any(pc.match_substring_regex(self.actions["path"], _ABSOLUTE)).as_py()
        #: Only where it is needed for reading: it holds the log a second time.
        self.delta: DeltaTable | None = None if self.plain else delta

    @cached_property
    def actions(self) -> pa.Table:
        """The log's rows: one per file, with its path, its size, its partition values and its statistics."""
        assert self.delta is not None
        return add_actions(self.delta)

    def files(self, filters: tuple[Filter, ...]) -> pa.Table:
        """Return the rows of :attr:`actions` whose files may hold a row that satisfies every filter."""
        return self.actions.filter(may_hold(self.actions, filters)) if filters else self.actions

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returns for this version; it is called once."""
        if key not in self._facts:
            self._facts[key] = make()
        found: T = self._facts[key]
        return found


class Snapshots:
    """The snapshots of one lake's tables, as many as are worth their memory; safe with threads and after a fork.

    Attributes
    ----------
    opened
        How many logs were opened so far.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.opened = 0
        self._tables = Tables(storage)
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int | None], tuple[Snapshot, Stamp]] = OrderedDict()
        self._facts: OrderedDict[Hashable, Any] = OrderedDict()

    def _here(self) -> Snapshots:
        if os.getpid() != self._process:  # a fork: another thread may have held the lock at that moment
            self._begin()
        return self

    def newest(self, table: str) -> Snapshot | None:
        """Return a table as it is now, with every commit that had finished; None where nothing was written to it.

        Raises
        ------
        StorageError
            The table's log cannot be read.
        """
        return self._get(table, None)

    def at(self, table: str, version: int) -> Snapshot:
        """Return one version of a table.

        Raises
        ------
        NotFoundError
            There is no such table or version.
        StorageError
            The table's log cannot be read.
        """
        found = self._get(table, version)
        assert found is not None
        return found

    def _get(self, table: str, version: int | None) -> Snapshot | None:
        key = (table, version)
        with self._here()._lock:
            kept = self._known.get(key)
            if kept is not None:
                self._known.move_to_end(key)
        if kept is not None and self._is_current(*kept, pinned=version is not None):
            return kept[0]
        if version is None and not self._tables.exists(table):
            self._drop(key)
            return None
        snapshot = Snapshot(
            table, self.storage.uri(table_path(table)), self.storage, self._tables.open(table, version=version)
        )
        (stamp,) = self.storage.stamps([self._tables.log_file(table, snapshot.version)])
        with self._lock:
            self.opened += 1
            self._known.pop(key, None)
            if stamp is not None:  # cleaned away behind a checkpoint: nothing to know it by again
                self._known[key] = snapshot, stamp
            self._make_room()
        return snapshot

    def _is_current(self, snapshot: Snapshot, stamp: Stamp, *, pinned: bool) -> bool:
        """Whether the table's log still has the entry that was read, and no later one."""
        own = self._tables.log_file(snapshot.table, snapshot.version)
        if pinned:
            return self.storage.stamps([own]) == [stamp]
        later = self._tables.log_file(snapshot.table, snapshot.version + 1)
        return self.storage.stamps([own, later]) == [stamp, None]

    def _drop(self, key: tuple[str, int | None]) -> None:
        with self._lock:
            self._known.pop(key, None)

    def _make_room(self) -> None:
        def held() -> int:
            return sum(one.actions.nbytes for one, _ in self._known.values() if one.plain)

        while len(self._known) > 1 and (len(self._known) > MOST_SNAPSHOTS or held() > MOST_BYTES):
            self._known.popitem(last=False)

    def recall(self, key: Hashable) -> Any | None:
        """Return what was kept about something that never changes; None where nothing was, or it was forgotten."""
        with self._here()._lock:
            if key in self._facts:
                self._facts.move_to_end(key)
            return self._facts.get(key)

    def keep(self, key: Hashable, fact: Any) -> None:
        """Keep something about what never changes, such as a data file; what was not used for long is forgotten."""
        with self._here()._lock:
            self._facts[key] = fact
            self._facts.move_to_end(key)
            while len(self._facts) > MOST_FACTS:
                self._facts.popitem(last=False)


def add_actions(delta: DeltaTable) -> pa.Table:
    """Return the log's rows of an open table: one per file, flat."""
    logged: Any = delta.get_add_actions(flatten=True)
    # pa.table() imports pandas to find out whether it was given a data frame: a second, the first time.
    return pa.RecordBatchReader.from_stream(logged).read_all()


def _is_plain(table: str, delta: DeltaTable) -> bool:
    protocol = delta.protocol()
    demanded = set(protocol.reader_features or ()) - _HARMLESS
    unknown = demanded - _APPLIED
    if unknown or protocol.min_reader_version > 3:
        what = ", ".join(sorted(unknown)) or f"reader version {protocol.min_reader_version}"
        raise UnsupportedTableError(
            f"{table}: the table demands of its readers what we cannot do ({what})",
            hint="write it anew without these features, or export it to Parquet",
        )
    mapped = delta.metadata().configuration.get("delta.columnMapping.mode", "none") != "none"
    return not mapped and "deletionVectors" not in demanded
