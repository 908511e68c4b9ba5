"""Views of profiles, and of what somebody has chosen instead of the newest."""

from __future__ import annotations

from typing import Any

import pytest
from cytolake.errors import QueryError
from cytolake.store.registry import feature_sets, profile_sets

AREA = "Nuclei_AreaShape_Area"


def choose(lake: Any, study: str, kind: str, part: str, one: Any) -> None:
    lake.put("current_sets", {"study_id": study, "kind": kind, "part": part, "label": one.label, "hash": one.hash})


def ask(lake: Any, query: str) -> list[tuple[Any, ...]]:
    return list(lake.catalog.sql(query).fetchall())


def test_profiles_of_wells_have_the_columns_of_their_wells(lake: Any) -> None:
    lake.profiles("one", {"A01": {AREA: -0.5}, "A02": {AREA: 3.0}, "A03": {AREA: 9.0}})
    lake.profiles("two", {"A01": {"Cells_AreaShape_Area": 1.0}}, name="other", definition={"other": 1})
    question = f"SELECT study_id, well_id, compound, profile_set, n_objects, {AREA} FROM profiles ORDER BY ALL"
    assert ask(lake, question) == [
        ("one", "A01", None, "standard@1", 10, -0.5),
        ("one", "A02", "nocodazole", "standard@1", 10, 3.0),  # A03 is excluded
        ("two", "A01", "nocodazole", "other@1", 10, None),
    ]
    result = lake.catalog.sql("SELECT count(n_objects) FROM profiles WHERE study_id = 'two'")
    assert result.fetchall() == [(1,)]
    assert sum(scan.files_opened for scan in result.scans if scan.table.startswith("profiles/")) == 1
    with pytest.raises(QueryError, match="pixel_size_x_um"):
        ask(lake, "SELECT pixel_size_x_um FROM profiles")


def test_there_are_views_before_there_are_profiles(lake: Any) -> None:
    for view in ("profiles", "field_profiles", "treatment_profiles"):
        assert ask(lake, f"SELECT count(*) FROM {view}") == [(0,)]
    assert {entry["name"] for entry in lake.catalog.tables()}.isdisjoint({"profiles", "treatment_profiles"})


def test_profiles_of_treatments_are_rows_of_their_own(lake: Any) -> None:
    lake.profiles("one", {"nocodazole/1.0": {AREA: 2.0}}, level="treatment")
    assert ask(lake, f"SELECT treatment, n_wells, {AREA} FROM treatment_profiles") == [("nocodazole/1.0", 2, 2.0)]
    assert ask(lake, "SELECT count(*) FROM profiles") == [(0,)]
    listed = {entry["name"]: entry for entry in lake.catalog.tables()}
    assert listed["treatment_profiles"]["profile_sets"] == ["standard@1"]
    described = {entry["column"]: entry for entry in lake.catalog.columns("treatment_profiles")}
    assert described["n_wells"]["description"]


def test_what_was_chosen_is_shown_instead_of_the_newest(lake: Any) -> None:
    lake.features("one", "P1", {"A01": [{AREA: 7.0}]}, definition={"threshold": 2})
    lake.profiles("one", {"A01": {AREA: 1.0}})
    lake.profiles("one", {"A01": {AREA: 2.0}}, definition={"steps": ["select"]})
    assert ask(lake, "SELECT DISTINCT feature_set FROM nuclei WHERE study_id = 'one'") == [("nuclei@2",)]
    assert ask(lake, f"SELECT profile_set, {AREA} FROM profiles") == [("standard@2", 2.0)]
    choose(lake, "one", "features", "nuclei", feature_sets(lake.root)[0])
    choose(lake, "one", "profiles", "well", profile_sets(lake.root)[0])
    assert ask(lake, "SELECT DISTINCT feature_set FROM nuclei WHERE study_id = 'one'") == [("nuclei@1",)]
    assert ask(lake, f"SELECT profile_set, {AREA} FROM profiles") == [("standard@1", 1.0)]
    table = profile_sets(lake.root)[1].table("well")
    assert ask(lake, f'SELECT {AREA} FROM "{table}"') == [(2.0,)]


def test_a_choice_of_a_set_without_rows_of_the_study_changes_nothing(lake: Any) -> None:
    lake.features("one", "P1", {"A01": [{AREA: 7.0}]}, definition={"threshold": 2})
    choose(lake, "two", "features", "nuclei", feature_sets(lake.root)[1])
    assert ask(lake, "SELECT DISTINCT feature_set FROM nuclei WHERE study_id = 'two'") == [("nuclei@1",)]
