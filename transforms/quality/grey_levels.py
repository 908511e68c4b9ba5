"""The grey values of one image and how often each occurs: what every statistic without a place is made from.

Statistics of CellProfiler's MeasureImageQuality and the thresholds of its library centrosome, computed from counts:
one pass over the pixels of a camera image instead of one for each, and the same numbers. Everything is in grey values
as they stand in the image; CellProfiler divides them by the largest that the pixel type can hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Places in the sorted pixels that Otsu's threshold may take (centrosome.otsu).
_OTSU_PLACES = 256
#: The background threshold looks for the mode in so many bins, this far from both ends of the range.
_MODE_BINS, _MODE_MARGIN = 256, 0.02
#: Share of the pixels that the robust background leaves out at either end.
_TRIMMED = 0.05
#: Ridler and Calvard's threshold stands still when it moves by less than this share of the logarithmic range.
_RIDLER_DELTA = 1e-5
#: Grey values that are told apart in an image of another type than 8 or 16 bits.
_STEPS = 1 << 16


@dataclass(frozen=True, slots=True)
class GreyLevels:
    """Values that occur in an image, ascending, float64 (k,), and how often each does, int64 (k,)."""

    values: FloatArray
    counts: IntArray

    @property
    def pixels(self) -> int:
        """How many pixels there are."""
        return int(self.counts.sum())

    @property
    def constant(self) -> bool:
        """Whether all pixels are the same."""
        return len(self.values) == 1

    def at_places(self, places: NDArray[Any]) -> FloatArray:
        """Give the values at these places, from 0, of the sorted pixels."""
        found: FloatArray = self.values[np.searchsorted(np.cumsum(self.counts), places, side="right")]
        return found

    def at_percent(self, percent: float) -> float:
        """Give the value that ``percent`` of the pixels do not exceed; of two neighbours the lower."""
        return float(self.at_places(np.array([math.floor((self.pixels - 1) * percent / 100)]))[0])


def grey_levels(plane: NDArray[Any]) -> GreyLevels:
    """Count the grey values of an image (y, x).

    Of an image of 8 or 16 bits they are counted as they are. Others are rounded to the nearest of 65,536 even steps
    between their least and largest value; pixels that are no finite numbers are left out, and there must be others.
    """
    if plane.dtype.kind == "u" and plane.dtype.itemsize <= 2:
        counts = np.bincount(plane.ravel())
        values = np.flatnonzero(counts)
        return GreyLevels(values.astype(np.float64), counts[values])
    finite = plane[np.isfinite(plane)]
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return GreyLevels(np.array([low]), np.array([finite.size]))
    step = (high - low) / (_STEPS - 1)
    counts = np.bincount(np.rint((finite - low) / step).astype(np.int64))
    steps = np.flatnonzero(counts)
    return GreyLevels(np.where(steps == _STEPS - 1, high, low + steps * step), counts[steps])


def intensity_statistics(plane: NDArray[Any], levels: GreyLevels) -> dict[str, float]:
    """Give CellProfiler's intensity and saturation measures of an image, by their names.

    ``StdIntensity`` is that of all pixels (divided by their number), ``MADIntensity`` the median distance from the
    median, ``PercentMinimal`` and ``PercentMaximal`` the percent of pixels that have the image's own least and largest
    value. Pixels that are no finite numbers take no part.

    Parameters
    ----------
    plane
        (y, x), any pixel type.
    levels
        Its grey values; for an image of 8 or 16 bits they are all that is needed.
    """
    if plane.dtype.kind != "u" or plane.dtype.itemsize > 2:
        return _of_pixels(plane[np.isfinite(plane)])
    values, counts, pixels = levels.values, levels.counts, levels.pixels
    total = float(np.dot(values, counts))
    mean, middle = total / pixels, _median(levels)
    return {
        "TotalIntensity": total,
        "MeanIntensity": mean,
        "MedianIntensity": middle,
        "StdIntensity": math.sqrt(float(np.dot(np.square(values - mean), counts)) / pixels),
        "MADIntensity": _median(_folded(levels, middle)),
        "MinIntensity": float(values[0]),
        "MaxIntensity": float(values[-1]),
        "PercentMinimal": 100.0 * float(counts[0]) / pixels,
        "PercentMaximal": 100.0 * float(counts[-1]) / pixels,
    }


def _of_pixels(pixels: NDArray[Any]) -> dict[str, float]:
    low, high, middle = pixels.min(), pixels.max(), np.median(pixels)
    total = float(pixels.sum(dtype=np.float64))
    return {
        "TotalIntensity": total,
        "MeanIntensity": total / pixels.size,
        "MedianIntensity": float(middle),
        "StdIntensity": float(pixels.std(dtype=np.float64)),
        "MADIntensity": float(np.median(np.abs(pixels - middle))),
        "MinIntensity": float(low),
        "MaxIntensity": float(high),
        "PercentMinimal": 100.0 * float(np.count_nonzero(pixels == low)) / pixels.size,
        "PercentMaximal": 100.0 * float(np.count_nonzero(pixels == high)) / pixels.size,
    }


def thresholds(levels: GreyLevels) -> dict[str, float]:
    """Give the thresholds that CellProfiler would use on an image that is not constant, by the names of its measures.

    ``ThresholdOtsu_2W`` (two classes, weighted variance, of the logarithm), ``ThresholdBackground`` (twice the mode),
    ``ThresholdRobustBackground`` (mean and two deviations of the middle 90 %), ``ThresholdRidlerCalvard``. Those of its
    thresholds that draw random numbers (Kapur, mixture of Gaussians) are not among them.
    """
    return {
        "ThresholdOtsu_2W": _otsu(levels),
        "ThresholdBackground": _background(levels),
        "ThresholdRobustBackground": _robust_background(levels),
        "ThresholdRidlerCalvard": _ridler_calvard(levels),
    }


def _median(levels: GreyLevels) -> float:
    pixels = levels.pixels
    return float(levels.at_places(np.array([(pixels - 1) // 2, pixels // 2])).mean())


def _folded(levels: GreyLevels, middle: float) -> GreyLevels:
    """Give the distances of all pixels from a value."""
    away = np.abs(levels.values - middle)
    order = np.argsort(away, kind="stable")
    return GreyLevels(away[order], levels.counts[order])


def _logarithm(levels: GreyLevels, lowest: float) -> GreyLevels:
    return GreyLevels(np.log(np.maximum(levels.values, lowest)), levels.counts)


def _otsu(levels: GreyLevels) -> float:
    """Otsu on the logarithm, with a bottom 1/256 of the range above the least value (centrosome.threshold)."""
    low, high = levels.values[0], levels.values[-1]
    return math.exp(_otsu_place(_logarithm(levels, low + (high - low) / 256)))


def _otsu_place(levels: GreyLevels) -> float:
    """Give the place that leaves the least variance on both sides, of 256 evenly many pixels apart (centrosome.otsu).

    It is half-way between the values one step to either side of it.
    """
    pixels = levels.pixels
    if pixels == 1:
        return float(levels.values[0])
    step = max(1, pixels // _OTSU_PLACES)
    middle = float(np.dot(levels.values, levels.counts)) / pixels
    centred = GreyLevels(levels.values - middle, levels.counts)
    last = np.arange(0, pixels - 1, step)  # last pixel of the lower class
    values = levels.at_places(last + 1)
    below, below_squared = _sums_to(centred, last)
    many = last + 1.0
    spread_below = below_squared - below**2 / many
    total = float(np.dot(centred.values, centred.counts))
    total_squared = float(np.dot(centred.values**2, centred.counts))
    rest = pixels - many
    spread_above = total_squared - below_squared - (total - below) ** 2 / rest
    # centrosome's running variance divides by one less than the count, and its weights are not alike on both sides.
    scores = spread_below + spread_above * rest / np.maximum(rest - 1, 1)
    best = int(np.argmin(scores))
    return float(values[max(best - 1, 0)] + values[min(best + 1, len(values) - 1)]) / 2


def _sums_to(levels: GreyLevels, places: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Give the sum and the sum of squares of the sorted pixels up to and with each place; -1 is before the first."""
    up_to = np.cumsum(levels.counts)
    at = np.searchsorted(up_to, places, side="right")
    here = places + 1 - (up_to[at] - levels.counts[at])
    once = np.concatenate(([0.0], np.cumsum(levels.values * levels.counts)))
    twice = np.concatenate(([0.0], np.cumsum(levels.values**2 * levels.counts)))
    return once[at] + here * levels.values[at], twice[at] + here * levels.values[at] ** 2


