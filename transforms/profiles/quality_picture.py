"""What a check of features found, as a picture: plates from left to right, families of features from top to bottom."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import NotFoundError
from ...store.contents import families_of
from ...store.images.picture import LONGEST_TITLE, caption_font, plain_text, ramp, to_png
from ...store.registry import DefinedSet, feature_sets, profile_sets, resolve_any
from .quality import plates_in_order
from .verdicts import TABLE

if TYPE_CHECKING:
    from PIL import ImageDraw

    from ...store.root import LakeRoot

#: What is drawn, and the value that has the brightest colour: more is as bright.
_SHOWN: Mapping[str, float] = {"ControlDrift": 3.0, "PSI": 0.5, "NullFraction": 0.2}
_TITLES = {
    "ControlDrift": "drift of controls (median size over features, in deviations of controls)",
    "PSI": "shift against the reference (median PSI over features)",
    "NullFraction": "rows without a value (mean share over features)",
    "ReplicateCorrelation": "correlation of replicates (median)",
}
#: Plates and families beyond these are left out, and that is said.
MOST_PLATES, MOST_FAMILIES = 48, 24
#: Families that the dictionary does not know.
_OTHER = "other"
_ALL = "all families"
_PAPER, _INK, _FAINT, _ALARM = (255, 255, 255), (32, 36, 44), (150, 156, 166), (190, 40, 40)
_MARGIN, _LINE, _CELL_WIDTH, _CELL_HEIGHT, _NAMES = 14, 18, 46, 22, 150
_TOP = 70  # title and note
_LETTERS = 7  # of a plate's name above its column
_DARK = 0.55  # up to here the ramp is dark, and what is written on it white


@dataclass(frozen=True, slots=True)
class _Panel:
    """One heat map: rows by name, plates by column, NaN where nothing is known, and where a threshold was passed."""

    title: str
    rows: Sequence[str]
    values: np.ndarray[Any, np.dtype[np.float64]]
    beyond: np.ndarray[Any, np.dtype[np.bool_]]
    brightest: float
    lowest: float = 0.0


def quality_picture(root: LakeRoot, *, study_id: str, source: str | None = None) -> bytes:
    """Draw the last check of a study's features: drift, shift and empty values, per plate and family of features.

    Plates are in the order in which they were taken. Each cell carries its number; those with a value beyond its
    threshold have a red frame.

    Parameters
    ----------
    source
        The set; all that were checked where None.

    Returns
    -------
    bytes
        A PNG.

    Raises
    ------
    NotFoundError
        The study has not been checked, or not this set of it.
    """
    where: dict[str, Any] = {"study_id": study_id}
    if source is not None:
        where["feature_set_hash"] = resolve_any(root, source).hash
    rows = root.tables.read(TABLE, where=where)
    if not rows.num_rows:
        what = f"study {study_id!r}" if source is None else f"{source} of study {study_id!r}"
        raise NotFoundError(
            f"nobody has checked {what} yet", hint=f"run `cytolake features check --study {study_id}` first"
        )
    known: list[DefinedSet] = [*feature_sets(root), *profile_sets(root)]
    named = sorted({plate for plate in rows["plate_id"].to_pylist() if plate is not None})
    plates, _, _ = plates_in_order(root, study_id, named)
    panels: list[_Panel] = []
    parts = rows.select(["feature_set", "feature_set_hash", "object_set"])
    for key in parts.group_by(parts.column_names, use_threads=False).aggregate([]).to_pylist():
        own = rows.filter(
            pc.and_(
                pc.equal(rows["feature_set_hash"], key["feature_set_hash"]),
                pc.equal(rows["object_set"], key["object_set"]),
            )
        )
        one = next(other for other in known if other.hash == key["feature_set_hash"])
        families = families_of(root, one, known)
        panels += _panels(own, f"{key['feature_set']} {key['object_set']}", families, plates[:MOST_PLATES])
    return _draw(panels, plates, f"features of study {study_id}")


def _panels(rows: pa.Table, what: str, families: Mapping[str, str], plates: Sequence[str]) -> list[_Panel]:
    found = []
    for metric, brightest in _SHOWN.items():
        cells: dict[tuple[str, str], list[float]] = {}
        bad: set[tuple[str, str]] = set()
        for plate, feature, value, verdict in _of(rows, metric):
            if feature is not None and plate is not None:
                cell = families.get(feature, _OTHER), plate
                cells.setdefault(cell, []).append(math.nan if value is None else abs(value))
                if verdict in {"warning", "refused"}:
                    bad.add(cell)
        names = sorted({family for family, _ in cells}, key=lambda family: (family == _OTHER, family))
        if names:
            middle = np.nanmean if metric == "NullFraction" else np.nanmedian
            if metric == "NullFraction" and not any(value > 0 for values in cells.values() for value in values):
                names, cells, bad = [_ALL], {(_ALL, plate): [0.0] for _, plate in cells}, set()
            found.append(_panel(f"{what}: {_TITLES[metric]}", names, plates, cells, bad, middle, brightest))
    of_plates = [one for one in _of(rows, "ReplicateCorrelation") if one[0] is not None]
    replicates = {(what, str(plate)): [value] for plate, _, value, _ in of_plates if value is not None}
    if replicates:
        bad = {(what, str(plate)) for plate, _, _, verdict in of_plates if verdict in {"warning", "refused"}}
        title = f"{what}: {_TITLES['ReplicateCorrelation']}"
        found.append(_panel(title, [what], plates, replicates, bad, np.nanmedian, 1.0))
    return found


def _of(rows: pa.Table, metric: str) -> list[tuple[Any, Any, Any, Any]]:
    own = rows.filter(pc.equal(rows["metric"], pa.scalar(metric))).select(["plate_id", "feature", "value", "verdict"])
    return list(zip(*(column.to_pylist() for column in own.columns), strict=True))


def _panel(
    title: str,
    names: Sequence[str],
    plates: Sequence[str],
    cells: Mapping[tuple[str, str], Sequence[float]],
    bad: set[tuple[str, str]],
    middle: Any,
    brightest: float,
) -> _Panel:
    shown = names[:MOST_FAMILIES]
    values = np.full((len(shown), len(plates)), np.nan)
    for row, name in enumerate(shown):
        for column, plate in enumerate(plates):
            own = np.asarray(cells.get((name, plate), ()), dtype=np.float64)
            if (~np.isnan(own)).any():
                values[row, column] = middle(own)
    beyond = np.array([[(name, plate) in bad for plate in plates] for name in shown], dtype=bool)
    left = len(names) - len(shown)
    return _Panel(f"{title}; {left} more not drawn" if left else title, shown, values, beyond, brightest)


def _draw(panels: Sequence[_Panel], plates: Sequence[str], title: str) -> bytes:
    from PIL import Image, ImageDraw

    font, small, tiny = caption_font(17), caption_font(13), caption_font(11)
    shown = plates[:MOST_PLATES]
    longest = max((len(name) for panel in panels for name in panel.rows), default=0)
    names = min(_NAMES * 2, max(_NAMES, 7 * longest))
    width = max(620, 2 * _MARGIN + names + _CELL_WIDTH * len(shown))
    heights = [3 * _LINE + _CELL_HEIGHT * len(panel.rows) + _MARGIN for panel in panels]
    image = Image.new("RGB", (width, _TOP + sum(heights) + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN), plain_text(title[:LONGEST_TITLE]), fill=_INK, font=font)
    note = "red frame: a feature is beyond its threshold, and beyond chance; empty: not defined"
    if len(plates) > len(shown):
        note = f"the first {len(shown)} of {len(plates)} plates; {note}"
    draw.text((_MARGIN, _MARGIN + 22), note, fill=_FAINT, font=small)
    top = _TOP
    for panel, height in zip(panels, heights, strict=True):
        draw.text((_MARGIN, top), plain_text(panel.title[:LONGEST_TITLE]), fill=_INK, font=small)
        left = _MARGIN + names
        for column, plate in enumerate(_short_names(shown)):
            draw.text((left + column * _CELL_WIDTH + 2, top + _LINE + 2), plate, fill=_FAINT, font=tiny)
        for row, name in enumerate(panel.rows):
            y = top + 2 * _LINE + row * _CELL_HEIGHT
            draw.text((_MARGIN, y + 4), plain_text(name[:42]), fill=_INK, font=small)
            for column in range(len(shown)):
                _cell(draw, (left + column * _CELL_WIDTH, y), panel, row, column, tiny)
        top += height
    return to_png(image)


def _cell(draw: ImageDraw.ImageDraw, at: tuple[int, int], panel: _Panel, row: int, column: int, font: Any) -> None:
    """Draw one value: its colour, its number, and a frame where it is beyond a threshold."""
    (x, y), value = at, float(panel.values[row, column])
    box = (x, y, x + _CELL_WIDTH - 3, y + _CELL_HEIGHT - 3)
    framed = bool(panel.beyond[row, column])
    outline = _ALARM if framed else _FAINT
    if math.isnan(value):
        draw.rectangle(box, fill=_PAPER, outline=outline, width=2 if framed else 1)
        return
    share = min(1.0, max(0.0, (value - panel.lowest) / (panel.brightest - panel.lowest)))
    draw.rectangle(box, fill=ramp(share), outline=outline if framed else None, width=2 if framed else 1)
    middle = (x + (_CELL_WIDTH - 3) / 2, y + (_CELL_HEIGHT - 3) / 2)
    draw.text(middle, _number(value), fill=_PAPER if share < _DARK else _INK, font=font, anchor="mm")


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}" if abs(value) < 10_000 else ">9999"


def _short_names(plates: Sequence[str]) -> list[str]:
    """Return what of the plates' names fits above a column: what they do not have in common, at most its end."""
    # Names, no paths: letter by letter is what is meant.
    common = len(os.path.commonprefix(list(plates))) if len(plates) > 1 else 0  # noqa: RUF071
    names = [plain_text(plate[common:] if len(plate) > _LETTERS else plate) for plate in plates]
    return [name if len(name) <= _LETTERS else f"..{name[2 - _LETTERS :]}" for name in names]
