"""Contenders that convert one export in turn, each in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tifffile

from benchmarks.exports import SCRATCH, fields_of, in_page_cache
from benchmarks.measuring import ratio

OURS = "cytolake"


def take_turns(export: Path, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Run the contenders in turn, once to warm up and then ``rounds`` times; the first to run changes by round.

    Returns
    -------
    dict
        ``pixel_mb`` and ``file_mb`` of the export, and for each of the ``contenders`` megabytes of pixels per second
        of processor and of clock, how many times faster cytolake is (None without cytolake), peak memory, and the
        files and megabytes that it wrote.
    """
    file_bytes = in_page_cache(export)
    megabytes = _pixel_bytes(export) / 1e6
    workers = {}
    for name in names:
        target = SCRATCH / f"target-{name.replace(',', '').replace(' ', '-')}"
        command = [sys.executable, "-m", "benchmarks.conversion.worker", name, str(export), str(target)]
        workers[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(name: str) -> dict[str, float]:
        pipes = workers[name]
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        print("run", file=pipes.stdin, flush=True)
        line = pipes.stdout.readline()
        if not line:
            raise SystemExit(f"{name} failed")
        return json.loads(line)

    first = {name: run(name) for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(rounds):
        for name in [*names[round_ % len(names) :], *names[: round_ % len(names)]]:
            facts = run(name)
            cpu[name].append(facts["cpu_s"])
            wall[name].append(facts["wall_s"])
    for process in workers.values():
        process.communicate()
    return {
        "pixel_mb": round(megabytes, 1),
        "file_mb": round(file_bytes / 1e6, 1),
        "contenders": {
            name: {
                "mb_per_cpu_s": round(megabytes / statistics.median(cpu[name]), 1),
                "mb_per_s": round(megabytes / statistics.median(wall[name]), 1),
                "ours_times": round(ratio(cpu, name, OURS), 2) if OURS in cpu else None,
                "peak_memory_mb": first[name]["peak_memory_mb"],
                "files": first[name]["files"],
                "written_mb": round(first[name]["bytes"] / 1e6, 1),
                "cpu_s": [round(one, 3) for one in cpu[name]],
                "wall_s": [round(one, 3) for one in wall[name]],
            }
            for name in names
        },
    }


def _pixel_bytes(export: Path) -> int:
    fields = fields_of(export)
    plane = tifffile.imread(fields[0][1][0][0])
    return plane.nbytes * sum(len(stack) for _, channels in fields for stack in channels)
