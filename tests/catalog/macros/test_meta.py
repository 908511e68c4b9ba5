"""Fixed and random effects in SQL, beside published examples and NumPy with SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from meta_questions import ask
from scipy import optimize, stats

#: Thirteen trials of the BCG vaccine (Colditz et al., JAMA 271 (1994) 698-702): cases and others, vaccinated and not.
BCG = (
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
)  # fmt: skip


def relative_risks() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = np.array(BCG, float).T
    return np.log(a / (a + b) / (c / (c + d))), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def studies(e: Any, v: Any) -> pa.Table:
    return pa.table({"e": pa.array(e, pa.float64()), "v": pa.array(v, pa.float64())})


def pool(e: Any, v: Any, call: str = "meta_random(e, v)") -> dict[str, Any]:
    (row,) = ask(f"SELECT {call} AS m FROM studies", studies=studies(e, v))
    found: dict[str, Any] = row["m"]
    return found


def reference(e: np.ndarray, v: np.ndarray, method: str, test: str, level: float = 0.95) -> dict[str, float]:
    """The same from the formulas, as plainly as they can be written."""
    k = len(e)

    def q_of(tau2: float) -> tuple[float, float, float]:
        w = 1 / (v + tau2)
        mean = float(np.sum(w * e) / np.sum(w))
        return float(np.sum(w * (e - mean) ** 2)), mean, float(np.sum(w))

    q, _, total = q_of(0)
    tau2 = max(0.0, (q - (k - 1)) / (total - np.sum(v**-2.0) / total))
    if method == "PM":
        tau2 = 0.0 if q <= k - 1 else optimize.brentq(lambda t: q_of(t)[0] - (k - 1), 0, 1e12, xtol=1e-300, rtol=1e-15)
    scatter, mean, total = q_of(tau2)
    factor = {"z": 1.0, "hksj": max(1.0, scatter / (k - 1)), "hksj_plain": scatter / (k - 1)}[test]
    se = math.sqrt(factor / total)
    law = stats.norm if test == "z" else stats.t(k - 1)
    half = stats.t.ppf(0.5 + level / 2, k - 2) * math.sqrt(tau2 + se**2) if k > 2 else math.nan
    return {
        "estimate": mean, "se": se, "tau2": tau2, "q": q, "statistic": mean / se, "p": 2 * law.sf(abs(mean / se)),
        "ci_low": mean - law.ppf(0.5 + level / 2) * se, "ci_high": mean + law.ppf(0.5 + level / 2) * se,
        "q_p": stats.chi2.sf(q, k - 1), "i2": max(0.0, 1 - (k - 1) / q), "pi_low": mean - half, "pi_high": mean + half,
    }  # fmt: skip


class TestPublished:
    def test_bcg_trials(self) -> None:
        """Values that R's metafor prints for rma(yi, vi, data = dat.bcg) with DL and PM."""
        found = pool(*relative_risks())
        assert found["tau2"] == pytest.approx(0.3088, abs=5e-5)
        assert found["estimate"] == pytest.approx(-0.7141, abs=5e-5)
        assert found["se"] == pytest.approx(0.1787, abs=5e-5)
        assert found["q"] == pytest.approx(152.2330, abs=5e-5)
        assert 100 * found["i2"] == pytest.approx(92.12, abs=5e-3)
        assert pool(*relative_risks(), "meta_random(e, v, method := 'PM')")["tau2"] == pytest.approx(0.3181, abs=5e-5)


