"""Label images with what trips features: gaps, specks, lines, holes, objects touching, cut by the border, scattered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class Scene:
    """A label image (y, x) and an image (c, y, x) of it, with the roles of its channels."""

    labels: NDArray[np.int32]
    image: NDArray[Any]
    roles: tuple[str, ...]


def random_labels(seed: int, gap: int, size: tuple[int, int] = (150, 170)) -> NDArray[np.int32]:
    """Blobs that touch each other and the border, some with holes, then specks, lines, rings and scattered labels."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(size, np.int32)
    places = rng.integers(0, size, (40, 2))
    seeds[tuple(places.T)] = np.arange(1, 41)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    labels = seeds[tuple(nearest)]
    labels[ndimage.gaussian_filter(rng.normal(size=size), 4) > 0.02] = 0
    labels[rng.random(size) < 0.01] = 0
    labels[10:60, 100:160] = 0
    labels[12, 102] = 41  # one pixel
    labels[12, 105:112] = 42  # lines: across, down, diagonal both ways
    labels[15:22, 102] = 43
    for i in range(8):
        labels[24 + i, 102 + i] = 44
        labels[24 + i, 120 - i] = 45
    labels[35:46, 102:113] = 46  # a ring
    labels[38:43, 105:110] = 0
    labels[40, 107] = 47  # one pixel inside the ring
    labels[15, 125] = labels[20, 150] = labels[33, 130] = 48  # one label, three far pixels
    labels[48:52, 102:106] = 49  # squares: without a direction
    labels[48:53, 106:111] = 50
    labels[30:50, 135:155] = np.where(rng.random((20, 20)) < 0.4, rng.integers(51, 54, (20, 20)), 0)
    labels[0, 0] = 54  # one pixel in the corner
    return labels * gap


@pytest.fixture(params=[(0, 1, np.uint16), (1, 2, np.uint8), (2, 5, np.float32)], ids=["gap1", "gap2", "gap5"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Label gaps 1, 2 and 5, each with another pixel type; three channels, one of them constant."""
    seed, gap, dtype = request.param
    labels = random_labels(seed, gap)
    rng = np.random.default_rng(seed + 100)
    image = rng.gamma(2.0, 30.0, (3, *labels.shape))
    if dtype is np.uint8:
        image = image.clip(0, 255)
    elif dtype is np.uint16:
        image *= 150
    else:
        image = (image - 50) / 100  # negative values too
    image = image.astype(dtype)
    image[2] = 7
    return Scene(labels, image, ("DNA", "ER", "Mito"))
