"""The process that answers, seen from the one that starts it: it is believed nothing, and ended when it is too much."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ...errors import ConfigurationError, CytolakeError, LimitError, QueryError
from . import frames
from .policy import Limits

_SCRIPT = Path(__file__).with_name("child.py")
#: Of the environment, what a Python interpreter may need to find its own libraries.
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
#: Few threads and few reserved addresses, so that a limit on memory means what it says.
_GIVEN = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
#: Bytes that a frame may have which holds no rows.
_MOST_TOLD = 16 * 2**20
#: Seconds after its time after which the process ends itself, if nobody has done it.
_GRACE = 5.0
#: Characters of what the process says that are handed on.
_SHOWN = 2000


class Child:
    """One process for one question; used with ``with``, at whose end it is gone.

    Parameters
    ----------
    spool
        An open file with the rows of the lake, which the process may read.
    deadline
        On the clock of ``time.monotonic``, when its time is over.
    """

    def __init__(self, limits: Limits, spool: int, deadline: float) -> None:
        if os.name != "posix":
            raise ConfigurationError(
                "questions cannot be guarded on this system: it cannot limit a process",
                hint="ask on Linux or macOS",
            )
        self.limits = limits
        self.deadline = deadline
        self.peak_memory_mb: float | None = None
        self._spool = spool
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process

    def __enter__(self) -> Child:
        hear, tell = os.pipe()
        seconds = max(self.deadline - time.monotonic(), 0.001) + _GRACE
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _GIVEN
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_SCRIPT)]
        command += [str(seconds), str(self._spool), str(tell)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own script
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(self._spool, tell),
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            os.close(hear)
            self._errors.close()
            raise ConfigurationError(
                f"no process can be started to answer the question: {error}", hint="look at the machine's limits"
            ) from error
        finally:
            os.close(tell)
        assert self._process.stdin is not None
        for pipe in (hear, self._process.stdin.fileno()):
            os.set_blocking(pipe, False)
        self._hear = hear
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look_at_memory()
        if self._process.poll() is None:
            # With whatever it may have started: it is the first of its session.
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        os.close(self._hear)
        self._errors.close()

    def send(self, kind: bytes, content: Any) -> None:
        """Tell the process something."""
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        left = memoryview(frames.frame(kind, json.dumps(content).encode()))
        waiting = select.poll()
        waiting.register(pipe, select.POLLOUT)
        while left:
            # It may never read.
            waiting.poll(self._milliseconds())
            try:
                left = left[os.write(pipe, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise self._ended() from error

    def receive(self, most: int = _MOST_TOLD) -> tuple[bytes, bytes] | None:
        """Return the next frame, None where it has more than ``most`` bytes.

        Raises
        ------
        LimitError
            The time is over, or the process reached another limit.
        QueryError
            The process reports what is wrong with the question, or broke on it.
        """
        kind, length = frames.HEADER.unpack(self._exactly(frames.HEADER.size))
        if kind == frames.ERROR:
            raise self._told(self._exactly(min(length, _MOST_TOLD)))
        if length > most:
            return None
        return kind, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        found = bytearray()
        waiting = select.poll()
        waiting.register(self._hear, select.POLLIN)
        while len(found) < length:
            waiting.poll(self._milliseconds())
            try:
                part = os.read(self._hear, min(length - len(found), 2**20))
            except BlockingIOError:
                continue
            if not part:
                raise self._ended()
            found += part
        return bytes(found)

    def _milliseconds(self) -> float:
        """Return how long may be waited."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self.stopped("seconds")
        return left * 1000

    def stopped(self, limit: str) -> LimitError:
        """Return the error of a limit that was reached."""
        granted = getattr(self.limits, limit)
        what, less = _MEANING[limit]
        return LimitError(
            f"the question was stopped: the policy grants {granted:,.12g} {what} (limits.{limit})",
            hint=less,
            limit=limit,
        )

    def _told(self, payload: bytes) -> CytolakeError:
        try:
            found = json.loads(payload)
            limit, message, hint = found.get("limit"), str(found.get("message")), found.get("hint")
        except (ValueError, AttributeError, RecursionError):
            return self._broken("sends what cannot be read")
        if isinstance(limit, str) and limit in _MEANING:
            return self.stopped(limit)
        if "failure" in found:
            return self._failed(str(found["failure"]))
        return QueryError(message[:_SHOWN], hint=None if hint is None else str(hint)[:_SHOWN])

    def _ended(self) -> CytolakeError:
        """Return what it means that the process is gone."""
        try:
            code = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return self._broken("does not answer")
        if code == -signal.SIGXCPU:
            return self.stopped("cpu_seconds")
        if code == -signal.SIGALRM:
            return self.stopped("seconds")
        self._errors.seek(0)
        said = self._errors.read(_MOST_TOLD).decode("utf-8", "replace")
        if "bad_alloc" in said or "MemoryError" in said or "Cannot allocate" in said:
            return self.stopped("memory_mb")
        if code > 0:
            return self._failed(said[-_SHOWN:].strip() or f"exit code {code}")
        return self._broken("ended without one" if code == 0 else f"was ended by the system (signal {-code})")

    @staticmethod
    def _failed(why: str) -> ConfigurationError:
        """Return the error of a machine that cannot answer; what it says may name its files, and is the cause."""
        error = ConfigurationError(
            "the process that should answer failed",
            hint="this is not about the question; tell whoever looks after the lake",
        )
        error.__cause__ = RuntimeError(why)
        return error

    @staticmethod
    def _broken(how: str) -> QueryError:
        return QueryError(
            f"the engine cannot answer this question and {how}", hint="ask in smaller steps; nothing was changed"
        )

    def _look_at_memory(self) -> None:
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return
        peaks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
        self.peak_memory_mb = peaks[0] if peaks else None


#: Limit → what it counts, and what to do about it.
_MEANING = {
    "seconds": ("seconds", "ask about fewer plates or columns, or join on more columns"),
    "cpu_seconds": ("seconds of computing", "ask about fewer plates or columns, or join on more columns"),
    "memory_mb": ("MiB of memory", "group into fewer rows, or ask about fewer columns"),
    "rows": ("rows of an answer", "aggregate with GROUP BY, or end with LIMIT"),
    "bytes": ("bytes of an answer", "ask for fewer columns, aggregate, or end with LIMIT"),
    "input_mb": ("MiB of rows that a question may read", "name columns instead of *, and say which studies or plates"),
}
