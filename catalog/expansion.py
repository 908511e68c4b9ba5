"""Macros and views of the library, written out in a question's syntax tree so that the planner sees through them.

DuckDB itself expands what it runs; this is for planning only. What cannot be written out is named as *opaque*: the
relations that it may read are then planned without any constraint.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp

from ..errors import QueryError
from .library import Definition, closure, library
from .syntax import parsed

#: How deep definitions may use one another.
_DEEPEST = 12
_TABLE_OF = "query_table"


@dataclass(frozen=True, slots=True)
class Expansion:
    """What the library adds to a question.

    Attributes
    ----------
    definitions
        The macros and views that the question uses, each behind what it uses itself.
    tables
        The relations that their bodies and their arguments name.
    opaque
        Relations, in lower case, about which nothing may be concluded from ``tree``.
    tree
        The question's tree with tables and views of the library written out; None where there was none.
    """

    definitions: tuple[Definition, ...]
    tables: tuple[str, ...]
    opaque: frozenset[str]
    tree: exp.Expression | None


def expand(
    tree: exp.Expression | None,
    *,
    names: Collection[str],
    calls: Sequence[tuple[str, Sequence[tuple[str, str | None]]]],
    ctes: Collection[str],
) -> Expansion:
    """Write out what a question uses of the library.

    Parameters
    ----------
    tree
        sqlglot's syntax tree of the question, which is left as it is.
    names
        The relations that the question names.
    calls
        The functions that it calls: name, and each argument's name (empty where it has none) and the relation that it
        may mean (None where it is something else).
    ctes
        Names, in lower case, that the question defines itself.

    Raises
    ------
    QueryError
        A macro of tables was given something else than the name of one; or a table that a macro reads would be hidden
        from it by a common table expression of that name.
    """
    known = library()
    called = {name for name, _ in calls if name in known}
    for name in sorted(called):
        _check_not_hidden(name, _ctes_seen(tree, name, ctes))
    given = {one for name, arguments in calls if name in known for one in _given(known[name], arguments)}
    views = {name.lower() for name in (*names, *given) if _is_view(name)}
    definitions = closure(sorted(called | views))
    tables = {name for one in definitions for name in relations_of(one)} | {one for one in given if not _is_view(one)}
    # An expression may ask tables in a subquery. A view that a CTE hides may be meant where the CTE is not seen.
    hidden = {one.name for one in definitions if one.kind == "view"} & set(ctes)
    expressions = {one.name for one in definitions if one.kind in {"scalar", "aggregate"}}
    unseen = {name for one in closure(sorted(hidden | expressions)) for name in relations_of(one)}
    unseen |= {one for name, arguments in calls if name in expressions for one in _given(known[name], arguments)}
    opaque = {name.lower() for name in unseen}
    written = None
    # What an expression asks of a CTE is nowhere in the tree.
    if tree is not None and not (expressions and opaque & set(ctes)):
        with contextlib.suppress(_NotWritable):
            written = _written_out(tree.copy(), frozenset(ctes)) if definitions else tree
    return Expansion(tuple(definitions), tuple(sorted(tables)), frozenset(opaque), written)


def _check_not_hidden(called: str, ctes: Collection[str]) -> None:
    """Make sure that a macro reads the lake's tables: its body is bound where some of the question's names are seen."""
    known = library()
    waiting, reached = [called], {called}
    while waiting:
        one = known[waiting.pop()]
        views = {name for name in one.uses if known[name].kind == "view"}
        for name in sorted((relations_of(one) | views) & set(ctes)):
            raise QueryError(
                f"{called} reads {name}, which the question gives another meaning by WITH {name} AS (...)",
                hint="call that part of the question something else",
            )
        waiting += sorted(one.uses - views - reached)
        reached |= one.uses


def _ctes_seen(tree: exp.Expression | None, called: str, ctes: Collection[str]) -> set[str]:
    """Return the common table expressions that calls of a macro see; all of them where the calls are not found."""
    calls = [] if tree is None else [one for one in tree.find_all(exp.Anonymous) if one.name.lower() == called]
    return {name for call in calls for name in _seen_from(call)} if calls else set(ctes)


def _seen_from(node: exp.Expression) -> set[str]:
    """Return the names, in lower case, of the common table expressions that a place in a question sees."""
    seen: set[str] = set()
    below, here = node, node.parent
    while here is not None:
        if isinstance(here, exp.With):
            # Inside one of several: those before it are seen, itself only where it is recursive.
            for cte in here.expressions:
                if cte is not below or here.args.get("recursive"):
                    seen.add(cte.alias.lower())
                if cte is below:
                    break
            below, here = here, here.parent
        own = here.args.get("with_") if here is not None else None
        if own is not None and own is not below:
            seen |= {cte.alias.lower() for cte in own.expressions}
        below, here = here, here.parent if here is not None else None
    return seen


def _is_view(name: str) -> bool:
    found = library().get(name.lower())
    return found is not None and found.kind == "view"


class _NotWritable(Exception):  # noqa: N818 - not an error of anybody
    """A use of the library that is not understood."""


@cache
def body_of(one: Definition) -> exp.Expression:
    """Return the syntax tree of a definition's body; not to be changed."""
    tree = parsed(one.body if one.kind in {"table", "view"} else f"SELECT {one.body}")
    if tree is None:
        raise ValueError(f"{one.group}.sql: the body of {one.name} cannot be read by sqlglot")
    return tree


def columns_of(definitions: Sequence[Definition]) -> list[str]:
    """Return the columns that macros of tables and views name in their results."""
    bodies = [body_of(one) for one in definitions if one.kind in {"table", "view"}]
    return [name for body in bodies if isinstance(body, exp.Query) for name in body.named_selects if name != "*"]


