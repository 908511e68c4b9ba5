"""The verb export: what it says, and what reaches the lake."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lineage_lake
import pytest
from cytolake.store.root import init_root
from lineage_lake import OBJECTS, STUDY, WELLS


@pytest.fixture
def lab(tmp_path: Path) -> str:
    lineage_lake.make(init_root(tmp_path / "lab"))
    return str(tmp_path / "lab")


def test_options_reach_the_lake(run: Any, noted: Any) -> None:
    noted.answers["export"] = {"rows": 1, "columns": 3, "features": 0, "sets": [], "path": "x.csv", "bytes": 1200}
    options = ("--study", "s", "--plate", "P1", "--plate", "P2", "--where", "true", "--as-of", "spring", "--overwrite")
    ran = run("--lake", "x", "export", "nuclei", "--output", "x.csv", "--layout", "plain", "--format", "csv", *options)
    assert ran.out == "1 row, 3 columns in x.csv, 1.2 kB\n"
    verb, given, named = noted.last
    assert (verb, given) == ("export", ("nuclei", "x.csv"))
    assert named == {
        "format": "csv",
        "layout": "plain",
        "study": "s",
        "plates": ("P1", "P2"),
        "where": "true",
        "as_of": "spring",
        "overwrite": True,
    }


def test_profiles_in_a_file(run: Any, lab: str, tmp_path: Path) -> None:
    ran = run("--lake", lab, "export", "profiles", "--study", STUDY, "--output", "p.csv")
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"{2 * len(WELLS)} rows, 18 columns (1 of them features) of whole@1 in p.csv")
    with (tmp_path / "p.csv").open() as file:
        assert {row["Metadata_Well"] for row in csv.DictReader(file)} == set(WELLS)
    again = run("--lake", lab, "export", "profiles", "--output", "p.csv")
    assert (again.code, "--overwrite" in again.err) == (4, True)


def test_json_and_plates(run: Any, lab: str) -> None:
    ran = run("--lake", lab, "export", "cells", "--plate", "P2", "--output", "c.parquet", "--json")
    assert ran.json["rows"] == len(WELLS) * OBJECTS
    assert {"path", "format", "layout", "table", "columns", "features", "bytes", "tables", "sets"} <= ran.json.keys()


def test_an_output_is_needed(run: Any, lab: str) -> None:
    assert run("--lake", lab, "export", "profiles").code == 2
