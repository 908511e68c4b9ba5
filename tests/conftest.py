"""Fixtures that every folder of tests uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real exports, images and profiles; tests that need it skip where it is absent."""
    named = os.environ.get("CYTOLAKE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CYTOLAKE_TEST_DATA to its folder")
    return folder
