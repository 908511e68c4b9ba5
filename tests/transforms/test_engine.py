"""Plates into feature tables: right numbers, once, whatever is interrupted, however many workers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pyarrow as pa
import pytest
from cytolake.demo.synthetic import Truth
from cytolake.errors import NotFoundError, RecipeError, UsageError
from cytolake.lake import Lake
from cytolake.store.registry import feature_sets
from vendor_exports import imagexpress

ROLES = {"Alexa 488": "ER", "Alexa 568": "AGP"}
SETS = ("nuclei", "cells")


@pytest.fixture(scope="module")
def measured(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, Any]]:
    """A lake with the tiny plate, measured; read only."""
    lake = cytolake.init_lake(tmp_path_factory.mktemp("measured") / "lake")
    lake.ingest(tiny_export, study="pilot", roles=ROLES)
    return lake, lake.transform(study="pilot", recipe="nuclei-and-cells", workers=1)


@pytest.fixture
def lake(tiny_export: Path, tmp_path: Path) -> Lake:
    """A lake with the tiny plate, not measured yet."""
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(tiny_export, study="pilot", roles=ROLES)
    return lake


def objects(lake: Lake, object_set: str) -> pa.Table:
    """All rows of one object set but the run that made them."""
    (one,) = feature_sets(lake.root)
    return lake.root.tables.read(one.table(object_set)).drop_columns(["run_id"])


def test_the_report_counts_what_the_tables_hold(measured: tuple[Lake, dict[str, Any]]) -> None:
    lake, report = measured
    assert report["status"] == "ok"
    (plate,) = report["plates"]
    assert plate["images"] == 4
    assert plate["objects"] == {name: objects(lake, name).num_rows for name in SETS}
    assert plate["objects"]["nuclei"] > 10


def test_nuclei_are_counted_and_sized_as_drawn(measured: tuple[Lake, dict[str, Any]], demo_truth: Truth) -> None:
    lake, _ = measured
    found = objects(lake, "nuclei").group_by("well_id").aggregate([("Nuclei_AreaShape_Area", "mean")]).to_pylist()
    area = {row["well_id"]: row["Nuclei_AreaShape_Area_mean"] for row in found}
    assert area["A02"] / area["A01"] == pytest.approx(1.5, rel=0.2)
    drawn = sum(1 for _ in demo_truth.objects.to_pylist())
    assert objects(lake, "nuclei").num_rows == pytest.approx(drawn, rel=0.25)


def test_features_of_a_row_are_those_of_its_label(measured: tuple[Lake, dict[str, Any]]) -> None:
    lake, report = measured
    plate = lake.plate("pilot", report["plates"][0]["plate_id"])
    field = plate.field("A01", 1)
    (name,) = [label for label in field.labels() if label.startswith("nuclei_")]
    labels = field.read_label(name)
    dna = [c.role for c in field.channels].index("DNA")
    image = field.read()[dna, 0]
    rows = [r for r in objects(lake, "nuclei").to_pylist() if (r["well_id"], r["field_id"]) == ("A01", 1)]
    assert [r["object_id"] for r in rows] == np.unique(labels)[1:].tolist()
    for row in rows:
        mask = labels == row["object_id"]
        assert row["Nuclei_AreaShape_Area"] == mask.sum()
        assert row["Nuclei_Intensity_MeanIntensity_DNA"] == pytest.approx(image[mask].mean() / 65535, rel=1e-6)


def test_every_cell_has_its_nucleus_number(measured: tuple[Lake, dict[str, Any]]) -> None:
    lake, _ = measured
    cells = objects(lake, "cells")
    assert cells["parent_id"].to_pylist() == cells["object_id"].to_pylist()
    assert objects(lake, "nuclei")["parent_id"].null_count == objects(lake, "nuclei").num_rows


def test_the_dictionary_describes_every_column_once(measured: tuple[Lake, dict[str, Any]]) -> None:
    lake, _ = measured
    described = lake.root.tables.read("feature_dictionary")["column"].to_pylist()
    stored = [
        column for name in SETS for column in objects(lake, name).column_names if column.startswith(name.capitalize())
    ]
    assert sorted(described) == sorted(stored)


def test_a_second_run_replaces_the_rows_by_the_same(lake: Lake) -> None:
    lake.transform(study="pilot", workers=1)
    before = objects(lake, "nuclei")
    lake.transform(study="pilot", workers=1)
    assert objects(lake, "nuclei").equals(before)
    assert len(feature_sets(lake.root)) == 1


def test_two_workers_give_the_rows_of_one(lake: Lake, measured: tuple[Lake, dict[str, Any]]) -> None:
    lake.transform(study="pilot", recipe="nuclei-and-cells", workers=2)
    for name in SETS:
        assert objects(lake, name).equals(objects(measured[0], name))


def test_an_interrupted_run_is_taken_up_and_leaves_nothing_behind(lake: Lake) -> None:
    class Stop(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        lake.transform(study="pilot", workers=1, progress=stop)
    assert feature_sets(lake.root) == []
    assert list(Path(lake.url).glob("staging/transform/**/note.json"))
    lake.transform(study="pilot", workers=1)
    assert objects(lake, "nuclei").num_rows > 10
    assert not list(Path(lake.url).glob("staging/transform/**/*.parquet"))
    assert lake.validate(deep=True)["errors"] == []


def test_a_field_without_its_stain_says_so_and_makes_the_plate_partial(tiny_export: Path, tmp_path: Path) -> None:
    export = Path(shutil.copytree(tiny_export, tmp_path / "export"))
    next(export.rglob("r01c02f02*ch1*.tiff")).unlink()
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(export, study="pilot", roles=ROLES)
    report = lake.transform(study="pilot", workers=1)
    assert report["status"] == "partial"
    assert any("well A02 field 2" in warning for warning in report["warnings"])
    rows = objects(lake, "nuclei").to_pylist()
    assert ("A02", 2) not in {(r["well_id"], r["field_id"]) for r in rows}
    quality = lake.root.tables.read("quality", where={"well_id": "A02"}).to_pylist()
    (count,) = [q for q in quality if q["metric"] == "Count" and q["field_id"] == 2]
    assert count["value"] is None
    assert "no pixels" in count["reason"]


def test_a_missing_channel_that_is_only_measured_gives_null(tiny_export: Path, tmp_path: Path) -> None:
    export = Path(shutil.copytree(tiny_export, tmp_path / "export"))
    next(export.rglob("r01c02f02*ch2*.tiff")).unlink()
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(export, study="pilot", roles=ROLES)
    assert lake.transform(study="pilot", workers=1)["status"] == "ok"
    for row in objects(lake, "nuclei").to_pylist():
        gone = (row["well_id"], row["field_id"]) == ("A02", 2)
        assert (row["Nuclei_Intensity_MeanIntensity_ER"] is None) == gone
        assert row["Nuclei_Intensity_MeanIntensity_DNA"] is not None


def test_a_plate_without_the_stain_is_refused_before_any_work(lake: Lake) -> None:
    with pytest.raises(RecipeError, match=r"plate tiny-1.*DNA") as caught:
        lake.transform(study="pilot", roles={"HOECHST 33342": "Mito"}, workers=1)
    assert "--role" in str(caught.value.hint)
    assert feature_sets(lake.root) == []


def test_wrong_names_are_met_with_the_right_ones(lake: Lake) -> None:
    with pytest.raises(NotFoundError, match="study 'pliot'") as study:
        lake.transform(study="pliot")
    assert "pilot" in str(study.value.hint)
    with pytest.raises(NotFoundError, match="no plate 'tiny-2'"):
        lake.transform(study="pilot", plates=["tiny-2"])
    with pytest.raises(UsageError, match="did you mean 'HOECHST 33342'"):
        lake.transform(study="pilot", roles={"HOECHST 3342": "DNA"})
    with pytest.raises(NotFoundError, match="nuclie"):
        lake.transform(study="pilot", recipe="nuclie")


def test_acquisitions_with_other_stains_share_a_table(tmp_path: Path) -> None:
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(imagexpress.mixed(exported=True).write(tmp_path / "plate"), study="pilot")

    def measured(**roles: str) -> tuple[list[int], list[str]]:
        told = {name.replace("_", " "): role for name, role in roles.items()}
        report = lake.transform(study="pilot", recipe="nuclei", roles=told, workers=1)
        rows = lake.root.tables.read("quality", columns=["acquisition_id"])
        return sorted(set(rows["acquisition_id"].to_pylist())), report["warnings"]

    # Acquisition 3 has Texas Red alone: it is left out, and told.
    acquisitions, warnings = measured(DAPI="DNA", Texas_Red="ER")
    assert acquisitions == [1, 2]
    assert any("acquisition 3" in warning and "role DNA" in warning for warning in warnings)

    # With a stain of its own for the nuclei it has other columns than the fields beside it in the batch.
    acquisitions, warnings = measured(FITC="ER", DAPI="DNA", Texas_Red="DNA")
    assert acquisitions == [1, 2, 3]
    assert not any("left out" in warning for warning in warnings)

    with pytest.raises(RecipeError, match=r"acquisition 1: .* needs a channel with the role DNA"):
        measured(DAPI="ER", Texas_Red="ER")


def test_stacks_are_no_single_planes_which_is_known_before_any_work(tmp_path: Path) -> None:
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(imagexpress.mixed(exported=True).write(tmp_path / "plate"), study="pilot")
    recipe = tmp_path / "single.toml"
    text = 'name = "s"\nprojection = "single"\n[objects.nuclei]\nmethod = "otsu"\nchannel = "DNA"\n'
    recipe.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"takes single planes, and field 1 of well \w+ is a stack of \d") as caught:
        lake.transform(study="pilot", recipe=recipe, roles={"DAPI": "DNA"}, workers=1)
    assert 'projection = "max"' in str(caught.value)
    assert not (tmp_path / "lake" / "staging" / "transform").exists()
    # Where only planes have the stain, the stacks beside them do not matter.
    assert (
        lake.transform(study="pilot", recipe=recipe, roles={"Texas Red": "DNA", "DAPI": "ER"}, workers=1)["status"]
        == "ok"
    )
