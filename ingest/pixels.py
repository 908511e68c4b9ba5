"""One plane of one TIFF file into a waiting array: read once, hashed once, never padded.

The bytes of a file are read in one go; the hash and the pixels come from the same bytes. A decoder that fills a
damaged plane with zeros would turn a broken disk into biology (tifffile and Bio-Formats both do), so the header alone
is tifffile's: every strip or tile is checked against the end of the file before, and against its promised size after
decoding, straight into the array.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from ..errors import SourceFileError, StorageError

#: Types of pixels that a plane may have.
PIXEL_TYPES = ("uint8", "uint16")
#: Bytes and the array that they fill in, what was filled out.
_Decoder = Callable[..., Any]


def _copy(data: memoryview, out: npt.NDArray[np.uint8]) -> memoryview:
    """Decode what is not compressed."""
    part = data[: out.size]
    out[: len(part)] = part
    return part


#: TIFF compression -> decoder.
_DECODERS: dict[int, _Decoder] = {
    1: _copy,
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32946: imagecodecs.deflate_decode,
    32773: imagecodecs.packbits_decode,
    50000: imagecodecs.zstd_decode,
}
_NO_PREDICTOR, _HORIZONTAL = 1, 2
# What tifffile finds odd is in our errors; without a handler of its own it would also be on the screen.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
_HINT = "Copy the file again from the microscope's export."


class SourceFile:
    """The bytes of one vendor file, and what is in them.

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
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # Path.open buffers first
                self.data = file.readall()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise SourceFileError(f"{path} is not there", hint=_HINT) from error
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, 64 hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    @contextmanager
    def _guard(self, doing: str) -> Iterator[None]:
        """Turn what tifffile and the codecs raise on damaged bytes, which is anything, into our error."""
        try:
            yield
        except (SourceFileError, MemoryError):
            raise
        except Exception as error:
            raise self._refuse(f"{doing}: {error or type(error).__name__}") from error

    def _page(self, number: int) -> tifffile.TiffPage:
        # Files and pages of tifffile refer to each other in circles: what is not closed keeps its bytes for a while.
        with io.BytesIO(self.data) as file:
            with self._guard(f"is no readable TIFF ({len(self.data)} bytes)"):
                pages = tifffile.TiffFile(file).pages
            with self._guard(f"has no page {number}"):
                page = pages[number]
        if not isinstance(page, tifffile.TiffPage):
            raise self._refuse(f"has no page {number}")
        return page

    def plane_format(self, number: int = 0) -> tuple[tuple[int, int], np.dtype[Any]]:
        """Return shape (rows, columns) and type of the pixels of a page, from its header.

        Raises
        ------
        SourceFileError
            When the page is no plane of 8- or 16-bit unsigned integers.
        """
        return self._format(self._page(number), number)

    def _format(self, page: tifffile.TiffPage, number: int) -> tuple[tuple[int, int], np.dtype[Any]]:
        """Return shape and type of a page that is a plane."""
        dtype = page.dtype
        if dtype is None or dtype.name not in PIXEL_TYPES or page.bitspersample not in (8, 16):
            kind = f"{page.bitspersample}-bit {'float' if dtype is not None and dtype.kind == 'f' else 'integer'}"
            raise self._refuse(
                f"page {number} holds {dtype.name if dtype is not None else 'unknown'} pixels ({kind}); planes are "
                f"{' or '.join(PIXEL_TYPES)}",
                hint="Computed images (phase, for example) cannot stand among camera images; export the raw channels.",
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
            Array of rows × columns, of the type that the page must have; C-contiguous.

        Raises
        ------
        SourceFileError
            When the page is cut off, damaged, or of another size or type; ``out`` is then undefined.
        """
        page = self._page(number)
        shape, dtype = self._format(page, number)
        if shape != out.shape or dtype != out.dtype:
            raise self._refuse(
                f"page {number} is {shape[0]} × {shape[1]} {dtype.name}, not {out.shape[0]} × {out.shape[1]} "
                f"{out.dtype.name} as the rest of its plate"
            )
        target = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        with self._guard(f"page {number} cannot be decoded"):
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
        size = len(self.data)
        offsets, counts = page.dataoffsets, page.databytecounts
        down = -(-page.imagelength // (page.tilelength if page.is_tiled else page.rowsperstrip))
        across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        if len(offsets) != down * across or len(counts) != len(offsets):
            raise self._refuse(f"page {number} lists {len(offsets)} strips of pixels, {down * across} are needed")
        for offset, count in zip(offsets, counts, strict=True):
            if offset <= 0 or count <= 0:
                raise self._refuse(f"page {number} lacks pixels: a strip is empty")
            if offset + count > size:
                raise self._refuse(f"is cut off: page {number} needs {offset + count} bytes, the file has {size}")

    def _read_strips(self, page: tifffile.TiffPage, number: int, decode: _Decoder, out: npt.NDArray[Any]) -> None:
        data = memoryview(self.data)
        row = 0
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            strip = out[row : row + page.rowsperstrip]
            self._decode(page, f"page {number}, row {row}", decode, data[offset : offset + count], strip)
            row += page.rowsperstrip

    def _read_tiles(self, page: tifffile.TiffPage, number: int, decode: _Decoder, out: npt.NDArray[Any]) -> None:
        data = memoryview(self.data)
        tile = np.empty((page.tilelength, page.tilewidth), out.dtype)
        across = -(-out.shape[1] // tile.shape[1])
        for i, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            y, x = i // across * tile.shape[0], i % across * tile.shape[1]
            self._decode(page, f"page {number}, tile {i}", decode, data[offset : offset + count], tile)
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

    def _refuse(self, why: str, *, hint: str = _HINT) -> SourceFileError:
        return SourceFileError(f"{self.path} {why}", hint=hint)


def read_plane(path: Path | str, page: int, out: npt.NDArray[Any]) -> str:
    """Read one plane and hash its file.

    Parameters
    ----------
    path
        The file.
    page
        The page inside it, from 0.
    out
        Array of rows × columns, of the type that the page must have; undefined after an error.

    Returns
    -------
    str
        SHA-256 of the whole file, 64 hexadecimal digits.

    Raises
    ------
    SourceFileError
        When the file is absent, cut off, damaged, or of another size or type.
    StorageError
        When it cannot be read for a reason that lies outside the file.
    """
    source = SourceFile(path)
    source.read_plane(page, out)
    return source.sha256


def plane_dtype(path: Path | str, page: int = 0) -> np.dtype[Any]:
    """Return the type of the pixels of one plane, from its header; raises as :func:`read_plane`."""
    return SourceFile(path).plane_format(page)[1]
