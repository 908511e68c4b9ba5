"""Pixels that are no numbers, as float images may have them.

For finding objects they are as dark as the darkest; learned segmenters, which look at the whole image, refuse them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidDataError


def darkened(image: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Replace pixels that are not finite by the darkest finite one.

    Parameters
    ----------
    image
        Any shape, any real dtype.

    Returns
    -------
    ndarray or None
        The image itself where nothing is to be replaced, a copy otherwise; None where no pixel is finite.
    """
    if image.dtype.kind != "f":
        return image
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs, and sums that become one
        if np.isfinite(image.sum(dtype=np.float64)):
            return image
    finite = np.isfinite(image)
    if not finite.any():
        return None
    return np.where(finite, image, image.min(initial=np.inf, where=finite))


def refuse_odd_pixels(image: npt.NDArray[Any]) -> None:
    """Make sure that all pixels are numbers.

    Raises
    ------
    InvalidDataError
        One is not finite.
    """
    if not np.isfinite(image).all():
        raise InvalidDataError("the image has pixels that are not finite")
