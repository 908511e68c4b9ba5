"""Costes' automatic thresholds of a pair of channels, found once for the whole image, as CellProfiler 4 does.

The orthogonal regression line y = a·x + b of the image's pixels turns a threshold t of the first channel into a·t + b
for the second. Background are the pixels below either. Wanted is the lowest t whose background is not anticorrelated;
candidates are the steps of the image's scale, and three searches pick among them.

    S. V. Costes et al., Biophys. J. 86 (2004) 3993-4003; CellProfiler 4 MeasureColocalization.

As t grows, a pixel becomes background at a step that is known beforehand (where the line falls, it may leave the
background first). So one pass over the pixels adds each to the sums of its step, running totals over the steps are the
sums of every background there is, and no candidate needs a pass of its own.

What limits the speed: that one pass, which adds six numbers to a table at a place that the pixel decides.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only, summing_kernel

FloatArray = NDArray[np.float64]

#: Steps of a scale that has none of its own, as of images from 0 to 1: CellProfiler's where it knows no scale.
_STEPS_OF_UNIT_SCALE = 255.0
_MOST_STEPS = 65535
#: A covariance below this share of the larger variance is rounding: the line would have no direction.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
#: Share of a sum of squares below which the spread of floats is rounding; sums of whole numbers are exact.
_NOISE = 1e-12
#: More turns than the bisection of any scale takes.
_TURNS = 256


def costes_thresholds(first: NDArray[Any], second: NDArray[Any], full_scale: float, search: str) -> tuple[float, float]:
    """Find the thresholds of two channels of an image.

    Parameters
    ----------
    first, second : uint8, uint16 or float32 (y, x)
        Pixels where either is not finite are left out.
    full_scale
        Grey value that counts as 1.0. Candidates are the whole numbers up to it; 255ths of a scale below 2, 65,535ths
        of one above 65,535.
    search
        One of :data:`.correlation_columns.SEARCHES`: bisection with windows that shrink by a sixth; from the top in
        steps that grow with the correlation; from the top, every step.

    Returns
    -------
    tuple of float
        In units of ``full_scale``. NaN where there are none: fewer than three pixels, no covariance of the channels,
        or no candidate whose background is not anticorrelated (where CellProfiler gives 0 and b).
    """
    x, y = (_flat(channel) for channel in (first, second))
    exact = x.dtype.kind != "f"
    if not exact:
        finite = np.isfinite(x) & np.isfinite(y)
        if not finite.all():
            x, y = x[finite], y[finite]
    if x.size < 3:
        return math.nan, math.nan
    x, y = read_only(x), read_only(y)
    # Any number near the mean will do; whole ones keep the sums of whole numbers exact.
    middle_x, middle_y = (float(values[:: values.size // 1024 + 1].mean(dtype=np.float64)) for values in (x, y))
    if exact:
        middle_x, middle_y = float(round(middle_x)), float(round(middle_y))
    noise = 0.0 if exact else _NOISE
    slope, intercept = _line(_lit_sums(x, y, middle_x, middle_y), middle_x, middle_y, noise)
    if math.isnan(slope):
        return math.nan, math.nan

    steps = _STEPS_OF_UNIT_SCALE if full_scale < 2 else min(full_scale, float(_MOST_STEPS))
    per_grey = steps / full_scale
    brightest_x, brightest_y = float(x.max()) * per_grey, float(y.max()) * per_grey
    last = int(min(max(brightest_x, 0.0), _MOST_STEPS))
    line = (slope, intercept * per_grey, per_grey, last)
    sums = _sums(_rows(x, y, *line, True), x, y, middle_x, middle_y, last)
    if slope < 0:
        left = _sums(_rows(x, y, *line, False), x, y, middle_x, middle_y, last)
        sums += left[-1] - left
    counts, correlations = _correlations(sums, noise)
    if search == "Faster":
        threshold = _bisection(counts, correlations, steps) / steps
    else:
        start = int(min(max(brightest_x, brightest_y, 0.0), _MOST_STEPS)) + 1
        while start > brightest_x and slope * start + intercept * per_grey > brightest_y:
            start -= 1
        threshold = _descent(counts, correlations, start, skipping=search == "Fast") / steps
    return threshold, slope * threshold + intercept / full_scale


def _flat(channel: NDArray[Any]) -> NDArray[Any]:
    """Give the pixels in one row, as uint16 or float32, for which the kernels are compiled."""
    return np.ascontiguousarray(channel, dtype=np.float32 if channel.dtype.kind == "f" else np.uint16).ravel()


@summing_kernel
def _lit_sums(
    x: NDArray[Any], y: NDArray[Any], middle_x: float, middle_y: float
) -> tuple[float, float, float, float, float, float]:
    """n, Σx, Σy, Σx², Σy², Σxy about the middles, over the pixels that are above zero in either channel."""
    n, sum_x, sum_y, sum_xx, sum_yy, sum_xy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(x)):
        lit = 1.0 if (x[i] > 0) | (y[i] > 0) else 0.0
        dx, dy = (float(x[i]) - middle_x) * lit, (float(y[i]) - middle_y) * lit
        n += lit
        sum_x += dx
        sum_y += dy
        sum_xx += dx * dx
        sum_yy += dy * dy
        sum_xy += dx * dy
    return n, sum_x, sum_y, sum_xx, sum_yy, sum_xy


def _line(sums: tuple[float, ...], middle_x: float, middle_y: float, noise: float) -> tuple[float, float]:
    """Slope and intercept of the orthogonal regression line, NaN where it has no direction."""
    n, sum_x, sum_y, sum_xx, sum_yy, sum_xy = sums
    if n < 3:
        return math.nan, math.nan
    variance_x, variance_y, covariance = (
        (squares - one * other / n) / (n - 1)
        for squares, one, other in ((sum_xx, sum_x, sum_x), (sum_yy, sum_y, sum_y), (sum_xy, sum_x, sum_y))
    )
    flat = min(variance_x - noise * sum_xx / (n - 1), variance_y - noise * sum_yy / (n - 1)) <= 0
    if flat or abs(covariance) <= _ROUNDING * max(variance_x, variance_y):
        return math.nan, math.nan
    difference = variance_y - variance_x
    slope = (difference + math.sqrt(difference**2 + 4 * covariance**2)) / (2 * covariance)
    if slope == 0:
        return math.nan, math.nan
    return slope, middle_y + sum_y / n - slope * (middle_x + sum_x / n)


@summing_kernel
def _rows(
    x: NDArray[Any], y: NDArray[Any], slope: float, intercept: float, per_grey: float, last: int, entering: bool
) -> NDArray[np.int32]:
    """Step, 0 to ``last`` + 1, at which each pixel enters the background, or leaves it for the time until then.

    A pixel enters the background above its own value, and on a rising line above its place on the line; where the line
    falls, it leaves the background there if it is not in it for its own value.
    """
    rows = np.empty(len(x), np.int32)
    steps_per_y, offset, top = per_grey / slope, intercept / slope, last + 1.0
    for i in range(len(x)):
        own, on_line = float(x[i]) * per_grey, float(y[i]) * steps_per_y - offset
        enters = own if (slope < 0) | (own < on_line) else on_line
        row = math.floor(enters) + 1.0
        if not entering:
            leaves = math.ceil(on_line)
            row = leaves if leaves < row else row
        row = row if row > 0 else 0.0
        rows[i] = int(row if row < top else top)
    return rows


@kernel
def _sums(
    rows: NDArray[np.int32], x: NDArray[Any], y: NDArray[Any], middle_x: float, middle_y: float, last: int
) -> FloatArray:
    """n, Σx, Σy, Σx², Σy², Σxy about the middles, of the pixels of every row and those before it, (rows, 6)."""
    sums = np.zeros((last + 2, 6))
    for i in range(len(rows)):
        dx, dy = float(x[i]) - middle_x, float(y[i]) - middle_y
        into = sums[np.uint32(rows[i])]  # without a sign no index counts from the end, which would need a test
        into[0] += 1.0
        into[1] += dx
        into[2] += dy
        into[3] += dx * dx
        into[4] += dy * dy
        into[5] += dx * dy
    for row in range(1, last + 2):
        for k in range(6):
            sums[row, k] += sums[row - 1, k]
    return sums


def _correlations(sums: FloatArray, noise: float) -> tuple[FloatArray, FloatArray]:
    """Pixels of each background and their correlation, NaN where a channel has no variation in it."""
    n, sum_x, sum_y, sum_xx, sum_yy, sum_xy = sums.T
    spread_x, spread_y = n * sum_xx - sum_x**2, n * sum_yy - sum_y**2
    varies = (spread_x > noise * n * sum_xx) & (spread_y > noise * n * sum_yy)
    correlations = np.full(len(n), np.nan)
    together = n * sum_xy - sum_x * sum_y
    correlations[varies] = together[varies] / np.sqrt(spread_x[varies] * spread_y[varies])
    return n, correlations


def _bisection(counts: FloatArray, correlations: FloatArray, steps: float) -> float:
    """Search in a window that loses a sixth at its top, or all below the candidate, until it stays as it is."""
    left, right, found = 1.0, steps, math.nan
    candidate, before = (right - left) // (6 / 5) + left, 0.0
    for _ in range(_TURNS):
        if candidate == before:
            break
        row = min(int(candidate), len(counts) - 1)
        correlation = correlations[row]
        if counts[row] <= 2 or correlation < 0:
            left = candidate - 1
        elif correlation >= 0:
            right, found = candidate + 1, candidate
        before = candidate  # a background without variation changes nothing, which ends the search
        candidate = (right - left) // (6 / 5 if right - left > 6 else 2) + left
    return found - 1


def _descent(counts: FloatArray, correlations: FloatArray, start: int, *, skipping: bool) -> float:
    """Search from the top down to the first background without positive correlation, or the last candidate."""
    threshold = candidate = start
    while candidate > 1:
        threshold = candidate
        row = min(candidate, len(counts) - 1)
        correlation = correlations[row]
        if counts[row] < 2 or correlation <= 0:
            break
        stride = 1
        if skipping and candidate >= 10:
            stride = next((far for above, far in ((0.45, 10), (0.35, 5), (0.25, 2)) if correlation > above), 1)
        candidate -= stride
    return float(threshold)
