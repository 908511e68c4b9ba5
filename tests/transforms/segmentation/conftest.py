"""Small scenes with known truth: discs of nuclei on a ground, blurred and noisy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import ndimage

Scene = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def draw() -> Callable[..., Scene]:
    """``draw(shape, [(y, x, radius, brightness), …])`` gives an image (uint16) and the true labels (int32)."""

    def draw(
        shape: tuple[int, int],
        discs: Sequence[tuple[float, float, float, float]],
        *,
        ground: float | np.ndarray = 300.0,
        blur: float = 1.2,
        seed: int = 0,
    ) -> Scene:
        rng = np.random.default_rng(seed)
        light = np.zeros(shape)
        labels = np.zeros(shape, np.int32)
        y, x = np.indices(shape)
        for number, (cy, cx, radius, brightness) in enumerate(discs, 1):
            disc = np.hypot(y - cy, x - cx) <= radius
            light[disc] = brightness
            labels[disc] = number
        exact = ndimage.gaussian_filter(light, blur) + ground
        return rng.poisson(exact).astype(np.uint16), labels

    return draw


@pytest.fixture
def grid(draw: Callable[..., Scene]) -> Scene:
    """Twenty-five separate nuclei of 24 pixels across, 256 × 256."""
    rng = np.random.default_rng(2)
    places = [(y, x) for y in range(28, 256, 50) for x in range(28, 256, 50)]
    return draw((256, 256), [(y, x, rng.uniform(11, 13), rng.uniform(800, 3000)) for y, x in places])
