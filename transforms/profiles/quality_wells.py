"""What wells say about the quality of features: drift of controls, replicates, positive against negative controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...errors import RecipeError
from ...wording import did_you_mean
from .controls import NEGATIVE, control_mask
from .drift import control_drift, significant
from .groups import Groups, median, median_and_mad
from .matrix import ProfileMatrix
from .normalize import MAD_TO_DEVIATION
from .replicates import Replicates, replicate_correlation
from .separation import separation
from .verdicts import ALPHA, Measures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .recipe import Controls

    Floats = NDArray[np.float64]

#: What a treatment is where a recipe does not say it.
_TREATMENT = ("perturbation", "concentration_um")
#: Wells that are no treatment, whatever is in them.
_NO_TREATMENT = ("empty", *NEGATIVE)
#: Worst wells and treatments that are named.
_WORST = 10


def measure_wells(
    matrix: ProfileMatrix,
    *,
    part: str,
    plates: Sequence[str],
    times: Sequence[float],
    unit: str,
    judged: Sequence[str],
    controls: Controls,
    treatments: Sequence[str] | None,
    comparable: bool,
) -> tuple[list[Measures], dict[str, Any]]:
    """Measure drift, replicates and separation of controls.

    Parameters
    ----------
    matrix
        Wells of all plates of a study, with the columns of wells; several rows of a well (acquisitions, time points)
        become their median.
    plates, times, unit
        In the order in which they were taken, when, and what the times count: ``day`` or ``plate``.
    judged
        Plates of which measures are wanted.
    treatments
        Columns that define a treatment; label and concentration where None.
    comparable
        Whether features are on comparable scales; if not, correlations are of their robust z against the controls of
        each plate, or all of its wells where it has fewer than three.

    Returns
    -------
    tuple
        The measures, and the wells and treatments that correlate worst with their replicates.
    """
    wells = one_row_per_well(matrix)
    at = {plate: number for number, plate in enumerate(plates)}
    plate_of = np.array([at[plate] for plate in wells.column("plate_id")], dtype=np.intp)
    is_control = control_mask(controls, wells.rows)
    found = [
        *_drift(wells, part, plates, times, unit, judged, plate_of, is_control),
        *_separation(wells, part, plates, judged, plate_of, is_control),
    ]
    values = wells.values if comparable else _standardised(wells.values, plate_of, is_control)
    codes, names = _treatments(wells, treatments, is_control)
    compared = replicate_correlation(values, codes)
    found += _replicates(compared, part, plates, judged, plate_of)
    return found, _worst(wells, compared, codes, names)


def one_row_per_well(matrix: ProfileMatrix) -> ProfileMatrix:
    """Return the median of the rows of each well, in the order in which wells first come."""
    keys = list(zip(matrix.column("plate_id"), matrix.column("well_id"), strict=True))
    at = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(at) == len(keys):
        return matrix
    numbers = np.array([at[key] for key in keys], dtype=np.intp)
    _, first = np.unique(numbers, return_index=True)
    values = Groups.of(numbers, len(at)).reduce_rows(matrix.values, "median")
    return ProfileMatrix(rows=matrix.rows.take(pa.array(first, pa.int64())), features=matrix.features, values=values)


def _standardised(values: Floats, plate_of: NDArray[np.intp], is_control: NDArray[np.bool_]) -> Floats:
    """Return robust z of each plate against its controls, or all its wells; features without spread are NaN."""
    result = np.full(values.shape, np.nan)
    for plate in np.unique(plate_of):
        own = plate_of == plate
        learn = own & is_control
        block = np.array(values[learn if learn.sum() >= 3 else own].T, order="C")
        center, mad = median_and_mad(block)
        with np.errstate(invalid="ignore", divide="ignore"):
            result[own] = (values[own] - center) / np.where(mad == 0, np.nan, MAD_TO_DEVIATION * mad)
    return result


def _drift(
    wells: ProfileMatrix,
    part: str,
    plates: Sequence[str],
    times: Sequence[float],
    unit: str,
    judged: Sequence[str],
    plate_of: NDArray[np.intp],
    is_control: NDArray[np.bool_],
) -> Iterator[Measures]:
    n = len(wells.features)
    alpha = ALPHA / max(1, n * len(plates))
    drift = control_drift(wells.values, plate_of, is_control, times, alpha=alpha)
    reference = f"controls of {len(plates)} plates"
    for number, plate in enumerate(plates):
        if plate not in judged:
            continue
        row, why = drift.values[number], drift.reasons[number]
        known = ~np.isnan(row)
        reasons = [
            None if there else why or ("controls do not vary" if flat else "controls have no value")
            for there, flat in zip(known, drift.constant, strict=True)
        ]
        if known.any():
            yield Measures(
                metric="ControlDrift",
                part=part,
                plate_id=plate,
                features=wells.features,
                values=row,
                reference=reference,
                reasons=reasons,
                chance=np.abs(row) <= drift.chance[number],
            )
        beyond = np.abs(row[known]) > drift.chance[number][known]
        yield Measures(
            metric="MedianControlDrift",
            part=part,
            plate_id=plate,
            features=None,
            values=np.array([np.median(np.abs(row[known])) if known.any() else np.nan]),
            reference=reference,
            reasons=None if known.any() else why or "controls do not vary",
            chance=np.array([not known.any() or float(beyond.mean()) <= 0.5]),
        )
    if not np.isnan(drift.slope).all():
        # A trend says something where the order of the plates does, and so much change is no chance either.
        change = np.abs(drift.slope) * (max(times) - min(times))
        usual = median(np.array(drift.chance.T, order="C"))
        yield Measures(
            metric="ControlDriftSlope",
            part=part,
            plate_id=None,
            features=wells.features,
            values=drift.slope,
            reference=f"deviations of controls per {unit}",
            reasons=[None if np.isnan(p) else f"p = {p:.2g}" for p in drift.p],
            chance=~(significant(drift.p, ALPHA) & (change > usual)),
        )


def _separation(
    wells: ProfileMatrix,
    part: str,
    plates: Sequence[str],
    judged: Sequence[str],
    plate_of: NDArray[np.intp],
    is_control: NDArray[np.bool_],
) -> Iterator[Measures]:
    kinds = wells.column("control_type")
    names = [
        next((str(one) for one in (control, label) if one), "positive") if kind == "positive" else None
        for kind, control, label in zip(kinds, wells.column("control_name"), wells.column("perturbation"), strict=True)
    ]
    positives = np.array(["" if name is None else name for name in names])
    for number, plate in enumerate(plates):
        if plate not in judged:
            continue
        own = plate_of == number
        negative = wells.values[own & is_control]
        known: list[str | None] = [*sorted({name for name, here in zip(names, own, strict=True) if here and name})]
        for name in known or [None]:
            reference = None if name is None else f"{name} against controls"
            if name is None or not len(negative):
                missing = "no positive controls" if name is None else "no negative controls"
                for metric in ("ZPrime", "SSMD"):
                    yield _one(metric, part, plate, np.nan, reference, missing)
                continue
            apart = separation(wells.values[own & (positives == name)], negative)
            for metric, values in (("ZPrime", apart.z_prime), ("SSMD", apart.ssmd)):
                yield Measures(
                    metric=metric,
                    part=part,
                    plate_id=plate,
                    features=wells.features,
                    values=values,
                    reference=reference,
                    reasons=[
                        reason if np.isnan(one) else None for reason, one in zip(apart.reasons, values, strict=True)
                    ],
                )
                size = np.abs(values) if metric == "SSMD" else values
                if np.isnan(size).all():
                    yield _one(metric, part, plate, np.nan, reference, next(filter(None, apart.reasons), "no features"))
                    continue
                best = int(np.nanargmax(size))
                said = f"the best of {int((~np.isnan(size)).sum())} features, {wells.features[best]}"
                yield _one(metric, part, plate, values[best], reference, said)


def _treatments(
    wells: ProfileMatrix, by: Sequence[str] | None, is_control: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], list[str]]:
    """Return the number of each well's treatment (-1: none), and what treatments are called."""
    columns = list(_TREATMENT if by is None else by)
    for column in columns:
        if column not in wells.rows.column_names:
            raise RecipeError(
                f"[consensus] by: no well has {column!r}{did_you_mean(column, wells.rows.column_names)}",
                hint="name columns of wells, or attributes",
            )
    keys = list(zip(*(wells.column(column) for column in columns), strict=True))
    kinds = wells.column("control_type")
    at: dict[tuple[Any, ...], int] = {}
    codes = np.full(len(wells), -1, dtype=np.intp)
    for row, (key, kind, control) in enumerate(zip(keys, kinds, is_control, strict=True)):
        if not control and kind not in _NO_TREATMENT and any(value is not None for value in key):
            codes[row] = at.setdefault(key, len(at))
    return codes, [" ".join(str(value) for value in key if value is not None) for key in at]


