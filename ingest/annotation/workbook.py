"""Sheets of an Excel workbook as tables of text, and what Excel did to them that text cannot show.

openpyxl reads the values as Excel last computed them. It does not say which cells are merged (all but the first are
then empty), nor which hold a formula that was never computed (empty too), so the sheet's own XML is looked at first;
the same look bounds what a damaged or malicious file can ask for.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from lxml import etree

from ...errors import InvalidDataError
from ...wording import did_you_mean
from .files import OLD_EXCEL, SheetFile
from .table import NOTHING_ODD, Oddity, RawTable, TableRow

#: Unpacked bytes of all parts; rows, columns and cells of one sheet. 100,000 wells × 30 columns are 3 million cells.
_MAX_UNPACKED = 512 << 20
_MAX_ROWS = 1_048_576
_MAX_COLUMNS = 4_096
_MAX_CELLS = 20_000_000
_MAX_SHEETS = 200
_MERGES_SHOWN = 10_000
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
#: Errors of formulas; ``#N/A`` is how Excel says that there is no value, and is read as that.
_ERRORS = frozenset({"#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA"})


def parse_workbook(file: SheetFile) -> tuple[RawTable, ...]:
    """Read the sheets of an XLSX workbook, all that can be seen, or the one that was asked for.

    Raises
    ------
    InvalidDataError
        It is no workbook, an old one (XLS), one with a password, damaged, larger than a plate map can be, or has no
        such sheet.
    """
    name = file.name
    if file.data.startswith(OLD_EXCEL):
        raise InvalidDataError(
            f"{name} is a workbook of an old Excel (XLS), or one with a password",
            hint="Save it as XLSX without a password, or as CSV (UTF-8).",
        )
    try:
        return tuple(_tables(file))
    except (InvalidDataError, MemoryError):
        raise
    except Exception as error:  # openpyxl lets whatever a damaged file provokes pass through
        raise InvalidDataError(
            f"{name} cannot be read as a workbook: {type(error).__name__}: {error}",
            hint="Open it in a spreadsheet program and save it again, as XLSX or as CSV (UTF-8).",
        ) from error


def _tables(file: SheetFile) -> Iterator[RawTable]:
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
        _check_archive(archive, file.name)
    sha256 = hashlib.sha256(file.data).hexdigest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about print areas, extensions and the like
        book = openpyxl.load_workbook(io.BytesIO(file.data), read_only=True, data_only=True, keep_links=False)
        try:
            sheets = {sheet.title: sheet for sheet in book.worksheets}
            if len(sheets) > _MAX_SHEETS:
                raise InvalidDataError(f"{file.name} has {len(sheets)} sheets; a plate map has less")
            if file.sheet is not None and file.sheet not in sheets:
                raise InvalidDataError(
                    f"{file.name} has no sheet {file.sheet!r}{did_you_mean(file.sheet, sheets)}",
                    hint=f"Its sheets are {', '.join(sheets)}.",
                )
            for title, sheet in sheets.items():
                if file.sheet in (title, None) and (file.sheet or sheet.sheet_state == "visible"):
                    yield _table(book, sheet, file, title, tuple(sheets), sha256)
        finally:
            book.close()


def _check_archive(archive: zipfile.ZipFile, name: str) -> None:
    parts = archive.infolist()
    if sum(part.file_size for part in parts) > _MAX_UNPACKED:
        raise InvalidDataError(f"{name} unpacks to more than {_MAX_UNPACKED:,} bytes; a plate map has less")
    for part in parts:
        if part.filename.endswith((".xml", ".rels")):
            with archive.open(part) as stream:
                # A workbook never declares a document type; whoever does wants entities expanded.
                if b"<!DOCTYPE" in stream.read(65536).replace(b"\0", b"").upper():
                    raise InvalidDataError(f"{name}: {part.filename} declares a document type, which is refused")


def _table(book: Any, sheet: Any, file: SheetFile, title: str, siblings: tuple[str, ...], sha256: str) -> RawTable:
    name = f"{file.name}#{title}"
    with book._archive.open(sheet._worksheet_path) as stream:
        odd = _look(stream, name)
    rows = []
    sheet.reset_dimensions()  # what the file says of its size is often wrong
    for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        strange = odd.get(line)
        if strange is None and not any(value is not None for value in values):
            continue
        marks = dict(strange or {})
        cells = [_text(value, column, marks) for column, value in enumerate(values)]
        if marks:
            cells += [""] * (max(marks) + 1 - len(cells))
        if any(cells):
            rows.append(TableRow(line, tuple(cells), marks or NOTHING_ODD))
    return RawTable(
        name=name,
        stem=file.stem,
        title=title,
        siblings=siblings,
        rows=tuple(rows),
        sha256=sha256,
        ragged=False,
    )


def _look(stream: Any, name: str) -> dict[int, dict[int, Oddity]]:
    """Return, by row and by column from 0, the cells that are merged away or hold a formula without a value.

    Raises
    ------
    InvalidDataError
        The sheet is larger than a plate map can be.
    """
    odd: dict[int, dict[int, Oddity]] = {}
    cells = width = line = above = 0
    tags = [f"{space}{tag}" for space in (_MAIN, _STRICT) for tag in ("c", "row", "mergeCell")]
    parsing = etree.iterparse(
        stream, events=("end",), tag=tags, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
    )
    for _, element in parsing:
        tag = etree.QName(element).localname
        if tag == "c":
            line, column = _place(element.get("r"), line, width)
            width = max(width, column + 1)
            if _is_uncomputed(element):
                message = "the cell holds a formula that was never computed; open the file in Excel and save it"
                odd.setdefault(line, {})[column] = Oddity("formula", message)
        elif tag == "row":
            before, line = above, _row_number(element.get("r"), above)
            above = line
            cells += width
            if line <= before:
                raise InvalidDataError(f"{name}: row {line} comes after row {before}; save the workbook again")
            if line > _MAX_ROWS or width > _MAX_COLUMNS or cells > _MAX_CELLS:
                raise InvalidDataError(f"{name} is larger than a plate map can be: row {line} has {width} columns")
            width = 0
            _forget(element)
        else:
            _note_merged(str(element.get("ref") or ""), odd)
    return odd


def _place(reference: str | None, line: int, width: int) -> tuple[int, int]:
    """Return row, from 1, and column, from 0, of a cell; one without a reference follows the one before it."""
    found = _REFERENCE.fullmatch(reference or "")
    return (int(found[2]), _column(found[1])) if found else (line, width)


def _row_number(written: str | None, above: int) -> int:
    if written is None:
        return above + 1
    return int(written) if written.isdecimal() and len(written) < 10 else _MAX_ROWS + 1


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _is_uncomputed(cell: Any) -> bool:
    formula = value = False
    for child in cell:
        tag = etree.QName(child).localname
        formula |= tag == "f"
        value |= tag == "v" and bool(child.text)
    # A formula that gives an empty text is a value: Excel writes it as a text of no letters.
    return formula and not value and cell.get("t") != "str"


def _forget(row: Any) -> None:
    row.clear()
    while row.getprevious() is not None:
        del row.getparent()[0]


def _note_merged(reference: str, odd: dict[int, dict[int, Oddity]]) -> None:
    first, _, last = reference.partition(":")
    corners = _REFERENCE.fullmatch(first), _REFERENCE.fullmatch(last)
    if corners[0] is None or corners[1] is None:
        return
    top, left, bottom, right = int(corners[0][2]), _column(corners[0][1]), int(corners[1][2]), _column(corners[1][1])
    if (bottom - top + 1) * (right - left + 1) > _MERGES_SHOWN:
        bottom, right = min(bottom, top + 99), min(right, left + 99)
    message = f"the cells {reference} are merged, and only the first has a value; split them and fill each"
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            odd.setdefault(row, {})[column] = Oddity("merged-cells", message)


def _text(value: Any, column: int, marks: dict[int, Oddity]) -> str:
    """Return a cell as text, as a person would type it, noting dates and errors of formulas."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.strip()
        if text in _ERRORS:
            marks.setdefault(column, Oddity("formula", f"the formula of the cell gives {text}"))
        return text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # Excel itself shows 15 digits; more are the noise of binary fractions.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, datetime | date | time | timedelta):
        text = str(value).removesuffix(" 00:00:00")
        message = (
            f"the cell holds a date, {text}; Excel makes dates of 1-2 and of SEPT2: format it as text, type it anew"
        )
        marks.setdefault(column, Oddity("date", message))
        return text
    return " ".join(str(value).split())
