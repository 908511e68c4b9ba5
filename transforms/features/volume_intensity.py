"""Intensity and Location of objects in a volume.

What does not look across rows (sums, extremes, quartiles, MAD) is measured as in an image, planes one below the other.
The edge has six neighbours, and places have a plane.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only
from .intensity import MEASURES, channel_measures
from .label_index import Int32Array, Int64Array
from .volume_index import VolumeIndex
from .volume_shape import Spacing, centroids

FloatArray = NDArray[np.float64]


def volume_intensity(
    index: VolumeIndex,
    stack: NDArray[Any],
    *,
    full_scale: float | None,
    spacing: Spacing,
    edges: tuple[Int64Array, Int32Array],
) -> dict[str, FloatArray]:
    """Measure one channel of a volume inside every object.

    Parameters
    ----------
    index
        The objects.
    stack : uint8, uint16 or float32 (z, y, x)
        The channel.
    full_scale
        Grey value that becomes intensity 1.0. None: as :func:`.intensity.channel_measures`.
    spacing
        Distance of neighbouring voxels along (z, y, x), in pixels of the x axis.
    edges
        What :func:`.volume_crops.edge_voxels` gives, which no channel changes.

    Returns
    -------
    dict
        Operator name, of Intensity and of Location, to float64 (n,); NaN where undefined.
    """
    height = index.shape[1]
    tall = read_only(np.ascontiguousarray(stack).reshape(-1, index.shape[2]))
    found = channel_measures(index.tall, tall[np.newaxis], np.ones(1, np.bool_), full_scale, edges=edges)
    measures = {name: found[name][:, 0] for name in MEASURES}  # but for places and displacement, which follow

    # The brightest voxel: its row in the tall image is plane and row.
    row = measures["MaxIntensity_Y"]
    measures["MaxIntensity_Y"], measures["MaxIntensity_Z"] = row % height, row // height

    corner = index.bbox[:, :3].astype(np.float64)
    sums = _weighted_sums(index.tall.run_offsets, index.tall.runs, index.bbox, height, tall)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre: FloatArray = np.where(sums[:, :1] != 0, sums[:, 1:] / sums[:, :1], np.nan) + corner
    centre[np.isnan(measures["MeanIntensity"])] = np.nan
    for i, axis in enumerate("ZYX"):
        measures[f"CenterMassIntensity_{axis}"] = centre[:, i]
    way = (centre - centroids(index)) * spacing
    measures["MassDisplacement"] = np.sqrt((way * way).sum(axis=1))
    return measures


@kernel
def _weighted_sums(
    run_offsets: Int64Array, runs: Int32Array, bbox: Int32Array, height: int, tall: NDArray[Any]
) -> FloatArray:
    """Σ g, Σ g·z, Σ g·y and Σ g·x over each object's voxels, places counted from its box; float64 (n, 4)."""
    n = bbox.shape[0]
    out = np.empty((n, 4))
    for k in range(n):
        total, total_z, total_y, total_x = 0.0, 0.0, 0.0, 0.0
        for i in range(run_offsets[k], run_offsets[k + 1]):
            line = tall[runs[i, 0], runs[i, 1] : runs[i, 2]]
            of_run, along = 0.0, 0.0
            for x in range(line.shape[0]):
                of_run += line[x]
                along += np.float64(line[x]) * x
            total += of_run
            total_z += of_run * (runs[i, 0] // height - bbox[k, 0])
            total_y += of_run * (runs[i, 0] % height - bbox[k, 1])
            total_x += of_run * (runs[i, 1] - bbox[k, 2]) + along
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = total, total_z, total_y, total_x
    return out
