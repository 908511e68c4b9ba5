"""Data sets for training: 17,280 wells of 1,000 features with labels as of a date; and objects by the million.

Each build runs in a process of its own, whose peak memory is told.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cytolake import init_lake
from cytolake.schemas.identifiers import format_well
from cytolake.schemas.tables import arrow_schema, feature_table_schema, profile_table_schema
from cytolake.store.commit import Commit
from cytolake.store.registry import register, register_profiles

ROWS, COLUMNS = 16, 24
WELLS = [(row, column) for row in range(1, ROWS + 1) for column in range(1, COLUMNS + 1)]
PLATES, FEATURES = 45, 1000
OBJECT_PLATES, OBJECT_FEATURES, PER_WELL = 40, 100, 326
CLASSES = 12
SPEC: dict[str, Any] = {
    "name": "wells",
    "entities": {"level": "well", "source": "profiles"},
    "labels": [{"vocabulary": "phenotype", "as_of": "2026-03-01", "conflicts": "majority", "missing": "keep"}],
    "split": {"by": "compound", "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}, "missing": "train"},
}
OBJECT_SPEC: dict[str, Any] = {
    "name": "objects",
    "entities": {"level": "object", "source": "cells"},
    "labels": [{"name": "mechanism", "attribute": "mechanism"}],
    "split": {"by": "plate", "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}, "assign": "exact"},
}


def make(folder: Path, *, objects: bool = False) -> Path:
    """Make a lake in an absent folder: 45 plates of profiles, or 40 plates with five million objects."""
    if (folder / "made").exists():
        return folder / "lake"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    root = init_lake(folder / "lake").root
    random = np.random.default_rng(7)
    names = [f"Cells_Texture_Feature{k:04}_DNA" for k in range(OBJECT_FEATURES if objects else FEATURES)]
    if objects:
        made: Any = register(root, "bench", {"objects": {"cells": {}}}, recipe_text=None, run_id="run")
        table, schema = made.set.table("cells"), feature_table_schema(names)
    else:
        made = register_profiles(root, "bench", {"steps": []}, levels=["well"], recipe_text=None, run_id="run")
        table, schema = made.set.table("well"), profile_table_schema(names, level="well")
    for number in range(OBJECT_PLATES if objects else PLATES):
        plate = f"P{number:03}"
        key = {"study_id": "bench", "plate_id": plate}
        with Commit(root, run_id=f"run{number:03}", app_id=f"bench/{plate}") as commit:
            if number == 0:
                made.add_to(commit)
                commit.append("studies", _table("studies", [{"study_id": "bench", "title": "Bench", "run_id": "run"}]))
            commit.append("plates", _table("plates", [_plate(key)]))
            commit.append("wells", _table("wells", [_well(key, at, number) for at in range(len(WELLS))]))
            if not objects:
                commit.append("labels", _table("labels", list(_labels(key, number))))
            repeat = PER_WELL if objects else 1
            count = len(WELLS) * repeat
            values = random.normal(size=(len(names), count)).astype(np.float32 if objects else np.float64)
            facts = {
                **{name: pa.array([value] * count) for name, value in {**key, "run_id": f"run{number:03}"}.items()},
                **{name: np.full(count, value) for name, value in (("acquisition_id", 1), ("timepoint", 0))},
                "field_id": np.ones(count) if objects else pa.nulls(count, pa.int32()),
                "well_id": [format_well(*place) for place in WELLS for _ in range(repeat)],
                "object_id": np.tile(np.arange(1, repeat + 1), len(WELLS)),
                **dict(zip(names, values, strict=True)),
            }
            columns = [
                pa.array(facts[one.name]).cast(one.type) if one.name in facts else pa.nulls(count, one.type)
                for one in schema
            ]
            commit.append(table, pa.Table.from_arrays(columns, schema=schema))
            commit.commit()
    (folder / "made").touch()
    return folder / "lake"


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=arrow_schema(name))


def _plate(key: dict[str, str]) -> dict[str, Any]:
    return {**key, "n_rows": ROWS, "n_columns": COLUMNS, "status": "no_images", "run_id": "run"}


def _well(key: dict[str, str], at: int, plate: int) -> dict[str, Any]:
    row, column = WELLS[at]
    control = at % 16 == 0
    compound = "DMSO" if control else f"cpd-{(plate // 3) * 360 + at:05}"
    return {
        **key,
        "well_id": format_well(row, column),
        "row": row,
        "column": column,
        "n_perturbations": 1,
        "compound": compound,
        "control_type": "negative_vehicle" if control else "treatment",
        "excluded": at == 7,
        "attributes": [("mechanism", f"m{at % CLASSES}")],
        "run_id": "run",
    }


def _labels(key: dict[str, str], plate: int) -> Any:
    for at, place in enumerate(WELLS):
        for who, month in (("anna", 1), ("ben", 2), ("cleo", 5)):
            value = f"class{(at + (plate * at + month) % 17 // 16) % CLASSES}"
            when = datetime(2026, month, 1, tzinfo=UTC)
            facts = {"vocabulary": "phenotype", "value": value, "annotator": who, "annotated_at": when}
            yield {**key, "well_id": format_well(*place), **facts, "run_id": "run"}


def build(lake: Path, output: Path, spec: dict[str, Any], format: str) -> dict[str, Any]:
    """Build in a process of its own; return its seconds, peak memory in MB, rows and hash."""
    code = "import sys; from benchmarks.catalog import datasets; datasets.child(*sys.argv[1:])"
    shutil.rmtree(output, ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, str(lake), str(output), json.dumps(spec), format]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(ran.stdout.splitlines()[-1])


def child(lake: str, output: str, spec: str, format: str) -> None:
    """Build once and print how it went."""
    from cytolake import open_lake

    opened = open_lake(lake)
    first = time.perf_counter()
    made = opened.build_dataset(json.loads(spec), output, format=format)
    seconds = time.perf_counter() - first
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"seconds": round(seconds, 2), "peak_mb": round(peak), "rows": sum(made["splits"].values())}
    print(json.dumps({**told, "mb": round(made["bytes"] / 2**20), "sha256": made["sha256"]}))


def run(scratch: Path, *, rounds: int = 3, objects: bool = False) -> dict[str, Any]:
    """Return the median of some builds of each format; of objects where they are asked for, of Parquet alone."""
    lake = make(scratch / ("dataset-objects" if objects else "dataset-wells"), objects=objects)
    found: dict[str, Any] = {}
    for format in ("parquet",) if objects else ("parquet", "numpy", "anndata"):
        turns = [build(lake, scratch / "dataset", OBJECT_SPEC if objects else SPEC, format) for _ in range(rounds)]
        assert len({one["sha256"] for one in turns}) == 1
        turns.sort(key=lambda one: one["seconds"])
        found[format] = turns[len(turns) // 2]
    return found


if __name__ == "__main__":
    from ..exports import SCRATCH

    print(json.dumps(run(SCRATCH, objects="objects" in sys.argv[1:]), indent=2))
