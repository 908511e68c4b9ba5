"""Family Granularity: the brightness that each object loses at each size of opening, per channel."""

from __future__ import annotations

from ..parameters import Parameter
from .dictionary import FeatureColumn, Operator, feature_column
from .family import Family, FieldObjects, FloatArray, Use

_SOURCE = (
    "CellProfiler 4 MeasureGranularity; Maragos, IEEE Trans. Pattern Anal. Mach. Intell. 11 (1989) 701-716; "
    "Vincent, Fund. Inform. 41 (2000) 57-90"
)
_UNDEFINED = (
    "where the object's mean intensity is not above 0 (CellProfiler divides by a tiny number), the field lacks this "
    "channel, the object has a pixel that is not finite, or the image has not two rows and columns once thinned out"
)

PARAMETERS = {
    "subsample": Parameter(
        default=0.25,
        low=0.01,
        high=1.0,
        meaning="Samples per pixel that the spectrum is taken from; steps then count samples, not pixels.",
    ),
    "background_subsample": Parameter(
        default=0.25, low=0.01, high=1.0, meaning="Samples of the background per sample of the thinned out image."
    ),
    "background_radius": Parameter(
        default=10,
        low=1,
        high=1000,
        meaning="Radius, in samples of the background, of the disc whose opening is subtracted as background.",
    ),
    "steps": Parameter(default=16, low=1, high=255, meaning="How many sizes of opening."),
}


def _operator(step: int) -> Operator:
    before = f"opening {step - 1}" if step > 1 else "the image itself, its background included,"
    return Operator(
        name=str(step),
        unit="%",
        definition=f"Loss of the object's mean from {before} to opening {step}, in percent of its mean intensity. "
        f"Opening {step} is the reconstruction, in the thinned out image without its background, of its erosion by a "
        f"diamond of radius {step}: it takes away bright parts into which this diamond does not fit.",
        source=_SOURCE,
        undefined=_UNDEFINED,
        aliases=(f"cp_measure:Granularity_{step}",),
    )


def _columns(use: Use) -> list[FeatureColumn]:
    steps, subsample = int(use.parameters["steps"]), float(use.parameters["subsample"])  # type: ignore[arg-type]
    operators = [_operator(step) for step in range(1, steps + 1)]
    return [
        feature_column(use.object_set, "Granularity", operator, roles=(role,), scale=step / subsample)
        for role in use.roles
        for step, operator in enumerate(operators, 1)
    ]


def _measure(objects: FieldObjects, use: Use) -> FloatArray:
    from .granularity import granularity

    return granularity(objects, use)


FAMILY = Family(
    name="Granularity", version=1, channels="each", parameters=PARAMETERS, columns=_columns, measure=_measure
)
