"""``release`` and ``maintain`` on the command line: of a small lake, and what is printed of a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aging import age
from cytolake.schemas.tables import arrow_schema
from cytolake.store.commit import Commit
from cytolake.store.lineage import Run
from cytolake.store.root import LakeRoot, init_root


def add_wells(root: LakeRoot, plate: str, compound: str) -> None:
    run = Run.start("annotate", study_id="pilot", plate_ids=[plate])
    row = {
        "study_id": "pilot", "plate_id": plate, "well_id": "A01", "row": 1, "column": 1, "n_perturbations": 0,
        "excluded": False, "compound": compound, "run_id": run.run_id,
    }  # fmt: skip
    with Commit(root, run_id=run.run_id, app_id=f"plate/pilot/{plate}") as commit:
        key = {"study_id": "pilot", "plate_id": plate}
        commit.replace("wells", key, pa.Table.from_pylist([row], schema=arrow_schema("wells")))
        commit.append("runs", run.record("ok"))
        commit.commit()


@pytest.fixture
def root(tmp_path: Path) -> LakeRoot:
    made = init_root(tmp_path / "lab")
    add_wells(made, "P1", "taxol")
    return made


@pytest.fixture
def ask(run: Any, root: LakeRoot, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CYTOLAKE_LAKE", root.url)
    return run


def test_from_a_release_to_its_withdrawal(ask: Any, root: LakeRoot) -> None:
    assert ask("release", "list").out == "no releases yet; make one with `cytolake release create NAME`\n"
    made = ask("release", "create", "spring", "--note", "first", "--json").json
    assert made["release"] == "spring"
    assert made["tables"].keys() == {"wells", "runs"}
    assert (made["rows"], made["files"], made["note"]) == (2, 2, "first")
    again = ask("release", "create", "spring")
    assert again.code == 4
    assert "there is a release 'spring' already" in again.err
    assert ask("release", "create", "2026-03-01").code == 2

    add_wells(root, "P1", "other")
    add_wells(root, "P2", "new")
    question = ("sql", "SELECT plate_id, compound FROM wells ORDER BY 1", "--json")
    assert len(ask(*question).json) == 2
    assert ask(*question, "--as-of", "spring").json == [{"plate_id": "P1", "compound": "taxol"}]

    diff = ask("release", "diff", "spring", "--json").json
    assert (diff["before"], diff["after"]) == ("spring", "now")
    told = ask("release", "diff", "spring", "now").out
    assert "annotate pilot/P2" in told
    assert "wells     changed  " in told

    (listed,) = ask("release", "list", "--check", "--json").json["releases"]
    assert listed["ok"] is True
    assert "whole" in ask("release", "show", "spring").out
    assert ask("release", "show", "sprin").code == 5

    assert ask("release", "withdraw", "spring").code == 2  # for a reason
    assert "withdrawn " in ask("release", "withdraw", "spring", "--reason", "consent").out
    assert ask("release", "withdraw", "spring", "--reason", "consent", "--json").json["status"] == "skipped"
    refused = ask(*question, "--as-of", "spring")
    assert refused.code == 5
    assert "(consent)" in refused.json["error"]["message"]
    assert "consent" in ask("release", "list").out
    assert "withdrawn" in ask("release", "show", "spring").out


def test_maintain(ask: Any, root: LakeRoot) -> None:
    ask("release", "create", "spring")
    for number in range(5):
        add_wells(root, "P1", f"c{number}")
    age(root.url, 40)
    would = ask("maintain", "--dry-run", "--json")
    assert "dry run: nothing is changed" in would.err
    assert (would.json["files_removed"], would.json["files_compacted"]) == (4, 7)
    ran = ask("maintain")
    assert ran.code == 0
    assert "kept for release spring alone: 1 file" in ran.out
    assert "ok  4 files removed (" in ran.out
    assert "7 joined into 1" in ran.out
    assert ask("maintain").out.endswith("ok  0 files removed (0 B), 0 joined into 0\n")
    assert ask("sql", "SELECT compound FROM wells", "--as-of", "spring", "--json").json == [{"compound": "taxol"}]


def test_a_release_that_is_not_whole(ask: Any, root: LakeRoot) -> None:
    ask("release", "create", "spring")
    for path in root.tables.open("wells").file_uris():
        Path(path).unlink()
    listed = ask("release", "list", "--check")
    assert listed.code == 4
    assert "NOT WHOLE" in listed.out
    assert "spring: 1 of 1 files of table wells, version 1, are gone" in listed.out
    assert ask("release", "list").code == 0
    assert ask("release", "show", "spring").code == 4
    asked = ask("sql", "FROM wells", "--as-of", "spring")
    assert asked.code == 1
    assert "release 'spring' cannot be answered: 1 of 1 files of table wells" in asked.err
    assert "release-incomplete" in ask("validate").out


def test_what_had_to_be_left_alone(run: Any, noted: Any) -> None:
    noted.answers["maintain"] = {
        "run_id": None, "status": "partial", "dry_run": False, "bytes_freed": 1500, "files_removed": 3,
        "files_compacted": 0, "files_written": 0, "readers_days": 7,
        "tables": [
            {"table": "wells", "files": 2, "bytes": 10, "files_removed": 1, "bytes_freed": 500, "files_compacted": 0,
             "files_written": 0, "checkpoint": False, "kept": {"spring": {"files": 2, "bytes": 9}}},
        ],
        "leftovers": {"files_removed": 2, "bytes_freed": 1000},
        "kept": [{"release": "spring", "files": 2, "bytes": 9}],
        "finished_commits": ["r9"], "warnings": ["table plates was left as it is: x"],
    }  # fmt: skip
    ran = run("maintain", "--lake", "x")
    assert ran.code == 6
    assert "warning: table plates was left as it is: x" in ran.err
    assert "leftovers: 2 files, 1.0 kB" in ran.out
    assert "finished the interrupted commit of run r9" in ran.out
    assert "2 files for spring" in ran.out


def test_a_long_difference_is_cut(run: Any, noted: Any) -> None:
    plate = {"study_id": "s", "tables": {"wells": {"rows_added": 1, "rows_removed": 2}}}
    noted.answers["diff_releases"] = {
        "before": "a", "after": "b", "before_at": "2026-01-01T00:00:00+00:00", "after_at": None,
        "tables": [
            {"table": "wells", "change": "changed", "version_before": 1, "version_after": 2, "rows_before": 1,
             "rows_after": 2, "rows_added": 2, "rows_removed": 1, "columns_added": ["x", "y"], "columns_removed": []},
            {"table": "plates", "change": "same rows", "version_before": 1, "version_after": 2, "rows_before": 1,
             "rows_after": 1, "rows_added": 0, "rows_removed": 0, "columns_added": [], "columns_removed": []},
        ],
        "studies": {"added": ["new"], "removed": ["old"], "changed": []},
        "plates": {"added": [], "removed": [], "changed": [plate | {"plate_id": f"P{n}"} for n in range(25)]},
        "feature_sets": ["f@1"], "profile_sets": ["p@1"],
        "views": [{"kind": "profiles", "part": "well", "study_id": "s", "before": None, "after": "p@1"}],
        "runs": [{"run_id": "r", "verb": "maintain", "study_id": None, "plate_ids": [], "status": "partial"}],
    }  # fmt: skip
    ran = run("release", "diff", "a", "b", "--lake", "x")
    lines = ran.out.splitlines()
    assert lines[0] == "from a (2026-01-01 00:00:00) to b"
    assert [line for line in lines if "more" in line] == ["  … and 5 more"]
    for text in ("+ new", "- old", "+ f@1", "+ p@1", "well of s: none → p@1", "r  maintain (partial)", "+2"):
        assert text in ran.out
    assert "~ s/P3  wells +1 -2" in ran.out
    assert "same rows" not in ran.out
    assert noted.last[1] == ("a", "b")


def test_quality_can_be_overruled(run: Any, noted: Any) -> None:
    noted.answers["create_release"] = {
        "release": "spring", "tables": {"wells": 1}, "rows": 1, "files": 1, "warnings": ["released although"]
    }  # fmt: skip
    ran = run("release", "create", "spring", "--lake", "x", "--accept-quality", "known")
    assert "warning: released although" in ran.err
    assert noted.last == ("create_release", ("spring",), {"note": None, "accept_quality": "known"})
