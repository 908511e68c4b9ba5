"""Pictures of answers: a question's rows as a forest plot, heat maps of plates, a volcano or an embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ...errors import UsageError
from ...wording import did_you_mean
from . import embedding, forest, heatmap, volcano
from .answer import Answer, Options, drawable
from .canvas import drawn
from .picture import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..result import Result

#: Kind → what draws it, and the settings that it takes: name → default.
KINDS: Mapping[str, tuple[Callable[[Answer, Options], Figure], Mapping[str, Any]]] = {
    "forest": (forest.draw, forest.SETTINGS),
    "heatmap": (heatmap.draw, heatmap.SETTINGS),
    "volcano": (volcano.draw, volcano.SETTINGS),
    "embedding": (embedding.draw, embedding.SETTINGS),
}
#: More rows than these are no picture any more, and a slip most of the time.
MOST_ROWS = 200_000


def plot(
    result: Result,
    kind: str,
    *,
    format: Literal["png", "svg"] = "png",
    title: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Picture:
    """Draw the answer of a question.

    Parameters
    ----------
    kind
        ``forest``: rows with ``label``, ``estimate`` and ``ci_low``, ``ci_high`` (or ``se``); ``heatmap``: rows with
        ``plate_id``, ``well_id`` and a number; ``volcano``: rows with ``effect`` and ``p``; ``embedding``: rows with
        ``x`` and ``y``, or with columns of numbers, of which the first two principal components are drawn.
    options
        Settings of the kind, as values or as text; a setting that is called like a column that the kind needs says
        which column of the answer it is (``label="gene"``).

    Returns
    -------
    Picture
        Bytes, which a notebook shows as a picture. The same rows and settings give the same bytes with the same version
        of matplotlib.

    Raises
    ------
    UsageError
        There is no such kind or setting, or a setting is no number where one is needed.
    QueryError
        The answer has no rows, or lacks a column that the kind needs.
    MissingExtraError
        matplotlib is not installed.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no plot {kind!r}{did_you_mean(kind, KINDS)}", hint=f"there are {', '.join(KINDS)}")
    if format not in ("png", "svg"):
        raise UsageError(f"pictures are png or svg, not {format!r}")
    draw, settings = KINDS[kind]
    given = Options.read(kind, options or {}, settings)
    answer = Answer.take(result, most=MOST_ROWS)
    return Picture(drawn(lambda: draw(answer, given), format=format, title=title and drawable(title)))
