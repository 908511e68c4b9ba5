"""DuckDB's errors in our words: what is wrong, where in the question, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import duckdb

from ..errors import CytolakeError, QueryError, StorageError
from ..wording import nearest

_LINE = re.compile(r"\n\s*LINE (\d+):([^\n]*)\n([^\n]*)")
_NO_COLUMN = re.compile(
    r'(?:Referenced column|column named|Column with name|Column) "?([^"\n]+?)"? (?:not found|does not exist)'
)
_TABLE_NO_COLUMN = re.compile(r'(?:Table|Values list) "([^"]+)" does not have a column named "([^"]+)"')
# A file that is not there is tried as a folder of Parquet files, which is not allowed.
_GONE = re.compile(
    r"No files found|No such file|Cannot open|does not exist|not found|404|/\*\*/\*\.parquet", re.IGNORECASE
)


class FileIsGoneError(StorageError):
    """Use this when a data file disappeared under a question, which may then be asked once more."""


def file_is_gone(error: BaseException, paths: Collection[str]) -> bool:
    """Whether an error says that one of the data files disappeared (a compaction's clean-up)."""
    if isinstance(error, FileNotFoundError):
        return True
    found = isinstance(error, duckdb.IOException | duckdb.PermissionException | OSError) and _GONE.search(str(error))
    return bool(found) and _names_one(error, paths)


def _names_one(error: BaseException, paths: Collection[str]) -> bool:
    text = str(error)
    return any(path in text for path in paths)


def cleaned(
    error: BaseException, query: str, *, columns: Iterable[str] = (), paths: Collection[str] = ()
) -> CytolakeError:
    """Return our error for one of DuckDB's.

    Parameters
    ----------
    error
        What DuckDB raised.
    query
        The text that was asked, to find the line in.
    columns
        Every column that the question could have named, for "did you mean".
    paths
        The data files that it reads.
    """
    text = str(error)
    kind, _, rest = text.partition(": ")
    message = rest if kind.endswith("Error") else text
    where = _LINE.search(message)
    message = message[: where.start()] if where else message
    message, candidates = _candidates(message)
    message = " ".join(message.split()).rstrip("!")
    message = message.replace("Values list ", "Table ")  # what DuckDB calls a view
    if where and len(query.splitlines()) > 1:
        message = f"line {where.group(1)}: {message}"
    if file_is_gone(error, paths):
        return FileIsGoneError(f"a data file of the lake is gone: {message}", hint="run `cytolake validate`")
    if _names_one(error, paths):
        return StorageError(f"a data file of the lake cannot be read: {message}", hint="run `cytolake validate`")
    if isinstance(error, duckdb.PermissionException):
        return QueryError(
            f"a question reads the lake's tables only: {message}", hint="list them with `cytolake catalog tables`"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(f"the question needs more memory than there is: {message}", hint="ask for fewer columns")
    return QueryError(message, hint=_hint(message, candidates, columns))


def _candidates(message: str) -> tuple[str, list[str]]:
    for introduction in ("Candidate bindings:", "Candidate tables:", "Did you mean"):
        head, marker, tail = message.partition(introduction)
        if marker:
            return head, re.findall(r'"([^"]+)"', tail)
    # The list of every overload of a function hides the sentence that matters.
    return message.partition("Candidate functions:")[0].partition("\tCandidate")[0], []


def _hint(message: str, candidates: list[str], columns: Iterable[str]) -> str | None:
    of_table = _TABLE_NO_COLUMN.search(message)
    missing = of_table.group(2) if of_table else None
    if missing is None:
        found = _NO_COLUMN.search(message)
        missing = found.group(1) if found else None
    if missing is not None:
        guess = nearest(missing.rpartition(".")[2], columns) or nearest(missing, candidates)
        return f"did you mean {guess!r}?" if guess else "list columns with `cytolake catalog columns`"
    if candidates:
        return f"did you mean {' or '.join(repr(name) for name in candidates[:3])}?"
    return None
