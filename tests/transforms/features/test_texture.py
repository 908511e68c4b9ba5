"""Texture against a plain co-occurrence matrix, and in the cases that trip it."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.features.texture import DIRECTIONS, FEATURES, haralick, quantised
from cytolake.transforms.features.texture_columns import FAMILY, TEXTURE


def use(roles=("DNA",), scales=(3,), levels=256):
    return Use(object_set="nuclei", roles=roles, parameters={"scales": scales, "levels": levels})


def measure(labels, image, asked, *, roles=("DNA",), full_scale=None, present=None):
    """Texture by column name, float64 (n,) each."""
    if full_scale is None:
        full_scale = 1.0 if image.dtype == np.float32 else float(np.iinfo(image.dtype).max)
    there = np.ones(len(roles), bool) if present is None else np.array(present)
    field = FieldPixels(
        image=image, present=there, roles=roles, full_scale=full_scale, sets={"nuclei": label_index(labels)}
    )
    values = FAMILY.measure(FieldObjects(field, "nuclei"), asked)
    names = [column.name for column in FAMILY.columns(asked)]
    assert values.shape == (len(field.sets["nuclei"]), len(names))
    return dict(zip(names, values.T, strict=True))


def entropy(p):
    return -(p[p > 0] * np.log2(p[p > 0])).sum()


def reference(crop, scale):
    """Haralick's features, (4, 13), of levels (y, x) that are 0 outside the object; NaN without a pair somewhere."""
    here = crop.astype(int)
    found = np.empty((4, 13))
    for direction, (y, x) in enumerate(DIRECTIONS):
        there = np.pad(here, scale)[scale * (1 + y) :, scale * (1 + x) :][: here.shape[0], : here.shape[1]]
        pairs = (here > 0) & (there > 0)
        if not pairs.any():
            return np.full((4, 13), np.nan)
        p = np.zeros((here.max() + 1,) * 2)
        np.add.at(p, (here[pairs], there[pairs]), 1)
        p = (p + p.T) / (2 * pairs.sum())
        i, j = np.indices(p.shape)
        levels = np.arange(len(p))
        p_x = p.sum(axis=0)
        p_sum, p_difference = np.bincount((i + j).ravel(), p.ravel()), np.bincount(abs(i - j).ravel(), p.ravel())
        mean = (levels * p_x).sum()
        variance = ((levels - mean) ** 2 * p_x).sum()
        average = (np.arange(len(p_sum)) * p_sum).sum()
        independent = np.outer(p_x, p_x)
        joint, of_one = entropy(p), entropy(p_x)
        crossed = -(p[p > 0] * np.log2(independent[p > 0])).sum()
        found[direction] = (
            (p**2).sum(),
            ((i - j) ** 2 * p).sum(),
            ((i - mean) * (j - mean) * p).sum() / variance if variance > 0 else 1.0,
            variance,
            (p / (1 + (i - j) ** 2)).sum(),
            average,
            ((np.arange(len(p_sum)) - average) ** 2 * p_sum).sum(),
            entropy(p_sum),
            joint,
            p_difference.var(),
            entropy(p_difference),
            (joint - crossed) / of_one if of_one > 0 else 0.0,
            np.sqrt(max(1 - np.exp(-2 * (entropy(independent) - joint)), 0)),
        )
    return found


def crops(labels, plane):
    """Box of each object with 0 outside it, in the order of the labels."""
    for label in np.unique(labels[labels > 0]):
        ys, xs = np.nonzero(labels == label)
        box = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        yield np.where(labels[box] == label, plane[box], 0)


@pytest.mark.parametrize(("scales", "levels"), [((3,), 100), ((1, 2), 8), ((1, 40), 3)])
def test_every_feature_is_that_of_the_plain_matrix(scene, scales, levels):
    plane = quantised(scene.image[0], float(np.quantile(scene.image[0], 0.8)), levels)
    found = haralick(label_index(scene.labels), plane, scales)
    expected = np.array([[reference(crop, scale) for scale in scales] for crop in crops(scene.labels, plane)])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    defined = ~np.isnan(expected[:, 0, 0, 0])
    assert defined.any()
    for k, name in enumerate(FEATURES):
        scale = np.nanmax(np.abs(expected[..., k]))
        # InfoMeas2 is the root of a difference that rounding keeps from being 0.
        tolerance = 1e-7 if name == "InfoMeas2" else 1e-9 * scale
        np.testing.assert_allclose(found[..., k], expected[..., k], rtol=0, atol=tolerance, err_msg=name)


