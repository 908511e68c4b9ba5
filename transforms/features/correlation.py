"""Correlation: how the intensities of two channels go together inside each object, by CellProfiler 4's definitions.

An object's pixels are read once for all channels, into a buffer that stays in cache, with each channel's maximum, mean
and, where they are asked for, dense ranks. Every pair of channels then takes short loops of multiplications and
additions over two rows of that buffer, one loop per group of measures that is asked for.

Ranks of 8- and 16-bit values need no sorting: a bit per grey value that occurs, and a count of the bits below. Ranks
of floats take a radix sort. Costes' thresholds belong to the image (:mod:`.costes`) and are shared by all object sets.

What limits the speed: Costes' thresholds, if asked for; then the ranks. The loops over pairs vectorise.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only, summing_kernel
from .costes import costes_thresholds
from .family import FieldObjects, FieldPixels, FloatArray, Use
from .label_index import Int32Array, Int64Array, LabelIndex
from .ranks import ranks_by_bits, ranks_by_sorting, ranks_in_set

#: The last axis of the kernel's result; of those in both directions, the first channel's comes first.
RESULTS = ("Correlation", "Slope", "Overlap", "K", "K", "Manders", "Manders", "RWC", "RWC", "Costes", "Costes")
_CORRELATION, _SLOPE, _OVERLAP, _K, _, _MANDERS, _, _RWC, _, _COSTES, _ = range(len(RESULTS))

#: How a channel's dense ranks are found.
_NO_RANKS, _BY_BITS, _BY_SORTING, _GIVEN = range(4)


def correlation(objects: FieldObjects, use: Use) -> FloatArray:
    """Compare the channels of every pair of ``use.pairs`` in every object.

    Returns
    -------
    float64 (n, pairs · results)
        Pair by pair, the :data:`RESULTS` of the measures asked for. NaN where a channel is absent or the object has a
        pixel in it that is not finite, and where a measure is undefined.
    """
    field, index = objects.field, objects.index
    asked = tuple(use.parameters["measures"])  # type: ignore[arg-type]
    wanted = [k for k, name in enumerate(RESULTS) if name in asked]
    pairs = np.array([objects.channels(pair) for pair in use.pairs], dtype=np.int64).reshape(-1, 2)
    there = np.flatnonzero(field.present[pairs].all(axis=1))
    values = np.full((len(index), len(pairs), len(wanted)), np.nan)
    if len(index) and len(there) and wanted:
        channels, local = np.unique(pairs[there], return_inverse=True)
        thresholds = np.full((len(there), 2), np.nan)
        if "Costes" in asked:
            search = str(use.parameters["costes"])
            thresholds[:] = [_shared_costes(field, int(first), int(second), search) for first, second in pairs[there]]
        # Kernels are compiled for rows of uint16 and of float32.
        image = np.ascontiguousarray(field.pixels(), np.float32 if field.pixels().dtype.kind == "f" else np.uint16)
        keys, how, levels = _rank_keys(index, image, channels, asked, str(use.parameters["ranks"]))
        measured = _measure(
            read_only(image),
            read_only(keys),
            read_only(channels),
            read_only(local.reshape(-1, 2)),
            read_only(thresholds),
            index.offsets,
            index.run_offsets,
            index.runs,
            float(field.full_scale),
            float(use.parameters["threshold_percent"]),  # type: ignore[arg-type]
            "Correlation" in asked or "Slope" in asked,
            bool({"Overlap", "K", "Manders", "RWC"}.intersection(asked)),
            "Costes" in asked,
            how,
            read_only(levels),
        )
        values[:, there] = measured[:, :, wanted]
    return values.reshape(len(index), len(pairs) * len(wanted))


def _shared_costes(field: FieldPixels, first: int, second: int, search: str) -> tuple[float, float]:
    image = field.pixels()
    find = partial(costes_thresholds, image[first], image[second], float(field.full_scale), search)
    return field.shared((costes_thresholds, first, second, search), find)


def _rank_keys(
    index: LabelIndex, image: NDArray[Any], channels: NDArray[np.int64], asked: tuple[Any, ...], among: str
) -> tuple[NDArray[Any], int, Int64Array]:
    """Whole numbers ordered as the pixels, (c, y, x), how to rank them, and the ranks that a channel has, if known."""
    levels = np.zeros(len(image), np.int64)
    is_float = image.dtype.kind == "f"
    if "RWC" not in asked:
        return np.empty((0, 0, 0), np.uint32 if is_float else image.dtype), _NO_RANKS, levels
    if among == "set":
        keys = np.zeros(image.shape, np.uint32 if is_float else image.dtype)
        for channel in channels:
            levels[channel] = ranks_in_set(image[channel], index.pixels, keys[channel])
        return keys, _GIVEN, levels
    if not is_float:
        return image, _BY_BITS, levels
    bits = (image + np.float32(0)).view(np.int32)  # adding zero makes -0.0 and 0.0 one value
    return (bits ^ ((bits >> 31) | np.int32(-(2**31)))).view(np.uint32), _BY_SORTING, levels


@kernel
def _measure(
    image: NDArray[Any],
    keys: NDArray[Any],
    channels: Int64Array,
    pairs: Int64Array,
    thresholds: FloatArray,
    offsets: Int64Array,
    run_offsets: Int64Array,
    runs: Int32Array,
    full_scale: float,
    percent: float,
    linear: bool,
    thresholded: bool,
    costes: bool,
    how: int,
    levels_of_set: Int64Array,
) -> FloatArray:
    n_objects, n_channels, n_pairs = len(offsets) - 1, len(channels), len(pairs)
    results = np.full((n_objects, n_pairs, len(RESULTS)), np.nan)
    largest = 0
    for k in range(n_objects):
        largest = max(largest, offsets[k + 1] - offsets[k])
    of_largest = np.empty((n_channels, largest))
    ranks_of_largest = np.empty((n_channels, largest if how != _NO_RANKS else 0), np.int32)
    key = np.empty(largest if how != _NO_RANKS else 0, np.uint32)
    items = np.empty((2, largest if how == _BY_SORTING else 0), np.uint64)
    words = np.zeros(1024, np.uint64)
    means, cuts, totals = np.empty(n_channels), np.empty(n_channels), np.empty(n_channels)
    constant = np.empty(n_channels, np.bool_)
    levels = np.ones(n_channels, np.int64)
    for k in range(n_objects):
        size = offsets[k + 1] - offsets[k]
        for c in range(n_channels):
            values = of_largest[c, :size]
            low, high, total = _read(image[channels[c]], runs[run_offsets[k] : run_offsets[k + 1]], full_scale, values)
            means[c], constant[c] = total / size, low == high
            cuts[c] = percent / 100 * high
            if thresholded and math.isfinite(total):
                totals[c] = _sum_from(values, cuts[c])
            if how != _NO_RANKS:
                ranks = ranks_of_largest[c, :size]
                _read_keys(keys[channels[c]], runs[run_offsets[k] : run_offsets[k + 1]], key[:size])
                if how == _BY_BITS:
                    levels[c] = ranks_by_bits(key[:size], words, ranks)
                elif how == _BY_SORTING:
                    levels[c] = ranks_by_sorting(key[:size], items[:, :size], ranks)
                else:
                    levels[c] = levels_of_set[channels[c]]
                    for i in range(size):
                        ranks[i] = key[i]
        for p in range(n_pairs):
            a, b = pairs[p]
            if not (math.isfinite(means[a]) and math.isfinite(means[b])):
                continue
            x, y, result = of_largest[a, :size], of_largest[b, :size], results[k, p]
            if linear and not constant[a]:
                xx, yy, xy = _moments(x, y, means[a], means[b])
                result[_SLOPE] = xy / xx
                if not constant[b]:
                    result[_CORRELATION] = min(max(xy / math.sqrt(xx * yy), -1.0), 1.0)
            if thresholded:
                both_x, both_y, xx, yy, xy = _sums_from(x, y, cuts[a], cuts[b])
                if xx > 0 and yy > 0:
                    result[_OVERLAP] = xy / math.sqrt(xx * yy)
                if xx > 0:
                    result[_K] = xy / xx
                if yy > 0:
                    result[_K + 1] = xy / yy
                if totals[a] != 0:
                    result[_MANDERS] = both_x / totals[a]
                if totals[b] != 0:
                    result[_MANDERS + 1] = both_y / totals[b]
                if how != _NO_RANKS:
                    ranks_x, ranks_y = ranks_of_largest[a, :size], ranks_of_largest[b, :size]
                    apart_x, apart_y = _rank_distances(x, y, ranks_x, ranks_y, cuts[a], cuts[b])
                    highest = max(levels[a], levels[b])
                    if totals[a] != 0:
                        result[_RWC] = (both_x - apart_x / highest) / totals[a]
                    if totals[b] != 0:
                        result[_RWC + 1] = (both_y - apart_y / highest) / totals[b]
            if costes and not math.isnan(thresholds[p, 0]):
                both_x, both_y, total_x, total_y = _sums_above(x, y, thresholds[p, 0], thresholds[p, 1])
                if total_x != 0:
                    result[_COSTES] = both_x / total_x
                if total_y != 0:
                    result[_COSTES + 1] = both_y / total_y
    return results


@summing_kernel
def _read(plane: NDArray[Any], runs: Int32Array, full_scale: float, values: FloatArray) -> tuple[float, float, float]:
    """Copy an object's pixels of one channel as intensities; their smallest, largest and sum."""
    low = high = plane[runs[0, 0], runs[0, 1]]
    total = 0.0
    at = 0
    for i in range(len(runs)):
        row = plane[runs[i, 0], runs[i, 1] : runs[i, 2]]
        into = values[at : at + len(row)]
        for x in range(len(row)):
            into[x] = row[x] / full_scale
            total += into[x]
            low, high = min(low, row[x]), max(high, row[x])
        at += len(row)
    return low / full_scale, high / full_scale, total


