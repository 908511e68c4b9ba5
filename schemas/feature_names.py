"""Names of features in other tools, and ours: ``Cells_AreaShape_Area``, ``Nuclei_Intensity_MeanIntensity_DNA``.

Our names are CellProfiler's, with the role of a channel in the place of its label. :mod:`.cellprofiler_names` takes a
name of CellProfiler apart, :mod:`.tool_names` those of other tools; :func:`translate` puts ours together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from . import tool_names
from .cellprofiler_names import SOURCES, Parsed, parse, split_object_set
from .feature_synonyms import TOOLS, Equal

#: Dialects whose features are named as CellProfiler names them.
CELLPROFILER_NAMES = ("cellprofiler", "cytotable", "pycytominer")
__all__ = ["CELLPROFILER_NAMES", "FeatureName", "channels_of", "parse", "split_object_set", "translate"]

#: Measures of two channels that do not change when the two change places.
_SYMMETRIC = ("Correlation", "Overlap")
#: What CellProfiler measures a little otherwise; docs/reference/features.md has the reasons.
_CLOSE = (
    "AreaShape_Zernike", "AreaShape_Orientation", "AreaShape_FormFactor", "AreaShape_Eccentricity",
    "Intensity_LowerQuartileIntensity", "Intensity_MedianIntensity", "Intensity_UpperQuartileIntensity", "Texture_",
    "RadialDistribution_MeanFrac", "RadialDistribution_RadialCV", "RadialDistribution_Zernike", "Granularity_",
    "Correlation_RWC", "Correlation_Overlap", "Correlation_K", "Neighbors_",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureName:
    """A column of a table that was made elsewhere, in our words.

    Attributes
    ----------
    name
        Our name of it; None where it stays under its own.
    family, operator
        As in ``feature_dictionary``: ``AreaShape``, ``Area``.
    channel_role, second_channel_role
        Roles of the channels that are measured.
    scale
        Scale of the operator, in pixels.
    unit
        UCUM.
    definition, source
        What it is, and where that is written.
    aliases
        What other tools call it, as ``tool:name``.
    equal
        How equal it is to what the lake computes: ``same``, ``close`` (but for special cases), ``scaled`` (another
        unit), ``different`` (defined otherwise), ``own`` (the lake has nothing like it); None where that is not known.
    computed
        The column that the lake computes and that this one is a synonym of; ``*`` is what its name does not tell.
    statistic
        Statistic over the objects of a well that is not the mean: ``StdDev``.
    """

    name: str | None
    family: str
    operator: str
    channel_role: str | None = None
    second_channel_role: str | None = None
    scale: float | None = None
    unit: str | None = None
    definition: str | None = None
    source: str | None = None
    aliases: tuple[str, ...] = ()
    equal: Equal | None = None
    computed: str | None = None
    statistic: str | None = None


def translate(
    dialect: str,
    column: str,
    object_set: str | None = None,
    roles: Mapping[str, str] | None = None,
    known_channels: Collection[str] = (),
) -> FeatureName:
    """Say what a column of a dialect is in our words.

    Parameters
    ----------
    dialect
        Name of the dialect: ``cellprofiler``, ``cytotable``, ``pycytominer``, ``cp_measure``, ``nyxus``, ``incarta``,
        ``harmony``, ``columbus``, ``idr``, ``deepprofiler``. Names of any other are read as CellProfiler's.
    column
        Its name in the table. It may begin with the object set or not (``Cells_AreaShape_Area``, ``AreaShape_Area``).
    object_set
        The objects that it describes, as the lake calls them; None for a table of fields, wells or treatments, whose
        columns name it themselves.
    roles
        Channel as the table calls it → role. A channel without one has the role that it is named after, or keeps its
        own name where a role may have it; see :func:`.tool_names.role_of`.
    known_channels
        The channels that there are, where the names of a tool do not tell them (Nyxus: one; pairs of cp_measure: two),
        or where they have ``_`` in their names.

    Returns
    -------
    FeatureName
        ``name`` is None for what the lake has no name for, and for a channel that cannot be a role.
    """
    aliases, roles = (f"{dialect}:{column}",), roles or {}
    if dialect in tool_names.TOOL_OF:
        return _of_tool(tool_names.TOOL_OF[dialect], column, object_set, roles, known_channels, aliases)
    prefix, rest = split_object_set(column, object_set)
    if prefix is None:
        family, _, operator = column.partition("_")
        return FeatureName(name=None, family=family or dialect, operator=operator or column, aliases=aliases)
    if prefix == "Image":
        return _of_image(rest, roles, aliases)
    return _of_cellprofiler(prefix, parse(rest, {*roles, *known_channels}), roles, aliases)


def channels_of(column: str, object_set: str | None) -> tuple[str, ...]:
    """Return the channels that a name of CellProfiler surely names, as they stand in it; see :func:`parse`."""
    prefix, rest = split_object_set(column, object_set)
    if prefix == "Image":  # Mean_Nuclei_AreaShape_Area
        prefix, rest = split_object_set(rest.partition("_")[2], None)
    return () if prefix in (None, "Image") else parse(rest, ()).channels


def _of_cellprofiler(
    prefix: str, parsed: Parsed, roles: Mapping[str, str], aliases: tuple[str, ...], statistic: str | None = None
) -> FeatureName:
    own = [tool_names.role_of(channel, roles) for channel in parsed.channels]
    given = [role for role in own if role is not None]
    if parsed.operator in _SYMMETRIC and parsed.family == "Correlation":
        given.sort()
    name = None
    if parsed.named and len(given) == len(own) and len(set(given)) == len(given):
        name = "_".join((prefix, parsed.family, parsed.operator, *given, *parsed.suffix))
        own = list(given)
    inner = f"{parsed.family}_{parsed.operator}"
    computed = name if parsed.known else None
    return FeatureName(
        name=f"{name}_{statistic}" if name and statistic else name,
        family=parsed.family,
        operator=parsed.operator,
        channel_role=own[0] if own else None,
        second_channel_role=own[1] if len(own) > 1 else None,
        scale=parsed.scale,
        unit=parsed.unit,
        source=SOURCES.get(parsed.family),
        aliases=aliases,
        equal=None if computed is None else "close" if inner.startswith(_CLOSE) else "same",
        computed=computed,
        statistic=statistic,
    )


def _of_image(rest: str, roles: Mapping[str, str], aliases: tuple[str, ...]) -> FeatureName:
    """Name a column of CellProfiler's image table: counts of objects, and statistics over the objects of an image."""
    family, _, operator = rest.partition("_")
    statistic = {"Mean": None, "Median": "Median", "StDev": "StdDev"}
    if family in statistic:
        prefix, inner = split_object_set(operator, None)
        if prefix is not None:
            return _of_cellprofiler(prefix, parse(inner, roles), roles, aliases, statistic[family])
    known = family == "Count" and operator.isalnum()
    return FeatureName(
        name=f"{operator[:1].upper()}{operator[1:]}_Count" if known else None,
        family=family,
        operator=operator or family,
        unit="1" if known else None,
        source=SOURCES.get(family),
        aliases=aliases,
    )


