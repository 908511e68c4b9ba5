"""Which documents an OME-TIFF plate is told by: companions first, then files that no document before has told of.

A set of many files holds the same document in each, or a pointer to a companion (``BinaryOnly``): it is read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import NotAnExportError
from ..planes import ExportFiles, safe_path
from ..sources import list_folder
from .ome_model import OmeDocument
from .ome_planes import OmeSource, file_of
from .ome_tiff_files import companion_of, is_ome_tiff, is_plain_tiff, is_xml, read_document


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Documents in the order of their files, the files of the export, and the document of the file that was named."""

    files: ExportFiles
    sources: tuple[OmeSource, ...]
    named: OmeSource | None = None


def load_folder(folder: Path) -> Loaded:
    """Read the documents of a folder and of the folders below it; raises as :func:`load_set`."""
    files = ExportFiles(folder)
    return Loaded(files=files, sources=tuple(_sources(files, list(files), None)))


def load_set(path: Path) -> Loaded:
    """Read the document of a file, and those beside it, which may tell of the same plate.

    Raises
    ------
    NotAnExportError
        The file holds no OME-XML.
    CytolakeError
        A document is broken, or a companion is not there.
    """
    document = read_document(path)
    companion = companion_of(path, document) if document else None
    if companion is not None:
        path, document = companion, read_document(companion)
    if document is None:
        raise NotAnExportError(f"{path} holds no OME-XML", hint="Name a .ome.tif file or a companion.")
    # Folders beside the file are none of its business, unless it names files in them.
    folders = {
        safe_path(data.file, f"{path}, image {image.id},").split("/")[0].lower()
        for image in document.images
        for data in image.tiff_data
        if data.file
    }
    beside = {entry.name.lower() for entry in list_folder(path.parent) if entry.is_dir()}
    files = ExportFiles(path.parent, skip=beside - folders)
    named = OmeSource(document=document, name=str(path), path=path.name, is_tiff=not is_xml(path.name))
    # A companion tells of all of its set: other files here are of other sets.
    here = [path.name] if is_xml(path.name) else [name for name in files if "/" not in name]
    return Loaded(files=files, sources=tuple(_sources(files, here, named)), named=named)


def _sources(files: ExportFiles, names: Sequence[str], named: OmeSource | None) -> Iterator[OmeSource]:
    """Give the documents of some files; ``named`` has been read already."""
    told: set[str] = set()
    found = False
    xml, tiff = [n for n in names if is_xml(n)], [n for n in names if is_ome_tiff(n)]
    # Other TIFF files are looked into where there is nothing better.
    for name in (*xml, *tiff, *[n for n in names if is_plain_tiff(n)]):
        if name in told or (found and is_plain_tiff(name) and (xml or tiff)):
            continue
        path = files.root / name
        if named is not None and name == named.path:
            source = named
        else:
            document = read_document(path)
            if document is None or companion_of(path, document) is not None or _is_of_scanr(document):
                continue
            source = OmeSource(document=document, name=str(path), path=name, is_tiff=not is_xml(name))
        found = True
        own = _named_files(files, source)
        # A TIFF may repeat its companion, and hold one more image, of no well: a CQ1 writes such.
        if source.is_tiff and own - {name} and own - {name} <= told:
            continue
        told.update(own)
        yield source


def _named_files(files: ExportFiles, source: OmeSource) -> set[str]:
    """Return the files that a document tells of; what names none in a companion is no file's."""
    return {
        files.find(file_of(data, image, source))[0]
        for image in source.document.images
        for data in image.tiff_data
        if data.file or source.is_tiff
    }


def _is_of_scanr(document: OmeDocument) -> bool:
    return "scanr" in (document.creator or "").lower()
