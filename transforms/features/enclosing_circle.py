"""The smallest circle round the pixel centres of each object.

J. Elzinga, D. W. Hearn, "Geometrical solutions for some minimax location problems", Transportation Science 6 (1972)
379-394: a circle through two or three points grows until no point lies outside, each time taking in the farthest one.
Only corners of the convex hull can lie on the circle. All coordinates are whole numbers counted from the object's
bounding box, so that centre and radius are right to the last digits and the same wherever the object lies.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from .hull import centre_polygon, outermost
from .label_index import Int32Array, Int64Array, LabelIndex

FloatArray = NDArray[np.float64]

#: A point this much outside (of the squared radius) is on the circle: some thousand times what rounding can do.
_ON_THE_CIRCLE = 1 + 1e-12


def enclosing_circles(index: LabelIndex) -> FloatArray:
    """Smallest circle round the pixel centres of every object.

    Returns
    -------
    float64 (n, 3)
        ``(y, x, radius)`` in pixels, the centre counted from the corner of the bounding box; radius 0 for one pixel.
    """
    circles: FloatArray = _enclosing_circles(index.run_offsets, index.runs, index.bbox)
    return circles


@kernel
def _through_two(ay: int, ax: int, by: int, bx: int) -> tuple[float, float, float]:
    """Circle with the diameter ab, as ``(y, x, squared radius)``."""
    return (ay + by) / 2, (ax + bx) / 2, ((ay - by) * (ay - by) + (ax - bx) * (ax - bx)) / 4


@kernel
def _through_three(ay: int, ax: int, by: int, bx: int, cy: int, cx: int) -> tuple[float, float, float]:
    """Circle through three points, as ``(y, x, squared radius)``; infinite where they lie on a line."""
    by, bx, cy, cx = by - ay, bx - ax, cy - ay, cx - ax
    twice_cross = 2 * (by * cx - bx * cy)
    if twice_cross == 0:
        return 0.0, 0.0, math.inf
    bb, cc = by * by + bx * bx, cy * cy + cx * cx
    dy, dx = (cx * bb - bx * cc) / twice_cross, (by * cc - cy * bb) / twice_cross
    return ay + dy, ax + dx, dy * dy + dx * dx


@kernel
def _outside(y: float, x: float, squared: float, points: Int64Array) -> int:
    """Which of the points lies farthest outside a circle; -1 if none does."""
    farthest, at = squared * _ON_THE_CIRCLE, -1
    for i in range(points.shape[0]):
        dy, dx = points[i, 0] - y, points[i, 1] - x
        distance = dy * dy + dx * dx
        if distance > farthest:
            farthest, at = distance, i
    return at


@kernel
def _circle_round(polygon: Int64Array, support: Int64Array) -> tuple[float, float, float]:
    """Smallest circle round points, as ``(y, x, squared radius)``; ``support`` (3, 2) is work space."""
    y, x, squared = float(polygon[0, 0]), float(polygon[0, 1]), 0.0
    support[0, 0], support[0, 1] = polygon[0, 0], polygon[0, 1]
    size = 1
    while True:
        new = _outside(y, x, squared, polygon)
        if new < 0:
            return y, x, squared
        # The smallest circle round the points that held the last one and the new point, which is on it.
        new_y, new_x = polygon[new, 0], polygon[new, 1]
        before, squared = squared, math.inf
        one, two = 0, 0
        for i in range(size):
            for j in range(i, size):
                if i == j:
                    circle = _through_two(new_y, new_x, support[i, 0], support[i, 1])
                else:
                    circle = _through_three(new_y, new_x, support[i, 0], support[i, 1], support[j, 0], support[j, 1])
                if circle[2] < squared and _outside(circle[0], circle[1], circle[2], support[:size]) < 0:
                    y, x, squared = circle
                    one, two = i, j
        if squared <= before:  # it only grows, but for rounding
            return y, x, squared
        size = 2 if one == two else 3
        first_y, first_x = support[one, 0], support[one, 1]
        support[2, 0], support[2, 1] = support[two, 0], support[two, 1]
        support[1, 0], support[1, 1] = first_y, first_x
        support[0, 0], support[0, 1] = new_y, new_x


@kernel
def _enclosing_circles(run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array) -> FloatArray:
    n = bbox.shape[0]
    circles = np.empty((n, 3))
    tallest = 0
    for k in range(n):
        tallest = max(tallest, bbox[k, 2] - bbox[k, 0])
    left_side, right_side = np.empty(tallest, np.int64), np.empty(tallest, np.int64)
    left_chain, right_chain = np.empty((2 * tallest + 1, 2), np.int64), np.empty((2 * tallest + 1, 2), np.int64)
    polygon = np.empty((2 * tallest, 2), np.int64)
    support = np.empty((3, 2), np.int64)
    for k in range(n):
        left, right = left_side[: bbox[k, 2] - bbox[k, 0]], right_side[: bbox[k, 2] - bbox[k, 0]]
        outermost(runs[run_offsets[k] : run_offsets[k + 1]], bbox[k, 0], bbox[k, 1], left, right)
        size = centre_polygon(left, right, left_chain, right_chain, polygon)
        y, x, squared = _circle_round(polygon[:size], support)
        circles[k, 0], circles[k, 1], circles[k, 2] = y, x, math.sqrt(squared)
    return circles
