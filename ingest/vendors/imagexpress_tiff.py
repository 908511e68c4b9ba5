"""What MetaXpress writes into the header of an image: size, MetaSeries XML, or the tags of older MetaMorph.

In the database layout this is the only metadata there is, and a plate has tens of thousands of headers. The two reads
that a header takes are therefore done here; anything but a plain TIFF goes to tifffile.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape
from typing import BinaryIO

import tifffile

from ...errors import SourceFileError
from ..sources.base import guard
from ..sources.xml_tree import parse_tree
from ..units import to_ms, to_um

# What tifffile finds odd is in our errors; without a handler of its own it would also be on the screen.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
_WIDTH, _LENGTH, _DESCRIPTION, _UIC1 = 256, 257, 270, 33628
#: Not a tag: where the next page begins.
_NEXT = -1
_MOST_TAGS, _LONGEST = 1_000, 4 << 20
#: Free text, with a hundred character references in it: turned into characters when somebody asks.
_FREE = "Description"
#: A property as MetaXpress writes it, whose values cannot hold what would end them.
_PROPERTY = re.compile(r'<(?:custom-)?prop id="([^"<]*)" type="[^"<]*" value="([^"<]*)"/>')
_XML = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<MetaData\b", re.IGNORECASE)
_TIME = re.compile(r"(\d{4})[-:]?(\d{2})[-:]?(\d{2})[ T](\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """The header of one image. ``properties`` are MetaSeries's, or the same names told from older tags.

    ``has_more`` says that the file holds further images behind the first.
    """

    height: int
    width: int
    has_more: bool = False
    properties: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> float | None:
        """Return a property as a number, ``None`` where it is absent or none."""
        return as_number(self.properties.get(name))

    def pixel_size_um(self) -> tuple[float, float | None] | None:
        """Return the pixel size along x and y at the sample; ``None`` where the image is not calibrated in a length.

        y is ``None`` where the calibration names none that can be.
        """
        if self.properties.get("spatial-calibration-state", "").lower() not in ("on", "1", "true"):
            return None
        factor = to_um(self.properties.get("spatial-calibration-units"))
        x, y = self.number("spatial-calibration-x"), self.number("spatial-calibration-y")
        if factor is None or x is None or not 1e-3 < x * factor < 1e3:
            return None
        return x * factor, y * factor if y is not None and 1e-3 < y * factor < 1e3 else None

    def acquired_at(self) -> datetime | None:
        """Return the instrument's local time of the image; MetaXpress names no zone."""
        found = _TIME.match(self.properties.get("acquisition-time-local", "").strip())
        if found is None:
            return None
        year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
        try:
            moment = datetime(year, month, day, hour, minute, second)
        except ValueError:
            return None
        return moment + timedelta(microseconds=int((found[7] or "0").ljust(6, "0")))

    def exposure_ms(self) -> float | None:
        """Return the exposure time, ms; ``None`` where it has no unit of time."""
        found = re.match(r"\s*([\d.]+)\s*([a-zµμ]*)", self.properties.get("Exposure Time", ""), re.IGNORECASE)
        value = as_number(found[1]) if found else None
        factor = to_ms(found[2]) if found else None
        return value * factor if value is not None and factor is not None else None

    @property
    def description(self) -> str:
        """The free description, line by line."""
        return unescape(self.properties.get(_FREE, "")).replace("\r\n", "\n")

    def told(self, what: str) -> str | None:
        """Return a line ``what: value`` of the free description."""
        found = re.search(rf"^[ \t]*{re.escape(what)}:[ \t]*(\S.*?)[ \t]*$", self.description, re.M)
        return found[1] if found else None


def as_number(text: str | None) -> float | None:
    """Return the finite number that a whole text is."""
    found = _NUMBER.fullmatch((text or "").strip())
    value = float(found[0]) if found else math.nan
    return value if math.isfinite(value) else None


def parse_metaseries(data: bytes, name: str) -> dict[str, str]:
    """Return the properties of a MetaSeries description, the first of each name; the free text as it is written.

    Raises
    ------
    SourceFileError
        It is no well-formed XML, or has a document type.
    """
    data = data.strip(b"\0 \r\n\t").removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if "<!" in text and re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise SourceFileError(f"{name}: its description has a document type, which MetaXpress does not write")
    # All properties in the usual form are found four times faster than by parsing, and there is one text an image.
    found = _PROPERTY.findall(text)
    if not found or len(found) < text.count("prop id="):
        found = _parsed_properties(text, name)
    return {key: unescape(value) if "&" in value and key != _FREE else value for key, value in reversed(found)}


def _parsed_properties(text: str, name: str) -> list[tuple[str, str]]:
    root = parse_tree(text, f"{name}: its description")
    return [(element.get("id", ""), element.get("value", "")) for element in root.iter("prop", "custom-prop")]


