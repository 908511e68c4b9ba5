"""Peak memory of ingest, however large the plate, and of the driver of transform, however many fields.

    python -m benchmarks.memory.bench_memory [--part ingest|transform]

Each figure is the largest resident size of a fresh process, imports included. Ingest has as many threads as it
chooses by itself; transform works on two processes of their own, so that what is measured is the driver alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.exports import SCRATCH, export_of
from benchmarks.measuring import machine, markdown_table, peak_memory_mb, write_result

#: (wells, fields of each, channels, side in pixels)
INGESTED = ((12, 4, 5, 1080), (4, 4, 5, 2160), (12, 4, 5, 540), (100, 4, 5, 540), (200, 10, 1, 96))
TRANSFORMED = ((50, 4, 1, 96), (200, 10, 1, 96))
INGEST_LIMIT_MB = 500
TRANSFORM_GROWTH_LIMIT_MB = 50
WORKERS = 2

Plate = tuple[int, int, int, int]


def _export(plate: Plate) -> Path:
    wells, fields, channels, size = plate
    return export_of(wells=wells, fields=fields, channels=channels, size=size, compression="none")


def in_fresh_process(verb: str, plate: Plate, lake: Path) -> dict[str, Any]:
    """Run one verb on one plate in a process of its own and give what it says of itself."""
    command = [sys.executable, "-m", __spec__.name, "--measure", verb, str(_export(plate)), str(lake)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    facts = json.loads(done.stdout.splitlines()[-1])
    wells, fields, channels, size = plate
    return {"fields": wells * fields, "channels": channels, "size": size, **facts}


def measure(verb: str, export: Path, lake: Path) -> dict[str, Any]:
    """Run one verb in this process."""
    from cytolake import init_lake, open_lake

    if verb == "ingest":
        report = init_lake(lake).ingest(export, study="bench")
        facts = {"gb": round(report["plates"][0]["bytes_read"] / 1e9, 2)}
    else:
        report = open_lake(lake).transform(study="bench", recipe="nuclei", workers=WORKERS)
        facts = {"objects": sum(report["plates"][0]["objects"].values())}
    if report["status"] != "ok":
        raise RuntimeError(str(report))
    return {**facts, "peak_memory_mb": peak_memory_mb()}


def ingested() -> list[dict[str, Any]]:
    rows = []
    for plate in INGESTED:
        lake = SCRATCH / "memory-lake"
        shutil.rmtree(lake, ignore_errors=True)
        rows.append(in_fresh_process("ingest", plate, lake))
        shutil.rmtree(lake)
        print(rows[-1], file=sys.stderr)
    return rows


def transformed() -> list[dict[str, Any]]:
    rows = []
    for plate in TRANSFORMED:
        lake = SCRATCH / "memory-lake"
        shutil.rmtree(lake, ignore_errors=True)
        in_fresh_process("ingest", plate, lake)
        rows.append(in_fresh_process("transform", plate, lake))
        shutil.rmtree(lake)
        print(rows[-1], file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("ingest", "transform"), help="nothing is written then")
    parser.add_argument("--measure", nargs=3, metavar=("VERB", "EXPORT", "LAKE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        verb, export, lake = arguments.measure
        print(json.dumps(measure(verb, Path(export), Path(lake))))
        return

    result: dict[str, Any] = {}
    missed = []
    if arguments.part != "transform":
        result["ingest"] = ingested()
        result["ingest_limit_mb"] = INGEST_LIMIT_MB
        columns = ("fields", "channels", "size", "gb", "peak_memory_mb")
        rows = [[row[name] for name in columns] for row in result["ingest"]]
        print(markdown_table(("ingest, fields", "channels", "side", "GB of files", "peak MB"), rows) + "\n")
        missed += [f"{INGEST_LIMIT_MB} MB of ingest" for row in rows if row[-1] >= INGEST_LIMIT_MB][:1]
    if arguments.part != "ingest":
        result["transform"] = transformed()
        few, many = (row["peak_memory_mb"] for row in result["transform"])
        result["transform_growth_mb"] = round(many - few, 1)
        result["transform_growth_limit_mb"] = TRANSFORM_GROWTH_LIMIT_MB
        rows = [(row["fields"], row["objects"], row["peak_memory_mb"]) for row in result["transform"]]
        print(markdown_table(("transform, fields", "objects", "driver's peak MB"), rows))
        print(f"\nthe driver grows by {many - few:.1f} MB")
        if many - few >= TRANSFORM_GROWTH_LIMIT_MB:
            missed.append(f"{TRANSFORM_GROWTH_LIMIT_MB} MB of growth of the driver of transform")
    if not arguments.part:
        result |= machine(["cytolake", "tensorstore", "dask", "distributed", "pyarrow", "deltalake", "numpy"])
        print(f"\n{result['processor']}, {result['cores']} cores; {write_result('memory', result)}")
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
