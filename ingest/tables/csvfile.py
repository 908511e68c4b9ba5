"""Text tables as streams: CSV and its relatives, packed or not, larger than memory.

The beginning tells which columns are numbers. They are read as float64 whatever it shows, because a count of the first
thousand rows may be a mean, ``nan`` or empty later. A column that is empty in the beginning is read as text and turned
into numbers batch by batch.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError, SourceFileError
from ...wording import listed
from .look import FoundFile, open_unpacked
from .raw import NO_NUMBER, decoded, first_word, not_a_number

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

_BLOCK = 8 << 20
_LARGEST_BLOCK = 256 << 20
_EMPTY = frozenset(NO_NUMBER)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(inf|infinity|nan)\s*", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*")
_PLACE = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)", re.DOTALL)
_BAD_VALUE = re.compile(r"invalid value '(.*)'", re.DOTALL)


class CsvTable:
    """One text table; see :class:`.raw.RawTable`.

    Parameters
    ----------
    file
        The file, which is text.
    columns
        Names of all columns; by default the cells of the first row.
    above
        Rows above the first row of values: the header and what stands before it.
    lines
        The same with empty lines, where there are such among them.
    """

    def __init__(
        self, file: FoundFile, *, columns: Sequence[str] | None = None, above: int = 1, lines: int | None = None
    ) -> None:
        assert file.text is not None
        self.name = file.name
        self.path: Path = file.path
        self.size = file.size
        self._file = file
        self._lines = above if lines is None else lines
        rows = file.text.rows
        self.columns = _unique(columns if columns is not None else rows[above - 1], file.name)
        body = [row for row in rows[above:] if len(row) == len(self.columns)]
        self._comma = file.text.delimiter != "," and _has_decimal_comma(body)
        kinds = [_kind([row[index] for row in body], comma=self._comma) for index in range(len(self.columns))]
        self.numbers = frozenset(n for n, kind in zip(self.columns, kinds, strict=True) if kind != "text")
        self._unsure = frozenset(n for n, kind in zip(self.columns, kinds, strict=True) if kind in ("empty", "padded"))
        self.mixed: Mapping[str, str] = {
            name: word
            for index, (name, kind) in enumerate(zip(self.columns, kinds, strict=True))
            if kind == "text" and (word := first_word([row[index] for row in body], comma=self._comma)) is not None
        }
        self._handle: Any = None
        self._seen = 0

    def done(self) -> int:
        """Return how many bytes were read by now."""
        return self._seen

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[pa.Table]:
        """Yield batches; see :meth:`.raw.RawTable.read`."""
        block = _BLOCK
        while True:
            try:
                yield from self._read(numbers, texts, block)
            except _TooLong:
                block *= 4
                if block > _LARGEST_BLOCK:
                    raise InvalidDataError(
                        f"{self.path} has a row of more than {_LARGEST_BLOCK >> 20} MB: a quote is opened and not "
                        "closed, or it is no table",
                        hint="Correct the file, or leave it out.",
                    ) from None
            else:
                return

    def _read(self, numbers: Sequence[str], texts: Sequence[str], block: int) -> Iterator[pa.Table]:
        from pyarrow import csv as arrow_csv

        assert self._file.text is not None
        sure = [n for n in numbers if n not in self._unsure]
        kinds = dict.fromkeys(sure, pa.float64()) | dict.fromkeys((*texts, *self._unsure), pa.binary())
        asked = {*numbers, *texts}
        wanted = [n for n in self.columns if n in asked]
        convert = arrow_csv.ConvertOptions(
            column_types={n: kinds[n] for n in wanted},
            include_columns=wanted,
            null_values=list(NO_NUMBER),
            strings_can_be_null=False,
            decimal_point="," if self._comma else ".",
        )
        read = arrow_csv.ReadOptions(
            block_size=block,
            column_names=list(self.columns),
            skip_rows_after_names=self._lines,
            encoding="utf8" if self._file.text.encoding != "utf-16" else "utf-16",
        )
        parse = arrow_csv.ParseOptions(delimiter=self._file.text.delimiter, newlines_in_values=True)
        before = 0
        self._seen = 0
        with self._opened() as raw:
            try:
                unpacked: Any = _Unpacked(raw, self._file.packed) if self._file.packed else None
                stream: Any = raw if unpacked is None else pa.PythonFile(unpacked, "r")
                with arrow_csv.open_csv(
                    stream, read_options=read, parse_options=parse, convert_options=convert
                ) as reader:
                    for batch in reader:
                        self._seen = min(raw.tell(), self.size)
                        if batch.num_rows:
                            yield self._converted(pa.Table.from_batches([batch]), numbers, texts, before)
                            before += batch.num_rows
            except (pa.ArrowException, OSError, EOFError, UnicodeError) as error:
                if before == 0 and "straddl" in str(error):
                    raise _TooLong from error
                raise self._wrong(error, before) from error
        self._seen = self.size

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise SourceFileError(f"{self.path} cannot be read: {error.strerror}") from error

    def _converted(self, rows: pa.Table, numbers: Sequence[str], texts: Sequence[str], before: int) -> pa.Table:
        columns: dict[str, Any] = {}
        for name in dict.fromkeys((*numbers, *texts)):
            column: Any = rows[name]
            if name in texts:
                columns[name] = _text(column)
            elif name in self._unsure:
                columns[name] = self._late_numbers(name, _text(column), before)
            else:
                columns[name] = column
        return pa.table(columns)

    def _late_numbers(self, name: str, column: Any, before: int) -> Any:
        empty = pc.is_in(column, value_set=pa.array(NO_NUMBER))
        column = pc.if_else(pc.fill_null(empty, True), pa.scalar(None, pa.string()), column)
        if self._comma:
            column = pc.replace_substring(column, ",", ".")
        try:
            return column.cast(pa.float64())
        except pa.ArrowInvalid:
            _, bad = not_a_number(column)
            raise InvalidDataError(
                f"{self.path}: column {name} has no words in the beginning and {bad[:80]!r} after row {before:,}",
                hint="Correct the column, or remove it from the file: it is read as numbers.",
            ) from None

    def _wrong(self, error: BaseException, before: int) -> InvalidDataError:
        """Say what is wrong with the file, in its own words."""
        text = str(error).strip()
        place = _PLACE.search(text)
        if place:
            index, value = int(place[1]), _BAD_VALUE.search(text)
            name = self.columns[index] if index < len(self.columns) else f"#{index + 1}"
            shown = repr(value[1][:80]) if value else place[3][:120]
            return InvalidDataError(
                f"{self.path}: column {name} holds numbers in the first rows, and {shown} after row {before:,}",
                hint="Correct that cell; a column is either numbers or text.",
            )
        uneven = self._uneven_line() if "columns, got" in text else None
        if uneven is not None:
            line, cells = uneven
            return InvalidDataError(
                f"{self.path}, line {line:,}: {cells} cells, where the header has {len(self.columns)}",
                hint="Look at that line: a delimiter too few or too many, an open quote, or a file cut off.",
            )
        first = text.splitlines()[0][:300] if text else "it is cut off"
        return InvalidDataError(
            f"{self.path} cannot be read after row {before:,}: {first}",
            hint="Look at that place: a row with too few or too many cells, an open quote, or a file cut off.",
        )

    def _uneven_line(self) -> tuple[int, int] | None:
        """Return the first line whose number of cells is not the header's, counted from 1, and that number."""
        assert self._file.text is not None
        with io.TextIOWrapper(self._file.open(), self._file.text.encoding, errors="replace", newline="") as text:
            for _ in range(self._lines):
                text.readline()
            reader = csv.reader(text, delimiter=self._file.text.delimiter)
            try:
                for row in reader:
                    if row and len(row) != len(self.columns):
                        return self._lines + reader.line_num, len(row)
            except (csv.Error, OSError, EOFError, UnicodeError):
                return None
        return None


