"""Dose response: half-maximal concentrations of compounds, with how sure they are, or the reason why there is none.

``[dose_response]`` in a recipe of profiles names features; each compound and feature makes one row of the table
``dose_responses``. Zero doses are the wells of the compound with concentration 0 and the controls on its plates.

An EC50 is given only where the data hold one. Else all values are empty, and ``reason`` says why:

``too_few_doses``    fewer than ``min_doses`` different doses above 0 have a value
``too_few_wells``    no well is left over beside the four parameters: nothing says how sure they are
``constant``         all wells have one value
``flat``             the curve explains no more than chance does (F test against the mean at level ``alpha``)
``outside_range``    EC50 lies below the smallest or above the largest dose
``too_steep``        no dose lies on the slope, from 5 to 95 % of the way: EC50 is somewhere between two doses
``too_shallow``      the response is a straight line in the logarithm of the dose: it has no ends
``uncertain``        the confidence interval of EC50 is wider than the range of doses, or there is none
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InvalidDataError, RecipeError
from ...schemas.ontology import enum_values
from ...schemas.tables import arrow_schema
from ...wording import did_you_mean, listed
from .complete import is_constant
from .controls import NEGATIVE
from .four_parameters import LEAST_HILL, MOST_HILL, Curves, fit_curves

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ..recipe_table import RecipeTable
    from .matrix import ProfileMatrix

TABLE = "dose_responses"
_CONFIDENCE = 0.95
_PARAMETERS = 4
_DIGITS = 9
#: A dose is at an end of the curve where it is less than this share of the way from it.
_AT_AN_END = 0.05
_SHOWN = 5
_VALUES = (
    *("bottom", "top", "ec50_um", "hill", "r_squared"),
    *("bottom_low", "bottom_high", "top_low", "top_high", "ec50_low_um", "ec50_high_um", "hill_low", "hill_high"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseResponseSettings:
    """What ``[dose_response]`` of a recipe says.

    Attributes
    ----------
    features
        Features that curves are fitted to, as they are after all steps.
    by
        Column of wells whose values are the compounds.
    controls
        Control types of wells that count as dose 0 of every compound on their plate.
    min_doses
        Different doses above 0 that a curve needs.
    alpha
        Level of the test against a flat line.
    """

    features: tuple[str, ...]
    by: str = "compound"
    controls: tuple[str, ...] = NEGATIVE
    min_doses: int = 4
    alpha: float = 0.01

    def to_json(self) -> dict[str, Any]:
        """Give all settings as plain JSON values: they are part of the recipe's hash."""
        return {
            "features": list(self.features),
            "by": self.by,
            "controls": list(self.controls),
            "min_doses": self.min_doses,
            "alpha": self.alpha,
        }


def from_json(said: Mapping[str, Any]) -> DoseResponseSettings:
    """Make settings anew from :meth:`DoseResponseSettings.to_json`."""
    settings: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in said.items()}
    return DoseResponseSettings(**settings)


def parse(table: RecipeTable) -> DoseResponseSettings:
    """Read ``[dose_response]``.

    Raises
    ------
    RecipeError
        With file, table, key, and what is allowed there.
    """
    table.only(("features", "by", "controls", "min_doses", "alpha"))
    features = table.words("features")
    if not features:
        table.refuse("features", "names no feature", 'for example ["Nuclei_AreaShape_Area"]')
    min_doses = table.whole("min_doses", 4, low=_PARAMETERS, high=1000)
    alpha = table.number("alpha", 0.01, low=1e-12, high=0.5)
    assert alpha is not None
    controls = NEGATIVE
    if "controls" in table.raw and table.raw["controls"] != []:
        controls = table.known_words("controls", tuple(enum_values("ControlType")), "control type", more="; or []")
    elif "controls" in table.raw:
        controls = ()
    return DoseResponseSettings(
        features=features,
        by=table.text("by", default="compound"),
        controls=controls,
        min_doses=min_doses,
        alpha=alpha,
    )


