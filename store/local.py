"""Lakes in a folder: the storage seam over a POSIX file system.

Writes are atomic (a temporary file, then ``rename`` or ``link``) and synced; locks are ``flock``, which the death
of their holder frees.
"""

# Methods are documented once, in Storage.
# ruff: noqa: D102
from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AlreadyExistsError, ConfigurationError, ConflictError
from .storage import (
    STAGING,
    Check,
    Checks,
    Paths,
    Stamp,
    Stamps,
    Storage,
    Stored,
    StoredFiles,
    relative,
    storage_error,
    storage_errors,
)

if TYPE_CHECKING:
    import pyarrow.fs

_LOCKS = f"{STAGING}/locks"
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK}


class LocalStorage(Storage):
    """A folder."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow the user's links
        self.url = str(self.folder)

    def __repr__(self) -> str:
        return f"LocalStorage({self.url!r})"

    def local(self, path: str) -> Path:
        """Return the absolute path of ``path``."""
        return self.folder / relative(path)

    def exists(self, path: str) -> bool:
        return self.local(path).exists()

    def read(self, path: str) -> bytes:
        target = self.local(path)
        with storage_errors(f"reading {target}"):
            return target.read_bytes()

    def write(self, path: str, data: bytes, *, if_absent: bool = False) -> None:
        target = self.local(path)
        temporary = self.local(f"{STAGING}/write-{uuid.uuid4().hex}")  # where a kill may leave it
        with storage_errors(f"writing {target}"):
            make_folders(target.parent)
            make_folders(temporary.parent)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if if_absent:
                    _link(temporary, target)
                else:
                    temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            sync_path(target.parent)

    def list(self, prefix: str = "") -> Paths:
        top = self.local(prefix)
        found = (Path(where, name) for where, _, names in os.walk(top) for name in names)
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def entries(self, prefix: str = "") -> StoredFiles:
        found = []
        for where, _, names in os.walk(self.local(prefix)):
            folder = Path(where).relative_to(self.folder).as_posix()
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # gone since the folder was listed
                    about = os.lstat(f"{where}/{name}")
                    path = name if folder == "." else f"{folder}/{name}"
                    found.append(Stored(path, about.st_size, about.st_mtime))
        return found

    def children(self, prefix: str = "") -> Paths:
        try:
            return sorted(entry.name for entry in self.local(prefix).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def size(self, path: str) -> int:
        target = self.local(path)
        with storage_errors(f"reading {target}"):
            return target.stat().st_size

    def stamps(self, paths: Iterable[str]) -> Stamps:
        return [self._stamp(path) for path in paths]

    def _stamp(self, path: str) -> Stamp | None:
        with storage_errors(f"reading {self.url}/{path}"):
            try:
                about = self.local(path).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return about.st_size, about.st_mtime_ns, about.st_ino

    def delete(self, path: str) -> None:
        target = self.local(path)
        with storage_errors(f"removing {target}"):
            target.unlink(missing_ok=True)

    def delete_tree(self, prefix: str) -> None:
        target = self.local(prefix)
        if not target.exists():
            return
        trash = target
        with storage_errors(f"removing {target}"):
            if prefix.split("/")[0] not in {"", STAGING}:
                trash = self.local(f"{STAGING}/trash-{uuid.uuid4().hex}")
                make_folders(trash.parent)
                target.rename(trash)
                sync_path(target.parent)
            if trash.is_dir():
                shutil.rmtree(trash)
            else:
                trash.unlink()

    def rename(self, source: str, target: str) -> None:
        old, new = self.local(source), self.local(target)
        with storage_errors(f"moving {old} to {new}"):
            make_folders(new.parent)
            # rename() would replace a file or an empty folder without a word.
            if new.exists():
                raise AlreadyExistsError(f"{new} exists already")
            try:
                old.rename(new)
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise AlreadyExistsError(f"{new} exists already") from error
                raise
            sync_path(new.parent)
            sync_path(old.parent)

    def sync(self, paths: Iterable[str]) -> None:
        files = [self.local(path) for path in paths]
        folders = {folder for file in files for folder in (file.parent, file.parent.parent)}
        with storage_errors(f"syncing files of {self.folder}"):
            for path in [*files, *sorted(folders)]:
                sync_path(path)

    def make_parents(self, path: str) -> None:
        target = self.local(path)
        with storage_errors(f"making {target.parent}"):
            make_folders(target.parent)

    def reserve(self, path: str, size: int) -> None:
        target = self.local(path)
        with storage_errors(f"reserving {size} bytes at {target}"):
            make_folders(target.parent)
            with target.open("wb") as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    # Some file systems cannot say; there the commit itself will.
                    if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
                        target.unlink()
                        raise

    def delta_options(self) -> dict[str, str]:
        return {}

    def kvstore(self, path: str) -> dict[str, Any]:
        return {"driver": "file", "path": f"{self.local(path)}/"}

    def zarr_store(self, path: str, *, read_only: bool = True) -> Any:
        from zarr.storage import LocalStore

        return LocalStore(self.local(path), read_only=read_only)

    def arrow_filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), self.url

    def duckdb_filesystem(self) -> None:
        return None

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: float = 0.0, shared: bool = False) -> Iterator[None]:
        target = self.local(f"{_LOCKS}/{name}.lock")
        handle = self._acquire(target, name, time.monotonic() + wait, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(handle)  # closing frees the flock; the file stays, removing it would race with a waiter

    def _acquire(self, target: Path, name: str, deadline: float, kind: int) -> int:
        while True:
            with storage_errors(f"locking {target}"):
                make_folders(target.parent)
                handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                # staging/ may be deleted at any time: a lock on a file that is gone protects nothing.
                if _same_file(handle, target):
                    _say_who(handle)
                    return handle
            except BlockingIOError:
                holder = os.pread(handle, 4096, 0).decode(errors="replace")
                if time.monotonic() >= deadline:
                    os.close(handle)
                    raise ConflictError(
                        f"{self.url}: {name!r} is locked by {_holder(holder)}",
                        hint="wait until it has finished, then run the same command again",
                    ) from None
            except OSError as error:
                os.close(handle)
                raise storage_error(f"locking {target}", error) from error
            os.close(handle)
            time.sleep(0.02)

    def probe(self) -> Checks:
        folder = self.local(f"{STAGING}/probe-{uuid.uuid4().hex}")
        checks = []
        try:
            make_folders(folder)
            first = folder / "a"
            first.write_bytes(b"cytolake")
            sync_path(first)
        except OSError as error:
            repair = "give yourself write access to the lake folder"
            return [Check("writable", False, f"{self.url}: {error}", repair)]
        try:
            checks.append(Check("writable", True, self.url, ""))
            checks.append(
                _try(
                    "hard links",
                    lambda: os.link(first, folder / "b"),
                    "keep the lake on ext4, xfs, btrfs, zfs, APFS or NFS (Delta commits are hard links)",
                )
            )
            checks.append(_try("rename", lambda: first.rename(folder / "c"), "keep the lake on a POSIX file system"))
            checks.append(_try("locks", lambda: self._probe_lock(folder), "mount the lake with file locks enabled"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return checks

    @staticmethod
    def _probe_lock(folder: Path) -> None:
        with (folder / "lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try(name: str, act: Callable[[], object], repair: str) -> Check:
    try:
        act()
    except OSError as error:
        return Check(name, False, str(error), repair)
    return Check(name, True, "works", "")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise AlreadyExistsError(f"{target} exists already") from None
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise ConfigurationError(
                f"{target}: this file system makes no hard links ({error.strerror}), which a lake needs",
                hint="keep the lake on a POSIX file system; `cytolake doctor` checks it",
            ) from error
        raise


def make_folders(folder: Path) -> None:
    """Make ``folder`` and its parents, each with its entry synced."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_path(one.parent)


def sync_path(path: Path) -> None:
    """``fsync`` one file or folder."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _same_file(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(handle)
    return (ours.st_ino, ours.st_dev) == (there.st_ino, there.st_dev)


def _say_who(handle: int) -> None:
    who = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(who).encode(), 0)


def _holder(text: str) -> str:
    try:
        who = json.loads(text)
        return f"process {who['process']} on {who['host']} since {who['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
