"""Planes of a Zeiss CZI: its full-size subblocks, one by one.

A plane's number is its place in the order scene, tile (M), time point, channel, z, among the planes that the file has.
czifile, which reads such files too, joins subblocks to one array with zeros where there are none, and knows nothing of
Zstandard, in which ZEN stores images since 2021; so the few segments are read here and imagecodecs does the decoding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from .base import OpenFile, PlaneFormat, check_pixels, guard, refusal
from .czi_layout import (
    FILE_HEADER,
    SEGMENT,
    CziHeader,
    CziPlane,
    SubblockHead,
    parse_directory,
    parse_header,
    parse_subblock,
    segment_size,
)
from .lzw import lzw_decode

#: Bytes that one entry of the directory keeps in memory, about.
_BYTES_PER_PLANE = 500
_RAW, _JPEG, _LZW, _JPEG_XR, _ZSTD, _ZSTD_WITH_HEADER = 0, 1, 2, 4, 5, 6
#: Metadata of an image is a few megabytes of XML at most.
_MOST_XML = 2**28
#: A subblock's head is shorter, and with most of them so is its metadata.
_AT_ONCE = 4096


class CziFile:
    """The segments of one CZI.

    Raises
    ------
    NotAnExportError
        It is no CZI.
    SourceFileError
        It is absent, cut off or damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.file = OpenFile(path)
        try:
            head = self.file.read(0, min(SEGMENT + FILE_HEADER, self.file.size))
            self.header: CziHeader = parse_header(head, self.file.path)
            self.planes = parse_directory(self._segment(self.header.directory, "ZISRAWDIRECTORY"), self.file.path)
        except BaseException:
            self.file.close()
            raise

    def _segment(self, position: int, kind: str) -> bytes:
        size = segment_size(self.file.read(position, SEGMENT), kind, self.file.path)
        return self.file.read(position + SEGMENT, size)

    def metadata(self) -> bytes:
        """Return the XML that describes the file; empty where there is none."""
        if not self.header.metadata:
            return b""
        position = self.header.metadata
        segment_size(self.file.read(position, SEGMENT), "ZISRAWMETADATA", self.file.path)
        size = int.from_bytes(self.file.read(position + SEGMENT, 4), "little", signed=True)
        if not 0 <= size <= _MOST_XML:
            raise refusal(self.file.path, f"is damaged: its metadata has {size} bytes")
        return self.file.read(position + SEGMENT + 256, size)

    def subblock(self, plane: CziPlane) -> tuple[SubblockHead, int]:
        """Return the head of a plane's subblock and where its data begins; checked against the end of the file."""
        head, begin, _ = self._subblock(plane)
        return head, begin

    def subblock_metadata(self, plane: CziPlane) -> bytes:
        """Return the XML that describes one plane; empty where there is none."""
        head, begin, known = self._subblock(plane)
        end = head.metadata_offset + head.metadata_size
        return (
            known[head.metadata_offset : end]
            if end <= len(known)
            else self.file.read(begin + head.metadata_offset, head.metadata_size)
        )

    def _subblock(self, plane: CziPlane) -> tuple[SubblockHead, int, bytes]:
        """Return the head of a subblock, where its data begins, and the first bytes of it: one read in most files."""
        where = f"{self.file.path}: the subblock at byte {plane.position}"
        first = self.file.read(plane.position, max(SEGMENT, min(_AT_ONCE, self.file.size - plane.position)))
        size = segment_size(first[:SEGMENT], "ZISRAWSUBBLOCK", where)
        begin = plane.position + SEGMENT
        if begin + size > self.file.size:
            raise refusal(self.file.path, f"is cut off: {begin + size} bytes are needed, it has {self.file.size}")
        known = first[SEGMENT:]
        return parse_subblock(known[:size], size, where), begin, known

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class CziSource:
    """The planes of one CZI, as :class:`.base.PlaneSource` describes."""

    def __init__(self, path: Path | str) -> None:
        self._czi = CziFile(path)
        self.path, self.stamp = self._czi.file.path, self._czi.file.stamp

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, streamed once."""
        return self._czi.file.sha256

    @property
    def count(self) -> int:
        """How many planes there are."""
        return len(self._czi.planes)

    @property
    def held_bytes(self) -> int:
        """Bytes kept in memory while it is open."""
        return _BYTES_PER_PLANE * self.count

    def _plane(self, number: int) -> CziPlane:
        if not 0 <= number < self.count:
            raise refusal(self.path, f"has no plane {number}; it has {self.count}")
        return self._czi.planes[number]

    def plane_format(self, number: int = 0) -> PlaneFormat:
        """Return shape and type of a plane; raises SourceFileError for colour and computed images."""
        plane = self._plane(number)
        if plane.dtype is None:
            raise refusal(
                self.path,
                f"plane {number} holds {plane.pixel_type} pixels; planes are Gray8 or Gray16",
                hint="Export the channels of the camera, not a colour or computed image.",
            )
        return (plane.height, plane.width), plane.dtype

    def read_plane(self, number: int, out: npt.NDArray[Any]) -> None:
        """Decode a plane into ``out``, or raise SourceFileError."""
        check_pixels(self.path, f"plane {number}", self.plane_format(number), out)
        plane = self._plane(number)
        head, begin = self._czi.subblock(plane)
        data = self._czi.file.read(begin + head.data_offset, head.data_size)
        with guard(self.path, f"plane {number} cannot be decoded"):
            pixels = _decoded(data, plane)
            if pixels is None:
                raise refusal(self.path, f"plane {number} has compression {plane.compression}, which is not read")
        if pixels.shape != out.shape or pixels.dtype != out.dtype:
            raise refusal(
                self.path,
                f"plane {number} is damaged: its pixels are {pixels.shape} {pixels.dtype}, not {out.shape} {out.dtype}",
            )
        out[:] = pixels

    def close(self) -> None:
        """Close the file."""
        self._czi.close()


def _decoded(data: bytes, plane: CziPlane) -> npt.NDArray[Any] | None:
    """Return the pixels of a subblock; None for a compression that is not known."""
    shape, dtype = (plane.height, plane.width), np.dtype(plane.dtype)
    size = plane.height * plane.width * dtype.itemsize
    if plane.compression == _JPEG:
        return np.asarray(imagecodecs.jpeg8_decode(data, out=np.empty(shape, dtype)))
    if plane.compression == _JPEG_XR:
        return np.asarray(imagecodecs.jpegxr_decode(data, out=np.empty(shape, dtype)))
    flat: Any
    if plane.compression == _RAW:
        flat = data[:size]
    elif plane.compression == _LZW:
        flat = lzw_decode(data, out=np.empty(size, np.uint8))
    elif plane.compression == _ZSTD:
        flat = imagecodecs.zstd_decode(data, out=size)
    elif plane.compression == _ZSTD_WITH_HEADER:
        # One byte says how long the header is; a chunk of type 1 says whether low and high bytes lie apart.
        packed = data[0] == 3 and data[1] == 1 and bool(data[2] & 1)
        flat = imagecodecs.zstd_decode(data[data[0] :], out=size)
        if packed:
            low_and_high = np.frombuffer(flat, np.uint8).reshape(dtype.itemsize, -1)
            flat = np.ascontiguousarray(low_and_high.T).tobytes()
    else:
        return None
    return np.frombuffer(flat, dtype).reshape(shape)
