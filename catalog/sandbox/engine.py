"""Inside the process that answers: read the question, say which rows it needs, ask DuckDB about just these.

Everything that is done with a stranger's text is done here, after the process has given up opening files, and with
limits on its memory and its time: the process that started it never parses the text.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import math
import mmap
import os
import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset  # DuckDB asks for it when it reads Arrow, and then no file can be opened any more
import sqlglot.optimizer.annotate_types  # sqlglot asks for these two when it writes some expressions
import sqlglot.optimizer.simplify  # noqa: F401
from sqlglot import exp

from ...errors import LimitError, QueryError
from ..constraints import column_kinds
from ..expansion import relations_of
from ..library import library
from ..messages import cleaned
from ..planner import constraints
from ..statement import Statement, read_statement
from ..syntax import nodes
from . import frames
from .checks import check_functions, check_tables, no_table, parsed

#: Rows of an answer that are handed over at once.
_ROWS_AT_ONCE = 2048
_MIB = 2**20
#: MiB beyond the engine's own limit, which does not count everything.
_SLACK_MB = 64
_OUT_OF_TIME = "maximum execution time"
_OUT_OF_MEMORY = re.compile(r"Out of Memory|failed to allocate|bad_alloc|malloc of size", re.IGNORECASE)
_TOO_DEEP = "Max expression depth"
_NO_TABLE = re.compile(r"Table with name (.+?) does not exist")


def serve(setup: Mapping[str, Any], *, spool: int, source: int, target: int) -> None:
    """Answer one question.

    Parameters
    ----------
    setup
        ``query``, ``relations`` (name → its Arrow schema, serialised, in base 64), ``limits`` and ``seconds`` left.
    spool, source, target
        File descriptors: of the file where the rows will be, of the pipe to hear from, of the pipe to answer to.
    """
    limits = setup["limits"]
    # As large as it may become, before there is anything in it: later the process can open nothing.
    spooled = pa.py_buffer(mmap.mmap(spool, 0, access=mmap.ACCESS_READ))
    schemas = {
        name: pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))) for name, text in setup["relations"].items()
    }
    connection = connect(limits, setup["seconds"])
    _warm_up(connection)
    _limit_itself(limits)
    question = Question(connection, setup["query"], schemas, list(setup["visible"]))
    try:
        needs = question.read()
        question.register(_rows(needs, spooled, source=source, target=target))
        if not question.is_as_read():
            # A column is used in a way that was not seen: all of them are needed.
            needs = question.needs_everything()
            question.register(_rows(needs, spooled, source=source, target=target))
        question.run(target)
    except QueryError as error:
        found = {"message": error.message, "hint": error.hint, "limit": getattr(error, "limit", None)}
        frames.write_frame(target, frames.ERROR, json.dumps(found).encode())
    except MemoryError:
        frames.write_frame(target, frames.ERROR, json.dumps({"limit": "memory_mb"}).encode())
    except RecursionError:
        found = {"message": "the question is nested too deeply", "hint": "ask in smaller steps"}
        frames.write_frame(target, frames.ERROR, json.dumps(found).encode())
    except Exception as error:  # noqa: BLE001 - nothing can be written elsewhere
        found = {"failure": f"{type(error).__name__}: {error}"}
        frames.write_frame(target, frames.ERROR, json.dumps(found).encode())
    # Whoever asked reads how much memory it took, and lets it end; nothing is left to be cleaned up.
    with contextlib.suppress(EOFError):
        frames.read_frame(source)
    os._exit(0)


def connect(limits: Mapping[str, Any], seconds: float) -> duckdb.DuckDBPyConnection:
    """Return a connection that reaches nothing outside, and cannot be told to."""
    connection = duckdb.connect(":memory:")
    for setting in (
        "temp_directory = ''",
        "max_temp_directory_size = '0KB'",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "allow_persistent_secrets = false",
        "secret_directory = ''",
        "extension_directory = ''",
        "home_directory = '/'",
        "TimeZone = 'UTC'",
        f"threads = {int(limits['threads'])}",
        f"memory_limit = '{math.ceil(limits['memory_mb'])}MiB'",
        f"max_execution_time = {math.ceil(seconds * 1000)}",
        "disabled_filesystems = 'LocalFileSystem'",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET GLOBAL {setting}").fetchall()
    return connection


def _warm_up(connection: duckdb.DuckDBPyConnection) -> None:
    """Use once what loads files when it is first used."""
    library()
    connection.register("warm", pa.table({"n": [1, 2], "t": ["a", "b"]}))
    query = "SELECT n, count(*) AS c, max(t) FROM warm WHERE n > 1 AND t < 'c' GROUP BY ALL"
    statement = read_statement(connection, query)
    constraints(statement.tree, {"warm": {"n": int, "t": str}})
    connection.sql(query).to_arrow_reader(_ROWS_AT_ONCE).read_all()
    try:
        connection.sql("SELECT m FROM warm")
    except duckdb.Error as error:
        cleaned(error, query, columns=["n"])
    connection.unregister("warm")


def _limit_itself(limits: Mapping[str, Any]) -> None:
    """Give up opening and writing files, and more memory and time than the policy grants."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = math.ceil(used.ru_utime + used.ru_stime + limits["cpu_seconds"])
    own = math.ceil(limits["memory_mb"] + _SLACK_MB) * _MIB
    # Linux says what the process takes already, and keeps these two limits.
    taken = _taken()
    for kind, most in (
        ("RLIMIT_DATA", taken.get("VmData", 0) + own if taken else None),
        ("RLIMIT_AS", taken.get("VmSize", 0) + own if taken else None),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NOFILE", 0),
    ):
        if most is not None:
            resource.setrlimit(getattr(resource, kind), (most, most))
    # A second more for the harder of the two: the softer one says by its signal what it was.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))


