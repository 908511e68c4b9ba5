"""Small lakes and small rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.store.root import LakeRoot, init_root


@pytest.fixture
def lake(tmp_path: Path) -> LakeRoot:
    # A name with what trips URLs and shells.
    return init_root(tmp_path / "lab 1 % ü's")


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
