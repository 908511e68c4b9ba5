"""Sheets of an Excel workbook as tables of text, and what Excel did to them that text cannot show.

openpyxl opens the workbook: its sheets, texts and formats. The cells are read here, from the sheet's own XML, because
openpyxl does not say of a streamed sheet which cells are merged (all but the first are then empty), nor which hold a
formula that was never computed (empty too), and takes a damaged file at its word. It is also several times as fast.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from lxml import etree

from ...errors import InvalidDataError
from ...schemas.units import parse_unit
from ...wording import did_you_mean
from .files import OLD_EXCEL, SheetFile
from .table import NOTHING_ODD, Oddity, RawTable, TableRow, as_seen, odd_text

#: Unpacked bytes of all parts; rows, columns and cells of one sheet. 100,000 wells × 30 columns are 3 million cells.
_MAX_UNPACKED = 512 << 20
_MAX_ROWS = 1_048_576
_MAX_COLUMNS = 4_096
_MAX_CELLS = 20_000_000
_MAX_SHEETS = 200
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
#: A format that shows a number with its unit behind it, such as ``0.0" uM"``.
_SUFFIXED = re.compile(r'[#0?,.]+\s*"\s*([^"]+?)\s*"')


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
                    yield _table(book, sheet, file, title, tuple(sheets))
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


def _table(book: Any, sheet: Any, file: SheetFile, title: str, siblings: tuple[str, ...]) -> RawTable:
    name = f"{file.name}#{title}"
    values = _Values(book)
    lines: dict[int, tuple[list[str], dict[int, Oddity]]] = {}
    cells = above = 0
    with book._archive.open(sheet._worksheet_path) as stream:
        parsing = etree.iterparse(
            stream,
            events=("end",),
            tag=("{*}row", "{*}mergeCell"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=True,
        )
        for _, element in parsing:
            if element.tag.endswith("}mergeCell"):
                _note_merged(str(element.get("ref") or ""), lines)
                continue
            line = _row_number(element.get("r"), above)
            if line <= above:
                raise InvalidDataError(f"{name}: row {line} comes after row {above}; save the workbook again")
            above = line
            texts, odd = values.of_row(element)
            cells += len(texts)
            if line > _MAX_ROWS or len(texts) > _MAX_COLUMNS or cells > _MAX_CELLS:
                raise InvalidDataError(f"{name} is larger than a plate map can be: row {line} has {len(texts)} columns")
            if any(texts) or odd:
                lines[line] = texts, odd
            _forget(element)
    return RawTable(
        name=name,
        stem=file.stem,
        title=title,
        siblings=siblings,
        rows=tuple(
            TableRow(line, tuple(texts), odd or NOTHING_ODD) for line, (texts, odd) in lines.items() if any(texts)
        ),
        ragged=False,
    )


class _Values:
    """Reads the cells of a workbook as text, with the tables of texts and formats that openpyxl made of it."""

    def __init__(self, book: Any) -> None:
        self._texts: Sequence[str] = book.shared_strings
        self._dates = frozenset(str(number) for number in book._date_formats)
        self._epoch = book.epoch
        #: Style -> how many times the number is shown in it, and what behind it.
        self._shown = {
            str(number): shown
            for number, style in enumerate(book._cell_styles)
            if (shown := _shown(_number_format(book, style.numFmtId))) is not None
        }

    def of_row(self, row: Any) -> tuple[list[str], dict[int, Oddity]]:
        """Return the texts of a row, and what is odd about some of them by position."""
        space = row.tag[: row.tag.index("}") + 1]
        formula, value, inline = f"{space}f", f"{space}v", f"{space}is"
        texts: list[str] = []
        odd: dict[int, Oddity] = {}
        for cell in row.iterchildren(f"{space}c"):
            position = _position(cell.get("r"), len(texts))
            if position >= _MAX_COLUMNS:
                return [""] * (position + 1), odd  # too wide, which the caller says
            kind, held, computed = cell.get("t"), None, False
            for child in cell:
                if child.tag == value:
                    held = child.text
                elif child.tag == formula:
                    computed = True
                elif child.tag == inline:
                    held = "".join(part.text or "" for part in child.iter(f"{space}t"))
            if position >= len(texts):
                texts += [""] * (position + 1 - len(texts))
            if held:
                texts[position], strange = self._text(kind, held, cell.get("s"))
                if strange is not None:
                    odd[position] = strange
            elif computed and kind != "str":  # a formula that gives an empty text is one of kind "str"
                message = "the cell holds a formula that was never computed; open the file in Excel and save it"
                odd[position] = Oddity("formula", message)
        return texts, odd

    def _text(self, kind: str | None, held: str, style: str | None) -> tuple[str, Oddity | None]:
        """Return a cell as text, as a person would type it, and why that is not to be trusted."""
        if kind == "s":
            return _checked(self._texts[int(held)])
        if kind in ("str", "inlineStr", "e"):
            return _checked(held)
        if kind == "b":
            return ("true" if held.strip() == "1" else "false"), None
        if kind == "d" or style in self._dates:
            return self._date(kind, held)
        times, unit = self._shown.get(style or "0", (1, ""))
        text = held if times == 1 and held.isdecimal() and len(held) < 16 else _number(float(held) * times)
        return text + unit, None

    def _date(self, kind: str | None, held: str) -> tuple[str, Oddity | None]:
        from openpyxl.utils.datetime import from_excel

        shown = held
        if kind != "d":
            with contextlib.suppress(ValueError, OverflowError):
                shown = str(from_excel(float(held), self._epoch)).removesuffix(" 00:00:00")
        message = (
            f"the cell holds a date, {shown} (Excel makes dates of 1-2 and SEPT2); format it as text, type it anew"
        )
        return shown, Oddity("date", message)


def _number_format(book: Any, number: int) -> str:
    from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE

    if number < BUILTIN_FORMATS_MAX_SIZE:
        return str(BUILTIN_FORMATS.get(number, ""))
    own = number - BUILTIN_FORMATS_MAX_SIZE
    return str(book._number_formats[own]) if own < len(book._number_formats) else ""


def _shown(number_format: str) -> tuple[int, str] | None:
    """Return how many times a format shows a number, with which unit: ``%`` means hundredths, one in quotes itself."""
    shown = number_format.partition(";")[0]
    if "%" in re.sub(r'"[^"]*"', "", shown):
        return 100, "%"
    found = _SUFFIXED.fullmatch(shown)
    with contextlib.suppress(InvalidDataError):
        return (1, f" {found[1]}") if found and parse_unit(found[1]) else None
    return None


def _checked(held: str) -> tuple[str, Oddity | None]:
    text = as_seen(held).strip()
    return text, odd_text(text)


def _number(value: float) -> str:
    """Return a number as Excel shows it: with 15 digits, more are the noise of binary fractions."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"


