"""Nuclei of real images against outlines drawn by people, and the speed of a field.

    python -m benchmarks.segmentation.bench_segmentation [--rounds 5] [--pictures]

The images do not say how large a pixel is. Each method is therefore scored twice: with the size of nuclei estimated
from each image, as happens with such a plate, and with the size known from the truth, as a pixel size would tell. No
setting differs between images. ``--pictures`` draws docs/images anew.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from cytolake.demo.scene import draw_shapes, expose, light
from cytolake.transforms.segmentation.accuracy import THRESHOLDS, Score, pool, score
from cytolake.transforms.segmentation.cells import cells_from_nuclei
from cytolake.transforms.segmentation.component_trees import segment_component_trees
from cytolake.transforms.segmentation.local_threshold import segment_nuclei
from cytolake.transforms.segmentation.otsu import segment_otsu
from cytolake.transforms.segmentation.scale import typical_diameter
from numpy.typing import NDArray

from benchmarks.measuring import interleaved, machine, markdown_table, write_result
from benchmarks.segmentation.ground_truth import TrueField, data_science_bowl
from benchmarks.segmentation.pictures import draw_pictures

Segment = Callable[..., NDArray[np.int32]]
METHODS: dict[str, Segment] = {
    "component-trees": segment_component_trees,
    "component-trees, fast": partial(segment_component_trees, variant="fast"),
    "local-threshold": segment_nuclei,
    "otsu": segment_otsu,
}
DEFAULT = "component-trees"
DIAMETER_UM = 12.0
SIZES = (1080, 2160)
# Of the method of the shipped recipes, with the size of nuclei estimated.
F1_TARGETS = {"0.5": 0.85, "0.7": 0.74, "0.9": 0.29}
# Megapixels a CPU second on every drawn field.
SPEED_TARGETS = {"component-trees, fast": 2.0, "local-threshold": 3.0}


def pixel_size(diameter: float) -> float:
    """Pixel size in µm at which nuclei of this many pixels are as large as the methods expect."""
    return DIAMETER_UM / diameter


def facts(scores: Sequence[Score]) -> dict[str, Any]:
    """Precision, recall and F1 by threshold, rounded for reading."""
    return {
        str(one.threshold): {
            "precision": round(one.precision, 4),
            "recall": round(one.recall, 4),
            "f1": round(one.f1, 4),
        }
        for one in scores
    }


def judge(fields: Sequence[TrueField], diameters: Sequence[float], segment: Segment) -> dict[str, Any]:
    """Score one method on all fields."""
    scores = [
        score(field.nuclei, segment(field.image, pixel_size_um=pixel_size(diameter), diameter_um=DIAMETER_UM))
        for field, diameter in zip(fields, diameters, strict=True)
    ]
    return {
        "pooled": facts(pool(scores)),
        "mean_f1_of_images": {
            str(t): round(statistics.mean(one[k].f1 for one in scores), 4) for k, t in enumerate(THRESHOLDS)
        },
        "images": {
            field.name: {
                "true": one[0].true,
                "found": one[0].found,
                "f1_at_0.5": round(one[0].f1, 4),
                "diameter_px": round(diameter, 1),
            }
            for field, one, diameter in zip(fields, scores, diameters, strict=True)
        },
    }


def drawn_field(size: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16], Any]:
    """DNA plane, RNA plane and the shapes of a synthetic field with cells of known outline, nuclei of 26 pixels."""
    rng = np.random.default_rng(11)
    shapes = draw_shapes(rng, size=size, spacing=73, nucleus_radius=13, cell_radius=34, keep=1.0, touching=0.2)
    planes = np.empty((2, size, size), np.uint16)
    for plane, pattern in zip(planes, ("nucleus", "nucleoli"), strict=True):
        expose(rng, light(rng, shapes, pattern, brightness=6000, background=150), plane)
    return planes[0], planes[1], shapes


def speed(rounds: int, size: int) -> dict[str, dict[str, float]]:
    """Megapixels a CPU second of each step on one field."""
    dna, rna, shapes = drawn_field(size)
    scale = pixel_size(26)
    nuclei = np.ascontiguousarray(shapes.nuclei, np.int32)
    steps = {name: partial(method, dna, pixel_size_um=scale) for name, method in METHODS.items()}
    steps["watershed"] = partial(cells_from_nuclei, rna, nuclei, pixel_size_um=scale)
    steps["size of nuclei"] = partial(typical_diameter, dna)
    return {
        name: {
            "median_cpu_s": round(statistics.median(seconds), 4),
            "mpx_per_cpu_s": round(dna.size / 1e6 / statistics.median(seconds), 2),
        }
        for name, seconds in interleaved(steps, rounds).items()
    }


def cells() -> dict[str, Any]:
    """Cells and nuclei found on the synthetic field, against its truth."""
    dna, rna, shapes = drawn_field(SIZES[0])
    scale = pixel_size(26)
    nuclei = METHODS[DEFAULT](dna, pixel_size_um=scale)
    found = cells_from_nuclei(rna, nuclei, pixel_size_um=scale, max_distance_um=25)
    return {
        "nuclei": facts(score(np.ascontiguousarray(shapes.nuclei, np.int32), nuclei)),
        "cells": facts(score(np.ascontiguousarray(shapes.cells, np.int32), found)),
    }


def missed(result: dict[str, Any]) -> list[str]:
    """Targets that were not reached."""
    f1 = result["size_estimated"][DEFAULT]["pooled"]
    wanting = [f"F1 at {t} {f1[t]['f1']}" for t, least in F1_TARGETS.items() if f1[t]["f1"] < least]
    for field, steps in result["speed"].items():
        for name, least in SPEED_TARGETS.items():
            reached = steps[name]["mpx_per_cpu_s"]
            if reached < least:
                wanting.append(f"{name} on {field} {reached} Mpx/s")
    return wanting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", action="store_true", help="draw the pictures of the documentation anew")
    asked = parser.parse_args()

    fields = data_science_bowl()
    estimated = [typical_diameter(field.image) for field in fields]
    known = [field.diameter() for field in fields]
    nuclei = sum(len(np.unique(field.nuclei)) - 1 for field in fields)
    result: dict[str, Any] = {
        "what": f"{len(fields)} fluorescence images of BBBC038, {nuclei} nuclei",
        "size_estimated": {name: judge(fields, estimated, method) for name, method in METHODS.items()},
        "size_known": {name: judge(fields, known, method) for name, method in METHODS.items()},
        "synthetic": cells(),
        "speed": {f"{size}²": speed(asked.rounds, size) for size in SIZES},
        "rounds": asked.rounds,
        "targets": {"f1": F1_TARGETS, "mpx_per_cpu_s": SPEED_TARGETS},
        **machine(["cytolake", "scikit-image", "numpy", "scipy"]),
    }
    path = write_result("segmentation", result)
    rows = [
        (f"{name}, size {how}", *(f"{result[f'size_{how}'][name]['pooled'][str(t)]['f1']:.2f}" for t in THRESHOLDS))
        for how in ("estimated", "known")
        for name in METHODS
    ]
    print(f"{result['what']}; {result['processor']}\n")
    print(markdown_table(("pooled F1 at IoU >", *map(str, THRESHOLDS)), rows))
    print()
    fields_drawn = list(result["speed"])
    print(
        markdown_table(
            ("Mpx per CPU s, one field of", *fields_drawn),
            [
                (name, *(result["speed"][field][name]["mpx_per_cpu_s"] for field in fields_drawn))
                for name in result["speed"][fields_drawn[0]]
            ],
        )
    )
    print(f"\n{path}")
    if asked.pictures:
        for picture in draw_pictures(fields, estimated, METHODS[DEFAULT]):
            print(picture)

    if wanting := missed(result):
        raise SystemExit(f"missed: {', '.join(wanting)}")


if __name__ == "__main__":
    main()
