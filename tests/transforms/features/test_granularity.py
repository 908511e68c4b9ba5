"""Granularity against a plain implementation of CellProfiler's steps, and openings against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.features import granularity as module
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.granularity_columns import FAMILY
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.features.opening_tree import opening_tree
from cytolake.transforms.features.sorting import ascending
from scipy import ndimage
from skimage.morphology import dilation, disk, erosion, reconstruction

DEFAULTS = {name: parameter.default for name, parameter in FAMILY.parameters.items()}
ROLES = ("DNA", "ER", "Mito")


def measure(labels, image, present=None, field=None, **parameters):
    """Spectra of every object, (n, c, steps)."""
    roles = ROLES[: len(image)]
    if field is None:
        field = FieldPixels(
            image=image,
            present=np.ones(len(image), bool) if present is None else np.array(present),
            roles=roles,
            full_scale=1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max),
            sets={"cells": label_index(labels)},
        )
    use = Use(object_set="cells", roles=roles, parameters={**DEFAULTS, **parameters})
    values = FAMILY.measure(FieldObjects(field, "cells"), use)
    assert values.dtype == np.float64
    assert values.shape == (len(field.sets["cells"]), len(FAMILY.columns(use)))
    return values.reshape(len(values), len(roles), use.parameters["steps"])


def reference(labels, plane, *, subsample=0.25, background_subsample=0.25, background_radius=10, steps=16):
    """CellProfiler's steps as it takes them: one image at a time, at full size, (n, steps)."""

    def sampled(image, size, step):
        i, j = np.mgrid[0 : size[0], 0 : size[1]].astype(float) / step
        return ndimage.map_coordinates(image, (i, j), order=1)

    def stretched(image, size, shape):
        i, j = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
        i *= (size[0] - 1) / (shape[0] - 1)
        j *= (size[1] - 1) / (shape[1] - 1)
        return ndimage.map_coordinates(image, (i, j), order=1)

    ids = np.unique(labels)
    ids = ids[ids > 0]
    plane = plane.astype(float)
    size = np.array(plane.shape) * subsample
    pixels = sampled(plane, size, subsample) if subsample < 1 else plane.copy()
    background, coarse = pixels, size
    if background_subsample < 1:
        coarse = size * background_subsample
        background = sampled(pixels, coarse, background_subsample)
    background = dilation(erosion(background, disk(background_radius)), disk(background_radius))
    if background_subsample < 1:
        i, j = np.mgrid[0 : size[0], 0 : size[1]].astype(float)
        i *= (coarse[0] - 1) / (size[0] - 1)
        j *= (coarse[1] - 1) / (size[1] - 1)
        background = ndimage.map_coordinates(background, (i, j), order=1)
    pixels = np.maximum(pixels - background, 0)
    start = before = ndimage.mean(plane, labels, ids)
    eroded, spectrum = pixels, []
    for _ in range(steps):
        eroded = erosion(eroded, disk(1))
        opened = reconstruction(eroded, pixels, footprint=disk(1))
        after = ndimage.mean(stretched(opened, size, plane.shape), labels, ids)
        with np.errstate(invalid="ignore", divide="ignore"):
            spectrum.append((before - after) * 100 / start)
        before = after
    spectra = np.array(spectrum).T.reshape(len(ids), steps)
    spectra[~(start > 0)] = np.nan
    return spectra


def assert_close(ours, expected):
    assert ours.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    if np.isfinite(expected).any():
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9 * np.nanmax(np.abs(expected)))


def blobs(shape, seed=0, dtype=np.uint16):
    """An image with texture and a slope of background, and labels that cover much of it."""
    rng = np.random.default_rng(seed)
    image = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), sigma) for sigma in (1, 2, 4)])
    image = 300 + np.arange(shape[1]) + 500 * np.maximum(image / image.std(axis=(1, 2), keepdims=True), 0)
    labels, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=shape), 5) > 0)
    return labels.astype(np.int32), (image % 256 if dtype == np.uint8 else image).astype(dtype)


