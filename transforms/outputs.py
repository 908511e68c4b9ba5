"""Pages and pictures for people: whether they can be written is known before the work, and they appear whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import StorageError, UsageError


def check_outputs(files: Iterable[Path]) -> None:
    """Make sure that files can be written where somebody wants them.

    Raises
    ------
    UsageError
        The folder of one is not there, or nothing can be written in it, or the file is a folder.
    """
    for file in files:
        if not os.path.isdir(file.parent):  # noqa: PTH112 - says no of whatever cannot be a path
            raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
        if os.path.isdir(file):  # noqa: PTH112
            raise UsageError(f"{file} cannot be written: it is a folder")
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise UsageError(f"{file} cannot be written: nothing can be written in {file.parent}")


def write_output(file: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    part = file.with_name(f".{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(f"{file} cannot be written: {error.strerror}") from error
