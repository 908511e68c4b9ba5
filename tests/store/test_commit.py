"""Commits over several tables: wholly there or not at all, whoever else writes and whatever breaks."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.errors import ConflictError, InvalidDataError, StorageError, UsageError
from cytolake.schemas.tables import arrow_schema
from cytolake.store import journal as journal_module
from cytolake.store.commit import Commit, recover
from cytolake.store.datafiles import write_data_file
from cytolake.store.local import LocalStorage
from cytolake.store.root import LakeRoot, init_root, open_root
from cytolake.store.scan import scan
from cytolake.store.tables import Tables
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

Rows = Callable[..., pa.Table]
FEATURES = "features/nuclei/0123abcd/nuclei"
P1 = {"study_id": "pilot", "plate_id": "P1"}


@pytest.fixture(params=["folder", "bucket"])
def any_lake(request: pytest.FixtureRequest, tmp_path: Path) -> LakeRoot:
    return init_root(tmp_path / "lab" if request.param == "folder" else request.getfixturevalue("s3_url"))


def put(
    lake: LakeRoot, rows: dict[str, pa.Table], plate_id: str, *, new: bool = False, run_id: str = "run-1"
) -> dict[str, int]:
    with Commit(lake, run_id=run_id, app_id=f"plate/pilot/{plate_id}") as commit:
        for table, one in rows.items():
            commit.replace(table, {"study_id": "pilot", "plate_id": plate_id}, one, must_be_new=new)
        return commit.commit()


def seen(lake: LakeRoot, table: str, *columns: str) -> list[tuple[Any, ...]]:
    rows = lake.tables.read(table, columns=list(columns)).to_pylist()
    return sorted(tuple(row[column] for column in columns) for row in rows)


def files_of(lake: LakeRoot, table: str) -> list[str]:
    """Data files that lie in a table's folder, named by its log or not."""
    return [path for path in lake.storage.list(f"tables/{table}") if path.endswith(".parquet") and "_log" not in path]


def live_files(lake: LakeRoot, table: str) -> int:
    return scan(lake, table).considered


def test_replacing_a_plate_leaves_the_others(any_lake: LakeRoot, wells: Rows, objects: Rows) -> None:
    put(any_lake, {"wells": wells("P1"), FEATURES: objects("P1")}, "P1")
    put(any_lake, {"wells": wells("P2"), FEATURES: objects("P2", 5)}, "P2")
    versions = put(any_lake, {"wells": wells("P1", 1), FEATURES: objects("P1", 2, run_id="run-2")}, "P1")
    assert versions == {"wells": 3, FEATURES: 3}
    assert seen(any_lake, "wells", "plate_id", "well_id") == [
        ("P1", "A01"),
        ("P2", "A01"),
        ("P2", "A02"),
        ("P2", "A03"),
    ]
    assert [row[0] for row in seen(any_lake, FEATURES, "run_id")] == ["run-1"] * 5 + ["run-2"] * 2
    assert live_files(any_lake, FEATURES) == 2
    # The version before is still there: nothing was overwritten.
    assert any_lake.tables.read(FEATURES, version=2).num_rows == 8
    assert any_lake.tables.names() == [FEATURES, "wells"]


def test_tables_keep_to_the_agreed_protocol(lake: LakeRoot, objects: Rows) -> None:
    put(lake, {FEATURES: objects("P1")}, "P1")
    table = lake.tables.open(FEATURES)
    protocol, settings = table.protocol(), table.metadata().configuration
    assert protocol.min_reader_version == 1
    assert protocol.min_writer_version <= 4
    assert settings["delta.enableExpiredLogCleanup"] == "false"
    assert "delta.enableDeletionVectors" not in settings
    assert settings["cytolake.schemaVersion"]
    assert table.metadata().partition_columns == ["study_id"]
    assert table.history(1)[0]["run_id"] == "run-1"
    actions = pa.table(table.get_add_actions(flatten=True))
    assert actions["max.object_id"].to_pylist() == [3]
    assert not [name for name in actions.column_names if "AreaShape" in name]


