"""What each feature is: name, unit, definition, when it is undefined, source, and what other tools call it.

One :class:`Operator` per measure of a family, in plain words; :func:`feature_column` makes the column of one object set
from one. Nothing here computes or loads a kernel, so recipes and documentation can read it cheaply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...schemas.feature_synonyms import aliases


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One measure of a family.

    ``unit`` is a UCUM code; ``definition`` is a sentence; ``undefined`` says when and why the value is NULL (empty:
    never); ``aliases`` are names in other tools, as ``tool:name``, that the table of synonyms does not
    have; see :func:`names_elsewhere`.
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


def capitalised(object_set: str) -> str:
    """Give a set's name as it stands in names of columns; ``lipid_Droplets`` keeps its second capital."""
    return object_set[:1].upper() + object_set[1:]


def feature_column(
    object_set: str,
    category: str,
    operator: Operator,
    *,
    roles: Sequence[str] = (),
    scale: float | None = None,
    suffix: Sequence[str] = (),
) -> FeatureColumn:
    """Make the column ``<ObjectSet>_<Category>_<Operator>[_<Role>[_<SecondRole>]][_<suffix>…]``.

    Parameters
    ----------
    object_set
        Name of the set, in lower case.
    category
        Family part of the name, as CellProfiler has it.
    operator
        What is measured.
    roles
        No channel, one, or two that are compared.
    scale
        Size in pixels that the measure belongs to, for the dictionary.
    suffix
        What else CellProfiler puts behind the name: scale, direction, bin.
    """
    name = "_".join((capitalised(object_set), category, operator.name, *roles, *suffix))
    return FeatureColumn(
        name=name,
        object_set=object_set,
        family=category,
        operator=operator.name,
        channel_role=roles[0] if roles else None,
        second_channel_role=roles[1] if len(roles) > 1 else None,
        scale=scale,
        unit=operator.unit,
        definition=operator.definition + (f" NULL {operator.undefined}." if operator.undefined else ""),
        source=operator.source,
        aliases=operator.aliases,
    )


def names_elsewhere(column: FeatureColumn) -> tuple[str, ...]:
    """Return what other tools call a column, as ``tool:name``: its own aliases, and those of the table of synonyms."""
    roles = tuple(role for role in (column.channel_role, column.second_channel_role) if role is not None)
    measure = "_".join((capitalised(column.object_set), column.family, column.operator, *roles))
    suffix = tuple(column.name[len(measure) + 1 :].split("_")) if len(column.name) > len(measure) else ()
    theirs = aliases(column.object_set, column.family, column.operator, roles, suffix)
    return tuple(dict.fromkeys((*column.aliases, *theirs)))


def dictionary_rows(columns: Iterable[FeatureColumn], *, feature_set_hash: str, run_id: str) -> list[dict[str, Any]]:
    """Make the rows of the ``feature_dictionary`` table for the columns of one feature set."""
    return [
        {
            "feature_set_hash": feature_set_hash,
            "column": column.name,
            **{key: value for key, value in asdict(column).items() if key != "name"},
            "aliases": list(names_elsewhere(column)),
            "run_id": run_id,
        }
        for column in columns
    ]
