"""Ctrl-C: a question that would take hours ends at once, with the exit code of an interrupted command."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cytolake.catalog.interruption import interruptible

CYTOLAKE = str(Path(sys.executable).with_name("cytolake"))
LONG = {
    # One row at the end: all the work lies in one native call.
    "aggregate": "SELECT sum(a.range * b.range % 7) FROM range(100000000) a, range(100000000) b",
    "sort": "SELECT hash(range) AS h FROM range(100000000) ORDER BY h",
}


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("question", LONG.values(), ids=LONG)
def test_ctrl_c_ends_a_question(shared_lake: Any, question: str) -> None:
    command = [CYTOLAKE, "--lake", shared_lake.root.url, "sql", question, "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            time.sleep(4)
            assert process.poll() is None
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, ""), err
    assert err.strip().startswith("error: interrupted")
    assert time.monotonic() - sent < 4  # two on a machine that is not busy


def test_what_work_gives_and_raises_comes_through() -> None:
    assert interruptible(lambda: 3, []) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, [])


def test_the_connection_can_be_asked_again_after_an_interruption() -> None:
    connection = duckdb.connect()
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(lambda: connection.execute(LONG["aggregate"]).fetchall(), [connection])
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
