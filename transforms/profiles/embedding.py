"""Profiles as points in a plane, and as a picture: for looking at, never for measuring.

UMAP (McInnes, Healy and Melville 2018, https://arxiv.org/abs/1802.03426) keeps neighbours together; distances between
groups, and how wide they are, mean nothing in it. The first two principal components keep distances as far as two can.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...errors import InvalidDataError, MissingExtraError, UsageError
from ...store.images.picture import LONGEST_TITLE, caption_font, plain_text, to_png
from .axes import principal_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import ImageDraw

    from .matrix import ProfileMatrix

METHODS = ("umap", "pca")
_NEIGHBOURS = 15
#: Fewer have no neighbourhoods to speak of, and UMAP's own start fails on them.
_LEAST_ROWS = 5

_INK, _FAINT, _PAPER = (32, 36, 44), (196, 201, 209), (255, 255, 255)
_OTHER = (170, 176, 186)
#: Told apart with any colour vision (Okabe and Ito, https://jfly.uni-koeln.de/color/).
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0))
_SHAPES: tuple[Literal["disc", "square", "triangle"], ...] = ("disc", "square", "triangle")
_SIDE, _MARGIN, _LINE, _LEGEND = 720, 16, 20, 250
#: Labels with a mark of their own; the others share one.
MOST_LABELS = len(_COLOURS) * len(_SHAPES)
#: Points are drawn this much larger and made smaller again, so that they are smooth.
_OVER = 3


def embed(matrix: ProfileMatrix, *, method: str = "umap", seed: int = 0) -> NDArray[np.float64]:
    """Place rows in a plane.

    Features are taken as they are: normalise them first. Features without a value in some rows are left out, but for
    rows without any value, which get no place.

    Parameters
    ----------
    method
        ``umap`` (needs the extra ``plots``) or ``pca``.
    seed
        For ``umap``: the same seed and rows give the same places, on one machine.

    Returns
    -------
    numpy.ndarray
        float64 of shape (rows, 2), NaN for rows without any value.

    Raises
    ------
    UsageError
        The method is unknown.
    InvalidDataError
        There are too few rows, or no feature has a value in all of them.
    MissingExtraError
        umap-learn is not installed.
    """
    if method not in METHODS:
        raise UsageError(f"method {method!r} is unknown", hint=f"use one of {', '.join(METHODS)}")
    finite = np.isfinite(matrix.values)
    rows = finite.any(axis=1)
    usable = finite[rows].all(axis=0)
    least = _LEAST_ROWS if method == "umap" else 2
    if rows.sum() < least:
        raise InvalidDataError(
            f"{int(rows.sum())} row(s) with values are too few for {method}, which needs {least}",
            hint='use method "pca"' if rows.sum() >= 2 else "compute profiles of more wells",
        )
    if not usable.any():
        raise InvalidDataError(
            f"none of {len(matrix.features)} features has a value in all of {int(rows.sum())} rows",
            hint='put a step "select" that drops features with missing values into the recipe',
        )
    values = matrix.values[np.ix_(rows, usable)]
    places = np.full((len(matrix), 2), np.nan)
    places[rows] = _umap(values, seed) if method == "umap" else _components(values)
    return places


def embedding_picture(
    coordinates: NDArray[np.float64],
    labels: Sequence[str | None],
    *,
    title: str,
    controls: NDArray[np.bool_] | None = None,
    axes: str = "",
) -> bytes:
    """Draw points in a plane, coloured by their labels, with a legend.

    The labels of most points have a colour and a shape of their own, :data:`MOST_LABELS` of them; points of the others,
    and of no label, are small and grey. Controls are crosses, in the legend first, whatever they are labelled.

    Parameters
    ----------
    coordinates
        (points, 2); points with NaN are not drawn, and counted below.
    labels
        One per point.
    title
        Above it.
    controls
        (points,): which are controls.
    axes
        What the axes are, to write below, such as ``UMAP``.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    UsageError
        The lengths do not fit together.
    """
    from PIL import Image, ImageDraw

    n = len(coordinates)
    is_control = np.zeros(n, bool) if controls is None else np.asarray(controls, bool)
    if coordinates.shape != (n, 2) or len(labels) != n or len(is_control) != n:
        raise UsageError(
            f"{coordinates.shape} coordinates, {len(labels)} labels and {len(is_control)} controls do not fit"
        )
    drawn = np.asarray(np.isfinite(coordinates).all(axis=1))
    marks = _marks([label for label, one, out in zip(labels, drawn, is_control, strict=True) if one and not out])
    control_marks = _control_marks([x for x, one, out in zip(labels, drawn, is_control, strict=True) if one and out])
    head = _MARGIN + 30
    canvas = Image.new("RGB", (_SIDE * _OVER, _SIDE * _OVER), _PAPER)
    draw = ImageDraw.Draw(canvas)
    radius = _OVER * min(6.0, max(2.2, 90 / math.sqrt(max(1, int(drawn.sum())))))
    at = _placed(coordinates, drawn) * _OVER
    # Grey points below, controls on top.
    order = sorted(np.flatnonzero(drawn).tolist(), key=lambda row: (bool(is_control[row]), labels[row] in marks))
    for row in order:
        label = labels[row] or ""
        if is_control[row]:
            _cross(draw, at[row], radius * 1.25, control_marks.get(label, _INK))
        elif label in marks:
            _mark(draw, at[row], radius, *marks[label])
        else:
            _mark(draw, at[row], radius * 0.7, _OTHER, "disc")
    legend = _legend(labels, drawn, is_control, marks, control_marks)
    height = max(_SIDE, _LINE * len(legend) + 8)
    picture = Image.new("RGB", (_SIDE + 3 * _MARGIN + _LEGEND, head + height + 34), _PAPER)
    picture.paste(canvas.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (_MARGIN, head))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((_MARGIN, head, _MARGIN + _SIDE, head + _SIDE), outline=_FAINT)
    draw.text((_MARGIN, _MARGIN), plain_text(title[:LONGEST_TITLE]), fill=_INK, font=caption_font(16))
    small = caption_font(12)
    for line, (text, colour, shape) in enumerate(legend):
        x, y = _SIDE + 2 * _MARGIN + 8, head + 10 + _LINE * line
        _mark_or_cross(draw, (x, y), colour, shape)
        draw.text((x + 14, y), plain_text(_shortened(text)), fill=_INK, font=small, anchor="lm")
    note = f"{int(drawn.sum())} points"
    note += f"; without values and not drawn: {int((~drawn).sum())}" if not drawn.all() else ""
    note += f"; axes: {axes}" if axes else ""
    draw.text((_MARGIN, head + height + 12), plain_text(note), fill=_INK, font=small)
    return to_png(picture)


def require(method: str) -> None:
    """Make sure that rows can be placed by a method, before anything is computed.

    Raises
    ------
    MissingExtraError
        umap-learn is needed and not installed.
    """
    if method == "umap" and find_spec("umap") is None:
        raise _missing()


def _missing() -> MissingExtraError:
    return MissingExtraError(
        "umap-learn is not installed", hint="pip install 'cytolake[plots]', or take the method pca"
    )


def _umap(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    try:
        with warnings.catch_warnings():
            # Of what it imports: TensorFlow, which we have no use for, is not there.
            warnings.simplefilter("ignore")
            import umap
    except ImportError as error:
        raise _missing() from error
    reducer = umap.UMAP(
        n_neighbors=min(_NEIGHBOURS, len(values) - 1),
        random_state=seed,
        # A seed allows one thread only.
        n_jobs=1,
        # Its start from the spectrum of the graph needs more rows than it has dimensions to find.
        init="spectral" if len(values) > 2 * _NEIGHBOURS else "random",
    )
    with warnings.catch_warnings():
        # Graphs of several parts, compiled code that is not cached: nothing that who looks at the picture can act on.
        warnings.simplefilter("ignore")
        return np.asarray(reducer.fit_transform(values), dtype=np.float64)


def _components(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean(axis=0)
    if not centred.any():
        return np.zeros((len(values), 2))
    axes, _ = principal_axes(centred)
    places = np.zeros((len(values), 2))
    places[:, : min(2, axes.shape[1])] = centred @ axes[:, :2]
    return places


def _placed(coordinates: NDArray[np.float64], drawn: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the place of each point in the picture, x and y in pixels, both axes on one scale."""
    if not drawn.any():
        return np.full_like(coordinates, np.nan)
    low, high = coordinates[drawn].min(axis=0), coordinates[drawn].max(axis=0)
    extent = float((high - low).max())
    scale = (_SIDE - 2 * _MARGIN) / extent if extent > 1e-100 else 0.0
    placed = _SIDE / 2 + (coordinates - (low + high) / 2) * scale
    placed[:, 1] = _SIDE - placed[:, 1]
    return np.asarray(placed)


