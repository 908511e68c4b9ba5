"""Which wells are controls, plate by plate, and what is said of plates that have none or few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...errors import InvalidDataError, RecipeError
from ...schemas.identifiers import parse_well
from ...wording import did_you_mean, listed
from .recipe import Controls, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Control types that are compared with where a recipe does not say which: nothing was done to them.
NEGATIVE: tuple[str, ...] = ("negative_vehicle", "negative_non_targeting", "untreated")
_SAY = "say which wells are controls, in the plate map (`cytolake annotate`) or in [controls] where"
_SHOWN = 8
_PLATES_SHOWN = 5
#: Columns of wells that a hint lists: all of the lake, and some attributes.
COLUMNS_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateControls:
    """The controls of one plate.

    Attributes
    ----------
    wells
        Names of the control wells that have rows, in the order of the plate.
    why
        What there is instead, where they are none or few; empty otherwise.
    """

    study_id: str
    plate_id: str
    wells: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What follows from the controls of the plates: which are left out, and what users are told."""

    left_out: frozenset[tuple[str, str]]
    warnings: tuple[str, ...]


def check_columns(controls: Controls, wells: pa.Table, recipe: str) -> None:
    """Make sure that what the recipe asks of wells is known of them at all.

    Raises
    ------
    RecipeError
        A column is neither one of ``wells`` nor an attribute of any well.
    """
    for column in controls.where:
        if column not in wells.column_names:
            raise RecipeError(
                f"{recipe}: [controls] where: no well has {column!r}{did_you_mean(column, wells.column_names)}",
                hint=f"columns of wells and attributes: {listed(wells.column_names, COLUMNS_SHOWN)}",
            )


def control_mask(controls: Controls, rows: pa.Table) -> NDArray[np.bool_]:
    """Return which rows are of control wells.

    Parameters
    ----------
    rows
        With the columns of their wells.

    Returns
    -------
    numpy.ndarray
        Of shape (rows,): true where each column of ``where`` has one of its values. Numbers are compared as numbers
        where the column holds numbers, else as text; an empty value is none of them.
    """
    mask = np.ones(rows.num_rows, dtype=bool)
    for column, values in controls.where.items():
        mask &= _holds(rows[column], values)
    return mask


def plate_controls(
    controls: Controls, *, study_id: str, plate_id: str, wells: pa.Table, with_rows: Iterable[str] | None
) -> PlateControls:
    """Find the controls of one plate.

    Parameters
    ----------
    wells
        What is known of the plate's wells, the excluded ones too.
    with_rows
        Names of the wells that have features; None where that is not known yet: all that are not excluded.
    """
    unsorted: list[Any] = wells["well_id"].to_pylist()
    order = sorted(range(len(unsorted)), key=lambda number: parse_well(unsorted[number]))
    wells = wells.take(order)
    mask = control_mask(controls, wells)
    excluded: list[Any] = wells["excluded"].to_pylist()
    names: list[Any] = wells["well_id"].to_pylist()
    present = set(names) if with_rows is None else set(with_rows)
    usable = [name for name, one, out in zip(names, mask, excluded, strict=True) if one and not out]
    found = tuple(name for name in usable if name in present)
    why = ""
    if len(found) < controls.min_wells:
        out = [name for name, one, gone in zip(names, mask, excluded, strict=True) if one and gone]
        empty = [name for name in usable if name not in present]
        parts = [f"excluded: {listed(out, _SHOWN)}"] if out else []
        parts += [f"without features: {listed(empty, _SHOWN)}"] if empty else []
        parts += [f"{column} there: {_values_there(wells, column)}" for column in controls.where]
        if not mask.any():
            parts += _elsewhere(controls, wells)
        why = "; ".join(parts)
    return PlateControls(study_id=study_id, plate_id=plate_id, wells=found, why=why)


