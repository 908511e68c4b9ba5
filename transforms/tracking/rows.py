"""The rows of the ``tracks`` table that one field gives, and the quality rows of its drift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...schemas.tables import arrow_schema
from .drift import Drift, DriftEstimator, no_drift
from .linking import Objects, lineage, link, objects_of
from .motion import motion_features
from .settings import TrackingSettings

if TYPE_CHECKING:
    from ...store.images.model import FieldKey
    from ..features.label_index import LabelIndex

#: Columns of the ``tracks`` table that are the same for a whole plate and are added when its file is written.
PLATE_COLUMNS = ("study_id", "plate_id", "feature_set", "feature_set_hash", "run_id")


_NO_PIXEL_SIZE = "the size of a pixel is unknown, and max_distance_um is in µm"


class FieldTracker:
    """Takes from each time point of a field what tracking needs, and keeps nothing else of it.

    Parameters
    ----------
    settings
        What the recipe says.
    drift_channel
        Index of the channel that tells the drift; None where none does.
    pixel_size_um
        Side of a pixel; None where unknown: then nothing is tracked, because distances are in µm.
    time_interval_s
        Time between time points; None where unknown.
    """

    def __init__(
        self,
        settings: TrackingSettings,
        *,
        drift_channel: int | None,
        pixel_size_um: float | None,
        time_interval_s: float | None,
    ) -> None:
        self._settings = settings
        self._channel = drift_channel
        self._pixel_size_um = pixel_size_um
        self._time_interval_s = time_interval_s
        self._objects: list[Objects] = []
        self._n_timepoints = 0
        self._estimator: DriftEstimator | None = None
        if drift_channel is not None and pixel_size_um is not None:
            self._estimator = DriftEstimator(max_step_px=settings.max_drift_um / pixel_size_um)

    def add(self, objects: Mapping[str, LabelIndex], image: npt.NDArray[Any], present: npt.NDArray[np.bool_]) -> None:
        """Take the next time point.

        Parameters
        ----------
        objects
            Each set that could be made.
        image
            (c, y, x).
        present
            bool (c,): channels that have pixels.
        """
        if self._settings.objects in objects:
            self._objects.append(objects_of(objects[self._settings.objects], self._n_timepoints))
        if self._estimator is not None and self._channel is not None:
            self._estimator.add(image[self._channel] if present[self._channel] else None)
        self._n_timepoints += 1

    @property
    def skipped(self) -> dict[str, str]:
        """What could not be tracked, and why; empty where it was."""
        if self._pixel_size_um is not None:
            return {}
        return {f"tracks of {self._settings.objects}": _NO_PIXEL_SIZE}

    def quality(self, key: FieldKey) -> list[dict[str, Any]]:
        """Give the rows of the drift for the ``quality`` table; none where no channel tells it."""
        if self._channel is None:
            return []
        drift = no_drift(self._n_timepoints, _NO_PIXEL_SIZE) if self._estimator is None else self._estimator.drift()
        return [
            {**_identity(key), "timepoint": timepoint, **row}
            for timepoint in range(self._n_timepoints)
            for row in drift.rows(timepoint, channel_index=self._channel, channel_role=self._settings.drift_channel)
        ]

    def tracks(self, key: FieldKey) -> pa.Table | None:
        """Track; None where nothing can be. See :func:`track_field`."""
        if self._pixel_size_um is None:
            return None
        return track_field(
            Objects.joined(self._objects),
            self._settings,
            _identity(key),
            pixel_size_um=self._pixel_size_um,
            time_interval_s=self._time_interval_s,
            drift=None if self._estimator is None else self._estimator.drift(),
        )


def _identity(key: FieldKey) -> dict[str, Any]:
    return {"acquisition_id": key.acquisition_id, "well_id": key.well_id, "field_id": key.field_id}


def track_field(
    objects: Objects,
    settings: TrackingSettings,
    identity: Mapping[str, Any],
    *,
    pixel_size_um: float,
    time_interval_s: float | None = None,
    drift: Drift | None = None,
) -> pa.Table:
    """Track the objects of one field.

    Parameters
    ----------
    objects
        Of the set that ``settings`` names.
    settings
        What is allowed.
    identity
        ``acquisition_id``, ``well_id`` and ``field_id``.
    pixel_size_um
        Side of a pixel.
    time_interval_s
        Time between time points; None where unknown: then speeds and rates are NULL.
    drift
        Of this field; none by default.

    Returns
    -------
    pyarrow.Table
        The ``tracks`` table without :data:`PLATE_COLUMNS`, a row per object, by time point and label. What is
        undefined is NULL.

    Raises
    ------
    MissingExtraError
        laptrack is not installed.
    """
    positions = np.column_stack([objects.y, objects.x])
    if drift is not None:
        positions -= drift.shifts[objects.timepoint]
    links = link(positions * pixel_size_um, objects.timepoint, objects.area, settings)
    found = lineage(links)
    linked = links.before >= 0
    gap = np.where(linked, objects.timepoint - objects.timepoint[links.before] - 1, -1)
    values: dict[str, Any] = {
        "timepoint": objects.timepoint,
        "object_id": objects.object_id,
        "track_id": found.track,
        "lineage_id": found.founder,
        "parent_track_id": _or_null(found.parent, found.parent > 0),
        "merged_track_id": _or_null(found.second_parent, found.second_parent > 0),
        "generation": found.generation,
        "previous_object_id": _or_null(objects.object_id[links.before], linked) if len(objects) else [],
        "gap": _or_null(gap, linked),
        "divides": found.divides,
        "y": positions[:, 0],
        "x": positions[:, 1],
        "area": objects.area,
    }
    values |= motion_features(
        objects.timepoint,
        positions,
        objects.area,
        before=np.where(found.first, -1, links.before),
        pixel_size_um=pixel_size_um,
        time_interval_s=time_interval_s,
    )
    n = len(objects)
    constant = {**identity, "object_set": settings.objects}
    fields = [field for field in arrow_schema("tracks") if field.name not in PLATE_COLUMNS]
    arrays = [
        pa.repeat(pa.scalar(constant[field.name], field.type), n)
        if field.name in constant
        else pa.array(values[field.name], from_pandas=True).cast(field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _or_null(values: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> pa.Array[Any]:
    array: pa.Array[Any] = pa.array(values, mask=~known)
    return array
