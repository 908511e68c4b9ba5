"""A spec that has met a lake: what is asked for each row, and the count of rows of each kind before any is read."""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import InvalidDataError, NotFoundError
from ...wording import did_you_mean, listed
from ..binding import quoted, text
from .annotations import find_annotation
from .expressions import columns_of
from .features import Chosen, choose_features
from .fingerprint import arrow_type, logical_type
from .rows import Rows
from .spec import DIMENSIONS, Label, Spec
from .splitting import key_of

if TYPE_CHECKING:
    from .pins import Pinned

_SHOWN = 8


@dataclass(slots=True)
class Plan:
    """What is asked for each row.

    Attributes
    ----------
    labels
        Label → its SQL over the columns of a row.
    label_types
        Label → its logical type; ``float64`` and ``float32`` are numbers to predict, others classes.
    group
        The SQL of the key that rows are split by.
    kept
        Name → type of columns that are carried along.
    """

    pinned: Pinned
    spec: Spec
    rows: Rows
    chosen: list[Chosen]
    labels: dict[str, str]
    label_types: dict[str, str]
    group: str
    kept: dict[str, str]
    identity_types: dict[str, str]
    dimensions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pinned: Pinned, spec: Spec) -> Plan:
        """Bind a spec.

        Raises
        ------
        InvalidDataError, NotFoundError, QueryError
            It names what does not exist or does not fit.
        """
        _check_places(pinned, spec)
        rows = Rows.of(pinned, spec)
        chosen = choose_features(pinned, rows)
        if spec.where is not None:
            rows.check_names(columns_of(spec.where, "filters.where"), "filters.where")
        labels = {one.name: _label_sql(pinned, rows, one, at) for at, one in enumerate(spec.labels)}
        group = _group_sql(rows, spec)
        rows.check_names(spec.keep, "output.keep")
        kept = [name for name in spec.keep if name.lower() not in rows.identity]
        asked = {**{name: name for name in rows.identity}, **labels, **{name: quoted(name.lower()) for name in kept}}
        if len(asked) != len(rows.identity) + len(labels) + len(kept) or "group" in asked or "split" in asked:
            raise InvalidDataError(
                "two columns would have one name: labels, kept columns and the columns of identity must differ, and "
                "'group' and 'split' are taken",
                hint="give the label another name",
            )
        schema = pinned.ask(rows.select(asked)).schema()
        types = {one.name: logical_type(one.type, f"column {one.name!r}") for one in schema}
        return cls(
            pinned=pinned,
            spec=spec,
            rows=rows,
            chosen=chosen,
            labels=labels,
            label_types={name: types[name] for name in labels},
            group=group,
            kept={name: types[name] for name in kept},
            identity_types={name: types[name] for name in rows.identity},
            dimensions=rows.dimensions,
        )

    @property
    def is_class(self) -> dict[str, bool]:
        """Label → whether its values are classes."""
        return {name: not kind.startswith("float") for name, kind in self.label_types.items()}

    def count(self) -> list[dict[str, Any]]:
        """Count the rows by place, group, label and what they could leak by.

        Returns
        -------
        list of dict
            ``place`` (study, plate, well), ``group`` (a key), ``labels`` (a number of a label is True), ``disputed``
            (label → bool), ``dimensions``, ``run_id``, ``n``.
        """
        place: list[str] = [name for name in ("study_id", "plate_id", "well_id") if name in self.rows.identity]
        wanted: dict[str, str] = {name: name for name in place}
        wanted |= {"g": self.group}
        for at, (name, sql) in enumerate(self.labels.items()):
            # A number is counted, not listed.
            wanted[f"v{at}"] = sql if self.is_class[name] else f"CASE WHEN ({sql}) IS NOT NULL THEN true END"
            if name in self.rows.annotations:
                wanted[f"c{at}"] = quoted(self.rows.annotations[name].disputed)
        wanted |= {f"d_{name}": sql for name, sql in self.dimensions.items()}
        if self.rows.source.has("run_id"):
            wanted["run"] = "run_id"
        query = self.rows.select(wanted)
        names = ", ".join(quoted(name) for name in wanted)
        found = self.pinned.rows(f"SELECT {names}, count(*) AS n FROM ({query}) GROUP BY {names} ORDER BY {names}")
        by = self.spec.split.by
        return [
            {
                "place": tuple(row[name] for name in place),
                "group": key_of(by, row["g"]),
                "labels": {name: row[f"v{at}"] for at, name in enumerate(self.labels)},
                "disputed": {name: bool(row.get(f"c{at}")) for at, name in enumerate(self.labels)},
                "dimensions": {name: row[f"d_{name}"] for name in self.dimensions},
                "run_id": row.get("run"),
                "n": row["n"],
            }
            for row in found
        ]

    def wanted(self) -> dict[str, str]:
        """Return name → SQL of everything of a row that is no feature."""
        facts = {name: name for name in self.rows.identity} | {"group": self.group}
        return facts | {name: quoted(name.lower()) for name in self.kept} | self.labels

    def annotation(self) -> dict[str, pa.DataType]:
        """Return name → type of what is known of a row beside its identity."""
        types = {"group": "string", **self.kept, **self.label_types}
        return {name: arrow_type(kind) for name, kind in types.items()}

    def without_values(self, features: Sequence[str]) -> set[str]:
        """Return the features that no row has a value of."""
        found: set[str] = set()
        for first in range(0, len(features), 500):
            some = features[first : first + 500]
            counts = [f"count(CASE WHEN NOT isnan({quoted(name)}::DOUBLE) THEN 1 END)" for name in some]
            query = f"SELECT {', '.join(counts)} FROM ({self.rows.select({}, features=some)})"
            (row,) = self.pinned.ask(query).fetchall()
            found.update(name for name, count in zip(some, row, strict=True) if not count)
        return found

    def explain_missing(self, name: str) -> InvalidDataError:
        """Return the error of a label without any value."""
        label = next(one for one in self.spec.labels if one.name == name)
        hint = "see which values there are: `cytolake sql`"
        if label.attribute is not None:
            known = self._attributes()
            guess = did_you_mean(label.attribute, known)
            return InvalidDataError(
                f"{label.where}: no row has a value of the attribute {label.attribute!r}{guess}",
                hint=f"attributes are {listed(known, _SHOWN)}" if known else "no well or plate has attributes",
            )
        if label.vocabulary is not None:
            level = self.rows.annotations[name].level
            return InvalidDataError(
                f"{label.where}: no row of this data set has a label of {label.vocabulary!r} (of level {level!r})",
                hint='look at them: cytolake sql "FROM labels"',
            )
        return InvalidDataError(f"{label.where}: no row has a value of label {name!r}", hint=hint)

    def _attributes(self) -> list[str]:
        query = " UNION ".join(f"SELECT unnest(map_keys(attributes)) AS name FROM {one}" for one in ("wells", "plates"))
        return sorted({str(row["name"]) for row in self.pinned.rows(query)})


