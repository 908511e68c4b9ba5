"""Drift of a field: found to a fraction of a pixel, and never made up."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.tracking.drift import DriftEstimator, estimate_drift, no_drift
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as shifted

SIDE = 160


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Blobs on a larger ground than the camera sees."""
    rng = np.random.default_rng(5)
    ground = np.zeros((SIDE + 80, SIDE + 80))
    ground[tuple(rng.integers(0, SIDE + 80, (2, 160)))] = 1
    return gaussian_filter(ground, 3) * 3e4 + 200


def seen(scene: np.ndarray, drift: tuple[float, float], *, noise: float = 5.0, seed: int = 0) -> np.ndarray:
    """What the camera sees when the scene has moved by ``drift``, under a lamp that stays where it is."""
    moved = shifted(scene, drift, order=3, mode="nearest")[40 : 40 + SIDE, 40 : 40 + SIDE]
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    light = moved * (1.2 - y**2 - x**2) + np.random.default_rng(seed).normal(0, noise, moved.shape)
    return light.clip(0, 65535).astype(np.uint16)


def test_shifts_add_up_from_the_first_frame(scene: np.ndarray) -> None:
    true = np.array([(0, 0), (1.3, -2.6), (4.25, -3.0), (-8.0, 6.5), (-8.0, 6.5)])
    found = estimate_drift((seen(scene, (y, x), seed=k) for k, (y, x) in enumerate(true)), max_step_px=40)
    assert found.shifts.dtype == np.float64
    assert found.reasons == (None,) * 5
    np.testing.assert_allclose(found.shifts, true, atol=0.15)
    np.testing.assert_allclose(np.diff(found.shifts, axis=0), np.diff(true, axis=0), atol=0.1)
    assert found.shifts[0].tolist() == [0, 0]


def test_brightness_does_not_matter(scene: np.ndarray) -> None:
    frames = [seen(scene, (0, 0)), seen(scene, (3, 5), seed=1)]
    once = estimate_drift(frames, max_step_px=40).shifts
    np.testing.assert_allclose(once[1], (3, 5), atol=0.1)
    dimmed = [frames[0], (frames[1] // 4).astype(np.float32) + 1000]
    np.testing.assert_allclose(estimate_drift(dimmed, max_step_px=40).shifts, once, atol=0.1)


def test_bad_frames_keep_the_shift_before_and_break_nothing(scene: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    frames = [
        seen(scene, (0, 0)),
        seen(scene, (2, 1), seed=1),
        np.zeros((SIDE, SIDE), np.uint16),
        None,
        rng.poisson(100, (SIDE, SIDE)).astype(np.uint16),
        np.full((SIDE, SIDE), np.nan, np.float32),
        seen(scene, (5, 3), seed=2),
    ]
    found = estimate_drift(frames, max_step_px=40)
    np.testing.assert_allclose(found.shifts[1], (2, 1), atol=0.1)
    assert (found.shifts[2:6] == found.shifts[1]).all()
    np.testing.assert_allclose(found.shifts[6], (5, 3), atol=0.15)
    assert [reason is None for reason in found.reasons] == [True, True, False, False, False, False, True]
    assert "constant" in str(found.reasons[2])
    assert "no pixels" in str(found.reasons[3])
    assert "earlier frame" in str(found.reasons[4])
    assert "not finite" in str(found.reasons[5])


def test_a_step_that_is_too_long_is_not_believed_and_the_chain_goes_on(scene: np.ndarray) -> None:
    frames = [seen(scene, drift, seed=k) for k, drift in enumerate([(0, 0), (30, 0), (32, 1), (35, 1)])]
    found = estimate_drift(frames, max_step_px=10)
    assert "more than 10.0" in str(found.reasons[1])
    np.testing.assert_allclose(found.shifts, [(0, 0), (0, 0), (2, 1), (5, 1)], atol=0.15)
    assert found.reasons[2:] == (None, None)
    # A fifth of the scene is another one after such a step, which the rest pulls on.
    np.testing.assert_allclose(estimate_drift(frames, max_step_px=40).shifts[3], (35, 1), atol=0.6)


def test_a_jump_back_is_followed(scene: np.ndarray) -> None:
    true = [(0, 0), (15, -12), (0, 0), (0.5, 0)]
    found = estimate_drift([seen(scene, one, seed=k) for k, one in enumerate(true)], max_step_px=40)
    np.testing.assert_allclose(found.shifts, true, atol=0.15)


def test_nothing_before_the_first_good_frame(scene: np.ndarray) -> None:
    found = estimate_drift([None, seen(scene, (0, 0)), seen(scene, (1, 1))], max_step_px=40)
    assert found.reasons[0] is not None
    np.testing.assert_allclose(found.shifts, [(0, 0), (0, 0), (1, 1)], atol=0.1)


def test_frames_of_another_size_are_told() -> None:
    rng = np.random.default_rng(0)
    found = estimate_drift([rng.random((40, 50)), rng.random((50, 40))], max_step_px=9)
    assert "(40, 50)" in str(found.reasons[1])


def test_no_frame_and_one_frame(scene: np.ndarray) -> None:
    assert DriftEstimator(max_step_px=5).drift().shifts.shape == (0, 2)
    assert estimate_drift([seen(scene, (0, 0))], max_step_px=5).shifts.tolist() == [[0, 0]]


def test_quality_rows(scene: np.ndarray) -> None:
    found = estimate_drift([seen(scene, (0, 0)), seen(scene, (2, -3), seed=1), None], max_step_px=40)
    y, x = found.rows(1, channel_index=2, channel_role="DNA")
    assert (y["metric"], x["metric"]) == ("Drift_Y", "Drift_X")
    assert (y["value"], x["value"]) == (pytest.approx(2, abs=0.1), pytest.approx(-3, abs=0.1))
    assert (y["channel_index"], y["channel_role"], y["object_set"], y["reason"]) == (2, "DNA", None, None)
    for row in found.rows(2, channel_index=2, channel_role="DNA"):
        assert row["value"] is None
        assert "no pixels" in str(row["reason"])
    assert no_drift(2, "why").rows(1, channel_index=0, channel_role=None)[0]["reason"] == "why"
