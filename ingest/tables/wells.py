"""Plates and wells of an import: those that the lake has are linked, others are made from the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import InvalidDataError
from ...schemas.identifiers import parse_well
from ...wording import listed
from ..plate_formats import PLATE_FORMATS
from ..rows import table_of, well_rows

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_SHOWN = 10
_MOST_VALUE = 1000  # characters of a value that is kept with a well


class WellFacts:
    """What metadata columns say of wells: kept where every row of a well says the same."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, str], dict[str, str]] = {}
        self._columns: dict[str, None] = {}
        self._varying: dict[str, None] = {}

    @property
    def kept(self) -> list[str]:
        """Columns that have one value in each well."""
        return [name for name in self._columns if name not in self._varying]

    @property
    def varying(self) -> list[str]:
        """Columns that differ within a well."""
        return list(self._varying)

    def warnings(self) -> list[str]:
        """Say what is too long to be kept."""
        long = Counter(
            name
            for facts in self._facts.values()
            for name, text in facts.items()
            if name not in self._varying and len(text) > _MOST_VALUE
        )
        return [
            f"{name}: values of more than {_MOST_VALUE:,} characters are not kept with their wells ({counted} of them)"
            for name, counted in long.items()
        ]

    def add(self, identity: pa.Table, metadata: pa.Table) -> None:
        """Take in the metadata of some rows."""
        wanted = [name for name in metadata.column_names if name not in self._varying]
        self._columns.update(dict.fromkeys(metadata.column_names))
        if not wanted:
            return
        rows = pa.table(
            [identity["plate_id"], identity["well_id"], *(metadata[name] for name in wanted)],
            names=["@plate", "@well", *wanted],
        )
        for row in rows.group_by(rows.column_names, use_threads=False).aggregate([]).to_pylist():
            facts = self._facts.setdefault((row.pop("@plate"), row.pop("@well")), {})
            for name, value in row.items():
                if value is not None and facts.setdefault(name, value) != value:
                    self._varying[name] = None

    def of(self, plate_id: str, well_id: str) -> dict[str, str]:
        """Return what is known of a well."""
        facts = self._facts.get((plate_id, well_id), {})
        return {name: text for name, text in facts.items() if name not in self._varying and len(text) <= _MOST_VALUE}


@dataclass(slots=True)
class PlateLink:
    """One plate of an import.

    Attributes
    ----------
    row
        Its row of ``plates``; None for a plate that the import makes.
    known
        Its rows of ``wells``.
    imaged
        Its wells with images.
    wells
        The wells of the import.
    """

    plate_id: str
    row: Mapping[str, Any] | None
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    imaged: set[str] = field(default_factory=set)
    wells: set[str] = field(default_factory=set)

    @property
    def unlinked(self) -> list[str]:
        """Wells of the import that the plate in the lake does not have, or has no image of."""
        if self.row is None:
            return []
        there = self.imaged if self.imaged else set(self.known)
        return sorted(self.wells - there, key=parse_well) if there else []


