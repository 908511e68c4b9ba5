"""Rows of some part of a study, counted in any table: from the log where it says enough, else from identity columns.

No feature is ever read. The log of a table says of each file which plates and runs it has rows of, so a plate is mostly
counted without opening a file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ..datafiles import DataFile
from ..scan import Filter, live_files, scan

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from ..root import LakeRoot


@dataclass(frozen=True, slots=True)
class Part:
    """A study, a plate of it, some wells of the plate, or some fields of wells.

    Attributes
    ----------
    plate_id, well_ids
        None for all.
    fields
        (well, field) of the fields; None for all of the wells.
    """

    study_id: str
    plate_id: str | None = None
    well_ids: frozenset[str] | None = None
    fields: frozenset[tuple[str, int]] | None = None

    @property
    def name(self) -> str:
        """How people would call it."""
        if self.plate_id is None:
            return self.study_id
        plate = f"{self.study_id}/{self.plate_id}"
        if self.fields is not None and len(self.fields) == 1:
            return "/".join((plate, *(str(part) for part in next(iter(self.fields)))))
        if self.well_ids is None:
            return plate
        wells = (
            f"{plate}/{next(iter(self.well_ids))}"
            if len(self.well_ids) == 1
            else f"{plate}: {len(self.well_ids)} wells"
        )
        return wells if self.fields is None else f"{wells}: {len(self.fields)} fields"

    def of_wells(self) -> Part:
        """Return the wells that it lies in, whole: a profile of a well is made from all of its fields."""
        return Part(self.study_id, self.plate_id, self.well_ids)

    def touches(self, plate_id: str, well_id: str) -> bool:
        """Whether a well is in it, or has a field in it."""
        return self.plate_id in (None, plate_id) and (self.well_ids is None or well_id in self.well_ids)

    def lies_in(self, other: Part) -> bool:
        """Whether another part, whole studies and plates only, holds all of it."""
        whole = other.well_ids is None and other.fields is None
        return whole and self.study_id == other.study_id and other.plate_id in (None, self.plate_id)

    def filters(self, columns: Collection[str]) -> list[Filter] | None:
        """Return what a row must satisfy; None for a table whose rows are not about such a part, but a larger one."""
        found = [Filter("study_id", "=", self.study_id)]
        if self.plate_id is not None:
            found.append(Filter("plate_id", "=", self.plate_id))
        if self.well_ids is not None:
            found.append(Filter("well_id", "in", sorted(self.well_ids)))
        if self.fields is not None:
            found.append(Filter("field_id", "in", sorted({number for _, number in self.fields})))
        return found if all(one.column in columns for one in found) else None


@dataclass(slots=True)
class Found:
    """How many rows there are, and which runs wrote them."""

    rows: int = 0
    run_ids: set[str] = field(default_factory=set)


def rows_of(
    root: LakeRoot, table: str, part: Part, *, extra: Mapping[str, Any] | None = None, version: int | None = None
) -> Found | None:
    """Count the rows of a part in one table; None where the table has no such rows by its nature.

    Parameters
    ----------
    extra
        Column → the value that it must have too.
    version
        Of the table; the newest where None.
    """
    delta = root.tables.open(table, version=version)
    names = [one.name for one in delta.schema().fields]
    filters = part.filters(names)
    if filters is None:
        return None
    filters += [Filter(column, "=", value) for column, value in (extra or {}).items()]
    files = live_files(delta, filters)
    if part.fields is None and _told_by_log(delta, files, filters, names):
        runs = {str(one.stats["run_id"][0]) for one in files} if "run_id" in names else set()
        return Found(sum(one.rows or 0 for one in files), runs)
    wanted = [name for name in ("well_id", "field_id", "run_id") if name in names]
    rows = scan(root, table, filters, version=delta.version()).read(wanted or names[:1])
    if part.fields is not None:
        pairs = zip(rows["well_id"].to_pylist(), rows["field_id"].to_pylist(), strict=True)
        rows = rows.filter(pa.array([pair in part.fields for pair in pairs], pa.bool_()))
    runs = {str(one) for one in pc.unique(rows["run_id"]).to_pylist()} if "run_id" in names else set()
    return Found(rows.num_rows, runs)


def _told_by_log(
    delta: DeltaTable, files: Sequence[DataFile], filters: Sequence[Filter], names: Collection[str]
) -> bool:
    """Whether the log alone says that all rows of these files are meant, how many there are, and who wrote them."""
    if delta.protocol().min_reader_version > 1:  # rows may be deleted inside files
        return False
    one_run = all(_only_value(file, "run_id") is not None for file in files) if "run_id" in names else True
    return one_run and all(file.rows is not None and all(_all_rows(file, one) for one in filters) for file in files)


def _all_rows(file: DataFile, one: Filter) -> bool:
    value = file.partition_values.get(one.column)
    if value is None:
        value = _only_value(file, one.column)
    return value is not None and value in ([one.value] if one.op == "=" else one.value)


def _only_value(file: DataFile, column: str) -> Any | None:
    """Return the value that a column has in all rows of a file, None where the log does not say that there is one."""
    low, high, nulls = file.stats.get(column, (None, None, None))
    return low if low is not None and low == high and nulls == 0 else None
