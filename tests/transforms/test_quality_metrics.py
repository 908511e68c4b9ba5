"""Focus, texture, thresholds and evenness against CellProfiler's definitions written out plainly."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.quality import CHANNEL_METRICS, image_quality, object_quality
from cytolake.transforms.quality.evenness import unevenness
from cytolake.transforms.quality.focus import local_focus_score, power_log_log_slope, texture_correlation
from cytolake.transforms.quality.grey_levels import grey_levels, thresholds
from cytolake.transforms.recipe import load_recipe
from scipy import ndimage

Pixels = np.ndarray[Any, Any]


def blobs(shape: tuple[int, int], seed: int = 0, grain: float = 6) -> Pixels:
    """Bright spots on a dark ground with noise, uint16."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), grain)
    light = 400 + 9000 * np.clip(smooth / smooth.std() - 0.8, 0, None)
    return (light + rng.standard_normal(shape) * np.sqrt(light)).clip(0, 65535).astype(np.uint16)


IMAGES = [
    blobs((160, 160)),
    blobs((131, 203), seed=1),
    (blobs((97, 300), seed=2) // 64).astype(np.uint8),
    blobs((150, 140), seed=3).astype(np.float32) / 65535,
]


def slope_of_rings(image: Pixels) -> float:
    """CellProfiler 4: rps() of centrosome, then least squares of the logarithms."""
    image = image.astype(np.float64)
    down, across = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in image.shape)
    rings = np.floor(np.sqrt(down[:, None] ** 2 + across[None, :] ** 2)).astype(int) + 1
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    radii = np.arange(2, np.floor(min(image.shape) / 8))
    return float(np.polyfit(np.log(radii), np.log(ndimage.sum(power, rings, radii)), 1)[0])


