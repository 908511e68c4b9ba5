"""A program whose children make releases and maintain a lake until they are killed; run by test_kill_maintenance.py.

Each line on stdin is the number of a child and the step at which it kills itself, counted outside of its commits of
plates: ``CHILD STOP``. A child commits plates over two tables, makes a release, withdraws an older one and maintains
the lake as if a month had passed, over and over; on stdout it says which releases are made and which withdrawn. All
rows of one commit carry one generation number. The parent imports and forks, which is quicker than an interpreter for
each.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from cytolake.store.commit import Commit
from cytolake.store.local import LocalStorage
from cytolake.store.maintenance import maintain
from cytolake.store.releases import create_release, withdraw_release
from cytolake.store.root import LakeRoot, open_root
from cytolake.store.tables import Tables
from deltalake import DeltaTable
from killing import die_after, say

TABLES = ("features/kill/00000000/nuclei", "wells")
PLATES = 5
STEPS = (
    (LocalStorage, "sync"),
    (LocalStorage, "write"),
    (LocalStorage, "delete"),
    (Tables, "ensure"),
    (DeltaTable, "create_write_transaction"),
    (DeltaTable, "create_checkpoint"),
)


class Counting:
    """Whether steps count: what commits do at a kill has tests of its own."""

    on = False


def rows(table: str, plate_id: str, generation: int) -> pa.Table:
    same = {"study_id": ["s"], "plate_id": [plate_id], "well_id": ["A01"], "run_id": [f"run-{generation}"]}
    if table != "wells":
        return pa.table(same)
    one = pa.array([1], pa.int32())
    return pa.table({**same, "row": one, "column": one, "n_perturbations": one, "excluded": [False]})


def commit_plate(lake: LakeRoot, plate_id: str, generation: int) -> None:
    key = {"study_id": "s", "plate_id": plate_id}
    with Commit(lake, run_id=f"run-{generation}", app_id=f"plate/s/{plate_id}") as commit:
        for table in TABLES:
            commit.replace(table, key, rows(table, plate_id, generation))
        commit.commit()


def keep(url: str, child: int) -> None:
    lake = open_root(url)
    turn = 0
    while True:
        turn += 1
        Counting.on = False
        for number in range(PLATES):
            commit_plate(lake, f"P{number}", child * 1000 + turn * 10 + number)
        Counting.on = True
        name = f"r-{child}-{turn}"
        create_release(lake, name)
        say("made", name)
        if turn > 1:
            withdraw_release(lake, f"r-{child}-{turn - 1}", "old")
            say("withdrawn", f"r-{child}-{turn - 1}")
        maintain(lake, now=datetime.now(UTC) + timedelta(days=30))


def main() -> None:
    for line in sys.stdin:
        number, stop = map(int, line.split())
        child = os.fork()
        if child == 0:
            die_after(STEPS, stop, counts=lambda: Counting.on)
            keep(sys.argv[1], number)
        _, status = os.waitpid(child, 0)
        say("ended", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
