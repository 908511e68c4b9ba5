"""Only one statement that reads gets through."""

from __future__ import annotations

import duckdb
import pytest
from cytolake.catalog.statement import read_statement
from cytolake.errors import QueryError


def read(question: str):
    return read_statement(duckdb.connect(), question)


@pytest.mark.parametrize(
    ("question", "tables"),
    [
        ("SELECT * FROM wells JOIN main.plates USING (plate_id)", {"wells", "plates"}),
        ("FROM wells", {"wells"}),
        ('FROM "features/nuclei/0123abcd/nuclei"', {"features/nuclei/0123abcd/nuclei"}),
        ("DESCRIBE wells", {"wells"}),
        ("SUMMARIZE wells", {"wells"}),
        ("SHOW wells", {"wells"}),
        ("PIVOT wells ON row", {"wells"}),
        ("SELECT * FROM (PIVOT wells ON row)", {"wells"}),
        ("FROM wells PIVOT (count(*) FOR row IN (1, 2))", {"wells"}),
        ("VALUES (1)", set()),
        ("SELECT 1; -- and a remark", set()),
        ("SELECT (SELECT max(row) FROM wells) FROM range(3)", {"wells"}),
        ("SELECT * FROM information_schema.tables", set()),
    ],
)
def test_questions_are_let_through(question: str, tables: set[str]) -> None:
    assert set(read(question).tables) == tables


def test_common_table_expressions_are_known() -> None:
    found = read("WITH W AS (FROM wells) FROM w")
    assert found.ctes == {"w"}


@pytest.mark.parametrize(
    "question",
    [
        "DELETE FROM wells",
        "INSERT INTO wells VALUES (1)",
        "UPDATE wells SET row = 1",
        "CREATE TABLE x (a INT)",
        "DROP TABLE wells",
        "COPY wells TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "PRAGMA version",
        "CALL pragma_version()",
        "EXPLAIN ANALYZE INSERT INTO wells VALUES (1)",
        "CHECKPOINT",
        "EXPORT DATABASE '/tmp/x'",
        "WITH d AS (DELETE FROM wells RETURNING *) SELECT * FROM d",
        "WITH d AS (INSERT INTO wells VALUES (1) RETURNING *) SELECT * FROM d",
        "WITH d AS (UPDATE wells SET row = 1 RETURNING *) SELECT * FROM d",
        "WITH c AS (COPY wells TO '/tmp/x.csv') SELECT 1",
        "SELECT * FROM (WITH d AS (DELETE FROM wells RETURNING *) SELECT * FROM d)",
        "FROM query('SELECT 1')",
        "FROM query_table('wells')",
        "SHOW TABLES",
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM wells",
        "",
        "-- nothing",
        "SELEC 1",
    ],
)
def test_everything_else_is_refused(question: str) -> None:
    with pytest.raises(QueryError):
        read(question)


def test_a_syntax_error_says_where() -> None:
    with pytest.raises(QueryError, match=r'line 3: syntax error at or near "FORM"'):
        read("SELECT\n  (1\nFORM x y)")


def test_a_refusal_names_the_kind_and_the_way_out() -> None:
    with pytest.raises(QueryError, match="DELETE statement") as caught:
        read("DELETE FROM wells")
    assert "SELECT" in (caught.value.hint or "")
