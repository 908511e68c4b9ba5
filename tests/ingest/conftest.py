"""Fixtures of the tests of readers."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def unlistable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """What makes listing a folder fail as it does without permission, for root too."""
    scandir: Callable[[Any], Any] = os.scandir

    def close(folder: Path) -> None:
        def refusing(path: Any) -> Any:
            if os.path.realpath(path) == os.path.realpath(folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refusing)

    return close
