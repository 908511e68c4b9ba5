"""The files of an ImageXpress HCS.ai acquisition as bytes in, MetaXpress Acquire's own words out.

``.jdce`` (JSON) describes an experiment, ``image_metadata_*.csv`` each of its images, ``.mxprotocol`` (JSON) what was
asked for. Field names of rows are the vendor's, in our spelling.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...errors import InvalidDataError, NotAnExportError, SourceFileError
from ...schemas.identifiers import format_well, well_or_none
from ..units import to_um

_DAMAGED = "Copy the file again from the acquisition."
_MOST_WAVES, _MOST_SIDE = 1_000, 1_000_000
#: A number between quotes.
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:\.\d{1,15})?(?:[eE][-+]?\d{1,2})?")
#: Columns that an image cannot do without.
_NEEDED = ("Row", "Column", "Field", "Wavelength", "Timepoint", "ZIndex", "ImageFileName")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wavelength:
    """One wavelength of an experiment. ``n_slices`` is how many heights were imaged."""

    index: int
    name: str | None
    emission_nm: float | None
    excitation_nm: float | None
    imaging_mode: str | None
    n_slices: int
    z_step_um: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Jdce:
    """What a ``.jdce`` says; ``notes`` are what it leaves out and was taken from elsewhere in it."""

    version: str | None
    plate_id: str | None
    uuid: str | None
    software: str | None
    width: int | None
    height: int | None
    binning: int | None
    objective: str | None
    pixel_size_um: tuple[float, float] | None
    plate_type: str | None
    n_rows: int | None
    n_columns: int | None
    wavelengths: tuple[Wavelength, ...]
    z_step_um: float | None
    n_slices: int
    operator: str | None
    barcode: str | None
    is_complete: bool
    csv_names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """One line of ``image_metadata_*.csv``. Row and column count from 1, everything else from 0.

    ``where`` is the table and the line, ``named`` the well as its name says it, None where that is no well's.
    """

    where: str
    named: tuple[int, int] | None
    row: int
    column: int
    field: int
    wavelength: int
    timepoint: int
    z_index: int
    width: int | None
    height: int | None
    folder: str
    file: str
    timestamp_s: float | None
    exposure_ms: float | None
    filter_name: str | None
    z_um: float | None
    offset_x_um: float | None
    offset_y_um: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolChannel:
    """One channel that a protocol asks for."""

    name: str
    illumination: str | None
    color: str | None
    exposure_ms: float | None
    power: float | None
    z_collection: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What an ``.mxprotocol`` says beyond the experiments: the enabled channels in their order, and the optics."""

    channels: tuple[ProtocolChannel, ...] = ()
    light_path: str | None = None
    numerical_aperture: float | None = None
    camera: str | None = None


