"""Small lakes and small rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lineage_lake
import pyarrow as pa
import pytest
from cytolake.store.root import LakeRoot, init_root, open_root
from lineage_lake import Story

# A name with what trips URLs and shells.
ODD = "lab 1 % ü's"


@pytest.fixture
def lake(tmp_path: Path) -> LakeRoot:
    return init_root(tmp_path / ODD)


@pytest.fixture(scope="session")
def whole_story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return lineage_lake.make(init_root(tmp_path_factory.mktemp("story") / ODD))


@pytest.fixture
def story(whole_story: Story, tmp_path: Path) -> Story:
    """A lake with everything that lineage knows, for a test to change."""
    return replace(whole_story, root=open_root(shutil.copytree(whole_story.root.url, tmp_path / ODD)))


@pytest.fixture
def wells() -> Callable[..., pa.Table]:
    """Rows of the table ``wells``."""

    def make(plate_id: str, n: int = 3, *, study_id: str = "pilot", run_id: str = "run-1", **slots: Any) -> pa.Table:
        rows = [
            {
                "study_id": study_id,
                "plate_id": plate_id,
                "well_id": f"A{column:02}",
                "row": 1,
                "column": column,
                "n_perturbations": 0,
                "excluded": False,
                "run_id": run_id,
                **slots,
            }
            for column in range(1, n + 1)
        ]
        return pa.Table.from_pylist(rows)

    return make


@pytest.fixture
def objects() -> Callable[..., pa.Table]:
    """Rows of a feature table; further columns are features."""

    def make(plate_id: str, n: int = 3, *, study_id: str = "pilot", run_id: str = "run-1", **features: Any) -> pa.Table:
        columns: dict[str, Any] = {
            "study_id": [study_id] * n,
            "plate_id": [plate_id] * n,
            "acquisition_id": pa.array([1] * n, pa.int32()),
            "well_id": ["A01"] * n,
            "field_id": pa.array([1] * n, pa.int32()),
            "timepoint": pa.array([0] * n, pa.int32()),
            "object_id": pa.array(range(1, n + 1), pa.int32()),
            "parent_id": pa.nulls(n, pa.int32()),
            "run_id": [run_id] * n,
        }
        for name, value in ({"Nuclei_AreaShape_Area": 1.0} | features).items():
            columns[name] = pa.array([value] * n, pa.float32())
        return pa.table(columns)

    return make
