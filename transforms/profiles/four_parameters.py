"""The four-parameter logistic curve of dose and response, fitted by least squares to many features at once.

    y(x) = start + (end - start) / (1 + (ec50 / x)^hill),   hill > 0,   y(0) = start

``start`` and ``end`` enter linearly. So for each (ec50, hill) of a grid over the tested doses the best pair follows
from a regression, and the grid's best is refined by Gauss-Newton steps in log ec50 and log hill alone (variable
projection: Golub and Pereyra 1973, SIAM J. Numer. Anal. 10:413, in Kaufman's form), damped as Levenberg and Marquardt
do. The grid spans all that the bounds allow: there is no starting value to choose wrongly.

Wells of one dose enter as their mean and number, which changes no estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: ec50 is sought from a tenth of the smallest dose to ten times the largest.
BEYOND = 10.0
#: Slopes that are sought. Beyond, a curve is a step or a straight line in the logarithm of the dose.
LEAST_HILL, MOST_HILL = 0.2, 12.0
_DOSES, _HILLS = 61, 13
_STEPS, _CONVERGED = 60, 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The best curve of each feature (all of shape (features,)).

    Attributes
    ----------
    start, end
        Response without the compound, and at doses without bound.
    log_ec50, log_hill
        Natural logarithms.
    residual, total
        Sum of squares about the curve, and about the mean of all wells.
    n
        Wells that have a value.
    covariance : (features, 4, 4)
        Of (start, end, log_ec50, log_hill), by the delta method; NaN where the curve does not determine them.
    """

    start: Floats
    end: Floats
    log_ec50: Floats
    log_hill: Floats
    residual: Floats
    total: Floats
    n: Floats
    covariance: Floats


