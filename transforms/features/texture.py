"""Haralick's texture features of each object: how often grey levels lie side by side, a few pixels apart.

CellProfiler's definitions, which are those of mahotas: every pair of pixels of the object at the given step counts once
in each order, so the matrix of co-occurrences is symmetric; level 0 counts as background.

    R. M. Haralick, K. Shanmugam, I. Dinstein, IEEE Trans. Syst. Man Cybern. 3 (1973) 610-621.

The matrix is sparse: an object fills few of its 65,536 cells. The cells that are touched
are listed while pairs are counted, and everything else follows from them through three short histograms: of the level,
of the sum and of the difference of a pair. Correlation and SumVariance need no pass of their own, because the two
pixels of a pair have the same variance V: with the contrast C, their covariance is V - C/2. Entropies take n·log2(n)
of whole numbers from a table.

What limits the speed: counting. A pair costs one read and one write of a table of 256 KiB, and where neighbouring
pixels repeat a pair, each count waits for the one before. Grey levels (a look-up per pixel of the image) and crops are
made once for all scales and directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only
from .label_index import Int32Array, Int64Array, LabelIndex

FloatArray = NDArray[np.float64]
Levels = NDArray[np.uint8]
Keys = NDArray[np.uint16]
#: Unsigned, as all that the inner loops count with, so that no index is asked whether it is negative.
Places = NDArray[np.uint32]

#: Features in Haralick's order, by CellProfiler's names: the last axis of :func:`haralick`.
FEATURES = (
    "AngularSecondMoment",
    "Contrast",
    "Correlation",
    "Variance",
    "InverseDifferenceMoment",
    "SumAverage",
    "SumVariance",
    "SumEntropy",
    "Entropy",
    "DifferenceVariance",
    "DifferenceEntropy",
    "InfoMeas1",
    "InfoMeas2",
)
#: Steps ``(y, x)`` from a pixel to its partner, at scale 1, in CellProfiler's order.
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
_LEVELS = 256
#: Above this the table of n·log2(n) would outgrow the cache; larger counts are rare.
_TABLE = 1 << 16


def quantised(plane: NDArray[Any], full_scale: float, levels: int) -> Levels:
    """Give the grey levels that textures are taken from, as CellProfiler does.

    Intensities from 0 to 1 become 0 … 255, rounded, half to even; fewer levels than 256 scale these and round down.

    Parameters
    ----------
    plane : uint8, uint16 or float32 (y, x)
        One channel. Values below 0 count as 0, those above ``full_scale`` as 1, those that are no number as 0.
    full_scale
        Grey value that counts as 1.0.
    levels
        Number of levels, 2 … 256.

    Returns
    -------
    uint8 (y, x)
        0 … ``levels - 1``.
    """
    of_byte = (np.arange(_LEVELS) / 255.0 * (levels - 1)).astype(np.uint8)
    plane = read_only(np.ascontiguousarray(plane))
    if plane.dtype.kind == "f":
        return _levels_of_floats(plane, full_scale, of_byte)
    greys = np.arange(np.iinfo(plane.dtype).max + 1)
    return _look_up(plane, of_byte[np.rint(np.minimum(greys / full_scale, 1.0) * 255.0).astype(np.uint8)])


def haralick(index: LabelIndex, levels: Levels, scales: Sequence[int]) -> FloatArray:
    """Measure the textures of one channel.

    Parameters
    ----------
    index
        The objects.
    levels : uint8 (y, x)
        Grey levels of the channel (:func:`quantised`).
    scales
        Distances in pixels between the two pixels of a pair, each at least 1.

    Returns
    -------
    float64 (n, scales, 4, 13)
        By direction (``DIRECTIONS``) and feature (``FEATURES``). All four directions are NaN where one of them has no
        pair of pixels, as in CellProfiler.
    """
    largest = int(np.diff(index.offsets).max(initial=0))
    counts = np.arange(min(2 * largest, _TABLE) + 1, dtype=np.float64)
    logarithms = counts * np.log2(np.maximum(counts, 1))
    steps = np.asarray(scales, np.int64)[:, None, None] * np.array(DIRECTIONS)
    values = _haralick(
        read_only(levels),
        index.offsets,
        index.run_offsets,
        index.runs,
        index.bbox,
        steps,
        largest,
        logarithms,
        1.0 / (1.0 + np.arange(_LEVELS, dtype=np.float64) ** 2),
    )
    return values


@kernel
def _look_up(plane: NDArray[Any], table: Levels) -> Levels:
    levels = np.empty(plane.shape, np.uint8)
    flat, into = plane.ravel(), levels.ravel()
    for i in range(flat.shape[0]):
        into[i] = table[flat[i]]
    return levels


@kernel
def _levels_of_floats(plane: NDArray[Any], full_scale: float, of_byte: Levels) -> Levels:
    levels = np.zeros(plane.shape, np.uint8)
    flat, into = plane.ravel(), levels.ravel()
    for i in range(flat.shape[0]):
        value = flat[i] / full_scale
        if value > 0:  # not so for NaN
            into[i] = of_byte[int(np.rint(min(value, 1.0) * 255.0))]
    return levels


@kernel
def _haralick(
    levels: Levels,
    offsets: Int64Array,
    run_offsets: Int64Array,
    runs: Int32Array,
    bbox: Int32Array,
    steps: Int64Array,
    largest: int,
    logarithms: FloatArray,
    closeness: FloatArray,
) -> FloatArray:
    """All features of every object; ``closeness[d]`` is 1 / (1 + d²)."""
    n, n_scales = run_offsets.shape[0] - 1, steps.shape[0]
    out = np.full((n, n_scales, len(DIRECTIONS), len(FEATURES)), np.nan)
    reach = 0
    for s in range(n_scales):
        reach = max(reach, steps[s, 0, 1])
    most_cells = 0
    for k in range(n):
        height, width = bbox[k, 2] - bbox[k, 0], bbox[k, 3] - bbox[k, 1]
        margin = min(reach, height, width)
        most_cells = max(most_cells, (height + margin) * (width + 2 * margin))
    crop_of_largest = np.empty(most_cells, np.uint8)
    keys_of_largest = np.empty(most_cells, np.uint16)
    places_of_largest = np.empty(largest, np.uint32)
    pair_counts = np.zeros(_LEVELS * _LEVELS, np.int32)
    touched = np.empty(largest, np.uint16)
    histograms = np.zeros((3, 2 * _LEVELS), np.int64)
    for k in range(n):
        first, last = run_offsets[k], run_offsets[k + 1]
        height, width = bbox[k, 2] - bbox[k, 0], bbox[k, 3] - bbox[k, 1]
        margin = min(reach, height, width)
        stride = width + 2 * margin
        crop = crop_of_largest[: (height + margin) * stride]
        places = places_of_largest[: offsets[k + 1] - offsets[k]]
        lowest, highest = _crop(levels, runs[first:last], bbox[k], margin, crop, places)
        for s in range(n_scales):
            if steps[s, 0, 1] >= min(height, width):
                continue  # a direction leaves the bounding box
            for d in range(len(DIRECTIONS)):
                step = steps[s, d, 0] * stride + steps[s, d, 1]
                keys = keys_of_largest[: height * stride]
                _pair_keys(crop, step, keys)
                n_touched = _count(keys, places, pair_counts, touched)
                defined = _features(
                    pair_counts, touched[:n_touched], lowest, highest, histograms, logarithms, closeness, out[k, s, d]
                )
                if not defined:
                    out[k, s] = np.nan
                    break
    return out


@kernel
def _crop(
    levels: Levels, runs: Int32Array, box: Int32Array, margin: int, crop: Levels, places: Places
) -> tuple[int, int]:
    """Copy an object's levels into its box, zeros round them; where its pixels are there; lowest and highest level.

    There are ``margin`` columns on both sides of the box, and rows below it.
    """
    crop[:] = 0
    stride = box[3] - box[1] + 2 * margin
    lowest, highest = np.uint8(255), np.uint8(0)
    at = 0
    for i in range(runs.shape[0]):
        y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2]
        place = (y - box[0]) * stride + start - box[1] + margin
        row, into, places_of_row = levels[y, start:stop], crop[place:], places[at:]
        for x in range(stop - start):
            into[x] = row[x]
            lowest, highest = min(lowest, row[x]), max(highest, row[x])
        for x in range(stop - start):
            places_of_row[x] = place + x
        at += stop - start
    return int(lowest), int(highest)


@kernel
def _pair_keys(crop: Levels, step: int, keys: Keys) -> None:
    """Name the pair of levels of each place and the one a step further: the lower times 256 plus the higher."""
    inside = min(keys.shape[0], crop.shape[0] - step)
    here, there = crop[:inside], crop[step : step + inside]
    for i in range(inside):
        keys[i] = (np.uint16(min(here[i], there[i])) << np.uint16(8)) | np.uint16(max(here[i], there[i]))


@kernel
def _count(keys: Keys, places: Places, counts: Int32Array, touched: Keys) -> int:
    """Count the keys at these places; list those that occur, and give their number."""
    found = np.uint64(0)
    for i in range(places.shape[0]):
        key = keys[places[i]]
        count = counts[key]
        touched[found] = key
        found += np.uint64(count == 0)
        counts[key] = count + 1
    return int(found)


@kernel
def _features(
    pair_counts: Int32Array,
    touched: Keys,
    lowest: int,
    highest: int,
    histograms: Int64Array,
    logarithms: FloatArray,
    closeness: FloatArray,
    out: FloatArray,
) -> bool:
    """Fill in the 13 features and set all counts back to 0; False where there is no pair."""
    of_level, of_sum, of_difference = histograms[0], histograms[1], histograms[2]
    squares, diagonal_squares, joint = 0, 0, 0.0
    for i in range(touched.shape[0]):
        key = touched[i]
        low, high = np.uint64(key) >> np.uint64(8), np.uint64(key) & np.uint64(255)
        count = int(pair_counts[key]) if low > 0 else 0  # level 0 is background
        pair_counts[key] = 0
        squares += count * count
        diagonal_squares += count * count if low == high else 0
        joint += _log_product(count, logarithms)
        of_level[low] += count
        of_level[high] += count
        of_sum[low + high] += count
        of_difference[high - low] += count

    pairs, total = 0, 0
    for d in range(highest + 1):
        pairs += of_difference[d]
    for g in range(lowest, highest + 1):
        total += g * of_level[g]
    if pairs == 0:
        return False
    pixels = 2 * pairs
    n_equal = of_difference[0]
    mean = total / pixels
    about = round(mean)
    drift, square, level = 0, 0, 0.0
    for g in range(lowest, highest + 1):
        count = of_level[g]
        drift += (g - about) * count
        square += (g - about) * (g - about) * count
        level += _log_product(count, logarithms)
        of_level[g] = 0
    contrast, difference_squares, close, difference = 0, 0.0, 0.0, 0.0
    for d in range(highest + 1):
        count = of_difference[d]
        contrast += d * d * count
        difference_squares += float(count) * float(count)
        close += closeness[d] * count
        difference += _log_product(count, logarithms)
        of_difference[d] = 0
    sums = 0.0
    for g in range(2 * lowest, 2 * highest + 1):
        sums += _log_product(of_sum[g], logarithms)
        of_sum[g] = 0

    variance = square / pixels - (drift / pixels) ** 2
    bins = highest + 1
    out[0] = (float(squares) + float(diagonal_squares)) / (2.0 * pairs * pairs)
    out[1] = contrast / pairs
    out[3] = variance
    out[4] = close / pairs
    out[5] = 2 * mean
    out[9] = difference_squares / (float(pairs) * pairs * bins) - 1.0 / (float(bins) * bins)
    if square == 0:  # one level only: rounding must not make entropies of it
        out[2] = 1.0
        out[6] = out[7] = out[8] = out[10] = out[11] = out[12] = 0.0
        return True
    log_pairs = math.log2(pairs)
    level_entropy = log_pairs + 1.0 - level / pixels
    entropy = log_pairs + 1.0 - (joint + n_equal) / pairs
    information = 2.0 * level_entropy - entropy
    out[2] = 1.0 - out[1] / (2.0 * variance)
    out[6] = 4.0 * variance - out[1]
    out[7] = log_pairs - sums / pairs
    out[8] = entropy
    out[10] = log_pairs - difference / pairs
    out[11] = -information / level_entropy
    out[12] = math.sqrt(max(-math.expm1(-2.0 * information), 0.0))
    return True


@kernel
def _log_product(count: int, logarithms: FloatArray) -> float:
    """n·log2(n), 0 for n = 0."""
    if count < logarithms.shape[0]:
        return float(logarithms[count])
    return count * math.log2(count)
