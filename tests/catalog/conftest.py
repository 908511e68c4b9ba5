"""A lake with two studies, made without pixels: what the catalog sees is tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.catalog import Catalog
from cytolake.schemas.tables import arrow_schema, class_schema, feature_table_schema, profile_table_schema
from cytolake.store.commit import Commit
from cytolake.store.registry import register, register_profiles
from cytolake.store.root import LakeRoot, init_root, open_root

DEFAULTS: dict[str, Any] = {
    "run_id": "r1",
    "row": 1,
    "column": 1,
    "n_perturbations": 0,
    "excluded": False,
    "n_rows": 8,
    "n_columns": 12,
    "path": "images/x.ome.zarr",
    "fingerprint": "f",
    "status": "ok",
    "title": "A study",
}


def rows(table: str, *records: Mapping[str, Any]) -> pa.Table:
    """Rows of a declared table; required columns that are not given get a value."""
    schema = arrow_schema(table)
    filled = [{name: record.get(name, DEFAULTS.get(name)) for name in schema.names} for record in records]
    return pa.Table.from_pylist(filled, schema=schema)


@dataclass
class TableLake:
    """A lake that tests fill with rows."""

    root: LakeRoot
    commits: int = 0

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.root)

    def put(self, table: str, *records: Mapping[str, Any], key: Mapping[str, Any] | None = None) -> None:
        self.commits += 1
        with Commit(self.root, run_id=f"r{self.commits}", app_id=f"test/{self.commits}") as commit:
            if key is None:
                commit.append(table, rows(table, *records))
            else:
                commit.replace(table, key, rows(table, *records))
            commit.commit()

    def wells(self, study: str, plate: str, wells: Mapping[str, Mapping[str, Any]]) -> None:
        key = {"study_id": study, "plate_id": plate}
        self.put("plates", {**key}, key=key)
        self.put("wells", *({**key, "well_id": well, **facts} for well, facts in wells.items()), key=key)

    def features(
        self,
        study: str,
        plate: str,
        objects: Mapping[str, list[Mapping[str, float]]],
        *,
        object_set: str = "nuclei",
        name: str = "nuclei",
        definition: Mapping[str, Any] | None = None,
    ) -> str:
        """Commit the objects of one plate, well → features of each object; return the table's name."""
        self.commits += 1
        run = f"r{self.commits:04}"  # sorts by time, as run identifiers do
        whole = {"objects": {object_set: {}}, **(definition or {})}
        registration = register(self.root, name, whole, recipe_text=None, run_id=run)
        table = registration.set.table(object_set)
        names = list(dict.fromkeys(key for many in objects.values() for one in many for key in one))
        records = [
            {
                "study_id": study,
                "plate_id": plate,
                "acquisition_id": 1,
                "well_id": well,
                "field_id": 1,
                "timepoint": 0,
                "object_id": number,
                "run_id": run,
                **one,
            }
            for well, many in objects.items()
            for number, one in enumerate(many, start=1)
        ]
        with Commit(self.root, run_id=run, app_id=f"transform/{self.commits}") as commit:
            if registration.is_new:
                registration.add_to(commit)
                dictionary = [
                    {
                        "feature_set_hash": registration.set.hash,
                        "column": column,
                        "object_set": object_set,
                        "family": column.split("_")[1],
                        "operator": column.split("_")[2],
                        "definition": f"what {column} means",
                        "unit": "px" if column.endswith("Area") else None,
                        "run_id": run,
                    }
                    for column in names
                ]
                commit.append("feature_dictionary", rows("feature_dictionary", *dictionary))
            data = pa.Table.from_pylist(records, schema=feature_table_schema(names))
            commit.replace(table, {"study_id": study, "plate_id": plate}, data)
            commit.commit()
        return table

    def profiles(
        self,
        study: str,
        values: Mapping[str, Mapping[str, float]],
        *,
        plate: str = "P1",
        level: str = "well",
        name: str = "standard",
        definition: Mapping[str, Any] | None = None,
    ) -> str:
        """Commit profiles of wells of one plate, or of treatments: name → features; return ``name@version``."""
        self.commits += 1
        run = f"r{self.commits:04}"
        registration = register_profiles(
            self.root, name, {"steps": [], **(definition or {})}, levels=[level], recipe_text=None, run_id=run
        )
        of_wells = {"plate_id": plate, "acquisition_id": 1, "timepoint": 0, "n_objects": 10}
        of_treatments = {"n_wells": 2, "n_plates": 1}
        records = [
            {
                "study_id": study,
                "run_id": run,
                **(of_treatments | {"treatment": key} if level == "treatment" else of_wells | {"well_id": key}),
                **features,
            }
            for key, features in values.items()
        ]
        columns = list(dict.fromkeys(key for features in values.values() for key in features))
        where = {"study_id": study} if level == "treatment" else {"study_id": study, "plate_id": plate}
        with Commit(self.root, run_id=run, app_id=f"profile/{self.commits}") as commit:
            registration.add_to(commit)
            data = pa.Table.from_pylist(records, schema=profile_table_schema(columns, level=level))
            commit.replace(registration.set.table(level), where, data)
            commit.commit()
        return registration.set.label

    def profile_set(
        self,
        name: str,
        plates: Mapping[str, Mapping[str, Mapping[str, float]]],
        *,
        definition: Mapping[str, Any],
        study: str = "one",
        recipe: str | None = "name = 'x'",
        run: str = "p0001",
        controls: Sequence[str] = (),
    ) -> str:
        """Commit a profile set, plate → well → features, and a fit where there are controls; return its hash."""
        made = register_profiles(self.root, name, definition, levels=["well"], recipe_text=recipe, run_id=run)
        identity = class_schema("ProfileRow")
        with Commit(self.root, run_id=run, app_id=f"profile/{run}") as commit:
            made.add_to(commit)
            for plate, wells in plates.items():
                key = {"study_id": study, "plate_id": plate}
                same = {**key, "acquisition_id": 1, "timepoint": 0, "run_id": run}
                names = list(dict.fromkeys(one for values in wells.values() for one in values))
                schema = pa.schema([*identity, *(pa.field(one, pa.float64()) for one in names)])
                records = [{**same, "well_id": well, **values} for well, values in wells.items()]
                commit.replace(made.set.table("well"), key, pa.Table.from_pylist(records, schema=schema))
            if controls:
                fit = {
                    "profile_set": made.set.label,
                    "profile_set_hash": made.set.hash,
                    "fit_version": 1,
                    "step": 0,
                    "unit": f"{study}/P1",
                    "study_id": study,
                    "plate_id": "P1",
                    "operator": "robust_z",
                    "settings": "{}",
                    "controls": list(controls),
                    "run_id": run,
                }
                commit.append("profile_fits", pa.Table.from_pylist([fit], schema=arrow_schema("profile_fits")))
            commit.commit()
        return made.set.hash


