"""Lakes of any number of plates, made through the store as ingest and transform make them, but without pixels.

20 studies, 300 features of one object set, one feature file per plate with one object in each of 384 wells (files are
small, so that 10,000 of them fit on a disk: what is measured is how the number of files tells). ``plates``, ``wells``,
``images`` and ``perturbations`` have a file per study, as after ``cytolake maintain``. Compounds lie on four replicate
plates of a study, and two studies share a library. In every
second study one plate in a hundred has a well that is excluded.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cytolake import init_lake
from cytolake.schemas.identifiers import format_well
from cytolake.schemas.tables import arrow_schema, feature_table_schema
from cytolake.store.commit import Commit
from cytolake.store.datafiles import DataFile, write_data_file
from cytolake.store.registry import register
from cytolake.store.root import LakeRoot, open_root

STUDIES, FEATURES, REPLICATES = 20, 300, 4
OBJECTS = "cells"
ROWS, COLUMNS = 16, 24
WELLS = [(row, column) for row in range(1, ROWS + 1) for column in range(1, COLUMNS + 1)]
NAMES = tuple(f"Cells_Texture_Feature{k:03}_DNA" for k in range(FEATURES))
#: In studies of odd numbers one plate in this many has an excluded well.
EXCLUDED_EVERY = 100


@dataclass(frozen=True, slots=True)
class Size:
    """How many plates, spread over the studies."""

    plates: int

    @property
    def per_study(self) -> int:
        """Plates of each study."""
        return self.plates // STUDIES


def study(number: int) -> str:
    """Return the name of a study."""
    return f"study{number:02}"


def plate(number: int) -> str:
    """Return the name of a plate; each study has its own."""
    return f"P{number:05}"


def compound(study_number: int, plate_number: int, well: int, size: Size) -> str | None:
    """Return what is in a well: nothing in every eighth, else a compound of the library of its pair of studies."""
    if well % 8 == 0:
        return None
    libraries = max(size.per_study // REPLICATES, 1)
    return f"cpd-{study_number // 2:02}-{plate_number % libraries:04}-{well:03}"


def make(folder: Path, size: Size, *, processes: int = 2) -> LakeRoot:
    """Make a lake in an absent folder, or return the one that was made there."""
    if (folder / "made").exists():
        return open_root(folder / "lake")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    root = init_lake(folder / "lake").root
    definition = {"objects": {OBJECTS: {}}, "measure": {"features": FEATURES}}
    registration = register(root, "bench", definition, recipe_text=None, run_id="run-0000")
    table = registration.set.table(OBJECTS)
    with Commit(root, run_id="run-0000", app_id="bench/register") as commit:
        registration.add_to(commit)
        commit.commit()
    schema = feature_table_schema(NAMES)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for number in range(STUDIES):
            work = [(str(folder / "lake"), table, number, k) for k in range(size.per_study)]
            files = list(pool.map(_write_features, work, chunksize=max(len(work) // 8, 1)))
            _commit_study(root, table, number, size, files, schema)
    for name in root.tables.names():
        root.tables.open(name).create_checkpoint()
    (folder / "made").touch()
    return root


def _write_features(work: tuple[str, str, int, int]) -> DataFile:
    url, table, number, k = work
    return write_data_file(open_root(url).storage, table, features(number, k))


def features(study_number: int, plate_number: int) -> pa.Table:
    """Return the objects of one plate: one in each well, 300 float32 features of which the first is its number."""
    n = len(WELLS)
    values = np.random.default_rng([study_number, plate_number]).normal(size=(FEATURES, n)).astype(np.float32)
    values[0] = np.arange(n)
    schema = feature_table_schema(NAMES)
    given: dict[str, Any] = {
        **_same(n, study_id=study(study_number), plate_id=plate(plate_number), run_id=_run(study_number)),
        **_same(n, acquisition_id=1, field_id=1, timepoint=0),
        "well_id": [format_well(*place) for place in WELLS],
        "object_id": np.arange(1, n + 1),
        **dict(zip(NAMES, values, strict=True)),
    }
    return _table(schema, given, n)


def _commit_study(
    root: LakeRoot, table: str, number: int, size: Size, files: list[DataFile], schema: pa.Schema
) -> None:
    run = _run(number)
    with Commit(root, run_id=run, app_id=f"bench/{study(number)}") as commit:
        commit.append("studies", _table(arrow_schema("studies"), {"study_id": [study(number)], "run_id": [run]}, 1))
        for name in ("plates", "wells", "images", "perturbations", "current_sets"):
            made = pa.concat_tables(_rows_of(name, root, number, size)).combine_chunks()
            commit.append(name, made)
        commit.replace_files(table, {"study_id": study(number)}, files, schema)
        commit.commit()


def _rows_of(name: str, root: LakeRoot, number: int, size: Size) -> Iterator[pa.Table]:
    schema, same = arrow_schema(name), {"study_id": study(number), "run_id": _run(number)}
    if name == "current_sets":
        from cytolake.store.registry import resolve

        one = resolve(root, "bench")
        yield _table(schema, _same(1, **same, kind="features", part=OBJECTS, label=one.label, hash=one.hash), 1)
        return
    n = len(WELLS)
    for k in range(size.per_study):
        compounds = [compound(number, k, well, size) for well in range(n)]
        if name == "plates":
            facts = _same(1, **same, plate_id=plate(k), n_rows=ROWS, n_columns=COLUMNS, n_wells=n, n_fields=n)
            yield _table(schema, facts | _same(1, path=f"images/{plate(k)}", fingerprint="f", status="ok"), 1)
        elif name == "perturbations" and k < max(size.per_study // REPLICATES, 1):
            names = [one for one in compounds if one is not None]
            facts = {**_same(len(names), **same, type="compound"), "perturbation_id": names, "compound": names}
            yield _table(schema, facts | {"name": names, "inchikey": [f"KEY-{one}" for one in names]}, len(names))
        elif name == "wells":
            out = np.zeros(n, bool)
            out[7] = number % 2 == 1 and k % EXCLUDED_EVERY == 4
            facts = {
                **_same(n, **same, plate_id=plate(k), n_perturbations=1),
                "well_id": [format_well(*place) for place in WELLS],
                "row": [row for row, _ in WELLS],
                "column": [column for _, column in WELLS],
                "perturbation": [one or "DMSO" for one in compounds],
                "compound": compounds,
                "control_type": ["negative_vehicle" if one is None else "treatment" for one in compounds],
                "excluded": out,
                "exclusion_reason": pc.if_else(pa.array(out), "dust", pa.scalar(None, pa.string())),
            }
            yield _table(schema, facts, n)
        elif name == "images":
            sizes = {"height": 1080, "width": 1080, "pixel_size_x_um": 0.65, "pixel_size_y_um": 0.65}
            counts = {"n_timepoints": 1, "n_channels": 5, "n_z_planes": 1, "n_planes": 5}
            facts = _same(n, **same, plate_id=plate(k), acquisition_id=1, field_id=1, dtype="uint16", **sizes, **counts)
            wells = [format_well(*place) for place in WELLS]
            yield _table(schema, facts | {"well_id": wells, "path": [f"{plate(k)}/{one}" for one in wells]}, n)


def _same(n: int, **values: Any) -> dict[str, Any]:
    return {name: pa.repeat(value, n) for name, value in values.items()}


#: What required columns hold that no question asks for.
_FILL: dict[str, Any] = {"title": "A study", "n_missing_planes": 0, "n_corrupt_planes": 0, "source_files": []}


def _table(schema: pa.Schema, given: dict[str, Any], n: int) -> pa.Table:
    def column(field: pa.Field[Any]) -> Any:
        if field.name in given:
            values = given[field.name]
            return (values if isinstance(values, pa.Array) else pa.array(values)).cast(field.type)
        if field.nullable:
            return pa.nulls(n, field.type)
        return pa.array([_FILL[field.name]] * n, field.type)

    return pa.table([column(field) for field in schema], schema=schema)


def _run(number: int) -> str:
    return f"run-{number + 1:04}"
