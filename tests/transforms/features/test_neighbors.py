"""Neighbours against CellProfiler's way to find them: dilate each object, look at what it meets."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.features.expansion import expanded, numbered
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.features.neighbors import closest, near_objects
from cytolake.transforms.features.neighbors_columns import FAMILY
from scipy import ndimage

DEFAULTS = {name: parameter.default for name, parameter in FAMILY.parameters.items()}


def disc(radius):
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return y**2 + x**2 <= radius**2


def outline_of(labels):
    """Pixels of objects with another value among the eight neighbours, or at the image's border."""
    around = np.pad(labels, 1, constant_values=-1)
    height, width = labels.shape
    different = np.zeros(labels.shape, bool)
    for dy in range(3):
        for dx in range(3):
            different |= around[dy : dy + height, dx : dx + width] != labels
    return different & (labels > 0)


def reference(labels, distance):
    numbers, touching = [], []
    for label in np.unique(labels[labels > 0]):
        own = labels == label
        met = np.unique(labels[ndimage.binary_dilation(own, disc(distance))])
        numbers.append(len(met[(met != 0) & (met != label)]))
        others = ndimage.binary_dilation((labels != 0) & ~own, disc(distance + 0.5))
        edge = outline_of(labels) & own
        touching.append(100 * (edge & others).sum() / edge.sum())
    return np.array(numbers), np.array(touching)


@pytest.mark.parametrize("distance", [1, 2, 5, 12])
def test_number_and_share_of_outline(scene, distance):
    number, touching = near_objects(label_index(scene.labels), distance)
    wanted_number, wanted_touching = reference(scene.labels, distance)
    np.testing.assert_array_equal(number, wanted_number)
    np.testing.assert_allclose(touching, wanted_touching, rtol=1e-14)
    assert len(set(number)) > 3


def nearest_everywhere(labels):
    """Labels grown over the background as scipy finds the nearest pixel."""
    y, x = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return labels[y, x]


def painted(index):
    return np.concatenate([[0], index.object_ids])[numbered(index)]


@pytest.mark.parametrize(("seed", "density"), [(0, 0.002), (1, 0.02), (2, 0.3), (3, 0.0005)])
def test_growing_gives_every_pixel_to_the_nearest_object(seed, density):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((63, 81)) < density, rng.integers(1, 9, (63, 81)) * 5, 0).astype(np.int32)
    labels[17, 60] = 5
    np.testing.assert_array_equal(painted(expanded(label_index(labels))), nearest_everywhere(labels))


def test_expanded(scene):
    wanted_number, wanted_touching = reference(nearest_everywhere(scene.labels), 1)
    number, touching = near_objects(expanded(label_index(scene.labels)), 1)
    np.testing.assert_array_equal(number, wanted_number)
    np.testing.assert_allclose(touching, wanted_touching, rtol=1e-14)


def test_closest_centres(scene):
    index = label_index(scene.labels)
    found = closest(index)
    centre = np.array(ndimage.center_of_mass(scene.labels > 0, scene.labels, index.object_ids))
    ways = centre[None] - centre[:, None]
    distance = np.hypot(ways[..., 0], ways[..., 1])
    np.fill_diagonal(distance, np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, :2]
    rows = np.arange(len(index))
    for i in range(2):
        np.testing.assert_allclose(found[:, 2 * i + 1], distance[rows, order[:, i]], atol=1e-11)
        at = np.searchsorted(index.object_ids, found[:, 2 * i].astype(int))
        np.testing.assert_allclose(distance[rows, at], distance[rows, order[:, i]], atol=1e-11)
    one, other = (ways[rows, np.searchsorted(index.object_ids, found[:, column].astype(int))] for column in (0, 2))
    with np.errstate(invalid="ignore"):
        cosine = (one * other).sum(1) / np.hypot(*one.T) / np.hypot(*other.T)
    apart = (found[:, 1] > 0) & (found[:, 3] > 0)
    np.testing.assert_allclose(found[apart, 4], np.degrees(np.arccos(np.clip(cosine[apart], -1, 1))), atol=1e-5)
    assert np.isnan(found[~apart, 4]).all()
    assert (~apart).any()  # the ring and the pixel inside it have one centre


