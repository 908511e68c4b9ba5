"""Features of objects in a volume: AreaShape, Intensity and Location in three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .dictionary import FeatureColumn, Operator, feature_column
from .volume_columns import VOLUME_INTENSITY, VOLUME_LOCATION, VOLUME_LOCATION_OF_OBJECT, VOLUME_SHAPE

if TYPE_CHECKING:
    from .volume_shape import Spacing

FloatArray = NDArray[np.float64]
VolumeFamily = Literal["AreaShape", "Intensity", "Location"]

_PIXEL_TYPES = (np.uint8, np.uint16, np.float32)
_OF_OBJECT: Mapping[str, Sequence[Operator]] = {"AreaShape": VOLUME_SHAPE, "Location": VOLUME_LOCATION_OF_OBJECT}
_OF_CHANNEL: Mapping[str, Sequence[Operator]] = {"Intensity": VOLUME_INTENSITY, "Location": VOLUME_LOCATION}


def volume_columns(
    object_set: str, roles: Sequence[str | None], families: Sequence[VolumeFamily] = get_args(VolumeFamily)
) -> list[FeatureColumn]:
    """List the columns that :func:`volume_features` makes, without computing them, sorted by name.

    Raises
    ------
    UsageError
        A family is unknown, or two channels have the same role.
    """
    named = [role for role in roles if role is not None]
    if len(set(named)) < len(named):
        raise UsageError(f"two channels have the same role, so that their features would share their names: {named}")
    columns: list[FeatureColumn] = []
    for name in families:
        if name not in get_args(VolumeFamily):
            raise UsageError(
                f"unknown family {name!r} for volumes", hint=f"Families: {', '.join(get_args(VolumeFamily))}."
            )
        columns += [feature_column(object_set, name, operator) for operator in _OF_OBJECT.get(name, ())]
        for operator in _OF_CHANNEL.get(name, ()):
            columns += [feature_column(object_set, name, operator, roles=(role,)) for role in named]
    return sorted(columns, key=lambda column: column.name)


def volume_features(
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    roles: Sequence[str | None],
    *,
    object_set: str,
    families: Sequence[VolumeFamily] = get_args(VolumeFamily),
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
    spacing
        Distance of neighbouring voxels along (z, y, x) in pixels of the x axis: (0.5 µm, 0.1 µm, 0.1 µm) is (5, 1, 1).
        Lengths and the surface count it; places, boxes and numbers of voxels do not.
    full_scale
        Grey value that becomes intensity 1.0. None: 255 or 65535 by the image's type, and 1.0 for float images.
    present : bool (c,)
        False for channels that the volume lacks: their features are NaN. None: all there.

    Returns
    -------
    columns : list of FeatureColumn
        As :func:`volume_columns`.
    values : float64 (n, k)
        One row per object in the order of its label; NaN where a feature is undefined, for the reason that its
        column's definition gives.

    Raises
    ------
    UsageError
        As :func:`volume_columns`; labels are no volume, or image, labels, roles and ``present`` do not fit together,
        the image's type is none of the three, or the spacing is not three positive numbers.
    """
    from .volume_index import volume_index
    from .volume_shape import centroids, volume_shape

    columns = volume_columns(object_set, roles, families)
    if len(spacing) != 3 or not all(0 < step < np.inf for step in spacing):
        raise UsageError(f"the spacing of a volume is three positive numbers (z, y, x), got {spacing}")
    steps = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    index = volume_index(labels)
    measures: dict[tuple[str, str], FloatArray] = {}
    if "AreaShape" in families:
        measures |= {("AreaShape", name): values for name, values in volume_shape(index, steps).items()}
    if "Location" in families:
        centre = centroids(index)
        measures |= {("Location", f"Center_{axis}"): centre[:, i] for i, axis in enumerate("ZYX")}
    if any(column.channel_role for column in columns):
        pixels, there = _checked(index.shape, image, roles, present)
        from .volume_intensity import volume_intensity

        of_channels = volume_intensity(index, pixels, there, full_scale, steps)
        measures |= {(name, one.name): of_channels[one.name] for name, all_ in _OF_CHANNEL.items() for one in all_}
    values = np.empty((len(index), len(columns)))
    for k, column in enumerate(columns):
        measured = measures[column.family, column.operator]
        values[:, k] = measured if column.channel_role is None else measured[:, roles.index(column.channel_role)]
    return columns, values


def _checked(
    shape: tuple[int, ...],
    image: NDArray[Any] | None,
    roles: Sequence[str | None],
    present: Sequence[bool] | NDArray[np.bool_] | None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Give the image and which of its channels to measure."""
    if image is None:
        raise UsageError("families that measure channels need the volume's image")
    if image.dtype not in _PIXEL_TYPES:
        raise UsageError(f"pixels are uint8, uint16 or float32, got {image.dtype}")
    there = np.ones(len(roles), np.bool_) if present is None else np.asarray(present, dtype=np.bool_)
    if image.shape != (len(roles), *shape) or len(there) != len(roles):
        raise UsageError(
            f"an image of shape {image.shape}, labels of shape {shape}, {len(roles)} roles and {len(there)} present "
            "flags do not fit together"
        )
    return image, there & np.array([role is not None for role in roles], dtype=np.bool_)
