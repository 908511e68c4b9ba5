"""Maintenance: nothing that a release or a reader of last week needs goes, everything else does, and no row changes."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aging import age
from cytolake.errors import ConflictError, StorageError
from cytolake.store import commit as commit_module
from cytolake.store import compaction, journal
from cytolake.store.check import validate
from cytolake.store.commit import Commit
from cytolake.store.datafiles import write_data_file
from cytolake.store.maintenance import maintain
from cytolake.store.releases import create_release, find_release, withdraw_release
from cytolake.store.root import LakeRoot, init_root, open_root
from cytolake.store.scan import Filter, file_paths, live_files, scan
from cytolake.store.tables import KEEP_LOG

Rows = Callable[..., pa.Table]
NUCLEI = "features/nuclei/0123abcd/nuclei"
DAY = 86_400


def put(lake: LakeRoot, table: str, rows: pa.Table, plate: str, *, study: str = "pilot", run_id: str = "run-1") -> None:
    with Commit(lake, run_id=run_id, app_id=f"test/{table}/{study}/{plate}") as commit:
        commit.replace(table, {"study_id": study, "plate_id": plate}, rows)
        commit.commit()


def rows_of(lake: LakeRoot, table: str, version: int | None = None) -> list[str]:
    return sorted(repr(row) for row in lake.tables.read(table, version=version).to_pylist())


def data_files(lake: LakeRoot, table: str) -> set[str]:
    folder = f"tables/{table}/"
    return {path.removeprefix(folder) for path in lake.storage.list(folder) if "/_delta_log/" not in path}


def table_report(report: dict[str, Any], table: str) -> dict[str, Any]:
    return next(one for one in report["tables"] if one["table"] == table)


def set_age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def leave(lake: LakeRoot, path: str, days: float, data: bytes = b"left") -> Path:
    """Put a file somewhere in the lake as if it had been written some days ago."""
    file = Path(lake.url) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    set_age(file, days)
    return file


# ---- retention --------------------------------------------------------------------------------------------------


def test_a_release_outlives_maintenance_of_an_aged_log(
    lake: LakeRoot, objects: Rows, wells: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release, more commits and checkpoints, forty days, maintenance, more commits and checkpoints."""
    monkeypatch.setattr(journal, "CHECKPOINT_EVERY", 5)

    def commits(first: int, last: int) -> None:
        for number in range(first, last):
            put(lake, NUCLEI, objects(f"P{number % 3}", run_id=f"run-{number:03}"), f"P{number % 3}")

    commits(0, 12)
    put(lake, "wells", wells("P1"), "P1")
    create_release(lake, "spring")
    version = find_release(lake, "spring").pins[NUCLEI].version
    then = rows_of(lake, NUCLEI, version)
    needed = file_paths(lake.tables.open(NUCLEI, version=version))
    commits(12, 22)
    assert maintain(lake)["files_removed"] == 0  # all of it happened within a week
    age(lake.url, 40)
    now = rows_of(lake, NUCLEI)
    report = maintain(lake)
    assert table_report(report, NUCLEI)["files_removed"] == 22 - 3 - 3
    assert table_report(report, NUCLEI)["kept"]["spring"]["files"] == 3
    assert data_files(lake, NUCLEI) == needed | file_paths(lake.tables.open(NUCLEI))
    assert rows_of(lake, NUCLEI) == now
    commits(22, 34)
    lake.tables.open(NUCLEI).create_checkpoint()
    age(lake.url, 40)
    maintain(lake)
    assert rows_of(lake, NUCLEI, version) == then
    log = lake.storage.children(f"tables/{NUCLEI}/_delta_log")
    entries = [name for name in log if re.fullmatch(r"\d{20}\.json", name)]
    assert len(entries) == lake.tables.version(NUCLEI) + 1  # not one was cleaned away
    assert sum(".checkpoint." in name for name in log) >= 6
    assert [error for error in validate(lake)["errors"] if error["code"] == "release-incomplete"] == []

    withdraw_release(lake, "spring", "test")
    assert table_report(maintain(lake), NUCLEI)["files_removed"] == 3
    assert data_files(lake, NUCLEI) == file_paths(lake.tables.open(NUCLEI))


