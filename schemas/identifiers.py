"""Names of things: wells, path-safe identifiers, and the columns that identify a row everywhere.

Only the standard library and :mod:`cytolake.errors` are imported here, because every part of the package,
the command line included, needs these functions.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from ..errors import InvalidDataError

#: The columns that identify a row, in this order and with these names in every table, file and interface.
IDENTITY_COLUMNS: tuple[str, ...] = (
    "study_id",
    "plate_id",
    "acquisition_id",
    "well_id",
    "field_id",
    "timepoint",
    "object_set",
    "object_id",
    "run_id",
)

#: The largest plate there is, 1536 wells, has rows A to AF and columns 1 to 48.
MAX_ROWS = 32
MAX_COLUMNS = 48

_MAX_ID_LENGTH = 128
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_LETTERS_AND_COLUMN = re.compile(r"([A-Za-z]{1,2})([0-9]{1,3})")
_ROW_AND_COLUMN_NUMBER = re.compile(r"[Rr]([0-9]{1,3})[Cc]([0-9]{1,3})")
_FOUR_DIGITS = re.compile(r"([0-9]{2})([0-9]{2})")


@lru_cache(maxsize=8192)
def parse_well(text: str) -> tuple[int, int]:
    """Return row and column, both from 1, of a well name.

    Parameters
    ----------
    text
        Row letters and a column with any padding (``A1``, ``a01``, ``A001``, ``AF48``), numbered rows and columns
        (``R01C02``), or two digits each (``0102``, as Harmony writes). Blanks around it are ignored.

    Raises
    ------
    InvalidDataError
        A ``ValueError``: the text is no well name, or lies outside 32 rows × 48 columns.
    """
    name = text.strip()
    if match := _LETTERS_AND_COLUMN.fullmatch(name):
        letters, digits = match.groups()
        row, column = _row_number(letters), int(digits)
    elif match := _ROW_AND_COLUMN_NUMBER.fullmatch(name) or _FOUR_DIGITS.fullmatch(name):
        row, column = int(match[1]), int(match[2])
    else:
        raise InvalidDataError(
            f"{text!r} is not a well name", hint="Write row letters and a column number, such as B07 or AF48."
        )
    if not (1 <= row <= MAX_ROWS and 1 <= column <= MAX_COLUMNS):
        raise InvalidDataError(
            f"well {text!r} is outside the largest plate: row {row}, column {column} of "
            f"{MAX_ROWS} rows (A to AF) and {MAX_COLUMNS} columns"
        )
    return row, column


def well_or_none(text: str | None) -> tuple[int, int] | None:
    """Return row and column of a well name as :func:`parse_well` reads it; None where the text is none."""
    try:
        return parse_well(text) if text else None
    except InvalidDataError:
        return None


def format_well(row: int, column: int) -> str:
    """Return the well name of a row and a column, both from 1: ``format_well(32, 8)`` is ``AF08``.

    Raises
    ------
    InvalidDataError
        A ``ValueError``: the position lies outside 32 rows × 48 columns.
    """
    if not (1 <= row <= MAX_ROWS and 1 <= column <= MAX_COLUMNS):
        raise InvalidDataError(
            f"there is no well at row {row}, column {column}; rows are 1 to {MAX_ROWS}, columns 1 to {MAX_COLUMNS}"
        )
    return f"{row_letters(row)}{column:02d}"


def well_blocks(well_ids: Iterable[str]) -> list[str]:
    """Return wells as few rectangles and single wells, from the top: ``["A01:B12", "C05"]``."""
    by_row: dict[int, list[int]] = {}
    for row, column in sorted({parse_well(well) for well in well_ids}):
        by_row.setdefault(row, []).append(column)
    rows_of: dict[tuple[int, int], list[int]] = {}
    for row, columns in by_row.items():
        for span in _runs(columns):
            rows_of.setdefault(span, []).append(row)
    blocks = [(top, first, bottom, last) for (first, last), rows in rows_of.items() for top, bottom in _runs(rows)]
    return [
        format_well(top, first) + (f":{format_well(bottom, last)}" if (top, first) != (bottom, last) else "")
        for top, first, bottom, last in sorted(blocks)
    ]


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of following numbers."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return list(zip(starts, ends, strict=True))


def row_letters(row: int) -> str:
    """Return the letters of a row from 1: 1 is ``A``, 27 is ``AA``, 32 is ``AF``."""
    return chr(ord("A") + row - 1) if row <= 26 else "A" + chr(ord("A") + row - 27)


def _row_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def is_id(text: str) -> bool:
    """Tell whether a text may be an identifier: letters, digits, ``.``, ``_``, ``-``, no leading dot, at most 128."""
    return _ID.fullmatch(text) is not None


def check_id(text: str, what: str) -> str:
    """Return ``text`` if it may be an identifier.

    Parameters
    ----------
    text
        The identifier that somebody chose.
    what
        What it names, for the message: ``"study"``, ``"plate"`` ...

    Raises
    ------
    InvalidDataError
        It would not be safe as a folder name on every system.
    """
    if not is_id(text):
        raise InvalidDataError(
            f"{text!r} cannot be the identifier of a {what}: letters, digits, dot, underscore and hyphen are allowed, "
            f"no leading dot, at most {_MAX_ID_LENGTH} characters",
            hint=f"Use {slug(text)!r}, for example.",
        )
    return text


def slug(text: str) -> str:
    """Return an identifier for a name that somebody else chose; the same name always gives the same identifier.

    A name that is an identifier already comes back unchanged. In any other, accents are dropped, what is not allowed
    becomes a hyphen, and the end is a hash of the whole name: ``A B`` and ``A/B`` must not become one plate.
    """
    if is_id(text):
        return text
    folded = unicodedata.normalize("NFKD", text.replace("µ", "u").replace("μ", "u"))
    kept = "".join(c for c in folded if not unicodedata.combining(c))
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", kept).strip("-._")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable[: _MAX_ID_LENGTH - 9]}-{digest}".lstrip("-._")
