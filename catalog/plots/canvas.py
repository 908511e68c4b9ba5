"""What all pictures share: their look, the sentence below them, and how they become bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that people with any colour vision tell apart (Okabe and Ito 2008, https://jfly.uni-koeln.de/color/).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#8a8a8a"
_DPI = 150
_LONGEST = 60  # characters of a label
_LOOK: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "cytolake",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "figure.facecolor": "white",
}


def drawn(draw: Callable[[], Figure], *, format: str, title: str | None) -> bytes:
    """Draw a figure and return it as a file.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib is not installed", hint="pip install 'cytolake[plots]'") from error
    with matplotlib.rc_context(_LOOK):
        picture = draw()
        if title:
            picture.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
        file = io.BytesIO()
        # The date of drawing would make the same picture another file.
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        picture.savefig(file, format=format, dpi=_DPI, metadata=metadata, bbox_inches="tight")
    return file.getvalue()


def figure(width: float, height: float) -> Figure:
    """Return an empty figure; ``width`` and ``height`` are inches. It belongs to no window and no global list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def note(picture: Figure, sentences: Sequence[str]) -> None:
    """Write below a picture what it does not show."""
    said = [one for one in sentences if one]
    if said:
        picture.supxlabel("; ".join(said), fontsize=7.5, color=GREY, x=0.01, ha="left")


def label_ticks(axes: Axes, *, x: Sequence[str] | None = None, y: Sequence[str] | None = None, **style: Any) -> None:
    """Put texts at 0, 1, 2 ... of an axis, just as they are."""
    if x is not None:
        axes.set_xticks(range(len(x)), list(x), **style)
    if y is not None:
        axes.set_yticks(range(len(y)), list(y), **style)


def one_line(text: str) -> str:
    """Return a text as one line that leaves room for the plot."""
    whole = " ".join(text.split())
    return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"


def left_out(count: int, what: str, why: str) -> str:
    """Return a sentence about rows that are not drawn; an empty one where there are none."""
    return f"{count:,} {what}{'' if count == 1 else 's'} not drawn: {why}" if count else ""
