"""Inverse normal transform against ranks of SciPy and quantiles of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import InvalidDataError
from cytolake.transforms.profiles.inverse_normal import InverseNormal
from hypothesis import given
from hypothesis import strategies as st
from profile_matrices import everyone, matrix_of, permuted
from scipy.stats import norm, rankdata


def skewed(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(size=(n, d))


def test_scores_are_those_of_blom_with_averaged_ties() -> None:
    values = skewed(60, 3)
    values[:, 1] = np.round(values[:, 1])
    matrix = matrix_of(values)
    operator = InverseNormal()
    done = operator.apply(matrix, operator.fit(matrix, everyone(matrix)))
    expected = norm.ppf((rankdata(values, axis=0) - 3 / 8) / (60 + 1 / 4))
    assert len(np.unique(values[:, 1])) < 12
    assert np.allclose(done.values, expected, atol=1e-12)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30), st.randoms())
def test_it_keeps_the_order_and_does_not_mind_that_of_rows(values: list[int], random: object) -> None:
    column = np.array(values, float)[:, None]
    matrix = matrix_of(column)
    operator = InverseNormal()
    fitted = operator.fit(matrix, everyone(matrix))
    order = np.arange(len(values))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = operator.fit(permuted(matrix, order), everyone(matrix))
    assert np.array_equal(fitted.arrays["score"], shuffled.arrays["score"], equal_nan=True)
    done = operator.apply(matrix, fitted).values[:, 0]
    if len(set(values)) == 1:
        assert np.isnan(done).all()
    else:
        assert np.array_equal(rankdata(done), rankdata(column[:, 0]))
        assert (
            abs(
                done.sum()
                + operator.apply(matrix_of(-column), operator.fit(matrix_of(-column), everyone(matrix))).values.sum()
            )
            < 1e-9
        )


def test_new_values_lie_between_their_neighbours_and_end_where_the_known_ones_do() -> None:
    matrix = matrix_of(np.array([[1.0], [2.0], [4.0], [9.0]]))
    operator = InverseNormal()
    fitted = operator.fit(matrix, everyone(matrix))
    known = norm.ppf((np.arange(1, 5) - 0.375) / 4.25)
    new = operator.apply(matrix_of(np.array([[3.0], [-50.0], [1e9], [np.nan]])), fitted).values[:, 0]
    assert np.allclose(new[:3], [(known[1] + known[2]) / 2, known[0], known[3]])
    assert np.isnan(new[3])


def test_fewer_knots_keep_the_ends_and_stay_near() -> None:
    matrix = matrix_of(skewed(5000, 1))
    coarse, fine = InverseNormal(knots=200), InverseNormal(knots=5000)
    fitted = coarse.fit(matrix, everyone(matrix))
    assert 100 < fitted.arrays["value"].shape[1] <= 200
    one = coarse.apply(matrix, fitted).values
    other = fine.apply(matrix, fine.fit(matrix, everyone(matrix))).values
    assert one.max() == other.max()
    assert one.min() == other.min()
    assert np.abs(one - other).max() < 2 * other.max() / 199 + 1e-3


def test_gaps_are_passed_over_and_empty_or_constant_features_are_flagged() -> None:
    values = skewed(20, 4)
    values[:, 1], values[:, 2] = 7.0, np.nan
    values[3, 0] = np.nan
    matrix = matrix_of(values)
    operator = InverseNormal()
    fitted = operator.fit(matrix, everyone(matrix))
    assert [(flag.feature, flag.reason) for flag in fitted.flags] == [("F1", "constant"), ("F2", "na")]
    done = operator.apply(matrix, fitted)
    assert done.features == matrix.features
    assert np.isnan(done.values[:, 1:3]).all()
    expected = norm.ppf((rankdata(np.delete(values[:, 0], 3)) - 0.375) / 19.25)
    assert np.allclose(np.delete(done.values[:, 0], 3), expected, atol=1e-12)
    assert np.isnan(done.values[3, 0])


@pytest.mark.parametrize("n", [40, 3000])
def test_compat_gives_the_numbers_of_scikit_learn_that_pycytominer_gives(n: int) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    values = skewed(n, 3)
    values[:, 1] = np.round(values[:, 1])
    matrix = matrix_of(values)
    operator = InverseNormal(compat="pycytominer")
    fitted = operator.fit(matrix, everyone(matrix))
    reference = preprocessing.QuantileTransformer(n_quantiles=min(1000, n), output_distribution="normal").fit(values)
    assert np.allclose(operator.apply(matrix, fitted).values, reference.transform(values), atol=1e-10)
    new = skewed(50, 3, seed=9) * 2
    assert np.allclose(operator.apply(matrix_of(new), fitted).values, reference.transform(new), atol=1e-10)


def test_without_wells_there_is_nothing_to_learn() -> None:
    matrix = matrix_of(skewed(5, 2))
    with pytest.raises(InvalidDataError, match="no well"):
        InverseNormal().fit(matrix, ~everyone(matrix))
