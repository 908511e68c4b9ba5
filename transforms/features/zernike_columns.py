"""Family Zernike: the 30 moments of each object's form that CellProfiler counts to AreaShape."""

from __future__ import annotations

from .dictionary import FeatureColumn, Operator, feature_column
from .family import Family, FieldObjects, FloatArray, Use

#: Degree that CellProfiler measures.
DEGREE = 9


def zernike_orders(degree: int = DEGREE) -> list[tuple[int, int]]:
    """List the ``(n, m)`` of the polynomials up to a degree, in CellProfiler's order: 30 for degree 9."""
    return [(n, m) for n in range(degree + 1) for m in range(n % 2, n + 1, 2)]


def _operators() -> tuple[Operator, ...]:
    return tuple(
        Operator(
            name=f"Zernike_{n}_{m}",
            unit="1",
            definition=f"Magnitude of the sum of the Zernike polynomial of order {n} and repetition {m} over the "
            "object's pixels, over the area of the smallest circle round the pixel centres, on which the polynomial "
            "lies. Every pixel counts (centrosome drops those on the circle that rounding puts outside).",
            source="CellProfiler 4 MeasureObjectSizeShape; Boland, Markey, Murphy, Cytometry 33 (1998) 366-375",
            undefined="for a single pixel, whose circle has no radius",
            aliases=(f"cp_measure:Zernike_{n}_{m}",),
        )
        for n, m in zernike_orders()
    )


ZERNIKE = _operators()


def _columns(use: Use) -> list[FeatureColumn]:
    return [feature_column(use.object_set, "AreaShape", operator) for operator in ZERNIKE]


def _measure(objects: FieldObjects, use: Use) -> FloatArray:
    from .zernike import shape_zernikes

    return shape_zernikes(objects.index, DEGREE)


FAMILY = Family(name="Zernike", version=1, columns=_columns, measure=_measure)
