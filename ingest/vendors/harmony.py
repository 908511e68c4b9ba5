"""Harmony exports (Opera Phenix, Operetta, Operetta CLS) as vendor-neutral plates.

What this module knows and :mod:`.harmony_index` does not: units (metres to µm, seconds to ms), that a stage's Y
points up while an image's points down, that time points count from 0 in V5 and from 1 in V7, that a field *is* its
``FieldID`` (numbers have gaps, and counting would shift wells), and which facts of a plate must agree.
``OrientationMatrix`` is never applied: positions are already relative to the middle of the well, and on real plates
neighbouring fields lie exactly one field width apart without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InvalidDataError, NotAnExportError, SourceFileError, StorageError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS, format_well, slug
from ..channels import guess_roles
from ..export import ANNOTATION_SCHEMA, FIELDS_SCHEMA, PLANES_SCHEMA, AcquisitionInfo, ChannelInfo, PlateExport
from ..readers import Evidence
from .acapella import AcapellaError
from .acapella import parse as parse_acapella
from .acapella import to_json as acapella_to_json
from .harmony_files import Layout, check_url, find_index, find_measurements
from .harmony_index import (
    HarmonyIndex,
    check_index_root,
    parse_assay_layout,
    parse_flatfields,
    parse_index,
)

_METRES_TO_UM = {"m": 1e6, "mm": 1e3, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3}
_SECONDS_TO_MS = {"s": 1e3, "ms": 1.0}
_MODELS = {"phenix": "Opera Phenix", "sonata": "Operetta CLS", "operetta": "Operetta"}
_CONTRAST = {"fluorescence": "fluorescence", "brightfield": "brightfield", "digitalphasecontrast": "digital_phase"}
_MODALITY = {"nonconfocal": "widefield", "nipkowconfocal": "spinning_disk_confocal", "confocal": "confocal"}
_PLATES = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
_SLOW_KINETIC = re.compile(r"sk(\d+)")
_MEASUREMENT_NUMBER = re.compile(r"measurement[ _]?(\d+)", re.IGNORECASE)
_LIST_AT_MOST = 3


class HarmonyReader:
    """Reads ``Index.idx.xml``, ``Index.xml`` and ``Index.ref.xml`` of any Harmony namespace."""

    name = "harmony"

    def detect(self, path: Path) -> Evidence | None:
        """Evidence from the first bytes of an index; confidence 0 where a file of that name is something else."""
        index = find_index(path)
        if index is None:
            below = find_measurements(path) if path.is_dir() else []
            if not below:
                return None
            index = below[0]
        try:
            with index.open("rb") as file:
                root = check_index_root(file.read(1 << 16), index.name)
        except NotAnExportError as error:
            return Evidence(reader=self.name, confidence=0.0, facts=(error.message,), index=str(index))
        except OSError as error:
            facts = (f"{index} cannot be read: {error.strerror}",)
            return Evidence(reader=self.name, confidence=0.0, facts=facts, index=str(index))
        facts = (f"{index.name}: {root}", f"Harmony {root.harmony_version}")
        return Evidence(reader=self.name, confidence=1.0, facts=facts, index=str(index))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """The plate of one measurement, or the plates of the measurement folders below ``path``.

        Measurements of one plate (same barcode) become acquisitions of one export, in the order of their start.
        """
        index = find_index(path)
        if index is not None:
            return (_read_measurement(index),)
        found = find_measurements(path) if path.is_dir() else []
        if not found:
            raise NotAnExportError(
                f"{path} holds no Harmony index",
                hint="name the folder that holds Index.idx.xml or Index.xml, or the one above it",
            )
        raise NotAnExportError(
            f"{path} holds {len(found)} measurements, not one: {', '.join(str(i.parent) for i in found)}",
            hint="name one measurement folder",
        )


@dataclass(frozen=True, slots=True)
class _Images:
    """The image columns as numbers, in the order of the index; ``ids`` for messages."""

    ids: list[str]
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    field: npt.NDArray[np.int64]
    timepoint: npt.NDArray[np.int64]
    plane: npt.NDArray[np.int64]
    channel: npt.NDArray[np.int64]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def _read_measurement(index_path: Path) -> PlateExport:
    """Read one index and what belongs to it."""
    layout = Layout.of(index_path)
    name = str(layout.index)
    index = parse_index(_read_bytes(layout.index), name)
    if len(index.plates) != 1:
        raise InvalidDataError(f"{name} describes {len(index.plates)} plates; a Harmony index describes one")
    if not index.images["id"]:
        raise InvalidDataError(f"{name} describes no image", hint="export the measurement with its images")
    plate = index.plates[0]
    warnings: list[str] = []
    images = _image_numbers(index, name)
    n_rows, n_columns = _plate_size(plate, images, name, warnings)
    order, channel_ids, channel_index = _sort_planes(images, index, name)
    layouts, profiles = layout.companions()
    channels = _channels(index, channel_ids, _flatfields(index, profiles, layout, warnings), name, warnings)
    planes, fields, z_step, interval = _tables(index, images, order, channel_index, layout, name, warnings)
    acquisition = _acquisition(index, plate, channel_ids, name, warnings)
    acquisition = replace(acquisition, z_step_um=z_step, time_interval_s=interval, ended_at=_latest(planes))
    channels, role_warnings = guess_roles(channels)
    annotation = _annotation(layouts, layout, n_rows, n_columns, warnings)
    barcode = plate.get("PlateID")
    return PlateExport(
        reader="harmony",
        vendor="PerkinElmer Harmony",
        format_version=index.root.harmony_version or "V?",
        root=str(layout.root),
        plate_id=slug(barcode or plate.get("Name") or layout.root.name),
        barcode=barcode,
        name=plate.get("Name"),
        plate_type=plate.get("PlateTypeName"),
        n_rows=n_rows,
        n_columns=n_columns,
        acquisitions=(acquisition,),
        channels=channels,
        planes=planes,
        fields=fields,
        annotation=annotation,
        metadata_files=tuple(layout.relative(p) for p in (layout.index, *layouts, *profiles)),
        warnings=(*warnings, *role_warnings),
    )


def _numbers(
    index: HarmonyIndex, tag: str, kind: pa.DataType, name: str, *, required: bool
) -> npt.NDArray[Any] | None:
    """A column of the index as int64, or as float64 with NaN where there is none; ``None`` when all are absent."""
    values = index.images[tag]
    array = pa.array(values, pa.string())
    if required and array.null_count:
        missing = values.index(None)
        raise InvalidDataError(f"{name}: image {_label(index, missing)} has no {tag}")
    if array.null_count == len(array):
        return None
    try:
        numbers = array.cast(kind)
    except pa.ArrowInvalid as error:
        position = next(i for i, v in enumerate(values) if v is not None and not _castable(v, kind))
        raise InvalidDataError(
            f"{name}: image {_label(index, position)} has {tag} {values[position]!r}, which is no "
            f"{'whole number' if pa.types.is_integer(kind) else 'number'}"
        ) from error
    result: npt.NDArray[Any] = numbers.to_numpy(zero_copy_only=False)
    return result


def _castable(text: str, kind: pa.DataType) -> bool:
    try:
        pa.scalar(text).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _label(index: HarmonyIndex, position: int) -> str:
    return index.images["id"][position] or f"number {position + 1}"


def _image_numbers(index: HarmonyIndex, name: str) -> _Images:
    def whole(tag: str) -> npt.NDArray[np.int64]:
        column = _numbers(index, tag, pa.int32(), name, required=True)
        assert column is not None
        return column.astype(np.int64)

    def whole_or(tag: str, value: int) -> npt.NDArray[np.int64]:
        column = _numbers(index, tag, pa.int32(), name, required=False)
        if column is None:
            return np.full(len(index.images["id"]), value, np.int64)
        return whole(tag)

    return _Images(
        ids=[_label(index, i) for i in range(len(index.images["id"]))],
        row=whole("Row"),
        column=whole("Col"),
        field=whole("FieldID"),
        timepoint=_from_zero(whole_or("TimepointID", 0), _first_timepoint(index)),
        plane=_from_zero(whole_or("PlaneID", 1), 1),
        channel=whole("ChannelID"),
    )


def _from_zero(numbers: npt.NDArray[np.int64], base: int) -> npt.NDArray[np.int64]:
    """Numbers that count from ``base`` or from 0, counted from 0."""
    return numbers - (0 if numbers.min() <= 0 else base)


def _first_timepoint(index: HarmonyIndex) -> int:
    """What the first time point is called in this index: 0 (V5) or 1 (V7).

    A 0 among the ids settles it. Otherwise the file names do, whose ``sk`` counts from 1 in every version: an export
    of later time points alone keeps its numbers.
    """
    for url, timepoint in zip(index.images["URL"], index.images["TimepointID"], strict=True):
        found = _SLOW_KINETIC.search((url or "").rpartition("/")[2])
        if found and timepoint and timepoint.isdigit():
            return int(int(timepoint) - int(found.group(1)) + 1 == 1)
    return 1


def _plate_size(plate: Mapping[str, str], images: _Images, name: str, warnings: list[str]) -> tuple[int, int]:
    try:
        n_rows, n_columns = int(plate.get("PlateRows", 0)), int(plate.get("PlateColumns", 0))
    except ValueError as error:
        raise InvalidDataError(f"{name}: the plate's rows or columns are no whole numbers: {error}") from error
    if not n_rows or not n_columns:
        used = (int(images.row.max()), int(images.column.max()))
        n_rows, n_columns = next((p for p in _PLATES if p[0] >= used[0] and p[1] >= used[1]), _PLATES[-1])
        warnings.append(f"the index does not say the size of the plate; {n_rows} × {n_columns} holds its wells")
    if not (0 < n_rows <= MAX_ROWS and 0 < n_columns <= MAX_COLUMNS):
        raise InvalidDataError(f"{name}: a plate of {n_rows} × {n_columns} wells; at most 32 × 48 is possible")
    outside = (images.row < 1) | (images.row > n_rows) | (images.column < 1) | (images.column > n_columns)
    if outside.any():
        at = int(np.argmax(outside))
        raise InvalidDataError(
            f"{name}: image {images.ids[at]} lies in row {images.row[at]}, column {images.column[at]}, outside its "
            f"plate of {n_rows} × {n_columns} wells ({int(outside.sum())} images do)"
        )
    return n_rows, n_columns


def _sort_planes(
    images: _Images, index: HarmonyIndex, name: str
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The order of the planes, the acquired channels, and the channel of each image; refuses duplicates."""
    channel_ids, channel_index = np.unique(images.channel, return_inverse=True)
    keys = (images.plane, channel_index, images.timepoint, images.field, images.column, images.row)
    order = np.lexsort(keys)
    same = np.ones(len(order) - 1, bool)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    if same.any():
        pairs = [(order[i], order[i + 1]) for i in np.flatnonzero(same)[:_LIST_AT_MOST]]
        urls = index.images["URL"]
        shown = "; ".join(
            f"{format_well(int(images.row[a]), int(images.column[a]))} field {images.field[a]} channel "
            f"{images.channel[a]} z {images.plane[a]} t {images.timepoint[a]} is both {urls[a]} and {urls[b]}"
            for a, b in pairs
        )
        raise InvalidDataError(
            f"{name} describes {int(same.sum())} planes twice: {shown}",
            hint="the index of two measurements may have been merged; export the measurement again",
        )
    return order, channel_ids, channel_index


