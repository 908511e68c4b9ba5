"""Data sets from a lake: the same twice, another from a newer release and why, in every format, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cytolake.catalog.datasets import build_dataset, check_dataset
from cytolake.errors import (
    AlreadyExistsError,
    CytolakeError,
    InvalidDataError,
    MissingExtraError,
    NotFoundError,
    StorageError,
    UsageError,
)
from cytolake.store.releases import create_release
from profile_lakes import ProfileLake

from .conftest import FEATURES, PER_WELL, SPEC, Build, add_plate, label, put, spec

ROWS = 2 * (3 * 6 - 1) * PER_WELL  # one well of each study is excluded


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def read(folder: Path) -> dict[str, pa.Table]:
    return {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet")) if path.stem != "index"}


def test_rows_features_and_labels_are_those_of_the_lake(made: Any, whole: ProfileLake) -> None:
    assert sum(made().card["splits"].values()) == ROWS
    assert made().card["features"] == len(FEATURES)
    splits = read(made().folder)
    rows = {tuple(row[key] for key in KEY): row for table in splits.values() for row in table.to_pylist()}
    asked = whole.lake.sql(
        "SELECT n.*, w.attributes['mechanism'] AS mechanism FROM nuclei n "
        "JOIN wells w USING (study_id, plate_id, well_id)"
    ).to_dicts()
    assert len(asked) == len(rows) == ROWS
    for row in asked:
        there = rows[tuple(row[key] for key in KEY)]
        assert [there[name] for name in (*FEATURES, "mechanism")] == [row[name] for name in (*FEATURES, "mechanism")]
        assert there["group"] == f"{row['study_id']}/{row['plate_id']}"


KEY = ("study_id", "plate_id", "well_id", "field_id", "object_id")


def test_rows_are_in_the_order_of_their_identity(made: Any) -> None:
    for table in read(made().folder).values():
        keys = list(zip(*(table[name].to_pylist() for name in KEY), strict=True))
        assert keys == sorted(keys)


@pytest.mark.parametrize("format", ["parquet", "numpy", "anndata"])
def test_the_same_spec_and_pins_give_the_same_bytes(build: Build, made: Any, tmp_path: Path, format: str) -> None:
    other = build(name="other", format=format)
    assert other["sha256"] == made(format).card["sha256"]
    assert files(tmp_path / "other") == files(made(format).folder)
    again = build(name="other", format=format)
    assert (again["status"], again["compared"]["same"], again["compared"]["because"]) == ("same", True, [])


def test_all_formats_hold_the_same(made: Any) -> None:
    assert len({made(format).card["sha256"] for format in ("parquet", "numpy", "anndata")}) == 1
    numpy = made("numpy").folder
    for name, table in read(made("parquet").folder).items():
        values = np.stack([table[one].to_numpy(zero_copy_only=False) for one in FEATURES], axis=1)
        np.testing.assert_array_equal(np.load(numpy / name / "X.npy"), values)
        classes = json.loads((numpy / "labels.json").read_text())["mechanism"]
        assert [classes[code] for code in np.load(numpy / name / "y.npy")] == table["mechanism"].to_pylist()
        assert json.loads((numpy / "features.json").read_text()) == list(FEATURES)
        written = anndata.read_h5ad(made("anndata").folder / f"{name}.h5ad")
        np.testing.assert_array_equal(written.X, values)
        assert written.X.dtype == np.float32
        assert list(written.obs["mechanism"]) == table["mechanism"].to_pylist()
        assert written.var.loc[FEATURES[0], "family"] == "AreaShape"


def test_several_files_of_a_split_hold_the_same(build: Build, made: Any, tmp_path: Path) -> None:
    parts = build(spec(output={"rows_per_file": 20}), name="parts")
    assert parts["sha256"] == made().card["sha256"]
    rows = {one["path"]: one["rows"] for one in parts["files"] if one["path"].startswith("train/")}
    assert next(iter(rows)) == "train/part-00000.parquet"
    assert set(list(rows.values())[:-1]) == {20}
    assert sum(rows.values()) == parts["splits"]["train"]
    assert check_dataset(tmp_path / "parts")["faults"] == []


def test_hash_depends_on_the_numbers_alone(
    build: Build, made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However rows are cut into pieces, also into wells of one plate."""
    once = made().card
    monkeypatch.setattr("cytolake.catalog.datasets.stream._FEWEST", 7)
    monkeypatch.setattr("cytolake.catalog.datasets.stream._PIECE_BYTES", 8)
    in_pieces = build(name="pieces")
    assert in_pieces["sha256"] == once["sha256"]
    assert pq.ParquetFile(tmp_path / "pieces" / "train.parquet").num_row_groups > 3


