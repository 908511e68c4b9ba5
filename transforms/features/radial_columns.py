"""Family RadialDistribution: intensity in rings from an object's centre to its edge, and its Zernike moments."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from ..parameters import Parameter
from .dictionary import FeatureColumn, Operator, feature_column
from .family import Family, FieldObjects, FloatArray, Use
from .zernike_columns import zernike_orders

_CATEGORY = "RadialDistribution"
_SOURCE = "CellProfiler 4 MeasureObjectIntensityDistribution"
_NO_CHANNEL = "where the field lacks this channel, the object has a pixel that is not finite"
_NO_RING = f"{_NO_CHANNEL}, has no intensity or fills the whole image"
_PLACE = (
    "Rings are equal parts of g / (g + e + 0.001), g the way inside the object from its pixel farthest from the edge, "
    "e the distance to the nearest pixel outside; parts of the object without such a way are left out."
)


def _radial(name: str, definition: str, undefined: str) -> Operator:
    return Operator(name=name, unit="1", definition=f"{definition} {_PLACE}", source=_SOURCE, undefined=undefined)


RADIAL = (
    _radial("FracAtD", "Share of the object's intensity that lies in the ring.", _NO_RING),
    _radial(
        "MeanFrac",
        "Share of the object's intensity in the ring over the ring's share of its pixels.",
        f"{_NO_RING}, or where the ring has no pixel",
    ),
    _radial(
        "RadialCV",
        "Standard deviation over mean, of the mean intensities of the ring's parts in eight wedges round the centre.",
        f"{_NO_RING}, or where the ring has no pixel or no intensity",
    ),
)
_ZERNIKE_SOURCE = f"{_SOURCE}; Boland, Markey, Murphy, Cytometry 33 (1998) 366-375"
_ON_CIRCLE = "over the object's pixels, weighted by intensity, on the smallest circle round them."
MAGNITUDE = Operator(
    name="ZernikeMagnitude",
    unit="1",
    definition=f"Magnitude of the sum of the Zernike polynomial {_ON_CIRCLE} It is divided by the number of pixels. "
    "Every pixel counts (centrosome drops those on the circle that rounding puts outside).",
    source=_ZERNIKE_SOURCE,
    undefined=f"{_NO_CHANNEL} or is a single pixel",
)
PHASE = Operator(
    name="ZernikePhase",
    unit="rad",
    definition=f"Angle whose tangent is the real over the imaginary part of the sum of the Zernike polynomial "
    f"{_ON_CIRCLE}",
    source=_ZERNIKE_SOURCE,
    undefined=f"{_NO_CHANNEL} or is a single pixel, or where the sum is 0",
)


def _settings(use: Use) -> tuple[int, tuple[Operator, ...]]:
    """Give the number of rings and the Zernike operators asked for."""
    zernike = {"none": (), "magnitude": (MAGNITUDE,), "magnitude-and-phase": (MAGNITUDE, PHASE)}
    return cast("int", use.parameters["bins"]), zernike[str(use.parameters["zernike"])]


def _column(use: Use, operator: Operator, role: str, *suffix: str) -> FeatureColumn:
    theirs = "_".join((f"cp_measure:{_CATEGORY}", operator.name, *suffix))
    operator = replace(operator, aliases=(theirs,))
    return feature_column(use.object_set, _CATEGORY, operator, roles=(role,), suffix=suffix)


def _columns(use: Use) -> list[FeatureColumn]:
    bins, zernike = _settings(use)
    columns = []
    for role in use.roles:
        for operator in RADIAL:
            columns += [_column(use, operator, role, f"{ring}of{bins}") for ring in range(1, bins + 1)]
        for operator in zernike:
            columns += [_column(use, operator, role, str(n), str(m)) for n, m in zernike_orders()]
    return columns


def _measure(objects: FieldObjects, use: Use) -> FloatArray:
    from .finite import not_finite
    from .radial import radial_distribution, rings

    bins, zernike = _settings(use)
    field, index, channels = objects.field, objects.index, objects.channels(use.roles)
    sorted_pixels = rings(index, bins)
    distribution = np.full((len(channels), len(index), len(RADIAL) * bins), np.nan)
    for i, c in enumerate(channels):
        if field.present[c]:
            plane = field.pixels()[c]
            distribution[i] = radial_distribution(sorted_pixels, plane).reshape(len(index), len(RADIAL) * bins)
            distribution[i, not_finite(index, plane)] = np.nan
    moments: tuple[FloatArray, ...] = ()
    if zernike:
        from .zernike import intensity_zernikes

        moments = intensity_zernikes(index, field.pixels(), objects.asked(use.roles), field.full_scale)[: len(zernike)]
    parts = [np.empty((len(index), 0))]
    for i, c in enumerate(channels):
        parts += [distribution[i], *(moment[:, c] for moment in moments)]
    return np.concatenate(parts, axis=1)


FAMILY = Family(
    name=_CATEGORY,
    version=1,
    channels="each",
    parameters={
        "bins": Parameter(default=4, meaning="Number of rings from the centre to the edge.", low=2, high=64),
        "zernike": Parameter(
            default="none",
            meaning="Zernike moments of the intensity, degree 9.",
            choices=("none", "magnitude", "magnitude-and-phase"),
        ),
    },
    columns=_columns,
    measure=_measure,
)
