"""From objects to wells: one row per well, or per field, with a mean or median of every feature of its objects.

A plate of a million objects with a thousand features is larger than memory should be, so a table is read some columns
at a time, and objects are put into groups once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from ...errors import InvalidDataError
from ...schemas.identifiers import format_well, parse_well
from ...schemas.tables import class_schema
from ...store.contents import steady_reader
from ...wording import listed
from ..features.dictionary import capitalised
from .groups import Groups
from .matrix import ProfileMatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...store.scan import Scan

Method = Literal["mean", "median"]
Level = Literal["well", "field"]
#: Acquisition, time point, row and column of the well, field; −1 where there is no field.
Key = tuple[int, int, int, int, int]
#: Reads some columns of all rows.
Reader = Callable[[Sequence[str]], pa.Table]

_PLATE = ("study_id", "plate_id")
#: Bytes of values that are read at a time; columns that are, at least.
_AT_ONCE, _LEAST = 8 << 20, 4
#: Columns that are reduced at a time.
_COLUMNS = 16
_SHOWN = 5


def aggregate_plate(
    scans: Mapping[str, Scan],
    *,
    method: Method = "median",
    by: Level = "well",
    counts: bool = True,
    min_objects: int = 1,
    expected: pa.Table | None = None,
    warnings: list[str] | None = None,
) -> ProfileMatrix:
    """Make rows of wells, or of fields, from the objects of one plate.

    Parameters
    ----------
    scans
        Object set → the rows of the plate in its table of features (filtered by study and plate). Features are the
        columns of 32- or 64-bit floats that a file of the plate holds.
    method
        What becomes of a feature: the mean or the median over the objects of the group that have it. NULL, NaN and
        infinite values count as missing; a group without any value has NaN.
    by
        ``well``: one row per acquisition, well and time point. ``field``: per field of these too.
    counts
        Whether the number of objects of each set becomes a feature, ``Nuclei_Count`` for ``nuclei``, before the others
        of the set.
    min_objects
        Groups with fewer objects of a set have NaN in its features; their count stays.
    expected
        Rows that there shall be, with objects or without: ``study_id``, ``plate_id``, ``acquisition_id``, ``well_id``,
        ``timepoint``, and ``field_id`` by field; other columns are not looked at. Groups that are not there but have
        objects are added.
    warnings
        Where sentences for the user are appended: groups with few objects, infinite values.

    Returns
    -------
    ProfileMatrix
        ``rows`` are the columns of ``ProfileRow`` without ``fit_version`` and ``run_id``, sorted by acquisition, time
        point, row and column of the well, field; ``n_objects`` is the number of objects of the first set; ``field_id``
        is NULL by well.

    Raises
    ------
    InvalidDataError
        The rows are of several plates, a row lacks its well, or two object sets have a feature of the same name.
    """
    with ExitStack() as stack:
        opened = {name: stack.enter_context(one.kept_open()) for name, one in scans.items()}
        features = {name: _features(one) for name, one in opened.items()}
        _check_distinct(features, counts=counts)
        read = {name: _reader(one) for name, one in opened.items()}
        objects = {name: _Objects.of(read[name], by, f"table {one.table}") for name, one in opened.items()}
        wanted = [] if expected is None else _keys(expected, by, "the rows that are expected")[1]
        plate = _one_plate([*objects.values()], expected)
        keys = sorted({*wanted, *(key for one in objects.values() for key in one.keys)})
        parts = {
            name: _part(plate, name, found, keys, read[name], features[name], method, min_objects)
            for name, found in objects.items()
        }
    names: list[str] = []
    columns = [np.empty((0, len(keys)))]
    for name, part in parts.items():
        if counts:
            names.append(count_feature(name))
            columns.append(part.sizes.astype(np.float64)[None])
        names += features[name]
        columns.append(part.values)
        if warnings is not None:
            warnings += part.warnings
    first = next(iter(parts.values())).sizes if parts else np.zeros(len(keys), np.int64)
    return ProfileMatrix(
        rows=_rows(plate, keys, first),
        features=tuple(names),
        values=np.ascontiguousarray(np.concatenate(columns).T),
    )


def aggregate_rows(
    matrix: ProfileMatrix, *, method: Method = "median", summed: Sequence[str] = (), warnings: list[str] | None = None
) -> ProfileMatrix:
    """Make rows of wells from rows of fields, of one plate or several.

    Parameters
    ----------
    matrix
        Rows with the columns of ``ProfileRow``.
    method
        As in :func:`aggregate_plate`; ``n_objects`` is summed.
    summed
        Features that are summed, such as the counts of objects; NaN where a field has none.
    """
    own = (*_PLATE, "acquisition_id", "well_id", "timepoint")
    keys = list(zip(*(matrix.column(name) for name in own if name in matrix.rows.column_names), strict=True))
    at = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    numbers = np.array([at[key] for key in keys], np.intp)
    values = np.array(matrix.values)
    infinite = int(np.isinf(values).sum())
    if infinite:
        values[np.isinf(values)] = np.nan
        if warnings is not None:
            warnings.append(f"{infinite} infinite value(s) of fields count as missing")
    result = Groups.of(numbers, len(at)).reduce_rows(values, method)
    for name in summed:
        if name in matrix.features:
            column = matrix.features.index(name)
            result[:, column] = _sums(values[:, column], numbers, len(at))
    first = np.unique(numbers, return_index=True)[1]
    rows = matrix.rows.take(pa.array(first, pa.int64()))
    if "n_objects" in rows.column_names:
        given = np.array([np.nan if one is None else one for one in matrix.column("n_objects")], np.float64)
        total = [None if np.isnan(one) else int(one) for one in _sums(given, numbers, len(at))]
        rows = _with_column(rows, "n_objects", pa.array(total, pa.int64()))
    if "field_id" in rows.column_names:
        rows = _with_column(rows, "field_id", pa.nulls(len(rows), rows.schema.field("field_id").type))
    return ProfileMatrix(rows=rows, features=matrix.features, values=result)


def _sums(column: NDArray[np.float64], numbers: NDArray[np.intp], n_groups: int) -> NDArray[np.float64]:
    """Sum a column by group; NaN where a row has none."""
    total = np.zeros(n_groups)
    np.add.at(total, numbers, column)
    return total


def _with_column(rows: pa.Table, name: str, column: Any) -> pa.Table:
    """Put another column in the place of one."""
    return rows.set_column(rows.column_names.index(name), pa.field(name, column.type), column)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objects:
    """Who the objects of one set are: their plates, the groups that they form, and the group of each."""

    plates: tuple[tuple[str, str], ...]
    keys: list[Key]
    numbers: NDArray[np.intp]

    @classmethod
    def of(cls, read: Reader, by: Level, where: str) -> _Objects:
        """Read the identity of the objects and group them; ``where`` is for messages."""
        fields = ["field_id"] if by == "field" else []
        rows = read([*_PLATE, "acquisition_id", "timepoint", "well_id", *fields])
        plates = rows.select(_PLATE).group_by(list(_PLATE), use_threads=False).aggregate([]).to_pylist()
        numbers, keys = _keys(rows, by, where)
        return cls(plates=tuple((one["study_id"], one["plate_id"]) for one in plates), keys=keys, numbers=numbers)


def _reader(found: Scan) -> Reader:
    """Give what reads columns of a table, the rows in the same order each time."""
    # Where the files hold nothing else, it need not be looked for in every reading.
    if found.plain and found.read(_PLATE).num_rows == sum(file.rows or 0 for file in found.files):
        return replace(found, filters=()).read
    return steady_reader(found)


def _keys(rows: pa.Table, by: Level, where: str) -> tuple[NDArray[np.intp], list[Key]]:
    """Give rows the number of the group that they belong to; give the groups too."""
    names = ["acquisition_id", "timepoint", "well_id", *(["field_id"] if by == "field" else [])]
    codes = np.zeros(rows.num_rows, np.int64)
    every: list[list[Any]] = []
    for name in names:
        if rows[name].null_count:
            raise InvalidDataError(f"{where}: {rows[name].null_count} row(s) have no {name}")
        coded: Any = rows[name].combine_chunks().dictionary_encode()
        every.append(coded.dictionary.to_pylist())
        codes = codes * max(len(every[-1]), 1) + coded.indices.to_numpy()
    distinct, numbers = np.unique(codes, return_inverse=True)
    keys: list[Key] = []
    for code in distinct.tolist():
        values: list[Any] = []
        for known in reversed(every):
            code, place = divmod(code, len(known))
            values.insert(0, known[place])
        acquisition, timepoint, well, *field = values
        keys.append((acquisition, timepoint, *parse_well(well), field[0] if field else -1))
    return numbers.astype(np.intp, copy=False), keys


def _one_plate(objects: Sequence[_Objects], expected: pa.Table | None) -> tuple[str, str]:
    """Give study and plate of all rows; empty texts where there are none."""
    plates = {plate for one in objects for plate in one.plates}
    if expected is not None:
        plates |= {(one["study_id"], one["plate_id"]) for one in expected.select(_PLATE).to_pylist()}
    if len(plates) > 1:
        named = listed(sorted("/".join(plate) for plate in plates), _SHOWN)
        raise InvalidDataError(f"the rows of one plate were asked for, and these are of {len(plates)}: {named}")
    return next(iter(plates), ("", ""))


def _features(found: Scan) -> list[str]:
    """Columns of floats that the plate's files hold, in the order of the table."""
    identity = set(class_schema("ObjectRow").names)
    stored = found.stored_columns()
    return [
        one.name
        for one in found.schema
        if one.name in stored and one.name not in identity and pa.types.is_floating(one.type)
    ]


