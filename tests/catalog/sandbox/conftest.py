"""For tests of what is answered, not of who answers: the engine of a question in the process of the tests."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from cytolake.catalog.sandbox import engine, frames, guard, process


class Unguarded(process.Child):
    """Looks like the process of a question, and is a thread without its limits: nothing has to start."""

    def __enter__(self) -> Unguarded:
        hear, tell = os.pipe()
        source, say = os.pipe()
        spool = os.dup(self._spool)

        def work() -> None:
            try:
                _, payload = frames.read_frame(source)
                engine.serve(json.loads(payload), spool=spool, source=source, target=tell)
            except (EOFError, BrokenPipeError):
                pass  # the question was given up
            finally:
                for one in (spool, source, tell):
                    os.close(one)

        self._thread = threading.Thread(target=work)
        self._thread.start()
        stdin = os.fdopen(say, "wb", 0)
        self._process = SimpleNamespace(stdin=stdin, pid=os.getpid(), poll=lambda: 0, wait=self._joined)  # type: ignore[assignment]
        for pipe in (hear, say):
            os.set_blocking(pipe, False)
        self._hear = hear
        return self

    def _joined(self, timeout: float | None = None) -> int:
        # Nobody hears any more: it need not say the rest.
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), self._hear)
        self._thread.join(timeout)
        return 0


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let questions be answered by the engine that they always have, in a thread instead of a process."""
    monkeypatch.setattr(guard, "Child", Unguarded)
    monkeypatch.setattr(engine, "_limit_itself", lambda limits: None)
    monkeypatch.setattr(engine, "os", SimpleNamespace(_exit=lambda code: None))
