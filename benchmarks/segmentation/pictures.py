"""Pictures of what segmentation gets right and wrong, on crops that the scores choose, not a person.

Each picture is a row of crops, the image above, the verdict below: nuclei that match a true one in green, found ones
that match none in red, true ones that were missed in yellow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cytolake.transforms.segmentation.accuracy import overlaps, score
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.segmentation.ground_truth import TrueField

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
PANEL = 256
GAP = 4
CROPS = 4
WORST = 3
# Crops show about so many diameters, so that nuclei look alike at every magnification.
DIAMETERS_SHOWN = 9
# Palette of the pictures: greys, then the colours of the outlines.
GREYS = 48
COLOURS = ((60, 220, 90), (255, 70, 70), (255, 210, 40))
GREEN, RED, YELLOW = range(GREYS, GREYS + 3)

Bools = NDArray[np.bool_]
Segment = Callable[..., NDArray[np.int32]]


def draw_pictures(fields: Sequence[TrueField], diameters: Sequence[float], segment: Segment) -> Iterator[Path]:
    """Draw crops of the best images, no two of one kind, and of the images with the worst scores of all."""
    found = [
        segment(field.image, pixel_size_um=12 / diameter) for field, diameter in zip(fields, diameters, strict=True)
    ]
    f1 = [score(field.nuclei, labels, [0.5])[0].f1 for field, labels in zip(fields, found, strict=True)]
    enough = [min(1.0, (len(np.unique(field.nuclei)) - 1) / 20) for field in fields]
    FOLDER.mkdir(parents=True, exist_ok=True)
    best = _one_of_each_kind(fields, np.multiply(f1, enough))
    for name, worst, chosen in (("nuclei-right", False, best), ("nuclei-wrong", True, np.argsort(f1)[:WORST])):
        panels = [_panel(fields[index], found[index], diameters[index], worst=worst) for index in chosen]
        gap = np.full((panels[0].shape[0], GAP), GREYS - 1, np.uint8)
        joined = np.concatenate([part for panel in panels for part in (gap, panel)][1:], axis=1)
        picture = Image.fromarray(joined, mode="P")
        greys = np.repeat(np.linspace(0, 255, GREYS, dtype=np.uint8)[:, None], 3, axis=1)
        picture.putpalette(np.concatenate([greys, np.array(COLOURS, np.uint8)]).tobytes())
        path = FOLDER / f"{name}.png"
        picture.save(path, optimize=True)
        yield path


def _one_of_each_kind(fields: Sequence[TrueField], shares: NDArray[np.float64]) -> list[int]:
    """Best images by their scores, one of each image size: sizes are experiments."""
    chosen: dict[tuple[int, ...], int] = {}
    for index in np.argsort(-shares, kind="stable"):
        chosen.setdefault(fields[index].image.shape, int(index))
    return list(chosen.values())[:CROPS]


def _judge(true: NDArray[np.int32], found: NDArray[np.int32]) -> tuple[set[int], set[int]]:
    """Labels of the true and of the found objects that match."""
    pairs = overlaps(true, found)
    matched = pairs[pairs[:, 2] > 0.5]
    return {int(value) for value in matched[:, 0]}, {int(value) for value in matched[:, 1]}


def _panel(field: TrueField, found: NDArray[np.int32], diameter: float, *, worst: bool) -> NDArray[np.uint8]:
    true_hit, found_hit = _judge(field.nuclei, found)
    side = int(min(DIAMETERS_SHOWN * diameter, *field.image.shape))
    missed = _of(field.nuclei, true_hit, among=False)
    invented = _of(found, found_hit, among=False)
    right = _of(found, found_hit, among=True)
    y, x = _busiest((missed | invented) if worst else right, side)
    window = np.s_[y : y + side, x : x + side]
    picture = (_enlarged(_grey(field.image)[window], order=1) * (GREYS / 256)).astype(np.uint8)
    verdict = picture.copy()
    for labels, mask, colour in (
        (field.nuclei, missed, YELLOW),
        (found, invented, RED),
        (found, right, GREEN),
    ):
        large = _enlarged(np.where(mask, labels, 0)[window], order=0)
        verdict[_outlines(large)] = colour
    return np.concatenate([picture, np.full((GAP, PANEL), GREYS - 1, np.uint8), verdict])


def _of(labels: NDArray[np.int32], values: set[int], *, among: bool) -> Bools:
    hit = np.isin(labels, list(values))
    return hit if among else ~hit & (labels > 0)


def _busiest(mask: Bools, side: int) -> tuple[int, int]:
    """Upper left corner of the square that holds most of a mask."""
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(y), int(x)


def _grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = np.percentile(image, [0.5, 99.8])
    return (255 * np.sqrt(np.clip((image - low) / max(high - low, 1), 0, 1))).astype(np.uint8)


def _enlarged(plane: NDArray[Any], *, order: int) -> NDArray[Any]:
    how = Image.Resampling.BICUBIC if order else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(plane).resize((PANEL, PANEL), how))


def _outlines(labels: NDArray[np.int32]) -> Bools:
    low, high = ndimage.minimum_filter(labels, 3), ndimage.maximum_filter(labels, 3)
    return (labels > 0) & ((low != labels) | (high != labels))
