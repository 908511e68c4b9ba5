"""What a file name says of its image: a regular expression, and what its named groups mean.

The expression may come from anybody, so it runs in RE2 (through Arrow), whose time grows with the length of a name and
never explodes; there is no look-around and there are no back references. What remains, expressions of an absurd size,
is stopped by a budget that is looked at between small batches of names.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InvalidDataError, UsageError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS, format_well, parse_well
from ...wording import nearest

#: What a group means, and what else it may be called; capitals, underscores and a number at the end do not count, so
#: that an expression can offer several places for one thing (``time``, ``time2``): the first that is not empty counts.
MEANINGS: Mapping[str, tuple[str, ...]] = {
    "plate": ("plateid", "platename", "barcode"),
    "well": ("wellid", "wellname"),
    "row": ("wellrow",),
    "column": ("col", "wellcolumn", "wellcol"),
    "wellnumber": ("wellindex",),
    "region": ("roi", "tilerow"),
    "field": ("site", "fieldid", "siteid", "fov", "tile", "tilecolumn"),
    "channel": ("ch", "wave", "wavelength", "channelid", "channelnumber", "channelname"),
    "z": ("plane", "slice", "zstep", "zplane", "zslice"),
    "time": ("t", "timepoint", "frame"),
    "date": (),
    "elapsed": (),
    "acquisition": ("measurement", "cycle"),
    "projection": (),
}
_BY_NAME = {name: meaning for meaning, others in MEANINGS.items() for name in (meaning, *others)}

#: Seconds that the matching of all names may take, characters of an expression, and names matched before the first
#: look at the clock.
BUDGET_S = 20.0
_LONGEST = 1_000
_FIRST_BATCH, _LARGEST_BATCH, _BATCH_S = 16, 1_024, 0.1

#: What stands for itself in an expression, and the groups without a name, which Arrow refuses.
_TOKEN = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]|\((?!\?)", re.DOTALL)
_CLOCK = re.compile(r"(\d{1,2})\D?(\d{2})(?:\D?(\d{2}))?\D?")
_ELAPSED = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?", re.IGNORECASE)
_PER_UNIT = (86_400, 3_600, 60, 1)
#: One number out of region and field: regions have fewer fields than this.
_FIELDS_OF_REGION = 1_000
_HINT = (
    "Write named groups, such as '(?P<plate>.+)_(?P<well>[A-P]\\d{2})_s(?P<field>\\d+)_w(?P<channel>\\d+)'; groups are "
    f"{', '.join(MEANINGS)}."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file belongs, as its name says it; numbers are the vendor's own.

    ``row`` and ``column`` count from 1 and are 0 where only ``well_number`` is known (from 1, along the rows). What a
    name does not say is None, an empty text or, of a field, 1. ``has_clock``: ``moment`` is a time, not only a day.
    """

    file: str
    plate: str
    row: int
    column: int
    well_number: int | None
    field_id: int
    channel: str
    z: int | None
    time: int | None
    moment: datetime | None
    has_clock: bool
    elapsed_s: int | None
    acquisition: str
    projection: bool


class NamePattern:
    """A regular expression for names.

    Parameters
    ----------
    expression
        In RE2's syntax, with named groups.

    Raises
    ------
    UsageError
        It is no regular expression, has no group for the well, or two groups of one meaning with one name.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        if len(expression) > _LONGEST:
            raise UsageError(f"the pattern has {len(expression):,} characters; {_LONGEST:,} are the most")
        self._compiled = _TOKEN.sub(lambda token: "(?:" if token[0] == "(" else token[0], expression)
        try:
            groups = [field.name for field in pc.extract_regex(pa.array([""]), self._compiled).type]
        except (pa.ArrowException, ValueError) as error:
            why = str(error).removeprefix("Invalid regular expression: ")
            raise UsageError(
                f"the pattern '{expression}' is no regular expression that is understood: {why}",
                hint="The syntax is RE2's, as in Python without look-around (?=…) and back references.",
            ) from error
        if len(set(groups)) < len(groups):
            raise UsageError(f"the pattern '{expression}' uses a group twice", hint="Number them: time, time2.")
        self.meanings = {group: meaning for group in groups if (meaning := _meaning(group))}
        self.ignored = tuple(group for group in groups if group not in self.meanings)
        known = set(self.meanings.values())
        if not ({"well"} <= known or {"row", "column"} <= known or {"wellnumber"} <= known):
            near = [
                f"{group!r} may be meant as {near!r}" for group in self.ignored if (near := nearest(group, MEANINGS))
            ]
            raise UsageError(
                f"the pattern '{expression}' has no group 'well', nor 'row' and 'column'"
                + (f" ({'; '.join(near)})" if near else ""),
                hint=_HINT,
            )

    def match(self, texts: Sequence[str], budget_s: float | None = None) -> list[dict[str, str] | None]:
        """Return what each text says, meaning -> text without the empty ones, and None where it does not match.

        Raises
        ------
        UsageError
            The texts are not through when the budget is (:data:`BUDGET_S`).
        """
        ends = time.monotonic() + (BUDGET_S if budget_s is None else budget_s)
        found: list[dict[str, str] | None] = []
        batch = _FIRST_BATCH
        while len(found) < len(texts):
            began = time.monotonic()
            if began > ends:
                raise UsageError(
                    f"the pattern '{self.expression[:80]}' takes too long: {len(found):,} of {len(texts):,} names in "
                    f"{began - ends + (budget_s or BUDGET_S):.0f} s",
                    hint="Write it with fewer repetitions of repetitions.",
                )
            part = pa.array([plain(text) for text in texts[len(found) : len(found) + batch]], pa.string())
            told: Any = pc.extract_regex(part, self._compiled)
            found += [None if groups is None else self._said(groups) for groups in told.to_pylist()]
            batch = min(2 * batch, _LARGEST_BATCH) if time.monotonic() - began < _BATCH_S else _FIRST_BATCH
        return found

    def _said(self, groups: Mapping[str, str]) -> dict[str, str]:
        said: dict[str, str] = {}
        for group, meaning in self.meanings.items():
            if groups[group]:
                said.setdefault(meaning, groups[group])
        return said


def _meaning(group: str) -> str | None:
    return _BY_NAME.get(group.lower().replace("_", "").rstrip("0123456789"))


def plain(text: str) -> str:
    """Return a text that Arrow takes: names on disk may be no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def place(said: Mapping[str, str], file: str) -> Place:
    """Return what the groups of a name say.

    Raises
    ------
    InvalidDataError
        A well that is none, or a number or a time that is none.
    """
    row, column, well_number = _well(said)
    field_id, region = _whole(said, "field"), _whole(said, "region")
    if region is not None:
        if field_id is not None and field_id >= _FIELDS_OF_REGION:
            raise InvalidDataError(f"field {field_id} of region {region}; a region has fewer than 1,000 fields")
        field_id = region * _FIELDS_OF_REGION + (field_id or 0)
    moment, has_clock = _moment(said["date"], said.get("time", "")) if "date" in said else (None, False)
    return Place(
        file=file,
        plate=said.get("plate", ""),
        row=row,
        column=column,
        well_number=well_number,
        field_id=1 if field_id is None else field_id,
        channel=said.get("channel", ""),
        z=_whole(said, "z"),
        time=None if "date" in said else _whole(said, "time"),
        moment=moment,
        has_clock=has_clock,
        elapsed_s=_elapsed(said["elapsed"]) if "elapsed" in said else None,
        acquisition=said.get("acquisition", ""),
        projection="projection" in said,
    )


