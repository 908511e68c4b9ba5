"""Family Texture: Haralick's 13 features in four directions, at every scale and for every channel asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import cast

import numpy as np

from ..parameters import Parameter
from .dictionary import FeatureColumn, Operator, feature_column
from .family import Family, FieldObjects, FloatArray, Use

_SOURCE = (
    "CellProfiler 4 MeasureTexture, mahotas.features.haralick; R. M. Haralick, K. Shanmugam, I. Dinstein, IEEE Trans. "
    "Syst. Man Cybern. 3 (1973) 610-621"
)
_UNDEFINED = (
    "where the field lacks this channel, the object has a pixel that is not finite, or one of the four directions has "
    "no pair of pixels at this scale with both in the object and above grey level 0"
)
#: Where the second pixel of a pair lies, by the number of the direction in CellProfiler's names.
DIRECTIONS = ("to the right", "down and to the right", "down", "down and to the left")


def _haralick(name: str, unit: str, definition: str) -> Operator:
    return Operator(name=name, unit=unit, definition=definition, source=_SOURCE, undefined=_UNDEFINED)


#: In Haralick's order, which is the kernel's. ``p`` is the matrix of co-occurrences.
TEXTURE = (
    _haralick("AngularSecondMoment", "1", "Σ p²: 1 for one grey level, less the more kinds of pairs there are."),
    _haralick("Contrast", "{levels2}", "Mean squared difference between the two grey levels of a pair."),
    _haralick(
        "Correlation", "1", "Pearson correlation between the two grey levels of a pair; 1 where there is one level."
    ),
    _haralick("Variance", "{levels2}", "Variance of the grey levels in the pairs."),
    _haralick("InverseDifferenceMoment", "1", "Mean of 1 / (1 + d²) over the pairs, d the difference of their levels."),
    _haralick("SumAverage", "{levels}", "Mean sum of the two grey levels of a pair."),
    _haralick("SumVariance", "{levels2}", "Variance of the sum of the two grey levels of a pair."),
    _haralick("SumEntropy", "bit", "Entropy, to the base 2, of the sum of the two grey levels of a pair."),
    _haralick("Entropy", "bit", "Entropy, to the base 2, of the pairs of grey levels: -Σ p log2 p."),
    _haralick(
        "DifferenceVariance",
        "1",
        "Variance of the shares that the differences 0, 1, … up to the object's highest grey level have among the "
        "pairs (mahotas's reading of Haralick: of the shares, not of the differences).",
    ),
    _haralick("DifferenceEntropy", "bit", "Entropy, to the base 2, of the difference of the grey levels of a pair."),
    _haralick(
        "InfoMeas1",
        "1",
        "(Entropy - 2 H) / H with H the entropy of the grey levels in the pairs: 0 where the two levels of a pair are "
        "independent or there is one level, -1 where one tells the other.",
    ),
    _haralick(
        "InfoMeas2",
        "1",
        "√(1 - exp(-2 (2 H - Entropy))) with H the entropy of the grey levels in the pairs: 0 where the two levels of "
        "a pair are independent; values below 1e-7 are rounding.",
    ),
)


def _settings(use: Use) -> tuple[Sequence[int], int]:
    """Give scales and number of grey levels."""
    return cast("Sequence[int]", use.parameters["scales"]), cast("int", use.parameters["levels"])


def _columns(use: Use) -> list[FeatureColumn]:
    scales, levels = _settings(use)
    columns = []
    for role in use.roles:
        for scale in scales:
            for direction, way in enumerate(DIRECTIONS):
                suffix = (str(scale), f"{direction:02d}", str(levels))
                pairs = f"Pairs: each pixel and the one {scale} px {way}, {levels} grey levels."
                for operator in TEXTURE:
                    here = replace(
                        operator,
                        definition=f"{operator.definition} Haralick texture. {pairs}",
                        aliases=("_".join((f"cp_measure:{operator.name}", *suffix)),),
                    )
                    columns.append(
                        feature_column(use.object_set, "Texture", here, roles=(role,), scale=scale, suffix=suffix)
                    )
    return columns


def _measure(objects: FieldObjects, use: Use) -> FloatArray:
    from .finite import not_finite
    from .texture import haralick, quantised

    scales, levels = _settings(use)
    field, index = objects.field, objects.index
    values = np.full((len(index), len(use.roles), len(scales), len(DIRECTIONS), len(TEXTURE)), np.nan)
    for i, c in enumerate(objects.channels(use.roles)):
        if not field.present[c]:
            continue
        plane = field.pixels()[c]
        of_levels = field.shared(("texture", c, levels), partial(quantised, plane, field.full_scale, levels))
        values[:, i] = haralick(index, of_levels, scales)
        values[not_finite(index, plane), i] = np.nan
    return values.reshape(len(index), prod(values.shape[1:]))


FAMILY = Family(
    name="Texture",
    version=1,
    channels="each",
    parameters={
        "scales": Parameter(
            default=(3, 5, 10), meaning="Distances in pixels between the two pixels of a pair.", low=1, high=1024
        ),
        "levels": Parameter(default=256, meaning="Number of grey levels.", low=2, high=256),
    },
    columns=_columns,
    measure=_measure,
)
