"""Folders of small TIFF files with given names, and what such files say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

#: 0.5 µm a pixel, as dots per centimetre.
HALF_MICRON = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def write_tiff(
    path: Path, *, pages: int = 1, shape: tuple[int, int] = (6, 8), dtype: str = "uint16", **how: Any
) -> Path:
    """Write pages of one file, all of different values; its own size of a pixel unless something else is said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.arange(pages * shape[0] * shape[1]).reshape(pages, *shape)
    pixels = ((rows + sum(path.name.encode())) % 251).astype(dtype)
    if "axes" in (how.get("metadata") or {}):
        pixels = pixels.reshape(*how.pop("sizes"), *shape)
    how = {"photometric": "minisblack", **(how or HALF_MICRON)}
    tifffile.imwrite(path, pixels if pages > 1 else pixels.reshape(shape), **how)
    return path


def write_folder(folder: Path, names: Iterable[str], **how: Any) -> Path:
    """Write a TIFF file of each name."""
    for name in names:
        write_tiff(folder / name, **how)
    return folder


def cellomics(wells: Iterable[str] = ("A01", "B02"), fields: Iterable[int] = (0, 1), channels: int = 2) -> list[str]:
    """Names of a Cellomics plate."""
    return [f"XYZ_0001_{w}f{f:02d}d{c}.tif" for w in wells for f in fields for c in range(channels)]
