"""Annotation in the lake: complete, never silently over what is known, and nothing at all where nothing is new."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from cytolake import init_lake
from cytolake.errors import AlreadyExistsError, InvalidDataError, NotFoundError
from cytolake.ingest.annotation.apply import annotate, annotate_export, check_annotation
from cytolake.ingest.rows import table_of
from cytolake.ingest.vendors.harmony import HarmonyReader
from cytolake.schemas.identifiers import parse_well
from cytolake.store.commit import Commit
from cytolake.store.root import LakeRoot, init_root
from harmony_xml import Export, grid


@pytest.fixture
def root(tmp_path: Path) -> LakeRoot:
    """A lake that knows two plates of 8 × 12 wells, with A01 and B03 imaged; no pixels."""
    lake = init_root(tmp_path / "lake")
    with Commit(lake, run_id="ingest-1", app_id="test") as commit:
        for plate in ("P1", "P2"):
            key = {"study_id": "pilot", "plate_id": plate}
            facts = {
                "barcode": f"BR{plate}",
                "n_rows": 8,
                "n_columns": 12,
                "path": "x",
                "fingerprint": "f",
                "status": "ok",
            }
            commit.replace("plates", key, table_of("plates", [{**key, **facts, "run_id": "ingest-1"}]))
            commit.replace("wells", key, table_of("wells", [bare_well(plate, w) for w in ("A01", "B03")]))
        commit.commit()
    return lake


def bare_well(plate: str, well: str) -> dict[str, Any]:
    row, column = parse_well(well)
    return {
        "study_id": "pilot", "plate_id": plate, "well_id": well, "row": row, "column": column,
        "n_perturbations": 0, "excluded": False, "run_id": "ingest-1",
    }  # fmt: skip


def apply(root: LakeRoot, tmp_path: Path, text: str, **options: Any) -> dict[str, Any]:
    file = tmp_path / "map.csv"
    file.write_text(text)
    return annotate(root, **{"study_id": "pilot", "plate_id": "P1", "files": [file]} | options)


def wells(root: LakeRoot, plate: str = "P1") -> dict[str, dict[str, Any]]:
    rows = root.tables.read("wells", where={"study_id": "pilot", "plate_id": plate})
    return {row["well_id"]: row for row in rows.to_pylist(maps_as_pydicts="strict")}


def doses(root: LakeRoot) -> list[tuple[str, str, float | None]]:
    rows = root.tables.read("well_perturbations").to_pylist()
    return sorted((r["well_id"], r["perturbation_id"], r["concentration_um"]) for r in rows)


def files(root: LakeRoot) -> dict[str, int]:
    folder = Path(root.url.removeprefix("file://"))
    assert folder.is_dir()
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


MAP = (
    "well,compound,concentration,control_type\nA1,Aspirin,10 uM,treatment\nB3,DMSO,,vehicle\n"
    "H12,Aspirin,1 uM,treatment\n"
)


def test_a_plate_map_fills_the_wells(root: LakeRoot, tmp_path: Path) -> None:
    report = apply(root, tmp_path, MAP)
    assert (report["status"], report["rows"], report["errors"]) == ("ok", 3, [])
    found = wells(root)
    assert sorted(found) == ["A01", "B03", "H12"], "a well that was not imaged is a well all the same"
    assert (found["A01"]["compound"], found["A01"]["concentration_um"]) == ("Aspirin", 10.0)
    assert found["B03"]["control_type"] == "negative_vehicle"
    assert {w["run_id"] for w in found.values()} == {report["run_id"]}
    assert doses(root) == [("A01", "Aspirin", 10.0), ("B03", "DMSO", None), ("H12", "Aspirin", 1.0)]
    assert {w["compound"] for w in wells(root, "P2").values()} == {None}
    (run,) = root.tables.read("runs", where={"verb": "annotate"}).to_pylist()
    assert (run["run_id"], run["status"], run["plate_ids"]) == (report["run_id"], "ok", ["P1"])
    assert [(i["kind"], i["name"]) for i in run["inputs"]] == [("file", "map.csv"), ("run", "ingest-1")]


def test_wells_without_a_row_keep_what_they_have(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound\nA1,Aspirin\n")
    assert wells(root)["B03"] == {**dict.fromkeys(wells(root)["B03"]), **bare_well("P1", "B03")}


def test_the_same_again_changes_no_file(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, MAP)
    before = files(root)
    report = apply(root, tmp_path, MAP)
    assert (report["status"], report["rows"], report["run_id"]) == ("skipped", 0, None)
    assert files(root) == before


def test_sheets_complete_each_other(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, MAP)
    report = apply(root, tmp_path, "well,cell_line,note\nA1,HepG2,first\n")
    assert report["rows"] == 1
    found = wells(root)["A01"]
    assert (found["biosample_id"], found["compound"], found["attributes"]) == ("HepG2", "Aspirin", {"note": "first"})
    assert root.tables.read("biosamples")["cell_line"].to_pylist() == ["HepG2"]
    assert len(doses(root)) == 3
    apply(root, tmp_path, "well,compound,batch no\nA1,,7\n")
    assert wells(root)["A01"]["compound"] == "Aspirin", "an empty cell says nothing"
    assert wells(root)["A01"]["attributes"] == {"note": "first", "batch no": "7"}


CONTRADICTIONS = {
    "another compound": ("well,compound\nA1,Ibuprofen\n", "A01 of P1 has Aspirin, row 2 of map.csv says Ibuprofen"),
    "another dose": (
        "well,compound,dose_um\nA1,Aspirin,3\n",
        "A01 of P1 has Aspirin at 10 uM, row 2 of map.csv says 3 uM",
    ),
    "a combination": (
        "well,compound,dose_um,compound_2\nA1,Aspirin,10,X\n",
        "has Aspirin, row 2 of map.csv says Aspirin + X",
    ),
    "another control": (
        "well,control\nA1,positive\n",
        "control_type of A01 of P1 is treatment, row 2 of map.csv says positive",
    ),
    "other facts": ("well,compound,dose_um,smiles\nH12,Aspirin,1,CC\n", "smiles of Aspirin is C, the sheet says CC"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_needs_replace(root: LakeRoot, tmp_path: Path, case: str) -> None:
    text, said = CONTRADICTIONS[case]
    apply(root, tmp_path, MAP)
    apply(root, tmp_path, "well,compound,dose_um,smiles\nA1,Aspirin,10,C\n")
    before = files(root)
    with pytest.raises(AlreadyExistsError) as raised:
        apply(root, tmp_path, text)
    assert said in raised.value.message
    assert "--replace" in str(raised.value)
    assert files(root) == before
    report = apply(root, tmp_path, text, replace=True)
    assert report["status"] == "ok"
    assert apply(root, tmp_path, text)["status"] == "skipped"


def test_replace_overrules_only_what_the_sheet_says(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, MAP)
    apply(root, tmp_path, "well,compound,control_type\nA1,Ibuprofen,\n", replace=True)
    found = wells(root)
    assert (found["A01"]["compound"], found["A01"]["concentration_um"]) == ("Ibuprofen", None)
    assert found["A01"]["control_type"] is None
    assert found["H12"]["compound"] == "Aspirin"
    assert doses(root) == [("A01", "Ibuprofen", None), ("B03", "DMSO", None), ("H12", "Aspirin", 1.0)]
    apply(root, tmp_path, "well,compound\nA1,\n", replace=True)
    assert wells(root)["A01"]["n_perturbations"] == 0
    assert [d[0] for d in doses(root)] == ["B03", "H12"]


def test_exclusion_stays_until_somebody_overrules_it(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,excluded,exclusion_reason\nA1,yes,bubble\n")
    apply(root, tmp_path, "well,compound,excluded\nA1,X,\n")
    assert (wells(root)["A01"]["excluded"], wells(root)["A01"]["exclusion_reason"]) == (True, "bubble")
    with pytest.raises(AlreadyExistsError, match="excluded of A01"):
        apply(root, tmp_path, "well,excluded\nA1,no\n")
    apply(root, tmp_path, "well,excluded\nA1,no\n", replace=True)
    assert wells(root)["A01"]["excluded"] is False


def test_a_well_that_is_included_again_has_no_reason_to_be_excluded(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,excluded,exclusion_reason\nA1,yes,bubble\n")
    apply(root, tmp_path, "well,excluded\nA1,no\n", replace=True)
    found = wells(root)["A01"]
    assert (found["excluded"], found["exclusion_reason"]) == (False, None)


def test_wells_without_images_are_told(root: LakeRoot, tmp_path: Path) -> None:
    key = {"study_id": "pilot", "plate_id": "P1"}
    facts = {"acquisition_id": 1, "field_id": 1, "n_timepoints": 1, "n_channels": 1, "n_z_planes": 1, "height": 1,
             "width": 1, "dtype": "uint16", "pixel_size_x_um": 1.0, "pixel_size_y_um": 1.0, "n_planes": 1,
             "n_missing_planes": 0, "n_corrupt_planes": 0, "run_id": "ingest-1", "source_files": []}  # fmt: skip
    with Commit(root, run_id="ingest-2", app_id="test") as commit:
        commit.replace("images", key, table_of("images", [{**key, **facts, "well_id": w} for w in ("A01", "B03")]))
        commit.commit()
    report = apply(root, tmp_path, MAP)
    assert [w for w in report["warnings"] if "images" in w] == [
        "plate P1: the sheets speak of 1 well(s) that have no images: H12"
    ]
    assert "H12" in wells(root)


def test_all_rows_or_none(root: LakeRoot, tmp_path: Path) -> None:
    before = files(root)
    report = apply(root, tmp_path, "well,compound\nA1,X\nZ1,Y\n")
    assert (report["status"], report["rows"], report["run_id"]) == ("failed", 0, None)
    assert report["errors"] == [
        {
            "file": "map.csv",
            "row": 3,
            "column": "well",
            "value": "Z1",
            "rule": "outside-plate",
            "message": "Z01 lies outside plate P1 of 8 × 12 wells",
        }
    ]
    assert files(root) == before


def test_valid_rows_may_be_accepted(root: LakeRoot, tmp_path: Path) -> None:
    report = apply(root, tmp_path, "well,compound\nA1,X\nZ1,Y\n", accept_valid=True)
    assert (report["status"], report["rows"], len(report["errors"])) == ("partial", 1, 1)
    assert wells(root)["A01"]["compound"] == "X"
    assert root.tables.read("runs", where={"verb": "annotate"})["status"].to_pylist() == ["partial"]
    assert apply(root, tmp_path, "well,compound\nZ1,Y\n", accept_valid=True)["status"] == "failed"


def test_a_sheet_of_several_plates(root: LakeRoot, tmp_path: Path) -> None:
    report = apply(root, tmp_path, "barcode,well,compound\nBRP1,A1,X\nP2,A1,Y\n", plate_id=None)
    assert report["rows"] == 2
    assert (wells(root)["A01"]["compound"], wells(root, "P2")["A01"]["compound"]) == ("X", "Y")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"study_id": "pilott"}, "no plates of a study 'pilott'; did you mean 'pilot'?"),
        ({"plate_id": "P9"}, "study 'pilot' has no plate 'P9'"),
        ({"files": ["none.csv"]}, "there is no file none.csv"),
    ],
)
def test_what_does_not_exist(root: LakeRoot, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(NotFoundError) as raised:
        apply(root, tmp_path, MAP, **options)
    assert said in raised.value.message


# --- facts beyond the wells


def with_study(root: LakeRoot, **facts: Any) -> None:
    acquisition = {
        "study_id": "pilot", "plate_id": "P1", "acquisition_id": 1, "vendor": "v", "format_version": "1", "reader": "r",
        "n_z_planes": 1, "n_timepoints": 1, "height": 2, "width": 2, "pixel_size_x_um": 1.0, "pixel_size_y_um": 1.0,
        "run_id": "ingest-1",
    }  # fmt: skip
    with Commit(root, run_id="ingest-1", app_id="test-study") as commit:
        commit.append("studies", table_of("studies", [{"study_id": "pilot", "title": "pilot", "run_id": "ingest-1"}]))
        commit.append("acquisitions", table_of("acquisitions", [acquisition | facts]))
        commit.commit()


def mihcsme(tmp_path: Path, **information: list[list[Any]]) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    sheets = {
        "InvestigationInformation": [["DataOwner", "First Name", "Jane"], ["DataOwner", "Last Name", "Doe"]],
        "StudyInformation": [["Study", "Study Title", "Liver"], ["Plate", "Plate type", "uclear"]],
        "AssayInformation": [
            ["ImageAcquisition", "Microscope id", "Phenix 2"], ["ImageData", "Image sites per well", 9],
        ],
        "AssayConditions": [["Plate", "Well", "Treatment", "CellLine"], ["P1", "A1", "DMSO", "HepG2"]],
    } | information  # fmt: skip
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(tmp_path / "study.xlsx")
    return tmp_path / "study.xlsx"


def test_a_mihcsme_workbook_fills_study_plate_and_acquisition(root: LakeRoot, tmp_path: Path) -> None:
    with_study(root, instrument_model="Opera Phenix")
    report = annotate(root, study_id="pilot", files=[mihcsme(tmp_path)])
    assert (report["status"], report["rows"]) == ("ok", 1)
    (study,) = root.tables.read("studies").to_pylist()
    assert (study["title"], study["contributors"][0]["name"]) == ("Liver", "Jane Doe")
    plates = {p["plate_id"]: p for p in root.tables.read("plates").to_pylist()}
    assert (plates["P1"]["plate_type"], plates["P2"]["plate_type"]) == ("uclear", None)
    assert (plates["P1"]["barcode"], plates["P1"]["fingerprint"]) == ("BRP1", "f")
    (acquisition,) = root.tables.read("acquisitions").to_pylist()
    assert (acquisition["sites_per_well"], acquisition["instrument_model"]) == (9, "Opera Phenix")
    assert any("instrument_model is Opera Phenix, as the export says" in w for w in report["warnings"])
    before = files(root)
    assert annotate(root, study_id="pilot", files=[mihcsme(tmp_path)])["status"] == "skipped"
    assert files(root) == before


def test_facts_of_a_study_contradict_without_replace(root: LakeRoot, tmp_path: Path) -> None:
    with_study(root)
    annotate(root, study_id="pilot", files=[mihcsme(tmp_path)])
    other = mihcsme(tmp_path, StudyInformation=[["Study", "Study Title", "Kidney"]])
    with pytest.raises(AlreadyExistsError, match="title of pilot is Liver, the sheet says Kidney"):
        annotate(root, study_id="pilot", files=[other])
    annotate(root, study_id="pilot", files=[other], replace=True)
    assert root.tables.read("studies")["title"].to_pylist() == ["Kidney"]


def test_wrong_facts_are_left_out_where_the_valid_is_accepted(root: LakeRoot, tmp_path: Path) -> None:
    with_study(root)
    owner = [["DataOwner", "First Name", "J"], ["DataOwner", "E-Mail Address", "nobody"]]
    book = mihcsme(tmp_path, InvestigationInformation=owner)
    assert annotate(root, study_id="pilot", files=[book])["status"] == "failed"
    report = annotate(root, study_id="pilot", files=[book], accept_valid=True)
    assert (report["status"], len(report["errors"]), report["rows"]) == ("partial", 1, 1)
    (study,) = root.tables.read("studies").to_pylist()
    assert (study["title"], study["contributors"]) == ("Liver", None)


@pytest.mark.parametrize("name", ["barcode_platemap.csv", "screen 7.csv"])
def test_plates_know_the_map_that_they_were_made_from(root: LakeRoot, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Assay_Plate_Barcode,Plate_Map_Name\nBRP1,M1\nP2,M1\n")
    (tmp_path / "M1.txt").write_text("well_position\tbroad_sample\tsolvent\nA01\tBRD-K1\tDMSO\nB03\t\tDMSO\n")
    report = annotate(root, study_id="pilot", files=[tmp_path])
    assert (report["status"], report["rows"]) == ("ok", 4)
    assert root.tables.read("plates")["plate_map_name"].to_pylist() == ["M1", "M1"]
    (run,) = root.tables.read("runs", where={"verb": "annotate"}).to_pylist()
    assert [i["name"] for i in run["inputs"]] == [name, "M1.txt", "ingest-1"]


def test_a_folder_of_several_barcode_maps_or_none_is_refused(root: LakeRoot, tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    with pytest.raises(InvalidDataError, match=r"is a folder, not a sheet, and has no barcode_platemap.csv"):
        annotate(root, study_id="pilot", files=[tmp_path / "maps"])
    for name in ("a.csv", "b.csv"):
        (tmp_path / "maps" / name).write_text("Assay_Plate_Barcode,Plate_Map_Name\nBRP1,M1\n")
    with pytest.raises(InvalidDataError, match=r"has several barcode maps: a.csv, b.csv"):
        annotate(root, study_id="pilot", files=[tmp_path / "maps"])


def test_plates_of_a_barcode_map_that_the_study_lacks(root: LakeRoot, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nBR7,M1\nBR8,M1\n")
    (error,) = annotate(root, study_id="pilot", files=[tmp_path / "map.csv"])["errors"]
    assert error["message"] == "the study has no plate 'BR7' or any other plate of the 2 there; its plates are P1, P2"
    (tmp_path / "map.csv").write_text("plate,well,compound\nXX7,A1,X\n")
    (error,) = annotate(root, study_id="pilot", files=[tmp_path / "map.csv"])["errors"]
    assert error["message"] == "the study has no plate 'XX7'; its plates are P1, P2"


def test_samples_complete_each_other(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,line_ID\nA1,30\n")
    assert [b["biosample_id"] for b in root.tables.read("biosamples").to_pylist()] == ["30"]
    apply(root, tmp_path, "well,line_ID,cell line,organism\nA1,30,KOLF2,human\n")
    (sample,) = root.tables.read("biosamples").to_pylist()
    assert (sample["cell_line"], sample["organism"]) == ("KOLF2", "NCBITaxon:9606")


# --- with an ingest

LAYOUT = """<AssayLayout xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5"><PlateCols>12</PlateCols><PlateRows>8</PlateRows>
<Layer><Name>Compound</Name><Well><Row>1</Row><Col>1</Col><Value>Aspirin</Value></Well>
<Well><Row>2</Row><Col>3</Col><Value>DMSO</Value></Well></Layer>
<Layer><Name>Concentration</Name><Well><Row>1</Row><Col>1</Col><Value>{dose}</Value></Well></Layer>
<Layer><Name>Operator</Name><Well><Row>1</Row><Col>1</Col><Value>Ann</Value></Well></Layer></AssayLayout>"""


def with_layout(tmp_path: Path, dose: str) -> Any:
    folder = Export(images=grid(), plate_id="P1").write(tmp_path / f"M {dose}")
    (folder / "Assaylayout").mkdir()
    (folder / "Assaylayout" / "plate.xml").write_text(LAYOUT.format(dose=dose), encoding="utf-8")
    return HarmonyReader().read(folder)[0]


def test_an_assay_layout_annotates_by_itself(root: LakeRoot, tmp_path: Path) -> None:
    export = with_layout(tmp_path, "10 µM")
    report = annotate_export(root, export, [], study_id="pilot")
    assert (report["status"], report["rows"]) == ("ok", 2)
    assert doses(root) == [("A01", "Aspirin", 10.0), ("B03", "DMSO", None)]
    assert wells(root)["A01"]["attributes"] == {"Operator": "Ann"}
    before = files(root)
    assert annotate_export(root, export, [], study_id="pilot")["status"] == "skipped"
    assert files(root) == before


def test_a_layer_that_breaks_a_rule_becomes_an_attribute(root: LakeRoot, tmp_path: Path) -> None:
    report = annotate_export(root, with_layout(tmp_path, "10"), [], study_id="pilot")
    assert any("layer 'Concentration' is kept as an attribute only: '10' has no unit" in w for w in report["warnings"])
    assert wells(root)["A01"]["attributes"] == {"Operator": "Ann", "Concentration": "10"}
    assert wells(root)["A01"]["compound"] == "Aspirin"


def test_an_assay_layout_does_not_overrule_a_person(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound\nA1,Ibuprofen\n")
    report = annotate_export(root, with_layout(tmp_path, "10 µM"), [], study_id="pilot")
    assert (report["status"], report["rows"]) == ("skipped", 0)
    assert any("the assay layout is not used" in w for w in report["warnings"])
    assert wells(root)["A01"]["compound"] == "Ibuprofen"


@pytest.mark.parametrize("later", [False, True])
def test_a_plate_map_goes_before_an_assay_layout(root: LakeRoot, tmp_path: Path, later: bool) -> None:
    export = with_layout(tmp_path, "10 µM")
    (tmp_path / "map.csv").write_text("well,compound,dose\nA1,Ibuprofen,\n")
    if later:
        annotate_export(root, export, [], study_id="pilot")
        report = annotate(root, study_id="pilot", plate_id="P1", files=[tmp_path / "map.csv"])
    else:
        checked = check_annotation(root, [export], [tmp_path / "map.csv"], study_id="pilot")
        report = annotate_export(root, export, [tmp_path / "map.csv"], study_id="pilot")
        assert (checked["rows"], checked["warnings"]) == (2, report["warnings"])
    assert [w for w in report["warnings"] if "the sheet counts" in w] == [
        "plate P1: the sheet counts where the assay layout says otherwise: A01 of P1 has Aspirin, row 2 of map.csv "
        "says Ibuprofen"
    ]
    assert (wells(root)["A01"]["compound"], wells(root)["A01"]["concentration_um"]) == ("Ibuprofen", None)
    assert wells(root)["A01"]["attributes"] == {"Operator": "Ann"}, "what the map is silent about stays"
    assert (wells(root)["B03"]["compound"], wells(root)["B03"]["control_type"]) == ("DMSO", "negative_vehicle")
    (tmp_path / "map.csv").write_text("well,compound\nA1,Paracetamol\n")
    with pytest.raises(AlreadyExistsError, match=r"A01 of P1 has Ibuprofen"):
        annotate(root, study_id="pilot", plate_id="P1", files=[tmp_path / "map.csv"])


def test_an_assay_layout_is_an_input_with_its_path(root: LakeRoot, tmp_path: Path) -> None:
    annotate_export(root, with_layout(tmp_path, "10 µM"), [], study_id="pilot")
    (run,) = root.tables.read("runs", where={"verb": "annotate"}).to_pylist()
    layout = (tmp_path / "M 10 µM" / "Assaylayout" / "plate.xml").read_bytes()
    assert run["inputs"][0] | {"version": None} == {
        "kind": "file",
        "name": "Assaylayout/plate.xml",
        "sha256": hashlib.sha256(layout).hexdigest(),
        "version": None,
        "detail": "assay layout",
    }


def test_an_export_without_annotation_writes_nothing(root: LakeRoot, tmp_path: Path) -> None:
    (export,) = HarmonyReader().read(Export(images=grid()).write(tmp_path / "M"))
    before = files(root)
    assert annotate_export(root, export, [], study_id="pilot", plate_id="P1")["warnings"] == []
    assert files(root) == before


def test_maps_are_checked_before_pixels_are_converted(root: LakeRoot, tmp_path: Path) -> None:
    exports = HarmonyReader().read(Export(images=grid()).write(tmp_path / "M"))
    (tmp_path / "map.csv").write_text("well,compound,dose\nA1,X,1 uM\nI1,X,1 uM\nA2,X,1\n")
    with pytest.raises(InvalidDataError) as raised:
        check_annotation(root, exports, [tmp_path / "map.csv"], study_id="pilot")
    assert "the plate map has 2 fault(s)" in raised.value.message
    assert "map.csv, row 3, well: I01 lies outside plate P0001" in raised.value.message
    assert "map.csv, row 4, dose: '1' has no unit" in raised.value.message
    assert check_annotation(root, exports, [tmp_path / "map.csv"], study_id="pilot", accept_valid=True)["rows"] == 1
    (tmp_path / "map.csv").write_text("plate,well,compound\nP0001,A1,X\nother,A1,X\n")
    assert check_annotation(root, exports, [tmp_path / "map.csv"], study_id="pilot")["rows"] == 1


def test_all_faults_of_a_map_are_listed(root: LakeRoot, tmp_path: Path) -> None:
    exports = HarmonyReader().read(Export(images=grid()).write(tmp_path / "M"))
    (tmp_path / "map.csv").write_text("well,compound\n" + "Z1,X\n" * 30)
    with pytest.raises(InvalidDataError) as raised:
        check_annotation(root, exports, [tmp_path / "map.csv"], study_id="pilot")
    assert raised.value.message.count("lies outside plate P0001") == 30


def test_a_map_of_another_plate_is_refused_before_an_ingest(tmp_path: Path) -> None:
    lake = init_lake(tmp_path / "lake")
    folder = Export(images=grid(wells=[(1, 1)], fields=[1]), plate_id="P1").write(tmp_path / "M")
    (tmp_path / "map.csv").write_text("well,compound\nC3,X\nC4,X\n")
    for dry_run in (True, False):
        with pytest.raises(InvalidDataError, match=r"speaks of C03, C04 and of no well that has images \(A01\)"):
            lake.ingest(folder, study="s", plate_map=tmp_path / "map.csv", dry_run=dry_run)
    assert lake.root.tables.read("plates").num_rows == 0


def test_facts_that_contradict_the_study_stop_an_ingest_before_pixels(tmp_path: Path) -> None:
    lake = init_lake(tmp_path / "lake")
    for plate in ("P1", "P2"):
        Export(images=grid(wells=[(1, 1)], fields=[1]), plate_id=plate).write(tmp_path / plate)
    (tmp_path / "map.csv").write_text("well,compound,smiles\nA1,X,C\n")
    lake.ingest(tmp_path / "P1", study="s", plate_map=tmp_path / "map.csv")
    (tmp_path / "map.csv").write_text("well,compound,smiles\nA1,X,CC\n")
    with pytest.raises(AlreadyExistsError, match="smiles of X is C, the sheet says CC"):
        lake.ingest(tmp_path / "P2", study="s", plate_map=tmp_path / "map.csv")
    assert lake.root.tables.read("plates")["plate_id"].to_pylist() == ["P1"]


def test_a_dry_run_of_an_ingest_says_how_the_map_is_read(tmp_path: Path) -> None:
    lake = init_lake(tmp_path / "lake")
    folder = Export(images=grid(wells=[(1, 1)], fields=[1]), plate_id="P1").write(tmp_path / "M")
    (tmp_path / "map.csv").write_text("a title\nwell,compound,note\nA1,DMSO,x\nH12,X,\n")
    (tmp_path / "near.csv").write_text("well,compund\nA1,X\nZ9,Y\n")
    before = files(lake.root)
    report = lake.ingest(folder, study="s", plate_map=tmp_path / "map.csv", dry_run=True)
    assert report["annotation"] == {"rows": 2, "errors": []}
    for words in ("line 1 above", "attributes of the well: note", "taken as negative_vehicle", "no images: H12"):
        assert any(words in warning for warning in report["warnings"]), words
    told = {"plate_map": tmp_path / "near.csv", "keep_unknown": True, "accept_valid": True}
    report = lake.ingest(folder, study="s", dry_run=True, **told)
    assert (report["status"], [e["row"] for e in report["annotation"]["errors"]]) == ("partial", [3])
    assert files(lake.root) == before
    report = lake.ingest(folder, study="s", **told)
    assert (report["status"], report["annotation"]["rows"]) == ("partial", 1)
    assert lake.root.tables.read("wells").to_pylist(maps_as_pydicts="strict")[0]["attributes"] == {"compund": "X"}


def test_a_run_is_reported_though_the_first_plate_is_there(tmp_path: Path) -> None:
    lake = init_lake(tmp_path / "lake")
    folder = Export(images=grid(wells=[(1, 1)], fields=[1]), plate_id="P1").write(tmp_path / "E" / "M1")
    lake.ingest(folder, study="s")
    (tmp_path / "map.csv").write_text("well,compound\nA1,X\n")
    told = [lake.ingest(folder, study="s", existing="skip", plate_map=tmp_path / "map.csv") for _ in range(2)]
    (run,) = lake.root.tables.read("runs", where={"verb": "annotate"}).to_pylist()
    assert [(r["status"], r["run_id"]) for r in told] == [("ok", run["run_id"]), ("skipped", None)]

    Export(images=grid(wells=[(1, 1)], fields=[1]), plate_id="P2").write(tmp_path / "E" / "M2")
    report = lake.ingest(tmp_path / "E", study="s", existing="skip")
    assert [p["plate_id"] for p in report["plates"]] == ["P1", "P2"]
    (second,) = lake.root.tables.read("plates", columns=["run_id"], where={"plate_id": "P2"}).to_pylist()
    assert report["run_id"] == second["run_id"]
