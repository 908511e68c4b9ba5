"""OME-XML of any schema from 2008 to 2016 as values: images, planes, where their pixels are, plates, instruments.

Pure: bytes in, :class:`.ome_model.OmeDocument` out. The namespace is ignored but for its year, which decides what a
length without a unit means; facts that schemas call differently (``LogicalChannel``, ``NumPlanes``, ``StagePosition``
…) come out under one name, with the schema's defaults. Only children of the root count: annotations may hold anybody's
XML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from ...errors import InvalidDataError, NotAnExportError
from .ome_model import (
    OmeChannel,
    OmeDocument,
    OmeImage,
    OmeInstrument,
    OmeObjective,
    OmePlane,
    OmePlate,
    OmePlateAcquisition,
    OmeTiffData,
    OmeWell,
    OmeWellSample,
)
from .ome_values import Facts, Schema
from .safe_xml import XmlRoot, drop, local_name, xml_elements, xml_root

ORDERS = ("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC")
_SCHEMA = re.compile(r"/OME/(\d{4})-(\d{2}|FC)|/OME/(\d{4})")
_MOST_SIDE = 10_000_000
_MOST_CHANNELS = 1_000
_MOST_PLANES = 10_000_000
_TOP = ("Image", "Plate", "Instrument", "BinaryOnly", "StructuredAnnotations")


def ome_root(data: bytes, name: str) -> XmlRoot:
    """Return the root of an OME-XML document, from its first bytes.

    Raises
    ------
    NotAnExportError
        It is something else, and the message says what.
    """
    root = xml_root(data, name)
    if root.name != "OME":
        raise NotAnExportError(f"{name} is no OME-XML: {root}")
    return root


def parse_ome_xml(data: bytes, name: str) -> OmeDocument:
    """Read a document.

    Parameters
    ----------
    data
        Its bytes.
    name
        What to call it in messages.

    Raises
    ------
    NotAnExportError
        It is no OME-XML.
    SourceFileError
        It is cut off or not well-formed.
    InvalidDataError
        A number is none, or a size is missing.
    """
    root = ome_root(data, name)
    year, month = _year_and_month(root.namespace)
    schema = Schema(name=name, year=year, month=month)
    images: list[OmeImage] = []
    plates: list[OmePlate] = []
    instruments: dict[str, OmeInstrument] = {}
    metadata_file: str | None = None
    for element in xml_elements(data, name, _TOP):
        parent = element.getparent()
        if parent is None or parent.getparent() is not None:
            continue
        kind, facts = local_name(element), Facts(element, schema)
        if kind == "Image":
            images.append(_image(facts))
        elif kind == "Plate":
            plates.append(_plate(facts))
        elif kind == "Instrument":
            instruments[facts.text("ID") or ""] = _instrument(facts)
        elif kind == "BinaryOnly":
            metadata_file = facts.text("MetadataFile") or ""
        drop(element)
    return OmeDocument(
        schema=f"{year}-{month:02d}" if year else "",
        creator=root.attributes.get("Creator"),
        uuid=root.attributes.get("UUID"),
        metadata_file=metadata_file,
        images=tuple(images),
        plates=tuple(plates),
        instruments=instruments,
        warnings=tuple(schema.notes),
    )


def _year_and_month(namespace: str) -> tuple[int, int]:
    found = _SCHEMA.search(namespace)
    if found is None:
        return 0, 0
    month = found[2] or ""
    return int(found[1] or found[3]), int(month) if month.isdigit() else 0


def _children(facts: Facts, *names: str) -> Iterator[Facts]:
    of = facts.text("ID") or facts.of
    for child in facts.element:
        if local_name(child) in names:
            yield Facts(child, facts.schema, of)


def _child(facts: Facts, *names: str) -> Facts:
    """Return the first child of that name; one without attributes when there is none."""
    return next(_children(facts, *names), Facts(etree.Element(names[0]), facts.schema, facts.text("ID") or facts.of))


def _inner(facts: Facts, name: str) -> str | None:
    """Return the text of a child element, or of the attribute of that name."""
    text = facts.text(name) or _child(facts, name).element.text
    return (text or "").strip() or None


def _image(facts: Facts) -> OmeImage:
    all_pixels = list(_children(facts, "Pixels"))
    if not all_pixels:
        raise InvalidDataError(f"{facts.where} has no <Pixels>")
    if len(all_pixels) > 1:
        facts.schema.note("images hold several sets of pixels; the first is used")
    pixels = all_pixels[0]
    order = (pixels.text("DimensionOrder") or ORDERS[0]).upper()
    if order not in ORDERS:
        raise pixels.wrong("DimensionOrder", order, f"not one of {', '.join(ORDERS)}")
    most = {"C": _MOST_CHANNELS}
    sizes = {axis: pixels.needed(f"Size{axis}", least=1, most=most.get(axis, _MOST_SIDE)) for axis in "XYZCT"}
    if sizes["Z"] * sizes["C"] * sizes["T"] > _MOST_PLANES:
        raise InvalidDataError(f"{pixels.where}: {sizes['Z']} × {sizes['C']} × {sizes['T']} planes are too many")
    label = _child(facts, "StageLabel")
    return OmeImage(
        id=facts.text("ID") or "",
        name=_inner(facts, "Name"),
        acquired_at=next(
            (t for n in ("AcquisitionDate", "AcquiredDate", "CreationDate") if (t := _inner(facts, n))), None
        ),
        size_x=sizes["X"],
        size_y=sizes["Y"],
        size_z=sizes["Z"],
        size_c=sizes["C"],
        size_t=sizes["T"],
        order=order,
        type=(pixels.text("Type", "PixelType") or "").lower(),
        channels=tuple(map(_channel, (*_children(pixels, "Channel"), *_children(facts, "LogicalChannel")))),
        planes=_planes(pixels),
        tiff_data=tuple(map(_tiff_data, _children(pixels, "TiffData"))),
        pixel_size_x_um=pixels.length_um("PhysicalSizeX"),
        pixel_size_y_um=pixels.length_um("PhysicalSizeY"),
        pixel_size_z_um=pixels.length_um("PhysicalSizeZ"),
        time_increment_s=pixels.time_s("TimeIncrement"),
        instrument_id=_child(facts, "InstrumentRef").text("ID"),
        objective_id=_child(facts, "ObjectiveSettings", "ObjectiveRef").text("ID"),
        stage_x_um=label.length_um("X", stage=True),
        stage_y_um=label.length_um("Y", stage=True),
        is_inline=any(True for _ in _children(pixels, "BinData", "MetadataOnly")),
    )


def _channel(facts: Facts) -> OmeChannel:
    detector = _child(facts, "DetectorSettings", "DetectorRef")
    light, path = _child(facts, "LightSourceSettings", "LightSourceRef"), _child(facts, "LightPath")
    binning = re.match(r"(\d{1,3})x", detector.text("Binning") or "")
    return OmeChannel(
        name=facts.text("Name"),
        samples=facts.whole("SamplesPerPixel", least=1, most=64) or 1,
        fluor=facts.text("Fluor"),
        excitation_nm=_nanometres(facts, "ExcitationWavelength", "ExWave") or _nanometres(light, "Wavelength"),
        emission_nm=_nanometres(facts, "EmissionWavelength", "EmWave"),
        color=facts.color("Color"),
        contrast_method=facts.text("ContrastMethod"),
        acquisition_mode=facts.text("AcquisitionMode", "Mode"),
        illumination=facts.text("IlluminationType"),
        binning=int(binning[1]) or None if binning else None,
        detector_id=detector.text("ID"),
        light_source_id=light.text("ID"),
        emission_filter_id=_child(path, "EmissionFilterRef").text("ID") or _child(facts, "FilterSetRef").text("ID"),
    )


def _nanometres(facts: Facts, *names: str) -> float | None:
    value = facts.length_um(*names, unit="nm")
    return round(value * 1000, 6) or None if value is not None else None


def _planes(pixels: Facts) -> dict[tuple[int, int, int], OmePlane]:
    found: dict[tuple[int, int, int], OmePlane] = {}
    for plane in _children(pixels, "Plane"):
        stage, timing = plane, plane
        if len(plane.element):  # Elements of their own in 2008 and before.
            stage = next(_children(plane, "StagePosition"), plane)
            timing = next(_children(plane, "PlaneTiming"), plane)
        place = (plane.whole("TheC") or 0, plane.whole("TheZ") or 0, plane.whole("TheT") or 0)
        found[place] = OmePlane(
            x_um=stage.length_um("PositionX", stage=True),
            y_um=stage.length_um("PositionY", stage=True),
            z_um=stage.length_um("PositionZ", stage=True),
            delta_s=timing.time_s("DeltaT"),
            exposure_s=timing.time_s("ExposureTime"),
        )
    return found


def _tiff_data(facts: Facts) -> OmeTiffData:
    uuid = _child(facts, "UUID")
    return OmeTiffData(
        c=facts.whole("FirstC") or 0,
        z=facts.whole("FirstZ") or 0,
        t=facts.whole("FirstT") or 0,
        ifd=facts.whole("IFD"),
        count=facts.whole("PlaneCount", "NumPlanes"),
        # A file name is what stands there: blanks at its ends are part of it.
        file=uuid.element.get("FileName") or None,
        uuid=(uuid.element.text or "").strip() or None,
    )


def _plate(facts: Facts) -> OmePlate:
    return OmePlate(
        id=facts.text("ID") or "",
        name=facts.text("Name"),
        barcode=facts.text("ExternalIdentifier"),
        rows=facts.whole("Rows") or None,
        columns=facts.whole("Columns") or None,
        wells=tuple(
            OmeWell(
                row=well.needed("Row"),
                column=well.needed("Column"),
                samples=tuple(map(_well_sample, _children(well, "WellSample"))),
            )
            for well in _children(facts, "Well")
        ),
        acquisitions=tuple(map(_plate_acquisition, _children(facts, "PlateAcquisition"))),
    )


def _well_sample(facts: Facts) -> OmeWellSample:
    return OmeWellSample(
        id=facts.text("ID") or "",
        index=facts.whole("Index"),
        image_id=_child(facts, "ImageRef").text("ID"),
        x_um=facts.length_um("PositionX", "PosX", stage=True),
        y_um=facts.length_um("PositionY", "PosY", stage=True),
    )


def _plate_acquisition(facts: Facts) -> OmePlateAcquisition:
    return OmePlateAcquisition(
        id=facts.text("ID") or "",
        name=facts.text("Name"),
        started_at=facts.text("StartTime"),
        ended_at=facts.text("EndTime"),
        sample_ids=tuple(ref.text("ID") or "" for ref in _children(facts, "WellSampleRef")),
    )


def _instrument(facts: Facts) -> OmeInstrument:
    microscope = _child(facts, "Microscope")
    parts: dict[str, str] = {}
    objectives: dict[str, OmeObjective] = {}
    for child in facts.element:
        part = Facts(child, facts.schema, facts.text("ID") or "")
        number, kind = part.text("ID") or "", local_name(child)
        if kind == "Objective":
            objectives[number] = OmeObjective(
                model=part.text("Model"),
                magnification=part.number("CalibratedMagnification", "NominalMagnification"),
                numerical_aperture=part.number("LensNA"),
            )
        elif number and (name := part.text("Model", "Manufacturer")):
            parts[number] = name
    return OmeInstrument(
        manufacturer=microscope.text("Manufacturer"),
        model=microscope.text("Model"),
        objectives=objectives,
        parts=parts,
    )
