"""The predicates of one SELECT: what its WHERE, its ON clauses and its joins say about each of its sources.

A conjunct counts when it compares a plain column with a literal, or says that it is among the values of a subquery.
Such a conjunct is never true for NULL, which is what makes it safe to apply to a table before an outer join fills that
table's columns with NULL. Any other conjunct about a single table may be asked of it (:mod:`.semijoin`): the values of
its columns in the rows that satisfy it bound the columns that these are joined to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from .constraints import Bound, Constraint, Value, both, compared, either, equal_to
from .sources import Bounds, From, Place, Source, Within, side_of

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDER = {exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}


class Inner(Protocol):
    """What a SELECT's predicates need to know of what lies within it, and of the tables' rows."""

    def values(self, query: exp.Expression, wanted: Sequence[int]) -> dict[int, Bound]:
        """Return what is known of columns of a subquery's result, by position; NULL is always possible."""

    def exists(self, query: exp.Select, outer: From, within: Within) -> Bounds:
        """Return what holds for columns of ``outer`` in the rows for which a correlated subquery has a row."""

    def columns(self, source: Source, wanted: Sequence[str]) -> Constraint:
        """Return what is known of columns of a subquery or table expression; NULL is always possible."""

    def is_worth(self, source: Source, constraint: Constraint) -> bool:
        """Whether knowing more of a source than ``constraint`` could spare files."""

    def ask(
        self, source: Source, keys: Sequence[str], constraint: Constraint, conditions: Sequence[exp.Expression]
    ) -> Constraint:
        """Return the values of columns of a table in its rows that satisfy everything; may leave out columns."""


@dataclass(slots=True)
class Known:
    """What the predicates of a SELECT say of its sources' columns.

    Attributes
    ----------
    idle
        Rows of a source that break one of these can be left out.
    values
        The values in the result keep to these, or are NULL.
    unused
        Conjuncts that led to nothing.
    """

    idle: Bounds
    values: Bounds
    unused: list[exp.Expression] = field(default_factory=list)

    def per_source(self) -> dict[str, Constraint]:
        """Return the bounds behind which rows are idle by alias."""
        result: dict[str, Constraint] = {}
        for (alias, name), bound in self.idle.items():
            result[alias] = both(result.get(alias, {}), {name: bound})
        return result


