"""Which nodes of several max-trees are objects: the best first, none on another, and none that is weak.

Nodes of different trees overlap in any way, so each is a guess that excludes others. The best guess is taken, then the
best that is still free, and so on. What is then left of noise and haze stands out less than the objects of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..jit import kernel, read_only
from .tree_nodes import AREA, DROP, ELLIPSE, SOFT_DROP

Labels = npt.NDArray[np.int32]

# Part of a guess, or of an object, that may lie on the other.
_OVERLAP = 0.25
# Exponents of the score.
_SHAPE, _CONTRAST, _SIZE = 4.0, 1.3, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """Nodes of several trees of one image.

    ``order`` is int32 (trees, pixels), each row as far as its tree goes; guess *k* is the slice ``start[k]:stop[k]`` of
    ``order[tree[k]]``, and ``features[k]`` are its :func:`~.tree_nodes.node_features`.
    """

    order: npt.NDArray[np.int32]
    tree: npt.NDArray[np.int32]
    start: npt.NDArray[np.int32]
    stop: npt.NDArray[np.int32]
    features: npt.NDArray[np.float64]


def score(features: npt.NDArray[np.float64], full_area: float) -> npt.NDArray[np.float64]:
    """How good each guess is: elliptic, with a clear edge, and large, where ``full_area`` pixels are large enough."""
    return np.asarray(
        features[:, ELLIPSE] ** _SHAPE
        * features[:, SOFT_DROP] ** _CONTRAST
        * (np.minimum(features[:, AREA], full_area) / full_area) ** _SIZE
    )


def strength(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each guess stands out from what chance makes: a drop over a larger area is less likely by chance."""
    return np.asarray(features[:, DROP] * features[:, ELLIPSE] ** 4 * np.sqrt(features[:, AREA]))


def selected(guesses: Guesses, scores: npt.NDArray[np.float64]) -> tuple[Labels, npt.NDArray[np.int64]]:
    """Take guesses in the order of their scores, each where there is room for it.

    Returns
    -------
    labels, taken
        int32 (pixels,), object 1 … k; and which guess each is, (k,).
    """
    ranking = np.argsort(-scores, kind="stable")
    labels, taken = _take(
        read_only(guesses.order),
        read_only(guesses.tree),
        read_only(guesses.start),
        read_only(guesses.stop),
        read_only(ranking),
        _OVERLAP,
    )
    return labels, taken


def typical(strengths: npt.NDArray[np.float64], area: npt.NDArray[np.float64]) -> float:
    """Strength of a typical object: half of the weight, area times strength squared, is at or above it."""
    order = np.argsort(strengths, kind="stable")
    weight = np.cumsum((area * strengths**2)[order])
    return float(strengths[order[min(np.searchsorted(weight, weight[-1] / 2), order.size - 1)]])


@kernel
def _take(
    order: npt.NDArray[np.int32],
    tree: npt.NDArray[np.int32],
    start: npt.NDArray[np.int32],
    stop: npt.NDArray[np.int32],
    ranking: npt.NDArray[np.int64],
    overlap: float,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    labels = np.zeros(order.shape[1], np.int32)
    taken = np.empty(ranking.size, np.int64)
    area = np.zeros(ranking.size + 1, np.int32)
    shared = np.zeros(ranking.size + 1, np.int32)
    met = np.empty(ranking.size + 1, np.int32)
    objects = 0
    for guess in ranking:
        pixels = order[tree[guess], start[guess] : stop[guess]]
        most = overlap * pixels.size
        n_met = 0
        covered = 0
        free = True
        for pixel in pixels:
            there = labels[pixel]
            if there:
                if shared[there] == 0:
                    met[n_met] = there
                    n_met += 1
                shared[there] += 1
                covered += 1
                if covered > most or shared[there] > overlap * area[there]:
                    free = False
                    break
        for k in range(n_met):
            shared[met[k]] = 0
        if not free:
            continue
        taken[objects] = guess
        objects += 1
        area[objects] = pixels.size - covered
        for pixel in pixels:
            if labels[pixel] == 0:
                labels[pixel] = objects
    return labels, taken[:objects].copy()
