"""Largest, mean and median distance of an object's pixels to the nearest pixel outside it.

Squared distances are whole numbers, so one histogram gives maximum, mean and median. Neighbouring objects and whatever
lies beyond the image count as outside, as in CellProfiler.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from .edge_distance import column_distances, row_distances
from .label_index import Int32Array, Int64Array, LabelIndex

FloatArray = NDArray[np.float64]


def radii(index: LabelIndex) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Maximum, mean and median radius of each object in pixels, float64 (n,) each."""
    largest, mean, median = _radii(index.run_offsets, index.runs, index.bbox)
    return largest, mean, median


@kernel
def _radii(run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array) -> tuple[FloatArray, FloatArray, FloatArray]:
    n = bbox.shape[0]
    largest, mean, median = np.empty(n), np.empty(n), np.empty(n)
    most_cells, widest, deepest = 0, 0, 0
    for k in range(n):
        height, width = bbox[k, 2] - bbox[k, 0], bbox[k, 3] - bbox[k, 1]
        most_cells = max(most_cells, (height + 2) * width)
        widest = max(widest, width)
        deepest = max(deepest, (min(height, width) + 1) // 2)
    columns_of_largest = np.empty(most_cells, np.int32)
    best = np.empty(widest, np.int64)
    sites, starts = np.empty(widest + 2, np.int32), np.empty(widest + 2, np.int32)
    counts = np.zeros(deepest * deepest + 1, np.int64)
    for k in range(n):
        first, last = run_offsets[k], run_offsets[k + 1]
        y0, x0 = bbox[k, 0] - 1, bbox[k, 1]
        height, width = bbox[k, 2] - y0 + 1, bbox[k, 3] - x0
        to_edge = columns_of_largest[: height * width].reshape((height, width))
        column_distances(runs[first:last], y0, x0, 0, 0, to_edge)
        farthest = 0
        for i in range(first, last):
            length = runs[i, 2] - runs[i, 1]
            start = runs[i, 1] - x0
            row_distances(to_edge[runs[i, 0] - y0, start : start + length], 0, 0, best[:length], sites, starts)
            for x in range(length):
                counts[best[x]] += 1
                farthest = max(farthest, best[x])
        largest[k] = math.sqrt(farthest)
        mean[k], median[k] = _mean_and_median(counts[: farthest + 1])
        counts[: farthest + 1] = 0
    return largest, mean, median


@kernel
def _mean_and_median(counts: Int64Array) -> tuple[float, float]:
    """Of √d² over a histogram of squared distances; the median of an even number is the mean of the middle two."""
    total = 0
    weighted = 0.0
    for squared in range(counts.shape[0]):
        total += counts[squared]
        weighted += counts[squared] * math.sqrt(squared)
    lower, upper = -1, -1
    seen = 0
    for squared in range(counts.shape[0]):
        seen += counts[squared]
        if lower < 0 and seen > (total - 1) // 2:
            lower = squared
        if upper < 0 and seen > total // 2:
            upper = squared
            break
    return weighted / total, (math.sqrt(lower) + math.sqrt(upper)) / 2