def judge(controls: Controls, plates: Sequence[PlateControls], recipe: str) -> Judgement:
    """Decide about plates without controls, and with few, as the recipe says.

    Raises
    ------
    InvalidDataError
        A plate has none, or few, and the recipe makes that an error; or no plate is left.
    """
    none = [one for one in plates if not one.wells]
    few = [one for one in plates if 0 < len(one.wells) < controls.min_wells]
    wanted = " and ".join(f"{column} {_or(values)}" for column, values in controls.where.items())
    if none and controls.none == "error":
        raise InvalidDataError(
            f"{recipe}: {_plates(none)} no control well ({wanted}); {_reasons(none)}",
            hint=f'{_SAY}; leave such plates out ([controls] none = "leave_out"), or compare with all wells of a plate '
            "(recipe whole-plate)",
        )
    if few and controls.few == "error":
        raise InvalidDataError(
            f"{recipe}: {_plates(few)} fewer than {controls.min_wells} control wells ({wanted}); {_reasons(few)}",
            hint='add controls, lower [controls] min_wells, or set few = "warn" or "leave_out"',
        )
    left_out = [*none, *(few if controls.few == "leave_out" else [])]
    if plates and len(left_out) == len(plates):
        raise InvalidDataError(
            f"{recipe}: no plate has {controls.min_wells if few else 1} or more control wells ({wanted}); "
            f"{_reasons(left_out)}",
            hint=_SAY,
        )
    warnings = [f"{_named(one)} is left out: no control well; {one.why}" for one in none]
    consequence = "is left out" if controls.few == "leave_out" else "is normalised all the same"
    warnings += [
        f"{_named(one)} has {len(one.wells)} control well(s) ({', '.join(one.wells)}), fewer than "
        f"{controls.min_wells}, and {consequence}" + (f"; {one.why}" if one.why else "")
        for one in few
    ]
    return Judgement(left_out=frozenset((one.study_id, one.plate_id) for one in left_out), warnings=tuple(warnings))


def _holds(column: pa.ChunkedArray[Any], values: Sequence[Value]) -> NDArray[np.bool_]:
    """Whether each value of a column is one of ``values``."""
    kind = column.type
    if pa.types.is_boolean(kind):
        wanted: set[Any] = {value for value in values if isinstance(value, bool)}
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        wanted = {float(value) for value in values if not isinstance(value, str | bool)}
    else:
        wanted = {_as_text(value) for value in values}
    return np.array([value is not None and value in wanted for value in column.to_pylist()], dtype=bool)


def _as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values_there(wells: pa.Table, column: str) -> str:
    counted = Counter("nothing" if value is None else str(value) for value in wells[column].to_pylist())
    if not counted:
        return "no well is known of it"
    return listed([f"{value} ({number})" for value, number in counted.most_common()], _SHOWN)


def _elsewhere(controls: Controls, wells: pa.Table) -> list[str]:
    """Say in which other columns the values stand that were looked for."""
    said = []
    for column, values in controls.where.items():
        for other in wells.column_names:
            if other != column and pa.types.is_string(wells.schema.field(other).type):
                there = {value for value in wells[other].to_pylist() if value is not None}
                said += [f"{value!r} stands in {other}" for value in values if value in there]
    return said


def _plates(plates: Sequence[PlateControls]) -> str:
    if len(plates) == 1:
        return f"{_named(plates[0])} has"
    studies = list(dict.fromkeys(one.study_id for one in plates))
    names = [one.plate_id if len(studies) == 1 else f"{one.study_id}/{one.plate_id}" for one in plates]
    of_study = f" of study {studies[0]}" if len(studies) == 1 else ""
    return f"plates {listed(names, _PLATES_SHOWN)}{of_study} have"


def _reasons(plates: Sequence[PlateControls]) -> str:
    by_why: dict[str, list[str]] = {}
    for one in plates:
        by_why.setdefault(one.why, []).append(one.plate_id)
    said = [f"{listed(names, _PLATES_SHOWN)}: {why}" for why, names in by_why.items()]
    return listed(said, _PLATES_SHOWN, between="; ")


def _named(one: PlateControls) -> str:
    return f"plate {one.plate_id} of study {one.study_id}"


def _or(values: Sequence[Value]) -> str:
    return " or ".join(repr(value) for value in values)
