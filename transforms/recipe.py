"""A recipe says which objects to find and what to measure, in the words of stains, not of channel names.

``load_recipe`` reads the TOML and refuses what it does not know; ``Recipe.definition`` is what a feature set *is*
(and what is hashed); ``Recipe.bind`` meets a plate: it finds the channel of each object set, or says which stain
the plate lacks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import RecipeError
from .background import BackgroundSettings
from .illumination.settings import IlluminationSettings
from .parameters import Value
from .recipe_files import find_recipe, shipped_in
from .segmentation.methods import METHODS
from .segmentation.objects import BorderRule
from .tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from .features.families import Plan
    from .features.family import FamilyColumns, Use

_SHIPPED = f"{__package__}.recipes"

#: How a stack becomes what is measured: one plane of it, or, for ``volume``, the stack as it is.
Projection = Literal["max", "mean", "single", "volume"]
PROJECTIONS: tuple[Projection, ...] = ("max", "mean", "single", "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSet:
    """One kind of object and how it is made.

    ``channels`` are roles; the first one that the plate has is used, and so it is with ``second_channels``, which some
    models take beside it. ``parent`` is the set that it grows from or
    is cut out of, ``minus`` the set that is taken away. ``parameters`` are complete: defaults are filled in. Objects in
    planes have bounds of area, those in stacks of volume.
    """

    name: str
    method: str
    channels: tuple[str, ...] = ()
    second_channels: tuple[str, ...] = ()
    parent: str | None = None
    minus: str | None = None
    parameters: Mapping[str, Value]
    border: BorderRule = "keep"
    min_area_um2: float | None = None
    max_area_um2: float | None = None
    min_volume_um3: float | None = None
    max_volume_um3: float | None = None

    def definition(self) -> dict[str, Any]:
        """Return what decides the pixels of this set, with the version of its method."""
        method = METHODS[self.method]
        size = "volume_um3" if method.kind == "volume" else "area_um2"
        return {
            "method": self.method,
            "version": method.version,
            "channel": list(self.channels),
            **({"second_channel": list(self.second_channels)} if self.second_channels else {}),
            "from": self.parent,
            "minus": self.minus,
            "parameters": {name: value for name, value in self.parameters.items() if name not in method.places},
            "border": self.border,
            **{key: getattr(self, key) for key in (f"min_{size}", f"max_{size}")},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyUse:
    """One family of features: of which object sets, over which channels (None: all that have a role).

    ``pairs`` of channels are for families that compare them (None: every two of the channels). ``parameters`` are
    complete.
    """

    family: str
    version: int
    objects: tuple[str, ...]
    channels: tuple[str, ...] | None
    pairs: tuple[tuple[str, str], ...] | None = None
    parameters: Mapping[str, Value]

    def definition(self) -> dict[str, Any]:
        """Return what decides the family's values."""
        return {
            "version": self.version,
            "objects": sorted(self.objects),
            "channels": "all" if self.channels is None else sorted(self.channels),
            **({} if self.pairs is None else {"pairs": sorted(list(pair) for pair in self.pairs)}),
            "parameters": {
                name: list(value) if isinstance(value, tuple) else value for name, value in self.parameters.items()
            },
        }

    def roles(self) -> tuple[str, ...] | None:
        """Channels that the plate must have; None where it takes whatever is there."""
        if self.pairs is not None:
            return tuple(dict.fromkeys(role for pair in self.pairs for role in pair))
        return self.channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A checked recipe. ``objects`` are in an order in which each set comes after those it is made from.

    ``z_step_um`` is the distance of the planes of stacks where the plate does not say.
    """

    name: str
    description: str
    projection: Projection
    objects: tuple[ObjectSet, ...]
    features: tuple[FamilyUse, ...]
    tracking: TrackingSettings | None = None
    illumination: IlluminationSettings | None = None
    background: BackgroundSettings | None = None
    z_step_um: float | None = None
    text: str
    source: str

    def object_set(self, name: str) -> ObjectSet:
        """Return the object set of that name; KeyError when the recipe has none."""
        for one in self.objects:
            if one.name == name:
                return one
        raise KeyError(name)

    def families(self) -> Mapping[str, FamilyColumns]:
        """Families that can be measured of what the recipe finds, by name."""
        return families_for(self.projection)

    def related(self, name: str) -> tuple[tuple[str, Literal["parent", "child"]], ...]:
        """Give the sets that one is made from, near ones first, and those that are made from it."""
        ancestors = self._ancestors(name)
        children = [one.name for one in self.objects if name in self._ancestors(one.name)]
        return (*((one, "parent") for one in ancestors), *((one, "child") for one in children))

    def _ancestors(self, name: str) -> list[str]:
        found: list[str] = []
        parent = self.object_set(name).parent
        while parent is not None:
            found.append(parent)
            parent = self.object_set(parent).parent
        return found

    def definition(self) -> dict[str, Any]:
        """Everything that decides a feature value, and nothing else, as JSON types.

        Names, descriptions, comments and the plate's channels are not in it: the same definition under another
        name is the same feature set.
        """
        return {
            **self._reduction(),
            "objects": {one.name: one.definition() for one in self.objects},
            "features": {use.family: use.definition() for use in self.features},
            **self._corrections(),
            **({} if self.tracking is None else {"tracking": self.tracking.definition()}),
        }

    @property
    def corrects(self) -> bool:
        """Whether pixels are corrected for light or background before anything is found in them."""
        return bool(self._corrections())

    def _reduction(self) -> dict[str, Any]:
        """Return what decides the planes that are measured."""
        step = {} if self.z_step_um is None else {"z_step_um": self.z_step_um}
        return {"projection": self.projection, **step}

    def _corrections(self) -> dict[str, Any]:
        """Return what decides how pixels are corrected; nothing where they are taken as they are."""
        settings = {"illumination": self.illumination, "background": self.background}
        return {name: one.definition() for name, one in settings.items() if one is not None and not one.is_off}

    def canonical(self) -> str:
        """Return the definition as canonical JSON: sorted keys, no spaces."""
        return _canonical(self.definition())

    def segmentation_hash(self, object_set: str) -> str:
        """Eight hex digits of what decides the label image of one set: its own settings and its ancestors'."""
        needed: dict[str, Any] = {}
        waiting = [object_set]
        while waiting:
            one = self.object_set(waiting.pop())
            needed[one.name] = one.definition()
            waiting += [name for name in (one.parent, one.minus) if name is not None and name not in needed]
        text = _canonical({**self._reduction(), "objects": needed, **self._corrections()})
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def bind(self, roles: Sequence[str | None], channel_names: Sequence[str]) -> BoundRecipe:
        """Find the channels of a plate that this recipe needs.

        Parameters
        ----------
        roles
            Role of each channel of the plate, None where nobody has named one.
        channel_names
            The microscope's name of each channel, for messages.

        Raises
        ------
        LackingStainError
            A stain that the recipe needs is on no channel.
        RecipeError
            A stain is on two channels.
        """
        where: dict[str, int] = {}
        for index, role in enumerate(roles):
            if role is None:
                continue
            if role in where:
                raise RecipeError(
                    f"recipe {self.name!r}: channels {channel_names[where[role]]!r} and {channel_names[index]!r} "
                    f"both have the role {role}, so their columns would have the same names",
                    hint=f'give one of them another role: --role "{channel_names[index]}=ROLE"',
                )
            where[role] = index
        channel_of = {one.name: self._channel(one, one.channels, where, roles, channel_names) for one in self.objects}
        second_channel_of = {
            one.name: self._channel(one, one.second_channels, where, roles, channel_names) for one in self.objects
        }
        features: dict[str, tuple[int, ...]] = {}
        for use in self.features:
            asked = use.roles()
            wanted = tuple(where) if asked is None else asked
            for role in wanted:
                if role not in where:
                    what = f"{self.source}: [features.{use.family}] needs a channel with the role {role}"
                    raise _lacking(what, role, roles, channel_names)
            features[use.family] = tuple(sorted(where[role] for role in wanted))
        drift_role = None if self.tracking is None else self.tracking.drift_channel
        if drift_role is not None and drift_role not in where:
            what = f"{self.source}: [tracking] drift_channel needs a channel with the role {drift_role}"
            raise _lacking(what, drift_role, roles, channel_names)
        return BoundRecipe(
            recipe=self,
            roles=tuple(roles),
            channel_names=tuple(channel_names),
            channel_of=channel_of,
            second_channel_of=second_channel_of,
            feature_channels=features,
            drift_channel=None if drift_role is None else where[drift_role],
        )

    def _channel(
        self,
        one: ObjectSet,
        wanted: Sequence[str],
        where: Mapping[str, int],
        roles: Sequence[str | None],
        channel_names: Sequence[str],
    ) -> int | None:
        for role in wanted:
            if role in where:
                return where[role]
        if not wanted or one.parameters.get("without_channel") == "distance":
            return None
        named = " or ".join([", ".join(wanted[:-1]), wanted[-1]] if len(wanted) > 1 else wanted)
        what = f"{self.source}: [objects.{one.name}] needs a channel with the role {named}"
        raise _lacking(what, wanted[0], roles, channel_names)


