"""What the given files are, by their content: text tables, Parquet, SQLite, or something else.

Dialects look at :class:`FoundFile` values. A look reads the beginning of a file, once, and never runs anything in it.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

import pyarrow as pa

from ...errors import InvalidDataError, NotFoundError, SourceFileError, StorageError

Kind = Literal["text", "parquet", "sqlite", "other"]

_SQLITE = b"SQLite format 3\x00"
_PARQUET = b"PAR1"
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz"}
#: Bytes of the beginning that are looked at, unpacked: a header of 6,000 columns has about 300 kB.
HEAD = 4 << 20
_ROWS = 1000
_DELIMITERS = (",", "\t", ";", "|")
_MOST_FILES = 100_000

# A cell of a text table, at most; CellProfiler writes whole pipelines into one.
csv.field_size_limit(64 << 20)


@dataclass(frozen=True, slots=True)
class TextHead:
    """The beginning of a text table.

    Attributes
    ----------
    encoding
        ``utf-8``, ``utf-16`` or ``latin-1``: that in which the beginning can be read.
    delimiter
        What stands between two cells.
    rows
        The first rows, as they are, header or not; the last one may be cut off.
    """

    encoding: str
    delimiter: str
    rows: tuple[tuple[str, ...], ...]


class FoundFile:
    """One file that may hold tables.

    Parameters
    ----------
    path
        Where it is.
    name
        What messages call it: relative to the folder that was given.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"FoundFile({self.name!r})"

    @property
    def folder(self) -> Path:
        """The folder that it lies in."""
        return self.path.parent

    @property
    def stem(self) -> str:
        """Its name without endings of compression and format."""
        name = self.path.name
        for endings in ((".gz", ".bz2", ".zst", ".xz"), (".csv", ".tsv", ".txt", ".tab", ".parquet", ".sqlite", ".db")):
            found = next((e for e in endings if name.lower().endswith(e)), None)
            name = name[: -len(found)] if found else name
        return name

    @cached_property
    def packed(self) -> str | None:
        """How it is compressed, by its first bytes."""
        start = self._start(6)
        return next((how for magic, how in _PACKED.items() if start.startswith(magic)), None)

    @cached_property
    def kind(self) -> Kind:
        """What it is, by its first bytes."""
        start = self._start(16)
        if start == _SQLITE:
            return "sqlite"
        if start.startswith(_PARQUET):
            return "parquet"
        return "text" if self.text is not None else "other"

    @cached_property
    def text(self) -> TextHead | None:
        """The beginning of a text table; None where the file is none."""
        if self._start(16) == _SQLITE or self._start(4) == _PARQUET:
            return None
        return text_head(self.head)

    @cached_property
    def head(self) -> bytes:
        """The first :data:`HEAD` bytes, unpacked."""
        try:
            with self.open() as file:
                return file.read(HEAD)
        except (OSError, EOFError, pa.ArrowException) as error:
            raise SourceFileError(f"{self.path} cannot be read: {error}") from error

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names in the first row of a text table, or the columns of a Parquet file; none of anything else."""
        if self.kind == "parquet":
            import pyarrow.parquet as pq

            try:
                return tuple(pq.read_schema(self.path).names)
            except (OSError, pa.ArrowException) as error:
                raise SourceFileError(
                    f"{self.path} is damaged: {str(error).splitlines()[0]}", hint="Copy the file anew."
                ) from error
        return self.text.rows[0] if self.kind == "text" and self.text else ()

    def open(self) -> IO[bytes]:
        """Open the file to be read from the start, unpacked."""
        return open_unpacked(self.path, self.packed)

    def _start(self, count: int) -> bytes:
        return self._first_bytes[:count]

    @cached_property
    def _first_bytes(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                return file.read(16)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {error.strerror}") from error


def open_unpacked(source: Path | BinaryIO, packed: str | None) -> IO[bytes]:
    """Open a file that may be compressed; one that is open already is left to its opener to close."""
    file: Any = source
    if packed == "gzip":
        import gzip

        file = gzip.open(source, "rb")  # noqa: SIM115 - the caller closes it
    elif packed == "bz2":
        import bz2

        file = bz2.open(source, "rb")  # noqa: SIM115
    elif packed == "xz":
        import lzma

        file = lzma.open(source, "rb")  # noqa: SIM115
    elif packed == "zstd":
        file = pa.CompressedInputStream(file, "zstd")
    elif isinstance(source, Path):
        file = source.open("rb")
    opened: IO[bytes] = file
    return opened


def text_head(head: bytes) -> TextHead | None:
    """Read the beginning of a text table; None where it is no text, or has no second column."""
    encoding = _encoding(head)
    if encoding is None:
        return None
    try:
        text = head.decode(encoding, errors="ignore").removeprefix("\ufeff")
    except UnicodeError:
        return None
    line = next((one for one in text.splitlines() if one.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda one: _cells(line, one))
    if _cells(line, delimiter) < 2:
        # A preamble may stand above the table.
        lines = text.splitlines()[:_ROWS]
        delimiter = max(_DELIMITERS, key=lambda one: max((_cells(line, one) for line in lines), default=0))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = tuple(tuple(row) for row in itertools.islice(reader, _ROWS) if row)
    except csv.Error:
        return None
    return TextHead(encoding, delimiter, rows) if any(len(row) > 1 for row in rows) else None


def _cells(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return 0


def _encoding(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\x00" in head:
        return None
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not a character that the end of the look cuts in two
            return "latin-1"
    return "utf-8"


def find_files(given: Sequence[Path]) -> list[FoundFile]:
    """Return the files that are meant: those named, and all in the folders that are named, sorted.

    Hidden files are left out, and links in folders are not followed.

    Raises
    ------
    NotFoundError
        Something that was named does not exist, or a folder holds no file.
    InvalidDataError
        There are more files than anybody imports at once.
    """
    found: dict[Path, FoundFile] = {}
    for one in given:
        if one.is_dir():
            below = sorted(itertools.islice(_below(one), _MOST_FILES + 1))
            if not below:
                raise NotFoundError(f"{one} holds no files")
            if len(below) > _MOST_FILES:
                raise InvalidDataError(
                    f"{one} holds more than {_MOST_FILES:,} files", hint="Name the tables, or the folder they lie in."
                )
            for path in below:
                found.setdefault(path.resolve(), FoundFile(path, str(path.relative_to(one))))
        elif one.is_file():
            found.setdefault(one.resolve(), FoundFile(one, one.name))
        else:
            raise NotFoundError(f"there is no file or folder {one}")
    return list(found.values())


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _below(path)
        elif path.is_file():
            yield path
