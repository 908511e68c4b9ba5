"""Leaving out what a constraint excludes never changes an answer: random questions, asked with and without it.

The tables are cut row by row, which is stricter than the catalog, which leaves out whole files.
"""

# ruff: noqa: E501 - a question is read best on one line
from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from cytolake.catalog import expansion, library
from cytolake.catalog.constraints import Constraint
from cytolake.catalog.planner import plan
from cytolake.catalog.relations import TableRelation
from cytolake.catalog.semijoin import SmallTables
from cytolake.catalog.statement import Statement, read_statement
from cytolake.errors import QueryError

TABLES = ("a", "b", "c")
COLUMNS = {name: {"k": str, "g": str, "n": int, name: int} for name in TABLES}
QUESTIONS = int(os.environ.get("CYTOLAKE_RANDOM_QUESTIONS", "60"))


class Questions:
    """Random questions over three tables with the columns k, g (texts), n and one of their own (integers)."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = 0

    def pick(self, *options: str) -> str:
        return self.random.choice(options)

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def alias(self) -> str:
        self.names += 1
        return f"t{self.names}"

    def literal(self, column: str) -> str:
        if column in {"k", "g"}:
            return self.pick("'A'", "'B'", "'C'", "'A'", "''")
        return self.pick("0", "1", "2", "-1", "3")

    def comparison(self, qualifiers: list[str]) -> str:
        column = self.pick("k", "k", "g", "n")
        where = self.pick(*qualifiers)
        left = f"{where}.{column}" if where else column
        shape = self.random.randrange(13)
        if shape == 10:
            return self.pick(f"{left} IS NOT NULL", f"{left} IN ({self.literal(column)}, NULL)")
        if shape == 11:
            pattern = self.pick("'A%'", "'%b%'", "'_'")
            return f"{left}::VARCHAR {self.pick('LIKE', 'NOT LIKE', 'ILIKE')} {pattern}"
        if shape == 12:
            either = f"({left} IS NULL OR {left} = {self.literal(column)})"
            return self.pick(f"lower({left}::VARCHAR) = 'a'", either, f"length({left}::VARCHAR) + 1 = 2")
        if shape < 4:
            return f"{left} = {self.literal(column)}"
        if shape == 4:
            return f"{self.literal(column)} {self.pick('<', '<=', '>', '>=', '=')} {left}"
        if shape == 5:
            return f"{left} IN ({', '.join(self.literal(column) for _ in range(self.random.randint(1, 3)))})"
        if shape == 6:
            return f"{left} BETWEEN {self.literal(column)} AND {self.literal(column)}"
        if shape == 7:
            return self.pick(
                f"{left} IS NULL", f"{left} <> {self.literal(column)}", f"NOT ({left} = {self.literal(column)})"
            )
        if shape == 8:
            other = self.pick(*qualifiers)
            return f"{left} = {other}.{column}" if other else f"{left} = {column}"
        return f"coalesce({left}::VARCHAR, 'A') = 'A'"

    def condition(self, qualifiers: list[str], depth: int = 2) -> str:
        if depth == 0 or self.maybe(0.4):
            return self.comparison(qualifiers)
        joined = self.pick(" AND ", " AND ", " OR ")
        return "(" + joined.join(self.condition(qualifiers, depth - 1) for _ in range(2)) + ")"

    def item(self, depth: int, ctes: list[str]) -> tuple[str, str]:
        alias = self.alias()
        if depth and self.maybe(0.35):
            return f"({self.query(depth - 1, ctes)}) AS {alias}", alias
        if self.maybe(0.2):
            given = self.pick(*TABLES, *ctes, "seen")
            used = self.pick("seen", "main.seen", f"counted('{given}')", f"Beside(rel := '{given}')")
            return f"{used} AS {alias}", alias
        return f"{self.pick(*TABLES, *ctes, *ctes)} AS {alias}", alias

    def join(self, depth: int, ctes: list[str], seen: list[str]) -> tuple[str, str | None]:
        item, alias = self.item(depth, ctes)
        kind = self.pick(
            "JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
            "SEMI JOIN",
            "ANTI JOIN",
            "LEFT JOIN",
            "JOIN",
            ",",
            "CROSS JOIN",
        )
        if kind in {",", "CROSS JOIN"}:
            return f"{'' if kind == ',' else ' '}{kind} {item}", alias
        if self.maybe(0.35):
            condition = f"USING ({self.pick('k', 'g', 'k, g', 'k, n')})"
        else:
            condition = f"ON {self.pick(*seen)}.k = {alias}.k"
            if self.maybe(0.3):
                one, other = self.pick(*seen, alias), self.pick(*seen, alias)
                condition += f" AND {one}.{self.pick('k', 'g')} = {other}.{self.pick('k', 'g')}"
            if self.maybe(0.5):
                condition += f" AND {self.condition([*seen, alias], 1)}"
        return f" {kind} {item} {condition}", None if kind in {"SEMI JOIN", "ANTI JOIN"} else alias

    def subquery(self, where: str, inner: str) -> str:
        """A condition on a subquery."""
        alias = self.alias()
        column = self.pick("k", "g")
        return self.pick(
            f"{where}.k {self.pick('IN', 'IN', 'NOT IN')} (SELECT k FROM ({inner}))",
            f"{where}.{column} IN (SELECT {column} FROM {self.pick(*TABLES)} WHERE {self.comparison([''])})",
            f"({where}.k, {where}.g) IN (SELECT k, g FROM ({inner}))",
            f"{self.pick('', '', 'NOT ')}EXISTS (SELECT {self.pick('1', '*', 'k')} FROM ({inner}) AS {alias} WHERE {alias}.{column} = {where}.{column})",
            f"{self.pick('', '', 'NOT ')}EXISTS (FROM {self.pick(*TABLES)} AS {alias} WHERE {where}.{column} = {alias}.{column} AND {self.comparison([alias])})",
            f"EXISTS (SELECT max(k) FROM {self.pick(*TABLES)} AS {alias} WHERE {where}.{column} = {alias}.{column} AND {self.comparison([alias])})",
            f"{where}.k = (SELECT max(k) FROM ({inner}))",
            f"{where}.n = (SELECT n FROM {self.pick(*TABLES)} AS {alias} WHERE {self.comparison([alias])} ORDER BY ALL LIMIT 1)",
        )

    def query(self, depth: int, ctes: list[str]) -> str:
        """A SELECT or set operation with the columns k, g, n."""
        if depth and self.maybe(0.2):
            sides = [self.query(depth - 1, ctes) for _ in range(2)]
            operator = self.pick("UNION ALL", "UNION", "INTERSECT", "EXCEPT", "UNION ALL BY NAME", "UNION BY NAME")
            return f"({sides[0]}) {operator} ({sides[1]})"
        item, alias = self.item(depth, ctes)
        source, seen = item, [alias]
        while len(seen) < 3 and self.maybe(0.45):
            more, name = self.join(depth, ctes, seen)
            source += more
            seen += [name] if name else []
            if name is None:
                break
        columns = [self.pick(*seen, *([""] if len(seen) == 1 or self.maybe(0.4) else [])) for _ in range(3)]
        k, g, n = (f"{where}.{name}" if where else name for where, name in zip(columns, "kgn", strict=True))
        tail = ""
        qualifiers = [*seen, *([""] if len(seen) == 1 or self.maybe(0.4) else [])]
        if self.maybe(0.75):
            tail += f" WHERE {self.condition(qualifiers)}"
            if depth and self.maybe(0.3):
                inner = self.query(depth - 1, ctes)
                tail += " AND " + self.subquery(self.pick(*seen), inner)
        shape = self.random.randrange(14)
        if shape == 0 and len(seen) == 1:
            return f"SELECT * FROM (SELECT * FROM {source}{tail}) AS {self.alias()}".replace(
                "SELECT * FROM (", "SELECT k, g, n FROM (", 1
            )
        if shape == 1:
            return f"SELECT {k} AS k, {g} AS g, sum({n})::INTEGER AS n FROM {source}{tail} GROUP BY ALL"
        if shape == 2:
            return f"SELECT DISTINCT {k} AS k, {g} AS g, {n} AS n FROM {source}{tail}"
        if shape == 3:
            window = f"row_number() OVER (PARTITION BY {k} ORDER BY {g}, {n})::INTEGER"
            return f"SELECT {k} AS k, {g} AS g, {window} AS n FROM {source}{tail}"
        if shape == 4:
            return f"SELECT {k} AS k, {g} AS g, {n} AS n FROM {source}{tail} ORDER BY ALL LIMIT {self.random.randint(1, 4)}"
        if shape == 5:
            return f"SELECT {g} AS k, {k} AS g, {n} AS n FROM {source}{tail}"
        if shape == 6:
            return f"SELECT DISTINCT ON ({k}) {k} AS k, {g} AS g, {n} AS n FROM {source}{tail} ORDER BY {k}, {g}, {n}"
        if shape == 7:
            return f"SELECT {k} AS k, 'A' AS g, {n} + 1 AS n FROM {source}{tail}"
        if shape == 9:
            return f"SELECT {k} AS k, {g} AS g, {n} AS n FROM {source}{tail} QUALIFY dense_rank() OVER (PARTITION BY {self.pick(k, g)} ORDER BY {self.pick(n, g)}) = 1"
        if shape == 10:
            return f"SELECT k, g, n FROM (SELECT {k} AS k, {g} AS g, max(COLUMNS('^n$')) FROM {source}{tail} GROUP BY 1, 2) AS {self.alias()}"
        if shape == 8:
            return f"SELECT {k} AS k, max({g}) AS g, count(*)::INTEGER AS n FROM {source}{tail} GROUP BY ROLLUP ({k})"
        return f"SELECT {k} AS k, {g} AS g, {n} AS n FROM {source}{tail}"

    def question(self) -> str:
        ctes: list[str] = []
        parts = []
        while self.maybe(0.35) and len(ctes) < 2:
            body = self.query(1, ctes)
            # A table expression may be called like a table or view that definitions of the library read.
            name = self.pick(f"w{len(ctes)}", f"w{len(ctes)}", f"w{len(ctes)}", "b", "seen")
            if name in ctes:
                break
            parts.append(f"{name} AS ({body})")
            ctes.append(name)
        clause = f"WITH {', '.join(parts)} " if parts else ""
        inner = self.query(2, ctes)
        if self.maybe(0.5):
            return f"{clause}SELECT * FROM ({inner}) AS o WHERE {self.condition(['o', ''], 1)}"
        return f"{clause}SELECT * FROM ({inner}) AS o"


#: A library of their kinds: a view, and macros that use another one, a table of their own and what they are given.
LIBRARY = """
-- name: seen
-- kind: view
-- about: A view.
SELECT k, g, n FROM b WHERE n IS NOT NULL

