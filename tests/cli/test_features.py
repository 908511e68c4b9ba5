"""The group `features` on a lake with two versions of features and profiles of wells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from cytolake.schemas.tables import arrow_schema, feature_table_schema
from cytolake.store.commit import Commit
from cytolake.store.registry import register
from cytolake.store.root import LakeRoot, init_root

if TYPE_CHECKING:
    from conftest import NotedLake, Run

FEATURES = ("Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DNA", "Nuclei_Texture_Contrast_DNA")
PLATES = ("P1", "P2", "P3")
RECIPE = """name = "watch"
[controls]
where = { control_type = "untreated" }
[quality]
ControlDrift = { warn = 3, refuse = 1000 }
"""


def rows(table: str, *records: dict[str, Any]) -> pa.Table:
    schema = arrow_schema(table)
    return pa.Table.from_pylist([{name: one.get(name) for name in schema.names} for one in records], schema=schema)


def fill(root: LakeRoot, run_id: str, definition: dict[str, Any], drift: float) -> None:
    """Commit 12 wells of 20 objects on each plate; ``drift`` moves the first feature of P3."""
    made = register(root, "nuclei", definition, recipe_text='name = "nuclei"\n', run_id=run_id)
    wells = [f"A{column:02}" for column in range(1, 13)]
    with Commit(root, run_id=run_id, app_id=f"test/{run_id}") as commit:
        made.add_to(commit)
        if made.is_new:
            entries = [
                {
                    "feature_set_hash": made.set.hash,
                    "column": name,
                    "object_set": "nuclei",
                    "family": name.split("_")[1],
                    "operator": name.split("_")[2],
                    "original": f"Their{name.split('_')[2]}",
                    "aliases": ["Mittelwert"] if "Mean" in name else [],
                    "run_id": run_id,
                }
                for name in FEATURES
            ]
            commit.append("feature_dictionary", rows("feature_dictionary", *entries))
        for number, plate in enumerate(PLATES):
            key = {"study_id": "s", "plate_id": plate, "run_id": run_id}
            commit.replace(
                "plates",
                {"study_id": "s", "plate_id": plate},
                rows("plates", {**key, "n_rows": 8, "n_columns": 12, "status": "no_images"}),
            )
            facts = {"row": 1, "n_perturbations": 0, "excluded": False, "control_type": "untreated"}
            commit.replace(
                "wells",
                {"study_id": "s", "plate_id": plate},
                rows("wells", *({**key, **facts, "well_id": well, "column": int(well[1:])} for well in wells)),
            )
            values = np.random.default_rng(number).normal(size=(12 * 20, 3))
            values[:, 0] += drift * (plate == "P3")
            columns: dict[str, Any] = {
                **{name: [value] * 240 for name, value in key.items()},
                "well_id": np.repeat(wells, 20),
                "object_id": np.tile(np.arange(1, 21, dtype=np.int32), 12),
                **{name: np.full(240, 1, np.int32) for name in ("acquisition_id", "field_id", "timepoint")},
                **{name: values[:, at].astype(np.float32) for at, name in enumerate(FEATURES)},
                "parent_id": pa.nulls(240, pa.int32()),
            }
            schema = feature_table_schema(FEATURES)
            table = pa.table({field.name: columns[field.name] for field in schema}).cast(schema)
            commit.replace(made.set.table("nuclei"), {"study_id": "s", "plate_id": plate}, table)
        commit.commit()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "lake"
    root = init_root(folder)
    nuclei = {"method": "otsu", "from": None, "minus": None}
    fill(root, "r1", {"objects": {"nuclei": nuclei}, "features": {"AreaShape": {"version": 1}}}, 0)
    fill(root, "r2", {"objects": {"nuclei": nuclei}, "features": {"AreaShape": {"version": 2}}}, 9)
    return folder


@pytest.fixture
def lake(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    """A copy that a test may change, found without being named."""
    import shutil

    copy = tmp_path / "lake"
    shutil.copytree(filled, copy)
    monkeypatch.setenv("CYTOLAKE_LAKE", str(copy))
    return copy


def test_list_aligns_sets(lake: Path, run: Run) -> None:
    done = run("features", "list")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["set", "kind", "from", "parts", "plates", "rows", "columns", "current", "in", "hash"]
    assert lines[1].split()[:7] == ["nuclei@1", "features", "computed", "nuclei", "3", "720", "3"]
    assert lines[2].split()[7] == "s"
    assert [one["label"] for one in run("features", "list", "--json").json["sets"]] == ["nuclei@1", "nuclei@2"]
    assert run("features", "list", "--study", "t").code == 5


def test_an_empty_lake_says_how_sets_are_made(tmp_path: Path, run: Run) -> None:
    init_root(tmp_path / "empty")
    done = run("features", "list", "--lake", str(tmp_path / "empty"))
    assert (done.code, "cytolake transform" in done.out) == (0, True)


def test_show_describes_one(lake: Path, run: Run) -> None:
    done = run("features", "show", "nuclei@1")
    assert done.code == 0
    assert "720 rows, 3 columns (AreaShape 1, Intensity 1, Texture 1)" in done.out
    assert run("features", "show", "nuclei@1", "--recipe").out == 'name = "nuclei"\n'
    assert run("features", "show", "nuclei@1", "--json").json["contents"]["nuclei"]["rows"] == 720
    assert run("features", "show", "cells").code == 5


def test_diff_shows_what_changed(lake: Path, run: Run) -> None:
    done = run("features", "diff", "nuclei@1", "nuclei@2")
    assert done.code == 0
    assert "features.AreaShape.version" in done.out
    shift = [line for line in done.out.splitlines() if line.startswith("Nuclei_")]
    assert shift[0].split()[:2] == ["Nuclei_AreaShape_Area", "P3"]
    assert "2 columns with the very same values" in done.out
    found = run("features", "diff", "nuclei@1", "nuclei@2", "--study", "s", "--plate", "P1", "--json").json
    assert [one["plate_id"] for one in found["plates"]] == ["P1"]
    assert run("features", "diff", "nuclei@1", "nuclei").code == 0
    assert run("features", "diff", "nuclei@1", "nuclei@1").code == 2


def test_use_chooses_and_goes_back(lake: Path, run: Run) -> None:
    view = ("sql", f"SELECT max({FEATURES[0]}) > 6 AS moved FROM nuclei", "--json")
    assert run(*view).json == [{"moved": True}]
    done = run("features", "use", "nuclei@1", "--study", "s")
    assert (done.code, done.out) == (0, "ok  s: nuclei from nuclei@1 instead of nuclei@2\n")
    assert run(*view).json == [{"moved": False}]
    assert "s*" in run("features", "list").out
    done = run("features", "use", "--newest", "--study", "s")
    assert done.out == "ok  s: the newest again, not nuclei from nuclei@1\n"
    assert run(*view).json == [{"moved": True}]
    assert run("features", "use", "--newest", "--study", "s", "--json").json["status"] == "skipped"


@pytest.mark.parametrize("arguments", [[], ["nuclei", "--newest"]])
def test_use_wants_a_set_or_the_newest(lake: Path, run: Run, arguments: list[str]) -> None:
    done = run("features", "use", "--study", "s", *arguments)
    assert (done.code, "one of the two" in done.err) == (2, True)


def test_check_tells_the_worst_first_and_draws(lake: Path, run: Run, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "watch.toml").write_text(RECIPE, encoding="utf-8")
    done = run("features", "check", "--study", "s", "--recipe", "watch.toml", "--picture", "q.png")
    assert done.code == 0
    first = done.out.splitlines()[1].split()
    assert (first[2], first[4], first[-3:]) == ("ControlDrift", "1", [FEATURES[0], "on", "P3"])
    assert f"({FEATURES[0]} on P3)" in done.err
    assert done.out.splitlines()[-1].startswith("warning  3 plates, ")
    with Image.open(tmp_path / "q.png") as picture:
        assert picture.width >= 600
        assert len(picture.getcolors(100_000) or []) > 10


def test_check_that_refuses_ends_with_4(lake: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text(RECIPE.replace("1000", "4"), encoding="utf-8")
    done = run("features", "check", "--study", "s", "--recipe", "strict.toml", "--json")
    assert (done.code, done.json["verdict"]) == (4, "refused")
    refused = run("release", "create", "spring")
    assert (refused.code, FEATURES[0] in refused.err) == (4, True)


def test_check_compares_with_a_plate_and_a_release(lake: Path, run: Run) -> None:
    assert run("release", "create", "spring").code == 0
    found = run("features", "check", "--study", "s", "--reference", "spring", "--json").json
    worst = next(one for one in found["measures"] if one["metric"] == "KS")["worst"]
    assert worst["reference"] == "release spring: control wells"
    found = run("features", "check", "--study", "s", "--reference", "P1", "--plate", "P3", "--json").json
    assert next(one for one in found["measures"] if one["metric"] == "KS")["worst"]["feature"] == FEATURES[0]
    assert run("features", "check", "--study", "s", "--reference", "autumn").code == 5


def test_a_picture_that_cannot_be_written_is_told_before_any_work(noted: NotedLake, run: Run) -> None:
    done = run("features", "check", "--study", "s", "--picture", "nowhere/q.png", "--lake", "x")
    assert done.code == 2
    assert noted.calls == []
    assert run("features", "check", "--study", "s", "--picture", "q.jpg", "--lake", "x").code == 2


def test_the_dictionary_finds_names_of_imported_tables(lake: Path, run: Run) -> None:
    assert {one["column"] for one in run("catalog", "features", "mittelwert", "--json").json["features"]} == {
        FEATURES[1]
    }
    (one, _) = run("catalog", "features", "theircontrast", "--json").json["features"]
    assert (one["column"], one["original"]) == (FEATURES[2], "TheirContrast")
