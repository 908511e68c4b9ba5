"""Flags: each field of a plate judged against the others, and against limits that hold for any plate.

``plate_flags`` takes the quality rows of a plate and gives more of them: metrics named ``Flag_…`` whose value is 1
where the field is suspicious, with the number and the limit as the reason, 0 where it is not, and empty, with the
reason, where nothing can be said. *Typical* is the median over the fields of one acquisition and channel (or object
set); a deviation counts by the spread of those fields, 1.4826 times the median distance from the median, which equals
the standard deviation of normal numbers and is not moved by the suspicious ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Flags of a channel of a field, and of an object set of a field, in the order of their rows.
CHANNEL_FLAGS = ("Flag_Missing", "Flag_Blurred", "Flag_Saturated", "Flag_Uneven", "Flag_Dim", "Flag_Bright")
OBJECT_FLAGS = ("Flag_Empty", "Flag_Debris", "Flag_Clumped")
FLAG_METRICS = (*CHANNEL_FLAGS, *OBJECT_FLAGS)
#: What the flags are made from.
METRICS_JUDGED = (
    "MissingPlanes",
    "PowerLogLogSlope",
    "PercentSaturated",
    "PercentMaximal",
    "MaxIntensity",
    "MedianIntensity",
    "Unevenness",
    "MeanIntensity",
    "BackgroundIntensity",
    "HighIntensity",
    "Count",
    "PercentDebris",
    "PercentClumped",
)

_NORMAL = 1.4826
#: Columns of a row of flags; those of a quality row that are the same for a whole plate are added by whoever writes it.
_COLUMNS: dict[str, pa.DataType] = {
    "acquisition_id": pa.int32(),
    "well_id": pa.string(),
    "field_id": pa.int32(),
    "timepoint": pa.int32(),
    "channel_index": pa.int32(),
    "channel_role": pa.string(),
    "object_set": pa.string(),
    "metric": pa.string(),
    "value": pa.float64(),
    "reason": pa.string(),
}
_IMAGE = ("acquisition_id", "well_id", "field_id", "timepoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagLimits:
    """Where suspicion begins.

    A field is compared with the others where at least ``fewest_fields`` of them have a value; a difference from the
    typical value counts when it is larger than ``spreads`` times their spread *and* larger than the step of the metric.

    Attributes
    ----------
    slope_step, slope_least
        Blurred: ``PowerLogLogSlope`` so far below the typical one, or below this on any plate.
    percent_saturated, percent_clipped
        Saturated: percent of the pixels at the camera's limit, or at the image's own largest value.
    unevenness_step
        Uneven: ``Unevenness`` so far above the typical one.
    contrast_factor, intensity_factor
        Dim: typical contrast (``HighIntensity`` less ``BackgroundIntensity``) divided by its own; bright: its
        ``MeanIntensity`` divided by the typical one.
    empty_share, fewest_typical
        Empty: fewer objects than this share of the typical count, which must be at least ``fewest_typical``.
    percent_step, percent_most, fewest_objects
        Debris, clumped: percent of the objects so far above the typical one, or above this on any plate; where the
        field has at least ``fewest_objects``.
    """

    fewest_fields: int = 8
    spreads: float = 6.0
    slope_step: float = 0.4
    slope_least: float = -2.9
    percent_saturated: float = 0.5
    percent_clipped: float = 1.0
    unevenness_step: float = 0.2
    contrast_factor: float = 3.0
    intensity_factor: float = 2.0
    empty_share: float = 0.05
    fewest_typical: int = 10
    percent_step: float = 20.0
    percent_most: float = 50.0
    fewest_objects: int = 20


def plate_flags(rows: pa.Table, limits: FlagLimits | None = None) -> pa.Table:
    """Judge the fields of one plate by its quality rows.

    Parameters
    ----------
    rows
        Quality rows of one plate and one feature set: ``acquisition_id``, ``well_id``, ``field_id``, ``timepoint``,
        ``channel_index``, ``channel_role``, ``object_set``, ``metric``, ``value``. Rows of metrics that are not in
        :data:`METRICS_JUDGED` may be left out.
    limits
        Where suspicion begins.

    Returns
    -------
    pa.Table
        The same columns and ``reason``: :data:`CHANNEL_FLAGS` for each channel of each field, :data:`OBJECT_FLAGS` for
        each of its object sets. Memory and time grow with the rows.
    """
    limits = limits or FlagLimits()
    rows = rows.filter(pc.is_in(rows["metric"], pa.array(METRICS_JUDGED)))
    of_objects = pc.is_valid(rows["object_set"])
    objects = _Subjects.of(rows.filter(of_objects), ("object_set",), ("object_set",))
    channels = _Subjects.of(rows.filter(pc.invert(of_objects)), ("channel_index", "channel_role"), ("channel_index",))
    empty = _empty(objects, limits)
    saturated = _saturated(channels, limits)
    found = [
        channels.table("Flag_Missing", _missing(channels)),
        channels.table("Flag_Blurred", _blurred(channels, limits)),
        channels.table("Flag_Saturated", saturated),
        channels.table("Flag_Uneven", _uneven(channels, limits)),
        channels.table("Flag_Dim", _dim(channels, limits, channels.images_in(objects, empty.value == 1))),
        channels.table("Flag_Bright", _bright(channels, limits, saturated.value == 1)),
        objects.table("Flag_Empty", empty),
        objects.table("Flag_Debris", _share_of_objects(objects, "PercentDebris", "specks", limits)),
        objects.table("Flag_Clumped", _share_of_objects(objects, "PercentClumped", "clumps", limits)),
    ]
    return pa.concat_tables(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """One flag of every subject: ``value`` float64 (n,), NaN where nothing can be said, and why not 0."""

    value: FloatArray
    reasons: Mapping[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subjects:
    """What is judged: channels, or object sets, of fields.

    ``identity`` has one row for each; ``groups`` says with which others it is compared, and ``values`` holds
    one array for each metric, NaN where there is no value.
    """

    identity: pa.Table
    groups: NDArray[np.int64]
    values: Mapping[str, FloatArray]

    @classmethod
    def of(cls, rows: pa.Table, carried: Sequence[str], compared: Sequence[str]) -> _Subjects:
        """Turn rows, one for each metric, into subjects in the order in which they first appear."""
        keys = _numbered(rows, (*_IMAGE, *compared))
        _, first, subject = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        subject = rank[subject]
        metric = np.asarray(rows["metric"].to_numpy(zero_copy_only=False))
        value = rows["value"].cast(pa.float64()).to_numpy()
        values = {}
        for name in METRICS_JUDGED:
            chosen = metric == name
            values[name] = np.full(len(order), np.nan)
            values[name][subject[chosen]] = value[chosen]
        identity = rows.select([*_IMAGE, *carried]).take(first[order])
        return cls(
            identity=identity,
            groups=_numbered(identity, ("acquisition_id", *compared)),
            values=values,
        )

    def __len__(self) -> int:
        return self.identity.num_rows

    def typical(self, values: FloatArray, limits: FlagLimits) -> tuple[FloatArray, FloatArray]:
        """Give median and spread of the group of each subject; NaN where too few of the group have a value."""
        middle, spread = np.full(len(self), np.nan), np.full(len(self), np.nan)
        for group in np.unique(self.groups):
            own = self.groups == group
            known = values[own & np.isfinite(values)]
            if len(known) >= limits.fewest_fields:
                middle[own] = np.median(known)
                spread[own] = _NORMAL * np.median(np.abs(known - np.median(known)))
        return middle, spread

    def images_in(self, others: _Subjects, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Say which subjects are of a field of which all the others that are there are chosen."""
        left = {tuple(row.values()) for row in others.identity.select(_IMAGE).filter(pa.array(~chosen)).to_pylist()}
        gone = {tuple(row.values()) for row in others.identity.select(_IMAGE).filter(pa.array(chosen)).to_pylist()}
        gone -= left
        own = zip(*(self.identity[name].to_pylist() for name in _IMAGE), strict=True)
        return np.fromiter((image in gone for image in own), bool, len(self))

    def table(self, metric: str, verdict: _Verdict) -> pa.Table:
        """Give the rows of a flag."""
        columns: dict[str, Any] = {
            name: self.identity[name].cast(_COLUMNS[name]) for name in self.identity.column_names
        }
        columns["metric"] = pa.repeat(pa.scalar(metric), len(self))
        columns["value"] = pa.array(verdict.value, pa.float64(), from_pandas=True)
        columns["reason"] = pa.array([verdict.reasons.get(i) for i in range(len(self))], pa.string())
        for name, kind in _COLUMNS.items():
            columns.setdefault(name, pa.nulls(len(self)).cast(kind))
        return pa.table({name: columns[name] for name in _COLUMNS})


