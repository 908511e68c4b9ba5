"""Names of CellProfiler's features, taken apart: family, operator, channels, and what stands behind them.

CytoTable, pycytominer and the lake name features alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A name of CellProfiler, without its object set, in parts.

    ``name = family_operator[_channel…][_suffix…]``; ``named`` is whether the grammar knows it, ``known`` whether the
    lake measures it under that name, too.
    """

    family: str
    operator: str
    channels: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()
    scale: float | None = None
    unit: str | None = None
    named: bool = True
    known: bool = True


_LENGTH, _AREA, _INTENSITY, _ONE = "{pixels}", "{pixels2}", "{intensity}", "1"

_AREA_SHAPE = {
    **dict.fromkeys(("Area", "BoundingBoxArea", "ConvexArea"), _AREA),
    **dict.fromkeys(
        (
            "BoundingBoxMaximum_X", "BoundingBoxMaximum_Y", "BoundingBoxMinimum_X", "BoundingBoxMinimum_Y", "Center_X",
            "Center_Y", "EquivalentDiameter", "MajorAxisLength", "MaxFeretDiameter", "MaximumRadius", "MeanRadius",
            "MedianRadius", "MinFeretDiameter", "MinorAxisLength", "Perimeter",
        ),
        _LENGTH,
    ),
    **dict.fromkeys(
        ("Compactness", "Eccentricity", "EulerNumber", "Extent", "FormFactor", "Solidity"), _ONE
    ),
    "Orientation": "deg",
    # In three dimensions.
    **dict.fromkeys(("BoundingBoxMaximum_Z", "BoundingBoxMinimum_Z", "Center_Z"), _LENGTH),
    **dict.fromkeys(("BoundingBoxVolume", "Volume"), "{voxels}"),
    "SurfaceArea": _AREA,
}  # fmt: skip
#: Of shapes with a number behind them: the unit, where it depends on the numbers their sum plus two.
_NUMBERED_SHAPE = re.compile(
    r"(?P<plain>Zernike_\d+_\d+|NormalizedMoment_[0-3]_[0-3]|HuMoment_[0-6])"
    r"|(?P<moment>(?:Spatial|Central)Moment_([0-2])_([0-3]))"
    r"|(?P<tensor>InertiaTensor_[01]_[01]|InertiaTensorEigenvalues_[01])"
)
_INTENSITIES = {
    **dict.fromkeys(
        (
            "IntegratedIntensity", "IntegratedIntensityEdge", "LowerQuartileIntensity", "MADIntensity", "MaxIntensity",
            "MaxIntensityEdge", "MeanIntensity", "MeanIntensityEdge", "MedianIntensity", "MinIntensity",
            "MinIntensityEdge", "StdIntensity", "StdIntensityEdge", "UpperQuartileIntensity",
        ),
        _INTENSITY,
    ),
    "MassDisplacement": _LENGTH,
}  # fmt: skip
_LOCATIONS = tuple(f"{what}_{axis}" for what in ("CenterMassIntensity", "MaxIntensity") for axis in "XYZ")
_TEXTURES = {
    **dict.fromkeys(("AngularSecondMoment", "Correlation", "DifferenceVariance", "InfoMeas1", "InfoMeas2"), _ONE),
    **dict.fromkeys(("DifferenceEntropy", "Entropy", "SumEntropy"), "bit"),
    **dict.fromkeys(("Contrast", "SumVariance", "Variance"), "{levels2}"),
    "InverseDifferenceMoment": _ONE,
    "SumAverage": "{levels}",
}
_PAIRS = ("Correlation", "Costes", "K", "Manders", "Overlap", "RWC", "Slope")
_NEIGHBORS = {
    **dict.fromkeys(("FirstClosestObjectNumber", "NumberOfNeighbors", "SecondClosestObjectNumber"), _ONE),
    **dict.fromkeys(("FirstClosestDistance", "SecondClosestDistance"), _LENGTH),
    "AngleBetweenNeighbors": "deg",
    "PercentTouching": "%",
}
_TEXTURE = re.compile(r"([A-Za-z0-9]+)_(.+?)_(\d+)_(\d{1,2})(?:_(\d+))?")
_RADIALS = {**dict.fromkeys(("FracAtD", "MeanFrac", "RadialCV", "ZernikeMagnitude"), _ONE), "ZernikePhase": "rad"}
_RADIAL = re.compile(r"(FracAtD|MeanFrac|RadialCV)_(.+)_(\d+of\d+|Overflow)")
_RADIAL_ZERNIKE = re.compile(r"(ZernikeMagnitude|ZernikePhase)_(.+)_(\d+)_(\d+)")
_GRANULARITY = re.compile(r"(\d+)_(.+)")

