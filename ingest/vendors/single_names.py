"""Formats whose files hold whole images (CZI, ND2, LIF): which files there are, and the wells that their names say."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...schemas.identifiers import well_or_none
from ..readers import Evidence
from ..sources import glance, list_folder

Well = tuple[int, int]
#: ``…WellB02_…``, ``well_b2``: a well that the name calls one.
_CALLED_WELL = re.compile(
    r"(?:^|[^A-Za-z])well[ _-]?([A-Za-z]{1,2}\d{1,2})(?![0-9A-Za-z])|Well([A-Z]{1,2}\d{1,2})(?!\d)"
)
_WHOLE_WELL = re.compile(r"[A-Za-z]{1,2}\d{1,2}")
#: Entries of a folder that are looked at to tell what it is.
_LOOKED_AT = 20_000


def find_files(path: Path, suffix: str) -> list[Path]:
    """Return the file itself, or the files of a folder with the suffix, by name.

    Raises
    ------
    StorageError
        The folder cannot be listed.
    """
    return _with_suffix(path, suffix, list_folder)


def _with_suffix(path: Path, suffix: str, entries: Callable[[Path], list[os.DirEntry[str]]]) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == suffix else []
    return [path / e.name for e in entries(path) if e.name.lower().endswith(suffix) and e.is_file()]


def detect_files(reader: str, path: Path, suffix: str, what: str, is_one: Callable[[bytes], bool]) -> Evidence | None:
    """Look at the first bytes of the first file with the suffix."""
    files = _with_suffix(path, suffix, partial(glance, most=_LOOKED_AT))
    if not files:
        return None
    first = files[0]
    try:
        with first.open("rb") as file:
            head = file.read(128)
    except OSError as error:
        return Evidence(
            reader=reader, confidence=0.0, facts=(f"{first} cannot be read: {error.strerror}",), index=str(first)
        )
    if not is_one(head):
        fact = f"{first.name} is no {what} file: it begins with {head[:8]!r}"
        return Evidence(reader=reader, confidence=0.0, facts=(fact,), index=str(first))
    count = "" if len(files) == 1 else f", one of {len(files)}{' or more' if len(files) >= _LOOKED_AT else ''}"
    return Evidence(reader=reader, confidence=1.0, facts=(f"{first.name}: {what}{count}",), index=str(first))


def well_in_name(path: Path) -> tuple[Well, str | None] | None:
    """Return the well that a file's name, or its folder's, is about, and what stands before it in the file's name.

    ``P1_WellB02_Seq0001.nd2`` and ``B02.nd2`` and ``B02/image.nd2`` name one; ``T3_Z5.nd2`` does not.
    """
    found = _CALLED_WELL.search(path.stem)
    if found is not None:
        well = well_or_none(found[1] or found[2])
        if well is not None:
            before = path.stem[: found.start(1) if found[1] else found.start(2)]
            return well, re.sub(r"(?i)well[ _-]?$", "", before).strip(" _-") or None
    for text in (path.stem, path.parent.name):
        if _WHOLE_WELL.fullmatch(text) and (well := well_or_none(text)) is not None:
            return well, None
    return None
