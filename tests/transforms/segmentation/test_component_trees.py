"""Nuclei from component trees: real and drawn nuclei, noise, invariances; and the max-tree below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cytolake.transforms.jit import read_only
from cytolake.transforms.segmentation import lobes, outlines
from cytolake.transforms.segmentation import max_tree as trees
from cytolake.transforms.segmentation.accuracy import score
from cytolake.transforms.segmentation.blurring import blurred, coarsely_blurred, less_coarse
from cytolake.transforms.segmentation.component_trees import segment_component_trees
from cytolake.transforms.segmentation.tree_nodes import (
    AREA,
    DROP,
    EDGE,
    ELLIPSE,
    edge_sides,
    node_features,
    outflow,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import max_tree as reference_max_tree

Scene = tuple[np.ndarray, np.ndarray]
Draw = Callable[..., Scene]


def found(image: np.ndarray, diameter: float = 24.0, **settings: Any) -> np.ndarray:
    return segment_component_trees(image, pixel_size_um=12 / diameter, **settings)


def f1(true: np.ndarray, labels: np.ndarray, overlap: float = 0.7) -> float:
    return score(np.ascontiguousarray(true), labels, [overlap])[0].f1


@pytest.fixture
def crowd(draw: Draw) -> Scene:
    """Sixty-four nuclei at random brightness, some of which touch."""
    rng = np.random.default_rng(4)
    places = [(y, x) for y in range(20, 300, 35) for x in range(20, 300, 35)]
    return draw(
        (300, 300),
        [(*rng.normal((y, x), 4), rng.uniform(10, 13), rng.uniform(400, 4000)) for y, x in places],
    )


# --- the method --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["accurate", "fast"])
def test_touching_nuclei_of_any_brightness(crowd: Scene, variant: str) -> None:
    image, true = crowd
    assert f1(true, found(image, variant=variant)) > 0.95


@pytest.mark.parametrize("apart", [21, 24])
def test_a_touching_pair_is_two(draw: Draw, apart: int) -> None:
    image, true = draw((100, 120), [(50, 50, 12, 2000), (50, 50 + apart, 12, 2000)])
    assert f1(true, found(image)) == 1


def test_a_dim_nucleus_beside_a_bright_one(draw: Draw) -> None:
    image, true = draw((100, 120), [(50, 40, 12, 9000), (50, 68, 12, 2000)])
    assert f1(true, found(image)) == 1


def test_uneven_light(draw: Draw) -> None:
    places = [(y, x, 12, 600) for y in range(30, 300, 48) for x in range(30, 300, 48)]
    ground = np.linspace(300, 3000, 300)[None, :] + np.zeros((300, 1))
    image, true = draw((300, 300), places, ground=ground)
    assert f1(true, found(image)) > 0.95


@pytest.mark.parametrize("diameter", [10, 24, 60])
@pytest.mark.parametrize("kind", ["photons", "few photons", "camera", "shared by neighbours"])
def test_noise_holds_no_nuclei(kind: str, diameter: float) -> None:
    rng = np.random.default_rng(5)
    image = {
        "photons": lambda: rng.poisson(120, (256, 256)).astype(np.uint16),
        "few photons": lambda: rng.poisson(2, (256, 256)).astype(np.uint8),
        "camera": lambda: rng.normal(0, 1, (256, 256)),
        "shared by neighbours": lambda: ndimage.gaussian_filter(rng.normal(0, 1, (256, 256)), 1.3),
    }[kind]()
    assert found(image, diameter).max() == 0


@pytest.mark.parametrize("value", [0, 700, 65535])
def test_a_flat_image_holds_none(value: int) -> None:
    assert found(np.full((80, 90), value, np.uint16)).max() == 0
    assert found(np.full((1, 1), value, np.uint16)).shape == (1, 1)


def test_one_nucleus_in_a_large_dark_field(draw: Draw) -> None:
    image, true = draw((600, 600), [(300, 200, 12, 800)])
    assert f1(true, found(image)) == 1
    assert f1(true, found((true > 0).astype(np.uint8))) == 1  # on ground without any noise


def test_saturated_nuclei_are_found(draw: Draw) -> None:
    image, true = draw((200, 200), [(y, x, 12, 9000) for y in (50, 100, 150) for x in (50, 100, 150)])
    assert f1(true, found(np.minimum(image, 2000))) == 1


def test_a_field_of_nothing_but_nucleus() -> None:
    y, x = np.indices((60, 60))
    assert found((np.hypot(y - 30, x - 30) < 29) * 1000, 58).max() == 1


def test_hot_pixels_are_no_matter(grid: Scene) -> None:
    image, true = grid
    image = image.copy()
    image[::37, ::41] = 65535
    assert f1(true, found(image)) == 1


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_pixels_that_are_no_number_count_as_dark(grid: Scene, odd: float) -> None:
    image, true = grid
    image = image.astype(np.float32)
    image[:5, :5] = odd
    assert f1(true, found(image)) == 1
    assert found(np.full((30, 30), odd)).max() == 0


# --- invariances -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "offset"), [(1, -5000), (37.5, 0), (1e-6, 0), (2.0**-70, 0), (3, 1e5)])
def test_scale_and_offset_of_intensity_do_not_matter(crowd: Scene, factor: float, offset: float) -> None:
    image, _ = crowd
    assert f1(found(image), found(image.astype(np.float64) * factor + offset), 0.9) > 0.98


def test_pixel_type_does_not_matter(crowd: Scene) -> None:
    image = np.minimum(crowd[0] // 16, 255)
    expected = found(image.astype(np.uint8))
    for dtype in (np.uint16, np.int64, np.float32, np.float64):
        assert np.array_equal(found(image.astype(dtype)), expected)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_images_give_turned_nuclei(crowd: Scene, turns: int) -> None:
    # Ties between pixels are settled in the order of rows, so a few pixels may differ.
    image, _ = crowd
    assert f1(np.rot90(found(image), turns), found(np.rot90(image, turns)), 0.9) > 0.98
    assert f1(found(image).T, found(image.T), 0.9) > 0.98


def test_moved_images_give_moved_nuclei(draw: Draw) -> None:
    image, _ = draw((300, 300), [(y, x, 12, 1500) for y in range(80, 240, 30) for x in range(80, 240, 30)])
    moved = np.roll(image, (7, -11), axis=(0, 1))
    assert f1(np.roll(found(image), (7, -11), axis=(0, 1)), found(moved), 0.9) == 1


@pytest.mark.parametrize("zoom", [0.5, 2, 3.3])
def test_what_counts_is_the_size_in_um(crowd: Scene, zoom: float) -> None:
    image, true = crowd
    zoomed = ndimage.zoom(image.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest")
    there = ndimage.zoom(true, zoom, order=0, grid_mode=True, mode="nearest")
    assert f1(there, found(zoomed, 24 * zoom)) > 0.93


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_the_diameter_need_not_be_right(crowd: Scene, factor: float) -> None:
    image, true = crowd
    assert f1(true, found(image, 24 * factor)) > 0.95


def test_the_same_every_time(crowd: Scene) -> None:
    image, _ = crowd
    before = image.copy()
    assert np.array_equal(found(image), found(image))
    assert np.array_equal(image, before)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["bytes", "negative", "nearly flat", "squares", "sparks", "large"]),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    diameter=st.floats(0.5, 300),
    variant=st.sampled_from(["accurate", "fast"]),
    seed=st.integers(0, 99),
)
def test_labels_are_well_formed(kind: str, shape: tuple[int, int], diameter: float, variant: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = {
        "bytes": lambda: rng.integers(0, 256, shape).astype(np.uint8),
        "negative": lambda: rng.normal(0, 1, shape),
        "nearly flat": lambda: 1000 + rng.normal(0, 1e-5, shape),
        "squares": lambda: np.kron(rng.integers(0, 900, (9, 9)), np.ones((8, 8)))[: shape[0], : shape[1]],
        "sparks": lambda: (rng.random(shape) < 0.02).astype(np.uint16) * 60000,
        "large": lambda: rng.choice([-1.7e308, 0, 1.7e308], shape),
    }[kind]()
    labels = found(image, diameter, variant=variant)
    assert (labels.shape, labels.dtype) == (shape, np.int32)
    assert set(np.unique(labels)) | {0} == set(range(labels.max() + 1))
    for label in range(1, labels.max() + 1):
        assert ndimage.label(labels == label)[1] == 1


# --- max-tree ----------------------------------------------------------------------------------------------------


def max_tree(levels: np.ndarray, smallest: int, largest: int) -> tuple[np.ndarray, ...]:
    return trees.max_tree(read_only(levels), smallest, largest)


def measured(levels: np.ndarray, plane: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, ...]:
    order, start, stop = max_tree(levels, 1, levels.size)
    flow = outflow(read_only(plane), read_only(taken))
    sides = edge_sides(read_only(levels), read_only(taken))
    return order, start, stop, node_features(*map(read_only, (order, start, stop, sides, flow, flow)))


def parts(levels: np.ndarray) -> set[tuple[int, ...]]:
    """Connected parts of all threshold sets above level 0, one threshold at a time."""
    every = set()
    for threshold in np.unique(levels[levels > 0]):
        labels, count = ndimage.label(levels >= threshold)
        every |= {tuple(np.flatnonzero(labels == k).tolist()) for k in range(1, count + 1)}
    return every


LEVELS = st.builds(
    lambda shape, top, seed: np.random.default_rng(seed).integers(0, top, shape, endpoint=True).astype(np.uint8),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from([0, 1, 2, 5, 255]),
    st.integers(0, 999),
)


@settings(max_examples=60, deadline=None)
@given(levels=LEVELS)
def test_nodes_are_the_parts_of_all_threshold_sets(levels: np.ndarray) -> None:
    order, start, stop = max_tree(levels, 1, levels.size)
    nodes = [tuple(sorted(order[a:b].tolist())) for a, b in zip(start, stop, strict=True)]
    assert sorted(order) == np.flatnonzero(levels).tolist()
    assert len(nodes) == len(set(nodes))
    assert set(nodes) == parts(levels)
    assert all(np.diff(stop) >= 0)  # children first


def test_as_many_nodes_as_another_implementation() -> None:
    levels = ndimage.uniform_filter(np.random.default_rng(3).integers(1, 256, (80, 90)), 5).astype(np.uint8)
    parent, traversed = reference_max_tree(levels, connectivity=1)
    flat, above = levels.ravel(), parent.ravel()
    canonical = [p for p in traversed if above[p] == p or flat[above[p]] != flat[p]]
    sizes = np.ones(levels.size, int)
    for p in traversed[::-1]:
        if above[p] != p:
            sizes[above[p]] += sizes[p]
    _, start, stop = max_tree(levels, 1, levels.size)
    assert sorted(stop - start) == sorted(sizes[canonical])


def test_only_nodes_of_the_sizes_asked_for() -> None:
    levels = np.random.default_rng(1).integers(0, 9, (20, 20)).astype(np.uint8)
    _, start, stop = max_tree(levels, 3, 30)
    sizes = [len(part) for part in parts(levels)]
    assert sorted(stop - start) == sorted(size for size in sizes if 3 <= size <= 30)


def test_thinned_nodes_differ_by_the_step() -> None:
    pyramid = np.array([[0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5]], np.uint8)
    _, start, stop = max_tree(pyramid, 1, 99)
    kept = trees.thinned(read_only(start), read_only(stop), 0.2)
    assert (stop - start).tolist() == [9, 10, 11, 12, 13]
    assert (stop - start)[kept].tolist() == [10, 13]


@settings(max_examples=30, deadline=None)
@given(levels=LEVELS, seed=st.integers(0, 99))
def test_features_of_nodes_by_their_definitions(levels: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.normal(0, 1, levels.shape).astype(np.float32)
    taken = (rng.random(levels.shape) < 0.1) & (levels == 0)
    order, start, stop, features = measured(levels, plane, taken)
    for k in range(start.size):
        mask = np.zeros(levels.shape, np.bool_)
        mask.flat[order[start[k] : stop[k]]] = True
        drops = [
            plane[inner] - plane[outer]
            for inner in zip(*np.nonzero(mask), strict=True)
            for outer in (
                (inner[0] + 1, inner[1]),
                (inner[0] - 1, inner[1]),
                (inner[0], inner[1] + 1),
                (inner[0], inner[1] - 1),
            )
            if 0 <= outer[0] < levels.shape[0]
            and 0 <= outer[1] < levels.shape[1]
            and not mask[outer]
            and not taken[outer]
        ]
        assert features[k, AREA] == mask.sum()
        assert features[k, EDGE] == len(drops)
        assert features[k, DROP] == pytest.approx(np.mean(drops) if drops else 0, abs=1e-5)


def test_an_ellipse_has_the_ratio_of_one() -> None:
    y, x = np.indices((60, 60))
    for mask, expected in (
        (np.hypot((y - 30) / 20, (x - 28) / 12) < 1, 1.0),
        ((abs(y - 30) < 20) & (abs(x - 28) < 12), 3 / np.pi),
    ):
        levels = mask.astype(np.uint8)
        *_, features = measured(levels, np.zeros(levels.shape, np.float32), np.zeros(levels.shape, np.bool_))
        assert features[0, ELLIPSE] == pytest.approx(expected, rel=0.005)


# --- blur, outlines, lobes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_blur_is_gaussian(sigma: float) -> None:
    plane = np.random.default_rng(0).random((31, 5)).astype(np.float32)
    assert np.allclose(blurred(plane, sigma), ndimage.gaussian_filter(plane, sigma), atol=1e-6)


def test_a_coarse_blur_is_nearly_the_fine_one() -> None:
    plane = np.random.default_rng(0).random((200, 232)).astype(np.float32)
    coarse, bins = coarsely_blurred(plane, 9.0)
    assert bins == 4
    difference = less_coarse(plane, coarse, bins) - (plane - ndimage.gaussian_filter(plane, 9.0))
    assert abs(difference).max() < 0.01


def test_holes_are_filled_and_bays_are_not() -> None:
    rows = ["1111.22", "1.11.2.", "1..1.22", "111....", "...33.1", ".4333.."]
    labels = np.array([[0 if c == "." else int(c) for c in row] for row in rows], np.int32)
    expected = labels.copy()
    expected[1:3, 1:3] = 1
    assert np.array_equal(outlines.filled(labels), expected)
    alone = outlines.in_one_part(expected)
    assert alone[4, 6] == 0
    assert np.count_nonzero(alone) == np.count_nonzero(expected) - 1


def test_edges_move_out_to_half_of_the_height() -> None:
    y, x = np.indices((60, 60))
    distance = np.hypot(y - 30, x - 30)
    plane = (1 / (1 + np.exp(4 * (distance - 15.18)))).astype(np.float32)
    core = (distance < 13).astype(np.int32)
    grown = outlines.grown(plane, core, near=4, far=8, level=0.5, reach=0.15)
    assert np.array_equal(grown > 0, distance < 15.18)


def test_ragged_edges_are_smoothed() -> None:
    square = np.zeros((12, 12), np.int32)
    square[2:10, 2:10] = 1
    ragged = square.copy()
    ragged[1, 5], ragged[9, 6] = 1, 0
    assert np.array_equal(outlines.smoothed(ragged)[4:, 4:8], square[4:, 4:8])
    assert outlines.smoothed(ragged)[1, 5] == 0


def test_lobes_are_split_and_ellipses_are_not() -> None:
    y, x = np.indices((60, 110))
    pair = (np.hypot(y - 30, x - 30) < 15) | (np.hypot(y - 30, x - 54) < 14)
    ellipse = np.hypot((y - 30) / 22, (x - 90) / 13) < 1
    labels = np.where(pair, 1, np.where(ellipse, 2, 0)).astype(np.int32)
    split = lobes.split_lobes(np.ones(labels.shape, np.float32), labels, 20)
    assert split[30, 25] != split[30, 60]
    assert {int(split[30, 25]), int(split[30, 60])} == {1, 3}
    assert np.array_equal(split == 2, ellipse)
    assert np.array_equal(split > 0, labels > 0)
