"""What people write to name a row, or a thing from which rows were made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError
from ...schemas.identifiers import format_well, parse_well
from ...wording import did_you_mean

_NAMES = ("study_id", "plate_id", "well_id", "field_id", "object_set", "object_id")
_SPELLING = "Write study/plate[/well[/field[/object_set[/object_id]]]], and @SET behind it for one set's rows."
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: What may stand before a colon, and what follows it: the kinds of nodes that something is made from.
STARTS = {
    "file": "a source file by name, as the lineage of an image shows it",
    "sha256": "a source file by its hash",
    "image": "the path of an image",
    "labels": "the path of a label image",
    "feature_set": "name@version or hash",
    "profile_set": "name@version or hash",
    "fit": "name@version#fit_version, and perhaps /unit",
    "run": "identifier of a run",
    "release": "its name",
    "table": "name, and perhaps @version",
}
#: Kinds of nodes whose names are rows.
_ROWS = ("plate", "well", "row")


@dataclass(frozen=True, slots=True)
class Start:
    """What is followed: ``kind`` is ``row`` or one of :data:`STARTS`; a row's parts are in ``row``."""

    kind: str
    name: str
    row: dict[str, Any]


def parse_row(text: str) -> dict[str, Any]:
    """Return what :func:`.trace.trace` takes, of a row as people name it.

    That is ``study/plate/well/field/object_set/object_id``, or as much of it as is meant.

    ``@`` and a set behind it name the rows of that set alone: a feature set of objects, else a profile set, of a plate,
    a well or a field. ``study@set`` are a study's treatments.

    Raises
    ------
    UsageError
        It has fewer than two parts or too many, or a part that should be a number is none.
    InvalidDataError
        Its well is none.
    """
    # No part of a row has an @ in its name.
    path, sign, reference = text.strip().partition("@")
    parts = path.strip("/").split("/")
    if not (1 if sign else 2) <= len(parts) <= len(_NAMES) or not all(parts) or (sign and not reference):
        raise UsageError(f"{text!r} names no row", hint=_SPELLING)
    known: dict[str, Any] = dict(zip(_NAMES, parts, strict=False))
    if "well_id" in known:
        known["well_id"] = format_well(*parse_well(known["well_id"]))
    for name in ("field_id", "object_id"):
        if name in known:
            try:
                number = int(known[name])
            except ValueError as error:
                raise UsageError(f"{text!r}: {known[name]!r} is no {name.removesuffix('_id')} number") from error
            if abs(number) >= 2**31:
                raise UsageError(f"{text!r}: {known[name]!r} is larger than any {name.removesuffix('_id')} number")
            known[name] = number
    return {**known, "set_reference": reference} if sign else known


def parse_start(text: str) -> Start:
    """Return what :func:`.forward.follow` starts from: a row, a study, or ``kind:name`` as a graph shows it.

    Raises
    ------
    UsageError
        There is no such kind, or the row is none.
    """
    text = text.strip()
    kind, colon, name = text.partition(":")
    if colon and kind in STARTS and name:
        return Start(kind, name, {})
    if colon and kind in STARTS:
        raise UsageError(f"{text!r} names no {kind}", hint=f"Write {kind}: and then {STARTS[kind]}.")
    if colon and kind not in _ROWS:
        kinds = "; ".join(f"{known}: {what}" for known, what in STARTS.items())
        raise UsageError(
            f"{text!r}: nothing starts at {kind!r}{did_you_mean(kind, STARTS)}", hint=f"There are {kinds}."
        )
    name = name if colon else text
    if _SHA256.fullmatch(name.lower()):
        return Start("sha256", name.lower(), {})
    if name.startswith("images/"):
        return Start("labels" if "/labels/" in name else "image", name, {})
    if name and "/" not in name.strip("/") and "@" not in name:
        return Start("row", name, {"study_id": name.strip("/")})
    return Start("row", name, parse_row(name))
