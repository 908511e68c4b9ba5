"""AreaShape of objects in a volume, with the names that CellProfiler has for three dimensions.

Counts, places and boxes are in voxels. Lengths and the surface are in pixels of the x axis, with the steps along z and
y counted by ``spacing``; a spacing of (1, 1, 1) gives CellProfiler's numbers.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .label_index import Int32Array
from .volume_crops import CORNER_BITS, corner_sums
from .volume_index import VolumeIndex

FloatArray = NDArray[np.float64]
Spacing = tuple[float, float, float]

#: A voxel centre this far outside the convex hull is on it; the hull's own rounding is far smaller, and the next
#: place that a centre can have far larger.
_ON_THE_HULL = 1e-8
#: A variance below this share of the largest is rounding.
_FLAT = 1e-12
#: Middles of a voxel's six faces.
_FACES = np.array([step for step in product((-0.5, 0, 0.5), repeat=3) if sum(map(abs, step)) == 0.5])


def volume_shape(index: VolumeIndex, spacing: Spacing = (1.0, 1.0, 1.0)) -> dict[str, FloatArray]:
    """Measure AreaShape of every object.

    Parameters
    ----------
    index
        The objects.
    spacing
        Distance of neighbouring voxels along (z, y, x), in pixels of the x axis.

    Returns
    -------
    dict
        Operator name to float64 (n,).
    """
    box, box_volume = index.bbox.astype(np.float64), _box_volumes(index)
    volume, centre, covariance = _moments(index)
    steps = np.array(spacing)
    variances = np.linalg.eigvalsh(covariance * steps[:, None] * steps) if len(index) else np.empty((0, 3))
    variances[variances < _FLAT * variances[:, 2:]] = 0  # objects in one plane or line, but for rounding
    corners = corner_sums(index, np.stack([_surfaces(spacing), _euler_numbers()], axis=1))
    measures = {
        "Volume": volume,
        "SurfaceArea": corners[:, 0],
        "BoundingBoxVolume": box_volume,
        "EquivalentDiameter": np.cbrt(6 * volume * math.prod(spacing) / math.pi),
        "EulerNumber": np.rint(corners[:, 1]),
        "Extent": volume / box_volume,
        # An ellipsoid has a fifth of its squared half axis as variance.
        "MajorAxisLength": np.sqrt(20 * variances[:, 2]),
        "MinorAxisLength": np.sqrt(20 * variances[:, 0]),
        "Solidity": solidity(index),
    }
    for i, axis in enumerate("ZYX"):
        measures[f"Center_{axis}"] = centre[:, i]
        measures[f"BoundingBoxMinimum_{axis}"] = box[:, i]
        measures[f"BoundingBoxMaximum_{axis}"] = box[:, i + 3]
    return measures


def solidity(index: VolumeIndex) -> FloatArray:
    """Voxels of every object over those of its convex hull, float64 (n,)."""
    return np.asarray(np.diff(index.tall.offsets) / _convex_volumes(index))


def centroids(index: VolumeIndex) -> FloatArray:
    """Mean ``(z, y, x)`` of the voxels of every object, float64 (n, 3)."""
    return _moments(index)[1]


def _moments(index: VolumeIndex) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Volume (n,), centroid (n, 3) and covariance (n, 3, 3) in voxels, axes in the order z, y, x.

    Sums over a run have a closed form. Taken from the corner of the bounding box they are whole numbers that float64
    holds, so that only the last steps round.
    """
    tall, n = index.tall, len(index)
    if n == 0:
        return np.empty(0), np.empty((0, 3)), np.empty((0, 3, 3))
    firsts = tall.run_offsets[:-1]
    corner = np.repeat(index.bbox[:, :3].astype(np.int64), np.diff(tall.run_offsets), axis=0)
    z, y = index.run_z - corner[:, 0], index.run_y - corner[:, 1]
    start, stop = tall.runs[:, 1] - corner[:, 2], tall.runs[:, 2] - corner[:, 2]
    length = stop - start
    sum_x = (start + stop - 1) * length // 2
    sum_xx = ((stop - 1) * stop * (2 * stop - 1) - (start - 1) * start * (2 * start - 1)) // 6

    def total(of_run: NDArray[np.int64]) -> FloatArray:
        return np.add.reduceat(of_run, firsts).astype(np.float64)

    volume = total(length)
    first = np.stack([total(z * length), total(y * length), total(sum_x)], axis=1)
    second = np.empty((n, 3, 3))
    second[:, 0, 0], second[:, 1, 1], second[:, 2, 2] = total(z * z * length), total(y * y * length), total(sum_xx)
    second[:, 0, 1] = second[:, 1, 0] = total(z * y * length)
    second[:, 0, 2] = second[:, 2, 0] = total(z * sum_x)
    second[:, 1, 2] = second[:, 2, 1] = total(y * sum_x)
    mean = first / volume[:, None]
    # V · Σxy - Σx · Σy, divided once: nothing cancels but whole numbers.
    covariance = (volume[:, None, None] * second - first[:, :, None] * first[:, None, :]) / (
        volume[:, None, None] * volume[:, None, None]
    )
    return volume, mean + index.bbox[:, :3], covariance


