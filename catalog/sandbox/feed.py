"""The rows that a question may see, and no others: read by the trusted engine, laid down in a file for its process.

The policy's condition and columns are applied here, before the process that answers gets anything: no text of who asks
is evaluated on a row that they may not see. What the question itself says of columns (``hints``) only leaves out
visible rows that cannot matter; it arrives as values, never as text.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted, conditions are those of the steward

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa

from ...errors import CytolakeError, InvalidDataError, LimitError, QueryError, StorageError
from ..binding import quoted, text
from ..messages import FileIsGoneError
from ..selection import check_condition
from .answer import TableUse

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..query import Catalog
    from ..result import Result, TableScan
    from .policy import Policy, TableRule

T = TypeVar("T")
_OPERATORS = {"<", "<=", ">", ">="}
_MOST_HINTS = 10_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What may be seen of one relation: its columns, and those whose values hints may name."""

    schema: pa.Schema
    hinted: Mapping[str, type]


@dataclass(slots=True)
class Fed:
    """What was laid down in the file: where, and what of it to remember."""

    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    uses: list[TableUse] = field(default_factory=list)
    scans: tuple[TableScan, ...] = ()


def shape(catalog: Catalog, policy: Policy, rule: TableRule) -> Shape:
    """Return what a rule shows of its relation as the lake is.

    Raises
    ------
    InvalidDataError
        The lake has no such relation or column, or the condition is none.
    """
    result = _checked(rule, lambda: catalog.sql(_select(rule, "*"), as_of=policy.as_of))
    present = dict(zip(result.columns, result.types, strict=True))
    schema = _checked(rule, result.schema)
    names = rule.chosen(list(present))
    chosen = pa.schema([pa.field(name, decoded(schema.field(name).type)) for name in names])
    hinted = {
        name: str if present[name] == "VARCHAR" else int
        for name, one in zip(names, chosen, strict=True)
        if present[name] == "VARCHAR" or pa.types.is_integer(one.type)
    }
    return Shape(chosen, hinted)


def check_rows(catalog: Catalog, policy: Policy, rule: TableRule) -> None:
    """Make sure that a rule's condition says yes or no of each row: a number, or a text, would be taken for yes.

    Raises
    ------
    InvalidDataError
        It is something else.
    """
    if rule.rows is None:
        return
    query = f"SELECT (\n{rule.rows}\n) AS is_seen FROM {quoted(rule.name)} LIMIT 0"
    kinds = _checked(rule, lambda: catalog.sql(query, as_of=policy.as_of).types)
    for kind in set(kinds) - {"BOOLEAN"}:
        raise InvalidDataError(
            f"table {rule.name!r} of the policy: rows = {rule.rows!r} is a {kind} and no condition",
            hint="compare it with something, such as study_id = 'boston'",
        )


def decoded(kind: Any) -> pa.DataType:
    """Return a type without dictionaries: these would hold the values of rows that are not seen."""
    plain: pa.DataType = kind
    if pa.types.is_dictionary(kind):
        plain = decoded(kind.value_type)
    elif pa.types.is_struct(kind):
        fields: list[pa.Field[Any]] = [pa.field(one.name, decoded(one.type)) for one in kind.fields]
        plain = pa.struct(fields)
    elif pa.types.is_map(kind):
        plain = pa.map_(decoded(kind.key_type), decoded(kind.item_type))
    elif pa.types.is_large_list(kind):
        plain = pa.large_list(decoded(kind.value_type))
    elif pa.types.is_fixed_size_list(kind):
        plain = pa.list_(decoded(kind.value_type), kind.list_size)
    elif pa.types.is_list(kind):
        plain = pa.list_(decoded(kind.value_type))
    return plain


def feed(
    catalog: Catalog,
    policy: Policy,
    shapes: Mapping[str, Shape],
    needs: Mapping[str, Any],
    spool: int,
    deadline: float,
    stopped: Callable[[str], LimitError],
) -> Fed:
    """Lay down the rows that a question needs.

    Parameters
    ----------
    needs
        Relation → ``columns`` and ``hints``, as the process that answers asks for them; nothing of it is believed.
    spool
        A file that is open for writing.
    stopped
        Makes the error of a limit.

    Raises
    ------
    LimitError
        There are more bytes, or it takes longer, than the policy grants.
    StorageError
        The lake cannot be read.
    """
    rules = {rule.name: rule for rule in policy.tables}
    selects = {}
    for name, need in needs.items():
        columns = [column for column in shapes[name].schema.names if column in need["columns"]]
        if not columns:
            raise QueryError("the engine asks for rows that there are not", hint="ask in smaller steps")
        shown = ", ".join(quoted(column) for column in columns)
        selects[name] = _select(rules[name], shown, _conditions(need["hints"], shapes[name]))
    with unrevealing():
        try:
            return _fed(catalog, policy, shapes, selects, spool, deadline, stopped)
        except FileIsGoneError:
            # A table was rewritten under the question: once more, of the lake as it is now.
            return _fed(catalog, policy, shapes, selects, spool, deadline, stopped)