def windows(image: Pixels, scale: int) -> float:
    """CellProfiler 4: variance over median of the windows' variance over mean."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    m, n = (np.array(image.shape) + scale - 1) // scale
    grid = (y * m / image.shape[0]).astype(int) * n + (x * n / image.shape[1]).astype(int)
    each = np.arange(m * n)
    scores = ndimage.variance(image.astype(np.float64), grid, each) / ndimage.mean(image, grid, each)
    return float(np.var(scores) / np.median(scores))


def pairs(image: Pixels, scale: int) -> float:
    """Haralick's correlation on eight levels, from the co-occurrence matrix."""
    wide = image.astype(np.float64)
    level = np.minimum((wide - wide.min()) * 8 // np.ptp(wide), 7).astype(int)
    often = np.zeros((8, 8))
    np.add.at(often, (level[:, :-scale], level[:, scale:]), 1)
    often /= often.sum()
    grey = np.arange(1, 9)
    left, right = often.sum(1), often.sum(0)
    means = grey @ left, grey @ right
    spreads = [np.sqrt((grey - mean) ** 2 @ side) for mean, side in zip(means, (left, right), strict=True)]
    return float((grey @ often @ grey - means[0] * means[1]) / np.prod(spreads))


@pytest.mark.parametrize("image", IMAGES, ids=lambda i: f"{i.dtype}-{i.shape}")
def test_focus_and_texture_follow_cellprofiler(image: Pixels) -> None:
    assert power_log_log_slope(image) == pytest.approx(slope_of_rings(image), rel=1e-5)
    assert local_focus_score(image, 20) == pytest.approx(windows(image, 20), rel=1e-6)
    low, high = float(image.min()), float(image.max())
    assert texture_correlation(image, 20, low=low, high=high) == pytest.approx(pairs(image, 20), rel=1e-9, abs=1e-9)


def test_thresholds_follow_centrosome() -> None:
    image = IMAGES[0]
    pixels = np.sort(image.ravel()).astype(np.float64)
    found = thresholds(grey_levels(image))
    cut = round(0.05 * pixels.size)
    inner = pixels[cut:-cut]
    assert found["ThresholdRobustBackground"] == pytest.approx(inner.mean() + 2 * inner.std(), rel=1e-12)
    logs = np.log(np.maximum(pixels, pixels[0] + np.ptp(pixels) / 256))
    step = pixels.size // 256
    places = np.arange(0, pixels.size - 1, step)
    scores = []
    for place in places:
        below, above = logs[: place + 1], logs[place + 1 :]
        scores.append(below.var() * below.size + above.var() * above.size**2 / max(above.size - 1, 1))
    best = int(np.argmin(scores))
    beside = [logs[1::step][min(max(best + turn, 0), len(places) - 1)] for turn in (-1, 1)]
    assert found["ThresholdOtsu_2W"] == pytest.approx(np.exp(np.mean(beside)), rel=1e-12)
    assert found["ThresholdRidlerCalvard"] == pytest.approx(found["ThresholdOtsu_2W"], rel=0.2)
    assert pixels[0] < found["ThresholdBackground"] < pixels[-1]


def test_the_slope_falls_with_blur_and_does_not_see_the_scale_of_intensity() -> None:
    image = blobs((256, 256), grain=2.5)
    slopes = []
    for sigma in (0, 1, 2, 4):
        rng = np.random.default_rng(1)
        light = ndimage.gaussian_filter(image.astype(np.float64), sigma)
        slopes.append(power_log_log_slope(light + rng.standard_normal(light.shape) * np.sqrt(light)))
    assert all(after < before for before, after in itertools.pairwise(slopes))  # type: ignore[operator]
    assert power_log_log_slope(image * 3.0) == pytest.approx(power_log_log_slope(image.astype(np.float64)), rel=1e-9)


def test_unevenness_sees_the_light_and_not_the_cells() -> None:
    image = blobs((320, 300), seed=4).astype(np.float64)
    ramp = np.linspace(0.7, 1.3, 300)
    even, tilted = unevenness(image), unevenness(image * ramp)
    assert even is not None
    assert tilted is not None
    assert even < 0.06
    assert tilted == pytest.approx(0.6 * 3 / 4, abs=0.12)  # the blocks' middles span three quarters of the field
    turned = unevenness(np.rot90(image * ramp))
    assert turned == pytest.approx(tilted, abs=0.02)


@pytest.mark.parametrize(
    "plane",
    [
        np.full((40, 40), 7, np.uint16),
        np.zeros((3, 3), np.uint8),
        np.array([[5]], np.uint16),
        np.full((40, 40), np.nan, np.float32),
        np.where(np.eye(64) > 0, np.nan, 3 + np.arange(64.0)).astype(np.float32),
        -blobs((64, 64)).astype(np.float32),
        np.eye(40, dtype=np.uint16) * 9,
        np.eye(50, dtype=np.float32) * 1e38,
    ],
    ids=["constant", "zeros", "one", "nan", "some-nan", "negative", "diagonal", "huge"],
)
def test_every_metric_has_a_value_or_a_reason(plane: Pixels) -> None:
    bound = load_recipe("nuclei").bind(["DNA"], ["Hoechst"])
    rows = image_quality(plane[np.newaxis], np.array([True]), bound)
    assert [row["metric"] for row in rows] == [*CHANNEL_METRICS, "MissingPlanes"]
    for row in rows:
        assert (row["value"] is None) == bool(row["reason"])
        assert row["value"] is None or np.isfinite(row["value"])


def test_specks_clumps_and_what_is_neither() -> None:
    labels = np.zeros((300, 300), np.int32)
    for number in range(60):
        y, x = divmod(number, 10)
        labels[5 + 25 * y : 15 + 25 * y, 5 + 25 * x : 15 + 25 * x] = number + 1
    labels[200:232, 20:30] = labels[222:232, 20:50] = 90  # an L, five times as large
    labels[200:210, 100:116] = 91  # 1.6 times as large, but solid
    labels[250:253, 20:23] = labels[260:262, 20:22] = 92
    labels[250:254, 60:64] = 93
    labels[200:212, 150:156] = labels[206:212, 150:170] = 94  # an L, 1.6 times as large
    found = {row["metric"]: row["value"] for row in object_quality("nuclei", label_index(labels))}
    assert found == {
        "TypicalArea": 100.0,
        "PercentDebris": pytest.approx(100 * 2 / 65),
        "PercentClumped": pytest.approx(100 * 2 / 65),
    }
    few = object_quality("nuclei", label_index(np.eye(4, dtype=np.int32)))
    assert all(row["value"] is None and "fewer" in str(row["reason"]) for row in few)
