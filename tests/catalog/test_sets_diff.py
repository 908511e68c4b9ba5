"""Two sets side by side: a planted shift is found and comes first; what is the same is said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cytolake.catalog import sets_diff
from cytolake.catalog.definitions import changes, same_labels
from cytolake.catalog.sets_diff import diff_sets
from cytolake.errors import NotFoundError, UsageError
from scipy import stats

FEATURES = ("Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DNA", "Nuclei_Texture_Contrast_DNA")
AREA, DNA, CONTRAST = FEATURES


def objects(seed: int, n: int = 60, **shifts: float) -> dict[str, list[dict[str, float]]]:
    """Objects of two wells with three features; ``shifts`` move one by so many standard deviations."""
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=(2, n)) + shifts.get(name, 0.0) for name in FEATURES}
    return {
        well: [{name: float(values[name][row, i]) for name in FEATURES} for i in range(n)]
        for row, well in enumerate(("A01", "A02"))
    }


def definition(measured: dict[str, Any] | None = None, **nuclei: Any) -> dict[str, Any]:
    return {
        "projection": "max",
        "objects": {"nuclei": {"method": "component-trees", "from": None, "minus": None, **nuclei}},
        "features": measured or {"AreaShape": {"version": 1}},
    }


def test_a_planted_shift_comes_first(lake: Any) -> None:
    lake.features("one", "P1", objects(1), name="a", definition=definition())
    lake.features("one", "P1", objects(2, **{DNA: 2.0}), name="a", definition=definition(diameter=9))
    found = diff_sets(lake.root, "a@1", "a@2")
    first = found["shift"][0]
    assert (first["column"], first["plate_id"]) == (DNA, "P1")
    assert first["ks"] > 0.5
    assert first["psi"] > 1
    assert first["median_other"] - first["median_one"] == pytest.approx(2, abs=0.5)
    assert all(row["ks"] < 0.25 for row in found["shift"][1:])
    assert found["by_column"][0]["column"] == DNA
    # Other objects: nothing is paired.
    assert found["plates"] == [
        {"part": "nuclei", "study_id": "one", "plate_id": "P1", "rows_one": 120, "rows_other": 120, "pairs": None}
    ]
    assert "correlation" not in first


def test_the_numbers_are_those_of_scipy_and_numpy(lake: Any) -> None:
    one, other = objects(1), objects(2, **{AREA: 0.3})
    lake.features("one", "P1", one, name="a", definition=definition())
    lake.features("one", "P1", other, name="a", definition=definition(diameter=9))
    rows = {row["column"]: row for row in diff_sets(lake.root, "a@1", "a@2")["shift"]}
    for name in FEATURES:
        left, right = (
            np.array([o[name] for many in which.values() for o in many], np.float32).astype(float)
            for which in (one, other)
        )
        assert rows[name]["ks"] == pytest.approx(stats.ks_2samp(left, right).statistic)
        assert rows[name]["median_one"] == pytest.approx(np.median(left))


def test_the_same_objects_are_paired(lake: Any) -> None:
    one = objects(1)
    other = {
        well: [{**o, DNA: 3 * o[DNA] + 1, CONTRAST: float(i)} for i, o in enumerate(many)] for well, many in one.items()
    }
    lake.features("one", "P1", one, name="a", definition=definition())
    lake.features("one", "P1", other, name="a", definition=definition({"AreaShape": {"version": 2}}))
    found = diff_sets(lake.root, "a@1", "a@2")
    assert found["plates"][0]["pairs"] == 120
    rows = {row["column"]: row for row in found["shift"]}
    assert (rows[AREA]["identical"], rows[AREA]["ks"]) == (True, 0)
    assert (rows[DNA]["identical"], rows[DNA]["correlation"]) == (False, pytest.approx(1))
    assert abs(rows[CONTRAST]["correlation"]) < 0.3
    assert found["parameters"] == [{"path": "features.AreaShape.version", "change": "changed", "one": 1, "other": 2}]


def test_one_object_less_is_not_paired(lake: Any) -> None:
    one = objects(1)
    lake.features("one", "P1", one, name="a", definition=definition())
    lake.features("one", "P1", {"A01": one["A01"]}, name="a", definition=definition({"X": {}}))
    assert diff_sets(lake.root, "a@1", "a@2")["plates"][0]["pairs"] is None


def test_columns_of_one_only(lake: Any) -> None:
    lake.features("one", "P1", {"A01": [{AREA: 1.0, DNA: 1.0}]}, name="a", definition=definition())
    lake.features("one", "P1", {"A01": [{AREA: 1.0, CONTRAST: 1.0}]}, name="b", definition=definition(d=2))
    assert diff_sets(lake.root, "a", "b")["columns"] == {"nuclei": {"added": [CONTRAST], "removed": [DNA], "common": 1}}


def test_what_is_empty_is_told_and_has_no_distance(lake: Any) -> None:
    lake.features("one", "P1", {"A01": [{AREA: 1.0}] * 4}, name="a", definition=definition())
    half = [{AREA: 1.0}, {AREA: float("nan")}] * 2
    lake.features("one", "P1", {"A01": half}, name="b", definition=definition(d=2))
    (row,) = diff_sets(lake.root, "a", "b")["shift"]
    assert (row["null_one"], row["null_other"], row["ks"], row["psi"]) == (0, 0.5, 0, None)
    nothing = {"A01": [{AREA: float("nan")}]}
    lake.features("one", "P1", nothing, name="c", definition=definition(d=3))
    (row,) = diff_sets(lake.root, "a", "c")["shift"]
    assert (row["ks"], row["median_other"], row["null_other"]) == (None, None, 1)


def test_only_shared_plates_and_those_that_were_named(lake: Any) -> None:
    for plate in ("P1", "P2"):
        lake.features("one", plate, objects(1), name="a", definition=definition())
        lake.features("one", plate, objects(2), name="b", definition=definition(d=2))
    lake.features("two", "P1", objects(3), name="a", definition=definition())
    found = diff_sets(lake.root, "a", "b")
    assert [one["plate_id"] for one in found["plates"]] == ["P1", "P2"]
    assert all(row["plates"] == 2 for row in found["by_column"])
    assert len(diff_sets(lake.root, "a", "b", "one", plate_ids=["P2"])["plates"]) == 1
    alone = diff_sets(lake.root, "a", "b", "two")
    assert (alone["plates"], alone["shift"]) == ([], [])
    assert "no plate of study two" in alone["warnings"][0]


def test_few_columns_at_a_time_give_the_same(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.features("one", "P1", objects(1), name="a", definition=definition())
    lake.features("one", "P1", objects(2), name="b", definition=definition(d=2))
    whole = diff_sets(lake.root, "a", "b")
    monkeypatch.setattr(sets_diff, "_BUDGET", 1)
    assert diff_sets(lake.root, "a", "b") == whole


def test_profiles_are_paired_by_well(lake: Any) -> None:
    lake.features("one", "P1", objects(1), name="a", definition=definition())
    wells = {f"A{n:02}": {AREA: float(n)} for n in range(1, 13)}
    source = {"kind": "features", "hash": "0" * 64}
    steps = [{"operator": "robust_z"}]
    lake.profile_set("p", {"P1": wells}, definition={"source": source, "steps": steps}, run="p1")
    more = {well: {AREA: 2 * values[AREA]} for well, values in wells.items() if well != "A12"}
    steps = [{"operator": "select", "variance": True}, *steps]
    lake.profile_set("p", {"P1": more}, definition={"source": source, "steps": steps}, run="p2")
    found = diff_sets(lake.root, "p@1", "p@2", "one")
    assert found["plates"][0]["pairs"] == 11
    (row,) = found["shift"]
    assert (row["correlation"], row["identical"]) == (pytest.approx(1), False)
    # The step that was there already is not told as changed.
    assert [(one["path"], one["change"]) for one in found["parameters"]] == [("steps[0]", "added")]


def test_what_cannot_be_compared(lake: Any) -> None:
    lake.profile_set("p", {"P1": {"A01": {AREA: 1.0}}}, definition={"n": 1})
    with pytest.raises(UsageError, match="feature set and p@1 a profile set"):
        diff_sets(lake.root, "nuclei@1", "p@1")
    with pytest.raises(UsageError, match="the same feature set"):
        diff_sets(lake.root, "nuclei", "nuclei@1")
    with pytest.raises(NotFoundError, match="'x'"):
        diff_sets(lake.root, "nuclei", "x")
    lake.features("one", "P1", objects(1), name="a", definition=definition())
    with pytest.raises(NotFoundError, match="P9"):
        diff_sets(lake.root, "nuclei", "a", "one", plate_ids=["P9"])
    with pytest.raises(UsageError, match="without their study"):
        diff_sets(lake.root, "nuclei", "a", plate_ids=["P1"])


def test_changes_of_nested_definitions() -> None:
    one = {"a": {"b": 1, "c": [1, 2]}, "gone": True, "number": 1}
    other = {"a": {"b": 2, "c": [1, 2]}, "new": None, "number": 1.0}
    assert changes(one, other) == [
        {"path": "a.b", "change": "changed", "one": 1, "other": 2},
        {"path": "gone", "change": "removed", "one": True, "other": None},
        {"path": "number", "change": "changed", "one": 1, "other": 1.0},
        {"path": "new", "change": "added", "one": None, "other": None},
    ]
    assert changes(one, one) == []


def test_steps_are_lined_up() -> None:
    one = [{"operator": "robust_z", "epsilon": 0}, {"operator": "select", "na": 0.05}]
    other = [{"operator": "robust_z", "epsilon": 0}, {"operator": "spherize"}, {"operator": "select", "na": 0.1}]
    assert [(found["path"], found["change"]) for found in changes(one, other, "steps")] == [
        ("steps[1]", "added"),
        ("steps[2].na", "changed"),
    ]


def test_labels_depend_on_the_set_its_ancestors_and_the_pixels() -> None:
    one = definition()
    one["objects"]["cells"] = {"method": "propagate", "from": "nuclei", "minus": None}
    assert same_labels(one, {**one, "features": {}, "tracking": {}}, "cells")
    assert not same_labels(one, {**one, "projection": "mean"}, "cells")
    thinner = {**one, "objects": {**one["objects"], "nuclei": {"method": "otsu", "from": None, "minus": None}}}
    assert not same_labels(one, thinner, "cells")
    other_cells = {**one, "objects": {**one["objects"], "cells": {"method": "x", "from": "nuclei", "minus": None}}}
    assert same_labels(one, other_cells, "nuclei")
    assert not same_labels(one, {"imported": {}, "objects": {"nuclei": {}}}, "nuclei")
