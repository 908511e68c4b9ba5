"""Intensity and Location of objects in a volume.

What does not look across rows (sums, extremes, quartiles, MAD) is measured as in an image, planes one below the other.
The edge has six neighbours, and places have a plane.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jit import kernel, read_only
from .intensity import channel_measures
from .label_index import Int32Array, Int64Array
from .volume_crops import edge_voxels
from .volume_index import VolumeIndex
from .volume_shape import Spacing, centroids

FloatArray = NDArray[np.float64]


def volume_intensity(
    index: VolumeIndex,
    image: NDArray[Any],
    present: NDArray[np.bool_],
    full_scale: float | None,
    spacing: Spacing = (1.0, 1.0, 1.0),
    *,
    edges: tuple[Int64Array, Int32Array] | None = None,
) -> dict[str, FloatArray]:
    """Measure every channel of a volume inside every object.

    Parameters
    ----------
    index
        The objects.
    image : uint8, uint16 or float32 (c, z, y, x)
        The volume, all channels.
    present : bool (c,)
        Channels to measure; the others come out NaN.
    full_scale
        Grey value that becomes intensity 1.0. None: as :func:`.intensity.channel_measures`.
    spacing
        Distance of neighbouring voxels along (z, y, x), in pixels of the x axis.
    edges
        What :func:`.volume_crops.edge_voxels` gives; found here where it is not given.

    Returns
    -------
    dict
        Operator name, of Intensity and of Location, to float64 (n, c); NaN where undefined.
    """
    channels = image.shape[0]
    height = index.shape[1]
    tall = read_only(np.ascontiguousarray(image).reshape(channels, -1, index.shape[2]))
    edges = edge_voxels(index) if edges is None else edges
    measured = channel_measures(index.tall, tall, present, full_scale, edges=edges)
    measures = {name: measured[name] for name in INTENSITIES}

    # The brightest voxel: its row in the tall image is plane and row.
    row = measured["MaxIntensity_Y"]
    measures["MaxIntensity_X"] = measured["MaxIntensity_X"]
    measures["MaxIntensity_Y"], measures["MaxIntensity_Z"] = row % height, row // height

    corner = index.bbox[:, None, :3].astype(np.float64)
    sums = _weighted_sums(index.tall.run_offsets, index.tall.runs, index.bbox, height, tall, read_only(present))
    with np.errstate(divide="ignore", invalid="ignore"):
        centre: FloatArray = np.where(sums[..., :1] != 0, sums[..., 1:] / sums[..., :1], np.nan) + corner
    centre[np.isnan(measured["MeanIntensity"])] = np.nan
    for i, axis in enumerate("ZYX"):
        measures[f"CenterMassIntensity_{axis}"] = centre[..., i]
    way = (centre - centroids(index)[:, None, :]) * spacing
    measures["MassDisplacement"] = np.sqrt((way * way).sum(axis=2))
    return measures


#: Measures that an image and a volume have in common.
INTENSITIES = (
    "IntegratedIntensity",
    "IntegratedIntensityEdge",
    "LowerQuartileIntensity",
    "MADIntensity",
    "MaxIntensity",
    "MaxIntensityEdge",
    "MeanIntensity",
    "MeanIntensityEdge",
    "MedianIntensity",
    "MinIntensity",
    "MinIntensityEdge",
    "StdIntensity",
    "StdIntensityEdge",
    "UpperQuartileIntensity",
)


@kernel
def _weighted_sums(
    run_offsets: Int64Array,
    runs: Int32Array,
    bbox: Int32Array,
    height: int,
    image: NDArray[Any],
    present: NDArray[np.bool_],
) -> FloatArray:
    """Σ g, Σ g·z, Σ g·y and Σ g·x over each object's voxels, places counted from its box; float64 (n, c, 4)."""
    n, channels = bbox.shape[0], image.shape[0]
    out = np.full((n, channels, 4), np.nan)
    for k in range(n):
        for c in range(channels):
            if not present[c]:
                continue
            total, total_z, total_y, total_x = 0.0, 0.0, 0.0, 0.0
            for i in range(run_offsets[k], run_offsets[k + 1]):
                line = image[c, runs[i, 0], runs[i, 1] : runs[i, 2]]
                of_run, along = 0.0, 0.0
                for x in range(line.shape[0]):
                    of_run += line[x]
                    along += np.float64(line[x]) * x
                total += of_run
                total_z += of_run * (runs[i, 0] // height - bbox[k, 0])
                total_y += of_run * (runs[i, 0] % height - bbox[k, 1])
                total_x += of_run * (runs[i, 1] - bbox[k, 2]) + along
            out[k, c, 0], out[k, c, 1], out[k, c, 2], out[k, c, 3] = total, total_z, total_y, total_x
    return out