class LackingStainError(RecipeError):
    """A stain that the recipe needs is on no channel; on another acquisition of the plate it may be."""


@dataclass(frozen=True, kw_only=True)
class BoundRecipe:
    """A recipe and one plate's channels.

    ``channel_of`` gives each object set its channel index (None: made without an image), ``second_channel_of`` the
    index of what a model takes beside it (None: nothing), ``feature_channels``
    each family the indices of the channels that it measures, in the plate's order.
    """

    recipe: Recipe
    roles: tuple[str | None, ...]
    channel_names: tuple[str, ...]
    channel_of: Mapping[str, int | None]
    second_channel_of: Mapping[str, int | None]
    feature_channels: Mapping[str, tuple[int, ...]]
    drift_channel: int | None = None

    @property
    def unnamed_channels(self) -> tuple[str, ...]:
        """Names of channels without a role: they are not measured, because no column could be named for them."""
        return tuple(name for name, role in zip(self.channel_names, self.roles, strict=True) if role is None)

    def segmented_on(self) -> dict[str, str | None]:
        """Role that each object set was segmented on, None where no image was used; for lineage."""
        return {name: None if index is None else self.roles[index] for name, index in self.channel_of.items()}

    @cached_property
    def plans(self) -> Mapping[str, Plan]:
        """What is measured of each object set."""
        from .features.families import plan

        families = self.recipe.families()
        return {one.name: plan(self._uses(one.name), families) for one in self.recipe.objects}

    def _uses(self, object_set: str) -> dict[str, Use]:
        """Give the families that are computed for an object set, with what is asked of each."""
        from .features.family import Use

        families = self.recipe.families()
        uses: dict[str, Use] = {}
        for use in self.recipe.features:
            if object_set not in use.objects:
                continue
            kind = families[use.family].channels
            roles = tuple(
                role for index in self.feature_channels[use.family] if (role := self.roles[index]) is not None
            )
            pairs = tuple(combinations(sorted(roles), 2)) if use.pairs is None else use.pairs
            uses[use.family] = Use(
                object_set=object_set,
                roles=roles if kind != "none" else (),
                pairs=pairs if kind == "pairs" else (),
                parameters=use.parameters,
                related=self.recipe.related(object_set),
            )
        return uses


