"""Rows of one table or view in a fixed order, piece by piece: what an export reads.

The order is that of identity, so that two exports of the same rows are the same file. Nothing is sorted as a whole:
pieces of a few plates, or of a few wells of a large plate, are asked one after another, all of the same snapshot.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from ..errors import NotFoundError, QueryError
from ..schemas.tables import TABLES
from ..wording import listed
from .binding import quoted, text
from .columns import Columns, classify
from .moment import AsOf, Moment, parse_moment
from .relations import FEATURES, PROFILES, WELL_COLUMNS, WELL_KEY, Relations, SetView
from .result import Result

if TYPE_CHECKING:
    import pyarrow as pa

    from .query import Catalog

#: Bytes that the numbers of one piece take, about; and the fewest rows of a piece.
_PIECE_BYTES = 48 * 2**20
_FEWEST = 1000
_SHOWN = 10

#: Conditions of some rows: whole plates of a study from one to another, or wells of one plate from one to another.
_Piece = tuple[str, ...]


class Selection:
    """Rows of a table or view, as an export wants them.

    Attributes
    ----------
    name
        The table or view, as the lake spells it.
    columns
        Its columns by what they are.
    result
        The question behind it; nothing has been computed.
    empty
        Features that no row so far had a value of; what :meth:`stream` has not passed yet does not count.
    """

    def __init__(
        self,
        catalog: Catalog,
        table: str,
        *,
        where: str | None = None,
        study: str | None = None,
        plates: Sequence[str] = (),
        as_of: AsOf = None,
        with_wells: bool = False,
    ) -> None:
        """Check what is asked for.

        Parameters
        ----------
        where
            A condition in SQL, which goes through the checks of every question.
        study, plates
            Rows of these alone.
        with_wells
            Put what is known of its well beside each row of a table of features or profiles; views have it anyway.

        Raises
        ------
        QueryError
            There is no such table, or the condition is none.
        """
        root = catalog.root
        moment = Moment(root, parse_moment(root, as_of)).for_tables([_unquoted(table)])
        relation = Relations(moment).get(_unquoted(table))
        self.root = root
        self.name = relation.name
        self.is_of_sets = isinstance(relation, SetView) or relation.name.startswith((FEATURES, PROFILES))
        joined = with_wells and self.is_of_sets and not isinstance(relation, SetView)
        joined = joined and set(WELL_KEY) <= set(relation.schema.names)
        conditions = _named(relation.schema, study, plates, relation.name)
        if where is not None:
            check_condition(where)
            conditions.append(f"(\n{where}\n)")
        source = f"SELECT * FROM {quoted(relation.name)}"
        if joined:
            own = ", ".join(f"t.{quoted(name)}" for name in relation.schema.names)
            wells = ", ".join(f"w.{quoted(name)}" for name in WELL_COLUMNS if name not in relation.schema.names)
            on = " AND ".join(f"t.{name} = w.{name}" for name in WELL_KEY)
            source = f"SELECT {own}, {wells} FROM {quoted(relation.name)} t LEFT JOIN wells w ON {on}"
        self._query = f"SELECT * FROM ({source}){' WHERE ' + ' AND '.join(conditions) if conditions else ''}"
        self._asked = [f"study {study}"] * bool(study) + [f"plate {plate}" for plate in plates]
        self._asked += [f"({where})"] * bool(where)
        self.result: Result = catalog.sql(self._query, as_of=moment.at)
        self.columns: Columns = classify(self.result.schema())
        if self.name in TABLES:
            self.columns = Columns(
                self.columns.identity, tuple(n for n in self.columns.names if n not in self.columns.identity), ()
            )
        self.empty: set[str] = set(self.columns.features)
        self._wide = self.name in TABLES

    def stream(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Return the schema, columns in order, and all rows in order, a piece at a time."""
        import pyarrow as pa

        names = self.columns.names
        schema = self.result.schema()
        return pa.schema([schema.field(name) for name in names]), self._flow(names)

    def _flow(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        shown = ", ".join(quoted(name) for name in names)
        order = ", ".join(f"{quoted(name)} NULLS FIRST" for name in self._order())
        for piece in self._pieces():
            where = f" WHERE {' AND '.join(piece)}" if piece else ""
            query = f"SELECT {shown} FROM ({self._query}){where}{f' ORDER BY {order}' if order else ''}"
            for batch in self.result.again(query).to_arrow().combine_chunks().to_batches():
                if batch.num_rows:
                    self.empty -= {name for name in self.empty if batch.column(name).null_count < batch.num_rows}
                    yield batch

    def check_not_empty(self, rows: int) -> None:
        """Raise ``NotFoundError`` where nothing was found of a study or plate that was named."""
        if rows or not self._asked:
            return
        known: list[Any] = self.root.tables.read("plates", columns=["study_id"])["study_id"].unique().to_pylist()
        raise NotFoundError(
            f"{self.name} has no row of {' and '.join(self._asked)}",
            hint=f"studies with plates are {listed(sorted(known), _SHOWN)}" if known else "ingest a plate first",
        )

    def _order(self) -> list[str]:
        """Return the columns by which rows are sorted: identity; in a declared table all that has an order."""
        if not self._wide:
            return list(self.columns.identity)
        sortable = [
            name
            for name, kind in zip(self.result.columns, self.result.types, strict=True)
            if not kind.startswith(("MAP", "STRUCT")) and not kind.endswith("]")
        ]
        key = [name for name in (*self.columns.identity, *TABLES[self.name].key) if name in sortable]
        return list(dict.fromkeys([*key, *sortable]))

    def _pieces(self) -> list[_Piece]:
        keys = [name for name in WELL_KEY if name in self.columns.identity]
        most = max(_FEWEST, _PIECE_BYTES // (8 * max(len(self.columns.names), 1)))
        if keys != list(WELL_KEY) or self._wide:
            return [()]
        columns = ", ".join(keys)
        counted = self.result.again(
            f"SELECT {columns}, count(*) AS n FROM ({self._query}) GROUP BY ALL ORDER BY {columns}"
        ).fetchall()
        plates: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for study, plate, well, rows in counted:
            plates.setdefault((study, plate), []).append((well, rows))
        pieces: list[_Piece] = []
        waiting: list[tuple[str, str]] = []
        held = 0
        for (study, plate), wells in plates.items():
            rows = sum(count for _, count in wells)
            if waiting and (held + rows > most or waiting[0][0] != study):
                pieces.append(_of_plates(waiting))
                waiting, held = [], 0
            if rows > most:
                pieces += _of_wells(study, plate, wells, most)
            else:
                waiting.append((study, plate))
                held += rows
        return [*pieces, _of_plates(waiting)] if waiting else pieces


def check_condition(where: str) -> None:
    """Make sure that a text is one condition, and not more of a question than that.

    Raises
    ------
    QueryError
        It is none.
    """
    hint = "write it as behind WHERE, such as compound = 'DMSO' AND plate_id IN ('P1', 'P2')"
    # It is asked between parentheses, and must be whole without them, too: `a) OR (b` would go around what is beside.
    with duckdb.connect(":memory:") as connection:
        for query in (f"SELECT 1 FROM t WHERE\n{where}\n", f"SELECT 1 FROM t WHERE (\n{where}\n)"):
            found = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
            if found["error"] and where.strip():
                raise QueryError(f"{where!r} is no condition: {found['error_message']}", hint=hint)
    statements = found["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    alone = node.get("type") == "SELECT_NODE" and not any(
        node.get(part) for part in ("modifiers", "group_expressions", "group_sets", "having", "qualify", "sample")
    )
    clause = node.get("where_clause") or {}
    if clause.get("function_name") == "row" and not clause.get("arguments"):  # nothing between the parentheses
        raise QueryError("an empty text is no condition", hint=hint)
    if not alone or not clause:
        raise QueryError(f"{where!r} is more than a condition", hint=hint)


def _unquoted(table: str) -> str:
    name = table.strip()
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


def _named(schema: pa.Schema, study: str | None, plates: Sequence[str], table: str) -> list[str]:
    conditions = []
    for column, values in (("study_id", [study] if study else []), ("plate_id", list(plates))):
        if values and column not in schema.names:
            raise QueryError(f"{table} has no column {column}, so that none can be chosen", hint="leave the option out")
        if values:
            conditions.append(f"{column} IN ({', '.join(text(value) for value in values)})")
    return conditions


def _of_plates(plates: Sequence[tuple[str, str]]) -> _Piece:
    first, last = plates[0], plates[-1]
    return f"study_id = {text(first[0])}", f"plate_id BETWEEN {text(first[1])} AND {text(last[1])}"


def _of_wells(study: str, plate: str, wells: Sequence[tuple[str, int]], most: int) -> list[_Piece]:
    pieces: list[_Piece] = []
    first = rows = 0
    of_plate = (f"study_id = {text(study)}", f"plate_id = {text(plate)}")
    for number, (_, count) in enumerate(wells):
        rows += count
        if rows >= most or number == len(wells) - 1:
            between = f"well_id BETWEEN {text(wells[first][0])} AND {text(wells[number][0])}"
            pieces.append((*of_plate, between))
            first, rows = number + 1, 0
    return pieces
