"""Import of a set of CellProfiler's CSV files: rows per second and peak memory beside pandas and CytoTable.

    python -m benchmarks.ingest_tables.bench_import [--gb 2] [--rounds 3] [--only NAME]

Every turn is a fresh process, imports included; the contenders take turns within a round, and ratios are medians over
the rounds. The result is written for the full size only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.exports import ROOT, SCRATCH
from benchmarks.ingest_tables.contenders import CONTENDERS, remove
from benchmarks.ingest_tables.tables import cellprofiler_set
from benchmarks.measuring import machine, markdown_table, write_result

FULL_GB = 2.0
LIMIT_MB = 1000
#: CytoTable 1.2 does not run with DuckDB 2, so it has an environment of its own: `make .venv-cytotable/.done`.
PYTHON = {"CytoTable": ROOT / ".venv-cytotable" / "bin" / "python"}


def in_fresh_process(name: str, folder: Path) -> dict[str, Any]:
    """Run one turn."""
    output = SCRATCH / "import-output"
    remove(output)
    turn = f"{__package__}.turn"
    command = [str(PYTHON.get(name, sys.executable)), "-m", turn, name, str(folder), str(output)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    remove(output)
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {facts}", file=sys.stderr)
    return facts


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gb", type=float, default=FULL_GB, help="size of the CSV files together")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(CONTENDERS), action="append", help="nothing is written then")
    arguments = parser.parse_args()
    folder = cellprofiler_set(arguments.gb)
    size = sum(file.stat().st_size for file in folder.iterdir())
    names = [name for name in arguments.only or CONTENDERS if name not in PYTHON or PYTHON[name].exists()]
    left_out = [name for name in arguments.only or CONTENDERS if name not in names]
    turns: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for round_ in range(arguments.rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            turns[name].append(in_fresh_process(name, folder))
    rows = {facts["rows"] for found in turns.values() for facts in found}
    means = [facts["mean"] for found in turns.values() for facts in found]
    if len(rows) > 1 or max(means) - min(means) > 1e-5 * abs(means[0]):
        raise SystemExit(f"the contenders do not agree: {rows} rows, means {means}")
    result: dict[str, Any] = {"bytes": size, "rows": rows.pop(), "rounds": arguments.rounds, "contenders": {}}
    shown = []
    for name in names:
        middle = {
            key: statistics.median(facts[key] for facts in turns[name])
            for key in ("seconds", "cpu_seconds", "peak_memory_mb")
        }
        speed = round(result["rows"] / middle["seconds"])
        result["contenders"][name] = {**middle, "rows_per_second": speed}
        if "cytolake" in turns:
            pairs = zip(turns[name], turns["cytolake"], strict=True)
            middle["cpu_ratio"] = round(statistics.median(a["cpu_seconds"] / b["cpu_seconds"] for a, b in pairs), 2)
            result["contenders"][name]["cpu_of_cytolake"] = middle["cpu_ratio"]
        ratio = middle.get("cpu_ratio", "")
        shown.append((name, speed, middle["seconds"], middle["cpu_seconds"], ratio, middle["peak_memory_mb"]))
    print(markdown_table(("", "rows/s", "s", "CPU s", "× CPU of cytolake", "peak MB"), shown))
    print(f"\n{result['rows']:,} rows, {size / 1e9:.2f} GB of CSV")
    if left_out:
        print(f"not installed: {', '.join(left_out)}")
    if not arguments.only and arguments.gb == FULL_GB:
        result |= {"limit_mb": LIMIT_MB, **machine(["cytolake", "pyarrow", "deltalake", "pandas"])}
        print(f"\n{result['processor']}, {result['cores']} cores; {write_result('import', result)}")
    if "cytolake" in names and result["contenders"]["cytolake"]["peak_memory_mb"] >= LIMIT_MB:
        raise SystemExit(f"missed: {LIMIT_MB} MB of import")


if __name__ == "__main__":
    main()
