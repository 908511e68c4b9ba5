"""Fields where the stage took them: one well as a mosaic, and the light of its channels. PNG bytes, Pillow only.

Nothing is moved together: fields that overlap are drawn overlapping, as they were acquired, and the overlap is
tinted. What is missing is crossed out, and fields that nobody knows the place of are named below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ...wording import listed
from .picture import LONGEST_TITLE, caption_font, plain_text, ramp, scale_bar, to_png

_GROUND = (16, 18, 22)
_FIELD = np.array((58, 74, 98), np.float32)
_OVERLAP = np.array((230, 159, 0), np.float32)
_EDGE = (150, 170, 200)
_ALARM = (235, 80, 80)
_LIGHT = (240, 240, 240)
_MARGIN = 12
_LONGEST = 640
#: Sides of a drawn field in pixels: below the first it would not be seen, below the second a number does not fit.
_LEAST, _NUMBERED = 3, 20
_PERCENTILES = (0.5, 99.8)
_LISTED = 12
#: So many fields are asked, two by two, whether they overlap: enough to explain the tint.
_COMPARED = 200
_PROFILE_SIDE = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One field of a well.

    ``x_um`` and ``y_um`` are its middle, x to the right and y down; None where the stage position is not known.
    ``missing`` of its ``planes`` are not there. ``pixels`` (y, x) is what to draw in it, of any size.
    """

    field_id: int
    x_um: float | None
    y_um: float | None
    planes: int = 1
    missing: int = 0
    pixels: npt.NDArray[Any] | None = None

    @property
    def is_placed(self) -> bool:
        """Whether the stage position is known."""
        return self.x_um is not None and self.y_um is not None


def well_picture(tiles: Sequence[Tile], *, field_um: tuple[float, float], title: str = "") -> bytes:
    """Draw the fields of one well at their stage positions.

    Parameters
    ----------
    tiles
        The fields.
    field_um
        Width and height of a field.

    Returns
    -------
    bytes
        A PNG, the longer side of the mosaic 640 pixels.
    """
    from PIL import Image, ImageDraw

    font, small = caption_font(16), caption_font(13)
    placed = [tile for tile in tiles if tile.is_placed]
    boxes, (height, width), um_per_pixel, middle = _lay_out(placed, field_um)
    is_middle_shown = 0 <= middle[0] < width and 0 <= middle[1] < height
    title = title[:LONGEST_TITLE]
    notes = _notes(tiles, boxes, is_middle_shown=is_middle_shown)
    top = _MARGIN + (26 if title else 0)
    bar = 34 if placed else 0
    wide = max(
        width + 2 * _MARGIN,
        *(round(small.getlength(plain_text(n))) + 2 * _MARGIN for n in notes),
        round(font.getlength(plain_text(title))) + 2 * _MARGIN,
        360,
    )
    image = Image.new("RGB", (wide, top + height + bar + 18 * len(notes) + _MARGIN), _GROUND)
    draw = ImageDraw.Draw(image)
    if title:
        draw.text((_MARGIN, _MARGIN), plain_text(title), fill=_LIGHT, font=font)
    if placed:
        image.paste(Image.fromarray(_painted(placed, boxes, (height, width))), (_MARGIN, top))
        for tile, (x0, y0, x1, y1) in zip(placed, boxes, strict=True):
            corners = (_MARGIN + x0, top + y0, _MARGIN + x1 - 1, top + y1 - 1)
            _frame(draw, tile, corners, small)
        x, y = _MARGIN + middle[0], top + middle[1]
        if is_middle_shown:
            draw.line((x - 7, y, x + 7, y), fill=_LIGHT)
            draw.line((x, y - 7, x, y + 7), fill=_LIGHT)
        scale_bar(draw, _MARGIN + max(width, 200), top + height + bar - 2, um_per_pixel, small)
    for i, note in enumerate(notes):
        draw.text((_MARGIN, top + height + bar + 4 + 18 * i), plain_text(note), fill=_LIGHT, font=small)
    return to_png(image)


_Box = tuple[int, int, int, int]


def _lay_out(
    placed: Sequence[Tile], field_um: tuple[float, float]
) -> tuple[list[_Box], tuple[int, int], float, tuple[int, int]]:
    """Return each field's box (left, top, right, bottom), the size of all, µm a pixel, and the middle of the well."""
    if not placed:
        return [], (0, 0), 1.0, (-1, -1)
    xy = np.array([(tile.x_um, tile.y_um) for tile in placed], np.float64)
    half = np.array(field_um) / 2
    low, high = (xy - half).min(0), (xy + half).max(0)
    um_per_pixel = float((high - low).max()) / _LONGEST
    first = np.rint((xy - half - low) / um_per_pixel).astype(int)
    last = np.maximum(np.rint((xy + half - low) / um_per_pixel).astype(int), first + _LEAST)
    boxes = [(int(x0), int(y0), int(x1), int(y1)) for (x0, y0), (x1, y1) in zip(first, last, strict=True)]
    width, height = (int(side) for side in last.max(0))
    middle = np.round(-low / um_per_pixel)
    # A well whose middle is far outside needs no exact place for it.
    x, y = (int(np.clip(v, -1, 2 * _LONGEST)) for v in middle)
    return boxes, (height, width), um_per_pixel, (x, y)