def fit_curves(doses: Floats, counts: Floats, means: Floats, within: Floats) -> Curves:
    """Fit all features of one compound.

    Parameters
    ----------
    doses
        Different doses (d,), 0 among them where there are wells without the compound; at least two are not 0.
    counts, means
        (d, features): wells that have a value, and their mean (0 where there are none).
    within
        (features,): sum of squares of wells about the mean of their dose.
    """
    positive = doses > 0
    x = np.log(np.where(positive, doses, 1.0))[:, None]
    low, high = x[positive].min() - np.log(BEYOND), x[positive].max() + np.log(BEYOND)
    bounds = np.array([[low, np.log(LEAST_HILL)], [high, np.log(MOST_HILL)]])
    point = _best_of_grid(doses, x, counts, means, bounds)

    def evaluate(at: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        share = _share(x, positive, at)
        start, slope = _regress(share, means, counts)
        return share, start, slope, (counts * (means - start - slope * share) ** 2).sum(axis=0)

    share, start, slope, residual = evaluate(point)
    damping = np.full(point.shape[1], 1e-3)
    for _ in range(_STEPS):
        jacobian = _jacobian(x, share, slope, point)
        step = _step(jacobian, share, means - start - slope * share, counts, damping)
        trial = np.clip(point + step, bounds[0][:, None], bounds[1][:, None])
        new_share, new_start, new_slope, new_residual = evaluate(trial)
        better = new_residual < residual
        change = np.where(better, np.abs(trial - point).max(axis=0), 0.0)
        point = np.where(better, trial, point)
        share, start = np.where(better, new_share, share), np.where(better, new_start, start)
        slope, residual = np.where(better, new_slope, slope), np.where(better, new_residual, residual)
        damping = np.clip(np.where(better, damping / 5, damping * 8), 1e-12, 1e12)
        if (change < _CONVERGED).all() and (better | (damping > 1e6)).all():
            break
    n = counts.sum(axis=0)
    mean = (counts * means).sum(axis=0) / np.maximum(n, 1)
    total = (counts * (means - mean) ** 2).sum(axis=0) + within
    covariance = _covariance(
        _jacobian(x, share, slope, point), share, counts, (residual + within) / np.maximum(n - 4, 1)
    )
    return Curves(
        start=start,
        end=start + slope,
        log_ec50=point[0],
        log_hill=point[1],
        residual=residual + within,
        total=total,
        n=n,
        covariance=covariance,
    )


def _best_of_grid(doses: Floats, x: Floats, counts: Floats, means: Floats, bounds: Floats) -> Floats:
    """Give the pair of log ec50 and log hill, (2, features), of the grid whose curve is nearest."""
    (low, least), (high, most) = bounds
    ec50, hill = (one.ravel() for one in np.meshgrid(np.linspace(low, high, _DOSES), np.linspace(least, most, _HILLS)))
    share = _share(x, doses > 0, np.stack([ec50, hill])).T  # (grid, d)
    n, weighted = counts.sum(axis=0), counts * means
    of_share, of_square = share @ counts, share**2 @ counts
    of_both, of_mean = share @ weighted, weighted.sum(axis=0)
    spread = n * of_square - of_share**2
    # What a curve explains of the sum of squares about the mean.
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = (n * of_both - of_share * of_mean) ** 2 / (n * spread)
    explained = np.where(spread > 1e-9 * n**2, explained, -1.0)
    best = explained.argmax(axis=0)
    return np.stack([ec50[best], hill[best]])


def _share(x: Floats, positive: NDArray[np.bool_], at: Floats) -> Floats:
    """Give the share of the way from start to end, (d, curves), for (log ec50, log hill) of shape (2, curves)."""
    # 1 / (1 + exp(-u)) by tanh, which does not overflow.
    share = 0.5 * (1 + np.tanh(0.5 * np.exp(at[1]) * (x - at[0])))
    return np.asarray(np.where(positive[:, None], share, 0.0))


def _regress(share: Floats, values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Give start and slope (features,) of values (d, features) on shares, weighted; slope 0 where shares are alike."""
    n = np.maximum(counts.sum(axis=0), 1)
    middle, mean = (counts * share).sum(axis=0) / n, (counts * values).sum(axis=0) / n
    spread = (counts * (share - middle) ** 2).sum(axis=0)
    slope = (counts * (share - middle) * (values - mean)).sum(axis=0) / np.where(spread > 0, spread, 1.0)
    return mean - slope * middle, slope


def _jacobian(x: Floats, share: Floats, slope: Floats, at: Floats) -> Floats:
    """Give the derivatives of the curve by log ec50 and log hill, (2, d, features)."""
    steep = slope * share * (1 - share) * np.exp(at[1])
    return np.stack([-steep, steep * (x - at[0])])


def _step(jacobian: Floats, share: Floats, error: Floats, counts: Floats, damping: Floats) -> Floats:
    """Give a damped Gauss-Newton step (2, features), start and slope being refitted after it."""

    def rest(values: Floats) -> Floats:
        start, slope = _regress(share, values, counts)
        return values - start - slope * share

    by_ec50, by_hill = rest(jacobian[0]), rest(jacobian[1])
    a, b, c = (
        (counts * one * other).sum(axis=0)
        for one, other in ((by_ec50, by_ec50), (by_ec50, by_hill), (by_hill, by_hill))
    )
    g, h = ((counts * one * error).sum(axis=0) for one in (by_ec50, by_hill))
    a, c = a * (1 + damping) + 1e-300, c * (1 + damping) + 1e-300
    determinant = a * c - b**2
    safe = np.where(determinant > 0, determinant, 1.0)
    step = np.stack([(c * g - b * h) / safe, (a * h - b * g) / safe])
    return np.clip(np.where(determinant > 0, step, 0.0), -1.0, 1.0)


def _covariance(jacobian: Floats, share: Floats, counts: Floats, variance: Floats) -> Floats:
    """Give the covariance (features, 4, 4) of start, end, log ec50 and log hill."""
    # y = (1 - share) start + share end
    columns = np.stack([1 - share, share, *jacobian])  # (4, d, features)
    information = np.einsum("idf,df,jdf->fij", columns, counts, columns)
    scale = np.sqrt(np.einsum("fii->fi", information))
    usable = (scale > 0).all(axis=1)
    scaled = information / np.where(scale > 0, scale, 1.0)[:, :, None] / np.where(scale > 0, scale, 1.0)[:, None, :]
    usable &= np.isfinite(scaled).all(axis=(1, 2))
    scaled[~usable] = np.eye(4)
    values = np.linalg.eigvalsh(scaled)
    usable &= values[:, 0] > 1e-10 * values[:, -1]
    scaled[~usable] = np.eye(4)
    inverse = (
        np.linalg.inv(scaled)
        / np.where(scale > 0, scale, 1.0)[:, :, None]
        / np.where(scale > 0, scale, 1.0)[:, None, :]
    )
    covariance = inverse * variance[:, None, None]
    covariance[~usable] = np.nan
    return np.asarray(covariance)
