"""The rows themselves, a piece at a time: asked, put in order, cut into splits, hashed, counted and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...errors import InvalidDataError
from ...wording import listed
from ..binding import text
from .fingerprint import ColumnHash, arrow_type, canonical, row_digests
from .splitting import key_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .formats import Layout
    from .plan import Plan

#: Bytes that the features of one piece take, about; the fewest rows of a piece, and the most plates.
_PIECE_BYTES, _FEWEST, _MOST_PLATES = 64 * 2**20, 2000, 500

Piece = dict[str, str]


class Writer(Protocol):
    """What takes the rows of a split."""

    def write(self, facts: Mapping[str, pa.Array[Any]], block: NDArray[Any]) -> None:
        """Take the next rows."""

    def close(self) -> None:
        """Finish."""


@dataclass(slots=True)
class Numbers:
    """A label that is a number, in one split."""

    rows: int = 0
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values; NaN is none."""
        there = values[~np.isnan(values)]
        if there.size:
            self.rows += there.size
            self.total += float(there.sum())
            self.least, self.most = min(self.least, float(there.min())), max(self.most, float(there.max()))


@dataclass(slots=True)
class SplitState:
    """What is known of a split while it is written: rows, hashes, values that are missing."""

    writer: Writer
    hashes: dict[str, ColumnHash]
    rows: int = 0
    missing: NDArray[np.int64] | None = None
    infinite: int = 0
    numbers: dict[str, Numbers] = field(default_factory=dict)


