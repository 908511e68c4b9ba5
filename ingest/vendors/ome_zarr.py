"""OME-Zarr plates of others (0.1 to 0.5: Fractal, ngio, bioformats2raw …) and our own.

What this module knows: a plate may list only the rows and columns that it uses, so a well is where its row and column
are *called*; measurements count from 0; images of one measurement may differ in size, channels and depth, and then are
acquisitions of their own. A plane is a page of the folder of its image's full-size array
(:mod:`cytolake.ingest.sources.zarr_array`). The plate itself stays as it is: its pixels are read, its labels are not.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pyarrow as pa

from ...errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError
from ...schemas.identifiers import parse_well as well_place
from ...schemas.identifiers import row_letters, slug
from ..channels import guess_roles
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..planes import ExportFiles, PlaneTables
from ..plate_formats import PLATE_FORMATS
from ..readers import Evidence, ReaderOptions
from ..sources import PIXEL_TYPES, read_bytes
from .ome_zarr_files import FoundImage, find_plates, walk_plate
from .ome_zarr_images import Geometry, absent_pages, field_numbers, filled_chunks, geometry, middles
from .ome_zarr_meta import ZarrPlate, parse_plate

_SUFFIXES = (".zarr", ".ome")
#: Folders below the one that was named that are looked into for plates before it is said what that is.
_GLANCED_FOLDERS = 1_000


class OmeZarrReader:
    """Reads OME-Zarr plates in folders: the plate itself, or the folder above several."""

    name = "ome-zarr"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> Self:
        """Return a reader that takes pixel size and plate format from the user."""
        return type(self)(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the document of a group; confidence 0 where it is no plate."""
        document = next(iter(find_plates(path, most=_GLANCED_FOLDERS)), None)
        if document is None:
            return None
        try:
            plate = parse_plate(read_bytes(document), str(document))
        except CytolakeError as error:
            # A damaged plate is one all the same: reading it says what is wrong.
            sure = 0.0 if isinstance(error, NotAnExportError) else 0.8
            return Evidence(reader=self.name, confidence=sure, facts=(error.message,), index=str(document))
        fact = f"OME-Zarr {plate.version} plate of {len(plate.wells)} wells"
        return Evidence(reader=self.name, confidence=1.0, facts=(fact,), index=str(document))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates."""
        documents = find_plates(path)
        if not documents:
            raise NotAnExportError(f"{path} holds no OME-Zarr plate", hint="Name the folder of the plate.")
        # Links stay as the user named them.
        absolute = (Path(os.path.abspath(document)) for document in documents)  # noqa: PTH100
        return tuple(_Reading(document, self._options).read() for document in absolute)


class _Arrays(ExportFiles):
    """The arrays of a plate with their bytes, as they were found: a plate of chunks is too large to be listed whole."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sizes: dict[str, int] = {}
        self.links: list[str] = []

    def find(self, path: str) -> tuple[str, int | None]:
        """Return an array and its bytes, None where it is not there."""
        return path, self.sizes.get(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What all images of an acquisition have in common; ``number`` is the plate's own of the measurement."""

    number: int
    height: int
    width: int
    dtype: str
    pixel_y_um: float
    pixel_x_um: float
    channels: tuple[str, ...]
    is_stack: bool

    def __str__(self) -> str:
        depth = "stacks" if self.is_stack else "planes"
        return f"{depth} of {self.height} × {self.width} {self.dtype}, {len(self.channels)} channels"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """An image that is there, as planes."""

    found: FoundImage
    shape: Geometry
    kind: _Kind


class _Reading:
    """Makes an export of one plate."""

    def __init__(self, document: Path, options: ReaderOptions) -> None:
        self._document = document
        self._name = str(document)
        self._root = document.parent
        self._options = options
        self._warnings: list[str] = []
        self._unstored: set[tuple[str, int]] = set()

    def read(self) -> PlateExport:
        """Return the plate."""
        plate = parse_plate(read_bytes(self._document), self._name)
        found = walk_plate(self._root, plate, self._warnings)
        images = self._images(found.images)
        acquisitions = self._acquisitions(images)
        tables = self._tables(plate, found.images, images, acquisitions)
        built = tables.build(self._plate_size(plate), self._warnings)
        channels: list[ChannelInfo] = []
        about_roles: dict[str, None] = {}
        examples = {number: next(i for i in images if i.kind == kind) for kind, number in acquisitions.items()}
        for number, example in examples.items():
            named, said = self._channels(example, number)
            channels += named
            about_roles |= dict.fromkeys(said)
        title = plate.name or self._root.name
        for suffix in _SUFFIXES:
            title = title.removesuffix(suffix)
        return PlateExport(
            reader=OmeZarrReader.name,
            vendor="OME-Zarr",
            format_version=plate.version,
            root=str(self._root),
            plate_id=slug(title),
            barcode=None,
            name=title,
            plate_type=None,
            n_rows=built.n_rows,
            n_columns=built.n_columns,
            acquisitions=tuple(self._acquisition(plate, n, example) for n, example in examples.items()),
            channels=tuple(channels),
            planes=self._without_unstored(built.planes),
            fields=built.fields,
            metadata_files=(self._document.name, *found.documents),
            arrays={i.found.path: tuple(a.name for a in i.found.image.axes) for i in images if i.found.image},
            warnings=(*dict.fromkeys(self._warnings), *about_roles),
        )

    # -- images

    def _images(self, found: Sequence[FoundImage]) -> list[_Image]:
        """Return the images whose arrays are there and hold pixels of a camera."""
        images: list[_Image] = []
        others: Counter[str] = Counter()
        assumed: list[str] = []
        for one in found:
            if one.image is None or one.layout is None:
                if one.image and one.image.own and one.image.own.refers_to:
                    raise InvalidDataError(
                        f"{self._root}: the pixels of {one.path} were left in {one.image.own.refers_to}",
                        hint="Bring in the plate that holds the pixels.",
                    )
                continue
            if one.layout.dtype not in PIXEL_TYPES:
                others[one.layout.dtype] += 1
                continue
            shape = geometry(
                one.image,
                one.layout,
                f"{self._root}/{one.path}",
                pixel_size_um=self._options.pixel_size_um,
                warnings=assumed,
            )
            kind = _Kind(
                number=one.acquisition,
                height=shape.height,
                width=shape.width,
                dtype=one.layout.dtype,
                pixel_y_um=shape.pixel_y_um,
                pixel_x_um=shape.pixel_x_um,
                channels=_channel_names(one, shape),
                is_stack=shape.n_z_planes > 1,
            )
            images.append(_Image(found=one, shape=shape, kind=kind))
        self._warnings += dict.fromkeys(assumed)
        if not images:
            if others:
                raise InvalidDataError(
                    f"{self._root} holds {', '.join(others)} pixels; planes are {' or '.join(PIXEL_TYPES)}",
                    hint="Computed images cannot stand among camera images; bring in the plate of raw images.",
                )
            raise SourceFileError(
                f"{self._root}: none of the {len(found)} images that the plate lists is there",
                hint="Copy the plate again with all its folders.",
            )
        for dtype, count in others.items():
            self._warnings.append(f"{count} images hold {dtype} pixels, no camera's, and are left out")
        return images

    def _acquisitions(self, images: Sequence[_Image]) -> dict[_Kind, int]:
        """Give the acquisitions numbers from 1: by the plate's own number, then the kind that has most images."""
        counts = Counter(image.kind for image in images)
        ordered = sorted(counts, key=lambda kind: (kind.number, -counts[kind]))
        for number in {kind.number for kind in ordered}:
            several = [kind for kind in ordered if kind.number == number]
            if len(several) > 1:
                said = "; ".join(f"{counts[kind]} {kind}" for kind in several[:5])
                self._warnings.append(
                    f"images of measurement {number} are not alike, each kind is an acquisition of its own ({said})"
                )
        return {kind: i for i, kind in enumerate(ordered, start=1)}

    def _tables(
        self,
        plate: ZarrPlate,
        found: Sequence[FoundImage],
        images: Sequence[_Image],
        acquisitions: Mapping[_Kind, int],
    ) -> PlaneTables:
        arrays = _Arrays(self._root)
        tables = PlaneTables(self._name, arrays)
        places = self._places(plate)
        numbers = field_numbers(found, self._warnings)
        middle = middles([(image.found, image.shape) for image in images], self._warnings)
        by_path = {image.found.path: image for image in images}
        absent, nothing, filled = 0, 0, 0
        for one in found:
            image = by_path.get(one.path)
            if image is None:
                if one.layout is not None:
                    continue  # pixels of another type, told already
                image = _like(one, images)
                absent += 1
                if image is None:
                    continue
            elif one.stored is not None and one.layout is not None:
                arrays.sizes[one.path] = one.stored.size
                gone = absent_pages(one, image.shape)
                self._unstored |= {(one.path, page) for page in gone}
                nothing += len(gone)
                filled += filled_chunks(one.layout, len(one.stored.leading), one.stored.count)
            row, column = places[one.well.path]
            x_um, y_um = middle.get(one.path, (None, None))
            for t, c, z in image.shape.planes():
                tables.add(
                    acquisition_id=acquisitions[image.kind],
                    row=row,
                    column=column,
                    field_id=numbers[one.path],
                    channel_index=c,
                    timepoint=t,
                    z=z,
                    # An image of which nothing is known still has the place where its array should be.
                    file=one.path if one.image else f"{one.path}/{image.found.path.rpartition('/')[2]}",
                    page=image.shape.page(t, c, z),
                    x_um=x_um,
                    y_um=y_um,
                    z_um=image.shape.z_um(z),
                )
        if absent:
            self._warnings.append(f"{absent} images are listed and not there; their planes are missing")
        if nothing:
            self._warnings.append(
                f"{nothing} planes have no stored chunk at all; they are missing, although Zarr would show them black"
            )
        if filled:
            self._warnings.append(
                f"{filled} chunks of planes are not stored; they are read as the fill value, as Zarr has it"
            )
        return tables

    def _without_unstored(self, planes: pa.Table) -> pa.Table:
        """Take the size from the planes that have no pixels."""
        if not self._unstored:
            return planes
        rows = zip(*(planes[name].to_pylist() for name in ("file", "page", "size")), strict=True)
        sizes = pa.array([None if (file, page) in self._unstored else size for file, page, size in rows], pa.int64())
        at = planes.schema.get_field_index("size")
        return planes.set_column(at, planes.schema.field(at), sizes)

    # -- the plate

    def _places(self, plate: ZarrPlate) -> dict[str, tuple[int, int]]:
        """Return path of a well -> row and column from 1, by their names; by their order where those are no names."""
        places: dict[str, tuple[int, int]] = {}
        try:
            for well in plate.wells:
                name = f"R{well.row}C{well.column}" if well.row.isdigit() else f"{well.row}{well.column}"
                places[well.path] = well_place(name)
        except InvalidDataError as error:
            self._warnings.append(f"wells are placed in the order of rows and columns: {error.message}")
            try:
                places = {
                    well.path: (plate.rows.index(well.row) + 1, plate.columns.index(well.column) + 1)
                    for well in plate.wells
                }
            except ValueError as unlisted:
                raise InvalidDataError(f"{self._name} has wells in rows or columns that it does not list") from unlisted
        if len(set(places.values())) < len(places):
            raise InvalidDataError(f"{self._name} lists two folders for one well")
        return places

    def _plate_size(self, plate: ZarrPlate) -> tuple[int, int] | None:
        """Return rows and columns, if the plate lists all of a known format; many list only those that they use."""
        if self._options.plate_format is not None:
            return self._options.plate_format
        size = len(plate.rows), len(plate.columns)
        if size not in PLATE_FORMATS:
            return None
        by_letter = all(name.upper() == row_letters(i) for i, name in enumerate(plate.rows, start=1))
        by_number = all(name.lstrip("0") == str(i) for i, name in enumerate(plate.rows, start=1))
        columns = all(name.lstrip("0") == str(i) for i, name in enumerate(plate.columns, start=1))
        return size if (by_letter or by_number) and columns else None

    def _acquisition(self, plate: ZarrPlate, number: int, example: _Image) -> AcquisitionInfo:
        listed = next((a for a in plate.acquisitions if a.number == example.kind.number), None)
        return AcquisitionInfo(
            acquisition_id=number,
            height=example.kind.height,
            width=example.kind.width,
            pixel_size_x_um=example.kind.pixel_x_um,
            pixel_size_y_um=example.kind.pixel_y_um,
            z_step_um=example.shape.z_step_um,
            z_mode="stack" if example.kind.is_stack else "plane",
            name=listed.name if listed else None,
            started_at=listed.started_at if listed else None,
            ended_at=listed.ended_at if listed else None,
            time_interval_s=example.shape.time_interval_s,
        )

    def _channels(self, example: _Image, number: int) -> tuple[tuple[ChannelInfo, ...], tuple[str, ...]]:
        """Return the channels of an acquisition with their roles, and what is to be said of these."""
        image = example.found.image
        told = image.channels if image else ()
        count = example.shape.n_channels
        if len(told) != count:
            self._warnings.append(f"{len(told)} of {count} channels are described in {example.found.path}")
        keys = [one.key for one in told[:count]]
        unique = len(set(keys)) == len(keys) == count and None not in keys
        channels = [
            ChannelInfo(
                acquisition_id=number,
                channel_index=i,
                name=name,
                vendor_id=(keys[i] if unique else None) or str(i),
                color=told[i].color if i < len(told) else None,
            )
            for i, name in enumerate(example.kind.channels)
        ]
        roles = image.own.roles if image and image.own else ()
        if len(roles) == count:
            return tuple(replace(c, role=role) for c, role in zip(channels, roles, strict=True)), ()
        return guess_roles(channels)


def _like(one: FoundImage, images: Sequence[_Image]) -> _Image | None:
    """Return the image that one which is not there was most likely like: the commonest kind of its measurement."""
    same = [image for image in images if image.found.acquisition == one.acquisition]
    if not same:
        return None
    kind, _ = Counter(image.kind for image in same).most_common(1)[0]
    return next(image for image in same if image.kind == kind)


def _channel_names(one: FoundImage, shape: Geometry) -> tuple[str, ...]:
    told = one.image.channels if one.image else ()
    names = [channel.name for channel in told[: shape.n_channels]]
    names += [None] * (shape.n_channels - len(names))
    return tuple(name or f"Channel {i + 1}" for i, name in enumerate(names))