def _taken() -> dict[str, int]:
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    lines = (line.split() for line in text.splitlines())
    return {parts[0].rstrip(":"): int(parts[1]) * 1024 for parts in lines if parts and parts[-1] == "kB"}


def _rows(needs: Mapping[str, Any], spooled: pa.Buffer, *, source: int, target: int) -> dict[str, pa.Table]:
    """Ask for rows, and return them as they lie in the file; nothing is copied."""
    frames.write_frame(target, frames.NEED, json.dumps(needs).encode())
    kind, payload = frames.read_frame(source)
    assert kind == frames.ROWS
    places = json.loads(payload)
    return {
        name: pa.ipc.open_stream(pa.BufferReader(spooled.slice(offset, length))).read_all()
        for name, (offset, length) in places.items()
    }


class Question:
    """One question: read, given its rows, run."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        schemas: Mapping[str, pa.Schema],
        visible: list[str],
    ) -> None:
        self.connection = connection
        self.query = query
        self.schemas = schemas
        self.visible = visible
        self.used: dict[str, pa.Schema] = {}
        self.shape: tuple[list[str], list[str]] = ([], [])
        self.columns = [name for schema in schemas.values() for name in schema.names]

    def read(self) -> dict[str, Any]:
        """Check the question; return for each relation that it uses the ``columns`` and ``hints`` on its rows."""
        try:
            statement = read_statement(self.connection, self.query)
            tree = parsed(self.connection, self.query)
        except duckdb.Error as error:
            raise self._ours(error) from error
        except QueryError as error:
            if isinstance(error.__cause__, duckdb.Error):
                raise self._ours(error.__cause__) from error
            raise
        if tree is None:
            raise QueryError(
                "a PIVOT needs its list of values here", hint="write PIVOT ... ON column IN ('a', 'b') USING ..."
            )
        check_functions(tree)
        check_tables(tree, self._given(statement), ctes=statement.ctes, visible=self.visible)
        used = self._used(statement)
        self.used = used
        self.register({name: schema.empty_table() for name, schema in used.items()})
        self._define(statement)
        self.shape = self._shape()  # what is wrong with names and types is told before any row is read
        kinds = {name.lower(): column_kinds(schema) for name, schema in used.items()}
        found = dict(constraints(statement.tree, kinds)) | {name: {} for name in statement.opaque}
        named = _named_columns(statement, tree)
        needs: dict[str, Any] = {}
        if isinstance(statement.tree, exp.Describe):
            return needs  # names and types are known already
        for name, schema in used.items():
            wanted = schema.names
            if named is not None and name.lower() not in statement.opaque:
                wanted = [column for column in wanted if column.lower() in named] or schema.names[:1]
            hints = {
                column: {
                    "values": None if bound.values is None else sorted(bound.values, key=str),
                    "ranges": sorted(bound.ranges, key=str),
                }
                for column, bound in found.get(name.lower(), {}).items()
            }
            needs[name] = {"columns": wanted, "hints": hints}
        return needs

    def needs_everything(self) -> dict[str, Any]:
        """Return that all columns and rows of all relations are needed."""
        return {name: {"columns": schema.names, "hints": {}} for name, schema in self.used.items()}

    def register(self, tables: Mapping[str, pa.Table]) -> None:
        """Give relations by name, in the places of those that had the names before."""
        for name, table in tables.items():
            self.connection.register(name, table)

    def is_as_read(self) -> bool:
        """Whether the answer still has the names and types that it had when the question was read."""
        try:
            return self._shape() == self.shape
        except QueryError:
            return False

    def run(self, target: int) -> None:
        """Hand over names and types, and then the rows."""
        names, types = self.shape
        frames.write_frame(target, frames.HEAD, json.dumps({"names": names, "types": types}).encode())
        try:
            statement = self.connection.extract_statements(self.query)[0]
            reader = self.connection.sql(statement).to_arrow_reader(_ROWS_AT_ONCE)
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, reader.schema) as writer:
                while (batch := next(reader, None)) is not None:
                    writer.write_batch(batch)
                    _hand_over(target, batch.num_rows, sink)
            _hand_over(target, 0, sink)
        except (duckdb.Error, OSError, pa.ArrowException) as error:  # Arrow reports the engine's errors as OSError
            raise self._ours(error) from error
        frames.write_frame(target, frames.END, b"")

    @staticmethod
    def _given(statement: Statement) -> list[str]:
        """Return the relations that the question names, by itself or as arguments of the library's macros."""
        behind = {name.lower() for one in statement.definitions for name in relations_of(one)}
        return [name for name in statement.tables if name.lower() not in behind]

    def _used(self, statement: Statement) -> dict[str, pa.Schema]:
        """Return what the question reads, by itself or through macros and views of the library.

        A view of the library that the policy shows as such is a relation like the others here.
        """
        names = {name.lower() for name in statement.tables}
        names |= {one.name for one in statement.definitions if one.kind == "view"}
        return {name: schema for name, schema in self.schemas.items() if name.lower() in names}

    def _define(self, statement: Statement) -> None:
        """Make the library's macros and views that are used."""
        own = {name.lower() for name in self.used}
        for one in statement.definitions:
            if one.name not in own:
                try:
                    self.connection.execute(one.statement).fetchall()
                except duckdb.Error as error:
                    raise self._ours(error) from error

    def _shape(self) -> tuple[list[str], list[str]]:
        try:
            shape = self.connection.sql(self.query)
        except duckdb.Error as error:
            raise self._ours(error) from error
        return list(shape.columns), [str(kind) for kind in shape.types]

    def _ours(self, error: BaseException) -> QueryError:
        """Return our error for one of the engine's."""
        text = str(error)
        if isinstance(error, duckdb.InterruptException) or _OUT_OF_TIME in text:
            return LimitError("", limit="seconds")
        if isinstance(error, duckdb.OutOfMemoryException | pa.ArrowMemoryError) or _OUT_OF_MEMORY.search(text):
            return LimitError("", limit="memory_mb")
        if _TOO_DEEP in text:
            return QueryError("the question is nested too deeply", hint="ask in smaller steps")
        if isinstance(error, duckdb.CatalogException) and (missing := _NO_TABLE.search(text)):
            return no_table(missing[1], self.visible)
        found = cleaned(error, self.query, columns=self.columns)
        return found if isinstance(found, QueryError) else QueryError(found.message, hint=found.hint)


