"""The rows of a data set as SQL: entities, what is known of their wells, columns of other sources, labels, filters.

Everything is one SELECT, which can be asked of some plates or wells alone: the condition then stands in front of each
source, so that only their files are opened.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import InvalidDataError
from ...schemas.tables import arrow_schema
from ...wording import did_you_mean, listed
from ..binding import quoted, text
from .annotations import annotation_sql
from .expressions import columns_of
from .sources import KEYS, Source, find_source

if TYPE_CHECKING:
    from .annotations import Annotation
    from .pins import Pinned
    from .spec import Spec

#: Column → condition on it; in front of every source that has the column.
Conditions = Mapping[str, str]

_WELL = ("study_id", "plate_id", "well_id")
#: Tables that say more of a row, in the order in which a name is looked for, and their alias.
_CONTEXT = {"wells": "w", "plates": "p", "biosamples": "b", "studies": "s"}
#: The donor may be that of the sample which this one was made from.
_DONOR = "coalesce(b.donor_id, b1.donor_id, b2.donor_id)"
#: Dimension → the columns that it needs, and its value.
_DIMENSIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "study": (("study_id",), "study_id"),
    "plate": (("study_id", "plate_id"), "study_id || '/' || plate_id"),
    "well": (_WELL, "study_id || '/' || plate_id || '/' || well_id"),
    "compound": (("compound",), "compound"),
    "gene": (("gene",), "gene"),
    "perturbation": (("perturbation",), "perturbation"),
    "donor": (("donor_id",), "donor_id"),
    "cell_line": (("cell_line",), "cell_line"),
    "biosample": (("study_id", "biosample_id"), "study_id || '/' || biosample_id"),
    "batch": (("study_id", "batch"), "study_id || '/' || batch"),
}


@dataclass(slots=True)
class Joined:
    """Columns of another source beside each row: name in the data set → its SQL over the alias ``f``."""

    source: Source
    columns: Mapping[str, str]
    #: A SELECT that gives one row per key, where the source itself does not.
    grouped: str | None = None


@dataclass(slots=True)
class Rows:
    """Everything that a SELECT of the data set's rows is made of.

    Attributes
    ----------
    identity
        The columns that tell rows apart, in the order by which rows are sorted.
    names
        Column, in lower case → its SQL, for conditions and labels.
    joined
        Columns of other sources than the rows' own.
    own
        Features of the rows' own source: name in the data set → name in the source.
    annotations
        Labels that somebody gave: name of the label → what is asked of the table ``labels``.
    """

    pinned: Pinned
    spec: Spec
    source: Source
    identity: tuple[str, ...]
    names: dict[str, str]
    joined: list[Joined] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, Annotation] = field(default_factory=dict)

    @classmethod
    def of(cls, pinned: Pinned, spec: Spec) -> Rows:
        """Find the rows of a spec.

        Raises
        ------
        InvalidDataError
            The source has no rows of that level.
        """
        entities = spec.entities
        source = find_source(pinned, entities.source, entities.sql, "entities", level=entities.level)
        every, needed = KEYS[entities.level]
        lacking = [name for name in needed if not source.has(name)]
        wrong_level = source.level not in (None, entities.level)
        if lacking or wrong_level:
            why = f"its rows are of level {source.level!r}" if wrong_level else f"it has no column {listed(lacking, 5)}"
            raise InvalidDataError(
                f"entities: {source.said} has no rows of level {entities.level!r}: {why}",
                hint="name another source, or another level",
            )
        identity = tuple(name for name in every if source.has(name))
        names = {name.lower(): f"e.{quoted(name)}" for name in source.schema.names}
        context = ("studies",) if entities.level == "treatment" else tuple(_CONTEXT)
        for table in context:
            for name in arrow_schema(table).names:
                if name != "run_id":
                    names.setdefault(name, f"{_CONTEXT[table]}.{quoted(name)}")
        if "wells" in context:
            names["donor_id"] = _DONOR
            names["plate_attributes"] = "p.attributes"
        return cls(pinned, spec, source, identity, names)

    @property
    def has_wells(self) -> bool:
        """Whether a row lies in a well."""
        return self.spec.entities.level != "treatment"

    @property
    def dimensions(self) -> dict[str, str]:
        """What rows can be kept apart by: name → SQL over the columns of a row."""
        return {
            name: sql for name, (columns, sql) in _DIMENSIONS.items() if all(column in self.names for column in columns)
        }

    def needs(self, expressions: Iterable[str]) -> set[str]:
        """Return the columns that expressions of ours name."""
        return {name for one in expressions for name in columns_of(one, "spec")}

    def check_names(self, names: Iterable[str], where: str) -> None:
        """Make sure that a row has columns.

        Raises
        ------
        InvalidDataError
            It has not; says which was probably meant.
        """
        known = {**self.names, **{name.lower(): "" for name in self.features}}
        for name in sorted(names):
            if name.lower() not in known:
                raise InvalidDataError(
                    f"{where}: a row has no column {name!r}{did_you_mean(name, known)}",
                    hint=f"columns are those of {self.source.said}"
                    + (", wells, plates, biosamples and studies" if self.has_wells else " and studies"),
                )

    @property
    def features(self) -> list[str]:
        """The features, in order."""
        return [*self.own, *(name for one in self.joined for name in one.columns)]

    def select(
        self,
        wanted: Mapping[str, str],
        *,
        conditions: Conditions | None = None,
        features: Sequence[str] = (),
        where: Sequence[str] = (),
        tail: str = "",
        whole: bool = False,
    ) -> str:
        """Return a SELECT.

        Parameters
        ----------
        wanted
            Name → an expression of the columns of a row.
        conditions
            Of some plates or wells alone.
        features
            Which features there are behind ``wanted``.
        where
            More conditions, of the columns of a row.
        tail
            What stands behind WHERE.
        whole
            Name every column of every source: who asks this can ask the same tables for any of them again.
        """
        filters = [*where]
        if self.spec.where is not None:
            filters.append(f"(\n{self.spec.where}\n)")
        used = self.needs([*wanted.values(), *filters])
        by_lower = {name.lower(): name for name in self.features}
        inner_features = {*features, *(by_lower[name] for name in used if name in by_lower and name not in self.names)}
        asked = [f"{sql} AS {quoted(name)}" for name, sql in wanted.items()]
        asked += [quoted(name) for name in features]
        inner = self._inner(used, inner_features, conditions or {}, whole=whole)
        conditions_sql = f" WHERE {' AND '.join(filters)}" if filters else ""
        return f"SELECT {', '.join(asked)} FROM ({inner}) r{conditions_sql}{tail}"

    def _inner(self, used: set[str], features: set[str], conditions: Conditions, *, whole: bool) -> str:
        conditions = {**self._of_spec(), **conditions}
        needed = {name: sql for name, sql in self.names.items() if name in used or name in self.identity}
        shown = [f"{sql} AS {quoted(name)}" for name, sql in needed.items()]
        shown += [f"e.{quoted(self.own[name])} AS {quoted(name)}" for name in features if name in self.own]
        joins = self._context(needed, conditions) if self.has_wells else self._studies(needed)
        for number, one in enumerate(self.joined):
            here = {name: sql for name, sql in one.columns.items() if name in features}
            if here:
                alias = f"f{number}"
                shown += [f"{alias}.{quoted(name)}" for name in here]
                joins.append(self._join(one, here, alias, conditions, whole=whole))
        for number, annotation in enumerate(self.annotations.values()):
            if not ({annotation.value, annotation.disputed} & used):
                continue
            alias = f"l{number}"
            keys = [key for key in annotation.keys if key in self.identity]
            rows = annotation_sql(annotation, self._entities(keys, conditions), keys, _before(conditions, keys))
            on = " AND ".join(f"{alias}.{key} = e.{key}" for key in keys)
            shown.append(f"{alias}.value AS {quoted(annotation.value)}")
            shown.append(f"coalesce({alias}.disputed, false) AS {quoted(annotation.disputed)}")
            joins.append(f"LEFT JOIN ({rows}) {alias} ON {on}")
        own = {*self.identity, *(name.lower() for name in self.source.schema.names if name.lower() in needed)}
        if self.has_wells and self.source.has("biosample_id"):
            own.add("biosample_id")
        columns = [name for name in self.source.schema.names if name.lower() in own]
        columns += [self.own[name] for name in features if name in self.own and self.own[name] not in columns]
        left_out = " WHERE NOT coalesce(w.excluded, false)" if self.has_wells else ""
        rows = self._entities([] if whole else columns, conditions)
        return f"SELECT {', '.join(shown)} FROM ({rows}) e {' '.join(joins)}{left_out}"

    def _of_spec(self) -> dict[str, str]:
        found = {}
        for column, values in (("study_id", self.spec.studies), ("plate_id", self.spec.plates)):
            if values:
                found[column] = f"{column} IN ({', '.join(text(value) for value in values)})"
        return found

    def _entities(self, columns: Sequence[str], conditions: Conditions) -> str:
        shown = ", ".join(quoted(name) for name in columns) or "*"
        return f"SELECT {shown} FROM {self.source.relation}{_before(conditions, self.source.schema.names)}"

    def _context(self, needed: Mapping[str, str], conditions: Conditions) -> list[str]:
        """Return the joins of what is known of a row's well; wells are always there, for those that are left out."""

        def used(alias: str) -> set[str]:
            return {name for name, sql in needed.items() if sql.startswith(f"{alias}.")}

        samples = "donor_id" in needed and needed["donor_id"] == _DONOR
        wells = {*_WELL, "excluded", *used("w"), "biosample_id"}
        before = _before(conditions, _WELL)
        on = " AND ".join(f"w.{key} = e.{key}" for key in _WELL)
        shown = ", ".join(quoted(name) for name in sorted(wells))
        joins = [f"LEFT JOIN (SELECT {shown} FROM wells{before}) w ON {on}"]
        if used("p"):
            on = "p.study_id = e.study_id AND p.plate_id = e.plate_id"
            joins.append(f"LEFT JOIN (SELECT * FROM plates{_before(conditions, _WELL[:2])}) p ON {on}")
        if used("b") or samples:
            joins.append("LEFT JOIN biosamples b ON b.study_id = e.study_id AND b.biosample_id = w.biosample_id")
        if samples:
            for alias, child in (("b1", "b"), ("b2", "b1")):
                joins.append(
                    f"LEFT JOIN biosamples {alias} ON {alias}.study_id = e.study_id "
                    f"AND {alias}.biosample_id = {child}.parent_biosample_id"
                )
        return joins + self._studies(needed)

    @staticmethod
    def _studies(needed: Mapping[str, str]) -> list[str]:
        used = any(sql.startswith("s.") for sql in needed.values())
        return ["LEFT JOIN studies s ON s.study_id = e.study_id"] if used else []

    def _join(self, one: Joined, columns: Mapping[str, str], alias: str, conditions: Conditions, *, whole: bool) -> str:
        keys = self.join_keys(one.source)
        on = " AND ".join(f"{alias}.{key} = e.{key}" for key in keys)
        before = _before(conditions, one.source.schema.names)
        every = ["*"] if whole and one.grouped is None else keys
        shown = ", ".join([*every, *(f"{sql} AS {quoted(name)}" for name, sql in columns.items())])
        group = f" GROUP BY {', '.join(keys)}" if one.grouped is not None else ""
        rows = f"SELECT {shown} FROM {one.grouped or one.source.relation}{before}{group}"
        return f"LEFT JOIN ({rows}) {alias} ON {on}"

    def join_keys(self, source: Source) -> list[str]:
        """Return the columns by which rows find those of another source.

        Raises
        ------
        InvalidDataError
            There is none that would do, or the source has several rows for one of ours.
        """
        level = self.spec.entities.level
        if source.level is not None and set(KEYS[source.level][1]) - set(self.identity):
            raise InvalidDataError(
                f"features: rows of {source.said} are of level {source.level!r}, finer than {level!r}",
                hint='aggregate them: sql = "SELECT study_id, plate_id, well_id, median(...) FROM ... GROUP BY ALL"',
            )
        known = self.identity if source.level is None else KEYS[source.level][0]
        keys = [name for name in self.identity if name in known and source.has(name)]
        least = {"study_id", "treatment"} if level == "treatment" else {"study_id", "plate_id"}
        if least - set(keys):
            raise InvalidDataError(
                f"features: {source.said} has no column {listed(sorted(least - set(keys)), 3)} to find its rows by",
                hint=f"rows are known by {listed(list(self.identity), 8)}",
            )
        return keys


def _before(conditions: Conditions, columns: Iterable[str]) -> str:
    there = set(columns)
    found = [sql for column, sql in conditions.items() if column in there]
    return f" WHERE {' AND '.join(found)}" if found else ""
