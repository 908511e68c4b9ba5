"""One change over several Delta tables that neither a kill nor a full disk can tear.

Delta makes a change to one table atomic; a plate is rows of a dozen. So a commit is decided before it is carried
out: data files are written (no reader sees them), a journal that names them is put down in one step (from here on it
will happen), then each table gets one transaction, then the journal goes. Whoever opens the lake after a kill carries
out the journals that are left. Each transaction carries the commit's ``app_id`` and a number, so that doing it twice
is doing it once, and so that two commits of one plate exclude each other even where there are no locks (S3).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from ..errors import AlreadyExistsError, ConflictError, CytolakeError, InvalidDataError, NotFoundError, UsageError
from ..schemas.tables import TABLES, arrow_schema
from .changes import Change, Plan, Planner, conform
from .datafiles import DataFile, delete_data_files, write_rows
from .journal import LOCK, Work, apply, delete_written, journal_path, recover, recover_locked
from .storage import STAGING, Storage
from .tables import DEFAULT_PARTITION, Tables, bare, delta_schema, missing_columns

if TYPE_CHECKING:
    from .root import LakeRoot

__all__ = ["Commit", "recover"]

_WAIT = 120.0  # seconds for the commits of others; each takes well below one


class Commit:
    """Collect changes to tables, then make them all at once with :meth:`commit`.

    Used as a context manager; leaving the block without a commit removes what was written and changes nothing.
    Tables get their transactions in the order in which they are first named.

    Parameters
    ----------
    root
        The lake.
    run_id
        The run that makes the change; it is written into each table's history.
    app_id
        What the change is about, such as ``plate/pilot/P1``: two commits with the same one exclude each other.
    """

    def __init__(self, root: LakeRoot | Storage, *, run_id: str, app_id: str) -> None:
        self._storage = root if isinstance(root, Storage) else root.storage
        self._tables = Tables(self._storage)
        self._run_id = run_id
        self._app_id = app_id
        self._work: dict[str, Work] = {}
        self._written: list[tuple[str, DataFile]] = []
        self._expected: list[tuple[str, dict[str, str | int], dict[str, Any]]] = []
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._done:
            self._discard()

    def replace(self, table: str, key: Mapping[str, str | int], rows: pa.Table, *, must_be_new: bool = False) -> None:
        """Put ``rows`` in the place of the rows that have the values of ``key``.

        With ``must_be_new`` rows of that key make the commit fail with ``ConflictError``: a first insert.
        """
        files = self._write(table, rows)
        self._add(table, Change(key=dict(key), files=files, absent=must_be_new))

    def replace_files(
        self,
        table: str,
        key: Mapping[str, str | int],
        files: Sequence[DataFile],
        schema: pa.Schema,
        *,
        must_be_new: bool = False,
    ) -> None:
        """Do the same with files that are in the table's folder already.

        Parameters
        ----------
        files
            What :func:`~.datafiles.write_data_file` returned to the workers; every row must have ``key``'s values.
            They stay when the commit fails: they are the caller's.
        schema
            All columns of the table that the files use, partition columns included.
        """
        self._of(table, schema)
        self._add(table, Change(key=dict(key), files=tuple(files), absent=must_be_new))

    def upsert(self, table: str, rows: pa.Table, on: Sequence[str]) -> None:
        """Put each row in the place of the one with the same values in the columns ``on``, or beside the others."""
        self._keyed(table, rows, on, Change(on=tuple(on)))

    def insert(self, table: str, rows: pa.Table, on: Sequence[str], *, same: Sequence[str] = ()) -> None:
        """Add rows whose values in the columns ``on`` must be new.

        Rows that are there already and equal the new ones in the columns ``same`` are left as they are; anything
        else with the same key makes the commit fail with ``ConflictError``.
        """
        self._keyed(table, rows, on, Change(on=tuple(on), absent=True, same=tuple(same)))

    def append(self, table: str, rows: pa.Table) -> None:
        """Add rows beside whatever is there."""
        self._add(table, Change(files=self._write(table, rows)))

    def delete(self, table: str, key: Mapping[str, str | int]) -> None:
        """Remove the rows that have the values of ``key``; a table that does not exist has none."""
        if table not in self._work and not self._tables.exists(table):
            return
        self._of(table, self._tables.schema(table))
        self._add(table, Change(key=dict(key)))

    def expect(self, table: str, key: Mapping[str, str | int], values: Mapping[str, Any]) -> None:
        """Make the commit only if the row of ``key`` still has these values, else fail with ``ConflictError``.

        Where there are no locks (S3) the row is looked at just before the commit is decided.
        """
        self._expected.append((table, dict(key), dict(values)))

    def commit(self) -> dict[str, int]:
        """Make all changes, and return the newest version of each table that was named.

        Raises
        ------
        ConflictError
            Somebody else commits the same ``app_id``, or wrote rows that were to be new. Nothing was changed.
        StorageError
            The disk is full or the store unreachable. Nothing was changed, unless the message says that the rest
            follows when the lake is next opened.
        """
        if self._done:
            raise UsageError("this commit has been made already")
        with self._storage.lock(LOCK, wait=_WAIT):
            recover_locked(self._storage)
            self._check_expected()
            versions = self._decide_and_apply() if self._work else {}
        self._done = True
        return versions

    def _check_expected(self) -> None:
        for table, key, values in self._expected:
            found = self._tables.read(table, columns=list(values), where=key).to_pylist()
            if found != [values]:
                named = " ".join(str(value) for value in key.values())
                raise ConflictError(
                    f"{table} {named} was changed while run {self._run_id} was at work; nothing of this run was kept",
                    hint="look at what is there, then run the same command again",
                )

    def _decide_and_apply(self) -> dict[str, int]:
        work = list(self._work.values())
        plans: dict[str, Plan] = {}
        journal = journal_path(self._app_id)
        try:
            for one in work:
                plans[one.table] = self._prepare(one)
            self._reserve(plans)
            self._done = True  # once there is a journal, the files are its and not ours to remove
            self._put_journal(journal, work)
        except BaseException:
            delete_written(self._storage, plans)
            self._withdraw(journal)
            raise
        try:
            return apply(self._storage, journal, self._run_id, self._app_id, work, plans)
        except CytolakeError:
            self._done = self._storage.exists(journal)
            raise

    def _withdraw(self, journal: str) -> None:
        """Take back the decision, if it came to one: an interruption may come just after the journal was put down."""
        try:
            if json.loads(self._storage.read(journal))["run_id"] == self._run_id:
                self._storage.delete(journal)
        except NotFoundError:
            pass
        self._done = False

    def _prepare(self, one: Work) -> Plan:
        """Plan against the newest version, and choose the number of the transaction."""
        delta = self._tables.open(one.table) if self._tables.exists(one.table) else None
        last = 0
        if delta is not None:
            missing_columns(one.table, delta_schema(delta), one.schema)
            last = delta.transaction_version(self._app_id) or 0
        # Not simply the next one: a number must tell this commit from any other that was planned beside it.
        one.number = max(last + 1, time.time_ns() // 1000)
        return Planner(self._storage, one.table, delta).add(one.changes)

    def _reserve(self, plans: Mapping[str, Plan]) -> None:
        """Make sure that the log entries to come fit on the disk, before anything is decided."""
        actions = sum(len(plan.adds) + len(plan.removes) for plan in plans.values())
        size = 65_536 * (len(plans) + 1) + 4_096 * actions
        path = f"{STAGING}/reserve-{self._run_id}"
        self._storage.reserve(path, size)
        self._storage.delete(path)

    def _put_journal(self, journal: str, work: list[Work]) -> None:
        record = {
            "run_id": self._run_id,
            "app_id": self._app_id,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "written_at": time.time(),
            "work": [one.to_json() for one in work],
        }
        try:
            self._storage.write(journal, json.dumps(record).encode(), if_absent=True)
        except AlreadyExistsError as error:
            raise ConflictError(
                f"another run is committing {self._app_id!r} at this moment; nothing of this run was kept",
                hint="wait until it has finished, then run the same command again",
            ) from error

    def _keyed(self, table: str, rows: pa.Table, on: Sequence[str], change: Change) -> None:
        if not rows.num_rows:
            return
        keys = rows.select(list(on))
        for name in on:
            if keys[name].null_count:
                raise InvalidDataError(
                    f"table {table}: {name} is part of the key and {keys[name].null_count} rows lack it"
                )
        if keys.group_by(list(on)).aggregate([]).num_rows != rows.num_rows:
            raise InvalidDataError(f"table {table}: two rows have the same {', '.join(on)}")
        files = self._write(table, rows)
        self._add(table, Change(on=change.on, files=files, absent=change.absent, same=change.same))

    def _write(self, table: str, rows: pa.Table) -> tuple[DataFile, ...]:
        schema = bare(arrow_schema(table)) if table in TABLES else bare(rows.schema)
        one = self._of(table, schema)
        files = write_rows(
            self._storage,
            table,
            conform(table, rows, schema),
            partition_by=one.partition_by,
            key=self._tables.key(table),
        )
        self._written += [(table, file) for file in files]
        return tuple(files)

    def _of(self, table: str, schema: pa.Schema) -> Work:
        if table not in self._work:
            partition_by = TABLES[table].partition_by if table in TABLES else DEFAULT_PARTITION
            self._work[table] = Work(table, bare(schema), partition_by)
        one = self._work[table]
        more = missing_columns(table, one.schema, schema)
        if more:
            one.schema = pa.schema([*one.schema, *more])
        return one

    def _add(self, table: str, change: Change) -> None:
        if self._done:
            raise UsageError("this commit has been made already")
        self._work[table].changes.append(change)

    def _discard(self) -> None:
        for table, file in self._written:
            delete_data_files(self._storage, table, [file])
        self._written.clear()
