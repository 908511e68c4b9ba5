"""Where a Yokogawa measurement keeps its files: the record list, what stands beside it, images and their corrections.

``MeasurementData.mlf`` lies beside its images, or above their folders (CQ1 and CQ3K: ``Projection/``); the folder that
people name is often the one above, with logs, or one with several measurements. The other files are named by the
``.mrf``; one that was renamed is still found where it is the only one of its kind. Names hold blanks, ``#`` and letters
of any alphabet, and are taken as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ...errors import InvalidDataError, NotAnExportError, SourceFileError
from ..moments import moment
from ..planes import ExportFiles, safe_path
from ..sources import glance, list_folder, read_bytes
from .cellvoyager_index import (
    MeasurementData,
    MeasurementDetail,
    MeasurementSetting,
    parse_mes,
    parse_mlf,
    parse_mrf,
    parse_plate,
)

_MLF, _MRF = "measurementdata.mlf", "measurementdetail.mrf"
_COMPANIONS = (".mrf", ".mes", ".wpi", ".wpp")
#: To tell whether there is a measurement, no more folders, no deeper ones, and no more entries of one are looked at.
_MOST_FOLDERS = 200
_DEEPEST = 3
_MOST_ENTRIES = 10_000
_DARK = re.compile(r"DC_.*CAM0*(\d+)\.tiff?", re.IGNORECASE)

_T = TypeVar("_T")


@dataclass(slots=True)
class Found:
    """What measurements there are: their record lists, an ``.mrf`` without one, links to folders, which are left."""

    indexes: list[Path] = field(default_factory=list)
    details: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    def left_out(self) -> list[str]:
        """Say what is not read."""
        return [
            *(f"{detail.parent} has no MeasurementData.mlf; it is left out" for detail in self.details),
            *(f"{link} is a link to a folder, which is not followed; give that folder itself" for link in self.links),
        ]


def find_indexes(path: Path, *, bounded: bool = False) -> Found:
    """Return the measurements at a path: itself, in it, or in folders below.

    Parameters
    ----------
    path
        A record list, a file beside it, or a folder.
    bounded
        Look at the beginning of a folder's listing only, into so many folders and three of them deep, to tell quickly
        whether there is one; a folder that may not be looked into is none of ours then.

    Raises
    ------
    StorageError
        A folder cannot be listed.
    """
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix == ".mlf":
            return Found(indexes=[path])
        # Other software opens a measurement by its plate file; the record list stands beside it.
        return Found(indexes=_look(path.parent, bounded=bounded)[0].indexes) if suffix in _COMPANIONS else Found()
    level, looked, depth = [path], 0, 0
    found = Found()
    while level and not (bounded and depth > _DEEPEST):
        depth += 1
        below: list[Path] = []
        for folder in level:
            looked += 1
            if bounded and looked > _MOST_FOLDERS:
                break
            here, folders = _look(folder, bounded=bounded)
            found.indexes += here.indexes
            if not here.indexes:  # what lies inside a measurement are its images
                found.details += here.details
                found.links += here.links
                below += folders
        if bounded and found.indexes:
            break
        level = below
    return Found(indexes=sorted(found.indexes), details=sorted(found.details), links=sorted(found.links))


def _look(folder: Path, *, bounded: bool) -> tuple[Found, list[Path]]:
    """Return what is found in a folder, and the folders in it."""
    # A folder of 100,000 images lists its index anywhere among them.
    usual = os.fspath(folder / "MeasurementData.mlf")
    if bounded and os.path.isfile(usual):  # noqa: PTH113  # Path.is_file raises where the folder may not be looked into
        return Found(indexes=[Path(usual)]), []
    found, below = Found(), []
    for entry in glance(folder, _MOST_ENTRIES) if bounded else list_folder(folder):
        name, path = entry.name.lower(), Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            below.append(path)
        elif entry.is_symlink() and entry.is_dir():
            found.links.append(path)
        elif name in (_MLF, _MRF) and entry.is_file():
            (found.indexes if name == _MLF else found.details).append(path)
    return found, below


class Locator:
    """Finds the files of one measurement among those of the export, whatever the case of their letters."""

    def __init__(self, files: ExportFiles, prefix: str) -> None:
        self._files = files
        self.prefix = prefix

    def locate(self, name: str) -> str:
        """Return the path, below the export's root, of a file that :func:`~..planes.safe_path` let pass.

        Where it is not there, a file of that name right beside the record list stands for it: folders were flattened.
        Other folders are not searched; what has the name of an image there is its thumbnail, or its mask.
        """
        promised, size = self._files.find(self.prefix + name)
        folder, _, plain = name.rpartition("/")
        if size is None and folder:
            beside, size = self._files.find(self.prefix + plain)
            return beside if size is not None else promised
        return promised

    def is_there(self, path: str) -> bool:
        """Tell whether a located file is on disk."""
        return self._files.find(path)[1] is not None

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Return the files of those suffixes right beside the record list."""
        n = len(self.prefix)
        return [
            p for p in self._files if p.lower().endswith(suffixes) and p.startswith(self.prefix) and "/" not in p[n:]
        ]

    def dark_images(self) -> dict[str, str]:
        """Return camera number -> its dark image; the first by name where there are several."""
        found: dict[str, str] = {}
        for path in self.with_suffix(".tif", ".tiff"):
            match = _DARK.fullmatch(path.rpartition("/")[2])
            if match:
                found.setdefault(match.group(1), path)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The parsed files of one measurement.

    ``plate`` are the facts of the ``.wpi``, ``product`` those of the ``.wpp``, empty without one; ``metadata_files``
    are told below the export's root.
    """

    index: Path
    locator: Locator
    data: MeasurementData
    detail: MeasurementDetail | None
    setting: MeasurementSetting | None
    plate: Mapping[str, str]
    product: Mapping[str, str]
    metadata_files: tuple[str, ...]

    @property
    def began(self) -> str:
        """When the measurement began, as text that sorts; empty where nothing says."""
        began, _ = moment(self.detail.facts.get("BeginTime") if self.detail else None)
        return began.isoformat() if began else ""


def read_measurement(index: Path, files: ExportFiles, warnings: list[str]) -> Measurement:
    """Read the files of one measurement.

    Parameters
    ----------
    index
        Its record list, somewhere below the root of ``files``.
    files
        The files of the export.
    warnings
        Gets which files are not there or not usable; only the record list and the ``.mrf`` have to be whole.

    Raises
    ------
    NotAnExportError
        The record list is something else.
    CytolakeError
        The record list or the ``.mrf`` is damaged.
    """
    root = files.root
    relative = Path(os.path.abspath(index)).relative_to(root)  # noqa: PTH100  # links stay as the user named them
    parent = relative.parent.as_posix()
    prefix = "" if parent == "." else f"{parent}/"
    locator = Locator(files, prefix)
    data = parse_mlf(read_bytes(index), str(index))
    used = [relative.as_posix()]

    detail = None
    mrf = locator.locate("MeasurementDetail.mrf")
    if locator.is_there(mrf):
        detail = parse_mrf(read_bytes(root / mrf), str(root / mrf))
        used.append(mrf)
    else:
        warnings.append(f"{index.name} has no MeasurementDetail.mrf beside it: sizes and the plate are not described")

    def companion(named: str | None, suffix: str, parse: Callable[[bytes, str], _T]) -> _T | None:
        path = _companion(locator, named, suffix, warnings)
        if path is None:
            if named:
                warnings.append(f"{named} is not there; what it says of the measurement is unknown")
            return None
        try:
            found = parse(read_bytes(root / path), path)
        except (NotAnExportError, SourceFileError, InvalidDataError) as error:
            warnings.append(f"not used: {error.message}")
            return None
        used.append(path)
        return found

    facts = detail.facts if detail else {}
    sample = detail.plate if detail else {}
    setting = companion(facts.get("MeasurementSettingFileName"), ".mes", parse_mes)
    plate = companion(sample.get("WellPlateFileName"), ".wpi", lambda d, n: parse_plate(d, n, "WellPlate"))
    product = companion(
        sample.get("WellPlateProductFileName"), ".wpp", lambda d, n: parse_plate(d, n, "WellPlateProduct")
    )
    return Measurement(
        index=index,
        locator=locator,
        data=data,
        detail=detail,
        setting=setting,
        plate=plate or {},
        product=product or {},
        metadata_files=tuple(used),
    )


def _companion(locator: Locator, named: str | None, suffix: str, warnings: list[str]) -> str | None:
    """Return the file that the ``.mrf`` names, else the only one of its kind beside the record list."""
    if named:
        path = locator.locate(safe_path(named, "MeasurementDetail.mrf"))
        if locator.is_there(path):
            return path
    only = locator.with_suffix(suffix)
    if len(only) > 1 and not named:
        warnings.append(f"there are several {suffix} files, {', '.join(only)}, and nothing names the one that counts")
    return only[0] if len(only) == 1 else None


def correction_images(
    measurement: Measurement, channels: Iterable[int], warnings: list[str]
) -> dict[int, dict[str, str]]:
    """Return channel -> its shading image (``file``) and, beside it, the dark image of its camera (``dark_file``).

    Raises
    ------
    SourceFileError
        The ``.mrf`` names a shading image outside the export.
    """
    if measurement.detail is None:
        return {}
    dark = measurement.locator.dark_images()
    found: dict[int, dict[str, str]] = {}
    absent: list[str] = []
    for channel in channels:
        told = measurement.detail.channels.get(channel)
        if told is None or not told.shading:
            continue
        path = measurement.locator.locate(safe_path(told.shading, "MeasurementDetail.mrf"))
        if not measurement.locator.is_there(path):
            absent.append(told.shading)
            continue
        found[channel] = {"kind": "image", "file": path}
        camera = (told.camera or "").lstrip("0")
        if camera in dark:
            found[channel]["dark_file"] = dark[camera]
    if absent:
        warnings.append(f"shading images named but not there: {', '.join(dict.fromkeys(absent))}")
    return found