def _hand_over(target: int, rows: int, sink: io.BytesIO) -> None:
    frames.write_frame(target, frames.BATCH, frames.COUNT.pack(rows) + sink.getvalue())
    sink.seek(0)
    sink.truncate()


def _named_columns(statement: Statement, parsed_tree: Any) -> set[str] | None:
    """Return the columns, in lower case, that a question may use; None where it may be any.

    Both syntax trees must agree that columns are named one by one: a column that is left out by mistake could change
    the answer. sqlglot's has the library's macros written out; DuckDB's is what runs.
    """
    tree = statement.tree
    if tree is None or statement.may_name(()):
        return None
    if any(alias.columns and isinstance(alias.parent, exp.Table) for alias in tree.find_all(exp.TableAlias)):
        return None  # its names go by position
    names = {name.name.lower() for name in tree.find_all(exp.Identifier)}
    rows: set[str] = set()
    used: set[str] = set()
    for node in nodes(parsed_tree):
        kind = node.get("type")
        if kind in ("STAR", "SHOW_REF", "PIVOT") or node.get("ref_type") in ("NATURAL", "POSITIONAL"):
            return None
        if kind == "BASE_TABLE":
            if node.get("column_name_alias"):
                return None
            rows.add(str(node.get("alias") or node["table_name"]).lower())
        if kind == "COLUMN_REF":
            used |= {str(part).lower() for part in node["column_names"][:1] if len(node["column_names"]) == 1}
            names |= {str(part).lower() for part in node["column_names"]}
        names |= {str(name).lower() for name in node.get("using_columns") or ()}
    return None if used & rows else names
