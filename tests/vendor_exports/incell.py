"""Small IN Cell exports, written here element by element: the index and its TIFFs, and what is wrong with some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile


@dataclass(frozen=True, kw_only=True)
class Wave:
    """One wavelength of the protocol; ``planes`` is its depth."""

    index: int
    excitation: str
    emission: str
    excitation_nm: int | None = 350
    emission_nm: int | None = 455
    planes: int = 1
    mode: str = "2-D"
    fused: bool = False
    exposure_ms: float = 100.0


DAPI = Wave(index=0, excitation="DAPI", emission="DAPI")
FITC = Wave(index=1, excitation="FITC", emission="FITC", excitation_nm=490, emission_nm=525, exposure_ms=250.0)
BRIGHT = Wave(index=2, excitation="TL-Brightfield", emission="DAPI", excitation_nm=None, emission_nm=455)


@dataclass(frozen=True, kw_only=True)
class Img:
    """One image in the index's own numbers: fields, waves, planes and times from 0, rows and columns from 1."""

    row: int = 1
    column: int = 1
    field: int = 0
    wave: int = 0
    z: int = 0
    time: int = 0
    name: str | None = None
    write: bool = True
    extra: str = ""


@dataclass(frozen=True, kw_only=True)
class Export:
    waves: Sequence[Wave] = (DAPI, FITC)
    images: Sequence[Img] = ()
    offsets: Sequence[tuple[float, float]] = ((0.0, 0.0), (665.6, 0.0), (0.0, -665.6))
    rows: int = 8
    columns: int = 12
    height: int = 6
    width: int = 8
    plate_id: str | None = None
    application: str = "IN Cell Analyzer 2000"
    created: str = 'date="2024-05-01" time="10:00:00"'
    pixel_size: str = 'pixel_height="0.3250" pixel_width="0.3250"'
    begins: tuple[str, str] = ("A", "1")
    excluded: Sequence[tuple[int, int]] = ()
    encoding: str = "ISO-8859-1"
    plate_geometry: bool = False
    tweak: Callable[[str], str] = field(default=lambda text: text)

    def file_name(self, image: Img) -> str:
        """Give the name that an Analyzer gives."""
        if image.name is not None:
            return image.name
        wave = next(w for w in self.waves if w.index == image.wave)
        depth = f" z {image.z + 1}" if wave.planes > 1 else ""
        time = f" time {image.time + 1}" if any(i.time for i in self.images) else ""
        well = f"{chr(64 + image.row)} - {image.column}"
        return f"{well}(fld {image.field + 1} wv {wave.excitation} - {wave.emission}{depth}{time}).tif"

    def xml(self) -> bytes:
        """Give the index."""
        plate_id = f" PlateID={quoteattr(self.plate_id)}" if self.plate_id else ""
        geometry = (
            '<TopLeftWellCenterOffset horizontal="14.38" vertical="11.24" unit="mm"/>'
            '<WellSpacing horizontal="9" vertical="9" unit="mm"/>'
            if self.plate_geometry
            else ""
        )
        parts = [
            f'<?xml version="1.0" encoding="{self.encoding}" standalone="no"?>',
            f"<ImageStack{plate_id}>",
            '<UUID value="0b5c9a51-4e0d-4f57-9d38-1f2a6c3b7e90"/>',
            f'<Application name="{self.application}" software_version="4.1.0.7"/>',
            f"<Creation {self.created}/>",
            '<Operator login="tester"/>',
            '<AutoLeadAcquisitionProtocol name="my protocol" version="99.9">',
            '<ObjectiveCalibration id="101" magnification="20.0" numerical_aperture="0.45" '
            f'objective_name="Nikon 20X/0.45" {self.pixel_size} refractive_index="1.0" unit="µm"/>',
            '<Camera name="CoolSNAP K4"><Binning value="1 X 1"/><Gain value="1"/>'
            f'<Size height="{self.height}" width="{self.width}"/></Camera>',
            f'<Plate columns="{self.columns}" name="96 Greiner µClear" rows="{self.rows}">{geometry}</Plate>',
            "<PlateMap>",
            f'<NamingConvention><NamingRows begin="{self.begins[0]}"/><NamingColumns begin="{self.begins[1]}"/>'
            "</NamingConvention>",
            *(f'<Exclude col="{column}" row="{row}"/>' for row, column in self.excluded),
            f'<FieldOffsets number_of_fields="{len(self.offsets)}">',
            *(f'<offset_point index="{i}" x="{x}" y="{y}"/>' for i, (x, y) in enumerate(self.offsets)),
            "</FieldOffsets>",
            '<TimeSchedule enabled="false"><Times><TimePoint index="0"/></Times></TimeSchedule>',
            f'<ZDimensionParameters number_of_slices="{max((w.planes for w in self.waves), default=1)}" step="2.0"/>',
            "</PlateMap><Wavelengths>",
        ]
        for wave in self.waves:
            excitation = f' unit="nm" wavelength="{wave.excitation_nm}"' if wave.excitation_nm else ""
            emission = f' unit="nm" wavelength="{wave.emission_nm}"' if wave.emission_nm else ""
            parts.append(
                f'<Wavelength fusion_wave="{str(wave.fused).lower()}" imaging_mode="{wave.mode}" '
                f'index="{wave.index}" z_slice="{wave.planes}" z_step="2.0">'
                f'<ExcitationFilter name="{wave.excitation}"{excitation}/>'
                f'<EmissionFilter name="{wave.emission}"{emission}/></Wavelength>'
            )
        parts.append(f'</Wavelengths></AutoLeadAcquisitionProtocol><Images number="{len(self.images)}">')
        for number, image in enumerate(self.images):
            wave = next((w for w in self.waves if w.index == image.wave), DAPI)
            parts.append(
                f'<Image acquisition_time_ms="{number * 500.0}" filename={quoteattr(self.file_name(image))} '
                f'thumbnail="thumbs/{number}.jpg"><Well label="X"><Row number="{image.row}"/>'
                f'<Column number="{image.column}"/></Well><FocusPosition z="{100.0 + 2.0 * image.z}"/>'
                f'<Exposure time="{wave.exposure_ms}"/><Binning value="1 X 1"/><EmissionFilter name="{wave.emission}"/>'
                f'{image.extra}<Identifier field_index="{image.field}" time_index="{image.time}" '
                f'wave_index="{image.wave}" z_index="{image.z}"/></Image>'
            )
        parts.append("</Images></ImageStack>")
        return self.tweak("\n".join(parts)).encode(self.encoding)

    def write(self, folder: Path, name: str = "Plate 7.xdce") -> Path:
        """Write index and images; every image differs."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(self.xml())
        random = np.random.default_rng(7)
        for image in self.images:
            if image.write:
                pixels = random.integers(0, 4096, (self.height, self.width), np.uint16)
                tifffile.imwrite(folder / self.file_name(image), pixels)
        return folder


def grid(
    waves: Sequence[Wave] = (DAPI, FITC),
    *,
    wells: Sequence[tuple[int, int]] = ((1, 1), (2, 3)),
    fields: Sequence[int] = (0, 1),
    times: int = 1,
) -> tuple[Img, ...]:
    """Give the images of all combinations."""
    return tuple(
        Img(row=row, column=column, field=f, wave=wave.index, z=z, time=t)
        for row, column in wells
        for f in fields
        for t in range(times)
        for wave in waves
        for z in range(wave.planes)
    )


def stacks_and_planes() -> Export:
    """Give a plate of a channel with planes and one without, with places on the plate."""
    stack = Wave(index=1, excitation="FITC", emission="FITC", planes=3, mode="3-D")
    place = '<PlatePosition_um x="14000.0" y="11000.0"/>'
    images = tuple(replace(i, extra=place) for i in grid((DAPI, stack), wells=[(1, 1)]))
    return Export(waves=(DAPI, stack), images=images, offsets=(), plate_geometry=True, plate_id="P 1")
