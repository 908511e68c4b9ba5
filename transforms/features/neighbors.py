"""Neighbours of each object: how many are near, how much of its outline they touch, and the two nearest centres.

Two objects are neighbours within a distance when a pixel of one lies within that distance of a pixel of the other.
Only the outline of an object needs to look round, and it looks at the stretches of objects in the rows about it, not
at pixels. The nearest centres come from a k-d tree. Definitions: CellProfiler 4, MeasureObjectNeighbors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only
from .expansion import numbered
from .label_index import Int32Array, Int64Array, LabelIndex, find_runs
from .moments import centroids

FloatArray = NDArray[np.float64]

#: Centres whose distances differ by less than this share are equally near: the one with the smaller label counts.
_EQUALLY_NEAR = 1 + 1e-9


def near_objects(index: LabelIndex, distance: int) -> tuple[FloatArray, FloatArray]:
    """Count neighbours within a distance, and the share of the outline that they touch.

    Parameters
    ----------
    index
        The objects.
    distance
        In pixels, 1 for objects that share an edge.

    Returns
    -------
    number : float64 (n,)
        Other objects with a pixel at most ``distance`` from a pixel of this one.
    touching : float64 (n,)
        Percentage of the outline (pixels with another value among their eight neighbours, or at the image's border)
        that lies at most ``distance + 0.5`` from a pixel of another object.
    """
    objects = numbered(index)
    row_runs, run_objects = find_runs(objects)
    rows = np.searchsorted(row_runs[:, 0], np.arange(index.shape[0] + 1))
    offsets = np.arange(distance + 1)
    reach = np.sqrt(distance**2 - offsets**2).astype(np.int64)
    touch = np.sqrt((distance + 0.5) ** 2 - offsets**2).astype(np.int64)
    number, touching = _near_objects(
        read_only(_outlines(objects)),
        index.run_offsets,
        index.runs,
        read_only(rows),
        read_only(row_runs),
        read_only(run_objects),
        read_only(reach),
        read_only(touch),
    )
    return number, touching


def closest(index: LabelIndex) -> FloatArray:
    """Find the two objects with the nearest centroids.

    Returns
    -------
    float64 (n, 5)
        Label and distance (pixels) of the nearest, label and distance of the second nearest, and the angle between
        the ways to the two (degrees, 0 … 180); NaN where there are not so many objects, and the angle where one of
        the distances is 0.
    """
    n = len(index)
    out = np.full((n, 5), np.nan)
    if n < 2:
        return out
    centre = centroids(index)
    nearest = _two_nearest(centre)
    ways = centre[nearest] - centre[:, None]
    lengths = np.hypot(ways[..., 0], ways[..., 1])
    for i in range(nearest.shape[1]):
        out[:, 2 * i] = index.object_ids[nearest[:, i]]
        out[:, 2 * i + 1] = lengths[:, i]
    if nearest.shape[1] == 2:
        one, other = ways[:, 0], ways[:, 1]
        cross = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
        angle = np.degrees(np.arctan2(np.abs(cross), (one * other).sum(axis=1)))
        out[:, 4] = np.where(lengths.min(axis=1) > 0, angle, np.nan)
    return out


def _two_nearest(centre: FloatArray) -> Int64Array:
    """Give the nearest and second nearest other point of each of n points, int64 (n, 2), or (2, 1) for two points."""
    from scipy.spatial import KDTree

    n = len(centre)
    wanted = min(2, n - 1)
    tree = KDTree(centre)
    found = np.empty((n, wanted), np.int64)
    rows = np.arange(n)
    asked = 6  # the point itself, two others, and room for some that are equally near
    while len(rows):
        asked = min(asked, n)
        answer = tree.query(centre[rows], k=asked)
        distance, other = np.asarray(answer[0]), np.asarray(answer[1])
        distance[other == rows[:, None]] = np.inf
        order = np.argsort(other, axis=1)  # by label
        distance, other = np.take_along_axis(distance, order, axis=1), np.take_along_axis(other, order, axis=1)
        farthest = np.where(np.isfinite(distance), distance, 0).max(axis=1)
        for i in range(wanted):
            least = distance.min(axis=1, keepdims=True)
            at = np.argmax(distance <= least * _EQUALLY_NEAR, axis=1)
            found[rows, i] = other[np.arange(len(rows)), at]
            distance[np.arange(len(rows)), at] = np.inf
        # Points beyond those asked for may be as near as the last one found.
        rows = rows[(least[:, 0] * _EQUALLY_NEAR >= farthest) & (asked < n)]
        asked *= 4
    return found


@kernel
def _outlines(objects: Int32Array) -> NDArray[np.uint8]:
    """1 for pixels with another value among their eight neighbours, or at the image's border; uint8 (y, x)."""
    height, width = objects.shape
    outline = np.ones((height, width), np.uint8)
    for y in range(1, height - 1):
        own, out = objects[y, 1:-1], outline[y, 1:-1]
        left, right = objects[y, :-2], objects[y, 2:]
        for x in range(width - 2):
            out[x] = (left[x] != own[x]) | (right[x] != own[x])
        for beside in (y - 1, y + 1):
            left, middle, right = objects[beside, :-2], objects[beside, 1:-1], objects[beside, 2:]
            for x in range(width - 2):
                out[x] |= (left[x] != own[x]) | (middle[x] != own[x]) | (right[x] != own[x])
    return outline


@kernel
def _first_run_after(row_runs: Int32Array, first: int, last: int, x: int) -> int:
    """First of the runs ``first … last`` of a row that ends right of column x."""
    while first < last:
        middle = (first + last) // 2
        if row_runs[middle, 2] > x:
            last = middle
        else:
            first = middle + 1
    return first


@kernel
def _near_objects(
    outlines: NDArray[np.uint8],
    run_offsets: Int64Array,
    runs: Int32Array,
    rows: Int64Array,
    row_runs: Int32Array,
    run_objects: Int32Array,
    reach: Int64Array,
    touch: Int64Array,
) -> tuple[FloatArray, FloatArray]:
    """Count neighbours and the percentage of outline pixels touched.

    ``row_runs[rows[y]:rows[y + 1]]`` are the runs of row y from left to right; ``reach[|dy|]`` and ``touch[|dy|]`` are
    how far to the sides another object counts as a neighbour, and as touching, in a row dy away.
    """
    n, height, distance = run_offsets.shape[0] - 1, outlines.shape[0], reach.shape[0] - 1
    number, touching = np.zeros(n), np.zeros(n)
    last_seen_by = np.full(n + 1, -1, np.int64)
    next_run = np.zeros(2 * distance + 1, np.int64)
    for k in range(n):
        outline, touched = 0, 0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            y, start, stop = np.int64(runs[i, 0]), np.int64(runs[i, 1]), np.int64(runs[i, 2])
            on_outline = outlines[y]
            top, bottom = max(y - distance, 0), min(y + distance, height - 1)
            for row in range(top, bottom + 1):
                left = start - touch[abs(row - y)] - 1
                next_run[row - top] = _first_run_after(row_runs, rows[row], rows[row + 1], left)
            for x in range(start, stop):
                if not on_outline[x]:
                    continue
                outline += 1
                touches = False
                for row in range(top, bottom + 1):
                    near, wide = reach[abs(row - y)], touch[abs(row - y)]
                    at, end = next_run[row - top], rows[row + 1]
                    while at < end and row_runs[at, 2] <= x - wide:
                        at += 1
                    next_run[row - top] = at
                    while at < end and row_runs[at, 1] <= x + wide:
                        other = run_objects[at]
                        if other != k + 1:
                            touches = True
                            aside = max(row_runs[at, 1] - x, x - row_runs[at, 2] + 1)
                            if aside <= near and last_seen_by[other] != k:
                                last_seen_by[other] = k
                                number[k] += 1
                        at += 1
                touched += touches
        touching[k] = 100 * touched / outline
    return number, touching
