"""The files of a split: Parquet, NumPy arrays, AnnData. The same rows make the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..annotated import require_anndata, to_anndata
from ..columns import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of a data set.

    Attributes
    ----------
    identity, annotation
        Name → type of the columns that say which row it is, and of what is known of it: group, kept columns, labels.
    labels
        Those that are labels.
    classes
        Label → its classes, in the order of their codes; a label of numbers has none.
    features
        The features, all of ``dtype``.
    rows
        Split → how many rows it has.
    """

    identity: Mapping[str, pa.DataType]
    annotation: Mapping[str, pa.DataType]
    labels: tuple[str, ...]
    classes: Mapping[str, Sequence[Any]]
    features: tuple[str, ...]
    dtype: np.dtype[Any]
    rows: Mapping[str, int]

    @property
    def facts(self) -> dict[str, pa.DataType]:
        """Every column that is no feature."""
        return {**self.identity, **self.annotation}

    def schema(self, *, with_features: bool = True) -> pa.Schema:
        """Return the schema of a file."""
        kind = pa.from_numpy_dtype(self.dtype)
        features = [pa.field(name, kind) for name in self.features] if with_features else []
        return pa.schema([*(pa.field(name, one) for name, one in self.facts.items()), *features])


class ParquetFiles:
    """A split as one Parquet file, or as several of a number of rows each in a folder."""

    def __init__(self, folder: Path, split: str, layout: Layout, *, rows_per_file: int | None = None) -> None:
        self._folder = folder
        self._split = split
        self._schema = layout.schema()
        self._most = rows_per_file
        self._file = 0
        self._in_file = 0
        self._writer: pq.ParquetWriter | None = None

    def _open(self) -> pq.ParquetWriter:
        path = self._folder / f"{self._split}.parquet"
        if self._most is not None:
            path = self._folder / self._split / f"part-{self._file:05}.parquet"
            path.parent.mkdir(exist_ok=True)
        facts: Any = [field.name for field in self._schema if not pa.types.is_floating(field.type)]
        # Measured numbers gain nothing from a dictionary, and nobody looks for one by its bounds.
        return pq.ParquetWriter(path, self._schema, use_dictionary=facts, write_statistics=facts, **_PARQUET)

    def write(self, facts: Mapping[str, pa.Array[Any]], block: NDArray[Any]) -> None:
        """Take the next rows; ``block`` are the features, of shape (features, rows)."""
        arrays = [*facts.values(), *(pa.array(values, from_pandas=True) for values in block)]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        while table.num_rows:
            if self._writer is None:
                self._writer = self._open()
            fits = table.num_rows if self._most is None else self._most - self._in_file
            part, table = table.slice(0, fits), table.slice(fits)
            self._writer.write_table(part, row_group_size=max(part.num_rows, 1))
            self._in_file += part.num_rows
            if self._in_file == self._most:
                self.close()

    def close(self) -> None:
        """Finish the file that is open."""
        if self._writer is not None:
            self._writer.close()
            self._writer, self._in_file = None, 0
            self._file += 1


class NumpyFiles:
    """A split as ``X.npy``, ``y.npy`` (``y-<label>.npy`` where there are several), and ``rows.parquet`` beside them.

    ``y`` is a class's code, -1 without one, as int64; or a number as float64, NaN without one.
    """

    def __init__(self, folder: Path, split: str, layout: Layout) -> None:
        here = folder / split
        here.mkdir()
        rows = layout.rows[split]
        self._layout = layout
        self._at = 0
        shape = (rows, len(layout.features))
        self._values = np.lib.format.open_memmap(here / "X.npy", mode="w+", dtype=layout.dtype, shape=shape)
        self._labels: dict[str, Any] = {}
        for label in layout.labels:
            name = "y.npy" if len(layout.labels) == 1 else f"y-{label}.npy"
            kind = np.int64 if label in layout.classes else np.float64
            self._labels[label] = np.lib.format.open_memmap(here / name, mode="w+", dtype=kind, shape=(rows,))
        schema = layout.schema(with_features=False)
        self._facts = pq.ParquetWriter(here / "rows.parquet", schema, **_PARQUET)

    def write(self, facts: Mapping[str, pa.Array[Any]], block: NDArray[Any]) -> None:
        """Take the next rows."""
        here = slice(self._at, self._at + block.shape[1])
        self._values[here] = block.T
        for label, values in self._labels.items():
            if label in self._layout.classes:
                values[here] = codes(facts[label], self._layout.classes[label])
            else:
                values[here] = facts[label].to_numpy(zero_copy_only=False)
        table = pa.Table.from_arrays(list(facts.values()), schema=self._layout.schema(with_features=False))
        self._facts.write_table(table)
        self._at = here.stop

    def close(self) -> None:
        """Finish the files."""
        for values in (self._values, *self._labels.values()):
            values.flush()
        self._facts.close()


def codes(values: pa.Array[Any], classes: Sequence[Any]) -> NDArray[np.int64]:
    """Return the position of each value among classes, -1 where it has none."""
    places: Any = pc.index_in(values, value_set=pa.array(classes, type=values.type))
    found: Any = pc.fill_null(places, -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def describe_arrays(folder: Path, layout: Layout) -> None:
    """Write what the arrays mean: ``features.json``, the columns of X; ``labels.json``, the codes of y."""
    _dump(folder / "features.json", list(layout.features))
    _dump(
        folder / "labels.json", {name: list(layout.classes[name]) for name in layout.labels if name in layout.classes}
    )


def write_anndata(
    folder: Path, split: str, layout: Layout, meanings: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Any]
) -> None:
    """Turn the Parquet file of a split into ``<split>.h5ad``; the split is in memory meanwhile."""
    require_anndata()
    source = folder / f"{split}.parquet"
    columns = Columns(tuple(layout.identity), tuple(layout.annotation), layout.features)
    with pq.ParquetFile(source) as file:
        made = to_anndata(file.schema_arrow, file.iter_batches(), columns, meanings=meanings, facts=facts)
    made.write_h5ad(folder / f"{split}.h5ad")
    source.unlink()


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n", encoding="utf-8")
