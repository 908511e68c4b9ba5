"""A time-lapse from files to tracks: rows, views on them, pictures, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
import tifffile
from cytolake.errors import NotFoundError, UsageError
from cytolake.lake import Lake
from cytolake.transforms.tracking import reading
from PIL import Image

pytest.importorskip("laptrack")

RECIPE = """
name = "cycle"
[objects.nuclei]
method = "otsu"
channel = "DNA"
diameter_um = 12
[tracking]
objects = "nuclei"
drift_channel = "DNA"
max_distance_um = 8
"""
#: Corner of the camera at each time point: the field drifts by 3 pixels down and 2 right, then stays.
CORNERS = [(20, 20), (17, 18), (17, 18), (17, 18)]

STANDING = [(40, 100, 8), (150, 60, 8), (100, 200, 8), (140, 180, 8), (100, 60, 9), (165, 140, 8)]


def scene(t: int) -> np.ndarray:
    """Nuclei that stand, one that walks, one that divides at time point 2."""
    y, x = np.mgrid[:200, :240]
    places = [(60, 60, 9), (60, 130 + 2 * t, 9), *STANDING]
    places += [(130, 110, 10)] if t < 2 else [(122 - t, 108, 6), (138 + t, 112, 6)]
    light = sum(1 / (1 + np.exp(np.hypot(y - cy, x - cx) - r)) for cy, cx, r in places)
    return np.random.default_rng(t).poisson(300 + 5000 * light).astype(np.uint16)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, Any]]:
    """Three wells, of which the second is empty and the third goes dark at the end; read only."""
    folder = tmp_path_factory.mktemp("movie")
    for t, (top, left) in enumerate(CORNERS):
        image = scene(t)[top : top + 160, left : left + 200]
        tifffile.imwrite(folder / f"B02_DAPI_t{t:02d}.tif", image)
        tifffile.imwrite(
            folder / f"B03_DAPI_t{t:02d}.tif", np.random.default_rng(9).poisson(300, (160, 200)).astype("u2")
        )
        tifffile.imwrite(folder / f"B04_DAPI_t{t:02d}.tif", image * (t < len(CORNERS) - 1))
    lake = cytolake.init_lake(tmp_path_factory.mktemp("lake") / "lake")
    lake.ingest(
        folder,
        study="movies",
        plate="m1",
        pattern=r"(?P<well>[A-P]\d\d)_(?P<channel>DAPI)_t(?P<time>\d+)\.tif",
        pixel_size_um=0.65,
        plate_format=96,
    )
    recipe = folder / "cycle.toml"
    recipe.write_text(RECIPE)
    return lake, lake.transform(study="movies", recipe=recipe, workers=1)


def test_tracks_are_asked_in_sql(followed: tuple[Lake, dict[str, Any]]) -> None:
    lake, report = followed
    assert report["status"] == "ok"
    found = lake.sql(
        "SELECT track_id, count(*), max(generation), bool_or(divides), max(parent_track_id) FROM tracks "
        "WHERE well_id = 'B02' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    (mother,) = [row[0] for row in found if row[3]]
    assert sorted(row[1:] for row in found) == [
        (2, 0, True, None),
        *[(2, 1, False, mother)] * 2,
        *[(4, 0, False, None)] * 8,
    ]
    joined = lake.sql(
        "SELECT count(*) FROM tracks JOIN nuclei USING (study_id, plate_id, acquisition_id, well_id, "
        "field_id, timepoint, object_id)"
    ).fetchall()
    assert joined == lake.sql("SELECT count(*) FROM tracks").fetchall()


def test_the_drift_is_in_the_quality_rows_and_off_the_positions(followed: tuple[Lake, dict[str, Any]]) -> None:
    lake, _ = followed
    drift = lake.sql(
        "SELECT timepoint, metric, value FROM quality WHERE well_id = 'B02' AND metric LIKE 'Drift%' ORDER BY 1, 2"
    ).fetchall()
    by_metric = {name: [value for _, metric, value in drift if metric == name] for name in ("Drift_Y", "Drift_X")}
    np.testing.assert_allclose(by_metric["Drift_Y"], [0, 3, 3, 3], atol=0.3)
    np.testing.assert_allclose(by_metric["Drift_X"], [0, 2, 2, 2], atol=0.8)
    standing = lake.sql("SELECT max(TrackObjects_Displacement) FROM tracks WHERE track_id = 1 AND well_id = 'B02'")
    assert standing.fetchall()[0][0] < 1.5
    assert lake.sql("SELECT count(TrackObjects_Speed) FROM tracks").fetchall() == [(0,)]


def test_a_summary_and_pictures(followed: tuple[Lake, dict[str, Any]], tmp_path: Path) -> None:
    lake, _ = followed
    report = lake.tracks(study="movies", plate="m1", picture=tmp_path / "l.png", overlay=tmp_path / "o.png")
    assert report["feature_set"] == "cycle@1"
    field = report["fields"][0]
    assert (field["well_id"], field["timepoints"], field["tracks"], field["divisions"]) == ("B02", 4, 11, 1)
    assert (field["lineages"], field["gaps"], field["median_speed_um_s"]) == (9, 0, None)
    assert report["drawn"] == {"acquisition_id": 1, "well_id": "B02", "field_id": 1}
    lineages, overlay = (Image.open(path) for path in report["pictures"])
    assert len(np.unique(np.array(lineages.convert("RGB")).reshape(-1, 3), axis=0)) > 10
    assert overlay.width >= 900
    colours = np.array(overlay.convert("RGB")).astype(int)
    assert (np.ptp(colours, axis=2) > 60).sum() > 100


def test_ways_lie_where_the_field_was_last_seen(
    followed: tuple[Lake, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, _ = followed
    seen: dict[str, Any] = {}
    monkeypatch.setattr(reading, "trajectory_picture", lambda *_, **options: seen.update(options) or b"")
    lake.tracks(study="movies", plate="m1", well="B04", overlay=tmp_path / "o.png")
    unknown = lake.sql("SELECT DISTINCT timepoint FROM quality WHERE metric = 'Drift_Y' AND value IS NULL").fetchall()
    assert unknown == [(seen["timepoint"],)]
    np.testing.assert_allclose(seen["shift"], (3, 2), atol=0.8)


def test_what_is_asked_must_be_there(followed: tuple[Lake, dict[str, Any]], tmp_path: Path) -> None:
    lake, _ = followed
    with pytest.raises(NotFoundError, match="no tracks in well A01") as caught:
        lake.tracks(study="movies", plate="m1", well="a1")
    assert "B02" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="no feature set"):
        lake.tracks(study="movies", plate="m1", feature_set="nuclei")
    with pytest.raises(UsageError, match="cannot be written"):
        lake.tracks(study="movies", plate="m1", picture=tmp_path / "no" / "l.png")


def test_a_second_run_replaces_and_a_removal_takes_them_along(
    followed: tuple[Lake, dict[str, Any]], tmp_path: Path
) -> None:
    lake, _ = followed
    before = lake.root.tables.read("tracks").drop_columns(["run_id"])
    recipe = tmp_path / "cycle.toml"
    recipe.write_text(RECIPE)
    lake.transform(study="movies", recipe=recipe, workers=1)
    assert lake.root.tables.read("tracks").drop_columns(["run_id"]).equals(before)
    assert lake.validate(deep=True)["errors"] == []
    assert lake.remove(study="movies", plate="m1", dry_run=True)["tables"]["tracks"] == before.num_rows


def test_a_plate_that_was_not_followed(tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    tifffile.imwrite(export / "B02_DAPI.tif", scene(0))
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(
        export,
        study="s",
        plate="p",
        pattern=r"(?P<well>[A-P]\d\d)_(?P<channel>DAPI)\.tif",
        pixel_size_um=0.65,
        plate_format=96,
    )
    with pytest.raises(NotFoundError, match="has no tracks") as caught:
        lake.tracks(study="s", plate="p")
    assert "[tracking]" in str(caught.value.hint)
