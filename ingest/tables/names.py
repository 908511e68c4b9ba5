"""What the columns of an import are called in the lake: one plan for all tables of the same objects or level."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import InvalidDataError, UsageError
from ...schemas.feature_names import CELLPROFILER_NAMES, FeatureName, channels_of, translate
from ...schemas.ontology import enum_values
from ...schemas.tables import class_schema
from ...wording import did_you_mean, listed
from ..channels import check_role, guess_role
from .contract import SourceTable

#: What Delta and Spark do not allow in names of columns.
_FORBIDDEN = re.compile(r"[ ,;{}()\n\t=]")
#: What people put before or behind a channel's name, for what was done to the image.
_DONE_TO_IT = re.compile(r"^(?:orig|corr|raw|crop(?:ped)?|illum|rescaled?|masked)_?|_?(?:orig|corr|raw|illum)$", re.I)
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Named:
    """One column of an import.

    Attributes
    ----------
    original
        Its name in the table.
    column
        Its name in the lake.
    feature
        What it is.
    mapped
        Whether that is our name for it.
    object_set
        Objects that it describes, or the level of the table where the name does not say it.
    """

    original: str
    column: str
    feature: FeatureName
    mapped: bool
    object_set: str


@dataclass(slots=True)
class NamePlan:
    """The columns of all tables of an import.

    Attributes
    ----------
    groups
        (level, object set) → name in the table → column.
    roles
        Channel → role, given or inferred.
    """

    groups: dict[tuple[str, str | None], dict[str, Named]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def of(self, table: SourceTable) -> dict[str, Named]:
        """Return the columns of one table's group, by their names in the table."""
        return self.groups[table.level, table.object_set]

    def all(self) -> list[Named]:
        """Return all columns."""
        return [named for group in self.groups.values() for named in group.values()]


def plan_names(dialect: str, tables: Sequence[SourceTable], given: Mapping[str, str]) -> NamePlan:
    """Name the columns of an import.

    Parameters
    ----------
    dialect
        Name of the dialect.
    tables
        All of its tables.
    given
        Channel → role, as somebody says.

    Raises
    ------
    InvalidDataError
        A column is text in one table and numbers in another one of the same objects.
    UsageError
        A role is given to a channel that no column names, or two channels get one role.
    """
    plan = NamePlan()
    grouped: dict[tuple[str, str | None], list[SourceTable]] = {}
    for table in tables:
        grouped.setdefault((table.level, table.object_set), []).append(table)
    for members in grouped.values():
        _check_types(members)
    plan.roles = _roles(dialect, tables, given, plan.warnings)
    for (level, object_set), members in grouped.items():
        plan.groups[level, object_set] = _named(dialect, level, object_set, members, plan)
    _tell_roles(plan, tables, dialect)
    return plan


def _check_types(tables: Sequence[SourceTable]) -> None:
    numbers = {column: table for table in tables for column in table.features}
    clashes = [
        f"{column} is text in {table.name} and numbers in {numbers[column].name}"
        for table in tables
        for column in table.texts
        if column in numbers
    ]
    if clashes:
        raise InvalidDataError(
            f"columns of the same objects have different types: {listed(clashes, 10, between='; ')}; nothing was "
            "imported",
            hint="Correct the files so that the column is numbers in all of them (or text), or import them under "
            "different names (--name).",
        )


def _scope(dialect: str, level: str, object_set: str | None) -> str | None:
    """Return what columns of a table are about, where their names do not say it."""
    if level == "field" and dialect == "cellprofiler":
        return "Image"
    return object_set


def _named(
    dialect: str, level: str, object_set: str | None, tables: Sequence[SourceTable], plan: NamePlan
) -> dict[str, Named]:
    scope = _scope(dialect, level, object_set)
    found: dict[str, Named] = {}
    for table in tables:
        for original in table.features:
            if original not in found:
                feature = table.names.get(original) or translate(dialect, original, scope, plan.roles)
                column = feature.name or _own_name(dialect, original, scope)
                about = object_set or _set_of(column) or level
                found[original] = Named(original, column, feature, feature.name is not None, about)
    return _without_collisions(dialect, scope, found, level, plan.warnings)


def _set_of(column: str) -> str | None:
    prefix, _, rest = column.partition("_")
    return prefix.lower() if rest and prefix[:1].isupper() and prefix.isalnum() else None


def _own_name(dialect: str, original: str, scope: str | None) -> str:
    """Return the name of a column that stays under its own; CellProfiler's own has the objects before it."""
    own = original
    if scope and dialect in CELLPROFILER_NAMES:
        prefix = scope[:1].upper() + scope[1:]
        own = original if original.startswith(f"{prefix}_") else f"{prefix}_{original}"
    return _FORBIDDEN.sub("_", own)


