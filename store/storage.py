"""The one seam between the lake and where its bytes live: a folder, or a bucket's prefix.

Everything above says *what* to read or write by a path relative to the lake root; only :mod:`.local` and
:mod:`.s3` know *how*. Paths use ``/``, never start with one and never contain ``..``. A storage is small and
picklable, so it travels to Dask workers.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..errors import AlreadyExistsError, ConfigurationError, NotFoundError, StorageError, UsageError

if TYPE_CHECKING:
    import pyarrow.fs

STAGING = "staging"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
# Characters with which deltalake panics or loses its history, and which DuckDB takes for a pattern (tried).
_MISREAD = re.compile(r"[\[\]^|*?#\\]|%[0-9A-Fa-f]{2}")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
Paths: TypeAlias = list[str]  # inside the classes, ``list`` is a method


class Check(NamedTuple):
    """One thing that the storage must be able to do, and whether it can."""

    name: str
    ok: bool
    detail: str
    repair: str


class Stored(NamedTuple):
    """One file: its path relative to the lake root, its bytes, and when it was written (seconds since 1970)."""

    path: str
    size: int
    modified: float


Checks: TypeAlias = list[Check]
#: What is another one when a file is replaced: size and time of writing, and what else the storage has to tell by.
Stamp: TypeAlias = tuple[int | str | float | None, ...]
Stamps: TypeAlias = list[Stamp | None]
StoredFiles: TypeAlias = list[Stored]


def relative(path: str) -> str:
    """Return ``path`` if it is a safe relative path (or empty, for the root), else raise ``UsageError``."""
    if path.startswith("/") or "\0" in path or any(part in {".", ".."} for part in path.split("/")):
        raise UsageError(f"{path!r} is no path relative to the lake root")
    return path.rstrip("/")


class Storage(ABC):
    """Where the bytes of one lake live.

    Attributes
    ----------
    url
        An absolute folder path, or ``s3://bucket/prefix``; without a trailing slash.
    is_local
        Whether the lake is a folder of this machine's file system.
    """

    url: str
    is_local: bool

    def uri(self, path: str) -> str:
        """Return what other libraries (DuckDB, deltalake) open: an absolute path, or an ``s3://`` URL."""
        path = relative(path)
        return f"{self.url}/{path}" if path else self.url

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is a file at ``path``, or anything below it."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Return the bytes of one file; ``NotFoundError`` when it is not there."""

    @abstractmethod
    def write(self, path: str, data: bytes, *, if_absent: bool = False) -> None:
        """Write one file so that it is there wholly or not at all, also after a power cut.

        With ``if_absent`` the first of several writers wins and the others get ``AlreadyExistsError``.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Paths:
        """Return the paths of all files below ``prefix``, sorted; an absent prefix has none."""

    @abstractmethod
    def entries(self, prefix: str = "") -> StoredFiles:
        """Return the same files with their sizes and times, in any order."""

    @abstractmethod
    def children(self, prefix: str = "") -> Paths:
        """Return the names (not paths) of files and folders directly below ``prefix``, sorted."""

    @abstractmethod
    def size(self, path: str) -> int:
        """Return the number of bytes of one file; ``NotFoundError`` when it is not there."""

    @abstractmethod
    def stamps(self, paths: Iterable[str]) -> Stamps:
        """Return for each of a few files what changes when it is replaced; None for one that is not there."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove one file; one that is absent already is no error."""

    def delete_all(self, paths: Iterable[str]) -> None:
        """Remove several files; those that are absent already are no error."""
        for path in paths:
            self.delete(path)

    @abstractmethod
    def delete_tree(self, prefix: str) -> None:
        """Remove everything below ``prefix``; in a folder it disappears in one step, before its space is freed."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Move a file or a whole folder in one step.

        Raises
        ------
        NotFoundError
            ``source`` is not there.
        AlreadyExistsError
            ``target`` is there.
        ConfigurationError
            The lake is on an object store, which cannot do this.
        """

    @abstractmethod
    def sync(self, paths: Iterable[str]) -> None:
        """Make files that somebody else wrote, and their folders' entries, survive a power cut."""

    @abstractmethod
    def make_parents(self, path: str) -> None:
        """Make the folders in which another library is about to write ``path``."""

    @abstractmethod
    def reserve(self, path: str, size: int) -> None:
        """Claim ``size`` bytes of disk under the name ``path``; ``StorageError`` when they are not there."""

    @abstractmethod
    def delta_options(self) -> dict[str, str]:
        """Return the ``storage_options`` with which deltalake opens a :meth:`uri` of this storage."""

    @abstractmethod
    def kvstore(self, path: str) -> dict[str, Any]:
        """Return the tensorstore ``kvstore`` specification of the folder ``path``."""

    @abstractmethod
    def zarr_store(self, path: str, *, read_only: bool = True) -> Any:
        """Return a ``zarr.abc.store.Store`` whose root is the folder ``path``."""

    @abstractmethod
    def arrow_filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return an Arrow file system and the lake root's path in it."""

    @abstractmethod
    def duckdb_filesystem(self) -> Any | None:
        """Return the fsspec file system to register with DuckDB for :meth:`uri`, None where it needs none."""

    @abstractmethod
    def lock(self, name: str, *, wait: float = 0.0, shared: bool = False) -> AbstractContextManager[None]:
        """Hold the lock ``name`` while the block runs; another holder's death frees it.

        On an object store this does nothing: conditional writes and Delta transactions decide there.

        Parameters
        ----------
        name
            A word that is good as a file name.
        wait
            Seconds to wait for another holder before giving up.
        shared
            Hold it together with others who share it; whoever does not share waits for all of them.

        Raises
        ------
        ConflictError
            Somebody else still holds it; the message says who.
        """

    @abstractmethod
    def probe(self) -> Checks:
        """Try, in ``staging/``, everything that a lake needs from its storage."""


