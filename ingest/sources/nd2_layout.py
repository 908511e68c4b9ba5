"""The chunks of an ND2 file (NIS-Elements 3 and later): where its frames lie.

Pure functions on bytes. The file ends with the place of a map of chunks; a frame is the chunk ``ImageDataSeq|<n>!``:
8 bytes of time, then rows × columns × channels, channels next to each other, zipped or not. What the map does not list,
or lists beyond the end of the file, is absent; the package nd2, which reads all else here, gives zeros for it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from ...errors import InvalidDataError, NotAnExportError, SourceFileError
from .base import HINT

MAGIC, LEGACY_MAGIC = b"\xda\xce\xbe\x0a", b"\x00\x00\x00\x0c"
#: Bytes at the end of a file that say where the map of its chunks is.
TAIL = 40
CHUNK_HEAD = struct.Struct("<IIQ")
_CHUNK_MAGIC = 0x0ABECEDA
_MAP_END = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_PLACE = struct.Struct("<QQ")
_FRAME = re.compile(rb"ImageDataSeq\|(\d{1,9})!")
_LONGEST_NAME = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameShape:
    """How the pixels of a frame lie: ``row_bytes`` may be more than a row needs."""

    height: int
    width: int
    channels: int
    row_bytes: int
    bits: int
    zipped: bool

    @property
    def size(self) -> int:
        """Bytes of a frame that is not zipped."""
        return self.height * self.row_bytes


def check_magic(head: bytes, name: str) -> None:
    """Refuse what does not begin as a readable ND2.

    Raises
    ------
    NotAnExportError
        It is no ND2.
    InvalidDataError
        It is one from before 2008.
    """
    if head.startswith(LEGACY_MAGIC):
        raise InvalidDataError(
            f"{name} is an ND2 of a version before 3 (JPEG 2000), which is not read",
            hint="Open it in NIS-Elements and save it anew.",
        )
    if not head.startswith(MAGIC):
        raise NotAnExportError(f"{name} is not an ND2 file: it begins with {head[:4]!r}")


def map_place(tail: bytes, name: str) -> int:
    """Return where the map of chunks begins, from the last :data:`TAIL` bytes of a file.

    Raises
    ------
    SourceFileError
        The file does not end as one that was finished.
    """
    if len(tail) != TAIL or not tail.startswith(_MAP_END):
        raise SourceFileError(f"{name} is cut off or was never finished: its end has no map of its chunks", hint=HINT)
    return int.from_bytes(tail[32:], "little")


def chunk_size(head: bytes, where: str) -> tuple[int, int]:
    """Return the lengths of a chunk's name and of its data, from the 16 bytes that it begins with.

    Raises
    ------
    SourceFileError
        There is no chunk.
    """
    magic, name_length, size = CHUNK_HEAD.unpack(head) if len(head) == CHUNK_HEAD.size else (0, 0, 0)
    if magic != _CHUNK_MAGIC or name_length > _LONGEST_NAME:
        raise SourceFileError(f"{where}: there is no chunk where the map of the file says", hint=HINT)
    return name_length, size


def parse_chunk_map(data: bytes, name: str) -> dict[bytes, int]:
    """Read the map of chunks: name -> where it begins.

    Raises
    ------
    SourceFileError
        It is damaged.
    """
    chunks: dict[bytes, int] = {}
    position = 0
    while True:
        end = data.find(b"!", position) + 1
        if not 0 < end - position <= _LONGEST_NAME:
            raise SourceFileError(f"{name}: the map of its chunks is damaged at byte {position}", hint=HINT)
        chunk = data[position:end]
        if chunk == _MAP_END:
            return chunks
        if end + _PLACE.size > len(data):
            raise SourceFileError(f"{name}: the map of its chunks is cut off", hint=HINT)
        chunks[chunk] = _PLACE.unpack_from(data, end)[0]
        position = end + _PLACE.size


def frame_places(chunks: dict[bytes, int]) -> dict[int, int]:
    """Return frame -> where its chunk begins."""
    return {int(found[1]): place for chunk, place in chunks.items() if (found := _FRAME.fullmatch(chunk))}
