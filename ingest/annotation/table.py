"""A table as it stands in a file: numbered rows of text, not yet interpreted.

The delimiter of a text table is found by looking, its encoding by trying, and every row knows the line it starts on,
so that a message can point at a cell. Sheets of a workbook become the same thing, in :mod:`.workbook`.
"""

from __future__ import annotations

import csv
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
                cells = [cell.strip() for cell in next(read, [])]
            if any(cells):
                rows.append(TableRow(line, tuple(cells)))
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


def _decode(data: bytes, name: str) -> tuple[str, list[str]]:
    """Return the text, whatever Excel called UTF-8 that day."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data:
        raise InvalidDataError(f"{name} is a binary file, not a text table")
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise InvalidDataError(f"{name} starts like UTF-16 and is not: {error.reason}") from error
        # Bytes that cp1252 leaves open become replacement characters; Latin-1 would make them control characters.
        text = data.decode("cp1252", errors="replace")
        line = data.count(b"\n", 0, error.start) + 1
        return text, [f"{name} is not UTF-8 (line {line}); it was read as Windows-1252, so check µ and accents"]


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
