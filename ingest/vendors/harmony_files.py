"""Where a Harmony export keeps its files: the index, the images that it names, layouts and flat-field profiles.

The index lies beside the images or one folder above them, its URLs may carry a subdirectory that is there, was
dropped when the files were copied, or lies beside the index's own folder. An archive keeps its measurements one
folder deeper, its images in a folder per well, and calls the index as it likes. Every folder is listed once; no file
is asked for by itself, since a plate has tens of thousands and the disk is often far away.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ...errors import StorageError
from ..planes import file_size
from ..sources import glance, list_folder

#: In the order in which they are preferred when a folder holds several.
INDEX_NAMES = ("index.idx.xml", "index.xml", "index.ref.xml", "imageindex.columbusidx.xml")
_IMAGE_FOLDERS = ("images", "image")
#: Beside or below the index: ``flex`` holds images that were exported with their flat field.
_PIXEL_FOLDERS = (*_IMAGE_FOLDERS, "flex")
_INDEX_FOLDERS = (*_IMAGE_FOLDERS, "index")
#: Folders of an archive that hold measurements, each named by its id.
_ARCHIVE_FOLDERS = ("hs", "archive", *_IMAGE_FOLDERS)
_LAYOUT_FOLDERS = ("assaylayout", "assaylayouts")
_PROFILE_FOLDERS = ("ffc_profile", "flatfieldcorrection")
_WELL = re.compile(r"(r\d+c\d+)f\d+p", re.IGNORECASE)
_TIFF = re.compile(r"\.tiff?\Z", re.IGNORECASE)
_WELL_FOLDER = re.compile(r"r\d+c\d+", re.IGNORECASE)


def _absolute(path: Path) -> Path:
    """Return the path from the root; links stay as the user named them."""
    return Path(os.path.abspath(path))  # noqa: PTH100


class Folders:
    """Folders that were looked into, each listed once, however often it is asked about.

    Parameters
    ----------
    look_at
        To tell quickly whether there is a measurement: look into so many folders of a folder, and take one that cannot
        be listed for empty.
    """

    def __init__(self, *, look_at: int | None = None) -> None:
        self._known: dict[Path, list[os.DirEntry[str]]] = {}
        self._look_at = look_at
        #: Folders that look like an index's and were not understood, for whoever reads.
        self.doubts: list[str] = []

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """List a folder by name, without hidden files (``._Index.xml``); nothing where there is none.

        Raises
        ------
        StorageError
            It cannot be listed.
        """
        folder = _absolute(folder)
        if folder not in self._known:
            if self._look_at is not None:
                self._known[folder] = glance(folder, None)
            else:
                try:
                    self._known[folder] = list_folder(folder)
                except StorageError as error:
                    if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                        raise
                    self._known[folder] = []
        return self._known[folder]

    def subfolders(self, folder: Path, names: tuple[str, ...]) -> list[Path]:
        """Return the folders of these names (in lower case) that there are, in the order of the names."""
        found = {e.name.lower(): e.name for e in self.entries(folder) if e.name.lower() in names and e.is_dir()}
        return [folder / found[name] for name in names if name in found]

    def find_index(self, path: Path) -> Path | None:
        """Return the index that an export at ``path`` has, by its name; ``None`` without one.

        ``path`` may be the index itself, the folder that holds it, the measurement folder above, or the image folder
        below.
        """
        if path.is_file():
            return path if path.suffix.lower() == ".xml" else None
        here = self._named_index(path)
        if here is not None:
            return here
        below = self._index_below(path, _INDEX_FOLDERS)
        if below is None and path.resolve().name.lower() in _IMAGE_FOLDERS:
            above = path.resolve().parent
            return self._named_index(above) or self._index_below(above, ("index",))
        return below

    def find_measurements(self, path: Path, depth: int = 0) -> Iterator[Path]:
        """Give the indexes of the measurement folders below ``path``, by folder name; of an archive those in it.

        To tell whether there is one, other folders are not searched further; to read, all are, but links only where
        they stand in the folder that was named (``depth`` 0).
        """
        entries = (e for e in self.entries(path) if e.is_dir(follow_symlinks=depth == 0))
        for below in islice((path / e.name for e in entries), self._look_at):
            index = self.find_index(below)
            if index is not None:
                yield index
            elif self._has_images(below):
                self.doubts.append(f"{below} holds images of Harmony and no index; they are left out")
            elif self._look_at is None or (depth == 0 and below.name.lower() in _ARCHIVE_FOLDERS):
                yield from self.find_measurements(below, depth + 1)

    def _has_images(self, folder: Path) -> bool:
        places = (folder, *self.subfolders(folder, _PIXEL_FOLDERS))
        return any(_WELL.match(e.name) and _TIFF.search(e.name) for place in places for e in self.entries(place))

    def _below(self, path: Path) -> Iterator[Path]:
        return islice((path / e.name for e in self.entries(path) if e.is_dir()), self._look_at)

    def _named_index(self, folder: Path) -> Path | None:
        entries = self.entries(folder)
        names = {e.name.lower(): e.name for e in entries if e.name.lower() in INDEX_NAMES and e.is_file()}
        return next((folder / names[name] for name in INDEX_NAMES if name in names), None)

    def _archived_index(self, folder: Path) -> Path | None:
        """Return the only XML file of an archive's ``index`` folder, whatever its name."""
        if folder.name.lower() != "index":
            return None
        found = [e.name for e in self.entries(folder) if e.name.lower().endswith(".xml") and e.is_file()]
        if len(found) > 1:
            self.doubts.append(f"{folder} holds {len(found)} XML files, none called Index.xml; it is not read")
        return folder / found[0] if len(found) == 1 else None

    def _index_below(self, path: Path, names: tuple[str, ...]) -> Path | None:
        found = (self._named_index(f) or self._archived_index(f) for f in self.subfolders(path, names))
        return next((index for index in found if index is not None), None)


