"""What of this machine a process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Count the cores this process may use (containers and batch systems give fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