def test_a_newer_release_is_another_data_set_and_the_comparison_says_why(rebuild: Build, lake: ProfileLake) -> None:
    create_release(lake.lake.root, "r1")
    first = rebuild(as_of="r1")
    add_plate(lake, "a", 7)
    add_plate(lake, "b", 1, seed=99)
    create_release(lake.lake.root, "r2")
    assert rebuild(as_of="r1")["status"] == "same"
    with pytest.raises(AlreadyExistsError, match="it is of r2, was of r1") as caught:
        rebuild(as_of="r2")
    assert "--overwrite" in str(caught.value.hint)
    second = rebuild(as_of="r2", overwrite=True)
    assert second["sha256"] != first["sha256"]
    compared = second["compared"]
    assert not compared["same"]
    assert compared["rows"]["added"] == 6 * PER_WELL
    assert compared["rows"]["removed"] == 0
    assert compared["rows"]["changed"] == 5 * PER_WELL  # B02 of P1 is excluded
    (table,) = (one for one in compared["tables"] if one["table"].startswith("features/"))
    assert table["rows_after"] - table["rows_before"] == 6 * PER_WELL
    assert any("18 added" in one and "15 with other values" in one for one in compared["because"])
    assert rebuild(as_of="r1", name="again")["sha256"] == first["sha256"]


def test_overwrite_removes_nothing_but_data_sets(build: Build, made: Any, tmp_path: Path) -> None:
    made().copy(tmp_path / "set")
    made().copy(tmp_path / "other")
    theirs = tmp_path / "set" / "models" / "trained.pt"
    theirs.parent.mkdir()
    theirs.write_text("weeks of work")
    fewer = spec(features={"columns": ["*"], "exclude": ["*Area"]})
    with pytest.raises(AlreadyExistsError, match=r"models/trained\.pt"):
        build(fewer, overwrite=True)
    theirs.unlink()
    theirs.parent.rmdir()
    assert build(fewer, overwrite=True)["status"] == "ok"
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "card.json").write_text('{"title": "a card of something else"}')
    with pytest.raises(InvalidDataError, match="no card of a data set"):
        build(name="cards", overwrite=True, compare=tmp_path / "other")
    assert (cards / "card.json").exists()
    (tmp_path / "link").symlink_to(tmp_path / "other", target_is_directory=True)
    with pytest.raises(AlreadyExistsError, match="it is a link"):
        build(fewer, name="link", overwrite=True)
    assert (tmp_path / "other" / "card.json").exists()


def test_a_version_that_changes_no_row_is_the_same_data_set(
    rebuild: Build, made: Any, lake: ProfileLake, tmp_path: Path
) -> None:
    made().copy(tmp_path / "set")
    before = files(tmp_path / "set")
    put(lake, "studies", {"study_id": "other", "title": "Another"})
    again = rebuild()
    assert (again["status"], again["compared"]["same"]) == ("same", True)
    assert [one["table"] for one in again["compared"]["tables"]] == ["studies"]
    assert files(tmp_path / "set") == before


def test_compare_with_the_card_of_another_spec(build: Build, made: Any) -> None:
    fewer = build(spec(features={"columns": ["*"], "exclude": ["*Area"]}), compare=made().folder / "card.json")
    assert fewer["compared"]["features"] == {"added": [], "removed": ["Nuclei_AreaShape_Area"]}
    assert fewer["compared"]["spec"] == ["features"]
    assert fewer["compared"]["rows"] == {"added": 0, "removed": 0, "moved": 0, "changed": None}


