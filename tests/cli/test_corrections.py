"""``exclude`` and ``remove`` on the command line: what is passed on, what is asked, what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXCLUDED = {"run_id": "r1", "status": "ok", "rows": 2, "wells": ["A01", "A02"], "warnings": []}
REMOVED = {
    "run_id": "r1", "status": "ok", "rows": 5, "tables": {"plates": 1, "wells": 4}, "plates": ["P1"],
    "kept": ["images/s/P1.ome.zarr"], "warnings": [],
}  # fmt: skip


def test_exclude(run: Any, noted: Any) -> None:
    noted.answers["exclude"] = EXCLUDED
    ran = run(
        "exclude", "--lake", "x", "--study", "s", "--plate", "P", "--well", "A01", "--well", "B1:B3", "--reason", "dust"
    )
    assert (ran.code, ran.out) == (0, "ok  2 wells changed  run r1\n")
    assert noted.calls == [
        (
            "exclude",
            (["A01", "B1:B3"],),
            {"study": "s", "plate": "P", "reason": "dust", "include": False, "dry_run": False},
        )
    ]
    assert run("exclude", "--lake", "x", "--study", "s", "--well", "A01", "--include", "--json").json == EXCLUDED
    assert run("exclude", "--lake", "x", "--study", "s").code == 2


def test_remove_needs_a_yes(run: Any, noted: Any) -> None:
    noted.answers["remove"] = REMOVED | {"run_id": None}
    ran = run("remove", "--lake", "x", "--study", "s", "--plate", "P1")
    assert ran.code == 2
    assert "plate P1 of study s (5 rows) would be removed, and nobody can be asked" in ran.err
    assert [options["dry_run"] for _, _, options in noted.calls if "dry_run" in options] == [True]


def test_remove(run: Any, noted: Any) -> None:
    noted.answers["remove"] = REMOVED
    ran = run("remove", "--lake", "x", "--study", "s", "--plate", "P1", "--reason", "wrong", "--yes")
    assert ran.code == 0
    assert "until their folders are deleted by hand: images/s/P1.ome.zarr" in ran.out
    assert ran.out.endswith("ok  1 plate, 5 rows  run r1\n")
    assert noted.calls == [("remove", (), {"study": "s", "plate": "P1", "reason": "wrong"})]
    assert run("remove", "--lake", "x", "--study", "s", "--yes", "--json").json == REMOVED


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_remove_asks_where_somebody_is(
    run: Any, noted: Any, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    noted.answers["remove"] = REMOVED
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ran = run("remove", "--lake", "x", "--study", "s")
    assert ran.code == code
    assert "remove study s?" in ran.err
    assert len(noted.calls) == (2 if code == 0 else 1)


def test_remove_dry_run_writes_nothing(run: Any, noted: Any) -> None:
    noted.answers["remove"] = REMOVED | {"run_id": None}
    ran = run("remove", "--lake", "x", "--study", "s", "--dry-run")
    assert (ran.code, len(noted.calls)) == (0, 1)
    assert "dry run" in ran.err


def test_excluded_wells_and_removed_plates_from_end_to_end(run: Any, tiny_export: Path, tmp_path: Path) -> None:
    run("init", "lab")
    assert run("ingest", "--lake", "lab", str(tiny_export), "--study", "s").code == 0
    ask = ("sql", "--lake", "lab", "--format", "csv", "SELECT well_id, exclusion_reason FROM wells WHERE excluded")
    assert run("exclude", "--lake", "lab", "--study", "s", "--well", "a1", "--reason", "dust").code == 0
    assert run(*ask).out.splitlines()[1:] == ["A01,dust"]
    assert run("exclude", "--lake", "lab", "--study", "s", "--well", "A01", "--include").code == 0
    assert run(*ask).out.splitlines()[1:] == []
    gone = run("remove", "--lake", "lab", "--study", "s", "--plate", "tiny-1", "--yes", "--json").json
    assert (gone["status"], gone["tables"]["wells"], gone["kept"]) == ("ok", 2, ["images/s/tiny-1.ome.zarr"])
    checked = run("validate", "--lake", "lab", "--json").json
    assert checked["errors"] == []
    assert checked["warnings"] == []
    (note,) = checked["notes"]
    assert note.startswith("images/s/tiny-1.ome.zarr: images of a plate that was removed")
    assert f"note: {note}" in run("validate", "--lake", "lab").out
    (tmp_path / "lab" / "images" / "s" / "other.ome.zarr").mkdir()
    (warning,) = run("validate", "--lake", "lab", "--json").json["warnings"]
    assert warning.startswith("images/s/other.ome.zarr is named by no row of plates: its ingest was never finished")
    assert run("ingest", "--lake", "lab", str(tiny_export), "--study", "s").code == 0
    assert run("validate", "--lake", "lab", "--json").json["errors"] == []
