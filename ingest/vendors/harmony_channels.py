"""The channels and the acquisition of a Harmony index: the vendor's words for optics in ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ...errors import InvalidDataError, PixelSizeError
from ..export import AcquisitionInfo, ChannelInfo
from ..moments import moment
from ..units import to_ms, to_um
from .harmony_index import COLUMBUS, HarmonyIndex, harmony_version
from .harmony_planes import DAMAGED, LARGEST, scale
from .pixel_size import overruled

_MODELS = {"phenix": "Opera Phenix", "sonata": "Operetta CLS", "operetta": "Operetta"}
_CONTRAST = {"fluorescence": "fluorescence", "brightfield": "brightfield", "digitalphasecontrast": "digital_phase"}
_MODALITY = {"nonconfocal": "widefield", "nipkowconfocal": "spinning_disk_confocal", "confocal": "confocal"}
#: Beyond these an index is damaged: pixels binned into one, counts of a camera, pixels along a side and in a plane.
_LARGEST_BINNING = 1024
_LARGEST_INTENSITY = 2**31 - 1
_LARGEST_SIDE = 65_536
_LARGEST_PLANE = 2**28
_PIXEL_SIZES_UM = (1e-4, 1e4)
#: Sizes and resolutions of one plate may differ by this much: rounding, not optics.
_SAME = 1e-3


def number(facts: Mapping[str, str], tag: str, where: str, *, most: float = LARGEST) -> float | None:
    """Return a fact as a number; ``None`` where it is absent or not finite.

    Raises
    ------
    InvalidDataError
        It is no number, or one beyond ``most``.
    """
    text = facts.get(tag)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidDataError(f"{where}: {tag} is {text!r}, no number") from error
    if not math.isfinite(value):
        return None
    if abs(value) > most:
        raise InvalidDataError(f"{where}: {tag} is {text}, beyond the {most:g} that is plausible", hint=DAMAGED)
    return value


def channel_infos(
    index: HarmonyIndex,
    channel_ids: Sequence[str],
    flatfields: Mapping[str, Mapping[str, Any]],
    z_offsets_um: Mapping[int, float],
    name: str,
    warnings: list[str],
) -> tuple[ChannelInfo, ...]:
    """Return the acquired channels of acquisition 1, in the order of their ids, without roles.

    Raises
    ------
    InvalidDataError
        A fact that should be a number is none, or none that can be.
    """
    ms = scale(index, "ExposureTime", to_ms, "s", name)
    excitation, emission = (
        scale(index, tag, to_um, "nm", name) * 1e3 for tag in ("MainExcitationWavelength", "MainEmissionWavelength")
    )
    found = []
    for position, channel_id in enumerate(channel_ids):
        facts = index.channels.get(channel_id, {})
        where = f"{name}: channel {channel_id}"
        exposure = number(facts, "ExposureTime", where)
        binning = number(facts, "BinningX", where, most=_LARGEST_BINNING)
        maximum = number(facts, "MaxIntensity", where, most=_LARGEST_INTENSITY)
        kind = facts.get("ChannelType")
        found.append(
            ChannelInfo(
                acquisition_id=1,
                channel_index=position,
                name=facts.get("ChannelName") or f"Channel {channel_id}",
                vendor_id=channel_id,
                # 0 nm is Harmony's way to say that transmitted light has no emission.
                excitation_nm=(number(facts, "MainExcitationWavelength", where) or 0) * excitation or None,
                emission_nm=(number(facts, "MainEmissionWavelength", where) or 0) * emission or None,
                exposure_ms=None if exposure is None else round(exposure * ms, 6),
                excitation_power=number(facts, "ExcitationPower", where),
                contrast_method=_CONTRAST.get(kind.replace(" ", "").lower(), "other") if kind else None,
                acquisition_mode=facts.get("AcquisitionType"),
                binning=int(binning) if binning and binning >= 1 else None,
                color=_color(facts.get("ChannelColor")),
                max_intensity=int(maximum) if maximum and maximum >= 1 else None,
                flatfield=flatfields.get(channel_id),
                z_offset_um=z_offsets_um.get(position),
            )
        )
    for (channel, tag), conflict in index.conflicts.items():
        if channel in channel_ids:
            warnings.append(
                f"channel {channel} has {tag} {conflict.first!r} in {conflict.first_in}, {conflict.other!r} in "
                f"{conflict.other_in}; the first is recorded"
            )
    names = [c.name for c in found]
    for shared in dict.fromkeys(n for n in names if names.count(n) > 1):
        ids = ", ".join(c.vendor_id for c in found if c.name == shared)
        warnings.append(f"channels {ids} are all called {shared!r}; their ids tell them apart")
    return tuple(found)


def _color(text: str | None) -> str | None:
    """Return ``RRGGBB`` of the one number that Columbus makes of alpha, red, green and blue."""
    value = int(text) if text is not None and text.isdecimal() and len(text) <= 10 else None
    return f"{value & 0xFFFFFF:06X}" if value is not None and value < 1 << 32 else None


def acquisition_info(
    index: HarmonyIndex,
    plate: Mapping[str, str],
    channel_ids: Sequence[str],
    name: str,
    warnings: list[str],
    *,
    ended_at: datetime | None,
    z_step_um: float | None,
    time_interval_s: float | None,
    pixel_size_um: float | None,
) -> AcquisitionInfo:
    """Return the measurement, as acquisition 1; ``pixel_size_um`` of the user stands above the index's.

    Raises
    ------
    InvalidDataError
        Channels differ in the size of their images or pixels: planes of one field are one array.
    """
    facts = {c: index.channels.get(c, {}) for c in channel_ids}

    def common(tag: str) -> str | None:
        values = {f[tag] for f in facts.values() if tag in f}
        return values.pop() if len(values) == 1 else None

    def common_number(tag: str) -> float | None:
        text = common(tag)
        return number({tag: text}, tag, name) or None if text else None

    height, width = (int(_agreed(index, facts, tag, name, most=_LARGEST_SIDE)) for tag in ("ImageSizeY", "ImageSizeX"))
    if height * width > _LARGEST_PLANE:
        raise InvalidDataError(f"{name}: ImageSizeX × ImageSizeY is {width} × {height}, no camera's", hint=DAMAGED)
    pixel = _pixel_sizes(index, facts, name, pixel_size_um, warnings)
    started_at, zoned = moment(plate.get("MeasurementStartTime"))
    if not zoned:
        warnings.append("the start of the measurement names no time zone; it is taken as UTC")
    instrument = index.header.get("InstrumentType")
    is_columbus = harmony_version(index.root) == COLUMBUS
    return AcquisitionInfo(
        acquisition_id=1,
        height=height,
        width=width,
        pixel_size_x_um=pixel[0],
        pixel_size_y_um=pixel[1],
        z_step_um=z_step_um,
        measurement_id=plate.get("MeasurementID"),
        name=plate.get("Name"),
        started_at=started_at,
        ended_at=ended_at,
        time_interval_s=time_interval_s,
        operator=index.header.get("User"),
        # Columbus took in images of other makers too.
        instrument_manufacturer=None if is_columbus else "PerkinElmer",
        instrument_model=_MODELS.get((instrument or "").lower(), instrument),
        software=COLUMBUS if is_columbus else "Harmony",
        modality=_modality(facts),
        camera=common("CameraType"),
        magnification=common_number("ObjectiveMagnification"),
        numerical_aperture=common_number("ObjectiveNA"),
    )


def _agreed(
    index: HarmonyIndex,
    facts: Mapping[str, Mapping[str, str]],
    tag: str,
    name: str,
    *,
    most: float = LARGEST,
    hint: str | None = None,
) -> float:
    """Return a positive number that every channel and image must share."""
    values = {f"channel {c}": number(f, tag, f"{name}: channel {c}", most=most) for c, f in facts.items()}
    for (channel, of), conflict in index.conflicts.items():
        if of == tag and channel in facts:
            where = f"{conflict.other_in} of channel {channel}"
            values[where] = number({tag: conflict.other}, tag, f"{name}: {where}", most=most)
    known = {where: value for where, value in values.items() if value is not None}
    if not known or min(known.values()) <= 0:
        raise InvalidDataError(f"{name} says no {tag} above 0 for its channels", hint=hint)
    if max(known.values()) > min(known.values()) * (1 + _SAME):
        shown = ", ".join(f"{where} {value:g}" for where, value in known.items())
        raise InvalidDataError(
            f"{name}: {tag} differs ({shown}); the planes of a field must be of one size",
            hint="Export channels of different binning as measurements of their own.",
        )
    return next(iter(known.values()))


def _pixel_sizes(
    index: HarmonyIndex,
    facts: Mapping[str, Mapping[str, str]],
    name: str,
    given: float | None,
    warnings: list[str],
) -> tuple[float, float]:
    try:
        told = tuple(_pixel_size(index, facts, f"ImageResolution{axis}", name) for axis in "XY")
    except InvalidDataError as error:
        if given is None:
            raise PixelSizeError(error.message, hint=error.hint) from error
        return given, given
    if given is None:
        return told[0], told[1]
    if doubt := overruled(given, (told[0], told[1]), "the index"):
        warnings.append(doubt)
    return given, given


def _pixel_size(index: HarmonyIndex, facts: Mapping[str, Mapping[str, str]], tag: str, name: str) -> float:
    size = _agreed(index, facts, tag, name, hint="Give the side of a pixel in µm: --pixel-size UM.")
    size *= scale(index, tag, to_um, "m", name)
    least, most = _PIXEL_SIZES_UM
    if not least <= size <= most:
        raise InvalidDataError(f"{name}: {tag} is {size:g} µm a pixel, no microscope's", hint=DAMAGED)
    return size


def _modality(facts: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return how the fluorescence was imaged; ``brightfield`` when there is nothing else, ``mixed`` for several."""
    found = {
        "brightfield"
        if f.get("IlluminationType") == "Transmitted"
        else _MODALITY.get(f.get("AcquisitionType", "").lower(), "other")
        for f in facts.values()
        if "AcquisitionType" in f or "IlluminationType" in f
    }
    found = found - {"brightfield"} or found
    return None if not found else found.pop() if len(found) == 1 else "mixed"
