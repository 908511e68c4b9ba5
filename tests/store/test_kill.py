"""What ``kill -9`` leaves behind: every plate wholly old or wholly new, in all tables, after the next opening."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cytolake.store.root import LakeRoot, init_root, open_root

WRITER = Path(__file__).with_name("killed_writer.py")
TABLES = ("features/kill/00000000/nuclei", "features/kill/00000000/cells", "features/kill/00000000/quality")


class Writer:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout

    def start(self, seed: int, *, stop: int = 0) -> int:
        """Start a child and return its process number."""
        self.stdin.write(f"{seed} {stop}\n")
        self.stdin.flush()
        words = self.stdout.readline().split()
        assert words[0] == "child"
        return int(words[1])

    def wait(self, *, commits: int | None = None) -> dict[str, int]:
        """Wait for some commits of the child, or for its end; return the last generation of each plate reported."""
        found: dict[str, int] = {}
        for line in self.stdout:
            name, number = line.split()
            if name == "ended":
                assert int(number) == -signal.SIGKILL
                return found
            found[name] = int(number)
            if commits is not None:
                commits -= 1
                if commits == 0:
                    return found
        raise AssertionError("the writer itself ended")


@pytest.fixture
def lake(tmp_path: Path) -> LakeRoot:
    return init_root(tmp_path / "lab")


@pytest.fixture
def writer(lake: LakeRoot) -> Iterator[Writer]:
    command = [sys.executable, str(WRITER), lake.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Writer(process)


def generations(lake: LakeRoot) -> dict[str, dict[str, list[int]]]:
    """Give for each plate and table the generations of its rows."""
    found: dict[str, dict[str, list[int]]] = {}
    for table in TABLES:
        if lake.tables.exists(table):
            for row in lake.tables.read(table, columns=["plate_id", "generation"]).to_pylist():
                found.setdefault(row["plate_id"], {}).setdefault(table, []).append(row["generation"])
    return found


def check_whole(lake: LakeRoot, reported: dict[str, int]) -> None:
    found = generations(lake)
    for plate_id, tables in found.items():
        held = {generation for rows in tables.values() for generation in rows}
        assert len(held) == 1, f"{plate_id} is torn: {tables}"
        (generation,) = held
        assert {table: len(rows) for table, rows in tables.items()} == {
            table: 1 + (generation + place) % 5 for place, table in enumerate(TABLES)
        }
    # What a commit said was done is done; one more may have been decided when the kill came.
    for plate_id, generation in reported.items():
        (held_generation,) = {g for rows in found[plate_id].values() for g in rows}
        assert held_generation >= generation
    assert not lake.storage.list("tables/_journal")


def test_no_kill_tears_a_plate(lake: LakeRoot, writer: Writer) -> None:
    chance = random.Random(20)
    for seed in range(1, 11):
        child = writer.start(seed)
        reported = writer.wait(commits=2)
        time.sleep(chance.uniform(0.0, 0.15))
        os.kill(child, signal.SIGKILL)
        reported |= writer.wait()
        check_whole(open_root(lake.url), reported)


def test_a_kill_after_any_step_leaves_old_or_new(lake: LakeRoot, writer: Writer) -> None:
    outcomes, journals = set(), 0
    for step in (1, 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 16, 18):
        before = generations(lake)
        writer.start(step, stop=step)
        writer.wait()
        journals += bool(lake.storage.list("tables/_journal"))
        opened = open_root(lake.url)
        check_whole(opened, {})
        outcomes.add(generations(opened) == before)
    assert outcomes == {True, False}
    assert journals > 3
