"""Joining small files of a table: the same rows in fewer files, as one transaction that changes no data.

A lake gets a file per commit and study in each of its small tables. Files are joined that have the same columns (the
same fingerprint) and the same partition, and in tables of features and profiles the same plate: a file per plate is
what questions about a plate want. The new files are written as a commit writes its own, with the fingerprint in the
name and bounds of the identity columns in the log.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ConflictError, StorageError
from ..schemas.tables import TABLES
from .datafiles import (
    ROW_GROUP,
    DataFile,
    delete_data_files,
    describe_data_file,
    partition_folder,
    table_path,
    write_parquet,
)
from .journal import LOCK, recover_locked
from .scan import file_paths, live_files
from .storage import storage_error

if TYPE_CHECKING:
    from .root import LakeRoot

#: Files below this many bytes are small.
SMALL = 16 * 2**20
#: A joined file comes from about this many bytes.
TARGET = 64 * 2**20
#: Fewer small files than this beside each other are left alone: each joining writes them all anew.
FEWEST = 4
_WAIT = 120.0  # seconds for the commits of others
_RETRIES = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What was joined: how many files became how many."""

    joined: int = 0
    written: int = 0


def plan(table: str, files: Iterable[DataFile]) -> list[list[DataFile]]:
    """Return which files of a table to join, in the order of their rows; those of one list become one file."""
    groups: dict[tuple[Any, ...], list[DataFile]] = {}
    for file in files:
        if file.size < SMALL and file.fingerprint is not None and file.rows is not None:
            groups.setdefault(_group(table, file), []).append(file)
    bins: list[list[DataFile]] = []
    for group in groups.values():
        if len(group) < FEWEST:
            continue
        group.sort(key=_place)
        start, size = 0, 0
        for index, file in enumerate(group):
            if size + file.size > TARGET:
                bins.append(group[start:index])
                start, size = index, 0
            size += file.size
        bins.append(group[start:])
    return [one for one in bins if len(one) > 1]


def compact(root: LakeRoot, table: str, *, run_id: str) -> Compaction:
    """Join small files of a table until there are none to join.

    Writers may go on meanwhile: what they replaced is not touched, and they wait only while the log is written.

    Raises
    ------
    StorageError
        A file is missing or damaged, or the disk is full. The table is as it was.
    """
    joined, written = 0, 0
    while True:
        bins = plan(table, live_files(root.tables.open(table)))
        if not bins:
            break
        made: list[tuple[list[DataFile], DataFile]] = []
        try:
            for files in bins:
                whole = _join(root, table, files)
                made.append((files, whole))
            done = _commit(root, table, made, run_id=run_id)
        except BaseException:
            _take_back(root, table, [file for _, file in made])
            raise
        joined += sum(len(files) for files, _ in done)
        written += len(done)
        if len(done) < len(made):
            break  # somebody is at work on the table: the rest can wait for the next time
    return Compaction(joined=joined, written=written)


def _group(table: str, file: DataFile) -> tuple[Any, ...]:
    partition = tuple(sorted(file.partition_values.items()))
    if table in TABLES:
        return file.fingerprint, partition
    low, high, nulls = file.stats.get("plate_id", (None, None, 0))
    # Rows of several plates, and of none: only with their like.
    plate = low if low == high and not nulls else None
    return file.fingerprint, partition, plate


def _place(file: DataFile) -> tuple[str, ...]:
    """Return where a file's rows come among those of others, so that bounds stay narrow."""
    lows = (file.stats.get(name, (None, None, 0))[0] for name in ("study_id", "plate_id", "run_id"))
    return (*(str(low or "") for low in lows), file.path)


