"""Otsu's global threshold and splitting by the distance transform: what other methods are compared with.

Nothing here knows about uneven light or about dim nuclei beside bright ones. It is the textbook recipe (Otsu 1979,
IEEE Trans. SMC 9, 62; Euclidean distance transform; watershed from its peaks).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

Labels = npt.NDArray[np.int32]


def segment_otsu(image: npt.NDArray[Any], *, pixel_size_um: float, diameter_um: float = 12.0) -> Labels:
    """Threshold one plane by Otsu's method and split what touches.

    Parameters
    ----------
    image
        (y, x), bright objects on dark ground.
    pixel_size_um
        Side of a pixel in µm.
    diameter_um
        Typical diameter of an object in µm: peaks closer than a half of it are one object.

    Returns
    -------
    ndarray
        int32 (y, x), numbered from 1.
    """
    plane = image.astype(np.float32)
    if plane.min() == plane.max():
        return np.zeros(plane.shape, dtype=np.int32)
    smooth = ndimage.gaussian_filter(plane, 1.0)
    inside = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))
    depth = ndimage.distance_transform_edt(inside)
    apart = max(1, round(diameter_um / pixel_size_um / 2))
    peaks = peak_local_max(depth, min_distance=apart, labels=ndimage.label(inside)[0], exclude_border=False)
    markers = np.zeros(plane.shape, dtype=np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1, dtype=np.int32)
    return np.asarray(watershed(-depth, markers, mask=inside), dtype=np.int32)
