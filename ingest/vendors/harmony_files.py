"""Where a Harmony export keeps its files: the index, the images that it names, layouts and flat-field profiles.

The index lies beside the images or one folder above them, its URLs may carry a subdirectory that is there, was
dropped when the files were copied, or lies beside the index's own folder. Every folder is listed once; no file is
asked for by itself, since a plate has tens of thousands and the disk is often far away.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import SourceFileError, StorageError

#: In the order in which they are preferred when a folder holds several.
INDEX_NAMES = ("index.idx.xml", "index.xml", "index.ref.xml")
_IMAGE_FOLDERS = ("images", "image")
_INDEX_FOLDERS = (*_IMAGE_FOLDERS, "index")
_LAYOUT_FOLDERS = ("assaylayout", "assaylayouts")
_PROFILE_FOLDERS = ("ffc_profile", "flatfieldcorrection")
_DRIVE_OR_SCHEME = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be listed: {error.strerror}") from error


def _named_index(folder: Path) -> Path | None:
    names = {e.name.lower(): e.name for e in _entries(folder) if e.name.lower() in INDEX_NAMES and e.is_file()}
    return next((folder / names[name] for name in INDEX_NAMES if name in names), None)


def _subfolders(folder: Path, names: tuple[str, ...]) -> list[Path]:
    found = {e.name.lower(): e.name for e in _entries(folder) if e.name.lower() in names and e.is_dir()}
    return [folder / found[name] for name in names if name in found]


def find_index(path: Path) -> Path | None:
    """Return the index that an export at ``path`` has, by its name; ``None`` without one.

    ``path`` may be the index itself, the folder that holds it, the measurement folder above, or the image folder
    below.
    """
    if path.is_file():
        return path if path.suffix.lower() == ".xml" else None
    here = _named_index(path)
    if here is not None:
        return here
    for folder in _subfolders(path, _INDEX_FOLDERS):
        below = _named_index(folder)
        if below is not None:
            return below
    if path.resolve().name.lower() in _IMAGE_FOLDERS:
        return _named_index(path.resolve().parent)
    return None


def find_measurements(path: Path) -> list[Path]:
    """Return the indexes of the measurement folders directly below ``path``, by folder name."""
    found: list[Path] = []
    for entry in _entries(path):
        # A folder that may not be looked into is none of ours.
        with contextlib.suppress(StorageError):
            index = find_index(Path(entry.path)) if entry.is_dir() else None
            found += [index] if index is not None else []
    return found


def check_url(url: str, index: str, image_id: str) -> None:
    """Refuse a URL that leaves the export.

    Raises
    ------
    SourceFileError
        For an absolute path, a drive, a scheme, a backslash, ``..`` or a control character.
    """
    bad = (
        "an absolute path" if url.startswith("/")
        else "a backslash" if "\\" in url
        else "a drive or a scheme" if _DRIVE_OR_SCHEME.match(url)
        else "a control character" if _CONTROL.search(url)
        else "'..'" if ".." in url.split("/")
        else "no file name" if url.endswith("/")
        else None
    )  # fmt: skip
    if bad:
        raise SourceFileError(
            f"{index}: image {image_id} has the URL {url!r}, with {bad}; URLs must stay inside the export",
            hint="Harmony writes relative URLs only; do not ingest an index from a source you distrust.",
        )


@dataclass(slots=True)
class Layout:
    """The folders of one export. ``root`` is the folder that every path is told relative to."""

    index: Path
    root: Path
    _listings: dict[Path, dict[str, int]] = field(default_factory=dict)
    _folded: dict[Path, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, index: Path) -> Layout:
        """Return the layout around an index; its root is the measurement folder, however the index was named."""
        index = Path(os.path.abspath(index))  # noqa: PTH100  # links stay as the user named them
        folder, above = index.parent, index.parent.parent
        is_inner = folder.name.lower() in _INDEX_FOLDERS
        has_company = bool(_subfolders(above, (*_LAYOUT_FOLDERS, *_PROFILE_FOLDERS)))
        return cls(index=index, root=above if is_inner or has_company else folder)

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
        found = [folder for place in places for folder in _subfolders(place, folders)]
        return [Path(e.path) for f in found for e in _entries(f) if e.name.lower().endswith(".xml") and e.is_file()]

    def _listing(self, folder: Path) -> dict[str, int]:
        if folder not in self._listings:
            self._listings[folder] = {e.name: e.stat().st_size for e in _entries(folder) if e.is_file()}
            self._folded[folder] = {name.lower(): name for name in self._listings[folder]}
        return self._listings[folder]

    def _candidates(self, subdirectory: str) -> list[Path]:
        beside = self.index.parent
        places = [beside / subdirectory] if subdirectory else []
        places += [beside, *_subfolders(beside, _IMAGE_FOLDERS)]
        if self.root != beside:
            places += [self.root / subdirectory] if subdirectory else []
            places += _subfolders(self.root, _IMAGE_FOLDERS)
        return list(dict.fromkeys(places))

    def locate(self, urls: list[str]) -> tuple[list[str], list[int | None]]:
        """Find the files of checked URLs.

        Returns
        -------
        files, sizes
            Paths relative to the root, and bytes on disk; ``None`` where no candidate folder has the file, with the
            path then being where it belongs.
        """
        places: dict[str, list[tuple[dict[str, int], dict[str, str], str]]] = {}
        files: list[str] = []
        sizes: list[int | None] = []
        for url in urls:
            subdirectory, _, name = url.rpartition("/")
            folders = places.get(subdirectory)
            if folders is None:
                folders = places[subdirectory] = [
                    (self._listing(f), self._folded[f], "" if f == self.root else self.relative(f) + "/")
                    for f in self._candidates(subdirectory)
                ]
            for listing, folded, prefix in folders:
                actual = name if name in listing else folded.get(name.lower())
                if actual is not None:
                    files.append(prefix + actual)
                    sizes.append(listing[actual])
                    break
            else:
                files.append(folders[0][2] + name)
                sizes.append(None)
        return files, sizes
