"""What is said over the pipes between a question's two processes: frames of one letter, a length and a payload.

This module is loaded by the process that answers before anything else of ours; it imports nothing of ours.
"""

from __future__ import annotations

import os
import struct

#: To the process that answers: what to do; where the rows lie.
SETUP, ROWS = b"S", b"R"
#: From it: the rows that it needs; names and types of the answer; rows of the answer; its end; an error.
NEED, HEAD, BATCH, END, ERROR = b"N", b"H", b"B", b"E", b"X"

HEADER = struct.Struct("<cQ")
#: In front of the rows of a batch: how many there are.
COUNT = struct.Struct("<Q")


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return one frame."""
    return HEADER.pack(kind, len(payload)) + payload


def write_frame(target: int, kind: bytes, payload: bytes) -> None:
    """Write one frame to a file descriptor."""
    view = memoryview(frame(kind, payload))
    while view:
        view = view[os.write(target, view) :]


def read_frame(source: int) -> tuple[bytes, bytes]:
    """Read one frame from a file descriptor.

    Raises
    ------
    EOFError
        Whoever wrote is gone.
    """
    kind, length = HEADER.unpack(_exactly(source, HEADER.size))
    return kind, _exactly(source, length)


def _exactly(source: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.read(source, min(length, 2**20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
