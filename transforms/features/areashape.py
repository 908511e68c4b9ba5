"""AreaShape: size and form of each object, with CellProfiler's names and definitions.

This module only puts the measures together; the geometry is in :mod:`.moments`, :mod:`.perimeter`, :mod:`.hull` and
:mod:`.radii`. Lengths are pixels, angles degrees. What is undefined for an object (the direction of a round one, the
form factor of a single pixel) is NaN; :mod:`.dictionary` gives the reason per column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .hull import hull_measures
from .label_index import LabelIndex
from .moments import Moments, centroids, moments
from .perimeter import euler_number, perimeter
from .radii import radii

FloatArray = NDArray[np.float64]


def area_shape(index: LabelIndex) -> dict[str, FloatArray]:
    """Measure AreaShape of every object: operator name to float64 (n,)."""
    area = np.diff(index.offsets).astype(np.float64)
    box = index.bbox.astype(np.float64)
    box_area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    outline = perimeter(index)
    convex_area, smallest_feret, largest_feret = hull_measures(index)
    largest_radius, mean_radius, median_radius = radii(index)
    centre = centroids(index)
    of_ellipse = moments(index)
    return {
        "Area": area,
        "BoundingBoxArea": box_area,
        "BoundingBoxMaximum_X": box[:, 3],
        "BoundingBoxMaximum_Y": box[:, 2],
        "BoundingBoxMinimum_X": box[:, 1],
        "BoundingBoxMinimum_Y": box[:, 0],
        "Center_X": centre[:, 1],
        "Center_Y": centre[:, 0],
        "Compactness": outline**2 / (4 * np.pi * area),
        "ConvexArea": convex_area,
        "Eccentricity": eccentricity(of_ellipse),
        "EquivalentDiameter": np.sqrt(4 * area / np.pi),
        "EulerNumber": euler_number(index),
        "Extent": area / box_area,
        "FormFactor": _ratio(4 * np.pi * area, outline**2),
        "MajorAxisLength": 4 * np.sqrt(of_ellipse.eigenvalues[:, 0]),
        "MaxFeretDiameter": largest_feret,
        "MaximumRadius": largest_radius,
        "MeanRadius": mean_radius,
        "MedianRadius": median_radius,
        "MinFeretDiameter": smallest_feret,
        "MinorAxisLength": 4 * np.sqrt(of_ellipse.eigenvalues[:, 1]),
        "Orientation": orientation(of_ellipse),
        "Perimeter": outline,
        "Solidity": area / convex_area,
    }


def area_shape_advanced(index: LabelIndex) -> dict[str, FloatArray]:
    """Measure CellProfiler's "advanced" shape features, the moments: operator name to float64 (n,)."""
    of = moments(index)
    measures: dict[str, FloatArray] = {}
    for p in range(3):  # CellProfiler lists rows 0 … 2 of these two, and all of the normalized ones
        for q in range(4):
            measures[f"SpatialMoment_{p}_{q}"] = of.raw[:, p, q]
            measures[f"CentralMoment_{p}_{q}"] = of.central[:, p, q]
    for p in range(4):
        for q in range(4):
            measures[f"NormalizedMoment_{p}_{q}"] = of.normalized[:, p, q]
    for k in range(7):
        measures[f"HuMoment_{k}"] = of.hu[:, k]
    for i in range(2):
        measures[f"InertiaTensorEigenvalues_{i}"] = of.eigenvalues[:, i]
        for j in range(2):
            measures[f"InertiaTensor_{i}_{j}"] = of.inertia[:, i, j]
    return measures


def eccentricity(of: Moments) -> FloatArray:
    """Distance between the foci over the major axis of the ellipse of equal second moments; NaN for a single pixel."""
    major, minor = of.eigenvalues[:, 0], of.eigenvalues[:, 1]
    return np.sqrt(1 - _ratio(minor, major))


def orientation(of: Moments) -> FloatArray:
    """Angle of the major axis from the y axis in degrees, -90 … 90, counter-clockwise; NaN without a longer axis."""
    across = 2 * of.inertia[:, 0, 1]
    along = of.inertia[:, 1, 1] - of.inertia[:, 0, 0]
    angle = np.degrees(0.5 * np.arctan2(-across, along))
    return np.where((across == 0) & (along == 0), np.nan, angle)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """``numerator / denominator``, NaN where the denominator is 0."""
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator != 0)
    return ratio
