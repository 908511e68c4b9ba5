"""From a row back to its pixels, its recipe and the code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cytolake
import pyarrow as pa
import pytest
from cytolake.errors import InvalidDataError, NotFoundError, UsageError
from cytolake.lake import Lake
from cytolake.schemas.tables import SCHEMA_VERSION, arrow_schema
from cytolake.store.commit import Commit
from cytolake.store.lineage import Run, parse_row, trace
from cytolake.store.registry import register
from cytolake.store.root import LakeRoot

Rows = Callable[..., pa.Table]
PLATE = {"study_id": "pilot", "plate_id": "P1"}


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("pilot", UsageError, "names no row"),
        ("pilot//A01", UsageError, "names no row"),
        ("s/p/A01/1/nuclei/7/8", UsageError, "names no row"),
        ("s/p/A01/one", UsageError, "'one' is no field number"),
        ("s/p/A01/1/nuclei/x", UsageError, "'x' is no object number"),
        (f"s/p/A01/1/nuclei/{10**20}", UsageError, "is larger than any object number"),
        ("s/p/99", InvalidDataError, "99"),
    ],
)
def test_a_text_that_names_no_row(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        parse_row(text)


def test_a_run_says_what_it_did(lake: LakeRoot) -> None:
    run = Run.start("ingest", study_id="pilot", plate_ids=["P1"], parameters={"workers": 2})
    run.add_input("export", "Measurement 1", sha256="ab")
    run.add_input("table", "wells", version=3)
    run.add_output("table", "images", rows=4)
    run.warn("one plane is missing")
    run.warn("one plane is missing")
    record = run.record("partial")
    assert record.schema == arrow_schema("runs")
    with Commit(lake, run_id=run.run_id, app_id="x") as commit:
        commit.append("runs", record)
        commit.commit()
    (row,) = lake.tables.read("runs").to_pylist()
    assert row["status"] == "partial"
    assert row["started_at"] <= row["finished_at"]
    assert (row["code_version"], row["schema_version"]) == (cytolake.__version__, SCHEMA_VERSION)
    assert json.loads(row["parameters"]) == {"workers": 2}
    assert [used["version"] for used in row["inputs"]] == [None, 3]
    assert row["warnings"] == ["one plane is missing"]


def test_run_ids_differ_and_sort_by_time() -> None:
    ids = [Run.start("ingest").run_id for _ in range(50)]
    assert len(set(ids)) == 50
    assert [one.split("-")[0] for one in ids] == sorted(one.split("-")[0] for one in ids)


@pytest.fixture
def traced(lake: LakeRoot, wells: Rows, objects: Rows) -> LakeRoot:
    """A plate with one well, one field and three nuclei."""
    ingest = Run.start("ingest", **PLATE_OF_RUN, parameters={"reader": "harmony"})
    ingest.add_input("export", "Measurement 1", sha256="e" * 64)
    plate = {
        **PLATE,
        "n_rows": 8,
        "n_columns": 12,
        "path": "images/pilot/P1.ome.zarr",
        "fingerprint": "f" * 64,
        "status": "ok",
        "run_id": ingest.run_id,
    }
    file = {"file": "r01c01f01.tiff", "page": 0, "channel_index": 0, "z": 0, "timepoint": 0, "status": "ok"}
    image = {f.name: 1 for f in arrow_schema("images") if not f.nullable} | {
        **PLATE,
        "well_id": "A01",
        "path": "images/pilot/P1.ome.zarr/A/01/a1f1",
        "dtype": "uint16",
        "source_files": [{**file, "sha256": "a" * 64}, {**file, "file": "r01c01f01-ch2.tiff", "status": "missing"}],
        "run_id": ingest.run_id,
    }
    transform = Run.start("transform", **PLATE_OF_RUN)
    registration = register(lake, "nuclei", {"objects": {"nuclei": {}}}, recipe_text="#", run_id=transform.run_id)
    with Commit(lake, run_id=ingest.run_id, app_id="x") as commit:
        commit.append("plates", pa.Table.from_pylist([plate], schema=arrow_schema("plates")))
        commit.append("images", pa.Table.from_pylist([image], schema=arrow_schema("images")))
        commit.append("wells", wells("P1", 1, run_id=ingest.run_id, compound="inflatin"))
        commit.append("runs", ingest.record("ok"))
        commit.append("runs", transform.record("ok"))
        registration.add_to(commit)
        commit.append(registration.set.table("nuclei"), objects("P1", run_id=transform.run_id))
        commit.commit()
    return lake


PLATE_OF_RUN: dict[str, Any] = {"study_id": "pilot", "plate_ids": ["P1"]}


def reached(graph: dict[str, list[dict[str, Any]]], start: str) -> dict[str, list[dict[str, Any]]]:
    """Give the nodes that edges lead to from a node of one kind, by kind."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    todo = [identifier for identifier, node in nodes.items() if node["kind"] == start]
    seen: dict[str, list[dict[str, Any]]] = {}
    done = set()
    while todo:
        here = todo.pop()
        if here not in done:
            done.add(here)
            seen.setdefault(nodes[here]["kind"], []).append(nodes[here])
            todo += [edge["to"] for edge in graph["edges"] if edge["from"] == here]
    return seen


