"""One field, all object sets of a recipe: images in, label images and their parents out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import objects
from .methods import METHODS

if TYPE_CHECKING:
    from ..recipe import BoundRecipe, ObjectSet

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """The objects of one field.

    Attributes
    ----------
    labels
        Object set to int32 (y, x). Sets that could not be made are absent.
    parents
        Object set to the set of its parent objects. A child has its parent's number, always.
    skipped
        Object set to the reason why it could not be made (its channel has no pixels in this field).
    pixel_size_um
        What lengths were judged by.
    pixel_size_estimated
        Whether that is an estimate from the image, because the plate does not say.
    """

    labels: Mapping[str, Labels]
    parents: Mapping[str, str]
    skipped: Mapping[str, str]
    pixel_size_um: float
    pixel_size_estimated: bool


def segment_field(
    bound: BoundRecipe,
    image: npt.NDArray[Any],
    *,
    present: npt.NDArray[np.bool_] | None = None,
    pixel_size_um: float | None,
) -> Segmentation:
    """Segment every object set of a recipe on one field.

    Parameters
    ----------
    bound
        The recipe, with the channels of this plate found.
    image
        (c, y, x), any real dtype.
    present
        bool (c,): channels that have pixels in this field; all by default. A set whose channel has none is
        skipped with a reason, and so are the sets made from it: no objects are not the same as not looked.
    pixel_size_um
        Side of a pixel; None when unknown, then it is estimated from the nuclei of this very image.

    Returns
    -------
    Segmentation
        Primary sets are numbered from 1 without gaps, from top to bottom; sets made from them keep those
        numbers and have gaps where a rule of their own dropped an object.
    """
    there = np.ones(image.shape[0], dtype=np.bool_) if present is None else present
    scale = pixel_size_um if pixel_size_um is not None else _estimate_scale(bound, image, there)
    labels: dict[str, Labels] = {}
    parents: dict[str, str] = {}
    skipped: dict[str, str] = {}
    # Nuclei that a border or upper size rule drops still own the cytoplasm around them: their cells are grown
    # and dropped too, instead of going to the neighbours. They are numbered behind the `kept` ones.
    seeds: dict[str, Labels] = {}
    kept: dict[str, int] = {}
    for one in bound.recipe.objects:
        reason = _why_not(one, bound, there, skipped)
        if reason is not None:
            skipped[one.name] = reason
            continue
        index = bound.channel_of[one.name]
        plane = None if index is None else image[index]
        rules = _rules(one, scale)
        method = METHODS[one.method]
        settings = {"pixel_size_um": scale, **one.parameters}
        if method.kind == "image":
            found = method.run(plane, **settings)
            found = objects.drop(found, objects.too_small(found, rules))
            seeds[one.name], kept[one.name] = objects.number(found, last=objects.broken(found, rules))
            labels[one.name] = _up_to(seeds[one.name], kept[one.name])
            continue
        assert one.parent is not None
        parents[one.name] = one.parent
        if method.kind == "seeded":
            grown = method.run(plane, seeds[one.parent], **settings)
            seeds[one.name], kept[one.name] = grown, kept[one.parent]
            made = _up_to(grown, kept[one.name])
        else:
            assert one.minus is not None
            made = method.run(labels[one.parent], labels[one.minus], **settings)
            seeds[one.name], kept[one.name] = made, kept[one.parent]
        labels[one.name] = objects.drop(made, objects.broken(made, rules))
    return Segmentation(
        labels=labels,
        parents=parents,
        skipped=skipped,
        pixel_size_um=scale,
        pixel_size_estimated=pixel_size_um is None,
    )


def _up_to(labels: Labels, count: int) -> Labels:
    return np.where(labels > count, np.int32(0), labels)


def _rules(one: ObjectSet, pixel_size_um: float) -> objects.Rules:
    pixel_area = pixel_size_um**2
    return objects.Rules(
        border=one.border,
        min_area_px=0.0 if one.min_area_um2 is None else one.min_area_um2 / pixel_area,
        max_area_px=float("inf") if one.max_area_um2 is None else one.max_area_um2 / pixel_area,
    )


def _why_not(
    one: ObjectSet, bound: BoundRecipe, there: npt.NDArray[np.bool_], skipped: Mapping[str, str]
) -> str | None:
    for source in (one.parent, one.minus):
        if source is not None and source in skipped:
            return f"made from {source}: {skipped[source]}"
    index = bound.channel_of[one.name]
    if index is not None and not there[index]:
        return f"no pixels of channel {bound.channel_names[index]!r} in this field"
    return None


def _estimate_scale(bound: BoundRecipe, image: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> float:
    """Pixel size from the first set that is found in an image and knows how large its objects are."""
    from .scale import typical_diameter

    for one in bound.recipe.objects:
        index = bound.channel_of[one.name]
        diameter_um = one.parameters.get("diameter_um")
        if index is not None and there[index] and isinstance(diameter_um, float):
            return diameter_um / typical_diameter(image[index])
    return 1.0
