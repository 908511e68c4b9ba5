"""Cells that move, divide and are now and then overlooked, with who is who known; drawn where an image is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cytolake.transforms.tracking.linking import Objects
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to find.

    ``objects`` are in the camera's coordinates; ``edges`` are pairs of their rows, an object and what it was when it
    was last seen; ``splits`` the rows of objects that are two the next time; ``drift`` is (t, 2), y and x in pixels.
    """

    objects: Objects
    edges: set[tuple[int, int]]
    splits: set[int]
    drift: NDArray[np.float64]
    shape: tuple[int, int]


def make_scene(
    *,
    n_cells: int = 300,
    n_timepoints: int = 48,
    shape: tuple[int, int] = (1200, 1200),
    step: float = 4.0,
    cycle: float = 60.0,
    overlooked: float = 0.02,
    drift_step: float = 1.5,
    radius: float = 9.0,
    seed: int = 7,
) -> Scene:
    """Simulate.

    Parameters
    ----------
    n_cells
        At the start; divisions add to them, cells that leave the frame are gone.
    step
        Standard deviation of a cell's step along an axis, pixels; half of each step persists in the next.
    cycle
        Mean time between divisions, time points.
    overlooked
        Share of objects that are missing from the table.
    drift_step
        Standard deviation of the stage's step along an axis, pixels.
    """
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(0, drift_step, (n_timepoints, 2)), axis=0)
    drift -= drift[0]
    where = np.array(shape) * rng.random((n_cells, 2))
    speed, grown = np.zeros((n_cells, 2)), rng.random(n_cells)
    last = np.full(n_cells, -1)
    columns: list[tuple[float, ...]] = []
    edges: set[tuple[int, int]] = set()
    for t in range(n_timepoints):
        seen = where + drift[t]
        inside = ((seen >= 0) & (seen < np.array(shape))).all(axis=1)
        where, speed, grown, last, seen = (array[inside] for array in (where, speed, grown, last, seen))
        found = rng.random(len(where)) >= overlooked
        for k in np.flatnonzero(found):
            row = len(columns)
            area = np.pi * (radius * (0.75 + 0.25 * grown[k])) ** 2
            columns.append((t, np.count_nonzero(found[: k + 1]), *seen[k], area))
            if last[k] >= 0:
                edges.add((int(last[k]), row))
            last[k] = row
        # Only a cell that is seen divides: a division in the dark is nobody's to find.
        divides = (rng.random(len(where)) < 1 / cycle) & (grown >= 1) & found
        speed = 0.5 * speed + rng.normal(0, step, where.shape) * np.sqrt(0.75)
        angle = rng.uniform(0, np.pi, divides.sum())
        apart = 0.8 * radius * np.column_stack([np.sin(angle), np.cos(angle)])
        sisters = where[divides] - apart
        where[divides] += apart
        grown = np.where(divides, 0.0, np.minimum(1.0, grown + 0.1))
        where = np.vstack([where + speed, sisters + speed[divides]])
        speed = np.vstack([speed, speed[divides]])
        grown, last = np.concatenate([grown, np.zeros(divides.sum())]), np.concatenate([last, last[divides]])
    table = np.array(columns)
    mothers = [one for one, _ in edges]
    return Scene(
        Objects(
            timepoint=table[:, 0].astype(np.int64),
            object_id=table[:, 1].astype(np.int64),
            y=table[:, 2],
            x=table[:, 3],
            area=table[:, 4],
        ),
        edges,
        {one for one in set(mothers) if mothers.count(one) > 1},
        drift,
        shape,
    )


def draw(scene: Scene, *, noise: float = 4.0, seed: int = 3) -> NDArray[np.uint16]:
    """Draw nuclei with noise in the light of a lamp that is brighter in the middle: uint16 (t, y, x)."""
    rng = np.random.default_rng(seed)
    height, width = scene.shape
    y, x = np.mgrid[:height, :width]
    lamp = 1 - 0.5 * ((y / height - 0.5) ** 2 + (x / width - 0.5) ** 2)
    frames = np.empty((len(scene.drift), height, width), np.uint16)
    objects = scene.objects
    for t in range(len(frames)):
        light = np.full(scene.shape, 20.0)
        for row in np.flatnonzero(objects.timepoint == t):
            cy, cx, r = objects.y[row], objects.x[row], np.sqrt(objects.area[row] / np.pi)
            box = (
                slice(max(0, int(cy - 2 * r)), int(cy + 2 * r) + 2),
                slice(max(0, int(cx - 2 * r)), int(cx + 2 * r) + 2),
            )
            inside = np.hypot(y[box] - cy, x[box] - cx)
            light[box] = np.maximum(light[box], 20 + 200 / (1 + np.exp((inside - r) * 1.5)))
        frames[t] = (rng.poisson(light * lamp * 5) + rng.normal(100, noise, scene.shape)).clip(0, 65535)
    return frames
