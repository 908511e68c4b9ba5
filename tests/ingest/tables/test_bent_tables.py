"""Tables that are a little otherwise than usual: read as they are meant, or refused, and never read wrongly."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, SourceFileError
from table_examples import IMAGES, Bring, objects, write_csv


def database(path: Path, **tables: list[dict[str, Any]]) -> Path:
    """Write a SQLite file whose columns have no declared types."""
    with sqlite3.connect(path) as connection:
        for table, rows in tables.items():
            names = ", ".join(f'"{name}"' for name in rows[0])
            connection.execute(f'CREATE TABLE "{table}" ({names})')
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', [tuple(row.values()) for row in rows])
    connection.close()
    return path


def test_two_runs_of_cellprofiler_in_one_folder(bring: Bring, tmp_path: Path) -> None:
    for batch, plate, area in (("Batch1_", "P1", 111), ("Batch2_", "P2", 222)):
        image = {"ImageNumber": 1, "Metadata_Plate": plate, "Metadata_Well": "A1", "Metadata_Site": 1, "FileName_X": 1}
        write_csv(tmp_path / "x" / f"{batch}Image.csv", [image])
        write_csv(tmp_path / "x" / f"{batch}Cells.csv", [{"ImageNumber": 1, "ObjectNumber": 1, "AreaShape_Area": area}])
    bring(tmp_path / "x")
    assert {r["plate_id"]: r["Cells_AreaShape_Area"] for r in bring.rows("cells")} == {"P1": 111, "P2": 222}
    write_csv(tmp_path / "x" / "Nuclei.csv", [{"ImageNumber": 1, "ObjectNumber": 1, "AreaShape_Area": 3}])
    with pytest.raises(InvalidDataError, match=r"Nuclei\.csv: there are several tables of images beside it"):
        bring(tmp_path / "x", existing="replace")


@pytest.mark.parametrize("number", [-1, "-2.0"])
def test_a_negative_number_of_an_object_is_no_number(
    bring: Bring, cellprofiler: Callable[..., Path], number: Any
) -> None:
    rows = objects()
    rows[0]["ObjectNumber"] = number
    with pytest.raises(InvalidDataError, match="object number is -"):
        bring(cellprofiler(Cells=rows))


def test_a_parent_below_one_is_none(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    rows = objects()
    rows[0]["Parent_Nuclei"], rows[1]["Parent_Nuclei"] = -1, 0
    bring(cellprofiler(Cells=rows))
    assert [r["parent_id"] for r in bring.rows("cells")][:3] == [None, None, 1]


def test_numbers_of_images_with_a_fraction_of_nothing(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    bring(cellprofiler(Cells=[row | {"ImageNumber": f"{row['ImageNumber']}.0"} for row in objects()]))
    assert len(bring.rows("cells")) == 8


def test_rows_that_are_filled_up_for_other_objects_are_no_objects(bring: Bring, tmp_path: Path) -> None:
    rows = [
        {"ImageNumber": r["ImageNumber"], "ObjectNumber": r["ObjectNumber"],
         "Nuclei_Number_Object_Number": r["ObjectNumber"], "Nuclei_AreaShape_Area": 1.5,
         "Cells_Number_Object_Number": 1 if r["ObjectNumber"] == 1 else None,
         "Cells_AreaShape_Area": 9.5 if r["ObjectNumber"] == 1 else None} for r in objects()
    ]  # fmt: skip
    bring(database(tmp_path / "x.db", Per_Image=IMAGES, Per_Object=rows))
    assert len(bring.rows("nuclei")) == 8
    assert [(r["object_id"], r["Cells_AreaShape_Area"]) for r in bring.rows("cells")] == [(1, 9.5)] * 4
    rows[1]["Cells_AreaShape_Area"] = 2.5  # a value of no object
    with pytest.raises(InvalidDataError, match="1 rows have no object number"):
        bring(database(tmp_path / "y.db", Per_Image=IMAGES, Per_Object=rows), existing="replace")


def test_objects_with_an_underscore(bring: Bring, tmp_path: Path) -> None:
    rows = [
        {"ImageNumber": r["ImageNumber"], "Big_Nuclei_Number_Object_Number": r["ObjectNumber"],
         "Big_Nuclei_AreaShape_Area": r["AreaShape_Area"]} for r in objects()
    ]  # fmt: skip
    bring(database(tmp_path / "x.db", My_Per_Image=IMAGES, My_Per_Big_Nuclei=rows))
    assert bring.rows("Big_Nuclei")[0]["Big_Nuclei_AreaShape_Area"] == 11


def test_wells_in_the_names_of_an_imagexpress(bring: Bring, tmp_path: Path) -> None:
    images = [
        {"ImageNumber": n, "FileName_DNA": f"Week1_B0{n}_s2_w1.tif", "PathName_DNA": rf"D:\x\TimePoint_{n}",
         "Count_Cells": 2} for n in (1, 2)
    ]  # fmt: skip
    write_csv(tmp_path / "x" / "Image.csv", images)
    write_csv(tmp_path / "x" / "Cells.csv", objects()[:4])
    bring(tmp_path / "x")
    assert [(r["plate_id"], r["well_id"], r["field_id"], r["timepoint"]) for r in bring.rows("field")] == [
        ("Week1", "B01", 2, 0), ("Week1", "B02", 2, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "sqlite"])
def test_a_word_among_the_first_numbers(
    bring: Bring, cellprofiler: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    rows = objects()
    rows[2]["AreaShape_Area"] = "oops"
    file = cellprofiler(Cells=rows) if kind == "csv" else database(tmp_path / "x.db", Image=IMAGES, Cells=rows)
    with pytest.raises(InvalidDataError, match="AreaShape_Area holds numbers, and 'oops' among the first rows"):
        bring(file)


def test_text_where_the_set_has_numbers(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    bring(cellprofiler())
    images = [image | {"Metadata_Plate": "P2"} for image in IMAGES]
    second = cellprofiler("second", images=images, Cells=objects(AreaShape_Area="large"))
    with pytest.raises(InvalidDataError, match=r"plates that were imported before: AreaShape_Area of Cells\.csv"):
        bring(second)
    assert [p["plate_id"] for p in bring.table("plates")] == ["P1"]
    assert bring(second, name="other")["not_features"].count("AreaShape_Area") == 1


def consensus(path: Path, **more: Any) -> Path:
    """Write a table of two treatments."""
    rows = [
        {"Metadata_broad_sample": name, "Metadata_dose_um": dose, "Cells_AreaShape_Area": 1.5, **more}
        for name, dose in (("B1", "10"), ("B2", "nan"))
    ]
    return write_csv(path, rows)


def test_treatments_come_once_and_have_a_name(bring: Bring, tmp_path: Path) -> None:
    file = consensus(tmp_path / "c.csv")
    bring(file)
    assert [r["concentration_um"] for r in bring.rows("treatment")] == [10, None]
    with pytest.raises(InvalidDataError, match=r"treatment 'B1 \| 10' comes more than once"):
        bring(file, consensus(tmp_path / "again.csv"), name="twice")
    with pytest.raises(InvalidDataError, match="do not say which treatment they are"):
        bring(consensus(tmp_path / "d.csv", Metadata_broad_sample="", Metadata_dose_um=""), name="none")
    for word in ("10 uM", "1_000"):  # Python reads the second one
        with pytest.raises(InvalidDataError, match=f"column Metadata_dose_um holds concentrations in µM, and '{word}'"):
            bring(consensus(tmp_path / "e.csv", Metadata_dose_um=word), name="units")


def test_cells_with_blanks_only_are_empty(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    rows = objects()
    rows[1]["AreaShape_Area"], rows[2]["AreaShape_Area"], rows[3]["AreaShape_Area"] = " ", "NA ", " 7.5"
    bring(cellprofiler(Cells=rows))
    assert [r["Cells_AreaShape_Area"] for r in bring.rows("cells")][:4] == [11, None, None, 7.5]


MAPPING = 'level = "well"\n[columns]\nplate = "Barcode"\nwell = "Well"\n'


def test_decimal_commas_beside_a_dose_with_a_point(bring: Bring, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("Barcode;Well;dose;x;y\nP;A1;1.5;2,5;3\nP;A2;;-1,25e3;4\nP;A3;n,a;7;0,5\n")
    (tmp_path / "m.toml").write_text('metadata = ["dose"]\n' + MAPPING)
    bring(file, mapping=tmp_path / "m.toml")
    assert [(r["x"], r["y"]) for r in bring.rows("well")] == [(2.5, 3), (-1250, 4), (7, 0.5)]
    assert bring.table("wells")[0]["attributes"] == {"dose": "1.5"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MAPPING + '[features]\nx = { name = "Cells_AreaShape_Area", unit = 3 }', "unit of 'x' is a text, not 3"),
        (MAPPING + '[features]\nx = { name = "Cells_AreaShape_Area", source = ["a"] }', "source of 'x' is a text"),
        (MAPPING + '[units]\nz = "um"', r"\[units\] names 'z'"),
        ('only = "yes"\n' + MAPPING, "only is true or false"),
        ("missing = [true]\n" + MAPPING, "missing is a text, not True"),
    ],
)
def test_mistakes_in_mapping_files(bring: Bring, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text("Barcode,Well,x\nP,A1,1.5\n")
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(InvalidDataError, match=message):
        bring(tmp_path / "x.csv", mapping=tmp_path / "m.toml")


def test_a_damaged_npz_is_not_passed_over(bring: Bring, tmp_path: Path) -> None:
    folder = tmp_path / "P1" / "A01"
    folder.mkdir(parents=True)
    np.savez(folder / "1.npz", features=np.ones((3, 4)))
    (folder / "2.npz").write_bytes((folder / "1.npz").read_bytes()[:200])
    with pytest.raises(SourceFileError, match=r"2\.npz is damaged"):
        bring(tmp_path / "P1")


@pytest.mark.parametrize(
    ("when", "message"), [("early", r"Image\.csv cannot be read"), ("late", r"Image\.csv changed while it was read")]
)
def test_a_file_that_is_removed_meanwhile(
    bring: Bring, cellprofiler: Callable[..., Path], when: str, message: str
) -> None:
    folder = cellprofiler()

    def remove(read: int, total: int) -> None:
        if when == "early" or read == total:
            (folder / "Image.csv").unlink(missing_ok=True)

    with pytest.raises(SourceFileError, match=message):
        bring(folder, progress=remove)
    assert bring.table("plates") == []


def test_one_cell_of_another_encoding_changes_no_other(bring: Bring, tmp_path: Path) -> None:
    head = "Metadata_Plate,Metadata_Well,Metadata_unit,Cells_AreaShape_Area\nP,A1,µM,1\n".encode()
    (tmp_path / "x.csv").write_bytes(head + b"P,A2,\xb5M,2\n")
    bring(tmp_path / "x.csv")
    assert [well["attributes"] for well in bring.table("wells")] == [{"Metadata_unit": "µM"}] * 2


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_the_index_of_a_data_frame_is_no_feature(bring: Bring, tmp_path: Path, name: str) -> None:
    (tmp_path / "x.csv").write_text(f"{name},Metadata_Plate,Metadata_Well,Cells_AreaShape_Area\n0,P,A1,5\n1,P,A2,6\n")
    report = bring(tmp_path / "x.csv")
    assert (report["columns_mapped"], report["unmapped"]) == (1, [])
    assert report["not_features"] == [name or "column 1"]