@pytest.mark.parametrize(("shape", "dtype"), [((120, 164), np.uint16), ((97, 111), np.uint8), ((83, 82), np.float32)])
def test_spectrum_as_cellprofiler_defines_it(shape, dtype):
    labels, image = blobs(shape, dtype=dtype)
    ours = measure(labels, image)
    for channel, plane in enumerate(image):
        assert_close(ours[:, channel], reference(labels, plane))


@pytest.mark.parametrize(
    "parameters",
    [
        {"subsample": 0.5, "background_subsample": 0.5, "background_radius": 3},
        {"subsample": 1.0, "background_subsample": 0.125, "steps": 4},
        {"subsample": 0.3, "background_subsample": 1.0, "background_radius": 4},
        {"subsample": 0.7, "background_subsample": 0.6, "background_radius": 1, "steps": 1},
    ],
)
def test_parameters(parameters):
    labels, image = blobs((61, 75))
    assert_close(measure(labels, image)[:, 0], reference(labels, image[0]))
    ours = measure(labels, image[:1], **parameters)
    assert ours.shape[2] == parameters.get("steps", 16)
    assert_close(ours[:, 0], reference(labels, image[0], **parameters))


def test_scattered_touching_and_border_objects(scene):
    ours = measure(scene.labels, np.abs(scene.image))
    for channel, plane in enumerate(np.abs(scene.image)):
        assert_close(ours[:, channel], reference(scene.labels, plane))


def test_columns_are_named_as_in_cellprofiler():
    use = Use(object_set="cells", roles=("DNA",), parameters={**DEFAULTS, "steps": 3})
    columns = FAMILY.columns(use)
    assert [column.name for column in columns] == [f"Cells_Granularity_{step}_DNA" for step in (1, 2, 3)]
    assert [column.scale for column in columns] == [4, 8, 12]
    assert columns[1].aliases == ("cp_measure:Granularity_2",)


@pytest.mark.parametrize("kind", ["noise", "few levels", "smooth", "constant", "zero", "without a zero", "one row"])
def test_openings_equal_reconstructions_to_the_last_bit(kind):
    rng = np.random.default_rng(3)
    image = {
        "noise": rng.random((41, 37)),
        "few levels": rng.integers(0, 4, (41, 37)).astype(float),
        "smooth": np.maximum(ndimage.gaussian_filter(rng.normal(size=(60, 50)), 3), 0),
        "constant": np.full((9, 11), 3.5),
        "zero": np.zeros((9, 11)),
        "without a zero": 5 + rng.random((20, 21)),
        "one row": rng.random((1, 40)),
    }[kind]
    tree = opening_tree(image, 9)
    eroded = image
    for step in range(1, 10):
        eroded = erosion(eroded, disk(1))
        at = tree.nodes
        while (gone := tree.lasts[at] < step).any():
            at = np.where(gone, tree.wider[at], at)
        np.testing.assert_array_equal(tree.values[at], reconstruction(eroded, image, footprint=disk(1)))


@pytest.mark.parametrize("radius", [1, 2, 5, 10, 30])
def test_background_is_an_opening_with_a_disc(radius):
    image = np.random.default_rng(1).random((23, 31))
    half_widths = np.array([int(np.sqrt(radius**2 - distance**2)) for distance in range(radius + 1)])
    footprint = disk(radius)
    expected = dilation(erosion(image, footprint, mode="ignore"), footprint, mode="ignore")
    np.testing.assert_array_equal(module._opened(image, half_widths), expected)


def test_ascending_where_leading_bits_do_not_tell_values_apart():
    rng = np.random.default_rng(0)
    for values in (rng.random(5000), 1 + 1e-12 * rng.random(5000), np.zeros(0), np.repeat(2.0, 9)):
        np.testing.assert_array_equal(values[ascending(values)], np.sort(values))


def test_openings_are_found_once_for_all_object_sets(monkeypatch):
    labels, image = blobs((64, 64))
    calls = []
    find = module.channel_openings
    monkeypatch.setattr(module, "channel_openings", lambda *given: calls.append(1) or find(*given))
    field = FieldPixels(
        image=image,
        present=np.array([True, False, True]),
        roles=ROLES,
        full_scale=65535.0,
        sets={"cells": label_index(labels), "nuclei": label_index(np.flip(labels))},
    )
    for object_set in ("cells", "nuclei"):
        FAMILY.measure(FieldObjects(field, object_set), Use(object_set=object_set, roles=ROLES, parameters=DEFAULTS))
    assert len(calls) == 2  # of the channels that are present


