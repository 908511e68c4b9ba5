"""Macros and views of the library in a question: never a wrong row, whatever names the question gives things."""

# ruff: noqa: E501 - a question is read best on one line
from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import duckdb
import pytest
from cytolake.catalog import expansion, library, statement
from cytolake.catalog.library import Definition, parse
from cytolake.catalog.planner import constraints
from cytolake.errors import QueryError

#: Small definitions with every way of using one another.
TEXT = """
-- name: tagged
-- kind: view
-- about: Wells with a compound.
SELECT study_id, plate_id, well_id, compound FROM wells WHERE compound IS NOT NULL

-- name: tagged_twice
-- kind: view
-- about: A view of a view.
SELECT * FROM tagged WHERE compound <> ''

-- name: counted(objects)
-- kind: table
-- about: How many rows a well has.
WITH _one AS (SELECT * FROM query_table(objects))
SELECT study_id, plate_id, well_id, count(*) AS n FROM _one GROUP BY ALL

-- name: with_wells(objects, side := 'left')
-- kind: table
-- about: A macro that uses another one, and a table of its own.
SELECT c.*, w.compound, side AS side FROM counted(objects) c LEFT JOIN wells w USING (study_id, plate_id, well_id)

-- name: how_many()
-- kind: scalar
-- about: An expression that reads a table.
(SELECT count(*) FROM wells)

-- name: rows_of(objects)
-- kind: scalar
-- about: An expression that reads a table that it is given.
(SELECT count(*) FROM query_table(objects))

-- name: twice(x)
-- kind: scalar
-- about: An expression.
2 * x
"""


@pytest.fixture(autouse=True)
def _small_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = {one.name: one for one in parse(TEXT, group="test")}
    names = frozenset(found)
    made = MappingProxyType({name: library._with_uses(one, names) for name, one in found.items()})

    def known() -> Mapping[str, Definition]:
        return made

    for module in (library, expansion):
        monkeypatch.setattr(module, "library", known)
    for cached in (expansion.body_of, expansion.relations_of, expansion.table_parameters):
        cached.cache_clear()
    yield
    for cached in (expansion.body_of, expansion.relations_of, expansion.table_parameters):
        cached.cache_clear()


