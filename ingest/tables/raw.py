"""One table of a file, whatever the format: its columns, which of them are numbers, and its rows in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

#: Spellings of "no number" beside those that pyarrow knows anyway.
NO_NUMBER = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "1.#SNAN", "<NA>", "N/A",
    "NA", "NAN", "NULL", "NaN", "None", "n/a", "na", "nan", "none", "null",
)  # fmt: skip
#: Bytes of features that one batch has about.
BATCH_BYTES = 16 << 20


class RawTable(Protocol):
    """One table of a file under the names that the file gives.

    Attributes
    ----------
    name
        What messages call it.
    path
        The file.
    columns
        Its columns in their order, each name once.
    numbers
        Those that hold numbers, as far as the beginning or the declared types tell; a column without any value is one.
    mixed
        Columns that hold mostly numbers in the beginning and words as well → the first word.
    size
        Bytes that reading it visits.
    """

    name: str
    path: Path
    columns: tuple[str, ...]
    numbers: frozenset[str]
    mixed: Mapping[str, str]
    size: int

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[pa.Table]:
        """Yield batches with ``numbers`` as float64 and ``texts`` as text; an empty cell of text is NULL.

        Raises
        ------
        InvalidDataError
            The file is damaged, or a column of numbers holds something else; says where.
        """

    def done(self) -> int:
        """Return how many bytes were read by now."""


def first_word(cells: Sequence[Any], *, comma: bool = False) -> str | None:
    """Return the first cell that is no number where most of those with a value are; None otherwise."""
    words: list[str] = []
    numbers = 0
    for cell in cells:
        text = "" if cell is None else str(cell).strip()
        if text in NO_NUMBER:
            continue
        try:
            float(text.replace(",", ".") if comma else text)
            numbers += 1
        except ValueError:
            words.append(text)
    return words[0] if words and numbers > len(words) else None


def check_numbers(raw: RawTable, columns: Iterable[str]) -> None:
    """Make sure that columns which are features by their names hold no words among their numbers.

    Raises
    ------
    InvalidDataError
        One does; as text it would be left out.
    """
    for column in columns:
        if column in raw.mixed:
            raise InvalidDataError(
                f"{raw.name}: column {column} holds numbers, and {raw.mixed[column][:80]!r} among the first rows",
                hint="Correct that cell; a column is either numbers or text.",
            )


def decoded(cell: bytes) -> str:
    """Return a cell as text: UTF-8, else Latin-1."""
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.decode("latin-1")


def not_a_number(column: Any) -> tuple[int, str]:
    """Return place and text of the first cell that made a column of text fail to be cast to float64."""
    for at, text in enumerate(column.to_pylist()):
        try:
            pa.scalar(text, pa.string()).cast(pa.float64())
        except pa.ArrowInvalid:
            return at, text
    raise ValueError("every cell is a number")


def as_text(column: Any) -> Any:
    """Return any column as text, blanks around it removed, empty text as NULL, and whole floats without ``.0``."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_floating(kind):
        whole = pc.and_(pc.is_finite(column), pc.equal(pc.floor(column), column))
        if pc.all(pc.fill_null(pc.or_(whole, pc.is_nan(column)), True)).as_py():
            column = pc.if_else(pc.fill_null(whole, False), column, pa.scalar(None, kind)).cast(pa.int64(), safe=False)
    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    column = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type are features as they are."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    )