_Mark = tuple[tuple[int, int, int], str]


def _marks(labels: Sequence[str | None]) -> dict[str, _Mark]:
    """Give the labels of most points a colour and a shape each."""
    counted = Counter(label for label in labels if label)
    common = sorted(counted, key=lambda label: (-counted[label], label))[:MOST_LABELS]
    # In the order of the labels, so that neighbours in the legend look different.
    return {
        label: (_COLOURS[number % len(_COLOURS)], _SHAPES[number // len(_COLOURS)])
        for number, label in enumerate(sorted(common))
    }


def _control_marks(labels: Sequence[str | None]) -> dict[str, tuple[int, int, int]]:
    """Give each kind of control a colour: black, then others."""
    counted = Counter(label or "" for label in labels)
    palette = (_INK, (170, 30, 30), *_COLOURS)
    return {
        label: palette[number % len(palette)]
        for number, label in enumerate(sorted(counted, key=lambda label: (-counted[label], label)))
    }


def _legend(
    labels: Sequence[str | None],
    drawn: NDArray[np.bool_],
    is_control: NDArray[np.bool_],
    marks: dict[str, _Mark],
    control_marks: dict[str, tuple[int, int, int]],
) -> list[tuple[str, tuple[int, int, int], str]]:
    """Give text, colour and shape of each line."""
    treated = Counter(x or "" for x, one, out in zip(labels, drawn, is_control, strict=True) if one and not out)
    controls = Counter(x or "" for x, one, out in zip(labels, drawn, is_control, strict=True) if one and out)
    lines = [
        (f"{label} ({controls[label]}, control)" if label else f"control ({controls[label]})", colour, "cross")
        for label, colour in list(control_marks.items())[: _most_controls()]
    ]
    lines += [(f"{label} ({treated[label]})", *mark) for label, mark in marks.items()]
    rest = [label for label in treated if label and label not in marks]
    if rest:
        lines.append((f"{len(rest)} other labels ({sum(treated[label] for label in rest)})", _OTHER, "small"))
    if treated[""]:
        lines.append((f"no label ({treated['']})", _OTHER, "small"))
    return lines


def _most_controls() -> int:
    return 2 + len(_COLOURS)


def _shortened(text: str) -> str:
    return text if len(text) <= 36 else f"{text[:22]}...{text[-11:]}"


def _mark_or_cross(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], colour: tuple[int, int, int], shape: str
) -> None:
    if shape == "cross":
        _cross(draw, at, 5, colour)
    else:
        _mark(draw, at, 3.2 if shape == "small" else 5, colour, "disc" if shape == "small" else shape)


def _mark(
    draw: ImageDraw.ImageDraw, at: Sequence[float], radius: float, colour: tuple[int, int, int], shape: str
) -> None:
    x, y = float(at[0]), float(at[1])
    if shape == "disc":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=_PAPER)
    elif shape == "square":
        side = radius * 0.9
        draw.rectangle((x - side, y - side, x + side, y + side), fill=colour, outline=_PAPER)
    else:
        side = radius * 1.15
        draw.polygon(
            [(x, y - side), (x - side, y + side * 0.8), (x + side, y + side * 0.8)], fill=colour, outline=_PAPER
        )


def _cross(draw: ImageDraw.ImageDraw, at: Sequence[float], radius: float, colour: tuple[int, int, int]) -> None:
    """Draw a cross, white around it, so that it shows on any point."""
    x, y = float(at[0]), float(at[1])
    width = max(2, round(radius * 0.42))
    for ink, wide in ((_PAPER, width + max(2, round(radius * 0.4))), (colour, width)):
        draw.line((x - radius, y - radius, x + radius, y + radius), fill=ink, width=wide)
        draw.line((x - radius, y + radius, x + radius, y - radius), fill=ink, width=wide)