#: Where CellProfiler says what a family is.
SOURCES = {
    "AreaShape": "CellProfiler MeasureObjectSizeShape",
    "Intensity": "CellProfiler MeasureObjectIntensity",
    "Location": "CellProfiler MeasureObjectIntensity",
    "Texture": "CellProfiler MeasureTexture",
    "RadialDistribution": "CellProfiler MeasureObjectIntensityDistribution",
    "Granularity": "CellProfiler MeasureGranularity",
    "Correlation": "CellProfiler MeasureColocalization",
    "Neighbors": "CellProfiler MeasureObjectNeighbors",
    "Children": "CellProfiler RelateObjects",
    "Count": "CellProfiler: number of objects",
}


def split_object_set(column: str, object_set: str | None) -> tuple[str | None, str]:
    """Return the object set as it stands in our names, and what is left of a column's name.

    Without ``object_set`` the name must begin with one, followed by a family; else the set is None.
    """
    if object_set is not None:
        prefix = object_set[:1].upper() + object_set[1:]
        return prefix, column[len(prefix) + 1 :] if column.startswith(f"{prefix}_") else column
    prefix, _, rest = column.partition("_")
    if prefix in _FAMILIES:  # Texture_Correlation_DNA_3_00_256 has no object set
        return None, column
    if not rest or not prefix[:1].isalpha() or rest.partition("_")[0] not in _FAMILIES:
        return None, column
    return prefix, rest


def parse(name: str, channels: Collection[str] = ()) -> Parsed:
    """Take a name of CellProfiler apart.

    Parameters
    ----------
    name
        Without the object set.
    channels
        Channels that there are. They are needed only for pairs of channels with ``_`` in their names.
    """
    family, _, rest = name.partition("_")
    reader = _FAMILIES.get(family)
    found = reader(rest, channels) if reader is not None and rest else None
    if found is not None:
        return found
    return Parsed(family=family, operator=rest or family, named=False, known=False)


def unit_of(family: str, operator: str) -> str | None:
    """Return the unit (UCUM) of a measure of a family; None where CellProfiler and the lake have no such measure."""
    if family == "AreaShape":
        return _unit_of_shape(operator)
    if family in ("Location", "Distance"):
        known = operator in _LOCATIONS or operator in ("Center_X", "Center_Y", "Center_Z", "Centroid", "Minimum")
        return _LENGTH if known else None
    if family == "RadialDistribution":
        return _RADIALS.get(operator)
    if family == "Count":
        return _ONE
    if family == "Granularity":
        return "%" if operator.isdecimal() else None
    tables = {
        "Intensity": _INTENSITIES,
        "Texture": _TEXTURES,
        "Neighbors": _NEIGHBORS,
        "Correlation": dict.fromkeys(_PAIRS, _ONE),
    }
    return tables.get(family, {}).get(operator)


def _area_shape(rest: str, _: Collection[str]) -> Parsed | None:
    unit = _unit_of_shape(rest)
    return Parsed(family="AreaShape", operator=rest, unit=unit) if unit else None


def _unit_of_shape(operator: str) -> str | None:
    numbered = _NUMBERED_SHAPE.fullmatch(operator)
    if numbered is None:
        return _AREA_SHAPE.get(operator)
    powers = int(numbered[3] or 0) + int(numbered[4] or 0) + 2
    return _ONE if numbered["plain"] else _AREA if numbered["tensor"] else f"{{pixels{powers}}}"


def _intensity(rest: str, _: Collection[str]) -> Parsed | None:
    operator, _, channel = rest.partition("_")
    if operator not in _INTENSITIES or not channel:
        return None
    return Parsed(family="Intensity", operator=operator, channels=(channel,), unit=_INTENSITIES[operator])