def _scale(index: HarmonyIndex, tag: str, units: Mapping[str, float], default: str, name: str) -> float:
    unit = index.units.get(tag) or default
    if unit not in units:
        raise InvalidDataError(f"{name}: {tag} is in {unit!r}; known units are {', '.join(units)}")
    return units[unit]


def _tables(
    index: HarmonyIndex,
    images: _Images,
    order: npt.NDArray[np.intp],
    channel_index: npt.NDArray[np.int64],
    layout: Layout,
    name: str,
    warnings: list[str],
) -> tuple[pa.Table, pa.Table, float | None, float | None]:
    """The planes and fields tables, the z step (µm) and the time interval (s)."""
    files, sizes = _files(index, images, layout, name, warnings)
    row, column = images.row[order], images.column[order]
    names = {(r, c): format_well(r, c) for r, c in set(zip(row.tolist(), column.tolist(), strict=True))}
    wells = [names[key] for key in zip(row.tolist(), column.tolist(), strict=True)]

    def length(tag: str) -> npt.NDArray[np.float64]:
        values = _numbers(index, tag, pa.float64(), name, required=False)
        if values is None:
            return np.full(len(order), np.nan)
        return np.round(values * _scale(index, tag, _METRES_TO_UM, "m", name), 6)[order]

    z_um = length("PositionZ")
    n = len(order)
    planes = pa.table(
        {
            "acquisition_id": np.ones(n, np.int32),
            "well_id": wells,
            "field_id": images.field[order].astype(np.int32),
            "timepoint": images.timepoint[order].astype(np.int32),
            "z": images.plane[order].astype(np.int32),
            "channel_index": channel_index[order].astype(np.int32),
            "file": pc.take(pa.array(files, pa.string()), pa.array(order)),
            "page": np.zeros(n, np.int32),
            "size": pc.take(pa.array(sizes, pa.int64()), pa.array(order)),
            "z_um": pa.array(z_um, from_pandas=True),
            "acquired_at": pc.take(_times(index, warnings), pa.array(order)),
        },
        schema=PLANES_SCHEMA,
    )
    field = images.field[order]
    new = np.ones(n, bool)
    new[1:] = (np.diff(row) != 0) | (np.diff(column) != 0) | (np.diff(field) != 0)
    first = np.flatnonzero(new)
    fields = pa.table(
        {
            "acquisition_id": np.ones(len(first), np.int32),
            "well_id": [wells[i] for i in first],
            "field_id": field[first].astype(np.int32),
            "x_um": pa.array(length("PositionX")[first], from_pandas=True),
            # A stage's Y points away from the observer, an image's towards: 0 - y, so that 0 stays 0.
            "y_um": pa.array(0.0 - length("PositionY")[first], from_pandas=True),
            "z_um": pa.array(z_um[first], from_pandas=True),
        },
        schema=FIELDS_SCHEMA,
    )
    offset = _numbers(index, "MeasurementTimeOffset", pa.float64(), name, required=False)
    seconds = np.full(n, np.nan) if offset is None else offset[order]
    t, z, c = images.timepoint[order], images.plane[order], channel_index[order]
    same_field = ~new[1:]
    next_z = same_field & (np.diff(t) == 0) & (np.diff(c) == 0) & (np.diff(z) == 1)
    z_step = _typical(np.abs(np.diff(z_um)[next_z]), "planes are not evenly spaced: z steps", "µm", warnings)
    starts = np.flatnonzero(np.concatenate([[True], ~same_field | (np.diff(t) != 0)]))
    next_t = (np.diff(t[starts]) == 1) & ~new[starts][1:]
    interval = _typical(np.diff(seconds[starts])[next_t], None, "s", warnings)
    return planes, fields, z_step, interval


