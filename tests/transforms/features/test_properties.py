"""What must not change, or change in a known way, when the same objects are shown differently."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cytolake.transforms.features.families import FAMILIES, compute
from cytolake.transforms.features.label_index import label_index

#: Where an object is, rather than what it is.
PLACES = ("BoundingBoxMaximum", "BoundingBoxMinimum", "Center", "CenterMassIntensity", "MaxIntensity")
#: What depends on the axes of the image.
AXIS_BOUND = ("Orientation", "InertiaTensor_", "SpatialMoment", "CentralMoment", "NormalizedMoment")
#: Families whose values belong to the object alone, wherever it lies; the others have tests of their own, which know
#: what their image, their neighbours and their directions do to them.
OF_THE_OBJECT = ("AreaShape", "AreaShapeAdvanced", "Zernike", "Intensity", "Location")
#: Of all families, those whose values are not those of an object alone.
OF_THE_FIELD = ("Granularity", "Correlation", "Neighbors")


def measure(labels, image, families=OF_THE_OBJECT):
    index = label_index(labels)
    columns, values = compute(families, "nuclei", index, image, ("DNA", "ER", "Mito"))
    return index.object_ids, columns, values


def place_axis(column):
    """``"X"`` or ``"Y"`` for a column that holds a place along that axis."""
    of, _, axis = column.operator.rpartition("_")
    return axis if of in PLACES and axis in "XY" else None


def padded(scene, before, after):
    """The scene on a larger background, clear of the border."""
    around = (before, after)
    return np.pad(scene.labels, around), np.pad(scene.image, ((0, 0), *around))


def test_moving_the_objects_moves_places_and_nothing_else(scene):
    _, columns, here = measure(*padded(scene, (1, 40), (2, 40)))
    _, _, there = measure(*padded(scene, (1 + 23, 40 - 23), (2 + 17, 40 - 17)))
    moved = {"Y": 23, "X": 17, None: 0}
    for k, column in enumerate(columns):
        scale = max(np.nanmax(np.abs(here[:, k]), initial=0), 40)
        shift = moved[place_axis(column)]
        np.testing.assert_allclose(there[:, k], here[:, k] + shift, atol=1e-9 * scale, err_msg=column.name)


def test_a_quarter_turn_changes_only_what_is_bound_to_the_axes(scene):
    labels, image = padded(scene, (2, 2), (2, 2))
    _, columns, here = measure(labels, image)
    _, _, there = measure(np.rot90(labels), np.rot90(image, axes=(1, 2)))
    for k, column in enumerate(columns):
        if place_axis(column) is None and not column.operator.startswith(AXIS_BOUND):
            scale = np.nanmax(np.abs(here[:, k]), initial=0)
            np.testing.assert_allclose(there[:, k], here[:, k], atol=1e-9 * scale, err_msg=column.name)
    k = [column.operator for column in columns].index("Orientation")
    turned = (there[:, k] - here[:, k] + 180) % 180
    assert (np.abs(turned - 90) < 1e-6)[~np.isnan(turned)].all()


def test_labels_are_only_names(scene):
    present = np.unique(scene.labels)
    new_names = np.random.default_rng(0).permutation(len(present) - 1) * 3 + 11
    renamed = np.concatenate([[0], new_names]).astype(np.int32)[np.searchsorted(present, scene.labels)]
    _, columns, before = measure(scene.labels, scene.image, tuple(FAMILIES))
    ids, _, after = measure(renamed, scene.image, tuple(FAMILIES))
    np.testing.assert_array_equal(ids, np.sort(new_names))
    # Numbers of neighbours are names; and of neighbours equally near, the one with the smaller name counts.
    kept = [k for k, column in enumerate(columns) if column.family != "Neighbors"]
    np.testing.assert_array_equal(after[:, kept], before[np.argsort(new_names)][:, kept])


def test_an_object_is_measured_as_if_it_were_alone(scene):
    families = [name for name in FAMILIES if name not in OF_THE_FIELD]
    ids, _, together = measure(scene.labels, scene.image, families)
    for k in (0, len(ids) // 2, len(ids) - 1):
        _, _, alone = measure(np.where(scene.labels == ids[k], scene.labels, 0), scene.image, families)
        np.testing.assert_array_equal(alone[0], together[k])


@pytest.mark.parametrize("layout", ["read-only", "strided", "fortran"])
def test_memory_layout_does_not_matter(scene, layout):
    labels, image = scene.labels.copy(), scene.image.copy()
    if layout == "read-only":
        labels.flags.writeable = image.flags.writeable = False
    elif layout == "strided":
        labels, image = np.repeat(labels, 2, axis=1)[:, ::2], np.repeat(image, 2, axis=0)[::2]
    else:
        labels, image = np.asfortranarray(labels), np.asfortranarray(image)
    np.testing.assert_array_equal(
        measure(labels, image, tuple(FAMILIES))[2], measure(scene.labels, scene.image, tuple(FAMILIES))[2]
    )


def test_threads_side_by_side(scene):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: measure(scene.labels, scene.image, tuple(FAMILIES))[2], range(8)))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_neither_the_type_of_pixels_nor_the_unit_of_light_matters(scene):
    index = label_index(scene.labels)

    def of(image, full_scale):
        return compute(tuple(FAMILIES), "nuclei", index, image, ("DNA", "ER", "Mito"), full_scale=full_scale)

    grey = np.clip(scene.image.astype(np.float64) / scene.image.max() * 4095, 0, 4095).astype(np.uint16)
    columns, expected = of(grey, 4095.0)
    scale = np.nanmax(np.abs(expected), axis=0, initial=1e-12, where=~np.isnan(expected))
    _, as_floats = of(grey.astype(np.float32), 4095.0)
    np.testing.assert_allclose(as_floats / scale, expected / scale, atol=1e-9)
    # Costes' candidates are the steps of the scale, which are others then.
    kept = [k for k, column in enumerate(columns) if column.operator != "Costes"]
    for factor, image in ((8, grey * np.uint16(8)), (2**-10, grey * np.float32(2**-10))):
        _, values = of(image, 4095.0 * factor)
        np.testing.assert_allclose((values / scale)[:, kept], (expected / scale)[:, kept], atol=1e-9)
