"""The open files of one ingest: each opened once for all threads, hashed once, and never more than a few.

One file may hold a whole plate (CZI, LIF, ND2) or one plane (most TIFFs). The first is kept open and shared, the
second is closed as soon as its plane was read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from .base import PlaneFormat, PlaneSource
from .tiff import TiffSource

#: Files that nobody reads at the moment and that stay open, and the bytes that they may keep in memory together.
_IDLE_FILES, _IDLE_BYTES = 64, 64 * 2**20


def open_source(path: Path | str) -> PlaneSource:
    """Open a file of planes; its suffix says what it is, a folder is a Zarr array, anything unknown a TIFF.

    Raises
    ------
    SourceFileError
        When the file is absent, or is not what its suffix says.
    StorageError
        When it cannot be read for a reason that lies outside the file.
    MissingExtraError
        When the format needs a package that is not installed.
    """
    if Path(path).is_dir():
        from .zarr_array import ZarrSource

        return ZarrSource(path)
    suffix = Path(path).suffix.lower()
    if suffix == ".czi":
        from .czi import CziSource

        return CziSource(path)
    if suffix == ".nd2":
        from .nd2 import Nd2Source

        return Nd2Source(path)
    if suffix == ".lif":
        from .lif import LifSource

        return LifSource(path)
    return TiffSource(path)


@dataclass(slots=True)
class _Entry:
    source: PlaneSource | None = None
    users: int = 0
    opening: threading.Lock = field(default_factory=threading.Lock)


class PlaneSources:
    """Reads planes of many files from several threads. Close it, or use it as a context, to give the files back."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._digests: dict[tuple[str, tuple[int, int]], str] = {}
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def read_plane(self, path: Path | str, number: int, out: npt.NDArray[Any]) -> str:
        """Read one plane and return the SHA-256 of its file; raises as :func:`cytolake.ingest.pixels.read_plane`."""
        with self._lease(path) as source:
            source.read_plane(number, out)
            if source.count <= 1:
                return source.sha256
            self._counts[source.path] = source.count
            # A file that was closed in between is not hashed again; its stamp tells whether it is still the same.
            known = (source.path, source.stamp)
            if known not in self._digests:
                self._digests[known] = source.sha256
            return self._digests[known]

    def plane_format(self, path: Path | str, number: int = 0) -> PlaneFormat:
        """Return shape and type of a plane, from its header."""
        with self._lease(path) as source:
            return source.plane_format(number)

    def count(self, path: Path | str) -> int:
        """Return how many planes a file holds of which one was read."""
        return self._counts.get(str(path), 1)

    @contextmanager
    def _lease(self, path: Path | str) -> Iterator[PlaneSource]:
        key = str(path)
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            entry.users += 1
        try:
            with entry.opening:
                if entry.source is None:
                    entry.source = open_source(path)
            yield entry.source
        finally:
            with self._lock:
                entry.users -= 1
                self._retire()

    def _retire(self) -> None:
        """Close what nobody reads and nobody will read soon, oldest first; the lock is held."""
        idle = {key: entry.source for key, entry in self._entries.items() if not entry.users}
        held = sum(source.held_bytes for source in idle.values() if source is not None)
        left = len(idle)
        for key, source in idle.items():
            if source is None or source.count <= 1 or left > _IDLE_FILES or held > _IDLE_BYTES:
                del self._entries[key]
                left -= 1
                if source is not None:
                    held -= source.held_bytes
                    source.close()

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for entry in self._entries.values():
                if entry.source is not None:
                    entry.source.close()
            self._entries.clear()

    def __enter__(self) -> PlaneSources:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