def open_storage(url: str | os.PathLike[str]) -> Storage:
    """Return the storage of a folder path or an ``s3://bucket/prefix`` URL; nothing is created or contacted.

    Raises
    ------
    UsageError
        The URL has another scheme.
    ConfigurationError
        The path has characters with which Delta tables cannot be opened.
    MissingExtraError
        The URL is on an object store and the ``cloud`` extra is not installed.
    """
    text = os.fspath(url)
    if text.startswith("s3://"):
        from .s3 import S3Storage

        return S3Storage(text)
    if "://" in text:
        raise UsageError(f"{text}: a lake is a folder or an s3:// URL", hint="use a path without a scheme")
    if _MISREAD.search(os.path.abspath(text)):  # noqa: PTH100 - resolve() would follow the user's links
        raise ConfigurationError(
            f"{text}: what reads the tables misreads paths with any of [ ] ^ | * ? # \\ or with %20 and the like",
            hint="rename the folder",
        )
    from .local import LocalStorage

    return LocalStorage(Path(text))


@contextlib.contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn the operating system's errors into ours; ``doing`` says what was tried (``writing /lake/x``)."""
    try:
        yield
    except (StorageError, NotFoundError, AlreadyExistsError):
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"{doing}: there is no such file or folder") from error
    except OSError as error:
        raise storage_error(doing, error) from error


def storage_error(doing: str, error: BaseException) -> StorageError:
    """Return the ``StorageError`` that explains ``error``, with what can be done about it."""
    code = getattr(error, "errno", None)
    # deltalake explains over several lines, with colours
    text = "; ".join(line.strip(" ↳") for line in _COLOUR.sub("", str(error)).splitlines() if line.strip())
    if code in NO_SPACE or "No space left on device" in text or "quota exceeded" in text.lower():
        return StorageError(
            f"{doing}: no space left on the device",
            hint="free some space and run the same command again",
        )
    if code in {errno.EACCES, errno.EPERM, errno.EROFS} or "Permission denied" in text:
        hint = "check who owns the lake and its mount options"
        return StorageError(f"{doing}: not allowed ({text})", hint=hint)
    return StorageError(f"{doing}: {text}")
