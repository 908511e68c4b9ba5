"""The values that describe a plate of images: what a writer is told and a reader gives back.

Lengths are µm, axes are always ``t, c, z, y, x``, ids are the identity columns of every table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ...errors import InvalidDataError

_COLOR = re.compile("[0-9A-Fa-f]{6}")


class FieldKey(NamedTuple):
    """Which field of a plate: canonical well name (``A01``), NGFF acquisition (from 1), the vendor's field number."""

    well_id: str
    acquisition_id: int
    field_id: int


class Plane(NamedTuple):
    """Which plane of a field, zero-based."""

    t: int
    c: int
    z: int


class Window(NamedTuple):
    """Grey values a viewer uses: the possible range ``min..max`` and the shown range ``start..end``."""

    min: float
    max: float
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """One channel of an image.

    ``color`` is six hexadecimal digits. Without a ``color`` or a ``window`` the writer chooses them
    (see :mod:`.display`).
    """

    name: str
    role: str | None = None
    color: str | None = None
    window: Window | None = None

    def __post_init__(self) -> None:
        if self.color is not None and not _COLOR.fullmatch(self.color):
            raise InvalidDataError(f"channel {self.name!r}: {self.color!r} is no colour of six hexadecimal digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionSpec:
    """One measurement of a plate, as NGFF lists it. ``acquisition_id`` counts from 1 (viewers read 0 as unset)."""

    acquisition_id: int
    name: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayReference:
    """A Zarr array of somebody else that is the level 0 of a field; it is only ever read.

    ``path`` is its folder, absolute, on a disk of this machine, and ``axes`` are its axes in its own order.
    ``shape`` ``(t, c, z, y, x)`` and ``dtype`` are what it had when it was referred to. ``is_sparse``: chunks of planes
    that are there were not stored then, so that a chunk that is not there reads as the fill value, as Zarr has it.
    """

    path: str
    zarr_format: int
    axes: tuple[str, ...]
    shape: tuple[int, int, int, int, int]
    dtype: str
    is_sparse: bool

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or "\0" in self.path or ".." in self.path.split("/"):
            raise InvalidDataError(f"{self.path!r} is no absolute path of an array")
        if self.zarr_format not in (2, 3):
            raise InvalidDataError(f"{self.path} is of Zarr version {self.zarr_format}; versions 2 and 3 are read")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """One field to write.

    ``shape`` is ``(t, c, z, y, x)``; ``pixel_size_um`` is ``(z, y, x)``, z None where planes have no known distance;
    ``stage_um`` is ``(x, y, z)`` in image direction (x right, y down) and becomes the image's translation;
    ``missing`` are planes known beforehand to have no pixels. Where there is a ``reference``, level 0 is that array
    and is not written.
    """

    well_id: str
    acquisition_id: int
    field_id: int
    shape: tuple[int, int, int, int, int]
    dtype: str
    pixel_size_um: tuple[float | None, float, float]
    channels: tuple[ChannelSpec, ...]
    stage_um: tuple[float, float, float] | None = None
    time_interval_s: float | None = None
    missing: tuple[Plane, ...] = ()
    reference: ArrayReference | None = None

    @property
    def key(self) -> FieldKey:
        """Which field this is."""
        return FieldKey(self.well_id, self.acquisition_id, self.field_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenImage:
    """What became of one field: where it is (relative to the plate) and which planes have no pixels."""

    key: FieldKey
    path: str
    missing: tuple[Plane, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateSpec:
    """The plate as a whole. ``images`` are all its fields; ``attributes`` any JSON that should travel with it."""

    name: str
    n_rows: int
    n_columns: int
    acquisitions: tuple[AcquisitionSpec, ...]
    images: tuple[FieldKey, ...]
    attributes: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What the metadata of one written field says (:class:`ImageSpec` read back, without the array's own facts)."""

    key: FieldKey
    pixel_size_um: tuple[float | None, float, float]
    stage_um: tuple[float, float, float] | None
    time_interval_s: float | None
    channels: tuple[ChannelSpec, ...]
    missing: tuple[Plane, ...]
    levels: tuple[str, ...]
    reference: ArrayReference | None = None
