"""Fitted parameters as rows and back, and which version a run has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cytolake.errors import NotFoundError
from cytolake.store.commit import Commit
from cytolake.store.registry import ProfileSet, register_profiles
from cytolake.store.root import LakeRoot, init_root
from cytolake.transforms.profiles.fits import KEY, TABLE, Fit, choose_version, fit_rows, read_fits, unit_of
from cytolake.transforms.profiles.operator import Fitted, Flag


@pytest.fixture
def root(tmp_path: Path) -> LakeRoot:
    return init_root(tmp_path / "lake")


@pytest.fixture
def profile_set(root: LakeRoot) -> ProfileSet:
    return register_profiles(root, "mine", {"steps": []}, levels=["well"], recipe_text=None, run_id="r").set


def fit(unit: str = "s/P1", *, step: int = 0, shift: float = 0.0, **changes: Any) -> Fit:
    arrays = {
        "center": np.array([0.1, np.nan, -0.0]) + shift,
        "matrix": np.arange(6.0).reshape(3, 2) / 3 + shift,
        "nothing": np.empty((0, 3)),
        "whole": np.array(5.0),
        "far": np.array([np.inf, -np.inf, 5e-324]),
    }
    study, _, plate = unit.partition("/")
    values: dict[str, Any] = {
        "step": step,
        "unit": unit,
        "study_id": study,
        "plate_id": plate or None,
        "operator": "robust_z",
        "settings": {"compat": "", "list": [1, 2.5]},
        "fitted": Fitted(
            features=("a", "b", "c"),
            outputs=("a", "c"),
            arrays=arrays,
            flags=(Flag(feature="b", reason="na"), Flag(feature="b", reason="zero_mad", detail="why")),
        ),
        "learned_from": ("P1/A01", "P1/A02"),
    }
    return Fit(**(values | changes))


def store(root: LakeRoot, profile_set: ProfileSet, version: int, *fits: Fit) -> None:
    with Commit(root, run_id="run-1", app_id="test") as commit:
        commit.insert(TABLE, fit_rows(fits, profile_set, version, "run-1"), on=KEY)
        commit.commit()


def chosen(root: LakeRoot, profile_set: ProfileSet, *fits: Fit) -> tuple[int, list[Any]]:
    version, new = choose_version(root, profile_set, placed(*fits))
    return version, [one.place for one in new]


def placed(*fits: Fit) -> dict[Any, Fit]:
    return {one.place: one for one in fits}


def test_parameters_come_back_to_the_bit(root: LakeRoot, profile_set: ProfileSet) -> None:
    bare = fit("s/P2", fitted=Fitted(features=(), outputs=()), learned_from=())
    store(root, profile_set, 1, fit(), bare)
    read = read_fits(root, profile_set, 1)
    assert list(read) == [(0, "s/P1"), (0, "s/P2")]
    one, original = read[0, "s/P1"], fit()
    assert one.same_as(original)
    for name, array in original.fitted.arrays.items():
        assert one.fitted.arrays[name].shape == array.shape
        assert one.fitted.arrays[name].dtype == np.float64
        assert one.fitted.arrays[name].tobytes() == array.tobytes(), name
    assert (one.run_id, one.settings, one.study_id, one.plate_id) == ("run-1", original.settings, "s", "P1")
    assert read[0, "s/P2"].same_as(bare)


def test_a_version_that_is_not_there_says_which_are(root: LakeRoot, profile_set: ProfileSet) -> None:
    with pytest.raises(NotFoundError, match="version 3") as caught:
        read_fits(root, profile_set, 3)
    assert caught.value.hint == "it was made without fitting anything"
    store(root, profile_set, 1, fit())
    with pytest.raises(NotFoundError) as caught:
        read_fits(root, profile_set, 3)
    assert caught.value.hint == "there are 1"


def test_the_version_stays_until_a_parameter_changes(root: LakeRoot, profile_set: ProfileSet) -> None:
    assert chosen(root, profile_set, fit()) == (1, [(0, "s/P1")])
    store(root, profile_set, 1, fit(), fit("s", step=1))
    assert chosen(root, profile_set, fit(), fit("s", step=1)) == (1, [])
    changed = fit(shift=1e-16)
    assert not changed.same_as(fit()), "the smallest change is a change"
    assert chosen(root, profile_set, changed, fit("s", step=1)) == (2, [(0, "s/P1"), (1, "s")])
    assert chosen(root, profile_set, fit(learned_from=("P1/A01",)))[0] == 2


def test_other_plates_and_studies_join_the_version_that_is_there(root: LakeRoot, profile_set: ProfileSet) -> None:
    store(root, profile_set, 1, fit())
    other = fit("t/P1")
    assert chosen(root, profile_set, other) == (1, [other.place])
    store(root, profile_set, 2, fit(shift=1.0))
    assert chosen(root, profile_set, other) == (2, [other.place])
    assert chosen(root, profile_set, fit()) == (1, []), "what was learned before is what it was before"


def test_units() -> None:
    assert [unit_of(scope, "s", "P1") for scope in ("plate", "study", "all")] == ["s/P1", "s", "*"]
