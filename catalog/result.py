"""The answer to a question: computed when it is taken, streamed where it can be, in the form that is asked for."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import CytolakeError, MissingExtraError, QueryError, UsageError
from .interruption import interruptible
from .messages import FileIsGoneError, cleaned
from .writers import as_html, as_text, known_format, suffix_format, write_file, write_stream

if TYPE_CHECKING:
    import anndata
    import pandas
    import polars
    import pyarrow.dataset as ds

    from .explanation import Explanation

T = TypeVar("T")

#: Rows that a printed answer shows.
SHOWN_ROWS = 20
_BATCH = 122_880
#: Bytes that a batch of numbers takes at most, and rows that it has at least.
_BATCH_BYTES, _FEWEST = 64 * 2**20, 2048
#: What sums of integers are in DuckDB, and no data frame knows.
_WIDE_INTEGERS = {"HUGEINT", "UHUGEINT"}


@dataclass(frozen=True, slots=True)
class TableScan:
    """How many files of one table a question opens.

    Attributes
    ----------
    relation
        The name in the question, or what reads the table on its behalf (``wells of nuclei``).
    table, version
        The Delta table, and its version; None where nothing had been written to it.
    files_considered, files_opened
        Files of the table at that version, and those that the question reads.
    from_log
        Whether the log says what is asked about the files that are not opened.
    """

    relation: str
    table: str
    version: int | None
    files_considered: int
    files_opened: int
    from_log: bool = False

    @property
    def files_pruned(self) -> int:
        """Files that were left out."""
        return self.files_considered - self.files_opened


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question that is bound to files and checked, ready to run."""

    connection: duckdb.DuckDBPyConnection
    names: list[str]
    types: list[str]
    scans: tuple[TableScan, ...]
    known_columns: tuple[str, ...]
    paths: tuple[str, ...]
    explanation: Explanation | None = None
    #: What to run instead of the question, where the log has the answer; then the tables are bound by ``whole`` alone.
    text: str | None = None
    whole: Callable[[], Prepared] | None = None
    #: The question as it was bound for the names and types, and its cursor. Who runs it first takes it out: binding
    #: hundreds of columns once more would take as long as running.
    ready: list[tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation]] = field(default_factory=list)