def test_a_file_that_others_compacted_is_split_again(lake: LakeRoot, objects: Rows) -> None:
    for plate_id in ("P1", "P2", "P3"):
        put(lake, {FEATURES: objects(plate_id, 4)}, plate_id)
    lake.tables.open(FEATURES).optimize.compact()
    assert live_files(lake, FEATURES) == 1
    put(lake, {FEATURES: objects("P2", 1, run_id="run-2")}, "P2")
    expected = [("P1", "run-1")] * 4 + [("P2", "run-2")] + [("P3", "run-1")] * 4
    assert seen(lake, FEATURES, "plate_id", "run_id") == expected
    assert live_files(lake, FEATURES) == 2
    with Commit(lake, run_id="run-3", app_id="remove") as commit:
        commit.delete(FEATURES, {"study_id": "pilot", "plate_id": "P1"})
        commit.delete(FEATURES, {"study_id": "pilot", "plate_id": "P3"})
        commit.delete("no_such_table_yet", P1)
        commit.commit()
    assert seen(lake, FEATURES, "plate_id") == [("P2",)]
    assert live_files(lake, FEATURES) == 1


def test_a_replacement_can_be_narrower_than_a_file(lake: LakeRoot, wells: Rows) -> None:
    put(lake, {"wells": wells("P1", 3)}, "P1")
    with Commit(lake, run_id="run-2", app_id="x") as commit:
        one = wells("P1", 1, run_id="run-2")
        commit.replace("wells", {**P1, "well_id": "A01"}, one)
        commit.delete("wells", {**P1, "well_id": "A03"})
        commit.commit()
    assert seen(lake, "wells", "well_id", "run_id") == [("A01", "run-2"), ("A02", "run-1")]


def test_upsert_replaces_rows_by_key_and_adds_the_rest(any_lake: LakeRoot, wells: Rows) -> None:
    key = ["study_id", "plate_id", "well_id"]
    for n, run_id in ((3, "run-1"), (2, "run-2")):
        with Commit(any_lake, run_id=run_id, app_id="x") as commit:
            commit.upsert("wells", wells("P1", n, run_id=run_id), key)
            commit.upsert("wells", wells("P1", n, study_id="other", run_id=run_id), key)
            commit.commit()
    expected = [("A01", "run-2"), ("A02", "run-2"), ("A03", "run-1")]
    for study_id in ("pilot", "other"):
        rows = any_lake.tables.read("wells", where={"study_id": study_id}).to_pylist()
        assert sorted((row["well_id"], row["run_id"]) for row in rows) == expected


def test_upsert_wants_whole_and_different_keys(lake: LakeRoot, wells: Rows) -> None:
    twice = pa.concat_tables([wells("P1", 1), wells("P1", 1)])
    with Commit(lake, run_id="r", app_id="x") as commit:
        with pytest.raises(InvalidDataError, match="two rows have the same well_id"):
            commit.upsert("wells", twice, ["well_id"])
        with pytest.raises(InvalidDataError, match="compound is part of the key"):
            commit.upsert("wells", wells("P1", compound=None), ["compound"])


def test_changes_of_one_commit_see_each_other(lake: LakeRoot, wells: Rows) -> None:
    with Commit(lake, run_id="r", app_id="x") as commit:
        commit.append("wells", wells("P1", 3))
        commit.delete("wells", {**P1, "well_id": "A02"})
        commit.upsert("wells", wells("P1", 1, run_id="later"), ["study_id", "plate_id", "well_id"])
        commit.commit()
    assert seen(lake, "wells", "well_id", "run_id") == [("A01", "later"), ("A03", "run-1")]
    assert live_files(lake, "wells") == len(files_of(lake, "wells"))  # what came and went in between is gone


