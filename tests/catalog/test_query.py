"""Questions to a lake: right answers, from no more files than it takes."""

# ruff: noqa: E501 - a question is read best on one line
from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import NotFoundError, QueryError

AREA = "Nuclei_AreaShape_Area"


def opened(result: Any) -> dict[str, tuple[int, int]]:
    """Relation → (files considered, files opened)."""
    return {scan.relation: (scan.files_considered, scan.files_opened) for scan in result.scans}


def ask(lake: Any, question: str) -> list[tuple[Any, ...]]:
    return lake.catalog.sql(question).fetchall()


def test_the_journeys_question(shared_lake: Any) -> None:
    question = f"SELECT study_id, plate_id, well_id, count(*), avg({AREA}) FROM nuclei GROUP BY ALL ORDER BY ALL"
    assert ask(shared_lake, question) == [
        ("one", "P1", "A01", 2, 105.0),
        ("one", "P1", "A02", 1, 200.0),
        ("one", "P1", "H12", 1, 50.0),
        ("one", "P2", "A01", 1, 90.0),
        ("one", "P2", "B02", 1, 95.0),
        ("two", "P1", "A01", 2, 215.0),
    ]


def test_a_view_shows_every_object_once_with_its_well(shared_lake: Any) -> None:
    question = "SELECT well_id, compound, concentration_um, control_type, excluded FROM nuclei WHERE study_id = 'one' AND plate_id = 'P1' ORDER BY well_id"
    assert ask(shared_lake, question) == [
        ("A01", None, None, "negative_vehicle", False),
        ("A01", None, None, "negative_vehicle", False),
        ("A02", "nocodazole", 1.0, None, False),
        ("H12", None, None, None, False),  # a well without a row in wells: its objects are shown all the same
    ]


def test_excluded_wells_are_out_of_the_views_and_in_the_tables(shared_lake: Any) -> None:
    assert ask(shared_lake, f"SELECT count(*) FROM nuclei WHERE {AREA} = 999") == [(0,)]
    table = next(name for name in shared_lake.root.tables.names() if name.startswith("features/"))
    assert ask(shared_lake, f'SELECT count(*) FROM "{table}" WHERE {AREA} = 999') == [(1,)]


def test_studies_with_other_stains_share_a_view(shared_lake: Any) -> None:
    question = """SELECT study_id, count(Nuclei_Intensity_MeanIntensity_DNA), count(Nuclei_Intensity_MeanIntensity_Mito)
                  FROM nuclei GROUP BY ALL ORDER BY ALL"""
    assert ask(shared_lake, question) == [("one", 6, 0), ("two", 0, 2)]


def test_a_column_that_the_chosen_files_lack_is_null(shared_lake: Any) -> None:
    result = shared_lake.catalog.sql(
        "SELECT max(Nuclei_Intensity_MeanIntensity_Mito) FROM nuclei WHERE study_id = 'one'"
    )
    assert result.fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("question", "files"),
    [
        ("FROM nuclei WHERE plate_id = 'P2'", 1),
        ("SELECT count(*) FROM nuclei AS n WHERE n.plate_id = 'P2' AND n.x IS NULL", None),
        ("FROM nuclei WHERE plate_id = 'P1'", 2),
        ("FROM nuclei WHERE study_id = 'two'", 1),
        ("FROM nuclei WHERE study_id = 'one' AND plate_id = 'P1'", 1),
        ("FROM nuclei WHERE (study_id, plate_id) IN (('one', 'P1'), ('one', 'P2'))", 2),
        ("FROM nuclei WHERE plate_id = 'P1' AND plate_id = 'P2'", 0),
        ("FROM nuclei WHERE plate_id = 'nowhere'", 0),
        ("WITH n AS (FROM nuclei) SELECT well_id FROM n JOIN plates USING (study_id, plate_id) WHERE plate_id = 'P2'", 1),
        ("SELECT * FROM (SELECT plate_id, count(*) AS objects FROM nuclei GROUP BY 1) WHERE plate_id = 'P2'", 1),
        ("SELECT * FROM plates p JOIN nuclei n ON n.plate_id = p.plate_id WHERE p.plate_id = 'P2'", 1),
        ("FROM nuclei WHERE compound = 'taxol'", 1),
        ("FROM nuclei WHERE compound = 'no such compound'", 0),
        ("FROM nuclei WHERE compound IN ('taxol', 'nocodazole')", 3),
        ("FROM nuclei", 3),
    ],
)  # fmt: skip
def test_only_the_files_that_matter_are_opened(shared_lake: Any, question: str, files: int | None) -> None:
    if files is None:
        with pytest.raises(QueryError):
            shared_lake.catalog.sql(question)
        return
    result = shared_lake.catalog.sql(question)
    table = next(scan for scan in result.scans if scan.table.startswith("features/"))
    assert (table.files_considered, table.files_opened, table.files_pruned) == (3, files, 3 - files)


