"""Splitting objects that are no ellipse but two: where they narrow, or where the image dips between two bright parts.

An object is split when both parts together are clearly closer to ellipses than the whole is, or closer at all where it
has a neck. The parts are looked for twice: in the distance to the object's edge, and in that distance times the
brightness above the object's lowest pixel.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..jit import kernel, read_only
from .blurring import convolved, gaussian_taps
from .planes import Plane

Labels = npt.NDArray[np.int32]

_ROUND = 0.985  # ellipse ratio from which an object is one
_NECK = 0.8  # of the lesser half-width of two parts, both blurred: from here down their object is two
_GAIN = 0.04  # least gain of ellipse ratio by a split
_DISTANCE_BLUR = 0.2  # of the object's greatest distance to its edge
_IMAGE_BLUR = 0.25
_SMALLEST_PART = 0.15  # of the object
_MOST_SPLITS = 8  # tries for one object
_MOST_BASINS = 64


def split_lobes(plane: Plane, labels: Labels, smallest: float) -> Labels:
    """Split objects into two as long as that makes ellipses of them.

    Parameters
    ----------
    plane
        float32 (y, x), the image.
    labels
        int32 (y, x), numbered 1 … n without gaps.
    smallest
        Least area of a part in pixels.

    Returns
    -------
    ndarray
        int32 (y, x), numbered without gaps: new parts behind the objects there were.
    """
    return _split_all(read_only(plane), read_only(labels), int(labels.max(initial=0)), float(smallest))


@kernel
def _split_all(
    plane: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], count: int, smallest: float
) -> npt.NDArray[np.int32]:
    result = labels.copy()
    boxes = _boxes(labels, count)
    following = count + 1
    for label in range(1, count + 1):
        y0, y1, x0, x1 = boxes[label]
        if y0 > y1:
            continue
        # A frame of one pixel is outside the object.
        part = np.zeros((y1 - y0 + 3, x1 - x0 + 3), np.int32)
        image = np.empty(part.shape, np.float32)
        for y in range(part.shape[0]):
            for x in range(part.shape[1]):
                yy = min(max(y0 - 1 + y, y0), y1)
                xx = min(max(x0 - 1 + x, x0), x1)
                image[y, x] = plane[yy, xx]
                if yy == y0 - 1 + y and xx == x0 - 1 + x and labels[yy, xx] == label:
                    part[y, x] = 1
        # Parts 1 … found of which those from `waiting` on have not been tried; each try takes the last one.
        found = 1
        waiting = np.empty(2 * _MOST_SPLITS + 2, np.int32)
        waiting[0] = 1
        n_waiting = 1
        for _ in range(_MOST_SPLITS):
            if not n_waiting:
                break
            n_waiting -= 1
            tried = waiting[n_waiting]
            mask = np.empty(part.shape, np.bool_)
            for y in range(part.shape[0]):
                for x in range(part.shape[1]):
                    mask[y, x] = part[y, x] == tried
            second = _second_half(mask, image, smallest)
            if second.size == 0:
                continue
            found += 1
            for y in range(part.shape[0]):
                for x in range(part.shape[1]):
                    if second[y, x]:
                        part[y, x] = found
                        result[y0 - 1 + y, x0 - 1 + x] = following
            following += 1
            waiting[n_waiting] = tried
            waiting[n_waiting + 1] = found
            n_waiting += 2
    return result


@kernel
def _boxes(labels: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int64]:
    """First and last row and column of each label 0 … count; the first behind the last where it has no pixel."""
    boxes = np.empty((count + 1, 4), np.int64)
    for label in range(count + 1):
        boxes[label, 0], boxes[label, 2] = labels.shape
        boxes[label, 1] = boxes[label, 3] = -1
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            box = boxes[labels[y, x]]
            box[0], box[1] = min(box[0], y), max(box[1], y)
            box[2], box[3] = min(box[2], x), max(box[3], x)
    return boxes


@kernel
def _second_half(mask: npt.NDArray[np.bool_], image: npt.NDArray[np.float32], smallest: float) -> npt.NDArray[np.bool_]:
    """Mask of one of two parts of an object, empty (0, 0) when it is better left as it is."""
    best = np.zeros((0, 0), np.bool_)
    area = _area(mask)
    if area < 2 * smallest:
        return best
    whole = _ellipse_ratio(mask)
    if whole > _ROUND:
        return best
    gain = _GAIN
    height = _distance(mask)
    radius = _highest(height, mask)
    height = convolved(height, gaussian_taps(_DISTANCE_BLUR * radius))
    for attempt in range(2):
        if attempt == 1:
            bright = convolved(image, gaussian_taps(max(1.0, _IMAGE_BLUR * radius)))
            lowest = _lowest(bright, mask)
            for y in range(mask.shape[0]):
                for x in range(mask.shape[1]):
                    height[y, x] *= bright[y, x] - lowest
        first, second, neck = _two_basins(height, mask)
        there = _area(second)
        if min(there, area - there) < max(smallest, _SMALLEST_PART * area):
            continue
        parts = ((area - there) * _ellipse_ratio(first) + there * _ellipse_ratio(second)) / area
        # A neck speaks for itself, two discs that touch are nearly one ellipse by their moments.
        if parts - whole > (0.0 if attempt == 0 and neck < _NECK else gain):
            gain = parts - whole
            best = second
    return best


@kernel
def _area(mask: npt.NDArray[np.bool_]) -> int:
    area = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                area += 1
    return area


@kernel
def _highest(plane: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> float:
    highest = -np.inf
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                highest = max(highest, plane[y, x])
    return highest


@kernel
def _lowest(plane: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> float:
    lowest = np.inf
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                lowest = min(lowest, plane[y, x])
    return lowest


@kernel
def _ellipse_ratio(mask: npt.NDArray[np.bool_]) -> float:
    """Area over the area of the ellipse of the same second moments."""
    n = sy = sx = syy = sxx = sxy = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                n += 1
                sy += y
                sx += x
                syy += y * y
                sxx += x * x
                sxy += x * y
    yy = syy / n - (sy / n) ** 2 + 1 / 12
    xx = sxx / n - (sx / n) ** 2 + 1 / 12
    xy = sxy / n - (sy / n) * (sx / n)
    return n / (4 * math.pi * math.sqrt(max(yy * xx - xy * xy, 1e-9)))


@kernel
def _distance(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distance of each pixel of the mask to the nearest pixel outside; the frame of the array is outside."""
    height, width = mask.shape
    column = np.zeros((height, width), np.int64)
    for y in range(1, height):
        for x in range(width):
            if mask[y, x]:
                column[y, x] = column[y - 1, x] + 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            column[y, x] = min(column[y, x], column[y + 1, x] + 1)
    distance = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            if not mask[y, x]:
                continue
            nearest = column[y, x] ** 2
            away = 1
            while away * away < nearest:
                if x >= away:
                    nearest = min(nearest, away * away + column[y, x - away] ** 2)
                if x + away < width:
                    nearest = min(nearest, away * away + column[y, x + away] ** 2)
                away += 1
            distance[y, x] = math.sqrt(nearest)
    return distance


