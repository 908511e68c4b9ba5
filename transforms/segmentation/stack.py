"""One object set of a recipe, found in a stack: voxels in, a label volume out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidDataError
from .finite import darkened
from .methods import METHODS
from .objects import new_numbers

if TYPE_CHECKING:
    from ..recipe import ObjectSet

Labels = npt.NDArray[np.int32]


def segment_stack(one: ObjectSet, stack: npt.NDArray[Any], spacing_um: tuple[float, float, float]) -> Labels:
    """Find the objects of a set.

    Parameters
    ----------
    one
        The set, with a method for volumes.
    stack
        (z, y, x), any real dtype: the set's channel.
    spacing_um
        Distance of planes, rows and columns in µm.

    Returns
    -------
    ndarray
        int32 (z, y, x), numbered from 1 without gaps.

    Raises
    ------
    InvalidDataError
        No pixel is finite; where only some are not, these count as the darkest.
    """
    usable = darkened(stack)
    if usable is None:
        raise InvalidDataError("no pixel of the stack is a finite number")
    found = METHODS[one.method].run(usable, spacing_um=spacing_um, **one.parameters)
    return _allowed(found, one, float(np.prod(spacing_um)))


def _allowed(labels: Labels, one: ObjectSet, voxel_um3: float) -> Labels:
    """Take away, in place, what breaks a rule of its set, and number the rest from 1; plane by plane, to save memory.

    Objects touch the border at the sides of the planes. Most stacks begin and end inside the cells, so the first and
    the last plane are no border.
    """
    count = int(labels.max(initial=0))
    voxels = np.zeros(count + 1, np.int64)
    for plane in labels:
        voxels += np.bincount(plane.ravel(), minlength=count + 1)
    kept = voxels > 0
    if one.min_volume_um3 is not None:
        kept &= voxels * voxel_um3 >= one.min_volume_um3
    if one.max_volume_um3 is not None:
        kept &= voxels * voxel_um3 <= one.max_volume_um3
    if one.border == "discard":
        kept[labels[:, [0, -1]]] = False
        kept[labels[:, :, [0, -1]]] = False
    numbers = new_numbers(kept)
    for plane in labels:
        plane[...] = numbers[plane]
    return labels
