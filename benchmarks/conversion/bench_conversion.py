"""A plate from TIFF to OME-Zarr: cytolake against a bare loop and the libraries, in bytes per second of processor.

    python -m benchmarks.conversion.bench_conversion [--rounds 5] [--compression none|lzw]

The plate has 12 wells of 4 fields of 5 channels of 1080 x 1080 uint16, its files in the page cache. Every contender
runs in a process of its own, once to warm up (that run gives the peak memory, imports included) and then in turn with
the others; cytolake's lake is made before the clock starts. Megabytes are 10^6 bytes of the decoded pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from benchmarks.conversion.contenders import CONTENDERS
from benchmarks.conversion.turns import OURS, take_turns
from benchmarks.exports import export_of
from benchmarks.measuring import machine, markdown_table, write_result

WELLS, FIELDS, CHANNELS, SIZE = 12, 4, 5, 1080
#: Times the peer's bytes per processor second that ours shall be, at least.
TARGETS = {"bare tensorstore loop": 0.9, "iohub": 1.5, "ome-zarr-py": 3.0, "ngio": 5.0}
PEAK_MEMORY_MB = 500


def measure(compression: str, rounds: int, names: Sequence[str]) -> dict[str, Any]:
    """Run the contenders in turn on one plate."""
    export = export_of(wells=WELLS, fields=FIELDS, channels=CHANNELS, size=SIZE, compression=compression)
    return {"compression": compression, **take_turns(export, names, rounds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compression", choices=("none", "lzw"), action="append")
    parser.add_argument("--only", choices=tuple(CONTENDERS), action="append", help="nothing is written then")
    arguments = parser.parse_args()
    names = arguments.only or list(CONTENDERS)

    what = f"{WELLS} wells × {FIELDS} fields × {CHANNELS} channels × {SIZE}² uint16"
    plates = [measure(one, arguments.rounds, names) for one in arguments.compression or ("none", "lzw")]
    missed = []
    for plate in plates:
        print(f"\n{what}, TIFF compression {plate['compression']}, {plate['file_mb']} MB of files\n")
        rows = []
        for name, facts in plate["contenders"].items():
            target = TARGETS.get(name)
            if target is not None and facts["ours_times"] < target:
                missed.append(f"{target}× {name} (compression {plate['compression']})")
            if name == OURS and facts["peak_memory_mb"] >= PEAK_MEMORY_MB:
                missed.append(f"{PEAK_MEMORY_MB} MB of memory")
            rows.append(
                (
                    name,
                    facts["mb_per_cpu_s"],
                    facts["mb_per_s"],
                    f"{facts['ours_times']}×",
                    "" if target is None else f"{target}×",
                    facts["peak_memory_mb"],
                )
            )
        print(markdown_table(("", "MB/CPU-s", "MB/s", "ours is", "target", "peak MB"), rows))
    if not arguments.only:
        packages = [
            "cytolake",
            "tensorstore",
            "ome-zarr",
            "ngio",
            "iohub",
            "zarr",
            "tifffile",
            "imagecodecs",
            "numpy",
            "dask",
        ]
        result = {"what": what, "rounds": arguments.rounds, "plates": plates, "targets": TARGETS, **machine(packages)}
        print(f"\n{result['processor']}, {result['cores']} cores; {write_result('conversion', result)}")
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
