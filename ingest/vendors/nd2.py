"""Nikon ND2: the wells are in the names, of the positions in a file or of the files themselves.

An ND2 knows positions of the stage, not wells. Positions called ``B02_0001`` or ``B2`` lie in a well; a file called
``…WellB02_…nd2``, as plate jobs write, is about one, with all of its positions. Numbered positions (``P1``, ``P2`` …)
are not wells.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from ...errors import InvalidDataError, NotAnExportError
from ...schemas.identifiers import format_well, well_or_none
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..readers import Evidence, ReaderOptions
from ..sources.nd2_layout import LEGACY_MAGIC, MAGIC
from .nd2_facts import Matrix, Nd2Channel, Nd2Facts, Nd2Point, read_facts
from .single_files import STAGE, FileContent, Site, SitePlane, read_files
from .single_names import Well, detect_files, find_files, well_in_name

_SUFFIX = ".nd2"
_POINT = re.compile(r"(?i:well[ _-]?)?([A-Za-z]{1,2}\d{1,2})(?:[ _.,:;#/(\[-].*)?")
_NUMBERED = re.compile(r"([A-Za-z]{1,2})0*(\d{1,2})")
#: What positions are numbered with.
_POSITION_LETTERS = {"P", "S"}
_CONTRAST = (
    ("phaseContrast", "phase"),
    ("diContrast", "dic"),
    ("brightfield", "brightfield"),
    ("fluorescence", "fluorescence"),
)
_MODALITY = (
    ("spinningDiskConfocal", "spinning_disk_confocal"), ("laserScanConfocal", "laser_scanning_confocal"),
    ("sweptFieldConfocalSlit", "confocal"), ("sweptFieldConfocalPinhole", "confocal"), ("camera", "widefield"),
)  # fmt: skip
_HINT = "Name the file after its well (run_WellB02_Seq0001.nd2), or the positions in NIS-Elements (B02_0001)."


class Nd2Reader:
    """Reads ``.nd2`` files whose names, or whose positions' names, say wells; one or a folder of them."""

    name = "nd2"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> Nd2Reader:
        """Return a reader that knows the plate format and the size of a pixel."""
        return Nd2Reader(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first bytes of the first file."""
        return detect_files(self.name, path, _SUFFIX, "Nikon ND2", lambda head: head.startswith((MAGIC, LEGACY_MAGIC)))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates of one file, or of the files of a folder."""
        files = find_files(path, _SUFFIX)
        if not files:
            raise NotAnExportError(
                f"{path} holds no .nd2 file", hint="Name an ND2 file, or the folder that holds some."
            )
        return read_files(
            files,
            lambda file: (file_content(file, read_facts(file)),),
            path=path,
            reader=self.name,
            vendor="Nikon ND2",
            plate_format=self._options.plate_format,
            pixel_size_um=self._options.pixel_size_um,
        )


def wells_of_points(points: Sequence[Nd2Point]) -> list[Well | None]:
    """Return the well that each position's name says; None for all where the names only number the positions."""
    wells: list[Well | None] = []
    for point in points:
        found = _POINT.fullmatch((point.name or "").strip())
        wells.append(well_or_none(found[1]) if found else None)
    numbers = [_NUMBERED.fullmatch((point.name or "").strip()) for point in points]
    counted = all(found and int(found[2]) == position for position, found in enumerate(numbers, start=1))
    # B1, B2, B3 are wells in a row; P1, P2, P3 are positions, whatever a 384-well plate calls its last row.
    if counted and {found[1].upper() for found in numbers if found} <= _POSITION_LETTERS:
        return [None] * len(points)
    return wells


def file_content(path: Path, facts: Nd2Facts) -> FileContent:
    """Return what one ND2 holds.

    Raises
    ------
    NotAnExportError
        Neither its positions nor its name say a well.
    InvalidDataError
        It has no frame.
    """
    turns = dict(facts.loops)
    warnings: list[str] = []
    if not facts.frames:
        raise InvalidDataError(f"{path} holds no image")
    if len(facts.points) != turns.get("P", 1):
        raise InvalidDataError(f"{path} has a loop over {turns.get('P', 1)} positions and tells {len(facts.points)}")
    named = well_in_name(path)
    wells = wells_of_points(facts.points)
    from_name = not any(wells)
    if from_name:
        if named is None:
            raise NotAnExportError(
                f"{path.name} is no plate: {_summary(facts)}, without a well in any name", hint=_HINT
            )
        wells = [named[0]] * len(wells)
    else:
        lost = [str(p.name) for p, well in zip(facts.points, wells, strict=True) if well is None]
        if lost:
            warnings.append(f"{len(lost)} position(s) lie in no well and are left out: {', '.join(lost[:3])}")
        if named is not None and {w for w in wells if w} != {named[0]}:
            warnings.append(f"the file is called {format_well(*named[0])}; the names of its positions are believed")
    planes = _planes(facts, path, warnings)
    sites = []
    for position, (point, well) in enumerate(zip(facts.points, wells, strict=True)):
        if well is None or not planes[position]:
            continue
        x_um, y_um = _place(point, facts.to_image)
        sites.append(
            Site(
                well=well, height=facts.shape.height, width=facts.shape.width, dtype=f"uint{facts.shape.bits}",
                x_um=x_um, y_um=y_um, origin=STAGE, planes=tuple(planes[position]),
            )
        )  # fmt: skip
    if not sites:
        raise InvalidDataError(f"{path} holds no image of a position that lies in a well")
    if facts.to_image is None and len(sites) > 1:
        warnings.append("the file does not say how its camera stands to the stage: positions of fields are left out")
    flags = {flag for channel in facts.channels for flag in channel.flags}
    return FileContent(
        file=path.name,
        version=facts.version,
        sites=tuple(sites),
        channels=tuple(_channel(index, channel) for index, channel in enumerate(facts.channels)),
        acquisition=AcquisitionInfo(
            acquisition_id=1, height=facts.shape.height, width=facts.shape.width,
            pixel_size_x_um=facts.pixel_size_um or 0.0, pixel_size_y_um=facts.pixel_size_um or 0.0,
            z_step_um=facts.z_step_um, started_at=facts.started_at, operator=facts.author,
            instrument_manufacturer="Nikon", software=facts.software, camera=facts.camera,
            modality=next((ours for theirs, ours in _MODALITY if theirs in flags), None),
            magnification=facts.magnification, numerical_aperture=facts.numerical_aperture,
        ),
        plate_name=named[1] if named is not None and from_name else None,
        well_from_name=from_name,
        relative_heights=not _has_heights(facts),
        warnings=tuple(warnings),
    )  # fmt: skip


def _summary(facts: Nd2Facts) -> str:
    turns = dict(facts.loops)
    named = ", ".join(str(p.name) for p in facts.points[:3] if p.name)
    return (
        f"{turns.get('P', 1)} positions{f' ({named} …)' if named else ''}, {turns.get('T', 1)} time points, "
        f"{turns.get('Z', 1)} z, {len(facts.channels)} channels of {facts.shape.height} × {facts.shape.width}"
    )


def _place(point: Nd2Point, to_image: Matrix | None) -> tuple[float | None, float | None]:
    """Return where a position lies, µm in image direction; None where that is not told."""
    if to_image is None or point.x_um is None or point.y_um is None:
        return None, None
    a, b, c, d = to_image
    return a * point.x_um + b * point.y_um, c * point.x_um + d * point.y_um


def _has_heights(facts: Nd2Facts) -> bool:
    """Tell whether heights are those of the stage; without any, only the planes of a stack lie above one another."""
    return any(point.z_um is not None for point in facts.points)


def _height(facts: Nd2Facts, position: int, z: int) -> float | None:
    """Return the height of a plane: of its position, and above that in a stack; None where either is not told."""
    is_stack = "Z" in dict(facts.loops)
    above = facts.heights_um[z] if z < len(facts.heights_um) else None
    if not _has_heights(facts):
        return above
    base = facts.points[position].z_um
    if base is None or (is_stack and above is None):
        return None
    return base + (above or 0.0)


def _planes(facts: Nd2Facts, path: Path, warnings: list[str]) -> list[list[SitePlane]]:
    """Return the planes of each position, up to the last frame that is there; absent ones amid them included."""
    axes, turns = [axis for axis, _ in facts.loops], [n for _, n in facts.loops]
    promised, last = math.prod(turns), max(facts.frames)
    if last >= promised:
        warnings.append(f"{last + 1 - promised} frames lie beyond the experiment's loops and are left out")
    elif last + 1 < promised:
        warnings.append(f"the experiment was planned with {promised} frames and stopped after {last + 1}")
    count = min(last + 1, promised)
    if count > 4 * len(facts.frames) + 1000:
        raise InvalidDataError(f"{path} lacks nearly all of its {count} frames; the file is damaged")
    absent = sum(frame not in facts.frames for frame in range(count))
    if absent:
        warnings.append(f"{absent} frames are not in the file, amid others that are; they are recorded as damaged")
    indices = {axis: np.zeros(count, int) for axis in "TPZ"}
    if axes:
        indices |= dict(zip(axes, np.unravel_index(np.arange(count), turns), strict=True))
    found: list[list[SitePlane]] = [[] for _ in facts.points]
    channels = facts.shape.channels
    for frame, (t, p, z) in enumerate(zip(*(indices[axis].tolist() for axis in "TPZ"), strict=True)):
        height = _height(facts, p, z)
        after = facts.times_ms[frame] if frame < len(facts.times_ms) else None
        moment = None
        if after is not None and facts.started_at is not None and 0 <= after < 1e12 and frame in facts.frames:
            moment = facts.started_at + timedelta(milliseconds=after)
        found[p] += [SitePlane(t, c, z, frame * channels + c, height, moment) for c in range(channels)]
    return found


def _channel(index: int, channel: Nd2Channel) -> ChannelInfo:
    return ChannelInfo(
        acquisition_id=1, channel_index=index, name=channel.name, vendor_id=str(index),
        excitation_nm=channel.excitation_nm, emission_nm=channel.emission_nm, exposure_ms=channel.exposure_ms,
        binning=channel.binning, color=channel.color,
        contrast_method=next((ours for theirs, ours in _CONTRAST if theirs in channel.flags), None),
        acquisition_mode=", ".join(channel.flags) or None,
    )  # fmt: skip
