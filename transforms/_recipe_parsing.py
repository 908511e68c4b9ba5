"""From TOML to a checked :class:`~cytolake.transforms.recipe.Recipe`: every key is known, or refused by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import RecipeError
from ..schemas.ontology import enum_values
from ..wording import did_you_mean
from .background import PARAMETERS as BACKGROUND_PARAMETERS
from .background import BackgroundSettings
from .features.family import Use
from .illumination.settings import PARAMETERS as ILLUMINATION_PARAMETERS
from .illumination.settings import IlluminationSettings
from .parameters import BadParameterError, Parameter, Value
from .recipe import PROJECTIONS, FamilyUse, ObjectSet, Projection, Recipe, families_for
from .recipe_table import LARGEST, RecipeTable, read_toml
from .segmentation.methods import METHODS, Method
from .tracking.settings import PARAMETERS as TRACKING_PARAMETERS
from .tracking.settings import TrackingSettings

_Settings = TypeVar("_Settings")

_CORRECTIONS = ("illumination", "background")
_TOP = ("name", "description", "projection", "z_step_um", "roles", "objects", "features", *_CORRECTIONS, "tracking")
_OBJECT = ("method", "channel", "second_channel", "from", "minus", "border")
_BORDER = ("keep", "discard")
# Object sets name tables, label images and columns.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def parse_recipe(text: str, *, source: str, folder: Path | None = None) -> Recipe:
    """Check a recipe's TOML.

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
    top.only(_TOP)
    name = top.recipe_name("feature set")
    roles = enum_values("ChannelRole") + _own_roles(top)
    folder = Path.cwd() if folder is None else folder
    projection = top.choice("projection", PROJECTIONS, default="max")
    sets = [_object_set(table, roles, folder, projection) for table in top.tables("objects")]
    if not sets:
        top.refuse("objects", "a recipe needs at least one object set", "a table [objects.NAME]")
    return Recipe(
        name=name,
        description=top.text("description", default=""),
        projection=projection,
        z_step_um=_z_step(top, projection),
        objects=_in_order(source, sets),
        features=tuple(
            _family_use(table, [one.name for one in sets], roles, projection) for table in top.tables("features")
        ),
        illumination=_corrections(top, "illumination", ILLUMINATION_PARAMETERS, IlluminationSettings),
        background=_corrections(top, "background", BACKGROUND_PARAMETERS, BackgroundSettings),
        tracking=_tracking(top, [one.name for one in sets], roles, projection),
        text=text,
        source=source,
    )


_ROLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_AS_STACKS = 'projection = "volume" at the top of the recipe'
_FREE_ROLES = '; a role of your own is declared at the top of the recipe: roles = ["NAME"]'


def _own_roles(top: RecipeTable) -> tuple[str, ...]:
    """Roles that the schema does not know and the recipe says it means: no slip of the pen passes for one."""
    own = top.words("roles", default=())
    for role in own:
        if not _ROLE_NAME.fullmatch(role):
            top.refuse("roles", f"{role!r} cannot be part of a column name", "letters and digits, a letter first")
    return own


def _z_step(top: RecipeTable, projection: Projection) -> float | None:
    """Read the distance of planes, which only stacks have."""
    step = top.number("z_step_um", None, low=1e-3, high=1e3)
    if step is not None and projection != "volume":
        top.refuse("z_step_um", f'projection = "{projection}" makes one plane of a stack', _AS_STACKS)
    return step


