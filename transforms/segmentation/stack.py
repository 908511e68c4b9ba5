"""One stack, all object sets of a recipe that are found in three dimensions: channels in, label volumes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .methods import METHODS
from .segment import Segmentation

if TYPE_CHECKING:
    from ..recipe import BoundRecipe, ObjectSet

Labels = npt.NDArray[np.int32]


def segment_stack(
    bound: BoundRecipe,
    read: Callable[[int], npt.NDArray[Any]],
    *,
    lacking: Mapping[int, str],
    spacing_um: tuple[float, float, float],
) -> Segmentation:
    """Segment every object set of a recipe on one stack.

    Parameters
    ----------
    bound
        The recipe, with the channels of this plate found.
    read
        Gives the stack of a channel, (z, y, x).
    lacking
        Why a channel cannot be used; a set that is found in it is skipped for that reason.
    spacing_um
        Distance of planes, rows and columns in µm.

    Returns
    -------
    Segmentation
        Labels are int32 (z, y, x), numbered from 1 without gaps.
    """
    labels: dict[str, Labels] = {}
    skipped: dict[str, str] = {}
    for one in bound.recipe.objects:
        channel = bound.channel_of[one.name]
        assert channel is not None  # every method for volumes takes one
        if channel in lacking:
            skipped[one.name] = lacking[channel]
            continue
        found = METHODS[one.method].run(read(channel), spacing_um=spacing_um, **one.parameters)
        labels[one.name] = _allowed(found, one, float(np.prod(spacing_um)))
    return Segmentation(
        labels=labels,
        parents={},
        skipped=skipped,
        unmatched={},
        pixel_size_um=spacing_um[2],
        pixel_size_estimated=False,
    )


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
    kept[0] = False
    numbers = np.zeros(count + 1, np.int32)
    numbers[kept] = np.arange(1, np.count_nonzero(kept) + 1)
    for plane in labels:
        plane[...] = numbers[plane]
    return labels
