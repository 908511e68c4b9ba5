"""Where rows and columns come from: a view, a table, one set as ``name@version``, or a question."""

# ruff: noqa: S608 - names in the SQL made here are quoted

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import InvalidDataError, NotFoundError
from ...wording import did_you_mean, listed
from ..annotated import sets_of
from ..binding import quoted
from ..relations import FEATURES, PROFILES, SetView
from .expressions import check_question

if TYPE_CHECKING:
    import pyarrow as pa

    from ...store.registry import DefinedSet
    from ..result import TableScan
    from .pins import Pinned

#: Level → the columns that tell its rows apart, in the order of rows; those of the second that a source must have.
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "object": (
        ("study_id", "plate_id", "well_id", "acquisition_id", "field_id", "timepoint", "object_id"),
        ("study_id", "plate_id", "well_id", "field_id", "object_id"),
    ),
    "field": (
        ("study_id", "plate_id", "well_id", "acquisition_id", "field_id", "timepoint"),
        ("study_id", "plate_id", "well_id", "field_id"),
    ),
    "image": (
        ("study_id", "plate_id", "well_id", "acquisition_id", "field_id"),
        ("study_id", "plate_id", "well_id", "field_id"),
    ),
    "well": (
        ("study_id", "plate_id", "well_id", "acquisition_id", "timepoint"),
        ("study_id", "plate_id", "well_id"),
    ),
    "treatment": (("study_id", "treatment"), ("study_id", "treatment")),
}
_LABEL = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9._-]*@[1-9]\d*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that rows can be selected from.

    Attributes
    ----------
    said
        Its name, or ``a question``, for messages.
    relation
        What stands behind FROM.
    schema
        Its columns.
    level
        What a row of it is, None where nobody knows.
    object_set
        The object set of its rows, where they are objects of one.
    sets
        The feature sets and profile sets that its rows come from.
    """

    said: str
    relation: str
    schema: pa.Schema
    level: str | None
    object_set: str | None
    sets: tuple[DefinedSet, ...]

    def has(self, column: str) -> bool:
        """Whether it has a column."""
        return column in self.schema.names


def find_source(pinned: Pinned, name: str | None, sql: str | None, where: str, *, level: str) -> Source:
    """Return the source of a name or question.

    Parameters
    ----------
    level
        Of a set as ``name@version``, which of its tables is meant where it has several.

    Raises
    ------
    InvalidDataError
        The question gives other rows at every run, or a set does not say which of its tables is meant.
    NotFoundError, QueryError
        There is no such set or table, or the question cannot be answered.
    """
    if sql is not None:
        check_question(sql, f"{where}.sql")
        result = pinned.ask(sql)
        return _of_question("the question", f"(\n{sql.rstrip().rstrip(';')}\n)", result.schema(), pinned, result.scans)
    assert name is not None
    if _LABEL.match(name):
        name = _table_of(pinned, name, where, level)
    relation = pinned.relations.find(name)
    if relation is None:
        # Views of the library; whatever else it is, the error says what was meant.
        result = pinned.ask(f"SELECT * FROM {quoted(name)}")
        return _of_question(name, quoted(name), result.schema(), pinned, result.scans)
    if isinstance(relation, SetView):
        of_sets = tuple(sets_of(pinned.root, relation.members))
        is_objects = relation.kind == "features"
        part = "object" if is_objects else relation.part
        return Source(
            said=relation.name,
            relation=quoted(relation.name),
            schema=relation.schema,
            level=part,
            object_set=relation.part if is_objects else None,
            sets=of_sets,
        )
    last = relation.name.rpartition("/")[2]
    is_objects = relation.name.startswith(FEATURES)
    of_profiles = last if relation.name.startswith(PROFILES) else None
    return Source(
        said=relation.name,
        relation=quoted(relation.name),
        schema=relation.schema,
        level="object" if is_objects else of_profiles,
        object_set=last if is_objects else None,
        sets=tuple(sets_of(pinned.root, [relation.name])),
    )


def _of_question(said: str, relation: str, schema: pa.Schema, pinned: Pinned, scans: Iterable[TableScan]) -> Source:
    tables = [scan.table for scan in scans]
    return Source(
        said=said,
        relation=relation,
        schema=schema,
        level=None,
        object_set=None,
        sets=tuple(sets_of(pinned.root, tables)),
    )


def _table_of(pinned: Pinned, label: str, where: str, level: str) -> str:
    known = [*pinned.moment.registered("features"), *pinned.moment.registered("profiles")]
    found = [one for one in known if one.label == label]
    if not found:
        labels = [one.label for one in known]
        raise NotFoundError(
            f"{where}.source: there is no set {label!r}{did_you_mean(label, labels)}",
            hint=f"there are: {listed(labels, 8)}" if labels else "none is registered yet",
        )
    (one,) = found[:1]
    if one.kind == "profiles" and level in one.parts:
        return one.table(level)
    if len(one.parts) == 1:
        return one.table(one.parts[0])
    tables = [one.table(part) for part in one.parts]
    raise InvalidDataError(
        f"{where}.source: {label} has several tables", hint=f"name one: {listed([repr(t) for t in tables], 5)}"
    )
