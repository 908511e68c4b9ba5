"""Cells around nuclei: each nucleus is the seed of one cell, which has its number and contains it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

Labels = npt.NDArray[np.int32]


def cells_by_distance(nuclei: Labels, *, pixel_size_um: float, max_distance_um: float) -> Labels:
    """Give every pixel within reach to the nearest nucleus.

    Parameters
    ----------
    nuclei
        int32 (y, x); gaps in the numbers are allowed.
    pixel_size_um
        Side of a pixel in µm.
    max_distance_um
        Reach, from the edge of the nucleus.

    Returns
    -------
    ndarray
        int32 (y, x), numbered as the nuclei.
    """
    distance, nearest = ndimage.distance_transform_edt(nuclei == 0, return_indices=True)
    grown = nuclei[tuple(nearest)]
    grown[distance > max_distance_um / pixel_size_um] = 0
    return np.asarray(grown, dtype=np.int32)


def cells_from_nuclei(
    image: npt.NDArray[Any], nuclei: Labels, *, pixel_size_um: float, max_distance_um: float = 25.0
) -> Labels:
    """Grow nuclei over the foreground of a cytoplasm stain by a seeded watershed.

    Parameters
    ----------
    image
        (y, x) of a stain that fills the cell, bright on dark.
    nuclei
        int32 (y, x); gaps in the numbers are allowed.
    pixel_size_um
        Side of a pixel in µm.
    max_distance_um
        Farthest that a cell reaches from the edge of its nucleus.

    Returns
    -------
    ndarray
        int32 (y, x), numbered as the nuclei: one cell for each, which contains it.
    """
    if image.shape != nuclei.shape:
        raise ValueError(f"image {image.shape} and nuclei {nuclei.shape} differ in shape")
    smooth = ndimage.gaussian_filter(np.sqrt(image.astype(np.float32)), max(1.0, 0.5 / pixel_size_um))
    distance = ndimage.distance_transform_edt(nuclei == 0)
    reach = distance <= max_distance_um / pixel_size_um
    level = threshold_otsu(smooth) if smooth.min() < smooth.max() else np.inf
    inside = (reach & (smooth > level)) | (nuclei > 0)
    return np.asarray(watershed(distance, nuclei, mask=inside), dtype=np.int32)