def _location(rest: str, _: Collection[str]) -> Parsed | None:
    if rest in ("Center_X", "Center_Y", "Center_Z"):
        return Parsed(family="Location", operator=rest, unit=_LENGTH)
    operator = next((one for one in _LOCATIONS if rest.startswith(f"{one}_")), None)
    if operator is None or len(rest) == len(operator) + 1:
        return None
    return Parsed(family="Location", operator=operator, channels=(rest[len(operator) + 1 :],), unit=_LENGTH)


def _texture(rest: str, _: Collection[str]) -> Parsed | None:
    """CellProfiler 4: ``Contrast_DNA_3_00_256``; 3 has no number of grey levels, which are then not known."""
    found = _TEXTURE.fullmatch(rest)
    if found is None or found[1] not in _TEXTURES:
        return None
    return Parsed(
        family="Texture",
        operator=found[1],
        channels=(found[2],),
        suffix=tuple(part for part in found.group(3, 4, 5) if part),
        scale=float(found[3]),
        unit=_TEXTURES[found[1]],
        known=found[5] is not None,
    )


def _radial(rest: str, _: Collection[str]) -> Parsed | None:
    found = _RADIAL.fullmatch(rest)
    if found:
        return Parsed(
            family="RadialDistribution", operator=found[1], channels=(found[2],), suffix=(found[3],), unit=_ONE,
            known=found[3] != "Overflow",
        )  # fmt: skip
    found = _RADIAL_ZERNIKE.fullmatch(rest)
    if found:
        return Parsed(
            family="RadialDistribution",
            operator=found[1],
            channels=(found[2],),
            suffix=(found[3], found[4]),
            unit=_ONE if found[1] == "ZernikeMagnitude" else "rad",
        )
    return None


def _granularity(rest: str, _: Collection[str]) -> Parsed | None:
    found = _GRANULARITY.fullmatch(rest)
    if found is None:
        return None
    return Parsed(family="Granularity", operator=found[1], channels=(found[2],), unit="%")


def _correlation(rest: str, channels: Collection[str]) -> Parsed | None:
    operator, _, pair = rest.partition("_")
    if operator not in _PAIRS:
        return None
    parts = pair.split("_")
    splits = [("_".join(parts[:i]), "_".join(parts[i:])) for i in range(1, len(parts))]
    sure = [split for split in splits if all(one in channels for one in split)]
    if len(sure) != 1:
        sure = splits if len(splits) == 1 else []
    known = operator != "Slope"  # CellProfiler's is of images
    return Parsed(family="Correlation", operator=operator, channels=sure[0], unit=_ONE, known=known) if sure else None


def _neighbors(rest: str, _: Collection[str]) -> Parsed | None:
    operator, _, way = rest.partition("_")
    if operator not in _NEIGHBORS or not (way.isdecimal() or way in ("Adjacent", "Expanded")):
        return None
    return Parsed(
        family="Neighbors",
        operator=operator,
        suffix=(way,),
        scale=float(way) if way.isdecimal() else None,
        unit=_NEIGHBORS[operator],
    )


def _children(rest: str, _: Collection[str]) -> Parsed | None:
    child, _, count = rest.rpartition("_")
    return Parsed(family="Children", operator=rest, unit=_ONE) if child and count == "Count" else None


def _distance(rest: str, _: Collection[str]) -> Parsed | None:
    operator, _, other = rest.partition("_")
    if operator not in ("Centroid", "Minimum") or not other:
        return None
    return Parsed(family="Distance", operator=operator, suffix=(other,), unit=_LENGTH)


def _unknown(rest: str, _: Collection[str]) -> Parsed | None:
    return None


#: Families that a column may name behind its object set.
_FAMILIES = {
    "AreaShape": _area_shape,
    "Intensity": _intensity,
    "Location": _location,
    "Texture": _texture,
    "RadialDistribution": _radial,
    "Granularity": _granularity,
    "Correlation": _correlation,
    "Neighbors": _neighbors,
    "Children": _children,
    "Distance": _distance,
    **dict.fromkeys(
        (
            "Number", "Parent", "Math", "Mean", "Median", "StDev", "Count", "ImageQuality", "ObjectSkeleton",
            "Threshold", "Classify", "TrackObjects", "AreaOccupied", "Metadata", "Overlap", "Worm",
        ),
        _unknown,
    ),
}  # fmt: skip
