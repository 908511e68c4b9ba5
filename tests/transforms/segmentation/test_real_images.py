"""Nuclei of real images against outlines drawn by people; the full report is the segmentation benchmark."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cytolake.transforms.segmentation.accuracy import Score, pool, score
from cytolake.transforms.segmentation.component_trees import segment_component_trees
from cytolake.transforms.segmentation.local_threshold import segment_nuclei
from cytolake.transforms.segmentation.otsu import segment_otsu
from cytolake.transforms.segmentation.scale import typical_diameter
from scipy import ndimage
from skimage.io import imread


def read(shared_data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    folder = shared_data / "images" / "dsb2018"
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as file:
        names = [f"{row['short']}.png" for row in csv.DictReader(file, delimiter="\t")]
    return [(imread(folder / "images" / name), imread(folder / "labels" / name)) for name in names]


@pytest.mark.slow
def test_nuclei_without_a_pixel_size_and_against_otsu(shared_data: Path) -> None:
    fields = read(shared_data)[::2]  # every other one: the benchmark takes all
    sizes = [12.0 / typical_diameter(image) for image, _ in fields]

    def pooled(segment: Callable[..., np.ndarray]) -> Score:
        return pool(
            score(true, segment(image, pixel_size_um=size), [0.5])
            for (image, true), size in zip(fields, sizes, strict=True)
        )[0]

    ours, otsu = pooled(segment_nuclei).f1, pooled(segment_otsu).f1
    assert len(fields) == 19
    assert ours >= 0.65
    assert ours - otsu >= 0.05


@pytest.mark.parametrize("segment", [segment_component_trees, segment_nuclei])
def test_nuclei_of_another_laboratory(shared_data: Path, segment: Callable[..., np.ndarray]) -> None:
    """Cell Painting fields of other microscopes, on which nothing was tuned; CellProfiler's masks drop the border."""
    folder = shared_data / "images" / "cellpainting-nf1"
    recalls = []
    for path in sorted((folder / "Plate_2_images").glob("*_DAPI_001.tif"))[:2]:
        mask = imread(folder / "Plate_2_masks" / f"{path.stem}_MaskNuclei.tiff")
        true = ndimage.label(mask > 0)[0]
        image = imread(path)
        (one,) = score(true, segment(image, pixel_size_um=12 / typical_diameter(image)), [0.7])
        recalls.append(one.recall)
    assert len(recalls) == 2
    assert min(recalls) > 0.85


@pytest.mark.slow
def test_component_trees_without_a_pixel_size(shared_data: Path) -> None:
    """The method of the shipped recipes; all images are in the benchmark, two of three are here."""
    fields = [field for k, field in enumerate(read(shared_data)) if k % 3]

    def labels(image: np.ndarray) -> np.ndarray:
        return segment_component_trees(image, pixel_size_um=12 / typical_diameter(image))

    at = pool(score(true, labels(image), [0.5, 0.7, 0.9]) for image, true in fields)
    assert len(fields) == 25
    assert all(one.f1 >= least for one, least in zip(at, (0.83, 0.68, 0.24), strict=True))