@pytest.mark.parametrize("method", ["DL", "PM"])
@pytest.mark.parametrize("test", ["z", "hksj", "hksj_plain"])
def test_equal_to_the_formulas(method: str, test: str) -> None:
    rng = np.random.default_rng(7)
    sets = [(rng.normal(3, s, k), rng.lognormal(0, w, k)) for k in (2, 3, 9, 130) for s in (0.1, 5) for w in (0.1, 3)]
    rows = pa.table(
        {
            "n": np.repeat(range(len(sets)), [len(e) for e, _ in sets]),
            "e": np.concatenate([e for e, _ in sets]),
            "v": np.concatenate([v for _, v in sets]),
        }
    )
    call = f"meta_random(e, v, method := '{method}', test := '{test}', level := 0.9)"
    query = f"SELECT {call} AS m FROM rows GROUP BY n ORDER BY n"
    found = [row["m"] for row in ask(query, rows=rows)]
    assert {one["tau2"] > 0 for one in found} == {True, False}
    for one, (e, v) in zip(found, sets, strict=True):
        for name, value in reference(e, v, method, test, 0.9).items():
            got = math.nan if one[name] is None else one[name]
            assert got == pytest.approx(value, rel=1e-9, abs=1e-10, nan_ok=True), (name, len(e))
        assert (one["k"], one["k_left_out"]) == (len(e), 0)


def test_paule_mandel_solves_its_equation_where_variances_are_far_apart() -> None:
    rng = np.random.default_rng(9)
    sets = [(rng.normal(0, 10 ** rng.uniform(-2, 2), 5), 10 ** rng.uniform(-6, 2, 5)) for _ in range(200)]
    rows = pa.table(
        {"n": np.repeat(range(200), 5)} | dict(zip("ev", map(np.concatenate, zip(*sets, strict=True)), strict=True))
    )
    found = ask("SELECT meta_random(e, v, method := 'PM') AS m FROM rows GROUP BY n ORDER BY n", rows=rows)
    expected = [reference(e, v, "PM", "z")["tau2"] for e, v in sets]
    assert [one["m"]["tau2"] for one in found] == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_fixed_effect_is_the_random_one_without_tau2() -> None:
    e, v = relative_risks()
    found = pool(e, v, "meta_fixed(e, v)")
    assert found["estimate"] == pytest.approx(np.sum(e / v) / np.sum(1 / v), rel=1e-14)
    assert found["se"] == pytest.approx(np.sum(1 / v) ** -0.5, rel=1e-14)
    assert (found["tau2"], found["pi_low"], found["method"]) == (None, None, "fixed")


class TestOddInput:
    def test_studies_without_a_usable_variance_are_left_out_and_counted(self) -> None:
        e = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, None, math.nan, math.inf]
        v = [0.1, 0.2, None, math.nan, math.inf, 0.0, 0.1, 0.1, 0.1]
        found = pool([*e, 7.0], [*v, -1.0])
        assert (found["k"], found["k_left_out"]) == (2, 8)
        assert {**found, "k_left_out": 0} == pool([1.0, 2.0], [0.1, 0.2])

    def test_one_study_is_its_own_estimate(self) -> None:
        for call in ("meta_fixed(e, v)", "meta_random(e, v)", "meta_random(e, v, method := 'PM', test := 'hksj')"):
            found = pool([2.0], [0.25], call)
            assert (found["k"], found["estimate"], found["se"], found["method"]) == (1, 2.0, 0.5, "one study")
            assert found["p"] == pytest.approx(2 * stats.norm.sf(4))
            assert all(found[name] is None for name in ("tau2", "q", "q_p", "i2", "pi_low", "pi_high", "df"))

    def test_no_study_is_no_estimate(self) -> None:
        for e, v in ([None], [None]), ([], []):
            found = pool(e, v)
            assert (found.pop("k"), found.pop("k_left_out")) == (0, len(e))
            assert set(found.values()) == {None}

    def test_what_is_too_large_for_a_number_is_not_certain(self) -> None:
        for method in ("DL", "PM"):
            found = pool([1e160, -1e160, 3.0], [1.0, 1.0, 1.0], f"meta_random(e, v, method := '{method}')")
            assert found["p"] is None

    def test_numbers_as_text(self) -> None:
        (row,) = ask("SELECT meta_fixed(e, v).se AS se FROM (VALUES ('1', '0.5'), ('2', '0.5')) AS t(e, v)")
        assert row["se"] == pytest.approx(0.5)

    def test_studies_that_agree_entirely(self) -> None:
        found = pool([1.0, 1.0, 1.0], [0.5, 0.5, 0.5])
        assert (found["q"], found["i2"], found["tau2"], found["q_p"]) == (0, 0, 0, 1)
        plain = pool([1.0, 1.0, 1.0], [0.5, 0.5, 0.5], "meta_random(e, v, test := 'hksj_plain')")
        assert (plain["se"], plain["p"]) == (0, None)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ("meta_random(e, v, method := 'REML')", "method is 'DL' or 'PM', not REML"),
            ("meta_random(e, v, test := 't')", "test is 'z', 'hksj' or 'hksj_plain', not t"),
            ("meta_fixed(e, v, level := 95)", "level is between 0 and 1, not 95"),
        ],
    )
    def test_unknown_options_are_refused(self, call: str, message: str) -> None:
        with pytest.raises(Exception, match=message):
            pool([1.0, 2.0], [0.1, 0.2], call)


