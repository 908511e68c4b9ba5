"""``kill -9`` while profiles are made: afterwards there are those from before or all of the new ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cytolake
import pyarrow as pa
import pytest
from cytolake.store.commit import Commit
from cytolake.store.registry import profile_sets
from profile_lakes import ProfileLake

#: Kills the process when the commit comes to a function of ours, before it does anything.
KILLED = """
import os, signal, sys
import cytolake
from cytolake.store import {module} as module

def kill(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

{place} = kill
cytolake.open_lake(sys.argv[1]).profile(study="pilot", recipe="spherized")
"""

#: (module, what is replaced, whether the commit was decided by then)
MOMENTS = [
    ("commit", "module.Commit.commit", False),  # data files are written, nothing names them
    ("commit", "module.Commit._put_journal", False),
    ("commit", "module.apply", True),  # the journal is there, no table has its transaction
    ("journal", "module._checkpoint", True),  # all transactions, and the journal still
]


def kill(lake: Path, module: str, place: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED.format(module=module, place=place), str(lake)], check=False, capture_output=True
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


def state(lake: cytolake.Lake) -> dict[str, list[str]]:
    """Every row of the tables that profiles are in, without what a run leaves of itself."""
    kept = {}
    for name in lake.root.tables.names():
        if name.startswith(("profile", "profiles/")):
            table: pa.Table = lake.root.tables.read(name)
            columns = [one for one in table.column_names if one not in {"run_id", "created_at"}]
            kept[name] = sorted(map(repr, table.select(columns).to_pylist()))
    return kept


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> ProfileLake:
    made = ProfileLake.make(tmp_path_factory.mktemp("killed") / "lake")
    for number in (1, 2):
        made.plate("pilot", f"P{number}", seed=number)
    return made


@pytest.fixture(scope="module")
def expected(pilot: ProfileLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    whole = pilot.copy(tmp_path_factory.mktemp("whole") / "lake").lake
    whole.profile(study="pilot", recipe="spherized")
    return state(whole)


@pytest.mark.parametrize(("module", "place", "decided"), MOMENTS)
def test_a_first_run_that_is_killed_leaves_nothing_or_all(
    pilot: ProfileLake, expected: dict[str, list[str]], tmp_path: Path, module: str, place: str, decided: bool
) -> None:
    folder = tmp_path / "lake"
    pilot.copy(folder)
    kill(folder, module, place)
    lake = cytolake.open_lake(folder)
    assert state(lake) == (expected if decided else {})
    result = lake.profile(study="pilot", recipe="spherized")
    assert (result["profile_set"], result["fit_version"]) == ("spherized@1", 1)
    assert state(lake) == expected
    assert len(profile_sets(lake.root)) == 1


def test_a_later_run_that_is_killed_leaves_the_profiles_of_before(pilot: ProfileLake, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    made = pilot.copy(folder)
    made.lake.profile(study="pilot", recipe="spherized")
    before = state(made.lake)
    made.lake.exclude("A01", study="pilot", plate="P1", reason="dust")
    kill(folder, "commit", "module.Commit.commit")
    lake = cytolake.open_lake(folder)
    assert state(lake) == before
    lake.profile(study="pilot", recipe="spherized")
    assert state(lake) != before


def test_a_commit_that_fails_leaves_no_file(
    pilot: ProfileLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pilot.copy(tmp_path / "lake")

    def fail(self: Commit) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Commit, "commit", fail)
    with pytest.raises(KeyboardInterrupt):
        made.lake.profile(study="pilot", recipe="spherized")
    folder = tmp_path / "lake" / "tables" / "profiles"
    assert [name for _, _, names in os.walk(folder) for name in names] == []
