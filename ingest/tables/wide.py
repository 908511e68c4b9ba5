"""Any table with one row per thing, and a mapping file that says what its columns mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InvalidDataError
from ...schemas.feature_names import FeatureName
from ...wording import did_you_mean, listed
from .contract import Evidence, Options, SourceTable
from .flat import from_zero, raw_table, sort_columns, source_table
from .look import FoundFile
from .mapping import TableMapping, read_mapping, skeleton
from .raw import NO_NUMBER, RawTable, not_a_number

_SHOWN = 8
_FIRST = 1000  # rows that tell whether a column holds numbers


class Wide:
    """Any CSV, TSV or Parquet file with a mapping file."""

    name = "wide"
    description = "any CSV, TSV or Parquet with one row per object, field, well or treatment, and a --mapping file"

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Know every table; asked only when somebody names this dialect or gives a mapping file."""
        known = [file for file in files if file.kind in ("text", "parquet")]
        if not known:
            return None
        return Evidence(text=f"{len(known)} tables", files=tuple(file.path for file in known))

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe one table for each file, as the mapping file says."""
        if options.mapping is None:
            raw = raw_table(files[0])
            raise InvalidDataError(
                f"{files[0].name}: nothing says what its {len(raw.columns)} columns mean",
                hint="Save this as mapping.toml, correct it, and give it with --mapping mapping.toml:\n\n"
                + skeleton(raw.columns, raw.numbers),
            )
        mapping = read_mapping(options.mapping)
        return [_table(raw_table(file), mapping) for file in files]


def _table(raw: RawTable, mapping: TableMapping) -> SourceTable:
    _check(raw, mapping)
    ignored = [column for column in raw.columns if mapping.is_ignored(column)]
    about = [column for column in raw.columns if mapping.is_metadata(column) and column not in ignored]
    beside = set(ignored) | set(about) | set(mapping.identity.values())
    marked = _Marked(raw, mapping.missing, [c for c in raw.columns if c not in beside]) if mapping.missing else raw
    extra = [c for c in marked.columns if c in marked.numbers and c not in beside and c not in mapping.features]
    layout = sort_columns(
        marked,
        mapping.identity,
        metadata=about,
        texts=[column for column in ignored if column not in marked.numbers],
        others=[c for c in (*ignored, *(extra if mapping.only else ())) if c in marked.numbers],
    )
    words = [column for column in mapping.features if column in raw.columns and column not in layout.features]
    if words:
        raise InvalidDataError(
            f"{raw.name}: the mapping names features that hold text: {listed(words, _SHOWN)}",
            hint="Name what stands for a missing value in `missing`, or remove them from [features].",
        )
    return source_table(
        marked,
        layout,
        level=mapping.level,
        object_set=mapping.object_set,
        change=lambda rows: from_zero(rows, mapping.first_timepoint),
        names=_names(layout.features, mapping),
    )


def _names(features: Sequence[str], mapping: TableMapping) -> dict[str, FeatureName]:
    """Return what the mapping says of features: its names, and units of those that keep their own."""
    found = {column: mapping.features[column] for column in features if column in mapping.features}
    for column in features:
        if column in mapping.units and column not in found:
            family, _, operator = column.partition("_")
            found[column] = FeatureName(
                name=None, family=family or "wide", operator=operator or column, unit=mapping.units[column]
            )
    return found


def _check(raw: RawTable, mapping: TableMapping) -> None:
    named = {**dict.fromkeys(mapping.wanted(), "columns"), **dict.fromkeys(mapping.features, "features")}
    named |= dict.fromkeys(mapping.units, "units")
    lost = [column for column in named if column not in raw.columns]
    if lost:
        raise InvalidDataError(
            f"{mapping.path}: [{named[lost[0]]}] names {lost[0]!r}, which {raw.name} does not have"
            f"{did_you_mean(lost[0], raw.columns)}",
            hint=f"Its columns are {listed([repr(one) for one in raw.columns], _SHOWN)}.",
        )
    clash = [column for column in mapping.features if column in mapping.identity.values()]
    if clash:
        raise InvalidDataError(f"{mapping.path}: {listed(clash, _SHOWN)} is both a feature and where a row belongs")


class _Marked:
    """A table in which more cells mean "no value"; columns with such cells are read as text, and made into numbers."""

    def __init__(self, raw: RawTable, missing: Sequence[str], candidates: Sequence[str]) -> None:
        self._raw = raw
        self._missing = missing
        self.name, self.path, self.columns, self.size = raw.name, raw.path, raw.columns, raw.size
        self._words = frozenset(self._turned(candidates))
        self.numbers = raw.numbers | self._words
        self.mixed = raw.mixed

    def done(self) -> int:
        """Return how many bytes were read by now."""
        return self._raw.done()

    def read(self, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[pa.Table]:
        """Yield batches; see :meth:`.raw.RawTable.read`."""
        plain = [column for column in numbers if column not in self._words]
        words = [column for column in numbers if column in self._words]
        before = 0
        for rows in self._raw.read(plain, [*texts, *words]):
            columns: dict[str, Any] = {column: rows[column] for column in rows.column_names}
            for column in words:
                columns[column] = self._number(column, rows[column], before)
            for column in plain:
                columns[column] = self._without_marks(rows[column])
            before += rows.num_rows
            yield pa.table(columns)

    def _turned(self, candidates: Sequence[str]) -> list[str]:
        """Return columns of text that are numbers, but for the cells that mean nothing, in the first rows."""
        words = [column for column in candidates if column not in self._raw.numbers]
        if not words:
            return []
        first = next(iter(self._raw.read([], words)), None)
        return [column for column in words if first is not None and self._is_number(first[column].slice(0, _FIRST))]

    def _is_number(self, column: Any) -> bool:
        try:
            return bool(self._number("", column, 0).null_count < len(column))
        except InvalidDataError:
            return False

    def _number(self, name: str, column: Any, before: int) -> Any:
        empty = pc.is_in(column, value_set=pa.array([*self._missing, *NO_NUMBER], pa.string()))
        column = pc.if_else(empty, pa.scalar(None, pa.string()), column)
        try:
            return self._without_marks(column.cast(pa.float64()))
        except pa.ArrowInvalid:
            at, text = not_a_number(column)
            raise InvalidDataError(
                f"{self.path}: column {name} holds {text[:80]!r} in row {before + at + 1:,}, which is no number",
                hint="Name it in `missing` of the mapping file if it means that there is no value.",
            ) from None

    def _without_marks(self, column: Any) -> Any:
        marks = [float(one) for one in self._missing if _is_float(one)]
        if not marks:
            return column
        return pc.if_else(pc.is_in(column, value_set=pa.array(marks)), pa.scalar(None, pa.float64()), column)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


DIALECTS = (Wide(),)
