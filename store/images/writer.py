"""Writing a plate: the driver writes what there is once, each worker writes whole fields.

:class:`PlateWriter` makes the groups of rows and wells and, last of all, the plate's own ``zarr.json``: a plate
without it is unfinished. :class:`ImageWriter` writes one field at a time, shard by shard and each shard in one go,
into buffers that it keeps; several of them, in any processes, may work on different fields of one plate. A field's
own ``zarr.json`` comes after its pixels, so a field that has one is complete.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..storage import storage_error
from . import engine, layout, ngff
from .display import display_window
from .model import FieldKey, ImageSpec, Plane, PlateSpec, Window, WrittenImage
from .pyramid import halve

if TYPE_CHECKING:
    import tensorstore as ts

    from ..storage import Storage

#: ``read_plane(t, c, z, out)`` fills ``out`` (y, x) and returns True, or returns False where there are no pixels.
ReadPlane = Callable[[int, int, int, NDArray[Any]], bool]

_DTYPES = ("uint8", "uint16", "uint32", "float32")


class PlateWriter:
    """Everything of one plate but its fields; the driver's part.

    Parameters
    ----------
    storage, path
        Where the plate goes: a folder of the lake, normally under ``staging/``.
    spec
        The plate as it will be when it is finished, with all its fields.
    """

    def __init__(self, storage: Storage, path: str, spec: PlateSpec) -> None:
        self.storage = storage
        self.path = path
        self.spec = spec
        self._document = ngff.plate(spec)

    def begin(self) -> None:
        """Write the groups of all rows that have wells, and of all wells. May be repeated."""
        wells: dict[str, list[FieldKey]] = {}
        for key in self.spec.images:
            wells.setdefault(ngff.well_path(key.well_id), []).append(key)
        empty = engine.encode(ngff.group())
        documents = {f"{path.split('/')[0]}/zarr.json": empty for path in wells}
        documents |= {f"{path}/zarr.json": engine.encode(ngff.well(keys)) for path, keys in wells.items()}
        engine.write_documents(engine.keys(self.storage, self.path), documents)

    def finish(self) -> None:
        """Write the plate's own ``zarr.json`` and sync the groups; the fields synced themselves."""
        engine.write_documents(engine.keys(self.storage, self.path), {"zarr.json": engine.encode(self._document)})
        engine.sync_tree(self.storage, self.path, depth=3)


