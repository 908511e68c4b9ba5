"""Which object of one time point is which of the next: tracks with gaps and divisions, over one field.

The assignment is that of Jaqaman et al. (2008, Nature Methods 5:695) as laptrack solves it: first objects of
neighbouring frames are linked at the least sum of squared distances, then the ends and starts of those segments are
joined over gaps, and starts are hung onto objects beside them as divisions, all at once. Positions are the centroids,
in µm, with the field's drift taken off.

A *track* is one cell from its appearance or birth to its division or disappearance. The tracks that descend from one
form its *lineage*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .settings import TrackingSettings, require_laptrack

if TYPE_CHECKING:
    from ..features.label_index import LabelIndex

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Cost of leaving an end or a start alone over that of the farthest join, as Jaqaman et al. have it.
_ALTERNATIVE = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of one set in all time points of one field, sorted by time point and label.

    Attributes
    ----------
    timepoint, object_id : int64 (n,)
    y, x : float64 (n,)
        Centroids in pixels of their own frame.
    area : float64 (n,)
        Pixels.
    """

    timepoint: IntArray
    object_id: IntArray
    y: FloatArray
    x: FloatArray
    area: FloatArray

    def __len__(self) -> int:
        return len(self.timepoint)

    @classmethod
    def joined(cls, parts: Sequence[Objects]) -> Objects:
        """Join the objects of several time points, which come in their order."""
        return cls(
            timepoint=np.concatenate([np.zeros(0, np.int64), *(part.timepoint for part in parts)]),
            object_id=np.concatenate([np.zeros(0, np.int64), *(part.object_id for part in parts)]),
            y=np.concatenate([np.zeros(0), *(part.y for part in parts)]),
            x=np.concatenate([np.zeros(0), *(part.x for part in parts)]),
            area=np.concatenate([np.zeros(0), *(part.area for part in parts)]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """For each object the one that it was before.

    Attributes
    ----------
    before : int64 (n,)
        Row of the object that it was, or that it was born from; -1 where there is none.
    also_before : int64 (n,)
        Row of the second object that became this one, the farther one; -1 where there is none.
    """

    before: IntArray
    also_before: IntArray


def objects_of(index: LabelIndex, timepoint: int) -> Objects:
    """Take positions and areas from the label index of one time point."""
    n = len(index)
    area = np.diff(index.offsets).astype(np.float64)
    y, x = np.divmod(index.pixels, index.shape[1])
    starts = index.offsets[:-1]
    return Objects(
        timepoint=np.full(n, timepoint, np.int64),
        object_id=index.object_ids.astype(np.int64),
        y=np.add.reduceat(y, starts, dtype=np.float64) / area if n else np.zeros(0),
        x=np.add.reduceat(x, starts, dtype=np.float64) / area if n else np.zeros(0),
        area=area,
    )


def link(positions: FloatArray, timepoint: IntArray, area: FloatArray, settings: TrackingSettings) -> Links:
    """Link objects over time.

    Parameters
    ----------
    positions : float64 (n, 2)
        In µm, drift taken off, rows sorted by time point.
    timepoint : int64 (n,)
    area : float64 (n,)
        In any unit; for sisters that are no sisters.
    settings
        What is allowed.

    Raises
    ------
    MissingExtraError
        laptrack is not installed.
    """
    n = len(timepoint)
    before, also_before = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    if n and timepoint[0] != timepoint[-1]:
        for first, second in _edges(positions, timepoint, settings):
            _hang(second, first, before, also_before, positions)
        _part_false_sisters(before, also_before, area, settings.least_sister_ratio)
    return Links(before=before, also_before=also_before)


def _edges(positions: FloatArray, timepoint: IntArray, settings: TrackingSettings) -> list[tuple[int, int]]:
    """Give the links as pairs of rows, the earlier first, sorted."""
    require_laptrack()
    from laptrack import LapTrack

    farthest = settings.max_distance_um**2
    # One frame for each time point between the first and the last object, also those without any.
    starts = np.searchsorted(timepoint, np.arange(timepoint[0], timepoint[-1] + 2))
    frames = [positions[start:stop] for start, stop in pairwise(starts)]
    graph = LapTrack(
        cutoff=farthest,
        gap_closing_cutoff=farthest,
        gap_closing_max_frame_count=settings.max_gap + 1,
        splitting_cutoff=farthest if settings.divisions else False,
        merging_cutoff=farthest if settings.merges else False,
        # What it costs to join nothing. By default it is taken from the costs of whatever candidates there are, so that
        # a lone division would be found or not for what else happens in the field.
        segment_start_cost=_ALTERNATIVE * farthest,
        segment_end_cost=_ALTERNATIVE * farthest,
        no_splitting_cost=_ALTERNATIVE * farthest,
        no_merging_cost=_ALTERNATIVE * farthest,
    ).predict(frames)
    return sorted((int(starts[f] + i), int(starts[g] + j)) for (f, i), (g, j) in graph.edges())


def _hang(row: int, to: int, before: IntArray, also_before: IntArray, positions: FloatArray) -> None:
    """Say that ``row`` was ``to`` before, the nearer one first where it was two."""
    if before[row] < 0:
        before[row] = to
        return
    old = before[row]
    nearer = np.linalg.norm(positions[to] - positions[row]) < np.linalg.norm(positions[old] - positions[row])
    before[row], also_before[row] = (to, old) if nearer else (old, to)


def _part_false_sisters(before: IntArray, also_before: IntArray, area: FloatArray, least_ratio: float) -> None:
    """Take the smaller one of two sisters off its mother where the larger one is out of proportion."""
    for first, second in sisters(before):
        small, large = (first, second) if area[first] < area[second] else (second, first)
        if area[small] < least_ratio * area[large]:
            before[small], also_before[small] = also_before[small], -1


def sisters(before: IntArray) -> list[tuple[int, int]]:
    """Give the pairs of rows that were one object before."""
    order = np.argsort(before, kind="stable")
    same = (before[order[1:]] == before[order[:-1]]) & (before[order[1:]] >= 0)
    return [(int(order[i]), int(order[i + 1])) for i in np.flatnonzero(same)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The tracks that links make, an entry per object.

    Attributes
    ----------
    track, founder : int64 (n,)
        Number of the track, from 1 in the order of their first objects; that of the first track of its lineage.
    parent, second_parent : int64 (n,)
        Track that it was born from; that which merged into it as the second. 0 where there is none.
    generation : int64 (n,)
        How many divisions lie behind it in this field.
    divides : bool (n,)
        The last object of a track that divides.
    first : bool (n,)
        The first object of a track.
    """

    track: IntArray
    founder: IntArray
    parent: IntArray
    second_parent: IntArray
    generation: IntArray
    divides: npt.NDArray[np.bool_]
    first: npt.NDArray[np.bool_]


def lineage(links: Links) -> Lineage:
    """Cut links into tracks: a track ends where it divides, merges or disappears."""
    before, also = links.before, links.also_before
    n = len(before)
    successors = np.bincount(before[before >= 0], minlength=n)
    divides = successors > 1
    linked, merged = before >= 0, also >= 0
    first = ~linked | merged
    first[linked] |= divides[before[linked]]
    track = np.zeros(n, np.int64)
    track[first] = np.arange(1, np.count_nonzero(first) + 1)
    founder, parent, second, generation = np.zeros((4, n), np.int64)
    for row in range(n):  # what is before a row has been seen: rows are in the order of time
        mother = before[row]
        if not first[row]:
            track[row], founder[row], parent[row] = track[mother], founder[mother], parent[mother]
            second[row], generation[row] = second[mother], generation[mother]
            continue
        founder[row] = founder[mother] if mother >= 0 else track[row]
        parent[row] = track[mother] if mother >= 0 else 0
        second[row] = track[also[row]] if also[row] >= 0 else 0
        generation[row] = generation[mother] + bool(divides[mother]) if mother >= 0 else 0
    return Lineage(
        track=track,
        founder=founder,
        parent=parent,
        second_parent=second,
        generation=generation,
        divides=divides,
        first=first,
    )
