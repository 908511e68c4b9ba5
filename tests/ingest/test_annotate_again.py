"""Annotation over annotation: what gives way, what stays, what is told, and where each row came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import AlreadyExistsError
from cytolake.ingest.annotation.apply import annotate
from cytolake.ingest.annotation.exclude import exclude_wells
from cytolake.ingest.rows import table_of
from cytolake.store.commit import Commit
from cytolake.store.lineage import trace
from cytolake.store.root import LakeRoot, init_root


@pytest.fixture
def root(tmp_path: Path) -> LakeRoot:
    """A lake that knows two plates of 8 × 12 wells, and no well yet; no pixels."""
    lake = init_root(tmp_path / "lake")
    with Commit(lake, run_id="ingest-1", app_id="test") as commit:
        for plate in ("P1", "P2"):
            key = {"study_id": "pilot", "plate_id": plate}
            facts = {"n_rows": 8, "n_columns": 12, "path": "x", "fingerprint": "f", "status": "ok"}
            commit.replace("plates", key, table_of("plates", [{**key, **facts, "run_id": "ingest-1"}]))
        commit.commit()
    return lake


def apply(root: LakeRoot, tmp_path: Path, text: str, name: str = "map.csv", **options: Any) -> dict[str, Any]:
    (tmp_path / name).write_text(text)
    return annotate(root, **{"study_id": "pilot", "plate_id": "P1", "files": [tmp_path / name]} | options)


def wells(root: LakeRoot, plate: str = "P1") -> dict[str, dict[str, Any]]:
    rows = root.tables.read("wells", where={"study_id": "pilot", "plate_id": plate})
    return {row["well_id"]: row for row in rows.to_pylist(maps_as_pydicts="strict")}


def doses(root: LakeRoot) -> dict[str, dict[str, Any]]:
    return {row["well_id"]: row for row in root.tables.read("well_perturbations").to_pylist()}


# --- roles


@pytest.mark.parametrize("before", ["DMSO", "none"])
def test_an_inferred_role_goes_with_its_treatment(root: LakeRoot, tmp_path: Path, before: str) -> None:
    apply(root, tmp_path, f"well,compound\nB1,{before}\nB2,{before}\n")
    assert wells(root)["B01"]["control_type"] in ("negative_vehicle", "untreated")
    report = apply(root, tmp_path, "Well,Drug,Dose uM\nB01,Taxol,1\n", replace=True)
    assert (report["status"], report["warnings"]) == ("ok", [])
    assert (wells(root)["B01"]["compound"], wells(root)["B01"]["control_type"]) == ("Taxol", None)
    assert wells(root)["B02"]["control_type"] is not None


def test_an_inferred_role_is_inferred_anew(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound\nB1,none\n")
    apply(root, tmp_path, "well,compound\nB1,DMSO\n", replace=True)
    assert wells(root)["B01"]["control_type"] == "negative_vehicle"
    apply(root, tmp_path, "well,compound\nB1,\n", replace=True)
    assert wells(root)["B01"]["control_type"] is None


def test_a_role_that_was_said_stays_and_is_told(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound,control_type\nB1,Taxol,positive\nB2,Taxol,treatment\n")
    report = apply(root, tmp_path, "well,compound\nB1,DMSO\nB2,Aspirin\n", replace=True)
    assert {w: r["control_type"] for w, r in wells(root).items()} == {"B01": "positive", "B02": "treatment"}
    (told,) = [w for w in report["warnings"] if "stays" in w]
    assert told.endswith("as somebody said it: B01 (positive)")


def test_a_role_that_is_inferred_contradicts_none_that_was_said(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound,control_type\nB1,DMSO,positive\n")
    assert apply(root, tmp_path, "well,compound\nB1,DMSO\n")["status"] == "skipped"
    assert wells(root)["B01"]["control_type"] == "positive"
    with pytest.raises(AlreadyExistsError, match=r"control_type of B01 of P1 is positive, row 2 of map.csv says neg"):
        apply(root, tmp_path, "well,control_type\nB1,negative_vehicle\n")


def test_a_dose_of_a_compound_in_a_negative_control_is_told(root: LakeRoot, tmp_path: Path) -> None:
    sheet = "well,compound,dose,control\nB2,Taxol,1 uM,negcon\nB3,Taxol,2 uM,DMSO\nB4,DMSO,,NC\nB5,Taxol,2 uM,pos\n"
    told = "a dose of a compound in wells that are negative_vehicle: B02 (Taxol 1 uM), B03 (Taxol 2 uM)"
    assert [w for w in apply(root, tmp_path, sheet)["warnings"] if told in w] == [
        f"map.csv: {told}; check the role or the treatment"
    ]
    apply(root, tmp_path, "well,control\nC1,DMSO\n")
    report = apply(root, tmp_path, "well,compound,dose\nC1,Taxol,3 uM\n")
    assert wells(root)["C01"]["control_type"] == "negative_vehicle"
    assert any("stays as somebody said it: C01 (negative_vehicle)" in w for w in report["warnings"])


# --- a dry run


def test_a_dry_run_tells_all_and_writes_nothing(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound\nA1,X\nA2,X\n")
    version = root.tables.version("wells"), root.tables.version("runs")
    sheet = "well,compound,note\nA1,Y,a\nA2,Y,\nA3,DMSO,\n"
    report = apply(root, tmp_path, sheet, dry_run=True)
    assert (report["status"], report["rows"], report["run_id"], report["errors"]) == ("failed", 3, None, [])
    assert [c.partition(",")[0] for c in report["contradictions"]] == ["A01 of P1 has X", "A02 of P1 has X"]
    assert any("attributes of the well: note" in w for w in report["warnings"])
    assert apply(root, tmp_path, sheet, dry_run=True, replace=True) == report | {"status": "ok"}
    wrong = apply(root, tmp_path, "well,compound\nZ9,Y\nA4,Y\n", dry_run=True)
    assert (wrong["status"], [e["rule"] for e in wrong["errors"]]) == ("failed", ["outside-plate"])
    assert (root.tables.version("wells"), root.tables.version("runs")) == version
    assert apply(root, tmp_path, "well,compound\nA1,X\n", dry_run=True)["status"] == "skipped"


def test_near_misses_and_words_for_roles_are_told(root: LakeRoot, tmp_path: Path) -> None:
    report = apply(root, tmp_path, "Wel,compound\nA1,X\n")
    assert any("did you mean 'well'" in e["message"] for e in report["errors"]), report["errors"]
    (error,) = apply(root, tmp_path, "well,control\nA1,max\n")["errors"]
    assert "positive, empty, treatment; also understood are words such as negcon" in error["message"]


# --- wells that come twice


def test_of_two_rows_about_one_well_none_is_taken(root: LakeRoot, tmp_path: Path) -> None:
    sheet = "well,compound,dose\nB1,X,1 uM\nB2,DMSO,\nB2,Taxol,1 uM\nB2,Taxol,1 uM\n"
    report = apply(root, tmp_path, sheet, accept_valid=True)
    assert (report["status"], list(wells(root))) == ("partial", ["B01"])
    assert [(e["row"], e["rule"]) for e in report["errors"]] == [(4, "duplicate-well"), (5, "duplicate-well")]
    assert "B02 is there already, in row 3, and neither row is taken" in report["errors"][0]["message"]


# --- names


@pytest.mark.parametrize("replace", [False, True])
def test_a_name_that_was_made_of_an_identifier_gives_way(root: LakeRoot, tmp_path: Path, replace: bool) -> None:
    sheet = "well,broad_sample,dose\nA1,BRD-K00000001-001-01-1,1 uM\n"
    apply(root, tmp_path, sheet)
    apply(root, tmp_path, "well,broad_sample\nA1,BRD-K00000001-001-01-1\n", "other.csv", plate_id="P2")
    (tmp_path / "facts.csv").write_text("broad_sample,pert_iname\nBRD-K00000001-001-01-1,gabapentin\n")
    files = [tmp_path / "map.csv", tmp_path / "facts.csv"]
    report = annotate(root, study_id="pilot", plate_id="P1", files=files, replace=replace)
    assert (report["status"], report["rows"]) == ("ok", 2), "every well that repeats the name gets the real one"
    (known,) = root.tables.read("perturbations").to_pylist()
    assert known["compound"] == wells(root)["A01"]["compound"] == wells(root, "P2")["A01"]["compound"] == "gabapentin"
    # What has only the identifier to say takes nothing back, also where it comes to other wells.
    assert apply(root, tmp_path, sheet, replace=replace)["status"] == "skipped"
    apply(root, tmp_path, sheet.replace("A1", "A2"), replace=replace)
    assert wells(root)["A02"]["compound"] == "gabapentin"


def test_a_kind_that_nobody_said_gives_way(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,treatment\nA1,X-17\n")
    assert root.tables.read("perturbations")["type"].to_pylist() == ["other"]
    apply(root, tmp_path, "well,treatment,smiles\nA1,X-17,CC\n")
    assert root.tables.read("perturbations")["type"].to_pylist() == ["compound"]
    assert apply(root, tmp_path, "well,treatment\nA1,X-17\n")["status"] == "skipped"


# --- doses


@pytest.mark.parametrize(
    "sheet",
    [
        "well,compound\nB2,Nocodazole\n",
        "well,compound,dose\nB2,Nocodazole,\n",
        'well,compound,dose\nB2,Nocodazole,"0,1 uM"\n',
        "well,compound,dose_nM\nB2,Nocodazole,100.00000000001\n",
    ],
)
def test_a_dose_that_is_not_said_or_equal_is_no_contradiction(root: LakeRoot, tmp_path: Path, sheet: str) -> None:
    apply(root, tmp_path, "well,compound,dose\nB2,Nocodazole,100 nM\n")
    assert apply(root, tmp_path, sheet)["status"] == "skipped"
    assert (doses(root)["B02"]["concentration_text"], wells(root)["B02"]["concentration_um"]) == ("100 nM", 0.1)


def test_equal_masses_are_equal(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound,dose\nB2,LPS,100 ng/ml\n")
    assert apply(root, tmp_path, "well,compound,dose\nB2,LPS,0.1 mg/L\n")["status"] == "skipped"
    with pytest.raises(AlreadyExistsError, match=r"B02 of P1 has LPS at 100 ng/ml, row 2 of map.csv says 100 ug/ml"):
        apply(root, tmp_path, "well,compound,dose\nB2,LPS,100 ug/ml\n")


def test_a_dose_is_completed(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound,dose\nB2,Nocodazole,\nB3,Nocodazole,1 uM\n")
    apply(root, tmp_path, "well,compound,duration\nB2,Nocodazole,24\nB3,Nocodazole,24\n")
    apply(root, tmp_path, "well,compound,dose\nB2,Nocodazole,2 uM\n")
    assert {w: (d["concentration_um"], d["duration_h"]) for w, d in doses(root).items()} == {
        "B02": (2.0, 24.0), "B03": (1.0, 24.0),
    }  # fmt: skip
    assert wells(root)["B02"]["concentration_um"] == 2.0


def test_replace_takes_a_dose_only_from_a_column_of_doses(root: LakeRoot, tmp_path: Path) -> None:
    apply(root, tmp_path, "well,compound,dose\nB2,Nocodazole,1 uM\n")
    assert apply(root, tmp_path, "well,compound\nB2,Nocodazole\n", replace=True)["status"] == "skipped"
    apply(root, tmp_path, "well,compound,dose\nB2,Nocodazole,\n", replace=True)
    assert (doses(root)["B02"]["concentration"], wells(root)["B02"]["concentration_um"]) == (None, None)


def test_a_percentage_of_the_vehicle_is_the_solvents(root: LakeRoot, tmp_path: Path) -> None:
    sheet = 'well,compound,dose\nA1,DMSO,0.1 %\nA2,"DMSO 0,5 % (v/v)",\nA3,DMSO,\nA4,Serum,10 %\n'
    assert apply(root, tmp_path, sheet)["errors"] == []
    assert {w: (d["solvent_percent"], d["concentration"]) for w, d in doses(root).items()} == {
        "A01": (0.1, 0.1), "A02": (0.5, 0.5), "A03": (None, None), "A04": (None, 10.0),
    }  # fmt: skip
    assert [r["control_type"] for r in wells(root).values()] == [*["negative_vehicle"] * 3, None]
    with pytest.raises(AlreadyExistsError, match=r"A01 of P1 has DMSO at 0.1 %, row 2 of map.csv says 0.2 %"):
        apply(root, tmp_path, "well,compound,dose\nA1,DMSO,0.2 %\n")


# --- where rows came from


def test_lineage_reaches_every_run_of_a_well(root: LakeRoot, tmp_path: Path) -> None:
    first = apply(root, tmp_path, "well,compound\nD8,X\n", "one.csv")["run_id"]
    other = apply(root, tmp_path, "well,compound\nD9,X\n", "two.csv")["run_id"]
    out = exclude_wells(root, study_id="pilot", plate_id="P1", wells=["D08:D09"], reason="dust")["run_id"]
    again = exclude_wells(root, study_id="pilot", plate_id="P1", wells=["D08"], include=True)["run_id"]

    def told(well: str) -> tuple[set[str], set[str]]:
        graph = trace(root, study_id="pilot", plate_id="P1", well_id=well)
        node = f"well:pilot/P1/{well}"
        runs = {e["to"] for e in graph["edges"] if e["from"] == node and e["relation"] == "was_generated_by"}
        files = {n["name"] for n in graph["nodes"] if n["kind"] == "file" and len(n["sha256"]) == 64}
        return {run.removeprefix("run:") for run in runs}, files

    assert told("D08") == ({first, out, again}, {"one.csv"})
    assert told("D09") == ({other, out}, {"two.csv"})
