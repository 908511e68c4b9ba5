"""Which records of a Yokogawa measurement belong together: series, and the acquisitions that they make.

A *series* is one channel of one action of one time line, of one processing (``Maximum`` … or none). A protocol mixes
them freely: a stack beside its own projection, single planes of four channels beside a brightfield stack, time lines
with other fields or other wells. Series share an acquisition only where they lie on one grid: the same kind of Z (never
a stack with a plane or a projection), the same size of image and pixel, the same position wherever they meet in a
field, the same time points, and no plane twice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import InvalidDataError
from .cellvoyager_index import Action, Record
from .cellvoyager_xml import DAMAGED

STACK, PROJECTION, PLANE = "stack", "projection", "plane"
#: Stage positions of one field may differ by this much between actions, µm.
_SAME_POSITION_UM = 1.0
#: Steps of one stack may differ by this share between actions.
_SAME_STEP = 0.05
#: Numbers may leave out this many, and four times as many as there are, before one of them must be wrong.
_GAP = 16

Place = tuple[int, int, int]
_Position = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Size of an image in pixels, and of a pixel in µm."""

    height: int
    width: int
    pixel_size_x_um: float
    pixel_size_y_um: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What series must have in common to share an acquisition."""

    z_mode: str
    processing: str
    depth: int
    step_um: float | None
    geometry: Geometry


@dataclass(slots=True, kw_only=True)
class Series:
    """The records of one channel of one action; ``z`` and ``t`` count from 0 in the order of ``records``."""

    timeline: int
    action: int
    channel: int
    processing: str
    records: list[Record] = field(default_factory=list)
    z: list[int] = field(default_factory=list)
    t: list[int] = field(default_factory=list)

    def planes(self) -> set[tuple[int, ...]]:
        """Give place, time point and z of each record."""
        return {(r.row, r.column, r.field, t, z) for r, t, z in zip(self.records, self.t, self.z, strict=True)}

    def positions(self) -> dict[Place, _Position]:
        """Give where each field was imaged first."""
        found: dict[Place, _Position] = {}
        for r in self.records:
            found.setdefault((r.row, r.column, r.field), (r.x_um, r.y_um))
        return found

    def times(self) -> dict[Place, set[int]]:
        """Give the time points of each field."""
        found: dict[Place, set[int]] = {}
        for r, t in zip(self.records, self.t, strict=True):
            found.setdefault((r.row, r.column, r.field), set()).add(t)
        return found

    def step_um(self) -> float | None:
        """Return the distance of neighbouring planes where it is first seen, µm, None where there are no two."""
        first: dict[tuple[int, int, int, int], tuple[int, float]] = {}
        for r, t, z in zip(self.records, self.t, self.z, strict=True):
            if r.z_um is None:
                continue
            known = first.setdefault((r.row, r.column, r.field, t), (z, r.z_um))
            if z != known[0] and r.z_um != known[1]:
                return abs((r.z_um - known[1]) / (z - known[0]))
        return None


@dataclass(slots=True, kw_only=True)
class Acquisition:
    """Series on one grid."""

    grid: Grid
    series: list[Series] = field(default_factory=list)
    _positions: dict[Place, _Position] = field(default_factory=dict)
    _times: dict[Place, set[int]] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[int, ...]:
        """The vendor's numbers of the channels that were acquired, in order: their places are the indices."""
        return tuple(sorted({s.channel for s in self.series}))

    def takes(self, series: Series) -> bool:
        """Tell whether a series of the same grid fits beside those that are here."""
        rivals = [s for s in self.series if s.channel == series.channel]
        if rivals:
            planes = series.planes()
            if not all(rival.planes().isdisjoint(planes) for rival in rivals):
                return False
        positions = series.positions()
        shared = positions.keys() & self._positions.keys()
        if not all(_near(positions[place], self._positions[place]) for place in shared):
            return False
        if not shared or any(s.timeline == series.timeline for s in self.series):
            return True
        times = series.times()
        ours = set().union(*(self._times[place] for place in shared))
        return ours == set().union(*(times[place] for place in shared))

    def add(self, series: Series) -> None:
        """Take a series in."""
        self.series.append(series)
        for place, position in series.positions().items():
            self._positions.setdefault(place, position)
        for place, times in series.times().items():
            self._times.setdefault(place, set()).update(times)


def _near(one: _Position, other: _Position) -> bool:
    return all(a is None or b is None or abs(a - b) <= _SAME_POSITION_UM for a, b in zip(one, other, strict=True))


def distinct(records: Iterable[Record], warnings: list[str]) -> list[Record]:
    """Leave one record of each file of a plane: the last, which is what the file holds.

    Two records of one plane with different files both stay, for the tables to refuse.
    """
    kept: dict[tuple[object, ...], Record] = {}
    repeated = 0
    for r in records:
        key = (r.timeline, r.action, r.channel, r.processing, r.row, r.column, r.field, r.timepoint, r.z)
        repeated += (*key, r.file.lower()) in kept
        kept[*key, r.file.lower()] = r
    if repeated:
        warnings.append(f"{repeated} records are told again, with the same file; the last of each counts")
    return list(kept.values())


