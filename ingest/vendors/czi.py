"""Zeiss CZI: every tile of every scene is a field of the well that the scene lies in.

Scenes are never joined: all subblocks lie in one frame of pixels, in which two wells are tens of thousands of empty
pixels apart. The frame does say how the tiles of a scene lie to one another, in image direction; where a scene lies in
its well is told by the stage. Several scenes of a well are its fields, in the order of the scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ...errors import InvalidDataError, NotAnExportError
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..readers import Evidence, ReaderOptions
from ..sources.czi import CziFile
from ..sources.czi_layout import MAGIC, CziPlane
from .czi_xml import CziDocument, CziScene, CziTags, parse_metadata, parse_subblock_metadata
from .single_files import STAGE, WELL, FileContent, Site, SitePlane, read_files
from .single_names import Well, detect_files, find_files, well_in_name

_SUFFIX = ".czi"
_CONTRAST = {
    "fluorescence": "fluorescence", "brightfield": "brightfield", "phase": "phase", "dic": "dic",
    "darkfield": "darkfield",
}  # fmt: skip
_MODALITY = {
    "widefield": "widefield", "laserscanningconfocalmicroscopy": "laser_scanning_confocal",
    "spinningdiskconfocal": "spinning_disk_confocal", "spim": "light_sheet",
}  # fmt: skip
#: A file may lack some planes; one that promises far more than it has is damaged.
_MOST_PROMISED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """The planes of one field, with their numbers in the file and their tags."""

    planes: tuple[tuple[int, CziPlane, CziTags], ...]

    @property
    def scene(self) -> int:
        return self.planes[0][1].scene

    @property
    def middle(self) -> tuple[float, float]:
        first = self.planes[0][1]
        return first.x + first.width / 2, first.y + first.height / 2


class CziReader:
    """Reads ``.czi`` files that hold wells, or a folder of them."""

    name = "czi"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> CziReader:
        """Return a reader that knows the plate format and the size of a pixel."""
        return CziReader(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first bytes of the first file."""
        return detect_files(self.name, path, _SUFFIX, "Zeiss CZI", lambda head: head.startswith(MAGIC))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates of one file, or of the files of a folder."""
        files = find_files(path, _SUFFIX)
        if not files:
            raise NotAnExportError(f"{path} holds no .czi file", hint="Name a CZI file, or the folder that holds some.")
        return read_files(
            files,
            self._content,
            path=path,
            reader=self.name,
            vendor="Zeiss CZI",
            plate_format=self._options.plate_format,
            pixel_size_um=self._options.pixel_size_um,
        )

    def _content(self, path: Path) -> tuple[FileContent, ...]:
        with closing(CziFile(path)) as czi:
            document = parse_metadata(czi.metadata(), str(path))
            _check_planes(czi.planes, path)
            tags = [parse_subblock_metadata(czi.subblock_metadata(plane)) for plane in czi.planes]
            version = czi.header.version
            return (file_content(path, version, document, czi.planes, tags, self._options.pixel_size_um),)


def _check_planes(planes: Sequence[CziPlane], path: Path) -> None:
    if not planes:
        raise InvalidDataError(f"{path} holds no image")
    odd = next((plane for plane in planes if plane.dtype is None), None)
    if odd is not None:
        raise InvalidDataError(
            f"{path} holds {odd.pixel_type} pixels; planes are Gray8 or Gray16",
            hint="Export the channels of the camera, not a colour or computed image.",
        )
    foreign = next((plane.foreign for plane in planes if plane.foreign), None)
    if foreign is not None:
        raise InvalidDataError(
            f"{path} holds several phases, rotations, illuminations or views ({foreign}), which a plate does not have",
            hint="Process it in ZEN to one image first.",
        )


def file_content(
    path: Path,
    version: str,
    document: CziDocument,
    planes: Sequence[CziPlane],
    tags: Sequence[CziTags],
    pixel_size_um: float | None = None,
) -> FileContent:
    """Return what one CZI holds.

    Parameters
    ----------
    path
        The file, for its name.
    version
        Of the format.
    document
        Its metadata.
    planes, tags
        Its full-size subblocks, and what each says of itself.
    pixel_size_um
        The size of a pixel by the user's word, which stands above the file's.

    Raises
    ------
    NotAnExportError
        None of its scenes lies in a well, and its name is about none.
    InvalidDataError
        The file is damaged.
    """
    warnings = [scene.doubt for scene in document.scenes if scene.doubt]
    scenes = {scene.index: scene for scene in document.scenes}
    named = well_in_name(path)
    in_wells = any(scene.well for scene in document.scenes)
    if not in_wells and named is None:
        raise NotAnExportError(
            f"{path.name} is no plate: {_summary(document, planes)}, none of which says in which well it lies",
            hint="Name the file after its well, as in image_WellB02.czi.",
        )
    tiles = _tiles(planes, tags)
    wells: dict[int, Well] = {}
    for number in dict.fromkeys(tile.scene for tile in tiles):
        scene = scenes.get(number)
        well = scene.well if scene is not None else None
        if well is None and not in_wells and named is not None:
            well = named[0]
        if well is None:
            called = f" ({scene.name})" if scene is not None and scene.name else ""
            warnings.append(f"scene {number}{called} lies in no well and is left out")
        else:
            wells[number] = well
    tiles = [tile for tile in tiles if tile.scene in wells]
    numbers = _Numbers(planes, tags, document)
    size = (pixel_size_um or document.pixel_size_x_um or 0.0, pixel_size_um or document.pixel_size_y_um or 0.0)
    positions = _positions(tiles, scenes, size, path.name)
    absent = 0
    sites: list[Site] = []
    for tile, (x_um, y_um, origin) in zip(tiles, positions, strict=True):
        found, lacking = numbers.site_planes(tile, len(planes) + absent, path)
        absent += lacking
        first = tile.planes[0][1]
        if any((p.height, p.width) != (first.height, first.width) for _, p, _ in tile.planes):
            raise InvalidDataError(f"{path}: the planes of scene {tile.scene} differ in size within one field")
        sites.append(
            Site(
                well=wells[tile.scene], height=first.height, width=first.width,
                x_um=x_um, y_um=y_um, origin=origin, planes=found,
            )
        )  # fmt: skip
    if absent:
        warnings.append(f"{absent} planes are not in the file, amid others that are; they are recorded as damaged")
    warnings += numbers.warnings
    told = [tag.acquired_at for tag in tags] if numbers.has_times else [document.t_start]
    if any(moment is not None and moment.tzinfo is None for moment in (*told, document.acquired_at)):
        warnings.append("times of acquisition name no time zone; they are taken as UTC")
    rows, columns = document.plate_rows, document.plate_columns
    return FileContent(
        file=path.name,
        version=version,
        sites=tuple(sites),
        channels=_channels(document, numbers.channels),
        acquisition=_acquisition(document),
        plate_size=(rows, columns) if rows and columns and in_wells else None,
        plate_type=document.plate_type if in_wells else None,
        plate_name=None if in_wells or named is None else named[1],
        well_from_name=not in_wells,
        relative_heights=not numbers.has_heights,
        warnings=tuple(warnings),
    )


def _summary(document: CziDocument, planes: Sequence[CziPlane]) -> str:
    scenes = len({plane.scene for plane in planes})
    first = planes[0]
    return (
        f"{scenes} scene{'s' if scenes > 1 else ''}, {len(document.channels)} channels, {len(planes)} planes of "
        f"{first.height} × {first.width}"
    )


def _tiles(planes: Sequence[CziPlane], tags: Sequence[CziTags]) -> list[_Tile]:
    """Group planes to fields: by scene and tile, and by place where tiles have no number of their own."""
    by_number = len({plane[:5] for plane in planes}) == len(planes)
    groups: dict[tuple[int, ...], list[tuple[int, CziPlane, CziTags]]] = {}
    for number, (plane, tag) in enumerate(zip(planes, tags, strict=True)):
        key = (plane.scene, plane.tile) if by_number else (plane.scene, plane.tile, plane.y, plane.x)
        groups.setdefault(key, []).append((number, plane, tag))
    return [_Tile(planes=tuple(groups[key])) for key in sorted(groups)]


class _Numbers:
    """Indices from 0: a part of an experiment that was saved apart may start anywhere. And what goes with them.

    Planes say their heights and times themselves, or the experiment says the steps that were planned: what was measured
    and what was planned are never mixed, so where some planes say theirs, those that do not have none.
    """

    def __init__(self, planes: Sequence[CziPlane], tags: Sequence[CziTags], document: CziDocument) -> None:
        self._document = document
        lacking = {
            "height": sum(tag.z_um is None for tag in tags), "time": sum(tag.acquired_at is None for tag in tags),
        }  # fmt: skip
        self.has_heights, self.has_times = (number < len(tags) for number in lacking.values())
        self.warnings = [
            f"{number} planes do not say their {what}, and others do: they have none"
            for what, number in lacking.items() if 0 < number < len(tags)
        ]  # fmt: skip
        self.first_time = min(plane.timepoint for plane in planes)
        self.first_z = min(plane.z for plane in planes)
        self.channels = tuple(sorted({plane.channel for plane in planes}))
        self._channel = {channel: index for index, channel in enumerate(self.channels)}

    def site_planes(self, tile: _Tile, following: int, path: Path) -> tuple[tuple[SitePlane, ...], int]:
        """Return the planes of a field, and how many are absent amid them; those get numbers from ``following`` on."""
        found: dict[tuple[int, int, int], SitePlane] = {}
        deepest: dict[int, tuple[int, int]] = {}
        for number, plane, tag in tile.planes:
            place = (plane.timepoint - self.first_time, self._channel[plane.channel], plane.z - self.first_z)
            if place in found:
                raise InvalidDataError(
                    f"{path} holds a plane twice: scene {plane.scene}, tile {plane.tile}, time point "
                    f"{plane.timepoint}, channel {plane.channel}, z {plane.z}",
                    hint="Save it anew in ZEN.",
                )
            height = tag.z_um if self.has_heights else self._height(place[2])
            moment = tag.acquired_at if self.has_times else self._moment(place[0])
            found[place] = SitePlane(*place, page=number, z_um=height, acquired_at=moment)
            times, depth = deepest.get(place[1], (0, 0))
            deepest[place[1]] = (max(times, place[0] + 1), max(depth, place[2] + 1))
        if sum(times * depth for times, depth in deepest.values()) > _MOST_PROMISED * len(found) + 1000:
            raise InvalidDataError(f"{path}: scene {tile.scene} lacks nearly all of its planes; the file is damaged")
        absent = [
            (t, c, z) for c, (times, depth) in deepest.items() for t in range(times) for z in range(depth)
            if (t, c, z) not in found
        ]  # fmt: skip
        for k, place in enumerate(absent):
            height = None if self.has_heights else self._height(place[2])
            found[place] = SitePlane(*place, page=following + k, z_um=height, acquired_at=None)
        return tuple(found[place] for place in sorted(found)), len(absent)

    def _height(self, z: int) -> float | None:
        """Return how far a plane was planned above the first."""
        return z * self._document.z_step_um if self._document.z_step_um is not None else None

    def _moment(self, timepoint: int) -> datetime | None:
        """Return when a time point was planned."""
        start, offsets = self._document.t_start, self._document.offsets_s
        if start is None or timepoint >= len(offsets):
            return None
        return start + timedelta(seconds=offsets[timepoint])


def _positions(
    tiles: Sequence[_Tile], scenes: Mapping[int, CziScene], size: tuple[float, float], file: str
) -> list[tuple[float | None, float | None, str]]:
    """Return where each field lies, µm in image direction, and from where: as :class:`.single_files.Site` has it."""
    members: dict[int, list[_Tile]] = {}
    for tile in tiles:
        members.setdefault(tile.scene, []).append(tile)
    stage = {number: _stage(scenes.get(number), found) for number, found in members.items()}
    frame = {number: _frame(found) for number, found in members.items()}
    both = [(frame[n], stage[n]) for n in members]
    signs = [_sign([(f[axis], s[axis]) for f, s in both if s is not None]) for axis in (0, 1)]
    all_on_stage = all(place is not None for place in stage.values())
    positions: list[tuple[float | None, float | None, str]] = []
    for tile in tiles:
        if not all(size):
            positions.append((None, None, STAGE))
            continue
        scene, on_stage = scenes.get(tile.scene), stage[tile.scene]
        centre = scene.well_centre_um if scene is not None else None
        if on_stage is None or (centre is None and not all_on_stage):
            # The frame of pixels is one for all scenes of the file, and another in every file.
            x, y = (tile.middle[axis] * size[axis] for axis in (0, 1))
            positions.append((x, y, f"the frame of {file}"))
            continue
        from_x, from_y = centre or (0.0, 0.0)
        middle = frame[tile.scene]
        x = signs[0] * (on_stage[0] - from_x) + (tile.middle[0] - middle[0]) * size[0]
        y = signs[1] * (on_stage[1] - from_y) + (tile.middle[1] - middle[1]) * size[1]
        positions.append((x, y, WELL if centre else STAGE))
    return positions


def _stage(scene: CziScene | None, tiles: Sequence[_Tile]) -> tuple[float, float] | None:
    """Return the middle of a scene on the stage: as it was planned, else the middle of where its tiles were taken."""
    if scene is not None and scene.centre_um is not None:
        return scene.centre_um
    taken = [(tag.x_um, tag.y_um) for tile in tiles for _, _, tag in tile.planes[:1]]
    xs, ys = [x for x, _ in taken if x is not None], [y for _, y in taken if y is not None]
    if len(xs) != len(tiles) or len(ys) != len(tiles):
        return None
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _frame(tiles: Sequence[_Tile]) -> tuple[float, float]:
    """Return the middle of a scene in the frame of pixels."""
    xs, ys = zip(*(tile.middle for tile in tiles), strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _sign(pairs: Sequence[tuple[float, float]]) -> int:
    """Return 1 where the stage counts as the pixels do, as it mostly does, -1 where it counts the other way."""
    if len(pairs) < 2:
        return 1
    pixels, places = (sum(axis) / len(pairs) for axis in zip(*pairs, strict=True))
    return -1 if sum((pixel - pixels) * (place - places) for pixel, place in pairs) < 0 else 1


def _channels(document: CziDocument, used: Sequence[int]) -> tuple[ChannelInfo, ...]:
    """Return the channels that have planes; where only some were saved, the metadata tells those alone or all."""
    known = dict(enumerate(document.channels))
    if len(document.channels) == len(used):
        known = dict(zip(used, document.channels, strict=True))
    found = []
    for index, number in enumerate(used):
        facts = known.get(number)
        if facts is None:
            found.append(
                ChannelInfo(acquisition_id=1, channel_index=index, name=f"Channel {number}", vendor_id=str(number))
            )
            continue
        contrast = (facts.contrast or "").replace(" ", "").lower()
        found.append(
            ChannelInfo(
                acquisition_id=1, channel_index=index, name=facts.name, vendor_id=facts.vendor_id, dye=facts.dye,
                excitation_nm=facts.excitation_nm, excitation_source=facts.light, emission_nm=facts.emission_nm,
                emission_filter=facts.emission_filter, exposure_ms=facts.exposure_ms, excitation_power=facts.power,
                contrast_method=_CONTRAST.get(contrast, "other") if contrast else None,
                acquisition_mode=facts.mode, binning=facts.binning, color=facts.color,
                max_intensity=2**facts.bits - 1 if facts.bits else None,
            )
        )  # fmt: skip
    return tuple(found)


def _acquisition(document: CziDocument) -> AcquisitionInfo:
    modes = {_MODALITY.get((c.mode or "").lower(), "other") for c in document.channels if c.mode}
    empty = AcquisitionInfo(acquisition_id=1, height=1, width=1, pixel_size_x_um=0.0, pixel_size_y_um=0.0)
    return replace(
        empty,
        pixel_size_x_um=document.pixel_size_x_um or 0.0,
        pixel_size_y_um=document.pixel_size_y_um or 0.0,
        z_step_um=document.z_step_um,
        started_at=document.acquired_at,
        operator=document.user,
        instrument_manufacturer="Zeiss",
        instrument_model=document.microscope,
        software=document.software,
        modality=modes.pop() if len(modes) == 1 else "mixed" if modes else None,
        camera=document.camera,
        magnification=document.magnification,
        numerical_aperture=document.numerical_aperture,
    )
