"""Background: the light that lies below every object, taken off each image of a channel.

What is left of a place without objects scatters around 0, and half of it is below 0. It stays so: cutting it off at 0
would make every mean of a dim object too bright. Sums and means are right as they are; a measure that takes
logarithms or counts grey levels says itself what it does with values below 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .parameters import Parameter, check

#: Version of each method: raised when the same settings give other numbers.
VERSIONS: Mapping[str, int] = {"none": 1, "percentile": 1, "mode": 1, "rolling": 1}

#: The table ``[background]`` of a recipe.
PARAMETERS: Mapping[str, Parameter] = {
    "method": Parameter(
        default="none",
        meaning="none; one value an image, a percentile or the most frequent value; or a surface below the objects",
        choices=("none", "percentile", "mode", "rolling"),
    ),
    "percentile": Parameter(
        default=5.0, meaning="percentile: share of pixels below the background, in percent", low=0.0, high=100.0
    ),
    "radius_um": Parameter(
        default=50.0, meaning="rolling: radius of the disk; larger than the largest object", low=0.1, high=10000.0
    ),
}
_OF_METHOD: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "percentile": ("percentile",),
    "mode": (),
    "rolling": ("radius_um",),
}

#: Pixels that decide a percentile or a mode: more would not change a grey value.
_SAMPLED = 200_000
#: Radius of the disk on the grid on which the surface is found.
_GRID_RADIUS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundSettings:
    """The table ``[background]``, complete; :data:`PARAMETERS` says what each is and may be."""

    method: str = "none"
    percentile: float = 5.0
    radius_um: float = 50.0

    def __post_init__(self) -> None:
        check(self, PARAMETERS, "background")

    @property
    def is_off(self) -> bool:
        """Whether pixels stay as they are."""
        return self.method == "none"

    def definition(self) -> dict[str, Any]:
        """Return what decides pixels, as JSON: the method with its version, and what it heeds."""
        return {
            "method": self.method,
            "version": VERSIONS[self.method],
            "parameters": {name: getattr(self, name) for name in _OF_METHOD[self.method]},
        }


def background(
    plane: npt.NDArray[Any], settings: BackgroundSettings, *, pixel_size_um: float | None
) -> np.float32 | npt.NDArray[np.float32]:
    """Find the background of one plane.

    ``percentile``: that percentile of the pixels. ``mode``: the most frequent value, as the mean of the half-sample
    mode (Bickel and Frühwirth 2006, Comput. Stat. Data Anal. 50:3500), which needs no bins. ``rolling``: means over
    blocks, an opening with a flat disk of ``radius_um``, so that what is narrower than the disk and brighter than what
    surrounds it is not followed, smoothed over half the radius (after Sternberg 1983, IEEE Computer 16:22, with a disk
    in place of the ball). All are found in the pixels that are finite.

    Parameters
    ----------
    plane
        (y, x), any real type.
    pixel_size_um
        Side of a pixel at the sample; only ``rolling`` needs it, and takes ``radius_um`` as pixels where it is None.

    Returns
    -------
    float32 or ndarray
        One value, or float32 (y, x).
    """
    if settings.method == "none" or not plane.size:
        return np.float32(0)
    if settings.method == "rolling":
        return _rolling(plane, settings.radius_um / (pixel_size_um or 1.0))
    step = max(1, math.isqrt(plane.size // _SAMPLED))
    sample = plane[::step, ::step].ravel()
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
    if not sample.size:
        return np.float32(0)
    if settings.method == "percentile":
        return np.float32(np.percentile(sample, settings.percentile))
    return _half_sample_mode(np.sort(sample).astype(np.float64))


def _half_sample_mode(values: npt.NDArray[np.float64]) -> np.float32:
    """Narrow sorted values down to the half that lies closest together, again and again."""
    while values.size > 3:
        half = (values.size + 1) // 2
        widths = values[half - 1 :] - values[: values.size - half + 1]
        # Of equally narrow halves the middle one: grey values are whole numbers, so there are many.
        narrowest = np.flatnonzero(widths == widths.min())
        first = int(narrowest[narrowest.size // 2])
        values = values[first : first + half]
        if widths[first] == 0:
            break
    return np.float32(values.mean())


def _rolling(plane: npt.NDArray[Any], radius: float) -> npt.NDArray[np.float32]:
    from scipy import ndimage

    from .illumination.grids import area_means, enlarged

    if plane.dtype.kind == "f" and not (finite := np.isfinite(plane)).all():
        plane = np.where(finite, plane, np.median(plane[finite]) if finite.any() else 0)
    coarser = max(1.0, radius / _GRID_RADIUS)
    shape = (max(1, round(plane.shape[0] / coarser)), max(1, round(plane.shape[1] / coarser)))
    grid = area_means(plane, shape)
    on_grid = radius / coarser
    reach = max(1, math.ceil(on_grid))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disk = y * y + x * x <= max(on_grid, 1.0) ** 2
    opened = ndimage.grey_opening(grid, footprint=disk, mode="nearest")
    even = ndimage.gaussian_filter(opened, on_grid / 2, mode="nearest")
    return enlarged(even, (plane.shape[0], plane.shape[1]))
