"""Where objects end: holes filled, edges moved out to half of the height, ragged edges made smooth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..jit import kernel, read_only
from .planes import Mask, Plane

Labels = npt.NDArray[np.int32]

# An edge moves out only downhill; a rise of this part of the object's height is noise.
_RISE = 0.02


def filled(labels: Labels) -> Labels:
    """Give an object the holes in it: background that touches this one object and not the image border."""
    return _filled(read_only(labels))


def grown(plane: Plane, labels: Labels, *, near: int, far: int, level: float, reach: float) -> Labels:
    """Move the edges of objects out to where the image has fallen to a level between object and surroundings.

    Parameters
    ----------
    plane
        float32 (y, x), not negative: the image that the edges are seen in.
    labels
        int32 (y, x), numbered 1 … n without gaps.
    near, far
        Surroundings are the background between so many pixels from the object.
    level
        Fraction of the way from the surroundings' median up to the object's.
    reach
        Farthest that an edge moves, as a part of the root of the object's area; at least one pixel.

    Returns
    -------
    ndarray
        int32 (y, x). Objects meet where either comes first.
    """
    count = int(labels.max(initial=0))
    if not count:
        return labels
    inside, lowest = _median_and_lowest(plane, labels, count)
    around, _ = _median_and_lowest(plane, _surroundings(read_only(labels), near, far), count)
    # An object with no ground beside it is taken to reach down to the lowest of its own pixels.
    ground = np.minimum(np.where(np.isnan(around), lowest, around), inside)
    area = np.bincount(labels.ravel(), minlength=count + 1)
    return _grown(
        read_only(plane),
        read_only(labels),
        read_only(ground + level * (inside - ground)),
        read_only(_RISE * (inside - ground)),
        read_only(np.maximum(1, np.rint(reach * np.sqrt(area))).astype(np.int64)),
    )


def smoothed(labels: Labels) -> Labels:
    """Give each pixel to whatever most of its 3 × 3 neighbourhood belongs to, if that is one object or background."""
    return _smoothed(read_only(labels))


def in_one_part(labels: Labels) -> Labels:
    """Leave of each object its largest part that is connected over pixel sides, the first of equal ones."""
    return _in_one_part(read_only(labels), int(labels.max(initial=0)))


def widened(mask: Mask) -> Mask:
    """Add the pixels within two steps over pixel sides."""
    for _ in range(2):
        wide = mask.copy()
        wide[1:] |= mask[:-1]
        wide[:-1] |= mask[1:]
        wide[:, 1:] |= mask[:, :-1]
        wide[:, :-1] |= mask[:, 1:]
        mask = wide
    return mask


@kernel
def _in_one_part(labels: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int32]:
    height, width = labels.shape
    result = np.zeros((height, width), np.int32)
    flat, out = labels.ravel(), result.ravel()
    seen = np.zeros(flat.size, np.bool_)
    # Pixels of all parts, one after the other, and the slice of the largest part of each object.
    members = np.empty(flat.size, np.int32)
    start = np.zeros(count + 1, np.int64)
    stop = np.zeros(count + 1, np.int64)
    end = 0
    for pixel in range(flat.size):
        label = flat[pixel]
        if label == 0 or seen[pixel]:
            continue
        first = end
        at = end
        seen[pixel] = True
        members[end] = pixel
        end += 1
        while at < end:
            y = members[at] // width
            x = members[at] - y * width
            at += 1
            for side in range(4):
                yy = y + (side == 0) - (side == 1)
                xx = x + (side == 2) - (side == 3)
                if yy < 0 or xx < 0 or yy >= height or xx >= width:
                    continue
                other = yy * width + xx
                if flat[other] == label and not seen[other]:
                    seen[other] = True
                    members[end] = other
                    end += 1
        if end - first > stop[label] - start[label]:
            start[label], stop[label] = first, end
    for label in range(1, count + 1):
        for k in range(start[label], stop[label]):
            out[members[k]] = label
    return result


@kernel
def _filled(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    height, width = labels.shape
    result = labels.copy()
    # Background: 0 not seen, 1 being explored, 2 no hole. Most of it is found beside a pixel that is known to be none.
    state = np.zeros((height, width), np.uint8)
    members = np.empty(labels.size, np.int32)
    for first in range(labels.size):
        y = first // width
        x = first - y * width
        if labels[y, x] or state[y, x]:
            continue
        state[y, x] = 1
        members[0] = first
        count, at = 1, 0
        owner = 0
        closed = True
        while closed and at < count:
            y = members[at] // width
            x = members[at] - y * width
            at += 1
            for side in range(4):
                yy = y + (side == 0) - (side == 1)
                xx = x + (side == 2) - (side == 3)
                if yy < 0 or xx < 0 or yy >= height or xx >= width or state[yy, xx] == 2:
                    closed = False
                    break
                there = labels[yy, xx]
                if there:
                    closed = owner == 0 or owner == there
                    if not closed:
                        break
                    owner = there
                elif state[yy, xx] == 0:
                    state[yy, xx] = 1
                    members[count] = yy * width + xx
                    count += 1
        for k in range(count):
            y = members[k] // width
            x = members[k] - y * width
            if closed:
                result[y, x] = owner
            state[y, x] = 2
    return result


@kernel
def _surroundings(labels: npt.NDArray[np.int32], near: int, far: int) -> npt.NDArray[np.int32]:
    """Label the background from ``near`` + 1 to ``far`` steps away with its nearest object.

    Steps go over sides and over sides and corners by turns, which makes octagons, nearly circles.
    """
    height, width = labels.shape
    nearest = labels.copy()
    result = np.zeros((height, width), np.int32)
    front = np.empty(labels.size, np.int32)
    n_front = 0
    for y in range(height):
        for x in range(width):
            if labels[y, x]:
                open_side = (
                    (y > 0 and labels[y - 1, x] == 0)
                    or (x > 0 and labels[y, x - 1] == 0)
                    or (y < height - 1 and labels[y + 1, x] == 0)
                    or (x < width - 1 and labels[y, x + 1] == 0)
                )
                if open_side:
                    front[n_front] = y * width + x
                    n_front += 1
    reached = np.empty(labels.size, np.int32)
    for step in range(1, far + 1):
        n_reached = 0
        for k in range(n_front):
            y = front[k] // width
            x = front[k] - y * width
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    yy, xx = y + dy, x + dx
                    if (step % 2 and dy * dx != 0) or yy < 0 or xx < 0 or yy >= height or xx >= width:
                        continue
                    if nearest[yy, xx] == 0:
                        nearest[yy, xx] = nearest[y, x]
                        if step > near:
                            result[yy, xx] = nearest[y, x]
                        reached[n_reached] = yy * width + xx
                        n_reached += 1
        front, reached = reached, front
        n_front = n_reached
    return result


def _median_and_lowest(
    plane: Plane, labels: Labels, count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Median and smallest of the pixels of each label 0 … count; NaN for label 0 and labels of fewer than five."""
    pixels = np.flatnonzero(labels)
    # The bits of floats that are not negative are in the order of the floats: one sort by label, then by value.
    bits = plane.ravel()[pixels].view(np.int32).astype(np.int64)
    keys = np.sort((labels.ravel()[pixels].astype(np.int64) << 32) | bits)
    values = (keys & 0xFFFFFFFF).astype(np.int32).view(np.float32)
    size = np.bincount((keys >> 32).astype(np.int32), minlength=count + 1)
    start = np.cumsum(size) - size
    some = np.flatnonzero(size >= 5)
    median, lowest = np.full((2, count + 1), np.nan)
    lowest[some] = values[start[some]]
    upper, lower = start[some] + size[some] // 2, start[some] + (size[some] - 1) // 2
    median[some] = (values[lower].astype(np.float64) + values[upper]) / 2
    return median, lowest


