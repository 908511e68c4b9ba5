"""From images placed in wells to the tables of a plate: what the ScanR and the OME-TIFF reader share.

Images of one run over a plate that differ in size, pixel size, or in being a stack or a single plane become
acquisitions of their own: planes of one acquisition are arrays of one kind. Channels are one by their names (by their
number where they have none), since wells may have been imaged in fewer of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...errors import InvalidDataError, PixelSizeError
from ...schemas.identifiers import format_well
from ..channels import guess_roles
from ..export import AcquisitionInfo, ChannelInfo
from ..moments import moment
from ..planes import BuiltPlanes, ExportFiles, PlaneTables, safe_path
from ..sources import PIXEL_TYPES
from .ome_channels import AcquisitionChannels, Run, acquisition_of
from .ome_model import OmeDocument, OmeImage, OmeTiffData
from .ome_positions import Place, Point, in_wells
from .ome_values import DAMAGED
from .pixel_size import overruled

_LIST_AT_MOST = 3
_LARGEST_PLANE = 2**28
_MOST_PLANES = 20_000_000
_PIXEL_SIZES_UM = (1e-3, 1e3)


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeSource:
    """A document and where it lies: ``path`` is relative to the export, ``name`` is for messages."""

    document: OmeDocument
    name: str
    path: str
    is_tiff: bool = False

    @property
    def folder(self) -> str:
        """The folder that file names of the document are relative to; empty, or with a slash at its end."""
        above, slash, _ = self.path.rpartition("/")
        return above + slash

    @property
    def file(self) -> str | None:
        """The TIFF that the document is inside."""
        return self.path if self.is_tiff else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedImage:
    """An image that is a field of a well; row and column from 1. ``run`` numbers the plate acquisition, from 0."""

    row: int
    column: int
    field_id: int
    image: OmeImage
    source: OmeSource
    run: int = 0
    x_um: float | None = None
    y_um: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a reader knows of its writer: see :func:`.ome_positions.in_wells` and :func:`pages_of`.

    ``per_well`` says that positions of the stage are relative to the well, as those of well samples are.
    """

    y_up: bool | None = None
    per_well: bool = False
    one_plane_files: bool = False
    pixel_size_um: float | None = None
    plate_size: tuple[int | None, int | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmePlateTables:
    """All of a plate but its names."""

    acquisitions: tuple[AcquisitionInfo, ...]
    channels: tuple[ChannelInfo, ...]
    built: BuiltPlanes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    c: int
    z: int
    t: int
    file: str
    page: int


_Kind = tuple[int, bool, int, int, float, float]


def build_plate(
    placed: Sequence[PlacedImage],
    runs: Sequence[Run],
    files: ExportFiles,
    name: str,
    rules: Rules,
    warnings: list[str],
) -> OmePlateTables:
    """Return the tables, acquisitions and channels of one plate.

    Raises
    ------
    InvalidDataError
        Pixels of a type that is not read, colour images, no pixel size, or two planes of one page.
    SourceFileError
        A file name leaves the export.
    """
    kinds: dict[_Kind, list[PlacedImage]] = {}
    for one in placed:
        kinds.setdefault(_kind(one, name, rules), []).append(one)
    kinds = dict(sorted(kinds.items(), key=lambda item: item[0][0]))
    of_run = Counter(kind[0] for kind in kinds)
    numbered = list(enumerate(kinds.items(), start=1))
    positions = _positions(numbered, rules, warnings)
    tables = PlaneTables(name, files)
    channels: list[ChannelInfo] = []
    pages: dict[tuple[str, int], _Page] = {}
    uncovered = 0
    for number, (_, images) in numbered:
        gathered = AcquisitionChannels(number)
        # Heights of the stage, or how far planes are apart: never both in one acquisition.
        has_heights = any(plane.z_um is not None for one in images for plane in one.image.planes.values())
        for one in images:
            image, before = one.image, len(tables)
            indices = gathered.indices(image, one.source.document)
            for page in pages_of(image, one.source, rules):
                if pages.setdefault((page.file, page.page), page) is not page:
                    raise _shared(page, one, name)
                point = positions.get(_place(number, one))
                _tell(tables, one, page, number, indices[page.c], point, has_heights=has_heights)
            uncovered += max(image.size_c * image.size_z * image.size_t - len(tables) + before, 0)
            if len(tables) > _MOST_PLANES:
                raise InvalidDataError(f"{name} describes more than {_MOST_PLANES} planes", hint=DAMAGED)
        found, about = guess_roles(gathered.infos)
        channels += found
        warnings += [warning for warning in about if warning not in warnings]
    if any(not moment(one.image.acquired_at)[1] for one in placed):
        warnings.append("times of acquisition name no time zone; they are taken as UTC")
    warnings += _overruled(placed, rules.pixel_size_um)
    if uncovered:
        warnings.append(f"{uncovered} planes within the sizes of the images are named by no file: they are not there")
    built = tables.build(rules.plate_size, warnings)
    acquisitions = [
        acquisition_of(
            number,
            [(one.image, one.source.document) for one in images],
            runs[kind[0]] if kind[0] < len(runs) else Run(),
            built,
            pixel_size_um=kind[-2:],
            z_mode=("stack" if kind[1] else "plane") if of_run[kind[0]] > 1 else None,
            warnings=warnings,
        )
        for number, (kind, images) in numbered
    ]
    return OmePlateTables(acquisitions=tuple(acquisitions), channels=tuple(channels), built=built)


def _overruled(placed: Sequence[PlacedImage], given_um: float | None) -> list[str]:
    if given_um is None:
        return []
    sizes = Counter((one.image.pixel_size_x_um, one.image.pixel_size_y_um) for one in placed)
    doubts = (overruled(given_um, size, f"{count} images") for size, count in sizes.most_common(_LIST_AT_MOST))
    return [doubt for doubt in doubts if doubt is not None]


def _kind(one: PlacedImage, name: str, rules: Rules) -> _Kind:
    """Return what planes of one acquisition have in common; refuse images that cannot be read."""
    image = one.image
    where = f"{name}: image {image.id or image.name} of well {format_well(one.row, one.column)}"
    if image.type not in PIXEL_TYPES:
        raise InvalidDataError(
            f"{where} has {image.type or 'unknown'} pixels; planes are {' or '.join(PIXEL_TYPES)}",
            hint="Export the camera's own counts, as unsigned 8- or 16-bit images.",
        )
    if any(channel.samples > 1 for channel in image.channels):
        raise InvalidDataError(f"{where} is a colour image", hint="Export each channel as grey levels.")
    if image.size_x * image.size_y > _LARGEST_PLANE:
        raise InvalidDataError(f"{where} has {image.size_x} × {image.size_y} pixels, no camera's", hint=DAMAGED)
    x = rules.pixel_size_um or image.pixel_size_x_um
    y = rules.pixel_size_um or image.pixel_size_y_um or x
    x = x or y
    if x is None or y is None:
        raise PixelSizeError(f"{where} says no pixel size", hint="Give it with --pixel-size UM.")
    least, most = _PIXEL_SIZES_UM
    if not (least <= x <= most and least <= y <= most):
        raise PixelSizeError(
            f"{where} has pixels of {x:g} × {y:g} µm, no microscope's", hint="Give the size with --pixel-size UM."
        )
    return one.run, image.size_z > 1, image.size_y, image.size_x, round(x, 6), round(y, 6)


def pages_of(image: OmeImage, source: OmeSource, rules: Rules) -> Iterator[_Page]:
    """Give the planes of an image and the pages that hold them, as its ``TiffData`` say.

    Defaults are the schema's: an IFD without a count is one plane; neither means all planes of the image, from the
    first page on. Where there are several, or where the writer puts one plane in a file, it means one plane.
    """
    sizes = {"C": image.size_c, "Z": image.size_z, "T": image.size_t}
    axes = image.order[2:]
    strides = {axes[0]: 1, axes[1]: sizes[axes[0]], axes[2]: sizes[axes[0]] * sizes[axes[1]]}
    total = sizes["C"] * sizes["Z"] * sizes["T"]
    alone = len(image.tiff_data) == 1 and not rules.one_plane_files
    if image.is_inline and not image.tiff_data:
        # Promised, and in no file that a plane could be read from.
        for number in range(total):
            place = {axis: number // strides[axis] % sizes[axis] for axis in axes}
            yield _Page(c=place["C"], z=place["Z"], t=place["T"], file=_inline(image, source), page=number)
        return
    for data in image.tiff_data:
        first = {"C": data.c, "Z": data.z, "T": data.t}
        if any(first[axis] >= sizes[axis] for axis in axes):
            raise InvalidDataError(
                f"{source.name}: <TiffData> of image {image.id} starts at C {data.c}, Z {data.z}, T {data.t}; the "
                f"image has {sizes['C']} × {sizes['Z']} × {sizes['T']}",
                hint=DAMAGED,
            )
        start = sum(first[axis] * strides[axis] for axis in axes)
        usual = 1 if data.ifd is not None or not alone else total - start
        file = file_of(data, image, source)
        for step in range(min(usual if data.count is None else data.count, total - start)):
            place = {axis: (start + step) // strides[axis] % sizes[axis] for axis in axes}
            yield _Page(c=place["C"], z=place["Z"], t=place["T"], file=file, page=(data.ifd or 0) + step)


def _inline(image: OmeImage, source: OmeSource) -> str:
    return f"{source.path}#{image.id}"


def file_of(data: OmeTiffData, image: OmeImage, source: OmeSource) -> str:
    """Return the file of a ``TiffData``, relative to the export.

    Raises
    ------
    SourceFileError
        It lies outside the export.
    InvalidDataError
        A document that is no TIFF names none.
    """
    own = source.file
    if own is not None and (data.file is None or (data.uuid is not None and data.uuid == source.document.uuid)):
        # The file's own UUID is it, whatever it is called now.
        return own
    if data.file is None:
        raise InvalidDataError(
            f"{source.name}: <TiffData> of image {image.id} names no file",
            hint="Keep the metadata with the TIFF files that they describe, as the microscope wrote them.",
        )
    return source.folder + safe_path(data.file, f"{source.name}, image {image.id},")


def _shared(page: _Page, one: PlacedImage, name: str) -> InvalidDataError:
    return InvalidDataError(
        f"{name}: page {page.page} of {page.file} holds two planes, the second of them well "
        f"{format_well(one.row, one.column)}, field {one.field_id}, C {page.c}, Z {page.z}, T {page.t}",
        hint="The metadata do not belong to these files, or are damaged.",
    )


def _place(acquisition_id: int, one: PlacedImage) -> Place:
    return acquisition_id, one.row, one.column, one.field_id


def _tell(
    tables: PlaneTables,
    one: PlacedImage,
    page: _Page,
    acquisition_id: int,
    channel_index: int,
    point: Point | None,
    *,
    has_heights: bool,
) -> None:
    image = one.image
    said = image.planes.get((page.c, page.z, page.t))
    z_um = said.z_um if said else None
    if not has_heights and image.size_z > 1 and image.pixel_size_z_um:
        z_um = page.z * image.pixel_size_z_um
    tables.add(
        row=one.row,
        column=one.column,
        field_id=one.field_id,
        channel_index=channel_index,
        file=page.file,
        acquisition_id=acquisition_id,
        timepoint=page.t,
        z=page.z,
        page=page.page,
        x_um=point[0] if point else None,
        y_um=point[1] if point else None,
        z_um=z_um,
        acquired_at=_acquired_at(image, said.delta_s if said else None),
    )


def _acquired_at(image: OmeImage, seconds: float | None) -> datetime | None:
    """Return when a plane was taken: so long after the image began; that of an only plane is the image's own time."""
    began, _ = moment(image.acquired_at)
    if seconds is None and image.size_c * image.size_z * image.size_t == 1:
        seconds = 0.0
    try:
        return None if began is None or seconds is None else began + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _positions(
    numbered: Iterable[tuple[int, tuple[_Kind, list[PlacedImage]]]], rules: Rules, warnings: list[str]
) -> Mapping[Place, Point]:
    """Return where each field lies in its well: by the well samples if all have a place, else by the stage."""
    by_sample: dict[Place, Point] = {}
    by_stage: dict[Place, Point] = {}
    count = 0
    for number, (_, images) in numbered:
        for one in images:
            count += 1
            place = _place(number, one)
            if one.x_um is not None and one.y_um is not None:
                by_sample[place] = one.x_um, one.y_um
            stage = _stage(one.image)
            if stage is not None:
                by_stage[place] = stage
    # Writers that know only the stage leave the samples out, or at 0.
    told = len(by_sample) >= len(by_stage) and (len(set(by_sample.values())) > 1 or not by_stage)
    chosen = by_sample if told else by_stage
    if chosen and len(chosen) < count:
        warnings.append(f"{count - len(chosen)} of {count} fields have no position on the stage")
    found = in_wells(chosen, y_up=rules.y_up, per_well=rules.per_well or chosen is by_sample)
    warnings += found.warnings
    return found.points


def _stage(image: OmeImage) -> Point | None:
    for plane in image.planes.values():
        if plane.x_um is not None and plane.y_um is not None:
            return plane.x_um, plane.y_um
    if image.stage_x_um is not None and image.stage_y_um is not None:
        return image.stage_x_um, image.stage_y_um
    return None
