"""The files of a Harmony measurement, written as the instrument's software writes them.

Text only: an index (``Index.idx.xml`` in the V5 layout, ``Index.xml`` in V7), an assay layout, and file
names. What goes into them is decided in :mod:`.synthetic`; what the elements mean is known from real
exports. V5 repeats the facts of a channel in every ``<Image>``; V7 states them once per channel in a
``<Map>`` of its own and counts time from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

Layout = Literal["V5", "V7"]

NAMESPACES: dict[Layout, str] = {
    "V5": "http://www.perkinelmer.com/PEHH/HarmonyV5",
    "V7": "43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7",
}
INDEX_NAMES: dict[Layout, str] = {"V5": "Index.idx.xml", "V7": "Index.xml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """One channel as the index states it. Wavelengths in nm (0: none), exposure in s, pixel size in m."""

    name: str
    excitation_nm: int
    emission_nm: int
    exposure_s: float
    pixel_size_m: float
    size: int
    flatfield: str
    brightfield: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFacts:
    """One plane as the index states it. Row, column, field, plane and channel count from 1, timepoint from 0.

    Positions are metres from the middle of the well, y **up**, as the stage moves.
    """

    row: int
    column: int
    field: int
    plane: int
    timepoint: int
    channel: int
    x_m: float
    y_m: float
    z_m: float
    offset_s: float
    acquired_at: datetime

    @property
    def image_id(self) -> str:
        """Id as Harmony makes it, e.g. ``0101K1F1P1R1``."""
        well = f"{self.row:02}{self.column:02}"
        return f"{well}K{self.timepoint + 1}F{self.field}P{self.plane}R{self.channel}"

    @property
    def file(self) -> str:
        """File name as Harmony makes it, e.g. ``r01c01f01p01-ch1sk1fk1fl1.tiff``."""
        where = f"r{self.row:02}c{self.column:02}f{self.field:02}p{self.plane:02}"
        return f"{where}-ch{self.channel}sk{self.timepoint + 1}fk1fl1.tiff"


def index_xml(
    *,
    layout: Layout,
    plate_id: str,
    measurement_id: str,
    started_at: datetime,
    plate_type: str,
    n_rows: int,
    n_columns: int,
    channels: Iterable[ChannelFacts],
    planes: Iterable[PlaneFacts],
    prefix: str = "",
    bom: bool = False,
) -> bytes:
    """Whole index file. ``prefix`` goes before each file name in ``<URL>`` (an index above its images)."""
    channels, planes = list(channels), list(planes)
    wells: dict[tuple[int, int], list[PlaneFacts]] = {}
    for plane in planes:
        wells.setdefault((plane.row, plane.column), []).append(plane)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<EvaluationInputData xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'Version="{1 if layout == "V5" else 2}" xmlns="{NAMESPACES[layout]}">',
        "  <User>synthetic</User>",
        "  <InstrumentType>Phenix</InstrumentType>",
        "  <Plates>",
        "    <Plate>",
        f"      <PlateID>{escape(plate_id)}</PlateID>",
        f"      <MeasurementID>{measurement_id}</MeasurementID>",
        f"      <MeasurementStartTime>{started_at.isoformat()}</MeasurementStartTime>",
        f"      <Name>{escape(plate_id)}</Name>",
        f"      <PlateTypeName>{escape(plate_type)}</PlateTypeName>",
        f"      <PlateRows>{n_rows}</PlateRows>",
        f"      <PlateColumns>{n_columns}</PlateColumns>",
        *(f'      <Well id="{row:02}{column:02}" />' for row, column in wells),
        "    </Plate>",
        "  </Plates>",
        "  <Wells>",
    ]
    for (row, column), members in wells.items():
        lines += ["    <Well>", f"      <id>{row:02}{column:02}</id>", f"      <Row>{row}</Row>"]
        lines += [f"      <Col>{column}</Col>"]
        lines += [f"      <Image id={quoteattr(plane.image_id)} />" for plane in members]
        lines += ["    </Well>"]
    lines += ["  </Wells>", "  <Maps>", "    <Map>"]
    for number, channel in enumerate(channels, start=1):
        lines += [
            f'      <Entry ChannelID="{number}">',
            f"        <FlatfieldProfile>{escape(channel.flatfield)}</FlatfieldProfile>",
            "      </Entry>",
        ]
    lines += ["    </Map>"]
    if layout == "V7":
        lines += ["    <Map>"]
        for number, channel in enumerate(channels, start=1):
            lines += [f'      <Entry ChannelID="{number}">']
            lines += [f"        {line}" for line in _channel_head(channel)]
            lines += [f"        {line}" for line in _channel_tail(channel)]
            lines += ['        <ExcitationPower Unit="Percent">50</ExcitationPower>', "      </Entry>"]
        lines += ["    </Map>"]
    lines += ["  </Maps>", "  <Images>"]
    for plane in planes:
        lines += _image(plane, channels[plane.channel - 1], layout, prefix)
    lines += ["  </Images>", "</EvaluationInputData>", ""]
    return (b"\xef\xbb\xbf" if bom else b"") + "\n".join(lines).encode()


def assay_layout_xml(
    *, layout: Layout, n_rows: int, n_columns: int, layers: Mapping[str, Mapping[tuple[int, int], str]]
) -> bytes:
    """Plate annotation as Harmony keeps it: per layer a value for every well, empty where none was typed."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<AssayLayout xmlns="{NAMESPACES[layout]}">',
        f"  <PlateCols>{n_columns}</PlateCols>",
        f"  <PlateRows>{n_rows}</PlateRows>",
    ]
    for name, values in layers.items():
        lines += ["  <Layer>", f"    <Name>{escape(name)}</Name>", "    <ValueType>string</ValueType>"]
        for row in range(1, n_rows + 1):
            for column in range(1, n_columns + 1):
                value = values.get((row, column), "")
                lines += ["    <Well>", f"      <Row>{row}</Row>", f"      <Col>{column}</Col>"]
                lines += [f"      <Value>{escape(value)}</Value>" if value else "      <Value />"]
                lines += ["      <Color>4294967295</Color>", "    </Well>"]
        lines += ["  </Layer>"]
    return "\n".join([*lines, "</AssayLayout>", ""]).encode("utf-8-sig")