def wells(seed: int = 1) -> pa.Table:
    """Two studies of two plates with eight controls; ``big`` is large in both, ``calm`` has wells that coincide."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for study, unit in ("a", 1.0), ("b", 50.0):
        for plate in "12":
            for gene in [None] * 8 + ["big", "big", "calm", "calm"] + [f"g{n}" for n in range(12) for _ in "xy"]:
                effect = {"big": 9.0, "calm": 1.0}.get(gene or "", 0.0)
                noise = rng.normal() * (1e-4 if gene == "calm" else 1.0)
                kind = "treatment" if gene else "negative_vehicle"
                rows.append(
                    {"study_id": study, "plate_id": study + plate, "gene": gene, "control_type": kind}
                    | {"area": unit * (100 + effect + noise), "empty": None, "level": 3 + int(effect)}
                )
    return pa.Table.from_pylist(rows, pa.schema([pa.field("study_id", pa.string()), pa.field("plate_id", pa.string()),
        pa.field("gene", pa.string()), pa.field("control_type", pa.string()), pa.field("area", pa.float64()),
        pa.field("empty", pa.float64()), pa.field("level", pa.int32())]))  # fmt: skip


class TestStudyEffects:
    def test_estimate_and_variance(self) -> None:
        found = ask(
            "SELECT * FROM study_effects(wells, gene, area) WHERE study_id = 'a' AND treatment = 'big'", wells=wells()
        )
        z = ask(
            """SELECT plate_id, robust_z(area, gene IS NULL, plate_id) AS z, gene FROM wells WHERE study_id = 'a'
            QUALIFY gene = 'big'""",
            wells=wells(),
        )
        values = np.array([row["z"] for row in z])
        (row,) = found
        assert row["feature"] == "area"
        assert (row["n_wells"], row["n_plates"], row["n_controls"], row["n_left_out"]) == (4, 2, 16, 0)
        assert row["estimate"] == pytest.approx(values.mean(), rel=1e-12)
        of_controls = (math.pi / 2 + 1.361 * values.mean() ** 2) * (2**2 / 8 + 2**2 / 8) / 4**2
        assert row["variance"] == pytest.approx(row["well_variance"] / 4 + of_controls, rel=1e-12)
        (naive,) = ask(
            """SELECT * FROM study_effects(wells, gene, area, moderated := false)
            WHERE study_id = 'a' AND treatment = 'big'""",
            wells=wells(),
        )
        assert naive["well_variance"] == pytest.approx(values.var(ddof=1), rel=1e-12)
        assert (naive["df"], naive["estimate"]) == (3, row["estimate"])

    def test_wells_that_coincide_by_chance_are_not_certain(self) -> None:
        query = """SELECT min(well_variance) FILTER (treatment = 'calm') AS calm, median(well_variance) AS all_
            FROM study_effects(wells, gene, area, moderated := {}) WHERE study_id = 'a'"""
        (moderated,), (naive,) = (ask(query.format(flag), wells=wells()) for flag in ("true", "false"))
        assert naive["calm"] < 0.1 * naive["all_"]
        assert moderated["calm"] > 2 * naive["calm"]

    def test_units_of_studies_do_not_matter(self) -> None:
        found = ask("SELECT * FROM meta_effects(wells, gene, area) ORDER BY estimate DESC", wells=wells())
        assert (found[0]["treatment"], found[0]["k"], len(found)) == ("big", 2, 14)

    def test_many_features_at_once(self) -> None:
        found = ask(
            """SELECT feature, count(*) AS n FROM study_effects(wells, gene, COLUMNS(['area', 'empty', 'level']))
            GROUP BY ALL""",
            wells=wells(),
        )
        counts = {row["feature"]: row["n"] for row in found}
        assert counts["area"] == 28
        assert counts.get("empty", 0) == 0

    def test_controls_that_do_not_differ_give_no_estimate_and_say_so(self) -> None:
        rows = ask("SELECT * FROM study_effects(wells, gene, level) WHERE treatment = 'big'", wells=wells())
        assert [(row["estimate"], row["variance"], row["n_wells"], row["n_left_out"]) for row in rows] == [
            (None, None, 0, 4)
        ] * 2

    def test_one_well_a_study_takes_the_common_variance(self) -> None:
        query = """WITH few AS (SELECT * FROM wells WHERE gene IS DISTINCT FROM 'big'
                UNION ALL (SELECT * FROM wells WHERE gene = 'big' AND study_id = 'a' LIMIT 1))
            SELECT variance, well_variance, n_wells FROM study_effects(few, gene, area, moderated := {})
            WHERE treatment = 'big'"""
        (moderated,), (naive,) = (ask(query.format(flag), wells=wells()) for flag in ("true", "false"))
        assert moderated["n_wells"] == naive["n_wells"] == 1
        assert moderated["variance"] > 0
        assert naive["variance"] is None

    def test_options_reach_the_pooled_estimate(self) -> None:
        (row,) = ask(
            """SELECT method, df
            FROM meta_effects(wells, gene, area, method := 'PM', test := 'hksj', moderated := false)
            WHERE treatment = 'g1'""",
            wells=wells(),
        )
        assert row == {"method": "PM hksj", "df": 1}


class TestForest:
    def test_rows_of_each_group(self) -> None:
        query = "SELECT * FROM forest(rows, study, per := gene)"
        rows = pa.table(
            {"study": list("abcd"), "gene": ["x", "x", "x", "y"]}
            | {"estimate": [1.0, 2.0, 4.0, 5.0], "variance": [0.1, 0.2, 0.1, None]}
        )
        found = ask(query, rows=rows)
        assert list(found[0]) == ["group", "label", "kind", "estimate", "ci_low", "ci_high", "weight"]
        assert [(row["group"], row["kind"]) for row in found] == [
            *[("x", "study")] * 3, ("x", "pooled"), ("x", "prediction"), ("y", "study")
        ]  # fmt: skip
        expected = reference(np.array([1.0, 2, 4]), np.array([0.1, 0.2, 0.1]), "DL", "z")
        assert found[3]["ci_low"] == pytest.approx(expected["ci_low"], rel=1e-12)
        assert found[4]["ci_high"] == pytest.approx(expected["pi_high"], rel=1e-12)
        assert sum(row["weight"] for row in found[:3]) == pytest.approx(1)
        assert sum(row["weight"] * row["estimate"] for row in found[:3]) == pytest.approx(expected["estimate"])
        assert (found[0]["ci_low"], found[0]["ci_high"]) == (
            pytest.approx(1 - 1.959963984540054 * 0.1**0.5), pytest.approx(1 + 1.959963984540054 * 0.1**0.5)
        )  # fmt: skip
        assert (found[5]["ci_low"], found[5]["weight"]) == (None, None)
