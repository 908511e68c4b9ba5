"""Validation of records in bulk: the generated JSON Schema by ``jsonschema-rs``, then the rules it cannot say.

A record is a mapping as it would become a row: slot → value, with ``None`` for an empty slot. Times may be
``datetime`` objects or ISO 8601 texts, and must carry an offset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

from ..errors import NotFoundError
from .checks import find_faults
from .generated.tables import KEYS

_PLAIN = frozenset({str, int, float, bool, type(None)})
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")

#: What jsonschema-rs calls a broken keyword → the rule as we name it.
_RULES = {
    "Required": "missing",
    "Type": "type",
    "Pattern": "pattern",
    "Format": "format",
    "Enum": "value",
    "Minimum": "range",
    "Maximum": "range",
    "AdditionalProperties": "unknown-slot",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule of one record.

    ``index`` is the record's position in the input, ``slot`` the slot (dotted inside lists and maps, empty for the
    record as a whole), ``rule`` a stable code: ``missing``, ``type``, ``pattern``, ``format``, ``value``, ``range``,
    ``unknown-slot``, ``duplicate``, ``naive-datetime``, ``not-finite``, ``map-value``, ``well-position``,
    ``plane-counts``, ``missing-unit`` or ``time-order``.
    """

    index: int
    slot: str
    value: Any
    rule: str
    message: str


def validate_records(class_name: str, records: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Return every problem of every record, in the order of the records.

    Parameters
    ----------
    class_name
        Class of the LinkML schema, ``"Well"`` for example.
    records
        Rows as mappings. Two records with the same key are a problem of the second.

    Raises
    ------
    NotFoundError
        The schema has no such class.
    """
    validator = _validator(class_name)
    key = KEYS.get(class_name, ())
    seen: dict[tuple[Any, ...], int] = {}
    problems: list[Problem] = []
    for index, original in enumerate(records):
        record, found = _plain_record(index, original)
        found += [
            Problem(index, f.slot, f.value, f.rule, f"{f.slot} {f.message}") for f in find_faults(class_name, record)
        ]
        if not validator.is_valid(record):
            reported = {problem.slot for problem in found}
            found += [p for p in _structure(class_name, index, record) if p.slot not in reported]
        if key:
            identity = tuple(record.get(slot) for slot in key)
            try:
                first = seen.setdefault(identity, index)
            except TypeError:  # a value of a wrong type cannot be compared; it is reported already
                first = index
            if first != index and None not in identity:
                named = ", ".join(f"{s} {v}" for s, v in zip(key, identity, strict=True))
                found.append(Problem(index, key[-1], identity[-1], "duplicate", f"record {first} is the same: {named}"))
        problems += found
    return problems


def _plain_record(index: int, record: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the record in JSON's own types, and what could not be brought into them."""
    if all(type(value) in _PLAIN for value in record.values()):
        return dict(record), []
    problems: list[Problem] = []
    plain = {slot: _plain(index, slot, value, problems) for slot, value in record.items()}
    return plain, problems


def _plain(index: int, slot: str, value: Any, problems: list[Problem]) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            problems.append(_naive(index, slot, value))
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): _plain(index, f"{slot}.{k}", v, problems) for k, v in value.items()}
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            # Arrow hands out a map as a list of pairs.
            return {str(k): _plain(index, f"{slot}.{k}", v, problems) for k, v in value}
        return [_plain(index, f"{slot}.{i}", v, problems) for i, v in enumerate(value)]
    if isinstance(value, Enum):
        return _plain(index, slot, value.value, problems)
    if isinstance(value, str):
        return str(value)
    # A NumPy scalar; one that has no counterpart in Python (longdouble) gives itself.
    scalar = value.item() if getattr(value, "ndim", None) == 0 else value
    if type(scalar) is not type(value):
        return _plain(index, slot, scalar, problems)
    problems.append(Problem(index, slot, value, "type", f"{slot} is a {type(value).__name__}, which no slot takes"))
    return None


def _naive(index: int, slot: str, value: Any) -> Problem:
    message = f"{slot} has no offset from UTC: {value}; write +00:00 or Z behind it if it is UTC"
    return Problem(index, slot, value, "naive-datetime", message)


