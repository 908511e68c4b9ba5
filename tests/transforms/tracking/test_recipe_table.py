"""The table ``[tracking]`` of a recipe: what is accepted, what is refused and how, what it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cytolake.errors import RecipeError
from cytolake.transforms.recipe import LackingStainError, Recipe, load_recipe
from cytolake.transforms.tracking.settings import TrackingSettings

NUCLEI = 'name = "mine"\n[objects.nuclei]\nmethod = "otsu"\nchannel = "DNA"\n'


@pytest.fixture
def parse(tmp_path: Path):
    def parse(table: str = "") -> Recipe:
        path = tmp_path / "mine.toml"
        path.write_text(NUCLEI + table, encoding="utf-8")
        return load_recipe(path)

    return parse


def test_a_recipe_without_the_table_follows_nothing_and_stays_the_feature_set_that_it_was(parse) -> None:
    recipe = parse()
    assert recipe.tracking is None
    assert "tracking" not in recipe.definition()
    assert recipe.bind(["DNA"], ["405"]).drift_channel is None


def test_what_is_said_counts_and_the_rest_are_defaults(parse) -> None:
    recipe = parse('[tracking]\nobjects = "nuclei"\ndrift_channel = "ER"\nmax_distance_um = 7\nmax_gap = 0\n')
    assert recipe.tracking == TrackingSettings(objects="nuclei", drift_channel="ER", max_distance_um=7.0, max_gap=0)
    assert recipe.bind(["DNA", "ER"], ["405", "488"]).drift_channel == 1
    assert recipe.definition()["tracking"]["max_distance_um"] == 7.0
    other = parse('[tracking]\nobjects = "nuclei"\ndrift_channel = "ER"\nmax_distance_um = 8\nmax_gap = 0\n')
    assert other.canonical() != recipe.canonical()
    assert other.segmentation_hash("nuclei") == recipe.segmentation_hash("nuclei")


def test_a_plate_without_the_channel_of_the_drift_is_told(parse) -> None:
    with pytest.raises(LackingStainError, match="drift_channel needs a channel with the role ER"):
        parse('[tracking]\nobjects = "nuclei"\ndrift_channel = "ER"\n').bind(["DNA"], ["405"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[tracking]\n", r"\[tracking\] objects: missing"),
        ('[tracking]\nobjects = "nucleus"\n', "unknown object set 'nucleus'.*nuclei"),
        ('[tracking]\nobjects = "nuclei"\nspeed = 3\n', r"\[tracking\] speed: unknown key"),
        ('[tracking]\nobjects = "nuclei"\nmax_distance_um = 0\n', "out of range"),
        ('[tracking]\nobjects = "nuclei"\nmax_gap = 1.5\n', "no whole number"),
        ('[tracking]\nobjects = "nuclei"\nmax_gap = -1\n', "out of range"),
        ('[tracking]\nobjects = "nuclei"\ndivisions = "yes"\n', "neither true nor false"),
        ('[tracking]\nobjects = "nuclei"\nleast_sister_ratio = 2\n', "out of range"),
        ('[tracking]\nobjects = "nuclei"\ndrift_channel = "DAN"\n', "unknown role 'DAN'"),
        ("[[tracking]]\n", "no table"),
    ],
)
def test_what_is_refused(parse, table: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(table)