def test_names_are_cellprofilers():
    columns = FAMILY.columns(use(roles=("DNA", "AGP"), scales=(3, 10)))
    names = [column.name for column in columns]
    assert len(set(names)) == len(names) == 13 * 4 * 2 * 2
    assert "Nuclei_Texture_AngularSecondMoment_AGP_10_00_256" in names
    assert "Nuclei_Texture_InfoMeas2_DNA_3_03_256" in names
    assert all("Haralick" in column.definition and "NULL" in column.definition for column in columns)
    assert columns[0].scale == 3
    assert columns[0].aliases == ("cp_measure:AngularSecondMoment_3_00_256",)
    assert tuple(operator.name for operator in TEXTURE) == FEATURES


def test_a_column_holds_the_feature_that_it_names(scene):
    asked = use(roles=("ER",), scales=(2, 1), levels=64)
    roles = ("DNA", "ER", "Mito")
    found = measure(scene.labels, scene.image, asked, roles=roles, full_scale=float(scene.image[:2].max()))
    plane = quantised(scene.image[1], float(scene.image[:2].max()), 64)
    direct = haralick(label_index(scene.labels), plane, (1,))
    np.testing.assert_array_equal(found["Nuclei_Texture_SumEntropy_ER_1_02_64"], direct[:, 0, 2, 7])
    assert not np.isnan(direct).all()


@pytest.mark.parametrize(
    ("plane", "full_scale", "levels", "expected"),
    [
        (np.array([[0, 1, 254, 255]], np.uint8), 255, 256, [0, 1, 254, 255]),
        (np.array([[128, 129, 385, 386, 65535]], np.uint16), 65535, 256, [0, 1, 1, 2, 255]),
        (np.array([[0, 2048, 4095, 5000]], np.uint16), 4095, 256, [0, 128, 255, 255]),
        (np.array([[50, 150]], np.uint16), 100 * 2.55, 256, [50, 150]),
        (np.array([[1, 3, 5]], np.uint16), 510, 256, [0, 2, 2]),  # half to even
        (np.array([[0, 36, 37, 254, 255]], np.uint8), 255, 8, [0, 0, 1, 6, 7]),
        (np.array([[254, 255]], np.uint8), 255, 2, [0, 1]),
        (np.array([[-1, 0, 0.5, 1, 7, np.nan, np.inf, -np.inf]], np.float32), 1, 256, [0, 0, 128, 255, 255, 0, 255, 0]),
    ],
)
def test_grey_levels(plane, full_scale, levels, expected):
    np.testing.assert_array_equal(quantised(plane, full_scale, levels), [expected])


def test_one_grey_level_is_exact():
    labels = np.zeros((30, 30), np.int32)
    labels[3:20, 5:25] = 4
    found = haralick(label_index(labels), np.where(labels, np.uint8(200), np.uint8(9)), (3,))[0, 0]
    one = dict.fromkeys(FEATURES, 0.0) | {
        "AngularSecondMoment": 1.0,
        "Correlation": 1.0,
        "InverseDifferenceMoment": 1.0,
        "SumAverage": 400.0,
        "DifferenceVariance": pytest.approx(1 / 201 - 1 / 201**2, rel=1e-14),
    }
    for direction in found:
        assert dict(zip(FEATURES, direction, strict=True)) == one


def test_saturated_pixels_and_the_whole_frame():
    labels = np.ones((40, 50), np.int32)
    image = np.full((1, 40, 50), 65535, np.uint16)
    found = measure(labels, image, use())
    assert found["Nuclei_Texture_SumAverage_DNA_3_01_256"] == [510]
    assert found["Nuclei_Texture_Entropy_DNA_3_01_256"] == [0]


def test_more_pairs_than_the_table_of_logarithms_holds():
    plane = np.full((300, 310), 3, np.uint8)
    plane[::7, ::5] = 4
    plane[100, 100] = 255
    found = haralick(label_index(np.ones(plane.shape, np.int32)), plane, (3,))[0, 0]
    np.testing.assert_allclose(found, reference(plane, 3), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 1), (3, 9), (9, 3)])
