"""What a question asks of each table before any row is read: its predicates, followed down to the tables.

The rule that everything here keeps: a row that a constraint excludes cannot change the answer. A conjunct of WHERE
that compares a column with a value is never true for NULL, so the rows of a table that fail it may be left out,
under outer joins too. From there a constraint goes through equal columns of joins, and into subqueries, common table
expressions and set operations where filtering before and after is the same. Whatever is not understood constrains
nothing: then more files are opened, and the answer is still right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from .constraints import Constraint, both, either
from .predicates import Bounds, From, Place, Predicates, Source

#: The columns of a result in order, each with the places of its SELECT's sources that it repeats.
Outputs = list[tuple[str, list[Place]]]
#: Visits of SELECTs after which a question counts as too entangled to plan (CTEs that use CTEs twice, over and over).
_TOO_MANY = 1000


def constraints(tree: exp.Expression | None, columns: Mapping[str, Mapping[str, type]]) -> dict[str, Constraint]:
    """Return a constraint for every relation of a question.

    Parameters
    ----------
    tree
        sqlglot's syntax tree of the question; None constrains nothing.
    columns
        Relation in lower case → its columns in lower case → ``str``, ``int`` or, for all other types, ``object``.

    Returns
    -------
    Relation in lower case → what all uses of it in the question have in common; ``{}`` where that is nothing.
    """
    free: dict[str, Constraint] = {name: {} for name in columns}
    if not isinstance(tree, exp.Query):
        return free
    walk = _Walk(columns)
    walk.visit(tree, {}, {})
    if walk.visits > _TOO_MANY:
        return free
    for table in tree.find_all(exp.Table):
        if id(table) not in walk.seen:
            walk.found[table.name.lower()] = {}
    return {name: walk.found.get(name, {}) for name in columns}


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
    found: dict[str, Constraint] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    visits: int = 0
    _active: set[int] = field(default_factory=set)
    _known_outputs: dict[int, Outputs | None] = field(default_factory=dict)

    def visit(self, node: exp.Expression, names: _Names, wanted: Constraint) -> None:
        """Walk one SELECT, set operation or pair of parentheses; rows of its result that fail ``wanted`` are idle."""
        self.visits += 1
        if self.visits > _TOO_MANY or id(node) in self._active:
            return
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
        first = self._outputs(node.this, names)
        for side in (node.this, node.expression):
            own = self._outputs(side, names)
            here: Constraint = {}
            if own is not None and first is not None:
                # BY NAME, a side without the column gives NULL there, which fails every bound: it is left alone.
                meant = own if node.args.get("by_name") else first
                pairs = [(name, mine) for (name, _), (mine, _) in zip(meant, own, strict=False)]
                once = Counter(mine for _, mine in pairs)
                here = {mine: wanted[name] for name, mine in pairs if name in wanted and once[mine] == 1}
            self.visit(side, names, here)

    def _visit_select(self, node: exp.Select, names: _Names, wanted: Constraint) -> None:
        sources = self._sources(node, names)
        if sources is None:
            # Nothing is known about this FROM clause; what lies inside its subqueries still is.
            for item in _from_items(node):
                if isinstance(item, exp.Subquery):
                    self.visit(item, names, {})
            return
        clause = From(sources, node.args.get("joins") or [])
        per_source = Predicates(clause).per_source(node, self._through(node, clause, wanted))
        for alias, source in sources.items():
            self._pass_on(source, names, per_source.get(alias, {}))

    def _pass_on(self, source: Source, names: _Names, constraint: Constraint) -> None:
        node = source.node
        if source.table is not None:
            kinds = self.columns[source.table]
            typed = {name: bound.of_type(kinds[name]) for name, bound in constraint.items() if name in kinds}
            useful = {name: bound for name, bound in typed.items() if not bound.is_free}
            known = self.found.get(source.table)
            self.found[source.table] = useful if known is None else either(known, useful)
            self.seen.add(id(node))
        elif isinstance(node, exp.Subquery):
            self.visit(node, names, constraint)
        elif isinstance(node, exp.Table) and node.name.lower() in names:
            cte = names[node.name.lower()]
            self.seen.add(id(node))
            self.visit(cte.body, cte.names, {} if cte.recursive else constraint)

    def _sources(self, node: exp.Select, names: _Names) -> dict[str, Source] | None:
        """Return the items of the FROM clause by alias, None where it has a part that is not understood."""
        if any(node.args.get(part) for part in ("laterals", "sample", "pivots")):
            return None
        joins = node.args.get("joins") or []
        items = _from_items(node)
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
            return Source(item, None, None if renamed else _names_of(self._outputs(item, names)))
        if not isinstance(item, exp.Table) or not isinstance(item.this, exp.Identifier):
            # A function, VALUES, UNNEST, a lateral subquery: rows with columns that are not known.
            return Source(item, None, None)
        if any(item.args.get(part) for part in ("pivots", "sample", "joins")):
            return None
        name = item.name.lower()
        if name in names and not item.db:
            cte = names[name]
            known = None if renamed or cte.renamed or cte.recursive else self._outputs(cte.body, cte.names)
            return Source(item, None, _names_of(known))
        if name in self.columns:
            return None if renamed else Source(item, name, tuple(self.columns[name]))
        return Source(item, None, None)

    def _outputs(self, node: exp.Expression, names: _Names) -> Outputs | None:
        """Return the columns of a result in order, each with the places that it repeats; None where unknown."""
        if id(node) not in self._known_outputs:
            self._known_outputs[id(node)] = None  # what a recursive use of itself sees
            self._known_outputs[id(node)] = self._find_outputs(node, _defined(node, names))
        return self._known_outputs[id(node)]

    def _find_outputs(self, node: exp.Expression, names: _Names) -> Outputs | None:
        if isinstance(node, exp.Subquery):
            inner = None if _is_join(node) else self._outputs(node.this, names)
            return None if inner is None else [(name, []) for name, _ in inner]
        if isinstance(node, exp.SetOperation):
            first, second = self._outputs(node.this, names), self._outputs(node.expression, names)
            if first is None or second is None:
                return None
            if not node.args.get("by_name"):
                return [(name, []) for name, _ in first]
            return [(name, []) for name in dict.fromkeys(name for name, _ in [*first, *second])]
        if not isinstance(node, exp.Select):
            return None
        sources = self._sources(node, names)
        if sources is None:
            return None
        result: Outputs = []
        clause = From(sources, node.args.get("joins") or [])
        for item in node.expressions:
            added = _output(item, clause)
            if added is None:
                return None
            result.extend(added)
        return result

    def _through(self, node: exp.Select, clause: From, wanted: Constraint) -> Bounds:
        """Return what ``wanted`` of a result means for the sources of its SELECT."""
        if not wanted or _cuts(node) or node.args.get("qualify"):
            return {}
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            return {}
        windows = list(node.find_all(exp.Window))
        bounds: Bounds = {}
        passed = set()
        for item in node.expressions:
            made = _output(item, clause)
            if made is None:
                return {}
            for name, places in made:
                if name in passed:  # a repeated name: only the first one can be meant
                    continue
                passed.add(name)
                if name in wanted and all(_partitions(window, places, clause) for window in windows):
                    bounds = both(bounds, dict.fromkeys(places, wanted[name]))
        return bounds


def _cuts(node: exp.Expression) -> bool:
    """Whether a result is cut to some of its rows, so that filtering it before and after are not the same."""
    return any(node.args.get(part) for part in ("limit", "offset", "sample", "fetch"))


def _is_join(node: exp.Subquery) -> bool:
    """Whether parentheses hold more than a query: a join of tables, a pivot, a sample."""
    return not isinstance(node.this, exp.Query) or any(node.args.get(part) for part in ("joins", "pivots", "sample"))


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


def _from_items(node: exp.Select) -> list[exp.Expression]:
    start = node.args.get("from_")
    return [*([start.this] if start is not None else []), *(join.this for join in node.args.get("joins") or [])]


def _inner_queries(node: exp.Expression) -> Iterator[exp.Expression]:
    """Yield the queries inside a SELECT's expressions: in its list, its WHERE, its ON clauses, its HAVING."""
    if not isinstance(node, exp.Select):
        return
    items = {id(item) for item in _from_items(node)}
    waiting: list[exp.Expression] = [node]
    while waiting:
        here = waiting.pop()
        if here is not node and (id(here) in items or isinstance(here, exp.With)):
            continue
        if here is not node and isinstance(here, exp.Query):
            yield here
        else:
            waiting.extend(here.iter_expressions())


