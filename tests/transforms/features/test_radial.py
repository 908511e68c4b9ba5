"""RadialDistribution against a plain distance transform and shortest paths, and in the cases that trip it."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.features.radial import radial_distribution, rings
from cytolake.transforms.features.radial_columns import FAMILY
from cytolake.transforms.features.zernike import intensity_zernikes
from cytolake.transforms.features.zernike_columns import zernike_orders
from scipy import ndimage

STEPS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def use(roles=("DNA",), bins=4, zernike="none"):
    return Use(object_set="nuclei", roles=roles, parameters={"bins": bins, "zernike": zernike})


def measure(labels, image, asked, *, roles=("DNA",), present=None):
    """RadialDistribution by column name, float64 (n,) each."""
    there = np.ones(len(roles), bool) if present is None else np.array(present)
    field = FieldPixels(
        image=image, present=there, roles=roles, full_scale=65535.0, sets={"nuclei": label_index(labels)}
    )
    values = FAMILY.measure(FieldObjects(field, "nuclei"), asked)
    names = [column.name for column in FAMILY.columns(asked)]
    assert values.shape == (len(field.sets["nuclei"]), len(names))
    return dict(zip(names, values.T, strict=True))


def ways_inside(mask, centre):
    """Shortest ways from the centre through a mask (Dijkstra), infinite where there is none."""
    ways = np.full(mask.shape, np.inf)
    ways[centre] = 0
    queue = [(0.0, centre)]
    while queue:
        way, (y, x) = heapq.heappop(queue)
        if way > ways[y, x]:
            continue
        for dy, dx in STEPS:
            there = (y + dy, x + dx)
            longer = way + np.hypot(dy, dx)
            if mask[there] and longer < ways[there] - 1e-9:
                ways[there] = longer
                heapq.heappush(queue, (longer, there))
    return ways


def reference(mask, plane, bins):
    """FracAtD, MeanFrac and RadialCV of one object, (3, bins)."""
    edge = ndimage.distance_transform_edt(mask)
    centre = np.unravel_index(np.argmax(np.where(mask, edge, -1)), mask.shape)
    around = np.pad(mask, 1)
    ways = ways_inside(around, (centre[0] + 1, centre[1] + 1))[1:-1, 1:-1]
    reached = mask & np.isfinite(ways)
    ring = (ways[reached] / (ways[reached] + edge[reached] + 0.001) * bins).astype(int)
    y, x = (place - middle for place, middle in zip(np.nonzero(reached), centre, strict=True))
    wedge = (y > 0) + 2 * (x > 0) + 4 * (abs(y) > abs(x))
    values = plane[reached].astype(float)
    found = np.full((3, bins), np.nan)
    for r in range(bins):
        here = ring == r
        if values.sum() != 0:
            found[0, r] = values[here].sum() / values.sum()
        if here.any() and values.sum() != 0:
            found[1, r] = found[0, r] / here.mean()
            means = np.array([values[here & (wedge == w)].mean() for w in range(8) if (here & (wedge == w)).any()])
            found[2, r] = means.std() / means.mean() if means.mean() != 0 else np.nan
    return found


def assert_as_reference(labels, plane, bins=4):
    index = label_index(labels)
    found = radial_distribution(rings(index, bins), plane)
    expected = np.array([reference(labels == label, plane, bins) for label in index.object_ids])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.nanmax(np.abs(expected)))


@pytest.mark.parametrize("bins", [4, 7])
def test_every_ring_is_that_of_plain_distances(scene, bins):
    assert_as_reference(scene.labels, scene.image[0], bins)


def spiral():
    """A band that winds twice round its middle: the ways inside it are many times longer than straight ones."""
    y, x = np.indices((81, 81)) - 40
    angle = np.arctan2(y, x) / (2 * np.pi)
    turns = np.hypot(y, x) / 14 - angle
    return ((turns % 1 < 0.55) & (np.hypot(y, x) < 38)).astype(np.int32)


def test_ways_go_round_what_is_in_the_way():
    labels = spiral()
    plane = np.random.default_rng(0).integers(0, 5000, labels.shape).astype(np.uint16)
    assert_as_reference(labels, plane)
    assert_as_reference(np.rot90(labels).copy(), plane)


def test_beyond_the_image_is_not_outside_the_object():
    labels = np.zeros((30, 40), np.int32)
    labels[:12, :15], labels[20:, :], labels[5:15, 30:] = 1, 2, 3
    plane = np.random.default_rng(0).integers(0, 5000, labels.shape).astype(np.uint16)
    assert_as_reference(labels, plane)


def test_names_are_cellprofilers():
    columns = FAMILY.columns(use(roles=("DNA", "AGP")))
    names = [column.name for column in columns]
    assert len(set(names)) == len(names) == 2 * 12
    assert {"Nuclei_RadialDistribution_FracAtD_DNA_1of4", "Nuclei_RadialDistribution_RadialCV_AGP_4of4"} < set(names)
    assert columns[0].aliases == ("cp_measure:RadialDistribution_FracAtD_1of4",)
    assert all("NULL" in column.definition for column in columns)


@pytest.mark.parametrize(("zernike", "kinds"), [("magnitude", 1), ("magnitude-and-phase", 2)])
def test_zernike_moments_come_when_asked_for(scene, zernike, kinds):
    roles = ("DNA", "ER", "Mito")
    found = measure(scene.labels, scene.image, use(roles=("ER", "DNA"), zernike=zernike), roles=roles)
    assert len(found) == 2 * (12 + 30 * kinds)
    moments = intensity_zernikes(label_index(scene.labels), scene.image, np.ones(3, bool), 65535.0)
    for kind, moment in zip(("Magnitude", "Phase")[:kinds], moments, strict=False):
        for k, (n, m) in enumerate(zernike_orders()):
            for c, role in enumerate(("DNA", "ER")):
                name = f"Nuclei_RadialDistribution_Zernike{kind}_{role}_{n}_{m}"
                np.testing.assert_array_equal(found[name], moment[:, c, k])
    plain = measure(scene.labels, scene.image, use(roles=("ER", "DNA")), roles=roles)
    for name, values in plain.items():
        np.testing.assert_array_equal(found[name], values)


def test_one_pixel_is_all_in_the_first_ring():
    labels = np.zeros((9, 9), np.int32)
    labels[4, 4] = 1
    found = radial_distribution(rings(label_index(labels), 4), np.full((9, 9), 5, np.uint8))[0]
    np.testing.assert_array_equal(found[0], [1, 0, 0, 0])
    np.testing.assert_array_equal(found[1], [1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found[2], [0, np.nan, np.nan, np.nan])


def test_without_an_edge_there_are_no_rings():
    labels = np.ones((9, 12), np.int32)
    assert np.isnan(radial_distribution(rings(label_index(labels), 4), np.full((9, 12), 5, np.uint8))).all()


def test_no_objects():
    asked = use(zernike="magnitude")
    assert len(measure(np.zeros((20, 20), np.int32), np.ones((1, 20, 20), np.uint16), asked)) == 42


def disc(radius=12):
    y, x = np.indices((2 * radius + 7,) * 2) - (radius + 3)
    return (np.hypot(y, x) <= radius).astype(np.int32)


@pytest.mark.parametrize("value", [1, 65535])
def test_even_intensity_is_everywhere_the_mean(value):
    labels = disc()
    found = radial_distribution(rings(label_index(labels), 4), np.full(labels.shape, value, np.uint16))[0]
    np.testing.assert_allclose(found[0].sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(found[1], 1, rtol=1e-12)
    np.testing.assert_allclose(found[2], 0, atol=1e-12)


def test_no_intensity_has_no_distribution():
    labels = disc()
    assert np.isnan(radial_distribution(rings(label_index(labels), 4), np.zeros(labels.shape, np.uint16))).all()


def test_a_ring_without_intensity_has_a_share_of_nothing():
    labels = disc()
    plane = np.zeros(labels.shape, np.uint16)
    plane[15, 15] = 100
    found = radial_distribution(rings(label_index(labels), 4), plane)[0]
    np.testing.assert_array_equal(found[0], [1, 0, 0, 0])
    assert found[1, 3] == 0
    np.testing.assert_array_equal(np.isnan(found[2]), [False, True, True, True])


def test_parts_that_the_centre_does_not_reach_are_left_out():
    labels = np.pad(disc(), ((0, 0), (0, 30)))
    whole = labels.copy()
    whole[10:14, 40:44] = 1
    plane = np.random.default_rng(0).integers(0, 5000, labels.shape).astype(np.uint16)
    found, alone = (radial_distribution(rings(label_index(one), 4), plane) for one in (whole, labels))
    np.testing.assert_array_equal(found, alone)


def test_absent_channels_and_pixels_that_are_no_number():
    labels = np.zeros((20, 40), np.int32)
    labels[2:18, 2:18], labels[2:18, 22:38] = 1, 7
    image = np.random.default_rng(1).random((3, 20, 40)).astype(np.float32)
    asked, roles = use(roles=("DNA", "ER", "Mito"), zernike="magnitude-and-phase"), ("DNA", "ER", "Mito")
    whole = measure(labels, image, asked, roles=roles)
    image[0, 10, 10], image[0, 0, 0], image[2] = np.nan, np.inf, np.nan
    holed = measure(labels, image, asked, roles=roles, present=(True, True, False))
    for name, values in holed.items():
        assert np.isnan(values[0]) == ("_DNA_" in name or "_Mito_" in name), name
        assert np.isnan(values[1]) if "_Mito_" in name else values[1] == whole[name][1]


def test_brightness_moving_and_renaming_change_nothing(scene):
    labels, plane = np.pad(scene.labels, 2), np.pad(scene.image[0].astype(np.float32), 2)
    here = radial_distribution(rings(label_index(labels), 4), plane)
    np.testing.assert_array_equal(radial_distribution(rings(label_index(labels), 4), plane * 4), here)

    wider = ((9, 0), (0, 13))
    moved = radial_distribution(rings(label_index(np.pad(labels, wider)), 4), np.pad(plane, wider))
    np.testing.assert_array_equal(moved, here)

    names = np.unique(labels)
    renamed = np.r_[0, np.random.default_rng(0).permutation(len(names) - 1) * 3 + 11].astype(np.int32)
    permuted = radial_distribution(rings(label_index(renamed[np.searchsorted(names, labels)]), 4), plane)
    np.testing.assert_array_equal(permuted, here[np.argsort(renamed[1:])])


def test_a_quarter_turn_keeps_the_rings():
    labels = disc()
    labels[3:9, 15:] = 0  # not symmetric, and with one pixel farthest from the edge
    labels[14, 2:5] = 1
    edge = ndimage.distance_transform_edt(labels)
    assert (edge == edge.max()).sum() == 1
    plane = np.random.default_rng(0).integers(1, 5000, labels.shape).astype(np.uint16)
    here = radial_distribution(rings(label_index(labels), 4), plane)
    turned = radial_distribution(rings(label_index(np.rot90(labels)), 4), np.rot90(plane))
    np.testing.assert_allclose(turned[:, :2], here[:, :2], rtol=1e-12)


def test_nuclei_of_real_images(shared_data):
    import tifffile

    folder = shared_data / "images/cellpainting-nf1"
    labels, _ = ndimage.label(tifffile.imread(folder / "Plate_2_masks/D7_01_1_1_DAPI_001_MaskNuclei.tiff") > 0)
    plane = tifffile.imread(folder / "Plate_2_images/D7_01_2_1_GFP_001.tif")
    keep = np.where(labels <= 4, labels, 0).astype(np.int32)
    assert_as_reference(keep, plane)
