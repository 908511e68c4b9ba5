"""How a field lies in Zarr arrays: the sizes of its levels, its inner chunks and its shards.

One shard holds all channels of one time point (and of a block of z planes), so that a field is few files and the unit
of work one read. Inner chunks are single-plane tiles that divide the plane, so that a crop decodes little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import UsageError
from .ngff import AXES

Shape = tuple[int, int, int, int, int]

#: Every image of every plate has as many levels: viewers take the level paths of a plate from its first image.
LEVELS = 3

#: blosc compressor and level. At least one JavaScript reader lacks bitshuffle, hence plain shuffle always.
DEFAULT_CODEC = "zstd-1"

#: Bytes that blosc compresses at a time. On camera images a field is written in three quarters of the processor time
#: that blosc's own choice takes, read a little faster, and is 5 % smaller.
_BLOSC_BLOCK = 2**18

_CHUNK = 540
_CHUNK_RANGE = (256, 1080)
_SHARD_BYTES = 64 * 2**20


def level_shapes(shape: Shape, levels: int = LEVELS) -> list[Shape]:
    """Shapes of the pyramid: y and x halve from level to level, rounded up; t, c and z stay."""
    shapes = [shape]
    for _ in range(levels - 1):
        t, c, z, y, x = shapes[-1]
        shapes.append((t, c, z, (y + 1) // 2, (x + 1) // 2))
    return shapes


def chunk_length(size: int) -> int:
    """Inner chunk along one side of a plane of ``size`` pixels: its divisor nearest to 540.

    Sizes up to 1080 without a divisor of 256 or more stay whole; larger ones are cut in equal parts, rounded up.
    """
    low, high = _CHUNK_RANGE
    divisors = [d for d in range(min(low, size), min(high, size) + 1) if size % d == 0]
    if divisors:
        return min(divisors, key=lambda d: abs(math.log(d / _CHUNK)))
    return -(-size // round(size / _CHUNK))


def shard_depth(shape: Shape, dtype: str) -> int:
    """Z planes per shard: as many as keep the raw shard within 64 MiB, in blocks of equal depth, at least one."""
    _, c, z, y, x = shape
    most = max(1, _SHARD_BYTES // (c * y * x * np.dtype(dtype).itemsize))
    blocks = -(-z // most)
    return -(-z // blocks)


def array_document(shape: Shape, dtype: str, *, depth: int, codec: str = DEFAULT_CODEC) -> dict[str, Any]:
    """``zarr.json`` of one level: a sharded Zarr v3 array, ``depth`` z planes to the shard.

    Parameters
    ----------
    codec
        ``zstd-N`` or ``lz4-N``, N the level from 1 to 9.
    """
    _, c, _, y, x = shape
    chunk_y, chunk_x = chunk_length(y), chunk_length(x)
    shard = (1, c, depth, -(-y // chunk_y) * chunk_y, -(-x // chunk_x) * chunk_x)
    size = np.dtype(dtype).itemsize
    little: dict[str, Any] = {"name": "bytes"} | ({"configuration": {"endian": "little"}} if size > 1 else {})
    sharding = {
        "chunk_shape": [1, 1, 1, chunk_y, chunk_x],
        "codecs": [little, {"name": "blosc", "configuration": _blosc(codec, size)}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "dimension_names": list(AXES),
        "attributes": {},
    }


def is_ours(document: Mapping[str, Any]) -> bool:
    """Whether an array's ``zarr.json`` is what :func:`array_document` makes of its shape, type, depth and codec."""
    try:
        depth = document["chunk_grid"]["configuration"]["chunk_shape"][2]
        if not isinstance(depth, int) or depth < 1:
            return False
        blosc = document["codecs"][0]["configuration"]["codecs"][1]["configuration"]
        wanted = array_document(
            (*document["shape"],),
            document["data_type"],
            depth=depth,
            codec=f"{blosc['cname']}-{blosc['clevel']}",
        )
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return {**document, "attributes": {}} == wanted


def _blosc(codec: str, itemsize: int) -> dict[str, Any]:
    name, _, level = codec.partition("-")
    if name not in ("zstd", "lz4") or level not in set("123456789"):
        raise UsageError(f"codec {codec!r} is not known", hint="use zstd-N or lz4-N, N from 1 to 9")
    return {"cname": name, "clevel": int(level), "shuffle": "shuffle", "typesize": itemsize, "blocksize": _BLOSC_BLOCK}
