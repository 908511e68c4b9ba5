"""Operations on single planes that several methods share: stabilised noise, coarser grids, small holes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def stabilised(image: npt.NDArray[Any]) -> Plane:
    """Square root of intensity: the noise of photons gets even, dim and bright objects more alike."""
    root: Plane = np.sqrt(np.maximum(image, 0).astype(np.float32))
    return root


def binned(plane: Plane, bins: int) -> Plane:
    """Means of squares of ``bins`` × ``bins`` pixels; the last row and column are repeated to fill a square."""
    if bins == 1:
        return plane.copy()
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % bins), (0, -width % bins)), mode="edge")
    squares = padded.reshape(padded.shape[0] // bins, bins, padded.shape[1] // bins, bins)
    return np.asarray(squares.mean(axis=(1, 3)), dtype=np.float32)


def unbinned(plane: Plane, bins: int, shape: tuple[int, ...]) -> Plane:
    """Bring a binned plane back to its full shape, between its pixels by linear interpolation."""
    if bins == 1:
        return plane
    full = ndimage.zoom(plane, bins, order=1, mode="nearest", grid_mode=True)
    return np.asarray(full[: shape[0], : shape[1]])


def without_holes(inside: Mask, largest: float) -> Mask:
    """Fill holes of at most ``largest`` pixels, in a mask of two or three dimensions."""
    holes, count = ndimage.label(~inside)
    small = np.bincount(holes.ravel(), minlength=count + 1) <= largest
    small[0] = False
    return inside | small[holes]


def noise(plane: Plane, bins: int) -> float:
    """Estimate the standard deviation of the noise in means of ``bins`` × ``bins`` pixels.

    From mixed second differences, which do not see slopes: half the root of the mean square of
    ``a − b − c + d`` over squares of four is the standard deviation of each. Bins also carry the noise that
    neighbouring pixels share, in resampled or denoised images.
    """
    small = binned(plane, bins)
    mixed = np.abs(small[1:, 1:] - small[1:, :-1] - small[:-1, 1:] + small[:-1, :-1]) / 2
    if not mixed.size:
        return 0.0
    # The median of a normal distribution's sizes, which objects hardly move; their mean where most pixels are
    # one and the same value and the median is 0.
    return 1.4826 * float(np.median(mixed)) or 1.2533 * float(mixed.mean())


def ground_and_split(plane: Plane) -> tuple[float, float] | None:
    """Return the level of the dark part and Otsu's threshold above it; None where a plane is flat.

    Flat means to within the rounding of float32 arithmetic, in which no histogram of 256 bins can be made.
    """
    low, high = float(plane.min()), float(plane.max())
    if high - low <= 1e-4 * max(abs(low), abs(high)):
        return None
    split = float(threshold_otsu(plane))
    return float(np.median(plane[plane <= split])), split
