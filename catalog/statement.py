"""One question, read twice: by DuckDB, which says what it *is*, and by sqlglot, which says what it asks *for*.

DuckDB's own syntax tree decides whether the text may run: one statement, that only reads. A list of allowed words
would not do, since DuckDB counts ``WITH d AS (DELETE ...) SELECT ...`` among the SELECTs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from sqlglot import exp

from ..errors import QueryError
from .expansion import expand
from .library import Definition
from .messages import cleaned
from .syntax import nodes, parsed

#: A function that a question calls, in lower case; of each argument its name and the relation that it may mean.
Call = tuple[str, Sequence[tuple[str, str | None]]]
#: The nodes of DuckDB's syntax tree that read; every other kind of node (delete, copy, ...) is refused.
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
#: Table functions that run a text, or name a table in a text, which nobody has read.
_REFUSED_FUNCTIONS = {"query", "query_table"}
_BY_PLACE = re.compile(r"#\s*\d")
_READ_ONLY = "ask with SELECT, FROM, WITH, DESCRIBE, SUMMARIZE or PIVOT; the lake changes only through its verbs"
_CHANGING = (
    exp.Alter,
    exp.Attach,
    exp.Command,
    exp.Copy,
    exp.Create,
    exp.Delete,
    exp.Detach,
    exp.Drop,
    exp.Insert,
    exp.Install,
    exp.Merge,
    exp.Pragma,
    exp.Set,
    exp.TruncateTable,
    exp.Update,
    exp.Use,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A question that may run.

    Attributes
    ----------
    text
        What to run, as it was written.
    tables
        The relations that it names, as written, CTE names among them.
        Those that macros and views of the library read are there too, instead of these themselves.
    ctes
        Names, in lower case, that the question defines itself.
    tree
        sqlglot's syntax tree with the library's macros of tables and views written out; None where sqlglot cannot read
        this text (then no file can be left out).
    definitions
        What it uses of the library, each behind what it uses itself.
    opaque
        Relations, in lower case, about which nothing may be concluded from ``tree``.
    """

    text: str
    tables: tuple[str, ...]
    ctes: frozenset[str]
    tree: exp.Expression | None
    definitions: tuple[Definition, ...] = ()
    opaque: frozenset[str] = frozenset()

    def names(self) -> frozenset[str] | None:
        """Return every name in the question, in lower case, that may be a column's; None where it may be any.

        It may be any where a ``*`` stands for them, where a table's name stands for its row, and where this text is
        not understood.
        """
        tree = self.tree
        if not isinstance(tree, exp.Query) or self.opaque or tree.find(exp.Columns, exp.Pivot):
            return None
        if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
            return None
        # NATURAL joins by every name; `#1` is a column by its place.
        if any(join.method for join in tree.find_all(exp.Join)) or _BY_PLACE.search(self.text):
            return None
        # `wells AS w(a, b)` names the columns by their places.
        if any(table.alias_column_names for table in tree.find_all(exp.Table)):
            return None
        # A table's name or alias used like a column means its whole row.
        rows = {table.alias_or_name.lower() for table in tree.find_all(exp.Table, exp.Subquery, exp.CTE)}
        if any(column.name.lower() in rows for column in tree.find_all(exp.Column)):
            return None
        return frozenset(name.name.lower() for name in tree.find_all(exp.Identifier))

    def may_name(self, columns: Collection[str]) -> bool:
        """Whether the question may use one of these columns, given in lower case."""
        names = self.names()
        return names is None or not names.isdisjoint(columns)


def read_statement(connection: duckdb.DuckDBPyConnection, query: str) -> Statement:
    """Return the one reading statement that ``query`` holds.

    Raises
    ------
    QueryError
        Syntax error; no statement or several; a statement that does more than read.
    """
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise cleaned(error, query) from error
    if not statements:
        raise QueryError("the question is empty", hint="ask for example `SELECT * FROM plates`")
    if len(statements) != 1:
        raise QueryError(
            f"a question is one statement, this text has {len(statements)}", hint="ask one after the other"
        )
    kind = statements[0].type.name
    tree = parsed(query)
    if kind == "SELECT":
        root = _serialized(connection, query)
        _check_reading(root)
        tables, ctes = _names(root)
        return _with_library(query, tables, ctes, tree if _is_read_alike(root, tree) else None, _calls(root))
    if kind == "MULTI" and tree is not None and tree.find(exp.Pivot):
        # A PIVOT without a list of values is two statements to DuckDB, which cannot show its syntax tree.
        if tree.find(*_CHANGING):
            raise QueryError("only questions can be asked here, this text would change something", hint=_READ_ONLY)
        tables = tuple(dict.fromkeys(table.name for table in tree.find_all(exp.Table) if not table.db))
        ctes = frozenset(cte.alias.lower() for cte in tree.find_all(exp.CTE))
        return _with_library(query, tuple(name for name in tables if name), ctes, tree, _calls_in(tree))
    if kind == "EXPLAIN":
        raise QueryError(
            "EXPLAIN is not asked in SQL here",
            hint="leave the word out and ask with `cytolake sql --explain`, or `lake.explain(...)`",
        )
    raise QueryError(f"only questions can be asked here, this is {_article(kind)} statement", hint=_READ_ONLY)


