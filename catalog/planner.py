"""What a question asks of each table before any row is read: its predicates, followed down to the tables.

The rule that everything here keeps: a row that a constraint excludes cannot change the answer. A conjunct of WHERE
that compares a column with a value is never true for NULL, so the rows of a table that fail it may be left out,
under outer joins too. From there a constraint goes through equal columns of joins, and into subqueries, common table
expressions and set operations where filtering before and after is the same. Small tables with conditions of their own
are asked first, if somebody is there to ask them: what they hold in the columns that they are joined by constrains the
others. Whatever is not understood constrains nothing: then more files are opened, and the answer is still right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from .constraints import Bound, Constraint, both, either, in_any
from .outputs import derived, of_set, select_outputs
from .predicates import Known, Predicates, conjuncts
from .sources import Bounds, From, Outputs, Place, Source, Within, from_items

#: Visits of SELECTs after which a question counts as too entangled to plan (CTEs that use CTEs twice, over and over).
_TOO_MANY = 1000
_NOTHING = Outputs()


class Resolver(Protocol):
    """Somebody who can look into tables while a question is planned."""

    def is_worth(self, table: str, constraint: Constraint) -> bool:
        """Whether knowing more than ``constraint`` could spare files of a relation."""

    def ask(
        self, table: str, alias: str, keys: Sequence[str], constraint: Constraint, conditions: Sequence[exp.Expression]
    ) -> Constraint:
        """Return the values of some columns of a relation in its rows that satisfy everything; none where unknown."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of each relation of a question.

    Attributes
    ----------
    constraints
        Relation in lower case → what all uses of it in the question have in common; ``{}`` where that is nothing.
    reasons
        Relation in lower case → why nothing more is known of it, as far as that can be said.
    """

    constraints: dict[str, Constraint]
    reasons: dict[str, str]


def constraints(tree: exp.Expression | None, columns: Mapping[str, Mapping[str, type]]) -> dict[str, Constraint]:
    """Return the constraint of every relation of a question, from its text alone; see :func:`plan`."""
    return plan(tree, columns).constraints


def plan(
    tree: exp.Expression | None, columns: Mapping[str, Mapping[str, type]], resolver: Resolver | None = None
) -> Plan:
    """Return what a question says about its relations.

    Parameters
    ----------
    tree
        sqlglot's syntax tree of the question; None constrains nothing.
    columns
        Relation in lower case → its columns in lower case → ``str``, ``int`` or, for all other types, ``object``.
    resolver
        Who looks into small tables; without one, only the text of the question counts.
    """
    free: dict[str, Constraint] = {name: {} for name in columns}
    if not isinstance(tree, exp.Query):
        return Plan(free, dict.fromkeys(columns, "the question is not a plain SELECT"))
    walk = _Walk(columns, resolver)
    walk.visit(tree, {}, {})
    if walk.visits > _TOO_MANY:
        return Plan(free, dict.fromkeys(columns, "the question is too entangled"))
    for table in tree.find_all(exp.Table):
        if id(table) not in walk.seen:
            walk.found[table.name.lower()] = {}
    return Plan({name: walk.found.get(name, {}) for name in columns}, walk.reasons)


@dataclass(frozen=True, slots=True)
class _Cte:
    """A common table expression, and the names that its body sees."""

    body: exp.Expression
    recursive: bool
    renamed: bool
    names: dict[str, _Cte]


#: The common table expressions that a place in the question sees, by name in lower case.
_Names = Mapping[str, _Cte]


@dataclass(slots=True)
class _Walk:
    """One walk over a question, from the result down to the tables."""

    columns: Mapping[str, Mapping[str, type]]
    resolver: Resolver | None = None
    found: dict[str, Constraint] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    visits: int = 0
    _active: set[int] = field(default_factory=set)
    _whole: set[int] = field(default_factory=set)
    _asked: set[int] = field(default_factory=set)
    _known_outputs: dict[int, Outputs] = field(default_factory=dict)

    def visit(self, node: exp.Expression, names: _Names, wanted: Constraint) -> None:
        """Walk one SELECT, set operation or pair of parentheses; rows of its result that fail ``wanted`` are idle."""
        if id(node) in self._whole:  # what more is wanted of it now cannot make up for the use that wants all
            return
        self.visits += 1
        if self.visits > _TOO_MANY or id(node) in self._active:
            return
        if not wanted:
            self._whole.add(id(node))
        self._active.add(id(node))
        names = _defined(node, names)
        passing = {} if _cuts(node) else wanted
        if isinstance(node, exp.Subquery):
            self.visit(node.this, names, {} if _is_join(node) else passing)
        elif isinstance(node, exp.SetOperation):
            self._visit_set(node, names, passing)
        elif isinstance(node, exp.Select):
            self._visit_select(node, names, passing)
        for inner in _inner_queries(node):
            self.visit(inner, names, {})
        self._active.discard(id(node))

    def _visit_set(self, node: exp.SetOperation, names: _Names, wanted: Constraint) -> None:
        first = self.outputs(node.this, names)
        for side in (node.this, node.expression):
            own = self.outputs(side, names)
            # BY NAME, a side without the column gives NULL there, which fails every bound: it is left alone.
            meant = own if node.args.get("by_name") else first
            pairs = [(one.name, mine.name) for one, mine in zip(meant.columns, own.columns, strict=False)]
            once = Counter(mine for _, mine in pairs)
            here = {mine: wanted[name] for name, mine in pairs if name in wanted and once[mine] == 1}
            self.visit(side, names, here)

    def _visit_select(self, node: exp.Select, names: _Names, wanted: Constraint) -> None:
        sources = self.sources(node, names)
        if sources is None:
            # Nothing is known about this FROM clause; what lies inside its subqueries still is.
            for item in from_items(node):
                if isinstance(item, exp.Subquery):
                    self.visit(item, names, {})
                elif item.name.lower() in self.columns:
                    self.reasons.setdefault(item.name.lower(), "a join or a sample that is not followed")
            return
        clause = From(sources, node.args.get("joins") or [])
        known = Predicates(clause, _Inner(self, names)).known(node, self._through(node, clause, wanted))
        per_source = known.per_source()
        for alias, source in sources.items():
            self._pass_on(source, names, per_source.get(alias, {}), known)

    def _pass_on(self, source: Source, names: _Names, constraint: Constraint, known: Known) -> None:
        node = source.node
        if source.table is not None:
            kinds = self.columns[source.table]
            typed = {name: bound.of_type(kinds[name]) for name, bound in constraint.items() if name in kinds}
            useful = {name: bound for name, bound in typed.items() if not bound.is_free}
            if not useful:
                self.reasons.setdefault(source.table, _reason(source, known, mistyped=bool(typed)))
            before = self.found.get(source.table)
            self.found[source.table] = useful if before is None else either(before, useful)
            self.seen.add(id(node))
        elif isinstance(node, exp.Subquery):
            self.visit(node, names, constraint)
        elif isinstance(node, exp.Table) and node.name.lower() in names:
            cte = names[node.name.lower()]
            self.seen.add(id(node))
            self.visit(cte.body, cte.names, {} if cte.recursive else constraint)

    def sources(self, node: exp.Select, names: _Names) -> dict[str, Source] | None:
        """Return the items of the FROM clause by alias, None where it has a part that is not understood."""
        if any(node.args.get(part) for part in ("laterals", "sample", "pivots")):
            return None
        joins = node.args.get("joins") or []
        items = from_items(node)
        sources: dict[str, Source] = {}
        for item, join in zip(items, [None, *joins] if len(items) > len(joins) else joins, strict=True):
            method = (join.method or "").upper() if join is not None else ""
            alias = item.alias_or_name.lower()
            source = self._source(item, names)
            if method in {"ASOF", "POSITIONAL", "NATURAL"} or source is None or alias in sources:
                return None
            source.hidden = join is not None and (join.kind or "").upper() in {"SEMI", "ANTI"}
            sources[alias] = source
        return sources

    def _source(self, item: exp.Expression, names: _Names) -> Source | None:
        alias = item.args.get("alias")
        renamed = bool(alias is not None and alias.args.get("columns"))
        if isinstance(item, exp.Subquery):
            if _is_join(item):
                return None
            return Source(item) if renamed else derived(item, self.outputs(item, names))
        if not isinstance(item, exp.Table) or not isinstance(item.this, exp.Identifier):
            # A function, VALUES, UNNEST, a lateral subquery: rows with columns that are not known.
            return Source(item)
        if any(item.args.get(part) for part in ("pivots", "sample", "joins")):
            return None
        name = item.name.lower()
        if name in names and not item.db:
            cte = names[name]
            if renamed or cte.renamed or cte.recursive:
                return Source(item)
            return derived(item, self.outputs(cte.body, cte.names))
        if name in self.columns:
            return None if renamed else Source(item, name, self.columns[name], complete=True)
        return Source(item)

    def outputs(self, node: exp.Expression, names: _Names) -> Outputs:
        """Return the columns of a result."""
        if id(node) not in self._known_outputs:
            self._known_outputs[id(node)] = _NOTHING  # what a recursive use of itself sees
            self._known_outputs[id(node)] = self._find_outputs(node, _defined(node, names))
        return self._known_outputs[id(node)]

    def _find_outputs(self, node: exp.Expression, names: _Names) -> Outputs:
        if isinstance(node, exp.Subquery):
            return _NOTHING if _is_join(node) else self.outputs(node.this, names)
        if isinstance(node, exp.SetOperation):
            return of_set(node, self.outputs(node.this, names), self.outputs(node.expression, names))
        if not isinstance(node, exp.Select):
            return _NOTHING
        sources = self.sources(node, names)
        if sources is None:
            return _NOTHING
        return select_outputs(node, From(sources, node.args.get("joins") or []))

    def _through(self, node: exp.Select, clause: From, wanted: Constraint) -> Bounds:
        """Return what ``wanted`` of a result means for the sources of its SELECT."""
        if not wanted or _cuts(node):
            return {}
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            return {}
        windows = list(node.find_all(exp.Window))
        outputs = select_outputs(node, clause)
        bounds: Bounds = {}
        for name, index in outputs.first().items():
            places = outputs.columns[index].places
            if name in wanted and all(_partitions(window, places, clause) for window in windows):
                bounds = both(bounds, dict.fromkeys(places, wanted[name]))
        return bounds

    def values(self, node: exp.Expression, names: _Names, wanted: Sequence[int]) -> dict[int, Bound]:
        """Return what is known of the values in columns of a result, by position; NULL is always possible."""
        self.visits += 1
        if self.visits > _TOO_MANY or id(node) in self._asked:
            return {}
        self._asked.add(id(node))
        try:
            return self._find_values(node, _defined(node, names), wanted)
        finally:
            self._asked.discard(id(node))

    def _find_values(self, node: exp.Expression, names: _Names, wanted: Sequence[int]) -> dict[int, Bound]:
        if isinstance(node, exp.Subquery):
            return {} if _is_join(node) else self.values(node.this, names, wanted)
        if isinstance(node, exp.SetOperation):
            return self._valuesof_set(node, names, wanted)
        if not isinstance(node, exp.Select):
            return {}
        sources = self.sources(node, names)
        if sources is None:
            return {}
        clause = From(sources, node.args.get("joins") or [])
        columns = select_outputs(node, clause).columns
        places = {index: columns[index].places for index in wanted if index < len(columns)}
        known = Predicates(clause, _Inner(self, names)).known(
            node, {}, [place for found in places.values() for place in found]
        )
        result = {}
        for index, found in places.items():
            # A column that USING made of several may have the value of any of them.
            bound = in_any(known.values.get(place, Bound()) for place in found)
            if bound is not None:
                result[index] = bound
        return result

    def _valuesof_set(self, node: exp.SetOperation, names: _Names, wanted: Sequence[int]) -> dict[int, Bound]:
        if not isinstance(node, exp.Union):
            return self.values(node.this, names, wanted)  # rows of the first side
        if node.args.get("by_name"):
            return {}
        first, second = self.values(node.this, names, wanted), self.values(node.expression, names, wanted)
        return either(first, second)

    def tables(self, node: exp.Expression, names: _Names, below: frozenset[int] = frozenset()) -> Iterator[str]:
        """Yield the relations that a subquery reads, those of the table expressions that it uses included."""
        names = _defined(node, names)
        for table in node.find_all(exp.Table):
            name = table.name.lower()
            if name in names and not table.db:
                cte = names[name]
                if id(cte.body) not in below:
                    yield from self.tables(cte.body, cte.names, below | {id(cte.body)})
            elif name in self.columns:
                yield name


@dataclass(frozen=True, slots=True)
class _Inner:
    """What lies within one SELECT; see :class:`.predicates.Inner`."""

    walk: _Walk
    names: _Names

    def values(self, query: exp.Expression, wanted: Sequence[int]) -> dict[int, Bound]:
        return self.walk.values(query, self.names, wanted) if self.walk.resolver is not None else {}

    def columns(self, source: Source, wanted: Sequence[str]) -> Constraint:
        if self.walk.resolver is None:
            return {}
        node, names = source.node, self.names
        if isinstance(node, exp.Table):
            cte = names[node.name.lower()]
            node, names = cte.body, cte.names
        first = self.walk.outputs(node, names).first()
        found = self.walk.values(node, names, [first[name] for name in wanted])
        return {name: found[first[name]] for name in wanted if first[name] in found}

    def exists(self, query: exp.Select, outer: From, within: Within) -> Bounds:
        walk = self.walk
        if walk.resolver is None or not _may_be_empty(query):
            return {}
        names = _defined(query, self.names)
        sources, where = walk.sources(query, names), query.args.get("where")
        if sources is None or where is None:
            return {}
        clause = From(sources, query.args.get("joins") or [])
        pairs: list[tuple[Place, list[Place]]] = []
        for part in conjuncts(where.this):
            if isinstance(part, exp.EQ):
                for mine, other in ((part.this, part.expression), (part.expression, part.this)):
                    here, there = clause.places(mine), _of_outer(other, clause, outer, within)
                    if len(here) == 1 and any(self.is_worth(outer.sources[alias], {}) for alias, _ in there):
                        pairs.append((here[0], there))
        if not pairs:
            return {}
        known = Predicates(clause, self.__class__(walk, names)).known(query, {}, [place for place, _ in pairs])
        bounds: Bounds = {}
        for place, there in pairs:
            if place in known.values:
                bounds = both(bounds, dict.fromkeys(there, known.values[place]))
        return bounds

    def is_worth(self, source: Source, constraint: Constraint) -> bool:
        resolver = self.walk.resolver
        if resolver is None:
            return False
        if source.table is not None:
            kinds = self.walk.columns[source.table]
            typed = {name: bound.of_type(kinds[name]) for name, bound in constraint.items() if name in kinds}
            return resolver.is_worth(source.table, {name: one for name, one in typed.items() if not one.is_free})
        node, names = source.node, self.names
        if isinstance(node, exp.Table):
            if node.name.lower() not in names or node.db:
                return False
            cte = names[node.name.lower()]
            node, names = cte.body, cte.names
        return any(resolver.is_worth(name, {}) for name in dict.fromkeys(self.walk.tables(node, names)))

    def ask(
        self, source: Source, keys: Sequence[str], constraint: Constraint, conditions: Sequence[exp.Expression]
    ) -> Constraint:
        if self.walk.resolver is None or source.table is None:
            return {}
        kinds = self.walk.columns[source.table]
        typed = {name: bound.of_type(kinds[name]) for name, bound in constraint.items() if name in kinds}
        return self.walk.resolver.ask(source.table, source.node.alias_or_name, keys, typed, conditions)


def _cuts(node: exp.Expression) -> bool:
    """Whether a result is cut to some of its rows, so that filtering it before and after are not the same."""
    return any(node.args.get(part) for part in ("limit", "offset", "sample", "fetch"))


def _is_join(node: exp.Subquery) -> bool:
    """Whether parentheses hold more than a query: a join of tables, a pivot, a sample."""
    return not isinstance(node.this, exp.Query) or any(node.args.get(part) for part in ("joins", "pivots", "sample"))


def _may_be_empty(query: exp.Select) -> bool:
    """Whether a SELECT has rows only where its FROM and WHERE give some: aggregates make one of none."""
    if any(query.args.get(part) for part in ("group", "having", "qualify", "offset", "sample")):
        return False
    plain = (exp.Star, exp.Literal, exp.Column, exp.Null, exp.Boolean)
    return all(isinstance(item.unalias(), plain) for item in query.expressions)


def _of_outer(column: exp.Expression, inner: From, outer: From, within: Within) -> list[Place]:
    """Return what a column in a subquery means in the query around it; nothing where it may mean the subquery's own."""
    if not isinstance(column, exp.Column):
        return []
    alias, name = column.table.lower(), column.name.lower()
    if alias in inner.sources:
        return []
    if not alias and any(name in source.kinds or not source.complete for source in inner.sources.values()):
        return []
    return outer.places(column, within)


