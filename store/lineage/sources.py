"""Source files: which fields have their pixels from one, and which runs read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ..scan import scan
from .matching import Part

if TYPE_CHECKING:
    from ..root import LakeRoot


@dataclass(slots=True)
class Fields:
    """The fields that a file is the source of: one part per plate."""

    parts: list[Part] = field(default_factory=list)
    name: str | None = None
    hashes: set[str] = field(default_factory=set)

    @property
    def sha256(self) -> str | None:
        """The file's hash, where it is one file."""
        return next(iter(self.hashes)) if len(self.hashes) == 1 else None


def parts_of_files(root: LakeRoot, *, name: str | None, sha256: str | None) -> Fields:
    """Find the fields whose pixels come from a file, given by name or by hash.

    A name is the path in the export, or its end: ``r01c01f01.tiff`` is found in ``Images/r01c01f01.tiff``. The table
    ``images`` is read file by file, since no log knows of source files; memory stays flat.
    """
    found = Fields()
    fields: dict[tuple[str, str], set[tuple[str, int]]] = {}
    names: set[str] = set()
    whole = scan(root, "images")
    columns = ["study_id", "plate_id", "well_id", "field_id", "source_files"]
    for table in whole.read_in_parts(columns):
        rows, files = _flat(table)
        hit = (
            _is_called(files.field("file"), name) if name else pc.equal(files.field("sha256"), pa.scalar(sha256 or ""))
        )
        mask: Any = pc.fill_null(hit, pa.scalar(False))
        numbers: list[Any] = rows.filter(mask).unique().to_pylist()
        for row in numbers:
            identity = table.slice(row, 1).select(columns[:-1]).to_pylist()[0]
            of_plate = fields.setdefault((identity["study_id"], identity["plate_id"]), set())
            of_plate.add((identity["well_id"], identity["field_id"]))
        for column, known in (("file", names), ("sha256", found.hashes)):
            values: list[Any] = files.field(column).filter(mask).unique().to_pylist()
            known.update(value for value in values if value)
    found.name = next(iter(names)) if len(names) == 1 else None
    for (study, plate), own in sorted(fields.items()):
        found.parts.append(Part(study, plate, frozenset(well for well, _ in own), frozenset(own)))
    return found


def runs_that_read(root: LakeRoot, *, name: str | None, sha256: str | None) -> list[dict[str, Any]]:
    """Find the runs that noted a file among their inputs, or an export by its fingerprint."""

    def is_it(used: dict[str, Any]) -> bool:
        if name is None:
            return bool(used["sha256"] == sha256)
        return used["kind"] != "table" and _same_name(str(used["name"]), name)

    runs = root.tables.read("runs").to_pylist()
    return [run for run in runs if any(is_it(used) for used in run["inputs"] or ())]


def _flat(table: pa.Table) -> tuple[pa.Array[Any], pa.StructArray]:
    """Return the source files of all rows in one array, and for each the number of its row."""
    lists = table["source_files"].combine_chunks()
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) and lists.num_chunks else lists
    rows: Any = pc.list_parent_indices(lists)
    files: Any = pc.list_flatten(lists)
    return rows, files


def _is_called(names: Any, name: str) -> Any:
    return pc.or_(pc.equal(names, pa.scalar(name)), pc.ends_with(names, pattern=f"/{name}"))


def _same_name(known: str, name: str) -> bool:
    return known == name or known.endswith(f"/{name}")
