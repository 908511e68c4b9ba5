"""``kill -9`` at random moments: afterwards the lake is whole, and the same command finishes the work.

``CYTOLAKE_KILLS`` sets how often each verb is killed (4 by default, so that the suite stays quick).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cytolake
import pyarrow as pa
import pytest
from cytolake.demo.synthetic import AGP, CONTROL, DNA, ER, PlateSpec, make_export
from cytolake.lake import Lake

KILLS = int(os.environ.get("CYTOLAKE_KILLS", "4"))
INGEST = 'lake.ingest(sys.argv[2], study="pilot", roles={"Alexa 488": "ER", "Alexa 568": "AGP"}, existing="skip")'
TRANSFORM = 'lake.transform(study="pilot", recipe="nuclei-and-cells", workers=1)'

#: Columns that say when and by which run a row was made: the only ones that may differ.
OF_THE_RUN = {"run_id", "created_at", "started_at", "finished_at"}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wells = dict.fromkeys(("A01", "A02", "B01", "B02"), CONTROL)
    spec = PlateSpec(plate_id="killed", wells=wells, stains=(DNA, ER, AGP), n_fields=4, size=256, seed=3)
    return make_export(tmp_path_factory.mktemp("export") / "killed__2026-01-15T09_30_00-Measurement 1", spec).export


def start(lake: Path, export: Path, verb: str) -> subprocess.Popen[str]:
    """Start a verb in a process of its own and return when it begins to work."""
    code = (
        "import sys, cytolake\n"
        "import cytolake.ingest.convert, cytolake.transforms.engine, cytolake.ingest.annotation.apply\n"
        f"lake = cytolake.open_lake(sys.argv[1])\nprint('go', flush=True)\n{verb}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(lake), str(export)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


def duration(lake: Path, export: Path, verb: str) -> float:
    """Let a verb finish, and say how long it was at work."""
    with start(lake, export, verb) as process:
        ready = time.monotonic()
        assert process.wait(timeout=120) == 0
    return time.monotonic() - ready


def kill(lake: Path, export: Path, verb: str, after: float) -> bool:
    """Kill a verb some seconds after it began; say whether it was still at work."""
    with start(lake, export, verb) as process:
        time.sleep(after)
        alive = process.poll() is None
        if alive:
            os.killpg(process.pid, signal.SIGKILL)
    return alive


def state(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table but ``runs``, without what a run leaves of itself."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name in lake.root.tables.names():
        if name != "runs":
            table: pa.Table = lake.root.tables.read(name)
            kept = table.select([c for c in table.column_names if c not in OF_THE_RUN])
            rows[name] = sorted(kept.to_pylist(), key=repr)
    return rows


@pytest.mark.slow
def test_ingest_and_transform_survive_being_killed(export: Path, tmp_path: Path) -> None:
    cytolake.init_lake(tmp_path / "undisturbed")
    seconds = {verb: duration(tmp_path / "undisturbed", export, verb) for verb in (INGEST, TRANSFORM)}
    expected = state(cytolake.open_lake(tmp_path / "undisturbed"))
    moments = random.Random(20261121)
    at_work = 0
    for number in range(KILLS):
        where = tmp_path / f"killed-{number}"
        cytolake.init_lake(where)
        at_work += kill(where, export, INGEST, moments.uniform(0, seconds[INGEST]))
        between = cytolake.open_lake(where)
        assert between.validate(deep=True)["errors"] == []
        assert len(state(between).get("images", [])) in (0, 16), "half a plate is visible"
        assert duration(where, export, INGEST) > 0
        at_work += kill(where, export, TRANSFORM, moments.uniform(0, seconds[TRANSFORM]))
        between = cytolake.open_lake(where)
        assert between.validate(deep=True)["errors"] == []
        assert duration(where, export, TRANSFORM) > 0
        after = cytolake.open_lake(where)
        assert state(after) == expected
        assert after.validate(deep=True)["errors"] == []
    assert at_work > 0, "nothing was ever killed at work"
