"""The operators of the families that are built in: CellProfiler's names, in plain words.

``cp_measure`` aliases are the keys of its result dictionaries, ``scikit-image`` ones the properties of ``regionprops``
that hold the same number (orientation up to the unit). Units are UCUM's: pixels are not one, so they stand in braces.
"""

from __future__ import annotations

from .dictionary import Operator

_CELLPROFILER_SHAPE = "CellProfiler 4 MeasureObjectSizeShape"
_CELLPROFILER_INTENSITY = "CellProfiler 4 MeasureObjectIntensity"
_LENGTH, _AREA = "{pixels}", "{pixels2}"
_CROP = "x and y count from the corner of the object's bounding box, p powers of y, q powers of x"
_NO_CHANNEL = "the field lacks this channel or the object has a pixel that is not finite"


def _shape(
    name: str, unit: str, definition: str, skimage: str = "", *, undefined: str = "", source: str = _CELLPROFILER_SHAPE
) -> Operator:
    return Operator(
        name=name,
        unit=unit,
        definition=definition,
        source=source,
        undefined=undefined,
        aliases=(f"cp_measure:{name}", *((f"scikit-image:{skimage}",) if skimage else ())),
    )


AREA_SHAPE = (
    _shape("Area", _AREA, "Number of pixels of the object.", "area"),
    _shape("BoundingBoxArea", _AREA, "Area of the upright box round the object.", "area_bbox"),
    _shape("BoundingBoxMaximum_X", _LENGTH, "First column right of the object.", "bbox-3"),
    _shape("BoundingBoxMaximum_Y", _LENGTH, "First row below the object.", "bbox-2"),
    _shape("BoundingBoxMinimum_X", _LENGTH, "First column of the object.", "bbox-1"),
    _shape("BoundingBoxMinimum_Y", _LENGTH, "First row of the object.", "bbox-0"),
    _shape("Center_X", _LENGTH, "Mean column of the object's pixels; pixel centres are whole numbers.", "centroid-1"),
    _shape("Center_Y", _LENGTH, "Mean row of the object's pixels; pixel centres are whole numbers.", "centroid-0"),
    _shape("Compactness", "1", "Perimeter² / (4π · Area): 1 for a disc, more for other forms."),
    _shape(
        "ConvexArea",
        _AREA,
        "Number of pixel centres in the convex hull of the middles of the pixels' edges, outline included.",
        "area_convex",
    ),
    _shape(
        "Eccentricity",
        "1",
        "Distance between the foci over the major axis, of the ellipse with the object's second moments: "
        "0 for a disc, 1 for a line.",
        "eccentricity",
        undefined="for a single pixel, whose ellipse has no axes",
    ),
    _shape("EquivalentDiameter", _LENGTH, "Diameter of the disc of the same area.", "equivalent_diameter_area"),
    _shape("EulerNumber", "1", "Number of parts minus number of holes, parts 8-connected.", "euler_number"),
    _shape("Extent", "1", "Area / BoundingBoxArea.", "extent"),
    _shape(
        "FormFactor",
        "1",
        "4π · Area / Perimeter²: 1 for a disc, less for other forms.",
        undefined="where Perimeter is 0: the estimator gives single pixels no outline",
    ),
    _shape(
        "MajorAxisLength",
        _LENGTH,
        "Long axis of the ellipse with the object's second moments.",
        "axis_major_length",
    ),
    _shape(
        "MaxFeretDiameter",
        _LENGTH,
        "Largest distance between two parallel tangents of the convex hull of the pixel centres.",
    ),
    _shape("MaximumRadius", _LENGTH, "Largest distance of a pixel of the object to the nearest pixel outside it."),
    _shape("MeanRadius", _LENGTH, "Mean distance of the object's pixels to the nearest pixel outside it."),
    _shape("MedianRadius", _LENGTH, "Median distance of the object's pixels to the nearest pixel outside it."),
    _shape(
        "MinFeretDiameter",
        _LENGTH,
        "Smallest distance between two parallel tangents of the convex hull of the pixel centres.",
    ),
    _shape(
        "MinorAxisLength",
        _LENGTH,
        "Short axis of the ellipse with the object's second moments.",
        "axis_minor_length",
    ),
    _shape(
        "Orientation",
        "deg",
        "Angle between the y axis and the long axis of the ellipse with the object's second moments, -90 to 90.",
        "orientation",
        undefined="where both axes are equal (a single pixel, a square), so that neither has a direction",
    ),
    _shape(
        "Perimeter",
        _LENGTH,
        "Length of the outline: border pixels (with a 4-neighbour outside) weighted 1, √2 or (1 + √2)/2 by how the "
        "border goes on (Benkrid and Crookes); 0 for a single pixel.",
        "perimeter",
    ),
    _shape("Solidity", "1", "Area / ConvexArea.", "solidity"),
)


