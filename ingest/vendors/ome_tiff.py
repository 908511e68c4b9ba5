"""OME-TIFF plates: single files, folders of them, and sets with a companion, as vendor-neutral plates.

``<Plate>`` elements say the wells; documents of one plate (one file per well, for example) are joined. Without any, a
file is a field of the well that its name or its folder says; where neither does, this is no plate and the error says
what it is. A page is an IFD. Fields are numbered from 1 in the order of a well's samples, or as the names of all images
say. Positions become µm around the middle of the well; see :mod:`.ome_positions`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow.compute as pc

from ...errors import CytolakeError, NotAnExportError
from ...schemas.identifiers import slug
from ..export import PlateExport
from ..planes import ExportFiles
from ..readers import Evidence, ReaderOptions
from ..sources import PIXEL_TYPES
from .ome_planes import OmeSource, Rules, build_plate
from .ome_tiff_files import candidates, check_whole, is_ome_tiff, is_ours, is_xml, may_hold_xml, ome_xml_of
from .ome_tiff_names import well_of_file
from .ome_tiff_sources import load_folder, load_set
from .ome_tiff_wells import PlateParts, describe, plates_by_name, plates_told
from .ome_xml import parse_ome_xml
from .safe_xml import xml_root
from .scanr_names import SIGNATURE

_HINT = (
    "Put the well into the names of the files (A01_f1.ome.tif) or of their folders, or describe file names with "
    "--pattern."
)
_UNREAD_HINT = "Export the camera's own counts, as unsigned 8- or 16-bit images."
#: How many files of a folder are opened to tell what it is, and how much of a companion is read for that.
_OPENED, _READ, _READ_FOR_SIGNATURE = 5, 1 << 24, 1 << 16
_NO_OPTIONS = ReaderOptions()


@dataclass(frozen=True, slots=True)
class OmeTiffReader:
    """Reads ``.ome.tif(f)``, a folder of them, ``.companion.ome`` and other OME-XML with a plate.

    A file stands for the plate that it is part of: files beside it that tell of the same plate are read with it.
    """

    name: ClassVar[str] = "ome-tiff"
    options: ReaderOptions = _NO_OPTIONS

    def with_options(self, options: ReaderOptions) -> OmeTiffReader:
        """Return a reader that takes pixel size and plate format from the user."""
        return OmeTiffReader(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look into the first files: 1 with a plate in their metadata, 0.7 with wells in their names only."""
        path = path.absolute()
        if path.is_file():
            return self._evidence(path, path.parent) if may_hold_xml(path.name) else None
        files = candidates(path)
        several = sum(is_ome_tiff(file.name) for file in files) > 1
        found: list[Evidence] = []
        for file in files[:_OPENED]:
            one = self._evidence(file, path, several=several)
            # A plain TIFF or XML may be anybody's: one without a plate is not told of.
            if one is not None and (is_ours(file.name) or one.confidence == 1):
                found.append(one)
            if one is not None and one.confidence == 1:
                break
        return max(found, key=lambda one: one.confidence, default=None)

    def _evidence(self, file: Path, folder: Path, *, several: bool = False) -> Evidence | None:
        """Say what one file is; with ``several`` of them, the folder is the index of those that tell of themselves."""
        index = file

        def evidence(confidence: float, *facts: str, hint: str | None = None) -> Evidence:
            return Evidence(reader=self.name, confidence=confidence, facts=facts, index=str(index), hint=hint)

        try:
            xml = ome_xml_of(file, most=_READ)
            if xml is None:
                return None
            creator = xml_root(xml, file.name).attributes.get("Creator", "an unnamed writer")
        except CytolakeError as error:
            return evidence(0.0, error.message) if is_ours(file.name) else None
        if is_xml(file.name) and SIGNATURE.search(xml[:_READ_FOR_SIGNATURE]):
            return None
        if re.search(rb"<(?:\w+:)?BinaryOnly\b", xml):
            return evidence(1.0, f"{file.name}: OME-TIFF, its metadata in a companion")
        if several and not is_xml(file.name) and b"FileName=" not in xml:
            index = folder
        if re.search(rb"<(?:\w+:)?Plate\b", xml):
            return evidence(1.0, f"{file.name}: OME-XML by {creator}, with <Plate>")
        if well_of_file(file.relative_to(folder.parent).as_posix()) is not None:
            index = folder if several else file
            return evidence(0.7, f"{file.name}: OME-TIFF by {creator} without <Plate>, a well in its name")
        try:
            document = parse_ome_xml(xml, file.name)
        except CytolakeError as error:
            return evidence(0.0, error.message)
        what = describe([OmeSource(document=document, name=str(file), path=file.name)])
        told = f"{file.name}: OME-TIFF by {creator}: {what}; no <Plate>, no well in its name (as in A01_f1.ome.tif)"
        unread = all(image.type not in PIXEL_TYPES for image in document.images)
        return evidence(0.0, told, hint=_UNREAD_HINT if unread else _HINT)

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates of a folder, or those that a file is part of."""
        path = path.absolute()
        if path.is_file() and not may_hold_xml(path.name):
            raise NotAnExportError(
                f"{path} is neither a TIFF nor an OME-XML", hint="Name a .ome.tif or .companion.ome."
            )
        loaded = load_folder(path) if path.is_dir() else load_set(path)
        if not loaded.sources:
            raise NotAnExportError(
                f"{path} holds no OME-TIFF and no OME-XML", hint="Name a .ome.tif file, or the folder that holds them."
            )
        plates = plates_told(loaded) or plates_by_name(loaded)
        if not plates:
            what = describe([loaded.named] if loaded.named else loaded.sources)
            raise NotAnExportError(
                f"{path} is OME-TIFF and no plate: {what}; there is no <Plate>, and no name of a file or folder says a "
                "well",
                hint=_HINT,
            )
        exports = tuple(_export(plate, loaded.files, self.options) for plate in plates)
        _check_index(loaded.named or loaded.sources[0], exports)
        return exports


def _export(plate: PlateParts, files: ExportFiles, options: ReaderOptions) -> PlateExport:
    warnings = list(plate.warnings)
    documents = list({id(one.source): one.source for one in plate.placed}.values())
    warnings += dict.fromkeys(warning for source in documents for warning in source.document.warnings)
    if any(one.image.is_inline and not one.image.tiff_data for one in plate.placed):
        warnings.append("pixels inside an OME-XML are not read: such planes count as missing; write an OME-TIFF")
    rules = Rules(pixel_size_um=options.pixel_size_um, plate_size=options.plate_format or plate.size)
    first = documents[0]
    built = build_plate(plate.placed, plate.runs, files, first.name, rules, warnings)
    return PlateExport(
        reader=OmeTiffReader.name,
        vendor="OME-TIFF",
        format_version=first.document.schema or "unknown",
        root=str(files.root),
        plate_id=slug(plate.barcode or plate.name or "plate"),
        barcode=plate.barcode,
        name=plate.name,
        plate_type=None,
        n_rows=built.built.n_rows,
        n_columns=built.built.n_columns,
        acquisitions=built.acquisitions,
        channels=built.channels,
        planes=built.built.planes,
        fields=built.built.fields,
        metadata_files=tuple(sorted({one.path for one in documents if one.file is None})),
        warnings=tuple(warnings),
    )


def _check_index(index: OmeSource, exports: Sequence[PlateExport]) -> None:
    """Refuse an index that is a TIFF and cut off; other files are the business of who reads their pixels."""
    if index.file is None:
        return
    last = -1
    for export in exports:
        own = export.planes.filter(pc.field("file") == index.file)
        last = max(last, pc.max(own["page"]).as_py() if own.num_rows else -1)
    if last >= 0:
        check_whole(Path(exports[0].root) / index.file, last + 1)
