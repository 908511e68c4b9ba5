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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from .constraints import Bound, Constraint, both, equal_to, filters, is_impossible
from .exclusions import excluded_wells
from .messages import cleaned
from .moment import Moment
from .relations import IMAGE_KEY, WELL_KEY, AttachedRelation, Relation, SetView
from .result import TableScan

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.scan import Scan, ScanFile
    from .library import Definition

#: Arrow type → SQL type, of those that were met.
_SQL_TYPES: dict[Any, str] = {}
#: Of more files than this the footers are not kept: most questions run once, and keeping takes as long as it spares.
_FEW_FILES = 64
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
        # A question is bound three times before it runs: one look at a file's footer is enough.
        "parquet_metadata_cache = true",
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

    def bind(self, relation: Relation, constraint: Constraint, *, names: Collection[str] | None = None) -> None:
        """Make ``relation`` a view over the files that may hold rows satisfying ``constraint``.

        Parameters
        ----------
        names
            The columns, in lower case, that anybody may ask for, where that is known. The view then has only these of
            its columns, and what it takes from other tables is joined only where it is asked for: DuckDB does not see
            by itself that such a join changes nothing.
        """
        if isinstance(relation, SetView):
            body = self._view(relation, constraint, names)
        elif isinstance(relation, AttachedRelation):
            from .foreign import select_attached

            body = select_attached(self, relation, constraint)
        else:
            schema = _narrowed(relation.schema, names)
            body = self._table(relation.name, schema, constraint, label=relation.name)
        try:
            self.connection.execute(f"CREATE VIEW {quoted(relation.name)} AS {body}").fetchall()
        except duckdb.Error as error:
            raise cleaned(error, "", paths=self.paths) from error

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
            f"parquet_metadata_cache = {str(len(self.paths) <= _FEW_FILES).lower()}",
            f"allowed_paths = [{allowed}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self.connection.execute(f"SET GLOBAL {setting}").fetchall()

    def _view(self, view: SetView, constraint: Constraint, names: Collection[str] | None) -> str:
        shown = _narrowed(view.schema, names).names
        of_wells = [name for name in shown if name in view.well_columns]
        of_images = [name for name in shown if name in view.pixel_columns]
        label = f"wells of {view.name}"
        resolved = self._plates_of_wells(view, constraint, label=label)
        if resolved is not None:
            constraint = both(constraint, resolved)
        parts = []
        own = [name for name in shown if name not in {*view.well_columns, *view.pixel_columns, view.label_column}]
        for table, studies in view.members.items():
            schema = self.moment.schema(table)
            schema = _picked(schema, {*own, *IMAGE_KEY})
            here = both(constraint, {"study_id": equal_to(studies)})
            rows = self._table(table, schema, here, label=table)
            parts.append(f"SELECT *, {text(view.labels[table])} AS {view.label_column} FROM ({rows})")
        columns = []
        for name in shown:
            if name == "excluded" and of_wells:
                columns.append("coalesce(w.excluded, false) AS excluded")
            else:
                alias = "w" if name in of_wells else "i" if name in of_images else "f"
                columns.append(f"{alias}.{quoted(name)}")
        objects = " UNION ALL BY NAME ".join(f"({part})" for part in parts) or self._empty(_own_columns(view))
        query = f"SELECT {', '.join(columns)} FROM ({objects}) f"
        if of_images:
            images = self._joined("images", [*IMAGE_KEY, *of_images], IMAGE_KEY, constraint, f"images of {view.name}")
            query += f" LEFT JOIN ({images}) i ON {_equal('i', IMAGE_KEY)}"
        if of_wells:
            told = None if resolved is not None else label
            wells = self._joined("wells", [*WELL_KEY, *of_wells, "excluded"], WELL_KEY, constraint, told)
            query += f" LEFT JOIN ({wells}) w ON {_equal('w', WELL_KEY)} WHERE NOT coalesce(w.excluded, false)"
        elif view.well_columns:
            excluded = excluded_wells(self, constraint, label=label)
            if excluded.num_rows:
                query += f" ANTI JOIN ({self.held(excluded)}) w ON {_equal('w', WELL_KEY)}"
        return query

    def _joined(
        self, table: str, columns: Sequence[str], key: Sequence[str], constraint: Constraint, label: str | None
    ) -> str:
        """Return a SELECT of some columns of a table whose rows are joined by ``key``, those left out that never match.

        Without a ``label`` its files have been counted.
        """
        on_key = {name: bound for name, bound in constraint.items() if name in key}
        rows = self._table(table, _picked(self.moment.schema(table), columns), on_key, label=label)
        return f"SELECT * FROM ({rows}) WHERE {condition_of(on_key)}" if on_key else rows

    def _plates_of_wells(self, view: SetView, constraint: Constraint, *, label: str) -> Constraint | None:
        """Return the plates that have a well satisfying ``constraint``: the small side of the join, asked first.

        None where nothing is said about wells; no constraint where there are too many plates to list.
        """
        on_wells = {name: bound for name, bound in constraint.items() if name in view.well_columns}
        if not on_wells:
            return None
        wells = self._joined("wells", [*WELL_KEY, *on_wells], WELL_KEY, constraint, label)
        query = (
            f"SELECT DISTINCT study_id, plate_id FROM ({wells}) WHERE {condition_of(on_wells)} LIMIT {_MANY_PLATES + 1}"
        )
        try:
            plates = self.connection.execute(query).fetchall()
        except duckdb.Error as error:
            raise cleaned(error, query, paths=self.paths) from error
        if len(plates) > _MANY_PLATES:
            return {}
        return {"study_id": equal_to(row[0] for row in plates), "plate_id": equal_to(row[1] for row in plates)}

    def count(self, label: str, table: str, scan: Scan | None, *, opened: int) -> None:
        """Say how many files of a table are read."""
        version, considered = (None, 0) if scan is None else (scan.version, scan.considered)
        self.scans.append(TableScan(label, table, version, considered, opened))

    def _table(self, table: str, schema: pa.Schema, constraint: Constraint, *, label: str | None) -> str:
        """Return a SELECT of all columns of ``schema`` over the files of one table that ``constraint`` leaves."""
        from ..store.datafiles import statistics_columns

        prunable = statistics_columns(self.moment.schema(table), key=self.moment.root.tables.key(table))
        scan = self.moment.scan(table, filters(constraint, prunable))
        files = [] if scan is None or is_impossible(constraint) else list(scan.files)
        if label is not None:
            self.count(label, table, scan, opened=len(files) if scan is None or scan.plain else scan.considered)
        if scan is not None and not scan.plain:
            return self.held(scan.read(schema.names))
        if scan is None or not files:
            return self._empty(schema)
        return self._parquet(scan, files, schema)

    def _parquet(self, scan: Scan, files: Sequence[ScanFile], schema: pa.Schema) -> str:
        """Return a SELECT over Parquet files: one ``read_parquet`` for all that have the same columns."""
        root = self.moment.root.storage.url
        folders = {file.uri.rpartition("/")[0].removeprefix(root) for file in files}
        # DuckDB believes the first `study_id=` of a path, also one above the lake.
        hive = all(_says(folder, scan.partition_by) for folder in folders) and not any(
            f"/{key}=" in root for key in scan.partition_by
        )
        arms = []
        for mark, group in replace(scan, files=tuple(files)).groups_by_fingerprint().items():
            if hive:
                arms.append(self._arm(mark, group, schema, scan, {}))
                continue
            parts: dict[tuple[Any, ...], list[ScanFile]] = {}
            for file in group:
                parts.setdefault(tuple(file.partition[key] for key in scan.partition_by), []).append(file)
            for values, some in parts.items():
                arms.append(self._arm(mark, some, schema, scan, dict(zip(scan.partition_by, values, strict=True))))
        return " UNION ALL ".join(arms)

    def _arm(
        self, mark: str, files: Sequence[ScanFile], schema: pa.Schema, scan: Scan, given: Mapping[str, Any]
    ) -> str:
        """Return a SELECT of all columns over files with the same columns; those that they lack are NULL.

        Parameters
        ----------
        mark
            The fingerprint of the files' columns.
        given
            Partition column → the value that it has in all of the files; empty where their paths say it.
        """
        types = dict(zip(schema.names, self.types(schema), strict=True))
        options, present = "hive_partitioning = false", self._stored(mark, files[0])
        if scan.partition_by and not given:
            partition = _picked(scan.schema, scan.partition_by)
            kinds = ", ".join(f"{text(n)}: {k}" for n, k in zip(partition.names, self.types(partition), strict=True))
            options = f"hive_partitioning = true, hive_types_autocast = false, hive_types = {{{kinds}}}"
            present = present | {name.lower() for name in scan.partition_by}
        uris = [file.uri for file in files]
        self.paths += uris
        columns = []
        for name in schema.names:
            if given.get(name) is not None:
                columns.append(f"{literal(given[name])}::{types[name]} AS {quoted(name)}")
            elif name.lower() in present and name not in given:
                columns.append(quoted(name))
            else:
                columns.append(f"NULL::{types[name]} AS {quoted(name)}")
        return f"SELECT {', '.join(columns)} FROM {_read_parquet(uris, options)}"

    def sources(self, scan: Scan, files: Sequence[ScanFile]) -> Iterator[tuple[str, list[str], frozenset[str]]]:
        """Yield what to select from for files with the same columns, their addresses, and their columns' names.

        ``filename`` is a column too; the partition columns are not. The names are in lower case.
        """
        for mark, group in replace(scan, files=tuple(files)).groups_by_fingerprint().items():
            uris = [file.uri for file in group]
            self.paths += uris
            yield _read_parquet(uris, "hive_partitioning = false, filename = true"), uris, self._stored(mark, group[0])

    def _stored(self, mark: str, file: ScanFile) -> frozenset[str]:
        """Return the columns, in lower case, that files with this fingerprint have; one is looked into once."""
        kept = self.moment.root.snapshots
        known: frozenset[str] | None = kept.recall(("columns", mark))
        if known is None:
            source = _read_parquet([file.uri], "hive_partitioning = false")
            try:
                known = frozenset(name.lower() for name in self.connection.sql(f"SELECT * FROM {source}").columns)
            except duckdb.Error as error:
                raise cleaned(error, "", paths=[file.uri]) from error
            kept.keep(("columns", mark), known)
        return known

    def types(self, schema: pa.Schema) -> list[str]:
        """Return the SQL types of columns."""
        import pyarrow as pa

        from ..store.arrays import no_rows

        unknown = dict.fromkeys(kind for kind in schema.types if kind not in _SQL_TYPES)
        if unknown:
            name = self._next_name()
            empty = no_rows(pa.schema([(str(k), kind) for k, kind in enumerate(unknown)]))
            self.connection.register(name, empty)
            found = self.connection.sql(f"SELECT * FROM {quoted(name)}").types
            self.connection.unregister(name)
            _SQL_TYPES.update(zip(unknown, map(str, found), strict=True))
        return [_SQL_TYPES[kind] for kind in schema.types]

    def _empty(self, schema: pa.Schema) -> str:
        from ..store.arrays import no_rows

        return self.held(no_rows(schema))

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


