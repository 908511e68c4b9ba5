"""The segmentation methods that a recipe can name, with their parameters and versions.

A method is data: its kind says what it is given, ``parameters`` what a recipe may set, ``version`` goes into the
hash of every feature set made with it, so a change of its results takes a new version here. The code behind a
method is imported when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..parameters import Parameter, Value

Labels = npt.NDArray[np.int32]
Kind = Literal["image", "seeded", "difference", "model", "imported", "volume"]
#: Completes the parameters of a recipe that lies in a folder, or raises BadParameterError.
Completion = Callable[[Mapping[str, Value], Path], dict[str, Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One named way to make an object set.

    ``kind`` says what ``run`` is given, always with ``pixel_size_um`` and the parameters as keywords:

    ============  =========================================================================
    image         ``run(image)``, one plane (y, x)
    seeded        ``run(image | None, seeds)``: grows the objects of another set
    difference    ``run(whole, part)``: the objects of one set without the pixels of another
    model         ``run(pixels)``, one or two planes (c, y, x)
    imported      never run: its objects are read
    volume        ``run(stack)``, all planes (z, y, x); ``spacing_um`` (z, y, x) in place of
                  ``pixel_size_um``
    ============  =========================================================================

    ``complete`` finds what parameters name (a file), when a recipe is read. ``places`` are parameters that say where
    something lies, and so are no part of what an object set is.
    """

    name: str
    version: int
    kind: Kind
    run: Callable[..., Labels]
    parameters: Mapping[str, Parameter]
    takes_channel: bool
    complete: Completion | None = None
    places: frozenset[str] = frozenset()

    @property
    def parent(self) -> Literal["none", "needed", "possible"]:
        """Whether its objects are made from those of another set."""
        if self.kind in ("image", "model", "volume"):
            return "none"
        return "possible" if self.kind == "imported" else "needed"


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


def _volume(stack: npt.NDArray[Any], *, spacing_um: tuple[float, float, float], **parameters: Any) -> Labels:
    from .volume import segment_volume

    return segment_volume(stack, spacing_um=spacing_um, **parameters)


def _watershed(
    image: npt.NDArray[Any] | None,
    seeds: Labels,
    *,
    pixel_size_um: float,
    without_channel: str,
    **parameters: Any,
) -> Labels:
    from .cells import cells_from_nuclei

    if image is None:
        # Only reached where the recipe allows it: ``without_channel`` is judged when the recipe meets a plate.
        return _distance(None, seeds, pixel_size_um=pixel_size_um, max_distance_um=parameters["max_distance_um"])
    return cells_from_nuclei(image, seeds, pixel_size_um=pixel_size_um, **parameters)


def _propagate(
    image: npt.NDArray[Any] | None,
    seeds: Labels,
    *,
    pixel_size_um: float,
    without_channel: str,
    **parameters: Any,
) -> Labels:
    from .propagation import cells_by_propagation

    if image is None:
        return _distance(None, seeds, pixel_size_um=pixel_size_um, max_distance_um=parameters["max_distance_um"])
    return cells_by_propagation(image, seeds, pixel_size_um=pixel_size_um, **parameters)


def _distance(image: npt.NDArray[Any] | None, seeds: Labels, *, pixel_size_um: float, max_distance_um: float) -> Labels:
    from .cells import cells_by_distance

    return cells_by_distance(seeds, pixel_size_um=pixel_size_um, max_distance_um=max_distance_um)


def _model(kind: str, pixels: npt.NDArray[Any], **settings: Any) -> Labels:
    from .models import segment_by_model

    return segment_by_model(kind, pixels, **settings)


def _find_model(parameters: Mapping[str, Value], folder: Path) -> dict[str, Value]:
    from .models import find_model

    return find_model(parameters, folder)


def _find_masks(parameters: Mapping[str, Value], folder: Path) -> dict[str, Value]:
    from .imported import find_masks

    return find_masks(parameters, folder)


def _import(**_: Any) -> Labels:
    raise AssertionError("imported objects are read, not made")


_MODEL = {
    "model": Parameter(default="", meaning="the model file; a relative path begins at the recipe's folder"),
    "model_sha256": Parameter(default="", meaning="what the file must hash to, if it is to be that one alone"),
    "diameter_um": Parameter(default=12.0, low=0.1, high=500.0, meaning="typical diameter of an object, µm"),
}

_NETWORK = {
    **_MODEL,
    "output": Parameter(
        default="probability",
        choices=("probability", "probability-and-boundary", "labels"),
        meaning="what the network gives for each pixel",
    ),
    "threshold": Parameter(default=0.5, low=0.0, high=1.0, meaning="probability above which a pixel is foreground"),
    "boundary_threshold": Parameter(
        default=0.5, low=0.0, high=1.0, meaning="probability above which a pixel is boundary, between two objects"
    ),
    "low_percentile": Parameter(default=1.0, low=0.0, high=50.0, meaning="percentile of a channel that becomes 0"),
    "high_percentile": Parameter(default=99.8, low=50.0, high=100.0, meaning="percentile of a channel that becomes 1"),
    "model_pixel_size_um": Parameter(
        default=0.0, low=0.0, high=100.0, meaning="pixel size that the network was trained on, µm; 0: any"
    ),
    "tile": Parameter(default=512, low=64, high=8192, meaning="side of a tile, pixels"),
    "overlap": Parameter(default=64, low=0, high=1024, meaning="how far tiles overlap, pixels"),
}

_CELLPOSE = {
    **_MODEL,
    "flow_threshold": Parameter(
        default=0.4, low=0.0, high=10.0, meaning="largest error of the flows of a mask; 0: any"
    ),
    "cellprob_threshold": Parameter(default=0.0, low=-10.0, high=10.0, meaning="lower for more and larger masks"),
}


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
                name="volume",
                version=1,
                kind="volume",
                run=_volume,
                takes_channel=True,
                parameters={"diameter_um": _DIAMETER, "edge_level": _EDGE_LEVEL},
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
            *(
                Method(
                    name=name,
                    version=1,
                    kind="model",
                    run=partial(_model, name),
                    takes_channel=True,
                    parameters=parameters,
                    complete=_find_model,
                    places=frozenset({"model"}),
                )
                for name, parameters in (("onnx", _NETWORK), ("torchscript", _NETWORK), ("cellpose", _CELLPOSE))
            ),
            Method(
                name="import",
                version=1,
                kind="imported",
                run=_import,
                takes_channel=False,
                parameters={
                    "masks": Parameter(default="", meaning="paths of TIFF masks, with {well}, {field} … in them"),
                    "labels": Parameter(default="", meaning="name of label images that lie in the plate"),
                    "values": Parameter(
                        default="instances",
                        choices=("instances", "foreground"),
                        meaning="whether a mask numbers the objects, or its connected parts are the objects",
                    ),
                    "origin": Parameter(default="", meaning="how the masks were made, in words; part of the identity"),
                },
                complete=_find_masks,
                places=frozenset({"masks"}),
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
