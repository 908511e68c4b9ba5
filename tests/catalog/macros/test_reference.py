"""The reference page says what the library has."""

from __future__ import annotations

from pathlib import Path

from cytolake.catalog.library import library
from cytolake.catalog.reference import COMMAND, reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "macros.md"


def test_the_page_is_made_from_the_library() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), f"the page is old: {COMMAND}"


def test_all_that_is_public_is_on_it() -> None:
    text = reference()
    assert [one.name for one in library().values() if one.is_public and f"### `{one.signature}`" not in text] == []
    assert [one.name for one in library().values() if not one.is_public and f"### `{one.name}" in text] == []
