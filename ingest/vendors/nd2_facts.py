"""What an ND2 says of itself, from the package nd2 and the chunks that it does not hand out, in one dataclass.

Everything after this module is plain data. NIS-Elements writes µm, ms and, for the beginning, a Julian day in UTC.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ..sources.base import guard, refusal
from ..sources.nd2 import Nd2Chunks, frame_shape, nd2_package
from ..sources.nd2_layout import FrameShape
from ..sources.xml_tree import number_in
from ..units import to_ms

#: Julian day of 1970-01-01T00:00Z.
_EPOCH_JULIAN = 2_440_587.5
_EXPOSURE = re.compile(r"Exposure:\s*([\d.,]+)\s*(min|ms|s|µs|μs|us)\b")
_BINNING = re.compile(r"Binning:\s*(\d+)\s*x")
_CAMERA = re.compile(r"Camera Name:\s*([^\r\n]+)")
#: A file promises as many frames as its loops have turns; far more than it has is a damaged number.
_MOST_TURNS = 50_000_000


#: 2 × 2, row by row.
Matrix = tuple[float, float, float, float]
_IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nd2Point:
    """One position of the stage, µm, as NIS-Elements counts them; None where it is not told."""

    name: str | None
    x_um: float | None
    y_um: float | None
    z_um: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nd2Channel:
    """One channel; wavelengths in nm, exposure in ms; ``flags`` are the words of nd2 for its modality."""

    name: str
    excitation_nm: float | None
    emission_nm: float | None
    color: str | None
    flags: tuple[str, ...]
    exposure_ms: float | None = None
    binning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nd2Facts:
    """One file.

    ``loops`` are (axis, turns) from the outermost in, axis one of ``T``, ``P``, ``Z``. ``heights_um`` are those of the
    planes of a stack from its home. ``to_image`` takes a way of the stage to one in the image (x right, y down), in µm
    both; None where the file does not say how the camera stands. ``frames`` are the numbers of those that are in the
    file, ``times_ms`` of each frame after ``started_at``.
    """

    shape: FrameShape
    version: str
    loops: tuple[tuple[str, int], ...]
    points: tuple[Nd2Point, ...]
    heights_um: tuple[float, ...]
    channels: tuple[Nd2Channel, ...]
    pixel_size_um: float | None
    z_step_um: float | None
    to_image: Matrix | None
    frames: frozenset[int]
    started_at: datetime | None
    times_ms: tuple[float, ...]
    magnification: float | None
    numerical_aperture: float | None
    camera: str | None
    software: str | None
    author: str | None


def read_facts(path: Path) -> Nd2Facts:
    """Read the metadata of a file.

    Raises
    ------
    NotAnExportError
        It is no ND2.
    SourceFileError
        It is cut off or damaged.
    InvalidDataError
        It holds something else than planes of a plate.
    MissingExtraError
        The package nd2 is not installed.
    """
    package = nd2_package()
    with closing(Nd2Chunks(path)) as chunks, guard(str(path), "cannot be understood"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for frame, offset in chunks.frames.items():
            chunks.place(offset, f"{path}: frame {frame}")
        times = chunks.chunk(b"CustomData|AcqTimesCache!") or b""
        with closing(package.ND2File(path)) as file:
            shape = frame_shape(file.attributes, str(path))
            return _facts(file, shape, frozenset(chunks.frames), times, str(path))


def _facts(file: Any, shape: FrameShape, frames: frozenset[int], times: bytes, path: str) -> Nd2Facts:
    loops, points, heights, step = _loops(file.experiment, path)
    metadata = file.metadata
    told = tuple(metadata.channels or ())
    if len(told) != shape.channels:
        raise refusal(path, f"is damaged: it has {shape.channels} channels and describes {len(told)}")
    first = _first_frame(file)
    if not points:
        x, y, z = (_finite(first.get(f"d{axis}Pos")) for axis in "XYZ")
        # Of a stack it is the height of its first plane, which need not be its home.
        points = (Nd2Point(name=None, x_um=x, y_um=y, z_um=None if "Z" in dict(loops) else z),)
    texts = file.text_info
    captures = parse_captures(texts.get("capturing") or texts.get("description") or "", len(told))
    camera = _CAMERA.search(texts.get("description") or "")
    volume, microscope = told[0].volume, told[0].microscope
    calibrated = bool(volume.axesCalibrated[0]) and _positive(volume.axesCalibration[0]) is not None
    camera_matrix = volume.cameraTransformationMatrix
    if "dStgLgCT11" not in first and tuple(camera_matrix) == _IDENTITY:
        camera_matrix = None  # The package says so where the file says nothing.
    all_times = [t for (t,) in struct.iter_unpack("<d", times[: len(times) // 8 * 8])]
    return Nd2Facts(
        shape=shape,
        version=".".join(str(part) for part in file.version),
        loops=loops,
        points=points,
        heights_um=heights,
        channels=tuple(_channel(one.channel, one.microscope, *captures[i]) for i, one in enumerate(told)),
        pixel_size_um=float(volume.axesCalibration[0]) if calibrated else None,
        z_step_um=step,
        to_image=stage_to_image(volume.pixelToStageTransformationMatrix, camera_matrix, volume.axesCalibration),
        frames=frames,
        started_at=julian_moment(float(first.get("dTimeAbsolute") or math.nan)),
        times_ms=tuple(all_times),
        magnification=_positive(microscope.objectiveMagnification),
        numerical_aperture=_positive(microscope.objectiveNumericalAperture),
        camera=camera[1].strip() if camera else None,
        software=texts.get("appVersion") or None,
        author=texts.get("author") or None,
    )


def _first_frame(file: Any) -> dict[str, Any]:
    """Return what the file says of its first frame, in its own words."""
    known = "ImageMetadataSeqLV|0" if file.version >= (3, 0) else "ImageMetadataSeq|0"
    told = file.unstructured_metadata(strip_prefix=False, include={known}).get(known) or {}
    return dict(told.get("SLxPictureMetadata", told))


def _loops(
    experiment: Iterable[Any], path: str
) -> tuple[tuple[tuple[str, int], ...], tuple[Nd2Point, ...], tuple[float, ...], float | None]:
    """Return the loops, the positions, the heights of a stack and its step."""
    loops: list[tuple[str, int]] = []
    points: tuple[Nd2Point, ...] = ()
    heights: tuple[float, ...] = ()
    step = None
    for loop in experiment:
        axis = {"TimeLoop": "T", "NETimeLoop": "T", "XYPosLoop": "P", "ZStackLoop": "Z"}.get(str(loop.type))
        if axis is None or axis in dict(loops):
            raise InvalidDataError(
                f"{path} has a loop {loop.type!r} over {loop.count}, which a plate does not have",
                hint="Export the experiment with loops over time, positions and z only.",
            )
        if not 0 < loop.count <= _MOST_TURNS or math.prod(n for _, n in loops) * loop.count > _MOST_TURNS:
            raise refusal(path, f"is damaged: its loop {loop.type} has {loop.count} turns")
        loops.append((axis, int(loop.count)))
        if axis == "P":
            points = tuple(
                Nd2Point(
                    name=point.name,
                    x_um=_finite(point.stagePositionUm.x),
                    y_um=_finite(point.stagePositionUm.y),
                    z_um=_finite(point.stagePositionUm.z) if loop.parameters.isSettingZ else None,
                )
                for point in loop.parameters.points
            )
        elif axis == "Z":
            told = loop.parameters
            step = _positive(told.stepUm)
            heights = tuple((step or 0.0) * (i - told.homeIndex) for i in range(loop.count)) if step else ()
            heights = heights if told.bottomToTop else heights[::-1]
    return tuple(loops), points, heights, step


def _finite(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) else None


def _positive(number: float | None) -> float | None:
    return float(number) if number is not None and math.isfinite(number) and number > 0 else None


def _channel(told: Any, microscope: Any, exposure_ms: float | None, binning: int | None) -> Nd2Channel:
    color = told.color
    return Nd2Channel(
        name=str(told.name or f"Channel {told.index}"),
        excitation_nm=_positive(told.excitationLambdaNm),
        emission_nm=_positive(told.emissionLambdaNm),
        color="".join(f"{int(part) & 255:02X}" for part in (color.r, color.g, color.b)) if color is not None else None,
        flags=tuple(str(flag) for flag in microscope.modalityFlags or ()),
        exposure_ms=exposure_ms,
        binning=binning,
    )


def parse_captures(text: str, n_channels: int) -> list[tuple[float | None, int | None]]:
    """Return exposure (ms) and binning of each channel, from the text about the camera; None where it does not say.

    The text has one of each for every channel, or one for all.
    """
    exposures = [_milliseconds(*found) for found in _EXPOSURE.findall(text)]
    binnings = [int(found[:4]) or None for found in _BINNING.findall(text)]
    return list(zip(_spread(exposures, n_channels), _spread(binnings, n_channels), strict=True))


def _spread(values: list[Any], number: int) -> list[Any]:
    if len(values) == number:
        return values
    return values * number if len(values) == 1 else [None] * number


def _milliseconds(number: str, unit: str) -> float | None:
    value, scale = number_in(number.replace(",", ".")), to_ms(unit)
    return None if value is None or scale is None else round(value * scale, 6)


def julian_moment(day: float) -> datetime | None:
    """Return the moment of a Julian day, None for one that no microscope saw."""
    seconds = (day - _EPOCH_JULIAN) * 86_400
    if not (math.isfinite(seconds) and 6e8 < seconds < 1e10):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=round(seconds, 3))


def stage_to_image(
    pixel_to_stage: Iterable[float] | None, camera: Iterable[float] | None, pixel_size: Iterable[float]
) -> Matrix | None:
    """Return the 2 × 2 matrix from a way of the stage to one in the image, both in µm.

    Parameters
    ----------
    pixel_to_stage
        2 × 3 matrix from pixels to µm of the stage, as the file has it where it knows its stage.
    camera
        2 × 2 matrix from the camera (x right, y down) to the stage without its scale.
    pixel_size
        µm, x and y.

    Notes
    -----
    None where neither is told, or the one that is can not be turned around.
    """
    size_x, size_y = tuple(pixel_size)[:2]
    matrix = None
    told = tuple(pixel_to_stage or ())
    if len(told) == 6 and size_x > 0 and size_y > 0:
        matrix = (told[0] / size_x, told[1] / size_y, told[3] / size_x, told[4] / size_y)
    elif camera is not None:
        told = tuple(camera)
        matrix = (told[0], told[1], told[2], told[3]) if len(told) == 4 else None
    if matrix is None or not all(math.isfinite(number) for number in matrix):
        return None
    a, b, c, d = matrix
    determinant = a * d - b * c
    if not 0.5 < abs(determinant) < 2:
        return None
    return (d / determinant, -b / determinant, -c / determinant, a / determinant)
