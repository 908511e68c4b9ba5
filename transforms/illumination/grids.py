"""Planes on a coarse grid and back: light changes slowly, so all estimates are made on about 128 × 128 means.

Smoothing fits lines: they make up for the half of the window that is missing at the edges, where light falls off most
and where a plain Gaussian would be too flat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

#: Cells of the grid along the longer side of an image.
GRID = 128
#: No place has less light than this share of the mean: what is divided by it must stay a number.
LEAST_LIGHT = 0.05
#: Narrower Gaussians have no neighbour to fit a line to.
_LEAST_SIGMA = 0.5


def grid_shape(shape: tuple[int, int], cells: int = GRID) -> tuple[int, int]:
    """Rows and columns of the grid of an image: at most ``cells`` along the longer side, never more than pixels."""
    longest = max(shape)
    if longest <= cells:
        return shape
    rows, columns = (max(1, round(side * cells / longest)) for side in shape)
    return rows, columns


def area_means(plane: npt.NDArray[np.number], shape: tuple[int, int]) -> Plane:
    """Mean grey value over each cell of a coarser grid; pixels that lie in two cells count to both by their share.

    Parameters
    ----------
    plane
        (y, x), any real type, finite.
    shape
        Rows and columns of the grid; not more than those of ``plane``.

    Returns
    -------
    ndarray
        float32, ``shape``.
    """
    if plane.shape == shape:
        return np.ascontiguousarray(plane, np.float32)
    rows, columns = (_shares(size, cells) for size, cells in zip(plane.shape, shape, strict=True))
    by_row = rows @ plane.astype(np.float32, copy=False)
    return np.ascontiguousarray((columns @ by_row.T).T, np.float32)


def smoothed(grid: npt.NDArray[np.floating], width: float) -> Float:
    """Smooth a grid.

    At each cell a line along each axis is fitted with Gaussian weights, so that a plane comes out as it went in, at
    the edges too (local linear regression; Fan and Gijbels 1996, *Local Polynomial Modelling*, section 2.2).

    Parameters
    ----------
    grid
        (y, x), finite.
    width
        Standard deviation of the weights as a share of the longer side.

    Returns
    -------
    ndarray
        float64, of the shape of ``grid``.
    """
    sigma = max(width * max(grid.shape), _LEAST_SIGMA)
    rows, columns = (_lines(cells, sigma) for cells in grid.shape)
    return np.asarray(rows @ grid.astype(np.float64) @ columns.T)


def enlarged(grid: npt.NDArray[np.floating], shape: tuple[int, int]) -> Plane:
    """Evaluate a grid at the centres of the pixels of ``shape``, on straight lines between the centres of its cells.

    Beyond the outermost centres the lines go on. float32, ``shape``, the same field of view.
    """
    values = grid.astype(np.float32)
    # Rows last: they are copied whole.
    for axis in (1, 0):
        if grid.shape[axis] == 1:
            values = np.repeat(values, shape[axis], axis=axis)
            continue
        before, share = _between(grid.shape[axis], shape[axis])
        fine = np.diff(values, axis=axis).take(before, axis=axis)
        fine *= share if axis else share[:, np.newaxis]
        fine += values.take(before, axis=axis)
        values = fine
    return values


def _between(cells: int, size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Give for each pixel the cell before it and how far it is on the way to the next, as a share."""
    centres = (np.arange(size) + 0.5) * (cells / size) - 0.5
    before = np.clip(np.floor(centres).astype(np.intp), 0, max(cells - 2, 0))
    return before, (centres - before).astype(np.float32)


def _shares(size: int, cells: int) -> Any:
    """Weights (cells, size) of pixels in the means of cells, a sparse array; each row sums to 1."""
    from scipy import sparse

    edges = np.linspace(0, size, cells + 1)[:, np.newaxis]
    pixels = np.arange(size)
    shares = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return sparse.csr_array(np.asarray(np.clip(shares, 0, None) * (cells / size), np.float32))


def _lines(cells: int, sigma: float) -> Float:
    """Weights (cells, cells) that evaluate at each cell the line fitted around it."""
    if cells == 1:
        return np.ones((1, 1))
    distance = np.arange(cells) - np.arange(cells)[:, np.newaxis]
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    s0, s1, s2 = (np.sum(weight * distance**power, axis=1, keepdims=True) for power in range(3))
    return np.asarray(weight * (s2 - s1 * distance) / (s0 * s2 - s1 * s1))
