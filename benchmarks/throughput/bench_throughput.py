"""How many fields a minute go from an ingested plate to committed features, where the time goes, and the memory.

    python -m benchmarks.throughput.bench_throughput [--wells 16] [--fields 4] [--workers 1 2] [--large-wells 2]
                                                     [--no-record]

A synthetic plate of 5 channels of 1080 x 1080 is ingested once and transformed by the recipe ``cell-painting``, all
families in nuclei, cells and cytoplasm, each time in a process of its own with kernels compiled before and kept on
disk. Processor seconds are those of the driver and its workers together, start-up included. The figure for a whole
plate of 384 wells and 9 fields each is computed from the rate, not run. A small plate of 2160 x 2160 fields tells a
worker's memory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.exports import SCRATCH, export_of
from benchmarks.measuring import machine, markdown_table, peak_memory_mb, write_result

RECIPE = "cell-painting"
CHANNELS, SIZE, LARGE_SIZE = 5, 1080, 2160
#: Wells and fields in each of the plate that is extrapolated to.
WHOLE_PLATE = (384, 9)
WORKER_LIMIT_MB = 1500


def in_fresh_process(verb: str, export: Path, lake: Path, workers: int) -> dict[str, Any]:
    """Run one verb in a process of its own and give what it says of itself."""
    command = [sys.executable, "-m", __spec__.name, "--measure", verb, str(export), str(lake), str(workers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{verb} {export.name}, {workers} worker(s): {facts['seconds']} s", file=sys.stderr)
    return facts


def measure(verb: str, export: Path, lake: Path, workers: int) -> dict[str, Any]:
    """Run one verb in this process."""
    from cytolake import init_lake, open_lake

    started = time.perf_counter()
    with ProcessorSeconds() as spent:
        if verb == "ingest":
            report = init_lake(lake).ingest(export, study="bench", workers=workers)
        else:
            report = open_lake(lake).transform(study="bench", recipe=RECIPE, workers=workers)
    seconds = time.perf_counter() - started
    if report["status"] != "ok":
        raise RuntimeError(str(report))
    (plate,) = report["plates"]
    facts = {
        "workers": workers,
        "seconds": round(seconds, 2),
        "cpu_s": round(spent.total, 2),
        "driver_peak_mb": peak_memory_mb(),
    }
    if verb == "transform":
        facts |= {
            "fields": plate["images"],
            "objects": plate["objects"],
            "seconds_of": plate["seconds_of"],
            "worker_peak_mb": plate["peak_memory_mb"],
            "fields_per_minute": round(plate["images"] / seconds * 60, 1),
            "fields_per_cpu_minute": round(plate["images"] / facts["cpu_s"] * 60, 1),
        }
    return facts


class ProcessorSeconds:
    """Processor seconds of this process and all that it starts, looked up several times a second.

    Workers are started by processes of their own and ended at will, so nobody's account of children holds them all.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[int, float], float] = {}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._run, daemon=True)

    @property
    def total(self) -> float:
        """Give what was used since the processes began."""
        return sum(self._of.values())

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()
        self._look()

    def _run(self) -> None:
        while not self._ended.wait(0.25):
            self._look()

    def _look(self) -> None:
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            try:
                times = process.cpu_times()
                self._of[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue  # it has just ended


def transformed(export: Path, workers: int, lake: Path) -> dict[str, Any]:
    """Ingest an export into a new lake and transform it there."""
    shutil.rmtree(lake, ignore_errors=True)
    in_fresh_process("ingest", export, lake, 2)
    facts = in_fresh_process("transform", export, lake, workers)
    shutil.rmtree(lake)
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wells", type=int, default=16)
    parser.add_argument("--fields", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--large-wells", type=int, default=2, help=f"wells with 2 fields of {LARGE_SIZE}² (default 2)")
    parser.add_argument("--no-record", action="store_true", help="print, and leave the recorded result as it is")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        verb, export, lake, workers = options.measure
        print(json.dumps(measure(verb, Path(export), Path(lake), int(workers))))
        return

    lake = SCRATCH / "throughput-lake"
    plate = export_of(wells=options.wells, fields=options.fields, channels=CHANNELS, size=SIZE)
    # A small plate first: kernels are compiled, files of the libraries are in the page cache.
    transformed(export_of(wells=2, fields=1, channels=CHANNELS, size=SIZE), 1, lake)
    runs = [transformed(plate, workers, lake) for workers in options.workers]
    large = None
    if options.large_wells:
        export = export_of(wells=options.large_wells, fields=2, channels=CHANNELS, size=LARGE_SIZE)
        large = transformed(export, 2, lake)
    wells, fields = WHOLE_PLATE
    result = {
        "what": f"{options.wells} wells × {options.fields} fields × {CHANNELS} channels of {SIZE}², recipe {RECIPE}",
        "runs": runs,
        "whole_plate": {
            "extrapolated": True,
            "wells": wells,
            "fields": wells * fields,
            "cpu_hours": round(wells * fields / min(run["fields_per_cpu_minute"] for run in runs) / 60, 2),
            "hours_of_workers": {
                str(run["workers"]): round(wells * fields / run["fields_per_minute"] / 60, 2) for run in runs
            },
        },
        "large_fields": large and {"size": LARGE_SIZE, **large},
        "worker_limit_mb": WORKER_LIMIT_MB,
        **machine(["cytolake", "numba", "numpy", "distributed", "zarr", "tensorstore"]),
    }
    _print(result)
    if not options.no_record:
        print(f"\n{write_result('throughput', result)}")
    if large and large["worker_peak_mb"] > WORKER_LIMIT_MB:
        raise SystemExit(f"a worker took {large['worker_peak_mb']} MB, aimed at {WORKER_LIMIT_MB} MB")


def _print(result: dict[str, Any]) -> None:
    runs = result["runs"]
    print(f"{result['what']}; {result['processor']}\n")
    keys = ("fields_per_minute", "fields_per_cpu_minute", "seconds", "cpu_s", "driver_peak_mb", "worker_peak_mb")
    names = ("workers", "fields/min", "fields/CPU min", "s", "CPU s", "driver MB", "worker MB")
    print(markdown_table(names, [(run["workers"], *(run[key] for key in keys)) for run in runs]))
    print("\nA worker that is the driver's own thread (one worker) counts in both memories.\n")
    steps = runs[0]["seconds_of"]
    spent = sum(steps.values())
    rows = [
        (step, f"{seconds / runs[0]['fields'] * 1000:.0f}", f"{100 * seconds / spent:.0f} %")
        for step, seconds in steps.items()
    ]
    print(markdown_table(("step, one worker", "ms a field", "share"), rows))
    whole = result["whole_plate"]
    hours = ", ".join(f"{hours} h on {workers} worker(s)" for workers, hours in whole["hours_of_workers"].items())
    print(
        f"\nComputed, not run: {whole['wells']} wells, {whole['fields']:,} fields: {whole['cpu_hours']} CPU h; {hours}."
    )
    if result["large_fields"]:
        large = result["large_fields"]
        print(
            f"{large['fields']} fields of 5 × {large['size']}²: a worker's peak {large['worker_peak_mb']} MB, "
            f"driver {large['driver_peak_mb']} MB, {large['fields_per_minute']} fields/min."
        )


if __name__ == "__main__":
    main()
