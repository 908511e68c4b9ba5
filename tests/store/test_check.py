"""A whole lake is found whole, and each kind of damage is found and named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.errors import NotFoundError, StorageError
from cytolake.lake import Lake, init_lake, open_lake
from cytolake.schemas.tables import arrow_schema, feature_table_schema
from cytolake.store.check import validate
from cytolake.store.commit import Commit
from cytolake.store.lineage import Run
from cytolake.store.registry import register

COLUMN = "Nuclei_AreaShape_Area"


def put_features(lake: Lake, *, plate: str = "tiny-1", field: int = 1, described: bool = True) -> str:
    """Commit one nucleus as a transform would."""
    run = Run.start("transform", study_id="pilot", plate_ids=[plate])
    found = register(lake.root, "nuclei", {"objects": {"nuclei": {}}}, recipe_text=None, run_id=run.run_id)
    table = found.set.table("nuclei")
    row = {
        "study_id": "pilot",
        "plate_id": plate,
        "acquisition_id": 1,
        "well_id": "A01",
        "field_id": field,
        "timepoint": 0,
        "object_id": 1,
        "run_id": run.run_id,
        COLUMN: 5.0,
    }
    meaning = {
        "feature_set_hash": found.set.hash,
        "column": COLUMN,
        "object_set": "nuclei",
        "family": "AreaShape",
        "operator": "Area",
        "run_id": run.run_id,
    }
    with Commit(lake.root, run_id=run.run_id, app_id=f"transform/{plate}/{field}") as commit:
        found.add_to(commit)
        if described:
            commit.append(
                "feature_dictionary", pa.Table.from_pylist([meaning], schema=arrow_schema("feature_dictionary"))
            )
        commit.append(table, pa.Table.from_pylist([row], schema=feature_table_schema([COLUMN])))
        commit.append("runs", run.record("ok"))
        commit.commit()
    return table


@pytest.fixture(scope="module")
def made(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "lab"
    lake = init_lake(folder)
    lake.ingest(tiny_export, study="pilot")
    put_features(lake)
    return folder


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Lake:
    return open_lake(shutil.copytree(made, tmp_path / "lab"))


def codes(lake: Lake, **options: Any) -> set[str]:
    return {error["code"] for error in validate(lake.root, **options)["errors"]}


def data_file(lake: Lake, table: str) -> Path:
    """A file that the log names: replaced ones lie beside it."""
    name = next(name for name in lake.root.tables.names() if name.split("/")[0] == table)
    return Path(lake.root.tables.open(name).file_uris()[0])


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_lake(lake: Lake, deep: bool) -> None:
    report = validate(lake.root, deep=deep)
    assert report["errors"] == []
    assert report["warnings"] == []
    assert report["checked"]["plates"] == 1
    assert report["checked"]["fields"] == 4
    assert report["checked"]["tables"] == len(lake.root.tables.names())


def test_an_empty_lake(tmp_path: Path) -> None:
    lake = init_lake(tmp_path / "new")
    assert validate(lake.root) == {"checked": {}, "errors": [], "warnings": [], "notes": []}


def test_a_lost_data_file(lake: Lake) -> None:
    path = data_file(lake, "wells")
    path.unlink()
    errors = validate(lake.root)["errors"]
    assert [error["code"] for error in errors] == ["file-missing"]  # and no complaint about what refers to it
    assert errors[0]["where"] == path.relative_to(lake.url).as_posix()


def test_a_data_file_that_was_cut_off(lake: Lake) -> None:
    path = data_file(lake, "images")
    path.write_bytes(path.read_bytes()[:-100])
    assert codes(lake) == {"file-size"}


def test_a_damaged_data_file_is_found_by_reading_it(lake: Lake) -> None:
    path = data_file(lake, "features")
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)
    assert "file-unreadable" in codes(lake, deep=True)


def test_a_log_that_cannot_be_read(lake: Lake) -> None:
    for path in (Path(lake.url) / "tables" / "channels" / "_delta_log").iterdir():
        path.write_bytes(b"{")
    assert codes(lake) == {"table-unreadable"}


@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
def test_the_damaged_file_of_a_log_is_named(lake: Lake, damage: str) -> None:
    """deltalake takes an empty entry for a commit of nothing, and its rows would silently be missing."""
    entry = max((Path(lake.url) / "tables" / "wells" / "_delta_log").glob("*.json"))
    entry.write_bytes({"empty": b"", "cut": entry.read_bytes()[:-9], "other": b"hello\n"}[damage])
    with pytest.raises(StorageError) as caught:
        lake.root.tables.open("wells")
    assert caught.value.message == f"table wells cannot be opened: {entry} of its log is damaged"
    assert "validate" in (caught.value.hint or "")
    errors = validate(lake.root)["errors"]
    assert ("table-unreadable", "tables/wells", caught.value.message) in [tuple(error.values()) for error in errors]


def test_a_lost_plate(lake: Lake) -> None:
    shutil.rmtree(Path(lake.url) / "images")
    assert codes(lake) == {"plate-missing"}


def test_a_lost_shard(lake: Lake) -> None:
    shard = next(path for path in (Path(lake.url) / "images").rglob("c/0/0/0/0/0"))
    shard.unlink()
    assert codes(lake) == {"shard-missing"}


def append(lake: Lake, table: str, **changes: Any) -> None:
    """Append a copy of the first row of a table, with other values."""
    first = {**lake.root.tables.read(table).slice(0, 1).to_pylist()[0], **changes}
    with Commit(lake.root, run_id=first["run_id"], app_id=f"test/{table}") as commit:
        commit.append(table, pa.Table.from_pylist([first], schema=arrow_schema(table)))
        commit.commit()


def test_rows_that_are_there_twice(lake: Lake) -> None:
    append(lake, "wells")
    errors = validate(lake.root)["errors"]
    assert [error["code"] for error in errors] == ["duplicate-key"]
    assert "pilot/tiny-1/A01" in errors[0]["message"]


def test_rows_about_what_is_not_there(lake: Lake) -> None:
    append(lake, "wells", plate_id="P9", biosample_id="nobody")
    messages = " ".join(error["message"] for error in validate(lake.root)["errors"])
    assert codes(lake) == {"unknown-reference"}
    assert "pilot/P9" in messages
    assert "pilot/nobody" in messages


def test_features_of_a_field_that_is_not_there(lake: Lake) -> None:
    put_features(lake, field=77, described=False)
    errors = validate(lake.root)["errors"]
    assert [error["code"] for error in errors] == ["unknown-reference"]
    assert "are not in images" in errors[0]["message"]


def test_rows_of_a_run_that_nobody_recorded(lake: Lake) -> None:
    append(lake, "wells", well_id="C03", run_id="never")
    errors = validate(lake.root)["errors"]
    assert [error["code"] for error in errors] == ["unknown-reference"]
    assert "runs: never" in errors[0]["message"]


def test_a_plate_row_that_counts_wrongly(lake: Lake) -> None:
    row = lake.root.tables.read("plates").to_pylist()[0]
    key = {"study_id": "pilot", "plate_id": "tiny-1"}
    with Commit(lake.root, run_id=row["run_id"], app_id="test") as commit:
        commit.replace("plates", key, pa.Table.from_pylist([{**row, "n_fields": 9}], schema=arrow_schema("plates")))
        commit.commit()
    assert codes(lake) == {"field-count"}


def test_an_image_row_too_much(lake: Lake) -> None:
    append(lake, "images", field_id=77, path="images/pilot/tiny-1.ome.zarr/A/01/a1f77")
    assert codes(lake) == {"image-missing", "field-count"}


def test_features_that_nobody_registered(lake: Lake) -> None:
    shutil.rmtree(Path(lake.url) / "tables" / "feature_sets")
    assert codes(lake) == {"unregistered-features"}


def test_profiles_that_nobody_registered(lake: Lake) -> None:
    table = put_features(lake)
    shutil.copytree(
        Path(lake.url) / "tables" / table, Path(lake.url) / "tables" / "profiles" / "x" / "0a1b2c3d" / "well"
    )
    assert "unregistered-profiles" in codes(lake)


def test_features_without_a_meaning(lake: Lake) -> None:
    shutil.rmtree(Path(lake.url) / "tables" / "feature_dictionary")
    assert codes(lake) == {"undescribed-feature"}


def test_leftovers_are_no_errors(lake: Lake) -> None:
    folder = Path(lake.url)
    (folder / "images" / "pilot" / "half.ome.zarr").mkdir()
    (folder / "staging" / "ingest" / "pilot" / "P2-0123").mkdir(parents=True)
    (folder / "staging" / "ingest" / "pilot" / "P2-0123" / "x").touch()
    (folder / "tables" / "_journal").mkdir(exist_ok=True)
    (folder / "tables" / "_journal" / "0123.json").touch()
    report = validate(lake.root)
    assert report["errors"] == []
    assert len(report["warnings"]) == 3
    assert any("half.ome.zarr" in warning for warning in report["warnings"])


def test_paths(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = "images/pilot/tiny-1.ome.zarr"
    assert validate(lake.root, [inside])["checked"] == {"plates": 1}
    assert validate(None, [f"{lake.url}/{inside}"], deep=True)["errors"] == []
    assert validate(None, [lake.url])["checked"]["plates"] == 1
    monkeypatch.chdir(Path(lake.url) / inside)
    assert validate(None, ["."])["errors"] == []
    with pytest.raises(NotFoundError, match="no such file"):
        validate(lake.root, ["nowhere"])
    with pytest.raises(NotFoundError, match="neither a plate nor a lake"):
        validate(None, [str(Path(lake.url) / "tables")])


def test_the_facade_checks_sheets(lake: Lake, tmp_path: Path) -> None:
    import cytolake.lake

    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("plate,well,compound,concentration_um\nP1,A01,taxol,1\nP2,A01,taxol,1\n")
    bad.write_text("well,compound,concentration_um\nA01,taxol,1\nA01,taxol,one furlong\n")
    assert cytolake.lake.validate([good])["errors"] == []
    report = lake.validate([bad, "images/pilot/tiny-1.ome.zarr"])
    assert report["checked"] == {"plates": 1, "sheets": 1}
    assert {error["where"] for error in report["errors"]} == {f"{bad}:3"}
    assert "duplicate-well" in {error["code"] for error in report["errors"]}
