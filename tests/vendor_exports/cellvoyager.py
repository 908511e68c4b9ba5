"""Small Yokogawa measurements, written here record by record: the index files, their TIFFs, and what is odd in some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import tifffile

NAMESPACE = "http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class Img:
    """One record of an image, in the vendor's own numbers."""

    row: int = 2
    column: int = 3
    field: int = 1
    t: int = 1
    z: int = 1
    channel: int = 1
    timeline: int = 1
    action: int = 1
    kind: str = "2D"
    x: float = -500.0
    y: float = 300.0
    z_um: float = 0.0
    processing: str = ""
    time: str = "2024-05-01T10:00:00.000+02:00"
    file: str | None = None
    write: bool = True

    @property
    def well(self) -> str:
        return f"{chr(64 + self.row)}{self.column:02d}"


@dataclass(frozen=True, kw_only=True)
class Err:
    """One record of a failure; any attribute may be absent."""

    facts: Sequence[tuple[str, str]] = (("Column", "3"), ("Row", "2"), ("TimePoint", "1"), ("FieldIndex", "2"))
    text: str = "AF Error at B03 No. 2 (Plate #1)"
    type: str = "ERR"


@dataclass(frozen=True, kw_only=True)
class Chan:
    number: int
    target: str = "405"
    light: str = "405nm"
    filter: str = "BP445/45"
    kind: str = "ConfocalFluorescence"
    color: str = "#FF002FFF"
    fluorophore: str = ""
    exposure: str = "100"
    camera: int = 3
    shading: str = ""
    height: int = 6
    width: int = 8
    pixel: str = "0.325"


CHANNELS = (
    Chan(number=1, shading="SC_BP445-45_20x v2_M01_CH01.tif"),
    Chan(number=2, target="488", light="488nm", filter="BP525/50", color="#FF00FFA1", exposure="250"),
    Chan(number=3, target="Hoechst", light="405nm", fluorophore="Hoechst 33342"),
    Chan(number=4, target="Bright", light="Lamp", filter="BP525/50", kind="Brightfield", color="#FFFFFFFF", camera=4),
)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What to write; ``records`` in the order of the list. An empty name of a file leaves that file out."""

    records: Sequence[Img | Err] = ()
    channels: Sequence[Chan] = CHANNELS
    name: str = "Plate #1"
    title: str = "Run #1"
    rows: int = 8
    columns: int = 12
    prefix: str = "bts"
    bom: bool = True
    mrf: str = "MeasurementDetail.mrf"
    mes: str = "Protocol 20x.mes"
    wpi: str = "Plate #1.wpi"
    wpp: str = "1009680001_Cellvis_#P96-1.5H-N.wpp"
    began: str = "2024-05-01T09:59:30.1234567+02:00"
    system: str = "CV8000"
    #: (time line, actions): an action is (element, its attributes, channels).
    timelines: Sequence[Sequence[tuple[str, str, Sequence[int]]]] = ()
    corrections: Sequence[str] = ()
    tweak: Callable[[str], str] = field(default=lambda text: text)

    def file_of(self, record: Img) -> str:
        if record.file is not None:
            return record.file
        return (
            f"{self.name}_{record.well}_T{record.t:04d}F{record.field:03d}L{record.timeline:02d}A{record.action:02d}"
            f"Z{record.z:02d}C{record.channel:02d}.tif"
        )

    def _tag(self, name: str, facts: Sequence[tuple[str, object]], inside: str = "", *, root: bool = False) -> str:
        p = f"{self.prefix}:" if self.prefix else ""
        declared = f' xmlns{":" + self.prefix if self.prefix else ""}="{NAMESPACE}"' if root else ""
        told = "".join(f" {p}{key}={quoteattr(str(value))}" for key, value in facts)
        return f"<{p}{name}{told}{declared}>{inside}</{p}{name}>\n"

    def _encoded(self, text: str) -> bytes:
        data = f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode()
        return BOM + data if self.bom else data

    def mlf_bytes(self) -> bytes:
        lines = []
        for r in self.records:
            if isinstance(r, Err):
                lines.append(self._tag("MeasurementRecord", (("Type", r.type), *r.facts), escape(r.text)))
                continue
            facts: list[tuple[str, object]] = [
                ("Type", "IMG"), ("Time", r.time), ("Column", r.column), ("Row", r.row), ("TimePoint", r.t),
                ("FieldIndex", r.field), ("ZIndex", r.z), ("TimelineIndex", r.timeline), ("ActionIndex", r.action),
                ("Action", r.kind), ("X", r.x), ("Y", r.y), ("Z", r.z_um),
            ]  # fmt: skip
            if r.processing:
                facts += [("ZImageProcessing", r.processing), ("ZTop", "9.0"), ("ZBottom", "0.0")]
            facts.append(("Ch", r.channel))
            lines.append(self._tag("MeasurementRecord", facts, escape(self.file_of(r))))
        text = self._tag("MeasurementData", (("Version", "1.0"),), "\n" + "".join(lines), root=True)
        return f'<?xml version="1.0" encoding="utf-8"?>\n{self.tweak(text)}'.encode()

    def mrf_bytes(self) -> bytes:
        plate = (("Name", self.name), ("WellPlateFileName", self.wpi), ("WellPlateProductFileName", self.wpp))
        inside = self._tag("MeasurementSamplePlate", plate)
        for c in self.channels:
            facts = (
                ("Ch", c.number), ("HorizontalPixelDimension", c.pixel), ("VerticalPixelDimension", c.pixel),
                ("CameraNumber", c.camera), ("InputBitDepth", "16"), ("HorizontalPixels", c.width),
                ("VerticalPixels", c.height), ("ShadingCorrectionSource", c.shading),
            )  # fmt: skip
            inside += self._tag("MeasurementChannel", facts)
        root = (
            ("Version", "1.0"), ("OperatorName", "tester"), ("Title", self.title), ("BeginTime", self.began),
            ("EndTime", "2024-05-01T11:00:00+02:00"), ("MeasurementSettingFileName", self.mes),
            ("ColumnCount", self.columns), ("RowCount", self.rows), ("TargetSystem", self.system),
            ("ReleaseNumber", "R2.06.03"),
        )  # fmt: skip
        return self._encoded(self._tag("MeasurementDetail", root, inside, root=True))

    def mes_bytes(self) -> bytes:
        timelines = ""
        for actions in self.timelines:
            listed = "".join(
                f"<{self.prefix}:{element} {attributes}>"
                + "".join(self._tag("Ch", (), str(number)) for number in channels)
                + f"</{self.prefix}:{element}>"
                for element, attributes, channels in actions
            )
            timelines += self._tag(
                "Timeline", (("Name", "TL"), ("Color", "#ff44ee66")), self._tag("ActionList", (), listed)
            )
        lights = "".join(
            self._tag("LightSource", (("Name", name), ("Type", "Laser"), ("WaveLength", nm), ("Power", "50")))
            for name, nm in (("405nm", 405), ("488nm", 488), ("Lamp", 0))
        )
        channels = "".join(
            self._tag(
                "Channel",
                (
                    ("Ch", c.number), ("Target", c.target), ("Objective", "20x v2"), ("Magnification", "20"),
                    ("Method", "Confocal 405/488"), ("Acquisition", c.filter), ("ExposureTime", c.exposure),
                    ("Binning", "1"), ("Color", c.color), ("Kind", c.kind), ("CameraType", "DCAM"),
                    ("Fluorophore", c.fluorophore),
                ),
                self._tag("LightSourceName", (), c.light),
            )
            for c in self.channels
        )  # fmt: skip
        inside = (
            self._tag("Timelapse", (), timelines)
            + self._tag("LightSourceList", (), lights)
            + self._tag("ChannelList", (), channels)
        )
        root = (("ProductID", "1009680001"), ("Columns", self.columns), ("Rows", self.rows))
        return self._encoded(self._tag("MeasurementSetting", root, inside, root=True))

    def wpi_bytes(self) -> bytes:
        facts = (("Version", "1.0"), ("Name", self.name), ("Columns", self.columns), ("Rows", self.rows))
        return self._encoded(self._tag("WellPlate", facts, self._tag("Description", (), "Default"), root=True))

    def wpp_bytes(self) -> bytes:
        facts = (("Name", "#P96-1.5H-N"), ("Manufacturer", "Cellvis"), ("Columns", self.columns), ("Rows", self.rows))
        return self._encoded(self._tag("WellPlateProduct", facts, root=True))

    def write(self, folder: Path) -> Path:
        """Write all files into a folder, which is made, and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "MeasurementData.mlf").write_bytes(self.mlf_bytes())
        files = {
            self.mrf: self.mrf_bytes(),
            self.mes: self.mes_bytes(),
            self.wpi: self.wpi_bytes(),
            self.wpp: self.wpp_bytes(),
        }
        for name, data in files.items():
            if name:
                (folder / name).write_bytes(data)
        sizes = {c.number: (c.height, c.width) for c in self.channels}
        for number, record in enumerate(self.records):
            if isinstance(record, Img) and record.write:
                path = folder / self.file_of(record).replace("\\", "/")
                path.parent.mkdir(exist_ok=True)
                tifffile.imwrite(path, np.full(sizes.get(record.channel, (6, 8)), number + 1, np.uint16))
        for name in self.corrections:
            tifffile.imwrite(folder / name, np.full((6, 8), 500, np.uint16))
        return folder


