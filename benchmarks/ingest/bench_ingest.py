"""Whole plates through cytolake, a bare loop and the libraries, and the index of a 1536-well plate.

    python -m benchmarks.ingest.bench_ingest [--rounds 5] [--wells 12 --fields 4 --size 1080] [--only NAME]

The synthetic plate comes as TIFFs without compression, with LZW and with zstd; the real MetaXpress export (stacks and
projections in one plate) is used where the test data are. Everything is as in :mod:`benchmarks.conversion`: files in
the page cache, one process per contender, processor seconds, turns. Nothing is written with ``--only`` or on a plate
of another size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.conversion.contenders import CONTENDERS
from benchmarks.conversion.turns import OURS, take_turns
from benchmarks.exports import export_of, real_imagexpress
from benchmarks.measuring import machine, markdown_table, write_result

WELLS, FIELDS, SIZE = 12, 4, 1080
COMPRESSIONS = ("none", "lzw", "zstd")
#: Times the peer's bytes per processor second that ours shall be, at least.
TARGETS = {"bare tensorstore loop": 0.9, "iohub": 1.5, "ome-zarr-py": 3.0, "ngio": 5.0}
#: The large index, and the most that reading and planning it may take.
INDEX = {"wells": 1536, "fields": 9, "channels": 5}
INDEX_SECONDS, INDEX_MB = 20, 1000


def missed_by(what: str, contenders: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which aims were missed."""
    return [
        f"{target}× {name} ({what})"
        for name, target in TARGETS.items()
        if name in contenders and contenders[name]["ours_times"] is not None and contenders[name]["ours_times"] < target
    ]


def show(what: str, result: Mapping[str, Any]) -> None:
    """Print one export's table."""
    print(f"\n{what}: {result['pixel_mb']} MB of pixels in {result['file_mb']} MB of files\n")
    rows = [
        (
            name,
            facts["mb_per_cpu_s"],
            facts["mb_per_s"],
            "" if facts["ours_times"] is None else f"{facts['ours_times']}×",
            f"{TARGETS[name]}×" if name in TARGETS else "",
            facts["peak_memory_mb"],
            facts["files"],
            facts["written_mb"],
        )
        for name, facts in result["contenders"].items()
    ]
    header = ("", "MB/CPU-s", "MB/s", f"{OURS} is", "target", "peak MB", "files", "MB written")
    print(markdown_table(header, rows), flush=True)


def index() -> dict[str, Any]:
    """Read and plan the large index in a process of its own."""
    export = export_of(size=32, pixels=False, **INDEX)
    command = [sys.executable, "-m", "benchmarks.ingest.index", str(export)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wells", type=int, default=WELLS)
    parser.add_argument("--fields", type=int, default=FIELDS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--compression", choices=COMPRESSIONS, action="append")
    parser.add_argument("--only", choices=tuple(CONTENDERS), action="append")
    arguments = parser.parse_args()
    names = arguments.only or list(CONTENDERS)
    whole = (arguments.wells, arguments.fields, arguments.size) == (WELLS, FIELDS, SIZE)

    exports = {
        f"TIFFs, compression {one}": export_of(
            wells=arguments.wells, fields=arguments.fields, size=arguments.size, compression=one
        )
        for one in arguments.compression or COMPRESSIONS
    }
    real = real_imagexpress()
    if real is not None:
        exports["real MetaXpress export"] = real
    missed, results = [], {}
    for what, export in exports.items():
        results[what] = take_turns(export, names, arguments.rounds)
        show(what, results[what])
        # A few planes say how long a start takes, not how fast pixels go.
        missed += missed_by(what, results[what]["contenders"]) if export != real else []

    large = index()
    print(
        f"\nindex of {INDEX['wells']} wells × {INDEX['fields']} fields × {INDEX['channels']} channels, read and "
        f"planned: {large['planes']:,} planes in {large['wall_s']} s ({large['cpu_s']} s of processor), "
        f"peak {large['peak_memory_mb']} MB"
    )
    if large["wall_s"] > INDEX_SECONDS or large["peak_memory_mb"] > INDEX_MB:
        missed.append(f"index in {INDEX_SECONDS} s and {INDEX_MB} MB")
    if whole and not arguments.only:
        packages = ["cytolake", "tensorstore", "ome-zarr", "ngio", "iohub", "zarr", "tifffile", "imagecodecs", "numpy"]
        result = {
            "what": f"{WELLS} wells × {FIELDS} fields × 5 channels × {SIZE}² uint16",
            "rounds": arguments.rounds,
            "exports": results,
            "index": large,
            "targets": TARGETS,
            **machine([*packages, "dask"]),
        }
        print(f"\n{result['processor']}, {result['cores']} cores; {write_result('ingest', result)}")
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
