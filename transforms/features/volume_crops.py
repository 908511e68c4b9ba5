"""What needs an object's neighbourhood in three dimensions: its corners, and the voxels on its edge.

An object is painted into a crop with one voxel to spare all round. A *corner* is where eight voxels meet; which of the
eight belong to the object is one of 256 cases, and the surface and the Euler number are sums over cases.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel
from .label_index import Int32Array, Int64Array
from .volume_index import VolumeIndex

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

#: ``(dz, dy, dx)`` of the voxel that each bit of a corner's case stands for.
CORNER_BITS = ((0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1))


def corner_sums(index: VolumeIndex, tables: FloatArray) -> FloatArray:
    """Sum tables over the corners of each object.

    Parameters
    ----------
    index
        The objects.
    tables : float64 (256, k)
        Value of each case; case ``c`` has the voxel ``CORNER_BITS[b]`` where bit b of c is set. Of case 0 it is 0.

    Returns
    -------
    float64 (n, k)
    """
    sums: FloatArray = _corner_sums(index.tall.run_offsets, index.tall.runs, index.bbox, index.shape[1], tables)
    return sums


def edge_voxels(index: VolumeIndex) -> tuple[Int64Array, Int32Array]:
    """Find the voxels on each object's edge: with one of six neighbours inside the volume that is not of the object.

    Returns
    -------
    offsets : int64 (n + 1,)
        Object ``k`` owns ``positions[offsets[k]:offsets[k + 1]]``.
    positions : int32
        Which of the object's voxels, counted from its first one.
    """
    tall = index.tall
    offsets, positions = _edge_voxels(tall.run_offsets, tall.runs, index.bbox, index.shape, len(tall.pixels))
    return offsets, positions


@kernel
def _largest_crop(bbox: Int32Array) -> int:
    most = 0
    for k in range(bbox.shape[0]):
        depth, height = np.int64(bbox[k, 3] - bbox[k, 0] + 2), np.int64(bbox[k, 4] - bbox[k, 1] + 2)
        most = max(most, int(depth * height * np.int64(bbox[k, 5] - bbox[k, 2] + 2)))
    return most


@kernel
def _paint(runs: Int32Array, box: Int32Array, height: int, memory: ByteArray) -> NDArray[np.uint8]:
    """Object as 1 in a crop of its box with one voxel to spare all round, uint8 (z, y, x)."""
    shape = (np.int64(box[3] - box[0] + 2), np.int64(box[4] - box[1] + 2), np.int64(box[5] - box[2] + 2))
    crop = memory[: shape[0] * shape[1] * shape[2]].reshape(shape)
    crop[:] = 0
    for i in range(runs.shape[0]):
        z, y = runs[i, 0] // height - box[0] + 1, runs[i, 0] % height - box[1] + 1
        crop[z, y, runs[i, 1] - box[2] + 1 : runs[i, 2] - box[2] + 1] = 1
    return crop


@kernel
def _corner_sums(
    run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array, height: int, tables: FloatArray
) -> FloatArray:
    n = bbox.shape[0]
    out = np.zeros((n, tables.shape[1]))
    memory = np.empty(_largest_crop(bbox), np.uint8)
    counts = np.empty(256, np.int64)
    for k in range(n):
        crop = _paint(runs[run_offsets[k] : run_offsets[k + 1]], bbox[k], height, memory)
        counts[:] = 0
        for z in range(crop.shape[0] - 1):
            for y in range(crop.shape[1] - 1):
                a, b, c, d = crop[z, y], crop[z, y + 1], crop[z + 1, y], crop[z + 1, y + 1]
                left = 0
                for x in range(1, crop.shape[2]):
                    right = a[x] + 2 * b[x] + 4 * c[x] + 8 * d[x]
                    counts[left + 16 * right] += 1
                    left = right
        for case in range(1, 256):
            for t in range(tables.shape[1]):
                out[k, t] += counts[case] * tables[case, t]
    return out


@kernel
def _edge_voxels(
    run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array, shape: tuple[int, int, int], n_voxels: int
) -> tuple[Int64Array, Int32Array]:
    n = bbox.shape[0]
    offsets = np.zeros(n + 1, np.int64)
    positions = np.empty(n_voxels, np.int32)
    memory = np.empty(_largest_crop(bbox), np.uint8)
    found = 0
    for k in range(n):
        z0, y0, x0 = bbox[k, 0] - 1, bbox[k, 1] - 1, bbox[k, 2] - 1
        crop = _paint(runs[run_offsets[k] : run_offsets[k + 1]], bbox[k], shape[1], memory)
        if z0 < 0:  # beyond the volume counts as the object itself: no edge there
            crop[0] = 1
        if y0 < 0:
            crop[:, 0] = 1
        if x0 < 0:
            crop[:, :, 0] = 1
        if bbox[k, 3] == shape[0]:
            crop[-1] = 1
        if bbox[k, 4] == shape[1]:
            crop[:, -1] = 1
        if bbox[k, 5] == shape[2]:
            crop[:, :, -1] = 1
        position = 0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            z, y = runs[i, 0] // shape[1] - z0, runs[i, 0] % shape[1] - y0
            own, above, below, before, after = (
                crop[z, y],
                crop[z - 1, y],
                crop[z + 1, y],
                crop[z, y - 1],
                crop[z, y + 1],
            )
            for x in range(runs[i, 1] - x0, runs[i, 2] - x0):
                if not (own[x - 1] & own[x + 1] & above[x] & below[x] & before[x] & after[x]):
                    positions[found] = position
                    found += 1
                position += 1
        offsets[k + 1] = found
    return offsets, positions[:found].copy()
