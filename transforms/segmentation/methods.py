"""The segmentation methods that a recipe can name, with their parameters and versions.

A method is data: its kind says what it is given, ``parameters`` what a recipe may set, ``version`` goes into the
hash of every feature set made with it, so a change of its results takes a new version here. The code behind a
method is imported when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..parameters import Parameter

Labels = npt.NDArray[np.int32]
Kind = Literal["image", "seeded", "difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One named way to make an object set.

    ``kind`` says what ``run`` is given, always with ``pixel_size_um`` and the parameters as keywords:

    ============  =========================================================================
    image         ``run(image)``, one plane (y, x)
    seeded        ``run(image | None, seeds)``: grows the objects of another set
    difference    ``run(whole, part)``: the objects of one set without the pixels of another
    ============  =========================================================================
    """

    name: str
    version: int
    kind: Kind
    run: Callable[..., Labels]
    parameters: Mapping[str, Parameter]
    takes_channel: bool


_DIAMETER = Parameter(default=12.0, low=1.0, high=200.0, meaning="typical diameter of a nucleus, µm")

_EDGE_LEVEL = Parameter(
    default=0.5, low=0.05, high=0.95, meaning="where an object ends, as a fraction of its height above the ground"
)

_MAX_DISTANCE = Parameter(
    default=25.0, low=0.0, high=500.0, meaning="farthest that a cell reaches from its nucleus, µm"
)


_WITHOUT_CHANNEL = Parameter(
    default="error",
    choices=("error", "distance"),
    meaning="what to do on a plate that has none of the channels",
)

_REGULARIZATION = Parameter(
    default=0.05, low=0.0, high=1000.0, meaning="the larger, the more cells meet half-way instead of on edges, per µm"
)


def _component_trees(image: npt.NDArray[Any], *, pixel_size_um: float, **parameters: Any) -> Labels:
    from .component_trees import segment_component_trees

    return segment_component_trees(image, pixel_size_um=pixel_size_um, **parameters)


def _local_threshold(image: npt.NDArray[Any], *, pixel_size_um: float, **parameters: Any) -> Labels:
    from .local_threshold import segment_nuclei

    return segment_nuclei(image, pixel_size_um=pixel_size_um, **parameters)


def _otsu(image: npt.NDArray[Any], *, pixel_size_um: float, **parameters: Any) -> Labels:
    from .otsu import segment_otsu

    return segment_otsu(image, pixel_size_um=pixel_size_um, **parameters)


def _watershed(
    image: npt.NDArray[Any] | None,
    seeds: Labels,
    *,
    pixel_size_um: float,
    without_channel: str,
    **parameters: Any,
) -> Labels:
    from .cells import cells_by_distance, cells_from_nuclei

    if image is None:
        # Only reached where the recipe allows it: ``without_channel`` is judged when the recipe meets a plate.
        return cells_by_distance(seeds, pixel_size_um=pixel_size_um, max_distance_um=parameters["max_distance_um"])
    return cells_from_nuclei(image, seeds, pixel_size_um=pixel_size_um, **parameters)


def _propagate(
    image: npt.NDArray[Any] | None,
    seeds: Labels,
    *,
    pixel_size_um: float,
    without_channel: str,
    **parameters: Any,
) -> Labels:
    from .cells import cells_by_distance
    from .propagation import cells_by_propagation

    if image is None:
        return cells_by_distance(seeds, pixel_size_um=pixel_size_um, max_distance_um=parameters["max_distance_um"])
    return cells_by_propagation(image, seeds, pixel_size_um=pixel_size_um, **parameters)


def _distance(image: npt.NDArray[Any] | None, seeds: Labels, *, pixel_size_um: float, max_distance_um: float) -> Labels:
    from .cells import cells_by_distance

    return cells_by_distance(seeds, pixel_size_um=pixel_size_um, max_distance_um=max_distance_um)


def _subtract(whole: Labels, part: Labels, *, pixel_size_um: float) -> Labels:
    from .objects import subtract

    return subtract(whole, part)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method(
                name="component-trees",
                version=1,
                kind="image",
                run=_component_trees,
                takes_channel=True,
                parameters={
                    "diameter_um": _DIAMETER,
                    "variant": Parameter(
                        default="accurate",
                        choices=("accurate", "fast"),
                        meaning="fast: fewer trees and one pass, for about half the time",
                    ),
                },
            ),
            Method(
                name="local-threshold",
                version=1,
                kind="image",
                run=_local_threshold,
                takes_channel=True,
                parameters={
                    "diameter_um": _DIAMETER,
                    "edge_level": _EDGE_LEVEL,
                },
            ),
            Method(
                name="otsu",
                version=1,
                kind="image",
                run=_otsu,
                takes_channel=True,
                parameters={"diameter_um": _DIAMETER},
            ),
            Method(
                name="watershed",
                version=1,
                kind="seeded",
                run=_watershed,
                takes_channel=True,
                parameters={
                    "max_distance_um": _MAX_DISTANCE,
                    "edge_level": _EDGE_LEVEL,
                    "without_channel": _WITHOUT_CHANNEL,
                },
            ),
            Method(
                name="propagate",
                version=1,
                kind="seeded",
                run=_propagate,
                takes_channel=True,
                parameters={
                    "max_distance_um": _MAX_DISTANCE,
                    "edge_level": _EDGE_LEVEL,
                    "regularization": _REGULARIZATION,
                    "without_channel": _WITHOUT_CHANNEL,
                },
            ),
            Method(
                name="distance",
                version=1,
                kind="seeded",
                run=_distance,
                takes_channel=False,
                parameters={"max_distance_um": _MAX_DISTANCE},
            ),
            Method(
                name="subtract",
                version=1,
                kind="difference",
                run=_subtract,
                takes_channel=False,
                parameters={},
            ),
        )
    }
)
