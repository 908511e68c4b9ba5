"""How a Zarr array lies on the disk: its own document as bytes in, and which of its chunks are there.

Versions 2 and 3, either separator, sharded or not. A chunk that was never written reads as the fill value by Zarr's
rules. A *plane* of which no chunk was written is another matter: nobody measured it, and it is told as not stored.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SourceFileError, StorageError
from ...store.images import engine
from .base import HINT

#: The documents of an array, in the order in which they are looked for.
ARRAY_DOCUMENTS = ("zarr.json", ".zarray")
#: Every plane is a row of a table.
MOST_PLANES = 1_000_000
#: Beyond these a document is damaged: axes, pixels along a side and in all, bytes of a chunk, bytes of a document.
_MOST_AXES, _LARGEST_SIDE, _LARGEST_ARRAY = 12, 2**20, 2**50
_LARGEST_CHUNK = 2**32
_LARGEST_DOCUMENT = 2**26
_V2_TYPE = re.compile(r"[<>|=]?([a-zA-Z])([0-9]{1,3})\Z")
_KINDS = {"u": "uint", "i": "int", "f": "float", "b": "bool", "c": "complex"}
_WORD = re.compile(r"[A-Za-z0-9_]{1,40}\Z")
_CHUNK_NAME = re.compile(r"(?:c[./])?([0-9]{1,9}(?:[./][0-9]{1,9})*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrLayout:
    """An array as its document describes it.

    ``dtype`` is the name of the pixels' type (``uint16``), ``chunks`` the part of the array that one file holds, which
    for a sharded array is the shard.
    """

    zarr_format: int
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    decoded: tuple[int, ...]

    @property
    def planes(self) -> int:
        """How many planes there are: all axes but the last two."""
        return math.prod(self.shape[:-2])

    def place(self, number: int) -> tuple[int, ...]:
        """Return the index of a plane along the axes before the last two, in C order."""
        return tuple(int(i) for i in np.unravel_index(number, self.shape[:-2])) if len(self.shape) > 2 else ()

    @property
    def spans_planes(self) -> bool:
        """Whether what is decoded at once holds several planes."""
        return math.prod(self.decoded[:-2]) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunks:
    """What is on the disk of an array: bytes and time of the last change of all its files, and its chunks.

    ``leading`` are the chunks' indices along the axes before the last two, ``count`` is the number of chunks. ``empty``
    are the planes of which the shards, which may hold others, hold nothing. ``lost`` says of ``leading`` indices which
    chunk was written and is no file now: a link to nowhere, as of data that was never fetched.
    """

    size: int
    changed_ns: int
    leading: frozenset[tuple[int, ...]]
    count: int
    empty: frozenset[int]
    lost: Mapping[tuple[int, ...], str]

    def has(self, layout: ZarrLayout, number: int) -> bool:
        """Whether any chunk of a plane is there."""
        return number not in self.empty and _leading(layout, number) in self.leading

    def lost_chunk(self, layout: ZarrLayout, number: int) -> str | None:
        """Return a chunk of a plane that is no file, None where all that were written are."""
        return self.lost.get(_leading(layout, number))


def parse_array(data: bytes, name: str) -> ZarrLayout:
    """Read the document of an array (``zarr.json`` or ``.zarray``).

    Raises
    ------
    SourceFileError
        It is no JSON, not that of an array, or describes one that cannot be.
    """
    document = parse_json(data, name)
    version = document.get("zarr_format")
    try:
        if version == 2:
            return _checked(_v2(document), name)
        if version == 3 and document.get("node_type") == "array":
            return _checked(_v3(document), name)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise SourceFileError(f"{name} describes no array: {error!r}", hint=HINT) from error
    raise SourceFileError(f"{name} describes no Zarr array of version 2 or 3", hint=HINT)


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    SourceFileError
        The bytes are something else.
    """
    if len(data) > _LARGEST_DOCUMENT:
        raise SourceFileError(f"{name} has {len(data)} bytes, no Zarr document has", hint=HINT)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceFileError(f"{name} is cut off or no JSON: {error}"[:300], hint=HINT) from error
    if not isinstance(document, dict):
        raise SourceFileError(f"{name} is no JSON object", hint=HINT)
    return document


def _v2(document: dict[str, Any]) -> ZarrLayout:
    if document.get("filters"):
        raise ValueError("its chunks went through filters, which are not read")
    kind = _V2_TYPE.match(str(document["dtype"]))
    if kind is None:
        raise ValueError(f"type {str(document['dtype'])[:40]!r}")
    chunks = _lengths(document["chunks"])
    name = _KINDS.get(kind.group(1), kind.group(1)) + ("" if kind.group(1) == "b" else str(8 * int(kind.group(2))))
    return ZarrLayout(zarr_format=2, shape=_lengths(document["shape"]), dtype=name, chunks=chunks, decoded=chunks)


