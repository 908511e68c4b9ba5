"""Rows of many plates, as they come, into one data file per plate: few files open, little kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ...store.datafiles import DataFile, DataFileWriter, delete_data_files

if TYPE_CHECKING:
    from ...store.storage import Storage

_ROW_GROUP_BYTES = 32 << 20
_BUFFERED_BYTES = 96 << 20
_MOST_OPEN = 64

_Key = tuple[str, str | None, tuple[str, ...]]


class PlateFiles:
    """The data files of an import while they are written.

    Used as a context manager: leaving it without :meth:`finish` removes all of them. A plate whose columns differ from
    file to file gets a data file for each.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._open: OrderedDict[_Key, DataFileWriter] = OrderedDict()
        self._waiting: dict[_Key, list[pa.Table]] = {}
        self._bytes: dict[_Key, int] = {}
        self._done: dict[tuple[str, str | None], list[DataFile]] = {}
        self._kept = False

    def __enter__(self) -> PlateFiles:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept:
            return
        for writer in self._open.values():
            writer.discard()
        for (table, _plate), files in self._done.items():
            delete_data_files(self._storage, table, files)

    def add(self, table: str, plate_id: str | None, rows: pa.Table) -> None:
        """Add rows of one plate (or of none) to a table."""
        key = (table, plate_id, tuple(rows.column_names))
        self._waiting.setdefault(key, []).append(rows)
        self._bytes[key] = self._bytes.get(key, 0) + rows.nbytes
        if self._bytes[key] >= _ROW_GROUP_BYTES:
            self._flush(key)
        while sum(self._bytes.values()) > _BUFFERED_BYTES:
            self._flush(max(self._bytes, key=lambda one: self._bytes[one]))

    def finish(self) -> dict[tuple[str, str | None], Sequence[DataFile]]:
        """Write what waits, close all files, and return them by table and plate; they are the caller's now."""
        for key in list(self._waiting):
            self._flush(key)
        for key in list(self._open):
            self._close(key)
        return dict(self._done)

    def keep(self) -> None:
        """Leave the files where they are: a commit names them."""
        self._kept = True

    def _flush(self, key: _Key) -> None:
        waiting = self._waiting.pop(key, [])
        self._bytes.pop(key, None)
        if not waiting:
            return
        rows = pa.concat_tables(waiting).combine_chunks()
        writer = self._open.pop(key, None)
        if writer is None:
            writer = DataFileWriter(self._storage, key[0], rows.schema)
        self._open[key] = writer
        writer.write(rows)
        while len(self._open) > _MOST_OPEN:
            self._close(next(iter(self._open)))

    def _close(self, key: _Key) -> None:
        table, plate_id, _ = key
        self._done.setdefault((table, plate_id), []).append(self._open[key].finish())
        del self._open[key]
