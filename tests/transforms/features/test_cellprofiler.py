"""One nucleus that CellProfiler itself measured, from its published mask."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from cytolake.transforms.features import radial_columns, texture_columns
from cytolake.transforms.features.families import compute
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.intensity import edge_pixels
from cytolake.transforms.features.label_index import label_index

#: The one object of the table whose mask touches no other; the others cannot be told apart in their masks.
WELL, SITE = "D7", "1"


@pytest.fixture(scope="module")
def nucleus(shared_data):
    """CellProfiler's row of one nucleus, and its label image."""
    folder = shared_data / "images/cellpainting-nf1"
    rows = pq.read_table(folder / "Plate_2_with_image_data_shrunken.parquet").to_pylist()
    row = next(r for r in rows if (r["Image_Metadata_Well_x"], str(r["Image_Metadata_Site_x"])) == (WELL, SITE))
    mask = tifffile.imread(folder / "Plate_2_masks" / "D7_01_1_1_DAPI_001_MaskNuclei.tiff") > 0
    y0, y1, x0, x1 = (
        int(row[f"Nuclei_AreaShape_BoundingBox{end}_{axis}"]) for axis in "YX" for end in ("Minimum", "Maximum")
    )
    labels = np.zeros(mask.shape, np.int32)
    labels[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
    return row, label_index(labels)


def test_every_shape_feature_is_cellprofilers(nucleus):
    row, index = nucleus
    columns, values = compute(["AreaShape"], "nuclei", index, None, [])
    for column, value in zip(columns, values[0], strict=True):
        assert value == pytest.approx(row[column.name], rel=1e-9), column.name


def test_every_zernike_moment_is_cellprofilers(nucleus):
    """Of this nucleus CellProfiler lost no pixel on the circle."""
    row, index = nucleus
    columns, values = compute(["Zernike"], "nuclei", index, None, [])
    assert len(columns) == 30
    for column, value in zip(columns, values[0], strict=True):
        assert value == pytest.approx(row[column.name], abs=1e-13), column.name


def test_the_edge_has_as_many_pixels_as_cellprofilers(nucleus):
    row, index = nucleus
    theirs = row["Nuclei_Intensity_IntegratedIntensityEdge_DAPI"] / row["Nuclei_Intensity_MeanIntensityEdge_DAPI"]
    assert len(edge_pixels(index)[1]) == pytest.approx(theirs)


def test_textures_and_distributions_are_cellprofilers(nucleus, shared_data):
    row, index = nucleus
    roles = ("DAPI", "GFP", "RFP")
    folder = shared_data / "images/cellpainting-nf1/Plate_2_images"
    image = np.stack([tifffile.imread(folder / f"D7_01_{k}_1_{role}_001.tif") for k, role in enumerate(roles, start=1)])
    scaled = image / 65535
    # CellProfiler measured after it took away a smooth background, which is not published: nearly constant over one
    # nucleus, it is what its mean intensities lack. What follows is exact for textures, which see 256 levels.
    inside = scaled.reshape(3, -1)[:, index.pixels].mean(axis=1)
    background = inside - [row[f"Nuclei_Intensity_MeanIntensity_{role}"] for role in roles]
    scaled = np.clip(scaled - background[:, None, None], 0, 1).astype(np.float32)
    field = FieldPixels(image=scaled, present=np.ones(3, bool), roles=roles, full_scale=1.0, sets={"nuclei": index})
    objects = FieldObjects(field, "nuclei")
    for family, parameters, tolerance in (
        (texture_columns.FAMILY, {"scales": (3,), "levels": 256}, 1e-9),
        (radial_columns.FAMILY, {"bins": 4, "zernike": "magnitude-and-phase"}, 2e-3),
    ):
        use = Use(object_set="nuclei", roles=roles, parameters=parameters)
        for column, value in zip(family.columns(use), family.measure(objects, use)[0], strict=True):
            assert value == pytest.approx(row[column.name], rel=tolerance, abs=tolerance), column.name