def _check_distinct(features: Mapping[str, Sequence[str]], *, counts: bool) -> None:
    """Refuse object sets whose features could not be told apart."""
    whose = {count_feature(name): f"the number of {name}" for name in features} if counts else {}
    for name, own in features.items():
        for feature in own:
            if feature in whose:
                raise InvalidDataError(
                    f"two features are called {feature!r}: one of {whose[feature]}, one of {name}",
                    hint="Take one of the object sets, by objects in [aggregate] of the recipe, or set counts = false.",
                )
            whose[feature] = name


def count_feature(object_set: str) -> str:
    """Return the name of the feature that holds the number of objects of a set."""
    return f"{capitalised(object_set)}_Count"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one object set gives: objects of each group, features of shape (features, groups)."""

    sizes: NDArray[np.int64]
    values: NDArray[np.float64]
    warnings: list[str]


def _part(
    plate: tuple[str, str],
    object_set: str,
    found: _Objects,
    keys: Sequence[Key],
    read: Reader,
    features: Sequence[str],
    method: Method,
    min_objects: int,
) -> _Part:
    at = {key: number for number, key in enumerate(keys)}
    groups = Groups.of(np.array([at[key] for key in found.keys], np.intp)[found.numbers], len(keys))
    values, infinite = _reduced(read, features, groups, method)
    few = groups.sizes < max(min_objects, 1)
    values[:, few] = np.nan
    warnings = [_few(plate, object_set, keys, groups.sizes, few, min_objects)] if few.any() else []
    if infinite:
        warnings.append(_infinite(plate, object_set, infinite))
    return _Part(sizes=groups.sizes, values=values, warnings=warnings)


def _reduced(
    read: Reader, features: Sequence[str], groups: Groups, method: Method
) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Reduce all features, of shape (features, groups), and count infinite values by feature."""
    result = np.full((len(features), len(groups.sizes)), np.nan)
    infinite: dict[str, int] = {}
    at_once = max(_LEAST, _AT_ONCE // (8 * max(groups.rows, 1)))
    for start in range(0, len(features), at_once):
        names = features[start : start + at_once]
        table = read(names)
        for first in range(0, len(names), _COLUMNS):
            some = names[first : first + _COLUMNS]
            values = np.full(
                (len(some), groups.rows + 1), np.nan, np.result_type(*(_dtype(table, one) for one in some))
            )
            for row, name in enumerate(some):
                values[row, :-1] = table[name].to_numpy()
            unlimited = np.isinf(values)
            if unlimited.any():
                infinite |= {name: int(n) for name, n in zip(some, unlimited.sum(axis=1), strict=True) if n}
                values[unlimited] = np.nan
            result[start + first : start + first + len(some)] = groups.reduce(values, method)
    return result, infinite


def _dtype(table: pa.Table, name: str) -> np.dtype[Any]:
    kind: np.dtype[Any] = np.dtype(table.schema.field(name).type.to_pandas_dtype())
    return kind


def _rows(plate: tuple[str, str], keys: Sequence[Key], sizes: NDArray[np.int64]) -> pa.Table:
    study_id, plate_id = plate
    columns = {
        "study_id": [study_id] * len(keys),
        "plate_id": [plate_id] * len(keys),
        "acquisition_id": [key[0] for key in keys],
        "well_id": [format_well(key[2], key[3]) for key in keys],
        "field_id": [None if key[4] < 0 else key[4] for key in keys],
        "timepoint": [key[1] for key in keys],
        "n_objects": sizes.tolist(),
    }
    schema = class_schema("ProfileRow")
    fields = [schema.field(name).remove_metadata().with_nullable(True) for name in columns]
    return pa.table({name: pa.array(v, f.type) for (name, v), f in zip(columns.items(), fields, strict=True)}).cast(
        pa.schema(fields)
    )


def _few(
    plate: tuple[str, str],
    object_set: str,
    keys: Sequence[Key],
    sizes: NDArray[np.int64],
    few: NDArray[np.bool_],
    min_objects: int,
) -> str:
    level = "fields" if keys[0][4] >= 0 else "wells"
    shown = [f"{format_well(key[2], key[3])} ({size})" for key, size, one in zip(keys, sizes, few, strict=True) if one]
    fewer = f"fewer than {min_objects} {object_set}" if min_objects > 1 else f"no {object_set}"
    return (
        f"plate {plate[1]}: {len(shown)} of {len(keys)} {level} have {fewer}, and no features of them: "
        f"{listed(shown, _SHOWN)}"
    )


def _infinite(plate: tuple[str, str], object_set: str, infinite: Mapping[str, int]) -> str:
    most = max(infinite, key=lambda name: infinite[name])
    return (
        f"plate {plate[1]}: {sum(infinite.values())} infinite value(s) in {len(infinite)} feature(s) of {object_set}, "
        f"most in {most}, count as missing"
    )