class _TooLong(Exception):  # noqa: N818 - caught in this module
    """A row is longer than a block."""


class _Unpacked:
    """A packed file as pyarrow reads it, while ``raw`` tells how far it is."""

    def __init__(self, raw: BinaryIO, packed: str) -> None:
        self._file = open_unpacked(raw, packed)
        self.closed = False

    def read(self, count: int = -1) -> bytes:
        return self._file.read(count)

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _unique(names: Sequence[str], file: str) -> tuple[str, ...]:
    """Return the names of columns; a name without letters is its place."""
    named = [name.strip() or f"column {index}" for index, name in enumerate(names, 1)]
    twice = [name for name, count in Counter(named).items() if count > 1]
    if twice:
        raise InvalidDataError(
            f"{file} has {len(twice)} column(s) twice: {listed(twice, 5)}",
            hint="Two columns of one name cannot be told apart: rename or remove one.",
        )
    return tuple(named)


def _has_decimal_comma(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether more columns have numbers with a comma than with a point: a dose may be text with either."""
    commas: set[int] = set()
    points: set[int] = set()
    for row in rows:
        for index, cell in enumerate(row):
            if "," in cell and _DECIMAL_COMMA.fullmatch(cell):
                commas.add(index)
            elif "." in cell and _NUMBER.fullmatch(cell):
                points.add(index)
    return len(commas) > len(points)


def _kind(cells: Sequence[str], *, comma: bool) -> str:
    valued = [cell for cell in cells if cell not in _EMPTY and cell.strip() not in _EMPTY]
    if not valued:
        return "empty"
    text = "\n".join(valued)
    if "_" in text:  # Python takes 1_000 for a number
        return "text"
    try:
        for cell in (text.replace(",", ".") if comma else text).split("\n"):
            float(cell)
    except ValueError:
        return "text"
    # Arrow knows an empty cell only without blanks around it.
    return "padded" if any(cell not in _EMPTY and cell.strip() in _EMPTY for cell in cells) else "number"


def _text(column: Any) -> Any:
    """Decode cells: UTF-8, else Latin-1; blanks around are dropped, and empty is NULL."""
    try:
        text = column.cast(pa.string())
    except pa.ArrowInvalid:
        text = pa.chunked_array([[v if v is None else decoded(v) for v in column.to_pylist()]], pa.string())
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
