"""Profiles beside pycytominer: the same numbers, and what they cost.

    python -m benchmarks.profiles.bench_profiles [--rounds 5] [--cells 200000] [--features 500] [--no-record]

Cells of 4 plates of 384 wells become medians of wells, robust z per plate against the control wells, and selected
features, written to a file (pycytominer) or committed to the lake with the fitted parameters and the lineage
(cytolake). Every run is a process of its own, whose whole processor time, clock and peak memory count, imports
included. Contenders take turns; ratios are medians over the rounds. cytolake reads its own Delta table of float64
columns, pycytominer Parquet files with the same numbers.

On a smaller set every operator is compared with pycytominer's, number by number; see :mod:`.agreement`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.exports import SCRATCH
from benchmarks.measuring import machine, markdown_table, ratio, write_result
from benchmarks.profiles.cells import Size, make
from benchmarks.profiles.contenders import CONTENDERS, RECIPE

OURS, PEER = "cytolake", "pycytominer"
#: What is aimed at: our part of the peer's processor time and peak memory.
AIMS = {"cpu_s": 0.5, "peak_memory_mb": 0.25}
USUAL = Size()
SMALL = Size(cells=16_000, features=200, plates=2)
#: Wells and features that are selected from, beside one another.
SELECTED = ((1536, 1300), (1536, 5000))


def made(size: Size) -> Path:
    """Give the folder with the cells, made once for each size."""
    folder = SCRATCH / "profiles" / f"{size.cells}x{size.features}x{size.plates}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"making {size.cells} cells of {size.features} features", file=sys.stderr)
        make(folder, size)
        (folder / "done").touch()
    (folder / "bench.toml").write_text(RECIPE)
    return folder


def in_own_process(name: str, folder: Path) -> tuple[dict[str, float], Path]:
    """Run one contender; give what the whole process took, and where its profiles are."""
    out = folder / ("out" if name == OURS else "out.parquet")
    shutil.rmtree(out, ignore_errors=True)
    out.unlink(missing_ok=True)
    if name == OURS:  # tables are only ever added to, so links to their files are as good as a copy
        shutil.copytree(folder / "lake", out, copy_function=os.link)
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.profiles.contenders", name, str(folder), str(out)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{name} failed with {process.returncode}")
    facts = {
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "wall_s": round(time.perf_counter() - started, 2),
        "peak_memory_mb": float(said.splitlines()[-1]),
    }
    print(f"{name}: {facts}", file=sys.stderr)
    return facts, out


def costs(folder: Path, rounds: int) -> dict[str, Any]:
    """Let the contenders take turns; the first of each is not counted."""
    for name in CONTENDERS:
        in_own_process(name, folder)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    names = list(CONTENDERS)
    for k in range(rounds):
        for name in names[k % len(names) :] + names[: k % len(names)]:
            runs[name].append(in_own_process(name, folder)[0])
    measures = {
        key: {name: [one[key] for one in own] for name, own in runs.items()}
        for key in ("cpu_s", "wall_s", "peak_memory_mb")
    }
    return {
        name: {
            **{key: statistics.median(own[name]) for key, own in measures.items()},
            **{f"{key}_of_ours": round(ratio(own, name, OURS), 2) for key, own in measures.items()},
            "runs": runs[name],
        }
        for name in CONTENDERS
    }


def whole_way(folder: Path) -> dict[str, Any]:
    """Compare what the two ends of the way hold: the features that are left, and every value."""
    _, lake = in_own_process(OURS, folder)
    _, file = in_own_process(PEER, folder)
    from cytolake import open_lake

    ours = open_lake(lake).sql("SELECT * FROM profiles ORDER BY plate_id, well_id").to_pandas()
    theirs = pd.read_parquet(file).sort_values(["Metadata_Plate", "Metadata_Well"])
    names = [name for name in theirs.columns if not name.startswith("Metadata_")]
    in_ours = [name for name in ours.columns if name in set(Size(features=10**4).names)]
    one, other = ours[names].to_numpy(float), theirs[names].to_numpy(float)
    return {
        "wells": len(ours),
        "features": len(names),
        "features_of_one_alone": sorted(set(names) ^ set(in_ours)),
        "largest_difference": float(np.nanmax(np.abs(one - other) / np.maximum(1, np.abs(other)), initial=0.0)),
        "missing_on_one_side": int((np.isnan(one) != np.isnan(other)).sum()),
    }


def selection() -> list[dict[str, Any]]:
    """Processor seconds of a selection by correlation, in this process, for many features."""
    import pyarrow as pa
    from cytolake.transforms.profiles.matrix import ProfileMatrix
    from cytolake.transforms.profiles.operators import make_operator
    from pycytominer import feature_select

    operations = ["variance_threshold", "correlation_threshold"]
    results = []
    for wells, features in SELECTED:
        rng = np.random.default_rng(0)
        # three features that say more or less the same, each time
        values = rng.normal(size=(wells, features // 3 + 1))[:, np.arange(features) % (features // 3 + 1)]
        values = values + rng.uniform(0.0, 0.5, features) * rng.normal(size=values.shape)
        names = [f"Cells_F{k}" for k in range(features)]
        matrix = ProfileMatrix(rows=pa.table({"well": list(range(wells))}), features=tuple(names), values=values)
        frame = pd.DataFrame(values, columns=names)

        def ours(compat: str, matrix: ProfileMatrix = matrix) -> set[str]:
            chosen = make_operator("select", {"operations": operations, "compat": compat})
            return set(chosen.fit(matrix, np.ones(len(matrix), np.bool_)).outputs)

        def theirs(frame: pd.DataFrame = frame, names: list[str] = names) -> set[str]:
            return set(feature_select(frame, features=names, operation=operations).columns)

        values[:100, :100].T @ values[:100, :100]  # threads are started once
        seconds, kept = {}, {}
        ways = {"cytolake": lambda: ours(""), "cytolake, compat": lambda: ours("pycytominer"), PEER: theirs}
        for name, run in ways.items():
            before = time.process_time()
            kept[name] = run()
            seconds[name] = round(time.process_time() - before, 2)
        same = kept["cytolake, compat"] == kept[PEER]
        left = {name: len(one) for name, one in kept.items()}
        results.append({"wells": wells, "features": features, "cpu_s": seconds, "kept": left, "same": same})
    return results


def agreement() -> dict[str, Any]:
    """Run the comparison of operators in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.profiles.agreement", str(made(SMALL))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(result: dict[str, Any]) -> str:
    """Lay out the figures as tables."""
    rows = [
        [name, one["cpu_s"], one["cpu_s_of_ours"], one["wall_s"], one["peak_memory_mb"], one["peak_memory_mb_of_ours"]]
        for name, one in result["costs"].items()
    ]
    tables = [
        markdown_table(["", "CPU s", "times ours", "clock s", "peak MB", "times ours"], rows),
        markdown_table(
            ["compared", "largest difference", "features kept by one alone"],
            [
                [name, f"{one['largest']:.1e}" if "largest" in one else "", one.get("kept_by_one_alone", "")]
                for name, one in result["agreement"].items()
                if "refused" not in one
            ],
        ),
        markdown_table(
            ["wells × features", *result["selection"][0]["cpu_s"]],
            [[f"{one['wells']} × {one['features']}", *one["cpu_s"].values()] for one in result["selection"]],
        ),
    ]
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cells", type=int, default=USUAL.cells)
    parser.add_argument("--features", type=int, default=USUAL.features)
    parser.add_argument("--plates", type=int, default=USUAL.plates)
    parser.add_argument("--no-record", action="store_true", help="print, and leave benchmarks/results as it is")
    arguments = parser.parse_args()
    size = Size(cells=arguments.cells, features=arguments.features, plates=arguments.plates)
    folder = made(size)
    result: dict[str, Any] = {
        "machine": machine(["cytolake", "pycytominer", "pandas", "scikit-learn", "numpy", "pyarrow", "deltalake"]),
        "size": {"cells": size.cells, "features": size.features, "plates": size.plates, "wells": 384},
        "aims": AIMS,
        "costs": costs(folder, arguments.rounds),
        "whole_way": whole_way(folder),
        **agreement(),
        "selection": selection(),
    }
    print(summary(result))
    print({name: result[name] for name in ("whole_way", "differences")})
    if not arguments.no_record:
        write_result("profiles", result)


if __name__ == "__main__":
    main()
