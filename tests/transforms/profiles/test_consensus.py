"""Treatments: medians and means against pandas, MODZ by hand and as pycytominer writes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cytolake.errors import InvalidDataError
from cytolake.schemas.tables import class_schema
from cytolake.transforms.parameters import BadParameterError
from cytolake.transforms.profiles.consensus import ConsensusSettings, consensus
from cytolake.transforms.profiles.matrix import ProfileMatrix

NAN = np.nan


def wells(values: Any, **columns: list[Any]) -> ProfileMatrix:
    array = np.array(values, float).reshape(len(values), -1)
    n = len(array)
    rows = {"study_id": ["s"] * n, "plate_id": ["P1"] * n, "well_id": [f"A{k + 1:02}" for k in range(n)], **columns}
    return ProfileMatrix(rows=pa.table(rows), features=tuple(f"f{k}" for k in range(array.shape[1])), values=array)


def modz(population: pd.DataFrame, method: str, *, precision: int = 4) -> pd.Series:
    """pycytominer 1.7's modz_base, written again."""
    columns = population.transpose()
    correlations = columns.corr(method=method).to_numpy(copy=True)
    np.fill_diagonal(correlations, NAN)
    weights = pd.DataFrame(correlations).clip(lower=0).mean(axis=1).clip(lower=0.01)
    weights = (weights / weights.sum()).round(precision)
    if columns.shape[1] == 1:
        return columns.sum(axis=1)
    return columns.mul(weights.to_numpy(), axis="columns").sum(axis="columns")


def test_one_row_per_treatment() -> None:
    one = wells(
        [[1, 1], [3, NAN], [10, NAN], [2, 5]],
        perturbation=["x", "x", "y", "x"],
        concentration_um=[1.0, 1.0, None, 0.5],
        gene=["G", "H", None, "G"],
        plate_id=["P1", "P2", "P1", "P1"],
    )
    done = consensus(one, by=["perturbation", "concentration_um"])
    assert done.column("treatment") == ["x | 1", "y", "x | 0.5"]
    assert done.column("perturbation") == ["x", "y", "x"]
    assert done.column("concentration_um") == [1.0, None, 0.5]
    assert done.column("gene") == [None, None, "G"]  # wells of x at 1 µM differ
    assert done.column("compound") == [None] * 3
    assert done.column("n_wells") == [2, 1, 1]
    assert done.column("n_plates") == [2, 1, 1]
    np.testing.assert_array_equal(done.values, [[2, 1], [10, NAN], [2, 5]])
    names = [name for name in class_schema("TreatmentRow").names if name not in ("run_id", "fit_version")]
    assert done.rows.column_names == names


def test_mean_and_median_as_pandas() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 6))
    values[rng.random(values.shape) < 0.3] = NAN
    treatment = [f"t{k}" for k in rng.integers(0, 8, 50)]
    one = wells(values, perturbation=treatment)
    by = pd.DataFrame(values).groupby(treatment, sort=False)
    for method, want in (("mean", by.mean()), ("median", by.median())):
        done = consensus(one, by=["perturbation"], method=method)
        assert done.column("treatment") == list(want.index)
        np.testing.assert_allclose(done.values, want.to_numpy(), rtol=1e-13)


def test_a_well_twice_is_one_well() -> None:
    one = wells([[1], [3]], perturbation=["x", "x"], well_id=["A01", "A01"], timepoint=[0, 1])
    assert consensus(one, by=["perturbation"]).column("n_wells") == [1]
    assert consensus(one, by=["perturbation", "timepoint"]).column("treatment") == ["x | 0", "x | 1"]


def test_studies_are_not_mixed() -> None:
    one = wells([[1], [3], [5]], perturbation=["x", "x", "y"], study_id=["b", "a", "b"])
    done = consensus(one, by=["perturbation"])
    assert list(zip(done.column("study_id"), done.column("treatment"), strict=True)) == [
        ("a", "x"),
        ("b", "x"),
        ("b", "y"),
    ]


def test_wells_of_no_treatment_are_left_out_and_named() -> None:
    told: list[str] = []
    one = wells([[1], [3], [5]], perturbation=["x", None, None], concentration_um=[None, None, NAN])
    done = consensus(one, by=["perturbation", "concentration_um"], warnings=told)
    assert done.column("treatment") == ["x"]
    assert told == [
        "2 row(s) of wells belong to no treatment, for perturbation and concentration_um are empty: P1/A02, P1/A03"
    ]
    none = consensus(one.select_rows(np.array([False, True, True])), by=["perturbation"], method="modz")
    assert (len(none), none.values.shape) == (0, (0, 1))