@kernel
def _grown(
    plane: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int32],
    threshold: npt.NDArray[np.float64],
    rise: npt.NDArray[np.float64],
    reach: npt.NDArray[np.int64],
) -> npt.NDArray[np.int32]:
    """Grow objects by layers of one pixel; a pixel between two objects goes to the neighbour that is brighter."""
    height, width = labels.shape
    result = labels.copy()
    flat, values = result.ravel(), plane.ravel()
    # Layer in which a pixel was last looked at.
    looked = np.zeros(flat.size, np.int32)
    front = np.empty(flat.size, np.int32)
    won = np.empty(flat.size, np.int32)
    owner = np.empty(flat.size, np.int32)
    n_front = 0
    for pixel in range(flat.size):
        if flat[pixel]:
            front[n_front] = pixel
            n_front += 1
    layer = 0
    while n_front:
        layer += 1
        n_won = 0
        for k in range(n_front):
            y = front[k] // width
            x = front[k] - y * width
            for side in range(4):
                yy = y + (side == 0) - (side == 1)
                xx = x + (side == 2) - (side == 3)
                if yy < 0 or xx < 0 or yy >= height or xx >= width:
                    continue
                pixel = yy * width + xx
                if flat[pixel] or looked[pixel] == layer:
                    continue
                looked[pixel] = layer
                best = 0
                brightest = -np.inf
                for back in range(4):
                    by = yy + (back == 0) - (back == 1)
                    bx = xx + (back == 2) - (back == 3)
                    if by < 0 or bx < 0 or by >= height or bx >= width:
                        continue
                    label = result[by, bx]
                    if label == 0 or layer > reach[label] or values[pixel] < threshold[label]:
                        continue
                    if values[pixel] > plane[by, bx] + rise[label] or plane[by, bx] <= brightest:
                        continue
                    best = label
                    brightest = plane[by, bx]
                if best:
                    won[n_won] = pixel
                    owner[n_won] = best
                    n_won += 1
        for k in range(n_won):
            flat[won[k]] = owner[k]
        front, won = won, front
        n_front = n_won
    return result


@kernel
def _smoothed(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    height, width = labels.shape
    result = labels.copy()
    window = np.empty(9, np.int32)
    for y in range(height):
        for x in range(width):
            here = labels[y, x]
            inner = (
                (y == 0 or labels[y - 1, x] == here)
                and (x == 0 or labels[y, x - 1] == here)
                and (y == height - 1 or labels[y + 1, x] == here)
                and (x == width - 1 or labels[y, x + 1] == here)
            )
            if inner:
                continue
            size = 0
            for yy in range(max(0, y - 1), min(height, y + 2)):
                for xx in range(max(0, x - 1), min(width, x + 2)):
                    window[size] = labels[yy, xx]
                    size += 1
            for k in range(size):
                same = 0
                for other in range(size):
                    same += window[other] == window[k]
                if 2 * same > size:
                    result[y, x] = window[k]
                    break
    return result
