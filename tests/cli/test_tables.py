"""``import`` on the command line: what is passed on, what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

IMPORTED = {
    "run_id": "r1", "status": "ok", "dialect": "cellprofiler", "feature_set": "theirs@1", "profile_set": "theirs@1",
    "tables": {"features/theirs/0123abcd/cells": 12}, "columns_mapped": 1200, "columns_unmapped": 3,
    "nan": {"values": 5, "columns": 2}, "roles": {"CorrDNA": "DNA"}, "plates": [f"P{n}" for n in range(10)],
    "other_studies": [],
        "plates_created": ["P1"], "metadata_columns": [], "warnings": ["mind this"],
}  # fmt: skip


def test_import(run: Any, noted: Any) -> None:
    noted.answers["import_tables"] = IMPORTED
    ran = run(
        "import", "Cells.csv", "Image.csv", "--lake", "x", "--study", "s", "--name", "theirs", "--role", "CorrDNA=DNA",
        "--existing", "skip", "--plate-format", "384",
    )  # fmt: skip
    assert ran.code == 0
    assert "features/theirs/0123abcd/cells    12" in ran.out
    assert "P0, P1, P2, P3, P4, P5, P6, P7 and 2 more" in ran.out
    assert "1,200 mapped, 3 under their own names" in ran.out
    assert ran.out.endswith("ok  theirs@1  run r1\n")
    assert "mind this" in ran.err
    (call,) = noted.calls
    progress = call[2].pop("progress")
    assert callable(progress)
    assert call == (
        "import_tables",
        ([Path("Cells.csv"), Path("Image.csv")],),
        {
            "study": "s", "plate": None, "dialect": None, "name": "theirs", "mapping": None, "pipeline": None,
            "roles": {"CorrDNA": "DNA"}, "existing": "skip", "precision": "float32", "plate_format": "384",
            "dry_run": False,
        },
    )  # fmt: skip


def test_a_dry_run_and_json(run: Any, noted: Any) -> None:
    noted.answers["import_tables"] = IMPORTED | {"run_id": None}
    assert run("import", "x.csv", "--lake", "x", "--study", "s", "--dry-run").out.endswith("nothing was written\n")
    assert run("import", "x.csv", "--lake", "x", "--study", "s", "--json").json == IMPORTED | {"run_id": None}
    assert run("import", "--lake", "x", "--study", "s").code == 2
    assert run("import", "x.csv", "--lake", "x").code == 2
