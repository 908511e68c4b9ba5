"""Small ScanR experiments: new ones with an OME-XML, old ones with an experiment descriptor, or files alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile


@dataclass(frozen=True, kw_only=True)
class Fld:
    """One field. ``well`` is its name, ``number`` that of its well; the stage is in µm, y up."""

    well: str | None = "B2"
    number: int = 14
    position: int = 1
    x: float = 0.0
    y: float = 0.0
    z: int = 1
    t: int = 1
    channels: Sequence[str] = ("DAPI", "405 nm #1")
    write: bool = True

    def file(self, channel: str, z: int, t: int) -> str:
        prefix = f"{self.well}--" if self.well else ""
        return f"{prefix}W{self.number:05d}--P{self.position:05d}--Z{z:05d}--T{t:05d}--{channel}.tif"

    def planes(self) -> list[tuple[int, int, int]]:
        return [(c, z, t) for c in range(len(self.channels)) for z in range(self.z) for t in range(self.t)]


def grid(*, z: int = 1, t: int = 1) -> tuple[Fld, ...]:
    """Two wells of a 96-well plate, on a stage whose x falls along the columns; field 2 lies right of and above 1."""
    return tuple(
        Fld(well=well, number=number, position=p, x=x + 600.0 * (p - 1), y=y + 400.0 * (p - 1), z=z, t=t)
        for well, number, x, y in (("B2", 14, 100_000.0, 61_000.0), ("C4", 28, 82_000.0, 52_000.0))
        for p in (1, 2)
    )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment; ``kind`` is ``ome``, ``descriptor`` or ``files``."""

    fields: Sequence[Fld] = field(default_factory=grid)
    kind: str = "ome"
    wells: Sequence[tuple[int, str]] = ((14, "B2"), (28, "C4"))
    plate: tuple[int, int] | None = (8, 12)
    idle: Sequence[str] = ("Cy5", "Autofocus")
    encoding: str = "latin-1"
    tweak: Callable[[str], str] = lambda text: text

    def xml(self) -> str:
        """The index of a new version."""
        text = (
            '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n<OME Creator="Olympus, scanR 3.3.0  (r4137)" '
            'xmlns="http://www.openmicroscopy.org/Schemas/OME/2013-06">\n<Instrument ID="Instrument:0">'
            '<Microscope Manufacturer="Olympus" Model="IX83"/><Detector ID="Detector:0" Model="Cam"/>'
            '<Objective ID="Objective:1" LensNA="0.80" NominalMagnification="20.0"/></Instrument>'
        )
        for f in self.fields:
            name = f"W{f.number}P{f.position}"
            called = f"Well {f.number}, Position {f.position}" + (f" ({f.well})" if f.well else "")
            channels = "".join(
                f'<Channel AcquisitionMode="SpinningDiskConfocal" ID="Channel:{name}:{n}" Name="{c}" '
                'IlluminationType="Epifluorescence"><DetectorSettings Binning="1x1" ID="Detector:0"/></Channel>'
                for n, c in enumerate(f.channels)
            )
            data = "".join(
                f'<TiffData FirstC="{c}" FirstT="{t}" FirstZ="{z}"><UUID FileName="{f.file(f.channels[c], z, t)}">'
                f"urn:uuid:{n}</UUID></TiffData>"
                for n, (c, z, t) in enumerate(f.planes())
            )
            planes = "".join(
                f'<Plane DeltaT="{4.5 + 600 * t}" ExposureTime="0.1" PositionX="{f.x:.6f}" PositionY="{f.y:.6f}" '
                f'PositionZ="{6275 + 1.5 * z}" TheC="{c}" TheT="{t}" TheZ="{z}"/>'
                for c, z, t in f.planes()
            )
            text += (
                f'<Image ID="Image:{name}" Name="{called}"><InstrumentRef ID="Instrument:0"/><ObjectiveSettings '
                f'ID="Objective:1"/><Pixels DimensionOrder="XYCTZ" ID="Pixels:{name}" PhysicalSizeX="0.325" '
                f'PhysicalSizeY="0.325" SizeC="{len(f.channels)}" SizeT="{f.t}" SizeX="8" SizeY="6" SizeZ="{f.z}" '
                f'Type="uint16">{channels}{data}{planes}</Pixels></Image>'
            )
        return self.tweak(text + "</OME>")

    def descriptor(self) -> bytes:
        """The descriptor of an old version, LabVIEW's XML; without a declaration of its encoding."""

        def val(kind: str, name: str, value: object) -> str:
            return f"<{kind}><Name>{name}</Name><Val>{value}</Val></{kind}>"

        channels = [c for f in self.fields[:1] for c in f.channels]
        clusters = "".join(
            f"<Cluster><Name>channel</Name><NumElts>3</NumElts>{val('String', 'name', name)}"
            f"{val('DBL', 'exposure time', '100,5')}{val('U8', 'idle', int(name == 'Cy5'))}</Cluster>"
            for name in (*channels, *self.idle)
        )
        wells = "".join(f"<String><Name></Name><Val>{v}</Val></String>" for n, w in self.wells for v in (n, w))
        positions = sorted({(f.position, f.x - self.fields[0].x, f.y - self.fields[0].y) for f in self.fields[:2]})
        places = "".join(
            f"<Cluster><Name></Name>{val('DBL', 'x', x)}{val('DBL', 'y', y)}</Cluster>" for _, x, y in positions
        )
        size = (
            ""
            if self.plate is None
            else "<Cluster><Name>format typedef</Name><NumElts>2</NumElts>"
            f"{val('I32', 'Rows', self.plate[0])}{val('I32', 'Columns', self.plate[1])}</Cluster>"
        )
        text = (
            '<?xml version="1.0"?><LVData xmlns="http://www.ni.com/LVData"><Version>8.6</Version><Cluster><Name>all</Name>'
            f"{val('String', 'plate name', 'Plaque n° 4')}{val('DBL', 'conversion factor um/pixel', '0,645')}"
            f"{val('I32', 'timeloop delay [ms]', 600000)}{size}<Array><Name>channels</Name>{clusters}</Array>"
            f"<Array><Name>well selection table + cDNA</Name><Dimsize>{len(self.wells)}</Dimsize>{wells}</Array>"
            f"<Array><Name>subposition list</Name><Dimsize>2</Dimsize>{places}</Array></Cluster></LVData>"
        )
        return self.tweak(text).encode(self.encoding)

    def write(self, folder: Path) -> Path:
        """Write the experiment, and return its folder."""
        data = folder / "data"
        data.mkdir(parents=True)
        if self.kind == "ome":
            (data / "metadata.ome.xml").write_text(self.xml(), encoding="utf-8")
        elif self.kind == "descriptor":
            (folder / "experiment_descriptor.xml").write_bytes(self.descriptor())
            (folder / "experiment_descriptor.dat").write_bytes(b"\0\1LabVIEW")
        for number, f in enumerate(self.fields):
            for c, z, t in f.planes() if f.write else []:
                page = np.full((6, 8), 1000 * number + 100 * c + 10 * z + t, np.uint16)
                tifffile.imwrite(data / f.file(f.channels[c], z, t), page)
        return folder
