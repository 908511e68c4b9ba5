"""Questions of people you do not trust: each answered by a process of its own, from the rows that a policy shows."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import ConfigurationError, CytolakeError, LimitError, NotFoundError, QueryError
from ...wording import did_you_mean
from ..expansion import relations_of
from ..library import closure, library
from ..query import Catalog
from ..result import conformed, told
from . import frames, incoming
from .answer import Answer, Decision, Record
from .feed import Fed, Shape, check_rows, feed, shape, unrevealing
from .policy import Policy
from .process import Child

if TYPE_CHECKING:
    from ...store.root import LakeRoot

#: Characters that a question may have.
_LONGEST = 1_000_000
#: How often a process may ask for rows: when it has read the question, and once more with all columns.
_REQUESTS = 2
_WORD = re.compile(r"\w+")
#: A type with its values.
_ENUM = re.compile(r"ENUM\((?:'(?:[^']|'')*'(?:, )?)*\)")
#: What the answer of a broken process may raise when it is read.
_BROKEN = (
    pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    MemoryError, struct.error,
)  # fmt: skip


class Sandbox:
    """Answers questions within a policy.

    Who asks sees the policy's tables with its columns and its rows, and can find out of nothing else that it is there.
    It may be used from many threads at once: nothing is kept between two questions.

    Parameters
    ----------
    on_question
        Called with the :class:`.answer.Record` of every question, also of those that are refused or stopped, before
        the answer is returned.

    Raises
    ------
    InvalidDataError
        The policy names what the lake does not have.
    NotFoundError
        The policy is about a release that there is not.
    """

    def __init__(self, root: LakeRoot, policy: Policy, *, on_question: Callable[[Record], None] | None = None) -> None:
        self.root = root
        self.policy = policy
        self.on_question = on_question
        for rule in policy.tables:
            shape(self._catalog, policy, rule)
            check_rows(self._catalog, policy, rule)

    @property
    def _catalog(self) -> Catalog:
        return Catalog(self.root)

    def tables(self) -> list[dict[str, Any]]:
        """List what can be asked: ``name``, and how many ``columns``."""
        with unrevealing():
            return [
                {"name": rule.name, "columns": len(shape(self._catalog, self.policy, rule).schema)}
                for rule in self.policy.tables
            ]

    def columns(self, table: str | None = None) -> list[dict[str, Any]]:
        """List the columns that can be asked, of one table or of all: ``table``, ``column``, ``type`` (SQL).

        Raises
        ------
        NotFoundError
            There is no such table, as far as the policy shows.
        """
        names = [rule.name for rule in self.policy.tables]
        if table is not None and table.lower() not in {name.lower() for name in names}:
            raise NotFoundError(f"there is no table {table!r}{did_you_mean(table, names)}")
        found = []
        for rule in self.policy.tables:
            if table is None or rule.name.lower() == table.lower():
                with unrevealing():
                    result = self._catalog.table(rule.name, as_of=self.policy.as_of)
                    types = dict(zip(result.columns, result.types, strict=True))
                    shown = rule.chosen(result.columns)
                found += [
                    {"table": rule.name, "column": column, "type": _ENUM.sub("VARCHAR", types[column])}
                    for column in shown
                ]
        return found

    def sql(self, query: str, *, who: str | None = None) -> Answer:
        """Ask one question in DuckDB's SQL.

        Parameters
        ----------
        who
            Who asks, for the record.

        Returns
        -------
        Answer
            All rows, with what the question cost.

        Raises
        ------
        QueryError
            Syntax error, unknown table or column, or something that questions may not do.
        LimitError
            The question costs more than the policy grants.
        StorageError
            The lake cannot be read.
        """
        started = time.monotonic()
        record = Record(
            who=who,
            query=query,
            policy=self.policy.name,
            policy_hash=self.policy.hash,
            as_of=self.policy.as_of,
            started_at=datetime.now(UTC),
            decision="answered",
        )
        asked = _Asked(self, query, started + self.policy.limits.seconds)
        try:
            limits = self.policy.limits
            asked.check()
            with _spool(limits.input_mb) as (writable, readable), Child(limits, readable, asked.deadline) as child:
                asked.child = child
                table, types = asked.answer(child, writable)
        except CytolakeError as error:
            decision: Decision = "stopped" if isinstance(error, LimitError) else "refused"
            self._tell(
                replace(
                    asked.noted(record, started),
                    decision=decision if isinstance(error, QueryError) else "failed",
                    reason=error.message,
                    limit=error.limit if isinstance(error, LimitError) else None,
                )
            )
            raise
        record = replace(
            asked.noted(record, started),
            decision="truncated" if asked.cut_by else "answered",
            limit=asked.cut_by,
            rows=table.num_rows,
            bytes=table.nbytes,
        )
        self._tell(record)
        return Answer(query, table, types, record)

    def _tell(self, record: Record) -> None:
        if self.on_question is not None:
            self.on_question(record)


@dataclass(slots=True)
class _Asked:
    """One question on its way."""

    sandbox: Sandbox
    query: str
    deadline: float
    child: Child | None = None
    fed: Fed | None = None
    #: The limit that cut the answer.
    cut_by: str | None = None

    def noted(self, record: Record, started: float) -> Record:
        fed = self.fed or Fed()
        return replace(
            record,
            uses=tuple(fed.uses),
            scans=fed.scans,
            seconds=time.monotonic() - started,
            peak_memory_mb=self.child.peak_memory_mb if self.child else None,
        )

    def check(self) -> None:
        """Refuse what need not be read."""
        if len(self.query) > _LONGEST:
            raise QueryError(f"the question has {len(self.query):,} characters", hint=f"ask with {_LONGEST:,} at most")
        if not _is_text(self.query):
            raise QueryError("the question has characters that are none", hint="write it in UTF-8")

    def answer(self, child: Child, writable: int) -> tuple[pa.Table, list[str]]:
        """Return the rows and their SQL types."""
        policy, catalog = self.sandbox.policy, self.sandbox._catalog
        names = _mentioned(self.query, [rule.name for rule in policy.tables])
        with unrevealing():
            shapes = {rule.name: shape(catalog, policy, rule) for rule in policy.tables if rule.name in names}
        child.send(frames.SETUP, self._setup(shapes))
        for _ in range(_REQUESTS):
            kind, payload = _some(child.receive())
            if kind == frames.HEAD:
                break
            needs = _read_needs(payload, shapes)
            self.fed = feed(catalog, policy, shapes, needs, writable, self.deadline, child.stopped)
            child.send(frames.ROWS, self.fed.places)
        else:
            kind, payload = _some(child.receive())
        if kind != frames.HEAD:
            raise _unclear()
        columns, types = _read_head(payload)
        return self._rows(child, columns, types), types

    def _setup(self, shapes: dict[str, Shape]) -> dict[str, Any]:
        limits = self.sandbox.policy.limits
        return {
            "path": [os.path.abspath(place) for place in sys.path if place],  # noqa: PTH100 - not resolved
            "package": __name__.partition(".")[0],
            "query": self.query,
            "visible": [rule.name for rule in self.sandbox.policy.tables],
            "relations": {
                name: base64.b64encode(one.schema.serialize()).decode("ascii") for name, one in shapes.items()
            },
            "seconds": max(self.deadline - time.monotonic(), 0.001),
            "limits": {name: getattr(limits, name) for name in ("cpu_seconds", "memory_mb", "threads", "input_mb")},
        }

    def _rows(self, child: Child, names: list[str], types: list[str]) -> pa.Table:
        limits = self.sandbox.policy.limits
        taken: list[bytes] = []
        rows = size = 0
        while True:
            found = child.receive(limits.bytes - size + frames.COUNT.size)
            if found is None:
                self._cut(child, "bytes")
                break
            kind, payload = found
            if kind == frames.END:
                break
            if kind != frames.BATCH or len(payload) < frames.COUNT.size:
                raise _unclear()
            rows += frames.COUNT.unpack_from(payload)[0]
            taken.append(payload[frames.COUNT.size :])
            size += len(payload)
            if rows > limits.rows:
                self._cut(child, "rows")
                break
        if self.cut_by is not None and not taken:
            raise child.stopped(self.cut_by)  # there is not even a beginning
        table = self._table(child, b"".join(taken), names, types)
        if table.num_rows > limits.rows and self.cut_by is None:
            self._cut(child, "rows")
        return table.slice(0, limits.rows)

    def _table(self, child: Child, stream: bytes, names: list[str], types: list[str]) -> pa.Table:
        """Return the rows that a process sent, checked: it may have been broken by what it was asked."""
        kept: list[pa.RecordBatch] = []
        size = 0
        try:
            schema, batches = incoming.batches(stream)
            schema = told(schema, names, types)
            for batch in batches:
                size += sum(incoming.weight(column) for column in batch.columns)
                if size > self.sandbox.policy.limits.bytes:
                    self._cut(child, "bytes")
                    break
                kept.append(conformed(batch, schema))
            return pa.Table.from_batches(kept, schema=schema)
        except CytolakeError:
            raise
        except _BROKEN as error:
            raise _unclear() from error

    def _cut(self, child: Child, limit: str) -> None:
        if self.sandbox.policy.limits.too_large != "truncate":
            raise child.stopped(limit)
        self.cut_by = limit


def _read_head(payload: bytes) -> tuple[list[str], list[str]]:
    """Return the names and SQL types of an answer."""
    try:
        head = json.loads(payload)
        names, types = [str(name) for name in head["names"]], [str(kind) for kind in head["types"]]
    except _BROKEN as error:
        raise _unclear() from error
    if len(names) != len(types) or not all(map(_is_text, (*names, *types))):
        raise _unclear()
    return names, types


def _is_text(text: str) -> bool:
    """Whether a text can be written: half a character cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _read_needs(payload: bytes, shapes: dict[str, Shape]) -> dict[str, Any]:
    """Return what a process asks for, if it has the right form; what it says in it is looked at where it is used."""
    try:
        needs: dict[str, Any] = json.loads(payload)
        right = isinstance(needs, dict) and all(
            name in shapes
            and isinstance(need["columns"], list)
            and all(
                isinstance(hint["values"], list | None)
                and all(isinstance(pair, list) and len(pair) == 2 for pair in hint["ranges"])
                and all(isinstance(operator, str) for operator, _ in hint["ranges"])
                and all(_is_text(value) for value in _texts(hint))
                for hint in need["hints"].values()
            )
            for name, need in needs.items()
        )
    except _BROKEN as error:
        raise _unclear() from error
    if not right:
        raise _unclear()
    return needs


