"""The FROM clause of one SELECT: what it reads, what its columns are called, and which of them its joins make equal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlglot import exp

from .constraints import Bound, both

#: A column of a source of one SELECT: (alias of the source, column), both in lower case.
Place = tuple[str, str]
#: What must hold for places, joined by AND.
Bounds = dict[Place, Bound]
#: Aliases that an expression sees; None: all that are not hidden.
Within = Collection[str] | None


class Output(NamedTuple):
    """One column of a result.

    Attributes
    ----------
    name
        In lower case.
    places
        The columns of the SELECT's sources that it repeats: several where USING made them one, none for anything else.
    kind
        ``str``, ``int``, or ``object`` where it is another type or not known.
    """

    name: str
    places: tuple[Place, ...]
    kind: type


@dataclass(frozen=True, slots=True)
class Outputs:
    """The columns of a result in order, as far as they are certain.

    Attributes
    ----------
    columns
        All of them, or where not ``complete`` those in front of the first that cannot be told.
    """

    columns: tuple[Output, ...] = ()
    complete: bool = False

    def first(self) -> dict[str, int]:
        """Return name → position; of a repeated name the first can be meant, the others get another name."""
        found: dict[str, int] = {}
        for place, output in enumerate(self.columns):
            found.setdefault(output.name, place)
        return found


@dataclass(slots=True)
class Source:
    """One item of a FROM clause.

    Attributes
    ----------
    table
        The relation that it is, in lower case; None for subqueries, table expressions and functions.
    kinds
        Its columns in order, as far as they are certain, with what :class:`Output` says of their types.
    complete
        Whether these are all.
    hidden
        Right side of a semi or anti join: only its ON clause sees it.
    """

    node: exp.Expression
    table: str | None = None
    kinds: Mapping[str, type] = field(default_factory=dict)
    complete: bool = False
    hidden: bool = False


class _Edge(NamedTuple):
    """A way along which a bound travels, from one column to one that equals it; see :meth:`From.reached`."""

    to: Place
    needs: bool
    gives: bool


class From:
    """The FROM clause of one SELECT: its sources by alias, and which of their columns USING made one.

    A comma binds less than JOIN: it begins a new group, and the USING and ON of a join see only their own group.
    """

    def __init__(self, sources: Mapping[str, Source], joins: Sequence[exp.Join]) -> None:
        self.sources = sources
        self.joins = joins
        #: Column → the sources that share it; none of them where it is not certain which ones those are.
        self.merged: dict[str, set[str]] = {}
        #: For each join, the sources that its ON clause sees.
        self.within: list[list[str]] = []
        #: Sources whose columns may be NULL in a row of the result because a join found no row of theirs.
        self.nullable: set[str] = set()
        #: Of these the ones that conditions make sure of.
        self.required: set[str] = set()
        self._edges: dict[Place, list[_Edge]] = {}
        group = list(sources)[: len(sources) - len(joins)]
        merged_here: set[str] = set()
        for join in joins:
            right = join.this.alias_or_name.lower()
            if is_comma(join):
                group, merged_here = [right], set()
                self.within.append(group)
                continue
            self.within.append([*group, right])
            side = side_of(join)
            self.nullable |= {right} if side in {"LEFT", "FULL"} else set()
            self.nullable |= set(group) if side in {"RIGHT", "FULL"} else set()
            for column in join.args.get("using") or []:
                self._merge(column.name.lower(), group, join, known=column.name.lower() in merged_here)
                merged_here.add(column.name.lower())
            if not sources[right].hidden:
                group = [*group, right]

    @property
    def preserves(self) -> bool:
        """Whether a join keeps rows of its right side, for which no other ON clause holds."""
        return any(side_of(join) in {"RIGHT", "FULL"} for join in self.joins)

    def is_sure(self, alias: str) -> bool:
        """Whether each row of the result has a real row of this source behind it."""
        return alias not in self.nullable or alias in self.required

    def _merge(self, name: str, group: list[str], join: exp.Join, *, known: bool) -> None:
        right = join.this.alias_or_name.lower()
        having = {alias for alias in group if name in self.sources[alias].kinds}
        sure = all(name in self.sources[alias].kinds or self.sources[alias].complete for alias in [*group, right])
        sure = sure and name in self.sources[right].kinds
        if not sure or (name in self.merged) != known or (self.merged[name] != having if known else len(having) != 1):
            self.merged[name] = set()
            return
        self.merged[name] = having if self.sources[right].hidden else having | {right}
        for alias in having:
            self.equate((alias, name), (right, name), join)

    def equate(self, first: Place, second: Place, join: exp.Join | None = None) -> None:
        """Note that two columns are equal: in each row of the result, or where ``join`` joins rows.

        Columns of two types are left alone: SQL casts there, and '03' = 3 = '3'.
        """
        if self._kind(first) is not self._kind(second) or self._kind(first) not in {str, int}:
            return
        side = "" if join is None else side_of(join)
        right = "" if join is None else join.this.alias_or_name.lower()
        if side:
            if (first[0] == right) == (second[0] == right):
                return  # both on one side: true only of rows that find a partner
            if second[0] != right:
                first, second = second, first
        if join is None:
            forth = back = (False, True)
        elif not side:
            forth = back = (False, False)
        elif side == "LEFT":
            forth, back = (False, False), (True, True)
        elif side == "RIGHT":
            forth, back = (True, True), (False, False)
        else:
            forth = back = (True, False)
        self._edges.setdefault(first, []).append(_Edge(second, *forth))
        self._edges.setdefault(second, []).append(_Edge(first, *back))

    def is_joined(self, alias: str) -> bool:
        """Whether a column of this source equals one of another."""
        return any(place[0] == alias for place in self._edges)

    def reached(self, place: Place) -> set[Place]:
        """Return the columns that have to keep to a bound of ``place``, itself left out.

        A bound is *sure* where each row of the result has a real row of the source behind it, whose value keeps to the
        bound; and it is *idle* where merely the rows that break it can be left out of the source. Both travel with an
        inner join. With a LEFT JOIN a bound goes from the left side to the right and is idle there; from the right side
        it goes to the left only if it is sure, which the rows without a partner are not.
        """
        found: set[tuple[Place, bool]] = set()
        waiting = [(place, self.is_sure(place[0]))]
        while waiting:
            here, sure = waiting.pop()
            for edge in self._edges.get(here, ()):
                # An inner join hands on what it gets.
                gives = edge.gives or (not edge.needs and sure and self.is_sure(edge.to[0]))
                if (sure or not edge.needs) and (edge.to, gives) not in found:
                    found.add((edge.to, gives))
                    waiting.append((edge.to, gives))
        return {reached for reached, _ in found} - {place}

    def spread(self, bounds: Bounds, *, itself: bool) -> Bounds:
        """Give every column what is known of the columns that it equals; ``itself`` also the columns themselves."""
        result = dict(bounds) if itself else {}
        for place, bound in bounds.items():
            result = both(result, dict.fromkeys(self.reached(place), bound))
        return result

    def places(self, column: exp.Expression | None, within: Within = None) -> list[Place]:
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
        if column.args.get("db") and column.text("db").lower() != "main":
            return []  # a field of a struct
        name, alias = column.name.lower(), column.table.lower()
        seen = [key for key, source in self.sources.items() if (not source.hidden if within is None else key in within)]
        having = [key for key in seen if name in self.sources[key].kinds]
        if alias:
            return [(alias, name)] if alias in having else []
        if len(having) == 1 and name not in self.merged:
            return [(having[0], name)]
        # Where USING made a column one, its bare name means that one, whoever else has a column of the name.
        return [(key, name) for key in having if key in self.merged.get(name, ())]

    def kind(self, places: Sequence[Place]) -> type:
        """Return the type of a column that is one or several places."""
        kinds = {self._kind(place) for place in places}
        return kinds.pop() if len(kinds) == 1 else object

    def _kind(self, place: Place) -> type:
        return self.sources[place[0]].kinds[place[1]]


def is_comma(join: exp.Join) -> bool:
    """Whether a join is a comma."""
    return not any(join.args.get(part) for part in ("on", "using", "kind", "side", "method"))


def side_of(join: exp.Join) -> str:
    """Return LEFT, RIGHT or FULL of an outer join, and an empty text of others; ANTI keeps to its left side."""
    return (join.side or "").upper() or ("LEFT" if (join.kind or "").upper() == "ANTI" else "")


def from_items(node: exp.Select) -> list[exp.Expression]:
    """Return what a FROM clause lists, joined items included."""
    start = node.args.get("from_")
    return [*([start.this] if start is not None else []), *(join.this for join in node.args.get("joins") or [])]
