"""Structures of plate maps that labs and archives published: read as they were meant, and nothing in them lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cytolake.ingest.annotation.check import check_sheet
from cytolake.ingest.annotation.columns import match_columns
from cytolake.ingest.annotation.platemap import read_annotation
from cytolake.ingest.annotation.result import AnnotationResult, PlateFormat

P1 = PlateFormat(plate_id="P1", n_rows=16, n_columns=24)
P2 = PlateFormat(plate_id="P2", n_rows=16, n_columns=24)
IDR = "Plate,Well,Characteristics [Organism],Term Source 1 REF,Term Source 1 Accession,Characteristics [Cell Line]"
CELLS = "Homo sapiens,NCBITaxon,NCBITaxon_9606,HeLa"


def read(folder: Path, text: str, name: str = "map.csv") -> AnnotationResult:
    (folder / name).write_text(text, encoding="utf-8")
    return read_annotation([folder / name], study_id="s", run_id="r", plates=[P1])


def treatments(result: AnnotationResult, well: str) -> list[tuple[Any, ...]]:
    """Return name, kind, concentration and unit of the treatments of a well."""
    assert result.errors == ()
    found = next(a for a in result.annotations if a.well_id == well)
    return [
        (t.perturbation["name"], t.perturbation["type"], t.dose.get("concentration"), t.dose.get("concentration_unit"))
        for t in found.treatments or ()
    ]


def attributes(result: AnnotationResult, well: str) -> dict[str, str]:
    return dict(next(a for a in result.annotations if a.well_id == well).attributes)


def role(result: AnnotationResult, well: str) -> Any:
    return next(a for a in result.annotations if a.well_id == well).values.get("control_type")


def slots(*headers: str) -> dict[str, tuple[str, int]]:
    columns, faults = match_columns(headers)
    assert faults == []
    return {c.header: (c.slot.name if c.slot.target != "attribute" else "-", c.number) for c in columns}


# --- headers


def test_headers_of_the_idr_are_no_slips() -> None:
    found = slots(
        "Characteristics [Organism 1]", "Characteristics [Organism 2]", "Characteristics [Cell Type]",
        "Comment [Gene Symbol]", "Compound Identifier (CAS Number)", "Experimental Condition [Serum]",
    )  # fmt: skip
    assert found.pop("Characteristics [Organism 1]") == ("organism", 1)
    assert {name for name, _ in found.values()} == {"-"}


@pytest.mark.parametrize("header", ["Characteristics [Organsim]", "Concentraton (uM)", "Cel line (name)"])
def test_slips_in_and_before_brackets_are_told(header: str) -> None:
    _, faults = match_columns([header])
    assert [(fault.header, fault.rule) for fault in faults] == [(header, "unknown-column")]


def test_the_number_of_a_treatment_may_stand_inside() -> None:
    found = slots("Compound 1 Name", "Compound 1 Concentration (microMolar)", "Compound 2 Name", "Compound 2 SMILES")
    assert found == {
        "Compound 1 Name": ("compound", 1),
        "Compound 1 Concentration (microMolar)": ("concentration", 1),
        "Compound 2 Name": ("compound", 2),
        "Compound 2 SMILES": ("smiles", 2),
    }
    assert slots("Tissue 1 Name", "Term Source 1 REF") == {"Tissue 1 Name": ("-", 1), "Term Source 1 REF": ("-", 1)}


def test_one_dose_in_several_units_is_the_molar_one(tmp_path: Path) -> None:
    text = "well,compound,Concentration_mg/mL,Concentration_mM,Concentration_uM\nA1,X,2.5,10,10000\nA2,Y,1.5,,\n"
    result = read(tmp_path, text)
    assert treatments(result, "A02") == [("Y", "compound", 1.5, "mg/mL")]
    assert treatments(result, "A01") == [("X", "compound", 10.0, "mmol/L")]
    assert attributes(result, "A01") == {"Concentration_mg/mL": "2.5", "Concentration_uM": "10000"}


# --- several treatments, and several parts of one


COMBINED = """well,inhibitor,inhibitor_concentration,inhibitor_concentration_unit,inducer1,inducer1_concentration,\
inducer1_concentration_unit
A1,DMSO,0.1,%,ligand A,5,ug/mL
A2,drug B,2,uM,ligand A,5uM,uM
A3,DMSO,0.1,%,DMSO,0.2,%
A4,Media ctr,,,media ctr,,
"""


def test_what_is_named_by_what_it_does_is_a_treatment(tmp_path: Path) -> None:
    result = read(tmp_path, COMBINED)
    assert treatments(result, "A01") == [("DMSO", "compound", 0.1, "%"), ("ligand A", "compound", 5.0, "ug/mL")]
    assert treatments(result, "A02") == [("drug B", "compound", 2.0, "umol/L"), ("ligand A", "compound", 5.0, "umol/L")]
    assert [role(result, f"A0{n}") for n in (1, 2, 3, 4)] == [None, None, "negative_vehicle", "untreated"]
    kept = {"inducer1": "DMSO", "inducer1_concentration": "0.2", "inducer1_concentration_unit": "%"}
    assert attributes(result, "A03") == kept


def test_controls_of_every_kind_in_one_table(tmp_path: Path) -> None:
    wells = "Metadata_Well,Metadata_JCP2022\nA01,JCP2022_999999\nA02,JCP2022_915001\n"
    (tmp_path / "wells.csv").write_text(wells, encoding="utf-8")
    table = (
        "Metadata_JCP2022,Metadata_pert_type,Metadata_modality\nJCP2022_999999,empty,any\nJCP2022_915001,negcon,orf\n"
    )
    (tmp_path / "controls.csv").write_text(table, encoding="utf-8")
    files = [tmp_path / "wells.csv", tmp_path / "controls.csv"]
    result = read_annotation(files, study_id="s", run_id="r", plates=[P1])
    assert result.errors == ()
    assert [role(result, well) for well in ("A01", "A02")] == ["empty", "negative_non_targeting"]


def test_the_unit_of_one_treatment_is_not_that_of_another(tmp_path: Path) -> None:
    text = "well,compound,dose,unit,compound_2,dose_2,unit_2\nA1,X,1,%,Y,3,\n"
    assert [(e.column, e.rule) for e in read(tmp_path, text).errors] == [("dose_2", "unit")]
    shared = read(tmp_path, "well,compound,dose,unit,compound_2,dose_2\nA1,X,1,uM,Y,3\n")
    assert treatments(shared, "A01") == [("X", "compound", 1.0, "umol/L"), ("Y", "compound", 3.0, "umol/L")]


POOL = (
    "Gene Symbol,siRNA Pool Identifier,siRNA Identifier 1,siRNA Identifier 2,siRNA Sequence 1,siRNA Sequence 2,"
    "Control Type"
)


def test_the_guides_of_a_pool_are_one_reagent(tmp_path: Path) -> None:
    text = f"{IDR},{POOL}\nP1,A1,{CELLS},KIF7,R-1,N-1,N-2,GCAUGCAUGCAUGCAUGCA,GGAUGCAUGCAUGCAUGCA,\n"
    result = read(tmp_path, text + f"P1,A2,{CELLS},,R-9,,,,,Negative control\n")
    assert treatments(result, "A01") == [("KIF7", "sirna", None, None)]
    assert attributes(result, "A01")["siRNA Identifier 2"] == "N-2"
    assert role(result, "A02") == "negative_non_targeting"


def test_a_pool_goes_before_the_list_of_its_guides(tmp_path: Path) -> None:
    headers = "siRNA Pool Identifier,siRNA Identifier,siRNA Sequences,Gene Identifier,Gene Symbol"
    result = read(tmp_path, f"{IDR},{headers}\nP1,A1,{CELLS},M-1,D-1;D-2,GCAUG;GGAUG,55,KIF7\n")
    assert treatments(result, "A01") == [("KIF7", "sirna", None, None)]
    assert result.perturbations["guide_id"].to_pylist() == ["M-1"]
    assert attributes(result, "A01")["siRNA Identifier"] == "D-1;D-2"
    assert attributes(result, "A01")["siRNA Sequences"] == "GCAUG;GGAUG"


def test_guides_without_a_pool_say_their_kind(tmp_path: Path) -> None:
    result = read(tmp_path, "well,gene,siRNA ID 1,siRNA ID 2\nA1,KIF7,s1,s2\n")
    assert treatments(result, "A01") == [("KIF7", "sirna", None, None)]
    assert attributes(result, "A01") == {"siRNA ID 1": "s1", "siRNA ID 2": "s2"}


def test_guides_of_several_genes_are_a_combination(tmp_path: Path) -> None:
    text = "well,gene_1,guide_1,gene_2,guide_2\nA1,KIF7,ACGTACGTACGTACGTACGT,PLK9,ACGAACGTACGTACGTACGT\n"
    assert [name for name, *_ in treatments(read(tmp_path, text), "A01")] == ["KIF7", "PLK9"]


# --- nothing is lost


@pytest.mark.parametrize(
    ("header", "text", "name", "kind"),
    [
        ("pubchem_cid", "2244", "PubChem-2244", "compound"),
        ("InChIKey", "BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "compound"),
        ("SMILES", "CC(=O)O", "CC(=O)O", "compound"),
        ("chembl_id", "CHEMBL25", "CHEMBL25", "compound"),
        ("Entrez ID", "9999", "NCBIGene-9999", "other"),
        ("Ensembl ID", "ENSG00000123456", "ENSG00000123456", "other"),
    ],
)
def test_what_has_no_name_is_called_by_its_identifier(
    tmp_path: Path, header: str, text: str, name: str, kind: str
) -> None:
    assert [t[:2] for t in treatments(read(tmp_path, f"well,{header}\nA1,{text}\n"), "A01")] == [(name, kind)]


def test_two_structures_are_two_perturbations(tmp_path: Path) -> None:
    result = read(tmp_path, "well,SMILES,conc_uM\nA1,C[C@H](N)O,1\nA2,C[C@@H](N)O,1\n")
    assert (result.errors, result.perturbations.num_rows) == ((), 2)


def test_facts_of_no_treatment_stay_with_the_well(tmp_path: Path) -> None:
    result = read(tmp_path, "well,compound,lot,vendor,solvent,dose\nA1,,B7,Acme,DMSO,\nA2,X,B8,Acme,DMSO,1 uM\n")
    assert attributes(result, "A01") == {"lot": "B7", "vendor": "Acme", "solvent": "DMSO"}
    assert attributes(result, "A02") == {}
    assert role(result, "A01") == "negative_vehicle"


def test_gene_identifiers_of_others_are_kept_and_listed(tmp_path: Path) -> None:
    result = read(tmp_path, "well,gene,Gene Identifier\nA1,KIF7,NR_000001\nA2,PLK9,55\n")
    assert attributes(result, "A01") == {"Gene Identifier": "NR_000001"}
    assert any("Gene Identifier (what is none of" in warning for warning in result.warnings)


def test_a_gene_may_have_no_name_but_its_systematic_one(tmp_path: Path) -> None:
    result = read(tmp_path, "well,Gene Identifier,Gene Symbol\nA1,YAB123C,\nA2,YAB124W,KIN7\n")
    assert [treatments(result, well)[0][0] for well in ("A01", "A02")] == ["YAB123C", "KIN7"]
    assert attributes(result, "A02") == {"Gene Identifier": "YAB124W"}


def test_none_of_the_vehicle_needs_no_unit(tmp_path: Path) -> None:
    text = "well,treatment,concentration\nA1,DMSO,0\nA2,X,1uM\nA3,Y,10ng/ml\n"
    assert treatments(read(tmp_path, text), "A01") == [("DMSO", "compound", None, None)]
    told = read(tmp_path, text + "A4,X,0\n").errors
    assert [(e.row, e.rule) for e in told] == [(5, "unit")]


def test_a_treatment_is_of_one_kind_with_and_without_a_dose(tmp_path: Path) -> None:
    result = read(tmp_path, "well,treatment,conc\nA1,X,1uM\nA2,X,\nA3,Y,\n")
    assert [treatments(result, f"A0{n}")[0][:2] for n in (1, 2, 3)] == [
        ("X", "compound"),
        ("X", "compound"),
        ("Y", "other"),
    ]


def test_a_sample_may_have_a_name_and_a_number(tmp_path: Path) -> None:
    result = read(tmp_path, "Destination Well,Sample ID,Sample Name\nA1,S-1,plasma\n")
    assert result.errors == ()
    assert result.annotations[0].values["sample_id"] == "S-1"
    assert attributes(result, "A01") == {"Sample Name": "plasma"}


# --- the Image Data Resource


def test_reagents_of_one_gene_are_told_apart(tmp_path: Path) -> None:
    text = (
        f"{IDR},Reagent Identifier,Gene Symbol,Control Type\nP1,A1,{CELLS},KIF7-1,KIF7,\nP1,A2,{CELLS},KIF7-2,KIF7,\n"
    )
    result = read(tmp_path, text + f"P1,A3,{CELLS},,,no reagent\n")
    assert result.perturbations["perturbation_id"].to_pylist() == ["KIF7-1", "KIF7-2"]
    assert set(result.perturbations["gene"].to_pylist()) == {"KIF7"}
    assert role(result, "A03") == "untreated"


@pytest.mark.parametrize(
    ("word", "expected"),
    [("Neutral Control", "negative_vehicle"), ("Stimulator Control", "positive"), ("Inhibitor control", "positive")],
)
def test_words_of_screening_software(tmp_path: Path, word: str, expected: str) -> None:
    result = read(tmp_path, f"well,compound,control_type\nA1,,{word}\n")
    assert (result.errors, role(result, "A01")) == ((), expected)
    assert result.annotations[0].values["control_name"] == word


@pytest.mark.parametrize(
    ("organism", "accession", "term"),
    [
        ("Aspergillus exemplaris", "NCBITaxon_5059", "NCBITaxon:5059"),
        ("Aspergillus exemplaris", "5059", "NCBITaxon:5059"),
        ("Green monkey (Chlorocebus sabaeus)", "", "NCBITaxon:60711"),
        ("Aspergillus exemplaris", "", None),
    ],
)
def test_organisms_by_their_number_and_by_either_name(
    tmp_path: Path, organism: str, accession: str, term: str | None
) -> None:
    text = f"{IDR},Gene Symbol\nP1,A1,{organism},NCBITaxon,{accession},line 1,KIF7\n"
    result = read(tmp_path, text)
    assert result.errors == ()
    assert result.biosamples["organism"].to_pylist() == [term]
    kept = attributes(result, "A01").get("Characteristics [Organism]")
    assert kept == (organism if term is None else None)
    assert any("no organism that is known by name" in warning for warning in result.warnings) == (term is None)


def test_the_first_organism_is_that_of_the_cells(tmp_path: Path) -> None:
    headers = IDR.replace("[Organism]", "[Organism 1]") + ",Characteristics [Organism 2],Compound Name"
    result = read(tmp_path, f"{headers}\nP1,A1,{CELLS},Virus exemplaris,X\n")
    assert result.biosamples["organism"].to_pylist() == ["NCBITaxon:9606"]
    assert attributes(result, "A01")["Characteristics [Organism 2]"] == "Virus exemplaris"


def test_conditions_are_read_like_columns_and_give_way_to_them(tmp_path: Path) -> None:
    headers = "Experimental Condition [Compound],Experimental Condition [Dose],Experimental Condition [Cell Line]"
    result = read(tmp_path, f"{IDR},{headers}\nP1,A1,{CELLS},matrix A,5 microgram per milliliter,HeLa H7\n")
    assert treatments(result, "A01") == [("matrix A", "compound", 5.0, "ug/mL")]
    assert result.annotations[0].values["biosample_id"] == "HeLa"
    assert attributes(result, "A01")["Experimental Condition [Cell Line]"] == "HeLa H7"


def test_addresses_behind_headers(tmp_path: Path) -> None:
    text = (
        "Plate,Well,Compound Name %% url=https://example.org/%s,Compound Concentration (micromolar) %% url=x\n"
        "P1,A1,X,2.5\nP7,A1,X,2.5\n"
    )
    result = read(tmp_path, text, "idr9999-screenA-annotation.csv")
    assert treatments(result, "A01") == [("X", "compound", 2.5, "umol/L")]
    assert any("plates that the study does not have: P7" in warning for warning in result.warnings)


@pytest.mark.parametrize("plate", ["Screen 1/Meas_01", "12[3]_x", "drug p1", "P1"])
def test_a_sheet_may_be_checked_whatever_its_plates_are_called(tmp_path: Path, plate: str) -> None:
    (tmp_path / "map.csv").write_text(f"plate,well,compound\n{plate},A1,X\n", encoding="utf-8")
    result = check_sheet(tmp_path / "map.csv")
    assert (result.errors, len(result.annotations)) == ((), 1)


# --- drawings and maps of plates


def test_a_drawing_whose_numbers_are_fractions(tmp_path: Path) -> None:
    result = read(tmp_path, "compound,2.0,3.0,\nA,X,Y,\nB,Z,,\n,,,\n[salt] (uM),2.0,3.0,\nA,0.5,0.0,\nB,0.5,,\n")
    assert [name for name, *_ in treatments(result, "A03")] == ["Y"]
    assert attributes(result, "A02") == {"[salt] (uM)": "0.5"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n".join([",".join(f"s{n % 5}" for n in range(12))] * 8), "8 × 12 squares of a plate"),
        (",A,B,C\n1,x,y,z\n2,x,y,z\n", "letters stand down the side"),
    ],
)
def test_half_a_drawing_says_what_is_missing(tmp_path: Path, text: str, says: str) -> None:
    (error,) = read(tmp_path, text).errors
    assert error.rule == "missing-column"
    assert says in error.message


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [("Plate Barcode,File Name", "one.csv", "two.csv"), ("barcode,platemap_file", "one", "two")],
)
@pytest.mark.parametrize("names_its_plate", [True, False])
def test_a_barcode_map_names_files(tmp_path: Path, header: str, first: str, second: str, names_its_plate: bool) -> None:
    (tmp_path / "barcode_platemap.csv").write_text(f"{header}\nP1,{first}\nP2,{second}\n", encoding="utf-8")
    for plate, name in (("P1", "one"), ("P2", "two")):
        more = (",Plate_Barcode", f",{plate}") if names_its_plate else ("", "")
        text = f"well,compound{more[0]}\nA1,{name}{more[1]}\n"
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    result = read_annotation([tmp_path], study_id="s", run_id="r", plates=[P1, P2])
    assert result.errors == ()
    assert [(a.plate_id, a.slots()["compound"]) for a in result.annotations] == [("P1", "one"), ("P2", "two")]
