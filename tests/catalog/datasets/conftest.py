"""A lake with two studies of three plates each, with donors, attributes, labels by three people, and quality."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cytolake.catalog.datasets import build_dataset
from cytolake.schemas.tables import arrow_schema
from cytolake.store.commit import Commit
from profile_lakes import ProfileLake

WELLS = ("A01", "A02", "A03", "A04", "B01", "B02")
FEATURES = ("Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DNA", "Nuclei_Texture_Entropy_ER")
COMPOUNDS = ("DMSO", "taxol", "nocodazole", "colchicine", "taxol", "nocodazole")
MECHANISMS = {"DMSO": "none", "taxol": "stabiliser", "nocodazole": "destabiliser", "colchicine": "destabiliser"}
PER_WELL = 3


def facts_of(well: str, plate: int) -> dict[str, Any]:
    compound = COMPOUNDS[WELLS.index(well)]
    return {
        "compound": compound,
        "perturbation": compound,
        "control_type": "negative_vehicle" if compound == "DMSO" else "treatment",
        "biosample_id": f"s{plate}",
        "attributes": {"mechanism": MECHANISMS[compound], "number": str(plate)},
        "excluded": well == "B02" and plate == 1,
    }


def put(lake: ProfileLake, table: str, *rows: Mapping[str, Any], run: str = "r") -> None:
    """Append rows of a declared table."""
    schema = arrow_schema(table)
    made = [{name: row.get(name) for name in schema.names} | {"run_id": run} for row in rows]
    with Commit(lake.lake.root, run_id=run, app_id=f"{table}/{datetime.now(UTC).isoformat()}") as commit:
        commit.append(table, pa.Table.from_pylist(made, schema=schema))
        commit.commit()


def label(well: str | None, value: str, annotator: str, when: str, **more: Any) -> dict[str, Any]:
    """A label of a well of plate a/P0, or of what ``more`` says."""
    return {
        "study_id": "a",
        "plate_id": "P0",
        "well_id": well,
        "vocabulary": "phenotype",
        "value": value,
        "annotator": annotator,
        "annotated_at": datetime.fromisoformat(when).replace(tzinfo=UTC),
        **more,
    }


def add_plate(lake: ProfileLake, study: str, number: int, *, seed: int | None = None) -> None:
    plate = f"P{number}"
    lake.annotate(study, plate, {well: facts_of(well, number) for well in WELLS}, batch=f"b{number % 2}")
    random = np.random.default_rng([number, ord(study)] if seed is None else seed)
    values = {well: random.normal(10, 1, (PER_WELL, len(FEATURES))).astype(np.float32) for well in WELLS}
    values["A02"][0, 1] = np.nan
    lake.objects(study, plate, values, features=FEATURES)
    lake.wells(study, plate, {well: values[well].mean(0, float).tolist() for well in WELLS}, features=FEATURES)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ProfileLake:
    lake = ProfileLake.make(tmp_path_factory.mktemp("datasets") / "lake")
    for study in ("a", "b"):
        for number in range(3):
            add_plate(lake, study, number)
        samples = [
            {
                "study_id": study,
                "biosample_id": f"s{n}",
                "donor_id": None if n == 2 else f"donor{n}",
                "cell_line": "KOLF",
            }
            for n in range(3)
        ]
        samples[2]["parent_biosample_id"] = "s1"  # so its donor is donor1
        put(lake, "biosamples", *samples)
    return lake


@pytest.fixture
def lake(whole: ProfileLake, tmp_path: Path) -> ProfileLake:
    return whole.copy(tmp_path / "lake")


Build = Callable[..., dict[str, Any]]

SPEC: dict[str, Any] = {
    "name": "moa",
    "entities": {"level": "object", "source": "nuclei"},
    "labels": {"name": "mechanism", "attribute": "mechanism"},
    "split": {"by": "plate", "fractions": {"train": 0.5, "test": 0.5}, "assign": "exact"},
}


def spec(**changed: Any) -> dict[str, Any]:
    """The spec with other tables; None takes one out."""
    return {name: value for name, value in (SPEC | changed).items() if value is not None}


def builder(lake: ProfileLake, folder: Path) -> Build:
    def build(given: Mapping[str, Any] | None = None, name: str = "set", **options: Any) -> dict[str, Any]:
        return build_dataset(lake.lake.root, given or SPEC, folder / name, **options)

    return build


@pytest.fixture
def build(whole: ProfileLake, tmp_path: Path) -> Build:
    """Build from the lake that nobody changes."""
    return builder(whole, tmp_path)


@dataclass(frozen=True)
class Made:
    """A data set that several tests look at and none changes."""

    folder: Path
    card: Mapping[str, Any]

    def copy(self, folder: Path) -> Path:
        """Copy it, for a test to change."""
        return Path(shutil.copytree(self.folder, folder))


@pytest.fixture(scope="session")
def made(whole: ProfileLake, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Return the data set of ``SPEC`` in a format; each is built once."""
    build = builder(whole, tmp_path_factory.mktemp("made"))

    @cache
    def get(format: str = "parquet") -> Made:
        answer = build(name=format, format=format)
        return Made(Path(answer["path"]), answer)

    return get


@pytest.fixture
def rebuild(lake: ProfileLake, tmp_path: Path) -> Build:
    """Build from the lake that this test changes."""
    return builder(lake, tmp_path)


@pytest.fixture
def without_folder(tmp_path: Path) -> Callable[[], None]:
    """Check that nothing was left of a data set that could not be made."""

    def check() -> None:
        assert [path.name for path in tmp_path.iterdir() if path.name not in {"lake", "spec.toml"}] == []

    return check
