"""Which columns say where a row belongs, in tables that follow CellProfiler's and pycytominer's ``Metadata_`` names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InvalidDataError

_METADATA = re.compile(r"(?:Image_)?Metadata_(?P<name>.+)")
#: Identity → names behind ``Metadata_``, without case and underscores; the first that is there counts.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "plate": ("plate", "plateid", "platename", "assayplatebarcode", "platebarcode", "barcode"),
    "well": ("well", "wellid", "wellname", "wellposition"),
    "row": ("wellrow", "row"),
    "column": ("wellcolumn", "wellcol", "column", "col"),
    "field": ("site", "siteid", "sitenumber", "field", "fieldid", "fieldnumber", "fov", "fieldofview"),
    "timepoint": ("timepoint", "timepointid", "timeindex"),
    "n_objects": ("objectcount", "cellcount"),
}
_NUMBER = re.compile(r"(?:[A-Za-z_][A-Za-z_ .-]*?|(?P<minus>-))?0*(?P<digits>\d+)(?:\.0+)?")


def metadata_name(column: str) -> str | None:
    """Return what stands behind ``Metadata_`` or ``Image_Metadata_``; None for another column."""
    found = _METADATA.fullmatch(column)
    return found["name"] if found else None


def first_named(wanted: Mapping[str, Sequence[str]], columns: Mapping[str, str]) -> dict[str, str]:
    """Return key → column, by the first of its names that there is; ``columns`` is name, in one spelling → column."""
    return {
        key: next(columns[name] for name in names if name in columns)
        for key, names in wanted.items()
        if any(name in columns for name in names)
    }


def identity_columns(columns: Iterable[str]) -> dict[str, str]:
    """Return which columns hold plate, well (or row and column), field, time point and number of objects."""
    named: dict[str, str] = {}
    for column in columns:
        name = metadata_name(column)
        if name is not None:
            named.setdefault(name.replace("_", "").casefold(), column)
    found = first_named(_NAMES, named)
    if "well" in found or not ("row" in found and "column" in found):
        found.pop("row", None)
        found.pop("column", None)
    return found


def identity_table(texts: pa.Table, columns: Mapping[str, str], source: str) -> pa.Table:
    """Return identity columns from columns of text; a field or time point may be written ``s3`` or ``site 03``.

    Raises
    ------
    InvalidDataError
        A field or a time point is no number.
    """
    found: dict[str, Any] = {}
    for identity, column in columns.items():
        values: Any = texts[column]
        if identity in ("field", "timepoint", "n_objects", "object_id", "parent_id"):
            values = whole_numbers(values, column, source)
        found[identity] = values
    return pa.table(found)


def whole_numbers(values: Any, column: str, source: str) -> Any:
    """Return texts as integers: ``3``, ``3.0``, ``-3``, ``s3``, ``site 03``, ``site-03``; NULL stays."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    coded = values.dictionary_encode()
    numbers: list[int | None] = []
    for text in coded.dictionary.to_pylist():
        match = _NUMBER.fullmatch(text)
        if match is None and text.casefold() not in ("nan", "none"):
            raise InvalidDataError(f"{source}: column {column} numbers things, and holds {text[:40]!r}")
        numbers.append((-1 if match["minus"] else 1) * int(match["digits"]) if match else None)
    return pa.array(numbers, pa.int64()).take(coded.indices)


def well_metadata(columns: Sequence[str], used: Iterable[str]) -> list[str]:
    """Return metadata columns that say something else than where a row belongs."""
    taken = set(used)
    return [column for column in columns if metadata_name(column) is not None and column not in taken]


def renamed(texts: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return columns of metadata under the names that wells keep them by: without ``Image_``."""
    found: dict[str, Any] = {column.removeprefix("Image_"): texts[column] for column in columns}
    return pa.table(found)


def shown_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names that :func:`renamed` gives."""
    return tuple(column.removeprefix("Image_") for column in columns)


def take(table: pa.Table, rows: Any) -> pa.Table:
    """Return rows of a small table by their places."""
    return table.take(pc.cast(rows, pa.int64()))
