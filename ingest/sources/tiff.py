"""Pages of TIFF files, each decoded straight into the array that waits for it.

A file is read in one go where it is small: the hash and the pixels then come from the same bytes. A large one (a stack
of a whole well, an OME-TIFF) stays open and is read strip by strip. A decoder that fills a damaged plane with zeros
would turn a broken disk into biology (tifffile and Bio-Formats both do), so the header alone is tifffile's: every strip
or tile is checked against the end of the file before, and against its promised size after decoding.
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from ...errors import SourceFileError, StorageError
from .base import HINT, PIXEL_TYPES, OpenFile, PlaneFormat, check_pixels, guard, refusal
from .lzw import lzw_decode

#: Bytes and the array that they fill in, what was filled out.
_Decoder = Callable[..., Any]
#: Larger files are not read whole.
_WHOLE = 64 * 2**20
#: Pages beyond this are counted, not looked at one by one.
_LOOKED_AT = 4096


def _copy(data: memoryview, out: npt.NDArray[np.uint8]) -> memoryview:
    """Decode what is not compressed."""
    part = data[: out.size]
    out[: len(part)] = part
    return part


#: TIFF compression -> decoder.
_DECODERS: dict[int, _Decoder] = {
    1: _copy,
    5: lzw_decode,
    8: imagecodecs.deflate_decode,
    32946: imagecodecs.deflate_decode,
    32773: imagecodecs.packbits_decode,
    50000: imagecodecs.zstd_decode,
}
_NO_PREDICTOR, _HORIZONTAL = 1, 2
_COMPUTED = "Computed images (phase, for example) cannot stand among camera images; export the raw channels."
#: Older ScanR wrote the counts of its camera so.
_SIGNED = "Counts of a camera have no sign: save the images as unsigned integers, as Fiji does, and keep the original."
# What tifffile finds odd is in our errors; without a handler of its own it would also be on the screen.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class _Bytes(io.RawIOBase):
    """An open file as tifffile wants to see one."""

    def __init__(self, file: OpenFile) -> None:
        self._source = file
        self._position = 0
        self.name = file.path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._source.size - self._position))
        buffer[:count] = self._source.read(self._position, count)
        self._position += count
        return count


class TiffSource:
    """The pages of one TIFF file.

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
        file = OpenFile(path)
        self.path, self.stamp, self._size = file.path, file.stamp, file.size
        self._file: OpenFile | None = file
        self._data = b""
        if file.size <= _WHOLE:
            try:
                self._data = file.read(0, file.size)
            finally:
                file.close()
            self._file = None
        self._tiff: tifffile.TiffFile | None = None
        self._count: int | None = None
        #: tifffile remembers where the pages are, but not for two threads at a time.
        self._parsing = threading.Lock()

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits."""
        return self._file.sha256 if self._file is not None else hashlib.sha256(self._data).hexdigest()

    @property
    def held_bytes(self) -> int:
        """Bytes kept in memory while it is open."""
        return len(self._data)

    @property
    def count(self) -> int:
        """How many pages of full size there are; 0 where the file is no TIFF, StorageError where it cannot be read."""
        if self._count is None:
            with self._parsing:
                try:
                    pages = self._open().pages
                    self._count = number = len(pages)
                    if 1 < number <= _LOOKED_AT:
                        self._count = sum(not getattr(pages[i], "is_reduced", False) for i in range(number))
                except (StorageError, MemoryError):
                    raise  # no property of the file
                except Exception:  # noqa: BLE001  # tifffile raises anything; reading a page says what is wrong
                    self._count = 0
        return self._count

    def _open(self) -> tifffile.TiffFile:
        if self._tiff is None:
            with guard(self.path, f"is no readable TIFF ({self._size} bytes)"):
                self._tiff = tifffile.TiffFile(io.BytesIO(self._data) if self._file is None else _Bytes(self._file))
        return self._tiff

    def _page(self, number: int) -> tifffile.TiffPage:
        with self._parsing:
            tiff = self._open()
            with guard(self.path, f"has no page {number}"):
                page = tiff.pages[number]
        if not isinstance(page, tifffile.TiffPage):
            raise self._refuse(f"has no page {number}")
        return page

    def _read(self, offset: int, count: int) -> memoryview:
        if self._file is not None:
            return memoryview(self._file.read(offset, count))
        return memoryview(self._data)[offset : offset + count]

    def plane_format(self, number: int = 0) -> PlaneFormat:
        """Return shape (rows, columns) and type of the pixels of a page, from its header.

        Raises
        ------
        SourceFileError
            When the page is no plane of 8- or 16-bit unsigned integers.
        """
        return self._format(self._page(number), number)

    def _format(self, page: tifffile.TiffPage, number: int) -> PlaneFormat:
        """Return shape and type of a page that is a plane."""
        dtype = page.dtype
        if dtype is None or dtype.name not in PIXEL_TYPES or page.bitspersample not in (8, 16):
            kind = f"{page.bitspersample}-bit {'float' if dtype is not None and dtype.kind == 'f' else 'integer'}"
            raise self._refuse(
                f"page {number} holds {dtype.name if dtype is not None else 'unknown'} pixels ({kind}); planes are "
                f"{' or '.join(PIXEL_TYPES)}",
                hint=_SIGNED if dtype is not None and dtype.kind == "i" else _COMPUTED,
            )
        if len(page.shape) != 2 or not all(isinstance(side, (int, np.integer)) for side in page.shape):
            raise self._refuse(f"page {number} has the shape {page.shape}; a plane is rows × columns")
        return (int(page.shape[0]), int(page.shape[1])), dtype

    def read_plane(self, number: int, out: npt.NDArray[Any]) -> None:
        """Decode a page into ``out``.

        Parameters
        ----------
        number
            The page, from 0.
        out
            Array of rows × columns, of the type that the page must have.

        Raises
        ------
        SourceFileError
            When the page is cut off, damaged, or of another size or type; ``out`` is then undefined.
        """
        page = self._page(number)
        check_pixels(self.path, f"page {number}", self._format(page, number), out)
        target = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        with guard(self.path, f"page {number} cannot be decoded"):
            self._check_segments(page, number)
            decode = _DECODERS.get(int(page.compression))
            predictor = int(page.predictor)
            if decode is None or predictor not in (_NO_PREDICTOR, _HORIZONTAL) or page.fillorder != 1:
                raise self._refuse(
                    f"page {number} is stored as {page.compression!r}, predictor {predictor}, which is not read",
                    hint="Export the images without compression or with LZW.",
                )
            if page.is_tiled:
                self._read_tiles(page, number, decode, target)
            else:
                self._read_strips(page, number, decode, target)
        if target is not out:
            out[:] = target

    def _check_segments(self, page: tifffile.TiffPage, number: int) -> None:
        offsets, counts = page.dataoffsets, page.databytecounts
        down = -(-page.imagelength // (page.tilelength if page.is_tiled else page.rowsperstrip))
        across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        if len(offsets) != down * across or len(counts) != len(offsets):
            raise self._refuse(f"page {number} lists {len(offsets)} strips of pixels, {down * across} are needed")
        for offset, count in zip(offsets, counts, strict=True):
            if offset <= 0 or count <= 0:
                raise self._refuse(f"page {number} lacks pixels: a strip is empty")
            if offset + count > self._size:
                raise self._refuse(f"is cut off: page {number} needs {offset + count} bytes, the file has {self._size}")

    def _read_strips(self, page: tifffile.TiffPage, number: int, decode: _Decoder, out: npt.NDArray[Any]) -> None:
        row = 0
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            strip = out[row : row + page.rowsperstrip]
            self._decode(page, f"page {number}, row {row}", decode, self._read(offset, count), strip)
            row += page.rowsperstrip

    def _read_tiles(self, page: tifffile.TiffPage, number: int, decode: _Decoder, out: npt.NDArray[Any]) -> None:
        tile = np.empty((page.tilelength, page.tilewidth), out.dtype)
        across = -(-out.shape[1] // tile.shape[1])
        for i, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            y, x = i // across * tile.shape[0], i % across * tile.shape[1]
            self._decode(page, f"page {number}, tile {i}", decode, self._read(offset, count), tile)
            place = out[y : y + tile.shape[0], x : x + tile.shape[1]]
            place[:] = tile[: place.shape[0], : place.shape[1]]

    def _decode(
        self, page: tifffile.TiffPage, where: str, decode: _Decoder, data: memoryview, out: npt.NDArray[Any]
    ) -> None:
        """Decode one strip or tile into a contiguous array, which it must fill."""
        flat = out.reshape(-1).view(np.uint8)
        found = decode(data, out=flat)
        if len(found) != flat.size:
            raise self._refuse(f"is cut off: {where} has {len(found)} of {flat.size} bytes of pixels")
        if not out.dtype.newbyteorder(page.parent.byteorder).isnative:
            out.byteswap(inplace=True)
        if int(page.predictor) == _HORIZONTAL:
            imagecodecs.delta_decode(out, axis=1, out=out)

    def _refuse(self, why: str, *, hint: str = HINT) -> SourceFileError:
        return refusal(self.path, why, hint=hint)

    def close(self) -> None:
        """Give the file and its bytes back."""
        # Files and pages of tifffile refer to each other in circles: what is not closed keeps its bytes for a while.
        if self._tiff is not None:
            self._tiff.filehandle.close()
        self._data = b""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> TiffSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
