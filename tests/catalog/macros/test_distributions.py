"""Probabilities and quantiles in SQL, beside SciPy over all that a double can say."""

from __future__ import annotations

import numpy as np
import pytest
from meta_questions import ask, column
from numpy.typing import NDArray
from scipy import special, stats

Numbers = NDArray[np.float64]


def relative(found: Numbers, expected: Numbers) -> float:
    """Largest relative difference of what a double can hold with all its digits."""
    known = np.abs(expected) > 1e-300
    return float(np.max(np.abs(found[known] / expected[known] - 1)))


class TestNormal:
    Z = np.r_[np.linspace(-37.4, 9, 2000), -(10.0 ** np.linspace(-12, 0, 100)), 0.0]

    def test_tails(self) -> None:
        assert relative(column("normal_cdf(z)", z=self.Z), special.ndtr(self.Z)) < 1e-12
        assert relative(column("normal_p(z)", z=self.Z), special.erfc(np.abs(self.Z) / np.sqrt(2))) < 1e-12

    def test_far_tails_are_not_0_while_a_double_can_hold_them(self) -> None:
        (found,) = ask("SELECT normal_p(37) AS a, normal_p(-38.4) AS b, normal_p(40) AS c, normal_p('inf') AS d")
        assert found["a"] == pytest.approx(special.erfc(37 / np.sqrt(2)), rel=1e-12)
        assert found["b"] > 0
        assert found["c"] == found["d"] == 0

    def test_quantiles(self) -> None:
        p = np.r_[10.0 ** -np.linspace(0.302, 300, 1000), np.linspace(0.001, 0.999, 500), 1 - 2.0 ** -np.arange(2, 50)]
        expected = stats.norm.ppf(p)
        assert np.max(np.abs(column("normal_quantile(p)", p=p) - expected) / np.maximum(np.abs(expected), 0.01)) < 1e-12


class TestT:
    DF = (0.3, 1.0, 1.5, 2.0, 3.0, 4.5, 10.0, 19.9, 20.1, 100.0, 1e3, 1e6, 1e13)

    def test_tails(self) -> None:
        t = np.r_[-(10.0 ** np.linspace(-2.5, 6, 150)), np.linspace(-3, 3, 50)]
        df = np.repeat(self.DF, len(t))
        t = np.tile(t, len(self.DF))
        assert relative(column("t_cdf(t, df)", t=t, df=df), stats.t.cdf(t, df)) < 1e-12

    def test_near_0_of_a_cauchy_distribution(self) -> None:
        t = 10.0 ** np.linspace(-12, 0, 30)
        assert relative(column("t_p(t, 1)", t=t), 1 - 2 * np.arctan(t) / np.pi) < 1e-12

    def test_quantiles_are_those_that_have_the_probability(self) -> None:
        p = np.r_[10.0 ** -np.linspace(0.4, 100, 50), np.linspace(0.01, 0.499, 30)]
        df = np.repeat(self.DF, len(p))
        p = np.tile(p, len(self.DF))
        found = column("t_quantile(p, df)", p=p, df=df)
        small = np.abs(found) < 1e150
        assert small.sum() > 0.95 * len(p)
        assert relative(column("t_cdf(t, df)", t=found[small], df=df[small]), p[small]) < 1e-12
        assert np.isinf(found[(df == 0.3) & (p < 1e-99)]).all()
        assert np.array_equal(
            column("-t_quantile(1 - p, 4)", p=np.array([0.25])), column("t_quantile(0.25, 4)", p=p[:1])
        )

    def test_infinite_degrees_of_freedom_are_the_normal_distribution(self) -> None:
        (found,) = ask(
            "SELECT t_cdf(-2, 'inf') AS a, normal_cdf(-2) AS b, t_quantile(0.9, 'inf') AS c, normal_quantile(0.9) d"
        )
        assert found["a"] == found["b"]
        assert found["c"] == pytest.approx(found["d"], rel=1e-12)


class TestChiSquare:
    def test_upper_tail(self) -> None:
        q = np.r_[0, 10.0 ** np.linspace(-6, 3.1, 100)]
        df = np.repeat([1.0, 2, 3, 4, 7, 10, 51, 200, 1001], len(q))
        q = np.tile(q, 9)
        assert relative(column("chi_square_p(q, df)", q=q, df=df), stats.chi2.sf(q, df)) < 1e-12

    def test_of_broken_degrees_of_freedom_is_refused(self) -> None:
        with pytest.raises(Exception, match=r"whole number above 0, not 2\.5"):
            ask("SELECT chi_square_p(3, 2.5)")


@pytest.mark.parametrize(
    "call",
    [
        "normal_cdf(x)",
        "normal_p(x)",
        "normal_quantile(x)",
        "t_cdf(x, 3)",
        "t_cdf(1, x)",
        "t_p(x, 3)",
        "t_quantile(x, 3)",
        "t_quantile(0.9, x)",
        "chi_square_p(x, 3)",
        "chi_square_p(3, x)",
    ],
)
def test_what_is_not_known_stays_unknown(call: str) -> None:
    assert ask(f"SELECT {call} AS p FROM (VALUES (NULL::DOUBLE), ('nan')) AS t(x)") == [{"p": None}, {"p": None}]


@pytest.mark.parametrize(
    "call", ["normal_quantile(0)", "normal_quantile(1)", "t_quantile(1.5, 3)", "t_cdf(1, 0)", "t_p(1, -2)"]
)
def test_what_does_not_exist_is_null(call: str) -> None:
    assert ask(f"SELECT {call} AS p") == [{"p": None}]
