"""The rows of the table ``tracks``: motion and growth along tracks, NULL where there is nothing to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cytolake.schemas.tables import arrow_schema
from cytolake.schemas.validation import validate_records
from cytolake.store.images.model import FieldKey
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.tracking.drift import Drift
from cytolake.transforms.tracking.linking import Objects
from cytolake.transforms.tracking.rows import PLATE_COLUMNS, FieldTracker, track_field
from cytolake.transforms.tracking.settings import TrackingSettings

pytest.importorskip("laptrack")

SETTINGS = TrackingSettings(objects="nuclei", max_distance_um=10, least_sister_ratio=0.5)
FIELD = {"acquisition_id": 1, "well_id": "B03", "field_id": 4}
#: One that goes 3 right and 4 down, is missed once, and divides; one that stands still.
ROWS = [
    (0, 1, 10, 10, 100),
    (0, 9, 50, 50, 80),
    (1, 2, 14, 13, 110),
    (1, 5, 50, 50, 80),
    (3, 1, 14, 13, 121),
    (3, 3, 50, 50, 80),
    (4, 1, 11, 13, 60),
    (4, 2, 17, 13, 55),
    (4, 4, 50, 50, 80),
]


def objects(rows: list[tuple[float, ...]] = ROWS) -> Objects:
    table = np.array(rows, float).reshape(-1, 5)
    return Objects(
        timepoint=table[:, 0].astype(np.int64),
        object_id=table[:, 1].astype(np.int64),
        y=table[:, 2],
        x=table[:, 3],
        area=table[:, 4],
    )


def rows(**others: Any) -> pa.Table:
    arguments = {"pixel_size_um": 0.5, "time_interval_s": 100.0, **others}
    return track_field(objects(), SETTINGS, FIELD, **arguments)


def values(table: pa.Table, column: str) -> list[Any]:
    found = table[column].to_pylist()
    return [round(one, 6) if isinstance(one, float) else one for one in found]


def test_who_is_who() -> None:
    table = rows()
    assert values(table, "track_id") == [1, 2, 1, 2, 1, 2, 3, 4, 2]
    assert values(table, "lineage_id") == [1, 2, 1, 2, 1, 2, 1, 1, 2]
    assert values(table, "parent_track_id") == [None] * 6 + [1, 1, None]
    assert values(table, "merged_track_id") == [None] * 9
    assert values(table, "generation") == [0, 0, 0, 0, 0, 0, 1, 1, 0]
    assert values(table, "previous_object_id") == [None, None, 1, 9, 2, 5, 1, 1, 3]
    assert values(table, "gap") == [None, None, 0, 0, 1, 1, 0, 0, 0]
    assert values(table, "divides") == [False] * 4 + [True] + [False] * 4


def test_motion_is_of_the_track() -> None:
    table = rows()
    assert values(table, "TrackObjects_TrajectoryX") == [None, None, 3, 0, 0, 0, None, None, 0]
    assert values(table, "TrackObjects_TrajectoryY") == [None, None, 4, 0, 0, 0, None, None, 0]
    assert values(table, "TrackObjects_DistanceTraveled") == [None, None, 5, 0, 0, 0, None, None, 0]
    assert values(table, "TrackObjects_Displacement") == [0, 0, 5, 0, 5, 0, 0, 0, 0]
    assert values(table, "TrackObjects_IntegratedDistance") == [0, 0, 5, 0, 5, 0, 0, 0, 0]
    assert values(table, "TrackObjects_Linearity") == [None, None, 1, None, 1, None, None, None, None]
    assert values(table, "TrackObjects_Lifetime") == [1, 1, 2, 2, 4, 4, 1, 1, 5]
    assert values(table, "TrackObjects_FinalAge") == [None, None, None, None, 4, None, 1, 1, 5]


def test_speed_and_growth_need_the_time_that_passed() -> None:
    table = rows()
    assert values(table, "TrackObjects_Speed") == [None, None, 0.025, 0, 0, 0, None, None, 0]
    assert values(table, "TrackObjects_AreaGrowth") == [None, None, 1.1, 1, 1.1, 1, None, None, 1]
    per_hour = np.log(1.1) * 36
    assert values(table, "TrackObjects_AreaGrowthRate")[2] == pytest.approx(per_hour, rel=1e-6)
    assert values(table, "TrackObjects_AreaGrowthRate")[4] == pytest.approx(per_hour / 2, rel=1e-6)
    for unknown in (None, 0.0):
        table = rows(time_interval_s=unknown)
        assert table["TrackObjects_Speed"].null_count == len(ROWS)
        assert table["TrackObjects_AreaGrowthRate"].null_count == len(ROWS)
        assert values(table, "TrackObjects_AreaGrowth")[2] == 1.1


def test_drift_is_taken_off() -> None:
    shifts = np.array([(0, 0), (4, 3), (4, 3), (4, 3), (4, 3)], float)
    table = rows(drift=Drift(shifts=shifts, reasons=(None,) * 5))
    assert values(table, "y")[:4] == [10, 50, 10, 46]
    assert values(table, "x")[:4] == [10, 50, 10, 47]
    assert values(table, "TrackObjects_DistanceTraveled")[2:4] == [0, 5]


def test_rows_are_records_of_the_schema() -> None:
    plate = {
        "study_id": "s",
        "plate_id": "p",
        "run_id": "20240501-101500-ab12",
        "feature_set": "nuclei@1",
        "feature_set_hash": "0" * 64,
    }
    table = rows()
    assert set(plate) == set(PLATE_COLUMNS)
    assert [*table.column_names] == [name for name in arrow_schema("tracks").names if name not in PLATE_COLUMNS]
    assert validate_records("Track", [{**plate, **row} for row in table.to_pylist()]) == []


def test_no_object_gives_the_columns() -> None:
    table = track_field(objects([]), SETTINGS, FIELD, pixel_size_um=1.0)
    assert table.num_rows == 0
    assert table.schema == rows().schema


def labels(*squares: tuple[int, int, int]) -> np.ndarray:
    image = np.zeros((60, 60), np.int32)
    for number, y, x in squares:
        image[y : y + 6, x : x + 6] = number
    return image


def feed(tracker: FieldTracker) -> None:
    """Four time points: two squares that go right with the field, a frame that could not be segmented, one empty."""
    dots = np.random.default_rng(0).random((60, 80)) * 1000
    frames = [labels((1, 5, 5), (2, 40, 40)), labels((4, 5, 8)), None, labels()]
    for t, frame in enumerate(frames):
        image = np.stack([np.zeros((60, 60)), np.roll(dots, t * 3, axis=1)[:, :60]])
        sets = {} if frame is None else {"nuclei": label_index(frame), "other": label_index(labels((1, 1, 1)))}
        tracker.add(sets, image, np.array([True, True]))


def test_a_tracker_takes_what_it_needs_of_each_time_point() -> None:
    key = FieldKey("B03", 1, 4)
    tracker = FieldTracker(SETTINGS, drift_channel=1, pixel_size_um=1.0, time_interval_s=None)
    feed(tracker)
    table = tracker.tracks(key)
    assert table is not None
    assert values(table, "timepoint") == [0, 0, 1]
    assert values(table, "object_id") == [1, 2, 4]
    assert values(table, "track_id") == [1, 2, 1]
    assert table["object_set"].unique().to_pylist() == ["nuclei"]
    assert tracker.skipped == {}
    quality = tracker.quality(key)
    assert [(row["timepoint"], row["metric"]) for row in quality[:3]] == [
        (0, "Drift_Y"),
        (0, "Drift_X"),
        (1, "Drift_Y"),
    ]
    assert len(quality) == 8
    assert quality[-1] == {**quality[-1], **FIELD, "channel_index": 1, "timepoint": 3}


def test_without_a_pixel_size_nothing_is_tracked_and_it_is_said() -> None:
    key = FieldKey("B03", 1, 4)
    tracker = FieldTracker(SETTINGS, drift_channel=1, pixel_size_um=None, time_interval_s=None)
    feed(tracker)
    assert tracker.tracks(key) is None
    assert list(tracker.skipped) == ["tracks of nuclei"]
    assert "size of a pixel" in tracker.skipped["tracks of nuclei"]
    assert {row["value"] for row in tracker.quality(key)} == {None}
    quiet = FieldTracker(SETTINGS, drift_channel=None, pixel_size_um=1.0, time_interval_s=None)
    feed(quiet)
    assert quiet.quality(key) == []
