"""Otsu's global threshold and splitting by the distance transform: what other methods are compared with.

Nothing here knows about uneven light or about dim nuclei beside bright ones (Otsu 1979, IEEE Transactions on
Systems, Man and Cybernetics 9, 62). What touches is split, and specks are dropped, as in the other methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .objects import areas, new_numbers
from .planes import ground_and_split
from .splitting import smallest, split_touching

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
        Typical diameter of an object in µm.

    Returns
    -------
    ndarray
        int32 (y, x), numbered from 1.
    """
    plane = image.astype(np.float32)
    smooth = ndimage.gaussian_filter(plane, 1.0)
    levels = ground_and_split(smooth)
    if levels is None:
        return np.zeros(plane.shape, dtype=np.int32)
    inside = ndimage.binary_fill_holes(smooth > levels[1])
    diameter = diameter_um / pixel_size_um
    labels, _, _ = split_touching(inside, diameter)
    return new_numbers(areas(labels) >= smallest(diameter))[labels]
