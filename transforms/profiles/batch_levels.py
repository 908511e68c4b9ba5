"""Which batch a row belongs to, by the columns that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InvalidDataError, RecipeError
from ...wording import did_you_mean, listed
from .settings import setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix

_SHOWN = 3


def unseen_setting() -> str:
    """Declare the setting ``unseen``: what happens to rows of a batch that was not there at ``fit``."""
    meaning = "rows of a new batch: an error, or mapped by terms that are estimated from them with all else fixed"
    declared: str = setting("error", meaning, choices=("error", "map"))
    return declared


def levels_of(matrix: ProfileMatrix, column: str, *, operator: str) -> list[str]:
    """Give each row's value of a column, as ``column=value``.

    Plates have names that are unique in their study only, so ``plate_id`` is ``plate_id=study/plate``.

    Raises
    ------
    RecipeError
        There is no such column.
    InvalidDataError
        A row has no value of it.
    """
    known = matrix.rows.column_names
    if column not in known:
        raise RecipeError(
            f"{operator}: profiles have no column {column!r}{did_you_mean(column, known)}",
            hint=f"columns: {', '.join(known)}",
        )
    values: Sequence[Any] = matrix.column(column)
    missing = [row for row, value in enumerate(values) if value is None]
    if missing:
        where = _wells(matrix, missing)
        raise InvalidDataError(
            f"{operator}: {len(missing)} of {len(values)} rows have no {column}{where}",
            hint=f"fill the column {column} in the plate map, or name another",
        )
    if column == "plate_id" and "study_id" in known:
        values = [f"{study}/{plate}" for study, plate in zip(matrix.column("study_id"), values, strict=True)]
    return [f"{column}={value}" for value in values]


def one_hot(levels: Sequence[str], known: Sequence[str]) -> NDArray[np.float64]:
    """Give (rows, known): 1 where a row is of that level; rows of other levels are all 0."""
    at = {level: number for number, level in enumerate(known)}
    coded = np.zeros((len(levels), len(known)))
    for row, level in enumerate(levels):
        if level in at:
            coded[row, at[level]] = 1
    return coded


def by_level(arrays: Mapping[str, NDArray[np.float64]], name: str) -> dict[str, NDArray[np.float64]]:
    """Give the arrays of one name, which stand as ``name[level]``, by their level, in the order of their names."""
    start = f"{name}["
    return {key[len(start) : -1]: arrays[key] for key in sorted(arrays) if key.startswith(start)}


def named(name: str, level: str) -> str:
    """Give the name of an array of one level."""
    return f"{name}[{level}]"


def refuse_unseen(operator: str, levels: Sequence[str], known: Sequence[str], *, maps: bool = True) -> None:
    """Raise where rows are of levels that were not there when the parameters were fitted.

    Raises
    ------
    InvalidDataError
        There are such rows.
    """
    unseen = sorted(set(levels) - set(known))
    if not unseen:
        return
    hint = "fit the recipe again with these rows, or correct by a column whose values the new rows share"
    hint += '; or set unseen = "map" to estimate the term of a new batch with all else fixed' if maps else ""
    raise InvalidDataError(
        f"{operator}: {len(unseen)} batch(es) were not there when it was fitted: {listed(unseen, _SHOWN)}; known: "
        f"{listed(sorted(known), _SHOWN)}",
        hint=hint,
    )


def refuse_single(operator: str, levels: Sequence[str]) -> None:
    """Raise where there are not two batches that could be brought together.

    Raises
    ------
    InvalidDataError
        There is one.
    """
    if len(levels) < 2:
        raise InvalidDataError(
            f"{operator}: all wells to learn from are of one batch ({listed(levels, _SHOWN)}), so there is nothing to "
            "correct",
            hint='fit the step on "study" or "all", or name another column as batch',
        )


def learned_from_all(matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give 1 where every row with a value is learned from, else 0: an array of shape (1,), to be kept with others."""
    return np.array([float(not np.isfinite(matrix.values[~learn]).any())])


def refuse_mapping(operator: str, arrays: Mapping[str, NDArray[np.float64]]) -> None:
    """Raise where a new batch would be mapped although the parameters come from some of the wells only.

    Raises
    ------
    RecipeError
        They do.
    """
    if not arrays["learned_from_all"][0]:
        raise RecipeError(
            f"{operator}: the term of a new batch cannot be estimated from all its wells where those of the others "
            "come from controls",
            hint='let the step learn with on = "all", or set unseen = "error"',
        )


def _wells(matrix: ProfileMatrix, rows: Sequence[int]) -> str:
    columns = [name for name in ("plate_id", "well_id") if name in matrix.rows.column_names]
    if not columns:
        return ""
    taken = matrix.rows.select(columns).take(rows[: _SHOWN + 1]).to_pylist()
    return f", such as {listed(['/'.join(str(one[name]) for name in columns) for one in taken], _SHOWN)}"
