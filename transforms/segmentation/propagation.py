"""Cells by propagation: a pixel belongs to the nucleus from which the way is shortest, and edges make a way longer.

The way from one pixel to a neighbour costs ``√(g² + λ²·d²)``: g is how much the surroundings of the two differ (the
sum of absolute differences over their 3 × 3 pixels), d the distance of their centres, λ the regularization. Without
it, cells meet on edges alone; the larger it is, the more they meet half-way (Jones, Carpenter & Golland 2005,
Computer Vision for Biomedical Image Applications, LNCS 3765, 535; CellProfiler's IdentifySecondaryObjects).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..jit import kernel, read_only
from .cells import reach
from .planes import stabilised

Labels = npt.NDArray[np.int32]

# What counts as 0 and 1 in the image whose edges are followed: these quantiles of the pixels that cells may take.
_DARK, _BRIGHT = 0.01, 0.99
# Room for entries that wait, beyond one for each pixel. A tenth of that is used; the worst of images may need more.
_SPARE = 1024
# A power of two; what is due even later is looked at again then.
_BUCKETS = 4096


def cells_by_propagation(
    image: npt.NDArray[Any],
    nuclei: Labels,
    *,
    pixel_size_um: float,
    max_distance_um: float = 25.0,
    edge_level: float = 0.5,
    regularization: float = 0.05,
) -> Labels:
    """Grow nuclei over the foreground of a stain of the cell body; cells that touch meet on its edges.

    Parameters
    ----------
    image
        (y, x) of a stain that fills the cell, bright on dark.
    nuclei
        int32 (y, x); gaps in the numbers are allowed.
    pixel_size_um
        Side of a pixel in µm.
    max_distance_um, edge_level
        See :func:`.cells.cells_from_nuclei`.
    regularization
        What a way of 1 µm costs where nothing changes; all the way from the darkest to the brightest pixels of cells
        (of the square root of intensity) costs 9. So neither the brightness of a stain nor the magnification
        changes what a number means. It is CellProfiler's factor for pixels of 1 µm and such an image.

    Returns
    -------
    ndarray
        int32 (y, x), numbered as the nuclei: one connected cell for each, which contains it. Where the stain
        does not stand out from noise, the cell is its nucleus.
    """
    _, inside = reach(
        image, nuclei, pixel_size_um=pixel_size_um, max_distance_um=max_distance_um, edge_level=edge_level
    )
    if not inside.any():
        return np.zeros(nuclei.shape, dtype=np.int32)
    root = stabilised(image)
    dark, bright = np.quantile(root[inside], (_DARK, _BRIGHT))
    scaled = np.clip((root - dark) / ((bright - dark) or 1.0), 0.0, 1.0)
    return propagate(scaled, nuclei, inside, regularization=regularization * pixel_size_um)


def propagate(
    image: npt.NDArray[Any], seeds: Labels, inside: npt.NDArray[np.bool_], *, regularization: float
) -> Labels:
    """Give every pixel inside a mask to the seed that it is nearest to, by the distance that follows the image.

    Parameters
    ----------
    image
        (y, x), finite; edges are as high as its values say. Beyond the border it goes on as it ends.
    seeds
        int32 (y, x); 0 is no seed, gaps in the numbers are allowed.
    inside
        bool (y, x): where seeds may spread, and the ways may lead. A seed keeps its pixels outside, and does not
        spread from there.
    regularization
        λ: what a step of one pixel costs where nothing changes.

    Returns
    -------
    ndarray
        int32 (y, x), numbered as the seeds; 0 outside, and where no way leads. Of two seeds at the same distance the
        one with the lower number has the pixel.
    """
    ground = np.pad(np.asarray(image, dtype=np.float64), 1, mode="edge")
    numbers = np.pad(np.asarray(seeds, dtype=np.int32), 1)
    free = np.pad(inside, 1)
    stride = ground.shape[1]
    steps = np.array([-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1])
    straight = np.array([2.0, 1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 2.0]) * regularization**2
    capacity = int(np.count_nonzero(free)) + _SPARE
    while True:
        labels = numbers.copy()
        enough = _spread(
            read_only(ground.ravel()),
            read_only(numbers.ravel()),
            read_only(free.ravel()),
            read_only(steps),
            read_only(straight),
            np.where(numbers.ravel() > 0, 0.0, np.inf),
            labels.ravel(),
            _bucket_width(ground, regularization),
            np.full(_BUCKETS, -1),
            *_room(capacity),
            *_room(capacity),
            np.arange(1, capacity + 1),
        )
        if enough:
            return labels[1:-1, 1:-1].copy()
        capacity *= 2


def _room(capacity: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Room for that many entries: their ways and ties. What is not touched takes no memory."""
    return np.empty(capacity, np.float64), np.empty(capacity, np.int64)


def _bucket_width(image: npt.NDArray[np.float64], regularization: float) -> float:
    """Choose how much the ways of one bucket may differ: about half a typical step, which is fastest."""
    typical = regularization + 9 * float(np.abs(np.diff(image)).mean())
    return 0.4 * typical if 0 < typical < math.inf else 1.0


