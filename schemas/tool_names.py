"""Columns of cp_measure, Nyxus, InCarta, Harmony and DeepProfiler in our words.

Which names there are is in ``feature_synonyms.toml``; here is what surrounds them in a table: populations, statistics
of a well, units in brackets that an encoding has broken, numbers of embeddings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from .cellprofiler_names import unit_of
from .feature_synonyms import TOOLS, UNITS, Found, camel, find, object_set_of
from .ontology import enum_value

#: Dialects that this module reads, and the tool whose names their columns have.
TOOL_OF: Mapping[str, str] = {
    **{tool: tool for tool in TOOLS},
    "columbus": "harmony",
    "idr": "harmony",
    "deepprofiler": "deepprofiler",
}
_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_EMBEDDING = re.compile(r"(?:(?P<set>[A-Z][A-Za-z]*)_)?(?P<model>[A-Za-z][A-Za-z0-9.-]*)_(?P<number>\d+)")
_STATISTIC = re.compile(
    r"\s*-\s*(?P<what>Mean|Median|Std\.? ?Dev\.?|SD|CV ?(?:\[?%\]?)?|Sum|Max(?:imum)?|Min(?:imum)?|MAD|Skewness"
    r"|Kurtosis)(?: per (?P<per>[A-Z]\w+))?\s*",
    re.IGNORECASE,
)
_STATISTICS = {"std": "StdDev", "sd": "StdDev", "max": "Max", "min": "Min", "cv": "CV", "mad": "MAD"}
_UNIT = re.compile(r"\s*\[([^\]]*)\]")
#: Where the measure ends in our name, and channels, scales and ways begin.
_BEHIND = re.compile(r"_(?=\{(?:c2?|way|n)\}|\*)")


@dataclass(frozen=True, slots=True)
class ToolColumn:
    """A column of a tool, taken apart.

    Attributes
    ----------
    found
        Its name in the table of synonyms.
    prefix
        Objects, as they stand in our names; None where neither the column nor the caller says them.
    channels
        Channels as the tool calls them.
    statistic
        Statistic of a well that is not the mean: ``StdDev``.
    """

    found: Found
    prefix: str | None
    channels: tuple[str, ...]
    statistic: str | None


def role_of(channel: str, roles: Mapping[str, str]) -> str | None:
    """Return the role of a channel: the one given, the one it is named after, or its own name where a role may have it.

    Blanks, ``-`` and ``_`` are dropped from its own name: ``Alexa 488`` is ``Alexa488``. None where it has other signs.
    """
    given = roles.get(channel) or next(
        (role for one, role in roles.items() if one.casefold() == channel.casefold()), None
    )
    if given:
        return given
    known = enum_value("ChannelRole", channel)
    if known:
        return known
    plain = re.sub(r"[ _-]+", "", channel)
    return plain if _ROLE.fullmatch(plain) else None


def take_apart(tool: str, column: str, object_set: str | None, channels: Collection[str] = ()) -> ToolColumn | None:
    """Read a column of a tool; None where the table of synonyms has nothing like it.

    Parameters
    ----------
    tool
        A key of :data:`.feature_synonyms.TOOLS`.
    column
        Its name in the table.
    object_set
        The objects of the table, as the lake calls them.
    channels
        The channels that are measured, for tools whose names do not tell them.
    """
    own = _capitalised(object_set)
    if tool == "harmony":
        population, name, statistic = split_harmony(column)
        found = _first(tool, name)
        if found is None:
            return None
        region = found.places.get("region")
        prefix = object_set_of(tool, region) if region else None
        return ToolColumn(found, _in_population(population, prefix, own), _named_channels(found), statistic)
    if tool == "cp_measure":
        name, *named = column.split("__")
        if own and name.startswith(f"{own}_"):
            name = name[len(own) + 1 :]
        found = _first(tool, name)
        return None if found is None else ToolColumn(found, own, tuple(named or _asked(found, channels)), None)
    found = _first(tool, " ".join(column.split()))
    if found is None:
        return None
    if tool == "incarta":
        return ToolColumn(found, object_set_of(tool, found.places["region"]), _named_channels(found), None)
    return ToolColumn(found, own, _asked(found, channels), None)


def split_harmony(column: str) -> tuple[str | None, str, str | None]:
    """Split a column of Harmony or Columbus: population or None, name, statistic or None where it is the mean.

    Units that an encoding has broken are mended: ``[um_]``, ``[Âµm²]`` and ``[?m?]`` are ``[µm²]``.
    """
    text = " ".join(column.replace("\u03bc", "µ").split())
    statistic = None
    what = _STATISTIC.search(text)
    if what and what.end() == len(text):
        text = text[: what.start()]
        word = what["what"].casefold()
        name = next((name for start, name in _STATISTICS.items() if word.startswith(start)), word.capitalize())
        per = what["per"] or "Well"
        statistic = None if name == "Mean" else name
        if per.casefold() not in ("well", "field"):
            statistic = f"{name}Per{camel(per)}"
    text = _UNIT.sub(lambda unit: f" [{_mended(unit[1])}]", text)
    text = re.sub(r"(\d)px\b", r"\1 px", text)
    population, dash, name = text.partition(" - ")
    return (population, name.strip(), statistic) if dash else (None, text.strip(), statistic)


def embedding(column: str) -> tuple[str | None, str, str] | None:
    """Split a column of an embedding, ``efficientnet_12``: object set or None, model, number; None where it is none."""
    match = _EMBEDDING.fullmatch(column)
    return None if match is None else (match["set"], match["model"], match["number"])


def our_name(read: ToolColumn, roles: tuple[str, ...]) -> str | None:
    """Put our name together; None where the objects or a channel are not known."""
    inner = read.found.ours(roles)
    if "{" in inner:
        return None
    parts = (read.prefix, inner.replace("_*", ""), read.found.synonym.suffix, read.statistic)
    return "_".join(part for part in parts if part) if read.prefix else None


def computed_name(read: ToolColumn, roles: tuple[str, ...]) -> str | None:
    """Return the column that the lake computes and that this one is a synonym of; ``*`` is what is not told."""
    inner = read.found.ours(roles)
    if read.found.synonym.equal == "own" or read.prefix is None or "{" in inner:
        return None
    return f"{read.prefix}_{inner}"


def unit(read: ToolColumn) -> str | None:
    """Return the unit (UCUM), None where it is not known."""
    synonym = read.found.synonym
    if synonym.unit:
        return UNITS[synonym.unit]
    if synonym.equal in ("same", "close"):
        return unit_of(*family_and_operator(read.found))
    return None


def family_and_operator(found: Found) -> tuple[str, str]:
    """Return what ``feature_dictionary`` says: ``AreaShape``, ``BoundingBoxMinimum_X``."""
    measure = _BEHIND.split(found.synonym.ours)[0]
    family, _, operator = Found(replace(found.synonym, ours=measure), found.places).ours(()).partition("_")
    return family, operator or family


def in_order(found: Found, roles: tuple[str, ...]) -> tuple[str, ...]:
    """Return the roles of ``{c}`` and ``{c2}`` in the order in which our name has them."""
    by_place = dict(zip(("c", "c2"), roles, strict=False))
    places = re.findall(r"\{(c2?)\}", found.synonym.ours)
    return tuple(by_place[place] for place in places if place in by_place)


def _first(tool: str, name: str) -> Found | None:
    for found in find(tool, name):
        any_word = "shape" in found.places or "word" in found.places
        if not any_word or unit_of(*family_and_operator(found)) is not None:
            return found
    return None


def _named_channels(found: Found) -> tuple[str, ...]:
    return tuple(found.places[place] for place in ("c", "c2") if place in found.places)


def _asked(found: Found, channels: Collection[str]) -> tuple[str, ...]:
    """Return the channels of a name that does not tell them, where as many are known as it needs."""
    needed = sum(f"{{{place}}}" in found.synonym.ours for place in ("c", "c2"))
    return tuple(channels) if needed == len(channels) else ()


def _in_population(population: str | None, prefix: str | None, own: str | None) -> str | None:
    """Return the objects of a column of Harmony: its region, unless another population than the table's is named."""
    if population is None:
        return prefix or own
    objects = object_set_of("harmony", population)
    if prefix is None:
        return objects
    if objects in ("Nuclei", "Cells", "Cytoplasm") or (own and objects.casefold() == own.casefold()):
        return prefix
    return objects if objects.casefold().startswith(prefix.casefold()) else objects + prefix


def _mended(text: str) -> str:
    """Mend a unit of length that lost its Greek letter or its exponent."""
    plain = text.strip().replace("Â", "").replace("¬", "").replace("\ufffd", "?")
    match = re.fullmatch(r"([µu?]m|px|pixels?)(\^?[2²_?]|\^?[3³])?", plain)
    if match is None:
        return plain
    power = (match[2] or "").lstrip("^")
    length = "µm" if match[1].endswith("m") and not match[1].startswith("p") else "px"
    return length + {"": "", "3": "³", "³": "³"}.get(power, "²")


def _capitalised(object_set: str | None) -> str | None:
    return object_set[:1].upper() + object_set[1:] if object_set else None
