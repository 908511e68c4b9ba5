"""Recipes: what is accepted, what is refused and how, what the hash covers, and how a recipe meets a plate."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from cytolake.errors import NotFoundError, RecipeError
from cytolake.transforms.features.families import FAMILIES
from cytolake.transforms.recipe import Recipe, load_recipe, shipped_recipes
from cytolake.transforms.segmentation import methods
from hypothesis import given
from hypothesis import strategies as st

NUCLEI = """
[objects.nuclei]
method = "local-threshold"
channel = "DNA"
"""
CELLS = """
[objects.cells]
method = "watershed"
from = "nuclei"
channel = ["AGP", "RNA"]
"""
ROLES = ("DNA", "ER", "RNA", "AGP", "Mito")
NAMES = ("Hoechst", "488", "561", "568", "640")


@pytest.fixture
def parse(tmp_path: Path):
    def parse(text: str, *, name: str = "mine") -> Recipe:
        path = tmp_path / "mine.toml"
        path.write_text(f'name = "{name}"\n{text}', encoding="utf-8")
        return load_recipe(path)

    return parse


@pytest.mark.parametrize("name", ["nuclei", "nuclei-and-cells", "cell-painting"])
def test_shipped_recipes_are_valid_and_bear_their_file_name(name: str) -> None:
    assert name in shipped_recipes()
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert recipe.bind(ROLES, NAMES).channel_of["nuclei"] == 0


def test_cell_painting_makes_three_sets_in_order_and_measures_all_of_them() -> None:
    recipe = load_recipe("cell-painting")
    assert [one.name for one in recipe.objects] == ["nuclei", "cells", "cytoplasm"]
    of_two = {"Neighbors"}  # a cytoplasm has the neighbours of its cell
    assert {use.family: set(use.objects) for use in recipe.features} == {
        family: {"nuclei", "cells"} if family in of_two else {"nuclei", "cells", "cytoplasm"} for family in FAMILIES
    }
    assert recipe.bind(ROLES, NAMES).segmented_on() == {"nuclei": "DNA", "cells": "RNA", "cytoplasm": None}


def test_sets_are_sorted_by_what_they_are_made_from_not_by_their_place_in_the_file(parse) -> None:
    recipe = parse('[objects.cytoplasm]\nfrom = "cells"\nminus = "nuclei"\n' + CELLS + NUCLEI)
    assert [one.name for one in recipe.objects] == ["nuclei", "cells", "cytoplasm"]


def test_defaults_are_part_of_the_definition(parse) -> None:
    bare = parse(NUCLEI)
    spelt = parse(NUCLEI + 'diameter_um = 12\nedge_level = 0.5\nborder = "keep"\n')
    assert bare.definition() == spelt.definition()
    assert bare.canonical() == spelt.canonical()


def test_what_a_recipe_is_called_and_how_it_is_laid_out_does_not_change_it(parse) -> None:
    plain = parse(CELLS + NUCLEI)
    other = parse('description = "another"\n# a comment\n' + NUCLEI + CELLS, name="another")
    assert plain.canonical() == other.canonical()


@pytest.mark.parametrize(
    "change",
    [
        'projection = "single"\n' + NUCLEI,
        NUCLEI + "diameter_um = 15\n",
        NUCLEI + 'border = "discard"\n',
        NUCLEI + "min_area_um2 = 30\n",
        NUCLEI.replace("local-threshold", "otsu"),
        NUCLEI.replace('"DNA"', '["DNA", "Brightfield"]'),
        NUCLEI + '[features.AreaShape]\nobjects = ["nuclei"]\n',
    ],
)
def test_every_setting_that_changes_a_value_changes_the_definition(parse, change: str) -> None:
    assert parse(NUCLEI).canonical() != parse(change).canonical()


def test_a_new_version_of_a_method_changes_the_definition(parse, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = parse(NUCLEI)
    before = recipe.canonical(), recipe.segmentation_hash("nuclei")
    newer = dict(methods.METHODS)
    newer["local-threshold"] = replace(newer["local-threshold"], version=99)
    monkeypatch.setattr("cytolake.transforms.recipe.METHODS", MappingProxyType(newer))
    assert recipe.canonical() != before[0]
    assert recipe.segmentation_hash("nuclei") != before[1]


def test_a_segmentation_hash_covers_a_set_and_its_ancestors_and_nothing_else(parse) -> None:
    plain = parse(NUCLEI + CELLS)
    more = parse(NUCLEI + CELLS + '[features.AreaShape]\nobjects = ["cells"]\n')
    assert more.segmentation_hash("cells") == plain.segmentation_hash("cells")
    other_cells = parse(NUCLEI + CELLS + "max_distance_um = 5\n")
    assert other_cells.segmentation_hash("nuclei") == plain.segmentation_hash("nuclei")
    assert other_cells.segmentation_hash("cells") != plain.segmentation_hash("cells")
    other_nuclei = parse(NUCLEI + "diameter_um = 8\n" + CELLS)
    assert other_nuclei.segmentation_hash("cells") != plain.segmentation_hash("cells")
    assert len(plain.segmentation_hash("cells")) == 8
    assert int(plain.segmentation_hash("cells"), 16) >= 0


def test_recipes_travel_to_workers() -> None:
    bound = load_recipe("cell-painting").bind(ROLES, NAMES)
    assert pickle.loads(pickle.dumps(bound)) == bound


# Refusals. Each names file, table and key, and what is allowed there.

REFUSED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "no object set": ("", ("objects", "at least one object set")),
    "unknown top key": ("projektion = 'max'\n" + NUCLEI, ("projektion", "did you mean 'projection'?")),
    "unknown projection": ("projection = 'median'\n" + NUCLEI, ("projection", "'median'", "max, mean, single")),
    "unknown object key": (NUCLEI + "diamter_um = 3\n", ("[objects.nuclei] diamter_um", "'diameter_um'")),
    "unknown method": (
        NUCLEI.replace("local-threshold", "local-treshold"),
        ("[objects.nuclei] method", "did you mean 'local-threshold'?", "otsu"),
    ),
    "no method": ('[objects.nuclei]\nchannel = "DNA"\n', ("[objects.nuclei] method", "local-threshold")),
    "misspelt role": (NUCLEI.replace('"DNA"', '"Dna"'), ("[objects.nuclei] channel", "'Dna'", "mean 'DNA'?")),
    "free role": (NUCLEI.replace('"DNA"', '"Lipofuscin"'), ("'Lipofuscin'", 'roles = ["NAME"]')),
    "impossible role": ('roles = ["my dye"]\n' + NUCLEI, ("roles", "'my dye'", "letters and digits")),
    "no channel": ('[objects.nuclei]\nmethod = "otsu"\n', ("[objects.nuclei] channel", "missing")),
    "empty channel": (NUCLEI.replace('"DNA"', "[]"), ("[objects.nuclei] channel", "names no role")),
    "channel twice": (NUCLEI.replace('"DNA"', '["DNA", "DNA"]'), ("channel", "twice")),
    "channel is a number": (NUCLEI.replace('"DNA"', "1"), ("channel", "1 is no list of texts")),
    "text for a number": (NUCLEI + 'diameter_um = "12"\n', ("diameter_um", "'12' is no number")),
    "true for a number": (NUCLEI + "diameter_um = true\n", ("diameter_um", "True is no number")),
    "out of range": (NUCLEI + "diameter_um = 0\n", ("diameter_um", "from 1 to 200")),
    "not a number": (NUCLEI + "min_area_um2 = nan\n", ("min_area_um2", "out of range")),
    "infinite": (NUCLEI + "max_area_um2 = inf\n", ("max_area_um2", "out of range")),
    "areas reversed": (NUCLEI + "min_area_um2 = 9\nmax_area_um2 = 8\n", ("min_area_um2", "above max_area_um2")),
    "unknown border": (NUCLEI + 'border = "drop"\n', ("border", "'drop'", "keep, discard")),
    "from of a primary": (NUCLEI + 'from = "cells"\n', ("[objects.nuclei] from", "unknown key")),
    "cells from nothing": ('[objects.cells]\nmethod = "distance"\n', ("[objects.cells] from", "missing")),
    "channel of distance": (
        NUCLEI + '[objects.cells]\nmethod = "distance"\nfrom = "nuclei"\nchannel = "ER"\n',
        ("[objects.cells] channel", "unknown key"),
    ),
    "unknown parent": (NUCLEI + CELLS.replace('"nuclei"', '"nucleus"'), ("[objects.cells] from", "mean 'nuclei'?")),
    "own parent": (CELLS.replace('"nuclei"', '"cells"'), ("made from one another", "cells")),
    "circle": (
        CELLS.replace('"nuclei"', '"b"') + '[objects.b]\nfrom = "cells"\nminus = "cells"\n',
        ("cells, b", "made from one another"),
    ),
    "set name": (NUCLEI.replace("nuclei", "Nuclei"), ("Nuclei", "small letters")),
    "sets are no tables": ("objects = 3\n", ("objects", "[objects.NAME]")),
    "unknown family": (
        NUCLEI + '[features.Areashape]\nobjects = ["nuclei"]\n',
        ("[features.Areashape]", "'AreaShape'?"),
    ),
    "family of nothing": (NUCLEI + "[features.AreaShape]\n", ("[features.AreaShape] objects", "missing")),
    "family of unknown set": (
        NUCLEI + '[features.AreaShape]\nobjects = ["cells"]\n',
        ("[features.AreaShape] objects", "'cells'", "nuclei"),
    ),
    "channels of a shape": (
        NUCLEI + '[features.AreaShape]\nobjects = ["nuclei"]\nchannels = "all"\n',
        ("[features.AreaShape] channels", "unknown key"),
    ),
    "unknown role of a family": (
        NUCLEI + '[features.Intensity]\nobjects = ["nuclei"]\nchannels = ["RMA"]\n',
        ("[features.Intensity] channels", "'RMA'", "mean 'RNA'?"),
    ),
    "not TOML": ("[objects", ("not valid TOML",)),
    "brackets without end": ("x = " + "[" * 5000 + "]" * 5000, ("not valid TOML",)),
    "a number of 5000 digits": ("x = " + "1" * 5000, ("not valid TOML",)),
    "a number that no float holds": (NUCLEI + "min_area_um2 = 1" + "0" * 400, ("min_area_um2", "out of range")),
    "set named with a dot": (NUCLEI.replace("nuclei", '"my.nuclei"'), ("my.nuclei", "cannot name an object set")),
    "family named with a dot": (
        NUCLEI + '[features."my.Texture"]\nobjects = "nuclei"\n',
        ("my.Texture", "unknown feature family"),
    ),
    "scale twice": (
        NUCLEI + '[features.Texture]\nobjects = "nuclei"\nscales = [3, 5, 3]\n',
        ("scales: 3 is there twice",),
    ),
    "family that measures nothing": (
        NUCLEI + '[features.Texture]\nobjects = "nuclei"\nscales = []\n',
        ("[features.Texture]", "asks for nothing", "scales"),
    ),
    "home of nobody": (
        '[objects.nuclei]\nmethod = "import"\nmasks = "~nobody-here/{well}.tif"\n',
        ("[objects.nuclei] masks", "~nobody-here", "home"),
    ),
    "path that is too long": (
        '[objects.nuclei]\nmethod = "onnx"\nchannel = "DNA"\nmodel = "' + "m" * 5000 + '"\n',
        ("[objects.nuclei] model", "does not exist"),
    ),
    "tiles that overlap too far": (
        '[objects.nuclei]\nmethod = "onnx"\nchannel = "DNA"\ntile = 64\nmodel = "mine.toml"\n',
        ("[objects.nuclei] overlap", "64 is more than half of tile = 64", "at most 32"),
    ),
    "one percentile for black and white": (
        '[objects.nuclei]\nmethod = "onnx"\nchannel = "DNA"\nmodel = "mine.toml"\n'
        "low_percentile = 50\nhigh_percentile = 50\n",
        ("[objects.nuclei] low_percentile", "less than high_percentile"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_where_and_what_instead(parse, tmp_path: Path, case: str) -> None:
    text, expected = REFUSED[case]
    with pytest.raises(RecipeError) as caught:
        parse(text)
    message = str(caught.value)
    assert [part for part in (str(tmp_path / "mine.toml"), *expected) if part not in message] == []


def test_a_recipe_needs_a_name_that_can_be_a_folder(parse) -> None:
    with pytest.raises(RecipeError, match="cannot name a feature set"):
        parse(NUCLEI, name="../up")


def test_a_role_of_ones_own_is_declared(parse) -> None:
    recipe = parse('roles = ["Lipofuscin"]\n' + NUCLEI.replace('"DNA"', '"Lipofuscin"'))
    assert recipe.bind(["Lipofuscin"], ["far red"]).channel_of == {"nuclei": 0}


def test_an_unknown_name_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'nuclei'"):
        load_recipe("nuclie")
    with pytest.raises(NotFoundError, match="neither a shipped recipe nor a file"):
        load_recipe(tmp_path / "absent.toml")
    with pytest.raises(NotFoundError, match="neither a shipped recipe nor a file"):
        load_recipe("long" * 2000)


def test_a_file_is_read_with_a_byte_order_mark_and_refused_when_no_text(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"\xef\xbb\xbf" + f'name = "r"{NUCLEI}'.encode())
    assert load_recipe(path).name == "r"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(path)


_KEYS = st.sampled_from(["objects", "features", "nuclei", "AreaShape", "method", "channel", "from", "minus", "roles"])
_VALUES = st.one_of(st.none().map(lambda _: "{}"), st.sampled_from(['"otsu"', '"DNA"', '["nuclei"]', "1", "nan", "{}"]))


@given(st.dictionaries(st.tuples(_KEYS, _KEYS, _KEYS), _VALUES, max_size=5))
def test_whatever_is_written_a_refusal_is_a_recipe_error(lines: dict[tuple[str, str, str], str]) -> None:
    from cytolake.transforms._recipe_parsing import parse_recipe

    text = 'name = "x"\n' + "".join(f"{a}.{b}.{c} = {value}\n" for (a, b, c), value in lines.items())
    with contextlib.suppress(RecipeError):
        parse_recipe(text, source="x.toml")


# Meeting a plate.


def test_the_first_role_that_the_plate_has_is_used(parse) -> None:
    recipe = parse(NUCLEI + CELLS)
    assert recipe.bind(ROLES, NAMES).channel_of == {"nuclei": 0, "cells": 3}
    assert recipe.bind(["RNA", None, "DNA"], ["a", "b", "c"]).channel_of == {"nuclei": 2, "cells": 0}


def test_a_lacking_stain_says_what_the_plate_has_and_how_to_name_one(parse) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(NUCLEI).bind(["ER", None], ["488", "HOECHST 33342"])
    message = str(caught.value)
    assert "[objects.nuclei] needs a channel with the role DNA" in message
    assert "'488' = ER" in message
    assert '--role "HOECHST 33342=DNA"' in message


def test_a_lacking_stain_of_a_family_is_told_too(parse) -> None:
    recipe = parse(NUCLEI + '[features.Intensity]\nobjects = ["nuclei"]\nchannels = ["DNA", "Mito"]\n')
    with pytest.raises(RecipeError, match=r"\[features.Intensity\] needs a channel with the role Mito"):
        recipe.bind(["DNA"], ["Hoechst"])


def test_one_role_on_two_channels_is_refused(parse) -> None:
    with pytest.raises(RecipeError, match="'a' and 'c' both have the role DNA"):
        parse(NUCLEI).bind(["DNA", "ER", "DNA"], ["a", "b", "c"])


def test_cells_without_their_stain_only_where_the_recipe_says_so(parse) -> None:
    with pytest.raises(RecipeError, match="role AGP or RNA"):
        parse(NUCLEI + CELLS).bind(["DNA"], ["Hoechst"])
    bound = parse(NUCLEI + CELLS + 'without_channel = "distance"\n').bind(["DNA"], ["Hoechst"])
    assert bound.segmented_on() == {"nuclei": "DNA", "cells": None}


def test_all_channels_are_those_with_a_role(parse) -> None:
    recipe = parse(NUCLEI + '[features.Intensity]\nobjects = ["nuclei"]\n')
    bound = recipe.bind(["ER", None, "DNA"], ["488", "extra", "Hoechst"])
    assert bound.feature_channels == {"Intensity": (0, 2)}
    assert bound.unnamed_channels == ("extra",)
