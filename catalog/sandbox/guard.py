"""Questions of people you do not trust: each answered by a process of its own, from the rows that a policy shows."""

from __future__ import annotations

import base64
import json
import math
import os
import re
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

from ...errors import CytolakeError, LimitError, NotFoundError, QueryError
from ...wording import did_you_mean
from ..expansion import relations_of
from ..library import closure, library
from ..query import Catalog
from ..result import conformed, told
from . import frames
from .answer import Answer, Decision, Record
from .feed import Fed, Shape, feed, shape, unrevealing
from .policy import Policy
from .process import Child

if TYPE_CHECKING:
    from ...store.root import LakeRoot

#: Characters that a question may have.
_LONGEST = 1_000_000
#: How often a process may ask for rows: when it has read the question, and once more with all columns.
_REQUESTS = 2
_WORD = re.compile(r"\w+")


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

    @property
    def _catalog(self) -> Catalog:
        return Catalog(self.root)

    def tables(self) -> list[dict[str, Any]]:
        """List what can be asked: ``name``, and how many ``columns``."""
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
                result = self._catalog.table(rule.name, as_of=self.policy.as_of)
                types = dict(zip(result.columns, result.types, strict=True))
                found += [
                    {"table": rule.name, "column": column, "type": "VARCHAR" if kind.startswith("ENUM") else kind}
                    for column in rule.chosen(result.columns)
                    for kind in (types[column],)
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

    def answer(self, child: Child, writable: int) -> tuple[pa.Table, list[str]]:
        """Return the rows and their SQL types."""
        if len(self.query) > _LONGEST:
            raise QueryError(f"the question has {len(self.query):,} characters", hint=f"ask with {_LONGEST:,} at most")
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
        head = json.loads(payload)
        return self._rows(child, head), [str(kind) for kind in head["types"]]

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

    def _rows(self, child: Child, head: dict[str, Any]) -> pa.Table:
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
            if kind != frames.BATCH:
                raise _unclear()
            rows += frames.COUNT.unpack_from(payload)[0]
            taken.append(payload[frames.COUNT.size :])
            size += len(taken[-1])
            if rows > limits.rows:
                self._cut(child, "rows")
                break
        table = _table(b"".join(taken), head)
        if table.num_rows > limits.rows and self.cut_by is None:
            self._cut(child, "rows")
        return table.slice(0, limits.rows)

    def _cut(self, child: Child, limit: str) -> None:
        if self.sandbox.policy.limits.too_large != "truncate":
            raise child.stopped(limit)
        self.cut_by = limit


def _table(stream: bytes, head: dict[str, Any]) -> pa.Table:
    """Return the rows that a process sent, checked: it may have been broken by what it was asked."""
    names, types = [str(name) for name in head["names"]], [str(kind) for kind in head["types"]]
    try:
        with pa.ipc.open_stream(stream) as reader:
            schema = told(reader.schema, names, types)
            batches = [_validated(batch) for batch in reader]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unclear() from error
    return pa.Table.from_batches([conformed(batch, schema) for batch in batches], schema=schema)


def _validated(batch: pa.RecordBatch) -> pa.RecordBatch:
    batch.validate(full=True)
    return batch


def _read_needs(payload: bytes, shapes: dict[str, Shape]) -> dict[str, Any]:
    """Return what a process asks for, if it has the right form; what it says in it is looked at where it is used."""
    try:
        needs: dict[str, Any] = json.loads(payload)
        right = isinstance(needs, dict) and all(
            name in shapes
            and isinstance(need["columns"], list)
            and all(
                isinstance(hint["values"], list | None) and all(len(pair) == 2 for pair in hint["ranges"])
                for hint in need["hints"].values()
            )
            for name, need in needs.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unclear() from error
    if not right:
        raise _unclear()
    return needs


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
    writable, path = tempfile.mkstemp(prefix="cytolake-question-")
    try:
        os.ftruncate(writable, math.ceil(most_mb) * 2**20)
        readable = os.open(path, os.O_RDONLY)
    except OSError:
        os.close(writable)
        raise
    finally:
        Path(path).unlink()
    try:
        yield writable, readable
    finally:
        os.close(writable)
        os.close(readable)
