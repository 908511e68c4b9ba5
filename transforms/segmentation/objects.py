"""What is done to label images after segmentation: border and size rules, numbering, one set without another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
BorderRule = Literal["keep", "discard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which objects of a set stay: by the image border, and by area in pixels."""

    border: BorderRule = "keep"
    min_area_px: float = 0.0
    max_area_px: float = float("inf")


def areas(labels: Labels) -> npt.NDArray[np.int64]:
    """Pixels of each label value, indexed by label; entry 0 is the background."""
    return np.bincount(labels.ravel(), minlength=1)


def count(labels: Labels) -> int:
    """How many objects there are."""
    return int(np.count_nonzero(areas(labels)[1:]))


def touches_border(labels: Labels) -> npt.NDArray[np.bool_]:
    """Whether each label value has a pixel on the image border, indexed by label; entry 0 says nothing."""
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    touching = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.bool_)
    touching[edge] = True
    return touching


def too_small(labels: Labels, rules: Rules) -> npt.NDArray[np.bool_]:
    """Whether each label value is below the area that the rules ask for, indexed by label."""
    return areas(labels) < rules.min_area_px


def broken(labels: Labels, rules: Rules) -> npt.NDArray[np.bool_]:
    """Whether each label value breaks one of the rules, indexed by label; absent values break none."""
    area = areas(labels)
    dropped = (area < rules.min_area_px) | (area > rules.max_area_px)
    if rules.border == "discard":
        dropped |= touches_border(labels)
    dropped &= area > 0
    dropped[0] = False
    return dropped


def drop(labels: Labels, dropped: npt.NDArray[np.bool_]) -> Labels:
    """Set the objects whose entry in ``dropped`` is true to background; the others keep their numbers."""
    keep = np.arange(dropped.size, dtype=np.int32)
    keep[dropped] = 0
    return keep[labels]


def new_numbers(kept: npt.NDArray[np.bool_]) -> Labels:
    """Give the labels whose entry in ``kept`` is true the numbers 1, 2, …, and the others and the background 0."""
    stays = kept.copy()
    stays[0] = False
    return np.where(stays, np.cumsum(stays), 0).astype(np.int32)


def number(labels: Labels, last: npt.NDArray[np.bool_] | None = None) -> tuple[Labels, int]:
    """Give objects the numbers 1, 2, … in the order in which rows of pixels meet them.

    Parameters
    ----------
    labels
        int32 (y, x), any non-negative values.
    last
        Indexed by label value: objects that are to be numbered after all others.

    Returns
    -------
    labels, count
        The new label image, and how many objects are not in ``last``: they have the numbers 1 … count.
    """
    pixels = np.flatnonzero(labels)[::-1]
    first = np.full(int(labels.max(initial=0)) + 1, -1, dtype=np.int64)
    # Written from the last pixel to the first, so that the first one stays.
    first[labels.ravel()[pixels]] = pixels
    values = np.flatnonzero(first >= 0)
    behind = np.zeros(values.size, dtype=np.bool_) if last is None else last[values]
    order = values[np.lexsort((first[values], behind))]
    table = np.zeros(first.size, dtype=np.int32)
    table[order] = np.arange(1, order.size + 1, dtype=np.int32)
    return table[labels], int(order.size - behind.sum())


def subtract(whole: Labels, part: Labels) -> Labels:
    """Objects of ``whole`` without the pixels of any object of ``part`` (cytoplasm = cells − nuclei).

    Numbers are those of ``whole``. An object that lies under ``part`` entirely is absent from the result.
    """
    if whole.shape != part.shape:
        raise ValueError(f"label images of different shapes: {whole.shape} and {part.shape}")
    return np.where(part > 0, np.int32(0), whole)
