"""Tracks against known ones: links and divisions found, drift, and how long it takes.

    python -m benchmarks.tracking.bench_tracking [--rounds 3] [--pictures]

Known are: what TrackMate makes of the same spots (laptrack's reference data); nuclei of a tissue that flows by half
their distance (laptrack's example data); and simulated cells. What we do is set beside the simplest thing that could be
done, each object to the nearest one. ``--pictures`` draws docs/images anew.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from cytolake.lake import init_lake
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.tracking.drift import estimate_drift
from cytolake.transforms.tracking.linking import Objects, link, objects_of
from cytolake.transforms.tracking.picture import lineage_picture, trajectory_picture
from cytolake.transforms.tracking.rows import track_field
from cytolake.transforms.tracking.settings import TrackingSettings
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.measuring import machine, markdown_table, write_result
from benchmarks.tracking.scene import draw, make_scene

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "images"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "images"
Edges = set[tuple[int, int]]
Linker = Callable[[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], TrackingSettings], Edges]

#: What TrackMate was told, for each of its results.
TRACKMATE: dict[str, dict[str, bool]] = {
    "with_gap_closing": {"divisions": False},
    "with_splitting": {"divisions": True},
    "with_merging": {"divisions": False, "merges": True},
    "with_splitting_merging": {"divisions": True, "merges": True},
}
EMBRYO = """
name = "embryo"

[objects.nuclei]
method = "otsu"
channel = ["DNA"]
diameter_um = 6
min_area_um2 = 8

[features.AreaShape]
objects = ["nuclei"]

[tracking]
objects = "nuclei"
drift_channel = "DNA"
max_distance_um = 4
"""


def ours(
    positions: NDArray[np.float64], timepoint: NDArray[np.int64], area: NDArray[np.float64], settings: TrackingSettings
) -> Edges:
    """Links of cytolake."""
    links = link(positions, timepoint, area, settings)
    return {
        (int(one), row) for before in (links.before, links.also_before) for row, one in enumerate(before) if one >= 0
    }


def nearest(
    positions: NDArray[np.float64], timepoint: NDArray[np.int64], area: NDArray[np.float64], settings: TrackingSettings
) -> Edges:
    """Each object to the nearest of the frame before, if that is near enough."""
    edges: Edges = set()
    for t in range(int(timepoint.max())):
        one, other = np.flatnonzero(timepoint == t), np.flatnonzero(timepoint == t + 1)
        if len(one) and len(other):
            distance, k = cKDTree(positions[one]).query(positions[other])
            near = distance <= settings.max_distance_um
            edges |= {(int(one[i]), int(row)) for i, row in zip(k[near], other[near], strict=True)}
    return edges


LINKERS: dict[str, Linker] = {"cytolake": ours, "nearest": nearest}


def splits(edges: Edges) -> set[int]:
    """Rows that are two afterwards."""
    return {one for one, times in zip(*np.unique([a for a, _ in edges], return_counts=True), strict=True) if times > 1}


def f1(found: set[Any], true: set[Any]) -> dict[str, Any]:
    """Precision, recall, F1; None where nothing is there to be judged."""
    right = len(found & true)
    return {
        "true": len(true),
        "found": len(found),
        "precision": round(right / len(found), 4) if found else None,
        "recall": round(right / len(true), 4) if true else None,
        "f1": round(2 * right / (len(found) + len(true)), 4) if found or true else None,
    }


def judge(
    objects: Objects, positions: NDArray[np.float64], true: Edges, settings: TrackingSettings, *, divisions: bool
) -> dict[str, Any]:
    """Score every linker."""
    result = {}
    for name, linker in LINKERS.items():
        started = time.perf_counter()
        edges = linker(positions, objects.timepoint, objects.area, settings)
        result[name] = {"links": f1(edges, true), "seconds": round(time.perf_counter() - started, 3)}
        if divisions:
            result[name]["divisions"] = f1(splits(edges), splits(true))
    return result


def trackmate() -> dict[str, Any]:
    """Agreement with TrackMate's LAP tracker under the settings that it was given: 15 pixels, a gap of one frame."""
    results = {}
    for name, allowed in TRACKMATE.items():
        base = SHARED / "tracks-laptrack" / f"trackmate_tracks_{name}"
        with Path(f"{base}_spots.csv" if Path(f"{base}_spots.csv").exists() else base).open() as file:
            spots = sorted(csv.DictReader(file), key=lambda one: (int(one["frame"]), int(one["id"])))
        with Path(f"{base}_edges.csv").open() as file:
            row = {one["id"]: k for k, one in enumerate(spots)}
            true = {(row[one["spot_source_id"]], row[one["spot_target_id"]]) for one in csv.DictReader(file)}
        y, x = (np.array([float(one[f"position_{axis}"]) for one in spots]) for axis in "yx")
        timepoint = np.array([int(one["frame"]) for one in spots])
        objects = Objects(timepoint=timepoint, object_id=np.arange(1, len(y) + 1), y=y, x=x, area=np.ones(len(y)))
        settings = TrackingSettings(objects="spots", max_distance_um=15, max_gap=1, least_sister_ratio=0, **allowed)
        results[name] = judge(objects, np.column_stack([y, x]), true, settings, divisions=allowed["divisions"])
    return results


