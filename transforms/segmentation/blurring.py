"""Hot pixels off, and Gaussian blur: exact for small widths, on a coarser grid for large ones."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..jit import kernel, summing_kernel
from .planes import Plane, binned

# Where the Gaussian ends, in widths.
_REACH = 4.0
# Least width of a Gaussian in pixels of the grid that it is computed on.
_FINEST = 2.0


def without_hot_pixels(plane: Plane) -> Plane:
    """Lower each pixel that is brighter than its eight neighbours to the brightest of them; two pixels at least."""
    framed = np.pad(plane, 1, constant_values=-np.inf)
    rows = np.maximum(np.maximum(framed[:, :-2], framed[:, 1:-1]), framed[:, 2:])
    beside = np.maximum(framed[1:-1, :-2], framed[1:-1, 2:])
    return np.minimum(plane, np.maximum(beside, np.maximum(rows[:-2], rows[2:])))


def blurred(plane: Plane, sigma: float) -> Plane:
    """Convolve a float32 plane with a Gaussian of ``sigma`` pixels; the plane is mirrored at its border."""
    return convolved(plane, gaussian_taps(sigma))


def coarsely_blurred(plane: Plane, sigma: float) -> tuple[Plane, int]:
    """Blur by a wide Gaussian on a grid of squares of pixels.

    Returns
    -------
    coarse, bins
        The blurred plane, and the side of its squares in pixels: 1 where the Gaussian is not wide.
    """
    bins = max(1, int(sigma / _FINEST))
    # Means over squares blur by themselves.
    own = (bins**2 - 1) / 12
    return blurred(binned(plane, bins), math.sqrt(sigma**2 - own) / bins), bins


@kernel
def gaussian_taps(sigma: float) -> npt.NDArray[np.float32]:
    """Weights of a Gaussian from its middle outwards, float32; with the other half they add up to 1."""
    taps = np.empty(int(_REACH * sigma + 0.5) + 1, np.float32)
    total = -1.0
    for k in range(taps.size):
        total += 2 * math.exp(-0.5 * (k / sigma) ** 2)
    for k in range(taps.size):
        taps[k] = math.exp(-0.5 * (k / sigma) ** 2) / total
    return taps


@summing_kernel
def convolved(plane: npt.NDArray[np.float32], taps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Convolve along y, then along x, with a symmetric kernel given from its middle outwards."""
    height, width = plane.shape
    radius = taps.size - 1
    result = np.empty((height, width), np.float32)
    row = np.empty(width + 2 * radius, np.float32)
    for y in range(height):
        middle = row[radius : radius + width]
        for x in range(width):
            middle[x] = taps[0] * plane[y, x]
        for k in range(1, radius + 1):
            above = plane[_mirrored(y - k, height)]
            below = plane[_mirrored(y + k, height)]
            tap = taps[k]
            for x in range(width):
                middle[x] += tap * (above[x] + below[x])
        for k in range(1, radius + 1):
            row[radius - k] = middle[_mirrored(-k, width)]
            row[radius + width - 1 + k] = middle[_mirrored(width - 1 + k, width)]
        out = result[y]
        for x in range(width):
            out[x] = taps[0] * middle[x]
        for k in range(1, radius + 1):
            left = row[radius - k : radius - k + width]
            right = row[radius + k : radius + k + width]
            tap = taps[k]
            for x in range(width):
                out[x] += tap * (left[x] + right[x])
    return result


@summing_kernel
def _mirrored(at: int, size: int) -> int:
    """Index within 0 … size − 1 of a pixel of the plane that is mirrored at its border without end."""
    at %= 2 * size
    return at if at < size else 2 * size - 1 - at


@summing_kernel
def less_coarse(plane: npt.NDArray[np.float32], coarse: npt.NDArray[np.float32], bins: int) -> npt.NDArray[np.float32]:
    """Subtract a plane on a coarser grid from one on the fine grid, linearly between its pixels' middles.

    Parameters
    ----------
    plane
        float32 (y, x).
    coarse
        float32, one pixel for each square of ``bins`` × ``bins`` pixels.

    Returns
    -------
    ndarray
        float32 (y, x).
    """
    height, width = plane.shape
    rows, columns = coarse.shape
    result = np.empty((height, width), np.float32)
    row = np.empty(columns, np.float32)
    for y in range(height):
        place = min(max((y + 0.5) / bins - 0.5, 0.0), rows - 1.0)
        upper = int(place)
        lower = min(upper + 1, rows - 1)
        weight = np.float32(place - upper)
        for x in range(columns):
            row[x] = coarse[upper, x] + weight * (coarse[lower, x] - coarse[upper, x])
        for x in range(width):
            place = min(max((x + 0.5) / bins - 0.5, 0.0), columns - 1.0)
            left = int(place)
            right = min(left + 1, columns - 1)
            result[y, x] = plane[y, x] - (row[left] + np.float32(place - left) * (row[right] - row[left]))
    return result