def families_for(projection: Projection) -> Mapping[str, FamilyColumns]:
    """Give the families for planes, or those for stacks, by name."""
    if projection == "volume":
        from .features.volume_columns import VOLUME_FAMILIES

        return VOLUME_FAMILIES
    from .features.families import FAMILIES

    return FAMILIES


def load_recipe(recipe: str | Path) -> Recipe:
    """Load a shipped recipe by its name, or a recipe file by its path.

    Raises
    ------
    NotFoundError
        Neither a shipped recipe nor a file.
    RecipeError
        The file is no TOML, or says something that no recipe can say; the message names file, table and key.
    """
    from ._recipe_parsing import parse_recipe

    content, source, folder = find_recipe(recipe, _SHIPPED)
    return parse_recipe(content, source=source, folder=folder)


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with cytolake."""
    return shipped_in(_SHIPPED)


def _lacking(what: str, role: str, roles: Sequence[str | None], channel_names: Sequence[str]) -> LackingStainError:
    named = [f"{name!r} = {role}" for name, role in zip(channel_names, roles, strict=True) if role is not None]
    unnamed = [name for name, role in zip(channel_names, roles, strict=True) if role is None]
    has = f"the plate has {', '.join(named)}" if named else "no channel of the plate has a role"
    rest = f"; without a role: {', '.join(repr(name) for name in unnamed)}" if unnamed else ""
    example = unnamed[0] if unnamed else "CHANNEL"
    return LackingStainError(f"{what}, but {has}{rest}", hint=f'name it, for example --role "{example}={role}"')


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
