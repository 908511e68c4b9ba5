"""A table that somebody exported from a spreadsheet, as headers and numbered rows of text.

Nothing is interpreted here. The delimiter is found by looking, the encoding by trying, and every row knows the line it
starts on, so that a message can point at a cell.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import InvalidDataError, NotFoundError, StorageError

#: In the order in which a tie is decided; a comma comes last because it is also a decimal sign.
_DELIMITERS = "\t;,|"
_MAX_BYTES = 64 << 20
_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row: the line of the file that it starts on (the header is line 1), and one text per header."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table. ``uneven`` are lines with another number of cells than there are headers, and how many."""

    name: str
    headers: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    sha256: str
    uneven: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()


def read_sheet(path: Path | str) -> Sheet:
    """Read a CSV or TSV file.

    Raises
    ------
    NotFoundError
        There is no such file.
    StorageError
        It cannot be read.
    InvalidDataError
        It is no text table: a folder, a workbook, binary, empty, too large, without a header, or a quote is not
        closed in its line. A line break inside a cell is refused, because an unclosed quote looks the same and would
        swallow the rows below it.
    """
    place = Path(path)
    if place.is_dir():
        raise InvalidDataError(f"{place} is a folder, not a sheet", hint="Name the CSV or TSV file in it.")
    if not place.is_file():
        raise NotFoundError(f"there is no file {place}")
    if place.stat().st_size > _MAX_BYTES:
        raise InvalidDataError(f"{place} has {place.stat().st_size:,} bytes; a plate map has less than {_MAX_BYTES:,}")
    try:
        data = place.read_bytes()
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror}") from error
    return parse_sheet(data, place.name)


def parse_sheet(data: bytes, name: str) -> Sheet:
    """Read the bytes of a CSV or TSV file; see :func:`read_sheet`."""
    if data.startswith((_ZIP, _OLD_EXCEL)):
        raise InvalidDataError(
            f"{name} is a workbook, not a text table", hint="Save the sheet as CSV (UTF-8) and name that file."
        )
    text, warnings = _decode(data, name)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    delimiter = ""
    if lines[0].lower().startswith("sep=") and len(lines[0]) == 5:
        # Excel's own way to name the delimiter; the line is no header.
        delimiter, lines = lines[0][4], ["", *lines[1:]]
    header_at = next((i for i, line in enumerate(lines) if _has_content(line)), None)
    if header_at is None:
        raise InvalidDataError(f"{name} is empty", hint="The first line names the columns, such as well,compound.")
    headers: tuple[str, ...] = ()
    rows: list[SheetRow] = []
    uneven: list[tuple[int, int]] = []
    line = header_at + 1
    try:
        delimiter = delimiter or _find_delimiter(lines[header_at:])
        # A line at a time: a cell must end in the line it began in.
        for line, text in enumerate(lines[header_at:], start=header_at + 1):
            cells = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True), [])
            row = tuple(cell.strip() for cell in cells)
            if not headers:
                headers = _trim(row)
            elif any(row):
                row = row[: len(headers)] if not any(row[len(headers) :]) else row
                if len(row) != len(headers):
                    uneven.append((line, len(row)))
                else:
                    rows.append(SheetRow(line, row))
    except csv.Error as error:
        if "unexpected end of data" not in str(error):
            raise InvalidDataError(f"{name}, line {line}: {error}") from error
        raise InvalidDataError(
            f"{name}, line {line}: a quote opens here and is not closed in this line",
            hint="Close the quote, or take the line break out of the cell.",
        ) from error
    return Sheet(
        name=name,
        headers=headers,
        rows=tuple(rows),
        sha256=hashlib.sha256(data).hexdigest(),
        uneven=tuple(uneven),
        warnings=tuple(warnings),
    )


def sheet_of(name: str, headers: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Sheet:
    """Make a sheet of values that did not come from a text file; its lines count from 2, as if it had a header."""
    numbered = tuple(SheetRow(line, cells) for line, cells in enumerate(rows, start=2))
    digest = hashlib.sha256(repr((tuple(headers), numbered)).encode()).hexdigest()
    return Sheet(name=name, headers=tuple(headers), rows=numbered, sha256=digest)


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
    """Return the delimiter that cuts the header into most cells and the next lines into as many."""

    def score(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines[:20], delimiter=delimiter) if row]
        return (sum(c == counts[0] for c in counts[1:]) if counts[0] > 1 else -1, counts[0])

    return max(_DELIMITERS, key=score)


def _trim(headers: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the nameless columns at the end, which spreadsheets leave behind."""
    end = len(headers)
    while end and not headers[end - 1]:
        end -= 1
    return headers[:end]
