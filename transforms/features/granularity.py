"""Granularity: how much of an object's brightness vanishes with each size of opening, as CellProfiler 4 measures it.

1. The image is thinned out to a grid (``subsample``), by linear interpolation where grid and pixels do not meet.
2. Its background, an opening with a disc on a still coarser grid, is subtracted; what falls below zero becomes zero.
3. Openings by reconstruction with diamonds of radius 1, 2, … of that image: each is interpolated at the object's pixels
   and averaged. Granularity_k is the loss of that mean from one step to the next, in percent of the object's mean
   intensity (before the background was subtracted, which therefore is part of the loss at step 1).

An object's mean is a weighted sum over the few grid points around it, with weights that no channel or step changes.
The openings of a channel come from one tree, shared by all object sets; a grid point then costs one addition for each
size at which it loses something, not one for each size.

What limits the speed: the tree (:mod:`.opening_tree`).

    P. Maragos, IEEE Trans. Pattern Anal. Mach. Intell. 11 (1989) 701-716; L. Vincent, Fund. Inform. 41 (2000) 57-90.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only, summing_kernel
from .family import FieldObjects, FloatArray, Use
from .label_index import Int32Array, Int64Array, LabelIndex
from .opening_tree import OpeningTree, opening_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the openings of a channel depend on; CellProfiler's names are in the family's parameters."""

    subsample: float
    background_subsample: float
    background_radius: int
    steps: int


def granularity(objects: FieldObjects, use: Use) -> FloatArray:
    """Measure the granularity spectrum of every object in every channel of ``use.roles``.

    Returns
    -------
    float64 (n, roles · steps)
        Percent, the steps of the first role first. NaN where a channel is absent, the object has a pixel that is not
        finite or no brightness, or the image is too small to be thinned out.
    """
    field, index = objects.field, objects.index
    settings = Settings(
        subsample=float(use.parameters["subsample"]),  # type: ignore[arg-type]
        background_subsample=float(use.parameters["background_subsample"]),  # type: ignore[arg-type]
        background_radius=int(use.parameters["background_radius"]),  # type: ignore[arg-type]
        steps=int(use.parameters["steps"]),  # type: ignore[arg-type]
    )
    spectra = np.full((len(index), len(use.roles), settings.steps), np.nan)
    if len(index) and min(index.shape) * settings.subsample > 1:
        weights = grid_weights(index, settings.subsample)
        for role, channel in enumerate(objects.channels(use.roles)):
            if field.present[channel]:
                plane = field.pixels()[channel]
                tree = field.shared((Settings, settings, channel), partial(channel_openings, plane, settings))
                spectra[:, role] = _spectra(index, plane, tree, weights, settings.steps)
    return spectra.reshape(len(index), len(use.roles) * settings.steps)


def channel_openings(plane: NDArray[Any], settings: Settings) -> OpeningTree:
    """Thin out a channel, subtract its background and find all its openings.

    Parameters
    ----------
    plane : uint8, uint16 or float32 (y, x)
        Pixels that are not finite count as 0.
    """
    if plane.dtype.kind == "f":
        plane = np.nan_to_num(plane, nan=0.0, posinf=0.0, neginf=0.0)
    image = thinned_out(plane, settings.subsample)
    # Sizes stay fractions, as in CellProfiler; cp_measure rounds the first down, which shifts the grid of images whose
    # sides are no multiples of 1 / subsample.
    extent = tuple(side * settings.subsample for side in plane.shape)
    return opening_tree(np.maximum(image - _background(image, extent, settings), 0), settings.steps)


def thinned_out(plane: NDArray[Any], subsample: float, extent: tuple[float, float] | None = None) -> FloatArray:
    """Sample an image every 1 / ``subsample`` pixels from its corner on, ``extent`` samples, 0 beyond its border."""
    height, width = (side * subsample for side in plane.shape) if extent is None else extent
    rows, columns = (np.arange(math.ceil(size)) / subsample for size in (height, width))
    return _interpolated(plane, rows, columns)


