"""Small CZI files, written by the segments of the public ZISRAW specification."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

_TYPES = {"uint8": 0, "uint16": 1, "float32": 2}


@dataclass
class Block:
    """One subblock; ``stored`` smaller than the pixels' place makes it a level of the pyramid."""

    pixels: np.ndarray
    scene: int = 0
    tile: int | None = None
    timepoint: int = 0
    channel: int = 0
    z: int = 0
    x: int = 0
    y: int = 0
    drawn: tuple[int, int] | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    compression: int = 0
    extra: dict[str, int] = field(default_factory=dict)
    pixel_type: int | None = None


def segment(kind: str, data: bytes) -> bytes:
    padded = data + bytes(-len(data) % 32)
    return struct.pack("<16sqq", kind.encode(), len(padded), len(data)) + padded


def entry(block: Block, position: int, part: int = 0) -> bytes:
    height, width = block.pixels.shape[:2]
    drawn = block.drawn or (height, width)
    starts = {"S": block.scene, "T": block.timepoint, "C": block.channel, "Z": block.z} | block.extra
    if block.tile is not None:
        starts["M"] = block.tile
    dimensions = [("X", block.x, drawn[1], width), ("Y", block.y, drawn[0], height)]
    dimensions += [(axis, start, 1, 1) for axis, start in starts.items()]
    kind = _TYPES[block.pixels.dtype.name] if block.pixel_type is None else block.pixel_type
    head = struct.pack("<2siqii6xi", b"DV", kind, position, part, block.compression, len(dimensions))
    return head + b"".join(struct.pack("<4siifi", a.encode(), s, n, 0.0, m) for a, s, n, m in dimensions)


def encoded(block: Block) -> bytes:
    raw = np.ascontiguousarray(block.pixels)
    if block.compression == 1:
        return bytes(imagecodecs.jpeg8_encode(raw, level=95))
    if block.compression == 4:
        return bytes(imagecodecs.jpegxr_encode(raw, level=1.0))
    if block.compression == 5:
        return bytes(imagecodecs.zstd_encode(raw.tobytes()))
    if block.compression == 6:
        apart = raw.reshape(-1).view(np.uint8).reshape(-1, raw.itemsize).T if raw.itemsize > 1 else raw
        return bytes([3, 1, int(raw.itemsize > 1)]) + bytes(
            imagecodecs.zstd_encode(np.ascontiguousarray(apart).tobytes())
        )
    return raw.tobytes()


def subblock(block: Block, position: int) -> bytes:
    tags = "".join(f"<{name}>{value}</{name}>" for name, value in block.tags.items())
    metadata = f"<METADATA><Tags>{tags}</Tags></METADATA>".encode() if tags else b""
    data = encoded(block)
    head = struct.pack("<iiq", len(metadata), 0, len(data)) + entry(block, position)
    return segment("ZISRAWSUBBLOCK", head.ljust(256, b"\0") + metadata + data)