def fill(lake: TableLake) -> TableLake:
    """Study ``one`` with plates P1 and P2, study ``two`` with plate P1 and another stain."""
    lake.put("studies", {"study_id": "one"}, {"study_id": "two"})
    lake.wells(
        "one",
        "P1",
        {
            "A01": {"control_type": "negative_vehicle"},
            "A02": {"compound": "nocodazole", "concentration_um": 1.0, "perturbation": "nocodazole 1 µM"},
            "A03": {"compound": "nocodazole", "excluded": True, "exclusion_reason": "dust"},
        },
    )
    lake.wells("one", "P2", {"A01": {"control_type": "negative_vehicle"}, "B02": {"compound": "taxol"}})
    lake.wells("two", "P1", {"A01": {"compound": "nocodazole"}})
    area, dna, mito = (
        "Nuclei_AreaShape_Area",
        "Nuclei_Intensity_MeanIntensity_DNA",
        "Nuclei_Intensity_MeanIntensity_Mito",
    )
    lake.features(
        "one",
        "P1",
        {
            "A01": [{area: 100.0, dna: 0.5}, {area: 110.0, dna: 0.6}],
            "A02": [{area: 200.0, dna: 0.7}],
            "A03": [{area: 999.0, dna: 9.0}],
            "H12": [{area: 50.0, dna: 0.1}],  # a well that nobody annotated
        },
    )
    lake.features("one", "P2", {"A01": [{area: 90.0, dna: 0.4}], "B02": [{area: 95.0, dna: 0.3}]})
    lake.features("two", "P1", {"A01": [{area: 210.0, mito: 0.2}, {area: 220.0, mito: 0.3}]})
    return lake


def odd_folder(tmp_path: Path) -> Path:
    """A path with what trips Hive partitions, URLs and SQL."""
    return tmp_path / "run=5" / "study_id=zz" / "lab 1 % ü's"


@pytest.fixture
def empty_lake(tmp_path: Path) -> TableLake:
    return TableLake(init_root(odd_folder(tmp_path)))


@pytest.fixture(scope="session")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> TableLake:
    """The lake of :func:`fill`, for tests that only ask."""
    return fill(TableLake(init_root(tmp_path_factory.mktemp("shared") / "lake")))


@pytest.fixture
def lake(shared_lake: TableLake, tmp_path: Path) -> TableLake:
    """A copy of it, for tests that change it."""
    shutil.copytree(shared_lake.root.url, odd_folder(tmp_path))
    return TableLake(open_root(odd_folder(tmp_path)), shared_lake.commits)


@pytest.fixture(scope="session")
def bare_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], TableLake]:
    """Make an empty lake, for fixtures that fill one for many tests."""
    return lambda: TableLake(init_root(tmp_path_factory.mktemp("bare") / "lake"))