def _typical(steps: npt.NDArray[np.float64], uneven: str | None, unit: str, warnings: list[str]) -> float | None:
    """The median of the steps that are known and not 0; warns, if given words for it, when they differ by 5 %."""
    known = steps[np.isfinite(steps) & (steps > 0)]
    if not known.size:
        return None
    middle = float(np.median(known))
    if uneven and float(np.ptp(known)) > 0.05 * middle:
        warnings.append(f"{uneven} from {known.min():g} to {known.max():g} {unit}; {middle:g} {unit} is recorded")
    return round(middle, 6)


def _files(
    index: HarmonyIndex, images: _Images, layout: Layout, name: str, warnings: list[str]
) -> tuple[list[str], list[int | None]]:
    urls: list[str] = []
    for position, url in enumerate(index.images["URL"]):
        if not url:
            raise InvalidDataError(f"{name}: image {images.ids[position]} has no URL")
        check_url(url, name, images.ids[position])
        urls.append(url)
    bad = [i for i, state in enumerate(index.images["State"]) if state is not None and state.lower() != "ok"]
    if bad:
        shown = ", ".join(f"{images.ids[i]} ({index.images['State'][i]})" for i in bad[:_LIST_AT_MOST])
        warnings.append(f"the microscope marks {len(bad)} images as not Ok: {shown}")
    described = len(urls)
    if index.promised > described:
        warnings.append(f"the index lists {index.promised} images in its wells but describes {described}")
    files, sizes = layout.locate(urls)
    if len(set(files)) < len(files):
        seen: set[str] = set()
        twice = next(f for f in files if f in seen or seen.add(f))  # type: ignore[func-returns-value]
        raise InvalidDataError(f"{name}: {len(files) - len(set(files))} files are named by two planes, first {twice}")
    return files, sizes


