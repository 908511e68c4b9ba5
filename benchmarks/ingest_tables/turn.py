"""One turn of one contender in this process; it needs nothing of cytolake, so that a peer may have a Python of its own.

python -m benchmarks.ingest_tables.turn NAME FOLDER OUTPUT
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.ingest_tables.contenders import CONTENDERS
from benchmarks.measuring import peak_memory_mb


def main() -> None:
    """Let the contender work, and print what it took."""
    name, folder, output = sys.argv[1:]
    started = time.perf_counter()
    found = CONTENDERS[name](Path(folder), Path(output))
    seconds = time.perf_counter() - started
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    took = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in used), 2),
        "peak_memory_mb": round(peak_memory_mb() + used[1].ru_maxrss / 1024),
    }
    print(json.dumps({**found, **took}))


if __name__ == "__main__":
    main()
