"""Small ND2 files: the chunks of version 3, with metadata as NIS-Elements' XML variants."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_MAGIC = 0x0ABECEDA
START_JULIAN = 2460742.5  # 2025-03-08T00:00Z


def variant(name: str, value: Any) -> str:
    """A value as CLxVariant XML; numbers of time and length are doubles."""
    if isinstance(value, Mapping):
        return f'<{name} runtype="CLxListVariant">{"".join(variant(k, v) for k, v in value.items())}</{name}>'
    if isinstance(value, bool):
        return f'<{name} runtype="bool" value="{str(value).lower()}"/>'
    if isinstance(value, int):
        return f'<{name} runtype="lx_int32" value="{value}"/>'
    if isinstance(value, float):
        return f'<{name} runtype="double" value="{value!r}"/>'
    return f'<{name} runtype="CLxStringW" value="{value}"/>'


def document(name: str, value: Any) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><variant version="1.0">{variant(name, value)}</variant>'.encode()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack("<IIQ", _MAGIC, len(name) + 8, len(data)) + name + bytes(8) + data


def peak(wavelength: float) -> dict[str, Any]:
    return {"uiCount": 1, "pPoint": {"Point0": {"dTValue": 1.0, "dWavelength": wavelength}}}


def listed(values: Sequence[Any]) -> dict[str, Any]:
    return {f"i{i:010}": value for i, value in enumerate(values)}


def loop_time(count: int, period_ms: float = 1000.0) -> dict[str, Any]:
    return {"eType": 1, "uLoopPars": {"uiCount": count, "dStart": 0.0, "dPeriod": period_ms, "dDuration": 0.0}}


def loop_z(count: int, step: float = 2.0) -> dict[str, Any]:
    low, high = 0.0, step * (count - 1)
    told = {"uiCount": count, "dZLow": low, "dZHigh": high, "dZStep": step, "dZHome": low, "iType": 2}
    return {"eType": 4, "uLoopPars": told}


def loop_points(points: Sequence[tuple[str | None, float, float]], *, with_z: bool = True) -> dict[str, Any]:
    told = [
        {"dPosX": x, "dPosY": y, "dPosZ": 50.0} | ({"dPosName": name} if name is not None else {})
        for name, x, y in points
    ]
    return {"eType": 2, "uLoopPars": {"bUseZ": with_z, "Points": listed(told)}}


def nested(loops: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first, *rest = loops
    return first | ({"ppNextLevelEx": listed([nested(rest)])} if rest else {})


def write_nd2(
    path: Path,
    frames: Sequence[np.ndarray | None],
    *,
    loops: Sequence[dict[str, Any]] = (),
    names: Sequence[str] = ("DAPI", "GFP"),
    calibration: float | None = 0.5,
    camera: tuple[float, float, float, float] = (-1.0, 0.0, 0.0, -1.0),
    components: int | None = None,
    zipped: bool = False,
    padding: int = 0,
    without: Sequence[str] = (),
) -> Path:
    """Write a file of frames (rows, columns, channels), None for one that is absent; leave out facts of the first."""
    height, width, channels = next(frame.shape for frame in frames if frame is not None)
    itemsize = next(frame.itemsize for frame in frames if frame is not None)
    row = width * channels * itemsize + padding
    attributes = {
        "uiWidth": width, "uiWidthBytes": row, "uiHeight": height, "uiComp": components or channels,
        "uiBpcInMemory": 8 * itemsize, "uiBpcSignificant": 8 * itemsize, "uiSequenceCount": len(frames),
        "eCompression": 0 if zipped else 2,
    }  # fmt: skip
    planes = {
        f"a{i}": {
            "uiSampleIndex": i, "sDescription": name, "uiColor": 255 << 8 * (i % 3), "uiCompCount": 1,
            "pFluorescentProbe": {
                "m_ExcitationSpectrum": peak(400.0 + 85 * i), "m_EmissionSpectrum": peak(450.0 + 80 * i),
            },
        }
        for i, name in enumerate(names)
    }  # fmt: skip
    picture = {
        "dTimeAbsolute": START_JULIAN, "dTimeMSec": 0.0, "dXPos": 100.0, "dYPos": 200.0, "dZPos": 7.5,
        "bCalibrated": calibration is not None, "dCalibration": calibration or -1.0, "dObjectiveMag": 20.0,
        "dObjectiveNA": 0.75, **{f"dStgLgCT{k}": m for k, m in zip((11, 12, 21, 22), camera, strict=True)},
        "sPicturePlanes": {"uiCount": len(names), "sPlaneNew": planes},
    }  # fmt: skip
    picture = {key: value for key, value in picture.items() if not key.startswith(tuple(without))}
    text = {"TextInfoItem_6": "Sample 1: Exposure: 20 ms Binning: 2x2 Sample 2: Exposure: 1 s Binning: 2x2"}
    chunks = {
        b"ImageAttributesLV!": document("SLxImageAttributes", attributes),
        b"ImageMetadataSeqLV|0!": document("SLxPictureMetadata", picture),
        b"ImageTextInfoLV!": document("SLxImageTextInfo", text),
        b"CustomData|AcqTimesCache!": struct.pack(f"<{len(frames)}d", *(1000.0 * i for i in range(len(frames)))),
    }
    if loops:
        chunks[b"ImageMetadataLV!"] = document("SLxExperiment", nested(loops))
    for number, frame in enumerate(frames):
        if frame is not None:
            rows = frame.reshape(height, -1).view(np.uint8)
            data = np.pad(rows, ((0, 0), (0, padding)), constant_values=255).tobytes()
            chunks[b"ImageDataSeq|%d!" % number] = bytes(8) + (zlib.compress(data) if zipped else data)
    content = bytearray(struct.pack("<IIQ32s64s", _MAGIC, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0"))
    content += bytes(4096 - len(content))
    places = {}
    for name, data in chunks.items():
        places[name] = len(content)
        # Frames begin at a fixed distance behind the beginning of their chunk.
        reserve = 4072 - len(name) - 8 if name.startswith(b"ImageDataSeq") else 0
        content += chunk(name + bytes(reserve), data)
    end = len(content)
    entries = b"".join(name + struct.pack("<QQ", place, len(chunks[name])) for name, place in places.items())
    entries += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", end)
    content += chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", entries)
    content += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", end)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def frame(seed: int, channels: int = 2, shape: tuple[int, int] = (6, 8), dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, (*shape, channels), dtype=dtype)


def write_wells(folder: Path) -> Path:
    """A folder as a plate job writes it: one file per well, two positions and three z each."""
    for number, well in enumerate(("B02", "C11")):
        points = loop_points([(None, 1000.0 * number, 0.0), (None, 1000.0 * number + 4.0, 0.0)])
        frames = [frame(100 * number + i) for i in range(6)]
        write_nd2(folder / f"P7_Well{well}_ChannelDAPI,GFP_Seq{number:04}.nd2", frames, loops=[points, loop_z(3)])
    return folder
