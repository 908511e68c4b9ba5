"""Harmony's XML as bytes in, the vendor's own words out: no files, no guesses, no units changed.

One streaming pass over an index of any size (``Index.idx.xml``, ``Index.xml``, ``Index.ref.xml``; namespaces
HarmonyV5, V6, V7 and their neighbours). V5 repeats every channel fact in every ``<Image>``; V6 and V7 say them once,
in a ``<Map><Entry ChannelID=…>`` (:mod:`.harmony_entries`). Both end up in :attr:`HarmonyIndex.channels`. Names of
fields are the vendor's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree

from ...errors import NotAnExportError, SourceFileError
from .harmony_entries import Entries
from .safe_xml import XmlRoot, drop, local_name, xml_elements, xml_root

#: What an ``<Image>`` says about itself, in V5 as in V7; ``BufferNo`` is an attribute of its ``URL``.
IMAGE_TAGS = (
    "id", "State", "URL", "BufferNo", "Row", "Col", "FieldID", "PlaneID", "TimepointID", "ChannelID",
    "PositionX", "PositionY", "PositionZ", "MeasurementTimeOffset", "AbsTime",
)  # fmt: skip
#: What V5 says in every ``<Image>`` and later versions in the channel's ``<Entry>``.
CHANNEL_TAGS = (
    "ChannelName", "ImageType", "AcquisitionType", "IlluminationType", "ChannelType", "ImageResolutionX",
    "ImageResolutionY", "ImageSizeX", "ImageSizeY", "BinningX", "BinningY", "MaxIntensity", "CameraType",
    "MainExcitationWavelength", "MainEmissionWavelength", "ObjectiveMagnification", "ObjectiveNA", "ExposureTime",
    "ExcitationPower", "ChannelColor",
)  # fmt: skip
#: Tags with a unit that is looked at.
_MEASURED = frozenset((
    "PositionX", "PositionY", "PositionZ", "MeasurementTimeOffset", "ImageResolutionX", "ImageResolutionY",
    "ExposureTime", "MainExcitationWavelength", "MainEmissionWavelength",
))  # fmt: skip
_HARMONY_ROOT = "EvaluationInputData"
#: What Columbus, which took in and exported the images of many microscopes, is called as a version.
COLUMBUS = "Columbus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A fact of a channel that is told in two ways: the value that counts, another, and where each stands."""

    first: str
    other: str
    first_in: str
    other_in: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmonyIndex:
    """An index as it was written. Values are the text of the elements, stripped; absent ones are ``None``.

    ``images`` has one list per name of :data:`IMAGE_TAGS`, all of one length. ``channels`` maps ``ChannelID`` to the
    channel's facts and ``conflicts`` ``(ChannelID, tag)`` to the first disagreement about one. ``units`` maps a tag to
    its ``Unit``, and ``mixed_units`` to another one that it has elsewhere. ``promised`` counts the images that the well
    list names.
    """

    root: XmlRoot
    header: dict[str, str]
    plates: list[dict[str, str]]
    channels: dict[str, dict[str, str]]
    flatfields: dict[str, str]
    images: dict[str, list[str | None]]
    units: dict[str, str]
    mixed_units: dict[str, str] = field(default_factory=dict)
    conflicts: dict[tuple[str, str], Conflict] = field(default_factory=dict)
    promised: int = 0

    def label(self, position: int) -> str:
        """Return what the index calls an image, by its position in the lists."""
        return self.images["id"][position] or f"number {position + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssayLayout:
    """One plate layout of Harmony's editor: ``values`` are (layer, row, column, text), rows and columns from 1."""

    rows: int | None
    columns: int | None
    values: list[tuple[str, int, int, str]]


def _children(element: etree._Element) -> dict[str, str]:
    """Local name -> stripped text of the child elements that have any; the first of a name counts."""
    found: dict[str, str] = {}
    for child in element:
        text = child.text
        if text and not text.isspace():
            found.setdefault(local_name(child), text.strip())
    return found


def harmony_version(root: XmlRoot) -> str | None:
    """Return ``V5``, ``V6``, ``V7`` … or ``Columbus``; ``None`` where the document does not open as an index does."""
    if root.name != _HARMONY_ROOT:
        return None
    if "columbus" in root.namespace.lower():
        return COLUMBUS
    found = re.search(r"Harmony\s*(V\d+(?:\.\d+)*)?", root.namespace, re.IGNORECASE)
    if found is None:
        return None
    return (found.group(1) or "V?").upper()


def check_index_root(data: bytes, name: str) -> XmlRoot:
    """Return the root of a Harmony index.

    Raises
    ------
    NotAnExportError
        When the document is something else, saying what it is.
    """
    root = xml_root(data, name)
    if harmony_version(root) is None:
        raise NotAnExportError(
            f"{name} is not a Harmony index: {root}",
            hint=f"A Harmony index opens with <{_HARMONY_ROOT}> in a namespace that names Harmony.",
        )
    return root


