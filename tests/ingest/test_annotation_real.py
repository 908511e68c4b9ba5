"""Plate maps that labs published: each annotates, and each error planted in a copy of one is told with its place.

``docs/annotation.md`` shows the same figures; :func:`test_the_page_shows_these_figures` keeps them true.
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from cytolake.ingest.annotation.platemap import read_annotation
from cytolake.ingest.annotation.result import AnnotationResult, PlateFormat

JUMP = "jump_target/JUMP-Target"
IDR28 = "idr0028_rhogtpase/idr0028-pascualvargas-rhogtpases__screen{0}__idr0028-screen{0}-library.txt"
IDR35 = "idr_compound_screens/idr0035-caie-drugresponse__screenA__idr0035-screenA-annotation.csv"
NF1 = "nf1_schwann/0.download_data__metadata__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Files, the plates that they are about, and what must come of them: wells, perturbations, warnings, errors."""

    files: tuple[str, ...]
    plates: tuple[str, ...] = ("P",)
    shape: tuple[int, int] = (16, 24)
    wells: int
    perturbations: int
    warnings: int
    errors: int = 0


CASES = {
    "JUMP-Target-1 compounds, with metadata": Case(
        files=(f"{JUMP}-1_compound_platemap.tsv", f"{JUMP}-1_compound_metadata.tsv"),
        wells=384, perturbations=307, warnings=2,
    ),
    "JUMP-Target-2 compounds, with metadata": Case(
        files=(f"{JUMP}-2_compound_platemap.tsv", f"{JUMP}-2_compound_metadata.tsv"),
        wells=384, perturbations=307, warnings=2,
    ),
    "JUMP-Target-1 CRISPR, with metadata": Case(
        files=(f"{JUMP}-1_crispr_platemap.tsv", f"{JUMP}-1_crispr_metadata.tsv"),
        wells=384, perturbations=335, warnings=4,
    ),
    "JUMP-Target-1 ORF, with metadata": Case(
        files=(f"{JUMP}-1_orf_platemap.tsv", f"{JUMP}-1_orf_metadata.tsv"),
        wells=384, perturbations=175, warnings=4,
    ),
    "NF1 plates 1 to 3, by barcode_platemap": Case(
        files=(f"{NF1}barcode_platemap.csv", *(f"{NF1}platemap_NF1_plate{n}.csv" for n in (1, 2, 3))),
        plates=("Plate_1_nf1_analysis", "Plate_2_nf1_analysis", "Plate_3_nf1_analysis", "Plate_3_prime_nf1_analysis"),
        shape=(8, 12), wells=184, perturbations=1, warnings=7,
    ),
    "NF1 plate 4": Case(
        files=(f"{NF1}platemap_NF1_plate4.csv",), shape=(8, 12), wells=0, perturbations=0, warnings=3, errors=60,
    ),
    "NF1 plate 5": Case(
        files=(f"{NF1}platemap_NF1_plate5.csv",), shape=(8, 12), wells=72, perturbations=1, warnings=2,
    ),
    "NF1 plate 6": Case(
        files=(f"{NF1}platemap_NF1_plate6.csv",), shape=(8, 12), wells=60, perturbations=1, warnings=2,
    ),
    **{
        f"iPSC cmQTL {name}": Case(
            files=(f"ipsc_cmqtl/metadata__{file}.txt",), wells=384, perturbations=genes, warnings=2 if genes else 1
        )
        for name, file, genes in (
            ("lines 1–4", "2019_05_13_Batch2__platemap__cmQTL1-4_mt", 0),
            ("lines 5–8", "2019_05_13_Batch2__platemap__cmQTL5-8_mt", 0),
            ("plate 1", "2019_06_10_Batch3__platemap__cmQTL_plate1_5.31.2019", 0),
            ("plate 2", "2019_06_10_Batch3__platemap__cmQTL_plate2_6.3.2019", 0),
            ("plate 3", "2019_08_15_Batch4__platemap__cmQTL_plate3_8.5.2019", 0),
            ("plate 4", "2019_08_15_Batch4__platemap__cmQTL_plate4_8.9.2019", 0),
            ("plate 5", "2019_09_06_Batch5__platemap__cmQTL_plate5_8.20.2019", 0),
            ("plate 6", "2019_09_06_Batch5__platemap__cmQTL_plate6_8.27.2019", 0),
            ("plate 7", "2020_03_05_Batch6__platemap__cmQTL_plate7_2.27.20", 0),
            ("plate 7, July", "2020_07_22_Batch7__platemap__cmQTLplate7-7-22-20", 0),
            ("CRISPRi plate 1", "platemaps__2022_09_07_Batch8__platemap__cmQTL_CRISPRi_plate1", 6),
            ("CRISPRi rerun", "platemaps__2022_09_22_Batch8Rerun__platemap__MT_rerun_20220919", 6),
        )
    },
    "idr0028 screen A, library": Case(
        files=(IDR28.format("A"),), plates=tuple(f"LM2_siGENOME_{n}" for n in ("1A", "1B", "2A", "2B")),
        wells=1536, perturbations=141, warnings=5,
    ),
    "idr0028 screen B, library": Case(
        files=(IDR28.format("B"),), plates=tuple(f"LM2_ONTARGETPlus_{n}" for n in ("1A", "1B", "2A", "2B")),
        wells=1536, perturbations=170, warnings=4,
    ),
    "idr0035, annotation": Case(
        files=(IDR35,), plates=("every plate of the file",), shape=(8, 12), wells=3300, perturbations=113, warnings=3,
    ),
}  # fmt: skip


