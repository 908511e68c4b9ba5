"""Nuclei: what the method promises, each on a scene in which a plainer one fails; and on real images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cytolake.transforms.segmentation.accuracy import score
from cytolake.transforms.segmentation.local_threshold import segment_nuclei
from cytolake.transforms.segmentation.otsu import segment_otsu
from scipy import ndimage

Scene = tuple[np.ndarray, np.ndarray]
#: Half a micrometre a pixel: a nucleus of 12 µm is 24 pixels across.
PIXEL = 0.5


def f1(true: np.ndarray, found: np.ndarray, threshold: float = 0.7) -> float:
    return score(true, found, [threshold])[0].f1


def test_separate_nuclei_are_found_whole(grid: Scene) -> None:
    image, true = grid
    found = segment_nuclei(image, pixel_size_um=PIXEL)
    assert f1(true, found, 0.8) == 1.0
    assert found.dtype == np.int32
    assert set(np.unique(found)) == set(range(26))


def test_dim_nuclei_beside_bright_ones(draw: Callable[..., Scene]) -> None:
    discs = [(y, x, 12, 6000 if (y + x) // 40 % 2 else 1500) for y in range(30, 230, 40) for x in range(30, 230, 40)]
    image, true = draw((250, 250), discs)
    assert f1(true, segment_nuclei(image, pixel_size_um=PIXEL)) == 1.0
    assert f1(true, segment_otsu(image, pixel_size_um=PIXEL)) < 0.8


def test_uneven_light(draw: Callable[..., Scene]) -> None:
    y, x = np.indices((300, 300))
    ground = 400 + 3000 * np.exp(-((y - 60) ** 2 + (x - 60) ** 2) / (2 * 120**2))
    discs = [(y, x, 12, 1500) for y in range(30, 280, 48) for x in range(30, 280, 48)]
    image, true = draw((300, 300), discs, ground=ground)
    assert f1(true, segment_nuclei(image, pixel_size_um=PIXEL)) == 1.0
    assert f1(true, segment_otsu(image, pixel_size_um=PIXEL)) < 0.8


def test_touching_nuclei_are_split(draw: Callable[..., Scene]) -> None:
    image, true = draw((120, 160), [(60, 40, 12, 2000), (60, 63, 12, 1800), (82, 52, 12, 2200), (50, 120, 12, 2000)])
    found = segment_nuclei(image, pixel_size_um=PIXEL)
    assert found.max() == 4
    assert f1(true, found) == 1.0


@pytest.mark.parametrize("zoom", [0.5, 2, 4])
def test_magnification_changes_nothing(grid: Scene, zoom: float) -> None:
    image, true = grid
    scaled = ndimage.zoom(image.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest")
    scaled_true = ndimage.zoom(true, zoom, order=0, grid_mode=True, mode="nearest")
    assert f1(scaled_true, segment_nuclei(scaled, pixel_size_um=PIXEL / zoom)) == 1.0


@pytest.mark.parametrize("factor", [0.75, 1.3])
def test_the_diameter_need_not_be_exact(grid: Scene, factor: float) -> None:
    image, true = grid
    assert f1(true, segment_nuclei(image, pixel_size_um=PIXEL, diameter_um=12 * factor)) == 1.0


@pytest.mark.parametrize("gain", [0.2, 5.0])
def test_gain_and_offset_of_the_camera_change_little(grid: Scene, gain: float) -> None:
    image, true = grid
    assert f1(true, segment_nuclei(image * gain + 200, pixel_size_um=PIXEL)) == 1.0


def test_edge_level_moves_the_outline(grid: Scene) -> None:
    image, _ = grid
    blurred = ndimage.gaussian_filter(image.astype(np.float32), 3)
    areas = [(segment_nuclei(blurred, pixel_size_um=PIXEL, edge_level=level) > 0).sum() for level in (0.3, 0.5, 0.7)]
    assert areas[0] > areas[1] > areas[2]


@pytest.mark.parametrize("diameter", [8, 24, 48])
@pytest.mark.parametrize(
    "field",
    [
        lambda rng, shape: rng.poisson(300, shape),
        lambda rng, shape: rng.poisson(3, shape),
        lambda rng, shape: 500 + rng.normal(0, 15, shape),
        lambda rng, shape: rng.poisson(2000 * (1 - 0.4 * (np.hypot(*np.indices(shape) - 200) / 280) ** 2)),
        lambda rng, shape: rng.poisson(500 + np.linspace(0, 300, shape[1]) * np.ones(shape)),
    ],
    ids=["photons", "few photons", "camera", "vignette", "slope"],
)
def test_an_empty_field_has_no_nuclei(field: Callable[..., np.ndarray], diameter: int) -> None:
    image = field(np.random.default_rng(3), (400, 400)).astype(np.uint16)
    assert segment_nuclei(image, pixel_size_um=12 / diameter).max() == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((50, 60), np.uint16),
        np.full((50, 60), 65535, np.uint16),
        np.ones((1, 1), np.uint8),
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.arange(200, dtype=np.uint16).reshape(1, 200),
    ],
    ids=["black", "white", "one pixel", "twelve pixels", "one row"],
)
def test_fields_with_nothing_to_find(image: np.ndarray) -> None:
    found = segment_nuclei(image, pixel_size_um=0.3)
    assert found.shape == image.shape
    assert found.max() == 0
    assert not segment_otsu(np.zeros_like(image), pixel_size_um=0.3).any()


def test_the_image_is_left_alone_and_the_result_is_the_same_again(grid: Scene) -> None:
    image, _ = grid
    before = image.copy()
    image.setflags(write=False)
    first = segment_nuclei(image, pixel_size_um=PIXEL)
    assert np.array_equal(first, segment_nuclei(image, pixel_size_um=PIXEL))
    assert np.array_equal(image, before)
