"""What an IN Cell index says of channels, times and places, in the words and units of a plate."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from ..export import ChannelInfo
from .incell_index import Wavelength, XdceImage, XdceIndex, number

#: Words of a filter that say how contrast was made; the emission filter of transmitted light says nothing.
_CONTRAST = (
    (re.compile(r"\bDIC\b", re.IGNORECASE), "dic"),
    (re.compile(r"phase", re.IGNORECASE), "phase"),
    (re.compile(r"bright ?field|\bTL\b|transmitted", re.IGNORECASE), "brightfield"),
)
#: A clock outside of these years was not set.
_YEARS = (1990, 2100)
_ZONE = re.compile(r"([+-]?)(\d{1,2}):?(\d{2})?\Z")


class Positions:
    """Where the middle of a field lies in its well, in image direction."""

    def __init__(self, index: XdceIndex, name: str, warnings: list[str]) -> None:
        self._offsets = index.offsets_um
        self._centre, self._spacing = self._plate(index, name)
        placed = [p for p in (self._on_plate(i) for i in index.images) if p is not None]
        far = [p for p in placed if abs(p[0]) > self._spacing[0] or abs(p[1]) > self._spacing[1]]
        if far:
            warnings.append("positions on the plate do not lie in their wells; they are left out")
            self._centre = None

    def of(self, image: XdceImage) -> tuple[float | None, float | None]:
        """Return x (right) and y (down), µm."""
        up = image.offset_um or self._offsets.get(image.field_index)
        if up is not None:
            return up[0], -up[1]
        return self._on_plate(image) or (None, None)

    def _plate(self, index: XdceIndex, name: str) -> tuple[tuple[float, float] | None, tuple[float, float]]:
        sides = ("horizontal", "vertical")
        at = [number(index.fact("Plate/TopLeftWellCenterOffset", s), f"{name}: TopLeftWellCenterOffset") for s in sides]
        step = [number(index.fact("Plate/WellSpacing", s), f"{name}: WellSpacing") for s in sides]
        if at[0] is None or at[1] is None or not step[0] or not step[1]:
            return None, (0.0, 0.0)
        units = {index.fact(f"Plate/{tag}", "unit") or "mm" for tag in ("TopLeftWellCenterOffset", "WellSpacing")}
        if units != {"mm"}:
            return None, (0.0, 0.0)
        return (at[0] * 1e3, at[1] * 1e3), (step[0] * 1e3, step[1] * 1e3)

    def _on_plate(self, image: XdceImage) -> tuple[float, float] | None:
        if image.plate_um is None or self._centre is None:
            return None
        x, y = image.plate_um
        return (
            x - self._centre[0] - (image.column - 1) * self._spacing[0],
            y - self._centre[1] - (image.row - 1) * self._spacing[1],
        )


_Group = tuple[int, int, int, int, int]


def grouped(index: XdceIndex) -> dict[_Group, list[XdceImage]]:
    """Return (row, column, field, time, wave) -> its planes, from the lowest."""
    found: dict[_Group, list[XdceImage]] = defaultdict(list)
    for image in index.images:
        found[image.row, image.column, image.field_index, image.time_index, image.wave_index].append(image)
    for planes in found.values():
        planes.sort(key=lambda image: image.z_index)
    return found


def wave_name(index: XdceIndex, wave: int) -> str:
    """Return a channel's name as the file names have it: excitation and emission filter, or one where they agree."""
    known = _wavelength(index, wave)
    filters = dict.fromkeys(name for name in (known.excitation, known.emission) if name) if known else {}
    return " - ".join(filters) or f"Wave {wave}"


def _wavelength(index: XdceIndex, wave: int) -> Wavelength | None:
    described = [w for w in index.wavelengths if w.index == wave]
    return min(described, key=lambda w: w.fused, default=None)


def channels(index: XdceIndex, acquisition_id: int, waves: Sequence[int]) -> list[ChannelInfo]:
    """Return the channels of an acquisition, without roles, in the order of its waves."""
    exposures: dict[int, float] = {}
    for image in index.images:
        if image.exposure_ms is not None:
            exposures.setdefault(image.wave_index, image.exposure_ms)
    binning = re.match(r"\s*([1-9][0-9]?)\b", index.fact("Camera/Binning", "value") or "")
    found = []
    for position, wave in enumerate(waves):
        known = _wavelength(index, wave)
        light = (known.excitation if known else None) or ""
        contrast = next((method for pattern, method in _CONTRAST if pattern.search(light.replace("_", " "))), None)
        found.append(
            ChannelInfo(
                acquisition_id=acquisition_id,
                channel_index=position,
                name=wave_name(index, wave),
                vendor_id=str(wave),
                excitation_nm=known.excitation_nm if known else None,
                excitation_source=known.excitation if known else None,
                emission_nm=known.emission_nm if known else None,
                emission_filter=known.emission if known else None,
                exposure_ms=exposures.get(wave, known.exposure_ms if known else None),
                contrast_method=contrast or ("fluorescence" if known and known.emission_nm else None),
                binning=int(binning.group(1)) if binning else None,
            )
        )
    return found


def creation(index: XdceIndex) -> tuple[datetime | None, bool]:
    """Return when the measurement began, None where that is no moment (a day without a time), and whether in a zone."""
    date, time = index.fact("Creation", "date"), index.fact("Creation", "time")
    if date is None or time is None:
        return None, True
    try:
        began = datetime.fromisoformat(f"{date}T{time}")
    except ValueError:
        return None, True
    if not _YEARS[0] <= began.year < _YEARS[1]:
        return None, True
    if began.tzinfo is not None:
        return began.astimezone(UTC), True
    zone = _ZONE.match((index.fact("Creation", "timezoneoffset") or "").strip())
    if zone is None:
        return began.replace(tzinfo=UTC), False
    sign, hours, minutes = zone.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if offset > timedelta(hours=14):
        return began.replace(tzinfo=UTC), False
    return began.replace(tzinfo=timezone(-offset if sign == "-" else offset)).astimezone(UTC), True


def moment(image: XdceImage, starts: datetime | None) -> datetime | None:
    """Return when an image was taken, None where the index does not say."""
    try:
        if image.timestamp_s is not None:
            taken = datetime.fromtimestamp(image.timestamp_s, UTC)
        elif image.time_ms is not None and starts is not None:
            taken = starts + timedelta(milliseconds=image.time_ms)
        else:
            return None
    except (OverflowError, ValueError, OSError):
        return None
    return taken if _YEARS[0] <= taken.year < _YEARS[1] else None