def test_readers_of_last_week_find_their_files(lake: LakeRoot, objects: Rows) -> None:
    put(lake, NUCLEI, objects("P1", run_id="run-1"), "P1")
    age(lake.url, 20)
    put(lake, NUCLEI, objects("P1", run_id="run-2"), "P1")
    age(lake.url, 3)  # run-2 is three days old: who read before sees run-1
    put(lake, NUCLEI, objects("P1", run_id="run-3"), "P1")
    for path in data_files(lake, NUCLEI):
        set_age(Path(lake.url) / "tables" / NUCLEI / path, 30)
    assert maintain(lake)["files_removed"] == 0
    assert len(data_files(lake, NUCLEI)) == 3
    assert maintain(lake, now=datetime.now(UTC) + timedelta(days=5))["files_removed"] == 1
    assert maintain(lake, now=datetime.now(UTC) + timedelta(days=8))["files_removed"] == 1
    assert rows_of(lake, NUCLEI) == sorted(repr(row) for row in objects("P1", run_id="run-3").to_pylist())


def test_a_lake_that_was_copied_keeps_what_it_needs(lake: LakeRoot, objects: Rows, tmp_path: Path) -> None:
    """A copy's files are all new, whatever the log says of them: they are spared until they are a day old."""
    for number in range(3):
        put(lake, NUCLEI, objects("P1", run_id=f"run-{number}"), "P1")
    age(lake.url, 40)
    for path in data_files(lake, NUCLEI):
        set_age(Path(lake.url) / "tables" / NUCLEI / path, 0)
    assert maintain(lake)["files_removed"] == 0
    assert maintain(lake, now=datetime.now(UTC) + timedelta(days=2))["files_removed"] == 2


def test_a_table_whose_log_others_cleaned_is_left_alone(lake: LakeRoot, objects: Rows, wells: Rows) -> None:
    put(lake, "wells", wells("P1"), "P1")
    for number in range(3):
        put(lake, NUCLEI, objects("P1", run_id=f"run-{number}"), "P1")
    create_release(lake, "spring")
    put(lake, NUCLEI, objects("P1", run_id="run-9"), "P1")
    delta = lake.tables.open(NUCLEI)
    delta.create_checkpoint()
    for version in range(delta.version()):
        (Path(lake.url) / "tables" / NUCLEI / "_delta_log" / f"{version:020}.json").unlink()
    report = maintain(lake, now=datetime.now(UTC) + timedelta(days=40))
    assert report["status"] == "partial"
    assert "nothing is removed, for release 'spring' needs version 3" in report["warnings"][0]
    assert len(data_files(lake, NUCLEI)) == 4


def test_nothing_goes_where_releases_cannot_be_read(lake: LakeRoot, objects: Rows) -> None:
    for number in range(3):
        put(lake, NUCLEI, objects("P1", run_id=f"run-{number}"), "P1")
    create_release(lake, "spring")
    before = data_files(lake, NUCLEI)
    for path in data_files(lake, "releases"):
        (Path(lake.url) / "tables" / "releases" / path).unlink()
    with pytest.raises(StorageError, match="is not there"):
        maintain(lake, now=datetime.now(UTC) + timedelta(days=40))
    assert data_files(lake, NUCLEI) == before


def test_the_log_is_kept_from_now_on(lake: LakeRoot, wells: Rows) -> None:
    put(lake, "wells", wells("P1"), "P1")
    lake.tables.open("wells").alter.set_table_properties({KEEP_LOG: "true"})
    assert "was not false" in maintain(lake, dry_run=True)["warnings"][0]
    assert lake.tables.open("wells").metadata().configuration[KEEP_LOG] == "true"
    maintain(lake)
    assert lake.tables.open("wells").metadata().configuration[KEEP_LOG] == "false"
    assert maintain(lake)["warnings"] == []


# ---- joining ----------------------------------------------------------------------------------------------------


def test_small_files_are_joined_and_no_row_changes(lake: LakeRoot, wells: Rows) -> None:
    for number in range(30):
        study = f"study {number % 2}/ü%"
        put(lake, "wells", wells(f"P{number:02}", study_id=study, replicate=number), f"P{number:02}", study=study)
    before = rows_of(lake, "wells")
    report = maintain(lake)
    assert (report["files_compacted"], report["files_written"]) == (30, 2)
    assert (table_report(report, "wells")["files"], report["run_id"] is not None) == (30, True)
    assert rows_of(lake, "wells") == before
    assert rows_of(lake, "wells", lake.tables.version("wells") - 1) == before
    joined = live_files(lake.tables.open("wells"))
    assert [(file.rows, file.stats["plate_id"]) for file in sorted(joined, key=lambda one: one.path)] == [
        (45, ("P00", "P28", 0)),
        (45, ("P01", "P29", 0)),
    ]
    assert {file.fingerprint for file in joined} == {file.fingerprint for file in joined[:1]}
    assert scan(lake, "wells", [Filter("study_id", "=", "study 1/ü%")]).pruned == 1
    for file in joined:
        body = pq.ParquetFile(Path(lake.url) / "tables" / "wells" / file.path)
        assert body.num_row_groups == 1
    again = maintain(lake)
    assert (again["run_id"], again["files_compacted"], again["files_removed"]) == (None, 0, 0)
    entry = lake.tables.log_entry("wells", lake.tables.version("wells"))
    assert {action[kind]["dataChange"] for action in entry for kind in ("add", "remove") if kind in action} == {False}

    put(lake, "wells", wells("P02", 1, study_id="study 0/ü%"), "P02", study="study 0/ü%")  # part of a joined file
    assert len(rows_of(lake, "wells")) == 90 - 2


