"""Small Harmony exports of any version, and what is wrong with some: written here, byte by byte, for the tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tifffile

NAMESPACES = {
    "V5": ("http://www.perkinelmer.com/PEHH/HarmonyV5", "1"),
    "V6": ("http://www.perkinelmer.com/PEHH/HarmonyV6", "1"),
    "V7": ("43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7", "2"),
}
INDEX_NAMES = {"V5": "Index.idx.xml", "V6": "Index.xml", "V7": "Index.xml"}
PROFILE = (
    "{Background: {Character: NonFlat, Mean: 373.6, NoiseConst: INF, Profile: {Coefficients: [[1.2], [0.1, -0.2], "
    "[-0.8, 0.05, -0.4]], Dims: [8, 6], Origin: [3.5, 2.5], Scale: [0.125, 0.125], Type: Polynomial}, Quality: 1.0}, "
    'Channel: %s, ChannelName: "%s", Version: Acapella:2013}'
)


@dataclass(frozen=True, kw_only=True)
class Chan:
    id: int
    name: str
    excitation: int = 405
    emission: int = 456
    kind: str = "Fluorescence"
    height: int = 6
    width: int = 8
    z_um: float = 0.0


DAPI = Chan(id=1, name="HOECHST 33342")
FITC = Chan(id=2, name="Alexa 488", excitation=488, emission=522)
BRIGHT = Chan(id=3, name="Brightfield", excitation=740, emission=0, kind="Brightfield", z_um=4.0)


@dataclass(frozen=True, kw_only=True)
class Img:
    """One plane, in the vendor's own numbers except for ``t``, which counts from 0."""

    row: int = 1
    col: int = 1
    field: int = 1
    plane: int = 1
    t: int = 0
    channel: int = 1
    x: float = 0.0
    y: float = 0.0
    state: str = "Ok"
    url: str | None = None
    write: bool = True

    @property
    def name(self) -> str:
        return (
            f"r{self.row:02d}c{self.col:02d}f{self.field:02d}p{self.plane:02d}-ch{self.channel}"
            f"sk{self.t + 1}fk1fl1.tiff"
        )


@dataclass(frozen=True, kw_only=True)
class Export:
    version: str = "V5"
    channels: Sequence[Chan] = (DAPI, FITC)
    images: Sequence[Img] = field(default_factory=tuple)
    rows: int = 8
    columns: int = 12
    plate_type: str = "96 Greiner µClear"
    plate_id: str = "P0001"
    bom: bool = False
    first_timepoint: int | None = None
    subdirectory: str = ""
    index_above: bool = False
    started: str = "2024-05-01T10:00:00.1234567+02:00"
    z_step_um: float = 2.0
    profiles: bool = True
    tweak: Callable[[str], str] = lambda text: text

    @property
    def base(self) -> int:
        if self.first_timepoint is not None:
            return self.first_timepoint
        return 0 if self.version == "V5" else 1

    def xml(self) -> bytes:
        namespace, version = NAMESPACES[self.version]
        wells: dict[tuple[int, int], list[str]] = {}
        for i in sorted(self.images, key=lambda i: (i.row, i.col)):
            wells.setdefault((i.row, i.col), []).append(f'<Image id="{self._id(i)}" />')
        by_id = {c.id: c for c in self.channels}
        parts = [
            '<?xml version="1.0" encoding="utf-8"?>',
            f'<EvaluationInputData xmlns:xsd="http://www.w3.org/2001/XMLSchema" Version="{version}" '
            f'xmlns="{namespace}">',
            "<User>tester</User><InstrumentType>Phenix</InstrumentType><Plates><Plate>",
            f"<PlateID>{self.plate_id}</PlateID><MeasurementID>5de72537-0fda-42a5-8715-2e605ccb652c</MeasurementID>",
            f"<MeasurementStartTime>{self.started}</MeasurementStartTime><Name>{self.plate_id}</Name>",
            f"<PlateTypeName>{self.plate_type}</PlateTypeName>",
            f"<PlateRows>{self.rows}</PlateRows><PlateColumns>{self.columns}</PlateColumns>",
            *(f'<Well id="{r:02d}{c:02d}" />' for r, c in wells),
            "</Plate></Plates><Wells>",
        ]
        for (r, c), own in wells.items():
            parts.append(f"<Well><id>{r:02d}{c:02d}</id><Row>{r}</Row><Col>{c}</Col>{''.join(own)}</Well>")
        parts.append("</Wells><Maps>")
        if self.profiles:
            entries = (
                f'<Entry ChannelID="{c.id}"><FlatfieldProfile>{PROFILE % (c.id, c.name)}</FlatfieldProfile></Entry>'
                for c in self.channels
            )
            parts.append(f"<Map>{''.join(entries)}</Map>")
            parts.append('<Map><Entry ChannelID="1"><SkewcropParameters>H4sIAAAA</SkewcropParameters></Entry></Map>')
        if self.version != "V5":
            entries = (f'<Entry ChannelID="{c.id}">{self._facts(c)}</Entry>' for c in self.channels)
            parts.append(f"<Map>{''.join(entries)}</Map>")
        parts.append("</Maps><Images>")
        parts += [self._image(i, by_id[i.channel]) for i in self.images]
        parts.append("</Images></EvaluationInputData>")
        text = self.tweak("\r\n".join(parts))
        return text.encode("utf-8-sig" if self.bom else "utf-8")

    def _id(self, i: Img) -> str:
        return f"{i.row:02d}{i.col:02d}K{i.t + 1}F{i.field}P{i.plane}R{i.channel}"

    def _facts(self, c: Chan) -> str:
        light = "Transmitted" if c.kind == "Brightfield" else "Epifluorescence"
        power = "" if self.version == "V5" else '<ExcitationPower Unit="Percent">20</ExcitationPower>'
        return (
            f"<ChannelName>{c.name}</ChannelName><ImageType>Signal</ImageType>"
            f"<AcquisitionType>NonConfocal</AcquisitionType><IlluminationType>{light}</IlluminationType>"
            f"<ChannelType>{c.kind}</ChannelType>"
            '<ImageResolutionX Unit="m">2.5E-07</ImageResolutionX><ImageResolutionY Unit="m">2.5E-07</ImageResolutionY>'
            f"<ImageSizeX>{c.width}</ImageSizeX><ImageSizeY>{c.height}</ImageSizeY>"
            "<BinningX>2</BinningX><BinningY>2</BinningY><MaxIntensity>65535</MaxIntensity>"
            "<CameraType>AndorZylaCam</CameraType>"
            f'<MainExcitationWavelength Unit="nm">{c.excitation}</MainExcitationWavelength>'
            f'<MainEmissionWavelength Unit="nm">{c.emission}</MainEmissionWavelength>'
            '<ObjectiveMagnification Unit="">20</ObjectiveMagnification><ObjectiveNA Unit="">0.8</ObjectiveNA>'
            f'<ExposureTime Unit="s">0.02</ExposureTime>{power}'
            "<OrientationMatrix>[[1.006463,0.003011,0,-35.6],[0.002440,-1.006450,0,67.3],[0,0,1.33,-15.1]]"
            "</OrientationMatrix>"
        )

    def _image(self, i: Img, c: Chan) -> str:
        z = (c.z_um + self.z_step_um * (i.plane - 1)) * 1e-6
        subdirectory = f"{self.subdirectory}/" if self.subdirectory else ""
        url = i.url if i.url is not None else subdirectory + i.name
        return (
            f'<Image Version="1"><id>{self._id(i)}</id><State>{i.state}</State><URL>{url}</URL>'
            f"<Row>{i.row}</Row><Col>{i.col}</Col><FieldID>{i.field}</FieldID><PlaneID>{i.plane}</PlaneID>"
            f"<TimepointID>{i.t + self.base}</TimepointID><ChannelID>{i.channel}</ChannelID><FlimID>1</FlimID>"
            + (self._facts(c) if self.version == "V5" else "")
            + f'<PositionX Unit="m">{i.x * 1e-6:.9g}</PositionX><PositionY Unit="m">{i.y * 1e-6:.9g}</PositionY>'
            f'<PositionZ Unit="m">{z:.9g}</PositionZ><AbsPositionZ Unit="m">0.1346</AbsPositionZ>'
            f'<MeasurementTimeOffset Unit="s">{i.t * 300.5}</MeasurementTimeOffset>'
            f"<AbsTime>2024-05-01T10:0{i.t}:30.25+02:00</AbsTime></Image>"
        )

    def write(self, folder: Path) -> Path:
        """Write the measurement folder, and return it."""
        images = folder / "Images"
        images.mkdir(parents=True)
        index = (folder if self.index_above else images) / INDEX_NAMES[self.version]
        index.write_bytes(self.xml())
        by_id = {c.id: c for c in self.channels}
        for number, image in enumerate(self.images):
            if image.write:
                channel = by_id[image.channel]
                pixels = np.full((channel.height, channel.width), 100 + number, np.uint16)
                tifffile.imwrite(images / image.name, pixels, compression="lzw", predictor=True)
        return folder


