"""The lake root: the folder or prefix with a ``lake.toml``, and everything that is reached through it."""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import AlreadyExistsError, ConfigurationError, InvalidDataError, NotFoundError, StorageError
from ..wording import listed
from . import migrations
from .snapshots import Snapshots
from .storage import STAGING, Storage, open_storage
from .tables import Tables

LAKE_FILE = "lake.toml"
# What desktops and file systems leave in a folder that is empty to its owner; staging is our own failed attempt.
_NOTHING = {".DS_Store", "Thumbs.db", "desktop.ini", "lost+found", STAGING}


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeConfig:
    """What ``lake.toml`` says."""

    name: str
    format_version: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def dump(self) -> bytes:
        """Return the text of ``lake.toml``."""
        import tomli_w

        values = {"name": self.name, "format_version": self.format_version, "settings": dict(self.settings)}
        text: str = tomli_w.dumps(values)
        return text.encode()

    @classmethod
    def parse(cls, data: bytes, *, where: str) -> LakeConfig:
        """Read the text of ``lake.toml``; ``InvalidDataError`` says what is wrong with it."""
        try:
            values = tomllib.loads(data.decode())
        except ValueError as error:
            raise InvalidDataError(f"{where} is no TOML: {error}", hint="restore it from a backup") from error
        name, version, settings = values.get("name"), values.get("format_version"), values.get("settings", {})
        if not isinstance(name, str) or type(version) is not int or not isinstance(settings, dict):
            raise InvalidDataError(
                f"{where} needs a text `name`, a whole number `format_version` and a table `settings`",
                hint="restore it from a backup",
            )
        return cls(name=name, format_version=version, settings=settings)


class LakeRoot:
    """An open lake: where it is, what its ``lake.toml`` says, its tables. Cheap, and picklable."""

    def __init__(self, storage: Storage, config: LakeConfig) -> None:
        self.storage = storage
        self.config = config

    def __repr__(self) -> str:
        return f"LakeRoot({self.url!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return (LakeRoot, (self.storage, self.config))

    @property
    def url(self) -> str:
        """The lake's absolute path or ``s3://`` URL."""
        return self.storage.url

    @cached_property
    def tables(self) -> Tables:
        """The lake's Delta tables."""
        return Tables(self.storage)

    @cached_property
    def snapshots(self) -> Snapshots:
        """What is known of the tables' versions while this object lives."""
        return Snapshots(self.storage)


def init_root(url: str | os.PathLike[str], *, name: str | None = None) -> LakeRoot:
    """Make a lake in an empty or absent folder, or under an empty ``s3://`` prefix.

    Parameters
    ----------
    name
        What people call the lake; by default the last part of its path.

    Raises
    ------
    AlreadyExistsError
        There is a lake already.
    ConfigurationError
        The folder holds something else, or the file system cannot do what a lake needs.
    """
    storage = open_storage(url)
    if storage.is_local and Path(storage.url).exists() and not Path(storage.url).is_dir():
        raise ConfigurationError(f"{storage.url} is a file", hint="name a folder that does not exist yet")
    _refuse_lake(storage)
    others = sorted(set(storage.children()) - _NOTHING)
    if others:
        raise ConfigurationError(
            f"{storage.url} is not empty ({listed(others, 3)}) and is no lake",
            hint="name a folder that is empty or does not exist yet",
        )
    for check in storage.probe():
        if not check.ok:
            raise ConfigurationError(
                f"{storage.url} cannot hold a lake: {check.name}: {check.detail}", hint=check.repair
            )
    title = name if name else storage.url.rpartition("/")[2]
    config = LakeConfig(name=title, format_version=migrations.FORMAT_VERSION)
    try:
        storage.write(LAKE_FILE, config.dump(), if_absent=True)
    except AlreadyExistsError:
        _refuse_lake(storage)
        raise
    return LakeRoot(storage, config)


def open_root(url: str | os.PathLike[str]) -> LakeRoot:
    """Open a lake: bring an older format up to date and finish commits that a kill interrupted.

    Raises
    ------
    NotFoundError
        There is no lake.
    ConfigurationError
        A newer version of cytolake made it.
    """
    from .commit import recover

    storage = open_storage(url)
    config = _read_config(storage)
    if config.format_version != migrations.FORMAT_VERSION:
        config = _migrate(storage, config)
    recover(storage)
    return LakeRoot(storage, config)


def find_root(start: str | os.PathLike[str]) -> Path | None:
    """Return the nearest folder, ``start`` or one above it, that has a ``lake.toml``."""
    here = Path(start).absolute()
    return next((folder for folder in (here, *here.parents) if (folder / LAKE_FILE).is_file()), None)


def _read_config(storage: Storage) -> LakeConfig:
    try:
        data = storage.read(LAKE_FILE)
    except NotFoundError:
        raise NotFoundError(
            f"{storage.url} is no lake: it has no {LAKE_FILE}",
            hint=f"make one with `cytolake init {shlex.quote(storage.url)}`, or name another with --lake",
        ) from None
    return LakeConfig.parse(data, where=storage.uri(LAKE_FILE))


def _refuse_lake(storage: Storage) -> None:
    if storage.exists(LAKE_FILE):
        name = _read_config(storage).name
        raise AlreadyExistsError(
            f"{storage.url} is a lake already, named {name!r}", hint="use it, or make another one elsewhere"
        )


def _migrate(storage: Storage, config: LakeConfig) -> LakeConfig:
    """Bring a lake to this version's format, one step at a time; an interruption repeats the last step."""
    newest = migrations.FORMAT_VERSION
    if config.format_version > newest:
        raise ConfigurationError(
            f"{storage.url} has lake format {config.format_version}; this cytolake knows formats up to {newest}",
            hint="upgrade: pip install --upgrade cytolake",
        )
    with storage.lock("migrate", wait=600.0):
        config = _read_config(storage)
        while config.format_version < newest:
            step = migrations.STEPS.get(config.format_version)
            if step is None:
                raise ConfigurationError(
                    f"{storage.url} has lake format {config.format_version}, which nothing here can bring up to date",
                    hint="check the format_version in lake.toml",
                )
            try:
                step(storage)
            except OSError as error:
                raise StorageError(f"{storage.url}: migration from {config.format_version} failed: {error}") from error
            config = replace(config, format_version=config.format_version + 1)
            storage.write(LAKE_FILE, config.dump())
    return config
