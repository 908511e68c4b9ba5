"""What the objects found in one field say about it: how many, how many specks, how many clumps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .image import QualityRow

if TYPE_CHECKING:
    from ..features.label_index import LabelIndex
    from ..features.volume_index import VolumeIndex

#: An object smaller than this share of the typical area is a speck.
DEBRIS_AREA = 0.25
#: An object is a clump when it is so many times the typical area, or so many times and no more solid than that.
CLUMP_AREA, DENTED_CLUMP_AREA, CLUMP_SOLIDITY = 3.0, 1.5, 0.9
#: Fewer objects have no typical area.
FEWEST_OBJECTS = 5


def object_counts(
    counts: Mapping[str, int | None],
    skipped: Mapping[str, str],
    unmatched: Mapping[str, int] | None = None,
    dropped: Mapping[str, int] | None = None,
) -> list[QualityRow]:
    """Give the number of objects of each set.

    Parameters
    ----------
    counts
        Object set to how many were found; None where it could not be looked for.
    skipped
        Object set to the reason for that.
    unmatched
        Imported set to how many of its objects were left out, because no parent was theirs: ``Unmatched``.
    dropped
        Object set to how many of its objects were left out by the rules of size and border: ``Dropped``.
    """
    rows = [
        _row(name, "Count", None if count is None else float(count), skipped.get(name, "not looked for"))
        for name, count in counts.items()
    ]
    for metric, left_out in (("Unmatched", unmatched), ("Dropped", dropped)):
        rows += [_row(name, metric, float(count), None) for name, count in (left_out or {}).items()]
    return rows


def object_quality(object_set: str, index: LabelIndex | VolumeIndex) -> list[QualityRow]:
    """Give typical size, debris and clumps of an object set.

    The typical area is the area-weighted median: half of all object pixels lie in objects of that area or larger, so
    that many specks do not move it. Of objects in a stack it is the volume in voxels.

    Parameters
    ----------
    object_set
        Its name.
    index
        Its objects.

    Returns
    -------
    list of QualityRow
        ``TypicalArea`` in pixels, or ``TypicalVolume`` in voxels; ``PercentDebris``, objects smaller than a quarter of
        it; ``PercentClumped``, objects three times as large, or one and a half times as large and of a solidity of at
        most 0.9.
    """
    from ..features.label_index import LabelIndex

    size, offsets = (
        ("TypicalArea", index.offsets) if isinstance(index, LabelIndex) else ("TypicalVolume", index.tall.offsets)
    )
    areas = np.diff(offsets).astype(np.float64)
    if len(areas) < FEWEST_OBJECTS:
        why = f"fewer than {FEWEST_OBJECTS} objects"
        return [_row(object_set, metric, None, why) for metric in (size, "PercentDebris", "PercentClumped")]
    typical = _weighted_median(areas)
    clumped = areas >= CLUMP_AREA * typical
    large = areas >= DENTED_CLUMP_AREA * typical
    if (large & ~clumped).any():
        clumped |= large & (_solidity(index) <= CLUMP_SOLIDITY)
    return [
        _row(object_set, size, typical, None),
        _row(object_set, "PercentDebris", 100.0 * float((areas < DEBRIS_AREA * typical).mean()), None),
        _row(object_set, "PercentClumped", 100.0 * float(clumped.mean()), None),
    ]


def _solidity(index: LabelIndex | VolumeIndex) -> NDArray[np.float64]:
    from ..features.hull import hull_measures
    from ..features.label_index import LabelIndex
    from ..features.volume_shape import solidity

    if not isinstance(index, LabelIndex):
        return solidity(index)
    return np.asarray(np.diff(index.offsets) / hull_measures(index)[0])


def _weighted_median(areas: NDArray[np.float64]) -> float:
    largest_first = np.sort(areas)[::-1]
    up_to = np.cumsum(largest_first)
    return float(largest_first[np.searchsorted(up_to, up_to[-1] / 2)])


def _row(object_set: str, metric: str, value: float | None, reason: str | None) -> QualityRow:
    return {
        "channel_index": None,
        "channel_role": None,
        "object_set": object_set,
        "metric": metric,
        "value": value,
        "reason": reason if value is None else None,
    }
