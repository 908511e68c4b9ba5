"""One cell of a plate map: its text as a value, or the rule that it breaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...errors import InvalidDataError
from ...schemas.ontology import enum_value, enum_values
from ...schemas.units import Quantity, parse_number, parse_quantity, parse_unit, to_hours
from ...wording import did_you_mean
from .columns import Column

#: What people and programs write into a cell that has no value.
_NOTHING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "-"})
_TRUE = frozenset({"true", "yes", "y", "1", "x", "t"})
_FALSE = frozenset({"false", "no", "n", "0", "f"})
#: Words for controls beyond those of the schema. ``negative`` is a vehicle or a guide, as the treatment of the well is.
_CONTROLS = {
    "pos": "positive",
    "poscon": "positive",
    "pos control": "positive",
    "treated": "treatment",
    "treatment": "treatment",
    "compound": "treatment",
    "no treatment control": "untreated",
}
_NEGATIVE = frozenset({"negative", "negative control", "neg", "neg control", "negcon", "neg ctrl"})
NEGATIVE = "negative"


@dataclass(frozen=True, slots=True)
class CellFault:
    """The rule that a cell breaks, and how."""

    rule: str
    message: str


def is_nothing(text: str) -> bool:
    """Tell whether a cell says that there is no value."""
    return text.casefold() in _NOTHING


def read_cell(column: Column, text: str) -> tuple[Any, CellFault | None]:
    """Return the value of a cell that is not empty, or its fault.

    Kinds ``quantity`` and ``hours`` give floats in hours or text; a ``control`` may give :data:`NEGATIVE`, which only
    the whole row can tell apart. Quantities are read by :func:`read_quantity`, which needs the cell of the unit.
    """
    try:
        match column.slot.kind:
            case "whole":
                return _whole(text), None
            case "number":
                return parse_number(text), None
            case "flag":
                return _flag(text), None
            case "hours":
                return _hours(text, column.unit), None
            case "unit":
                return parse_unit(text), None
            case "control":
                return _control(text)
            case "type":
                return _enum("PerturbationType", text)
            case _:
                return text, None
    except InvalidDataError as error:
        rule = "unit" if column.slot.kind in ("unit", "hours") else "type"
        return None, CellFault(rule, _told(error))


def read_quantity(
    text: str, unit: str | None, *, written: str | None = None
) -> tuple[Quantity | None, CellFault | None]:
    """Return a dose.

    Parameters
    ----------
    text
        The cell: a number, with its unit or without.
    unit
        The unit (UCUM) that the header or the cell beside it says.
    written
        The unit as it stands in the header; a bare number is remembered with it.
    """
    try:
        quantity = parse_quantity(text, unit)
    except InvalidDataError as error:
        return None, CellFault("unit" if "unit" in error.message else "quantity", _told(error))
    if unit is not None and quantity.unit != unit:
        return None, CellFault("unit", f"{text!r} is in {quantity.unit}, its column or unit column says {unit}")
    if to_hours(quantity) is not None:
        return None, CellFault("unit", f"{text!r} is a time, not a concentration")
    if quantity.value < 0:
        return None, CellFault("range", f"{text!r} is below 0")
    if written is not None and _is_bare(text):
        quantity = replace(quantity, text=f"{text} {written}")
    return quantity, None


def _is_bare(text: str) -> bool:
    try:
        parse_number(text)
    except InvalidDataError:
        return False
    return True


def _told(error: InvalidDataError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message


def _whole(text: str) -> int:
    value = parse_number(text)
    if value != int(value):
        raise InvalidDataError(f"{text!r} is not a whole number")
    return int(value)


def _flag(text: str) -> bool:
    word = text.casefold()
    if word not in _TRUE | _FALSE:
        raise InvalidDataError(f"{text!r} is neither yes nor no", hint="Write yes or no.")
    return word in _TRUE


def _hours(text: str, unit: str | None) -> float:
    hours = to_hours(parse_quantity(text, unit or "h"))
    if hours is None:
        raise InvalidDataError(f"{text!r} is no time", hint="Write hours, or a number and a unit such as 2 d.")
    return hours


def _control(text: str) -> tuple[str | None, CellFault | None]:
    word = " ".join(text.casefold().replace("_", " ").replace("-", " ").split())
    if word in _NEGATIVE:
        return NEGATIVE, None
    if word.startswith("poscon"):
        return "positive", None
    if word in _CONTROLS:
        return _CONTROLS[word], None
    return _enum("ControlType", text)


def _enum(enum: str, text: str) -> tuple[str | None, CellFault | None]:
    value = enum_value(enum, text)
    if value is not None:
        return value, None
    known = enum_values(enum)
    return None, CellFault("value", f"{text!r} is none of {', '.join(known)}{did_you_mean(text, known)}")
