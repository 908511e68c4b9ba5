"""Profiles made by a formula, and questions about them to DuckDB with the library's macros."""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cytolake.catalog.library import closure, library

Matrix = npt.NDArray[np.float64]


def example() -> tuple[list[str], list[str], Matrix]:
    """Plates, treatments and 12 features of 40 wells: on each of two plates 6 controls, and t0 to t6 twice."""
    plates = [plate for plate in ("P1", "P2") for _ in range(20)]
    treatments = ["dmso" if n < 6 else f"t{(n - 6) % 7}" for _ in range(2) for n in range(20)]
    i, j = np.arange(1, 41)[:, None], np.arange(1, 13)[None, :]
    values = np.sin(12.9898 * i + 78.233 * j + 0.37 * i * j)
    for k in range(7):
        values[np.array(treatments) == f"t{k}"] += 0.2 * k * np.cos(1.7 * np.arange(12) + k)
    return plates, treatments, values


def table(values: Matrix, **columns: Any) -> pa.Table:
    """Wells with numbered names, ``columns``, and features."""
    wells = {"well_id": [f"{n:02}" for n in range(len(values))], **columns}
    return pa.table(wells | {f"Nuclei_A_{n}": values[:, n] for n in range(values.shape[1])})


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """A connection with the macros of both groups."""
    made = duckdb.connect()
    for one in closure(name for name, one in library().items() if one.group in {"similarity", "activity"}):
        made.execute(one.statement).fetchall()
    return made


def ask(question: str, **tables: pa.Table) -> list[dict[str, Any]]:
    """Ask DuckDB with the macros of the library made, over Arrow tables, which are tables of DuckDB then."""
    with connection().cursor() as cursor:
        for name, rows in tables.items():
            cursor.register(f"{name}_arrow", rows)
            cursor.execute(f"CREATE TEMP TABLE {name} AS FROM {name}_arrow").fetchall()
        found: list[dict[str, Any]] = cursor.sql(question).to_arrow_table().to_pylist()
    return found


def similarities(values: Matrix, metric: str = "cosine") -> Matrix:
    if metric == "correlation":
        values = values - values.mean(axis=1, keepdims=True)
    units = values / np.linalg.norm(values, axis=1, keepdims=True)
    found: Matrix = units @ units.T
    return found
