"""Harmony: planted batches mix and planted clusters stay, on rows and plates that were not there too."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, RecipeError
from cytolake.transforms.parameters import BadParameterError
from cytolake.transforms.profiles.harmony import Harmony
from cytolake.transforms.profiles.matrix import ProfileMatrix
from cytolake.transforms.profiles.operators import make_operator
from numpy.typing import NDArray
from profile_matrices import everyone, matrix_of, permuted
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
N_KINDS, N_SITES = 4, 3


def planted(n: int = 480, d: int = 30, seed: int = 0) -> tuple[ProfileMatrix, NDArray[np.int64]]:
    """Rows of four kinds from three sites on six plates, two a site; sites move each kind another way."""
    rng = np.random.default_rng(seed)
    kind, plate = rng.integers(0, N_KINDS, n), np.arange(n) % (2 * N_SITES)
    site = plate // 2
    centre = rng.normal(size=(N_KINDS, d)) * 4
    shift = rng.normal(size=(N_SITES, 1, d)) * 2 + rng.normal(size=(N_SITES, N_KINDS, d)) * 0.7
    values = centre[kind] + shift[site, kind] + rng.normal(size=(n, d))
    columns = {"plate_id": [f"p{one}" for one in plate], "site": [f"site-{one}" for one in site]}
    return matrix_of(values, **columns), kind


def neighbours(values: Floats, of: NDArray[np.generic], k: int = 15) -> float:
    """Share of the nearest neighbours of each row that are of its group."""
    near = cKDTree(values).query(values, k + 1)[1][:, 1:]
    return float((of[near] == of[:, None]).mean())


def mixing(values: Floats, kind: NDArray[np.int64], site: NDArray[np.generic]) -> float:
    """The same of sites, among rows of one kind: a third where they are mixed, 1 where they are apart."""
    return float(np.mean([neighbours(values[kind == one], site[kind == one]) for one in range(N_KINDS)]))


def test_sites_mix_and_kinds_stay() -> None:
    matrix, kind = planted()
    site = np.array(matrix.column("site"))
    operator = Harmony(batch=("site",), n_pcs=15)
    done = operator.apply(matrix, operator.fit(matrix, everyone(matrix)))
    assert done.features[:2] == ("PC_001", "PC_002")
    assert len(done.features) == 15
    assert mixing(matrix.values, kind, site) > 0.9
    assert mixing(done.values, kind, site) < 0.5
    assert neighbours(done.values, kind) > 0.98


def test_a_plate_that_was_not_there_of_a_known_site_is_corrected_alike() -> None:
    matrix, kind = planted()
    plate, site = np.array(matrix.column("plate_id")), np.array(matrix.column("site"))
    seen = ~np.isin(plate, ["p1", "p3"])
    operator = Harmony(batch=("site",), n_pcs=15)
    fitted = operator.fit(matrix.select_rows(seen), np.ones(seen.sum(), bool))
    done = operator.apply(matrix, fitted).values
    new = plate == "p1"
    # Among rows of other sites, those of the new plate find their kind.
    others = seen & (site != "site-0")
    near = cKDTree(done[others]).query(done[new], 10)[1]
    assert (kind[others][near] == kind[new][:, None]).mean() > 0.98
    assert mixing(done, kind, site) < 0.55
    alone = operator.apply(matrix.select_rows(new), fitted).values
    assert np.allclose(alone, done[new], atol=1e-10)


def test_one_cluster_is_a_ridge_regression_on_batches() -> None:
    matrix, _ = planted(120, 6)
    site = np.array(matrix.column("site"))
    operator = Harmony(batch=("site",), n_pcs=6, n_clusters=1, ridge=3.0)
    fitted = operator.fit(matrix, everyone(matrix))
    points = (matrix.values - matrix.values.mean(axis=0)) @ fitted.arrays["components"]
    design = np.column_stack([np.ones(120), *(site == f"site-{one}" for one in range(N_SITES))])
    # The normal equations of ridge regression, the intercept not pulled.
    terms = np.linalg.solve(design.T @ design + np.diag([0, 3, 3, 3]), design.T @ points)
    expected = points - design[:, 1:] @ terms[1:]
    assert np.allclose(operator.apply(matrix, fitted).values, expected, atol=1e-9)


def test_two_columns_are_corrected_together() -> None:
    matrix, _ = planted(120, 6)
    day = np.random.default_rng(1).integers(0, 2, 120)
    moved = matrix_of(matrix.values + 3 * day[:, None], site=matrix.column("site"), day=[f"d{one}" for one in day])
    operator = Harmony(batch=("site", "day"), n_pcs=6, n_clusters=1)
    fitted = operator.fit(moved, everyone(moved))
    points = (moved.values - moved.values.mean(axis=0)) @ fitted.arrays["components"]
    site = np.array(moved.column("site"))
    design = np.column_stack([np.ones(120), *(site == f"site-{i}" for i in range(N_SITES)), day == 0, day == 1])
    terms = np.linalg.solve(design.T @ design + np.diag([0, 1, 1, 1, 1, 1]), design.T @ points)
    assert np.allclose(operator.apply(moved, fitted).values, points - design[:, 1:] @ terms[1:], atol=1e-9)


def test_theta_mixes_batches_in_clusters() -> None:
    matrix, _ = planted()
    site = np.array(matrix.column("site"))

    def evenness(theta: float) -> float:
        """How far the batches of a cluster are from even, over clusters, in the first round."""
        operator = Harmony(batch=("site",), n_pcs=15, n_clusters=12, theta=theta, iterations=1)
        fitted = operator.fit(matrix, everyone(matrix))
        points = (matrix.values - fitted.arrays["center"]) @ fitted.arrays["components"]
        units = points / np.linalg.norm(points, axis=1, keepdims=True)
        shares = -2 * (1 - units @ fitted.arrays["centroids"][0].T) / 0.1
        shares += np.array([fitted.arrays[f"penalty[site={one}]"][0] for one in site])
        shares = np.exp(shares - shares.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        observed = np.array([shares[site == f"site-{one}"].sum(axis=0) for one in range(N_SITES)])
        return float(np.abs(observed / observed.sum(axis=0) - 1 / N_SITES).mean())

    assert evenness(4.0) < 0.5 * evenness(0.0)


def test_rows_are_mapped_as_they_were_fitted_whatever_their_order() -> None:
    matrix, _ = planted(200, 10)
    operator = Harmony(n_pcs=8)
    fitted = operator.fit(matrix, everyone(matrix))
    order = np.random.default_rng(4).permutation(200)
    other = operator.fit(permuted(matrix, order), everyone(matrix))
    assert fitted.arrays.keys() == other.arrays.keys()
    assert all(np.array_equal(fitted.arrays[name], other.arrays[name]) for name in fitted.arrays)
    # Sums that the fit kept of its own corrected rows are those of what `apply` gives.
    done = operator.apply(matrix, fitted).values
    assert np.allclose(fitted.arrays["reference_sum"].sum(axis=0), done.sum(axis=0), atol=1e-8)
    assert not np.array_equal(
        fitted.arrays["centroids"][0], Harmony(n_pcs=8, seed=1).fit(matrix, everyone(matrix)).arrays["centroids"][0]
    )


def test_rows_of_equal_values_and_other_batches_do_not_depend_on_their_order() -> None:
    matrix, _ = planted(60, 5)
    twice = matrix_of(np.vstack([matrix.values] * 2), plate_id=["a"] * 60 + ["b"] * 60)
    order = np.random.default_rng(4).permutation(120)
    one, other = (Harmony(n_pcs=4).fit(some, everyone(twice)) for some in (twice, permuted(twice, order)))
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_features_keep_what_lies_beside_the_components() -> None:
    matrix, kind = planted(300, 12)
    site = np.array(matrix.column("site"))
    settings = {"batch": ("site",), "n_pcs": 12}
    components, features = Harmony(**settings), Harmony(**settings, output="features")
    fitted = components.fit(matrix, everyone(matrix))
    done = features.apply(matrix, features.fit(matrix, everyone(matrix)))
    assert done.features == matrix.features
    # With all components, features are these turned back.
    expected = components.apply(matrix, fitted).values @ fitted.arrays["components"].T + fitted.arrays["center"]
    assert np.allclose(done.values, expected, atol=1e-9)
    assert mixing(done.values, kind, site) < 0.5


def test_an_unseen_batch_is_an_error_unless_it_is_mapped() -> None:
    matrix, kind = planted()
    site = np.array(matrix.column("site"))
    new = site == "site-2"
    operator = Harmony(batch=("site",), n_pcs=15)
    fitted = operator.fit(matrix.select_rows(~new), np.ones((~new).sum(), bool))
    with pytest.raises(InvalidDataError, match="site=site-2") as caught:
        operator.apply(matrix, fitted)
    assert 'unseen = "map"' in str(caught.value.hint)
    mapping = Harmony(batch=("site",), n_pcs=15, unseen="map")
    done = mapping.apply(matrix, fitted).values
    # The reference does not move.
    assert np.allclose(done[~new], operator.apply(matrix.select_rows(~new), fitted).values, atol=1e-10)
    near = cKDTree(done[~new]).query(done[new], 10)[1]
    assert (kind[~new][near] == kind[new][:, None]).mean() > 0.98
    points = (matrix.values - fitted.arrays["center"]) @ fitted.arrays["components"]
    apart = [np.linalg.norm(x[new].mean(axis=0) - x[~new].mean(axis=0)) for x in (points, done)]
    assert apart[1] < 0.3 * apart[0]
    with pytest.raises(RecipeError, match="controls"):
        mapping.apply(matrix, mapping.fit(matrix, ~new & (kind == 0)))


def test_mapping_is_the_ridge_regression_of_symphony() -> None:
    matrix, _ = planted(150, 6)
    site = np.array(matrix.column("site"))
    new = site == "site-2"
    operator = Harmony(batch=("site",), n_pcs=6, n_clusters=3, unseen="map", ridge=2.0)
    fitted = operator.fit(matrix.select_rows(~new), np.ones((~new).sum(), bool))
    arrays = fitted.arrays
    points = (matrix.values[new] - arrays["center"]) @ arrays["components"]
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    shares = np.exp(-2 * (1 - units @ arrays["reference_centroids"].T) / 0.1)
    shares /= shares.sum(axis=1, keepdims=True)
    expected = points.copy()
    for cluster in range(3):
        r = shares[:, cluster]
        left = np.array([[arrays["reference_weight"][cluster] + r.sum(), r.sum()], [r.sum(), r.sum() + 2.0]])
        right = np.array([arrays["reference_sum"][cluster] + r @ points, r @ points])
        expected -= np.outer(r, np.linalg.solve(left, right)[1])
    assert np.allclose(operator.apply(matrix.select_rows(new), fitted).values, expected, atol=1e-9)


def test_gaps_at_fit_are_an_error_and_at_apply_empty() -> None:
    matrix, _ = planted(100, 6)
    values = matrix.values.copy()
    values[2, 3] = np.nan
    gappy = matrix.with_values(values)
    with pytest.raises(InvalidDataError, match="F3"):
        Harmony().fit(gappy, everyone(gappy))
    operator = Harmony()
    done = operator.apply(gappy, operator.fit(matrix, everyone(matrix))).values
    assert np.isnan(done[2]).all()
    assert np.isfinite(np.delete(done, 2, axis=0)).all()


def test_one_batch_is_an_error() -> None:
    matrix, _ = planted(60, 5)
    with pytest.raises(InvalidDataError, match="nothing to correct"):
        Harmony().fit(matrix, np.array(matrix.column("plate_id")) == "p1")


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"batch": []}, "batch"), ({"ridge": 0}, "ridge"), ({"n_pcs": 2.5}, "n_pcs"), ({"output": "umap"}, "output")],
)
def test_bad_settings_are_refused(settings: dict[str, object], key: str) -> None:
    with pytest.raises(BadParameterError) as caught:
        make_operator("harmony", settings)
    assert caught.value.key == key
