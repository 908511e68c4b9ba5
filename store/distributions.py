"""How far two samples of one feature are apart: Kolmogorov-Smirnov, population stability index, shares that are empty.

Pure NumPy. Samples are arrays of float32 or float64 of any length; NaN and infinite values belong to no distribution
and are left out everywhere (:func:`null_fraction` and :func:`inf_fraction` count them). All is computed in float64.

Sources
-------
Kolmogorov-Smirnov: Hodges, Arkiv för Matematik 3 (1958) 469-486. Population stability index: Siddiqi, Credit Risk
Scorecards (Wiley, 2006), whose rule of thumb calls 0.1 to 0.25 a small and more a large shift; its distribution:
Yurdakul and Naranjo, Journal of Risk Model Validation 14 (2020) 89-100.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bins of the population stability index: tenths of the reference.
BINS = 10
#: Share that an empty bin is given, so that its logarithm exists; the floor that Evidently and others use
#: (``feel_zeroes`` in its ``get_binned_data``).
EPSILON = 1e-4
#: Values that a bin should expect at least, as for a χ² test (Cochran, Biometrics 10 (1954) 417-451): small samples
#: get fewer bins.
_EXPECTED = 5
#: Values per sample that :func:`spread` leaves: the statistic of such samples is within about 0.01 of that of all.
SAMPLE = 20_000


def finite(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the finite values, sorted, as float64."""
    kept = np.asarray(values)
    return np.sort(kept[np.isfinite(kept)].astype(np.float64, copy=False))


def spread(rows: int, most: int = SAMPLE) -> NDArray[np.int64] | slice:
    """Return which of some rows to look at: all, or ``most`` of them at even distances, always the same ones.

    Rows of a plate come well by well, so that each well keeps its share.
    """
    return slice(None) if rows <= most else np.linspace(0, rows - 1, most).round().astype(np.int64)


def null_fraction(values: NDArray[np.floating]) -> float:
    """Return the share of NaN; NaN where there is no value at all."""
    return float(np.isnan(values).mean()) if len(values) else float("nan")


def inf_fraction(values: NDArray[np.floating]) -> float:
    """Return the share of infinite values; NaN where there is no value at all."""
    return float(np.isinf(values).mean()) if len(values) else float("nan")


def ks_statistic(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the largest distance of two empirical distribution functions, from 0 to 1.

    Ties count once: the functions are compared after each distinct value. NaN where a sample has no finite value.
    """
    return ks_of_sorted(finite(one), finite(other))


def ks_of_sorted(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Do the same with samples that are sorted and finite."""
    if not len(one) or not len(other):
        return float("nan")
    at = np.concatenate([one, other])
    at.sort(kind="stable")  # two runs: merged, not sorted
    below_one = np.searchsorted(one, at, side="right") / len(one)
    below_other = np.searchsorted(other, at, side="right") / len(other)
    return float(np.abs(below_one - below_other).max())


def ks_by_chance(n: float, m: float, alpha: float) -> float:
    """Return the distance that two samples of one distribution exceed with probability ``alpha`` at most.

    ``n`` and ``m`` are their sizes, or what they are worth: see :func:`effective_size`. The first term of the limiting
    distribution, ``P(D > d) ≈ 2 exp(-2 d² nm / (n + m))`` (Hodges 1958), which is on the safe side for small samples.
    1, which nothing exceeds, where a sample is empty.
    """
    if not n or not m:
        return 1.0
    return min(1.0, float(np.sqrt(-np.log(alpha / 2) / 2 * (n + m) / (n * m))))


def effective_size(values: NDArray[np.floating], groups: NDArray[np.integer]) -> float:
    """Return how many independent values a sample of groups, such as the objects of wells, is worth.

    ``n / (1 + (m - 1) ρ)``: m is the mean size of a group, weighted by size, and ρ how alike the values of one group
    are, the intraclass correlation of their ranks (negative ones as 0). With one value per group, and where groups do
    not matter, that is n; where they decide all, the number of groups.

    Parameters
    ----------
    values
        Of shape (n,); what is not finite is left out.
    groups
        Number of each value's group, from 0, of shape (n,).

    Notes
    -----
    Kish, Survey Sampling (Wiley, 1965), the design effect; ρ as in Donner, Int. Stat. Rev. 54 (1986) 67-82.
    """
    known = np.isfinite(values)
    n = int(known.sum())
    _, inside = np.unique(groups[known], return_inverse=True)
    sizes = np.bincount(inside).astype(np.float64)
    if len(sizes) < 2 or n <= len(sizes):
        return float(n if len(sizes) != 1 else min(n, 1))
    ordered = np.empty(n)
    ordered[np.argsort(values[known], kind="stable")] = np.arange(n)
    means = np.bincount(inside, ordered) / sizes
    between = float((sizes * (means - ordered.mean()) ** 2).sum()) / (len(sizes) - 1)
    within = float(((ordered - means[inside]) ** 2).sum()) / (n - len(sizes))
    usual = (n - float((sizes**2).sum()) / n) / (len(sizes) - 1)
    total = between + (usual - 1) * within
    alike = min(1.0, max(0.0, (between - within) / total)) if total > 0 else 0.0
    return n / (1 + (float((sizes**2).sum()) / n - 1) * alike)


def psi(
    reference: NDArray[np.floating], other: NDArray[np.floating], *, bins: int = BINS, epsilon: float = EPSILON
) -> float:
    """Return the population stability index ``Σ (q - p) ln(q / p)`` over bins of the reference.

    Parameters
    ----------
    reference
        Its quantiles are the bounds of the bins, the outer ones open. A value that many share, so that several
        quantiles fall on it, has a bin of its own: a constant reference has the bins below, at and above.
    bins
        Fewer are made of small samples, so that each expects at least five values of the smaller one.
    epsilon
        Share that an empty bin is given.

    Returns
    -------
    float
        From 0; NaN where a sample has fewer than ten finite values.
    """
    return psi_of_sorted(finite(reference), finite(other), bins=bins, epsilon=epsilon)


def psi_of_sorted(
    reference: NDArray[np.float64], other: NDArray[np.float64], *, bins: int = BINS, epsilon: float = EPSILON
) -> float:
    """Do the same with samples that are sorted and finite."""
    smaller = min(len(reference), len(other))
    if smaller < 2 * _EXPECTED:
        return float("nan")
    shares = np.linspace(0, 1, min(bins, smaller // _EXPECTED) + 1)[1:-1]
    bounds, times = np.unique(np.quantile(reference, shares), return_counts=True)
    shared = bounds[times > 1]
    if reference[0] == reference[-1]:
        bounds = shared = reference[:1]  # with two bins there is one quantile
    p, q = (_shares(sample, bounds, shared, epsilon) for sample in (reference, other))
    return float(((q - p) * np.log(q / p)).sum())


def _shares(
    ordered: NDArray[np.float64], bounds: NDArray[np.float64], shared: NDArray[np.float64], epsilon: float
) -> NDArray[np.float64]:
    """Return the share of a sorted sample in each bin, ``(…, bound]``; bounds that are shared are bins themselves."""
    upto = np.searchsorted(ordered, bounds, side="right")
    below = np.searchsorted(ordered, shared, side="left")
    cuts = np.sort(np.concatenate([[0], upto, below, [len(ordered)]]))
    share = np.diff(cuts) / len(ordered)
    return np.where(share > 0, share, epsilon)


def median_of(values: NDArray[np.floating]) -> float:
    """Return the median of the finite values; NaN where there is none."""
    kept = values[np.isfinite(values)]
    return float(np.median(kept.astype(np.float64, copy=False))) if len(kept) else float("nan")