def _of_tool(
    tool: str,
    column: str,
    object_set: str | None,
    roles: Mapping[str, str],
    known_channels: Collection[str],
    aliases: tuple[str, ...],
) -> FeatureName:
    if tool == "deepprofiler":
        return _of_embedding(column, object_set, aliases)
    read = tool_names.take_apart(tool, column, object_set, known_channels)
    if read is None:
        family, _, operator = column.partition("_")
        return FeatureName(name=None, family=family or tool, operator=operator or column, aliases=aliases)
    given = tuple(role for one in read.channels if (role := tool_names.role_of(one, roles)) is not None)
    complete = len(given) == len(read.channels) and len(set(given)) == len(given)
    synonym = read.found.synonym
    family, operator = tool_names.family_and_operator(read.found)
    if family == "Correlation" and operator in _SYMMETRIC:
        given = tuple(sorted(given))
    own = tool_names.in_order(read.found, given) if complete else ()
    scale = read.found.places.get("n") or (read.found.places.get("a") if family == "Texture" else None)
    return FeatureName(
        name=tool_names.our_name(read, given) if complete else None,
        family=family,
        operator=operator,
        channel_role=own[0] if own else None,
        second_channel_role=own[1] if len(own) > 1 else None,
        scale=float(scale) if scale else None,
        unit=tool_names.unit(read),
        definition=f"{TOOLS[tool]}: {column}" + (f" ({synonym.note})" if synonym.note else ""),
        source=TOOLS[tool],
        aliases=aliases,
        equal=synonym.equal,
        computed=tool_names.computed_name(read, given) if complete and read.statistic is None else None,
        statistic=read.statistic,
    )


def _of_embedding(column: str, object_set: str | None, aliases: tuple[str, ...]) -> FeatureName:
    """Name a column of DeepProfiler: numbers of an embedding keep their names, centres of cells have ours."""
    prefix, rest = split_object_set(column, object_set)
    if prefix is not None and rest in ("Location_Center_X", "Location_Center_Y"):
        found = _of_cellprofiler(prefix, parse(rest), {}, aliases)
        return found
    parts = tool_names.embedding(column)
    if parts is None:
        return FeatureName(name=None, family="DeepProfiler", operator=column, aliases=aliases)
    _, model, number = parts
    return FeatureName(
        name=column,
        family="Embedding",
        operator=f"{model}_{number}",
        unit="1",
        definition=f"Number {number} of the embedding of a crop round the cell by the network {model}.",
        source="DeepProfiler",
        aliases=aliases,
        equal="own",
    )