def group(records: Sequence[Record], name: str) -> list[Series]:
    """Sort records into series and count their time points and planes from 0.

    Raises
    ------
    InvalidDataError
        A time point or plane is numbered far from all others.
    """
    found: dict[tuple[int, int, str, int], Series] = {}
    for r in records:
        key = (r.timeline, r.action, r.processing, r.channel)
        if key not in found:
            found[key] = Series(timeline=r.timeline, action=r.action, channel=r.channel, processing=r.processing)
        found[key].records.append(r)
    _refuse_far("TimePoint", records, [r.timepoint for r in records], name)
    _refuse_far("ZIndex", records, [r.z for r in records], name)
    numbers: dict[int, set[int]] = {}
    for r in records:
        numbers.setdefault(r.timeline, set()).add(r.timepoint)
    times = {timeline: count_timepoints(timeline, numbers) for timeline in numbers}
    for series in found.values():
        series.t = [times[series.timeline][r.timepoint] for r in series.records]
        heights = {r.z for r in series.records}
        # A single plane is plane 0 whatever its number, as is a projection; a stack keeps its gaps.
        base = min(heights) if len(heights) == 1 else 1 if 0 not in heights else 0
        series.z = [r.z - base for r in series.records]
    return [found[key] for key in sorted(found)]


def count_timepoints(timeline: int, numbers: Mapping[int, set[int]]) -> dict[int, int]:
    """Return the vendor's number of a time point -> ours, which counts the time line's own from 0.

    ``TimePoint`` runs on through the time lines of a measurement: four of one time point each are 1, 2, 3 and 4.
    Numbers that only other time lines use are therefore left out; a number that nobody used is a gap and stays one.
    Time lines that use some of the same numbers count together.
    """
    own = numbers[timeline]
    together = set().union(*(n for n in numbers.values() if not n.isdisjoint(own)))
    others = sorted(set().union(*numbers.values()) - together)
    first = min(together)
    return {n: n - first - (bisect_left(others, n) - bisect_right(others, first)) for n in own}


def _refuse_far(tag: str, records: Sequence[Record], values: list[int], name: str) -> None:
    distinct_values = sorted(set(values))
    first, last = distinct_values[0], distinct_values[-1]
    if last - first > 4 * len(distinct_values) + _GAP:
        middle = distinct_values[len(distinct_values) // 2]
        far = last if last - middle > middle - first else first
        record = records[values.index(far)]
        raise InvalidDataError(f"{name}, record {record.position}: {tag} is {far}, far from all others", hint=DAMAGED)


def arrange(
    series: Sequence[Series],
    geometries: Mapping[int, Geometry],
    actions: Mapping[tuple[int, int], Action],
    warnings: list[str],
) -> list[Acquisition]:
    """Put series of one grid into acquisitions, the first action of the first time line first.

    Parameters
    ----------
    series
        In their order.
    geometries
        Of each channel that was acquired.
    actions
        What the protocol says of time line and action, if it is there: how deep a stack should be, which one that was
        broken off does not show.
    warnings
        Gets what is odd and not wrong.
    """
    acquisitions: list[Acquisition] = []
    depths: Counter[tuple[int, int, str]] = Counter()
    for one in series:
        key = (one.timeline, one.action, one.processing)
        depths[key] = max(depths[key], len(set(one.z)))
    for one in series:
        depth = depths[one.timeline, one.action, one.processing]
        grid = _grid(one, depth, geometries[one.channel], actions.get((one.timeline, one.action)), warnings)
        fitting = (a for a in acquisitions if _same_grid(a.grid, grid) and a.takes(one))
        acquisition = next(fitting, None)
        if acquisition is None:
            acquisition = Acquisition(grid=grid)
            acquisitions.append(acquisition)
        acquisition.add(one)
    return acquisitions


def _grid(series: Series, depth: int, geometry: Geometry, action: Action | None, warnings: list[str]) -> Grid:
    if series.processing or depth == 1:
        mode = PROJECTION if series.processing else PLANE
        return Grid(z_mode=mode, processing=series.processing, depth=depth, step_um=None, geometry=geometry)
    step = series.step_um()
    if action is not None and series.channel in action.channels and action.step_um is not None:
        depth = max(depth, action.depth)
        if step is not None and abs(step - action.step_um) > _SAME_STEP * action.step_um:
            warnings.append(
                f"channel {series.channel}, action {series.action} of time line {series.timeline}: planes lie "
                f"{step:g} µm apart, the protocol says {action.step_um:g} µm; the planes are believed"
            )
        step = action.step_um if step is None else step
    return Grid(z_mode=STACK, processing="", depth=depth, step_um=step, geometry=geometry)


def _same_grid(one: Grid, other: Grid) -> bool:
    same_step = (
        one.step_um is None
        or other.step_um is None
        or abs(one.step_um - other.step_um) <= _SAME_STEP * max(one.step_um, other.step_um)
    )
    return same_step and (one.z_mode, one.processing, one.depth, one.geometry) == (
        other.z_mode,
        other.processing,
        other.depth,
        other.geometry,
    )
