"""A recipe of profiles: how objects become wells, what these are compared with, which steps follow, what comes out.

``load_profile_recipe`` reads the TOML and refuses what it does not know; :meth:`ProfileRecipe.definition` is what a
profile set *is* (and what is hashed), with all defaults filled in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...errors import NotFoundError, RecipeError
from ...wording import nearest
from ..recipe import shipped_recipes
from ..recipe_files import find_recipe, shipped_in
from .consensus import ConsensusSettings
from .operator import Operator

if TYPE_CHECKING:
    from .dose_response import DoseResponseSettings

#: What a step is fitted on: each plate by itself, all plates of a study together, or all plates of the run.
Scope = Literal["plate", "study", "all"]
SCOPES: tuple[Scope, ...] = ("plate", "study", "all")
#: Which wells a step learns from.
Learners = Literal["controls", "all"]
LEARNERS: tuple[Learners, ...] = ("controls", "all")
#: What a value of a column of wells may be.
Value = str | float | bool

_SHIPPED = f"{__package__}.recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """From objects, or fields, to wells: one row per acquisition, well and time point.

    Attributes
    ----------
    method
        ``mean`` or ``median``.
    objects
        Object sets whose features are taken; None for all of the source.
    counts
        Whether the number of objects of each set becomes a feature ``<ObjectSet>_Count``.
    min_objects
        Wells with fewer objects of a set have no value of its features; their count stays.
    """

    method: Literal["mean", "median"] = "median"
    objects: tuple[str, ...] | None = None
    by: Literal["well"] = "well"
    counts: bool = True
    min_objects: int = 1

    def definition(self) -> dict[str, Any]:
        """Return what decides the rows of wells."""
        return {
            "method": self.method,
            "objects": None if self.objects is None else list(self.objects),
            "by": self.by,
            "counts": self.counts,
            "min_objects": self.min_objects,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Which wells others are compared with.

    Attributes
    ----------
    where
        Column of ``wells``, or one of its attributes → values; a well is a control where each column has one of them.
    min_wells
        A plate with fewer controls has few.
    none, few
        What happens to a plate without any control, or with few: an error, it is left out, or users are warned.
    """

    where: Mapping[str, tuple[Value, ...]]
    min_wells: int = 4
    none: Literal["error", "leave_out"] = "error"
    few: Literal["warn", "error", "leave_out"] = "warn"

    def definition(self) -> dict[str, Any]:
        """Return what decides which wells are controls, and which plates are left out."""
        return {
            "where": {column: sorted(values, key=repr) for column, values in self.where.items()},
            "min_wells": self.min_wells,
            "none": self.none,
            "few": self.few,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operator, what it is fitted on, and which wells it learns from."""

    operator: Operator
    fit: Scope
    on: Learners

    @property
    def name(self) -> str:
        """Name of the operator."""
        return self.operator.name

    def definition(self) -> dict[str, Any]:
        """Return what decides what the step does."""
        return {"operator": self.name, "fit": self.fit, "on": self.on, **self.operator.settings()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """From wells to treatments.

    Attributes
    ----------
    by
        Columns of ``wells``, or attributes, whose values together are a treatment.
    settings
        The method and its settings.
    """

    by: tuple[str, ...]
    settings: ConsensusSettings

    def definition(self) -> dict[str, Any]:
        """Return what decides the rows of treatments."""
        return {"by": list(self.by), **self.settings.definition()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What a measure of quality is held against: beyond ``warn`` one is told, beyond ``refuse`` no release is made."""

    warn: float | None = None
    refuse: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRecipe:
    """A checked recipe.

    Attributes
    ----------
    controls
        None where no step learns from controls.
    consensus
        None where profiles end at wells.
    quality
        Measure → thresholds; they judge values and decide none, so they are no part of the definition.
    dose_response
        Which curves are fitted to the wells; None for none.
    text
        The TOML as it was written.
    source
        What messages call it.
    """

    name: str
    description: str
    aggregate: Aggregate
    controls: Controls | None
    steps: tuple[Step, ...]
    consensus: Consensus | None
    quality: Mapping[str, Threshold]
    text: str
    source: str
    dose_response: DoseResponseSettings | None = None

    @property
    def levels(self) -> tuple[str, ...]:
        """What a row of its tables is."""
        return ("well",) if self.consensus is None else ("well", "treatment")

    @property
    def needs_controls(self) -> bool:
        """Whether a step learns from controls."""
        return any(step.on == "controls" for step in self.steps)

    def definition(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that decides a value, and nothing else, as JSON types.

        Parameters
        ----------
        source
            The feature set or profile set that it starts from: ``kind``, ``hash``, and ``objects`` or ``level``.
        """
        aggregate = self.aggregate.definition()
        if "objects" in source:
            aggregate["objects"] = list(source["objects"])
        return {
            "source": {key: value for key, value in source.items() if key != "objects"},
            "aggregate": aggregate,
            "controls": None if self.controls is None else self.controls.definition(),
            "steps": [step.definition() for step in self.steps],
            "consensus": None if self.consensus is None else self.consensus.definition(),
            **({} if self.dose_response is None else {"dose_response": self.dose_response.to_json()}),
        }


def load_profile_recipe(recipe: str | Path) -> ProfileRecipe:
    """Load a shipped recipe by its name, or a recipe file by its path.

    Raises
    ------
    NotFoundError
        Neither a shipped recipe nor a file.
    RecipeError
        The file is no TOML, or says something that no recipe of profiles can say; the message names file, table, key.
    """
    from ._recipe_parsing import parse_profile_recipe

    content, source, folder = find_recipe(recipe, _SHIPPED)
    return parse_profile_recipe(content, source=source, folder=folder)


def is_profile_recipe(recipe: str | Path) -> bool:
    """Whether a name or a file is meant as a recipe of profiles, not as one that measures.

    A file is by its keys, a name that does not exist by what it is most likely a slip of.
    """
    own = shipped_profile_recipes()
    try:
        top = tomllib.loads(find_recipe(recipe, _SHIPPED).content)
    except NotFoundError:
        return nearest(str(recipe), [*shipped_recipes(), *own]) in own
    except (RecipeError, ValueError, RecursionError):
        return False
    return bool({"aggregate", "steps", "consensus", "controls"} & top.keys())


def shipped_profile_recipes() -> tuple[str, ...]:
    """Names of the recipes of profiles that come with cytolake."""
    return shipped_in(_SHIPPED)
