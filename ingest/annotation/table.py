"""A table as it stands in a file: numbered rows of text, not yet interpreted.

The delimiter of a text table is found by looking, its encoding by trying, and every row knows the line it starts on,
so that a message can point at a cell. Sheets of a workbook become the same thing, in :mod:`.workbook`.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from ...errors import InvalidDataError
from .files import OLD_EXCEL, ZIP, stem_of

#: In the order in which a tie is decided; a comma comes last because it is also a decimal sign.
_DELIMITERS = "\t;,|"
#: The wells of 2,000 plates; JUMP, the largest screen there is, has 1.2 million.
_MAX_LINES = 3_000_000
#: Characters of one line, and what the csv module takes in one cell.
_MAX_LINE = 131_072


class Oddity(NamedTuple):
    """What a workbook says of a cell beyond its text: a stable code, and why the text is not to be trusted."""

    rule: str
    message: str


NOTHING_ODD: Mapping[int, Oddity] = MappingProxyType({})
#: Errors of formulas; ``#N/A`` is how Excel says that there is no value, and is read as that.
_ERRORS = frozenset({"#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA"})
#: Signs without width that are pasted along, and make two names of what looks like one.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\ufeff"))
_TEXT_FORMULA = re.compile(r'="([^"]*)"')


def as_seen(text: str) -> str:
    """Return a text without signs that nobody sees, and with each accent as one sign."""
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(_INVISIBLE))


def odd_text(text: str) -> Oddity | None:
    """Return why the text of a cell is no value, where it is the error of a formula."""
    return Oddity("formula", f"the formula of the cell gives {text}") if text in _ERRORS else None


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row that is not empty: its line in the file, from 1, its cells, and what is odd about some of them."""

    line: int
    cells: tuple[str, ...]
    odd: Mapping[int, Oddity] = field(default_factory=lambda: NOTHING_ODD)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTable:
    """One table.

    Attributes
    ----------
    name
        What messages call it: ``map.csv``, or ``map.xlsx#Plate 1``.
    stem
        The file's name without its endings.
    title
        Name of the sheet in its workbook; empty for a text table.
    siblings
        Names of all sheets of the workbook.
    ragged
        Whether rows shorter than the header are a fault: in a text table they are, a workbook just ends early.
    """

    name: str
    stem: str
    rows: tuple[TableRow, ...]
    title: str = ""
    siblings: tuple[str, ...] = ()
    ragged: bool = True
    warnings: tuple[str, ...] = ()


def parse_text(data: bytes, name: str) -> RawTable:
    """Read the bytes of a CSV or TSV file.

    Raises
    ------
    InvalidDataError
        It is no text table: a workbook, binary, empty, or a quote is not closed in its line. A line break inside a
        cell is refused, because an unclosed quote looks the same and would swallow the rows below it.
    """
    if data.startswith((ZIP, OLD_EXCEL)):
        raise InvalidDataError(f"{name} is a workbook, not a text table")
    if max(data.count(b"\n"), data.count(b"\r")) > _MAX_LINES:
        raise InvalidDataError(f"{name} has more than {_MAX_LINES:,} lines; a plate map has less")
    text, warnings = _decode(data, name)
    text = as_seen(text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    delimiter = ""
    if lines[0].lower().startswith("sep=") and len(lines[0]) == 5:
        # Excel's own way to name the delimiter; the line is no row.
        delimiter, lines = lines[0][4], ["", *lines[1:]]
    first = next((i for i, line in enumerate(lines) if _has_content(line)), None)
    if first is None:
        raise InvalidDataError(f"{name} is empty", hint="The first line names the columns, such as well,compound.")
    for line, text in enumerate(lines, start=1):
        if len(text) > _MAX_LINE:
            raise InvalidDataError(
                f"{name}, line {line} has {len(text):,} characters; more than {_MAX_LINE:,} are no row of a plate map",
                hint="Look whether line breaks were lost, or a quote swallowed the rows below it.",
            )
    rows = []
    line = first + 1
    try:
        delimiter = delimiter or _find_delimiter(lines[first:])
        # A line at a time: a cell must end in the line it began in.
        for line, text in enumerate(lines[first:], start=first + 1):
            if '"' not in text:
                cells = [cell.strip() for cell in text.split(delimiter)]
            else:
                read = csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True)
                cells = [_unquoted(cell.strip()) for cell in next(read, [])]
            if any(cells):
                odd = {i: strange for i, cell in enumerate(cells) if cell[:1] == "#" and (strange := odd_text(cell))}
                rows.append(TableRow(line, tuple(cells), odd or NOTHING_ODD))
    except csv.Error as error:
        if "unexpected end of data" not in str(error):
            raise InvalidDataError(f"{name}, line {line}: {error}") from error
        raise InvalidDataError(
            f"{name}, line {line}: a quote opens here and is not closed in this line",
            hint="Close the quote, or take the line break out of the cell.",
        ) from error
    return RawTable(
        name=name,
        stem=stem_of(name),
        rows=tuple(rows),
        warnings=tuple(warnings),
    )


def _unquoted(cell: str) -> str:
    """Return the text that ``="00123"`` stands for, which keeps spreadsheets from making a number of it."""
    found = _TEXT_FORMULA.fullmatch(cell) if cell[:1] == "=" else None
    return found[1].strip() if found else cell


def _decode(data: bytes, name: str) -> tuple[str, list[str]]:
    """Return the text, whatever Excel called UTF-8 that day."""
    encoding = _wide_encoding(data) or "utf-8-sig"
    if encoding == "utf-8-sig" and b"\0" in data:
        raise InvalidDataError(f"{name} is a binary file, not a text table")
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise InvalidDataError(f"{name} looks like {encoding.upper()} and is not: {error.reason}") from error
        # Bytes that cp1252 leaves open become replacement characters; Latin-1 would make them control characters.
        text = data.decode("cp1252", errors="replace")
        line = data.count(b"\n", 0, error.start) + 1
        return text, [f"{name} is not UTF-8 (line {line}); it was read as Windows-1252, so check µ and accents"]


def _wide_encoding(data: bytes) -> str | None:
    """Return the encoding of a text of two or four bytes a sign, by its mark or by where its zeros are."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    start = data[:4096]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) * 3 < len(start) or min(even, odd) * 20 > len(start):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _has_content(line: str) -> bool:
    return bool(line.strip(_DELIMITERS + ' \t"'))


def _find_delimiter(lines: list[str]) -> str:
    """Return the delimiter that cuts most lines into the same number of cells, more than one."""
    # Comments (as MIHCSME and IDR have them) say nothing about the table.
    sample = [line for line in lines[:60] if not line.lstrip('" ').startswith("#")][:20] or lines[:20]

    def score(delimiter: str) -> tuple[int, int]:
        counts = Counter(len(row) for row in csv.reader(sample, delimiter=delimiter) if len(row) > 1)
        return max(((lines, cells) for cells, lines in counts.items()), default=(0, 0))

    return max(_DELIMITERS, key=score)
