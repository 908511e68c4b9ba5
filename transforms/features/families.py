"""The registry of feature families, and :func:`compute`, which measures one object set of one field.

A family is a name, a version that changes when its numbers change, the measures it makes, and an implementation per
kind of device. Kernels are loaded, and compiled, only for the families asked for; families that come from the same
visit to the pixels (Intensity and Location) share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .dictionary import FeatureColumn, Operator, feature_columns
from .operators import AREA_SHAPE, AREA_SHAPE_ADVANCED, INTENSITY, LOCATION, LOCATION_OF_OBJECT

if TYPE_CHECKING:
    from ..device import Device
    from .intensity import ChannelMeasures
    from .label_index import LabelIndex

FloatArray = NDArray[np.float64]

#: Families to compute: their names, for all channels with a role, or each name with the roles that it measures
#: (None: all; of no effect where a family measures no channel).
Families = Sequence[str] | Mapping[str, Sequence[str] | None]


@dataclass(frozen=True)
class FieldObjects:
    """The objects of one field and its channels: what a family is computed from.

    ``image`` is (c, y, x), None where no family needs one; ``present`` is bool (c,): which channels to measure.
    """

    index: LabelIndex
    image: NDArray[Any] | None
    present: NDArray[np.bool_]
    full_scale: float | None

    @cached_property
    def channels(self) -> ChannelMeasures:
        """Intensities and places of every object in every channel, computed once for all families that ask."""
        from .intensity import channel_measures

        if self.image is None:
            raise UsageError("families that measure channels need the field's image")
        return channel_measures(self.index, self.image, self.present, self.full_scale)


#: Computes a family: operator name to float64 (n,), or (n, c) for an operator that measures channels.
Implementation = Callable[[FieldObjects], Mapping[str, FloatArray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A set of features that are computed together.

    Attributes
    ----------
    name
        What a recipe asks for.
    category
        The family part of its column names, as CellProfiler has it.
    version
        Part of the identity of a feature set; raise it whenever a number changes.
    object_operators, channel_operators
        Measures taken once per object, and once per object and channel.
    cpu, cuda
        Implementations; without one for CUDA the CPU's is used on every device.
    """

    name: str
    category: str
    version: int
    object_operators: tuple[Operator, ...] = ()
    channel_operators: tuple[Operator, ...] = ()
    cpu: Implementation
    cuda: Implementation | None = None

    @property
    def per_channel(self) -> bool:
        """Whether the family measures channels."""
        return bool(self.channel_operators)

    def columns(self, object_set: str, roles: Sequence[str]) -> list[FeatureColumn]:
        """List the family's columns for one object set and these channel roles."""
        return [
            *feature_columns(self.object_operators, self.category, object_set, (None,)),
            *feature_columns(self.channel_operators, self.category, object_set, roles),
        ]


def _area_shape(objects: FieldObjects) -> Mapping[str, FloatArray]:
    from .areashape import area_shape

    return area_shape(objects.index)


def _area_shape_advanced(objects: FieldObjects) -> Mapping[str, FloatArray]:
    from .areashape import area_shape_advanced

    return area_shape_advanced(objects.index)


def _intensity(objects: FieldObjects) -> Mapping[str, FloatArray]:
    return {operator.name: objects.channels[operator.name] for operator in INTENSITY}


def _location(objects: FieldObjects) -> Mapping[str, FloatArray]:
    from .moments import centroids

    centre = centroids(objects.index)
    measures: dict[str, FloatArray] = {"Center_X": centre[:, 1], "Center_Y": centre[:, 0]}
    for of in ("CenterMassIntensity", "MaxIntensity"):
        for axis in ("X", "Y"):
            measures[f"{of}_{axis}"] = objects.channels[f"{of}_{axis}"]
        # One plane: its number is 0, wherever there is a place at all.
        measures[f"{of}_Z"] = np.where(np.isnan(measures[f"{of}_X"]), np.nan, 0.0)
    return measures


#: Every family, by name.
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family(name="AreaShape", category="AreaShape", version=1, object_operators=AREA_SHAPE, cpu=_area_shape),
            Family(
                name="AreaShapeAdvanced",
                category="AreaShape",
                version=1,
                object_operators=AREA_SHAPE_ADVANCED,
                cpu=_area_shape_advanced,
            ),
            Family(name="Intensity", category="Intensity", version=1, channel_operators=INTENSITY, cpu=_intensity),
            Family(
                name="Location",
                category="Location",
                version=1,
                object_operators=LOCATION_OF_OBJECT,
                channel_operators=LOCATION,
                cpu=_location,
            ),
        )
    }
)


