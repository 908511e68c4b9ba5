"""From what an index or a file name says of each plane to the tables of a :class:`.export.PlateExport`, checked.

A reader lists the files of an export once (:class:`ExportFiles`), tells each plane (:meth:`PlaneTables.add`) and takes
the finished tables. What every vendor gets wrong now and then is refused here, in one wording: a plane told twice, a
well outside the plate, a file outside the export, a number that cannot be one.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InvalidDataError, SourceFileError, StorageError
from ..schemas.identifiers import MAX_COLUMNS, MAX_ROWS, format_well
from ..wording import listed
from .export import FIELDS_SCHEMA, PLANES_SCHEMA
from .plate_formats import complete_plate_size
from .sources.base import list_folder

#: No time point, plane, channel or field is numbered higher: arrays are made as long as the largest.
_HIGHEST = {"timepoint": 100_000, "z": 10_000, "channel": 1_000, "field": 10_000_000, "page": 10_000_000}
#: Largest distance from the middle of a well, µm: 10 m.
_FARTHEST_UM = 1e7
_MOST_FILES = 20_000_000
_DRIVE_OR_SCHEME = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LIST_AT_MOST = 3


def safe_path(path: str, where: str) -> str:
    """Return a path that an index gives, with forward slashes, if it stays inside the export.

    Parameters
    ----------
    path
        As the vendor writes it; backslashes separate folders.
    where
        Whose path it is, for the message (``MeasurementData.mlf, record 17``).

    Raises
    ------
    SourceFileError
        For an absolute path, a drive, a scheme, ``..``, a control character, or no file name.
    """
    plain = path.replace("\\", "/")
    bad = (
        "an absolute path" if plain.startswith("/")
        else "a drive or a scheme" if _DRIVE_OR_SCHEME.match(plain)
        else "a control character" if _CONTROL.search(plain)
        else "'..'" if ".." in plain.split("/")
        else "no file name" if not plain or plain.endswith("/")
        else None
    )  # fmt: skip
    if bad:
        raise SourceFileError(
            f"{where} names the file {path!r}, with {bad}; files must lie inside the export",
            hint="Do not ingest an index from a source that you distrust.",
        )
    return "/".join(part for part in plain.split("/") if part not in ("", "."))


class ExportFiles:
    """The files below one folder, listed once: a plate has tens of thousands and the disk is often far away.

    Folders that are links are not followed; ``links`` has them. Hidden files (``.DS_Store``, ``._A01.tif``) are left
    out.

    Parameters
    ----------
    root
        The folder of the export.
    skip
        Names of folders, in lower case, that hold none of its images.

    Raises
    ------
    StorageError
        When a folder cannot be listed.
    """

    def __init__(self, root: Path, *, skip: Iterable[str] = ()) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100  # links stay as the user named them
        self.sizes: dict[str, int] = {}
        self.links: list[str] = []
        skipped = set(skip)
        folders = [""]
        while folders:
            prefix = folders.pop()
            for entry in list_folder(self.root / prefix):
                if entry.is_dir(follow_symlinks=False):
                    if entry.name.lower() not in skipped:
                        folders.append(f"{prefix}{entry.name}/")
                elif (size := file_size(entry)) is not None:
                    self.sizes[f"{prefix}{entry.name}"] = size
                elif entry.is_dir():
                    self.links.append(f"{prefix}{entry.name}")
            if len(self.sizes) > _MOST_FILES:
                raise StorageError(f"{self.root} has more than {_MOST_FILES} files", hint="Name the export itself.")
        self._folded = {name.lower(): name for name in self.sizes}

    @classmethod
    def only(cls, root: Path, names: Iterable[str]) -> ExportFiles:
        """Give these files of a folder alone; nothing is listed."""
        files = cls.__new__(cls)
        files.root = Path(os.path.abspath(root))  # noqa: PTH100  # links stay as the user named them
        files.sizes = {name: (files.root / name).stat().st_size for name in names if (files.root / name).is_file()}
        files._folded = {name.lower(): name for name in files.sizes}
        files.links = []
        return files

    def __iter__(self) -> Iterator[str]:
        """Give the files' paths, relative to the root, with forward slashes, sorted."""
        return iter(sorted(self.sizes))

    def find(self, path: str) -> tuple[str, int | None]:
        """Return a file's path as it is on disk, whatever the case of its letters, and its bytes, None if absent."""
        name = path if path in self.sizes else self._folded.get(path.lower(), path)
        return name, self.sizes.get(name)


def file_size(entry: os.DirEntry[str]) -> int | None:
    """Return the bytes of a file in a listing; None for what is no file.

    Raises
    ------
    StorageError
        The disk does not say: a link into a folder that may not be looked into, a network that is gone.
    """
    try:
        return entry.stat().st_size if entry.is_file() else None
    except FileNotFoundError:  # gone since it was listed
        return None
    except OSError as error:
        raise StorageError(f"{entry.path} cannot be looked at: {error.strerror}") from error


