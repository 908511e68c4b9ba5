"""Sizes: of levels, chunks and shards."""

from __future__ import annotations

import pytest
from cytolake.errors import UsageError
from cytolake.store.images import layout
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("size", "chunk"),
    [(1080, 540), (2160, 540), (540, 540), (270, 270), (2048, 512), (1392, 464), (1040, 520), (100, 100), (1381, 461)],
)
def test_chunks_divide_the_plane(size, chunk):
    assert layout.chunk_length(size) == chunk


@given(st.integers(1, 20_000))
def test_chunks_never_pad_by_more_than_their_number(size):
    chunk = layout.chunk_length(size)
    parts = -(-size // chunk)
    assert 0 <= parts * chunk - size < parts
    assert chunk <= 1080


def test_levels_halve_and_round_up():
    assert layout.level_shapes((2, 3, 4, 1081, 7)) == [(2, 3, 4, 1081, 7), (2, 3, 4, 541, 4), (2, 3, 4, 271, 2)]


@given(st.integers(1, 12), st.integers(1, 200), st.integers(1, 3000), st.integers(1, 3000))
def test_shards_are_bounded_and_of_one_depth(channels, z, y, x):
    depth = layout.shard_depth((1, channels, z, y, x), "uint16")
    assert 1 <= depth <= z
    assert depth == 1 or depth * channels * y * x * 2 <= 64 * 2**20
    assert -(-z // depth) * depth - z < -(-z // depth)


@pytest.mark.parametrize("codec", ["zstd", "zstd-0", "gzip-5", "lz4-10", ""])
def test_an_unknown_codec_is_refused(codec):
    with pytest.raises(UsageError, match="codec"):
        layout.array_document((1, 1, 1, 8, 8), "uint16", depth=1, codec=codec)
