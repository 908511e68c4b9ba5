"""Cells around nuclei: each nucleus is the seed of one cell, which has its number and contains it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from .planes import Mask, ground_and_split, noise, stabilised, without_holes

Labels = npt.NDArray[np.int32]

_SMOOTHING_UM = 0.7
# Vacuoles and the like belong to the cell.
_LARGEST_HOLE_UM2 = 20.0
# Least height of the foreground, in standard deviations of the noise that is left after smoothing.
_MIN_SIGNAL = 4.0


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
    image: npt.NDArray[Any],
    nuclei: Labels,
    *,
    pixel_size_um: float,
    max_distance_um: float = 25.0,
    edge_level: float = 0.5,
) -> Labels:
    """Grow nuclei over the foreground of a stain of the cell body; cells that touch meet half-way.

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
    edge_level
        Where the foreground ends, as a fraction of the way from the ground to Otsu's threshold (of the square
        root of intensity). Otsu's own level cuts off the thin rim of a cell.

    Returns
    -------
    ndarray
        int32 (y, x), numbered as the nuclei: one connected cell for each, which contains it. Where the stain
        does not stand out from noise, the cell is its nucleus.
    """
    distance, inside = reach(
        image, nuclei, pixel_size_um=pixel_size_um, max_distance_um=max_distance_um, edge_level=edge_level
    )
    return np.asarray(watershed(distance, nuclei, mask=inside), dtype=np.int32)


def reach(
    image: npt.NDArray[Any], nuclei: Labels, *, pixel_size_um: float, max_distance_um: float, edge_level: float
) -> tuple[npt.NDArray[np.float64], Mask]:
    """Find the pixels that cells may take: the nuclei, and what is stained and not too far from one.

    Parameters
    ----------
    image, nuclei, pixel_size_um, max_distance_um, edge_level
        See :func:`cells_from_nuclei`.

    Returns
    -------
    distance, inside
        Distance of each pixel to the nearest nucleus in pixels, (y, x); bool (y, x).
    """
    if image.shape != nuclei.shape:
        raise ValueError(f"image {image.shape} and nuclei {nuclei.shape} differ in shape")
    distance = np.asarray(ndimage.distance_transform_edt(nuclei == 0))
    inside = (distance <= max_distance_um / pixel_size_um) & _stained(image, pixel_size_um, edge_level)
    return distance, inside | (nuclei > 0)


def _stained(image: npt.NDArray[Any], pixel_size_um: float, edge_level: float) -> Mask:
    root = stabilised(image)
    sigma = max(1.0, _SMOOTHING_UM / pixel_size_um)
    smooth = ndimage.gaussian_filter(root, sigma)
    levels = ground_and_split(smooth)
    if levels is None:
        return np.zeros(image.shape, dtype=np.bool_)
    ground, split = levels
    bins = max(1, round(sigma))
    least = _MIN_SIGNAL * noise(root, bins) * bins / (2 * math.sqrt(math.pi) * sigma)
    inside = smooth > ground + max(edge_level * (split - ground), least)
    return without_holes(inside, _LARGEST_HOLE_UM2 / pixel_size_um**2)
