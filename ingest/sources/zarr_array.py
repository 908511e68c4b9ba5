"""Planes of a Zarr array (version 2 or 3): the array's folder is the file, its planes count in C order.

All axes but the last two number the planes: with axes t, c, z, y, x the plane (t, c, z) is ``(t * C + c) * Z + z``.
The hash is that of what is stored: SHA-256 over one line per file of the array, sorted by path, each the path, a NUL
and the SHA-256 of the file's bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import CytolakeError
from ...store.images import engine
from ...store.images.model import ArrayReference
from .base import PIXEL_TYPES, OpenFile, PlaneFormat, check_pixels, guard, read_bytes, refusal
from .zarr_layout import array_files, find_document, parse_array, stored_chunks

if TYPE_CHECKING:
    import tensorstore as ts

#: Decoded bytes that are kept where a chunk holds several planes, which would else be decoded once for each.
_KEPT_BYTES = 48 * 2**20
_HINT = "Copy the plate again from where it was written."


def refer(
    folder: Path,
    axes: tuple[str, ...],
    *,
    shape: tuple[int, int, int, int, int],
    dtype: str,
    planes: Iterable[tuple[int, int, int]],
) -> ArrayReference:
    """Make the reference to an array that is all of a field.

    Parameters
    ----------
    shape, dtype
        Those of the field: t, c, z, y, x.
    planes
        Those that are there: t, c, z.

    Raises
    ------
    SourceFileError
        There is no array, it cannot be opened, or is not what the field calls for.
    """
    document = find_document(folder)
    if document is None:
        raise refusal(str(folder), "holds no Zarr array", hint=_HINT)
    whole = ArrayReference(
        path=os.path.abspath(folder),  # noqa: PTH100  # links stay as the user named them
        zarr_format=parse_array(read_bytes(document), str(document)).zarr_format,
        axes=axes,
        shape=shape,
        dtype=dtype,
        is_sparse=False,
    )
    try:
        array = engine.array_elsewhere(whole, "the field")
    except CytolakeError as error:
        raise refusal(str(folder), f"cannot be referred to: {error.message}", hint=_HINT) from error
    return replace(whole, is_sparse=any(kept in ("some", "none") for _, kept in engine.stored(array, planes)))


class ZarrSource:
    """The planes of one array on a disk.

    Parameters
    ----------
    path
        The folder of the array.

    Raises
    ------
    SourceFileError
        There is no array, or its document is damaged.
    StorageError
        The folder cannot be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        folder = Path(path)
        document = find_document(folder)
        if document is None:
            raise refusal(self.path, "holds no Zarr array", hint=_HINT)
        self.layout = parse_array(read_bytes(document), str(document))
        self._stored = stored_chunks(folder, self.layout)
        self.stamp = (self._stored.size, self._stored.changed_ns)
        self._opened: ts.TensorStore | None = None
        self._sha256: str | None = None
        self._lock = threading.Lock()

    @property
    def sha256(self) -> str:
        """SHA-256 of the array's files, as the module says."""
        with self._lock:
            if self._sha256 is None:
                digest = hashlib.sha256()
                for name, status in array_files(Path(self.path)):
                    if status is None:
                        continue
                    file = OpenFile(Path(self.path) / name)
                    try:
                        digest.update(f"{name}\0{file.sha256}\n".encode())
                    finally:
                        file.close()
                self._sha256 = digest.hexdigest()
            return self._sha256

    @property
    def count(self) -> int:
        """How many planes the array has."""
        return self.layout.planes

    @property
    def held_bytes(self) -> int:
        """Bytes of decoded chunks that may be kept."""
        if not self.layout.spans_planes:
            return 0
        return min(_KEPT_BYTES, math.prod(self.layout.shape) * 2)

    def plane_format(self, number: int = 0) -> PlaneFormat:
        """Return shape and type of the planes.

        Raises
        ------
        SourceFileError
            They are not of 8- or 16-bit unsigned integers, there is no such plane, or no chunk of it is stored, or one
            that was is no file any more.
        """
        if self.layout.dtype not in PIXEL_TYPES:
            raise refusal(
                self.path,
                f"holds {self.layout.dtype} pixels; planes are {' or '.join(PIXEL_TYPES)}",
                hint="Computed images cannot stand among camera images; bring in the plate of raw images.",
            )
        if not 0 <= number < self.count:
            raise refusal(self.path, f"has no plane {number}, but {self.count}", hint=_HINT)
        if not self._stored.has(self.layout, number):
            raise refusal(self.path, f"stores nothing of plane {number}", hint=_HINT)
        lost = self._stored.lost_chunk(self.layout, number)
        if lost is not None:
            raise refusal(
                f"{self.path}/{lost}",
                f"is no file (a link to nowhere?); plane {number} needs it",
                hint="Fetch the files that the links of the plate stand for, then ingest again.",
            )
        height, width = self.layout.shape[-2:]
        return (height, width), np.dtype(self.layout.dtype)

    def read_plane(self, number: int, out: npt.NDArray[Any]) -> None:
        """Decode a plane into ``out``, or raise SourceFileError; ``out`` is then undefined."""
        what = f"plane {number}"
        check_pixels(self.path, what, self.plane_format(number), out)
        with guard(self.path, f"{what} cannot be decoded"):
            import tensorstore as ts

            array = self._array()[self.layout.place(number)]
            ts.array(out).write(array).result()

    def _array(self) -> ts.TensorStore:
        with self._lock:
            if self._opened is None:
                kept = _KEPT_BYTES if self.layout.spans_planes else 0
                self._opened = engine.array_of_others(self.path, self.layout.zarr_format, fill=True, kept_bytes=kept)
            return self._opened

    def close(self) -> None:
        """Give back what was kept."""
        self._opened = None