def _numbered(rows: pa.Table, names: Sequence[str]) -> NDArray[np.int64]:
    """Give a number for each row; rows that are equal in these columns have equal numbers."""
    number = np.zeros(rows.num_rows, np.int64)
    for name in names:
        codes = rows[name].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy().astype(np.int64) + 1
        _, number = np.unique(number * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    return number


def _verdict(
    known: NDArray[np.bool_],
    flagged: NDArray[np.bool_],
    text: Callable[[int], str],
    unknown: str | Mapping[int, str],
) -> _Verdict:
    value = np.where(known, flagged.astype(np.float64), np.nan)
    reasons = {int(i): text(int(i)) for i in np.flatnonzero(known & flagged)}
    for i in np.flatnonzero(~known):
        reasons[int(i)] = unknown if isinstance(unknown, str) else unknown.get(int(i), "not measured")
    return _Verdict(value=value, reasons=reasons)


def _few(limits: FlagLimits) -> str:
    return f"not measured, or fewer than {limits.fewest_fields} fields to compare with"


def _missing(channels: _Subjects) -> _Verdict:
    planes = channels.values["MissingPlanes"]
    return _verdict(np.isfinite(planes), planes > 0, lambda i: f"{planes[i]:.0f} planes missing", "not measured")


def _blurred(channels: _Subjects, limits: FlagLimits) -> _Verdict:
    slope = channels.values["PowerLogLogSlope"]
    middle, spread = channels.typical(slope, limits)
    relative = middle - np.maximum(limits.slope_step, limits.spreads * spread)
    limit = np.fmax(relative, limits.slope_least)

    def text(i: int) -> str:
        said = f"PowerLogLogSlope {slope[i]:.2f} is below {limit[i]:.2f}"
        return said if math.isnan(middle[i]) else f"{said}; typical of the plate is {middle[i]:.2f}"

    return _verdict(np.isfinite(slope), slope < limit, text, "PowerLogLogSlope is not defined")


def _saturated(channels: _Subjects, limits: FlagLimits) -> _Verdict:
    """At the camera's limit; or cut off below it: many pixels of the largest value, far from most of the image."""
    values = channels.values
    percent, most = values["PercentSaturated"], values["PercentMaximal"]
    cut_off = (most >= limits.percent_clipped) & (values["MaxIntensity"] > 2 * values["MedianIntensity"])
    cut_off &= values["MaxIntensity"] >= 255

    def text(i: int) -> str:
        if percent[i] >= limits.percent_saturated:
            return (
                f"{percent[i]:.2g} % of the pixels are at the camera's limit; the limit of suspicion is "
                f"{limits.percent_saturated:g} %"
            )
        return (
            f"{most[i]:.2g} % of the pixels have the largest value {values['MaxIntensity'][i]:g}; the limit of "
            f"suspicion is {limits.percent_clipped:g} %"
        )

    known = np.isfinite(percent) | np.isfinite(most)
    return _verdict(known, (percent >= limits.percent_saturated) | cut_off, text, "not measured")


def _uneven(channels: _Subjects, limits: FlagLimits) -> _Verdict:
    value = channels.values["Unevenness"]
    middle, spread = channels.typical(value, limits)
    limit = middle + np.maximum(limits.unevenness_step, limits.spreads * spread)
    return _verdict(
        np.isfinite(value) & np.isfinite(limit),
        value > limit,
        lambda i: f"Unevenness {value[i]:.2f} is above {limit[i]:.2f}; typical of the plate is {middle[i]:.2f}",
        _few(limits),
    )


def _dim(channels: _Subjects, limits: FlagLimits, without_objects: NDArray[np.bool_]) -> _Verdict:
    contrast = channels.values["HighIntensity"] - channels.values["BackgroundIntensity"]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(contrast > 0, np.log(contrast), np.nan)
    middle, spread = channels.typical(logarithm, limits)
    limit = np.exp(middle - np.maximum(math.log(limits.contrast_factor), limits.spreads * spread))
    known = np.isfinite(contrast) & np.isfinite(limit) & ~without_objects
    return _verdict(
        known,
        contrast < limit,
        lambda i: (
            f"contrast {contrast[i]:.0f} (HighIntensity less BackgroundIntensity) is below {limit[i]:.0f}; typical of "
            f"the plate is {math.exp(middle[i]):.0f}"
        ),
        {
            int(i): "not judged: the field is empty" if without_objects[i] else _few(limits)
            for i in np.flatnonzero(~known)
        },
    )


def _bright(channels: _Subjects, limits: FlagLimits, saturated: NDArray[np.bool_]) -> _Verdict:
    mean = channels.values["MeanIntensity"]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(mean > 0, np.log(mean), np.nan)
    middle, spread = channels.typical(logarithm, limits)
    limit = np.exp(middle + np.maximum(math.log(limits.intensity_factor), limits.spreads * spread))
    known = np.isfinite(mean) & np.isfinite(limit) & ~saturated
    return _verdict(
        known,
        mean > limit,
        lambda i: (
            f"MeanIntensity {mean[i]:.0f} is above {limit[i]:.0f}; typical of the plate is {math.exp(middle[i]):.0f}"
        ),
        {
            int(i): "not judged: the field is saturated" if saturated[i] else _few(limits)
            for i in np.flatnonzero(~known)
        },
    )


def _empty(objects: _Subjects, limits: FlagLimits) -> _Verdict:
    """No or hardly any objects where the other fields have many; fields without any do not count as typical."""
    count = objects.values["Count"]
    middle, _ = objects.typical(np.where(count > 0, count, np.nan), limits)
    limit = limits.empty_share * middle
    names, wells = (
        objects.identity["object_set"].to_pylist(),
        _numbered(objects.identity, ("acquisition_id", "well_id")),
    )
    flagged = (count < limit) & (middle >= limits.fewest_typical)
    _, whole = np.unique(np.stack([wells, objects.groups]), axis=1, return_inverse=True)
    whole = whole.reshape(-1)
    well_empty = np.bincount(whole, ~flagged & np.isfinite(count)) == 0

    def text(i: int) -> str:
        many = f"no {names[i]}" if count[i] == 0 else f"only {count[i]:.0f} {names[i]}"
        where = ", as in every field of the well" if well_empty[whole[i]] else ""
        return f"{many}{where}; typical of the plate is {middle[i]:.0f} in a field"

    known = np.isfinite(count) & np.isfinite(middle) & (middle >= limits.fewest_typical)
    why = f"not looked for, or too few fields and objects to compare with (at least {limits.fewest_fields} fields of "
    return _verdict(known, flagged, text, f"{why}typically {limits.fewest_typical} objects)")


def _share_of_objects(objects: _Subjects, metric: str, what: str, limits: FlagLimits) -> _Verdict:
    value, count = objects.values[metric], objects.values["Count"]
    enough = count >= limits.fewest_objects
    middle, spread = objects.typical(np.where(enough, value, np.nan), limits)
    relative = middle + np.maximum(limits.percent_step, limits.spreads * spread)
    limit = np.fmin(relative, limits.percent_most)
    return _verdict(
        np.isfinite(value) & enough,
        value > limit,
        lambda i: f"{value[i]:.0f} % of the objects are {what}, more than {limit[i]:.0f} %",
        f"fewer than {limits.fewest_objects} objects",
    )
