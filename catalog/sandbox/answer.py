"""What comes out of a guarded question: the rows, and the facts that whoever keeps a record of questions wants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from ...errors import UsageError
from ..result import Result, TableScan

Decision = Literal["answered", "truncated", "refused", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableUse:
    """What of one relation was given to a question: how many visible rows, and which columns."""

    relation: str
    columns: tuple[str, ...]
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One question, as whoever answers for the lake wants to know it; nothing here is for who asked.

    Attributes
    ----------
    who
        As given with the question.
    policy, policy_hash
        Name and SHA-256 of the policy.
    decision
        ``answered``; ``truncated``: answered up to a limit; ``refused``: not asked as the policy allows, or wrong;
        ``stopped`` at a limit; ``failed``: the lake could not be read, or the machine could not do it.
    reason
        The message of the error, None where it was answered.
    limit
        The limit that stopped or cut it.
    uses
        What was read for it.
    scans
        The tables behind, their versions, and how many of their files were opened.
    rows, bytes
        Of the answer as it was given.
    seconds
        From asking to the last row.
    peak_memory_mb
        The most memory that the process had at once, in MiB, with rows of the lake that it looked at; None where the
        system does not say.
    """

    who: str | None
    query: str
    policy: str
    policy_hash: str
    as_of: str | None
    started_at: datetime
    decision: Decision
    reason: str | None = None
    limit: str | None = None
    uses: tuple[TableUse, ...] = ()
    scans: tuple[TableScan, ...] = ()
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    peak_memory_mb: float | None = None


class Answer(Result):
    """The answer to a guarded question: all of it has been computed, and is taken like any :class:`Result`.

    Attributes
    ----------
    record
        The facts of the question. They say more than who asked should know (files of tables with rows that they may
        not see): hand on the rows.
    """

    def __init__(self, query: str, table: pa.Table, types: list[str], record: Record) -> None:
        self.query = query
        self.record = record
        self._table = table
        self._annotated = None
        self._types = types

    @property
    def scans(self) -> tuple[TableScan, ...]:
        """Nothing: see :attr:`record`."""
        return ()

    @property
    def columns(self) -> list[str]:
        """The names of the columns, made unique."""
        return list(self.to_arrow().schema.names)

    @property
    def types(self) -> list[str]:
        """The SQL types of the columns."""
        return list(self._types)

    @property
    def truncated(self) -> bool:
        """Whether there are more rows than a limit of the policy lets through."""
        return self.record.decision == "truncated"

    @property
    def seconds(self) -> float:
        """From asking to the last row."""
        return self.record.seconds

    @property
    def peak_memory_mb(self) -> float | None:
        """The most memory that the process that answered had at once, in MiB."""
        return self.record.peak_memory_mb

    def again(self, query: str) -> Result:
        """Refuse: a further question goes to the sandbox.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError("an answer of a sandbox has no tables behind it", hint="ask the sandbox once more")
