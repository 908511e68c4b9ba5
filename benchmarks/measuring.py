"""How the benchmarks measure: contenders in turn, CPU time, medians of ratios, peak memory, the machine written down.

A shared machine is noisy, so contenders take turns inside every round and are compared within the round; processor
time of the whole process is counted, so that a contender gains nothing from threads that it starts.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int | Mapping[str, int], *, warm: bool = False
) -> dict[str, list[float]]:
    """CPU seconds of every contender in every round, after one warm-up each; the first to run changes by round.

    Contenders may have a number of rounds each, and take part in the first ones; ``warm`` says that all have run.
    """
    for run in () if warm else contenders.values():
        run()
    rounds_of = dict.fromkeys(contenders, rounds) if isinstance(rounds, int) else rounds
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(max(rounds_of.values())):
        names = [name for name in contenders if round_ < rounds_of[name]]
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            gc.collect()
            before = time.process_time()
            contenders[name]()
            seconds[name].append(time.process_time() - before)
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], slow: str, fast: str) -> float:
    """Median, over the rounds that both took part in, of how many times longer ``slow`` took."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=False))


def extra_memory_mb(run: Callable[[], object]) -> float | None:
    """Megabytes that the resident size of this process rises above its start while ``run`` runs; None if unknown."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to the present size
        before = _status_mb("VmRSS")
        run()
        return round(_status_mb("VmHWM") - before, 1)
    except OSError:  # not Linux, or not allowed
        return None


def peak_memory_mb() -> float:
    """Megabytes of the largest resident size of this process so far, libraries included (Linux).

    Not ``ru_maxrss``: that keeps the size of the process that started this one.
    """
    return round(_status_mb("VmHWM"), 1)


def _status_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """Processor, Python, and the versions of what was compared."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_result(name: str, result: Mapping[str, Any]) -> Path:
    """Write one benchmark's result as ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a table as Markdown, the first column left and the others right aligned."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])
