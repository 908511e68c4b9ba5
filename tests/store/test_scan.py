"""Which files a question needs: never one too few, and of two hundred plates just the one that is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.errors import NotFoundError, QueryError, StorageError, UsageError
from cytolake.store.commit import Commit
from cytolake.store.datafiles import write_data_file
from cytolake.store.root import LakeRoot, init_root
from cytolake.store.scan import Filter, Scan, count, scan
from hypothesis import given, settings
from hypothesis import strategies as st

Rows = Callable[..., pa.Table]
FEATURES = "features/nuclei/0123abcd/nuclei"


def fill(lake: LakeRoot, table: str, tables: list[pa.Table]) -> None:
    """One file for each, in one commit."""
    files = [write_data_file(lake.storage, table, rows) for rows in tables]
    with Commit(lake, run_id="r", app_id="fill") as commit:
        commit.replace_files(table, {"study_id": "none"}, files, pa.unify_schemas([rows.schema for rows in tables]))
        commit.commit()


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> LakeRoot:
    """Two hundred plates of two studies, a file each."""
    lake = init_root(tmp_path_factory.mktemp("plates") / "lab")
    fill(lake, FEATURES, [objects_of(number) for number in range(200)])
    return lake


def objects_of(number: int) -> pa.Table:
    return pa.table(
        {
            "study_id": ["even" if number % 2 == 0 else "odd/ü"] * 2,
            "plate_id": [f"P{number:03}"] * 2,
            "field_id": pa.array([number, number + 1], pa.int32()),
            "well_id": ["A01", None],
            "run_id": ["r", "r"],
            "Nuclei_AreaShape_Area": pa.array([1.0, 2.0], pa.float32()),
        }
    )


def opened(lake: LakeRoot, *filters: Filter) -> int:
    found = scan(lake, FEATURES, filters)
    assert found.considered == 200
    assert found.pruned == 200 - len(found.files)
    return len(found.files)


def test_one_plate_is_one_file(plates: LakeRoot) -> None:
    found = scan(plates, FEATURES, [Filter("plate_id", "=", "P123")])
    (file,) = found.files
    assert found.plain
    assert file.rows == 2
    assert file.partition == {"study_id": "odd/ü"}
    assert Path(file.uri).stat().st_size == file.bytes
    assert found.read(["plate_id", "study_id"]).to_pylist() == [{"plate_id": "P123", "study_id": "odd/ü"}] * 2


@pytest.mark.parametrize(
    ("column", "op", "value", "files"),
    [
        ("plate_id", "=", "P200", 0),
        ("plate_id", "in", ["P001", "P002", "nothing"], 2),
        ("plate_id", "in", [], 0),
        ("plate_id", "!=", "P001", 199),
        ("plate_id", "<", "P010", 10),
        ("plate_id", "<=", "P010", 11),
        ("plate_id", ">", "P190", 9),
        ("plate_id", ">=", "P190", 10),
        ("plate_id", "is null", None, 0),
        ("well_id", "is null", None, 200),
        ("study_id", "=", "even", 100),
        ("study_id", "!=", "even", 100),
        ("study_id", "in", ["odd/ü", "x"], 100),
        ("study_id", "is null", None, 0),
        ("field_id", "=", 50, 2),
        ("field_id", ">", 198, 2),
        ("field_id", "!=", 50, 200),
        # What cannot be compared safely prunes nothing.
        ("field_id", "=", 50.0, 200),
        ("field_id", "=", 2**40, 200),
        ("Nuclei_AreaShape_Area", ">", 100.0, 200),
    ],
)
def test_pruning_by_the_log(plates: LakeRoot, column: str, op: str, value: Any, files: int) -> None:
    assert opened(plates, Filter(column, op, value)) == files


def test_filters_add_up(plates: LakeRoot) -> None:
    assert opened(plates, Filter("study_id", "=", "even"), Filter("plate_id", "<", "P010")) == 5
    assert opened(plates, Filter("study_id", "=", "even"), Filter("plate_id", "=", "P001")) == 0


def test_counting_opens_no_file(plates: LakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(plates, FEATURES, [Filter("plate_id", "=", "P001"), Filter("well_id", "=", "A01")]) == 1

    def refuse(self: Scan, file: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(Scan, "_open", refuse)
    assert count(plates, FEATURES) == 400
    assert count(plates, FEATURES, [Filter("study_id", "=", "even")]) == 200
    assert count(plates, "wells") == 0


def test_what_is_misspelt_is_said(plates: LakeRoot) -> None:
    with pytest.raises(QueryError, match="plateid") as raised:
        scan(plates, FEATURES, [Filter("plateid", "=", "P001")])
    assert "plate_id" in str(raised.value.hint)
    with pytest.raises(QueryError, match="welll_id"):
        scan(plates, FEATURES).read(["welll_id"])
    with pytest.raises(QueryError, match="nothing"):
        scan(plates, "wells", [Filter("nothing", "=", 1)])
    with pytest.raises(UsageError, match="like"):
        Filter("plate_id", "like", "P%")
    with pytest.raises(QueryError, match="plate_id = 3"):
        scan(plates, FEATURES, [Filter("plate_id", "=", 3)]).read()
    with pytest.raises(NotFoundError, match="no table 'features/x'"):
        scan(plates, "features/x")
    with pytest.raises(NotFoundError, match="no version 99"):
        scan(plates, FEATURES, version=99)


def test_a_declared_table_without_rows_is_empty(plates: LakeRoot) -> None:
    found = scan(plates, "wells", [Filter("plate_id", "=", "P001")])
    assert (found.version, found.considered, found.files) == (None, 0, ())
    assert found.partition_by == ("study_id",)
    assert found.read(["well_id"]).num_rows == 0


def test_a_file_that_is_gone_is_named(lake: LakeRoot) -> None:
    fill(lake, FEATURES, [objects_of(1)])
    (file,) = scan(lake, FEATURES).files
    Path(file.uri).unlink()
    with pytest.raises(StorageError, match=Path(file.uri).name):
        scan(lake, FEATURES).read()


def test_schemas_that_differ_are_grouped(lake: LakeRoot) -> None:
    wide = objects_of(1).append_column("Nuclei_Extra", pa.array([5.0, 6.0], pa.float32()))
    fill(lake, FEATURES, [objects_of(0), wide, objects_of(2), wide.select(wide.column_names[::-1])])
    found = scan(lake, FEATURES)
    assert sorted(len(group) for group in found.groups_by_fingerprint().values()) == [2, 2]
    lake.tables.open(FEATURES).optimize.compact()
    compacted = scan(lake, FEATURES)
    assert {file.fingerprint for file in compacted.files} == {None}
    # A compaction has given the narrow files the missing column: they are of the wide kind now.
    assert list(compacted.groups_by_fingerprint()) == list(scan_of_wide(lake, wide).groups_by_fingerprint())


def scan_of_wide(lake: LakeRoot, wide: pa.Table) -> Scan:
    fill(lake, "features/wide/0123abcd/nuclei", [wide])
    return scan(lake, "features/wide/0123abcd/nuclei")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[LakeRoot, list[dict[str, Any]]]:
    """Files whose bounds overlap, with NULLs, whole columns of NULL, and negative numbers."""
    lake = init_root(tmp_path_factory.mktemp("mixed") / "lab")
    rows = []
    for file, (study_id, wells, fields) in enumerate(
        [
            ("a", ["A01", "B02", None], [1, 5, None]),
            ("a", ["B02", "B02", "B02"], [3, 3, 3]),
            ("a", [None, None], [None, None]),
            ("b", ["", "é", "zz"], [-7, 0, 2**31 - 1]),
            ("b", ["A01", None], [3, 4]),
        ]
    ):
        rows.append(
            [
                {"study_id": study_id, "plate_id": f"P{file}", "well_id": well, "field_id": field}
                for well, field in zip(wells, fields, strict=True)
            ]
        )
    schema = pa.schema(
        [("study_id", pa.string()), ("plate_id", pa.string()), ("well_id", pa.string()), ("field_id", pa.int32())]
    )
    fill(lake, FEATURES, [pa.Table.from_pylist(one, schema=schema) for one in rows])
    return lake, [row for one in rows for row in one]


_TEXT = st.sampled_from(["", "A01", "B02", "é", "zz", "C", "a", "b", "P0", "P3"])
_NUMBER = st.sampled_from([-8, -7, 0, 1, 2, 3, 4, 5, 6, 2**31 - 1])
_PLAIN_OPS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def _filters(column: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    return st.one_of(
        st.builds(Filter, st.just(column), _PLAIN_OPS, values),
        st.builds(Filter, st.just(column), st.just("in"), st.lists(values, max_size=3)),
        st.builds(Filter, st.just(column), st.just("is null")),
    )


_ANY = st.one_of(*(_filters(c, _TEXT) for c in ("study_id", "plate_id", "well_id")), _filters("field_id", _NUMBER))


@settings(max_examples=150, deadline=None)
@given(filters=st.lists(_ANY, max_size=3))
def test_pruning_never_loses_a_row(mixed: tuple[LakeRoot, list[dict[str, Any]]], filters: list[Filter]) -> None:
    lake, rows = mixed
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "=": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
        "in": lambda a, b: a in b,
    }

    def holds(row: dict[str, Any], one: Filter) -> bool:
        value = row[one.column]
        return value is None if one.op == "is null" else value is not None and compare[one.op](value, one.value)

    expected = [row for row in rows if all(holds(row, one) for one in filters)]
    found = scan(lake, FEATURES, filters).read()
    assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, expected))


def test_a_data_file_that_was_cut_off(tmp_path: Path) -> None:
    lake = init_root(tmp_path / "lab")
    fill(lake, FEATURES, [objects_of(0)])
    file = next((tmp_path / "lab").rglob("*.parquet"))
    whole = file.read_bytes()
    # The footer is gone; the footer is there and the pages are not.
    for damaged in (whole[:-20], b"PAR1" + bytes(len(whole) // 2) + whole[len(whole) // 2 + 4 :]):
        file.write_bytes(damaged)
        with pytest.raises(StorageError, match="damaged") as caught:
            lake.tables.read(FEATURES)
        assert str(file) in caught.value.message
        assert "cytolake validate" in (caught.value.hint or "")
