"""The rounds of Harmony on principal components: soft clusters that mix batches, and the correction by their terms.

Names follow Korsunsky et al. (2019): R shares of rows in clusters, Y centroids, O and E how much of each batch is in
each cluster and how much would be if they were mixed evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STARTS, _LLOYD = 10, 25
#: Rows are assigned in blocks of this share, so that O and E follow.
_BLOCK = 0.05
_CLUSTERINGS, _WINDOW = 20, 3
_CLUSTERS_STAY, _OBJECTIVE_STAYS = 1e-5, 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the rounds have learned, with T rounds, K clusters, B levels of all batch columns and d components.

    Attributes
    ----------
    centroids : (T, K, d)
    penalties : (T, K, B)
        Added to the logarithm of a share before it is normalised.
    terms : (T, B, K, d)
        Taken off a row, in the shares of its clusters.
    final_centroids : (K, d)
        Of the corrected rows.
    weight : (K,)
        Rows in each cluster.
    total : (K, d)
        Sum of corrected rows in each cluster.
    """

    centroids: Floats
    penalties: Floats
    terms: Floats
    final_centroids: Floats
    weight: Floats
    total: Floats


def harmonize(
    points: Floats,
    codes: Sequence[NDArray[np.int64]],
    *,
    n_clusters: int,
    theta: float,
    sigma: float,
    ridge: float,
    iterations: int,
    seed: int,
) -> Reference:
    """Go through rounds of clustering and correction until the objective stays.

    Parameters
    ----------
    points
        Rows (n, d).
    codes
        For each batch column the number of each row's level, from 0.
    """
    random = np.random.default_rng(seed)
    members = np.hstack([np.eye(one.max() + 1)[one] for one in codes])
    expected = members.mean(axis=0)
    units = unit_rows(points)
    centroids = unit_rows(_first_centroids(units, n_clusters, random))
    shares = assign(units, centroids, sigma, np.zeros(n_clusters))
    corrected = points
    kept: tuple[list[Floats], list[Floats], list[Floats]] = ([], [], [])
    before = np.inf
    for _ in range(iterations):
        centroids, penalty, objective = _cluster(units, members, expected, shares, theta, sigma, random)
        # Once more with O and E as they ended, for all rows alike: so `apply` can do the same for any row.
        shares = assign(units, centroids, sigma, members @ penalty.T)
        terms = (_terms if len(codes) == 1 else _crossed_terms)(points, members, shares, ridge)
        corrected = points - _shift(members, shares, terms)
        units = unit_rows(corrected)
        for array, of_round in zip(kept, (centroids, penalty, terms), strict=True):
            array.append(of_round)
        if before - objective < _OBJECTIVE_STAYS * abs(before) and np.isfinite(before):
            break
        before = objective
    return Reference(
        centroids=np.stack(kept[0]),
        penalties=np.stack(kept[1]),
        terms=np.stack(kept[2]),
        final_centroids=unit_rows(shares.T @ units),
        weight=shares.sum(axis=0),
        total=shares.T @ corrected,
    )


