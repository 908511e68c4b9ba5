"""Recipes of profiles: what they may say, what is refused and how, what is hashed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import NotFoundError, RecipeError
from cytolake.store.registry import definition_hash
from cytolake.transforms.profiles._recipe_parsing import parse_profile_recipe, recipe_of_definition
from cytolake.transforms.profiles.controls import NEGATIVE
from cytolake.transforms.profiles.recipe import (
    ProfileRecipe,
    is_profile_recipe,
    load_profile_recipe,
    shipped_profile_recipes,
)
from cytolake.transforms.recipe import shipped_recipes

SOURCE = {"kind": "features", "hash": "0" * 64, "objects": ["nuclei", "cells"]}
STEP = '[[steps]]\noperator = "robust_z"\nfit = "plate"\non = "controls"\n'


def parse(body: str, name: str = "mine") -> ProfileRecipe:
    return parse_profile_recipe(f'name = "{name}"\n{body}', source="mine.toml")


def identity(recipe: ProfileRecipe) -> str:
    return definition_hash(recipe.definition(SOURCE))


@pytest.mark.parametrize("name", shipped_profile_recipes())
def test_shipped_recipes_are_described_and_come_back_from_their_definition(name: str) -> None:
    recipe = load_profile_recipe(name)
    assert recipe.name == name
    assert len(recipe.description.split()) > 5
    stored = json.loads(json.dumps(recipe.definition(SOURCE)))
    again = recipe_of_definition(stored, source="stored", name=name)
    assert again.definition(SOURCE) == stored
    assert again.steps == recipe.steps


def test_no_recipe_of_profiles_has_the_name_of_one_that_measures() -> None:
    assert not set(shipped_profile_recipes()) & set(shipped_recipes())


def test_defaults_are_written_out_in_the_definition() -> None:
    bare = parse(f"[controls]\n{STEP}[consensus]\n")
    whole = parse(
        '[aggregate]\nmethod = "median"\nby = "well"\ncounts = true\nmin_objects = 1\n'
        f"[controls]\nwhere = {{ control_type = {json.dumps(list(reversed(NEGATIVE)))} }}\nmin_wells = 4\n"
        'none = "error"\nfew = "warn"\n'
        f'{STEP}[consensus]\nby = ["perturbation", "concentration_um"]\nmethod = "median"\n',
        name="other",
    )
    assert identity(bare) == identity(whole), "name, order and what is left to defaults do not matter"
    definition = bare.definition(SOURCE)
    assert definition["aggregate"]["objects"] == ["nuclei", "cells"]
    assert definition["steps"][0] == {"operator": "robust_z", "fit": "plate", "on": "controls", "compat": ""}
    assert "label" not in definition["source"]


@pytest.mark.parametrize(
    "change",
    [
        '[aggregate]\nmethod = "mean"\n',
        "[aggregate]\ncounts = false\n",
        '[controls]\nwhere = { gene = "Cells" }\n',
        "[controls]\nmin_wells = 5\n",
        '[[steps]]\noperator = "robust_z"\non = "all"\n',
        '[consensus]\nmethod = "modz"\n',
        '[consensus]\nby = ["gene"]\n',
    ],
)
def test_whatever_decides_a_value_changes_the_definition(change: str) -> None:
    assert identity(parse(change)) != identity(parse("[controls]\n[consensus]\n"))


def test_thresholds_judge_and_decide_nothing() -> None:
    recipe = parse("[quality]\nNullFraction = { warn = 0.05, refuse = 0.2 }\nZPrime = { warn = 0 }\n")
    assert identity(recipe) == identity(parse(""))
    limits = {name: (one.warn, one.refuse) for name, one in recipe.quality.items()}
    assert limits == {"NullFraction": (0.05, 0.2), "ZPrime": (0.0, None)}


def test_controls_may_be_any_column_and_any_value() -> None:
    recipe = parse('[controls]\nwhere = { gene = "Cells", dose = [0, 1.0, "low"], "Well Type" = true }\n')
    assert recipe.controls is not None
    assert recipe.controls.where == {"gene": ("Cells",), "dose": (0, 1, "low"), "Well Type": (True,)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[agregate]\n", r"agregate: unknown key; did you mean 'aggregate'\?"),
        ('[aggregate]\nmethod = "medain"\n', r"\[aggregate\] method: 'medain' is unknown; did you mean 'median'"),
        ("[aggregate]\nmin_objects = 0.5\n", r"\[aggregate\] min_objects: 0.5 is out of range"),
        ('[aggregate]\ncounts = "yes"\n', r"\[aggregate\] counts: 'yes' is neither true nor false"),
        ("[aggregate]\nobjects = []\n", r"\[aggregate\] objects: names no object set"),
        ("[controls]\nwhere = {}\n", r"\[controls\] where: {} says no column"),
        ('[controls]\nwhere = { control_type = "vehicle" }\n', r"unknown control type 'vehicle'; did you mean"),
        ("[controls]\nwhere = { gene = [] }\n", r"where.gene: names no value"),
        ("[controls]\nwhere = { gene = [[1]] }\n", r"where.gene: \[1\] is no value"),
        ("[controls]\nfew = 3\n", r"\[controls\] few: 3 is unknown"),
        ("steps = 3\n", r"steps: is no list of tables"),
        ('[[steps]]\non = "all"\n', r"\[steps 1\] operator: missing"),
        ('[[steps]]\noperator = "robustz"\non = "all"\n', r"unknown operator 'robustz'; did you mean 'robust_z'"),
        ('[[steps]]\noperator = "robust_z"\n', r"\[steps 1 robust_z\] on: missing"),
        (STEP, r'on: "controls" needs to know which wells they are'),
        ('[[steps]]\noperator = "robust_z"\non = "all"\nfit = "well"\n', r"fit: 'well' is unknown"),
        ('[[steps]]\noperator = "robust_z"\non = "all"\nepsilon = 1\n', r"epsilon: unknown setting of robust_z"),
        ('[consensus]\nmethod = "mdz"\n', r"\[consensus\] method: 'mdz' is unknown; did you mean 'modz'"),
        ("[consensus]\nby = []\n", r"\[consensus\] by: names no column"),
        ("[consensus]\nbye = 1\n", r"\[consensus\] bye: unknown key; did you mean 'by'"),
        ("[quality]\nZPrime = 3\n", r"\[quality\] ZPrime: 3 is no table"),
        ("[quality]\nZPrime = {}\n", r"\[quality.ZPrime\]: says no threshold"),
        ("[quality]\nZPrime = { wran = 1 }\n", r"wran: unknown key; did you mean 'warn'"),
        ("[objects.nuclei]\n", r"objects: this is a recipe that finds and measures objects"),
        ("x = [", r"not valid TOML"),
    ],
)
def test_what_no_recipe_can_say_is_refused_where_it_stands(body: str, said: str) -> None:
    with pytest.raises(RecipeError, match=f"mine.toml: .*{said}") as caught:
        parse(body)
    assert "not valid TOML" in said or caught.value.hint is not None


def test_a_name_must_be_good_for_a_table() -> None:
    with pytest.raises(RecipeError, match="cannot name a profile set"):
        parse("", name="a b")


def test_recipes_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(load_profile_recipe("standard").text, encoding="utf-8")
    assert load_profile_recipe(path).definition(SOURCE) == load_profile_recipe("standard").definition(SOURCE)
    with pytest.raises(NotFoundError, match="did you mean 'standard'"):
        load_profile_recipe("standart")
    assert is_profile_recipe(path)
    assert is_profile_recipe("standart")
    assert not is_profile_recipe("nuclei")
    assert not is_profile_recipe("nuclie")


def test_a_list_in_a_file_becomes_part_of_the_definition(tmp_path: Path) -> None:
    (tmp_path / "blocked.txt").write_text("Nuclei_Location_Center_X\n", encoding="utf-8")
    text = '[[steps]]\noperator = "select"\non = "all"\noperations = ["blocklist"]\nblocklist = "blocked.txt"\n'
    path = tmp_path / "own.toml"
    path.write_text(f'name = "own"\n{text}', encoding="utf-8")
    definition: dict[str, Any] = load_profile_recipe(path).definition(SOURCE)
    assert definition["steps"][0]["blocklist"] == ["Nuclei_Location_Center_X"]
