"""What the feature benchmark measures: one synthetic field for speed, and real images for agreement as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from cytolake.demo.scene import Pattern, draw_shapes, expose, light
from numpy.typing import NDArray
from skimage.io import imread
from skimage.measure import label
from skimage.segmentation import relabel_sequential

from benchmarks.segmentation.ground_truth import data_folder, data_science_bowl

SIZE, OBJECTS = 1080, 220
ROLES = ("DNA", "ER", "RNA", "AGP", "Mito")
PATTERNS: tuple[Pattern, ...] = ("nucleus", "endoplasmic", "nucleoli", "rim", "mitochondria")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field: its channels, and the label images of its object sets.

    Attributes
    ----------
    image : uint8 or uint16 (c, y, x)
        The pixels as they are stored.
    roles
        Name of each channel.
    labels : {object set: int32 (y, x)}
        0 is background, objects are 1 to n: some of the peers ask for no gaps.
    """

    image: NDArray[Any]
    roles: tuple[str, ...]
    labels: Mapping[str, NDArray[np.int32]]

    @property
    def full_scale(self) -> int:
        """Grey value that becomes intensity 1."""
        return int(np.iinfo(self.image.dtype).max)

    @cached_property
    def scaled(self) -> NDArray[np.float64]:
        """Channels as cp_measure asks for them: float64 (c, y, x) from 0 to 1."""
        return self.image / self.full_scale

    @cached_property
    def channels_last(self) -> NDArray[Any]:
        """The channels as scikit-image asks for them: (y, x, c)."""
        return np.ascontiguousarray(np.moveaxis(self.image, 0, -1))


def standard_field() -> Field:
    """Make 5 channels of 1080 x 1080 uint16 with 220 nuclei and their 220 cells."""
    rng = np.random.default_rng(7)
    shapes = draw_shapes(rng, size=SIZE, spacing=73, nucleus_radius=13, cell_radius=34, keep=1.0, touching=0.2)
    both = np.intersect1d(np.unique(shapes.nuclei), np.unique(shapes.cells))[1:]
    if len(both) < OBJECTS:
        raise RuntimeError(f"the field holds only {len(both)} cells, wanted {OBJECTS}: lessen the spacing")
    renumbered = np.zeros(shapes.count + 1, np.int32)
    renumbered[both[:OBJECTS]] = np.arange(1, OBJECTS + 1)
    image = np.empty((len(ROLES), SIZE, SIZE), np.uint16)
    for plane, pattern in zip(image, PATTERNS, strict=True):
        expose(rng, light(rng, shapes, pattern, brightness=6000, background=150), plane)
    return Field(
        image=image, roles=ROLES, labels={"nuclei": renumbered[shapes.nuclei], "cells": renumbered[shapes.cells]}
    )


def cell_painting_fields() -> Iterator[Field]:
    """Give five fields of NF1 cells, three channels, with the published masks of nuclei and cells.

    The masks are of zeros and ones, so objects that touch are one here.
    """
    folder = data_folder() / "images" / "cellpainting-nf1"
    roles = ("DAPI", "GFP", "RFP")
    for dapi in sorted((folder / "Plate_2_images").glob("*_DAPI_*.tif")):
        well, one, _, site, _, last = dapi.stem.split("_")
        names = [f"{well}_{one}_{k}_{site}_{role}_{last}" for k, role in enumerate(roles, start=1)]
        masks = folder / "Plate_2_masks"
        yield Field(
            image=np.stack([imread(dapi.with_name(f"{name}.tif")) for name in names]),
            roles=roles,
            labels={
                "nuclei": label(imread(masks / f"{names[0]}_MaskNuclei.tiff") > 0).astype(np.int32),
                "cells": label(imread(masks / f"{names[2]}_MaskCells.tiff") > 0).astype(np.int32),
            },
        )


def nuclei_fields() -> Iterator[Field]:
    """Give the Data Science Bowl's fluorescence images, nuclei outlined by people, and StarDist's sample of them."""
    sample = data_folder() / "images" / "stardist-sample"
    pairs = [(one.image, one.nuclei) for one in data_science_bowl()]
    pairs.append((imread(sample / "img2d.tif"), imread(sample / "mask2d.tif").astype(np.int32)))
    for image, nuclei in pairs:
        yield Field(image=image[None], roles=("DNA",), labels={"nuclei": relabel_sequential(nuclei)[0]})


#: Real images, by the name of their folder.
REAL = {"cellpainting-nf1": cell_painting_fields, "dsb2018": nuclei_fields}
