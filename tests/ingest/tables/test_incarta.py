"""Object tables of IN Carta."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from cytolake import Lake, init_lake
from cytolake.errors import InvalidDataError, UsageError

#: Columns as IN Carta writes them, one of each kind.
COLUMNS = (
    "OBJECT ID", "Row", "Column", "FOV", "WELL LABEL", "Z", "T", "Class Name", "Class Color",
    "Ancestry Path", "Nuclei Max left border wv1", "Nuclei Area wv1", "Nuclei Form Factor wv1", "Nuclei Major Axis wv1",
    "Nuclei cg X wv1", "Nuclei cg Y wv1", "Nuclei Intensity wv1", "Nuclei Total Intensity wv1",
    "Nuclei Intensity-Bckg wv1",
    "Nuclei Spacing (Gabriel) wv1", "Nuclei Intensity wv3", "Cells Area wv3", "Cells Intensity (Cell) wv3",
    "F Actin Total Area wv2", "F Actin Organelle/Cyto Intensity wv2", "F Actin Unheard Of wv2", "Slice Algorithm",
    "Slice Indicator", "Acquisition Time Stamp", "Plate ID",
)  # fmt: skip
PLATE = "2026-05-06 DAY3 Phall Mito Dapi"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return init_lake(tmp_path / "lab")


def write(path: Path, n_rows: int = 4, *, time: int = 1, drop: tuple[str, ...] = ()) -> Path:
    rows = []
    for n in range(n_rows):
        values = dict.fromkeys(COLUMNS, str(10 + n)) | {
            "OBJECT ID": str(1 + n % 2), "Row": "C", "Column": str(3 + n // 2), "FOV": "2",
            "WELL LABEL": f"C - {3 + n // 2}", "Z": "1", "T": str(time), "Class Name": "", "Class Color": "",
            "Ancestry Path": "", "F Actin Total Area wv2": "", "Slice Algorithm": "CurrentSlice",
            "Slice Indicator": "Yes", "Plate ID": PLATE,
        }  # fmt: skip
        rows.append({name: value for name, value in values.items() if name not in drop})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in COLUMNS if name not in drop], quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_objects(lake: Lake, tmp_path: Path) -> None:
    report = lake.import_tables(write(tmp_path / "a.csv"), study="s", roles={"wv1": "DNA", "wv3": "Mito"})
    assert (report["dialect"], report["level"], report["rows"]) == ("incarta", "object", 4)
    (table,) = report["tables"]
    assert table.endswith("/nuclei")
    rows = sorted(lake.root.tables.read(table).to_pylist(), key=lambda row: (row["well_id"], row["object_id"]))
    first = rows[0]
    assert [(row["well_id"], row["object_id"]) for row in rows] == [("C03", 1), ("C03", 2), ("C04", 1), ("C04", 2)]
    assert (first["field_id"], first["timepoint"]) == (2, 0)
    for column in (
        "Nuclei_AreaShape_BoundingBoxMinimum_X", "Nuclei_AreaShape_Area_um2", "Nuclei_AreaShape_FormFactor_incarta",
        "Nuclei_AreaShape_MajorAxisLength_incarta", "Nuclei_AreaShape_Center_X_um", "Nuclei_AreaShape_Center_Y_incarta",
        "Nuclei_Intensity_MeanIntensity_DNA_grey", "Nuclei_Intensity_IntegratedIntensity_DNA_grey_um2",
        "Nuclei_Intensity_IntensityMinusBackground_DNA_incarta", "Nuclei_Neighbors_SpacingGabriel_incarta",
        "Nuclei_Intensity_MeanIntensity_Mito_grey", "Cells_AreaShape_Area_um2",
        "FActin_Intensity_OrganelleOverCytoplasmIntensity_wv2_incarta", "F_Actin_Unheard_Of_wv2",
    ):  # fmt: skip
        assert first[column] == 10, column
    assert first["FActin_AreaShape_TotalArea_incarta"] is None
    assert report["unmapped"] == ["F_Actin_Unheard_Of_wv2"]
    plates = lake.root.tables.read("plates").to_pylist()
    assert [(plate["name"], plate["status"]) for plate in plates] == [(PLATE, "no_images")]
    assert {"Z", "Acquisition Time Stamp", "Slice Algorithm", "Class Name"} <= set(report["not_features"])


def test_two_days_are_two_tables_of_one_import(lake: Lake, tmp_path: Path) -> None:
    files = [write(tmp_path / "day0.csv", time=1), write(tmp_path / "day1.csv", time=2, drop=("Cells Area wv3",))]
    report = lake.import_tables(files, study="s")
    rows = lake.root.tables.read(next(iter(report["tables"]))).to_pylist()
    assert {row["timepoint"] for row in rows} == {0, 1}
    assert {row["Cells_AreaShape_Area_um2"] is None for row in rows if row["timepoint"] == 1} == {True}


def test_a_wave_without_columns(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wv9"):
        lake.import_tables(write(tmp_path / "a.csv"), study="s", roles={"wv9": "DNA"})


def test_objects_that_come_twice(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=r"object 1 of plate .*well C03, field 2 comes more than once"):
        lake.import_tables([write(tmp_path / "a.csv"), write(tmp_path / "b.csv")], study="s")


def test_no_table_of_incarta(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("OBJECT ID,FOV,Area\n1,1,2\n")
    with pytest.raises(InvalidDataError, match="not written in the dialect incarta"):
        lake.import_tables(path, study="s", dialect="incarta")
