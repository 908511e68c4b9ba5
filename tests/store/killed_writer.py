"""A program whose children commit plates over three tables until they are killed; run by test_kill.py.

Each line on stdin starts a child: ``SEED STOP``. It commits plates, saying so on stdout (``PLATE GENERATION``), until
it is killed from outside or, with STOP > 0, kills itself after the STOP-th step at which a commit touches the lake.
The parent imports and forks, which is quicker than an interpreter for each. All rows of one commit carry one
generation number, so that a reader can tell whether they belong together.
"""

from __future__ import annotations

import os
import random
import sys

import pyarrow as pa
from cytolake.store.commit import Commit
from cytolake.store.local import LocalStorage
from cytolake.store.root import open_root
from cytolake.store.tables import Tables
from deltalake import DeltaTable
from killing import die_after, say

TABLES = ("features/kill/00000000/nuclei", "features/kill/00000000/cells", "features/kill/00000000/quality")
STEPS = (
    (LocalStorage, "sync"),
    (LocalStorage, "write"),
    (LocalStorage, "reserve"),
    (LocalStorage, "delete"),
    (Tables, "ensure"),
    (DeltaTable, "create_write_transaction"),
)


def rows(plate_id: str, generation: int, n: int) -> pa.Table:
    return pa.table(
        {
            "study_id": ["s"] * n,
            "plate_id": [plate_id] * n,
            "object_id": pa.array(range(n), pa.int32()),
            "generation": pa.array([generation] * n, pa.int64()),
            "run_id": [f"run-{generation}"] * n,
        }
    )


def commit_plates(url: str, seed: int) -> None:
    lake = open_root(url)
    chance = random.Random(seed)
    generation = seed * 1_000_000
    while True:
        generation += 1
        plate_id = f"P{chance.randrange(3)}"
        key = {"study_id": "s", "plate_id": plate_id}
        with Commit(lake, run_id=f"run-{generation}", app_id=f"plate/s/{plate_id}") as commit:
            for place, table in enumerate(TABLES):
                commit.replace(table, key, rows(plate_id, generation, 1 + (generation + place) % 5))
            commit.commit()
        say(plate_id, generation)


def main() -> None:
    for line in sys.stdin:
        seed, stop = map(int, line.split())
        child = os.fork()
        if child == 0:
            say("child", os.getpid())
            if stop:
                die_after(STEPS, stop)
            commit_plates(sys.argv[1], seed)
        _, status = os.waitpid(child, 0)
        say("ended", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
