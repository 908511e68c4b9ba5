"""What the nodes of a max-tree look like: area, how elliptic they are, and how far the image drops across their edge.

All of it adds up over the pixels of a node. The drop does by the divergence theorem: the differences between each
pixel and its neighbours, summed over a set of pixels, cancel inside it and leave those across its edge.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..jit import kernel

# Columns of node_features.
AREA, ELLIPSE, EDGE, DROP, SOFT_DROP = range(5)
_TERMS = 8


@kernel
def outflow(plane: npt.NDArray[np.float32], taken: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Sum of the differences between each pixel and its four neighbours.

    Parameters
    ----------
    plane
        float32 (y, x).
    taken
        bool (y, x): neither these pixels nor differences to them count.

    Returns
    -------
    ndarray
        float32 (y, x).
    """
    height, width = plane.shape
    flow = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width - 1):
            if not (taken[y, x] or taken[y, x + 1]):
                down = plane[y, x] - plane[y, x + 1]
                flow[y, x] += down
                flow[y, x + 1] -= down
    for y in range(height - 1):
        for x in range(width):
            if not (taken[y, x] or taken[y + 1, x]):
                down = plane[y, x] - plane[y + 1, x]
                flow[y, x] += down
                flow[y + 1, x] -= down
    return flow


@kernel
def edge_sides(levels: npt.NDArray[np.uint8], taken: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """Count darker minus brighter neighbours of each pixel: over a node of the tree, the sides of its edge.

    Returns
    -------
    ndarray
        int8 (y, x), -4 to 4.
    """
    height, width = levels.shape
    sides = np.zeros((height, width), np.int8)
    for y in range(height):
        for x in range(width - 1):
            if not (taken[y, x] or taken[y, x + 1]):
                step = np.int8(levels[y, x] > levels[y, x + 1]) - np.int8(levels[y, x] < levels[y, x + 1])
                sides[y, x] += step
                sides[y, x + 1] -= step
    for y in range(height - 1):
        for x in range(width):
            if not (taken[y, x] or taken[y + 1, x]):
                step = np.int8(levels[y, x] > levels[y + 1, x]) - np.int8(levels[y, x] < levels[y + 1, x])
                sides[y, x] += step
                sides[y + 1, x] -= step
    return sides


@kernel
def node_features(
    order: npt.NDArray[np.int32],
    start: npt.NDArray[np.int32],
    stop: npt.NDArray[np.int32],
    sides: npt.NDArray[np.int8],
    flow: npt.NDArray[np.float32],
    soft_flow: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """Measure nodes.

    Parameters
    ----------
    order, start, stop
        int32, as :func:`~.max_tree.max_tree` gives them; any of its nodes, in its order.
    sides, flow, soft_flow
        (y, x): :func:`edge_sides` of the tree's levels, :func:`outflow` of two versions of the image.

    Returns
    -------
    ndarray
        float64 (nodes, 5): area; area of the node over the area of the ellipse of its second moments, 1 for an
        ellipse and less for any other shape; length of its edge in sides of pixels, without the border of the image;
        mean drop across the edge, in either version of the image.
    """
    width = sides.shape[1]
    side, out, soft = sides.ravel(), flow.ravel(), soft_flow.ravel()
    # Running sums where a node starts, kept until the last node that starts there stops.
    slot = np.full(order.size + 1, -1, np.int32)
    last_stop = np.empty(start.size, np.int32)
    slots = 0
    for node in range(start.size):
        if slot[start[node]] < 0:
            slot[start[node]] = slots
            slots += 1
        last_stop[slot[start[node]]] = stop[node]
    at_start = np.empty((slots, _TERMS))
    needed = 0
    sums = np.zeros(_TERMS)
    features = np.empty((start.size, 5))
    node = 0
    for at in range(order.size + 1):
        while node < start.size and stop[node] == at:
            first = at_start[slot[start[node]]]
            area = stop[node] - start[node]
            mean_y = (sums[0] - first[0]) / area
            mean_x = (sums[1] - first[1]) / area
            # A pixel is a square, not a point: 1/12.
            yy = (sums[2] - first[2]) / area - mean_y**2 + 1 / 12
            xx = (sums[3] - first[3]) / area - mean_x**2 + 1 / 12
            xy = (sums[4] - first[4]) / area - mean_y * mean_x
            edge = sums[5] - first[5]
            features[node, AREA] = area
            features[node, ELLIPSE] = area / (4 * math.pi * math.sqrt(max(yy * xx - xy * xy, 1e-9)))
            features[node, EDGE] = edge
            features[node, DROP] = (sums[6] - first[6]) / max(edge, 1.0)
            features[node, SOFT_DROP] = (sums[7] - first[7]) / max(edge, 1.0)
            node += 1
        if at == order.size:
            break
        if slot[at] >= 0:
            for term in range(_TERMS):
                at_start[slot[at], term] = sums[term]
            needed = max(needed, last_stop[slot[at]])
        if at >= needed:
            continue
        pixel = order[at]
        y = pixel // width
        x = pixel - y * width
        sums[0] += y
        sums[1] += x
        sums[2] += y * y
        sums[3] += x * x
        sums[4] += x * y
        sums[5] += side[pixel]
        sums[6] += out[pixel]
        sums[7] += soft[pixel]
    return features
