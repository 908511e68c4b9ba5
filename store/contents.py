"""What tables of features and profiles hold, study by study, as their logs say it: no data is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..schemas.tables import class_schema

if TYPE_CHECKING:
    from .registry import DefinedSet
    from .root import LakeRoot
    from .scan import Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateRows:
    """The rows of one plate in one table; of all plates of a study together where ``plate_id`` is None.

    Attributes
    ----------
    plate_id
        None for tables without plates (treatments), and for files that hold several (of other writers).
    rows
        Number of rows; None where the log does not say it.
    run_id
        The newest run that wrote some of them; empty where the log does not say it.
    """

    study_id: str
    plate_id: str | None
    rows: int | None
    run_id: str


def held_rows(root: LakeRoot, table: str, *, version: int | None = None) -> list[PlateRows]:
    """Return which plates a table of features or profiles has rows of, and how many, sorted.

    None where the table does not exist. Files of ours hold one plate each; one that holds several is opened for its
    ``plate_id`` column only.
    """
    from .scan import live_files
    from .tables import delta_schema

    if not root.tables.exists(table):
        return []
    delta = root.tables.open(table, version=version)
    has_plates = "plate_id" in delta_schema(delta).names
    found: dict[tuple[str, str | None], tuple[int | None, str]] = {}
    mixed: set[str] = set()
    for file in live_files(delta):
        study = str(file.partition_values["study_id"])
        low, high, _ = file.stats.get("plate_id", (None, None, None))
        _, run, _ = file.stats.get("run_id", (None, None, None))
        if has_plates and (low is None or low != high):
            mixed.add(study)
        key = study, None if low is None else str(low)
        rows, newest = found.get(key, (0, ""))
        total = None if rows is None or file.rows is None else rows + file.rows
        found[key] = total, max(newest, str(run or ""))
    for study in mixed:
        run = max(run for (one, _), (_, run) in found.items() if one == study)
        found = {key: value for key, value in found.items() if key[0] != study}
        plates = root.tables.read(table, columns=["plate_id"], where={"study_id": study}, version=version)["plate_id"]
        counted: Any = plates.value_counts()
        found |= {(study, one["values"]): (one["counts"], run) for one in counted.to_pylist()}
    return [
        PlateRows(study_id=study, plate_id=plate, rows=rows, run_id=run)
        for (study, plate), (rows, run) in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    ]


def identity_columns(one: DefinedSet, part: str) -> tuple[str, ...]:
    """Return the columns of a table of a set that say what a row is, not what was measured."""
    if one.kind == "features":
        return tuple(class_schema("ObjectRow").names)
    return tuple(class_schema("TreatmentRow" if part == "treatment" else "ProfileRow").names)


def feature_columns(root: LakeRoot, one: DefinedSet, part: str, *, version: int | None = None) -> list[str]:
    """Return the features that a table of a set has for any plate: its columns of floats, in their order.

    None where the table does not exist.
    """
    from .tables import delta_schema

    table = one.table(part)
    if not root.tables.exists(table):
        return []
    schema = delta_schema(root.tables.open(table, version=version))
    known = set(identity_columns(one, part))
    return [field.name for field in schema if field.name not in known and pa.types.is_floating(field.type)]


def steady_reader(found: Scan) -> Callable[[Sequence[str]], pa.Table]:
    """Return what reads columns of a scan, some at a time, with the rows in the same order each time.

    The order in which deltalake's own engine gives the rows of tables of other writers may change from one reading to
    the next: those are read whole.
    """
    if found.plain:
        return found.read
    whole = found.read()
    return lambda names: whole.select(list(names))


def stored_features(found: Scan, one: DefinedSet, part: str) -> list[str]:
    """Return the features that the files of a scan hold, in the order of the table.

    A plate without some channel lacks columns that the table has for others; they are not empty but absent.
    """
    stored, known = found.stored_columns(), set(identity_columns(one, part))
    return [
        field.name
        for field in found.schema
        if field.name in stored and field.name not in known and pa.types.is_floating(field.type)
    ]


def ancestors(one: DefinedSet, known: Iterable[DefinedSet]) -> list[DefinedSet]:
    """Return the sets that a profile set was made from, nearest first, as far as they are among ``known``."""
    by_hash = {(other.kind, other.hash): other for other in known}
    found: list[DefinedSet] = []
    up: DefinedSet | None = one
    while up is not None and isinstance(source := up.definition.get("source"), Mapping):
        up = by_hash.get((str(source.get("kind")), str(source.get("hash"))))
        if up is None or up in found:
            break
        found.append(up)
    return found


def families_of(root: LakeRoot, one: DefinedSet, known: Iterable[DefinedSet]) -> dict[str, str]:
    """Return column → family, as the dictionary of a set says it, or of the sets that it was made from.

    A column that came in under a name of its own, of several words, has none.
    """
    hashes = [one.hash, *(up.hash for up in ancestors(one, known))]
    rows = root.tables.read("feature_dictionary", columns=["column", "family"], where={"feature_set_hash": hashes})
    return {row["column"]: row["family"] for row in rows.to_pylist() if " " not in row["family"]}
