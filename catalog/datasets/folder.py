"""The folder of a data set: it appears whole or not at all, and what is there is not lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from ...errors import AlreadyExistsError, CytolakeError, InvalidDataError, StorageError, UsageError
from ...wording import listed

if TYPE_CHECKING:
    from ...store.root import LakeRoot

CARD = "card.json"
PAGE = "README.md"
_HINT = "give a card.json, or its folder"
#: What of a card may differ although the data set is the same: versions of tables without another row in it.
_MOVING = frozenset({"versions", "table_rows", "folder"})


class Target:
    """Where a data set goes."""

    def __init__(self, root: LakeRoot, path: Path) -> None:
        self.path = path
        self._lake = Path(root.url).resolve() if root.storage.is_local else None

    def check(self, *, overwrite: bool) -> None:
        """Make sure that a data set may appear here.

        Raises
        ------
        UsageError
            It lies in the lake.
        StorageError
            The folder above is none.
        AlreadyExistsError
            There is something that is no data set.
        """
        try:
            whole = self.path.resolve()
            self.path.lstat()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RuntimeError) as error:  # a loop of links is a RuntimeError up to Python 3.12
            raise StorageError(f"{self.path}: cannot be a folder ({error})", hint="give another name") from error
        if self._lake is not None and (whole == self._lake or self._lake in whole.parents):
            raise UsageError(
                f"{self.path} lies in the lake, which holds only what its own verbs write",
                hint="name a folder elsewhere",
            )
        if not whole.parent.is_dir():
            raise StorageError(f"{whole.parent} is no folder", hint="make it first")
        self._recover()
        if not self.path.exists() and not self.path.is_symlink():
            return
        is_empty = self.path.is_dir() and not any(self.path.iterdir())
        if not is_empty and not (self.path / CARD).is_file():
            raise AlreadyExistsError(
                f"{self.path} is there and no data set; it is never replaced", hint="give another name"
            )
        if not is_empty and overwrite:
            self._check_is_ours()

    def _check_is_ours(self) -> None:
        """Make sure that what would be removed is a data set, and nothing that somebody put beside it."""
        known = {CARD, PAGE, *(str(one["path"]) for one in read_card(self.path).get("files", ()))}
        found = (path for path in self.path.rglob("*") if path.is_symlink() or not path.is_dir())
        others = sorted({path.relative_to(self.path).as_posix() for path in found} - known)
        if others or self.path.is_symlink():
            what = f"beside its files there is {listed(others, 5)}" if others else "it is a link"
            raise AlreadyExistsError(
                f"{self.path} holds a data set, and cannot be replaced whole: {what}",
                hint="move that elsewhere, or give another name",
            )

    def card(self) -> dict[str, Any] | None:
        """Return the card of the data set that is there."""
        return read_card(self.path) if (self.path / CARD).is_file() else None

    @contextmanager
    def making(self) -> Iterator[Path]:
        """Give a folder beside the target, that is gone at the end unless it was put in its place."""
        folder = self._beside("tmp")
        try:
            folder.mkdir()
            yield folder
        except CytolakeError:
            raise
        except OSError as error:
            said = os.strerror(error.errno) if error.errno else str(error)
            raise StorageError(f"{self.path}: cannot be written ({said})") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, folder: Path, *, overwrite: bool, compared: Mapping[str, Any] | None) -> str:
        """Put what was made in its place; return ``ok``, or ``same`` where the same data set is there, which stays.

        Raises
        ------
        AlreadyExistsError
            Another data set is there and may not be replaced.
        """
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
        if not self.path.exists():
            folder.replace(self.path)
            return "ok"
        if _same(folder, self.path):
            return "same"
        if not overwrite:
            why = "; ".join(compared["because"]) if compared and compared["because"] else "its files differ"
            raise AlreadyExistsError(
                f"{self.path} is there already and holds another data set: {why}",
                hint="replace it with --overwrite, or give another name",
            )
        self._check_is_ours()
        aside = self._beside("old")
        self.path.replace(aside)
        try:
            folder.replace(self.path)
        except OSError:
            aside.replace(self.path)
            raise
        shutil.rmtree(aside)
        return "ok"

    def _beside(self, kind: str) -> Path:
        mark = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        return self.path.with_name(f".{self.path.name}.{mark}.{kind}")

    def _recover(self) -> None:
        """Clean up behind builds on this machine that were killed, and put back what one of them had moved aside."""
        prefix = f".{self.path.name}.{socket.gethostname()}-"
        for left in sorted(self.path.parent.glob(f".{self.path.name}.*")):
            if not left.name.startswith(prefix) or left.suffix not in {".tmp", ".old"}:
                continue
            number = left.name.removeprefix(prefix).partition("-")[0]
            if not number.isdigit() or _lives(int(number)):
                continue
            if left.suffix == ".old" and not self.path.exists():
                left.replace(self.path)
            else:
                shutil.rmtree(left, ignore_errors=True)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same data set: its files, and all of the card but versions that changed nothing."""

    def card(folder: Path) -> dict[str, Any]:
        return {key: value for key, value in read_card(folder).items() if key not in _MOVING}

    def hashes(folder: Path) -> dict[str, str]:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(folder).as_posix(): path for path in found}
        return {name: file_hash(path) for name, path in names.items() if name not in {CARD, PAGE}}

    return hashes(one) == hashes(other) and card(one) == card(other)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(folder: Path, rows: Mapping[str, int], only: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the files of a folder in order: ``path`` in it, ``rows``, ``bytes``, ``sha256``."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (only is None or name in only):
            split = name.partition("/")[0].removesuffix(path.suffix)
            count = rows.get(split)
            if path.suffix == ".parquet":
                count = pq.read_metadata(path).num_rows
            found.append({"path": name, "rows": count, "bytes": path.stat().st_size, "sha256": file_hash(path)})
    return found


def read_card(path: Path) -> dict[str, Any]:
    """Return a card by its file or its folder; ``folder`` says where it lies.

    Raises
    ------
    InvalidDataError
        It is no card of a data set.
    StorageError
        It cannot be read.
    """
    file = path / CARD if path.is_dir() else path
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(
            f"{file}: cannot be read ({error.strerror})", hint="give a card.json, or its folder"
        ) from error
    except ValueError as error:
        raise InvalidDataError(f"{file} is no card of a data set: {error}") from error
    if not isinstance(card, dict) or card.get("kind") != "cytolake dataset":
        raise InvalidDataError(f"{file} is no card of a data set", hint=_HINT)
    return {**card, "folder": str(file.parent)}