def test_files_of_other_columns_and_other_plates_stay_apart(lake: LakeRoot, objects: Rows) -> None:
    def add(plate: str, count: int, **features: float) -> None:
        files = [
            write_data_file(lake.storage, NUCLEI, objects(plate, run_id=f"run-{number}", **features))
            for number in range(count)
        ]
        with Commit(lake, run_id="r", app_id=f"fill/{plate}/{sorted(features)}") as commit:
            commit.replace_files(NUCLEI, {"study_id": "none"}, files, objects(plate, **features).schema)
            commit.commit()

    add("P1", 5)
    add("P1", 4, Nuclei_AreaShape_Perimeter=1.0)
    add("P2", 3)
    add("P3", 6)
    before = rows_of(lake, NUCLEI)
    report = maintain(lake)
    assert (report["files_compacted"], report["files_written"]) == (15, 3)
    assert rows_of(lake, NUCLEI) == before
    found = scan(lake, NUCLEI, [Filter("plate_id", "=", "P3")])
    assert (len(found.files), found.pruned) == (1, 5)
    assert sorted(len(group) for group in scan(lake, NUCLEI).groups_by_fingerprint().values()) == [1, 5]


def test_large_files_are_left_alone_and_joined_ones_grow_no_larger(
    lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        put(lake, "wells", wells(f"P{number:02}", 96), f"P{number:02}")
    size = max(file.size for file in live_files(lake.tables.open("wells")))
    monkeypatch.setattr(compaction, "SMALL", size + 1)
    monkeypatch.setattr(compaction, "TARGET", size * 4)
    monkeypatch.setattr(compaction, "ROW_GROUP", 100)
    before = rows_of(lake, "wells")
    maintain(lake)
    joined = live_files(lake.tables.open("wells"))
    assert 1 < len(joined) <= 4
    assert rows_of(lake, "wells") == before
    # Plates lie beside their neighbours, so that a question about one of them opens one file.
    assert len(scan(lake, "wells", [Filter("plate_id", "=", "P05")]).files) == 1


def test_files_of_other_writers_are_left_alone(lake: LakeRoot, wells: Rows) -> None:
    put(lake, "wells", wells("P1"), "P1")
    from deltalake import write_deltalake

    schema = lake.tables.open("wells").schema().to_arrow()
    for number in range(6):
        rows = pa.table(scan(lake, "wells").read()).slice(0, 1)
        rows = rows.set_column(rows.column_names.index("plate_id"), "plate_id", pa.array([f"X{number}"]))
        write_deltalake(lake.storage.uri("tables/wells"), rows.cast(pa.schema(schema)), mode="append")
    before = rows_of(lake, "wells")
    assert maintain(lake)["files_compacted"] == 0
    assert rows_of(lake, "wells") == before


def test_a_table_that_cannot_be_joined_does_not_stop_the_others(lake: LakeRoot, wells: Rows, objects: Rows) -> None:
    for number in range(5):
        put(lake, "wells", wells(f"P{number}"), f"P{number}")
        put(lake, "plates", plates_row(f"P{number}"), f"P{number}")
    path = next(iter(file_paths(lake.tables.open("plates"))))
    (Path(lake.url) / "tables" / "plates" / path).unlink()
    report = maintain(lake)
    assert report["status"] == "partial"
    assert len(report["warnings"]) == 1
    assert "table plates was left as it is" in report["warnings"][0]
    assert "is not there" in report["warnings"][0]
    assert table_report(report, "wells")["files_written"] == 1
    assert len(data_files(lake, "plates")) == 4  # nothing new was left behind


def plates_row(plate: str) -> pa.Table:
    return pa.table(
        {
            "study_id": ["pilot"],
            "plate_id": [plate],
            "n_rows": pa.array([8], pa.int32()),
            "n_columns": pa.array([12], pa.int32()),
            "status": ["ok"],
            "run_id": ["run-1"],
        }
    )


def test_rows_that_do_not_add_up_are_not_joined(lake: LakeRoot, wells: Rows) -> None:
    for number in range(5):
        put(lake, "wells", wells(f"P{number}"), f"P{number}")
    path = Path(lake.url) / "tables" / "wells" / sorted(file_paths(lake.tables.open("wells")))[0]
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    before = data_files(lake, "wells")
    report = maintain(lake)
    assert "have 14 rows together, its log says 15" in report["warnings"][0]
    assert data_files(lake, "wells") == before


# ---- leftovers --------------------------------------------------------------------------------------------------


def test_leftovers_are_swept_after_a_day(lake: LakeRoot, wells: Rows) -> None:
    put(lake, "wells", wells("P1"), "P1")
    gone = [
        leave(lake, "staging/write-0123", 2),
        leave(lake, "staging/trash-0123/deep/file", 2),
        leave(lake, "staging/ingest/pilot/P1-0123/receipts/a.json", 2),
        leave(lake, "staging/ingest/pilot/P-2-0123-by-reference/target", 2),
        leave(lake, "staging/transform/pilot/P1-4567/part.parquet", 2),
        leave(lake, "tables/wells/study_id=pilot/part-0-s01234567.parquet", 2),
        leave(lake, "tables/wells/study_id=pilot/part-1-s01234567.parquet#1", 2),
        leave(lake, "tables/wells/_delta_log/_commit_0123.json.tmp", 2),
        leave(lake, "tables/features/new/0123abcd/nuclei/study_id=pilot/part-0-s01234567.parquet", 2),
    ]
    kept = [
        leave(lake, "staging/write-4567", 0.5),
        leave(lake, "staging/locks/plate-pilot-P1.lock", 2),
        leave(lake, "staging/ingest/pilot/P3-0123/receipts/old.json", 2),
        leave(lake, "staging/ingest/pilot/P3-0123/receipts/new.json", 0.5),
        leave(lake, "tables/wells/study_id=pilot/part-2-s01234567.parquet", 0.5),
        leave(lake, "tables/wells/study_id=pilot/part-3-s01234567.parquet#1", 0.5),
        leave(lake, "tables/features/new/89abcdef/nuclei/study_id=pilot/part-0-s01234567.parquet", 0.5),
        leave(lake, "images/pilot/P1.ome.zarr/zarr.json", 50),
        leave(lake, "cache/x", 50),
    ]
    would = maintain(lake, dry_run=True)
    assert all(file.exists() for file in [*gone, *kept])
    report = maintain(lake)
    assert [file for file in gone if file.exists()] == []
    assert [file for file in kept if not file.exists()] == []
    assert report["files_removed"] == would["files_removed"] == len(gone)
    assert report["bytes_freed"] == would["bytes_freed"] == 4 * len(gone)
    assert maintain(lake)["files_removed"] == 0


def test_a_table_that_lost_its_log_is_not_swept(lake: LakeRoot, wells: Rows, objects: Rows) -> None:
    put(lake, "wells", wells("P1"), "P1")
    put(lake, NUCLEI, objects("P1"), "P1")
    create_release(lake, "spring")
    age(lake.url, 40)
    for table in ("wells", NUCLEI):
        shutil.rmtree(Path(lake.url) / "tables" / table / "_delta_log")
    report = maintain(lake)
    assert report["status"] == "partial"
    assert report["files_removed"] == 0
    assert [text.partition(" has ")[0] for text in report["warnings"]] == [f"table {NUCLEI}", "table wells"]
    assert len(data_files(lake, NUCLEI)) == len(data_files(lake, "wells")) == 1


def test_work_that_somebody_holds_is_not_swept(lake: LakeRoot, wells: Rows) -> None:
    put(lake, "wells", wells("P-2"), "P-2")
    held = leave(lake, "staging/transform/pilot/P-2-4567/part.parquet", 2)
    with lake.storage.lock("plate-pilot-P-2", shared=True):
        assert maintain(lake)["files_removed"] == 0
    assert held.exists()
    assert maintain(lake)["files_removed"] == 1


def test_a_dry_run_changes_nothing(lake: LakeRoot, wells: Rows) -> None:
    for number in range(6):
        put(lake, "wells", wells(f"P{number}"), f"P{number}")
        put(lake, "wells", wells(f"P{number}", 2), f"P{number}")
    age(lake.url, 40)
    before = {one.path: one for one in lake.storage.entries() if "/locks/" not in one.path}
    report = maintain(lake, dry_run=True)
    assert (report["files_removed"], report["files_compacted"], report["files_written"]) == (6, 6, 1)
    assert {one.path: one for one in lake.storage.entries() if "/locks/" not in one.path} == before
    done = maintain(lake)
    same = ("files_removed", "bytes_freed", "files_compacted", "files_written")
    assert {name: done[name] for name in same} == {name: report[name] for name in same}


# ---- beside others ----------------------------------------------------------------------------------------------


def test_an_interrupted_commit_is_finished_first(lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, "wells", wells("P1"), "P1")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "apply", killed)
        with pytest.raises(KeyboardInterrupt):
            put(lake, "wells", wells("P2", run_id="run-2"), "P2", run_id="run-2")
    report = maintain(lake, now=datetime.now(UTC) + timedelta(days=40))
    assert report["finished_commits"] == ["run-2"]
    assert lake.tables.read("wells").num_rows == 6


