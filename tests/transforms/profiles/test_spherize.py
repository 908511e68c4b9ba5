"""Spherizing: what it promises of covariances, against formulas written out, and where they end."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import InvalidDataError
from cytolake.transforms.parameters import BadParameterError
from cytolake.transforms.profiles.operators import make_operator
from cytolake.transforms.profiles.spherize import METHODS, Spherize
from numpy.typing import NDArray
from profile_matrices import everyone, matrix_of, permuted

Floats = NDArray[np.float64]


def wells(n: int, d: int, seed: int = 0) -> Floats:
    """Correlated features of very different scales, off the origin."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.geomspace(0.1, 10, d) + rng.normal(size=d) * 5


def power(symmetric: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * values**exponent) @ vectors.T


@pytest.mark.parametrize("method", METHODS)
def test_the_controls_are_spherical_afterwards_and_other_rows_are_mapped_alike(method: str) -> None:
    controls, treated = wells(200, 12), wells(50, 12, seed=3)
    matrix = matrix_of(np.vstack([controls, treated]))
    learn = np.arange(250) < 200
    operator = Spherize(method=method, epsilon=0)
    fitted = operator.fit(matrix, learn)
    done = operator.apply(matrix, fitted)
    assert np.allclose(np.cov(done.values[:200].T), np.eye(12), atol=1e-9)
    assert np.allclose(done.values[:200].mean(axis=0), 0, atol=1e-9)
    later = operator.apply(matrix_of(treated, plate_id=["new"] * 50), fitted)
    assert np.allclose(later.values, done.values[200:], atol=1e-12)


def test_zca_is_the_inverse_root_of_the_covariance() -> None:
    values = wells(300, 8)
    matrix = matrix_of(values)
    expected = power(np.cov(values.T) + 0.01 * np.eye(8), -0.5)
    fitted = Spherize(method="ZCA", epsilon=0.01).fit(matrix, everyone(matrix))
    assert np.allclose(fitted.arrays["matrix"], expected, atol=1e-10)
    assert fitted.outputs == matrix.features


def test_zca_cor_is_the_inverse_root_of_the_correlation_after_scaling() -> None:
    values = wells(300, 8)
    matrix = matrix_of(values)
    operator = Spherize(method="ZCA-cor", epsilon=0.01)
    done = operator.apply(matrix, operator.fit(matrix, everyone(matrix)))
    standard = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    expected = standard @ power(np.corrcoef(values.T) + 0.01 * np.eye(8), -0.5)
    assert np.allclose(done.values, expected, atol=1e-10)


def test_pca_agrees_with_scikit_learn_but_for_signs() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    values = wells(100, 6)
    matrix = matrix_of(values)
    operator = Spherize(method="PCA", epsilon=0)
    done = operator.apply(matrix, operator.fit(matrix, everyone(matrix)))
    expected = decomposition.PCA(whiten=True).fit_transform(values)
    assert done.features == ("PC_001", "PC_002", "PC_003", "PC_004", "PC_005", "PC_006")
    assert np.allclose(np.abs(done.values), np.abs(expected), atol=1e-9)


def as_pycytominer(learned: Floats, values: Floats, method: str, epsilon: float) -> Floats:
    """The steps of pycytominer 1.7's ``Spherize``, written out."""
    center = learned.mean(axis=0)
    scale = learned.std(axis=0) if method.endswith("-cor") else np.ones(learned.shape[1])
    centred = (learned - center) / scale
    n, d = centred.shape
    rank = np.linalg.matrix_rank(centred)
    _, sigma, rows = np.linalg.svd(centred, full_matrices=True)
    if n <= d:
        sigma = np.concatenate([sigma[:rank], np.repeat(sigma[rank - 1], d - rank)])
    whitening = (rows / (sigma + epsilon)[:, None]).T * np.sqrt(n - 1)
    if method.startswith("ZCA"):
        whitening = whitening @ rows
    return (values - center) / scale @ whitening


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [200, 9])
def test_compat_gives_the_numbers_of_pycytominer(method: str, n: int) -> None:
    values = wells(220, 12)
    matrix = matrix_of(values)
    operator = Spherize(method=method, epsilon=1e-3, compat="pycytominer")
    done = operator.apply(matrix, operator.fit(matrix, np.arange(220) < n)).values
    expected = as_pycytominer(values[:n], values, method, 1e-3)
    if method.startswith("PCA"):
        # Signs are free, and axes in which no well varies are no principal ones: those are left out.
        done, expected = np.abs(done), np.abs(expected[:, : min(12, n - 1)])
    assert done.shape == expected.shape
    assert np.allclose(done, expected, rtol=1e-10, atol=1e-10)


