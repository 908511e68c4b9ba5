"""Which objects hold a pixel without a number: what is measured of a channel is undefined for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .label_index import LabelIndex


def not_finite(index: LabelIndex, plane: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which objects, bool (n,), have a pixel in ``plane`` (y, x) that is infinite or no number."""
    holds = np.zeros(len(index), np.bool_)
    if plane.dtype.kind == "f" and len(index) and not np.isfinite(plane).all():
        holds[:] = np.logical_or.reduceat(~np.isfinite(plane).ravel()[index.pixels], index.offsets[:-1])
    return holds