class Result:
    """The answer to one question.

    Nothing is computed before it is taken; :meth:`to_arrow` keeps what it computed. When a data file disappears under
    the question, because somebody compacted the table and cleaned up, it is asked once more of the table as it is now.

    Attributes
    ----------
    query
        The question.
    scans
        Which tables it reads, and how many of their files.
    files
        Gives the files that are these rows, where there are such (see :meth:`dataset`).
    """

    def __init__(
        self,
        query: str,
        prepare: Callable[[], Prepared],
        *,
        annotated: Callable[[Result], anndata.AnnData] | None = None,
    ) -> None:
        self.query = query
        self.files: Callable[[], ds.Dataset | None] | None = None
        self._prepare = prepare
        self._annotated = annotated
        self._table: pa.Table | None = None
        self._tables: Prepared | None = None
        try:
            self._prepared = prepare()
        except FileIsGoneError:
            self._prepared = prepare()

    @property
    def scans(self) -> tuple[TableScan, ...]:
        """Which tables the question reads, and how many of their files."""
        return self._prepared.scans

    def explained(self) -> dict[str, Any]:
        """Return which files the question reads, and why not the others; see :meth:`.query.Catalog.explain`."""
        assert self._prepared.explanation is not None
        return self._prepared.explanation.of(self._prepared.scans)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, made unique: a second ``plate_id`` is ``plate_id_1``."""
        return _unique(self._prepared.names)

    @property
    def types(self) -> list[str]:
        """The SQL types of the columns."""
        return list(self._prepared.types)

    def to_arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        if self._table is None:
            self._table = self._take(lambda schema, batches: pa.Table.from_batches(batches, schema=schema))
        return self._table

    def to_pandas(self) -> pandas.DataFrame:
        """Return all rows as a pandas data frame.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            raise _missing("pandas") from error
        return self.to_arrow().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """Return all rows as a polars data frame.

        Raises
        ------
        MissingExtraError
            polars is not installed.
        """
        try:
            import polars
        except ImportError as error:
            raise _missing("polars") from error
        return polars.DataFrame(self.to_arrow())

    def dataset(self) -> ds.Dataset:
        """Return the rows as a dataset of Arrow.

        For a whole table of the lake it stands for the table's files, and nothing has been read; for the answer to any
        other question, and for views, it holds the rows.
        """
        import pyarrow.dataset as ds

        made = self.files() if self.files is not None else None
        return ds.dataset(self.to_arrow()) if made is None else made

    def to_anndata(self) -> anndata.AnnData:
        """Return all rows as AnnData.

        Columns of numbers with a fraction that are no columns of identity or annotation are features: they are ``X``,
        and ``var`` says what the feature dictionary knows of them. All other columns are ``obs``; ``uns["cytolake"]``
        names the versions of the tables, the sets and the runs.

        Raises
        ------
        MissingExtraError
            anndata is not installed.
        InvalidDataError
            No column is a feature.
        """
        if self._annotated is None:
            raise UsageError("this answer has no lake behind it", hint="ask the lake itself")
        return self._annotated(self)

    def schema(self) -> pa.Schema:
        """Return the names and Arrow types of the columns; nothing is computed."""
        if self._table is not None:
            return self._table.schema
        query = f"SELECT * FROM ({self._prepared.text or self.query}) LIMIT 0"  # noqa: S608 - asked already
        return self._again(query, self._prepared).to_arrow().schema

    def batches(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Return the schema and all rows as Arrow batches; memory stays flat where the question itself allows it."""
        return self._steady()

    def again(self, query: str) -> Result:
        """Ask another question of the same versions of the same tables, by the names that this one used.

        ``query`` must be one that reads: it is not looked at again.
        """
        if self._prepared.whole is not None and self._tables is None:
            self._tables = self._prepared.whole()
        return self._again(query, self._tables or self._prepared)

    @staticmethod
    def _again(query: str, bound: Prepared) -> Result:
        def prepare() -> Prepared:
            cursor = bound.connection.cursor()
            shape = cursor.sql(query)
            names, types = list(shape.columns), [str(kind) for kind in shape.types]
            return replace(bound, names=names, types=types, text=None, whole=None, ready=[(cursor, shape)])

        return Result(query, prepare)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows as tuples of Python values."""
        return list(_tuples(self.to_arrow()))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return all rows as dictionaries of Python values."""
        return list(self.to_arrow().to_pylist())

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows as tuples; memory stays flat where the question itself allows it."""
        _, batches = self._steady()
        for batch in batches:
            yield from _tuples(pa.Table.from_batches([batch]))

    def write(self, target: str | os.PathLike[str] | IO[bytes], format: str | None = None) -> int:
        """Write all rows to a file or a binary stream, batch by batch.

        Parameters
        ----------
        target
            A path, where the file appears whole or not at all; or a stream that takes bytes.
        format
            ``csv``, ``csv.gz``, ``json`` (a list of row objects), ``arrow`` (an IPC stream) or ``parquet``; from the
            suffix of the path where None.

        Returns
        -------
        int
            How many rows there were.

        Raises
        ------
        UsageError
            The format is unknown, or there is none and the target has no suffix that says it.
        StorageError
            The file cannot be written.
        """
        if isinstance(target, str | os.PathLike):
            path = Path(target)
            kind = known_format(format or suffix_format(path))
            return self._take(lambda schema, batches: write_file(path, kind, schema, batches))
        schema, batches = self._steady()
        return write_stream(target, known_format(format or ""), schema, batches)

    def head(self, rows: int = SHOWN_ROWS) -> pa.Table:
        """Return the first rows, without computing the others where the question allows that."""
        if self._table is not None:
            return self._table.slice(0, rows)
        schema, batches = self._steady()
        taken: list[pa.RecordBatch] = []
        while sum(batch.num_rows for batch in taken) < rows and (batch := next(batches, None)) is not None:
            taken.append(batch)
        return pa.Table.from_batches(taken, schema=schema).slice(0, rows)

    def to_text(self, rows: int = SHOWN_ROWS, *, width: int | None = None) -> str:
        """Return the first rows as a table to look at, at most ``width`` signs wide if it is given."""
        return as_text(self.head(rows + 1), shown=rows, width=width)

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return as_html(self.head(SHOWN_ROWS + 1), shown=SHOWN_ROWS)

    def _take(self, take: Callable[[pa.Schema, Iterator[pa.RecordBatch]], T]) -> T:
        """Run the question and give its rows to ``take``; once more if a file disappears meanwhile."""
        if self._table is not None:
            return take(self._table.schema, iter(self._table.to_batches()))
        try:
            return take(*self._stream())
        except FileIsGoneError:
            self._prepared = self._prepare()
        return take(*self._stream())

    def _steady(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Return a stream of rows that has begun to flow; it can be asked again until then, not later."""

        def begun(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
            first = next(batches, None)
            return schema, itertools.chain([] if first is None else [first], batches)

        return self._take(begun)

    def _stream(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        bound: duckdb.DuckDBPyRelation | None = None
        try:
            cursor, bound = self._prepared.ready.pop()
        except IndexError:
            # A cursor of its own: an unfinished stream owns its connection.
            cursor = self._prepared.connection.cursor()

        def begun() -> pa.RecordBatchReader:
            asked = bound if bound is not None else cursor.sql(self._prepared.text or self.query)
            reader: pa.RecordBatchReader = asked.to_arrow_reader(self._rows_at_once())
            return reader

        try:
            reader = interruptible(begun, [cursor])
        except duckdb.Error as error:
            raise self._ours(error) from error
        schema = told(reader.schema, self._prepared.names, self._prepared.types)

        def flow() -> Iterator[pa.RecordBatch]:
            try:
                while (batch := interruptible(lambda: next(reader, None), [cursor])) is not None:
                    yield conformed(batch, schema)
            except (duckdb.Error, OSError) as error:  # Arrow reports the engine's errors as OSError
                raise self._ours(error) from error
            finally:
                cursor.close()

        return schema, flow()

    def _rows_at_once(self) -> int:
        """Return how many rows a batch has: fewer of a wide table, so that a batch takes no more memory."""
        return max(_FEWEST, min(_BATCH, _BATCH_BYTES // (8 * max(len(self._prepared.names), 1))))

    def _ours(self, error: BaseException) -> CytolakeError:
        return cleaned(error, self.query, columns=self._prepared.known_columns, paths=self._prepared.paths)


def told(schema: pa.Schema, names: Sequence[str], types: Sequence[str]) -> pa.Schema:
    """Return the schema of an answer: names made unique, and sums of integers as data frames know integers.

    Parameters
    ----------
    schema
        As DuckDB gives it.
    names, types
        The names and SQL types of the columns.
    """
    return pa.schema(
        [
            pa.field(name, pa.int64() if kind in _WIDE_INTEGERS else field.type)
            for name, kind, field in zip(_unique(names), types, schema, strict=True)
        ]
    )


def conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the names and types of ``schema``.

    Raises
    ------
    QueryError
        A whole number does not fit 64 bits.
    """
    columns = []
    for column, one in zip(batch.columns, schema, strict=True):
        if column.type == one.type:
            columns.append(column)
            continue
        try:
            columns.append(pc.cast(column, one.type))
        except pa.ArrowInvalid as error:
            raise QueryError(
                f"column {one.name!r} has a whole number that does not fit 64 bits",
                hint="cast it to DOUBLE in the question",
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _unique(names: Sequence[str]) -> list[str]:
    made: dict[str, None] = {}
    counts: dict[str, int] = {}
    for name in names:
        count, unique = counts.get(name, 0), name
        while unique in made:
            count += 1
            unique = f"{name}_{count}"
        made[unique] = None
        counts[name] = count
    return list(made)


def _tuples(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    if not table.num_columns:
        return iter(())
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _missing(library: str) -> MissingExtraError:
    return MissingExtraError(f"{library} is not installed", hint="pip install 'cytolake[frames]'")