class _Tree:
    """A JSON value whose absent parts are absent, never an exception."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def at(self, *keys: str) -> _Tree:
        value = self.value
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return _Tree(value)

    def text(self, *keys: str) -> str | None:
        value = self.at(*keys).value
        return value.strip() or None if isinstance(value, str) else None

    def number(self, *keys: str) -> float | None:
        value = self.at(*keys).value
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e15:
            return None
        return float(value)

    def whole(self, *keys: str, most: int) -> int | None:
        value = self.number(*keys)
        return int(value) if value is not None and value.is_integer() and 0 <= value <= most else None

    def items(self, *keys: str) -> Iterator[_Tree]:
        value = self.at(*keys).value
        return (_Tree(item) for item in (value if isinstance(value, list) else ()))


def _json(data: bytes, name: str) -> _Tree:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    try:
        return _Tree(json.loads(text))
    except json.JSONDecodeError as error:
        cut = "is cut off" if error.pos >= len(text.rstrip()) - 1 else "is not well-formed JSON"
        raise SourceFileError(f"{name} {cut} at line {error.lineno}: {error.msg}", hint=_DAMAGED) from error
    except (ValueError, RecursionError) as error:
        raise SourceFileError(f"{name} is no JSON that MetaXpress Acquire writes: {error}", hint=_DAMAGED) from error


def parse_jdce(data: bytes, name: str) -> Jdce:
    """Parse a ``.jdce`` file.

    Raises
    ------
    NotAnExportError
        It is JSON of something else.
    SourceFileError
        It is cut off, or no JSON.
    InvalidDataError
        It describes no wavelength, or one twice.
    """
    tree = _json(data, name)
    stack = tree.at("ImageStack")
    protocol = stack.at("AutoLeadAcquisitionProtocol")
    if not isinstance(protocol.value, dict):
        raise NotAnExportError(f"{name} is no .jdce of MetaXpress Acquire: it has no ImageStack with a protocol")
    notes: list[str] = []
    waves = tuple(_wavelengths(protocol, notes))
    indices = [wave.index for wave in waves]
    if not waves or len(set(indices)) < len(indices) or len(waves) > _MOST_WAVES:
        raise InvalidDataError(f"{name} describes the wavelengths {indices}: none, or one twice", hint=_DAMAGED)
    z = protocol.at("PlateMap", "ZDimensionParameters")
    software = " ".join(t for t in (stack.text("Application", "Name"), stack.text("Application", "SoftwareLabel")) if t)
    return Jdce(
        version=tree.text("Version"),
        plate_id=stack.text("PlateId"),
        uuid=stack.text("Uuid"),
        software=software or None,
        width=protocol.whole("Camera", "Size", "Width", most=_MOST_SIDE),
        height=protocol.whole("Camera", "Size", "Height", most=_MOST_SIDE),
        binning=_binning(protocol.text("Camera", "Binning")),
        objective=protocol.text("ObjectiveCalibration", "ObjectiveName"),
        pixel_size_um=_pixel_size(protocol.at("ObjectiveCalibration"), notes),
        plate_type=protocol.text("Plate", "Name") or stack.text("SpecimenHolder", "Label"),
        n_rows=protocol.whole("Plate", "Rows", most=1_000) or None,
        n_columns=protocol.whole("Plate", "Columns", most=1_000) or None,
        wavelengths=waves,
        z_step_um=abs(z.number("Step") or 0.0) or None,
        n_slices=z.whole("NumberOfSlices", most=10_000) or 1,
        operator=stack.text("Operator", "Login") or protocol.text("ProjectInformation", "User", "Name"),
        barcode=stack.text("SpecimenHolder", "Barcode"),
        is_complete=protocol.at("CollectionComplete").value is not False,
        csv_names=tuple(t.value for t in stack.items("ImageMetadataFiles") if isinstance(t.value, str)),
        notes=tuple(notes),
    )


def _wavelengths(protocol: _Tree, notes: list[str]) -> Iterator[Wavelength]:
    for position, wave in enumerate(protocol.items("Wavelengths")):
        index = wave.whole("Index", most=_MOST_WAVES)
        if index is None:
            said = wave.at("Index").value
            notes.append(
                f"its wavelength {position + 1} has {'no Index' if said is None else f'the Index {str(said)[:40]!r}'}; "
                f"by its place it is taken for {position}"
            )
        emission = wave.number("EmissionFilter", "Wavelength")
        excitation = wave.number("ExcitationFilter", "Wavelength")
        yield Wavelength(
            index=position if index is None else index,
            name=wave.text("EmissionFilter", "Name") or wave.text("ExcitationFilter", "Name"),
            emission_nm=emission if emission and 200 < emission < 2_000 else None,
            # The filter set's one wavelength is written into both: then it is that of the emission.
            excitation_nm=excitation if excitation and 200 < excitation < 2_000 and excitation != emission else None,
            imaging_mode=wave.text("ImagingMode"),
            n_slices=wave.whole("ZSlice", most=10_000) or 1,
            z_step_um=abs(wave.number("ZStep") or 0.0) or None,
        )


def _binning(text: str | None) -> int | None:
    found = re.match(r"\s*(\d{1,2})", text or "")
    return int(found[1]) or None if found else None


def _pixel_size(calibration: _Tree, notes: list[str]) -> tuple[float, float] | None:
    unit = calibration.text("Unit")
    factor = to_um(unit or "µm")
    x, y = ((calibration.number(side) or 0.0) * (factor or 0.0) for side in ("PixelWidth", "PixelHeight"))
    if not 1e-3 < x < 1e3:
        return None
    if unit is None:
        notes.append(f"it gives the size of a pixel, {x:g}, without a unit; µm is taken")
    if not 1e-3 < y < 1e3:
        notes.append(f"it says that a pixel is {x:g} µm wide and not how high; the same is taken")
        y = x
    return x, y


def parse_image_rows(data: bytes, name: str) -> tuple[ImageRow, ...]:
    """Parse an ``image_metadata_*.csv``, with wells as the columns of numbers have them: see :func:`name_wells`.

    Raises
    ------
    SourceFileError
        It is cut off, or lacks a column.
    InvalidDataError
        A number is none.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    found: list[ImageRow] = []
    try:
        lines = csv.reader(io.StringIO(text, newline=""))
        header = [title.strip() for title in next(lines, [])]
        lacking = [title for title in _NEEDED if title not in header]
        if lacking:
            raise SourceFileError(f"{name} has no column {', '.join(lacking)}", hint=_DAMAGED)
        for values in lines:
            if any(value.strip() for value in values):
                if len(values) < len(header):
                    raise SourceFileError(
                        f"{name}, line {lines.line_num}: {len(values)} of {len(header)} values", hint=_DAMAGED
                    )
                found.append(_image_row(dict(zip(header, values, strict=False)), lines.line_num, name))
    except csv.Error as error:
        raise SourceFileError(f"{name} is no CSV: {error}", hint=_DAMAGED) from error
    return tuple(found)


