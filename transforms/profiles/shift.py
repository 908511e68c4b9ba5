"""Rows of a table plate by plate: what is empty, and how far distributions are from those of a reference.

The rows are objects, fields or wells as they are stored. Columns are read some at a time, and a reference is kept as a
sample of each column, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store.contents import steady_reader, stored_features
from ...store.distributions import SAMPLE, effective_size, finite, ks_by_chance, ks_of_sorted, psi_of_sorted, spread
from ...store.scan import Filter, scan
from .verdicts import ALPHA, Measures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...store.registry import DefinedSet
    from ...store.root import LakeRoot

#: Bytes of values in memory at once.
_BUDGET = 128_000_000
#: Rows that a distribution needs.
_FEWEST = 10
#: More wells than a plate has.
_WELLS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOfStudy:
    """One table of a set, as a study has it at one version.

    Attributes
    ----------
    excluded, controls
        Plate → its excluded wells, and its control wells without those.
    """

    set: DefinedSet
    part: str
    version: int | None
    study_id: str
    excluded: Mapping[str, Collection[str]]
    controls: Mapping[str, Collection[str]]


class _Plate:
    """The rows of one plate that count: those of excluded wells do not."""

    def __init__(self, root: LakeRoot, table: PartOfStudy, plate_id: str) -> None:
        filters = [Filter("study_id", "=", table.study_id), Filter("plate_id", "=", plate_id)]
        found = scan(root, table.set.table(table.part), filters, version=table.version)
        self._read = steady_reader(found)
        self.features = stored_features(found, table.set, table.part)
        wells = self._read(["well_id"])["well_id"]
        self.kept = ~_among(wells, table.excluded.get(plate_id, ()))
        self.of_controls = _among(wells, table.controls.get(plate_id, ())) & self.kept
        coded: Any = wells.combine_chunks().dictionary_encode()
        self.wells: NDArray[np.integer[Any]] = coded.indices.to_numpy()

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, NDArray[np.floating]]]:
        """Yield the values of columns, of all rows of the plate."""
        wide = max(1, _BUDGET // (8 * max(1, len(self.kept))))
        for start in range(0, len(names), wide):
            some = names[start : start + wide]
            rows: pa.Table = self._read(some)
            for name in some:
                yield name, rows[name].to_numpy()


def _among(wells: pa.ChunkedArray[Any], names: Collection[str]) -> NDArray[np.bool_]:
    found: Any = pc.is_in(wells, value_set=pa.array(sorted(names), pa.string()))
    mask: NDArray[np.bool_] = found.to_numpy()
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What plates are compared with.

    Attributes
    ----------
    name
        What it is, for people: a release or a plate, and which wells.
    samples
        Feature → finite values, sorted, of at most :data:`..store.distributions.SAMPLE` rows.
    sizes
        Feature → how many independent values these are worth.
    controls
        Whether only control wells are compared.
    plate_id
        The plate of the study that it is, which is not compared with itself.
    """

    name: str
    samples: Mapping[str, NDArray[np.float64]]
    sizes: Mapping[str, float]
    controls: bool
    plate_id: str | None = None


