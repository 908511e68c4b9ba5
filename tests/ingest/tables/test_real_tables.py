"""Tables that CellProfiler, cytominer-database and pycytominer wrote: row by row as an independent reader has them.

pandas and sqlite3 read the files again, and every column of the lake is compared under the name that the dictionary
says it had.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cytolake.schemas.identifiers import format_well, parse_well
from cytolake.store.registry import feature_tables, profile_tables
from table_examples import Bring

NF1 = "cytotable_fixtures/tests__data__cellprofiler__NF1_SchwannCell_data__all_cellprofiler.sqlite"
CELL_HEALTH = "cytotable_fixtures/tests__data__cytominer-database__Cell-Health__test-SQ00014613.sqlite"
JOINED = "pycytominer_fixtures/tests__test_data__cytominer_database_example_data__test_SQ00014613.parquet"
WELLS = "pycytominer_fixtures/tests__test_data__collate__backend__2021_04_20_Target2__BR00121431__BR00121431_main.csv"
IMAGE = "nf1_schwann/1.cellprofiler_ic__image_quality_control__qc_results__Plate_5__Image.csv"
SETS = ("Cells", "Cytoplasm", "Nuclei")


@pytest.fixture
def profiles(shared_data: Path) -> Path:
    """The folder of real tables."""
    return shared_data / "profiles"


def lay_out(source: Path, prefix: str, target: Path) -> Path:
    """Copy files whose names hold their folders into these folders."""
    for file in source.glob(f"{prefix}*"):
        place = target / file.name.removeprefix(prefix).replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return target


def assert_equal(bring: Bring, part: str, expected: pd.DataFrame, by: Sequence[str]) -> int:
    """Compare a table with what another reader read; both are sorted by well, field and object. Return its columns."""
    tables = {**feature_tables(bring.root), **profile_tables(bring.root)}
    ((name, one),) = [(table, one) for table, (one, its) in tables.items() if its == part]
    keys = {"object": ["well_id", "field_id", "object_id"], "field": ["well_id", "field_id"], "well": ["well_id"]}
    level = part if part in keys else "object"
    found = bring.root.tables.read(name).to_pandas().sort_values(keys[level]).reset_index(drop=True)
    expected = expected.copy()
    expected[by[0]] = [format_well(*parse_well(well)) for well in expected[by[0]]]
    for column in by[1:]:
        expected[column] = expected[column].astype(int)
    expected = expected.sort_values(list(by)).reset_index(drop=True)
    assert len(found) == len(expected)
    for ours, theirs in zip(keys[level], by, strict=True):
        assert found[ours].tolist() == expected[theirs].tolist()
    dictionary = [row for row in bring.table("feature_dictionary") if row["feature_set_hash"] == one.hash]
    original = {row["column"]: row["original"] for row in dictionary}
    compared = 0
    for column in found.columns.intersection(list(original)):
        want = np.array([number(value) for value in expected[original[column]]])
        want = want.astype(found[column].dtype)
        want[~np.isfinite(want)] = np.nan
        assert np.array_equal(want, found[column].to_numpy(), equal_nan=True), column
        compared += 1
    return compared


def number(value: Any) -> float:
    """Return what Python makes of a cell: pandas' own parser is off by the last bit now and then."""
    return math.nan if value is None or value in ("", "nan", "NaN") else float(value)


def read(path: Path, **options: Any) -> pd.DataFrame:
    return pd.read_csv(path, dtype=object, keep_default_na=False, **options).copy()


def test_example_human(profiles: Path, bring: Bring, tmp_path: Path) -> None:
    folder = lay_out(
        profiles / "cytotable_fixtures", "tests__data__cellprofiler__ExampleHuman__", tmp_path / "ExampleHuman"
    )
    report = bring(folder)
    assert report["plates_created"] == ["AS_09125_050116030001"]
    for name, columns in (*zip(SETS, (100, 99, 102), strict=True), ("PH3", 3)):
        expected = read(folder / f"{name}.csv").assign(well="D03", field=0)
        assert (
            assert_equal(bring, name if name == "PH3" else name.lower(), expected, ["well", "field", "ObjectNumber"])
            == columns
        )


