"""Pictures say what they should, checked pixel by pixel where it matters."""

from __future__ import annotations

import io

import numpy as np
import pytest
from cytolake.errors import UsageError
from cytolake.store.images.picture import field_picture, limits_of, outlines, plate_picture, stretched
from PIL import Image


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_missing_planes_are_marked_by_shape():
    plain = pixels(plate_picture(2, 3, fields={"A01": 4}))
    crossed = pixels(plate_picture(2, 3, fields={"A01": 4}, missing={"A01": 1}))
    changed = np.argwhere((plain[:-20] != crossed[:-20]).any(axis=-1))
    high, wide = np.ptp(changed, axis=0)
    assert high > 25
    assert wide > 25
    # The mark is no mere change of colour: a grey picture shows it too.
    assert abs(plain.mean(axis=-1) - crossed.mean(axis=-1)).max() > 60


def test_values_become_colours_with_a_legend():
    values = {"A01": 1.0, "B03": 9.0, "B01": None}
    fields = dict.fromkeys(values, 1)
    png = plate_picture(2, 3, fields=fields, values=values, value_name="area (µm²)", title="größe")
    got = pixels(png)
    assert (got == (68, 1, 84)).all(axis=-1).sum() > 200
    assert (got == (253, 231, 37)).all(axis=-1).sum() > 200
    assert got.shape[1] > pixels(plate_picture(2, 3, fields=fields)).shape[1] - 1


def test_one_value_and_a_large_plate_can_be_drawn():
    plate_picture(8, 12, fields={"A01": 1}, values={"A01": 5.0})
    got = pixels(plate_picture(32, 48, fields={"AF48": 1}, missing={"AF48": 2}))
    assert got.shape[0] > 600


def test_a_well_outside_the_plate_is_refused():
    with pytest.raises(UsageError, match="C01"):
        plate_picture(2, 3, fields={"C01": 1})


def test_channels_appear_in_their_colours():
    image = np.zeros((2, 40, 60), np.uint16)
    image[0, 10:20, 10:20] = 900
    image[1, 10:20, 40:50] = 90
    got = pixels(field_picture(image, colors=["FF0000", "00FF00"]))
    assert got.shape == (40, 60, 3)
    assert tuple(got[15, 15]) == (255, 0, 0)
    assert tuple(got[15, 45]) == (0, 255, 0)
    assert tuple(got[30, 30]) == (0, 0, 0)


def test_outlines_are_drawn_around_objects_in_different_colours():
    image = np.zeros((1, 50, 50), np.uint8)
    cells, nuclei = np.zeros((2, 50, 50), np.int32)
    cells[5:45, 5:45] = 3
    nuclei[20:30, 20:30] = 7
    got = pixels(field_picture(image, colors=["FFFFFF"], labels={"cells": cells, "nuclei": nuclei}))
    assert tuple(got[5, 25]) != tuple(got[20, 25])
    assert tuple(got[12, 12]) == (0, 0, 0)
    assert got[5, 25].sum() > 200


def test_outlines_part_objects_that_touch():
    labels = np.zeros((4, 6), np.int32)
    labels[:, 1:3] = 1
    labels[:, 3:5] = 2
    np.testing.assert_array_equal(outlines(labels), labels > 0)
    labels = np.zeros((5, 5), np.int32)
    labels[1:4, 1:4] = 1
    expected = labels > 0
    expected[2, 2] = False
    np.testing.assert_array_equal(outlines(labels), expected)


def test_the_scale_bar_has_a_round_length():
    image = np.zeros((1, 300, 400), np.uint8)
    got = pixels(field_picture(image, colors=["FF0000"], pixel_size_um=0.5))
    # A fifth of 200 µm is 40 µm; the bar is 20 µm = 40 pixels.
    bar = (got[286] == 255).all(axis=-1).sum()
    assert 40 <= bar <= 42


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="as many colours"):
        field_picture(np.zeros((2, 8, 8)), colors=["FF0000"])
    with pytest.raises(UsageError, match="no colour"):
        field_picture(np.zeros((1, 8, 8)), colors=["red"])
    with pytest.raises(UsageError, match="do not fit"):
        field_picture(np.zeros((1, 8, 8)), colors=["FF0000"], labels={"n": np.zeros((4, 4), int)})


def test_pixels_that_are_no_number_are_black_and_decide_nothing():
    plane = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    odd = plane.copy()
    odd[5, :3] = np.nan, np.inf, -np.inf
    assert limits_of(odd) == pytest.approx(limits_of(plane), abs=1e-3)
    assert stretched(odd, limits_of(odd))[5, :3].tolist() == [0, 1, 0]
    nothing = np.full((8, 8), np.nan, np.float32)
    assert not stretched(nothing, limits_of(nothing)).any()
