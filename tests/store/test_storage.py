"""The storage seam: the same behaviour in a folder and in a bucket."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cytolake.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    StorageError,
    UsageError,
)
from cytolake.store import local as local_module
from cytolake.store.storage import Storage, open_storage


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(tmp_path / "lab 1 ü")
    return open_storage(request.getfixturevalue("s3_url") + "/a b")


def test_files(storage: Storage) -> None:
    assert not storage.exists("a")
    assert storage.list() == []
    assert storage.children() == []
    storage.write("a/b c.txt", b"one")
    storage.write("a/b c.txt", b"three")
    storage.write("a/d/e", b"")
    storage.write("f", b"x")
    assert storage.read("a/b c.txt") == b"three"
    assert storage.size("a/b c.txt") == 5
    assert storage.exists("a")
    assert storage.exists("a/b c.txt")
    assert not storage.exists("a/b")
    assert storage.list() == ["a/b c.txt", "a/d/e", "f"]
    assert storage.list("a/d") == ["a/d/e"]
    assert [name for name in storage.children() if name != "staging"] == ["a", "f"]
    assert storage.children("a") == ["b c.txt", "d"]
    assert storage.children("nowhere") == []
    assert storage.uri("a/d") == f"{storage.url}/a/d"
    storage.delete("f")
    storage.delete("f")
    storage.delete_tree("a")
    storage.delete_tree("a")
    assert [path for path in storage.list() if not path.startswith("staging")] == []


def test_sizes_and_times_of_files(storage: Storage) -> None:
    before = time.time()
    storage.write("a/b c.txt", b"three")
    storage.write("a/d/e", b"")
    storage.write("f", b"x")
    found = {one.path: one for one in storage.entries("a")}
    assert {path: one.size for path, one in found.items()} == {"a/b c.txt": 5, "a/d/e": 0}
    assert all(before - 2 < one.modified < time.time() + 2 for one in found.values())  # S3 counts whole seconds
    assert storage.entries("nowhere") == []
    assert {one.path for one in storage.entries()} >= {"a/b c.txt", "a/d/e", "f"}
    storage.delete_all(["a/b c.txt", "f", "not/there"])
    assert storage.list("a") == ["a/d/e"]
    assert not storage.exists("f")
    storage.delete_all([])


def test_absent_files_are_named(storage: Storage) -> None:
    with pytest.raises(NotFoundError, match=r"no/such\.txt"):
        storage.read("no/such.txt")
    with pytest.raises(NotFoundError, match=r"no/such\.txt"):
        storage.size("no/such.txt")


def test_the_first_conditional_write_wins(storage: Storage) -> None:
    storage.write("claim", b"first", if_absent=True)
    with pytest.raises(AlreadyExistsError, match="claim"):
        storage.write("claim", b"second", if_absent=True)
    assert storage.read("claim") == b"first"
    assert storage.list() == ["claim"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/./b"])
def test_paths_cannot_leave_the_lake(storage: Storage, path: str) -> None:
    with pytest.raises(UsageError, match="no path relative"):
        storage.read(path)


def test_pickled_storage_works(storage: Storage) -> None:
    storage.write("a", b"one")
    again = pickle.loads(pickle.dumps(storage))
    assert again.url == storage.url
    assert again.read("a") == b"one"


def test_other_libraries_reach_the_same_bytes(storage: Storage) -> None:
    """tensorstore writes an array that zarr reads; Arrow and DuckDB open the same file."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorstore as ts
    import zarr

    spec = {"driver": "zarr3", "kvstore": storage.kvstore("images/x")}
    array = ts.open(spec, create=True, dtype=ts.uint16, shape=[4, 5]).result()
    array.write(np.arange(20, dtype=np.uint16).reshape(4, 5)).result()
    read = zarr.open_array(storage.zarr_store("images/x"), mode="r")
    assert np.array_equal(np.asarray(read[:]), np.arange(20).reshape(4, 5))

    filesystem, base = storage.arrow_filesystem()
    storage.make_parents("t/x.parquet")
    pq.write_table(pa.table({"x": [1, 2]}), f"{base}/t/x.parquet", filesystem=filesystem)
    storage.sync(["t/x.parquet"])
    assert storage.exists("t/x.parquet")
    with duckdb.connect() as connection:
        if storage.duckdb_filesystem() is not None:
            connection.register_filesystem(storage.duckdb_filesystem())
        found = connection.execute("SELECT sum(x) FROM read_parquet([?])", [storage.uri("t/x.parquet")])
        assert found.fetchall() == [(3,)]


