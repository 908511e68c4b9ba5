"""LZW: what an encoder wrote comes back, and what is damaged is an error, whatever it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from cytolake.errors import SourceFileError
from cytolake.ingest.pixels import read_plane
from cytolake.ingest.sources.lzw import lzw_decode
from hypothesis import given, settings
from hypothesis import strategies as st

CLEAR, END = 256, 257


def packed(codes: Iterable[tuple[int, int]]) -> bytes:
    """Codes and their widths, the most significant bit first."""
    text = "".join(f"{code:0{width}b}" for code, width in codes)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def decoded(data: bytes, size: int) -> bytes:
    return lzw_decode(data, out=np.empty(size, np.uint8)).tobytes()


@given(st.binary(min_size=1, max_size=300), st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_what_was_encoded_comes_back(piece: bytes, times: int) -> None:
    data = piece * times
    encoded = imagecodecs.lzw_encode(data)
    assert decoded(encoded, len(data)) == data
    assert decoded(encoded, len(data) + 10) == data
    assert decoded(encoded, len(data) // 2) == data[: len(data) // 2]


def test_the_table_fills_and_is_cleared() -> None:
    pixels = np.random.default_rng(3).poisson(300, (200, 200)).astype(np.uint16)
    for image in (pixels, np.zeros_like(pixels), np.arange(40_000, dtype=np.uint16).reshape(200, 200)):
        assert decoded(imagecodecs.lzw_encode(image.tobytes()), image.nbytes) == image.tobytes()


def test_a_table_that_is_full_is_gone_on_with() -> None:
    # Without a clear every literal adds a string, until 4,096 are there.
    letters = [i % 251 for i in range(5_000)]
    codes, width, free = [(CLEAR, 9)], 9, 258
    for i, letter in enumerate(letters):
        codes.append((letter, width))
        if i and free < 4096:
            free += 1
        if free == (1 << width) - 1 and width < 12:
            width += 1
    assert decoded(packed([*codes, (END, 12)]), 6_000) == bytes(letters)


@pytest.mark.parametrize(
    "codes",
    [[(300, 9)], [(CLEAR, 9), (258, 9)], [(CLEAR, 9), (65, 9), (259, 9)], [(65, 9), (66, 9), (CLEAR, 9), (400, 9)]],
)
def test_a_code_that_is_not_in_the_table_is_an_error(codes: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="damaged LZW data"):
        decoded(packed(codes), 100)


def test_the_string_that_a_code_adds_itself() -> None:
    assert decoded(packed([(CLEAR, 9), (65, 9), (258, 9), (259, 9), (END, 9)]), 100) == b"AAAAAA"


def test_the_other_order_of_bits_is_named() -> None:
    with pytest.raises(ValueError, match="least significant bit first"):
        decoded(b"\x00\x01\x02\x03", 100)
    assert decoded(b"", 100) == b""


#: Damages a strip again and again; a decoder that trusts its codes ends the process (imagecodecs does, of which this
#: is the proof when it stands here in place of ours).
ATTACK = """
import random
import imagecodecs
import numpy as np
from cytolake.ingest.sources.lzw import lzw_decode
dice, out, refused = random.Random(1), np.empty(6000, np.uint8), 0
whole = imagecodecs.lzw_encode(np.random.default_rng(1).integers(0, 60, 3000, dtype=np.uint16).tobytes())
for case in range(40_000):
    data = bytearray(whole[: dice.choice([30, 200, 2000, len(whole)])])
    for _ in range(dice.randint(1, 6)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    try:
        lzw_decode(bytes(data), out=out)
    except ValueError:
        refused += 1
print(refused)
"""


def test_damaged_strips_end_no_process() -> None:
    done = subprocess.run([sys.executable, "-c", ATTACK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10_000


def test_a_damaged_strip_is_refused_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.random.default_rng(1).integers(0, 60, (60, 80), dtype=np.uint16), compression="lzw")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset + 2 : offset + 6] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(SourceFileError, match=r"image\.tif.*damaged LZW data"):
        read_plane(path, 0, np.empty((60, 80), np.uint16))
