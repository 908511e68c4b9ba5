"""Small tables asked first: which plates a question is about, when a table that it joins says so.

``FROM cells JOIN wells USING (study_id, plate_id, well_id) WHERE wells.compound = 'x'`` says nothing about the columns
by which files of cells can be chosen; the wells that satisfy the condition do. The condition is asked of the small
table as the question writes it, so it may be anything that depends on nothing but a row: a pattern, a function, a
comparison of two columns. DuckDB's own reading of the text is compared with its reading of the question; what differs
is not asked.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Self

import duckdb
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from .binding import Binder, condition_of, literal, open_connection, quoted
from .constraints import Bound, Constraint, both, equal_to, filters, is_impossible
from .foreign import open_foreign
from .messages import cleaned
from .relations import AttachedRelation, Relation, SetView, TableRelation
from .syntax import nodes

if TYPE_CHECKING:
    from .moment import Moment
    from .statement import Statement

#: More values than these are not listed to choose files: most files would be opened anyway.
MANY_VALUES = 2000
#: Rows that a table has at most to be asked first: a hundred thousand plates of 384 wells would be too many.
MANY_ROWS = 20_000_000
#: Tables that are asked for one question.
_MOST_ASKED = 16
_PLACES = {"query_location", "query_location_length"}


class SmallTables:
    """Looks into the small tables of one question, while it is planned.

    Parameters
    ----------
    connections
        Gets the connection that is used, for whoever has to interrupt it.
    """

    def __init__(
        self,
        moment: Moment,
        relations: Mapping[str, Relation],
        statement: Statement,
        connections: list[duckdb.DuckDBPyConnection],
    ) -> None:
        self.moment = moment
        self.relations = relations
        self.statement = statement
        #: How many tables were asked.
        self.asked = 0
        self._connections = connections
        self._answers: dict[Any, Constraint] = {}
        self._read: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "connection" in self.__dict__:
            self._connections.remove(self.connection)
            self.connection.close()

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """A connection for these questions: the names that they need are taken in that of the question itself."""
        made = open_connection(self.moment)
        self._connections.append(made)
        return made

    @cached_property
    def _binder(self) -> Binder:
        return Binder(self.connection, self.moment)  # one, since it counts the names that it makes

    def is_worth(self, table: str, constraint: Constraint) -> bool:
        """Whether knowing more than ``constraint`` could spare files of a relation: it has several that are left."""
        relation = self.relations.get(table)
        if relation is None or is_impossible(constraint):
            return False
        return self._files(relation, constraint) > 1

    def ask(
        self, table: str, alias: str, keys: Sequence[str], constraint: Constraint, conditions: Sequence[exp.Expression]
    ) -> Constraint:
        """Return the values of ``keys`` in the rows of a small table that satisfy everything.

        Returns
        -------
        Column → its values; columns with very many values are left out, and all are where the table is not small.
        """
        relation = self.relations.get(table)
        if relation is None or isinstance(relation, SetView) or is_impossible(constraint):
            return {}
        kinds = {name.lower() for name in relation.schema.names}
        wanted = [name for name in dict.fromkeys(keys) if name in kinds]
        texts = [one for one in (self._as_asked(part) for part in conditions) if one is not None]
        if not wanted or not (texts or constraint) or not self.is_small(relation, constraint):
            return {}
        known = tuple(sorted((name, str(bound)) for name, bound in constraint.items()))
        key = (table, alias.lower(), tuple(wanted), known, tuple(texts))
        if key not in self._answers:
            if self.asked >= _MOST_ASKED:
                return {}
            self.asked += 1
            self._answers[key] = self._ask(relation, alias, wanted, constraint, texts)
        return self._answers[key]

    def _ask(
        self, relation: Relation, alias: str, keys: Sequence[str], constraint: Constraint, texts: Sequence[str]
    ) -> Constraint:
        conditions = [condition_of(constraint)] if constraint else []
        where = " AND ".join(f"({part})" for part in [*conditions, *texts])
        columns = ", ".join(quoted(name) for name in keys)
        lists = ", ".join(
            f"(SELECT list(k) FROM (SELECT DISTINCT {quoted(name)} AS k FROM picked WHERE {quoted(name)} IS NOT NULL"
            f" LIMIT {MANY_VALUES + 1}))"
            for name in keys
        )
        query = (
            f"WITH picked AS MATERIALIZED (SELECT DISTINCT {columns} FROM {quoted(relation.name)} AS {quoted(alias)}"
            f" WHERE {where}) SELECT {lists}"
        )
        with self.bound(relation, constraint) as paths:
            try:
                (found,) = self.connection.execute(query).fetchall()
            except (duckdb.IOException, duckdb.InterruptException) as error:
                raise cleaned(error, query, paths=paths) from error
            except duckdb.Error:
                # A row for which a condition cannot be computed; whether the question meets it too, it will say itself.
                return {}
        said = [re.sub(rf"\b{re.escape(alias)}[.]", "", one) for one in texts]
        # The condition itself says more than the range that it begins with.
        ranged = {name: bound if bound.values is not None else Bound() for name, bound in constraint.items()}
        words = [in_words(ranged if any(" LIKE " in one for one in said) else constraint), *said]
        origin = f"{relation.name} where {' and '.join(part for part in words if part)}"
        return {
            name: equal_to(values or (), origin)
            for name, values in zip(keys, found, strict=True)
            if len(values or ()) <= MANY_VALUES
        }

    @contextmanager
    def bound(self, relation: Relation, constraint: Constraint) -> Iterator[Sequence[str]]:
        """Give a relation its name in :attr:`connection` for a while; yields the files behind it."""
        before = len(self._binder.paths)
        self._binder.bind(relation, constraint)
        try:
            yield self._binder.paths[before:]
        finally:
            self.connection.execute(f"DROP VIEW {quoted(relation.name)}").fetchall()

    def is_small(self, relation: Relation, constraint: Constraint) -> bool:
        """Whether a table has so few rows, as its log says, that asking it costs little."""
        if isinstance(relation, AttachedRelation):
            scan = open_foreign(relation.url, constraint, version=relation.version)
            rows = [file.rows for file in scan.files] if scan.plain else [None]
        else:
            found = self.moment.scan(relation.name, self._filters(relation, constraint))
            rows = [] if found is None else [file.rows for file in found.files] if found.plain else [None]
        return all(count is not None for count in rows) and sum(count or 0 for count in rows) <= MANY_ROWS

    def _files(self, relation: Relation, constraint: Constraint) -> int:
        """Return how many files of a relation a constraint leaves; 0 where none can be left out."""
        if isinstance(relation, AttachedRelation):
            scan = open_foreign(relation.url, constraint, version=relation.version)
            return len(scan.files) if scan.plain else 0
        if isinstance(relation, TableRelation):
            return self._files_of(relation, constraint)
        return sum(
            self._files_of(
                TableRelation(table, self.moment.schema(table)), both(constraint, {"study_id": equal_to(studies)})
            )
            for table, studies in relation.members.items()
        )

    def _files_of(self, relation: TableRelation, constraint: Constraint) -> int:
        snapshot = self.moment.snapshot(relation.name)
        if snapshot is None or snapshot.delta is not None:
            return 0
        return int(snapshot.files(tuple(self._filters(relation, constraint))).num_rows)

    def _filters(self, relation: Relation, constraint: Constraint) -> list[Any]:
        from ..store.datafiles import statistics_columns

        return filters(constraint, statistics_columns(relation.schema, key=self.moment.root.tables.key(relation.name)))

    def _as_asked(self, part: exp.Expression) -> str | None:
        """Return a condition as SQL that DuckDB reads as it read it in the question; None where there is none."""
        if self._read is None:
            bodies = [one.body for one in self.statement.definitions if one.kind in {"table", "view"}]
            self._read = [node for one in (self.statement.text, *bodies) for node in nodes(self._tree(one))]
        for write in (_Infix, DuckDB.Generator):
            written = write(dialect=DuckDB(), normalize_functions="lower").generate(part)
            wanted = self._tree(f"SELECT 1 WHERE {written}")
            condition = wanted and wanted["statements"][0]["node"]["where_clause"]
            if not condition or not any(node == condition for node in self._read):
                continue
            called = {node["function_name"] for node in nodes(condition) if "function_name" in node}
            return written if called <= _steady_functions() else None
        return None

    def _tree(self, query: str) -> Any:
        """Return DuckDB's syntax tree of a text, without the places in it; None where it cannot show one."""
        ((found,),) = self.connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
        tree = json.loads(found)
        return None if tree["error"] else _without_places(tree)


