"""What ``kill -9`` leaves of releases and maintenance: every release whole or not there, every row where it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cytolake.errors import AlreadyExistsError
from cytolake.store.maintenance import maintain
from cytolake.store.release_files import check_release
from cytolake.store.releases import create_release, releases
from cytolake.store.root import LakeRoot, init_root, open_root

KEEPER = Path(__file__).with_name("killed_keeper.py")
TABLES = ("features/kill/00000000/nuclei", "wells")
#: From the making of a release over its withdrawal into maintenance.
STOPS = (2, 4, 6, 9, 12, 16, 22, 30, 40)


def whole(lake: LakeRoot, versions: dict[str, int | None], what: str) -> None:
    """All rows of a plate in two tables are of one commit, and there is one row of each plate."""
    rows = [
        sorted(
            (row["plate_id"], row["run_id"])
            for row in lake.tables.read(table, columns=["plate_id", "run_id"], version=versions[table]).to_pylist()
        )
        for table in TABLES
    ]
    assert rows[0] == rows[1], what
    assert [plate for plate, _ in rows[0]] == [f"P{number}" for number in range(5)], what


@pytest.mark.slow
def test_no_kill_loses_a_release_or_a_row(tmp_path: Path) -> None:
    lake = init_root(tmp_path / "lab")
    made: set[str] = set()
    withdrawn: set[str] = set()
    interrupted = 0
    with subprocess.Popen(
        [sys.executable, str(KEEPER), lake.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for child, stop in enumerate(STOPS, start=1):
            process.stdin.write(f"{child} {stop}\n")
            process.stdin.flush()
            for line in process.stdout:
                what, name = line.split()
                if what == "ended":
                    assert int(name) == -signal.SIGKILL
                    break
                (made if what == "made" else withdrawn).add(name)
            interrupted += bool(lake.storage.list("tables/_journal"))
            opened = open_root(lake.url)
            assert not opened.storage.list("tables/_journal")
            whole(opened, dict.fromkeys(TABLES), f"now, after step {stop}")
            known = {one.name: one for one in releases(opened)}
            assert made <= known.keys()
            assert all(known[name].withdrawn for name in withdrawn)
            for one in known.values():
                if not one.withdrawn:
                    assert check_release(opened, one)["problems"] == [], f"{one.name} after step {stop}"
                    whole(opened, {table: one.pins[table].version for table in TABLES}, one.name)
        process.stdin.close()
    assert interrupted > 1
    # What the kills left behind hinders nobody.
    opened = open_root(lake.url)
    last = max(made)
    with pytest.raises(AlreadyExistsError):
        create_release(opened, last)
    report = maintain(opened)
    assert (report["status"], report["warnings"]) == ("ok", [])
