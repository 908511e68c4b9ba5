"""The channels of a Yokogawa measurement and their geometry: the vendor's words for optics in ours.

The ``.mrf`` knows each channel's pixels, camera and shading image, the ``.mes`` its light, filter and exposure. Both
list what was defined; only what was acquired is told. A channel's name is its fluorophore or its target, as the person
at the microscope wrote them, which is often no more than a laser line (``405``): source and filter stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ...errors import InvalidDataError, PixelSizeError
from ..export import AcquisitionInfo, ChannelInfo
from ..readers import ReaderOptions
from .cellvoyager_index import MeasurementDetail, MeasurementSetting
from .cellvoyager_series import PLANE, PROJECTION, Acquisition, Geometry, Series
from .cellvoyager_xml import DAMAGED, number, positive, whole
from .pixel_size import overruled

_BAND = re.compile(r"BP\s*(\d{3,4})\s*/\s*\d+", re.IGNORECASE)
_COLOR = re.compile(r"#?(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})")
_MODEL = re.compile(r"(?:CellVoyager\s*)?C[VQ]\d+K?", re.IGNORECASE)
#: Part of ``Kind`` (or ``Method``) -> contrast, first match counts.
_CONTRAST = (
    ("fluor", "fluorescence"),
    ("digitalphase", "digital_phase"),
    ("phase", "phase"),
    ("brightfield", "brightfield"),
    ("darkfield", "darkfield"),
    ("dic", "dic"),
)
_LARGEST_SIDE = 65_536
_LARGEST_PLANE = 2**28
_PIXEL_SIZES_UM = (1e-4, 1e4)
_LARGEST_BINNING = 1024
#: The first plane of a channel is at one height everywhere if it varies by no more than this, µm.
_SAME_HEIGHT_UM = 1e-3


def geometry_of(
    channel: int,
    detail: MeasurementDetail | None,
    options: ReaderOptions,
    image_size: Callable[[], tuple[int, int] | None],
    name: str,
    warnings: list[str],
) -> Geometry:
    """Return the geometry of one channel.

    Parameters
    ----------
    channel
        The vendor's number.
    detail
        The ``.mrf``, None without one.
    options
        The pixel size that the user names stands above the file's.
    image_size
        Looks up rows and columns in an image of the channel; asked only where the ``.mrf`` does not say.
    name
        What to call the measurement in messages.
    warnings
        Gets which half of a pixel's size is not said.

    Raises
    ------
    InvalidDataError
        Nothing says the size of a pixel or of an image, or it is none that can be.
    """
    told = detail.channels.get(channel) if detail else None
    size = (told.height, told.width) if told and told.height and told.width else image_size()
    if size is None:
        raise InvalidDataError(
            f"{name} does not say how many pixels an image of channel {channel} has, and none of its images is there",
            hint="Copy MeasurementDetail.mrf and the images beside MeasurementData.mlf.",
        )
    if max(size) > _LARGEST_SIDE or size[0] * size[1] > _LARGEST_PLANE:
        raise InvalidDataError(f"{name}: channel {channel} has {size[1]} × {size[0]} pixels, no camera's", hint=DAMAGED)
    x_um, y_um = (told.pixel_size_x_um, told.pixel_size_y_um) if told else (None, None)
    if options.pixel_size_um is not None:
        if doubt := overruled(options.pixel_size_um, (x_um, y_um), f"channel {channel} in the .mrf"):
            warnings.append(doubt)
        x_um = y_um = options.pixel_size_um
    if bool(x_um) != bool(y_um):
        side = x_um or y_um or 0.0
        warnings.append(
            f"channel {channel}: a pixel is {side:g} µm {'wide' if x_um else 'high'}, and nothing says how "
            f"{'high' if x_um else 'wide'}; the same is taken"
        )
        x_um = y_um = side
    if x_um is None or y_um is None:
        raise PixelSizeError(
            f"{name} does not say how large a pixel of channel {channel} is (MeasurementDetail.mrf says it)",
            hint="Name the side of a pixel at the sample: --pixel-size UM.",
        )
    for value in (x_um, y_um):
        if not _PIXEL_SIZES_UM[0] <= value <= _PIXEL_SIZES_UM[1]:
            raise InvalidDataError(
                f"{name}: channel {channel} has pixels of {value:g} µm, no microscope's", hint=DAMAGED
            )
    return Geometry(height=size[0], width=size[1], pixel_size_x_um=x_um, pixel_size_y_um=y_um)


def channel_infos(
    acquisition: Acquisition,
    acquisition_id: int,
    detail: MeasurementDetail | None,
    setting: MeasurementSetting | None,
    flatfields: Mapping[int, Mapping[str, Any]],
    name: str,
) -> tuple[ChannelInfo, ...]:
    """Return the channels of an acquisition in the order of their numbers, without roles.

    Raises
    ------
    InvalidDataError
        A fact that should be a number is none.
    """
    found = []
    for index, channel in enumerate(acquisition.channels):
        facts: Mapping[str, str] = setting.channels.get(channel, {}) if setting else {}
        where = f"{name}: channel {channel}"
        sources = setting.sources.get(channel, ()) if setting else ()
        lights = [setting.lights.get(source, {}) for source in sources] if setting else []
        series = [s for s in acquisition.series if s.channel == channel]
        contrast = _contrast(facts, series)
        told = detail.channels.get(channel) if detail else None
        band = _BAND.search(facts.get("Acquisition", ""))
        color = _COLOR.fullmatch(facts.get("Color", ""))
        # A channel that several sources light has no one wavelength, nor has a lamp (0 nm).
        only = lights[0] if len(lights) == 1 else {}
        found.append(
            ChannelInfo(
                acquisition_id=acquisition_id,
                channel_index=index,
                name=_name(channel, facts, sources),
                vendor_id=str(channel),
                dye=facts.get("Fluorophore"),
                excitation_nm=positive(only, "WaveLength", where),
                excitation_source=", ".join(sources) or None,
                excitation_power=number(only, "Power", where),
                emission_nm=float(band.group(1)) if band and contrast in (None, "fluorescence") else None,
                emission_filter=facts.get("Acquisition"),
                exposure_ms=positive(facts, "ExposureTime", where),
                contrast_method=contrast,
                acquisition_mode=facts.get("Kind") or facts.get("Method"),
                binning=_binning(facts, where),
                color=color.group(1).upper() if color else None,
                max_intensity=2**told.bit_depth - 1 if told and 0 < told.bit_depth <= 32 else None,
                z_offset_um=_z_offset_um(series),
                flatfield=flatfields.get(channel),
            )
        )
    return tuple(found)


def _name(channel: int, facts: Mapping[str, str], sources: Sequence[str]) -> str:
    told = facts.get("Fluorophore") or facts.get("Target")
    return told or " ".join([*sources, *filter(None, [facts.get("Acquisition")])]) or f"Channel {channel}"


def _contrast(facts: Mapping[str, str], series: Sequence[Series]) -> str | None:
    for tag in ("Kind", "Method"):
        words = re.sub(r"[\s_-]", "", facts.get(tag, "")).lower()
        found = next((contrast for part, contrast in _CONTRAST if part in words), None)
        if found:
            return found
    if facts.get("Kind"):
        return "other"
    # Actions of transmitted light are called BF and BF3D in the records themselves.
    return "brightfield" if all(r.kind.upper().startswith("BF") for s in series for r in s.records) else None


def _binning(facts: Mapping[str, str], where: str) -> int | None:
    binning = whole({"Binning": facts.get("Binning", "0").lower().partition("x")[0].strip()}, "Binning", where)
    return binning if 1 <= binning <= _LARGEST_BINNING else None


def _z_offset_um(series: Sequence[Series]) -> float | None:
    """Return the height of a channel's first plane where it is the same in all fields."""
    first = min(z for s in series for z in s.z)
    heights = [r.z_um for s in series for r, z in zip(s.records, s.z, strict=True) if z == first]
    known = [h for h in heights if h is not None]
    if len(known) < len(heights) or max(known) - min(known) > _SAME_HEIGHT_UM:
        return None
    return known[0]