def run(
    matrix: ProfileMatrix,
    settings: DoseResponseSettings,
    *,
    profile_set: str,
    profile_set_hash: str,
    run_id: str,
) -> pa.Table:
    """Fit a curve to each compound of each study and each feature.

    Parameters
    ----------
    matrix
        Rows of wells after all steps, with ``study_id``, ``concentration_um``, the column of compounds and, where there
        are controls, ``control_type`` and ``plate_id``.
    profile_set, profile_set_hash, run_id
        What the rows name.

    Returns
    -------
    pyarrow.Table
        Rows of ``dose_responses``, by study, compound and feature. Low and high are 95 % confidence intervals by the
        delta method with Student's t: on the logarithm for EC50 and hill, which are above 0.

    Raises
    ------
    RecipeError
        A column or a feature is not there.
    InvalidDataError
        No well has both a compound and a concentration.
    """
    import pyarrow as pa

    check_columns(settings, matrix.rows.column_names, "recipe")
    _check_features(matrix, settings)
    values = matrix.select_features(settings.features).values
    values = np.where(np.isfinite(values), values, np.nan)
    rows: list[dict[str, Any]] = []
    for (study, compound), (wells, doses, controls) in sorted(_series(matrix, settings).items()):
        every = np.concatenate([wells, controls])
        fitted = _fit(np.concatenate([doses, np.zeros(len(controls))]), values[every], settings)
        n_wells, n_controls = (np.isfinite(values[some]).sum(axis=0).tolist() for some in (wells, controls))
        rows += [
            {
                "study_id": study,
                "profile_set": profile_set,
                "profile_set_hash": profile_set_hash,
                "compound": compound,
                "feature": feature,
                "n_wells": n_wells[number],
                "n_controls": n_controls[number],
                "run_id": run_id,
                **one,
            }
            for number, (feature, one) in enumerate(zip(settings.features, fitted, strict=True))
        ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TABLE))


def check_columns(settings: DoseResponseSettings | None, known: Sequence[str], source: str) -> None:
    """Make sure that wells have the columns that doses are read from.

    Parameters
    ----------
    known
        The columns.
    source
        What messages call the recipe.

    Raises
    ------
    RecipeError
        One is not among them.
    """
    if settings is None:
        return
    for column in (settings.by, "concentration_um", *(["control_type"] if settings.controls else [])):
        if column not in known:
            raise RecipeError(
                f"{source}: [dose_response]: wells have no column {column!r}{did_you_mean(column, known)}",
                hint="say of each well in the plate map what it was given and how much",
            )


def _check_features(matrix: ProfileMatrix, settings: DoseResponseSettings) -> None:
    missing = [name for name in settings.features if name not in matrix.features]
    if missing:
        raise RecipeError(
            f"[dose_response] features: {len(missing)} are not among those that the steps leave: "
            f"{listed(missing, _SHOWN)}{did_you_mean(missing[0], matrix.features)}",
            hint='a step "select" may have dropped them, or a step with components has replaced them',
        )


def _series(
    matrix: ProfileMatrix, settings: DoseResponseSettings
) -> dict[tuple[str, str], tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]]:
    """Give (study, compound) → rows of its wells, their doses, and rows of the controls on its plates.

    Raises
    ------
    InvalidDataError
        There is none.
    """
    n = len(matrix)
    studies, compounds = matrix.column("study_id"), matrix.column(settings.by)
    doses = matrix.column("concentration_um")
    kinds = matrix.column("control_type") if settings.controls else [None] * n
    plates = matrix.column("plate_id") if "plate_id" in matrix.rows.column_names else [None] * n
    wells: dict[tuple[str, str], list[int]] = {}
    controls: dict[tuple[str, Any], list[int]] = {}
    for row in range(n):
        if kinds[row] is not None and kinds[row] in settings.controls:
            controls.setdefault((studies[row], plates[row]), []).append(row)
        elif compounds[row] is not None and doses[row] is not None:
            wells.setdefault((studies[row], str(compounds[row])), []).append(row)
    if not wells:
        raise InvalidDataError(
            f"[dose_response]: none of {n} wells has both a {settings.by} and a concentration in µM",
            hint="say of each well in the plate map what it was given and how much",
        )
    found = {}
    for (study, compound), own in wells.items():
        plates_of = dict.fromkeys((study, plates[row]) for row in own)
        beside = [row for plate in plates_of for row in controls.get(plate, ())]
        found[study, compound] = (
            np.array(own),
            np.array([float(doses[row]) for row in own]),
            np.array(beside, dtype=np.int64),
        )
    return found