def test_one_at_a_time(lake: LakeRoot) -> None:
    with lake.storage.lock("maintain"), pytest.raises(ConflictError, match="'maintain' is locked by"):
        maintain(lake)


def test_an_empty_lake(lake: LakeRoot) -> None:
    report = maintain(lake)
    assert (report["status"], report["tables"], report["run_id"]) == ("ok", [], None)
    assert lake.tables.names() == []


def test_writers_go_on_meanwhile(lake: LakeRoot, wells: Rows) -> None:
    """Commits that replace rows of the very files that are being joined: each is there, none is doubled."""
    for number in range(6):
        put(lake, "wells", wells(f"P{number}", run_id="run-0"), f"P{number}")
    stop = threading.Event()

    def write() -> dict[str, str]:
        last = {}
        number = 0
        while not stop.is_set() or number < 6:
            number += 1
            plate = f"P{number % 6}"
            last[plate] = f"run-{number}"
            put(lake, "wells", wells(plate, run_id=last[plate]), plate, run_id=last[plate])
        return last

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            joined = sum(maintain(lake)["files_compacted"] for _ in range(6))
        finally:
            stop.set()
        last = writer.result()
    joined += maintain(lake)["files_compacted"]  # a writer that is always faster leaves it all to this one
    assert joined >= 4
    rows = lake.tables.read("wells", columns=["plate_id", "run_id"]).to_pylist()
    assert {(row["plate_id"], row["run_id"]) for row in rows} == set(last.items())
    assert len(rows) == 18
    assert data_files(lake, "wells") >= file_paths(lake.tables.open("wells"))


