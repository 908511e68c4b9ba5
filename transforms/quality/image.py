"""What the channels of one field say about themselves: the per-image rows of the ``quality`` table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from .evenness import unevenness
from .focus import local_focus_score, power_log_log_slope, texture_correlation
from .grey_levels import grey_levels, intensity_statistics, thresholds

if TYPE_CHECKING:
    from ..recipe import BoundRecipe

#: Pixels across a window of the local focus score, and between the pixels whose correlation is measured:
#: CellProfiler's own default.
SCALE = 20
#: Percent of the pixels at or below the background level, and at or below the level of what is bright.
_BACKGROUND_PERCENT, _HIGH_PERCENT = 5.0, 99.5

#: Metrics of one channel of one field, in the order of their rows; ``MissingPlanes`` follows them.
CHANNEL_METRICS = (
    "TotalIntensity",
    "MeanIntensity",
    "MedianIntensity",
    "StdIntensity",
    "MADIntensity",
    "MinIntensity",
    "MaxIntensity",
    "BackgroundIntensity",
    "HighIntensity",
    "PercentMinimal",
    "PercentMaximal",
    "PercentSaturated",
    "ThresholdOtsu_2W",
    "ThresholdBackground",
    "ThresholdRobustBackground",
    "ThresholdRidlerCalvard",
    "FocusScore",
    f"LocalFocusScore_{SCALE}",
    "PowerLogLogSlope",
    f"Correlation_{SCALE}",
    "Unevenness",
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
        (c, y, x), as the camera gave it.
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
        :data:`CHANNEL_METRICS`, then ``MissingPlanes``, of each channel. docs/reference/quality.md defines them.
    """
    rows: list[QualityRow] = []
    for index, plane in enumerate(image):
        if present[index]:
            limit = None if full_scale is None else full_scale[index]
            values, reasons = _measured(plane, _limit(plane.dtype) if limit is None else limit)
        else:
            values, reasons = {}, dict.fromkeys(CHANNEL_METRICS, "no pixels of this channel in this field")
        values["MissingPlanes"] = float(0 if missing is None else missing.get(index, 0))
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


def _measured(plane: npt.NDArray[Any], limit: float | None) -> tuple[dict[str, float], dict[str, str]]:
    """Give the metrics of an image that are defined, and of the others why not."""
    finite = plane.dtype.kind != "f" or bool(np.isfinite(plane).all())
    if not finite and not np.isfinite(plane).any():
        return {}, dict.fromkeys(CHANNEL_METRICS, "no pixel is a finite number")
    levels = grey_levels(plane)
    statistics = intensity_statistics(plane, levels)
    found: dict[str, float | None] = dict(statistics)
    found["BackgroundIntensity"] = levels.at_percent(_BACKGROUND_PERCENT)
    found["HighIntensity"] = levels.at_percent(_HIGH_PERCENT)
    reasons = {"PercentSaturated": "the grey value at which the camera saturates is unknown"}
    if limit is not None:
        found["PercentSaturated"] = 100.0 * float(np.count_nonzero(plane >= limit)) / plane.size
    if levels.constant:
        reasons |= dict.fromkeys(_OF_PLACE + _OF_THRESHOLD, "the image is constant")
        return _defined(found, reasons, _OF_PLACE + _OF_THRESHOLD)
    if levels.values[0] >= 0 and levels.values[-1] > 0:
        found |= thresholds(levels)
    else:
        reasons |= dict.fromkeys(_OF_THRESHOLD, "the image has negative values, and thresholds are of the logarithm")
    if not finite:
        reasons |= dict.fromkeys(_OF_PLACE, "some pixels are no finite numbers")
        return _defined(found, reasons, _OF_PLACE)
    mean = statistics["MeanIntensity"]
    found["FocusScore"] = statistics["StdIntensity"] ** 2 / mean if mean > 0 else None
    found[f"LocalFocusScore_{SCALE}"] = local_focus_score(plane, SCALE)
    found["PowerLogLogSlope"] = power_log_log_slope(plane)
    low, high = float(levels.values[0]), float(levels.values[-1])
    found[f"Correlation_{SCALE}"] = texture_correlation(plane, SCALE, low=low, high=high)
    found["Unevenness"] = unevenness(plane)
    reasons |= _WHY_UNDEFINED
    return _defined(found, reasons, ())


_OF_THRESHOLD = tuple(name for name in CHANNEL_METRICS if name.startswith("Threshold"))
_OF_PLACE = ("FocusScore", f"LocalFocusScore_{SCALE}", "PowerLogLogSlope", f"Correlation_{SCALE}", "Unevenness")
_WHY_UNDEFINED = {
    "FocusScore": "the mean of the image is not above 0",
    f"LocalFocusScore_{SCALE}": f"at least half of the windows of {SCALE} pixels are constant",
    "PowerLogLogSlope": "the image is less than 32 pixels high or wide, or has no power at the frequencies looked at",
    f"Correlation_{SCALE}": f"the image is not wider than {SCALE} pixels, or one of its sides is constant",
    "Unevenness": "the image is less than 4 pixels high or wide, or its background is not above 0",
}


def _defined(
    found: Mapping[str, float | None], reasons: dict[str, str], without: Iterable[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """Keep what is a finite number; overflow of a float image's squares is none."""
    kept = {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
    for name in found.keys() - kept.keys() - set(without):
        reasons.setdefault(name, "the value is too large to be represented")
    return kept, reasons


def _limit(dtype: np.dtype[Any]) -> float | None:
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else None
