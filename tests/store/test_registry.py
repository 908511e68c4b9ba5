"""Feature sets: what one is, which version it gets, and how it is found again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from cytolake.errors import ConflictError, InvalidDataError, NotFoundError
from cytolake.store.commit import Commit
from cytolake.store.registry import (
    FeatureSet,
    canonical_json,
    definition_hash,
    feature_sets,
    feature_tables,
    profile_sets,
    profile_tables,
    register,
    register_profiles,
    resolve,
    resolve_any,
    resolve_profiles,
)
from cytolake.store.root import LakeRoot

Rows = Callable[..., pa.Table]


def definition(sigma: float = 1.0, *object_sets: str) -> dict[str, Any]:
    return {"objects": {name: {"sigma": sigma} for name in object_sets or ("nuclei",)}, "features": {"AreaShape": 1}}


def registered(lake: LakeRoot, name: str, what: dict[str, Any], rows: pa.Table | None = None) -> FeatureSet:
    registration = register(lake, name, what, recipe_text="# a recipe", run_id="run-1")
    with Commit(lake, run_id="run-1", app_id=f"recipe/{name}") as commit:
        registration.add_to(commit)
        for object_set in registration.set.object_sets if rows is not None else ():
            commit.append(registration.set.table(object_set), rows)
        commit.commit()
    return registration.set


def test_the_hash_is_of_the_meaning_not_of_the_writing() -> None:
    one = {"b": [1, 2.5], "a": {"µ": None, "x": True}}
    assert canonical_json(one) == '{"a":{"x":true,"µ":null},"b":[1,2.5]}'
    assert definition_hash(one) == definition_hash({"a": {"x": True, "µ": None}, "b": [1, 2.5]})
    assert definition_hash(one) != definition_hash({**one, "b": [2.5, 1]})
    assert len(definition_hash(one)) == 64
    # Written down, so that a change of the hash is noticed: it names folders in every lake.
    assert definition_hash({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x"])
def test_only_plain_json_is_a_definition(value: object) -> None:
    with pytest.raises(InvalidDataError, match="plain JSON"):
        definition_hash({"x": value})


def test_a_definition_that_changes_takes_the_next_version(lake: LakeRoot) -> None:
    first = registered(lake, "nuclei", definition(1.0))
    second = registered(lake, "nuclei", definition(2.0))
    other = registered(lake, "cells", definition(3.0, "nuclei", "cells"))
    assert [one.label for one in (first, second, other)] == ["nuclei@1", "nuclei@2", "cells@1"]
    assert first.table("nuclei") == f"features/nuclei/{first.hash[:8]}/nuclei"
    assert feature_sets(lake) == [first, second, other]
    assert other.object_sets == ("nuclei", "cells")
    again = register(lake, "nuclei", definition(1.0), recipe_text="", run_id="run-2")
    assert (again.set, again.is_new) == (first, False)
    renamed = register(lake, "another-name", definition(2.0), recipe_text="", run_id="run-2")
    assert renamed.set == second
    with pytest.raises(InvalidDataError, match=r"\.\./x"):
        register(lake, "../x", definition(9.0), recipe_text="", run_id="run-2")


def test_of_two_that_want_one_label_the_second_is_told(lake: LakeRoot) -> None:
    one = register(lake, "nuclei", definition(1.0), recipe_text="", run_id="run-1")
    same = register(lake, "nuclei", definition(1.0), recipe_text="", run_id="run-2")
    other = register(lake, "nuclei", definition(2.0), recipe_text="", run_id="run-3")
    for registration in (one, same):
        with Commit(lake, run_id="r", app_id="x") as commit:
            registration.add_to(commit)
            commit.commit()
    with Commit(lake, run_id="r", app_id="x") as commit:
        other.add_to(commit)
        with pytest.raises(ConflictError, match="name nuclei, version 1"):
            commit.commit()
    assert [found.run_id for found in feature_sets(lake)] == ["run-1"]
    assert register(lake, "nuclei", definition(2.0), recipe_text="", run_id="run-3").set.version == 2


def test_a_feature_set_is_found_by_label_name_and_hash(lake: LakeRoot) -> None:
    first, second = registered(lake, "nuclei", definition(1.0)), registered(lake, "nuclei", definition(2.0))
    assert resolve(lake, "nuclei@1") == first
    assert resolve(lake, "nuclei") == second
    assert resolve(lake, first.hash) == resolve(lake, first.hash[:8]) == first
    with pytest.raises(NotFoundError, match="nucleii") as raised:
        resolve(lake, "nucleii")
    assert "'nuclei'" in str(raised.value.hint)
    with pytest.raises(NotFoundError, match="'zzz'") as raised:
        resolve(lake, "zzz")
    assert "nuclei@1, nuclei@2" in str(raised.value.hint)


def test_tables_of_features_are_those_that_have_rows(lake: LakeRoot, objects: Rows) -> None:
    first = registered(lake, "small", definition(1.0, "nuclei"), objects("P1"))
    second = registered(lake, "large", definition(2.0, "nuclei", "cells"), objects("P1"))
    registered(lake, "larger", definition(3.0, "nuclei", "cells"))  # no rows yet
    assert set(feature_tables(lake).values()) == {(first, "nuclei"), (second, "nuclei"), (second, "cells")}


def test_profile_sets_have_versions_of_their_own_and_a_table_per_level(lake: LakeRoot, objects: Rows) -> None:
    features = registered(lake, "robust", definition(1.0))
    registration = register_profiles(
        lake, "robust", {"steps": []}, levels=["well", "treatment"], recipe_text=None, run_id="run-1"
    )
    with Commit(lake, run_id="run-1", app_id="profile/robust") as commit:
        registration.add_to(commit)
        commit.append(registration.set.table("well"), objects("P1"))
        commit.commit()
    (found,) = profile_sets(lake)
    assert found == registration.set
    assert (found.label, found.levels) == ("robust@1", ("well", "treatment"))
    assert found.table("well") == f"profiles/robust/{found.hash[:8]}/well"
    assert resolve_profiles(lake, "robust") == found
    assert resolve_any(lake, "robust") == features
    assert resolve_any(lake, found.hash[:12]) == found
    assert set(profile_tables(lake).values()) == {(found, "well")}
