"""Openings by reconstruction of an image for diamonds of every size, from one tree of its bright parts.

An opening by reconstruction with a diamond of radius k keeps a bright part of the image (a connected part of the pixels
at or above a level) whole if the diamond fits into it somewhere, and lowers it to the next part around it that holds
one if not. So all sizes follow from one number per bright part, the largest radius that still fits, and each pixel's
value falls only at the few sizes where a part around it vanishes.

Bright parts form a max-tree (union by falling grey value: Berger et al., ICIP 2007). Openings commute with every
increasing map of grey values, so the tree is built on ranks, ties broken anyhow: every pixel above zero is a node of
its own, and the erosion with a diamond, done on ranks, names the node into which that diamond fits.

What limits the speed: the order of the pixels, and the tree, whose union-find jumps about in memory. Erosions are
minima of whole numbers over rows, which vectorise; pixels at zero are no nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only
from .sorting import ascending

FloatArray = NDArray[np.float64]
Int32Array = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningTree:
    """The bright parts of one image. Node 0 is what lies at zero.

    Attributes
    ----------
    nodes : int32 (y, x)
        Smallest part that each pixel belongs to.
    values : float64 (n,)
        Grey value of each part, ascending.
    lasts : uint8 (n,)
        Radius of the largest diamond that fits into the part, at most the number of steps: openings up to that one
        leave it as it is.
    wider : int32 (n,)
        Nearest part around it that lasts longer, to which the next opening lowers it.
    """

    nodes: Int32Array
    values: FloatArray
    lasts: NDArray[np.uint8]
    wider: Int32Array


def opening_tree(image: FloatArray, steps: int) -> OpeningTree:
    """Build the tree for diamonds of radius 1 to ``steps``, cut off at the image's border.

    Parameters
    ----------
    image : float64 (y, x)
        Finite; values below zero count as zero.
    steps
        1 to 255: sizes are kept in a byte.
    """
    framed = np.zeros((image.shape[0] + 2, image.shape[1] + 2), np.int32)
    values = np.pad(image, 1).ravel()
    places = np.flatnonzero(values > 0)
    places = places[ascending(values[places])]
    framed.ravel()[places] = np.arange(1, len(places) + 1, dtype=np.int32)
    nodes = framed[1:-1, 1:-1].copy()
    # A frame that no minimum takes spares the erosion all tests for the border.
    framed[[0, -1]] = framed[:, [0, -1]] = np.iinfo(np.int32).max
    lasts, wider = _survival(read_only(framed), read_only(places), steps)
    return OpeningTree(
        nodes=read_only(nodes),
        values=read_only(np.concatenate([[0.0], values[places]])),
        lasts=read_only(lasts),
        wider=read_only(wider),
    )


@kernel
def _survival(framed: Int32Array, places: NDArray[np.int64], steps: int) -> tuple[NDArray[np.uint8], Int32Array]:
    """Find, per node, the last step that it survives and the nearest node around it that survives longer."""
    parents = _parents(framed, places)
    n = len(parents)
    height, width = framed.shape
    lasts = np.zeros(n, np.uint8)
    eroded, wanted = framed.copy(), framed.copy()
    for step in range(1, steps + 1):
        for y in range(1, height - 1):
            above, row, below, into = eroded[y - 1], eroded[y], eroded[y + 1], wanted[y]
            for x in range(1, width - 1):
                into[x] = min(min(above[x], below[x]), min(row[x], min(row[x - 1], row[x + 1])))
        for y in range(1, height - 1):
            row = wanted[y]
            for x in range(1, width - 1):
                lasts[np.uint32(row[x])] = step  # the darkest pixel of a diamond is a part that holds it
        eroded, wanted = wanted, eroded
    for node in range(n - 1, 0, -1):
        parent = parents[node]
        lasts[parent] = max(lasts[parent], lasts[node])
    lasts[0] = steps
    for node in range(1, n):  # parents come before their children, so theirs are known
        parent = parents[node]
        if lasts[parent] == lasts[node]:
            parents[node] = parents[parent]
    return lasts, parents


@kernel
def _parents(framed: Int32Array, places: NDArray[np.int64]) -> Int32Array:
    """Find the node around each node, its parent: the next darker pixel of the part that it belongs to.

    Places are made unsigned because a signed index is tested for counting from the end, at each of many steps.
    """
    n = np.int32(len(places) + 1)
    width = np.uint32(framed.shape[1])
    ranks = framed.ravel()
    parents = np.zeros(n, np.int32)
    darkest = np.arange(n).astype(np.int32)  # union-find: towards the darkest node that its part has so far
    for node in range(n - 1, 0, -1):
        place = np.uint32(places[node - 1])
        for beside in (place - width, place - np.uint32(1), place + np.uint32(1), place + width):
            other = ranks[beside]
            if (node < other) & (other < n):
                # This node becomes the darkest of the part, so all on the way there may point to it at once.
                further = darkest[np.uint32(other)]
                while further != other and further != node:
                    darkest[np.uint32(other)] = node
                    other = further
                    further = darkest[np.uint32(other)]
                if further != node:
                    parents[np.uint32(other)] = darkest[np.uint32(other)] = node
    return parents
