"""Nuclei of a stack, found in three dimensions: a bounded local threshold, split by the distance transform.

A voxel is inside where it is brighter than its surroundings and than a floor for the whole stack; what touches is split
where the distance to the surface has a peak of its own; and each object ends at a fraction of its own height. Lengths
are fractions of the diameter of a nucleus along each axis, so that planes may lie farther apart than pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...errors import UsageError
from .objects import new_numbers
from .planes import Mask, binned, ground_and_split, noise, stabilised, without_holes
from .splitting import basins

Labels = npt.NDArray[np.int32]
Volume = npt.NDArray[np.float32]

# In diameters of a nucleus.
_FINEST = 14  # pixels for one diameter that the work needs; larger nuclei are measured on a coarser grid
_EDGE = 0.06  # smoothing of the volume that is thresholded
_SURROUNDINGS = 0.7  # sigma of the local mean
_ROUNDING = 0.15  # smoothing of the distance: an uneven surface is no reason to split
_APART = 0.25  # least distance between two middles
_SMALLEST = 0.1  # least volume, of the ball of one diameter
_RING = 0.15  # width of the surroundings that an object is compared with
_GRAIN = 0.25  # noise that neighbouring pixels share, in resampled or denoised images, is looked for up to this size

_FLOOR = 0.4  # of Otsu's level above the ground: below it, nothing is looked at
_OWN_HEIGHT = 80  # percentile that is an object's height
_MIN_DROP = 0.25  # of the stack's typical drop from object to surroundings
# Drops in standard deviations of the noise in the volume that is thresholded. Bumps of noise reach 2, a few 3.5.
_MIN_SIGNAL = 2.5  # of each object
_TYPICAL_SIGNAL = 4.0  # of half of the objects, or they are bumps


def segment_volume(
    image: npt.NDArray[Any],
    *,
    spacing_um: tuple[float, float, float],
    diameter_um: float = 12.0,
    edge_level: float = 0.5,
) -> Labels:
    """Find bright nuclei on a dark ground in a stack.

    Parameters
    ----------
    image
        (z, y, x), any real dtype, not negative: fluorescence.
    spacing_um
        Distance of planes, rows and columns in µm.
    diameter_um
        Typical diameter of a nucleus in µm.
    edge_level
        Where a nucleus ends at the outermost, as a fraction of its own height above the ground (of the square root of
        intensity).

    Returns
    -------
    ndarray
        int32 (z, y, x), numbered from 1 without gaps; all 0 where nothing stands out from noise.

    Raises
    ------
    UsageError
        The image is no stack, or a length is not positive.
    """
    if image.ndim != 3 or len(spacing_um) != 3 or not min(*spacing_um, diameter_um) > 0:
        raise UsageError(
            f"a stack of shape {image.shape} with spacing {spacing_um} µm and nuclei of {diameter_um} µm cannot be "
            "segmented: the image is (z, y, x) and lengths are positive"
        )
    bins = max(1, int(diameter_um / max(spacing_um[1:]) / _FINEST))
    # Plane by plane: in full size a float32 stack is twice what was read.
    root = np.stack([binned(stabilised(plane), bins) for plane in image])
    spacing = np.array(spacing_um) * (1, bins, bins)
    diameter = diameter_um / spacing
    smooth = ndimage.gaussian_filter(root, _EDGE * diameter)
    levels = ground_and_split(smooth)
    if levels is None:
        return np.zeros(image.shape, dtype=np.int32)
    ground, split = levels
    level = np.maximum(ndimage.gaussian_filter(smooth, _SURROUNDINGS * diameter), ground + _FLOOR * (split - ground))
    inside = without_holes(smooth > level, _SMALLEST * _ball(diameter))
    depth = depths(inside, spacing)
    labels, count = basins(ndimage.gaussian_filter(depth, _ROUNDING * diameter), inside, _APART * diameter)
    labels = _trimmed(labels, count, smooth, ground, edge_level)
    labels = _standing_out(labels, count, smooth, diameter, spacing, _noise_after_smoothing(root, diameter))
    full = np.empty(image.shape, dtype=np.int32)
    for plane, coarse in zip(full, labels, strict=True):
        plane[...] = np.repeat(np.repeat(coarse, bins, axis=0), bins, axis=1)[: plane.shape[0], : plane.shape[1]]
    return full


def _ball(diameter: npt.NDArray[np.float64]) -> float:
    """Voxels in a ball of one diameter."""
    return math.pi / 6 * float(np.prod(diameter))


def depths(inside: Mask, spacing: npt.NDArray[np.float64]) -> Volume:
    """Distance of each voxel inside to the nearest one outside, float32 (z, y, x); 0 outside.

    Part by part, because the transform of a stack takes some 40 bytes per voxel. It is the same: all places nearer to a
    voxel than what is outside are in its part, so that what is outside is at most one place beyond the part's box.
    """
    parts, _ = ndimage.label(inside)
    depth = np.zeros(inside.shape, dtype=np.float32)
    for k, box in enumerate(ndimage.find_objects(parts), start=1):
        wide = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        own = parts[wide] == k
        depth[wide][own] = ndimage.distance_transform_edt(inside[wide], sampling=spacing)[own]
    return depth


def _trimmed(labels: Labels, count: int, smooth: Volume, ground: float, edge_level: float) -> Labels:
    """Take from each object what is dimmer than a fraction of the object's own height above the ground."""
    height = np.full(count + 1, np.inf, dtype=np.float32)
    for k, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            height[k] = np.percentile(smooth[box][labels[box] == k], _OWN_HEIGHT) - ground
    return np.where(smooth - ground >= edge_level * height[labels], labels, 0).astype(np.int32)


