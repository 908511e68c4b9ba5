"""How well controls can be told apart by a feature: Z' and SSMD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .groups import median_and_mad
from .normalize import MAD_TO_DEVIATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Wells that each side needs.
FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """Positive against negative controls, feature by feature.

    Attributes
    ----------
    z_prime
        ``1 - 3 (s⁺ + s⁻) / |m⁺ - m⁻|``, of shape (features,); 1 is perfect, above 0.5 excellent.
    ssmd
        ``(m⁺ - m⁻) / √(s⁺² + s⁻²)``, of shape (features,); its sign is that of the effect.
    reasons
        Why there is no value; None where there is.
    """

    z_prime: Floats
    ssmd: Floats
    reasons: tuple[str | None, ...]


def separation(positive: Floats, negative: Floats) -> Separation:
    """Measure how far positive and negative controls are apart.

    Centre and deviation are median and 1.4826 MAD, so that one bad well does not decide.

    Parameters
    ----------
    positive, negative
        Wells, of shape (wells, features); NaN where missing.

    Notes
    -----
    Z': Zhang, Chung and Oldenburg, J. Biomol. Screen. 4 (1999) 67-73. SSMD: Zhang, Genomics 89 (2007) 552-561, where
    the version with median and MAD is too; Z' with them: Birmingham et al., Nature Methods 6 (2009) 569-575.
    """
    (center_p, spread_p, n_p), (center_n, spread_n, n_n) = (_summary(side) for side in (positive, negative))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = center_p - center_n
        z_prime = 1 - 3 * (spread_p + spread_n) / np.abs(apart)
        ssmd = apart / np.sqrt(spread_p**2 + spread_n**2)
    few = (n_p < FEWEST) | (n_n < FEWEST)
    flat = ~few & (spread_p == 0) & (spread_n == 0)
    alike = ~few & ~flat & (apart == 0)
    z_prime = np.where(few | flat | alike, np.nan, z_prime)
    ssmd = np.where(few | flat, np.nan, ssmd)
    reasons: list[str | None] = [None] * len(z_prime)
    for mask, text in (
        (flat, "the controls have no spread"),
        (alike, "positive and negative controls have the same centre"),
    ):
        for number in np.flatnonzero(mask):
            reasons[number] = text
    for number in np.flatnonzero(few):
        reasons[number] = f"{n_p[number]} positive and {n_n[number]} negative well(s) with a value, {FEWEST} are needed"
    return Separation(z_prime=z_prime, ssmd=ssmd, reasons=tuple(reasons))


def _summary(side: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return centre, deviation and number of values of each feature."""
    values = np.array(side.T, order="C", dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    n = np.count_nonzero(~np.isnan(values), axis=1)
    if not values.shape[1]:
        empty = np.full(len(values), np.nan)
        return empty, empty, n
    center, mad = median_and_mad(values)
    return center, MAD_TO_DEVIATION * mad, n
