"""Walking an OME-Zarr plate on the disk: its wells, their images, and the arrays that are there.

Only documents are read, and of each image the names of the files of its full-size array: labels, tables and the other
levels of the pyramid are neither listed nor opened.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ...errors import SourceFileError, StorageError
from ..planes import safe_path
from ..sources.base import glance, list_folder, read_bytes
from ..sources.zarr_layout import StoredChunks, ZarrLayout, find_document, is_there, parse_array, stored_chunks
from .ome_zarr_meta import ZarrImage, ZarrPlate, ZarrWell, group_kind, parse_image, parse_well

_GROUP_DOCUMENTS = ("zarr.json", ".zattrs")
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """One image that a well lists.

    ``image`` is None where it is not there, ``layout`` and ``stored`` where its array is not. Paths are relative to
    the plate. ``acquisition`` is the plate's own number.
    """

    well: ZarrWell
    name: str
    acquisition: int
    path: str
    image: ZarrImage | None
    layout: ZarrLayout | None
    stored: StoredChunks | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPlate:
    """What lies in a plate: its images, and the documents that were read (relative to the plate)."""

    images: tuple[FoundImage, ...]
    documents: tuple[str, ...]


def group_document(folder: Path) -> Path | None:
    """Return the document of the group in a folder, None where there is none; StorageError where nobody may look."""
    return next((folder / name for name in _GROUP_DOCUMENTS if is_there(folder / name)), None)


def find_plates(path: Path, *, most: int | None = None) -> list[Path]:
    """Return the documents of the plates at ``path``: of the folder itself, or of the plates directly below it.

    The document of a folder that is a group but no plate is returned too, so that one can say what it is.

    Parameters
    ----------
    most
        Look at so many entries of the folder and pass over what cannot be read: enough to tell what it is. All plates
        are found when None.

    Raises
    ------
    StorageError, SourceFileError
        A folder, or a document that may be that of a plate, cannot be read; only when ``most`` is None.
    """
    strict = most is None
    if path.is_file():
        return [path] if path.name in (*_GROUP_DOCUMENTS, ".zgroup") and _look(path.parent, strict=strict)[0] else []
    own, is_plate = _look(path, strict=strict)
    if own is not None and is_plate:
        return [own]
    entries = list_folder(path) if most is None else glance(path, most)
    looks = [_look(Path(entry.path), strict=strict) for entry in entries]
    found = [document for document, is_plate in looks if document is not None and is_plate]
    return found or ([own] if own is not None else [])


def _look(folder: Path, *, strict: bool) -> tuple[Path | None, bool]:
    """Return the document of the group in a folder, and whether it is that of a plate."""
    document = None
    try:
        document = group_document(folder)
        return document, document is not None and group_kind(read_bytes(document), str(document)) == "plate"
    except (StorageError, SourceFileError):
        if strict:
            raise
        return document, False


def walk_plate(root: Path, plate: ZarrPlate, warnings: list[str]) -> FoundPlate:
    """Look at every well and image that a plate lists.

    Parameters
    ----------
    warnings
        Gets what is listed and not there, and what is there and not taken.

    Raises
    ------
    SourceFileError, InvalidDataError
        A document is damaged, or a path leaves the plate.
    """
    return _Walk(root, warnings).plate(plate)


class _Walk:
    def __init__(self, root: Path, warnings: list[str]) -> None:
        self._root = root
        self._warnings = warnings
        self._documents: list[str] = []
        self._others: dict[str, Counter[str]] = {"labels": Counter(), "tables": Counter()}
        self._further = 0

    def plate(self, plate: ZarrPlate) -> FoundPlate:
        absent = []
        images: list[FoundImage] = []
        for well in plate.wells:
            path = safe_path(well.path, f"{self._root}: a well")
            document = group_document(self._root / path)
            if document is None:
                absent.append(path)
                continue
            for field in parse_well(self._read(document), str(document)):
                name = safe_path(field.path, f"{document}: an image")
                images.append(self._image(well, name, field.acquisition or 0, f"{path}/{name}"))
        if absent:
            self._warnings.append(
                f"{len(absent)} wells are listed and not there: {', '.join(absent[:_SHOWN])}"
                + (" …" if len(absent) > _SHOWN else "")
            )
        for kind, names in self._others.items():
            if names:
                listed = ", ".join(f"{name} (in {count} images)" for name, count in names.most_common(10))
                self._warnings.append(f"{kind} are not taken with the images: {listed}")
        if self._further:
            self._warnings.append(f"{self._further} images have several multiscales; the first of each is taken")
        return FoundPlate(images=tuple(images), documents=tuple(self._documents))

    def _image(self, well: ZarrWell, name: str, acquisition: int, path: str) -> FoundImage:
        folder = self._root / path
        document = group_document(folder)
        image = layout = stored = None
        if document is not None:
            image = parse_image(self._read(document), str(document))
            self._further += image.others > 0
            path = f"{path}/{safe_path(image.path, f'{document}: the first level')}"
            array = find_document(self._root / path)
            if array is not None:
                layout = parse_array(self._read(array), str(array))
                stored = stored_chunks(self._root / path, layout)
            for kind, names in self._others.items():
                names.update(_folders(folder / kind))
        return FoundImage(
            well=well, name=name, acquisition=acquisition, path=path, image=image, layout=layout, stored=stored
        )

    def _read(self, document: Path) -> bytes:
        self._documents.append(document.relative_to(self._root).as_posix())
        return read_bytes(document)


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in list_folder(folder) if entry.is_dir()] if folder.is_dir() else []