def _defined(node: exp.Expression, names: _Names) -> _Names:
    """Return ``names`` with those that a query's own WITH clause adds."""
    clause = node.args.get("with_")
    if clause is None:
        return names
    seen = dict(names)
    for cte in clause.expressions:
        recursive = bool(clause.args.get("recursive"))
        inside = dict(seen)
        made = _Cte(cte.this, recursive, bool(cte.args["alias"].args.get("columns")), inside)
        seen[cte.alias.lower()] = made
        if recursive:
            inside[cte.alias.lower()] = made
    return seen


def _inner_queries(node: exp.Expression) -> Iterator[exp.Expression]:
    """Yield the queries inside a SELECT's expressions: in its list, its WHERE, its ON clauses, its HAVING."""
    if not isinstance(node, exp.Select):
        return
    items = {id(item) for item in from_items(node)}
    waiting: list[exp.Expression] = [node]
    while waiting:
        here = waiting.pop()
        if here is not node and (id(here) in items or isinstance(here, exp.With)):
            continue
        if here is not node and isinstance(here, exp.Query):
            yield here
        else:
            waiting.extend(here.iter_expressions())


def _partitions(window: exp.Window, places: Sequence[Place], clause: From) -> bool:
    """Whether a window never looks across values of this column, because it is partitioned by it."""
    keys = [clause.places(key) for key in window.args.get("partition_by") or []]
    return bool(places) and any(places[0] in key for key in keys)


def _reason(source: Source, known: Known, *, mistyped: bool) -> str:
    """Say why nothing is known of a table: the first conjunct about it that led to nothing."""
    if mistyped:
        return "a column is compared with a value of another type"
    alias, columns = source.node.alias_or_name.lower(), source.kinds
    for part in known.unused:
        for column in part.find_all(exp.Column):
            if column.table.lower() == alias or (not column.table and column.name.lower() in columns):
                return f"{_shape(part)}: {part.sql(dialect='duckdb', normalize_functions='lower')}"
    return "no condition on its columns"


def _shape(part: exp.Expression) -> str:
    if isinstance(part, exp.Or):
        return "an OR with another column"
    if isinstance(part, exp.Not | exp.NEQ) or part.args.get("negate"):
        return "a condition on what it is not"
    if isinstance(part, exp.Like | exp.ILike):
        return "a pattern"
    if part.find(exp.Func):
        return "a function on the column"
    return "a condition that files cannot be chosen by"