def places(said: Iterable[Mapping[str, str] | None], files: Iterable[str]) -> tuple[list[Place], dict[str, str]]:
    """Return the places of files, and the files that say none with the reason (empty where the name is another)."""
    found: list[Place] = []
    without: dict[str, str] = {}
    for groups, file in zip(said, files, strict=True):
        if groups is None:
            without[file] = ""
            continue
        try:
            found.append(place(groups, file))
        except InvalidDataError as error:
            without[file] = error.message
    return found, without


def _well(said: Mapping[str, str]) -> tuple[int, int, int | None]:
    if "well" in said:
        well = said["well"].replace(" ", "")
        letters, dash, digits = well.partition("-")
        return (*parse_well(letters + digits if dash else well), None)
    if "row" in said and "column" in said:
        row, column = said["row"], said["column"]
        row_number = int(row) if _is_whole(row) else parse_well(f"{row}1")[0]
        if not _is_whole(column):
            raise InvalidDataError(f"column {column!r} is no number")
        format_well(row_number, int(column))
        return row_number, int(column), None
    number = _whole(said, "wellnumber")
    if number is None:
        raise InvalidDataError("the name leaves out the well")
    if not 1 <= number <= MAX_ROWS * MAX_COLUMNS:
        raise InvalidDataError(f"well number {number} is none of 1 to {MAX_ROWS * MAX_COLUMNS}")
    return 0, 0, number


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _whole(said: Mapping[str, str], meaning: str) -> int | None:
    text = said.get(meaning)
    if text is None:
        return None
    if not _is_whole(text.removeprefix("-")):
        raise InvalidDataError(f"{meaning} {text!r} is no whole number")
    return int(text)


def _moment(date: str, clock: str) -> tuple[datetime, bool]:
    """Return the moment that digits say, as UTC, and whether they say more than a day.

    They are ``20190722`` or ``190722``, then hours and minutes, or all in one.
    """
    digits = re.sub(r"\D", "", date)
    if len(digits) in (10, 12, 14) and not clock:
        length = 6 if len(digits) == 10 else 8
        digits, clock = digits[:length], digits[length:]
    time_of_day = _CLOCK.fullmatch(clock) if clock else None
    year = {6: f"20{digits[:2]}", 8: digits[:4]}.get(len(digits))
    if year is None or not digits.isascii() or (clock and time_of_day is None):
        raise InvalidDataError(f"{f'{date} {clock}'.strip()!r} is no date and time, such as 20260131 and 1305")
    hour, minute, second = (int(part or 0) for part in time_of_day.groups()) if time_of_day else (0, 0, 0)
    try:
        moment = datetime(int(year), int(digits[-4:-2]), int(digits[-2:]), hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise InvalidDataError(f"{f'{date} {clock}'.strip()!r} is no date and time: {error}") from error
    return moment, time_of_day is not None


def _elapsed(text: str) -> int:
    parts = _ELAPSED.fullmatch(text)
    if not text or parts is None or not text.isascii() or any(len(part or "") > 6 for part in parts.groups()):
        raise InvalidDataError(f"{text!r} is no time that passed, such as 01d12h30m")
    return sum(int(part or 0) * unit for part, unit in zip(parts.groups(), _PER_UNIT, strict=True))
