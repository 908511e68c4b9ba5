"""Carrying out a commit that has been decided, by the process that decided it or by the next one.

A journal holds intentions (see :mod:`.changes`) whose data files are written. Each of its tables gets one
transaction, which carries the commit's ``app_id`` and a number of its own: a table whose log has that number is done.
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
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import ConflictError, CytolakeError, NotFoundError, StorageError
from .changes import Change, Plan, Planner
from .datafiles import delete_data_files, table_path
from .storage import Storage, storage_error
from .tables import CHECKPOINT_EVERY, Tables

if TYPE_CHECKING:
    from .root import LakeRoot

# Not in staging/: that may be deleted at any time, and a decided commit must not be lost with it.
JOURNALS = "tables/_journal"
#: name of the lock that is held while a commit is decided and carried out
LOCK = "commit"
_LEASE = 600.0  # seconds after which a journal on an object store, where nobody holds a lock, counts as abandoned
_RETRIES = 20
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Work:
    """What a commit does to one table."""

    table: str
    schema: pa.Schema
    partition_by: tuple[str, ...]
    number: int = 0  # of the app transaction
    changes: list[Change] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which :meth:`from_json` makes an equal object."""
        return {
            "table": self.table,
            "schema": b64encode(self.schema.serialize().to_pybytes()).decode(),
            "partition_by": list(self.partition_by),
            "number": self.number,
            "changes": [change.to_json() for change in self.changes],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Work:
        """Return the object that :meth:`to_json` described."""
        return cls(
            table=values["table"],
            schema=pa.ipc.read_schema(pa.py_buffer(b64decode(values["schema"]))),
            partition_by=tuple(values["partition_by"]),
            number=values["number"],
            changes=[Change.from_json(change) for change in values["changes"]],
        )


def journal_path(app_id: str) -> str:
    """Return where the journal of a commit about ``app_id`` lies: one at a time can exist."""
    return f"{JOURNALS}/{hashlib.sha256(app_id.encode()).hexdigest()[:32]}.json"


def recover(root: LakeRoot | Storage) -> list[str]:
    """Carry out the commits that were decided and then interrupted, and return their run ids.

    A commit that its process is still busy with is left to it.
    """
    storage = root if isinstance(root, Storage) else root.storage
    done: list[str] = []
    if storage.children(JOURNALS):
        with contextlib.suppress(ConflictError), storage.lock(LOCK):
            done = recover_locked(storage)
    return done


def recover_locked(storage: Storage) -> list[str]:
    """Do the same while the lock is held."""
    done = []
    for name in storage.children(JOURNALS):
        journal = f"{JOURNALS}/{name}"
        try:
            record = json.loads(storage.read(journal))
        except NotFoundError:
            continue  # its owner has just finished
        except ValueError as error:
            raise StorageError(
                f"{storage.uri(journal)}: the plan of an interrupted commit is damaged ({error})",
                hint="delete the file, then run `cytolake validate`: the last plate may have to be ingested again",
            ) from error
        if not storage.is_local and not _abandoned(record):
            continue
        _log.info("finishing the interrupted commit of run %s", record["run_id"])
        work = [Work.from_json(one) for one in record["work"]]
        apply(storage, journal, record["run_id"], record["app_id"], work, {}, decided=True)
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


def apply(
    storage: Storage,
    journal: str,
    run_id: str,
    app_id: str,
    work: Sequence[Work],
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
            delete_written(storage, plans)
            raise
        decided = True
    storage.delete(journal)
    _checkpoint(storage, versions)
    return versions


def _transact(storage: Storage, run_id: str, app_id: str, one: Work, plan: Plan | None, *, checked: bool) -> int:
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


def _is_made(storage: Storage, app_id: str, one: Work) -> bool:
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


def delete_written(storage: Storage, plans: Mapping[str, Plan]) -> None:
    """Remove the files that the planning of a commit wrote, when it will not be carried out."""
    for table, plan in plans.items():
        delete_data_files(storage, table, plan.written)
