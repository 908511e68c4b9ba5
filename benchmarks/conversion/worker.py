"""One contender in a process of its own: converts once for each line that it is sent, and says what that took.

Run as ``python -m benchmarks.conversion.worker CONTENDER EXPORT TARGET``, the lines on its standard input.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import time
from pathlib import Path

from benchmarks.conversion.contenders import contender, make_target
from benchmarks.measuring import peak_memory_mb


def main() -> None:
    name, export, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    convert = contender(name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for n, _ in enumerate(sys.stdin):
        # A new place each time: ext4 searches long for inodes where many were removed a moment ago.
        place = target / str(n)
        make_target(name, place)
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        convert(export, place)
        facts = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        written = [file.stat().st_size for file in place.rglob("*") if file.is_file()]
        facts |= {"files": len(written), "bytes": sum(written), "peak_memory_mb": peak_memory_mb()}
        print(json.dumps(facts), flush=True)
    shutil.rmtree(target, ignore_errors=True)


if __name__ == "__main__":
    main()
