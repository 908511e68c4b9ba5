"""Where an IN Cell export keeps its index and its images: few names are looked at, and none is opened for long."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from ..planes import ExportFiles, safe_path
from .incell_index import ROOT

#: Entries of a folder, and folders below it, that are looked at before giving up.
_MOST_ENTRIES = 20_000
_MOST_FOLDERS = 200
_FIRST_BYTES = 4096


def find_indexes(path: Path) -> list[Path]:
    """Return the ``.xdce`` files of an export, by name: the file itself, those of a folder, or of the folders below.

    An index that was given the suffix ``.xml`` is known by its first bytes.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".xdce" or _opens_as_index(path) else []
    entries = _entries(path)
    here = [e for e in entries if not e.is_dir()]
    found = [Path(e.path) for e in here if e.name.lower().endswith(".xdce")]
    if not found:
        found = [Path(e.path) for e in here if e.name.lower().endswith(".xml")][:20]
        found = [one for one in found if _opens_as_index(one)]
    if not found:
        folders = [e for e in entries if e.is_dir()][:_MOST_FOLDERS]
        found = [
            Path(e.path)
            for folder in folders
            for e in _entries(Path(folder.path))
            if e.name.lower().endswith(".xdce") and not e.is_dir()
        ]
    return sorted(found)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    found = []
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                if not entry.name.startswith("."):
                    found.append(entry)
                if len(found) >= _MOST_ENTRIES:
                    break
    except OSError:
        return []  # a folder that may not be looked into is none of ours
    return sorted(found, key=lambda entry: entry.name)


def _opens_as_index(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return f"<{ROOT}".encode() in file.read(_FIRST_BYTES)
    except OSError:
        return False


class ImageFiles:
    """The image files of one index: beside it, or in folders below, whatever the case of their letters."""

    def __init__(self, files: ExportFiles, folder: str) -> None:
        self._files = files
        self._prefix = f"{folder}/" if folder else ""
        self._by_name: dict[str, list[str]] = {}
        for name in files.sizes:
            if name.startswith(self._prefix):
                self._by_name.setdefault(PurePosixPath(name).name.lower(), []).append(name)

    def locate(self, file: str, where: str) -> str:
        """Return the path, relative to the export, of a file that the index names.

        Raises
        ------
        SourceFileError
            It would lie outside the export.
        """
        wanted = f"{self._prefix}{safe_path(file, where)}"
        name, size = self._files.find(wanted)
        if size is None:
            # The index does not always say in which folder of a well an image was put.
            others = self._by_name.get(PurePosixPath(wanted).name.lower(), [])
            if len(others) == 1:
                return others[0]
        return name