def grid(
    *,
    wells: Sequence[tuple[int, int]] = ((1, 1), (2, 3)),
    fields: Sequence[int] = (1, 2),
    channels: Sequence[int] = (1, 2),
    planes: int = 1,
    times: int = 1,
) -> tuple[Img, ...]:
    """Every plane of some wells; field 2 lies to the right of and above field 1."""
    return tuple(
        Img(row=r, col=c, field=f, plane=p, t=t, channel=ch, x=100.0 * (f - 1), y=50.0 * (f - 1))
        for r, c in wells
        for t in range(times)
        for f in fields
        for p in range(1, planes + 1)
        for ch in channels
    )


def changed(images: Sequence[Img], position: int, **values: object) -> tuple[Img, ...]:
    """The images, with some values of one of them changed."""
    return tuple(replace(i, **values) if n == position else i for n, i in enumerate(images))  # type: ignore[arg-type]


def said_once(text: str) -> str:
    """What an ``Index.ref.xml`` does: positions by field, heights by plane and channel, facts of all in one entry."""
    entries = []
    for tag, keys in (
        ("PositionX", ("FieldID",)),
        ("PositionY", ("FieldID",)),
        ("PositionZ", ("PlaneID", "ChannelID")),
        ("MeasurementTimeOffset", ("TimepointID",)),
    ):
        for image in re.findall(r'<Image Version="1">.*?</Image>', text, re.DOTALL):
            numbers = {key: re.search(rf"<{key}>(\d+)<", image) for key in keys}
            value = re.search(rf"<{tag} Unit=[^>]*>[^<]*</{tag}>", image)
            assert value
            named = " ".join(f'{key}="{found[1]}"' for key, found in numbers.items() if found)
            entries.append(f"<Entry {named}>{value[0]}</Entry>")
        text = re.sub(rf"(?<!>)<{tag} Unit=[^>]*>[^<]*</{tag}>|(?<=>)<{tag} Unit=[^>]*>[^<]*</{tag}>", "", text)
    sizes = re.search(r"<ImageSizeX>\d+</ImageSizeX><ImageSizeY>\d+</ImageSizeY>", text)
    assert sizes
    text = text.replace(sizes[0], "")
    maps = "".join(f"<Map>{entry}</Map>" for entry in dict.fromkeys(entries))
    return text.replace("</Maps>", f"{maps}<Map><Entry>{sizes[0]}</Entry></Map></Maps>")
