"""Who converts: each a function of an export and a target folder, all of its imports done when it is made.

All write NGFF 0.5 with three levels, inner chunks of one plane and half a side, one shard per field and level, blosc
zstd-1 with shuffle and the same block size. The peers run twice: with the levels that they make by default, and in
their fastest documented way that averages 2 × 2 pixels (tried: with and without shards, NumPy and Dask input, every
way of their own to make levels; of iohub, level 0 through zarr-python and through tensorstore). They neither hash nor
sync, nor write rows, which cytolake does.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from benchmarks.exports import FieldFiles, fields_of

Convert = Callable[[Path, Path], None]

LEVELS = 3


def cytolake() -> Convert:
    """Do the whole of ``cytolake ingest`` into a new lake: metadata, fingerprint, pixels, receipts, rows, commit."""
    from cytolake import open_lake

    def convert(export: Path, target: Path) -> None:
        report = open_lake(target).ingest(export, study="bench")
        if report["status"] != "ok":
            raise RuntimeError(str(report))

    return convert


def make_target(name: str, target: Path) -> None:
    """Make what a contender expects to be there, before the clock starts."""
    if name == "cytolake":
        from cytolake import init_lake

        init_lake(target)


def bare_tensorstore() -> Convert:
    """Do the least that writes such a plate: a thread per core, files hashed and synced, buffers reused."""
    import tensorstore as ts
    from cytolake.store.images import layout
    from cytolake.store.images.pyramid import halve

    context = ts.Context({"cache_pool": {"total_bytes_limit": 0}, "file_io_sync": False})

    def convert_field(folder: Path, files: list[list[Path]], blocks: list[np.ndarray]) -> list[str]:
        hashes = []
        for channel, stack in enumerate(files):
            for z, path in enumerate(stack):
                data = path.read_bytes()
                hashes.append(hashlib.sha256(data).hexdigest())
                with tifffile.TiffFile(io.BytesIO(data)) as tiff:
                    tiff.pages[0].asarray(out=blocks[0][0, channel, z])
        for fine, coarse in pairwise(blocks):
            for z in range(fine.shape[2]):
                halve(fine[0, :, z], coarse[0, :, z])
        depth = layout.shard_depth(blocks[0].shape, blocks[0].dtype.name)
        writes = []
        for level, block in enumerate(blocks):
            metadata = layout.array_document(block.shape, block.dtype.name, depth=depth)
            del metadata["attributes"]
            spec = {
                "driver": "zarr3",
                "kvstore": {"driver": "file", "path": f"{folder}/{level}/"},
                "metadata": metadata,
                "store_data_equal_to_fill_value": True,
            }
            array = ts.open(spec, create=True, context=context).result()
            writes.append(array.write(block, can_reference_source_data_indefinitely=True))
        for write in writes:
            write.result()
        for where, _, names in os.walk(folder, topdown=False):
            for name in [*names, "."]:
                handle = os.open(f"{where}/{name}", os.O_RDONLY)
                os.fsync(handle)
                os.close(handle)
        return hashes

    def convert(export: Path, target: Path) -> None:
        fields = fields_of(export)
        plane = tifffile.imread(fields[0][1][0][0]).shape

        def share(some: list[FieldFiles]) -> None:
            buffers: dict[tuple[int, ...], list[np.ndarray]] = {}
            for path, files in some:
                shape = (1, len(files), len(files[0]), *plane)
                if shape not in buffers:
                    buffers[shape] = [np.empty(s, np.uint16) for s in layout.level_shapes(shape, LEVELS)]
                convert_field(target / path, files, buffers[shape])

        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(share, [fields[i::cores] for i in range(cores)]))

    return convert


def ome_zarr_py(*, tuned: bool) -> Convert:
    """Call ``write_image`` field by field, sharded; tuned, with Dask input of one block and local mean."""
    import dask.array as da
    import zarr
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image

    method: dict[str, Any] = {"method": Methods.LOCAL_MEAN} if tuned else {}

    def convert(export: Path, target: Path) -> None:
        plate = zarr.open_group(str(target), mode="w", zarr_format=3)
        for path, files in fields_of(export):
            image = _stack(files)
            write_image(
                da.from_array(image, chunks=image.shape) if tuned else image,
                plate.require_group(path),
                axes="tczyx",
                scale={"y": 0.598, "x": 0.598},
                scale_factors=[2**level for level in range(1, LEVELS)],
                storage_options=[_zarr_options(image.shape, level) for level in range(LEVELS)],
                **method,
            )

    return convert


def ngio(*, tuned: bool) -> Convert:
    """Call ``create_ome_zarr_from_array`` for one field after the other, sharded; tuned, levels made in memory."""
    from ngio import create_ome_zarr_from_array

    def convert(export: Path, target: Path) -> None:
        for path, files in fields_of(export):
            image = _stack(files)
            create_ome_zarr_from_array(
                str(target / path),
                image,
                pixelsize=0.598,
                levels=LEVELS,
                axes_names="tczyx",
                ngff_version="0.5",
                consolidation_mode="numpy" if tuned else None,
                **_zarr_options(image.shape, 0),
            )

    return convert


def iohub(*, tuned: bool) -> Convert:
    """Make positions of a plate, sharded, with the levels that iohub makes; tuned, level 0 through tensorstore.

    iohub's codec is blosc zstd-1 as everybody's here, but with bitshuffle: it takes no other.
    """
    from iohub import open_ome_zarr

    logging.getLogger("iohub").setLevel(logging.ERROR)

    def convert(export: Path, target: Path) -> None:
        plates: dict[str, Any] = {}
        for path, files in fields_of(export):
            plate_id, row, column, field = path.split("/")
            # Channels belong to the plate: a plate per number of channels.
            name = f"{plate_id}-{len(files)}"
            if name not in plates:
                names = [f"c{i}" for i in range(len(files))]
                plates[name] = open_ome_zarr(target / name, layout="hcs", mode="w", channel_names=names, version="0.5")
            image = _stack(files)
            options = _zarr_options(image.shape, 0)
            sizes = {
                "chunks": options["chunks"],
                "shards_ratio": tuple(s // c for s, c in zip(options["shards"], options["chunks"], strict=True)),
            }
            position = plates[name].create_position(row, column, field)
            if tuned:
                array = position.create_zeros("0", shape=image.shape, dtype=image.dtype, **sizes)
                array.tensorstore().write(image).result()
            else:
                position.create_image("0", image, **sizes)
            position.compute_pyramid(levels=LEVELS, dims={"y", "x"})
        for plate in plates.values():
            plate.close()

    return convert


def _stack(files: list[list[Path]]) -> np.ndarray:
    return np.stack([np.stack([tifffile.imread(path) for path in stack]) for stack in files])[None]


def _zarr_options(shape: tuple[int, ...], level: int) -> dict[str, Any]:
    """Say for zarr-python what cytolake's own metadata says."""
    from cytolake.store.images.layout import array_document, level_shapes, shard_depth
    from zarr.codecs import BloscCodec

    document = array_document(
        level_shapes(shape, LEVELS)[level], "uint16", depth=shard_depth(level_shapes(shape, LEVELS)[0], "uint16")
    )
    sharding = document["codecs"][0]["configuration"]
    return {
        "chunks": tuple(sharding["chunk_shape"]),
        "shards": tuple(document["chunk_grid"]["configuration"]["chunk_shape"]),
        "compressors": BloscCodec(**sharding["codecs"][1]["configuration"]),
    }


CONTENDERS: Mapping[str, Callable[[], Convert]] = {
    "cytolake": cytolake,
    "bare tensorstore loop": bare_tensorstore,
    "ome-zarr-py": partial(ome_zarr_py, tuned=False),
    "ome-zarr-py, tuned": partial(ome_zarr_py, tuned=True),
    "ngio": partial(ngio, tuned=False),
    "ngio, tuned": partial(ngio, tuned=True),
    "iohub": partial(iohub, tuned=False),
    "iohub, tuned": partial(iohub, tuned=True),
}


def contender(name: str) -> Convert:
    """Import what a contender needs and give it."""
    warnings.simplefilter("ignore")
    return CONTENDERS[name]()
