"""What people and spreadsheets make of a plate map: read as it was meant, or told with its place."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from cytolake.errors import InvalidDataError
from cytolake.ingest.annotation.cells import read_well
from cytolake.ingest.annotation.columns import match_columns
from cytolake.ingest.annotation.platemap import read_annotation
from cytolake.ingest.annotation.result import AnnotationResult, PlateFormat

P1 = PlateFormat(plate_id="P1", n_rows=32, n_columns=48)


def read(tmp_path: Path, data: str | bytes, name: str = "map.csv") -> AnnotationResult:
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_annotation([tmp_path / name], study_id="s", run_id="r", plates=[P1])


def book(tmp_path: Path, rows: list[list[Any]], formats: dict[str, str]) -> AnnotationResult:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for cell, written in formats.items():
        sheet[cell].number_format = written
    made.save(tmp_path / "map.xlsx")
    return read_annotation([tmp_path / "map.xlsx"], study_id="s", run_id="r", plates=[P1])


def told(result: AnnotationResult) -> list[tuple[int, str, str, str]]:
    return [(e.row, e.column, e.value, e.rule) for e in result.errors]


def doses(result: AnnotationResult) -> list[tuple[Any, ...]]:
    assert result.errors == ()
    columns = ("well_id", "concentration", "concentration_unit", "concentration_text")
    return [tuple(row[c] for c in columns) for row in result.well_perturbations.to_pylist()]


# --- files


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-16"])
def test_wide_signs_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    text = "well;compound;dose\r\nA1;β-Estradiol;0,5 µM\r\n" + "".join(f"B{n};X;1 nM\r\n" for n in range(1, 9))
    result = read(tmp_path, text.encode(encoding))
    assert doses(result)[0] == ("A01", 0.5, "umol/L", "0,5 µM")
    assert result.annotations[0].slots()["compound"] == "β-Estradiol"


@pytest.mark.parametrize("data", [b"well,compound\nA1,X\n" + b"\0" * 64, b"\0\1\2\3" * 40])
def test_zeros_elsewhere_are_no_text(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidDataError, match="is a binary file"):
        read(tmp_path, data)


def test_signs_that_nobody_sees_make_no_second_name(tmp_path: Path) -> None:
    names = ["Café", unicodedata.normalize("NFD", "Café"), "Caf\u200bé", "\ufeffCafé"]
    rows = [["well", "compound"], *([f"A{n}", name] for n, name in enumerate(names, 1))]
    for result in (
        read(tmp_path, "\n".join(",".join(row) for row in rows)),
        book(tmp_path, rows, {}),
    ):
        assert result.perturbations["name"].to_pylist() == ["Café"]
        assert len(result.annotations) == 4


def test_errors_of_formulas_in_text_are_no_names(tmp_path: Path) -> None:
    result = read(tmp_path, 'well,compound,note\nA1,#REF!,x\nA2,"#NAME?",x\nA3,#N/A,x\nA4,#12 of the library,x\n')
    assert told(result) == [(2, "compound", "#REF!", "formula"), (3, "compound", "#NAME?", "formula")]
    assert [a.slots()["compound"] for a in result.annotations] == [None, "#12 of the library"]


def test_a_text_that_was_kept_from_being_a_number(tmp_path: Path) -> None:
    result = read(tmp_path, 'well,line_ID\nA1,="007"\n"=""A2""","=""008"""\n')
    assert [(a.well_id, a.values["biosample_id"]) for a in result.annotations] == [("A01", "007"), ("A02", "008")]


def test_a_title_above_a_table_of_reagents(tmp_path: Path) -> None:
    (tmp_path / "reagents.csv").write_text("Our library,\nbroad_sample,smiles\nBRD-1,CCO\n")
    (tmp_path / "map.csv").write_text("well,broad_sample\nA1,BRD-1\n")
    files = [tmp_path / "map.csv", tmp_path / "reagents.csv"]
    result = read_annotation(files, study_id="s", run_id="r", plates=[P1])
    assert (result.errors, result.perturbations["smiles"].to_pylist()) == ((), ["CCO"])
    assert "reagents.csv: line 1 above the header is not read" in result.warnings


# --- wells


@pytest.mark.parametrize(("written", "at"), [("1-A", (1, 1)), ("48/af", (32, 48)), ("a 1", (1, 1)), ("R01C02", (1, 2))])
def test_wells_as_they_are_written(written: str, at: tuple[int, int]) -> None:
    assert read_well(written) == at


def test_a_second_header_is_shown_as_it_stands(tmp_path: Path) -> None:
    result = read(tmp_path, "well,compound\nA1,X\nwell,compound\nA2,X\n")
    assert told(result) == [(3, "well", "well", "well")]
    assert "'well' is not a well name" in result.errors[0].message


def test_rows_and_columns_that_are_fractions_or_none(tmp_path: Path) -> None:
    result = read(tmp_path, "row,column,compound\nA,1.0,X\n2.0,3.0,X\nA,1.5,X\n1,A,X\nA,,X\n")
    assert [a.well_id for a in result.annotations] == ["A01", "B03"]
    assert told(result) == [(4, "row", "A", "well"), (5, "row", "1", "well"), (6, "row", "A", "well")]
    assert "row '1' and column 'A' are no place" in result.errors[1].message


# --- drawings


def test_a_drawing_may_leave_rows_out(tmp_path: Path) -> None:
    result = read(tmp_path, "Compound,1,2\nA,X,Y\nC,X,\nP,,Z\n")
    assert result.errors == ()
    assert [a.well_id for a in result.annotations] == ["A01", "A02", "C01", "P02"]


