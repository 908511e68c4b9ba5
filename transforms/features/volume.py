"""Features of objects in a volume: AreaShape, Intensity and Location in three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .dictionary import FeatureColumn
from .family import PIXEL_TYPES, Use
from .volume_columns import VOLUME_FAMILIES

if TYPE_CHECKING:
    from .label_index import Int32Array, Int64Array
    from .volume_index import VolumeIndex
    from .volume_shape import Spacing

FloatArray = NDArray[np.float64]


class VolumeMeasures:
    """The features of one object set, filled in channel by channel: a stack of all channels may not fit into memory.

    Parameters
    ----------
    index
        The objects.
    columns
        What to measure; columns of families for volumes. Those of the objects themselves are measured at once.
    spacing
        Distance of neighbouring voxels along (z, y, x) in pixels of the x axis: (0.5 µm, 0.1 µm, 0.1 µm) is (5, 1, 1).
        Lengths and the surface count it; places, boxes and numbers of voxels do not.

    Attributes
    ----------
    values : float64 (n, k)
        One row per object in the order of its label, one column for each of ``columns``; NaN where a feature is
        undefined, for the reason that its column's definition gives, and where its channel was not added.

    Raises
    ------
    UsageError
        The spacing is not three positive numbers.
    """

    def __init__(self, index: VolumeIndex, columns: Sequence[FeatureColumn], spacing: Spacing) -> None:
        from .volume_shape import centroids, volume_shape

        if len(spacing) != 3 or not all(0 < step < np.inf for step in spacing):
            raise UsageError(f"the spacing of a volume is three positive numbers (z, y, x), got {spacing}")
        self._index = index
        self._columns = columns
        self._spacing = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
        self._edges: tuple[Int64Array, Int32Array] | None = None
        self.values: FloatArray = np.full((len(index), len(columns)), np.nan)
        wanted = {column.family for column in columns if column.channel_role is None}
        measures: dict[tuple[str, str], FloatArray] = {}
        if "AreaShape" in wanted:
            shape = volume_shape(index, self._spacing)
            measures |= {("AreaShape", name): values for name, values in shape.items()}
        if "Location" in wanted:
            centre = centroids(index)
            measures |= {("Location", f"Center_{axis}"): centre[:, i] for i, axis in enumerate("ZYX")}
        for k, column in enumerate(columns):
            if column.channel_role is None:
                self.values[:, k] = measures[column.family, column.operator]

    def add(self, role: str, stack: NDArray[Any], full_scale: float | None = None) -> None:
        """Measure one channel.

        Parameters
        ----------
        role
            Which; one that no column asks for costs nothing.
        stack : uint8, uint16 or float32 (z, y, x)
            Its voxels.
        full_scale
            Grey value that becomes intensity 1.0. None: 255 or 65535 by the type, and 1.0 for floats.

        Raises
        ------
        UsageError
            The stack is not of the labels' shape, or its type is none of the three.
        """
        from .volume_crops import edge_voxels
        from .volume_intensity import volume_intensity

        own = [(k, column.operator) for k, column in enumerate(self._columns) if column.channel_role == role]
        if not own:
            return
        if stack.dtype not in PIXEL_TYPES:
            raise UsageError(f"pixels are uint8, uint16 or float32, got {stack.dtype}")
        if stack.shape != self._index.shape:
            raise UsageError(
                f"a stack of shape {stack.shape} and labels of shape {self._index.shape} do not fit together"
            )
        if self._edges is None:
            self._edges = edge_voxels(self._index)
        measured = volume_intensity(self._index, stack, full_scale=full_scale, spacing=self._spacing, edges=self._edges)
        for k, operator in own:
            self.values[:, k] = measured[operator]


def volume_columns(
    object_set: str, roles: Sequence[str | None], families: Sequence[str] = tuple(VOLUME_FAMILIES)
) -> list[FeatureColumn]:
    """List the columns that :func:`volume_features` makes, without computing them, sorted by name.

    Raises
    ------
    UsageError
        A family is unknown, or two channels have the same role.
    """
    named = tuple(role for role in roles if role is not None)
    if len(set(named)) < len(named):
        raise UsageError(f"two channels have the same role, so that their features would share their names: {named}")
    columns: list[FeatureColumn] = []
    for name in families:
        if name not in VOLUME_FAMILIES:
            raise UsageError(f"unknown family {name!r} for volumes", hint=f"Families: {', '.join(VOLUME_FAMILIES)}.")
        columns += VOLUME_FAMILIES[name].columns(Use(object_set=object_set, roles=named))
    return sorted(columns, key=lambda column: column.name)


def volume_features(
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    roles: Sequence[str | None],
    *,
    object_set: str,
    families: Sequence[str] = tuple(VOLUME_FAMILIES),
    spacing: Spacing = (1.0, 1.0, 1.0),
    full_scale: float | None = None,
    present: Sequence[bool] | NDArray[np.bool_] | None = None,
) -> tuple[list[FeatureColumn], FloatArray]:
    """Measure every object of a label volume.

    Parameters
    ----------
    labels : integer (z, y, x)
        0 is background, every other value an object; gaps are allowed.
    image : uint8, uint16 or float32 (c, z, y, x)
        All channels. None is enough where no channel has a role.
    roles
        Role of each channel; None where it has none, and is not measured.
    object_set
        Name of the object set, in lower case (``nuclei``).
    families
        What to measure.
    spacing, full_scale
        As :class:`VolumeMeasures`.
    present : bool (c,)
        False for channels that the volume lacks: their features are NaN. None: all there.

    Returns
    -------
    columns : list of FeatureColumn
        As :func:`volume_columns`.
    values : float64 (n, k)
        As :class:`VolumeMeasures`.

    Raises
    ------
    UsageError
        As :func:`volume_columns`; labels are no volume, or image, labels, roles and ``present`` do not fit together,
        the image's type is none of the three, or the spacing is not three positive numbers.
    """
    from .volume_index import volume_index

    columns = volume_columns(object_set, roles, families)
    measures = VolumeMeasures(volume_index(labels), columns, spacing)
    if any(column.channel_role for column in columns):
        if image is None:
            raise UsageError("families that measure channels need the volume's image")
        there = np.ones(len(roles), np.bool_) if present is None else np.asarray(present, dtype=np.bool_)
        if image.shape != (len(roles), *labels.shape) or len(there) != len(roles):
            raise UsageError(
                f"an image of shape {image.shape}, labels of shape {labels.shape}, {len(roles)} roles and {len(there)} "
                "present flags do not fit together"
            )
        for role, stack, is_there in zip(roles, image, there, strict=True):
            if role is not None and is_there:
                measures.add(role, stack, full_scale)
    return columns, measures.values