-- name: counted(rel)
-- kind: table
-- about: A macro of tables.
WITH _rows AS (SELECT * FROM query_table(rel))
SELECT k, g, count(*)::INTEGER AS n FROM _rows GROUP BY ALL

-- name: beside(rel, way := 'x')
-- kind: table
-- about: A macro that uses both.
SELECT _c.k, _b.g, _b.n FROM counted(rel) AS _c LEFT JOIN b AS _b ON _c.k = _b.k WHERE _c.k IN (SELECT k FROM seen)
"""


@pytest.fixture(autouse=True)
def _library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = {one.name: one for one in library.parse(LIBRARY, group="test")}
    made = {name: library._with_uses(one, frozenset(found)) for name, one in found.items()}
    for module in (library, expansion):
        monkeypatch.setattr(module, "library", lambda: made)
    cached = (expansion.body_of, expansion.relations_of, expansion.table_parameters)
    for one in cached:
        one.cache_clear()
    yield
    for one in cached:
        one.cache_clear()


def define(connection: duckdb.DuckDBPyConnection) -> None:
    for one in library.parse(LIBRARY, group="test"):
        connection.execute(one.statement).fetchall()


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    values = random.Random(1)
    for table in TABLES:
        made.execute(f"CREATE TABLE {table} (k VARCHAR, g VARCHAR, n INTEGER, {table} INTEGER)").fetchall()
        for own in range(9):
            row = (values.choice("AABBC"), values.choice(["A", "B", None]), values.choice([0, 1, 2, None]), own)
            made.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", row).fetchall()
    define(made)
    return made


def condition(constraint: Constraint) -> str:
    parts = []
    for column, bound in constraint.items():
        parts += [f"{column} {operator} {value!r}" for operator, value in bound.ranges]
        if bound.values is not None:
            parts.append(f"{column} IN ({', '.join(map(repr, bound.values))})" if bound.values else "false")
    return " AND ".join(parts) or "true"


class InMemory(SmallTables):
    """Asks the tables of the tests, however large they are."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
        schema = pa.schema([("k", pa.string()), ("g", pa.string()), ("n", pa.int32())])
        super().__init__(None, {name: TableRelation(name, schema) for name in TABLES}, statement, [])  # type: ignore[arg-type]
        self.connection = connection

    def is_worth(self, table: str, constraint: Constraint) -> bool:
        return True

    def is_small(self, relation: Any, constraint: Constraint) -> bool:
        return True

    @contextmanager
    def bound(self, relation: Any, constraint: Constraint) -> Iterator[Sequence[str]]:
        yield ()