def test_every_check_passes_here(storage: Storage) -> None:
    checks = storage.probe()
    assert {check.name for check in checks} > {"writable"}
    assert [check for check in checks if not check.ok] == []
    assert [path for path in storage.list() if "probe" in path] == []


def test_folders_move_in_one_step(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    storage.write("staging/p/zarr.json", b"{}")
    storage.rename("staging/p", "images/s/p.ome.zarr")
    assert storage.list() == ["images/s/p.ome.zarr/zarr.json"]
    storage.write("staging/q/zarr.json", b"{}")
    with pytest.raises(AlreadyExistsError, match=r"p\.ome\.zarr"):
        storage.rename("staging/q", "images/s/p.ome.zarr")
    storage.write("file", b"")
    with pytest.raises(AlreadyExistsError, match="file"):
        storage.rename("staging/q/zarr.json", "file")
    with pytest.raises(NotFoundError, match="staging/nothing"):
        storage.rename("staging/nothing", "images/x")


def test_a_bucket_says_that_it_cannot_rename(s3_url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot rename"):
        open_storage(s3_url).rename("a", "b")


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(UsageError, match="gs://x"):
        open_storage("gs://x/y")
    with pytest.raises(UsageError, match="bucket"):
        open_storage("s3://")


@pytest.mark.parametrize("name", ["50%20mM", "a\\b", "lab #1", "lab [old]", "what?"])
def test_paths_that_delta_misreads_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="misreads"):
        open_storage(tmp_path / name / "lab")
    open_storage(tmp_path / "100% sure")


def test_a_missing_object_store_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigurationError, match="obstore") as raised:
        open_storage("s3://bucket/lab")
    assert "cytolake[cloud]" in str(raised.value.hint)


def test_a_missing_bucket_is_named(s3_url: str) -> None:
    storage = open_storage("s3://no-such-bucket-here/lab")
    with pytest.raises(NotFoundError, match="no-such-bucket-here"):
        storage.write("a", b"")
    (check,) = storage.probe()
    assert not check.ok
    assert "AWS_ENDPOINT_URL" in check.repair


def test_an_unreachable_store_is_a_storage_error(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="reading s3://bucket/lab/a"):
        open_storage("s3://bucket/lab").read("a")


def test_a_lock_is_exclusive_and_says_who_holds_it(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    with storage.lock("plate"), pytest.raises(ConflictError, match=rf"process {os.getpid()} on"):
        storage.lock("plate", wait=0.05).__enter__()
    with storage.lock("plate"), storage.lock("another"):
        pass


def test_death_frees_a_lock(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal\n"
        "from cytolake.store.storage import open_storage\n"
        "with open_storage(sys.argv[1]).lock('plate'):\n"
        "    print('held', flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        storage = open_storage(tmp_path)
        with pytest.raises(ConflictError, match=f"process {child.pid} "):
            storage.lock("plate").__enter__()
        child.kill()
        with storage.lock("plate", wait=10):
            pass


def test_a_lock_outlives_the_deletion_of_staging(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    with storage.lock("plate"):
        storage.delete_tree("staging")
        # The file that was held is gone; a new one protects from here on.
        with storage.lock("plate"), pytest.raises(ConflictError):
            storage.lock("plate").__enter__()


def test_no_space_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(tmp_path)
    storage.write("a", b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(local_module.os, "fsync", full)
    with pytest.raises(StorageError, match="no space left") as raised:
        storage.write("a", b"new")
    assert "free some space" in str(raised.value.hint)
    assert storage.read("a") == b"old"
    assert storage.list() == ["a"]


def test_a_file_system_without_hard_links_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(local_module.os, "link", refuse)
    storage = open_storage(tmp_path)
    (check,) = [check for check in storage.probe() if not check.ok]
    assert check.name == "hard links"
    assert "ext4" in check.repair
    with pytest.raises(ConfigurationError, match="hard links"):
        storage.write("a", b"", if_absent=True)


def test_reserving_more_than_there_is_fails(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="reserving"):
        open_storage(tmp_path).reserve("staging/reserve", 2**60)
    assert not (tmp_path / "staging" / "reserve").exists()
