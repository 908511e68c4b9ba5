from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest
from cytolake.errors import UsageError
from cytolake.schemas.validation import validate_records
from cytolake.transforms.device import Device, get_device
from cytolake.transforms.features.dictionary import dictionary_rows
from cytolake.transforms.features.families import FAMILIES, columns_of, compute
from cytolake.transforms.features.label_index import label_index

ROLES = ("DNA", "ER")
HASH = "0123456789abcdef" * 4


def small(dtype=np.uint16):
    """Two objects in a 6 x 8 field of two channels."""
    labels = np.zeros((6, 8), np.int32)
    labels[1:4, 1:4] = 2
    labels[2:5, 5:7] = 7
    image = np.arange(96, dtype=dtype).reshape(2, 6, 8) + dtype(1)
    return label_index(labels), image


def by_name(columns, values):
    return dict(zip([column.name for column in columns], values.T, strict=True))


# ---------------------------------------------------------------- columns


def test_names_follow_the_rule():
    names = [column.name for column in columns_of(["AreaShape", "Intensity", "Location"], "nuclei", ROLES)]
    assert "Nuclei_AreaShape_Area" in names
    assert "Nuclei_Intensity_MeanIntensity_DNA" in names
    assert "Nuclei_Location_CenterMassIntensity_X_ER" in names
    assert "Nuclei_Location_Center_X" in names


def test_a_set_of_two_words_keeps_its_spelling():
    assert columns_of(["AreaShape"], "lipid_Droplets", [])[0].name == "Lipid_Droplets_AreaShape_Area"


def test_how_many_columns():
    assert len(columns_of(["AreaShape"], "nuclei", ROLES)) == 25
    assert len(columns_of(["AreaShapeAdvanced"], "nuclei", ROLES)) == 53
    assert len(columns_of(["Intensity"], "nuclei", ROLES)) == 15 * 2
    assert len(columns_of(["Location"], "nuclei", ROLES)) == 2 + 6 * 2


def test_order_depends_on_neither_families_nor_channels():
    one = columns_of(["Intensity", "AreaShape"], "nuclei", ("DNA", "ER"))
    other = columns_of(["AreaShape", "Intensity"], "nuclei", ("ER", None, "DNA"))
    assert one == other


def test_names_and_order_are_those_of_a_cellprofiler_table(shared_data):
    with (shared_data / "images/cellprofiler-examplehuman/Nuclei.csv").open() as file:
        theirs = ["Nuclei_" + name for name in next(csv.reader(file))]
    ours = [column.name for column in columns_of(["AreaShape", "Intensity", "Location"], "nuclei", ("PH3", "DNA"))]
    assert set(ours) - set(theirs) == {"Nuclei_AreaShape_ConvexArea"}  # the table is of an older CellProfiler
    assert [name for name in theirs if name in ours] == [name for name in ours if name in theirs]
    not_yet = {name for name in theirs if name.startswith(("Nuclei_AreaShape", "Nuclei_Intensity"))} - set(ours)
    assert all("Zernike" in name for name in not_yet)


def test_columns_of_are_the_columns_of_compute():
    index, image = small()
    columns, values = compute(tuple(FAMILIES), "nuclei", index, image, ROLES)
    assert columns == columns_of(tuple(FAMILIES), "nuclei", ROLES)
    assert values.shape == (2, len(columns))
    assert values.dtype == np.float64


def test_a_family_may_measure_some_channels_only():
    index, image = small()
    columns, values = compute({"Intensity": ["ER"], "Location": None}, "nuclei", index, image, ROLES)
    roles = {(column.family, column.channel_role) for column in columns}
    assert roles == {("Intensity", "ER"), ("Location", None), ("Location", "DNA"), ("Location", "ER")}
    assert by_name(columns, values)["Nuclei_Intensity_MaxIntensity_ER"][0] == pytest.approx((48 + 28) / 65535)


def test_a_channel_without_a_role_is_not_measured():
    index, image = small()
    columns, values = compute(["Intensity"], "nuclei", index, image, (None, "ER"))
    assert {column.channel_role for column in columns} == {"ER"}
    everything = by_name(*compute(["Intensity"], "nuclei", index, image, ROLES))
    for name, column in by_name(columns, values).items():
        np.testing.assert_array_equal(column, everything[name])


def test_shape_needs_no_image():
    index, _ = small()
    columns, values = compute(["AreaShape"], "nuclei", index, None, [])
    np.testing.assert_array_equal(by_name(columns, values)["Nuclei_AreaShape_Area"], [9, 6])


# ---------------------------------------------------------------- what is undefined is NaN, with a reason


def test_every_undefined_value_has_a_reason_in_the_dictionary(scene):
    columns, values = compute(tuple(FAMILIES), "nuclei", label_index(scene.labels), scene.image, scene.roles)
    undefined = [column for column, value in zip(columns, values.T, strict=True) if np.isnan(value).any()]
    assert {"Orientation", "Eccentricity", "FormFactor"} <= {column.operator for column in undefined}
    assert not np.isinf(values).any()
    for column in undefined:
        assert " NULL " in column.definition, column.name


def test_no_objects():
    columns, values = compute(tuple(FAMILIES), "nuclei", label_index(np.zeros((6, 8), np.int32)), small()[1], ROLES)
    assert values.shape == (0, len(columns))


def test_a_missing_channel_is_nan_and_the_others_are_as_before():
    index, image = small()
    families = ("AreaShape", "Intensity", "Location")
    complete = by_name(*compute(families, "nuclei", index, image, ROLES))
    columns, values = compute(families, "nuclei", index, image, ROLES, present=[True, False])
    for column, value in zip(columns, values.T, strict=True):
        if column.channel_role == "ER":
            assert np.isnan(value).all(), column.name
        else:
            np.testing.assert_array_equal(value, complete[column.name], err_msg=column.name)


