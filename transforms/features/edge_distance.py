"""Exact squared distance of an object's pixels to the nearest pixel outside it.

The squared Euclidean distance is separable: first the distance inside each column, then along each row the least of
(column distance)² + (step)². Pixels beyond the end of a run are farther than the end itself, so rows split into runs.
Along a run the least of many parabolas is found in one pass each way: A. Meijster, J. Roerdink, W. Hesselink, "A
general algorithm for computing distance transforms in linear time", 2000.

Whether what lies beyond the image counts as outside is the caller's choice: it is outside at distance 0, or ``FAR``.
"""

from __future__ import annotations

from ..jit import kernel
from .label_index import Int32Array, Int64Array

#: A distance that no pixel has: on this side of the object there is nothing outside it.
FAR = 1 << 24


@kernel
def column_distances(runs: Int32Array, y0: int, x0: int, above: int, below: int, out: Int32Array) -> None:
    """Distance of each object pixel to the nearest outside pixel of its column; 0 outside.

    Row 0 of ``out``, which is row ``y0`` of the image, and its last row are outside the object; ``above`` and ``below``
    are the distances from there to a pixel that counts: 0 or ``FAR``.
    """
    height, width = out.shape
    out[:] = 0
    out[0] = above
    for i in range(runs.shape[0]):
        y = runs[i, 0] - y0
        for x in range(runs[i, 1] - x0, runs[i, 2] - x0):
            out[y, x] = min(out[y - 1, x] + 1, FAR)
    out[height - 1] = below
    for y in range(height - 2, 0, -1):
        for x in range(width):
            out[y, x] = min(out[y, x], out[y + 1, x] + 1)


@kernel
def row_distances(
    to_edge: Int32Array, left: int, right: int, best: Int64Array, sites: Int32Array, starts: Int32Array
) -> None:
    """Squared distance to the outside of each pixel of one run, from the column distances of the run.

    ``sites[t]`` is the column whose outside pixel is nearest from column ``starts[t]`` on. The pixels just before and
    just after the run are at columns -1 and ``length``, and at the distances ``left`` and ``right`` from the outside: 0
    or ``FAR``.
    """
    length = to_edge.shape[0]
    sites[0], starts[0] = -1, 0
    top, of_top = 0, left
    for column in range(length + 1):
        here = to_edge[column] if column < length else right
        while True:
            # The first column at which `column` is nearer than the site on top: where the two parabolas cross.
            between = here * here + column * column - of_top * of_top - sites[top] * sites[top]
            start = between // (2 * (column - sites[top])) + 1
            if top == 0 or start > starts[top]:
                break
            top -= 1
            of_top = to_edge[sites[top]] if top > 0 else left
        if start < length:
            top += 1
            sites[top], starts[top] = column, max(start, 0)
            of_top = here
    stop = length
    for t in range(top, -1, -1):
        site = sites[t]
        of_site = left if site < 0 else right if site == length else to_edge[site]
        for x in range(starts[t], stop):
            best[x] = (x - site) * (x - site) + of_site * of_site
        stop = starts[t]