def test_compat_refuses_dependent_features_as_pycytominer_does() -> None:
    values = wells(50, 4)
    matrix = matrix_of(np.column_stack([values, values[:, 0] + values[:, 1]]))
    with pytest.raises(InvalidDataError, match="rank 4"):
        Spherize(compat="pycytominer").fit(matrix, everyone(matrix))
    fitted = Spherize(method="PCA", epsilon=0).fit(matrix, everyone(matrix))
    assert len(fitted.outputs) == fitted.arrays["rank"] == 4


def test_with_fewer_wells_than_features_unseen_directions_are_scaled_as_the_last_seen_one() -> None:
    values = wells(6, 20)
    matrix = matrix_of(values)
    fitted = Spherize(method="ZCA", epsilon=0).fit(matrix, everyone(matrix))
    centred = values - values.mean(axis=0)
    seen = np.linalg.svd(centred)[2][:5]
    done = centred @ fitted.arrays["matrix"]
    assert np.allclose(np.cov(done @ seen.T, rowvar=False), np.eye(5), atol=1e-8)
    unseen = np.linalg.svd(seen)[2][5:]
    last = np.linalg.svd(centred)[1][4] / np.sqrt(5)
    assert np.allclose(unseen @ fitted.arrays["matrix"], unseen / last, atol=1e-8)


def test_gaps_are_an_error_that_names_features_and_says_what_to_do() -> None:
    values = wells(30, 5)
    values[3, 1] = values[4, 2] = np.nan
    values[7] = np.nan  # a well without objects
    matrix = matrix_of(values, plate_id=["left"] * 15 + ["right"] * 15)
    with pytest.raises(InvalidDataError, match=r"2 of 5 features .* of the 29 wells .*F1, F2.*left") as caught:
        Spherize().fit(matrix, everyone(matrix))
    assert "select" in str(caught.value.hint)
    operator = Spherize(na="leave_out")
    fitted = operator.fit(matrix, everyone(matrix))
    assert fitted.outputs == ("F0", "F3", "F4")
    assert [(flag.feature, flag.reason) for flag in fitted.flags] == [("F1", "na"), ("F2", "na")]
    done = operator.apply(matrix, fitted).values
    assert np.isnan(done[7]).all()
    assert np.isfinite(np.delete(done, 7, axis=0)).all()


def test_constant_features_are_left_out_and_flagged() -> None:
    values = wells(30, 4)
    values[:, 2] = 0.1 + 0.2
    matrix = matrix_of(values)
    fitted = Spherize().fit(matrix, everyone(matrix))
    assert fitted.outputs == ("F0", "F1", "F3")
    assert [(flag.feature, flag.reason) for flag in fitted.flags] == [("F2", "constant")]


def test_a_row_that_lacks_a_value_has_none_afterwards_and_a_missing_feature_is_an_error() -> None:
    matrix = matrix_of(wells(30, 4))
    operator = Spherize()
    fitted = operator.fit(matrix, everyone(matrix))
    values = wells(3, 4)
    values[1, 2], values[2, 0] = np.nan, np.inf
    done = operator.apply(matrix_of(values), fitted).values
    assert np.isfinite(done[0]).all()
    assert np.isnan(done[1:]).all()
    with pytest.raises(InvalidDataError, match="F3"):
        operator.apply(matrix_of(values[:, :3]), fitted)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_rows_does_not_matter(method: str) -> None:
    matrix = matrix_of(wells(80, 10))
    order = np.random.default_rng(5).permutation(80)
    operator = Spherize(method=method)
    one = operator.fit(matrix, everyone(matrix))
    other = operator.fit(permuted(matrix, order), everyone(matrix))
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_wells_are_an_error(rows: int) -> None:
    matrix = matrix_of(wells(10, 3))
    with pytest.raises(InvalidDataError, match=f"{rows} of {rows} well"):
        Spherize().fit(matrix, np.arange(10) < rows)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"method": "zca"}, "method"),
        ({"epsilon": -1}, "epsilon"),
        ({"method": "PCA-cor", "center": False}, "center"),
        ({"na": "drop"}, "na"),
        ({"compat": "cellprofiler"}, "compat"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], key: str) -> None:
    with pytest.raises(BadParameterError) as caught:
        make_operator("spherize", settings)
    assert caught.value.key == key
