"""Statistics of groups against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cytolake.transforms.profiles.groups import Groups, mean, median, quantile, variance, with_missing
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SIZES = st.tuples(st.integers(1, 4), st.integers(0, 60))
VALUES = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_reduces_as_pandas_does(data: st.DataObject) -> None:
    shape = data.draw(SIZES)
    values = data.draw(hnp.arrays(np.float64, shape, elements=VALUES))
    numbers = data.draw(hnp.arrays(np.int64, shape[1], elements=st.integers(0, 12)))
    groups = Groups.of(numbers, 13)
    by = pd.DataFrame(values.T).groupby(numbers)
    for statistic, expected in (("median", by.median()), ("mean", by.mean()), ("std", by.std(ddof=0))):
        found = groups.reduce(with_missing(values), statistic)
        assert found.shape == (shape[0], 13)
        want = expected.reindex(range(13)).to_numpy(dtype=float).T
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-9)
        if statistic == "median":
            np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(groups.sizes, np.bincount(numbers, minlength=13))


def test_groups_of_one_row_and_of_none_and_rows_of_no_group() -> None:
    groups = Groups.of(np.array([2, -1, 0, 0, -1]), 4)
    found = groups.reduce(with_missing(np.array([[5.0, 9.0, 1.0, 2.0, 9.0]])), "median")
    np.testing.assert_array_equal(found, [[1.5, np.nan, 5.0, np.nan]])
    np.testing.assert_array_equal(groups.sizes, [2, 0, 1, 0])


@pytest.mark.parametrize("rows", [0, 3])
def test_without_columns_or_rows(rows: int) -> None:
    groups = Groups.of(np.zeros(rows, np.int64), 2)
    assert groups.reduce(np.empty((0, rows + 1)), "mean").shape == (0, 2)
    assert np.isnan(groups.reduce(np.full((1, rows + 1), np.nan), "median")).all()


def test_many_groups_of_unlike_sizes() -> None:
    rng = np.random.default_rng(0)
    numbers = np.repeat(np.arange(700), rng.integers(0, 40, 700) ** 2)
    rng.shuffle(numbers)
    values = rng.normal(size=(3, len(numbers)))
    values[rng.random(values.shape) < 0.1] = np.nan
    found = Groups.of(numbers, 700).reduce(with_missing(values), "median")
    want = pd.DataFrame(values.T).groupby(numbers).median().reindex(range(700))
    np.testing.assert_array_equal(found, want.to_numpy().T)


def test_float32_is_averaged_as_float64() -> None:
    values = np.array([[1.0, 1.0 + 2.0**-23, np.nan]], np.float32)
    found = Groups.of(np.array([0, 0]), 1).reduce(values, "median")
    assert found.dtype == np.float64
    assert found[0, 0] == 1.0 + 2.0**-24


@settings(deadline=None, max_examples=60)
@given(values=hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=VALUES))
def test_along_the_last_axis(values: np.ndarray) -> None:
    frame = pd.DataFrame(values.T)
    np.testing.assert_array_equal(median(values.copy()), frame.median().to_numpy())
    np.testing.assert_allclose(mean(values), frame.mean().to_numpy(), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(variance(values), frame.var(ddof=0).to_numpy(), rtol=1e-9, atol=1e-9)
    for at in (0.0, 0.25, 0.75, 1.0):
        np.testing.assert_allclose(quantile(values.copy(), at), frame.quantile(at).to_numpy(), rtol=1e-12, atol=1e-9)
