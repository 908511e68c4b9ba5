"""Planes: exactly the pixels of the file, its hash, or an error; never zeros that nobody measured."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.errors import CytolakeError, SourceFileError, StorageError
from cytolake.ingest.pixels import SourceFile, plane_dtype, read_plane
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SHAPE = (50, 70)


def pixels(dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(5).integers(0, np.iinfo(dtype).max, SHAPE, dtype=dtype)


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strips": {"rowsperstrip": 7},
    "big-endian": {"byteorder": ">", "rowsperstrip": 16},
    "lzw": {"compression": "lzw"},
    "lzw, predictor": {"compression": "lzw", "predictor": True, "rowsperstrip": 9},
    "lzw, predictor, big-endian": {"compression": "lzw", "predictor": True, "byteorder": ">"},
    "deflate": {"compression": "zlib", "predictor": True},
    "packbits": {"compression": "packbits"},
    "zstd": {"compression": "zstd"},
    "bigtiff": {"bigtiff": True},
    "tiles": {"tile": (32, 32)},
    "tiles, lzw": {"tile": (16, 48), "compression": "lzw", "predictor": True},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_to_store_a_plane(tmp_path: Path, variant: str, dtype: str) -> None:
    image = pixels(dtype)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, image, **VARIANTS[variant])
    out = np.full(SHAPE, 9, dtype)
    assert plane_dtype(file) == np.dtype(dtype)
    assert read_plane(file, 0, out) == hashlib.sha256(file.read_bytes()).hexdigest()
    np.testing.assert_array_equal(out, image)


def test_into_a_part_of_a_larger_array(tmp_path: Path) -> None:
    image = pixels()
    tifffile.imwrite(tmp_path / "a.tif", image, compression="lzw", predictor=True)
    stack = np.zeros((3, *SHAPE), np.uint16)
    read_plane(tmp_path / "a.tif", 0, stack[1])
    wide = np.zeros((SHAPE[0], 2 * SHAPE[1]), np.uint16)
    read_plane(tmp_path / "a.tif", 0, wide[:, ::2])
    np.testing.assert_array_equal(stack[1], image)
    np.testing.assert_array_equal(wide[:, ::2], image)
    assert not stack[0].any()
    assert not wide[:, 1::2].any()


def test_pages(tmp_path: Path) -> None:
    stack = np.stack([pixels() // (i + 1) for i in range(3)])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    out = np.zeros(SHAPE, np.uint16)
    for page in range(3):
        read_plane(tmp_path / "a.tif", page, out)
        np.testing.assert_array_equal(out, stack[page])
    with pytest.raises(SourceFileError, match="has no page 3"):
        read_plane(tmp_path / "a.tif", 3, out)


@pytest.mark.parametrize(("dtype", "said"), [("int16", "have no sign"), ("float32", "Computed images")])
def test_what_else_than_counts_of_a_camera_is_refused(tmp_path: Path, dtype: str, said: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels().astype(dtype))
    with pytest.raises(SourceFileError, match=f"holds {dtype} pixels") as raised:
        read_plane(tmp_path / "a.tif", 0, np.zeros(SHAPE, np.uint16))
    assert said in (raised.value.hint or "")


def test_one_read_serves_pixels_and_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels())
    source = SourceFile(tmp_path / "a.tif")
    (tmp_path / "a.tif").unlink()
    out = np.zeros(SHAPE, np.uint16)
    source.read_plane(0, out)
    np.testing.assert_array_equal(out, pixels())
    assert len(source.sha256) == 64


@pytest.mark.parametrize("variant", ["plain", "strips", "lzw, predictor", "deflate", "packbits", "zstd", "tiles, lzw"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, variant: str, share: float) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, pixels(), **VARIANTS[variant])
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    out = np.full(SHAPE, 9, np.uint16)
    with pytest.raises(SourceFileError, match=r"a\.tif"):
        read_plane(file, 0, out)


@pytest.mark.parametrize("compression", ["lzw", "packbits"])
def test_a_strip_that_ends_early_is_refused(tmp_path: Path, compression: str) -> None:
    """The file is whole, but the stream inside decodes to fewer pixels than the header promises."""
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, pixels()[:20], compression=compression)
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        page = tiff.pages[0]
        page.tags["ImageLength"].overwrite(50)
        page.tags["RowsPerStrip"].overwrite(50)
    with pytest.raises(SourceFileError, match=r"a\.tif"):
        read_plane(file, 0, np.zeros(SHAPE, np.uint16))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        ({"data": np.zeros((51, 70), np.uint16)}, "51 × 70 uint16, not 50 × 70 uint16"),
        ({"data": np.zeros(SHAPE, np.uint8)}, "50 × 70 uint8, not 50 × 70 uint16"),
        ({"data": np.zeros(SHAPE, np.float32)}, "float32 pixels (32-bit float)"),
        ({"data": np.zeros(SHAPE, np.int16)}, "int16 pixels"),
        ({"data": np.zeros((*SHAPE, 3), np.uint8), "photometric": "rgb"}, "shape (50, 70, 3)"),
        ({"data": np.zeros(SHAPE, np.uint8), "compression": "jpeg"}, "is not read"),
    ],
)
def test_other_sizes_types_and_codecs_are_refused(tmp_path: Path, write: dict[str, Any], said: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", **write)
    dtype = np.uint8 if "is not read" in said else np.uint16
    with pytest.raises(SourceFileError) as raised:
        read_plane(tmp_path / "a.tif", 0, np.zeros(SHAPE, dtype))
    assert said in raised.value.message
    assert str(tmp_path / "a.tif") in raised.value.message
    assert raised.value.hint


def test_what_is_no_file_and_no_tiff(tmp_path: Path) -> None:
    out = np.zeros(SHAPE, np.uint16)
    with pytest.raises(SourceFileError, match="is not there"):
        read_plane(tmp_path / "none.tif", 0, out)
    (tmp_path / "empty.tif").touch()
    with pytest.raises(SourceFileError, match=r"no readable TIFF \(0 bytes\)"):
        read_plane(tmp_path / "empty.tif", 0, out)
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(SourceFileError, match="no readable TIFF"):
        plane_dtype(tmp_path / "text.tif")


def test_a_disk_that_fails_is_no_property_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(builtins, "open", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        SourceFile(tmp_path / "a.tif")


def _seeds() -> list[bytes]:
    import io

    found = []
    for variant in ("strips", "lzw, predictor", "tiles, lzw"):
        out = io.BytesIO()
        tifffile.imwrite(out, pixels(), **VARIANTS[variant])
        found.append(out.getvalue())
    return found


SEEDS = _seeds()


@given(
    st.integers(0, len(SEEDS) - 1),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_give_our_errors_only(
    tmp_path: Path, seed: int, changes: list[tuple[int, int]], from_end: bool
) -> None:
    data = bytearray(SEEDS[seed])
    for position, value in changes:
        data[-position - 1 if from_end else position] = value
    file = tmp_path / "a.tif"
    file.write_bytes(data)
    with contextlib.suppress(CytolakeError):
        read_plane(file, 0, np.zeros(SHAPE, np.uint16))


def test_real_files(shared_data: Path) -> None:
    for file in sorted((shared_data / "vendors" / "harmony").rglob("*.tiff")):
        out = np.zeros((1080, 1080), np.uint16)
        assert read_plane(file, 0, out) == hashlib.sha256(file.read_bytes()).hexdigest()
        np.testing.assert_array_equal(out, tifffile.imread(file))