def _painted(placed: Sequence[Tile], boxes: Sequence[_Box], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Paint the fields: their pixels in one common stretch, averaged and tinted where they overlap."""
    light = np.zeros((*shape, 3), np.float32)
    cover = np.zeros(shape, np.int32)
    low, high = _limits([tile.pixels for tile in placed if tile.pixels is not None])
    for tile, (x0, y0, x1, y1) in zip(placed, boxes, strict=True):
        cover[y0:y1, x0:x1] += 1
        if tile.pixels is None:
            light[y0:y1, x0:x1] += _FIELD if tile.missing < tile.planes else _FIELD / 3
        else:
            small = shrink(tile.pixels, (y1 - y0, x1 - x0))
            grey = 255 * np.clip((small - low) / (high - low), 0, 1)
            light[y0:y1, x0:x1] += grey[..., np.newaxis]
    light /= np.maximum(cover, 1)[..., np.newaxis]
    twice = cover > 1
    light[twice] = 0.72 * light[twice] + 0.28 * _OVERLAP
    light[cover == 0] = _GROUND
    return light.astype(np.uint8)


def _limits(images: Sequence[npt.NDArray[Any]]) -> tuple[float, float]:
    if not images:
        return 0.0, 1.0
    sample = np.concatenate(
        [image[:: max(1, len(image) // 64), :: max(1, image.shape[1] // 64)].ravel() for image in images]
    )
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    return low, high if high > low else low + 1


def shrink(image: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Give an image in another, mostly smaller size: means of blocks, then the nearest."""
    step_y, step_x = (max(1, image.shape[i] // shape[i]) for i in (0, 1))
    rows, columns = image.shape[0] // step_y, image.shape[1] // step_x
    blocks = image[: rows * step_y, : columns * step_x].reshape(rows, step_y, columns, step_x)
    means = blocks.mean((1, 3), dtype=np.float32)
    y, x = (np.arange(shape[i]) * means.shape[i] // shape[i] for i in (0, 1))
    return np.asarray(means[np.ix_(y, x)], np.float32)


def _frame(draw: Any, tile: Tile, corners: tuple[int, int, int, int], font: Any) -> None:
    x0, y0, x1, y1 = corners
    colour = _ALARM if tile.missing else _EDGE
    draw.rectangle(corners, outline=colour, width=2 if tile.missing else 1)
    if tile.missing:
        draw.line((x0, y1, x1, y0), fill=_ALARM, width=2)
        if tile.missing >= tile.planes:
            draw.line((x0, y0, x1, y1), fill=_ALARM, width=2)
    if min(x1 - x0, y1 - y0) >= _NUMBERED:
        text = str(tile.field_id)
        draw.text((x0 + 5, y0 + 3), text, fill=_LIGHT, font=font, stroke_width=2, stroke_fill=(0, 0, 0))


def _notes(tiles: Sequence[Tile], boxes: Sequence[_Box], *, is_middle_shown: bool) -> list[str]:
    notes = []
    if boxes:
        signs = ["number: field"]
        if is_middle_shown:
            signs.append("small cross: middle of the well")
        if any(_touch(a, b) for i, a in enumerate(boxes[:_COMPARED]) for b in boxes[i + 1 : _COMPARED]):
            signs.append("orange: fields overlap")
        notes.append(" · ".join(signs))
    else:
        notes.append("the export says no stage position of these fields")
    for what, some in (
        ("struck out twice, no plane is there", [t for t in tiles if 0 < t.planes <= t.missing]),
        ("struck out once, some planes are missing", [t for t in tiles if 0 < t.missing < t.planes]),
        ("without a stage position", [t for t in tiles if not t.is_placed]),
    ):
        if some:
            notes.append(f"{what}: field {listed([t.field_id for t in some], _LISTED)}")
    return notes


def _touch(a: _Box, b: _Box) -> bool:
    """Whether two boxes share more than the line that rounding makes neighbours share."""
    return min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1


def profiles_picture(profiles: Mapping[str, npt.NDArray[Any]], *, title: str, notes: Sequence[str] = ()) -> bytes:
    """Draw the first twelve profiles of illumination side by side, dark to bright, with their least and greatest light.

    Parameters
    ----------
    profiles
        Name of a channel and its profile (y, x), about 1 on average.
    notes
        What else there is to say, line by line below.

    Returns
    -------
    bytes
        A PNG.
    """
    from PIL import Image, ImageDraw

    font, small = caption_font(16), caption_font(12)
    ramped = np.array([ramp(i / 255) for i in range(256)], np.uint8)
    step = _PROFILE_SIDE + 44
    shown_profiles = dict(islice(profiles.items(), _LISTED))
    bottom = _PROFILE_SIDE + 78 if profiles else 40
    wide = max(step * len(shown_profiles), *(round(small.getlength(plain_text(note))) for note in notes), 336)
    image = Image.new("RGB", (2 * _MARGIN + wide, bottom + 16 * len(notes)), _GROUND)
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN), plain_text(title), fill=_LIGHT, font=font)
    for i, (name, profile) in enumerate(shown_profiles.items()):
        low, high = float(profile.min()), float(profile.max())
        height, width = profile.shape
        longest = _PROFILE_SIDE / max(height, width)
        shape = (max(1, round(height * longest)), max(1, round(width * longest)))
        shown = (shrink(profile, shape) - low) / (high - low) if high > low else np.full(shape, 0.5, np.float32)
        x = _MARGIN + step * i
        image.paste(Image.fromarray(ramped[np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8)]), (x, 40))
        text = plain_text(name[:LONGEST_TITLE])
        while small.getlength(text) > step - 6:
            text = text[:-2] + "."
        draw.text((x, 44 + shape[0]), text, fill=_LIGHT, font=small)
        draw.text((x, 58 + shape[0]), f"{low:.2f} to {high:.2f}", fill=_LIGHT, font=small)
    for i, note in enumerate(notes):
        draw.text((_MARGIN, bottom - 4 + 16 * i), plain_text(note), fill=_LIGHT, font=small)
    return to_png(image)
