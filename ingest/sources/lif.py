"""Planes of a Leica LIF: one channel, time point, depth and tile of an image.

A file is an XML document and blocks of bytes, one per image. A plane's number counts through the images whose planes
have x and y, in the order of the document, and in each by tile, time point, channel, z. liffile, which reads such files
too, takes a file that is cut off for one with fewer images; so the few bytes around the blocks are read here.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import NotAnExportError, SourceFileError
from .base import HINT, OpenFile, PlaneFormat, check_pixels, refusal
from .lif_document import TILE, LifDocument, LifImage, T, X, Y, Z, parse_document

#: The first bytes of a LIF: a mark, a length, another mark, the number of characters of its XML.
HEAD = struct.Struct("<IIBI")
_MARK, _INNER_MARK = 0x70, 0x2A
_BLOCK_HEADS = {1: struct.Struct("<IIBIBI"), 2: struct.Struct("<IIBQBI")}
_LONGEST_ID = 1 << 16
_BYTES_PER_IMAGE = 20_000
#: Gives so many bytes from a place in the file, all of them.
Read = Callable[[int, int], bytes]


def xml_length(head: bytes, name: str) -> int:
    """Return the bytes of the XML, from the 13 bytes before it.

    Raises
    ------
    NotAnExportError
        It is no LIF.
    """
    mark, _, inner, characters = HEAD.unpack(head) if len(head) == HEAD.size else (0, 0, 0, 0)
    if mark != _MARK or inner != _INNER_MARK:
        raise NotAnExportError(f"{name} is not a LIF file: it begins with {head[:8]!r}")
    return 2 * int(characters)


def read_blocks(read: Read, size: int, start: int, version: int, name: str) -> dict[str, tuple[int, int]]:
    """Return block -> where its bytes begin and how many there are, all within the file.

    Raises
    ------
    SourceFileError
        A block is damaged, or the file ends before it does.
    """
    head = _BLOCK_HEADS[version]
    blocks: dict[str, tuple[int, int]] = {}
    while start < size:
        if start + head.size > size:
            raise SourceFileError(f"{name} is cut off at byte {size}, in the head of a block", hint=HINT)
        mark, _, inner, length, last, characters = head.unpack(read(start, head.size))
        if mark != _MARK or inner != _INNER_MARK or last != _INNER_MARK or characters > _LONGEST_ID:
            raise SourceFileError(f"{name} is damaged: there is no block at byte {start}", hint=HINT)
        begin = start + head.size + 2 * characters
        if begin + length > size:
            raise SourceFileError(
                f"{name} is cut off: {begin + length} bytes are needed, the file has {size}", hint=HINT
            )
        block = read(start + head.size, 2 * characters).decode("utf-16-le", "replace")
        blocks[block] = (begin, length)
        start = begin + length
    return blocks


class LifContent:
    """The document and the blocks of one LIF.

    ``planar`` are its images whose planes have x and y, each with its first plane's number and where its bytes begin;
    ``flawed`` the others, with the reason.

    Raises
    ------
    NotAnExportError
        It is no LIF.
    SourceFileError
        It is absent, cut off or damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.file = OpenFile(path)
        name = self.file.path
        try:
            length = xml_length(self.file.read(0, min(HEAD.size, self.file.size)), name)
            text = self.file.read(HEAD.size, length).decode("utf-16-le", "replace")
            self.document: LifDocument = parse_document(text, name)
            start = HEAD.size + length
            self.blocks = read_blocks(self.file.read, self.file.size, start, self.document.version, name)
            self.planar: list[tuple[int, LifImage, int]] = []
            self.flawed: list[tuple[LifImage, str]] = []
            following = 0
            for image in self.document.images:
                is_empty = self.blocks.get(image.block, (0, -1))[1] == 0
                flaw = "it has no pixels in this file" if is_empty else image.flaw()
                if flaw is not None:
                    self.flawed.append((image, flaw))
                    continue
                self.planar.append((following, image, self._begin(image)))
                following += image.n_planes
        except BaseException:
            self.file.close()
            raise
        self.count = following

    def _begin(self, image: LifImage) -> int:
        begin, length = self.blocks.get(image.block, (0, -1))
        if length < 0:
            raise refusal(self.file.path, f"lacks the block {image.block!r} with the pixels of {image.name!r}")
        if image.needed_bytes > length:
            raise refusal(
                self.file.path, f"is damaged: {image.name!r} needs {image.needed_bytes} bytes, its block has {length}"
            )
        return begin

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class LifSource:
    """The planes of one LIF, as :class:`.base.PlaneSource` describes."""

    def __init__(self, path: Path | str) -> None:
        self._content = LifContent(path)
        self.path, self.stamp = self._content.file.path, self._content.file.stamp
        self._starts = [start for start, _, _ in self._content.planar]

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, streamed once."""
        return self._content.file.sha256

    @property
    def count(self) -> int:
        """How many planes there are."""
        return self._content.count

    @property
    def held_bytes(self) -> int:
        """Bytes kept in memory while it is open."""
        return _BYTES_PER_IMAGE * len(self._content.document.images)

    def _image(self, number: int) -> tuple[int, LifImage, int]:
        if not 0 <= number < self.count:
            raise refusal(self.path, f"has no plane {number}; it has {self.count}")
        return self._content.planar[bisect_right(self._starts, number) - 1]

    def plane_format(self, number: int = 0) -> PlaneFormat:
        """Return shape and type of a plane."""
        _, image, _ = self._image(number)
        return (image.count(Y), image.count(X)), np.dtype(f"<u{image.item_bytes}")

    def read_plane(self, number: int, out: npt.NDArray[Any]) -> None:
        """Read a plane into ``out``, or raise SourceFileError."""
        check_pixels(self.path, f"plane {number}", self.plane_format(number), out)
        start, image, begin = self._image(number)
        sides = (image.count(TILE), image.count(T), len(image.channels), image.count(Z))
        place = np.unravel_index(number - start, sides)
        y = image.axis(Y)
        row = out.shape[1] * image.item_bytes
        row_step = y.step_bytes if y is not None and y.count > 1 else row
        offset = begin + image.place(*(int(index) for index in place))
        data = self._content.file.read(offset, (out.shape[0] - 1) * row_step + row)
        out[:] = np.ndarray(out.shape, out.dtype, data, strides=(row_step, image.item_bytes))

    def close(self) -> None:
        """Close the file."""
        self._content.close()