def tissue() -> dict[str, Any]:
    """Follow nuclei of a tissue that flows, with the field's drift taken off and without.

    The label image numbers nuclei over time, as some tracker did; one of its tracks was corrected by a person. Links on
    which we differ are judged by the image: how alike (correlation) the two nuclei are that each side links.
    """
    folder = SHARED / "tracks-laptrack"
    labels, images = (tifffile.imread(folder / f"example_{name}.tif") for name in ("label", "images"))
    objects = Objects.joined([objects_of(label_index(plane), t) for t, plane in enumerate(labels)])
    row_of = {
        key: row for row, key in enumerate(zip(objects.timepoint.tolist(), objects.object_id.tolist(), strict=True))
    }
    numbered: Edges = set()
    for (t, number), row in row_of.items():
        later = row_of.get((t + 1, number), row_of.get((t + 2, number)))
        if later is not None:
            numbered.add((row, later))
    points = np.load(folder / "manual_corrected.npy")
    way = [row_of[int(t), int(labels[int(t), round(y), round(x)])] for t, y, x in points]
    corrected = set(pairwise(way))
    drift = estimate_drift(images, max_step_px=100)
    settings = TrackingSettings(objects="nuclei", max_distance_um=25, max_gap=1)
    result = {}
    for name, shifts in (("as they are", np.zeros_like(drift.shifts)), ("drift taken off", drift.shifts)):
        positions = np.column_stack([objects.y, objects.x]) - shifts[objects.timepoint]
        result[name] = judge(objects, positions, numbered, settings, divisions=False)
        found = ours(positions, objects.timepoint, objects.area, settings)
        result[name]["cytolake"] |= {
            "corrected_track": f1(found & corrected, corrected),
            "likeness_of_our_own_links": likeness(images, objects, found - numbered),
            "likeness_of_the_numbering_s_own_links": likeness(images, objects, numbered - found),
        }
    return result


def likeness(images: NDArray[np.uint16], objects: Objects, edges: Edges, *, half: int = 9) -> float:
    """Median correlation of the two pictures, 19 × 19 pixels, that each link joins."""
    found = []
    for pair in edges:
        patches = []
        for row in pair:
            y, x = round(objects.y[row]), round(objects.x[row])
            if min(y, x) >= half and y < images.shape[1] - half and x < images.shape[2] - half:
                patches.append(images[objects.timepoint[row], y - half : y + half + 1, x - half : x + half + 1].ravel())
        if len(patches) == 2:
            found.append(np.corrcoef(*patches)[0, 1])
    return round(float(np.median(found)), 3)


def simulated(rounds: int) -> dict[str, Any]:
    """300 cells over 48 time points, one in fifty overlooked, with divisions and the true drift taken off."""
    results = []
    for seed in range(rounds):
        scene = make_scene(seed=seed)
        positions = np.column_stack([scene.objects.y, scene.objects.x]) - scene.drift[scene.objects.timepoint]
        settings = TrackingSettings(objects="nuclei", max_distance_um=20)
        results.append(judge(scene.objects, positions, scene.edges, settings, divisions=True))
    return {"objects": len(scene.objects), "rounds": results}


def drifting() -> dict[str, Any]:
    """Known drift of drawn fields: cells that stand still, and cells that move."""
    results = {}
    for name, step in (("cells stand still", 0.0), ("cells move 3 pixels a time point", 3.0)):
        scene = make_scene(n_cells=80, n_timepoints=12, shape=(600, 600), step=step, cycle=1e9, overlooked=0.0)
        frames = draw(scene)
        started = time.perf_counter()
        found = estimate_drift(frames, max_step_px=50)
        seconds = time.perf_counter() - started
        error = np.abs(np.diff(found.shifts - scene.drift, axis=0))
        results[name] = {
            "median_error_px": round(float(np.median(error)), 3),
            "largest_error_px": round(float(error.max()), 3),
            "total_after_11_steps_px": round(float(np.hypot(*(found.shifts[-1] - scene.drift[-1]))), 3),
            "seconds_per_mpx": round(seconds / (frames.size / 1e6), 3),
        }
    return results


