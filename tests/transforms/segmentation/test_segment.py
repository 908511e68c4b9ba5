"""A whole recipe on one field: numbers, parents, rules, missing channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cytolake.transforms.recipe import BoundRecipe, load_recipe
from cytolake.transforms.segmentation.segment import segment_field
from scipy import ndimage

Scene = tuple[np.ndarray, np.ndarray]
RECIPE = """
name = "r"
[objects.nuclei]
method = "local-threshold"
channel = "DNA"
{nuclei}
[objects.cells]
method = "watershed"
from = "nuclei"
channel = "RNA"
max_distance_um = 8
{cells}
[objects.cytoplasm]
from = "cells"
minus = "nuclei"
"""


@pytest.fixture
def bind(tmp_path: Path) -> Callable[..., BoundRecipe]:
    def bind(*, nuclei: str = "", cells: str = "") -> BoundRecipe:
        path = tmp_path / "r.toml"
        path.write_text(RECIPE.format(nuclei=nuclei, cells=cells), encoding="utf-8")
        return load_recipe(path).bind(["DNA", "RNA"], ["Hoechst", "SYTO 14"])

    return bind


@pytest.fixture
def field(draw: Callable[..., Scene]) -> np.ndarray:
    """Four nuclei; the first touches the upper border, the last is twice as large as the others."""
    nuclei, labels = draw((160, 160), [(5, 40, 12, 2000), (50, 50, 12, 2000), (50, 82, 12, 2000), (120, 110, 22, 2000)])
    body = ndimage.gaussian_filter(np.where(ndimage.distance_transform_edt(labels == 0) < 12, 800.0, 0), 1.2)
    return np.stack([nuclei, np.random.default_rng(1).poisson(body + 200).astype(np.uint16)])


def test_all_sets_with_their_parents(bind: Callable[..., BoundRecipe], field: np.ndarray) -> None:
    found = segment_field(bind(), field, pixel_size_um=0.5)
    nuclei, cells, cytoplasm = (found.labels[name] for name in ("nuclei", "cells", "cytoplasm"))
    assert found.parents == {"cells": "nuclei", "cytoplasm": "cells"}
    assert found.skipped == {}
    assert not found.pixel_size_estimated
    assert [nuclei[y, x] for y, x in ((5, 40), (50, 50), (50, 82), (120, 110))] == [1, 2, 3, 4]
    assert np.array_equal(cells[nuclei > 0], nuclei[nuclei > 0])
    assert np.array_equal(cytoplasm, np.where(nuclei > 0, 0, cells))
    assert {plane.dtype for plane in found.labels.values()} == {np.dtype(np.int32)}


def test_a_discarded_nucleus_keeps_its_ground_and_its_cell_goes_too(
    bind: Callable[..., BoundRecipe], field: np.ndarray
) -> None:
    everything = segment_field(bind(), field, pixel_size_um=0.5)
    for rule, lost in (('border = "discard"', 1), ("max_area_um2 = 200", 4)):
        found = segment_field(bind(nuclei=rule), field, pixel_size_um=0.5)
        left = [value for value in (1, 2, 3, 4) if value != lost]
        for name, plane in found.labels.items():
            assert set(np.unique(plane)) - {0} == {1, 2, 3}, name
            # The remaining objects are the same as before: none has grown into what was set free.
            for new, old in enumerate(left, 1):
                assert np.array_equal(plane == new, everything.labels[name] == old), (rule, name)


def test_debris_owns_no_ground(bind: Callable[..., BoundRecipe], draw: Callable[..., Scene]) -> None:
    nuclei, _ = draw((80, 120), [(40, 40, 12, 2000), (40, 62, 6, 2000)])
    body = np.full(nuclei.shape, 900, np.uint16)
    body[:, 100:] = 100
    image = np.stack([nuclei, body])
    with_debris = segment_field(bind(), image, pixel_size_um=0.5)
    without = segment_field(bind(nuclei="min_area_um2 = 60"), image, pixel_size_um=0.5)
    assert with_debris.labels["cells"].max() == 2
    assert without.labels["cells"].max() == 1
    assert (without.labels["cells"] == 1).sum() > (with_debris.labels["cells"] == 1).sum()


def test_rules_of_cells_leave_gaps_and_no_cytoplasm(bind: Callable[..., BoundRecipe], field: np.ndarray) -> None:
    found = segment_field(bind(cells='border = "discard"'), field, pixel_size_um=0.5)
    assert set(np.unique(found.labels["nuclei"])) == {0, 1, 2, 3, 4}
    assert set(np.unique(found.labels["cells"])) == {0, 2, 3, 4}
    assert set(np.unique(found.labels["cytoplasm"])) == {0, 2, 3, 4}


def test_what_needs_a_missing_channel_is_skipped_with_the_reason(
    bind: Callable[..., BoundRecipe], field: np.ndarray
) -> None:
    found = segment_field(bind(), field, present=np.array([True, False]), pixel_size_um=0.5)
    assert set(found.labels) == {"nuclei"}
    assert found.skipped == {
        "cells": "no pixels of channel 'SYTO 14' in this field",
        "cytoplasm": "made from cells: no pixels of channel 'SYTO 14' in this field",
    }
    nothing = segment_field(bind(), field, present=np.array([False, True]), pixel_size_um=0.5)
    assert nothing.labels == {}
    assert set(nothing.skipped) == {"nuclei", "cells", "cytoplasm"}


def test_without_a_pixel_size_lengths_are_judged_by_the_nuclei(bind: Callable[..., BoundRecipe]) -> None:
    rng = np.random.default_rng(4)
    labels = np.zeros((256, 256), np.int32)
    y, x = np.indices(labels.shape)
    for number, (cy, cx) in enumerate(((r, c) for r in range(28, 256, 50) for c in range(28, 256, 50)), 1):
        labels[np.hypot(y - cy, x - cx) < 12] = number
    image = np.stack([rng.poisson(ndimage.gaussian_filter(np.where(labels > 0, 1500.0, 0), 1) + 200)] * 2)
    found = segment_field(bind(), image.astype(np.uint16), pixel_size_um=None)
    assert found.pixel_size_estimated
    assert found.pixel_size_um == pytest.approx(0.5, rel=0.1)
    assert found.labels["nuclei"].max() == 25


def test_an_empty_field_has_sets_without_objects(bind: Callable[..., BoundRecipe]) -> None:
    image = np.random.default_rng(0).poisson(200, (2, 128, 128)).astype(np.uint16)
    for pixel_size in (0.5, None):
        found = segment_field(bind(), image, pixel_size_um=pixel_size)
        assert {name: int(plane.max()) for name, plane in found.labels.items()} == {
            "nuclei": 0,
            "cells": 0,
            "cytoplasm": 0,
        }


def test_cells_without_a_channel_where_the_recipe_allows_it(field: np.ndarray) -> None:
    bound = load_recipe("nuclei-and-cells").bind(["DNA"], ["Hoechst"])
    found = segment_field(bound, field[:1], pixel_size_um=0.5)
    assert set(np.unique(found.labels["cells"])) == set(np.unique(found.labels["nuclei"]))
    assert (found.labels["cells"] > 0).sum() > 2 * (found.labels["nuclei"] > 0).sum()


@pytest.mark.parametrize("method", ["local-threshold", "component-trees", "otsu"])
@pytest.mark.parametrize("grower", ["watershed", "propagate"])
def test_pixels_that_are_no_numbers_count_as_the_darkest(
    tmp_path: Path, field: np.ndarray, method: str, grower: str
) -> None:
    path = tmp_path / "r.toml"
    text = RECIPE.format(nuclei="", cells="").replace("local-threshold", method).replace("watershed", grower)
    path.write_text(text, encoding="utf-8")
    bound = load_recipe(path).bind(["DNA", "RNA"], ["Hoechst", "SYTO 14"])
    holed, dark = field.astype(np.float32), field.astype(np.float32)
    for y, x, value in ((80, 20, np.nan), (90, 30, np.inf), (100, 140, -np.inf)):
        holed[:, y, x] = value
        dark[:, y, x] = field.min(axis=(1, 2))
    expected = segment_field(bound, dark, pixel_size_um=0.5)
    assert expected.labels["nuclei"].max() >= 3
    found = segment_field(bound, holed, pixel_size_um=0.5)
    for name, plane in expected.labels.items():
        assert np.array_equal(found.labels[name], plane), name
    assert segment_field(bound, holed, pixel_size_um=None).labels["nuclei"].max() >= 3

    holed[1] = np.nan
    found = segment_field(bound, holed, pixel_size_um=0.5)
    assert list(found.labels) == ["nuclei"]
    assert found.skipped["cells"] == "no pixel of channel 'SYTO 14' in this field is a finite number"
    assert found.skipped["cytoplasm"].startswith("made from cells: no pixel")


def test_objects_that_the_bounds_leave_out_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "bounds.toml"
    path.write_text(
        'name = "bounds"\n[objects.nuclei]\nmethod = "otsu"\nchannel = "DNA"\nmin_area_um2 = 60\nmax_area_um2 = 900\n'
        'border = "discard"\n[objects.rings]\nmethod = "distance"\nfrom = "nuclei"\nmax_area_um2 = 400\n'
    )
    bound = load_recipe(path).bind(["DNA"], ["405"])
    image = np.full((1, 200, 200), 100, np.uint16)
    y, x = np.mgrid[:200, :200]
    for cy, cx, radius in ((40, 40, 8), (100, 100, 8), (160, 40, 8), (40, 150, 4), (100, 198, 8), (150, 150, 25)):
        image[0][(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 4000
    found = segment_field(bound, image, pixel_size_um=1.0)
    assert np.count_nonzero(np.unique(found.labels["nuclei"])) == 3
    # One is too small, one touches the border, one is too large; every ring round the three is too large.
    assert found.dropped == {"nuclei": 3, "rings": 3}
