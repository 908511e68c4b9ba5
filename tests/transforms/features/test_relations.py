"""Distances between the objects of two sets that share a label, against plain distances to every edge pixel."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.label_index import label_index
from cytolake.transforms.features.relations import counterparts, distances, number_of_counterparts
from cytolake.transforms.features.relations_columns import FAMILY
from scipy import ndimage
from skimage.segmentation import find_boundaries


@pytest.fixture
def cells_and_nuclei(scene):
    """Cells, and nuclei inside most of them; some nuclei without a cell, and one far from its cell."""
    cells = scene.labels.copy()
    nuclei = np.where(ndimage.binary_erosion(cells > 0, iterations=2), cells, 0)
    cells[cells == cells.max()] = 0
    nuclei[nuclei == np.unique(nuclei)[3]] = 0
    nuclei[140:145, 3:9] = np.unique(cells)[3]
    nuclei[0:3, 160:165] = 7777
    return label_index(cells), label_index(nuclei), cells, nuclei


def reference(labels, other):
    rows = []
    edges = find_boundaries(other, mode="inner") & (other > 0)
    for label in np.unique(labels)[1:]:
        centre = np.argwhere(labels == label).mean(axis=0)
        own, edge = np.argwhere(other == label), np.argwhere(edges & (other == label))
        to_centre = np.hypot(*(own.mean(axis=0) - centre)) if len(own) else np.nan
        rows.append((to_centre, np.hypot(*(edge - centre).T).min() if len(edge) else np.nan))
    return np.array(rows).T


def test_distances_both_ways(cells_and_nuclei):
    cells, nuclei, cell_labels, nucleus_labels = cells_and_nuclei
    for one, other, labels, other_labels in (
        (nuclei, cells, nucleus_labels, cell_labels),
        (cells, nuclei, cell_labels, nucleus_labels),
    ):
        found, wanted = distances(one, other), reference(labels, other_labels)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
        assert np.isnan(found[0]).any()
        assert np.isfinite(found[0]).any()
        np.testing.assert_array_equal(number_of_counterparts(one, other), np.isfinite(found[0]))


def test_labels_decide_whatever_their_gaps():
    one, other = np.zeros((2, 6, 8), np.int32)
    one[1, 1], one[1, 4], one[4, 6] = 3, 900, 2**31 - 1
    other[5, 0], other[0, 7] = 900, 4
    found = counterparts(label_index(one), label_index(other))
    assert found.tolist() == [-1, 1, -1]
    assert counterparts(label_index(one), label_index(np.zeros((6, 8), np.int32))).tolist() == [-1, -1, -1]
    to_centre, to_edge = distances(label_index(one), label_index(other))
    assert to_centre[1] == to_edge[1] == np.hypot(4, 4)


def test_an_object_that_fills_the_field_has_no_edge():
    nucleus = np.zeros((9, 9), np.int32)
    nucleus[3:6, 3:6] = 1
    to_centre, to_edge = distances(label_index(nucleus), label_index(np.ones((9, 9), np.int32)))
    assert to_centre[0] == 0
    assert np.isnan(to_edge[0])


def test_no_objects_and_very_many():
    none = label_index(np.zeros((4, 4), np.int32))
    assert [len(values) for values in distances(none, none)] == [0, 0]
    labels = np.zeros((768, 768), np.int32)
    labels[1::3, 1::3] = np.arange(1, 256 * 256 + 1).reshape(256, 256)
    labels[-2, -2] = 0
    many = label_index(labels)
    grown = label_index(ndimage.grey_dilation(labels, (3, 3)))
    to_centre, to_edge = distances(many, grown)
    assert len(to_centre) == 65535
    assert (to_centre == 0).all()
    assert (to_edge == 1).all()


def test_the_family(cells_and_nuclei):
    cells, nuclei, _, _ = cells_and_nuclei
    field = FieldPixels(
        image=None,
        present=np.ones(0, bool),
        roles=(),
        full_scale=1.0,
        sets={"cells": cells, "nuclei": nuclei},
    )
    use = Use(object_set="nuclei", related=(("cells", "child"), ("spots", "child")))
    names = [column.name for column in FAMILY.columns(use)]
    assert names == [
        "Nuclei_Distance_Centroid_Cells",
        "Nuclei_Distance_Minimum_Cells",
        "Nuclei_Children_Cells_Count",
        "Nuclei_Distance_Centroid_Spots",
        "Nuclei_Distance_Minimum_Spots",
        "Nuclei_Children_Spots_Count",
    ]
    values = FAMILY.measure(FieldObjects(field, "nuclei"), use)
    np.testing.assert_array_equal(values[:, :2].T, distances(nuclei, cells))
    assert set(values[:, 2]) == {0, 1}
    assert np.isnan(values[:, 3:]).all()  # spots could not be made in this field
    use = Use(object_set="cells", related=(("nuclei", "parent"),))
    assert [column.name for column in FAMILY.columns(use)] == [
        "Cells_Distance_Centroid_Nuclei",
        "Cells_Distance_Minimum_Nuclei",
    ]
    assert FAMILY.measure(FieldObjects(field, "cells"), use).shape == (len(cells), 2)
    alone = Use(object_set="cells")
    assert FAMILY.columns(alone) == []
    assert FAMILY.measure(FieldObjects(field, "cells"), alone).shape == (len(cells), 0)
