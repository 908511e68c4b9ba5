"""Pixels that are no numbers, as float images may have them: for finding objects they are as dark as the darkest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


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
    with np.errstate(invalid="ignore"):  # infinities of both signs
        if np.isfinite(image.sum(dtype=np.float64)):
            return image
    finite = np.isfinite(image)
    if not finite.any():
        return None
    return np.where(finite, image, image.min(initial=np.inf, where=finite))
