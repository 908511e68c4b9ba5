"""Whether wells of one treatment look alike: correlations of their profiles, and of wells that are no replicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .correlation import ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Groups of wells that are no replicates, of each size, that chance is told by.
DRAWS = 1000
#: Replicates correlate better than chance above this percentile of such groups.
_PERCENTILE = 95.0
#: Larger groups are compared with chance groups of this size: their medians vary less, so that is on the safe side.
_LARGEST = 16
#: Features that are missing in more than this share of the wells are left out, then wells that lack any of the others.
_MISSING = 0.05
_FEWEST_FEATURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """How replicates correlate.

    Attributes
    ----------
    of_well
        Of shape (wells,): the median correlation of a well with the others of its treatment; NaN where it has none.
    of_treatment
        Of shape (treatments,): the median over all pairs of wells of a treatment; NaN for single wells.
    sizes
        Of shape (treatments,): wells that were compared.
    by_chance
        Of shape (treatments,): what the median of a group of as many other wells exceeds in one of twenty cases; NaN
        where there are too few treatments to say.
    features
        Number of features that were compared.
    left_out
        Wells with a treatment that lack features.
    """

    of_well: Floats
    of_treatment: Floats
    sizes: NDArray[np.int64]
    by_chance: Floats
    features: int
    left_out: int

    @property
    def percent_replicating(self) -> float:
        """Share of the treatments with replicates that correlate better than chance, in %; NaN without any."""
        known = ~np.isnan(self.of_treatment) & ~np.isnan(self.by_chance)
        return float((self.of_treatment[known] > self.by_chance[known]).mean() * 100) if known.any() else float("nan")


def replicate_correlation(
    values: Floats,
    treatments: NDArray[np.intp],
    *,
    method: Literal["pearson", "spearman"] = "pearson",
    draws: int = DRAWS,
    seed: int = 0,
) -> Replicates:
    """Correlate the profiles of replicates, over features.

    Parameters
    ----------
    values
        Wells, of shape (wells, features), on comparable scales (robust z): else the largest features decide all. NaN
        where missing.
    treatments
        Number of each well's treatment, from 0; below 0 for wells without one.
    draws, seed
        How many groups of wells of different treatments are drawn for chance, always the same ones.

    Notes
    -----
    Percent replicating: Way et al., Cell Systems 13 (2022) 911-923; median of pairwise correlations against the 95th
    percentile of groups of non-replicates of the same size.
    """
    n = int(treatments.max(initial=-1)) + 1
    treated = np.flatnonzero(treatments >= 0)
    usable, unit = _unit(values[treated], method)
    wells = treated[usable]
    left_out = len(treated) - len(wells)
    of_well, of_treatment = np.full(len(values), np.nan), np.full(n, np.nan)
    sizes = np.bincount(treatments[wells], minlength=n)
    members = np.split(np.argsort(treatments[wells], kind="stable"), np.cumsum(sizes)[:-1]) if n else []
    for number, rows in enumerate(members):
        if len(rows) > 1:
            block = unit[rows] @ unit[rows].T
            apart = ~np.eye(len(rows), dtype=bool)
            of_well[wells[rows]] = np.median(block[apart].reshape(len(rows), -1), axis=1)
            of_treatment[number] = np.median(block[np.triu_indices(len(rows), 1)])
    by_chance = _by_chance(unit, members, sizes, draws, seed)
    return Replicates(
        of_well=of_well,
        of_treatment=of_treatment,
        sizes=sizes,
        by_chance=by_chance,
        features=unit.shape[1],
        left_out=left_out,
    )


def _unit(values: Floats, method: str) -> tuple[NDArray[np.intp], Floats]:
    """Return which wells can be compared, and their profiles with mean 0 and length 1."""
    known = np.isfinite(values)
    if not values.size:
        return np.zeros(0, np.intp), np.empty((0, 0))
    kept = known.mean(axis=0) >= 1 - _MISSING
    rows = np.flatnonzero(known[:, kept].all(axis=1))
    chosen = values[np.ix_(rows, np.flatnonzero(kept))]
    if chosen.shape[1] < _FEWEST_FEATURES:
        return np.zeros(0, np.intp), np.empty((0, chosen.shape[1]))
    if method == "spearman":
        chosen = ranks(chosen)
    chosen = chosen - chosen.mean(axis=1, keepdims=True)
    length = np.sqrt((chosen * chosen).sum(axis=1))
    varies = length > 0
    return rows[varies], chosen[varies] / length[varies, None]


def _by_chance(
    unit: Floats, members: list[NDArray[np.intp]], sizes: NDArray[np.int64], draws: int, seed: int
) -> Floats:
    """Return for each treatment what groups of as many wells of different treatments exceed in one of twenty cases."""
    there = [rows for rows in members if len(rows)]
    found = np.full(len(sizes), np.nan)
    rng = np.random.default_rng(seed)
    for size in np.unique(np.minimum(sizes[sizes > 1], min(_LARGEST, len(there)))):
        if size < 2:
            continue
        pairs = np.triu_indices(size, 1)
        medians = np.empty(draws)
        for draw in range(draws):
            chosen = rng.choice(len(there), size, replace=False)
            rows = [there[one][rng.integers(len(there[one]))] for one in chosen]
            medians[draw] = np.median((unit[rows] @ unit[rows].T)[pairs])
        found[np.minimum(sizes, min(_LARGEST, len(there))) == size] = np.percentile(medians, _PERCENTILE)
    found[sizes < 2] = np.nan
    return found
