"""What lies below the objects is found and taken off; objects stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cytolake.errors import UsageError
from cytolake.transforms.background import PARAMETERS, BackgroundSettings, background
from numpy.typing import NDArray


def scene(ground: NDArray[np.float64] | float = 300.0, seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Discs 400 grey values above a ground, with noise of photons; and where they are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :300]
    inside = np.zeros(y.shape, bool)
    for _ in range(25):
        inside |= np.hypot(y - rng.uniform(0, 256), x - rng.uniform(0, 300)) < 9
    return rng.poisson(ground + 400 * inside).astype(np.uint16), inside


@pytest.mark.parametrize(("method", "allowed"), [("mode", 8), ("rolling", 8)])
def test_the_ground_is_found(method: str, allowed: float) -> None:
    plane, _ = scene()
    found = background(plane, BackgroundSettings(method=method, radius_um=15.0), pixel_size_um=0.5)
    assert np.abs(np.mean(found) - 300) < allowed
    assert np.asarray(found).dtype == np.float32


def test_a_percentile_is_that_percentile() -> None:
    plane, _ = scene()
    found = background(plane, BackgroundSettings(method="percentile", percentile=20.0), pixel_size_um=None)
    assert found == pytest.approx(np.percentile(plane, 20))


def test_a_slanted_ground_is_followed_and_objects_are_not() -> None:
    slant = np.linspace(200, 500, 300)[np.newaxis] * np.ones((256, 1))
    plane, inside = scene(slant)
    found = background(plane, BackgroundSettings(method="rolling", radius_um=30.0), pixel_size_um=1.0)
    assert isinstance(found, np.ndarray)
    assert found.shape == plane.shape
    assert np.abs(found - slant).mean() < 15
    left = plane - found
    assert np.median(left[inside]) == pytest.approx(400, abs=25)
    assert np.median(left[~inside]) == pytest.approx(0, abs=15)


def test_the_radius_is_in_micrometres() -> None:
    plane, _ = scene()
    wide = background(plane, BackgroundSettings(method="rolling", radius_um=10.0), pixel_size_um=0.5)
    same = background(plane, BackgroundSettings(method="rolling", radius_um=20.0), pixel_size_um=None)
    np.testing.assert_array_equal(wide, same)


@pytest.mark.parametrize("method", ["percentile", "mode", "rolling"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_constant_image_has_nothing_left(method: str, dtype: Any) -> None:
    plane = np.full((64, 50), 130, dtype)
    found = background(plane, BackgroundSettings(method=method), pixel_size_um=0.5)
    np.testing.assert_allclose(plane - found, 0, atol=1e-3)


@pytest.mark.parametrize("method", ["percentile", "mode", "rolling"])
def test_pixels_that_are_no_number_do_not_count(method: str) -> None:
    plane = scene()[0].astype(np.float32)
    plane[100:110, 100:110] = np.nan
    found = background(plane, BackgroundSettings(method=method, radius_um=20.0), pixel_size_um=1.0)
    assert np.isfinite(found).all()
    nothing = np.full((32, 32), np.nan, np.float32)
    assert np.all(background(nothing, BackgroundSettings(method=method), pixel_size_um=1.0) == 0)


@pytest.mark.parametrize("method", ["percentile", "mode", "rolling"])
def test_exposure_and_offset_go_through(method: str) -> None:
    plane = scene()[0].astype(np.float32)
    settings = BackgroundSettings(method=method, radius_um=20.0)
    found, other = (background(p, settings, pixel_size_um=1.0) for p in (plane, 3 * plane + 50))
    np.testing.assert_allclose(other, 3 * np.asarray(found) + 50, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 3)])
@pytest.mark.parametrize("method", ["percentile", "mode", "rolling"])
def test_tiny_images(method: str, shape: tuple[int, int]) -> None:
    plane = np.full(shape, 9, np.uint16)
    assert np.allclose(background(plane, BackgroundSettings(method=method), pixel_size_um=0.5), 9)


def test_settings() -> None:
    assert BackgroundSettings().is_off
    assert background(np.ones((4, 4)), BackgroundSettings(), pixel_size_um=None) == 0
    assert {n: getattr(BackgroundSettings(), n) for n in PARAMETERS} == {n: p.default for n, p in PARAMETERS.items()}
    assert "radius_um" not in BackgroundSettings(method="mode").definition()["parameters"]
    with pytest.raises(UsageError, match="radius_um"):
        BackgroundSettings(method="rolling", radius_um=0.0)
