"""Who brings CellProfiler's CSV into columns: cytolake, pandas in one piece and in pieces, CytoTable.

Each leaves one Parquet file (or lake) with the features of all objects and the plate, well and site of each; the peers
write what they write by default. What is asked of each is the number of rows, and the mean of one column as a check.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

SETS = ("Cells", "Cytoplasm", "Nuclei")
CHECKED = "AreaShape_Area"
_PIECE = 20_000  # rows


def cytolake(folder: Path, output: Path) -> dict[str, Any]:
    """Import it into an empty lake."""
    from cytolake import init_lake

    lake = init_lake(output)
    report = lake.import_tables(folder, study="bench")
    if report["status"] != "ok":
        raise RuntimeError(str(report))
    mean = lake.sql("SELECT avg(Cells_AreaShape_Area) AS mean FROM cells").to_arrow()["mean"][0].as_py()
    return {"rows": sum(n for name, n in report["tables"].items() if name.startswith("features/")), "mean": mean}


def pandas_whole(folder: Path, output: Path) -> dict[str, Any]:
    """Read each table in one piece, join it with the images, write it as 32-bit floats."""
    import pandas as pd

    output.mkdir()
    images = pd.read_csv(folder / "Image.csv")
    rows, mean = 0, 0.0
    for name in SETS:
        table = pd.read_csv(folder / f"{name}.csv").merge(images, on="ImageNumber")
        if name == "Cells":
            mean = table[CHECKED].mean()
        floats = table.columns[table.dtypes == "float64"]
        table.astype(dict.fromkeys(floats, "float32")).to_parquet(output / f"{name}.parquet", compression="zstd")
        rows += len(table)
    return {"rows": rows, "mean": mean}


def pandas_pieces(folder: Path, output: Path) -> dict[str, Any]:
    """Do the same piece by piece, as somebody would who lacks the memory."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    output.mkdir()
    images = pd.read_csv(folder / "Image.csv")
    rows, total = 0, 0.0
    for name in SETS:
        writer = None
        count = 0
        for piece in pd.read_csv(folder / f"{name}.csv", chunksize=_PIECE):
            table = piece.merge(images, on="ImageNumber")
            total += table[CHECKED].sum() if name == "Cells" else 0.0
            floats = table.columns[table.dtypes == "float64"]
            arrow = pa.Table.from_pandas(table.astype(dict.fromkeys(floats, "float32")), preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(output / f"{name}.parquet", arrow.schema, compression="zstd")
            writer.write_table(arrow)
            count += len(table)
        if writer is not None:
            writer.close()
        rows += count
    return {"rows": rows, "mean": total / count}


def cytotable(folder: Path, output: Path) -> dict[str, Any]:
    """Let CytoTable convert and concatenate it, without the join of a cell with its nucleus.

    It has DuckDB download an extension for SQLite whatever it reads; CSV needs none, so its connection is made as it
    makes it, without that.
    """
    import duckdb
    import pyarrow.parquet as pq
    from cytotable import convert, utils
    from cytotable.constants import MAX_THREADS
    from parsl.config import Config
    from parsl.executors import ThreadPoolExecutor

    settings = f"PRAGMA threads={MAX_THREADS}; PRAGMA preserve_insertion_order=FALSE;"
    utils._duckdb_reader = lambda: duckdb.connect().execute(settings)
    convert(
        source_path=str(folder),
        dest_path=str(output),
        dest_datatype="parquet",
        source_datatype="csv",
        preset="cellprofiler_csv",
        join=False,
        parsl_config=Config(executors=[ThreadPoolExecutor(max_threads=2)], run_dir=str(output.with_name("runinfo"))),
    )
    files = [path for path in output.rglob("*.parquet") if "image" not in path.name.lower()]
    rows = {path: pq.read_metadata(path).num_rows for path in files}
    cells = [path for path in files if "cells" in str(path.relative_to(output)).lower()]
    column = next(one for one in pq.read_schema(cells[0]).names if one.endswith(CHECKED))
    areas = [pq.read_table(path, columns=[column])[column].to_pandas() for path in cells]
    mean = sum(one.sum() for one in areas) / sum(len(one) for one in areas)
    return {"rows": sum(rows.values()), "mean": mean}


CONTENDERS = {
    "cytolake": cytolake,
    "pandas": pandas_whole,
    "pandas, in pieces": pandas_pieces,
    "CytoTable": cytotable,
}


def remove(output: Path) -> None:
    """Remove what a contender wrote."""
    shutil.rmtree(output, ignore_errors=True)
    output.unlink(missing_ok=True)