def test_files_of_workers_are_committed_as_they_are(lake: LakeRoot, objects: Rows) -> None:
    files = [write_data_file(lake.storage, FEATURES, objects("P1", n)) for n in (2, 3)]
    wide = objects("P1", 4, Nuclei_Intensity_MeanIntensity_DNA=0.5)
    files.append(write_data_file(lake.storage, FEATURES, wide))
    with Commit(lake, run_id="r", app_id="x") as commit:
        commit.replace_files(FEATURES, P1, files, wide.schema)
        commit.commit()
    assert lake.tables.read(FEATURES).num_rows == 9
    found = scan(lake, FEATURES)
    assert {len(group) for group in found.groups_by_fingerprint().values()} == {1, 2}
    assert sorted(f.uri for f in found.files) == sorted(lake.storage.uri(f"tables/{FEATURES}/{f.path}") for f in files)


def test_a_study_with_other_roles_adds_columns(any_lake: LakeRoot, objects: Rows) -> None:
    put(any_lake, {FEATURES: objects("P1")}, "P1")
    put(any_lake, {FEATURES: objects("P2", Nuclei_Intensity_MeanIntensity_ER=2.0)}, "P2")
    put(any_lake, {FEATURES: objects("P3")}, "P3")
    rows = any_lake.tables.read(FEATURES, columns=["plate_id", "Nuclei_Intensity_MeanIntensity_ER"]).to_pylist()
    assert {(row["plate_id"], row["Nuclei_Intensity_MeanIntensity_ER"]) for row in rows} == {
        ("P1", None),
        ("P2", 2.0),
        ("P3", None),
    }
    assert len(scan(any_lake, FEATURES).groups_by_fingerprint()) == 2
    wrong = objects("P4").set_column(9, "Nuclei_AreaShape_Area", pa.array(["x"] * 3))
    with pytest.raises(InvalidDataError, match="Nuclei_AreaShape_Area holds float, not string"):
        put(any_lake, {FEATURES: wrong}, "P4")


def test_rows_must_fit_their_table(lake: LakeRoot, wells: Rows) -> None:
    cases = {
        "no column wellid": wells("P1").append_column("wellid", pa.array(["x"] * 3)),
        "plate_id is required and 3 rows lack it": wells("P1").drop_columns(["plate_id"]),
        "column row": wells("P1").set_column(3, "row", pa.array(["one"] * 3)),
    }
    for message, rows in cases.items():
        with pytest.raises(InvalidDataError, match=message), Commit(lake, run_id="r", app_id="x") as commit:
            commit.append("wells", rows)
    assert lake.tables.names() == []
    assert lake.tables.read("wells").schema.names == arrow_schema("wells").names


def test_leaving_without_a_commit_leaves_nothing(lake: LakeRoot, wells: Rows) -> None:
    with Commit(lake, run_id="r", app_id="x") as commit:
        commit.append("wells", wells("P1"))
        assert len(files_of(lake, "wells")) == 1
    assert lake.storage.list() == ["lake.toml"]
    with Commit(lake, run_id="r", app_id="x") as commit:
        assert commit.commit() == {}
        with pytest.raises(UsageError, match="already"):
            commit.commit()


def test_of_two_first_inserts_one_fails(any_lake: LakeRoot, wells: Rows, objects: Rows) -> None:
    first = Commit(any_lake, run_id="one", app_id="plate/pilot/P1")
    second = Commit(any_lake, run_id="two", app_id="plate/pilot/P1")
    for commit, run_id in ((first, "one"), (second, "two")):
        commit.replace("wells", P1, wells("P1", run_id=run_id), must_be_new=True)
        commit.replace(FEATURES, P1, objects("P1", run_id=run_id), must_be_new=True)
    with second:
        second.commit()
    with pytest.raises(ConflictError, match="plate_id P1"), first:
        first.commit()
    assert {run for (run,) in seen(any_lake, "wells", "run_id")} == {"two"}
    assert {run for (run,) in seen(any_lake, FEATURES, "run_id")} == {"two"}
    assert len(files_of(any_lake, FEATURES)) == 1


