"""What goes wrong with one field or one worker costs that field at most, and is recorded."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cytolake
import psutil
import pytest
from cytolake.errors import StorageError
from cytolake.lake import Lake
from cytolake.store.registry import feature_sets
from cytolake.transforms import batches

ROLES = {"Alexa 488": "ER", "Alexa 568": "AGP"}


@pytest.fixture
def lake(tiny_export: Path, tmp_path: Path) -> Lake:
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(tiny_export, study="pilot", roles=ROLES)
    return lake


def damage(lake: Path, field: str) -> None:
    """Overwrite the full-size pixels of fields in A02."""
    shards = [path for path in lake.rglob(f"A/02/{field}/0/c/**/*") if path.is_file()]
    assert shards
    for path in shards:
        path.write_bytes(bytes(path.stat().st_size))


def wells_and_fields(lake: Lake) -> set[tuple[str, int]]:
    (one,) = feature_sets(lake.root)
    rows = lake.root.tables.read(one.table("nuclei"), columns=["well_id", "field_id"]).to_pylist()
    return {(row["well_id"], row["field_id"]) for row in rows}


def test_a_field_that_cannot_be_read_is_recorded_and_the_others_are_measured(lake: Lake) -> None:
    damage(Path(lake.url), "a1f2")
    report = lake.transform(study="pilot", workers=1)
    assert report["status"] == "partial"
    (plate,) = report["plates"]
    ((failed),) = plate["failed"]
    assert (failed["well_id"], failed["field_id"]) == ("A02", 2)
    assert "lost or damaged" in failed["reason"] or "damaged" in failed["reason"]
    assert any("could not be processed, first well A02 field 2" in warning for warning in report["warnings"])
    assert wells_and_fields(lake) == {("A01", 1), ("A01", 2), ("A02", 1)}
    quality = lake.root.tables.read("quality", where={"well_id": "A02", "field_id": 2}).to_pylist()
    (count,) = [row for row in quality if row["metric"] == "Count"]
    assert count["value"] is None
    assert "could not be processed" in count["reason"]


def test_a_plate_of_which_nothing_can_be_read_is_not_committed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_PAUSES", (0.0, 0.0))
    damage(Path(lake.url), "*")
    for path in Path(lake.url).rglob("A/01/*/0/c/**/*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(StorageError, match="none of its 4 field"):
        lake.transform(study="pilot", workers=1)
    assert feature_sets(lake.root) == []


def test_a_field_that_fails_once_is_tried_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    process = batches.process_field
    calls: list[tuple[str, int]] = []

    def moody(field: Any, *arguments: Any, **settings: Any) -> Any:
        calls.append((field.key.well_id, field.key.field_id))
        if calls.count(calls[-1]) == 1 and calls[-1] == ("A01", 2):
            raise RuntimeError("a passing cloud")
        return process(field, *arguments, **settings)

    monkeypatch.setattr(batches, "process_field", moody)
    report = lake.transform(study="pilot", workers=1)
    assert report["status"] == "ok"
    assert calls.count(("A01", 2)) == 2
    assert len(wells_and_fields(lake)) == 4


def test_the_report_says_where_the_time_went_and_how_much_memory_a_worker_took(lake: Lake) -> None:
    (plate,) = lake.transform(study="pilot", workers=1)["plates"]
    assert {"read", "segment", "AreaShape", "Intensity", "Location", "quality", "labels", "rows"} <= set(
        plate["seconds_of"]
    )
    assert list(plate["seconds_of"].values()) == sorted(plate["seconds_of"].values(), reverse=True)
    assert plate["peak_memory_mb"] > 50


@pytest.mark.parametrize("killed", ["one", "all"])
def test_a_plate_survives_the_death_of_workers(lake: Lake, killed: str) -> None:
    code = (
        "import sys, cytolake\nlake = cytolake.open_lake(sys.argv[1])\n"
        "report = lake.transform(study='pilot', workers=2, progress=lambda *_: print('field', flush=True))\n"
        "print(report['status'], report['plates'][0]['objects']['nuclei'])\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, lake.url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "field\n"
        workers = _workers_of(process.pid)
        for worker in workers[:1] if killed == "one" else workers:
            os.kill(worker, signal.SIGKILL)
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    assert output.splitlines()[-1].startswith("ok ")
    assert wells_and_fields(lake) == {("A01", 1), ("A01", 2), ("A02", 1), ("A02", 2)}


#: Found by every Python process below the test: workers, and only they, die when they open one field.
POISON = """
import os, signal, sys
if any("spawn_main" in word for word in sys.orig_argv):
    import cytolake.store.images.plate as module

    opened = module.Plate.field

    def field(self, well_id, field_id, *others):
        if (well_id, field_id) == ("A01", 2):
            os.kill(os.getpid(), signal.SIGKILL)
        return opened(self, well_id, field_id, *others)

    module.Plate.field = field
"""


@pytest.mark.slow
def test_a_field_that_kills_its_workers_is_recorded_and_the_others_are_measured(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(POISON)
    code = (
        "import json, sys, cytolake\nreport = cytolake.open_lake(sys.argv[1]).transform(study='pilot', workers=2)\n"
        "print(report['status'], [(one['well_id'], one['field_id']) for one in report['plates'][0]['failed']])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, lake.url],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stdout == "partial [('A01', 2)]\n"
    assert wells_and_fields(lake) == {("A01", 1), ("A02", 1), ("A02", 2)}


def _workers_of(driver: int) -> list[int]:
    """Give the workers below a process: a nanny starts each by multiprocessing."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("spawn_main" in word for word in process.cmdline()):
                found.append(process.pid)
    assert found, "no worker runs"
    return found
