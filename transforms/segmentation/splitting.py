"""Splitting a mask into objects: where the distance to its edge has a peak of its own, there is an object."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from .planes import Mask, Plane

Labels = npt.NDArray[np.int32]

# In diameters of an object.
_ROUNDING = 0.08  # smoothing of the distance: an uneven edge is no reason to split
_APART = 0.25  # least distance between two objects' middles
_SMALLEST = 0.1  # least area, of the disc of one diameter


def smallest(diameter: float) -> float:
    """Area in pixels below which nothing is an object of that diameter."""
    return _SMALLEST * math.pi / 4 * diameter**2


def split_touching(inside: Mask, diameter: float) -> tuple[Labels, int, Plane]:
    """Split a mask where it narrows.

    Parameters
    ----------
    inside
        bool (y, x).
    diameter
        Typical diameter of an object in pixels.

    Returns
    -------
    labels, count, depth
        int32 (y, x) numbered 1 … count; every pixel of the mask belongs to an object. Depth is the distance of
        each pixel to the nearest one outside the mask.
    """
    depth = ndimage.distance_transform_edt(inside).astype(np.float32)
    rounded = ndimage.gaussian_filter(depth, max(_ROUNDING * diameter, 0.5))
    return *basins(rounded, inside, _APART * diameter), depth


def basins(height: Plane, inside: Mask, apart: float | npt.NDArray[np.float64]) -> tuple[Labels, int]:
    """Split a mask of two or three dimensions by a watershed from its peaks.

    Peaks closer than ``apart`` pixels, along every axis or along each, are one.
    """
    size = [2 * max(1, int(along)) + 1 for along in np.broadcast_to(apart, height.ndim)]
    peaks = (height == ndimage.maximum_filter(height, size)) & inside
    # A part of the mask that lies beside a higher one has no peak of that kind; its highest pixel will do.
    parts, n_parts = ndimage.label(inside)
    peaked = np.zeros(n_parts + 1, dtype=np.bool_)
    peaked[0] = True
    peaked[parts[peaks]] = True
    rest = np.flatnonzero(~peaked[parts])
    part = parts.ravel()[rest]
    order = np.lexsort((height.ravel()[rest], part))
    highest = np.append(part[order][1:] != part[order][:-1], True)[: rest.size]
    peaks.ravel()[rest[order[highest]]] = True
    markers, count = ndimage.label(peaks, np.ones((3,) * height.ndim))
    return np.asarray(watershed(-height, markers, mask=inside), dtype=np.int32), count
