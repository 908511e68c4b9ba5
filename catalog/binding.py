"""A fresh DuckDB connection in which each name of a question stands for just the files that matter to it.

The connection lives in memory, sees no other file (``allowed_paths`` names those that were bound, everything else is
off) and nothing of the Python process, and cannot be reconfigured. Together with :mod:`.statement`, which lets only
reading statements through, that is a safety belt for people you trust; strangers' questions need a process of their
own with limits.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from .constraints import Bound, Constraint, both, equal_to, filters, is_impossible
from .messages import cleaned
from .moment import Moment
from .relations import IMAGE_KEY, WELL_KEY, AttachedRelation, Relation, SetView
from .result import TableScan

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.scan import Scan, ScanFile
    from .library import Definition

#: More plates than this are not listed one by one to choose files: most files would be opened anyway.
_MANY_PLATES = 2000


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def open_connection(moment: Moment) -> duckdb.DuckDBPyConnection:
    """Return a connection that has read nothing yet."""
    connection = duckdb.connect(":memory:")
    spill = Path(tempfile.gettempdir()) / f"cytolake-{os.getpid()}"
    for setting in (
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "TimeZone = 'UTC'",
        f"temp_directory = {text(str(spill))}",
    ):
        # GLOBAL: cursors are connections of their own, and take nothing else over.
        connection.execute(f"SET GLOBAL {setting}").fetchall()
    filesystem = moment.root.storage.duckdb_filesystem()
    if filesystem is not None:
        connection.register_filesystem(filesystem)
    return connection


class Binder:
    """Makes the views of one connection, and counts the files behind them.

    Attributes
    ----------
    scans
        What has been bound so far.
    paths
        The data files behind it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, moment: Moment) -> None:
        self.connection = connection
        self.moment = moment
        self.scans: list[TableScan] = []
        self.paths: list[str] = []
        self._made = 0

    def bind(self, relation: Relation, constraint: Constraint, *, pixel_sizes: bool = True) -> None:
        """Make ``relation`` a view over the files that may hold rows satisfying ``constraint``.

        Without ``pixel_sizes`` a view of objects lacks these columns, and ``images`` is not read: joining it costs, and
        DuckDB does not see that the join changes nothing where its columns are not asked for.
        """
        if isinstance(relation, SetView):
            body = self._view(relation, constraint, pixel_sizes=pixel_sizes)
        elif isinstance(relation, AttachedRelation):
            from .foreign import select_attached

            body = select_attached(self, relation, constraint)
        else:
            body = self._table(relation.name, relation.schema, constraint, label=relation.name)
        self.connection.execute(f"CREATE VIEW {quoted(relation.name)} AS {body}").fetchall()

    def define(self, definitions: Sequence[Definition]) -> None:
        """Make macros and views of the library, whose tables have been bound."""
        for one in definitions:
            try:
                self.connection.execute(one.statement).fetchall()
            except duckdb.Error as error:
                raise cleaned(error, one.statement, paths=self.paths) from error

    def lock(self) -> None:
        """Let the connection read what was bound, and nothing else, from now on."""
        allowed = ", ".join(text(path) for path in dict.fromkeys(self.paths))
        for setting in (
            f"allowed_paths = [{allowed}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self.connection.execute(f"SET GLOBAL {setting}").fetchall()

    def _view(self, view: SetView, constraint: Constraint, *, pixel_sizes: bool) -> str:
        wells = None
        if view.well_columns:
            on_identity = {name: bound for name, bound in constraint.items() if name in WELL_KEY}
            on_wells = {name: bound for name, bound in constraint.items() if name in view.well_columns}
            wells = self._table("wells", self.moment.schema("wells"), on_identity, label=f"wells of {view.name}")
            constraint = both(constraint, self._plates_of_wells(wells, on_wells))
        parts = []
        for table, studies in view.members.items():
            schema = self.moment.schema(table)
            here = both(constraint, {"study_id": equal_to(studies)})
            rows = self._table(table, schema, here, label=table)
            parts.append(f"SELECT *, {text(view.labels[table])} AS {view.label_column} FROM ({rows})")
        columns = []
        for name in view.schema.names:
            if name == "excluded" and wells is not None:
                columns.append("coalesce(w.excluded, false) AS excluded")
            elif name not in view.pixel_columns:
                columns.append(f"{'w' if name in view.well_columns else 'f'}.{quoted(name)}")
            elif pixel_sizes:
                columns.append(f"i.{quoted(name)}")
        objects = " UNION ALL BY NAME ".join(f"({part})" for part in parts) or self._empty(_own_columns(view))
        query = f"SELECT {', '.join(columns)} FROM ({objects}) f"
        if pixel_sizes and view.pixel_columns:
            on_image = {name: bound for name, bound in constraint.items() if name in IMAGE_KEY}
            images = self._table("images", self.moment.schema("images"), on_image, label=f"images of {view.name}")
            query += f" LEFT JOIN ({images}) i ON {_equal('i', IMAGE_KEY)}"
        if wells is not None:
            query += f" LEFT JOIN ({wells}) w ON {_equal('w', WELL_KEY)} WHERE NOT coalesce(w.excluded, false)"
        return query

    def _plates_of_wells(self, wells: str, constraint: Constraint) -> Constraint:
        """Return the plates that have a well satisfying ``constraint``: the small side of the join, asked first."""
        if not constraint:
            return {}
        where = " AND ".join(_condition(name, bound) for name, bound in constraint.items())
        query = f"SELECT DISTINCT study_id, plate_id FROM ({wells}) WHERE {where} LIMIT {_MANY_PLATES + 1}"
        plates = self.connection.execute(query).fetchall()
        if len(plates) > _MANY_PLATES:
            return {}
        return {"study_id": equal_to(row[0] for row in plates), "plate_id": equal_to(row[1] for row in plates)}

    def _table(self, table: str, schema: pa.Schema, constraint: Constraint, *, label: str) -> str:
        """Return a SELECT of all columns of ``schema`` over the files of one table that ``constraint`` leaves."""
        from ..store.datafiles import statistics_columns

        prunable = statistics_columns(schema, key=self.moment.root.tables.key(table))
        scan = self.moment.scan(table, filters(constraint, prunable))
        if scan is None:
            self.scans.append(TableScan(label, table, None, 0, 0))
            return self._empty(schema)
        files = [] if is_impossible(constraint) else list(scan.files)
        opened = len(files) if scan.plain else scan.considered
        self.scans.append(TableScan(label, table, scan.version, scan.considered, opened))
        if not scan.plain:
            return self.held(scan.read())
        if not files:
            return self._empty(schema)
        return self._parquet(scan, files, schema)

    def _parquet(self, scan: Scan, files: Sequence[ScanFile], schema: pa.Schema) -> str:
        """Return a SELECT over Parquet files: one ``read_parquet`` for all that have the same columns."""
        types = dict(zip(schema.names, self.types(schema), strict=True))
        root = self.moment.root.storage.url
        # DuckDB believes the first `study_id=` of a path, also one above the lake.
        hive = all(_is_hive(file, root) for file in files) and not any(f"/{key}=" in root for key in scan.partition_by)
        wanted = {file.uri for file in files}
        arms = []
        for group in scan.groups_by_fingerprint().values():
            kept = [file for file in group if file.uri in wanted]
            if hive:
                arms += [self._arm([file.uri for file in kept], schema, types, scan.partition_by, {})] if kept else []
                continue
            parts: dict[tuple[Any, ...], list[str]] = {}
            for file in kept:
                parts.setdefault(tuple(file.partition[key] for key in scan.partition_by), []).append(file.uri)
            for values, uris in parts.items():
                given = dict(zip(scan.partition_by, values, strict=True))
                arms.append(self._arm(uris, schema, types, (), given))
        return " UNION ALL ".join(arms)

    def _arm(
        self,
        uris: list[str],
        schema: pa.Schema,
        types: Mapping[str, str],
        partition_by: Sequence[str],
        given: Mapping[str, Any],
    ) -> str:
        """Return a SELECT of all columns over files with the same columns; those that they lack are NULL.

        Parameters
        ----------
        partition_by
            Columns whose values are in the files' paths.
        given
            Column → the value that it has in all of the files.
        """
        hive = ", hive_partitioning = false"
        if partition_by:
            kinds = ", ".join(f"{text(name)}: {types[name]}" for name in partition_by)
            hive = f", hive_partitioning = true, hive_types_autocast = false, hive_types = {{{kinds}}}"
        self.paths += uris
        source = f"read_parquet([{', '.join(text(uri) for uri in uris)}]{hive})"
        try:
            present = {name.lower() for name in self.connection.sql(f"SELECT * FROM {source}").columns}
        except duckdb.Error as error:
            raise cleaned(error, "", paths=uris) from error
        columns = []
        for name in schema.names:
            if given.get(name) is not None:
                columns.append(f"{_literal(given[name])}::{types[name]} AS {quoted(name)}")
            elif name.lower() in present:
                columns.append(quoted(name))
            else:
                columns.append(f"NULL::{types[name]} AS {quoted(name)}")
        return f"SELECT {', '.join(columns)} FROM {source}"

    def types(self, schema: pa.Schema) -> list[str]:
        """Return the SQL types of columns."""
        name = self._next_name()
        self.connection.register(name, schema.empty_table())
        types = [str(kind) for kind in self.connection.sql(f"SELECT * FROM {quoted(name)}").types]
        self.connection.unregister(name)
        return types

    def _empty(self, schema: pa.Schema) -> str:
        return self.held(schema.empty_table())

    def held(self, rows: pa.Table) -> str:
        """Copy rows into the connection, and return a SELECT of them."""
        name = self._next_name()
        self.connection.register(f"{name}_arrow", rows)
        self.connection.execute(f"CREATE TABLE {quoted(name)} AS FROM {quoted(f'{name}_arrow')}").fetchall()
        self.connection.unregister(f"{name}_arrow")
        return f"SELECT * FROM {quoted(name)}"

    def _next_name(self) -> str:
        self._made += 1
        return f"cytolake:{self._made}"


def _own_columns(view: SetView) -> pa.Schema:
    """Return the columns of a view that are not joined to its rows."""
    import pyarrow as pa

    return pa.schema([field for field in view.schema if field.name not in {*view.well_columns, *view.pixel_columns}])


def _equal(alias: str, key: Sequence[str]) -> str:
    return " AND ".join(f"f.{name} = {alias}.{name}" for name in key)


def _is_hive(file: ScanFile, root: str) -> bool:
    """Whether the folders of a file say all its partition values."""
    folders = file.uri.removeprefix(root).split("/")
    return all(any(folder.startswith(f"{name}=") for folder in folders) for name in file.partition)


def _condition(name: str, bound: Bound) -> str:
    parts = [f"{quoted(name)} {operator} {_literal(value)}" for operator, value in sorted(bound.ranges, key=str)]
    if bound.values is not None:
        values = ", ".join(_literal(value) for value in bound.values)
        parts.append(f"{quoted(name)} IN ({values})" if values else "false")
    return " AND ".join(parts) or "true"


def _literal(value: str | int) -> str:
    return text(value) if isinstance(value, str) else str(value)


def column_kinds(schema: pa.Schema) -> Mapping[str, type]:
    """Return what the planner needs to know of a table's columns: lower case → ``str``, ``int`` or ``object``."""
    import pyarrow as pa

    return {
        field.name.lower(): str
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        else int
        if pa.types.is_integer(field.type)
        else object
        for field in schema
    }
