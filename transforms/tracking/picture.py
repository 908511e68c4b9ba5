"""Lineage trees of a field, and the ways of its objects over the last frame, as PNG.

Time runs to the right. A track is a line, a division a fork, a stretch in which the object was missing is dashed.
Colours say how many divisions lie behind a cell and go round after seven; the forks say it too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...store.images.picture import caption_font, limits_of, plain_text, scale_bar, stretched, to_png

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import ImageDraw

_INK, _FAINT, _PAPER = (32, 36, 44), (196, 201, 209), (255, 255, 255)
#: By generation, told apart with any colour vision (Okabe and Ito, https://jfly.uni-koeln.de/color/), on white...
_DARK = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0), (0, 0, 0))
#: ... and on an image.
_BRIGHT = ((86, 180, 233), (230, 159, 0), (0, 220, 150), (240, 228, 66), (255, 150, 200), (255, 120, 60), (255,) * 3)
_MARGIN, _ROW, _LABEL = 14, 13, 64
_LEAST_STEP, _WIDEST = 3, 900
#: Lines that a picture of lineages has room for.
MOST_LINES = 80
#: An image is drawn at least this wide and high, enlarged by a whole number.
_LEAST_SIDE = 900


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    lineage: int
    parent: int | None
    merged: int | None
    generation: int
    divides: bool
    timepoints: npt.NDArray[np.int64]
    y: npt.NDArray[np.float64]
    x: npt.NDArray[np.float64]


def lineage_picture(tracks: pa.Table, *, n_timepoints: int, title: str = "") -> bytes:
    """Draw the lineages of one field and object set, those with divisions first, then the long ones.

    Parameters
    ----------
    tracks
        Rows of the ``tracks`` table.
    n_timepoints
        Of the field.
    title
        Above it.

    Returns
    -------
    bytes
        A PNG. At most :data:`MOST_LINES` tracks are drawn; how many there are beside them is said.
    """
    from PIL import Image, ImageDraw

    lineages = _lineages(_tracks(tracks))
    shown: list[dict[int, _Track]] = []
    lines = 0
    for lineage in lineages:
        if shown and lines + len(lineage) > MOST_LINES:
            break
        shown.append(lineage)
        lines += len(lineage)
    step = max(_LEAST_STEP, min(40, _WIDEST // max(1, n_timepoints - 1)))
    top = 2 * _MARGIN + 34
    width = _MARGIN * 2 + _LABEL + step * max(1, n_timepoints - 1) + _LABEL
    height = top + _ROW * (sum(_n_leaves(one) for one in shown) + len(shown)) + _MARGIN + 16
    image = Image.new("RGB", (max(width, 420), height), _PAPER)
    draw = ImageDraw.Draw(image)
    small, large = caption_font(11), caption_font(14)
    left = _MARGIN + _LABEL
    draw.text((_MARGIN, _MARGIN), plain_text(title), fill=_INK, font=large)
    _axis(draw, left, top - 12, step, n_timepoints, height - _MARGIN - 14, small)
    row = 0.5
    for lineage in shown:
        rows = _rows(lineage, row)
        for track in lineage.values():
            _draw_track(draw, track, lineage, rows, left=left, top=top, step=step, font=small)
        row += _n_leaves(lineage) + 1
    rest = len(lineages) - len(shown)
    divisions = sum(track.divides for lineage in lineages for track in lineage.values())
    note = f"{len(lineages)} lineages, {sum(map(len, lineages))} tracks, {divisions} divisions"
    note += f"; {rest} lineages of fewer tracks are not drawn" if rest else ""
    draw.text((_MARGIN, height - _MARGIN - 8), note, fill=_INK, font=small)
    return to_png(image)


def trajectory_picture(
    tracks: pa.Table,
    image: npt.NDArray[Any],
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    timepoint: int,
    pixel_size_um: float | None = None,
    title: str = "",
) -> bytes:
    """Draw where objects came from, over the image of one time point.

    Parameters
    ----------
    tracks
        Rows of the ``tracks`` table of one field and object set.
    image : real (y, x)
        One channel at that time point.
    shift
        Drift of that time point, y and x in pixels: positions of the table are as in the first one.
    timepoint
        Which one: rows after it are not drawn. A ring marks where an object is then.
    pixel_size_um
        For the scale bar; none is drawn where it is unknown.
    title
        Above it.
    """
    from PIL import Image, ImageDraw

    grey = stretched(image, limits_of(image)) * 255
    zoom = max(1, -(-_LEAST_SIDE // max(image.shape)))
    size = (image.shape[1] * zoom, image.shape[0] * zoom)
    head = 30 if title else 0
    picture = Image.new("RGB", (size[0], size[1] + head), (0, 0, 0))
    # Enlarged twice while lines are drawn, so that they are smooth.
    canvas = (
        Image.fromarray(grey.astype(np.uint8))
        .convert("RGB")
        .resize((size[0] * 2, size[1] * 2), Image.Resampling.BILINEAR)
    )
    draw = ImageDraw.Draw(canvas)
    scale = 2 * zoom
    found = _tracks(tracks)
    for track in found.values():
        colour = _BRIGHT[track.generation % len(_BRIGHT)]
        seen = track.timepoints <= timepoint
        # The middle of a pixel is half a pixel from its corner.
        points = np.column_stack([track.x[seen] + shift[1] + 0.5, track.y[seen] + shift[0] + 0.5]) * scale
        if not len(points):
            continue
        parent = None if track.parent is None else found.get(track.parent)
        if parent is not None:
            born = (np.array([parent.x[-1] + shift[1], parent.y[-1] + shift[0]]) + 0.5) * scale
            points = np.vstack([born, points])
        if len(points) > 1:
            draw.line([tuple(point) for point in points.tolist()], fill=colour, width=3, joint="curve")
        if seen.all() and track.timepoints[-1] < timepoint:
            continue
        x, y = points[-1]
        draw.ellipse((x - 7, y - 7, x + 7, y + 7), outline=colour, width=3)
    picture.paste(canvas.resize(size, Image.Resampling.LANCZOS), (0, head))
    draw = ImageDraw.Draw(picture)
    if title:
        draw.text((8, 8), plain_text(title), fill=_PAPER, font=caption_font(14))
    if pixel_size_um is not None:
        scale_bar(draw, size[0], size[1] + head, pixel_size_um / zoom, caption_font(12))
    return to_png(picture)


def _tracks(table: pa.Table) -> dict[int, _Track]:
    """Gather rows to tracks, by number."""
    columns = {
        name: table[name].to_numpy()
        for name in ("track_id", "lineage_id", "generation", "divides", "timepoint", "y", "x")
    }
    parents, merged = (table[name].to_pylist() for name in ("parent_track_id", "merged_track_id"))
    order = np.lexsort((columns["timepoint"], columns["track_id"]))
    numbers, starts = np.unique(columns["track_id"][order], return_index=True)
    found = {}
    for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]) if len(order) else [], strict=True):
        last = rows[-1]
        found[number] = _Track(
            number,
            int(columns["lineage_id"][last]),
            parents[last],
            merged[last],
            int(columns["generation"][last]),
            bool(columns["divides"][last]),
            columns["timepoint"][rows],
            columns["y"][rows],
            columns["x"][rows],
        )
    return found


def _lineages(tracks: Mapping[int, _Track]) -> list[dict[int, _Track]]:
    """Sort tracks into lineages: those with the most tracks first, then by how long they are, then by number."""
    found: dict[int, dict[int, _Track]] = {}
    for number, track in tracks.items():
        found.setdefault(track.lineage, {})[number] = track
    return sorted(found.values(), key=lambda one: (-len(one), -sum(len(t.timepoints) for t in one.values()), min(one)))


def _n_leaves(lineage: Mapping[int, _Track]) -> int:
    parents = {track.parent for track in lineage.values()}
    return sum(number not in parents for number in lineage)


def _rows(lineage: Mapping[int, _Track], first: float) -> dict[int, float]:
    """Give each track its line: leaves below one another, a mother in the middle of her daughters."""
    children: dict[int | None, list[int]] = {}
    for number, track in sorted(lineage.items()):
        children.setdefault(track.parent if track.parent in lineage else None, []).append(number)
    rows: dict[int, float] = {}
    free = first
    # Children before their parents, without recursion: lineages may be as deep as there are time points.
    waiting = [(number, False) for number in reversed(children.get(None, []))]
    while waiting:
        number, done = waiting.pop()
        own = children.get(number, [])
        if done:
            rows[number] = sum(rows[child] for child in own) / len(own)
        elif own:
            waiting.append((number, True))
            waiting += [(child, False) for child in reversed(own)]
        else:
            rows[number] = free
            free += 1
    return rows


def _axis(draw: ImageDraw.ImageDraw, left: int, top: int, step: int, n_timepoints: int, bottom: int, font: Any) -> None:
    most = max(1, 40 // step)
    every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**6) if n >= most)
    draw.text((left - 8, top), "time point", fill=_INK, font=font, anchor="rb")
    for timepoint in range(0, n_timepoints, every):
        x = left + timepoint * step
        draw.text((x, top), str(timepoint), fill=_INK, font=font, anchor="mb")
        draw.line((x, top + 4, x, bottom), fill=(238, 240, 243))


def _draw_track(
    draw: ImageDraw.ImageDraw,
    track: _Track,
    lineage: Mapping[int, _Track],
    rows: Mapping[int, float],
    *,
    left: int,
    top: int,
    step: int,
    font: Any,
) -> None:
    y = top + rows[track.number] * _ROW
    colour = _DARK[track.generation % len(_DARK)]
    times = (left + track.timepoints * step).tolist()
    mother = None if track.parent is None else lineage.get(track.parent)
    if mother is not None:
        x, y0 = left + int(mother.timepoints[-1]) * step, top + rows[mother.number] * _ROW
        draw.line((x, y0, x, y), fill=colour, width=2)
        _stretch(draw, x, times[0], y, colour, dashed=int(track.timepoints[0] - mother.timepoints[-1]) > 1)
    for i in range(1, len(times)):
        missing = track.timepoints[i] - track.timepoints[i - 1] > 1
        _stretch(draw, times[i - 1], times[i], y, colour, dashed=bool(missing))
    if track.parent is None:
        draw.ellipse((times[0] - 3, y - 3, times[0] + 3, y + 3), fill=colour)
        draw.text((left - 8, y), str(track.number), fill=_INK, font=font, anchor="rm")
    if not track.divides:
        draw.line((times[-1], y - 4, times[-1], y + 4), fill=colour, width=2)
        draw.text((times[-1] + 6, y), str(track.number), fill=_FAINT, font=font, anchor="lm")


def _stretch(
    draw: ImageDraw.ImageDraw, start: float, stop: float, y: float, colour: Sequence[int], *, dashed: bool
) -> None:
    fill = (colour[0], colour[1], colour[2])
    if not dashed:
        draw.line((start, y, stop, y), fill=fill, width=2)
        return
    at = start
    while at < stop:
        draw.line((at, y, min(at + 3, stop), y), fill=fill, width=2)
        at += 6