def _fit(
    doses: NDArray[np.float64], values: NDArray[np.float64], settings: DoseResponseSettings
) -> list[dict[str, Any]]:
    """Give the columns of each feature for wells of some doses (n,), 0 for controls, and values (n, features)."""
    there = np.isfinite(values)
    different, of = np.unique([float(f"{dose:.{_DIGITS}g}") for dose in doses], return_inverse=True)
    of_dose = np.eye(len(different))[of].T  # (doses, wells)
    counts = of_dose @ there
    means = of_dose @ np.where(there, values, 0.0) / np.maximum(counts, 1)
    within = (np.where(there, values - means[of], 0.0) ** 2).sum(axis=0)
    n_doses = (counts[different > 0] > 0).sum(axis=0)
    n = counts.sum(axis=0)
    reasons = np.full(values.shape[1], "", dtype=object)
    reasons[is_constant(values)] = "constant"
    reasons[n <= _PARAMETERS] = "too_few_wells"
    reasons[n_doses < settings.min_doses] = "too_few_doses"
    found: list[dict[str, Any]] = [
        {"n_doses": int(count), "reason": reason or None, **dict.fromkeys(_VALUES)}
        for count, reason in zip(n_doses, reasons, strict=True)
    ]
    wanted = np.flatnonzero(reasons == "")
    if not len(wanted):
        return found
    curves = fit_curves(different, counts[:, wanted], means[:, wanted], within[wanted])
    for number, feature in enumerate(wanted):
        tested = different[(different > 0) & (counts[:, feature] > 0)]
        columns, reason = _judged(curves, number, np.log(tested), settings)
        found[feature] |= {"reason": reason} if reason else columns
    return found


def _judged(
    curves: Curves, number: int, log_doses: NDArray[np.float64], settings: DoseResponseSettings
) -> tuple[Mapping[str, Any], str]:
    """Give the columns of one curve, or the reason why it has no EC50."""
    from scipy.special import fdtrc, stdtrit

    free = float(curves.n[number] - _PARAMETERS)
    residual, total = float(curves.residual[number]), float(curves.total[number])
    explained = max(total - residual, 0.0) / (_PARAMETERS - 1)
    if residual > 0 and fdtrc(_PARAMETERS - 1, free, explained / (residual / free)) > settings.alpha:
        return {}, "flat"
    log_ec50, log_hill = float(curves.log_ec50[number]), float(curves.log_hill[number])
    low, high = float(log_doses[0]), float(log_doses[-1])
    if not low <= log_ec50 <= high:
        return {}, "outside_range"
    # Where every dose is at one end or the other, noise alone says how steep the way between them is.
    shares = 0.5 * (1 + np.tanh(0.5 * math.exp(log_hill) * (log_doses - log_ec50)))
    if log_hill > math.log(MOST_HILL) - 1e-6 or not (np.abs(shares - 0.5) < 0.5 - _AT_AN_END).any():
        return {}, "too_steep"
    if log_hill < math.log(LEAST_HILL) + 1e-6:
        return {}, "too_shallow"
    variance = curves.covariance[number].diagonal()
    if not np.isfinite(variance).all() or (variance < 0).any():
        return {}, "uncertain"
    start, end = float(curves.start[number]), float(curves.end[number])
    start_wide, end_wide, ec50_wide, hill_wide = (stdtrit(free, (1 + _CONFIDENCE) / 2) * np.sqrt(variance)).tolist()
    if 2 * ec50_wide > high - low:
        return {}, "uncertain"
    rises = end >= start
    slopes = [math.exp(log_hill + sign * hill_wide) for sign in (-1, 1)]
    (bottom, bottom_wide), (top, top_wide) = sorted(((start, start_wide), (end, end_wide)))
    return {
        "bottom": bottom,
        "bottom_low": bottom - bottom_wide,
        "bottom_high": bottom + bottom_wide,
        "top": top,
        "top_low": top - top_wide,
        "top_high": top + top_wide,
        "ec50_um": math.exp(log_ec50),
        "ec50_low_um": math.exp(log_ec50 - ec50_wide),
        "ec50_high_um": math.exp(log_ec50 + ec50_wide),
        "hill": math.exp(log_hill) if rises else -math.exp(log_hill),
        "hill_low": slopes[0] if rises else -slopes[1],
        "hill_high": slopes[1] if rises else -slopes[0],
        "r_squared": 1 - residual / total,
    }, ""