@kernel
def _push(ways: npt.NDArray[np.float64], ties: npt.NDArray[np.int64], size: int, way: float, tie: int) -> None:
    """Add an entry to a binary heap of ``size`` entries, which are compared by way, then tie."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if ways[above] < way or (ways[above] == way and ties[above] <= tie):
            break
        ways[at], ties[at] = ways[above], ties[above]
        at = above
    ways[at], ties[at] = way, tie


@kernel
def _pop(ways: npt.NDArray[np.float64], ties: npt.NDArray[np.int64], size: int) -> None:
    """Take the least entry away: of ``size`` entries the last one finds a new place."""
    last = size - 1
    way, tie = ways[last], ties[last]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= last:
            break
        right = below + 1
        if right < last and (ways[right] < ways[below] or (ways[right] == ways[below] and ties[right] < ties[below])):
            below = right
        if way < ways[below] or (way == ways[below] and tie <= ties[below]):
            break
        ways[at], ties[at] = ways[below], ties[below]
        at = below
    ways[at], ties[at] = way, tie


@kernel
def _link(ring: npt.NDArray[np.int64], links: npt.NDArray[np.int64], entry: int, due: int, now: int) -> None:
    """Put an entry into the bucket in which it is due; what is due too late for the ring is looked at again later."""
    place = min(max(due, now), now + ring.size - 1) & (ring.size - 1)
    links[entry] = ring[place]
    ring[place] = entry


@kernel
def _spread(
    image: npt.NDArray[np.float64],
    seeds: Labels,
    inside: npt.NDArray[np.bool_],
    steps: npt.NDArray[np.int64],
    straight: npt.NDArray[np.float64],
    nearest: npt.NDArray[np.float64],
    labels: Labels,
    bucket: float,
    ring: npt.NDArray[np.int64],
    next_ways: npt.NDArray[np.float64],
    next_ties: npt.NDArray[np.int64],
    ways: npt.NDArray[np.float64],
    ties: npt.NDArray[np.int64],
    links: npt.NDArray[np.int64],
) -> bool:
    """Dijkstra's algorithm from all seeds at once; give False where more entries wait than there is room for.

    What is due next stands in a heap (``next_ways``, ``next_ties``), small enough for the cache; what is due later
    stands unsorted in a ring of buckets, as linked lists. An entry holds label and pixel in one number, ``label << 32
    | pixel``: ties are broken by label, then by place, so that neither the width of a bucket nor the order of adding
    entries changes a result.

    Parameters
    ----------
    image, seeds, inside
        Flat, with a frame of one pixel in which ``inside`` is false.
    steps, straight
        From a pixel to its eight neighbours, and λ²·d² of each step.
    nearest, labels
        Distance of each pixel as far as it is known, and its owner: those of the seeds, to be filled.
    bucket
        How much the ways of one bucket may differ.
    ring, links
        First entry of each bucket, -1 for none; the entry that follows each entry.
    """
    capacity = links.size
    row = steps[6]
    unused, n_later, n_next, now = 0, 0, 0, 0

    for pixel in range(inside.size):
        if seeds[pixel] == 0 or not inside[pixel]:
            continue
        for step in steps:
            if inside[pixel + step] and seeds[pixel + step] == 0:
                if unused == capacity:
                    return False
                entry, unused = unused, links[unused]
                ways[entry], ties[entry] = 0.0, (np.int64(seeds[pixel]) << 32) | pixel
                _link(ring, links, entry, 0, now)
                n_later += 1
                break

    while n_next > 0 or n_later > 0:
        place = now & (ring.size - 1)
        entry, ring[place] = ring[place], -1
        while entry != -1:
            following = links[entry]
            due = int(ways[entry] / bucket)
            if due > now:
                _link(ring, links, entry, due, now)
            else:
                if n_next == capacity:
                    return False
                _push(next_ways, next_ties, n_next, ways[entry], ties[entry])
                n_next += 1
                n_later -= 1
                links[entry], unused = unused, entry
            entry = following
        if n_next == 0:
            now += 1
            continue
        way, tie = next_ways[0], next_ties[0]
        _pop(next_ways, next_ties, n_next)
        n_next -= 1
        label, pixel = tie >> 32, tie & 0xFFFFFFFF
        if way > nearest[pixel]:
            continue  # a shorter way was found after this one had been noted
        labels[pixel] = label
        for k in range(8):
            to = pixel + steps[k]
            if labels[to] != 0 or not inside[to]:
                continue
            change = 0.0
            for above in (-row, 0, row):
                for at in (above - 1, above, above + 1):
                    change += abs(image[pixel + at] - image[to + at])
            there = way + math.sqrt(change * change + straight[k])
            if there < nearest[to]:
                nearest[to] = there
                if unused == capacity:
                    return False
                entry, unused = unused, links[unused]
                ways[entry], ties[entry] = there, (label << 32) | to
                _link(ring, links, entry, int(there / bucket), now)
                n_later += 1
    return True