def test_as_of_a_time_before_a_plate_came(rebuild: Build, made: Any, lake: ProfileLake) -> None:
    before = made().card
    history = lake.lake.root.tables.open("runs").history(1)[0]["timestamp"]
    add_plate(lake, "a", 8)
    then = np.datetime64(history, "ms").astype(str)
    assert rebuild(as_of=then, name="then")["sha256"] == before["sha256"]
    assert rebuild(as_of="2999-01-01", name="later")["splits"] != before["splits"]


def test_every_question_asks_the_versions_of_the_start(
    rebuild: Build, made: Any, lake: ProfileLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = made().card
    from cytolake.catalog.datasets.plan import Plan

    count = Plan.count

    def counted(plan: Plan) -> Any:
        add_plate(lake, "b", 9)
        return count(plan)

    monkeypatch.setattr(Plan, "count", counted)
    assert rebuild(name="during")["sha256"] == once["sha256"]


def test_columns_of_several_sources_stand_beside_each_other(build: Build, whole: ProfileLake, tmp_path: Path) -> None:
    wanted = spec(
        features=[
            {"columns": ["*Area"]},
            {"source": "made-elsewhere@1", "columns": ["*"], "prefix": "Well_"},
            {"source": "quality", "columns": ["Quality_Count*"]},
            {"sql": "SELECT study_id, plate_id, count(*) AS n FROM nuclei GROUP BY ALL", "columns": ["n"]},
        ]
    )
    made = build(wanted)
    assert made["features"] == 1 + 3 + 1 + 1
    rows = pa.concat_tables(read(tmp_path / "set").values()).to_pylist()
    profiles = {
        (row["study_id"], row["plate_id"], row["well_id"]): row for row in whole.lake.sql("FROM profiles").to_dicts()
    }
    for row in rows:
        well = profiles[row["study_id"], row["plate_id"], row["well_id"]]
        assert row[f"Well_{FEATURES[0]}"] == well[FEATURES[0]]
        assert row["Quality_Count"] == PER_WELL
        assert row["n"] == (15 if row["plate_id"] == "P1" else 18)


def test_features_by_family_and_role(build: Build) -> None:
    made = build(spec(features={"families": ["Intensity"]}))
    assert made["features"] == 1
    with pytest.raises(InvalidDataError, match=r"spec: features\[0\]\.families.*did you mean 'Texture'"):
        build(spec(features=[{"families": ["Textur"]}]), name="other")


def test_levels_of_wells_and_of_images(build: Build, tmp_path: Path) -> None:
    made = build(spec(entities={"level": "well"}, output={"keep": ["compound", "batch", "donor_id"]}))
    assert sum(made["splits"].values()) == 34
    rows = pa.concat_tables(read(tmp_path / "set").values()).to_pylist()
    assert {(row["plate_id"], row["donor_id"]) for row in rows} == {
        ("P0", "donor0"),
        ("P1", "donor1"),
        ("P2", "donor1"),
    }
    assert rows[0]["Nuclei_AreaShape_Area"] == pytest.approx(10, abs=3)


def test_numbers_as_labels(build: Build, tmp_path: Path) -> None:
    wanted = spec(labels={"name": "dose", "sql": "CAST(attributes['number'] AS DOUBLE) / 2"})
    made = build(wanted, format="numpy")
    told = made["labels"]["dose"]
    assert "classes" not in told
    assert all(0 <= one["min"] <= one["mean"] <= one["max"] <= 1 for one in told["rows"].values())
    assert np.load(tmp_path / "set" / "train" / "y.npy").dtype == np.float64


def test_without_labels_all_rows_are_there(build: Build) -> None:
    assert sum(build(spec(labels=None))["splits"].values()) == ROWS


def test_filters(build: Build) -> None:
    made = build(spec(filters={"studies": ["a"], "where": "compound <> 'DMSO'"}))
    assert sum(made["splits"].values()) == (3 * 5 - 1) * PER_WELL
    with pytest.raises(
        InvalidDataError, match=r"filters\.where: a row has no column 'compond'; did you mean 'compound'"
    ):
        build(spec(filters={"where": "compond = 'DMSO'"}), name="other")


def test_card_and_page(made: Any) -> None:
    card = json.loads((made().folder / "card.json").read_text())
    assert card["sha256"] == made().card["sha256"]
    assert card["spec"] == SPEC
    assert card["labels"]["mechanism"]["classes"] == ["destabiliser", "none", "stabiliser"]
    counted = sum(sum(of.values()) for of in card["labels"]["mechanism"]["rows"].values())
    assert counted == ROWS
    assert card["splits"]["train"]["cell_line"] == {"count": 1, "values": ["KOLF"]}
    assert card["missing"]["worst_features"] == [{"feature": FEATURES[1], "share": pytest.approx(6 / ROWS)}]
    assert set(card["leakage"]["found"]) >= {"compound", "donor", "cell_line", "study"}
    assert card["sets"][0]["label"] == "nuclei@1"
    assert "plate" not in card["leakage"]["found"]
    page = (made().folder / "README.md").read_text()
    assert f"`{card['sha256']}`" in page
    assert "| destabiliser | " in page


def test_the_page_says_how_to_load_it(made: Any) -> None:
    steps = ["import os"]
    for format in ("parquet", "numpy", "anndata"):
        folder = made(format).folder
        code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
        check = "\nassert X.shape[1] == 3 and len(y) == len(X), X.shape\n"
        # Each in names of its own.
        steps.append(f"os.chdir({str(folder)!r}); exec({code + check!r}, {{}})")
    ran = subprocess.run([sys.executable, "-c", "\n".join(steps)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_check_finds_what_was_changed(made: Any, tmp_path: Path) -> None:
    folder = made().copy(tmp_path / "set")
    assert check_dataset(folder)["faults"] == []
    table = pq.read_table(folder / "test.parquet")
    column = table.column_names.index(FEATURES[0])
    other = pa.array(table[FEATURES[0]].to_numpy() + 1)
    pq.write_table(table.set_column(column, FEATURES[0], other), folder / "test.parquet")
    (folder / "more.txt").touch()
    found = check_dataset(folder)
    assert found["status"] == "damaged"
    assert [fault.split(" ")[0] for fault in found["faults"]] == ["test.parquet", "more.txt"]
    # A card that was made to fit the file does not fit the values.
    (folder / "more.txt").unlink()
    card = json.loads((folder / "card.json").read_text())
    for one in card["files"]:
        if one["path"] == "test.parquet":
            one["sha256"] = hashlib.sha256((folder / "test.parquet").read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    assert check_dataset(folder)["faults"] == [f"test: column {FEATURES[0]} does not hold what the card says"]


WRONG: list[tuple[dict[str, Any], type[CytolakeError], str]] = [
    ({"features": {"columns": ["Nuclei_AreaShap_*"]}}, InvalidDataError, "matches no column of nuclei; did you mean"),
    ({"features": {"columns": ["study_id"]}}, InvalidDataError, "matches no column"),
    ({"features": {"exclude": ["Cells_*"]}}, InvalidDataError, "matches none of the 3 columns"),
    ({"entities": {"level": "object", "source": "nucle"}}, CytolakeError, "did you mean 'nuclei'"),
    ({"entities": {"level": "well", "source": "nuclei"}}, InvalidDataError, "its rows are of level 'object'"),
    ({"entities": {"level": "well", "source": "nuclei@9"}}, NotFoundError, "no set 'nuclei@9'"),
    ({"labels": {"column": "compond"}}, InvalidDataError, "did you mean 'compound'"),
    ({"labels": {"attribute": "mechanisn"}}, InvalidDataError, "did you mean 'mechanism'|no row has a value"),
    ({"labels": {"column": "gene"}}, InvalidDataError, "no row has a value of label 'gene'"),
    ({"labels": {"name": "area", "column": FEATURES[0]}}, InvalidDataError, "would be among the features"),
    ({"labels": {"name": "x", "sql": "random() > 0.5"}}, InvalidDataError, "another value at every run"),
    ({"labels": {"name": "x", "sql": "compound) , (gene"}}, InvalidDataError, "no expression|more than an expression"),
    ({"labels": {"name": "x", "sql": "(SELECT max(gene) FROM wells)"}}, InvalidDataError, "not of one row"),
    ({"labels": {"name": "plate_id", "column": "compound"}}, InvalidDataError, "two columns would have one name"),
    ({"labels": {"column": "attributes"}}, InvalidDataError, "which a data set cannot have"),
    ({"labels": {"vocabulary": "phenotype"}}, InvalidDataError, "the lake has no labels|no label has the vocabulary"),
    ({"filters": {"studies": ["c"]}}, NotFoundError, "there is no study 'c'"),
    ({"filters": {"plates": ["P00"]}}, NotFoundError, "there is no plate 'P00'; did you mean"),
    ({"filters": {"where": "compound = 'water'"}}, InvalidDataError, "would be empty"),
    ({"filters": {"where": "annotated_at < now()"}}, InvalidDataError, "another value"),
    ({"split": {"by": "plat", "fractions": {"a": 1.0}}}, InvalidDataError, "did you mean 'plate'"),
    ({"split": {"by": "gene", "fractions": {"a": 0.5, "b": 0.5}}}, InvalidDataError, "rows have no gene"),
    ({"split": {"by": "mechanism", "fractions": {"a": 1.0}}}, InvalidDataError, "a row has no 'mechanism'"),
    (
        {"split": {"by": "plate", "explicit": {"test": ["a/P0"]}}},
        InvalidDataError,
        "5 of 6 groups by plate are in no list",
    ),
    ({"split": {"by": "plate", "explicit": {"test": ["P0"]}}}, InvalidDataError, "'P0' could be a/P0, b/P0"),
    (
        {"split": {"by": "plate", "fractions": {"a": 0.999, "b": 0.001}}},
        InvalidDataError,
        "split: b would be empty: 6 groups by plate",
    ),
    (
        {"split": {"by": "plate", "fractions": {"a": 0.5, "b": 0.5}, "forbid": ["donor"]}},
        InvalidDataError,
        r"labels \(mechanism\) would leak .* by donor: 'donor",
    ),
    ({"output": {"keep": ["attributes"]}}, InvalidDataError, "a data set cannot have"),
    ({"entities": {"level": "treatment"}, "split": {"by": "plate", "fractions": {"a": 1.0}}}, CytolakeError, "."),
    (
        {"labels": {"column": "compound"}, "split": {"by": "compound", "fractions": {"a": 0.5, "b": 0.5}}},
        InvalidDataError,
        r"classes of 'compound' lie in one group by compound each",
    ),
    (
        {"features": [{"columns": ["*"]}, {"source": "made-elsewhere@1"}]},
        InvalidDataError,
        "a feature would be called 'Nuclei_AreaShape_Area'",
    ),
    (
        {"entities": {"level": "well"}, "features": {"source": "nuclei"}},
        InvalidDataError,
        "rows of nuclei are of level 'object', finer than 'well'",
    ),
    (
        {"features": {"sql": "SELECT study_id, plate_id, well_id, 1.5::DOUBLE AS x FROM nuclei"}},
        InvalidDataError,
        "several rows have one identity|those that were counted",
    ),
]


@pytest.mark.parametrize(("changed", "error", "message"), WRONG)
def test_what_is_wrong_is_said_and_nothing_is_written(
    build: Build, without_folder: Callable[[], None], changed: dict[str, Any], error: type[CytolakeError], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(spec(**changed))
    without_folder()


def test_a_feature_without_any_value(rebuild: Build, lake: ProfileLake, without_folder: Callable[[], None]) -> None:
    sql = "SELECT study_id, plate_id, well_id, NULL::DOUBLE AS nothing, 1.5::DOUBLE AS some FROM wells"
    wanted = {"columns": ["*"]}, {"sql": sql, "columns": ["*"]}
    with pytest.raises(InvalidDataError, match="1 of 5 features have no value in any row: nothing"):
        rebuild(spec(features=list(wanted)))
    without_folder()
    made = rebuild(spec(features=[wanted[0], wanted[1] | {"empty": "drop"}]))
    assert made["features"] == 4
    assert rebuild(spec(features=[wanted[0], wanted[1] | {"empty": "keep"}]), name="kept")["features"] == 5


def test_a_folder_that_is_no_data_set_is_never_replaced(build: Build, whole: ProfileLake, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("years of work")
    with pytest.raises(AlreadyExistsError, match="no data set"):
        build(overwrite=True)
    assert (tmp_path / "set" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(StorageError, match="is no folder"):
        build(name="absent/set")
    for inside in ("data", "tables/data", "."):
        with pytest.raises(UsageError, match="lies in the lake"):
            build_dataset(whole.lake.root, SPEC, Path(whole.lake.root.url) / inside)


def test_anndata_that_is_not_installed(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(MissingExtraError):
        build(format="anndata")


def test_a_killed_build_leaves_nothing_and_loses_nothing(build: Build, made: Any, tmp_path: Path) -> None:
    made().copy(tmp_path / "set")
    before = files(tmp_path / "set")
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    mark = f"{socket.gethostname()}-{dead.stdout.strip()}-00000000"
    # What is left of one that died while it wrote, and of one that died between its two renames.
    (tmp_path / f".set.{mark}.tmp").mkdir()
    shutil.move(tmp_path / "set", tmp_path / f".set.{mark}.old")
    alive = tmp_path / f".set.{socket.gethostname()}-{os.getpid()}-00000000.tmp"
    alive.mkdir()
    assert build()["status"] == "same"
    assert files(tmp_path / "set") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [alive.name, "set"]


def test_kill_while_writing(whole: ProfileLake, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, json\n"
        "from cytolake import open_lake\n"
        "from cytolake.catalog.datasets import build\n"
        "build.write_card = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "open_lake(sys.argv[1]).build_dataset(json.loads(sys.argv[2]), sys.argv[3])\n"
    )
    arguments = [whole.lake.root.url, json.dumps(SPEC), str(tmp_path / "set")]
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True)
    assert ran.returncode == -9
    assert not (tmp_path / "set").exists()
    build_dataset(whole.lake.root, SPEC, tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_group_of_which_nothing_is_kept(build: Build) -> None:
    split = {"by": "compound", "fractions": {"train": 0.5, "test": 0.5}, "assign": "exact"}
    made = build(spec(split=split | {"one_group": "drop", "stratify": "mechanism"}, filters={"studies": ["a"]}))
    # none is DMSO alone, and stabiliser taxol alone; nocodazole and colchicine are left.
    assert made["labels"]["mechanism"]["classes"] == ["destabiliser"]
    assert made["dropped"] == {"mechanism in one group": 9 * PER_WELL}
    assert sum(made["splits"].values()) == (3 * 3 - 1) * PER_WELL


def test_progress_counts_rows(build: Build) -> None:
    told: list[tuple[int, int]] = []
    build(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (ROWS, ROWS)


def test_labels_are_joined_to_their_objects(rebuild: Build, lake: ProfileLake, tmp_path: Path) -> None:
    own = {"field_id": 1, "timepoint": 0, "acquisition_id": 1, "object_set": "nuclei"}
    put(lake, "labels", label("A01", "round", "anna", "2026-01-01", object_id=1, **own))
    put(lake, "labels", label("A02", "flat", "anna", "2026-01-01", object_id=2, **own))
    put(lake, "labels", label("A02", "flat", "anna", "2026-01-01", object_id=2, **own | {"object_set": "cells"}))
    split = {"by": "well", "explicit": {"train": ["a/P0/A01"], "test": ["a/P0/A02"]}, "one_group": "keep"}
    made = rebuild(spec(labels={"vocabulary": "phenotype"}, split=split))
    assert made["splits"] == {"train": 1, "test": 1}
    assert read(tmp_path / "set")["test"]["object_id"].to_pylist() == [2]
