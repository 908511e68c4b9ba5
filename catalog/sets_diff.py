"""Two sets side by side: what defines them, which columns they have, and how far their values are apart.

Values are compared on the plates that both have, column by column, some columns at a time: memory stays bounded however
many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UsageError
from ..store.contents import feature_columns, held_rows, identity_columns, steady_reader, stored_features
from ..store.distributions import (
    finite,
    ks_of_sorted,
    median_of,
    null_fraction,
    psi_of_sorted,
    spread,
)
from ..store.plates import rows_of_plates
from ..store.registry import DefinedSet, feature_sets, profile_sets, resolve_any
from ..store.scan import Filter, Scan, scan
from .definitions import changes, same_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..store.root import LakeRoot

Progress = Callable[[int, int], None]
Reader = Callable[[Sequence[str]], pa.Table]

#: Bytes of values that are in memory at once, of both sets together.
_BUDGET = 128_000_000
#: Columns that identify a row but do not tell it from others, or that may differ between sets.
_NO_KEY = frozenset({"run_id", "parent_id", "n_objects", "n_wells", "n_plates", "fit_version", "study_id", "plate_id"})


@dataclass(frozen=True, slots=True)
class _Shared:
    """One plate that both sets have rows of, in one part; all plates of a study where ``plate_id`` is None."""

    part: str
    study_id: str
    plate_id: str | None
    rows: tuple[int | None, int | None]


def diff_sets(
    root: LakeRoot,
    one: str,
    other: str,
    study_id: str | None = None,
    *,
    plate_ids: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Say what changed between two sets of one kind.

    Parameters
    ----------
    one, other
        ``name@version``, a name (its newest version) or a hash of eight digits or more. ``one`` is the reference.
    study_id, plate_ids
        Compare the values on these plates only; else on all that both have.

    Returns
    -------
    dict
        ``one`` and ``other`` (each with ``kind``, ``label``, ``hash``); ``parameters`` (see
        :func:`.definitions.changes`); ``columns`` (part → ``added``, ``removed``, ``common``, how many);
        ``plates`` (each with ``part``, ``study_id``, ``plate_id``, ``rows_one``, ``rows_other``, and ``pairs``: rows
        that are the same object or well in both, None where they cannot be paired); ``shift``: per plate and common
        column ``ks``, ``psi``, ``median_one``, ``median_other``, ``null_one``, ``null_other``, and where rows are
        paired ``correlation`` (Pearson) and ``identical``, the largest shift first; ``by_column``: the same per column,
        the largest over the plates; ``warnings``.

        KS and PSI are of at most 20,000 rows per plate, spread evenly; medians and empty shares are of all.

    Raises
    ------
    NotFoundError
        There is no such set, study or plate.
    UsageError
        One is a feature set and the other a profile set, or both are the same.
    """
    first, second = resolve_any(root, one), resolve_any(root, other)
    if first.kind != second.kind:
        raise UsageError(
            f"{first.label} is a {first.called} and {second.label} a {second.called}: rows of objects and of wells "
            "cannot be compared",
            hint="name two sets of one kind; `cytolake features list` shows which there are",
        )
    if first.hash == second.hash:
        raise UsageError(f"{one} and {other} are the same {first.called}, {first.label}")
    if study_id is None and plate_ids:
        raise UsageError("plates are named without their study", hint="say which with --study")
    if study_id is not None:
        rows_of_plates(root, study_id, plate_ids, columns=())
    warnings: list[str] = []
    columns = {part: _columns(root, first, second, part) for part in dict.fromkeys((*first.parts, *second.parts))}
    shared = [
        unit for part in first.parts if part in second.parts for unit in _shared(root, first, second, part, study_id)
    ]
    if plate_ids:
        shared = [unit for unit in shared if unit.plate_id in plate_ids]
    if not shared:
        where = "" if study_id is None else f" of study {study_id}"
        warnings.append(f"no plate{where} has rows of both: only their definitions and columns are compared")
    plates, shift = [], []
    for number, unit in enumerate(shared):
        told, rows = _compare(root, first, second, unit, columns[unit.part]["common"])
        plates.append(told)
        shift += rows
        if progress is not None:
            progress(number + 1, len(shared))
    shift.sort(key=_by_shift)
    return {
        "one": _who(first),
        "other": _who(second),
        "parameters": changes(_readable(root, first), _readable(root, second)),
        "columns": {part: {**found, "common": len(found["common"])} for part, found in columns.items()},
        "plates": plates,
        "shift": shift,
        "by_column": _by_column(shift),
        "warnings": warnings,
    }


def _who(one: DefinedSet) -> dict[str, Any]:
    return {"kind": one.kind, "label": one.label, "hash": one.hash}


def _readable(root: LakeRoot, one: DefinedSet) -> Mapping[str, Any]:
    """Return a definition whose source is named by its label, not by its hash."""
    source = one.definition.get("source")
    if not isinstance(source, Mapping):
        return one.definition
    known: list[DefinedSet] = [*feature_sets(root), *profile_sets(root)]
    label = next((up.label for up in known if up.hash == source.get("hash") and up.kind == source.get("kind")), None)
    named = {**source, "label": label}
    if label is not None:
        named.pop("hash", None)
    return {**one.definition, "source": named}


def _columns(root: LakeRoot, one: DefinedSet, other: DefinedSet, part: str) -> dict[str, list[str]]:
    before, after = (feature_columns(root, which, part) if part in which.parts else [] for which in (one, other))
    there, here = set(before), set(after)
    return {
        "added": [name for name in after if name not in there],
        "removed": [name for name in before if name not in here],
        "common": [name for name in before if name in here],
    }