@kernel
def _read_keys(plane: NDArray[Any], runs: Int32Array, keys: NDArray[np.uint32]) -> None:
    at = 0
    for i in range(len(runs)):
        row = plane[runs[i, 0], runs[i, 1] : runs[i, 2]]
        into = keys[at : at + len(row)]
        for x in range(len(row)):
            into[x] = row[x]
        at += len(row)


@summing_kernel
def _sum_from(values: FloatArray, cut: float) -> float:
    total = 0.0
    for i in range(len(values)):
        total += values[i] if values[i] >= cut else 0.0
    return total


@summing_kernel
def _moments(x: FloatArray, y: FloatArray, mean_x: float, mean_y: float) -> tuple[float, float, float]:
    """Σx², Σy², Σxy about the means."""
    sum_xx, sum_yy, sum_xy = 0.0, 0.0, 0.0
    for i in range(len(x)):
        dx, dy = x[i] - mean_x, y[i] - mean_y
        sum_xx += dx * dx
        sum_yy += dy * dy
        sum_xy += dx * dy
    return sum_xx, sum_yy, sum_xy


@summing_kernel
def _sums_from(x: FloatArray, y: FloatArray, cut_x: float, cut_y: float) -> tuple[float, float, float, float, float]:
    """Σx, Σy, Σx², Σy², Σxy of the pixels at or above both cuts."""
    sum_x, sum_y, sum_xx, sum_yy, sum_xy = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(x)):
        counts = 1.0 if (x[i] >= cut_x) & (y[i] >= cut_y) else 0.0
        a, b = x[i] * counts, y[i] * counts
        sum_x += a
        sum_y += b
        sum_xx += a * a
        sum_yy += b * b
        sum_xy += a * b
    return sum_x, sum_y, sum_xx, sum_yy, sum_xy


