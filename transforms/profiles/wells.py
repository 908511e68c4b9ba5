"""What is known of wells: their annotation, beside the rows of features; and which wells should have rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...schemas.identifiers import parse_well
from ...schemas.tables import arrow_schema, class_schema

if TYPE_CHECKING:
    from ...store.root import LakeRoot
    from .source import Source

#: What tells one well from another.
WELL_KEY = ("study_id", "plate_id", "well_id")
#: What tells one row of a table of wells from another.
ROW_KEY = (*WELL_KEY, "acquisition_id", "timepoint")
#: What steps may want to know of a plate, such as the batch that it belongs to.
_OF_PLATE = ("batch", "source")
_NOT_SHOWN = ("run_id", "attributes", "exclusion_reason")


def annotated_wells(root: LakeRoot, study_id: str) -> pa.Table:
    """Return what is known of each well of a study, the excluded ones too.

    Returns
    -------
    pyarrow.Table
        The columns of ``wells``; ``batch`` and ``source`` of the plate; each attribute as a column of text under its
        own name, or as ``attributes.<name>`` where a column has that name already.
    """
    wells = root.tables.read("wells", where={"study_id": study_id})
    rows = wells.drop_columns([name for name in _NOT_SHOWN if name in wells.column_names])
    plates = root.tables.read("plates", columns=["plate_id", *_OF_PLATE], where={"study_id": study_id}).to_pylist()
    of_plate = {plate["plate_id"]: plate for plate in plates}
    names = rows["plate_id"].to_pylist()
    for column in _OF_PLATE:
        values = [of_plate.get(name, {}).get(column) for name in names]
        rows = rows.append_column(column, pa.array(values, pa.string()))
    taken = {*rows.column_names, *class_schema("ProfileRow").names}
    attributes: list[dict[str, str]] = [dict(one or ()) for one in wells["attributes"].to_pylist()]
    for key in dict.fromkeys(key for one in attributes for key in one):
        column = f"attributes.{key}" if key in taken else key
        rows = rows.append_column(column, pa.array([one.get(key) for one in attributes], pa.string()))
    return rows


def annotate(rows: pa.Table, wells: pa.Table) -> pa.Table:
    """Put what is known of its well beside each row; nothing where nothing is known.

    Parameters
    ----------
    rows
        With ``study_id``, ``plate_id`` and ``well_id``.
    wells
        What :func:`annotated_wells` returns, of one study or several.
    """
    at = {key: number for number, key in enumerate(zip(*(wells[name].to_pylist() for name in WELL_KEY), strict=True))}
    keys = zip(*(rows[name].to_pylist() for name in WELL_KEY), strict=True)
    found = wells.take(pa.array([at.get(key) for key in keys], pa.int64()))
    for name in wells.column_names:
        if name not in rows.column_names:
            rows = rows.append_column(name, found[name])
    return rows


def excluded_wells(wells: pa.Table, plate_id: str) -> set[str]:
    """Return the wells of a plate that somebody has excluded."""
    columns: list[list[Any]] = [wells[name].to_pylist() for name in ("plate_id", "well_id", "excluded")]
    return {well for plate, well, excluded in zip(*columns, strict=True) if excluded and plate == plate_id}


def wells_looked_at(root: LakeRoot, source: Source, study_id: str, plate_id: str) -> pa.Table:
    """Return the wells in which objects were looked for, found or not, with columns of :data:`ROW_KEY`.

    Whoever finds objects leaves rows of quality of each image, so that a well without any object is told from one that
    nobody looked at. A table that was made elsewhere has none.
    """
    where = {"study_id": study_id, "plate_id": plate_id, "feature_set_hash": source.set.hash}
    rows = root.tables.read("quality", columns=list(ROW_KEY), where=where) if source.of_objects else None
    schema = pa.schema([arrow_schema("quality").field(name).remove_metadata() for name in ROW_KEY])
    if rows is None:
        return schema.empty_table()
    return rows.group_by(list(ROW_KEY), use_threads=False).aggregate([]).select(list(ROW_KEY)).cast(schema)


def row_order(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the order of rows by study, plate, acquisition, time point, then row and column of the well.

    ``A2`` comes before ``A10``, as on the plate; the same rows are always in the same order.
    """
    wells = [parse_well(name) for name in rows["well_id"].to_pylist()]
    columns: list[Any] = [
        np.array([column for _, column in wells], dtype=np.int64),
        np.array([row for row, _ in wells], dtype=np.int64),
        rows["timepoint"].to_numpy(),
        rows["acquisition_id"].to_numpy(),
    ]
    for name in ("plate_id", "study_id"):
        _, codes = np.unique(np.asarray(rows[name].to_pylist(), dtype=object).astype(str), return_inverse=True)
        columns.append(codes)
    return np.lexsort(columns)
