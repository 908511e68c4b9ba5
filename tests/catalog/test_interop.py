"""The lake in other tools: a DuckDB connection, datasets of Arrow, ibis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from cytolake.catalog.attachments import attach
from cytolake.catalog.interop import connection
from cytolake.catalog.library import library
from cytolake.errors import NotFoundError, QueryError
from deltalake import write_deltalake


def test_a_connection_has_what_the_catalog_has(shared_lake: Any) -> None:
    made = connection(shared_lake.root)
    for question in (
        "SELECT study_id, count(*) FROM nuclei GROUP BY ALL ORDER BY ALL",
        "SELECT * FROM wells ORDER BY study_id, plate_id, well_id",
        "SELECT * FROM controls ORDER BY ALL",
        "SELECT study_id, plate_id, well_id, object_count FROM well_profiles(nuclei) ORDER BY ALL",
        "SELECT dose_key('taxol', 1.0)",
    ):
        assert made.sql(question).fetchall() == shared_lake.catalog.sql(question).fetchall(), question
    known = {row[0] for row in made.sql("SELECT function_name FROM duckdb_functions() WHERE NOT internal").fetchall()}
    assert {one.name for one in library().values() if one.kind != "view"} <= known


def test_a_connection_is_its_owners_and_the_lake_is_not(shared_lake: Any, tmp_path: Path) -> None:
    made = connection(shared_lake.root)
    made.execute("CREATE TABLE doses AS SELECT 'taxol' AS compound, 'high' AS dose").fetchall()
    assert made.sql("SELECT plate_id, dose FROM wells JOIN doses USING (compound)").fetchall() == [("P2", "high")]
    made.execute(f"COPY (FROM wells) TO '{tmp_path / 'wells.csv'}'").fetchall()
    assert (tmp_path / "wells.csv").read_text().startswith("study_id")
    for change in ("INSERT INTO wells SELECT * FROM wells", "DELETE FROM nuclei", "UPDATE wells SET row = 2"):
        with pytest.raises(Exception, match=r"not an? table|[Cc]an only"):
            made.execute(change).fetchall()


def test_one_study_has_the_files_of_that_study(shared_lake: Any) -> None:
    made = connection(shared_lake.root, study="two")
    assert made.sql("SELECT DISTINCT study_id FROM nuclei").fetchall() == [("two",)]
    assert made.sql("SELECT count(*) FROM wells").fetchall() == [(1,)]
    with pytest.raises(NotFoundError, match="no study 'tow'; did you mean 'two'"):
        connection(shared_lake.root, study="tow")


def test_a_table_of_others_that_is_lost_is_left_out_loudly(lake: Any, tmp_path: Path) -> None:
    for name in ("kept", "lost"):
        write_deltalake(str(tmp_path / name), pa.table({"n": [1, 2]}))
        attach(lake.root, str(tmp_path / name))
    (tmp_path / "lost").rename(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="lost is left out: .*no Delta table"):
        made = connection(lake.root)
    assert made.sql("SELECT sum(n) FROM kept").fetchall() == [(3,)]
    assert made.sql("SELECT count(*) FROM wells").fetchall()[0][0] > 0


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")  # ibis 12 with DuckDB 2
def test_ibis_asks_through_the_connection(shared_lake: Any) -> None:
    nuclei = ibis.duckdb.from_connection(connection(shared_lake.root)).table("nuclei")
    found = nuclei.group_by("study_id").agg(n=nuclei.count()).order_by("study_id").to_pyarrow()
    assert found.to_pylist() == [{"study_id": "one", "n": 6}, {"study_id": "two", "n": 2}]


def test_a_whole_table_is_a_dataset_of_its_files(shared_lake: Any) -> None:
    files = shared_lake.catalog.table("wells").dataset()
    assert isinstance(files, ds.FileSystemDataset)
    whole = shared_lake.catalog.sql("SELECT * FROM wells").to_arrow()
    assert files.count_rows() == whole.num_rows
    assert files.schema.names == whole.schema.names
    taxol = files.to_table(columns=["study_id", "plate_id"], filter=pc.field("compound") == "taxol")
    assert taxol.to_pylist() == [{"study_id": "one", "plate_id": "P2"}]


def test_feature_tables_with_other_columns_are_one_dataset(shared_lake: Any) -> None:
    (name,) = {one["name"] for one in shared_lake.catalog.tables() if one["kind"] == "features"}
    files = shared_lake.catalog.table(name).dataset()
    assert isinstance(files, ds.FileSystemDataset)
    found = files.to_table(columns=["study_id", "Nuclei_Intensity_MeanIntensity_Mito"]).to_pylist()
    by_study = {
        study: {row["Nuclei_Intensity_MeanIntensity_Mito"] is None for row in found if row["study_id"] == study}
        for study in ("one", "two")
    }
    assert by_study == {"one": {True}, "two": {False}}


def test_answers_and_views_are_datasets_of_their_rows(shared_lake: Any) -> None:
    for answer in (shared_lake.catalog.table("nuclei"), shared_lake.catalog.table("wells", where="study_id = 'two'")):
        rows = answer.dataset()
        assert isinstance(rows, ds.InMemoryDataset)
        assert rows.count_rows() == answer.to_arrow().num_rows
    with pytest.raises(QueryError, match="no table 'welsl'"):
        shared_lake.catalog.table("welsl")


def test_a_table_of_others_is_a_dataset_too(lake: Any, tmp_path: Path) -> None:
    rows = pa.table({"p": ["x", None], "n": [1, 2]})
    write_deltalake(str(tmp_path / "theirs"), rows, partition_by=["p"])
    attach(lake.root, str(tmp_path / "theirs"))
    files = lake.catalog.table("theirs").dataset()
    assert isinstance(files, ds.FileSystemDataset)
    assert sorted(files.to_table().to_pylist(), key=lambda row: row["n"]) == [{"p": "x", "n": 1}, {"p": None, "n": 2}]
