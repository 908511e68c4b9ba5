"""Syntax trees: sqlglot's of a text, in one form; the nodes of DuckDB's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import sqlglot
from sqlglot import exp


def parsed(text: str) -> exp.Expression | None:
    """Return the tree of the one statement in a text; None where sqlglot cannot read it, or reads none or several."""
    # sqlglot logs a warning where it falls back to an unparsed command; the fallback is all we need to know.
    logger = logging.getLogger("sqlglot")
    disabled, logger.disabled = logger.disabled, True
    try:
        trees: list[exp.Expression] = [tree for tree in sqlglot.parse(text, dialect="duckdb") if tree is not None]
    except (sqlglot.errors.SqlglotError, RecursionError):
        return None
    finally:
        logger.disabled = disabled
    if len(trees) != 1 or isinstance(trees[0], exp.Command):
        return None
    for select in list(trees[0].find_all(exp.Select)):
        _lift_joins(select)
    return trees[0]


def nodes(root: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of DuckDB's syntax tree, what ``json_serialize_sql`` gives, in the order of the text."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(reversed(node.values()))
        elif isinstance(node, list):
            waiting.extend(reversed(node))


def _lift_joins(select: exp.Select) -> None:
    """Give the joins of ``FROM a JOIN b`` to the SELECT, as those of ``SELECT * FROM a JOIN b`` are."""
    clause = select.args.get("from_")
    if clause is None or not isinstance(clause.this, exp.Table | exp.Subquery):
        return
    joins = clause.this.args.get("joins")
    if joins:
        clause.this.set("joins", None)
        select.set("joins", [*joins, *(select.args.get("joins") or [])])