def _background(image: FloatArray, extent: tuple[float, ...], settings: Settings) -> FloatArray:
    """Open with a disc, on a coarser grid where one is asked for."""
    radius, subsample = settings.background_radius, settings.background_subsample
    half_widths = np.array([math.isqrt(radius**2 - distance**2) for distance in range(radius + 1)])
    if subsample == 1:
        return _opened(image, half_widths)
    height, width = (size * subsample for size in extent)
    coarse = _opened(thinned_out(image, subsample, (height, width)), half_widths)
    rows, columns = (
        np.arange(samples) * ((coarser - 1) / (size - 1))
        for samples, coarser, size in zip(image.shape, (height, width), extent, strict=True)
    )
    return _interpolated(coarse, rows, columns)


def _interpolated(image: NDArray[Any], rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Interpolate linearly at all rows and columns; 0 beyond the outer pixel centres, as ``map_coordinates`` does."""
    first, second, fraction = _between(rows, image.shape[0])
    lines = image[np.maximum(first, 0)]
    if fraction.any():
        lines = lines * (1 - fraction)[:, None] + image[second] * fraction[:, None]
    lines[first < 0] = 0
    first, second, fraction = _between(columns, image.shape[1])
    values = lines[:, np.maximum(first, 0)].astype(np.float64)
    if fraction.any():
        values = values * (1 - fraction) + lines[:, second] * fraction
    values[:, first < 0] = 0
    return np.ascontiguousarray(values)


def _between(places: FloatArray, size: int) -> tuple[Int32Array, Int32Array, FloatArray]:
    """Find the samples on both sides of each place, and how far it is from the first; -1 for places outside."""
    first = np.floor(places).astype(np.int32)
    fraction = places - first
    inside = (places >= 0) & (places <= size - 1)
    return np.where(inside, first, -1).astype(np.int32), np.clip(first + 1, 0, size - 1), fraction


def _opened(image: FloatArray, half_widths: NDArray[np.int64]) -> FloatArray:
    """Open with a disc: the dilation is the erosion of the negative."""
    eroded = _eroded(read_only(image), read_only(half_widths))
    opened: FloatArray = -_eroded(read_only(-eroded), read_only(half_widths))
    return opened


@kernel
def _eroded(image: FloatArray, half_widths: NDArray[np.int64]) -> FloatArray:
    """Take the minimum over a disc, cut off at the border: of lines that grow from its rim to its middle."""
    height, width = image.shape
    eroded = image.copy()
    lines, longer = image.copy(), image.copy()
    half_width = 0
    for distance in range(len(half_widths) - 1, -1, -1):
        while half_width < half_widths[distance]:
            for y in range(height):
                row, into = lines[y], longer[y]
                into[0] = min(row[0], row[min(1, width - 1)])
                into[width - 1] = min(row[width - 1], row[max(width - 2, 0)])
                for x in range(1, width - 1):
                    into[x] = min(row[x], min(row[x - 1], row[x + 1]))
            lines, longer = longer, lines
            half_width += 1
        for y in range(height):
            into = eroded[y]
            above, below = lines[max(y - distance, 0)], lines[min(y + distance, height - 1)]
            if y - distance >= 0:
                for x in range(width):
                    into[x] = min(into[x], above[x])
            if y + distance < height:
                for x in range(width):
                    into[x] = min(into[x], below[x])
    return eroded


@dataclass(frozen=True, slots=True, kw_only=True)
class GridWeights:
    """How much each grid point counts in the mean of each object.

    Attributes
    ----------
    offsets : int64 (n + 1,)
        Object ``k`` owns ``points[offsets[k]:offsets[k + 1]]`` and as many weights.
    points : int32 (m,)
        Flat positions in the grid.
    weights : float64 (m,)
        Sum 1 per object, less what lies outside the grid.
    """

    offsets: Int64Array
    points: Int32Array
    weights: FloatArray


def grid_weights(index: LabelIndex, subsample: float) -> GridWeights:
    """Weigh the points of the thinned out grid for the mean of what is interpolated at each object's pixels."""
    height, width = index.shape
    grid = math.ceil(height * subsample), math.ceil(width * subsample)
    rows, columns = (
        _between(np.arange(side, dtype=np.float64) * ((side * subsample - 1) / (side - 1)), points)
        for side, points in zip((height, width), grid, strict=True)
    )
    # A run of m pixels lies between two rows, and over m times the ratio of the grids and at most 3 points more.
    room = 2 * math.ceil(len(index.pixels) * min(1.0, subsample) + 3 * len(index.runs))
    arrays = _grid_weights(index.offsets, index.run_offsets, index.runs, *rows, *columns, grid, room)
    offsets, points, weights = (read_only(array) for array in arrays)
    return GridWeights(offsets=offsets, points=points, weights=weights)


@kernel
def _grid_weights(
    offsets: Int64Array,
    run_offsets: Int64Array,
    runs: Int32Array,
    upper: Int32Array,
    lower: Int32Array,
    down: FloatArray,
    left: Int32Array,
    right: Int32Array,
    across: FloatArray,
    grid: tuple[int, int],
    room: int,
) -> tuple[Int64Array, Int32Array, FloatArray]:
    n = len(offsets) - 1
    ends = np.zeros(n + 1, np.int64)
    points, weights = np.empty(room, np.int32), np.empty(room)
    of_point, of_column = np.zeros(grid[0] * grid[1]), np.zeros(grid[1])
    end = 0
    for k in range(n):
        for i in range(run_offsets[k], run_offsets[k + 1]):
            y, start, stop = runs[i]
            if upper[y] < 0:
                continue
            first, last = grid[1], -1
            for x in range(start, stop):
                if left[x] >= 0:
                    of_column[left[x]] += 1 - across[x]
                    of_column[right[x]] += across[x]
                    first, last = min(first, left[x]), right[x]
            for line, share in ((upper[y], 1 - down[y]), (lower[y], down[y])):
                if share > 0:
                    for column in range(first, last + 1):
                        weight = share * of_column[column]
                        point = line * grid[1] + column
                        if weight > 0:
                            if of_point[point] == 0:
                                points[end] = point
                                end += 1
                            of_point[point] += weight
            of_column[first : last + 1] = 0
        ends[k + 1] = end
        for i in range(ends[k], end):
            weights[i] = of_point[points[i]] / (offsets[k + 1] - offsets[k])
            of_point[points[i]] = 0
    return ends, points[:end].copy(), weights[:end].copy()


def _spectra(index: LabelIndex, plane: NDArray[Any], tree: OpeningTree, grid: GridWeights, steps: int) -> FloatArray:
    """Percent of its mean intensity that each object loses at each step, (n, steps)."""
    intensity = _mean_intensity(read_only(np.ascontiguousarray(plane)), index.offsets, index.run_offsets, index.runs)
    means, losses = _losses(
        grid.offsets, grid.points, grid.weights, tree.nodes.ravel(), tree.values, tree.lasts, tree.wider, steps
    )
    losses[:, 0] += intensity - means
    bright = np.isfinite(intensity) & (intensity > 0)
    losses[~bright] = np.nan
    losses[bright] *= 100 / intensity[bright, None]
    return losses


@kernel
def _losses(
    offsets: Int64Array,
    points: Int32Array,
    weights: FloatArray,
    nodes: Int32Array,
    values: FloatArray,
    lasts: NDArray[np.uint8],
    wider: Int32Array,
    steps: int,
) -> tuple[FloatArray, FloatArray]:
    """Each object's mean before the first opening, (n,), and what every step takes from it, (n, steps)."""
    n = len(offsets) - 1
    means, losses = np.zeros(n), np.zeros((n, steps))
    for k in range(n):
        for i in range(offsets[k], offsets[k + 1]):
            node, weight = nodes[points[i]], weights[i]
            means[k] += weight * values[node]
            while lasts[node] < steps:
                around = wider[node]
                losses[k, lasts[node]] += weight * (values[node] - values[around])
                node = around
    return means, losses


@summing_kernel
def _mean_intensity(plane: NDArray[Any], offsets: Int64Array, run_offsets: Int64Array, runs: Int32Array) -> FloatArray:
    means = np.empty(len(offsets) - 1)
    for k in range(len(means)):
        total = 0.0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            row = plane[runs[i, 0], runs[i, 1] : runs[i, 2]]
            run = 0.0
            for x in range(len(row)):
                run += float(row[x])
            total += run
        means[k] = total / (offsets[k + 1] - offsets[k])
    return means