def _image_row(values: dict[str, str], line: int, name: str) -> ImageRow:
    def whole(title: str) -> int:
        text = values[title].strip()
        if not re.fullmatch(r"\d{1,9}", text):
            raise InvalidDataError(f"{name}, line {line}: {title} is {text!r}, no whole number", hint=_DAMAGED)
        return int(text)

    def number(title: str) -> float | None:
        try:
            value = float(values.get(title) or "nan")
        except ValueError as error:
            raise InvalidDataError(f"{name}, line {line}: {title} is {values[title]!r}, no number") from error
        return value if math.isfinite(value) else None

    def side(title: str) -> int | None:
        value = number(title)
        return int(value) if value is not None and 1 <= value <= _MOST_SIDE else None

    return ImageRow(
        where=f"{name}, line {line}",
        named=well_or_none(re.sub(r"[\s-]", "", values.get("Well") or "")),
        row=whole("Row"),
        column=whole("Column"),
        field=whole("Field"),
        wavelength=whole("Wavelength"),
        timepoint=whole("Timepoint"),
        z_index=whole("ZIndex"),
        width=side("ImageSizeXPx"),
        height=side("ImageSizeYPx"),
        folder=(values.get("ImageSubFolderPath") or "").strip(),
        file=values["ImageFileName"].strip(),
        timestamp_s=number("TimeStampSec"),
        exposure_ms=number("ExposureTimeMs"),
        filter_name=(values.get("ExcitationEmissionFilter") or "").strip() or None,
        z_um=number("PositionZUm"),
        offset_x_um=number("FieldOffsetPointX"),
        offset_y_um=number("FieldOffsetPointY"),
    )


def name_wells(rows: tuple[ImageRow, ...], warnings: list[str]) -> tuple[ImageRow, ...]:
    """Return rows with the well that its name ("C - 5") says, whatever the columns of numbers begin with.

    Where a name is none, the numbers count as the named wells of the other rows show that they begin.

    Raises
    ------
    InvalidDataError
        A name is none, and the numbers of other rows do not agree with their names in one way.
    """
    begins = {(r.row - r.named[0], r.column - r.named[1]) for r in rows if r.named is not None}
    unnamed = [r for r in rows if r.named is None]
    if len(begins) > 1:
        odd = next(r for r in rows if r.named is not None and (r.row, r.column) != r.named)
        at = format_well(*odd.named) if odd.named else ""
        what = f"well {at} is called row {odd.row}, column {odd.column}"
        if unnamed:
            raise InvalidDataError(
                f"{unnamed[0].where}: Well is no well's name, and numbers do not tell it here: in {odd.where} {what}",
                hint=_DAMAGED,
            )
        warnings.append(f"{odd.where}: {what}; the name counts")
    down, right = next(iter(begins), (0, 0))
    if unnamed:
        warnings.append(
            f"{len(unnamed)} rows have no well's name in the column Well, first {unnamed[0].where}; their Row and "
            f"Column are taken, which begin with {1 + down} and {1 + right}{'' if begins else ' as usual'}"
        )
    places = ((r, r.named or (r.row - down, r.column - right)) for r in rows)
    return tuple(replace(r, row=row, column=column) for r, (row, column) in places)


def parse_protocol(data: bytes, name: str) -> Protocol:
    """Parse an ``.mxprotocol`` file.

    Raises
    ------
    SourceFileError
        It is cut off, or no JSON.
    """
    model = _json(data, name).at("uiModel")
    aperture = model.number("objective", "numericalAperture")
    return Protocol(
        channels=tuple(_protocol_channel(c) for c in model.items("settingsList") if c.at("isEnabled").value is True),
        light_path=model.text("lightPathModeInfo", "mode"),
        numerical_aperture=aperture if aperture is not None and 0 < aperture < 2 else None,
        camera=model.text("cameraName"),
    )


def _protocol_channel(channel: _Tree) -> ProtocolChannel:
    color = re.fullmatch(r"#?([0-9A-Fa-f]{6})", channel.text("displayColorHex") or "")
    return ProtocolChannel(
        name=channel.text("channelName") or channel.text("illuminationName") or "",
        illumination=channel.text("illuminationName"),
        color=color[1].upper() if color else None,
        exposure_ms=channel.number("exposureTimeMs"),
        power=channel.number("powerPercentage"),
        z_collection=channel.text("zSeriesCollectionType"),
    )
