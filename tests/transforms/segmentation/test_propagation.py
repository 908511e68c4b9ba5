"""Propagation: the nearest seed by a distance that follows the image, and cells grown by it."""

from __future__ import annotations

import heapq
from itertools import product

import numpy as np
import pytest
from cytolake.transforms.segmentation import propagation
from cytolake.transforms.segmentation.cells import cells_from_nuclei
from cytolake.transforms.segmentation.propagation import cells_by_propagation, propagate
from scipy import ndimage


def reference(image: np.ndarray, seeds: np.ndarray, inside: np.ndarray, regularization: float) -> np.ndarray:
    """Dijkstra's algorithm as in the textbook, pixel by pixel."""
    ground = np.pad(image.astype(np.float64), 1, mode="edge")
    found, nearest = seeds.copy(), np.where(seeds > 0, 0.0, np.inf)
    queue = [(0.0, int(seeds[y, x]), int(y), int(x)) for y, x in np.argwhere((seeds > 0) & inside)]
    heapq.heapify(queue)
    done = set()
    while queue:
        way, label, y, x = heapq.heappop(queue)
        if (y, x) in done:
            continue
        done.add((y, x))
        found[y, x] = label
        for dy, dx in product((-1, 0, 1), repeat=2):
            v, u = y + dy, x + dx
            if not (0 <= v < image.shape[0] and 0 <= u < image.shape[1]) or not inside[v, u] or seeds[v, u]:
                continue
            here, there = ground[y : y + 3, x : x + 3], ground[v : v + 3, u : u + 3]
            change = 0.0
            for one in np.abs(here - there).ravel():
                change += one
            longer = way + np.sqrt(change**2 + regularization**2 * (dy**2 + dx**2))
            if longer < nearest[v, u]:
                nearest[v, u] = longer
                heapq.heappush(queue, (longer, label, v, u))
    return found


