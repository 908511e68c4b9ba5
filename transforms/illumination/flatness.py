"""One figure for how evenly a plate is lit: what is left of the field's shape when many images are averaged.

The mean over images, each divided by its own mean, so that bright wells do not decide. Objects lie anywhere and
average out, light does not. A plate that is lit evenly comes near 0; how near depends on the number of images, so the
figure is good for comparing profiles on the same images, not plates of different size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .grids import Plane, smoothed

#: Details smaller than this share of the field are objects and noise, not light.
_WIDTH = 0.1
#: Sides of the squares that stand for the corners and for the centre, as shares of the field.
_CORNER, _CENTRE = 0.125, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatness:
    """How far a field is from even.

    Attributes
    ----------
    cv
        Standard deviation over mean of the smoothed mean image: 0 where the light is even.
    corner_to_centre
        Mean of the four corners (an eighth of each side) over that of the centre (a quarter of each side): 1 where
        the light is even, below where the corners are dark.
    """

    cv: float
    corner_to_centre: float


def mean_image(stack: npt.NDArray[np.floating]) -> Plane:
    """Average images (n, y, x), each divided by its own mean: float32 (y, x), 1 on average."""
    means = stack.mean(axis=(1, 2), dtype=np.float64)
    if not (means > 0).all():
        raise ValueError("images whose mean is not above 0 have no share in a mean image")
    weights = (1 / (means * len(stack))).astype(np.float32)
    return np.asarray(np.tensordot(weights, stack, axes=(0, 0)), np.float32)


def flatness(mean: npt.NDArray[np.floating], profile: npt.NDArray[np.floating] | None = None) -> Flatness:
    """Say how even a mean image is, as it is or divided by a profile of the same grid.

    Parameters
    ----------
    mean
        (y, x), from :func:`mean_image`.
    profile
        (y, x); None for as it is.
    """
    even = smoothed(mean if profile is None else mean / profile, _WIDTH)
    rows, columns = (max(1, round(size * _CORNER)) for size in even.shape)
    ends = [(slice(rows), slice(-rows, None)), (slice(columns), slice(-columns, None))]
    corners = [even[y, x].mean() for y in ends[0] for x in ends[1]]
    # At least the middle pixel.
    centre = [slice(int(size * (0.5 - _CENTRE / 2)), int(size * (0.5 + _CENTRE / 2)) + 1) for size in even.shape]
    return Flatness(
        cv=float(even.std() / even.mean()),
        corner_to_centre=float(np.mean(corners) / even[centre[0], centre[1]].mean()),
    )
