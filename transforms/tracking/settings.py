"""What a recipe may say of tracking, in its table ``[tracking]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from ...errors import MissingExtraError
from ..parameters import Parameter, Value

#: Raise it whenever a link or a number changes.
VERSION = 1

#: What ``[tracking]`` of a recipe may set beside ``objects`` and ``drift_channel``.
PARAMETERS: Mapping[str, Parameter] = {
    "max_distance_um": Parameter(
        default=15.0,
        meaning="How far an object may move from one time point to the next, and a daughter lie from where its mother "
        "was, µm",
        low=0.001,
        high=100_000.0,
    ),
    "max_gap": Parameter(
        default=2, meaning="How many time points in a row an object may be missing and still be the same", high=1000
    ),
    "divisions": Parameter(default=True, meaning="Whether an object may become two"),
    "least_sister_ratio": Parameter(
        default=0.4,
        meaning="Area of the smaller daughter over that of the larger, below which it is no division but a fragment, "
        "or a neighbour that came into view",
        high=1.0,
    ),
    "merges": Parameter(default=False, meaning="Whether two objects may become one"),
    "max_drift_um": Parameter(
        default=100.0,
        meaning="Longest shift of the field from one time point to the next that is believed, µm",
        high=100_000.0,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """What a recipe says of tracking: the object set, the role of the channel that tells the drift, the parameters."""

    objects: str
    drift_channel: str | None = None
    max_distance_um: float = 15.0
    max_gap: int = 2
    divisions: bool = True
    least_sister_ratio: float = 0.4
    merges: bool = False
    max_drift_um: float = 100.0

    def definition(self) -> dict[str, Value | None]:
        """Return what decides the tracks, as JSON types, with the version of the method."""
        return {
            "version": VERSION,
            "objects": self.objects,
            "drift_channel": self.drift_channel,
            **{name: getattr(self, name) for name in PARAMETERS},
        }


def require_laptrack() -> None:
    """Make sure that objects can be linked, before anything is computed.

    Raises
    ------
    MissingExtraError
        laptrack is not installed.
    """
    if find_spec("laptrack") is None:
        raise MissingExtraError(
            "the recipe has a table [tracking], and laptrack, which links objects over time, is not installed",
            hint="pip install 'cytolake[tracking]'",
        )