def stack(first: Img, depth: int, step_um: float = 1.5) -> list[Img]:
    """Return a stack that begins with a record."""
    return [replace(first, kind="3D", z=first.z + i, z_um=first.z_um + i * step_um) for i in range(depth)]


def usual() -> Measurement:
    """Two wells of two fields, two of four defined channels, three planes each, with shading and dark images."""
    records: list[Img | Err] = []
    for row, column in ((2, 3), (4, 11)):
        for number, x in ((1, -500.0), (4, 150.0)):
            for channel in (1, 2):
                first = Img(row=row, column=column, field=number, x=x, channel=channel, action=channel)
                records += stack(first, 3)
    return Measurement(
        records=records, corrections=("SC_BP445-45_20x v2_M01_CH01.tif", "DC_DCAM#1_CAM3.tif", "DC_DCAM#2_CAM4.tif")
    )


def projections() -> Measurement:
    """Stacks beside their projections, laid out as a CQ3K does: images in folders, no protocol, no plate files."""
    records: list[Img | Err] = []
    for row, column in ((3, 5), (6, 9)):
        well = f"W{(row - 1) * 12 + column:04d}"
        planes = stack(Img(row=row, column=column), 3)
        records += [replace(one, file=f"Image/{well}F0001T0001Z{one.z:03d}C1.tif") for one in planes]
        projection = Img(row=row, column=column, kind="3D", processing="Maximum", z_um=28.0)
        records.append(replace(projection, file=f"Projection\\{well}F0001T0001Z000C1.tif"))
    return Measurement(records=records, name="NoPlateID", title="20251201T134840_Test", mes="", wpi="", wpp="",
                       system="-_1234A5678", bom=False)  # fmt: skip
