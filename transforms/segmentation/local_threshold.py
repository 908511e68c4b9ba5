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

from .objects import new_numbers
from .planes import Plane, binned, ground_and_split, noise, stabilised, unbinned, without_holes
from .splitting import basins, smallest, split_touching

Labels = npt.NDArray[np.int32]

# In diameters of a nucleus.
_GROUND = 10.0  # window in which some ground shows between nuclei
_SURROUNDINGS = 1.5  # window of the local mean
_EDGE = 0.04  # smoothing of the image that is thresholded
_BODY = 0.22  # smoothing that leaves one peak for a nucleus
_BODY_APART = 0.3
_RING = 0.2  # width of the surroundings that an object is compared with
_FINEST = 12  # pixels for one diameter that the coarse steps need

# Fractions of heights above the ground.
_FLOOR = 0.4  # of Otsu's level: below it, nothing is looked at
_ABOVE_MEAN = 1.1  # of the local mean
_HIGHEST = 0.85  # of an object's own height, the upper bound
_OWN_HEIGHT = 0.8  # quantile that is an object's height

# Objects that are kept.
_MIN_DROP = 0.33  # of the field's typical drop from object to surroundings
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
    bins = _bins(diameter)
    coarse = binned(root, bins)
    uneven = _ground(coarse, diameter / bins)
    coarse -= uneven
    root -= unbinned(uneven, bins, root.shape)
    smooth = ndimage.gaussian_filter(root, max(_EDGE * diameter, 0.7))
    level = _threshold(coarse, diameter / bins, edge_level)
    if level is None:
        return np.zeros(root.shape, dtype=np.int32)
    inside = without_holes(smooth > unbinned(level, bins, root.shape), 0.3 * diameter**2)
    inside = ndimage.binary_opening(inside)
    labels, count, depth = split_touching(inside, diameter)
    return _standing_out(labels, count, smooth, depth, diameter, _noise_of_bodies(root, diameter))


def _bins(diameter: float) -> int:
    """Side in pixels of the squares of the coarse grid."""
    return max(1, int(diameter / _FINEST))


def _ground(plane: Plane, diameter: float) -> Plane:
    """Smooth surface under the nuclei: uneven light, haze, camera offset."""
    bins = max(1, int(diameter / 4))
    small = ndimage.gaussian_filter(binned(plane, bins), 0.5)
    window = int(min(_GROUND * diameter / bins, max(small.shape) / 3)) | 1
    opened = ndimage.grey_opening(small, size=(window, window))
    # Smoothing flattens a slope at the image border; what a parabola explains is kept out of it.
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in opened.shape)
    terms = np.stack(np.broadcast_arrays(1, x, y[:, None], x * y[:, None], x**2, y[:, None] ** 2), axis=-1)
    flat = terms.reshape(-1, 6)
    fit, *_ = np.linalg.lstsq(flat.T @ flat, flat.T @ opened.ravel(), rcond=None)
    trend = (terms @ fit).astype(np.float32)
    return unbinned(trend + ndimage.gaussian_filter(opened - trend, window / 2), bins, plane.shape)


def _threshold(plane: Plane, diameter: float, edge_level: float) -> Plane | None:
    """Return the threshold at every pixel, None where there is nothing but ground."""
    body = ndimage.gaussian_filter(plane, _BODY * diameter)
    smooth = ndimage.gaussian_filter(plane, max(_EDGE * diameter, 0.5))
    levels = ground_and_split(smooth)
    if levels is None:
        return None
    ground, split = levels
    regions, count = basins(body, smooth > ground + _FLOOR * (split - ground), _BODY_APART * diameter)
    height = _quantiles(smooth, regions, count, _OWN_HEIGHT)[regions] - ground
    mean = ndimage.uniform_filter(smooth, int(_SURROUNDINGS * diameter) | 1) - ground
    level: Plane = ground + np.clip(_ABOVE_MEAN * mean, edge_level * height, max(_HIGHEST, edge_level) * height)
    level[regions == 0] = split
    return level


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


def _standing_out(
    labels: Labels, count: int, smooth: Plane, depth: Plane, diameter: float, noise_level: float
) -> Labels:
    """Keep objects that are large enough and drop enough across their edge; number them from 1."""
    area = np.bincount(labels.ravel(), minlength=count + 1)
    # Means over edges need no more pixels than the coarse grid has.
    bins = _bins(diameter)
    grid = np.s_[::bins, ::bins]
    coarse, smooth, depth = labels[grid], smooth[grid], depth[grid]
    width = max(_RING * diameter, 2.0 * bins)
    distance, nearest = ndimage.distance_transform_edt(coarse == 0, return_indices=True)
    outside = np.where((distance > 0) & (distance * bins <= width), coarse[tuple(nearest)], 0)
    inside = np.where(depth <= width, coarse, 0)
    each = np.arange(count + 1)
    around = np.bincount(outside.ravel(), minlength=count + 1)
    within = np.bincount(inside.ravel(), minlength=count + 1)
    drop = ndimage.sum(smooth, inside, each) / np.maximum(within, 1)
    drop -= ndimage.sum(smooth, outside, each) / np.maximum(around, 1)
    # An object without surroundings fills the field: nothing can be said of it.
    kept = (around > 0) & (area >= smallest(diameter)) & (drop >= _MIN_SIGNAL * noise_level)
    kept[0] = False
    if kept.any():
        kept &= drop >= _MIN_DROP * float(np.median(drop[kept]))
    return new_numbers(kept)[labels]