def rows(connection: duckdb.DuckDBPyConnection, question: str) -> Counter[tuple[object, ...]]:
    return Counter(connection.execute(question).fetchall())


@pytest.fixture(scope="module")
def cut(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Another database with the same definitions, for the same tables without what a constraint leaves out."""
    made = duckdb.connect()
    for table in TABLES:
        made.register(f"whole_{table}", connection.sql(f"FROM {table}").to_arrow_table())
        made.execute(f"CREATE TABLE {table} AS FROM whole_{table}").fetchall()
    define(made)
    return made


@pytest.mark.parametrize("part", range(4))
def test_constraints_never_change_an_answer(
    connection: duckdb.DuckDBPyConnection, cut: duckdb.DuckDBPyConnection, part: int
) -> None:
    asked = constrained = looked = 0
    for seed in range(part * QUESTIONS, (part + 1) * QUESTIONS):
        question = Questions(seed).question()
        try:
            whole = rows(connection, question)
        except duckdb.Error:
            continue  # an ambiguous or unknown column
        try:
            statement = read_statement(connection, question)
        except QueryError as error:
            if "gives another meaning" not in error.message:
                raise
            continue  # a macro would read a table expression in the place of its table
        asked += 1
        small = InMemory(connection, statement)
        limits = plan(statement.tree, COLUMNS, small).constraints | {name: {} for name in statement.opaque}
        looked += bool(small.asked)
        if not any(limits.values()):
            continue
        constrained += 1
        for table in TABLES:
            kept = f"SELECT * FROM whole_{table} WHERE {condition(limits[table])}"
            cut.execute(f"CREATE OR REPLACE TABLE {table} AS {kept}").fetchall()
        assert rows(cut, question) == whole, f"seed {seed}: {question}\n{limits}"
    # The generator must not drift into questions that say nothing.
    assert asked > QUESTIONS * 0.4
    assert constrained > asked * 0.3
    assert looked > asked * 0.1
