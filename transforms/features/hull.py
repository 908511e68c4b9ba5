"""Convex area and Feret diameters of each object, from the two sides of its convex hull.

A hull is kept as two chains, left and right, each one point per kept row from top to bottom; the right chain is the
left chain of the mirrored object, so one function serves both sides. All coordinates are whole numbers, so which
pixels lie in the hull is decided exactly.

Convex area follows scikit-image (and CellProfiler): the hull of the middles of the pixels' four edges, counted in
pixel centres, outline included. Feret diameters follow CellProfiler: the hull of the pixel centres.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from .label_index import Int32Array, Int64Array, LabelIndex

FloatArray = NDArray[np.float64]

#: First column of a row that has no pixel of the object: right of every column.
_NO_PIXEL = 1 << 40


def hull_measures(index: LabelIndex) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Convex area (pixels), smallest and largest Feret diameter (pixels) of each object, float64 (n,) each.

    Both diameters are distances between pixel centres: 0 for a single pixel, and the smallest is 0 for a straight
    line.
    """
    area, smallest, largest = _hull_measures(index.run_offsets, index.runs, index.bbox)
    return area, smallest, largest


@kernel
def outermost(runs: Int32Array, y0: int, x0: int, left: Int64Array, right: Int64Array) -> None:
    """First and (negated) last column of each row of a crop; ``_NO_PIXEL`` for rows without one."""
    left[:] = _NO_PIXEL
    right[:] = _NO_PIXEL
    for i in range(runs.shape[0]):
        y = runs[i, 0] - y0
        left[y] = min(left[y], np.int64(runs[i, 1] - x0))
        right[y] = min(right[y], -np.int64(runs[i, 2] - 1 - x0))


@kernel
def _append(chain: Int64Array, size: int, y: int, x: int) -> int:
    """Add the next point downwards to a left chain, dropping the points that it makes concave; the new size."""
    while size >= 2:
        before_y, before_x = chain[size - 2, 0], chain[size - 2, 1]
        last_y, last_x = chain[size - 1, 0], chain[size - 1, 1]
        if (last_x - before_x) * (y - before_y) < (x - before_x) * (last_y - before_y):
            break
        size -= 1
    chain[size, 0], chain[size, 1] = y, x
    return size + 1


@kernel
def _centre_chain(side: Int64Array, chain: Int64Array) -> int:
    """Left chain of the pixel centres, ``(row, column)``."""
    size = 0
    for y in range(side.shape[0]):
        if side[y] < _NO_PIXEL:
            size = _append(chain, size, y, side[y])
    return size


@kernel
def centre_polygon(
    left: Int64Array, right: Int64Array, left_chain: Int64Array, right_chain: Int64Array, polygon: Int64Array
) -> int:
    """Hull of the pixel centres as one polygon of ``(row, column)``, down the left side and up the right; its size.

    ``left`` and ``right`` are those of :func:`outermost`; the chains are work space. The first and last vertex of the
    two sides are given twice where they are the same point.
    """
    size = _centre_chain(left, left_chain)
    for i in range(size):
        polygon[i, 0], polygon[i, 1] = left_chain[i, 0], left_chain[i, 1]
    for i in range(_centre_chain(right, right_chain) - 1, -1, -1):
        polygon[size, 0], polygon[size, 1] = right_chain[i, 0], -right_chain[i, 1]
        size += 1
    return size


@kernel
def _edge_chain(side: Int64Array, chain: Int64Array) -> int:
    """Left chain of the middles of the pixels' edges, in doubled coordinates: pixel (y, x) is at (2y, 2x)."""
    size = 0
    rows = side.shape[0]
    for y in range(rows + 1):
        above = side[y - 1] if y > 0 else _NO_PIXEL
        here = side[y] if y < rows else _NO_PIXEL
        if min(above, here) < _NO_PIXEL:
            size = _append(chain, size, 2 * y - 1, 2 * min(above, here))
        if here < _NO_PIXEL:
            size = _append(chain, size, 2 * y, 2 * here - 1)
    return size


@kernel
def _first_columns(chain: Int64Array, size: int, columns: Int64Array) -> None:
    """First pixel column of every row at or right of a doubled left chain."""
    edge = 0
    for y in range(columns.shape[0]):
        while edge + 2 < size and chain[edge + 1, 0] < 2 * y:
            edge += 1
        top_y, top_x = chain[edge, 0], chain[edge, 1]
        drop = chain[edge + 1, 0] - top_y
        # ceil((top_x + (next_x - top_x) * (2y - top_y) / drop) / 2), in whole numbers
        numerator = top_x * drop + (chain[edge + 1, 1] - top_x) * (2 * y - top_y)
        columns[y] = -((-numerator) // (2 * drop))


@kernel
def _width_across(polygon: Int64Array, size: int, i: int, j: int) -> float:
    """Extent of the polygon across its edge from vertex i to vertex j; inf where the edge has no length."""
    dy, dx = polygon[j, 0] - polygon[i, 0], polygon[j, 1] - polygon[i, 1]
    if dy == 0 and dx == 0:
        return math.inf
    farthest = 0
    for v in range(size):
        farthest = max(farthest, abs(dy * (polygon[v, 1] - polygon[i, 1]) - dx * (polygon[v, 0] - polygon[i, 0])))
    return farthest / math.sqrt(dy * dy + dx * dx)


@kernel
def _feret(polygon: Int64Array, size: int) -> tuple[float, float]:
    """Smallest and largest distance between parallel tangents of a convex polygon."""
    longest = 0
    for i in range(size):
        for j in range(i):
            dy, dx = polygon[i, 0] - polygon[j, 0], polygon[i, 1] - polygon[j, 1]
            longest = max(longest, dy * dy + dx * dx)
    narrowest = math.inf
    for i in range(size):  # the narrowest strip lies along an edge
        narrowest = min(narrowest, _width_across(polygon, size, i, (i + 1) % size))
    return (narrowest if longest > 0 else 0.0), math.sqrt(longest)


@kernel
def _hull_measures(
    run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array
) -> tuple[FloatArray, FloatArray, FloatArray]:
    n = bbox.shape[0]
    area, smallest, largest = np.empty(n), np.empty(n), np.empty(n)
    tallest = 0
    for k in range(n):
        tallest = max(tallest, bbox[k, 2] - bbox[k, 0])
    left_side, right_side = np.empty(tallest, np.int64), np.empty(tallest, np.int64)
    left_columns, right_columns = np.empty(tallest, np.int64), np.empty(tallest, np.int64)
    left_chain, right_chain = np.empty((2 * tallest + 1, 2), np.int64), np.empty((2 * tallest + 1, 2), np.int64)
    polygon = np.empty((2 * tallest, 2), np.int64)
    for k in range(n):
        rows = bbox[k, 2] - bbox[k, 0]
        left, right = left_side[:rows], right_side[:rows]
        outermost(runs[run_offsets[k] : run_offsets[k + 1]], bbox[k, 0], bbox[k, 1], left, right)

        _first_columns(left_chain, _edge_chain(left, left_chain), left_columns[:rows])
        _first_columns(right_chain, _edge_chain(right, right_chain), right_columns[:rows])
        pixels = 0
        for y in range(rows):
            pixels += 1 - left_columns[y] - right_columns[y]
        area[k] = pixels

        size = centre_polygon(left, right, left_chain, right_chain, polygon)
        smallest[k], largest[k] = _feret(polygon, size)
    return area, smallest, largest
