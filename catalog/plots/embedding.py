"""Embeddings: rows as points in a plane, coloured by what they are.

Where the answer has no coordinates, they are the first two principal components of its columns of numbers, each
standardised (Jolliffe 2002, Principal Component Analysis, section 2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtraError, QueryError, UsageError
from ...wording import did_you_mean
from ..columns import classify
from .answer import Answer, Options, is_number
from .canvas import GREY, PALETTE, figure, left_out, note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SETTINGS = {"x": str, "y": str, "color": str, "method": "pca", "seed": 0}
_SHAPES = ("o", "s", "^", "D", "v", "P")
_METHODS = ("pca", "umap")
#: Groups that have a colour and a shape of their own; the others are grey.
_MOST_GROUPS = len(PALETTE) * len(_SHAPES)


def draw(answer: Answer, options: Options) -> Figure:
    """Draw the points; the colour is a number's scale, or a group's own.

    Raises
    ------
    QueryError
        There are no coordinates, and fewer than two columns and three rows to make them of.
    UsageError
        The method is unknown.
    MissingExtraError
        The method is umap and umap-learn is not installed.
    """
    x, y = answer.maybe("x", options, "umap_1", "pc_1"), answer.maybe("y", options, "umap_2", "pc_2")
    said: list[str] = []
    if x is not None and y is not None:
        points = np.column_stack([answer.numbers(x), answer.numbers(y)])
        names = (x, y)
    else:
        points, names, said = _placed(answer, options)
    known = np.asarray(np.isfinite(points).all(axis=1))
    picture = figure(7.2, 5.2)
    axes = picture.add_subplot()
    color = answer.maybe("color", options, "perturbation", "compound", "gene", "control_type", "treatment", "study_id")
    if color is None:
        _scatter(axes, points[known], s=_size(known), color=PALETTE[0], alpha=0.8)
    elif is_number(answer.rows[color].type):
        values = answer.numbers(color)
        _scatter(axes, points[known & np.isnan(values)], s=_size(known), color=GREY)
        with_value = known & np.isfinite(values)
        drawn = _scatter(axes, points[with_value], s=_size(known), c=values[with_value], cmap="viridis")
        picture.colorbar(drawn, ax=axes, label=color, shrink=0.8)
    else:
        said.append(_groups(axes, points, known, answer.texts(color), color))
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    note(picture, [f"{int(known.sum()):,} points", *said, left_out(int((~known).sum()), "row", "no coordinates")])
    return picture


def _groups(axes: Axes, points: NDArray[np.float64], known: NDArray[np.bool_], labels: list[str], name: str) -> str:
    """Draw each group in its colour, the largest first in the legend; return what the legend does not say."""
    given = np.array(labels)
    groups, counts = np.unique(given[known & (given != "")], return_counts=True)
    order = [str(group) for group in groups[np.lexsort((groups, -counts))]]
    shown = order[:_MOST_GROUPS]
    others = known & ~np.isin(given, shown)
    _scatter(axes, points[others], s=_size(known), color=GREY, alpha=0.6)
    for number, group in enumerate(shown):
        mine = known & (given == group)
        shape = _SHAPES[number // len(PALETTE)]
        _scatter(
            axes,
            points[mine],
            s=_size(known),
            color=PALETTE[number % len(PALETTE)],
            marker=shape,
            label=group if len(group) <= 40 else f"{group[:39]}…",
        )
    if shown:
        columns = 1 if len(shown) <= 20 else 2
        legend = axes.legend(
            title=name, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7, markerscale=1.3, ncols=columns
        )
        legend.set_in_layout(True)
    more = len(order) - len(shown)
    return f"grey: {more} more of {name}, or none" if more else "grey: none" if others.any() else ""


def _placed(answer: Answer, options: Options) -> tuple[NDArray[np.float64], tuple[str, str], list[str]]:
    """Return coordinates of each row, (rows, 2) with NaN where there are none; the axes' names; what was left out."""
    method = options["method"]
    if method not in _METHODS:
        raise UsageError(f"embedding: there is no method {method!r}{did_you_mean(method, _METHODS)}")
    features = [name for name in classify(answer.rows.schema).features if is_number(answer.rows[name].type)]
    values = np.column_stack([answer.numbers(name) for name in features]) if features else np.empty((0, 0))
    whole = np.isfinite(values).all(axis=0)
    deviation = values[:, whole].std(axis=0) if values.size else np.empty(0)
    used = values[:, whole][:, deviation > 0] if values.size else values
    if used.shape[0] < 3 or used.shape[1] < 2:
        raise QueryError(
            f"embedding: {used.shape[0]} rows with {used.shape[1]} columns that vary and have no gaps are too few",
            hint="ask for features (SELECT * FROM profiles), or for coordinates (... AS x, ... AS y)",
        )
    said = [f"of {used.shape[1]:,} columns"]
    if len(features) > used.shape[1]:
        lost = len(features) - used.shape[1]
        said.append(f"{lost:,} column{'' if lost == 1 else 's'} left out: empty in some row, or constant")
    standard = (used - used.mean(axis=0)) / used.std(axis=0)
    if method == "umap":
        return _umap(standard, options["seed"]), ("UMAP 1", "UMAP 2"), said
    left, singular, _ = np.linalg.svd(standard, full_matrices=False)
    # The sign of a component is free: the largest part is made positive, so that the picture is always the same.
    points = left[:, :2] * singular[:2]
    points *= np.sign(points[np.abs(points).argmax(axis=0), range(2)])
    share = singular**2 / (singular**2).sum()
    return points, (f"PC 1 ({share[0]:.0%})", f"PC 2 ({share[1]:.0%})"), said


def _umap(standard: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    try:
        import umap
    except ImportError as error:
        raise MissingExtraError(
            "umap-learn is not installed", hint="pip install 'cytolake[plots]', or --set method=pca"
        ) from error
    neighbors = min(15, standard.shape[0] - 1)
    made = umap.UMAP(n_neighbors=neighbors, random_state=seed, n_jobs=1).fit_transform(standard)
    return np.asarray(made, dtype=np.float64)


def _scatter(axes: Axes, points: NDArray[np.float64], **style: Any) -> Any:
    return axes.scatter(points[:, 0], points[:, 1], linewidths=0, **style)


def _size(known: NDArray[np.bool_]) -> float:
    return float(np.clip(3000 / max(1, int(known.sum())), 3, 22))
