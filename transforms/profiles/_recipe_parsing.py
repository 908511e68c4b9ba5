"""From TOML to a checked :class:`~.recipe.ProfileRecipe`: every key is known, or refused by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import CytolakeError, RecipeError
from ...schemas.ontology import enum_values
from ...wording import did_you_mean
from ..parameters import BadParameterError
from ..recipe_table import RecipeTable, read_toml
from . import dose_response
from .consensus import ConsensusSettings
from .controls import NEGATIVE
from .operators import make_operator
from .recipe import LEARNERS, SCOPES, Aggregate, Consensus, Controls, ProfileRecipe, Step, Threshold, Value

_TOP = ("name", "description", "aggregate", "controls", "steps", "consensus", "dose_response", "quality")
_STEP = ("operator", "fit", "on")
_MOST_WELLS = 1536


def parse_profile_recipe(text: str, *, source: str, folder: Path | None = None) -> ProfileRecipe:
    """Check the TOML of a recipe of profiles.

    Parameters
    ----------
    text
        The TOML.
    source
        What messages call it: a path or a name.
    folder
        Where relative paths in it begin; the working directory by default.

    Raises
    ------
    RecipeError
        With file, table, key, and what is allowed there.
    """
    top = read_toml(text, source)
    if "objects" in top.raw or "features" in top.raw:
        top.refuse(
            "objects" if "objects" in top.raw else "features",
            "this is a recipe that finds and measures objects; `cytolake transform` takes it",
            ", ".join(_TOP),
        )
    top.only(_TOP)
    name = top.recipe_name("profile set")
    controls = _controls(top)
    doses = top.table("dose_response")
    return ProfileRecipe(
        name=name,
        description=top.text("description", default=""),
        aggregate=_aggregate(top),
        controls=controls,
        steps=tuple(_step(table, folder, has_controls=controls is not None) for table in _steps(top)),
        consensus=_consensus(top),
        quality=_quality(top),
        text=text,
        source=source,
        dose_response=None if doses is None else dose_response.parse(doses),
    )


def recipe_of_definition(definition: Mapping[str, Any], *, source: str, name: str, text: str = "") -> ProfileRecipe:
    """Make a recipe anew from what a profile set is: what it was made by, whatever a recipe's text means today.

    Parameters
    ----------
    definition
        What :meth:`.recipe.ProfileRecipe.definition` returned, perhaps by way of JSON.
    source
        What messages call it.
    text
        The TOML that it was read from, of which the thresholds are taken: they are no part of the definition.
    """
    aggregate, controls, consensus = (definition[key] for key in ("aggregate", "controls", "consensus"))
    steps = []
    for one in definition["steps"]:
        settings = {key: value for key, value in one.items() if key not in _STEP}
        steps.append(Step(operator=make_operator(one["operator"], settings), fit=one["fit"], on=one["on"]))
    if controls is not None:
        where = {column: tuple(values) for column, values in controls["where"].items()}
        controls = Controls(**{**controls, "where": where})
    if consensus is not None:
        settings = {key: value for key, value in consensus.items() if key != "by"}
        consensus = Consensus(by=tuple(consensus["by"]), settings=_consensus_settings(settings))
    if aggregate["objects"] is not None:
        aggregate = {**aggregate, "objects": tuple(aggregate["objects"])}
    return ProfileRecipe(
        name=name,
        description="",
        aggregate=Aggregate(**aggregate),
        controls=controls,
        steps=tuple(steps),
        consensus=consensus,
        quality=_quality(read_toml(text, source)),
        text="",
        source=source,
        dose_response=dose_response.from_json(definition["dose_response"]) if "dose_response" in definition else None,
    )


def _aggregate(top: RecipeTable) -> Aggregate:
    table = top.table("aggregate")
    if table is None:
        return Aggregate()
    table.only(("method", "objects", "by", "counts", "min_objects"))
    objects = None
    if "objects" in table.raw:
        objects = table.words("objects")
        if not objects:
            table.refuse("objects", "names no object set", "names of object sets; or leave it out for all of them")
    return Aggregate(
        method=table.choice("method", ("median", "mean"), default="median"),
        objects=objects,
        by=table.choice("by", ("well",), default="well"),
        counts=table.flag("counts", default=True),
        min_objects=table.whole("min_objects", 1, low=1, high=1_000_000),
    )


def _controls(top: RecipeTable) -> Controls | None:
    table = top.table("controls")
    if table is None:
        return None
    table.only(("where", "min_wells", "none", "few"))
    where: Any = table.raw.get("where", {"control_type": list(NEGATIVE)})
    example = 'columns of wells and their values, for example { control_type = ["negative_vehicle"] }'
    if not isinstance(where, Mapping) or not where:
        table.refuse("where", f"{where!r} says no column", example)
    return Controls(
        where={column: _values(table, column, values) for column, values in where.items()},
        min_wells=table.whole("min_wells", 4, low=1, high=_MOST_WELLS),
        none=table.choice("none", ("error", "leave_out"), default="error"),
        few=table.choice("few", ("warn", "error", "leave_out"), default="warn"),
    )


def _values(table: RecipeTable, column: str, raw: Any) -> tuple[Value, ...]:
    """Read what a column of wells may hold: a value, or a list of some."""
    key = f"where.{column}"
    values = list(raw) if isinstance(raw, list) else [raw]
    if not values:
        table.refuse(key, "names no value", "a text, a number, true or false; or a list of these")
    for value in values:
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            table.refuse(key, f"{value!r} is no value", "a text, a number, true or false; or a list of these")
        if column == "control_type" and value not in enum_values("ControlType"):
            known = enum_values("ControlType")
            table.refuse(key, f"unknown control type {value!r}{did_you_mean(str(value), known)}", ", ".join(known))
    table.each_once(key, values)
    return tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in values)


def _steps(top: RecipeTable) -> list[RecipeTable]:
    raw: Any = top.raw.get("steps", [])
    if not isinstance(raw, list) or not all(isinstance(one, Mapping) for one in raw):
        top.refuse("steps", "is no list of tables", "tables [[steps]], one after another")
    named = [f"steps {number} {one.get('operator', '')}".rstrip() for number, one in enumerate(raw, 1)]
    return [RecipeTable(top.source, path, one) for path, one in zip(named, raw, strict=True)]


def _step(table: RecipeTable, folder: Path | None, *, has_controls: bool) -> Step:
    """Read one step; what is neither ``operator`` nor ``fit`` nor ``on`` is a setting of the operator."""
    name = table.text("operator")
    settings = {key: value for key, value in table.raw.items() if key not in _STEP}
    try:
        operator = make_operator(name, settings, folder=folder)
    except BadParameterError as error:
        table.refuse(error.key, error.problem, error.allowed)
    except CytolakeError as error:
        raise RecipeError(f"{table.source}: [{table.path}]: {error.message}", hint=error.hint) from error
    on = _needed(table, "on", LEARNERS)
    if on == "controls" and not has_controls:
        table.refuse("on", '"controls" needs to know which wells they are', 'a table [controls], or on = "all"')
    return Step(operator=operator, fit=table.choice("fit", SCOPES, default=operator.fitted_on), on=on)


def _consensus(top: RecipeTable) -> Consensus | None:
    table = top.table("consensus")
    if table is None:
        return None
    by = table.words("by", default=("perturbation", "concentration_um"))
    if not by:
        table.refuse("by", "names no column", 'columns of wells, for example ["perturbation", "concentration_um"]')
    settings = {key: value for key, value in table.raw.items() if key != "by"}
    try:
        return Consensus(by=by, settings=_consensus_settings(settings))
    except BadParameterError as error:
        table.refuse(error.key, error.problem, error.allowed)


def _consensus_settings(raw: Mapping[str, Any]) -> ConsensusSettings:
    known = ["by", *(one.name for one in dataclasses.fields(ConsensusSettings))]
    for key in raw:
        if key not in known:
            raise BadParameterError(key, f"unknown key{did_you_mean(key, known)}", ", ".join(known))
    return ConsensusSettings(**raw)


def _quality(top: RecipeTable) -> dict[str, Threshold]:
    table = top.table("quality")
    if table is None:
        return {}
    found: dict[str, Threshold] = {}
    for metric in table.raw:
        limits = table.table(metric)
        assert limits is not None
        limits.only(("warn", "refuse"))
        warn, refuse = (limits.number(key, None, low=-math.inf, high=math.inf) for key in ("warn", "refuse"))
        if warn is None and refuse is None:
            limits.refuse("", "says no threshold", "{ warn = NUMBER, refuse = NUMBER }, or one of them")
        found[metric] = Threshold(warn=warn, refuse=refuse)
    return found


def _needed(table: RecipeTable, key: str, choices: tuple[str, ...]) -> Any:
    """Read one of some values that a recipe must say."""
    if key not in table.raw:
        table.refuse(key, "missing", ", ".join(choices))
    return table.choice(key, choices, default=None)
