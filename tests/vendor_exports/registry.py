"""One or more small exports of every reader, for whatever looks at all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import harmony_xml
from cytolake.ingest.readers import ReaderOptions
from vendor_exports import cellvoyager, czi, hcsai, imagexpress, incell, lif, nd2, ome, ome_zarr, pattern, scanr

#: Makes an export in an empty folder, and returns what a user would name.
Build = Callable[[Path], Path]


def _harmony(version: str) -> Build:
    def build(folder: Path) -> Path:
        images = harmony_xml.grid(wells=[(1, 1), (2, 3)], fields=(1, 2), planes=2)
        tweak = harmony_xml.said_once if version == "V6" else (lambda text: text)
        return harmony_xml.Export(version=version, images=images, tweak=tweak).write(folder / "plate__Measurement 1")

    return build


#: Reader, how to make an export, what to tell the reader.
SMALL_EXPORTS: tuple[tuple[str, Build, ReaderOptions | None], ...] = (
    ("cellvoyager", lambda folder: cellvoyager.usual().write(folder / "Run #1"), None),
    ("cellvoyager", lambda folder: cellvoyager.projections().write(folder / "20251201T134840_Test"), None),
    ("czi", lambda folder: czi.write_plate(folder / "plate7.czi"), None),
    *(("harmony", _harmony(version), None) for version in ("V5", "V6", "V7")),
    ("hcsai", lambda folder: hcsai.write_run(folder / "run", hcsai.stack_and_projection()), None),
    ("imagexpress", lambda folder: imagexpress.mixed(exported=True).write(folder / "plate"), None),
    ("imagexpress", lambda folder: imagexpress.mixed(exported=False).write(folder / "plate/12", htd=False), None),
    ("incell", lambda folder: incell.Export(images=incell.grid()).write(folder / "plate"), None),
    ("incell", lambda folder: incell.stacks_and_planes().write(folder / "plate"), None),
    ("lif", lambda folder: lif.write_plate(folder / "project.lif"), None),
    ("nd2", lambda folder: nd2.write_wells(folder / "jobs"), None),
    ("ome-tiff", lambda folder: ome.Plate(images=ome.grid(z=2, t=2)).write(folder / "plate"), None),
    ("ome-tiff", lambda folder: ome.Plate(layout="single").write(folder / "plate"), None),
    ("ome-tiff", lambda folder: ome.Plate(layout="alone", with_plate=False).write(folder / "plate"), None),
    ("ome-zarr", lambda folder: ome_zarr.Plate().write(folder / "plate.zarr"), None),
    ("ome-zarr", lambda folder: ome_zarr.Plate(version="0.5", shards=True).write(folder / "plate.zarr"), None),
    ("pattern", lambda folder: pattern.write_folder(folder / "plate", pattern.cellomics()), None),
    ("scanr", lambda folder: scanr.Experiment(fields=scanr.grid(z=2)).write(folder / "run"), None),
    ("scanr", lambda folder: scanr.Experiment(kind="descriptor").write(folder / "run"), None),
)
