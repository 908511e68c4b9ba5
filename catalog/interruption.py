"""Ctrl-C during DuckDB's long native calls.

Python runs signal handlers only between its own steps, and only in the main thread; DuckDB may be busy for minutes in
one step. So its calls run in a second thread while the main thread waits, where Ctrl-C reaches it at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

#: Seconds after which a call that does not heed the interruption is left to itself.
_PATIENCE = 1.5
_STEP = 0.05


def interruptible(work: Callable[[], T], connections: Sequence[duckdb.DuckDBPyConnection]) -> T:
    """Return what ``work`` returns; a ``KeyboardInterrupt`` ends it within two seconds.

    Parameters
    ----------
    work
        Calls DuckDB. Outside the main thread, where no signal arrives, it is simply called.
    connections
        The connections that it may be using, which are interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    returned: list[T] = []
    raised: list[BaseException] = []
    # Not Thread.join: until Python 3.12, an interrupted join takes the thread for ended (bpo-45274).
    done = threading.Event()

    def call() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=call, name="cytolake-question", daemon=True).start()
    try:
        # In steps: a signal that another thread received does not wake the main thread.
        while not done.wait(_STEP):
            pass
    except KeyboardInterrupt:
        # Again and again: an interruption that comes between two queries of a connection is lost.
        for _ in range(round(_PATIENCE / _STEP)):
            for connection in connections:
                connection.interrupt()
            if done.wait(_STEP):
                break
        raise
    if raised:
        raise raised[0]
    return returned[0]
