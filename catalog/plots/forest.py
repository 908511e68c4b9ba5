"""Forest plots: estimates with their intervals, one below the other; pooled ones as diamonds.

Lewis and Clarke 2001, https://doi.org/10.1136/bmj.322.7300.1479.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import QueryError
from .answer import Answer, Options
from .canvas import GREY, PALETTE, figure, left_out, note, one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = {
    "label": str,
    "estimate": str,
    "ci_low": str,
    "ci_high": str,
    "se": str,
    "group": str,
    "weight": str,
    "kind": str,
    "reference": 0.0,
    "xlabel": str,
}
_MOST = 150
_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def draw(answer: Answer, options: Options) -> Figure:
    """Draw the rows in their order; a ``group`` puts a heading above its rows, a ``kind`` says what a row is.

    Kinds are ``study``, ``pooled`` (a diamond) and ``prediction`` (a bar without a mark).

    Raises
    ------
    QueryError
        There are too many rows to read, or no interval, or one that ends before it begins.
    """
    if answer.rows.num_rows > _MOST:
        raise QueryError(
            f"forest: {answer.rows.num_rows:,} rows cannot be read in one picture",
            hint=f"choose {_MOST} at most (LIMIT)",
        )
    labels = answer.texts(answer.need("label", options, "gene", "compound", "perturbation", "treatment", "study_id"))
    estimate = answer.numbers(answer.need("estimate", options, "effect"))
    low, high = _interval(answer, options, estimate)
    group_column, kind_column = answer.maybe("group", options), answer.maybe("kind", options)
    groups = answer.texts(group_column) if group_column else [""] * len(labels)
    kinds = answer.texts(kind_column) if kind_column else ["study"] * len(labels)
    weight_column = answer.maybe("weight", options)
    weight = answer.numbers(weight_column) if weight_column else np.full(len(labels), np.nan)
    largest = np.nanmax(weight) if np.isfinite(weight).any() else np.nan
    rows: list[tuple[float, str, bool]] = []
    picture = figure(7.2, 1.1 + 0.24 * (len(labels) + len(set(groups) - {""})))
    axes = picture.add_subplot()
    at = 0.0
    for index, label in enumerate(labels):
        if groups[index] and (index == 0 or groups[index] != groups[index - 1]):
            rows.append((at, one_line(groups[index]), True))
            at += 1
        rows.append((at, f"  {one_line(label)}" if groups[index] else one_line(label), False))
        if np.isfinite([estimate[index], low[index], high[index]]).all():
            _row(axes, at, (low[index], estimate[index], high[index]), kinds[index], weight[index] / largest)
        else:
            axes.text(
                0.5, at, "no estimate", color=GREY, transform=axes.get_yaxis_transform(), va="center", ha="center"
            )
        at += 1
    axes.axvline(options["reference"], color=GREY, linewidth=0.8, zorder=0)
    axes.set_ylim(at - 0.4, -0.6)
    axes.set_yticks([place for place, _, _ in rows], [text for _, text, _ in rows])
    for tick, (_, _, heading) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_horizontalalignment("left")
        tick.set_fontweight("bold" if heading else "normal")
    axes.tick_params(axis="y", length=0, pad=_pad([text for _, text, _ in rows]))
    axes.set_xlabel(options["xlabel"] or "estimate")
    right = axes.secondary_yaxis("right")
    right.set_yticks([place for place, _, heading in rows if not heading], _numbers(estimate, low, high), fontsize=8)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    axes.spines["left"].set_visible(False)
    lost = int((~np.isfinite(estimate)).sum())
    note(picture, [left_out(lost, "row", "no estimate")])
    return picture


def _interval(answer: Answer, options: Options, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if answer.maybe("ci_low", options) is None and answer.maybe("se", options) is not None:
        half = _Z * answer.numbers(answer.need("se", options))
        if (half < 0).any():
            raise QueryError("forest: a standard error is below 0", hint="look at the answer with `cytolake sql`")
        return estimate - half, estimate + half
    low, high = answer.numbers(answer.need("ci_low", options)), answer.numbers(answer.need("ci_high", options))
    if (low > high).any():
        raise QueryError("forest: an interval ends before it begins", hint="is ci_low what ci_high should be?")
    return low, high


def _row(axes: object, at: float, values: tuple[float, float, float], kind: str, share: float) -> None:
    low, middle, high = values
    if kind == "pooled":
        axes.fill([low, middle, high, middle], [at, at - 0.32, at, at + 0.32], color=PALETTE[1], linewidth=0)  # type: ignore[attr-defined]
    elif kind == "prediction":
        axes.plot([low, high], [at, at], color=PALETTE[1], linewidth=3, alpha=0.45, solid_capstyle="butt")  # type: ignore[attr-defined]
    else:
        size = 5.0 if np.isnan(share) else 3.0 + 5.0 * float(np.sqrt(max(share, 0.0)))
        axes.plot([low, high], [at, at], color=PALETTE[0], linewidth=1.2)  # type: ignore[attr-defined]
        axes.plot([middle], [at], marker="s", markersize=size, color=PALETTE[0])  # type: ignore[attr-defined]


def _pad(labels: list[str]) -> float:
    """Return how far left of the axis labels begin, in points, so that all of them end before it."""
    return 8 + 5.2 * max(len(label) for label in labels)


def _numbers(estimate: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[str]:
    rows = zip(estimate, low, high, strict=True)
    return ["" if np.isnan([a, b, c]).any() else f"{a:.2f} [{b:.2f}, {c:.2f}]" for a, b, c in rows]