@dataclass(slots=True)
class PlaneTables:
    """Collects the planes of one plate.

    Parameters
    ----------
    name
        What to call the index, or the folder, in messages.
    files
        The files of the export.
    """

    name: str
    files: ExportFiles
    _rows: list[tuple[Any, ...]] = field(default_factory=list)
    _positions: dict[tuple[int, int, int, int], tuple[float | None, float | None]] = field(default_factory=dict)

    def add(
        self,
        *,
        row: int,
        column: int,
        field_id: int,
        channel_index: int,
        file: str,
        acquisition_id: int = 1,
        timepoint: int = 0,
        z: int = 0,
        page: int = 0,
        x_um: float | None = None,
        y_um: float | None = None,
        z_um: float | None = None,
        acquired_at: datetime | None = None,
    ) -> None:
        """Tell one plane.

        Parameters
        ----------
        row, column
            The well, from 1.
        field_id, acquisition_id
            The vendor's field number; the acquisition from 1.
        timepoint, z, channel_index, page
            From 0.
        file
            Path relative to the export, as :func:`safe_path` returned it; whether it is there is looked up.
        x_um, y_um
            Middle of the field relative to the middle of its well, x to the right and y down; the first plane of a
            field that has them counts.
        z_um
            Height of the plane.
        acquired_at
            When; UTC is assumed where it names no time zone.

        Raises
        ------
        InvalidDataError
            A number is out of all bounds.
        """
        for what, number in (("timepoint", timepoint), ("z", z), ("channel", channel_index), ("field", field_id)):
            if not 0 <= number <= _HIGHEST[what]:
                raise InvalidDataError(f"{self.name}: {what} {number} of {file} is no number that counts")
        if not 0 <= page <= _HIGHEST["page"]:
            raise InvalidDataError(f"{self.name}: page {page} of {file} is no number that counts")
        if not (1 <= row <= MAX_ROWS and 1 <= column <= MAX_COLUMNS):
            raise InvalidDataError(
                f"{self.name}: {file} lies in row {row}, column {column}; the largest plate has {MAX_ROWS} rows and "
                f"{MAX_COLUMNS} columns"
            )
        place = (acquisition_id, row, column, field_id)
        if self._positions.get(place, (None, None)) == (None, None):
            self._positions[place] = (_length(x_um, self.name, file), _length(y_um, self.name, file))
        if acquired_at is not None:
            acquired_at = acquired_at.replace(tzinfo=UTC) if acquired_at.tzinfo is None else acquired_at.astimezone(UTC)
        self._rows.append(
            (*place, timepoint, channel_index, z, file, page, _length(z_um, self.name, file), acquired_at)
        )

    def __len__(self) -> int:
        """Give the number of planes told so far."""
        return len(self._rows)

    def build(self, plate_size: tuple[int | None, int | None] | None, warnings: list[str]) -> BuiltPlanes:
        """Return the tables, sorted by acquisition, row, column, field, time point, channel and z.

        Parameters
        ----------
        plate_size
            Rows and columns of the plate; where they are None, as
            :func:`~.plate_formats.complete_plate_size` takes them.
        warnings
            Gets what is odd and not wrong.

        Raises
        ------
        InvalidDataError
            No planes; a plane told twice; a well outside the plate.
        """
        if not self._rows:
            raise InvalidDataError(f"{self.name} describes no image", hint="Export the plate with its images.")
        rows = sorted(self._rows, key=lambda row: row[:7])
        self._refuse_twice(rows)
        if self.files.links:
            shown = listed(self.files.links, _LIST_AT_MOST)
            warnings.append(f"folders that are links are not followed: {shown}; give such a folder itself")
        n_rows, n_columns = self._plate_size(plate_size, warnings)
        acquisition, row, column, field_id, timepoint, channel, z, file, page, z_um, acquired_at = zip(
            *rows, strict=True
        )
        wells = [format_well(r, c) for r, c in zip(row, column, strict=True)]
        found = [self.files.find(one) for one in file]
        planes = pa.table(
            {
                "acquisition_id": acquisition,
                "well_id": wells,
                "field_id": field_id,
                "timepoint": timepoint,
                "z": z,
                "channel_index": channel,
                "file": [name for name, _ in found],
                "page": page,
                "size": [size for _, size in found],
                "z_um": z_um,
                "acquired_at": acquired_at,
            },
            schema=PLANES_SCHEMA,
        )
        first_z: dict[tuple[int, int, int, int], float | None] = {}
        for one in rows:
            first_z.setdefault(one[:4], one[9])
        fields = pa.table(
            {
                "acquisition_id": [place[0] for place in first_z],
                "well_id": [format_well(*place[1:3]) for place in first_z],
                "field_id": [place[3] for place in first_z],
                "x_um": [self._positions[place][0] for place in first_z],
                "y_um": [self._positions[place][1] for place in first_z],
                "z_um": list(first_z.values()),
            },
            schema=FIELDS_SCHEMA,
        )
        return BuiltPlanes(n_rows=n_rows, n_columns=n_columns, planes=planes, fields=fields)

    def _refuse_twice(self, rows: Sequence[tuple[Any, ...]]) -> None:
        twice = [(a, b) for a, b in pairwise(rows) if a[:7] == b[:7]]
        if twice:
            shown = "; ".join(
                f"{format_well(a[1], a[2])} field {a[3]} channel {a[5]} z {a[6]} time point {a[4]} is {a[7]} and {b[7]}"
                for a, b in twice[:_LIST_AT_MOST]
            )
            raise InvalidDataError(
                f"{self.name} describes {len(twice)} planes twice: {shown}",
                hint="Two exports may have been put into one folder; ingest them apart.",
            )

    def _plate_size(self, told: tuple[int | None, int | None] | None, warnings: list[str]) -> tuple[int, int]:
        last = max(row[1] for row in self._rows), max(row[2] for row in self._rows)
        n_rows, n_columns = complete_plate_size(told, last, self.name, warnings)
        if not (1 <= n_rows <= MAX_ROWS and 1 <= n_columns <= MAX_COLUMNS):
            raise InvalidDataError(f"{self.name}: a plate of {n_rows} × {n_columns} wells; 32 × 48 is the largest")
        outside = [row for row in self._rows if row[1] > n_rows or row[2] > n_columns]
        if outside:
            raise InvalidDataError(
                f"{self.name}: {outside[0][7]} lies in well {format_well(*outside[0][1:3])}, outside its plate of "
                f"{n_rows} × {n_columns} wells ({len(outside)} such planes)"
            )
        return n_rows, n_columns


