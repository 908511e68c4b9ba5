"""ComBat: planted batch effects go, planted biology stays, and the numbers are those of the formulas in loops."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, RecipeError
from cytolake.transforms.parameters import BadParameterError
from cytolake.transforms.profiles.combat import ComBat
from cytolake.transforms.profiles.matrix import ProfileMatrix
from cytolake.transforms.profiles.operators import make_operator
from numpy.typing import NDArray
from profile_matrices import everyone, matrix_of, permuted

Floats = NDArray[np.float64]


def planted(n: int = 120, d: int = 25, n_batches: int = 3, seed: int = 0) -> tuple[ProfileMatrix, Floats, Floats]:
    """Rows of three batches; what they would be without them; and which treatment each has."""
    rng = np.random.default_rng(seed)
    batch = np.arange(n) % n_batches
    treated = rng.integers(0, 2, n)
    effect = rng.normal(size=d) * 3
    clean = rng.normal(size=d) * 5 + treated[:, None] * effect + rng.normal(size=(n, d))
    noise = clean - treated[:, None] * effect
    shift, spread = rng.normal(size=(n_batches, d)) * 2, rng.uniform(0.5, 2, (n_batches, d))
    values = clean + shift[batch] + (spread[batch] - 1) * (noise - noise.mean(axis=0))
    columns = {"plate_id": [f"p{one}" for one in batch], "treatment": [["mock", "drug"][one] for one in treated]}
    return matrix_of(values, **columns), clean, treated.astype(float)


def in_loops(values: Floats, batch: list[str]) -> Floats:
    """Johnson, Li and Rabinovic (2007), without covariates, one number after another."""
    batches = sorted(set(batch))
    n, d = values.shape
    rows = {one: [row for row in range(n) if batch[row] == one] for one in batches}
    standard, alpha, sigma = np.zeros_like(values), np.zeros(d), np.zeros(d)
    for g in range(d):
        means = {one: sum(values[row, g] for row in rows[one]) / len(rows[one]) for one in batches}
        alpha[g] = sum(len(rows[one]) / n * means[one] for one in batches)
        sigma[g] = np.sqrt(sum((values[row, g] - means[batch[row]]) ** 2 for row in range(n)) / n)
        for row in range(n):
            standard[row, g] = (values[row, g] - alpha[g]) / sigma[g]
    done = np.zeros_like(values)
    for one in batches:
        z = standard[rows[one]]
        size = len(z)
        gamma_hat = [sum(z[:, g]) / size for g in range(d)]
        delta_hat = [sum((z[:, g] - gamma_hat[g]) ** 2) / (size - 1) for g in range(d)]
        gamma_bar, tau = np.mean(gamma_hat), np.var(gamma_hat, ddof=1)
        middle, spread = np.mean(delta_hat), np.var(delta_hat, ddof=1)
        a, b = middle**2 / spread + 2, middle**3 / spread + middle
        for g in range(d):
            gamma, delta = gamma_hat[g], delta_hat[g]
            for _ in range(500):
                gamma = (size * tau * gamma_hat[g] + delta * gamma_bar) / (size * tau + delta)
                delta = (b + sum((z[:, g] - gamma) ** 2) / 2) / (size / 2 + a - 1)
            for at, row in enumerate(rows[one]):
                done[row, g] = sigma[g] / np.sqrt(delta) * (z[at, g] - gamma) + alpha[g]
    return done


def test_it_is_what_the_formulas_say() -> None:
    matrix, _, _ = planted(30, 5)
    operator = ComBat()
    done = operator.apply(matrix, operator.fit(matrix, everyone(matrix)))
    expected = in_loops(matrix.values, [f"{plate}" for plate in matrix.column("plate_id")])
    assert np.allclose(done.values, expected, atol=1e-8)


def test_batches_go_and_biology_stays_on_rows_that_were_not_there() -> None:
    matrix, clean, treated = planted(400)
    seen = np.arange(400) < 240
    operator = ComBat(covariates=("treatment",))
    fitted = operator.fit(matrix.select_rows(seen), np.ones(240, bool))
    done = operator.apply(matrix.select_rows(~seen), fitted).values
    batch = np.array(matrix.column("plate_id"))[~seen]
    truth, kind = clean[~seen], treated[~seen]

    def between(values: Floats) -> float:
        """Spread of batch means of the untreated, in units of the noise: 0 where batches are alike."""
        return float(np.std([values[(batch == one) & (kind == 0)].mean(axis=0) for one in set(batch)], axis=0).mean())

    assert between(matrix.values[~seen]) > 1.2
    assert between(done) < 0.35
    effects = [values[kind == 1].mean(axis=0) - values[kind == 0].mean(axis=0) for values in (done, truth)]
    assert np.corrcoef(effects)[0, 1] > 0.99
    assert np.abs(effects[0] - effects[1]).mean() < 0.35


def test_what_was_fitted_on_is_mapped_alike_in_parts_and_in_any_order() -> None:
    matrix, _, _ = planted()
    operator = ComBat(covariates=("treatment",))
    fitted = operator.fit(matrix, everyone(matrix))
    whole = operator.apply(matrix, fitted).values
    part = np.array(matrix.column("plate_id")) == "p1"
    assert np.array_equal(operator.apply(matrix.select_rows(part), fitted).values, whole[part])
    other = operator.fit(permuted(matrix, np.random.default_rng(1).permutation(len(matrix))), everyone(matrix))
    assert fitted.arrays.keys() == other.arrays.keys()
    assert all(np.allclose(fitted.arrays[name], other.arrays[name], atol=1e-12) for name in fitted.arrays)


def test_terms_can_be_learned_from_controls() -> None:
    matrix, _, treated = planted(300)
    operator = ComBat(mean_only=True)
    fitted = operator.fit(matrix, treated == 0)
    done = operator.apply(matrix, fitted).values
    batch = np.array(matrix.column("plate_id"))
    means = [done[(batch == one) & (treated == 1)].mean(axis=0) for one in ("p0", "p1", "p2")]
    before = [matrix.values[(batch == one) & (treated == 1)].mean(axis=0) for one in ("p0", "p1", "p2")]
    assert np.std(means, axis=0).mean() < 0.5 < 1.2 < np.std(before, axis=0).mean()


def test_an_unseen_batch_is_an_error_unless_it_is_mapped() -> None:
    matrix, _, _ = planted(300)
    new = np.array(matrix.column("plate_id")) == "p2"
    operator = ComBat()
    fitted = operator.fit(matrix.select_rows(~new), np.ones((~new).sum(), bool))
    with pytest.raises(InvalidDataError, match="s/p2") as caught:
        operator.apply(matrix, fitted)
    assert "fit the recipe again" in str(caught.value.hint)
    mapping = ComBat(unseen="map")
    done = mapping.apply(matrix, fitted).values
    assert np.array_equal(done[~new], operator.apply(matrix.select_rows(~new), fitted).values)
    gap = np.abs(done[new].mean(axis=0) - done[~new].mean(axis=0)).mean()
    assert gap < 0.5 < 1.2 < np.abs(matrix.values[new].mean(axis=0) - matrix.values[~new].mean(axis=0)).mean()
    of_controls = mapping.fit(matrix, ~new & (np.arange(300) % 5 == 0))
    with pytest.raises(RecipeError, match="controls"):
        mapping.apply(matrix, of_controls)
    with pytest.raises(InvalidDataError, match="one well"):
        mapping.apply(matrix.select_rows(np.arange(300) == np.flatnonzero(new)[0]), fitted)


def test_gaps_are_passed_over_and_features_without_enough_are_flagged() -> None:
    matrix, _, _ = planted(60, 6)
    values = matrix.values.copy()
    values[5, 0] = np.nan
    values[np.array(matrix.column("plate_id")) == "p1", 1] = np.nan
    values[:, 2] = np.array([int(plate[1]) for plate in matrix.column("plate_id")])
    gappy = matrix.with_values(values)
    operator = ComBat()
    fitted = operator.fit(gappy, everyone(gappy))
    assert [(flag.feature, flag.reason) for flag in fitted.flags] == [("F1", "na"), ("F2", "constant")]
    done = operator.apply(gappy, fitted).values
    assert np.isnan(done[:, 1:3]).all()
    assert np.isnan(done[5, 0])
    assert np.isfinite(np.delete(done[:, 0], 5)).all()
    assert np.isfinite(done[:, 3:]).all()
    plates = np.array(gappy.column("plate_id"))
    means = [np.nanmean(done[plates == one, 0]) for one in ("p0", "p1", "p2")]
    assert np.std(means) < 0.2 < np.std([np.nanmean(values[plates == one, 0]) for one in ("p0", "p1", "p2")])


def test_without_shrinking_each_batch_gets_the_same_mean_and_spread() -> None:
    matrix, _, _ = planted()
    operator = ComBat(shrink=False)
    done = operator.apply(matrix, operator.fit(matrix, everyone(matrix))).values
    batch = np.array(matrix.column("plate_id"))
    for statistic in (np.mean, np.std):
        of_batches = [statistic(done[batch == one], axis=0) for one in ("p0", "p1", "p2")]
        assert np.ptp(of_batches, axis=0).max() < 1e-9
    location = ComBat(mean_only=True, shrink=False)
    moved = location.apply(matrix, location.fit(matrix, everyone(matrix))).values - matrix.values
    assert np.allclose(moved[batch == "p1"], moved[batch == "p1"][0])


def test_what_cannot_be_learned_is_said() -> None:
    matrix, _, _ = planted(30, 4)
    first = np.array(matrix.column("plate_id")) == "p0"
    with pytest.raises(InvalidDataError, match="one batch"):
        ComBat().fit(matrix, first)
    few = first | (np.arange(30) == 1)
    with pytest.raises(InvalidDataError, match="plate_id=s/p1"):
        ComBat().fit(matrix, few)
    ComBat(mean_only=True).fit(matrix, few)
    with pytest.raises(RecipeError, match="treatment"):
        ComBat(batch="treatmen").fit(matrix, everyone(matrix))
    confounded = matrix_of(matrix.values, plate_id=matrix.column("plate_id"), lab=matrix.column("plate_id"))
    with pytest.raises(InvalidDataError, match="told apart"):
        ComBat(covariates=("lab",)).fit(confounded, everyone(matrix))
    unknown = matrix_of(matrix.values, plate_id=[None, *matrix.column("plate_id")[1:]])
    with pytest.raises(InvalidDataError, match="W0000"):
        ComBat().fit(unknown, everyone(matrix))


def test_a_group_of_a_covariate_that_was_not_there_is_an_error() -> None:
    matrix, _, _ = planted()
    operator = ComBat(covariates=("treatment",))
    fitted = operator.fit(matrix, everyone(matrix))
    other = matrix_of(matrix.values, plate_id=matrix.column("plate_id"), treatment=["third"] * len(matrix))
    with pytest.raises(InvalidDataError, match="treatment=third"):
        operator.apply(other, fitted)


def test_plates_of_two_studies_may_share_a_name() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 6)) + np.repeat([0, 8], 40)[:, None]
    matrix = matrix_of(values, study_id=["a"] * 40 + ["b"] * 40)
    operator = ComBat()
    done = operator.apply(matrix, operator.fit(matrix, everyone(matrix))).values
    assert np.abs(done[:40].mean(axis=0) - done[40:].mean(axis=0)).max() < 0.3


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"batch": ["plate_id"]}, "batch"), ({"covariates": ["plate_id"]}, "covariates"), ({"unseen": "pass"}, "unseen")],
)
def test_bad_settings_are_refused(settings: dict[str, object], key: str) -> None:
    with pytest.raises(BadParameterError) as caught:
        make_operator("combat", settings)
    assert caught.value.key == key


def test_a_recipe_names_covariates_as_a_list() -> None:
    operator = make_operator("combat", {"covariates": ["treatment"]})
    assert make_operator("combat", operator.settings()) == operator == ComBat(covariates=("treatment",))
