"""What a recipe needs beside the pixels, models and masks: looked at when it meets a plate, before any work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import CytolakeError, RecipeError
from .imported import ImportedMask, MaskFiles, UnusableMaskError, look_for_masks, read_mask
from .methods import METHODS
from .models import try_model

if TYPE_CHECKING:
    from ...store.images.model import FieldKey
    from ...store.images.plate import Field, Plate
    from ..recipe import BoundRecipe, ObjectSet


def check_sources(
    bound: BoundRecipe, keys: Sequence[FieldKey], open_plate: Callable[[], Plate]
) -> dict[str, MaskFiles]:
    """Try every model of a recipe, and look for the masks that it imports.

    Parameters
    ----------
    bound
        The recipe, with the channels of an acquisition found.
    keys
        The fields of that acquisition.
    open_plate
        Opens their plate; called where label images of it are imported.

    Returns
    -------
    dict
        What there is of the files of masks, for each set that is imported from files.

    Raises
    ------
    RecipeError
        A model takes or gives something else than the recipe says, or no field has a mask.
    MissingExtraError, ConfigurationError
        A model cannot be loaded here.
    """
    files: dict[str, MaskFiles] = {}
    for one in bound.recipe.objects:
        where = f"{bound.recipe.source}: [objects.{one.name}]"
        kind = METHODS[one.method].kind
        try:
            if kind == "model":
                try_model(one.method, one.parameters, 1 if bound.second_channel_of[one.name] is None else 2)
            elif kind == "imported" and one.parameters["masks"]:
                files[one.name] = look_for_masks(one.parameters, keys)
            elif kind == "imported":
                _look_for_labels(str(one.parameters["labels"]), keys, open_plate())
        except CytolakeError as error:
            raise type(error)(f"{where}: {error.message}", hint=error.hint) from error
    return files


def _look_for_labels(name: str, keys: Sequence[FieldKey], plate: Plate) -> None:
    known: set[str] = set()
    for key in keys:
        found = plate.field(key.well_id, key.field_id, key.acquisition_id).labels()
        if name in found:
            return
        known.update(found)
    raise RecipeError(
        f"no field of plate {plate.name} has labels {name!r}",
        hint=f"They have {', '.join(sorted(known))}." if known else "They have no labels at all.",
    )


def read_masks(bound: BoundRecipe, field: Field, timepoint: int) -> Mapping[str, ImportedMask | str]:
    """Read the objects that a recipe imports for one field: the mask, or the reason why there is none."""

    def read(one: ObjectSet) -> ImportedMask | str:
        try:
            return read_mask(field, one.parameters, timepoint)
        except UnusableMaskError as error:
            return str(error)

    return {one.name: read(one) for one in bound.recipe.objects if METHODS[one.method].kind == "imported"}