def _moment(text: str | None) -> tuple[datetime | None, bool]:
    """The moment that a text says, in UTC, and whether it named its time zone."""
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment.astimezone(UTC), True) if moment.tzinfo else (moment.replace(tzinfo=UTC), False)
    except (ValueError, OverflowError):
        return None, True


def _times(index: HarmonyIndex, warnings: list[str]) -> pa.Array:
    moments = [_moment(text) for text in index.images["AbsTime"]]
    if not all(zoned for _, zoned in moments):
        warnings.append("times of acquisition name no time zone; they are taken as UTC")
    return pa.array([m for m, _ in moments], pa.timestamp("us", tz="UTC"))


def _latest(planes: pa.Table) -> datetime | None:
    latest: datetime | None = pc.max(planes["acquired_at"]).as_py()
    return latest


def _fact(facts: Mapping[str, str], tag: str, name: str, channel: str) -> float | None:
    """A channel's number; ``None`` where absent."""
    text = facts.get(tag)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidDataError(f"{name}: channel {channel} has {tag} {text!r}, which is no number") from error
    return value if np.isfinite(value) else None


def _channels(
    index: HarmonyIndex,
    channel_ids: npt.NDArray[np.int64],
    flatfields: Mapping[str, Mapping[str, Any]],
    name: str,
    warnings: list[str],
) -> tuple[ChannelInfo, ...]:
    """The acquired channels in the order of their ids."""
    acquired = {str(i) for i in channel_ids}
    for channel, tag, first, other, image in index.conflicts:
        if channel in acquired:
            warnings.append(f"channel {channel} has {tag} {first!r} in some images and {other!r} in {image}")
    found: list[ChannelInfo] = []
    exposure = _scale(index, "ExposureTime", _SECONDS_TO_MS, "s", name)
    for position, channel_id in enumerate(channel_ids):
        key = str(channel_id)
        facts = index.channels.get(key, {})

        def number(tag: str, *, facts: Mapping[str, str] = facts, key: str = key) -> float | None:
            return _fact(facts, tag, name, key)

        exposure_s = number("ExposureTime")
        binning, maximum = number("BinningX"), number("MaxIntensity")
        kind = facts.get("ChannelType", "")
        contrast = _CONTRAST.get(kind.replace(" ", "").lower())
        found.append(
            ChannelInfo(
                acquisition_id=1,
                channel_index=position,
                name=facts.get("ChannelName") or f"Channel {key}",
                vendor_id=key,
                # 0 nm is Harmony's way to say that transmitted light has no emission.
                excitation_nm=number("MainExcitationWavelength") or None,
                emission_nm=number("MainEmissionWavelength") or None,
                exposure_ms=None if exposure_s is None else round(exposure_s * exposure, 6),
                excitation_power=number("ExcitationPower"),
                contrast_method=contrast or ("other" if kind else None),
                acquisition_mode=facts.get("AcquisitionType"),
                binning=int(binning) if binning else None,
                max_intensity=int(maximum) if maximum else None,
                flatfield=flatfields.get(key),
            )
        )
    names = [c.name for c in found]
    for shared in dict.fromkeys(n for n in names if names.count(n) > 1):
        ids = ", ".join(c.vendor_id for c in found if c.name == shared)
        warnings.append(f"channels {ids} are all called {shared!r}; their ids tell them apart")
    return tuple(found)


