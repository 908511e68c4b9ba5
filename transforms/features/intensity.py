"""Intensity and Location of each object in every channel, in one visit to its pixels.

An object's pixels of one channel are read along its runs into a small buffer, which stays in cache for the rest: sums,
extremes, a radix sort for the quartiles, and the median absolute deviation straight from the sorted values (the
values nearest the median are one stretch of them, found by bisection).

Definitions are CellProfiler's, with two choices of ours: quartiles and median interpolate as ``numpy.percentile``
does, at (n - 1)·q of the sorted values (CellProfiler takes n·q), and of several brightest pixels the first in
row-major order is the place of the maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only, summing_kernel
from .family import default_full_scale
from .label_index import Int32Array, Int64Array, LabelIndex
from .moments import centroids

FloatArray = NDArray[np.float64]

#: Columns of the kernel's result, in this order. Places are image pixels, the rest stored grey values.
MEASURES = (
    "IntegratedIntensity",
    "MeanIntensity",
    "StdIntensity",
    "MinIntensity",
    "MaxIntensity",
    "LowerQuartileIntensity",
    "MedianIntensity",
    "UpperQuartileIntensity",
    "MADIntensity",
    "IntegratedIntensityEdge",
    "MeanIntensityEdge",
    "StdIntensityEdge",
    "MinIntensityEdge",
    "MaxIntensityEdge",
    "MassDisplacement",
    "CenterMassIntensity_X",
    "CenterMassIntensity_Y",
    "MaxIntensity_X",
    "MaxIntensity_Y",
)
(
    _INTEGRATED,
    _MEAN,
    _STD,
    _MIN,
    _MAX,
    _LOWER,
    _MEDIAN,
    _UPPER,
    _MAD,
    _EDGE_INTEGRATED,
    _EDGE_MEAN,
    _EDGE_STD,
    _EDGE_MIN,
    _EDGE_MAX,
    _DISPLACEMENT,
    _MASS_X,
    _MASS_Y,
    _PEAK_X,
    _PEAK_Y,
) = range(len(MEASURES))

_KEY_TYPES = {np.dtype(np.uint8): np.uint8, np.dtype(np.uint16): np.uint16, np.dtype(np.float32): np.uint32}


@dataclass(frozen=True, slots=True)
class ChannelMeasures:
    """What the kernel found: ``values[k, c, MEASURES.index(name)]`` for object k and channel c, float64."""

    values: FloatArray

    def __getitem__(self, name: str) -> FloatArray:
        """One measure, (n, c)."""
        return self.values[:, :, MEASURES.index(name)]


def channel_measures(
    index: LabelIndex,
    image: NDArray[Any],
    present: NDArray[np.bool_],
    full_scale: float | None = None,
    *,
    edges: tuple[Int64Array, Int32Array] | None = None,
) -> ChannelMeasures:
    """Measure every channel of a field inside every object.

    Parameters
    ----------
    index
        The objects.
    image : uint8, uint16 or float32 (c, y, x)
        The field, all channels.
    present : bool (c,)
        Channels to measure; the others come out NaN.
    full_scale
        Grey value that becomes intensity 1.0. None: as CellProfiler, the largest value of an integer type (255 or
        65535), 1.0 for float images, which are taken as they are.
    edges
        Which pixels are on each object's edge. None: those that :func:`edge_pixels` finds.

    Returns
    -------
    ChannelMeasures
        NaN where a measure is undefined: a channel that is not present, a non-finite pixel in the object, no pixel on
        the object's edge, no intensity to have a centre of mass.

    The arguments fit together: :class:`.family.FieldPixels` has checked them.
    """
    scale = default_full_scale(image.dtype) if full_scale is None else full_scale
    largest = int(np.diff(index.offsets).max(initial=0))
    pixels = np.empty(largest, image.dtype)
    key_type = _KEY_TYPES[image.dtype]
    values = _measure(
        read_only(np.ascontiguousarray(image)),
        read_only(np.asarray(present, dtype=np.bool_)),
        index.offsets,
        index.run_offsets,
        index.runs,
        centroids(index),
        *(edge_pixels(index) if edges is None else edges),
        pixels,
        pixels.view(key_type),
        np.empty(largest, key_type),
        image.dtype.kind == "f",
    )
    values[:, :, :_DISPLACEMENT] /= scale  # all before it are grey values
    return ChannelMeasures(values)


def edge_pixels(index: LabelIndex) -> tuple[Int64Array, Int32Array]:
    """Find the pixels on each object's edge.

    A pixel is on the edge when one of its four neighbours inside the image is not of its object. The image's own
    border makes no edge, as in scikit-image's ``find_boundaries(mode="inner")``, which CellProfiler uses.

    Returns
    -------
    offsets : int64 (n + 1,)
        Object ``k`` owns ``positions[offsets[k]:offsets[k + 1]]``.
    positions : int32
        Which of the object's pixels, counted from its first one.
    """
    offsets, positions = _edge_pixels(index.run_offsets, index.runs, index.bbox, index.shape, len(index.pixels))
    return offsets, positions


@kernel
def _edge_pixels(
    run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array, shape: tuple[int, int], n_pixels: int
) -> tuple[Int64Array, Int32Array]:
    n = bbox.shape[0]
    offsets = np.zeros(n + 1, np.int64)
    positions = np.empty(n_pixels, np.int32)
    most_cells = 0
    for k in range(n):
        most_cells = max(most_cells, (bbox[k, 2] - bbox[k, 0] + 2) * (bbox[k, 3] - bbox[k, 1] + 2))
    mask_of_largest = np.empty(most_cells, np.uint8)
    found = 0
    for k in range(n):
        y0, x0 = bbox[k, 0] - 1, bbox[k, 1] - 1
        height, width = bbox[k, 2] - y0 + 1, bbox[k, 3] - x0 + 1
        mask = mask_of_largest[: height * width].reshape((height, width))
        mask[:] = 0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            mask[runs[i, 0] - y0, runs[i, 1] - x0 : runs[i, 2] - x0] = 1
        if y0 < 0:  # beyond the image counts as the object itself: no edge there
            mask[0] = 1
        if x0 < 0:
            mask[:, 0] = 1
        if bbox[k, 2] == shape[0]:
            mask[height - 1] = 1
        if bbox[k, 3] == shape[1]:
            mask[:, width - 1] = 1
        position = 0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            y = runs[i, 0] - y0
            for x in range(runs[i, 1] - x0, runs[i, 2] - x0):
                if not (mask[y - 1, x] & mask[y + 1, x] & mask[y, x - 1] & mask[y, x + 1]):
                    positions[found] = position
                    found += 1
                position += 1
        offsets[k + 1] = found
    return offsets, positions[:found].copy()


@summing_kernel
def _read(plane: NDArray[Any], runs: Int32Array, pixels: NDArray[Any]) -> tuple[float, float, float, int, int]:
    """Copy an object's pixels of one channel; Σ v, Σ y·v, Σ x·v, and (y, x) of the first brightest pixel."""
    total, total_y, total_x = 0.0, 0.0, 0.0
    peak = plane[runs[0, 0], runs[0, 1]]
    peak_y, peak_x = runs[0, 0], runs[0, 1]
    at = 0
    for i in range(runs.shape[0]):
        y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2]
        row = plane[y, start:stop]
        into = pixels[at : at + stop - start]
        run_total, run_x, run_peak = 0.0, 0.0, row[0]
        for x in range(stop - start):
            value = row[x]
            into[x] = value
            run_total += float(value)
            run_x += float(value) * x
            run_peak = max(run_peak, value)
        if run_peak > peak:
            peak, peak_y = run_peak, y
            for x in range(stop - start):
                if row[x] == run_peak:
                    peak_x = start + x
                    break
        total += run_total
        total_y += run_total * y
        total_x += run_total * start + run_x
        at += stop - start
    return total, total_y, total_x, peak_y, peak_x


