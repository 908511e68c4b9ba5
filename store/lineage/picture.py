"""Lineage as a picture, SVG or PNG: sources on the left, what was made from them on the right."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal
from xml.sax.saxutils import escape

from ...errors import UsageError
from ..images.picture import LONGEST_TITLE, caption_font, plain_text, to_png
from .boxes import Box, Link, summarise
from .layers import Layout, Size, arrange

Colour = tuple[int, int, int]
Point = tuple[float, float]

_INK: Colour = (32, 36, 44)
_FAINT: Colour = (110, 118, 130)
_PAPER: Colour = (255, 255, 255)
_FIRM: Colour = (70, 78, 92)
_LOOSE: Colour = (150, 120, 40)
#: What a box holds → its colour, and its edge; the word at its head says it too.
_COLOURS: Mapping[str, tuple[Colour, Colour]] = {
    "source": ((238, 239, 242), (140, 146, 156)),
    "sample": ((223, 242, 228), (66, 140, 92)),
    "pixels": ((222, 236, 250), (52, 112, 178)),
    "numbers": ((253, 235, 214), (200, 116, 28)),
    "profiles": ((240, 226, 246), (140, 78, 166)),
    "definition": ((252, 247, 206), (156, 138, 22)),
    "release": ((252, 226, 226), (176, 52, 60)),
}
_HOLDS = {
    **dict.fromkeys(("file", "export", "masks"), "source"),
    **dict.fromkeys(("study", "plate", "well", "field"), "sample"),
    **dict.fromkeys(("image", "images", "labels", "illumination"), "pixels"),
    **dict.fromkeys(("object", "objects", "rows", "table"), "numbers"),
    **dict.fromkeys(("profile", "profiles", "treatment", "treatments"), "profiles"),
    "release": "release",
}
_LEGEND = {
    "source": "files",
    "sample": "plate and wells",
    "pixels": "images",
    "numbers": "measurements",
    "profiles": "profiles",
    "definition": "recipes, parameters",
    "release": "releases",
}
_MARGIN, _BETWEEN, _PAD = 24.0, 64.0, 8.0
_HEAD, _TEXT, _LINE = 11, 13, 17.0
_WIDEST = 230.0
_MOST_LINES = 4
#: More boxes, or a larger picture, would be of no use to anybody.
_MOST_BOXES = 400
_LARGEST_PNG = 16_000
#: Pixels of a PNG per unit, so that small letters are sharp.
_SCALE = 2


@dataclass(slots=True)
class Sheet:
    """Shapes to draw, in the order from back to front."""

    width: float
    height: float
    shapes: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box with rounded corners."""

    x: float
    y: float
    width: float
    height: float
    fill: Colour
    edge: Colour
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text; ``y`` is its baseline."""

    x: float
    y: float
    text: str
    size: int
    colour: Colour = _INK


@dataclass(frozen=True, slots=True)
class Arrow:
    """A smooth line through points, with a head at its end."""

    points: tuple[Point, ...]
    colour: Colour
    dashed: bool


def draw(graph: Mapping[str, Any], *, format: Literal["png", "svg"] = "png", title: str | None = None) -> bytes:
    """Draw a graph as :func:`.trace.trace` and :func:`.forward.follow` return it.

    Parameters
    ----------
    title
        Written above; the name of what was asked for where None.

    Raises
    ------
    UsageError
        There are too many different things to draw, or the format is none.
    """
    if format not in ("png", "svg"):
        raise UsageError(f"pictures are png or svg, not {format!r}")
    boxes, links = summarise(graph)
    if len(boxes) > _MOST_BOXES:
        raise UsageError(
            f"the picture would have {len(boxes):,} boxes; at most {_MOST_BOXES} can be looked at",
            hint="draw the lineage of a part: a plate, a well, one profile set",
        )
    start = graph.get("start") or _start(graph)
    sheet = _sheet(boxes, links, title or _title(graph, start), start, list(graph.get("notes") or ()))
    return svg(sheet).encode() if format == "svg" else png(sheet)


def _start(graph: Mapping[str, Any]) -> str | None:
    """Return the node that was asked for: nothing in the graph was made from it."""
    sources = {edge["to"] for edge in graph["edges"]}
    return next((str(node["id"]) for node in graph["nodes"] if node["id"] not in sources), None)


def _title(graph: Mapping[str, Any], start: str | None) -> str:
    named = next((node for node in graph["nodes"] if node["id"] == start), None)
    if named is None:
        return "Lineage"
    way = "What was made from" if "start" in graph else "How it was made:"
    return f"{way} {named['kind'].replace('_', ' ')} {named['name']}"


def _sheet(boxes: Sequence[Box], links: Sequence[Link], title: str, start: str | None, notes: Sequence[str]) -> Sheet:
    texts = {box.id: _wrapped(box) for box in boxes}
    sizes = {one: _size(lines) for one, lines in texts.items()}
    layout = arrange(sizes, [(link.source, link.target) for link in links], between=_BETWEEN)
    top = _MARGIN + 2 * _LINE + 10
    legend = [name for name in _LEGEND if any(_holds(box) == name for box in boxes)]
    told = [line for note in notes for line in textwrap.wrap(f"Note: {note}", 110)]
    width = max(layout.width + 2 * _MARGIN, 130.0 * len(legend) + 2 * _MARGIN, 640.0)
    bottom = top + layout.height + 26
    sheet = Sheet(width, bottom + 2 * _LINE + len(told) * _LINE + 18)
    sheet.shapes.append(Words(_MARGIN, _MARGIN + 8, title[:LONGEST_TITLE], 17))
    sheet.shapes.append(
        Words(
            _MARGIN,
            _MARGIN + 8 + _LINE + 4,
            "Read from left to right: from sources to what was made of them.",
            12,
            _FAINT,
        )
    )
    _add_links(sheet, links, layout, top)
    for box in boxes:
        _add_box(sheet, box, texts[box.id], sizes[box.id], layout, top, strong=box.id == start)
    _add_legend(sheet, legend, bottom, any(not link.firm for link in links))
    for number, line in enumerate(told):
        sheet.shapes.append(Words(_MARGIN, bottom + 2 * _LINE + 12 + number * _LINE, line, 12, _FAINT))
    return sheet


def _holds(box: Box) -> str:
    return _HOLDS.get(box.kind, "definition")


def _wrapped(box: Box) -> list[tuple[str, int]]:
    """Return the lines of a box, each with the size of its letters."""
    name = _lines(box.name, _TEXT)
    if len(name) > _MOST_LINES:
        name = [*name[: _MOST_LINES - 1], f"…{name[-1]}"]
    facts = [line for fact in box.facts for line in _lines(fact, _HEAD + 1)]
    return [(box.head, _HEAD), *((line, _TEXT) for line in name), *((line, _HEAD + 1) for line in facts)]


def _lines(text: str, size: int) -> list[str]:
    """Break a text where a path or a name may be broken, so that no line is too wide."""
    found, line = [], ""
    for piece in _pieces(text):
        if line and _width(line + piece, size) > _WIDEST:
            found.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
        while _width(line, size) > _WIDEST:
            cut = next(at for at in range(len(line), 0, -1) if at == 1 or _width(line[:at], size) <= _WIDEST)
            found.append(line[:cut])
            line = line[cut:]
    return [*found, line.rstrip()] if line.strip() else found


def _pieces(text: str) -> list[str]:
    pieces, start = [], 0
    for at, sign in enumerate(text, 1):
        if sign in "/_-. ,:":
            pieces.append(text[start:at])
            start = at
    return [*pieces, text[start:]]


def _width(text: str, size: int) -> float:
    # Browsers take another font than Pillow's own: a little room is left for it.
    return float(caption_font(size).getlength(plain_text(text))) * 1.06


def _size(lines: Sequence[tuple[str, int]]) -> Size:
    width = max(_width(text, size) for text, size in lines)
    return Size(max(width + 2 * _PAD, 110.0), len(lines) * _LINE + 2 * _PAD - 3)


def _add_links(sheet: Sheet, links: Sequence[Link], layout: Layout, top: float) -> None:
    for link in links:
        points = tuple((x + _MARGIN, y + top) for x, y in layout.ways[link.source, link.target])
        sheet.shapes.append(Arrow(points, _FIRM if link.firm else _LOOSE, dashed=not link.firm))


def _add_box(
    sheet: Sheet, box: Box, lines: Sequence[tuple[str, int]], size: Size, layout: Layout, top: float, *, strong: bool
) -> None:
    x, y = layout.places[box.id]
    x, y = x + _MARGIN, y + top
    fill, edge = _COLOURS[_holds(box)]
    sheet.shapes.append(Rectangle(x, y, size.width, size.height, fill, edge, strong))
    for number, (text, letters) in enumerate(lines):
        colour = edge if number == 0 else _INK if letters == _TEXT else _FAINT
        sheet.shapes.append(Words(x + _PAD, y + _PAD + 10 + number * _LINE, text, letters, colour))


def _add_legend(sheet: Sheet, names: Sequence[str], y: float, loose: bool) -> None:
    x = _MARGIN
    for name in names:
        fill, edge = _COLOURS[name]
        sheet.shapes.append(Rectangle(x, y - 10, 14, 14, fill, edge))
        sheet.shapes.append(Words(x + 20, y + 2, _LEGEND[name], 12, _FAINT))
        x += 34 + _width(_LEGEND[name], 12)
    y += _LINE + 6
    sheet.shapes.append(Arrow(((_MARGIN, y - 4), (_MARGIN + 34, y - 4)), _FIRM, dashed=False))
    sheet.shapes.append(Words(_MARGIN + 42, y, "made from, part of", 12, _FAINT))
    if loose:
        sheet.shapes.append(Arrow(((_MARGIN + 190, y - 4), (_MARGIN + 224, y - 4)), _LOOSE, dashed=True))
        text = "decided how, influenced, or keeps"
        sheet.shapes.append(Words(_MARGIN + 232, y, text, 12, _FAINT))


def _curve(points: Sequence[Point]) -> list[tuple[Point, Point, Point, Point]]:
    """Return the pieces of a smooth line as cubic curves that leave and arrive level."""
    pieces = []
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (x1 - x0) / 2
        pieces.append(((x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)))
    return pieces


def svg(sheet: Sheet) -> str:
    """Return a sheet as SVG."""
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sheet.width:.0f}" height="{sheet.height:.0f}" '
        f'viewBox="0 0 {sheet.width:.0f} {sheet.height:.0f}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="100%" height="100%" fill="{_hex(_PAPER)}"/>',
    ]
    for shape in sheet.shapes:
        if isinstance(shape, Rectangle):
            out.append(
                f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}" '
                f'rx="5" fill="{_hex(shape.fill)}" stroke="{_hex(shape.edge)}" '
                f'stroke-width="{3 if shape.strong else 1.2}"/>'
            )
        elif isinstance(shape, Words):
            out.append(
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size}" fill="{_hex(shape.colour)}">'
                f"{escape(_printable(shape.text))}</text>"
            )
        else:
            out.append(_svg_arrow(shape))
    return "\n".join([*out, "</svg>", ""])


def _printable(text: str) -> str:
    """Leave out what XML cannot hold; names may come from a file system."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _svg_arrow(arrow: Arrow) -> str:
    first = arrow.points[0]
    way = f"M{first[0]:.1f},{first[1]:.1f}" + "".join(
        f" C{a[0]:.1f},{a[1]:.1f} {b[0]:.1f},{b[1]:.1f} {end[0]:.1f},{end[1]:.1f}"
        for _, a, b, end in _curve(_shortened(arrow.points))
    )
    dashes = ' stroke-dasharray="5 4"' if arrow.dashed else ""
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in _head(arrow.points[-1]))
    colour = _hex(arrow.colour)
    line = f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.4"{dashes}/>'
    return f'{line}<polygon points="{head}" fill="{colour}"/>'


