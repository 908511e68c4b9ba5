"""Leica LIF: the wells are in the names of the images, one tile scan is one plate.

``TileScan 1/A/1/R2``, ``TileScan 1/A1/R2``, ``TileScan 1/A/1`` and ``TileScan 1/A1`` lie in well A01; ``R2`` is the
second position in it, and the tiles of a mosaic are fields as well. Images over wavelengths, or without planes of x and
y, are left out one by one, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ...errors import InvalidDataError, NotAnExportError
from ...schemas.identifiers import well_or_none
from ...wording import listed
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..readers import Evidence, ReaderOptions
from ..sources.lif import HEAD, LifContent, xml_length
from ..sources.lif_document import TILE, LifChannel, LifImage, T, X, Y, Z, stored_order
from ..sources.xml_tree import number_in
from .single_files import STAGE, FileContent, Site, SitePlane, read_files
from .single_names import Well, detect_files, find_files, well_in_name

_SUFFIX = ".lif"
_ROW, _COLUMN, _WELL = re.compile(r"[A-Za-z]{1,2}"), re.compile(r"\d{1,2}"), re.compile(r"[A-Za-z]{1,2}\d{1,2}")
#: A position in a well, never a well of row R; and what else it may be called behind a well.
_POSITION = re.compile(r"R0*(\d{1,6})", re.IGNORECASE)
_IN_WELL = re.compile(r"(?:R|Region|Pos|Position|Field|FOV)[ _#-]*0*(\d{1,6})", re.IGNORECASE)
_COLORS = {
    "red": "FF0000", "green": "00FF00", "blue": "0000FF", "cyan": "00FFFF", "magenta": "FF00FF", "yellow": "FFFF00",
    "gray": "FFFFFF", "grey": "FFFFFF",
}  # fmt: skip
_CONTRAST = {"fluo": "fluorescence", "bf": "brightfield", "ph": "phase", "dic": "dic", "df": "darkfield"}
#: Windows counts tenths of a microsecond since 1601.
_WINDOWS_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_LIST_AT_MOST = 5


class LifReader:
    """Reads ``.lif`` files whose images are named after wells; one or a folder of them."""

    name = "lif"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> LifReader:
        """Return a reader that knows the plate format and the size of a pixel."""
        return LifReader(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first bytes of the first file."""
        return detect_files(self.name, path, _SUFFIX, "Leica LIF", _is_lif)

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates of one file, or of the files of a folder."""
        files = find_files(path, _SUFFIX)
        if not files:
            raise NotAnExportError(f"{path} holds no .lif file", hint="Name a LIF file, or the folder that holds some.")
        return read_files(
            files,
            _contents,
            path=path,
            reader=self.name,
            vendor="Leica LIF",
            plate_format=self._options.plate_format,
            pixel_size_um=self._options.pixel_size_um,
        )


def _is_lif(head: bytes) -> bool:
    try:
        xml_length(head[: HEAD.size], "")
    except NotAnExportError:
        return False
    return True


def _contents(path: Path) -> tuple[FileContent, ...]:
    with closing(LifContent(path)) as content:
        planar = [(start, image) for start, image, _ in content.planar]
        return file_contents(path, str(content.document.version), planar, content.flawed)


def well_of(path: Sequence[str]) -> tuple[int, Well, int | None] | None:
    """Return where in an image's way its well is told, the well, and the position in it (``R2``), None for no number.

    Only what follows the well may name a position; anything else behind it (``A/1_Merging``) is no image of the well.
    """
    for i, part in enumerate(path):
        after = i + 1
        text = part if _WELL.fullmatch(part) and not _POSITION.fullmatch(part) else None
        if text is None and after < len(path) and _ROW.fullmatch(part) and _COLUMN.fullmatch(path[after]):
            text, after = part + path[after], after + 1
        if text is None:
            continue
        well = well_or_none(text)
        if well is None:
            continue
        rest = path[after:]
        position = _IN_WELL.fullmatch(rest[0]) if len(rest) == 1 else None
        # A plate may be called as a well is (P1/A/1/R1): the well is the one that a position, or nothing, follows.
        if not rest or position is not None:
            return i, well, int(position[1]) if position else None
    return None


def file_contents(
    path: Path, version: str, planar: Sequence[tuple[int, LifImage]], flawed: Sequence[tuple[LifImage, str]]
) -> tuple[FileContent, ...]:
    """Return what one LIF holds, one content for each kind of image of each tile scan.

    Parameters
    ----------
    path
        The file, for its name.
    version
        Of the format.
    planar
        The images whose planes have x and y, each with the number of its first plane.
    flawed
        The others, with the reason.

    Raises
    ------
    NotAnExportError
        None of its images, nor the file, is named after a well.
    InvalidDataError
        Those that are cannot be read.
    """
    images = [*(image for _, image in planar), *(image for image, _ in flawed)]
    named = well_in_name(path)
    wells = {id(image): well_of(image.path) for image in images}
    from_name = not any(wells.values())
    reasons = [f"{image.name}: {why}" for image, why in flawed]
    if from_name and named is None:
        names = listed([image.name for image in images], _LIST_AT_MOST, between="; ")
        raise NotAnExportError(
            f"{path.name} is no plate: none of its {len(images)} images ({names}) is named after a well",
            hint="Name wells in the tile scan (TileScan 1/A/1/R1), or the file after its well (image_WellB02.lif).",
        )
    warnings = [f"an image is left out: {reason}" for reason in reasons]
    scans: dict[str, list[tuple[int, LifImage, Well, int]]] = {}
    for number, (start, image) in enumerate(planar):
        told = wells[id(image)]
        if from_name and named is not None:
            scans.setdefault("", []).append((start, image, named[0], number))
        elif told is None:
            warnings.append(f"an image is left out: {image.name}: its name tells no well")
        else:
            scan = "/".join(image.path[: told[0]])
            scans.setdefault(scan, []).append((start, image, told[1], number if told[2] is None else told[2]))
    if not scans:
        raise InvalidDataError(
            f"{path} holds no image that can be a field: {listed(reasons, _LIST_AT_MOST, between='; ')}",
            hint="Export planes of x and y from LAS X; scans over wavelengths are no fields.",
        )
    several = len(scans) > 1
    if several:
        names = listed(list(scans), _LIST_AT_MOST, between="; ")
        warnings.append(f"the file holds {len(scans)} tile scans; each is a plate of its own: {names}")
    contents: list[FileContent] = []
    for scan, members in scans.items():
        contents += _scan_contents(path, version, scan if several else None, members, from_name, named, warnings)
        warnings = []
    return tuple(contents)


def _scan_contents(
    path: Path,
    version: str,
    scan: str | None,
    members: Sequence[tuple[int, LifImage, Well, int]],
    from_name: bool,
    named: tuple[Well, str | None] | None,
    warnings: Sequence[str],
) -> list[FileContent]:
    """Return the content of one tile scan: one for the images that share channels and optics."""
    groups: dict[object, list[tuple[int, LifImage, Well, int]]] = {}
    for member in members:
        image = member[1]
        channels = _channels(image)
        sizes = [f"{image.step_um(axis) or 0:.4g}" for axis in (X, Y, Z)]
        key = (tuple((c.name, c.excitation_nm, c.emission_nm) for c in channels), *sizes)
        groups.setdefault(key, []).append(member)
    contents = []
    exposures = {tuple(c.exposure_ms for c in _channels(image)) for _, image, _, _ in members}
    if len(exposures) > len(groups):
        warnings = [*warnings, "the exposure of a channel differs from image to image; that of the first is recorded"]
    unplaced = sum(image.count(TILE) > 1 and len(image.tiles) != image.count(TILE) for _, image, _, _ in members)
    if unplaced:
        warnings = [*warnings, f"{unplaced} mosaics do not say where each of their tiles lies: these have no position"]
    named_plate = f"{path.stem}_{scan}" if scan else path.stem if not from_name else None
    for group in groups.values():
        first = min((member[1] for member in group), key=lambda image: min(image.stamps, default=2**63))
        sites = [
            site for start, image, well, _ in sorted(group, key=lambda member: (member[2], member[3]))
            for site in _sites(start, image, well)
        ]  # fmt: skip
        contents.append(
            FileContent(
                file=path.name,
                version=version,
                sites=tuple(sites),
                channels=_channels(first),
                acquisition=_acquisition(first),
                plate_name=named[1] if from_name and named is not None else named_plate,
                well_from_name=from_name,
                warnings=tuple(warnings),
            )
        )
        warnings = ()
    return contents


def _sites(start: int, image: LifImage, well: Well) -> list[Site]:
    """Return the fields of one image: one for each tile of a mosaic."""
    moments = _moments(image)
    n_tiles, n_times, n_channels, depth = image.count(TILE), image.count(T), len(image.channels), image.count(Z)
    sites = []
    for tile in range(n_tiles):
        x_um, y_um = _place(image, tile)
        planes = []
        for t in range(n_times):
            for c in range(n_channels):
                for z in range(depth):
                    page = start + ((tile * n_times + t) * n_channels + c) * depth + z
                    planes.append(SitePlane(t, c, z, page, image.height_um(z), moments.get((tile, t, c, z))))
        sites.append(
            Site(
                well=well, height=image.count(Y), width=image.count(X), dtype=f"uint{8 * image.item_bytes}",
                x_um=x_um, y_um=y_um, origin=STAGE, planes=tuple(planes),
            )
        )  # fmt: skip
    return sites


def _place(image: LifImage, tile: int) -> tuple[float | None, float | None]:
    """Return where a tile lies on the stage, µm, turned as the image is to it."""
    told: tuple[float | None, float | None]
    if len(image.tiles) == image.count(TILE):
        told, facts = image.tiles[tile], image.tile_facts
    elif image.count(TILE) == 1:
        told = number_in(image.setting.get("StagePosX"), most=10), number_in(image.setting.get("StagePosY"), most=10)
        facts = image.setting
    else:
        return None, None
    x, y = told
    if x is None or y is None:
        return None, None
    if facts.get("SwapXY") == "1":
        x, y = y, x
    return (-x if facts.get("FlipX") == "1" else x) * 1e6, (-y if facts.get("FlipY") == "1" else y) * 1e6


def _moments(image: LifImage) -> dict[tuple[int, int, int, int], datetime]:
    """Return when each plane was taken, where there is one time stamp for each, or for each set of channels."""
    counts = {TILE: image.count(TILE), T: image.count(T), 0: len(image.channels), Z: image.count(Z)}
    order = [axis for axis in stored_order(image) if counts[axis] > 1]
    without = [axis for axis in order if axis != 0]
    for axes in (order, without):
        sides = [counts[axis] for axis in axes]
        if int(np.prod(sides, dtype=np.int64)) != len(image.stamps):
            continue
        found: dict[tuple[int, int, int, int], datetime] = {}
        for number, stamp in enumerate(image.stamps):
            at = dict(zip(axes, np.unravel_index(number, sides), strict=True)) if axes else {}
            moment = file_time(stamp)
            tile, t, z = (int(at.get(axis, 0)) for axis in (TILE, T, Z))
            for c in [int(at[0])] if 0 in at else range(counts[0]):
                if moment is not None:
                    found[tile, t, c, z] = moment
        return found
    return {}


def file_time(stamp: int) -> datetime | None:
    """Return the moment of a Windows file time, None for one that no microscope saw."""
    try:
        moment = _WINDOWS_EPOCH + timedelta(microseconds=stamp // 10)
    except OverflowError:
        return None
    return moment if 1990 <= moment.year <= 2200 else None


def _channels(image: LifImage) -> tuple[ChannelInfo, ...]:
    return tuple(_channel(index, channel) for index, channel in enumerate(image.channels))


def _channel(index: int, channel: LifChannel) -> ChannelInfo:
    info, properties = channel.info, channel.properties
    dye = properties.get("DyeName") or info.get("UserDefName") or None
    contrast = (info.get("ContrastingMethodName") or "").lower().split("-")[-1]
    exposure = info.get("ExposureTime", "")
    seconds = number_in(exposure.removesuffix("ms").strip(), most=1e6)
    return ChannelInfo(
        acquisition_id=1,
        channel_index=index,
        name=dye or info.get("FluoCubeName") or channel.lut or f"Channel {index + 1}",
        vendor_id=str(index),
        dye=dye,
        excitation_nm=number_in(info.get("ExcitationWavelength"), most=1e5) or None,
        emission_nm=number_in(info.get("EmissionWavelength"), most=1e5) or None,
        emission_filter=info.get("FluoCubeName") or None,
        exposure_ms=round(seconds * (1.0 if exposure.endswith("ms") else 1e3), 6) if seconds else None,
        contrast_method=_CONTRAST.get(contrast, "other") if contrast else None,
        color=_COLORS.get(channel.lut.lower()),
        max_intensity=2**channel.bits - 1,
    )


def _acquisition(image: LifImage) -> AcquisitionInfo:
    setting = image.setting
    t = image.axis(T)
    moments = [moment for moment in map(file_time, image.stamps) if moment is not None]
    interval = abs(t.step) if t is not None and t.step is not None and t.unit == "s" else None
    source = (image.source or "").lower()
    return AcquisitionInfo(
        acquisition_id=1,
        height=image.count(Y),
        width=image.count(X),
        pixel_size_x_um=image.step_um(X) or 0.0,
        pixel_size_y_um=image.step_um(Y) or 0.0,
        z_step_um=image.step_um(Z),
        time_interval_s=interval,
        started_at=min(moments, default=None),
        instrument_manufacturer="Leica",
        instrument_model=image.system or setting.get("MicroscopeModel"),
        software=image.software,
        modality={"confocal": "laser_scanning_confocal", "camera": "widefield"}.get(source),
        camera=setting.get("CameraName"),
        magnification=number_in(setting.get("Magnification"), most=1000) or None,
        numerical_aperture=number_in(setting.get("NumericalAperture"), most=2) or None,
    )
