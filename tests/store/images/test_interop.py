"""Others accept our plates: validators of NGFF metadata, the ome-zarr library, zarr."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from cytolake.store.images.check import check_plate
from cytolake.store.images.labels import write_label
from cytolake.store.images.plate import open_plate


@pytest.fixture
def folder(made) -> Path:
    return made.folder


def test_ome_zarr_models_accepts_every_node(folder):
    import ome_zarr_models.v05 as models
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plate = models.HCS.from_zarr(zarr.open_group(folder, mode="r"))
        assert len(plate.attributes.ome.plate.rows) == 8
        for well in ("A/01", "C/12"):
            models.Well.from_zarr(zarr.open_group(folder / well, mode="r"))
        for image in ("A/01/a1f3", "A/01/a1f7", "C/12/a1f3"):
            models.Image.from_zarr(zarr.open_group(folder / image, mode="r"))
        models.Labels.from_zarr(zarr.open_group(folder / "A/01/a1f3/labels", mode="r"))
        for name in ("nuclei_0123abcd", "cells_0123abcd"):
            models.ImageLabel.from_zarr(zarr.open_group(folder / "A/01/a1f3/labels" / name, mode="r"))


def test_yaozarrs_accepts_the_plate(folder):
    import yaozarrs

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yaozarrs.validate_zarr_store(str(folder))
        yaozarrs.validate_zarr_store(str(folder / "A/01/a1f3"))
        yaozarrs.validate_zarr_store(str(folder / "A/01/a1f3/labels/nuclei_0123abcd"))


def test_ome_zarr_reads_the_plate(made, images):
    node = open_plate(made.storage, made.path).ome_zarr()
    assert node.metadata["channel_names"] == ["channel 0", "channel 1", "channel 2"]
    # ome-zarr shows a plate as one image: the first field of each well, in its place among 8 × 12.
    whole = node.data[0]
    assert whole.shape == (2, 3, 2, 8 * 65, 12 * 70)
    np.testing.assert_array_equal(whole[..., :65, :70].compute(), made.pixels[images.keys[0]])
    np.testing.assert_array_equal(whole[..., 2 * 65 : 3 * 65, 11 * 70 :].compute(), made.pixels[images.keys[2]])


def test_ome_zarr_reads_a_field_with_its_labels(made, images):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    nodes = list(Reader(parse_url(made.folder / "A/01/a1f3"))())
    np.testing.assert_array_equal(nodes[0].data[0].compute(), made.pixels[images.keys[0]])
    labels = [node for node in nodes if "labels" in str(node.zarr)]
    assert any(np.array_equal(node.data[0].compute()[:, 0, 0], made.labels) for node in labels if node.data)


def test_others_accept_labels_of_a_stack(spoilt):
    import ome_zarr_models.v05 as models
    import yaozarrs
    import zarr
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    objects = np.zeros((2, 2, 65, 70), np.int32)
    objects[0, 1, 5:20, 5:20] = 1
    objects[1, :, 30:40, 30:60] = 2
    write_label(open_plate(spoilt.storage, spoilt.path).field("C12", 3), "nuclei_3d", objects, source={})
    image = spoilt.folder / "C/12/a1f3"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.ImageLabel.from_zarr(zarr.open_group(image / "labels/nuclei_3d", mode="r"))
        yaozarrs.validate_zarr_store(str(spoilt.folder))
        yaozarrs.validate_zarr_store(str(image / "labels/nuclei_3d"))
    labels = [node for node in Reader(parse_url(image))() if "labels" in str(node.zarr)]
    assert any(np.array_equal(node.data[0].compute()[:, 0], objects) for node in labels if node.data)
    assert check_plate(spoilt.storage, spoilt.path, deep=True) == []
