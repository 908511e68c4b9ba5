"""Small OME-TIFF plates, written here element by element: one file, a set of files, or a companion with its TIFFs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile

UUID = "urn:uuid:00000000-0000-0000-0000-0000000000"


@dataclass(frozen=True, kw_only=True)
class Img:
    """One field; row and column count from 0, as the schema does. ``stage`` is in µm."""

    row: int = 0
    column: int = 0
    number: int = 0
    acquisition: int = 0
    stage: tuple[float, float] | None = None
    sample: tuple[float, float] | None = None
    channels: Sequence[str] = ("Hoechst 33342", "GFP")
    z: int = 1
    t: int = 1
    height: int = 6
    width: int = 8
    name: str | None = None
    type: str = "uint16"

    @property
    def file(self) -> str:
        well = "ABCDEFGHIJKLMNOP"[self.row] + f"{self.column + 1:02d}"
        return f"{well}_{self.acquisition}_{self.number}.ome.tif"

    @property
    def pages(self) -> int:
        return len(self.channels) * self.z * self.t


def grid(
    *, wells: Sequence[tuple[int, int]] = ((0, 0), (1, 2)), fields: int = 2, pitch: float = 9000.0, **values: object
) -> tuple[Img, ...]:
    """Fields of some wells side by side, on a stage whose x and y grow with columns and rows."""
    return tuple(
        Img(row=r, column=c, number=n, stage=(500.0 + pitch * c + 100.0 * n, 700.0 + pitch * r), **values)  # type: ignore[arg-type]
        for r, c in wells
        for n in range(fields)
    )


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A plate and its images. ``layout`` is ``companion``, ``set`` (the whole document in each file) or ``single``."""

    images: Sequence[Img] = field(default_factory=grid)
    layout: str = "companion"
    name: str | None = "Plate 7"
    barcode: str | None = "BC007"
    rows: int | None = 8
    columns: int | None = 12
    acquisitions: int = 1
    order: str = "XYZCT"
    schema: str = "2016-06"
    date: str | None = "2024-05-01T10:00:00+02:00"
    stage_unit: str | None = "µm"
    pixel_size: str = 'PhysicalSizeX="325" PhysicalSizeXUnit="nm" PhysicalSizeY="0.325" PhysicalSizeZ="2"'
    with_plate: bool = True
    tweak: Callable[[str], str] = lambda text: text

    def xml(self, *, only: Sequence[Img] | None = None, own: str = UUID) -> str:
        """The document, about all images or some."""
        images = [(n, i) for n, i in enumerate(self.images) if only is None or i in only]
        start = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/{self.schema}" Creator="test" UUID="{own}">'
        )
        instrument = (
            '<Instrument ID="Instrument:0"><Microscope Manufacturer="Zenith" Model="Z1"/>'
            '<Detector ID="Detector:0" Model="Cam 9"/>'
            '<Objective ID="Objective:0" LensNA="0.8" NominalMagnification="20"/></Instrument>'
        )
        plate = self._plate(images) if self.with_plate else ""
        ifd = 0
        parts = []
        for number, image in images:
            parts.append(self._image(number, image, ifd))
            ifd += image.pages
        return self.tweak(start + plate + instrument + "".join(parts) + "</OME>")

    def _plate(self, images: Sequence[tuple[int, Img]]) -> str:
        told = {"Name": self.name, "ExternalIdentifier": self.barcode, "Rows": self.rows, "Columns": self.columns}
        facts = " ".join(f"{key}={quoteattr(str(value))}" for key, value in told.items() if value is not None)
        wells: dict[tuple[int, int], str] = {}
        for number, i in images:
            at = "" if i.sample is None else f' PositionX="{i.sample[0]}" PositionY="{i.sample[1]}" {self._units()}'
            wells[i.row, i.column] = wells.get((i.row, i.column), "") + (
                f'<WellSample ID="WellSample:{number}" Index="{number}"{at}><ImageRef ID="Image:{number}"/>'
                "</WellSample>"
            )
        # A well without a field is in many documents.
        text = f'<Plate ID="Plate:0" {facts}><Well ID="Well:e" Row="0" Column="1"/>'
        text += "".join(f'<Well ID="Well:{r}:{c}" Row="{r}" Column="{c}">{s}</Well>' for (r, c), s in wells.items())
        for number in range(self.acquisitions):
            refs = "".join(f'<WellSampleRef ID="WellSample:{n}"/>' for n, i in images if i.acquisition == number)
            text += f'<PlateAcquisition ID="PA:{number}" Name="Run {number + 1}">{refs}</PlateAcquisition>'
        return text + "</Plate>"

    def _units(self) -> str:
        if self.stage_unit is None:
            return ""
        return f'PositionXUnit="{self.stage_unit}" PositionYUnit="{self.stage_unit}"'

    def _image(self, number: int, i: Img, ifd: int) -> str:
        channels = "".join(
            f'<Channel ID="Channel:{number}:{c}" Name={quoteattr(name)} SamplesPerPixel="1" Color="-16776961" '
            'ContrastMethod="Fluorescence" AcquisitionMode="WideField" ExcitationWavelength="405" '
            'EmissionWavelength="450"><DetectorSettings ID="Detector:0" Binning="2x2"/></Channel>'
            for c, name in enumerate(i.channels)
        )
        data, planes = "", ""
        sizes = {"Z": i.z, "C": len(i.channels), "T": i.t}
        for page in range(i.pages):
            rest, at = page, {}
            for axis in self.order[2:]:
                rest, at[axis] = divmod(rest, sizes[axis])
            stage = ""
            if i.stage is not None:
                stage = f'PositionX="{i.stage[0]}" PositionY="{i.stage[1]}" PositionZ="{10 + 2 * at["Z"]}" '
                stage += self._units() + ("" if self.stage_unit is None else f' PositionZUnit="{self.stage_unit}"')
            planes += (
                f'<Plane TheC="{at["C"]}" TheZ="{at["Z"]}" TheT="{at["T"]}" DeltaT="{60000 * at["T"]}" '
                f'DeltaTUnit="ms" ExposureTime="0.05" {stage}/>'
            )
        if self.layout == "single":
            data = f'<TiffData IFD="{ifd}" PlaneCount="{i.pages}"/>'
        else:
            uuid = f'<UUID FileName="{i.file}">{UUID}{number:02d}</UUID>'
            data = f'<TiffData IFD="0" PlaneCount="{i.pages}">{uuid}</TiffData>'
        name = i.name or f"Image {number}"
        date = f"<AcquisitionDate>{self.date}</AcquisitionDate>" if self.date else ""
        return (
            f'<Image ID="Image:{number}" Name={quoteattr(name)}>{date}<InstrumentRef ID="Instrument:0"/>'
            f'<ObjectiveSettings ID="Objective:0"/><Pixels ID="Pixels:{number}" DimensionOrder="{self.order}" '
            f'Type="{i.type}" SizeX="{i.width}" SizeY="{i.height}" SizeZ="{i.z}" SizeC="{len(i.channels)}" '
            f'SizeT="{i.t}" {self.pixel_size}>{channels}{data}{planes}</Pixels></Image>'
        )

    def write(self, folder: Path) -> Path:
        """Write the plate, and return its folder."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.layout == "single":
            pages = [page for number, image in enumerate(self.images) for page in pixels(number, image)]
            write_tiff(folder / "plate.ome.tif", pages, self.xml())
            return folder
        if self.layout == "companion":
            (folder / "plate.companion.ome").write_text(self.xml(), encoding="utf-8")
        for number, image in enumerate(self.images):
            own = f"{UUID}{number:02d}"
            binary = (
                f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{own}"><BinaryOnly '
                f'MetadataFile="plate.companion.ome" UUID="{UUID}"/></OME>'
            )
            text = {
                "companion": binary,
                "set": self.xml(own=own),
                "alone": self.xml(only=[image], own=own),
            }[self.layout]
            write_tiff(folder / image.file, pixels(number, image), text)
        return folder


def pixels(number: int, image: Img) -> list[np.ndarray]:
    """Pages of one image, each of its own value."""
    return [np.full((image.height, image.width), 1000 * number + page, image.type) for page in range(image.pages)]


def write_tiff(path: Path, pages: Sequence[np.ndarray], xml: str) -> None:
    """Write pages with an OME-XML in the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as tiff:
        for number, page in enumerate(pages):
            tiff.write(page, description=xml.encode() if number == 0 else None, metadata=None, photometric="minisblack")
