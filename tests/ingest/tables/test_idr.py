"""Tables of wells as studies in the IDR publish them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from cytolake import Lake, init_lake
from cytolake.errors import InvalidDataError

AREA = "Nucleus Area [µm²] - Mean per Well"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return init_lake(tmp_path / "lab")


def write(path: Path, header, rows, encoding: str = "latin-1") -> Path:
    path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n", encoding=encoding)
    return path


def wells_of(lake: Lake) -> dict[tuple[str, str], dict[str, str]]:
    rows = lake.root.tables.read("wells").to_pylist()
    return {(row["plate_id"], row["well_id"]): dict(row["attributes"] or []) for row in rows}


def values_of(lake: Lake, report: dict, column: str) -> dict[tuple[str, str], float]:
    rows = lake.root.tables.read(next(iter(report["tables"]))).to_pylist()
    return {(row["plate_id"], row["well_id"]): row[column] for row in rows}


HEADER = (
    "Plate",
    "Well",
    "Row",
    "Column",
    "Genes",
    "Well Name",
    "Number of Cells selected",
    AREA,
    "Neighbour Fraction",
)


def test_features_of_wells(lake: Lake, tmp_path: Path) -> None:
    rows = [
        ("P 1", "C3", "3", "3", "ECT2/ECT2", "C03", "603", "151.5", "0.5"),
        ("P 1", "C4", "3", "4", "C9orf100/ARHGEF39", "C04", "515", "134.5", ""),
        ("P 1", "C5", "3", "5", "Cells", "C05", "700", "140", "0.25"),
        ("P 1", "C6", "3", "6", "60000", "C06", "1", "", "0.125"),
    ]
    report = lake.import_tables(write(tmp_path / "x_features.txt", HEADER, rows), study="s")
    assert (report["dialect"], report["level"], report["rows"]) == ("idr", "well", 4)
    (plate,) = report["plates"]
    genes = {well: attributes["Genes"] for (_, well), attributes in wells_of(lake).items()}
    assert genes == {"C03": "ECT2", "C04": "C9orf100/ARHGEF39", "C05": "Cells", "C06": "60000"}
    areas = values_of(lake, report, "Nuclei_AreaShape_Area_um2")
    assert areas == {(plate, "C03"): 151.5, (plate, "C04"): 134.5, (plate, "C05"): 140.0, (plate, "C06"): None}
    assert values_of(lake, report, "n_objects")[plate, "C03"] == 603
    assert report["unmapped"] == ["Neighbour_Fraction"]


def test_rows_of_one_well_that_do_not_contradict_are_one(lake: Lake, tmp_path: Path) -> None:
    header = ("Plate", "Well", "Gene Symbol", "Has Phenotype", "Z-score (Fan)", "Z-score (Large)")
    rows = [("P", "A1", "X", "yes", "2.5", ""), ("P", "A2", "Y", "no", "", ""), ("P", "A1", "X", "yes", "", "3.5")]
    report = lake.import_tables(write(tmp_path / "processed.txt", header, rows), study="s")
    assert report["rows"] == 2
    assert values_of(lake, report, "Z-score__Fan_")["P", "A01"] == 2.5
    assert values_of(lake, report, "Z-score__Large_")["P", "A01"] == 3.5
    assert any("1 wells have several rows" in text for text in report["warnings"])


def test_rows_of_one_well_that_contradict(lake: Lake, tmp_path: Path) -> None:
    header = ("Plate", "Well", "Gene Symbol", "Score")
    rows = [("P", "A1", "X", "2.5"), ("P", "A1", "X", "3.5")]
    with pytest.raises(InvalidDataError, match="plate P, well A01 comes more than once"):
        lake.import_tables(write(tmp_path / "processed.txt", header, rows), study="s")


def test_annotation_without_numbers_is_no_table_of_features(lake: Lake, tmp_path: Path) -> None:
    header = ("Plate", "Well", "Well Number", "Characteristics [Organism]", "Compound Name", "Replicate")
    path = write(tmp_path / "annotation.csv", header, [("P", "A1", "1", "Homo sapiens", "DMSO", "2")])
    with pytest.raises(InvalidDataError, match="no dialect knows"):
        lake.import_tables(path, study="s")


def test_uneven_rows(lake: Lake, tmp_path: Path) -> None:
    rows = [("P", "A1", "3", "3", "X", "A01", "1", "2", "3"), ("P", "A2", "3", "3", "X", "A02", "1", "2")]
    with pytest.raises(InvalidDataError, match=r"line 3: 8 cells, where the header has 9"):
        lake.import_tables(write(tmp_path / "f.txt", HEADER, rows), study="s")


def test_a_huge_cell(lake: Lake, tmp_path: Path) -> None:
    rows = [("P", "A1", "3", "3", "X" * (1 << 20), "A01", "1", "2", "3")]
    report = lake.import_tables(write(tmp_path / "f.txt", HEADER, rows), study="s")
    assert report["rows"] == 1
    assert "Genes" not in wells_of(lake)["P", "A01"]  # too long to be kept with a well


@pytest.mark.parametrize(("screen", "n_rows", "n_mock", "n_ect2"), [("A", 960, 384, 4), ("B", 1523, 734, 4)])
def test_published_screens(lake: Lake, shared_data: Path, screen: str, n_rows: int, n_mock: int, n_ect2: int) -> None:
    folder = shared_data / "profiles" / "idr0028_rhogtpase"
    found = sorted(folder.glob(f"*screen{screen}__*_features.txt"))
    if not found:
        pytest.skip(f"no tables of idr0028 screen {screen} in {folder}")
    report = lake.import_tables(found[0], study="idr0028")
    assert (report["dialect"], report["rows"]) == ("idr", n_rows)
    with found[0].open(encoding="latin-1", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == n_rows
    genes = Counter(attributes["Genes"] for attributes in wells_of(lake).values())
    assert (genes["Cells"], genes["ECT2"]) == (n_mock, n_ect2)
    areas = values_of(lake, report, "Nuclei_AreaShape_Area_um2")
    for row in rows:
        well = f"{row['Well'][0]}{int(row['Well'][1:]):02d}"
        assert areas[row["Plate"], well] == float(row["Nucleus Area [um_] - Mean per Well"])
    assert report["columns_mapped"] + report["columns_unmapped"] == 132


@pytest.mark.parametrize(("screen", "n_rows"), [("A", 532), ("B", 480)])
def test_published_scores(lake: Lake, shared_data: Path, screen: str, n_rows: int) -> None:
    found = sorted((shared_data / "profiles" / "idr0028_rhogtpase").glob(f"*screen{screen}-processed.txt"))
    if not found:
        pytest.skip(f"no scores of idr0028 screen {screen}")
    report = lake.import_tables(found[0], study="idr0028")
    assert (report["rows"], report["columns_mapped"] + report["columns_unmapped"]) == (n_rows, 9)
