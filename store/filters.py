"""Conditions on single columns: which files may hold rows that satisfy them, and which rows do.

Both sides are here because they must agree: a file is left out only where no row in it could pass.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import QueryError, UsageError
from .arrays import FALSE, TRUE, ZERO, all_true, array_of

_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "is null")


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one column, with SQL's meaning: a NULL satisfies nothing but ``is null``.

    Attributes
    ----------
    op
        One of ``= != < <= > >= in`` and ``is null``.
    value
        Text or number; a sequence of them for ``in``; None for ``is null``.
    """

    column: str
    op: str
    value: Any = None

    def __post_init__(self) -> None:
        if self.op not in _OPERATORS:
            raise UsageError(f"{self.op!r} is no filter operator; there are {', '.join(_OPERATORS)}")


def may_hold(actions: pa.Table, filters: tuple[Filter, ...]) -> Any:
    """Say of each file whether it may hold a row that satisfies every filter; in doubt, yes.

    Parameters
    ----------
    actions
        ``DeltaTable.get_add_actions(flatten=True)``: a row per file, with partition values and bounds.
    """
    mask: Any = all_true(actions.num_rows)
    for one in filters:
        found = _by_partition(actions, one) if f"partition.{one.column}" in actions.column_names else None
        if found is None and f"min.{one.column}" in actions.column_names:
            found = _by_statistics(actions, one)
        if found is not None:
            mask = pc.and_(mask, found)
    return mask


def _by_partition(actions: pa.Table, one: Filter) -> Any | None:
    values: Any = actions[f"partition.{one.column}"]
    return None if _comparable(values.type, one) is None else pc.fill_null(_compare(values, one), FALSE)


def _by_statistics(actions: pa.Table, one: Filter) -> Any | None:
    low: Any = actions[f"min.{one.column}"]
    high: Any = actions[f"max.{one.column}"]
    records: Any = actions["num_records"]
    nulls: Any = actions[f"null_count.{one.column}"]
    if one.op == "is null":
        return pc.fill_null(pc.greater(nulls, ZERO), TRUE)
    values = _comparable(low.type, one)
    if values is None:
        return None
    tests: dict[str, Callable[[Any], Any]] = {
        "=": lambda v: pc.and_(pc.less_equal(low, v), pc.greater_equal(high, v)),
        "!=": lambda v: pc.invert(pc.and_(pc.equal(low, v), pc.equal(high, v))),
        "<": lambda v: pc.less(low, v),
        "<=": lambda v: pc.less_equal(low, v),
        ">": lambda v: pc.greater(high, v),
        ">=": lambda v: pc.greater_equal(high, v),
    }
    held = _holds_any(low, high, values) if one.op == "in" else pc.fill_null(tests[one.op](values[0]), TRUE)
    # A file without bounds is kept, unless that is because every value is NULL.
    return pc.and_(held, pc.fill_null(pc.less(nulls, records), TRUE))


def _holds_any(low: Any, high: Any, values: list[Any]) -> Any:
    """Say of each pair of bounds whether one of the values lies between; of absent bounds, yes.

    Most files hold one plate, so that their bounds are equal and one look-up answers for all of them; the others are
    looked up among the sorted values, so that many files and many values do not multiply.
    """
    if not values:
        return pc.invert(all_true(len(low)))
    wanted = array_of([value.as_py() for value in values], low.type)
    held = pc.if_else(pc.or_kleene(pc.is_null(low), pc.is_null(high)), TRUE, pc.is_in(low, value_set=wanted))
    wide = pc.indices_nonzero(pc.fill_null(pc.not_equal(low, high), FALSE))
    if not len(wide):
        return held
    ordered = sorted({value.as_py() for value in values})
    bounds = zip(low.take(wide).to_pylist(), high.take(wide).to_pylist(), strict=True)
    found = [bisect_left(ordered, least) < bisect_right(ordered, most) for least, most in bounds]
    mask = pc.is_in(array_of(range(len(low)), pa.uint64()), value_set=wide)
    return pc.replace_with_mask(_whole(held), mask, array_of(found, pa.bool_()))


def _whole(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _comparable(kind: pa.DataType, one: Filter) -> list[Any] | None:
    """Return the filter's values as scalars of the column's type, None where they must not be compared.

    Only text and integers: the bounds of floats (NaN), timestamps (cut to milliseconds by some writers) and other
    types do not safely bound what is in a file.
    """
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        expected: type = str
    elif pa.types.is_integer(kind):
        expected = int
    else:
        return None
    values = [] if one.op == "is null" else list(one.value) if one.op == "in" else [one.value]
    if any(type(value) is not expected for value in values):
        return None
    try:
        return list(array_of(values, kind))
    except (pa.ArrowInvalid, OverflowError):
        return None


def satisfied(rows: pa.Table, filters: tuple[Filter, ...]) -> Any:
    """Say of each row whether it satisfies every filter; NULL where SQL says NULL.

    Raises
    ------
    QueryError
        A value cannot be compared with its column.
    """
    mask: Any = all_true(rows.num_rows)
    for one in filters:
        try:
            mask = pc.and_kleene(mask, _compare(rows[one.column], one))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise QueryError(
                f"{one.column} {one.op} {one.value!r}: the column holds {rows[one.column].type}"
            ) from error
    return mask


def _compare(values: Any, one: Filter) -> Any:
    if one.op == "is null":
        return pc.is_null(values)
    if one.op == "in":
        wanted = _array([value for value in one.value if value is not None])
        found = pc.is_in(values, value_set=wanted.cast(values.type))
        return pc.if_else(pc.is_null(values), pa.nulls(1, pa.bool_())[0], found)
    compare = {
        "=": pc.equal,
        "!=": pc.not_equal,
        "<": pc.less,
        "<=": pc.less_equal,
        ">": pc.greater,
        ">=": pc.greater_equal,
    }
    return compare[one.op](values, _array([one.value])[0])


def _array(values: list[Any]) -> Any:
    """Return values as an array of the type that Arrow finds in them."""
    if not values:
        return pa.nulls(0)
    if all(type(value) is str for value in values):
        return array_of(values, pa.string())
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
        return array_of(values, pa.int64())
    return pa.array(values)
