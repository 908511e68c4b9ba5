"""Objects grown until they fill the image: every background pixel goes to the object with the nearest pixel.

Exact Euclidean distances in two passes, down the columns and along the rows. P. F. Felzenszwalb, D. P. Huttenlocher,
"Distance transforms of sampled functions", Theory of Computing 8 (2012) 415-428. Of two pixels that are equally near,
the left one counts, and in one column the upper one, as in ``scipy.ndimage.distance_transform_edt``.
"""

from __future__ import annotations

import math

import numpy as np

from ..jit import kernel, read_only
from .label_index import Int32Array, Int64Array, LabelIndex, label_index


def numbered(index: LabelIndex) -> Int32Array:
    """Paint the objects: 0 background, ``k + 1`` the pixels of object k; int32 (y, x)."""
    image = np.zeros(index.shape, np.int32)
    image.reshape(-1)[index.pixels] = np.repeat(np.arange(1, len(index) + 1, dtype=np.int32), np.diff(index.offsets))
    return read_only(image)


def expanded(index: LabelIndex) -> LabelIndex:
    """Index the objects grown over the whole image, with the same ``object_ids`` and so in the same order."""
    if len(index) == 0:
        return index
    grown = _nearest_object(numbered(index))
    return label_index(index.object_ids[grown - 1])


@kernel
def _nearest_object(objects: Int32Array) -> Int32Array:
    """Give for each pixel the number at the nearest pixel that is not 0; there is one."""
    height, width = objects.shape
    nearest_row = np.full((height, width), -1, np.int32)  # of each column; -1 where the column is empty
    for y in range(height):
        own, here, above = objects[y], nearest_row[y], nearest_row[max(y - 1, 0)]
        for x in range(width):
            here[x] = y if own[x] != 0 else above[x]
    for y in range(height - 2, -1, -1):
        here, below = nearest_row[y], nearest_row[y + 1]
        for x in range(width):
            if below[x] > y and (here[x] < 0 or below[x] - y < y - here[x]):
                here[x] = below[x]
    out = np.empty((height, width), np.int32)
    sites, starts = np.empty(width, np.int64), np.empty(width, np.int64)
    for y in range(height):
        _along_row(objects, nearest_row[y], y, sites, starts, out[y])
    return out


@kernel
def _along_row(
    objects: Int32Array, nearest_row: Int32Array, y: int, sites: Int64Array, starts: Int64Array, out: Int32Array
) -> None:
    """Fill one row: ``sites[t]`` is the column that is nearest from column ``starts[t]`` on."""
    width = nearest_row.shape[0]
    count = 0
    for x in range(width):
        if nearest_row[x] < 0:
            continue
        away = np.int64(nearest_row[x] - y)
        start = np.int64(0)
        while count > 0:
            site = sites[count - 1]
            of_site = np.int64(nearest_row[site] - y)
            # The first column that is nearer to this one than to the site: where their parabolas cross. Both terms are
            # whole numbers that float64 holds, so that the quotient is rounded down exactly.
            crossing = (away * away + x * x - of_site * of_site - site * site) / (2 * (x - site))
            start = np.int64(math.floor(crossing)) + 1
            if start > starts[count - 1]:
                break
            count -= 1
            start = np.int64(0)
        if start < width:
            sites[count], starts[count] = x, start
            count += 1
    stop = width
    for t in range(count - 1, -1, -1):
        number = objects[nearest_row[sites[t]], sites[t]]
        for x in range(starts[t], stop):
            out[x] = number
        stop = starts[t]
