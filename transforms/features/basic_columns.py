"""The families that every recipe measures: AreaShape, its moments, Intensity and Location.

Intensity and Location come from the same visit to the pixels and share it when they ask for the same channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .dictionary import FeatureColumn, Operator, feature_column
from .family import Family, FieldObjects, FloatArray, Use
from .operators import AREA_SHAPE, AREA_SHAPE_ADVANCED, INTENSITY, LOCATION, LOCATION_OF_OBJECT

if TYPE_CHECKING:
    from .intensity import ChannelMeasures


def of_object(use: Use, category: str, operators: tuple[Operator, ...]) -> list[FeatureColumn]:
    """List a category's columns of the objects themselves."""
    return [feature_column(use.object_set, category, operator) for operator in operators]


def of_channels(use: Use, category: str, operators: tuple[Operator, ...]) -> list[FeatureColumn]:
    """List a category's columns of every channel asked for."""
    return [feature_column(use.object_set, category, one, roles=(role,)) for one in operators for role in use.roles]


def _area_shape(objects: FieldObjects, use: Use) -> FloatArray:
    from .areashape import area_shape

    measures = area_shape(objects.index)
    return np.stack([measures[operator.name] for operator in AREA_SHAPE], axis=1)


def _area_shape_advanced(objects: FieldObjects, use: Use) -> FloatArray:
    from .areashape import area_shape_advanced

    measures = area_shape_advanced(objects.index)
    return np.stack([measures[operator.name] for operator in AREA_SHAPE_ADVANCED], axis=1)


def _channel_measures(objects: FieldObjects, use: Use) -> ChannelMeasures:
    from .intensity import channel_measures

    field = objects.field
    return field.shared(
        ("intensity", objects.object_set, use.roles),
        lambda: channel_measures(objects.index, field.pixels(), objects.asked(use.roles), field.full_scale),
    )


def _intensity(objects: FieldObjects, use: Use) -> FloatArray:
    measures = _channel_measures(objects, use)
    channels = objects.channels(use.roles)
    return np.concatenate([measures[operator.name][:, channels] for operator in INTENSITY], axis=1)


def _location(objects: FieldObjects, use: Use) -> FloatArray:
    from .moments import centroids

    centre = centroids(objects.index)
    parts = [centre[:, ::-1]]
    if use.roles:
        measures = _channel_measures(objects, use)
        channels = objects.channels(use.roles)
        for operator in LOCATION:
            of, _, axis = operator.name.rpartition("_")
            if axis == "Z":  # one plane: its number is 0, wherever there is a place at all
                parts.append(np.where(np.isnan(measures[f"{of}_X"][:, channels]), np.nan, 0.0))
            else:
                parts.append(measures[operator.name][:, channels])
    return np.concatenate(parts, axis=1)


FAMILIES = (
    Family(
        name="AreaShape", version=1, columns=lambda use: of_object(use, "AreaShape", AREA_SHAPE), measure=_area_shape
    ),
    Family(
        name="AreaShapeAdvanced",
        version=1,
        columns=lambda use: of_object(use, "AreaShape", AREA_SHAPE_ADVANCED),
        measure=_area_shape_advanced,
    ),
    Family(
        name="Intensity",
        version=1,
        channels="each",
        columns=lambda use: of_channels(use, "Intensity", INTENSITY),
        measure=_intensity,
    ),
    Family(
        name="Location",
        version=1,
        channels="each",
        columns=lambda use: [
            *of_object(use, "Location", LOCATION_OF_OBJECT),
            *of_channels(use, "Location", LOCATION),
        ],
        measure=_location,
    ),
)
