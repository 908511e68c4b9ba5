"""The bytes of a sheet: a plain or compressed file, and which sheet of a workbook is meant.

``map.xlsx#Plate 1`` is the sheet *Plate 1* of ``map.xlsx``; a file whose own name has a ``#`` is found first. What is
compressed is unpacked here, never to more than a plate map can be.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...errors import InvalidDataError, NotFoundError, StorageError
from ...wording import did_you_mean

#: Bytes of a text table, unpacked; and of a workbook as it lies on the disk.
MAX_BYTES = 128 << 20
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
ZIP = b"PK\x03\x04"

_TEXT = (".csv", ".tsv", ".txt", ".tab")
_BOOKS = (".xlsx", ".xlsm", ".xls")
_PACKED = (".gz", ".bz2", ".xz", ".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetFile:
    """A file that was read.

    Attributes
    ----------
    name
        What messages call it.
    data
        Its bytes, unpacked.
    sha256
        Of its bytes as they lie on the disk.
    folder
        Where it lies.
    sheet
        The sheet that was asked for.
    """

    name: str
    data: bytes
    sha256: str
    folder: Path
    sheet: str | None = None

    @property
    def is_workbook(self) -> bool:
        """Whether this is a workbook, by its first bytes."""
        return self.data.startswith((ZIP, OLD_EXCEL))

    @property
    def stem(self) -> str:
        """The name without what says format and compression: ``map.txt.gz`` is ``map``."""
        return stem_of(self.name)


def stem_of(name: str) -> str:
    """Return a file name without its folders and the endings of text tables, workbooks and compression."""
    name = PurePath(name).name
    for endings in (_PACKED, _TEXT + _BOOKS):
        found = next((e for e in endings if name.lower().endswith(e)), None)
        name = name[: -len(found)] if found else name
    return name


def is_sheet(path: Path | str) -> bool:
    """Whether a path is named like a sheet, perhaps compressed or one of a workbook."""
    name = Path(path).name.lower()
    endings = tuple(f"{text}{packed}" for text in (".csv", ".tsv", ".txt", ".tab") for packed in ("", *_PACKED))
    return name.endswith((*endings, *_BOOKS)) or any(f"{book}#" in name for book in _BOOKS)


def split_sheet(path: Path | str) -> tuple[Path, str | None]:
    """Return the file and the sheet that ``FILE.xlsx#Sheet`` means."""
    whole = str(path)
    if "#" in whole and not Path(whole).exists():
        file, _, sheet = whole.rpartition("#")
        if Path(file).is_file():
            return Path(file), sheet
    return Path(path), None


def open_file(path: Path | str, name: str | None = None) -> SheetFile:
    """Read a file, unpacking it where it is compressed; messages call it ``name``, its own where None.

    Raises
    ------
    NotFoundError
        There is no such file.
    StorageError
        It cannot be read.
    InvalidDataError
        It is a folder, too large, or its compression is damaged.
    """
    place, sheet = split_sheet(path)
    if place.is_dir():
        raise InvalidDataError(f"{place} is a folder, not a sheet", hint="Name the files in it.")
    if not place.is_file():
        raise NotFoundError(f"there is no file {place}{_neighbour(place)}")
    if place.stat().st_size > MAX_BYTES:
        raise InvalidDataError(f"{place} has {place.stat().st_size:,} bytes; a plate map has less than {MAX_BYTES:,}")
    try:
        data = place.read_bytes()
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror}") from error
    name = name or place.name
    return SheetFile(
        name=name,
        data=unpack(data, name),
        sha256=hashlib.sha256(data).hexdigest(),
        folder=place.parent,
        sheet=sheet,
    )


def names_of(paths: Iterable[Path]) -> dict[Path, str]:
    """Return what messages call files: by their name, with as many of their folders as tell two of one name apart."""
    parts = {path: path.absolute().parts for path in paths}
    depth = dict.fromkeys(parts, 1)
    while True:
        names = {path: "/".join(parts[path][-depth[path] :]) for path in parts}
        count = Counter(names.values())
        unclear = [path for path, name in names.items() if count[name] > 1 and depth[path] < len(parts[path])]
        if not unclear:
            return names
        for path in unclear:
            depth[path] += 1


def unpack(data: bytes, name: str) -> bytes:
    """Return the bytes inside gzip, bzip2, xz, or a ZIP file of one text table; others come back as they are.

    Raises
    ------
    InvalidDataError
        The compression is damaged, or unpacks to more than :data:`MAX_BYTES`.
    """
    try:
        if data.startswith(b"\x1f\x8b"):
            return _bounded(gzip.GzipFile(fileobj=io.BytesIO(data)), name)
        if data.startswith(b"BZh"):
            return _bounded(bz2.BZ2File(io.BytesIO(data)), name)
        if data.startswith(b"\xfd7zXZ\x00"):
            return _bounded(lzma.LZMAFile(io.BytesIO(data)), name)
        if data.startswith(ZIP):
            return _of_zip(data, name)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(f"{name} is a compressed file or a workbook, and is damaged: {error}") from error
    except (RuntimeError, ValueError, LookupError) as error:  # a password; names that no archive has
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(f"{name} cannot be unpacked: {error}") from error
    return data


def _bounded(file: io.BufferedIOBase | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile, name: str) -> bytes:
    data: bytes = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidDataError(f"{name} unpacks to more than {MAX_BYTES:,} bytes; a plate map has less")
    return data


def _of_zip(data: bytes, name: str) -> bytes:
    """Return a workbook as it is, and the one text table of any other ZIP file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/")]
        if any(n.startswith("xl/") for n in names):
            return data
        if "mimetype" in names:
            raise InvalidDataError(
                f"{name} is an OpenDocument file", hint="Save it as XLSX or CSV (UTF-8) and name that file."
            )
        tables = [n for n in names if n.lower().endswith(_TEXT) and not n.startswith("__MACOSX/")]
        if len(tables) != 1:
            raise InvalidDataError(
                f"{name} is a ZIP file with {len(tables)} text tables in it", hint="Unpack it and name the files."
            )
        with archive.open(tables[0]) as file:
            return _bounded(file, name)  # type: ignore[arg-type]


def _neighbour(place: Path) -> str:
    try:
        names = [p.name for p in place.parent.iterdir()][:1000]
    except OSError:
        return ""
    return did_you_mean(place.name.partition("#")[0], names)
