"""Zeiss CZI: every tile of every scene is a field of the well that the scene lies in.

Scenes are never joined: all subblocks lie in one frame of pixels, in which two wells are tens of thousands of empty
pixels apart. The frame does say how the tiles of a scene lie to one another, in image direction; where a scene lies in
its well is told by the stage. Several scenes of a well are its fields, in the order of the scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ...errors import InvalidDataError, NotAnExportError
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..readers import Evidence, ReaderOptions
from ..sources.czi import CziFile
from ..sources.czi_layout import MAGIC, CziPlane
from .czi_fields import Numbers, alike, positions_of, tiles_of
from .czi_xml import CziDocument, CziTags, parse_metadata, parse_subblock_metadata
from .single_files import FileContent, Site, read_files
from .single_names import Well, detect_files, find_files, well_in_name

_SUFFIX = ".czi"
_HINT = "Name the file after its well, as in image_WellB02.czi."
_CONTRAST = {
    "fluorescence": "fluorescence", "brightfield": "brightfield", "phase": "phase", "dic": "dic",
    "darkfield": "darkfield",
}  # fmt: skip
_MODALITY = {
    "widefield": "widefield", "laserscanningconfocalmicroscopy": "laser_scanning_confocal",
    "spinningdiskconfocal": "spinning_disk_confocal", "spim": "light_sheet",
}  # fmt: skip


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
            return file_contents(path, version, document, czi.planes, tags, self._options.pixel_size_um)


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


def file_contents(
    path: Path,
    version: str,
    document: CziDocument,
    planes: Sequence[CziPlane],
    tags: Sequence[CziTags],
    pixel_size_um: float | None = None,
) -> tuple[FileContent, ...]:
    """Return what one CZI holds, one content for the channels that were imaged in one way.

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
    if len(scenes) == 1 and {plane.scene for plane in planes} == {0}:
        scenes = {0: document.scenes[0]}  # A scene that was saved apart may keep its number in the metadata alone.
    named = well_in_name(path)
    in_wells = any(scene.well for scene in document.scenes)
    if not in_wells and named is None:
        raise NotAnExportError(
            f"{path.name} is no plate: {_summary(document, planes)}, none of which says in which well it lies",
            hint=_HINT,
        )
    tiles = tiles_of(planes, tags)
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
    if not tiles:
        raise NotAnExportError(f"{path.name} is no plate: {'; '.join(w for w in warnings if w)}", hint=_HINT)
    size = (pixel_size_um or document.pixel_size_x_um or 0.0, pixel_size_um or document.pixel_size_y_um or 0.0)
    positions = positions_of(tiles, scenes, size, path.name)
    used = tuple(sorted({plane.channel for plane in planes}))
    kinds = alike(planes)
    absent = 0
    of_kind: list[tuple[Site, ...]] = []
    for own in kinds:
        numbers = Numbers(planes, tags, document, own)
        sites: list[Site] = []
        for tile, (x_um, y_um, origin) in zip(tiles, positions, strict=True):
            mine = [plane for _, plane, _ in tile.planes if plane.channel in own]
            if not mine:
                continue
            if len({(plane.height, plane.width) for plane in mine}) > 1:
                raise InvalidDataError(f"{path}: the planes of scene {tile.scene} differ in size within one field")
            found, lacking = numbers.site_planes(tile, len(planes) + absent, path)
            absent += lacking
            site = Site(
                well=wells[tile.scene], height=mine[0].height, width=mine[0].width, dtype=str(mine[0].dtype),
                x_um=x_um, y_um=y_um, origin=origin, planes=found,
            )  # fmt: skip
            sites.append(site)
        of_kind.append(tuple(sites))
    if absent:
        warnings.append(f"{absent} planes are not in the file, amid others that are; they are recorded as damaged")
    warnings += numbers.warnings
    told = [tag.acquired_at for tag in tags] if numbers.has_times else [document.t_start]
    if any(moment is not None and moment.tzinfo is None for moment in (*told, document.acquired_at)):
        warnings.append("times of acquisition name no time zone; they are taken as UTC")
    rows, columns = document.plate_rows, document.plate_columns
    first_content = FileContent(
        file=path.name,
        version=version,
        sites=of_kind[0],
        channels=_channels(document, used, kinds[0]),
        acquisition=_acquisition(document),
        plate_size=(rows, columns) if rows and columns and in_wells else None,
        plate_type=document.plate_type if in_wells else None,
        plate_name=None if in_wells or named is None else named[1],
        well_from_name=not in_wells,
        relative_heights=not numbers.has_heights,
        warnings=tuple(warnings),
    )
    others = [
        replace(first_content, sites=sites, channels=_channels(document, used, own), warnings=())
        for own, sites in zip(kinds[1:], of_kind[1:], strict=True)
    ]
    return (first_content, *others)


def _summary(document: CziDocument, planes: Sequence[CziPlane]) -> str:
    scenes = len({plane.scene for plane in planes})
    first = planes[0]
    return (
        f"{scenes} scene{'s' if scenes > 1 else ''}, {len(document.channels)} channels, {len(planes)} planes of "
        f"{first.height} × {first.width}"
    )


def _channels(document: CziDocument, used: Sequence[int], own: Sequence[int]) -> tuple[ChannelInfo, ...]:
    """Return some of the channels that have planes; where only some were saved, the metadata tells those or all."""
    known = dict(enumerate(document.channels))
    if len(document.channels) == len(used):
        known = dict(zip(used, document.channels, strict=True))
    found = []
    for index, number in enumerate(own):
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
