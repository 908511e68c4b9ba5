"""Volcano plots: how large effects are against how sure; the strongest are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import QueryError
from .answer import Answer, Options
from .canvas import GREY, PALETTE, figure, left_out, note, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

SETTINGS = {
    "effect": str,
    "p": str,
    "label": str,
    "p_threshold": 0.05,
    "effect_threshold": 0.0,
    "labels": 12,
    "xlabel": str,
}


def draw(answer: Answer, options: Options) -> Figure:
    """Draw effect against -log10 p; what passes both thresholds has a colour.

    A p of 0 is smaller than the number can say; it is drawn above all others, as an arrow.

    Raises
    ------
    QueryError
        A p is not between 0 and 1, or no row has both values.
    """
    effect_column = answer.need("effect", options, "estimate", "g", "median_z")
    p_column = answer.need("p", options, "corrected_p", "q", "p_value", "pvalue")
    effect, p = answer.numbers(effect_column), answer.numbers(p_column)
    if bool((p < 0).any() or (p > 1).any()):
        raise QueryError(
            f"volcano: column {p_column!r} has values outside 0 to 1", hint="give p-values, not their logs"
        )
    known = np.isfinite(effect) & np.isfinite(p)
    if not known.any():
        raise QueryError("volcano: no row has an effect and a p", hint="look at the answer with `cytolake sql`")
    height, zero = _heights(p), known & (p == 0)
    significant = known & (p <= options["p_threshold"]) & (np.abs(effect) >= options["effect_threshold"])
    picture = figure(6.4, 4.8)
    axes = picture.add_subplot()
    for chosen, colour, shape in (
        (known & ~significant & ~zero, GREY, "o"),
        (significant & (effect > 0) & ~zero, PALETTE[1], "o"),
        (significant & (effect <= 0) & ~zero, PALETTE[0], "o"),
        (zero, PALETTE[3], "^"),
    ):
        axes.scatter(effect[chosen], height[chosen], s=14, color=colour, marker=shape, linewidths=0, alpha=0.8)
    axes.axhline(-np.log10(options["p_threshold"]), color=GREY, linewidth=0.7, linestyle="--")
    for side in {options["effect_threshold"], -options["effect_threshold"]} - {0.0}:
        axes.axvline(side, color=GREY, linewidth=0.7, linestyle="--")
    axes.set_xlabel(options["xlabel"] or effect_column)
    axes.set_ylabel(f"−log₁₀ {p_column}")
    label_column = answer.maybe("label", options, "gene", "compound", "perturbation", "treatment", "feature")
    if label_column:
        texts = [one_line(text) for text in answer.texts(label_column)]
        order = [int(one) for one in np.lexsort((-np.abs(effect), -height)) if significant[one]][: options["labels"]]
        _name(axes, [(texts[one], float(effect[one]), float(height[one])) for one in order])
    passed = f"{int(significant.sum()):,} of {int(known.sum()):,} pass {p_column} ≤ {options['p_threshold']:g}"
    if options["effect_threshold"]:
        passed += f" and |{effect_column}| ≥ {options['effect_threshold']:g}"
    zeros = f"{int(zero.sum()):,} with p = 0 as ▲" if zero.any() else ""
    note(picture, [passed, zeros, left_out(int((~known).sum()), "row", "no effect or no p")])
    return picture


def _name(axes: Axes, points: list[tuple[str, float, float]]) -> None:
    """Write names beside points, the strongest first; one that finds no free place is left out."""
    picture = axes.get_figure()
    assert picture is not None
    picture.draw_without_rendering()  # type: ignore[union-attr]
    taken: list[Bbox] = []
    for text, x, y in points:
        for at, side in (((4, 3), "left"), ((-4, 3), "right"), ((4, -9), "left"), ((-4, -9), "right")):
            said = axes.annotate(text, (x, y), at, textcoords="offset points", fontsize=7.5, ha=side)
            box = said.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            said.remove()


def _heights(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -log10 p, shape (rows,); p = 0 a little above all others."""
    with np.errstate(divide="ignore", invalid="ignore"):
        height = -np.log10(p)
    finite = height[np.isfinite(height)]
    top = float(finite.max()) if finite.size else 1.0
    return np.where(p == 0, top * 1.05 + 0.5, height)
