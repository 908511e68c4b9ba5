"""Profiles of illumination: the image that a polynomial describes, and pixels divided by it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.errors import InvalidDataError, UsageError
from cytolake.ingest.export import ChannelInfo, PlateExport
from cytolake.ingest.vendors.harmony import HarmonyReader
from cytolake.store.images.illumination import correct, evaluate_harmony, evaluate_image
from hypothesis import given, settings
from hypothesis import strategies as st


def polynomial(**values: Any) -> dict[str, Any]:
    # About 1 in the middle, 0.7 at the corners: what a lens does.
    return {
        "Type": "Polynomial",
        "Coefficients": [[1.1], [0.1, -0.2], [-0.3, 0.05, -0.4]],
        "Origin": [3.5, 2.5],
        "Scale": [0.125, 0.25],
        "Dims": [8, 6],
    } | values


def test_evaluates_terms_by_total_degree() -> None:
    image = evaluate_harmony(polynomial(Coefficients=[[2.0], [0.5, -1.0], [0.1, 0.2, 0.3]]), (6, 8))
    assert (image.shape, image.dtype) == ((6, 8), np.float32)
    for row, column in [(0, 0), (5, 7), (2, 6)]:
        x, y = (column - 3.5) * 0.125, (row - 2.5) * 0.25
        expected = 2.0 + 0.5 * x - 1.0 * y + 0.1 * x * x + 0.2 * x * y + 0.3 * y * y
        assert image[row, column] == pytest.approx(expected, rel=1e-6)


def test_a_binned_image_sees_the_same_field() -> None:
    profile = polynomial(Coefficients=[[1.0], [0.4, -0.2]])
    whole, half = evaluate_harmony(profile, (6, 8)), evaluate_harmony(profile, (3, 4))
    np.testing.assert_allclose(half, whole.reshape(3, 2, 4, 2).mean((1, 3)), rtol=1e-6)


def test_a_channel_has_one_profile_or_two() -> None:
    kept = {"Background": {"Mean": 9.0, "Profile": polynomial()}, "Foreground": {"Profile": {"Type": "Identity"}}}
    np.testing.assert_array_equal(evaluate_harmony(kept, (6, 8)), evaluate_harmony(polynomial(), (6, 8)))
    np.testing.assert_array_equal(evaluate_harmony(kept, (6, 8), part="Foreground"), np.ones((6, 8)))
    with pytest.raises(InvalidDataError, match="without Foreground"):
        evaluate_harmony({"Background": kept["Background"]}, (6, 8), part="Foreground")


@pytest.mark.parametrize(
    "values",
    [
        {"Coefficients": []},
        {"Coefficients": None},
        {"Coefficients": [[1.0], [1.0]]},
        {"Coefficients": [["INF"]]},
        {"Coefficients": [[10**400]]},
        {"Coefficients": [[0.0]]},
        {"Coefficients": [[1.0], [20.0, 0.0]]},
        {"Coefficients": [[1e99] * n for n in range(1, 30)], "Scale": [1e99, 1e99]},
        {"Coefficients": [[1.0] * n for n in range(1, 200)]},
        {"Origin": [1.0]},
        {"Scale": [1.0, None]},
        {"Type": "Spline"},
        {"Type": None},
    ],
)
def test_refuses_what_it_cannot_evaluate(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError):
        evaluate_harmony(polynomial(**values), (6, 8))


json_values = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Profile", "Type"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*polynomial(), "Background", "Profile"]), json_values))
@settings(max_examples=150, deadline=None)
def test_never_fails_otherwise(values: dict[str, Any]) -> None:
    for profile in (values, polynomial() | values):
        with contextlib.suppress(InvalidDataError):
            assert evaluate_harmony(profile, (3, 4)).min() > 0


# --- images of an even sample


def test_a_shading_image_over_its_mean() -> None:
    image = np.array([[100, 200], [300, 400]], np.uint16)
    np.testing.assert_allclose(evaluate_image(image), image / 250)


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.array([[0, 9]]), np.ones((2, 2, 2)), np.ones((0, 4))])
def test_an_image_that_nothing_can_be_divided_by(bad: np.ndarray) -> None:
    with pytest.raises(InvalidDataError):
        evaluate_image(bad)


# --- correction


def test_what_was_lit_unevenly_becomes_even() -> None:
    light = evaluate_harmony(polynomial(), (6, 8))
    pixels = np.rint(light * 1000 + 100).astype(np.uint16)
    even = correct(pixels, light, dark=100)
    assert even.dtype == np.uint16
    np.testing.assert_allclose(even, 1000, atol=1)


def test_one_profile_per_channel() -> None:
    light = evaluate_harmony(polynomial(), (6, 8))
    pixels = np.rint(np.full((2, 3, 6, 8), 500) * light).astype(np.uint16)
    before = pixels.copy()
    out = correct(pixels, [light, None])
    np.testing.assert_allclose(out[0], 500, atol=1)
    np.testing.assert_array_equal(out[1], pixels[1])
    np.testing.assert_array_equal(pixels, before)


def test_corrected_pixels_keep_to_their_type() -> None:
    half = np.full((2, 2), 0.5, np.float32)
    assert correct(np.full((2, 2), 60_000, np.uint16), half).max() == 65_535
    assert correct(np.full((2, 2), 10, np.uint8), half, dark=20).max() == 0
    assert correct(np.ones((2, 2), np.float64), half).dtype == np.float64


@pytest.mark.parametrize(
    ("shape", "profiles"),
    [((6, 9), np.ones((6, 8), np.float32)), ((3, 6, 8), [None, None]), ((6, 8), [None] * 6)],
)
def test_a_correction_that_does_not_fit(shape: tuple[int, ...], profiles: Any) -> None:
    with pytest.raises(UsageError):
        correct(np.ones(shape, np.uint16), profiles)


# --- real profiles


def channels_of(shared_data: Path, sample: str) -> tuple[PlateExport, list[tuple[ChannelInfo, str]]]:
    (export,) = HarmonyReader().read(shared_data / "vendors" / "harmony" / sample)
    parts = [(c, p) for c in export.channels if c.flatfield for p in ("Background", "Foreground") if p in c.flatfield]
    return export, parts


@pytest.mark.parametrize(
    ("sample", "fitted"), [("phenix-v5", 10), ("phenix-v7-index-only/images", 3), ("operetta-cls", 2)]
)
def test_real_profiles_are_brightest_inside_and_one_on_average(shared_data: Path, sample: str, fitted: int) -> None:
    """That every profile has the mean 1 is no accident: rows read as powers of x and of y give another one."""
    export, parts = channels_of(shared_data, sample)
    acquisition = export.acquisitions[0]
    height, width = acquisition.height, acquisition.width
    images = {
        (c.name, part): evaluate_harmony(c.flatfield or {}, (height, width), part=part)
        for c, part in parts
        if (c.flatfield or {})[part]["Profile"]["Type"] == "Polynomial"
    }
    assert len(images) == fitted
    for name, image in images.items():
        assert image.mean(dtype=np.float64) == pytest.approx(1, abs=2e-4), name
        assert 1 < image[height // 2, width // 2] < 1.4, name
        corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert 0.25 < corners.min() <= corners.max() < 0.8, name


def test_profiles_follow_the_background_of_real_images(shared_data: Path) -> None:
    """The order of terms is inferred: on real pixels it must beat the transposed and the rectangular reading."""
    export, _ = channels_of(shared_data, "phenix-v5")
    channel = next(c for c in export.channels if c.name == "HOECHST 33342")
    assert channel.flatfield is not None
    profile = channel.flatfield["Background"]["Profile"]
    file = export.planes["file"].to_pylist()[channel.channel_index]
    pixels = tifffile.imread(Path(export.root) / str(file))

    def background(image: np.ndarray) -> np.ndarray:
        blocks = image.reshape(30, 36, 30, 36).swapaxes(1, 2).reshape(30, 30, -1)
        return np.asarray(np.percentile(blocks, 10, axis=2))

    def agreement(surface: np.ndarray) -> float:
        means = surface.reshape(30, 36, 30, 36).mean((1, 3))
        return float(np.corrcoef(means.ravel(), background(pixels).ravel())[0, 1])

    ours = evaluate_harmony(profile, (1080, 1080))
    axis = (np.arange(1080) - 539.5) / 1080
    rectangular = sum(
        c * np.multiply.outer(axis**i, axis**j)
        for i, row in enumerate(profile["Coefficients"])
        for j, c in enumerate(row)
    )
    assert agreement(ours) > 0.88
    assert agreement(ours) > agreement(ours.T)
    assert agreement(ours) > agreement(np.asarray(rectangular)) + 0.1
    # What is divided by its light has an even background.
    raw, even = background(pixels), background(correct(pixels, ours))
    assert np.std(even) / np.mean(even) < 0.6 * np.std(raw) / np.mean(raw)
