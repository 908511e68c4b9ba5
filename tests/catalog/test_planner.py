"""What a question says about each table: the constraints that choose files."""

# ruff: noqa: E501 - a question is read best on one line
from __future__ import annotations

from typing import Any

import duckdb
import pytest
from cytolake.catalog.constraints import Bound, both, either, equal_to, filters, is_impossible
from cytolake.catalog.planner import constraints
from cytolake.catalog.statement import read_statement
from cytolake.store.scan import Filter

IDENTITY = {"study_id": str, "plate_id": str, "well_id": str, "field_id": int}
COLUMNS = {
    "nuclei": {**IDENTITY, "x": object},
    "wells": {"study_id": str, "plate_id": str, "well_id": str, "compound": str, "row": int},
    "plates": {"study_id": str, "plate_id": str},
}


def plan(question: str) -> dict[str, Any]:
    """Relation → column → sorted values, or sorted ranges, of the relations that are constrained."""
    statement = read_statement(duckdb.connect(), question)
    found = constraints(statement.tree, COLUMNS)
    return {
        name: {column: sorted(b.values) if b.values is not None else sorted(b.ranges) for column, b in limits.items()}
        for name, limits in found.items()
        if limits
    }


P1 = {"plate_id": ["P1"]}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("FROM nuclei WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("FROM nuclei WHERE 'P1' = plate_id", {"nuclei": P1}),
        ("FROM nuclei AS n WHERE n.Plate_ID = 'P1'", {"nuclei": P1}),
        ("FROM NUCLEI WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("FROM nuclei WHERE (plate_id = ('P1')) AND x > 3", {"nuclei": P1}),
        ("FROM nuclei WHERE plate_id IN ('P2', 'P1')", {"nuclei": {"plate_id": ["P1", "P2"]}}),
        ("FROM nuclei WHERE plate_id = 'P1' OR plate_id = 'P2'", {"nuclei": {"plate_id": ["P1", "P2"]}}),
        (
            "FROM nuclei WHERE (study_id = 's' AND plate_id = 'P1') OR (study_id = 't' AND plate_id = 'P2')",
            {"nuclei": {"study_id": ["s", "t"], "plate_id": ["P1", "P2"]}},
        ),
        (
            "FROM nuclei WHERE (study_id, plate_id) IN (('s', 'P1'), ('t', 'P2'))",
            {"nuclei": {"study_id": ["s", "t"], "plate_id": ["P1", "P2"]}},
        ),
        ("FROM nuclei WHERE plate_id BETWEEN 'P1' AND 'P3'", {"nuclei": {"plate_id": [("<=", "P3"), (">=", "P1")]}}),
        ("FROM nuclei WHERE plate_id LIKE 'P1%_'", {"nuclei": {"plate_id": [("<", "P2"), (">=", "P1")]}}),
        ("FROM nuclei WHERE plate_id LIKE 'ü%'", {"nuclei": {"plate_id": [(">=", "ü")]}}),
        ("FROM nuclei WHERE 3 < field_id", {"nuclei": {"field_id": [(">", 3)]}}),
        ("FROM nuclei WHERE field_id > -2", {"nuclei": {"field_id": [(">", -2)]}}),
        ("SELECT * FROM nuclei JOIN wells USING (plate_id, well_id) WHERE plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("SELECT * FROM nuclei n, wells w WHERE n.plate_id = w.plate_id AND w.plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("SELECT * FROM nuclei n LEFT JOIN wells w ON n.plate_id = w.plate_id AND w.plate_id = 'P1'", {"wells": P1}),
        ("SELECT * FROM nuclei n JOIN wells w ON n.plate_id = w.plate_id AND w.plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("WITH c AS (FROM nuclei) FROM c WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("WITH c AS (SELECT plate_id AS p FROM nuclei) FROM c WHERE p = 'P1'", {"nuclei": P1}),
        ("SELECT * FROM (SELECT plate_id, avg(x) AS m FROM nuclei GROUP BY 1) WHERE plate_id = 'P1' AND m > 2", {"nuclei": P1}),
        ("FROM nuclei JOIN wells USING (plate_id) WHERE plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("FROM nuclei n LEFT JOIN wells w ON n.plate_id = w.plate_id WHERE w.plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("FROM nuclei n, wells w ANTI JOIN plates p ON w.plate_id = p.plate_id WHERE w.plate_id = 'P1'", {"wells": P1, "plates": P1}),
        # names in front of columns that nobody can name
        ("SELECT * FROM (SELECT plate_id, median(COLUMNS('x')) FROM nuclei GROUP BY ALL) WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("SELECT * FROM (SELECT plate_id, * FROM nuclei, range(3)) WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("SELECT * FROM (SELECT *, y FROM nuclei, range(3)) WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("SELECT * FROM (SELECT plate_id, COLUMNS('x') FROM nuclei UNION ALL SELECT plate_id, well_id FROM wells) WHERE plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("FROM (SELECT plate_id, max(COLUMNS('x')) FROM nuclei GROUP BY 1) p JOIN wells w USING (plate_id) WHERE w.plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("FROM (FROM nuclei UNION ALL BY NAME SELECT NULL::VARCHAR AS plate_id) n JOIN wells w ON n.plate_id = w.plate_id WHERE w.plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("SELECT * FROM (FROM nuclei QUALIFY row_number() OVER (PARTITION BY plate_id) = 1) WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("SELECT * FROM (SELECT DISTINCT plate_id, x FROM nuclei) WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("SELECT * FROM (SELECT plate_id, count(*) FROM nuclei GROUP BY ROLLUP (plate_id)) WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("WITH c AS (FROM nuclei) SELECT * FROM c a, c b WHERE a.plate_id = 'P1' AND b.plate_id = 'P2'", {"nuclei": {"plate_id": ["P1", "P2"]}}),
        ("SELECT * FROM nuclei a, nuclei b WHERE a.plate_id = 'P1' AND b.plate_id = 'P2'", {"nuclei": {"plate_id": ["P1", "P2"]}}),
        ("SELECT * FROM (SELECT *, avg(x) OVER (PARTITION BY plate_id) AS m FROM nuclei) WHERE plate_id = 'P1'", {"nuclei": P1}),
        ("SELECT * FROM (SELECT plate_id FROM nuclei UNION ALL SELECT plate_id FROM plates) WHERE plate_id = 'P1'", {"nuclei": P1, "plates": P1}),
        ("SELECT (SELECT max(row) FROM wells WHERE plate_id = 'P1') FROM plates", {"wells": P1}),
        ("FROM plates WHERE plate_id IN (SELECT plate_id FROM wells WHERE compound = 'taxol')", {"wells": {"compound": ["taxol"]}}),
        ("SELECT plate_id, count(*) FROM nuclei WHERE plate_id = 'P1' GROUP BY ALL ORDER BY ALL LIMIT 3", {"nuclei": P1}),
    ],
)  # fmt: skip
def test_predicates_reach_their_tables(question: str, expected: dict[str, Any]) -> None:
    assert plan(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "FROM nuclei WHERE plate_id = 'P1' OR x > 3",
        "FROM nuclei WHERE NOT plate_id = 'P1'",
        "FROM nuclei WHERE plate_id <> 'P1'",
        "FROM nuclei WHERE plate_id LIKE '%P'",
        "FROM nuclei WHERE plate_id ILIKE 'P%'",
        "FROM nuclei WHERE plate_id LIKE 'P$%' ESCAPE '$'",
        "FROM nuclei WHERE field_id LIKE '3%'",
        "FROM nuclei WHERE plate_id NOT LIKE 'P%'",
        "FROM nuclei WHERE plate_id IS NULL",
        "FROM nuclei WHERE lower(plate_id) = 'p1'",
        # SQL casts here, and '03' is 3:
        "FROM nuclei WHERE plate_id = 3",
        "FROM nuclei WHERE field_id = '3'",
        "FROM nuclei WHERE field_id < 3.5",
        # a filter behind these is not a filter before them
        "SELECT * FROM (FROM nuclei LIMIT 5) WHERE plate_id = 'P1'",
        "SELECT * FROM ((FROM nuclei) LIMIT 5) WHERE plate_id = 'P1'",
        "SELECT * FROM (SELECT *, avg(x) OVER (PARTITION BY study_id) AS m FROM nuclei) WHERE plate_id = 'P1'",
        "SELECT * FROM (SELECT *, row_number() OVER () AS r FROM nuclei) WHERE plate_id = 'P1'",
        "SELECT * FROM (SELECT DISTINCT ON (x) * FROM nuclei) WHERE plate_id = 'P1'",
        "SELECT * FROM nuclei TABLESAMPLE 3 ROWS WHERE plate_id = 'P1'",
        "SELECT * FROM nuclei POSITIONAL JOIN plates WHERE nuclei.plate_id = 'P1'",
        "SELECT * FROM nuclei ASOF JOIN wells w ON nuclei.well_id >= w.well_id WHERE w.plate_id = 'P1'",
        "SELECT * FROM nuclei n FULL JOIN wells w ON n.plate_id = w.plate_id AND w.plate_id = 'P1'",
        "SELECT * FROM nuclei n ANTI JOIN wells w ON n.plate_id = w.plate_id AND n.plate_id = 'P1'",
        "SELECT * FROM (FROM nuclei QUALIFY row_number() OVER (PARTITION BY well_id) = 1) WHERE plate_id = 'P1'",
        "SELECT * FROM (SELECT median(COLUMNS('x')), plate_id FROM nuclei GROUP BY ALL) WHERE plate_id = 'P1'",
        "WITH RECURSIVE r AS (SELECT plate_id, 1 AS i FROM nuclei UNION ALL SELECT plate_id, i + 1 FROM r WHERE i < 3) FROM r WHERE plate_id = 'P1'",
        # an unused name, a renamed column, a computed one
        "SELECT * FROM (SELECT upper(plate_id) AS plate_id FROM nuclei) WHERE plate_id = 'P1'",
        "SELECT * FROM (SELECT well_id AS plate_id FROM nuclei WHERE x > 1 LIMIT 9) WHERE plate_id = 'P1'",
        "SELECT * REPLACE (upper(plate_id) AS plate_id) FROM (SELECT * REPLACE (upper(plate_id) AS plate_id) FROM nuclei) WHERE plate_id = 'P1'",
        "PIVOT nuclei ON plate_id",
        "DESCRIBE nuclei",
    ],
)  # fmt: skip
def test_what_is_not_understood_constrains_nothing(question: str) -> None:
    assert plan(question) == {}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        # rows without a partner are not equal to anything
        ("FROM nuclei n JOIN plates p ON true LEFT JOIN wells w ON w.plate_id = n.plate_id AND w.plate_id = p.plate_id WHERE n.plate_id = 'P1'", {"nuclei": P1, "wells": P1}),
        ("FROM nuclei n JOIN plates p ON true LEFT JOIN wells w ON n.plate_id = p.plate_id WHERE n.plate_id = 'P1'", {"nuclei": P1}),
        ("FROM nuclei n LEFT JOIN wells w USING (plate_id) WHERE w.study_id = 's'", {"wells": {"study_id": ["s"]}}),
        # '03' = 3 = '3'
        ("FROM wells a JOIN nuclei n ON a.well_id = n.field_id JOIN plates p ON n.field_id = p.plate_id WHERE a.well_id = '03'", {"wells": {"well_id": ["03"]}}),
    ],
)  # fmt: skip
def test_bounds_travel_no_further_than_rows_are_equal(question: str, expected: dict[str, Any]) -> None:
    assert plan(question) == expected


def test_an_alias_in_the_select_list_does_not_stand_for_the_column() -> None:
    # DuckDB takes the column, not the alias, in WHERE.
    assert plan("SELECT 'P9' AS plate_id FROM nuclei WHERE plate_id = 'P1'") == {"nuclei": P1}


def test_a_question_that_sqlglot_cannot_read_constrains_nothing() -> None:
    assert constraints(None, COLUMNS) == {"nuclei": {}, "wells": {}, "plates": {}}


def test_ctes_that_double_at_every_step_end() -> None:
    chain = ["c0 AS (FROM nuclei)"]
    chain += [f"c{i} AS (SELECT a.* FROM c{i - 1} a JOIN c{i - 1} b USING (plate_id))" for i in range(1, 25)]
    assert plan(f"WITH {', '.join(chain)} FROM c24 WHERE plate_id = 'P1'") == {}


def test_bounds_join() -> None:
    one, two = {"p": equal_to("AB")}, {"p": equal_to("BC"), "q": equal_to("X")}
    assert both(one, two) == {"p": equal_to("B"), "q": equal_to("X")}
    assert either(one, two) == {"p": equal_to("ABC")}
    assert is_impossible(both({"p": equal_to("A")}, {"p": equal_to("B")}))


def test_filters_in_the_words_of_the_store() -> None:
    constraint = {"p": equal_to("BA"), "q": equal_to("X"), "n": Bound(ranges=frozenset({(">", 3)})), "z": equal_to("Z")}
    assert filters(constraint, ["q", "p", "n", "absent"]) == [
        Filter("q", "=", "X"),
        Filter("p", "in", ("A", "B")),
        Filter("n", ">", 3),
    ]