def test_of_two_first_inserts_that_plan_at_once_one_fails(
    any_lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no lock (S3, or a file system that ignores flock) Delta's own check decides."""
    transact = journal_module._transact
    inner: list[str] = []

    def intrude(*args: Any, **options: Any) -> int:
        if not inner:
            inner.append("running")
            # The other run commits between this one's decision and its first transaction.
            table = any_lake.tables.ensure("wells", arrow_schema("wells"), ["study_id"])
            file = write_data_file(any_lake.storage, "wells", wells_of_other)
            table.create_write_transaction([file.add_action()], "append", table.schema(), ["study_id"])
        return transact(*args, **options)

    from cytolake.store.changes import conform

    wells_of_other = conform("wells", wells("P1", run_id="other"), arrow_schema("wells"))
    monkeypatch.setattr(journal_module, "_transact", intrude)
    with pytest.raises(ConflictError, match="plate_id P1"):
        put(any_lake, {"wells": wells("P1")}, "P1", new=True)
    assert {run for (run,) in seen(any_lake, "wells", "run_id")} == {"other"}
    assert not any_lake.storage.list("tables/_journal")


def test_a_commit_of_the_same_plate_elsewhere_excludes_ours(s3_url: str, wells: Rows) -> None:
    lake = init_root(s3_url)
    holder = Commit(lake, run_id="one", app_id="plate/pilot/P1")
    holder.replace("wells", P1, wells("P1"))
    journal = journal_module.journal_path("plate/pilot/P1")
    lake.storage.write(
        journal, json.dumps({"run_id": "zero", "written_at": 1e12, "host": "elsewhere", "process": 1}).encode()
    )
    with pytest.raises(ConflictError, match="plate/pilot/P1"), holder:
        holder.commit()
    assert lake.storage.exists(journal)
    assert files_of(lake, "wells") == []


def test_insert_takes_the_same_row_twice_but_not_another(any_lake: LakeRoot, wells: Rows) -> None:
    on = ["study_id", "plate_id", "well_id"]

    def insert(rows: pa.Table, same: list[str]) -> None:
        with Commit(any_lake, run_id="r", app_id="x") as commit:
            commit.insert("wells", rows, on, same=same)
            commit.commit()

    insert(wells("P1", 2), ["column"])
    insert(wells("P1", 4, run_id="run-2"), ["column"])
    assert len(files_of(any_lake, "wells")) == live_files(any_lake, "wells") == 2
    insert(wells("P1", 4), ["column"])
    assert len(files_of(any_lake, "wells")) == 2
    runs = seen(any_lake, "wells", "well_id", "run_id")
    assert runs == [("A01", "run-1"), ("A02", "run-1"), ("A03", "run-2"), ("A04", "run-2")]
    with pytest.raises(ConflictError, match="well_id A01"):
        insert(wells("P1", 1, column=9), ["column"])
    with pytest.raises(ConflictError, match="well_id A01"):
        insert(wells("P1", 1), [])
    assert seen(any_lake, "wells", "well_id", "run_id") == runs


@pytest.mark.parametrize("where", ["reserve", "journal"])
def test_a_disk_that_fills_before_the_decision_changes_nothing(
    lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    put(lake, {"wells": wells("P1")}, "P1")
    before = lake.storage.list()
    full = StorageError("no space left on the device")

    def fail(self: Any, *args: Any, **options: Any) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "reserve" if where == "reserve" else "write", fail)
        with pytest.raises(StorageError, match="no space left"):
            put(lake, {"wells": wells("P1", 1), FEATURES: wells("P1")}, "P1")
    assert [path for path in lake.storage.list() if not path.startswith("staging")] == [
        path for path in before if not path.startswith("staging")
    ]
    assert len(seen(open_root(lake.url), "wells", "well_id")) == 3


def fail_at(monkeypatch: pytest.MonkeyPatch, table: str, *, after: bool = False) -> None:
    """Make the Delta transaction on one table fail as a full disk does; ``after`` it has taken place."""
    act = DeltaTable.create_write_transaction

    def run(self: DeltaTable, *args: Any, **options: Any) -> None:
        if f"/{table}" not in self.table_uri:
            act(self, *args, **options)
            return
        if after:
            act(self, *args, **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DeltaTable, "create_write_transaction", run)


def test_a_disk_that_fills_at_the_first_table_changes_nothing(
    any_lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(any_lake, {"wells": wells("P1")}, "P1")
    with monkeypatch.context() as patch:
        fail_at(patch, "wells")
        with pytest.raises(StorageError, match="no space left"):
            put(any_lake, {"wells": wells("P1", 1), FEATURES: wells("P1")}, "P1")
    lake = open_root(any_lake.url) if any_lake.storage.is_local else any_lake
    assert len(seen(lake, "wells", "well_id")) == 3
    assert not lake.storage.list("tables/_journal")
    assert len(files_of(lake, "wells")) == 1
    assert not files_of(lake, FEATURES)


def test_a_disk_that_fills_halfway_is_finished_at_the_next_opening(
    lake: LakeRoot, wells: Rows, objects: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"wells": wells("P1"), FEATURES: objects("P1")}
    put(lake, rows, "P1")
    newer = {"wells": wells("P1", 1), FEATURES: objects("P1", 7)}
    with monkeypatch.context() as patch:
        fail_at(patch, FEATURES)
        with pytest.raises(StorageError, match="in part"):
            put(lake, newer, "P1", run_id="run-2")
        with pytest.raises(StorageError, match="in part"):
            open_root(lake.url)
    opened = open_root(lake.url)
    assert (len(seen(opened, "wells", "well_id")), len(seen(opened, FEATURES, "well_id"))) == (1, 7)
    assert opened.tables.version("wells") == 2
    assert not opened.storage.list("tables/_journal")


def test_a_transaction_that_succeeded_but_reported_failure_is_not_taken_back(
    any_lake: LakeRoot, wells: Rows, objects: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_at(patch, "wells", after=True)
        with pytest.raises(StorageError, match="in part"):
            put(any_lake, {"wells": wells("P1"), FEATURES: objects("P1", 5)}, "P1")
    monkeypatch.setattr(journal_module, "_LEASE", 0.0)
    assert recover(any_lake) == ["run-1"]
    assert recover(any_lake) == []
    assert (len(seen(any_lake, "wells", "well_id")), len(seen(any_lake, FEATURES, "well_id"))) == (3, 5)
    assert any_lake.tables.version("wells") == 1


def test_a_commit_under_way_is_left_to_its_process(lake: LakeRoot, wells: Rows) -> None:
    lake.storage.write("tables/_journal/x.json", b"{}")
    with lake.storage.lock("commit"):
        assert recover(lake) == []


def test_a_newer_version_of_the_table_is_planned_for_anew(
    any_lake: LakeRoot, objects: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction by others, between planning and transaction, moves the rows to another file."""
    put(any_lake, {FEATURES: objects("P1")}, "P1")
    put(any_lake, {FEATURES: objects("P2")}, "P2")
    act = DeltaTable.create_write_transaction
    calls: list[int] = []

    def run(self: DeltaTable, *args: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            any_lake.tables.open(FEATURES).optimize.compact()
        act(self, *args, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", run)
    put(any_lake, {FEATURES: objects("P1", 1, run_id="run-2")}, "P1")
    assert len(calls) == 2
    expected = [("P1", "run-2")] + [("P2", "run-1")] * 3
    assert seen(any_lake, FEATURES, "plate_id", "run_id") == expected


def test_commits_that_keep_losing_give_up(lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(self: DeltaTable, *args: Any, **options: Any) -> None:
        raise CommitFailedError("lost")

    monkeypatch.setattr(journal_module, "_RETRIES", 3)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", lose)
    with pytest.raises(ConflictError, match="3 times"):
        put(lake, {"wells": wells("P1")}, "P1")
    assert not lake.storage.list("tables/_journal")
    assert files_of(lake, "wells") == []


def test_logs_are_checkpointed_and_survive_without_the_checkpoint(
    lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_EVERY", 3)
    for number in range(4):
        put(lake, {"wells": wells("P1", number + 1)}, "P1")
    log = lake.storage.children("tables/wells/_delta_log")
    assert "_last_checkpoint" in log
    assert "00000000000000000003.checkpoint.parquet" in log
    assert "00000000000000000000.json" in log

    def fail(self: DeltaTable) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DeltaTable, "create_checkpoint", fail)
    for number in range(3):
        put(lake, {"wells": wells("P1", number + 5)}, "P1")
    assert len(seen(lake, "wells", "well_id")) == 7


def test_everything_a_commit_names_is_synced(lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    sync = LocalStorage.sync

    def note(self: LocalStorage, paths: list[str]) -> None:
        synced.update(paths)
        sync(self, paths)

    monkeypatch.setattr(LocalStorage, "sync", note)
    for _ in range(2):
        put(lake, {"wells": wells("P1"), FEATURES: wells("P1")}, "P1")
    written = {path for path in lake.storage.list("tables") if not path.endswith(".crc")}
    assert written == synced


def test_columns_added_by_others_do_not_disturb(lake: LakeRoot, wells: Rows) -> None:
    put(lake, {"wells": wells("P1")}, "P1")
    tables = Tables(lake.storage)
    tables.ensure("wells", pa.schema([pa.field("later", pa.string())]), ["study_id"])
    put(lake, {"wells": wells("P2")}, "P2")
    assert tables.schema("wells").names[-1] == "later"
    assert lake.tables.read("wells", columns=["later"])["later"].null_count == 6


def test_writers_of_different_plates_lose_nothing(any_lake: LakeRoot, wells: Rows, objects: Rows) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(writer: int) -> None:
        for turn in range(3):
            plate_id = f"P{writer}{turn}"
            put(any_lake, {FEATURES: objects(plate_id, 2), "wells": wells(plate_id, 1)}, plate_id, new=True)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    plates = sorted(f"P{writer}{turn}" for writer in range(3) for turn in range(3))
    assert [plate for (plate,) in seen(any_lake, "wells", "plate_id")] == plates
    assert [plate for (plate,) in seen(any_lake, FEATURES, "plate_id")] == sorted(plates * 2)


def test_an_interruption_while_deciding_takes_everything_back(
    any_lake: LakeRoot, wells: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(any_lake.storage)
    write = kind.write

    def interrupted(self: Any, path: str, data: bytes, **options: Any) -> None:
        write(self, path, data, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kind, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            put(any_lake, {"wells": wells("P1")}, "P1")
    assert not any_lake.storage.list("tables/_journal")
    assert files_of(any_lake, "wells") == []


def test_an_interruption_after_the_decision_is_carried_out(
    lake: LakeRoot, wells: Rows, objects: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = DeltaTable.create_write_transaction

    def interrupted(self: DeltaTable, *args: Any, **options: Any) -> None:
        act(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "create_write_transaction", interrupted)
        with pytest.raises(KeyboardInterrupt):
            put(lake, {"wells": wells("P1"), FEATURES: objects("P1")}, "P1")
    # The same process goes on: its next commit finishes this one first.
    put(lake, {"wells": wells("P2", 1)}, "P2")
    assert (len(seen(lake, "wells", "well_id")), len(seen(lake, FEATURES, "well_id"))) == (4, 3)


def test_a_damaged_journal_is_said(lake: LakeRoot) -> None:
    lake.storage.write("tables/_journal/0123.json", b"")
    with pytest.raises(StorageError, match=r"0123\.json: the plan of an interrupted commit is damaged"):
        open_root(lake.url)
