"""How large the nuclei of an image are, for plates that do not say how large a pixel is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu


def typical_diameter(image: npt.NDArray[Any]) -> float:
    """Estimate the diameter in pixels of the objects that fill most of the foreground.

    The foreground is Otsu's; each local maximum of its distance transform is the radius of one object, and
    objects count by area, so that debris does not pull the estimate down.

    Parameters
    ----------
    image
        (y, x), bright objects on dark ground.

    Returns
    -------
    float
        Pixels, at least 4; 20 for an image without any object.
    """
    plane = np.sqrt(image.astype(np.float32))
    if plane.min() == plane.max():
        return 20.0
    smooth = ndimage.gaussian_filter(plane, 1.0)
    inside = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1.0)
    peaks = peak_local_max(depth, min_distance=3, threshold_abs=1.5, exclude_border=False)
    if not len(peaks):
        return 20.0
    radii = np.sort(depth[tuple(peaks.T)])
    weights = np.cumsum(radii**2)
    return max(4.0, 2.0 * float(radii[np.searchsorted(weights, weights[-1] / 2)]))
