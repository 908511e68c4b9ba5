"""The XML index of an IN Cell plate (``.xdce``) as bytes in, its own words out: no files, no guesses about geometry.

An ``<ImageStack>`` holds the protocol (objective, camera, plate, wavelengths, offsets of the fields) and one
``<Image>`` per plane. Names and units stay the vendor's: indices count from 0, rows and columns from 1, times are ms
since the start (IN Cell) or s since 1970 (the files that MetaXpress writes for IN Carta).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from ...errors import InvalidDataError, NotAnExportError, SourceFileError
from ..units import to_ms, to_um
from .safe_xml import drop, local_name, xml_elements, xml_root

ROOT = "ImageStack"
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,9}\s*\Z")
_NUMBER = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,6})?")
_DAMAGED = "Copy the file again from the microscope's export."
#: Elements that are looked at when they end. Those of an image are read from the image.
_PROTOCOL = (
    "UUID", "Application", "Creation", "Operator", "ObjectiveCalibration", "Camera", "Plate", "NamingRows",
    "NamingColumns", "ZDimensionParameters", "AutoLeadAcquisitionProtocol", "Images", ROOT,
)  # fmt: skip
_TAGS = (*_PROTOCOL, "offset_point", "Wavelength", "Exclude", "Image")


@dataclass(frozen=True, slots=True, kw_only=True)
class XdceImage:
    """One ``<Image>``. ``row`` and ``column`` count from 1, the indices from 0; ``offset_um`` has y up."""

    file: str
    row: int
    column: int
    field_index: int
    wave_index: int
    z_index: int
    time_index: int
    offset_um: tuple[float, float] | None
    plate_um: tuple[float, float] | None
    focus_um: float | None
    exposure_ms: float | None
    time_ms: float | None
    timestamp_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wavelength:
    """One ``<Wavelength>`` of the protocol. ``mode`` is ``2-D`` or ``3-D``; ``fused`` ones are computed later."""

    index: int
    fused: bool
    mode: str | None
    excitation: str | None
    emission: str | None
    excitation_nm: float | None
    emission_nm: float | None
    exposure_ms: float | None
    z_step_um: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class XdceIndex:
    """An index as it was written.

    ``protocol`` maps an element (``Creation``, ``Camera/Size``) to its attributes, ``offsets_um`` a field index to
    its offset from the middle of the well (x right, y up). ``promised`` is the number of images that it announces.
    """

    plate_id: str | None
    protocol: Mapping[str, Mapping[str, str]]
    wavelengths: tuple[Wavelength, ...]
    offsets_um: Mapping[int, tuple[float, float]]
    excluded: tuple[tuple[int, int], ...]
    images: tuple[XdceImage, ...]
    promised: int | None

    def fact(self, element: str, attribute: str) -> str | None:
        """Return an attribute of a protocol element, None where either is absent or empty."""
        text = self.protocol.get(element, {}).get(attribute, "").strip()
        return text or None


def xdce_root(data: bytes, name: str) -> str:
    """Say what a document opens with, if it is an index.

    Parameters
    ----------
    data
        The first bytes are enough.

    Raises
    ------
    NotAnExportError
        When it is no XML, or another document.
    """
    root = xml_root(_readable(data), name)
    if root.name != ROOT:
        raise NotAnExportError(f"{name} is not an IN Cell index: {root}", hint=f"An .xdce opens with <{ROOT}>.")
    return str(root)


def parse_xdce(data: bytes, name: str) -> XdceIndex:
    """Read an index.

    Parameters
    ----------
    data
        The whole file.
    name
        What to call it in messages.

    Raises
    ------
    NotAnExportError
        It is another document.
    SourceFileError
        It is cut off, or not well-formed.
    InvalidDataError
        A number is none, or an image does not say which plane it is.
    """
    xdce_root(data, name)
    building = _Building(name)
    for element in xml_elements(_readable(data), name, _TAGS):
        building.take(element)
    if not building.is_whole:
        raise SourceFileError(f"{name} is cut off after {len(data)} bytes", hint=_DAMAGED)
    return building.index()


def number(text: str | None, where: str) -> float | None:
    """Return the number that a text is, None for no text; a decimal comma is understood.

    Raises
    ------
    InvalidDataError
        It is no finite number.
    """
    if text is None or not text.strip():
        return None
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError as error:
        raise InvalidDataError(f"{where} is {text[:40]!r}, no number", hint=_DAMAGED) from error
    if not math.isfinite(value) or abs(value) > 1e15:
        raise InvalidDataError(f"{where} is {text[:40]}, beyond all measure", hint=_DAMAGED)
    return value


def whole(text: str | None, where: str) -> int | None:
    """Return the whole number that a text is, None for no text.

    Raises
    ------
    InvalidDataError
        It is no whole number of at most nine digits.
    """
    if text is None or not text.strip():
        return None
    if not _INTEGER.match(text):
        raise InvalidDataError(f"{where} is {text[:40]!r}, no whole number", hint=_DAMAGED)
    return int(text)


def _readable(data: bytes) -> bytes:
    """Return the document; what is neither declared nor UTF-8 was written with the microscope's own code page."""
    if b"encoding" in data[:200] or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("iso-8859-1").encode()
    return data


