"""Pictures for people: a plate at a glance, a field with the outlines of its objects. Pillow only.

Colours are chosen to be told apart with any colour vision, and nothing is said by colour alone: wells with missing
planes carry a cross, empty ones are small rings.
"""

from __future__ import annotations

import base64
import html
import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from . import ngff

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

_INK = (32, 36, 44)
_FAINT = (196, 201, 209)
_PAPER = (255, 255, 255)
_PLAIN = (128, 160, 200)
_ALARM = (190, 40, 40)
#: Outlines, told apart on dark and on bright ground (Okabe and Ito, https://jfly.uni-koeln.de/color/).
OUTLINE_COLOURS = ((240, 228, 66), (86, 180, 233), (230, 159, 0), (204, 121, 167), (255, 255, 255))
#: Knots of a perceptually even ramp from dark blue over green to yellow.
_RAMP = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], dtype=np.float64)
#: Of an image's pixels: what is drawn black, and what is drawn white or in full colour.
_PERCENTILES = (0.5, 99.8)
_MARGIN = 12
_NOTE_HEIGHT = 18
#: Letters of a title; it may come from a file, and pictures grow with it.
LONGEST_TITLE = 120
_PLAIN_LETTERS = str.maketrans({"μ": "u", "×": "x", "–": "-", "ß": "ss"})