def test_different_treatments_have_different_texts() -> None:
    one = wells([[1], [2], [3]], perturbation=["a | b", "a", ""], gene=["c", "b | c", "g"])
    names = consensus(one, by=["perturbation", "gene"]).column("treatment")
    assert len(set(names)) == 3


def test_modz_by_hand() -> None:
    # Pearson: wells 1 and 2 agree (r = 1), well 3 is the opposite (r = -1 to both, which counts as 0).
    one = wells([[1, 2, 3], [2, 4, 6], [3, 2, 1]], perturbation=["x"] * 3)
    done = consensus(one, by=["perturbation"], method="modz", correlation="pearson")
    raw = np.array([0.5, 0.5, 0.01])
    weights = raw / raw.sum()
    np.testing.assert_allclose(done.values[0], weights @ one.values, rtol=1e-14)
    rounded = consensus(one, by=["perturbation"], method="modz", correlation="pearson", precision=2)
    np.testing.assert_allclose(rounded.values[0], np.array([0.5, 0.5, 0.01]) / 1.01 @ one.values, rtol=1e-14)


@pytest.mark.parametrize("correlation", ["spearman", "pearson"])
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_modz_as_pycytominer(correlation: str, missing: float) -> None:
    rng = np.random.default_rng(4)
    values = np.round(rng.normal(size=(30, 40)) + rng.normal(size=40), 1)  # with ties
    values[rng.random(values.shape) < missing] = NAN
    treatment = [f"t{k % 7}" for k in range(29)] + ["alone"]
    one = wells(values, perturbation=treatment)
    done = consensus(one, by=["perturbation"], method="modz", correlation=correlation, compat="pycytominer")
    for name, found in zip(done.column("treatment"), done.values, strict=True):
        want = modz(pd.DataFrame(values)[np.array(treatment) == name], correlation)
        np.testing.assert_allclose(found, want.to_numpy(), rtol=1e-12, atol=1e-12)


def test_modz_of_what_is_missing() -> None:
    one = wells([[1, 2, 3, 5, NAN], [1, 2, 4, 5, NAN], [2, 3, NAN, 9, NAN]], perturbation=["x"] * 3)
    own = consensus(one, by=["perturbation"], method="modz")
    assert 3 < own.values[0, 2] < 4  # of the two wells that have it
    assert np.isnan(own.values[0, 4])
    theirs = consensus(one, by=["perturbation"], method="modz", compat="pycytominer")
    assert theirs.values[0, 4] == 0  # pycytominer counts what is missing as 0
    assert theirs.values[0, 2] < 3
    alone = one.select_rows(np.array([True, False, False]))
    np.testing.assert_array_equal(consensus(alone, by=["perturbation"], method="modz").values, alone.values)


def test_modz_of_a_well_that_can_be_compared_with_none() -> None:
    one = wells([[1, 2, 3], [5, 5, 5]], perturbation=["x", "x"])
    done = consensus(one, by=["perturbation"], method="modz")
    np.testing.assert_allclose(done.values, [[3, 3.5, 4]])  # both have the least weight


def test_infinite_values_are_missing() -> None:
    one = wells([[1], [np.inf], [3]], perturbation=["x"] * 3)
    for method in ("mean", "median", "modz"):
        assert consensus(one, by=["perturbation"], method=method).values[0, 0] == 2


def test_what_is_refused() -> None:
    one = wells([[1]], perturbation=["x"])
    with pytest.raises(InvalidDataError, match="no column 'perturbatio'; did you mean 'perturbation'"):
        consensus(one, by=["perturbatio"])
    with pytest.raises(BadParameterError, match="'mode' is unknown"):
        consensus(one, by=["perturbation"], method="mode")
    with pytest.raises(BadParameterError, match="min_weight"):
        consensus(one, by=["perturbation"], method="modz", min_weight=2)
    assert ConsensusSettings(method="mean").definition() == {"method": "mean"}
    assert ConsensusSettings(method="modz").definition()["min_weight"] == 0.01


def test_the_same_to_the_bit() -> None:
    rng = np.random.default_rng(8)
    one = wells(rng.normal(size=(40, 30)), perturbation=[f"t{k % 9}" for k in range(40)])
    for method in ("mean", "median", "modz"):
        found = [consensus(one, by=["perturbation"], method=method).values.tobytes() for _ in range(2)]
        assert found[0] == found[1]
