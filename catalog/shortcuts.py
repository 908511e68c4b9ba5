"""Answers that the log knows: ``count(*)``, and bounds of identity columns, without opening what holds the rows.

The question is asked of a small table with a row per data file instead: how many rows it has, the bounds of its
columns, and the columns that have one value in all of the file. ``count(*)`` becomes the sum of the rows, ``min(x)``
the least of the lower bounds; conditions and groups may be about columns with one value per file. Whatever else a
question has in it is left to the usual way. Only bounds that the store itself wrote are believed. Of views, the files
with objects of excluded wells are read, once while the lake is open; they are few.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from ..store.arrays import FALSE, ZERO, array_of, no_rows
from .binding import Binder, quoted
from .constraints import Constraint, both, equal_to, filters, is_impossible
from .exclusions import excluded_wells
from .messages import cleaned
from .relations import WELL_KEY, Relation, SetView, TableRelation
from .result import TableScan

if TYPE_CHECKING:
    from ..store.snapshots import Snapshot
    from .statement import Statement

#: Files with objects of excluded wells: more are not read for the sake of a shortcut.
MOST_READ = 500
#: What a question may consist of, beside the table that it asks.
_UNDERSTOOD = (
    exp.Select,
    exp.From,
    exp.Table,
    exp.TableAlias,
    exp.Identifier,
    exp.Column,
    exp.Alias,
    exp.Star,
    exp.Count,
    exp.Min,
    exp.Max,
    exp.Literal,
    exp.Where,
    exp.Group,
    exp.Having,
    exp.Order,
    exp.Ordered,
    exp.Limit,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Paren,
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.In,
    exp.Between,
    exp.Like,
)
_PARTS = {"expressions", "from_", "where", "group", "having", "order", "limit"}
_ROWS, _LEAST, _MOST = "cytolake:rows", "cytolake:min:", "cytolake:max:"
_MARKED = r"-s[0-9a-f]{8}\.parquet$"


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What to ask instead of the question.

    Attributes
    ----------
    text
        The SQL to run.
    names, types
        The columns of the answer, as the question itself would give them.
    """

    text: str
    names: list[str]
    types: list[str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a question wants to know of its only table; names as the table has them."""

    tree: exp.Select
    relation: TableRelation | SetView
    per_file: tuple[str, ...]
    bounded: tuple[str, ...]


def from_log(
    statement: Statement, relations: Mapping[str, Relation], limits: Mapping[str, Constraint], binder: Binder
) -> Shortcut | None:
    """Return how to answer a question from the log, None where it takes the files.

    Parameters
    ----------
    relations, limits
        What the question names, in lower case, and what it says about each.
    binder
        Its connection gets the small table, and a stand-in of the relation; its ``scans`` say what was looked at.
        Nothing happens to either where None is returned.
    """
    asked = _asked(statement, relations)
    if asked is None:
        return None
    name = asked.relation.name.lower()
    before = len(binder.scans)
    files = _files(binder, asked, limits[name])
    found = None if files is None else _rewritten(binder, statement, asked, files)
    if found is None:
        del binder.scans[before:]
    return found


def _asked(statement: Statement, relations: Mapping[str, Relation]) -> _Asked | None:
    """Return what is asked, None where it is more than the log can know."""
    tree = statement.tree
    if not isinstance(tree, exp.Select) or statement.ctes or statement.definitions or len(relations) != 1:
        return None
    (relation,) = relations.values()
    start = tree.args.get("from_")
    if not isinstance(relation, TableRelation | SetView) or start is None or not isinstance(start.this, exp.Table):
        return None
    if any(value for part, value in tree.args.items() if part not in _PARTS):
        return None
    if any(not isinstance(node, _UNDERSTOOD) for node in tree.walk()) or len(list(tree.find_all(exp.Table))) != 1:
        return None
    if start.this.name.lower() != relation.name.lower() or start.this.db:
        return None
    return _columns(tree, relation)


def _columns(tree: exp.Select, relation: TableRelation | SetView) -> _Asked | None:
    alias = tree.args["from_"].this.alias_or_name.lower()
    known = {name.lower(): name for name in relation.schema.names}
    aliases = {item.alias.lower() for item in tree.expressions if isinstance(item, exp.Alias)}
    per_file: dict[str, None] = {}
    bounded: dict[str, None] = {}
    for column in tree.find_all(exp.Column):
        name = known.get(column.name.lower())
        if name is None and not column.table and column.name.lower() in aliases:
            continue
        if name is None or column.table.lower() not in ("", alias) or isinstance(column.this, exp.Star):
            return None
        (bounded if isinstance(column.parent, exp.Min | exp.Max) else per_file)[name] = None
    aggregates = list(tree.find_all(exp.Count, exp.Min, exp.Max))
    for one in aggregates:
        simple = isinstance(one.this, exp.Star) if isinstance(one, exp.Count) else isinstance(one.this, exp.Column)
        if not simple or one.expressions or (isinstance(one.this, exp.Star) and any(one.this.args.values())):
            return None
    if not aggregates and not tree.args.get("group"):
        return None
    return _Asked(tree, relation, tuple(per_file), tuple(bounded))


def _files(binder: Binder, asked: _Asked, constraint: Constraint) -> pa.Table | None:
    """Return a row per file that may matter, None where the log does not say enough."""
    relation = asked.relation
    if not isinstance(relation, SetView):
        snapshot = binder.moment.snapshot(relation.name)
        return None if snapshot is None else _of_table(binder, asked, snapshot, constraint, None, {})
    if {*asked.per_file, *asked.bounded} & {*relation.well_columns, *relation.pixel_columns}:
        return None
    excluded = None
    if relation.well_columns:
        excluded = excluded_wells(binder, constraint, label=f"wells of {relation.name}")
    parts = []
    for table, studies in relation.members.items():
        snapshot = binder.moment.snapshot(table)
        if snapshot is None:
            return None
        here = both(constraint, {"study_id": equal_to(studies)})
        told = {relation.label_column: relation.labels[table]}
        part = _of_table(binder, asked, snapshot, here, excluded, told)
        if part is None:
            return None
        parts.append(part)
    return pa.concat_tables(parts) if parts else None


def _of_table(
    binder: Binder,
    asked: _Asked,
    snapshot: Snapshot,
    constraint: Constraint,
    excluded: pa.Table | None,
    told: Mapping[str, str],
) -> pa.Table | None:
    """Return a row per file of one table: the columns of ``asked.per_file``, the rows, and the bounds."""
    if not snapshot.plain or binder.moment.at is not None:  # of the past, files may be lost: the usual way says so
        return None
    actions = snapshot.files(tuple(filters(constraint, [n for n in snapshot.schema.names if n in constraint])))
    if is_impossible(constraint):
        actions = actions.slice(0, 0)
    rows: Any = actions["num_records"]
    if rows.null_count:
        return None
    actions = actions.filter(pc.greater(rows, ZERO))
    made: dict[str, Any] = {_ROWS: actions["num_records"].cast(pa.int64())}
    for name in asked.per_file:
        values = _single(asked, snapshot, actions, name, told)
        if values is None:
            return None
        made[name] = values
    for name in asked.bounded:
        for prefix, bound in ((_LEAST, "min"), (_MOST, "max")):
            values = _bounds(asked, snapshot, actions, name, bound, told)
            if values is None:
                return None
            made[prefix + name] = values
    files = pa.table(made)
    opened = 0
    if excluded is not None and excluded.num_rows and actions.num_rows:
        read = _without(binder, asked, snapshot, actions, files, excluded)
        if read is None:
            return None
        files, opened = read
    binder.scans.append(
        TableScan(snapshot.table, snapshot.table, snapshot.version, snapshot.actions.num_rows, opened, from_log=True)
    )
    return files


def _type(asked: _Asked, name: str) -> pa.DataType:
    kind: pa.DataType = asked.relation.schema.field(name).type
    return kind


def _single(asked: _Asked, snapshot: Snapshot, actions: pa.Table, name: str, told: Mapping[str, str]) -> Any | None:
    """Return for each file the one value that a column has in it, None where it may have several."""
    kind = _type(asked, name)
    if name in told:
        return pa.repeat(array_of([told[name]], pa.string())[0], actions.num_rows).cast(kind)
    if name in snapshot.partition_by:
        return actions[f"partition.{name}"].cast(kind)
    if name not in snapshot.schema.names:
        return pa.nulls(actions.num_rows).cast(kind)
    if not _are_ours(actions, name, kind):
        return None
    columns: Any = [actions[f"{part}.{name}"] for part in ("min", "max", "null_count")]
    low, high, nulls = columns
    single: Any = pc.and_(pc.equal(low, high), pc.equal(nulls, ZERO))
    return low.cast(kind) if pc.all(pc.fill_null(single, FALSE), min_count=0).as_py() else None


def _bounds(
    asked: _Asked, snapshot: Snapshot, actions: pa.Table, name: str, bound: str, told: Mapping[str, str]
) -> Any | None:
    """Return a bound of a column for each file, NULL where all its values are NULL; None where the log is silent."""
    kind = _type(asked, name)
    if name in told or name in snapshot.partition_by or name not in snapshot.schema.names:
        return _single(asked, snapshot, actions, name, told)
    if not _are_ours(actions, name, kind):
        return None
    columns: Any = [actions[f"{bound}.{name}"], actions[f"null_count.{name}"], actions["num_records"]]
    values, nulls, rows = columns
    known: Any = pc.or_(pc.is_valid(values), pc.fill_null(pc.equal(nulls, rows), FALSE))
    return values.cast(kind) if pc.all(known, min_count=0).as_py() else None


def _are_ours(actions: pa.Table, name: str, kind: pa.DataType) -> bool:
    """Whether there are bounds of a column, of a type that has exact ones, in files that the store wrote."""
    if not (pa.types.is_string(kind) or pa.types.is_integer(kind)) or f"min.{name}" not in actions.column_names:
        return False
    paths: Any = actions["path"]
    return bool(pc.all(pc.match_substring_regex(paths, _MARKED), min_count=0).as_py())


def _without(
    binder: Binder, asked: _Asked, snapshot: Snapshot, actions: pa.Table, files: pa.Table, excluded: pa.Table
) -> tuple[pa.Table, int] | None:
    """Return the files' rows as they are without the excluded wells, and how many files had to be read for that."""
    from ..store.scan import scan_files

    if "min.plate_id" not in actions.column_names:
        return None
    touched = _touched(actions, excluded)
    if len(touched) > MOST_READ:
        return None
    some = scan_files(snapshot.uri, actions.take(pa.array(list(touched), pa.int64())), snapshot.partition_by)
    stored = [name for name in asked.bounded if name in snapshot.schema.names and name not in snapshot.partition_by]
    wanted = dict(zip(touched, some, strict=True))
    kept = binder.moment.root.snapshots
    keys = {at: ("without", file.uri, touched[at], tuple(stored)) for at, file in wanted.items()}
    known: dict[int, Any] = {at: kept.recall(key) for at, key in keys.items()}
    unknown = {file.uri: at for at, file in wanted.items() if known[at] is None}
    if unknown:
        outside = [{"file": uri, "plate": p, "well": w} for uri, at in unknown.items() for p, w in touched[at]]
        own = binder.held(pa.Table.from_pylist(outside))
        scan = binder.moment.scan(snapshot.table)
        assert scan is not None
        left = dict.fromkeys(unknown.values(), (0, *[None] * (2 * len(stored))))
        for source, uris, columns in binder.sources(scan, [wanted[at] for at in unknown.values()]):
            there = [name if name.lower() in columns else None for name in stored]
            bounds = "".join(f", min({quoted(n)}), max({quoted(n)})" if n else ", NULL, NULL" for n in there)
            query = (
                f"SELECT filename, count(*){bounds} FROM {source} s ANTI JOIN ({own}) x "
                "ON s.filename = x.file AND s.plate_id = x.plate AND s.well_id = x.well GROUP BY filename"
            )
            try:
                rows = binder.connection.execute(query).fetchall()
            except duckdb.Error as error:
                raise cleaned(error, query, paths=uris) from error
            left.update((unknown[uri], tuple(facts)) for uri, *facts in rows)
        for at, facts in left.items():
            kept.keep(keys[at], facts)
        known.update(left)
    columns_of: dict[str, int] = {_ROWS: 0}
    columns_of |= {prefix + n: 1 + 2 * k + j for k, n in enumerate(stored) for j, prefix in enumerate((_LEAST, _MOST))}
    if touched:
        mask = pa.array([at in known for at in range(files.num_rows)])
        order = sorted(known)
        for name, place in columns_of.items():
            column: Any = files[name].combine_chunks() if isinstance(files[name], pa.ChunkedArray) else files[name]
            new = pa.array([known[at][place] for at in order], column.type)
            files = files.set_column(files.column_names.index(name), name, pc.replace_with_mask(column, mask, new))
    counts: Any = files[_ROWS]
    return files.filter(pc.greater(counts, ZERO)), len(unknown)


def _touched(actions: pa.Table, excluded: pa.Table) -> dict[int, tuple[tuple[str, str], ...]]:
    """Return place of a file among ``actions`` → (plate, well) of the excluded wells that it may have objects of."""
    wells: dict[str, dict[str, list[str]]] = {}
    for study, plate, well in zip(*(excluded[name].to_pylist() for name in WELL_KEY), strict=True):
        wells.setdefault(study, {}).setdefault(plate, []).append(well)
    columns = [actions["partition.study_id"], actions["min.plate_id"], actions["max.plate_id"]]
    found = {}
    for at, (study, low, high) in enumerate(zip(*(column.to_pylist() for column in columns), strict=True)):
        plates = wells.get(study)
        if not plates:
            continue
        if low is not None and low == high:
            inside = {low: plates[low]} if low in plates else {}
        else:
            inside = {p: w for p, w in plates.items() if (low is None or low <= p) and (high is None or p <= high)}
        if inside:
            found[at] = tuple((plate, well) for plate, many in inside.items() for well in many)
    return found


def _rewritten(binder: Binder, statement: Statement, asked: _Asked, files: pa.Table) -> Shortcut | None:
    """Return the question to the small table; None where it would not give the same columns."""
    relation, connection = asked.relation, binder.connection
    view = quoted(relation.name)
    known = pa.schema([relation.schema.field(name) for name in dict.fromkeys((*asked.per_file, *asked.bounded))])
    nothing = no_rows(known if len(known) else pa.schema([relation.schema.field(0)]))
    connection.execute(f"CREATE VIEW {view} AS {binder.held(nothing)}").fetchall()
    rows = binder.held(files)
    connection.execute(f"CREATE VIEW {quoted(_ROWS)} AS {rows}").fetchall()
    try:
        shape = connection.sql(statement.text)
        names, types = list(shape.columns), [str(kind) for kind in shape.types]
        query = _translated(asked.tree, names)
        own = connection.sql(query)
        if [str(kind) for kind in own.types] == types and list(own.columns) == names:
            return Shortcut(query, names, types)
    except duckdb.Error:
        pass  # the usual way says what is wrong with the question
    connection.execute(f"DROP VIEW {view}").fetchall()
    connection.execute(f"DROP VIEW {quoted(_ROWS)}").fetchall()
    return None


def _translated(tree: exp.Select, names: Sequence[str]) -> str:
    def told(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Count):
            total = exp.Sum(this=exp.column(_ROWS, quoted=True))
            return exp.cast(exp.Coalesce(this=total, expressions=[exp.Literal.number(0)]), "BIGINT")
        if isinstance(node, exp.Min | exp.Max):
            prefix = _LEAST if isinstance(node, exp.Min) else _MOST
            node.set("this", exp.column(prefix + node.this.name, quoted=True))
        return node

    made = tree.copy()
    items = made.expressions
    made.set("expressions", [exp.alias_(_bare(one), name, quoted=True) for one, name in zip(items, names, strict=True)])
    alias = made.args["from_"].this.alias_or_name
    named = exp.TableAlias(this=exp.to_identifier(alias, quoted=True))
    made.args["from_"].set("this", exp.Table(this=exp.to_identifier(_ROWS, quoted=True), alias=named))
    return str(made.transform(told).sql(dialect="duckdb"))


def _bare(item: exp.Expression) -> exp.Expression:
    return item.this if isinstance(item, exp.Alias) else item