def _narrowed(schema: pa.Schema, names: Collection[str] | None) -> pa.Schema:
    """Return the columns that are among ``names``, in lower case; the first one if there is none, all if unknown."""
    if names is None:
        return schema
    return _picked(schema, {name for name in schema.names if name.lower() in names} or {schema.names[0]})


def _picked(schema: pa.Schema, names: Collection[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in schema if field.name in names])


def _read_parquet(uris: Sequence[str], options: str) -> str:
    return f"read_parquet([{', '.join(text(uri) for uri in uris)}], {options})"


def _says(folder: str, partition_by: Sequence[str]) -> bool:
    """Whether the folders of a path say all partition values."""
    parts = folder.split("/")
    return all(any(part.startswith(f"{name}=") for part in parts) for name in partition_by)


def condition_of(constraint: Constraint) -> str:
    """Return what rows have to satisfy, in SQL."""
    return " AND ".join(_condition(name, bound) for name, bound in constraint.items())


def _condition(name: str, bound: Bound) -> str:
    parts = [f"{quoted(name)} {operator} {literal(value)}" for operator, value in sorted(bound.ranges, key=str)]
    if bound.values is not None:
        values = ", ".join(literal(value) for value in bound.values)
        parts.append(f"{quoted(name)} IN ({values})" if values else "false")
    return " AND ".join(parts) or "true"


def literal(value: str | int) -> str:
    """Return a value as SQL writes it."""
    return text(value) if isinstance(value, str) else str(value)
