"""OME-XML where OME-TIFF keeps it: in the first page of a TIFF, or in a companion file beside it.

Of a TIFF only its header is read, however large it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import tifffile

from ...errors import NotAnExportError, SourceFileError, StorageError
from ..planes import safe_path
from ..sources import glance
from ..sources.base import guard
from .ome_model import OmeDocument
from .ome_tiff_names import PLAIN_TIFF_ENDS, TIFF_ENDS, XML_ENDS
from .ome_xml import ome_root, parse_ome_xml

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_FIRST_BYTES = 1 << 16
_LARGEST_XML = 1 << 30
_NO_TIFF = "is no readable TIFF"
#: How many entries of a folder, and how many folders below it, are looked at to tell what it is.
_LOOKED_AT, _FOLDERS = 1000, 20


def is_xml(name: str) -> bool:
    """Tell whether a file's name may be that of a companion."""
    return name.lower().endswith(XML_ENDS)


def is_ome_tiff(name: str) -> bool:
    """Tell whether a file's name is that of an OME-TIFF."""
    return name.lower().endswith(TIFF_ENDS)


def is_plain_tiff(name: str) -> bool:
    """Tell whether a file's name is that of any other TIFF."""
    return name.lower().endswith(PLAIN_TIFF_ENDS) and not is_ome_tiff(name)


def is_ours(name: str) -> bool:
    """Tell whether a name is nobody's but OME-TIFF's."""
    return is_ome_tiff(name) or name.lower().endswith(".ome")


def may_hold_xml(name: str) -> bool:
    """Tell whether a file's name is one that OME-XML may be found in."""
    return is_xml(name) or is_ome_tiff(name) or is_plain_tiff(name)


def ome_xml_of(path: Path, *, most: int = _LARGEST_XML) -> bytes | None:
    """Return the OME-XML in a TIFF's first page or in a companion, as UTF-8; None where there is none.

    Parameters
    ----------
    path
        The file.
    most
        Read no more of a companion than so many bytes.

    Raises
    ------
    SourceFileError
        The file is no readable TIFF, or too large to be metadata.
    StorageError
        It cannot be read.
    """
    if is_xml(path.name):
        return _xml(path, most)
    with guard(str(path), _NO_TIFF), tifffile.TiffFile(path) as file:
        if not len(file.pages):
            raise SourceFileError(f"{path} has no page")
        page = file.pages.first
        tag = page.tags.get("ImageDescription")
        value = tag.value if tag is not None else ""
        if tag is None and is_ome_tiff(path.name):
            raise SourceFileError(
                f"{path} is called an OME-TIFF and holds no OME-XML; it may be cut off", hint="Copy the file again."
            )
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = _DECLARATION.sub("", text.strip("\0 \t\r\n"))
    # Other writers' descriptions may hold the word OME; the element is what counts, whatever its prefix.
    if re.search(r"<(?:\w+:)?OME[\s>]", text[:_FIRST_BYTES]) is None:
        return None
    return text.lstrip().encode("utf-8", "replace")


def _xml(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            first, size = file.read(_FIRST_BYTES), os.fstat(file.fileno()).st_size
            try:
                ome_root(first, str(path))
            except NotAnExportError:
                # A companion that is empty or broken is one nevertheless, and is told to be.
                if path.name.lower().endswith(".companion.ome"):
                    raise
                return None
            # A buffer is made for as many bytes as are asked for, whether or not they are there.
            rest = file.read(min(most, _LARGEST_XML, max(size - len(first), 0)))
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    if size > _LARGEST_XML:
        raise SourceFileError(f"{path} is larger than {_LARGEST_XML} bytes, no metadata")
    return first + rest


def read_document(path: Path) -> OmeDocument | None:
    """Return the document in a file, None where there is none; raises as the parser."""
    data = ome_xml_of(path)
    return None if data is None else parse_ome_xml(data, str(path))


def companion_of(path: Path, document: OmeDocument) -> Path | None:
    """Return the file that holds the metadata of a ``BinaryOnly`` document, None for any other.

    Raises
    ------
    SourceFileError
        It lies outside the folder, or is not there.
    """
    if document.metadata_file is None or document.images:
        return None
    found = path.parent / safe_path(document.metadata_file, f"{path}, <BinaryOnly>,")
    if not found.is_file():
        raise SourceFileError(
            f"{path} holds pixels only; its metadata are in {found.name}, which is not beside it",
            hint="Copy the companion file of the set beside its TIFF files.",
        )
    return found


def check_whole(path: Path, pages: int) -> None:
    """Refuse a TIFF that ends before its last plane does.

    Raises
    ------
    SourceFileError
        It has fewer pages than ``pages``, or the pixels of one lie behind its end.
    """
    size = path.stat().st_size
    with guard(str(path), _NO_TIFF), tifffile.TiffFile(path) as file:
        found = len(file.pages)
        last = file.pages[pages - 1] if found >= pages else None
        ends = [
            offset + count
            for page in (file.pages.first, last)
            if page is not None
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        ]
    if last is None or max(ends, default=0) > size:
        raise SourceFileError(
            f"{path} is cut off: its metadata tell of {pages} pages, and it ends within them ({found} found)",
            hint="Copy the file again from the microscope's export.",
        )


def candidates(folder: Path) -> list[Path]:
    """Return some files of a folder that may hold OME-XML, the likeliest first; looks at a bounded number of names."""
    here = [Path(e.path) for e in glance(folder, _LOOKED_AT)]
    files = [e for e in here if e.is_file()]
    below = [e for e in here if e.is_dir()][:_FOLDERS]
    for sub in below:
        files += [Path(e.path) for e in glance(sub, _LOOKED_AT // _FOLDERS) if e.is_file()]
    kinds = (
        [f for f in files if f.name.lower().endswith((".companion.ome", ".ome.xml", ".ome"))],
        [f for f in files if is_ome_tiff(f.name)],
        [f for f in files if is_plain_tiff(f.name)],
        [f for f in files if f.name.lower().endswith(".xml") and not f.name.lower().endswith(".ome.xml")],
    )
    return [file for kind in kinds for file in kind]
