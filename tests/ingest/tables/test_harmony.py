"""Tables of Harmony and Columbus: what stands above them, encodings, units, populations, well results."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from cytolake import Lake, init_lake
from cytolake.errors import InvalidDataError, UsageError

HEAD = (
    "Database Name\tlab\n"
    "Evaluation Signature\t1a2b3c\n"
    "Plate Name\tHT 42\n"
    "Measurement\tMeasurement 2\n"
    "Evaluation\tEvaluation1\n"
    "Population\tPopulation - Nuclei\n"
    "\n"
    "\n"
    "[Data]\n"
)
COLUMNS = (
    "Row", "Column", "Plane", "Timepoint", "Field", "Object No", "X", "Y", "Bounding Box", "Position X [µm]",
    "Nuclei - Nucleus Area [µm²]", "Nuclei - Intensity Nucleus HOECHST 33342 Mean",
    "Nuclei - Cytoplasm Alexa 488 SER Spot 1 px", "Compound", "Concentration",
)  # fmt: skip


def object_rows(*, point: str = ".", time: int = 0) -> list[tuple[str, ...]]:
    rows = []
    for row, column, field, number in ((2, 3, 1, 1), (2, 3, 1, 2), (2, 4, 5, 1)):
        area = f"{100 * row + number}.25".replace(".", point)
        rows.append((
            str(row), str(column), "1", str(time), str(field), str(number), "12", "13", "[1,2,3,4]", f"-1{point}5",
            area, f"431{point}5", "NaN" if number == 2 else f"0{point}125", "DMSO" if column == 3 else "taxol",
            "" if column == 3 else "10",
        ))  # fmt: skip
    return rows


def text(rows, columns=COLUMNS, head=HEAD, end="") -> str:
    lines = ["\t".join(columns), *("\t".join(row) for row in rows)]
    return head + "".join(f"{line}{end}\n" for line in lines)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return init_lake(tmp_path / "lab")


def write(tmp_path: Path, content: str, name: str = "Objects_Population - Nuclei.txt", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))
    return path


def rows_of(lake: Lake, report: dict) -> list[dict]:
    (table,) = report["tables"]
    rows = lake.root.tables.read(table).to_pylist()
    return sorted(rows, key=lambda row: (row["well_id"], row.get("field_id") or 0, row.get("object_id") or 0))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("point", [".", ","])
def test_objects(lake: Lake, tmp_path: Path, encoding: str, point: str) -> None:
    report = lake.import_tables(write(tmp_path, text(object_rows(point=point)), encoding=encoding), study="s")
    assert (report["dialect"], report["level"], report["rows"]) == ("harmony", "object", 3)
    assert next(iter(report["tables"])).endswith("/nuclei")
    assert report["columns_unmapped"] == 0
    first, second, third = rows_of(lake, report)
    assert (first["plate_id"][:5], first["acquisition_id"], first["well_id"], first["field_id"]) == (
        "HT-42",
        2,
        "B03",
        1,
    )
    assert (first["object_id"], second["object_id"], third["field_id"], third["timepoint"]) == (1, 2, 5, 0)
    assert first["Nuclei_AreaShape_Area_um2"] == 201.25
    assert first["Nuclei_Intensity_MeanIntensity_DNA_grey"] == 431.5
    assert first["Cytoplasm_Texture_SERSpot_Alexa488_1_harmony"] == 0.125
    assert second["Cytoplasm_Texture_SERSpot_Alexa488_1_harmony"] is None
    assert first["Nuclei_Location_Position_X_um_harmony"] == -1.5
    wells = {row["well_id"]: dict(row["attributes"]) for row in lake.root.tables.read("wells").to_pylist()}
    assert wells == {"B03": {"Compound": "DMSO"}, "B04": {"Compound": "taxol", "Concentration": "10"}}
    assert "Bounding Box" in report["not_features"]


def test_dictionary_keeps_the_unit_and_the_name(lake: Lake, tmp_path: Path) -> None:
    lake.import_tables(write(tmp_path, text(object_rows())), study="s")
    rows = {row["column"]: row for row in lake.root.tables.read("feature_dictionary").to_pylist()}
    area = rows["Nuclei_AreaShape_Area_um2"]
    assert (area["unit"], area["original"], area["family"]) == ("um2", "Nuclei - Nucleus Area [µm²]", "AreaShape")
    assert rows["Nuclei_Intensity_MeanIntensity_DNA_grey"]["unit"] == "{grey}"


def test_roles(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path, text(object_rows()))
    report = lake.import_tables(path, study="s", roles={"alexa 488": "ER"})
    assert "Cytoplasm_Texture_SERSpot_ER_1_harmony" in rows_of(lake, report)[0]
    with pytest.raises(UsageError, match=r"Alexa 547.*Alexa 488"):
        lake.import_tables(path, study="t", roles={"Alexa 547": "ER"})


def test_two_stains_of_one_structure_share_no_role(lake: Lake, tmp_path: Path) -> None:
    columns = [c.replace("Cytoplasm Alexa 488 SER Spot 1 px", "Intensity Nucleus DAPI Mean") for c in COLUMNS]
    report = lake.import_tables(write(tmp_path, text(object_rows(), columns=columns)), study="s")
    names = rows_of(lake, report)[0]
    assert {
        "Nuclei_Intensity_MeanIntensity_DAPI_grey",
        "Nuclei_Intensity_MeanIntensity_HOECHST33342_grey",
    } <= names.keys()


def test_time_points_from_one_become_those_from_zero(lake: Lake, tmp_path: Path) -> None:
    rows = [*object_rows(time=1), *object_rows(time=2)]
    report = lake.import_tables(write(tmp_path, text(rows)), study="s")
    assert {row["timepoint"] for row in rows_of(lake, report)} == {0, 1}


def test_plate_of_the_folder(lake: Lake, tmp_path: Path) -> None:
    folder = "BC07__2026-02-23T15_22_09-Measurement 3/Evaluation1"
    path = write(
        tmp_path,
        text(object_rows(), head="[Data]\n", end="\t"),
        name=f"{folder}/Objects_Population - Spots Selected.txt",
    )
    report = lake.import_tables(path, study="s")
    row = rows_of(lake, report)[0]
    assert (row["plate_id"], row["acquisition_id"]) == ("BC07", 3)
    assert next(iter(report["tables"])).endswith("/spotsSelected")
    assert row["Nuclei_AreaShape_Area_um2"] == 201.25


RESULTS = (
    "Row", "Column", "Plane", "Timepoint", "Nuclei - Number of Objects", "Nuclei - Nucleus Area [µm²] - Mean per Well",
    "Nuclei - Nucleus Area [µm²] - StdDev per Well", "Nuclei Selected - Nucleus Area [µm²] - Mean per Well",
    "Number of Analyzed Fields",
)  # fmt: skip


def test_well_results(lake: Lake, tmp_path: Path) -> None:
    rows = [("1", "1", "1", "0", "50", "120.5", "11", "130", "9"), ("16", "24", "1", "0", "51", "121.5", "12", "", "9")]
    path = write(tmp_path, text(rows, columns=RESULTS), name="PlateResults.txt")
    report = lake.import_tables(path, study="s", plate_format=384)
    assert (report["level"], report["profile_set"], report["rows"]) == ("well", "harmony@1", 2)
    first, last = rows_of(lake, report)
    assert (first["well_id"], last["well_id"]) == ("A01", "P24")
    assert (first["Nuclei_Count"], first["Nuclei_AreaShape_Area_um2"], first["Nuclei_AreaShape_Area_um2_StdDev"]) == (
        50,
        120.5,
        11,
    )
    assert first["NucleiSelected_AreaShape_Area_um2"] == 130
    assert last["NucleiSelected_AreaShape_Area_um2"] is None


def test_columbus_table_without_lines_above(lake: Lake, tmp_path: Path) -> None:
    columns = (
        "ScreenName",
        "PlateName",
        "WellName",
        "Row",
        "Column",
        "Timepoint",
        "Field",
        "Object No",
        "Nucleus Area [um2]",
    )
    rows = [("scr", "P1", "C05", "3", "5", "0", "1", str(n), str(100 + n)) for n in (1, 2)]
    path = tmp_path / "objects.csv.gz"
    path.write_bytes(gzip.compress("\n".join(",".join(row) for row in (columns, *rows)).encode()))
    report = lake.import_tables(path, study="s")
    row = rows_of(lake, report)[1]
    assert (report["dialect"], row["plate_id"], row["well_id"], row["Nuclei_AreaShape_Area_um2"]) == (
        "harmony",
        "P1",
        "C05",
        102,
    )


def test_damage_is_told_with_its_line(lake: Lake, tmp_path: Path) -> None:
    whole = text(object_rows()).splitlines()
    short = "\n".join([*whole[:-1], whole[-1].rpartition("\t")[0]])
    with pytest.raises(InvalidDataError, match=r"line 13: 14 cells, where the header has 15"):
        lake.import_tables(write(tmp_path, short), study="s")
    twice = [*COLUMNS[:-1], COLUMNS[-2]]
    with pytest.raises(InvalidDataError, match="twice: Compound"):
        lake.import_tables(write(tmp_path, text(object_rows(), columns=twice)), study="s")
    late = [list(row) for _ in range(800) for row in object_rows()]
    for number, row in enumerate(late, 1):
        row[5] = str(number)
    late[2300][10] = "many"
    with pytest.raises(InvalidDataError, match=r"Area.*'many'"):
        lake.import_tables(write(tmp_path, text(late)), study="s")
    assert not lake.root.tables.exists("plates") or lake.root.tables.read("plates").num_rows == 0


def test_a_feature_that_holds_text_is_told(lake: Lake, tmp_path: Path) -> None:
    rows = [list(row) for row in object_rows()]
    rows[1][10] = "many"
    with pytest.raises(InvalidDataError, match="holds numbers, and 'many' among the first rows"):
        lake.import_tables(write(tmp_path, text(rows)), study="s")
    for row in rows:
        row[10] = "many"
    report = lake.import_tables(write(tmp_path, text(rows)), study="s")
    assert any("1 features hold text" in warning and "Nucleus Area" in warning for warning in report["warnings"])
    assert "Nuclei - Nucleus Area [µm²]" in report["not_features"]


def test_a_row_outside_of_the_plate(lake: Lake, tmp_path: Path) -> None:
    rows = [("60", "3", *object_rows()[0][2:])]
    with pytest.raises(InvalidDataError, match="R60C3"):
        lake.import_tables(write(tmp_path, text(rows)), study="s")
