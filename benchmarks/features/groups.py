"""The rows of the table: families that are timed together, what is asked of them, and who else has them.

What every tool is asked for is what the others have too, as nearly as its interface allows; where it gives more or
less, the row says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cytolake.transforms.features.correlation_columns import OPERATORS
from cytolake.transforms.parameters import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One row.

    Attributes
    ----------
    name
        Of the row.
    families
        Our families with the parameters that are not the default.
    cp_measure
        Names of its measurements.
    accelerated
        Whether its Numba accelerator has one of them; otherwise the accelerator changes nothing.
    scikit_image
        Whether ``regionprops`` has some of the columns.
    nyxus
        Names of its features.
    nyxus_channels
        Whether they are of a channel, so that every channel is measured.
    scales
        Distances in pixels that textures are measured at.
    note
        What a reader has to know of the comparison.
    """

    name: str
    families: Mapping[str, Mapping[str, Value]]
    cp_measure: tuple[str, ...]
    accelerated: bool = False
    scikit_image: bool = False
    nyxus: tuple[str, ...] = ()
    nyxus_channels: bool = True
    scales: tuple[int, ...] = (3,)
    note: str = ""


_NYXUS_SHAPE = (
    *("AREA_PIXELS_COUNT", "BBOX_YMIN", "BBOX_XMIN", "BBOX_HEIGHT", "BBOX_WIDTH", "CENTROID_X", "CENTROID_Y"),
    *("CIRCULARITY", "COMPACTNESS", "CONVEX_HULL_AREA", "DIAMETER_EQUAL_AREA", "ECCENTRICITY", "EULER_NUMBER"),
    *("EXTENT", "MAJOR_AXIS_LENGTH", "MINOR_AXIS_LENGTH", "ORIENTATION", "PERIMETER", "SOLIDITY"),
    *("STAT_FERET_DIAM_MIN", "STAT_FERET_DIAM_MAX", "ROI_RADIUS_MEAN", "ROI_RADIUS_MAX", "ROI_RADIUS_MEDIAN"),
    *(f"SPAT_MOMENT_{p}{q}" for p in range(3) for q in range(4 if p < 2 else 3)),
    *(f"CENTRAL_MOMENT_{p}{q}" for p in range(3) for q in range(4)),
    *(f"NORM_CENTRAL_MOMENT_{pq}" for pq in ("02", "03", "11", "12", "20", "21", "30")),
    *(f"HU_M{k}" for k in range(1, 8)),
)
_NYXUS_INTENSITY = (
    *("INTEGRATED_INTENSITY", "MEAN", "STANDARD_DEVIATION_BIASED", "MIN", "MAX", "MEDIAN", "P25", "P75"),
    *("MEDIAN_ABSOLUTE_DEVIATION", "MASS_DISPLACEMENT", "WEIGHTED_CENTROID_X", "WEIGHTED_CENTROID_Y"),
    *("EDGE_INTEGRATED_INTENSITY", "EDGE_MEAN_INTENSITY", "EDGE_STDDEV_INTENSITY"),
    *("EDGE_MAX_INTENSITY", "EDGE_MIN_INTENSITY"),
)
_NYXUS_TEXTURE = (
    *("GLCM_ASM", "GLCM_CONTRAST", "GLCM_CORRELATION", "GLCM_VARIANCE", "GLCM_IDM", "GLCM_SUMAVERAGE"),
    *("GLCM_SUMVARIANCE", "GLCM_SUMENTROPY", "GLCM_ENTROPY", "GLCM_DIFVAR", "GLCM_DIFENTRO"),
    *("GLCM_INFOMEAS1", "GLCM_INFOMEAS2"),
)
_NYXUS_RADIAL = ("FRAC_AT_D", "MEAN_FRAC", "RADIAL_CV")
_NYXUS_NEIGHBORS = (
    *("NUM_NEIGHBORS", "PERCENT_TOUCHING", "CLOSEST_NEIGHBOR1_DIST", "CLOSEST_NEIGHBOR1_ANG"),
    *("CLOSEST_NEIGHBOR2_DIST", "CLOSEST_NEIGHBOR2_ANG", "ANG_BW_NEIGHBORS_MEAN"),
)