@pytest.mark.parametrize("joined", [False, True])
def test_cytominer_database(profiles: Path, bring: Bring, tmp_path: Path, joined: bool) -> None:
    """The same objects, from a file of each set and from the one file with two rows of header."""
    folder = lay_out(
        profiles / "cytotable_fixtures", "tests__data__cytominer-database__data_a__", tmp_path / "110000106828"
    )
    expected: dict[str, list[pd.DataFrame]] = {name: [] for name in SETS}
    for part in ("1", "2"):
        images = read(folder / part / "image.csv")[["ImageNumber", "Metadata_Well", "Metadata_Site"]]
        for name in SETS:
            rows = read(folder / part / f"{name}.csv")
            if joined:
                (folder / part / f"{name}.csv").unlink()
                rows = read(folder / part / "object.csv", header=[0, 1])
                rows.columns = ["_".join(column) for column in rows.columns]
                own = {"ImageNumber": rows["Image_ImageNumber"], "ObjectNumber": rows[f"{name}_Number_Object_Number"]}
                rows = pd.concat([rows, pd.DataFrame(own)], axis=1)
            expected[name].append(rows.merge(images))
    report = bring(folder)
    assert report["rows"] == 3 * 40 + 8
    assert any("object.csv: cells, " in text for text in report["warnings"]) != joined
    for name in SETS:
        by = ["Metadata_Well", "Metadata_Site", "ObjectNumber"]
        assert assert_equal(bring, name.lower(), pd.concat(expected[name]), by) > 270


def test_sqlite_of_export_to_database(profiles: Path, bring: Bring) -> None:
    bring(profiles / NF1)
    connection = sqlite3.connect(profiles / NF1)
    images = pd.read_sql("SELECT ImageNumber, Image_Metadata_Well w, Image_Metadata_Site f FROM Per_Image", connection)
    for name in SETS:
        rows = pd.read_sql(f"SELECT * FROM Per_{name}", connection).merge(images)
        assert assert_equal(bring, name.lower(), rows, ["w", "f", f"{name}_Number_Object_Number"]) > 385
    connection.close()


def test_sqlite_of_cytominer_database(profiles: Path, bring: Bring) -> None:
    bring(profiles / CELL_HEALTH)
    connection = sqlite3.connect(profiles / CELL_HEALTH)
    query = "SELECT TableNumber, ImageNumber, Image_Metadata_Well w, Image_Metadata_Site f FROM Image"
    images = pd.read_sql(query, connection)
    for name in SETS:
        rows = pd.read_sql(f"SELECT * FROM {name}", connection).merge(images)
        assert assert_equal(bring, name.lower(), rows, ["w", "f", "ObjectNumber"]) > 575
    connection.close()


def test_cells_joined_with_their_nuclei(profiles: Path, bring: Bring) -> None:
    assert bring(profiles / JOINED)["dialect"] == "cytotable"
    rows = pd.read_parquet(profiles / JOINED)
    for name, number in zip(SETS, ("ObjectNumber_cells", "ObjectNumber_cytoplasm", "ObjectNumber"), strict=True):
        by = ["Image_Metadata_Well", "Metadata_ImageNumber", f"Metadata_{number}"]
        assert assert_equal(bring, name.lower(), rows, by) > 570


def test_profiles_of_wells(profiles: Path, bring: Bring) -> None:
    report = bring(profiles / WELLS)
    assert (report["level"], report["columns_mapped"]) == ("well", 5786)
    assert assert_equal(bring, "well", read(profiles / WELLS), ["Metadata_Well"]) == 5790
    assert [row["n_objects"] for row in bring.rows("well")] == [277, 185]


def test_an_image_table_alone(profiles: Path, bring: Bring) -> None:
    report = bring(profiles / IMAGE, plate_id="Plate_5")
    assert report["rows"] == 1512
    rows = read(profiles / IMAGE)
    named = rows["FileName_OrigCY5"].str.extract(r"^(?P<w>[A-H]\d+)_\d\d_\d_(?P<f>\d+)_")
    assert assert_equal(bring, "field", pd.concat([rows, named], axis=1), ["w", "f"]) == 28