def test_scans_name_all_tables_of_a_question(shared_lake: Any) -> None:
    result = shared_lake.catalog.sql("SELECT * FROM wells JOIN plates USING (study_id, plate_id) WHERE plate_id = 'P2'")
    assert opened(result) == {"wells": (3, 1), "plates": (3, 1)}
    assert {scan.version for scan in result.scans} == {3}


def test_a_pruned_file_is_really_not_opened(lake: Any) -> None:
    """Other plates' files may even be gone."""
    folder = Path(lake.root.url) / "tables"
    for file in folder.rglob("features/**/study_id=two/*.parquet"):
        file.unlink()
    assert ask(lake, "SELECT count(*) FROM nuclei WHERE study_id = 'one'") == [(6,)]


def test_every_declared_table_can_be_asked_before_anything_was_written(empty_lake: Any) -> None:
    from cytolake.schemas.tables import TABLES, arrow_schema

    for name in TABLES:
        result = empty_lake.catalog.sql(f"FROM {name}")
        assert result.columns == arrow_schema(name).names
        assert result.fetchall() == []


def test_nested_columns_come_through(lake: Any) -> None:
    lake.put("wells", {"study_id": "s", "plate_id": "P", "well_id": "A01", "attributes": [("dose", "high")]})
    result = lake.catalog.sql("SELECT attributes, attributes['dose'] AS dose FROM wells WHERE plate_id = 'P'")
    assert result.fetchall() == [([("dose", "high")], "high")]


def test_names_ignore_case_and_quotes(shared_lake: Any) -> None:
    assert ask(shared_lake, 'SELECT COUNT(*) FROM Nuclei AS "N" WHERE "N".PLATE_ID = \'P2\'') == [(2,)]


def test_the_current_feature_set_is_the_newest_that_a_study_has(lake: Any) -> None:
    old = "SELECT count(*) FROM nuclei WHERE study_id = 'one'"
    assert ask(lake, old) == [(6,)]
    lake.features("one", "P1", {"A01": [{AREA: 7.0}]}, definition={"threshold": 2})
    # Study one now has nuclei@2, for one plate; study two still shows nuclei@1. No object is shown twice.
    assert ask(lake, f"SELECT plate_id, {AREA} FROM nuclei WHERE study_id = 'one'") == [("P1", 7.0)]
    assert ask(lake, "SELECT count(*) FROM nuclei WHERE study_id = 'two'") == [(2,)]
    assert ask(lake, "SELECT count(*) FROM nuclei WHERE plate_id = 'P2'") == [(0,)]