def test_of_equally_near_centres_the_smaller_label_counts():
    labels = np.zeros((40, 40), np.int32)
    labels[::4, ::4] = np.random.default_rng(0).permutation(np.arange(3, 103)).reshape(10, 10)
    found = closest(label_index(labels))
    by_label = dict(zip(np.unique(labels)[1:], found, strict=True))
    for y in range(1, 9):
        for x in range(1, 9):
            around = sorted(labels[4 * (y + dy), 4 * (x + dx)] for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)))
            first, away, second, also, angle = by_label[labels[4 * y, 4 * x]]
            assert [first, second] == around[:2]
            assert away == also == 4
            assert angle in (90, 180)


@pytest.mark.parametrize("present", [0, 1, 2, 3])
def test_few_objects(present):
    labels = np.zeros((9, 30), np.int32)
    for k in range(present):
        labels[2:5, 6 * k + k * k : 6 * k + k * k + 3] = 10 * k + 10
    index = label_index(labels)
    number, touching = near_objects(index, 3)
    assert number.shape == touching.shape == (present,)
    assert expanded(index).object_ids.tolist() == index.object_ids.tolist()
    found = closest(index)
    assert np.isnan(found).sum(axis=0).tolist() == [
        present * (present < 2),
        present * (present < 2),
        present * (present < 3),
        present * (present < 3),
        present * (present < 3),
    ]
    if present == 1:
        assert number[0] == touching[0] == 0
    if present == 3:
        np.testing.assert_array_equal(found, [[20, 7, 30, 16, 0], [10, 7, 30, 9, 180], [20, 9, 10, 16, 0]])


def test_one_object_that_fills_the_field():
    index = label_index(np.full((8, 9), 4, np.int32))
    number, touching = near_objects(index, 1)
    assert number[0] == touching[0] == 0
    np.testing.assert_array_equal(numbered(expanded(index)), np.ones((8, 9)))


def test_names_and_places_do_not_matter(scene):
    index = label_index(scene.labels)
    kept = np.unique(scene.labels)
    renamed = np.concatenate([[0], np.random.default_rng(1).permutation(len(kept) - 1) * 7 + 2])
    other = label_index(renamed[np.searchsorted(kept, scene.labels)].astype(np.int32))
    order = np.searchsorted(other.object_ids, renamed[1:])
    turned = label_index(np.rot90(scene.labels))
    for distance in (1, 6):
        for measured, again, rotated in zip(
            near_objects(index, distance), near_objects(other, distance), near_objects(turned, distance), strict=True
        ):
            np.testing.assert_array_equal(again[order], measured)
            np.testing.assert_array_equal(rotated, measured)
    np.testing.assert_allclose(closest(other)[order][:, [1, 3]], closest(index)[:, [1, 3]], rtol=1e-9)


def test_very_many():
    labels = np.zeros((1024, 1024), np.int32)
    labels[::4, ::4] = np.arange(1, 256 * 256 + 1).reshape(256, 256)
    labels[-4, -4] = 0
    index = label_index(labels)
    assert len(index) == 65535
    number, _ = near_objects(index, 4)
    assert np.bincount(number.astype(int)).tolist()[2:] == [3 + 2, 4 * 254 - 2, 254 * 254]
    found = closest(index)
    assert (found[:, 1] == 4).all()
    assert (found[:, 3] == 4).all()


def test_the_family(scene):
    index = label_index(scene.labels)
    field = FieldPixels(image=None, present=np.ones(0, bool), roles=(), full_scale=1.0, sets={"nuclei": index})

    def columns_and_values(**settings):
        use = Use(object_set="nuclei", parameters={**DEFAULTS, **settings})
        columns, values = FAMILY.columns(use), FAMILY.measure(FieldObjects(field, "nuclei"), use)
        assert values.shape == (len(index), len(columns))
        return dict(zip([column.name for column in columns], values.T, strict=True)), columns

    values, columns = columns_and_values()
    assert len(columns) == 21
    assert {column.scale for column in columns} == {None, 5.0}
    np.testing.assert_array_equal(
        values["Nuclei_Neighbors_PercentTouching_Expanded"], near_objects(expanded(index), 1)[1]
    )
    np.testing.assert_array_equal(values["Nuclei_Neighbors_NumberOfNeighbors_5"], near_objects(index, 5)[0])
    np.testing.assert_array_equal(values["Nuclei_Neighbors_AngleBetweenNeighbors_Adjacent"], closest(index)[:, 4])
    values, _ = columns_and_values(adjacent=False, expanded=False, distances=(2, 20))
    assert len(values) == 14
    assert "Nuclei_Neighbors_SecondClosestObjectNumber_20" in values
    assert columns_and_values(adjacent=False, expanded=False, distances=())[0] == {}
