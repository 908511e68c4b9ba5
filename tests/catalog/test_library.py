"""The library of macros and views as a whole: every definition is complete, can be planned, and its example runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from cytolake.catalog.expansion import body_of, relations_of, table_parameters
from cytolake.catalog.library import Definition, closure, described, find, library, parse
from cytolake.catalog.relations import PROFILE_VIEWS
from cytolake.catalog.syntax import parsed
from cytolake.errors import NotFoundError, QueryError
from cytolake.schemas.tables import TABLES
from sqlglot import exp

DEFINITIONS = list(library().values())
PUBLIC = [one for one in DEFINITIONS if one.is_public]
#: A name of a question that sqlglot reads as a function of its own would not be written out.
CALLS = [one for one in DEFINITIONS if one.kind != "view"]


def named(one: Definition) -> str:
    return one.name


@pytest.fixture(scope="module")
def screen(bare_lake: Callable[[], Any]) -> Any:
    """Two studies of two plates each: controls, two compounds with doses, two genes; nuclei and profiles of wells."""
    lake = bare_lake()
    treated: list[dict[str, Any]] = [
        {"control_type": "negative_vehicle"},
        {"control_type": "negative_vehicle"},
        {"control_type": "negative_vehicle"},
        {"compound": "nocodazole", "concentration_um": 0.3, "perturbation": "nocodazole 0.3 µM", "replicate": 1},
        {"compound": "nocodazole", "concentration_um": 0.3, "perturbation": "nocodazole 0.3 µM", "replicate": 2},
        {"compound": "taxol", "concentration_um": 1.0, "perturbation": "taxol 1 µM", "replicate": 1},
        {"compound": "taxol", "concentration_um": 1.0, "perturbation": "taxol 1 µM", "replicate": 2},
        {"gene": "ECT2", "perturbation": "ECT2", "replicate": 1},
        {"gene": "ECT2", "perturbation": "ECT2", "replicate": 2},
    ]
    names = [f"{row}{column:02}" for row in "ABC" for column in (1, 2, 3)]
    features = ("Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DNA", "Nuclei_AreaShape_Eccentricity")
    for study in ("one", "two"):
        kinds = {"nocodazole": "compound", "taxol": "compound", "ECT2": "crispr_ko"}
        lake.put(
            "perturbations",
            *({"study_id": study, "perturbation_id": name, "name": name, "type": kind} for name, kind in kinds.items()),
        )
        lake.put("studies", {"study_id": study, "title": f"Screen {study}"})
        for number, plate in enumerate(("P1", "P2")):
            wells = dict(zip(names, treated, strict=True))
            lake.wells(study, plate, wells)
            used = {well: facts.get("compound") or facts.get("gene") for well, facts in wells.items()}
            lake.put(
                "well_perturbations",
                *(
                    {"study_id": study, "plate_id": plate, "well_id": well, "perturbation_id": name}
                    for well, name in used.items()
                    if name
                ),
            )
            values = {
                well: {one: 10.0 * (place // 2 + 1) + 0.7 * ((3 * place + 5 * number + at) % 4) for at, one in
                       enumerate(features)}
                for place, well in enumerate(names)
            }  # fmt: skip
            objects = {
                well: [{name: value + 0.1 * step for name, value in own.items()} for step in range(3)]
                for well, own in values.items()
            }
            lake.features(study, plate, objects)
            lake.profiles(study, values, plate=plate)
    return lake


@pytest.mark.parametrize("one", PUBLIC, ids=named)
def test_an_example_runs_and_has_rows(screen: Any, one: Definition) -> None:
    assert one.example, "an example is what people start from"
    assert re.search(rf"\b{one.name}\b", one.example)
    assert screen.catalog.sql(one.example).fetchall()


@pytest.mark.parametrize("one", PUBLIC, ids=named)
def test_a_definition_says_what_it_gives(one: Definition) -> None:
    assert one.about.endswith(".")
    # Names in capitals would have to be quoted.
    assert one.name == one.name.lower()


def test_names_mean_nothing_else() -> None:
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
        keywords = connection.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        ).fetchall()
    taken = {row[0] for row in (*rows, *keywords)} | TABLES.keys() | PROFILE_VIEWS.keys() | {"nuclei", "cells"}
    assert not taken & library().keys()


@pytest.mark.parametrize("one", DEFINITIONS, ids=named)
def test_the_planner_can_read_a_body(one: Definition) -> None:
    tree = body_of(one)
    hidden = [cte.alias for cte in tree.find_all(exp.CTE) if not cte.alias.startswith("_")]
    assert not hidden, "such a name could hide one of the question's"
    known = TABLES.keys() | PROFILE_VIEWS.keys()
    assert relations_of(one) <= known, "a macro reads tables that every lake has, and what it is given"
    assert table_parameters(one) <= one.parameters.keys()


@pytest.mark.parametrize("one", CALLS, ids=named)
def test_a_call_is_read_as_one(one: Definition) -> None:
    source = f"SELECT * FROM {one.name}(x)" if one.kind == "table" else f"SELECT {one.name}(x)"
    read = parsed(source)
    assert read is not None
    assert [call.name.lower() for call in read.find_all(exp.Anonymous)] == [one.name]


def test_uses_are_in_order() -> None:
    for one in DEFINITIONS:
        order = [used.name for used in closure([one.name])]
        assert order[-1] == one.name
        assert one.uses <= set(order)
        assert len(order) == len(set(order))


def test_the_list_leaves_helpers_out_and_finds_them_all_the_same() -> None:
    shown = {entry["name"] for entry in described()}
    assert shown == {one.name for one in PUBLIC}
    assert described("WELL_profiles")[0]["signature"].startswith("well_profiles(objects")
    with pytest.raises(NotFoundError) as caught:
        find("well_profile")
    assert caught.value.hint == "did you mean 'well_profiles'?"


def test_heads_are_read() -> None:
    text = """
    -- a comment of the file
