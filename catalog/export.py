"""Tables and views handed out as files: Parquet and CSV as pycytominer and copairs expect them, and AnnData.

A file appears whole or not at all, and the same rows make the same file. Parquet and CSV are written piece by piece, so
that a table may be larger than memory; AnnData is built in memory.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import AlreadyExistsError, StorageError, UsageError
from ..wording import did_you_mean, listed
from .annotated import meanings_of, require_anndata, sets_of, to_anndata
from .columns import LAYOUTS, Columns, Layout, compartments
from .messages import FileIsGoneError
from .query import Catalog
from .result import Result
from .selection import Selection
from .writers import write_file

if TYPE_CHECKING:
    from ..store.root import LakeRoot

T = TypeVar("T")
Progress = Callable[[int, int], None]

#: Ending of a file → its format.
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv.gz",
    ".h5ad": "h5ad",
    ".zarr": "zarr",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
_ANNDATA = {"h5ad", "zarr"}
#: What pycytominer takes for features where it is not told otherwise.
_COMPARTMENTS = {"Cells", "Cytoplasm", "Nuclei"}
_SHOWN = 5


def export(
    root: LakeRoot,
    table: str,
    output: Path,
    *,
    where: str | None = None,
    study: str | None = None,
    plates: Sequence[str] = (),
    as_of: str | None = None,
    format: str | None = None,
    layout: Layout | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write rows of a table or view to a file.

    Parameters
    ----------
    table
        A view (``nuclei``, ``profiles``, ``treatment_profiles``) or a table, such as
        ``profiles/<name>/<hash8>/well``.
    output
        The file, or the folder of a Zarr.
    where
        A condition in SQL, as behind WHERE.
    study, plates
        Rows of these alone.
    as_of
        Of the lake as it was: a release, or a time.
    format
        ``parquet``, ``csv``, ``csv.gz``, ``h5ad`` or ``zarr``; by the ending of ``output`` where None.
    layout
        Names of columns in Parquet and CSV. ``pycytominer``: ``Metadata_Plate``, ``Metadata_Well`` and so on, features
        under their names, and what is known of its well beside each row; ``plain``: as the lake has them. Where None,
        the first for tables of features and profiles, the second for others.
    overwrite
        Whether a file that is there may be replaced.

    Returns
    -------
    dict
        ``path``, ``format``, ``layout`` (None for AnnData), ``table``, ``rows``, ``columns`` and ``features`` (how
        many), ``bytes``, ``tables`` (name → version that was read), ``sets`` (labels) and ``warnings``.

    Raises
    ------
    UsageError
        The format is unknown, or the layout.
    AlreadyExistsError
        The file is there.
    QueryError
        There is no such table, or ``where`` is no condition.
    NotFoundError
        Nothing is found of a study, plate or condition that was named, or there is no such release.
    MissingExtraError
        AnnData is asked for and not installed.
    InvalidDataError
        AnnData is asked for and the table has no features.
    StorageError
        The file cannot be written.
    """
    kind = _format(output, format)
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(
            f"{layout!r} is no layout{did_you_mean(layout, LAYOUTS)}", hint=f"layouts are {listed(LAYOUTS, _SHOWN)}"
        )
    _check_target(output, overwrite)
    if kind in _ANNDATA:
        require_anndata()

    def write() -> dict[str, Any]:
        selection = Selection(
            Catalog(root),
            table,
            where=where,
            study=study,
            plates=plates,
            as_of=as_of,
            with_wells=layout != "plain" or kind in _ANNDATA,
        )
        chosen: Layout = layout or ("pycytominer" if selection.is_of_sets else "plain")
        if kind in _ANNDATA:
            rows = _write_anndata(root, selection, output, kind, as_of)
            names = list(selection.columns.names)
        else:
            renamed = selection.columns.renamed(chosen)
            names = list(renamed.values())
            rows = _write_rows(selection, output, kind, names)
        read = _read(selection.result)
        return {
            "path": str(output),
            "format": kind,
            "layout": None if kind in _ANNDATA else chosen,
            "table": selection.name,
            "rows": rows,
            "columns": len(names),
            "features": len(selection.columns.features),
            "bytes": _size(output),
            "tables": read,
            "sets": [one.label for one in sets_of(root, read)],
            "warnings": _warnings(selection, rows, kind, chosen),
        }

    return _once_more(write)


