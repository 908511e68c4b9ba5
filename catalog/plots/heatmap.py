"""Heat maps: a number of each well, in the shape of the plate; wells without a value are not coloured."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ...errors import QueryError, UsageError
from ...schemas.identifiers import format_well, parse_well, row_letters
from ...wording import listed
from .answer import Answer, Options
from .canvas import figure, note, one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = {"plate": str, "well": str, "value": str, "low": float, "high": float, "center": float, "columns": 3}
_MOST = 48
#: Rows and columns of the plates that there are.
_SHAPES = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


def draw(answer: Answer, options: Options) -> Figure:
    """Draw one panel per plate, all on one scale of colours.

    Raises
    ------
    QueryError
        A well has several rows, or there are too many plates.
    UsageError
        ``columns`` is none, or the colours would end before they begin.
    """
    if options["columns"] < 1:
        raise UsageError(f"heatmap, columns: {options['columns']} is not at least 1")
    if options["low"] is not None and options["high"] is not None and options["low"] >= options["high"]:
        raise UsageError(f"heatmap: low, {options['low']:g}, is not below high, {options['high']:g}")
    wells = answer.texts(answer.need("well", options, "well_id"))
    plate_column = answer.maybe("plate", options, "plate_id")
    study_column = answer.find("study_id")
    plates = answer.texts(plate_column) if plate_column else [""] * len(wells)
    if study_column and plate_column:
        plates = [f"{study}/{plate}" for study, plate in zip(answer.texts(study_column), plates, strict=True)]
    used = [name for name in (plate_column, study_column) if name]
    value_column = answer.maybe("value", options) or next(iter(answer.number_columns(used)), None)
    values = answer.numbers(value_column or answer.need("value", options))
    names = list(dict.fromkeys(plates))
    if len(names) > _MOST:
        raise QueryError(f"heatmap: {len(names)} plates are too many for one picture", hint=f"choose {_MOST} at most")
    places = [(row - 1, column - 1) for row, column in map(parse_well, wells)]
    # By place, since A1 is A01.
    _check_single(
        [(plate, format_well(row + 1, column + 1)) for plate, (row, column) in zip(plates, places, strict=True)]
    )
    shape = _shape(max(row for row, _ in places), max(column for _, column in places))
    scale = _scale(values, options)
    across = min(options["columns"], len(names))
    down = -(-len(names) // across)
    picture = figure(min(14.0, 0.7 + 3.6 * across), 0.8 + down * (0.5 + 3.4 * shape[0] / shape[1]))
    panels = picture.subplots(down, across, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        grid = np.full(shape, np.nan)
        for plate, (row, column), value in zip(plates, places, values, strict=True):
            if plate == name:
                grid[row, column] = value
        shown = axes.imshow(np.ma.masked_invalid(grid), cmap=scale[2], vmin=scale[0], vmax=scale[1], aspect="equal")
        axes.set_facecolor("#e4e4e4")
        axes.set_title(one_line(name))
        _ticks(axes, shape)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    picture.colorbar(shown, ax=list(panels), shrink=0.8, label=value_column, extend=_extend(values, scale))
    lost = int(np.isnan(values).sum())
    note(picture, [f"grey: no value{f' ({lost:,} rows have none)' if lost else ''}"])
    return picture


def _check_single(keys: list[tuple[str, str]]) -> None:
    twice = [f"{plate} {well}".strip() for (plate, well), count in Counter(keys).items() if count > 1]
    if twice:
        raise QueryError(
            f"heatmap: {listed(twice, 3)} have several rows",
            hint="say in the question what the well's number is: avg(...) ... GROUP BY study_id, plate_id, well_id",
        )


def _shape(last_row: int, last_column: int) -> tuple[int, int]:
    return next(shape for shape in _SHAPES if last_row < shape[0] and last_column < shape[1])


def _scale(values: np.ndarray, options: Options) -> tuple[float, float, str]:
    """Return the ends of the colours, and their name: two-sided about a centre where values lie on both sides."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise QueryError("heatmap: no well has a value", hint="look at the answer with `cytolake sql`")
    low, high = (float(one) for one in np.percentile(finite, [1, 99]))
    low = options["low"] if options["low"] is not None else low
    high = options["high"] if options["high"] is not None else high
    center = options["center"]
    if center is None and low < 0 < high:
        center = 0.0
    if center is not None:
        if options["low"] is None and options["high"] is None:
            half = max(abs(high - center), abs(low - center)) or 1.0
            low, high = center - half, center + half
        return low, high, "RdBu_r"
    return (low, high, "viridis") if low < high else (low - 0.5, high + 0.5, "viridis")


def _extend(values: np.ndarray, scale: tuple[float, float, str]) -> str:
    below, above = bool(np.nanmin(values) < scale[0]), bool(np.nanmax(values) > scale[1])
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _ticks(axes: object, shape: tuple[int, int]) -> None:
    rows, columns = shape
    step = 1 if columns <= 12 else 2 if columns <= 24 else 4
    letters = [row_letters(row) for row in range(1, rows + 1)]
    axes.set_xticks(range(0, columns, step), [str(k + 1) for k in range(0, columns, step)], fontsize=6)  # type: ignore[attr-defined]
    axes.set_yticks(range(0, rows, step), letters[::step], fontsize=6)  # type: ignore[attr-defined]
    axes.tick_params(length=0)  # type: ignore[attr-defined]