def test_the_feature_set_that_was_computed_last_is_current(lake: Any) -> None:
    lake.features("one", "P1", {"A01": [{AREA: 1.0}]}, definition={"threshold": 2})
    lake.features("one", "P1", {"A01": [{AREA: 2.0}]}, definition={"threshold": 3})
    assert ask(lake, f"SELECT feature_set, {AREA} FROM nuclei WHERE study_id = 'one'") == [("nuclei@3", 2.0)]
    lake.features("one", "P1", {"A01": [{AREA: 3.0}]}, definition={"threshold": 2})
    assert ask(lake, f"SELECT feature_set, {AREA} FROM nuclei WHERE study_id = 'one'") == [("nuclei@2", 3.0)]


def test_a_row_says_its_feature_set(lake: Any) -> None:
    lake.features("two", "P1", {"A01": [{AREA: 7.0}]}, definition={"threshold": 2})
    question = "SELECT DISTINCT study_id, feature_set FROM nuclei ORDER BY ALL"
    assert ask(lake, question) == [("one", "nuclei@1"), ("two", "nuclei@2")]
    assert ask(lake, "SELECT study_id FROM nuclei WHERE feature_set = 'nuclei@2'") == [("two",)]


def test_areas_in_pixels_become_areas(lake: Any) -> None:
    image = {"study_id": "one", "plate_id": "P1", "acquisition_id": 1, "well_id": "A01", "field_id": 1}
    shape = {"n_timepoints": 1, "n_channels": 1, "n_z_planes": 1, "height": 9, "width": 9, "dtype": "uint16"}
    size = {
        "pixel_size_x_um": 0.5,
        "pixel_size_y_um": 0.25,
        "n_planes": 1,
        "n_missing_planes": 0,
        "n_corrupt_planes": 0,
    }
    lake.put("images", {**image, **shape, **size, "source_files": []})
    result = lake.catalog.sql(
        f"""SELECT well_id, {AREA} * pixel_size_x_um * pixel_size_y_um AS um2 FROM nuclei
            WHERE study_id = 'one' AND plate_id = 'P1' ORDER BY ALL"""
    )
    # A field without a row in images: its objects are shown all the same.
    assert result.fetchall() == [("A01", 12.5), ("A01", 13.75), ("A02", None), ("H12", None)]
    assert opened(result)["images of nuclei"] == (1, 1)
    assert opened(lake.catalog.sql("FROM nuclei WHERE plate_id = 'P2'"))["images of nuclei"] == (1, 0)
    described = {entry["column"]: entry for entry in lake.catalog.columns("nuclei")}
    assert described["pixel_size_x_um"]["unit"] == "um"
    assert described["feature_set"]["description"]


@pytest.mark.parametrize(
    ("question", "read"),
    [
        ("SELECT well_id, count(*) FROM nuclei GROUP BY 1", False),
        ("SELECT n.well_id FROM nuclei n JOIN wells USING (study_id, plate_id, well_id)", False),
        ("SELECT count(PIXEL_SIZE_X_UM) FROM nuclei", True),
        ("SELECT well_id FROM (FROM nuclei)", True),
        ("SELECT n.* FROM nuclei n", True),
        ("SELECT n FROM nuclei n", True),
        ("SELECT max(COLUMNS('pixel.*')) FROM nuclei", True),
        ("SELECT count(*) FROM nuclei NATURAL JOIN wells", True),
        ("DESCRIBE nuclei", True),
        ("SUMMARIZE nuclei", True),
        ("SELECT 1 FROM nuclei ORDER BY pixel_size_y_um", True),
    ],
)  # fmt: skip
def test_images_are_read_only_where_pixel_sizes_may_be_meant(shared_lake: Any, question: str, read: bool) -> None:
    result = shared_lake.catalog.sql(question)
    result.fetchall()
    assert ("images of nuclei" in opened(result)) == read


def test_object_sets_of_other_names_have_views(lake: Any) -> None:
    lake.features("one", "P1", {"A01": [{"Spots_AreaShape_Area": 3.0}]}, object_set="spots", name="spots")
    assert ask(lake, "SELECT study_id, Spots_AreaShape_Area FROM spots") == [("one", 3.0)]