SHAPE = Group(
    name="Shape",
    families={"AreaShape": {}, "AreaShapeAdvanced": {}},
    cp_measure=("sizeshape", "feret"),
    accelerated=True,
    scikit_image=True,
    nyxus=_NYXUS_SHAPE,
    nyxus_channels=False,
    note="AreaShape with radii, Feret diameters and moments; scikit-image has neither radii nor the smaller Feret "
    "diameter.",
)
ZERNIKE = Group(
    name="Zernike",
    families={"Zernike": {}},
    cp_measure=("zernike",),
    note="Of the form. Nyxus has those of intensities only.",
)
INTENSITY = Group(
    name="Intensity, Location",
    families={"Intensity": {}, "Location": {}},
    cp_measure=("intensity",),
    accelerated=True,
    scikit_image=True,
    nyxus=_NYXUS_INTENSITY,
    note="scikit-image has 5 of the 15 measures and the centre of mass.",
)
TEXTURE_ONE = Group(
    name="Texture, scale 3",
    families={"Texture": {"scales": (3,)}},
    cp_measure=("texture",),
    accelerated=True,
    nyxus=_NYXUS_TEXTURE,
    note="Nyxus stretches the grey levels of each object, and adds up other pairs of levels.",
)
TEXTURE = Group(
    name="Texture, scales 3, 5, 10",
    families={"Texture": {}},
    cp_measure=("texture",),
    accelerated=True,
    nyxus=_NYXUS_TEXTURE,
    scales=(3, 5, 10),
)
RADIAL = Group(
    name="RadialDistribution",
    families={"RadialDistribution": {}},
    cp_measure=("radial_distribution",),
    nyxus=_NYXUS_RADIAL,
    note="Nyxus takes 8 rings instead of 4.",
)
RADIAL_ZERNIKE = Group(
    name="RadialDistribution, Zernike",
    families={"RadialDistribution": {"zernike": "magnitude-and-phase"}},
    cp_measure=("radial_distribution", "radial_zernikes"),
    nyxus=(*_NYXUS_RADIAL, "ZERNIKE2D"),
    note="Rings, and Zernike moments of the intensity, magnitude and phase. Nyxus gives no phase.",
)
GRANULARITY = Group(
    name="Granularity",
    families={"Granularity": {}},
    cp_measure=("granularity",),
)
CORRELATION = Group(
    name="Correlation",
    families={"Correlation": {"measures": tuple(name for name in OPERATORS if name != "Costes")}},
    cp_measure=("pearson", "overlap", "manders_fold", "rwc"),
    note="Ten pairs of channels, without Costes.",
)
COSTES = Group(
    name="Costes",
    families={"Correlation": {"measures": ("Costes",)}},
    cp_measure=("costes",),
    note="CellProfiler and cytolake threshold the image, cp_measure each object.",
)
NEIGHBORS = Group(
    name="Neighbors",
    families={"Neighbors": {}},
    cp_measure=("adjacent", "expanded", "within 5"),
    note="Adjacent, expanded and within 5 pixels.",
)
NEIGHBORS_WITHIN = Group(
    name="Neighbors, 5 pixels",
    families={"Neighbors": {"adjacent": False, "expanded": False}},
    cp_measure=("within 5",),
    nyxus=_NYXUS_NEIGHBORS,
    nyxus_channels=False,
)

GROUPS = {
    group.name: group
    for group in (
        *(SHAPE, ZERNIKE, INTENSITY, TEXTURE_ONE, TEXTURE, RADIAL, RADIAL_ZERNIKE, GRANULARITY, CORRELATION),
        *(NEIGHBORS, NEIGHBORS_WITHIN, COSTES),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A sum of rows, each measured once, for some peers; ``aims`` are how many times as long they should take."""

    name: str
    groups: tuple[Group, ...]
    aims: Mapping[str, float | None]


_REST = (SHAPE, ZERNIKE, INTENSITY, RADIAL_ZERNIKE, GRANULARITY, CORRELATION, NEIGHBORS)
CP_MEASURE, CP_NUMBA, NYXUS, SCIKIT_IMAGE = "cp_measure", "cp_measure + numba", "Nyxus", "scikit-image"
#: cp_measure's search for Costes' thresholds, let loose on the whole image; only its values are compared.
CP_IMAGE = "cp_measure, per image"
PEERS = (CP_MEASURE, CP_NUMBA, NYXUS, SCIKIT_IMAGE)

TOTALS = (
    Total(name="All but Costes", groups=(*_REST, TEXTURE), aims={CP_MEASURE: 45, CP_NUMBA: 30}),
    Total(name="All but Costes, one scale", groups=(*_REST, TEXTURE_ONE), aims={CP_MEASURE: 45, CP_NUMBA: 30}),
    Total(name="All", groups=(*_REST, TEXTURE, COSTES), aims={CP_MEASURE: None, CP_NUMBA: None}),
    Total(
        name="What Nyxus has",
        groups=(SHAPE, INTENSITY, TEXTURE, RADIAL_ZERNIKE, NEIGHBORS_WITHIN),
        aims={NYXUS: 15},
    ),
    Total(name="What scikit-image has", groups=(SHAPE, INTENSITY), aims={SCIKIT_IMAGE: 10}),
)
