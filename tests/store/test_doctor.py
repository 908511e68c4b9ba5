"""The doctor finds what would go wrong later, and says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cytolake.store import doctor as module
from cytolake.store.doctor import check_lake, check_machine, doctor
from cytolake.store.root import init_root
from cytolake.store.storage import Check


def by_name(checks: object) -> dict[str, Check]:
    return {check.name: check for check in checks}  # type: ignore[attr-defined]


def test_this_machine_is_fit() -> None:
    report = doctor()
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert set(report["checks"][0]) == {"name", "ok", "detail", "repair"}
    names = {check["name"] for check in report["checks"]}
    assert {"python", "libraries", "open files", "temporary space", "gpu"} <= names


def test_it_does_not_import_what_it_looks_for() -> None:
    import subprocess

    code = "from cytolake.store.doctor import doctor; doctor(); import sys; print('cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PYTHON", (99, 0))
    found = by_name(check_machine())["python"]
    assert not found.ok
    assert found.repair


def test_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "requires", lambda _: ["no-such-library>=3", "duckdb>=2", 'extra>=1; extra == "x"'])
    found = by_name(check_machine())["libraries"]
    assert not found.ok
    assert found.detail == "missing: no-such-library>=3"
    assert "pip install" in found.repair


def test_too_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    found = by_name(check_machine())["open files"]
    assert (found.ok, found.repair) == (False, "ulimit -n 4096")


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = init_root(tmp_path / "lab")
    monkeypatch.setattr(module, "_FREE_BYTES", 10**18)
    assert not by_name(check_machine())["temporary space"].ok
    assert not by_name(check_lake(root))["lake space"].ok


def test_a_lake_that_is_fit(tmp_path: Path) -> None:
    root = init_root(tmp_path / "lab", name="ours")
    checks = by_name(check_lake(root))
    assert all(check.ok for check in checks.values())
    assert "'ours'" in checks["lake"].detail
    assert checks["commits"].detail == "none unfinished"


def test_a_table_that_is_not_in_step(tmp_path: Path) -> None:
    import deltalake
    import pyarrow as pa

    root = init_root(tmp_path / "lab")
    deltalake.write_deltalake(root.storage.uri("tables/studies"), pa.table({"study_id": [1], "title": ["x"]}))
    found = by_name(check_lake(root))["schema"]
    assert not found.ok
    assert "studies.study_id" in found.detail
    assert "studies.description" in found.detail
    assert "studies.title" not in found.detail


def test_a_commit_that_waits(tmp_path: Path) -> None:
    root = init_root(tmp_path / "lab")
    root.storage.write("tables/_journal/0123.json", b"{}")
    found = by_name(check_lake(root))["commits"]
    assert (found.ok, found.detail) == (False, "1 unfinished")