#: Questions with conditions that must not reach what they are not about, and what a careless planner cuts.
QUESTIONS = [
    "SELECT * FROM tagged WHERE plate_id = 'P2'",
    "SELECT * FROM main.tagged, wells WHERE wells.plate_id = 'P2'",
    "SELECT * FROM Tagged_Twice t JOIN wells w USING (study_id, plate_id, well_id) WHERE w.plate_id = 'P2'",
    # a table expression that is called like a table which a view reads
    "WITH wells AS (SELECT * FROM wells WHERE plate_id = 'P2') SELECT * FROM tagged",
    "WITH wells AS (SELECT * FROM wells WHERE plate_id = 'P2') SELECT t.*, w.row FROM tagged t, wells w",
    # ... or a macro that is called where its name is not seen yet, or no more
    "WITH wells AS (FROM with_wells(nuclei)) SELECT * FROM wells WHERE plate_id = 'P2'",
    "WITH a AS (FROM with_wells(nuclei)), wells AS (SELECT 1 AS one) SELECT * FROM a, wells WHERE plate_id = 'P2'",
    "SELECT * FROM (WITH wells AS (FROM plates) SELECT 1 AS one FROM wells) x, with_wells(nuclei) WHERE plate_id = 'P2'",
    # ... or like a view
    "WITH tagged AS (SELECT * FROM wells WHERE plate_id = 'P2') SELECT * FROM tagged",
    "WITH tagged AS (SELECT * FROM wells WHERE plate_id = 'P2') SELECT * FROM tagged_twice",
    "WITH tagged AS (SELECT * FROM wells WHERE plate_id = 'P2') SELECT * FROM tagged, tagged_twice",
    "SELECT * FROM (WITH tagged AS (FROM wells) SELECT * FROM tagged) a, tagged b WHERE a.plate_id = 'P2'",
    "SELECT * FROM counted(tagged) WHERE plate_id = 'P2'",
    "WITH tagged AS (FROM nuclei WHERE plate_id = 'P2') SELECT * FROM counted(tagged)",
    # names of relations as they may be written
    "SELECT * FROM counted(nuclei) WHERE plate_id = 'P2'",
    "SELECT * FROM counted('nuclei') WHERE plate_id = 'P2'",
    'SELECT * FROM counted("Nuclei") WHERE plate_id = \'P2\'',
    "SELECT * FROM Counted(objects := nuclei) WHERE plate_id = 'P2'",
    "SELECT * FROM with_wells(side := 'x', objects := nuclei) WHERE plate_id = 'P2'",
    "SELECT * FROM with_wells(nuclei) WHERE compound = 'taxol'",
    "FROM with_wells('nuclei', side := 'x') JOIN plates USING (study_id, plate_id) WHERE plate_id = 'P2'",
    # one relation with a condition and without
    "SELECT * FROM nuclei, counted('nuclei') c WHERE nuclei.plate_id = 'P2'",
    "SELECT * FROM nuclei JOIN counted('nuclei') c USING (plate_id) WHERE nuclei.plate_id = 'P2'",
    "SELECT * FROM main.counted('nuclei') c, nuclei WHERE nuclei.plate_id = 'P2'",
    "SELECT * FROM nuclei n WHERE n.plate_id = 'P2' AND n.well_id IN (SELECT well_id FROM counted(nuclei) WHERE n > 1)",
    # table expressions as arguments, called like those of the macro
    "WITH chosen AS (FROM nuclei WHERE plate_id = 'P1') SELECT * FROM counted(chosen)",
    "WITH _one AS (FROM nuclei WHERE plate_id = 'P1') SELECT * FROM counted(_one)",
    "WITH _one AS (FROM wells) SELECT * FROM counted(nuclei) c, _one o WHERE o.plate_id = 'P2'",
    "WITH nuclei AS (FROM nuclei WHERE plate_id = 'P1') SELECT * FROM counted(nuclei)",
    # expressions that read tables
    "SELECT how_many(), plate_id FROM wells WHERE plate_id = 'P2'",
    "SELECT rows_of('nuclei'), plate_id FROM nuclei WHERE plate_id = 'P2'",
    "SELECT rows_of('Nuclei'), plate_id FROM nuclei WHERE plate_id = 'P2'",
    "WITH x AS (FROM nuclei) SELECT rows_of('x') FROM x WHERE plate_id = 'P2'",
    "SELECT twice(row) FROM wells WHERE plate_id = 'P2'",
    "SELECT plate_id FROM wells WHERE plate_id = 'P2' AND how_many() > 3",
    "PIVOT (SELECT plate_id, n FROM counted(nuclei)) ON plate_id USING sum(n)",
]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_gets_the_rows_that_it_gets_from_all_files(
    shared_lake: Any, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = shared_lake.catalog.sql(question)
    monkeypatch.setattr("cytolake.catalog.query.plan", lambda _, columns, *__: _Free(columns))
    everything = shared_lake.catalog.sql(question)
    assert sum(scan.files_opened for scan in everything.scans) >= sum(scan.files_opened for scan in chosen.scans)
    assert sorted(map(repr, chosen.fetchall())) == sorted(map(repr, everything.fetchall()))


class _Free:
    """A plan that constrains nothing."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.constraints: dict[str, Any] = {name: {} for name in columns}
        self.reasons: dict[str, str] = {}


COLUMNS = {
    "nuclei": {"study_id": str, "plate_id": str, "well_id": str},
    "wells": {"study_id": str, "plate_id": str, "well_id": str, "compound": str},
    "plates": {"study_id": str, "plate_id": str},
}


def plan(question: str) -> dict[str, list[str]]:
    read = statement.read_statement(duckdb.connect(), question)
    found = constraints(read.tree, COLUMNS) | {name: {} for name in read.opaque}
    return {name: sorted(one["plate_id"].values or ()) for name, one in found.items() if "plate_id" in one}  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("SELECT * FROM tagged WHERE plate_id = 'P2'", {"wells": ["P2"]}),
        ("SELECT * FROM tagged_twice AS t WHERE t.plate_id = 'P2'", {"wells": ["P2"]}),
        ("SELECT * FROM counted(nuclei) WHERE plate_id = 'P2'", {"nuclei": ["P2"]}),
        ("SELECT * FROM Counted(objects := 'nuclei') c WHERE c.plate_id = 'P2'", {"nuclei": ["P2"]}),
        ("SELECT * FROM with_wells(nuclei) WHERE plate_id = 'P2'", {"nuclei": ["P2"], "wells": ["P2"]}),
        ("FROM tagged JOIN nuclei USING (plate_id) WHERE plate_id = 'P2'", {"nuclei": ["P2"], "wells": ["P2"]}),
        ("WITH n AS (FROM nuclei) SELECT * FROM counted(n) WHERE plate_id = 'P2'", {"nuclei": ["P2"]}),
        ("WITH n AS (FROM nuclei WHERE plate_id = 'P2') SELECT * FROM counted(n)", {"nuclei": ["P2"]}),
        ("SELECT twice(length(plate_id)) FROM nuclei WHERE plate_id = 'P2'", {"nuclei": ["P2"]}),
        ("SELECT * FROM nuclei, counted(nuclei) c WHERE nuclei.plate_id = 'P2' AND c.plate_id = 'P1'", {"nuclei": ["P1", "P2"]}),
        # what another use of the relation, or an expression, may need
        ("SELECT * FROM nuclei, counted(nuclei) c WHERE nuclei.plate_id = 'P2'", {}),
        ("SELECT rows_of(nuclei) FROM nuclei WHERE plate_id = 'P2'", {}),
        ("WITH wells AS (SELECT * FROM wells WHERE plate_id = 'P2') SELECT * FROM tagged, wells", {}),
    ],
)  # fmt: skip
def test_conditions_go_through_macros_and_views(question: str, expected: dict[str, list[str]]) -> None:
    assert plan(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM counted()",
        "SELECT * FROM counted((SELECT 1))",
        "SELECT * FROM counted(['nuclei'])",
        "SELECT * FROM counted(other.nuclei)",
        "SELECT * FROM with_wells(side := 'x')",
    ],
)
def test_an_argument_that_is_no_relation_is_told(shared_lake: Any, question: str) -> None:
    with pytest.raises(QueryError, match="'objects' is the name of a table") as caught:
        shared_lake.catalog.sql(question)
    assert "(objects" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("question", "macro"),
    [
        ("WITH wells AS (SELECT * FROM wells WHERE plate_id = 'P2') SELECT * FROM with_wells(nuclei)", "with_wells"),
        ("WITH Wells AS (FROM plates) SELECT how_many() FROM wells WHERE plate_id = 'P2'", "how_many"),
        ("WITH wells AS (FROM plates), a AS (FROM with_wells(nuclei)) SELECT * FROM a", "with_wells"),
        ("WITH wells AS (FROM plates) SELECT * FROM (SELECT * FROM with_wells(nuclei)) a", "with_wells"),
    ],
)
def test_a_table_that_a_macro_reads_is_not_hidden_from_it(shared_lake: Any, question: str, macro: str) -> None:
    """DuckDB binds a macro where it is called: it would take the question's own ``wells`` for the lake's."""
    with pytest.raises(QueryError, match=f"{macro} reads wells, which the question gives another meaning"):
        shared_lake.catalog.sql(question)


def test_a_relation_that_is_not_there_is_told(shared_lake: Any) -> None:
    with pytest.raises(QueryError, match="no table 'nuclie'") as caught:
        shared_lake.catalog.sql("SELECT * FROM counted(nuclie)")
    assert caught.value.hint == "did you mean 'nuclei'?"
