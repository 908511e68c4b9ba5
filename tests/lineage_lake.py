"""A small lake with everything that lineage knows: two plates from files to treatments, made without pixels.

Study ``pilot``, plates P1 and P2, wells A01 to A04 of one field each: A01 and A02 are controls, the others hold a
compound. ``nuclei@1`` has objects of two sets. ``plates@1`` are wells, normalised plate by plate on controls;
``whole@1`` starts from these and is fitted on the controls of the whole study.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from cytolake.schemas.tables import arrow_schema, feature_table_schema, profile_table_schema
from cytolake.store.commit import Commit
from cytolake.store.lineage import Run
from cytolake.store.registry import FeatureSet, ProfileSet, register, register_profiles
from cytolake.store.root import LakeRoot

STUDY = "pilot"
PLATES = ("P1", "P2")
WELLS = ("A01", "A02", "A03", "A04")
CONTROLS = ("A01", "A02")
OBJECTS = 3
CHANNELS = 2


@dataclass(frozen=True)
class Story:
    """What was made, and by which runs."""

    root: LakeRoot
    nuclei: FeatureSet
    plates: ProfileSet
    whole: ProfileSet
    runs: dict[str, str]


def records(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of a declared table; whatever is required and not given is 1 or a word."""
    schema = arrow_schema(table)
    usual = {one.name: 1 if pa.types.is_integer(one.type) else "x" for one in schema if not one.nullable}
    usual |= {one.name: 1.0 for one in schema if not one.nullable and pa.types.is_floating(one.type)}
    usual |= {one.name: False for one in schema if not one.nullable and pa.types.is_boolean(one.type)}
    return pa.Table.from_pylist([{**usual, **row} for row in rows], schema=schema)


def sha(*parts: object) -> str:
    """A hash that only looks like one."""
    import hashlib

    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def make(root: LakeRoot) -> Story:
    """Fill an empty lake."""
    runs: dict[str, str] = {}
    for plate in PLATES:
        runs[f"ingest {plate}"] = _ingest(root, plate)
    nuclei = None
    for plate in PLATES:
        runs[f"transform {plate}"], nuclei = _transform(root, plate)
    assert nuclei is not None
    plates, runs["plates"] = _profile(root, "plates", {"kind": "features", "hash": nuclei.hash}, "plate")
    whole, runs["whole"] = _profile(root, "whole", {"kind": "profiles", "hash": plates.hash, "level": "well"}, "study")
    return Story(root, nuclei, plates, whole, runs)


def _ingest(root: LakeRoot, plate: str) -> str:
    run = Run.start("ingest", study_id=STUDY, plate_ids=[plate])
    run.add_input("export", f"export of {plate}", sha256=sha("export", plate))
    key = {"study_id": STUDY, "plate_id": plate, "run_id": run.run_id}
    path = f"images/{STUDY}/{plate}.ome.zarr"
    images = []
    wells = []
    for column, well in enumerate(WELLS, 1):
        files = [
            {
                "file": f"Images/{plate}-{well}-ch{channel}.tiff",
                "page": 0,
                "channel_index": channel,
                "z": 0,
                "timepoint": 0,
                "status": "ok",
                "bytes": 1000,
                "sha256": sha(plate, well, channel),
            }
            for channel in range(CHANNELS)
        ]
        where = {**key, "well_id": well, "field_id": 1, "acquisition_id": 1}
        images.append({**where, "path": f"{path}/A/{column:02}/a1f1", "dtype": "uint16", "source_files": files})
        control = well in CONTROLS
        wells.append(
            {
                **key,
                "well_id": well,
                "row": 1,
                "column": column,
                "perturbation": "DMSO" if control else "inflatin",
                "concentration_um": None if control else 10.0,
                "control_type": "negative_vehicle" if control else "treatment",
            }
        )
    with Commit(root, run_id=run.run_id, app_id=f"ingest/{plate}") as commit:
        commit.append("plates", records("plates", [{**key, "path": path, "fingerprint": "f" * 64, "status": "ok"}]))
        commit.append("images", records("images", images))
        commit.append("wells", records("wells", wells))
        commit.append("runs", run.record("ok"))
        commit.commit()
    return run.run_id


