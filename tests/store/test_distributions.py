"""Distances of distributions, beside SciPy and beside numbers that were computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from cytolake.store.distributions import (
    EPSILON,
    effective_size,
    finite,
    inf_fraction,
    ks_by_chance,
    ks_statistic,
    median_of,
    null_fraction,
    psi,
    spread,
)
from scipy import stats

Draw = Callable[[np.random.Generator, int], np.ndarray]

DRAWS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "few values": lambda rng, n: rng.integers(0, 4, n).astype(np.float64),
    "many zeros": lambda rng, n: np.maximum(rng.normal(size=n), 0),
    "huge": lambda rng, n: rng.normal(size=n) * 1e30,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 3), (200, 900)])
def test_ks_is_that_of_scipy(draw: Draw, dtype: type, n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.5):
        one, other = draw(rng, n).astype(dtype), (draw(rng, m) + shift).astype(dtype)
        assert ks_statistic(one, other) == pytest.approx(stats.ks_2samp(one, other).statistic, abs=1e-15)


def test_ks_of_equal_apart_and_constant_samples() -> None:
    ones = np.ones(10)
    assert ks_statistic(ones, ones) == 0
    assert ks_statistic(ones, ones + 1) == 1
    assert ks_statistic(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.5
    assert math.isnan(ks_statistic(ones, np.array([])))
    assert math.isnan(ks_statistic(ones, np.array([np.nan, np.inf])))


def test_what_is_no_number_belongs_to_no_distribution() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=100), rng.normal(size=100)
    spoilt = np.concatenate([one, [np.nan, np.inf, -np.inf]])
    assert ks_statistic(spoilt, other) == ks_statistic(one, other)
    assert psi(spoilt, other) == psi(one, other)
    assert median_of(spoilt) == np.median(one)
    assert null_fraction(spoilt) == pytest.approx(1 / 103)
    assert inf_fraction(spoilt) == pytest.approx(2 / 103)
    assert list(finite(np.array([2, np.nan, 1], np.float32))) == [1.0, 2.0]
    assert math.isnan(null_fraction(np.array([])))
    assert math.isnan(inf_fraction(np.array([])))
    assert math.isnan(median_of(np.array([np.nan])))


def test_psi_by_hand() -> None:
    # 20 values in two bins of ten: (-inf, 10.5] and (10.5, inf). The other sample has 5 and 15 there.
    reference = np.arange(1.0, 21.0)
    other = np.concatenate([np.full(5, 3.0), np.full(15, 17.0)])
    expected = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert psi(reference, other, bins=2) == pytest.approx(expected, abs=1e-12)


def test_psi_in_tenths_by_hand() -> None:
    # A hundred values, ten in each tenth; the other sample leaves the last tenth empty and doubles the first.
    reference = np.arange(100.0)
    other = np.concatenate([np.arange(10.0), np.arange(90.0)])
    empty = (EPSILON - 0.1) * math.log(EPSILON / 0.1)
    assert psi(reference, other) == pytest.approx(0.1 * math.log(2) + empty, abs=1e-12)
    assert psi(reference, other, epsilon=0.01) == pytest.approx(
        0.1 * math.log(2) + (0.01 - 0.1) * math.log(0.1), abs=1e-12
    )


def test_psi_of_a_constant_sees_both_directions() -> None:
    ones = np.ones(50)
    assert psi(ones, ones) == 0
    apart = (EPSILON - 1) * math.log(EPSILON) + (1 - EPSILON) * math.log(1 / EPSILON)
    for away in (0.0, 2.0):
        assert psi(ones, np.full(50, away)) == pytest.approx(apart)
        assert psi(ones[:12], np.full(12, away)) == pytest.approx(apart)


def test_psi_of_a_value_that_many_share() -> None:
    # 60 zeros among 100: they are a bin, so that a sample that goes below them is seen.
    reference = np.concatenate([np.zeros(60), np.arange(1.0, 41.0)])
    below = np.concatenate([np.full(60, -1.0), np.arange(1.0, 41.0)])
    assert psi(reference, reference) == 0
    assert psi(reference, below) > 5


def test_psi_of_small_samples_has_fewer_bins_or_none() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(size=1000)
    assert math.isnan(psi(reference, reference[:9]))
    assert psi(reference, reference[:12]) < 1  # two bins: none can be empty by chance alone


@pytest.mark.parametrize(("n", "m"), [(10, 10), (16, 300), (500, 500)])
def test_chance_exceeds_its_bound_as_rarely_as_said(n: int, m: int) -> None:
    rng = np.random.default_rng(4)
    bound = ks_by_chance(n, m, 0.05)
    beyond = np.mean([ks_statistic(rng.normal(size=n), rng.normal(size=m)) > bound for _ in range(1000)])
    assert beyond < 0.07
    assert ks_by_chance(n, m, 1e-6) > bound


def test_nothing_exceeds_the_chance_of_nothing() -> None:
    assert ks_by_chance(0, 10, 0.05) == 1


def test_rows_to_look_at_are_spread_and_always_the_same() -> None:
    assert spread(5, 10) == slice(None)
    some = spread(1000, 10)
    assert isinstance(some, np.ndarray)
    assert (some[0], some[-1], len(set(some.tolist()))) == (0, 999, 10)
    assert np.array_equal(some, spread(1000, 10))


def test_objects_of_wells_are_worth_what_wells_are() -> None:
    rng = np.random.default_rng(5)
    wells = np.repeat(np.arange(20), 50)
    alone, shared = rng.normal(size=1000), np.repeat(rng.normal(size=20), 50)
    assert 500 < effective_size(alone, wells) <= 1000
    assert effective_size(shared + 1e-6 * alone, wells) == pytest.approx(20, rel=0.1)
    # Half of the variance between wells: 1000 / (1 + 49 / 2) is 39.
    assert 25 < effective_size(alone + shared, wells) < 70
    assert effective_size(alone, np.arange(1000)) == 1000
    assert effective_size(alone, np.zeros(1000, int)) == 1
    assert effective_size(np.where(wells < 10, np.nan, alone), wells) < 501
    assert effective_size(np.array([]), np.array([], int)) == 0


def test_chance_counts_wells_where_objects_are_alike() -> None:
    rng = np.random.default_rng(6)
    wells = np.repeat(np.arange(12), 50)
    beyond = naive = 0
    for _ in range(300):
        one, other = (rng.normal(size=600) + np.repeat(rng.normal(size=12), 50) for _ in range(2))
        distance = ks_statistic(one, other)
        beyond += distance > ks_by_chance(effective_size(one, wells), effective_size(other, wells), 0.05)
        naive += distance > ks_by_chance(600, 600, 0.05)
    assert beyond / 300 < 0.08
    assert naive / 300 > 0.5