def unit_rows(points: Floats) -> Floats:
    """Scale rows (n, d) to length 1; those of length 0 stay."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.where(length > 0, length, 1))


def assign(units: Floats, centroids: Floats, sigma: float, penalty: Floats) -> Floats:
    """Give the share of rows (n, d) in clusters (K, d), by cosine distance; they add up to 1.

    ``penalty`` is (n, K) or (K,), and is added to the logarithm.
    """
    logarithm = -2 * (1 - units @ centroids.T) / sigma + penalty
    shares = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def correct(points: Floats, shares: Floats, terms: Floats) -> Floats:
    """Take the terms (K, d) of one batch off its rows (n, d), in their shares (n, K)."""
    return points - shares @ terms


def map_batch(
    points: Floats, centroids: Floats, weight: Floats, total: Floats, *, sigma: float, ridge: float
) -> Floats:
    """Correct rows (n, d) of a new batch, the reference as it is (Kang et al. 2021, "mapping").

    Of each cluster, the intercept is shared by the reference, ``weight`` (K,) rows that sum to ``total`` (K, d), and
    the new rows; the term of the batch is that of the new rows only, pulled to 0 by ``ridge``.
    """
    shares = assign(unit_rows(points), centroids, sigma, np.zeros(len(centroids)))
    n_new = shares.sum(axis=0)
    sum_new = shares.T @ points
    # [[w + n, n], [n, n + λ]] [intercept, term] = [total + sum, sum], solved for the term.
    determinant = (weight + n_new) * (n_new + ridge) - n_new**2
    term = ((weight + n_new)[:, None] * sum_new - n_new[:, None] * (total + sum_new)) / determinant[:, None]
    return correct(points, shares, term)


def _cluster(
    units: Floats,
    members: Floats,
    expected: Floats,
    shares: Floats,
    theta: float,
    sigma: float,
    random: np.random.Generator,
) -> tuple[Floats, Floats, float]:
    """Cluster until the objective stays; give centroids (K, d), penalties (K, B) and the objective."""
    shares = shares.copy()
    observed = shares.T @ members
    even = np.outer(shares.sum(axis=0), expected)
    n_blocks = int(np.ceil(1 / _BLOCK))
    objectives: list[float] = []
    for _ in range(_CLUSTERINGS):
        centroids = unit_rows(shares.T @ units)
        distance = 2 * (1 - units @ centroids.T)
        for block in np.array_split(random.permutation(len(units)), n_blocks):
            of_block = members[block]
            observed -= shares[block].T @ of_block
            even -= np.outer(shares[block].sum(axis=0), expected)
            shares[block] = assign(units[block], centroids, sigma, of_block @ _penalty(observed, even, theta).T)
            observed += shares[block].T @ of_block
            even += np.outer(shares[block].sum(axis=0), expected)
        penalty = _penalty(observed, even, theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = np.where(shares > 0, shares * np.log(shares), 0.0).sum()
        objectives.append(
            float((shares * distance).sum() + sigma * entropy - sigma * (shares * (members @ penalty.T)).sum())
        )
        if len(objectives) > _WINDOW + 1:
            new, old = sum(objectives[-_WINDOW:]), sum(objectives[-_WINDOW - 1 : -1])
            if abs(old - new) < _CLUSTERS_STAY * abs(old):
                break
    return centroids, penalty, objectives[-1]


def _penalty(observed: Floats, even: Floats, theta: float) -> Floats:
    """Give log(((E + 1) / (O + 1))^θ) of clusters and levels (K, B)."""
    # Sums that are taken off and put back again may end a rounding error below 0.
    return np.asarray(theta * np.log((np.maximum(even, 0) + 1) / (np.maximum(observed, 0) + 1)))


def _terms(points: Floats, members: Floats, shares: Floats, ridge: float) -> Floats:
    """Give the terms (B, K, d) of all levels of one column, by a ridge regression in each cluster.

    Its intercept is shared by all levels and not taken off. Every row is of one level, so the normal equations have
    entries in the first row, the first column and the diagonal only.
    """
    rows_of = [np.flatnonzero(member) for member in members.T]
    n = np.stack([shares[rows].sum(axis=0) for rows in rows_of])[..., None]
    sums = np.stack([shares[rows].T @ points[rows] for rows in rows_of])
    left = (n * ridge / (n + ridge)).sum(axis=0)
    # An empty cluster has no intercept to find.
    intercept = (sums * ridge / (n + ridge)).sum(axis=0) / np.maximum(left, np.finfo(float).tiny)
    return np.asarray((sums - n * intercept) / (n + ridge))


def _crossed_terms(points: Floats, members: Floats, shares: Floats, ridge: float) -> Floats:
    """Give the terms (B, K, d) of all levels of several columns, as :func:`_terms` does for one."""
    n_levels = members.shape[1]
    design = np.hstack([np.ones((len(points), 1)), members])
    penalty = np.diag([0.0] + [ridge] * n_levels)
    terms = np.zeros((n_levels, shares.shape[1], points.shape[1]))
    for cluster in range(shares.shape[1]):
        weighted = design * shares[:, cluster : cluster + 1]
        left = weighted.T @ design + penalty
        # An empty cluster has no intercept to find.
        left[0, 0] = max(left[0, 0], np.finfo(float).tiny)
        terms[:, cluster] = np.linalg.solve(left, weighted.T @ points)[1:]
    return terms


def _shift(members: Floats, shares: Floats, terms: Floats) -> Floats:
    """Give what is taken off each row (n, d), over all its levels."""
    shift = np.zeros((len(members), terms.shape[2]))
    for level, of_level in enumerate(terms):
        rows = members[:, level] > 0
        shift[rows] += shares[rows] @ of_level
    return shift


def _first_centroids(units: Floats, n_clusters: int, random: np.random.Generator) -> Floats:
    """Give centroids (K, d) by k-means: k-means++ and Lloyd's rounds, the best of some starts."""
    from scipy.sparse import csr_array

    best, least = units[:n_clusters], np.inf
    for _ in range(_STARTS):
        centroids = _spread(units, n_clusters, random)
        for _ in range(_LLOYD):
            distance = _squared(units, centroids)
            nearest = distance.argmin(axis=1)
            belongs = csr_array((np.ones(len(units)), nearest, np.arange(len(units) + 1)), (len(units), n_clusters))
            counts = np.bincount(nearest, minlength=n_clusters)[:, None]
            # A cluster that nobody is nearest to begins again at the row that is farthest from its own.
            farthest = units[distance.min(axis=1).argmax()]
            moved = np.where(counts > 0, (belongs.T @ units) / np.maximum(counts, 1), farthest)
            if np.array_equal(moved, centroids):
                break
            centroids = moved
        inertia = float(_squared(units, centroids).min(axis=1).sum())
        if inertia < least:
            best, least = centroids, inertia
    return best


def _spread(units: Floats, n_clusters: int, random: np.random.Generator) -> Floats:
    """Choose rows as centroids, each with a chance as its squared distance from those chosen before (k-means++)."""
    chosen = [int(random.integers(len(units)))]
    distance = _squared(units, units[chosen])[:, 0]
    while len(chosen) < n_clusters:
        total = distance.sum()
        share = distance / total if total > 0 else None
        chosen.append(int(random.choice(len(units), p=share)))
        distance = np.minimum(distance, _squared(units, units[chosen[-1:]])[:, 0])
    return units[chosen].copy()


def _squared(units: Floats, centroids: Floats) -> Floats:
    """Give squared distances (n, K)."""
    return np.asarray(
        np.maximum((units**2).sum(axis=1)[:, None] - 2 * units @ centroids.T + (centroids**2).sum(axis=1), 0)
    )
