"""Measures of quality against thresholds: what is beyond them, what could be chance, and what users are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import RecipeError
from ...schemas.tables import arrow_schema
from ...wording import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...store.registry import DefinedSet
    from .recipe import Threshold

TABLE = "feature_quality"
#: How probable at most a false alarm of a whole check shall be, where a measure knows its own chance.
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure.

    Attributes
    ----------
    worse
        Which values are bad: ``high`` or ``low`` ones; with ``absolute``, of their size without the sign.
    judged
        Which rows a threshold is held against: ``each``, or only those of all features together (``all``).
    says
        What it is, for people.
    """

    worse: Literal["high", "low"]
    says: str
    absolute: bool = False
    judged: Literal["each", "all"] = "each"


METRICS: Mapping[str, Metric] = {
    "NullFraction": Metric("high", "share of rows without a value"),
    "InfFraction": Metric("high", "share of rows with an infinite value"),
    "KS": Metric("high", "Kolmogorov-Smirnov distance from the reference"),
    "MedianKS": Metric("high", "median of KS over features"),
    "PSI": Metric("high", "population stability index against the reference"),
    "MedianPSI": Metric("high", "median of PSI over features"),
    "ControlDrift": Metric(
        "high", "controls' median from that of all plates, in deviations of controls", absolute=True
    ),
    "MedianControlDrift": Metric("high", "median size of ControlDrift over features"),
    "ControlDriftSlope": Metric("high", "trend of ControlDrift over the plates", absolute=True),
    "ReplicateCorrelation": Metric("low", "median correlation of replicate wells"),
    "PercentReplicating": Metric("low", "treatments whose replicates correlate better than other wells, in %"),
    "ZPrime": Metric("low", "robust Z' of positive against negative controls", judged="all"),
    "SSMD": Metric("low", "robust SSMD of positive against negative controls", absolute=True, judged="all"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Values of one metric on one plate, or in the whole study.

    Attributes
    ----------
    part
        Object set or level.
    features
        The features; None for one value of all together.
    values
        Of shape (features,) or (1,); NaN where not defined.
    reasons
        Why values are not defined, of the same length, or one for all.
    chance
        True where a value could be chance: it is then never beyond a threshold.
    """

    metric: str
    part: str
    plate_id: str | None
    features: Sequence[str] | None
    values: NDArray[np.float64]
    reference: str | None = None
    reasons: Sequence[str | None] | str | None = None
    chance: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.values)


def check_thresholds(quality: Mapping[str, Threshold], source: str) -> None:
    """Make sure that thresholds are of measures that there are, and that what is refused is worse than a warning.

    Raises
    ------
    RecipeError
        They are not.
    """
    for name, limit in quality.items():
        if name not in METRICS:
            raise RecipeError(
                f"{source}: [quality]: there is no measure {name!r}{did_you_mean(name, METRICS)}",
                hint=f"there are: {', '.join(METRICS)}",
            )
        if limit.warn is None or limit.refuse is None:
            continue
        if limit.warn > limit.refuse if METRICS[name].worse == "high" else limit.warn < limit.refuse:
            side = "above" if METRICS[name].worse == "high" else "below"
            raise RecipeError(
                f"{source}: [quality] {name}: refuse = {limit.refuse:g} comes before warn = {limit.warn:g}",
                hint=f"{side} warn users are told, and {side} refuse, which is worse, no release is made",
            )


def quality_rows(
    measures: Sequence[Measures],
    one: DefinedSet,
    quality: Mapping[str, Threshold],
    *,
    study_id: str,
    run_id: str,
) -> pa.Table:
    """Return the rows of ``feature_quality``, with what follows from each."""
    schema = arrow_schema(TABLE)
    parts = [_rows(found, one, quality.get(found.metric), study_id, run_id) for found in measures if len(found)]
    return pa.concat_tables([schema.empty_table(), *parts])


def _rows(found: Measures, one: DefinedSet, limit: Threshold | None, study_id: str, run_id: str) -> pa.Table:
    n = len(found)
    verdicts, held = _judge(found, limit)
    reasons: list[str | None] = (
        [found.reasons] * n if found.reasons is None or isinstance(found.reasons, str) else list(found.reasons)
    )
    known = ~np.isnan(found.values)
    columns: dict[str, Any] = {
        "study_id": pa.repeat(study_id, n),
        "plate_id": pa.repeat(pa.scalar(found.plate_id, pa.string()), n),
        "feature_set": pa.repeat(one.label, n),
        "feature_set_hash": pa.repeat(one.hash, n),
        "object_set": pa.repeat(found.part, n),
        "feature": pa.nulls(n, pa.string()) if found.features is None else pa.array(list(found.features), pa.string()),
        "metric": pa.repeat(found.metric, n),
        "value": pa.array(found.values, mask=~known),
        "reference": pa.repeat(pa.scalar(found.reference, pa.string()), n),
        "threshold": pa.array(held, mask=np.isnan(held)),
        "verdict": pa.array(verdicts.tolist(), pa.string()),
        "reason": pa.array(reasons, pa.string()),
        "run_id": pa.repeat(run_id, n),
    }
    schema = arrow_schema(TABLE)
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)


def _judge(found: Measures, limit: Threshold | None) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return the verdict on each value, and the threshold that it was held against (NaN: none)."""
    metric = METRICS[found.metric]
    verdicts = np.full(len(found), "none", dtype="U7")
    held = np.full(len(found), np.nan)
    if limit is None or (metric.judged == "all" and found.features is not None):
        return verdicts, held
    size = np.abs(found.values) if metric.absolute else found.values
    known = ~np.isnan(size)
    verdicts[known] = "ok"
    held[known] = limit.warn if limit.warn is not None else limit.refuse
    certain = known if found.chance is None else known & ~found.chance
    for verdict, threshold in (("warning", limit.warn), ("refused", limit.refuse)):
        if threshold is not None:
            beyond = certain & (size > threshold if metric.worse == "high" else size < threshold)
            verdicts[beyond], held[beyond] = verdict, threshold
    return verdicts, held


def summarised(rows: pa.Table) -> list[dict[str, Any]]:
    """Return one entry per set, part and metric: how many values, verdicts, the worst value and where it is.

    What is refused comes first, then what is warned of.
    """
    found = []
    keys = ["feature_set", "object_set", "metric"]
    for key in rows.select(keys).group_by(keys, use_threads=False).aggregate([]).to_pylist():
        own = rows
        for name in keys:
            own = own.filter(pc.equal(own[name], key[name]))
        found.append({**key, **_summary(own, METRICS[key["metric"]])})
    return sorted(found, key=lambda one: (-one["refused"], -one["warnings"], one["feature_set"], one["object_set"]))


def _summary(rows: pa.Table, metric: Metric) -> dict[str, Any]:
    values = rows["value"].to_numpy()
    verdicts = np.array(rows["verdict"].to_pylist())
    size = np.abs(values) if metric.absolute else values
    features = rows["feature"].to_pylist()
    # Of what is judged as a whole, the worst whole; else the worst of all.
    usable = ~np.isnan(size)
    if metric.judged == "all":
        usable &= np.array([feature is None for feature in features])
    beyond = np.isin(verdicts, ("warning", "refused"))
    if beyond.any():
        usable &= beyond  # what could be chance is no worst
    worst = None
    if usable.any():
        at = np.flatnonzero(usable)
        place = int(at[np.argmax(size[at]) if metric.worse == "high" else np.argmin(size[at])])
        worst = {
            **{name: rows[name][place].as_py() for name in ("plate_id", "feature", "value", "reference", "reason")},
            "threshold": rows["threshold"][place].as_py(),
        }
    undefined = [one for one, known in zip(rows["reason"].to_pylist(), ~np.isnan(values), strict=True) if not known]
    plates = [plate for plate, bad in zip(rows["plate_id"].to_pylist(), beyond, strict=True) if bad and plate]
    return {
        "values": int((~np.isnan(values)).sum()),
        "undefined": len(undefined),
        "why": max(set(undefined), key=undefined.count) if undefined else None,
        "warnings": int((verdicts == "warning").sum()),
        "refused": int((verdicts == "refused").sum()),
        "plates": len(set(plates)),
        "worst": worst,
    }


def told(summary: Sequence[Mapping[str, Any]], quality: Mapping[str, Threshold]) -> list[str]:
    """Return what users are told, one sentence per set, part and measure, the worst first."""
    texts = []
    for one in summary:
        bad, worst = one["refused"] + one["warnings"], one["worst"]
        where = f"{one['feature_set']} {one['object_set']}: {one['metric']}"
        if bad and worst is not None:
            side = "above" if METRICS[one["metric"]].worse == "high" else "below"
            plates = f" on {one['plates']} plate(s)" if one["plates"] else ""
            refused = f", {one['refused']} of them so that no release may be made" if one["refused"] else ""
            on_plate = f"on {worst['plate_id']}" if worst["plate_id"] else ""
            what = " ".join(part for part in (worst["feature"], on_plate) if part)
            texts.append(
                f"{where} is {side} its threshold {bad} time(s){plates}{refused}; "
                f"worst {worst['value']:.3g}{f' ({what})' if what else ''}"
            )
        elif one["metric"] in quality and not one["values"]:
            texts.append(f"{where} has a threshold and is not defined: {one['why']}")
    return texts
