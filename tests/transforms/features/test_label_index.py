from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import UsageError
from cytolake.transforms.features.label_index import label_index
from numpy.testing import assert_array_equal


def test_pixels_runs_and_boxes_are_those_of_the_label_image(scene):
    index = label_index(scene.labels)
    assert_array_equal(index.object_ids, np.unique(scene.labels)[1:])
    flat = scene.labels.ravel()
    for k, label in enumerate(index.object_ids):
        own = index.pixels[index.offsets[k] : index.offsets[k + 1]]
        assert_array_equal(own, np.flatnonzero(flat == label))
        runs = index.runs[index.run_offsets[k] : index.run_offsets[k + 1]]
        from_runs = np.concatenate([y * scene.labels.shape[1] + np.arange(start, stop) for y, start, stop in runs])
        assert_array_equal(from_runs, own)
        y, x = np.nonzero(scene.labels == label)
        assert_array_equal(index.bbox[k], [y.min(), x.min(), y.max() + 1, x.max() + 1])


def test_a_run_ends_at_the_end_of_a_row():
    labels = np.zeros((2, 3), np.int32)
    labels[0, 2] = labels[1, 0] = 4
    index = label_index(labels)
    assert_array_equal(index.runs, [[0, 2, 3], [1, 0, 1]])


def test_no_objects():
    index = label_index(np.zeros((5, 4), np.int32))
    assert len(index) == 0
    assert index.pixels.shape == (0,)
    assert index.bbox.shape == (0, 4)
    assert_array_equal(index.offsets, [0])


def test_an_image_without_pixels():
    assert len(label_index(np.zeros((0, 4), np.int32))) == 0


def test_huge_labels_need_no_huge_table():
    labels = np.zeros((4, 4), np.int32)
    labels[1, 1:3] = 2**31 - 1
    labels[3, 0] = 17
    index = label_index(labels)
    assert_array_equal(index.object_ids, [17, 2**31 - 1])
    assert_array_equal(index.offsets, [0, 1, 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_other_integer_types(dtype):
    labels = np.zeros((4, 4), dtype)
    labels[1, 1:3] = 200
    assert_array_equal(label_index(labels).object_ids, [200])


def test_arrays_are_read_only():
    index = label_index(np.ones((2, 2), np.int32))
    for name in ("object_ids", "offsets", "pixels", "run_offsets", "runs", "bbox"):
        assert not getattr(index, name).flags.writeable, name


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.zeros((2, 2, 2), np.int32), "2-D"),
        (np.zeros((2, 2)), "float64"),
        (np.array([[-1, 0]]), "-1"),
        (np.array([[2**31]]), "2147483648"),
    ],
)
def test_what_is_no_label_image_is_refused(labels, says):
    with pytest.raises(UsageError, match=says):
        label_index(labels)