class _ImageColumns:
    """Collects ``<Image>`` elements column by column, and the channel facts that V5 repeats in each."""

    def __init__(self) -> None:
        self.columns: dict[str, list[str | None]] = {tag: [] for tag in IMAGE_TAGS}
        self.units: dict[str, str] = {}
        self.mixed_units: dict[str, str] = {}
        self.facts: dict[str, dict[str, str]] = {}
        self.conflicts: dict[tuple[str, str], Conflict] = {}
        self._names: dict[str, str] = {}
        self._appends = [(tag, self.columns[tag].append) for tag in IMAGE_TAGS]
        self._seen: set[tuple[str | None, ...]] = set()

    def add(self, element: etree._Element) -> None:
        names = self._names
        values: dict[str, str | None] = {}
        for child in element:
            tag = child.tag
            local = names.get(tag)
            if local is None:
                local = names[tag] = local_name(child)
            if local in _MEASURED:
                self.note_unit(local, child)
            elif local == "URL":
                values["BufferNo"] = child.get("BufferNo")
            values[local] = child.text
        get = values.get
        for tag, append in self._appends:
            text = get(tag)
            append(text.strip() or None if text is not None else None)
        key = (get("ChannelID"), *[get(tag) for tag in CHANNEL_TAGS])
        if key not in self._seen:
            self._seen.add(key)
            self._new_facts(key, get("id") or "?")

    def note_unit(self, tag: str, element: etree._Element) -> None:
        """Keep the unit that the first element of a name has, and one that differs."""
        unit = element.get("Unit")
        if unit is not None and self.units.setdefault(tag, unit) != unit:
            self.mixed_units.setdefault(tag, unit)

    def _new_facts(self, key: tuple[str | None, ...], image_id: str) -> None:
        channel = (key[0] or "").strip()
        facts = self.facts.setdefault(channel, {})
        for tag, text in zip(CHANNEL_TAGS, key[1:], strict=True):
            value = text.strip() if text else ""
            if not value:
                continue
            known = facts.setdefault(tag, value)
            if known != value:
                where = f"image {image_id.strip()}"
                conflict = Conflict(first=known, other=value, first_in="its first image", other_in=where)
                self.conflicts.setdefault((channel, tag), conflict)


def parse_index(data: bytes, name: str = "the index") -> HarmonyIndex:
    """Read a whole index.

    Parameters
    ----------
    data
        The bytes of the file, with or without a byte order mark.
    name
        What to call it in messages.

    Raises
    ------
    NotAnExportError
        When it is no Harmony index; the message names its root element and namespace.
    SourceFileError
        When it is cut off or not well-formed; the message names the byte.
    """
    root = check_index_root(data, name)
    header: dict[str, str] = {}
    plates: list[dict[str, str]] = []
    entries = Entries(frozenset(CHANNEL_TAGS))
    images = _ImageColumns()
    promised = 0
    for element in xml_elements(data, name, ("Image", "Entry", "Plate", "User", "InstrumentType")):
        tag = local_name(element)
        if tag == "Image":
            if len(element):
                images.add(element)
            else:
                promised += 1
            drop(element)
        elif tag == "Entry":
            entries.add({str(k): str(v) for k, v in element.attrib.items()}, _children(element))
            for child in element:
                images.note_unit(local_name(child), child)
            drop(element)
        elif tag == "Plate":
            plates.append(_children(element))
        elif element.text and element.text.strip():
            header.setdefault(tag, element.text.strip())
    for (channel, key), (known, other) in entries.conflicts.items():
        images.conflicts[channel, key] = Conflict(
            first=known, other=other, first_in="its first entry", other_in="another entry"
        )
    for channel, facts in images.facts.items():
        merged = entries.channels.setdefault(channel, {})
        for key, value in facts.items():
            if (known := merged.setdefault(key, value)) != value:
                conflict = Conflict(first=known, other=value, first_in="its entry", other_in="its images")
                images.conflicts.setdefault((channel, key), conflict)
    entries.complete_channels(images.facts)
    entries.complete_images(images.columns)
    return HarmonyIndex(
        root=root,
        header=header,
        plates=plates,
        channels=entries.channels,
        flatfields=entries.flatfields,
        images=images.columns,
        units=images.units,
        mixed_units=images.mixed_units,
        conflicts=images.conflicts,
        promised=promised,
    )


def parse_flatfields(data: bytes, name: str) -> dict[str, str]:
    """Read the profiles of an older Operetta's ``FFC_Profile/*.xml``: ``ChannelID`` -> profile text.

    Raises
    ------
    SourceFileError
        When the file is not well-formed XML.
    NotAnExportError
        When it is no XML, or declares a document type.
    """
    xml_root(data, name)
    found: dict[str, str] = {}
    for element in xml_elements(data, name, ("Entry",)):
        text = _children(element).get("FlatfieldProfile")
        if text:
            found.setdefault((element.get("ChannelID") or "").strip(), text)
        drop(element)
    return found


def parse_assay_layout(data: bytes, name: str) -> AssayLayout:
    """Read an ``Assaylayout/*.xml``; wells without a value are left out.

    Raises
    ------
    SourceFileError
        When the file is not well-formed XML, or a well's row or column is no number.
    NotAnExportError
        When it is no assay layout.
    """
    root = xml_root(data, name)
    if root.name != "AssayLayout":
        raise NotAnExportError(f"{name} is not a Harmony assay layout: {root}")
    rows = columns = None
    values: list[tuple[str, int, int, str]] = []
    try:
        for element in xml_elements(data, name, ("PlateRows", "PlateCols", "PlateColumns", "Layer")):
            tag = local_name(element)
            if tag == "Layer":
                layer = _children(element).get("Name", "")
                for well in element:
                    if local_name(well) != "Well":
                        continue
                    facts = _children(well)
                    if layer and "Value" in facts:
                        values.append((layer, int(facts.get("Row", "")), int(facts.get("Col", "")), facts["Value"]))
                drop(element)
            elif element.text and tag == "PlateRows":
                rows = int(element.text)
            elif element.text:
                columns = int(element.text)
    except ValueError as error:
        raise SourceFileError(f"{name}: a row or column is no whole number: {error}") from error
    return AssayLayout(rows=rows, columns=columns, values=values)
