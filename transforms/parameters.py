"""What a recipe may set of a segmentation method or a family of features: the default, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

Value = float | int | str | bool | tuple[float, ...] | tuple[int, ...] | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One setting: its default says its kind.

    ============================  ==============================================================
    default                       a recipe may write
    ============================  ==============================================================
    a float                       a number from ``low`` to ``high``, both included
    an int                        a whole number from ``low`` to ``high``
    a bool                        true or false
    a str with ``choices``        one of them
    a str without                 any text (a path, a name)
    a tuple                       a list of such values, each once, in the order that it is given
    ============================  ==============================================================

    An empty tuple as default needs ``choices``, or is a list of numbers.
    """

    default: Value
    meaning: str
    low: float = 0.0
    high: float = float("inf")
    choices: tuple[str, ...] = ()


class BadParameterError(ValueError):
    """Raise this where a value has a fault that only its method knows of; who read it says where it stands.

    Parameters
    ----------
    key
        Name of the parameter.
    problem
        What is wrong.
    allowed
        What may stand there.
    """

    def __init__(self, key: str, problem: str, allowed: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key, self.problem, self.allowed = key, problem, allowed


def check(settings: object, parameters: Mapping[str, Parameter], table: str) -> None:
    """Compare settings with what their table allows.

    Raises
    ------
    UsageError
        A value is none that is allowed.
    """
    for name, parameter in parameters.items():
        value = getattr(settings, name)
        if parameter.choices:
            if value not in parameter.choices:
                known = ", ".join(parameter.choices)
                raise UsageError(f"{table}: {name} {value!r} is unknown", hint=f"use one of {known}")
        elif not parameter.low <= value <= parameter.high:
            raise UsageError(f"{table}: {name} {value!r} is not from {parameter.low:g} to {parameter.high:g}")


def full_path(key: str, path: str, folder: Path) -> Path:
    """Give the absolute path of what a parameter names; relative ones begin at ``folder``.

    Raises
    ------
    BadParameterError
        It begins at the home of somebody who is not known here.
    """
    try:
        return (folder / Path(path).expanduser()).absolute()
    except RuntimeError as error:
        raise BadParameterError(key, f"{path!r}: {error}", "a path that this machine knows") from error


def is_file(path: Path) -> bool:
    """Whether a file is there; what cannot be a path is none."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that cannot be looked into
        return False
