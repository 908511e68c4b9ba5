"""The wells that views leave out: few, so that objects are kept apart from them instead of being joined to all wells.

Which wells of a data file are excluded is found out once while a lake is open: data files never change.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from ..store.arrays import array_of
from .constraints import Constraint, filters, is_impossible
from .messages import cleaned
from .relations import WELL_KEY

if TYPE_CHECKING:
    from ..store.scan import Scan, ScanFile
    from .binding import Binder

_SCHEMA = pa.schema([(name, pa.string()) for name in WELL_KEY])


def excluded_wells(binder: Binder, constraint: Constraint, *, label: str) -> pa.Table:
    """Return the excluded wells of the plates that ``constraint`` leaves.

    Parameters
    ----------
    label
        What reads ``wells``, where files are counted; those that have been read before are not opened.

    Returns
    -------
    pyarrow.Table
        ``study_id``, ``plate_id``, ``well_id``, all text.
    """
    on_plates = {name: bound for name, bound in constraint.items() if name in ("study_id", "plate_id")}
    scan = binder.moment.scan("wells", filters(on_plates, on_plates))
    if scan is None or is_impossible(on_plates):
        binder.count(label, "wells", scan, opened=0)
        return _SCHEMA.empty_table()
    if not scan.plain:
        binder.count(label, "wells", scan, opened=scan.considered)
        whole = scan.read([*WELL_KEY, "excluded"])
        marks: Any = whole["excluded"]
        return whole.filter(marks).select(list(WELL_KEY)).cast(_SCHEMA)
    kept = binder.moment.root.snapshots
    known = {file.uri: kept.recall(("excluded wells", file.uri)) for file in scan.files}
    unknown = [file for file in scan.files if known[file.uri] is None]
    binder.count(label, "wells", scan, opened=len(unknown))
    found = _read(binder, scan, unknown)
    for uri, wells in found.items():
        kept.keep(("excluded wells", uri), wells)
    known.update(found)
    rows = [(file.partition["study_id"], *well) for file in scan.files for well in known[file.uri] or ()]
    for place, name in enumerate(("study_id", "plate_id")):
        values = on_plates[name].values if name in on_plates else None
        rows = [row for row in rows if values is None or row[place] in values]
    columns = [[row[place] for row in rows] for place in range(len(WELL_KEY))]
    return pa.Table.from_arrays([array_of(column, pa.string()) for column in columns], schema=_SCHEMA)


def _read(binder: Binder, scan: Scan, files: Sequence[ScanFile]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return for each file (plate, well) of its excluded wells."""
    found: dict[str, list[tuple[str, str]]] = {file.uri: [] for file in files}
    for source, uris, columns in binder.sources(scan, files):
        if "excluded" not in columns:
            continue
        query = f"SELECT filename, plate_id, well_id FROM {source} WHERE excluded"
        try:
            for uri, plate, well in binder.connection.execute(query).fetchall():
                found[uri].append((plate, well))
        except duckdb.Error as error:
            raise cleaned(error, query, paths=uris) from error
    return {uri: tuple(wells) for uri, wells in found.items()}
