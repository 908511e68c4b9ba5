"""How even the light is over one image, told from its background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Blocks down and across: so large that each holds some background between cells, and enough for a surface.
BLOCKS = 4
#: Share of a block's pixels that lie at or below its background.
BACKGROUND_SHARE = 0.02
#: Pixels of a block that are enough to tell that share; larger blocks are looked at in steps.
_SIDE = 100


def unevenness(plane: NDArray[Any]) -> float | None:
    """Give how far the background of an image rises over its field, as a share of its mean.

    The background of each of 4 × 4 blocks is the grey value that 2 % of its pixels do not exceed; a surface of second
    degree is fitted to the 16 by least squares; the measure is its largest less its least value at the blocks, over
    its mean. 0 is even; 0.3 means that the brightest part gets about a third more light than the darkest. The camera's
    offset is part of the grey values and makes it smaller.

    Parameters
    ----------
    plane
        (y, x), any pixel type.

    Returns
    -------
    float or None
        None for an image of fewer than 4 × 4 pixels, and where the mean is not above 0.
    """
    height, width = (length // BLOCKS for length in plane.shape)
    if height == 0 or width == 0:
        return None
    down, across = max(1, height // _SIDE), max(1, width // _SIDE)
    background = np.empty((BLOCKS, BLOCKS))
    for i in range(BLOCKS):
        for j in range(BLOCKS):
            block = plane[i * height : (i + 1) * height : down, j * width : (j + 1) * width : across].ravel()
            place = int(block.size * BACKGROUND_SHARE)
            background[i, j] = np.partition(block, place)[place]
    surface = _SURFACE @ background.ravel()
    mean = float(surface.mean())
    return float(np.ptp(surface)) / mean if mean > 0 else None


def _projection() -> NDArray[np.float64]:
    """Matrix (16, 16) that takes 16 values to the surface of second degree that fits them best."""
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : BLOCKS * 1j, -1 : 1 : BLOCKS * 1j])
    terms = np.stack([np.ones_like(x), y, x, y * y, x * y, x * x], axis=1)
    fitted: NDArray[np.float64] = terms @ np.linalg.pinv(terms)
    return fitted


_SURFACE = _projection()
