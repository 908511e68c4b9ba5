"""The XML of a CZI as it was written, in one dataclass: channels, scenes with their wells, optics, times.

ZEN writes lengths of a pixel in metres, positions of scenes and wells in µm, exposures in ns. A scene lies in a well
where its ``Shape`` has a row and a column (from 1), or where its ``ArrayName`` or the shape's name is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from ...errors import InvalidDataError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS, format_well, well_or_none
from ..moments import moment as utc_moment
from ..sources.xml_tree import index_in, number_in, parse_tree, text_at

_METRES_TO_UM, _NS_TO_MS = 1e6, 1e-6
_COLOR = re.compile(r"#?(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})")
_MOST_SCENES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CziScene:
    """One scene; ``well`` is (row, column) from 1, None outside a plate; lengths are µm on the stage."""

    index: int
    name: str | None
    well: tuple[int, int] | None
    centre_um: tuple[float, float] | None
    well_centre_um: tuple[float, float] | None
    doubt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CziChannel:
    """One channel; wavelengths in nm, exposure in ms."""

    vendor_id: str
    name: str
    dye: str | None
    excitation_nm: float | None
    emission_nm: float | None
    exposure_ms: float | None
    contrast: str | None
    mode: str | None
    binning: int | None
    bits: int | None
    color: str | None
    light: str | None
    power: float | None
    emission_filter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CziDocument:
    """What a CZI says of itself; absent facts are None. ``offsets_s`` are times of time points after ``t_start``."""

    channels: tuple[CziChannel, ...]
    scenes: tuple[CziScene, ...]
    pixel_size_x_um: float | None
    pixel_size_y_um: float | None
    z_step_um: float | None
    plate_rows: int | None
    plate_columns: int | None
    plate_type: str | None
    acquired_at: datetime | None
    t_start: datetime | None
    offsets_s: tuple[float, ...]
    user: str | None
    software: str | None
    microscope: str | None
    camera: str | None
    magnification: float | None
    numerical_aperture: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CziTags:
    """What a subblock says of one plane: when, and where the stage and the focus were (µm)."""

    acquired_at: datetime | None = None
    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None


def moment(text: str | None) -> datetime | None:
    """Return the moment that a text says; without a time zone where it names none."""
    found, has_zone = utc_moment(text)
    return found if found is None or has_zone else found.replace(tzinfo=None)


def parse_subblock_metadata(data: bytes) -> CziTags:
    """Read the tags of one plane; what is damaged or absent is None, for a plane is a plane without them."""
    start, end = data.find(b"<Tags>"), data.find(b"</Tags>")
    if start < 0 or end < 0:
        return CziTags()
    tags: dict[str, str] = {}
    for name in ("AcquisitionTime", "StageXPosition", "StageYPosition", "FocusPosition"):
        found = re.search(rb"<%s>([^<]{1,64})</%s>" % (name.encode(), name.encode()), data[start:end])
        if found:
            tags[name] = found[1].decode("ascii", "replace").strip()
    return CziTags(
        acquired_at=moment(tags.get("AcquisitionTime")),
        x_um=number_in(tags.get("StageXPosition"), most=1e7),
        y_um=number_in(tags.get("StageYPosition"), most=1e7),
        z_um=number_in(tags.get("FocusPosition"), most=1e7),
    )


def parse_metadata(data: bytes, name: str) -> CziDocument:
    """Read the metadata of a file.

    Parameters
    ----------
    data
        The XML; empty where the file has none.
    name
        What to call it in messages.

    Raises
    ------
    SourceFileError
        It is not well-formed.
    InvalidDataError
        It is some other document, or its scenes are told twice.
    """
    root = parse_tree(data.decode("utf-8", "replace") or "<ImageDocument/>", f"{name}: its metadata")
    if root.tag != "ImageDocument":
        raise InvalidDataError(f"{name}: its metadata is <{root.tag}>, not <ImageDocument>")
    metadata = root.find("Metadata")
    information = metadata.find("Information") if metadata is not None else None
    image = information.find("Image") if information is not None else None
    dimensions = image.find("Dimensions") if image is not None else None
    template = _template(root)
    scaling = {
        distance.get("Id"): number_in(text_at(distance, "Value"), most=1.0)
        for distance in root.iterfind("Metadata/Scaling/Items/Distance")
    }
    sizes = {axis: value * _METRES_TO_UM for axis, value in scaling.items() if value is not None and value > 0}
    objective = _referred(information, image, "ObjectiveSettings/ObjectiveRef", "Instrument/Objectives/Objective")
    microscope = _referred(information, image, "MicroscopeRef", "Instrument/Microscopes/Microscope")
    detector = information.find("Instrument/Detectors/Detector") if information is not None else None
    application = [text_at(information, f"Application/{tag}") for tag in ("Name", "Version")]
    return CziDocument(
        channels=_channels(root, information, dimensions),
        scenes=_scenes(dimensions, name),
        pixel_size_x_um=sizes.get("X"),
        pixel_size_y_um=sizes.get("Y"),
        z_step_um=sizes.get("Z"),
        plate_rows=_side(template, "ShapeRows", MAX_ROWS),
        plate_columns=_side(template, "ShapeColumns", MAX_COLUMNS),
        plate_type=template.get("Name") if template is not None else None,
        acquired_at=moment(text_at(image, "AcquisitionDateAndTime")),
        t_start=moment(text_at(dimensions, "T/StartTime")),
        offsets_s=_offsets(dimensions),
        user=text_at(information, "Document/UserName"),
        software=" ".join(part for part in application if part) or None,
        microscope=microscope.get("Name") if microscope is not None else None,
        camera=text_at(detector, "Manufacturer/Model") or (detector.get("Name") if detector is not None else None),
        magnification=number_in(text_at(objective, "NominalMagnification"), most=1000) or None,
        numerical_aperture=number_in(text_at(objective, "LensNA"), most=2) or None,
    )


def _template(root: etree._Element) -> etree._Element | None:
    """Return the plate of the experiment itself, not that of a helper (an autofocus has a sample holder as well)."""
    block = "Metadata/Experiment/ExperimentBlocks/AcquisitionBlock"
    return root.find(f"{block}/SubDimensionSetups/RegionsSetup/SampleHolder/Template")


def _side(template: etree._Element | None, tag: str, most: int) -> int | None:
    number = index_in(text_at(template, tag), most=most)
    return number if number else None


def _referred(
    information: etree._Element | None, image: etree._Element | None, reference: str, path: str
) -> etree._Element | None:
    """Return the device that the image refers to by its id; the only one where it refers to none."""
    if information is None or image is None:
        return None
    devices = information.findall(path)
    pointer = image.find(reference)
    wanted = pointer.get("Id") if pointer is not None else None
    return next((d for d in devices if d.get("Id") == wanted), devices[0] if len(devices) == 1 else None)


def _offsets(dimensions: etree._Element | None) -> tuple[float, ...]:
    text = text_at(dimensions, "T/Positions/List/Offsets")
    numbers = [number_in(part, most=1e9) for part in (text or "").split()]
    return tuple(n for n in numbers if n is not None) if None not in numbers else ()


def _channels(
    root: etree._Element, information: etree._Element | None, dimensions: etree._Element | None
) -> tuple[CziChannel, ...]:
    shown = {c.get("Id"): c for c in root.iterfind("Metadata/DisplaySetting/Channels/Channel")}
    lights = {
        e.get("Id"): e.get("Name") for e in (information.iterfind(".//LightSource") if information is not None else ())
    }
    found = []
    for position, channel in enumerate(dimensions.iterfind("Channels/Channel") if dimensions is not None else ()):
        vendor_id = channel.get("Id") or f"Channel:{position}"
        display = shown.get(vendor_id)
        color = _COLOR.fullmatch(text_at(channel, "Color") or text_at(display, "Color") or "")
        exposure = number_in(text_at(channel, "ExposureTime"), most=1e15)
        binning = index_in(
            (text_at(channel, "DetectorSettings/Binning") or "").replace("x", ",").split(",")[0], most=64
        )
        light = channel.find("LightSourcesSettings/LightSourceSettings/LightSource")
        power = number_in((text_at(channel, "LightSourcesSettings/LightSourceSettings/Intensity") or "").rstrip("% "))
        found.append(
            CziChannel(
                vendor_id=vendor_id,
                name=channel.get("Name") or text_at(display, "DyeName") or text_at(channel, "Fluor") or vendor_id,
                dye=text_at(channel, "Fluor") or text_at(display, "DyeName"),
                excitation_nm=number_in(text_at(channel, "ExcitationWavelength"), most=1e5) or None,
                emission_nm=number_in(text_at(channel, "EmissionWavelength"), most=1e5) or None,
                exposure_ms=round(exposure * _NS_TO_MS, 6) if exposure and exposure > 0 else None,
                contrast=text_at(channel, "ContrastMethod"),
                mode=text_at(channel, "AcquisitionMode"),
                binning=binning or None,
                bits=index_in(text_at(channel, "ComponentBitCount"), most=16) or None,
                color=color[1].upper() if color else None,
                light=(lights.get(light.get("Id")) or "").strip() or None if light is not None else None,
                power=power if power is not None and power >= 0 else None,
                emission_filter=text_at(channel, "DetectionWavelength/Ranges"),
            )
        )
    return tuple(found)


def _scenes(dimensions: etree._Element | None, name: str) -> tuple[CziScene, ...]:
    found: dict[int, CziScene] = {}
    for position, scene in enumerate(dimensions.iterfind("S/Scenes/Scene") if dimensions is not None else ()):
        index = index_in(scene.get("Index"), most=_MOST_SCENES)
        index = position if index is None else index
        if index in found:
            raise InvalidDataError(f"{name} describes scene {index} twice")
        shape = scene.find("Shape")
        names = (shape.get("Name") if shape is not None else None, text_at(scene, "ArrayName"))
        well, doubt = _well(shape, names, index)
        found[index] = CziScene(
            index=index,
            name=scene.get("Name"),
            well=well,
            centre_um=_pair(text_at(scene, "CenterPosition")),
            well_centre_um=_pair(text_at(shape, "CenterPosition")),
            doubt=doubt,
        )
    return tuple(found[index] for index in sorted(found))


def _well(
    shape: etree._Element | None, names: tuple[str | None, ...], scene: int
) -> tuple[tuple[int, int] | None, str | None]:
    """Return the well of a scene, and what contradicts it."""
    named = next((well for well in map(well_or_none, names) if well is not None), None)
    row, column = (
        index_in(text_at(shape, "RowIndex"), most=MAX_ROWS),
        index_in(text_at(shape, "ColumnIndex"), most=MAX_COLUMNS),
    )
    if not row or not column:
        return named, None
    doubt = None
    if named is not None and named != (row, column):
        doubt = (
            f"scene {scene} is called {format_well(*named)} and lies in row {row}, column {column}; "
            f"{format_well(row, column)} is recorded"
        )
    return (row, column), doubt


def _pair(text: str | None) -> tuple[float, float] | None:
    numbers = [number_in(part, most=1e7) for part in (text or "").split(",")]
    return (numbers[0], numbers[1]) if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None else None
