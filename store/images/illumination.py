"""How evenly a microscope lights its field, and pixels as they would be had it lit all of it alike.

A profile is an image of about the mean 1: what an even sample looks like. The pixels of a lake are never changed;
who reads them may divide them by a profile with :func:`correct`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidDataError, UsageError

Profile = npt.NDArray[np.float32]

#: No fitted profile has terms of a higher degree (seen: 4).
_HIGHEST_DEGREE = 32
#: Neither finite nor huge: NaN is not below it either.
_HUGE = 1e100


def evaluate_harmony(profile: Mapping[str, Any], shape: tuple[int, int], *, part: str = "Background") -> Profile:
    """Return the illumination that Harmony measured for one channel, one value a pixel.

    Row ``k`` of ``Coefficients`` holds the terms of total degree ``k``, ``x^(k-j) · y^j`` for ``j = 0 … k``, with
    ``x = (column - Origin[0]) · Scale[0]`` and ``y = (row - Origin[1]) · Scale[1]``. The vendor publishes no formula;
    PyPhenix reads the terms in this order. It follows from the row lengths 1, 2, 3 … and from what profiles of Opera
    Phenix and Operetta CLS are under it: 1 on average to four digits, and like the background of their images.

    Parameters
    ----------
    profile
        What is kept with the channel (``ChannelInfo.flatfield``), or one block of it:
        ``{Type: Polynomial, Coefficients, Origin, Scale, Dims}`` or ``{Type: Identity}``.
    shape
        Rows and columns of the image. ``Dims`` (columns, rows) is the grid that the coefficients were fitted on; an
        image of another size (binned, a pyramid level) is the same field of view, so its pixel centres are scaled
        onto that grid.
    part
        ``Background`` is the light on the empty field, which every profile has and Harmony's basic correction divides
        by; ``Foreground``, where there is one, the light on the objects.

    Returns
    -------
    ndarray
        float32, ``shape``; all ones for ``Identity``.

    Raises
    ------
    InvalidDataError
        The profile lacks a part, a part is no finite number, or the light is not above 0 everywhere.
    """
    block = profile
    if "Type" not in profile:
        block = _mapping(_mapping(profile.get(part), part).get("Profile"), f"{part}.Profile")
    kind = block.get("Type")
    if kind == "Identity":
        return np.ones(shape, np.float32)
    if kind != "Polynomial":
        raise InvalidDataError(f"a flat-field profile of type {kind!r}; known are Polynomial and Identity")
    x0, y0 = _pair(block, "Origin")
    sx, sy = _pair(block, "Scale")
    columns, rows = _pair(block, "Dims") if "Dims" in block else (float(shape[1]), float(shape[0]))
    x = (_centres(shape[1], columns) - x0) * sx
    y = (_centres(shape[0], rows) - y0) * sy
    coefficients = block.get("Coefficients")
    if not isinstance(coefficients, list) or not 0 < len(coefficients) <= _HIGHEST_DEGREE + 1:
        raise InvalidDataError(f"a Polynomial flat-field profile needs 1 to {_HIGHEST_DEGREE + 1} rows of Coefficients")
    terms = np.zeros((len(coefficients), len(coefficients)))
    for degree, row in enumerate(coefficients):
        if not isinstance(row, list) or len(row) != degree + 1:
            raise InvalidDataError(f"row {degree} of Coefficients should hold {degree + 1} numbers, holds {row!r}")
        for j, coefficient in enumerate(_finite(row, "Coefficients")):
            terms[degree - j, j] = coefficient
    with np.errstate(over="ignore", invalid="ignore"):
        return _checked(np.polynomial.polynomial.polygrid2d(x, y, terms).T)


def evaluate_image(image: npt.NDArray[Any]) -> Profile:
    """Return the profile that an image of an even sample (a shading or flat-field image) is: it over its mean.

    Raises
    ------
    InvalidDataError
        It is no plane, or black somewhere: nothing can be divided by that.
    """
    if image.ndim != 2 or not image.size:
        raise InvalidDataError(f"an illumination image of shape {image.shape} is no plane")
    mean = float(image.mean(dtype=np.float64))
    return _checked(image / mean if mean else image)


def correct(
    pixels: npt.NDArray[Any], profiles: Profile | Sequence[Profile | None], *, dark: float = 0.0
) -> npt.NDArray[Any]:
    """Divide pixels by the light that fell on them: ``(pixels - dark) / profile``, in a new array.

    Parameters
    ----------
    pixels
        (…, y, x); with several profiles (c, …, y, x), as :meth:`.plate.Field.read` returns them.
    profiles
        One for all, or one per channel, None where a channel stays as it is.
    dark
        What the camera says without light.

    Returns
    -------
    ndarray
        Shape and type of ``pixels``; integers are rounded and end at the largest of their type.

    Raises
    ------
    UsageError
        Profiles and pixels do not fit together.
    """
    if isinstance(profiles, np.ndarray):
        return _divided(pixels, profiles, dark)
    if pixels.ndim < 3 or len(profiles) != pixels.shape[0]:
        raise UsageError(
            f"{len(profiles)} illumination profiles for pixels of shape {pixels.shape}",
            hint="Give one profile per channel, in the order of the channels that were read.",
        )
    out = np.empty_like(pixels)
    for channel, profile in enumerate(profiles):
        out[channel] = pixels[channel] if profile is None else _divided(pixels[channel], profile, dark)
    return out


def _divided(pixels: npt.NDArray[Any], profile: Profile, dark: float) -> npt.NDArray[Any]:
    if pixels.shape[-2:] != profile.shape:
        raise UsageError(
            f"an illumination profile of {profile.shape} does not fit pixels of shape {pixels.shape}",
            hint="Evaluate the profile for the size of the pixels; it is the same field of view.",
        )
    light = (pixels.astype(np.float32) - np.float32(dark)) / profile
    if np.issubdtype(pixels.dtype, np.integer):
        limits = np.iinfo(pixels.dtype)
        np.clip(np.rint(light, out=light), limits.min, limits.max, out=light)
    return light.astype(pixels.dtype)


def _checked(profile: npt.NDArray[Any]) -> Profile:
    if not np.isfinite(profile).all() or profile.min() <= 0:
        raise InvalidDataError(
            "an illumination profile that is not above 0 everywhere", hint="Read the pixels without correction."
        )
    return np.ascontiguousarray(profile, np.float32)


def _centres(pixels: int, grid: float) -> npt.NDArray[np.float64]:
    return (np.arange(pixels, dtype=np.float64) + 0.5) * (grid / pixels) - 0.5


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidDataError(f"a flat-field profile without {what}")
    return value


def _finite(values: Sequence[Any], what: str) -> list[float]:
    if not all(isinstance(v, (int, float)) and abs(v) < _HUGE for v in values):
        raise InvalidDataError(f"{what} of a flat-field profile should hold finite numbers, holds {list(values)!r}")
    return [float(v) for v in values]


def _pair(block: Mapping[str, Any], key: str) -> tuple[float, float]:
    value = block.get(key)
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidDataError(f"{key} of a flat-field profile should hold two numbers, holds {value!r}")
    first, second = _finite(value, key)
    return first, second