def _replicates(
    compared: Replicates, part: str, plates: Sequence[str], judged: Sequence[str], plate_of: NDArray[np.intp]
) -> Iterator[Measures]:
    reference = f"replicates over {compared.features} features"
    for number, plate in enumerate(plates):
        if plate in judged:
            own = compared.of_well[plate_of == number]
            known = own[~np.isnan(own)]
            none = None if len(known) else "no well has a replicate to compare with"
            middle = float(np.median(known)) if len(known) else np.nan
            yield _one("ReplicateCorrelation", part, plate, middle, reference, none)
    known = compared.of_treatment[~np.isnan(compared.of_treatment)]
    none = None if len(known) else "no treatment has two wells with values"
    middle = float(np.median(known)) if len(known) else np.nan
    yield _one("ReplicateCorrelation", part, None, middle, reference, none)
    share = compared.percent_replicating
    if not len(known):
        why: str | None = none
    elif np.isnan(share):
        why = "there is one treatment only: nothing says what chance is"
    else:
        why = f"of {len(known)} treatments with replicates"
    yield _one("PercentReplicating", part, None, share, reference, why)


def _worst(wells: ProfileMatrix, compared: Replicates, codes: NDArray[np.intp], names: Sequence[str]) -> dict[str, Any]:
    """Return the wells and treatments that correlate worst with their replicates."""
    plates, well_ids = wells.column("plate_id"), wells.column("well_id")
    rows = [row for row in np.argsort(compared.of_well) if not np.isnan(compared.of_well[row])][:_WORST]
    treatments = [one for one in np.argsort(compared.of_treatment) if not np.isnan(compared.of_treatment[one])]
    return {
        "features": compared.features,
        "left_out": compared.left_out,
        "wells": [
            {
                "plate_id": plates[row],
                "well_id": well_ids[row],
                "treatment": names[codes[row]],
                "correlation": float(compared.of_well[row]),
            }
            for row in rows
        ],
        "treatments": [
            {
                "treatment": names[one],
                "wells": int(compared.sizes[one]),
                "correlation": float(compared.of_treatment[one]),
                "by_chance": None if np.isnan(compared.by_chance[one]) else float(compared.by_chance[one]),
            }
            for one in treatments[:_WORST]
        ],
    }


def _one(
    metric: str, part: str, plate_id: str | None, value: float, reference: str | None, reason: str | None
) -> Measures:
    return Measures(
        metric=metric,
        part=part,
        plate_id=plate_id,
        features=None,
        values=np.array([value], dtype=np.float64),
        reference=reference,
        reasons=reason,
    )
