"""Masks made elsewhere: found by pattern or name, checked field by field, numbers kept or matched to parents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
import tifffile
from cytolake.errors import RecipeError
from cytolake.lake import Lake
from cytolake.store.images.labels import label_source, write_label
from cytolake.store.images.model import FieldKey
from cytolake.store.registry import feature_sets
from cytolake.transforms.recipe import Recipe, load_recipe
from cytolake.transforms.segmentation.imported import (
    LARGEST_LABEL,
    UnusableMaskError,
    as_labels,
    look_for_masks,
    mask_path,
    match_to_parents,
)
from cytolake.transforms.segmentation.segment import segment_field


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """``recipe("masks = ...", more="...")`` writes a recipe that imports nuclei, and loads it."""

    def recipe(nuclei: str, *, more: str = "") -> Recipe:
        text = f'name = "r"\n[objects.nuclei]\nmethod = "import"\n{nuclei}\n{more}\n'
        path = tmp_path / "r.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    return recipe


# Where masks are


@pytest.mark.parametrize(
    ("nuclei", "said"),
    [
        ("", "masks: missing, and so is labels"),
        ('masks = "{well}.tif"\nlabels = "n"', "and so does labels"),
        ('masks = "all.tif"', "is the same for every well"),
        ('masks = "{row}_{field}.tif"', "is the same for every well"),
        ('masks = "{well}_{fild}.tif"', r"\{fild\} is no placeholder"),
        ('masks = "{well.__class__}.tif"', r"\{well.__class__\} is no placeholder"),
        ('masks = "{well[0]}.tif"', r"\{well\[0\]\} is no placeholder"),
        ('masks = "{well!r}.tif"', r"\{well!r\} is no placeholder"),
        ('masks = "{well}_{field:>20}.tif"', r"\{field:>20\} is no placeholder"),
        ('masks = "{well:04}.tif"', r"\{well:04\} is no placeholder"),
        ('masks = "{}.tif"', r"\{\} is no placeholder"),
        ('masks = "{well.tif"', "expected '}'"),
        ('masks = "{well}.tif"\nchannel = "DNA"', "unknown key"),
        ('masks = "{well}.tif"\nvalues = "binary"', "'binary' is unknown"),
    ],
)
def test_what_a_recipe_cannot_say(recipe: Callable[..., Recipe], nuclei: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe(nuclei)


def test_patterns_give_paths(tmp_path: Path) -> None:
    key = FieldKey("AB07", 2, 13)
    pattern = str(tmp_path / "{well}/{row}-{column}" / "a{acquisition}_f{field:03}_t{timepoint:02d}.tif")
    assert mask_path(pattern, key, 4) == tmp_path / "AB07" / "AB-7" / "a2_f013_t04.tif"


def test_where_masks_lie_and_what_they_hold_is_not_the_identity(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    one = recipe('masks = "masks/{well}_{field}.tif"\norigin = "drawn by hand"')
    other = recipe('masks = "/elsewhere/{well}-{field}.tif"\norigin = "drawn by hand"')
    assert one.object_set("nuclei").parameters["masks"] == str(tmp_path / "masks" / "{well}_{field}.tif")
    assert one.canonical() == other.canonical()
    assert one.canonical() != recipe('masks = "masks/{well}_{field}.tif"\norigin = "by StarDist"').canonical()


def test_files_are_looked_for_before_work(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    keys = [FieldKey("A01", 1, 1), FieldKey("A01", 1, 2), FieldKey("B02", 1, 1)]
    parameters = recipe('masks = "{well}_{field}.tif"').object_set("nuclei").parameters
    with pytest.raises(RecipeError, match=r"none of the 3 field\(s\) has a mask; the first would be .*A01_1\.tif"):
        look_for_masks(parameters, keys)
    (tmp_path / "A01_2.tif").write_bytes(b"1")
    found = look_for_masks(parameters, keys)
    assert (found.found, found.missing) == (1, 2)
    (tmp_path / "A01_2.tif").write_bytes(b"12")
    assert look_for_masks(parameters, keys).listing != found.listing
    with pytest.raises(RecipeError, match="same file for several fields"):
        look_for_masks(recipe('masks = "{well}.tif"').object_set("nuclei").parameters, keys)


# What masks hold


def test_instances_come_as_they_are() -> None:
    mask = np.array([[0, 5, 5], [0, 0, 70_000]], np.uint32)
    labels = as_labels(mask, (2, 3), "m", parts=False)
    assert labels.dtype == np.int32
    assert np.array_equal(labels, mask)
    assert as_labels(np.zeros((2, 3), np.int64), (2, 3), "m", parts=False).max() == 0


def test_parts_of_a_foreground_are_objects() -> None:
    mask = np.array([[255, 0, 255], [255, 0, 0], [0, 255, 0]], np.uint8)
    assert as_labels(mask, (3, 3), "m", parts=True).tolist() == [[1, 0, 2], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros((4, 3), np.uint8), "m: has shape 4 × 3, the image 3 × 4"),
        (np.zeros((3, 4, 3), np.uint8), "m: has shape 3 × 4 × 3, the image 3 × 4"),
        (np.zeros((3, 4), np.float32), "m: its pixels are float32, labels are whole numbers"),
        (np.full((3, 4), -2, np.int16), "m: has the label -2"),
        (np.full((3, 4), LARGEST_LABEL + 1, np.uint32), "m: has the label 4194304"),
        (np.full((3, 4), 255, np.uint8), "m: tells foreground, not objects"),
        (np.ones((3, 4), np.bool_), "m: tells foreground, not objects"),
    ],
)
def test_what_is_no_mask_of_a_field(mask: np.ndarray, said: str) -> None:
    with pytest.raises(UnusableMaskError, match=said):
        as_labels(mask, (3, 4), "m", parts=False)


# Parents


def test_children_get_the_number_of_the_parent_they_lie_in() -> None:
    parents = np.array([[3, 3, 3, 0, 8, 8, 8, 8, 0, 5]])
    children = np.array([[9, 9, 1, 1, 1, 2, 2, 2, 7, 0]])
    # 9 lies in 3; 1 lies in 3 and 8 with a pixel each, 3 is the lower number, and has a child that fits better;
    # 2 lies in 8; 7 in none; 5 has no child.
    labels, dropped = match_to_parents(children.astype(np.int32), parents.astype(np.int32))
    assert labels.tolist() == [[3, 3, 0, 0, 0, 8, 8, 8, 0, 0]]
    assert dropped == 2


def test_matching_does_not_depend_on_numbers() -> None:
    rng = np.random.default_rng(0)
    parents = rng.integers(0, 6, (40, 40)).repeat(4, axis=0).repeat(4, axis=1).astype(np.int32)
    children = np.roll(parents, 1, axis=1)
    labels, dropped = match_to_parents(children, parents)
    assert dropped == 0
    assert np.array_equal(labels, children)
    renamed = np.array([0, 50, 7, 900, 3, 12], np.int32)[children]
    again, _ = match_to_parents(renamed, parents)
    assert np.array_equal(again, labels)
    assert match_to_parents(np.zeros_like(children), parents)[1] == 0
    assert match_to_parents(children, np.zeros_like(parents))[1] == 5


MORE = """
[objects.cells]
method = "import"
from = "nuclei"
labels = "c"
[objects.cytoplasm]
from = "cells"
minus = "nuclei"
[objects.rings]
method = "distance"
from = "nuclei"
max_distance_um = 1
"""


def test_imported_sets_go_through_a_recipe(recipe: Callable[..., Recipe]) -> None:
    nuclei = np.zeros((40, 60), np.int32)
    nuclei[0:8, 5:13], nuclei[20:28, 20:28], nuclei[20:28, 40:48], nuclei[35, 2] = 30, 10, 20, 40
    cells = np.zeros_like(nuclei)
    cells[15:33, 15:34], cells[0:5, 50:60] = 1, 2
    bound = recipe('labels = "n"\nborder = "discard"\nmin_area_um2 = 4', more=MORE).bind(["DNA"], ["a"])
    image = np.zeros((1, 40, 60), np.uint16)
    found = segment_field(bound, image, pixel_size_um=1.0, imported={"nuclei": nuclei, "cells": cells})
    assert set(np.unique(found.labels["nuclei"])) == {0, 10, 20}  # numbers of the mask, the rules leave gaps
    assert set(np.unique(found.labels["rings"])) == {0, 10, 20}
    assert np.array_equal(found.labels["cells"] > 0, cells == 1)
    assert set(np.unique(found.labels["cells"])) == {0, 10}
    assert np.array_equal(found.labels["cytoplasm"] > 0, (cells == 1) & (nuclei == 0))
    assert found.parents == {"cells": "nuclei", "cytoplasm": "cells", "rings": "nuclei"}
    assert found.unmatched == {"cells": 1}
    lacking = segment_field(bound, image, pixel_size_um=1.0, imported={"nuclei": "no mask", "cells": cells})
    assert lacking.labels == {}
    assert lacking.skipped["nuclei"] == "no mask"
    assert lacking.skipped["rings"] == "made from nuclei: no mask"


# A plate


@pytest.fixture
def lake(tiny_export: Path, tmp_path: Path) -> Lake:
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(tiny_export, study="pilot", roles={"Alexa 488": "ER", "Alexa 568": "AGP"})
    return lake


def rows(lake: Lake, object_set: str) -> list[dict[str, Any]]:
    (one,) = feature_sets(lake.root)
    return lake.root.tables.read(one.table(object_set)).to_pylist()


def test_a_plate_with_masks_of_its_own(lake: Lake, recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    plate = lake.plate("pilot", "tiny-1")
    squares = np.zeros((256, 256), np.uint16)
    squares[10:30, 10:30], squares[50:70, 80:90] = 4, 9
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "A01_f01.tif", squares, compression="zlib")
    tifffile.imwrite(tmp_path / "masks" / "A01_f02.tif", squares[:100])
    (tmp_path / "masks" / "A02_f01.tif").write_bytes(b"no TIFF")
    for key in plate.fields():
        field = plate.field(*key[::2])
        write_label(field, "spots", np.where(squares == 4, 1, 0).astype(np.int32), source={})
    recipe(
        'masks = "masks/{well}_f{field:02}.tif"\norigin = "squares"',
        more='[objects.spots]\nmethod = "import"\nlabels = "spots"\nfrom = "nuclei"\n'
        '[features.AreaShape]\nobjects = ["nuclei", "spots"]',
    )
    report = lake.transform(study="pilot", recipe=str(tmp_path / "r.toml"), workers=1)
    assert report["status"] == "partial"
    nuclei = rows(lake, "nuclei")
    assert [(r["well_id"], r["field_id"], r["object_id"], r["Nuclei_AreaShape_Area"]) for r in nuclei] == [
        ("A01", 1, 4, 400.0),
        ("A01", 1, 9, 200.0),
    ]
    assert [(r["object_id"], r["parent_id"]) for r in rows(lake, "spots")] == [(4, 4)]
    said = "\n".join(report["warnings"])
    assert "A01_f02.tif: has shape 100 × 256, the image 256 × 256" in said
    assert "A02_f01.tif: cannot be read as TIFF" in said
    assert "there is no mask" in said
    field = plate.field("A01", 1)
    (name,) = [label for label in field.labels() if label.startswith("nuclei_")]
    (source,) = label_source(field, name)["imported"]
    assert source["name"] == str(tmp_path / "masks" / "A01_f01.tif")
    assert len(source["sha256"]) == 64


def test_labels_that_no_field_has_are_told_before_work(
    lake: Lake, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe('labels = "hand_drawn"', more='[features.AreaShape]\nobjects = ["nuclei"]')
    with pytest.raises(RecipeError, match="no field of plate tiny-1 has labels 'hand_drawn'"):
        lake.transform(study="pilot", recipe=str(tmp_path / "r.toml"), workers=1)
    assert feature_sets(lake.root) == []


def test_a_file_of_another_size_is_judged_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytolake.transforms.segmentation.imported import _from_tiff

    tifffile.imwrite(tmp_path / "wide.tif", np.zeros((40, 3000), np.uint8), compression="zlib")
    tifffile.imwrite(tmp_path / "movie.tif", np.zeros((5, 40, 30), np.uint8))
    tifffile.imwrite(tmp_path / "fits.tif", np.ones((1, 1, 40, 30), np.uint8))
    assert _from_tiff(tmp_path / "fits.tif", (40, 30), None).shape == (40, 30)
    assert _from_tiff(tmp_path / "movie.tif", (40, 30), (4, 5)).shape == (40, 30)
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda *_, **__: pytest.fail("was read"))
    for name, one_of, said in (
        ("wide", None, "has shape 40 × 3000, the image 40 × 30"),
        ("movie", None, "has shape 5 × 40 × 30, the image 40 × 30"),
        ("movie", (0, 4), "the field has 4 time points"),
    ):
        with pytest.raises(UnusableMaskError, match=said):
            _from_tiff(tmp_path / f"{name}.tif", (40, 30), one_of)