@summing_kernel
def _deviation(values: NDArray[Any], mean: float) -> float:
    """Take the standard deviation (of n, not n - 1) about a mean that may be rounded."""
    drift, square = 0.0, 0.0
    for i in range(values.shape[0]):
        difference = float(values[i]) - mean
        drift += difference
        square += difference * difference
    count = values.shape[0]
    return math.sqrt(max(square - drift * drift / count, 0.0) / count)


@summing_kernel
def _total_and_extremes(values: NDArray[Any]) -> tuple[float, float, float]:
    """Sum, smallest and largest of at least one value."""
    total, least, most = 0.0, values[0], values[0]
    for i in range(values.shape[0]):
        total += float(values[i])
        least, most = min(least, values[i]), max(most, values[i])
    return total, float(least), float(most)


@kernel
def _sort(keys: NDArray[Any], scratch: NDArray[Any], counts: Int64Array, is_float: bool) -> None:
    """Sort in place, one byte per pass (radix sort). Floats come as their bits, finite, in IEEE 754 order."""
    length = keys.shape[0]
    sign = np.int64(1) << 31
    if is_float:  # negative numbers: all bits flipped; others: the sign bit; then bits sort as numbers do
        for i in range(length):
            bits = np.int64(keys[i])
            keys[i] = bits ^ (0xFFFFFFFF if bits & sign else sign)
    source, target = keys, scratch
    for digit in range(keys.itemsize):
        shift = 8 * digit
        counts[:] = 0
        for i in range(length):
            counts[(source[i] >> shift) & 255] += 1
        if counts[(source[0] >> shift) & 255] == length:
            continue
        start = 0
        for value in range(256):
            count = counts[value]
            counts[value] = start
            start += count
        for i in range(length):
            value = (source[i] >> shift) & 255
            target[counts[value]] = source[i]
            counts[value] += 1
        source, target = target, source
    if is_float:
        for i in range(length):
            bits = np.int64(source[i])
            keys[i] = bits ^ (sign if bits & sign else 0xFFFFFFFF)
    else:
        keys[:] = source[:length]


