"""Read and plan one export in a process of its own, and say what that took: ``python -m benchmarks.ingest.index DIR``.

Planning is what ``ingest`` does before it reads a pixel: recognise the export, parse its index, look up every file,
fingerprint it, compare it with the lake, and group the planes by field.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import peak_memory_mb


def main() -> None:
    started, cpu = time.perf_counter(), time.process_time()
    from cytolake import init_lake
    from cytolake.ingest import rows
    from cytolake.ingest.plan import make_plan
    from cytolake.ingest.readers import read_export

    with tempfile.TemporaryDirectory() as folder:
        lake = init_lake(Path(folder) / "lake")
        (export,) = read_export(sys.argv[1])
        plan = make_plan(lake.root, export, study_id="bench", plate_id=None, existing="error")
        fields = rows.planes_by_field(plan.export)
    print(
        json.dumps(
            {
                "planes": export.planes.num_rows,
                "fields": len(fields),
                "wall_s": round(time.perf_counter() - started, 2),
                "cpu_s": round(time.process_time() - cpu, 2),
                "peak_memory_mb": peak_memory_mb(),
            }
        )
    )


if __name__ == "__main__":
    main()