class Links:
    """The plates of an import, looked up in the lake as they come."""

    def __init__(self, root: LakeRoot, study_id: str, plate_format: tuple[int, int] | None) -> None:
        self._root = root
        self.study_id = study_id
        self._format = plate_format
        where = {"study_id": study_id}
        rows = root.tables.read("plates", where=where).to_pylist(maps_as_pydicts="strict")
        self._rows = {row["plate_id"]: row for row in rows}
        self.plates: dict[str, PlateLink] = {}

    def see(self, plate_id: str, wells: Iterable[str], source: str) -> None:
        """Take note of wells of a plate.

        Raises
        ------
        InvalidDataError
            They lie outside of the plate; names them.
        """
        link = self.plates.get(plate_id)
        if link is None:
            link = self.plates[plate_id] = self._look_up(plate_id)
        new = set(wells) - link.wells
        if not new:
            return
        size = self._format if link.row is None else (link.row["n_rows"], link.row["n_columns"])
        if size is not None:
            outside = [well for well in sorted(new, key=parse_well) if not _fits(well, size)]
            if outside:
                raise InvalidDataError(
                    f"{source}: plate {plate_id} has {size[0]} rows and {size[1]} columns, and no well "
                    f"{listed(outside, _SHOWN)}",
                    hint="It may be another plate: name it with --plate."
                    if link.row is not None
                    else "Say how large the plate is with --plate-format.",
                )
        link.wells |= new

    def _look_up(self, plate_id: str) -> PlateLink:
        row = self._rows.get(plate_id)
        if row is None:
            return PlateLink(plate_id, None)
        where = {"study_id": self.study_id, "plate_id": plate_id}
        wells = self._root.tables.read("wells", where=where).to_pylist(maps_as_pydicts="strict")
        imaged: list[Any] = []
        if row["path"] is not None:
            imaged = self._root.tables.read("images", columns=["well_id"], where=where)["well_id"].unique().to_pylist()
        return PlateLink(plate_id, row, {well["well_id"]: well for well in wells}, set(imaged))

    def again(self) -> Links:
        """Look all plates up anew, as they are in the lake by now."""
        fresh = Links(self._root, self.study_id, self._format)
        for plate_id, link in self.plates.items():
            fresh.see(plate_id, link.wells, "the import")
        return fresh

    @property
    def created(self) -> list[str]:
        """Plates that the import makes."""
        return [plate_id for plate_id, link in self.plates.items() if link.row is None]

    def elsewhere(self) -> dict[str, list[str]]:
        """Return other studies with plates that the import makes, where its own study has none yet: a slip, perhaps."""
        if self._rows or not self.created:
            return {}
        known: dict[str, list[str]] = {}
        rows = self._root.tables.read("plates", columns=["study_id", "plate_id"], where={"plate_id": self.created})
        for row in sorted(rows.to_pylist(), key=lambda row: (row["study_id"], row["plate_id"])):
            known.setdefault(row["study_id"], []).append(row["plate_id"])
        return known

    def plate_rows(self, names: Mapping[str, str], run_id: str) -> pa.Table:
        """Return rows of ``plates`` for the plates that the import makes: all of one format, as a screen has them."""
        if not self.created:
            return table_of("plates", [])
        wells = {well for plate_id in self.created for well in self.plates[plate_id].wells}
        n_rows, n_columns = self._format or smallest_format(wells)
        return table_of(
            "plates",
            [
                {
                    "study_id": self.study_id,
                    "plate_id": plate_id,
                    "name": names.get(plate_id),
                    "n_rows": n_rows,
                    "n_columns": n_columns,
                    "status": "no_images",
                    "run_id": run_id,
                }
                for plate_id in self.created
            ],
        )

    def new_wells(self, facts: WellFacts, run_id: str) -> pa.Table:
        """Return rows of ``wells`` for the plates that the import makes."""
        rows: list[dict[str, Any]] = []
        for plate_id in self.created:
            rows += _fresh(self.plates[plate_id].wells, self._identity(plate_id, run_id), facts)
        return table_of("wells", rows)

    def changed_wells(self, facts: WellFacts, run_id: str) -> tuple[dict[str, WellChange], list[str]]:
        """Return all rows of ``wells`` of the plates whose wells change, and what the lake says otherwise.

        A fact is added where the well has none under that name, and never put over one.
        """
        changes: dict[str, WellChange] = {}
        contradictions: list[str] = []
        for plate_id, link in self.plates.items():
            if link.row is None:
                continue
            rows = {well_id: dict(row) for well_id, row in link.known.items()}
            before: dict[str, list[str]] = {}
            added = _fresh(link.wells - rows.keys(), self._identity(plate_id, run_id), facts)
            for well_id in link.wells & rows.keys():
                row = rows[well_id]
                there = dict(row.get("attributes") or {})
                said = facts.of(plate_id, well_id)
                contradictions += [
                    f"{name} of {plate_id} {well_id} is {there[name]} in the lake, {value} in the table"
                    for name, value in said.items()
                    if there.get(name, value) != value
                ]
                if said.keys() - there.keys():
                    before.setdefault(row["run_id"], []).append(well_id)
                    rows[well_id] = row | {"attributes": said | there, "run_id": run_id}
            if added or before:
                every = sorted([*rows.values(), *added], key=lambda row: (row["row"], row["column"]))
                changes[plate_id] = WellChange(table_of("wells", every), before)
        return changes, contradictions

    def _identity(self, plate_id: str, run_id: str) -> dict[str, str]:
        return {"study_id": self.study_id, "plate_id": plate_id, "run_id": run_id}


@dataclass(frozen=True, slots=True)
class WellChange:
    """All wells of a plate as they are to be, and by which run those that change were made before."""

    rows: pa.Table
    before: Mapping[str, list[str]]


def _fresh(wells: Iterable[str], identity: Mapping[str, str], facts: WellFacts) -> list[dict[str, Any]]:
    ordered = sorted(wells, key=parse_well)
    rows = well_rows(ordered, identity).to_pylist()
    for row in rows:
        row["attributes"] = facts.of(row["plate_id"], row["well_id"]) or None
    return rows


def smallest_format(wells: Iterable[str]) -> tuple[int, int]:
    """Return rows and columns of the smallest plate with 96 wells or more that holds all wells."""
    places = [parse_well(well) for well in wells]
    last = max(row for row, _ in places), max(column for _, column in places)
    usual = [size for size in PLATE_FORMATS if size[0] * size[1] >= _SMALLEST_PLATE]
    return next(size for size in usual if size[0] >= last[0] and size[1] >= last[1])


#: Wells of the smallest plate that is taken for granted: smaller ones must be named.
_SMALLEST_PLATE = 96


def _fits(well: str, size: tuple[int, int]) -> bool:
    row, column = parse_well(well)
    return row <= size[0] and column <= size[1]
