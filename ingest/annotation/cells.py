"""One cell of a plate map: its text as a value, or the rule that it breaks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ...errors import InvalidDataError
from ...schemas.identifiers import parse_well
from ...schemas.ontology import enum_value, enum_values, find_term
from ...schemas.units import Quantity, parse_number, parse_quantity, parse_unit, split_quantity, to_hours
from ...wording import did_you_mean
from .columns import Column
from .controls import CONTROLS, NEGATIVE, NEGATIVE_WORDS, NON_TARGETING, UNKNOWN_ROLES, VEHICLES, plain

#: What people and programs write into a cell that has no value.
_NOTHING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null", "-", "–", "—", "."})
_TRUE = frozenset({"true", "yes", "y", "1", "x", "t"})
_FALSE = frozenset({"false", "no", "n", "0", "f"})
_COUNTED = re.compile(r"(?:replicates?|rep|r|passage|p|#)[ ._#-]*([0-9]{1,6})", re.IGNORECASE)
_TAXON = re.compile(r"(?:NCBI[ _]?Taxon(?:omy)?[:_ ]*(?:ID[:_ ]*)?|txid|taxid[:_ ]*)?([1-9][0-9]{0,8})", re.IGNORECASE)
_BOTH_NAMES = re.compile(r"(.+?)\s*\(([^()]+)\)")
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec|mär|mai|okt|dez)"
_GENE_AS_DATE = re.compile(
    rf"[0-9]{{1,2}}[-./ ]{_MONTH}(?:[-./ ][0-9]{{2,4}})?|{_MONTH}-[0-9]{{1,4}}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9:.]+)?|[0-9]{1,2}([/.])[0-9]{1,2}\1[0-9]{2,4}",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(.*[a-z]) ?[0-9]{1,2}")
_WELL_WORDS = re.compile(r"(?:well|pos(?:ition)?)?[ _:#.-]*(.*?)\s*", re.IGNORECASE)
_SPLIT_WELL = re.compile(r"([A-Za-z]{1,2})[ _:.,/-]+([0-9]{1,3})")
_WHOLE = re.compile(r"\.0+\Z")
_COLUMN_FIRST = re.compile(r"([0-9]{1,2})[ _:.,/-]+([A-Za-z]{1,2})")
_ROW_COLUMN = re.compile(
    r"R(?:ow)?[ _:.-]*([0-9]{1,2}|[A-Za-z]{1,2})[ _:.,/-]*C(?:ol(?:umn)?)?[ _:.-]*([0-9]{1,2})", re.I
)


@dataclass(frozen=True, slots=True)
class CellFault:
    """The rule that a cell breaks, and how."""

    rule: str
    message: str


def is_nothing(text: str) -> bool:
    """Tell whether a cell says that there is no value."""
    return not text or (len(text) < 5 and text.casefold() in _NOTHING)


def read_cell(column: Column, text: str) -> tuple[Any, CellFault | None]:
    """Return the value of a cell that is not empty, or its fault.

    Kinds ``quantity`` and ``hours`` give floats in hours or text; a ``control`` may give
    :data:`~.controls.NEGATIVE`, which only the whole row can tell apart, or :data:`~.controls.UNKNOWN_ROLES`'s None.
    Quantities are read by :func:`read_quantity`, which needs the cell of the unit.
    """
    try:
        match column.slot.kind:
            case "whole":
                return _whole(text), None
            case "count":
                found = _COUNTED.fullmatch(text)
                return (int(found[1]) if found else _whole(text)), None
            case "number":
                return parse_number(text), None
            case "flag":
                return _flag(text), None
            case "hours":
                return _hours(text, column.unit or "h")
            case "unit":
                return parse_unit(text), None
            case "control":
                return _control(text)
            case "type":
                return (None, None) if text.casefold() == "any" else _enum("PerturbationType", text)
            case "taxon":
                return read_taxon(text), None
            case "gene":
                return _gene(text)
            case _:
                return text, None
    except InvalidDataError as error:
        return None, CellFault("unit" if column.slot.kind == "unit" else "type", in_one_line(error))


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
    quantity, fault = _quantity(text, unit)
    if quantity is None:
        return None, fault
    if unit is not None and quantity.unit != unit:
        return None, CellFault("unit", f"{text!r} is in {quantity.unit}, its column or unit column says {unit}")
    if to_hours(quantity) is not None:
        return None, CellFault("unit", f"{text!r} is a time, not a concentration")
    if quantity.value < 0:
        return None, CellFault("range", f"{text!r} is below 0")
    if written is not None and not split_quantity(text)[1]:
        quantity = replace(quantity, text=f"{text} {written}")
    return quantity, None


@lru_cache(maxsize=8192)
def read_well(text: str) -> tuple[int, int]:
    """Return row and column, from 1, of a well as people write it.

    Beyond :func:`~cytolake.schemas.identifiers.parse_well`: ``Well B03``, ``B-3``, ``B 3``, ``B:03``, ``3-B``,
    ``Row 2 Col 3``.

    Raises
    ------
    InvalidDataError
        It is no well. A bare number is none: some count along rows, others along columns.
    """
    found = _WELL_WORDS.fullmatch(text.strip())
    name = found[1] if found else text
    if split := _SPLIT_WELL.fullmatch(name):
        return parse_well(f"{split[1]}{split[2]}")
    if named := _ROW_COLUMN.fullmatch(name):
        return read_position(named[1], named[2])
    if turned := _COLUMN_FIRST.fullmatch(name):
        return parse_well(f"{turned[2]}{turned[1]}")
    if name.isdecimal() and len(name) != 4:
        raise InvalidDataError(
            f"{text!r} is a number, not a well name: some number wells along rows, others along columns",
            hint="Write the well's name, such as B07, or two columns 'row' and 'column'.",
        )
    try:
        return parse_well(name)
    except InvalidDataError as error:
        raise InvalidDataError(error.message.replace(repr(name), repr(text), 1), hint=error.hint) from None


def read_position(row: str, column: str) -> tuple[int, int]:
    """Return the place that a row (letters or a number) and a column say.

    Raises
    ------
    InvalidDataError
        They are none, or lie outside the largest plate.
    """
    # Numbers beside an empty cell become fractions in many programs.
    row, column = (_WHOLE.sub("", part.strip()) for part in (row, column))
    if not column.isdecimal() or not (row.isdecimal() or row.isalpha()):
        raise InvalidDataError(
            f"row {row!r} and column {column!r} are no place on a plate",
            hint="Write the row as letters or a number, and the column as a number.",
        )
    return parse_well(f"R{row}C{column}" if row.isdecimal() else f"{row}{column}")


def in_one_line(error: InvalidDataError) -> str:
    """Return what an error says, with its hint, in one line."""
    return f"{error.message}. {error.hint}" if error.hint else error.message


def _whole(text: str) -> int:
    value = parse_number(text)
    if value != int(value):
        raise InvalidDataError(f"{text!r} is not a whole number")
    if abs(value) > 2**53:
        raise InvalidDataError(f"{text!r} is larger than a spreadsheet can hold exactly")
    return int(value)


def _flag(text: str) -> bool:
    word = text.casefold()
    if word not in _TRUE | _FALSE:
        raise InvalidDataError(f"{text!r} is neither yes nor no", hint="Write yes or no.")
    return word in _TRUE


def _quantity(text: str, unit: str | None) -> tuple[Quantity | None, CellFault | None]:
    """Return number and unit, its own one or the one that stands elsewhere."""
    try:
        number, own_unit = split_quantity(text)
        parse_number(number)
    except InvalidDataError as error:
        return None, CellFault("quantity", in_one_line(error))
    if not own_unit and unit is None:
        message = f"{text!r} has no unit. Write it behind the number (10 uM) or into the header [uM]"
        return None, CellFault("unit", message)
    try:
        return parse_quantity(text, unit), None
    except InvalidDataError as error:
        return None, CellFault("unit", in_one_line(error))


def _hours(text: str, unit: str) -> tuple[float | None, CellFault | None]:
    quantity, fault = _quantity(text, unit)
    hours = None if quantity is None else to_hours(quantity)
    if quantity is not None and hours is None:
        fault = CellFault("unit", f"{text!r} is no time. Write hours, or a number and a unit such as 2 d")
    return hours, fault


def read_taxon(text: str) -> str:
    """Return the NCBI taxonomy term of an organism's name or number."""
    if found := _TAXON.fullmatch(text.strip()):
        return f"NCBITaxon:{found[1]}"
    # "African green monkey (Chlorocebus sabaeus)": either name will do.
    both = _BOTH_NAMES.fullmatch(text.strip())
    names = (text, *(both.groups() if both else ()))
    term = next((term for name in names if (term := find_term(name, "NCBITaxon"))), None)
    if term is None:
        raise InvalidDataError(
            f"{text!r} is no organism that is known by name",
            hint="Write its NCBI taxonomy term, such as NCBITaxon:9606.",
        )
    return term.id


