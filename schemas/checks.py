"""Rules of a record that JSON Schema cannot say, as plain functions on plain values.

Bulk validation, the pydantic models and the comparison with LinkML's own validator all call :func:`find_faults`,
so a record is judged alike wherever it is met. Only the standard library is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import InvalidDataError
from .identifiers import parse_well


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule of one record: where, which rule, the value, and why it is wrong."""

    slot: str
    rule: str
    value: Any
    message: str


def find_faults(class_name: str, record: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with a record beyond its structure; slots of a wrong type are left to the structure check."""
    yield from _not_finite(record)
    for rule in _RULES.get(class_name, ()):
        yield from rule(record)


def _not_finite(record: Mapping[str, Any], inside: str = "") -> Iterator[Fault]:
    for slot, value in record.items():
        if type(value) is float and not math.isfinite(value):
            yield Fault(f"{inside}{slot}", "not-finite", value, "is not a finite number; leave an unknown value empty")
        elif type(value) is list and value and isinstance(value[0], Mapping):
            for i, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from _not_finite(item, f"{inside}{slot}.{i}.")


def _well_position(record: Mapping[str, Any]) -> Iterator[Fault]:
    well, row, column = record.get("well_id"), record.get("row"), record.get("column")
    if not isinstance(well, str):
        return
    try:
        position = parse_well(well)
    except InvalidDataError:
        return  # the pattern of the slot says so already
    for slot, found, expected in (("row", row, position[0]), ("column", column, position[1])):
        if isinstance(found, int) and found != expected:
            yield Fault(slot, "well-position", found, f"is not the {slot} of well {well}, which is {expected}")


def _attributes(record: Mapping[str, Any]) -> Iterator[Fault]:
    attributes = record.get("attributes")
    if isinstance(attributes, Mapping):
        for key, value in attributes.items():
            if not isinstance(value, str):
                yield Fault(f"attributes.{key}", "map-value", value, "is not text")


def _plane_counts(record: Mapping[str, Any]) -> Iterator[Fault]:
    promised, *absent = (record.get(slot) for slot in ("n_planes", "n_missing_planes", "n_corrupt_planes"))
    counts = [n for n in absent if isinstance(n, int)]
    if isinstance(promised, int) and sum(counts) > promised:
        message = f"is less than the {sum(counts)} planes that are missing or corrupt"
        yield Fault("n_planes", "plane-counts", promised, message)


def _missing_unit(record: Mapping[str, Any]) -> Iterator[Fault]:
    if record.get("concentration") is not None and record.get("concentration_unit") is None:
        yield Fault("concentration_unit", "missing-unit", None, "is empty although there is a concentration")


def _time_order(start: str, end: str) -> Callable[[Mapping[str, Any]], Iterator[Fault]]:
    def rule(record: Mapping[str, Any]) -> Iterator[Fault]:
        first, last = _moment(record.get(start)), _moment(record.get(end))
        if first is not None and last is not None and last < first:
            yield Fault(end, "time-order", record[end], f"is before {start}, {record[start]}")

    return rule


def _moment(value: Any) -> datetime | None:
    """Return a moment with an offset, or None where there is none; the structure check says why."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo is not None else None


_RULES: dict[str, tuple[Callable[[Mapping[str, Any]], Iterator[Fault]], ...]] = {
    "Plate": (_plane_counts, _attributes),
    "Well": (_well_position, _attributes),
    "WellPerturbation": (_missing_unit,),
    "Acquisition": (_time_order("started_at", "ended_at"),),
    "Image": (_plane_counts,),
    "Run": (_time_order("started_at", "finished_at"),),
}
