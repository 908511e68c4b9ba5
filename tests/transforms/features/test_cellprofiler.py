"""One nucleus that CellProfiler itself measured, from its published mask."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from cytolake.transforms.features.families import compute
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


def test_the_edge_has_as_many_pixels_as_cellprofilers(nucleus):
    row, index = nucleus
    theirs = row["Nuclei_Intensity_IntegratedIntensityEdge_DAPI"] / row["Nuclei_Intensity_MeanIntensityEdge_DAPI"]
    assert len(edge_pixels(index)[1]) == pytest.approx(theirs)
