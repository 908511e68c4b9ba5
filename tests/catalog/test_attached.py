"""Delta tables of others in questions: exactly their rows, or a refusal that says why."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import cytolake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cytolake.catalog.attachments import attach, attached, detach
from cytolake.errors import (
    AlreadyExistsError,
    NotFoundError,
    QueryError,
    StorageError,
    UnsupportedTableError,
    UsageError,
)
from deltalake import DeltaTable, QueryBuilder, write_deltalake

VALUES = [
    ("text", pa.string(), ["a b", "ü/ö", "it's", "50%", "", None]),
    ("whole", pa.int64(), [1, -2, 2**62, 0, None, 7]),
    ("half", pa.float64(), [0.1, -1e30, float("inf"), 0.0, None, 2.5]),
    ("day", pa.date32(), [date(2026, 3, 1), date(1900, 1, 1), None, date(9999, 12, 31), date(2026, 3, 2), None]),
    ("flag", pa.bool_(), [True, False, None, True, False, True]),
    ("exact", pa.decimal128(20, 4), [Decimal("1.5000"), Decimal("3.1415"), None, Decimal("0.0000"), None, None]),
]


def write(folder: Path, *parts: pa.Table, **options: Any) -> Path:
    for part in parts:
        write_deltalake(str(folder), part, mode="append", **options)
    return folder


def plain_values(rows: pa.Table) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows.to_pylist())


@pytest.fixture
def empty(tmp_path: Path) -> cytolake.Lake:
    return cytolake.init_lake(tmp_path / "lake")


@pytest.mark.parametrize("by", [name for name, _, _ in VALUES])
def test_values_and_partitions_of_every_kind_come_through(empty: cytolake.Lake, tmp_path: Path, by: str) -> None:
    rows = pa.table({name: pa.array(values, kind) for name, kind, values in VALUES} | {"n": list(range(6))})
    if by in {"text"}:
        rows = rows.slice(0, 4).append_column("more", pa.array([1, 2, 3, 4]))
    folder = write(tmp_path / "theirs", rows, partition_by=[by])
    assert empty.attach(folder)["rows"] == rows.num_rows
    found = empty.sql("SELECT * FROM theirs").to_arrow()
    assert plain_values(found) == plain_values(rows)
    assert found.schema.field(by).type == rows.schema.field(by).type


def test_files_are_left_out_by_the_statistics_of_others(empty: cytolake.Lake, tmp_path: Path) -> None:
    parts = [pa.table({"study": [f"s{k}"] * 3, "n": [k * 10, k * 10 + 1, k * 10 + 2]}) for k in range(5)]
    empty.attach(write(tmp_path / "theirs", *parts))
    result = empty.sql("SELECT sum(n) FROM theirs WHERE n BETWEEN 20 AND 21")
    assert result.fetchall() == [(41,)]
    (scan,) = result.scans
    assert (scan.files_considered, scan.files_opened, scan.version) == (5, 1, 4)
    assert empty.sql("SELECT count(*) FROM theirs WHERE study = 'S1'").fetchall() == [(0,)]


def test_columns_that_came_later_are_null_before(empty: cytolake.Lake, tmp_path: Path) -> None:
    folder = write(tmp_path / "theirs", pa.table({"a": [1]}), pa.table({"a": [2], "b": ["x"]}), schema_mode="merge")
    empty.attach(folder)
    assert sorted(empty.sql("SELECT a, b FROM theirs").fetchall()) == [(1, None), (2, "x")]


def test_structs_that_grew_are_conformed(empty: cytolake.Lake, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    write(folder, pa.table({"s": [{"x": 1}]}), pa.table({"s": [{"x": 2, "y": "z"}]}), schema_mode="merge")
    empty.attach(folder)
    assert sorted(empty.sql("SELECT s.x, s.y FROM theirs").fetchall()) == [(1, None), (2, "z")]


def test_a_question_joins_them_with_the_lakes_own(lake: Any, tmp_path: Path) -> None:
    write(tmp_path / "theirs", pa.table({"study": ["one"], "plate": ["P1"], "score": [0.5]}))
    attach(lake.root, str(tmp_path / "theirs"), name="scores")
    found = lake.catalog.sql(
        "SELECT DISTINCT w.plate_id, s.score FROM wells w "
        "JOIN scores s ON w.study_id = s.study AND w.plate_id = s.plate"
    )
    assert found.fetchall() == [("P1", 0.5)]


def test_the_newest_version_or_the_pinned_one_is_read(empty: cytolake.Lake, tmp_path: Path) -> None:
    folder = write(tmp_path / "theirs", pa.table({"n": [1]}))
    empty.attach(folder, name="moving")
    empty.attach(folder, name="pinned", version=0)
    time.sleep(0.01)
    between = datetime.now(UTC)
    time.sleep(0.01)
    write(folder, pa.table({"n": [2]}))
    assert empty.sql("SELECT count(*) FROM moving").fetchall() == [(2,)]
    assert empty.sql("SELECT count(*) FROM pinned").fetchall() == [(1,)]
    assert empty.sql("SELECT count(*) FROM moving", as_of=between).fetchall() == [(1,)]
    told = {one["name"]: (one["version"], one["pinned"], one["rows"]) for one in empty.attached()}
    assert told == {"moving": (1, False, 2), "pinned": (0, True, 1)}


def test_a_release_does_not_guess_how_a_moving_table_was(empty: cytolake.Lake, tmp_path: Path) -> None:
    folder = write(tmp_path / "theirs", pa.table({"n": [1]}))
    empty.attach(folder, name="moving")
    empty.attach(folder, name="pinned", version=0)
    empty.create_release("spring")
    assert empty.sql("SELECT count(*) FROM pinned", as_of="spring").fetchall() == [(1,)]
    with pytest.raises(QueryError, match="attached without a version"):
        empty.sql("SELECT count(*) FROM moving", as_of="spring")


def test_attaching_again_changes_what_is_said_of_it(empty: cytolake.Lake, tmp_path: Path) -> None:
    folder = write(tmp_path / "their-scores", pa.table({"n": [1]}))
    assert empty.attach(folder)["name"] == "their_scores"
    assert empty.attach(folder)["status"] == "skipped"
    assert empty.attach(folder, description="scores")["status"] == "ok"
    (one,) = empty.attached()
    assert (one["description"], one["status"]) == ("scores", "ok")
    assert empty.sql("SELECT verb FROM runs").fetchall() == [("catalog attach",)] * 2
    empty.detach("THEIR_scores")
    assert empty.attached() == []
    with pytest.raises(QueryError, match="no table 'their_scores'"):
        empty.sql("FROM their_scores")
    assert DeltaTable(str(folder)).version() == 0


def test_names_that_mean_something_else_are_refused(lake: Any, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "theirs", pa.table({"n": [1]})))
    other = str(write(tmp_path / "others", pa.table({"n": [1]})))
    for name in ("wells", "Nuclei", "controls", "profiles"):
        with pytest.raises(AlreadyExistsError, match="the lake itself has something called"):
            attach(lake.root, folder, name=name)
    attach(lake.root, folder, name="scores")
    with pytest.raises(AlreadyExistsError, match="is attached already"):
        attach(lake.root, other, name="Scores")
    for name in ("", "a b", 'x"; DROP TABLE y', "../x"):
        with pytest.raises(UsageError, match="cannot be the name"):
            attach(lake.root, folder, name=name)
    with pytest.raises(UsageError, match="is in this lake"):
        attach(lake.root, f"{lake.root.url}/tables/wells")
    with pytest.raises(NotFoundError, match="did you mean 'scores'"):
        detach(lake.root, "score")


def test_an_object_set_that_comes_later_by_the_name_is_not_taken_for_it(lake: Any, tmp_path: Path) -> None:
    theirs = write(tmp_path / "spheroids", pa.table({"a": [1]}))
    attach(lake.root, str(theirs))
    lake.features("one", "P1", {"A01": [{"Spheroids_AreaShape_Area": 1.0}]}, object_set="spheroids", name="more")
    with pytest.raises(QueryError, match="'spheroids' means two") as caught:
        lake.catalog.sql("SELECT count(*) FROM Spheroids").fetchall()
    assert "detach spheroids" in str(caught.value.hint)
    detach(lake.root, "spheroids")
    assert lake.catalog.sql("SELECT count(*) FROM spheroids").fetchall() == [(1,)]


def test_links_into_the_lake_and_versions_that_are_none_are_refused(lake: Any, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(lake.root.url, target_is_directory=True)
    with pytest.raises(UsageError, match="is in this lake"):
        attach(lake.root, str(link / "tables" / "wells"), name="ours")
    theirs = write(tmp_path / "theirs", pa.table({"a": [1]}))
    for version in (-1, 10**30):
        with pytest.raises(UsageError, match="is no version"):
            attach(lake.root, str(theirs), version=version)


def test_what_is_no_table_or_lost_is_told(empty: cytolake.Lake, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no Delta table"):
        empty.attach(tmp_path / "nothing")
    folder = write(tmp_path / "theirs", pa.table({"n": [1]}))
    with pytest.raises(NotFoundError, match="has no version 7") as caught:
        empty.attach(folder, version=7)
    assert caught.value.hint == "its newest version is 0"
    empty.attach(folder)
    with pytest.raises(NotFoundError, match="has no version 7"):
        empty.sql("FROM theirs", as_of="theirs@7")
    for file in folder.glob("*.parquet"):
        file.unlink()
    with pytest.raises(StorageError, match="not there"):
        empty.sql("SELECT * FROM theirs").fetchall()
    with pytest.raises(StorageError):
        empty.attach(folder, name="again")
    folder.rename(tmp_path / "gone")
    with pytest.raises(NotFoundError, match="no Delta table"):
        empty.sql("FROM theirs")
    assert "no Delta table" in empty.attached()[0]["status"]
    assert empty.sql("SELECT count(*) FROM wells").fetchall() == [(0,)]


def test_columns_that_differ_in_case_alone_are_refused(empty: cytolake.Lake, tmp_path: Path) -> None:
    rows = pa.table({"a": [1], "b": [2]})
    folder = write(tmp_path / "theirs", rows)
    log = folder / "_delta_log" / "00000000000000000000.json"
    log.write_text(log.read_text().replace('\\"name\\":\\"b\\"', '\\"name\\":\\"A\\"'))
    with pytest.raises(UnsupportedTableError, match="case-insensitive"):
        empty.attach(folder)


def test_features_that_nobody_here_knows_are_refused_by_name(empty: cytolake.Lake, tmp_path: Path) -> None:
    folder = write(tmp_path / "theirs", pa.table({"n": [1]}))
    log = folder / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["variantType"],
                "writerFeatures": ["variantType"],
            }
    log.write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(UnsupportedTableError, match="variantType"):
        empty.attach(folder)
    assert empty.attached() == []


def test_tables_on_an_object_store_beside_a_lake_on_disk(s3_url: str, empty: cytolake.Lake) -> None:
    from cytolake.store.storage import open_storage

    url = f"{s3_url}/theirs"
    rows = pa.table({"p": ["x", "y"], "n": [1, 2]})
    write_deltalake(url, rows, partition_by=["p"], storage_options=open_storage(url).delta_options())
    empty.attach(url)
    assert empty.sql("SELECT n FROM theirs WHERE p = 'y'").fetchall() == [(2,)]


#: Plain files under a log with something odd: tests/store/test_foreign.py reads every log.
ODD_IN_THEIR_LOG_ALONE = """
cdc_ict_table cdf-table cdf-table-non-partitioned checkpoint-cdf-table checkpoint-v2-table checkpoint_with_partitions
checkpoints checkpoints_vacuumed concurrent_workers delta-0.2.0 delta-checkpoint-stats-optional delta-live-table
delta-stats-optional latest_not_checkpointed python-0.25.5-checkpoint simple_commit simple_table_with_cdc
simple_table_with_checkpoint table_failed_last_checkpoint_update table-with-domain-metadata table-without-dv-small
with_checkpoint_no_last_checkpoint
""".split()  # noqa: SIM905 - read best as words


def tables_of_others(shared_data: Path) -> list[Path]:
    return sorted(
        log.parent
        for log in (shared_data / "delta").rglob("_delta_log")
        if log.parent.name not in ODD_IN_THEIR_LOG_ALONE
    )


def test_every_kind_of_real_table_is_right_or_refused(shared_data: Path, empty: cytolake.Lake) -> None:
    """Against the rows that lie beside some, and deltalake's own engine for the others."""
    right, refused = 0, 0
    for number, folder in enumerate(tables_of_others(shared_data)):
        if folder.name in {"COVID-19_NYT", "table_with_edge_timestamps"}:
            continue  # a million rows; dates of the year 9999 as INT96, which that engine itself misreads
        try:
            empty.attach(folder, name=f"theirs{number}")
        except (UnsupportedTableError, StorageError):
            refused += 1
            continue
        found = empty.sql(f"SELECT * FROM theirs{number}").to_arrow()
        expected = folder.parent / "expected" / "latest" / "table_content.parquet"
        if expected.exists():
            reference: Any = pq.read_table(expected)
        else:
            reference = QueryBuilder().register("t", DeltaTable(str(folder))).execute("SELECT * FROM t").read_all()
        assert plain_values(found) == plain_values(pa.table(reference)), folder
        right += 1
    assert (right >= 25, refused >= 5) == (True, True), (right, refused)


def test_dates_beyond_int96_nanoseconds_are_right(shared_data: Path, empty: cytolake.Lake) -> None:
    empty.attach(shared_data / "delta/delta-rs/crates/test/tests/data/table_with_edge_timestamps", name="theirs")
    assert empty.sql("SELECT DISTINCT year(BIG_DATE) FROM theirs").fetchall() == [(9999,)]


def test_the_records_of_attachments(lake: Any, tmp_path: Path) -> None:
    attach(lake.root, str(write(tmp_path / "theirs", pa.table({"n": [1]}))), description="a table")
    (row,) = lake.catalog.sql("SELECT name, version, description FROM attached_tables").fetchall()
    assert row == ("theirs", None, "a table")
    assert [one["name"] for one in attached(lake.root)] == ["theirs"]
