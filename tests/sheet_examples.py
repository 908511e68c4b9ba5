"""Small sheets of every kind, valid as they stand: what the fuzzer damages."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import openpyxl
from cytolake.errors import CytolakeError
from cytolake.ingest.annotation.platemap import read_annotation
from cytolake.ingest.annotation.result import PlateFormat

#: The plates that the sheets speak of.
PLATES = tuple(PlateFormat(plate_id=name, n_rows=16, n_columns=24) for name in ("P1", "P2"))

TEXTS = {
    "long.csv": "well,compound,concentration,control_type,cell_line,note\n"
    "A1,X,10 uM,treatment,HepG2,a\nB2,DMSO,,vehicle,HepG2,\n",
    "drawn.csv": "Plate: P1\ncompound,1,2,3\nA,X,Y,\nB,,DMSO,X\n\nDose,,,\n,1,2,3\nA,1 uM,\"0,5 µM\",\nB,,,2 nM\n",
    "barcode_platemap.csv": "Assay_Plate_Barcode,Plate_Map_Name\nP1,M1\nP2,M1\n",
    "M1.txt": "plate_map_name\twell_position\tbroad_sample\tmmoles_per_liter\tsolvent\n"
    "M1\ta01\tBRD-K1\t5\tDMSO\nM1\tA02\t\t\tDMSO\n",
    "reagents.tsv": "broad_sample\tInChIKey\tpert_iname\tcontrol_type\n"
    "BRD-K1\tBSYNRYMUTXBXSQ-UHFFFAOYSA-N\taspirin\tposcon_cp\n",
    "screenA-library.txt": "Plate\tWell\tCharacteristics [Organism]\tTerm Source 1 Accession\t"
    "Gene Symbol\tControl Type\n"
    "P1\tA1\tHomo sapiens\tNCBITaxon_9606\tECT2\t\nP2\tA1\tHomo sapiens\tNCBITaxon_9606\t\tempty well\n",
    "study.txt": "# Study\nComment[IDR Study Accession]\tidr0000\nStudy Title\tShapes\nStudy License\tCC BY 4.0\n"
    "Study Person Last Name\tDoe\nStudy Public Release Date\t2016-11-01\n",
}  # fmt: skip
BOOKS: dict[str, dict[str, list[list[Any]]]] = {
    "long.xlsx": {"map": [["well", "compound", "dose (uM)"], ["A1", "X", 0.5], ["B2", "DMSO", None]]},
    "drawn.xlsx": {"Compound": [[None, 1, 2], ["A", "X", "Y"]], "Dose uM": [[None, 1, 2], ["A", 1, 2]]},
    "mihcsme.xlsx": {
        "InvestigationInformation": [["DataOwner", "First Name", "Jane"], ["DataOwner", "Last Name", "Doe"]],
        "StudyInformation": [["Study", "Study Title", "Liver"], ["Biosample", "Biosample Taxon", "NCBITAXON:9606"]],
        "AssayInformation": [["ImageData", "Image sites per well", 9]],
        "AssayConditions": [["Plate", "Well", "Treatment", "CellLine"], ["P1", "A1", "DMSO", "HepG2"]],
    },
}


def build(folder: Path) -> Path:
    """Write one sheet of every kind into a folder, and return it."""
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "packed.csv.gz").write_bytes(gzip.compress(TEXTS["long.csv"].encode(), mtime=0))
    for name, sheets in BOOKS.items():
        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
        book.save(folder / name)
    return folder


def try_sheets(folder: Path) -> str:
    """Read every sheet of a folder, alone and with the barcode map; say what came of it."""
    outcome = "read"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for group in [[file] for file in files] + [[folder], files]:
        try:
            result = read_annotation(group, study_id="s", run_id="r", plates=PLATES)
        except CytolakeError:
            outcome = "read, a sheet refused"
            continue
        assert all(error.file and error.rule and error.message for error in result.errors)
        for table in (result.wells, result.perturbations, result.well_perturbations, result.biosamples):
            assert table.num_rows >= 0
    return outcome
