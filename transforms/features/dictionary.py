"""What each feature is: name, unit, definition, when it is undefined, source, and what other tools call it.

One :class:`Operator` per measure of a family, in plain words; :func:`feature_columns` makes the columns of one object
set from them. Nothing here computes or loads a kernel, so recipes and documentation can read it cheaply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One measure of a family.

    ``unit`` is a UCUM code; ``definition`` is a sentence; ``undefined`` says when and why the value is NULL (empty:
    never); ``aliases`` are the names in other tools as ``tool:name``.
    """

    name: str
    unit: str
    definition: str
    source: str
    undefined: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureColumn:
    """One column of a feature table: an operator of a family for one object set and, where it has one, a channel.

    The fields are those of the ``feature_dictionary`` table.
    """

    name: str
    object_set: str
    family: str
    operator: str
    channel_role: str | None
    second_channel_role: str | None = None
    scale: float | None = None
    unit: str
    definition: str
    source: str
    aliases: tuple[str, ...]


def feature_columns(
    operators: Sequence[Operator], family: str, object_set: str, roles: Sequence[str | None]
) -> list[FeatureColumn]:
    """Make the columns ``<ObjectSet>_<Family>_<Operator>[_<Role>]``: every operator for every role.

    A role of None makes a column without a channel.
    """
    prefix = f"{object_set[:1].upper()}{object_set[1:]}_{family}"
    return [
        FeatureColumn(
            name=f"{prefix}_{operator.name}" if role is None else f"{prefix}_{operator.name}_{role}",
            object_set=object_set,
            family=family,
            operator=operator.name,
            channel_role=role,
            unit=operator.unit,
            definition=operator.definition + (f" NULL {operator.undefined}." if operator.undefined else ""),
            source=operator.source,
            aliases=operator.aliases,
        )
        for operator in operators
        for role in roles
    ]


def dictionary_rows(columns: Iterable[FeatureColumn], *, feature_set_hash: str, run_id: str) -> list[dict[str, Any]]:
    """Make the rows of the ``feature_dictionary`` table for the columns of one feature set."""
    return [
        {
            "feature_set_hash": feature_set_hash,
            "column": column.name,
            **{key: value for key, value in asdict(column).items() if key != "name"},
            "aliases": list(column.aliases),
            "run_id": run_id,
        }
        for column in columns
    ]
