"""What a field says about itself before anybody trusts its features: brightness, saturation, gaps, object counts.

Metrics bear CellProfiler's names and definitions (module MeasureImageQuality) where it has them, in grey values of
the microscope. A metric that cannot be told is a row with no value and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .recipe import BoundRecipe

#: Metrics of one channel of one field, in the order of their rows; ``MissingPlanes`` follows them.
CHANNEL_METRICS = (
    "MeanIntensity",
    "MedianIntensity",
    "StdIntensity",
    "MinIntensity",
    "MaxIntensity",
    "PercentMinimal",
    "PercentMaximal",
    "PercentSaturated",
)


class QualityRow(TypedDict):
    """One row of the ``quality`` table, without the columns that say which field it is about."""

    channel_index: int | None
    channel_role: str | None
    object_set: str | None
    metric: str
    value: float | None
    reason: str | None


def image_quality(
    image: npt.NDArray[Any],
    present: npt.NDArray[np.bool_],
    bound: BoundRecipe,
    *,
    missing: Mapping[int, int] | None = None,
    full_scale: Sequence[float | None] | None = None,
) -> list[QualityRow]:
    """Measure every channel of one field.

    Parameters
    ----------
    image
        (c, y, x), as it was segmented and measured.
    present
        bool (c,): channels that have pixels. The others get rows without a value.
    bound
        The recipe on this plate; gives the roles.
    missing
        Channel index to how many of the planes behind ``image`` are missing; none by default.
    full_scale
        Grey value at which the camera saturates, for each channel. By default, and where it is None, the largest
        value that the pixel type can hold; for floating point pixels it is unknown.

    Returns
    -------
    list of QualityRow
        ``MeanIntensity``, ``MedianIntensity``, ``StdIntensity`` (of all pixels), ``MinIntensity``,
        ``MaxIntensity``; ``PercentMinimal`` and ``PercentMaximal`` (pixels that have the image's own least and
        largest value); ``PercentSaturated`` (pixels at or above full scale); ``MissingPlanes``.
    """
    rows: list[QualityRow] = []
    for index, plane in enumerate(image):
        values: dict[str, float] = {}
        reasons = dict.fromkeys(CHANNEL_METRICS, "no pixels of this channel in this field")
        if present[index]:
            values = _statistics(plane)
            limit = None if full_scale is None else full_scale[index]
            limit = _limit(plane.dtype) if limit is None else limit
            if limit is None:
                reasons["PercentSaturated"] = "the grey value at which the camera saturates is unknown"
            else:
                values["PercentSaturated"] = 100.0 * float(np.count_nonzero(plane >= limit)) / plane.size
        absent = 0 if missing is None else missing.get(index, 0)
        values["MissingPlanes"] = float(absent)
        for metric in (*CHANNEL_METRICS, "MissingPlanes"):
            value = values.get(metric)
            rows.append(
                {
                    "channel_index": index,
                    "channel_role": bound.roles[index],
                    "object_set": None,
                    "metric": metric,
                    "value": value,
                    "reason": reasons[metric] if value is None else None,
                }
            )
    return rows


def object_counts(counts: Mapping[str, int | None], skipped: Mapping[str, str]) -> list[QualityRow]:
    """Give the number of objects of each set.

    Parameters
    ----------
    counts
        Object set to how many were found; None where it could not be looked for.
    skipped
        Object set to the reason for that.
    """
    return [
        {
            "channel_index": None,
            "channel_role": None,
            "object_set": name,
            "metric": "Count",
            "value": None if count is None else float(count),
            "reason": skipped.get(name, "not looked for") if count is None else None,
        }
        for name, count in counts.items()
    ]


def _statistics(plane: npt.NDArray[Any]) -> dict[str, float]:
    if plane.dtype.kind == "u" and plane.dtype.itemsize <= 2:
        return _of_counts(np.bincount(plane.ravel()))
    low, high = plane.min(), plane.max()
    return {
        "MeanIntensity": float(plane.mean(dtype=np.float64)),
        "MedianIntensity": float(np.median(plane)),
        "StdIntensity": float(plane.std(dtype=np.float64)),
        "MinIntensity": float(low),
        "MaxIntensity": float(high),
        "PercentMinimal": 100.0 * float(np.count_nonzero(plane == low)) / plane.size,
        "PercentMaximal": 100.0 * float(np.count_nonzero(plane == high)) / plane.size,
    }


def _of_counts(counts: npt.NDArray[np.intp]) -> dict[str, float]:
    """Give the same statistics from how often each grey value occurs: one pass over the pixels instead of seven."""
    grey = np.flatnonzero(counts)
    often = counts[grey]
    pixels = int(often.sum())
    mean = float(np.dot(grey, often)) / pixels
    up_to = np.cumsum(often)
    # The middle pixel, or the two around the middle.
    middle = grey[np.searchsorted(up_to, [(pixels - 1) // 2 + 1, pixels // 2 + 1])]
    return {
        "MeanIntensity": mean,
        "MedianIntensity": float(middle.mean()),
        "StdIntensity": float(np.sqrt(np.dot((grey - mean) ** 2, often) / pixels)),
        "MinIntensity": float(grey[0]),
        "MaxIntensity": float(grey[-1]),
        "PercentMinimal": 100.0 * float(often[0]) / pixels,
        "PercentMaximal": 100.0 * float(often[-1]) / pixels,
    }


def _limit(dtype: np.dtype[Any]) -> float | None:
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else None
