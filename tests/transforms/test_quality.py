"""Quality rows: CellProfiler's definitions, what is unknown said so, nothing missing passed off as zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cytolake.transforms.quality import CHANNEL_METRICS, image_quality, object_counts
from cytolake.transforms.recipe import BoundRecipe, load_recipe

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def bound() -> BoundRecipe:
    return load_recipe("nuclei").bind(["DNA", None], ["Hoechst", "extra"])


def values(rows: list[Any], channel: int) -> dict[str, float | None]:
    return {row["metric"]: row["value"] for row in rows if row["channel_index"] == channel}


@pytest.mark.parametrize(
    "plane",
    [
        RNG.integers(3, 250, (40, 31)).astype(np.uint8),
        RNG.integers(100, 60000, (40, 32)).astype(np.uint16),
        RNG.integers(-5, 900, (7, 9)).astype(np.int32),
        RNG.normal(10, 3, (33, 21)).astype(np.float32),
        np.full((5, 5), 7, np.uint16),
        np.array([[1]], np.uint8),
    ],
    ids=lambda p: f"{p.dtype}-{p.shape}",
)
def test_statistics_are_those_of_numpy_whatever_the_dtype(plane: np.ndarray, bound: BoundRecipe) -> None:
    image = np.stack([plane, plane])
    found = values(image_quality(image, np.array([True, True]), bound), 0)
    wide = plane.astype(np.float64)
    expected = {
        "MeanIntensity": wide.mean(),
        "MedianIntensity": np.median(wide),
        "StdIntensity": wide.std(),
        "MinIntensity": wide.min(),
        "MaxIntensity": wide.max(),
        "PercentMinimal": 100 * (wide == wide.min()).mean(),
        "PercentMaximal": 100 * (wide == wide.max()).mean(),
        "MissingPlanes": 0.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_saturation_is_at_the_limit_of_the_dtype_or_of_the_camera(bound: BoundRecipe) -> None:
    image = np.zeros((2, 10, 10), np.uint16)
    image[:, 0, :3] = 65535
    image[:, 1, :4] = 4095
    both = np.array([True, True])
    assert values(image_quality(image, both, bound), 0)["PercentSaturated"] == 3.0
    rows = image_quality(image, both, bound, full_scale=[4095, None])
    assert values(rows, 0)["PercentSaturated"] == 7.0
    assert values(rows, 1)["PercentSaturated"] == 3.0
    floating = image_quality(image.astype(np.float32), both, bound)
    (unknown,) = (row for row in floating if row["channel_index"] == 1 and row["metric"] == "PercentSaturated")
    assert unknown["value"] is None
    assert "unknown" in str(unknown["reason"])


def test_a_channel_without_pixels_has_rows_without_values(bound: BoundRecipe) -> None:
    image = np.zeros((2, 4, 4), np.uint16)
    rows = image_quality(image, np.array([True, False]), bound, missing={1: 3})
    absent = [row for row in rows if row["channel_index"] == 1]
    assert [row["metric"] for row in absent] == [*CHANNEL_METRICS, "MissingPlanes"]
    assert all(row["value"] is None and "no pixels" in str(row["reason"]) for row in absent[:-1])
    assert (absent[-1]["value"], absent[-1]["reason"]) == (3.0, None)


def test_rows_name_role_or_object_set(bound: BoundRecipe) -> None:
    rows = image_quality(np.zeros((2, 4, 4), np.uint8), np.array([True, True]), bound)
    assert {(row["channel_index"], row["channel_role"], row["object_set"]) for row in rows} == {
        (0, "DNA", None),
        (1, None, None),
    }
    counts = object_counts({"nuclei": 0, "cells": None}, {"cells": "no pixels of channel 'AGP' in this field"})
    assert [(row["object_set"], row["value"], row["reason"]) for row in counts] == [
        ("nuclei", 0.0, None),
        ("cells", None, "no pixels of channel 'AGP' in this field"),
    ]
