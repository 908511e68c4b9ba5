"""Planes of a Nikon ND2: one channel of one frame.

A plane's number is frame × channels + channel; frames are numbered as they were taken, loop within loop. The package
nd2 says how a frame is laid out; the frames themselves are read here, because it gives zeros for those that are absent.
"""

from __future__ import annotations

import threading
import zlib
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidDataError, MissingExtraError
from .base import OpenFile, PlaneFormat, check_pixels, guard, refusal
from .nd2_layout import (
    CHUNK_HEAD,
    TAIL,
    FrameShape,
    check_magic,
    chunk_size,
    frame_places,
    map_place,
    parse_chunk_map,
)

#: The chunks that the package reads here.
_METADATA = frozenset(
    f"{name}{version}!".encode()
    for name, versions in {
        "ImageAttributes": ("", "LV"), "ImageMetadata": ("", "LV"), "ImageTextInfo": ("", "LV"),
        "ImageMetadataSeq": ("|0", "LV|0"), "CustomData|AcqTimesCache": ("",),
    }.items() for version in versions
)  # fmt: skip
#: Bytes before the pixels of a frame: when it was taken.
_TIME = 8
_BYTES_PER_FRAME = 100
#: Sides and channels beyond these are no camera's.
_LARGEST_SIDE, _MOST_CHANNELS, _LARGEST_FRAME = 65_536, 1_000, 2**32


