"""Family Neighbors: who is next to an object, by touching, after growing, and within distances in pixels.

One set of seven measures for each way asked for; the nearest centres are the same in all of them, as in CellProfiler.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..parameters import Parameter
from .dictionary import FeatureColumn, Operator, feature_column
from .family import Family, FieldObjects, FloatArray, Use

_LENGTH = "{pixels}"
_NO_OTHER = "where the field has no other object"
_NO_THIRD = "where the field has fewer than two other objects"
_CENTRES = "mean of the pixels' places; of equally near ones the one with the smaller label counts"


def _neighbor(name: str, unit: str, definition: str, undefined: str = "") -> Operator:
    return Operator(
        name=name,
        unit=unit,
        definition=definition,
        source="CellProfiler 4 MeasureObjectNeighbors",
        undefined=undefined,
    )


NEIGHBORS = (
    _neighbor(
        "NumberOfNeighbors",
        "1",
        "Number of other objects of the set with a pixel within the distance of a pixel of this one.",
    ),
    _neighbor(
        "PercentTouching",
        "%",
        "Percentage of the outline pixels (another value among the eight neighbours, or at the image's border) "
        "within the distance plus 0.5 of a pixel of another object.",
    ),
    _neighbor("FirstClosestObjectNumber", "1", f"Label of the object with the nearest centre ({_CENTRES}).", _NO_OTHER),
    _neighbor("FirstClosestDistance", _LENGTH, "Distance to the centre of the object with the nearest one.", _NO_OTHER),
    _neighbor(
        "SecondClosestObjectNumber", "1", f"Label of the object with the second nearest centre ({_CENTRES}).", _NO_THIRD
    ),
    _neighbor(
        "SecondClosestDistance", _LENGTH, "Distance to the centre of the object with the second nearest one.", _NO_THIRD
    ),
    _neighbor(
        "AngleBetweenNeighbors",
        "deg",
        "Angle at the object's centre between the ways to the nearest and the second nearest centre, 0 to 180.",
        f"{_NO_THIRD}, or one of the two has the same centre as the object",
    ),
)

_PARAMETERS = {
    "adjacent": Parameter(default=True, meaning="objects that touch, sharing an edge of a pixel"),
    "expanded": Parameter(default=True, meaning="objects that touch after all have grown until they fill the image"),
    "distances": Parameter(
        default=(5,), meaning="objects within these distances, in pixels, from outline to outline", low=1, high=1000
    ),
}


def _ways(use: Use) -> Iterator[tuple[str, int]]:
    """Give each way that is asked for: the name that ends its columns, and the distance in pixels."""
    if use.parameters["adjacent"]:
        yield "Adjacent", 1
    if use.parameters["expanded"]:
        yield "Expanded", 1
    distances = use.parameters["distances"]
    assert isinstance(distances, tuple)
    for distance in distances:
        yield str(int(distance)), int(distance)


def _columns(use: Use) -> list[FeatureColumn]:
    return [
        feature_column(
            use.object_set,
            "Neighbors",
            operator,
            scale=float(distance) if name.isdecimal() else None,
            suffix=(name,),
        )
        for name, distance in _ways(use)
        for operator in NEIGHBORS
    ]


def _measure(objects: FieldObjects, use: Use) -> FloatArray:
    from .expansion import expanded
    from .neighbors import closest, near_objects

    nearest = closest(objects.index)
    parts = [np.empty((len(objects.index), 0))]
    for name, distance in _ways(use):
        index = expanded(objects.index) if name == "Expanded" else objects.index
        parts += [np.stack(near_objects(index, distance), axis=1), nearest]
    return np.concatenate(parts, axis=1)


FAMILY = Family(name="Neighbors", version=1, parameters=_PARAMETERS, columns=_columns, measure=_measure)
