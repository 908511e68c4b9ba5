"""What a run of a verb leaves behind: a record that is committed together with the rows that it made."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import pyarrow as pa

from ...schemas.tables import SCHEMA_VERSION, arrow_schema

#: Rows that a run changes: table -> plate -> names of wells, None for all rows of the plate that the run changes.
PreviousRows = dict[str, dict[str, list[str] | None]]


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of a verb that writes, while it is under way.

    Attributes
    ----------
    run_id
        Unique; sorts by time.
    warnings
        What the user was told, in order.
    """

    run_id: str
    verb: str
    study_id: str | None
    plate_ids: tuple[str, ...]
    parameters: dict[str, Any]
    started_at: datetime
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        verb: str,
        *,
        study_id: str | None = None,
        plate_ids: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> Self:
        """Begin a run now. ``parameters`` are plain JSON values: everything that was asked for."""
        now = datetime.now(UTC)
        return cls(
            run_id=f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:6]}",
            verb=verb,
            study_id=study_id,
            plate_ids=tuple(plate_ids),
            parameters=dict(parameters or {}),
            started_at=now,
        )

    def add_input(
        self,
        kind: str,
        name: str,
        *,
        sha256: str | None = None,
        version: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Note something that was read: an ``export``, a ``file``, a ``table`` with its version, a ``recipe``."""
        self.inputs.append({"kind": kind, "name": name, "sha256": sha256, "version": version, "detail": detail})

    def add_previous(self, run_id: str, rows: PreviousRows) -> None:
        """Note that rows which this run changes were made by another run, so that :func:`trace` finds both."""
        self.add_input("run", run_id, detail=json.dumps(rows, sort_keys=True))

    def add_output(
        self,
        kind: str,
        name: str,
        *,
        version: int | None = None,
        rows: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Note something that was written: a ``table``, a ``plate``, ``labels``."""
        self.outputs.append({"kind": kind, "name": name, "version": version, "rows": rows, "detail": detail})

    def warn(self, text: str) -> None:
        """Note a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def record(self, status: str) -> pa.Table:
        """End the run now and return its row for the table ``runs``.

        Parameters
        ----------
        status
            ``ok``, ``partial`` or ``failed``.
        """
        from ... import __version__

        row = {
            "run_id": self.run_id,
            "verb": self.verb,
            "study_id": self.study_id,
            "plate_ids": list(self.plate_ids),
            "status": status,
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC),
            "code_version": __version__,
            "schema_version": SCHEMA_VERSION,
            "parameters": json.dumps(self.parameters, sort_keys=True, ensure_ascii=False),
            "inputs": self.inputs,
            "outputs": self.outputs,
            "warnings": self.warnings,
        }
        return pa.Table.from_pylist([row], schema=arrow_schema("runs"))
