"""How sharp an image is, by CellProfiler's measures: variance over the mean, the slope of the power spectrum, texture.

Definitions are those of CellProfiler 4's MeasureImageQuality and of its library centrosome. Where CellProfiler writes
0 because a measure is not defined (constant image, image too small), it is None here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

FloatArray = NDArray[np.float64]

#: Grey levels of the texture measure (centrosome.haralick).
_LEVELS = 8
#: The power spectrum is looked at up to this share of the sampling frequency, and from this radius on.
_HIGHEST, _FIRST_RADIUS = 1 / 8, 2


def local_focus_score(plane: NDArray[Any], scale: int) -> float | None:
    """Variance over the windows, divided by the median over the windows, of each window's variance over its mean.

    Parameters
    ----------
    plane
        (y, x), any pixel type.
    scale
        Side of a window in pixels; windows are as even as can be and none is larger.

    Returns
    -------
    float or None
        In grey values; None where the median is 0, so that the score is not defined. Windows of mean 0 take no part.
    """
    rows, columns = (_window_starts(length, scale) for length in plane.shape)
    # Grey values of a camera are whole numbers, and so small that nothing below is rounded before the division; others
    # are taken relative to one of theirs, so that what is left of a bright window's variance is not rounding.
    wide = plane.astype(np.float64)
    origin = 0.0 if plane.dtype.kind in "iu" else float(wide[0, 0])
    wide -= origin
    sums = np.add.reduceat(np.add.reduceat(wide, columns, axis=1), rows, axis=0)
    squares = np.add.reduceat(np.add.reduceat(np.square(wide, out=wide), columns, axis=1), rows, axis=0)
    counts = np.outer(_lengths(rows, plane.shape[0]), _lengths(columns, plane.shape[1]))
    means = sums / counts + origin
    counted = means != 0
    variances = (counts * squares - sums**2).clip(0) / counts**2
    scores = variances[counted] / means[counted]
    middle = float(np.median(scores)) if scores.size else 0.0
    return float(np.var(scores)) / middle if middle > 0 else None


def _window_starts(length: int, scale: int) -> NDArray[np.intp]:
    """Give the first pixel of each window: pixel i belongs to window floor(i m / length) of m."""
    windows = -(-length // scale)
    return -(-np.arange(windows) * length // windows)


def _lengths(starts: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    return np.diff(starts, append=length)


def power_log_log_slope(plane: NDArray[Any]) -> float | None:
    """Slope of the logarithm of the power over the logarithm of the spatial frequency, by least squares.

    Power is summed over rings one frequency wide (centrosome.radial_power_spectrum.rps), from the second to an
    eighth of the shorter side. More negative is blurrier. None for a constant image and for one with fewer than two
    rings (a side of less than 32 pixels).

    The spectrum of a real image is symmetric, and only its lowest eighth counts: the transform along rows is taken
    whole, the one along columns only for the columns that are looked at.
    """
    height, width = plane.shape
    radii = np.arange(_FIRST_RADIUS, math.floor(min(height, width) * _HIGHEST))
    if len(radii) < 2:
        return None
    reach = int(radii[-1]) + 1
    centred = plane - np.float32(plane.mean(dtype=np.float64))
    centred /= max(float(centred.max()), -float(centred.min())) or 1.0  # the slope does not see it, float32 would
    across = fft.rfft(centred, axis=1)[:, : reach + 1]
    # Both halves of the columns' frequencies, rows from -reach to reach: the other half is the mirror image.
    magnitude = np.abs(np.fft.fftshift(fft.fft(across, axis=0), axes=0))
    power = np.square(magnitude[height // 2 - reach : height // 2 + reach + 1], dtype=np.float64)
    # The rings of centrosome count the frequency -k as k - 1; so do these, because values are to be comparable.
    down = _counted(np.arange(-reach, reach + 1))
    sums = np.zeros(reach + 2)
    for part, along in ((power[:, :reach], np.arange(reach)), (power[::-1, 1:], _counted(-np.arange(1, reach + 1)))):
        rings = np.floor(np.hypot(down[:, None], along)).astype(np.intp) + 1
        sums += np.bincount(np.minimum(rings, reach + 1).ravel(), part.ravel(), minlength=reach + 2)
    power_of_ring = sums[radii]
    valid = power_of_ring > 0
    if valid.sum() < 2:
        return None
    x, y = np.log(radii[valid]), np.log(power_of_ring[valid])
    x = x - x.mean()
    return float(np.dot(x, y) / np.dot(x, x))


def _counted(frequencies: NDArray[Any]) -> NDArray[Any]:
    return np.where(frequencies < 0, -frequencies - 1, frequencies)


def texture_correlation(plane: NDArray[Any], scale: int, *, low: float, high: float) -> float | None:
    """Haralick's correlation of pixels ``scale`` columns apart, on eight grey levels between ``low`` and ``high``.

    ``low`` and ``high`` are the image's own least and largest value. None where one of the two sides is constant.
    Source: centrosome.haralick.Haralick(image, labels, 0, scale).H3().
    """
    if high <= low or plane.shape[1] <= scale:
        return None
    quantised = _quantised(plane, low, high)
    left, right = quantised[:, :-scale], quantised[:, scale:]
    # Haralick's correlation is Pearson's, of the grey levels of the pairs. A row's sums are small whole numbers, which
    # float32 holds exactly.
    ones = np.ones(left.shape[1], np.float32)
    sums = [
        float(np.einsum("ij,ij->i", one, other).sum(dtype=np.float64)) / left.size
        for one, other in ((left, right), (left, left), (right, right))
    ]
    mean_left, mean_right = (float((side @ ones).sum(dtype=np.float64)) / left.size for side in (left, right))
    variances = (sums[1] - mean_left**2) * (sums[2] - mean_right**2)
    if variances <= 0:
        return None
    return (sums[0] - mean_left * mean_right) / math.sqrt(variances)


def _quantised(plane: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Give the grey level, 0 to 7, of each pixel."""
    if plane.dtype.kind == "u" and plane.dtype.itemsize <= 2:
        table = _level(np.arange(int(high) + 1, dtype=np.float64), low, high)
        return table.take(plane)
    return _level(plane, low, high)


def _level(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    levels: NDArray[np.float32] = np.floor((values - low) / ((high - low) / _LEVELS)).clip(0, _LEVELS - 1)
    return levels.astype(np.float32)
