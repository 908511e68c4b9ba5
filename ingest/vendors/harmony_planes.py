"""The images of a Harmony index as tables: which plane is where, and where each field lies.

Numbers are checked column by column, not image by image: a plate has tens of thousands of them. A message still names
the first image that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import InvalidDataError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS, format_well
from ..export import FIELDS_SCHEMA, PLANES_SCHEMA
from ..moments import moment
from ..plate_formats import complete_plate_size
from ..units import to_ms, to_um
from .harmony_files import Layout
from .harmony_index import HarmonyIndex
from .harmony_pages import locate_pages

#: Arrays are made as long as the largest plane or time point: one far from all others, or starting beyond this, is a
#: damaged number.
_LATEST_START = 10_000
#: No number of an index is larger, whatever its unit.
LARGEST = 1e10
_FARTHEST_UM = 1e7
DAMAGED = "The index is damaged; copy it again from the microscope's export."
#: Heights that differ by less are one (µm).
_SAME_HEIGHT_UM = 0.01
_SLOW_KINETIC = re.compile(r"sk([0-9]{1,9})(?![0-9])")
_LIST_AT_MOST = 3

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """The planes of one measurement, sorted by row, column, field, time point, channel and depth.

    ``planes`` and ``fields`` follow the schemas of :mod:`cytolake.ingest.export` for acquisition 1. ``channel_ids``
    are the vendor's numbers of the acquired channels, in the order of ``channel_index``, by which ``z_offsets_um`` are
    known where a channel has one height in all fields.
    """

    n_rows: int
    n_columns: int
    channel_ids: tuple[str, ...]
    planes: pa.Table
    fields: pa.Table
    z_step_um: float | None
    time_interval_s: float | None
    z_offsets_um: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class _Images:
    """Where each image belongs, in the order of the index."""

    row: _Ints
    column: _Ints
    field: _Ints
    timepoint: _Ints
    plane: _Ints
    channel: _Ints

    def taken(self, order: npt.NDArray[np.intp]) -> _Images:
        return _Images(*(getattr(self, name)[order] for name in self.__slots__))


def scale(
    index: HarmonyIndex, tag: str, factor: Callable[[str | None], float | None], default: str, name: str
) -> float:
    """Return the factor from the unit that the index gives a tag, by :func:`~..units.to_um` or its like.

    Raises
    ------
    InvalidDataError
        It is no such unit, or elements differ in it.
    """
    unit = index.units.get(tag) or default
    if tag in index.mixed_units:
        raise InvalidDataError(
            f"{name}: {tag} is in {unit!r} here and in {index.mixed_units[tag]!r} there", hint=DAMAGED
        )
    found = factor(unit)
    if found is None:
        raise InvalidDataError(f"{name}: {tag} is in {unit!r}, which is no unit that a microscope uses", hint=DAMAGED)
    return found


def read_planes(
    index: HarmonyIndex,
    plate: Mapping[str, str],
    layout: Layout,
    name: str,
    warnings: list[str],
    *,
    plate_format: tuple[int, int] | None = None,
) -> Planes:
    """Return the planes and fields of an index, with their files located.

    Parameters
    ----------
    index
        The index, with at least one image.
    plate
        Its plate.
    layout
        The folders of the export.
    name
        What to call the index in messages.
    warnings
        Gets what is odd and not wrong.
    plate_format
        Rows and columns that the user names; they stand above the index's.

    Raises
    ------
    InvalidDataError
        A number is missing or no number, a well lies outside the plate, or two images are one plane or one file.
    SourceFileError
        A URL leaves the export.
    """
    images = _numbers_of(index, name)
    n_rows, n_columns = _plate_size(index, plate, images, name, warnings, plate_format)
    sources = locate_pages(index, layout, name, warnings)
    channels, channel_index = np.unique(images.channel, return_inverse=True)
    order = np.lexsort((images.plane, channel_index, images.timepoint, images.field, images.column, images.row))
    at, channel = images.taken(order), channel_index[order]
    _refuse_twice(index, at, order, name)

    wells = _well_names(at)
    z_um = _lengths(index, "PositionZ", name)[order]
    n = len(order)
    plane_columns: dict[str, Any] = {
        "acquisition_id": np.ones(n, np.int32),
        "well_id": wells,
        "field_id": at.field.astype(np.int32),
        "timepoint": at.timepoint.astype(np.int32),
        "z": at.plane.astype(np.int32),
        "channel_index": channel.astype(np.int32),
        "file": pa.array(sources.files, pa.string()).take(order),
        "page": np.asarray(sources.pages, np.int32)[order],
        "size": pa.array(sources.sizes, pa.int64()).take(order),
        "z_um": pa.array(z_um, from_pandas=True),
        "acquired_at": _times(index, warnings).take(order),
    }
    new_field = np.ones(n, bool)
    new_field[1:] = (np.diff(at.row) != 0) | (np.diff(at.column) != 0) | (np.diff(at.field) != 0)
    first = np.flatnonzero(new_field)
    field_columns: dict[str, Any] = {
        "acquisition_id": np.ones(len(first), np.int32),
        "well_id": wells.take(first),
        "field_id": at.field[first].astype(np.int32),
        "x_um": pa.array(_first_known(_lengths(index, "PositionX", name)[order], first), from_pandas=True),
        # The stage's Y points up in the image, rows count down: 0 - y rather than -y, so that 0 stays 0.
        "y_um": pa.array(0.0 - _first_known(_lengths(index, "PositionY", name)[order], first), from_pandas=True),
        "z_um": pa.array(z_um[first], from_pandas=True),
    }
    return Planes(
        n_rows=n_rows,
        n_columns=n_columns,
        channel_ids=tuple(str(c) for c in channels),
        planes=pa.table(plane_columns, schema=PLANES_SCHEMA),
        fields=pa.table(field_columns, schema=FIELDS_SCHEMA),
        z_step_um=_z_step(at, channel, z_um, new_field, warnings),
        time_interval_s=_time_interval(index, at, order, new_field, name),
        z_offsets_um=_z_offsets(at, channel, z_um),
    )


def _column(index: HarmonyIndex, tag: str, kind: pa.DataType, name: str) -> npt.NDArray[Any] | None:
    """Return a column as numbers, floats with NaN where there is none; ``None`` when all are absent."""
    values = index.images[tag]
    texts = pa.array(values, pa.string())
    if texts.null_count == len(texts):
        return None
    try:
        numbers = texts.cast(kind)
    except pa.ArrowInvalid as error:
        bad = next(i for i, value in enumerate(values) if value is not None and not _is(value, kind))
        what = "whole number" if pa.types.is_integer(kind) else "number"
        raise InvalidDataError(f"{name}: {tag} of image {index.label(bad)} is {values[bad]!r}, no {what}") from error
    if pa.types.is_integer(kind) and numbers.null_count:
        raise InvalidDataError(f"{name}: image {index.label(values.index(None))} has no {tag}")
    result: npt.NDArray[Any] = numbers.to_numpy(zero_copy_only=False)
    return result


def _is(text: str, kind: pa.DataType) -> bool:
    try:
        pa.scalar(text).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _numbers_of(index: HarmonyIndex, name: str) -> _Images:
    def whole(tag: str, default: int | None = None) -> _Ints:
        column = _column(index, tag, pa.int32(), name)
        if column is None:
            if default is None:
                raise InvalidDataError(f"{name}: image {index.label(0)} has no {tag}")
            return np.full(len(index.images["id"]), default, np.int64)
        return column.astype(np.int64)

    def from_zero(tag: str, base: int) -> _Ints:
        numbers = whole(tag, base)
        numbers = numbers - (0 if (numbers == 0).any() else base)
        distinct = np.unique(numbers)
        first, last = int(distinct[0]), int(distinct[-1])
        if last - first > 4 * len(distinct) + 16:
            middle = float(np.median(numbers))
            refuse(tag, numbers == (last if last - middle > middle - first else first), "far from all others")
        refuse(tag, (numbers < 0) | (first > _LATEST_START), "no number that counts")
        return numbers

    def refuse(tag: str, bad: npt.NDArray[np.bool_], why: str) -> None:
        if bad.any():
            at = int(np.argmax(bad))
            raise InvalidDataError(
                f"{name}: {tag} of image {index.label(at)} is {index.images[tag][at]}, {why}", hint=DAMAGED
            )

    fields = whole("FieldID")
    refuse("FieldID", fields < 0, "below 0")
    return _Images(
        row=whole("Row"),
        column=whole("Col"),
        field=fields,
        timepoint=from_zero("TimepointID", _first_timepoint(index)),
        plane=from_zero("PlaneID", 1),
        channel=whole("ChannelID"),
    )


def _first_timepoint(index: HarmonyIndex) -> int:
    """Return what the first time point is called where none is called 0: 0 in V5, 1 in V7.

    The file names tell, whose ``sk`` counts from 1 in every version: an export of later time points alone keeps its
    numbers.
    """
    for url, timepoint in zip(index.images["URL"], index.images["TimepointID"], strict=True):
        found = _SLOW_KINETIC.search((url or "").rpartition("/")[2])
        if found and timepoint and timepoint.isdecimal() and len(timepoint) < 10:
            return 0 if int(timepoint) == int(found.group(1)) - 1 else 1
    return 1


def _plate_size(
    index: HarmonyIndex,
    plate: Mapping[str, str],
    images: _Images,
    name: str,
    warnings: list[str],
    given: tuple[int, int] | None,
) -> tuple[int, int]:
    try:
        told = int(plate.get("PlateRows", 0)), int(plate.get("PlateColumns", 0))
    except ValueError as error:
        raise InvalidDataError(f"{name}: rows or columns of the plate are no whole numbers: {error}") from error
    if given is not None and all(told) and told != given:
        warnings.append(f"the index says {told[0]} × {told[1]} wells; {given[0]} × {given[1]} was given")
    last = int(images.row.max()), int(images.column.max())
    n_rows, n_columns = given or complete_plate_size(told, last, name, warnings)
    if not (0 < n_rows <= MAX_ROWS and 0 < n_columns <= MAX_COLUMNS):
        raise InvalidDataError(f"{name}: a plate of {n_rows} × {n_columns} wells; 32 × 48 is the largest there is")
    outside = (images.row < 1) | (images.row > n_rows) | (images.column < 1) | (images.column > n_columns)
    if outside.any():
        at = int(np.argmax(outside))
        raise InvalidDataError(
            f"{name}: image {index.label(at)} lies in row {images.row[at]}, column {images.column[at]}, outside its "
            f"plate of {n_rows} × {n_columns} wells ({int(outside.sum())} such images)"
        )
    return n_rows, n_columns


def _well_names(at: _Images) -> pa.Array[Any]:
    """Return the well of each image; every name is made once."""
    place = at.row * (MAX_COLUMNS + 1) + at.column
    places, which = np.unique(place, return_inverse=True)
    names = [format_well(*divmod(int(p), MAX_COLUMNS + 1)) for p in places]
    return pa.array(names, pa.string()).take(which)


def _refuse_twice(index: HarmonyIndex, at: _Images, order: npt.NDArray[np.intp], name: str) -> None:
    """Refuse two images of one plane; ``at`` is sorted, so they are neighbours."""
    same = np.ones(len(order) - 1, bool)
    for key in (at.row, at.column, at.field, at.timepoint, at.channel, at.plane):
        same &= np.diff(key) == 0
    if not same.any():
        return
    urls = index.images["URL"]
    shown = "; ".join(
        f"{format_well(int(at.row[i]), int(at.column[i]))} field {at.field[i]} channel {at.channel[i]} z {at.plane[i]} "
        f"time point {at.timepoint[i]} is {urls[order[i]]} and {urls[order[i + 1]]}"
        for i in np.flatnonzero(same)[:_LIST_AT_MOST]
    )
    raise InvalidDataError(
        f"{name} describes {int(same.sum())} planes twice: {shown}",
        hint="Export the measurement again; two indexes may have been merged.",
    )


def _lengths(index: HarmonyIndex, tag: str, name: str) -> _Floats:
    """Return a column of lengths in µm, to the picometre; NaN where there is none."""
    values = _column(index, tag, pa.float64(), name)
    if values is None:
        return np.full(len(index.images["id"]), np.nan)
    factor = scale(index, tag, to_um, "m", name)
    values = np.where(np.isfinite(values), values, np.nan)
    far = np.abs(values) > _FARTHEST_UM / factor
    if far.any():
        at = int(np.argmax(far))
        raise InvalidDataError(
            f"{name}: {tag} of image {index.label(at)} is {index.images[tag][at]}, more than 10 m away", hint=DAMAGED
        )
    return np.round(values * factor, 6)


def _first_known(values: _Floats, first: npt.NDArray[np.intp]) -> _Floats:
    """Return of each field, which begin at ``first``, the value of its first image that has one; NaN without any."""
    known = np.where(np.isfinite(values), np.arange(len(values)), len(values))
    return np.append(values, np.nan)[np.minimum.reduceat(known, first)]


def _z_offsets(at: _Images, channel: _Ints, z_um: _Floats) -> dict[int, float]:
    """Return the height of the first plane of each channel that has the same one wherever it was imaged, µm."""
    found: dict[int, float] = {}
    for number in np.unique(channel):
        own = channel == number
        heights = z_um[own & (at.plane == at.plane[own].min())]
        if np.isfinite(heights).all() and float(np.ptp(heights)) <= _SAME_HEIGHT_UM:
            found[int(number)] = float(heights[0])
    return found


def _z_step(
    at: _Images, channel: _Ints, z_um: _Floats, new_field: npt.NDArray[np.bool_], warnings: list[str]
) -> float | None:
    """Return the distance of neighbouring planes of one stack, µm. Channels may start at different heights."""
    neighbours = ~new_field[1:] & (np.diff(at.timepoint) == 0) & (np.diff(channel) == 0) & (np.diff(at.plane) == 1)
    steps = np.abs(np.diff(z_um)[neighbours])
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if not steps.size:
        return None
    middle = float(np.median(steps))
    if float(np.ptp(steps)) > 0.05 * middle:
        warnings.append(
            f"planes are not evenly spaced: from {steps.min():g} to {steps.max():g} µm; {middle:g} µm is recorded"
        )
    return round(middle, 6)


def _time_interval(
    index: HarmonyIndex, at: _Images, order: npt.NDArray[np.intp], new_field: npt.NDArray[np.bool_], name: str
) -> float | None:
    """Return the usual time between two time points of one field, s."""
    offset = _column(index, "MeasurementTimeOffset", pa.float64(), name)
    if offset is None:
        return None
    to_seconds = scale(index, "MeasurementTimeOffset", to_ms, "s", name) / 1e3
    offset = np.where(np.abs(offset) < LARGEST, offset * to_seconds, np.nan)
    starts = np.flatnonzero(new_field | np.append(True, np.diff(at.timepoint) != 0))
    follows = (np.diff(at.timepoint[starts]) == 1) & ~new_field[starts][1:]
    steps = np.diff(offset[order][starts])[follows]
    steps = steps[np.isfinite(steps) & (steps > 0)]
    return round(float(np.median(steps)), 6) if steps.size else None


def _times(index: HarmonyIndex, warnings: list[str]) -> pa.Array[Any]:
    moments = [moment(text) for text in index.images["AbsTime"]]
    if not all(zoned for _, zoned in moments):
        warnings.append("times of acquisition name no time zone; they are taken as UTC")
    return pa.array([m for m, _ in moments], pa.timestamp("us", tz="UTC"))
