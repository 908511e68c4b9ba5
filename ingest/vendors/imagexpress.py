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
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self

from ...errors import CytolakeError, InvalidDataError, NotAnExportError
from ...schemas.identifiers import slug
from ...wording import listed
from ..export import PlateExport
from ..planes import ExportFiles, PlaneTables
from ..readers import Evidence, ReaderOptions
from ..sources import glance, list_folder, read_bytes
from .imagexpress_channels import software
from .imagexpress_headers import Headers, Image, read_headers
from .imagexpress_htd import Htd, is_htd, parse_htd
from .imagexpress_names import ImageName, is_inner_folder, parse_image_name, split_folders
from .imagexpress_plate import Measurement, Recorded, acquisition, channels, labels, plate_size, record
from .imagexpress_tiff import read_header

_HTD = ".htd"
_LARGEST_HTD = 16 << 20
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
#: What ``detect`` looks at, at most: folders, and entries of each.
_FOLDERS, _ENTRIES = 24, 400
_LIST_AT_MOST = 3
#: Its name, its path, the numbers of its time point and Z folder.
_Image = tuple[ImageName, str, int | None, int | None]
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
            names = [name for name, is_folder in _list(folder, _ENTRIES) if not is_folder]
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
        found = _Found(ExportFiles(root), folders)
        named = Path(os.path.abspath(path)) if path.is_file() else None  # noqa: PTH100  # as the user named it
        left_out = found.left_out(named)
        measurements = found.measurements()
        if not measurements:
            links = f"; it links to {listed(found.files.links, _LIST_AT_MOST)}" if found.files.links else ""
            raise NotAnExportError(f"{path} holds no images named as MetaXpress names them{links}", hint=_HINT)
        plates = _by_plate([_Loaded.of(one, found.files.root) for one in measurements], found.files.root, left_out)
        return tuple(self._plate(found.files, plates[name], left_out) for name in sorted(plates))

    def _plate(self, files: ExportFiles, loaded: Sequence[_Loaded], left_out: Sequence[str]) -> PlateExport:
        warnings = [*left_out, *(warning for one in loaded for warning in one.warnings)]
        read = [(one.measurement, one.headers) for one in loaded]
        read.sort(key=lambda pair: (pair[0].started_at(), pair[0].folder))
        tables = PlaneTables(str(files.root), files)
        recorded: list[Recorded] = []
        for one, headers in read:
            recorded += record(one, headers, tables, len(recorded) + 1, warnings)
        built = tables.build(self._plate_size([one for one, _ in read], warnings), warnings)
        sample = next((h for r in recorded for h in r.headers.values()), None)
        barcode = next((one.barcode for one in loaded if one.barcode), None)
        told = sample.told("Plate Name") if sample is not None else None
        name = loaded[0].called or read[0][0].plate or told or files.root.name
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A measurement with its headers and what is odd about them; ``called`` where its plate has the folder's name."""

    measurement: Measurement
    headers: Headers
    warnings: tuple[str, ...]
    called: str | None = None

    @classmethod
    def of(cls, measurement: Measurement, root: Path) -> _Loaded:
        """Read the headers of a measurement."""
        warnings: list[str] = []
        headers = read_headers(root, measurement.images, warnings)
        return cls(measurement=measurement.with_facts(headers), headers=headers, warnings=tuple(warnings))

    @property
    def barcode(self) -> str | None:
        """What the headers call the plate's barcode."""
        sample = next(iter(self.headers.samples.values()), None)
        return (sample.told("Barcode") or sample.told("Plate Barcode")) if sample is not None else None

    def is_of_its_name(self, root: Path) -> bool:
        """Tell whether folders or an HTD show that the name of the images is that of the plate.

        Some screens let MetaXpress call every plate ``HTS``, and only their folders differ.
        """
        one, name = self.measurement, self.measurement.plate.casefold()
        folders = [folder.casefold() for folder in (root / one.folder).parts]
        named = any(name and (f == name or f.startswith(f"{name}_plate_")) for f in folders)
        return named or one.htd is not None or any(_DATE.match(folder) for folder in folders)


def _by_plate(loaded: Sequence[_Loaded], root: Path, warnings: list[str]) -> dict[tuple[str, str], list[_Loaded]]:
    """Return measurements by plate: those of one name and barcode, unless nothing but a name says that they are."""
    named: dict[str, list[_Loaded]] = {}
    for one in loaded:
        named.setdefault(one.measurement.plate.casefold(), []).append(one)
    plates: dict[tuple[str, str], list[_Loaded]] = {}
    for name, group in named.items():
        if len({one.barcode for one in group if one.barcode}) > 1:
            for one in group:
                plates.setdefault((name, one.barcode or ""), []).append(one)
        elif len(group) == 1 or group[0].barcode or any(one.is_of_its_name(root) for one in group):
            plates[name, ""] = group
        else:
            said = f"are all named {group[0].measurement.plate}" if name else "are named by their wells alone"
            warnings.append(f"the images of {len(group)} folders {said}; each is a plate, called as its folder")
            ends = [one.measurement.identifier for one in group]
            for one, end in zip(group, ends, strict=True):
                folder = one.measurement.folder
                plates[name, folder] = [replace(one, called=end if ends.count(end) == 1 else folder)]
    return plates


def _list(folder: Path, most: int | None, *, links: bool = True) -> list[tuple[str, bool]]:
    """Return the names in a folder and which are folders; of the first ``most`` entries, without an error, if given."""
    entries = list_folder(folder) if most is None else glance(folder, most)
    return [(entry.name, entry.is_dir(follow_symlinks=links)) for entry in entries]


def _is_plate_folder(entries: Sequence[tuple[str, bool]]) -> bool:
    return any(
        is_inner_folder(name) if is_folder else name.lower().endswith(_HTD) or parse_image_name(name) is not None
        for name, is_folder in entries
    )


