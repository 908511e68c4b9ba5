"""One table of a file, whatever the format: its columns, which of them are numbers, and its rows in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute

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
    size
        Bytes that reading it visits.
    """

    name: str
    path: Path
    columns: tuple[str, ...]
    numbers: frozenset[str]
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