def _noise_after_smoothing(root: Volume, diameter: npt.NDArray[np.float64]) -> float:
    """Estimate the standard deviation that noise alone has in the volume that is thresholded."""
    grain = max(1, round(_GRAIN * float(diameter[1:].min())))
    level = grain * float(np.median([noise(plane, grain) for plane in root]))
    # Smoothing by sigma in one axis leaves 1 / (2 √π sigma) of the variance, all of it where sigma is small.
    kept = [min(1.0, 1 / (2 * math.sqrt(math.pi) * max(_EDGE * along, 1e-9))) for along in diameter]
    return level * math.sqrt(math.prod(kept))


def _standing_out(
    labels: Labels,
    count: int,
    smooth: Volume,
    diameter: npt.NDArray[np.float64],
    spacing: npt.NDArray[np.float64],
    noise_level: float,
) -> Labels:
    """Keep objects that are large enough and drop enough across their surface; number them from 1."""
    volume = np.bincount(labels.ravel(), minlength=count + 1)
    width = max(_RING * float((diameter * spacing)[0]), float(spacing.max()))
    margin = np.ceil(width / spacing).astype(int)
    drop = np.full(count + 1, np.nan)  # stays where there are no surroundings
    for k, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        wide = tuple(slice(max(0, side.start - by), side.stop + by) for side, by in zip(box, margin, strict=True))
        own, values = labels[wide] == k, smooth[wide]
        ring = (labels[wide] == 0) & (ndimage.distance_transform_edt(~own, sampling=spacing) <= width)
        if ring.any():
            drop[k] = values[own].mean(dtype=np.float64) - values[ring].mean(dtype=np.float64)
    # An object without surroundings fills the stack: nothing can be said of it.
    kept = (volume >= _SMALLEST * _ball(diameter)) & (drop >= _MIN_SIGNAL * noise_level)
    if kept.any():
        typical = float(np.median(drop[kept]))
        kept &= (drop >= _MIN_DROP * typical) & (typical >= _TYPICAL_SIGNAL * noise_level)
    return new_numbers(kept)[labels]
