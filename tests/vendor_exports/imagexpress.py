"""Small MetaXpress plates, written here file by file: the export with its HTD, and the database layout."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile


@dataclass(frozen=True, kw_only=True)
class Img:
    """One file. ``step`` is the number of its Z folder, ``z`` the height index that its header tells."""

    well: str = "B02"
    site: int = 1
    wave: int = 1
    time: int = 1
    step: int | None = None
    z: int = 1
    projection: str | None = None
    copy_of: str | None = None
    thumb: bool = False
    write: bool = True


def grid(
    wells: Sequence[str] = ("B02", "B03"),
    sites: Sequence[int] = (1, 2),
    waves: Sequence[int] = (1, 2),
    times: Sequence[int] = (1,),
    steps: Sequence[int | None] = (None,),
) -> list[Img]:
    return [
        Img(well=well, site=site, wave=wave, time=time, step=step, z=step or 1)
        for time in times
        for well in wells
        for site in sites
        for wave in waves
        for step in steps
    ]


_ENTITIES = {"\r": "&#13;", "\n": "&#10;"}
WAVES = ("DAPI", "FITC", "Texas Red", "Cy5")


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A plate to write. ``sites`` are the selected cells of the grid, True or False, row by row."""

    name: str = "plate1"
    images: Sequence[Img] = field(default_factory=grid)
    wells: Sequence[str] = ("B02", "B03")
    sites: Sequence[Sequence[bool]] = ((True, True),)
    waves: Sequence[str] = WAVES[:2]
    collected: Sequence[int] | None = None
    times: int = 1
    steps: int | None = None
    projection: bool = False
    rows: int = 8
    columns: int = 12
    pixel_um: float | None = 1.25
    pitch_um: float = 100.0
    suffix: str = ".TIF"
    guids: bool = False
    bracketed: bool = False
    timed: bool = True
    offsets: bool = True
    stage: bool = True
    description: bytes = b"two channels"
    header: Callable[[str], str] = lambda text: text
    size: tuple[int, int] = (6, 8)

    def site_cells(self) -> list[tuple[int, int]]:
        return [(r, c) for r, row in enumerate(self.sites) for c, on in enumerate(row) if on]

    def htd(self) -> bytes:
        def flags(values: Sequence[bool]) -> str:
            return ", ".join("TRUE" if value else "FALSE" for value in values)

        def rows() -> Iterator[str]:
            yield '"HTSInfoFile", Version 1.0'
            yield '"Description", "@"'
            yield '"PlateType", 2'
            yield f'"TimePoints", {self.times}'
            yield f'"ZSeries", {"TRUE" if self.steps else "FALSE"}'
            yield f'"ZSteps", {self.steps or 1}'
            yield f'"ZProjection", {"TRUE" if self.projection else "FALSE"}'
            yield f'"XWells", {self.columns}'
            yield f'"YWells", {self.rows}'
            for row in range(self.rows):
                wells = [f"{chr(65 + row)}{column:02d}" in self.wells for column in range(1, self.columns + 1)]
                yield f'"WellsSelection{row + 1}", {flags(wells)}'
            many = len(self.site_cells()) > 1
            yield f'"Sites", {"TRUE" if many else "FALSE"}'
            if many:
                yield f'"XSites", {len(self.sites[0])}'
                yield f'"YSites", {len(self.sites)}'
                for number, row in enumerate(self.sites, start=1):
                    yield f'"SiteSelection{number}", {flags(row)}'
            yield f'"Waves", {"TRUE" if len(self.waves) > 1 else "FALSE"}'
            if len(self.waves) > 1:
                yield f'"NWavelengths", {len(self.waves)}'
            for number, name in enumerate(self.waves, start=1):
                yield f'"WaveName{number}", "{name}"'
                yield f'"WaveCollect{number}", {(self.collected or [1] * len(self.waves))[number - 1]}'
            yield '"UniquePlateIdentifier", "6f0ba473-0000-4a31-8db8-e2087bc78145"'
            yield '"EndFile"'

        return "\r\n".join([*rows(), ""]).encode("ascii").replace(b"@", self.description)

    def file(self, image: Img) -> str:
        parts = [self.name, image.well]
        parts += [f"s{image.site}"] if len(self.site_cells()) > 1 else []
        parts += [f"w{image.wave}"] if len(self.waves) > 1 else []
        parts += ["thumb"] if image.thumb else []
        folders = [f"TimePoint_{image.time}"] if self.timed else []
        folders += [f"ZStep_{image.step}"] if image.step is not None else []
        tail = f"[{self.guid(image)}]" if self.bracketed else self.guid(image) if self.guids else ""
        return "/".join([*folders, "_".join(parts) + ("_" if self.bracketed else "") + tail + self.suffix])

    def guid(self, image: Img) -> str:
        number = abs(hash((image.well, image.site, image.wave, image.time, image.step, image.thumb))) % 16**12
        return f"66923EBB-9960-4952-8955-{number:012X}"

    def xml(self, image: Img) -> str:
        row, column = ord(image.well[0].upper()) - 64, int(image.well[1:])
        cells = self.site_cells()
        at = cells[image.site - 1] if image.site <= len(cells) else (0, 0)
        x = (at[1] - (len(self.sites[0]) - 1) / 2) * self.pitch_um
        y = (at[0] - (len(self.sites) - 1) / 2) * self.pitch_um
        z = 100.0 + 2.5 * (image.z - 1)
        second = (image.time - 1) * 30
        when = f"20240709 10:{second // 60:02d}:{second % 60:02d}.{100 + image.wave:03d}"
        told = image.copy_of or f"{image.well}{image.site}{image.wave}{image.time}{image.z}{image.projection}"
        properties: list[tuple[str, str, object]] = [
            ("prop", "Description", f"Plate Name: {self.name}\r\nBinning: 4 x 4\r\n"
             "Acquired from AndorSdk3 Camera\r\nShading: Off\r\nSoftware Version: MetaXpress 6.7.0.211\r\n"),
            ("prop", "ApplicationName", "MetaMorph"),
            ("prop", "bits-per-pixel", 16),
            ("prop", "spatial-calibration-state", "on" if self.pixel_um else "off"),
            ("prop", "spatial-calibration-x", self.pixel_um or 1),
            ("prop", "spatial-calibration-y", self.pixel_um or 1),
            ("prop", "spatial-calibration-units", "um" if self.pixel_um else "pixel"),
            ("prop", "image-name", f"{self.waves[image.wave - 1]}-{image.wave}"),
            ("prop", "plane-guid", f"{{{told}}}"),
            ("prop", "acquisition-time-local", when),
            ("prop", "z-position", z),
            ("prop", "wavelength", 400 + 60 * image.wave),
            ("prop", "camera-binning-x", 4),
            ("custom-prop", "89 North 405 Intensity", 50),
            ("custom-prop", "89 North 405 Shutter", "Open"),
            ("custom-prop", "89 North 555 Intensity", 10),
            ("custom-prop", "89 North 555 Shutter", "Closed"),
            ("prop", "_IllumSetting_", self.waves[image.wave - 1]),
            ("prop", "_MagNA_", 0.75),
            ("prop", "_MagSetting_", "20X Plan Apo"),
            ("custom-prop", "Camera Bit Depth", 16),
            ("custom-prop", "Exposure Time", "15 ms"),
            ("custom-prop", "ImageXpress Micro X", 1),
            ("custom-prop", "ShadingCorrection", "Off"),
        ]  # fmt: skip
        if self.stage:
            properties.append(("prop", "stage-position-x", 14_300 + 9_000 * (column - 1) + x))
            properties.append(("prop", "stage-position-y", 11_200 + 9_000 * (row - 1) + y))
        if self.offsets:
            properties += [("custom-prop", "OffsetFromWellCenterUmX", x), ("custom-prop", "OffsetFromWellCenterUmY", y)]
            properties += [("custom-prop", "SiteX", at[1] + 1), ("custom-prop", "SiteY", at[0] + 1)]
        if image.projection:
            properties += [("custom-prop", "Z Projection Method", image.projection)]
            properties += [("custom-prop", "Z Projection Step Size", 2.5)]
        else:
            properties += [("custom-prop", "Z Step", image.z)]
        lines = "".join(
            f'<{tag} id={quoteattr(name)} type="string" value={quoteattr(str(value), _ENTITIES)}/>\n'
            for tag, name, value in properties
        )
        return self.header(f"<MetaData>\n<PlaneInfo>\n{lines}</PlaneInfo>\n</MetaData>")

    def pixels(self, image: Img) -> np.ndarray:
        told = image.copy_of or f"{image.well}{image.site}{image.wave}{image.time}{image.z}{image.projection}"
        return np.random.default_rng(list(told.encode())).integers(0, 4000, self.size, dtype=np.uint16)

    def write(self, folder: Path, *, htd: bool = True) -> Path:
        """Write the plate into ``folder`` and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for image in self.images:
            path = folder / self.file(image)
            path.parent.mkdir(parents=True, exist_ok=True)
            if image.write:
                tifffile.imwrite(
                    path, self.pixels(image), description=self.xml(image), metadata=None, software="MetaSeries"
                )
        if htd:
            for place in {folder, *(p for p in folder.rglob("*") if p.is_dir())}:
                (place / f"{self.name}.HTD").write_bytes(self.htd())
        return folder


def mixed(*, exported: bool) -> Plate:
    """Four waves: a stack with its projection, a projection only, one plane, and one that has no file.

    An export fills all Z folders with copies; the database layout has each image once.
    """
    images: list[Img] = []
    for well in ("B02", "B03"):
        for site in (1, 2):
            here = {"well": well, "site": site}
            images += [Img(**here, wave=1, step=step, z=step) for step in (1, 2, 3)]
            top = 0 if exported else None
            images.append(Img(**here, wave=1, step=top, projection="Maximum"))
            for step in (0, 1, 2, 3) if exported else (None,):
                images.append(
                    Img(
                        **here, wave=2, step=step, projection="Maximum", copy_of=f"{well}{site}w2" if exported else None
                    )
                )
            for step in (0, 1, 2, 3) if exported else (1,):
                images.append(Img(**here, wave=3, step=step, z=1, copy_of=f"{well}{site}w3" if exported else None))
    return Plate(images=images, waves=WAVES, steps=3, projection=True, guids=not exported, timed=exported)


def write_stk(path: Path, pixels: np.ndarray, *, pixel_um: float = 1.72, x: int = 14_300, y: int = 11_200) -> Path:
    """Write one plane as MetaMorph did before MetaSeries: calibration, time and stage position in its UIC tags."""
    height, width = pixels.shape
    data = pixels.astype("<u2").tobytes()
    extra = bytearray()

    def put(value: bytes) -> int:
        at = 8 + len(data) + len(extra)
        extra.extend(value)
        return at

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value) + 1) + value.encode() + b"\0"

    uic1 = [
        (3, 1),
        (4, put(struct.pack("<2I", round(pixel_um * 1000), 1000))),
        (5, put(struct.pack("<2I", round(pixel_um * 1000), 1000))),
        (6, put(text("um"))),
        (7, put(text("DAPI"))),
        (28, put(struct.pack("<4I", x, 1, y, 1))),
        (40, put(struct.pack("<2I", 9_100, 1))),
    ]
    described = b"Exposure: 500 ms\r\nBinning: 2 x 2\r\n\0"
    # 2456000 is the Julian day of 2012-03-14; the time is milliseconds of that day.
    planes = struct.pack("<6I", 0, 1, 2_456_000, 36_000_000, 2_456_000, 36_000_000)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (270, 2, len(described), put(described)),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
        (33628, 4, len(uic1), put(b"".join(struct.pack("<2I", *pair) for pair in uic1))),
        (33629, 5, 1, put(planes)),
        (33630, 5, 1, put(struct.pack("<2I", 460, 1))),
    ]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    at = put(ifd)
    path.write_bytes(b"II*\0" + struct.pack("<I", at) + data + bytes(extra))
    return path
