"""An answer in every form that is asked for."""

from __future__ import annotations

import csv
import io
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cytolake.catalog.writers import as_text, plain
from cytolake.errors import MissingExtraError, QueryError, StorageError, UsageError

MIXED = """SELECT * FROM (VALUES
    (1, 'plain', 0.1::FLOAT, true, TIMESTAMPTZ '2026-01-02 03:04:05+00', [1, 2], {'a': 1}),
    (2, 'a "quoted", text', 'NaN'::FLOAT, false, NULL, NULL, NULL),
    (3, NULL, NULL, NULL, NULL, [], NULL)
) AS t(n, text, x, yes, moment, list, struct)"""


@pytest.fixture
def mixed(shared_lake: Any) -> Any:
    return shared_lake.catalog.sql(MIXED)


def test_arrow_pandas_polars_agree(shared_lake: Any) -> None:
    result = shared_lake.catalog.sql("SELECT plate_id, sum(object_id) AS s FROM nuclei GROUP BY 1 ORDER BY 1")
    assert result.to_arrow().to_pydict() == {"plate_id": ["P1", "P2"], "s": [8, 2]}
    assert result.to_pandas().to_dict("list") == {"plate_id": ["P1", "P2"], "s": [8, 2]}
    assert result.to_polars().to_dict(as_series=False) == {"plate_id": ["P1", "P2"], "s": [8, 2]}
    assert result.fetchall() == list(result) == [("P1", 8), ("P2", 2)]
    assert result.to_dicts() == [{"plate_id": "P1", "s": 8}, {"plate_id": "P2", "s": 2}]
    assert result.columns == ["plate_id", "s"]
    assert result.types == ["VARCHAR", "HUGEINT"]


def test_sums_of_integers_are_integers(shared_lake: Any) -> None:
    table = shared_lake.catalog.sql("SELECT sum(object_id) AS s, sum(timepoint) FROM nuclei").to_arrow()
    assert table.schema.types == [pa.int64(), pa.int64()]


def test_a_sum_that_does_not_fit_is_an_error(shared_lake: Any) -> None:
    result = shared_lake.catalog.sql(
        "SELECT sum(x::HUGEINT * 10000000000) AS s FROM (VALUES (9223372036854775807)) t(x)"
    )
    with pytest.raises(QueryError, match="'s' has a whole number that does not fit"):
        result.to_arrow()


def test_repeated_names_are_made_unique(shared_lake: Any) -> None:
    result = shared_lake.catalog.sql("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a")
    assert result.columns == ["a", "a_1", "a_1_1", "a_2"]
    assert result.to_dicts() == [{"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named_with_its_extra(
    shared_lake: Any, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=library) as caught:
        getattr(shared_lake.catalog.sql("SELECT 1"), f"to_{library}")()
    assert caught.value.hint == "pip install 'cytolake[frames]'"


def test_csv(mixed: Any, tmp_path: Path) -> None:
    assert mixed.write(tmp_path / "rows.csv") == 3
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "n": "1",
        "text": "plain",
        "x": "0.1",
        "yes": "true",
        "moment": "2026-01-02 03:04:05.000000Z",
        "list": "[1, 2]",
        "struct": '{"a": 1}',
    }
    assert rows[1]["text"] == 'a "quoted", text'
    assert rows[1]["x"] == ""
    assert rows[2] == {"n": "3", "text": "", "x": "", "yes": "", "moment": "", "list": "[]", "struct": ""}


def test_csv_of_simple_rows_has_no_quotes(shared_lake: Any) -> None:
    stream = io.BytesIO()
    shared_lake.catalog.sql("SELECT 'P1' AS plate_id, 2 AS n").write(stream, "csv")
    assert stream.getvalue() == b"plate_id,n\nP1,2\n"


def test_json(mixed: Any, tmp_path: Path) -> None:
    mixed.write(tmp_path / "rows.json")
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows[0] == {
        "n": 1,
        "text": "plain",
        "x": 0.1,
        "yes": True,
        "moment": "2026-01-02T03:04:05+00:00",
        "list": [1, 2],
        "struct": {"a": 1},
    }
    assert rows[1]["x"] is None
    assert [row["n"] for row in rows] == [1, 2, 3]


