"""One contender in a process of its own: from cells to selected profiles of wells, in a file or a table.

    python -m benchmarks.profiles.contenders NAME FOLDER OUT

Only the library that is measured is loaded. It prints its peak memory; processor time is what its parent counts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

OPERATIONS = ["drop_na_columns", "blocklist", "variance_threshold", "drop_outliers", "correlation_threshold"]
CONTROL = "negative_vehicle"
RECIPE = f"""
name = "bench"

[aggregate]
method = "median"
counts = false

[controls]
where = {{ control_type = ["{CONTROL}"] }}

[[steps]]
operator = "robust_z"
fit = "plate"
on = "controls"
compat = "pycytominer"

[[steps]]
operator = "select"
fit = "study"
on = "all"
operations = {OPERATIONS!r}
compat = "pycytominer"
"""


def cytolake(folder: Path, out: Path) -> None:
    """Profile the study of a lake, ``out``; profiles, fitted parameters, controls and lineage are committed to it."""
    from cytolake import open_lake

    report = open_lake(out).profile(study="bench", recipe=folder / "bench.toml")
    if report["status"] != "ok":
        raise RuntimeError(str(report))


def pycytominer(folder: Path, out: Path) -> None:
    """Read all plates into one table, as the examples do; normalize plate by plate."""
    import pandas as pd
    from pycytominer import aggregate

    cells = pd.concat([pd.read_parquet(file) for file in _plates(folder)], ignore_index=True)
    wells = aggregate(cells, strata=["Metadata_Plate", "Metadata_Well"], features=_features(cells), operation="median")
    del cells
    _rest(folder, out, wells)


def pycytominer_by_plate(folder: Path, out: Path) -> None:
    """Do the same with one plate of cells in memory at a time."""
    import pandas as pd
    from pycytominer import aggregate

    parts = []
    for file in _plates(folder):
        cells = pd.read_parquet(file)
        strata = ["Metadata_Plate", "Metadata_Well"]
        parts.append(aggregate(cells, strata=strata, features=_features(cells), operation="median"))
        del cells
    _rest(folder, out, pd.concat(parts, ignore_index=True))


def _rest(folder: Path, out: Path, wells) -> None:  # a DataFrame
    import pandas as pd
    from pycytominer import feature_select, normalize

    features = _features(wells)
    known = pd.read_parquet(folder / "wells.parquet")[["plate_id", "well_id", "control_type"]]
    known.columns = ["Metadata_Plate", "Metadata_Well", "Metadata_control"]
    wells = wells.merge(known, on=["Metadata_Plate", "Metadata_Well"])
    normalized = [
        normalize(
            plate,
            features=features,
            meta_features=["Metadata_Plate", "Metadata_Well", "Metadata_control"],
            samples=f"Metadata_control == '{CONTROL}'",
            method="mad_robustize",
        )
        for _, plate in wells.groupby("Metadata_Plate")
    ]
    feature_select(
        pd.concat(normalized, ignore_index=True),
        features=features,
        operation=OPERATIONS,
        output_file=out,
        output_type="parquet",
    )


def _plates(folder: Path) -> list[Path]:
    return sorted(folder.glob("P*.parquet"))


def _features(table) -> list[str]:
    return [name for name in table.columns if not name.startswith("Metadata_")]


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {
    "cytolake": cytolake,
    "pycytominer": pycytominer,
    "pycytominer, plate by plate": pycytominer_by_plate,
}

if __name__ == "__main__":
    CONTENDERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    from benchmarks.measuring import peak_memory_mb

    print(peak_memory_mb())
