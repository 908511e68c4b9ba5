"""Rows out of the catalog: as CSV, JSON, Arrow or Parquet, and as a small table to look at."""

from __future__ import annotations

import base64
import gzip
import html
import io
import itertools
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from ..errors import StorageError, UsageError
from ..wording import did_you_mean

Batches = Iterator[pa.RecordBatch]
_WIDEST = 40


def known_format(name: str) -> str:
    """Return the format of a name or suffix.

    Raises
    ------
    UsageError
        There is no such format.
    """
    wanted = {"feather": "arrow", "ipc": "arrow", "pq": "parquet"}.get(name.lower(), name.lower())
    if wanted not in _WRITERS:
        raise UsageError(
            f"{name!r} is no format for rows{did_you_mean(name, _WRITERS)}" if name else "no format for the rows given",
            hint=f"formats are {', '.join(_WRITERS)}",
        )
    return wanted


def suffix_format(path: Path) -> str:
    """Return the format that the ending of a file's name says, perhaps one that nobody knows."""
    return "csv.gz" if path.name.lower().endswith(".csv.gz") else path.suffix.removeprefix(".")


def write_file(path: Path, format: str, schema: pa.Schema, batches: Batches) -> int:
    """Write rows to a file that appears whole or not at all; return their number."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            rows = write_stream(file, format, schema, batches)
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"{path}: cannot be written ({os.strerror(error.errno) if error.errno else error})"
        ) from error
    finally:
        with suppress(OSError):  # such as a name that is too long, which was told above
            temporary.unlink(missing_ok=True)
    return rows


def write_stream(stream: IO[bytes], format: str, schema: pa.Schema, batches: Batches) -> int:
    """Write rows to a stream of bytes; return their number."""
    return _WRITERS[format](stream, schema, batches)


def _write_csv(stream: IO[bytes], schema: pa.Schema, batches: Batches) -> int:
    rows = 0
    stream.write((",".join(_csv_name(name) for name in schema.names) + "\n").encode())
    for batch in batches:
        rows += batch.num_rows
        flat = _flat(batch)
        buffer = io.BytesIO()
        # Arrow quotes every text or none: only a batch that needs quotes gets them.
        style: Literal["needed", "none"] = "needed" if _needs_quotes(flat) else "none"
        pa.csv.write_csv(flat, buffer, pa.csv.WriteOptions(include_header=False, quoting_style=style))
        stream.write(buffer.getvalue())
    return rows


def _csv_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(sign in name for sign in ',"\r\n') else name


def _needs_quotes(batch: pa.RecordBatch) -> bool:
    texts = [column for column in batch.columns if pa.types.is_string(column.type)]
    return any(pc.any(pc.match_substring_regex(column, '[,"\r\n]')).as_py() for column in texts)


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose nested and exotic columns are JSON text, and whose NaN are NULL."""
    columns = []
    for column in batch.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            columns.append(pc.cast(column, kind.value_type))
        elif pa.types.is_floating(kind):
            columns.append(pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column))
        elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_interval(kind):
            texts = [None if value is None else _json_text(value) for value in column.to_pylist()]
            columns.append(pa.array(texts, pa.string()))
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _write_json(stream: IO[bytes], schema: pa.Schema, batches: Batches) -> int:
    rows = 0
    stream.write(b"[")
    for batch in batches:
        records = _shortest(batch).to_pylist()
        lines = [json.dumps(plain(row), ensure_ascii=False, allow_nan=False) for row in records]
        if lines:
            stream.write(((",\n" if rows else "\n") + ",\n".join(lines)).encode())
        rows += batch.num_rows
    stream.write(b"\n]\n" if rows else b"]\n")
    return rows


