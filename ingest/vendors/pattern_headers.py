"""The headers of a folder's files: as few as say what all files hold.

One of each channel is opened, and those that are larger than it; a folder has tens of thousands and the disk is often
far away. Where one of them has several pages, all are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...errors import CytolakeError, SourceFileError, StorageError
from ..planes import ExportFiles
from .pattern_names import Place
from .tiff_header import TiffHeader, parse_tiff_header

#: Files of one channel that are tried before it counts as unreadable.
_TRIED = 5
#: A file that is this much larger than the first of its channel may hold more planes.
_MORE_THAN_A_PLANE = 1.5
_LIST_AT_MOST = 3

#: What of a plate is kept apart: acquisition, kind of z, and the rows, columns and type of its planes.
Apart = tuple[str, str, int, int, str]


def shown(names: Sequence[str]) -> str:
    """Return the first names of many, for a message."""
    listed = ", ".join(names[:_LIST_AT_MOST])
    return f"{listed} …" if len(names) > _LIST_AT_MOST else listed


class Headers:
    """The headers of the files of one plate.

    Parameters
    ----------
    files
        The files of the export.
    places
        Where they belong.
    warnings
        Gets what is odd.

    Raises
    ------
    SourceFileError
        None of the files that were tried is a readable TIFF.
    """

    def __init__(self, files: ExportFiles, places: Sequence[Place], warnings: list[str]) -> None:
        self._files = files
        by_channel: dict[tuple[str, str, str], list[Place]] = {}
        for place in places:
            by_channel.setdefault(_channel_key(place), []).append(place)
        self._by_file: dict[str, TiffHeader] = {}
        self._of_channel: dict[tuple[str, str, str], TiffHeader] = {}
        unreadable: list[tuple[str, str, SourceFileError]] = []
        for key, own in by_channel.items():
            error = self._probe(key, own)
            if error is not None:
                unreadable.append((key[2], own[0].file, error))
        if not self._of_channel:
            raise unreadable[0][2]
        sizes = Counter((header.height, header.width, header.dtype) for header in self._of_channel.values())
        self._usual = sizes.most_common(1)[0][0]
        for channel, _, error in unreadable:
            warnings.append(f"channel {channel or '1'!r} cannot be read: {error.message}")
        for place in places:
            usual_bytes = files.sizes[by_channel[_channel_key(place)][0].file]
            if files.sizes[place.file] > _MORE_THAN_A_PLANE * usual_bytes:
                self._open(place.file)
        if any(len(header.pages) > 1 for header in self._by_file.values()):
            for place in places:
                self._open(place.file)
        others = [file for file, header in self._by_file.items() if header.other_pages]
        if others:
            warnings.append(
                f"files hold pages of other sizes beside their planes (a pyramid or a thumbnail), which are not read: "
                f"{shown(others)}"
            )

    def _probe(self, key: tuple[str, str, str], own: Sequence[Place]) -> SourceFileError | None:
        last: SourceFileError | None = None
        for place in own[:_TRIED]:
            try:
                self._of_channel[key] = self._by_file[place.file] = _header(self._files.root, place.file)
            except SourceFileError as error:
                last = error
            else:
                return None
        return last

    def _open(self, file: str) -> None:
        if file not in self._by_file:
            try:
                self._by_file[file] = _header(self._files.root, file)
            except SourceFileError:
                # It is read as one plane, and told as damaged when its pixels are.
                return

    def of_file(self, place: Place) -> TiffHeader | None:
        """Return the header of a file that was opened."""
        return self._by_file.get(place.file)

    def apart(self, place: Place) -> Apart:
        """Return what the file of a place is kept apart by; unreadable files are taken for the usual ones."""
        header = self._of_channel.get(_channel_key(place))
        size = self._usual if header is None else (header.height, header.width, header.dtype)
        return (*_channel_key(place)[:2], *size)

    def of_group(self, key: Apart) -> list[TiffHeader]:
        """Return a header of each channel of an acquisition."""
        found = [h for (acquisition, kind, _), h in self._of_channel.items() if (acquisition, kind) == key[:2]]
        return [h for h in found if (h.height, h.width, h.dtype) == key[2:]]

    def of_channel(self, key: Apart, channel: str) -> TiffHeader | None:
        """Return the header of a channel of an acquisition."""
        return self._of_channel.get((key[0], key[1], channel))


def _channel_key(place: Place) -> tuple[str, str, str]:
    return place.acquisition, kind_of(place), place.channel


def kind_of(place: Place) -> str:
    """Return which kind of z a name says, as acquisitions have it."""
    return "projection" if place.projection else "plane" if place.z is None else "stack"


def _header(root: Path, file: str) -> TiffHeader:
    path = root / file
    try:
        with path.open("rb") as opened:
            return parse_tiff_header(opened, str(path))
    except FileNotFoundError as error:
        raise SourceFileError(f"{path} is not there") from error
    except CytolakeError:
        raise
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
