"""Formats whose files hold whole images with their metadata (CZI, ND2, LIF): from files to plates.

A reader says what one file holds (:class:`FileContent`); this module decides which files are one plate, numbers fields
and acquisitions, and centres positions. Files that hold one well each are the plate of their folder; a file that holds
several wells is a plate by itself. Images of another size, other channels, or with another depth (a stack beside single
planes) are acquisitions of their own, never padded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ...errors import NotAnExportError, PixelSizeError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS, format_well, slug
from ...wording import listed
from ..channels import guess_roles
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..planes import BuiltPlanes, ExportFiles, PlaneTables
from .pixel_size import overruled
from .single_names import Well

WELL, STAGE = "well", "stage"
_LIST_AT_MOST = 5


class SitePlane(NamedTuple):
    """One plane of a field: its place in the experiment and in the file (``page``)."""

    timepoint: int
    channel: int
    z: int
    page: int
    z_um: float | None
    acquired_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One field. ``x_um`` and ``y_um`` are in image direction, from ``origin``.

    That is :data:`WELL`, the middle of the field's well; :data:`STAGE`, the same point for all files; or any other text
    for a point that only those have in common which say the same.
    """

    well: Well
    height: int
    width: int
    dtype: str
    x_um: float | None
    y_um: float | None
    origin: str
    planes: tuple[SitePlane, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """What one file holds. ``acquisition`` has the facts that its images share; sizes come from the sites.

    ``plate_name`` is what the file says or its name tells of the plate; ``well_from_name`` is set where the name is all
    that tells the well, ``relative_heights`` where heights of planes count from a plane of their own stack.
    """

    file: str
    version: str
    sites: tuple[Site, ...]
    channels: tuple[ChannelInfo, ...]
    acquisition: AcquisitionInfo
    plate_size: tuple[int, int] | None = None
    plate_type: str | None = None
    plate_name: str | None = None
    well_from_name: bool = False
    relative_heights: bool = False
    warnings: tuple[str, ...] = ()


def read_files(
    files: Sequence[Path],
    read: Callable[[Path], Sequence[FileContent]],
    *,
    path: Path,
    reader: str,
    vendor: str,
    plate_format: tuple[int, int] | None,
    pixel_size_um: float | None,
) -> tuple[PlateExport, ...]:
    """Return the plates of files that are all of one format.

    Parameters
    ----------
    files
        At least one.
    read
        Says what one file holds, one content for each plate in it; NotAnExportError where it holds no well.
    path
        What the user named.
    reader, vendor
        As :class:`.export.PlateExport` has them.
    plate_format, pixel_size_um
        What the user says.

    Raises
    ------
    NotAnExportError
        No file holds a well.
    InvalidDataError
        A file contradicts itself, or says no pixel size.
    """
    root = Path(os.path.abspath(files[0].parent))  # noqa: PTH100  # links stay as the user named them
    contents: list[FileContent] = []
    without: list[NotAnExportError] = []
    for file in files:
        try:
            contents += read(file)
        except NotAnExportError as error:
            without.append(error)
    if not contents:
        told = listed([error.message for error in without], _LIST_AT_MOST, between="; ")
        raise NotAnExportError(f"{path} holds no plate: {told}", hint=without[0].hint)
    left_out = tuple(f"left out: {error.message}" for error in without)
    only = ExportFiles.only(root, [file.name for file in files])
    left_out += _wells_told_twice(contents)
    exports: list[PlateExport] = []
    for name, group in _plates(contents, root):
        if plate_format is not None:
            group = [replace(content, plate_size=plate_format) for content in group]
        exports.append(_Plate(name, group, only, pixel_size_um).export(reader, vendor, left_out))
        left_out = ()
    return tuple(exports)


def _wells_told_twice(contents: Sequence[FileContent]) -> tuple[str, ...]:
    """Return what to say of wells that several files are about: nothing tells a later visit from another field."""
    files: dict[tuple[str | None, Well], set[str]] = {}
    for content in contents:
        if content.well_from_name:
            for site in content.sites:
                files.setdefault((content.plate_name, site.well), set()).add(content.file)
    several = sorted(place[1] for place, names in files.items() if len(names) > 1)
    if not several:
        return ()
    return (f"several files are about {_some_wells(several)}; the images of each stand by themselves",)


def _some_wells(wells: Sequence[Well]) -> str:
    shown = ", ".join(format_well(*well) for well in wells[:_LIST_AT_MOST])
    return f"{len(wells)} wells ({shown}{' …' if len(wells) > _LIST_AT_MOST else ''})"


def _plates(contents: Sequence[FileContent], root: Path) -> list[tuple[str, list[FileContent]]]:
    """Group files to plates, and name them."""
    wells: dict[tuple[str | None, str], set[Well]] = {}
    for content in contents:
        wells.setdefault((content.plate_name, content.file), set()).update(site.well for site in content.sites)
    groups: dict[tuple[str | None, str | None], list[FileContent]] = {}
    for content in contents:
        several = len(wells[content.plate_name, content.file]) > 1
        groups.setdefault((content.plate_name, content.file if several else None), []).append(content)
    named = []
    for (plate_name, whole_file), group in groups.items():
        one_file = len({content.file for content in group}) == 1
        alone = whole_file is not None or (one_file and not group[0].well_from_name)
        named.append((plate_name or (Path(group[0].file).stem if alone else root.name), group))
    return named


class _Plate:
    """One plate in the making."""

    def __init__(
        self, name: str, contents: Sequence[FileContent], files: ExportFiles, pixel_size_um: float | None
    ) -> None:
        self.name = name
        self.contents = contents
        self.files = files
        self.pixel_size_um = pixel_size_um
        self.warnings: list[str] = [
            warning if len({one.file for one in contents}) == 1 else f"{content.file}: {warning}"
            for content in contents
            for warning in content.warnings
        ]
        self.tables = PlaneTables(name=name, files=files)
        self.acquisitions: dict[tuple[object, ...], AcquisitionInfo] = {}
        self.channels: list[ChannelInfo] = []

    def export(self, reader: str, vendor: str, left_out: Iterable[str]) -> PlateExport:
        middles = self._middles()
        absolute = self._absolute_heights()
        numbers: dict[tuple[int, Well], int] = {}
        for content in self.contents:
            for site in content.sites:
                acquisition = self._acquisition(content, site)
                place = (acquisition, site.well)
                field_id = numbers[place] = numbers.get(place, 0) + 1
                x_um, y_um = _position(site, middles)
                mixed = content.relative_heights and acquisition in absolute
                for plane in site.planes:
                    self.tables.add(
                        row=site.well[0], column=site.well[1], field_id=field_id, acquisition_id=acquisition,
                        channel_index=plane.channel, timepoint=plane.timepoint, z=plane.z,
                        file=content.file, page=plane.page,
                        x_um=x_um, y_um=y_um, z_um=None if mixed else plane.z_um, acquired_at=plane.acquired_at,
                    )  # fmt: skip
        if len(self.acquisitions) > 1:
            self.warnings.append(
                f"images differ in size, type, channels or depth; they are {len(self.acquisitions)} acquisitions"
            )
        built = self.tables.build(self._plate_size(), self.warnings)
        channels, about_roles = self._roles()
        first = self.contents[0]
        return PlateExport(
            reader=reader,
            vendor=vendor,
            format_version=first.version,
            root=str(self.files.root),
            plate_id=slug(self.name),
            barcode=None,
            name=self.name,
            plate_type=first.plate_type,
            n_rows=built.n_rows,
            n_columns=built.n_columns,
            acquisitions=tuple(self._finished(a, built) for a in self.acquisitions.values()),
            channels=channels,
            planes=built.planes,
            fields=built.fields,
            warnings=(*dict.fromkeys(self.warnings), *about_roles, *left_out),
        )

    def _acquisition(self, content: FileContent, site: Site) -> int:
        """Return the acquisition of a field, made at the first field of its kind."""
        depth = 1 + max((plane.z for plane in site.planes), default=0)
        used = {plane.channel for plane in site.planes}
        mode = "stack" if depth > 1 else "plane"
        told = content.acquisition
        sizes = (told.pixel_size_x_um, told.pixel_size_y_um)
        if self.pixel_size_um is not None:
            where = content.file if len({one.file for one in self.contents}) == 1 else "the files"
            doubt = overruled(self.pixel_size_um, sizes, where)
            if doubt is not None and doubt not in self.warnings:
                self.warnings.append(doubt)
            sizes = (self.pixel_size_um, self.pixel_size_um)
        signature = tuple((c.name, c.excitation_nm, c.emission_nm) for c in content.channels)
        # Sizes of one optics differ by rounding from file to file.
        key = (site.height, site.width, site.dtype, *(f"{size or 0:.4g}" for size in sizes), mode, signature)
        if key in self.acquisitions:
            known = self.acquisitions[key]
            earliest = _earliest(known.started_at, told.started_at)
            if earliest != known.started_at:
                self.acquisitions[key] = replace(known, started_at=earliest)
            return known.acquisition_id
        if not used or not sizes[0] or not sizes[1]:
            raise PixelSizeError(
                f"{self.files.root / content.file} does not say how large a pixel is at the sample",
                hint="Say it with --pixel-size UM.",
            )
        number = len(self.acquisitions) + 1
        self.acquisitions[key] = replace(
            told, acquisition_id=number, height=site.height, width=site.width, z_mode=mode,
            pixel_size_x_um=round(sizes[0], 9), pixel_size_y_um=round(sizes[1], 9),
            started_at=_utc(told.started_at),
        )  # fmt: skip
        self.channels += [replace(channel, acquisition_id=number) for channel in content.channels]
        return number

    def _absolute_heights(self) -> set[int]:
        """Return the acquisitions in which some files say heights of the stage; relative ones are none beside these."""
        kinds: dict[int, set[bool]] = {}
        for content in self.contents:
            for site in content.sites:
                kind = kinds.setdefault(self._acquisition(content, site), set())
                if any(plane.z_um is not None for plane in site.planes):
                    kind.add(content.relative_heights)
        if any(len(kind) > 1 for kind in kinds.values()):
            self.warnings.append(
                "some files say heights of the stage, others only how far planes are apart: these have no heights"
            )
        return {acquisition for acquisition, kind in kinds.items() if False in kind}

    def _plate_size(self) -> tuple[int, int] | None:
        sizes = [content.plate_size for content in self.contents if content.plate_size is not None]
        if not sizes:
            return None
        if len(set(sizes)) > 1:
            self.warnings.append("the files tell plates of different sizes; the largest is recorded")
        return min(max(s[0] for s in sizes), MAX_ROWS), min(max(s[1] for s in sizes), MAX_COLUMNS)

    def _middles(self) -> dict[Well, tuple[float, float]]:
        """Return the middle of the fields of each well whose own middle is not known; a single field has none."""
        told: dict[Well, dict[str, list[tuple[float, float]]]] = {}
        for content in self.contents:
            for site in content.sites:
                if site.x_um is not None and site.y_um is not None:
                    told.setdefault(site.well, {}).setdefault(site.origin, []).append((site.x_um, site.y_um))
        mixed = sorted(well for well, origins in told.items() if len(origins) > 1)
        if mixed:
            self.warnings.append(
                f"in {_some_wells(mixed)} positions of images count from different points: those that do not from the "
                "middle of the well are left out"
            )
        places = {
            w: found for w, origins in told.items() if len(origins) == 1 for o, found in origins.items() if o != WELL
        }
        several = {well: found for well, found in places.items() if len(set(found)) > 1}
        if several:
            self.warnings.append(
                "the files do not say where the middle of a well is; positions are from the middle of its fields"
            )
        middles = {}
        for well, found in several.items():
            xs, ys = zip(*found, strict=True)
            middles[well] = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
        return middles

    def _roles(self) -> tuple[tuple[ChannelInfo, ...], tuple[str, ...]]:
        channels: list[ChannelInfo] = []
        warnings: list[str] = []
        for acquisition in self.acquisitions.values():
            own = [c for c in self.channels if c.acquisition_id == acquisition.acquisition_id]
            found, about = guess_roles(own)
            channels += found
            warnings += about
        return tuple(channels), tuple(dict.fromkeys(warnings))

    def _finished(self, acquisition: AcquisitionInfo, built: BuiltPlanes) -> AcquisitionInfo:
        number = acquisition.acquisition_id
        start, end = built.span(number)
        interval = built.time_interval_s(number)
        step = built.z_step_um(number, self.warnings) if acquisition.z_mode == "stack" else None
        return replace(
            acquisition,
            started_at=_earliest(acquisition.started_at, start),
            ended_at=_utc(end),
            time_interval_s=acquisition.time_interval_s if interval is None else interval,
            z_step_um=(acquisition.z_step_um if step is None else step) if acquisition.z_mode == "stack" else None,
        )


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((found for moment in moments if (found := _utc(moment)) is not None), default=None)


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _position(site: Site, middles: dict[Well, tuple[float, float]]) -> tuple[float | None, float | None]:
    if site.x_um is None or site.y_um is None:
        return None, None
    if site.origin == WELL:
        return site.x_um, site.y_um
    middle = middles.get(site.well)
    return (site.x_um - middle[0], site.y_um - middle[1]) if middle is not None else (None, None)