class _Infix(DuckDB.Generator):  # type: ignore[misc]
    """Writes ``x IS NOT NULL``, which sqlglot reads as NOT of the other, and VARCHAR, which it reads as TEXT."""

    TYPE_MAPPING = DuckDB.Generator.TYPE_MAPPING | {exp.DType.TEXT: "VARCHAR", exp.DType.INT: "INTEGER"}

    def not_sql(self, expression: exp.Not) -> str:
        inner = expression.this
        if isinstance(inner, exp.Is):
            return f"{self.sql(inner, 'this')} IS NOT {self.sql(inner, 'expression')}"
        return str(super().not_sql(expression))


@cache
def _steady_functions() -> frozenset[str]:
    """Return the functions and operators of DuckDB whose value depends on nothing but their arguments."""
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT function_name FROM duckdb_functions() GROUP BY ALL"
            " HAVING bool_and(function_type = 'scalar' AND stability = 'CONSISTENT')"
        ).fetchall()
    return frozenset(str(row[0]) for row in rows)


def _without_places(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_places(value) for key, value in node.items() if key not in _PLACES}
    return [_without_places(one) for one in node] if isinstance(node, list) else node


def in_words(constraint: Constraint) -> str:
    """Say what rows have to satisfy: ``plate_id = 'P1'``, ``plate_id among 3 plates of wells where compound = 'x'``."""
    parts = []
    learnt: dict[str, list[str]] = {}
    for name, bound in constraint.items():
        if bound.values is not None and bound.origin:
            learnt.setdefault(" and ".join(sorted(bound.origin)), []).append(_among(name, len(bound.values)))
        elif bound.values is not None:
            parts.append(_written_out(name, bound.values))
        parts += [f"{name} {operator} {literal(value)}" for operator, value in sorted(bound.ranges, key=str)]
    parts += [f"{', '.join(counted)} of {origin}" for origin, counted in learnt.items()]
    return " and ".join(parts)


def _among(name: str, count: int) -> str:
    one = name.removesuffix("_id") if name.endswith("_id") else "value"
    many = "studies" if one == "study" else f"{one}s"
    return f"{name} among {count} {one if count == 1 else many}"


def _written_out(name: str, values: frozenset[str | int]) -> str:
    if len(values) == 1:
        return f"{name} = {literal(next(iter(values)))}"
    if len(values) > 5:
        return f"{name} among {len(values)} values"
    return f"{name} in ({', '.join(literal(value) for value in sorted(values, key=str))})"
