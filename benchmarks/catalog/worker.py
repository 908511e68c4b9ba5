"""One contender asks one question in a process of its own: the first time, and then over and over.

    python -m benchmarks.catalog.worker LAKE CONTENDER QUESTION REPEATS

Cold is the first question in a process, with what it imports (DuckDB, sqlglot; pyarrow imports pandas where it is
installed); opened is the first question of a lake that is opened anew when all that is loaded; warm is any later one.
Prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.catalog.questions import CONTENDERS, QUESTIONS, native, rows_of


def timed(run: Any) -> tuple[float, float, Any]:
    """Return milliseconds of the clock and of the processor, and what came out."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu), found


def execution(lake: Path, question: str, repeats: int) -> dict[str, Any]:
    """Compare how long a question runs once it is planned with how long it runs on a table of DuckDB's own."""
    from cytolake import open_lake

    opened, connection = open_lake(lake), native(lake, lake.parent)
    query = QUESTIONS[question]
    ours, theirs = [], []
    for _ in range(repeats + 1):
        result = opened.sql(query.format(t="cells"))
        ours.append(timed(result.to_arrow)[0])
        theirs.append(timed(lambda: connection.sql(query.format(t="t")).to_arrow_table())[0])
    ratios = [a / b for a, b in zip(ours[1:], theirs[1:], strict=True)]
    return {
        "run_ms": round(statistics.median(ours[1:]), 1),
        "native_ms": round(statistics.median(theirs[1:]), 1),
        "ratio": round(statistics.median(ratios), 2),
    }


def main() -> None:
    """Ask, and print what it took."""
    lake, contender, question, repeats = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    if contender == "native":
        print(json.dumps(execution(lake, question, repeats)))
        return
    ask = CONTENDERS[contender](lake)
    cold_wall, cold_cpu, answer = timed(lambda: ask(question))
    scans = getattr(ask, "scans", ())
    warm = [timed(lambda: ask(question)) for _ in range(repeats)]
    anew = CONTENDERS[contender](lake)
    opened_wall, opened_cpu, _ = timed(lambda: anew(question))
    facts = {
        "opened_wall_ms": opened_wall,
        "opened_cpu_ms": opened_cpu,
        "cold_wall_ms": cold_wall,
        "cold_cpu_ms": cold_cpu,
        "warm_wall_ms": statistics.median(wall for wall, _, _ in warm),
        "warm_cpu_ms": statistics.median(cpu for _, cpu, _ in warm),
    }
    told = {name: round(value, 1) for name, value in facts.items()}
    again = getattr(ask, "scans", ())
    files = {
        one.relation: [one.files_considered, one.files_opened, warm_one.files_opened]
        for one, warm_one in zip(scans, again, strict=True)
    }
    rows = rows_of(answer)
    print(json.dumps({**told, "rows": len(rows), "answer": rows[:400], "files": files}))


if __name__ == "__main__":
    main()
