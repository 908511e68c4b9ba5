"""The predicates of one SELECT: its WHERE, its ON clauses, and the columns that its joins make equal.

A conjunct counts when it compares a plain column with a literal. Such a comparison is never true for NULL, which is
what makes it safe to apply to a table before an outer join fills that table's columns with NULL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from .constraints import Bound, Constraint, Value, both, compared, either, equal_to

#: A column of a source of one SELECT: (alias of the source, column), both in lower case.
Place = tuple[str, str]
#: What must hold for places, joined by AND.
Bounds = dict[Place, Bound]
#: Aliases that an expression sees; None: all that are not hidden.
Within = Collection[str] | None

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDER = {exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}


@dataclass(slots=True)
class Source:
    """One item of a FROM clause."""

    node: exp.Expression
    table: str | None  # the relation that it is, in lower case; None for subqueries, CTEs and functions
    columns: tuple[str, ...] | None  # in order; None where they are not known
    hidden: bool = False  # right side of a semi or anti join: only its ON clause sees it


class From:
    """The FROM clause of one SELECT: its sources by alias, and which of their columns USING made one.

    A comma binds less than JOIN: it begins a new group, and the USING and ON of a join see only their own group.
    """

    def __init__(self, sources: Mapping[str, Source], joins: Sequence[exp.Join]) -> None:
        self.sources = sources
        self.joins = joins
        self.equal: dict[Place, set[Place]] = {}
        #: Column → the sources that share it; none of them where it is not certain which ones those are.
        self.merged: dict[str, set[str]] = {}
        #: For each join, the sources that its ON clause sees.
        self.within: list[list[str]] = []
        group = list(sources)[: len(sources) - len(joins)]
        merged_here: set[str] = set()
        for join in joins:
            right = join.this.alias_or_name.lower()
            if _is_comma(join):
                group, merged_here = [right], set()
                self.within.append(group)
                continue
            self.within.append([*group, right])
            for column in join.args.get("using") or []:
                self._merge(column.name.lower(), group, right, known=column.name.lower() in merged_here)
                merged_here.add(column.name.lower())
            if not sources[right].hidden:
                group = [*group, right]

    def _merge(self, name: str, group: list[str], right: str, *, known: bool) -> None:
        having = {alias for alias in group if name in (self.sources[alias].columns or ())}
        sure = all(self.sources[alias].columns is not None for alias in [*group, right])
        if not sure or (name in self.merged) != known or (self.merged[name] != having if known else len(having) != 1):
            self.merged[name] = set()
            return
        self.merged[name] = having if self.sources[right].hidden else having | {right}
        for alias in having:
            self.equate((alias, name), (right, name))

    def equate(self, first: Place, second: Place) -> None:
        """Note that two columns are equal wherever rows of both sources are joined."""
        self.equal.setdefault(first, set()).add(second)
        self.equal.setdefault(second, set()).add(first)

    def places(self, column: exp.Expression | None, within: Collection[str] | None = None) -> list[Place]:
        """Return the places that a plain column means; several where USING made them one.

        Parameters
        ----------
        within
            The sources that can be seen; all that are not hidden where None.
        """
        while isinstance(column, exp.Paren):
            column = column.this
        if not isinstance(column, exp.Column) or isinstance(column.this, exp.Star):
            return []
        name, alias = column.name.lower(), column.table.lower()
        seen = [key for key, source in self.sources.items() if (not source.hidden if within is None else key in within)]
        having = [key for key in seen if name in (self.sources[key].columns or ())]
        if alias:
            return [(alias, name)] if alias in having else []
        if len(having) == 1 and name not in self.merged:
            return [(having[0], name)]
        # Where USING made a column one, its bare name means that one, whoever else has a column of the name.
        return [(key, name) for key in having if key in self.merged.get(name, ())]


def _is_comma(join: exp.Join) -> bool:
    return not any(join.args.get(part) for part in ("on", "using", "kind", "side", "method"))


class Predicates:
    """The conjuncts of one SELECT, and what they mean for each of its sources."""

    def __init__(self, clause: From) -> None:
        self.clause = clause

    def per_source(self, node: exp.Select, above: Bounds) -> dict[str, Constraint]:
        """Return what each source's rows must satisfy to matter.

        Parameters
        ----------
        above
            What the rows of the result must satisfy to matter to whoever uses it.
        """
        clause = self.clause
        final = above  # holds for every row of the result: may travel along equal columns
        own: Bounds = {}  # holds for what a join may match: stays with the source
        sides = [(join.side or "").upper() for join in clause.joins]
        preserving = any(side in {"RIGHT", "FULL"} for side in sides)
        for join, side, within in zip(clause.joins, sides, clause.within, strict=True):
            right = join.this.alias_or_name.lower()
            kind = (join.kind or "").upper()
            bounds = self._bounds(join.args.get("on"), within)
            self._equate(join.args.get("on"), within)
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
        where = node.args.get("where")
        if where is not None:
            final = both(final, self._bounds(where.this, None))
            self._equate(where.this, None)
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
                fresh = self.clause.equal.get(waiting.pop(), set()) - reached
                reached |= fresh
                waiting.extend(fresh)
            result = both(result, dict.fromkeys(reached, bound))
        return result

    def _equate(self, condition: exp.Expression | None, within: Within) -> None:
        for part in _conjuncts(condition):
            if isinstance(part, exp.EQ):
                first, second = self.clause.places(part.this, within), self.clause.places(part.expression, within)
                if len(first) == 1 and len(second) == 1:
                    self.clause.equate(first[0], second[0])

    def _bounds(self, condition: exp.Expression, within: Within) -> Bounds:
        result: Bounds = {}
        for part in _conjuncts(condition):
            result = both(result, self._bound(part, within))
        return result

    def _bound(self, part: exp.Expression, within: Within) -> Bounds:
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
        if isinstance(part, exp.In) and part.expressions and not part.args.get("query"):
            return self._membership(part, within)
        return {}

    def _comparison(self, part: exp.Binary, operator: str, within: Within) -> Bounds:
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
