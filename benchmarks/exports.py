"""Exports that benchmarks read: made once by the demo's plate maker and kept below ``.scratch/``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Literal

from cytolake.demo.synthetic import CELL_PAINTING, CONTROL, PlateSpec, make_export
from cytolake.schemas.identifiers import format_well

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / ".scratch" / "benchmarks"
#: A real export of MetaXpress, where the test data are.
IMAGEXPRESS = "vendors/imagexpress/raw-projection-mix"

#: One image of one field: its path in a plate, and the files of its planes, channel by channel and z by z.
FieldFiles = tuple[str, list[list[Path]]]


def export_of(
    *,
    wells: int,
    fields: int,
    size: int,
    channels: int = 5,
    compression: Literal["none", "lzw", "zstd"] = "none",
    pixels: bool = True,
) -> Path:
    """Give a Harmony export of a plate with that many wells in use, made if need be.

    Parameters
    ----------
    wells, fields
        Wells, and fields in each of them; the plate has 384 wells, or 1536 where more are in use.
    size
        Height and width of the planes in pixels.
    channels
        The first so many stains of Cell Painting.
    compression
        Of the TIFF files.
    pixels
        Without them there is an index and an empty file per plane.
    """
    kind = compression if pixels else "empty"
    folder = SCRATCH / f"{wells}x{fields}x{channels}-{size}px-{kind}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        n_rows, n_columns = (16, 24) if wells <= 384 else (32, 48)
        used = [format_well(1 + i // n_columns, 1 + i % n_columns) for i in range(wells)]
        spec = PlateSpec(
            plate_id=folder.name,
            wells=dict.fromkeys(used, CONTROL),
            stains=CELL_PAINTING[:channels],
            n_rows=n_rows,
            n_columns=n_columns,
            n_fields=fields,
            size=size,
            compression=compression,
            missing_fields=() if pixels else tuple((well, f) for well in used for f in range(1, fields + 1))[1:],
        )
        make_export(making, spec)
        if not pixels:
            _touch_planes(making)
        making.rename(folder)
    return folder


def _touch_planes(folder: Path) -> None:
    from cytolake.ingest.readers import read_export

    (export,) = read_export(folder)
    for file in export.planes["file"].to_pylist():
        (folder / file).touch()


def real_imagexpress() -> Path | None:
    """Give the real export of MetaXpress; None where the test data are not."""
    data = Path(os.environ.get("CYTOLAKE_TEST_DATA") or ROOT.parent / "shared" / "data")
    folder = data / IMAGEXPRESS
    return folder if folder.is_dir() else None


def fields_of(folder: Path) -> list[FieldFiles]:
    """List the images of an export, as a script that knows its file names would.

    An image is what a peer can write as one array: one time point of the channels that have the same planes. Images
    that lack a file are left out. The list is made once, by cytolake's reader, and kept.
    """
    listing = SCRATCH / f"{folder.name}.fields.json"
    if not listing.exists():
        _list_fields(folder, listing)
    return [
        (path, [[Path(file) for file in stack] for stack in channels])
        for path, channels in json.loads(listing.read_text(encoding="utf-8"))
    ]


def _list_fields(folder: Path, listing: Path) -> None:
    from cytolake.ingest.readers import read_export

    images: dict[str, dict[tuple[int, int], str]] = {}
    for export in read_export(folder):
        for p in export.planes.to_pylist():
            well, image = p["well_id"], f"a{p['acquisition_id']}f{p['field_id']}t{p['timepoint']}"
            path = f"{export.plate_id}/{well[0]}/{well[1:]}/{image}"
            there = p["size"] is not None and p["page"] == 0
            images.setdefault(path, {})[p["channel_index"], p["z"]] = f"{export.root}/{p['file']}" if there else ""
    found = []
    for path, planes in images.items():
        depths: dict[int, list[int]] = {}
        for channel, z in sorted(planes):
            depths.setdefault(channel, []).append(z)
        for alike in sorted({tuple(of) for of in depths.values()}):
            files = [[planes[c, z] for z in alike] for c, of in depths.items() if tuple(of) == alike]
            if all(all(stack) for stack in files):
                found.append((f"{path}z{len(alike)}", files))
    SCRATCH.mkdir(parents=True, exist_ok=True)
    listing.write_text(json.dumps(found), encoding="utf-8")


def in_page_cache(folder: Path) -> int:
    """Read every file once, so that no contender waits for the disk; give the bytes of the images."""
    return sum(len(path.read_bytes()) for _, channels in fields_of(folder) for stack in channels for path in stack)