def _names_of(outputs: Outputs | None) -> tuple[str, ...] | None:
    return None if outputs is None else tuple(name for name, _ in outputs)


def _partitions(window: exp.Window, places: list[Place], clause: From) -> bool:
    """Whether a window never looks across values of this column, because it is partitioned by it."""
    keys = [clause.places(key) for key in window.args.get("partition_by") or []]
    return bool(places) and any(places[0] in key for key in keys)


def _output(item: exp.Expression, clause: From) -> Outputs | None:
    """Return the result columns that one item of a SELECT list makes; None where that cannot be told."""
    if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
        return _star(item, clause)
    if item.find(exp.Columns, exp.Unnest, exp.Explode):
        return None
    if any(not isinstance(star.parent, exp.Count) for star in item.find_all(exp.Star)):
        return None
    if isinstance(item, exp.Alias):
        return [(item.alias.lower(), clause.places(item.this))]
    return [(item.alias_or_name.lower(), clause.places(item))]


def _star(item: exp.Expression, clause: From) -> Outputs | None:
    star = item if isinstance(item, exp.Star) else item.this
    if star.args.get("rename") or star.args.get("ilike"):
        return None
    dropped = {part.name.lower() for part in star.args.get("except_") or star.args.get("except") or []}
    replaced = {part.alias.lower() for part in star.args.get("replace") or []}
    only = item.table.lower() if isinstance(item, exp.Column) else None
    if only is not None and only not in clause.sources:
        return None  # the fields of a struct
    merged = {
        join.this.alias_or_name.lower(): {column.name.lower() for column in join.args.get("using") or []}
        for join in clause.joins
    }
    result: Outputs = []
    for alias, source in clause.sources.items():
        if source.hidden or (only is not None and alias != only):
            continue
        if source.columns is None:
            return None
        for name in source.columns:
            if name in dropped or (only is None and name in merged.get(alias, ())):
                continue
            result.append((name, [] if name in replaced else [(alias, name)]))
    return result
