"""Controls from plate to plate: how far each plate's are from those of all, and whether that goes one way over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .groups import median, median_and_mad
from .normalize import MAD_TO_DEVIATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Wells of controls that a plate needs for a median that says something, and for a MAD.
_FEWEST, _FEWEST_FOR_MAD = 2, 3
#: Plates that a trend needs.
_FEWEST_PLATES = 3
#: The standard error of a median is this times that of a mean, for normal values: root of π / 2.
_MEDIAN_ERROR = 1.2533141373155001


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How controls differ between plates.

    Attributes
    ----------
    values
        Of shape (plates, features): the plate's median of controls minus the median of these medians over plates, in
        deviations of controls within a plate (1.4826 MAD, the median over plates). NaN where not defined.
    chance
        Of the same shape: how large a value is by chance at most, see :func:`control_drift`.
    reasons
        Of shape (plates,): why a plate has no values; None where it has.
    constant
        Of shape (features,): true where controls do not vary within plates, so that there is no unit.
    slope
        Of shape (features,): values per unit of time (Theil-Sen: the median slope of all pairs of plates).
    p
        Of shape (features,): how probable such a trend is by chance (Kendall's rank correlation, Mann-Kendall test).
    """

    values: Floats
    chance: Floats
    reasons: tuple[str | None, ...]
    constant: NDArray[np.bool_]
    slope: Floats
    p: Floats


def control_drift(
    values: Floats, plates: NDArray[np.intp], controls: NDArray[np.bool_], times: Sequence[float], *, alpha: float
) -> Drift:
    """Measure the drift of controls.

    Parameters
    ----------
    values
        Wells, of shape (wells, features); NaN where missing.
    plates
        Number of each well's plate, from 0.
    controls
        Which wells are controls.
    times
        When each plate was taken, in any unit: the abscissa of the slope.
    alpha
        ``chance`` is exceeded by a normal value with this probability, for the number of its controls.

    Notes
    -----
    Theil, Proc. K. Ned. Akad. Wet. A 53 (1950); Sen, J. Am. Stat. Assoc. 63 (1968) 1379-1389; Mann, Econometrica 13
    (1945) 245-259; Kendall, Biometrika 30 (1938) 81-93.
    """
    from scipy.stats import norm

    shape = len(times), values.shape[1]
    medians, mads = np.full(shape, np.nan), np.full(shape, np.nan)
    numbers = np.zeros(shape)
    reasons: list[str | None] = []
    for plate in range(len(times)):
        own = np.array(values[controls & (plates == plate)].T, order="C")
        reasons.append(None if own.shape[1] >= _FEWEST else f"{own.shape[1]} control well(s), {_FEWEST} are needed")
        numbers[plate] = np.count_nonzero(np.isfinite(own), axis=1)
        if not own.shape[1]:
            continue
        center, mad = median_and_mad(own)
        medians[plate] = np.where(numbers[plate] >= _FEWEST, center, np.nan)
        mads[plate] = np.where(numbers[plate] >= _FEWEST_FOR_MAD, mad, np.nan)
    scale = MAD_TO_DEVIATION * median(np.array(mads.T, order="C"))
    known = np.count_nonzero(~np.isnan(medians), axis=0)
    if (~np.isnan(medians).all(axis=1)).sum() < 2:
        reasons = [reason or "no other plate with controls to compare with" for reason in reasons]
        medians[:] = np.nan
    constant = scale == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = (medians - median(np.array(medians.T, order="C"))) / np.where(constant, np.nan, scale)
        # Its own error, and that of the median of the plates' medians.
        error = _MEDIAN_ERROR * np.sqrt((1 + _MEDIAN_ERROR**2 / known) / numbers)
    slope, p = _trends(drift, np.asarray(times, dtype=np.float64))
    return Drift(
        values=drift,
        chance=float(norm.isf(alpha / 2)) * error,
        reasons=tuple(reasons),
        constant=constant,
        slope=slope,
        p=p,
    )


def _trends(drift: Floats, times: Floats) -> tuple[Floats, Floats]:
    """Return slope and significance of each feature's drift over time; NaN for fewer than three plates."""
    from scipy.stats import kendalltau, theilslopes

    slope, p = np.full(drift.shape[1], np.nan), np.full(drift.shape[1], np.nan)
    for number, column in enumerate(drift.T):
        known = ~np.isnan(column)
        if known.sum() >= _FEWEST_PLATES and len(np.unique(times[known])) >= _FEWEST_PLATES:
            slope[number] = theilslopes(column[known], times[known])[0]
            p[number] = kendalltau(times[known], column[known])[1]
    return slope, p


def significant(p: Floats, alpha: float) -> NDArray[np.bool_]:
    """Return which of several tests say something when that many are made (Benjamini-Hochberg); NaN never does.

    Source: Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300.
    """
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    passed = np.flatnonzero(p[order] <= alpha * np.arange(1, len(order) + 1) / max(1, len(order)))
    found = np.zeros(len(p), dtype=bool)
    if len(passed):
        found[order[: passed[-1] + 1]] = True
    return found
