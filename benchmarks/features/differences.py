"""Where definitions differ on purpose: which columns of which peer, on which fields, and why.

``docs/reference/features.md`` tells users the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.features.fields import Field
from benchmarks.features.groups import CP_IMAGE, CP_MEASURE, SCIKIT_IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Columns that a peer defines in another way.

    Attributes
    ----------
    peer
        Whose definition differs.
    columns
        Pattern of the column's name without the object set.
    values
        Whether values differ, and not only where they are defined.
    applies
        On which fields.
    reason
        Why.
    """

    peer: str
    columns: re.Pattern[str]
    values: bool
    reason: str
    applies: Callable[[Field], bool]


def _always(_: Field) -> bool:
    return True


def _not_of_whole_samples(field: Field) -> bool:
    """Say whether a quarter of the image's height or width is no whole number."""
    return any(side % 4 for side in field.image.shape[1:])


def _values(peer: str, columns: str, reason: str, applies: Callable[[Field], bool] = _always) -> Difference:
    return Difference(peer=peer, columns=re.compile(columns), values=True, reason=reason, applies=applies)


def _undefined(peer: str, columns: str, reason: str) -> Difference:
    return Difference(peer=peer, columns=re.compile(columns), values=False, reason=reason, applies=_always)


DIFFERENCES: tuple[Difference, ...] = (
    _values(
        CP_MEASURE,
        r"AreaShape_Zernike_|RadialDistribution_Zernike",
        "centrosome, which CellProfiler uses, drops the pixels on the enclosing circle that rounding puts outside; "
        "here every pixel counts",
    ),
    _values(
        CP_MEASURE,
        r"Correlation_Costes_",
        "cp_measure looks for thresholds in each object, CellProfiler and cytolake in the image",
    ),
    _values(
        CP_MEASURE,
        r"Granularity_",
        "where a quarter of the image's side is no whole number cp_measure rounds it down, which shifts its grid; "
        "CellProfiler and cytolake keep the fraction",
        _not_of_whole_samples,
    ),
    _values(
        CP_MEASURE,
        r"Neighbors_(First|Second)ClosestObjectNumber_",
        "cp_measure 0.3 counts the object itself as its nearest",
    ),
    _values(
        CP_MEASURE,
        r"Neighbors_\w+_Expanded",
        "cp_measure 0.3 compares grown objects with those not grown, and takes the centres of the grown ones; "
        "CellProfiler and cytolake compare grown with grown and take the centres of the objects",
    ),
    *(
        _undefined(
            peer,
            r"AreaShape_Orientation",
            "an object whose two axes are equal has no direction: NULL; the peers give it one of the diagonals",
        )
        for peer in (CP_MEASURE, SCIKIT_IMAGE)
    ),
    _undefined(
        CP_MEASURE,
        r"RadialDistribution_(MeanFrac|RadialCV)",
        "a ring without pixels or without intensity has no mean: NULL; CellProfiler writes 0",
    ),
    _undefined(
        CP_MEASURE,
        r"Neighbors_(First|Second|Angle)",
        "without a second or third object in the image there is no distance and no angle: NULL; the peer writes 0",
    ),
    _undefined(
        CP_IMAGE,
        r"Correlation_Costes_",
        "cp_measure's search goes on, and finds nothing, where a constant background ends CellProfiler's and ours",
    ),
    _undefined(
        CP_MEASURE,
        r"Correlation_(Overlap|K)_",
        "where no pixel reaches both cuts there is nothing to divide by: NULL; cp_measure writes 0",
    ),
)


def difference_of(peer: str, column: str, field: Field, *, values: bool) -> Difference | None:
    """Find the deliberate difference that holds for a column, named with its object set, of a field."""
    rest = column.partition("_")[2]
    for one in DIFFERENCES:
        if one.peer == peer and one.values == values and one.columns.match(rest) and one.applies(field):
            return one
    return None