def columns_of(families: Families, object_set: str, roles: Sequence[str | None]) -> list[FeatureColumn]:
    """List the columns that :func:`compute` makes, without computing them.

    Parameters
    ----------
    families
        Families to compute.
    object_set
        Name of the object set, in lower case (``nuclei``).
    roles
        Role of each channel of the field; None where it has none, and is not measured.

    Returns
    -------
    list of FeatureColumn
        In the order of CellProfiler's tables: by column name, whatever the order of families and channels.

    Raises
    ------
    UsageError
        A family is unknown, asks for a role that no channel has, or two channels have the same role: their columns
        would have the same names.
    """
    named = [role for role in roles if role is not None]
    for role in named:
        if named.count(role) > 1:
            raise UsageError(f"two channels have the role {role}, so that their features would share their names")
    columns: list[FeatureColumn] = []
    for name, wanted in _wanted(families, named).items():
        columns += FAMILIES[name].columns(object_set, wanted)
    return sorted(columns, key=lambda column: column.name)


def compute(
    families: Families,
    object_set: str,
    index: LabelIndex,
    image: NDArray[Any] | None,
    roles: Sequence[str | None],
    *,
    present: Sequence[bool] | NDArray[np.bool_] | None = None,
    full_scale: float | None = None,
    device: Device | None = None,
) -> tuple[list[FeatureColumn], FloatArray]:
    """Measure every object of one object set in one field.

    Parameters
    ----------
    families
        Families to compute.
    object_set
        Name of the object set, in lower case (``nuclei``).
    index
        Its objects.
    image : uint8, uint16 or float32 (c, y, x)
        The field. None is enough where no family measures channels.
    roles
        Role of each channel of the image; None where it has none, and is not measured.
    present : bool (c,)
        False for channels that the field lacks (their pixels mean nothing): their features are NaN. None: all there.
    full_scale
        Grey value that becomes intensity 1.0. None: as CellProfiler, 255 or 65535 by the image's type, and 1.0 for
        float images.
    device
        Where to compute; None: the CPU. Families without a CUDA implementation run on the CPU anyway.

    Returns
    -------
    columns : list of FeatureColumn
        As :func:`columns_of`.
    values : float64 (n, k)
        One row per object in the order of ``index.object_ids``, one column per feature; NaN where a feature is
        undefined, for the reason that its column's definition gives.

    Raises
    ------
    UsageError
        As :func:`columns_of`; or image, labels, roles and ``present`` do not fit together, or the image's type is
        none of the three.
    """
    columns = columns_of(families, object_set, roles)
    wanted = _wanted(families, [role for role in roles if role is not None])
    needed = {role for name in wanted if FAMILIES[name].per_channel for role in wanted[name]}
    there = np.ones(len(roles), np.bool_) if present is None else np.asarray(present, dtype=np.bool_)
    if len(there) != len(roles) or (image is not None and needed and len(image) != len(roles)):
        channels = "no" if image is None else len(image)
        raise UsageError(f"{channels} channels, {len(roles)} roles and {len(there)} present flags do not fit together")
    objects = FieldObjects(
        index=index,
        image=image,
        present=there & np.array([role in needed for role in roles], dtype=np.bool_),
        full_scale=full_scale,
    )
    measures: dict[tuple[str, str], FloatArray] = {}
    for name in wanted:
        family = FAMILIES[name]
        on_cuda = device is not None and device.name == "cuda" and family.cuda is not None
        implementation = family.cuda if on_cuda and family.cuda is not None else family.cpu
        for operator, measured in implementation(objects).items():
            measures[family.category, operator] = measured

    channel_of = {role: channel for channel, role in enumerate(roles)}
    values = np.empty((len(index), len(columns)))
    for k, column in enumerate(columns):
        measured = measures[column.family, column.operator]
        values[:, k] = measured if column.channel_role is None else measured[:, channel_of[column.channel_role]]
    return columns, values


def _wanted(families: Families, roles: Sequence[str]) -> dict[str, Sequence[str]]:
    """Each family asked for, with the roles that it measures; checked."""
    asked = families if isinstance(families, Mapping) else dict.fromkeys(families)
    for name, wanted in asked.items():
        if name not in FAMILIES:
            raise UsageError(f"unknown feature family {name!r}", hint=f"Families: {', '.join(FAMILIES)}.")
        for role in wanted or ():
            if FAMILIES[name].per_channel and role not in roles:
                raise UsageError(f"{name} asks for the role {role}, the channels have {', '.join(roles) or 'none'}")
    return {name: roles if wanted is None else wanted for name, wanted in asked.items()}