def _length(value: float | None, name: str, file: str) -> float | None:
    """Return a length in µm to the picometre; None where there is none."""
    if value is None or not math.isfinite(value):
        return None
    if abs(value) > _FARTHEST_UM:
        raise InvalidDataError(f"{name}: {file} lies {value:g} µm away from its well; the index is damaged")
    return round(value, 6) + 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPlanes:
    """The planes and fields of one plate, as :class:`.export.PlateExport` takes them."""

    n_rows: int
    n_columns: int
    planes: pa.Table
    fields: pa.Table

    def z_step_um(self, acquisition_id: int, warnings: list[str]) -> float | None:
        """Return the usual distance of neighbouring planes of one stack, µm, None without stacks or heights."""
        steps = _steps(self.planes, acquisition_id, along="z", value="z_um")
        steps = np.abs(steps)
        steps = steps[np.isfinite(steps) & (steps > 0)]
        if not steps.size:
            return None
        middle = float(np.median(steps))
        if float(np.ptp(steps)) > 0.05 * middle:
            warnings.append(
                f"planes are not evenly spaced: from {steps.min():g} to {steps.max():g} µm; {middle:g} µm is recorded"
            )
        return round(middle, 6)

    def time_interval_s(self, acquisition_id: int) -> float | None:
        """Return the usual time between two time points of one field, s, None without times."""
        steps = _steps(self.planes, acquisition_id, along="timepoint", value="acquired_at")
        steps = steps[np.isfinite(steps) & (steps > 0)]
        return round(float(np.median(steps)), 6) if steps.size else None

    def span(self, acquisition_id: int) -> tuple[datetime | None, datetime | None]:
        """Return when the first and the last plane of an acquisition were taken."""
        own = self.planes.filter(pc.field("acquisition_id") == acquisition_id)
        return pc.min(own["acquired_at"]).as_py(), pc.max(own["acquired_at"]).as_py()


def _steps(planes: pa.Table, acquisition_id: int, *, along: str, value: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the differences of ``value`` between planes that differ by one in ``along`` and in nothing else."""
    own = planes.filter(pc.field("acquisition_id") == acquisition_id)
    keys = [k for k in ("well_id", "field_id", "channel_index", "timepoint", "z") if k != along]
    own = own.sort_by([(key, "ascending") for key in (*keys, along)])
    same = np.ones(max(own.num_rows - 1, 0), bool)
    for key in keys:
        codes = own[key].combine_chunks().dictionary_encode().indices.to_numpy() if key == "well_id" else own[key]
        same &= np.diff(np.asarray(codes)) == 0
    same &= np.diff(np.asarray(own[along])) == 1
    if value == "acquired_at":
        micros = own[value].cast(pa.int64()).to_numpy()
        numbers = np.where(pc.is_valid(own[value]).to_numpy(), micros, np.nan) / 1e6
    else:
        numbers = np.asarray(own[value].to_numpy(), np.float64)
    return np.diff(numbers)[same]