@cache
def relations_of(one: Definition) -> frozenset[str]:
    """Return the relations that a definition's own body names, its parameters and table expressions left out."""
    tree = body_of(one)
    own = {cte.alias.lower() for cte in tree.find_all(exp.CTE)} | set(one.parameters)
    found: set[str] = set()
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and not table.db:
            found.add(table.name.lower())
        elif isinstance(table.this, exp.Anonymous) and table.this.name.lower() in library():
            used = library()[table.this.name.lower()]
            found |= {name for name in _arguments(table.this, used, table_parameters(used)) if name}
    return frozenset(found - own - library().keys())


@cache
def table_parameters(one: Definition) -> frozenset[str]:
    """Return the parameters of a definition that take the name of a relation."""
    found: set[str] = set()
    for table in body_of(one).find_all(exp.Table):
        if not isinstance(table.this, exp.Anonymous):
            continue
        name = table.this.name.lower()
        if name == _TABLE_OF:
            found |= {_relation_name(part) or "" for part in table.this.expressions}
        elif name in library():
            used = library()[name]
            found |= {part or "" for part in _arguments(table.this, used, table_parameters(used))}
    return frozenset(found & set(one.parameters))


def _given(one: Definition, arguments: Sequence[tuple[str, str | None]]) -> set[str]:
    """Return the relations that a call hands to a macro."""
    found: set[str] = set()
    wanted = table_parameters(one)
    positional = [value for name, value in arguments if not name]
    for place, parameter in enumerate(one.parameters):
        if parameter not in wanted:
            continue
        by_name = [value for name, value in arguments if name.lower() == parameter]
        value = by_name[0] if by_name else positional[place] if place < len(positional) else None
        if value is None:
            raise QueryError(
                f"{one.name}(): {parameter!r} is the name of a table, view or common table expression",
                hint=f"write {one.signature}; a subquery goes in front: WITH chosen AS (...) ... {one.name}(chosen)",
            )
        found.add(value)
    return found


def _arguments(call: exp.Anonymous, used: Definition, wanted: Collection[str]) -> list[str | None]:
    """Return the names that a call in a body gives for some of the parameters."""
    bound = _bound(call, used)
    return [_relation_name(bound[name]) for name in wanted if name in bound]


def _bound(call: exp.Anonymous, used: Definition) -> dict[str, exp.Expression]:
    """Return the arguments of a call by the names of the parameters, defaults included."""
    bound: dict[str, exp.Expression] = {}
    positions = list(used.parameters)
    for place, argument in enumerate(call.expressions):
        if isinstance(argument, exp.PropertyEQ | exp.Kwarg):
            bound[argument.this.name.lower()] = argument.expression
        elif place < len(positions):
            bound[positions[place]] = argument
        else:
            raise _NotWritable
    for name, default in used.parameters.items():
        if name not in bound and default is not None:
            bound[name] = sqlglot.parse_one(default, dialect="duckdb")
    return bound


def _relation_name(node: exp.Expression) -> str | None:
    if isinstance(node, exp.Column) and not node.table:
        return str(node.name)
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.this)
    return None


def _written_out(tree: exp.Expression, ctes: frozenset[str], depth: int = 0) -> exp.Expression:
    """Put the bodies of views and table macros in their places, in a tree that may be changed.

    As in DuckDB, the tables of a macro are looked up where it is called, so that a table expression of the question may
    hide them, and the tables of a view are those of the lake.
    """
    known = library()
    for table in list(tree.find_all(exp.Table)):
        is_call = not isinstance(table.this, exp.Identifier)
        name = str(table.this.name).lower()
        if name not in known or (not is_call and not table.db and name in ctes):
            continue
        one = known[name]
        if table.text("db").lower() not in {"", "main"} or table.text("catalog") or depth >= _DEEPEST:
            raise _NotWritable
        if is_call != (one.kind == "table") or (is_call and not isinstance(table.this, exp.Anonymous)):
            raise _NotWritable
        body = body_of(one).copy()
        if is_call:
            _substitute(body, _bound(table.this, one))
            inner = _written_out(body, ctes, depth + 1)
        else:
            inner = _of_the_lake(_written_out(body, frozenset(), depth + 1))
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name))
        replacement = exp.Subquery(this=inner, alias=alias)
        for part in ("joins", "pivots", "sample", "laterals"):
            if table.args.get(part):
                replacement.set(part, table.args[part])
        if table is tree:
            return replacement
        table.replace(replacement)
    return tree


def _of_the_lake(view: exp.Expression) -> exp.Expression:
    """Say of a view's tables that no table expression of a question is meant."""
    own = {cte.alias.lower() for cte in view.find_all(exp.CTE)}
    for table in view.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and not table.db and table.name.lower() not in own:
            table.set("db", exp.to_identifier("main"))
    return view


def _substitute(body: exp.Expression, bound: Mapping[str, exp.Expression]) -> None:
    """Put arguments in the places of parameters; ``query_table(parameter)`` becomes the table itself."""
    for column in list(body.find_all(exp.Column)):
        if not column.table and column.name.lower() in bound:
            column.replace(bound[column.name.lower()].copy())
    for table in list(body.find_all(exp.Table)):
        if isinstance(table.this, exp.Anonymous) and table.this.name.lower() == _TABLE_OF:
            named = _relation_name(table.this.expressions[0]) if len(table.this.expressions) == 1 else None
            if named is None:
                raise _NotWritable
            table.set("this", exp.to_identifier(named, quoted=True))
