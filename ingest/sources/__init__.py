"""Where planes come from: one small protocol over TIFF pages, CZI subblocks, ND2 frames and LIF images.

A file is known by its suffix. Whoever reads many planes asks :class:`PlaneSources`, which opens a file once for all
threads and hashes it once; whoever reads one asks :func:`open_source`.
"""

from .base import PIXEL_TYPES, PlaneFormat, PlaneSource, glance, list_folder, read_bytes
from .cache import PlaneSources, open_source

__all__ = [
    "PIXEL_TYPES",
    "PlaneFormat",
    "PlaneSource",
    "PlaneSources",
    "glance",
    "list_folder",
    "open_source",
    "read_bytes",
]