@cache
def _euler_numbers() -> FloatArray:
    """Share of a corner in the Euler number of closed voxels (parts are 26-connected), float64 (256,).

    Corners - edges + faces - voxels, where an edge counts half at each of its ends, a face a quarter at each of its
    corners and a voxel an eighth.
    """
    table = np.zeros(256)
    for case in range(256):
        there = [bits for b, bits in enumerate(CORNER_BITS) if case >> b & 1]
        shares = {0: 1.0, 1: -1 / 2, 2: 1 / 4, 3: -1 / 8}
        for fixed in product((None, 0, 1), repeat=3):  # a corner, edge, face or voxel is given by the sides it is on
            pairs = [(axis, side) for axis, side in enumerate(fixed) if side is not None]
            if any(all(bits[axis] == side for axis, side in pairs) for bits in there):
                table[case] += shares[len(pairs)]
    return table


@cache
def _triangles(case: int) -> FloatArray:
    """Triangles of the surface in a corner's case, float64 (t, 3, 3), vertices ``(z, y, x)``.

    As CellProfiler calls for them: marching cubes (T. Lewiner and others, Journal of Graphics Tools 8 (2003) 1-15) at
    level 0 of a volume of zeros and ones, which runs through the centres of the voxels outside.
    """
    from skimage.measure import marching_cubes

    cube = np.zeros((2, 2, 2), np.float32)
    for b, bits in enumerate(CORNER_BITS):
        cube[bits] = case >> b & 1
    vertices, faces, _, _ = marching_cubes(cube, level=0, method="lewiner")
    triangles: FloatArray = vertices[faces].astype(np.float64)
    return triangles


@cache
def _surfaces(spacing: Spacing) -> FloatArray:
    """Area of the surface in each of a corner's cases, float64 (256,)."""
    table = np.zeros(256)
    for case in range(1, 255):
        a, b, c = np.moveaxis(_triangles(case) * spacing, 1, 0)
        table[case] = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    return table


def _box_volumes(index: VolumeIndex) -> FloatArray:
    """Count the voxels in the box of every object, float64 (n,)."""
    return np.asarray(np.prod(index.bbox[:, 3:].astype(np.float64) - index.bbox[:, :3], axis=1))


def _convex_volumes(index: VolumeIndex) -> FloatArray:
    """Count the voxel centres in the convex hull of the middles of the voxels' faces, float64 (n,)."""
    out = np.diff(index.tall.offsets).astype(np.float64)
    z, y = index.run_z, index.run_y
    for k in np.flatnonzero(out != _box_volumes(index)):  # a box is its own hull
        own = slice(index.tall.run_offsets[k], index.tall.run_offsets[k + 1])
        corner = index.bbox[k, :3]
        x = np.concatenate([index.tall.runs[own, 1], index.tall.runs[own, 2] - 1])  # only ends can be corners
        ends = np.stack([np.tile(z[own], 2), np.tile(y[own], 2), x], axis=1)
        out[k] = _voxels_in_hull(ends - corner, index.bbox[k, 3:] - corner)
    return out


def _voxels_in_hull(points: NDArray[np.integer], size: Int32Array) -> int:
    """Count the voxel centres of a box in the hull of the middles of the faces of some of its voxels."""
    from scipy.spatial import ConvexHull

    hull = ConvexHull((points[:, None, :] + _FACES).reshape(-1, 3))
    planes = np.unique(hull.equations, axis=0)  # the triangles of one facet have one plane
    z, y = np.mgrid[: size[0], : size[1]].reshape(2, -1)
    along_z, along_y, along_x, constant = planes.T
    offset = along_z[:, None] * z + along_y[:, None] * y + constant[:, None]  # plus along_x · x: at most 0 inside
    flat = np.abs(along_x) < 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (_ON_THE_HULL - offset) / along_x[:, None]
    last = np.where(along_x[:, None] > 0, crossing, np.inf)[~flat].min(axis=0)
    first = np.where(along_x[:, None] < 0, crossing, -np.inf)[~flat].max(axis=0)
    inside = (offset[flat] <= _ON_THE_HULL).all(axis=0)
    count = np.floor(np.minimum(last, size[2] - 1)) - np.ceil(np.maximum(first, 0)) + 1
    return int(np.where(inside, np.maximum(count, 0), 0).sum())
