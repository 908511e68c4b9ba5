"""Which fields of a plate are looked at: far from one another, so that edges, middle and every region are seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...schemas.identifiers import parse_well

if TYPE_CHECKING:
    from ..work import FieldName


def choose_fields(fields: Sequence[FieldName], count: int) -> list[FieldName]:
    """Choose fields over a plate: each next one in the well farthest from all wells chosen before.

    The same fields give the same choice. Once every well has been chosen, second fields are taken in the same way.

    Parameters
    ----------
    fields
        (acquisition, well, field), in row order.
    count
        How many; all where there are no more.

    Returns
    -------
    list
        In the order of ``fields``.
    """
    by_well: dict[str, list[FieldName]] = {}
    for name in fields:
        by_well.setdefault(name[1], []).append(name)
    wells = _spread(list(by_well))
    # Not always the first field of a well, which tends to be its middle.
    chosen = [
        by_well[well][(round_ + place) % len(by_well[well])]
        for round_ in range(max(map(len, by_well.values()), default=0))
        for place, well in enumerate(wells)
        if round_ < len(by_well[well])
    ][:count]
    places = {name: place for place, name in enumerate(fields)}
    return sorted(chosen, key=places.__getitem__)


def _spread(wells: Sequence[str]) -> list[str]:
    """Order wells by the farthest-point rule, the first one nearest the middle of all."""
    if not wells:
        return []
    places = np.array([parse_well(well) for well in wells], dtype=np.float64)
    order = [int(np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1)))]
    distance = ((places - places[order[0]]) ** 2).sum(axis=1)
    while len(order) < len(wells):
        farthest = int(np.argmax(distance))
        order.append(farthest)
        distance = np.minimum(distance, ((places - places[farthest]) ** 2).sum(axis=1))
    return [wells[k] for k in order]
