"""A lake, and a folder of CellProfiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cytolake.store.root import LakeRoot, init_root
from table_examples import IMAGES, Bring, Rows, objects, write_csv


@pytest.fixture
def root(tmp_path: Path) -> LakeRoot:
    """An empty lake."""
    return init_root(tmp_path / "lake")


@pytest.fixture
def bring(root: LakeRoot) -> Bring:
    """Import into the lake of :func:`root`."""
    return Bring(root)


@pytest.fixture
def cellprofiler(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder as ExportToSpreadsheet does: Image.csv, Cells.csv and Nuclei.csv."""

    def write(name: str = "run", *, images: Rows = IMAGES, **tables: Rows) -> Path:
        folder = tmp_path / name
        write_csv(folder / "Image.csv", images)
        for objects_name, rows in (tables or {"Cells": objects()}).items():
            write_csv(folder / f"{objects_name}.csv", rows)
        return folder

    return write