def test_a_direction_without_pairs_leaves_the_scale_undefined(shape):
    labels = np.zeros((30, 30), np.int32)
    labels[4 : 4 + shape[0], 4 : 4 + shape[1]] = 1
    found = haralick(label_index(labels), np.full((30, 30), 50, np.uint8), (3, 1))
    assert np.isnan(found[0, 0]).all()
    assert np.isnan(found[0, 1]).all() == (min(shape) == 1)


def test_level_zero_is_background(scene):
    plane = quantised(scene.image[0], float(np.quantile(scene.image, 0.99)), 8)
    assert ((plane == 0) & (scene.labels > 0)).any()
    index = label_index(scene.labels)
    without = np.where(plane > 0, scene.labels, 0)
    kept = np.isin(index.object_ids, without)
    np.testing.assert_array_equal(haralick(index, plane, (2,))[kept], haralick(label_index(without), plane, (2,)))
    assert np.isnan(haralick(index, plane, (2,))[~kept]).all()


def test_no_objects():
    found = measure(np.zeros((20, 20), np.int32), np.ones((1, 20, 20), np.uint16), use(scales=(3, 5, 10)))
    assert len(found) == 13 * 4 * 3


def test_absent_channels_are_undefined_and_channels_not_asked_for_are_not_touched(scene):
    roles = ("DNA", "ER", "Mito")
    found = measure(
        scene.labels, scene.image, use(roles=("DNA", "ER"), scales=(1,)), roles=roles, present=(True, False, True)
    )
    assert not any("Mito" in name for name in found)
    assert all(np.isnan(values).all() for name, values in found.items() if "_ER_" in name)


def test_a_pixel_that_is_no_number_undefines_its_object_alone():
    labels = np.zeros((20, 40), np.int32)
    labels[2:18, 2:18], labels[2:18, 22:38] = 1, 7
    image = np.random.default_rng(1).random((2, 20, 40)).astype(np.float32)
    asked = use(roles=("DNA", "ER"))
    whole = measure(labels, image, asked, roles=("DNA", "ER"))
    image[0, 10, 10], image[0, 0, 0] = np.nan, np.inf
    holed = measure(labels, image, asked, roles=("DNA", "ER"))
    for name, values in holed.items():
        assert np.isnan(values[0]) == ("_DNA_" in name)
        assert values[1] == whole[name][1]


def test_brightness_and_full_scale_together_change_nothing(scene):
    dark = (scene.image * (16383.75 / float(scene.image.max()))).clip(0).astype(np.uint16)
    one = measure(scene.labels, dark, use(), roles=("DNA", "ER", "Mito"), full_scale=16383.75)
    other = measure(scene.labels, dark * 4, use(), roles=("DNA", "ER", "Mito"), full_scale=65535.0)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_moving_renaming_and_turning(scene):
    labels, plane = np.pad(scene.labels, 3), np.pad(quantised(scene.image[0], float(scene.image.max()), 32), 3)
    here = haralick(label_index(labels), plane, (1, 4))
    moved = haralick(label_index(np.pad(labels, ((9, 0), (0, 13)))), np.pad(plane, ((9, 0), (0, 13))), (1, 4))
    np.testing.assert_array_equal(moved, here)

    names = np.unique(labels)
    renamed = np.r_[0, np.random.default_rng(0).permutation(len(names) - 1) * 3 + 11].astype(np.int32)
    permuted = haralick(label_index(renamed[np.searchsorted(names, labels)]), plane, (1, 4))
    np.testing.assert_array_equal(permuted, here[np.argsort(renamed[1:])])

    turned = haralick(label_index(np.rot90(labels)), np.rot90(plane), (1, 4))
    np.testing.assert_allclose(turned, here[:, :, [2, 3, 0, 1]], rtol=1e-9, atol=1e-9)


def test_cells_of_real_images(shared_data):
    import tifffile

    image = tifffile.imread(shared_data / "images/stardist-sample/img2d.tif")
    labels = tifffile.imread(shared_data / "images/stardist-sample/mask2d.tif")
    plane = quantised(image, float(image.max()), 256)
    found = haralick(label_index(labels), plane, (3,))
    expected = np.array([[reference(crop, 3)] for crop in crops(labels, plane)])
    scale = np.nanmax(np.abs(expected), axis=(0, 1, 2))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected) / scale) < 1e-9
