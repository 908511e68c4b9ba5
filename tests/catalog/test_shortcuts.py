"""Answers from the log are those that the files give; what the log does not know is read."""

from __future__ import annotations

from typing import Any

import pytest
from cytolake.catalog.moment import Moment
from cytolake.catalog.result import Result

FROM_LOG = [
    "SELECT count(*) FROM nuclei",
    "SELECT COUNT(*) AS n FROM nuclei AS x",
    "SELECT min(plate_id), max(plate_id), max(object_id), min(well_id) FROM nuclei",
    "SELECT study_id, count(*) FROM nuclei GROUP BY study_id ORDER BY study_id",
    "SELECT study_id, plate_id, count(*), max(object_id) AS last FROM nuclei GROUP BY ALL ORDER BY 1, 2",
    "SELECT count(*), min(well_id) FROM nuclei WHERE study_id = 'one'",
    "SELECT count(*), min(well_id) FROM nuclei WHERE plate_id = 'P1'",
    "SELECT count(*) FROM nuclei WHERE plate_id = 'P1' AND (study_id = 'one' OR study_id LIKE 't%')",
    "SELECT count(*), max(plate_id) FROM nuclei WHERE plate_id = 'nowhere'",
    "SELECT count(*) FROM nuclei WHERE plate_id = 'P1' AND plate_id = 'P2'",
    "SELECT feature_set, count(*) FROM nuclei GROUP BY feature_set ORDER BY feature_set",
    "SELECT study_id FROM nuclei GROUP BY study_id HAVING count(*) > 2 ORDER BY 1",
    "SELECT study_id, count(*) AS n FROM nuclei GROUP BY 1 ORDER BY n DESC LIMIT 1",
    "SELECT count(*) FROM wells",
    "SELECT max(run_id), count(*) FROM wells WHERE study_id IN ('one', 'three')",
    "SELECT count(*) FROM studies",
    "SELECT min(well_id), max(well_id) FROM wells WHERE plate_id BETWEEN 'P1' AND 'P2'",
]
FROM_FILES = [
    "SELECT count(*) FROM nuclei WHERE well_id = 'A01'",
    "SELECT count(compound) FROM nuclei",
    "SELECT count(*) FROM nuclei WHERE compound = 'nocodazole'",
    "SELECT min(compound) FROM nuclei",
    "SELECT max(Nuclei_AreaShape_Area) FROM nuclei",
    "SELECT count(*) FROM nuclei WHERE NOT excluded",
    "SELECT count(DISTINCT plate_id) FROM nuclei",
    "SELECT count(*) FILTER (plate_id = 'P1') FROM nuclei",
    "SELECT DISTINCT study_id FROM nuclei ORDER BY 1",
    "SELECT count(*) FROM nuclei n JOIN studies s USING (study_id)",
    "SELECT count(*) OVER () FROM nuclei GROUP BY study_id",
    "SELECT count(*) FROM (SELECT * FROM nuclei)",
    "SELECT plate_id FROM nuclei ORDER BY 1",
    "WITH nuclei AS (SELECT 1 AS x) SELECT count(*) FROM nuclei",
    "SELECT max(title) FROM studies",
    "SELECT count(*) FROM nuclei USING SAMPLE 2 ROWS",
]


def from_files(lake: Any, question: str) -> Result:
    """Ask without the shortcut."""
    moment = Moment(lake.root)
    return Result(question, lambda: lake.catalog._prepare_of(question, moment, whole=True))


def is_from_log(result: Result) -> bool:
    return any(scan.from_log for scan in result.scans)


@pytest.mark.parametrize("question", FROM_LOG)
def test_the_log_gives_what_the_files_give(shared_lake: Any, question: str) -> None:
    result, read = shared_lake.catalog.sql(question), from_files(shared_lake, question)
    assert is_from_log(result)
    assert not is_from_log(read)
    assert result.to_arrow().equals(read.to_arrow())
    assert (result.columns, result.types) == (read.columns, read.types)


@pytest.mark.parametrize("question", FROM_FILES)
def test_the_rest_is_read(shared_lake: Any, question: str) -> None:
    result = shared_lake.catalog.sql(question)
    assert not is_from_log(result)
    if "SAMPLE" not in question:
        assert result.to_arrow().equals(from_files(shared_lake, question).to_arrow())


def test_only_files_with_excluded_wells_are_opened_and_these_once(lake: Any) -> None:
    catalog = lake.catalog

    def opened() -> dict[str, int]:
        return {scan.relation.partition("/")[0]: scan.files_opened for scan in catalog.sql(FROM_LOG[0]).scans}

    assert opened() == {"wells of nuclei": 3, "features": 1}
    assert opened() == {"wells of nuclei": 0, "features": 0}
    lake.features("two", "P3", {"A01": [{"Nuclei_AreaShape_Area": 1.0}]})
    assert opened() == {"wells of nuclei": 0, "features": 0}
    assert catalog.sql(FROM_LOG[0]).fetchall() == [(9,)]


def test_a_well_that_is_excluded_later_counts_no_more(lake: Any) -> None:
    question = "SELECT study_id, count(*), max(object_id), max(well_id) FROM nuclei GROUP BY ALL ORDER BY 1"
    before = lake.catalog.sql(question)
    assert is_from_log(before)
    assert before.fetchall() == [("one", 6, 2, "H12"), ("two", 2, 2, "A01")]
    lake.wells("two", "P1", {"A01": {"compound": "nocodazole", "excluded": True}})
    after = lake.catalog.sql(question)
    assert is_from_log(after)
    assert after.fetchall() == from_files(lake, question).fetchall() == [("one", 6, 2, "H12")]


def test_compacted_and_mixed_files(lake: Any) -> None:
    """Where a file has several plates, the log still counts, but does not say how many rows a plate has."""
    from cytolake.store.compaction import compact

    for plate in ("P4", "P5", "P6"):
        lake.wells("one", plate, {"A01": {}, "A02": {"excluded": plate == "P5"}})
    compact(lake.root, "wells", run_id="r9999")
    asked = {
        "SELECT count(*), min(plate_id) FROM wells": True,
        "SELECT count(*) FROM wells WHERE plate_id = 'P4'": False,
        "SELECT plate_id, count(*) FROM wells GROUP BY plate_id ORDER BY 1": False,
    }
    for question, shortcut in asked.items():
        result = lake.catalog.sql(question)
        assert is_from_log(result) == shortcut
        assert result.fetchall() == from_files(lake, question).fetchall()


def test_what_follows_an_answer_from_the_log(lake: Any, tmp_path: Any) -> None:
    """Asking again, the schema and files work; another question of the same answer sees the same versions."""
    result = lake.catalog.sql("SELECT count(*) AS n FROM nuclei")
    assert result.schema().names == ["n"]
    lake.features("two", "P3", {"A01": [{"Nuclei_AreaShape_Area": 1.0}]})
    assert result.again("SELECT count(*) AS n FROM nuclei").fetchall() == [(8,)]
    assert result.fetchall() == [(8,)]
    assert result.write(tmp_path / "n.parquet") == 1


def test_the_past_is_read(lake: Any) -> None:
    result = lake.catalog.sql("SELECT count(*) FROM nuclei", as_of="2100-01-01")
    assert not is_from_log(result)
    assert result.fetchall() == [(8,)]