def read(folder: Path, case: Case, **changed: Path) -> AnnotationResult:
    files = [changed.get(Path(name).name, folder / name) for name in case.files]
    names = case.plates
    if case.files == (IDR35,):
        with (folder / IDR35).open(encoding="utf-8") as table:
            names = tuple(sorted({row["Plate"] for row in csv.DictReader(table)}))
    rows, columns = case.shape
    plates = [PlateFormat(plate_id=name, n_rows=rows, n_columns=columns) for name in names]
    return read_annotation(files, study_id="s", run_id="r", plates=plates)


@pytest.mark.parametrize("name", CASES)
def test_a_published_map_annotates_or_says_why_not(shared_data: Path, name: str) -> None:
    case = CASES[name]
    result = read(shared_data / "profiles", case)
    told = (len(result.annotations), result.perturbations.num_rows, len(result.warnings), len(result.errors))
    assert told == (case.wells, case.perturbations, case.warnings, case.errors)
    if case.errors:
        assert {(e.rule, e.column) for e in result.errors} == {("unit", "Concentration")}


def test_roles_of_jump(shared_data: Path) -> None:
    for modality, negative, number in (
        ("compounds", "negative_vehicle", 64),
        ("CRISPR", "negative_non_targeting", 60),
    ):
        result = read(shared_data / "profiles", CASES[f"JUMP-Target-1 {modality}, with metadata"])
        roles = Counter(a.values.get("control_type") for a in result.annotations)
        assert (roles["treatment"], roles[negative], roles["positive"]) == (260, number, 60)
        names = Counter(a.values.get("control_name") for a in result.annotations)
        assert sum(names[f"poscon_{kind}"] for kind in ("cp", "diverse", "orf")) == 60


def test_controls_of_the_idr(shared_data: Path) -> None:
    result = read(shared_data / "profiles", CASES["idr0028 screen B, library"])
    roles = Counter(a.values.get("control_type") for a in result.annotations)
    assert roles == {"negative_vehicle": 740, "treatment": 660, None: 96, "positive": 20, "empty": 20}
    ect2 = [a for a in result.annotations if a.treatments and a.treatments[0].perturbation["gene"] == "ECT2"]
    assert {(a.values["control_type"], a.treatments[0].perturbation["ncbi_gene_id"]) for a in ect2 if a.treatments} == {
        ("positive", 1894)
    }
    (sample,) = result.biosamples.to_pylist()
    assert (sample["cell_line"], sample["organism"]) == ("LM2", "NCBITaxon:9606")


