"""Average precision and its means in SQL beside copairs: the same numbers, and what they cost.

    python -m benchmarks.catalog.similarity [--rounds 7] [--no-record]

One plate of 384 wells (64 controls, 80 treatments in 4 wells) and 454 features. cytolake asks its lake: one statement
from the Delta table to corrected p-values, planning and reading included, on a lake that was opened before; copairs has
the profiles in memory. Both draw 10,000 random orders per size in every round (copairs keeps them in a folder, which
is emptied). Contenders take turns; the first round is not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from cytolake import init_lake, open_lake
from cytolake.schemas.identifiers import format_well
from cytolake.schemas.tables import arrow_schema, profile_table_schema
from cytolake.store.commit import Commit
from cytolake.store.registry import register_profiles
from cytolake.store.root import open_root

from benchmarks.exports import SCRATCH
from benchmarks.measuring import machine, markdown_table, write_result

WELLS, FEATURES, CONTROLS, TREATMENTS = 384, 454, 64, 80
KEY = {"study_id": "similarity", "plate_id": "P1"}
CONTROL = "control_type = 'negative_vehicle'"
#: What is asked: its name → the arguments that say which profiles compete, and copairs' ``neg_sameby``, ``neg_diffby``.
QUESTIONS = {
    "against controls": (
        f", within := (study_id, plate_id), against := {CONTROL}",
        ["plate_id"],
        ["perturbation", "own"],
    ),
    "against the rest": ("", [], ["perturbation"]),
}
#: Seconds in which a plate is to be answered.
AIM_S = 0.5


def profiles() -> tuple[pd.DataFrame, np.ndarray]:
    """Return what is known of the wells, and their features: noise, and an effect for each treatment."""
    rng = np.random.default_rng(20_240_601)
    names = ["dmso" if n < CONTROLS else f"t{(n - CONTROLS) % TREATMENTS:02}" for n in range(WELLS)]
    effects = {name: rng.normal(size=FEATURES) * rng.uniform(0, 0.6) for name in sorted(set(names) - {"dmso"})}
    values = rng.normal(size=(WELLS, FEATURES)) + np.array([effects.get(name, np.zeros(FEATURES)) for name in names])
    wells = [format_well(n // 24 + 1, n % 24 + 1) for n in range(WELLS)]
    return pd.DataFrame({"plate_id": "P1", "well_id": wells, "perturbation": names}), values


def made() -> Path:
    """Return the lake with the plate, made anew."""
    folder = SCRATCH / "catalog" / "similarity"
    shutil.rmtree(folder, ignore_errors=True)
    init_lake(folder)
    root = open_root(folder)
    known, values = profiles()
    names = [f"Nuclei_Texture_Feature{k:03}" for k in range(FEATURES)]
    set_ = register_profiles(root, "bench", {"steps": []}, levels=["well"], recipe_text=None, run_id="r1")
    identity = {**KEY, "acquisition_id": 1, "timepoint": 0, "n_objects": 100, "run_id": "r1"}
    rows = pd.DataFrame(values, columns=names).assign(well_id=known["well_id"], **identity)
    schema = profile_table_schema(names, level="well")
    data = pa.Table.from_pandas(rows.reindex(columns=schema.names), schema=schema, preserve_index=False)
    with Commit(root, run_id="r1", app_id="bench/1") as commit:
        set_.add_to(commit)
        commit.replace(set_.set.table("well"), KEY, data)
        _wells(commit, known)
        commit.commit()
    return folder


def _wells(commit: Commit, known: pd.DataFrame) -> None:
    facts = {**KEY, "run_id": "r1", "excluded": False, "n_perturbations": 1}
    rows = [
        {
            **facts,
            "well_id": well,
            "row": n // 24 + 1,
            "column": n % 24 + 1,
            "perturbation": name,
            "control_type": "negative_vehicle" if name == "dmso" else None,
        }
        for n, (well, name) in enumerate(zip(known["well_id"], known["perturbation"], strict=True))
    ]
    commit.replace("wells", KEY, pa.Table.from_pylist(rows, schema=arrow_schema("wells")))


def in_sql(lake: Any, macro: str, arguments: str) -> pd.DataFrame:
    """Ask the lake for scores of wells (``average_precision``) or of treatments (``map_score``)."""
    found: pd.DataFrame = lake.sql(f"FROM {macro}(profiles, perturbation{arguments})").to_pandas()
    return found


def with_copairs(known: pd.DataFrame, values: np.ndarray, same: list[str], other: list[str], cache: Path) -> Any:
    """Return copairs' scores of wells and of treatments, controls left out where they are the rivals."""
    from copairs.map import average_precision, mean_average_precision
    from copairs.matching import assign_reference_index

    shutil.rmtree(cache, ignore_errors=True)
    own = assign_reference_index(known, "perturbation == 'dmso'", reference_col="own")
    positive = ["perturbation", *(["own"] if "own" in other else [])]
    wells = average_precision(own, values, positive, [], same, other, progress_bar=False)
    ranked = wells[wells["n_pos_pairs"] > 0].reset_index(drop=True)
    scores = mean_average_precision(
        ranked, ["perturbation"], null_size=10_000, threshold=0.05, seed=0, progress_bar=False, cache_dir=cache
    )
    return wells, scores


