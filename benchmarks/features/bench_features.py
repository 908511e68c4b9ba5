"""AreaShape, Intensity and Location of one field against cp_measure and scikit-image, one thread, warm.

    python -m benchmarks.features.bench_features [--rounds 9]

The field has 5 channels of 1080 x 1080 uint16 with 220 nuclei and their 220 cells. Each contender starts from label
images and pixels in memory and ends with all values of both object sets; ours includes the label index. The columns
that a contender shares with ours must agree before anything is timed. cp_measure is given intensities from 0 to 1 as
it asks for (made beforehand), scikit-image the properties that our columns have there and no others.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from typing import Any

import cp_measure
import numpy as np
from cp_measure.bulk import get_core_measurements
from cytolake.demo.scene import Pattern, draw_shapes, expose, light
from cytolake.transforms.features.families import columns_of, compute
from cytolake.transforms.features.label_index import label_index
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from benchmarks.measuring import (
    extra_memory_mb,
    interleaved,
    machine,
    markdown_table,
    ratio,
    write_result,
)

SIZE, OBJECTS = 1080, 220
ROLES = ("DNA", "ER", "RNA", "AGP", "Mito")
PATTERNS: tuple[Pattern, ...] = ("nucleus", "endoplasmic", "nucleoli", "rim", "mitochondria")
FAMILIES = ("AreaShape", "Intensity", "Location")
OURS = "cytolake"

Table = dict[str, NDArray[np.float64]]


def make_field() -> tuple[NDArray[np.uint16], dict[str, NDArray[np.int32]]]:
    """Make the image (c, y, x) and the two label images."""
    rng = np.random.default_rng(7)
    shapes = draw_shapes(rng, size=SIZE, spacing=73, nucleus_radius=13, cell_radius=34, keep=1.0, touching=0.2)
    both = np.intersect1d(np.unique(shapes.nuclei), np.unique(shapes.cells))[1:]
    if len(both) < OBJECTS:
        raise RuntimeError(f"the field holds only {len(both)} cells, wanted {OBJECTS}: lessen the spacing")
    keep = np.zeros(shapes.count + 1, bool)
    keep[both[:OBJECTS]] = True
    labels = {"nuclei": shapes.nuclei * keep[shapes.nuclei], "cells": shapes.cells * keep[shapes.cells]}
    image = np.empty((len(ROLES), SIZE, SIZE), np.uint16)
    for plane, pattern in zip(image, PATTERNS, strict=True):
        expose(rng, light(rng, shapes, pattern, brightness=6000, background=150), plane)
    return image, {name: np.ascontiguousarray(plane, np.int32) for name, plane in labels.items()}


def with_cytolake(image: NDArray[np.uint16], labels: dict[str, NDArray[np.int32]]) -> dict[str, Table]:
    tables = {}
    for name, plane in labels.items():
        columns, values = compute(FAMILIES, name, label_index(plane), image, ROLES)
        tables[name] = {column.name: values[:, k] for k, column in enumerate(columns)}
    return tables


def with_cp_measure(
    scaled: NDArray[np.float64], labels: dict[str, NDArray[np.int32]], accelerator: str | None
) -> dict[str, Table]:
    cp_measure.set_accelerator(accelerator)
    measure = get_core_measurements()
    tables = {}
    for name, plane in labels.items():
        prefix = name.capitalize()
        shape = measure["sizeshape"](plane, None, calculate_advanced=False, new_features=False)
        shape |= measure["feret"](plane, None)
        table = {f"{prefix}_AreaShape_{key}": values for key, values in shape.items()}
        for role, channel in zip(ROLES, scaled, strict=True):
            for key, values in measure["intensity"](plane, channel).items():
                table[f"{prefix}_{key}_{role}"] = values
        tables[name] = table
    return tables


def scikit_image_names() -> dict[str, str]:
    """Our columns that scikit-image has, without their object set, to the column of its table."""
    names = {}
    for column in columns_of(FAMILIES, "x", ROLES):
        for alias in column.aliases:
            tool, _, theirs = alias.partition(":")
            if tool == "scikit-image":
                channel = "" if column.channel_role is None else f"-{ROLES.index(column.channel_role)}"
                names[column.name.removeprefix("X_")] = theirs + channel
    return names


def with_scikit_image(
    image_yxc: NDArray[np.uint16], labels: dict[str, NDArray[np.int32]], names: dict[str, str]
) -> dict[str, Table]:
    properties = sorted({theirs.partition("-")[0] for theirs in names.values()})
    tables = {}
    for name, plane in labels.items():
        found = regionprops_table(plane, image_yxc, properties=properties)
        tables[name] = {f"{name.capitalize()}_{ours}": found[theirs] for ours, theirs in names.items()}
    return tables


def check_agreement(ours: dict[str, Table], theirs: dict[str, Table], contender: str) -> int:
    """Count the columns shared per object set; raise where one differs by more than 1e-9 of its largest value."""
    shared = 0
    for name, table in theirs.items():
        for column in table.keys() & ours[name].keys():
            shared += 1
            if "_Location_MaxIntensity_" in column:
                continue  # of several brightest pixels every tool names another
            reference, value = table[column].astype(float), ours[name][column]
            if contender == "scikit-image":
                if "Orientation" in column:
                    reference = np.degrees(reference)
                elif "_Intensity_" in column:
                    reference = reference / np.iinfo(np.uint16).max
            worst, scale = np.abs(value - reference).max(), np.abs(reference).max()
            if not worst <= 1e-9 * scale:
                raise RuntimeError(f"{contender} and we differ in {column} by {worst} at a scale of {scale}")
    return shared // len(theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")

    image, labels = make_field()
    scaled = image / np.iinfo(np.uint16).max
    image_yxc = np.ascontiguousarray(np.moveaxis(image, 0, -1))
    names = scikit_image_names()
    contenders: dict[str, Any] = {
        OURS: lambda: with_cytolake(image, labels),
        "cp_measure": lambda: with_cp_measure(scaled, labels, None),
        "cp_measure + numba": lambda: with_cp_measure(scaled, labels, "numba"),
        "scikit-image": lambda: with_scikit_image(image_yxc, labels, names),
    }
    ours = contenders[OURS]()
    shared = {name: check_agreement(ours, run(), name) for name, run in contenders.items()}
    seconds = interleaved(contenders, rounds)
    memory = {name: extra_memory_mb(run) for name, run in contenders.items()}

    result = {
        "what": f"{len(ROLES)} × {SIZE}² uint16, {OBJECTS} nuclei and {OBJECTS} cells, one thread, warm",
        "foreground_pixels": int(sum((plane > 0).sum() for plane in labels.values())),
        "rounds": rounds,
        "contenders": {
            name: {
                "columns_compared": shared[name],
                "median_cpu_s": round(statistics.median(seconds[name]), 5),
                "cpu_s": [round(one, 5) for one in seconds[name]],
                "times_ours": round(ratio(seconds, name, OURS), 2),
                "extra_memory_mb": memory[name],
            }
            for name in contenders
        },
        "targets": {"cp_measure": 12, "scikit-image": 10},
        **machine(["cytolake", "cp_measure", "scikit-image", "numba", "numpy", "scipy"]),
    }
    path = write_result("features", result)
    rows = [
        (
            name,
            facts["columns_compared"],
            f"{facts['median_cpu_s'] * 1000:.0f}",
            f"{facts['times_ours']:.1f}×",
            memory[name],
        )
        for name, facts in result["contenders"].items()
    ]
    print(f"{result['what']}; {result['processor']}\n")
    print(markdown_table(("", "columns", "CPU ms", "times ours", "extra MB"), rows))
    print(f"\n{path}")
    missed = [name for name, target in result["targets"].items() if result["contenders"][name]["times_ours"] < target]
    if missed:
        raise SystemExit(f"the target is missed against {', '.join(missed)}")


if __name__ == "__main__":
    main()