def _shared(root: LakeRoot, one: DefinedSet, other: DefinedSet, part: str, study_id: str | None) -> Iterator[_Shared]:
    held = [
        {(row.study_id, row.plate_id): row.rows for row in held_rows(root, which.table(part))} for which in (one, other)
    ]
    for study, plate in held[0]:
        if (study, plate) in held[1] and study_id in (None, study):
            yield _Shared(part, study, plate, (held[0][study, plate], held[1][study, plate]))


def _compare(
    root: LakeRoot, one: DefinedSet, other: DefinedSet, unit: _Shared, columns: Sequence[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compare the values of one plate."""
    scans = [_scan(root, which, unit) for which in (one, other)]
    read = [steady_reader(found) for found in scans]
    held = [set(stored_features(found, which, unit.part)) for found, which in zip(scans, (one, other), strict=True)]
    columns = [name for name in columns if all(name in there for there in held)]
    pairs = _pairs(one, other, unit, scans, read)
    place = {"part": unit.part, "study_id": unit.study_id, "plate_id": unit.plate_id}
    counts = [take(["study_id"]).num_rows for take in read]
    told = {
        **place,
        "rows_one": counts[0],
        "rows_other": counts[1],
        "pairs": None if pairs is None else len(pairs[0]),
    }
    wide = max(1, _BUDGET // (8 * max(1, sum(counts))))
    rows = []
    for start in range(0, len(columns), wide):
        names = columns[start : start + wide]
        before, after = (take(names) for take in read)
        rows += [
            {**place, "column": name, **_distance(_values(before, name), _values(after, name), pairs)} for name in names
        ]
    return told, rows


def _scan(root: LakeRoot, one: DefinedSet, unit: _Shared) -> Scan:
    filters = [Filter("study_id", "=", unit.study_id)]
    if unit.plate_id is not None:
        filters.append(Filter("plate_id", "=", unit.plate_id))
    return scan(root, one.table(unit.part), filters)


def _values(table: pa.Table, column: str) -> NDArray[np.floating]:
    found: NDArray[np.floating] = table[column].to_numpy()
    return found


def _distance(
    one: NDArray[np.floating], other: NDArray[np.floating], pairs: tuple[NDArray[np.int64], NDArray[np.int64]] | None
) -> dict[str, Any]:
    ordered = finite(one[spread(len(one))]), finite(other[spread(len(other))])
    said: dict[str, Any] = {
        "ks": _known(ks_of_sorted(*ordered)),
        "psi": _known(psi_of_sorted(*ordered)),
        "median_one": _known(median_of(one)),
        "median_other": _known(median_of(other)),
        "null_one": _known(null_fraction(one)),
        "null_other": _known(null_fraction(other)),
    }
    if pairs is None:
        return said
    left, right = one[pairs[0]], other[pairs[1]]
    return {
        **said,
        "correlation": _known(_correlation(left, right)),
        "identical": bool(np.array_equal(left, right, equal_nan=True)) and len(one) == len(other) == len(left),
    }


def _correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return Pearson's correlation of the pairs that both have; NaN where it is not defined."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 2:
        return float("nan")
    left, right = (which[both].astype(np.float64) for which in (one, other))
    left, right = left - left.mean(), right - right.mean()
    # Sums, no dot products: the library for those starts threads, which take longer than one column does.
    size = float(np.sqrt((left * left).sum() * (right * right).sum()))
    return float((left * right).sum()) / size if size > 0 else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _pairs(
    one: DefinedSet, other: DefinedSet, unit: _Shared, scans: Sequence[Scan], read: Sequence[Reader]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the positions of the rows that are the same object, well or treatment in both.

    Objects are paired only where both sets found the same: their definitions say so, and the numbers agree.
    """
    of_objects = one.kind == "features"
    if of_objects and not same_labels(one.definition, other.definition, unit.part):
        return None
    names = [name for name in identity_columns(one, unit.part) if name not in _NO_KEY]
    if unit.part == "treatment":
        names = ["treatment"]
    names = [name for name in names if all(name in found.schema.names for found in scans)]
    keys = [take(names) for take in read]
    codes = _codes(pa.concat_tables(keys), names)
    left, right = codes[: keys[0].num_rows], codes[keys[0].num_rows :]
    if any(len(np.unique(side)) != len(side) for side in (left, right)):
        return None
    common, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    if of_objects and not len(common) == len(left) == len(right):
        return None
    return at_left, at_right


def _codes(rows: pa.Table, names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number per row, the same for rows with the same values; NULL is a value."""
    codes = np.zeros(rows.num_rows, dtype=np.int64)
    for name in names:
        column: Any = pc.dictionary_encode(rows[name].combine_chunks(), null_encoding="encode")
        own = column.indices.to_numpy()
        # Numbered anew after each column, so that the product of two never overflows.
        _, codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_inverse=True)
    return codes


def _by_shift(row: Mapping[str, Any]) -> tuple[float, float, str, str, str, str]:
    names = (str(row[name] or "") for name in ("part", "column", "study_id", "plate_id"))
    ks, psi = (-1.0 if row[name] is None else float(row[name]) for name in ("ks", "psi"))
    part, column, study, plate = names
    return -ks, -psi, part, column, study, plate


def _by_column(shift: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return per part and column the largest shift over the plates and where it is; ``shift`` is sorted already."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in shift:
        entry = found.setdefault((row["part"], row["column"]), {**row, "plates": 0})
        entry["plates"] += 1
        if "identical" in row:
            entry["identical"] = entry["identical"] and row["identical"]
            if row["correlation"] is not None and (
                entry["correlation"] is None or row["correlation"] < entry["correlation"]
            ):
                entry["correlation"] = row["correlation"]
    return list(found.values())
