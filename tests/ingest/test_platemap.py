"""Plate maps: what people type becomes annotation of wells, or a list of every cell that is wrong."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import InvalidDataError, NotFoundError
from cytolake.ingest.annotation.platemap import read_annotation
from cytolake.ingest.annotation.result import AnnotationResult, PlateFormat, RowError
from cytolake.ingest.annotation.sheet import with_header
from cytolake.ingest.annotation.table import parse_text
from cytolake.schemas.tables import arrow_schema
from hypothesis import given, settings
from hypothesis import strategies as st

P1 = PlateFormat(plate_id="P1", n_rows=8, n_columns=12, barcode="BR001")
P2 = PlateFormat(plate_id="P2", n_rows=8, n_columns=12)


def read(tmp_path: Path, text: str | bytes, **options: Any) -> AnnotationResult:
    file = tmp_path / "map.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotation([file], **{"study_id": "s", "run_id": "r", "plates": [P1]} | options)


def wells(result: AnnotationResult) -> dict[str, dict[str, Any]]:
    assert result.errors == ()
    return {row["well_id"]: row for row in result.wells.to_pylist(maps_as_pydicts="strict")}


def fault(result: AnnotationResult) -> RowError:
    (only,) = result.errors
    return only


# --- the file


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_way_a_spreadsheet_saves(tmp_path: Path, delimiter: str, encoding: str, newline: str) -> None:
    lines = [
        ["Well", "Compound", "Dose"],
        ["A1", "β-Estradiol", '"0.5 µM"'],
        ["B02", '"Doe, John"', "10 nM"],
        ["", "", ""],
    ]
    if delimiter == "|":
        lines = [[cell.replace(",", "") for cell in line] for line in lines]
    found = wells(read(tmp_path, newline.join(delimiter.join(line) for line in lines).encode(encoding)))
    assert list(found) == ["A01", "B02"]
    assert (found["A01"]["compound"], found["A01"]["concentration_um"]) == ("β-Estradiol", 0.5)
    assert found["B02"]["concentration_um"] == pytest.approx(0.01)


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    assert wells(read(tmp_path, "well;compound;conc_uM\nA1;X;0,25\n"))["A01"]["concentration_um"] == 0.25


def test_excels_own_delimiter_line(tmp_path: Path) -> None:
    result = read(tmp_path, "sep=;\nwell;compound\nA1;X\nZ9;Y\n")
    assert fault(result).row == 4
    assert [a.well_id for a in result.annotations] == ["A01"]


def test_another_encoding_is_read_with_a_warning(tmp_path: Path) -> None:
    result = read(tmp_path, "well,compound,dose\nA1,Café,5 µM\n".encode("cp1252"))
    assert wells(result)["A01"]["compound"] == "Café"
    assert any("not UTF-8 (line 2)" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04rest", "is damaged"),
        (b"\xd0\xcf\x11\xe0rest", "is a workbook of an old Excel"),
        (b"well\0,x", "binary"),
        (b"", "is empty"),
        (b"\n\n,,\n", "is empty"),
        (b"well,x\nA1,1\nA2," + b"x" * 200_000, "line 3 has 200,003 characters; more than 131,072 are no row"),
        (b'well,x\nA1,y\nA2,"Asp\nB1,z\nB2,z\n', "line 3: a quote opens here and is not closed"),
        (b'well,x\nA1,y\nA2,"Asp\nB1,"z"\nB2,z\n', "line 3: a quote opens here and is not closed"),
        (b'well,x\nA1,"two\nlines"\n', "line 2: a quote opens here and is not closed"),
        (b'well,"x\nA1,y\n', "line 1: a quote opens here and is not closed"),
        (b'well,x\nA1,"a"b\n', "line 2: ',' expected after"),
    ],
)
def test_what_is_no_text_table(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        read(tmp_path, data)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_annotation([tmp_path / "none.csv"], study_id="s", run_id="r", plates=[P1])


def test_a_folder_is_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="is a folder"):
        read_annotation([tmp_path], study_id="s", run_id="r", plates=[P1])


def test_a_header_alone_is_an_error(tmp_path: Path) -> None:
    assert (fault(read(tmp_path, "well,compound\n\n,\n")).rule, fault(read(tmp_path, "well,compound")).row) == (
        "no-rows",
        1,
    )


def test_rows_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    result = read(tmp_path, 'well,compound\n\nA1,"two words"\n\nZ1,x\nA2,y,z\n')
    assert [(e.row, e.rule) for e in result.errors] == [(6, "row-length"), (5, "outside-plate")]


@given(st.binary(max_size=120))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_sheet_or_our_error(data: bytes) -> None:
    try:
        sheet = with_header(parse_text(data, "map.csv"))
    except InvalidDataError:
        return
    assert all(len(row.cells) == len(sheet.headers) for row in sheet.rows)


# --- what columns mean


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("well", "B3"),
        ("Well", "b03"),
        ("well_position", "B003"),
        ("Metadata_Well", "B03"),
        ("Well ID", "R02C03"),
        ("well name", "0203"),
        ("row,column", "B,3"),
        ("Row,Col", "2,3"),
        ("WellRow,WellCol,well_position", "B,3,B3"),
    ],
)
def test_wells_by_any_name(tmp_path: Path, header: str, cells: str) -> None:
    assert list(wells(read(tmp_path, f"{header},compound\n{cells},X\n"))) == ["B03"]


@pytest.mark.parametrize(
    ("headers", "cells", "expected"),
    [
        ("compound,concentration", "X,10 uM", (10.0, "umol/L", 10.0)),
        ("drug,dose,unit", "X,10,nM", (10.0, "nmol/L", 0.01)),
        ("Compound Name,Dose,Dose Unit", "X,10 nM,nM", (10.0, "nmol/L", 0.01)),
        ("compound,conc_nM", "X,250", (250.0, "nmol/L", 0.25)),
        ("compound,Concentration (µM)", "X,3", (3.0, "umol/L", 3.0)),
        ("compound,dose [ug/mL]", "X,3", (3.0, "ug/mL", None)),
        ("broad_sample,mmoles_per_liter", "BRD-K1,2", (2.0, "mmol/L", 2000.0)),
        ("compound,concentration", "DMSO,0.1 %", (0.1, "%", None)),
    ],
)
def test_doses_with_their_units(tmp_path: Path, headers: str, cells: str, expected: tuple[Any, ...]) -> None:
    (dose,) = read(tmp_path, f"well,{headers}\nA1,{cells}\n").well_perturbations.to_pylist()
    assert (dose["concentration"], dose["concentration_unit"]) == expected[:2]
    assert dose["concentration_um"] == (None if expected[2] is None else pytest.approx(expected[2]))
    assert dose["concentration_text"].startswith(cells.split(",")[1])


def test_all_kinds_of_values(tmp_path: Path) -> None:
    text = (
        "well,compound,concentration,control,replicate,cell_line,seeding density,excluded,exclusion_reason,"
        "duration,start_h\n"
        'A1,Aspirin,10 uM,treatment,2,HepG2,"1,500.5",yes,pipetting,2 d,-1.5\n'
        "A2,DMSO,,vehicle,1,HepG2,na,no,,48,\n"
        "A3,,,,,,,,,,\n"
    )
    result = read(tmp_path, text)
    found = wells(result)
    assert found["A01"] == {
        "study_id": "s", "plate_id": "P1", "well_id": "A01", "row": 1, "column": 1, "biosample_id": "HepG2",
        "sample_id": None, "seeding_density": 1500.5, "perturbation": "Aspirin", "compound": "Aspirin",
        "concentration_um": 10.0, "gene": None, "control_type": "treatment", "control_name": None,
        "n_perturbations": 1, "replicate": 2, "excluded": True, "exclusion_reason": "pipetting", "attributes": None,
        "run_id": "r",
    }  # fmt: skip
    assert (found["A02"]["control_type"], found["A02"]["excluded"]) == ("negative_vehicle", False)
    assert (found["A03"]["n_perturbations"], found["A03"]["perturbation"]) == (0, None)
    doses = {d["well_id"]: d for d in result.well_perturbations.to_pylist()}
    assert (doses["A01"]["duration_h"], doses["A01"]["start_h"], doses["A02"]["duration_h"]) == (48.0, -1.5, 48.0)
    assert [(p["perturbation_id"], p["type"], p["compound"]) for p in result.perturbations.to_pylist()] == [
        ("Aspirin", "compound", "Aspirin"),
        ("DMSO", "compound", "DMSO"),
    ]
    assert result.biosamples.to_pylist()[0]["cell_line"] == "HepG2"
    for name in ("wells", "perturbations", "well_perturbations", "biosamples"):
        assert getattr(result, name).schema.equals(arrow_schema(name))


@pytest.mark.parametrize(
    ("headers", "cells", "expected"),
    [
        ("compound,control", "DMSO,negcon", "negative_vehicle"),
        ("compound,control", "DMSO,Negative control", "negative_vehicle"),
        ("gene,perturbation_type,control", "NTC,CRISPR,negcon", "negative_non_targeting"),
        ("gene,perturbation_type,control", "NTC,siRNA,non-targeting", "negative_non_targeting"),
        ("compound,control_type", "X,poscon_cp", "positive"),
        ("compound,control_type", "X,trt", "treatment"),
        ("compound,control_type", ",untreated", "untreated"),
        ("compound,control_type", ",Blank", "empty"),
        ("compound", "dmso", "negative_vehicle"),
        ("broad_sample,solvent", ",DMSO", "negative_vehicle"),
        ("compound", "X", None),
    ],
)
def test_controls(tmp_path: Path, headers: str, cells: str, expected: str | None) -> None:
    result = read(tmp_path, f"well,{headers}\nA1,{cells}\n")
    assert wells(result)["A01"]["control_type"] == expected
    is_inferred = ("control" not in headers and bool(expected)) or "neg" in cells.lower()
    assert any("are taken as" in w for w in result.warnings) == is_inferred


def test_combinations_stand_in_one_row(tmp_path: Path) -> None:
    text = "well,compound,concentration,compound_2,concentration_2\nA1,X,1 uM,Y,2 nM\nA2,X,1 uM,,\n"
    result = read(tmp_path, text)
    found = wells(result)
    assert (found["A01"]["perturbation"], found["A01"]["n_perturbations"]) == ("X + Y", 2)
    assert (found["A01"]["compound"], found["A01"]["concentration_um"]) == (None, None)
    assert (found["A02"]["compound"], found["A02"]["n_perturbations"]) == ("X", 1)
    told = [(d["well_id"], d["perturbation_id"], d["concentration_um"]) for d in result.well_perturbations.to_pylist()]
    assert told == [("A01", "X", 1.0), ("A01", "Y", pytest.approx(0.002)), ("A02", "X", 1.0)]


def test_genes_by_reagent(tmp_path: Path) -> None:
    text = "well,gene,perturbation_type,sgrna\nA1,TP53,crispr_ko,ACGT\nA2,TP53,crispr_ko,TTTT\nA3,TP53,ORF,\n"
    result = read(tmp_path, text)
    assert {w: row["gene"] for w, row in wells(result).items()} == dict.fromkeys(["A01", "A02", "A03"], "TP53")
    assert [(p["perturbation_id"], p["type"]) for p in result.perturbations.to_pylist()] == [
        ("TP53-ACGT-crispr_ko", "crispr_ko"),
        ("TP53-TTTT-crispr_ko", "crispr_ko"),
        ("TP53-orf", "orf"),
    ]


def test_unknown_columns_are_attributes(tmp_path: Path) -> None:
    result = read(tmp_path, "well,plate_map_name,genotype,RNAiMax\nA1,map 1,Null,\n")
    assert wells(result)["A01"]["attributes"] == {"plate_map_name": "map 1", "genotype": "Null"}
    assert any("kept as attributes of the well: plate_map_name, genotype, RNAiMax" in w for w in result.warnings)


# --- which plate


def test_rows_of_several_plates(tmp_path: Path) -> None:
    text = "Assay_Plate_Barcode,well,compound\nBR001,A1,X\nP2,A1,Y\n"
    result = read(tmp_path, text, plates=[P1, P2])
    assert [(w["plate_id"], w["compound"]) for w in result.wells.to_pylist()] == [("P1", "X"), ("P2", "Y")]
    only = read(tmp_path, text, plates=[P1, P2], plate_id="P2")
    assert [(w["plate_id"], w["compound"]) for w in only.wells.to_pylist()] == [("P2", "Y")]
    assert any("1 rows are about other plates than P2" in w for w in only.warnings)


@pytest.mark.parametrize(
    ("text", "options", "rule", "said"),
    [
        ("well\nA1\n", {"plates": [P1, P2]}, "missing-column", "name it with --plate"),
        ("plate,well\nP3,A1\n", {"plates": [P1, P2]}, "unknown-plate", "the study has no plate 'P3'"),
        ("plate,well\n,A1\n", {}, "unknown-plate", "the plate is empty"),
        ("plate,well\nP2,A1\n", {"plates": [P1, P2], "plate_id": "P1"}, "unknown-plate", "no row is about plate 'P1'"),
    ],
)
def test_plates_that_cannot_be_found(tmp_path: Path, text: str, options: dict[str, Any], rule: str, said: str) -> None:
    error = fault(read(tmp_path, text, **options))
    assert error.rule == rule
    assert said in error.message


# --- what is wrong

WRONG = {
    "a well that is none": ("well\nQ\n", 2, "well", "'Q' is not a well name"),
    "a well outside": ("well\nI1\n", 2, "outside-plate", "I01 lies outside plate P1 of 8 × 12 wells"),
    "a well twice": ("well\nA1\nB1\na01\n", 4, "duplicate-well", "A01 is there already, in row 2"),
    "a well that contradicts": ("well,row,column\nA1,A,2\n", 2, "well", "row and column say A02"),
    "no well column": ("compound\nX\n", 1, "missing-column", "its columns are compound"),
    "a misspelt column": ("well,concentraton\nA1,1 uM\n", 1, "unknown-column", "did you mean 'concentration'?"),
    "a column twice": (
        "well,compound,Drug\nA1,X,Y\n",
        1,
        "duplicate-column",
        "'compound' and 'Drug' both say compound",
    ),
    "a nameless column": ("well,,compound\nA1,x,X\n", 1, "no-header", "column 2 has no header"),
    "too many cells": ("well,compound\nA1,X,Y\n", 2, "row-length", "the row has 3 cells, the header has 2"),
    "no unit": ("well,compound,dose\nA1,X,10\n", 2, "unit", "'10' has no unit"),
    "a bad unit": ("well,compound,dose\nA1,X,10 uMol/kg\n", 2, "unit", "unknown unit 'uMol/kg'"),
    "another unit": ("well,compound,dose,unit\nA1,X,10 nM,uM\n", 2, "unit", "is in nmol/L, its column"),
    "a time as dose": ("well,compound,dose\nA1,X,10 h\n", 2, "unit", "is a time"),
    "a bad unit column": ("well,compound,dose,unit\nA1,X,10 uM,furlong\n", 2, "unit", "unknown unit 'furlong'"),
    "an ambiguous number": ('well,compound,dose\nA1,X,"1,000 uM"\n', 2, "quantity", "may mean 1.000 or 1000"),
    "no quantity": ("well,compound,dose\nA1,X,high\n", 2, "quantity", "'high' is not a quantity"),
    "a negative dose": ("well,compound,dose\nA1,X,-1 uM\n", 2, "range", "below 0"),
    "a dose of nothing": ("well,compound,dose\nA1,,1 uM\n", 2, "missing", "nothing that it is a concentration of"),
    "a kind of control": ("well,control\nA1,postive\n", 2, "value", "did you mean 'positive'?"),
    "a kind of perturbation": ("well,gene,modality\nA1,X,magic\n", 2, "value", "'magic' is none of compound"),
    "no number": ("well,replicate\nA1,two\n", 2, "type", "'two' is not a number"),
    "half a replicate": ("well,replicate\nA1,1.5\n", 2, "type", "not a whole number"),
    "replicate 0": ("well,replicate\nA1,0\n", 2, "range", "replicate"),
    "no truth value": ("well,excluded\nA1,maybe\n", 2, "type", "neither yes nor no"),
    "no InChIKey": ("well,compound,inchikey\nA1,X,ABC\n", 2, "pattern", "inchikey"),
    "a compound twice": ("well,compound,compound_2\nA1,X,X\n", 2, "duplicate", "X stands twice"),
    "facts that contradict": ("well,compound,smiles\nA1,X,C\nA2,X,CC\n", 3, "conflict", "'CC' here and 'C' in row 2"),
    "no duration": ("well,compound,duration\nA1,X,10 uM\n", 2, "unit", "is no time"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_cell_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    text, row, rule, said = WRONG[case]
    error = fault(read(tmp_path, text))
    assert (error.file, error.row, error.rule) == ("map.csv", row, rule)
    assert said in error.message


def test_all_faults_of_a_row_are_told_at_once(tmp_path: Path) -> None:
    result = read(tmp_path, "well,compound,concentration,replicate\nZ9,X,5 um,two\nA1,X,1 uM,1\nA1,X,5 parsec,1\n")
    assert sorted((e.row, e.rule) for e in result.errors) == [
        (2, "outside-plate"), (2, "type"), (2, "unit"), (4, "duplicate-well"), (4, "unit"),
    ]  # fmt: skip
    assert [a.well_id for a in result.annotations] == []


@pytest.mark.parametrize(
    ("headers", "cells", "text"),
    [
        ("dose_nM", "100", "100 nM"),
        ("dose [µg/mL]", "0,5", "0,5 µg/mL"),
        ("dose [nM]", "100 nM", "100 nM"),
        ("dose", "1 uM", "1 uM"),
    ],
)
def test_a_dose_is_remembered_as_it_was_written(tmp_path: Path, headers: str, cells: str, text: str) -> None:
    result = read(tmp_path, f"well;compound;{headers}\nA1;X;{cells}\n")
    assert result.errors == ()
    assert result.well_perturbations["concentration_text"].to_pylist() == [text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("well,compound\nA1,DMSO\n", "wells of the vehicle alone are taken as negative_vehicle"),
        ("well,compound,control\nA1,DMSO,negative\n", "wells called negative are taken as negative_vehicle"),
        ("well,gene,perturbation_type,control\nA1,NT,crispr_ko,neg\n", "are taken as negative_non_targeting"),
    ],
)
def test_a_control_that_is_inferred_is_always_told(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in warning for warning in read(tmp_path, text).warnings)


def test_every_fault_is_told_and_valid_rows_are_kept_apart(tmp_path: Path) -> None:
    text = "well,compound,dose,control\nA1,X,1 uM,treatment\nZ1,X,1 uM,treatment\nA3,X,1,odd\nA4,DMSO,,vehicle\n"
    result = read(tmp_path, text)
    assert [(e.row, e.column, e.value, e.rule) for e in result.errors] == [
        (3, "well", "Z1", "outside-plate"),
        (4, "control", "odd", "value"),
        (4, "dose", "1", "unit"),
    ]
    assert [a.well_id for a in result.annotations] == ["A01", "A04"]


def test_a_header_that_cannot_be_used_spoils_every_row(tmp_path: Path) -> None:
    result = read(tmp_path, "well,compound,concentraton\nA1,X,1 uM\n")
    assert fault(result).rule == "unknown-column"
    assert result.annotations == ()


def test_a_near_miss_may_be_kept(tmp_path: Path) -> None:
    result = read(tmp_path, "well,concentraton\nA1,high\n", keep_unknown=True)
    assert wells(result)["A01"]["attributes"] == {"concentraton": "high"}


def test_two_files_may_not_speak_of_one_well(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("well,compound\nA1,X\n")
    result = read_annotation([tmp_path / "a.csv", tmp_path / "b.csv"], study_id="s", run_id="r", plates=[P1])
    assert fault(result).message.startswith("A01 is there already, in row 2 of a.csv")


def test_files_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    for folder, text in (("a", "well,compound,dose\nA1,X,1\n"), ("b", "well,compound,dose\nA1,Y,1\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "map.csv").write_text(text)
    result = read_annotation([tmp_path / "a/map.csv", tmp_path / "b/map.csv"], study_id="s", run_id="r", plates=[P1])
    assert {(e.file, e.row, e.rule) for e in result.errors} == {
        ("a/map.csv", 2, "unit"),
        ("b/map.csv", 2, "unit"),
        ("b/map.csv", 2, "duplicate-well"),
    }
    assert any("in row 2 of a/map.csv" in e.message for e in result.errors)
    assert [name for name, _ in result.inputs] == ["a/map.csv", "b/map.csv"]


def test_a_header_at_fault_spoils_no_sheet_of_the_same_name(tmp_path: Path) -> None:
    for folder, text in (("a", "well,concentraton\nA1,1 uM\n"), ("b", "well,compound\nA2,Y\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "map.csv").write_text(text)
    result = read_annotation([tmp_path / "a/map.csv", tmp_path / "b/map.csv"], study_id="s", run_id="r", plates=[P1])
    assert (fault(result).file, [a.well_id for a in result.annotations]) == ("a/map.csv", ["A02"])


def test_a_file_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "map.csv").write_text("well,compound\nA1,X\n")
    monkeypatch.chdir(tmp_path)
    result = read_annotation(["map.csv", tmp_path / "map.csv"], study_id="s", run_id="r", plates=[P1])
    assert (result.errors, len(result.annotations), len(result.inputs)) == ((), 1, 1)


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    packed = tmp_path / "map.csv.gz"
    packed.write_bytes(gzip.compress(b"well,compound\nA1,X\n"))
    result = read_annotation([packed], study_id="s", run_id="r", plates=[P1])
    assert result.inputs == (("map.csv.gz", hashlib.sha256(packed.read_bytes()).hexdigest()),)


@pytest.mark.parametrize(
    ("dose", "rule"), [("units", "quantity"), ("1,000 uM", "quantity"), ("5 units", "unit"), ("5", "unit")]
)
def test_the_rule_of_a_dose_is_not_read_from_its_text(tmp_path: Path, dose: str, rule: str) -> None:
    assert fault(read(tmp_path, f'well,compound,dose\nA1,X,"{dose}"\n')).rule == rule


def test_names_that_differ_in_case_only_are_a_warning(tmp_path: Path) -> None:
    result = read(tmp_path, "well,compound\nA1,Aspirin\nA2,aspirin\n")
    assert any("Aspirin and aspirin differ in case only" in w for w in result.warnings)


# --- real maps


@pytest.mark.parametrize(
    ("file", "n_wells", "n_perturbations"),
    [
        ("jump_target/JUMP-Target-1_compound_platemap.tsv", 384, 306),
        ("jump_target/JUMP-Target-1_crispr_platemap.tsv", 384, 335),
        ("ipsc_cmqtl/metadata__2019_05_13_Batch2__platemap__cmQTL1-4_mt.txt", 384, 0),
        ("ipsc_cmqtl/metadata__platemaps__2022_09_07_Batch8__platemap__cmQTL_CRISPRi_plate1.txt", 384, 6),
        ("nf1_schwann/0.download_data__metadata__platemap_NF1_plate6.csv", 60, 1),
    ],
)
def test_real_plate_maps(shared_data: Path, file: str, n_wells: int, n_perturbations: int) -> None:
    plate = PlateFormat(plate_id="P", n_rows=16, n_columns=24)
    result = read_annotation([shared_data / "profiles" / file], study_id="s", run_id="r", plates=[plate])
    assert result.errors == ()
    assert result.wells.num_rows == n_wells
    assert result.perturbations.num_rows == n_perturbations


def test_a_real_map_without_units_is_refused(shared_data: Path) -> None:
    file = shared_data / "profiles" / "nf1_schwann" / "0.download_data__metadata__platemap_NF1_plate4.csv"
    plate = PlateFormat(plate_id="P", n_rows=16, n_columns=24)
    result = read_annotation([file], study_id="s", run_id="r", plates=[plate])
    assert {(e.rule, e.column) for e in result.errors} == {("unit", "Concentration")}
    assert len(result.errors) == 60
