"""Units of length and time as microscopes write them: ``µm`` in either Unicode, ``um``, ``microns``, ``sec``."""

from __future__ import annotations

import re

#: Lengths in µm.
_UM = {
    "km": 1e9, "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6,
    "å": 1e-4, "angstrom": 1e-4, "in": 25_400.0, "inch": 25_400.0, "thou": 25.4, "micron": 1.0,
    **{f"{prefix}met{end}": um for prefix, um in (
        ("", 1e6), ("centi", 1e4), ("milli", 1e3), ("micro", 1.0), ("nano", 1e-3),
    ) for end in ("er", "re")},
}  # fmt: skip
#: Times in ms.
_MS = {
    "d": 86.4e6, "h": 3.6e6, "min": 60e3, "s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6,
    "sec": 1e3, "msec": 1.0, "usec": 1e-3, "second": 1e3, "millisecond": 1.0, "microsecond": 1e-3, "minute": 60e3,
    "hour": 3.6e6, "day": 86.4e6,
}  # fmt: skip
#: Where capitals mean another prefix: mega and peta are no slips of milli and pico.
_OTHERS = {"Mm", "Pm", "Ms", "Ps"}
#: A micro sign that came through a wrong encoding is one all the same.
_MICRO = re.compile(r"(?:\\u00b5|[^A-Za-z0-9\s]{1,3})(?=(?:m|s|sec)\Z)")


def to_um(unit: str | None) -> float | None:
    """Return the factor from a unit of length to µm; None for no unit, and for what is none (``pixel``)."""
    return _factor(unit, _UM)


def to_ms(unit: str | None) -> float | None:
    """Return the factor from a unit of time to ms; None for no unit, and for what is none."""
    return _factor(unit, _MS)


def _factor(unit: str | None, known: dict[str, float]) -> float | None:
    text = _MICRO.sub("u", (unit or "").strip())
    if text in known or text in _OTHERS:
        return known.get(text)
    text = text.lower()
    return known.get(text, known.get(text.removesuffix("s")) if len(text) > 3 else None)
