"""Behaviour of the generated pydantic models, kept apart from them because they are overwritten.

:class:`Record` is the base of every generated class. It refuses what pydantic would quietly convert: ``"3"`` and
``True`` for a number, ``1`` for a truth value, a time without an offset, NaN. A record is therefore valid as an object
exactly when it is valid in bulk.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, Self, get_args

from pydantic import BaseModel, ValidationInfo, field_validator, model_validator

from .checks import find_faults

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATETIME_WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


class Record(BaseModel):
    """Base of the generated classes: pydantic without its conversions, and with the rules across slots."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_conversions(cls, value: Any, info: ValidationInfo) -> Any:
        types = _scalar_types(cls)[str(info.field_name)]
        for item in value if isinstance(value, list) else (value,):
            _check_scalar(item, types)
        return value

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for fault in find_faults(type(self).__name__, dict(self)):
            raise ValueError(f"{fault.slot} {fault.message} ({fault.rule})")
        return self


@cache
def _scalar_types(model: type[BaseModel]) -> dict[str, frozenset[type]]:
    """Return the plain types that each field of a model may hold, through unions and lists."""
    return {name: frozenset(_leaves(field.annotation)) for name, field in model.model_fields.items()}


def _leaves(annotation: Any) -> list[type]:
    inner = get_args(annotation)
    return [leaf for part in inner for leaf in _leaves(part)] if inner else [annotation]


def _check_scalar(value: Any, types: frozenset[type]) -> None:
    is_text = any(issubclass(t, str | Enum) for t in types)
    if isinstance(value, bool):
        if bool not in types:
            raise ValueError(f"{value} is a truth value, not a number or a text")
    elif isinstance(value, int | float):
        if not types & {int, float}:
            raise ValueError(f"{value} is a number, which is not allowed here")
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
    elif isinstance(value, datetime):
        if datetime not in types or value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} is not a time with an offset from UTC")
    elif isinstance(value, str) and not is_text:
        form = _DATETIME_WITH_OFFSET if datetime in types else _DATE if date in types else None
        if form is None:
            raise ValueError(f"{value!r} is a text, not a value of another type")
        if not form.fullmatch(value):
            raise ValueError(f"{value!r} is not written as {form.pattern}")