def _background(levels: GreyLevels) -> float:
    """Twice the mode, above the least value (centrosome.threshold.get_background_threshold)."""
    low, high = levels.values[0], levels.values[-1]
    span = high - low
    bottom, top = low + _MODE_MARGIN * span, low + (1 - _MODE_MARGIN) * span
    inner = (levels.values > bottom) & (levels.values < top)
    if not inner.any():
        return float(bottom)
    histogram, _ = np.histogram(levels.values[inner], _MODE_BINS, (bottom, top), weights=levels.counts[inner])
    cutoff = (int(np.argmax(histogram)) / (_MODE_BINS - 1) + _MODE_MARGIN) / (1 + 2 * _MODE_MARGIN)
    return float(low + cutoff * 2 * span)


def _robust_background(levels: GreyLevels) -> float:
    """Mean and two deviations of the pixels without 5 % at either end (get_robust_background_threshold)."""
    pixels = levels.pixels
    cut = round(pixels * _TRIMMED)
    middle = float(levels.at_places(np.array([pixels // 2]))[0])
    centred = GreyLevels(levels.values - middle, levels.counts)
    once, twice = _sums_to(centred, np.array([cut - 1, pixels - cut - 1]))
    many = pixels - 2 * cut
    mean, squared = float(once[1] - once[0]) / many, float(twice[1] - twice[0]) / many
    return middle + mean + 2 * math.sqrt(max(squared - mean**2, 0.0))


def _ridler_calvard(levels: GreyLevels) -> float:
    """Half-way between the means of the logarithm on both sides of itself (get_ridler_calvard_threshold)."""
    logarithm = _logarithm(levels, levels.values[-1] / 256)
    low, high = logarithm.values[0], logarithm.values[-1]
    stretched = GreyLevels((logarithm.values - low) / (high - low), levels.counts)
    before, now = 0.0, _otsu_place(stretched)
    weighted = stretched.values * stretched.counts
    while abs(before - now) > _RIDLER_DELTA:
        before = now
        below = stretched.values < before
        if not below.any() or below.all():
            break
        means = [weighted[side].sum() / stretched.counts[side].sum() for side in (below, ~below)]
        now = float(sum(means)) / 2
    return math.exp(low + (high - low) * now)
