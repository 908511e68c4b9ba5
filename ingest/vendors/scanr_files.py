"""Where a ScanR experiment keeps its files, and its images where only their names describe them (older versions)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ...errors import CytolakeError, NotAnExportError, SourceFileError, StorageError
from ..planes import ExportFiles
from ..sources import glance, list_folder, open_source
from .ome_model import OmeChannel, OmeImage, OmePlane, OmeTiffData
from .ome_xml import ome_root
from .safe_xml import xml_root
from .scanr_descriptor import ScanrExperiment
from .scanr_names import SIGNATURE, ScanrFile, parse_file_name

OME_NAME, DESCRIPTORS = "metadata.ome.xml", ("experiment_descriptor.xml", "experiment_descriptor.dat")
DATA = "data"
_FIRST_BYTES = 1 << 16
#: How many names of a folder are looked at to tell what it is.
_LOOKED_AT = 500
_MOST_FOLDERS = 200
_TRIED_IMAGES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One experiment: its folder, its images' folder, its index, and how sure we are of it, with the reason.

    The index is the folder of the images where there are only images.
    """

    root: Path
    images: Path
    index: Path
    confidence: float
    fact: str

    @property
    def descriptors(self) -> list[Path]:
        """The experiment descriptors that are there."""
        places = dict.fromkeys((self.root, self.images))
        return [place / name for place in places for name in DESCRIPTORS if (place / name).is_file()]

    def relative(self, path: Path) -> str:
        """Return a path below the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def list_files(self) -> ExportFiles:
        """List the files of the experiment; folders beside the images are none of it."""
        beside = {e.name.lower() for e in list_folder(self.root) if e.is_dir() and Path(e.path) != self.images}
        return ExportFiles(self.root, skip=beside)


def find_experiments(path: Path, *, quick: bool = False) -> Iterator[Found]:
    """Give the experiment at a path, or those in the folders directly below it.

    Parameters
    ----------
    path
        A file or a folder.
    quick
        Look at so many names only as tell what this is, and pass over what cannot be read.

    Raises
    ------
    StorageError
        A folder or an index cannot be read, and this is no quick look.
    """
    path = path.absolute()
    found = _at_file(path, quick) if path.is_file() else _at_folder(path, quick)
    if found is not None:
        yield found
    elif path.is_dir():
        for below in glance(path, _MOST_FOLDERS) if quick else list_folder(path):
            if below.is_dir() and (found := _at_folder(Path(below.path), quick)) is not None:
                yield found


def _at_file(path: Path, quick: bool) -> Found | None:
    if path.name.lower() in DESCRIPTORS or path.name.lower().endswith(".ome.xml"):
        return _with_index(path, path.parent / DATA if (path.parent / DATA).is_dir() else path.parent, quick)
    if parse_file_name(path.name) is not None:
        return _at_folder(path.parent, quick)
    return None


def _at_folder(folder: Path, quick: bool) -> Found | None:
    try:
        return _experiment_in(folder, quick)
    except CytolakeError:
        raise
    except OSError as error:
        if quick:
            return None
        raise StorageError(f"the folder {folder} cannot be looked into: {error.strerror}") from error


def _experiment_in(folder: Path, quick: bool) -> Found | None:
    images = next((folder / n for n in (DATA, DATA.capitalize(), DATA.upper()) if (folder / n).is_dir()), folder)
    root = folder.parent if images == folder and folder.name.lower() == DATA else folder
    for index in (images / OME_NAME, folder / OME_NAME, *(p / d for p in (images, root) for d in DESCRIPTORS)):
        if index.is_file() and (found := _with_index(index, images, quick)) is not None:
            return found
    entries = glance(images, _LOOKED_AT) if quick else list_folder(images)
    named = next((e for e in entries if parse_file_name(e.name) is not None), None)
    if named is None:
        return None
    return Found(root=root, images=images, index=images, confidence=0.8, fact=f"images are called as {named.name}")


def _with_index(index: Path, images: Path, quick: bool) -> Found | None:
    """Return the experiment of an index; confidence 0 where it is something else, None where it is not ScanR's."""
    folder = index.parent
    root = folder.parent if folder.name.lower() == DATA else folder
    images = folder if folder.name.lower() == DATA else images

    def found(confidence: float, fact: str) -> Found:
        return Found(root=root, images=images, index=index, confidence=confidence, fact=f"{index.name}: {fact}")

    try:
        with index.open("rb") as file:
            first = file.read(_FIRST_BYTES)
        if index.name.lower().endswith(".ome.xml"):
            opens = ome_root(first, index.name)
            if SIGNATURE.search(first) is None:
                return found(0.0, "an OME-XML, and nothing in it is ScanR's")
            return found(1.0, f"OME-XML by {opens.attributes.get('Creator', 'ScanR')}")
        if index.suffix.lower() == ".dat" and not first.lstrip().startswith(b"<"):
            return None
        return found(1.0, str(xml_root(_without_declaration(first), index.name)))
    except NotAnExportError as error:
        return found(0.0, error.message)
    except OSError as error:
        if quick:
            return found(0.0, f"cannot be read: {error.strerror}")
        raise StorageError(f"{index} cannot be read: {error.strerror}") from error


