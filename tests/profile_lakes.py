"""Lakes with objects on plates, made without pixels: what profiles start from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cytolake.lake import Lake, init_lake, open_lake
from cytolake.schemas.identifiers import format_well, parse_well
from cytolake.schemas.tables import arrow_schema, feature_table_schema, profile_table_schema
from cytolake.store.commit import Commit
from cytolake.store.lineage import Run
from cytolake.store.registry import register, register_profiles

FEATURES = (
    "Nuclei_AreaShape_Area",
    "Nuclei_AreaShape_Eccentricity",
    "Nuclei_Intensity_MeanIntensity_DNA",
    "Nuclei_Intensity_MeanIntensity_ER",
    "Nuclei_Texture_Entropy_DNA",
)
CONTROL: dict[str, Any] = {"control_type": "negative_vehicle", "perturbation": "DMSO"}
PLATE_WELLS = tuple(format_well(row, column) for row in range(1, 5) for column in range(1, 7))


def treated(number: int) -> dict[str, Any]:
    """What a well holds that is no control."""
    return {
        "control_type": "treatment",
        "perturbation": f"cpd-{number}",
        "compound": f"cpd-{number}",
        "concentration_um": 1.0,
    }


def plate_map(*, controls: int = 6, wells: Sequence[str] = PLATE_WELLS) -> dict[str, dict[str, Any]]:
    """The first wells are controls, the others hold compounds, each in two wells."""
    return {well: CONTROL if at < controls else treated((at - controls) // 2) for at, well in enumerate(wells)}


@dataclass
class ProfileLake:
    """A lake that tests fill with plates of objects, or of wells."""

    lake: Lake

    @classmethod
    def make(cls, folder: Path) -> ProfileLake:
        return cls(init_lake(folder))

    def copy(self, folder: Path) -> ProfileLake:
        """Copy the lake, for a test to change."""
        shutil.copytree(self.lake.root.url, folder)
        return ProfileLake(open_lake(folder))

    def annotate(self, study: str, plate: str, wells: Mapping[str, Mapping[str, Any]], **of_plate: Any) -> None:
        """Write a plate and its wells; a value of ``attributes`` is a dictionary."""
        root = self.lake.root
        key = {"study_id": study, "plate_id": plate}
        run = Run.start("annotate", study_id=study, plate_ids=[plate])
        common = {**key, "run_id": run.run_id}
        rows = []
        for well, facts in wells.items():
            row, column = parse_well(well)
            rows.append(
                {
                    **common,
                    "well_id": well,
                    "row": row,
                    "column": column,
                    "n_perturbations": 0,
                    "excluded": False,
                    **facts,
                    "attributes": list(facts.get("attributes", {}).items()),
                }
            )
        plates = {**common, "n_rows": 8, "n_columns": 12, "status": "no_images", **of_plate}
        studies = {"study_id": study, "title": study, "run_id": run.run_id}
        with Commit(root, run_id=run.run_id, app_id=f"annotate/{study}/{plate}") as commit:
            commit.replace("studies", {"study_id": study}, pa.Table.from_pylist([studies], arrow_schema("studies")))
            commit.replace("plates", key, pa.Table.from_pylist([plates], arrow_schema("plates")))
            commit.replace("wells", key, pa.Table.from_pylist(rows, arrow_schema("wells")))
            commit.append("runs", run.record("ok"))
            commit.commit()

    def objects(
        self,
        study: str,
        plate: str,
        values: Mapping[str, np.ndarray],
        *,
        features: Sequence[str] = FEATURES,
        empty: Sequence[str] = (),
        name: str = "nuclei",
        object_set: str = "nuclei",
    ) -> str:
        """Write the objects of a plate: well → (objects, features), NaN where not defined; return the set's label.

        Wells of ``empty`` were looked at, and hold no object.
        """
        root = self.lake.root
        key = {"study_id": study, "plate_id": plate}
        run = Run.start("transform", study_id=study, plate_ids=[plate])
        definition = {"objects": {object_set: {}}, "of": name}
        registration = register(root, name, definition, recipe_text="", run_id=run.run_id)
        where = {**key, "acquisition_id": 1, "field_id": 1, "timepoint": 0, "run_id": run.run_id}
        rows = [
            {**where, "well_id": well, "object_id": number, **_named(features, one)}
            for well, objects in values.items()
            for number, one in enumerate(objects, 1)
        ]
        quality = [
            {**where, "well_id": well, "metric": "Count", "value": float(len(values.get(well, ())))}
            | {"feature_set": registration.set.label, "feature_set_hash": registration.set.hash}
            for well in [*values, *empty]
        ]
        dictionary = [
            {
                "feature_set_hash": registration.set.hash,
                "object_set": object_set,
                "column": one,
                "family": one.split("_")[1],
                "operator": one.split("_")[2],
                "run_id": run.run_id,
            }
            for one in features
        ]
        with Commit(root, run_id=run.run_id, app_id=f"transform/{study}/{plate}") as commit:
            registration.add_to(commit)
            table = pa.Table.from_pylist(rows, feature_table_schema(features))
            commit.replace(registration.set.table(object_set), key, table)
            commit.replace("quality", key, pa.Table.from_pylist(quality, arrow_schema("quality")))
            same = ["feature_set_hash", "object_set", "column"]
            dictionary_rows = pa.Table.from_pylist(dictionary, arrow_schema("feature_dictionary"))
            commit.insert("feature_dictionary", dictionary_rows, on=same, same=same)
            commit.append("runs", run.record("ok"))
            commit.commit()
        return registration.set.label

    def wells(
        self,
        study: str,
        plate: str,
        values: Mapping[str, Sequence[float | None]],
        *,
        features: Sequence[str],
        name: str = "made-elsewhere",
    ) -> str:
        """Write wells that were measured elsewhere; return the profile set's label."""
        rows = [{"well_id": well, **dict(zip(features, one, strict=True))} for well, one in values.items()]
        return self._import(study, plate, rows, features, name=name, level="well")

    def fields(
        self,
        study: str,
        plate: str,
        values: Mapping[str, np.ndarray],
        counts: Mapping[str, np.ndarray],
        *,
        features: Sequence[str],
        name: str = "fields-made-elsewhere",
    ) -> str:
        """Write fields that were measured elsewhere: well → (fields, features), and the cells of each field."""
        rows = [
            {"well_id": well, "field_id": number, "Count_Cells": float(count)} | _named(features, one)
            for well, fields in values.items()
            for number, (one, count) in enumerate(zip(fields, counts[well], strict=True), 1)
        ]
        return self._import(study, plate, rows, ["Count_Cells", *features], name=name, level="field")

    def _import(
        self, study: str, plate: str, rows: list[dict[str, Any]], features: Sequence[str], *, name: str, level: str
    ) -> str:
        root = self.lake.root
        key = {"study_id": study, "plate_id": plate}
        run = Run.start("import", study_id=study, plate_ids=[plate])
        made = {"dialect": "wide", "name": name, "mapping": None, "pipeline": None}
        imported = {"imported": made, "levels": [level]}
        registration = register_profiles(root, name, imported, levels=[level], recipe_text=None, run_id=run.run_id)
        where = {**key, "acquisition_id": 1, "timepoint": 0, "run_id": run.run_id}
        table = pa.Table.from_pylist([where | row for row in rows], profile_table_schema(features, level=level))
        with Commit(root, run_id=run.run_id, app_id=f"import/{study}/{plate}") as commit:
            registration.add_to(commit)
            commit.replace(registration.set.table(level), key, table)
            commit.append("runs", run.record("ok"))
            commit.commit()
        return registration.set.label

    def plate(
        self,
        study: str,
        plate: str,
        *,
        seed: int,
        wells: Mapping[str, Mapping[str, Any]] | None = None,
        features: Sequence[str] = FEATURES,
        per_well: int = 20,
        missing: float = 0.0,
        **of_plate: Any,
    ) -> str:
        """Write a plate with its map and random objects, of which a fraction of values is missing."""
        known = plate_map() if wells is None else wells
        self.annotate(study, plate, known, **of_plate)
        values = objects_of(known, seed=seed, n_features=len(features), per_well=per_well, missing=missing)
        return self.objects(study, plate, values, features=features)


def objects_of(
    wells: Mapping[str, Mapping[str, Any]], *, seed: int, n_features: int, per_well: int = 20, missing: float = 0.0
) -> dict[str, np.ndarray]:
    """Random objects: each feature with its own scale, each plate with its own offset, each compound with an effect."""
    random = np.random.default_rng(seed)
    scale = 10.0 ** np.arange(n_features)
    offset = random.normal(5, 1, n_features)
    found = {}
    for well, facts in wells.items():
        effect = (int(facts["compound"].split("-")[1]) if facts.get("compound") else 0) / 4
        values = (random.normal(0, 1, (per_well, n_features)) + offset + effect) * scale
        values[random.random(values.shape) < missing] = np.nan
        found[well] = values.astype(np.float32)
    return found


def _named(features: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {name: None if np.isnan(one) else float(one) for name, one in zip(features, values, strict=True)}
