"""Label images of a field: the objects of one object set, as one segmentation found them.

A label image lies inside its field, has the field's axes and pyramid (with all its planes, or with one where the
objects were found in a projection of the stack), and is named in ``labels/zarr.json`` only once
it is complete: what is listed is whole. Writing the same objects again changes nothing; writing others under the same
name takes the old ones off the list first, so that no reader sees a mixture, whenever the writer is killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConflictError, CytolakeError, NotFoundError, StorageError, UsageError
from ..storage import storage_error
from . import engine, layout, ngff
from .pyramid import nearest

if TYPE_CHECKING:
    from .plate import Field

_ATTEMPTS = 20


def write_label(field: Field, name: str, labels: NDArray[Any], *, source: Mapping[str, Any]) -> None:
    """Write the label image ``name`` of a field, with its pyramid, sync it, and list it.

    Parameters
    ----------
    labels
        (y, x), (t, y, x) for all time points, or (t, z, y, x) for all planes of a stack too; integers from 0
        (background) to 2**31 - 1, stored as int32.
    source
        How the objects were found; any JSON.

    Raises
    ------
    UsageError
        ``labels`` do not fit the field, or ``name`` is no plain word.
    StorageError
        The storage refused; the field's list of labels is as it was.
    """
    t, _, z, y, x = field.shape
    planes = z if labels.ndim == 4 else 1
    volumes = {2: labels[np.newaxis, np.newaxis], 3: labels[:, np.newaxis]}.get(labels.ndim, labels)
    if volumes.shape != (t, planes, y, x):
        raise UsageError(
            f"{field}: labels of shape {labels.shape} do not fit {t} time points of {z} × {y} × {x} pixels"
        )
    if volumes.dtype.kind not in "iu" or volumes.min() < 0 or volumes.max() > np.iinfo(np.int32).max:
        raise UsageError(f"{field}: labels {name!r} are not whole numbers from 0 to 2**31 - 1")
    if not name.replace("_", "").replace("-", "").isalnum():
        raise UsageError(f"{name!r} is no name for labels", hint="use letters, digits, _ and -")

    path = f"{field.path}/labels/{name}"
    store = engine.keys(field.storage, path)
    head = engine.encode(ngff.label(name, field.info, levels=field.levels, source=source))
    if _holds(field, name, volumes):
        if field.storage.read(f"{path}/zarr.json") != head:
            engine.write_documents(store, {"zarr.json": head})
            engine.sync_tree(field.storage, path, depth=1)
        return
    if field.storage.exists(path):
        remove_label(field, name)
    level = volumes.astype(np.int32, copy=False)
    for n, shape in enumerate(layout.level_shapes((t, 1, planes, y, x), field.levels)):
        depth = layout.shard_depth(shape, "int32")
        document = layout.array_document(shape, "int32", depth=depth)
        engine.write_documents(store, {f"{n}/zarr.json": engine.encode(document)})
        array = engine.array_to_write(field.storage, f"{path}/{n}", document)
        try:
            for at, start in product(range(t), range(0, planes, depth)):  # shard by shard: a stack is large
                stop = min(start + depth, planes)
                array[at, 0, start:stop].write(level[at, start:stop]).result()
        except engine.FAILURES as error:
            raise storage_error(f"writing {field.storage.uri(path)}", error) from error
        level = nearest(level)
    engine.write_documents(store, {"zarr.json": head})
    engine.sync_tree(field.storage, path)
    _list(field, add=name)


def _holds(field: Field, name: str, volumes: NDArray[Any]) -> bool:
    """Whether the label image ``name`` is listed and holds just these objects (t, z, y, x)."""
    if name not in field.labels():
        return False
    try:
        return field.label_planes(name) == volumes.shape[1] and all(
            np.array_equal(field.read_label(name, t=t, z=z), plane)
            for t, volume in enumerate(volumes)
            for z, plane in enumerate(volume)
        )
    except (NotFoundError, StorageError, UsageError):
        return False  # damaged or laid out otherwise: to be replaced


def remove_label(field: Field, name: str) -> None:
    """Take a label image off the list, then away; one that is not there is no error."""
    _list(field, remove=name)
    field.storage.delete_tree(f"{field.path}/labels/{name}")


def label_source(field: Field, name: str) -> dict[str, Any]:
    """Read how the objects of a label image were found, as its writer said.

    Raises
    ------
    NotFoundError
        The field has no such label image.
    """
    where = f"{field.path}/labels/{name}"
    document = engine.read_document(engine.keys(field.storage, where), "zarr.json")
    if document is None:
        raise NotFoundError(f"{field} has no labels {name!r}")
    return ngff.parse_label_source(document, where)


def _list(field: Field, *, add: str | None = None, remove: str | None = None) -> None:
    """Change the list of labels; a concurrent change of the same list is kept."""
    store = engine.keys(field.storage, f"{field.path}/labels")
    where = f"{field.path}/labels/zarr.json"
    for _ in range(_ATTEMPTS):
        try:
            found = store.read("zarr.json").result()
            names = set(ngff.parse_labels(engine.decode(found, where), where))
            wanted = (names | {add} if add else names) - {remove}
            if wanted == names:
                return
            body = engine.encode(ngff.labels(sorted(n for n in wanted if n)))
            if store.write("zarr.json", body, if_equal=found.stamp.generation).result().generation:
                engine.sync_tree(field.storage, f"{field.path}/labels", depth=1)
                return
        except engine.FAILURES as error:
            if isinstance(error, CytolakeError):
                raise
            raise storage_error(f"listing labels of {field}", error) from error
    raise ConflictError(f"{field}: its list of labels keeps being changed by somebody else", hint="run it again")
