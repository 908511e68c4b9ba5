"""What a vendor export says, in words no vendor owns.

A reader fills a :class:`PlateExport` from metadata alone; everything after it (conversion, tables, pictures) never
learns which microscope wrote the files. Sizes are pixels, lengths µm (stage and pixel) or nm (wavelengths), times
seconds or UTC datetimes, indices zero-based unless they are the vendor's own numbers (``field_id``) or NGFF's
(``acquisition_id``, from 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa


def _schema(*fields: pa.Field[Any]) -> pa.Schema:
    return pa.schema(fields)


#: One row per plane that the export promises, whether or not its file is there.
#: ``file`` is relative to ``PlateExport.root``, with forward slashes; ``page`` is the index inside a multi-page file;
#: ``size`` the bytes of the file on disk, NULL where it is absent. Positions are in image direction (x right, y down).
#: ``z_um`` is the nominal height of the plane, relative to the same reference in all planes of a field.
PLANES_SCHEMA = _schema(
    pa.field("acquisition_id", pa.int32(), nullable=False),
    pa.field("well_id", pa.string(), nullable=False),
    pa.field("field_id", pa.int32(), nullable=False),
    pa.field("timepoint", pa.int32(), nullable=False),
    pa.field("z", pa.int32(), nullable=False),
    pa.field("channel_index", pa.int32(), nullable=False),
    pa.field("file", pa.string(), nullable=False),
    pa.field("page", pa.int32(), nullable=False),
    pa.field("size", pa.int64()),
    pa.field("z_um", pa.float64()),
    pa.field("acquired_at", pa.timestamp("us", tz="UTC")),
)

#: One row per field of each acquisition: the middle of the field relative to the middle of its well, image direction.
#: ``z_um`` is the height of its first plane (lowest time point, channel and z), as in the planes.
FIELDS_SCHEMA = _schema(
    pa.field("acquisition_id", pa.int32(), nullable=False),
    pa.field("well_id", pa.string(), nullable=False),
    pa.field("field_id", pa.int32(), nullable=False),
    pa.field("x_um", pa.float64()),
    pa.field("y_um", pa.float64()),
    pa.field("z_um", pa.float64()),
)

#: Annotation that travels with the export (Harmony assay layouts): long format, one value of one layer of one well.
ANNOTATION_SCHEMA = _schema(
    pa.field("well_id", pa.string(), nullable=False),
    pa.field("layer", pa.string(), nullable=False),
    pa.field("value", pa.string(), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelInfo:
    """One channel of one acquisition, as the microscope describes it.

    ``role`` is what the stain shows (``DNA``, ``Mito`` ...), NULL where :mod:`.channels` could not tell.
    ``z_offset_um`` is the height of the channel's first plane above the focus that all channels share, where it is
    the same in all fields.
    ``flatfield`` is the vendor's illumination profile, parsed to plain JSON types, never applied here.
    """

    acquisition_id: int
    channel_index: int
    name: str
    vendor_id: str
    role: str | None = None
    dye: str | None = None
    excitation_nm: float | None = None
    excitation_source: str | None = None
    emission_nm: float | None = None
    emission_filter: str | None = None
    exposure_ms: float | None = None
    excitation_power: float | None = None
    contrast_method: str | None = None
    acquisition_mode: str | None = None
    binning: int | None = None
    color: str | None = None
    max_intensity: int | None = None
    z_offset_um: float | None = None
    flatfield: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionInfo:
    """One measurement of a plate. ``height`` × ``width`` pixels a plane, ``pixel_size_*_um`` at the sample.

    Where an instrument mixes stacks, projections and single planes, each kind is an acquisition of its own, with its
    ``z_mode``: ``stack``, ``projection`` or ``plane``; None leaves it to the number of planes.
    """

    acquisition_id: int
    height: int
    width: int
    pixel_size_x_um: float
    pixel_size_y_um: float
    z_step_um: float | None = None
    z_mode: str | None = None
    measurement_id: str | None = None
    name: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    time_interval_s: float | None = None
    operator: str | None = None
    instrument_manufacturer: str | None = None
    instrument_model: str | None = None
    software: str | None = None
    modality: str | None = None
    camera: str | None = None
    magnification: float | None = None
    numerical_aperture: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateExport:
    """One plate as one export holds it: identity, geometry, channels and where each plane's pixels are.

    ``planes`` follows :data:`PLANES_SCHEMA`, ``fields`` :data:`FIELDS_SCHEMA`, ``annotation``
    :data:`ANNOTATION_SCHEMA`, and came from ``annotation_files``. ``metadata_files`` (relative to ``root``, as those)
    are hashed with the pixels, so that a changed index is a changed export. ``plate_id`` is a suggestion that a user
    may overrule. ``arrays`` are the files that are Zarr arrays of one whole field each, with the names of their axes:
    these can be referred to where they lie.
    """

    reader: str
    vendor: str
    format_version: str
    root: str
    plate_id: str
    barcode: str | None
    name: str | None
    plate_type: str | None
    n_rows: int
    n_columns: int
    acquisitions: tuple[AcquisitionInfo, ...]
    channels: tuple[ChannelInfo, ...]
    planes: pa.Table
    fields: pa.Table
    annotation: pa.Table = field(default_factory=lambda: ANNOTATION_SCHEMA.empty_table())
    annotation_files: tuple[str, ...] = ()
    metadata_files: tuple[str, ...] = ()
    arrays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