def _row_number(written: str | None, above: int) -> int:
    if written is None:
        return above + 1
    return int(written) if written.isdecimal() and len(written) < 10 else _MAX_ROWS + 1


def _position(reference: str | None, following: int) -> int:
    """Return the column of a cell, from 0; one without a reference follows the one before it."""
    found = _REFERENCE.fullmatch(reference) if reference else None
    return _column(found[1]) if found else following


@lru_cache(maxsize=4096)
def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _forget(row: Any) -> None:
    """Free a row that has been read: a sheet may be larger than what should be in memory as a tree."""
    row.clear()
    while row.getprevious() is not None:
        del row.getparent()[0]


def _note_merged(reference: str, lines: Mapping[int, tuple[list[str], dict[int, Oddity]]]) -> None:
    """Note which cells are merged; all but the first look empty."""
    first, _, last = reference.partition(":")
    corners = _REFERENCE.fullmatch(first), _REFERENCE.fullmatch(last)
    if corners[0] is None or corners[1] is None:
        return
    rows = range(int(corners[0][2]), int(corners[1][2]) + 1)
    columns = range(_column(corners[0][1]), min(_column(corners[1][1]), _MAX_COLUMNS) + 1)
    message = f"the cells {reference} are merged, and only the first has a value; split them and fill each"
    for line in rows if len(rows) < len(lines) else [line for line in lines if line in rows]:
        if line in lines:
            texts, odd = lines[line]
            texts += [""] * (columns.stop - len(texts))
            odd.update(dict.fromkeys(columns, Oddity("merged-cells", message)))
