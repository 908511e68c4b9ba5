"""Exports that benchmarks read: made once by the demo's plate maker and kept below ``.scratch/``."""

from __future__ import annotations

import shutil
from pathlib import Path

from cytolake.demo.synthetic import CELL_PAINTING, CONTROL, PlateSpec, make_export
from cytolake.schemas.identifiers import format_well

SCRATCH = Path(__file__).parent.parent / ".scratch" / "benchmarks"


def export_of(*, wells: int, fields: int, size: int, channels: int = 5, compression: str = "none") -> Path:
    """Give a Harmony export of a 384-well plate with that many wells in use, made if need be.

    Parameters
    ----------
    wells, fields
        Wells, and fields in each of them.
    size
        Height and width of the planes in pixels.
    channels
        The first so many stains of Cell Painting.
    compression
        ``none`` or ``lzw``.
    """
    folder = SCRATCH / f"{wells}x{fields}x{channels}-{size}px-{compression}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        spec = PlateSpec(
            plate_id=folder.name,
            wells={format_well(1 + i // 24, 1 + i % 24): CONTROL for i in range(wells)},
            stains=CELL_PAINTING[:channels],
            n_rows=16,
            n_columns=24,
            n_fields=fields,
            size=size,
            compression="lzw" if compression == "lzw" else "none",
        )
        make_export(making, spec)
        making.rename(folder)
    return folder


def in_page_cache(folder: Path) -> int:
    """Read every file once, so that no contender waits for the disk; give the bytes of the images."""
    return sum(len(path.read_bytes()) for path in sorted(folder.glob("Images/*.tiff")))


def fields_of(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Group the images by (well, field), channels in order, as a script that knows the file names would."""
    fields: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.glob("Images/*.tiff")):
        fields.setdefault((path.name[:6], path.name[6:9]), []).append(path)
    return fields
