"""How long a new process takes to its first field, with kernels compiled before and kept on disk.

    python -m benchmarks.features.cold_start FIELD.npz

measures one field twice and prints the CPU seconds from the start of the process to the end of the first, and of the
second; :func:`cold_start` runs that in processes of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def cold_start(path_of_field: Path, rounds: int) -> dict[str, float]:
    """Give the medians over some new processes; one more before them fills the disk's cache."""
    found = []
    for _ in range(rounds + 1):
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(path_of_field)], stdout=subprocess.PIPE, text=True, check=True
        )
        found.append(json.loads(done.stdout))
    return {key: round(statistics.median(one[key] for one in found[1:]), 3) for key in found[0]}


def saved(image: np.ndarray, roles: tuple[str, ...], labels: dict[str, np.ndarray], folder: str) -> Path:
    """Write a field for the new process to read."""
    path = Path(folder) / "field.npz"
    np.savez(path, image=image, roles=np.array(roles), **labels)
    return path


def main(path: str) -> None:
    """Measure the field with every family's default settings and print what it took."""
    from cytolake.transforms.features.families import FAMILIES, columns_of, compute
    from cytolake.transforms.features.label_index import label_index

    imported = time.process_time()
    file = np.load(path)
    image, roles = file["image"], tuple(file["roles"].tolist())
    seconds = []
    for _ in range(2):
        before = time.process_time()
        for name in set(file.files) - {"image", "roles"}:
            compute(tuple(FAMILIES), name, label_index(file[name]), image, roles)
        seconds.append(time.process_time() - before)
    facts = {
        "columns_per_set": len(columns_of(tuple(FAMILIES), "nuclei", roles)),
        "import_s": imported,
        "first_field_s": seconds[0],
        "second_field_s": seconds[1],
        "start_to_first_field_s": imported + seconds[0],
    }
    print(json.dumps(facts))


def measured(image: np.ndarray, roles: tuple[str, ...], labels: dict[str, np.ndarray], rounds: int) -> dict[str, float]:
    """Measure the cold start on a field in memory."""
    with tempfile.TemporaryDirectory() as folder:
        return cold_start(saved(image, roles, labels, folder), rounds)


if __name__ == "__main__":
    main(sys.argv[1])