def _without_declaration(first: bytes) -> bytes:
    """Drop a declaration, whose encoding may be wrong; names of elements are ASCII in any."""
    start = first.find(b"?>") + 2 if first.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<?xml") else 0
    return first[start:].decode("latin-1").encode()


def images_of_files(
    found: Found, files: ExportFiles, experiment: ScanrExperiment | None
) -> tuple[list[tuple[ScanrFile, OmeImage]], list[str]]:
    """Return the images that file names describe, with one file of each, and what is odd.

    With a descriptor, a well that was imaged is promised every position and channel of it; without one, only what is
    there is.

    Raises
    ------
    NotAnExportError
        No file has a name of ScanR's.
    SourceFileError
        No image can be read, to tell their size.
    """
    folder = "" if found.images == found.root else found.relative(found.images) + "/"
    named = {
        file[len(folder) :]: parsed
        for file in files
        if file.startswith(folder) and "/" not in file[len(folder) :] and (parsed := parse_file_name(file)) is not None
    }
    if not named:
        raise NotAnExportError(
            f"{found.images} holds no image called as ScanR does (B2--W00014--P00001--Z00000--T00000--DAPI.tif)",
            hint="Name the folder of the experiment, with its images in the folder data.",
        )
    (height, width), kind = _format([found.images / name for name in named])
    experiment = experiment or ScanrExperiment()
    there = {one.channel for one in named.values()}
    exposures = {c.name: c.exposure_ms for c in experiment.channels}
    channels = [c.name for c in experiment.channels if c.name in there]
    channels += sorted(there - set(channels))
    by_field: dict[tuple[int, int], dict[tuple[int, int, int], str]] = {}
    for name, one in named.items():
        by_field.setdefault((one.well_number, one.position), {})[channels.index(one.channel), one.z, one.t] = name
    prefixes = {one.well_number: one for one in named.values()}
    if experiment.positions:
        # Depths and times are those seen: a run that was stopped promises no more.
        seen = {place for fields in by_field.values() for place in fields}
        for number in prefixes:
            for position in range(1, len(experiment.positions) + 1):
                fields = by_field.setdefault((number, position), {})
                for c, z, t in seen:
                    fields.setdefault((c, z, t), _file_name(prefixes[number], position, channels[c], z, t))
    images = []
    for (number, position), planes in sorted(by_field.items()):
        said = {}
        known = position <= len(experiment.positions)
        place = experiment.positions[position - 1] if known and position else None
        x_um, y_um = place or (None, None)
        for c, z, t in planes:
            exposure = exposures.get(channels[c])
            said[c, z, t] = OmePlane(
                x_um=x_um,
                y_um=y_um,
                delta_s=None if experiment.time_interval_s is None else t * experiment.time_interval_s,
                exposure_s=None if exposure is None else exposure / 1000,
            )
        images.append((
            ScanrFile(
                prefix=prefixes[number].prefix, well_number=number, position=position, z=0, t=0, channel=channels[0]
            ),
            OmeImage(
                id=f"W{number}P{position}",
                name=None,
                acquired_at=None,
                size_x=width,
                size_y=height,
                size_z=1 + max(z for _, z, _ in planes),
                size_c=len(channels),
                size_t=1 + max(t for _, _, t in planes),
                order="XYCZT",
                type=kind,
                channels=tuple(OmeChannel(name=name) for name in channels),
                planes=said,
                tiff_data=tuple(
                    OmeTiffData(c=c, z=z, t=t, ifd=0, count=1, file=file) for (c, z, t), file in sorted(planes.items())
                ),
                pixel_size_x_um=experiment.pixel_size_um,
                pixel_size_y_um=experiment.pixel_size_um,
            ),
        ))  # fmt: skip
    gone = len(set(experiment.wells) - set(prefixes))
    warnings = [f"{gone} of {len(experiment.wells)} selected wells have no image: they are left out"] if gone else []
    return images, warnings


def _file_name(like: ScanrFile, position: int, channel: str, z: int, t: int) -> str:
    prefix = f"{like.prefix}--" if like.prefix else ""
    return f"{prefix}W{like.well_number:05d}--P{position:05d}--Z{z:05d}--T{t:05d}--{channel}.tif"


def _format(paths: Sequence[Path]) -> tuple[tuple[int, int], str]:
    """Return size and type of the pixels of the first image that can be read."""
    last: SourceFileError | None = None
    for path in paths[:_TRIED_IMAGES]:
        try:
            with closing(open_source(path)) as source:
                shape, dtype = source.plane_format()
        except SourceFileError as error:
            last = error
            continue
        return shape, dtype.name
    raise last or SourceFileError("there is no image")