def _gene(text: str) -> tuple[str | None, CellFault | None]:
    if _GENE_AS_DATE.fullmatch(text):
        return None, CellFault("date", f"{text!r} looks like a gene that a spreadsheet made a date of, such as SEPT2")
    return text, None


def _control(text: str) -> tuple[str | None, CellFault | None]:
    word = plain(text)
    if word in NEGATIVE_WORDS:
        return NEGATIVE, None
    if word.startswith("poscon"):
        return "positive", None
    if word in UNKNOWN_ROLES:
        return None, None
    if word in CONTROLS:
        return CONTROLS[word], None
    if word in VEHICLES:
        return "negative_vehicle", None
    if word in NON_TARGETING:
        return "negative_non_targeting", None
    value, fault = _enum("ControlType", text)
    if fault is not None and (numbered := _NUMBERED.fullmatch(word)):
        told_once, without = _control(numbered[1])
        if without is None:
            return told_once, None
    if fault is not None:
        words = "negcon, DMSO, NTC, mock, poscon, blank, trt"
        fault = replace(fault, message=f"{fault.message}; also understood are words such as {words}")
    return value, fault


def _enum(enum: str, text: str) -> tuple[str | None, CellFault | None]:
    value = enum_value(enum, text)
    if value is not None:
        return value, None
    known = enum_values(enum)
    return None, CellFault("value", f"{text!r} is none of {', '.join(known)}{did_you_mean(text, known)}")
