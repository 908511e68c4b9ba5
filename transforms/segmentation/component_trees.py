"""Nuclei from component trees: whatever stands out as an ellipse, however bright it is and whatever is around it.

A threshold is right for one nucleus and wrong for the next. Here every threshold is tried at once: the max-tree of an
image holds the connected parts of all its threshold sets. Each part is a guess, scored by how elliptic it is and how
far the image drops across its edge, and the best guesses that do not exclude each other are the nuclei. Trees of the
image less its own surroundings, of several widths, hold the nuclei that touch or lie on haze.

All lengths are fractions of the diameter of a nucleus. Large nuclei are found on a coarser grid, so that the time for
one does not depend on the magnification.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..jit import read_only
from . import outlines
from .blurring import blurred, coarsely_blurred, less_coarse, without_hot_pixels
from .finite import darkened
from .lobes import split_lobes
from .max_tree import max_tree, thinned
from .objects import number
from .planes import Mask, Plane, binned
from .selection import Guesses, score, selected, strength, typical
from .tree_nodes import AREA, DROP, ELLIPSE, SOFT_DROP, edge_sides, node_features, outflow

Labels = npt.NDArray[np.int32]
Variant = Literal["accurate", "fast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is tried: widths of the surroundings that trees are made without, in diameters; and how often.

    Width 0 is the tree of the image itself. A second pass looks at what the first has left.
    """

    widths: tuple[float, ...]
    passes: int


EFFORTS: Mapping[str, Effort] = MappingProxyType(
    {
        "accurate": Effort(widths=(0.0, 0.2, 0.6), passes=2),
        "fast": Effort(widths=(0.2, 0.6), passes=1),
    }
)

# A nucleus has at least so many pixels across on the grid that it is found on, and less than twice as many unless it
# has fewer in the image.
_FINEST = 24
_BLUR = 0.7  # pixels: only noise is to go

# The root of intensity evens out the noise of photons, and makes dim nuclei more like bright ones. Intensity is 0 at
# the ground and 1 at the bright end; what is added to it keeps the ground's own noise down.
_GROUND, _BRIGHT = 0.01, 0.995  # quantiles
_LEAST_SPAN = 1e-3  # of the full range: in an image that is nearly all ground, both quantiles are ground
_ADDED, _ADDED_SOFTLY = 0.08, 0.2

# Guesses, areas in squared diameters.
_SMALLEST, _FEWEST_PIXELS = 0.06, 12
_LARGEST = math.pi
_FULL_AREA, _FULL_PIXELS = 0.3, 270  # from here on a larger guess is no better: a part of a nucleus must not win
_STEP = 0.03  # least part by which nested guesses differ
_LEAST_ELLIPSE = 0.75

# What is kept, by its strength.
_OF_TYPICAL = 0.25
_OF_TYPICAL_LATER = 0.375
_OF_NOISE = 18.0
_FAR_STEP = 0.5  # differences between pixels farther apart are larger, by less than this where noise is white

# Outlines.
_NEAR, _FAR = 2, 5  # pixels of the grid that nuclei are found on: from where to where the surroundings of a nucleus are
_EDGE_LEVEL = 0.5
_REACH = 0.15


def segment_component_trees(
    image: npt.NDArray[Any], *, pixel_size_um: float, diameter_um: float = 12.0, variant: Variant = "accurate"
) -> Labels:
    """Find bright nuclei on a dark ground.

    Parameters
    ----------
    image
        (y, x), any real dtype. Intensities may be scaled and shifted by any amount, negative ones too; pixels that
        are not finite count as the darkest. Dark nuclei need their image inverted first.
    pixel_size_um
        Side of a pixel in µm.
    diameter_um
        Typical diameter of a nucleus in µm. Off by a third either way, results are nearly the same.
    variant
        "accurate", or "fast": fewer trees and no second pass.

    Returns
    -------
    ndarray
        int32 (y, x), numbered from 1 without gaps, from top to bottom; all 0 when nothing stands out from noise.
    """
    plane = _unit_range(image)
    if plane is None:
        return np.zeros(image.shape, dtype=np.int32)
    plane = without_hot_pixels(plane)
    diameter = diameter_um / pixel_size_um
    bins = max(1, int(diameter / _FINEST))
    smooth = blurred(binned(plane, bins), _BLUR)
    labels = _found(smooth, diameter / bins, EFFORTS[variant])
    if bins > 1:
        labels = _on_fine_grid(labels, bins, plane.shape)
        smooth = blurred(plane, _BLUR * bins)
    labels = outlines.grown(smooth, labels, near=_NEAR * bins, far=_FAR * bins, level=_EDGE_LEVEL, reach=_REACH)
    return number(outlines.filled(outlines.in_one_part(outlines.smoothed(labels))))[0]


def _unit_range(image: npt.NDArray[Any]) -> Plane | None:
    """Scale a plane to 0 … 1; None where it is flat."""
    usable = darkened(image)
    if usable is None or not usable.size:
        return None
    plane = usable.astype(np.float64)
    low, high = plane.min(), plane.max()
    # In halves, so that the range of large numbers is a number.
    span = high / 2 - low / 2
    if span <= 1e-12 * max(abs(low), abs(high)):
        return None
    plane /= 2
    plane -= low / 2
    plane /= span
    return plane.astype(np.float32)


