"""Rank-based inverse normal transform: each feature gets the distribution of a standard normal variable.

A value of rank r among n becomes Φ⁻¹((r - 3/8) / (n + 1/4)), Blom's approximation of the expected normal order
statistic (Blom 1958; Beasley, Erickson and Allison 2009, Behavior Genetics 39:580). Ties get the average of their
ranks. What is kept are the values and their scores, so that other values are mapped without ranking anything again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...errors import InvalidDataError
from .complete import values_of
from .normalize import compat_setting
from .operator import Fitted, Flag
from .settings import WithSettings, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix

#: Blom's offset.
_OFFSET = 3 / 8
#: Where scikit-learn's QuantileTransformer ends: its probabilities lie this far from 0 and 1.
_SKLEARN_BOUND = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseNormal(WithSettings):
    """Map each feature by its ranks to normal scores.

    Attributes
    ----------
    knots
        Different values that are kept of each feature at most; where there are more, evenly spaced by score, with the
        smallest and the largest. A score is then off by less than the distance of knots, 0.007 for 1000.
    compat
        ``pycytominer``: as its ``inverse_normal``, which is scikit-learn's ``QuantileTransformer``: quantiles of
        linear interpolation, and the smallest and largest values at ∓5.2 whatever the number of wells.

    Notes
    -----
    Between two knots, scores are interpolated linearly. Beyond the smallest or largest value there is nothing to learn
    the tail from: such a value gets the score of the smallest or largest, Φ⁻¹(0.625 / (n + 0.25)) and its negative.
    """

    name: ClassVar[str] = "inverse_normal"
    fitted_on: ClassVar[str] = "study"

    knots: int = setting(1000, "different values that are kept of each feature at most", low=2, high=1_000_000)
    compat: str = compat_setting("pycytominer, for its numbers: quantiles, and ends at -5.2 and 5.2")

    def fit(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Fitted:
        """Learn ``value`` and ``score``, both (features, knots), rising; NaN behind the last knot of a feature.

        Features with one value are flagged ``constant``, those with none ``na``; both come out empty.

        Raises
        ------
        InvalidDataError
            There is no row to learn from.
        """
        if not learn.any():
            raise InvalidDataError(f"{self.name}: there is no well to learn from")
        knots_of = self._quantiles if self.compat else self._ranks
        found: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        flags = []
        empty = np.zeros(0)
        for name, column in zip(matrix.features, matrix.values[learn].T, strict=True):
            finite = np.sort(column[np.isfinite(column)])
            if not len(finite) or finite[0] == finite[-1]:
                flags.append(Flag(feature=name, reason="constant" if len(finite) else "na"))
                found.append((empty, empty))
            else:
                found.append(knots_of(finite))
        width = max(len(value) for value, _ in found) if found else 0
        value, score = (np.full((len(found), width), np.nan) for _ in range(2))
        for row, (values, scores) in enumerate(found):
            value[row, : len(values)], score[row, : len(scores)] = values, scores
        return Fitted(
            features=matrix.features,
            outputs=matrix.features,
            arrays={"value": value, "score": score},
            flags=tuple(flags),
        )

    def apply(self, matrix: ProfileMatrix, fitted: Fitted) -> ProfileMatrix:
        """Map rows, each value by itself; what is not there stays so."""
        values = values_of(matrix, fitted.features)
        mapped = np.full_like(values, np.nan)
        for column, (value, score) in enumerate(zip(fitted.arrays["value"], fitted.arrays["score"], strict=True)):
            known = np.isfinite(value)
            there = np.isfinite(values[:, column])
            if known.any():
                mapping = _as_sklearn if self.compat else np.interp
                mapped[there, column] = mapping(values[there, column], value[known], score[known])
        return matrix.with_values(mapped, fitted.outputs)

    def _ranks(self, ordered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give different values (k,) and their scores, from sorted ones."""
        from scipy.special import ndtri

        values, first, counts = np.unique(ordered, return_index=True, return_counts=True)
        # Ranks count from 1; those of a tie are first + 1 ... first + count.
        scores = ndtri((first + (counts + 1) / 2 - _OFFSET) / (len(ordered) + 1 - 2 * _OFFSET))
        if len(values) > self.knots:
            # Evenly by score, so that no value that is mapped between two knots is off by more than their distance.
            even = np.linspace(scores[0], scores[-1], self.knots)
            kept = np.unique(np.searchsorted((scores[1:] + scores[:-1]) / 2, even))
            values, scores = values[kept], scores[kept]
        return values, scores

    def _quantiles(self, ordered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give quantiles (k,) and their probabilities."""
        shares = np.linspace(0, 1, min(self.knots, len(ordered)))
        return np.percentile(ordered, shares * 100), shares


def _as_sklearn(
    values: NDArray[np.float64], quantiles: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map values as ``QuantileTransformer(output_distribution="normal")`` does."""
    from scipy.special import ndtri

    # Of equal quantiles one way finds the first and the other way the last: the mean of both.
    share = 0.5 * (np.interp(values, quantiles, shares) - np.interp(-values, -quantiles[::-1], -shares[::-1]))
    share[values + _SKLEARN_BOUND > quantiles[-1]] = 1
    share[values - _SKLEARN_BOUND < quantiles[0]] = 0
    least = ndtri(_SKLEARN_BOUND - np.spacing(1))
    most = ndtri(1 - (_SKLEARN_BOUND - np.spacing(1)))
    return np.asarray(np.clip(ndtri(share), least, most))
