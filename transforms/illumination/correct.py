"""Pixels as they would be had the field been lit evenly, and without what lies below the objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import UsageError
from ..background import BackgroundSettings, background
from .grids import Plane

_NO_BACKGROUND = BackgroundSettings()


def corrected(
    image: npt.NDArray[Any],
    profiles: Sequence[Plane | None],
    subtracted: BackgroundSettings = _NO_BACKGROUND,
    *,
    dark_level: float = 0.0,
    pixel_size_um: float | None = None,
    present: npt.NDArray[np.bool_] | None = None,
) -> Plane:
    """Divide each channel by its light, then take its background off.

    ``(pixels - dark_level) / profile - background``. The largest over a stack may be taken before or after: both give
    the same, because a profile is above 0 and one for all planes of a stack. Nothing is cut off: values may be above
    the largest of the pixels' type, and below 0 where there is a dark level or a background.

    Parameters
    ----------
    image
        (c, y, x), pixels as read, any real type. What is saturated is to be seen in them, not in the result.
    profiles
        One per channel, (y, x), from :func:`.plates.profiles_for`; None where a channel keeps its light.
    subtracted
        How the background is found, after the division.
    dark_level
        Grey value without light, taken off channels that have a profile.
    pixel_size_um
        Side of a pixel at the sample.
    present
        bool (c,): channels that have pixels; the others stay 0.

    Returns
    -------
    ndarray
        float32 (c, y, x), grey values.

    Raises
    ------
    UsageError
        Profiles and pixels do not fit together.
    """
    if image.ndim != 3 or len(profiles) != len(image):
        raise UsageError(f"{len(profiles)} illumination profiles for an image of shape {image.shape}")
    result = image.astype(np.float32)
    for channel, (plane, profile) in enumerate(zip(result, profiles, strict=True)):
        if present is not None and not present[channel]:
            continue
        if profile is not None:
            if profile.shape != plane.shape:
                raise UsageError(
                    f"an illumination profile of {profile.shape} does not fit an image of shape {image.shape}",
                    hint="a profile is for the fields of one acquisition, which have one size",
                )
            if dark_level:
                plane -= np.float32(dark_level)
            plane /= profile
        if not subtracted.is_off:
            plane -= background(plane, subtracted, pixel_size_um=pixel_size_um)
    return result
