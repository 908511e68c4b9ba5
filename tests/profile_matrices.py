"""Matrices of profiles for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from cytolake.transforms.profiles.matrix import ProfileMatrix
from numpy.typing import NDArray


def matrix_of(
    values: NDArray[np.float64], *, features: Sequence[str] | None = None, **columns: Sequence[Any]
) -> ProfileMatrix:
    """Rows of study ``s`` and plate ``p1``, unless columns say otherwise."""
    n = len(values)
    identity = {"study_id": ["s"] * n, "plate_id": ["p1"] * n, "well_id": [f"W{row:04}" for row in range(n)]}
    names = tuple(features or (f"F{number}" for number in range(values.shape[1])))
    rows = pa.table({name: list(column) for name, column in (identity | columns).items()})
    return ProfileMatrix(rows=rows, features=names, values=np.asarray(values, dtype=np.float64))


def everyone(matrix: ProfileMatrix) -> NDArray[np.bool_]:
    """A mask of all rows."""
    return np.ones(len(matrix), dtype=bool)


def permuted(matrix: ProfileMatrix, order: NDArray[np.int64]) -> ProfileMatrix:
    """The same rows in another order."""
    return ProfileMatrix(rows=matrix.rows.take(pa.array(order)), features=matrix.features, values=matrix.values[order])
