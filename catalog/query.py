"""The way of a question: read it, find what it says about each table, choose files, ask DuckDB about just those."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb

from . import listing
from .binding import Binder, open_connection
from .constraints import column_kinds
from .expansion import columns_of
from .explanation import Explanation
from .interruption import interruptible
from .messages import cleaned
from .moment import AsOf, At, Moment, parse_moment
from .planner import plan
from .relations import Relations
from .result import Prepared, Result
from .semijoin import SmallTables
from .shortcuts import from_log
from .statement import read_statement

if TYPE_CHECKING:
    import anndata

    from ..store.root import LakeRoot


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be asked of a lake.

    The questions may come from people you trust: a question cannot write, and reads nothing but the lake's tables, but
    it may use all memory and all cores.
    """

    root: LakeRoot

    def sql(self, query: str, *, as_of: AsOf = None) -> Result:
        """Ask one question in DuckDB's SQL.

        Every table goes by its name (``wells``, ``plates``, ``"features/<name>/<hash8>/<object set>"``); ``nuclei``,
        ``cells`` and every other object set is a view of the current features across studies with the columns of each
        object's well.

        Parameters
        ----------
        query
            One statement that reads: SELECT, FROM, WITH, DESCRIBE, SUMMARIZE or PIVOT.
        as_of
            Ask the lake as it was: a release or its name; a time (UTC where it names no zone); or versions of tables,
            ``"wells@3,plates@7"``, or the number alone where the question reads one table. What a release names is
            kept; of anything else more than a week ago some files may have been removed by ``maintain``.

        Returns
        -------
        Result
            Nothing has been computed yet, but names and types have been checked.

        Raises
        ------
        QueryError
            Syntax error, unknown table or column, or a statement that would change something.
        NotFoundError
            There is no such release, or it was withdrawn.
        StorageError
            Files that the past needs have been removed.
        """
        at = parse_moment(self.root, as_of)
        return Result(query, lambda: self._prepare(query, at), annotated=lambda one: annotate(self.root, one, as_of))

    def explain(self, query: str, *, as_of: AsOf = None) -> dict[str, Any]:
        """Say which files a question reads, and why not the others; nothing is computed.

        Returns
        -------
        dict
            ``scans``: one entry per table, with ``relation``, ``table``, ``version``, ``files_considered``,
            ``files_pruned``, ``files_opened`` and ``because``; ``macros``: what is used of the library.

        Raises
        ------
        QueryError
            As :meth:`sql` does.
        """
        return self.sql(query, as_of=as_of).explained()

    def table(self, name: str, *, where: str | None = None, as_of: AsOf = None) -> Result:
        """Ask for all rows of a table or view, or those that satisfy a condition in SQL.

        Raises
        ------
        QueryError
            There is no such table, or ``where`` is no condition.
        NotFoundError
            There is no such release.
        """
        from .interop import dataset
        from .selection import Selection

        result = Selection(self, name, where=where, as_of=as_of).result
        if where is None:
            result.files = lambda: dataset(self.root, name, as_of=as_of)
        return result

    def _prepare(self, query: str, at: At) -> Prepared:
        return self._prepare_of(query, Moment(self.root, at))

    def _prepare_of(self, query: str, moment: Moment, *, whole: bool = False) -> Prepared:
        connection = open_connection(moment)
        cursor = connection.cursor()
        connections = [connection, cursor]
        return interruptible(lambda: self._bound(query, moment, connections, whole=whole), connections)

    def _bound(
        self, query: str, moment: Moment, connections: list[duckdb.DuckDBPyConnection], *, whole: bool
    ) -> Prepared:
        """Bind a question; ``whole`` says that its tables are wanted even where the log alone has the answer."""
        connection, cursor = connections
        statement = read_statement(connection, query)
        moment = moment.for_tables([name for name in statement.tables if name.lower() not in statement.ctes])
        relations = Relations(moment)
        used = {}
        for name in statement.tables:
            found = relations.find(name) if name.lower() in statement.ctes else relations.get(name)
            if found is not None:
                used[name.lower()] = found
        kinds = {name: column_kinds(relation.schema) for name, relation in used.items()}
        with SmallTables(moment, used, statement, connections) as small:
            planned = plan(statement.tree, kinds, small)
        limits = planned.constraints | {name: {} for name in statement.opaque}
        binder = Binder(connection, moment)
        columns = [column for relation in used.values() for column in relation.schema.names]
        columns += columns_of(statement.definitions)
        explanation = Explanation(self.root, statement, used, planned)
        short = None if whole else from_log(statement, used, limits, binder)
        if short is not None:
            binder.lock()
            return Prepared(
                connection,
                short.names,
                short.types,
                tuple(binder.scans),
                tuple(columns),
                tuple(binder.paths),
                replace(explanation, from_log=True),
                text=short.text,
                whole=lambda: self._prepare_of(query, moment, whole=True),
            )
        named = statement.names()
        for name, relation in used.items():
            binder.bind(relation, limits[name], names=named)
        binder.define(statement.definitions)
        binder.lock()
        try:
            shape = cursor.sql(query)
            names, types = list(shape.columns), [str(kind) for kind in shape.types]
        except duckdb.Error as error:
            raise cleaned(error, query, columns=columns, paths=binder.paths) from error
        return Prepared(
            connection,
            names,
            types,
            tuple(binder.scans),
            tuple(columns),
            tuple(binder.paths),
            explanation,
            ready=[(cursor, shape)],
        )

    def tables(self) -> list[dict[str, Any]]:
        """List what can be asked: tables, views of object sets, feature tables."""
        return listing.tables(self.root)

    def columns(self, table: str | None = None) -> list[dict[str, Any]]:
        """List the columns of one table or view, or of all declared tables and views.

        Raises
        ------
        NotFoundError
            There is no such table.
        """
        return listing.columns(self.root, table)

    def features(self, search: str | None = None) -> list[dict[str, Any]]:
        """List the features that the lake has, each with its meaning; ``search`` is words that must all occur."""
        return listing.features(self.root, search)


def annotate(root: LakeRoot, result: Result, as_of: object) -> anndata.AnnData:
    """Return an answer as AnnData, with what the lake knows of its columns."""
    from .annotated import require_anndata, to_anndata
    from .columns import classify
    from .export import described

    require_anndata()
    columns = classify(result.schema())
    meanings, facts = described(root, result, columns, as_of)
    return to_anndata(*result.batches(), columns, meanings=meanings, facts=facts)