def flatfield_text(*, channel: int, name: str, mean: float, terms: tuple[float, float], size: int) -> str:
    """Acapella's notation of a radially symmetric illumination profile: ``terms[0] + terms[1] (x² + y²)``."""
    middle, scale = (size - 1) / 2, 1 / size
    quoted = f'"{name}"' if any(c in name for c in ",()") else name
    return (
        f"{{Background: {{Character: NonFlat, Mean: {mean:.5f}, NoiseConst: 4, Profile: {{Coefficients: "
        f"[[{terms[0]}], [0, 0], [{terms[1]}, 0, {terms[1]}]], Dims: [{size}, {size}], "
        f"Origin: [{middle}, {middle}], Scale: [{scale:.8g}, {scale:.8g}], Type: Polynomial}}, "
        f"Quality: 1.0}}, "
        f"Channel: {channel}, ChannelName: {quoted}, Version: Acapella:2013}}"
    )


def _channel_head(channel: ChannelFacts) -> Iterator[str]:
    yield f"<ChannelName>{escape(channel.name)}</ChannelName>"
    yield "<ImageType>Signal</ImageType>"
    yield "<AcquisitionType>NonConfocal</AcquisitionType>"
    illumination, kind = ("Transmitted", "Brightfield") if channel.brightfield else ("Epifluorescence", "Fluorescence")
    yield f"<IlluminationType>{illumination}</IlluminationType>"
    yield f"<ChannelType>{kind}</ChannelType>"
    yield f'<ImageResolutionX Unit="m">{channel.pixel_size_m!r}</ImageResolutionX>'
    yield f'<ImageResolutionY Unit="m">{channel.pixel_size_m!r}</ImageResolutionY>'
    yield f"<ImageSizeX>{channel.size}</ImageSizeX>"
    yield f"<ImageSizeY>{channel.size}</ImageSizeY>"
    yield "<BinningX>2</BinningX>"
    yield "<BinningY>2</BinningY>"
    yield "<MaxIntensity>65535</MaxIntensity>"
    yield "<CameraType>AndorZylaCam</CameraType>"


def _channel_tail(channel: ChannelFacts) -> Iterator[str]:
    yield f'<MainExcitationWavelength Unit="nm">{channel.excitation_nm}</MainExcitationWavelength>'
    yield f'<MainEmissionWavelength Unit="nm">{channel.emission_nm}</MainEmissionWavelength>'
    yield '<ObjectiveMagnification Unit="">20</ObjectiveMagnification>'
    yield '<ObjectiveNA Unit="">1</ObjectiveNA>'
    yield f'<ExposureTime Unit="s">{channel.exposure_s}</ExposureTime>'
    yield "<OrientationMatrix>[[0.979062,0,0,-8.8],[0,-0.979062,0,39.9],[0,0,1.00,5.671]]</OrientationMatrix>"


def _image(plane: PlaneFacts, channel: ChannelFacts, layout: Layout, prefix: str) -> Iterator[str]:
    yield '    <Image Version="1">'
    yield f"      <id>{plane.image_id}</id>"
    yield "      <State>Ok</State>"
    yield f"      <URL>{escape(prefix + plane.file)}</URL>"
    yield f"      <Row>{plane.row}</Row>"
    yield f"      <Col>{plane.column}</Col>"
    yield f"      <FieldID>{plane.field}</FieldID>"
    yield f"      <PlaneID>{plane.plane}</PlaneID>"
    yield f"      <TimepointID>{plane.timepoint + (layout == 'V7')}</TimepointID>"
    if layout == "V7":
        yield "      <SequenceID>1</SequenceID>"
        yield "      <GroupID>1</GroupID>"
    yield f"      <ChannelID>{plane.channel}</ChannelID>"
    yield "      <FlimID>1</FlimID>"
    if layout == "V5":
        yield from (f"      {line}" for line in _channel_head(channel))
    yield f'      <PositionX Unit="m">{plane.x_m:.9g}</PositionX>'
    yield f'      <PositionY Unit="m">{plane.y_m:.9g}</PositionY>'
    yield f'      <PositionZ Unit="m">{plane.z_m:.9g}</PositionZ>'
    yield f'      <AbsPositionZ Unit="m">{0.1346 + plane.z_m:.9g}</AbsPositionZ>'
    yield f'      <MeasurementTimeOffset Unit="s">{plane.offset_s:.3f}</MeasurementTimeOffset>'
    yield f"      <AbsTime>{plane.acquired_at.isoformat()}</AbsTime>"
    if layout == "V5":
        yield from (f"      {line}" for line in _channel_tail(channel))
    yield "    </Image>"
