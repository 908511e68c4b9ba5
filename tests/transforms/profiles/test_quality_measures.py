"""Drift, separation and replicate correlation, beside SciPy, NumPy and numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.profiles.drift import control_drift, significant
from cytolake.transforms.profiles.replicates import replicate_correlation
from cytolake.transforms.profiles.separation import separation
from scipy import stats

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def test_separation_by_hand() -> None:
    # Medians 10 and 0, MAD 1 and 2.
    positive, negative = column(9, 10, 11), column(-2, 0, 2)
    robust = separation(positive, negative)
    assert robust.z_prime[0] == pytest.approx(1 - 3 * 1.4826 * (1 + 2) / 10)
    assert robust.ssmd[0] == pytest.approx(10 / (1.4826 * np.sqrt(1 + 4)))
    assert separation(negative, positive).ssmd[0] == -robust.ssmd[0]


def test_one_bad_well_does_not_decide_robust_separation() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(10, 1, (16, 1)), rng.normal(0, 1, (16, 1))
    clean = separation(positive, negative).z_prime[0]
    positive[0] = 1000
    assert separation(positive, negative).z_prime[0] == pytest.approx(clean, abs=0.1)
    classic = 1 - 3 * (positive.std(ddof=1) + negative.std(ddof=1)) / abs(positive.mean() - negative.mean())
    assert classic < 0


@pytest.mark.parametrize(
    ("positive", "negative", "why"),
    [
        (column(1), column(0, 1, 2), "1 positive and 3 negative"),
        (column(1, NAN), column(0, 1, 2), "1 positive and 3 negative"),
        (column(1, np.inf), column(0, 1, 2), "1 positive and 3 negative"),
        (np.empty((0, 1)), column(0, 1), "0 positive and 2 negative"),
        (column(1, 1, 1), column(0, 0, 0), "no spread"),
        (column(0, 1, 2), column(0, 1, 2), "the same centre"),
    ],
)
def test_separation_that_is_not_defined_says_why(positive: np.ndarray, negative: np.ndarray, why: str) -> None:
    found = separation(positive, negative)
    assert np.isnan(found.z_prime[0])
    assert why in str(found.reasons[0])


def test_drift_by_hand() -> None:
    # Medians of controls 0, 10 and 20; MAD 1 on each plate; the other wells do not count.
    values = column(-1, 0, 1, 500, 9, 10, 11, 500, 19, 20, 21, 500)
    plates = np.repeat([0, 1, 2], 4)
    controls = np.tile([True, True, True, False], 3)
    drift = control_drift(values, plates, controls, [0, 1, 2], alpha=0.05)
    unit = 10 / 1.4826
    assert drift.values[:, 0] == pytest.approx([-unit, 0, unit])
    assert drift.slope[0] == pytest.approx(unit)
    assert drift.p[0] == pytest.approx(1 / 3)
    assert drift.reasons == (None, None, None)


def test_trend_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    times = [0.0, 1.5, 2.0, 7.0, 9.5, 30.0]
    values = rng.normal(size=(6 * 8, 3)) + np.outer(np.repeat(times, 8), [0, 0.1, 1])
    drift = control_drift(values, np.repeat(np.arange(6), 8), np.ones(48, bool), times, alpha=0.01)
    for feature in range(3):
        assert drift.slope[feature] == stats.theilslopes(drift.values[:, feature], times)[0]
        assert drift.p[feature] == stats.kendalltau(times, drift.values[:, feature])[1]


def test_chance_of_drift_is_as_rare_as_said() -> None:
    rng = np.random.default_rng(2)
    plates = np.repeat(np.arange(6), 16)
    drift = control_drift(rng.normal(size=(96, 2000)), plates, np.ones(96, bool), range(6), alpha=0.05)
    assert (np.abs(drift.values) > drift.chance).mean() < 0.07


def test_drift_that_is_not_defined_says_why() -> None:
    values = np.array([[1.0, 5], [1, 6], [1, 7], [2, 8], [1, 5], [1, 6], [1, 7]])
    plates, controls = np.array([0, 0, 0, 1, 2, 2, 2]), np.ones(7, bool)
    drift = control_drift(values, plates, controls, [0, 1, 2], alpha=0.05)
    assert drift.constant.tolist() == [True, False]
    assert np.isnan(drift.values[:, 0]).all()
    assert drift.reasons == (None, "1 control well(s), 2 are needed", None)
    assert np.isnan(drift.values[1]).all()
    alone = control_drift(values[:3], plates[:3], controls[:3], [0], alpha=0.05)
    assert np.isnan(alone.values).all()
    assert alone.reasons == ("no other plate with controls to compare with",)
    none = control_drift(values, plates, np.zeros(7, bool), [0, 1, 2], alpha=0.05)
    assert none.reasons[0] == "0 control well(s), 2 are needed"


@pytest.mark.parametrize("seed", range(5))
def test_significance_is_that_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.uniform(size=30), rng.uniform(0, 0.003, 5)])
    assert significant(p, 0.05).tolist() == (stats.false_discovery_control(p) <= 0.05).tolist()
    assert significant(np.append(p, NAN), 0.05).tolist() == [*significant(p, 0.05), False]
    assert not significant(np.array([]), 0.05).any()


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_replicate_correlation_is_that_of_numpy_and_scipy(method: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(7, 20))
    found = replicate_correlation(values, np.array([0, 0, 0, 1, 1, -1, 2]), method=method)  # type: ignore[arg-type]
    expected = np.corrcoef(values) if method == "pearson" else stats.spearmanr(values, axis=1).statistic
    assert found.of_treatment[0] == pytest.approx(np.median([expected[0, 1], expected[0, 2], expected[1, 2]]))
    assert found.of_treatment[1] == pytest.approx(expected[3, 4])
    assert np.isnan(found.of_treatment[2])
    assert found.of_well[0] == pytest.approx(np.median([expected[0, 1], expected[0, 2]]))
    assert np.isnan(found.of_well[[5, 6]]).all()


def test_percent_replicating_of_effects_and_of_noise() -> None:
    rng = np.random.default_rng(4)
    treatments = np.repeat(np.arange(60), 4)
    noise = rng.normal(size=(240, 50))
    effects = np.repeat(rng.normal(size=(60, 50)), 4, axis=0)
    assert replicate_correlation(noise + 2 * effects, treatments).percent_replicating == 100
    # The threshold is passed by one of twenty by chance.
    assert replicate_correlation(noise, treatments).percent_replicating < 20
    half = np.where((treatments < 30)[:, None], 2 * effects, 0)
    assert 45 < replicate_correlation(noise + half, treatments).percent_replicating < 65


def test_the_same_wells_always_give_the_same() -> None:
    values, treatments = np.random.default_rng(5).normal(size=(40, 10)), np.repeat(np.arange(10), 4)
    one, other = (replicate_correlation(values, treatments) for _ in range(2))
    assert np.array_equal(one.by_chance, other.by_chance)


def test_missing_values_and_single_treatments() -> None:
    values = np.random.default_rng(6).normal(size=(30, 12))
    treatments = np.repeat(np.arange(10), 3)
    values[:, 0] = NAN  # a feature that is missing everywhere is left out
    values[4, 1] = NAN  # one that is missing once leaves its well out
    found = replicate_correlation(values, treatments)
    assert (found.features, found.left_out, found.sizes[1]) == (11, 1, 2)
    assert np.isnan(found.of_well[4])
    assert np.isnan(replicate_correlation(values, np.zeros(30, int)).percent_replicating)
    assert np.isnan(replicate_correlation(values, np.full(30, -1)).percent_replicating)
    assert np.isnan(replicate_correlation(np.full((4, 5), NAN), np.array([0, 0, 1, 1])).percent_replicating)
    assert np.isnan(replicate_correlation(np.ones((4, 5)), np.array([0, 0, 1, 1])).percent_replicating)
