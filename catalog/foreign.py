"""Delta tables that somebody else wrote, bound for a question: exactly their rows, or a refusal.

Three rungs, tried in this order. Files that DuckDB reads with just the types that the table's log declares are read
by DuckDB, those left out that the log's statistics rule out. What deltalake's engine must apply (deletion vectors,
mapped columns), and files whose types differ from the declared ones (older timestamps, structs that grew), are read by
the store, which conforms them or raises. Whatever else a table demands of its readers is refused by the store.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb

from ..errors import QueryError
from ..store.storage import open_storage, storage_errors
from .binding import Binder, quoted, text
from .constraints import Constraint, filters
from .messages import cleaned
from .moment import Versions
from .relations import AttachedRelation
from .result import TableScan

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.scan import Scan, ScanFile
    from .moment import Moment

TABLE = "attached_tables"


def find_attached(moment: Moment, name: str) -> AttachedRelation | None:
    """Return the attached table of a name, ignoring case; None where there is none.

    Raises
    ------
    QueryError
        A release is asked, which says nothing about a table that moves on without the lake.
    NotFoundError, UnsupportedTableError
        The table is no longer there, or can no longer be read rightly.
    """
    for row in attachments(moment):
        if row["name"].lower() == name.lower():
            version = _version_at(moment, row)
            scan = open_foreign(row["url"], version=version)
            return AttachedRelation(name=row["name"], url=row["url"], version=scan.version, schema=scan.schema)
    return None


def attachments(moment: Moment) -> list[dict[str, Any]]:
    """Return what was attached, by name."""
    return sorted(moment.rows(TABLE), key=lambda row: str(row["name"]))


def open_foreign(url: str, constraint: Constraint | None = None, *, version: int | None = None) -> Scan:
    """Return which files of a foreign table a constraint leaves.

    Columns that the constraint names and the log has no statistics of decide nothing.
    """
    from ..store.scan import scan_foreign

    if not constraint:
        return scan_foreign(url, version=version)
    names = {name.lower(): name for name in scan_foreign(url, version=version).schema.names}
    known = {names[name]: bound for name, bound in constraint.items() if name in names}
    return scan_foreign(url, filters(known, known), version=version)


def _version_at(moment: Moment, row: Mapping[str, Any]) -> int | None:
    pinned: int | None = row["version"]
    if isinstance(moment.at, Versions):
        return moment.at.pins.get(str(row["name"]).lower(), pinned)
    if pinned is not None or moment.at is None:
        return pinned
    if not isinstance(moment.at, datetime):
        raise QueryError(
            f"{row['name']} was attached without a version, so {moment} does not say how it was",
            hint=f"attach it at a version: `cytolake catalog attach {row['url']} --name {row['name']} --version N`",
        )
    from deltalake import DeltaTable

    storage = open_storage(row["url"])
    until = moment.at.timestamp() * 1000
    with storage_errors(f"reading the log of {row['name']}"):
        history = DeltaTable(storage.url, storage_options=storage.delta_options() or None).history()
    times: list[tuple[int | None, int]] = [(entry.get("timestamp"), entry["version"]) for entry in history]
    found = [version for time, version in times if time is not None and time <= until]
    if not found:
        raise QueryError(
            f"{row['name']} has no version from before {moment.at:%Y-%m-%d %H:%M} UTC in its log",
            hint=f"its log begins with version {min(version for _, version in times)}",
        )
    return max(found)


def select_attached(binder: Binder, relation: AttachedRelation, constraint: Constraint) -> str:
    """Return a SELECT of exactly the rows of an attached table, those that ``constraint`` excludes left out at will."""
    schema = relation.schema
    scan = open_foreign(relation.url, constraint, version=relation.version)
    arms = None
    if scan.plain:
        _let_read(binder.connection, relation.url)
        arms = _arms(binder, scan, schema)
    opened = len(scan.files) if scan.plain else scan.considered
    binder.scans.append(TableScan(relation.name, relation.url, scan.version, scan.considered, opened))
    if arms is None:
        return binder.held(scan.read())
    binder.paths += [file.uri for file in scan.files]
    return " UNION ALL ".join(arms) or binder.held(schema.empty_table())


def _arms(binder: Binder, scan: Scan, schema: pa.Schema) -> list[str] | None:
    """Return a SELECT for the files of every schema and partition; None where DuckDB reads some types otherwise."""
    types = binder.types(schema)
    declared = {name.lower(): (name, kind) for name, kind in zip(schema.names, types, strict=True)}
    arms = []
    for files in _alike(scan).values():
        partition = {name.lower(): _value(value) for name, value in files[0].partition.items()}
        given = {name: value for name, value in partition.items() if value is not None}
        if len(given) < len(partition):
            return None
        source = f"read_parquet([{', '.join(text(file.uri) for file in files)}], hive_partitioning = false)"
        try:
            shape = binder.connection.sql(f"SELECT * FROM {source}")
        except duckdb.Error as error:
            raise cleaned(error, "", paths=[file.uri for file in files]) from error
        stored = dict(zip((name.lower() for name in shape.columns), map(str, shape.types), strict=True))
        if len(stored) < len(shape.columns):
            return None
        if any(kind != declared[name][1] for name, kind in stored.items() if name in declared and name not in given):
            return None
        columns = []
        for name, (shown, kind) in declared.items():
            value = given[name] if name in given else quoted(shown) if name in stored else "NULL"
            columns.append(f"{value}::{kind} AS {quoted(shown)}" if name in given or name not in stored else value)
        arms.append(f"SELECT {', '.join(columns)} FROM {source}")
    return arms


def _alike(scan: Scan) -> dict[tuple[Any, ...], list[ScanFile]]:
    found: dict[tuple[Any, ...], list[ScanFile]] = {}
    for mark, group in scan.groups_by_fingerprint().items():
        for file in group:
            found.setdefault((mark, *map(repr, file.partition.values())), []).append(file)
    return found


def _value(value: Any) -> str | None:
    """Return a partition's value as a text to cast; None where text does not say it exactly."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float | str | Decimal):
        return text(str(value))
    if isinstance(value, date):  # a datetime too
        return text(value.isoformat())
    return None


def _let_read(connection: duckdb.DuckDBPyConnection, url: str) -> None:
    """Make what an ``s3://`` URL needs, where the lake itself is not on an object store."""
    scheme = url.partition("://")[0]
    if "://" in url and scheme not in connection.list_filesystems():
        filesystem = open_storage(url).duckdb_filesystem()
        if filesystem is not None:
            connection.register_filesystem(filesystem)
