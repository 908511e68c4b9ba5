"""Small LIF files: a document in UTF-16 and one block of bytes per image."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

#: 2025-03-08T00:00Z as Windows counts.
START = 133_858_656_000_000_000
_SIZE = {1: "X", 2: "Y", 3: "Z", 4: "T", 10: "M"}


@dataclass
class Image:
    """One image: its way (``TileScan 1/A/1``), its pixels, and the axes of the pixels from the outermost in.

    Axes are Leica's numbers, 0 for channels.
    """

    path: str
    pixels: np.ndarray
    axes: Sequence[int] = (3, 0, 2, 1)
    luts: Sequence[str] = ("Blue", "Green")
    tiles: Sequence[tuple[float, float]] = ()
    turned: str = 'FlipX="0" FlipY="0" SwapXY="0"'
    stage: tuple[float, float] = (0.001, 0.002)
    stamps: Sequence[int] = ()
    tags: Sequence[int] = ()
    attributes: dict[str, str] = field(default_factory=dict)

    def xml(self, block: int) -> str:
        steps = list(self.pixels.strides)
        bits = 8 * self.pixels.itemsize
        n_channels = self.pixels.shape[list(self.axes).index(0)] if 0 in self.axes else 1
        step = int(steps[list(self.axes).index(0)]) if 0 in self.axes else 0
        kind = int(self.pixels.dtype.kind == "f")
        tags = self.tags or [0] * n_channels
        channels = "".join(
            f'<ChannelDescription DataType="{kind}" ChannelTag="{tags[c]}" Resolution="{bits}" BytesInc="{c * step}" '
            f'NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" IsLUTInverted="0" BitInc="0" '
            f'LUTName="{self.luts[c % len(self.luts)]}"/>'
            for c in range(n_channels)
        )
        lengths = {1: 0.5e-6, 2: 0.5e-6, 3: -2e-6, 4: 60.0, 5: 1e-8, 10: 1.0}
        units = {4: "s"}
        axes = "".join(
            f'<DimensionDescription DimID="{axis}" NumberOfElements="{n}" Origin="0" '
            f'Length="{lengths[axis] * (n - 1)!r}" Unit="{units.get(axis, "m")}" BitInc="0" BytesInc="{s}"/>'
            for axis, n, s in reversed(list(zip(self.axes, self.pixels.shape, steps, strict=True))) if axis
        )  # fmt: skip
        infos = "".join(
            f'<WideFieldChannelInfo UserDefName="{name}" ContrastingMethodName="FLUO" ExposureTime="0.05" '
            f'EmissionWavelength="{wave}"/>'
            for name, wave in list({"Hoechst": 460, "GFP": 520, "Cy5": 670}.items())[:n_channels]
        )
        setting = (
            '<Attachment Name="HardwareSetting" Software="LAS X 3.7" SystemTypeName="THUNDER" '
            'DataSourceTypeName="Camera">'
            f'<ATLCameraSettingDefinition StagePosX="{self.stage[0]}" StagePosY="{self.stage[1]}" {self.turned} '
            f'Magnification="20" NumericalAperture="0.8" CameraName="K8"><WideFieldChannelConfigurator>{infos}'
            "</WideFieldChannelConfigurator></ATLCameraSettingDefinition></Attachment>"
        )
        tiles = "".join(f'<Tile FieldX="{i}" FieldY="0" PosX="{x}" PosY="{y}"/>' for i, (x, y) in enumerate(self.tiles))
        scan = f'<Attachment Name="TileScanInfo" {self.turned}>{tiles}</Attachment>' if tiles else ""
        stamps = " ".join(f"{stamp:x}" for stamp in self.stamps)
        return (
            f"<Data><Image><ImageDescription><Channels>{channels}</Channels><Dimensions>{axes}</Dimensions>"
            f'</ImageDescription><TimeStampList NumberOfTimeStamps="{len(self.stamps)}">{stamps}</TimeStampList>'
            f'{setting}{scan}</Image></Data><Memory Size="{self.pixels.nbytes}" MemoryBlockID="MemBlock_{block}"/>'
        )


def _tree(images: Sequence[tuple[list[str], int, Image]]) -> str:
    """Elements below one another, images at their ends."""
    groups: dict[str, list[tuple[list[str], int, Image]]] = {}
    for path, block, image in images:
        groups.setdefault(path[0], []).append((path[1:], block, image))
    text = ""
    for name, members in groups.items():
        own = "".join(image.xml(block) for path, block, image in members if not path)
        below = _tree([member for member in members if member[0]])
        text += f'<Element Name="{name}">{own or "<Data/>"}<Children>{below}</Children></Element>'
    return text


def write_lif(
    path: Path,
    images: Sequence[Image],
    *,
    version: int = 2,
    left_out: Sequence[int] = (),
    tweak: Callable[[str], str] = lambda text: text,
) -> Path:
    """Write a file; blocks of the numbers in ``left_out`` are not there."""
    told = _tree([(image.path.split("/"), number, image) for number, image in enumerate(images)])
    xml = tweak(
        f'<LMSDataContainerHeader Version="{version}"><Element Name="{path.stem}"><Children>{told}</Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    content = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    for number, image in enumerate(images):
        if number in left_out:
            continue
        name = f"MemBlock_{number}"
        size = struct.pack("<Q" if version == 2 else "<I", image.pixels.nbytes)
        content += struct.pack("<IIB", 0x70, 0, 0x2A) + size + struct.pack("<BI", 0x2A, len(name))
        content += name.encode("utf-16-le") + image.pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pixels(seed: int, shape: tuple[int, ...] = (3, 2, 6, 8), dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, shape, dtype=dtype)


def write_plate(path: Path) -> Path:
    """Two wells, the first with two positions; three z, two channels."""
    images = [
        Image("TileScan 1/A/1/R2", pixels(2), stage=(0.0012, 0.002)),
        Image("TileScan 1/A/1/R1", pixels(1), stage=(0.0010, 0.002), stamps=[START + i * 10_000_000 for i in range(3)]),
        Image("TileScan 1/B/12/R1", pixels(3)),
    ]
    return write_lif(path, images)
