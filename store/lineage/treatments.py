"""Which wells a treatment stands for, as the recipe of its profile set says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import CytolakeError
from ..registry import ProfileSet
from ..treatments import treatment_name

if TYPE_CHECKING:
    from ..root import LakeRoot

#: Columns of plates by which a treatment may be defined.
_OF_PLATE = ("batch", "source")
#: Treatment → plate → wells.
Members = dict[str, dict[str, list[str]]]


def treatments_of(root: LakeRoot, one: ProfileSet, study_id: str, *, with_profile: bool = False) -> Members | None:
    """Return which wells each treatment of a study may be made from; None where that is not known.

    Wells are taken as they were annotated when the rows were made, where the run that made them says so and that
    version of the table ``wells`` is still there; else as they are annotated now. Excluded wells are in no treatment.

    Parameters
    ----------
    with_profile
        Only wells that have a profile now. Others may have had one, as those of a plate that was removed since.
    """
    consensus = one.definition.get("consensus")
    if one.imported or not consensus or not root.tables.exists(one.table("well")):
        return None
    profiles = root.tables.read(one.table("well"), columns=["plate_id", "well_id"], where={"study_id": study_id})
    profiled = set(zip(profiles["plate_id"].to_pylist(), profiles["well_id"].to_pylist(), strict=True))
    plates = root.tables.read("plates", where={"study_id": study_id}).to_pylist()
    of_plate = {row["plate_id"]: row for row in plates}
    found: Members = {}
    for well in _wells(root, one, study_id):
        if well["excluded"] or (with_profile and (well["plate_id"], well["well_id"]) not in profiled):
            continue
        values = [_value(well, of_plate.get(well["plate_id"], {}), name) for name in consensus["by"]]
        if any(value is not None for value in values):  # else it is no treatment
            found.setdefault(treatment_name(values), {}).setdefault(well["plate_id"], []).append(well["well_id"])
    return found


def wells_of_treatment(root: LakeRoot, one: ProfileSet, study_id: str, treatment: str) -> dict[str, list[str]] | None:
    """Return plate → the wells of one treatment; None where that is not known."""
    members = treatments_of(root, one, study_id, with_profile=True)
    return None if members is None else {plate: sorted(own) for plate, own in members.get(treatment, {}).items()}


def _wells(root: LakeRoot, one: ProfileSet, study_id: str) -> list[dict[str, Any]]:
    version = _version_read(root, one, study_id)
    if version is not None:
        try:
            return list(root.tables.read("wells", where={"study_id": study_id}, version=version).to_pylist())
        except CytolakeError:  # removed since; what is known now is next best, and callers compare numbers
            pass
    return list(root.tables.read("wells", where={"study_id": study_id}).to_pylist())


def _version_read(root: LakeRoot, one: ProfileSet, study_id: str) -> int | None:
    """Return the version of ``wells`` that the run which made the treatments noted."""
    table = one.table("treatment")
    if not root.tables.exists(table):
        return None
    runs = root.tables.read(table, columns=["run_id"], where={"study_id": study_id})["run_id"].unique().to_pylist()
    if len(runs) != 1:
        return None
    rows = root.tables.read("runs", columns=["inputs"], where={"run_id": str(runs[0])}).to_pylist()
    for used in (rows[0]["inputs"] or ()) if rows else ():
        if used["kind"] == "table" and used["name"] == "wells":
            return int(used["version"]) if used["version"] is not None else None
    return None


def _value(well: dict[str, Any], plate: dict[str, Any], name: str) -> Any:
    """Return the value of a column of wells, of their plate, or of an attribute."""
    if name in well and name != "attributes":
        return None if well[name] != well[name] else well[name]  # NaN is no value
    if name in _OF_PLATE:
        return plate.get(name)
    attributes = dict(well.get("attributes") or ())
    return attributes.get(name.removeprefix("attributes."))