def _transform(root: LakeRoot, plate: str) -> tuple[str, FeatureSet]:
    run = Run.start("transform", study_id=STUDY, plate_ids=[plate])
    definition = {"objects": {"nuclei": {"from": None}, "cells": {"from": "nuclei"}}, "features": {"AreaShape": 1}}
    made = register(root, "nuclei", definition, recipe_text='name = "nuclei"', run_id=run.run_id)
    key = {"study_id": STUDY, "plate_id": plate}
    identity = [
        {**key, "acquisition_id": 1, "well_id": well, "field_id": 1, "timepoint": 0, "object_id": number}
        for well in WELLS
        for number in range(1, OBJECTS + 1)
    ]
    quality = [{**one, "metric": "Count", "value": 3.0, "verdict": None} for one in identity[::OBJECTS]]
    with Commit(root, run_id=run.run_id, app_id=f"transform/{plate}") as commit:
        made.add_to(commit)
        for object_set, prefix in (("nuclei", "Nuclei"), ("cells", "Cells")):
            column = f"{prefix}_AreaShape_Area"
            parent = {} if object_set == "nuclei" else {"parent_id": 1}
            rows = [{**one, **parent, "run_id": run.run_id, column: 5.0} for one in identity]
            if parent:
                rows = [{**row, "parent_id": row["object_id"]} for row in rows]
            data = pa.Table.from_pylist(rows, schema=feature_table_schema([column]))
            commit.replace(made.set.table(object_set), key, data)
        marked = [{**one, "feature_set_hash": made.set.hash, "run_id": run.run_id} for one in quality]
        names = set(arrow_schema("quality").names)
        commit.append("quality", records("quality", [{k: v for k, v in one.items() if k in names} for one in marked]))
        commit.append("runs", run.record("ok"))
        commit.commit()
    return run.run_id, made.set


def _profile(root: LakeRoot, name: str, source: dict[str, Any], scope: str) -> tuple[ProfileSet, str]:
    run = Run.start("profile", study_id=STUDY, plate_ids=PLATES)
    run.add_input("recipe", name)
    run.add_input("table", "wells", version=root.tables.version("wells"))
    definition = {
        "source": source,
        "aggregate": {"method": "median", "objects": ["nuclei"]},
        "steps": [{"operator": "robust_z", "fit": scope, "on": "controls"}],
        "consensus": {"by": ["perturbation", "concentration_um"], "method": "median"},
    }
    made = register_profiles(
        root, name, definition, levels=["well", "treatment"], recipe_text=f'name = "{name}"', run_id=run.run_id
    )
    units = [f"{STUDY}/{plate}" for plate in PLATES] if scope == "plate" else [STUDY]
    fits = [
        {
            "profile_set": made.set.label,
            "profile_set_hash": made.set.hash,
            "fit_version": 1,
            "step": 0,
            "unit": unit,
            "study_id": STUDY,
            "plate_id": unit.partition("/")[2] or None,
            "operator": "robust_z",
            "settings": "{}",
            "controls": [
                f"{plate}/{well}" for plate in PLATES if unit in (STUDY, f"{STUDY}/{plate}") for well in CONTROLS
            ],
            "run_id": run.run_id,
        }
        for unit in units
    ]
    same = {"study_id": STUDY, "fit_version": 1, "run_id": run.run_id, "Nuclei_AreaShape_Area": 1.0}
    schema = profile_table_schema(["Nuclei_AreaShape_Area"], level="well")
    with Commit(root, run_id=run.run_id, app_id=f"profile/{name}") as commit:
        made.add_to(commit)
        commit.append("profile_fits", records("profile_fits", fits))
        for plate in PLATES:
            of_plate = {**same, "plate_id": plate, "acquisition_id": 1, "timepoint": 0, "n_objects": OBJECTS}
            rows = pa.Table.from_pylist([{**of_plate, "well_id": well} for well in WELLS], schema=schema)
            commit.replace(made.set.table("well"), {"study_id": STUDY, "plate_id": plate}, rows)
        treatments = [
            {**same, "treatment": treatment, "n_wells": 4, "n_plates": 2} for treatment in ("DMSO", "inflatin | 10")
        ]
        of_treatments = profile_table_schema(["Nuclei_AreaShape_Area"], level="treatment")
        commit.replace(
            made.set.table("treatment"), {"study_id": STUDY}, pa.Table.from_pylist(treatments, schema=of_treatments)
        )
        commit.append("runs", run.record("ok"))
        commit.commit()
    return made.set, run.run_id


def bring_in(root: LakeRoot, *, plate: str = "P7") -> ProfileSet:
    """Commit profiles that were made elsewhere, of a plate without images."""
    run = Run.start("import", study_id=STUDY, plate_ids=[plate])
    run.add_input("file", "profiles.csv.gz", sha256=sha("profiles.csv.gz"), detail=json.dumps({"rows": 2}))
    definition = {
        "imported": {"dialect": "pycytominer", "name": "jump", "mapping": sha("mapping"), "pipeline": None},
        "levels": ["well"],
    }
    made = register_profiles(root, "jump", definition, levels=["well"], recipe_text=None, run_id=run.run_id)
    key = {"study_id": STUDY, "plate_id": plate, "run_id": run.run_id}
    schema = profile_table_schema(["Cells_AreaShape_Area"], level="well")
    rows = [
        {**key, "acquisition_id": 1, "timepoint": 0, "well_id": well, "Cells_AreaShape_Area": 1.0} for well in WELLS[:2]
    ]
    with Commit(root, run_id=run.run_id, app_id="import") as commit:
        made.add_to(commit)
        plates = pa.Table.from_pylist(
            [{**key, "n_rows": 8, "n_columns": 12, "status": "no_images"}], schema=arrow_schema("plates")
        )
        commit.append("plates", plates)
        commit.append(made.set.table("well"), pa.Table.from_pylist(rows, schema=schema))
        commit.append("runs", run.record("ok"))
        commit.commit()
    return made.set
