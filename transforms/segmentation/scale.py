"""How large the nuclei of an image are, for plates that do not say how large a pixel is.

A blob answers a Laplacian of Gaussian most strongly when the Gaussian fits it (Lindeberg 1998, International
Journal of Computer Vision 30, 79). The size at which all blobs of a field together answer best is the size of its
nuclei. Where two sizes do well, the smaller one is meant: nuclei also form larger blobs, clumps and tissue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .local_threshold import segment_nuclei
from .planes import stabilised

# Diameters that are tried, in pixels: 3 to 80, three to an octave.
_SIGMAS = 1.5 * 2.0 ** (np.arange(15) / 3)
# A nucleus is no disc and no Gaussian; over many images its diameter is this many best-fitting sigmas.
_DIAMETER_PER_SIGMA = 2.2
# What a diameter is when the image says nothing.
_UNKNOWN = 20.0


def typical_diameter(image: npt.NDArray[Any]) -> float:
    """Estimate the diameter of the nuclei of one plane.

    A first guess from blobs finds nuclei, and these are measured: half of the area they cover belongs to nuclei
    of at least this diameter, so that debris does not count.

    Parameters
    ----------
    image
        (y, x), bright nuclei on dark ground.

    Returns
    -------
    float
        Pixels, at least 3; 20 for an image in which nothing is to be seen.
    """
    guess = blob_diameter(image)
    found = segment_nuclei(image, pixel_size_um=1.0, diameter_um=guess)
    areas = np.sort(np.bincount(found.ravel())[1:])
    if not areas.size:
        return guess
    covered = np.cumsum(areas)
    return max(3.0, float(np.sqrt(areas[np.searchsorted(covered, covered[-1] / 2)] * 4 / np.pi)))


def blob_diameter(image: npt.NDArray[Any]) -> float:
    """Estimate the diameter of the blobs that dominate one plane (y, x), in pixels, from 3 to 85."""
    root = stabilised(image)
    if root.min() == root.max():
        return _UNKNOWN
    answers = np.array([_answer(root, sigma) for sigma in _SIGMAS if min(root.shape) > 4 * sigma])
    if len(answers) < 3 or answers.max() <= 0:
        return _UNKNOWN
    rises = answers[1:-1] > answers[:-2]
    peaks = 1 + np.flatnonzero(rises & (answers[1:-1] >= answers[2:]) & (answers[1:-1] >= answers.max() / 2))
    if not peaks.size:
        return float(_DIAMETER_PER_SIGMA * _SIGMAS[answers.argmax()])
    best = int(peaks[0])
    before, at, after = np.log(answers[best - 1 : best + 2])
    offset = 0.5 * (before - after) / (before - 2 * at + after)
    return float(_DIAMETER_PER_SIGMA * _SIGMAS[best] * 2 ** (offset / 3))


def _answer(root: npt.NDArray[np.float32], sigma: float) -> float:
    """Energy of the peaks of the scale-normalised Laplacian, weighted so that pixel noise does not win."""
    bins = max(1, int(sigma / 2))
    height, width = (size // bins * bins for size in root.shape)
    small = root[:height, :width].reshape(height // bins, bins, width // bins, bins).mean(axis=(1, 3))
    within = sigma / bins
    answer = -(within**2) * ndimage.gaussian_laplace(small, within)
    peaks = (answer == ndimage.maximum_filter(answer, max(3, int(2 * within) | 1))) & (answer > 0)
    return float(np.square(answer[peaks], dtype=np.float64).sum() * sigma**1.5)
