"""ImageXpress plates of MetaXpress: the database layout and the export with its HTD file.

One path for both: images are told apart by name and folder, their headers say where, when and at which height, and the
HTD, where there is one, says what was to be there. Without one the images promise: a plane that a site lacks and its
like have is missing. Measurements of one plate are its acquisitions, and so are its stacks, projections and single
planes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Self

from ...errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError, StorageError
from ...schemas.identifiers import slug
from ..export import PlateExport
from ..planes import ExportFiles, PlaneTables
from ..readers import Evidence, ReaderOptions
from .imagexpress_channels import software
from .imagexpress_headers import Image, read_headers
from .imagexpress_htd import Htd, is_htd, parse_htd
from .imagexpress_names import is_inner_folder, parse_image_name, split_folders
from .imagexpress_plate import Measurement, Recorded, acquisition, channels, labels, plate_size, record
from .imagexpress_tiff import read_header

_HTD = ".htd"
_LARGEST_HTD = 16 << 20
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
#: What ``detect`` looks at, at most: folders, and entries of each.
_FOLDERS, _ENTRIES = 24, 400
_HINT = "Name the folder of the plate, with its HTD file or its TimePoint and ZStep folders."


class ImageXpressReader:
    """Reads what MetaXpress keeps in its database layout and what it exports."""

    name = "imagexpress"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> Self:
        """Return a reader that knows the size of pixels or of the plate where the files do not say them."""
        return type(self)(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look for an HTD file, else for one image with MetaXpress's name and MetaSeries header."""
        if path.is_file():
            return self._detect_file(path)
        weaker = None
        for folder in islice(_inside(path), _FOLDERS):
            names = sorted(name for name, is_folder in _list(folder, _ENTRIES) if not is_folder)
            for name in names:
                if name.lower().endswith(_HTD):
                    return self._detect_file(folder / name)
            image = next((n for n in names if (p := parse_image_name(n)) and not p.is_thumbnail), None)
            found = self._detect_image(folder / image, path) if image is not None else None
            if found is not None and found.confidence == 1:
                return found
            weaker = weaker or found
        return weaker

    def _evidence(self, confidence: float, index: Path, *facts: str) -> Evidence:
        return Evidence(reader=self.name, confidence=confidence, facts=facts, index=str(index))

    def _detect_file(self, path: Path) -> Evidence | None:
        if not path.name.lower().endswith(_HTD):
            named = parse_image_name(path.name)
            return self._detect_image(path, path) if named is not None else None
        try:
            with path.open("rb") as file:
                head = file.read(256)
        except OSError as error:
            return self._evidence(0.0, path, f"{path.name} cannot be read: {error.strerror}")
        if not is_htd(head):
            return self._evidence(0.0, path, f"{path.name} does not begin with HTSInfoFile")
        return self._evidence(1.0, path, f"{path.name}: HTSInfoFile of a MetaXpress export")

    def _detect_image(self, path: Path, asked: Path) -> Evidence | None:
        named = parse_image_name(path.name)
        if named is None:
            return None
        try:
            with path.open("rb") as file:
                header = read_header(file, path.name)
        except (OSError, CytolakeError):
            return None
        wrote = header.properties.get("ApplicationName") or header.properties.get("spatial-calibration-state")
        if wrote is not None:
            return self._evidence(1.0, asked, f"{path.name}: MetaSeries header", "database layout, no HTD file")
        return self._evidence(0.6, asked, f"{path.name}: a name as MetaXpress writes it") if named.has_guid else None

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates at ``path``: an HTD file, an image, or a folder of one or several plates."""
        root, folders = _plate_folders(path)
        files = ExportFiles(root)
        measurements = _measurements(files, folders)
        if not measurements:
            raise NotAnExportError(f"{path} holds no images named as MetaXpress names them", hint=_HINT)
        plates: dict[str, list[Measurement]] = {}
        for one in measurements:
            plates.setdefault(one.plate.casefold(), []).append(one)
        return tuple(self._plate(files, plates[name]) for name in sorted(plates))

    def _plate(self, files: ExportFiles, measurements: Sequence[Measurement]) -> PlateExport:
        warnings: list[str] = []
        read = []
        for one in measurements:
            headers = read_headers(files.root, one.images, warnings)
            read.append((one.with_facts(headers), headers))
        read.sort(key=lambda pair: (pair[0].started_at(), pair[0].folder))
        tables = PlaneTables(str(files.root), files)
        recorded: list[Recorded] = []
        for one, headers in read:
            recorded += record(one, headers, tables, len(recorded) + 1, warnings)
        built = tables.build(self._plate_size([one for one, _ in read], warnings), warnings)
        sample = next((h for r in recorded for h in r.headers.values()), None)
        barcode = (sample.told("Barcode") or sample.told("Plate Barcode")) if sample is not None else None
        name = read[0][0].plate or (sample.told("Plate Name") if sample is not None else None) or files.root.name
        infos = tuple(
            acquisition(r, built, self._options.pixel_size_um, label, warnings)
            for r, label in zip(recorded, labels(recorded), strict=True)
        )
        htds = [one for one, _ in read if one.htd is not None]
        layout = f"HTD {htds[0].htd.version}" if htds and htds[0].htd else "database layout"
        wrote = software(sample)
        return PlateExport(
            reader=self.name,
            vendor="Molecular Devices MetaXpress",
            format_version=f"{layout}, {wrote}" if wrote else layout,
            root=str(files.root),
            plate_id=slug(barcode or name),
            barcode=barcode,
            name=name,
            plate_type=None,
            n_rows=built.n_rows,
            n_columns=built.n_columns,
            acquisitions=infos,
            channels=tuple(channel for r in recorded for channel in channels(r, warnings)),
            planes=built.planes,
            fields=built.fields,
            metadata_files=tuple(one.htd_file for one in htds if one.htd_file is not None),
            warnings=tuple(warnings),
        )

    def _plate_size(self, measurements: Sequence[Measurement], warnings: list[str]) -> tuple[int, int] | None:
        sizes = {(m.htd.n_rows, m.htd.n_columns) for m in measurements if m.htd is not None}
        if len(sizes) > 1:
            raise InvalidDataError(
                f"{measurements[0].plate}: its HTD files describe plates of different size, "
                + ", ".join(f"{r} × {c}" for r, c in sorted(sizes)),
                hint="Read the measurements one by one.",
            )
        told = self._options.plate_format or (sizes.pop() if sizes else None)
        return told or plate_size(measurements, warnings)


def _list(folder: Path, most: int | None = None) -> list[tuple[str, bool]]:
    """Return the names in a folder and which are folders; nothing of one that may not be looked into."""
    try:
        with os.scandir(folder) as entries:
            return [(e.name, e.is_dir()) for e in islice(entries, most) if not e.name.startswith(".")]
    except OSError:
        return []


def _is_plate_folder(entries: Sequence[tuple[str, bool]]) -> bool:
    return any(
        is_inner_folder(name) if is_folder else name.lower().endswith(_HTD) or parse_image_name(name) is not None
        for name, is_folder in entries
    )


def _plates_below(path: Path, most: int | None = None) -> Iterator[Path]:
    """Give the folders of plates at a path: itself, or those below it with a folder for each date or without."""
    here = _list(path, most)
    if _is_plate_folder(here):
        yield path
        return
    for name, is_folder in sorted(here):
        if not is_folder:
            continue
        folder = path / name
        below = _list(folder, most)
        if _is_plate_folder(below):
            yield folder
            continue
        dated = (
            [folder] if _DATE.match(name) else [folder / n for n, inner in sorted(below) if inner and _DATE.match(n)]
        )
        for day in dated:
            for inner_name, is_inner in sorted(_list(day, most)):
                if is_inner and _is_plate_folder(_list(day / inner_name, most)):
                    yield day / inner_name


def _inside(path: Path) -> Iterator[Path]:
    """Give folders that may hold an HTD file or an image: of the first plates at a path, their first inner ones."""
    for plate in _plates_below(_outermost(path), _ENTRIES):
        yield plate
        inner = [plate / n for n, is_folder in sorted(_list(plate, _ENTRIES)) if is_folder and is_inner_folder(n)]
        for folder in inner[:2]:
            yield folder
            yield from [
                folder / n for n, is_folder in sorted(_list(folder, _ENTRIES)) if is_folder and is_inner_folder(n)
            ][:2]


def _outermost(folder: Path) -> Path:
    """Return the folder of the plate that a time point's or a Z step's folder belongs to."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  # links stay as the user named them
    while is_inner_folder(folder.name):
        folder = folder.parent
    return folder


