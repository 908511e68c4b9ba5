"""The files of a Yokogawa measurement as bytes in, the vendor's own words out: no files, no guesses, no units changed.

``MeasurementData.mlf`` has a record of each image and of each failure; ``MeasurementDetail.mrf`` says the plate and
the geometry of each channel; the ``.mes`` how each channel was lit and what each action does; the ``.wpi`` the plate,
the ``.wpp`` its make. Numbers count from 1, as the vendor's do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from .cellvoyager_xml import check_root, facts_of, number, positive, read_elements, text_of, whole
from .safe_xml import local_name

_IMAGE = "IMG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One image. ``x_um`` and ``y_um`` from the middle of the well, y up; ``processing`` names a projection."""

    position: int
    row: int
    column: int
    field: int
    timepoint: int
    z: int
    channel: int
    timeline: int
    action: int
    kind: str
    processing: str
    x_um: float | None
    y_um: float | None
    z_um: float | None
    time: str | None
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One record that is no image: a failed autofocus (``ERR``), or something the format does not know."""

    kind: str
    where: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementData:
    """The ``.mlf``, in the order of its records."""

    version: str
    records: tuple[Record, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailChannel:
    """What the ``.mrf`` says of a channel, acquired or not; a file is as the vendor names it."""

    pixel_size_x_um: float | None
    pixel_size_y_um: float | None
    width: int
    height: int
    bit_depth: int
    camera: str | None
    shading: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementDetail:
    """The ``.mrf``: ``facts`` of the measurement and of its plate (``plate``), and of each channel by number."""

    facts: Mapping[str, str]
    plate: Mapping[str, str]
    channels: Mapping[int, DetailChannel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What the protocol lets one action of a time line acquire; ``depth`` planes, ``step_um`` apart, of a stack."""

    channels: frozenset[int]
    depth: int
    step_um: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSetting:
    """The ``.mes``: facts of channels by number, light sources by name, actions by time line and position."""

    facts: Mapping[str, str]
    channels: Mapping[int, Mapping[str, str]]
    sources: Mapping[int, tuple[str, ...]]
    lights: Mapping[str, Mapping[str, str]]
    actions: Mapping[tuple[int, int], Action] = field(default_factory=dict)


def parse_mlf(data: bytes, name: str = "MeasurementData.mlf") -> MeasurementData:
    """Read the records of a measurement.

    Raises
    ------
    NotAnExportError
        When it is no ``MeasurementData``.
    SourceFileError
        When it is cut off or not well-formed.
    InvalidDataError
        A record of an image lacks a number, or has one that is none.
    """
    check_root(data, name, "MeasurementData")
    version = "?"
    records: list[Record] = []
    problems: list[Problem] = []
    position = 0
    for tag, element in read_elements(data, name, ("MeasurementRecord", "MeasurementData")):
        facts, text = facts_of(element), text_of(element)
        if tag == "MeasurementData":
            version = facts.get("Version", version)
            continue
        position += 1
        kind = facts.get("Type", _IMAGE).upper()
        if kind == _IMAGE and text:
            records.append(_record(position, facts, text, f"{name}, record {position}"))
        else:
            problems.append(Problem(kind=kind, where=_place(position, facts), text=text or "names no file"))
    return MeasurementData(version=version, records=tuple(records), problems=tuple(problems))


def _record(position: int, facts: Mapping[str, str], file: str, where: str) -> Record:
    return Record(
        position=position,
        row=whole(facts, "Row", where),
        column=whole(facts, "Column", where),
        field=whole(facts, "FieldIndex", where),
        timepoint=whole(facts, "TimePoint", where, 1),
        z=whole(facts, "ZIndex", where, 1),
        channel=whole(facts, "Ch", where),
        timeline=whole(facts, "TimelineIndex", where, 1),
        action=whole(facts, "ActionIndex", where, 1),
        kind=facts.get("Action", ""),
        processing=facts.get("ZImageProcessing", ""),
        x_um=number(facts, "X", where),
        y_um=number(facts, "Y", where),
        z_um=number(facts, "Z", where),
        time=facts.get("Time"),
        file=file,
    )


def _place(position: int, facts: Mapping[str, str]) -> str:
    """Say where a record that is no image belongs; nothing in it is sure to be there."""
    told = [
        f"{word} {facts[tag]}"
        for tag, word in (
            ("Row", "row"),
            ("Column", "column"),
            ("FieldIndex", "field"),
            ("TimePoint", "time point"),
            ("TimelineIndex", "time line"),
        )
        if tag in facts
    ]
    return ", ".join(told) or f"record {position}"