@pytest.mark.parametrize("pixel", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_spoils_its_object_and_channel_only(pixel):
    index, image = small(np.float32)
    clean = by_name(*compute(["Intensity"], "nuclei", index, image, ROLES))
    image[1, 2, 2] = pixel
    columns, values = compute(["Intensity"], "nuclei", index, image, ROLES)
    for column, value in zip(columns, values.T, strict=True):
        spoilt = column.channel_role == "ER"
        assert np.isnan(value[0]) == spoilt, column.name
        assert value[1] == clean[column.name][1], column.name


def test_a_black_object_has_no_centre_of_mass():
    index, image = small()
    image[0] = 0
    ours = by_name(*compute(["Intensity", "Location"], "nuclei", index, image, ROLES))
    for name in ("Location_CenterMassIntensity_X", "Location_CenterMassIntensity_Z", "Intensity_MassDisplacement"):
        assert np.isnan(ours[f"Nuclei_{name}_DNA"]).all()
        assert not np.isnan(ours[f"Nuclei_{name}_ER"]).any()
    assert (ours["Nuclei_Intensity_StdIntensity_DNA"] == 0).all()


def test_an_object_that_fills_the_image_has_no_edge():
    index = label_index(np.full((4, 5), 3, np.int32))
    columns, values = compute(["Intensity"], "cells", index, np.ones((1, 4, 5), np.uint8), ("DNA",))
    for column, value in zip(columns, values.T, strict=True):
        assert np.isnan(value[0]) == ("Edge" in column.operator), column.name


# ---------------------------------------------------------------- intensity scale


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_full_scale_is_that_of_the_pixel_type(dtype, top):
    index, image = small(dtype)
    ours = by_name(*compute(["Intensity"], "nuclei", index, image, ROLES))
    assert ours["Nuclei_Intensity_MaxIntensity_DNA"][0] == pytest.approx(28 / top)


def test_full_scale_can_be_said_and_does_not_touch_places():
    index, image = small()
    columns, values = compute(["Intensity", "Location"], "nuclei", index, image, ROLES, full_scale=4095)
    stored = compute(["Intensity", "Location"], "nuclei", index, image, ROLES, full_scale=1)[1]
    for column, value, grey in zip(columns, values.T, stored.T, strict=True):
        factor = 4095 if column.unit == "{intensity}" else 1
        np.testing.assert_allclose(value * factor, grey, rtol=1e-14, err_msg=column.name)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("families", "roles", "says"),
    [
        (["Texture!"], ROLES, "unknown feature family 'Texture!'"),
        (["Intensity"], ("DNA", "DNA"), "two channels have the role DNA"),
        ({"Intensity": ["Mito"]}, ROLES, "asks for the role Mito, the channels have DNA, ER"),
    ],
)
def test_what_cannot_be_named_is_refused(families, roles, says):
    index, image = small()
    with pytest.raises(UsageError, match=says):
        compute(families, "nuclei", index, image, roles)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": np.zeros((2, 6, 9), np.uint16)}, r"\(c, 6, 8\)"),
        ({"image": np.zeros((2, 6, 8), np.int32)}, "int32"),
        ({"image": np.zeros((3, 6, 8), np.uint16)}, "3 channels, 2 roles"),
        ({"image": None}, "need the field's image"),
        ({"present": [True]}, "1 present flags"),
        ({"full_scale": 0}, "full_scale"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, says):
    index, image = small()
    arguments = {"image": image} | change
    with pytest.raises(UsageError, match=says):
        compute(["Intensity"], "nuclei", index, arguments.pop("image"), ROLES, **arguments)


# ---------------------------------------------------------------- dictionary and device


def test_dictionary_rows():
    columns = columns_of(tuple(FAMILIES), "nuclei", ROLES)
    rows = dictionary_rows(columns, feature_set_hash=HASH, run_id="run-1")
    assert len({row["column"] for row in rows}) == len(rows) == len(columns)
    row = next(row for row in rows if row["column"] == "Nuclei_Intensity_MeanIntensity_DNA")
    assert row["feature_set_hash"] == HASH
    assert row["run_id"] == "run-1"
    assert (row["object_set"], row["family"], row["operator"]) == ("nuclei", "Intensity", "MeanIntensity")
    assert row["channel_role"] == "DNA"
    assert row["second_channel_role"] is None
    assert row["scale"] is None
    assert row["unit"] == "{intensity}"
    assert row["aliases"][:2] == ["cp_measure:Intensity_MeanIntensity", "scikit-image:intensity_mean"]
    assert {"nyxus:MEAN", "harmony:Intensity Nucleus DNA Mean"} <= set(row["aliases"])
    assert validate_records("Feature", rows) == []
    for row in rows:
        assert row["definition"].endswith(".")
        assert row["source"]
        assert row["unit"]


def test_families_without_a_cuda_implementation_run_on_the_cpu():
    index, image = small()
    on_cuda = Device("cuda", np)
    for device in (None, get_device("cpu"), on_cuda):
        columns, values = compute(["AreaShape"], "nuclei", index, image, ROLES, device=device)
        assert by_name(columns, values)["Nuclei_AreaShape_Area"][0] == 9


def test_reading_the_registry_loads_no_kernels():
    code = (
        "import sys; from cytolake.transforms.features.families import FAMILIES, columns_of; "
        "columns_of(tuple(FAMILIES), 'nuclei', ['DNA']); "
        "sys.exit([name for name in ('numba', 'scipy', 'skimage') if name in sys.modules] or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
