"""Which object of one time point is which of the next: tracks with gaps and divisions, over one field.

The assignment is that of Jaqaman et al. (2008, Nature Methods 5:695) as laptrack solves it: first objects of
neighbouring frames are linked at the least sum of squared distances, then the ends and starts of those segments are
joined over gaps, and starts are hung onto objects beside them as divisions, all at once. Positions are the centroids,
in µm, with the field's drift taken off.

A *track* is one cell from its appearance or birth to its division or disappearance. The tracks that descend from one
form its *lineage*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import MissingExtraError
from ..schemas.tables import arrow_schema
from .drift import Drift, no_drift
from .motion import motion_features
from .parameters import Parameter, Value

if TYPE_CHECKING:
    from .features.label_index import LabelIndex

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Raise it whenever a link or a number changes.
VERSION = 1

#: What ``[tracking]`` of a recipe may set beside ``objects`` and ``drift_channel``.
PARAMETERS: Mapping[str, Parameter] = {
    "max_distance_um": Parameter(
        default=15.0,
        meaning="How far an object may move from one time point to the next, and a daughter lie from where its mother "
        "was, µm",
        low=0.001,
        high=100_000.0,
    ),
    "max_gap": Parameter(
        default=2, meaning="How many time points in a row an object may be missing and still be the same", high=1000
    ),
    "divisions": Parameter(default=True, meaning="Whether an object may become two"),
    "least_sister_ratio": Parameter(
        default=0.4,
        meaning="Area of the smaller daughter over that of the larger, below which it is no division but a fragment, "
        "or a neighbour that came into view",
        high=1.0,
    ),
    "merges": Parameter(default=False, meaning="Whether two objects may become one"),
    "max_drift_um": Parameter(
        default=100.0,
        meaning="Longest shift of the field from one time point to the next that is believed, µm",
        high=100_000.0,
    ),
}

#: Columns of the ``tracks`` table that are the same for a whole plate and are added when its file is written.
PLATE_COLUMNS = ("study_id", "plate_id", "feature_set", "feature_set_hash", "run_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """What a recipe says of tracking: the object set, the role of the channel that tells the drift, the parameters."""

    objects: str
    drift_channel: str | None = None
    max_distance_um: float = 15.0
    max_gap: int = 2
    divisions: bool = True
    least_sister_ratio: float = 0.4
    merges: bool = False
    max_drift_um: float = 100.0

    def definition(self) -> dict[str, Value | None]:
        """Return what decides the tracks, as JSON types, with the version of the method."""
        return {
            "version": VERSION,
            "objects": self.objects,
            "drift_channel": self.drift_channel,
            **{name: getattr(self, name) for name in PARAMETERS},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of one set in all time points of one field, sorted by time point and label.

    Attributes
    ----------
    timepoint, object_id : int64 (n,)
    y, x : float64 (n,)
        Centroids in pixels of their own frame.
    area : float64 (n,)
        Pixels.
    """

    timepoint: IntArray
    object_id: IntArray
    y: FloatArray
    x: FloatArray
    area: FloatArray

    def __len__(self) -> int:
        return len(self.timepoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """For each object the one that it was before.

    Attributes
    ----------
    before : int64 (n,)
        Row of the object that it was, or that it was born from; -1 where there is none.
    also_before : int64 (n,)
        Row of the second object that became this one, the farther one; -1 where there is none.
    """

    before: IntArray
    also_before: IntArray


def objects_of(indices: Iterable[LabelIndex | None]) -> Objects:
    """Take positions and areas from the label index of each time point; None where there was none to make."""
    columns: list[tuple[npt.NDArray[Any], ...]] = []
    for timepoint, index in enumerate(indices):
        if index is None or len(index) == 0:
            continue
        area = np.diff(index.offsets).astype(np.float64)
        y, x = np.divmod(index.pixels, index.shape[1])
        starts = index.offsets[:-1]
        columns.append(
            (
                np.full(len(index), timepoint),
                index.object_ids.astype(np.int64),
                np.add.reduceat(y, starts, dtype=np.float64) / area,
                np.add.reduceat(x, starts, dtype=np.float64) / area,
                area,
            )
        )
    joined = [np.concatenate(column) for column in zip(*columns, strict=True)] if columns else [np.zeros(0)] * 5
    return Objects(
        timepoint=joined[0].astype(np.int64),
        object_id=joined[1].astype(np.int64),
        y=joined[2],
        x=joined[3],
        area=joined[4],
    )


def link(positions: FloatArray, timepoint: IntArray, area: FloatArray, settings: TrackingSettings) -> Links:
    """Link objects over time.

    Parameters
    ----------
    positions : float64 (n, 2)
        In µm, drift taken off, rows sorted by time point.
    timepoint : int64 (n,)
    area : float64 (n,)
        In any unit; for sisters that are no sisters.
    settings
        What is allowed.

    Raises
    ------
    MissingExtraError
        laptrack is not installed.
    """
    n = len(timepoint)
    before, also_before = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    if n and timepoint[0] != timepoint[-1]:
        for first, second in _edges(positions, timepoint, settings):
            _hang(second, first, before, also_before, positions)
        _part_false_sisters(before, also_before, area, settings.least_sister_ratio)
    return Links(before=before, also_before=also_before)


def _edges(positions: FloatArray, timepoint: IntArray, settings: TrackingSettings) -> list[tuple[int, int]]:
    """Give the links as pairs of rows, the earlier first, sorted."""
    tracker = _laptrack()
    farthest = settings.max_distance_um**2
    # One frame for each time point between the first and the last object, also those without any.
    starts = np.searchsorted(timepoint, np.arange(timepoint[0], timepoint[-1] + 2))
    frames = [positions[start:stop] for start, stop in zip(starts[:-1], starts[1:], strict=True)]
    graph = tracker(
        cutoff=farthest,
        gap_closing_cutoff=farthest,
        gap_closing_max_frame_count=settings.max_gap + 1,
        splitting_cutoff=farthest if settings.divisions else False,
        merging_cutoff=farthest if settings.merges else False,
    ).predict(frames)
    return sorted((int(starts[f] + i), int(starts[g] + j)) for (f, i), (g, j) in graph.edges())


def _laptrack() -> Any:
    try:
        from laptrack import LapTrack
    except ImportError as error:
        raise MissingExtraError(
            "the recipe has a table [tracking], and laptrack, which links objects over time, is not installed",
            hint="pip install 'cytolake[tracking]'",
        ) from error
    return LapTrack


def _hang(row: int, to: int, before: IntArray, also_before: IntArray, positions: FloatArray) -> None:
    """Say that ``row`` was ``to`` before, the nearer one first where it was two."""
    if before[row] < 0:
        before[row] = to
        return
    old = before[row]
    nearer = np.linalg.norm(positions[to] - positions[row]) < np.linalg.norm(positions[old] - positions[row])
    before[row], also_before[row] = (to, old) if nearer else (old, to)


def _part_false_sisters(before: IntArray, also_before: IntArray, area: FloatArray, least_ratio: float) -> None:
    """Take the smaller one of two sisters off its mother where the larger one is out of proportion."""
    for first, second in sisters(before):
        small, large = (first, second) if area[first] < area[second] else (second, first)
        if area[small] < least_ratio * area[large]:
            before[small], also_before[small] = also_before[small], -1


def sisters(before: IntArray) -> list[tuple[int, int]]:
    """Give the pairs of rows that were one object before."""
    order = np.argsort(before, kind="stable")
    same = (before[order[1:]] == before[order[:-1]]) & (before[order[1:]] >= 0)
    return [(int(order[i]), int(order[i + 1])) for i in np.flatnonzero(same)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The tracks that links make, an entry per object.

    Attributes
    ----------
    track, founder : int64 (n,)
        Number of the track, from 1 in the order of their first objects; that of the first track of its lineage.
    parent, second_parent : int64 (n,)
        Track that it was born from; that which merged into it as the second. 0 where there is none.
    generation : int64 (n,)
        How many divisions lie behind it in this field.
    divides : bool (n,)
        The last object of a track that divides.
    first : bool (n,)
        The first object of a track.
    """

    track: IntArray
    founder: IntArray
    parent: IntArray
    second_parent: IntArray
    generation: IntArray
    divides: npt.NDArray[np.bool_]
    first: npt.NDArray[np.bool_]


def lineage(links: Links) -> Lineage:
    """Cut links into tracks: a track ends where it divides, merges or disappears."""
    before, also = links.before, links.also_before
    n = len(before)
    successors = np.bincount(before[before >= 0], minlength=n)
    divides = successors > 1
    linked, merged = before >= 0, also >= 0
    first = ~linked | merged
    first[linked] |= divides[before[linked]]
    track = np.zeros(n, np.int64)
    track[first] = np.arange(1, np.count_nonzero(first) + 1)
    founder, parent, second, generation = np.zeros((4, n), np.int64)
    for row in range(n):  # what is before a row has been seen: rows are in the order of time
        mother = before[row]
        if not first[row]:
            track[row], founder[row], parent[row] = track[mother], founder[mother], parent[mother]
            second[row], generation[row] = second[mother], generation[mother]
            continue
        founder[row] = founder[mother] if mother >= 0 else track[row]
        parent[row] = track[mother] if mother >= 0 else 0
        second[row] = track[also[row]] if also[row] >= 0 else 0
        generation[row] = generation[mother] + bool(divides[mother]) if mother >= 0 else 0
    return Lineage(
        track=track,
        founder=founder,
        parent=parent,
        second_parent=second,
        generation=generation,
        divides=divides,
        first=first,
    )


def track_field(
    objects: Objects,
    settings: TrackingSettings,
    identity: Mapping[str, Any],
    *,
    n_timepoints: int,
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
    n_timepoints
        Of the field: what the last of them shows has not come to its end.
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
    shifts = (drift or no_drift(n_timepoints)).shifts[objects.timepoint]
    positions = np.column_stack([objects.y, objects.x]) - shifts
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
    return pa.array(values, mask=~known)