def test_one_nucleus_leads_to_its_pixels_recipe_and_code(traced: LakeRoot) -> None:
    where = {**PLATE, "well_id": "A01", "field_id": 1, "object_set": "nuclei", "object_id": 2}
    found = reached(trace(traced, **where), "object")
    assert found["object"][0]["rows"] == 1
    assert {file["name"]: (file["status"], file.get("sha256")) for file in found["file"]} == {
        "r01c01f01.tiff": ("ok", "a" * 64),
        "r01c01f01-ch2.tiff": ("missing", None),
    }
    assert found["well"][0]["compound"] == "inflatin"
    assert found["plate"][0]["fingerprint"] == "f" * 64
    assert found["feature_set"][0]["name"] == "nuclei@1"
    assert {run["verb"] for run in found["run"]} == {"ingest", "transform"}
    assert {run["code_version"] for run in found["run"]} == {cytolake.__version__}
    assert found["export"][0]["sha256"] == "e" * 64
    assert json.loads(json.dumps(trace(traced, **where)))["nodes"]


def test_coarser_rows_can_be_asked_for_too(traced: LakeRoot) -> None:
    plate = trace(traced, **PLATE)
    assert {node["kind"] for node in plate["nodes"]} == {"plate", "run", "export"}
    (whole,) = reached(trace(traced, **PLATE, object_set="nuclei"), "objects")["objects"]
    assert whole["rows"] == 3
    assert "file" not in {node["kind"] for node in trace(traced, **PLATE, well_id="A01")["nodes"]}


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"plate_id": "P2"}, "plate P2"),
        ({"well_id": "H12"}, "well H12"),
        ({"well_id": "A01", "field_id": 9}, "field 9"),
        ({"object_set": "cells"}, "P1/cells"),
        ({"object_set": "nuclei", "object_id": 99}, "P1/nuclei/99"),
    ],
)
def test_what_is_not_there_is_named(traced: LakeRoot, where: dict[str, Any], named: str) -> None:
    with pytest.raises(NotFoundError, match=named):
        trace(traced, **{**PLATE, **where})


def test_a_lake_takes_well_names_as_people_write_them(traced: LakeRoot) -> None:
    well = trace(traced, **PLATE, well_id="A01")
    assert Lake(traced).lineage(f"{PLATE['study_id']}/{PLATE['plate_id']}/a1") == well
    with pytest.raises(InvalidDataError, match="not a well name"):
        Lake(traced).lineage(f"{PLATE['study_id']}/{PLATE['plate_id']}/first")
