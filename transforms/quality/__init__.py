"""What a plate says about itself before anybody trusts its features.

Per image: brightness, saturation, focus, texture and thresholds by CellProfiler's names and definitions (module
MeasureImageQuality), and how even the light is. Per object set: counts, debris, clumps. Per plate: flags, which judge
each field against the others of its plate. Values are grey values of the camera; a metric that cannot be told is a row
with no value and the reason.
"""

from __future__ import annotations

from .flags import FLAG_METRICS, FlagLimits, plate_flags
from .image import CHANNEL_METRICS, QualityRow, image_quality
from .objects import object_counts, object_quality

__all__ = [
    "CHANNEL_METRICS",
    "FLAG_METRICS",
    "FlagLimits",
    "QualityRow",
    "image_quality",
    "object_counts",
    "object_quality",
    "plate_flags",
]
