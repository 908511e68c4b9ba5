"""The size of nuclei from the image alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cytolake.transforms.segmentation.scale import blob_diameter, typical_diameter
from scipy import ndimage

Scene = tuple[np.ndarray, np.ndarray]


@pytest.mark.parametrize("zoom", [0.4, 1, 2.5])
def test_within_a_tenth_of_the_truth(grid: Scene, zoom: float) -> None:
    image = ndimage.zoom(grid[0].astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest")
    assert typical_diameter(image) == pytest.approx(24 * zoom, rel=0.1)
    assert blob_diameter(image) == pytest.approx(24 * zoom, rel=0.25)


def test_debris_does_not_count(draw: Callable[..., Scene]) -> None:
    rng = np.random.default_rng(1)
    debris = [(*rng.uniform(10, 290, 2), 3, 1500) for _ in range(60)]
    nuclei = [(y, x, 15, 2000) for y in range(40, 280, 70) for x in range(40, 280, 70)]
    assert typical_diameter(draw((300, 300), debris + nuclei)[0]) == pytest.approx(30, rel=0.15)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (64, 64)])
def test_without_anything_to_see_a_guess(shape: tuple[int, int]) -> None:
    assert typical_diameter(np.full(shape, 9, np.uint16)) == 20.0
