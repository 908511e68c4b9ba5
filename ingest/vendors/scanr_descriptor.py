"""ScanR's ``experiment_descriptor.xml``, LabVIEW's flattened XML: plate, channels, fields, pixel size.

Everything is ``<Name>`` and ``<Val>`` in nested ``<Cluster>`` and ``<Array>``. Older versions write Latin-1 without
saying so, and decimal commas where the computer's language has them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from lxml import etree

from ...errors import InvalidDataError, NotAnExportError
from .safe_xml import local_name, xml_elements, xml_root

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_WELLS, _POSITIONS, _PLATE = "well selection table + cdna", "subposition list", "format typedef"
_AUTOFOCUS = "autofocus"
_MOST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanrChannel:
    """A channel that was not idle."""

    name: str
    exposure_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanrExperiment:
    """What a descriptor says. ``wells`` are numbers of those selected; ``positions`` µm, None where one is not told."""

    plate_name: str | None = None
    plate_size: tuple[int, int] | None = None
    pixel_size_um: float | None = None
    channels: tuple[ScanrChannel, ...] = ()
    wells: tuple[int, ...] = ()
    positions: tuple[tuple[float, float] | None, ...] = ()
    time_interval_s: float | None = None


def parse_descriptor(data: bytes, name: str) -> ScanrExperiment:
    """Read a descriptor.

    Raises
    ------
    NotAnExportError
        It is none.
    SourceFileError
        It is cut off or not well-formed.
    InvalidDataError
        A number is none.
    """
    data = _utf8(data)
    root = xml_root(data, name)
    if root.name not in ("LVData", "Cluster"):
        raise NotAnExportError(f"{name} is no ScanR experiment descriptor: {root}")
    facts: dict[str, str] = {}
    channels: list[ScanrChannel] = []
    size: tuple[int, int] | None = None
    wells: list[int] = []
    positions: list[tuple[float, float] | None] = []
    for element in xml_elements(data, name, ("Cluster", "Array")):
        title, values = _title(element), _values(element)
        for key, value in values.items():
            facts.setdefault(key, value)
        if title == _WELLS:
            # What is said of a well (its name, its cDNA) stands behind its number.
            wells = [int(value) for value in _all_values(element) if _is_whole(value)]
        elif title == _POSITIONS and local_name(element) == "Array":
            positions = _positions(element, name)
        elif title == _PLATE and {"rows", "columns"} <= values.keys():
            size = _whole(values["rows"], "Rows", name), _whole(values["columns"], "Columns", name)
        elif "name" in values and "idle" in values:
            is_idle = values["idle"].lower() not in ("0", "false")
            if not is_idle and values["name"].lower() != _AUTOFOCUS:
                exposure = values.get("exposure time")
                told = None if exposure is None else _number(exposure, "exposure time", name)
                channels.append(ScanrChannel(name=values["name"], exposure_ms=told))
    pixel = facts.get("conversion factor um/pixel")
    delay = facts.get("timeloop delay [ms]")
    return ScanrExperiment(
        plate_name=facts.get("plate name"),
        plate_size=size if size and min(size) > 0 else None,
        pixel_size_um=(_number(pixel, "conversion factor", name) or None) if pixel else None,
        channels=tuple(dict.fromkeys(channels)),
        wells=tuple(dict.fromkeys(wells)),
        positions=tuple(positions),
        time_interval_s=(_number(delay, "timeloop delay", name) / 1000 or None) if delay else None,
    )


def _utf8(data: bytes) -> bytes:
    """Return the document as UTF-8 without its declaration, which names no encoding or a wrong one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return _DECLARATION.sub("", text).lstrip().encode("utf-8", "replace")


def _title(element: etree._Element) -> str:
    for child in element:
        if local_name(child) == "Name":
            return (child.text or "").strip().lower()
    return ""


def _values(element: etree._Element) -> dict[str, str]:
    """Return the named values directly inside a cluster; names in small letters."""
    found: dict[str, str] = {}
    for child in element:
        name = value = ""
        for part in child:
            kind = local_name(part)
            if kind == "Name":
                name = (part.text or "").strip().lower()
            elif kind == "Val":
                value = (part.text or "").strip()
        if name and value:
            found.setdefault(name, value)
    return found


def _all_values(element: etree._Element) -> list[str]:
    """Return all values below an element, in their order; an empty text where one is left out."""
    found = [(part.text or "").strip() for part in element.iter("{*}Val")]
    if len(found) > _MOST:
        raise InvalidDataError(f"an experiment descriptor lists {len(found)} values of {_title(element)!r}")
    return found


def _positions(array: etree._Element, name: str) -> list[tuple[float, float] | None]:
    """Return the positions of a list: a cluster of x and y each, or one number after the other."""
    clusters = [child for child in array if local_name(child) == "Cluster"]
    values = _all_values(array)
    pairs = [_all_values(one)[:2] for one in clusters] or [values[i : i + 2] for i in range(0, len(values), 2)]
    found: list[tuple[float, float] | None] = []
    for pair in pairs:
        # Never the neighbour's: a value that is left out would shift all that follow.
        known = len(pair) == 2 and all(pair)
        found.append((_number(pair[0], _POSITIONS, name), _number(pair[1], _POSITIONS, name)) if known else None)
    return found


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _whole(text: str, what: str, name: str) -> int:
    if not _is_whole(text):
        raise InvalidDataError(f"{name}: {what} is {text[:40]!r}, no whole number")
    return int(text)


def _number(text: str, what: str, name: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError as error:
        raise InvalidDataError(f"{name}: {what} is {text[:40]!r}, no number") from error
    if not math.isfinite(value) or abs(value) > 1e10:
        raise InvalidDataError(f"{name}: {what} is {text[:40]!r}, beyond all bounds")
    return value