def test_what_changed_meanwhile_is_not_joined(lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(lake, "wells", wells(f"P{number}"), f"P{number}")
    commit = compaction._commit

    def late(*arguments: Any, **options: Any) -> Any:
        put(lake, "wells", wells("P1", 1, run_id="run-9"), "P1", run_id="run-9")
        return commit(*arguments, **options)

    monkeypatch.setattr(compaction, "_commit", late)
    assert maintain(lake)["files_compacted"] == 0
    assert lake.tables.read("wells").num_rows == 13
    assert len(data_files(lake, "wells")) == 6


def test_in_a_bucket(s3_url: str, wells: Rows) -> None:
    """Times in a bucket cannot be changed: there the clock is put forward instead."""
    lake = init_root(s3_url)
    for number in range(5):
        put(lake, "wells", wells(f"P{number}"), f"P{number}")
    create_release(lake, "spring")
    then = rows_of(lake, "wells")
    put(lake, "wells", wells("P1", 1, run_id="run-2"), "P1", run_id="run-2")
    put(lake, "wells", wells("P1", 2, run_id="run-3"), "P1", run_id="run-3")
    lake.storage.write("staging/ingest/pilot/P1-0123/target", b"x")
    lake.storage.write("tables/wells/study_id=pilot/part-0-s01234567.parquet", b"orphan")
    now = rows_of(lake, "wells")
    assert maintain(lake)["files_compacted"] == 5
    later = datetime.now(UTC) + timedelta(days=40)
    report = maintain(lake, now=later)
    # Of the release five are kept; P1's second rows, the files that were joined since and the orphan go.
    assert table_report(report, "wells")["files_removed"] == 3
    assert table_report(report, "wells")["kept"]["spring"]["files"] == 5
    assert report["leftovers"]["files_removed"] == 1
    opened = open_root(s3_url)
    assert rows_of(opened, "wells") == now
    assert rows_of(opened, "wells", find_release(opened, "spring").pins["wells"].version) == then
    withdraw_release(opened, "spring", "test")
    assert table_report(maintain(opened, now=later), "wells")["files_removed"] == 5
    assert rows_of(opened, "wells") == now
