"""Scaling of features by what reference wells have: robust z, standard score, scaling by quartiles.

All three learn a centre and a scale per feature and give ``(value - centre) / scale``. Missing and infinite values are
not learned from, and stay empty. A feature whose scale is 0, or of which no value is known, comes out empty and is
flagged: nothing is known about how far from its centre is far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...errors import InvalidDataError
from .groups import mean, median, median_and_mad, quantile, variance
from .operator import Fitted, Flag
from .settings import WithSettings, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix

#: Makes the MAD of a normal distribution its deviation: 1 / Φ⁻¹(3/4), rounded as everybody does.
MAD_TO_DEVIATION = 1.4826
#: What pycytominer adds to the scale.
_PYCYTOMINER_EPSILON = 1e-18
_COMPAT = "pycytominer, for its numbers where they differ: it has values for features of scale 0"


def compat_setting(meaning: str = _COMPAT) -> str:
    """Declare the setting ``compat``."""
    declared: str = setting("", meaning, choices=("", "pycytominer"))
    return declared


def learned_values(matrix: ProfileMatrix, learn: NDArray[np.bool_], name: str) -> NDArray[np.float64]:
    """Give what is learned from, of shape (features, rows); NaN for what is not finite.

    Raises
    ------
    InvalidDataError
        There is no row to learn from.
    """
    values = np.array(matrix.values[learn].T, order="C")
    if not values.shape[1]:
        raise InvalidDataError(
            f"{name}: there is no row to learn from, of {len(matrix)}",
            hint="Let it learn from all wells, or name controls that the plate has.",
        )
    values[np.isinf(values)] = np.nan
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scaling(WithSettings):
    """What the three have in common; each says how centre and scale are learned."""

    name: ClassVar[str]
    fitted_on: ClassVar[str] = "plate"
    #: What a scale of 0 is called in a flag.
    _zero: ClassVar[str]

    compat: str = compat_setting()

    def fit(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Fitted:
        """Learn the centre and the scale of each feature."""
        values = learned_values(matrix, learn, self.name)
        known = np.asarray(~np.isnan(values).all(axis=1))
        center, scale = self._learn(values)
        flags = []
        for feature, there, one in zip(matrix.features, known, scale, strict=True):
            if not there:
                flags.append(Flag(feature=feature, reason="na", detail="no value to learn from"))
            elif one == 0:
                flags.append(Flag(feature=feature, reason=self._zero))
        if self.compat == "pycytominer":
            scale = self._as_pycytominer(values, center, scale)
        else:
            scale = np.where(scale == 0, np.nan, scale)
        return Fitted(
            features=matrix.features,
            outputs=matrix.features,
            arrays={"center": center, "scale": scale},
            flags=tuple(flags),
        )

    def apply(self, matrix: ProfileMatrix, fitted: Fitted) -> ProfileMatrix:
        """Scale the features that it was fitted on."""
        chosen = matrix.select_features(fitted.features)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            values = (chosen.values - fitted.arrays["center"]) / fitted.arrays["scale"]
        values[~np.isfinite(values)] = np.nan
        return chosen.with_values(values)

    def _learn(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give centre and scale, of shape (features,), of values of shape (features, rows)."""
        raise NotImplementedError

    def _as_pycytominer(
        self, values: NDArray[np.float64], center: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Give the scale that pycytominer would divide by."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustZ(_Scaling):
    """Robust z: distance from the median in units of 1.4826 times the median absolute distance from it (MAD).

    pycytominer calls it ``mad_robustize``. It adds 1e-18 to the scale, so that a feature with a MAD of 0 gets values
    around 1e18; here it is empty and flagged ``zero_mad``, unless ``compat`` asks for its numbers.

    Source: Malo et al., Nature Biotechnology 24 (2006) 167-175; Chung et al., J. Biomol. Screen. 13 (2008) 149-158.
    """

    name: ClassVar[str] = "robust_z"
    _zero: ClassVar[str] = "zero_mad"

    def _learn(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        center, mad = median_and_mad(values)
        return center, MAD_TO_DEVIATION * mad

    def _as_pycytominer(
        self, values: NDArray[np.float64], center: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return scale + _PYCYTOMINER_EPSILON


@dataclass(frozen=True, slots=True, kw_only=True)
class Standardize(_Scaling):
    """Standard score: distance from the mean in units of the deviation, which is divided by the number of wells.

    A constant feature is empty and flagged ``constant``; pycytominer (scikit-learn's StandardScaler) divides it by 1.
    """

    name: ClassVar[str] = "standardize"
    _zero: ClassVar[str] = "constant"

    def _learn(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # Rounding gives constant columns of most numbers a deviation of about 1e-17 of them.
        constant = _extreme(values, np.fmax) == _extreme(values, np.fmin)
        return mean(values), np.where(constant, 0.0, np.sqrt(variance(values)))

    def _as_pycytominer(
        self, values: NDArray[np.float64], center: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        # scikit-learn's bound of what rounding makes of a variance of 0: n eps var + (n mean eps)^2.
        n_eps = np.count_nonzero(~np.isnan(values), axis=1) * np.finfo(np.float64).eps
        spread = scale**2
        return np.where(spread <= n_eps * spread + (n_eps * center) ** 2, 1.0, scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustize(_Scaling):
    """Distance from the median in units of the distance between the quartiles, pycytominer's ``robustize``.

    Where that is 0 the feature is empty and flagged ``zero_iqr``; pycytominer (RobustScaler of scikit-learn) divides by
    1.
    """

    name: ClassVar[str] = "robustize"
    _zero: ClassVar[str] = "zero_iqr"

    def _learn(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ordered = values.copy()
        return median(ordered), quantile(ordered, 0.75) - quantile(ordered, 0.25)

    def _as_pycytominer(
        self, values: NDArray[np.float64], center: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return np.where(scale < 10 * np.finfo(np.float64).eps, 1.0, scale)


def _extreme(values: NDArray[np.float64], which: np.ufunc) -> NDArray[np.float64]:
    """Largest (``np.fmax``) or smallest value of each row of the array; NaN where all are."""
    found: NDArray[np.float64] = which.reduce(values, axis=1)
    return found
