"""What changed between two releases: tables, plates, sets, runs; from the logs, and from few columns of few files.

Files that both have hold the same rows and are not looked at. Of the others the log says which plate and which run
their rows are of, where each file is of one (feature tables); else these columns are read. A row never changes under
its run, so rows of the same plate and run are the same rows, whatever file they lie in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from ..errors import CytolakeError, NotFoundError, StorageError
from .current import shown_in
from .datafiles import DataFile, table_path
from .registry import FeatureSet, ProfileSet
from .release_files import absent_files, incomplete
from .releases import NOW, find_release
from .scan import live_files, scan
from .tables import delta_schema

if TYPE_CHECKING:
    from .root import LakeRoot

#: (study_id, plate_id, run_id) of rows; None where the table has no such column, or the row no value.
Whose: TypeAlias = tuple[str | None, str | None, str | None]
Tally: TypeAlias = Counter[Whose]

_WHOSE = ("study_id", "plate_id", "run_id")
_PLATE = ("study_id", "plate_id")
_RUN = ("run_id", "verb", "study_id", "plate_ids", "status", "started_at", "finished_at")
_MOVES = ("added", "removed", "changed")
_ROWS = ("rows_added", "rows_removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two: its name, when it was made, and the version of each table."""

    root: LakeRoot
    name: str
    versions: Mapping[str, int]
    created_at: str | None = None

    @classmethod
    def of(cls, root: LakeRoot, name: str) -> _Side:
        if name == NOW:
            return cls(root=root, name=NOW, versions={one: root.tables.version(one) for one in root.tables.names()})
        found = find_release(root, name)
        versions = {table: pin.version for table, pin in found.pins.items()}
        return cls(root=root, name=found.name, versions=versions, created_at=found.created_at.isoformat())

    @property
    def called(self) -> str:
        return NOW if self.name == NOW else f"release {self.name!r}"

    def rows(self, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return some columns of a small table."""
        if table not in self.versions:
            return []
        try:
            rows = self.root.tables.read(table, columns=columns, version=self.versions[table])
        except (NotFoundError, StorageError) as error:
            raise self.lost(table, error) from error
        return list(rows.to_pylist())

    def files(self, table: str) -> tuple[dict[str, DataFile], pa.Schema]:
        """Return path → file of a table, and the table's columns."""
        if table not in self.versions:
            return {}, pa.schema([])
        try:
            delta = self.root.tables.open(table, version=self.versions[table])
        except (NotFoundError, StorageError) as error:
            raise self.lost(table, error) from error
        return {file.path: file for file in live_files(delta)}, delta_schema(delta)

    def tally(self, table: str, files: Sequence[DataFile], schema: pa.Schema) -> Tally:
        """Count the rows of some files of a table by whose they are."""
        found: Tally = Counter()
        columns = [name for name in _WHOSE if name in schema.names]
        unsaid: list[str] = []
        for file in files:
            said = _said(file, columns)
            if said is None or file.rows is None:
                unsaid.append(file.path)
            else:
                found[said] += file.rows
        if unsaid:
            lost = absent_files(self.root.storage, table, unsaid)
            if lost:
                raise incomplete(self.called, table, self.versions[table], lost, len(unsaid))
            found += self._read(table, unsaid, columns)
        return found

    def _read(self, table: str, paths: Iterable[str], columns: list[str]) -> Tally:
        whole = scan(self.root, table, version=self.versions[table])
        folder = f"{self.root.storage.uri(table_path(table))}/"
        wanted = {f"{folder}{path}" for path in paths}
        found: Tally = Counter()
        for file in whole.files:  # one at a time: a table may be larger than memory
            if file.uri in wanted:
                rows = replace(whole, files=(file,)).read(columns)
                for row in rows.group_by(columns).aggregate([([], "count_all")]).to_pylist():
                    found[_whose(row)] += row["count_all"]
        return found

    def lost(self, table: str, error: CytolakeError) -> StorageError:
        return StorageError(
            f"{self.called}: version {self.versions[table]} of table {table} cannot be read ({error.message})",
            hint="`cytolake release list --check` says which releases are whole",
        )


@dataclass(slots=True, kw_only=True)
class _TableDiff:
    """How one table differs: rows that only one side has, by whose they are."""

    before: int | None
    after: int | None
    rows_before: int | None
    rows_after: int | None
    added: Tally = field(default_factory=Counter)
    removed: Tally = field(default_factory=Counter)
    columns_added: list[str] = field(default_factory=list)
    columns_removed: list[str] = field(default_factory=list)

    @property
    def change(self) -> str:
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        if self.added or self.removed or self.columns_added or self.columns_removed:
            return "changed"
        return "same" if self.before == self.after else "same rows"

    def to_json(self, name: str) -> dict[str, Any]:
        return {
            "table": name,
            "change": self.change,
            "version_before": self.before,
            "version_after": self.after,
            "rows_before": self.rows_before,
            "rows_after": self.rows_after,
            "rows_added": self.added.total(),
            "rows_removed": self.removed.total(),
            "columns_added": self.columns_added,
            "columns_removed": self.columns_removed,
        }


def diff_releases(root: LakeRoot, one: str, other: str) -> dict[str, Any]:
    """Say what changed from one release to another.

    Parameters
    ----------
    one, other
        Names of releases; ``now`` is the lake as it is.

    Returns
    -------
    dict
        ``before`` and ``after`` (the two names), ``before_at`` and ``after_at`` (when they were made, None for now);
        ``tables``, each with ``change`` (``new``, ``gone``, ``changed``, ``same``, or ``same rows`` where only files
        were joined), versions, rows (None where the log does not say how many), rows added and removed, columns added
        and removed; ``studies`` and ``plates``, each ``added``, ``removed`` and ``changed`` (a plate that changed with
        its ``tables``: name → rows added and removed); ``feature_sets`` and ``profile_sets`` registered since;
        ``views``, which show another set of a study; and ``runs`` since.

    Raises
    ------
    NotFoundError
        There is no such release, or it was withdrawn.
    StorageError
        Files that are needed have been removed.
    """
    before, after = _Side.of(root, one), _Side.of(root, other)
    tables = {name: _table(name, before, after) for name in sorted({*before.versions, *after.versions})}
    return {
        "before": before.name,
        "after": after.name,
        "before_at": before.created_at,
        "after_at": after.created_at,
        "tables": [diff.to_json(name) for name, diff in tables.items()],
        "studies": _studies(tables, before, after),
        "plates": _plates(tables, before, after),
        "feature_sets": _registered(FeatureSet.registry, before, after),
        "profile_sets": _registered(ProfileSet.registry, before, after),
        "views": _views(root, before, after),
        "runs": _runs(before, after),
    }


def _table(name: str, before: _Side, after: _Side) -> _TableDiff:
    old, old_schema = before.files(name)
    new, new_schema = after.files(name)
    gone = before.tally(name, [file for path, file in old.items() if path not in new], old_schema)
    come = after.tally(name, [file for path, file in new.items() if path not in old], new_schema)
    both = old_schema.names and new_schema.names
    return _TableDiff(
        before=before.versions.get(name),
        after=after.versions.get(name),
        rows_before=_total(old.values()),
        rows_after=_total(new.values()),
        added=come - gone,
        removed=gone - come,
        columns_added=[column for column in new_schema.names if column not in old_schema.names] if both else [],
        columns_removed=[column for column in old_schema.names if column not in new_schema.names] if both else [],
    )


def _total(files: Iterable[DataFile]) -> int | None:
    """Return how many rows files have; None where the log does not say it of one, as other writers may leave it."""
    rows = [file.rows for file in files]
    return None if None in rows else sum(one or 0 for one in rows)


def _said(file: DataFile, columns: Sequence[str]) -> Whose | None:
    """Return whose all rows of a file are, if the log says it."""
    found: dict[str, str | None] = {}
    for name in columns:
        if name in file.partition_values:
            found[name] = file.partition_values[name]
            continue
        low, high, nulls = file.stats.get(name, (None, None, None))
        if nulls == 0 and low is not None and low == high:
            found[name] = str(low)
        elif nulls is not None and nulls == file.rows:
            found[name] = None
        else:
            return None
    return _whose(found)


def _whose(row: Mapping[str, Any]) -> Whose:
    return row.get("study_id"), row.get("plate_id"), row.get("run_id")


def _studies(tables: Mapping[str, _TableDiff], before: _Side, after: _Side) -> dict[str, list[str]]:
    old = {row["study_id"] for row in before.rows("studies", ["study_id"])}
    new = {row["study_id"] for row in after.rows("studies", ["study_id"])}
    touched = {study for diff in tables.values() for study, _, _ in (*diff.added, *diff.removed) if study is not None}
    found = (new - old, old - new, touched - (old ^ new))
    return {move: sorted(studies) for move, studies in zip(_MOVES, found, strict=True)}


def _plates(tables: Mapping[str, _TableDiff], before: _Side, after: _Side) -> dict[str, list[dict[str, Any]]]:
    old = {(row["study_id"], row["plate_id"]) for row in before.rows("plates", _PLATE)}
    new = {(row["study_id"], row["plate_id"]) for row in after.rows("plates", _PLATE)}
    touched: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for name, diff in tables.items():
        for rows, what in ((diff.added, "rows_added"), (diff.removed, "rows_removed")):
            for (study, plate, _), count in rows.items():
                if study is not None and plate is not None and (study, plate) not in old ^ new:
                    counts = touched.setdefault((study, plate), {}).setdefault(name, dict.fromkeys(_ROWS, 0))
                    counts[what] += count
    return {
        "added": [dict(zip(_PLATE, plate, strict=True)) for plate in sorted(new - old)],
        "removed": [dict(zip(_PLATE, plate, strict=True)) for plate in sorted(old - new)],
        "changed": [{**dict(zip(_PLATE, plate, strict=True)), "tables": touched[plate]} for plate in sorted(touched)],
    }


def _registered(registry: str, before: _Side, after: _Side) -> list[str]:
    """Return the labels of the sets that were registered since."""
    known = {row["hash"] for row in before.rows(registry, ["hash"])}
    new = [row for row in after.rows(registry, ["hash", "name", "version"]) if row["hash"] not in known]
    return sorted(f"{row['name']}@{row['version']}" for row in new)


def _views(root: LakeRoot, before: _Side, after: _Side) -> list[dict[str, Any]]:
    """Return where a view shows another set of a study than before."""
    old = {place: one.label for place, one in shown_in(root, before.versions).items()}
    new = {place: one.label for place, one in shown_in(root, after.versions).items()}
    return [
        {"kind": place[0], "part": place[1], "study_id": place[2], "before": old.get(place), "after": new.get(place)}
        for place in sorted({*old, *new})
        if old.get(place) != new.get(place)
    ]


def _runs(before: _Side, after: _Side) -> list[dict[str, Any]]:
    """Return the runs since, oldest first."""
    known = {row["run_id"] for row in before.rows("runs", ["run_id"])}
    new = [row for row in after.rows("runs", _RUN) if row["run_id"] not in known]
    return [
        {**row, "started_at": row["started_at"].isoformat(), "finished_at": row["finished_at"].isoformat()}
        for row in sorted(new, key=lambda row: str(row["run_id"]))
    ]
