"""What the report of a plate is made from: its quality rows as series of values by field, its flags, its wells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import NotFoundError
from ..quality.flags import FLAG_METRICS, METRICS_JUDGED, plate_flags

if TYPE_CHECKING:
    from ...store.root import LakeRoot


class NotTransformedError(NotFoundError):
    """A plate has no quality rows, so that nothing can be reported."""


#: (well, field)
FieldName = tuple[str, int]

#: Metrics that the report shows, in its order, and what their pictures are called.
SHOWN = {
    "Count": "objects per field",
    "PowerLogLogSlope": "focus (PowerLogLogSlope; lower is blurrier)",
    "MeanIntensity": "mean intensity (grey values)",
    "PercentSaturated": "saturated pixels (%)",
    "Unevenness": "unevenness of the light",
}
#: Of a field in which an object set could not be looked for.
_UNMEASURED = "Flag_Unmeasured"
_IDENTITY = ("acquisition_id", "well_id", "field_id", "timepoint", "channel_index", "channel_role", "object_set")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one channel or object set: a value for each field, the mean over its time points."""

    metric: str
    name: str
    fields: Mapping[FieldName, float]

    @property
    def title(self) -> str:
        """What it is called in the report."""
        return f"{self.name}: {SHOWN[self.metric]}"

    def wells(self) -> dict[str, float]:
        """Give the mean over the fields of each well."""
        values: dict[str, list[float]] = {}
        for (well_id, _), value in self.fields.items():
            values.setdefault(well_id, []).append(value)
        return {well_id: float(np.mean(own)) for well_id, own in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One raised flag: ``kind`` is ``Blurred`` and so on, ``name`` the channel or object set that it is about."""

    kind: str
    well_id: str
    field_id: int
    acquisition_id: int
    timepoint: int
    channel_index: int | None
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PlateQuality:
    """One plate under one feature set.

    ``controls`` gives the control type of each well that has one; ``fields`` all fields that were measured, with the
    acquisition they belong to.
    """

    study_id: str
    plate_id: str
    path: str
    n_rows: int
    n_columns: int
    feature_set: str
    run_id: str
    series: Sequence[Series]
    flags: Sequence[Flag]
    controls: Mapping[str, str]
    fields: Mapping[FieldName, int]

    @cached_property
    def fields_of_wells(self) -> dict[str, list[int]]:
        """Fields of each well."""
        found: dict[str, list[int]] = {}
        for well_id, field_id in self.fields:
            found.setdefault(well_id, []).append(field_id)
        return found

    def of(self, *metrics: str) -> list[Series]:
        """Give the series of these metrics."""
        return [one for one in self.series if one.metric in metrics]


def read_plate(root: LakeRoot, plate: Mapping[str, Any], feature_set_hash: str | None = None) -> PlateQuality:
    """Read what the report of a plate needs.

    Parameters
    ----------
    root
        The lake.
    plate
        Its row of ``plates``.
    feature_set_hash
        Under which feature set; the one that was computed last for this plate where None.

    Raises
    ------
    NotTransformedError
        The plate has no quality rows.
    """
    where = _of_plate(plate)
    if feature_set_hash is not None:
        where["feature_set_hash"] = feature_set_hash
    wanted = sorted({*SHOWN, *METRICS_JUDGED, *FLAG_METRICS})
    columns = [*_IDENTITY, "metric", "value", "reason", "run_id", "feature_set", "feature_set_hash"]
    rows = root.tables.read("quality", columns=columns, where={**where, "metric": wanted})
    if not rows.num_rows:
        under = " under that feature set" if feature_set_hash else ""
        raise NotTransformedError(
            f"plate {plate['plate_id']} of study {plate['study_id']} was not transformed yet{under}: it has no quality "
            f"rows",
            hint=f"Run `cytolake transform --study {plate['study_id']} --plate {plate['plate_id']}`.",
        )
    # Runs are named by the time at which they began.
    newest = pc.max(rows["run_id"])
    rows = rows.filter(pc.equal(rows["run_id"], newest))
    names = _channel_names(root, plate)
    flags = pc.is_in(rows["metric"], pa.array(FLAG_METRICS))
    judged = rows.filter(flags) if pc.any(flags).as_py() else plate_flags(rows)
    wells = root.tables.read("wells", columns=["well_id", "control_type"], where=_of_plate(plate))
    fields = rows.group_by(["well_id", "field_id"]).aggregate([("acquisition_id", "min")])
    return PlateQuality(
        study_id=plate["study_id"],
        plate_id=plate["plate_id"],
        path=plate["path"],
        n_rows=plate["n_rows"],
        n_columns=plate["n_columns"],
        feature_set=rows["feature_set"][0].as_py(),
        run_id=newest.as_py(),
        series=_series(rows, names),
        flags=_flags(judged, rows.filter(pc.equal(rows["metric"], pa.scalar("Count"))), names),
        controls={row["well_id"]: row["control_type"] for row in wells.to_pylist() if row["control_type"]},
        fields={
            (row["well_id"], row["field_id"]): row["acquisition_id_min"]
            for row in sorted(fields.to_pylist(), key=lambda row: (row["well_id"], row["field_id"]))
        },
    )


def _of_plate(plate: Mapping[str, Any]) -> dict[str, Any]:
    return {"study_id": plate["study_id"], "plate_id": plate["plate_id"]}


def _channel_names(root: LakeRoot, plate: Mapping[str, Any]) -> dict[tuple[int, int], str]:
    """Give what each channel is called: its microscope's name; and which acquisition, where there are several."""
    columns = ["acquisition_id", "channel_index", "name"]
    rows = root.tables.read("channels", columns=columns, where=_of_plate(plate)).to_pylist()
    return {(row["acquisition_id"], row["channel_index"]): row["name"] for row in rows}


def _named(row: Mapping[str, Any], names: Mapping[tuple[int, int], str]) -> str:
    """Give the role of a channel, its name where it has none, or the object set."""
    if row["object_set"] is not None:
        name = str(row["object_set"])
    else:
        at = (row["acquisition_id"], row["channel_index"])
        name = row["channel_role"] or names.get(at) or f"channel {row['channel_index']}"
    several = len({acquisition for acquisition, _ in names}) > 1
    return f"{name} (acquisition {row['acquisition_id']})" if several else name


def _series(rows: pa.Table, names: Mapping[tuple[int, int], str]) -> list[Series]:
    shown = rows.filter(pc.is_in(rows["metric"], pa.array(list(SHOWN)))).filter(pc.is_valid(pc.field("value")))
    keys = ["metric", "acquisition_id", "channel_index", "channel_role", "object_set", "well_id", "field_id"]
    found: dict[tuple[Any, ...], dict[FieldName, float]] = {}
    labels: dict[tuple[Any, ...], str] = {}
    for row in shown.group_by(keys, use_threads=False).aggregate([("value", "mean")]).to_pylist():
        key = (
            list(SHOWN).index(row["metric"]),
            row["acquisition_id"],
            -1 if row["channel_index"] is None else row["channel_index"],
            row["object_set"] or "",
        )
        found.setdefault(key, {})[row["well_id"], row["field_id"]] = row["value_mean"]
        labels[key] = _named(row, names)
    return [
        Series(metric=list(SHOWN)[key[0]], name=labels[key], fields=fields) for key, fields in sorted(found.items())
    ]


def _flags(rows: pa.Table, counts: pa.Table, names: Mapping[tuple[int, int], str]) -> list[Flag]:
    """Give the flags that are raised, and one for each object set that could not be looked for in a field."""
    order = {name: place for place, name in enumerate((_UNMEASURED, *FLAG_METRICS))}
    raised = rows.filter(pc.equal(rows["value"], pa.scalar(1.0))).to_pylist()
    without = counts.filter(pc.is_null(counts["value"])).to_pylist()
    raised += [{**row, "metric": _UNMEASURED} for row in without]
    raised.sort(key=lambda row: (order[row["metric"]], row["well_id"], row["field_id"], row["timepoint"]))
    return [
        Flag(
            kind=row["metric"].removeprefix("Flag_"),
            well_id=row["well_id"],
            field_id=row["field_id"],
            acquisition_id=row["acquisition_id"],
            timepoint=row["timepoint"],
            channel_index=row["channel_index"],
            name=_named(row, names),
            reason=row["reason"] or "",
        )
        for row in raised
    ]
