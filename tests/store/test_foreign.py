"""Delta tables that other writers made: the right rows, or a refusal; never a wrong row."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cytolake.errors import NotFoundError, StorageError, UnsupportedTableError
from cytolake.store.scan import Filter, Scan, scan_foreign

DAT = "delta/dat/out/reader_tests/generated"
DELTA_RS = "delta/delta-rs/crates/test/tests/data"


def plain_values(rows: pa.Table) -> list[str]:
    """Rows in an order of their own, columns by name."""
    return sorted(repr(sorted(row.items())) for row in rows.to_pylist())


def cases(folder: str) -> list[str]:
    """Parameters without looking at the data, which may be absent."""
    return {
        DAT: ["basic_append", "basic_partitioned", "multi_partitioned", "with_schema_change"],
    }[folder]


@pytest.mark.parametrize("name", cases(DAT))
def test_acceptance_tables_have_their_expected_rows(shared_data: Path, name: str) -> None:
    """Every version against the rows that the Delta acceptance tests ship beside the table."""
    folder = shared_data / DAT / name
    for expected in sorted((folder / "expected").iterdir()):
        version = None if expected.name == "latest" else int(expected.name.removeprefix("v"))
        found = scan_foreign(str(folder / "delta"), version=version)
        content = pq.read_table(expected / "table_content.parquet")
        assert found.plain
        assert plain_values(found.read()) == plain_values(content), expected
        told = json.loads((expected / "table_version_metadata.json").read_text())
        assert found.version == told["version"]


def rows_by_the_log(folder: Path) -> int:
    """Count the live rows of a table without checkpoints from its log: records less deleted ones."""
    live: dict[str, int] = {}
    for entry in sorted((folder / "_delta_log").glob("*.json")):
        for line in entry.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                deleted = (action["add"].get("deletionVector") or {}).get("cardinality", 0)
                live[action["add"]["path"]] = json.loads(action["add"]["stats"])["numRecords"] - deleted
            if "remove" in action and action["remove"].get("deletionVector") is None:
                live.pop(action["remove"]["path"], None)
    return sum(live.values())


@pytest.mark.parametrize("name", ["table-with-dv-small", "table_with_deletion_logs", "cdf-table-with-cdc-and-dvs"])
def test_deleted_rows_stay_deleted(shared_data: Path, name: str) -> None:
    folder = shared_data / DELTA_RS / name
    found = scan_foreign(str(folder))
    assert not found.plain
    assert found.files == ()
    whole = found.read()
    assert whole.num_rows > 0
    if name == "table-with-dv-small":
        assert sorted(whole["value"].to_pylist()) == list(range(1, 9))
    if name == "table_with_deletion_logs":
        assert whole.num_rows == rows_by_the_log(folder)
    column = whole.column_names[0]
    value = next(v for v in whole[column].to_pylist() if v is not None)
    expected = [row for row in whole.to_pylist() if row[column] == value]
    assert scan_foreign(str(folder), [Filter(column, "=", value)]).read().to_pylist() == expected


@pytest.mark.parametrize("name", ["table_with_column_mapping", "table_with_partitioning_mapping"])
def test_mapped_columns_have_their_logical_names(shared_data: Path, name: str) -> None:
    found = scan_foreign(str(shared_data / DELTA_RS / name))
    assert not found.plain
    rows = found.read()
    assert rows.num_rows in {2, 5}
    assert not [column for column in rows.column_names if column.startswith("col-")]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        (f"{DELTA_RS}/spark-shredded-variant-preview-delta", "variantShredding-preview, variantType"),
        (f"{DELTA_RS}/spark-variant-checkpoint", "variantType-preview"),
        ("delta/duckdb-delta/data/inlined/variant/basic", "variantType"),
        (f"{DELTA_RS}/simple_table_features", "cannot be read"),
    ],
)
def test_features_beyond_us_are_refused_by_name(shared_data: Path, name: str, what: str) -> None:
    with pytest.raises(UnsupportedTableError, match=what):
        scan_foreign(str(shared_data / name))


def all_tables(shared_data: Path) -> list[Path]:
    return sorted(log.parent for log in (shared_data / "delta").rglob("_delta_log"))


def test_every_foreign_table_is_right_or_refused(shared_data: Path) -> None:
    """Compared with deltalake's own SQL engine, which reads deletion vectors and mapped columns."""
    from deltalake import DeltaTable, QueryBuilder

    read = 0
    for folder in all_tables(shared_data):
        if folder.name in {"COVID-19_NYT", "table_with_edge_timestamps"}:
            continue  # a million rows; dates of the year 9999 as INT96, which that engine itself misreads
        try:
            found = scan_foreign(str(folder))
            rows = found.read()
        except (UnsupportedTableError, StorageError):
            continue  # the collection keeps the logs of some tables without their files
        reference = QueryBuilder().register("t", DeltaTable(str(folder))).execute("SELECT * FROM t").read_all()
        assert plain_values(rows) == plain_values(pa.table(reference)), folder
        check_pruning(found, folder, rows)
        read += 1
    assert read >= 45


def check_pruning(found: Scan, folder: Path, rows: pa.Table) -> None:
    """Filters on the statistics and partition values of others lose nothing."""
    for column in rows.column_names:
        kind = rows.schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
            continue
        values = [value for value in rows[column].unique().to_pylist() if value is not None][:3]
        for filters in [[Filter(column, "is null")], *([Filter(column, "=", value)] for value in values)]:
            wanted = filters[0].value
            expected = sum(value == wanted for value in rows[column].to_pylist())
            assert scan_foreign(str(folder), filters).read([column]).num_rows == expected, (folder, filters)


def test_dates_beyond_int96_nanoseconds_are_right(shared_data: Path) -> None:
    rows = scan_foreign(str(shared_data / DELTA_RS / "table_with_edge_timestamps")).read()
    assert {value.year for value in rows["BIG_DATE"].to_pylist()} == {9999}


def test_what_is_no_table_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no Delta table"):
        scan_foreign(str(tmp_path))
    with pytest.raises(NotFoundError, match="no Delta table"):
        scan_foreign(str(tmp_path / "nothing"))


def test_a_damaged_log_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "_delta_log"
    log.mkdir()
    (log / "00000000000000000000.json").write_text("this is no JSON\n")
    with pytest.raises(UnsupportedTableError, match="cannot be read"):
        scan_foreign(str(tmp_path))


def test_files_that_lie_elsewhere_are_found(tmp_path: Path) -> None:
    """A shallow clone names the files of its source by absolute URLs."""
    from deltalake import DeltaTable

    rows = pa.table({"x": [1, 2, 3]})
    pq.write_table(rows, tmp_path / "data.parquet")
    table = DeltaTable.create(str(tmp_path / "clone"), schema=rows.schema)
    action = {
        "path": (tmp_path / "data.parquet").as_uri(),
        "partitionValues": {},
        "size": (tmp_path / "data.parquet").stat().st_size,
        "modificationTime": 0,
        "dataChange": True,
        "stats": '{"numRecords": 3}',
    }
    log = tmp_path / "clone" / "_delta_log" / f"{table.version() + 1:020}.json"
    log.write_text(json.dumps({"add": action}) + "\n")
    found = scan_foreign(str(tmp_path / "clone"), [Filter("x", ">", 1)])
    assert not found.plain
    assert found.read()["x"].to_pylist() == [2, 3]
