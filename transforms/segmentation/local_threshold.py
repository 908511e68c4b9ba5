"""Nuclei by a bounded local threshold: each ends where it should for its own brightness and its own surroundings.

One threshold for a field loses dim nuclei beside bright ones and glues neighbours together; a purely local one
finds objects in empty ground. So the threshold follows the local mean, but between bounds that every object sets
for itself: never below half of its own height above the ground, never above most of it. What touches is split
where the distance transform narrows, and what stands out no more than noise does is no object.

All lengths are fractions of the diameter of a nucleus, so the method is the same at any magnification.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from .planes import Mask, Plane, binned, noise, stabilised, unbinned, without_holes

Labels = npt.NDArray[np.int32]

# In diameters of a nucleus.
_GROUND = 10.0  # window in which some ground shows between nuclei
_SURROUNDINGS = 1.5  # window of the local mean
_EDGE = 0.04  # smoothing of the image that is thresholded
_BODY = 0.22  # smoothing that leaves one peak for a nucleus
_BODY_APART = 0.3
_DEPTH = 0.08  # smoothing of the distance transform
_DEPTH_APART = 0.25
_RING = 0.2  # width of the surroundings that an object is compared with
_FINEST = 12  # pixels for one diameter that the coarse steps need

# Fractions of heights above the ground.
_FLOOR = 0.4  # of Otsu's level: below it, nothing is looked at
_ABOVE_MEAN = 1.1  # of the local mean
_HIGHEST = 0.85  # of an object's own height, the upper bound
_OWN_HEIGHT = 0.8  # quantile that is an object's height

# Objects that are kept.
_MIN_AREA = 0.1  # of the disc of one diameter
_MIN_DROP = 0.4  # of the field's typical drop from object to surroundings
_MIN_SIGNAL = 15.0  # drop in standard deviations of the noise on the scale of a nucleus


def segment_nuclei(
    image: npt.NDArray[Any], *, pixel_size_um: float, diameter_um: float = 12.0, edge_level: float = 0.5
) -> Labels:
    """Find bright nuclei on a dark ground.

    Parameters
    ----------
    image
        (y, x), any real dtype, not negative: fluorescence. Dark nuclei need their image inverted first.
    pixel_size_um
        Side of a pixel in µm.
    diameter_um
        Typical diameter of a nucleus in µm. Off by a fifth either way, results are nearly the same.
    edge_level
        Where a nucleus ends at the outermost, as a fraction of its own height above the ground (of the square
        root of intensity).

    Returns
    -------
    ndarray
        int32 (y, x), numbered without order or gaps from 1; all 0 when nothing stands out from noise.
    """
    diameter = diameter_um / pixel_size_um
    root = stabilised(image)
    if root.min() == root.max():
        return np.zeros(root.shape, dtype=np.int32)
    bins = max(1, int(diameter / _FINEST))
    coarse = binned(root, bins)
    uneven = _ground(coarse, diameter / bins)
    coarse -= uneven
    root -= unbinned(uneven, bins, root.shape)
    smooth = ndimage.gaussian_filter(root, max(_EDGE * diameter, 0.7))
    level = unbinned(_threshold(coarse, diameter / bins, edge_level), bins, root.shape)
    inside = without_holes(smooth > level, 0.3 * diameter**2)
    inside = ndimage.binary_opening(inside)
    depth = ndimage.distance_transform_edt(inside).astype(np.float32)
    depth = ndimage.gaussian_filter(depth, max(_DEPTH * diameter, 0.5))
    labels, count = _basins(depth, inside, _DEPTH_APART * diameter)
    return _standing_out(labels, count, smooth, diameter, _noise_of_bodies(root, diameter))


def _ground(plane: Plane, diameter: float) -> Plane:
    """Smooth surface under the nuclei: uneven light, haze, camera offset."""
    bins = max(1, int(diameter / 4))
    small = ndimage.gaussian_filter(binned(plane, bins), 0.5)
    window = int(_GROUND * diameter / bins) | 1
    opened = ndimage.grey_opening(small, size=(window, window))
    return unbinned(ndimage.gaussian_filter(opened, window / 2), bins, plane.shape)


def _threshold(plane: Plane, diameter: float, edge_level: float) -> Plane:
    """Threshold at every pixel."""
    body = ndimage.gaussian_filter(plane, _BODY * diameter)
    smooth = ndimage.gaussian_filter(plane, max(_EDGE * diameter, 0.5))
    split = threshold_otsu(smooth)
    ground = float(np.median(smooth[smooth <= split]))
    basins, count = _basins(body, smooth > ground + _FLOOR * (split - ground), _BODY_APART * diameter)
    height = _quantiles(smooth, basins, count, _OWN_HEIGHT)[basins] - ground
    mean = ndimage.uniform_filter(smooth, int(_SURROUNDINGS * diameter) | 1) - ground
    level: Plane = ground + np.clip(_ABOVE_MEAN * mean, edge_level * height, max(_HIGHEST, edge_level) * height)
    level[basins == 0] = split
    return level


def _basins(height: Plane, inside: Mask, apart: float) -> tuple[Labels, int]:
    """Split a mask by a watershed from its peaks; peaks closer than ``apart`` pixels are one."""
    size = 2 * max(1, int(apart)) + 1
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
    markers, count = ndimage.label(peaks, np.ones((3, 3)))
    return np.asarray(watershed(-height, markers, mask=inside), dtype=np.int32), count


def _quantiles(plane: Plane, labels: Labels, count: int, quantile: float) -> Plane:
    """Quantile of the pixels of each label 0 … count, by nearest rank; 0 for the background and absent labels."""
    values, owner = plane[labels > 0], labels[labels > 0]
    order = np.lexsort((values, owner))
    sizes = np.bincount(owner, minlength=count + 1)
    ranks = np.cumsum(sizes) - sizes + np.floor(quantile * np.maximum(sizes - 1, 0)).astype(np.int64)
    result = np.zeros(count + 1, dtype=np.float32)
    result[sizes > 0] = values[order[ranks[sizes > 0]]]
    return result


def _noise_of_bodies(root: Plane, diameter: float) -> float:
    """Estimate the standard deviation that noise alone has after smoothing to the body of a nucleus."""
    bins = max(1, round(0.15 * diameter))
    return noise(root, bins) * bins / (2 * math.sqrt(math.pi) * _BODY * diameter)


def _standing_out(labels: Labels, count: int, smooth: Plane, diameter: float, noise: float) -> Labels:
    """Keep objects that are large enough and drop to their surroundings by enough; number them from 1."""
    if count == 0:
        return labels
    each = np.arange(1, count + 1)
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    ring = labels[tuple(nearest)]
    ring[(distance == 0) | (distance > max(_RING * diameter, 2.0))] = 0
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    around = np.bincount(ring.ravel(), minlength=count + 1)[1:]
    drop = ndimage.mean(smooth, labels, each) - ndimage.sum(smooth, ring, each) / np.maximum(around, 1)
    # Without surroundings nothing can be said: an object that fills the field is none.
    drop[around == 0] = 0.0
    kept = (area >= _MIN_AREA * np.pi / 4 * diameter**2) & (drop >= _MIN_SIGNAL * noise) & (around > 0)
    if kept.any():
        kept &= drop >= _MIN_DROP * float(np.median(drop[kept]))
    table = np.zeros(count + 1, dtype=np.int32)
    table[1:][kept] = np.arange(1, kept.sum() + 1)
    return table[labels]
