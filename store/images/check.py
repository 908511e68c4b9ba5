"""Is a plate whole? Structure always, every pixel on demand.

Finds what validators of NGFF metadata cannot see: a group that is missing between plate and field, a level of another
type or size, a shard that is lost or cut off, pixels that cannot be decoded, a pyramid that is not its own level 0.
Problems are collected, not raised: the list is empty when the plate is good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError, NotFoundError, StorageError
from . import engine, layout, ngff
from .model import ArrayReference, FieldKey, Plane, PlateSpec
from .plate import Field
from .pyramid import halve, nearest

if TYPE_CHECKING:
    from ..storage import Storage

_NO_CHUNK = np.uint64(2**64 - 1)
_INDEX_ENTRY = 16
_INDEX_CHECKSUM = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    ``code`` is stable and may be matched by programs; ``where`` is a path relative to the lake root.
    """

    code: str
    where: str
    message: str


def check_plate(
    storage: Storage,
    path: str,
    *,
    deep: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Check the plate in folder ``path``.

    Parameters
    ----------
    deep
        Read every pixel of every level and compare each level with the one it was made from.
    progress
        Called with (fields checked, fields in all).

    Returns
    -------
    list of Problem
        In the order of the plate; empty when nothing is wrong.
    """
    try:
        document = engine.read_document(engine.keys(storage, path), "zarr.json")
        if document is None:
            return [Problem("plate-missing", path, "there is no plate here, or it was never finished")]
        spec, listed = ngff.parse_plate(document, path)
    except (StorageError, InvalidDataError) as error:
        return [Problem("plate-invalid", path, error.message)]
    problems = list(_plate(path, spec, listed))
    if not problems:
        problems += _metadata(storage, path, ngff.plate(spec), "plate")
    wells: dict[str, list[FieldKey]] = {}
    for key in spec.images:
        wells.setdefault(ngff.well_path(key.well_id), []).append(key)
    for row in dict.fromkeys(well.split("/")[0] for well in wells):
        problems += _metadata(storage, f"{path}/{row}", ngff.group(), "row")
    first: tuple[str, ...] | None = None
    done = 0
    for well, keys in wells.items():
        problems += _well(storage, f"{path}/{well}", keys)
        for key in keys:
            where = f"{path}/{ngff.image_path(key)}"
            try:
                field = Field(storage, where)
            except InvalidDataError as error:
                problems.append(Problem("image-invalid", where, error.message))
            except StorageError as error:
                problems.append(Problem("image-unreadable", where, error.message))
            except NotFoundError as error:
                problems.append(Problem("image-missing", where, error.message))
            else:
                first = first or field.info.levels
                problems += _image(field, key, first, deep=deep)
                problems += _foreign(field, spec)
            done += 1
            if progress:
                progress(done, len(spec.images))
    return problems


def _plate(path: str, spec: PlateSpec, listed: Sequence[ngff.ListedWell]) -> Iterator[Problem]:
    for well in listed:
        if well.path != f"{ngff.row_name(well.row + 1)}/{ngff.column_name(well.column + 1)}":
            yield Problem("well-index", path, f"well {well.path} has the indices of another row or column")
    held = {ngff.well_path(key.well_id) for key in spec.images}
    for name in sorted({well.path for well in listed} ^ held):
        yield Problem("well-list", path, f"well {name} is in only one of the plate's two lists of wells")
    known = {acquisition.acquisition_id for acquisition in spec.acquisitions}
    for number in sorted({key.acquisition_id for key in spec.images} - known):
        yield Problem("acquisition-unknown", path, f"fields belong to acquisition {number}, which is not listed")
    for number in sorted(n for n in known if n < 1):
        yield Problem("acquisition-number", path, f"acquisition {number}: viewers read ids below 1 as unset")


def _group(storage: Storage, where: str, what: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Read the ``zarr.json`` of a group that must be there."""
    try:
        document = engine.read_document(engine.keys(storage, where), "zarr.json")
    except StorageError as error:
        return None, [Problem(f"{what}-unreadable", where, error.message)]
    if document is None:
        return None, [Problem(f"{what}-missing", where, f"the {what} has no zarr.json")]
    return document, []


def _metadata(storage: Storage, where: str, wanted: Mapping[str, Any], what: str) -> list[Problem]:
    """Compare a group's ``zarr.json`` with what we would write there."""
    document, problems = _group(storage, where, what)
    if document is not None and not ngff.same(document, wanted):
        problems.append(Problem(f"{what}-metadata", where, f"the zarr.json of the {what} contradicts itself or NGFF"))
    return problems


def _well(storage: Storage, where: str, keys: Sequence[FieldKey]) -> Iterator[Problem]:
    document, problems = _group(storage, where, "well")
    yield from problems
    if document is None:
        return
    try:
        named = {f"{where}/{name}" for name in ngff.parse_well(document, where)}
    except InvalidDataError as error:
        yield Problem("well-invalid", where, error.message)
        return
    wanted = {f"{where}/{ngff.image_path(key).rpartition('/')[2]}" for key in keys}
    for image in sorted(named ^ wanted):
        holder = "well" if image in named else "plate"
        yield Problem("field-list", image, f"the field is listed only by the {holder}")
    if named == wanted:
        yield from _metadata(storage, where, ngff.well(keys), "well")


def _image(field: Field, key: FieldKey, paths: tuple[str, ...], *, deep: bool) -> Iterator[Problem]:
    if field.key != key:
        yield Problem("image-identity", field.path, f"the field calls itself {field.key}")
    if field.info.levels != paths:
        yield Problem("level-paths", field.path, f"levels {field.info.levels}, the plate's first image has {paths}")
    arrays = []
    reference = field.info.reference
    for level, name in enumerate(field.info.levels):
        if reference and level == 0:
            document, problems = _referred(field, reference)
        else:
            document, problems = _array(field.storage, f"{field.path}/{name}", "level")
        yield from problems
        if document is None:
            return
        arrays.append(document)
    shapes = [tuple(array["shape"]) for array in arrays]
    expected = layout.level_shapes(shapes[0], len(shapes))
    sound = True
    for name, array, wanted in zip(field.info.levels, arrays, expected, strict=True):
        if array["data_type"] != arrays[0]["data_type"]:
            sound = False
            message = f"pixels are {array['data_type']}, level 0 has {arrays[0]['data_type']}"
            yield Problem("level-dtype", f"{field.path}/{name}", message)
        if tuple(array["shape"]) != wanted:
            sound = False
            message = f"shape {array['shape']}, level 0 calls for {list(wanted)}"
            yield Problem("level-shape", f"{field.path}/{name}", message)
    if shapes[0][1] != len(field.channels):
        yield Problem("channel-count", field.path, f"{len(field.channels)} channels named, {shapes[0][1]} stored")
    beyond = [p for p in field.missing_planes if not all(0 <= i < n for i, n in zip(p, shapes[0], strict=False))]
    if beyond:
        yield Problem("missing-planes", field.path, f"planes outside the image are called missing: {beyond}")
    t, c, z, y, x = shapes[0]
    yield from _metadata(field.storage, field.path, ngff.again(field.info, (t, c, z, y, x)), "image")
    if sound:
        gone = frozenset(field.missing_planes)
        lost: list[Problem] = []
        for level, (name, array) in enumerate(zip(field.info.levels, arrays, strict=True)):
            if reference and level == 0:
                lost += _chunks(field, reference, gone)
            else:
                lost += _shards(field.storage, f"{field.path}/{name}", array, gone)
        yield from lost
        if deep and not lost:
            yield from _pixels(field)
    yield from _labels(field, shapes, deep=deep)


def _array(storage: Storage, where: str, what: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    try:
        document = engine.read_document(engine.keys(storage, where), "zarr.json")
    except StorageError as error:
        return None, [Problem(f"{what}-unreadable", where, error.message)]
    if document is None:
        return None, [Problem(f"{what}-missing", where, f"the {what} has no zarr.json")]
    shape = document.get("shape")
    five = isinstance(shape, list) and len(shape) == len(ngff.AXES) and all(isinstance(n, int) and n > 0 for n in shape)
    if document.get("node_type") != "array" or not five or not isinstance(document.get("data_type"), str):
        return None, [Problem(f"{what}-invalid", where, "this is no array of five axes")]
    return document, []


def _foreign(field: Field, spec: PlateSpec) -> Iterator[Problem]:
    """Check that a field refers to one of the plates that its own names, and not to anything else on the disk."""
    reference = field.info.reference
    known = spec.attributes.get("references")
    inside = isinstance(known, list) and reference and any(Path(reference.path).is_relative_to(str(p)) for p in known)
    if reference and not inside:
        message = f"its pixels are said to be in {reference.path}, which lies in no plate that this one refers to"
        yield Problem("reference-unknown", field.path, message)


def _referred(field: Field, reference: ArrayReference) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Describe a level 0 that is an array of somebody else."""
    where = f"{field.path}/{field.info.levels[0]}"
    try:
        array = engine.array_elsewhere(reference, str(field))
    except (NotFoundError, StorageError) as error:
        code = "reference-missing" if isinstance(error, NotFoundError) else "reference-changed"
        return None, [Problem(code, where, error.message)]
    return {"shape": list(array.shape), "data_type": array.dtype.name}, []


def _chunks(field: Field, reference: ArrayReference, gone: frozenset[Plane]) -> Iterator[Problem]:
    """Check that the array of somebody else has the chunks of all planes but ``gone``."""
    if reference.is_sparse:
        return
    where = f"{field.path}/{field.info.levels[0]}"
    array = engine.array_elsewhere(reference, str(field))
    planes = product(*(range(n) for n in reference.shape[:3]))
    for (t, c, z), kept in engine.stored(array, (plane for plane in planes if plane not in gone)):
        if kept != "all":
            what = "damaged" if kept == "unknown" else "lost"
            yield Problem("plane-lost", where, f"time point {t}, channel {c}, z {z} is {what} in {reference.path}")


def _shards(storage: Storage, where: str, array: Mapping[str, Any], gone: frozenset[Plane]) -> Iterator[Problem]:
    """Check that each shard is there, is as long as its index says, and has the chunks of all planes but ``gone``."""
    if not layout.is_ours(array):
        yield Problem("layout", where, "its chunks or shards are not those of the plate layout")
        return
    store = engine.keys(storage, where)
    shard = array["chunk_grid"]["configuration"]["chunk_shape"]
    inner = array["codecs"][0]["configuration"]["chunk_shape"]
    grid = [-(-n // s) for n, s in zip(array["shape"], shard, strict=True)]
    chunks = [s // i for s, i in zip(shard, inner, strict=True)]
    index_bytes = int(np.prod(chunks)) * _INDEX_ENTRY + _INDEX_CHECKSUM
    for position in product(*(range(n) for n in grid)):
        t, _, block, _, _ = position
        z0 = block * shard[2]
        depth = min(shard[2], array["shape"][2] - z0)
        wanted = np.array([[Plane(t, c, z0 + z) not in gone for z in range(depth)] for c in range(array["shape"][1])])
        key = "c/" + "/".join(map(str, position))
        name = f"{where}/{key}"
        try:
            size = storage.size(name)
        except NotFoundError:
            if wanted.any():
                yield Problem("shard-missing", name, f"pixels of time point {t} are lost")
            continue
        if size < index_bytes:
            yield Problem("shard-cut-off", name, f"{size} bytes, its index alone has {index_bytes}")
            continue
        tail = bytes(store.read(key, byte_range=slice(size - index_bytes, None)).result().value)
        index = np.frombuffer(tail[:-_INDEX_CHECKSUM], "<u8").reshape(*chunks, 2)[0]
        present = index[..., 1] != _NO_CHUNK
        ends = np.where(present, index[..., 0] + index[..., 1], 0)
        if (ends > size - index_bytes).any():
            yield Problem("shard-cut-off", name, "its index points beyond its end")
            continue
        held = present[:, :depth].reshape(*wanted.shape, -1)
        for c, z in np.argwhere(wanted & ~held.all(axis=-1)):
            yield Problem("plane-lost", name, f"no pixels of channel {c}, z {z0 + z}, and it is not called missing")
        for c, z in np.argwhere(~wanted & held.any(axis=-1)):
            yield Problem("plane-invented", name, f"pixels of channel {c}, z {z0 + z}, which is called missing")


def _pixels(field: Field) -> Iterator[Problem]:
    # One z plane of all channels at a time: a whole stack may be larger than memory.
    for t, z in product(range(field.shape[0]), range(field.shape[2])):
        try:
            levels = [field.read(t=t, z=z, level=level)[:, 0] for level in range(field.levels)]
        except StorageError as error:
            yield Problem("pixels-unreadable", field.path, error.message)
            continue
        for level, (fine, coarse) in enumerate(pairwise(levels), start=1):
            made = np.empty_like(coarse)
            halve(fine, made)
            if not np.array_equal(made, coarse, equal_nan=made.dtype.kind == "f"):
                elsewhere = f" in {field.info.reference.path}" if field.info.reference and level == 1 else ""
                message = f"time point {t}, z {z} is not the mean of level {level - 1}{elsewhere}"
                yield Problem("pyramid-differs", f"{field.path}/{level}", message)


def _labels(field: Field, shapes: Sequence[tuple[int, ...]], *, deep: bool) -> Iterator[Problem]:
    try:
        names = field.labels()
    except (StorageError, InvalidDataError) as error:
        yield Problem("labels-unreadable", f"{field.path}/labels", error.message)
        return
    if names:
        yield from _metadata(field.storage, f"{field.path}/labels", ngff.labels(names), "labels")
    for name in names:
        problems = list(_label(field, name, shapes))
        yield from problems
        if deep and not problems:
            yield from _label_pixels(field, name, len(shapes))


def _label(field: Field, name: str, shapes: Sequence[tuple[int, ...]]) -> Iterator[Problem]:
    where = f"{field.path}/labels/{name}"
    document, problems = _group(field.storage, where, "label")
    yield from problems
    if document is None:
        return
    try:
        source = ngff.parse_label_source(document, where)
    except InvalidDataError as error:
        yield Problem("label-invalid", where, error.message)
        return
    yield from _metadata(field.storage, where, ngff.label(name, field.info, levels=len(shapes), source=source), "label")
    planes: int | None = None
    for level, (t, _, z, y, x) in enumerate(shapes):
        place = f"{where}/{level}"
        array, problems = _array(field.storage, place, "label-level")
        yield from problems
        if array is None:
            continue
        if array["data_type"] != "int32":
            yield Problem("label-dtype", place, f"labels are {array['data_type']}, not int32")
            continue
        # All planes of the stack, or one for its projection: as the first level has it.
        planes = (z if array["shape"][2:3] == [z] else 1) if planes is None else planes
        if array["shape"] != [t, 1, planes, y, x]:
            yield Problem("label-shape", place, f"shape {array['shape']}, the image calls for {[t, 1, planes, y, x]}")
        else:
            yield from _shards(field.storage, place, array, frozenset())


def _label_pixels(field: Field, name: str, levels: int) -> Iterator[Problem]:
    for t, z in product(range(field.shape[0]), range(field.label_planes(name))):
        try:
            images: list[NDArray[np.int32]] = [field.read_label(name, t=t, z=z, level=n) for n in range(levels)]
        except StorageError as error:
            yield Problem("pixels-unreadable", f"{field.path}/labels/{name}", error.message)
            continue
        for level, (fine, coarse) in enumerate(pairwise(images), start=1):
            if not np.array_equal(nearest(fine), coarse):
                message = f"time point {t}, z {z} differs from level 0"
                yield Problem("pyramid-differs", f"{field.path}/labels/{name}/{level}", message)