@summing_kernel
def _rank_distances(
    x: FloatArray, y: FloatArray, ranks_x: Int32Array, ranks_y: Int32Array, cut_x: float, cut_y: float
) -> tuple[float, float]:
    """Σx·d and Σy·d of the pixels at or above both cuts, with d the distance of their ranks."""
    sum_x, sum_y = 0.0, 0.0
    for i in range(len(x)):
        counts = 1.0 if (x[i] >= cut_x) & (y[i] >= cut_y) else 0.0
        apart = counts * abs(float(ranks_x[i] - ranks_y[i]))
        sum_x += x[i] * apart
        sum_y += y[i] * apart
    return sum_x, sum_y


@summing_kernel
def _sums_above(
    x: FloatArray, y: FloatArray, threshold_x: float, threshold_y: float
) -> tuple[float, float, float, float]:
    """Σx and Σy of the pixels above both thresholds, then of each channel's at or above its own."""
    both_x, both_y, total_x, total_y = 0.0, 0.0, 0.0, 0.0
    for i in range(len(x)):
        counts = 1.0 if (x[i] > threshold_x) & (y[i] > threshold_y) else 0.0
        both_x += x[i] * counts
        both_y += y[i] * counts
        total_x += x[i] if x[i] >= threshold_x else 0.0
        total_y += y[i] if y[i] >= threshold_y else 0.0
    return both_x, both_y, total_x, total_y