def nd2_package() -> ModuleType:
    """Return the package nd2.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import nd2
    except ImportError as error:
        raise MissingExtraError(
            "reading ND2 files needs the package nd2", hint="Install it with: pip install 'cytolake[readers]'"
        ) from error
    return nd2


def frame_shape(attributes: Any, path: str) -> FrameShape:
    """Return how frames are laid out, from what nd2 calls the attributes of a file.

    Raises
    ------
    InvalidDataError
        Its frames are in colour, of another type than 8 or 16 bits, or stored in a way that is not read.
    SourceFileError
        The numbers cannot be those of a frame.
    """
    height, width = int(attributes.heightPx or 0), int(attributes.widthPx or 0)
    components, channels = int(attributes.componentCount or 0), int(attributes.channelCount or 1)
    bits = int(attributes.bitsPerComponentInMemory or 0)
    hint = "Export the channels of the camera, not a colour or computed image."
    if channels < 1 or components != channels:
        raise InvalidDataError(
            f"{path} holds images in colour ({components} components, {channels} channels)", hint=hint
        )
    if bits not in (8, 16) or attributes.pixelDataType != "unsigned":
        raise InvalidDataError(
            f"{path} holds {bits}-bit {attributes.pixelDataType} pixels; planes have 8 or 16", hint=hint
        )
    if attributes.compressionType == "lossy" or attributes.tileWidthPx or attributes.tileHeightPx:
        raise InvalidDataError(
            f"{path} stores its frames in tiles or with loss, which is not read", hint="Save it without compression."
        )
    row = width * channels * bits // 8
    row_bytes = int(attributes.widthBytes or row)
    if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE and channels <= _MOST_CHANNELS) or (
        not row <= row_bytes <= row + 4096 or height * row_bytes > _LARGEST_FRAME
    ):
        raise refusal(
            path, f"is damaged: frames of {height} × {width} pixels, {channels} channels, {row_bytes} bytes a row"
        )
    return FrameShape(
        height=height, width=width, channels=channels, row_bytes=row_bytes, bits=bits,
        zipped=attributes.compressionType == "lossless",
    )  # fmt: skip


class Nd2Chunks:
    """The chunks of one ND2.

    Raises
    ------
    NotAnExportError
        It is no ND2.
    SourceFileError
        It is absent, cut off or damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.file = OpenFile(path)
        name = self.file.path
        try:
            check_magic(self.file.read(0, min(4, self.file.size)), name)
            place = map_place(self.file.read(self.file.size - TAIL, TAIL) if self.file.size >= TAIL else b"", name)
            self.chunks = parse_chunk_map(self._data(place, name), name)
            # The package asks for as many bytes as a chunk says, however many that are.
            for chunk in _METADATA & self.chunks.keys():
                self.place(self.chunks[chunk], f"{name}: {chunk.decode()}")
        except BaseException:
            self.file.close()
            raise
        self.frames = frame_places(self.chunks)

    def place(self, offset: int, where: str, name: bytes = b"") -> tuple[int, int]:
        """Return where the data of a chunk begins and its bytes; the file is long enough for them."""
        name_length, size = chunk_size(self.file.read(offset, CHUNK_HEAD.size), where)
        if name and self.file.read(offset + CHUNK_HEAD.size, min(len(name), name_length)) != name:
            raise refusal(self.file.path, f"is damaged: there is no {name.decode()} where its map says")
        begin = offset + CHUNK_HEAD.size + name_length
        if begin + size > self.file.size:
            raise refusal(self.file.path, f"is cut off: {begin + size} bytes are needed, the file has {self.file.size}")
        return begin, size

    def _data(self, offset: int, where: str) -> bytes:
        return self.file.read(*self.place(offset, where))

    def chunk(self, name: bytes) -> bytes | None:
        """Return the data of a chunk, None where there is none of that name."""
        offset = self.chunks.get(name)
        return None if offset is None else self._data(offset, f"{self.file.path}: {name.decode('latin-1')}")

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class Nd2Source:
    """The planes of one ND2, as :class:`.base.PlaneSource` describes."""

    def __init__(self, path: Path | str) -> None:
        self._chunks = Nd2Chunks(path)
        self.path, self.stamp = self._chunks.file.path, self._chunks.file.stamp
        try:
            with guard(self.path, "is no readable ND2"), closing(nd2_package().ND2File(path)) as file:
                attributes = file.attributes
            self._shape = frame_shape(attributes, self.path)
        except BaseException:
            self._chunks.close()
            raise
        #: The last frame of each thread: its channels are asked for one after another.
        self._last = threading.local()

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, streamed once."""
        return self._chunks.file.sha256

    @property
    def count(self) -> int:
        """How many planes there are, absent ones amid others included."""
        return (1 + max(self._chunks.frames, default=-1)) * self._shape.channels

    @property
    def held_bytes(self) -> int:
        """Bytes kept in memory while it is open."""
        return _BYTES_PER_FRAME * len(self._chunks.frames) + self._shape.size

    def _checked(self, number: int) -> int:
        """Return the frame of a plane."""
        frame = number // self._shape.channels
        if frame not in self._chunks.frames:
            raise refusal(self.path, f"has no plane {number}: its frame {frame} is not in the file")
        return frame

    def plane_format(self, number: int = 0) -> PlaneFormat:
        """Return shape and type of a plane."""
        self._checked(number)
        return (self._shape.height, self._shape.width), np.dtype(f"<u{self._shape.bits // 8}")

    def read_plane(self, number: int, out: npt.NDArray[Any]) -> None:
        """Decode a plane into ``out``, or raise SourceFileError."""
        frame = self._checked(number)
        check_pixels(self.path, f"plane {number}", self.plane_format(number), out)
        if getattr(self._last, "frame", None) != frame:
            self._last.frame = None
            self._last.pixels = self._read(frame)
            self._last.frame = frame
        shape, size = self._shape, self._shape.bits // 8
        pixels = np.ndarray(
            (shape.height, shape.width), out.dtype, self._last.pixels, offset=number % shape.channels * size,
            strides=(shape.row_bytes, shape.channels * size),
        )  # fmt: skip
        out[:] = pixels

    def _read(self, frame: int) -> bytes:
        place, name = self._chunks.frames[frame], f"ImageDataSeq|{frame}!".encode()
        begin, size = self._chunks.place(place, f"{self.path}: frame {frame}", name)
        data = self._chunks.file.read(begin + _TIME, max(size - _TIME, 0))
        if self._shape.zipped:
            with guard(self.path, f"frame {frame} cannot be decoded"):
                data = zlib.decompressobj().decompress(data, self._shape.size)
        if len(data) < self._shape.size:
            raise refusal(self.path, f"is cut off: frame {frame} has {len(data)} of {self._shape.size} bytes of pixels")
        return data

    def close(self) -> None:
        """Close the file."""
        self._chunks.close()
