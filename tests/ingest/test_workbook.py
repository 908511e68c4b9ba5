"""Plate maps in Excel workbooks: what a person sees in the sheet, and never what Excel made of it silently."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from cytolake.errors import InvalidDataError, NotFoundError
from cytolake.ingest.annotation.files import MAX_BYTES, is_sheet, open_file, unpack
from cytolake.ingest.annotation.platemap import read_annotation
from cytolake.ingest.annotation.result import AnnotationResult, PlateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

P1 = PlateFormat(plate_id="P1", n_rows=8, n_columns=12, barcode="BR001")
P2 = PlateFormat(plate_id="P2", n_rows=8, n_columns=12)


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title.replace("_", " "))
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def read(path: Path | str, **options: Any) -> AnnotationResult:
    return read_annotation([path], **{"study_id": "s", "run_id": "r", "plates": [P1]} | options)


def compounds(result: AnnotationResult) -> dict[str, str | None]:
    assert result.errors == ()
    return {row["well_id"]: row["compound"] for row in result.wells.to_pylist()}


def faults(result: AnnotationResult) -> list[tuple[int, str, str]]:
    return [(e.row, e.column, e.rule) for e in result.errors]


LONG = [["Well", "Compound", "Dose (uM)", "Replicate"], ["A1", "Aspirin", 10, 1.0], ["B02", "DMSO", None, 2]]


def test_a_sheet_with_a_row_per_well(tmp_path: Path) -> None:
    result = read(workbook(tmp_path / "map.xlsx", Sheet1=LONG))
    assert compounds(result) == {"A01": "Aspirin", "B02": "DMSO"}
    assert result.wells["replicate"].to_pylist() == [1, 2]
    assert result.well_perturbations["concentration_text"].to_pylist() == ["10 uM", None]
    assert result.annotations[0].file == "map.xlsx#Sheet1"


def test_numbers_are_read_as_excel_shows_them(tmp_path: Path) -> None:
    rows = [["well", "compound", "dose_um", "my number"], ["A1", "X", 0.1 + 0.2, 1e-7], ["A2", "X", 3.0, 12345678901]]
    result = read(workbook(tmp_path / "map.xlsx", map=rows))
    assert result.well_perturbations["concentration"].to_pylist() == [0.3, 3.0]
    assert [dict(a.attributes)["my number"] for a in result.annotations] == ["1e-07", "12345678901"]


def test_lines_above_the_header_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [["Screen of May"], [None], *LONG]
    result = read(workbook(tmp_path / "map.xlsx", map=rows))
    assert list(compounds(result)) == ["A01", "B02"]
    assert any("line 1 above the header is not read" in w for w in result.warnings)


def test_row_numbers_are_those_of_the_sheet(tmp_path: Path) -> None:
    rows = [["well", "compound"], ["A1", "X"], [None, None], ["Z9", "Y"], ["Q", "Z"]]
    found = faults(read(workbook(tmp_path / "map.xlsx", map=rows)))
    assert found == [(4, "well", "outside-plate"), (5, "well", "well")]


# --- which sheet


def test_a_sheet_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = workbook(tmp_path / "map.xlsx", first=LONG, second=[["well", "compound"], ["A1", "Other"]])
    assert compounds(read(f"{path}#second")) == {"A01": "Other"}
    with pytest.raises(InvalidDataError, match=r"no sheet 'secnd'; did you mean 'second'") as raised:
        read(f"{path}#secnd")
    assert "first, second" in (raised.value.hint or "")


def test_two_maps_of_one_plate_are_not_mixed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "map.xlsx", first=LONG, second=LONG)
    assert {e.rule for e in read(path).errors} == {"duplicate-well"}


def test_sheets_named_after_plates_are_their_maps(tmp_path: Path) -> None:
    path = workbook(tmp_path / "map.xlsx", P1=LONG, P2=[["well", "compound"], ["A1", "Other"]], notes=[["by Ann"]])
    result = read(path, plates=[P1, P2])
    assert [(a.plate_id, a.well_id) for a in result.annotations] == [("P1", "A01"), ("P1", "B02"), ("P2", "A01")]
    assert any("sheets without wells are not read: notes" in w for w in result.warnings)


def test_hidden_sheets_are_left_out(tmp_path: Path) -> None:
    path = workbook(tmp_path / "map.xlsx", old=LONG, new=[["well", "compound"], ["A1", "New"]])
    book = openpyxl.load_workbook(path)
    book["old"].sheet_state = "hidden"
    book.save(path)
    assert compounds(read(path)) == {"A01": "New"}


def test_a_workbook_without_wells_says_so(tmp_path: Path) -> None:
    result = read(workbook(tmp_path / "map.xlsx", a=[["x", "y"], [1, 2]], b=[["z"], [1]]))
    assert faults(result) == [(1, "", "missing-column")]


# --- what Excel does to cells


def test_merged_cells_are_refused_where_they_leave_cells_empty(tmp_path: Path) -> None:
    path = workbook(tmp_path / "map.xlsx", map=[["Title"], *LONG, ["C3", "Ibuprofen", 1, 1]])
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("A1:D1")  # a title over the table is no harm
    book.active.merge_cells("B3:B4")
    book.save(path)
    result = read(path)
    assert faults(result) == [
        (3, "Compound", "merged-cells"),
        (4, "Compound", "merged-cells"),
    ]
    assert "B3:B4 are merged" in result.errors[0].message
    assert [a.well_id for a in result.annotations] == ["C03"]


def test_a_formula_that_was_never_computed_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "map.xlsx", map=[["well", "gene", "dose"], ["A1", "=B3", None], ["A2", "TP53", None]])
    result = read(path)
    assert faults(result) == [(2, "gene", "formula")]
    assert "never computed" in result.errors[0].message


def test_a_computed_formula_is_its_value_and_a_failed_one_a_fault(tmp_path: Path) -> None:
    path = workbook(tmp_path / "map.xlsx", map=[["well", "compound"], ["A1", "=1"], ["A2", "=2"], ["A3", "#REF!"]])
    data = rewrite(
        path,
        lambda xml: xml.replace(b"<f>1</f><v></v>", b"<f>1</f><v>7</v>").replace(b"<f>1</f><v/>", b"<f>1</f><v>7</v>"),
    )
    path.write_bytes(data)
    result = read(path)
    assert faults(result) == [(3, "compound", "formula"), (4, "compound", "formula")]
    assert [(a.well_id, a.treatments[0].perturbation["name"]) for a in result.annotations if a.treatments] == [
        ("A01", "7")
    ]


def rewrite(path: Path, change: Any, part: str = "xl/worksheets/sheet1.xml") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name == part else data)
    return buffer.getvalue()


def test_dates_are_refused_where_a_value_is_meant(tmp_path: Path) -> None:
    day = datetime(2026, 9, 2, tzinfo=UTC).replace(tzinfo=None)
    rows = [["well", "gene", "seeded on"], ["A1", day, day], ["A2", "TP53", day]]
    result = read(workbook(tmp_path / "map.xlsx", map=rows))
    assert faults(result) == [(2, "gene", "date")]
    assert "SEPT2" in result.errors[0].message
    assert [dict(a.attributes) for a in result.annotations] == [{"seeded on": "2026-09-02"}]


def test_genes_that_a_spreadsheet_made_dates_of_are_known_in_text_too(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("well,gene\nA1,2-Sep\nA2,Mar-01\nA3,MARCHF1\n")
    assert faults(read(path)) == [(2, "gene", "date"), (3, "gene", "date")]


# --- damaged and malicious files


def test_old_workbooks_and_passwords_are_named(tmp_path: Path) -> None:
    (tmp_path / "map.xls").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    with pytest.raises(InvalidDataError, match="old Excel"):
        read(tmp_path / "map.xls")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: b'<!DOCTYPE x [<!ENTITY a "b">]>' + x, "declares a document type"),
        (lambda x: x.replace(b'<row r="2"', b'<row r="99999999"'), "larger than a plate map"),
        (lambda x: x.replace(b'<row r="3"', b'<row r="1"'), "comes after row"),
        (lambda x: x.replace(b'r="A2"', b'r="ZZZ2"'), "larger than a plate map"),
        (lambda x: x[: len(x) // 2], "cannot be read as a workbook"),
        (lambda x: x.replace(b"<sheetData>", b"<sheetData"), "cannot be read as a workbook"),
    ],
)
def test_a_damaged_sheet_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    path = workbook(tmp_path / "map.xlsx", map=LONG)
    path.write_bytes(rewrite(path, change))
    with pytest.raises(InvalidDataError, match=said):
        read(path)


def test_bombs_are_not_unpacked() -> None:
    import gzip

    with pytest.raises(InvalidDataError, match="unpacks to more than"):
        unpack(gzip.compress(bytes(MAX_BYTES + 10), compresslevel=9), "map.csv.gz")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_to_a_workbook_gives_a_result_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    original = folder / "damaged-map.xlsx"
    if not original.exists():
        workbook(original, map=LONG)
    inside = data.draw(st.booleans())

    def damage(raw: bytes) -> bytes:
        changed = bytearray(raw)
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, max(0, len(changed) - 1)))
            match data.draw(st.sampled_from(["flip", "cut", "insert"])):
                case "flip":
                    changed[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
                case "cut":
                    del changed[at : at + data.draw(st.integers(1, 40))]
                case _:
                    changed[at:at] = data.draw(st.binary(max_size=8))
        return bytes(changed)

    (folder / "bad-map.xlsx").write_bytes(rewrite(original, damage) if inside else damage(original.read_bytes()))
    try:
        result = read(folder / "bad-map.xlsx")
    except InvalidDataError:
        return
    assert all(error.file and error.rule and error.message for error in result.errors)


# --- compressed text


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz", "zip"])
def test_compressed_text_is_unpacked(tmp_path: Path, packed: str) -> None:
    import bz2
    import gzip
    import lzma

    data = b"well,compound\nA1,X\n"
    path = tmp_path / f"map.csv.{packed}"
    if packed == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("map.csv", data)
    else:
        path.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[packed].compress(data))  # type: ignore[attr-defined]
    assert compounds(read(path)) == {"A01": "X"}
    assert is_sheet(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidDataError, match="damaged"):
        open_file(path)


def test_a_name_with_a_hash_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "map#1.csv"
    path.write_text("well,compound\nA1,X\n")
    assert compounds(read(path)) == {"A01": "X"}
    with pytest.raises(NotFoundError, match=r"no file .*map.xlsx#Sheet"):
        read(tmp_path / "map.xlsx#Sheet")