def test_labels_are_only_names():
    labels, image = blobs((80, 90))
    before = measure(labels, image)
    order = np.random.default_rng(0).permutation(len(before))
    names = np.concatenate([[0], order * 7 + 3]).astype(np.int32)
    np.testing.assert_array_equal(measure(names[labels], image)[order], before)


def test_rows_and_columns_are_alike():
    labels, image = blobs((70, 93))
    turned = measure(np.ascontiguousarray(labels.T), np.ascontiguousarray(image.transpose(0, 2, 1)))
    np.testing.assert_allclose(turned, measure(labels, image), rtol=0, atol=1e-9)


def test_brightness_does_not_matter():
    labels, image = blobs((80, 90))
    np.testing.assert_allclose(measure(labels, image * np.uint16(7)), measure(labels, image), rtol=0, atol=1e-9)


def test_an_object_is_measured_as_if_it_were_alone():
    labels, image = blobs((80, 90))
    alone = measure(np.where(labels == 2, labels, 0), image)
    np.testing.assert_array_equal(alone[0], measure(labels, image)[1])


def test_one_pixel_and_the_full_frame():
    _, image = blobs((48, 52))
    labels = np.zeros((48, 52), np.int32)
    labels[47, 51] = 3
    assert_close(measure(labels, image)[:, 0], reference(labels, image[0]))
    full = np.ones((48, 52), np.int32)
    assert_close(measure(full, image)[:, 1], reference(full, image[1]))


def test_constant_and_dark_channels():
    labels, image = blobs((48, 52))
    image[0], image[1] = 65535, 0
    spectra = measure(labels, image)
    np.testing.assert_allclose(spectra[:, 0, 0], 100)  # all of it is background
    np.testing.assert_array_equal(spectra[:, 0, 1:], 0)
    assert np.isnan(spectra[:, 1]).all()


def test_without_objects_without_channels_and_too_small():
    labels, image = blobs((48, 52))
    assert measure(np.zeros_like(labels), image).shape == (0, 3, 16)
    spectra = measure(labels, image, present=[True, False, True])
    assert np.isnan(spectra[:, 1]).all()
    assert not np.isnan(spectra[:, [0, 2]]).any()
    for shape in ((1, 1), (4, 4), (1, 60), (60, 3)):
        assert np.isnan(measure(np.ones(shape, np.int32), np.full((1, *shape), 9, np.uint16))).all()


@pytest.mark.parametrize("shape", [(5, 9), (8, 8), (13, 40)])
def test_small_images(shape):
    labels, image = blobs(shape)
    labels[0, 0] = 1
    assert_close(measure(labels, image)[:, 0], reference(labels, image[0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite(bad):
    labels, image = blobs((48, 52), dtype=np.float32)
    y, x = np.argwhere(labels == 1)[0]
    healed = image.copy()
    image[0, y, x], healed[0, y, x] = bad, 0
    spectra = measure(labels, image)
    assert np.isnan(spectra[0, 0]).all()
    assert not np.isnan(spectra[0, 1]).any()
    np.testing.assert_array_equal(spectra[1:], measure(labels, healed)[1:])


def test_real_cell_painting(shared_data):
    tifffile = pytest.importorskip("tifffile")
    folder = shared_data / "images" / "cellpainting-nf1"
    crop = np.s_[200:600, 300:700]
    plane = tifffile.imread(folder / "Plate_2_images" / "B7_01_2_3_GFP_001.tif")[crop]
    labels, n = ndimage.label(tifffile.imread(folder / "Plate_2_masks" / "B7_01_1_3_DAPI_001_MaskNuclei.tiff")[crop])
    assert n > 3
    ours = measure(labels.astype(np.int32), plane[None])
    assert_close(ours[:, 0], reference(labels, plane))