def _without_collisions(
    dialect: str, scope: str | None, found: Mapping[str, Named], level: str, warnings: list[str]
) -> dict[str, Named]:
    """Give columns that would get one name their own, numbered where even those are alike. None is lost."""
    reserved = {
        name.casefold() for one in ("ObjectRow", "ProfileRow", "TreatmentRow") for name in class_schema(one).names
    }
    count = Counter(one.column.casefold() for one in found.values())
    kept: dict[str, Named] = {}
    taken = set(reserved)
    again: list[Named] = []
    for original, one in found.items():
        if count[one.column.casefold()] > 1 or one.column.casefold() in reserved:
            again.append(one)
        else:
            kept[original] = one
            taken.add(one.column.casefold())
    for one in again:
        own = _own_name(dialect, one.original, scope)
        column, number = own, 2
        while column.casefold() in taken:
            column, number = f"{own}_{number}", number + 1
        taken.add(column.casefold())
        kept[one.original] = Named(one.original, column, one.feature, False, one.object_set)
    if again:
        warnings.append(
            f"{len(again)} columns of {scope or level} would have shared names and keep their own: "
            f"{listed([f'{one.original} is {kept[one.original].column}' for one in again], _SHOWN)}"
        )
    return {original: kept[original] for original in found}


def _roles(
    dialect: str, tables: Sequence[SourceTable], given: Mapping[str, str], warnings: list[str]
) -> dict[str, str]:
    """Return the roles of the channels that columns name: as given, as the channel is called, or as it is guessed."""
    if dialect not in CELLPROFILER_NAMES:
        return {channel: check_role(role, channel) for channel, role in given.items()}
    channels = dict.fromkeys(
        channel
        for table in tables
        for column in table.features
        for channel in channels_of(column, _scope(dialect, table.level, table.object_set))
    )
    roles = given_roles(given, list(channels))
    twice = [role for role, times in Counter(roles.values()).items() if times > 1]
    if twice:
        raise UsageError(
            f"role {twice[0]!r} is given to two channels; a role names one channel",
            hint=f"Give the others names of their own, such as {twice[0]}2.",
        )
    known = {role.casefold(): role for role in enum_values("ChannelRole")}

    def exactly(channel: str) -> str | None:
        return known.get(channel.casefold())

    def without_ends(channel: str) -> str | None:
        return known.get(_DONE_TO_IT.sub("", channel).casefold())

    def by_stain(channel: str) -> str | None:
        return guess_role(_DONE_TO_IT.sub("", channel).replace("_", " "), None, None, None)

    for guess in (exactly, without_ends, by_stain):
        claims = {channel: found for channel in channels if channel not in roles and (found := guess(channel))}
        times = Counter(claims.values())
        taken = set(roles.values())
        roles |= {channel: found for channel, found in claims.items() if times[found] == 1 and found not in taken}
    warnings += inferred(roles, given)
    return roles


def given_roles(given: Mapping[str, str], channels: Sequence[str]) -> dict[str, str]:
    """Return the roles that somebody gives, by the channels as columns name them; capitals do not matter.

    Raises
    ------
    UsageError
        A role is given to a channel that no column names, or is a slip of a known one.
    """
    roles: dict[str, str] = {}
    for wanted, role in given.items():
        channel = next((c for c in channels if c == wanted), None) or next(
            (c for c in channels if c.casefold() == wanted.casefold()), None
        )
        if channel is None:
            raise UsageError(
                f"no column is about a channel {wanted!r}{did_you_mean(wanted, channels)}",
                hint=f"The channels are {listed(channels, 30)}." if channels else "No column names a channel.",
            )
        roles[channel] = check_role(role, wanted)
    return roles


def inferred(roles: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """Say which roles were not given, of the channels whose role is not their own name."""
    said = {channel.casefold() for channel in given}
    told = [f"{one} = {role}" for one, role in roles.items() if one != role and one.casefold() not in said]
    return [f"channels by their names: {listed(told, _SHOWN)} (--role overrules)"] if told else []


def _tell_roles(plan: NamePlan, tables: Sequence[SourceTable], dialect: str) -> None:
    """Warn of channels without a role."""
    if dialect not in CELLPROFILER_NAMES:
        return
    columns: Counter[str] = Counter(
        channel
        for table in tables
        for column in table.features
        for channel in dict.fromkeys(channels_of(column, _scope(dialect, table.level, table.object_set)))
        if channel not in plan.roles
    )
    if columns:
        shown = [f"{channel} ({count} columns)" for channel, count in columns.items()]
        plan.warnings.append(
            f"channels whose names say no role, and are taken as they are: {listed(shown, _SHOWN)}; name one with "
            f"--role {next(iter(columns))}=ROLE"
        )
