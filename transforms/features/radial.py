"""How each object's intensity is spread from its centre to its edge.

CellProfiler's definitions. The centre is the pixel farthest from the object's edge. A pixel's place between the two is
g / (g + e + 0.001), with g the length of the shortest way from the centre inside the object (steps of 1 along rows and
columns, of √2 across) and e the distance to the nearest pixel outside; pixels beyond the image are not outside. Rings
are equal parts of that place, and each ring is cut into eight wedges round the centre.

All of that is geometry: done once per object, it sorts the object's pixels by ring and wedge. A channel then costs one
sum per ring and wedge over pixels that lie one after the other in that order.

What limits the speed: the distance to the edge (a division per pixel and branches that cannot be foretold) and the sums
of the channels. The ways from the centre follow from two sweeps over the object and two more that find
nothing left to shorten, except in objects that bend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only, summing_kernel
from .edge_distance import FAR, column_distances, row_distances
from .label_index import Int32Array, Int64Array, LabelIndex

FloatArray = NDArray[np.float64]
#: Unsigned, so that no kernel asks whether one is negative.
Positions = NDArray[np.uint32]

WEDGES = 8
#: Ways of the same length, added up in another order, differ by less than this.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rings:
    """The pixels of n objects, sorted by ring and wedge.

    Attributes
    ----------
    pixels : uint32 (m,)
        Flat positions ``y * width + x``.
    starts : int64 (n, rings * 8 + 1)
        Wedge ``w`` of ring ``r`` of object ``k`` owns ``pixels[starts[k, j]:starts[k, j + 1]]``, ``j = 8 r + w``. What
        cannot be reached from the centre inside the object comes behind the last.
    """

    pixels: Positions
    starts: Int64Array

    @property
    def counts(self) -> Int64Array:
        """Number of pixels, (n, rings, 8)."""
        counts = np.diff(self.starts, axis=1)
        return counts.reshape(len(counts), counts.shape[1] // WEDGES, WEDGES)


def rings(index: LabelIndex, bins: int) -> Rings:
    """Sort the pixels of every object into rings and wedges.

    Parameters
    ----------
    index
        The objects. One that fills the whole image has no edge, and none of its pixels a ring.
    bins
        Number of rings.
    """
    pixels, starts = _rings(index.offsets, index.run_offsets, index.runs, index.bbox, *index.shape, bins)
    return Rings(read_only(pixels), read_only(starts))


def radial_distribution(sorted_pixels: Rings, plane: NDArray[Any]) -> FloatArray:
    """Measure one channel.

    Parameters
    ----------
    sorted_pixels
        Where the rings of each object are.
    plane : uint8, uint16 or float32 (y, x)
        The channel.

    Returns
    -------
    float64 (n, 3, rings)
        FracAtD, MeanFrac and RadialCV of each ring, from the centre outwards. NaN where undefined: no intensity in the
        object, no pixel in the ring (FracAtD is then 0), no intensity in the ring (RadialCV).
    """
    counts = sorted_pixels.counts
    flat = read_only(np.ascontiguousarray(plane).reshape(-1))
    sums = _cell_sums(flat, sorted_pixels.pixels, sorted_pixels.starts).reshape(counts.shape)
    in_ring, inside = counts.sum(axis=2), counts > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = sums.sum(axis=2) / sums.sum(axis=(1, 2))[:, None]
        mean_fraction = fraction / (in_ring / in_ring.sum(axis=1, keepdims=True))
        wedges = inside.sum(axis=2)
        means = np.where(inside, sums / counts, 0.0)
        mean = means.sum(axis=2) / wedges
        square = np.where(inside, np.square(means - mean[:, :, None]), 0.0).sum(axis=2) / wedges
        measures = np.stack([fraction, mean_fraction, np.sqrt(square) / mean], axis=1)
    measures[~np.isfinite(measures)] = np.nan
    return measures


@summing_kernel
def _cell_sums(plane: NDArray[Any], pixels: Positions, starts: Int64Array) -> FloatArray:
    n, cells = starts.shape[0], starts.shape[1] - 1
    sums = np.empty((n, cells))
    for k in range(n):
        for j in range(cells):
            total = 0.0
            for i in range(starts[k, j], starts[k, j + 1]):
                total += float(plane[pixels[i]])
            sums[k, j] = total
    return sums


@kernel
def _rings(
    offsets: Int64Array,
    run_offsets: Int64Array,
    runs: Int32Array,
    bbox: Int32Array,
    image_height: int,
    image_width: int,
    bins: int,
) -> tuple[Positions, Int64Array]:
    n, cells = bbox.shape[0], bins * WEDGES
    pixels = np.empty(offsets[n], np.uint32)
    starts = np.empty((n, cells + 1), np.int64)
    most_cells, most_pixels = 0, 0
    for k in range(n):
        most_cells = max(most_cells, (bbox[k, 2] - bbox[k, 0] + 2) * (bbox[k, 3] - bbox[k, 1] + 2))
        most_pixels = max(most_pixels, offsets[k + 1] - offsets[k])
    columns_of_largest = np.empty(most_cells, np.int32)
    ways_of_largest = np.empty(most_cells)
    edges_of_largest = np.empty(most_pixels, np.int64)
    cells_of_largest = np.empty(most_pixels, np.int32)
    sites, envelope = np.empty(image_width + 2, np.int32), np.empty(image_width + 2, np.int32)
    following = np.empty(cells + 2, np.int64)
    for k in range(n):
        own = runs[run_offsets[k] : run_offsets[k + 1]]
        y0, x0 = bbox[k, 0] - 1, bbox[k, 1] - 1
        height, width = bbox[k, 2] - y0 + 1, bbox[k, 3] - x0 + 1
        to_edge = columns_of_largest[: height * width].reshape((height, width))
        ways = ways_of_largest[: height * width].reshape((height, width))
        edges = edges_of_largest[: offsets[k + 1] - offsets[k]]
        of_pixel = cells_of_largest[: edges.shape[0]]
        _edges(own, y0, x0, image_height, image_width, to_edge, sites, envelope, edges)
        centre_y, centre_x = _farthest(own, edges)
        _ways(own, y0, x0, centre_y, centre_x, ways)
        _cells(own, y0, x0, centre_y, centre_x, ways, edges, bins, of_pixel)

        following[:] = 0
        for i in range(of_pixel.shape[0]):
            following[of_pixel[i] + 1] += 1
        following[0] = offsets[k]
        for j in range(cells + 1):
            following[j + 1] += following[j]
            starts[k, j] = following[j]
        at = 0
        for i in range(own.shape[0]):
            for pixel in range(own[i, 0] * image_width + own[i, 1], own[i, 0] * image_width + own[i, 2]):
                j = of_pixel[at]
                pixels[following[j]] = pixel
                following[j] += 1
                at += 1
    return pixels, starts


@kernel
def _edges(
    runs: Int32Array,
    y0: int,
    x0: int,
    image_height: int,
    image_width: int,
    to_edge: Int32Array,
    sites: Int32Array,
    envelope: Int32Array,
    edges: Int64Array,
) -> None:
    """Squared distance of each pixel to the nearest one outside the object and inside the image."""
    above, below = FAR if y0 < 0 else 0, FAR if y0 + to_edge.shape[0] > image_height else 0
    column_distances(runs, y0, x0, above, below, to_edge)
    at = 0
    for i in range(runs.shape[0]):
        y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2]
        left, right = FAR if start == 0 else 0, FAR if stop == image_width else 0
        into = edges[at : at + stop - start]
        row_distances(to_edge[y - y0, start - x0 : stop - x0], left, right, into, sites, envelope)
        at += stop - start


@kernel
def _farthest(runs: Int32Array, edges: Int64Array) -> tuple[int, int]:
    """Give the (y, x) of the pixel farthest from the edge, the first of several."""
    y, x, most, at = runs[0, 0], runs[0, 1], edges[0], 0
    for i in range(runs.shape[0]):
        for here in range(runs[i, 1], runs[i, 2]):
            if edges[at] > most:
                y, x, most = runs[i, 0], here, edges[at]
            at += 1
    return y, x


@kernel
def _ways(runs: Int32Array, y0: int, x0: int, centre_y: int, centre_x: int, ways: FloatArray) -> None:
    """Length of the shortest way inside the object from the centre to each pixel; infinite where there is none."""
    ways[:] = np.inf
    ways[centre_y - y0, centre_x - x0] = 0.0
    # Down and up once each reaches all of an object that does not bend; twice more, and nothing changed, is the proof.
    down, unchanged = True, 0
    while unchanged < 2:
        unchanged += 1
        for i in range(runs.shape[0]):
            run = runs[i if down else runs.shape[0] - 1 - i]
            if _shorten(run, y0, x0, -1 if down else 1, ways):
                unchanged = 0
        down = not down


@kernel
def _shorten(run: Int32Array, y0: int, x0: int, towards: int, ways: FloatArray) -> bool:
    """Shorten the ways to the pixels of a run over the row ``towards`` it (-1 or 1) and along it; True where any is."""
    y, start, length = run[0] - y0, run[1] - x0, run[2] - run[1]
    here = ways[y, start : start + length]
    before = ways[y + towards, start - 1 : start + length + 1]
    diagonal = math.sqrt(2.0)
    shorter, bent = 0, 0
    for x in range(length):
        way = min(before[x + 1] + 1.0, min(before[x], before[x + 2]) + diagonal)
        nearer = way < here[x] - _ROUNDING
        here[x] = way if nearer else here[x]
        shorter |= nearer
    for x in range(length - 1):
        bent |= (here[x] + 1.0 < here[x + 1] - _ROUNDING) | (here[x + 1] + 1.0 < here[x] - _ROUNDING)
    if bent:
        for x in range(1, length):
            here[x] = min(here[x], here[x - 1] + 1.0)
        for x in range(length - 2, -1, -1):
            here[x] = min(here[x], here[x + 1] + 1.0)
    return (shorter | bent) != 0


@kernel
def _cells(
    runs: Int32Array,
    y0: int,
    x0: int,
    centre_y: int,
    centre_x: int,
    ways: FloatArray,
    edges: Int64Array,
    bins: int,
    cells: Int32Array,
) -> None:
    """Ring times 8 plus wedge of each pixel; ``bins * 8`` for pixels without a ring."""
    at = 0
    for i in range(runs.shape[0]):
        y, start, length = runs[i, 0], runs[i, 1], runs[i, 2] - runs[i, 1]
        below = y > centre_y
        tall = abs(y - centre_y)
        way, edge, into = ways[y - y0, start - x0 :], edges[at:], cells[at:]
        for x in range(length):
            across = start + x - centre_x
            wedge = below + 2 * (across > 0) + 4 * (tall > abs(across))
            place = way[x] / (way[x] + math.sqrt(float(edge[x])) + 0.001)
            reached = (way[x] < np.inf) & (edge[x] < FAR * FAR)
            into[x] = int(place * bins) * WEDGES + wedge if reached else bins * WEDGES
        at += length
