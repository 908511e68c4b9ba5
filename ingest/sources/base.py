"""What a plane source is, and a file that several threads read piece by piece.

A plane is whole or it is an error. Readers of vendor formats like to fill what is absent or cut off with zeros
(czifile, nd2 and tifffile all do); zeros that nobody measured would be biology later, so every offset and length is
checked here against the file before a decoder sees a byte.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import CytolakeError, SourceFileError, StorageError

#: Types of pixels that a plane may have.
PIXEL_TYPES = ("uint8", "uint16")
#: Rows and columns, and the type of the pixels.
PlaneFormat = tuple[tuple[int, int], np.dtype[Any]]
HINT = "Copy the file again from the microscope's export."
_CHUNK = 1 << 22


class PlaneSource(Protocol):
    """The planes of one file, numbered from 0; safe to use from several threads.

    ``count`` is the number of planes in the file, ``held_bytes`` what it keeps in memory as long as it is open,
    ``stamp`` its bytes and time of change when it was opened.
    """

    path: str
    stamp: tuple[int, int]

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits."""
        ...

    @property
    def count(self) -> int:
        """How many planes there are."""
        ...

    @property
    def held_bytes(self) -> int:
        """Bytes kept in memory while it is open."""
        ...

    def plane_format(self, number: int = 0) -> PlaneFormat:
        """Return shape and type of a plane, from its header; raises SourceFileError when it is none."""
        ...

    def read_plane(self, number: int, out: npt.NDArray[Any]) -> None:
        """Decode a plane into ``out``, or raise SourceFileError; ``out`` is then undefined."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


def refusal(path: str, why: str, *, hint: str = HINT) -> SourceFileError:
    """Return the error that says what is wrong with a file."""
    return SourceFileError(f"{path} {why}", hint=hint)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of an index or another document of an export.

    Raises
    ------
    StorageError
        It cannot be read, or is no file: a pipe would be waited for.
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        data = path.read_bytes() if is_file else b""
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    if not is_file:
        raise StorageError(f"{path} cannot be read: it is no file", hint="Copy the export again, as files.")
    return data


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, by name, without hidden entries (``.DS_Store``, ``._A01.tif``).

    Pipes, sockets and devices are left out as well: they hold no data, and reading them may never end.

    Raises
    ------
    StorageError
        It cannot be listed: what is in it would be lost in silence.
    """
    name = ""
    try:
        with os.scandir(folder) as listing:
            found = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda e: e.name)
        kept = []
        for entry in found:
            name = f": {entry.name}"
            if not is_unicode(entry.name):
                raise StorageError(
                    f"the folder {folder} cannot be listed: the name {entry.name!r} is not UTF-8",
                    hint="Rename it (`convmv -f latin1 -t utf8 --notest` does so for whole folders).",
                )
            # What is_dir finds is kept by the entry; a link into a folder that may not be looked into raises here.
            if entry.is_dir() or _holds_data(entry):
                kept.append(entry)
    except CytolakeError:
        raise
    except OSError as error:
        hint = "Remove that link, or mend it." if error.errno == errno.ELOOP else None
        raise StorageError(f"the folder {folder} cannot be listed{name}: {error.strerror}", hint=hint) from error
    return kept


def is_unicode(name: str) -> bool:
    """Whether the name of a file can be written down; what was copied from old systems may not be UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _holds_data(entry: os.DirEntry[str]) -> bool:
    """Whether what is no folder may be read: a file, or a link to nowhere, of which whoever opens it tells."""
    if entry.is_file():
        return True
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except FileNotFoundError:
        return True


def glance(folder: Path, most: int | None) -> list[os.DirEntry[str]]:
    """Return the first ``most`` entries of a folder; none where it may not be looked into.

    For telling what a folder is, which is quick and never an error; who reads it asks :func:`list_folder`.
    """
    found: list[os.DirEntry[str]] = []
    with suppress(OSError), os.scandir(folder) as listing:
        for entry in islice((entry for entry in listing if not entry.name.startswith(".")), most):
            with suppress(OSError):  # a link into a folder that may not be looked into
                if is_unicode(entry.name) and (entry.is_dir() or _holds_data(entry)):
                    found.append(entry)
    return sorted(found, key=lambda entry: entry.name)


@contextmanager
def guard(path: str, doing: str) -> Iterator[None]:
    """Turn what libraries raise on damaged bytes, which is anything, into our error."""
    try:
        yield
    except (CytolakeError, MemoryError):
        raise
    except OSError as error:  # of the disk or the network, if it has a number: a library's own have none
        if error.errno is not None:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
        raise refusal(path, f"{doing}: {error}") from error
    except Exception as error:
        raise refusal(path, f"{doing}: {error or type(error).__name__}") from error


def check_pixels(path: str, what: str, format_: PlaneFormat, out: npt.NDArray[Any]) -> None:
    """Refuse a plane that is not of the size and type that the rest of its plate has."""
    shape, dtype = format_
    if shape != out.shape or dtype != out.dtype:
        raise refusal(
            path,
            f"{what} is {shape[0]} × {shape[1]} {dtype.name}, not {out.shape[0]} × {out.shape[1]} "
            f"{out.dtype.name} as the rest of its plate",
        )


class OpenFile:
    """A file of any size, read piece by piece from any thread.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    SourceFileError
        When the file is absent.
    StorageError
        When it cannot be read (no permission, a disk or network error): that is no property of the file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115  # Path.open buffers; close() closes
        except (FileNotFoundError, IsADirectoryError) as error:
            raise refusal(self.path, "is not there") from error
        except OSError as error:
            raise self._unreadable(error) from error
        status = os.fstat(self._file.fileno())
        self.size = status.st_size
        #: Changes when the file does.
        self.stamp = (status.st_size, status.st_mtime_ns)
        self._sha256: str | None = None
        self._hashing = threading.Lock()

    def _unreadable(self, error: OSError) -> StorageError:
        return StorageError(f"{self.path} cannot be read: {error.strerror or error}")

    def read(self, offset: int, count: int) -> bytes:
        """Return exactly ``count`` bytes.

        Raises
        ------
        SourceFileError
            The file ends before.
        """
        if offset < 0 or count < 0 or offset + count > self.size:
            raise refusal(self.path, f"is cut off: {offset + count} bytes are needed, the file has {self.size}")
        parts: list[bytes] = []
        while count:
            try:
                part = os.pread(self._file.fileno(), count, offset)
            except OSError as error:
                raise self._unreadable(error) from error
            if not part:
                raise refusal(self.path, f"became shorter while it was read: it ends at byte {offset}")
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, streamed once; other threads wait for the first."""
        with self._hashing:
            if self._sha256 is None:
                digest = hashlib.sha256()
                for offset in range(0, self.size, _CHUNK):
                    digest.update(self.read(offset, min(_CHUNK, self.size - offset)))
                self._sha256 = digest.hexdigest()
            return self._sha256

    def close(self) -> None:
        """Close the file."""
        self._file.close()
