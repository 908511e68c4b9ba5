"""What a recipe may set of an operator: fields of a dataclass with a default, a meaning and bounds."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ...wording import did_you_mean
from ..parameters import BadParameterError, Parameter, Value

_KEY, _TEXTS = "parameter", "texts"


def setting(
    default: Any,
    meaning: str,
    *,
    low: float = 0.0,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    texts: bool = False,
) -> Any:
    """Declare a setting as a field of an operator; see :class:`~cytolake.transforms.parameters.Parameter`.

    ``texts`` says of a list that is empty by default and has no ``choices`` that it holds texts, not numbers.
    """
    parameter = Parameter(default=default, meaning=meaning, low=low, high=high, choices=choices)
    return dataclasses.field(default=default, metadata={_KEY: parameter, _TEXTS: texts})


@dataclass(frozen=True, slots=True, kw_only=True)
class WithSettings:
    """What operators may share: all fields are settings, declared with :func:`setting`, and are checked.

    Raises
    ------
    BadParameterError
        A value is of the wrong type or out of bounds.
    """

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value = _checked(one.name, one.metadata[_KEY], getattr(self, one.name), texts=one.metadata[_TEXTS])
            object.__setattr__(self, one.name, value)

    def settings(self) -> dict[str, Any]:
        """Give all settings as plain JSON values."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _checked(key: str, parameter: Parameter, value: Any, *, texts: bool) -> Any:
    default = parameter.default
    if isinstance(default, tuple):
        values = list(value) if isinstance(value, list | tuple) else [value]
        kind = default[0] if default else ("" if parameter.choices or texts else 0.0)
        read = tuple(_single(key, parameter, kind, one) for one in values)
        for number, one in enumerate(read):
            if one in read[:number]:
                raise BadParameterError(key, f"{one!r} is there twice", "each once")
        return read
    return _single(key, parameter, default, value)


def _single(key: str, parameter: Parameter, kind: Value, value: Any) -> Any:
    """Check one value, which shall be of the type of ``kind``."""
    if parameter.choices:
        if not isinstance(value, str) or value not in parameter.choices:
            guess = did_you_mean(str(value), parameter.choices)
            allowed = ", ".join(one or "nothing" for one in parameter.choices)
            raise BadParameterError(key, f"{value!r} is unknown{guess}", allowed)
        return value
    if isinstance(kind, bool):
        if not isinstance(value, bool):
            raise BadParameterError(key, f"{value!r} is neither true nor false", "true, false")
        return value
    if isinstance(kind, str):
        if not isinstance(value, str) or not value:
            raise BadParameterError(key, f"{value!r} is no text", "a text in quotes")
        return value
    low, high = parameter.low, parameter.high
    span = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
    whole = isinstance(kind, int)
    allowed = f"a {'whole ' if whole else ''}number {span}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadParameterError(key, f"{value!r} is no number", allowed)
    if not low <= value <= high or not math.isfinite(value):
        raise BadParameterError(key, f"{value!r} is out of range", allowed)
    if whole and value != int(value):
        raise BadParameterError(key, f"{value!r} is no whole number", allowed)
    return int(value) if whole else float(value)
