"""Where an IN Cell export keeps its index and its images."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

from ...errors import StorageError
from ..planes import ExportFiles, safe_path
from ..sources import glance, list_folder
from .incell_index import ROOT

#: Entries of a folder, folders below it, and ``.xml`` files in it that a quick look takes in.
_MOST_ENTRIES, _MOST_FOLDERS, _MOST_XML = 20_000, 200, 20
_FIRST_BYTES = 4096


def find_indexes(path: Path, *, quick: bool = False) -> list[Path]:
    """Return the ``.xdce`` files of an export, by name: the file itself, those of a folder, or of the folders below.

    An index that was given the suffix ``.xml`` is known by its first bytes.

    Parameters
    ----------
    path
        A file or a folder.
    quick
        Look at so many names only as tell what this is, and pass over what cannot be read.

    Raises
    ------
    StorageError
        A folder or a file cannot be read, and this is no quick look.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".xdce" or _opens_as_index(path, quick) else []
    entries_of = partial(glance, most=_MOST_ENTRIES) if quick else list_folder
    entries = entries_of(path)
    here = [e for e in entries if not e.is_dir()]
    found = [Path(e.path) for e in here if e.name.lower().endswith(".xdce")]
    if not found:
        others = [Path(e.path) for e in here if e.name.lower().endswith(".xml")]
        found = [one for one in (others[:_MOST_XML] if quick else others) if _opens_as_index(one, quick)]
    if not found:
        folders = [Path(e.path) for e in entries if e.is_dir()]
        found = [
            Path(e.path)
            for folder in (folders[:_MOST_FOLDERS] if quick else folders)
            for e in entries_of(folder)
            if e.name.lower().endswith(".xdce") and not e.is_dir()
        ]
    return sorted(found)


def _opens_as_index(path: Path, quick: bool) -> bool:
    try:
        with path.open("rb") as file:
            return f"<{ROOT}".encode() in file.read(_FIRST_BYTES)
    except OSError as error:
        if quick:
            return False
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


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
