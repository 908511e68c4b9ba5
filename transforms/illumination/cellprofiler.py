"""The estimate of CellProfiler's CorrectIlluminationCalculate: images averaged, smoothed, rescaled.

Its settings "Regular", "All", "Gaussian Filter" (Jones et al. 2006, "Methods for high-content, high-throughput
image-based cell screening"; Singh et al. 2014, J. Microsc. 256:231). Two differences, on purpose: images are divided by
their own means first, so that bright wells do not decide, and the smoothing fits lines, so that edges are not too flat.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .flatness import mean_image
from .grids import LEAST_LIGHT, Float, smoothed


def estimate(stack: npt.NDArray[np.floating], *, average: str, smoothing: float) -> Float:
    """Estimate the light on a grid.

    Parameters
    ----------
    stack
        (n, y, x), images on the grid, their means above 0.
    average
        ``mean``, or ``median`` over the images at each place: better where objects cover little of the field.
    smoothing
        Standard deviation of the Gaussian weights as a share of the longer side.

    Returns
    -------
    ndarray
        float64 (y, x), mean 1, above 0.
    """
    if average == "median":
        mean = np.median(stack / stack.mean(axis=(1, 2), keepdims=True), axis=0)
    else:
        mean = mean_image(stack)
    light = smoothed(mean, smoothing)
    light = np.maximum(light / light.mean(), LEAST_LIGHT)
    return np.asarray(light / light.mean())
