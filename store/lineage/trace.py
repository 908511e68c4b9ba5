"""From a row back to the pixels, the recipe and the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import NotFoundError, UsageError
from ..registry import ProfileSet, feature_sets, resolve, resolve_profiles
from .graph import Graph, Result
from .measured import Wells, add_images, add_objects
from .places import add_plate, add_well, where_to_look
from .profiles import add_profiles, add_treatments
from .runs import History, fill_in

if TYPE_CHECKING:
    from ..root import LakeRoot


def trace(
    root: LakeRoot,
    *,
    study_id: str,
    plate_id: str | None = None,
    well_id: str | None = None,
    field_id: int | None = None,
    object_set: str | None = None,
    object_id: int | None = None,
    set_reference: str | None = None,
    treatment: str | None = None,
) -> Result:
    """Go from a row back to what it was made from.

    Parameters
    ----------
    study_id, plate_id, well_id, field_id, object_set, object_id
        The row: a plate, a well, a field, the objects of a set, or one object. ``object_set`` may follow any of
        plate, well and field.
    set_reference
        ``name@version``, a name or a hash. With an ``object_set`` the one feature set whose rows are meant; else a
        profile set, whose rows of the plate, the well or the field are meant.
    treatment
        Of a study and a profile set: the one treatment that is meant, as the column ``treatment`` has it.

    Returns
    -------
    dict
        ``nodes`` (each with ``id``, ``kind``, ``name`` and facts) and ``edges`` (``from``, ``to``, ``relation``);
        relations are PROV's: ``was_derived_from``, ``was_generated_by``, ``used``, ``part_of``. ``notes`` where
        something could not be told.

    Raises
    ------
    NotFoundError
        The lake has no such row.
    UsageError
        The parts do not name a row.
    """
    graph = Graph()
    history = History(root, study_id)
    profile_set = resolve_profiles(root, set_reference) if set_reference is not None and object_set is None else None
    if plate_id is None:
        if profile_set is None:
            raise UsageError("no plate is named", hint="write study/plate, or study@SET for the treatments of a study")
        add_treatments(root, graph, history, profile_set, study_id, treatment)
    else:
        if treatment is not None:
            raise UsageError("a treatment is of a study, not of a plate", hint="write study@SET")
        where = {"study_id": study_id, "plate_id": plate_id}
        here = add_plate(root, graph, history, study_id, plate_id)
        deeper = object_set is not None or profile_set is not None
        if well_id is not None:
            where["well_id"] = well_id
            here = add_well(root, graph, history, where, here, needed=field_id is None and not deeper)
        _add_below(root, graph, history, where, here, field_id, object_set, object_id, profile_set, set_reference)
    fill_in(root, graph)
    return graph.result()


def _add_below(
    root: LakeRoot,
    graph: Graph,
    history: History,
    where: dict[str, str],
    here: str,
    field_id: int | None,
    object_set: str | None,
    object_id: int | None,
    profile_set: ProfileSet | None,
    set_reference: str | None,
) -> None:
    wells = Wells(where["study_id"], where["plate_id"], (where["well_id"],) if "well_id" in where else None, field_id)
    if profile_set is not None:
        add_profiles(root, graph, history, profile_set, wells, parent=here)
        return
    images: Mapping[str | None, list[str]] = {}
    if field_id is not None:
        images = add_images(root, graph, wells, {where["well_id"]: here})
        if not images and object_set is None:
            named = f"plate {wells.plate_id}, well {where['well_id']}, field {field_id}"
            raise NotFoundError(f"{root.url}: the lake has no image of {named}", hint=where_to_look("images"))
    if object_set is None:
        return
    asked = [resolve(root, set_reference)] if set_reference is not None else feature_sets(root)
    found = [add_objects(root, graph, one, object_set, wells, images, object_id, parent=here) for one in asked]
    if not any(found):
        names = wells.name(object_set, object_id)
        raise NotFoundError(
            f"{root.url}: the lake has no objects {names}", hint="see `cytolake catalog tables` for the object sets"
        )