def _v3(document: dict[str, Any]) -> ZarrLayout:
    if document["chunk_grid"]["name"] != "regular":
        raise ValueError("its chunks are not of one size")
    if document.get("storage_transformers"):
        raise ValueError("it has storage transformers, which are not read")
    chunks = _lengths(document["chunk_grid"]["configuration"]["chunk_shape"])
    decoded = chunks
    for codec in document["codecs"]:
        if codec["name"] == "sharding_indexed":
            decoded = _lengths(codec["configuration"]["chunk_shape"])
    dtype = document["data_type"]
    if not isinstance(dtype, str) or not _WORD.match(dtype):
        raise ValueError(f"type {str(dtype)[:40]!r}")
    return ZarrLayout(zarr_format=3, shape=_lengths(document["shape"]), dtype=dtype, chunks=chunks, decoded=decoded)


def _lengths(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise ValueError(f"lengths {str(value)[:80]}")
    return tuple(value)


def _checked(layout: ZarrLayout, name: str) -> ZarrLayout:
    """Refuse an array that has no planes, or sizes that no microscope makes."""
    axes = len(layout.shape)
    if not 2 <= axes <= _MOST_AXES or len(layout.chunks) != axes or len(layout.decoded) != axes:
        raise SourceFileError(f"{name} describes an array of {axes} axes; an image has 2 to {_MOST_AXES}", hint=HINT)
    if min(layout.shape) < 1 or max(layout.shape) > _LARGEST_SIDE or math.prod(layout.shape) > _LARGEST_ARRAY:
        raise SourceFileError(f"{name} describes an array of {layout.shape} pixels, which cannot be", hint=HINT)
    if min(layout.chunks + layout.decoded) < 1 or math.prod(layout.decoded) > _LARGEST_CHUNK:
        raise SourceFileError(f"{name} describes chunks of {layout.decoded} pixels, which cannot be", hint=HINT)
    return layout


def is_there(path: Path) -> bool:
    """Whether there is such a file.

    Raises
    ------
    StorageError
        Nobody may look: that is not the same as none.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def find_document(folder: Path) -> Path | None:
    """Return the document of the array in a folder, None where there is none; raises as :func:`is_there`."""
    return next((folder / name for name in ARRAY_DOCUMENTS if is_there(folder / name)), None)


def _leading(layout: ZarrLayout, number: int) -> tuple[int, ...]:
    """Return the index of a plane's chunks along the axes before the last two."""
    return tuple(i // n for i, n in zip(layout.place(number), layout.chunks[:-2], strict=True))


def array_files(folder: Path) -> list[tuple[str, os.stat_result | None]]:
    """List the files of an array: their paths in it, with forward slashes, sorted. Linked folders are not followed.

    What is no file (a link to nowhere, a pipe) has no status.

    Raises
    ------
    StorageError
        A folder cannot be listed.
    """
    found: list[tuple[str, os.stat_result | None]] = []
    top = os.fspath(folder)
    folders = [""]
    while folders:
        prefix = folders.pop()
        try:
            with os.scandir(f"{top}/{prefix}") as listing:  # no Path: there may be a million chunks
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{prefix}{entry.name}/")
                    else:
                        found.append((f"{prefix}{entry.name}", _status(entry)))
        except OSError as error:
            raise StorageError(f"the folder {top}/{prefix} cannot be listed: {error.strerror}") from error
    return sorted(found, key=lambda one: one[0])


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat() if entry.is_file() else None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise


def stored_chunks(folder: Path, layout: ZarrLayout) -> StoredChunks:
    """Look at the files of an array; raises as :func:`array_files`."""
    size, changed, count = 0, 0, 0
    leading = set()
    lost: dict[tuple[int, ...], str] = {}
    axes = len(layout.shape)
    for name, status in array_files(folder):
        if status is not None:
            size += status.st_size
            changed = max(changed, status.st_mtime_ns)
        chunk = _CHUNK_NAME.match(name)
        if chunk:
            index = tuple(int(part) for part in re.split("[./]", chunk.group(1)))
            if len(index) == axes:
                leading.add(index[:-2])
                count += 1
                if status is None:
                    lost.setdefault(index[:-2], name)
    empty = _empty_planes(folder, layout) if leading and layout.chunks != layout.decoded else frozenset()
    return StoredChunks(size=size, changed_ns=changed, leading=frozenset(leading), count=count, empty=empty, lost=lost)


def _empty_planes(folder: Path, layout: ZarrLayout) -> frozenset[int]:
    """Return the planes of a sharded array of which no chunk was written, by the indices of the shards."""
    if layout.planes > MOST_PLANES:
        return frozenset()
    try:
        array = engine.array_of_others(os.fspath(folder), layout.zarr_format, fill=True)
    except engine.FAILURES:
        return frozenset()  # reading its planes says what is wrong
    kept = engine.stored(array, map(layout.place, range(layout.planes)))
    return frozenset(number for number, (_, what) in enumerate(kept) if what == "none")


def chunk_count(layout: ZarrLayout) -> int:
    """Return the number of chunks that the whole array has."""
    return math.prod(-(-n // c) for n, c in zip(layout.shape, layout.chunks, strict=True))