def test_as_of_a_time(lake: Any) -> None:
    before = datetime.now(UTC)
    time.sleep(0.05)
    lake.features("one", "P3", {"A01": [{AREA: 1.0}]})
    lake.features("two", "P1", {"A01": [{AREA: 2.0}]}, definition={"threshold": 9})
    assert ask(lake, "SELECT count(*) FROM nuclei WHERE plate_id = 'P3'") == [(1,)]
    then = lake.catalog.sql("SELECT plate_id, count(*) FROM nuclei GROUP BY 1 ORDER BY 1", as_of=before)
    assert then.fetchall() == [("P1", 6), ("P2", 2)]
    text = lake.catalog.sql("SELECT count(*) FROM nuclei", as_of=before.isoformat())
    assert text.fetchall() == [(8,)]


def test_as_of_the_time_before_everything(lake: Any) -> None:
    assert lake.catalog.sql("SELECT count(*) FROM wells", as_of="2001-01-01").fetchall() == [(0,)]


def test_as_of_survives_a_copy_of_the_lake(lake: Any, tmp_path: Path) -> None:
    """The times of the log's files say nothing: a copy gives them new ones."""
    import os

    before = datetime.now(UTC)
    time.sleep(0.05)
    lake.put("studies", {"study_id": "later"})
    for file in Path(lake.root.url).rglob("*.json"):
        os.utime(file, (1, 1))
    assert lake.catalog.sql("SELECT count(*) FROM studies", as_of=before).fetchall() == [(2,)]


def test_as_of_a_release_that_is_not_there(shared_lake: Any) -> None:
    with pytest.raises(NotFoundError, match="no release 'spring'"):
        shared_lake.catalog.sql("FROM wells", as_of="spring")


@pytest.mark.parametrize(
    ("question", "message", "hint"),
    [
        ("SELECT Nuclei_AreaShape_Aera FROM nuclei", "Nuclei_AreaShape_Aera", "did you mean 'Nuclei_AreaShape_Area'?"),
        ("SELECT n.plat_id FROM nuclei n", 'Table "n" does not have a column named "plat_id"', "did you mean 'plate_id'?"),
        ("FROM nuclie", "there is no table 'nuclie'", "did you mean 'nuclei'?"),
        ("FROM wels", "there is no table 'wels'", "did you mean 'wells'?"),
        ("FROM cells", "there is no table 'cells' yet", "compute them with `cytolake transform`"),
        ("FROM something_else", "there is no table 'something_else'", "list tables with `cytolake catalog tables`"),
        ("SELECT nuclie.plate_id FROM nuclei", 'Referenced table "nuclie" not found', "did you mean 'nuclei'?"),
        (" ;", "the question is empty", "ask for example `SELECT * FROM plates`"),
        ("SELECT medain(row) FROM wells", "medain", "did you mean 'median'?"),
        ("SELECT * FROM wells WHERE row = 'x'", "Could not convert string 'x' to INT32", None),
    ],
)  # fmt: skip
def test_errors_say_what_was_meant(shared_lake: Any, question: str, message: str, hint: str | None) -> None:
    with pytest.raises(QueryError) as caught:
        shared_lake.catalog.sql(question).fetchall()
    assert message in caught.value.message
    assert caught.value.hint == hint
    assert str(caught.value).lower().count("did you mean") == str(hint).count("did you mean")
    assert "Candidate" not in caught.value.message
    assert "LINE" not in caught.value.message
    assert "Error" not in caught.value.message


@pytest.mark.parametrize(
    "question",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'",
        "FROM glob('/*')",
        "FROM read_parquet('**/*.parquet')",
        "SELECT * FROM wells, read_text('lake.toml')",
    ],
)
def test_a_question_reads_nothing_but_the_lake(
    shared_lake: Any, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shared_lake.root.url)
    with pytest.raises(QueryError):
        shared_lake.catalog.sql(question).fetchall()


