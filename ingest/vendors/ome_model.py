"""What an OME-XML document says, under one name per fact whatever the year of its schema.

Lengths are µm, times s, wavelengths nm; indices count from 0 as the schema does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeChannel:
    """One channel of an image. ``samples`` above 1 is colour: red, green and blue in one page."""

    name: str | None = None
    samples: int = 1
    fluor: str | None = None
    excitation_nm: float | None = None
    emission_nm: float | None = None
    color: str | None = None
    contrast_method: str | None = None
    acquisition_mode: str | None = None
    illumination: str | None = None
    binning: int | None = None
    detector_id: str | None = None
    light_source_id: str | None = None
    emission_filter_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmePlane:
    """What is said of one plane: where the stage was, and when (s since the image's start)."""

    x_um: float | None = None
    y_um: float | None = None
    z_um: float | None = None
    delta_s: float | None = None
    exposure_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeTiffData:
    """Which pages hold which planes. ``ifd`` and ``count`` are None where the document leaves them to defaults."""

    c: int = 0
    z: int = 0
    t: int = 0
    ifd: int | None = None
    count: int | None = None
    file: str | None = None
    uuid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeImage:
    """One image: five dimensions. ``planes`` maps (c, z, t) to what is said of the plane, which may be nothing."""

    id: str
    name: str | None
    acquired_at: str | None
    size_x: int
    size_y: int
    size_z: int
    size_c: int
    size_t: int
    order: str
    type: str
    channels: tuple[OmeChannel, ...]
    planes: Mapping[tuple[int, int, int], OmePlane]
    tiff_data: tuple[OmeTiffData, ...]
    pixel_size_x_um: float | None = None
    pixel_size_y_um: float | None = None
    pixel_size_z_um: float | None = None
    time_increment_s: float | None = None
    instrument_id: str | None = None
    objective_id: str | None = None
    stage_x_um: float | None = None
    stage_y_um: float | None = None
    #: The pixels are base64 inside the XML, or said to be nowhere (``MetadataOnly``).
    is_inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeWellSample:
    """One field of a well; ``x_um`` and ``y_um`` are relative to the well by the schema's word."""

    id: str
    index: int | None
    image_id: str | None
    x_um: float | None
    y_um: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeWell:
    """A well; row and column count from 0."""

    row: int
    column: int
    samples: tuple[OmeWellSample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OmePlateAcquisition:
    """One run over a plate."""

    id: str
    name: str | None
    started_at: str | None
    ended_at: str | None
    sample_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OmePlate:
    """A plate; ``rows`` and ``columns`` are None where the document does not say."""

    id: str
    name: str | None
    barcode: str | None
    rows: int | None
    columns: int | None
    wells: tuple[OmeWell, ...]
    acquisitions: tuple[OmePlateAcquisition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeObjective:
    """An objective."""

    model: str | None
    magnification: float | None
    numerical_aperture: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeInstrument:
    """A microscope; ``parts`` maps the ids of detectors, filters and light sources to their names."""

    manufacturer: str | None = None
    model: str | None = None
    objectives: Mapping[str, OmeObjective] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeDocument:
    """A whole document. ``metadata_file`` is the companion of a file that holds pixels only (``BinaryOnly``)."""

    schema: str
    creator: str | None
    uuid: str | None
    metadata_file: str | None
    images: tuple[OmeImage, ...]
    plates: tuple[OmePlate, ...]
    instruments: Mapping[str, OmeInstrument]
    warnings: tuple[str, ...]
