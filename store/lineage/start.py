"""What people write to name a row."""

from __future__ import annotations

from typing import Any

from ...errors import UsageError
from ...schemas.identifiers import format_well, parse_well


def parse_row(text: str) -> dict[str, Any]:
    """Return what :func:`trace` takes, of a row as people name it: ``study/plate/well/field/object_set/object_id``.

    Raises
    ------
    UsageError
        It has fewer than two parts or too many, or a part that should be a number is none.
    InvalidDataError
        Its well is none.
    """
    names = ("study_id", "plate_id", "well_id", "field_id", "object_set", "object_id")
    parts = text.strip("/").split("/")
    if not 2 <= len(parts) <= len(names) or not all(parts):
        raise UsageError(f"{text!r} names no row", hint="Write study/plate[/well[/field[/object_set[/object_id]]]].")
    known: dict[str, Any] = dict(zip(names, parts, strict=False))
    if "well_id" in known:
        known["well_id"] = format_well(*parse_well(known["well_id"]))
    for name in ("field_id", "object_id"):
        if name in known:
            try:
                known[name] = int(known[name])
            except ValueError as error:
                raise UsageError(f"{text!r}: {known[name]!r} is no {name.removesuffix('_id')} number") from error
    return known
