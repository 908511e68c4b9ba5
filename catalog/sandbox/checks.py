"""What a question of a stranger may name; read in the process that answers it.

What a question may *see* is decided before: there is nothing else in its process. These checks keep it from the parts
of the engine that read files and settings, run texts, wait, or take addresses in memory.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

import duckdb

from ...errors import QueryError
from ...wording import nearest
from ..library import library
from ..syntax import nodes

#: DuckDB's table functions that make rows from their arguments. All others are refused.
TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"})
#: Scalar functions that tell of the process or the session, wait, write, or make values out of raw memory.
REFUSED = frozenset(
    {
        "cast_to_type", "combine", "combine_aggr", "create_sort_key", "current_catalog", "current_connection_id",
        "current_database", "current_query", "current_query_id", "current_role", "current_schema", "current_schemas",
        "current_setting", "current_transaction_id", "current_user", "currval", "finalize", "format_pg_type",
        "format_type", "get_block_size", "getenv",
        "getvariable", "in_search_path", "inet_client_addr", "inet_client_port", "inet_server_addr",
        "inet_server_port", "invoke", "json_deserialize_sql", "json_execute_serialized_sql", "json_serialize_plan",
        "json_serialize_sql", "nextval", "parse_duckdb_log_message", "session_user", "setseed", "setval",
        "sleep_ms", "to_aggregate_state", "txid_current", "user", "version", "write_log",
    }
)  # fmt: skip
#: How names start of functions that the engine calls itself, and trusts, and of those that show its catalog.
_REFUSED_STARTS = ("__internal", "pg_")
_ALLOWED = frozenset({"pg_size_pretty", "pg_typeof"})
_REFUSED_TYPES = frozenset({"aggregate_state", "pointer", "validity"})
_FUNCTION_HINT = "functions of numbers, texts, times and lists, and `cytolake catalog macros`, can be used"


def parsed(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    """Return DuckDB's syntax tree of a question; None where it is none that DuckDB can show."""
    found = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    return None if found["error"] else found


def check_functions(tree: Any) -> None:
    """Refuse functions and types that reach out of the visible rows.

    Raises
    ------
    QueryError
        The question uses one of them.
    """
    own = library()
    for node in nodes(tree):
        name = str(node.get("function_name") or "").lower()
        if node.get("type") == "TABLE_FUNCTION":
            called = str(node["function"].get("function_name") or "").lower()
            if called not in TABLE_FUNCTIONS and (called not in own or _is_qualified(node["function"])):
                raise _refused(called)
        elif name in REFUSED or (name.startswith(_REFUSED_STARTS) and name not in _ALLOWED):
            raise _refused(name)
        elif node.get("export_state"):
            raise QueryError("EXPORT_STATE is not available here", hint=_FUNCTION_HINT)
        elif node.get("type") == "TYPE" and str(node.get("type_name", "")).lower() in _REFUSED_TYPES:
            raise QueryError(f"the type {node['type_name']} is not available here", hint=_FUNCTION_HINT)


def check_tables(tree: Any, given: Iterable[str], *, ctes: Collection[str], visible: Collection[str]) -> None:
    """Refuse every relation that is not visible as one that does not exist.

    Parameters
    ----------
    given
        Relations that the question names in any way.
    ctes
        Names, in lower case, that the question defines itself.
    visible
        The relations that may be seen.

    Raises
    ------
    QueryError
        The question names another one.
    """
    views = {one.name for one in library().values() if one.kind == "view"}
    known = {name.lower() for name in visible} | set(ctes) | views
    for node in nodes(tree):
        if node.get("type") not in ("BASE_TABLE", "SHOW_REF") or not node.get("table_name"):
            continue
        path = [part for part in (node.get("catalog_name"), node.get("schema_name"), node["table_name"]) if part]
        if len(path) > 1 or path[0].lower() not in known:
            raise no_table(".".join(path), visible)
    for name in given:
        if name.lower() not in known:
            raise no_table(name, visible)


def no_table(name: str, visible: Collection[str]) -> QueryError:
    """Return the error of a table that there is not, as far as whoever asks may know."""
    guess = nearest(name, visible)
    hint = f"did you mean {guess!r}?" if guess else f"there are {', '.join(sorted(visible))}"
    return QueryError(f"there is no table {name!r}", hint=hint)


def _refused(name: str) -> QueryError:
    return QueryError(f"{name}() is not available here", hint=_FUNCTION_HINT)


def _is_qualified(function: dict[str, Any]) -> bool:
    return bool(function.get("schema") or function.get("catalog"))
