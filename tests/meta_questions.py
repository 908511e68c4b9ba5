"""Questions to the macros of effects and meta-analysis, in a DuckDB that has nothing else."""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from cytolake.catalog.library import closure, library
from numpy.typing import NDArray


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """A connection with the macros of the three groups."""
    made = duckdb.connect()
    groups = {"distributions", "effects", "meta"}
    for one in closure([name for name, one in library().items() if one.group in groups]):
        made.execute(one.statement).fetchall()
    return made


def ask(query: str, **tables: pa.Table) -> list[dict[str, Any]]:
    """Answer a question about tables."""
    cursor = connection().cursor()
    for name, rows in tables.items():
        cursor.register(name, rows)
    found: list[dict[str, Any]] = cursor.sql(query).to_arrow_table().to_pylist()
    return found


def column(expression: str, **columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """An expression of columns of numbers, row by row."""
    rows = ask(f"SELECT {expression} AS x FROM numbers", numbers=pa.table(columns))
    return np.array([np.nan if row["x"] is None else row["x"] for row in rows], float)