def _object_set(table: RecipeTable, roles: tuple[str, ...], folder: Path, projection: Projection) -> ObjectSet:
    if not _NAME.fullmatch(table.name):
        table.refuse("", f"{table.name!r} cannot name an object set", "small letters, digits and '_', from a letter")
    method_name = table.choice("method", tuple(METHODS), default="subtract" if "minus" in table.raw else None)
    method = METHODS[method_name]
    in_stack = projection == "volume"
    fitting = ", ".join(name for name, one in METHODS.items() if (one.kind == "volume") == in_stack)
    if in_stack and method.kind != "volume":
        table.refuse("method", f'"{method_name}" works in planes, and projection = "volume" keeps the stack', fitting)
    if not in_stack and method.kind == "volume":
        problem = f'"{method_name}" works in stacks, and projection = "{projection}" makes one plane of a stack'
        table.refuse("method", problem, f"{_AS_STACKS}; or {fitting}")
    size = "volume_um3" if in_stack else "area_um2"
    known = [*_OBJECT, f"min_{size}", f"max_{size}", *method.parameters]
    if not method.takes_channel:
        known.remove("channel")
    if method.kind != "model":
        known.remove("second_channel")
    if method.parent == "none":
        known.remove("from")
    if method.kind != "difference":
        known.remove("minus")
    table.only(known)
    low, high = (table.number(f"{end}_{size}", None, low=0.0, high=math.inf) for end in ("min", "max"))
    if low is not None and high is not None and low > high:
        table.refuse(f"min_{size}", f"{low:g} is above max_{size} = {high:g}", "min ≤ max")
    return ObjectSet(
        name=table.name,
        method=method_name,
        channels=table.known_words("channel", roles, "role", more=_FREE_ROLES) if method.takes_channel else (),
        second_channels=(
            table.known_words("second_channel", roles, "role", more=_FREE_ROLES)
            if "second_channel" in table.raw
            else ()
        ),
        parent=table.text("from") if method.parent == "needed" or "from" in table.raw else None,
        minus=table.text("minus") if method.kind == "difference" else None,
        parameters=_complete(table, method, folder),
        border=table.choice("border", _BORDER, default="keep"),
        min_area_um2=None if in_stack else low,
        max_area_um2=None if in_stack else high,
        min_volume_um3=low if in_stack else None,
        max_volume_um3=high if in_stack else None,
    )


def _complete(table: RecipeTable, method: Method, folder: Path) -> dict[str, Value]:
    """Read all settings of a method, and find what they name."""
    values = {name: _parameter(table, name, it) for name, it in method.parameters.items()}
    if method.complete is None:
        return values
    try:
        return method.complete(values, folder)
    except BadParameterError as error:
        table.refuse(error.key, error.problem, error.allowed)


def _parameter(table: RecipeTable, name: str, parameter: Parameter) -> Value:
    """Read one setting as its default says that it is written."""
    default = parameter.default
    if isinstance(default, tuple):
        return _many(table, name, parameter, default)
    if parameter.choices:
        word: str = table.choice(name, parameter.choices, default=default)
        return word
    if isinstance(default, bool):
        return table.flag(name, default=default)
    if isinstance(default, str):
        return table.text(name, default=default)
    if isinstance(default, int):
        return table.whole(name, default, low=parameter.low, high=parameter.high)
    number = table.number(name, default, low=parameter.low, high=parameter.high)
    assert number is not None
    return number


def _many(table: RecipeTable, name: str, parameter: Parameter, default: tuple[Any, ...]) -> Value:
    """Read a list; a single value stands for a list of one."""
    values = table.raw.get(name, default)
    values = list(values) if isinstance(values, list | tuple) else [values]
    whole = bool(default) and all(isinstance(one, int) for one in default)
    if parameter.choices:
        for value in values:
            if value not in parameter.choices:
                table.refuse(
                    name,
                    f"{value!r} is unknown{did_you_mean(str(value), parameter.choices)}",
                    ", ".join(parameter.choices),
                )
    else:
        span = f"{'whole numbers' if whole else 'numbers'} from {parameter.low:g} to {parameter.high:g}"
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                table.refuse(name, f"{value!r} is none of the {span}", f"a list of {span}")
            if not parameter.low <= value <= parameter.high or not abs(value) <= LARGEST:
                table.refuse(name, f"{value!r} is out of range", f"a list of {span}")
        if not whole:
            values = [float(value) for value in values]
    table.each_once(name, values)
    return tuple(values)


def _in_order(source: str, sets: list[ObjectSet]) -> tuple[ObjectSet, ...]:
    """Sort object sets so that each comes after those it is made from."""
    names = {one.name for one in sets}
    for one in sets:
        for key, name in (("from", one.parent), ("minus", one.minus)):
            if name is not None and name not in names:
                table = RecipeTable(source, f"objects.{one.name}", {})
                table.refuse(key, f"unknown object set {name!r}{did_you_mean(name, names)}", ", ".join(sorted(names)))
    done: dict[str, ObjectSet] = {}
    while len(done) < len(sets):
        ready = [
            one
            for one in sets
            if one.name not in done and all(name in done for name in (one.parent, one.minus) if name is not None)
        ]
        if not ready:
            circle = [one.name for one in sets if one.name not in done]
            raise RecipeError(
                f"{source}: [objects.{circle[0]}] from: the object sets {', '.join(circle)} are made from one another",
                hint="let one of them be found in an image: give it a method that takes no 'from'",
            )
        done |= {one.name: one for one in ready}
    return tuple(done.values())


