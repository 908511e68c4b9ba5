"""Parquet files as streams of batches, column by column of those that are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ...errors import InvalidDataError, SourceFileError
from .look import FoundFile
from .raw import BATCH_BYTES, as_text, is_number

_INDEX = "__index_level_"  # what pandas calls an index without a name


class ParquetTable:
    """One Parquet file; see :class:`.raw.RawTable`."""

    def __init__(self, file: FoundFile) -> None:
        import pyarrow.parquet as pq

        self.name = file.name
        self.path = file.path
        self.size = file.size
        self._seen = 0
        try:
            schema = pq.read_schema(file.path)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(file.path, error) from error
        plain = [one for one in schema if not pa.types.is_nested(one.type) and not one.name.startswith(_INDEX)]
        self.columns = tuple(one.name for one in plain)
        if len(set(self.columns)) < len(self.columns):
            raise InvalidDataError(f"{file.name} has two columns of one name", hint="Rename or remove one.")
        self.numbers = frozenset(one.name for one in plain if is_number(one.type))
        self.mixed: Mapping[str, str] = {}  # a column has one type

    def done(self) -> int:
        """Return how many bytes were read by now."""
        return self._seen

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[pa.Table]:
        """Yield batches; see :meth:`.raw.RawTable.read`."""
        import pyarrow.parquet as pq

        wanted = list(dict.fromkeys((*numbers, *texts)))
        rows = max(1, min(65_536, BATCH_BYTES // (8 * max(1, len(wanted)))))
        self._seen = read = 0
        try:
            with pq.ParquetFile(self.path, pre_buffer=False) as file:
                total = file.metadata.num_rows
                for batch in file.iter_batches(batch_size=rows, columns=wanted, use_threads=True):
                    table = pa.Table.from_batches([batch])
                    columns: dict[str, Any] = {
                        name: as_text(table[name]) if name in texts else table[name].cast(pa.float64(), safe=False)
                        for name in wanted
                    }
                    read += table.num_rows
                    self._seen = self.size * read // max(1, total)
                    yield pa.table(columns)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, error) from error
        self._seen = self.size


def _damaged(path: Any, error: BaseException) -> SourceFileError:
    text = str(error)
    return SourceFileError(
        f"{path} is damaged: {text.splitlines()[0] if text else type(error).__name__}", hint="Copy the file anew."
    )
