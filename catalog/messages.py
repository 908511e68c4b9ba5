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
_NO_FUNCTION = re.compile(r'(Scalar|Table|Aggregate) Function with name "?(\w+)"? does not exist')
_MACRO = re.compile(r"Macro (\w+)\(\) does not support")
_TABLE_FUNCTION = re.compile(r'Function "(\w+)" is a table function')
_COMPARED = re.compile(r"Cannot compare values of type (\S+) and type (\S+)")
_ADVICE = " You might need to add explicit type casts."
_NO_STAR = re.compile(r"Star expression .* resulted in an empty set of columns", re.DOTALL)
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
    if _NO_STAR.search(message) and "_described_columns" in message:  # of the macros that compare profiles
        return QueryError(
            "these are no profiles: there is no feature, or nothing that says of which well or treatment",
            hint="make profiles with `cytolake profile`, or take those of well_profiles(nuclei)",
        )
    message = " ".join(message.split()).rstrip("!")
    if _MACRO.search(message):
        message = message.replace(_ADVICE, "")
    message = message.replace("_LITERAL", "")  # of a type: a number that the question writes
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
    message = message.partition("Candidate macros:")[0]
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
        name = missing.rpartition(".")[2]
        near = [one.rpartition(".")[2] for one in candidates]
        # A column of that very name is there, but not in what is asked.
        others = [one for one in (*near, *columns) if one.casefold() != name.casefold()]
        guess = nearest(name, others) or nearest(missing, candidates)
        return f"did you mean {guess!r}?" if guess else "list columns with `cytolake catalog columns`"
    called = _hint_of_call(message, candidates)
    if called is not None:
        return called
    compared = _COMPARED.search(message)
    if compared is not None:
        return "write a text in quotes, as in compound = '3', or cast the column: column::DOUBLE > 3"
    if candidates:
        return f"did you mean {' or '.join(repr(name) for name in candidates[:3])}?"
    return None


def _hint_of_call(message: str, candidates: list[str]) -> str | None:
    """Return what to do about a function or macro that is not there, or is called with what it does not take."""
    from .library import library

    known = library()
    if "query_table" in message and "literals as parameters" in message:
        return "write the name as text: well_profiles('nuclei')"
    wrong = _MACRO.search(message)
    if wrong is not None and wrong[1] in known:
        return f"write {known[wrong[1]].signature}"
    table = _TABLE_FUNCTION.search(message)
    if table is not None and table[1] in known:
        return f"{table[1]} gives a table: FROM {known[table[1]].signature}"
    absent = _NO_FUNCTION.search(message)
    if absent is None:
        return None
    if absent[2].lower() in known:
        one = known[absent[2].lower()]
        return (
            f"{one.name} is a view: FROM {one.name}"
            if one.kind == "view"
            else (f"{one.name} is an expression: SELECT {one.signature}")
        )
    in_from = absent[1] == "Table"
    ours = [one.name for one in known.values() if one.is_public and (one.kind == "table") == in_from]
    guess = nearest(absent[2], [*ours, *candidates])
    return None if guess is None else f"did you mean {guess!r}?"
