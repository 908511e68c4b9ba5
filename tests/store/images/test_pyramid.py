"""The mean of 2 × 2 pixels, exactly."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from cytolake.store.images.pyramid import halve, nearest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


def by_definition(planes):
    n, height, width = planes.shape
    out = np.empty((n, -(-height // 2), -(-width // 2)), planes.dtype)
    for p, y, x in np.ndindex(out.shape):
        block = [Fraction(int(v)) for v in planes[p, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flat]
        out[p, y, x] = floor(sum(block) / len(block) + Fraction(1, 2))
    return out


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["uint8", "uint16", "uint32"]).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7))
    )
)
def test_integers_are_the_exact_mean_rounded_half_up(planes):
    out = np.empty((planes.shape[0], -(-planes.shape[1] // 2), -(-planes.shape[2] // 2)), planes.dtype)
    halve(planes, out)
    np.testing.assert_array_equal(out, by_definition(planes))


@pytest.mark.parametrize("shape", [(2, 4, 6), (1, 5, 7), (1, 1, 1), (3, 1, 8)])
def test_floats_are_the_mean_of_the_pixels_that_exist(shape):
    planes = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    out = np.empty((shape[0], -(-shape[1] // 2), -(-shape[2] // 2)), np.float32)
    halve(planes, out)
    for p, y, x in np.ndindex(out.shape):
        block = planes[p, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert out[p, y, x] == pytest.approx(block.mean(dtype=np.float64), rel=1e-5, abs=1e-6)


def test_labels_keep_their_numbers():
    labels = np.arange(2**31 - 15, 2**31, dtype=np.int32).reshape(3, 5)
    np.testing.assert_array_equal(nearest(labels), labels[::2, ::2])
