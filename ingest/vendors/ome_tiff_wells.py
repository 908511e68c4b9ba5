"""Which image is which field of which well: by ``<Plate>`` elements, or by the names of files and folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ...errors import InvalidDataError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS
from ..sources import PIXEL_TYPES
from .ome_channels import Run
from .ome_model import OmeImage, OmePlate, OmeWellSample
from .ome_planes import OmeSource, PlacedImage, file_of
from .ome_tiff_names import field_in, fields_of_images, stem, well_in, well_of_file
from .ome_tiff_sources import Loaded


@dataclass(slots=True, kw_only=True)
class PlateParts:
    """One plate, gathered from one or several documents."""

    name: str | None
    barcode: str | None = None
    size: tuple[int | None, int | None] | None = None
    placed: list[PlacedImage] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """A sample of a well, with all that says where it belongs; ``run`` is None where no acquisition lists it."""

    row: int
    column: int
    sample: OmeWellSample
    image: OmeImage
    source: OmeSource
    run: int | None


def plates_told(loaded: Loaded) -> tuple[PlateParts, ...]:
    """Return the plates of ``<Plate>`` elements; of a named file only those that it tells of.

    Documents tell of one plate when its barcode, its name or, without both, its id is the same.

    Raises
    ------
    InvalidDataError
        A well lies outside every plate, or two documents give a plate two sizes.
    """
    wanted = None if loaded.named is None else {_key(plate) for plate in loaded.named.document.plates}
    parts: dict[str, list[tuple[OmeSource, OmePlate]]] = {}
    for source in loaded.sources:
        for plate in source.document.plates:
            if wanted is None or _key(plate) in wanted:
                parts.setdefault(_key(plate), []).append((source, plate))
    found = tuple(_plate(several) for several in parts.values())
    without = sum(not source.document.plates for source in loaded.sources)
    if without and found and wanted is None:
        found[0].warnings.append(f"{without} files without <Plate> lie among those with one: they are left out")
    return tuple(plate for plate in found if plate.placed) or found


def _key(plate: OmePlate) -> str:
    return plate.barcode or plate.name or plate.id


def _plate(several: Sequence[tuple[OmeSource, OmePlate]]) -> PlateParts:
    source, first = several[0]
    sizes = {(plate.rows, plate.columns): of.name for of, plate in several if plate.rows and plate.columns}
    if len(sizes) > 1:
        (one, here), (other, there) = list(sizes.items())[:2]
        raise InvalidDataError(
            f"{here} and {there} both tell of plate {_key(first)!r}, one of {one[0]} × {one[1]} wells and one of "
            f"{other[0]} × {other[1]}"
        )
    # What one half of a plate's size leaves open is found by its wells.
    size = next(iter(sizes), next(((p.rows, p.columns) for _, p in several if p.rows or p.columns), None))
    parts = PlateParts(name=first.name or stem(source.path), barcode=first.barcode, size=size)
    samples, numbers = [], {}
    for of, plate in several:
        for acquisition in plate.acquisitions:
            if acquisition.id not in numbers:
                numbers[acquisition.id] = len(parts.runs)
                parts.runs.append(
                    Run(
                        name=acquisition.name,
                        vendor_id=acquisition.id or None,
                        started_at=acquisition.started_at,
                        ended_at=acquisition.ended_at,
                    )
                )
        samples += list(_samples(of, plate, numbers, parts.warnings))
    unlisted = sum(one.run is None for one in samples)
    rest = 0
    if unlisted and len(parts.runs) > 1:
        rest = len(parts.runs)
        parts.runs.append(Run())
        parts.warnings.append(f"{unlisted} fields are in no <PlateAcquisition>; they are an acquisition of their own")
    parts.placed = _numbered(samples, rest)
    return parts


def _samples(source: OmeSource, plate: OmePlate, numbers: dict[str, int], warnings: list[str]) -> Iterator[_Sample]:
    """Give the samples of the wells that have an image, in the order of the document or of their index."""
    images = {image.id: image for image in source.document.images}
    runs = {sample: numbers[a.id] for a in plate.acquisitions for sample in a.sample_ids}
    lost: list[str] = []
    used: set[str] = set()
    for well in plate.wells:
        if well.samples and not (well.row < MAX_ROWS and well.column < MAX_COLUMNS):
            raise InvalidDataError(
                f"{source.name}: a well lies in row {well.row}, column {well.column} (from 0); the largest plate has "
                f"{MAX_ROWS} rows and {MAX_COLUMNS} columns"
            )
        for sample in sorted(well.samples, key=lambda s: -1 if s.index is None else s.index):
            image = images.get(sample.image_id or "")
            if image is None:
                lost += [sample.image_id] if sample.image_id else []
                continue
            used.add(image.id)
            yield _Sample(
                row=well.row + 1,
                column=well.column + 1,
                sample=sample,
                image=image,
                source=source,
                run=runs.get(sample.id),
            )
    if lost:
        warnings.append(f"{source.name}: {len(lost)} fields refer to images that are not described: {lost[0]}")
    if len(used) < len(images) and len(source.document.plates) == 1:
        warnings.append(f"{source.name}: {len(images) - len(used)} images belong to no well: they are left out")


def _numbered(samples: Sequence[_Sample], rest: int) -> list[PlacedImage]:
    """Give each sample its field: by the names of all images or of all files where these say, else from 1 in order."""
    # Stacks and single planes of one run become acquisitions of their own, with the same fields.
    places = [(rest if one.run is None else one.run, one.row, one.column, one.image.size_z > 1) for one in samples]
    by_image = fields_of_images([one.image.name for one in samples])
    by_file = [field_in(_first_file(one.image, one.source)) for one in samples]
    said: list[int | None] = [None] * len(samples)
    for told in (by_file, by_image):
        if None not in told and len(set(zip(places, told, strict=True))) == len(samples):
            said = told
    counted: Counter[tuple[int, int, int, bool]] = Counter()
    placed = []
    for one, place, number in zip(samples, places, said, strict=True):
        counted[place] += 1
        placed.append(
            PlacedImage(
                row=one.row,
                column=one.column,
                field_id=counted[place] if number is None else number,
                image=one.image,
                source=one.source,
                run=place[0],
                x_um=one.sample.x_um,
                y_um=one.sample.y_um,
            )
        )
    return placed


def plates_by_name(loaded: Loaded) -> tuple[PlateParts, ...]:
    """Return the plate of images without ``<Plate>``, by the names of their files, folders or of themselves."""
    parts = PlateParts(name=loaded.files.root.name)
    nowhere: list[str] = []
    in_well: dict[tuple[int, int], list[tuple[str, OmeSource, OmeImage]]] = {}
    for source in loaded.sources:
        if source.document.plates:
            continue
        for image in source.document.images:
            file = _first_file(image, source)
            well = well_of_file(file) or well_in(image.name or "") or well_of_file(f"{loaded.files.root.name}/")
            if well is None:
                nowhere.append(file)
            else:
                in_well.setdefault(well, []).append((file, source, image))
    for (row, column), images in in_well.items():
        for number, source, image in _fields(images):
            parts.placed.append(PlacedImage(row=row, column=column, field_id=number, image=image, source=source))
    if not parts.placed:
        return ()
    parts.warnings.append("there is no <Plate>: wells are taken from the names of files and folders")
    if nowhere:
        parts.warnings.append(f"{len(nowhere)} images say no well and are left out, the first in {nowhere[0]}")
    return (parts,)


def _first_file(image: OmeImage, source: OmeSource) -> str:
    return file_of(image.tiff_data[0], image, source) if image.tiff_data else source.path


def _fields(images: Iterable[tuple[str, OmeSource, OmeImage]]) -> Iterator[tuple[int, OmeSource, OmeImage]]:
    """Give the images of one well their fields: as file names say, else a new one where a channel comes again.

    So files of one channel each become one field, and files of all channels one each.
    """
    ordered = sorted(images, key=lambda one: one[0])
    said = [number for file, _, _ in ordered if (number := field_in(file)) is not None]
    if len(said) == len(ordered) and _is_sound(said, ordered):
        for number, (_, source, image) in zip(said, ordered, strict=True):
            yield number, source, image
        return
    number, seen = 0, set[object]()
    for _, source, image in ordered:
        own = {channel.name or channel.fluor or None for channel in image.channels} or {None}
        if not number or None in own or own & seen:
            number, seen = number + 1, set()
        seen |= own
        yield number, source, image


def _is_sound(said: Sequence[int], ordered: Sequence[tuple[str, OmeSource, OmeImage]]) -> bool:
    """Tell whether the numbers in names keep images of the same channels apart."""
    keys = [
        (number, tuple(sorted(c.name or c.fluor or "" for c in image.channels)))
        for number, (_, _, image) in zip(said, ordered, strict=True)
    ]
    return len(set(keys)) == len(keys)


def describe(sources: Sequence[OmeSource]) -> str:
    """Say what documents without a plate hold."""
    images = [image for source in sources for image in source.document.images]
    kinds = Counter((i.size_x, i.size_y, i.size_c, i.size_z, i.size_t, i.type) for i in images).most_common(1)
    shown = "".join(
        f"{x} × {y} {kind} pixels, {c} channels, {z} depths, {t} time points"
        + ("" if kind in PIXEL_TYPES else f" (of pixels, only {' and '.join(PIXEL_TYPES)} are read)")
        for (x, y, c, z, t, kind), _ in kinds
    )
    if len(images) == 1:
        return f"one image of {shown}"
    return f"{len(images)} images in {len(sources)} files, most of {shown}"
