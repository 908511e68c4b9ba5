"""Volumes against scikit-image's region properties and against plain definitions."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from cytolake.errors import UsageError
from cytolake.transforms.features.volume import volume_columns, volume_features
from cytolake.transforms.features.volume_columns import VOLUME_SHAPE
from cytolake.transforms.features.volume_index import volume_index
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area, regionprops
from skimage.segmentation import find_boundaries
from tifffile import imread


def random_volume(seed=0):
    """Blobs that touch, cut by every side, then a speck, a line, a box, a hollow ball, a ring and scattered labels."""
    rng = np.random.default_rng(seed)
    shape = (18, 40, 44)
    seeds = np.zeros(shape, np.int32)
    seeds[tuple(rng.integers(0, shape, (25, 3)).T)] = np.arange(1, 26) * 3
    labels = seeds[tuple(ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True))]
    labels[ndimage.gaussian_filter(rng.normal(size=shape), 2) > 0.02] = 0
    labels[2:16, 5:30, 5:40] = 0
    labels[4, 7, 7] = 101
    labels[3:9, 9, 7] = 102
    labels[3:6, 12:16, 7:12] = 103
    z, y, x = np.mgrid[:18, :40, :44]
    away = (z - 9) ** 2 + (y - 17) ** 2 + (x - 24) ** 2
    labels[(away <= 30) & (away > 6)] = 104
    labels[9, 17, 24] = 105  # inside the hollow ball
    labels[11:13, 24:29, 30:37] = 106
    labels[11:13, 26, 32:35] = 0
    labels[4:8, 20:28, 8:16] = np.where(rng.random((4, 8, 8)) < 0.4, rng.integers(107, 110, (4, 8, 8)), 0)
    labels[0, 0, 0] = labels[17, 39, 43] = 110
    image = rng.gamma(2.0, 3000, (2, *shape)).clip(0, 65535).astype(np.uint16)
    return labels, image


LABELS, IMAGE = random_volume()


def measured(labels=LABELS, image=IMAGE, roles=("DNA", "ER"), **options):
    columns, values = volume_features(labels, image, roles, object_set="nuclei", **options)
    return dict(zip([column.name.removeprefix("Nuclei_") for column in columns], values.T, strict=True))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.5, 1, 1), (3.0, 0.7, 1.0)])
def test_what_scikit_image_measures(spacing):
    found = measured(spacing=spacing, families=("AreaShape",))
    plain, spaced = regionprops(LABELS), regionprops(LABELS, spacing=spacing)
    solid = np.array([np.linalg.matrix_rank(r.coords - r.coords[0]) == 3 for r in plain])
    assert not solid.all()
    checked = set()
    for operator in VOLUME_SHAPE:
        alias = next((a.removeprefix("scikit-image:") for a in operator.aliases if a.startswith("scikit")), None)
        if alias is None:
            continue
        name, *at = alias.split("-")
        regions = spaced if operator.unit == "{pixels}" else plain
        # scikit-image finds no hull of objects that lie in a plane.
        chosen = solid if name == "solidity" else np.ones(len(regions), bool)
        wanted = [getattr(r, name)[int(at[0])] if at else getattr(r, name) for r in np.array(regions)[chosen]]
        np.testing.assert_allclose(
            found[f"AreaShape_{operator.name}"][chosen],
            np.array(wanted, float),
            rtol=1e-9,
            atol=1e-6 if name == "axis_minor_length" else 1e-9,  # roots of rounding for objects in one plane
            err_msg=operator.name,
        )
        checked.add(operator.name)
    assert len(checked) == 17


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.5, 1.0, 0.5)])
def test_surface(spacing):
    """The triangles of each whole object, not of its corners one by one."""
    found = measured(spacing=spacing, families=("AreaShape",))["AreaShape_SurfaceArea"]
    padded = np.pad(LABELS, 1)
    for area, region in zip(found, regionprops(padded), strict=True):
        z, y, x, z_stop, y_stop, x_stop = region.bbox
        crop = padded[z - 1 : z_stop + 1, y - 1 : y_stop + 1, x - 1 : x_stop + 1] == region.label
        vertices, faces, _, _ = marching_cubes(crop, level=0, spacing=spacing)
        assert area == pytest.approx(mesh_surface_area(vertices, faces), rel=1e-6)  # which sums in float32


def test_a_ball():
    z, y, x = np.mgrid[-20:21, -20:21, -20:21]
    labels = (z**2 + y**2 + x**2 <= 15.5**2).astype(np.int32)
    found = measured(labels, None, (), families=("AreaShape",))
    assert found["AreaShape_EquivalentDiameter"][0] == pytest.approx(31, rel=0.01)
    assert found["AreaShape_MajorAxisLength"][0] == pytest.approx(31, rel=0.01)
    assert found["AreaShape_MinorAxisLength"][0] == pytest.approx(31, rel=0.01)
    assert found["AreaShape_Solidity"][0] == pytest.approx(1, abs=0.05)
    assert found["AreaShape_SurfaceArea"][0] == pytest.approx(4 * pi * 16.2**2, rel=0.05)  # one voxel outside
    # Every other plane of it, twice as far apart, is the same ball.
    flat = measured(labels[::2], None, (), families=("AreaShape",), spacing=(2, 1, 1))
    for name in ("EquivalentDiameter", "MajorAxisLength", "MinorAxisLength", "SurfaceArea"):
        assert flat[f"AreaShape_{name}"][0] == pytest.approx(found[f"AreaShape_{name}"][0], rel=0.07)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_intensity_and_location(dtype):
    image = (IMAGE / 257).astype(dtype) if dtype is np.uint8 else IMAGE.astype(dtype)
    if dtype is np.float32:
        image = (image - 5000) / 100
    spacing, scale = np.array([2.0, 1.0, 0.5]), 50.0
    found = measured(image=image, spacing=tuple(spacing), full_scale=scale)
    edges = find_boundaries(LABELS, mode="inner")
    for k, label in enumerate(np.unique(LABELS)[1:]):
        own = label == LABELS
        places = np.argwhere(own)
        for c, role in enumerate(("DNA", "ER")):
            grey = image[c][own].astype(float) / scale
            edge = image[c][own & edges].astype(float) / scale
            wanted = {}
            for suffix, values in (("", grey), ("Edge", edge)):
                if len(values):
                    of = (values.sum(), values.mean(), values.std(), values.min(), values.max())
                    for name, value in zip(("Integrated", "Mean", "Std", "Min", "Max"), of, strict=True):
                        wanted[f"Intensity_{name}Intensity{suffix}"] = value
            quartiles = np.percentile(grey, (25, 50, 75))
            for name, value in zip(("LowerQuartile", "Median", "UpperQuartile"), quartiles, strict=True):
                wanted[f"Intensity_{name}Intensity"] = value
            wanted["Intensity_MADIntensity"] = np.median(np.abs(grey - quartiles[1]))
            mass = (places * grey[:, None]).sum(axis=0) / grey.sum()
            wanted["Intensity_MassDisplacement"] = np.linalg.norm((mass - places.mean(axis=0)) * spacing)
            for i, axis in enumerate("ZYX"):
                wanted[f"Location_CenterMassIntensity_{axis}"] = mass[i]
                wanted[f"Location_MaxIntensity_{axis}"] = places[grey.argmax()][i]
                assert found[f"Location_Center_{axis}"][k] == pytest.approx(places.mean(axis=0)[i], rel=1e-12)
            assert len(wanted) == 21
            for name, value in wanted.items():
                assert found[f"{name}_{role}"][k] == pytest.approx(value, rel=1e-6, abs=1e-6), (name, label)


def test_columns():
    columns = volume_columns("nuclei", ("DNA", None, "ER"))
    names = [column.name for column in columns]
    assert names == sorted(names)
    assert len(names) == len(set(names)) == 18 + 3 + 2 * (15 + 6)
    assert not any("4-neighbour" in column.definition for column in columns)
    got, values = volume_features(
        LABELS, IMAGE[[0, 0, 1]], ("DNA", None, "ER"), object_set="nuclei", present=[True, True, False]
    )
    assert got == columns
    missing = np.array([column.channel_role == "ER" for column in columns])
    assert np.isnan(values[:, missing]).all()
    assert not np.isnan(values[:, ~missing]).any()


def test_moving_the_objects_moves_places_and_nothing_else():
    here = measured(np.pad(LABELS, 3), np.pad(IMAGE, ((0, 0), (3, 3), (3, 3), (3, 3))))
    there = measured(np.pad(LABELS, ((5, 1), (4, 6), (9, 3))), np.pad(IMAGE, ((0, 0), (5, 1), (4, 6), (9, 3))))
    shift = {"Z": 2, "Y": 1, "X": 6}
    for name, values in here.items():
        parts = name.removesuffix("_DNA").removesuffix("_ER")
        moved = shift[parts[-1]] if parts[-2] == "_" and parts[-1] in shift else 0
        np.testing.assert_allclose(there[name], values + moved, rtol=1e-11, atol=1e-11, err_msg=name)


def test_turned_axes():
    found = measured(np.pad(LABELS, 1), np.pad(IMAGE, ((0, 0), (1, 1), (1, 1), (1, 1))))
    turned = measured(
        np.pad(LABELS, 1).transpose(2, 0, 1), np.pad(IMAGE, ((0, 0), (1, 1), (1, 1), (1, 1))).transpose(0, 3, 1, 2)
    )
    for name, values in found.items():
        if name[-2:] not in ("_X", "_Y", "_Z") and not name.startswith("Location"):
            # The tables of marching cubes cut some corners one way and not the other.
            tolerance = 0.01 if name.endswith("SurfaceArea") else 1e-9
            np.testing.assert_allclose(turned[name], values, rtol=tolerance, atol=1e-6, err_msg=name)


def test_labels_are_only_names():
    kept = np.unique(LABELS)
    renamed = np.concatenate([[0], np.random.default_rng(0).permutation(len(kept) - 1) * 900 + 5])
    labels = renamed[np.searchsorted(kept, LABELS)].astype(np.int32)
    before, after = measured(), measured(labels)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][np.argsort(np.argsort(renamed[1:]))], values, err_msg=name)


def test_an_object_that_fills_the_volume_and_one_voxel():
    labels = np.full((3, 4, 5), 9, np.int32)
    found = measured(labels, np.ones((1, 3, 4, 5), np.uint8), ("DNA",))
    assert found["AreaShape_Extent"] == found["AreaShape_Solidity"] == found["AreaShape_EulerNumber"] == 1
    assert np.isnan(found["Intensity_MeanIntensityEdge_DNA"]).all()  # it has no edge
    labels = np.zeros((3, 4, 5), np.int32)
    labels[2, 0, 4] = 1
    found = measured(labels, np.zeros((1, 3, 4, 5), np.float32), ("DNA",))
    assert found["AreaShape_Volume"] == found["AreaShape_Solidity"] == found["AreaShape_EulerNumber"] == 1
    assert found["AreaShape_MajorAxisLength"] == 0
    assert found["AreaShape_SurfaceArea"][0] == pytest.approx(8 * np.sqrt(3) / 2)
    assert np.isnan(found["Location_CenterMassIntensity_Z_DNA"]).all()  # nothing has a centre of mass
    assert found["Location_MaxIntensity_Z_DNA"] == 2


def test_pixels_that_are_not_finite():
    image = IMAGE.astype(np.float32)
    label = LABELS[9, 17, 24]
    image[0, 9, 17, 24] = np.inf
    found = measured(image=image)
    hit = np.unique(LABELS)[1:] == label
    for name, values in found.items():
        if name.endswith("_DNA"):
            assert np.isnan(values[hit]).all(), name
            assert np.isfinite(values[~hit]).all(), name


def test_no_objects_and_very_many():
    assert all(
        len(values) == 0
        for values in measured(np.zeros((2, 3, 4), np.int32), np.zeros((2, 2, 3, 4), np.uint8)).values()
    )
    labels = np.zeros((32, 128, 128), np.int32)
    labels[::2, ::2, ::2] = np.arange(1, 65537).reshape(16, 64, 64)
    labels[30, 126, 126] = 0
    found = measured(labels, labels[None].astype(np.uint16), ("DNA",), full_scale=1)
    assert len(found["AreaShape_Volume"]) == 65535
    np.testing.assert_array_equal(found["Intensity_IntegratedIntensity_DNA"], np.arange(1, 65536))
    np.testing.assert_array_equal(found["Location_Center_Y"], np.argwhere(labels)[:, 1])


def test_what_does_not_fit_together():
    with pytest.raises(UsageError, match="3-D array"):
        volume_index(np.zeros((4, 4), np.int32))
    for options, words in (
        ({"families": ("Texture",)}, "unknown family"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"present": [True]}, "fit together"),
        ({"image": IMAGE[:, :-1]}, "fit together"),
        ({"image": None}, "need the volume's image"),
        ({"image": IMAGE.astype(float)}, "float64"),
        ({"roles": ("DNA", "DNA")}, "same role"),
    ):
        with pytest.raises(UsageError, match=words):
            measured(**options)


def test_nuclei_of_a_real_stack(shared_data):
    folder = shared_data / "images" / "stardist-sample"
    labels, image = imread(folder / "mask3d.tif").astype(np.int32), imread(folder / "img3d.tif")
    found = measured(labels, image[None], ("DNA",), full_scale=1)
    regions = regionprops(labels, image)
    assert len(regions) == 51
    for name, theirs in (
        ("AreaShape_Solidity", "solidity"),
        ("AreaShape_EulerNumber", "euler_number"),
        ("AreaShape_MajorAxisLength", "axis_major_length"),
        ("Intensity_MeanIntensity_DNA", "intensity_mean"),
    ):
        np.testing.assert_allclose(found[name], [getattr(region, theirs) for region in regions], rtol=1e-12)
