"""One field, all object sets of a recipe: images in, label images and their parents out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import objects
from .finite import darkened
from .imported import match_to_parents
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
    unmatched
        Imported set with a parent to the number of its objects that were dropped, because they lie in no parent, or
        in one that has another child.
    dropped
        Object set to the number of its objects that its own rules of size and border left out.
    pixel_size_um
        What lengths were judged by.
    pixel_size_estimated
        Whether that is an estimate from the image, because the plate does not say.
    """

    labels: Mapping[str, Labels]
    parents: Mapping[str, str]
    skipped: Mapping[str, str]
    unmatched: Mapping[str, int]
    dropped: Mapping[str, int]
    pixel_size_um: float
    pixel_size_estimated: bool


def segment_field(
    bound: BoundRecipe,
    image: npt.NDArray[Any],
    *,
    present: npt.NDArray[np.bool_] | None = None,
    pixel_size_um: float | None,
    imported: Mapping[str, Labels | str] | None = None,
) -> Segmentation:
    """Segment every object set of a recipe on one field.

    Parameters
    ----------
    bound
        The recipe, with the channels of this plate found.
    image
        (c, y, x), any real dtype. Pixels that are not finite count as the darkest; a channel of nothing else is like
        one without pixels. Models refuse them.
    present
        bool (c,): channels that have pixels in this field; all by default. A set whose channel has none is
        skipped with a reason, and so are the sets made from it: no objects are not the same as not looked.
    pixel_size_um
        Side of a pixel; None when unknown, then it is estimated from the nuclei of this very image.
    imported
        For each set whose objects were made elsewhere its labels (y, x), or the reason why there are none.

    Returns
    -------
    Segmentation
        Primary sets are numbered from 1 without gaps, from top to bottom, imported ones as they came; sets made from
        them keep those numbers and have gaps where a rule of their own dropped an object.
    """
    there = np.ones(image.shape[0], dtype=np.bool_) if present is None else present
    usable = {index: darkened(image[index]) for index in bound.channel_of.values() if index is not None}
    scale = pixel_size_um if pixel_size_um is not None else _estimate_scale(bound, usable, there)
    labels: dict[str, Labels] = {}
    parents: dict[str, str] = {}
    skipped: dict[str, str] = {}
    # Nuclei that a border or upper size rule drops still own the cytoplasm around them: their cells are grown
    # and dropped too, instead of going to the neighbours. `kept` says by number which ones stay.
    seeds: dict[str, Labels] = {}
    kept: dict[str, npt.NDArray[np.bool_]] = {}
    unmatched: dict[str, int] = {}
    dropped: dict[str, int] = {}
    for one in bound.recipe.objects:
        reason = _why_not(one, bound, there, usable, skipped, imported or {})
        if reason is not None:
            skipped[one.name] = reason
            continue
        index = bound.channel_of[one.name]
        plane = None if index is None else usable[index]
        rules = _rules(one, scale)
        method = METHODS[one.method]
        settings = {"pixel_size_um": scale, **one.parameters}
        if method.kind in ("image", "model"):
            found = method.run(plane if method.kind == "image" else _planes(one, bound, image), **settings)
            in_all = objects.count(found)
            found = objects.drop(found, objects.too_small(found, rules))
            seeds[one.name], count = objects.number(found, last=objects.broken(found, rules))
            dropped[one.name] = in_all - count
            kept[one.name] = np.arange(int(seeds[one.name].max(initial=0)) + 1) <= count
            labels[one.name] = _only(seeds[one.name], kept[one.name])
            continue
        if method.kind == "imported":
            found = _fitting((imported or {})[one.name], image)
            if one.parent is not None:
                parents[one.name] = one.parent
                found, unmatched[one.name] = match_to_parents(found, labels[one.parent])
            seeds[one.name] = objects.drop(found, objects.too_small(found, rules))
            kept[one.name] = ~objects.broken(found, rules)
            labels[one.name] = _only(seeds[one.name], kept[one.name])
            dropped[one.name] = objects.count(found) - objects.count(labels[one.name])
            continue
        assert one.parent is not None
        parents[one.name] = one.parent
        if method.kind == "seeded":
            grown = method.run(plane, seeds[one.parent], **settings)
            seeds[one.name], kept[one.name] = grown, kept[one.parent]
            made = _only(grown, kept[one.name])
        else:
            assert one.minus is not None
            made = method.run(labels[one.parent], labels[one.minus], **settings)
            seeds[one.name], kept[one.name] = made, kept[one.parent]
        labels[one.name] = objects.drop(made, objects.broken(made, rules))
        dropped[one.name] = objects.count(made) - objects.count(labels[one.name])
    return Segmentation(
        labels=labels,
        parents=parents,
        skipped=skipped,
        unmatched=unmatched,
        dropped=dropped,
        pixel_size_um=scale,
        pixel_size_estimated=pixel_size_um is None,
    )


def _only(labels: Labels, kept: npt.NDArray[np.bool_]) -> Labels:
    return objects.drop(labels, ~kept)


def _planes(one: ObjectSet, bound: BoundRecipe, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give what a model is given: its channel, and the second one where there is one, (c, y, x)."""
    indices = (bound.channel_of[one.name], bound.second_channel_of[one.name])
    return image[[index for index in indices if index is not None]]


def _fitting(labels: Labels | str, image: npt.NDArray[Any]) -> Labels:
    assert not isinstance(labels, str)  # a reason: the set was skipped
    if labels.shape != image.shape[1:]:
        raise ValueError(f"labels {labels.shape} for an image {image.shape[1:]}")
    return labels


def _rules(one: ObjectSet, pixel_size_um: float) -> objects.Rules:
    pixel_area = pixel_size_um**2
    return objects.Rules(
        border=one.border,
        min_area_px=0.0 if one.min_area_um2 is None else one.min_area_um2 / pixel_area,
        max_area_px=float("inf") if one.max_area_um2 is None else one.max_area_um2 / pixel_area,
    )


def _why_not(
    one: ObjectSet,
    bound: BoundRecipe,
    there: npt.NDArray[np.bool_],
    usable: Mapping[int, npt.NDArray[Any] | None],
    skipped: Mapping[str, str],
    imported: Mapping[str, Labels | str],
) -> str | None:
    for source in (one.parent, one.minus):
        if source is not None and source in skipped:
            why = skipped[source]  # of the first set that is missing, not the whole way to it
            return why if why.startswith("made from ") else f"made from {source}: {why}"
    for index in (bound.channel_of[one.name], bound.second_channel_of[one.name]):
        if index is not None and not there[index]:
            return f"no pixels of channel {bound.channel_names[index]!r} in this field"
        if index is not None and usable.get(index, ...) is None:
            return f"no pixel of channel {bound.channel_names[index]!r} in this field is a finite number"
    if METHODS[one.method].kind == "imported":
        found = imported.get(one.name, "its masks were not read")
        return found if isinstance(found, str) else None
    return None


def _estimate_scale(
    bound: BoundRecipe, usable: Mapping[int, npt.NDArray[Any] | None], there: npt.NDArray[np.bool_]
) -> float:
    """Pixel size from the first set that is found in an image and knows how large its objects are."""
    from .scale import typical_diameter

    for one in bound.recipe.objects:
        index = bound.channel_of[one.name]
        diameter_um = one.parameters.get("diameter_um")
        plane = None if index is None or not there[index] else usable[index]
        if plane is not None and isinstance(diameter_um, float):
            return diameter_um / typical_diameter(plane)
    return 1.0