def test_a_question_sees_no_python_variable(shared_lake: Any) -> None:
    secret = shared_lake.catalog.sql("FROM wells").to_arrow()
    with pytest.raises(QueryError, match="no table 'secret'"):
        shared_lake.catalog.sql("FROM secret")
    assert secret.num_rows == 6


def test_files_that_vanish_are_looked_for_once_more(lake: Any) -> None:
    """A compaction replaced the files after the question was bound to them."""
    result = lake.catalog.sql(f"SELECT count(*), sum({AREA}) FROM nuclei WHERE study_id = 'two'")
    table = next(name for name in lake.root.tables.names() if name.startswith("features/"))
    old = set((Path(lake.root.url) / "tables" / table).rglob("study_id=two/*.parquet"))
    lake.features("two", "P1", {"A01": [{AREA: 1.0}, {AREA: 2.0}, {AREA: 3.0}]})
    for file in old:
        file.unlink()
    assert result.fetchall() == [(3, 6.0)]


def test_a_file_that_is_gone_for_good_is_an_error(lake: Any) -> None:
    from cytolake.errors import StorageError

    result = lake.catalog.sql("FROM nuclei")
    for file in Path(lake.root.url).rglob("features/**/*.parquet"):
        file.unlink()
    with pytest.raises(StorageError, match="gone") as caught:
        result.fetchall()
    assert "validate" in (caught.value.hint or "")
    with pytest.raises(StorageError, match="gone"):
        lake.catalog.sql("FROM nuclei")


def test_tables_that_a_foreign_writer_changed_are_still_read_rightly(lake: Any) -> None:
    """Deletion vectors: listing the files would show the deleted row."""
    import deltalake

    uri = lake.root.storage.uri("tables/wells")
    deltalake.DeltaTable(uri).delete("well_id = 'B02'")
    assert ask(lake, "SELECT count(*) FROM wells") == [(5,)]


def test_listing_of_tables(shared_lake: Any) -> None:
    listed = {entry["name"]: entry for entry in shared_lake.catalog.tables()}
    assert listed["wells"]["rows"] == 6
    assert listed["labels"] == {"name": "labels", "kind": "table", "rows": 0, "columns": 13, "version": None}
    assert listed["nuclei"]["kind"] == "view"
    assert listed["nuclei"]["feature_sets"] == ["nuclei@1"]
    assert listed["nuclei"]["studies"] == ["one", "two"]
    feature_tables = [entry for entry in listed.values() if entry["kind"] == "features"]
    assert [entry["rows"] for entry in feature_tables] == [9]


def test_listing_of_columns(shared_lake: Any) -> None:
    columns = {entry["column"]: entry for entry in shared_lake.catalog.columns("NUCLEI")}
    assert list(columns)[:3] == ["study_id", "plate_id", "acquisition_id"]
    assert columns[AREA]["type"] == "FLOAT"
    assert columns[AREA]["unit"] == "px"
    assert columns[AREA]["description"] == f"what {AREA} means"
    assert columns["concentration_um"]["unit"] == "umol/L"
    assert {entry["table"] for entry in shared_lake.catalog.columns()} >= {"wells", "nuclei", "runs"}
    with pytest.raises(NotFoundError, match="no table 'welss'"):
        shared_lake.catalog.columns("welss")


def test_listing_of_features(shared_lake: Any) -> None:
    found = shared_lake.catalog.features("meanintensity")
    assert [entry["column"] for entry in found] == ["Nuclei_Intensity_MeanIntensity_DNA"]
    assert found[0]["feature_set"] == "nuclei@1"
    assert [entry["column"] for entry in shared_lake.catalog.features("intensity dna")] == [found[0]["column"]]
    assert shared_lake.catalog.features("no such thing") == []
    assert [entry["column"] for entry in shared_lake.catalog.features("nuclei@1 area nuclei")] == [AREA]
    assert len(shared_lake.catalog.features()) == 2