def _attributes(element: etree._Element) -> dict[str, str]:
    return {str(key).rpartition("}")[2]: str(value) for key, value in element.attrib.items()}


@dataclass(slots=True)
class _Building:
    """Gathers an index from the elements of its document, in their order."""

    name: str
    is_whole: bool = False
    plate_id: str | None = None
    promised: int | None = None
    protocol: dict[str, dict[str, str]] = field(default_factory=dict)
    wavelengths: list[Wavelength] = field(default_factory=list)
    offsets: dict[int, tuple[float, float]] = field(default_factory=dict)
    excluded: list[tuple[int, int]] = field(default_factory=list)
    images: list[XdceImage] = field(default_factory=list)

    def take(self, element: etree._Element) -> None:
        """Note what an element says, and free the memory of an image."""
        tag, own = local_name(element), _attributes(element)
        if tag == "Image":
            self.images.append(self._image(element, own))
            drop(element)
        elif tag == "offset_point":
            where = f"{self.name}: offset_point {len(self.offsets)}"
            index = whole(own.get("index"), f"{where}: index")
            scale = _unit(own.get("unit"), to_um, where)
            x, y = number(own.get("x"), f"{where}: x"), number(own.get("y"), f"{where}: y")
            if x is not None and y is not None:
                self.offsets[len(self.offsets) if index is None else index] = (x * scale, y * scale)
        elif tag == "Wavelength":
            self.wavelengths.append(self._wavelength(element, own))
        elif tag == "Exclude":
            where = f"{self.name}: Exclude"
            row, column = whole(own.get("row"), where), whole(own.get("col", own.get("column")), where)
            if row is not None and column is not None:
                self.excluded.append((row, column))
        elif tag == ROOT:
            self.is_whole = element.getparent() is None
            self.plate_id = own.get("PlateID", own.get("plate_id", "")).strip() or None
        else:
            if tag == "Images":
                self.promised = whole(own.get("number"), f"{self.name}: Images number")
            self.protocol.setdefault(tag, own)
            if tag in ("Camera", "Plate"):
                for child in element:
                    self.protocol.setdefault(f"{tag}/{local_name(child)}", _attributes(child))

    def index(self) -> XdceIndex:
        """Give what was gathered."""
        return XdceIndex(
            plate_id=self.plate_id,
            protocol=self.protocol,
            wavelengths=tuple(self.wavelengths),
            offsets_um=self.offsets,
            excluded=tuple(self.excluded),
            images=tuple(self.images),
            promised=self.promised,
        )

    def _wavelength(self, element: etree._Element, own: Mapping[str, str]) -> Wavelength:
        position = len(self.wavelengths)
        where = f"{self.name}: Wavelength {position}"
        facts = {local_name(child): _attributes(child) for child in element}
        index = whole(own.get("index"), f"{where}: index")
        return Wavelength(
            index=position if index is None else index,
            fused=own.get("fusion_wave", "").lower() == "true",
            mode=own.get("imaging_mode", "").strip() or None,
            excitation=facts.get("ExcitationFilter", {}).get("name", "").strip() or None,
            emission=facts.get("EmissionFilter", {}).get("name", "").strip() or None,
            excitation_nm=_nanometres(facts.get("ExcitationFilter", {}).get("wavelength")),
            emission_nm=_nanometres(facts.get("EmissionFilter", {}).get("wavelength")),
            exposure_ms=_exposure(facts.get("Exposure"), where),
            z_step_um=number(own.get("z_step"), f"{where}: z_step") or None,
        )

    def _image(self, element: etree._Element, own: Mapping[str, str]) -> XdceImage:
        file = own.get("filename", "").strip()
        where = f"{self.name}: image {len(self.images) + 1} ({file[:80]})"
        facts: dict[str, dict[str, str]] = {}
        for child in element.iterdescendants():
            facts.setdefault(local_name(child), _attributes(child))
        identifier = facts.get("Identifier", {})

        def position(attributes: Mapping[str, str] | None) -> tuple[float, float] | None:
            if attributes is None:
                return None
            x, y = number(attributes.get("x"), f"{where}: x"), number(attributes.get("y"), f"{where}: y")
            scale = _unit(attributes.get("unit"), to_um, where)
            return None if x is None or y is None else (x * scale, y * scale)

        def needed(attributes: Mapping[str, str], attribute: str) -> int:
            value = whole(attributes.get(attribute), f"{where}: {attribute}")
            if value is None:
                raise InvalidDataError(f"{where} has no {attribute}", hint=_DAMAGED)
            return value

        focus = facts.get("FocusPosition", {})
        z = number(focus.get("z"), f"{where}: FocusPosition")
        return XdceImage(
            file=file,
            row=needed(facts.get("Row", {}), "number"),
            column=needed(facts.get("Column", {}), "number"),
            field_index=needed(identifier, "field_index"),
            wave_index=needed(identifier, "wave_index"),
            z_index=needed(identifier, "z_index"),
            time_index=needed(identifier, "time_index"),
            offset_um=position(facts.get("OffsetFromWellCenter")),
            plate_um=position(facts.get("PlatePosition_um")),
            focus_um=None if z is None else z * _unit(focus.get("unit"), to_um, where),
            exposure_ms=_exposure(facts.get("Exposure"), where),
            time_ms=number(own.get("acquisition_time_ms"), f"{where}: acquisition_time_ms"),
            timestamp_s=number(own.get("timestamp_sec"), f"{where}: timestamp_sec"),
        )


def _exposure(attributes: Mapping[str, str] | None, where: str) -> float | None:
    if attributes is None:
        return None
    value = number(attributes.get("time"), f"{where}: Exposure")
    return None if value is None else round(value * _unit(attributes.get("unit"), to_ms, where), 6)


def _nanometres(text: str | None) -> float | None:
    """Return the first number of a wavelength (``455``, ``455/50``); a filter without one is no reason to stop."""
    found = _NUMBER.search(text or "")
    return float(found.group()) or None if found else None


def _unit(text: str | None, factor: Callable[[str | None], float | None], where: str) -> float:
    """Return what makes µm, or ms, of a number; one without a unit is in these."""
    if not (text or "").strip():
        return 1.0
    scale = factor(text)
    if scale is None:
        raise InvalidDataError(f"{where} is in {text!r}, which is no unit that an IN Cell writes", hint=_DAMAGED)
    return scale
