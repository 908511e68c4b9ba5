"""The segments of a CZI file (ZISRAW): where its planes, its metadata and its time stamps lie, and what they say.

Pure functions on bytes. A file begins with a header segment that points at the directory of subblocks, at the metadata
(XML) and at the attachments. Every subblock is one rectangle of one plane, placed in *one* frame of pixels that spans
the whole stage: joined, two wells would be one image with a desert between them, so subblocks are never joined here.
Subblocks stored smaller than they are drawn belong to the pyramid and are left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...errors import InvalidDataError, NotAnExportError, SourceFileError
from .base import HINT

MAGIC = b"ZISRAWFILE"
#: Bytes of a segment's own header, and of the file header's data.
SEGMENT, FILE_HEADER = 32, 80
_MOST_DIMENSIONS = 40
_DIMENSION = struct.Struct("<4siifi")
#: Pixel type -> its name; planes are the first two.
_PIXEL_TYPES = {
    0: "Gray8", 1: "Gray16", 2: "Gray32Float", 3: "Bgr24", 4: "Bgr48", 8: "Bgr96Float", 9: "Bgra32",
    10: "Gray64ComplexFloat", 11: "Bgr192ComplexFloat", 12: "Gray32", 13: "Gray64",
}  # fmt: skip
#: Dimensions that a plate does not have: phases, rotations, illuminations, views.
_FOREIGN = "HRIV"


class CziPlane(NamedTuple):
    """One full-size subblock: where it is in the experiment, in the frame of pixels, and in the file.

    ``foreign`` names an index above 0 along a dimension that plates do not have (``H1``), or is empty.
    """

    scene: int
    tile: int
    timepoint: int
    channel: int
    z: int
    x: int
    y: int
    width: int
    height: int
    pixel_type: str
    compression: int
    position: int
    foreign: str

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The type of the pixels, None where they are no plane's."""
        kind = {"Gray8": "u1", "Gray16": "<u2"}.get(self.pixel_type)
        return None if kind is None else np.dtype(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class CziHeader:
    """What the file header says: where the parts of the file begin (0: there is none)."""

    version: str
    directory: int
    metadata: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubblockHead:
    """What precedes the pixels of a subblock, in bytes from the beginning of its data."""

    metadata_size: int
    data_size: int
    metadata_offset: int
    data_offset: int


def segment_size(head: bytes, expected: str, name: str) -> int:
    """Return the bytes of a segment's data, from the 32 bytes before it.

    Raises
    ------
    SourceFileError
        It is another segment, or none.
    """
    sid, allocated, used = struct.unpack("<16sqq", head) if len(head) == SEGMENT else (b"", 0, 0)
    found = sid.rstrip(b"\0").decode("latin-1")
    size = used or allocated
    if found != expected or size < 0:
        raise SourceFileError(f"{name} has no {expected} segment where its header says, but {found!r}", hint=HINT)
    return int(size)


def parse_header(data: bytes, name: str) -> CziHeader:
    """Read the header of a file.

    Raises
    ------
    NotAnExportError
        It is no CZI.
    SourceFileError
        It is cut off, or was never finished.
    """
    if not data.startswith(MAGIC):
        raise NotAnExportError(f"{name} is not a CZI file: it begins with {data[:10]!r}")
    if len(data) < SEGMENT + FILE_HEADER:
        raise SourceFileError(f"{name} is cut off after {len(data)} bytes, inside its header", hint=HINT)
    major, minor, directory, metadata, pending = struct.unpack_from("<ii8x32x4xqqi", data, SEGMENT)
    if pending:
        raise SourceFileError(
            f"{name} was never finished: its header says that it is still being written",
            hint="Open and save the file in ZEN.",
        )
    if directory <= 0:
        raise SourceFileError(f"{name} has no directory of subblocks: it was never finished", hint=HINT)
    return CziHeader(version=f"{major}.{minor}", directory=directory, metadata=max(metadata, 0))


def parse_directory(data: bytes, name: str) -> tuple[CziPlane, ...]:
    """Read the directory of subblocks: the planes, in the order scene, tile (M), time point, channel, z.

    Raises
    ------
    SourceFileError
        It is cut off or damaged.
    InvalidDataError
        Its planes lie in other files.
    """
    if len(data) < 128:
        raise SourceFileError(f"{name}: the directory of subblocks is cut off", hint=HINT)
    (count,) = struct.unpack_from("<i", data)
    planes: list[CziPlane] = []
    offset = 128
    for number in range(count):
        entry, offset = _entry(data, offset, f"{name}: subblock {number} of {count}")
        if entry is not None:
            planes.append(entry)
    return tuple(sorted(planes))


def _entry(data: bytes, offset: int, where: str) -> tuple[CziPlane | None, int]:
    """Read one entry, and say where the next begins; None for a level of the pyramid."""
    try:
        schema, kind, position, part, compression, n_dimensions = struct.unpack_from("<2siqii6xi", data, offset)
    except struct.error as error:
        raise SourceFileError(f"{where} is cut off", hint=HINT) from error
    end = offset + 32 + n_dimensions * _DIMENSION.size
    if schema != b"DV" or not 0 <= n_dimensions <= _MOST_DIMENSIONS or position <= 0 or end > len(data):
        raise SourceFileError(f"{where} is damaged", hint=HINT)
    if part:
        raise InvalidDataError(
            f"{where} lies in part {part} of a CZI that was split over several files",
            hint="Save it as one file in ZEN.",
        )
    starts: dict[str, int] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for letter, start, size, _, stored in _DIMENSION.iter_unpack(data[offset + 32 : end]):
        axis = letter.rstrip(b"\0").decode("latin-1")
        starts[axis], sizes[axis] = start, (size, stored or size)
    (width, stored_width), (height, stored_height) = sizes.get("X", (0, 0)), sizes.get("Y", (0, 0))
    if min(width, height, stored_width, stored_height) <= 0:
        raise SourceFileError(f"{where} is damaged: it has no size", hint=HINT)
    if (width, height) != (stored_width, stored_height):
        return None, end
    if min(starts.get(a, 0) for a in "SMTCZ") < 0:
        raise SourceFileError(f"{where} is damaged: it has a number below 0", hint=HINT)
    if any(size != 1 for axis, (size, _) in sizes.items() if axis not in "XY"):
        raise SourceFileError(f"{where} holds more than one plane, which is not read", hint="Save it anew in ZEN.")
    foreign = next((f"{a}{starts[a]}" for a in _FOREIGN if starts.get(a, 0) > 0), "")
    plane = CziPlane(
        scene=starts.get("S", 0), tile=starts.get("M", 0), timepoint=starts.get("T", 0),
        channel=starts.get("C", 0), z=starts.get("Z", 0), x=starts["X"], y=starts["Y"], width=width, height=height,
        pixel_type=_PIXEL_TYPES.get(kind, f"type {kind}"), compression=compression, position=position, foreign=foreign,
    )  # fmt: skip
    return plane, end


def parse_subblock(data: bytes, size: int, where: str) -> SubblockHead:
    """Read what precedes the pixels of a subblock.

    Parameters
    ----------
    data
        The first bytes of the segment's data.
    size
        All bytes of the segment's data.
    where
        What to call it in messages.

    Raises
    ------
    SourceFileError
        It is cut off, or its parts do not fit into it.
    """
    try:
        metadata_size, attachment_size, data_size = struct.unpack_from("<iiq", data)
        (n_dimensions,) = struct.unpack_from("<i", data, 16 + 28)
    except struct.error as error:
        raise SourceFileError(f"{where} is cut off", hint=HINT) from error
    if not 0 <= n_dimensions <= _MOST_DIMENSIONS or min(metadata_size, attachment_size, data_size) < 0:
        raise SourceFileError(f"{where} is damaged", hint=HINT)
    metadata_offset = max(256, 16 + 32 + n_dimensions * _DIMENSION.size)
    head = SubblockHead(
        metadata_size=metadata_size,
        data_size=data_size,
        metadata_offset=metadata_offset,
        data_offset=metadata_offset + metadata_size,
    )
    if head.data_offset + data_size > size:
        raise SourceFileError(f"{where} is damaged: its pixels reach beyond it", hint=HINT)
    return head
