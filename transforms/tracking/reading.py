"""The tracks that a lake holds of a plate: counted by field, and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import NotFoundError
from ...schemas.identifiers import format_well, parse_well
from ...store.images.plate import open_plate
from ...store.plates import imaged_plates
from ...store.registry import resolve
from ...wording import listed
from ..outputs import check_outputs, write_output
from .drift import DRIFT_METRICS
from .picture import lineage_picture, trajectory_picture

if TYPE_CHECKING:
    from ...store.root import LakeRoot
    from ..work import FieldName

_FIELD = ("acquisition_id", "well_id", "field_id")


def tracks(
    root: LakeRoot,
    *,
    study_id: str,
    plate_id: str,
    well: str | None = None,
    field: int | None = None,
    acquisition: int | None = None,
    feature_set: str | None = None,
    picture: str | Path | None = None,
    overlay: str | Path | None = None,
) -> dict[str, Any]:
    """Say what was followed on a plate, and draw one field of it.

    Parameters
    ----------
    root
        The lake.
    study_id, plate_id
        Which plate.
    well, field, acquisition
        Only these.
    feature_set
        Whose tracks: ``name@version``, a name or a hash; those that were made last by default.
    picture
        PNG to write: lineage trees of the field that has the most divisions.
    overlay
        PNG to write: the ways of that field's objects over its last image.

    Returns
    -------
    dict
        ``study_id``, ``plate_id``, ``feature_set``, ``object_set``, ``fields`` (for each ``acquisition_id``,
        ``well_id``, ``field_id``, ``timepoints``, ``objects``, ``tracks``, ``lineages``, ``divisions``, ``gaps``,
        ``median_lifetime`` in time points and ``median_speed_um_s``), ``drawn`` (which field) and ``pictures`` (paths).

    Raises
    ------
    NotFoundError
        The lake has no such plate, or no tracks of it, or none there.
    UsageError
        A picture cannot be written there.
    """
    check_outputs(Path(path) for path in (picture, overlay) if path is not None)
    plate = imaged_plates(root, study_id, [plate_id])[0]
    rows = _rows(root, plate, feature_set)
    for name, value in (
        ("well_id", None if well is None else format_well(*parse_well(well))),
        ("field_id", field),
        ("acquisition_id", acquisition),
    ):
        if value is not None:
            known = rows[name].unique().sort().to_pylist()
            rows = rows.filter(pc.field(name) == pc.scalar(value))
            if not rows.num_rows:
                what = name.removesuffix("_id")
                raise NotFoundError(
                    f"plate {plate_id} has no tracks in {what} {value}", hint=f"There are some in {listed(known, 10)}."
                )
    timepoints = _timepoints(root, plate)
    parts = _by_field(rows)
    fields = [_described(part, key, timepoints[key]) for key, part in parts.items()]
    drawn = max(fields, key=lambda one: (one["divisions"], one["tracks"]))
    key = {name: drawn[name] for name in _FIELD}
    part = parts[drawn["acquisition_id"], drawn["well_id"], drawn["field_id"]]
    report = {
        "study_id": study_id,
        "plate_id": plate_id,
        "feature_set": rows["feature_set"][0].as_py(),
        "object_set": rows["object_set"][0].as_py(),
        "fields": fields,
        "drawn": key if picture is not None or overlay is not None else None,
        "pictures": [str(path) for path in (picture, overlay) if path is not None],
    }
    title = f"{plate_id} {key['well_id']} field {key['field_id']}: {report['object_set']} ({report['feature_set']})"
    if picture is not None:
        write_output(Path(picture), lineage_picture(part, n_timepoints=drawn["timepoints"], title=title))
    if overlay is not None:
        write_output(Path(overlay), _overlay(root, plate, part, key, title))
    return report


def _rows(root: LakeRoot, plate: Mapping[str, Any], feature_set: str | None) -> pa.Table:
    """Read the tracks of a plate under one feature set."""
    where = {"study_id": plate["study_id"], "plate_id": plate["plate_id"]}
    if feature_set is not None:
        where["feature_set_hash"] = resolve(root, feature_set).hash
    rows = root.tables.read("tracks", where=where)
    if not rows.num_rows:
        of = "" if feature_set is None else f" under the feature set {feature_set}"
        raise NotFoundError(
            f"plate {plate['plate_id']} of study {plate['study_id']} has no tracks{of}",
            hint="Transform it with a recipe that has a table [tracking].",
        )
    # Runs are named by the time of their start.
    last = pc.max(rows["run_id"])
    return rows.filter(pc.field("run_id") == last)


def _by_field(rows: pa.Table) -> dict[FieldName, pa.Table]:
    """Part the tracks of a plate by field, in order; of each field by time point and object."""
    rows = rows.sort_by([(name, "ascending") for name in (*_FIELD, "timepoint", "object_id")])
    sizes = rows.group_by(list(_FIELD), use_threads=False).aggregate([([], "count_all")]).to_pylist()
    parts, start = {}, 0
    for one in sizes:
        parts[one["acquisition_id"], one["well_id"], one["field_id"]] = rows.slice(start, one["count_all"])
        start += one["count_all"]
    return {key: parts[key] for key in sorted(parts, key=lambda key: (key[0], parse_well(key[1]), key[2]))}


def _timepoints(root: LakeRoot, plate: Mapping[str, Any]) -> dict[FieldName, int]:
    where = {"study_id": plate["study_id"], "plate_id": plate["plate_id"]}
    images = root.tables.read("images", columns=[*_FIELD, "n_timepoints"], where=where).to_pylist()
    return {(one["acquisition_id"], one["well_id"], one["field_id"]): one["n_timepoints"] for one in images}


def _described(rows: pa.Table, key: FieldName, timepoints: int) -> dict[str, Any]:
    ages = rows["TrackObjects_FinalAge"].drop_null().to_numpy()
    speeds = rows["TrackObjects_Speed"].drop_null().to_numpy()
    return {
        **dict(zip(_FIELD, key, strict=True)),
        "timepoints": timepoints,
        "objects": rows.num_rows,
        "tracks": len(rows["track_id"].unique()),
        "lineages": len(rows["lineage_id"].unique()),
        "divisions": int(pc.sum(rows["divides"]).as_py() or 0),
        "gaps": rows.filter(pc.field("gap") > pc.scalar(0)).num_rows,
        "median_lifetime": float(np.median(ages)),
        "median_speed_um_s": float(np.median(speeds)) if len(speeds) else None,
    }


def _overlay(root: LakeRoot, plate: Mapping[str, Any], rows: pa.Table, key: Mapping[str, Any], title: str) -> bytes:
    field = open_plate(root.storage, plate["path"]).field(key["well_id"], key["field_id"], key["acquisition_id"])
    last = field.shape[0] - 1
    where = {
        "study_id": plate["study_id"],
        "plate_id": plate["plate_id"],
        **key,
        "feature_set_hash": rows["feature_set_hash"][0].as_py(),
        "metric": list(DRIFT_METRICS),
    }
    drift = root.tables.read("quality", columns=["timepoint", "metric", "value", "channel_index"], where=where)
    # Positions of a time point without a value are those of the last one that has one: so it was tracked.
    known = drift.filter(pc.is_valid(pc.field("value"))).sort_by("timepoint").to_pylist()
    shift = {row["metric"]: row["value"] for row in known}
    channel = drift["channel_index"][0].as_py() if drift.num_rows else 0
    # The brightest of a stack is enough to see where one is.
    image = field.read([channel], t=last).max(axis=(0, 1))
    _, pixel_y, pixel_x = field.pixel_size_um
    return trajectory_picture(
        rows,
        image,
        shift=(shift.get("Drift_Y", 0.0), shift.get("Drift_X", 0.0)),
        timepoint=last,
        pixel_size_um=float(np.sqrt(pixel_y * pixel_x)) if pixel_y and pixel_x else None,
        title=title,
    )