def _acquisition(
    index: HarmonyIndex, plate: Mapping[str, str], channel_ids: npt.NDArray[np.int64], name: str, warnings: list[str]
) -> AcquisitionInfo:
    def agreed(tag: str) -> float:
        """A fact that every channel must share: planes of one field are one array."""
        values = {str(c): _fact(index.channels.get(str(c), {}), tag, name, str(c)) for c in channel_ids}
        values |= {
            f"{c} (image {image})": float(other) for c, t, _, other, image in index.conflicts if t == tag and c in values
        }
        distinct = {v for v in values.values() if v}
        if not distinct:
            raise InvalidDataError(f"{name} says no {tag} for any channel")
        if max(distinct) > min(distinct) * (1 + 1e-3):
            shown = ", ".join(f"channel {c}: {v:g}" for c, v in values.items() if v)
            raise InvalidDataError(
                f"{name}: channels differ in {tag} ({shown}); planes of one field must have one size",
                hint="export channels of different binning as measurements of their own",
            )
        return next(v for v in values.values() if v)

    def common(tag: str) -> str | None:
        values = {index.channels.get(str(c), {}).get(tag) for c in channel_ids} - {None}
        return values.pop() if len(values) == 1 else None

    def common_number(tag: str) -> float | None:
        text = common(tag)
        return None if text is None else _fact({tag: text}, tag, name, "*") or None

    modes = {
        "brightfield" if f.get("IlluminationType") == "Transmitted" else _MODALITY.get(f.get("AcquisitionType", "").lower())
        for f in (index.channels.get(str(c), {}) for c in channel_ids)
    }
    fluorescent = modes - {"brightfield"} or modes
    started, zoned = _moment(plate.get("MeasurementStartTime"))
    if not zoned:
        warnings.append("the start of the measurement names no time zone; it is taken as UTC")
    instrument = index.header.get("InstrumentType")
    return AcquisitionInfo(
        acquisition_id=1,
        height=int(agreed("ImageSizeY")),
        width=int(agreed("ImageSizeX")),
        pixel_size_x_um=agreed("ImageResolutionX") * _scale(index, "ImageResolutionX", _METRES_TO_UM, "m", name),
        pixel_size_y_um=agreed("ImageResolutionY") * _scale(index, "ImageResolutionY", _METRES_TO_UM, "m", name),
        measurement_id=plate.get("MeasurementID"),
        name=plate.get("Name"),
        started_at=started,
        operator=index.header.get("User"),
        instrument_manufacturer="PerkinElmer",
        instrument_model=_MODELS.get((instrument or "").lower(), instrument),
        software="Harmony",
        modality=fluorescent.pop() if len(fluorescent) == 1 else "mixed",
        camera=common("CameraType"),
        magnification=common_number("ObjectiveMagnification"),
        numerical_aperture=common_number("ObjectiveNA"),
    )