def write_czi(path: Path, blocks: list[Block], metadata: str = "", *, pending: int = 0, part: int = 0) -> Path:
    """Write a file: header, subblocks, metadata, directory."""
    content = bytearray(segment("ZISRAWFILE", bytes(512)))
    positions = []
    for block in blocks:
        positions.append(len(content))
        content += subblock(block, len(content))
    metadata_at = len(content)
    xml = metadata.encode()
    content += segment("ZISRAWMETADATA", struct.pack("<ii", len(xml), 0) + bytes(248) + xml)
    directory_at = len(content)
    entries = b"".join(entry(b, p, part) for b, p in zip(blocks, positions, strict=True))
    content += segment("ZISRAWDIRECTORY", struct.pack("<i", len(blocks)).ljust(128, b"\0") + entries)
    guid = bytes(range(16))
    struct.pack_into("<iiii16s16siqqiq", content, 32, 1, 0, 0, 0, guid, guid, 0, directory_at, metadata_at, pending, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def scene_xml(
    index: int, well: str, row: int | None, column: int | None, *, centre: str | None, middle: str | None
) -> str:
    """One scene; without row and column it has an ``ArrayName`` alone, as older versions write."""
    shape = (
        f'<Shape Name="{well}"><ColumnIndex>{column}</ColumnIndex><RowIndex>{row}</RowIndex>'
        f"{f'<CenterPosition>{middle}</CenterPosition>' if middle else ''}</Shape>"
        if row
        else f"<ArrayName>{well}</ArrayName>"
    )
    place = f"<CenterPosition>{centre}</CenterPosition>" if centre else ""
    return f'<Scene Index="{index}" Name="P{index + 1}">{place}{shape}</Scene>'


def document_xml(
    scenes: str, *, channels: int = 2, pixel: str | None = "5E-07", rows: int = 8, columns: int = 12
) -> str:
    told = "".join(
        f'<Channel Id="Channel:{c}" Name="{name}"><ExcitationWavelength>{ex}</ExcitationWavelength>'
        f"<EmissionWavelength>{em}</EmissionWavelength><Color>#FF00ff33</Color><Fluor>{name}</Fluor>"
        "<ExposureTime>150000000</ExposureTime><ContrastMethod>Fluorescence</ContrastMethod>"
        "<ComponentBitCount>14</ComponentBitCount><AcquisitionMode>WideField</AcquisitionMode>"
        "<DetectorSettings><Binning>2,2</Binning></DetectorSettings></Channel>"
        for c, (name, ex, em) in enumerate([("Hoechst 33342", 353, 465), ("AF488", 493, 517)][:channels])
    )
    items = "".join(f'<Distance Id="{a}"><Value>{pixel}</Value></Distance>' for a in "XY") if pixel else ""
    block = "<Experiment><ExperimentBlocks><AcquisitionBlock><SubDimensionSetups><RegionsSetup><SampleHolder>"
    return (
        f'<?xml version="1.0"?><ImageDocument><Metadata>{block}<Template Name="Multiwell {rows * columns}">'
        f"<ShapeColumns>{columns}</ShapeColumns><ShapeRows>{rows}</ShapeRows></Template></SampleHolder></RegionsSetup>"
        "</SubDimensionSetups></AcquisitionBlock></ExperimentBlocks></Experiment><Information><Application>"
        "<Name>ZEN</Name><Version>3.7</Version></Application><Document><UserName>somebody</UserName></Document><Image>"
        "<AcquisitionDateAndTime>2023-01-06T10:41:51.7217589Z</AcquisitionDateAndTime><Dimensions>"
        f"<Channels>{told}</Channels><S><Scenes>{scenes}</Scenes></S></Dimensions>"
        '<ObjectiveSettings><ObjectiveRef Id="Objective:1"/></ObjectiveSettings></Image><Instrument><Objectives>'
        '<Objective Id="Objective:1"><LensNA>0.35</LensNA><NominalMagnification>5</NominalMagnification></Objective>'
        f"</Objectives></Instrument></Information><Scaling><Items>{items}</Items></Scaling></Metadata></ImageDocument>"
    )


def pixels(seed: int, shape: tuple[int, int] = (8, 10), dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000 if dtype == "uint16" else 255, shape, dtype=dtype)


def write_plate(path: Path, *, compression: int = 0) -> Path:
    """Two wells: B02 with two scenes of two tiles, C03 with one tile; two channels, two z."""
    scenes = (
        scene_xml(0, "B2", 2, 2, centre="13000,12500", middle="13500,12500")
        + scene_xml(1, "B2", 2, 2, centre="14000,12500", middle="13500,12500")
        + scene_xml(2, "C3", 3, 3, centre="22500,21500", middle="22500,21500")
    )
    places = [(0, 0, 0, 0), (0, 1, 8, 0), (1, 0, 2000, 0), (1, 1, 2008, 0), (2, 0, 19_004, 18_000)]
    blocks = [
        Block(
            pixels(s * 100 + m * 10 + c * 2 + z), scene=s, tile=m, channel=c, z=z, x=x, y=y, compression=compression,
            tags={
                "AcquisitionTime": f"2023-01-06T10:42:{s * 8 + m * 4 + c * 2 + z:02d}.5000000Z",
                "FocusPosition": f"+{100 + 2 * z}",
            },
        )
        for s, m, x, y in places for c in range(2) for z in range(2)
    ]  # fmt: skip
    blocks.append(Block(pixels(9, (4, 5)), scene=0, drawn=(8, 10), compression=compression))
    return write_czi(path, blocks, document_xml(scenes))
