"""Real nuclei with outlines drawn by people: fluorescence images of the 2018 Data Science Bowl (BBBC038, CC0)."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.io import imread


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueField:
    """One image (y, x) and the label image of its nuclei."""

    name: str
    image: NDArray[Any]
    nuclei: NDArray[np.int32]

    def diameter(self) -> float:
        """Diameter in pixels that half of the nuclear area is at or above: what a pixel size would have told."""
        areas = np.sort(np.bincount(self.nuclei.ravel())[1:])
        covered = np.cumsum(areas)
        return float(np.sqrt(areas[np.searchsorted(covered, covered[-1] / 2)] * 4 / np.pi))


def data_folder() -> Path:
    """Folder of real data: ``$CYTOLAKE_TEST_DATA``, or ``../shared/data`` beside the checkout."""
    named = os.environ.get("CYTOLAKE_TEST_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"


def data_science_bowl() -> list[TrueField]:
    """All fields of the data set, in the order of its index."""
    folder = data_folder() / "images" / "dsb2018"
    if not folder.is_dir():
        raise SystemExit(f"no data at {folder}; set CYTOLAKE_TEST_DATA to the folder of real data")
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as file:
        names = [row["short"] for row in csv.DictReader(file, delimiter="\t")]
    return [
        TrueField(
            name=name,
            image=imread(folder / "images" / f"{name}.png"),
            nuclei=imread(folder / "labels" / f"{name}.png").astype(np.int32),
        )
        for name in names
    ]