def _advanced() -> tuple[Operator, ...]:
    operators = []
    for p in range(3):
        for q in range(4):
            unit = f"{{pixels{p + q + 2}}}"
            operators += [
                _shape(
                    f"SpatialMoment_{p}_{q}", unit, f"Σ y^{p} · x^{q} over the pixels; {_CROP}.", f"moments-{p}-{q}"
                ),
                _shape(
                    f"CentralMoment_{p}_{q}",
                    unit,
                    f"Σ y^{p} · x^{q} over the pixels, x and y counted from the centroid.",
                    f"moments_central-{p}-{q}",
                ),
            ]
    for p in range(4):
        for q in range(4):
            operators.append(
                _shape(
                    f"NormalizedMoment_{p}_{q}",
                    "1",
                    f"CentralMoment_{p}_{q} / Area^{(p + q) / 2 + 1:g}: free of place and size.",
                    f"moments_normalized-{p}-{q}",
                    undefined="always: normalization is defined for p + q ≥ 2" if p + q < 2 else "",
                )
            )
    for k in range(7):
        operators.append(
            _shape(
                f"HuMoment_{k}",
                "1",
                f"Hu's invariant {k + 1}: free of place, size and rotation.",
                f"moments_hu-{k}",
                source="M. K. Hu, IRE Trans. Inf. Theory 8 (1962) 179-187",
            )
        )
    names = {(0, 0): "μ02", (0, 1): "-μ11", (1, 0): "-μ11", (1, 1): "μ20"}
    for (i, j), moment in names.items():
        operators.append(
            _shape(
                f"InertiaTensor_{i}_{j}",
                _AREA,
                f"{moment} / Area, with μpq the central moments.",
                f"inertia_tensor-{i}-{j}",
            )
        )
    for i, which in enumerate(("Larger", "Smaller")):
        operators.append(
            _shape(
                f"InertiaTensorEigenvalues_{i}",
                _AREA,
                f"{which} eigenvalue of the inertia tensor.",
                f"inertia_tensor_eigvals-{i}",
            )
        )
    return tuple(operators)


AREA_SHAPE_ADVANCED = _advanced()


def _intensity(name: str, definition: str, skimage: str = "", *, unit: str = "{intensity}", also: str = "") -> Operator:
    return Operator(
        name=name,
        unit=unit,
        definition=definition,
        source=_CELLPROFILER_INTENSITY,
        undefined=f"where {also} or {_NO_CHANNEL}" if also else f"where {_NO_CHANNEL}",
        aliases=(f"cp_measure:Intensity_{name}", *((f"scikit-image:{skimage}",) if skimage else ())),
    )


_NO_EDGE = "the object has no edge pixel (it fills the image)"
_EDGE = "the object's edge pixels, those with a 4-neighbour inside the image that is not of the object"
_PERCENTILE = "interpolated at (n - 1)·q of the sorted pixels as numpy.percentile does (CellProfiler: n·q)"

#: Intensities are stored grey values over the full scale, by default that of the pixel type, as in CellProfiler.
INTENSITY = (
    _intensity("IntegratedIntensity", "Sum of the object's pixels."),
    _intensity("IntegratedIntensityEdge", f"Sum of {_EDGE}.", also=_NO_EDGE),
    _intensity("LowerQuartileIntensity", f"Lower quartile of the object's pixels, {_PERCENTILE}."),
    _intensity("MADIntensity", "Median of the absolute deviations of the object's pixels from their median."),
    _intensity(
        "MassDisplacement",
        "Distance between the centroid of the object and its intensity-weighted centroid.",
        unit=_LENGTH,
        also="the pixels sum to 0, so that there is no centre of mass,",
    ),
    _intensity("MaxIntensity", "Largest of the object's pixels.", "intensity_max"),
    _intensity("MaxIntensityEdge", f"Largest of {_EDGE}.", also=_NO_EDGE),
    _intensity("MeanIntensity", "Mean of the object's pixels.", "intensity_mean"),
    _intensity("MeanIntensityEdge", f"Mean of {_EDGE}.", also=_NO_EDGE),
    _intensity("MedianIntensity", f"Median of the object's pixels, {_PERCENTILE}.", "intensity_median"),
    _intensity("MinIntensity", "Smallest of the object's pixels.", "intensity_min"),
    _intensity("MinIntensityEdge", f"Smallest of {_EDGE}.", also=_NO_EDGE),
    _intensity("StdIntensity", "Standard deviation (over n) of the object's pixels.", "intensity_std"),
    _intensity("StdIntensityEdge", f"Standard deviation (over n) of {_EDGE}.", also=_NO_EDGE),
    _intensity("UpperQuartileIntensity", f"Upper quartile of the object's pixels, {_PERCENTILE}."),
)


def _location(name: str, definition: str, skimage: str = "", *, also: str = "") -> Operator:
    return Operator(
        name=name,
        unit=_LENGTH,
        definition=definition,
        source=_CELLPROFILER_INTENSITY,
        undefined=f"where {also}{_NO_CHANNEL}",
        aliases=(f"cp_measure:Location_{name}", *((f"scikit-image:{skimage}",) if skimage else ())),
    )


_NO_MASS = "the pixels sum to 0, so that there is no centre of mass, or "

LOCATION = (
    _location("CenterMassIntensity_X", "Mean column, weighted by intensity.", "centroid_weighted-1", also=_NO_MASS),
    _location("CenterMassIntensity_Y", "Mean row, weighted by intensity.", "centroid_weighted-0", also=_NO_MASS),
    _location("CenterMassIntensity_Z", "Mean plane, weighted by intensity; 0 in a single plane.", also=_NO_MASS),
    _location("MaxIntensity_X", "Column of the brightest pixel, the first in row-major order of several."),
    _location("MaxIntensity_Y", "Row of the brightest pixel, the first in row-major order of several."),
    _location("MaxIntensity_Z", "Plane of the brightest pixel; 0 in a single plane."),
)

#: Columns of Location that no channel changes.
LOCATION_OF_OBJECT = tuple(
    Operator(
        name=f"Center_{axis}",
        unit=_LENGTH,
        definition=f"Mean {line} of the object's pixels; the same number as AreaShape_Center_{axis}.",
        source="CellProfiler 4 IdentifyPrimaryObjects",
        aliases=(f"scikit-image:centroid-{dimension}",),
    )
    for axis, line, dimension in (("X", "column", 1), ("Y", "row", 0))
)