def read_header(file: BinaryIO, name: str) -> ImageHeader:
    """Read the header of the first page of an image.

    Parameters
    ----------
    file
        The open file.
    name
        What to call it in messages.

    Raises
    ------
    SourceFileError
        It is no TIFF, or cut off before its header ends.
    """
    tags = _tags(file)
    if tags is None or _UIC1 in tags:
        return _by_tifffile(file, name)
    width, length, description = (tags.get(tag, b"") for tag in (_WIDTH, _LENGTH, _DESCRIPTION))
    if not (isinstance(width, int) and isinstance(length, int) and width > 0 and length > 0):
        raise SourceFileError(f"{name} is no image: its header gives no size")
    text = description if isinstance(description, bytes) else b""
    has_more = bool(tags.get(_NEXT))
    return ImageHeader(height=length, width=width, has_more=has_more, properties=_properties(text, name))


def _properties(description: bytes, name: str) -> dict[str, str]:
    return parse_metaseries(description, name) if _XML.match(description[:64]) else {}


def _tags(file: BinaryIO) -> dict[int, int | bytes] | None:
    """Return width, length and description of a classic TIFF's first page; ``None`` for anything else or damaged."""
    file.seek(0)
    head = file.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None or len(head) < 8:
        return None
    file.seek(struct.unpack(f"{order}I", head[4:])[0])
    count_bytes = file.read(2)
    if len(count_bytes) < 2:
        return None
    (count,) = struct.unpack(f"{order}H", count_bytes)
    entries = file.read(12 * count + 4) if count <= _MOST_TAGS else b""
    if len(entries) < 12 * count or not count:
        return None
    entries, following = entries[: 12 * count], entries[12 * count :]
    found: dict[int, int | bytes] = {_NEXT: following.strip(b"\0")}
    for tag, kind, n, value in struct.iter_unpack(f"{order}HHI4s", entries):
        if tag in (_WIDTH, _LENGTH) and n == 1 and kind in (3, 4):
            found[tag] = struct.unpack(f"{order}H", value[:2])[0] if kind == 3 else struct.unpack(f"{order}I", value)[0]
        elif tag == _DESCRIPTION and kind in (1, 2, 7) and n <= _LONGEST:
            if n > 4:
                file.seek(struct.unpack(f"{order}I", value)[0])
            found[tag] = file.read(n) if n > 4 else value[:n]
        elif tag == _UIC1:
            found[tag] = b""
    return found


def _by_tifffile(file: BinaryIO, name: str) -> ImageHeader:
    file.seek(0)
    with guard(name, "is no readable TIFF"), tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        height, width = int(page.imagelength), int(page.imagewidth)
        raw = page.tags.get(_DESCRIPTION)
        description = str(raw.value).encode() if raw is not None else b""
        stk = tiff.stk_metadata if tiff.is_stk else None
        properties = _properties(description, name) or (_stk_properties(stk, description) if stk else {})
        has_more = len(tiff.pages) > 1 or bool(stk and int(stk.get("NumberPlanes", 1)) > 1)
    if height <= 0 or width <= 0:
        raise SourceFileError(f"{name} is no image: its header gives no size")
    return ImageHeader(height=height, width=width, has_more=has_more, properties=properties)


def _stk_properties(stk: dict[str, object], description: bytes) -> dict[str, str]:
    """Tell MetaMorph's older tags by the names that MetaSeries has for the same things."""

    def first(key: str) -> object:
        value = stk.get(key)
        try:
            return value[0]  # type: ignore[index]
        except (TypeError, IndexError, KeyError):
            return value

    found: dict[str, object] = {
        "Description": description.decode("utf-8", "replace").replace("\r\n", "\n"),
        "spatial-calibration-state": "on" if stk.get("SpatialCalibration") else "off",
        "spatial-calibration-units": stk.get("CalibrationUnits"),
        "spatial-calibration-x": stk.get("XCalibration"),
        "spatial-calibration-y": stk.get("YCalibration"),
        "wavelength": first("Wavelengths"),
        "z-position": first("AbsoluteZ"),
        "image-name": stk.get("Name"),
        "acquisition-time-local": first("DatetimeCreated"),
    }
    place = first("StagePosition")
    with contextlib.suppress(TypeError, ValueError):
        found["stage-position-x"], found["stage-position-y"] = (float(v) for v in place)  # type: ignore[attr-defined]
    exposure = re.search(r"Exposure:\s*([\d.]+\s*\w+)", str(found["Description"]))
    if exposure:
        found["Exposure Time"] = exposure[1]
    return {key: str(value) for key, value in found.items() if value is not None}
