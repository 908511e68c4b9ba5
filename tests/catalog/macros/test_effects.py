"""Effects of wells in SQL: robust z, standardised differences, variances that learn from one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cytolake.transforms.profiles.controls import NEGATIVE
from cytolake.transforms.profiles.groups import median_and_mad
from cytolake.transforms.profiles.normalize import MAD_TO_DEVIATION
from meta_questions import ask
from scipy import optimize, special


def test_negative_controls_are_those_of_profiles() -> None:
    rows = ask("SELECT x, is_negative_control(x) AS y FROM (VALUES ('positive'), ('empty'), (NULL)) AS t(x)")
    assert not any(row["y"] for row in rows)
    for kind in NEGATIVE:
        assert ask(f"SELECT is_negative_control('{kind}') AS y") == [{"y": True}]


class TestRobustZ:
    def test_numbers_are_those_of_profiles(self) -> None:
        rng = np.random.default_rng(3)
        values = rng.lognormal(size=(60, 3))
        values[[1, 2], 0] = np.nan, np.inf
        plate, control = np.arange(60) // 30, np.arange(60) % 30 < 11
        rows = pa.table(
            {"plate": plate, "is_control": control, "a": values[:, 0], "b": values[:, 1], "c": values[:, 2]}
        )
        found = ask(
            "SELECT * EXCLUDE n FROM (SELECT n, robust_z(COLUMNS('^[abc]$'), is_control, plate) FROM"
            " (SELECT *, row_number() OVER () AS n FROM rows)) ORDER BY n",
            rows=rows,
        )
        for one in (0, 1):
            wells = plate == one
            learned = np.where(np.isinf(values), np.nan, values)[wells & control].T
            center, mad = median_and_mad(np.array(learned, order="C"))
            expected = (values[wells] - center) / (MAD_TO_DEVIATION * mad)
            got = np.array([list(row.values()) for row in found], float)[wells]
            known = np.isfinite(expected)
            assert np.allclose(got[known], expected[known], rtol=1e-12, atol=0)
            assert np.isnan(got[~known]).all()

    def test_what_is_too_large_for_a_number_and_what_nobody_calls_a_control(self) -> None:
        rows = "(1.0, true), (2, true), (3, true), ('inf'::DOUBLE, true), (9, NULL), (1e308, false), ('-inf', false)"
        query = f"SELECT robust_z(v, c, 1) AS z FROM (VALUES {rows}) AS t(v, c) ORDER BY c NULLS FIRST, v"
        z = 1 / 1.4826
        found = [row["z"] for row in ask(query)]
        assert [one if one is None else pytest.approx(one) for one in found] == [7 * z, None, 1e308 * z, -z, 0, z, None]

    @pytest.mark.parametrize("controls", ["(1.0), (1.0), (1.0)", "(NULL::DOUBLE), ('nan')"])
    def test_controls_that_say_nothing_give_null(self, controls: str) -> None:
        query = f"""WITH wells AS (SELECT v, true AS c FROM (VALUES {controls}) AS t(v) UNION ALL SELECT 7, false)
            SELECT robust_z(v, c, 1) AS z FROM wells"""
        assert {row["z"] for row in ask(query)} == {None}


class TestHedgesG:
    def test_textbook(self) -> None:
        """Borenstein et al., Introduction to Meta-Analysis (2009), chapter 4: g = 0.5924, variance 0.0411."""
        (row,) = ask("SELECT hedges_g_of(103, 5.5, 50, 100, 4.5, 50) AS g")
        assert row["g"]["estimate"] == pytest.approx(0.5924, abs=1e-4)
        assert row["g"]["variance"] == pytest.approx(0.0411, abs=1e-4)

    def test_of_rows(self) -> None:
        rng = np.random.default_rng(5)
        treated, control = rng.normal(2, 1, 4), rng.normal(0, 2, 7)
        rows = pa.table({"v": [*treated, *control, None, np.nan], "t": [True] * 4 + [False] * 8 + [True]})
        (row,) = ask("SELECT hedges_g(v, t) AS g FROM rows", rows=rows)
        pooled = np.sqrt((3 * treated.var(ddof=1) + 6 * control.var(ddof=1)) / 9)
        exact = special.gamma(4.5) / (np.sqrt(4.5) * special.gamma(4))
        d = (treated.mean() - control.mean()) / pooled
        assert row["g"]["estimate"] == pytest.approx(exact * d, rel=1e-12)
        assert row["g"]["variance"] == pytest.approx(exact**2 * (1 / 4 + 1 / 7 + d**2 / 22), rel=1e-12)
        assert (row["g"]["n_treated"], row["g"]["n_control"], row["g"]["df"]) == (4, 7, 9)

    @pytest.mark.parametrize(
        "rows", ["(1.0, true), (2, false), (3, false)", "(1.0, true), (1, true), (3, false), (3, false)"]
    )
    def test_too_few_or_constant_arms_have_none(self, rows: str) -> None:
        assert ask(f"SELECT hedges_g(v, t) AS g FROM (VALUES {rows}) AS r(v, t)") == [{"g": None}]


def test_log_response_ratio() -> None:
    rows = "(8.0, true), (12, true), (4, false), (6, false), (5, false)"
    (row,) = ask(f"SELECT log_response_ratio(v, t) AS r FROM (VALUES {rows}) AS r(v, t)")
    assert row["r"]["estimate"] == pytest.approx(np.log(2))
    assert row["r"]["variance"] == pytest.approx(8 / (2 * 100) + 1 / (3 * 25))
    assert ask("SELECT log_response_ratio(v, v < 0) AS r FROM (VALUES (-1.0), (-2), (3), (4)) AS t(v)") == [{"r": None}]


def squeezed(s2: np.ndarray, df: np.ndarray) -> tuple[float, float]:
    """Prior variance and its degrees of freedom by Smyth's moments, with SciPy's functions."""
    e = np.log(s2) - special.digamma(df / 2) + np.log(df / 2)
    excess = e.var(ddof=1) - special.polygamma(1, df / 2).mean()
    half = optimize.brentq(lambda x: special.polygamma(1, x) - excess, 1e-6, 1e9, xtol=1e-14)
    return float(np.exp(e.mean() + special.digamma(half) - np.log(half))), 2 * half


class TestModeratedVariances:
    QUERY = "SELECT * FROM moderated_variances(rows, s2, df) ORDER BY n"

    def rows(self, s2: Any, df: Any) -> pa.Table:
        return pa.table({"n": range(len(s2)), "s2": s2, "df": df})

    def test_prior_and_posterior(self) -> None:
        rng = np.random.default_rng(8)
        df = rng.integers(1, 8, 300)
        s2 = 2.5 * 6 / rng.chisquare(6, 300) * rng.chisquare(df) / df
        found = ask(self.QUERY, rows=self.rows(s2, df))
        s0, d0 = squeezed(s2, df)
        assert found[0]["prior_df"] == pytest.approx(d0, rel=1e-9)
        assert found[0]["prior_variance"] == pytest.approx(s0, rel=1e-9)
        assert 3 < d0 < 12
        moderated = [row["moderated_variance"] for row in found]
        assert moderated == pytest.approx((d0 * s0 + df * s2) / (d0 + df), rel=1e-9)
        assert max(moderated) / min(moderated) < s2.max() / s2.min()

    def test_variances_that_do_not_differ_are_pooled(self) -> None:
        found = ask(self.QUERY, rows=self.rows([1.0, 1.1, 0.9, 1.0], [4, 4, 4, 8]))
        assert {row["prior_df"] for row in found} == {float("inf")}
        assert {round(row["moderated_variance"], 12) for row in found} == {1.0}

    def test_fewer_than_three_are_pooled_not_left_to_chance(self) -> None:
        found = ask(self.QUERY, rows=self.rows([1e-9, 2.0], [3, 3]))
        assert [row["moderated_variance"] for row in found] == pytest.approx([1.0, 1.0])

    def test_what_has_no_variance_of_its_own(self) -> None:
        found = ask(self.QUERY, rows=self.rows([1.0, 9.0, 0.1, None, 0.0, None], [3, 3, 3, 0, 3, None]))
        assert found[3]["moderated_variance"] == found[3]["prior_variance"]
        assert found[3]["moderated_df"] == found[3]["prior_df"]
        assert 0 < found[4]["moderated_variance"] < found[0]["moderated_variance"]
        assert found[5]["moderated_variance"] is None

    def test_each_group_learns_from_itself(self) -> None:
        rows = pa.table(
            {"n": range(6), "s2": [1.0, 1, 1, 9, 9, 9], "df": [3] * 6, "a": list("xxxyyy"), "b": [None] * 6}
        )
        found = ask("SELECT * FROM moderated_variances(rows, s2, df, per := (a, b)) ORDER BY n", rows=rows)
        assert [row["moderated_variance"] for row in found] == pytest.approx([1, 1, 1, 9, 9, 9])
        assert set(found[0]) == {*rows.column_names, "prior_variance", "prior_df", "moderated_variance", "moderated_df"}