def _with_library(
    query: str, tables: tuple[str, ...], ctes: frozenset[str], tree: exp.Expression | None, calls: list[Call]
) -> Statement:
    """Add what macros and views of the library mean."""
    added = expand(tree, names=tables, calls=calls, ctes=ctes)
    views = {one.name for one in added.definitions if one.kind == "view"}
    own = [name for name in tables if name.lower() not in views]
    known = {name.lower() for name in own}
    more = [name for name in added.tables if name.lower() not in known]
    return Statement(query, (*own, *more), ctes, added.tree, added.definitions, added.opaque)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"


def _serialized(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    rows = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    root = json.loads(rows[0][0])
    if root["error"]:
        raise QueryError(f"this question cannot be checked: {root['error_message']}", hint=_READ_ONLY)
    return root


def _check_reading(root: Any) -> None:
    for node in nodes(root):
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READING_NODES:
            verb = kind.removesuffix("_NODE").removesuffix("_QUERY")
            raise QueryError(f"only questions can be asked here, this text contains {_article(verb)}", hint=_READ_ONLY)
        elif kind == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name", "")).lower()
            if name in _REFUSED_FUNCTIONS:
                raise QueryError(f"{name}() is not available here", hint="write the question itself")
        elif kind == "SHOW_REF" and node.get("show_type") == "SHOW_SPECIAL":
            raise QueryError("SHOW is not available here", hint="list tables with `cytolake catalog tables`")


def _is_read_alike(root: Any, tree: exp.Expression | None) -> bool:
    """Whether both trees name the same tables; none does where a description is a table: that is about all columns."""
    if tree is None or any(node.get("type") == "SHOW_REF" for node in nodes(root)):
        return False
    read = {str(node["table_name"]).lower() for node in nodes(root) if node.get("type") == "BASE_TABLE"}
    return read == {table.name.lower() for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Identifier)}


def _calls(root: Any) -> list[Call]:
    """Return the functions that a question calls, in lower case, with what each argument may name."""
    found: list[Call] = []
    for node in nodes(root):
        name = node.get("function_name")
        if not isinstance(name, str) or node.get("schema") not in ("", "main", None):
            continue
        arguments: list[tuple[str, str | None]] = []
        for argument in node.get("arguments", ()):
            value = argument.get("expression", {})
            named: str | None = None
            if value.get("type") == "COLUMN_REF" and len(value["column_names"]) == 1:
                named = str(value["column_names"][0])
            elif value.get("type") == "VALUE_CONSTANT" and value["literal"].get("kind") == "STRING":
                named = str(value["literal"]["text"])
            arguments.append((str(argument.get("name") or ""), named))
        found.append((name.lower(), arguments))
    return found


def _calls_in(tree: exp.Expression) -> list[Call]:
    """Return the same of sqlglot's tree."""
    found: list[Call] = []
    for node in tree.find_all(exp.Anonymous):
        arguments: list[tuple[str, str | None]] = []
        for argument in node.expressions:
            named = argument.this.name if isinstance(argument, exp.PropertyEQ) else ""
            value = argument.expression if named else argument
            is_name = isinstance(value, exp.Column) or (isinstance(value, exp.Literal) and value.is_string)
            arguments.append((named, value.name if is_name else None))
        found.append((node.name.lower(), arguments))
    return found


def _names(root: Any) -> tuple[tuple[str, ...], frozenset[str]]:
    tables: dict[str, None] = {}
    ctes: set[str] = set()
    for node in nodes(root):
        # "type" is a word for most nodes, an object for some.
        is_table = node.get("type") in ("BASE_TABLE", "SHOW_REF") and node.get("table_name")
        if is_table and not node.get("catalog_name") and node.get("schema_name") in ("", "main", None):
            tables[node["table_name"]] = None
        if isinstance(node.get("cte_map"), dict):
            ctes.update(str(entry["key"]).lower() for entry in node["cte_map"].get("map", ()))
        if node.get("type") == "RECURSIVE_CTE_NODE":
            ctes.add(str(node.get("cte_name", "")).lower())
    return tuple(tables), frozenset(ctes)
