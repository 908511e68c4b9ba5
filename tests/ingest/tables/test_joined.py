"""CytoTable's and pycytominer's tables: cells joined with nuclei and cytoplasm are taken apart, levels recognised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cytolake.errors import InvalidDataError
from cytolake.ingest.tables.dialects import choose
from cytolake.ingest.tables.look import find_files
from table_examples import Bring, write_csv


def cells(**more: Any) -> pd.DataFrame:
    """Three cells in two images, in one row each with nucleus and cytoplasm."""
    return pd.DataFrame(
        {
            "Metadata_ImageNumber": [1, 1, 2],
            "Image_Metadata_Plate": "P1",
            "Image_Metadata_Well": ["A01", "A01", "A02"],
            "Metadata_TableNumber": "t",
            "Metadata_ObjectNumber_cytoplasm": [1, 2, 1],
            "Metadata_Cytoplasm_Parent_Cells": [1.0, 2.0, 1.0],
            "Metadata_Cytoplasm_Parent_Nuclei": [3.0, 4.0, 3.0],
            "Metadata_ObjectNumber_cells": [1, 2, 1],
            "Metadata_ObjectNumber": [3, 4, 3],
            "Cytoplasm_AreaShape_Area": [1.0, 2.0, 3.0],
            "Cells_AreaShape_Area": [4.0, 5.0, None],
            "Cells_Parent_Nuclei": [3, 4, 3],
            "Nuclei_AreaShape_Area": [7.0, 8.0, float("inf")],
            "Nuclei_Neighbors_FirstClosestObjectNumber_Adjacent": [4, 3, 0],
            **more,
        }
    )


def test_single_cells_of_cytotable(bring: Bring, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    cells().to_parquet(file)
    report = bring(file)
    assert (report["dialect"], report["level"], report["rows"]) == ("cytotable", "object", 9)
    assert [(r["well_id"], r["field_id"], r["object_id"], r["parent_id"]) for r in bring.rows("cells")] == [
        ("A01", 1, 1, 3), ("A01", 1, 2, 4), ("A02", 2, 1, 3),
    ]  # fmt: skip
    assert [r["object_id"] for r in bring.rows("nuclei")] == [3, 4, 3]
    assert [r["parent_id"] for r in bring.rows("cytoplasm")] == [1, 2, 1]
    nucleus = bring.rows("nuclei")[2]
    assert (nucleus["Nuclei_AreaShape_Area"], nucleus["Nuclei_Neighbors_FirstClosestObjectNumber_Adjacent"]) == (
        None,
        0,
    )
    assert (report["nan"]["values"], report["inf"]["values"]) == (1, 1)


def test_row_groups_and_text_columns(bring: Bring, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = cells(Metadata_drug=pd.Categorical(["x", "x", "y"]))
    with pq.ParquetWriter(tmp_path / "x.parquet", pa.Table.from_pandas(frame).schema) as writer:
        for start in range(3):
            writer.write_table(pa.Table.from_pandas(frame.iloc[start : start + 1]).cast(writer.schema))
    bring(tmp_path / "x.parquet")
    assert len(bring.rows("cells")) == 3
    assert [w["attributes"]["Metadata_drug"] for w in bring.table("wells")] == ["x", "y"]


def test_single_cells_without_numbers_are_counted(bring: Bring, tmp_path: Path) -> None:
    rows = [
        {"Metadata_Plate": "P", "Metadata_Well": well, "Metadata_Site": site, "Metadata_Nuclei_Location_Center_X": x,
         "Nuclei_AreaShape_Area": x} for well, site, x in [("A1", 1, 5), ("A1", 2, 6), ("A1", 1, 7), ("B1", 1, 8)]
    ]  # fmt: skip
    report = bring(write_csv(tmp_path / "x.csv", rows))
    assert [(r["well_id"], r["field_id"], r["object_id"]) for r in bring.rows("nuclei")] == [
        ("A01", 1, 1), ("A01", 2, 1), ("A01", 1, 2), ("B01", 1, 1),
    ]  # fmt: skip
    assert any("has no numbers of objects" in text for text in report["warnings"])


@pytest.mark.parametrize(
    ("columns", "level"),
    [
        ({"Metadata_Plate": "P", "Metadata_Well": "A01"}, "well"),
        ({"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_Site": "s03"}, "field"),
        ({"Metadata_Plate": "P", "Metadata_WellRow": "B", "Metadata_WellColumn": "3"}, "well"),
        ({"Metadata_Plate": "P", "Metadata_Row": "2", "Metadata_Col": "3"}, "well"),
        ({"Metadata_Assay_Plate_Barcode": "P", "Metadata_well_position": "B03", "Metadata_Object_Count": 7}, "well"),
        ({"Metadata_gene": "x"}, "treatment"),
    ],
)
def test_what_a_row_is(bring: Bring, tmp_path: Path, columns: dict[str, Any], level: str) -> None:
    row = {**columns, "Cells_AreaShape_Area": 1.5, "Nuclei_Number_Object_Number": 2.5}
    report = bring(write_csv(tmp_path / "x.csv", [row]))
    assert (report["dialect"], report["level"]) == ("pycytominer", level)
    (found,) = bring.rows(level)
    assert found["Cells_AreaShape_Area"] == 1.5
    if level == "field":
        assert found["field_id"] == 3
    if "Metadata_Object_Count" in columns:
        assert (found["n_objects"], found["well_id"]) == (7, "B03")
    if "Metadata_WellRow" in columns or "Metadata_Row" in columns:
        assert found["well_id"] == "B03"


def test_a_field_that_is_no_number(bring: Bring, tmp_path: Path) -> None:
    row = {"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_Site": "left", "Cells_AreaShape_Area": 1}
    with pytest.raises(InvalidDataError, match="column Metadata_Site numbers things, and holds 'left'"):
        bring(write_csv(tmp_path / "x.csv", [row]))


def test_files_of_two_dialects_are_not_mixed(tmp_path: Path) -> None:
    cells().to_parquet(tmp_path / "cells.parquet")
    write_csv(tmp_path / "wells.csv", [{"Metadata_Plate": "P", "Metadata_Well": "A1", "Cells_AreaShape_Area": 1}])
    with pytest.raises(InvalidDataError, match=r"several dialects know these files: cytotable .*; pycytominer"):
        choose(find_files([tmp_path]), None)
    chosen, evidence = choose(find_files([tmp_path]), "pycytominer")
    assert chosen.name == "pycytominer"
    assert [path.name for path in evidence.files] == ["wells.csv"]


def test_a_damaged_parquet_file(bring: Bring, tmp_path: Path) -> None:
    cells().to_parquet(tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data[:-30])
    with pytest.raises(InvalidDataError, match=r"x\.parquet is damaged"):
        bring(tmp_path / "x.parquet")
