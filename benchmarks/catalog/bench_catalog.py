"""Questions to lakes of 100, 1,000 and 10,000 plates: does the time stay flat, and how many files are opened.

    python -m benchmarks.catalog.bench_catalog [--plates 100 1000 10000] [--rounds 5] [--folder DIR] [--keep]

Every figure is from a process of its own that opens the lake and asks one question: the first time (cold, with what
that imports), then five times (warm). The files lie in the page cache, as a first pass has read them. Contenders take
turns within a round; figures are medians over the rounds. See :mod:`.lakes` for what the lakes are: the largest takes
5 GB in the folder, and is removed afterwards unless it is to be kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.catalog.lakes import Size, make
from benchmarks.catalog.questions import CONTENDERS, PEER_QUESTIONS, QUESTIONS
from benchmarks.exports import SCRATCH
from benchmarks.measuring import machine, markdown_table, write_result

OURS, FILES = "cytolake", "DuckDB, the study's files"
PLATES = (100, 1_000, 10_000)
#: Milliseconds that are aimed at, warm; and cold for one plate.
AIMS = {"plate": 60, "compound": 300, "compound, wells": 300, "compound, perturbations": 300, "count": 50}
COLD_PLATE, MEAN_RATIO, NATIVE = 150, 1.3, {"plate": 3.0, "study, 300 means": 2.0}
#: A native table is made of lakes up to this size: it is another copy.
MOST_NATIVE = 1_000
_REPEATS = 5


def ask(lake: Path, contender: str, question: str) -> dict[str, Any]:
    """Let a process of its own ask."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.catalog.worker", str(lake), contender, question]
    done = subprocess.run([*command, str(_REPEATS)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(lake: Path, plates: int, rounds: int) -> dict[str, Any]:
    """Return for each question what each contender took."""
    results: dict[str, Any] = {}
    for question in QUESTIONS:
        contenders = list(CONTENDERS) if question in PEER_QUESTIONS else [OURS]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for k in range(rounds):
            for name in contenders[k % len(contenders) :] + contenders[: k % len(contenders)]:
                runs[name].append(ask(lake, name, question))
        answers = {json.dumps(one["answer"]) for own in runs.values() for one in own}
        if len(answers) != 1:
            raise SystemExit(f"{question}: the contenders do not agree")
        results[question] = {name: _medians(own) for name, own in runs.items()}
        if FILES in runs:
            pairs = zip(runs[OURS], runs[FILES], strict=True)
            results[question]["ratio_to_files"] = round(
                statistics.median(a["warm_wall_ms"] / b["warm_wall_ms"] for a, b in pairs), 2
            )
        if question in NATIVE and plates <= MOST_NATIVE:
            results[question]["native"] = ask(lake, "native", question)
        print(f"{plates} plates, {question}: {results[question]}", file=sys.stderr)
    return results


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    timings = [name for name in runs[0] if name.endswith("_ms")]
    medians = {name: round(statistics.median(one[name] for one in runs), 1) for name in timings}
    return {**medians, "rows": runs[0]["rows"], "files": runs[0]["files"]}


def table(results: dict[str, Any]) -> str:
    """Lay out the curve: our milliseconds warm and cold, and files opened of those considered."""
    rows = []
    for question in QUESTIONS:
        cells = []
        for of_size in results.values():
            ours = of_size[question][OURS]
            considered = sum(one[0] for one in ours["files"].values())
            opened = sum(one[2] for one in ours["files"].values())
            times = " / ".join(f"{ours[f'{name}_wall_ms']:.0f}" for name in ("warm", "opened", "cold"))
            cells.append(f"{times} ({opened:,} of {considered:,})")
        rows.append([question, *cells])
    return markdown_table(
        ["milliseconds warm / lake just opened / new process (files opened warm)", *(f"{int(n):,}" for n in results)],
        rows,
    )


def peers(results: dict[str, Any]) -> str:
    """Lay out what the others took."""
    rows = [
        [question, f"{int(plates):,}", *(f"{of_size[question][name]['warm_wall_ms']:.0f}" for name in CONTENDERS)]
        for question in PEER_QUESTIONS
        for plates, of_size in results.items()
    ]
    return markdown_table(["milliseconds warm", "plates", *CONTENDERS], rows)


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, nargs="+", default=list(PLATES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=SCRATCH / "catalog")
    parser.add_argument("--keep", action="store_true", help="do not remove the lakes afterwards")
    parser.add_argument("--no-record", action="store_true")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    results = {}
    for plates in given.plates:
        folder = given.folder / str(plates)
        print(f"making {plates} plates", file=sys.stderr)
        make(folder, Size(plates))
        results[str(plates)] = measured(folder / "lake", plates, given.rounds)
        if not given.keep:
            shutil.rmtree(folder)
    print(table(results), peers(results), sep="\n\n")
    if not given.no_record:
        facts = machine(["cytolake", "duckdb", "deltalake", "polars", "pyarrow"])
        aims = {"warm_ms": AIMS, "cold_plate_ms": COLD_PLATE, "mean_to_files": MEAN_RATIO, "to_native": NATIVE}
        told = {"machine": facts, "load_at_start": round(load, 2), "page_cache": "warm", "rounds": given.rounds}
        write_result("catalog", {**told, "aims": aims, "plates": results})


if __name__ == "__main__":
    main()
