"""Plane sources: opened once for all threads, hashed once, few open at a time, closed at the end."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import cytolake
import harmony_xml
import numpy as np
import pytest
import tifffile
from cytolake.errors import SourceFileError, StorageError
from cytolake.ingest.sources import PlaneSources, cache, glance, list_folder, open_source, read_bytes, tiff
from cytolake.ingest.sources.base import OpenFile
from vendor_exports import czi, lif

SHAPE = (50, 70)


def pages(n: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 65_535, (n, *SHAPE), dtype=np.uint16)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were opened, in order."""
    found: list[str] = []
    real = OpenFile.__init__

    def counting(self: OpenFile, path: Any) -> None:
        found.append(Path(path).name)
        real(self, path)

    monkeypatch.setattr(OpenFile, "__init__", counting)
    return found


@pytest.mark.parametrize("compression", [None, "lzw", "zstd"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_large_tiff_is_read_strip_by_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | None, whole: bool
) -> None:
    stack = pages(5)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, stack, photometric="minisblack", compression=compression, rowsperstrip=16)
    if not whole:
        monkeypatch.setattr(tiff, "_WHOLE", 0)
    source = open_source(file)
    assert source.count == 5
    assert (source.held_bytes > 0) == whole
    for page in (4, 0, 2):
        out = np.zeros(SHAPE, np.uint16)
        source.read_plane(page, out)
        np.testing.assert_array_equal(out, stack[page])
    assert source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(SourceFileError, match="has no page 5"):
        source.plane_format(5)
    source.close()


def test_pages_of_a_pyramid_are_not_more_planes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pages(1)[0])
        writer.write(pages(1)[0, ::2, ::2], subfiletype=1)
    assert open_source(tmp_path / "a.tif").count == 1


@pytest.mark.parametrize("kind", ["tif", "czi", "lif"])
def test_threads_share_one_file(tmp_path: Path, opened: list[str], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / f"a.{kind}"
    if kind == "tif":
        tifffile.imwrite(file, pages(20), photometric="minisblack")
        monkeypatch.setattr(tiff, "_WHOLE", 0)
    else:
        {"czi": czi.write_plate, "lif": lif.write_plate}[kind](file)
    hashed: list[int] = []
    real = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda *data: hashed.append(1) or real(*data))
    with PlaneSources() as files:
        shape, dtype = files.plane_format(file)

        def read(page: int) -> tuple[bytes, str]:
            out = np.zeros(shape, dtype)
            return (sha := files.read_plane(file, page, out)) and out.tobytes(), sha

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(read, [page % 18 for page in range(200)]))
        assert files.count(file) >= 18
        assert len(files._entries) == 1
    assert len({sha for _, sha in found}) == 1
    assert all(found[page] == found[page + 18] for page in range(180))
    assert opened == [file.name]
    assert len(hashed) == 1
    assert not files._entries


def test_few_files_stay_open_and_none_is_hashed_twice(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_IDLE_FILES", 2)
    hashed: list[int] = []
    real = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda *data: hashed.append(1) or real(*data))
    for name in "abc":
        lif.write_lif(tmp_path / f"{name}.lif", [lif.Image("T/A/1", lif.pixels(ord(name)))])
    with PlaneSources() as files:
        for page in range(2):
            for name in "abc":
                files.read_plane(tmp_path / f"{name}.lif", page, np.zeros((6, 8), np.uint16))
                assert len(files._entries) <= 2
    assert len(opened) == 6
    assert len(hashed) == 3


def test_files_of_one_plane_are_closed_at_once(tmp_path: Path, opened: list[str]) -> None:
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", pages(1)[0])
    with PlaneSources() as files:
        for name in "ab":
            files.read_plane(tmp_path / f"{name}.tif", 0, np.zeros(SHAPE, np.uint16))
            assert not files._entries
    assert opened == ["a.tif", "b.tif"]


def test_a_file_that_cannot_be_opened_does_not_stay(tmp_path: Path) -> None:
    with PlaneSources() as files:
        for name in ("none.czi", "none.tif"):
            with pytest.raises(SourceFileError, match="is not there"):
                files.plane_format(tmp_path / name)
        assert not files._entries


def test_more_pages_than_the_index_names_are_told(tmp_path: Path) -> None:
    folder = harmony_xml.Export(images=harmony_xml.grid(wells=[(1, 1)], fields=(1,))).write(tmp_path / "M")
    first = sorted(folder.rglob("*.tiff"))[0]
    image = tifffile.imread(first)
    tifffile.imwrite(first, np.stack([image] * 3), photometric="minisblack")
    report = cytolake.init_lake(tmp_path / "lake").ingest(folder, study="s")
    assert report["status"] == "ok"
    told = [w for w in report["warnings"] if "more planes than the export names" in w]
    assert len(told) == 1
    assert told[0].endswith(f"{first.name}: 3 planes, 1 named")


def test_a_disk_that_fails_is_not_a_file_without_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, pages(2), photometric="minisblack")
    monkeypatch.setattr(tiff, "_WHOLE", 0)
    for error, raised in ((OSError(5, "Input/output error"), StorageError), (MemoryError(), MemoryError)):
        with closing(open_source(file)) as source, monkeypatch.context() as failing:
            failing.setattr("os.pread", lambda *_, told=error: (_ for _ in ()).throw(told))
            with pytest.raises(raised):
                _ = source.count
    (tmp_path / "b.tif").write_bytes(b"no TIFF")
    with closing(open_source(tmp_path / "b.tif")) as source:
        assert source.count == 0


def test_folders_are_listed_by_name_and_links_into_nowhere_are_told(tmp_path: Path) -> None:
    for name in ("b", "a", ".DS_Store", "c"):
        (tmp_path / name).write_bytes(b"")
    assert [entry.name for entry in list_folder(tmp_path)] == ["a", "b", "c"]
    assert len(glance(tmp_path, 2)) == 2
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert [entry.name for entry in glance(tmp_path, 9)] == ["a", "b", "c"]
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StorageError, match="cannot be listed"):
            list_folder(folder)
    with pytest.raises(StorageError, match=r"listed: loop: .*\n.*Remove that link"):
        list_folder(tmp_path)
    assert glance(tmp_path / "absent", 9) == []


def test_what_holds_no_data_is_not_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Index.xml")
    (tmp_path / "zero.tif").symlink_to("/dev/zero")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    assert [entry.name for entry in list_folder(tmp_path)] == ["nowhere"]
    assert [entry.name for entry in glance(tmp_path, None)] == ["nowhere"]
    with pytest.raises(StorageError, match="it is no file"):
        read_bytes(tmp_path / "Index.xml")


def test_names_that_cannot_be_written_down(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"Pl\xe4tte_A01.tif")).touch()
    with pytest.raises(StorageError, match=r"Pl.udce4tte_A01\.tif' is not UTF-8\n.*Rename it"):
        list_folder(tmp_path)
    assert glance(tmp_path, None) == []
