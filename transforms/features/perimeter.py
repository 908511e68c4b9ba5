"""Perimeter and Euler number of each object.

Perimeter is scikit-image's estimator, which CellProfiler uses: the object's border pixels (those with a 4-neighbour
outside) are weighted by how they continue. K. Benkrid, D. Crookes, "Design and FPGA implementation of a perimeter
estimator", Queen's University of Belfast.

The Euler number (parts minus holes, parts 8-connected) is counted on runs: pixels are closed squares, so a row adds
one per run and a pair of runs that touch across two rows, corners included, takes one away (inclusion and exclusion).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from .label_index import Int32Array, Int64Array, LabelIndex

FloatArray = NDArray[np.float64]


def perimeter(index: LabelIndex) -> FloatArray:
    """Length of each object's outline in pixels, float64 (n,); 0 for a single pixel."""
    return _perimeter(index.run_offsets, index.runs, index.bbox, _border_weights())


def euler_number(index: LabelIndex) -> FloatArray:
    """Parts minus holes of each object with 8-connected parts, float64 (n,)."""
    return _euler_number(index.run_offsets, index.runs)


def _border_weights() -> FloatArray:
    """Length that a border pixel stands for, by 1 + 2 × (border 4-neighbours) + 10 × (border diagonal neighbours)."""
    weights = np.zeros(50)
    weights[[5, 7, 15, 17, 25, 27]] = 1.0
    weights[[21, 33]] = math.sqrt(2)
    weights[[13, 23]] = (1 + math.sqrt(2)) / 2
    return weights


@kernel
def _perimeter(run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array, weights: FloatArray) -> FloatArray:
    n = bbox.shape[0]
    out = np.empty(n)
    tallest, widest = 0, 0
    for k in range(n):
        tallest = max(tallest, bbox[k, 2] - bbox[k, 0])
        widest = max(widest, bbox[k, 3] - bbox[k, 1])
    # One pixel of background all round, so that neighbours need no test for the edge of the crop.
    mask_of_largest = np.empty((tallest + 2) * (widest + 2), np.uint8)
    border_of_largest = np.empty((tallest + 2) * (widest + 2), np.uint8)
    histogram = np.empty(50, np.int64)
    for k in range(n):
        y0, x0 = bbox[k, 0] - 1, bbox[k, 1] - 1
        height, width = bbox[k, 2] - bbox[k, 0] + 2, bbox[k, 3] - bbox[k, 1] + 2
        mask = mask_of_largest[: height * width].reshape((height, width))
        border = border_of_largest[: height * width].reshape((height, width))
        mask[:] = 0
        border[:] = 0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            mask[runs[i, 0] - y0, runs[i, 1] - x0 : runs[i, 2] - x0] = 1
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                inside = mask[y - 1, x] & mask[y + 1, x] & mask[y, x - 1] & mask[y, x + 1]
                border[y, x] = mask[y, x] & (inside ^ 1)
        histogram[:] = 0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            y = runs[i, 0] - y0
            for x in range(runs[i, 1] - x0, runs[i, 2] - x0):
                if border[y, x]:
                    straight = border[y - 1, x] + border[y + 1, x] + border[y, x - 1] + border[y, x + 1]
                    diagonal = border[y - 1, x - 1] + border[y - 1, x + 1] + border[y + 1, x - 1] + border[y + 1, x + 1]
                    histogram[1 + 2 * straight + 10 * diagonal] += 1
        total = 0.0
        for code in range(50):
            total += histogram[code] * weights[code]
        out[k] = total
    return out


@kernel
def _euler_number(run_offsets: Int64Array, runs: Int32Array) -> FloatArray:
    n = run_offsets.shape[0] - 1
    out = np.empty(n)
    for k in range(n):
        first, last = run_offsets[k], run_offsets[k + 1]
        touching = 0
        above = first  # walks the previous row beside the current one
        for i in range(first, last):
            y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2]
            while runs[above, 0] < y - 1 or (runs[above, 0] == y - 1 and runs[above, 2] < start):
                above += 1
            j = above
            while runs[j, 0] == y - 1 and runs[j, 1] <= stop:
                touching += 1
                j += 1
        out[k] = (last - first) - touching
    return out
