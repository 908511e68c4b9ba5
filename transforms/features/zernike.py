"""Zernike moments of each object, of its form and of its pixels' intensities, on its smallest enclosing circle.

A Zernike polynomial is a polynomial in x and y, so its sum over an object is a fixed linear map of the power sums
Σ g · y^p · x^q. Those are cheap: x and its powers depend on the column alone, so each row of the object gives its sums
over x at once, and y^p multiplies the ten sums of a row, not its pixels.

    M. V. Boland, M. K. Markey, R. F. Murphy, Cytometry 33 (1998) 366-375 (the features);
    F. Zernike, Physica 1 (1934) 689-704 (the polynomials).

Every pixel of an object lies in its circle and counts. (centrosome, which CellProfiler uses, drops the pixels on the
circle that rounding puts outside.)
"""

from __future__ import annotations

import math
from functools import cache
from math import comb, factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..jit import kernel, read_only, summing_kernel
from .enclosing_circle import enclosing_circles
from .label_index import Int32Array, Int64Array, LabelIndex
from .zernike_columns import DEGREE, zernike_orders

FloatArray = NDArray[np.float64]

#: Powers that are summed in one pass over a row, in registers.
_AT_ONCE = 5
#: Rows are filled up with zeros to a multiple of this many pixels, which the processor takes at once.
_LANES = 8
#: Beyond this degree the power sums cancel by more than float64 has digits to spare.
MAX_DEGREE = 15
#: A magnitude below this share of the object's largest is rounding, and has no phase.
_ROUNDING = 1e-12


def shape_zernikes(index: LabelIndex, degree: int = DEGREE) -> FloatArray:
    """Zernike magnitudes of the objects' forms, over the area of the enclosing circle.

    Parameters
    ----------
    index
        The objects.
    degree
        Largest order n, up to 15.

    Returns
    -------
    float64 (n, len(zernike_orders(degree)))
        In the order of :func:`.zernike_columns.zernike_orders`; NaN for a single pixel, whose circle has no radius.

    Raises
    ------
    UsageError
        If the degree is not within 0 … 15.
    """
    circles = read_only(enclosing_circles(index))
    sums = _form_zernikes(index.run_offsets, index.runs, index.bbox, circles, _powers(degree), *_linear_map(degree))
    area = math.pi * np.square(circles[:, 2:])
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitude: FloatArray = np.where(area > 0, _magnitude(sums) / area, np.nan)
    return magnitude


def intensity_zernikes(
    index: LabelIndex, pixels: NDArray[Any], present: NDArray[np.bool_], full_scale: float, degree: int = DEGREE
) -> tuple[FloatArray, FloatArray]:
    """Zernike magnitudes and phases of the objects' intensities, over the number of their pixels.

    Parameters
    ----------
    index
        The objects.
    pixels : uint8, uint16 or float32 (c, y, x)
        The field.
    present : bool (c,)
        False for channels that are not to be measured: their values are NaN.
    full_scale
        Grey value that becomes intensity 1.0.
    degree
        Largest order n, up to 15.

    Returns
    -------
    magnitude, phase : float64 (n, c, len(zernike_orders(degree)))
        In the order of :func:`.zernike_columns.zernike_orders`. The phase is in radians and, as in
        CellProfiler, the angle whose tangent is the real over the imaginary part. Both are NaN for a single pixel and
        where the object has a pixel that is not finite; the phase too where the magnitude is 0 (up to rounding).

    Raises
    ------
    UsageError
        If the degree is not within 0 … 15.
    """
    circles = read_only(enclosing_circles(index))
    sums = _intensity_zernikes(
        index.run_offsets,
        index.runs,
        index.bbox,
        circles,
        read_only(np.ascontiguousarray(pixels)),
        read_only(np.ascontiguousarray(present, dtype=np.bool_)),
        _powers(degree),
        *_linear_map(degree),
    )
    area = np.diff(index.offsets).astype(np.float64)[:, None, None]
    magnitude = _magnitude(sums) / (area * full_scale)
    with np.errstate(invalid="ignore"):
        certain = magnitude > _ROUNDING * magnitude.max(axis=2, keepdims=True)
    phase = np.where(certain, np.arctan2(sums[..., 0], sums[..., 1]), np.nan)
    return magnitude, phase


def _magnitude(sums: FloatArray) -> FloatArray:
    real, imaginary = sums[..., 0], sums[..., 1]
    magnitude: FloatArray = np.sqrt(real * real + imaginary * imaginary)
    return magnitude


