"""One plane of one file into a waiting array: read once, hashed once, never padded.

The short way to :mod:`cytolake.ingest.sources` for whoever wants a single plane.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .sources import PIXEL_TYPES, open_source
from .sources.tiff import TiffSource as SourceFile

__all__ = ["PIXEL_TYPES", "SourceFile", "plane_dtype", "read_plane"]


def read_plane(path: Path | str, page: int, out: npt.NDArray[Any]) -> str:
    """Read one plane and hash its file.

    Parameters
    ----------
    path
        The file.
    page
        The plane inside it, from 0.
    out
        Array of rows × columns, of the type that the page must have; undefined after an error.

    Returns
    -------
    str
        SHA-256 of the whole file, 64 hexadecimal digits.

    Raises
    ------
    SourceFileError
        When the file is absent, cut off, damaged, or of another size or type.
    StorageError
        When it cannot be read for a reason that lies outside the file.
    """
    with closing(open_source(path)) as source:
        source.read_plane(page, out)
        return source.sha256


def plane_dtype(path: Path | str, page: int = 0) -> np.dtype[Any]:
    """Return the type of the pixels of one plane, from its header; raises as :func:`read_plane`."""
    with closing(open_source(path)) as source:
        return source.plane_format(page)[1]
