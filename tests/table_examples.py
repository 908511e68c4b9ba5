"""Tables as CellProfiler and pycytominer write them, made up with a known content, and a lake to import them into."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytolake.ingest.tables.run import import_tables
from cytolake.store.registry import feature_tables, profile_tables
from cytolake.store.root import LakeRoot

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Bring:
    """Imports into one lake and reads back."""

    root: LakeRoot

    def __call__(self, *files: Path, study: str = "s", **options: Any) -> dict[str, Any]:
        """Import files."""
        return import_tables(self.root, list(files), study_id=study, **options)

    def rows(self, part: str, *, name: str | None = None) -> list[dict[str, Any]]:
        """Read the table of an object set or a level."""
        tables = {**feature_tables(self.root), **profile_tables(self.root)}
        (table,) = (t for t, (one, its) in tables.items() if its == part and name in (None, one.name))
        return self.root.tables.read(table).to_pylist()

    def table(self, name: str, **where: Any) -> list[dict[str, Any]]:
        """Read one of the lake's tables."""
        return self.root.tables.read(name, where=where).to_pylist(maps_as_pydicts="strict")


def write_csv(path: Path, rows: Rows, *, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    """Write rows; the columns are those of the first one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


IMAGES = [
    {
        "ImageNumber": number,
        "Metadata_Plate": "P1",
        "Metadata_Well": well,
        "Metadata_Site": site,
        "Metadata_gene": gene,
        "Count_Cells": 2,
        "FileName_DNA": f"r01c01f{site:02d}.tiff",
        "ExecutionTime_01Images": 0.5,
    }
    for number, (well, site, gene) in enumerate(
        [("A1", 1, "ECT2"), ("A1", 2, "ECT2"), ("B02", 1, "mock"), ("B02", 2, "mock")], 1
    )
]


def objects(**more: Any) -> list[dict[str, Any]]:
    """Two objects in each image; areas are 10 · image + number."""
    return [
        {
            "ImageNumber": image["ImageNumber"],
            "ObjectNumber": number,
            "AreaShape_Area": 10 * image["ImageNumber"] + number,
            "Intensity_MeanIntensity_DNA": image["ImageNumber"] / 8,
            "Parent_Nuclei": number,
            **more,
        }
        for image in IMAGES
        for number in (1, 2)
    ]
