"""Meta-analysis in SQL: one pooled effect for each of 15,621 cells of gene and feature, by method.

``python -m benchmarks.catalog.meta`` prints seconds; a question is measured whole: read, planned, run, fetched.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping

import duckdb
import numpy as np
import pyarrow as pa
from cytolake.catalog.library import closure

CELLS = 15_621
STUDIES = 4
#: What is asked of a table of estimates and variances.
CALLS: Mapping[str, str] = {
    "fixed": "meta_fixed(estimate, variance)",
    "DL": "meta_random(estimate, variance)",
    "DL, hksj": "meta_random(estimate, variance, test := 'hksj')",
    "PM": "meta_random(estimate, variance, method := 'PM')",
    "PM, hksj": "meta_random(estimate, variance, method := 'PM', test := 'hksj')",
}


def make(cells: int = CELLS, studies: int = STUDIES, seed: int = 0) -> pa.Table:
    """Estimates that differ between studies in half of the cells, and their variances."""
    rng = np.random.default_rng(seed)
    variance = 0.1 + rng.random((cells, studies))
    between = rng.integers(0, 2, (cells, 1)) * 2.0
    estimate = rng.normal(0, 3, (cells, 1)) + rng.normal(size=(cells, studies)) * np.sqrt(variance + between)
    cell = np.repeat(np.arange(cells), studies)
    return pa.table({"cell": cell, "estimate": estimate.ravel(), "variance": variance.ravel()})


def connect(effects: pa.Table) -> duckdb.DuckDBPyConnection:
    """Return a connection that has the effects and the macros."""
    connection = duckdb.connect()
    for one in closure(["meta_fixed", "meta_random"]):
        connection.execute(one.statement).fetchall()
    connection.register("given", effects)
    connection.execute("CREATE TABLE effects AS FROM given").fetchall()
    return connection


def measure(*, cells: int = CELLS, rounds: int = 5) -> dict[str, dict[str, float]]:
    """Seconds of the clock and of the processor of each call, medians of ``rounds`` after one to warm up."""
    connection = connect(make(cells))
    found: dict[str, dict[str, float]] = {}
    for name, call in CALLS.items():
        query = f"SELECT cell, pooled.* FROM (SELECT cell, {call} AS pooled FROM effects GROUP BY cell)"
        clock, processor = [], []
        for _ in range(rounds + 1):
            before, cpu = time.perf_counter(), time.process_time()
            rows = connection.sql(query).to_arrow_table()
            clock.append(time.perf_counter() - before)
            processor.append(time.process_time() - cpu)
            if rows.num_rows != cells:
                raise RuntimeError(f"{name}: {rows.num_rows} rows of {cells}")
        found[name] = {
            "seconds": round(statistics.median(clock[1:]), 3),
            "cpu_seconds": round(statistics.median(processor[1:]), 3),
        }
    return found


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
