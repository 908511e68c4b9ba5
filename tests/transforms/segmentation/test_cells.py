"""Cells from nuclei: one for each, containing it, with its number."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.segmentation.cells import cells_by_distance, cells_from_nuclei
from scipy import ndimage


@pytest.fixture
def two_cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two touching cells 60 pixels high and 40 wide; their nuclei have the numbers 3 and 7."""
    rng = np.random.default_rng(0)
    nuclei = np.zeros((100, 160), np.int32)
    nuclei[44:56, 54:66], nuclei[44:56, 94:106] = 3, 7
    cells = np.zeros_like(nuclei)
    cells[20:80, 40:80], cells[20:80, 80:120] = 3, 7
    light = ndimage.gaussian_filter(np.where(cells > 0, 900.0, 0), 1.5)
    return rng.poisson(light + 200).astype(np.uint16), nuclei, cells


def invariants(nuclei: np.ndarray, cells: np.ndarray) -> None:
    assert cells.dtype == np.int32
    assert set(np.unique(cells)) == set(np.unique(nuclei))
    assert np.array_equal(cells[nuclei > 0], nuclei[nuclei > 0])
    for value in np.unique(cells[cells > 0]):
        assert ndimage.label(cells == value, np.ones((3, 3)))[1] == 1


def test_cells_follow_the_stain_and_meet_half_way(two_cells: tuple[np.ndarray, ...]) -> None:
    image, nuclei, true = two_cells
    found = cells_from_nuclei(image, nuclei, pixel_size_um=0.5, max_distance_um=25)
    invariants(nuclei, found)
    for value in (3, 7):
        both, either = (found == value) & (true == value), (found == value) | (true == value)
        assert both.sum() / either.sum() > 0.85


@pytest.mark.parametrize("reach", [0.0, 2.0, 8.0])
def test_a_cell_ends_where_its_reach_does(two_cells: tuple[np.ndarray, ...], reach: float) -> None:
    image, nuclei, _ = two_cells
    distance = ndimage.distance_transform_edt(nuclei == 0) * 0.5
    for found in (
        cells_from_nuclei(image, nuclei, pixel_size_um=0.5, max_distance_um=reach),
        cells_by_distance(nuclei, pixel_size_um=0.5, max_distance_um=reach),
    ):
        invariants(nuclei, found)
        assert distance[found > 0].max() <= reach
    assert np.array_equal(found > 0, distance <= reach)


def test_without_signal_a_cell_is_its_nucleus(two_cells: tuple[np.ndarray, ...]) -> None:
    _, nuclei, _ = two_cells
    noise = np.random.default_rng(1).poisson(300, nuclei.shape).astype(np.uint16)
    found = cells_from_nuclei(noise, nuclei, pixel_size_um=0.5)
    invariants(nuclei, found)
    assert (found > 0).sum() < 1.1 * (nuclei > 0).sum()
    assert np.array_equal(cells_from_nuclei(np.full(nuclei.shape, 9), nuclei, pixel_size_um=0.5), nuclei)


def test_a_vacuole_belongs_to_the_cell(two_cells: tuple[np.ndarray, ...]) -> None:
    image, nuclei, _ = two_cells
    image[64:70, 58:64] = 200
    assert (cells_from_nuclei(image, nuclei, pixel_size_um=0.5)[64:70, 58:64] == 3).all()


def test_edge_level_moves_the_rim(two_cells: tuple[np.ndarray, ...]) -> None:
    image, nuclei, _ = two_cells
    sizes = [(cells_from_nuclei(image, nuclei, pixel_size_um=0.5, edge_level=level) > 0).sum() for level in (0.3, 0.9)]
    assert sizes[0] > sizes[1]


def test_no_nuclei_no_cells(two_cells: tuple[np.ndarray, ...]) -> None:
    image, nuclei, _ = two_cells
    none = np.zeros_like(nuclei)
    assert not cells_from_nuclei(image, none, pixel_size_um=0.5).any()
    assert not cells_by_distance(none, pixel_size_um=0.5, max_distance_um=10).any()


def test_shapes_must_agree(two_cells: tuple[np.ndarray, ...]) -> None:
    image, nuclei, _ = two_cells
    with pytest.raises(ValueError, match="differ in shape"):
        cells_from_nuclei(image[1:], nuclei, pixel_size_um=0.5)
