"""One change over several Delta tables that neither a kill nor a full disk can tear.

Delta makes a change to one table atomic; a plate is rows of a dozen. So a commit is decided before it is carried
out: data files are written (no reader sees them), a journal that names them is put down in one step (from here on it
will happen), then each table gets one transaction, then the journal goes. Whoever opens the lake after a kill carries
out the journals that are left. Each transaction carries the commit's ``app_id`` and a number, so that doing it twice
is doing it once, and so that two commits of one plate exclude each other even where there are no locks (S3).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from ..errors import (
    AlreadyExistsError,
    ConflictError,
    CytolakeError,
    InvalidDataError,
    NotFoundError,
    StorageError,
    UsageError,
)
from ..schemas.tables import TABLES, arrow_schema
from .changes import Change, Plan, Planner, conform
from .datafiles import DataFile, delete_data_files, table_path, write_rows
from .storage import STAGING, Storage, storage_error
from .tables import CHECKPOINT_EVERY, DEFAULT_PARTITION, Tables, bare, delta_schema, missing_columns

if TYPE_CHECKING:
    from .root import LakeRoot

# Not in staging/: that may be deleted at any time, and a decided commit must not be lost with it.
_JOURNAL = "tables/_journal"
_LOCK = "commit"
_WAIT = 120.0  # seconds for the commits of others; each takes well below one
_LEASE = 600.0  # seconds after which a journal on an object store, where nobody holds a lock, counts as abandoned
_RETRIES = 20
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """What a commit does to one table."""

    table: str
    schema: pa.Schema
    partition_by: tuple[str, ...]
    number: int = 0  # of the app transaction
    changes: list[Change] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "schema": b64encode(self.schema.serialize().to_pybytes()).decode(),
            "partition_by": list(self.partition_by),
            "number": self.number,
            "changes": [change.to_json() for change in self.changes],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> _Work:
        return cls(
            table=values["table"],
            schema=pa.ipc.read_schema(pa.py_buffer(b64decode(values["schema"]))),
            partition_by=tuple(values["partition_by"]),
            number=values["number"],
            changes=[Change.from_json(change) for change in values["changes"]],
        )


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
        self._work: dict[str, _Work] = {}
        self._written: list[tuple[str, DataFile]] = []
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
        with self._storage.lock(_LOCK, wait=_WAIT):
            _recover_locked(self._storage)
            versions = self._decide_and_apply() if self._work else {}
        self._done = True
        return versions

    def _decide_and_apply(self) -> dict[str, int]:
        work = list(self._work.values())
        plans: dict[str, Plan] = {}
        journal = f"{_JOURNAL}/{journal_name(self._app_id)}"
        try:
            for one in work:
                plans[one.table] = self._prepare(one)
            self._reserve(plans)
            self._done = True  # once there is a journal, the files are its and not ours to remove
            self._put_journal(journal, work)
        except BaseException:
            _delete_written(self._storage, plans)
            self._withdraw(journal)
            raise
        try:
            return _apply(self._storage, journal, self._run_id, self._app_id, work, plans)
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

    def _prepare(self, one: _Work) -> Plan:
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

    def _put_journal(self, journal: str, work: list[_Work]) -> None:
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

    def _of(self, table: str, schema: pa.Schema) -> _Work:
        if table not in self._work:
            partition_by = TABLES[table].partition_by if table in TABLES else DEFAULT_PARTITION
            self._work[table] = _Work(table, bare(schema), partition_by)
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


def journal_name(app_id: str) -> str:
    """Return the file name of the journal of a commit about ``app_id``: one at a time can exist."""
    return f"{hashlib.sha256(app_id.encode()).hexdigest()[:32]}.json"


def recover(root: LakeRoot | Storage) -> list[str]:
    """Carry out the commits that were decided and then interrupted, and return their run ids.

    A commit that its process is still busy with is left to it.
    """
    storage = root if isinstance(root, Storage) else root.storage
    done: list[str] = []
    if storage.children(_JOURNAL):
        with contextlib.suppress(ConflictError), storage.lock(_LOCK):
            done = _recover_locked(storage)
    return done


def _recover_locked(storage: Storage) -> list[str]:
    done = []
    for name in storage.children(_JOURNAL):
        journal = f"{_JOURNAL}/{name}"
        try:
            record = json.loads(storage.read(journal))
        except NotFoundError:
            continue  # its owner has just finished
        if not storage.is_local and not _abandoned(record):
            continue
        _log.info("finishing the interrupted commit of run %s", record["run_id"])
        work = [_Work.from_json(one) for one in record["work"]]
        _apply(storage, journal, record["run_id"], record["app_id"], work, {}, decided=True)
        done.append(record["run_id"])
    return done


def _abandoned(record: Mapping[str, Any]) -> bool:
    """Whether nobody carries out a journal any more; where there are no locks, as far as one can tell."""
    if time.time() - record["written_at"] > _LEASE:
        return True
    if record["host"] != socket.gethostname() or record["process"] == os.getpid():
        return False
    try:
        os.kill(record["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _apply(
    storage: Storage,
    journal: str,
    run_id: str,
    app_id: str,
    work: Sequence[_Work],
    plans: Mapping[str, Plan],
    *,
    decided: bool = False,
) -> dict[str, int]:
    """Make each table's transaction unless it is made already, then remove the journal.

    ``decided`` says that some may be made already; until the first one is, a failure takes everything back.
    """
    versions: dict[str, int] = {}
    for one in work:
        try:
            versions[one.table] = _transact(storage, run_id, app_id, one, plans.get(one.table), checked=not decided)
        except CytolakeError as error:
            if decided or _is_made(storage, app_id, one):
                raise StorageError(
                    f"run {run_id} is committed in part, the rest follows at the next opening: {error.message}",
                    hint=f"remove the cause, then run any command on the lake (the plan is {storage.uri(journal)})",
                ) from error
            storage.delete(journal)
            _delete_written(storage, plans)
            raise
        decided = True
    storage.delete(journal)
    _checkpoint(storage, versions)
    return versions


def _transact(storage: Storage, run_id: str, app_id: str, one: _Work, plan: Plan | None, *, checked: bool) -> int:
    """Commit one table's changes, unless that is done already, and return the table's version."""
    from deltalake import CommitProperties, PostCommitHookProperties, Transaction
    from deltalake.exceptions import CommitFailedError, DeltaError

    tables = Tables(storage)
    for attempt in range(_RETRIES):
        delta = tables.ensure(one.table, one.schema, one.partition_by)
        if delta.transaction_version(app_id) == one.number:
            return delta.version()
        if plan is None or (plan.version or 0) != delta.version():
            if plan is not None:
                delete_data_files(storage, one.table, plan.written)
            plan = Planner(storage, one.table, delta, checked=checked).add(one.changes)
        actions = plan.actions()
        if not actions:
            delete_data_files(storage, one.table, plan.unused)
            return delta.version()
        try:
            delta.create_write_transaction(
                actions,
                mode="append",
                schema=delta.schema(),
                partition_by=list(one.partition_by),
                commit_properties=CommitProperties(
                    custom_metadata={"run_id": run_id},
                    max_commit_retries=0,  # a newer version is planned for anew, here
                    app_transactions=[Transaction(app_id, one.number)],
                ),
                # Ours come last: a checkpoint that fails must not look like a commit that failed.
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except CommitFailedError as error:
            _log.info("table %s: %s; planning anew", one.table, error)
            time.sleep(min(0.01 * 2**attempt, 1.0))
        except (DeltaError, OSError) as error:
            raise storage_error(f"committing to {storage.uri(table_path(one.table))}", error) from error
        else:
            delta.update_incremental()
            tables.sync_log(one.table, delta.version())
            delete_data_files(storage, one.table, plan.unused)
            return delta.version()
    raise ConflictError(
        f"table {one.table}: other writers were faster {_RETRIES} times", hint="run the same command again"
    )


def _is_made(storage: Storage, app_id: str, one: _Work) -> bool:
    """Whether a transaction that reported a failure took place all the same."""
    tables = Tables(storage)
    return tables.exists(one.table) and tables.open(one.table).transaction_version(app_id) == one.number


def _checkpoint(storage: Storage, versions: Mapping[str, int]) -> None:
    """Sum up the logs that have grown; without this, opening a table takes longer with every commit."""
    from deltalake.exceptions import DeltaError

    tables = Tables(storage)
    for table, version in versions.items():
        if version and version % CHECKPOINT_EVERY == 0:
            try:
                tables.open(table).create_checkpoint()
            except (DeltaError, OSError) as error:
                # The commit stands without it, and the next one due will cover this one too.
                _log.warning("table %s: no checkpoint was written (%s)", table, error)


def _delete_written(storage: Storage, plans: Mapping[str, Plan]) -> None:
    for table, plan in plans.items():
        delete_data_files(storage, table, plan.written)