@contextmanager
def unrevealing() -> Iterator[None]:
    """Say of errors of the trusted engine nothing but that there was one.

    They may name what is not seen: values of rows, tables, paths of files. Whoever looks after the lake finds it as
    the cause.

    Raises
    ------
    StorageError
        Instead of every error but those of limits.
    """
    try:
        yield
    except LimitError:
        raise
    except (CytolakeError, duckdb.Error, pa.ArrowException) as error:
        raise StorageError(
            "the rows that the policy shows cannot be read",
            hint="this is not about the question; tell whoever looks after the lake",
        ) from error
    except OSError as error:
        raise StorageError(
            f"the rows for the question cannot be written to {tempfile.gettempdir()}: {error.strerror or error}",
            hint="make room there, or let TMPDIR name another folder",
        ) from error


def _fed(
    catalog: Catalog,
    policy: Policy,
    shapes: Mapping[str, Shape],
    selects: Mapping[str, str],
    spool: int,
    deadline: float,
    stopped: Callable[[str], LimitError],
) -> Fed:
    fed = Fed()
    os.lseek(spool, 0, os.SEEK_SET)
    if not selects:
        return fed
    # One question over all relations, so that they are of one moment; each is read on its own.
    every = catalog.sql(_together(list(selects.values())), as_of=policy.as_of)
    with os.fdopen(os.dup(spool), "wb") as file:
        for name, select in selects.items():
            start = file.tell()
            rows = 0
            result = every.again(select)
            names = result.columns
            schema = pa.schema([shapes[name].schema.field(column) for column in names])
            with pa.ipc.new_stream(file, schema) as writer:
                for batch in _batches(result):
                    # Not a cast of the whole: a batch has its own dictionary, which may be larger than its rows.
                    writer.write_batch(_conformed(batch, schema))
                    rows += batch.num_rows
                    if file.tell() > policy.limits.input_mb * 2**20:
                        raise stopped("input_mb")
                    if time.monotonic() > deadline:
                        raise stopped("seconds")
            fed.places[name] = (start, file.tell() - start)
            fed.uses.append(TableUse(relation=name, columns=tuple(names), rows=rows, bytes=file.tell() - start))
            file.write(b"\0" * (-file.tell() % 64))
    fed.scans = every.scans
    return fed


def _batches(result: Result) -> Iterator[pa.RecordBatch]:
    _, batches = result.batches()
    yield from batches


def _conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == one.type else column.cast(one.type)
        for column, one in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _select(rule: TableRule, columns: str, hints: Sequence[str] = ()) -> str:
    conditions = [*([f"(\n{rule.rows}\n)"] if rule.rows is not None else []), *hints]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {columns} FROM {quoted(rule.name)}{where}"


def _together(selects: Sequence[str]) -> str:
    return "SELECT count(*) FROM " + ", ".join(f"({select}) AS s{number}" for number, select in enumerate(selects))


def _conditions(hints: Mapping[str, Any], shape: Shape) -> list[str]:
    """Return conditions on visible columns; whatever is not a plain comparison with plain values is left out."""
    by_name = {name.lower(): name for name in shape.hinted}
    found = []
    for lowered, hint in hints.items():
        name = by_name.get(lowered)
        if name is None:
            continue
        kind = shape.hinted[name]
        values = hint["values"]
        if values is not None and len(values) <= _MOST_HINTS and all(type(value) is kind for value in values):
            written = ", ".join(_literal(value) for value in values)
            found.append(f"{quoted(name)} IN ({written})" if values else "false")
        for operator, value in hint["ranges"]:
            if operator in _OPERATORS and type(value) is kind:
                found.append(f"{quoted(name)} {operator} {_literal(value)}")
    return found


def _literal(value: object) -> str:
    return text(value) if isinstance(value, str) else str(value)


def _checked(rule: TableRule, work: Callable[[], T]) -> T:
    try:
        if rule.rows is not None:
            check_condition(rule.rows)
        return work()
    except QueryError as error:
        raise InvalidDataError(f"table {rule.name!r} of the policy: {error.message}", hint=error.hint) from error