def _shortest(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose 32-bit floats print as 0.2, not as the 0.20000000298023224 that they are in 64 bits."""
    columns = [
        pc.cast(pc.cast(column, pa.string()), pa.float64()) if column.type == pa.float32() else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _write_arrow(stream: IO[bytes], schema: pa.Schema, batches: Batches) -> int:
    rows = 0
    # pyarrow's annotations name fewer streams than it takes.
    sink: Any = stream
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _write_parquet(stream: IO[bytes], schema: pa.Schema, batches: Batches) -> int:
    rows = 0
    floats = {field.name for field in schema if pa.types.is_floating(field.type)}
    dictionary: Any = [name for name in schema.names if name not in floats] if floats else True
    with pa.parquet.ParquetWriter(stream, schema, compression="zstd", use_dictionary=dictionary or False) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _write_csv_gz(stream: IO[bytes], schema: pa.Schema, batches: Batches) -> int:
    # No name and no time in the header: the same rows make the same file.
    with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0, compresslevel=6) as compressed:
        return _write_csv(cast(IO[bytes], compressed), schema, batches)


_WRITERS: Mapping[str, Callable[[IO[bytes], pa.Schema, Batches], int]] = {
    "csv": _write_csv,
    "csv.gz": _write_csv_gz,
    "json": _write_json,
    "arrow": _write_arrow,
    "parquet": _write_parquet,
}


def plain(value: Any) -> Any:
    """Return a value in the types that JSON has: no NaN, times as ISO 8601, bytes as base64."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        # Arrow gives maps as lists of pairs.
        if value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
            return {str(key): plain(inner) for key, inner in value}
        return [plain(inner) for inner in value]
    return str(value)


def _json_text(value: Any) -> str:
    made = plain(value)
    return made if isinstance(made, str) else json.dumps(made, ensure_ascii=False, allow_nan=False)


def cell(value: Any) -> str:
    """Return a value as a table shows it: floats with six digits, NULL as nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    shown = (
        value if isinstance(value, str) else _json_text(value) if isinstance(value, list | dict | bytes) else str(value)
    )
    shown = " ".join(shown.split())
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"


def as_text(table: pa.Table, *, shown: int, width: int | None = None) -> str:
    """Return the first rows aligned in columns; numbers to the right.

    Parameters
    ----------
    width
        Signs that a line may have: columns that do not fit are left out and counted. None shows them all.
    """
    names = table.column_names
    rows = [[cell(value) for value in row] for row in _rows(table.slice(0, shown))]
    widths = [max([len(name), *(len(row[index]) for row in rows)]) for index, name in enumerate(names)]
    right = [
        pa.types.is_integer(f.type) or pa.types.is_floating(f.type) or pa.types.is_decimal(f.type) for f in table.schema
    ]
    fitting = len(names) if width is None else max(1, _fitting(widths, width))

    def line(values: list[str]) -> str:
        cells = list(zip(values, widths, right, strict=True))[:fitting]
        return "  ".join(
            value.rjust(width) if is_number else value.ljust(width) for value, width, is_number in cells
        ).rstrip()

    lines = [line(names), line(["─" * width for width in widths]), *(line(row) for row in rows)]
    if table.num_rows > shown:
        lines.append(f"… more than {shown} rows: write them all with --output FILE or --format csv")
    elif not rows:
        lines.append("no rows")
    if fitting < len(names):
        left = len(names) - fitting
        lines.append(f"… {left} more column{'s' if left > 1 else ''}: --format csv, or name the columns")
    return "\n".join(lines)


def _fitting(widths: list[int], width: int) -> int:
    """Return how many columns, two blanks between them, fit into a width."""
    ends = itertools.accumulate(widths, lambda end, one: end + 2 + one)
    return sum(end <= width for end in ends)


def as_html(table: pa.Table, *, shown: int) -> str:
    """Return the first rows as an HTML table."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.column_names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell(value))}</td>" for value in row) + "</tr>"
        for row in _rows(table.slice(0, shown))
    )
    more = f"<p>… more than {shown} rows</p>" if table.num_rows > shown else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True) if table.num_columns else iter(())