def described(
    root: LakeRoot, result: Result, columns: Columns, as_of: object
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return what the lake knows of an answer: feature → its meaning, and what ``uns["cytolake"]`` says."""
    from .. import __version__

    read = _read(result)
    sets = sets_of(root, read)
    facts = {
        "version": __version__,
        "lake": root.config.name,
        "query": result.query,
        "as_of": str(as_of or "now"),
        "tables": [f"{name}@{version}" for name, version in sorted(read.items())],
        "feature_sets": {one.label: one.hash for one in sets if one.kind == "features"},
        "profile_sets": {one.label: one.hash for one in sets if one.kind == "profiles"},
    }
    return meanings_of(root, read, columns.features), facts


def _read(result: Result) -> dict[str, int]:
    """Return the tables that a question reads, each with its version."""
    return {scan.table: scan.version for scan in result.scans if scan.version is not None}


def _format(output: Path, format: str | None) -> str:
    if format is not None:
        if format not in FORMATS:
            raise UsageError(
                f"{format!r} is no format of an export{did_you_mean(format, FORMATS)}",
                hint=f"formats are {', '.join(FORMATS)}",
            )
        return format
    name = output.name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return SUFFIXES[suffix]
    raise UsageError(
        f"{output}: its ending says no format", hint=f"end it in {', '.join(SUFFIXES)}, or name one with --format"
    )


def _check_target(output: Path, overwrite: bool) -> None:
    if not output.parent.is_dir():
        raise StorageError(f"{output.parent} is no folder", hint="make it first")
    if not output.exists():
        return
    if not overwrite:
        raise AlreadyExistsError(f"{output} is there already", hint="give it another name, or replace it: --overwrite")
    if output.is_dir() and not (output / "zarr.json").exists() and not (output / ".zgroup").exists():
        raise AlreadyExistsError(f"{output} is a folder and no Zarr; it is not replaced", hint="give another name")


def _once_more(write: Callable[[], T]) -> T:
    """Write once more if a data file disappears meanwhile, because somebody compacted the table and cleaned up."""
    try:
        return write()
    except FileIsGoneError:
        return write()


def _write_rows(selection: Selection, output: Path, kind: str, names: Sequence[str]) -> int:
    schema, batches = selection.stream()
    schema = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
    as_text = kind != "parquet"
    if as_text:
        schema = pa.schema([_as_text_field(field) for field in schema])

    def checked() -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            columns = [_iso(column) if as_text else column for column in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
        # Raised before the file is put in its place.
        selection.check_not_empty(rows)

    return write_file(output, kind, schema, checked())


def _as_text_field(field: pa.Field[Any]) -> pa.Field[Any]:
    return field.with_type(pa.string()) if pa.types.is_temporal(field.type) else field


def _iso(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return times as ISO 8601: 2026-03-01T12:00:00.000000Z, the Z where the zone is known (it is UTC everywhere)."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        text: Any = pc.strftime(column, format="%Y-%m-%dT%H:%M:%S")
        column = pc.binary_join_element_wise(text, "Z", "") if kind.tz else text
    elif pa.types.is_temporal(kind):
        column = pc.cast(column, pa.string())
    return column


def _write_anndata(root: LakeRoot, selection: Selection, output: Path, kind: str, as_of: str | None) -> int:
    meanings, facts = described(root, selection.result, selection.columns, as_of)
    facts = {"table": selection.name, **facts}
    made = to_anndata(*selection.stream(), selection.columns, meanings=meanings, facts=facts)
    selection.check_not_empty(made.n_obs)
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}.tmp")
    try:
        if kind == "h5ad":
            made.write_h5ad(temporary)
        else:
            made.write_zarr(temporary)
        _put(temporary, output)
    except OSError as error:
        said = os.strerror(error.errno) if error.errno else str(error)
        raise StorageError(f"{output}: cannot be written ({said})") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
    return int(made.n_obs)


def _put(temporary: Path, output: Path) -> None:
    """Put a file or folder in its place; a folder that is there is moved aside first, and removed last."""
    if not output.is_dir():
        if temporary.is_dir():
            output.unlink(missing_ok=True)
        temporary.replace(output)
        return
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}.old")
    output.replace(aside)
    try:
        temporary.replace(output)
    except OSError:
        aside.replace(output)
        raise
    shutil.rmtree(aside)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def _warnings(selection: Selection, rows: int, kind: str, layout: Layout) -> list[str]:
    found = []
    if not rows:
        found.append(f"{selection.name} has no rows: only the names of its columns were written")
    empty = [name for name in selection.columns.features if name in selection.empty] if rows else []
    if empty:
        found.append(
            f"{len(empty)} of {len(selection.columns.features)} features have no value in any of these rows: "
            f"{listed(empty, _SHOWN)}; they belong to other plates of the set, or its steps dropped them here"
        )
    others = sorted(set(compartments(selection.columns.features)) - _COMPARTMENTS)
    if others and layout == "pycytominer" and kind not in _ANNDATA:
        named = ", ".join(repr(name.lower()) for name in compartments(selection.columns.features))
        found.append(
            f"pycytominer takes columns that begin with Cells, Cytoplasm or Nuclei for features; some here begin with "
            f"{listed(others, _SHOWN)}: give its functions compartments=[{named}], or the features"
        )
    return found
