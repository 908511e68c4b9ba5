"""Sheets that are no plain table: drawings of plates, JUMP's files, MIHCSME workbooks, files of the IDR."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sheet_examples
from cytolake.errors import InvalidDataError
from cytolake.ingest.annotation.files import open_file
from cytolake.ingest.annotation.kinds import KINDS
from cytolake.ingest.annotation.platemap import read_annotation
from cytolake.ingest.annotation.result import AnnotationResult, PlateFormat
from cytolake.ingest.annotation.table import RawTable, parse_text
from cytolake.ingest.annotation.workbook import parse_workbook
from hypothesis import given, settings
from hypothesis import strategies as st


def plate(name: str, *, rows: int = 8, columns: int = 12, barcode: str | None = None) -> PlateFormat:
    return PlateFormat(plate_id=name, n_rows=rows, n_columns=columns, barcode=barcode)


def read(paths: Any, *plates: PlateFormat, **options: Any) -> AnnotationResult:
    files = paths if isinstance(paths, list) else [paths]
    return read_annotation(files, study_id="s", run_id="r", plates=plates or (plate("P1"),), **options)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def wells(result: AnnotationResult, *slots: str) -> dict[str, Any]:
    assert result.errors == ()
    rows = result.wells.to_pylist(maps_as_pydicts="strict")
    return {row["well_id"]: tuple(row[s] for s in slots) if len(slots) > 1 else row[slots[0]] for row in rows}


def faults(result: AnnotationResult) -> list[tuple[str, int, str, str]]:
    return [(e.file, e.row, e.column, e.rule) for e in result.errors]


# --- wells as people write them


@pytest.mark.parametrize(
    ("written", "well"),
    [
        ("A1", "A01"), ("a01", "A01"), ("A001", "A01"), ("AF48", "AF48"), ("af8", "AF08"), ("R01C02", "A02"),
        ("r1c2", "A02"), ("0102", "A02"), ("A-1", "A01"), ("A - 01", "A01"), ("A:1", "A01"), ("A_01", "A01"),
        ("A 1", "A01"), ("Well B03", "B03"), ("well_B3", "B03"), ("Row 2 Col 3", "B03"), ("Row B, Column 3", "B03"),
        ("R2 C3", "B03"), (" h12 ", "H12"),
    ],
)  # fmt: skip
def test_wells_in_every_spelling(tmp_path: Path, written: str, well: str) -> None:
    file = write(tmp_path / "map.csv", f'well,compound\n"{written}",X\n')
    assert list(wells(read(file, plate("P1", rows=32, columns=48)), "compound")) == [well]


@pytest.mark.parametrize("written", ["13", "1", "AG01", "A49", "A0", "AA", "1A", "A1B2", "Well", "-"])
def test_what_is_no_well(tmp_path: Path, written: str) -> None:
    result = read(write(tmp_path / "map.csv", f"well,compound\n{written},X\n"), plate("P1", rows=32, columns=48))
    assert faults(result) == [("map.csv", 2, "well", "well")]


# --- drawings

DRAWN = """compound,1,2,3
A,Aspirin,DMSO,
B,,Ibuprofen,Aspirin