def _texts(hint: dict[str, Any]) -> list[str]:
    values = [*(hint["values"] or ()), *(value for _, value in hint["ranges"])]
    return [value for value in values if isinstance(value, str)]


def _some(frame: tuple[bytes, bytes] | None) -> tuple[bytes, bytes]:
    if frame is None:
        raise _unclear()
    return frame


def _unclear() -> QueryError:
    return QueryError("the engine's answer cannot be read", hint="ask in smaller steps; nothing was changed")


def _mentioned(query: str, names: list[str]) -> set[str]:
    """Return which relations a question may read; its text is searched, not parsed.

    One that is named in a way that this does not see does not exist for the question.
    """
    lowered = query.lower()
    known = library()
    words = set(_WORD.findall(lowered))
    behind = {name.lower() for one in closure(sorted(words & known.keys())) for name in relations_of(one)}
    return {name for name in names if name.lower() in lowered or name.lower() in behind}


@contextmanager
def _spool(most_mb: float) -> Iterator[tuple[int, int]]:
    """Give a file that has no name any more, once to be written and once to be read.

    It has its full size at once, and takes no room before something is written to it.
    """
    try:
        writable, path = tempfile.mkstemp(prefix="cytolake-question-")
    except OSError as error:
        raise _no_room(error) from error
    try:
        os.ftruncate(writable, math.ceil(most_mb) * 2**20)
        readable = os.open(path, os.O_RDONLY)
    except OSError as error:
        os.close(writable)
        raise _no_room(error) from error
    finally:
        Path(path).unlink()
    try:
        yield writable, readable
    finally:
        os.close(writable)
        os.close(readable)


def _no_room(error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"there is no place for a question's rows: {error.strerror or error}",
        hint="make room for temporary files, or let TMPDIR name another folder",
    )
