"""What a viewer shows at first: a colour for each channel, and the range of grey values.

Only a suggestion in the metadata; no pixel depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import ChannelSpec, Window

#: The colours in which Cell Painting figures usually show its stains.
_ROLE_COLORS = {
    "DNA": "0000FF",
    "ER": "00FF00",
    "RNA": "FFFF00",
    "AGP": "FF8000",
    "Mito": "FF0000",
    "Actin": "FF8000",
    "Tubulin": "00FF00",
}
_OTHER_COLORS = ("00FFFF", "FF00FF", "FFFF00", "FF0000", "00FF00", "0000FF")
_TRANSMITTED = frozenset({"Brightfield", "Phase", "DIC"})
_WHITE = "FFFFFF"


def channel_colors(channels: Sequence[ChannelSpec]) -> list[str]:
    """Choose a colour for each channel that has none: by role, else one that no other channel has.

    Transmitted light and a channel that is alone are white.
    """
    taken = {_own_color(channel) for channel in channels}
    free = [color for color in _OTHER_COLORS if color not in taken]
    colors = []
    for channel in channels:
        color = _own_color(channel)
        if color is None:
            color = free.pop(0) if free and len(channels) > 1 else _WHITE
        colors.append(color)
    return colors


def _own_color(channel: ChannelSpec) -> str | None:
    if channel.color or channel.role in _TRANSMITTED:
        return channel.color or _WHITE
    return _ROLE_COLORS.get(channel.role or "")


def shown_at_first(channels: Sequence[ChannelSpec]) -> list[bool]:
    """Say of each channel whether a viewer should begin with it: transmitted light would drown the stains."""
    stains = any(channel.role not in _TRANSMITTED for channel in channels)
    return [channel.role not in _TRANSMITTED or not stains for channel in channels]


def display_window(plane: NDArray[Any] | None, dtype: str) -> Window:
    """Choose the grey values a viewer should show of a channel.

    ``min..max`` is the range of ``dtype`` (0..1 for floats, or what ``plane`` has), ``start..end`` the 1st and 99.8th
    percentile of every fourth pixel of ``plane`` (y, x), a level of a pyramid; the whole range without a plane.
    """
    low, high = (0.0, 1.0) if np.dtype(dtype).kind == "f" else (0.0, float(np.iinfo(dtype).max))
    if plane is None:
        return Window(low, high, low, high)
    sample = plane[::4, ::4] if min(plane.shape) >= 64 else plane
    start, end = (float(v) for v in np.percentile(sample, (1, 99.8)))
    low, high = min(low, start), max(high, end)
    if end <= start:
        start, end = (start, start + 1) if start + 1 <= high else (start - 1, start)
    return Window(low, high, start, end)