def _head(tip: Point) -> list[Point]:
    x, y = tip
    return [(x, y), (x - 8, y - 4), (x - 8, y + 4)]


def _shortened(points: Sequence[Point]) -> list[Point]:
    """End a line where its head begins."""
    return [*points[:-1], (points[-1][0] - 7, points[-1][1])]


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def png(sheet: Sheet) -> bytes:
    """Return a sheet as PNG.

    Raises
    ------
    UsageError
        It would be too large.
    """
    from PIL import Image, ImageDraw

    width, height = math.ceil(sheet.width * _SCALE), math.ceil(sheet.height * _SCALE)
    if max(width, height) > _LARGEST_PNG:
        raise UsageError(
            f"the picture would have {width:,} × {height:,} pixels", hint="draw it as SVG, or the lineage of a part"
        )
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    for shape in sheet.shapes:
        if isinstance(shape, Rectangle):
            corners = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
            pen.rounded_rectangle(
                [value * _SCALE for value in corners],
                5 * _SCALE,
                fill=shape.fill,
                outline=shape.edge,
                width=6 if shape.strong else 2,
            )
        elif isinstance(shape, Words):
            font = caption_font(shape.size * _SCALE)
            at = (shape.x * _SCALE, shape.y * _SCALE)
            pen.text(at, plain_text(shape.text), fill=shape.colour, font=font, anchor="ls")
        else:
            _draw_arrow(pen, shape)
    return to_png(image)


def _draw_arrow(pen: Any, arrow: Arrow) -> None:
    points = [point for piece in _curve(_shortened(arrow.points)) for point in _along(piece)]
    scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
    for number, (one, other) in enumerate(pairwise(scaled)):
        if not arrow.dashed or number % 4 < 2:
            pen.line([one, other], fill=arrow.colour, width=3)
    pen.polygon([(x * _SCALE, y * _SCALE) for x, y in _head(arrow.points[-1])], fill=arrow.colour)


def _along(piece: tuple[Point, Point, Point, Point]) -> list[Point]:
    """Return points along a cubic curve, about three units apart."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = piece
    steps = max(2, math.ceil(math.hypot(x3 - x0, y3 - y0) / 3))
    found = []
    for number in range(steps + 1):
        t = number / steps
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        found.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return found
