"""Family Relations: how objects lie to their parents and children, and how many children they have.

Measured both ways for every set that the objects are made from or that is made from them: nuclei in their cells, and
cells round their nuclei.
"""

from __future__ import annotations

import numpy as np

from .dictionary import FeatureColumn, Operator, capitalised, feature_column
from .family import Family, FieldObjects, FloatArray, Use

_SOURCE = "CellProfiler 4 RelateObjects"


def _distances(other: str) -> tuple[Operator, Operator]:
    missing = f"where {other} has no object with this label, or could not be made in this field"
    return (
        Operator(
            name="Centroid",
            unit="{pixels}",
            definition=f"Distance from the object's centroid to that of its counterpart in {other}.",
            source=_SOURCE,
            undefined=missing,
        ),
        Operator(
            name="Minimum",
            unit="{pixels}",
            definition=f"Distance from the object's centroid to the nearest edge pixel of its counterpart in {other}, "
            "one with a 4-neighbour inside the image that is not of the counterpart.",
            source=_SOURCE,
            undefined=f"{missing}, or its edge does not show as it fills the image",
        ),
    )


def _count(child: str) -> Operator:
    return Operator(
        name=f"{capitalised(child)}_Count",
        unit="1",
        definition=f"Number of objects of {child} that have this one as parent; a child has the label of its parent.",
        source=_SOURCE,
        undefined=f"where {child} could not be made in this field",
    )


def _columns(use: Use) -> list[FeatureColumn]:
    columns = []
    for other, place in use.related:
        suffix = (capitalised(other),)
        columns += [feature_column(use.object_set, "Distance", one, suffix=suffix) for one in _distances(other)]
        if place == "child":
            columns.append(feature_column(use.object_set, "Children", _count(other)))
    return columns


def _measure(objects: FieldObjects, use: Use) -> FloatArray:
    from .relations import distances, number_of_counterparts

    parts: list[FloatArray] = []
    unknown = np.full(len(objects.index), np.nan)
    for name, place in use.related:
        other = objects.field.sets.get(name)
        parts += (unknown, unknown) if other is None else distances(objects.index, other)
        if place == "child":
            parts.append(unknown if other is None else number_of_counterparts(objects.index, other))
    return np.stack(parts, axis=1) if parts else np.empty((len(objects.index), 0))


FAMILY = Family(name="Relations", version=1, columns=_columns, measure=_measure)