def plate_picture(
    n_rows: int,
    n_columns: int,
    *,
    fields: Mapping[str, int],
    missing: Mapping[str, int] | None = None,
    values: Mapping[str, float | None] | None = None,
    value_name: str = "",
    title: str = "",
    notes: Sequence[str] = (),
) -> bytes:
    """Draw a plate: which wells have fields and how many, which lack planes, and optionally a value per well.

    Parameters
    ----------
    n_rows, n_columns
        The plate format.
    fields
        Number of fields of each well that has any.
    missing
        Number of missing planes of wells that lack some; they get a cross.
    values
        One value per well, shown as colour with a legend; wells without one (None, NaN) stay white.
    value_name
        What the values are, with their unit.
    title
        Above it.
    notes
        Lines below it.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    UsageError
        A well lies outside the plate.
    """
    from PIL import Image, ImageDraw

    cell = min(44, max(20, 1100 // max(n_columns, 1)))
    small, large = caption_font(max(9, int(cell * 0.34))), caption_font(16)
    left, top = _MARGIN + 26, _MARGIN + (26 if title else 0) + 20
    legend = 24 + max(72, round(small.getlength(plain_text(value_name)))) if values else 0
    title = title[:LONGEST_TITLE]
    named = 2 * _MARGIN + round(large.getlength(plain_text(title)))
    notes = [plain_text(note[:LONGEST_TITLE]) for note in notes]
    noted = 2 * _MARGIN + round(max((small.getlength(note) for note in notes), default=0))
    wide = max(left + n_columns * cell + _MARGIN + legend, named, noted, 360)
    bottom = top + n_rows * cell + 18
    image = Image.new("RGB", (wide, bottom + 20 + _NOTE_HEIGHT * len(notes)), _PAPER)
    draw = ImageDraw.Draw(image)
    if title:
        draw.text((_MARGIN, _MARGIN), plain_text(title), fill=_INK, font=large)
    centres = {}
    for row in range(n_rows):
        y = top + row * cell + cell // 2
        draw.text((left - 6, y), ngff.row_name(row + 1), fill=_INK, font=small, anchor="rm")
        for column in range(n_columns):
            x = left + column * cell + cell // 2
            centres[f"{ngff.row_name(row + 1)}{ngff.column_name(column + 1)}"] = (x, y)
    for column in range(n_columns):
        x = left + column * cell + cell // 2
        draw.text((x, top - 4), str(column + 1), fill=_INK, font=small, anchor="mb")
    outside = [well for well in (*fields, *(missing or {}), *(values or {})) if well not in centres]
    if outside:
        raise UsageError(f"wells {', '.join(outside[:5])} lie outside a plate of {n_rows} × {n_columns}")

    known = {well: float(v) for well, v in (values or {}).items() if v is not None and math.isfinite(v)}
    low, high = (min(known.values()), max(known.values())) if known else (0.0, 1.0)
    for well, (x, y) in centres.items():
        _well(draw, x, y, cell, _well_colour(well, fields, values, known, low, high), fields.get(well), small)
        if (missing or {}).get(well):
            _cross(draw, x, y, cell)
    if known:
        _legend(
            draw, left + n_columns * cell + _MARGIN + 8, top, min(n_rows * cell, 220), (low, high), value_name, small
        )
    signs = ["number: fields", "small ring: no data"]
    if values and any(well not in known for well in fields):
        signs.append("white: no value")
    if any((missing or {}).values()):
        signs.append("crossed: planes missing")
    for line, text in enumerate((" · ".join(signs), *notes)):
        draw.text((_MARGIN, bottom + _NOTE_HEIGHT * line), text, fill=_INK, font=small, anchor="lm")
    return to_png(image)


def _well_colour(
    well: str,
    fields: Mapping[str, int],
    values: Mapping[str, float | None] | None,
    known: Mapping[str, float],
    low: float,
    high: float,
) -> tuple[int, int, int] | None:
    if well in known:
        return ramp((known[well] - low) / (high - low) if high > low else 0.5)
    if well in fields:
        return _PAPER if values else _PLAIN
    return None


def _well(
    draw: ImageDraw.ImageDraw,
    x: int,
    y: int,
    cell: int,
    colour: tuple[int, int, int] | None,
    count: int | None,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    if colour is None:
        radius = cell * 0.16
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_FAINT)
        return
    radius = cell * 0.44
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=_INK)
    if count and cell >= 24:
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
        draw.text((x, y), str(count), fill=_INK if bright > 120 else _PAPER, font=font, anchor="mm")


def _cross(draw: ImageDraw.ImageDraw, x: int, y: int, cell: int) -> None:
    """Mark a well by two strokes from edge to edge, white under red so that they show on any colour."""
    r = cell * 0.44
    for colour, width in ((_PAPER, 5), (_ALARM, 2)):
        draw.line((x - r, y - r, x - r * 0.35, y - r * 0.35), fill=colour, width=width)
        draw.line((x + r * 0.35, y + r * 0.35, x + r, y + r), fill=colour, width=width)
        draw.line((x - r, y + r, x - r * 0.35, y + r * 0.35), fill=colour, width=width)
        draw.line((x + r * 0.35, y - r * 0.35, x + r, y - r), fill=colour, width=width)


def _legend(
    draw: ImageDraw.ImageDraw,
    x: int,
    y: int,
    height: int,
    limits: tuple[float, float],
    name: str,
    font: Any,
) -> None:
    low, high = limits
    draw.text((x, y - 12), plain_text(name), fill=_INK, font=font, anchor="lb")
    for i in range(height):
        draw.line((x, y + i, x + 14, y + i), fill=ramp(1 - i / max(1, height - 1)))
    draw.rectangle((x, y, x + 14, y + height), outline=_INK)
    for share in (0.0, 0.5, 1.0):
        value = low + (high - low) * share
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        draw.text((x + 20, y + height * (1 - share)), text, fill=_INK, font=font, anchor="lm")


def ramp(share: float) -> tuple[int, int, int]:
    """Give the colour at a share, 0 to 1, of the ramp from dark to bright."""
    position = np.linspace(0, 1, len(_RAMP))
    r, g, b = (round(float(np.interp(share, position, _RAMP[:, i]))) for i in range(3))
    return r, g, b


def field_picture(
    image: NDArray[Any],
    *,
    colors: Sequence[str],
    names: Sequence[str] | None = None,
    labels: Mapping[str, NDArray[Any]] | None = None,
    pixel_size_um: float | None = None,
    title: str = "",
    percentiles: tuple[float, float] = _PERCENTILES,
) -> bytes:
    """Draw a field: its channels in their colours, added up, with outlines of objects and a scale bar.

    Parameters
    ----------
    image
        (c, y, x).
    colors
        One per channel, six hexadecimal digits.
    names
        One per channel, for the caption.
    labels
        (y, x) each, 0 background; outlined, each in its own colour, named in the caption.
    pixel_size_um
        Width of a pixel; without it there is no scale bar.
    percentiles
        Of each channel's pixels: what is drawn black, and what is drawn in full colour.

    Returns
    -------
    bytes
        A PNG, one picture pixel per image pixel.

    Raises
    ------
    UsageError
        The shapes or numbers do not fit together.
    """
    from PIL import Image, ImageDraw

    if image.ndim != 3 or len(colors) != image.shape[0]:
        raise UsageError(f"image of shape {image.shape} needs axes (c, y, x) and as many colours as channels")
    height, width = image.shape[1:]
    light = np.zeros((height, width, 3), np.float32)
    for channel, color in zip(image, colors, strict=True):
        share = stretched(channel, limits_of(channel, percentiles))
        light += share[..., np.newaxis] * np.array(_rgb(color), np.float32)
    pixels = np.clip(light, 0, 255).astype(np.uint8)
    marks = []
    for n, (name, objects) in enumerate((labels or {}).items()):
        if objects.shape != (height, width):
            raise UsageError(f"labels {name!r} of shape {objects.shape} do not fit an image of {height} × {width}")
        colour = OUTLINE_COLOURS[n % len(OUTLINE_COLOURS)]
        pixels[outlines(objects)] = colour
        marks.append((name, colour))
    font = caption_font(14)
    captions = [(name, _rgb(color)) for name, color in zip(names or (), colors, strict=False)]
    bottom = 26 if captions or marks else 0
    top = 26 if title else 0
    picture = Image.new("RGB", (width, top + height + bottom), (16, 18, 22))
    picture.paste(Image.fromarray(pixels), (0, top))
    draw = ImageDraw.Draw(picture)
    if title:
        draw.text((8, 13), plain_text(title), fill=_PAPER, font=font, anchor="lm")
    if pixel_size_um:
        scale_bar(draw, width, top + height, pixel_size_um, font)
    x = 8.0
    y = top + height + 13
    for text, colour, shape in [(n, c, "disc") for n, c in captions] + [(n, c, "ring") for n, c in marks]:
        text = plain_text(text)
        box = (x, y - 5, x + 10, y + 5)
        draw.ellipse(box, fill=colour if shape == "disc" else None, outline=colour, width=2)
        draw.text((x + 15, y), text, fill=_PAPER, font=font, anchor="lm")
        x += 15 + draw.textlength(text, font=font) + 16
    return to_png(picture)


def as_html(png: bytes, *, alt: str) -> str:
    """Wrap a picture so that a notebook shows it."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def outlines(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of objects that touch, up, down, left or right, something else: (y, x) → (y, x)."""
    edge = np.zeros(labels.shape, bool)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    edge &= labels != 0
    return edge


def limits_of(plane: NDArray[Any], percentiles: tuple[float, float] = _PERCENTILES) -> tuple[float, float]:
    """Give the grey values that are drawn black and white: percentiles of the pixels (y, x) that are finite numbers."""
    step = max(1, min(plane.shape) // 256)
    sample = plane[::step, ::step]
    finite = sample[np.isfinite(sample)]
    low, high = (float(value) for value in np.percentile(finite, percentiles)) if finite.size else (0.0, 1.0)
    return low, high if high > low else low + 1


def stretched(plane: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float32]:
    """Give each pixel its share, 0 to 1, of the way from black to white; what is no number is black."""
    low, high = limits
    shown = (plane.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    np.nan_to_num(shown, copy=False, nan=0.0)
    return shown.clip(0, 1)


def middle(plane: NDArray[Any], side: int) -> NDArray[Any]:
    """Cut a square of at most ``side`` pixels out of the middle of a plane (y, x)."""
    y, x = (max(0, (length - side) // 2) for length in plane.shape)
    return plane[y : y + side, x : x + side]


def scale_bar(draw: ImageDraw.ImageDraw, width: int, bottom: int, pixel_size_um: float, font: Any) -> None:
    """Draw a bar of a round length, at most a fifth of the width, in the lower right corner."""
    most = width * pixel_size_um / 5
    unit = 10.0 ** math.floor(math.log10(most))
    length = max(step * unit for step in (1, 2, 5) if step * unit <= most)
    x1, y1 = width - 12, bottom - 12
    x0 = x1 - length / pixel_size_um
    draw.rectangle((x0 - 2, y1 - 6, x1 + 2, y1 + 2), fill=(0, 0, 0))
    draw.rectangle((x0, y1 - 4, x1, y1), fill=_PAPER)
    draw.text(
        ((x0 + x1) / 2, y1 - 9),
        plain_text(f"{length:g} µm"),
        fill=_PAPER,
        font=font,
        anchor="mb",
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )


def _rgb(color: str) -> tuple[int, int, int]:
    try:
        r, g, b = bytes.fromhex(color.lstrip("#"))
    except ValueError:
        raise UsageError(f"{color!r} is no colour", hint="write six hexadecimal digits, like 00FF00") from None
    return r, g, b


def plain_text(text: str) -> str:
    """Write what Pillow's own font has no glyph for in letters that it has: µ as u, é as e, ² as 2."""
    parts = unicodedata.normalize("NFKD", text).translate(_PLAIN_LETTERS)
    return "".join(part for part in parts if not unicodedata.combining(part))


def caption_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Give Pillow's own font, in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def to_png(image: Image.Image) -> bytes:
    """Give the bytes of a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def to_jpeg_text(image: Image.Image) -> str:
    """Give a picture as JPEG in base64, as a page holds it."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
