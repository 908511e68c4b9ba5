"""From wells to treatments: one row for all wells of a study that were treated alike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...errors import InvalidDataError
from ...schemas.tables import class_schema
from ...store.treatments import treatment_name
from ...wording import did_you_mean, listed
from .correlation import Correlations, ranks
from .groups import Groups, mean
from .matrix import ProfileMatrix
from .settings import WithSettings, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("median", "mean", "modz")
_SHOWN = 5
#: What a treatment's row says of its wells, where they agree.
_OF_WELLS = ("perturbation", "compound", "concentration_um", "gene", "control_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusSettings(WithSettings):
    """How wells become a treatment; the last four are for ``modz`` alone."""

    method: str = setting("median", "What becomes of the wells of a treatment", choices=METHODS)
    correlation: str = setting("spearman", "How replicates are compared", choices=("spearman", "pearson"))
    min_weight: float = setting(0.01, "Least weight of a well, before weights are divided by their sum", high=1.0)
    precision: int = setting(0, "Decimal places that weights are rounded to; 0: they are not", high=15)
    compat: str = setting("", "pycytominer, for its numbers where they differ", choices=("", "pycytominer"))

    def definition(self) -> dict[str, Any]:
        """Give the settings that decide numbers, as plain JSON values."""
        return self.settings() if self.method == "modz" else {"method": self.method}


def consensus(
    matrix: ProfileMatrix,
    *,
    by: Sequence[str],
    method: str = "median",
    warnings: list[str] | None = None,
    **settings: Any,
) -> ProfileMatrix:
    """Make rows of treatments from rows of wells.

    Parameters
    ----------
    matrix
        Rows with ``study_id``, ``plate_id``, ``well_id`` and the columns of ``by``.
    by
        Columns whose values together are a treatment; NULL is a value like others, but wells where all are NULL belong
        to no treatment and are left out. Studies are never mixed.
    method
        ``median`` or ``mean`` of each feature over the wells that have it; or ``modz``: a weighted mean, where a well
        weighs as much as the mean of its correlations with the other wells of the treatment (negative ones as 0).
    warnings
        Where sentences for the user are appended.
    settings
        Those of :class:`ConsensusSettings`.

    Returns
    -------
    ProfileMatrix
        ``rows`` are the columns of ``TreatmentRow`` without ``fit_version`` and ``run_id``, in the order in which
        treatments first occur in the rows of each study. ``perturbation``, ``compound``, ... are NULL where the wells
        differ. A feature that no well has is NaN.

    Raises
    ------
    InvalidDataError
        The rows lack a column of ``by``.
    BadParameterError
        A setting has a value that it cannot have.

    Notes
    -----
    MODZ: Subramanian et al., Cell 171 (2017) 1437-1452.
    """
    chosen = ConsensusSettings(method=method, **settings)
    treatments = _treatments(matrix, by, [] if warnings is None else warnings)
    result = np.full((len(treatments), len(matrix.features)), np.nan)
    values = np.where(np.isinf(matrix.values), np.nan, matrix.values)
    if chosen.method == "modz":
        for number, wells in enumerate(treatments.values()):
            result[number] = _modz(values[wells], chosen)
    elif treatments:
        numbers = np.full(len(matrix), -1)
        for number, wells in enumerate(treatments.values()):
            numbers[wells] = number
        groups = Groups.of(numbers, len(treatments))
        result = groups.reduce_rows(values, "mean" if chosen.method == "mean" else "median")
    return ProfileMatrix(rows=_rows(matrix, by, treatments), features=matrix.features, values=result)


def _treatments(
    matrix: ProfileMatrix, by: Sequence[str], warnings: list[str]
) -> dict[tuple[Hashable, ...], NDArray[np.intp]]:
    """Give, for each study and treatment in it, its rows."""
    there = matrix.rows.column_names
    for name in by:
        if name not in there:
            raise InvalidDataError(
                f"treatments: the rows of wells have no column {name!r}{did_you_mean(name, there)}",
                hint=f"they have {listed(there, 30)}",
            )
    found: dict[tuple[Hashable, ...], list[int]] = {}
    nameless: list[str] = []
    columns = [[None if one != one else one for one in matrix.column(name)] for name in ("study_id", *by)]
    keys = zip(*columns, strict=True)
    places = zip(matrix.column("plate_id"), matrix.column("well_id"), strict=True)
    for number, (key, (plate, well)) in enumerate(zip(keys, places, strict=True)):
        if all(one is None for one in key[1:]):
            nameless.append(f"{plate}/{well}")
        else:
            found.setdefault(key, []).append(number)
    if nameless:
        warnings.append(
            f"{len(nameless)} row(s) of wells belong to no treatment, for {' and '.join(by)} are empty: "
            f"{listed(nameless, _SHOWN)}"
        )
    by_study = sorted(found, key=lambda key: str(key[0]))
    return {key: np.array(found[key], np.intp) for key in by_study}


def _rows(
    matrix: ProfileMatrix, by: Sequence[str], treatments: Mapping[tuple[Hashable, ...], NDArray[np.intp]]
) -> pa.Table:
    wells = list(zip(*(matrix.column(name) for name in ("plate_id", "well_id")), strict=True))
    own = {name: matrix.column(name) for name in _OF_WELLS if name in matrix.rows.column_names}
    columns: dict[str, list[Any]] = {
        "study_id": [key[0] for key in treatments],
        "treatment": [treatment_name(key[1:]) for key in treatments],
    }
    for name in _OF_WELLS:
        columns[name] = [_shared(own[name], rows) if name in own else None for rows in treatments.values()]
    columns["n_wells"] = [len({wells[k] for k in rows}) for rows in treatments.values()]
    columns["n_plates"] = [len({wells[k][0] for k in rows}) for rows in treatments.values()]
    schema = class_schema("TreatmentRow")
    fields = [schema.field(name).remove_metadata().with_nullable(True) for name in columns]
    return pa.table([pa.array(columns[one.name], one.type) for one in fields], schema=pa.schema(fields))


def _shared(values: Sequence[Any], rows: NDArray[np.intp]) -> Any:
    """Give the value that all rows have, None where they differ."""
    found = {values[k] for k in rows}
    return next(iter(found)) if len(found) == 1 else None


def _modz(values: NDArray[np.float64], settings: ConsensusSettings) -> NDArray[np.float64]:
    """Weigh wells by how much they agree with the others; values of shape (wells, features)."""
    as_pycytominer = settings.compat == "pycytominer"
    missing = np.isnan(values)
    if len(values) == 1:
        return np.where(missing[0] & as_pycytominer, 0.0, values[0])
    correlations = _between(values, settings.correlation)
    np.fill_diagonal(correlations, np.nan)
    weights = mean(np.maximum(correlations, 0.0))
    if not as_pycytominer:
        weights = np.nan_to_num(weights, nan=0.0)  # a well that can be compared with none
    weights = np.maximum(weights, settings.min_weight)
    total = np.nansum(weights)
    weights = weights / total if total else np.full(len(weights), 1 / len(weights))
    places = settings.precision or (4 if as_pycytominer else 0)
    if places:
        weights = np.round(weights, places)
    if as_pycytominer:  # what is missing counts as 0, and so does a well without a weight
        counted: NDArray[np.float64] = np.nansum(weights[:, None] * values, axis=0)
        return counted
    share = np.where(missing, 0.0, weights[:, None])
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = (share * np.where(missing, 0.0, values)).sum(axis=0) / share.sum(axis=0)
    return result


def _between(wells: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Correlations between wells, of shape (wells, wells), over the features that both have."""
    every = np.arange(len(wells))
    wells = wells[:, ~np.isnan(wells).all(axis=0)]
    if method == "pearson":
        return Correlations(wells).block(every, every)
    result = Correlations(ranks(wells)).block(every, every)
    # Ranks are those among the features that two wells share.
    known = ~np.isnan(wells)
    patterns, of_well = np.unique(known, axis=0, return_inverse=True)
    if len(patterns) > 1:
        for one in every:
            for other in every[:one]:
                if of_well[one] != of_well[other]:
                    both = known[one] & known[other]
                    pair = Correlations(ranks(wells[np.ix_([one, other], both)]))
                    result[one, other] = result[other, one] = pair.block(np.array([0]), np.array([1]))[0, 0]
    return result
