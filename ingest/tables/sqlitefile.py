"""SQLite files as streams: opened read-only, nothing in them is run, views and triggers are left alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...errors import InvalidDataError, SourceFileError
from .look import FoundFile
from .raw import BATCH_BYTES, NO_NUMBER, decoded, first_word

_SAMPLE = 1000
_EMPTY = frozenset(NO_NUMBER)
_LONGEST = 256 << 20  # bytes of one cell: CellProfiler keeps its whole pipeline in one
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_ASKED = frozenset({"table_info", "table_xinfo"})


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for reading; no statement in it or from it can write, attach or call anything."""
    for ending in ("-wal", "-journal"):
        beside = Path(f"{path}{ending}")
        if beside.is_file() and beside.stat().st_size:
            raise SourceFileError(
                f"{path} is not complete: {beside.name} beside it holds changes that are not in it yet",
                hint="Close the program that writes it, or open and close it once with sqlite3.",
            )
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        connection.text_factory = decoded
        connection.set_authorizer(_authorize)
    except sqlite3.Error as error:
        raise _damaged(path, error) from error
    return connection


def _authorize(action: int, first: str | None, second: str | None, database: str | None, by: str | None) -> int:
    """Allow to read tables directly, and nothing else: what a view or a trigger would read has a name in ``by``."""
    asked = action == sqlite3.SQLITE_PRAGMA and first in _ASKED
    return sqlite3.SQLITE_OK if by is None and (action in _ALLOWED or asked) else sqlite3.SQLITE_DENY


def table_names(path: Path) -> list[str]:
    """Return the names of the ordinary tables of a database: no views, no virtual tables.

    Raises
    ------
    SourceFileError
        The file is damaged.
    """
    with closing(connect(path)) as connection:
        try:
            rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        except sqlite3.Error as error:
            raise _damaged(path, error) from error
    return [
        str(name)
        for name, sql in rows
        if not str(name).startswith("sqlite_") and not str(sql or "").lstrip().upper().startswith("CREATE VIRTUAL")
    ]


class SqliteTable:
    """One table of a database; see :class:`.raw.RawTable`.

    What SQLite says of types binds nobody, so the first rows decide which columns are numbers.
    """

    def __init__(self, file: FoundFile, table: str) -> None:
        self.path = file.path
        self.name = f"{file.name}: {table}"
        self.table = table
        self.size = file.size
        self._seen = 0
        with closing(connect(file.path)) as connection:
            try:
                declared = connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
                self.columns = tuple(str(row[1]) for row in declared)
                names = ", ".join(map(_quoted, self.columns))
                query = f"SELECT {names} FROM {_quoted(table)} LIMIT {_SAMPLE}"  # noqa: S608 - names are quoted
                sample = connection.execute(query).fetchall()
                self._last = _last_row(connection, table)
            except sqlite3.Error as error:
                raise _damaged(file.path, error, table) from error
        cells = list(zip(*sample, strict=True)) or [()] * len(self.columns)
        self.numbers = frozenset(name for name, column in zip(self.columns, cells, strict=True) if _numeric(column))
        self.mixed: Mapping[str, str] = {
            name: word
            for name, column in zip(self.columns, cells, strict=True)
            if name not in self.numbers and (word := first_word(column)) is not None
        }

    def done(self) -> int:
        """Return how many bytes were read by now, by the share of its rows."""
        return self._seen

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[pa.Table]:
        """Yield batches; see :meth:`.raw.RawTable.read`."""
        wanted = list(dict.fromkeys((*numbers, *texts)))
        rows = max(1, min(16_384, BATCH_BYTES // (40 * max(1, len(wanted)))))
        read = self._seen = 0
        with closing(connect(self.path)) as connection:
            try:
                names = ", ".join(map(_quoted, wanted))
                cursor = connection.execute(f"SELECT {names} FROM {_quoted(self.table)}")  # noqa: S608
                while batch := cursor.fetchmany(rows):
                    columns = list(zip(*batch, strict=True))
                    yield pa.table(
                        {
                            name: _texts(column) if name in texts else self._floats(name, column, read)
                            for name, column in zip(wanted, columns, strict=True)
                        }
                    )
                    read += len(batch)
                    self._seen = min(self.size, self.size * read // max(1, self._last))
            except sqlite3.Error as error:
                raise _damaged(self.path, error, self.table) from error
        self._seen = self.size

    def _floats(self, name: str, cells: Sequence[Any], before: int) -> Any:
        try:
            return pa.array(cells, pa.float64())
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
        values: list[float | None] = []
        for row, cell in enumerate(cells, before + 1):
            if cell is None or (isinstance(cell, str) and cell.strip() in _EMPTY):
                values.append(None)
                continue
            try:
                values.append(float(cell))
            except (TypeError, ValueError):
                raise InvalidDataError(
                    f"{self.path}: column {name} of table {self.table} holds numbers in the first rows, and "
                    f"{str(cell)[:80]!r} in row {row:,}",
                    hint="Correct that cell; a column is either numbers or text.",
                ) from None
        return pa.array(values, pa.float64())


def _last_row(connection: sqlite3.Connection, table: str) -> int:
    """Return about how many rows a table has, without counting them; 0 for one that does not number its rows."""
    try:
        query = f"SELECT rowid FROM {_quoted(table)} ORDER BY rowid DESC LIMIT 1"  # noqa: S608
        found = connection.execute(query).fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(found[0]) if found else 0


def _numeric(cells: Sequence[Any]) -> bool:
    for cell in cells:
        if cell is None or isinstance(cell, int | float):
            continue
        if not isinstance(cell, str):
            return False
        if cell.strip() not in _EMPTY:
            try:
                float(cell)
            except ValueError:
                return False
    return True


def _texts(cells: Sequence[Any]) -> Any:
    return pa.array([_text(cell) for cell in cells], pa.string())


def _text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, bytes):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip() or None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _damaged(path: Path, error: BaseException, table: str | None = None) -> SourceFileError:
    where = f"{path}: table {table}" if table else str(path)
    return SourceFileError(f"{where} cannot be read by SQLite: {error}", hint="Copy the file anew.")