def random_scene(seed: int, shape: tuple[int, int] = (37, 52)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    seeds = np.zeros(shape, np.int32)
    for number in rng.permutation([2, 3, 5, 9, 70_000]):
        y, x = rng.integers(0, np.array(shape) - 3)
        seeds[y : y + 3, x : x + 3] = number
    return rng.random(shape), seeds, ndimage.uniform_filter(rng.random(shape), 5) > 0.42


@pytest.mark.parametrize("regularization", [0.0, 0.01, 0.3, 50.0])
@pytest.mark.parametrize("levels", [2, 1000])
def test_it_is_the_shortest_way_to_a_seed(regularization: float, levels: int) -> None:
    for seed in range(2):
        image, seeds, inside = random_scene(seed)
        image = np.round(image * levels) / levels  # few levels: many ways of one length
        found = propagate(image, seeds, inside, regularization=regularization)
        assert np.array_equal(found, reference(image, seeds, inside, regularization))


def test_the_width_of_buckets_and_the_room_for_entries_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    image, seeds, inside = random_scene(7)
    expected = propagate(image, seeds, inside, regularization=0.05)
    for width in (1e-5, 0.3, 1e9):
        monkeypatch.setattr(propagation, "_bucket_width", lambda *_, width=width: width)
        assert np.array_equal(propagate(image, seeds, inside, regularization=0.05), expected)
    monkeypatch.setattr(propagation, "_SPARE", -int(inside.sum()) + 1)
    assert np.array_equal(propagate(image, seeds, inside, regularization=0.05), expected)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_images_give_turned_cells(turns: int) -> None:
    image, seeds, inside = random_scene(3)
    found = propagate(image, seeds, inside, regularization=0.05)
    turned = propagate(np.rot90(image, turns), np.rot90(seeds, turns), np.rot90(inside, turns), regularization=0.05)
    assert np.array_equal(turned, np.rot90(found, turns))


def test_ways_lead_through_the_mask_only() -> None:
    image = np.zeros((5, 9))
    seeds = np.zeros(image.shape, np.int32)
    seeds[2, 0], seeds[2, 8] = 1, 2
    inside = np.ones(image.shape, np.bool_)
    inside[:, 3] = False
    found = propagate(image, seeds, inside, regularization=1.0)
    assert (found[:, :3] == 1).all()
    assert (found[:, 3] == 0).all()
    assert (found[:, 4:] == 2).all()
    inside[2, 8] = False  # a seed outside the mask stays, and does not spread
    assert np.array_equal(np.unique(propagate(image, seeds, inside, regularization=1.0)[:, 4:]), [0, 2])


def test_cells_meet_on_an_edge_or_half_way() -> None:
    image = np.zeros((20, 40))
    image[:, 26] = -1.0  # a dim line between the cells, nearer to the right one
    seeds = np.zeros(image.shape, np.int32)
    seeds[8:12, 4:8], seeds[8:12, 32:36] = 1, 2
    everywhere = np.ones(image.shape, np.bool_)
    on_edge = propagate(image, seeds, everywhere, regularization=0.01)
    assert (on_edge[:, :25] == 1).all()
    assert (on_edge[:, 28:] == 2).all()
    half_way = propagate(image, seeds, everywhere, regularization=100.0)
    assert (half_way[10] == np.where(np.arange(40) < 20, 1, 2)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_images_of_one_row(shape: tuple[int, int]) -> None:
    seeds = np.zeros(shape, np.int32)
    everywhere = np.ones(shape, np.bool_)
    assert not propagate(np.ones(shape), seeds, everywhere, regularization=0.1).any()
    seeds.flat[0] = 4
    assert (propagate(np.ones(shape), seeds, everywhere, regularization=0.1) == 4).all()


@pytest.fixture(scope="module")
def off_centre() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two touching cells with a dim border between them, one nucleus close to it: half-way is wrong."""
    rng = np.random.default_rng(0)
    cells = np.zeros((90, 150), np.int32)
    cells[15:75, 15:95], cells[15:75, 95:135] = 4, 9
    nuclei = np.zeros_like(cells)
    nuclei[40:52, 35:47], nuclei[40:52, 106:118] = 4, 9
    depth = ndimage.distance_transform_edt(cells == 4) + ndimage.distance_transform_edt(cells == 9)
    light = np.where(cells > 0, 300 + 900 * np.minimum(depth / 8, 1), 0)
    return rng.poisson(ndimage.gaussian_filter(light, 1.0) + 150).astype(np.uint16), nuclei, cells


def overlap(found: np.ndarray, true: np.ndarray, value: int) -> float:
    return float(((found == value) & (true == value)).sum() / ((found == value) | (true == value)).sum())


def test_cells_end_on_the_border_that_is_seen(off_centre: tuple[np.ndarray, ...]) -> None:
    image, nuclei, cells = off_centre
    found = cells_by_propagation(image, nuclei, pixel_size_um=0.5, max_distance_um=50)
    half_way = cells_from_nuclei(image, nuclei, pixel_size_um=0.5, max_distance_um=50)
    assert found.dtype == np.int32
    assert np.array_equal(found[nuclei > 0], nuclei[nuclei > 0])
    for value in (4, 9):
        assert overlap(found, cells, value) > 0.85, value
        assert overlap(half_way, cells, value) < 0.8, value
        assert ndimage.label(found == value, np.ones((3, 3)))[1] == 1


def test_brightness_and_offset_do_not_matter_and_magnification_little(off_centre: tuple[np.ndarray, ...]) -> None:
    image, nuclei, _ = off_centre
    found = cells_by_propagation(image, nuclei, pixel_size_um=0.5)
    assert np.array_equal(cells_by_propagation(image * 4.0, nuclei, pixel_size_um=0.5), found)
    twice = cells_by_propagation(
        image.repeat(2, axis=0).repeat(2, axis=1), nuclei.repeat(2, axis=0).repeat(2, axis=1), pixel_size_um=0.25
    )
    assert (twice[::2, ::2] == found).mean() > 0.97


def test_reach_and_signal_bound_a_cell(off_centre: tuple[np.ndarray, ...]) -> None:
    image, nuclei, _ = off_centre
    found = cells_by_propagation(image, nuclei, pixel_size_um=0.5, max_distance_um=4)
    assert ndimage.distance_transform_edt(nuclei == 0)[found > 0].max() * 0.5 <= 4
    flat = np.full_like(image, 9)
    assert np.array_equal(cells_by_propagation(flat, nuclei, pixel_size_um=0.5), nuclei)
    assert not cells_by_propagation(image, np.zeros_like(nuclei), pixel_size_um=0.5).any()
    with pytest.raises(ValueError, match="differ in shape"):
        cells_by_propagation(image[1:], nuclei, pixel_size_um=0.5)
