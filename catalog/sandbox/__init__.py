"""Questions of people you do not trust: a policy says what they see, a process of its own answers each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answer import Answer as Answer
    from .answer import Record as Record
    from .guard import Sandbox as Sandbox
    from .policy import Limits as Limits
    from .policy import Policy as Policy
    from .policy import TableRule as TableRule

__all__ = ["Answer", "Limits", "Policy", "Record", "Sandbox", "TableRule"]

_WHERE = {
    "Answer": "answer",
    "Limits": "policy",
    "Policy": "policy",
    "Record": "answer",
    "Sandbox": "guard",
    "TableRule": "policy",
}


def __getattr__(name: str) -> Any:
    # The process that answers imports its own modules alone.
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