class Predicates:
    """The conjuncts of one SELECT, and what they mean for each of its sources."""

    def __init__(self, clause: From, inner: Inner) -> None:
        self.clause = clause
        self.inner = inner
        self._conditions: list[tuple[exp.Expression, str]] = []
        self._unused: list[exp.Expression] = []

    def known(self, node: exp.Select, above: Bounds, wanted: Sequence[Place] = ()) -> Known:
        """Return what is known of the sources' columns.

        Parameters
        ----------
        above
            What the rows of the result must satisfy to matter to whoever uses it.
        wanted
            Columns of which the values are wanted by whoever uses the result.
        """
        clause = self.clause
        final = above  # holds for every row of the result: may travel along equal columns
        own: Bounds = {}  # holds for what a join may match: stays with the source
        clause.required |= {alias for alias, name in above if name not in clause.merged}
        for join, within in zip(clause.joins, clause.within, strict=True):
            right, side, condition = join.this.alias_or_name.lower(), side_of(join), join.args.get("on")
            for_all = not side and not clause.preserves
            bounds = self._bounds(condition, within, collect=for_all)
            if side == "FULL":
                bounds = {}
            elif side == "LEFT":
                bounds = {place: bound for place, bound in bounds.items() if place[0] == right}
            elif side == "RIGHT":
                bounds = {place: bound for place, bound in bounds.items() if place[0] != right}
            self._equate(condition, within, join, for_all=for_all)
            if for_all:
                final = both(final, bounds)
            else:
                own = both(own, bounds)
        where = node.args.get("where")
        if where is not None:
            final = both(final, self._bounds(where.this, None, collect=True))
            self._equate(where.this, None, None, for_all=True)
        idle = both(clause.spread(final, itself=True), own)
        values = dict(idle)
        self._learn_from_subqueries(idle, values, wanted)
        self._learn_from_tables(idle, values, wanted)
        return Known(idle, values, self._unused)

    def _learn_from_subqueries(self, idle: Bounds, values: Bounds, wanted: Sequence[Place]) -> None:
        """Add the bounds that lie in subqueries and table expressions."""
        for alias, source in self.clause.sources.items():
            if source.table is not None or not source.kinds:
                continue
            keys = [name for name in source.kinds if self._leads_on((alias, name), idle, wanted)]
            if keys:
                found = {(alias, name): bound for name, bound in self.inner.columns(source, keys).items()}
                self._learn(found, idle, values)

    def _learn_from_tables(self, idle: Bounds, values: Bounds, wanted: Sequence[Place]) -> None:
        """Ask tables with conditions of their own for the values of the columns that they are joined by."""
        clause = self.clause
        conditions: dict[str, list[exp.Expression]] = {}
        for part, alias in self._conditions:
            if clause.is_sure(alias):
                conditions.setdefault(alias, []).append(part)
        waiting = [alias for alias, source in clause.sources.items() if source.table is not None]
        # Those with conditions of their own first: their values are conditions of others.
        waiting.sort(key=lambda alias: alias not in conditions)
        asked = set()
        while True:
            for alias in waiting:
                if alias in asked:
                    continue
                keys = self._keys(alias, bool(conditions.get(alias)), idle, wanted)
                if keys:
                    asked.add(alias)
                    source = clause.sources[alias]
                    own = {name: bound for (place, name), bound in idle.items() if place == alias}
                    found = self.inner.ask(source, keys, own, conditions.get(alias, ()))
                    self._learn({(alias, name): bound for name, bound in found.items()}, idle, values)
                    break
            else:
                return

    def _keys(self, alias: str, has_conditions: bool, idle: Bounds, wanted: Sequence[Place]) -> list[str]:
        """Return the columns of a table whose values in the rows that matter would say something new elsewhere."""
        clause = self.clause
        bound = [place for place in idle if place[0] == alias]
        if not (bound or has_conditions) or not clause.is_sure(alias):
            return []
        keys = []
        for name in clause.sources[alias].kinds:
            place = (alias, name)
            # A bound that reaches the same target says there already what the values could say.
            for target in {to for to, _ in clause.reached(place)} - {alias}:
                told = all(any(to == target for to, _ in clause.reached(one)) for one in bound)
                if (has_conditions or not told) and self._is_worth(target, idle):
                    keys.append(name)
                    break
            else:
                if place in wanted and (has_conditions or any(one not in wanted for one in bound)):
                    keys.append(name)
        return keys

    def _leads_on(self, place: Place, idle: Bounds, wanted: Sequence[Place]) -> bool:
        return place in wanted or any(self._is_worth(alias, idle) for alias, _ in self.clause.reached(place))

    def _is_worth(self, alias: str, idle: Bounds) -> bool:
        known = {name: bound for (place, name), bound in idle.items() if place == alias}
        return self.inner.is_worth(self.clause.sources[alias], known)

    def _learn(self, found: Bounds, idle: Bounds, values: Bounds) -> None:
        """Note what values columns have; rows of theirs with NULL may matter all the same."""
        spread = self.clause.spread(found, itself=False)
        idle.update(both(idle, spread))
        values.update(both(both(values, spread), found))

    def _equate(
        self, condition: exp.Expression | None, within: Within, join: exp.Join | None, *, for_all: bool
    ) -> None:
        for part in conjuncts(condition):
            if isinstance(part, exp.EQ):
                first, second = self.clause.places(part.this, within), self.clause.places(part.expression, within)
                if len(first) == 1 and len(second) == 1:
                    self.clause.equate(first[0], second[0], join)
                    if for_all:
                        self.clause.required |= {first[0][0], second[0][0]}

    def _bounds(self, condition: exp.Expression | None, within: Within, *, collect: bool = False) -> Bounds:
        """Return what the conjuncts of a condition say.

        Parameters
        ----------
        collect
            They hold for every row of the result: note what they demand, and which of them tables can be asked.
        """
        result: Bounds = {}
        for part in conjuncts(condition):
            bounds = {place: bound for place, bound in self._bound(part, within).items() if not bound.is_free}
            result = both(result, bounds)
            if collect:
                self.clause.required |= {alias for alias, name in bounds if name not in self.clause.merged}
                if not bounds:
                    self._unused.append(part)
                about = None if bounds and self._is_exact(part, bounds) else self._about(part, within)
                if about is not None:
                    self._conditions.append((part, about))
        return result

    def _is_exact(self, part: exp.Expression, bounds: Bounds) -> bool:
        """Whether bounds say all that a conjunct says."""
        kept = {place: bound.of_type(self.clause.kind([place])) for place, bound in bounds.items()}
        return kept == bounds and not isinstance(part, exp.Or | exp.Like)

    def _about(self, part: exp.Expression, within: Within) -> str | None:
        """Return the one source that a conjunct is about, None where it cannot be asked alone."""
        if part.find(exp.Query, exp.AggFunc, exp.Window, exp.Star, exp.Columns, exp.Lambda, exp.Placeholder):
            return None
        aliases = set()
        for column in part.find_all(exp.Column):
            places = self.clause.places(column, within)
            if len(places) != 1 or column.args.get("db"):
                return None
            aliases.add(places[0][0])
        (alias,) = aliases if len(aliases) == 1 else (None,)
        return alias

    def _bound(self, part: exp.Expression, within: Within) -> Bounds:
        if part.args.get("negate"):
            return {}
        if isinstance(part, exp.Or):
            return either(self._bounds(part.this, within), self._bounds(part.expression, within))
        if isinstance(part, exp.EQ):
            return self._comparison(part, "=", within)
        if type(part) in _ORDER:
            return self._comparison(part, _ORDER[type(part)], within)
        if isinstance(part, exp.Between):
            places = self.clause.places(part.this, within)
            low, high = _value(part.args.get("low")), _value(part.args.get("high"))
            bounds: Bounds = {}
            if low is not None and not part.args.get("symmetric"):
                bounds = both(bounds, dict.fromkeys(places, compared(">=", low)))
            if high is not None and not part.args.get("symmetric"):
                bounds = both(bounds, dict.fromkeys(places, compared("<=", high)))
            return bounds
        if isinstance(part, exp.Like):
            return dict.fromkeys(self.clause.places(part.this, within), _begins(_value(part.expression)))
        if isinstance(part, exp.In):
            query = part.args.get("query")
            if query is not None:
                return self._among(part.this, query, within)
            return self._membership(part, within) if part.expressions else {}
        if isinstance(part, exp.Exists) and isinstance(part.this, exp.Select):
            return self.inner.exists(part.this, self.clause, within)
        return {}

    def _comparison(self, part: exp.Binary, operator: str, within: Within) -> Bounds:
        if operator == "=":
            for one, other in ((part.this, part.expression), (part.expression, part.this)):
                if isinstance(other, exp.Subquery) and self.clause.places(one, within):
                    return self._among(one, other, within)
        places, value = self.clause.places(part.this, within), _value(part.expression)
        if not places or value is None:
            places, value = self.clause.places(part.expression, within), _value(part.this)
            operator = _FLIPPED.get(operator, operator)
        if not places or value is None:
            return {}
        return dict.fromkeys(places, equal_to([value]) if operator == "=" else compared(operator, value))

    def _membership(self, part: exp.In, within: Within) -> Bounds:
        """Return the bounds of ``column IN (...)`` and of ``(column, column) IN ((...), ...)``."""
        columns = part.this.expressions if isinstance(part.this, exp.Tuple) else [part.this]
        rows = [row.expressions if isinstance(part.this, exp.Tuple) else [row] for row in part.expressions]
        bounds: Bounds = {}
        for index, column in enumerate(columns):
            values = [_value(row[index]) if len(row) == len(columns) else None for row in rows]
            known = [value for value in values if value is not None]
            if len(known) == len(values):
                bounds = both(bounds, dict.fromkeys(self.clause.places(column, within), equal_to(known)))
        return bounds

    def _among(self, column: exp.Expression, query: exp.Expression, within: Within) -> Bounds:
        """Return the bounds of ``column IN (SELECT ...)`` and of ``(column, column) IN (SELECT ...)``."""
        columns = column.expressions if isinstance(column, exp.Tuple) else [column]
        places = {index: found for index, one in enumerate(columns) if (found := self.clause.places(one, within))}
        wanted = [
            index
            for index, found in places.items()
            if any(self.inner.is_worth(self.clause.sources[alias], {}) for alias, _ in found)
        ]
        bounds: Bounds = {}
        for index, bound in self.inner.values(query, wanted).items() if wanted else ():
            bounds = both(bounds, dict.fromkeys(places[index], bound))
        return bounds


def conjuncts(condition: exp.Expression | None) -> Iterator[exp.Expression]:
    """Yield the parts of a condition that AND joins."""
    waiting = [condition]
    while waiting:
        part = waiting.pop()
        if isinstance(part, exp.And):
            waiting += [part.expression, part.this]
        elif isinstance(part, exp.Paren):
            waiting.append(part.this)
        elif part is not None:
            yield part


def _begins(pattern: Value | None) -> Bound:
    """Return the bound of ``column LIKE pattern``: what the text in front of the first wildcard allows."""
    prefix = re.split("[%_]", pattern)[0] if isinstance(pattern, str) else ""
    if not prefix:
        return Bound()
    ranges = {(">=", prefix)}
    if prefix[-1] < "~":  # there is a next character, and it is ASCII too
        ranges.add(("<", prefix[:-1] + chr(ord(prefix[-1]) + 1)))
    return Bound(ranges=frozenset(ranges))


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
