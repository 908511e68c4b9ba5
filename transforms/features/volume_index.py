"""Where the voxels of each object of a label volume are.

A volume is a tall image, its planes one below the other: rows keep their order, and a voxel its flat position. So the
index of a label image serves, with a row number standing for plane and row. What looks across rows must not: the last
row of a plane is no neighbour of the next plane's first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..jit import read_only
from .label_index import Int32Array, Int64Array, LabelIndex, label_index


@dataclass(frozen=True, slots=True)
class VolumeIndex:
    """The objects of one label volume.

    Attributes
    ----------
    tall : LabelIndex
        Of the image (z · height, width); row ``z * height + y`` is row y of plane z.
    bbox : int32 (n, 6)
        ``(z_start, y_start, x_start, z_stop, y_stop, x_stop)``, half-open.
    shape : tuple of int
        ``(depth, height, width)``.
    """

    tall: LabelIndex
    bbox: Int32Array
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.tall)

    @property
    def run_z(self) -> Int64Array:
        """Plane of each run, int64 (r,)."""
        return self.tall.runs[:, 0].astype(np.int64) // self.shape[1]

    @property
    def run_y(self) -> Int64Array:
        """Row of each run in its plane, int64 (r,)."""
        return self.tall.runs[:, 0].astype(np.int64) % self.shape[1]


def volume_index(labels: NDArray[Any]) -> VolumeIndex:
    """Index a label volume.

    Parameters
    ----------
    labels : integer (z, y, x)
        0 is background, every other value an object. Parts of one label need not touch.

    Raises
    ------
    UsageError
        As :func:`.label_index.label_index`, for a volume.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise UsageError(f"a label volume is a 3-D array of integers, got {labels.dtype} of shape {labels.shape}")
    depth, height, width = labels.shape
    tall = label_index(np.ascontiguousarray(labels).reshape(depth * height, width))
    bbox = np.empty((len(tall), 6), np.int32)
    if len(tall):
        firsts = tall.run_offsets[:-1]
        row = tall.runs[:, 0] % height
        bbox[:, 0], bbox[:, 3] = tall.bbox[:, 0] // height, (tall.bbox[:, 2] - 1) // height + 1
        bbox[:, 1], bbox[:, 4] = np.minimum.reduceat(row, firsts), np.maximum.reduceat(row, firsts) + 1
        bbox[:, 2], bbox[:, 5] = tall.bbox[:, 1], tall.bbox[:, 3]
    return VolumeIndex(tall=tall, bbox=read_only(bbox), shape=(depth, height, width))