-- name: f(a, b := [1, 2], c := 'x, y')
-- kind: scalar
-- about: First.
--   Second.
-- example: SELECT f(1)
-- a comment in the body
a + 1 -- name: not a head

-- name: g
-- kind: view
-- about: A view.
SELECT 1;
"""
    one, two = parse(text, group="test")
    assert dict(one.parameters) == {"a": None, "b": "[1, 2]", "c": "'x, y'"}
    assert one.signature == "f(a, b := [1, 2], c := 'x, y')"
    assert one.about == "First.\nSecond."
    assert one.body.endswith("a + 1 -- name: not a head")
    assert (two.name, two.kind, two.body) == ("g", "view", "SELECT 1")


@pytest.mark.parametrize(
    "text",
    [
        "-- name: f(a)\n-- about: x.\na",
        "-- name: f(a)\n-- kind: function\n-- about: x.\na",
        "-- name: F(a)\n-- kind: scalar\n-- about: x.\na",
        "-- name: f a\n-- kind: scalar\n-- about: x.\na",
    ],
)
def test_a_head_that_is_not_complete_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"test\.sql"):
        list(parse(text, group="test"))


def test_a_macro_that_is_not_there(screen: Any) -> None:
    with pytest.raises(QueryError) as caught:
        screen.catalog.sql("FROM well_profile(nuclei)")
    assert "well_profile" in caught.value.message
    assert caught.value.hint == "did you mean 'well_profiles'?"
    with pytest.raises(QueryError) as caught:
        screen.catalog.sql("SELECT dose_kee(compound, 1) FROM wells")
    assert caught.value.hint == "did you mean 'dose_key'?"


@pytest.mark.parametrize(
    ("question", "hint"),
    [
        ("SELECT dose_key(compound) FROM wells", "write dose_key(compound, concentration_um)"),
        ("SELECT dose_key() FROM wells", "write dose_key(compound, concentration_um)"),
        ("SELECT dose_key(compound, 1, 2) FROM wells", "write dose_key(compound, concentration_um)"),
        ("FROM well_profiles(nuclei, statistics := 'mean')", "write well_profiles(objects, statistic := 'median')"),
        ("FROM nuclei, well_profiles(nuclei)", "write the name as text: well_profiles('nuclei')"),
        ("FROM dose_key('x', 1)", "dose_key is an expression: SELECT dose_key(compound, concentration_um)"),
        (
            "SELECT well_profiles(nuclei)",
            "well_profiles gives a table: FROM well_profiles(objects, statistic := 'median')",
        ),
        ("SELECT controls(1)", None),
    ],
)  # fmt: skip
def test_a_call_that_does_not_fit(screen: Any, question: str, hint: str | None) -> None:
    with pytest.raises(QueryError) as caught:
        screen.catalog.sql(question)
    assert "Candidate" not in caught.value.message
    if hint is not None:
        assert caught.value.hint == hint


def test_columns_of_views_are_guessed(screen: Any) -> None:
    with pytest.raises(QueryError) as caught:
        screen.catalog.sql("SELECT object_counts FROM well_profiles(nuclei)")
    assert caught.value.hint == "did you mean 'object_count'?"
    with pytest.raises(QueryError) as caught:
        screen.catalog.sql("SELECT controltype FROM controls")
    assert caught.value.hint == "did you mean 'control_type'?"
    with pytest.raises(QueryError) as caught:
        screen.catalog.sql("SELECT plate_id FROM (SELECT well_id FROM wells)")
    assert "'plate_id'" not in str(caught.value.hint)
