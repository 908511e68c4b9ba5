"""Rows as AnnData: numbers in ``X``, what is known of a row in ``obs``, of a feature in ``var``, of all in ``uns``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InvalidDataError, MissingExtraError
from .columns import IDENTITY, Columns
from .writers import plain

if TYPE_CHECKING:
    import anndata
    import pandas
    from numpy.typing import NDArray

    from ..store.registry import DefinedSet
    from ..store.root import LakeRoot

#: What ``var`` tells of a feature, from the feature dictionary.
VAR_COLUMNS = (
    "object_set",
    "family",
    "operator",
    "channel_role",
    "second_channel_role",
    "scale",
    "unit",
    "definition",
    "source",
    "original",
)
#: Identity that names a row only where rows would have one name without it.
_IF_NEEDED = ("acquisition_id", "timepoint")


def require_anndata() -> None:
    """Make sure that AnnData can be made.

    Raises
    ------
    MissingExtraError
        The library is not installed.
    """
    try:
        import anndata  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("anndata is not installed", hint="pip install 'cytolake[anndata]'") from error


def to_anndata(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    columns: Columns,
    *,
    meanings: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> anndata.AnnData:
    """Put rows into an AnnData object.

    Parameters
    ----------
    columns
        Which columns are features; they become ``X``, of shape (rows, features): float32 where all of them are, else
        float64, NaN where there is no value.
    meanings
        Feature → what the dictionary says of it.
    facts
        What ``uns["cytolake"]`` says beside the runs and the fit versions of the rows.

    Raises
    ------
    MissingExtraError
        anndata is not installed.
    InvalidDataError
        There is no feature among the columns.
    """
    require_anndata()
    import anndata
    import pandas

    if not columns.features:
        raise InvalidDataError(
            "there is no column of numbers that could be a feature",
            hint="write it as Parquet or CSV; AnnData is for tables of features and profiles",
        )
    kinds = {schema.field(name).type for name in columns.features}
    dtype = np.dtype(np.float32 if kinds <= {pa.float32(), pa.float16()} else np.float64)
    blocks: list[NDArray[Any]] = []
    parts: list[pa.RecordBatch] = []
    kept = [*columns.identity, *columns.annotation]
    for batch in batches:
        blocks.append(_numbers(batch, columns.features, dtype))
        parts.append(batch.select(kept))
    matrix = _stacked(blocks, len(columns.features), dtype)
    rows = pa.Table.from_batches(parts, schema=pa.schema([schema.field(name) for name in kept]))
    obs = pandas.DataFrame({name: _series(rows[name]) for name in kept}, index=_index(_row_names(rows)))
    var = pandas.DataFrame(_var(columns.features, meanings), index=_index(columns.features))
    uns = {"cytolake": {**facts, **_of_rows(rows)}}
    return anndata.AnnData(X=matrix, obs=obs, var=var, uns=uns)


def meanings_of(root: LakeRoot, tables: Iterable[str], features: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return feature → what the dictionary says of it, under the sets of tables and the sets that those start from."""
    found: dict[str, dict[str, Any]] = {}
    hashes = [one.hash for one in sets_of(root, tables, with_sources=True)]
    wanted = set(features)
    rows = root.tables.read("feature_dictionary", where={"feature_set_hash": hashes}).to_pylist() if hashes else []
    # The first set knows best: a profile set what its steps made, its source what was measured.
    for row in sorted(rows, key=lambda row: hashes.index(row["feature_set_hash"])):
        if row["column"] in wanted:
            found.setdefault(row["column"], row)
    return found


def sets_of(root: LakeRoot, tables: Iterable[str], *, with_sources: bool = False) -> list[DefinedSet]:
    """Return the feature sets and profile sets whose rows are in tables, perhaps with those that they start from."""
    from ..store.registry import feature_sets, profile_sets

    known: list[DefinedSet] = [*feature_sets(root), *profile_sets(root)]
    by_hash = {one.hash: one for one in known}
    names = set(tables)
    found = [one for one in known if any(one.table(part) in names for part in one.parts)]
    for one in found if with_sources else ():  # grows while it is read
        source = by_hash.get(str((one.definition.get("source") or {}).get("hash")))
        if source is not None and source not in found:
            found.append(source)
    return found


def _numbers(batch: pa.RecordBatch, features: Sequence[str], dtype: np.dtype[Any]) -> NDArray[Any]:
    block = np.empty((batch.num_rows, len(features)), dtype=dtype)
    for number, name in enumerate(features):
        block[:, number] = batch.column(name).to_numpy(zero_copy_only=False)
    return block


def _stacked(blocks: list[NDArray[Any]], features: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Put blocks below one another, and let go of each as soon as it is copied."""
    matrix = np.empty((sum(map(len, blocks)), features), dtype=dtype)
    at = 0
    blocks.reverse()
    while blocks:
        block = blocks.pop()
        matrix[at : at + len(block)] = block
        at += len(block)
    return matrix


def _row_names(rows: pa.Table) -> list[str]:
    """Return a name for each row: its identity, ``study/plate/A01/1/7``; the number of the row where it has none."""
    names = [name for name in IDENTITY if name in rows.column_names]
    short = [name for name in names if name not in _IF_NEEDED]
    for chosen in (short, names):
        columns = [rows[name].to_pylist() for name in chosen]
        made = ["/".join(str(value) for value in key if value is not None) for key in zip(*columns, strict=True)]
        if made and len(set(made)) == len(made):
            return made
    return [str(number) for number in range(rows.num_rows)]


def _index(names: Sequence[str]) -> pandas.Index[Any]:
    import pandas

    # Plain objects: writers of AnnData do not take every kind of text that pandas has.
    index: pandas.Index[Any] = pandas.Index(np.array(names, dtype=object), dtype=object)
    return index


def _series(column: pa.ChunkedArray[Any]) -> Any:
    """Return a column of ``obs``: texts as categories, numbers and truth values that may be missing as pandas' own."""
    import pandas

    kind = column.type
    if pa.types.is_floating(kind):
        return column.to_numpy(zero_copy_only=False).astype(np.float64)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        if not column.null_count:
            return column.to_numpy(zero_copy_only=False)
        empty: Any = pc.fill_null(column, pa.scalar(0).cast(kind))
        mask = np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False), dtype=bool)
        made = pandas.arrays.BooleanArray if pa.types.is_boolean(kind) else pandas.arrays.IntegerArray
        return made(np.array(empty.to_numpy(zero_copy_only=False)), mask)
    return _categories([_text(value) for value in column.to_pylist()])


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    made = plain(value)
    return made if isinstance(made, str) else json.dumps(made, ensure_ascii=False, allow_nan=False)


def _categories(values: Sequence[Any]) -> pandas.Categorical:
    import pandas

    known = sorted({value for value in values if value is not None})
    return pandas.Categorical(values, categories=pandas.Index(np.array(known, dtype=object), dtype=object))


def _var(features: Sequence[str], meanings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in VAR_COLUMNS:
        values = [meanings.get(feature, {}).get(name) for feature in features]
        if name == "scale":
            columns[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        else:
            columns[name] = _categories(values)
    return columns


def _of_rows(rows: pa.Table) -> dict[str, Any]:
    """Return the runs that made rows, and the versions of fitted parameters in them."""
    found: dict[str, Any] = {}
    for column, name in (("run_id", "run_ids"), ("fit_version", "fit_versions")):
        if column in rows.column_names:
            values = sorted(value for value in pc.unique(rows[column]).to_pylist() if value is not None)
            found[name] = np.array(values, dtype=object if column == "run_id" else np.int64)
    return found
