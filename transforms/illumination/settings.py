"""What a recipe may say of illumination, and what of it decides pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..parameters import Parameter, check

#: Version of each method: raised when the same settings give other numbers.
VERSIONS: Mapping[str, int] = {"none": 1, "vendor": 1, "basic": 1, "cellprofiler": 1}

#: Estimates that ``auto`` makes and judges where the vendor says nothing; of equals the first.
ESTIMATORS = ("basic", "cellprofiler")

#: The table ``[illumination]`` of a recipe.
PARAMETERS: Mapping[str, Parameter] = {
    "method": Parameter(
        default="auto",
        meaning="where profiles come from: the vendor, one of two estimates over the plate, or whatever there is",
        choices=("auto", "vendor", "basic", "cellprofiler", "none"),
    ),
    "images": Parameter(
        default=200, meaning="most images of a channel that an estimate is made from", low=1, high=5000
    ),
    "min_images": Parameter(
        default=16, meaning="fewest images of a channel that an estimate is made from", low=4, high=5000
    ),
    "average": Parameter(
        default="mean", meaning="cellprofiler: how images are averaged, pixel by pixel", choices=("mean", "median")
    ),
    "smoothing": Parameter(
        default=0.1,
        meaning="cellprofiler: width of the smoothing (standard deviation) as a share of the longer side",
        low=0.01,
        high=0.5,
    ),
    "dark_level": Parameter(
        default=0.0,
        meaning="what the camera reads without light, in grey values; taken off first",
        low=0.0,
        high=65535.0,
    ),
}

_OF_ALL_ESTIMATES = ("images", "min_images", "dark_level")
_OF_METHOD: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "vendor": ("dark_level",),
    "basic": _OF_ALL_ESTIMATES,
    "cellprofiler": (*_OF_ALL_ESTIMATES, "average", "smoothing"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IlluminationSettings:
    """The table ``[illumination]``, complete; :data:`PARAMETERS` says what each is and may be."""

    method: str = "auto"
    images: int = 200
    min_images: int = 16
    average: str = "mean"
    smoothing: float = 0.1
    dark_level: float = 0.0

    def __post_init__(self) -> None:
        check(self, PARAMETERS, "illumination")

    @property
    def is_off(self) -> bool:
        """Whether pixels stay as they are."""
        return self.method == "none"

    def definition(self) -> dict[str, Any]:
        """Return what decides pixels, as JSON: the methods in question with their versions, and what they heed."""
        methods = ("vendor", *ESTIMATORS) if self.method == "auto" else (self.method,)
        heeded = dict.fromkeys(name for method in methods for name in _OF_METHOD[method])
        return {
            "method": self.method,
            "versions": {method: VERSIONS[method] for method in methods},
            "parameters": {name: getattr(self, name) for name in heeded},
        }
