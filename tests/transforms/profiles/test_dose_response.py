"""Dose response: known curves are found with honest intervals, and where there is none none is invented."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, RecipeError
from cytolake.schemas.tables import arrow_schema
from cytolake.transforms.profiles.dose_response import TABLE, DoseResponseSettings, parse, run
from cytolake.transforms.profiles.four_parameters import fit_curves
from cytolake.transforms.profiles.matrix import ProfileMatrix
from cytolake.transforms.recipe_table import read_toml
from numpy.typing import NDArray
from profile_matrices import matrix_of
from scipy.optimize import curve_fit, least_squares
from scipy.stats import t as student

Floats = NDArray[np.float64]
HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DOSES = np.array([0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30])


def curve(x: Floats, start: float, end: float, ec50: float, hill: float) -> Floats:
    with np.errstate(divide="ignore"):
        return start + (end - start) / (1 + (ec50 / x) ** hill)


def screen(
    *responses: Floats,
    doses: Floats = DOSES,
    replicates: int = 2,
    controls: int = 16,
    noise: float = 1.0,
    seed: int = 0,
) -> ProfileMatrix:
    """One compound; a feature per response (one value per dose), and control wells about 0."""
    rng = np.random.default_rng(seed)
    means = np.repeat(np.column_stack(responses), replicates, axis=0)
    values = np.vstack([means, np.zeros((controls, len(responses)))])
    values += noise * rng.normal(size=values.shape)
    n = len(means)
    return matrix_of(
        values,
        compound=["inflatin"] * n + ["DMSO"] * controls,
        concentration_um=[*np.repeat(doses, replicates).tolist(), *[None] * controls],
        control_type=["treatment"] * n + ["negative_vehicle"] * controls,
    )


def fitted(matrix: ProfileMatrix, **settings: object) -> list[dict[str, object]]:
    chosen = DoseResponseSettings(features=matrix.features, **settings)  # type: ignore[arg-type]
    table = run(matrix, chosen, profile_set="robust@1", profile_set_hash=HASH, run_id="r1")
    assert table.schema.equals(arrow_schema(TABLE))
    return table.to_pylist()


def test_rising_and_falling_curves_are_found() -> None:
    rising, falling = curve(DOSES, 0, 12, 0.8, 1.3), curve(DOSES, 0, -9, 2.5, 2.0)
    up, down = fitted(screen(rising, falling, noise=0.3, seed=1))
    assert (up["compound"], up["feature"], up["reason"]) == ("inflatin", "F0", None)
    assert (up["n_wells"], up["n_controls"], up["n_doses"]) == (16, 16, 8)
    for name, value in {"bottom": 0, "top": 12, "ec50_um": 0.8, "hill": 1.3}.items():
        low, high = (f"{name}_{side}" if name != "ec50_um" else f"ec50_{side}_um" for side in ("low", "high"))
        assert up[low] < value < up[high]
        assert up[low] < up[name] < up[high]
    assert down["bottom"] == pytest.approx(-9, abs=0.5)
    assert down["top"] == pytest.approx(0, abs=0.3)
    assert down["ec50_um"] == pytest.approx(2.5, rel=0.15)
    assert down["hill_low"] < down["hill"] < down["hill_high"] < 0
    assert up["r_squared"] > 0.98


def test_a_curve_without_noise_is_found_exactly() -> None:
    (row,) = fitted(screen(curve(DOSES, 0, 5, 0.7, 1.6), noise=0))
    found = [row[name] for name in ("bottom", "top", "ec50_um", "hill", "r_squared")]
    assert found == pytest.approx([0, 5, 0.7, 1.6, 1], abs=1e-6)


def test_estimates_and_intervals_are_those_of_scipy() -> None:
    matrix = screen(curve(DOSES, 0, 8, 0.5, 1.2), curve(DOSES, 0, -6, 2, 0.9), noise=0.4)
    doses = np.array([0.0 if dose is None else dose for dose in matrix.column("concentration_um")])

    def model(x: Floats, start: float, end: float, log_ec50: float, log_hill: float) -> Floats:
        return curve(x, start, end, np.exp(log_ec50), np.exp(log_hill))

    for row, values in zip(fitted(matrix), matrix.values.T, strict=True):
        best, covariance = curve_fit(model, doses, values, [0, values[:16].mean() * 2, 0, 0], xtol=1e-14, ftol=1e-14)
        wide = student.ppf(0.975, len(doses) - 4) * np.sqrt(covariance.diagonal())
        assert row["ec50_um"] == pytest.approx(np.exp(best[2]), rel=1e-5)
        assert row["ec50_low_um"] == pytest.approx(np.exp(best[2] - wide[2]), rel=1e-3)
        assert row["ec50_high_um"] == pytest.approx(np.exp(best[2] + wide[2]), rel=1e-3)
        assert abs(row["hill"]) == pytest.approx(np.exp(best[3]), rel=1e-5)
        assert sorted([row["bottom"], row["top"]]) == pytest.approx(sorted(best[:2]), abs=1e-5)
        ends = {"bottom": min(0, 1, key=lambda i: best[i]), "top": max(0, 1, key=lambda i: best[i])}
        for name, at in ends.items():
            assert row[f"{name}_high"] - row[name] == pytest.approx(wide[at], rel=1e-3)
        rest = values - model(doses, *best)
        assert row["r_squared"] == pytest.approx(1 - (rest**2).sum() / ((values - values.mean()) ** 2).sum(), abs=1e-9)


def test_no_start_of_scipy_finds_a_better_curve() -> None:
    rng = np.random.default_rng(3)
    ec50, hill, end = rng.uniform(0.02, 20, 12), rng.uniform(0.5, 4, 12), rng.normal(size=12) * 6
    matrix = screen(*(curve(DOSES, 0, *three) for three in zip(end, ec50, hill, strict=True)), controls=0)
    different = np.unique(matrix.column("concentration_um"))
    grouped = matrix.values.reshape(8, 2, 12)
    means = grouped.mean(axis=1)
    curves = fit_curves(different, np.full((8, 12), 2.0), means, ((grouped - means[:, None]) ** 2).sum(axis=(0, 1)))
    x = np.array(matrix.column("concentration_um"))
    bounds = ([-np.inf, -np.inf, np.log(0.001), np.log(0.2)], [np.inf, np.inf, np.log(300), np.log(12)])
    for number, values in enumerate(matrix.values.T):
        costs = []
        for start in (-3.0, 0.0, 2.0):
            guess = [values[:2].mean(), values[-2:].mean() + 1e-3, start, 0.3]
            costs.append(
                least_squares(
                    lambda p, y=values: curve(x, p[0], p[1], np.exp(p[2]), np.exp(p[3])) - y, guess, bounds=bounds
                ).cost
            )
        assert curves.residual[number] <= 2 * min(costs) * (1 + 1e-6)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    ec50 = np.exp(np.linspace(np.log(0.1), np.log(5), 400))
    rows = fitted(screen(*(curve(DOSES, 0, 12, one, 1.2) for one in ec50)))
    given = [(row, one) for row, one in zip(rows, ec50, strict=True) if row["reason"] is None]
    assert len(given) > 390
    held = np.mean([row["ec50_low_um"] < one < row["ec50_high_um"] for row, one in given])
    assert 0.91 < held < 0.98


VALUES = [name for name in arrow_schema(TABLE).names if name.startswith(("bottom", "top", "ec50", "hill", "r_sq"))]


def refused(matrix: ProfileMatrix, **settings: object) -> list[str]:
    rows = fitted(matrix, **settings)
    assert all(row[name] is None for row in rows for name in VALUES if row["reason"])
    return [row["reason"] for row in rows]  # type: ignore[misc]


def test_a_flat_response_has_no_ec50() -> None:
    rows = refused(screen(*[np.zeros(8)] * 300))
    assert rows.count("flat") >= 294
    assert sum(reason is None for reason in rows) <= 2


def test_an_ec50_beyond_the_doses_is_not_given() -> None:
    low, high = curve(DOSES, 0, 20, 0.002, 1.0), curve(DOSES, 0, 40, 100, 1.5)
    assert refused(screen(low, high, noise=0.1, replicates=4)) == ["outside_range", "outside_range"]


def test_a_step_between_two_doses_has_no_ec50() -> None:
    steps = [np.where(DOSES > 0.5, 10.0, 0.0)] * 100
    assert refused(screen(*steps, noise=0)) == ["too_steep"] * 100
    # Of some, noise makes a slope; what is given then lies between the two doses.
    rows = fitted(screen(*steps, noise=0.5))
    assert sum(row["reason"] == "too_steep" for row in rows) > 80
    assert all(0.3 < row["ec50_um"] < 1 for row in rows if row["reason"] is None)


def test_a_response_without_ends_has_no_ec50() -> None:
    straight = 0.5 * np.log(DOSES / DOSES[0])
    assert refused(screen(straight, noise=0.02, controls=0))[0] in ("too_shallow", "uncertain")


def test_few_doses_few_wells_and_one_value_are_told_apart() -> None:
    assert refused(screen(np.arange(3.0), doses=DOSES[:3])) == ["too_few_doses"]
    assert refused(screen(np.arange(4.0), doses=DOSES[:4], replicates=1, controls=0)) == ["too_few_wells"]
    assert refused(screen(np.zeros(8), noise=0)) == ["constant"]
    gappy = screen(curve(DOSES, 0, 9, 1, 1))
    values = gappy.values.copy()
    values[:10] = np.nan
    assert refused(gappy.with_values(values)) == ["too_few_doses"]
    assert refused(screen(curve(DOSES, 0, 9, 1, 1)), min_doses=9) == ["too_few_doses"]


def test_a_gap_of_one_feature_touches_no_other() -> None:
    matrix = screen(curve(DOSES, 0, 9, 0.6, 1), curve(DOSES, 0, 9, 0.6, 1))
    values = matrix.values.copy()
    values[4, 0] = np.nan
    first, second = fitted(matrix.with_values(values))
    assert (first["n_wells"], second["n_wells"]) == (15, 16)
    assert second == fitted(matrix)[1]
    kept = np.delete(np.arange(len(matrix)), 4)
    alone = ProfileMatrix(rows=matrix.rows.take(kept), features=matrix.features, values=matrix.values[kept])
    assert first["ec50_um"] == pytest.approx(fitted(alone)[0]["ec50_um"], rel=1e-7)


def test_controls_are_those_of_the_compound_s_plates() -> None:
    one = screen(curve(DOSES, 0, 9, 0.6, 1), controls=8)
    n = len(one)
    columns = {name: one.column(name) * 2 for name in ("concentration_um", "control_type")}
    both = matrix_of(
        np.vstack([one.values, one.values + 100]),
        plate_id=["p1"] * n + ["p2"] * n,
        compound=one.column("compound") + [f"{name}-2" for name in one.column("compound")],
        **columns,
    )
    first, second = fitted(both)
    assert (first["compound"], second["compound"]) == ("inflatin", "inflatin-2")
    assert first["n_controls"] == second["n_controls"] == 8
    assert first["bottom"] == pytest.approx(fitted(one)[0]["bottom"])
    assert second["bottom"] == pytest.approx(first["bottom"] + 100)


def test_without_controls_a_dose_of_0_is_the_compound_s_own() -> None:
    matrix = screen(curve(np.array([0.0, *DOSES]), 0, 9, 0.6, 1), doses=np.array([0.0, *DOSES]), controls=4)
    (row,) = fitted(matrix, controls=())
    # The wells of the solvent have no concentration, so they are no dose.
    assert (row["n_wells"], row["n_controls"], row["n_doses"]) == (18, 0, 8)
    assert row["bottom_low"] < 0 < row["bottom_high"]


def test_what_a_plate_map_does_not_say_is_an_error() -> None:
    matrix = screen(curve(DOSES, 0, 9, 0.6, 1))
    with pytest.raises(RecipeError, match="'compond'; did you mean 'compound'"):
        fitted(matrix, by="compond")
    with pytest.raises(RecipeError, match="F9") as caught:
        run(matrix, DoseResponseSettings(features=("F9",)), profile_set="a@1", profile_set_hash=HASH, run_id="r")
    assert "select" in str(caught.value.hint)
    none = matrix_of(
        matrix.values,
        compound=matrix.column("compound"),
        concentration_um=[None] * len(matrix),
        control_type=matrix.column("control_type"),
    )
    with pytest.raises(InvalidDataError, match="none of 32 wells"):
        fitted(none)


def settings_of(text: str) -> DoseResponseSettings:
    table = read_toml(text, "r.toml").table("dose_response")
    assert table is not None
    return parse(table)


def test_a_recipe_says_features_and_may_say_more() -> None:
    assert settings_of('[dose_response]\nfeatures = ["A", "B"]') == DoseResponseSettings(features=("A", "B"))
    said = settings_of(
        '[dose_response]\nfeatures = "A"\nby = "gene"\ncontrols = ["untreated"]\nmin_doses = 6\nalpha = 0.05'
    )
    assert said == DoseResponseSettings(features=("A",), by="gene", controls=("untreated",), min_doses=6, alpha=0.05)
    assert settings_of('[dose_response]\nfeatures = ["A"]\ncontrols = []').controls == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "features: missing"),
        ("features = []", "names no feature"),
        ('features = ["A"]\nfeature = "B"', "did you mean 'features'"),
        ('features = ["A"]\nmin_doses = 3', "out of range"),
        ('features = ["A"]\nmin_doses = 4.5', "no whole number"),
        ('features = ["A"]\ncontrols = ["DMSO"]', "unknown control type"),
        ('features = ["A"]\nalpha = 0', "out of range"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        settings_of(f"[dose_response]\n{text}")
    assert "r.toml: [dose_response]" in str(caught.value)
