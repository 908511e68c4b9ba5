"""Olympus ScanR exports as vendor-neutral plates: ``metadata.ome.xml`` of newer versions, file names of older ones.

Neither has a plate: the well is in the image's name (``Well 14, Position 1 (B2)``) and in its number, which counts
along the rows of a plate whose size is told, or follows from the two; see :mod:`.scanr_names`. Stage coordinates are
those of the whole stage, in µm, y up: they become positions around the mean of the well's fields; see
:mod:`.ome_positions`. A well without images is no black image: it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ...errors import InvalidDataError, NotAnExportError
from ...schemas.identifiers import slug
from ..export import ChannelInfo, PlateExport
from ..readers import Evidence, ReaderOptions
from ..sources import read_bytes
from .ome_channels import Run
from .ome_model import OmeDocument, OmeImage
from .ome_planes import OmeSource, PlacedImage, Rules, build_plate
from .ome_xml import parse_ome_xml
from .scanr_descriptor import ScanrExperiment, parse_descriptor
from .scanr_files import Found, find_experiments, images_of_files
from .scanr_names import ScanrField, field_of, place_wells, well_of

_VERSION = re.compile(r"scan\^?R\s+([\d.]+)", re.IGNORECASE)
#: A channel named after its laser, as in ``405 nm #1``.
_LASER = re.compile(r"\s*([3-9]\d\d) ?nm\b", re.IGNORECASE)
_NO_OPTIONS = ReaderOptions()
_NO_DOCUMENT = OmeDocument(
    schema="",
    creator=None,
    uuid=None,
    metadata_file=None,
    images=(),
    plates=(),
    instruments={},
    warnings=(),
)


@dataclass(frozen=True, slots=True)
class ScanrReader:
    """Reads an experiment by its folder, its ``data`` folder or its index, and the folder above several of them."""

    name: ClassVar[str] = "scanr"
    options: ReaderOptions = _NO_OPTIONS

    def with_options(self, options: ReaderOptions) -> ScanrReader:
        """Return a reader that takes pixel size and plate format from the user."""
        return ScanrReader(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first bytes of an index; 0.8 where only the names of images are ScanR's."""
        found = next(find_experiments(path, quick=True), None)
        if found is None:
            return None
        return Evidence(reader=self.name, confidence=found.confidence, facts=(found.fact,), index=str(found.index))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return one plate for each experiment."""
        found = list(find_experiments(path))
        known = [one for one in found if one.confidence > 0]
        if not known:
            raise NotAnExportError(
                f"{path} is no ScanR experiment: {found[0].fact}" if found else f"{path} holds no ScanR experiment",
                hint="Name the folder that holds data/metadata.ome.xml or experiment_descriptor.xml.",
            )
        others = [f"left out: {one.index}: {one.fact}" for one in found if one.confidence == 0]
        return tuple(_read(one, self.options, others if number == 0 else []) for number, one in enumerate(known))


def _read(found: Found, options: ReaderOptions, others: Sequence[str]) -> PlateExport:
    """Return the plate of an experiment; ``others`` is what to say of what beside it is none."""
    warnings = list(others)
    files = found.list_files()
    experiment = _experiment(found, warnings)
    name = str(found.index)
    is_ome = found.index.name.lower().endswith(".ome.xml")
    # File names are relative to the index, or to the folder of the images where there is none.
    index = found.index if is_ome else found.images / "images"
    images: list[tuple[ScanrField, OmeImage]]
    if is_ome:
        document = parse_ome_xml(read_bytes(found.index), name)
        images = _fields(document, name, warnings)
        warnings += document.warnings
    else:
        document = _NO_DOCUMENT
        described, odd = images_of_files(found, files, experiment)
        warnings += odd
        images = [
            (ScanrField(well_number=f.well_number, position=f.position, well=well_of(f.prefix)), image)
            for f, image in described
        ]
    wells, size = place_wells((field for field, _ in images), _told_size(document, experiment, options), name, warnings)
    source = OmeSource(document=document, name=name, path=found.relative(index))
    placed = [
        PlacedImage(
            row=wells[field.well_number][0],
            column=wells[field.well_number][1],
            field_id=field.position,
            image=image,
            source=source,
        )
        for field, image in images
    ]
    pixel = options.pixel_size_um
    if pixel is None and experiment is not None and all(i.pixel_size_x_um is None for _, i in images):
        pixel = experiment.pixel_size_um
    rules = Rules(y_up=True, per_well=not is_ome, one_plane_files=True, pixel_size_um=pixel, plate_size=size)
    plate = build_plate(placed, [Run(name=found.root.name)], files, name, rules, warnings)
    version = _VERSION.search(document.creator or "")
    told = document.plates[0] if document.plates else None
    plate_name = (told.name if told else None) or (experiment.plate_name if experiment else None)
    return PlateExport(
        reader=ScanrReader.name,
        vendor="Olympus ScanR",
        format_version=version[1].strip(".") if version else "OME-XML" if is_ome else "files",
        root=str(files.root),
        plate_id=slug(found.root.name or "plate"),
        barcode=told.barcode if told else None,
        name=plate_name or found.root.name,
        plate_type=None,
        n_rows=plate.built.n_rows,
        n_columns=plate.built.n_columns,
        acquisitions=tuple(
            replace(a, instrument_manufacturer=a.instrument_manufacturer or "Olympus") for a in plate.acquisitions
        ),
        channels=tuple(map(_with_laser, plate.channels)),
        planes=plate.built.planes,
        fields=plate.built.fields,
        metadata_files=tuple(
            dict.fromkeys(found.relative(p) for p in ([found.index] if is_ome else []) + found.descriptors)
        ),
        warnings=tuple(warnings),
    )


def _experiment(found: Found, warnings: list[str]) -> ScanrExperiment | None:
    """Return what the descriptor says; one that is broken counts only where it is the index itself."""
    for path in found.descriptors:
        data = read_bytes(path)
        if path.suffix.lower() == ".dat" and not data.lstrip().startswith(b"<"):
            continue
        try:
            return parse_descriptor(data, str(path))
        except InvalidDataError as error:
            if path == found.index:
                raise
            warnings.append(f"the experiment descriptor is not used: {error.message}")
    return None


def _fields(document: OmeDocument, name: str, warnings: list[str]) -> list[tuple[ScanrField, OmeImage]]:
    if not document.images:
        raise InvalidDataError(f"{name} describes no image", hint="Export the experiment with its images.")
    found = [
        (field, image)
        for image in document.images
        if (field := field_of(image.id, image.name, image.tiff_data[0].file if image.tiff_data else None)) is not None
    ]
    if not found:
        first = document.images[0]
        raise NotAnExportError(
            f"{name} is not ScanR's: no image is called as 'Well 14, Position 1 (B2)'; the first is {first.name!r}"
        )
    if len(found) < len(document.images):
        warnings.append(f"{len(document.images) - len(found)} images name no well: they are left out")
    return found


def _told_size(
    document: OmeDocument, experiment: ScanrExperiment | None, options: ReaderOptions
) -> tuple[int, int] | None:
    """Return the size of the plate by the user's word, the index or the descriptor."""
    if options.plate_format is not None:
        return options.plate_format
    for plate in document.plates:
        if plate.rows and plate.columns:
            return plate.rows, plate.columns
    return experiment.plate_size if experiment else None


def _with_laser(channel: ChannelInfo) -> ChannelInfo:
    """Take the wavelength from a name that is nothing but the laser's."""
    laser = _LASER.match(channel.name)
    return replace(channel, excitation_nm=float(laser[1])) if laser and channel.excitation_nm is None else channel