def _flatfields(
    index: HarmonyIndex, profiles: list[Path], layout: Layout, warnings: list[str]
) -> dict[str, dict[str, Any]]:
    """Channel -> parsed profile, from the index or, in older exports, from the file of the same measurement."""
    texts = dict(index.flatfields)
    number = _MEASUREMENT_NUMBER.search(layout.root.name)
    for path in profiles:
        of = _MEASUREMENT_NUMBER.search(path.stem)
        if number and of and of.group(1) != number.group(1):
            continue
        try:
            for channel, text in parse_flatfields(_read_bytes(path), path.name).items():
                texts.setdefault(channel, text)
        except (NotAnExportError, SourceFileError) as error:
            warnings.append(f"flat-field file not used: {error.message}")
    found: dict[str, dict[str, Any]] = {}
    for channel, text in texts.items():
        try:
            found[channel] = acapella_to_json(parse_acapella(text))
        except AcapellaError as error:
            warnings.append(f"the flat-field profile of channel {channel} is not kept: {error}")
    return found


def _annotation(paths: list[Path], layout: Layout, n_rows: int, n_columns: int, warnings: list[str]) -> pa.Table:
    """Values of the assay layouts; a layout that is broken or of another plate is left out with a warning."""
    values: dict[tuple[str, str], str] = {}
    for path in paths:
        where = layout.relative(path)
        try:
            found = parse_assay_layout(_read_bytes(path), where)
        except (NotAnExportError, SourceFileError) as error:
            warnings.append(f"assay layout not used: {error.message}")
            continue
        outside = [v for v in found.values if not (1 <= v[1] <= n_rows and 1 <= v[2] <= n_columns)]
        if outside:
            warnings.append(
                f"assay layout {where} not used: it names row {outside[0][1]}, column {outside[0][2]}, "
                f"outside the plate of {n_rows} × {n_columns} wells"
            )
            continue
        for layer, row, column, text in found.values:
            known = values.setdefault((format_well(row, column), layer), text)
            if known != text:
                warnings.append(
                    f"assay layout {where}: {layer} of {format_well(row, column)} is {text!r} here and {known!r} "
                    "in a layout before; the first is kept"
                )
    wells, layers = zip(*values, strict=True) if values else ((), ())
    return pa.table({"well_id": wells, "layer": layers, "value": list(values.values())}, schema=ANNOTATION_SCHEMA)
