"""Max-tree of an image: every connected part of every threshold set, nested, in one pass over the pixels.

What is at level 0 belongs to no part, so the tree is a forest: one tree for each part of what is above.

The image is flooded like a landscape turned upside down (Nistér & Stewénius 2008, Linear time maximally stable
extremal regions, ECCV): from any pixel the flood climbs to brighter neighbours first and comes back to the brightest
pixel that it has seen and left behind. In the order in which pixels are finished, the pixels of a node (of one
connected part) stand side by side. So a node is a slice of that order, and whatever adds up over pixels is the
difference of two running sums.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..jit import kernel

_LEVELS = 256


@kernel
def max_tree(
    levels: npt.NDArray[np.uint8], smallest: int, largest: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Find the parts of all threshold sets ``levels >= t``, t > 0, that are connected over pixel sides.

    Parameters
    ----------
    levels
        uint8 (y, x).
    smallest, largest
        Only nodes of so many pixels are returned.

    Returns
    -------
    order, start, stop
        int32: flat indices of all pixels above level 0, and for each node its slice of them. Children come before
        their parents; a set of pixels that is a part at several thresholds is one node.
    """
    height, width = levels.shape
    stride = width + 2
    order = np.empty(height * width, np.int32)
    start = np.empty(height * width, np.int32)
    stop = np.empty(height * width, np.int32)
    # Levels within a frame of one pixel; 0 where a pixel has been seen.
    unseen = np.zeros((height + 2) * stride, np.uint8)
    for y in range(height):
        for x in range(width):
            unseen[(y + 1) * stride + x + 1] = levels[y, x]
    # Pixels seen and left behind: for each level the last one, and for each pixel the one before it. 0 is none.
    last = np.zeros(_LEVELS, np.int32)
    before = np.empty(unseen.size, np.int32)
    # Nodes that are not complete, each inside the one before it.
    open_level = np.empty(_LEVELS + 1, np.int16)
    open_start = np.empty(_LEVELS + 1, np.int32)

    done = 0
    nodes = 0
    for first in range(stride, unseen.size - stride):
        if unseen[first] == 0:
            continue
        pixel = first
        level = np.int64(unseen[pixel])
        unseen[pixel] = 0
        top = 0
        open_level[0] = level
        open_start[0] = done
        while True:
            side = 0
            while side < 4:
                if side == 0:
                    other = pixel + 1
                elif side == 1:
                    other = pixel - 1
                elif side == 2:
                    other = pixel + stride
                else:
                    other = pixel - stride
                side += 1
                there = np.int64(unseen[other])
                if there == 0:
                    continue
                unseen[other] = 0
                if there <= level:
                    before[other] = last[there]
                    last[there] = other
                    continue
                before[pixel] = last[level]
                last[level] = pixel
                pixel = other
                level = there
                top += 1
                open_level[top] = level
                open_start[top] = done
                side = 0
            order[done] = pixel
            done += 1
            while level > 0 and last[level] == 0:
                level -= 1
            # A pixel left behind at an open node's level is still to come, so the flood never sinks below that level
            # before the node has been merged.
            if level < open_level[top]:
                if smallest <= done - open_start[top] <= largest:
                    start[nodes] = open_start[top]
                    stop[nodes] = done
                    nodes += 1
                if level == 0:
                    break
                if top > 0 and open_level[top - 1] == level:
                    top -= 1
                else:
                    open_level[top] = level
            pixel = last[level]
            last[level] = before[pixel]
    for at in range(done):
        y = order[at] // stride - 1
        order[at] -= (y + 1) * stride + 1 - y * width
    return order[:done].copy(), start[:nodes].copy(), stop[:nodes].copy()


@kernel
def thinned(start: npt.NDArray[np.int32], stop: npt.NDArray[np.int32], step: float) -> npt.NDArray[np.bool_]:
    """Leave out nodes that are hardly smaller than the next node around them that stays.

    Parameters
    ----------
    start, stop
        int32 (nodes,), as :func:`max_tree` gives them.
    step
        Least part of its pixels that a node must lose.

    Returns
    -------
    ndarray
        bool (nodes,).
    """
    kept = np.zeros(start.size, np.bool_)
    around = np.empty(start.size, np.int32)
    depth = 0
    for node in range(start.size - 1, -1, -1):
        while depth and start[around[depth - 1]] >= stop[node]:
            depth -= 1
        area = stop[node] - start[node]
        if depth:
            outer = around[depth - 1]
            if area > (1 - step) * (stop[outer] - start[outer]):
                continue
        kept[node] = True
        around[depth] = node
        depth += 1
    return kept