def test_json_of_nothing_is_an_empty_list(shared_lake: Any) -> None:
    stream = io.BytesIO()
    assert shared_lake.catalog.sql("SELECT 1 AS a WHERE false").write(stream, "json") == 0
    assert json.loads(stream.getvalue()) == []


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_arrow_and_parquet_keep_types(shared_lake: Any, tmp_path: Path, format: str) -> None:
    result = shared_lake.catalog.sql("SELECT * FROM nuclei ORDER BY ALL")
    path = tmp_path / f"rows.{format}"
    assert result.write(path) == 8
    read = pq.read_table(path) if format == "parquet" else pa.ipc.open_stream(path).read_all()
    assert read.equals(result.to_arrow())


def test_large_answers_flow_batch_by_batch(shared_lake: Any, tmp_path: Path) -> None:
    result = shared_lake.catalog.sql("SELECT i, 'x' AS t FROM range(150000) r(i)")
    assert result.write(tmp_path / "rows.csv") == 150_000
    assert result.write(tmp_path / "rows.json") == 150_000
    assert len(json.loads((tmp_path / "rows.json").read_text())) == 150_000
    with (tmp_path / "rows.csv").open() as file:
        assert sum(1 for _ in file) == 150_001


def test_a_file_appears_whole_or_not_at_all(shared_lake: Any, tmp_path: Path) -> None:
    result = shared_lake.catalog.sql(
        "SELECT CASE WHEN i = 149999 THEN error('boom') ELSE i END AS i FROM range(150000) r(i)"
    )
    with pytest.raises(QueryError, match="boom"):
        result.write(tmp_path / "rows.csv")
    assert list(tmp_path.iterdir()) == []


def test_formats_are_checked(mixed: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'xlsx' is no format"):
        mixed.write(tmp_path / "rows.xlsx")
    with pytest.raises(UsageError, match="did you mean 'parquet'"):
        mixed.write(tmp_path / "rows", "parket")
    with pytest.raises(StorageError, match="cannot be written"):
        mixed.write(tmp_path / "no such folder" / "rows.csv")


def test_a_printed_answer(shared_lake: Any) -> None:
    result = shared_lake.catalog.sql("SELECT plate_id, count(*) AS n, 1/3.0 AS third FROM nuclei GROUP BY 1 ORDER BY 1")
    assert repr(result) == "\n".join(
        [
            "plate_id  n     third",
            "────────  ─  ────────",
            "P1        6  0.333333",
            "P2        2  0.333333",
        ]
    )
    html = result._repr_html_()
    assert "<th>plate_id</th>" in html
    assert "<td>P1</td>" in html


def test_printing_does_not_compute_everything(shared_lake: Any) -> None:
    # The last row fails; the first ones are shown all the same.
    result = shared_lake.catalog.sql(
        "SELECT CASE WHEN i = 9999999 THEN error('boom') ELSE i END AS i FROM range(10000000) r(i)"
    )
    assert "more than 20 rows" in repr(result)
    with pytest.raises(QueryError, match="boom"):
        result.to_arrow()


def test_markup_in_values_is_escaped(shared_lake: Any) -> None:
    assert "<b>" not in shared_lake.catalog.sql("SELECT '<b>' AS \"<b>\"")._repr_html_()


def test_text_of_nothing() -> None:
    assert as_text(pa.table({"a": pa.array([], pa.int32())}), shown=3).endswith("no rows")


def test_plain_values() -> None:
    assert plain(float("inf")) is None
    assert plain({"a": (1, float("nan"))}) == {"a": [1, None]}
    assert plain([("k", 1)]) == {"k": 1}
    assert plain(b"\x00") == "AA=="


def test_unfinished_streams_of_one_answer_do_not_disturb_each_other(shared_lake: Any) -> None:
    result = shared_lake.catalog.sql("SELECT i FROM range(300000) r(i)")
    streams = [result.batches()[1] for _ in range(3)]
    rows = [0, 0, 0]
    for batches in itertools.zip_longest(*streams):
        for at, batch in enumerate(batches):
            rows[at] += 0 if batch is None else batch.num_rows
    assert rows == [300_000] * 3
    assert not result._prepared.ready


def test_a_question_does_not_import_pandas(shared_lake: Any) -> None:
    """In a process that asks one question that would take as long as the question."""
    code = """if True:
        import sys
        from cytolake import open_lake
        lake = open_lake(sys.argv[1])
        lake.sql("SELECT avg(object_id) FROM nuclei WHERE plate_id = 'P1'").to_text()
        lake.sql("SELECT n.object_id FROM nuclei n JOIN wells w USING (plate_id, well_id) WHERE w.row = 1").to_text()
        assert "pandas" not in sys.modules"""
    url = shared_lake.catalog.root.url
    asked = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
