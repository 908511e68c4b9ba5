"""A question sees every commit that had finished before it began, and never half of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.catalog import Catalog
from cytolake.errors import StorageError
from cytolake.store import snapshots as snapshots_module
from cytolake.store.root import open_root
from cytolake.store.snapshots import Snapshots

AREA = "Nuclei_AreaShape_Area"
COUNT = "SELECT count(*) FROM nuclei"
#: Takes the files' rows, not only the log's.
SUM = f"SELECT sum({AREA}) FROM nuclei WHERE study_id = 'two'"
#: Commits plates S0, S1, ... of study three: 10 objects with area k in plate k.
WRITER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import TableLake
from cytolake.store.root import open_root

lake = TableLake(open_root(sys.argv[1]), 100)
for k in range(int(sys.argv[2])):
    lake.features("three", f"S{{k}}", {{"A01": [{{"{AREA}": float(k)}}] * 10}})
    print(k, flush=True)
"""


def feature_table(lake: Any) -> str:
    return next(name for name in lake.root.tables.names() if name.startswith("features/"))


def one(catalog: Catalog, question: str) -> Any:
    return catalog.sql(question).fetchall()[0][0]


def write_in_another_process(lake: Any, plates: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, lake.root.url, str(plates)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_logs_are_opened_once_and_again_only_for_what_changed(lake: Any) -> None:
    catalog, kept = lake.catalog, lake.root.snapshots
    assert one(catalog, SUM) == 430.0
    opened = kept.opened
    assert opened > 0
    for question in (SUM, COUNT, SUM):
        catalog.sql(question).fetchall()
    assert kept.opened == opened
    lake.features("two", "P1", {"A01": [{AREA: 1.0}, {AREA: 2.0}]})
    assert one(catalog, SUM) == 3.0
    assert kept.opened == opened + 1
    assert one(catalog, COUNT) == 8
    assert kept.opened == opened + 1


def test_a_commit_of_another_process_is_seen_by_the_next_question(lake: Any) -> None:
    catalog = lake.catalog
    before = one(catalog, COUNT)
    with write_in_another_process(lake, 3) as writer:
        assert writer.stdout is not None
        for _ in range(3):
            number = int(writer.stdout.readline())
            assert one(catalog, COUNT) >= before + 10 * (number + 1)
    assert writer.returncode == 0
    assert one(catalog, COUNT) == before + 30


def test_readers_in_threads_while_another_process_writes(lake: Any) -> None:
    """Every answer is that of some whole version: all ten objects of a plate, of the first plates without a gap."""
    catalog = lake.catalog
    whole = {(10 * k, sum(10.0 * n for n in range(k)) if k else None) for k in range(5)}
    question = f"SELECT count({AREA}), sum({AREA}) FROM nuclei WHERE study_id = 'three'"
    stop = threading.Event()

    def read(_: int) -> list[Any]:
        answers = catalog.sql(question).fetchall()
        while not stop.wait(0.02):  # leaves room for the writer
            answers += catalog.sql(question).fetchall()
        return [*answers, *catalog.sql(question).fetchall()]

    with ThreadPoolExecutor(3) as pool, write_in_another_process(lake, 4) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()  # what was imported, and the first plate
        reading = [pool.submit(read, n) for n in range(3)]
        writer.communicate(timeout=60)
        stop.set()
        for answers in (done.result() for done in reading):
            assert set(answers) <= whole
            assert answers == sorted(answers, key=lambda answer: answer[0])
            assert answers[-1] == (40, 60.0)
    assert writer.returncode == 0


def test_a_long_reader_survives_compaction_and_vacuum(lake: Any) -> None:
    """What was bound to a snapshot in memory is asked once more of a new one."""
    from cytolake.store.compaction import compact

    for k in range(4):
        lake.features("two", f"P{k + 2}", {"A01": [{AREA: 1.0}]})
        lake.wells("two", f"P{k + 2}", {"A01": {}})
    waiting, later = lake.catalog.sql(SUM), lake.catalog.sql(SUM)
    lake.features("two", "P1", {"A01": [{AREA: 5.0}]})
    for table in ("wells", feature_table(lake)):
        compact(lake.root, table, run_id="r9998")
        delta = lake.root.tables.open(table)
        delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert waiting.fetchall() == [(9.0,)]
    assert later.to_arrow().num_rows == 1
    assert one(lake.catalog, SUM) == 9.0


def test_a_file_that_stays_away_is_told(lake: Any) -> None:
    catalog = lake.catalog
    assert one(catalog, SUM) == 430.0
    for path in lake.root.storage.list(f"tables/{feature_table(lake)}"):
        if path.endswith(".parquet"):
            lake.root.storage.delete(path)
    with pytest.raises(StorageError):
        catalog.sql(SUM).fetchall()


def test_a_table_that_was_deleted_and_made_anew(lake: Any) -> None:
    """Also where the new one has as many versions as the old one had."""
    catalog = lake.catalog
    assert one(catalog, "SELECT count(*) FROM studies") == 2
    version = lake.root.tables.version("studies")
    lake.root.storage.delete_tree("tables/studies")
    assert one(catalog, "SELECT count(*) FROM studies") == 0
    for k in range(version):
        lake.put("studies", {"study_id": f"new{k}"})
    assert lake.root.tables.version("studies") == version
    assert catalog.sql("SELECT study_id FROM studies ORDER BY 1").fetchall() == [(f"new{k}",) for k in range(version)]


def test_a_lake_that_was_put_in_the_place_of_another(lake: Any, tmp_path: Path) -> None:
    catalog = lake.catalog
    assert one(catalog, COUNT) == 8
    shutil.copytree(lake.root.url, tmp_path / "copy")
    lake.features("two", "P9", {"A01": [{AREA: 1.0}]})
    assert one(catalog, COUNT) == 9
    shutil.rmtree(lake.root.url)
    shutil.move(tmp_path / "copy", lake.root.url)
    assert one(catalog, COUNT) == 8


def test_nothing_is_written(lake: Any) -> None:
    before = {entry.path: entry.modified for entry in lake.root.storage.entries()}
    for question in (COUNT, SUM, "SELECT * FROM wells"):
        lake.catalog.sql(question).fetchall()
    assert {entry.path: entry.modified for entry in lake.root.storage.entries()} == before


def test_one_version_within_a_question(lake: Any) -> None:
    """A table that a question names twice, through a view and by itself, has one version in it."""
    question = f'SELECT count(*) FROM nuclei n JOIN "{feature_table(lake)}" t USING (study_id, plate_id, object_id)'
    scans = lake.catalog.sql(question).scans
    assert len({scan.version for scan in scans if scan.table.startswith("features/")}) == 1


def test_a_pinned_version_is_opened_once(lake: Any) -> None:
    version = lake.root.tables.version("studies")
    kept = lake.root.snapshots
    first, opened = kept.at("studies", version), kept.opened
    lake.put("studies", {"study_id": "new"})
    assert kept.at("studies", version) is first
    assert kept.opened == opened
    newest = kept.newest("studies")
    assert newest is not None
    assert (newest.version, newest.actions.num_rows) == (version + 1, first.actions.num_rows + 1)


def test_memory_is_bounded(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots_module, "MOST_SNAPSHOTS", 2)
    monkeypatch.setattr(snapshots_module, "MOST_FACTS", 3)
    kept = Snapshots(lake.root.storage)
    for table in ("wells", "plates", "studies", "wells"):
        kept.newest(table)
        assert len(kept._known) <= 2
    assert kept.opened == 4
    for k in range(5):
        kept.keep(k, str(k))
    assert [kept.recall(k) for k in range(5)] == [None, None, "2", "3", "4"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_lock_that_nobody_will_release(lake: Any) -> None:
    kept = lake.root.snapshots
    kept.keep("fact", 1)
    with kept._lock:
        child = os.fork()
        if not child:
            os._exit(0 if kept.recall("fact") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_open_lake_travels_without_what_it_knows(lake: Any) -> None:
    import pickle

    lake.catalog.sql(COUNT).fetchall()
    copy = pickle.loads(pickle.dumps(lake.root))
    assert copy.snapshots.opened == 0
    assert one(Catalog(copy), COUNT) == 8


def test_many_values_and_wide_bounds() -> None:
    """Files with one plate each, and files with several, are chosen by lists of plates alike."""
    from cytolake.store.filters import Filter, may_hold

    low = ["P1", "P2", "P3", None, "P1"]
    high = ["P1", "P2", "P9", None, "P2"]
    nulls = [0, 0, 0, 5, 0]
    actions = pa.table(
        {"min.plate_id": low, "max.plate_id": high, "null_count.plate_id": nulls, "num_records": [5] * 5}
    )
    for values, expected in (
        (("P1", "P5"), [True, False, True, False, True]),
        (("P0", "P99"), [False, False, False, False, False]),
        (("P15",), [False, False, False, False, True]),
        ((), [False] * 5),
    ):
        assert may_hold(actions, (Filter("plate_id", "in", values),)).to_pylist() == expected


@pytest.mark.slow
def test_freshness_on_s3(s3_url: str, shared_lake: Any) -> None:
    from cytolake.store.root import init_root

    lake = type(shared_lake)(init_root(s3_url))
    lake.features("one", "P1", {"A01": [{AREA: 5.0}]})
    catalog = lake.catalog
    assert one(catalog, COUNT) == 1
    opened = lake.root.snapshots.opened
    assert one(catalog, COUNT) == 1
    assert lake.root.snapshots.opened == opened
    other = type(shared_lake)(open_root(s3_url), 10)
    other.features("one", "P2", {"A01": [{AREA: 6.0}]})
    assert one(catalog, COUNT) == 2
    lake.root.storage.delete_tree("tables/studies")
    assert one(catalog, "SELECT count(*) FROM studies") == 0


def test_a_lake_that_is_gone_is_not_empty(lake: Any, tmp_path: Path) -> None:
    catalog = lake.catalog
    assert one(catalog, COUNT) > 0
    Path(lake.root.url).rename(tmp_path / "elsewhere")
    for question in (COUNT, "SELECT count(*) FROM wells", "SELECT count(*) FROM controls"):
        with pytest.raises(StorageError, match="not there any more"):
            catalog.sql(question).fetchall()
    (tmp_path / "elsewhere").rename(lake.root.url)
    assert one(catalog, COUNT) > 0
