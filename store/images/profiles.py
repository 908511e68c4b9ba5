"""Profiles of illumination that were made from a plate's own images, kept in the plate's folder.

They lie in ``cytolake/illumination/<name>/a<acquisition>c<channel>`` below the plate: a Zarr group whose attributes say
how the profile was made, with one array ``profile`` (y, x), float32, in a single chunk. The group's ``zarr.json`` is
written last, so what has one is whole, whenever its writer was killed. A name stands for one content: it ends in a
hash of all that decides the profile, and whoever writes it again, or at the same time, writes the same. NGFF knows
nothing of such groups and lets them be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InvalidDataError, NotFoundError, StorageError, UsageError
from ..storage import storage_error
from . import engine, ngff
from .illumination import Profile

if TYPE_CHECKING:
    from .plate import Plate

_FOLDER = "cytolake/illumination"
_ARRAY = "profile"
_NAME = re.compile(r"[a-z]+-[0-9a-f]{8}")
_ENTRY = re.compile(r"a(\d+)c(\d+)")
_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProfile:
    """One channel's profile, as it is kept.

    ``name`` says which settings it was made with. ``profile`` is float32 (y, x) of mean 1, or None where there is none
    that would be of use; ``about`` is what its writer said of it.
    """

    name: str
    acquisition_id: int
    channel_index: int
    profile: Profile | None
    about: Mapping[str, Any]


def write_profile(plate: Plate, stored: StoredProfile) -> str:
    """Keep a profile with its plate; one that is there under this name stays as it is.

    Returns
    -------
    str
        Its folder, relative to the lake.

    Raises
    ------
    UsageError
        It has a name that no profile has, or is no plane of positive finite numbers.
    StorageError
        The storage refused; no profile of that name is there then.
    """
    profile = stored.profile
    if not _NAME.fullmatch(stored.name):
        raise UsageError(f"{stored.name!r} is no name for a profile", hint="write a method, '-' and 8 hex digits")
    if profile is not None and (profile.ndim != 2 or not np.isfinite(profile).all() or profile.min() <= 0):
        raise UsageError("an illumination profile is a plane of finite numbers above 0")
    path = _path(plate, stored.name, stored.acquisition_id, stored.channel_index)
    if _is_whole(plate, stored.name, stored.acquisition_id, stored.channel_index):
        return path
    store = engine.keys(plate.storage, path)
    # A group whose array is lost is no longer whole; it must not look so while it is mended.
    plate.storage.delete(f"{path}/zarr.json")
    _write_groups_above(plate, stored.name)
    if profile is not None:
        document = _array_document(profile.shape)
        engine.write_documents(store, {f"{_ARRAY}/zarr.json": engine.encode(document)})
        array = engine.array_to_write(plate.storage, f"{path}/{_ARRAY}", document)
        try:
            array.write(np.ascontiguousarray(profile, np.float32)).result()
        except engine.FAILURES as error:
            raise storage_error(f"writing {plate.storage.uri(path)}", error) from error
        engine.sync_tree(plate.storage, path)
    ours = {
        "schema_version": _SCHEMA_VERSION,
        "kind": "illumination",
        "acquisition_id": stored.acquisition_id,
        "channel_index": stored.channel_index,
        "profile": None if profile is None else _ARRAY,
        "about": dict(stored.about),
    }
    engine.write_documents(store, {"zarr.json": engine.encode(ngff.group({"cytolake": ours}))})
    engine.sync_tree(plate.storage, path, depth=1)
    return path


def read_profile(plate: Plate, name: str, *, acquisition_id: int = 1, channel_index: int) -> StoredProfile:
    """Read a profile.

    Raises
    ------
    NotFoundError
        The plate has none of that name for that channel.
    StorageError, InvalidDataError
        It is damaged.
    """
    path = _path(plate, name, acquisition_id, channel_index)
    document = engine.read_document(engine.keys(plate.storage, path), "zarr.json")
    if document is None:
        raise NotFoundError(
            f"plate {plate.name} has no profile {name} of channel {channel_index} in acquisition {acquisition_id}",
            hint="`cytolake illumination` makes profiles",
        )
    try:
        ours = document["attributes"]["cytolake"]
        about, array = dict(ours["about"]), ours["profile"]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidDataError(f"{plate.storage.uri(path)} is no illumination profile of cytolake") from error
    profile = None
    if array is not None:
        try:
            read = engine.array_to_read(plate.storage, f"{path}/{_ARRAY}").read().result()
        except (NotFoundError, *engine.FAILURES) as error:
            raise StorageError(
                f"the illumination profile {plate.storage.uri(path)} is lost or damaged: {error}",
                hint="`cytolake illumination` makes it again",
            ) from error
        profile = np.ascontiguousarray(read, np.float32)
        if profile.ndim != 2 or not np.isfinite(profile).all() or profile.min() <= 0:
            raise StorageError(f"the illumination profile {plate.storage.uri(path)} is damaged: not above 0 everywhere")
    return StoredProfile(
        name=name, acquisition_id=acquisition_id, channel_index=channel_index, profile=profile, about=about
    )


def stored_profiles(plate: Plate) -> list[tuple[str, int, int]]:
    """List what is kept with a plate: (name, acquisition, channel), sorted; what is not whole is left out."""
    found = []
    for name in plate.storage.children(f"{plate.path}/{_FOLDER}"):
        if not _NAME.fullmatch(name):
            continue
        for entry in plate.storage.children(f"{plate.path}/{_FOLDER}/{name}"):
            match = _ENTRY.fullmatch(entry)
            if match and plate.storage.exists(f"{plate.path}/{_FOLDER}/{name}/{entry}/zarr.json"):
                found.append((name, int(match[1]), int(match[2])))
    return sorted(found)


def remove_profiles(plate: Plate, name: str) -> None:
    """Take all profiles of a name away; none of that name is no error."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a profile")
    plate.storage.delete_tree(f"{plate.path}/{_FOLDER}/{name}")


def _path(plate: Plate, name: str, acquisition_id: int, channel_index: int) -> str:
    return f"{plate.path}/{_FOLDER}/{name}/a{acquisition_id}c{channel_index}"


def _is_whole(plate: Plate, name: str, acquisition_id: int, channel_index: int) -> bool:
    try:
        read_profile(plate, name, acquisition_id=acquisition_id, channel_index=channel_index)
    except (NotFoundError, StorageError, InvalidDataError):
        return False
    return True


def _write_groups_above(plate: Plate, name: str) -> None:
    """Write the groups between the plate and a profile, so that Zarr libraries can walk down to it."""
    store = engine.keys(plate.storage, plate.path)
    above = ("cytolake", _FOLDER, f"{_FOLDER}/{name}")
    absent = [path for path in above if not plate.storage.exists(f"{plate.path}/{path}/zarr.json")]
    if absent:
        engine.write_documents(store, {f"{path}/zarr.json": engine.encode(ngff.group()) for path in absent})
        engine.sync_tree(plate.storage, f"{plate.path}/cytolake", depth=3)


def _array_document(shape: tuple[int, ...]) -> dict[str, Any]:
    """``zarr.json`` of a plane in one chunk, which appears whole or not at all."""
    blosc = {"cname": "zstd", "clevel": 1, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": blosc},
        ],
        "dimension_names": ["y", "x"],
        "attributes": {},
    }