def _join(root: LakeRoot, table: str, files: Sequence[DataFile]) -> DataFile:
    """Write the rows of several files as one; nobody sees it yet."""
    storage = root.storage
    with _open(root, table, files[0]) as first:
        schema = first.schema_arrow
    folder = partition_folder(files[0].partition_values)
    path = f"{folder}part-{uuid.uuid4().hex}-s{files[0].fingerprint}.parquet"
    write_parquet(storage, f"{table_path(table)}/{path}", schema, _row_groups(root, table, files, schema))
    key = {*root.tables.key(table), *(name for file in files for name in file.stats)}
    whole = describe_data_file(storage, table, path, partition_values=files[0].partition_values, key=key)
    expected = sum(file.rows or 0 for file in files)
    if whole.rows != expected:
        delete_data_files(storage, table, [whole])
        raise StorageError(
            f"table {table}: {len(files)} files have {whole.rows} rows together, its log says {expected}",
            hint="run `cytolake validate --deep`; the files were left as they are",
        )
    return whole


def _row_groups(root: LakeRoot, table: str, files: Sequence[DataFile], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of files in pieces that make row groups of the usual size."""
    held: list[pa.Table] = []
    rows = 0
    for file in files:
        with _open(root, table, file) as source:
            for group in range(source.num_row_groups):
                try:
                    part = source.read_row_group(group).select(schema.names).cast(schema)
                except (OSError, pa.ArrowException) as error:
                    raise _unreadable(root, table, file, error) from error
                held.append(part)
                rows += part.num_rows
                if rows >= ROW_GROUP:
                    yield pa.concat_tables(held)
                    held, rows = [], 0
    if held:
        yield pa.concat_tables(held)


def _open(root: LakeRoot, table: str, file: DataFile) -> pq.ParquetFile:
    filesystem, base = root.storage.arrow_filesystem()
    try:
        return pq.ParquetFile(f"{base}/{table_path(table)}/{file.path}", filesystem=filesystem)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(root, table, file, error) from error


def _unreadable(root: LakeRoot, table: str, file: DataFile, error: BaseException) -> StorageError:
    where = root.storage.uri(f"{table_path(table)}/{file.path}")
    what = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
    return StorageError(
        f"{where} is named by the table's log and {what}", hint="run `cytolake validate --deep` to see what else is"
    )


def _commit(
    root: LakeRoot, table: str, made: Sequence[tuple[list[DataFile], DataFile]], *, run_id: str
) -> list[tuple[list[DataFile], DataFile]]:
    """Put the joined files in the place of those that are all still there, and return what was put."""
    from deltalake import CommitProperties, PostCommitHookProperties
    from deltalake.exceptions import CommitFailedError, DeltaError

    storage = root.storage
    for _ in range(_RETRIES):
        with storage.lock(LOCK, wait=_WAIT):
            recover_locked(storage)
            delta = root.tables.open(table)
            live = file_paths(delta)
            usable = [one for one in made if live.issuperset(file.path for file in one[0])]
            _take_back(root, table, [file for files, file in made if (files, file) not in usable])
            if not usable:
                return []
            try:
                delta.create_write_transaction(
                    _actions(usable),
                    mode="append",
                    schema=delta.schema(),
                    partition_by=list(delta.metadata().partition_columns),
                    commit_properties=CommitProperties(
                        custom_metadata={"run_id": run_id, "maintenance": "compaction"}, max_commit_retries=0
                    ),
                    post_commithook_properties=PostCommitHookProperties(
                        create_checkpoint=False, cleanup_expired_logs=False
                    ),
                )
            except CommitFailedError as error:
                _log.info("table %s: %s; compacting what is still there", table, error)
                made = usable
                continue
            except (DeltaError, OSError) as error:
                raise storage_error(f"committing to {storage.uri(table_path(table))}", error) from error
            root.tables.sync_log(table, delta.version() + 1)
            return usable
    raise ConflictError(f"table {table}: other writers were faster {_RETRIES} times", hint="run it again later")


def _actions(made: Sequence[tuple[list[DataFile], DataFile]]) -> list[Any]:
    return [
        *(file.remove_action(data_change=False) for files, _ in made for file in files),
        *(file.add_action(data_change=False) for _, file in made),
    ]


def _take_back(root: LakeRoot, table: str, files: Sequence[DataFile]) -> None:
    """Remove joined files, unless the table has them: a transaction that was interrupted may have taken place."""
    if files:
        live = file_paths(root.tables.open(table))
        delete_data_files(root.storage, table, [file for file in files if file.path not in live])
