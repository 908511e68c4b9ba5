"""Nuclei in stacks: drawn ones, noise, and a real stack with outlines drawn by people."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import UsageError
from cytolake.transforms.segmentation.accuracy import score
from cytolake.transforms.segmentation.volume import depths, segment_volume
from scipy import ndimage
from tifffile import imread


def drawn(seed, shape, spacing, diameter, *, wanted, brightness=400.0, apart=1.25):
    """Ellipsoids of many brightnesses on a ground of 100 with the noise of light and camera."""
    rng = np.random.default_rng(seed)
    places = np.stack(
        np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, spacing, strict=True)), indexing="ij")
    )
    labels, light = np.zeros(shape, np.int32), np.full(shape, 100.0)
    centres: list[np.ndarray] = []
    for _ in range(2000):
        centre = rng.uniform(0, 1, 3) * shape * spacing
        if all(np.linalg.norm(centre - other) >= apart * diameter for other in centres):
            centres.append(centre)
            half_axes = diameter / 2 * rng.uniform(0.8, 1.2, 3)
            inside = (((places - centre[:, None, None, None]) / half_axes[:, None, None, None]) ** 2).sum(axis=0) < 1
            labels[inside] = len(centres)
            light[inside] += brightness * rng.uniform(0.5, 1.5)
        if len(centres) == wanted:
            break
    blurred = ndimage.gaussian_filter(light, 0.05 * diameter / np.array(spacing))
    return rng.poisson(blurred + rng.normal(0, 10, shape).clip(-90)).astype(np.uint16), labels


@pytest.mark.parametrize(
    ("spacing", "diameter", "shape", "least"),
    [
        ((1.0, 1.0, 1.0), 14, (30, 70, 70), 0.9),
        ((3.0, 1.0, 1.0), 18, (14, 110, 110), 0.9),
        ((1.2, 0.3, 0.3), 12, (16, 160, 170), 0.9),
    ],
)
def test_drawn_nuclei(spacing, diameter, shape, least):
    image, true = drawn(3, shape, np.array(spacing), diameter, wanted=20)
    found = segment_volume(image, spacing_um=spacing, diameter_um=diameter)
    assert found.dtype == np.int32
    assert found.shape == shape
    assert np.unique(found).tolist() == list(range(found.max() + 1))
    (at_half,) = score(true, found, [0.5])
    assert at_half.f1 >= least


def test_nuclei_that_touch():
    spacing = np.array([2.0, 1.0, 1.0])
    image, true = drawn(4, (16, 80, 80), spacing, 16, wanted=30, apart=0.85)
    (at_half,) = score(true, segment_volume(image, spacing_um=(2, 1, 1), diameter_um=16), [0.5])
    assert at_half.f1 >= 0.85


def test_brightness_and_the_kind_of_pixels_do_not_matter():
    image, _ = drawn(5, (12, 60, 60), np.array([2.0, 1.0, 1.0]), 14, wanted=8)
    found = segment_volume(image, spacing_um=(2, 1, 1), diameter_um=14)
    assert found.max() > 0
    brighter = segment_volume(image.astype(np.float32) * 4, spacing_um=(2, 1, 1), diameter_um=14)
    assert (brighter != found).mean() < 1e-3
    np.testing.assert_array_equal(segment_volume(image, spacing_um=(1, 0.5, 0.5), diameter_um=7), found)


@pytest.mark.parametrize("blur", [0.4, 1, 2])
def test_depths_part_by_part_are_those_of_the_whole(blur):
    rng = np.random.default_rng(2)
    inside = ndimage.gaussian_filter(rng.normal(size=(9, 40, 50)), blur) > 0
    spacing = np.array([2.5, 1.0, 0.8])
    whole = ndimage.distance_transform_edt(inside, sampling=spacing)
    np.testing.assert_array_equal(depths(inside, spacing), whole.astype(np.float32))


@pytest.mark.parametrize("blur", [0, 1])
def test_noise_has_no_nuclei(blur):
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(1000, 100, (16, 80, 80)), (0, blur, blur))
    assert segment_volume(image, spacing_um=(2, 1, 1), diameter_um=12).max() == 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 40), (6, 9, 7)])
def test_nothing_in_a_stack_of_one_grey(shape):
    for image in (np.zeros(shape, np.uint8), np.full(shape, 900, np.uint16)):
        found = segment_volume(image, spacing_um=(1, 0.5, 0.5))
        assert found.shape == shape
        assert found.max() == 0


def test_what_is_no_stack():
    for image, spacing, diameter in (
        (np.zeros((4, 4)), (1, 1, 1), 12),
        (np.zeros((4, 4, 4)), (1, 0, 1), 12),
        (np.zeros((4, 4, 4)), (1, 1, 1), -1),
    ):
        with pytest.raises(UsageError, match="cannot be segmented"):
            segment_volume(image, spacing_um=spacing, diameter_um=diameter)


def test_a_real_stack(shared_data):
    folder = shared_data / "images" / "stardist-sample"
    image, true = imread(folder / "img3d.tif"), imread(folder / "mask3d.tif").astype(np.int32)
    for diameter in (11, 12, 13, 14):
        at_half, at_seven = score(true, segment_volume(image, spacing_um=(2, 1, 1), diameter_um=diameter), [0.5, 0.7])
        assert at_half.f1 >= 0.8
        assert at_seven.f1 >= 0.25
