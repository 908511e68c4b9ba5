"""CellProfiler's tables: CSV with an image table, two rows of header, SQLite in three layouts."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import InvalidDataError, SourceFileError
from table_examples import IMAGES, Bring, objects, write_csv


def test_objects_get_their_wells_from_the_image_table(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    report = bring(cellprofiler())
    assert (report["status"], report["dialect"], report["rows"]) == ("ok", "cellprofiler", 12)
    assert report["feature_set"] == report["profile_set"] == "cellprofiler@1"
    assert report["plates_created"] == report["plates"] == ["P1"]
    rows = {(r["well_id"], r["field_id"], r["object_id"]): r for r in bring.rows("cells")}
    assert len(rows) == 8
    assert rows["B02", 1, 2]["Cells_AreaShape_Area"] == 32
    assert rows["B02", 1, 2]["Cells_Intensity_MeanIntensity_DNA"] == 0.375
    assert rows["B02", 1, 2]["parent_id"] == 2
    assert rows["A01", 1, 1]["study_id"] == "s"
    assert rows["A01", 1, 1]["run_id"] == report["run_id"]
    assert report["metadata_columns"] == ["Metadata_gene"]
    wells = bring.table("wells")
    assert [(w["well_id"], w["row"], w["column"], w["attributes"]) for w in wells] == [
        ("A01", 1, 1, {"Metadata_gene": "ECT2"}),
        ("B02", 2, 2, {"Metadata_gene": "mock"}),
    ]
    (plate,) = bring.table("plates")
    assert (plate["path"], plate["fingerprint"], plate["status"], plate["n_rows"], plate["n_columns"]) == (
        None, None, "no_images", 8, 12,
    )  # fmt: skip


def test_images_are_fields(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    report = bring(cellprofiler())
    fields = bring.rows("field")
    assert [f["Cells_Count"] for f in fields] == [2, 2, 2, 2]
    assert "ExecutionTime_01Images" in report["not_features"]
    assert "FileName_DNA" in report["not_features"]
    dictionary = {row["column"]: row for row in bring.table("feature_dictionary")}
    assert dictionary["Cells_Count"]["original"] == "Count_Cells"
    assert dictionary["Cells_AreaShape_Area"]["family"] == "AreaShape"
    assert dictionary["Cells_AreaShape_Area"]["unit"] == "{pixels2}"
    assert dictionary["Cells_Intensity_MeanIntensity_DNA"]["channel_role"] == "DNA"
    (run,) = bring.table("runs")
    read = {one["name"]: one["sha256"] for one in run["inputs"]}
    assert set(read) == {"Cells.csv", "Image.csv"}
    assert all(len(digest) == 64 for digest in read.values())


def test_a_prefix_of_the_experiment_is_no_object(bring: Bring, tmp_path: Path) -> None:
    write_csv(tmp_path / "x" / "MyExpt_Image.csv", IMAGES)
    write_csv(tmp_path / "x" / "MyExpt_FilteredNuclei.csv", objects())
    (tmp_path / "x" / "MyExpt_Experiment.csv").write_text("Key,Value\nCellProfiler_Version,4.2\n")
    report = bring(tmp_path / "x")
    assert report["files_not_read"] == []
    assert bring.rows("FilteredNuclei")[0]["FilteredNuclei_AreaShape_Area"] == 11


def test_objects_with_two_rows_of_header_are_taken_apart(bring: Bring, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_csv(folder / "image.csv", IMAGES)
    header = [
        ("Image", "ImageNumber"), ("Cells", "ObjectNumber"), ("Cells", "AreaShape_Area"), ("Nuclei", "AreaShape_Area"),
        ("Cells", "Number_Object_Number"), ("Nuclei", "Number_Object_Number"), ("Cells", "Parent_Nuclei"),
    ]  # fmt: skip
    with (folder / "object.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(zip(*header, strict=True))
        writer.writerows([[i["ImageNumber"], n, 10 + n, 5 + n, n, n, n] for i in IMAGES for n in (1, 2)])
    bring(folder)
    assert [r["Cells_AreaShape_Area"] for r in bring.rows("cells")] == [11, 12] * 4
    assert [r["Nuclei_AreaShape_Area"] for r in bring.rows("nuclei")] == [6, 7] * 4
    assert [r["parent_id"] for r in bring.rows("cells")] == [1, 2] * 4


def test_one_plate_in_two_folders_with_other_columns(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    one = cellprofiler("1", images=IMAGES[:2], Cells=objects()[:4])
    two = cellprofiler("2", images=IMAGES[2:], Cells=objects(AreaShape_Extent=0.5)[4:])
    bring(one.parent / "1", two)
    extents = [row["Cells_AreaShape_Extent"] for row in sorted(bring.rows("cells"), key=lambda r: r["well_id"])]
    assert extents == [None] * 4 + [0.5] * 4


def database(path: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
    connection = sqlite3.connect(path)
    for name, rows in tables.items():
        names = ", ".join(f'"{column}"' for column in rows[0])
        connection.execute(f'CREATE TABLE "{name}" ({names})')
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', [tuple(row.values()) for row in rows])
    connection.commit()
    connection.close()
    return path


def prefixed(rows: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    return [{k if k.endswith("Number") and "_" not in k else f"{prefix}_{k}": v for k, v in r.items()} for r in rows]


@pytest.mark.parametrize("prefix", ["", "MyExpt_"])
def test_a_database_of_cellprofiler(bring: Bring, tmp_path: Path, prefix: str) -> None:
    cells = [{"ImageNumber": r["ImageNumber"], "Cells_Number_Object_Number": r["ObjectNumber"],
              "Cells_AreaShape_Area": r["AreaShape_Area"]} for r in objects()]  # fmt: skip
    file = database(
        tmp_path / "x.sqlite", {f"{prefix}Per_Image": prefixed(IMAGES, "Image"), f"{prefix}Per_Cells": cells}
    )
    bring(file)
    assert [r["Cells_AreaShape_Area"] for r in bring.rows("cells")] == [11, 12, 21, 22, 31, 32, 41, 42]


def test_one_table_of_all_objects(bring: Bring, tmp_path: Path) -> None:
    rows = [
        {"ImageNumber": r["ImageNumber"], "ObjectNumber": r["ObjectNumber"],
         "Cells_AreaShape_Area": r["AreaShape_Area"], "Nuclei_AreaShape_Area": 1} for r in objects()
    ]  # fmt: skip
    bring(database(tmp_path / "x.db", {"Per_Image": prefixed(IMAGES, "Image"), "Per_Object": rows}))
    assert len(bring.rows("cells")) == len(bring.rows("nuclei")) == 8


def test_a_merge_of_cytominer_database_has_image_numbers_more_than_once(bring: Bring, tmp_path: Path) -> None:
    image = {"ImageNumber": 1, "Image_Metadata_Plate": "P", "Image_Metadata_Site": 1, "Image_Count_Cells": 1}
    images = [{"TableNumber": t, "Image_Metadata_Well": w, **image} for t, w in (("aa", "A01"), ("bb", "A02"))]
    cells = [{"TableNumber": t, "ImageNumber": 1, "ObjectNumber": 1, "Cells_AreaShape_Area": a}
             for t, a in (("aa", 5), ("bb", "nan"))]  # fmt: skip
    report = bring(database(tmp_path / "x.sqlite", {"Image": images, "Cells": cells}))
    assert [(r["well_id"], r["Cells_AreaShape_Area"]) for r in bring.rows("cells")] == [("A01", 5), ("A02", None)]
    assert report["nan"]["values"] == 1


def test_what_a_database_would_run_is_not_run(bring: Bring, tmp_path: Path) -> None:
    file = database(tmp_path / "x.sqlite", {"Per_Image": prefixed(IMAGES, "Image"),
                                            "Per_Cells": prefixed(objects(), "Cells")})  # fmt: skip
    connection = sqlite3.connect(file)
    connection.execute(
        "CREATE VIEW Per_Nuclei AS SELECT *, load_extension('evil') AS Nuclei_AreaShape_Area FROM Per_Cells"
    )
    connection.execute("CREATE TRIGGER t AFTER INSERT ON Per_Cells BEGIN DELETE FROM Per_Image; END")
    connection.commit()
    connection.close()
    before = file.read_bytes()
    report = bring(file)
    assert not any("nuclei" in table for table in report["tables"])
    assert file.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("x.")) == ["x.sqlite"]


def test_a_database_that_is_being_written(bring: Bring, tmp_path: Path) -> None:
    file = database(tmp_path / "x.sqlite", {"Per_Image": prefixed(IMAGES, "Image")})
    writer = sqlite3.connect(file)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("DELETE FROM Per_Image")
    writer.commit()
    with pytest.raises(SourceFileError, match=r"x\.sqlite-wal beside it holds changes"):
        bring(file)
    writer.close()


def test_a_damaged_database_is_told(bring: Bring, tmp_path: Path) -> None:
    file = database(tmp_path / "x.sqlite", {"Per_Image": prefixed(IMAGES, "Image"),
                                            "Per_Cells": prefixed(objects() * 200, "Cells")})  # fmt: skip
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(bytes(data))
    with pytest.raises(SourceFileError, match=r"x\.sqlite.* cannot be read by SQLite"):
        bring(file)


def test_wells_are_read_from_the_names_of_files_where_nothing_else_tells(bring: Bring, tmp_path: Path) -> None:
    places = [("B10", 1), ("B10", 2), ("C03", 1), ("C03", 4)]
    images = [
        {"ImageNumber": n, "FileName_DNA": f"{well}_01_1_{field}_DAPI_001.tif", "PathName_DNA": "/x", "Count_Cells": 2}
        for n, (well, field) in enumerate(places, 1)
    ]
    write_csv(tmp_path / "x" / "Image.csv", images)
    write_csv(tmp_path / "x" / "Cells.csv", objects())
    report = bring(tmp_path / "x", plate_id="P9")
    assert any("wells and fields are read from FileName_DNA" in text for text in report["warnings"])
    assert {(r["plate_id"], r["well_id"], r["field_id"]) for r in bring.rows("field")} == {
        ("P9", "B10", 1), ("P9", "B10", 2), ("P9", "C03", 1), ("P9", "C03", 4),
    }  # fmt: skip


def test_an_image_table_that_says_no_well(bring: Bring, tmp_path: Path) -> None:
    write_csv(tmp_path / "x" / "Image.csv", [{"ImageNumber": 1, "FileName_DNA": "a.tif", "PathName_DNA": "/x"}])
    write_csv(tmp_path / "x" / "Cells.csv", objects()[:2])
    with pytest.raises(InvalidDataError, match="does not say which well an image is of"):
        bring(tmp_path / "x")
    assert bring.table("plates") == []


def test_objects_of_an_image_that_there_is_not(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    with pytest.raises(InvalidDataError, match=r"Cells\.csv: Image\.csv has no image with the number 3, 4"):
        bring(cellprofiler(images=IMAGES[:2]))


def test_two_images_of_one_field(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    images = [{**image, "Metadata_Site": 1} for image in IMAGES]
    with pytest.raises(InvalidDataError, match="plate P1, well A01, field 1 comes more than once"):
        bring(cellprofiler(images=images))