def agreement(ours: tuple[pd.DataFrame, pd.DataFrame], theirs: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Any]:
    """Return the largest differences between the scores of both."""
    wells = ours[0].merge(theirs[0], on="well_id", suffixes=("", "_copairs"))
    wells = wells[wells["average_precision_copairs"].notna()]
    scores = ours[1].merge(theirs[1], left_on="same", right_on="perturbation", suffixes=("", "_copairs"))

    def apart(rows: pd.DataFrame, name: str) -> float:
        return float((rows[name].astype(float) - rows[f"{name}_copairs"]).abs().max(skipna=False))

    return {
        "wells": len(wells),
        "average_precision": apart(wells, "average_precision"),
        "normalized_average_precision": apart(wells, "normalized_average_precision"),
        "treatments": len(scores),
        "mean_average_precision": apart(scores, "mean_average_precision"),
        "p_value": apart(scores, "p_value"),
    }


def timed(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Return seconds of the clock and of processors, medians over rounds in which all took turns."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            wall, used = time.perf_counter(), time.process_time()
            contenders[name]()
            if turn:
                runs[name].append((time.perf_counter() - wall, time.process_time() - used))
    return {
        name: {
            "wall_s": round(statistics.median(one for one, _ in own), 3),
            "cpu_s": round(statistics.median(one for _, one in own), 3),
        }
        for name, own in runs.items()
    }


def measure(rounds: int = 7) -> dict[str, Any]:
    """Return the whole part of the results: agreement and costs of every question."""
    folder = made()
    lake = open_lake(folder)
    known, values = profiles()
    cache = SCRATCH / "catalog" / "copairs"
    found: dict[str, Any] = {"wells": WELLS, "features": FEATURES, "rounds": rounds, "aim_s": AIM_S, "questions": {}}
    for name, (arguments, same, other) in QUESTIONS.items():
        theirs = with_copairs(known, values, same, other, cache)
        ours = in_sql(lake, "average_precision", arguments), in_sql(lake, "map_score", arguments)
        costs = timed(
            {
                "average_precision": lambda a=arguments: in_sql(lake, "average_precision", a),  # type: ignore[misc]
                "map_score": lambda a=arguments: in_sql(lake, "map_score", a),  # type: ignore[misc]
                "copairs": lambda s=same, o=other: with_copairs(known, values, s, o, cache),  # type: ignore[misc]
            },
            rounds,
        )
        found["questions"][name] = {"largest_difference": agreement(ours, theirs), **costs}
        print(f"{name}: {json.dumps(found['questions'][name])}", file=sys.stderr)
    return found


def table(result: dict[str, Any]) -> str:
    """Return the result as a table in Markdown."""
    rows = [
        [name, who, f"{one[who]['wall_s']:.2f} s", f"{one[who]['cpu_s']:.2f} s", f"{one[who]['wall_s'] / AIM_S:.1f}"]
        for name, one in result["questions"].items()
        for who in ("average_precision", "map_score", "copairs")
    ]
    return markdown_table(["question", "by", "clock", "processor", "of the aim"], rows)


def main() -> None:
    """Measure, print, and write ``results/catalog_similarity.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-record", action="store_true")
    given = parser.parse_args()
    result = measure(given.rounds)
    print(table(result))
    if not given.no_record:
        write_result("catalog_similarity", {**result, "machine": machine(["cytolake", "duckdb", "copairs", "numpy"])})


if __name__ == "__main__":
    main()
