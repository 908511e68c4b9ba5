"""A process that was broken by what it was asked says what it likes, and who started it is neither hurt nor fooled.

The program of the process is replaced by one that reads the question and then sends given bytes.
"""

from __future__ import annotations

import io
import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.catalog.sandbox import Policy, Sandbox, frames, incoming, process
from cytolake.errors import ConfigurationError, CytolakeError, LimitError, QueryError

SAYS = """
import os, signal, sys, time
fd = int(sys.argv[3])
{before}
header = b""
while len(header) < 9:
    header += os.read(0, 9 - len(header))
left = int.from_bytes(header[1:], "little")
while left:
    left -= len(os.read(0, left))
for part in {parts!r}:
    os.write(fd, part)
{after}
"""
NAMED = {"names": ["a"], "types": ["INTEGER"]}
Says = Callable[..., Sandbox]


@pytest.fixture
def says(shared_lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Make a sandbox whose process sends frames and then ends as it is told."""

    def made(
        *parts: bytes, before: str = "", after: str = "time.sleep(60)", limits: dict[str, Any] | None = None
    ) -> Sandbox:
        script = tmp_path / "child.py"
        script.write_text(SAYS.format(parts=parts, before=before, after=after))
        monkeypatch.setattr(process, "_SCRIPT", script)
        tables = {"plates": {"columns": ["study_id", "plate_id"], "rows": "study_id = 'one'"}}
        limits = {"seconds": 20, "bytes": 1_000_000} | (limits or {})
        return Sandbox(shared_lake.root, Policy.read({"tables": tables, "limits": limits}))

    return made


def told(kind: bytes, content: Any) -> bytes:
    return frames.frame(kind, json.dumps(content).encode())


def head(columns: int = 1) -> bytes:
    return told(frames.HEAD, {"names": list("abcdef"[:columns]), "types": ["INTEGER"] * columns})


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def batch(content: bytes, rows: int = 1) -> bytes:
    return frames.frame(frames.BATCH, frames.COUNT.pack(rows) + content)


END = frames.frame(frames.END, b"")
GOOD = stream(pa.table({"a": pa.array([1], pa.int32())}))


def test_rows_of_a_replaced_program_are_read(says: Says) -> None:
    assert says(head(), batch(GOOD), END).sql("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "parts",
    [
        (frames.frame(b"Z", b"x"),),
        (frames.frame(frames.HEAD, b"no JSON"),),
        (frames.frame(frames.HEAD, b"[" * 100_000),),
        (told(frames.HEAD, []),),
        (told(frames.HEAD, {"names": ["a"]}),),
        (told(frames.HEAD, {"names": None, "types": 3}),),
        (told(frames.HEAD, {"names": ["\ud800"], "types": ["INTEGER"]}),),
        (struct.pack("<cQ", frames.HEAD, 2**62),),
        (told(frames.NEED, {"wells": {"columns": ["compound"], "hints": {}}}),),
        (told(frames.NEED, {"plates": {"columns": ["crs"], "hints": {}}}),),
        (told(frames.NEED, {"plates": {"columns": 3, "hints": {}}}),),
        (told(frames.NEED, {"plates": {"columns": ["plate_id"], "hints": {"plate_id": {"values": 1, "ranges": []}}}}),),
        (told(frames.NEED, {"plates": {"columns": ["plate_id"],
                                       "hints": {"plate_id": {"values": None, "ranges": [[["<"], "x"]]}}}}),),
        (told(frames.NEED, {"plates": {"columns": ["plate_id"],
                                       "hints": {"plate_id": {"values": ["\ud800"], "ranges": []}}}}),),
        (frames.frame(frames.ERROR, b"no JSON"),),
        (frames.frame(frames.ERROR, b"[" * 100_000),),
        (head(), frames.frame(frames.BATCH, b"123")),
        (head(), frames.frame(b"Z", b"")),
        (head(), batch(b"no Arrow"), END),
        (head(), batch(GOOD[:-60]), END),
        (head(), batch(GOOD[:200] + b"\xff" * 100 + GOOD[300:]), END),
        (head(2), batch(GOOD), END),
        (head(), batch(stream(pa.table({"a": [b"\xff"]}).cast(pa.schema([("a", pa.binary())]))).replace(b"a", b"\xff")),
         END),
        (head(), batch(stream(pa.table({"a": ["x" * 100_000]}), compression="zstd")), END),
        (head(), batch(stream(pa.table({"a": pa.array([b"x"]).dictionary_encode()}))), END),
        (head(), batch(stream(pa.table({"a": pa.array(["x"], pa.string_view())}))), END),
        (head(), batch(stream(pa.table({"a": pa.array([["x"]], pa.list_view(pa.string()))}))), END),
        (head(), batch(stream(pa.table({"a": pa.RunEndEncodedArray.from_arrays([1], ["x"])}))), END),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_that_says_so(says: Says, parts: tuple[bytes, ...]) -> None:
    with pytest.raises(QueryError, match=r"cannot be read|asks for rows that there are not"):
        says(*parts).sql("SELECT 1")


@pytest.mark.parametrize(
    ("column", "limit"),
    [
        (pa.array(["x" * 100_000]).dictionary_encode().take(pa.array([0] * 500)), "bytes"),
        (pa.array([["x" * 100_000]]).flatten().dictionary_encode().take(pa.array([0] * 500)), "bytes"),
        (pa.ListArray.from_arrays([0, 2**31 - 1], pa.nulls(2**31 - 1)), "bytes"),
        (pa.FixedSizeListArray.from_arrays(pa.nulls(10**9), 10**9), "bytes"),
        (pa.nulls(2**24), "bytes"),
    ],
)
def test_what_is_small_on_the_pipe_alone_is_counted_as_it_is(says: Says, column: pa.Array, limit: str) -> None:
    with pytest.raises(LimitError) as caught:
        says(head(), batch(stream(pa.table({"a": column}))), END, limits={"rows": 2**40}).sql("SELECT 1")
    assert caught.value.limit == limit


def test_rows_are_counted_whatever_the_process_says(says: Says) -> None:
    many = batch(stream(pa.table({"a": pa.array(range(50), pa.int32())})), rows=0)
    with pytest.raises(LimitError, match=r"limits\.rows"):
        says(head(), many, END, limits={"rows": 10}).sql("SELECT 1")


def test_frames_without_rows_are_counted_too(says: Says) -> None:
    with pytest.raises(LimitError, match=r"limits\.bytes"):
        says(head(), batch(b"", 0) * 1000, after="while True: os.write(fd, part)", limits={"bytes": 10_000}).sql(
            "SELECT 1"
        )


@pytest.mark.parametrize(
    ("after", "error"),
    [
        ("os._exit(0)", QueryError),
        ("os.kill(os.getpid(), 40)", QueryError),
        ("os.kill(os.getpid(), signal.SIGSEGV)", QueryError),
        ("sys.exit('/the/path/of/something')", ConfigurationError),
    ],
)
def test_a_process_that_ends_early(says: Says, after: str, error: type[CytolakeError]) -> None:
    with pytest.raises(error) as caught:
        says(after=after).sql("SELECT 1")
    assert "/the/path" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "query"),
    [
        ("os.close(fd); time.sleep(60)", "SELECT 1"),
        ("os.kill(os.getpid(), signal.SIGSTOP)", "SELECT 1"),
        ("time.sleep(60)", f"SELECT '{'x' * 900_000}'"),  # more than a pipe holds, and nobody reads
    ],
)
def test_a_process_that_does_nothing(says: Says, before: str, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.5)
    started = time.monotonic()
    with pytest.raises(QueryError):
        says(before=before, limits={"seconds": 1}).sql(query)
    assert time.monotonic() - started < 30  # it would sleep for twice as long


@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no /proc to look for a process")
def test_what_a_process_starts_ends_with_it(says: Says, tmp_path: Path) -> None:
    started = tmp_path / "started"
    before = f"""
if not os.fork():
    open({str(started)!r}, "w").write(str(os.getpid()))
    time.sleep(60)
while not os.path.exists({str(started)!r}) or not os.path.getsize({str(started)!r}):
    time.sleep(0.01)
"""
    says(head(), batch(GOOD), END, before=before).sql("SELECT 1")
    pid = started.read_text()
    for _ in range(500):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.01)
    else:
        os.kill(int(pid), 9)
        pytest.fail("it runs on")


def test_the_weight_of_a_column_is_that_of_its_values_written_out() -> None:
    texts = pa.array(["ab", "abcd", "ab", None])
    assert incoming.weight(texts.dictionary_encode()) >= 8
    assert incoming.weight(pa.array([[None] * 1000])) >= 1000
    assert incoming.weight(pa.array([{"a": ["x" * 50]}])) >= 50
    assert incoming.weight(pa.array([[("k", "x" * 50)]], pa.map_(pa.string(), pa.string()))) >= 50
    assert incoming.weight(pa.array([True] * 80)) == 80