def _structure(class_name: str, index: int, record: dict[str, Any]) -> Iterator[Problem]:
    """Yield what JSON Schema says against a record, one problem for each slot and rule."""
    reported = set()
    for error in _validator(class_name).iter_errors(record):
        for problem in _translate(class_name, index, record, error):
            if (problem.slot, problem.rule) not in reported:
                reported.add((problem.slot, problem.rule))
                yield problem


def _translate(class_name: str, index: int, record: dict[str, Any], error: Any) -> Iterator[Problem]:
    path = list(error.instance_path)
    slot, value = ".".join(map(str, path)), error.instance
    kind = type(error.kind).__name__
    if kind == "Required":
        name = ".".join([*map(str, path), error.kind.property])
        yield Problem(index, name, None, "missing", f"{name} is required")
    elif kind == "AdditionalProperties":
        known = _properties(class_name, path)
        for extra in error.kind.unexpected:
            name = ".".join([*map(str, path), extra])
            close = get_close_matches(extra, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield Problem(index, name, value.get(extra), "unknown-slot", f"{class_name} has no slot {name}{hint}")
    elif kind == "AnyOf":
        yield _any_of(class_name, index, slot, path, value)
    elif kind in ("Pattern", "Format") and isinstance(value, str) and _is_time(class_name, path):
        if _NAIVE.fullmatch(value):
            yield _naive(index, slot, value)
        else:
            yield Problem(index, slot, value, "format", f"{slot} is no ISO 8601 time: {value!r}")
    elif kind == "Pattern":
        expected = _slot_schema(class_name, path).get("description", error.message)
        yield Problem(index, slot, value, "pattern", f"{slot} cannot be {value!r}; it is: {expected}")
    elif kind == "Type" and record and path and value is None:
        yield Problem(index, slot, None, "missing", f"{slot} is required, and is empty")
    else:
        yield Problem(index, slot, value, _RULES.get(kind, kind.lower()), f"{slot}: {error.message}")


def _any_of(class_name: str, index: int, slot: str, path: list[Any], value: Any) -> Problem:
    branches = _slot_schema(class_name, path).get("anyOf", [])
    allowed = [v for b in branches if "$ref" in b for v in _definition(b).get("enum", [])]
    if not isinstance(value, str):
        return Problem(index, slot, value, "type", f"{slot} is a {type(value).__name__}, not a text")
    if patterns := [b["pattern"] for b in branches if "pattern" in b]:
        return Problem(index, slot, value, "pattern", f"{slot}: {value!r} does not match {patterns[0]}")
    return Problem(index, slot, value, "value", _not_allowed(slot, value, allowed))


def _not_allowed(slot: str, value: str, allowed: list[str]) -> str:
    close = get_close_matches(value.lower().replace(" ", "_").replace("-", "_"), allowed, n=1)
    hint = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(allowed)}"
    return f"{slot} cannot be {value!r}; {hint}"


def _is_time(class_name: str, path: list[Any]) -> bool:
    return bool(_slot_schema(class_name, path).get("format") == "date-time")


def _slot_schema(class_name: str, path: list[Any]) -> dict[str, Any]:
    """Return the JSON Schema of the slot at a path, following lists and nested classes."""
    schema: dict[str, Any] = json_schema()["$defs"][class_name]
    for step in path:
        schema = schema.get("items", {}) if isinstance(step, int) else schema.get("properties", {}).get(step, {})
        schema = _definition(schema)
    return schema


def _definition(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = json_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    return found


def _properties(class_name: str, path: list[Any]) -> list[str]:
    return list(_slot_schema(class_name, path).get("properties", {}))


@cache
def json_schema() -> dict[str, Any]:
    """Return the generated JSON Schema: one definition per class and enumeration under ``$defs``."""
    text = files(__package__).joinpath("generated/schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator(class_name: str) -> Any:
    schema = json_schema()
    if class_name not in schema["$defs"]:
        close = get_close_matches(class_name, schema["$defs"], n=1)
        raise NotFoundError(
            f"the schema has no class {class_name!r}", hint=f"Did you mean {close[0]!r}?" if close else None
        )
    root = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": f"#/$defs/{class_name}"}
    return jsonschema_rs.Draft201909Validator(root, validate_formats=True)
