"""Every family of features against cp_measure, Nyxus and scikit-image: speed and agreement, one thread, warm.

    python -m benchmarks.features.bench_features [--rounds 9] [--slow-rounds 3] [--families Texture Granularity]
                                                 [--real 0] [--no-record] [--show]

The field of the table has 5 channels of 1080 x 1080 uint16 with 220 nuclei and their 220 cells. Every contender starts
from label images and pixels in memory (cp_measure's scaled to 0..1, as it asks for, beforehand) and ends with all
values of both object sets. Each row is timed by itself, all tools in turn inside each round; a tool that takes more
than ``SLOW_S`` seconds takes part in fewer rounds. Totals are sums of the rows' medians, ours with the label index that
all families share. Rows that cp_measure's accelerator does not change count for it as they are.

Values are compared on the same field and on real images; a deviation beyond the limits that no deliberate difference
explains makes the benchmark fail, as does a missed target.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.features import cold_start
from benchmarks.features.agreement import COMPARED, compare, on_fields
from benchmarks.features.contenders import OURS, contenders_of, indices
from benchmarks.features.fields import OBJECTS, REAL, ROLES, SIZE, Field, standard_field
from benchmarks.features.groups import COSTES, CP_MEASURE, CP_NUMBA, GROUPS, PEERS, TOTALS, Group
from benchmarks.measuring import RESULTS, interleaved, machine, markdown_table, ratio, write_result
from benchmarks.segmentation.ground_truth import data_folder

SLOW_S = 3.0
#: From the start of a process to the end of its first field.
COLD_START_S = 5.0
INDEX = "Label index"
_PACKAGES = ("cytolake", "cp_measure", "nyxus", "scikit-image", "mahotas", "centrosome", "numba", "numpy", "scipy")

Row = dict[str, Any]


def timed(group: Group, field: Field, rounds: int, slow_rounds: int) -> Row:
    """Time one row for every tool, and compare the values of the first, warming run."""
    contenders = contenders_of(group, field, indices(field))
    found, took = {}, {}
    for name, run in contenders.items():
        if name in (OURS, CP_NUMBA):
            run()  # compiles
        before = time.process_time()
        found[name] = run()
        took[name] = time.process_time() - before
    rounds_of = {name: slow_rounds if took[name] > SLOW_S else rounds for name in contenders}
    seconds = interleaved(contenders, rounds_of, warm=True)
    row = {
        "columns": sum(len(columns) for columns, _ in found[OURS].values()),
        "note": group.note,
        "tools": {
            name: {
                "rounds": len(values),
                "median_cpu_s": round(statistics.median(values), 5),
                "cpu_s": [round(one, 5) for one in values],
                "times_ours": round(ratio(seconds, name, OURS), 2),
            }
            for name, values in seconds.items()
        },
        "agreement": {
            peer: compare(peer, [(field, found[OURS], found[peer])]).as_dict() for peer in COMPARED if peer in found
        },
    }
    if group is COSTES:
        row["agreement"] |= {peer: one.as_dict() for peer, one in on_fields(group, [field]).items()}
    if CP_NUMBA not in row["tools"]:  # the accelerator has nothing for it
        row["tools"][CP_NUMBA] = {**row["tools"][CP_MEASURE], "same_as": CP_MEASURE}
    return row


def index_row(field: Field, rounds: int) -> Row:
    """Time the label index, which all families of ours start from."""
    values = interleaved({OURS: lambda: indices(field)}, rounds)[OURS]
    facts = {"rounds": rounds, "median_cpu_s": round(statistics.median(values), 5), "times_ours": 1.0}
    return {"columns": 0, "note": "Once for all families.", "tools": {OURS: facts}, "agreement": {}}


def totals(rows: Mapping[str, Row]) -> dict[str, Row]:
    """Add up rows; a total is left out where a row of it was not measured."""
    found = {}
    for total in TOTALS:
        names = [group.name for group in total.groups]
        if not all(name in rows for name in names):
            continue
        sums = {tool: sum(rows[name]["tools"][tool]["median_cpu_s"] for name in names) for tool in (OURS, *total.aims)}
        sums[OURS] += rows[INDEX]["tools"][OURS]["median_cpu_s"]
        found[total.name] = {
            "rows": names,
            "columns": sum(rows[name]["columns"] for name in names),
            "tools": {
                tool: {"median_cpu_s": round(value, 4), "times_ours": round(value / sums[OURS], 2)}
                for tool, value in sums.items()
            },
            "aims": {tool: aim for tool, aim in total.aims.items() if aim is not None},
        }
    return found


def on_real_images(groups: Mapping[str, Group], at_most: int | None) -> dict[str, dict[str, Any]]:
    """Compare the values of real images, data set by data set; {} and a line where the images are not there."""
    found: dict[str, dict[str, Any]] = {}
    for name, fields_of in REAL.items():
        if not (data_folder() / "images" / name).is_dir():
            print(f"no {name} in {data_folder()}: left out; $CYTOLAKE_TEST_DATA names another folder")
            continue
        fields = list(itertools.islice(fields_of(), at_most))
        found[name] = {"fields": len(fields)}
        for group in groups.values():
            _say(f"{name}: {group.name}")
            for peer, agreement in on_fields(group, fields).items():
                if agreement.columns:
                    found[name].setdefault(group.name, {})[peer] = agreement.as_dict()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slow-rounds", type=int, default=3, help=f"of tools that take over {SLOW_S:g} s (default 3)")
    parser.add_argument("--families", nargs="+", metavar="NAME", help="only rows whose name begins so")
    parser.add_argument("--real", type=int, metavar="N", help="at most N real images of each data set (default all)")
    parser.add_argument("--show", action="store_true", help="measure nothing, print the tables of the recorded result")
    parser.add_argument("--no-record", action="store_true", help="print, and leave the recorded result as it is")
    options = parser.parse_args()
    if options.show:
        _print(json.loads((RESULTS / "features.json").read_text(encoding="utf-8")))
        return
    warnings.simplefilter("ignore")

    groups = _chosen(options.families)
    field = standard_field()
    rows = {INDEX: index_row(field, options.rounds)}
    for name, group in groups.items():
        _say(name)
        rows[name] = timed(group, field, options.rounds, min(options.slow_rounds, options.rounds))
    result = {
        "what": f"{len(ROLES)} × {SIZE}² uint16, {OBJECTS} nuclei and {OBJECTS} cells, one thread, warm",
        "foreground_pixels": int(sum((plane > 0).sum() for plane in field.labels.values())),
        "rounds": options.rounds,
        "slow_rounds": options.slow_rounds,
        "totals_are": "sums of the medians of their rows, each row timed by itself; ours with the label index",
        "rows": rows,
        "totals": totals(rows),
        "cold_start": {
            **cold_start.measured(field.image, field.roles, dict(field.labels), min(3, options.rounds)),
            "aim_s": COLD_START_S,
        },
        "real_images": on_real_images(groups, options.real),
        **machine(_PACKAGES),
    }
    _print(result)
    if not options.no_record and groups == GROUPS:
        print(f"\n{write_result('features', result)}")
    problems = list(_problems(result))
    if problems:
        raise SystemExit("\n".join(problems))


def _chosen(names: list[str] | None) -> dict[str, Group]:
    chosen = {name: group for name, group in GROUPS.items() if not names or name.startswith(tuple(names))}
    if not chosen:
        raise SystemExit(f"no such rows; there are {', '.join(GROUPS)}")
    return chosen


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _print(result: Mapping[str, Any]) -> None:
    print(f"{result['what']}; {result['processor']}; CPU ms, and how many times as long as cytolake\n")
    lines = [_line(name, row, "") for name, row in result["rows"].items()]
    lines += [_line(f"**{name}**", row, "**") for name, row in result["totals"].items()]
    print(markdown_table(("", "columns", OURS, *PEERS, "largest deviation"), lines))
    cold = result["cold_start"]
    print(
        f"\nFrom the start of a process to its first field, {cold['columns_per_set']:g} columns of each object set: "
        f"{cold['start_to_first_field_s']:.1f} s of CPU (imports {cold['import_s']:.1f}, second field "
        f"{cold['second_field_s']:.1f}).\n"
    )
    places = ("synthetic", *result["real_images"])
    print("Values compared, and the largest deviation:\n")
    print(markdown_table(("", "compared with", *places), _agreements(result, places)))
    for place, row, peer, one in _by_place(result):
        for reason in one["peer_failed"]:
            print(f"{peer} fails: {row}, {place}, {reason}")
    print()
    print(markdown_table(("deliberate difference", "peer", "values", "beyond limit", "on one side"), _known(result)))


def _line(name: str, row: Row, bold: str) -> tuple[object, ...]:
    def cell(tool: str) -> str:
        facts = row["tools"].get(tool)
        return f"{facts['median_cpu_s'] * 1000:,.0f} ({bold}{facts['times_ours']:.1f}×{bold})" if facts else "–"

    compared = [one for one in row.get("agreement", {}).values() if one["values"]]
    worst = f"{max(one['largest_deviation'] for one in compared):.0e}" if compared else ""
    return (name, row["columns"], f"{row['tools'][OURS]['median_cpu_s'] * 1000:.1f}", *map(cell, PEERS), worst)


def _by_place(result: Mapping[str, Any]) -> list[tuple[str, str, str, dict[str, Any]]]:
    """List (images, row, peer, agreement) of every comparison."""
    places = {"synthetic": {name: row["agreement"] for name, row in result["rows"].items()}, **result["real_images"]}
    return [
        (place, row, peer, agreement)
        for place, of_rows in places.items()
        for row, of_peers in of_rows.items()
        if row != "fields"
        for peer, agreement in of_peers.items()
    ]


def _agreements(result: Mapping[str, Any], places: tuple[str, ...]) -> list[tuple[object, ...]]:
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for place, row, peer, one in _by_place(result):
        if one["values"]:
            cells.setdefault((row, peer), {})[place] = f"{one['values']:,}: {one['largest_deviation']:.0e}"
    return [(*of, *(by_place.get(place, "–") for place in places)) for of, by_place in cells.items()]


def _known(result: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Add up the deliberate differences over rows and images."""
    keys = ("values", "beyond_limit", "on_one_side")
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for _, _, peer, one in _by_place(result):
        for reason, facts in one["deliberate"].items():
            entry = sums.setdefault((reason, peer), dict.fromkeys(keys, 0))
            for key in keys:
                entry[key] += facts[key]
    return [(*of, *(f"{entry[key]:,}" for key in keys)) for of, entry in sums.items()]


def _problems(result: Mapping[str, Any]) -> Iterator[str]:
    for name, row in result["totals"].items():
        for tool, aim in row["aims"].items():
            if row["tools"][tool]["times_ours"] < aim:
                yield f"{name}: {row['tools'][tool]['times_ours']:.1f}× {tool}, aimed at {aim:g}×"
    if result["cold_start"]["start_to_first_field_s"] > COLD_START_S:
        yield f"cold start: {result['cold_start']['start_to_first_field_s']} s, aimed at {COLD_START_S:g} s"
    for place, row, peer, agreement in _by_place(result):
        for fault in agreement["faults"]:
            yield f"{row}, {peer}, {place}: {fault}"


if __name__ == "__main__":
    main()