Dose,,,
,1,2,3
A,10 uM,,
B,,"0,5 µM",100 nM
"""


def test_a_plate_drawn_as_a_plate(tmp_path: Path) -> None:
    result = read(write(tmp_path / "map.csv", DRAWN))
    assert wells(result, "compound", "concentration_um") == {
        "A01": ("Aspirin", 10.0), "A02": ("DMSO", None), "B02": ("Ibuprofen", 0.5), "B03": ("Aspirin", 0.1),
    }  # fmt: skip


def test_a_square_is_told_by_its_place(tmp_path: Path) -> None:
    text = DRAWN.replace("10 uM", "10 um").replace("100 nM", "100")
    assert faults(read(write(tmp_path / "map.csv", text))) == [
        ("map.csv", 7, "Dose, column 1", "unit"),
        ("map.csv", 8, "Dose, column 3", "unit"),
    ]


def test_drawings_of_several_plates(tmp_path: Path) -> None:
    text = "Plate: P1\ncompound,1,2\nA,X,Y\n\ncontrol,1,2\nA,treatment,positive\n\nPlate,P2\ncompound,1,2\nA,Z,\n"
    result = read(write(tmp_path / "map.csv", text), plate("P1"), plate("P2"))
    told = [(w["plate_id"], w["well_id"], w["compound"], w["control_type"]) for w in result.wells.to_pylist()]
    assert told == [("P1", "A01", "X", "treatment"), ("P1", "A02", "Y", "positive"), ("P2", "A01", "Z", None)]


def test_a_drawing_without_a_title_is_refused(tmp_path: Path) -> None:
    result = read(write(tmp_path / "map.csv", ",1,2\nA,X,Y\n"))
    assert faults(result) == [("map.csv", 1, "", "no-header")]
    assert result.annotations == ()


def test_a_drawing_of_1536_wells_in_a_workbook_named_by_its_sheets(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Compound"
    letters = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AC", "AD", "AE", "AF"]
    for title in ("Compound", "Concentration [uM]"):
        sheet = book.active if title == "Compound" else book.create_sheet("Concentration uM")
        sheet.append([None, *range(1, 49)])
        for row in letters:
            sheet.append([row, *([f"c-{row}"] * 48 if title == "Compound" else [0.5] * 48)])
    book.save(tmp_path / "map.xlsx")
    result = read(tmp_path / "map.xlsx", plate("P1", rows=32, columns=48))
    # Each sheet is a drawing of the same plate: the second completes the first.
    assert result.errors == ()
    found = wells(result, "compound", "concentration_um")
    assert (len(found), found["AF48"]) == (1536, ("c-AF", 0.5))


def test_letters_repeated_on_the_right_are_no_value_and_others_are_told(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "a.csv", "compound,1,2,\nA,X,Y,A\n")).annotations) == 2
    assert faults(read(write(tmp_path / "b.csv", "compound,1,2,\nA,X,Y,spare\n"))) == [("b.csv", 2, "", "row-length")]


def test_a_long_table_with_numbers_is_no_drawing(tmp_path: Path) -> None:
    result = read(write(tmp_path / "map.csv", "row,column,replicate,compound\nC,6,7,X\nD,6,7,Y\n"))
    assert list(wells(result, "compound")) == ["C06", "D06"]


# --- JUMP: plates of maps, and reagents by name

MAP = "plate_map_name\twell_position\tbroad_sample\tmg_per_ml\tmmoles_per_liter\tsolvent\n"
ROWS = "{name}\ta01\tBRD-K11111111-001-01-1\t0.1\t5\tDMSO\n{name}\tA002\t\t\t\tDMSO\n"


def cpg(folder: Path, *, maps: tuple[str, ...] = ("M1",)) -> Path:
    write(
        folder / "barcode_platemap.csv",
        "Assay_Plate_Barcode,Plate_Map_Name\nBR1,M1\nBR2,M1\nBR3,M2\nBR9,M1\n\n",
    )
    for name in maps:
        write(folder / "platemap" / f"{name}.txt", MAP + ROWS.format(name=name))
    return folder


def test_many_plates_of_one_map(tmp_path: Path) -> None:
    plates = (plate("BR1__2020-11-05T19_51_35-Measurement1"), plate("second", barcode="BR2"))
    for given_ in (cpg(tmp_path), tmp_path / "barcode_platemap.csv"):
        result = read(given_, *plates)
        assert result.errors == ()
        told = [(w["plate_id"], w["well_id"], w["control_type"]) for w in result.wells.to_pylist()]
        assert told == [
            (name, well, control)
            for name in ("BR1__2020-11-05T19_51_35-Measurement1", "second")
            for well, control in (("A01", None), ("A02", "negative_vehicle"))
        ]
    assert result.facts.plates["second"] == {"plate_map_name": "M1"}
    assert set(result.well_perturbations["concentration_um"].to_pylist()) == {5000.0}, "the molar dose goes first"
    assert any("2 plates are not in the study: BR3, BR9" in w for w in result.warnings)


def test_a_barcode_is_no_beginning_of_a_longer_one(tmp_path: Path) -> None:
    result = read(cpg(tmp_path), plate("BR11"), plate("BR1_x"))
    assert {a.plate_id for a in result.annotations} == {"BR1_x"}
    assert any("no row is about BR11" in w for w in result.warnings)


def test_a_map_that_is_missing_is_told_where_it_is_named(tmp_path: Path) -> None:
    result = read(cpg(tmp_path), plate("BR3"))
    assert faults(result) == [("barcode_platemap.csv", 4, "Plate_Map_Name", "unknown-map")]


def test_a_map_name_is_never_a_path(tmp_path: Path) -> None:
    write(tmp_path / "secret.txt", MAP + ROWS.format(name="x"))
    folder = tmp_path / "in"
    write(folder / "barcode_platemap.csv", "Assay_Plate_Barcode,Plate_Map_Name\nBR1,../secret\n")
    assert [f[3] for f in faults(read(folder, plate("BR1")))] == ["unknown-map"]


def test_no_plate_of_the_study_is_an_error(tmp_path: Path) -> None:
    assert [f[3] for f in faults(read(cpg(tmp_path), plate("other")))] == ["unknown-plate"]


def test_a_plate_with_two_maps_is_a_contradiction(tmp_path: Path) -> None:
    cpg(tmp_path)
    write(tmp_path / "barcode_platemap.csv", "Assay_Plate_Barcode,Plate_Map_Name\nBR1,M1\nBR1,M2\n")
    assert ("barcode_platemap.csv", 3, "Plate_Map_Name", "conflict") in faults(read(tmp_path, plate("BR1")))


METADATA = (
    "broad_sample\tInChIKey\tpert_iname\tpert_type\tcontrol_type\tsmiles\ttarget_list\n"
    "BRD-K11111111-001-01-1\tBSYNRYMUTXBXSQ-UHFFFAOYSA-N\taspirin\tcontrol\tposcon_cp\tCC(=O)O\tPTGS1|PTGS2\n"
    "NA\tIAZDPXIOMUYVGZ-UHFFFAOYSA-N\tDMSO\tcontrol\tnegcon\tC[S+](C)[O-]\tNA\n"
)


def test_external_metadata_is_joined_by_sample(tmp_path: Path) -> None:
    cpg(tmp_path)
    metadata = write(tmp_path / "external_metadata.tsv", METADATA)
    result = read([tmp_path, metadata], plate("BR1"))
    assert wells(result, "compound", "control_type", "control_name") == {
        "A01": ("aspirin", "positive", "poscon_cp"), "A02": ("DMSO", "negative_vehicle", None),
    }  # fmt: skip
    assert {p["inchikey"] for p in result.perturbations.to_pylist()} == {
        "BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "IAZDPXIOMUYVGZ-UHFFFAOYSA-N",
    }  # fmt: skip
    assert dict(result.annotations[0].attributes)["target_list"] == "PTGS1|PTGS2"


def test_a_fault_of_a_reagent_is_told_where_it_stands(tmp_path: Path) -> None:
    cpg(tmp_path)
    metadata = write(tmp_path / "metadata.tsv", METADATA.replace("BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "BSYNRY"))
    result = read([tmp_path, metadata], plate("BR1"))
    assert faults(result) == [("metadata.tsv", 2, "InChIKey", "pattern")]
    assert [a.well_id for a in result.annotations] == ["A02"]


def test_a_sample_that_the_metadata_does_not_know_is_a_fault(tmp_path: Path) -> None:
    cpg(tmp_path)
    metadata = write(tmp_path / "metadata.tsv", METADATA)
    file = write(
        tmp_path / "platemap" / "M1.txt", MAP + ROWS.format(name="M1") + "M1\tA3\tBRD-K11111112-001-01-1\t\t1\tDMSO\n"
    )
    result = read([tmp_path, metadata], plate("BR1"))
    assert faults(result) == [(file.name, 4, "broad_sample", "unknown-reagent")]
    assert "did you mean 'BRD-K11111111-001-01-1'" in result.errors[0].message


def test_reagents_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    cpg(tmp_path)
    row = METADATA.splitlines()[1].replace("aspirin", "ibuprofen")
    metadata = write(tmp_path / "metadata.tsv", f"{METADATA}{row}\n")
    assert ("metadata.tsv", 4, "broad_sample", "conflict") in faults(read([tmp_path, metadata], plate("BR1")))


def test_genes_of_jump_by_their_code(tmp_path: Path) -> None:
    file = write(
        tmp_path / "well.csv",
        "Metadata_Plate,Metadata_Well,Metadata_JCP2022\nP1,A01,JCP2022_800003\nP1,A02,JCP2022_800002\n"
        "P1,A03,JCP2022_900002\nP1,A04,JCP2022_999999\n",
    )
    crispr = tmp_path / "crispr.csv.gz"
    crispr.write_bytes(gzip.compress(
        b"Metadata_JCP2022,Metadata_NCBI_Gene_ID,Metadata_Symbol\nJCP2022_800003,2,A2M\nJCP2022_800002,,non-targeting\n"
    ))  # fmt: skip
    orf = write(
        tmp_path / "orf.csv",
        "Metadata_JCP2022,Metadata_broad_sample,Metadata_Symbol,Metadata_Taxon_ID,Metadata_pert_type\n"
        "JCP2022_900002,ccsbBroad304_00001,NAT1,9606,trt\nJCP2022_999999,,,,empty\n",
    )
    result = read([file, crispr, orf])
    assert wells(result, "gene", "control_type") == {
        "A01": ("A2M", None), "A02": ("non-targeting", "negative_non_targeting"), "A03": ("NAT1", "treatment"),
        "A04": (None, "empty"),
    }  # fmt: skip
    kinds = {p["gene"]: (p["type"], p["taxon"]) for p in result.perturbations.to_pylist()}
    assert kinds == {
        "A2M": ("crispr_ko", None), "non-targeting": ("crispr_ko", None), "NAT1": ("orf", "NCBITaxon:9606"),
    }  # fmt: skip


def test_a_compound_library_is_joined_by_name(tmp_path: Path) -> None:
    file = write(tmp_path / "map.csv", "well,compound,dose_um\nA1,Aspirin,1\nA2,,\n")
    library = write(tmp_path / "library.csv", "Drug,SMILES,Supplier\nAspirin,CC(=O)O,Sigma\nOther,C,Sigma\n")
    (row,) = read([file, library]).perturbations.to_pylist()
    assert (row["smiles"], row["vendor"]) == ("CC(=O)O", "Sigma")


def test_reagents_alone_are_no_plate_map(tmp_path: Path) -> None:
    result = read(write(tmp_path / "library.csv", "Drug,SMILES\nAspirin,C\n"))
    assert faults(result) == [("library.csv", 1, "", "missing-column")]
    assert "name the plate map, too" in result.errors[0].message


# --- kinds of perturbation, and controls by role


def test_sirna_columns_say_what_they_are(tmp_path: Path) -> None:
    text = "well,siRNA,gene,dose [nM]\nA1,NF1 Target 1,NF1,50\nA2,Scramble,NF1,50\nA3,None,NF1,0\n"
    result = read(write(tmp_path / "map.csv", text))
    assert wells(result, "perturbation", "control_type") == {
        "A01": ("NF1 Target 1", None), "A02": ("Scramble", "negative_non_targeting"), "A03": (None, "untreated"),
    }  # fmt: skip
    assert {p["type"] for p in result.perturbations.to_pylist()} == {"sirna"}


@pytest.mark.parametrize(
    ("headers", "cells", "role"),
    [
        ("compound", "Empty", "empty"),
        ("compound", "untreated", "untreated"),
        ("treatment", "DMSO", "negative_vehicle"),
        ("compound,well type", "X,sample", "treatment"),
        ("compound,well type", "X,pos ctrl", "positive"),
        ("gene,sgRNA,role", "NTC,ACGT,neg", "negative_non_targeting"),
        ("compound,content type", ",blank", "empty"),
        ("broad_sample", "", "untreated"),
        ("broad_sample,pert_type", "BRD-K11111111,trt", "treatment"),
    ],
)
def test_controls_by_role(tmp_path: Path, headers: str, cells: str, role: str) -> None:
    result = read(write(tmp_path / "map.csv", f"well,{headers}\nA1,{cells}\n"))
    assert wells(result, "control_type") == {"A01": role}


def test_gene_identifiers_by_what_they_are(tmp_path: Path) -> None:
    text = "well,gene,Gene Identifier\nA1,TP53,7157\nA2,MYC,ENSG00000136997\nA3,BCR,HGNC:1014\nA4,w,FBgn0003996\n"
    result = read(write(tmp_path / "map.csv", text))
    told = {p["gene"]: (p["ncbi_gene_id"], p["ensembl_id"], p["hgnc_id"]) for p in result.perturbations.to_pylist()}
    assert told == {
        "TP53": (7157, None, None), "MYC": (None, "ENSG00000136997", None), "BCR": (None, None, "HGNC:1014"),
        "w": (None, None, None),
    }  # fmt: skip
    assert dict(result.annotations[3].attributes) == {"Gene Identifier": "FBgn0003996"}


def test_samples_with_their_facts(tmp_path: Path) -> None:
    text = "well,cell line,species,passage,RRID\nA1,HepG2,human,P12,CVCL_0027\nA2,HepG2,,,\nA3,3T3,Mus musculus,4,\n"
    rows = {b["biosample_id"]: b for b in read(write(tmp_path / "map.csv", text)).biosamples.to_pylist()}
    hepg2 = rows["HepG2"]
    assert (hepg2["organism"], hepg2["passage"], hepg2["cell_line_id"]) == ("NCBITaxon:9606", 12, "CVCL_0027")
    assert rows["3T3"]["organism"] == "NCBITaxon:10090"
    clash = read(write(tmp_path / "clash.csv", text.replace("HepG2,,,", "HepG2,mouse,,")))
    assert faults(clash) == [("clash.csv", 3, "species", "conflict")]


def test_the_row_numbers_of_pandas_are_no_column(tmp_path: Path) -> None:
    result = read(write(tmp_path / "map.csv", ",well,compound\n0,A1,X\n1,A2,Y\n"))
    assert wells(result, "compound", "attributes") == {"A01": ("X", None), "A02": ("Y", None)}


# --- IDR

IDR = (
    "Plate\tWell\tPlate_Well\tCharacteristics [Organism]\tTerm Source 1 REF\tTerm Source 1 Accession\t"
    "Characteristics [Cell Line]\tsiRNA Pool Identifier\tGene Identifier\tGene Symbol\tGene Symbol Synonyms\t"
    "Control Type\tControl Comments\tQuality Control\n"
    "P1\tA1\tP1_A1\tSaccharomyces cerevisiae\tNCBITaxon\tNCBITaxon_4932\tLM2\t"
    "M-1\t1894\tECT2\t\tpositive control\tbig\tpass\n"
    "P1\tA2\tP1_A2\t\t\t\t\t\t\t\t\tempty well\t\t\n"
    "P1\tA3\tP1_A3\tSaccharomyces cerevisiae\tNCBITaxon\tNCBITaxon_4932\tLM2\t"
    "\t\t\t\tnegative control\tmock transfection\tFail\n"
    "P1\tA4\tP1_A4\tSaccharomyces cerevisiae\tNCBITaxon\tNCBITaxon_4932\tLM2\tM-2\t29127\tRACGAP1\t\t\t\tpass\n"
    "P1\tA5\tP1_A5\tSaccharomyces cerevisiae\tNCBITaxon\tNCBITaxon_4932\tLM2\t\t\t\t\tdilution curve\t\tpass\n"
    "P2\tA1\tP2_A1\t\t\t\t\t\t\t\t\tempty well\t\t\n"
)


def test_a_library_of_the_idr(tmp_path: Path) -> None:
    result = read(write(tmp_path / "idr0000-screenA-library.txt", IDR))
    assert wells(result, "gene", "control_type", "control_name") == {
        "A01": ("ECT2", "positive", "big"), "A02": (None, "empty", None),
        "A03": (None, "negative_vehicle", "mock transfection"), "A04": ("RACGAP1", "treatment", None),
        "A05": (None, None, "dilution curve"),
    }  # fmt: skip
    assert [b["organism"] for b in result.biosamples.to_pylist()] == ["NCBITaxon:4932"]
    assert {p["type"] for p in result.perturbations.to_pylist()} == {"sirna"}
    said = " ".join(result.warnings)
    assert "1 rows are about plates that the study does not have: P2" in said
    assert "1 wells failed the quality control" in said
    assert set(wells(result, "excluded").values()) == {False}


def test_the_study_of_the_idr(tmp_path: Path) -> None:
    study = write(
        tmp_path / "idr0000-study.txt",
        '"# Section with ""generic"" information"\t\n# Study\t\nComment[IDR Study Accession]\tidr0000\n'
        "Study Title\tShapes\nStudy Type\thigh content screen\nStudy Key Words\tRNAi; shape\n"
        "Study DOI\thttps://doi.org/10.1038/sdata.2017.18\nStudy License\tCC BY 4.0\n"
        "Study Public Release Date\t2016-11-01\nStudy Person Last Name\tDoe\tRoe\nStudy Person First Name\tAnn\tBob\n"
        "Study Person Email\ta@b.org\t\nScreen Number\t1\nStudy Title\tnot this one\n",
    )
    library = write(tmp_path / "idr0000-screenA-library.txt", IDR)
    result = read([study, library])
    assert result.errors == ()
    facts = dict(result.facts.study)
    people = facts.pop("contributors")
    assert [(p["name"], p["email"]) for p in people] == [("Ann Doe", "a@b.org"), ("Bob Roe", None)]
    assert facts == {
        "title": "Shapes", "keywords": ["RNAi", "shape"], "publication_doi": "10.1038/sdata.2017.18",
        "licence": "CC-BY-4.0", "release_date": date(2016, 11, 1), "related_accession": "idr0000",
    }  # fmt: skip


# --- MIHCSME

INVESTIGATION = [
    ["# Investigation Information"], ["Annotation_groups", "Key", "Value"],
    ["DataOwner", "First Name", "Jane"], [None, "Last Name", "Doe"], ["DataOwner", "E-Mail Address", "j@doe.org"],
    ["DataOwner", "ORCID investigator", "https://orcid.org/0000-0002-3704-3675"],
    ["DataCollaborator", "ORCID  Data Collaborator", "https://orcid.org/0000-0001-5109-3700"],
    ["InvestigationInformation", "Project ID", "EuTOX"],
]  # fmt: skip
STUDY = [
    ["Study", "Study Title", "Liver"], ["Study", "Study Key Words", "liver, toxicity"],
    ["Biosample", "Biosample Taxon", "NCBITAXON:9606"], ["Biosample", "Biosample Organism", "Human"],
    ["Plate", "Plate type", "uclear"], ["Plate", "Plate type Manufacturer", "Greiner Bio-One"],
    ["Plate", "Plate type Catalog number", 781081],
]  # fmt: skip
ASSAY = [
    ["Biosample", "Cell lines Passage number", "P12"],
    ["ImageData", "Image sites per well", 9],
    ["ImageAcquisition", "Microscope id", "https://microscopes.org/1"],
]
CONDITIONS = [
    ["# one line per well"],
    ["Plate", "Well", "Treatment", "Dose", "DoseUnit", "CellLine", "TimeTreatment", "ReplID", "remarks"],
    ["P1", "A1", "DMSO", 0.1, "%", "HepG2", 24, 1, None],
    ["P1", "AF48", "Diclofenac", 10, "µM", "HepG2", "2 d", "R2", "edge"],
]


def mihcsme(path: Path, **changed: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    sheets = {
        "InvestigationInformation": INVESTIGATION, "StudyInformation": STUDY, "AssayInformation": ASSAY,
        "AssayConditions": CONDITIONS, "_Organisms": [["Name", "Term"], ["Human", "x"]],
    } | changed  # fmt: skip
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_mihcsme_workbook(tmp_path: Path) -> None:
    result = read(mihcsme(tmp_path / "m.xlsx"), plate("P1", rows=32, columns=48))
    assert wells(result, "perturbation", "control_type", "replicate") == {
        "A01": ("DMSO", "negative_vehicle", 1), "AF48": ("Diclofenac", None, 2),
    }  # fmt: skip
    doses = {d["well_id"]: (d["concentration_unit"], d["duration_h"]) for d in result.well_perturbations.to_pylist()}
    assert doses == {"A01": ("%", 24.0), "AF48": ("umol/L", 48.0)}
    study = dict(result.facts.study)
    assert [(p["name"], p["orcid"], p["role"]) for p in study.pop("contributors")] == [
        ("Jane Doe", "0000-0002-3704-3675", "data owner"),
        ("0000-0001-5109-3700", "0000-0001-5109-3700", "data collaborator"),
    ]
    assert study == {"title": "Liver", "keywords": ["liver", "toxicity"]}
    (sample,) = result.biosamples.to_pylist()
    assert (sample["organism"], sample["cell_line"], sample["passage"]) == ("NCBITaxon:9606", "HepG2", 12)
    assert result.facts.plate == {
        "plate_type": "uclear", "manufacturer": "Greiner Bio-One", "catalogue_number": "781081",
    }  # fmt: skip
    assert result.facts.acquisition == {"sites_per_well": 9, "instrument_model": "https://microscopes.org/1"}
    assert any("no slot for Project ID" in w for w in result.warnings)


def test_faults_of_a_mihcsme_workbook(tmp_path: Path) -> None:
    path = mihcsme(
        tmp_path / "m.xlsx",
        InvestigationInformation=[["DataOwner", "First Name", "J"], ["DataOwner", "E-Mail Address", "nobody"]],
        StudyInformation=[
            ["Biosample", "Biosample Organism", "Yeti"],
            ["Study", "Study Title", "A"],
            ["Study", "Study Title", "B"],
        ],
        AssayConditions=[["Plate", "Well", "Dose"], ["P1", "A1", "10 uM"], ["P7", "A1", None]],
    )
    assert faults(read(path)) == [
        ("m.xlsx#StudyInformation", 1, "Biosample Organism", "value"),
        ("m.xlsx#AssayConditions", 2, "Dose", "missing"),
        ("m.xlsx#AssayConditions", 3, "Plate", "unknown-plate"),
        ("m.xlsx#StudyInformation", 3, "Study Title", "conflict"),
        ("m.xlsx#InvestigationInformation", 1, "First Name", "pattern"),
    ]


def test_facts_of_one_sample_are_said_of_none_where_there_are_two(tmp_path: Path) -> None:
    rows = [["Plate", "Well", "CellLine"], ["P1", "A1", "HepG2"], ["P1", "A2", "Huh7"]]
    result = read(mihcsme(tmp_path / "m.xlsx", AssayConditions=rows))
    assert {(b["passage"], b["organism"]) for b in result.biosamples.to_pylist()} == {(None, "NCBITaxon:9606")}
    assert any("said of 2 samples at once" in w for w in result.warnings)


# --- any table


def test_the_examples_of_every_kind_are_valid(tmp_path: Path) -> None:
    folder = sheet_examples.build(tmp_path)
    assert sheet_examples.try_sheets(folder) == "read"
    kinds = {kind.name for file in sorted(folder.iterdir()) for kind in _claiming(file)}
    assert kinds == {kind.name for kind in KINDS}


def _claiming(file: Path) -> list[Any]:
    opened = open_file(file)
    tables = parse_workbook(opened) if opened.is_workbook else [parse_text(opened.data, file.name)]
    return [next(kind for kind in KINDS if kind.claims(table)) for table in tables]


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["", "A", "B", "1", "2", "3", "well", "plate", "compound", "Plate: P1", "broad_sample", "A1", "#", "x",
                 "Assay_Plate_Barcode", "Plate_Map_Name", "Study Title", "Study Type", "10 uM", "smiles", "gene",
                 "Characteristics [Organism]", "Term Source 1 Accession", "NA", "row", "column"]
            ),
            min_size=1, max_size=6,
        ),
        max_size=8,
    )
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_table_gives_a_contribution(rows: list[list[str]]) -> None:
    text = "\n".join(",".join(row) for row in rows)
    try:
        table: RawTable = parse_text(text.encode(), "map.csv")
    except InvalidDataError:
        return
    for kind in KINDS:
        if kind.claims(table):
            found = kind.read(table)
            assert all(len(row.cells) == len(sheet.headers) for sheet in found.wells for row in sheet.rows)


@given(st.text(alphabet='ABWell, \t\n"1230_-µM;|#', max_size=160))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_a_result_or_our_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(text, encoding="utf-8")
    try:
        result = read(path)
    except InvalidDataError:
        return
    assert all(e.file and e.rule and e.message for e in result.errors)
