"""Largest, mean and median distance of an object's pixels to the nearest pixel outside it.

The exact squared Euclidean distance is separable: first the distance inside each column, then along each row the
least of (column distance)² + (step)². Pixels beyond the end of a run are farther than the end itself, so rows split
into runs. Along a run the least of many parabolas is found in one pass each way: A. Meijster, J. Roerdink,
W. Hesselink, "A general algorithm for computing distance transforms in linear time", 2000. Squared distances are whole
numbers, so one histogram gives maximum, mean and median.

Neighbouring objects and whatever lies beyond the image count as outside, as in CellProfiler.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
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
    best = np.empty(widest, np.int32)
    sites, starts = np.empty(widest + 2, np.int32), np.empty(widest + 2, np.int32)
    counts = np.zeros(deepest * deepest + 1, np.int64)
    for k in range(n):
        first, last = run_offsets[k], run_offsets[k + 1]
        y0, x0 = bbox[k, 0] - 1, bbox[k, 1]
        height, width = bbox[k, 2] - y0 + 1, bbox[k, 3] - x0
        to_edge = columns_of_largest[: height * width].reshape((height, width))
        _column_distances(runs[first:last], y0, x0, to_edge)
        farthest = 0
        for i in range(first, last):
            length = runs[i, 2] - runs[i, 1]
            start = runs[i, 1] - x0
            _row_distances(to_edge[runs[i, 0] - y0, start : start + length], best[:length], sites, starts)
            for x in range(length):
                counts[best[x]] += 1
                farthest = max(farthest, best[x])
        largest[k] = math.sqrt(farthest)
        mean[k], median[k] = _mean_and_median(counts[: farthest + 1])
        counts[: farthest + 1] = 0
    return largest, mean, median


@kernel
def _column_distances(runs: Int32Array, y0: int, x0: int, out: Int32Array) -> None:
    """Distance of each object pixel to the nearest outside pixel of its column; 0 outside.

    The first and last row of ``out`` are outside the object.
    """
    height, width = out.shape
    out[:] = 0
    for i in range(runs.shape[0]):
        y = runs[i, 0] - y0
        for x in range(runs[i, 1] - x0, runs[i, 2] - x0):
            out[y, x] = out[y - 1, x] + 1
    for y in range(height - 2, 0, -1):
        for x in range(width):
            out[y, x] = min(out[y, x], out[y + 1, x] + 1)


@kernel
def _row_distances(to_edge: Int32Array, best: Int32Array, sites: Int32Array, starts: Int32Array) -> None:
    """Squared distance to the outside of each pixel of one run, from the column distances of the run.

    ``sites[t]`` is the column whose outside pixel is nearest from column ``starts[t]`` on. The pixels just before and
    just after the run are outside: distance 0, at columns -1 and ``length``.
    """
    length = to_edge.shape[0]
    sites[0], starts[0] = -1, 0
    top, of_top = 0, 0
    for column in range(length + 1):
        here = to_edge[column] if column < length else 0
        while True:
            # The first column at which `column` is nearer than the site on top: where the two parabolas cross.
            between = here * here + column * column - of_top * of_top - sites[top] * sites[top]
            start = between // (2 * (column - sites[top])) + 1
            if top == 0 or start > starts[top]:
                break
            top -= 1
            of_top = to_edge[sites[top]] if top > 0 else 0
        if start < length:
            top += 1
            sites[top], starts[top] = column, max(start, 0)
            of_top = here
    stop = length
    for t in range(top, -1, -1):
        site = sites[t]
        of_site = to_edge[site] if 0 <= site < length else 0
        for x in range(starts[t], stop):
            best[x] = (x - site) * (x - site) + of_site * of_site
        stop = starts[t]


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
