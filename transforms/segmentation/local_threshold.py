"""Nuclei by a threshold of their own: each ends half-way between the ground and its own brightness."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

Labels = npt.NDArray[np.int32]


def segment_nuclei(
    image: npt.NDArray[Any], *, pixel_size_um: float, diameter_um: float = 12.0, sensitivity: float = 0.5
) -> Labels:
    """Find bright nuclei on a dark ground. (First version; the algorithm is being tuned.)

    Parameters
    ----------
    image
        (y, x), any real dtype.
    pixel_size_um
        Side of a pixel in µm.
    diameter_um
        Typical diameter of a nucleus in µm.
    sensitivity
        Where a nucleus ends, as a fraction of its own height above the ground.

    Returns
    -------
    ndarray
        int32 (y, x), numbered from 1.
    """
    diameter = diameter_um / pixel_size_um
    plane = np.sqrt(image.astype(np.float32))
    if plane.min() == plane.max():
        return np.zeros(plane.shape, dtype=np.int32)
    smooth = ndimage.gaussian_filter(plane, max(0.06 * diameter, 0.7))
    level = threshold_otsu(smooth)
    ground = float(np.median(smooth[smooth <= level]))
    foreground = smooth > ground + 0.4 * (level - ground)
    basins, count = _basins(ndimage.gaussian_filter(plane, 0.22 * diameter), foreground, 0.3 * diameter)
    height = np.zeros(count + 1, dtype=np.float32)
    order = np.lexsort((smooth.ravel(), basins.ravel()))
    ends = np.cumsum(np.bincount(basins.ravel(), minlength=count + 1))
    starts = np.concatenate([[0], ends[:-1]])
    height = smooth.ravel()[order[(starts + 0.8 * (ends - starts - 1)).astype(np.int64)]]
    inside = (basins > 0) & (smooth > (ground + sensitivity * (height - ground))[basins])
    inside = ndimage.binary_opening(ndimage.binary_fill_holes(inside))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), max(0.08 * diameter, 0.5))
    labels, count = _basins(depth, inside, 0.35 * diameter)
    contrast = ndimage.mean(smooth, labels, np.arange(count + 1)) - ground
    area = np.bincount(labels.ravel(), minlength=count + 1)
    weak = contrast < 0.25 * np.median(contrast[1:]) if count else np.zeros(1, dtype=bool)
    keep = np.arange(count + 1, dtype=np.int32)
    keep[weak | (area < 0.06 * np.pi / 4 * diameter**2)] = 0
    return keep[labels]


def _basins(height: npt.NDArray[Any], inside: npt.NDArray[np.bool_], apart: float) -> tuple[Labels, int]:
    regions, _ = ndimage.label(inside)
    peaks = peak_local_max(height, min_distance=max(1, int(apart)), labels=regions, exclude_border=False)
    markers = np.zeros(height.shape, dtype=np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1, dtype=np.int32)
    return np.asarray(watershed(-height, markers, mask=inside), dtype=np.int32), len(peaks)
