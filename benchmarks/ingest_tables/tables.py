"""A set of tables as CellProfiler writes them, of any size: random numbers under the names of real features."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks.exports import SCRATCH
from benchmarks.ingest_tables.contenders import SETS

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
SITES, CELLS = 9, 120
_BYTES_PER_VALUE = 18.5  # of a float64 as text, with its comma


def feature_names() -> list[str]:
    """Return names of features of one object set, about 500."""
    shapes = ["AreaShape_Area", "AreaShape_Perimeter", "AreaShape_Eccentricity", "AreaShape_Solidity"]
    shapes += [f"AreaShape_Zernike_{n}_{m}" for n in range(10) for m in range(n % 2, n + 1, 2)]
    of_channels = [
        *(f"Intensity_{what}_{{}}" for what in ("MeanIntensity", "StdIntensity", "MaxIntensity", "MinIntensity")),
        *(f"Granularity_{step}_{{}}" for step in range(1, 17)),
        *(f"RadialDistribution_{what}_{{}}_{ring}of4" for what in ("FracAtD", "MeanFrac") for ring in range(1, 5)),
        *(
            f"Texture_{what}_{{}}_{scale}_{way:02d}_256"
            for what in ("Contrast", "Entropy", "Correlation", "Variance", "SumAverage")
            for scale in (3, 5, 10)
            for way in range(4)
        ),
    ]
    pairs = [f"Correlation_Correlation_{one}_{other}" for one, other in itertools.combinations(CHANNELS, 2)]
    return [*shapes, *(name.format(channel) for name in of_channels for channel in CHANNELS), *pairs]


def cellprofiler_set(gigabytes: float) -> Path:
    """Give a folder of Image.csv, Cells.csv, Cytoplasm.csv and Nuclei.csv of that size in all, made if need be."""
    folder = SCRATCH / f"cellprofiler-{gigabytes:g}GB"
    if folder.is_dir():
        return folder
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    names = feature_names()
    rows = gigabytes * 1e9 / (_BYTES_PER_VALUE * len(names) * len(SETS))
    images = max(1, round(rows / CELLS))
    _write(making / "Image.csv", _images(images))
    for index, objects in enumerate(SETS):
        _objects(making / f"{objects}.csv", images, names, np.random.default_rng(index))
    making.rename(folder)
    return folder


def _images(count: int) -> pa.Table:
    number = np.arange(count)
    plate, rest = np.divmod(number, 384 * SITES)
    well, site = np.divmod(rest, SITES)
    return pa.table(
        {
            "ImageNumber": number + 1,
            "Metadata_Plate": [f"BR{one:08d}" for one in plate],
            "Metadata_Well": [f"{chr(65 + one // 24)}{one % 24 + 1:02d}" for one in well],
            "Metadata_Site": site + 1,
            "Count_Cells": np.full(count, CELLS),
        }
    )


def _objects(path: Path, images: int, names: list[str], random: np.random.Generator) -> None:
    writer: Any = None
    at_once = max(1, 16_000_000 // (8 * len(names) * CELLS))
    with path.open("wb") as file:
        for start in range(0, images, at_once):
            these = np.arange(start, min(start + at_once, images)) + 1
            rows = len(these) * CELLS
            columns: dict[str, Any] = {
                "ImageNumber": np.repeat(these, CELLS),
                "ObjectNumber": np.tile(np.arange(CELLS) + 1, len(these)),
                **dict(zip(names, random.lognormal(0.0, 2.0, (len(names), rows)), strict=True)),
                "Number_Object_Number": np.tile(np.arange(CELLS) + 1, len(these)),
            }
            table = pa.table(columns)
            if writer is None:
                writer = csv.CSVWriter(file, table.schema)
            writer.write_table(table)
        writer.close()


def _write(path: Path, table: pa.Table) -> None:
    csv.write_csv(table, path)