def _plates_below(path: Path, most: int | None = None, depth: int = 0) -> Iterator[Path]:
    """Give the folders of plates at a path: itself, or those below it.

    Parameters
    ----------
    path
        Where to look.
    most
        To tell quickly whether there is a plate: look at so many entries of a folder, and below the first folder into
        those of the database layout only, ``<plate>/<date>/<id>``.
    depth
        How far below the named folder this one is; links to folders are only followed in that one.
    """
    here = _list(path, most, links=depth == 0)
    if _is_plate_folder(here):
        yield path
        return
    for name, is_folder in here:
        is_layout = depth == 0 or _DATE.match(name) is not None or _DATE.match(path.name) is not None
        if is_folder and (most is None or is_layout):
            yield from _plates_below(path / name, most, depth + 1)


def _inside(path: Path) -> Iterator[Path]:
    """Give folders that may hold an HTD file or an image: of the first plates at a path, their first inner ones."""
    for plate in _plates_below(_outermost(path), _ENTRIES):
        yield plate
        inner = [plate / n for n, is_folder in _list(plate, _ENTRIES) if is_folder and is_inner_folder(n)]
        for folder in inner[:2]:
            yield folder
            yield from [folder / n for n, is_folder in _list(folder, _ENTRIES) if is_folder and is_inner_folder(n)][:2]


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


class _Found:
    """The files of an export sorted by folder and plate."""

    def __init__(self, files: ExportFiles, folders: set[str]) -> None:
        self.files = files
        #: (Folder, plate in lower case) -> its images: name, file, time point and Z step.
        self._images: dict[tuple[str, str], list[_Image]] = {}
        #: Folder -> name of an HTD in lower case, without its suffix -> the HTD.
        self._htds: dict[str, dict[str, str]] = {}
        #: Folders of no plate -> how many files in them look like a plate's.
        self._elsewhere: dict[str, int] = {}
        inner: dict[str, tuple[str, int | None, int | None]] = {}
        for file in files:
            folder, _, name = file.rpartition("/")
            if folder not in inner:
                inner[folder] = split_folders(folder)
            plate, timepoint, step = inner[folder]
            parsed = parse_image_name(name)
            is_image = parsed is not None and not parsed.is_thumbnail
            if plate not in folders:
                if is_image or name.lower().endswith(_HTD):
                    self._elsewhere[plate] = self._elsewhere.get(plate, 0) + 1
            elif name.lower().endswith(_HTD):
                # Every folder of an export has a copy; the outermost one counts.
                described, stem = self._htds.setdefault(plate, {}), name[: -len(_HTD)].casefold()
                described[stem] = min(described.get(stem, file), file, key=lambda f: (f.count("/"), f))
            elif parsed is not None and is_image:
                unit = (plate, parsed.plate.casefold())
                self._images.setdefault(unit, []).append((parsed, file, timepoint, step))

    def _htd_of(self, folder: str, plate: str) -> str | None:
        """Return the HTD of a plate: by its name, or the only one beside the only plate."""
        described = self._htds.get(folder, {})
        is_alone = len(described) == 1 and sum(f == folder for f, _ in self._images) == 1
        return described.get(plate) or (next(iter(described.values())) if is_alone else None)

    def left_out(self, named: Path | None) -> list[str]:
        """Say what no plate takes: HTD files without images, and images in folders that are no plate's.

        Raises
        ------
        InvalidDataError
            There is nothing else, or the file that the user named is such an HTD.
        """
        used = {self._htd_of(folder, plate) for folder, plate in self._images}
        unused = [file for described in self._htds.values() for file in described.values() if file not in used]
        meant = None
        if named is not None and named.name.lower().endswith(_HTD):
            inside = named.parent.relative_to(self.files.root).as_posix()
            folder = split_folders("" if inside == "." else inside)[0]
            meant = self._htds.get(folder, {}).get(named.name[: -len(_HTD)].casefold())
        refused = meant if meant in unused else unused[0] if unused and not self._images else None
        if refused is not None:
            self._parse(refused)
            raise InvalidDataError(
                f"{self.files.root / refused} describes a plate of which not one image is there",
                hint="Copy the TIFF files beside the HTD file, with their folders.",
            )
        said = [f"{file} describes a plate of which not one image is there; it is left out" for file in unused]
        if self._elsewhere:
            shown = listed([f"{n} in {folder or '.'}" for folder, n in self._elsewhere.items()], _LIST_AT_MOST)
            said.append(f"files named as MetaXpress names them lie in folders of no plate ({shown}); not read")
        return said

    def measurements(self) -> list[Measurement]:
        """Return the plates, each with the HTD that describes it."""
        return [self._measurement(folder, plate) for folder, plate in self._images]

    def _measurement(self, folder: str, plate: str) -> Measurement:
        there = self._images[folder, plate]
        base = min(1, *(1 if timepoint is None else timepoint for _, _, timepoint, _ in there))
        images = (
            Image(name=name, file=file, timepoint=0 if timepoint is None else timepoint - base, step=step)
            for name, file, timepoint, step in there
        )
        htd_file = self._htd_of(folder, plate)
        return Measurement(
            folder=folder,
            identifier=(self.files.root / folder).name,
            plate=there[0][0].plate,
            images=tuple(images),
            htd=None if htd_file is None else self._parse(htd_file),
            htd_file=htd_file,
        )

    def _parse(self, htd_file: str) -> Htd:
        path = self.files.root / htd_file
        if self.files.sizes[htd_file] > _LARGEST_HTD:
            raise NotAnExportError(f"{path} is too large for an HTD file")
        return parse_htd(read_bytes(path), str(path))