@cache
def _powers(degree: int) -> int:
    """Give the number of powers 0 … degree, rounded up to whole passes."""
    if not 0 <= degree <= MAX_DEGREE:
        raise UsageError(f"Zernike polynomials are measured up to degree {MAX_DEGREE}, asked for {degree}")
    return -(-(degree + 1) // _AT_ONCE) * _AT_ONCE


@cache
def _linear_map(degree: int) -> tuple[Int64Array, Int32Array, FloatArray]:
    """From the power sums to the real and imaginary parts of every polynomial, as a sparse matrix by rows.

    V_nm = Σ_s (-1)^s (n - s)! / (s! ((n + m)/2 - s)! ((n - m)/2 - s)!) · (x² + y²)^((n - m)/2 - s) · (y + ix)^m

    Returns
    -------
    starts : int64 (2 · polynomials + 1,)
    terms : int32 (…, 2)
        Powers ``(p, q)`` of y and x.
    factors : float64 (…,)
    """
    starts, terms, factors = [0], [], []
    for n, m in zernike_orders(degree):
        row: dict[tuple[int, int], float] = {}
        for s in range((n - m) // 2 + 1):
            e = (n - m) // 2 - s
            weight = (-1) ** s * factorial(n - s) // (factorial(s) * factorial(e + m) * factorial(e))
            for i in range(e + 1):
                for j in range(m + 1):
                    power = (2 * (e - i) + m - j, 2 * i + j)
                    sign = (1, 1, -1, -1)[j % 4]  # of the real or imaginary part of i^j
                    row[power] = row.get(power, 0) + sign * weight * comb(e, i) * comb(m, j)
        for odd in (0, 1):  # odd powers of x make up the imaginary part
            part = [power for power in sorted(row) if power[1] % 2 == odd and row[power] != 0]
            terms += part
            factors += [row[power] for power in part]
            starts.append(len(terms))
    arrays = np.array(starts, np.int64), np.array(terms, np.int32), np.array(factors, np.float64)
    return read_only(arrays[0]), read_only(arrays[1]), read_only(arrays[2])


@kernel
def _gather(pixels: NDArray[Any], weights: FloatArray) -> None:
    for i in range(pixels.shape[0]):
        weights[i] = pixels[i]


@summing_kernel
def _power_sums(weights: FloatArray, x: FloatArray, sums: FloatArray) -> None:
    """``sums[q]`` = Σ weights · x^q; the weights are overwritten."""
    for q in range(0, sums.shape[0], _AT_ONCE):
        s0, s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(weights.shape[0]):
            term = weights[i]
            s0 += term
            term *= x[i]
            s1 += term
            term *= x[i]
            s2 += term
            term *= x[i]
            s3 += term
            term *= x[i]
            s4 += term
            weights[i] = term * x[i]
        sums[q], sums[q + 1], sums[q + 2], sums[q + 3], sums[q + 4] = s0, s1, s2, s3, s4


@summing_kernel
def _add_row(row: FloatArray, y: float, sums: FloatArray) -> None:
    """Add the power sums of a row at height y to those of its object: ``sums[p, q] += y^p · row[q]``."""
    power = 1.0
    for p in range(sums.shape[0]):
        for q in range(row.shape[0]):
            sums[p, q] += power * row[q]
        power *= y


@kernel
def _apply(sums: FloatArray, starts: Int64Array, terms: Int32Array, factors: FloatArray, out: FloatArray) -> None:
    """Real and imaginary part of every polynomial, ``out`` (polynomials, 2), from the power sums."""
    for part in range(starts.shape[0] - 1):
        total = 0.0
        for i in range(starts[part], starts[part + 1]):
            total += factors[i] * sums[terms[i, 0], terms[i, 1]]
        out[part // 2, part % 2] = total


@kernel
def _form_zernikes(
    run_offsets: Int64Array,
    runs: Int32Array,
    bbox: Int32Array,
    circles: FloatArray,
    powers: int,
    starts: Int64Array,
    terms: Int32Array,
    factors: FloatArray,
) -> FloatArray:
    n = bbox.shape[0]
    out = np.full((n, starts.shape[0] // 2, 2), np.nan)
    widest = 0
    for k in range(n):
        widest = max(widest, bbox[k, 3] - bbox[k, 1])
    up_to = np.zeros((widest + 1, powers))  # power sums over the columns left of each
    row, sums = np.empty(powers), np.empty((powers, powers))
    for k in range(n):
        y0, x0 = bbox[k, 0], bbox[k, 1]
        radius = circles[k, 2]
        if radius == 0:
            continue
        for column in range(bbox[k, 3] - x0):
            x = (column - circles[k, 1]) / radius
            power = 1.0
            for q in range(powers):
                up_to[column + 1, q] = up_to[column, q] + power
                power *= x
        sums[:] = 0.0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            start, stop = runs[i, 1] - x0, runs[i, 2] - x0
            for q in range(powers):
                row[q] = up_to[stop, q] - up_to[start, q]
            _add_row(row, (runs[i, 0] - y0 - circles[k, 0]) / radius, sums)
        _apply(sums, starts, terms, factors, out[k])
    return out


@kernel
def _intensity_zernikes(
    run_offsets: Int64Array,
    runs: Int32Array,
    bbox: Int32Array,
    circles: FloatArray,
    image: NDArray[Any],
    present: NDArray[np.bool_],
    powers: int,
    starts: Int64Array,
    terms: Int32Array,
    factors: FloatArray,
) -> FloatArray:
    n, channels = bbox.shape[0], image.shape[0]
    out = np.full((n, channels, starts.shape[0] // 2, 2), np.nan)
    widest = 0
    for k in range(n):
        widest = max(widest, bbox[k, 3] - bbox[k, 1])
    x, weights = np.zeros(widest + _LANES), np.empty(widest + _LANES)
    row, sums = np.empty(powers), np.empty((channels, powers, powers))
    for k in range(n):
        y0, x0 = bbox[k, 0], bbox[k, 1]
        radius = circles[k, 2]
        if radius == 0:
            continue
        for column in range(bbox[k, 3] - x0):
            x[column] = (column - circles[k, 1]) / radius
        sums[:] = 0.0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            start, length = runs[i, 1], runs[i, 2] - runs[i, 1]
            filled = (length + _LANES - 1) // _LANES * _LANES
            y = (runs[i, 0] - y0 - circles[k, 0]) / radius
            for c in range(channels):
                if present[c]:
                    _gather(image[c, runs[i, 0], start : start + length], weights)
                    weights[length:filled] = 0.0
                    _power_sums(weights[:filled], x[start - x0 : start - x0 + filled], row)
                    _add_row(row, y, sums[c])
        for c in range(channels):
            if present[c] and math.isfinite(sums[c, 0, 0]):
                _apply(sums[c], starts, terms, factors, out[k, c])
    return out
