"""What the lakes are asked, and who answers: each answer is the rows, sorted, so that they can be compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.catalog.lakes import NAMES, OBJECTS, plate, study

#: An even study: none of its wells is excluded, so that who knows nothing of wells has the same answer.
STUDY, PLATE, COMPOUND = study(4), plate(2), "cpd-01-0000-001"
THREE = ", ".join(NAMES[:3])
WIDE = ", ".join(f"avg({name}) AS {name}" for name in NAMES)

QUESTIONS = {
    "plate": f"SELECT well_id, {THREE} FROM {{t}} WHERE study_id = '{STUDY}' AND plate_id = '{PLATE}'",
    "study mean": f"SELECT avg({NAMES[1]}) FROM {{t}} WHERE study_id = '{STUDY}'",
    "study, 300 means": f"SELECT {WIDE} FROM {{t}} WHERE study_id = '{STUDY}'",
    "compound": f"SELECT study_id, plate_id, well_id, {NAMES[1]} FROM {{t}} WHERE compound = '{COMPOUND}'",
    "compound, wells": (
        f"SELECT c.study_id, c.plate_id, c.well_id, c.{NAMES[1]} FROM {{t}} c "
        f"JOIN wells w USING (study_id, plate_id, well_id) WHERE w.compound = '{COMPOUND}'"
    ),
    "compound, perturbations": (
        f"SELECT c.study_id, c.plate_id, c.well_id, c.{NAMES[1]} FROM {{t}} c "
        f"JOIN perturbations p USING (study_id, compound) WHERE p.inchikey = 'KEY-{COMPOUND}'"
    ),
    "count": "SELECT count(*) FROM {t}",
    "bounds": "SELECT min(plate_id), max(plate_id), max(object_id) FROM {t}",
    "count by study": "SELECT study_id, count(*) FROM {t} GROUP BY study_id",
    "mean by study": f"SELECT study_id, avg({NAMES[1]}) FROM {{t}} GROUP BY study_id",
}
#: What the others are asked: no view, no wells.
PEER_QUESTIONS = ("plate", "study mean", "study, 300 means")
Ask = Callable[[str], pa.Table]


def cytolake(lake: Path) -> Ask:
    """Ask the view of the objects."""
    from cytolake import open_lake

    opened = open_lake(lake)

    def ask(question: str) -> pa.Table:
        result = opened.sql(QUESTIONS[question].format(t=OBJECTS))
        rows = result.to_arrow()
        ask.scans = result.scans  # type: ignore[attr-defined]
        return rows

    return ask


def table_of(lake: Path) -> Path:
    """Return the folder of the feature table."""
    return next((lake / "tables" / "features" / "bench").iterdir()) / OBJECTS


def duckdb_files(lake: Path) -> Ask:
    """Ask DuckDB about just the study's files, whose list somebody else has made."""
    connection = duckdb.connect()
    files = sorted(str(path) for path in (table_of(lake) / f"study_id={STUDY}").glob("*.parquet"))
    source = f"read_parquet({files}, hive_partitioning = true)"
    return lambda question: connection.sql(QUESTIONS[question].format(t=source)).to_arrow_table()


def query_builder(lake: Path) -> Ask:
    """Ask deltalake's own engine."""
    from deltalake import DeltaTable, QueryBuilder

    builder = QueryBuilder().register("t", DeltaTable(table_of(lake)))
    return lambda question: pa.table(builder.execute(QUESTIONS[question].format(t="t")).read_all())


def polars(lake: Path) -> Ask:
    """Ask polars, lazily."""
    import polars as pl

    table = pl.scan_delta(str(table_of(lake)))
    of_study = table.filter(pl.col("study_id") == STUDY)
    asked = {
        "plate": of_study.filter(pl.col("plate_id") == PLATE).select("well_id", *NAMES[:3]),
        "study mean": of_study.select(pl.col(NAMES[1]).cast(pl.Float64).mean()),
        "study, 300 means": of_study.select(pl.col(NAMES).cast(pl.Float64).mean()),
    }
    return lambda question: asked[question].collect(engine="streaming").to_arrow()


CONTENDERS: dict[str, Callable[[Path], Ask]] = {
    "cytolake": cytolake,
    "DuckDB, the study's files": duckdb_files,
    "deltalake QueryBuilder": query_builder,
    "polars scan_delta": polars,
}


def native(lake: Path, folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to a DuckDB database with all objects of a lake in one table ``t``, made once."""
    connection = duckdb.connect(str(folder / "native.duckdb"))
    source = f"read_parquet('{table_of(lake)}/study_id=*/*.parquet', hive_partitioning = true)"
    made = f"CREATE TABLE IF NOT EXISTS t AS FROM {source} ORDER BY study_id, plate_id"
    connection.execute(made).fetchall()
    return connection


def rows_of(table: pa.Table) -> list[list[Any]]:
    """Return the rows of an answer in order, numbers with six digits."""
    told = [
        [float(f"{value:.5g}") if isinstance(value, float) else value for value in row.values()]
        for row in table.to_pylist()
    ]
    return sorted(told, key=str)
