"""Any table with a mapping file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cytolake import Lake, init_lake
from cytolake.errors import InvalidDataError, NotFoundError

MAPPING = """
level = "object"
object_set = "nuclei"
ignore = ["Comment*", "file"]
metadata = ["drug"]
missing = ["n.d.", "-999"]
timepoints_from = 1

[columns]
plate = "Barcode"
row = "R"
column = "C"
site = "Site"
timepoint = "T"
object = "Cell ID"

[features]
"Nuc Area" = "Nuclei_AreaShape_Area"
"Nuc Int" = { name = "Nuclei_Intensity_MeanIntensity_DNA_grey", unit = "{grey}", definition = "Mean grey value." }

[units]
"Speed" = "um/h"
"""
TABLE = """Barcode;R;C;Site;T;Cell ID;drug;Nuc Area;Nuc Int;Speed;Comment 1;Other;file
P-1;B;3;1;1;7;DMSO;100,5;n.d.;1,5;fine;-999;a.tif
P-1;B;3;1;2;7;DMSO;101,5;8000;;;2;b.tif
P-1;C;12;2;1;9;taxol;-999;9000;2,5;?;3;c.tif
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return init_lake(tmp_path / "lab")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "cells.csv"
    path.write_text(TABLE)
    return path


def mapping(tmp_path: Path, text: str = MAPPING) -> Path:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return path


def rows_of(lake: Lake, report: dict) -> list[dict]:
    rows = lake.root.tables.read(next(iter(report["tables"]))).to_pylist()
    return sorted(rows, key=lambda row: (row["well_id"], row["timepoint"]))


def test_objects(lake: Lake, tmp_path: Path, table: Path) -> None:
    report = lake.import_tables(table, study="s", mapping=mapping(tmp_path))
    assert (report["dialect"], report["level"], report["rows"]) == ("wide", "object", 3)
    first, second, third = rows_of(lake, report)
    assert (first["plate_id"], first["well_id"], first["field_id"], first["timepoint"], first["object_id"]) == (
        "P-1",
        "B03",
        1,
        0,
        7,
    )
    assert (second["timepoint"], third["well_id"]) == (1, "C12")
    assert [row["Nuclei_AreaShape_Area"] for row in (first, second, third)] == [100.5, 101.5, None]
    assert [row["Nuclei_Intensity_MeanIntensity_DNA_grey"] for row in (first, second, third)] == [None, 8000, 9000]
    assert [row["Speed"] for row in (first, second, third)] == [1.5, None, 2.5]
    assert [row["Other"] for row in (first, second, third)] == [None, 2, 3]
    assert report["unmapped"] == ["Speed", "Other"]
    assert report["not_features"] == ["Comment 1", "file"]
    dictionary = {row["column"]: row for row in lake.root.tables.read("feature_dictionary").to_pylist()}
    assert dictionary["Nuclei_Intensity_MeanIntensity_DNA_grey"]["unit"] == "{grey}"
    assert dictionary["Nuclei_Intensity_MeanIntensity_DNA_grey"]["definition"] == "Mean grey value."
    assert (dictionary["Speed"]["unit"], dictionary["Nuclei_AreaShape_Area"]["unit"]) == ("um/h", "{pixels2}")
    wells = {row["well_id"]: dict(row["attributes"]) for row in lake.root.tables.read("wells").to_pylist()}
    assert wells == {"B03": {"drug": "DMSO"}, "C12": {"drug": "taxol"}}


def test_only_what_is_named(lake: Lake, tmp_path: Path, table: Path) -> None:
    report = lake.import_tables(table, study="s", mapping=mapping(tmp_path, f"only = true\n{MAPPING}"))
    assert report["unmapped"] == []
    assert {"Speed", "Other"} <= set(report["not_features"])


