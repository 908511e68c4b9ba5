"""Make a lake in a folder older: everything that happened in it happened some days earlier.

Times lie in three places: in the log's entries, in the checkpoints that sum them up, and in the files' own times. What
is in the rows (``created_at``, run identifiers) stays.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Action of a Delta log → its fields that are times, in milliseconds since 1970.
_TIMES = {
    "commitInfo": ("timestamp",),
    "add": ("modificationTime",),
    "remove": ("deletionTimestamp",),
    "metaData": ("createdTime",),
    "txn": ("lastUpdated",),
}


def age(lake: str | Path, days: float) -> None:
    """Move every time in a lake ``days`` into the past."""
    by = round(days * 86_400_000)
    for log in Path(lake).glob("tables/**/_delta_log"):
        for entry in log.glob("*.json"):
            lines = [_entry(json.loads(line), by) for line in entry.read_text().splitlines()]
            entry.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        for checkpoint in log.glob("*.checkpoint.parquet"):
            pq.write_table(_checkpoint(pq.read_table(checkpoint), by), checkpoint)
        last = log / "_last_checkpoint"
        if last.exists():
            said = json.loads(last.read_text())
            said["sizeInBytes"] = (log / f"{said['version']:020}.checkpoint.parquet").stat().st_size
            last.write_text(json.dumps(said))
    for file in Path(lake).rglob("*"):
        if file.is_file():
            then = file.stat().st_mtime - days * 86_400
            os.utime(file, (then, then))


def _entry(action: dict[str, Any], by: int) -> dict[str, Any]:
    for kind, times in _TIMES.items():
        for name in times:
            if isinstance(action.get(kind), dict) and action[kind].get(name) is not None:
                action[kind][name] -= by
    return action


def _checkpoint(rows: pa.Table, by: int) -> pa.Table:
    for kind, times in _TIMES.items():
        if kind not in rows.column_names:
            continue
        structs = rows[kind].combine_chunks()
        fields = list(structs.type)
        parts = [
            pc.subtract(structs.field(one.name), pa.scalar(by, one.type))
            if one.name in times
            else structs.field(one.name)
            for one in fields
        ]
        older = pa.StructArray.from_arrays(parts, fields=fields, mask=structs.is_null())
        rows = rows.set_column(rows.column_names.index(kind), rows.schema.field(kind), older)
    return rows