def test_a_named_unit_makes_the_refused_map_good(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "profiles" / f"{NF1}platemap_NF1_plate4.csv"
    text = source.read_text(encoding="utf-8-sig").replace("Concentration", "Concentration [uM]")
    (tmp_path / source.name).write_text(text, encoding="utf-8")
    result = read(shared_data / "profiles", CASES["NF1 plate 4"], **{source.name: tmp_path / source.name})
    assert (result.errors, len(result.annotations)) == ((), 60)
    roles = Counter(a.values.get("control_type") for a in result.annotations)
    assert roles == {"untreated": 15, "negative_non_targeting": 15, None: 30}
    assert {p["type"] for p in result.perturbations.to_pylist()} == {"sirna"}


def test_the_maps_of_a_folder_are_found_by_name(shared_data: Path, tmp_path: Path) -> None:
    for path in (shared_data / "profiles" / "nf1_schwann").glob("*platemap*"):
        name = path.name.removeprefix("0.download_data__metadata__")
        target = tmp_path / ("platemap" if name.startswith("platemap") else "") / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    plates = [
        PlateFormat(plate_id=f"Plate_{n}_nf1_analysis__2023-01-01-Measurement1", n_rows=8, n_columns=12)
        for n in ("3", "3_prime", "5")
    ]
    result = read_annotation([tmp_path], study_id="s", run_id="r", plates=plates)
    assert (len(result.annotations), result.errors) == (3 * 72, ())


def test_the_same_map_as_a_workbook(shared_data: Path, tmp_path: Path) -> None:
    case = CASES["NF1 plate 6"]
    source = shared_data / "profiles" / case.files[0]
    book = openpyxl.Workbook()
    with source.open(encoding="utf-8-sig", newline="") as table:
        for row in csv.reader(table):
            book.active.append([int(cell) if cell.isdecimal() else cell for cell in row])
    book.save(tmp_path / "map.xlsx")
    plain = read(shared_data / "profiles", case)
    result = read(shared_data / "profiles", case, **{source.name: tmp_path / "map.xlsx"})
    assert result.wells.equals(plain.wells)


# --- errors planted in copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One change to one line of a copy, and the error that must be told: row, column and rule."""

    case: str
    file: int = 0
    change: Callable[[str], str]
    line: int
    row: int
    column: str
    rule: str


def swap(old: str, new: str) -> Callable[[str], str]:
    def change(line: str) -> str:
        assert old in line, line
        return line.replace(old, new, 1)

    return change


JUMP_C = "JUMP-Target-1 compounds, with metadata"
JUMP_G = "JUMP-Target-1 CRISPR, with metadata"
CMQTL = "iPSC cmQTL plate 1"
IDR_A = "idr0028 screen A, library"
PLANTED = {
    "a well twice": Planted(
        case=JUMP_C, change=swap("A02", "A01"), line=3, row=3, column="well_position", rule="duplicate-well"
    ),
    "a well outside the plate": Planted(
        case=JUMP_C, change=swap("A03", "Q03"), line=4, row=4, column="well_position", rule="outside-plate"
    ),
    "no well": Planted(case=JUMP_C, change=swap("A03", "03A"), line=4, row=4, column="well_position", rule="well"),
    "a sample that nobody knows": Planted(
        case=JUMP_C, change=swap("BRD-A8", "BRD-A9"), line=2, row=2, column="broad_sample", rule="unknown-reagent"
    ),
    "a cell too many": Planted(
        case=JUMP_C, change=lambda line: f"{line}\textra", line=5, row=5, column="", rule="row-length"
    ),
    "a header misspelt": Planted(
        case=JUMP_C, change=swap("solvent", "solvnt"), line=1, row=1, column="solvnt", rule="unknown-column"
    ),
    "a broken InChIKey": Planted(
        case=JUMP_C, file=1, change=swap("-UHFFFAOYSA-N", "-UHFF"), line=2, row=2, column="InChIKey", rule="pattern"
    ),
    "a role that is none": Planted(
        case=JUMP_C,
        file=1,
        change=swap("\ttrt\tNA\t", "\ttrt\tpostive\t"),
        line=2,
        row=2,
        column="control_type",
        rule="value",
    ),
    "no PubChem number": Planted(
        case=JUMP_C, file=1, change=swap("9883933", "98x"), line=2, row=2, column="pubchem_cid", rule="type"
    ),
    "letters that are no guide": Planted(
        case=JUMP_G,
        file=1,
        change=swap("TATGTGTG", "TATGXGTG"),
        line=2,
        row=2,
        column="target_sequence",
        rule="pattern",
    ),
    "a quote that is not closed": Planted(
        case=CMQTL, change=swap("A02", '"A02'), line=3, row=3, column="", rule="raised"
    ),
    "a density that is no number": Planted(
        case=CMQTL, change=swap("10000", "10k"), line=3, row=3, column="plating_density", rule="type"
    ),
    "a density below 0": Planted(
        case=CMQTL, change=swap("10000", "-5"), line=3, row=3, column="plating_density", rule="range"
    ),
    "a gene that became a date": Planted(
        case=IDR_A, change=swap("\tAKAP13\t", "\t7-Sep\t"), line=52, row=52, column="Gene Symbol", rule="date"
    ),
    "rows that contradict the well": Planted(
        case="NF1 plate 6", change=swap("B,3,B3", "B,4,B3"), line=3, row=3, column="well_position", rule="well"
    ),
    "a reagent with two genes": Planted(
        case=IDR_A, change=swap("\tAKAP13\t", "\tAKAP12\t"), line=52, row=0, column="Gene Symbol", rule="conflict"
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_told_with_its_place(shared_data: Path, tmp_path: Path, name: str) -> None:
    planted = PLANTED[name]
    case = CASES[planted.case]
    source = shared_data / "profiles" / case.files[planted.file]
    lines = source.read_text(encoding="utf-8-sig").split("\n")
    lines[planted.line - 1] = planted.change(lines[planted.line - 1])
    copy = tmp_path / source.name
    copy.write_text("\n".join(lines), encoding="utf-8")
    if planted.rule == "raised":
        with pytest.raises(ValueError, match=f"line {planted.row}: a quote opens here"):
            read(shared_data / "profiles", case, **{source.name: copy})
        return
    result = read(shared_data / "profiles", case, **{source.name: copy})
    told: set[tuple[Any, ...]] = {(e.file, e.row, e.column, e.rule) for e in result.errors}
    expected = (copy.name, planted.row, planted.column, planted.rule)
    if planted.row:
        assert expected in told
        assert len(told) == 1
    else:
        assert {(file, column, rule) for file, _, column, rule in told} == {(copy.name, planted.column, planted.rule)}


def test_the_page_shows_these_figures() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "annotation.md").read_text(encoding="utf-8")
    for name, case in CASES.items():
        assert f"| {name} | {case.wells} | {case.perturbations} | {case.warnings} | {case.errors} |" in page
    for name, planted in PLANTED.items():
        refused = f"refused: the quote of line {planted.row} is not closed"
        rule = refused if planted.rule == "raised" else f"`{planted.rule}`"
        assert f"| {name} | {planted.case} | {rule} |" in page