def pieces(plan: Plan, tally: Sequence[Mapping[str, Any]], columns: int) -> Iterator[Piece]:
    """Yield conditions of some rows each, in the order of rows: plates of one study, or wells of one plate."""
    most = max(_FEWEST, _PIECE_BYTES // (8 * max(columns, 1)))
    studies: dict[str, dict[str | None, dict[str | None, int]]] = {}
    for row in tally:
        study, plate, well = (*row["place"], None, None)[:3]
        wells = studies.setdefault(study, {}).setdefault(plate, {})
        wells[well] = wells.get(well, 0) + row["n"]
    for study in sorted(studies):
        of_study = {"study_id": f"study_id = {text(study)}"}
        waiting: list[str] = []
        held = 0
        for plate in sorted(studies[study], key=str):
            if plate is None:
                continue
            wells = studies[study][plate]
            rows = sum(wells.values())
            if waiting and (held + rows > most or len(waiting) >= _MOST_PLATES):
                yield of_study | _of_plates(waiting)
                waiting, held = [], 0
            if rows > most:
                yield from (of_study | _of_plates([plate]) | one for one in _of_wells(wells, most))
            else:
                waiting.append(plate)
                held += rows
        if waiting:
            yield of_study | _of_plates(waiting)
        if None in studies[study]:  # treatments lie on no plate
            yield of_study


def _of_plates(plates: Sequence[str]) -> Piece:
    return {"plate_id": f"plate_id IN ({', '.join(text(one) for one in plates)})"}


def _of_wells(wells: Mapping[str | None, int], most: int) -> Iterator[Piece]:
    waiting: list[str] = []
    held = 0
    for well in sorted(str(one) for one in wells):
        if waiting and held + wells[well] > most:
            yield {"well_id": f"well_id BETWEEN {text(waiting[0])} AND {text(waiting[-1])}"}
            waiting, held = [], 0
        waiting.append(well)
        held += wells[well]
    if waiting:
        yield {"well_id": f"well_id BETWEEN {text(waiting[0])} AND {text(waiting[-1])}"}


class Stream:
    """Writes all rows of a data set.

    Attributes
    ----------
    states
        Split → what is known of it.
    missing_by_plate
        Plate → (values that are missing, values).
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        splits: Mapping[str, str],
        dropped: Mapping[str, set[Any]],
        writers: Mapping[str, Writer],
        index: Path,
    ) -> None:
        self._plan = plan
        self._layout = layout
        self._names = list(writers)
        of_sources = ([name for name in one.columns if name in set(layout.features)] for one in plan.chosen)
        self._few = [names[0] for names in of_sources if names]
        self._splits = splits
        self._dropped = dropped
        self.states = {
            name: SplitState(
                writer,
                {column: ColumnHash() for column in (*layout.facts, *layout.features)},
                missing=np.zeros(len(layout.features), dtype=np.int64),
            )
            for name, writer in writers.items()
        }
        self.missing_by_plate: dict[str, list[int]] = {}
        self._last: tuple[Any, ...] | None = None
        schema = pa.schema([*layout.identity.items(), ("split", pa.string()), ("digest", pa.uint64())])
        repeating: Any = [name for name in schema.names if name != "digest"]
        self._index_schema = schema
        self._index = pq.ParquetWriter(index, schema, compression="zstd", use_dictionary=repeating)

    def run(self, some: Sequence[Piece], progress: Callable[[int, int], None] | None) -> None:
        """Ask every piece and write its rows.

        Raises
        ------
        InvalidDataError
            Several rows have one identity.
        """
        total = sum(self._layout.rows.values())
        done = 0
        for piece in some:
            done += self._piece(piece)
            if progress is not None:
                progress(done, total)

    def close(self) -> None:
        """Finish all files."""
        for state in self.states.values():
            state.writer.close()
        self._index.close()

    def _piece(self, piece: Piece) -> int:
        plan, layout = self._plan, self._layout
        where = [f"{sql} IS NOT NULL" for name, sql in plan.labels.items() if self._label(name).missing == "drop"]
        # Files are chosen by a question with few columns: to read a text with all of them takes longer than to ask it.
        few = plan.rows.select(plan.wanted(), conditions=piece, features=self._few, where=where, whole=True)
        query = plan.rows.select(plan.wanted(), conditions=piece, features=layout.features, where=where)
        table = plan.pinned.ask(few).again(query).to_arrow()
        facts = {name: _stored(table[name], kind) for name, kind in layout.facts.items()}
        codes = self._codes(facts)
        keys: Any = [(name, "ascending") for name in layout.identity]
        order = pc.sort_indices(pa.table({name: facts[name] for name in layout.identity}), sort_keys=keys).to_numpy()
        order = order[codes[order] >= 0]
        taken_in_order: Any = pa.array(order)
        facts = {name: values.take(taken_in_order) for name, values in facts.items()}
        self._check_once({name: facts[name] for name in layout.identity}, len(order))
        in_order = len(order) == table.num_rows and bool((order[1:] > order[:-1]).all())
        block = np.empty((len(layout.features), len(order)), dtype=layout.dtype)
        for number, name in enumerate(layout.features):
            values = _floats(table[name], layout.dtype)
            block[number] = values if in_order else values[order]
        del table
        canonical(block)
        codes = codes[order]
        self._count_missing(facts, block)
        # The group under which rows are kept together is what was compared.
        facts["group"] = self._keys(facts["group"])
        others = {name: facts[name] for name in layout.annotation}
        digests = row_digests(layout.features, block, others, len(order))
        of_split: Any = pa.array(codes)
        names = pa.array(self._names).take(of_split)
        self._index.write_table(
            pa.Table.from_arrays(
                [*(facts[name] for name in layout.identity), names, pa.array(digests)], schema=self._index_schema
            )
        )
        for number, state in enumerate(self.states.values()):
            here = np.flatnonzero(codes == number)
            if here.size:
                whole = here.size == len(order)
                part = block if whole else np.take(block, here, axis=1)
                taken: Any = pa.array(here)
                self._write(state, facts if whole else {k: v.take(taken) for k, v in facts.items()}, part)
        return len(order)

    def _label(self, name: str) -> Any:
        return next(one for one in self._plan.spec.labels if one.name == name)

    def _codes(self, facts: Mapping[str, pa.Array[Any]]) -> NDArray[np.int64]:
        """Return the number of each row's split, -1 for rows that are left out."""
        encoded: Any = facts["group"].dictionary_encode()
        at = {name: number for number, name in enumerate(self._names)}
        by = self._plan.spec.split.by
        keys = [key_of(by, value) for value in encoded.dictionary.to_pylist()]
        alone = at.get(self._plan.spec.split.missing, -1)
        # A group of which no row is kept has no split.
        of_groups = (alone if key is None else at.get(self._splits.get(key, ""), -1) for key in keys)
        table = np.array([alone, *of_groups], dtype=np.int64)
        indices: Any = pc.fill_null(encoded.indices, -1)
        codes = table[np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.int64) + 1]
        for name, classes in self._dropped.items():
            gone: Any = pc.is_in(facts[name], value_set=pa.array(sorted(classes), type=facts[name].type))
            codes[np.asarray(gone.to_numpy(zero_copy_only=False), dtype=bool)] = -1
        return codes

    def _keys(self, groups: pa.Array[Any]) -> pa.Array[Any]:
        encoded: Any = groups.dictionary_encode()
        by = self._plan.spec.split.by
        keys: Any = pa.array([key_of(by, value) for value in encoded.dictionary.to_pylist()], pa.string())
        taken: pa.Array[Any] = keys.take(encoded.indices)
        return taken

    def _check_once(self, identity: Mapping[str, pa.Array[Any]], rows: int) -> None:
        if not rows:
            return
        same = np.ones(rows, dtype=bool)
        first = tuple(values[0].as_py() for values in identity.values())
        same[0] = first == self._last
        self._last = tuple(values[-1].as_py() for values in identity.values())
        for values in identity.values():
            codes: Any = values.dictionary_encode().indices if pa.types.is_string(values.type) else values
            numbers = np.asarray(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False))
            same[1:] &= numbers[1:] == numbers[:-1]
        if same.any():
            twice = int(np.flatnonzero(same)[0])
            said = ", ".join(f"{name} {values[twice]}" for name, values in identity.items())
            others = [one.source.said for one in self._plan.rows.joined]
            raise InvalidDataError(
                f"several rows have one identity: {said}",
                hint=f"{self._plan.rows.source.said}"
                + (f", or {listed(others, 3)}" if others else "")
                + " holds it more than once: aggregate or filter",
            )

    def _count_missing(self, facts: Mapping[str, pa.Array[Any]], block: NDArray[Any]) -> None:
        if "plate_id" not in facts or not block.shape[1]:
            return
        by_row = np.isnan(block).sum(axis=0)
        between: Any = "/"
        names: Any = pc.binary_join_element_wise(facts["study_id"], facts["plate_id"], between)
        encoded: Any = names.dictionary_encode()
        at = encoded.indices.to_numpy(zero_copy_only=False)
        missing, rows = np.bincount(at, weights=by_row), np.bincount(at)
        for number, name in enumerate(encoded.dictionary.to_pylist()):
            counts = self.missing_by_plate.setdefault(name, [0, 0])
            counts[0] += int(missing[number])
            counts[1] += int(rows[number]) * block.shape[0]

    def _write(self, state: SplitState, facts: Mapping[str, pa.Array[Any]], block: NDArray[Any]) -> None:
        state.rows += block.shape[1]
        missing: Any = state.missing
        missing += np.isnan(block).sum(axis=1)
        state.infinite += int(np.isinf(block).sum())
        for name, values in facts.items():
            state.hashes[name].array(values)
        for name, floats in zip(self._layout.features, block, strict=True):
            state.hashes[name].floats(floats)
        for name in self._layout.labels:
            if name not in self._layout.classes:
                numbers = facts[name].to_numpy(zero_copy_only=False).astype(np.float64)
                state.numbers.setdefault(name, Numbers()).add(numbers)
        state.writer.write(facts, block)


def _stored(column: pa.ChunkedArray[Any], kind: pa.DataType) -> pa.Array[Any]:
    whole: Any = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    made: pa.Array[Any] = whole if whole.type == kind else whole.cast(kind)
    return made


def _floats(column: pa.ChunkedArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    kind = arrow_type(dtype.name)
    stored = column if pa.types.is_floating(column.type) else pc.cast(column, kind)
    numbers: NDArray[Any] = stored.to_numpy(zero_copy_only=False)
    return numbers
