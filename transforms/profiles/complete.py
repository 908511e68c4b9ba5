"""Which numbers a step can learn from that mixes features with one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InvalidDataError
from ...wording import listed
from .operator import Flag
from .settings import setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix

_SHOWN = 3


def na_setting() -> str:
    """Declare the setting ``na``: what happens to features without a value in some of the wells to learn from."""
    meaning = "features without a value in some of the wells: an error, or left out and flagged na"
    declared: str = setting("error", meaning, choices=("error", "leave_out"))
    return declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """Numbers without gaps.

    Attributes
    ----------
    rows
        int64 of shape (n,): which rows of the matrix they are, in an order that depends on the values alone; so a step
        learns the same, to the bit, in whatever order rows come.
    features
        Which features are left.
    values
        float64 of shape (n, features), finite.
    flags
        Features that are not among them: ``na`` or ``constant``.
    """

    rows: NDArray[np.int64]
    features: tuple[str, ...]
    values: NDArray[np.float64]
    flags: tuple[Flag, ...]


def complete(
    matrix: ProfileMatrix, learn: NDArray[np.bool_], *, operator: str, na: str, constant: bool = False
) -> Complete:
    """Take what a step can learn from, where it mixes features with one another and so needs all of them in each row.

    Rows without any value (wells without objects) are passed over. Constant features are left out and flagged, unless
    ``constant`` says that they may stay.

    Parameters
    ----------
    matrix, learn
        As :meth:`~.operator.Operator.fit` has them.
    operator
        Its name, for messages.
    na
        What to do about features without a value in some of the other rows: ``error``, or ``leave_out`` with a flag.

    Raises
    ------
    InvalidDataError
        Fewer than two rows or no feature are left; or some features have gaps and ``na`` is ``error``.
    """
    finite = np.isfinite(matrix.values)
    rows = np.flatnonzero(learn & finite.any(axis=1))
    if len(rows) < 2:
        raise InvalidDataError(
            f"{operator}: {len(rows)} of {int(learn.sum())} well(s) to learn from have any value, and it needs two or "
            f"more{_where(matrix, learn)}",
            hint='let the step learn from more wells: fit = "study", or on = "all"',
        )
    gaps = (~finite[rows]).sum(axis=0)
    if gaps.any() and na == "error":
        named = [name for name, count in zip(matrix.features, gaps, strict=True) if count]
        raise InvalidDataError(
            f"{operator}: {len(named)} of {len(matrix.features)} features have no value in some of the {len(rows)} "
            f"wells to learn from: {listed(named, _SHOWN)}{_where(matrix, learn)}",
            hint='put a step "select" that drops features with missing values before it, or set na = "leave_out"',
        )
    flags = [
        Flag(feature=name, reason="na", detail=f"no value in {count} of {len(rows)} rows")
        for name, count in zip(matrix.features, gaps, strict=True)
        if count
    ]
    kept = np.flatnonzero(gaps == 0)
    values = matrix.values[np.ix_(rows, kept)]
    if not constant:
        same = is_constant(values)
        flags += [Flag(feature=matrix.features[one], reason="constant") for one in kept[same]]
        kept, values = kept[~same], values[:, ~same]
    if not len(kept):
        reasons = sorted({flag.reason for flag in flags})
        raise InvalidDataError(
            f"{operator}: none of {len(matrix.features)} features is left to learn from ({', '.join(reasons)})"
            f"{_where(matrix, learn)}",
            hint="look at the features of these wells; a step before this one may have left them empty",
        )
    order = order_of_rows(values)
    return Complete(
        rows=rows[order],
        features=tuple(matrix.features[one] for one in kept),
        values=np.ascontiguousarray(values[order]),
        flags=tuple(flags),
    )


def is_constant(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which columns of (rows, features) do not vary beyond what rounding makes of one value; NaN is passed over."""
    size = np.max(np.abs(values), axis=0, where=np.isfinite(values), initial=0.0)
    low = np.min(values, axis=0, where=np.isfinite(values), initial=np.inf)
    high = np.max(values, axis=0, where=np.isfinite(values), initial=-np.inf)
    return np.asarray(~(high - low > 8 * np.finfo(np.float64).eps * size))


def order_of_rows(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give an order of rows (n, features) that depends on their values alone: by their bytes."""
    solid = np.ascontiguousarray(values)
    as_bytes = solid.view(np.dtype((np.void, solid.dtype.itemsize * solid.shape[1]))).ravel()
    return np.argsort(as_bytes, kind="stable")


def values_of(matrix: ProfileMatrix, features: tuple[str, ...]) -> NDArray[np.float64]:
    """Give the values (rows, features) of some features; NaN where they are not finite.

    Raises
    ------
    InvalidDataError
        A feature is not there.
    """
    values = matrix.select_features(features).values
    return np.where(np.isfinite(values), values, np.nan)


def _where(matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> str:
    """Name the plates of the rows to learn from, or of all rows where there are none: for the end of a message."""
    if "plate_id" not in matrix.rows.column_names:
        return ""
    plates = matrix.column("plate_id")
    named = sorted({str(plate) for plate, one in zip(plates, learn, strict=True) if one or not learn.any()})
    return f"; plate {listed(named, _SHOWN)}" if named else ""
