"""Family Correlation: how each pair of channels goes together inside each object."""

from __future__ import annotations

from ..parameters import Parameter
from .dictionary import FeatureColumn, Operator, feature_column
from .family import Family, FieldObjects, FloatArray, Use

_SOURCE = "CellProfiler 4 MeasureColocalization"
_NO_PAIR = "the field lacks one of the channels or the object has a pixel in them that is not finite"
_CUT = "threshold_percent of the object's maximum in that channel"


def _operator(name: str, definition: str, *, also: str, alias: str, source: str = "") -> Operator:
    return Operator(
        name=name,
        unit="1",
        definition=definition,
        source=f"{_SOURCE}; {source}" if source else _SOURCE,
        undefined=f"where {also} or {_NO_PAIR}",
        aliases=(f"cp_measure:Correlation_{alias}",),
    )


#: By the names that a recipe asks for. A and B are the first and the second channel of the column's name.
OPERATORS = {
    operator.name: operator
    for operator in (
        _operator(
            "Correlation",
            "Pearson correlation of A and B over the object's pixels.",
            also="a channel is the same at every pixel",
            alias="Pearson",
        ),
        _operator(
            "Slope",
            "Slope of the least-squares line of B over A, over the object's pixels (CellProfiler: of images only).",
            also="A is the same at every pixel",
            alias="Slope",
        ),
        _operator(
            "Overlap",
            f"ΣAB / √(ΣA²·ΣB²) over the pixels where both channels reach their cut: {_CUT}.",
            also="no pixel with signal reaches both cuts",
            alias="Overlap",
            source="Manders et al., J. Microsc. 169 (1993) 375-382",
        ),
        _operator(
            "K",
            f"ΣAB / ΣA² over the pixels where both channels reach their cut: {_CUT}.",
            also="no pixel with signal in A reaches both cuts",
            alias="K_1",
            source="Manders et al., J. Microsc. 169 (1993) 375-382",
        ),
        _operator(
            "Manders",
            f"Part of A's intensity, where A reaches its cut, at pixels where B reaches its own: {_CUT}.",
            also="A has no intensity where it reaches its cut",
            alias="Manders_1",
            source="Manders et al., J. Microsc. 169 (1993) 375-382",
        ),
        _operator(
            "RWC",
            "As Manders, each pixel of A's intensity weighted by 1 - d/R: d is the distance of the pixel's dense ranks "
            "in A and in B, R the larger number of ranks of the two channels.",
            also="A has no intensity where it reaches its cut",
            alias="RWC_1",
            source="Singan et al., BMC Bioinformatics 12 (2011) 407",
        ),
        _operator(
            "Costes",
            "Part of A's intensity, at or above A's threshold, at pixels above both channels' thresholds. The "
            "thresholds are Costes' automatic ones of the whole image: the lowest pair on the orthogonal regression "
            "line below which the channels are not anticorrelated.",
            also="the image has no such thresholds, no pixel of the object reaches A's",
            alias="Costes_1",
            source="Costes et al., Biophys. J. 86 (2004) 3993-4003",
        ),
    )
}
#: Measured in both directions, A over B and B over A.
DIRECTED = ("K", "Manders", "RWC", "Costes")
#: Ways to find Costes' thresholds, CellProfiler's; the first is its default.
SEARCHES = ("Faster", "Fast", "Accurate")

PARAMETERS = {
    "measures": Parameter(
        default=tuple(OPERATORS),
        choices=tuple(OPERATORS),
        meaning="What to measure; CellProfiler has no Slope of objects.",
    ),
    "threshold_percent": Parameter(
        default=15.0,
        low=0.0,
        high=100.0,
        meaning="Percent of an object's maximum that pixels reach to count for Overlap, K, Manders and RWC.",
    ),
    "costes": Parameter(
        default=SEARCHES[0],
        choices=SEARCHES,
        meaning="Search for Costes' thresholds: bisection, from the top in strides, or at every step.",
    ),
    "ranks": Parameter(
        default="object",
        choices=("object", "set"),
        meaning="RWC ranks pixels within their object, or among all objects of the set as CellProfiler does.",
    ),
}


def _columns(use: Use) -> list[FeatureColumn]:
    asked = use.parameters["measures"]
    columns = []
    for first, second in use.pairs:
        for operator in OPERATORS.values():
            if operator.name in asked:  # type: ignore[operator]
                columns.append(feature_column(use.object_set, "Correlation", operator, roles=(first, second)))
                if operator.name in DIRECTED:
                    columns.append(feature_column(use.object_set, "Correlation", operator, roles=(second, first)))
    return columns


def _measure(objects: FieldObjects, use: Use) -> FloatArray:
    from .correlation import correlation

    return correlation(objects, use)


FAMILY = Family(
    name="Correlation", version=1, channels="pairs", parameters=PARAMETERS, columns=_columns, measure=_measure
)
