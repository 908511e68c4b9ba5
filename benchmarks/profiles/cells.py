"""Cells that were never seen, on plates that never were: the same rows as a lake and as files of Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cytolake import init_lake
from cytolake.schemas.identifiers import format_well
from cytolake.schemas.tables import arrow_schema, class_schema
from cytolake.store.commit import Commit
from cytolake.store.registry import register
from cytolake.store.root import LakeRoot
from cytolake.transforms.profiles.blocklist import PUBLISHED

STUDY, OBJECTS = "bench", "cells"
ROWS, COLUMNS = 16, 24
#: Every eighth well is a control.
CONTROL, EVERY = "negative_vehicle", 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of it."""

    cells: int = 200_000
    features: int = 500
    plates: int = 4

    @property
    def names(self) -> list[str]:
        """Names of the features; one of forty is on the blocklist."""
        return [
            PUBLISHED[k // 40] if k % 40 == 5 and k // 40 < len(PUBLISHED) else f"Cells_Texture_Feature{k}_DNA"
            for k in range(self.features)
        ]


def wells_of(plate: int) -> list[dict[str, Any]]:
    """Every well of a plate, and what was done to it."""
    places = [(row, column) for row in range(1, ROWS + 1) for column in range(1, COLUMNS + 1)]
    return [
        {
            "study_id": STUDY,
            "plate_id": f"P{plate + 1}",
            "well_id": format_well(row, column),
            "row": row,
            "column": column,
            "control_type": CONTROL if k % EVERY == 0 else None,
            "perturbation": "DMSO" if k % EVERY == 0 else f"compound-{k % 96:02}",
            "n_perturbations": 1,
            "excluded": False,
        }
        for k, (row, column) in enumerate(places)
    ]


def cells_of(plate: int, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Give the number of the well of each cell, and features float64 of shape (features, cells).

    Features come in families that share factors, so that many are correlated; some are skewed, some count something
    (and have a MAD of 0 where most cells have the same), some lack values in one cell of fifty.
    """
    rng = np.random.default_rng([7, plate])
    n = size.cells // size.plates
    wells = np.sort(rng.choice(ROWS * COLUMNS, n, p=rng.dirichlet(np.full(ROWS * COLUMNS, 12.0))))
    effects = rng.normal(0, 0.5, (ROWS * COLUMNS, 60))
    factors = (rng.normal(size=(n, 60)) + effects[wells]).T
    values = np.empty((size.features, n))
    for k in range(size.features):
        kind = np.random.default_rng([11, k])  # the same on every plate
        noise = kind.uniform(0.05, 2.0)
        column = factors[k % 60] + noise * rng.normal(size=n)
        values[k] = kind.uniform(1, 200) + kind.uniform(0.1, 30) * column
        if k % 25 == 3:
            values[k] = np.exp(column)
        if k % 80 == 7:
            values[k] = np.maximum(np.round(column - 3), 0)
        if k % 50 == 11:
            values[k, rng.random(n) < 0.02] = np.nan
    return wells, values


def make(folder: Path, size: Size) -> None:
    """Write ``lake`` and ``P1.parquet``, ... and ``wells.parquet`` into a folder."""
    lake = init_lake(folder / "lake")
    root = lake.root
    every = [well for plate in range(size.plates) for well in wells_of(plate)]
    pq.write_table(pa.Table.from_pylist(every), folder / "wells.parquet")
    for plate in range(size.plates):
        numbers, values = cells_of(plate, size)
        wells = wells_of(plate)
        names = pa.array([well["well_id"] for well in wells]).take(pa.array(numbers))
        columns = {name: pa.array(values[k], from_pandas=True) for k, name in enumerate(size.names)}
        metadata = {"Metadata_Plate": pa.repeat(f"P{plate + 1}", len(numbers)), "Metadata_Well": names}
        pq.write_table(pa.table({**metadata, **columns}), folder / f"P{plate + 1}.parquet")
        _commit(root, f"P{plate + 1}", wells, names, columns)


def _commit(root: LakeRoot, plate_id: str, wells: list[dict[str, Any]], names: Any, columns: dict[str, Any]) -> None:
    run_id = f"bench-{plate_id}"
    key = {"study_id": STUDY, "plate_id": plate_id}
    n = len(names)
    identity = class_schema("ObjectRow")
    given = {
        **{name: pa.repeat(value, n) for name, value in key.items()},
        "acquisition_id": pa.repeat(1, n),
        "well_id": names,
        "field_id": pa.repeat(1, n),
        "timepoint": pa.repeat(0, n),
        "object_id": pa.array(np.arange(1, n + 1)),
        "run_id": pa.repeat(run_id, n),
    }
    rows = pa.table(
        [given[f.name].cast(f.type) if f.name in given else pa.nulls(n, f.type) for f in identity], schema=identity
    )
    for name, column in columns.items():
        rows = rows.append_column(pa.field(name, pa.float64()), column)
    found = register(root, "bench", {"objects": {OBJECTS: {}}}, recipe_text=None, run_id=run_id)
    with Commit(root, run_id=run_id, app_id=f"bench/{plate_id}") as commit:
        if found.is_new:
            found.add_to(commit)
            commit.append("studies", _rows("studies", [{"study_id": STUDY, "title": "A study", "run_id": run_id}]))
        plate = {**key, "n_rows": ROWS, "n_columns": COLUMNS, "status": "no_images", "run_id": run_id}
        commit.replace("plates", key, _rows("plates", [plate]))
        commit.replace("wells", key, _rows("wells", [{**well, "run_id": run_id} for well in wells]))
        commit.replace(found.set.table(OBJECTS), key, rows)
        commit.commit()


def _rows(table: str, records: list[dict[str, Any]]) -> pa.Table:
    schema = arrow_schema(table)
    return pa.Table.from_pylist([{name: one.get(name) for name in schema.names} for one in records], schema=schema)