@kernel
def _two_basins(
    height: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], float]:
    """Split a landscape into the basins of its peaks and join them, flattest pass first, until two are left.

    Returns
    -------
    first, second, neck
        bool (y, x): the basin of the highest peak, and the other, without a pixel where there is one peak only or more
        than are sensible; and the height of the pass between them as a part of the lower peak's.
    """
    rows, columns = mask.shape
    first = mask.copy()
    second = np.zeros((rows, columns), np.bool_)
    basin = np.full((rows, columns), -1, np.int32)
    peak = np.empty(_MOST_BASINS)
    basins = 0
    trail = np.empty(mask.size, np.int32)
    # From each pixel upwards to one that has a basin, or to a peak. The frame is outside: there are eight neighbours.
    for begin in range(mask.size):
        pixel = begin
        length = 0
        while True:
            y = pixel // columns
            x = pixel - y * columns
            if not mask[y, x] or basin[y, x] >= 0:
                break
            trail[length] = pixel
            length += 1
            up = pixel
            highest = height[y, x]
            for yy in range(y - 1, y + 2):
                for xx in range(x - 1, x + 2):
                    other = yy * columns + xx
                    # Of equal pixels the first is higher, so that there is no way round in circles.
                    if mask[yy, xx] and (height[yy, xx] > highest or (height[yy, xx] == highest and other < up)):
                        up = other
                        highest = height[yy, xx]
            if up == pixel:
                if basins == _MOST_BASINS:
                    return first, second, 1.0
                basin[y, x] = basins
                peak[basins] = highest
                basins += 1
                break
            pixel = up
        for k in range(length):
            basin[trail[k] // columns, trail[k] % columns] = basin[y, x]
    saddle = np.full((basins, basins), -np.inf)
    for y in range(1, rows - 1):
        for x in range(1, columns - 1):
            here = basin[y, x]
            if here < 0:
                continue
            for yy, xx in ((y, x + 1), (y + 1, x)):
                there = basin[yy, xx]
                if there >= 0 and there != here:
                    pass_height = min(height[y, x], height[yy, xx])
                    saddle[here, there] = saddle[there, here] = max(saddle[here, there], pass_height)
    joined = np.arange(basins)
    for _ in range(basins - 2):
        flattest = -np.inf
        one = other = 0
        for a in range(basins):
            for b in range(a + 1, basins):
                if joined[a] == a and joined[b] == b and saddle[a, b] > -np.inf:
                    flatness = saddle[a, b] / max(min(peak[a], peak[b]), 1e-9)
                    if flatness > flattest:
                        flattest, one, other = flatness, a, b
        if one == other:
            return first, second, 1.0
        peak[one] = max(peak[one], peak[other])
        for k in range(basins):
            if joined[k] == other:
                joined[k] = one
            saddle[one, k] = saddle[k, one] = max(saddle[one, k], saddle[other, k])
    top = 0
    for k in range(basins):
        if joined[k] == k and peak[k] > peak[joined[top]]:
            top = k
    for y in range(rows):
        for x in range(columns):
            if basin[y, x] >= 0 and joined[basin[y, x]] != joined[top]:
                first[y, x] = False
                second[y, x] = True
    neck = 1.0
    for a in range(basins):
        if joined[a] == a and a != joined[top]:
            neck = saddle[a, joined[top]] / max(peak[a], 1e-9)
    return first, second, neck
