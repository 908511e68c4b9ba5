"""What is measured of objects in a volume: CellProfiler's names for three dimensions, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from ..parameters import Parameter
from .basic_columns import of_channels, of_object
from .dictionary import FeatureColumn, Operator
from .family import Use
from .operators import INTENSITY, LOCATION

_LENGTH, _VOXELS = "{pixels}", "{voxels}"
_SPACED = "in pixels of the x axis, the steps between planes and rows counted by the spacing"
_ELLIPSOID = "of the ellipsoid with the object's second moments"
_AXES = (("X", "column", 2), ("Y", "row", 1), ("Z", "plane", 0))


def _shape(name: str, unit: str, definition: str, skimage: str = "") -> Operator:
    return Operator(
        name=name,
        unit=unit,
        definition=definition,
        source="CellProfiler 4 MeasureObjectSizeShape",
        aliases=(f"cp_measure:{name}", *((f"scikit-image:{skimage}",) if skimage else ())),
    )


VOLUME_SHAPE = (
    *(
        operator
        for axis, line, i in _AXES
        for operator in (
            _shape(f"BoundingBoxMaximum_{axis}", _VOXELS, f"First {line} behind the object.", f"bbox-{i + 3}"),
            _shape(f"BoundingBoxMinimum_{axis}", _VOXELS, f"First {line} of the object.", f"bbox-{i}"),
            _shape(f"Center_{axis}", _VOXELS, f"Mean {line} of the object's voxels, counted from 0.", f"centroid-{i}"),
        )
    ),
    _shape("BoundingBoxVolume", _VOXELS, "Number of voxels in the upright box round the object.", "area_bbox"),
    _shape(
        "EquivalentDiameter",
        _LENGTH,
        f"Diameter of the ball of the same volume, {_SPACED}.",
        "equivalent_diameter_area",
    ),
    _shape(
        "EulerNumber",
        "1",
        "Number of parts (26-connected) minus number of tunnels plus number of cavities.",
        "euler_number",
    ),
    _shape("Extent", "1", "Volume / BoundingBoxVolume.", "extent"),
    _shape("MajorAxisLength", _LENGTH, f"Longest axis {_ELLIPSOID}, {_SPACED}.", "axis_major_length"),
    _shape("MinorAxisLength", _LENGTH, f"Shortest axis {_ELLIPSOID}, {_SPACED}.", "axis_minor_length"),
    _shape(
        "Solidity",
        "1",
        "Volume / number of voxel centres in the convex hull of the middles of the voxels' faces, surface included.",
        "solidity",
    ),
    _shape(
        "SurfaceArea",
        "{pixels2}",
        "Area of the marching-cubes surface through the centres of the voxels just outside the object (level 0 of "
        f"zeros and ones, as CellProfiler takes it), {_SPACED}; closed where the volume ends.",
    ),
    _shape("Volume", _VOXELS, "Number of voxels of the object.", "area"),
)


def _in_volume(operator: Operator) -> Operator:
    definition = operator.definition.replace("4-neighbour inside the image", "6-neighbour inside the volume")
    if operator.name == "MassDisplacement":
        definition = f"{definition[:-1]}, {_SPACED}."
    return replace(
        operator,
        definition=definition.replace("; 0 in a single plane", "").replace("pixel", "voxel"),
        undefined=operator.undefined.replace("fills the image", "fills the volume")
        .replace("the field lacks this channel", "the stack lacks this channel or planes of it")
        .replace("pixel", "voxel"),
    )


#: The operators of an image, with the neighbours and places of a volume.
VOLUME_INTENSITY = tuple(_in_volume(operator) for operator in INTENSITY)
VOLUME_LOCATION = tuple(
    replace(_in_volume(operator), unit=_VOXELS, aliases=operator.aliases[:1]) for operator in LOCATION
)
VOLUME_LOCATION_OF_OBJECT = tuple(
    Operator(
        name=f"Center_{axis}",
        unit=_VOXELS,
        definition=f"Mean {line} of the object's voxels; the same number as AreaShape_Center_{axis}.",
        source="CellProfiler 4 Watershed",
        aliases=(f"scikit-image:centroid-{i}",),
    )
    for axis, line, i in _AXES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFamily:
    """A family of features of volumes.

    Attributes
    ----------
    name
        What a recipe asks for.
    version
        Part of the identity of a feature set; raise it whenever a number changes.
    of_object, of_channel
        What is measured of an object, and of each channel in it.
    parameters
        What a recipe may set.
    """

    name: str
    version: int
    of_object: tuple[Operator, ...] = ()
    of_channel: tuple[Operator, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def channels(self) -> Literal["none", "each"]:
        """Whether it measures no channel or each of them."""
        return "each" if self.of_channel else "none"

    def columns(self, use: Use) -> list[FeatureColumn]:
        """List the columns of one object set."""
        return [*of_object(use, self.name, self.of_object), *of_channels(use, self.name, self.of_channel)]


#: Every family that there is for volumes, by name.
VOLUME_FAMILIES: Mapping[str, VolumeFamily] = MappingProxyType(
    {
        one.name: one
        for one in (
            VolumeFamily(name="AreaShape", version=1, of_object=VOLUME_SHAPE),
            VolumeFamily(name="Intensity", version=1, of_channel=VOLUME_INTENSITY),
            VolumeFamily(name="Location", version=1, of_object=VOLUME_LOCATION_OF_OBJECT, of_channel=VOLUME_LOCATION),
        )
    }
)
