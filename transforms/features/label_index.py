"""Where the pixels of each object are: one counting sort of a label image, used by every family of features.

The label image is read once, row by row, into *runs* (stretches of one label inside one row). Sorting the runs by
label costs a fraction of sorting pixels and gives both views that the kernels need: the runs of an object from top
to bottom, for whatever has a closed form over a run, and the flat pixel positions of an object in row-major order.
Label values may have gaps; the objects are those that have a pixel, in the order of their labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..jit import kernel, read_only

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelIndex:
    """The objects of one label image.

    Attributes
    ----------
    object_ids : int32 (n,)
        Label of each object, ascending.
    offsets : int64 (n + 1,)
        Object ``k`` owns ``pixels[offsets[k]:offsets[k + 1]]``.
    pixels : int32 (m,)
        Flat positions ``y * width + x``, ascending inside an object.
    run_offsets : int64 (n + 1,)
        Object ``k`` owns ``runs[run_offsets[k]:run_offsets[k + 1]]``.
    runs : int32 (r, 3)
        ``(y, x_start, x_stop)`` of each horizontal stretch, top to bottom and left to right inside an object.
    bbox : int32 (n, 4)
        ``(y_start, x_start, y_stop, x_stop)``, half-open.
    shape : tuple of int
        ``(height, width)`` of the label image.

    The arrays are read-only: one index is shared by every family, and by threads.
    """

    object_ids: Int32Array
    offsets: Int64Array
    pixels: Int32Array
    run_offsets: Int64Array
    runs: Int32Array
    bbox: Int32Array
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.object_ids)


def label_index(labels: NDArray[Any]) -> LabelIndex:
    """Index a label image.

    Parameters
    ----------
    labels : integer (y, x)
        0 is background, every other value an object. Parts of one label need not touch.

    Raises
    ------
    UsageError
        If the image is not two-dimensional, not of an integer type, has labels that are negative or do not fit
        int32, or has more pixels than int32 can count.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise UsageError(f"a label image is a 2-D array of integers, got {labels.dtype} of shape {labels.shape}")
    if labels.size > np.iinfo(np.int32).max:
        raise UsageError(f"a label image of shape {labels.shape} has more pixels than an int32 can number")
    lowest, highest = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if lowest < 0 or highest > np.iinfo(np.int32).max:
        raise UsageError(f"labels must lie in 0 … 2147483647, found {lowest} … {highest}")

    runs, run_labels = find_runs(read_only(np.ascontiguousarray(labels, dtype=np.int32)))
    if highest <= max(labels.size, 1 << 16):
        object_ids = np.flatnonzero(np.bincount(run_labels, minlength=1)).astype(np.int32)
        rank = np.zeros(highest + 1, dtype=np.int64)
        rank[object_ids] = np.arange(len(object_ids))
        run_objects = rank[run_labels]
    else:  # few objects with huge labels: a table over all label values would not fit
        object_ids, run_objects = np.unique(run_labels, return_inverse=True)
    arrays = _sort_runs(runs, np.ascontiguousarray(run_objects, dtype=np.int64), len(object_ids), labels.shape[1])
    offsets, pixels, run_offsets, sorted_runs, bbox = (read_only(array) for array in arrays)
    return LabelIndex(
        object_ids=read_only(object_ids),
        offsets=offsets,
        pixels=pixels,
        run_offsets=run_offsets,
        runs=sorted_runs,
        bbox=bbox,
        shape=(labels.shape[0], labels.shape[1]),
    )


@kernel
def find_runs(labels: Int32Array) -> tuple[Int32Array, Int32Array]:
    """Find the runs of all labels in row-major order: ``(y, x_start, x_stop)`` and the label of each."""
    height, width = labels.shape
    count = 0
    for y in range(height):
        previous = 0
        for x in range(width):
            label = labels[y, x]
            count += label != previous and label != 0
            previous = label
    runs = np.empty((count, 3), np.int32)
    run_labels = np.empty(count, np.int32)
    found = 0
    for y in range(height):
        x = 0
        while x < width:
            label = labels[y, x]
            start = x
            x += 1
            while x < width and labels[y, x] == label:
                x += 1
            if label != 0:
                runs[found, 0] = y
                runs[found, 1] = start
                runs[found, 2] = x
                run_labels[found] = label
                found += 1
    return runs, run_labels


@kernel
def _sort_runs(
    runs: Int32Array, objects: Int64Array, n_objects: int, width: int
) -> tuple[Int64Array, Int32Array, Int64Array, Int32Array, Int32Array]:
    """Sort row-major runs by object, by counting, stable, so that each object stays in row-major order."""
    n_runs = runs.shape[0]
    run_offsets = np.zeros(n_objects + 1, np.int64)
    offsets = np.zeros(n_objects + 1, np.int64)
    bbox = np.empty((n_objects, 4), np.int32)
    for i in range(n_runs):
        k = objects[i]
        y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2]
        if run_offsets[k + 1] == 0:
            bbox[k, 0], bbox[k, 1], bbox[k, 2], bbox[k, 3] = y, start, y + 1, stop
        else:
            bbox[k, 1] = min(bbox[k, 1], start)
            bbox[k, 2] = y + 1
            bbox[k, 3] = max(bbox[k, 3], stop)
        run_offsets[k + 1] += 1
        offsets[k + 1] += stop - start
    for k in range(n_objects):
        run_offsets[k + 1] += run_offsets[k]
        offsets[k + 1] += offsets[k]

    next_run = run_offsets[:-1].copy()
    next_pixel = offsets[:-1].copy()
    sorted_runs = np.empty((n_runs, 3), np.int32)
    pixels = np.empty(offsets[n_objects], np.int32)
    for i in range(n_runs):
        k = objects[i]
        y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2]
        at = next_run[k]
        sorted_runs[at, 0], sorted_runs[at, 1], sorted_runs[at, 2] = y, start, stop
        next_run[k] = at + 1
        first = next_pixel[k]
        for x in range(start, stop):
            pixels[first + x - start] = y * width + x
        next_pixel[k] = first + stop - start
    return offsets, pixels, run_offsets, sorted_runs, bbox