def acquisition_info(
    acquisition: Acquisition,
    acquisition_id: int,
    channels: Sequence[ChannelInfo],
    detail: MeasurementDetail | None,
    setting: MeasurementSetting | None,
    label: str | None,
    *,
    started_at: datetime | None,
    ended_at: datetime | None,
    z_step_um: float | None,
    time_interval_s: float | None,
) -> AcquisitionInfo:
    """Return one acquisition of a measurement; ``label`` tells it from the others, None where it is the only one."""
    facts: Mapping[str, str] = detail.facts if detail else {}
    numbers = acquisition.channels

    def common(tag: str) -> str | None:
        values = {setting.channels.get(n, {}).get(tag) for n in numbers} if setting else set()
        return values.pop() if len(values) == 1 else None

    title, began = facts.get("Title"), facts.get("BeginTime")
    magnification = common("Magnification")
    model = _MODEL.match(facts.get("TargetSystem", ""))
    return AcquisitionInfo(
        acquisition_id=acquisition_id,
        height=acquisition.grid.geometry.height,
        width=acquisition.grid.geometry.width,
        pixel_size_x_um=acquisition.grid.geometry.pixel_size_x_um,
        pixel_size_y_um=acquisition.grid.geometry.pixel_size_y_um,
        z_step_um=z_step_um,
        z_mode=acquisition.grid.z_mode,
        measurement_id=", ".join(filter(None, (began, label))) if began else None,
        name=", ".join(filter(None, (title, label))) or None,
        started_at=started_at,
        ended_at=ended_at,
        time_interval_s=time_interval_s,
        operator=facts.get("OperatorName"),
        instrument_manufacturer="Yokogawa",
        instrument_model=model.group().upper() if model else None,
        software=facts.get("ReleaseNumber"),
        modality=_modality(channels),
        camera=common("CameraType"),
        magnification=positive({"Magnification": magnification or "0"}, "Magnification", "the .mes"),
    )


def label_of(acquisition: Acquisition, others: Sequence[Acquisition]) -> str | None:
    """Return words that tell an acquisition from the others of its measurement, None where it is alone."""
    if len(others) == 1:
        return None
    grid = acquisition.grid
    if grid.z_mode == PROJECTION:
        words = f"{grid.processing} projection"
    elif grid.z_mode == PLANE:
        words = "single planes"
    else:
        words = f"stack of {grid.depth}"
    kinds = [(a.grid.z_mode, a.grid.processing, a.grid.depth) for a in others]
    if kinds.count((grid.z_mode, grid.processing, grid.depth)) > 1:
        first = acquisition.series[0]
        words += f" of time line {first.timeline}, action {first.action}"
    return words


def _modality(channels: Sequence[ChannelInfo]) -> str | None:
    """Return how the fluorescence was imaged; ``brightfield`` when there is nothing else, ``mixed`` for several."""
    found = set()
    for channel in channels:
        mode = (channel.acquisition_mode or "").lower()
        if channel.contrast_method == "fluorescence":
            found.add("spinning_disk_confocal" if "confocal" in mode else "widefield")
        elif channel.contrast_method is not None:
            found.add("brightfield" if channel.contrast_method == "brightfield" else "other")
    found = found - {"brightfield"} or found
    return None if not found else found.pop() if len(found) == 1 else "mixed"
