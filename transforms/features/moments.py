"""Moments of each object's pixels, from closed-form sums over horizontal runs.

Power sums of consecutive integers are polynomials, so a run costs the same whether it is one pixel or a thousand long.
They are taken about the integer point nearest the centroid: every sum is then a whole number that float64 holds
exactly, and the step to the true centroid is at most half a pixel, which leaves nothing to cancel.

Names and axes are scikit-image's: ``p`` counts rows (y), ``q`` columns (x); raw moments are relative to the corner of
the bounding box. Hu's invariants: M. K. Hu, IRE Trans. Inf. Theory 8 (1962) 179-187.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from .label_index import Int32Array, Int64Array, LabelIndex

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of n objects, float64.

    Attributes
    ----------
    raw, central : (n, 4, 4)
        ``[:, p, q]`` = Σ y^p x^q about the bounding-box corner, about the centroid.
    normalized : (n, 4, 4)
        ``central / area^((p + q) / 2 + 1)``; NaN where ``p + q < 2``.
    hu : (n, 7)
        Hu's invariants.
    inertia : (n, 2, 2)
        Inertia tensor per pixel: ``[[μ02, -μ11], [-μ11, μ20]] / area``.
    eigenvalues : (n, 2)
        Of the inertia tensor, largest first, never negative.
    """

    raw: FloatArray
    central: FloatArray
    normalized: FloatArray
    hu: FloatArray
    inertia: FloatArray
    eigenvalues: FloatArray


def centroids(index: LabelIndex) -> FloatArray:
    """Mean ``(y, x)`` of the pixels of every object, float64 (n, 2)."""
    centroid: FloatArray = _centroids(index.run_offsets, index.runs)
    return centroid


def moments(index: LabelIndex) -> Moments:
    """Moments up to ``p, q = 3`` of every object of ``index``."""
    area = np.diff(index.offsets).astype(np.float64)
    raw, central = _central_moments(index.run_offsets, index.runs, index.bbox)

    normalized = np.full_like(central, np.nan)
    for p in range(4):
        for q in range(4):
            if p + q >= 2:
                normalized[:, p, q] = central[:, p, q] / area ** ((p + q) / 2 + 1)

    inertia = np.empty((len(area), 2, 2))
    inertia[:, 0, 0] = central[:, 0, 2] / area
    inertia[:, 0, 1] = inertia[:, 1, 0] = -central[:, 1, 1] / area
    inertia[:, 1, 1] = central[:, 2, 0] / area
    middle = (inertia[:, 0, 0] + inertia[:, 1, 1]) / 2
    spread = np.hypot((inertia[:, 0, 0] - inertia[:, 1, 1]) / 2, inertia[:, 0, 1])
    eigenvalues = np.maximum(np.stack([middle + spread, middle - spread], axis=1), 0.0)
    return Moments(
        raw=raw,
        central=central,
        normalized=normalized,
        hu=_hu_invariants(normalized),
        inertia=inertia,
        eigenvalues=eigenvalues,
    )


def _hu_invariants(normalized: FloatArray) -> FloatArray:
    """Hu's seven invariants in his order, from the normalized moments (n, 4, 4)."""
    n20, n02, n11 = normalized[:, 2, 0], normalized[:, 0, 2], normalized[:, 1, 1]
    n30, n03, n21, n12 = (normalized[:, p, q] for p, q in ((3, 0), (0, 3), (2, 1), (1, 2)))
    a, b = n30 + n12, n21 + n03
    c, d = n30 - 3 * n12, 3 * n21 - n03
    return np.stack(
        [
            n20 + n02,
            (n20 - n02) ** 2 + 4 * n11**2,
            c**2 + d**2,
            a**2 + b**2,
            c * a * (a**2 - 3 * b**2) + d * b * (3 * a**2 - b**2),
            (n20 - n02) * (a**2 - b**2) + 4 * n11 * a * b,
            d * a * (a**2 - 3 * b**2) - c * b * (3 * a**2 - b**2),
        ],
        axis=1,
    )


@kernel
def _sum_of_powers(n: int) -> tuple[int, int, int, int]:
    """Σ x^k over 0 ≤ x < n for k = 0 … 3; as polynomials they hold for negative n too (differences give any run)."""
    triangle = n * (n - 1) // 2
    return n, triangle, n * (n - 1) * (2 * n - 1) // 6, triangle * triangle


@kernel
def _shift(about: FloatArray, dy: float, dx: float, out: FloatArray) -> None:
    """Moments about a point moved by ``(dy, dx)``, by the binomial theorem."""
    binomial = ((1.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0), (1.0, 2.0, 1.0, 0.0), (1.0, 3.0, 3.0, 1.0))
    half = np.zeros((4, 4))
    for p in range(4):
        for j in range(4):
            power = 1.0
            for i in range(p, -1, -1):
                half[p, j] += binomial[p][i] * power * about[i, j]
                power *= -dy
    for p in range(4):
        for q in range(4):
            total, power = 0.0, 1.0
            for j in range(q, -1, -1):
                total += binomial[q][j] * power * half[p, j]
                power *= -dx
            out[p, q] = total


@kernel
def _coordinate_sums(runs: Int32Array) -> tuple[int, int, int]:
    """Count the pixels, Σ y and 2 Σ x of the runs of one object."""
    area, sum_y, twice_sum_x = 0, 0, 0
    for i in range(runs.shape[0]):
        length = int(runs[i, 2] - runs[i, 1])
        area += length
        sum_y += int(runs[i, 0]) * length
        twice_sum_x += int(runs[i, 1] + runs[i, 2] - 1) * length
    return area, sum_y, twice_sum_x


@kernel
def _centroids(run_offsets: Int64Array, runs: Int32Array) -> FloatArray:
    n = run_offsets.shape[0] - 1
    centroid = np.empty((n, 2))
    for k in range(n):
        area, sum_y, twice_sum_x = _coordinate_sums(runs[run_offsets[k] : run_offsets[k + 1]])
        centroid[k, 0] = sum_y / area
        centroid[k, 1] = twice_sum_x / (2 * area)
    return centroid


@kernel
def _central_moments(run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array) -> tuple[FloatArray, FloatArray]:
    n = bbox.shape[0]
    raw = np.empty((n, 4, 4))
    central = np.empty((n, 4, 4))
    about = np.empty((4, 4))
    for k in range(n):
        own = runs[run_offsets[k] : run_offsets[k + 1]]
        area, sum_y, twice_sum_x = _coordinate_sums(own)
        near_y = np.int64(math.floor(sum_y / area + 0.5))
        near_x = np.int64(math.floor(twice_sum_x / (2 * area) + 0.5))
        about[:] = 0.0
        for i in range(own.shape[0]):
            low = _sum_of_powers(own[i, 1] - near_x)
            high = _sum_of_powers(own[i, 2] - near_x)
            y = float(own[i, 0] - near_y)
            power = 1.0
            for p in range(4):
                about[p, 0] += power * (high[0] - low[0])
                about[p, 1] += power * (high[1] - low[1])
                about[p, 2] += power * (high[2] - low[2])
                about[p, 3] += power * (high[3] - low[3])
                power *= y
        _shift(about, float(bbox[k, 0] - near_y), float(bbox[k, 1] - near_x), raw[k])
        # The way to the centroid comes from the whole-number sums, not from the difference of two rounded floats.
        to_y = (sum_y - near_y * area) / area
        to_x = (twice_sum_x - 2 * near_x * area) / (2 * area)
        _shift(about, to_y, to_x, central[k])
    return raw, central