def _family_use(table: RecipeTable, sets: list[str], roles: tuple[str, ...], projection: Projection) -> FamilyUse:
    families = families_for(projection)
    if table.name not in families:
        problem = f"unknown feature family{did_you_mean(table.name, families)}"
        if table.name in families_for("single"):
            problem = 'measured in planes alone, and projection = "volume" keeps the stack'
        table.refuse("", problem, ", ".join(sorted(families)))
    family = families[table.name]
    of_channels = {"none": (), "each": ("channels",), "pairs": ("channels", "pairs")}[family.channels]
    table.only(("objects", *of_channels, *family.parameters))
    channels: tuple[str, ...] | None = None
    if of_channels and table.raw.get("channels", "all") != "all":
        channels = table.known_words("channels", roles, "role", more=', or "all"' + _FREE_ROLES)
    parameters = {name: _parameter(table, name, it) for name, it in family.parameters.items()}
    if parameters and not family.columns(_any_use(parameters)):
        table.refuse("", f"asks for nothing, by {', '.join(parameters)}", "settings that leave something to measure")
    return FamilyUse(
        family=family.name,
        version=family.version,
        objects=table.known_words("objects", tuple(sets), "object set"),
        channels=channels,
        pairs=_pairs(table, roles) if "pairs" in of_channels else None,
        parameters=parameters,
    )


def _any_use(parameters: Mapping[str, Value]) -> Use:
    """Give a use of a family on two channels, to see whether the parameters leave anything to measure."""
    return Use(object_set="x", roles=("A", "B"), pairs=(("A", "B"),), parameters=parameters)


def _pairs(table: RecipeTable, roles: tuple[str, ...]) -> tuple[tuple[str, str], ...] | None:
    """Read ``pairs = [["DNA", "ER"], ...]``; None for all pairs of the channels."""
    raw = table.raw.get("pairs", "all")
    if raw == "all":
        return None
    allowed = 'pairs of roles, for example [["DNA", "ER"]], or "all"'
    if not isinstance(raw, list) or not raw:
        table.refuse("pairs", f"{raw!r} is no list of pairs", allowed)
    if "channels" in table.raw:
        table.refuse("pairs", "says which channels are compared, and so does channels", "one of the two")
    pairs: list[tuple[str, str]] = []
    for pair in raw:
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
            table.refuse("pairs", f"{pair!r} is no pair of two roles", allowed)
        for role in pair:
            if role not in roles:
                table.refuse("pairs", f"unknown role {role!r}{did_you_mean(str(role), roles)}", ", ".join(roles))
        one, other = sorted(pair)
        if (one, other) in pairs:
            table.refuse("pairs", f"{pair!r} is there twice", "each once, in any order")
        pairs.append((one, other))
    return tuple(pairs)


def _corrections(
    top: RecipeTable, name: str, parameters: Mapping[str, Parameter], settings: Callable[..., _Settings]
) -> _Settings | None:
    """Read ``[illumination]`` or ``[background]``; None where the recipe takes pixels as they are."""
    table = top.table(name)
    if table is None:
        return None
    table.only(parameters)
    return settings(**{key: _parameter(table, key, one) for key, one in parameters.items()})


def _tracking(
    top: RecipeTable, sets: list[str], roles: tuple[str, ...], projection: Projection
) -> TrackingSettings | None:
    """Read ``[tracking]``; None where the recipe follows nothing over time."""
    table = top.table("tracking")
    if table is None:
        return None
    if projection == "volume":
        top.refuse("tracking", "objects are followed in planes, not in stacks", "another projection, or no [tracking]")
    table.only(("objects", "drift_channel", *TRACKING_PARAMETERS))
    objects = table.text("objects")
    if objects not in sets:
        table.refuse("objects", f"unknown object set {objects!r}{did_you_mean(objects, sets)}", ", ".join(sets))
    drift_channel = None
    if "drift_channel" in table.raw:
        drift_channel = table.text("drift_channel")
        if drift_channel not in roles:
            problem = f"unknown role {drift_channel!r}{did_you_mean(drift_channel, roles)}"
            table.refuse("drift_channel", problem, ", ".join(roles) + _FREE_ROLES)
    settings: dict[str, Any] = {name: _parameter(table, name, it) for name, it in TRACKING_PARAMETERS.items()}
    return TrackingSettings(objects=objects, drift_channel=drift_channel, **settings)
