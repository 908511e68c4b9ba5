"""What the programs share that kill themselves at a step of their work: killed_writer.py, killed_keeper.py."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any


def say(*words: object) -> None:
    """Write a line at once: a buffer would be lost with the process."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def die_after(steps: Iterable[tuple[type, str]], stop: int, *, counts: Callable[[], bool] = lambda: True) -> None:
    """Let this process kill itself after the ``stop``-th call of the methods, (owner, name), that count."""
    done = 0

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            nonlocal done
            result = function(*args, **options)
            if counts():
                done += 1
                if done == stop:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return run

    for owner, name in steps:
        setattr(owner, name, dying(getattr(owner, name)))