def test_nothing_beside_a_drawing_is_lost_silently(tmp_path: Path) -> None:
    result = read(tmp_path, "My screen,,\nCompound,1,2\nA,X,Y\nB,X,\nB,Y,Z\n\nLegend,,\nX,aspirin,\n")
    assert told(result) == [(5, "", "B", "well")]
    assert "row 'B' does not follow the one above" in result.errors[0].message
    assert "map.csv: line 1, 7, 8 beside the drawings is not read" in result.warnings


def test_a_drawing_of_a_plate_that_is_not_there(tmp_path: Path) -> None:
    result = read(tmp_path, "Plate: P9\nCompound,1,2\nA,X,Y\n")
    assert (told(result), result.annotations) == ([(2, "", "P9", "unknown-plate")], ())


# --- doses


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("Concentration (%)", "%"),
        ("Dose %", "%"),
        ("conc [% v/v]", "%"),
        ("Concentration (um)", "umol/L"),
        ("Dose [NM]", "nmol/L"),
        ("Duration (d)", "d"),
    ],
)
def test_units_in_headers(header: str, unit: str) -> None:
    (column,), faults = match_columns([header])
    assert (column.unit, faults) == (unit, [])


def test_an_unknown_unit_in_a_header_is_named(tmp_path: Path) -> None:
    result = read(tmp_path, "well,compound,Concentration (furlong)\nA1,X,1\n")
    assert told(result) == [(1, "Concentration (furlong)", "Concentration (furlong)", "unit")]
    assert "the unit 'furlong'" in result.errors[0].message


@pytest.mark.parametrize(
    ("header", "value", "written", "dose"),
    [
        ("dose", 0.1, "0%", (10.0, "%", "10%")),
        ("dose (%)", 0.005, "0.0%", (0.5, "%", "0.5%")),
        ("dose", 10, '0.0" uM"', (10.0, "umol/L", "10 uM")),
        ("dose (uM)", 10, '0" wells"', (10.0, "umol/L", "10 uM")),
        ("dose (uM)", 10, '0"%"', (10.0, "umol/L", "10 uM")),
    ],
)
def test_a_number_means_what_its_format_shows(
    tmp_path: Path, header: str, value: float, written: str, dose: tuple[Any, ...]
) -> None:
    result = book(tmp_path, [["well", "compound", header], ["A1", "X", value]], {"C2": written})
    if written == '0"%"':
        assert told(result) == [(2, header, "10 %", "unit")]
    else:
        assert doses(result) == [("A01", *dose)]


@pytest.mark.parametrize(("time", "rule"), [("overnight", "quantity"), ("24:00", "unit"), ("2 uM", "unit")])
def test_the_rule_of_a_time(tmp_path: Path, time: str, rule: str) -> None:
    assert told(read(tmp_path, f"well,compound,duration\nA1,X,{time}\n")) == [(2, "duration", time, rule)]


# --- roles and genes


@pytest.mark.parametrize(
    ("word", "role"),
    [
        ("0.1% DMSO", "negative_vehicle"),
        ("DMSO 0,5 % (v/v)", "negative_vehicle"),
        ("Veh.", "negative_vehicle"),
        ("neg. control", "negative_vehicle"),
        ("siNTC", "negative_non_targeting"),
        ("scr", "negative_non_targeting"),
        ("Pos. Ctrl", "positive"),
        ("untreated cells", "untreated"),
    ],
)
def test_words_for_controls(tmp_path: Path, word: str, role: str) -> None:
    (found,) = read(tmp_path, f'well,ctrl\nA1,"{word}"\n').wells.to_pylist()
    assert (found["control_type"], found["control_name"]) == (role, None)


@pytest.mark.parametrize("word", ["positive control 2", "PC1", "poscon_3"])
def test_numbered_controls_keep_their_name(tmp_path: Path, word: str) -> None:
    (found,) = read(tmp_path, f"well,control\nA1,{word}\n").wells.to_pylist()
    assert (found["control_type"], found["control_name"]) == ("positive", word)


@pytest.mark.parametrize("word", ["control", "max", "1", "Q7", "-1"])
def test_words_that_say_no_role_are_told(tmp_path: Path, word: str) -> None:
    assert told(read(tmp_path, f"well,control\nA1,{word}\n")) == [(2, "control", word, "value")]


@pytest.mark.parametrize("text", ["2-Sep-2023", "2023-09-02", "09/02/2023", "2.9.23", "Mar-2001"])
def test_genes_that_became_dates_with_a_year(tmp_path: Path, text: str) -> None:
    assert told(read(tmp_path, f"well,gene\nA1,{text}\n")) == [(2, "gene", text, "date")]


@pytest.mark.parametrize("text", ["SEPT2", "MARCH1", "DEC1", "HLA-A", "AC093512.2", "NKX2-5", "MIR10A/B"])
def test_genes_that_are_no_dates(tmp_path: Path, text: str) -> None:
    result = read(tmp_path, f"well,gene\nA1,{text}\n")
    assert (result.errors, result.annotations[0].slots()["gene"]) == ((), text)


@pytest.mark.parametrize(
    ("header", "slot"),
    [
        ("Image_Metadata_Well", "well"),
        ("Destination Plate Name", "plate"),
        ("Cmpd Name", "compound"),
        ("Substance", "compound"),
        ("Cmpd_ID", "perturbation"),
        ("Cells/well", "seeding_density"),
        ("Ctrl", "control_type"),
        ("Catalog #", "catalogue_number"),
    ],
)
def test_further_names_of_columns(header: str, slot: str) -> None:
    (column,), faults = match_columns([header])
    assert (column.slot.name, faults) == (slot, [])
