"""What lies below a folder and is not read: other exports, which one reader of the folder leaves out.

A folder may hold exports of several instruments, or further ones deeper than a reader looks for its own. Nobody is to
take a part for the whole, so every folder of files that the plates do not use is shown to the readers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..wording import listed
from .export import PlateExport

if TYPE_CHECKING:
    from .readers import Evidence

#: What a look costs at most: folders that are listed, and those that readers are asked about.
_MOST_LISTED, _MOST_ASKED = 2_000, 100
_LIST_AT_MOST = 3
#: A folder with one of these is an array or a group of arrays: what is below is its own.
_ZARR = frozenset({"zarr.json", ".zgroup", ".zarray", ".zattrs"})

#: Asks the readers about a folder: the evidence of those that recognise something, the surest first.
Ask = Callable[[Path], Sequence["Evidence"]]


@dataclass(frozen=True, slots=True)
class _Used:
    """Files of plates, and the folders that hold them, all from the root of the file system."""

    files: frozenset[str]
    folders: frozenset[str]
    #: Folders above those that hold files.
    above: frozenset[str]

    @classmethod
    def by(cls, exports: Sequence[PlateExport]) -> _Used:
        files: set[str] = set()
        for export in exports:
            root = _absolute(export.root)
            own: list[Any] = export.planes["file"].unique().to_pylist()
            # A plate has tens of thousands.
            files.update(os.path.join(root, file) for file in (*own, *export.metadata_files))  # noqa: PTH118
        folders = {os.path.dirname(file) for file in files}  # noqa: PTH120
        above = {str(one) for folder in folders for one in Path(folder).parents}
        return cls(frozenset(files), frozenset(folders), frozenset(above))


@dataclass(slots=True)
class Overlooked:
    """Folders of other exports, and those that cannot be listed; ``is_all`` is False where the look ended early."""

    found: list[tuple[Path, Evidence]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    is_all: bool = True

    def told(self, place: Path, reader: str) -> list[str]:
        """Return the warnings about them for whoever reads the folder by one reader."""
        by_reader: dict[str, list[str]] = {}
        for folder, one in self.found:
            by_reader.setdefault(one.reader, []).append(f"{folder}{_by(one, folder)}")
        warnings = [
            f"left out: {name} recognises {listed(folders, _LIST_AT_MOST)}, which {reader} does not read from {place}; "
            f"name {'each' if folders[1:] else 'it'} by itself"
            for name, folders in by_reader.items()
        ]
        if self.closed:
            warnings.append(f"folders that cannot be looked into: {listed(self.closed, _LIST_AT_MOST)}")
        if not self.is_all:
            warnings.append(f"{place} has too many folders to look into all of them: more exports may be left out")
        return warnings


def overlooked(place: Path, exports: Sequence[PlateExport], at_place: Sequence[Evidence], ask: Ask) -> Overlooked:
    """Look for exports below a folder that are not among the plates which were read.

    Parameters
    ----------
    place
        The folder that was named.
    exports
        What was read of it; nothing where no reader knows it.
    at_place
        What all readers say of the folder itself.
    ask
        Asks them about another one.
    """
    found = Overlooked()
    if not place.is_dir():
        return found
    used = _Used.by(exports)
    found.found += [(place, one) for one in at_place if exports and _is_beside(one, place, used)]
    below, listed_folders, asked = [place], 0, 0
    while below:
        folder = below.pop()
        if listed_folders >= _MOST_LISTED or asked >= _MOST_ASKED:
            found.is_all = False
            break
        listed_folders += 1
        try:
            files, folders = _entries(folder)
        except OSError as error:
            found.closed.append(f"{folder} ({error.strerror})")
            continue
        name = _absolute(folder)
        if folder != place and files and name not in used.folders:
            asked += 1
            said = ask(folder)
            if any(_absolute(one.index) in used.files for one in said):
                said = ()
            # What goes by names is sure of the very images that were read from below.
            said = [one for one in said if _absolute(one.index) not in used.above]
            if said:
                found.found.append((folder, said[0]))
                continue
        if _ZARR.isdisjoint(files):
            below += [folder / one for one in reversed(folders) if not _is_done(os.path.join(name, one), used)]  # noqa: PTH118
    return found


def index_that_was_read(index: str, exports: Sequence[PlateExport]) -> str:
    """Return the index that a reader recognised a folder by, or a file of the plates where it is none of theirs."""
    used = _Used.by(exports)
    if _absolute(index) in used.files or not Path(index).is_file():
        return index
    first = exports[0]
    return str(Path(first.root) / next(iter(first.metadata_files), first.planes["file"][0].as_py()))


def _by(evidence: Evidence, folder: Path) -> str:
    """Return what in a folder was recognised, in brackets; nothing where it is the folder itself."""
    index = os.path.relpath(evidence.index, folder)
    return "" if index == os.curdir else f" ({index})"


def _is_beside(one: Evidence, place: Path, used: _Used) -> bool:
    """Tell whether evidence is about files in the folder itself, of which none is used."""
    index = Path(one.index)
    if index.is_dir():
        # Names alone: images are news where none of those beside them is used.
        here = _absolute(place)
        return (
            _absolute(index) == here
            and not any(file.startswith(here) and file.lower().endswith((".tif", ".tiff")) for file in used.files)
            and any(name.lower().endswith((".tif", ".tiff")) for name in _entries(place)[0])
        )
    return _absolute(index.parent) == _absolute(place) and _absolute(index) not in used.files


def _is_done(folder: str, used: _Used) -> bool:
    """Tell whether all of a folder is used: it is an array of a plate, or holds files of one and no more folders."""
    return folder in used.files or (folder in used.folders and folder not in used.above)


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """List the files and folders that are not hidden, by name (but the hidden ones of Zarr)."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.name.startswith(".") and entry.name not in _ZARR:
                continue
            (folders if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
    return sorted(files), sorted(folders)


def _absolute(path: str | Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  # links stay as the user named them
