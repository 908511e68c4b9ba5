"""Objects and their counterparts in another set: the parent of a child, the child of a parent.

A child has the label of its parent, always; so an object's counterpart is the object with its label, whichever of the
two sets was made from the other and wherever both lie. Definitions: CellProfiler 4, RelateObjects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .intensity import edge_pixels
from .label_index import Int64Array, LabelIndex
from .moments import centroids

FloatArray = NDArray[np.float64]


def counterparts(index: LabelIndex, other: LabelIndex) -> Int64Array:
    """Place of each object's counterpart among those of the other set, int64 (n,); -1 where it has none."""
    if len(other) == 0:
        return np.full(len(index), -1, np.int64)
    at = np.minimum(np.searchsorted(other.object_ids, index.object_ids), len(other) - 1)
    return np.where(other.object_ids[at] == index.object_ids, at, -1).astype(np.int64)


def number_of_counterparts(index: LabelIndex, other: LabelIndex) -> FloatArray:
    """Count the objects of the other set with each object's label: 0 or 1; float64 (n,)."""
    return (counterparts(index, other) >= 0).astype(np.float64)


def distances(index: LabelIndex, other: LabelIndex) -> tuple[FloatArray, FloatArray]:
    """Distances from each object's centroid to its counterpart, in pixels.

    Parameters
    ----------
    index, other
        Two sets of objects in images of one size.

    Returns
    -------
    to_centre : float64 (n,)
        To the counterpart's centroid; NaN without a counterpart.
    to_edge : float64 (n,)
        To the nearest pixel on the counterpart's edge, inside it or outside; NaN without a counterpart, and where the
        counterpart has no edge as it fills the image.
    """
    to_centre, to_edge = np.full(len(index), np.nan), np.full(len(index), np.nan)
    of = counterparts(index, other)
    related = np.flatnonzero(of >= 0)
    here, there = centroids(index), centroids(other)
    way = here[related] - there[of[related]]
    to_centre[related] = np.hypot(way[:, 0], way[:, 1])

    starts, positions = edge_pixels(other)
    counts = np.diff(starts)
    own = np.repeat(np.arange(len(other)), counts)  # whose edge each pixel is on
    from_object = np.full(len(other), -1)
    from_object[of[related]] = related
    wanted = from_object[own] >= 0
    own, pixels = own[wanted], other.pixels[other.offsets[own[wanted]] + positions[wanted]].astype(np.int64)
    centre = here[from_object[own]]
    away = np.hypot(pixels // other.shape[1] - centre[:, 0], pixels % other.shape[1] - centre[:, 1])
    if len(away):
        firsts = np.flatnonzero(np.diff(own, prepend=-1))
        to_edge[from_object[own[firsts]]] = np.minimum.reduceat(away, firsts)
    return to_centre, to_edge