class ImageWriter:
    """Fields of one plate, one after the other; a worker's part, not to be shared between threads.

    Keeps its buffers: about one and a third raw shards (a shard has at most 64 MiB, or one z plane of all channels).

    Parameters
    ----------
    storage, path
        The plate.
    codec
        ``zstd-N`` or ``lz4-N``.
    levels
        Levels of the pyramid; the same for every image of a plate.
    """

    def __init__(
        self, storage: Storage, path: str, *, codec: str = layout.DEFAULT_CODEC, levels: int = layout.LEVELS
    ) -> None:
        self.storage = storage
        self.path = path
        self.codec = codec
        self.levels = levels
        self._buffers: list[NDArray[Any]] = []

    def is_written(self, key: FieldKey) -> bool:
        """Whether this field is complete."""
        return self.storage.exists(f"{self.path}/{ngff.image_path(key)}/zarr.json")

    def write(self, spec: ImageSpec, read_plane: ReadPlane) -> WrittenImage:
        """Write one field with its pyramid, and sync it.

        ``read_plane`` is called once for each plane that ``spec.missing`` does not name, by time point, z and channel.
        Planes without pixels are not stored at any level; they are named in the field's metadata. Of a field with a
        ``reference`` the planes are read all the same, for the pyramid, and level 0 is left where it is.

        Raises
        ------
        UsageError
            The shape, dtype and channels of ``spec`` do not fit together.
        StorageError
            The storage refused. What ``read_plane`` raises comes through. Either way the field stays incomplete.
        """
        _check(spec)
        path = f"{self.path}/{ngff.image_path(spec.key)}"
        shapes = layout.level_shapes(spec.shape, self.levels)
        depth = layout.shard_depth(spec.shape, spec.dtype)
        documents = [layout.array_document(s, spec.dtype, depth=depth, codec=self.codec) for s in shapes]
        stored = slice(1 if spec.reference else 0, None)
        if spec.reference:
            self.storage.delete_tree(f"{path}/0")  # half a copy that was given up
        named = list(enumerate(documents))[stored]
        arrays = [engine.array_to_write(self.storage, f"{path}/{level}", document) for level, document in named]
        store = engine.keys(self.storage, path)
        engine.write_documents(store, {f"{level}/zarr.json": engine.encode(d) for level, d in named})
        missing = set(spec.missing)
        windows: list[Window] | None = None
        for t in range(spec.shape[0]):
            for z in range(0, spec.shape[2], depth):
                blocks = self._blocks(shapes, spec.dtype, min(depth, spec.shape[2] - z))
                absent = _fill(blocks[0], t, z, missing, read_plane)
                missing |= absent
                for fine, coarse in pairwise(blocks):
                    halve(_planes(fine), _planes(coarse))
                self._store(arrays, blocks[stored], t, z, absent, where=path)
                if windows is None and len(absent) < math.prod(blocks[0].shape[1:3]):
                    windows = _windows(spec, blocks[-1], t, z, absent)
        engine.sync_tree(self.storage, path)
        document = ngff.image(
            spec, levels=self.levels, windows=windows or _windows(spec, None, 0, 0, ()), missing=missing
        )
        engine.write_documents(store, {"zarr.json": engine.encode(document)})
        engine.sync_tree(self.storage, path, depth=1)
        return WrittenImage(key=spec.key, path=ngff.image_path(spec.key), missing=tuple(sorted(missing)))

    def _blocks(self, shapes: Sequence[layout.Shape], dtype: str, depth: int) -> list[NDArray[Any]]:
        """One contiguous array (1, c, depth, y, x) per level, carved from buffers that live on."""
        wanted = [(1, c, depth, y, x) for _, c, _, y, x in shapes]
        sizes = [math.prod(shape) for shape in wanted]
        fits = [b.dtype == dtype and b.size >= n for b, n in zip(self._buffers, sizes, strict=False)]
        if len(fits) < len(sizes) or not all(fits):
            self._buffers = [np.empty(size, dtype) for size in sizes]
        return [buffer[:size].reshape(shape) for buffer, size, shape in zip(self._buffers, sizes, wanted, strict=True)]

    def _store(
        self,
        arrays: Sequence[ts.TensorStore],
        blocks: Sequence[NDArray[Any]],
        t: int,
        z: int,
        absent: Iterable[Plane],
        *,
        where: str,
    ) -> None:
        import tensorstore as ts

        skipped = {(plane.c, plane.z) for plane in absent}
        try:
            if not skipped:
                # The blocks stay untouched until every write has ended, so tensorstore need not copy them.
                writes = [
                    array[t : t + 1, :, z : z + block.shape[2]].write(
                        block, can_reference_source_data_indefinitely=True
                    )
                    for array, block in zip(arrays, blocks, strict=True)
                ]
                for write in writes:
                    write.result()
                return
            for array, block in zip(arrays, blocks, strict=True):
                # A transaction gathers the planes that exist into one shard, in which the others have no chunk.
                with ts.Transaction() as transaction:
                    for c in range(block.shape[1]):
                        for i in range(block.shape[2]):
                            if (c, z + i) not in skipped:
                                array.with_transaction(transaction)[t, c, z + i].write(block[0, c, i]).result()
        except engine.FAILURES as error:
            raise storage_error(f"writing {self.storage.uri(where)}", error) from error


def _check(spec: ImageSpec) -> None:
    where = f"well {spec.well_id}, field {spec.field_id}"
    if spec.dtype not in _DTYPES:
        raise UsageError(f"{where}: pixels of type {spec.dtype} are not stored", hint=f"one of {', '.join(_DTYPES)}")
    if len(spec.channels) != spec.shape[1]:
        raise UsageError(f"{where}: {len(spec.channels)} channels are described, shape {spec.shape} has another number")
    if min(spec.shape) < 1:
        raise UsageError(f"{where}: shape {spec.shape} has no pixels")


def _fill(block: NDArray[Any], t: int, z: int, missing: set[Plane], read_plane: ReadPlane) -> set[Plane]:
    """Read the planes of one shard into ``block`` (1, c, z, y, x); return those without pixels."""
    absent = set()
    for i in range(block.shape[2]):
        for c in range(block.shape[1]):
            plane = Plane(t, c, z + i)
            if plane in missing or not read_plane(*plane, block[0, c, i]):
                block[0, c, i] = 0
                absent.add(plane)
    return absent


def _planes(block: NDArray[Any]) -> NDArray[Any]:
    return block.reshape(-1, *block.shape[-2:])


def _windows(spec: ImageSpec, block: NDArray[Any] | None, t: int, z: int, absent: Iterable[Plane]) -> list[Window]:
    middle = 0 if block is None else block.shape[2] // 2
    gone = set(absent)
    return [
        channel.window
        or display_window(None if block is None or Plane(t, c, z + middle) in gone else block[0, c, middle], spec.dtype)
        for c, channel in enumerate(spec.channels)
    ]
