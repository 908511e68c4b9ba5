"""Zernike moments and the circle they lie on, against their definitions, summed pixel by pixel in complex numbers."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from cytolake.errors import UsageError
from cytolake.transforms.features.enclosing_circle import enclosing_circles
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.features.zernike import intensity_zernikes, shape_zernikes
from cytolake.transforms.features.zernike_columns import FAMILY, zernike_orders


def objects_of(index):
    """Rows and columns of the pixels of each object."""
    for k in range(len(index)):
        yield np.divmod(index.pixels[index.offsets[k] : index.offsets[k + 1]].astype(np.int64), index.shape[1])


def polynomials(index, circles, k, degree=9):
    """Value of every polynomial at every pixel of object k, complex (polynomials, pixels)."""
    y, x = list(objects_of(index))[k]
    centre_y, centre_x, radius = circles[k]
    z = ((y - index.bbox[k, 0] - centre_y) + 1j * (x - index.bbox[k, 1] - centre_x)) / radius
    values = []
    for n, m in zernike_orders(degree):
        radial = sum(
            (-1) ** s
            * factorial(n - s)
            / (factorial(s) * factorial((n + m) // 2 - s) * factorial((n - m) // 2 - s))
            * np.abs(z) ** (n - m - 2 * s)
            for s in range((n - m) // 2 + 1)
        )
        values.append(radial * z**m)
    return np.array(values)


def smallest_circle(points):
    """Of all circles through two or three points the smallest that holds all: slow, and surely right."""
    best = (0.0, *points[0]) if len(points) == 1 else (np.inf, 0, 0)
    for size in (2, 3):
        for chosen in combinations(points, size):
            a = np.array(chosen[0], float)
            sides = np.array(chosen[1:], float) - a
            if size == 3 and np.linalg.det(sides) == 0:
                continue
            centre = a + np.linalg.lstsq(2 * sides, (sides**2).sum(axis=1), rcond=None)[0]
            radius = np.hypot(*(a - centre))
            if radius < best[0] and (np.hypot(*(points - centre).T) <= radius * (1 + 1e-12)).all():
                best = (radius, *centre)
    return np.array([best[1], best[2], best[0]])


def test_the_circle_is_the_smallest_that_holds_all_pixels(scene):
    index = label_index(scene.labels)
    circles = enclosing_circles(index)
    checked = 0
    for k, (y, x) in enumerate(objects_of(index)):
        away = np.hypot(y - index.bbox[k, 0] - circles[k, 0], x - index.bbox[k, 1] - circles[k, 1])
        assert away.max() <= circles[k, 2] * (1 + 1e-13)
        if len(y) <= 12:
            corner = index.bbox[k, :2]
            np.testing.assert_allclose(circles[k], smallest_circle(np.stack([y, x], 1) - corner), atol=1e-12)
            checked += 1
    assert checked > 5
    assert (circles[:, 2] == 0).any()  # single pixels


@pytest.mark.parametrize("seed", range(20))
def test_the_circle_round_a_few_points(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((9, 11), np.int32)
    labels[rng.integers(0, 9, 7), rng.integers(0, 11, 7)] = 1
    index = label_index(labels)
    points = np.argwhere(labels) - index.bbox[0, :2]
    np.testing.assert_allclose(enclosing_circles(index)[0], smallest_circle(points), atol=1e-12)


@pytest.mark.parametrize("degree", [0, 4, 9, 12])
def test_form(scene, degree):
    index = label_index(scene.labels)
    circles = enclosing_circles(index)
    found = shape_zernikes(index, degree)
    assert found.shape == (len(index), len(zernike_orders(degree)))
    for k in range(len(index)):
        if circles[k, 2] == 0:
            assert np.isnan(found[k]).all()
        else:
            reference = np.abs(polynomials(index, circles, k, degree).sum(axis=1)) / (np.pi * circles[k, 2] ** 2)
            np.testing.assert_allclose(found[k], reference, atol=1e-13 if degree <= 9 else 1e-11)


def test_intensity(scene):
    index = label_index(scene.labels)
    circles = enclosing_circles(index)
    magnitude, phase = intensity_zernikes(index, scene.image, np.array([True, False, True]), 200.0)
    assert np.isnan(magnitude[:, 1]).all()
    assert np.isnan(phase[:, 1]).all()
    for k, (y, x) in enumerate(objects_of(index)):
        for c in (0, 2):
            if circles[k, 2] == 0:
                assert np.isnan(magnitude[k, c]).all()
                assert np.isnan(phase[k, c]).all()
                continue
            grey = scene.image[c, y, x].astype(float) / 200
            sums = (polynomials(index, circles, k) * grey).sum(axis=1) / len(y)
            np.testing.assert_allclose(magnitude[k, c], np.abs(sums), atol=1e-12 * np.abs(grey).max())
            certain = np.abs(sums) > 1e-6 * np.abs(sums).max()  # the smaller, the less is known of its angle
            difference = (phase[k, c] - np.arctan2(sums.real, sums.imag))[certain]
            np.testing.assert_allclose(np.exp(1j * difference), 1, atol=1e-8)


def test_pixels_on_the_circle_count():
    labels = np.zeros((7, 7), np.int32)
    labels[1:6, 1:6] = 1  # its four corners lie on the circle
    (first, *_) = shape_zernikes(label_index(labels))[0]
    assert first == pytest.approx(25 / (np.pi * 8), rel=1e-14)


def test_an_even_disc_is_the_first_polynomial_and_no_other():
    y, x = np.mgrid[-200:201, -200:201]
    found = shape_zernikes(label_index((y**2 + x**2 <= 200**2).astype(np.int32)))[0]
    assert found[0] == pytest.approx(1, abs=1e-3)
    assert found[1:].max() < 1e-2


def test_brightness_scales_magnitudes_and_leaves_phases(scene):
    index = label_index(scene.labels)
    present = np.ones(3, bool)
    image = scene.image.astype(np.float32)
    magnitude, phase = intensity_zernikes(index, image, present, 1.0)
    brighter, same = intensity_zernikes(index, image * 4, present, 1.0)
    np.testing.assert_allclose(brighter, 4 * magnitude, rtol=1e-12)
    np.testing.assert_array_equal(same, phase)


def test_without_intensity_there_is_no_phase():
    index = label_index(np.ones((9, 9), np.int32))
    magnitude, phase = intensity_zernikes(index, np.zeros((1, 9, 9), np.uint8), np.ones(1, bool), 255.0)
    assert (magnitude == 0).all()
    assert np.isnan(phase).all()
    magnitude, phase = intensity_zernikes(index, np.full((1, 9, 9), 7, np.uint8), np.ones(1, bool), 255.0)
    even = [m == 0 for _, m in zernike_orders()]
    odd = [m % 2 == 1 for _, m in zernike_orders()]
    assert np.isfinite(phase[0, 0, even]).all()  # an even square has no direction for odd m
    assert np.isnan(phase[0, 0, odd]).all()


def test_pixels_that_are_not_finite_leave_other_objects_alone():
    labels = np.repeat([[1, 2]], 6, axis=0).repeat(5, axis=1).astype(np.int32)
    image = np.ones((2, 6, 10), np.float32)
    image[0, 3, 2], image[1, 0, 7] = np.nan, np.inf
    magnitude, phase = intensity_zernikes(label_index(labels), image, np.ones(2, bool), 1.0)
    for values in (magnitude, phase):
        assert np.isnan(values[0, 0]).all()
        assert np.isnan(values[1, 1]).all()
        assert np.isfinite(values[0, 1, 0])
        assert np.isfinite(values[1, 0, 0])


def test_the_same_bits_wherever_the_object_is(scene):
    """Also beside other objects, and with other labels."""
    index = label_index(scene.labels)
    found = shape_zernikes(index)
    moved = shape_zernikes(label_index(np.pad(scene.labels, ((31, 0), (17, 3)))))
    np.testing.assert_array_equal(moved, found)
    k = int(np.argmax(np.diff(index.offsets)))
    alone = shape_zernikes(label_index(np.where(scene.labels == index.object_ids[k], 3, 0)))
    np.testing.assert_array_equal(alone[0], found[k])


def test_a_quarter_turn_leaves_magnitudes(scene):
    index, turned = label_index(scene.labels), label_index(np.rot90(scene.labels))
    np.testing.assert_allclose(shape_zernikes(turned), shape_zernikes(index), atol=1e-12)
    present, image = np.ones(3, bool), np.rot90(scene.image, axes=(1, 2))
    there, _ = intensity_zernikes(turned, image, present, 1.0)
    here, _ = intensity_zernikes(index, scene.image, present, 1.0)
    np.testing.assert_allclose(there, here, atol=1e-12 * scene.image.max())


def test_no_objects_and_very_many():
    none = label_index(np.zeros((5, 5), np.int32))
    assert shape_zernikes(none).shape == (0, 30)
    magnitude, phase = intensity_zernikes(none, np.zeros((2, 5, 5), np.uint16), np.ones(2, bool), 1.0)
    assert magnitude.shape == phase.shape == (0, 2, 30)
    labels = np.zeros((512, 512), np.int32)
    labels[:, 0::4] = labels[:, 1::4] = np.arange(1, 512 * 128 + 1).reshape(512, 128)
    many = shape_zernikes(label_index(np.minimum(labels, 65535)))
    assert many.shape == (65535, 30)
    np.testing.assert_allclose(many[:-1, 0], 2 / (np.pi / 4), rtol=1e-14)


def test_degrees_that_float64_cannot_hold():
    with pytest.raises(UsageError, match="up to degree 15"):
        shape_zernikes(label_index(np.ones((3, 3), np.int32)), 16)


def test_the_family(scene):
    index = label_index(scene.labels)
    field = FieldPixels(image=None, present=np.ones(0, bool), roles=(), full_scale=1.0, sets={"nuclei": index})
    use = Use(object_set="nuclei")
    names = [column.name for column in FAMILY.columns(use)]
    assert names[0] == "Nuclei_AreaShape_Zernike_0_0"
    assert names[-1] == "Nuclei_AreaShape_Zernike_9_9"
    assert len(set(names)) == 30
    np.testing.assert_array_equal(FAMILY.measure(FieldObjects(field, "nuclei"), use), shape_zernikes(index))
