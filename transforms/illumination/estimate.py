"""From images of one channel to one profile, judged on images that it was not made from.

Every estimate is made three times: from all images, and from each half of them. What the halves say of each other
chooses between settings, and tells whether dividing by the profile makes images more even at all: objects that happen
to lie in the middle of a few images look like light to any method.

On simulated fields (light falling off by 10 and 40 %, objects on a third to three quarters of the field and up to seven
times as bright as what is between them) two to three fifths of the estimates from 8 to 32 images left fields less even
than they were. Of those that were found useful 3 of 17 did with 8 or 12 images, none of 19 with 16 or 32: hence the
default of 16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt

from ...errors import InvalidDataError
from . import cellprofiler
from .flatness import Flatness, flatness, mean_image
from .grids import LEAST_LIGHT, Float, Plane, area_means, enlarged, grid_shape
from .settings import ESTIMATORS, IlluminationSettings

#: What ``basic`` chooses from: penalties on roughness (below the first nothing changes, at the last little is left),
#: and how far from the light an object begins.
_ROUGHNESS = (1e-4, 1e-2, 1e-1)
_SPREADS = (0.1, 1.0)
#: What is uneven in other images must fall by this share for a profile to be of use, or for a setting to be better.
_GAIN = 0.05
#: Cells along the longer side of the grid on which settings are judged; the profile itself is made on a finer one.
_JUDGED_ON = 64

_Make = Callable[[npt.NDArray[np.floating]], Float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One profile on a grid, and how good it is.

    Attributes
    ----------
    method
        ``basic`` or ``cellprofiler``.
    light
        float64 (y, x) on the grid, mean 1, above 0.
    images
        How many it was made from.
    before, after
        Flatness of the images as they are, and divided by a profile that the other half of the images gave.
    """

    method: str
    light: Float
    images: int
    before: Flatness
    after: Flatness

    @property
    def is_useful(self) -> bool:
        """Whether images that it was not made from become more even."""
        return self.after.cv <= (1 - _GAIN) * self.before.cv

    def profile(self, shape: tuple[int, int]) -> Plane:
        """Return what pixels are divided by: float32, ``shape``, mean 1."""
        fine = enlarged(self.light, shape)
        np.maximum(fine, np.float32(LEAST_LIGHT / 2), out=fine)
        fine /= np.float32(fine.mean(dtype=np.float64))
        return fine


def on_grid(planes: Iterable[npt.NDArray[np.number]], *, dark_level: float = 0.0) -> Plane:
    """Reduce planes to a grid, one after the other; those that tell nothing of light are left out.

    Parameters
    ----------
    planes
        (y, x) each, all of one size, any real type.
    dark_level
        Taken off, in grey values.

    Returns
    -------
    ndarray
        float32 (n, y, x). Planes of one single value, with pixels that are not finite, or without light are not in it.
    """
    kept = []
    for plane in planes:
        grid = area_means(plane, grid_shape((plane.shape[0], plane.shape[1]))) - np.float32(dark_level)
        if np.isfinite(grid).all() and grid.mean() > 0 and grid.min() < grid.max():
            kept.append(grid)
    return np.stack(kept) if kept else np.empty((0, 0, 0), np.float32)


def estimate(stack: Plane, settings: IlluminationSettings) -> Estimate:
    """Estimate the light of one channel.

    Parameters
    ----------
    stack
        float32 (n, y, x), from :func:`on_grid`.
    settings
        ``method`` is an estimator, or ``auto`` for the better one.

    Raises
    ------
    InvalidDataError
        There are fewer than ``settings.min_images``.
    """
    if len(stack) < settings.min_images:
        raise InvalidDataError(
            f"{len(stack)} images tell too little of the light, {settings.min_images} are the fewest (min_images): "
            "objects in so few look like light",
            hint=f"{settings.min_images} are needed; with so few use the vendor's profile, or none",
        )
    coarse = np.stack([area_means(image, grid_shape((stack.shape[1], stack.shape[2]), _JUDGED_ON)) for image in stack])
    halves = [coarse[0::2], coarse[1::2]]
    means = [mean_image(half) for half in halves]
    before = [flatness(mean) for mean in means]
    best: tuple[list[Flatness], str, _Make] | None = None
    for method, make in _candidates(settings):
        # The profile of each half divides the mean of the other.
        after = [flatness(mean, make(other)) for mean, other in zip(means, reversed(halves), strict=True)]
        if best is None or _mean(after).cv < (1 - _GAIN) * _mean(best[0]).cv:
            best = after, method, make
    assert best is not None
    after, method, make = best
    return Estimate(method=method, light=make(stack), images=len(stack), before=_mean(before), after=_mean(after))


def _candidates(settings: IlluminationSettings) -> Iterable[tuple[str, _Make]]:
    for method in ESTIMATORS if settings.method == "auto" else (settings.method,):
        if method == "basic":
            from . import basic  # with its kernels

            for spread, roughness in product(_SPREADS, _ROUGHNESS):
                yield method, partial(basic.estimate, roughness=roughness, spread=spread)
        else:
            yield method, partial(cellprofiler.estimate, average=settings.average, smoothing=settings.smoothing)


def _mean(figures: Sequence[Flatness]) -> Flatness:
    return Flatness(
        cv=float(np.mean([one.cv for one in figures])),
        corner_to_centre=float(np.mean([one.corner_to_centre for one in figures])),
    )
