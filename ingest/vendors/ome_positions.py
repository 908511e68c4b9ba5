"""From where the stage was to where a field lies in its well, in image direction, without knowing the stage.

OME-XML and ScanR give coordinates of the whole stage. The middle of a well is taken to be the mean of its fields. A
well that lacks fields which others have would so be shifted; its fields are therefore laid over those of the complete
wells instead. No pitch of the plate is assumed, so a plate that lies askew on the stage does no harm. Positions that
do not move along with the plate from well to well are relative to the well already, and stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Acquisition, row, column, field.
Place = tuple[int, int, int, int]
Point = tuple[float, float]
_Well = tuple[int, int]
_Points = npt.NDArray[np.float64]
#: Wells of the densest plate are 2250 µm apart: middles nearer than half of that are one.
_SAME_MIDDLE_UM = 1125.0
#: No well is wider: what is nearer to 0 may be relative to its well.
_WIDEST_WELL_UM = 40_000.0
#: Fields of two wells are at the same places when they differ by less than this share of their extent, or this much.
_SAME_LAYOUT, _SAME_LAYOUT_UM = 0.1, 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WellPositions:
    """Fields in µm from the middle of their wells, x to the right and y down; and how they were found."""

    points: Mapping[Place, Point]
    warnings: tuple[str, ...]


def in_wells(points: Mapping[Place, Point], *, y_up: bool | None, per_well: bool) -> WellPositions:
    """Turn positions of fields into positions in their wells.

    Parameters
    ----------
    points
        The positions, µm.
    y_up
        Whether y points up in the image; None finds out from the rows of the plate, where the stage saw several, and
        takes it as pointing down where not.
    per_well
        Whether the document means positions relative to the well, which many writers do not obey.
    """
    if not points:
        return WellPositions(points={}, warnings=())
    if len(set(points.values())) == 1 and len({place[:3] for place in points}) < len(points):
        return WellPositions(
            points={}, warnings=("all fields are said to lie at one point of the stage: their positions are not used",)
        )
    wells: dict[_Well, dict[tuple[int, int], Point]] = {}
    for (acquisition, row, column, field), point in points.items():
        wells.setdefault((row, column), {})[acquisition, field] = point
    middles = _middles(wells)
    warnings: list[str] = []
    if _is_relative(points, middles, per_well):
        middles = dict.fromkeys(wells, np.zeros(2))
    elif y_up is None and _goes_up(middles):
        y_up = True
        warnings.append("stage positions decrease from row to row of the plate: y points up, and is turned")
    sign = -1.0 if y_up else 1.0
    return WellPositions(
        points={
            place: (float(x - middles[place[1:3]][0]), float(sign * (y - middles[place[1:3]][1])) + 0.0)
            for place, (x, y) in points.items()
        },
        warnings=tuple(warnings),
    )


def _middles(wells: Mapping[_Well, Mapping[tuple[int, int], Point]]) -> dict[_Well, _Points]:
    """Return the middle of each well."""
    largest = max(len(fields) for fields in wells.values())
    sets = Counter(frozenset(fields) for fields in wells.values() if len(fields) == largest)
    # The first of the commonest, so that the answer does not depend on the order of a set.
    complete = max(sets, key=lambda one: (sets[one], sorted(one)))
    layouts = [_centred(fields) for fields in wells.values() if fields.keys() == complete]
    layout = {key: np.median([one[key] for one in layouts], axis=0) for key in complete}
    extent = float(np.max(np.ptp(list(layout.values()), axis=0)))
    same = max(_SAME_LAYOUT * extent, _SAME_LAYOUT_UM)
    found: dict[_Well, _Points] = {}
    for well, fields in wells.items():
        found[well] = np.mean(list(fields.values()), axis=0)
        if fields.keys() < complete:
            over = np.array([np.subtract(point, layout[key]) for key, point in fields.items()])
            if float(np.max(np.ptp(over, axis=0))) <= same:
                found[well] = over.mean(axis=0)
    return found


def _centred(fields: Mapping[tuple[int, int], Point]) -> dict[tuple[int, int], _Points]:
    middle = np.mean(list(fields.values()), axis=0)
    return {key: np.subtract(point, middle) for key, point in fields.items()}


def _is_relative(points: Mapping[Place, Point], middles: Mapping[_Well, _Points], per_well: bool) -> bool:
    farthest = max(abs(number) for point in points.values() for number in point)
    if len(middles) == 1:
        return per_well and farthest <= _WIDEST_WELL_UM / 2
    spread = float(np.max(np.ptp(list(middles.values()), axis=0)))
    return spread < _SAME_MIDDLE_UM and farthest <= _WIDEST_WELL_UM / 2


def _goes_up(middles: Mapping[_Well, _Points]) -> bool:
    """Tell whether the plate is seen upright (x grows with columns) and y falls from row to row."""
    along_x, along_y = _slope(middles, 1), _slope(middles, 0)
    return along_y < 0 and along_x >= 0


def _slope(middles: Mapping[_Well, _Points], axis: int) -> float:
    """Return the sign of how the stage moves along columns (axis 1, x) or rows (axis 0, y); 0 for one alone."""
    numbers = np.array([well[axis] for well in middles], np.float64)
    if not np.ptp(numbers):
        return 0.0
    moved = np.array([middle[1 - axis] for middle in middles.values()])
    return float(np.sign(np.dot(numbers - numbers.mean(), moved - moved.mean())))
