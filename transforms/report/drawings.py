"""Drawings of the report as inline SVG: a plate as a heat map, wells of each control side by side as dots.

Text that comes from files is escaped here; numbers are formatted; nothing else enters.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape
from statistics import median

from ...schemas.identifiers import parse_well
from ...store.images.ngff import row_name
from ...store.images.picture import ramp

_LEFT, _TOP, _LEGEND = 26, 16, 64


def number(value: float) -> str:
    """Write a number with three or four digits that count."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def colour_range(values: Mapping[str, float], suspicious: Collection[str]) -> tuple[float, float]:
    """Give least and largest value of the wells that are not suspicious, or of all where none is left.

    One saturated well would otherwise make all the others look alike.
    """
    known = {well: value for well, value in values.items() if math.isfinite(value)}
    good = [value for well, value in known.items() if well not in suspicious] or list(known.values())
    return (min(good), max(good)) if good else (0.0, 0.0)


def heat_map(
    n_rows: int,
    n_columns: int,
    values: Mapping[str, float],
    *,
    title: str,
    limits: tuple[float, float],
    marked: Collection[str] = (),
) -> str:
    """Draw a plate with one coloured square per well that has a value; ``marked`` wells carry a cross.

    Colours run between ``limits``, which stand beside the scale, and stay the same beyond them. Pointing at a well
    shows its value.
    """
    cell = max(5, min(22, 420 // max(n_columns, 1)))
    width = _LEFT + n_columns * cell + _LEGEND
    height = _TOP + n_rows * cell + 6
    known = {well: value for well, value in values.items() if math.isfinite(value)}
    low, high = limits
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">'
    ]
    for row in range(n_rows):
        if cell >= 9 or row % 2 == 0:
            y = _TOP + row * cell + cell / 2 + 3
            parts.append(f'<text x="{_LEFT - 5}" y="{y:.0f}" text-anchor="end">{row_name(row + 1)}</text>')
    for column in range(n_columns):
        if cell >= 15 or column % 3 == 0:
            x = _LEFT + column * cell + cell / 2
            parts.append(f'<text x="{x:.0f}" y="{_TOP - 4}" text-anchor="middle">{column + 1}</text>')
    parts.append(f'<rect x="{_LEFT}" y="{_TOP}" width="{n_columns * cell}" height="{n_rows * cell}" class="ground"/>')
    for well, value in known.items():
        row, column = parse_well(well)
        x, y = _LEFT + (column - 1) * cell, _TOP + (row - 1) * cell
        share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
        colour = _colour(share)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" fill="{colour}">'
            f"<title>{escape(well)}: {number(value)}</title></rect>"
        )
    for well in marked:
        row, column = parse_well(well)
        x, y, end = _LEFT + (column - 1) * cell, _TOP + (row - 1) * cell, cell - 1
        line = f"M{x} {y}l{end} {end}M{x + end} {y}l{-end} {end}"
        parts.append(f'<path d="{line}" class="under"/><path d="{line}" class="cross"/>')
    parts += _scale(_LEFT + n_columns * cell + 10, _TOP, min(n_rows * cell, 120), low, high) if known else []
    return "".join([*parts, "</svg>"])


def _scale(x: int, y: int, height: int, low: float, high: float) -> list[str]:
    steps = 12
    parts = []
    for step in range(steps):
        colour = _colour(1 - step / (steps - 1))
        top = y + step * height / steps
        parts.append(f'<rect x="{x}" y="{top:.1f}" width="10" height="{height / steps + 0.5:.1f}" fill="{colour}"/>')
    for value, at in ((high, y + 8), (low, y + height)):
        parts.append(f'<text x="{x + 14}" y="{at}">{number(value)}</text>')
    return parts


def _colour(share: float) -> str:
    return "#{:02x}{:02x}{:02x}".format(*ramp(share))


def strips(groups: Mapping[str, Sequence[tuple[str, float]]], *, title: str) -> str:
    """Draw one column of dots per group of wells, (well, value) each, with a stroke at the median."""
    wide, tall, left = 96, 150, 58
    values = [value for group in groups.values() for _, value in group]
    low, high = min(values), max(values)
    low, high = (low - 1, high + 1) if low == high else (low, high)
    width, height = left + wide * len(groups) + 6, tall + 44

    def at(value: float) -> float:
        return 10 + tall * (high - value) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">'
    ]
    for value in (high, (low + high) / 2, low):
        y = at(value)
        parts.append(f'<text x="{left - 6}" y="{y + 3:.0f}" text-anchor="end">{number(value)}</text>')
        parts.append(f'<path d="M{left} {y:.1f}H{width - 6}" class="grid"/>')
    for place, (name, group) in enumerate(groups.items()):
        middle = left + wide * (place + 0.5)
        for turn, (well, value) in enumerate(group):
            # Spread sideways by a fixed sequence that fills the width evenly, so that dots do not cover one another.
            x = middle + (turn * 0.618034 % 1 - 0.5) * wide * 0.7
            parts.append(
                f'<circle cx="{x:.1f}" cy="{at(value):.1f}" r="3" class="dot">'
                f"<title>{escape(well)}: {number(value)}</title></circle>"
            )
        centre = median(value for _, value in group)
        parts.append(f'<path d="M{middle - 30:.1f} {at(centre):.1f}h60" class="median"/>')
        parts.append(
            f'<text x="{middle:.0f}" y="{tall + 26}" text-anchor="middle">{escape(name.replace("_", " "))}</text>'
        )
        parts.append(f'<text x="{middle:.0f}" y="{tall + 39}" text-anchor="middle">{len(group)} wells</text>')
    return "".join([*parts, "</svg>"])