def _is_well_folder(entry: os.DirEntry[str]) -> bool:
    return _WELL_FOLDER.fullmatch(entry.name) is not None and entry.is_dir()


@dataclass(slots=True)
class Layout:
    """The folders of one export. ``root`` is the folder that every path is told relative to."""

    index: Path
    root: Path
    _folders: Folders
    _listings: dict[Path, dict[str, int]] = field(default_factory=dict)
    _folded: dict[Path, dict[str, str]] = field(default_factory=dict)
    _wells: dict[Path, dict[str, Path]] = field(default_factory=dict)
    _prefixes: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, index: Path, folders: Folders | None = None) -> Layout:
        """Return the layout around an index; its root is the measurement folder, however the index was named."""
        folders = folders or Folders()
        index = _absolute(index)
        folder, above = index.parent, index.parent.parent
        is_inner = folder.name.lower() in _INDEX_FOLDERS
        has_company = bool(folders.subfolders(above, (*_LAYOUT_FOLDERS, *_PROFILE_FOLDERS)))
        return cls(index=index, root=above if is_inner or has_company else folder, _folders=folders)

    def relative(self, path: Path) -> str:
        """Return the path below the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def companions(self) -> tuple[list[Path], list[Path]]:
        """Return the assay layouts and the flat-field files of this export."""
        layouts = self._xml_files(_LAYOUT_FOLDERS)
        profiles = self._xml_files(_PROFILE_FOLDERS)
        return layouts, profiles

    def _xml_files(self, folders: tuple[str, ...]) -> list[Path]:
        places = dict.fromkeys((self.index.parent, self.root))
        found = [folder for place in places for folder in self._folders.subfolders(place, folders)]
        return [
            Path(e.path)
            for f in found
            for e in self._folders.entries(f)
            if e.name.lower().endswith(".xml") and e.is_file()
        ]

    def _listing(self, folder: Path) -> dict[str, int]:
        """List a folder, the first time: its files with their bytes, and the folders of wells in it."""
        if folder not in self._listings:
            entries = self._folders.entries(folder)
            self._listings[folder] = {e.name: size for e in entries if (size := file_size(e)) is not None}
            self._folded[folder] = {name.lower(): name for name in self._listings[folder]}
            self._wells[folder] = {e.name.lower(): folder / e.name for e in entries if _is_well_folder(e)}
            self._prefixes[folder] = "" if folder == self.root else self.relative(folder) + "/"
        return self._listings[folder]

    def _candidates(self, subdirectory: str) -> list[Path]:
        beside = self.index.parent
        places = [beside / subdirectory] if subdirectory else []
        places += [beside, *self._folders.subfolders(beside, _PIXEL_FOLDERS)]
        if self.root != beside:
            places += [self.root / subdirectory] if subdirectory else []
            places += self._folders.subfolders(self.root, _PIXEL_FOLDERS)
        return list(dict.fromkeys(places))

    def locate(self, urls: list[str]) -> tuple[list[str], list[int | None]]:
        """Find the files of checked URLs.

        Returns
        -------
        files, sizes
            Paths relative to the root, and bytes on disk; ``None`` where no candidate folder has the file, with the
            path then being where it belongs.
        """
        places: dict[str, list[Path]] = {}
        files: list[str] = []
        sizes: list[int | None] = []
        for url in urls:
            subdirectory, _, name = url.rpartition("/")
            folders = places.get(subdirectory)
            if folders is None:
                folders = places[subdirectory] = self._candidates(subdirectory)
            found = self._first_with(folders, name) or self._in_well_folder(folders, name)
            folder, actual, size = found or (folders[0], name, None)
            files.append(self._prefixes[folder] + actual)
            sizes.append(size)
        return files, sizes

    def _first_with(self, folders: list[Path], name: str) -> tuple[Path, str, int | None] | None:
        for folder in folders:
            listing = self._listing(folder)
            actual = name if name in listing else self._folded[folder].get(name.lower())
            if actual is not None:
                return folder, actual, listing[actual]
        return None

    def _in_well_folder(self, folders: list[Path], name: str) -> tuple[Path, str, int | None] | None:
        """Look where an archive keeps the images of a well: in a folder called ``r01c02``."""
        well = _WELL.match(name)
        if well is None:
            return None
        below = [self._wells[folder].get(well[1].lower()) for folder in folders]
        return self._first_with([folder for folder in below if folder is not None], name)