@kernel
def _quantile(values: NDArray[Any], fraction: float) -> float:
    """Quantile of sorted values, linear between neighbours: ``numpy.percentile``'s default."""
    position = (values.shape[0] - 1) * fraction
    below = int(position)
    above = min(below + 1, values.shape[0] - 1)
    low, high = np.float64(values[below]), np.float64(values[above])
    return float(low + (high - low) * (position - below))


@kernel
def _nearest(values: NDArray[Any], centre: float, k: int) -> float:
    """Find the k-th smallest distance (k from 1) of sorted values to ``centre``.

    The k nearest values are one stretch of the sorted ones; bisection finds where it starts.
    """
    low, high = 0, values.shape[0] - k
    while low < high:
        middle = (low + high) // 2
        if centre - np.float64(values[middle]) > np.float64(values[middle + k]) - centre:
            low = middle + 1
        else:
            high = middle
    return float(max(abs(centre - np.float64(values[low])), abs(np.float64(values[low + k - 1]) - centre)))


@kernel
def _measure(
    image: NDArray[Any],
    present: NDArray[np.bool_],
    offsets: Int64Array,
    run_offsets: Int64Array,
    runs: Int32Array,
    centre: FloatArray,
    edge_offsets: Int64Array,
    edge_positions: Int32Array,
    pixel_buffer: NDArray[Any],
    key_buffer: NDArray[Any],
    scratch: NDArray[Any],
    is_float: bool,
) -> FloatArray:
    """All of ``MEASURES`` for every object and channel, NaN where undefined.

    ``pixel_buffer`` and ``key_buffer`` are one piece of memory, as pixels and as the unsigned integers to sort.
    """
    n, channels = run_offsets.shape[0] - 1, image.shape[0]
    out = np.full((n, channels, len(MEASURES)), np.nan)
    edge_buffer = np.empty_like(pixel_buffer)
    counts = np.empty(256, np.int64)
    for k in range(n):
        own_runs = runs[run_offsets[k] : run_offsets[k + 1]]
        own_edge = edge_positions[edge_offsets[k] : edge_offsets[k + 1]]
        count = offsets[k + 1] - offsets[k]
        pixels, keys, on_edge = pixel_buffer[:count], key_buffer[:count], edge_buffer[: own_edge.shape[0]]
        for c in range(channels):
            if not present[c]:
                continue
            total, total_y, total_x, peak_y, peak_x = _read(image[c], own_runs, pixels)
            if not np.isfinite(total):
                continue
            row = out[k, c]
            row[_INTEGRATED], row[_MEAN] = total, total / count
            row[_STD] = _deviation(pixels, row[_MEAN])
            row[_PEAK_X], row[_PEAK_Y] = peak_x, peak_y
            if total != 0:
                row[_MASS_X], row[_MASS_Y] = total_x / total, total_y / total
                row[_DISPLACEMENT] = math.hypot(row[_MASS_X] - centre[k, 1], row[_MASS_Y] - centre[k, 0])
            if on_edge.shape[0] > 0:
                for i in range(on_edge.shape[0]):
                    on_edge[i] = pixels[own_edge[i]]
                row[_EDGE_INTEGRATED], row[_EDGE_MIN], row[_EDGE_MAX] = _total_and_extremes(on_edge)
                row[_EDGE_MEAN] = row[_EDGE_INTEGRATED] / on_edge.shape[0]
                row[_EDGE_STD] = _deviation(on_edge, row[_EDGE_MEAN])

            _sort(keys, scratch, counts, is_float)  # pixels, the same memory, are sorted from here on
            row[_MIN], row[_MAX] = pixels[0], pixels[count - 1]
            row[_LOWER], row[_UPPER] = _quantile(pixels, 0.25), _quantile(pixels, 0.75)
            median = _quantile(pixels, 0.5)
            row[_MEDIAN] = median
            row[_MAD] = (_nearest(pixels, median, (count + 1) // 2) + _nearest(pixels, median, count // 2 + 1)) / 2
    return out
