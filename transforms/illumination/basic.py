"""An estimate after BaSiC (Peng et al. 2017, Nature Communications 8:14836): one smooth light, sparse objects.

Every image is ``b_i · S(y, x) + E_i(y, x)``: a brightness of its own times the light that all share, and objects, which
are sparse. As in BaSiC, ``S`` is smooth in the domain of the discrete cosine transform and the residual counts by a
reweighted L1 norm, so that objects count little, the more the brighter they are.

What is different, on purpose: ``S`` is a short series (cosines and a parabola, which has the slope at the edges that
cosines lack) with a penalty that grows with frequency, in place of all frequencies alike; the minimum is found by
iteratively reweighted least squares, in place of an augmented Lagrangian; and how far from the light a residual is an
object is a setting, in place of a tenth of the mean. On fields that objects cover by half and more the original follows
the objects of single images; a series of low frequencies cannot. There is no dark-field: on most plates brightness
varies too little to tell a dark level from even light, and the camera's data sheet says it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..jit import read_only, summing_kernel
from .grids import LEAST_LIGHT, Float, Plane

#: Cosines up to so many half waves over both axes together.
_ORDER = 8
#: Residuals below this share of ``spread`` count as in a sum of squares; an L1 norm has no weight at 0.
_SQUARE_BELOW = 0.2
_ITERATIONS = 40
_TOLERANCE = 2e-4


def estimate(stack: npt.NDArray[np.floating], *, roughness: float, spread: float = 0.1) -> Float:
    """Estimate the light on a grid.

    Parameters
    ----------
    stack
        (n, y, x), images on the grid, their means above 0.
    roughness
        Weight of the penalty on the squared slope of the light; the larger, the more even is what comes out.
    spread
        A residual of this share of an image's brightness counts half as much as in an L1 norm. A tenth, as in BaSiC,
        where there are places without objects in every image; 1 where objects cover most of it.

    Returns
    -------
    ndarray
        float64 (y, x), mean 1, above 0.
    """
    count, height, width = stack.shape
    images = stack.reshape(count, -1).astype(np.float32)
    images /= images.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    terms, frequencies = _series(height, width)
    penalty = np.diag(roughness * frequencies**2)
    brightness = np.maximum(np.median(images, axis=1), np.float32(LEAST_LIGHT))
    light = np.ones(height * width, np.float32)
    weights, weighted = np.empty(light.size), np.empty(light.size)
    for _ in range(_ITERATIONS):
        _weigh(read_only(images), brightness, read_only(light), np.float32(spread), weights, weighted)
        normal, right = _normal_equations(read_only(terms), read_only(weights), read_only(weighted))
        coefficients = np.linalg.solve(normal / weights.sum() + penalty, right / weights.sum())
        fitted = np.einsum("pk,k->p", terms, coefficients)
        fitted = np.maximum(fitted / fitted.mean(), LEAST_LIGHT)
        change = np.abs(fitted - light).mean()
        light = fitted.astype(np.float32)
        if change < _TOLERANCE:
            break
    even = light.astype(np.float64).reshape(height, width)
    return np.asarray(even / even.mean())


@summing_kernel
def _weigh(images: Plane, brightness: Plane, light: Plane, spread: np.float32, weights: Float, weighted: Float) -> None:
    """Sum weights and weighted values over all images at each place, and bring the brightnesses (n,) up to date."""
    weights[:] = 0.0
    weighted[:] = 0.0
    square_below = np.float32(_SQUARE_BELOW) * spread
    for i in range(images.shape[0]):
        scale = np.float32(1.0) / brightness[i]
        along, across = 0.0, 0.0
        for p in range(light.size):
            value = images[i, p] * scale
            residual = abs(value - light[p])
            weight = np.float32(1.0) / ((residual + spread) * (residual + square_below))
            weights[p] += weight
            weighted[p] += weight * value
            along += weight * value * light[p]
            across += weight * light[p] * light[p]
        brightness[i] *= max(along / across, LEAST_LIGHT)


@summing_kernel
def _normal_equations(terms: Float, weights: Float, weighted: Float) -> tuple[Float, Float]:
    """Sum up the weighted least squares of the series: (k, k) and (k,).

    Not by BLAS, whose threads wait for one another where more of them run than there are cores.
    """
    places, count = terms.shape
    normal, right = np.zeros((count, count)), np.zeros(count)
    for p in range(places):
        for k in range(count):
            scaled = weights[p] * terms[p, k]
            for m in range(k + 1):
                normal[k, m] += scaled * terms[p, m]
            right[k] += weighted[p] * terms[p, k]
    for k in range(count):
        for m in range(k):
            normal[m, k] = normal[k, m]
    return normal, right


def _series(height: int, width: int) -> tuple[Float, Float]:
    """Terms (places, k) of the series, each of mean square about 1, and the frequency of each in half waves (k,)."""
    y, x = (((np.arange(size) + 0.5) / size) for size in (height, width))
    terms, frequencies = [], []
    for i in range(_ORDER):
        for j in range(_ORDER - i):
            term = np.outer(np.cos(np.pi * i * y), np.cos(np.pi * j * x)) * np.sqrt(2.0) ** ((i > 0) + (j > 0))
            terms.append(term.ravel())
            frequencies.append(np.hypot(i, j))
    down, right = (axis.ravel() for axis in np.meshgrid(2 * y - 1, 2 * x - 1, indexing="ij"))
    for parabola in (down, right, down * right, down**2, right**2):
        term = parabola - parabola.mean()
        terms.append(term / max(float(term.std()), 1e-6))
        frequencies.append(1.0)
    return np.ascontiguousarray(np.stack(terms, axis=1)), np.array(frequencies)
