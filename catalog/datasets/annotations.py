"""Labels that people or models gave, as they stood at a date: who said what last, and what to do where they disagree.

A row of the table ``labels`` is of an object, a field, a well or a plate. Of each annotator the last value counts that
was given on or before the date. What the rule makes of several annotators:

newest
    The value that was given last.
majority
    The value that most annotators gave; no label where two are equally frequent.
drop
    No label where they do not all agree.
error
    The same, and the data set is not built.
"""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import InvalidDataError
from ...wording import did_you_mean, listed
from ..binding import quoted, text

if TYPE_CHECKING:
    from .pins import Pinned
    from .rows import Rows
    from .spec import Label

#: Level of a label → the columns that say which row it is of; finest first.
_KEYS = {
    "object": ("study_id", "plate_id", "well_id", "acquisition_id", "field_id", "timepoint", "object_id"),
    "field": ("study_id", "plate_id", "well_id", "acquisition_id", "field_id", "timepoint"),
    "well": ("study_id", "plate_id", "well_id", "acquisition_id", "timepoint"),
    "plate": ("study_id", "plate_id", "acquisition_id", "timepoint"),
}
#: What must be given in a label of the level.
_GIVEN = {
    "object": ("plate_id", "well_id", "field_id", "object_id"),
    "field": ("plate_id", "well_id", "field_id"),
    "well": ("plate_id", "well_id"),
    "plate": ("plate_id",),
}
#: Level of rows → the levels of labels that it may have, its own first.
_FITTING = {
    "object": ("object", "field", "well", "plate"),
    "field": ("field", "well", "plate"),
    "image": ("field", "well", "plate"),
    "well": ("well", "plate"),
    "treatment": (),
}
_LEVEL = (
    "CASE WHEN object_id IS NOT NULL THEN 'object' WHEN field_id IS NOT NULL THEN 'field' "
    "WHEN well_id IS NOT NULL THEN 'well' ELSE 'plate' END"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One label of a vocabulary.

    Attributes
    ----------
    keys
        The columns that say which row a label is of.
    value, disputed
        The columns of a row that it makes: the value, and whether annotators disagreed.
    """

    label: Label
    level: str
    keys: tuple[str, ...]
    object_set: str | None
    value: str
    disputed: str


def find_annotation(pinned: Pinned, rows: Rows, label: Label, number: int) -> Annotation:
    """Find the labels of a vocabulary that rows can have.

    Raises
    ------
    InvalidDataError
        There are none: of this vocabulary, of a level that fits, or on or before the date.
    """
    assert label.vocabulary is not None
    level = rows.spec.entities.level
    fitting = _FITTING[level]
    until = _until(label)
    known = pinned.rows(
        f"SELECT vocabulary, {_LEVEL} AS level, object_set, count(*) AS n, "
        f"count(*) FILTER ({until}) AS n_then, min(annotated_at) AS first FROM labels GROUP BY ALL ORDER BY ALL"
    )
    names = sorted({row["vocabulary"] for row in known})
    here = [row for row in known if row["vocabulary"] == label.vocabulary]
    if not here:
        raise InvalidDataError(
            f"{label.where}: no label has the vocabulary {label.vocabulary!r}{did_you_mean(label.vocabulary, names)}",
            hint=f"there are: {listed(names, 8)}" if names else "the lake has no labels",
        )
    levels = [one for one in _GIVEN if any(row["level"] == one for row in here)]
    usable = [one for one in fitting if one in levels and label.level in (None, one)]
    if not usable:
        asked = f"of level {label.level!r}" if label.level else f"that rows of level {level!r} can have"
        raise InvalidDataError(
            f"{label.where}: {label.vocabulary!r} has no labels {asked}; they are of {listed(levels, 4)}",
            hint="choose a finer level of rows" if fitting else "treatments have no labels; use wells",
        )
    chosen = usable[0]
    there = [row for row in here if row["level"] == chosen]
    if not any(row["n_then"] for row in there):
        first = min(row["first"] for row in there)
        by = f" by {listed(list(label.annotators), 5)}" if label.annotators else ""
        raise InvalidDataError(
            f"{label.where}: {label.vocabulary!r} has no label{by} on or before {_said(label)}; the first is of "
            f"{first:%Y-%m-%d %H:%M:%S}",
            hint="take a later as_of, or other annotators",
        )
    object_set = rows.source.object_set if chosen == "object" else None
    if chosen == "object" and object_set is not None:
        sets = sorted({str(row["object_set"]) for row in there if row["object_set"] is not None})
        if sets and object_set not in sets and all(row["object_set"] is not None for row in there):
            raise InvalidDataError(
                f"{label.where}: {label.vocabulary!r} labels objects of {listed(sets, 5)}, not of {object_set!r}",
                hint="take these as entities.source",
            )
    return Annotation(
        label=label,
        level=chosen,
        keys=_KEYS[chosen],
        object_set=object_set,
        value=f"label:{number}",
        disputed=f"disputed:{number}",
    )


def _said(label: Label) -> str:
    return "now" if label.as_of is None else label.as_of.isoformat()


def _until(label: Label) -> str:
    """Return the condition of labels that count."""
    found = []
    if label.as_of is not None:
        found.append(f"annotated_at <= TIMESTAMPTZ {text(label.as_of.isoformat())}")
    if label.annotators:
        found.append(f"annotator IN ({', '.join(text(one) for one in label.annotators)})")
    return f"WHERE {' AND '.join(found)}" if found else "WHERE true"


def annotation_sql(annotation: Annotation, entities: str, keys: Sequence[str], before: str) -> str:
    """Return a SELECT of one row per labelled key: the keys, ``value`` and ``disputed``.

    Parameters
    ----------
    entities
        A SELECT of the keys of rows.
    keys
        Those of the annotation that rows have.
    before
        The condition of some plates alone, with WHERE.
    """
    label = annotation.label
    given = [f"{name} IS NOT NULL" for name in _GIVEN[annotation.level]]
    finer = {"object": (), "field": ("object_id",), "well": ("object_id", "field_id")}
    given += [f"{name} IS NULL" for name in finer.get(annotation.level, ("object_id", "field_id", "well_id"))]
    wanted = [f"vocabulary = {text(str(label.vocabulary))}", *given, _until(label).removeprefix("WHERE ")]
    if annotation.object_set is not None:
        wanted.append(f"(object_set IS NULL OR object_set = {text(annotation.object_set)})")
    if before:
        wanted.append(before.removeprefix(" WHERE "))
    columns = ", ".join([*annotation.keys, "value", "annotator", "annotated_at", "run_id"])
    labels = f"SELECT {columns} FROM labels WHERE {' AND '.join(wanted)}"
    # A label that names no acquisition or time point is of all of them.
    always = [key for key in keys if key not in {"acquisition_id", "timepoint"}]
    sometimes = [key for key in keys if key in {"acquisition_id", "timepoint"}]
    on = " AND ".join(
        [f"a.{key} = k.{key}" for key in always] + [f"(a.{key} IS NULL OR a.{key} = k.{key})" for key in sometimes]
    )
    key = ", ".join(f"k.{quoted(one)}" for one in keys)
    plain = ", ".join(quoted(one) for one in keys)
    last = "last(a.value ORDER BY a.annotated_at, a.run_id, a.value)"
    at = "last(a.run_id ORDER BY a.annotated_at, a.run_id, a.value)"
    votes = (
        f"SELECT {key}, a.annotator, {last} AS value, max(a.annotated_at) AS given_at, {at} AS run_id "
        f"FROM (SELECT DISTINCT {plain} FROM ({entities})) k JOIN ({labels}) a ON {on} GROUP BY {key}, a.annotator"
    )
    disputed = "min(value) <> max(value)"
    if label.conflicts == "newest":
        newest = "last(value ORDER BY given_at, run_id, annotator)"
        return f"SELECT {plain}, {newest} AS value, {disputed} AS disputed FROM ({votes}) GROUP BY {plain}"
    if label.conflicts == "majority":
        counted = f"SELECT {plain}, value, count(*) AS n FROM ({votes}) GROUP BY {plain}, value"
        ranked = f"SELECT {plain}, value, n, max(n) OVER (PARTITION BY {plain}) AS most FROM ({counted})"
        won = "CASE WHEN count(*) FILTER (WHERE n = most) = 1 THEN max(value) FILTER (WHERE n = most) END"
        return f"SELECT {plain}, {won} AS value, count(*) > 1 AS disputed FROM ({ranked}) GROUP BY {plain}"
    agreed = f"CASE WHEN {disputed} THEN NULL ELSE min(value) END"
    return f"SELECT {plain}, {agreed} AS value, {disputed} AS disputed FROM ({votes}) GROUP BY {plain}"