def _plate_folders(path: Path) -> tuple[Path, set[str]]:
    """Return the folder that everything is told relative to, and the folders of plates in it."""
    if path.is_file():
        if not (path.name.lower().endswith(_HTD) or parse_image_name(path.name) is not None):
            raise NotAnExportError(f"{path} is neither an HTD file nor an image of MetaXpress", hint=_HINT)
        path = path.absolute().parent
    root = _outermost(path)
    found = list(_plates_below(root))
    if not found:
        raise NotAnExportError(f"{path} holds no plate of MetaXpress", hint=_HINT)
    if len(found) == 1:
        root = found[0]
    return root, {"" if f == root else f.relative_to(root).as_posix() for f in found}


def _measurements(files: ExportFiles, folders: set[str]) -> list[Measurement]:
    """Sort the files of an export by folder and plate, each with the HTD that describes it."""
    images: dict[tuple[str, str], list[tuple[str, int | None, int | None]]] = {}
    htds: dict[str, dict[str, str]] = {}
    names: dict[tuple[str, str], str] = {}
    inner: dict[str, tuple[str, int | None, int | None]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        if folder not in inner:
            inner[folder] = split_folders(folder)
        plate, timepoint, step = inner[folder]
        if plate not in folders:
            continue
        if name.lower().endswith(_HTD):
            # Every folder of an export has a copy; the outermost one counts.
            described, stem = htds.setdefault(plate, {}), name[: -len(_HTD)].casefold()
            described[stem] = min(described.get(stem, file), file, key=lambda f: (f.count("/"), f))
        elif (parsed := parse_image_name(name)) is not None and not parsed.is_thumbnail:
            unit = (plate, parsed.plate.casefold())
            names.setdefault(unit, parsed.plate)
            images.setdefault(unit, []).append((file, timepoint, step))
    found = []
    for (folder, key), there in images.items():
        described = htds.get(folder, {})
        alone = len(described) == 1 and sum(f == folder for f, _ in images) == 1
        htd_file = described.get(key) or (next(iter(described.values())) if alone else None)
        found.append(_measurement(files.root, folder, names[folder, key], there, htd_file))
    alone_there = [file for described in htds.values() for file in described.values()]
    if alone_there and not found:
        _htd(files.root / alone_there[0])
        raise InvalidDataError(
            f"{files.root / alone_there[0]} describes a plate of which not one image is there",
            hint="Copy the TIFF files beside the HTD file, with their folders.",
        )
    return found


def _measurement(
    root: Path, folder: str, plate: str, there: Sequence[tuple[str, int | None, int | None]], htd_file: str | None
) -> Measurement:
    first = min((t for _, t, _ in there if t is not None), default=1)
    base = min(first, 1)
    images = []
    for file, timepoint, step in there:
        named = parse_image_name(file.rpartition("/")[2])
        if named is None:
            raise SourceFileError(f"{file} is no image")
        images.append(Image(name=named, file=file, timepoint=0 if timepoint is None else timepoint - base, step=step))
    measured = Measurement(
        folder=folder, identifier=(root / folder).name, plate=plate, images=tuple(images), htd_file=htd_file
    )
    if htd_file is None:
        return measured
    return replace(measured, htd=_htd(root / htd_file))


def _htd(path: Path) -> Htd:
    try:
        if path.stat().st_size > _LARGEST_HTD:
            raise NotAnExportError(f"{path} is too large for an HTD file")
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    return parse_htd(data, str(path))