def test_parquet_of_wells(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "wells.parquet"
    pq.write_table(pa.table({"w": ["A1", "A2"], "score": [1.5, None], "n": [3, 4], "who": ["x", "y"]}), path)
    text = '[columns]\nwell = "w"\nn_objects = "n"\n'
    report = lake.import_tables(path, study="s", plate="P", mapping=mapping(tmp_path, text))
    assert (report["level"], report["rows"], report["not_features"]) == ("well", 2, ["who"])
    assert [(row["n_objects"], row["score"]) for row in rows_of(lake, report)] == [(3, 1.5), (4, None)]


def test_a_skeleton_is_printed_and_works(lake: Lake, tmp_path: Path, table: Path) -> None:
    with pytest.raises(InvalidDataError, match="nothing says what its 13 columns mean") as caught:
        lake.import_tables(table, study="s", dialect="wide")
    printed = (caught.value.hint or "").partition("\n\n")[2]
    assert tomllib.loads(printed)["columns"] == {
        "plate": "Barcode", "field": "Site", "object": "Cell ID", "well": "…"
    }  # fmt: skip
    path = tmp_path / "plain.csv"
    path.write_text("Plate,Well,Site,Score\nP,A1,1,2\nP,A2,1,3\n")
    with pytest.raises(InvalidDataError) as caught:
        lake.import_tables(path, study="s", dialect="wide")
    filled = mapping(tmp_path, (caught.value.hint or "").partition("\n\n")[2])
    report = lake.import_tables(path, study="s", mapping=filled)
    assert (report["level"], report["rows"], report["unmapped"]) == ("field", 2, ["Score"])


def test_unknown_files_are_pointed_to_it(lake: Lake, table: Path) -> None:
    with pytest.raises(InvalidDataError, match="--dialect wide prints one to fill in"):
        lake.import_tables(table, study="s")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("level", "levle"), r"unknown key 'levle'.*level"),
        (('"object"', '"cell"'), "level 'cell' is none"),
        (('object_set = "nuclei"', ""), "no object_set says what the objects are"),
        (('object_set = "nuclei"', 'object_set = "a b"'), "a b"),
        (('plate = "Barcode"', 'plaet = "Barcode"'), r"unknown 'plaet'.*plate"),
        (('plate = "Barcode"', 'plate = "barcode"'), r"\[columns\] names 'barcode', which cells.csv .*Barcode"),
        (('plate = "Barcode"', "plate = 7"), "columns.plate is a text"),
        (('row = "R"\n', ""), "needs both"),
        (('"Nuc Area" =', '"Nuc area" ='), r"\[features\] names 'Nuc area'"),
        (('"Nuclei_AreaShape_Area"', '"Nuclei Area"'), "cannot be the name of a feature"),
        (('"Nuclei_AreaShape_Area"', '"Nuclei_Intensity_MeanIntensity_DNA_grey"'), "one name to several columns"),
        (("definition =", "meaning ="), "'meaning'|meaning"),
        (("timepoints_from = 1", 'timepoints_from = "one"'), "timepoints_from is a whole number"),
        (('["n.d.", "-999"]', '["-999"]'), r"names features that hold text: Nuc Int"),
        (("[columns]", "[columns"), "is no TOML"),
        (('"Nuc Area" =', '"Cell ID" ='), "both a feature and where a row belongs"),
    ],
)  # fmt: skip
def test_mistakes_in_the_mapping(lake: Lake, tmp_path: Path, table: Path, change: tuple[str, str], says: str) -> None:
    text = MAPPING.replace(*change, 1)
    assert text != MAPPING
    with pytest.raises(InvalidDataError, match=says):
        lake.import_tables(table, study="s", mapping=mapping(tmp_path, text))


def test_no_mapping_file(lake: Lake, tmp_path: Path, table: Path) -> None:
    with pytest.raises(NotFoundError, match="no mapping file"):
        lake.import_tables(table, study="s", mapping=tmp_path / "nowhere.toml")


@pytest.mark.parametrize("word", ["oops", "1_000"])
def test_a_word_among_numbers_is_told_with_its_row(lake: Lake, tmp_path: Path, word: str) -> None:
    path = tmp_path / "cells.csv"
    lines = [f"P;A1;{n};{'n.d.' if n == 1 else n}" for n in range(1, 3000)]
    lines[2300] = f"P;A1;2301;{word}"
    path.write_text("plate;well;site;x\n" + "\n".join(lines))
    text = (
        'level = "field"\nmissing = ["n.d."]\n[columns]\nplate = "plate"\nwell = "well"\nfield = "site"\n'
        '[features]\nx = "Image_X"\n'
    )
    with pytest.raises(InvalidDataError, match=f"column x holds '{word}' in row 2,301"):
        lake.import_tables(path, study="s", mapping=mapping(tmp_path, text))