def parse_mrf(data: bytes, name: str = "MeasurementDetail.mrf") -> MeasurementDetail:
    """Read the details of a measurement; raises as :func:`parse_mlf`."""
    check_root(data, name, "MeasurementDetail")
    facts: dict[str, str] = {}
    plate: dict[str, str] = {}
    channels: dict[int, DetailChannel] = {}
    tags = ("MeasurementSamplePlate", "MeasurementChannel", "MeasurementDetail")
    for tag, element in read_elements(data, name, tags):
        if tag == "MeasurementDetail":
            facts = facts_of(element)
        elif tag == "MeasurementSamplePlate":
            plate = facts_of(element)
        else:
            own = facts_of(element)
            channel = whole(own, "Ch", f"{name}: a channel")
            where = f"{name}: channel {channel}"
            channels.setdefault(
                channel,
                DetailChannel(
                    pixel_size_x_um=positive(own, "HorizontalPixelDimension", where),
                    pixel_size_y_um=positive(own, "VerticalPixelDimension", where),
                    width=whole(own, "HorizontalPixels", where, 0),
                    height=whole(own, "VerticalPixels", where, 0),
                    bit_depth=whole(own, "InputBitDepth", where, 0),
                    camera=own.get("CameraNumber"),
                    shading=own.get("ShadingCorrectionSource"),
                ),
            )
    return MeasurementDetail(facts=facts, plate=plate, channels=channels)


def parse_mes(data: bytes, name: str = "the .mes") -> MeasurementSetting:
    """Read the protocol of a measurement; raises as :func:`parse_mlf`."""
    check_root(data, name, "MeasurementSetting")
    facts: dict[str, str] = {}
    channels: dict[int, dict[str, str]] = {}
    sources: dict[int, tuple[str, ...]] = {}
    lights: dict[str, dict[str, str]] = {}
    actions: dict[tuple[int, int], Action] = {}
    timeline = 0
    for tag, element in read_elements(data, name, ("Timeline", "LightSource", "Channel", "MeasurementSetting")):
        own = facts_of(element)
        if tag == "MeasurementSetting":
            facts = own
        elif tag == "LightSource":
            lights.setdefault(own.get("Name", ""), own)
        elif tag == "Channel":
            channel = whole(own, "Ch", f"{name}: a channel")
            if channel not in channels:
                channels[channel] = own
                sources[channel] = tuple(text_of(c) for c in _children(element, "LightSourceName") if text_of(c))
        else:
            timeline += 1
            listed = [a for actions_list in _children(element, "ActionList") for a in actions_list]
            for position, action in enumerate(listed, start=1):
                actions[timeline, position] = _action(action, f"{name}: action {position} of time line {timeline}")
    return MeasurementSetting(facts=facts, channels=channels, sources=sources, lights=lights, actions=actions)


def _children(element: etree._Element, tag: str) -> list[etree._Element]:
    return [child for child in element if local_name(child) == tag]


def _action(element: etree._Element, where: str) -> Action:
    facts = facts_of(element)
    channels = [whole({"Ch": text_of(c)}, "Ch", where) for c in _children(element, "Ch") if text_of(c)]
    top, bottom = number(facts, "TopDistance", where), number(facts, "BottomDistance", where)
    step = positive(facts, "SliceLength", where)
    depth = 1
    if top is not None and bottom is not None and step is not None:
        # A little more than the exact quotient: 0.3 / 0.1 must be 3 steps.
        steps = abs(top - bottom) / step * (1 + 1e-9)
        depth = int(steps) + 1 if steps < 1e6 else 1  # a million planes are no protocol's
    return Action(channels=frozenset(channels), depth=depth, step_um=step if depth > 1 else None)


def parse_plate(data: bytes, name: str, wanted: str) -> Mapping[str, str]:
    """Return the facts of a ``.wpi`` (``wanted`` is ``WellPlate``) or a ``.wpp`` (``WellPlateProduct``).

    Raises as :func:`parse_mlf`.
    """
    check_root(data, name, wanted)
    found: Mapping[str, str] = {}
    for _, element in read_elements(data, name, (wanted,)):
        found = facts_of(element)
    return found


def plate_size(facts: Mapping[str, str], name: str) -> tuple[int | None, int | None]:
    """Return rows and columns that a file says of its plate, None for what it does not say.

    Raises
    ------
    InvalidDataError
        They are no whole numbers.
    """
    rows = whole(facts, "Rows", name, whole(facts, "RowCount", name, 0))
    columns = whole(facts, "Columns", name, whole(facts, "ColumnCount", name, 0))
    return rows or None, columns or None
