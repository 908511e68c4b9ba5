"""What a question says about a table's columns before any row is read: values and ranges, joined by AND and OR.

A constraint is only ever *too weak*, never too strong: rows that it excludes cannot matter to the answer. That is
what lets it choose files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.scan import Filter

Value = str | int
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Bound:
    """What one column may be: one of ``values`` (None: anything) and inside every one of ``ranges``.

    Attributes
    ----------
    origin
        Where values come from that the question does not write: ``wells where compound = 'x'``.
    """

    values: frozenset[Value] | None = None
    ranges: frozenset[tuple[str, Value]] = frozenset()
    origin: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def is_free(self) -> bool:
        """Whether it excludes nothing."""
        return self.values is None and not self.ranges

    def of_type(self, kind: type) -> Bound:
        """Drop whatever compares with another type: SQL would cast, and a cast does not keep the order."""
        values = self.values
        if values is not None and not all(type(value) is kind for value in values):
            values = None
        origin = frozenset() if values is None else self.origin
        return Bound(values, frozenset(item for item in self.ranges if type(item[1]) is kind), origin)


#: Column name in lower case → its bound; an absent column is free, and no columns at all mean: no constraint.
Constraint = Mapping[str, Bound]


def equal_to(values: Iterable[Value], origin: str | None = None) -> Bound:
    """Return the bound of ``column IN (values)``."""
    return Bound(values=frozenset(values), origin=frozenset() if origin is None else frozenset({origin}))


def compared(operator: str, value: Value) -> Bound:
    """Return the bound of ``column operator value``; operator is one of < <= > >=."""
    return Bound(ranges=frozenset({(operator, value)}))


def both(first: Mapping[_Key, Bound], second: Mapping[_Key, Bound]) -> dict[_Key, Bound]:
    """Return what holds where both constraints hold."""
    result = dict(first)
    for column, bound in second.items():
        known = result.get(column)
        result[column] = bound if known is None else _both(known, bound)
    return result


def either(first: Mapping[_Key, Bound], second: Mapping[_Key, Bound]) -> dict[_Key, Bound]:
    """Return the strongest constraint of this form that holds where at least one of the two holds."""
    result = {column: _either(first[column], second[column]) for column in first.keys() & second.keys()}
    return {column: bound for column, bound in result.items() if not bound.is_free}


def _both(first: Bound, second: Bound) -> Bound:
    if first.values is None or second.values is None:
        values = second.values if first.values is None else first.values
    else:
        values = first.values & second.values
    return Bound(values, first.ranges | second.ranges, _origin(first, second))


def _either(first: Bound, second: Bound) -> Bound:
    if first.values is None or second.values is None:
        return Bound(None, first.ranges & second.ranges)
    return Bound(first.values | second.values, first.ranges & second.ranges, first.origin | second.origin)


def _origin(first: Bound, second: Bound) -> frozenset[str]:
    """Say where the values of both come from: a value that the question writes needs no other reason."""
    written = [one for one in (first, second) if one.values is not None and not one.origin]
    if written and all(one.values is None or written[0].values <= one.values for one in (first, second)):  # type: ignore[operator]
        return frozenset()
    return first.origin | second.origin


def in_any(bounds: Iterable[Bound]) -> Bound | None:
    """Return what holds for a value that keeps to at least one of the bounds, None where that is nothing."""
    result: Bound | None = None
    for bound in bounds:
        result = bound if result is None else _either(result, bound)
    return None if result is None or result.is_free else result


def is_impossible(constraint: Constraint) -> bool:
    """Whether no row can satisfy it (``plate_id = 'A' AND plate_id = 'B'``)."""
    return any(bound.values is not None and not bound.values for bound in constraint.values())


def filters(constraint: Constraint, columns: Iterable[str]) -> list[Filter]:
    """Return the part of a constraint that is about ``columns``, in the words of the store."""
    from ..store.scan import Filter

    result = []
    for column in columns:
        bound = constraint.get(column)
        if bound is None:
            continue
        if bound.values is not None:
            values = sorted(bound.values, key=lambda value: (str(type(value)), value))
            if len(values) == 1:
                result.append(Filter(column, "=", values[0]))
            else:
                result.append(Filter(column, "in", tuple(values)))
        result.extend(Filter(column, operator, value) for operator, value in sorted(bound.ranges, key=str))
    return result


def column_kinds(schema: pa.Schema) -> Mapping[str, type]:
    """Return what the planner needs to know of a table's columns: lower case → ``str``, ``int`` or ``object``."""
    import pyarrow as pa

    return {
        field.name.lower(): str
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        else int
        if pa.types.is_integer(field.type)
        else object
        for field in schema
    }
