"""The one place that talks to tensorstore: small documents and sharded arrays, local or on an object store.

Arrays are opened with their metadata in hand, so that creating or opening one costs no request. What is written stores
every chunk, zeros too; what is read refuses a chunk that is not there. A lost shard is therefore an error and never
black pixels. An array of somebody else, to which a field refers, is read by the same rule. Files are not synced one by
one: :func:`sync_tree` does that for a whole folder at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...errors import NotFoundError, StorageError
from ..storage import storage_error, storage_errors
from .ngff import AXES

if TYPE_CHECKING:
    import tensorstore as ts

    from ..storage import Storage
    from .model import ArrayReference

#: What tensorstore raises when the store below it fails; it has no exception class of its own.
FAILURES = (ValueError, OSError, RuntimeError, NotImplementedError)

#: An index along the first axes of an array, and what is stored there.
Place = tuple[int, ...]
Stored = Literal["all", "some", "none", "unknown"]

_AS_IT_WAS = "put the plate that holds them back as it was"


@cache
def context() -> ts.Context:
    """Give this process's context: no cache, few threads, so that memory is little more than the caller's buffers."""
    import tensorstore as ts

    return ts.Context(
        {
            "cache_pool": {"total_bytes_limit": 0},
            "data_copy_concurrency": {"limit": min(4, os.cpu_count() or 1)},
            "file_io_concurrency": {"limit": 4},
            "file_io_sync": False,
        }
    )


def keys(storage: Storage, path: str) -> ts.KvStore:
    """Give the keys below folder ``path``."""
    import tensorstore as ts

    return ts.KvStore.open(storage.kvstore(path), context=context()).result()


def read_document(store: ts.KvStore, key: str) -> dict[str, Any] | None:
    """Read the JSON object under ``key``, None where there is none.

    Raises
    ------
    StorageError
        When the store fails, or the document is no JSON object.
    """
    try:
        found = store.read(key).result()
    except FAILURES as error:
        raise storage_error(f"reading {store.path}{key}", error) from error
    return decode(found, f"{store.path}{key}")


def decode(found: ts.KvStore.ReadResult, where: str) -> dict[str, Any] | None:
    """Parse the JSON object that was read from ``where``, None where there was nothing."""
    if found.state == "missing":
        return None
    try:
        document = json.loads(bytes(found.value))
    except ValueError as error:
        raise StorageError(f"{where} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise StorageError(f"{where} is damaged: no JSON object")
    return document


def encode(document: Mapping[str, Any]) -> bytes:
    """Write a document as the bytes that are stored."""
    return json.dumps(document, ensure_ascii=False).encode()


def write_documents(store: ts.KvStore, documents: Mapping[str, bytes]) -> None:
    """Write several keys; each appears whole or not at all.

    Raises
    ------
    StorageError
        When the store refuses (full disk, no permission, unreachable).
    """
    try:
        for future in [store.write(key, value) for key, value in documents.items()]:
            future.result()
    except FAILURES as error:
        raise storage_error(f"writing {', '.join(documents)} below {store.path}", error) from error


def array_to_write(storage: Storage, path: str, document: Mapping[str, Any]) -> ts.TensorStore:
    """Open the array at ``path``, whose ``zarr.json`` is (or will be) ``document``, for writing."""
    return _open(storage, path, document, store_data_equal_to_fill_value=True)


def array_to_read(storage: Storage, path: str) -> ts.TensorStore:
    """Open the array at ``path`` for reading; a chunk that was never written is an error when it is read.

    Raises
    ------
    NotFoundError
        When there is no array.
    """
    document = read_document(keys(storage, path), "zarr.json")
    if document is None:
        raise NotFoundError(f"no array at {storage.uri(path)}")
    return _open(storage, path, document, fill_missing_data_reads=False)


def array_of_others(path: str, zarr_format: int, *, fill: bool, kept_bytes: int = 0) -> ts.TensorStore:
    """Open the array in a folder of this machine for reading; raises what tensorstore does.

    Parameters
    ----------
    fill
        Read a chunk that is not there as the fill value.
    kept_bytes
        Decoded chunks to keep, for whoever reads a chunk in several goes.
    """
    import tensorstore as ts

    spec = {
        "driver": "zarr3" if zarr_format == 3 else "zarr",
        "kvstore": {"driver": "file", "path": f"{os.path.abspath(path)}/"},  # noqa: PTH100  # keeps links, refuses ..
        "fill_missing_data_reads": fill,
    }
    cache = ts.Context({"cache_pool": {"total_bytes_limit": kept_bytes}}, context()) if kept_bytes else context()
    return ts.open(spec, read=True, open=True, context=cache).result()


def array_elsewhere(reference: ArrayReference, where: str) -> ts.TensorStore:
    """Open the array of somebody else that is the level 0 of the field ``where``, with axes t, c, z, y, x, for reading.

    Raises
    ------
    NotFoundError
        It is not where it was.
    StorageError
        It cannot be read, or has another shape or type than it had.
    """
    import tensorstore as ts

    document = Path(reference.path) / ("zarr.json" if reference.zarr_format == 3 else ".zarray")
    with storage_errors(f"reading {document}"):
        is_there = document.is_file()
    if not is_there:
        raise NotFoundError(
            f"{where}: its pixels are in {reference.path}, and there is no Zarr array any more",
            hint=f"{_AS_IT_WAS}; or ingest it from where it is now with --existing replace",
        )
    try:
        array = array_of_others(reference.path, reference.zarr_format, fill=reference.is_sparse)
        # An axis of length 1 that we have no name for is left out, one that we have and the array not is put in.
        array = array[tuple(slice(None) if axis in AXES else 0 for axis in reference.axes)]
        named = [axis for axis in reference.axes if axis in AXES]
        absent = [axis for axis in AXES if axis not in named]
        array = array[(..., *[ts.newaxis] * len(absent))].transpose([(named + absent).index(axis) for axis in AXES])
    except (*FAILURES, IndexError) as error:
        raise StorageError(
            f"{where}: its pixels in {reference.path} cannot be opened: {error}",
            hint=f"{_AS_IT_WAS}; or ingest it again with --existing replace",
        ) from error
    if array.shape != reference.shape or array.dtype.name != reference.dtype:
        raise StorageError(
            f"{where}: its pixels in {reference.path} are {list(array.shape)} {array.dtype.name} now, and were "
            f"{list(reference.shape)} {reference.dtype}",
            hint=f"{_AS_IT_WAS}; or ingest it again with --existing replace",
        )
    return array


def stored(array: ts.TensorStore, places: Iterable[Place]) -> Iterator[tuple[Place, Stored]]:
    """Say of each place, an index along the first axes, how many of its chunks were written; no chunk is read.

    It is ``unknown`` where the index of a shard is damaged.
    """
    # Each question may list the folder: most arrays are whole, and one is enough.
    whole = _stored(array)
    for place in places:
        yield place, whole if whole == "all" else _stored(array[place])


def _stored(part: ts.TensorStore) -> Stored:
    try:
        found = part.storage_statistics(query_fully_stored=True, query_not_stored=True).result()
    except FAILURES:
        return "unknown"
    return "all" if found.fully_stored else "none" if found.not_stored else "some"


def _open(storage: Storage, path: str, document: Mapping[str, Any], **options: bool) -> ts.TensorStore:
    import tensorstore as ts

    metadata = {key: value for key, value in document.items() if key != "attributes"}
    spec = {"driver": "zarr3", "kvstore": storage.kvstore(path), "metadata": metadata, **options}
    try:
        return ts.open(spec, open=True, assume_metadata=True, context=context()).result()
    except FAILURES as error:
        raise storage_error(f"opening the array {storage.uri(path)}", error) from error


def sync_tree(storage: Storage, path: str, *, depth: int | None = None) -> None:
    """Make what lies below folder ``path`` survive a power cut: file contents first, then the folders.

    Object stores need none of it. On journalling file systems the first file pays and the folders come nearly free.

    Parameters
    ----------
    depth
        How many levels of folders to go through, ``path`` itself being the first; all of them by default.

    Raises
    ------
    StorageError
        When the disk reports that it could not keep what was written.
    """
    if not storage.is_local:
        return
    root = storage.uri(path)
    folders = []
    with storage_errors(f"syncing {root}"):
        for folder, below, files in os.walk(root):
            if depth is not None and folder.count("/") - root.count("/") >= depth - 1:
                below.clear()
            folders.append(folder)
            for name in files:
                # What somebody else replaces at this moment is theirs to sync. (No Path: there may be 100,000.)
                with suppress(FileNotFoundError):
                    _sync(f"{folder}/{name}")
        for folder in reversed(folders):
            _sync(folder)


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