def _check_places(pinned: Pinned, spec: Spec) -> None:
    """Make sure that the studies and plates of the filters exist."""
    if not spec.studies and not spec.plates:
        return
    rows = pinned.rows("SELECT study_id, plate_id FROM plates")
    studies = {row["study_id"] for row in rows} | {
        row["study_id"] for row in pinned.rows("SELECT study_id FROM studies")
    }
    plates = {row["plate_id"] for row in rows}
    for what, given, known in (("study", spec.studies, studies), ("plate", spec.plates, plates)):
        for name in given:
            if name not in known:
                key = "studies" if what == "study" else "plates"
                raise NotFoundError(
                    f"filters.{key}: there is no {what} {name!r}{did_you_mean(name, known)}",
                    hint=f"there are {listed(sorted(known), _SHOWN)}" if known else "the lake has none yet",
                )


def _label_sql(pinned: Pinned, rows: Rows, label: Label, number: int) -> str:
    features = {name.lower(): name for name in rows.features}
    if label.vocabulary is not None:
        annotation = find_annotation(pinned, rows, label, number)
        rows.annotations[label.name] = annotation
        return quoted(annotation.value)
    if label.attribute is not None:
        if not rows.has_wells:
            raise InvalidDataError(
                f"{label.where}.attribute: attributes are of wells and plates, and a treatment is neither"
            )
        key = text(label.attribute)
        return f"coalesce(attributes[{key}], plate_attributes[{key}])"
    expression = label.sql if label.sql is not None else quoted(str(label.column).lower())
    key = f"{label.where}.{'sql' if label.sql is not None else 'column'}"
    names = columns_of(expression, key)
    rows.check_names(names, key)
    among = sorted(features[name] for name in names if name in features)
    if among:
        raise InvalidDataError(
            f"{key}: the label would be among the features: {listed(among, _SHOWN)}",
            hint="exclude it from the features",
        )
    return f"({expression})" if label.sql is not None else expression


def _group_sql(rows: Rows, spec: Spec) -> str:
    split = spec.split
    if split.sql is not None:
        rows.check_names(columns_of(split.sql, "split.sql"), "split.sql")
        return f"CAST((\n{split.sql}\n) AS VARCHAR)"
    if split.by in DIMENSIONS:
        if split.by not in rows.dimensions:
            raise InvalidDataError(
                f"split.by: rows of level {spec.entities.level!r} have no {split.by}",
                hint=f"split by one of {listed(list(rows.dimensions), 10)}",
            )
        return f"CAST({rows.dimensions[split.by]} AS VARCHAR)"
    if split.by.lower() not in rows.names:
        known = [*DIMENSIONS, *rows.names]
        raise InvalidDataError(
            f"split.by: a row has no {split.by!r}{did_you_mean(split.by, known)}",
            hint=f"split by one of {listed(list(rows.dimensions), 10)}, or a column",
        )
    return f"CAST({quoted(split.by.lower())} AS VARCHAR)"


def by_name(rows: Mapping[str, int]) -> str:
    """Return counts as words."""
    return ", ".join(f"{name} {count:,}" for name, count in rows.items())
