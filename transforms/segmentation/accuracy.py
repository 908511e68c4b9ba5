"""How well found objects agree with true ones: matching by overlap, precision, recall and F1.

Two objects match when their intersection over union is above a threshold of at least one half. Then no object can
match two others, and no assignment has to be chosen (Caicedo et al. 2019, Nature Methods 16, 1247, used the same
rule for the 2018 Data Science Bowl).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Counts of one comparison at one threshold, and what follows from them.

    With nothing true and nothing found, all three ratios are 1: the empty answer was right.
    """

    threshold: float
    matched: int
    found: int
    true: int

    @property
    def precision(self) -> float:
        """Part of the found objects that match a true one."""
        return self.matched / self.found if self.found else float(not self.true)

    @property
    def recall(self) -> float:
        """Part of the true objects that were found."""
        return self.matched / self.true if self.true else float(not self.found)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.found + self.true
        return 2 * self.matched / both if both else 1.0


def overlaps(true: Labels, found: Labels) -> npt.NDArray[np.float64]:
    """Pairs of objects that share pixels, with their intersection over union.

    Parameters
    ----------
    true, found
        Label images of one shape (y, x); 0 is background, gaps are allowed.

    Returns
    -------
    ndarray
        float64 (pairs, 3): true label, found label, intersection over union in (0, 1].
    """
    if true.shape != found.shape:
        raise ValueError(f"label images of different shapes: {true.shape} and {found.shape}")
    both = (true > 0) & (found > 0)
    stride = int(found.max(initial=0)) + 1
    pairs, shared = np.unique(true[both].astype(np.int64) * stride + found[both], return_counts=True)
    of_true, of_found = pairs // stride, pairs % stride
    union = np.bincount(true.ravel())[of_true] + np.bincount(found.ravel())[of_found] - shared
    return np.column_stack([of_true, of_found, shared / union]).astype(np.float64)


def score(true: Labels, found: Labels, thresholds: Sequence[float] = THRESHOLDS) -> tuple[Score, ...]:
    """Compare two label images of one field, once per threshold.

    Raises
    ------
    ValueError
        A threshold below 0.5, where a match would not be unique; different shapes.
    """
    if min(thresholds) < 0.5:
        raise ValueError(f"thresholds below 0.5 do not give unique matches: {min(thresholds)}")
    ratios = overlaps(true, found)[:, 2]
    n_true = int(np.count_nonzero(np.bincount(true.ravel())[1:]))
    n_found = int(np.count_nonzero(np.bincount(found.ravel())[1:]))
    return tuple(
        Score(threshold=t, matched=int(np.count_nonzero(ratios > t)), found=n_found, true=n_true) for t in thresholds
    )


def pool(scores: Iterable[Sequence[Score]]) -> tuple[Score, ...]:
    """Add up the counts of many images: each object weighs the same, whichever image it is in."""
    return tuple(
        Score(
            threshold=at[0].threshold,
            matched=sum(one.matched for one in at),
            found=sum(one.found for one in at),
            true=sum(one.true for one in at),
        )
        for at in zip(*scores, strict=True)
    )
