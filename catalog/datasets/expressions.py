"""Expressions and questions of a spec: one thing each, the same at every run, and which columns they name."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import duckdb

from ...errors import InvalidDataError
from ...wording import listed
from ..syntax import nodes

# ruff: noqa: S608 - what is only parsed cannot be injected

#: What gives another value at another run, and is written without parentheses.
_MOMENTS = frozenset({"current_date", "current_timestamp", "current_time", "localtime", "localtimestamp"})
_HARMLESS = frozenset({"error", "vector_type"})
_PARTS = ("group_expressions", "group_sets", "having", "qualify", "sample", "modifiers", "where_clause")


@cache
def columns_of(expression: str, where: str) -> frozenset[str]:
    """Return the columns, in lower case, that an expression names.

    Raises
    ------
    InvalidDataError
        It is no expression of one row, or gives another value at another run. ``where`` says whose it is.
    """
    hint = "write one expression of the columns of a row, such as compound = 'DMSO'"
    # Asked between parentheses, and must be whole without them, too: `a) OR (b` would go around what is beside.
    for query in (f"SELECT\n{expression}\nFROM t", f"SELECT (\n{expression}\n) FROM t"):
        found = _parsed(query)
        if found["error"]:
            raise InvalidDataError(f"{where}: {expression!r} is no expression: {found['error_message']}", hint=hint)
    statements = found["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    alone = node.get("type") == "SELECT_NODE" and len(node["select_list"]) == 1
    if not alone or any(node.get(part) for part in _PARTS):
        raise InvalidDataError(f"{where}: {expression!r} is more than an expression", hint=hint)
    names: set[str] = set()
    for one in nodes(node["select_list"]):
        kind = one.get("class")
        if kind in {"SUBQUERY", "WINDOW", "STAR"}:
            raise InvalidDataError(f"{where}: {expression!r} is not of one row ({kind.lower()})", hint=hint)
        if kind == "COLUMN_REF":
            names.update(str(name).lower() for name in one["column_names"])
    _check_steady(node["select_list"], expression, where)
    return frozenset(names - _MOMENTS)


def check_question(query: str, where: str) -> None:
    """Make sure that a question gives the same rows at every run.

    Raises
    ------
    InvalidDataError
        It has a syntax error, or calls what gives another value at another run.
    """
    found = _parsed(query)
    if found["error"]:
        raise InvalidDataError(f"{where}: this is no question: {found['error_message']}", hint="write one SELECT")
    selects = [one["node"] for one in found["statements"]]
    if len(selects) != 1:
        raise InvalidDataError(
            f"{where}: one question is needed, this text has {len(selects)}", hint="write one SELECT"
        )
    if any(one.get("sample") for one in nodes(selects)):
        raise InvalidDataError(f"{where}: a random sample is another one at every run", hint="choose by a condition")
    _check_steady(selects, query, where)


def _check_steady(tree: Any, text: str, where: str) -> None:
    called: set[str] = set()
    for one in nodes(tree):
        if one.get("class") == "FUNCTION":
            called.add(str(one.get("function_name", "")).lower())
        elif one.get("class") == "COLUMN_REF":
            called.update(name for name in map(str.lower, one["column_names"]) if name in _MOMENTS)
    bad = sorted(called & (_unsteady() | _MOMENTS))
    if bad:
        raise InvalidDataError(
            f"{where}: {listed(bad, 3)} gives another value at every run: {text!r}",
            hint="a data set must come out the same again; write the value itself",
        )


@cache
def _unsteady() -> frozenset[str]:
    query = (
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    )
    rows = _engine().cursor().execute(query).fetchall()
    return frozenset(name for (name,) in rows) - _HARMLESS


def _parsed(query: str) -> Any:
    rows = _engine().cursor().execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    return json.loads(rows[0][0])


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """Return a connection that reads nothing but text."""
    return duckdb.connect(":memory:", config={"enable_external_access": "false"})
