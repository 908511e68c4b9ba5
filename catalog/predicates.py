"""The predicates of one SELECT: its WHERE, its ON clauses, and the columns that its joins make equal.

A conjunct counts when it compares a plain column with a literal. Such a comparison is never true for NULL, which is
what makes it safe to apply to a table before an outer join fills that table's columns with NULL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from .constraints import Bound, Constraint, Value, both, compared, either, equal_to

#: A column of a source of one SELECT: (alias of the source, column), both in lower case.
Place = tuple[str, str]
#: What must hold for places, joined by AND.
Bounds = dict[Place, Bound]

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDER = {exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}


@dataclass(slots=True)
class Source:
    """One item of a FROM clause."""

    node: exp.Expression
    table: str | None  # the relation that it is, in lower case; None for subqueries, CTEs and functions
    columns: tuple[str, ...] | None  # in order; None where they are not known
    hidden: bool = False  # right side of a semi or anti join: only its ON clause sees it


def places_of(column: exp.Expression | None, sources: Mapping[str, Source]) -> list[Place]:
    """Return the places that a plain column means; several where a join's USING made them one."""
    while isinstance(column, exp.Paren):
        column = column.this
    if not isinstance(column, exp.Column) or isinstance(column.this, exp.Star):
        return []
    name, alias = column.name.lower(), column.table.lower()
    if alias:
        known = sources.get(alias)
        return [(alias, name)] if known is not None and known.columns and name in known.columns else []
    return [
        (key, name)
        for key, source in sources.items()
        if not source.hidden and source.columns and name in source.columns
    ]


class Predicates:
    """The conjuncts of one SELECT: WHERE, the ON clauses, and the columns that joins make equal."""

    def __init__(self, sources: Mapping[str, Source], joins: Sequence[exp.Join]) -> None:
        self.sources = sources
        self.joins = joins
        self.visible = {alias: source for alias, source in sources.items() if not source.hidden}
        self.equal: dict[Place, set[Place]] = {}

    def per_source(self, node: exp.Select, above: Bounds) -> dict[str, Constraint]:
        """Return what each source's rows must satisfy to matter."""
        final = above  # holds for every row of the result: may travel along equal columns
        own: Bounds = {}  # holds for what a join may match: stays with the source
        sides = [(join.side or "").upper() for join in self.joins]
        preserving = any(side in {"RIGHT", "FULL"} for side in sides)
        earlier = list(self.sources)[: len(self.sources) - len(self.joins)]
        for join, side in zip(self.joins, sides, strict=True):
            right = join.this.alias_or_name.lower()
            on = join.args.get("on")
            within = {alias: self.sources[alias] for alias in [*earlier, right]}
            bounds = self._bounds(on, within) if on is not None else {}
            kind = (join.kind or "").upper()
            if side == "FULL":
                bounds = {}
            elif side == "LEFT" or kind == "ANTI":
                bounds = {place: bound for place, bound in bounds.items() if place[0] == right}
            elif side == "RIGHT":
                bounds = {place: bound for place, bound in bounds.items() if place[0] != right}
            if side or kind == "ANTI" or preserving:
                own = both(own, bounds)
            else:
                final = both(final, bounds)
            self._equate(on, within)
            for column in join.args.get("using") or []:
                name = column.name.lower()
                for alias in earlier:
                    if name in (self.sources[alias].columns or ()) and not self.sources[alias].hidden:
                        self._equal((alias, name), (right, name))
            earlier.append(right)
        where = node.args.get("where")
        if where is not None:
            final = both(final, self._bounds(where.this, self.visible))
            self._equate(where.this, self.visible)
        result: dict[str, Constraint] = {}
        for (alias, name), bound in both(self._spread(final), own).items():
            result[alias] = both(result.get(alias, {}), {name: bound})
        return result

    def _spread(self, bounds: Bounds) -> Bounds:
        """Give every column what is known of the columns that it equals."""
        result = dict(bounds)
        for place, bound in bounds.items():
            reached, waiting = {place}, [place]
            while waiting:
                fresh = self.equal.get(waiting.pop(), set()) - reached
                reached |= fresh
                waiting.extend(fresh)
            result = both(result, dict.fromkeys(reached, bound))
        return result

    def _equal(self, first: Place, second: Place) -> None:
        self.equal.setdefault(first, set()).add(second)
        self.equal.setdefault(second, set()).add(first)

    def _equate(self, condition: exp.Expression | None, within: Mapping[str, Source]) -> None:
        for part in _conjuncts(condition):
            if isinstance(part, exp.EQ):
                first, second = places_of(part.this, within), places_of(part.expression, within)
                if len(first) == 1 and len(second) == 1:
                    self._equal(first[0], second[0])

    def _bounds(self, condition: exp.Expression, within: Mapping[str, Source]) -> Bounds:
        result: Bounds = {}
        for part in _conjuncts(condition):
            result = both(result, self._bound(part, within))
        return result

    def _bound(self, part: exp.Expression, within: Mapping[str, Source]) -> Bounds:
        if isinstance(part, exp.Or):
            return either(self._bounds(part.this, within), self._bounds(part.expression, within))
        if isinstance(part, exp.EQ):
            return _comparison(part, "=", within)
        if type(part) in _ORDER:
            return _comparison(part, _ORDER[type(part)], within)
        if isinstance(part, exp.Between):
            places = places_of(part.this, within)
            low, high = _value(part.args.get("low")), _value(part.args.get("high"))
            bounds: Bounds = {}
            if low is not None and not part.args.get("symmetric"):
                bounds = both(bounds, dict.fromkeys(places, compared(">=", low)))
            if high is not None and not part.args.get("symmetric"):
                bounds = both(bounds, dict.fromkeys(places, compared("<=", high)))
            return bounds
        if isinstance(part, exp.In) and part.expressions and not part.args.get("query"):
            return _membership(part, within)
        return {}


def _conjuncts(condition: exp.Expression | None) -> Iterator[exp.Expression]:
    waiting = [condition]
    while waiting:
        part = waiting.pop()
        if isinstance(part, exp.And):
            waiting += [part.expression, part.this]
        elif isinstance(part, exp.Paren):
            waiting.append(part.this)
        elif part is not None:
            yield part


def _comparison(part: exp.Binary, operator: str, within: Mapping[str, Source]) -> Bounds:
    places, value = places_of(part.this, within), _value(part.expression)
    if not places or value is None:
        places, value = places_of(part.expression, within), _value(part.this)
        operator = _FLIPPED.get(operator, operator)
    if not places or value is None:
        return {}
    return dict.fromkeys(places, equal_to([value]) if operator == "=" else compared(operator, value))


def _membership(part: exp.In, within: Mapping[str, Source]) -> Bounds:
    """Return the bounds of ``column IN (...)`` and of ``(column, column) IN ((...), ...)``."""
    columns = part.this.expressions if isinstance(part.this, exp.Tuple) else [part.this]
    rows = [row.expressions if isinstance(part.this, exp.Tuple) else [row] for row in part.expressions]
    bounds: Bounds = {}
    for index, column in enumerate(columns):
        values = [_value(row[index]) if len(row) == len(columns) else None for row in rows]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            bounds = both(bounds, dict.fromkeys(places_of(column, within), equal_to(known)))
    return bounds


def _value(node: exp.Expression | None) -> Value | None:
    """Return the text or whole number that a literal stands for, None for everything else."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Neg):
        inner = _value(node.this)
        return -inner if isinstance(inner, int) else None
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return str(node.this)
    try:
        return int(node.this)
    except ValueError:
        return None