def embryo(folder: Path) -> dict[str, Any]:
    """Follow the fly embryo of CellProfiler's example, from files to tracks, and its lineages as a picture."""
    source, export = SHARED / "timelapse-embryo", folder / "embryo"
    export.mkdir()
    for t, path in enumerate(sorted(source.glob("*.tif"))):
        # Colour pictures of one stain: green has it.
        tifffile.imwrite(export / f"A01_GFP_t{t:04d}.tif", tifffile.imread(path)[..., 1])
    recipe = folder / "embryo.toml"
    recipe.write_text(EMBRYO)
    lake = init_lake(folder / "lake")
    lake.ingest(
        export,
        study="fly",
        plate="embryo",
        pattern=r"(?P<well>A01)_(?P<channel>GFP)_t(?P<time>\d+)\.tif",
        pixel_size_um=0.2,
        plate_format=96,
    )
    started = time.perf_counter()
    done = lake.transform(study="fly", recipe=recipe, roles={"GFP": "DNA"}, workers=1)
    seconds = time.perf_counter() - started
    report = lake.tracks(study="fly", plate="embryo", picture=folder / "lineages.png", overlay=folder / "ways.png")
    whole = lake.sql("SELECT lineage_id FROM tracks GROUP BY 1 HAVING max(timepoint) - min(timepoint) = 20").to_arrow()
    return {
        **{name: report["fields"][0][name] for name in ("timepoints", "objects", "tracks", "divisions", "gaps")},
        "lineages_through_all_time_points": whole.num_rows,
        "transform_seconds": round(seconds, 1),
        "tracks_seconds": done["plates"][0]["seconds_of"].get("tracks"),
    }


def draw_pictures() -> None:
    """Draw what the documentation shows, from a small simulated field."""
    scene = make_scene(n_cells=12, n_timepoints=40, shape=(320, 480), step=2.5, cycle=25, seed=4)

    frames = draw(scene)
    drift = estimate_drift(frames, max_step_px=50)
    rows = track_field(
        scene.objects,
        TrackingSettings(objects="nuclei", max_distance_um=10),
        {"acquisition_id": 1, "well_id": "B02", "field_id": 1},
        pixel_size_um=0.65,
        time_interval_s=600,
        drift=drift,
    )
    title = "simulated B02 field 1: nuclei"
    (DOCS / "lineages.png").write_bytes(lineage_picture(rows, n_timepoints=40, title=title))
    last = drift.shifts[-1]
    (DOCS / "trajectories.png").write_bytes(
        trajectory_picture(rows, frames[-1], shift=(last[0], last[1]), timepoint=39, pixel_size_um=0.65, title=title)
    )


def summary(result: dict[str, Any]) -> str:
    """Lay out the figures as a table."""
    rows = []
    cases = {f"TrackMate {name.replace('_', ' ')}": one for name, one in result["trackmate"].items()}
    cases |= {f"tissue, {name}": one for name, one in result["tissue"].items()}
    cases |= {f"simulated, seed {k}": one for k, one in enumerate(result["simulated"]["rounds"])}
    for name, case in cases.items():
        for linker, one in case.items():
            links, found = one["links"], one.get("divisions") or {}
            rows.append(
                [name, linker, links["precision"], links["recall"], links["f1"], found.get("f1"), one["seconds"]]
            )
    header = ["case", "linker", "precision", "recall", "F1 of links", "F1 of divisions", "s"]
    return markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="simulated fields")
    parser.add_argument("--pictures", action="store_true", help="draw docs/images anew")
    arguments = parser.parse_args()
    if arguments.pictures:
        draw_pictures()
    # What is loaded and compiled at the first call is not what is measured.
    small = make_scene(n_cells=5, n_timepoints=4, shape=(100, 100))
    ours(
        np.column_stack([small.objects.y, small.objects.x]),
        small.objects.timepoint,
        small.objects.area,
        TrackingSettings(objects="nuclei"),
    )
    result = {
        "machine": machine(["cytolake", "laptrack", "scipy", "scikit-image"]),
        "trackmate": trackmate(),
        "tissue": tissue(),
        "simulated": simulated(arguments.rounds),
        "drift": drifting(),
    }
    with tempfile.TemporaryDirectory() as folder:
        result["embryo"] = embryo(Path(folder))
    write_result("tracking", result)
    print(summary(result))
    print({name: result[name] for name in ("drift", "embryo")})


if __name__ == "__main__":
    main()
