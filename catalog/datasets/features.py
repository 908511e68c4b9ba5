"""Which columns are features: by patterns, by what the feature dictionary says of them, from several sources."""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ...errors import InvalidDataError
from ...wording import did_you_mean, listed
from ..annotated import sets_of
from ..binding import quoted, text
from ..columns import IDENTITY, classify
from .rows import Joined, Rows
from .sources import KEYS, Source, find_source

if TYPE_CHECKING:
    from ...store.registry import DefinedSet
    from .pins import Pinned
    from .spec import FeatureSource

_WILD = frozenset("*?[")
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The features of one table of the spec.

    Attributes
    ----------
    columns
        Name in the data set → name in the source.
    float32
        Whether all of them are stored as 32-bit floats.
    """

    given: FeatureSource
    source: Source
    columns: Mapping[str, str]
    float32: bool


def choose_features(pinned: Pinned, rows: Rows) -> list[Chosen]:
    """Find the features of a spec and put them into ``rows``.

    Raises
    ------
    InvalidDataError
        A pattern, family or role matches nothing, a column is no number, or two columns would have one name.
    """
    found: list[Chosen] = []
    for given in rows.spec.features:
        if given.is_quality:
            found.append(_quality(pinned, rows, given))
            continue
        own = given.source is None and given.sql is None
        level = rows.spec.entities.level
        source = rows.source if own else find_source(pinned, given.source, given.sql, given.where, level=level)
        own = own or (source.relation == rows.source.relation and source.level is not None)
        columns = _matching(pinned, given, source)
        if own:
            rows.own.update(columns)
        else:
            rows.join_keys(source)
            rows.joined.append(Joined(source, {name: quoted(column) for name, column in columns.items()}))
        kinds = {str(source.schema.field(column).type) for column in columns.values()}
        found.append(Chosen(given=given, source=source, columns=columns, float32=kinds <= {"float", "halffloat"}))
    _check_names(rows, found)
    return found


def _matching(pinned: Pinned, given: FeatureSource, source: Source) -> dict[str, str]:
    import pyarrow as pa

    features = list(classify(source.schema).features)
    numbers = [
        one.name
        for one in source.schema
        if (pa.types.is_floating(one.type) or pa.types.is_integer(one.type) or pa.types.is_boolean(one.type))
        and one.name not in IDENTITY
    ]
    if not features and not any(not _is_wild(one) for one in given.columns):
        raise InvalidDataError(f"{given.where}: {source.said} has no column that could be a feature")
    chosen: dict[str, None] = {}
    for pattern in given.columns:
        if _is_wild(pattern):
            matched = [name for name in features if fnmatchcase(name, pattern)]
        else:  # a number that is no feature can be taken by its name
            matched = [name for name in numbers if name == pattern]
        if not matched:
            raise InvalidDataError(
                f"{given.where}.columns: {pattern!r} matches no column of {source.said}"
                f"{did_you_mean(pattern, numbers)}",
                hint=f"features are {listed(features, _SHOWN)}",
            )
        chosen.update(dict.fromkeys(matched))
    for pattern in given.exclude:
        if not any(fnmatchcase(name, pattern) for name in chosen):
            raise InvalidDataError(
                f"{given.where}.exclude: {pattern!r} matches none of the {len(chosen)} columns that were chosen"
                f"{did_you_mean(pattern, chosen)}",
                hint="leave it out",
            )
    names = [name for name in chosen if not any(fnmatchcase(name, one) for one in given.exclude)]
    names = _by_meaning(pinned, given, source, names)
    if not names:
        raise InvalidDataError(f"{given.where}: no column of {source.said} is left", hint="exclude less")
    return {f"{given.prefix}{name}": name for name in names}


def _by_meaning(pinned: Pinned, given: FeatureSource, source: Source, names: list[str]) -> list[str]:
    """Return the columns of the families, roles and object sets that are asked for."""
    wanted = {"families": given.families, "roles": given.roles, "object_sets": given.object_sets}
    if not any(wanted.values()):
        return names
    rows = _dictionary(pinned, source.sets)
    meant: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        meant.setdefault(row["column"], []).append(row)
    of = {
        "families": lambda row: {row["family"]},
        "roles": lambda row: {row["channel_role"], row["second_channel_role"]},
        "object_sets": lambda row: {row["object_set"]},
    }
    for key, values in wanted.items():
        if not values:
            continue
        there = {str(one) for name in names for row in meant.get(name, ()) for one in of[key](row) if one is not None}
        for value in values:
            if value not in there:
                raise InvalidDataError(
                    f"{given.where}.{key}: no column that was chosen of {source.said} is of {value!r}"
                    f"{did_you_mean(value, there)}",
                    hint=f"there are {listed(sorted(there), _SHOWN)}" if there else "its columns have no dictionary",
                )
        names = [name for name in names if any(of[key](row) & set(values) for row in meant.get(name, ()))]
    return names


def _dictionary(pinned: Pinned, sets: Iterable[DefinedSet]) -> list[dict[str, Any]]:
    tables = [one.table(part) for one in sets for part in one.parts]
    hashes = [one.hash for one in sets_of(pinned.root, tables, with_sources=True)]
    if not hashes:
        return []
    return pinned.rows(
        'SELECT "column", family, channel_role, second_channel_role, object_set FROM feature_dictionary '
        f"WHERE feature_set_hash IN ({', '.join(text(one) for one in hashes)}) ORDER BY ALL"
    )


def _quality(pinned: Pinned, rows: Rows, given: FeatureSource) -> Chosen:
    """Return measures of quality as columns ``Quality_<metric>[_<channel>][_<object set>]``.

    Where a row stands for several measured images, its value is their mean.
    """
    keys = [name for name in rows.identity if name in KEYS["field"][0]]
    conditions = [
        f"{column} IN ({', '.join(text(one) for one in values)})"
        for column, values in (("study_id", rows.spec.studies), ("plate_id", rows.spec.plates))
        if values
    ]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    kinds = pinned.rows(
        "SELECT metric, coalesce(channel_role, CASE WHEN channel_index IS NOT NULL THEN 'C' || channel_index END) "
        f"AS channel, object_set FROM quality{where} GROUP BY ALL ORDER BY ALL"
    )
    if rows.spec.entities.level == "treatment":
        raise InvalidDataError(f"{given.where}: quality is of images, and treatments have none", hint="use wells")
    for key in ("families", "roles"):
        if getattr(given, key):
            raise InvalidDataError(f"{given.where}.{key}: quality has none; choose by columns")
    every: dict[str, tuple[str, str | None, str | None]] = {}
    for row in kinds:
        parts = ["Quality", row["metric"], row["channel"], row["object_set"]]
        every["_".join(part for part in parts if part)] = (row["metric"], row["channel"], row["object_set"])
    columns: dict[str, str] = {}
    sql: dict[str, str] = {}
    chosen: dict[str, None] = {}
    for pattern in given.columns:
        matched = [name for name in every if fnmatchcase(name, pattern)]
        if not matched:
            raise InvalidDataError(
                f"{given.where}.columns: {pattern!r} matches no measure of quality{did_you_mean(pattern, every)}",
                hint=f"measures are {listed(list(every), _SHOWN)}" if every else "nothing has been measured",
            )
        chosen.update(dict.fromkeys(matched))
    for name in chosen:
        metric, channel, object_set = every[name]
        if any(fnmatchcase(name, one) for one in given.exclude):
            continue
        if given.object_sets and object_set not in given.object_sets:
            continue
        test = (
            f"metric = {text(metric)} AND coalesce(channel_role, CASE WHEN channel_index IS NOT NULL "
            f"THEN 'C' || channel_index END) IS NOT DISTINCT FROM {_literal(channel)} "
            f"AND object_set IS NOT DISTINCT FROM {_literal(object_set)}"
        )
        columns[f"{given.prefix}{name}"] = name
        # Summed in one order: a mean of floats depends on it, and threads would change it.
        sql[f"{given.prefix}{name}"] = f"list_avg(list(value ORDER BY value) FILTER (WHERE {test}))"
    source = Source(
        said="quality",
        relation="quality",
        schema=pinned.moment.schema("quality"),
        level="image" if "field_id" in keys else None,
        object_set=None,
        sets=(),
    )
    if not columns:
        raise InvalidDataError(f"{given.where}: no measure of quality is left", hint="exclude less")
    rows.joined.append(Joined(source, sql, grouped="quality"))
    return Chosen(given=given, source=source, columns=columns, float32=False)


def _literal(value: str | None) -> str:
    return "NULL" if value is None else text(value)


def _is_wild(pattern: str) -> bool:
    return bool(_WILD & set(pattern))


def _check_names(rows: Rows, found: list[Chosen]) -> None:
    taken = {name.lower(): "a column that says which row it is" for name in rows.identity}
    taken |= {one.name.lower(): f"label {one.name!r}" for one in rows.spec.labels}
    for one in found:
        for name in one.columns:
            before = taken.setdefault(name.lower(), f"a column of {one.source.said}")
            if before != f"a column of {one.source.said}" or sum(name in other.columns for other in found) > 1:
                raise InvalidDataError(
                    f"{one.given.where}: a feature would be called {name!r}, as {before} is",
                    hint="give it a prefix: prefix = 'other_', or leave it out: exclude",
                )
