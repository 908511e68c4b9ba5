"""What illumination correction does, as a picture: mean images before and after, the profile between. Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .picture import LONGEST_TITLE, caption_font, plain_text, ramp, to_png

if TYPE_CHECKING:
    from PIL import Image

_GROUND = (16, 18, 22)
_LIGHT = (240, 240, 240)
_FAINT = (150, 158, 170)
_MARGIN = 14
_SIDE = 150
_LINE = 17
#: Rows that are drawn; more would be a picture that nobody scrolls through.
MOST_ROWS = 24
#: Light from this to this is drawn from dark to bright, in every picture of a row alike, unless there is more.
_RANGE = (0.6, 1.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class LightRow:
    """One channel: its mean image (y, x), about 1; its profile, None where there is none; what to write below."""

    title: str
    mean: npt.NDArray[np.floating]
    profile: npt.NDArray[np.floating] | None
    before: str
    between: str
    after: str


def light_picture(rows: Sequence[LightRow], *, title: str) -> bytes:
    """Draw a row per channel: the mean image as it is, the profile, and the one divided by the other.

    All three of a row are drawn on the same ramp, and their mean is in its middle.

    Returns
    -------
    bytes
        A PNG.
    """
    from PIL import Image, ImageDraw

    font, small = caption_font(16), caption_font(12)
    shown = rows[:MOST_ROWS]
    step = _SIDE + 2 * _LINE + 28
    left_out = len(rows) - len(shown)
    width = 3 * _SIDE + 4 * _MARGIN
    picture = Image.new("RGB", (width, 66 + step * len(shown) + (_LINE if left_out else 0)), _GROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, 12), plain_text(title[:LONGEST_TITLE]), fill=_LIGHT, font=font)
    columns = [_MARGIN + i * (_SIDE + _MARGIN) for i in range(3)]
    for x, what in zip(columns, ("mean image", "profile", "mean image / profile"), strict=True):
        draw.text((x, 42), what, fill=_FAINT, font=small)
    for number, row in enumerate(shown):
        y = 64 + step * number
        draw.text((_MARGIN, y), plain_text(row.title[:LONGEST_TITLE]), fill=_LIGHT, font=small)
        even = row.mean if row.profile is None else row.mean / row.profile
        low = min(_RANGE[0], *(float(one.min()) for one in (row.mean, even)))
        high = max(_RANGE[1], *(float(one.max()) for one in (row.mean, even)))
        planes = (row.mean, row.profile, even)
        for x, plane, text in zip(columns, planes, (row.before, row.between, row.after), strict=True):
            if plane is None:
                draw.text((x + _SIDE / 2, y + _LINE + _SIDE / 2), "none", fill=_FAINT, font=small, anchor="mm")
            else:
                picture.paste(_painted(plane, low, high), (x, y + _LINE))
            draw.text((x, y + _LINE + _SIDE + 4), plain_text(text), fill=_FAINT, font=small)
    if left_out:
        draw.text((_MARGIN, 64 + step * len(shown)), f"and {left_out} more channels", fill=_FAINT, font=small)
    return to_png(picture)


def _painted(plane: npt.NDArray[np.floating], low: float, high: float) -> Image.Image:
    """Give a plane in colours, its longer side as long as the place for it."""
    from PIL import Image

    colours = np.array([ramp(i / 255) for i in range(256)], np.uint8)
    # The mean, 1, is in the middle: below it half the ramp, above it the other half.
    share = np.where(plane < 1, 0.5 * (plane - low) / (1 - low), 0.5 + 0.5 * (plane - 1) / (high - 1))
    image = Image.fromarray(colours[np.clip(np.rint(share * 255), 0, 255).astype(np.uint8)])
    longest = _SIDE / max(plane.shape)
    return image.resize((max(1, round(plane.shape[1] * longest)), max(1, round(plane.shape[0] * longest))))