def read_reference(
    root: LakeRoot, table: PartOfStudy, plates: Sequence[str], *, name: str, plate_id: str | None = None
) -> Reference:
    """Read samples of what plates are compared with: of control wells where they have enough rows, else of all wells.

    Each plate gives as many rows at most as any other.
    """
    read = [_Plate(root, table, plate) for plate in plates]
    controls = sum(int(one.of_controls.sum()) for one in read) >= _FEWEST
    parts: dict[str, list[NDArray[np.floating]]] = {}
    groups: dict[str, list[NDArray[np.integer[Any]]]] = {}
    for number, one in enumerate(read):
        rows = np.flatnonzero(one.of_controls if controls else one.kept)
        rows = rows[spread(len(rows), max(_FEWEST, SAMPLE // len(read)))]
        for feature, values in one.columns(one.features):
            parts.setdefault(feature, []).append(values[rows])
            groups.setdefault(feature, []).append(one.wells[rows] + number * _WELLS)
    wells = "control wells" if controls else "all wells"
    return Reference(
        name=f"{name}: {wells}",
        samples={feature: finite(np.concatenate(values)) for feature, values in parts.items()},
        sizes={
            feature: effective_size(np.concatenate(values), np.concatenate(groups[feature]))
            for feature, values in parts.items()
        },
        controls=controls,
        plate_id=plate_id,
    )


def measure_rows(
    root: LakeRoot,
    table: PartOfStudy,
    plates: Sequence[str],
    reference: Reference | None,
    *,
    advance: Callable[[], None] = lambda: None,
) -> list[Measures]:
    """Measure what is empty on each plate, and how far it is from a reference."""
    found: list[Measures] = []
    for plate_id in plates:
        plate = _Plate(root, table, plate_id)
        found += _measure(plate, table.part, plate_id, reference, comparisons=len(plates) * len(plate.features))
        advance()
    return found


def _measure(
    plate: _Plate, part: str, plate_id: str, reference: Reference | None, *, comparisons: int
) -> Iterator[Measures]:
    features, n = plate.features, len(plate.features)
    nulls, infinite = np.full(n, np.nan), np.full(n, np.nan)
    ks, psi, chance = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=bool)
    reasons: list[str | None] = [None] * n
    compared = reference is not None and reference.plate_id != plate_id
    rows = int(plate.kept.sum())
    chosen = np.zeros(0, np.intp)
    if compared and reference is not None:
        chosen = np.flatnonzero(plate.of_controls if reference.controls else plate.kept)
        chosen = chosen[spread(len(chosen))]
    for number, (feature, values) in enumerate(plate.columns(features)):
        own = values[plate.kept]
        if rows:
            nulls[number], infinite[number] = np.isnan(own).mean(), np.isinf(own).mean()
        if compared and reference is not None:
            ordered, other = finite(values[chosen]), reference.samples.get(feature, np.empty(0))
            reasons[number] = _too_few(ordered, other, reference)
            if reasons[number] is None:
                ks[number], psi[number] = ks_of_sorted(other, ordered), psi_of_sorted(other, ordered)
                sizes = reference.sizes[feature], effective_size(values[chosen], plate.wells[chosen])
                chance[number] = ks[number] <= ks_by_chance(*sizes, ALPHA / comparisons)
    nothing = None if rows else "no rows outside excluded wells"
    yield Measures(
        metric="NullFraction", part=part, plate_id=plate_id, features=features, values=nulls, reasons=nothing
    )
    yield _whole("NullFraction", part, plate_id, nulls.mean() if n and rows else np.nan, reason=nothing)
    unlimited = np.flatnonzero(infinite > 0)
    yield Measures(
        metric="InfFraction",
        part=part,
        plate_id=plate_id,
        features=[features[number] for number in unlimited],
        values=infinite[unlimited],
    )
    yield _whole("InfFraction", part, plate_id, infinite.mean() if n and rows else np.nan, reason=nothing)
    if compared and reference is not None:
        for metric, found in (("KS", ks), ("PSI", psi)):
            # The index has no simple distribution of small samples: it counts where the distance is beyond chance.
            yield Measures(
                metric=metric,
                part=part,
                plate_id=plate_id,
                features=features,
                values=found,
                reference=reference.name,
                reasons=reasons,
                chance=chance,
            )
            known = ~np.isnan(found)
            yield Measures(
                metric=f"Median{metric}",
                part=part,
                plate_id=plate_id,
                features=None,
                values=np.array([np.median(found[known]) if known.any() else np.nan]),
                reference=reference.name,
                reasons=None if known.any() else "no feature could be compared",
                chance=np.array([bool(known.any()) and float(chance[known].mean()) >= 0.5]),
            )


def _too_few(own: NDArray[np.float64], other: NDArray[np.float64], reference: Reference) -> str | None:
    wells = "control wells" if reference.controls else "wells"
    if not len(other):
        return "the reference has no value of it"
    if min(len(own), len(other)) < _FEWEST:
        return f"{len(own)} row(s) of {wells} with a value, {len(other)} in the reference; {_FEWEST} are needed"
    return None


def _whole(metric: str, part: str, plate_id: str, value: float, *, reason: str | None = None) -> Measures:
    return Measures(
        metric=metric,
        part=part,
        plate_id=plate_id,
        features=None,
        values=np.array([value], dtype=np.float64),
        reasons=reason,
    )