def _found(smooth: Plane, diameter: float, effort: Effort) -> Labels:
    """Nuclei of a plane by their trees, numbered without gaps; outlines are those of tree nodes."""
    ground, bright = np.quantile(_sample(smooth), (_GROUND, _BRIGHT))
    intensity = np.maximum(smooth - np.float32(ground), 0)
    intensity /= np.float32(max(bright - ground, _LEAST_SPAN))
    root = np.sqrt(intensity + np.float32(_ADDED))
    soft_root = np.sqrt(intensity + np.float32(_ADDED_SOFTLY))
    least = _OF_NOISE * _roughness(root)
    smallest = max(_SMALLEST * diameter**2, float(_FEWEST_PIXELS))
    areas = (math.ceil(smallest), int(_LARGEST * diameter**2))
    full_area = max(_FULL_AREA * diameter**2, float(_FULL_PIXELS))
    labels = np.zeros(smooth.shape, dtype=np.int32)
    count = 0
    usual: float | None = None
    for _ in range(effort.passes):
        taken = outlines.widened(labels > 0)
        guesses = _guesses(root, soft_root, taken, [width * diameter for width in effort.widths], areas)
        if not guesses.tree.size:
            break
        found, which = selected(guesses, score(guesses.features, full_area))
        features = guesses.features[which]
        strengths = strength(features)
        of_usual = _OF_TYPICAL_LATER
        if usual is None:
            usual, of_usual = typical(strengths, features[:, AREA]), _OF_TYPICAL
        kept = strengths > max(of_usual * usual, least)
        if not kept.any():
            break
        table = np.zeros(which.size + 1, dtype=np.int32)
        table[1:][kept] = np.arange(count + 1, count + 1 + kept.sum())
        count += int(kept.sum())
        labels = outlines.filled(np.where(labels > 0, labels, table[found].reshape(labels.shape)))
    return split_lobes(smooth, labels, smallest)


def _roughness(plane: Plane) -> float:
    """How much pixels differ from those beside them: noise, where most of an image is smooth.

    Noise that neighbours share, in resampled or denoised images, shows between pixels that are farther apart.
    """
    return max(_median_step(plane, 1), _FAR_STEP * _median_step(plane, 3))


def _median_step(plane: Plane, apart: int) -> float:
    """Median difference between pixels of a row and of a column, the mean of both."""
    steps = [np.abs(line[apart:] - line[:-apart]) for line in (plane, plane.T) if len(line) > apart]
    return float(np.mean([np.median(_sample(step)) for step in steps])) if steps else 0.0


def _sample(plane: Plane) -> npt.NDArray[np.float32]:
    """Pixels enough for a quantile: all of a small plane, evenly spread ones of a large plane."""
    every = plane.ravel()
    return every[:: max(1, every.size >> 18)]


def _guesses(root: Plane, soft_root: Plane, taken: Mask, widths: Sequence[float], areas: tuple[int, int]) -> Guesses:
    """Nodes of the trees of one pass that may be nuclei."""
    flow, soft_flow = outflow(read_only(root), read_only(taken)), outflow(read_only(soft_root), read_only(taken))
    order = np.empty((len(widths), root.size), dtype=np.int32)
    trees, starts, stops, features = [], [], [], []
    for tree, width in enumerate(widths):
        levels = _levels(_without_surroundings(root, taken, width), taken)
        above, start, stop = max_tree(read_only(levels), *areas)
        order[tree, : above.size] = above
        some = thinned(read_only(start), read_only(stop), _STEP)
        start, stop = start[some], stop[some]
        sides = edge_sides(read_only(levels), read_only(taken))
        measured = node_features(
            read_only(above),
            read_only(start),
            read_only(stop),
            read_only(sides),
            read_only(flow),
            read_only(soft_flow),
        )
        good = (measured[:, ELLIPSE] >= _LEAST_ELLIPSE) & (measured[:, DROP] > 0) & (measured[:, SOFT_DROP] > 0)
        trees.append(np.full(int(good.sum()), tree, dtype=np.int32))
        starts.append(start[good])
        stops.append(stop[good])
        features.append(measured[good])
    return Guesses(
        order=order,
        tree=np.concatenate(trees),
        start=np.concatenate(starts),
        stop=np.concatenate(stops),
        features=np.concatenate(features),
    )


def _without_surroundings(root: Plane, taken: Mask, width: float) -> Plane:
    """Subtract the weighted mean around each pixel, of pixels that are not taken; width 0 subtracts the median."""
    if width == 0:
        return root - np.median(_sample(root))
    if taken.any():
        free = (~taken).astype(np.float32)
        mean, bins = coarsely_blurred(root * free, width)
        share, _ = coarsely_blurred(free, width)
        mean /= np.maximum(share, np.float32(1e-3))
    else:
        mean, bins = coarsely_blurred(root, width)
    return less_coarse(read_only(root), read_only(mean), bins)


def _levels(plane: Plane, taken: Mask) -> npt.NDArray[np.uint8]:
    """Divide what is above 0 into 255 levels; all else, and what is taken, is level 0."""
    free = np.where(taken, np.float32(0), plane)
    highest = float(free.max())
    if highest <= 0:
        return np.zeros(plane.shape, dtype=np.uint8)
    return np.ceil(np.maximum(free, 0) * np.float32(255 / highest)).clip(0, 255).astype(np.uint8)


def _on_fine_grid(labels: Labels, bins: int, shape: tuple[int, ...]) -> Labels:
    """Bring labels from squares of ``bins`` × ``bins`` pixels back to a plane of pixels, corners rounded off."""
    fine = np.ascontiguousarray(labels.repeat(bins, axis=0).repeat(bins, axis=1)[: shape[0], : shape[1]])
    for _ in range(bins):
        fine = outlines.smoothed(fine)
    return fine
