"""Small tables are asked first: which files are left, which rows come, and when nobody is asked."""

# ruff: noqa: E501 - a question is read best on one line
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cytolake.catalog import semijoin

AREA = "Nuclei_AreaShape_Area"
KEY = "study_id, plate_id, well_id"


@pytest.fixture(scope="module")
def screen(bare_lake: Callable[[], Any]) -> Any:
    """Two studies with three plates each of three wells; compound c1 is on one plate of each, c2 on S1/P3, once in lower case."""
    lake = bare_lake()
    lake.put("studies", {"study_id": "S1", "title": "Nuclei of U2OS"}, {"study_id": "S2", "title": "Others"})
    for study in ("S1", "S2"):
        for plate in ("P1", "P2", "P3"):
            second: dict[str, Any] = {"compound": "c1"} if plate == "P1" else {"gene": "ECT2"}
            third: dict[str, Any] = (
                {"compound": "C2", "concentration_um": 1.5} if (study, plate) == ("S1", "P3") else {}
            )
            lake.wells(study, plate, {"A01": {"control_type": "negative_vehicle"}, "A02": second, "A03": third})
            wells = {well: [{AREA: 10.0 * number + int(plate[1])}] for number, well in enumerate(("A01", "A02", "A03"))}
            lake.features(study, plate, wells)
    for plate, barcode in (("P1", "B1"), ("P2", "B2"), ("P3", None)):
        lake.put(
            "plates",
            {"study_id": "S2", "plate_id": plate, "barcode": barcode},
            key={"study_id": "S2", "plate_id": plate},
        )
    return lake


def opened(result: Any) -> int:
    return int(sum(scan.files_opened for scan in result.scans if scan.table.startswith("features/")))


@pytest.mark.parametrize(
    ("question", "files"),
    [
        (f"SELECT * FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound = 'C2'", 1),
        (f"FROM nuclei JOIN wells w USING ({KEY}) WHERE w.compound = 'c1'", 2),
        (f"FROM wells w JOIN nuclei n USING ({KEY}) WHERE w.compound = 'C2'", 1),
        (f"FROM nuclei n LEFT JOIN wells w USING ({KEY}) WHERE w.compound = 'C2'", 1),
        (f"FROM wells w LEFT JOIN nuclei n USING ({KEY}) WHERE w.compound = 'C2'", 1),
        ("SELECT * FROM nuclei n, wells w WHERE n.study_id = w.study_id AND n.plate_id = w.plate_id AND w.compound = 'C2'", 1),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound = 'nothing'", 0),
        # conditions that are no bounds
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE lower(w.compound) = 'c2'", 1),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound LIKE '_2'", 1),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound ILIKE 'c2'", 1),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound IS NOT NULL", 4),  # both studies have a P1, one has a P3
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound IS NOT NULL AND w.compound NOT IN ('c1')", 1),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.concentration_um > 1", 1),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound = 'C2' OR w.concentration_um = 7", 1),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.concentration_um::INTEGER::VARCHAR = '2'", 1),
        ("FROM nuclei n JOIN wells w ON n.study_id = w.study_id AND n.plate_id = w.plate_id AND w.compound = 'C2'", 1),
        # subqueries
        ("FROM nuclei WHERE (study_id, plate_id) IN (SELECT study_id, plate_id FROM wells WHERE compound = 'C2')", 1),
        ("FROM nuclei WHERE study_id = 'S2' AND plate_id IN (SELECT plate_id FROM wells WHERE compound = 'C2')", 1),
        ("FROM nuclei WHERE study_id = 'S2' AND plate_id = (SELECT max(plate_id) FROM wells WHERE compound = 'c1')", 3),
        ("FROM nuclei WHERE study_id = 'S2' AND plate_id = (SELECT plate_id FROM wells WHERE compound = 'C2')", 1),
        ("FROM nuclei n WHERE EXISTS (FROM wells w WHERE w.study_id = n.study_id AND w.plate_id = n.plate_id AND w.compound = 'C2')", 1),
        ("FROM nuclei n SEMI JOIN wells w ON w.study_id = n.study_id AND w.plate_id = n.plate_id AND w.compound = 'C2'", 1),
        (f"FROM nuclei SEMI JOIN (FROM wells WHERE compound = 'C2') USING ({KEY})", 1),
        # table expressions, views and macros
        (f"WITH hit AS (SELECT DISTINCT {KEY} FROM wells WHERE compound = 'C2') FROM nuclei JOIN hit USING ({KEY})", 1),
        ("WITH hit AS (SELECT study_id, plate_id, count(*) AS n FROM wells WHERE compound = 'c1' GROUP BY ALL HAVING n > 0 ORDER BY n LIMIT 9) FROM nuclei JOIN hit USING (study_id, plate_id)", 2),
        ("WITH hit AS (FROM wells WHERE compound = 'C2' UNION ALL FROM wells WHERE gene = 'none') FROM nuclei JOIN hit USING (study_id, plate_id)", 1),
        (f"FROM well_profiles(nuclei) p JOIN wells w USING ({KEY}) WHERE w.compound = 'C2'", 1),
        (f"FROM nuclei n JOIN controls c USING ({KEY}) WHERE c.plate_id = 'P1' AND c.study_id = 'S1'", 1),
        # chains, and other tables
        ("FROM studies JOIN plates USING (study_id) JOIN nuclei USING (study_id, plate_id) WHERE title LIKE '%U2OS'", 3),
        ("FROM nuclei n JOIN plates p USING (study_id, plate_id) WHERE p.barcode = 'B2'", 1),
        ("FROM nuclei n JOIN plates p USING (study_id, plate_id) JOIN studies s USING (study_id) WHERE p.barcode IS NOT NULL AND s.title = 'Others'", 2),
        ("SELECT n.* FROM studies s JOIN plates p USING (study_id) JOIN nuclei n ON n.plate_id = p.plate_id AND n.study_id = 'S1' WHERE p.barcode = 'B2'", 1),
        ("FROM nuclei n LEFT JOIN plates p USING (study_id, plate_id) WHERE p.barcode >= 'B2'", 1),
        # nothing may be left out
        ("FROM nuclei n LEFT JOIN wells w ON n.plate_id = w.plate_id AND w.compound = 'C2'", 6),
        ("FROM nuclei n ANTI JOIN wells w ON n.plate_id = w.plate_id AND w.compound = 'C2'", 6),
        (f"FROM nuclei n FULL JOIN wells w USING ({KEY}) WHERE w.compound = 'C2' OR n.{AREA} > 0", 6),
        (f"FROM nuclei n LEFT JOIN wells w USING ({KEY}) WHERE w.compound IS NULL", 6),
        ("FROM nuclei WHERE plate_id NOT IN (SELECT plate_id FROM wells WHERE compound = 'C2')", 6),
        ("FROM nuclei n WHERE NOT EXISTS (FROM wells w WHERE w.plate_id = n.plate_id AND w.compound = 'C2')", 6),
        ("FROM nuclei n WHERE EXISTS (SELECT count(*) FROM wells w WHERE w.plate_id = n.plate_id AND w.compound = 'C2')", 6),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound = 'C2' OR n.{AREA} > 20", 6),
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound = 'C2' OR random() < 2", 6),
        ("FROM nuclei n JOIN wells w ON upper(n.plate_id) = w.plate_id WHERE w.compound = 'C2'", 6),
    ],
)  # fmt: skip
def test_files_and_rows(screen: Any, question: str, files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    result = screen.catalog.sql(question)
    assert opened(result) == files
    monkeypatch.setattr("cytolake.catalog.query.plan", lambda tree, columns, small: _no_plan(columns))
    assert Counter(map(repr, result.fetchall())) == Counter(map(repr, screen.catalog.sql(question).fetchall()))


def _no_plan(columns: Any) -> Any:
    from cytolake.catalog.planner import Plan

    return Plan({name: {} for name in columns}, {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The relations that were asked first."""
    found: list[str] = []
    really = semijoin.SmallTables._ask

    def ask(self: Any, relation: Any, *rest: Any) -> Any:
        found.append(relation.name)
        return really(self, relation, *rest)

    monkeypatch.setattr(semijoin.SmallTables, "_ask", ask)
    return found


@pytest.mark.parametrize(
    ("question", "tables"),
    [
        ("FROM nuclei WHERE plate_id = 'P1'", []),
        (f"FROM nuclei JOIN wells USING ({KEY})", []),
        (f"FROM nuclei JOIN wells w USING ({KEY}) WHERE w.plate_id = 'P1'", []),  # says it of both
        (f"FROM nuclei n JOIN wells w USING ({KEY}) WHERE w.compound = 'c1' AND n.study_id = 'S1' AND n.plate_id = 'P2'", []),  # one file is left
        ("FROM plates JOIN studies USING (study_id) WHERE title = 'Others' AND plate_id = 'P1' AND study_id = 'S1'", []),
        (f"FROM nuclei JOIN wells w USING ({KEY}) WHERE w.compound = 'c1'", ["wells"]),
        (f"WITH n AS (FROM nuclei JOIN wells w USING ({KEY}) WHERE w.compound = 'c1') SELECT * FROM n a, n b", ["wells"]),
    ],
)  # fmt: skip
def test_nobody_is_asked_for_nothing(screen: Any, asked: list[str], question: str, tables: list[str]) -> None:
    screen.catalog.sql(question)
    assert asked == tables


def test_more_values_than_are_worth_listing(screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    question = f"FROM nuclei JOIN wells w USING ({KEY}) WHERE w.compound IS NOT NULL AND study_id = 'S1'"
    assert opened(screen.catalog.sql(question)) == 2
    monkeypatch.setattr(semijoin, "MANY_VALUES", 1)
    assert opened(screen.catalog.sql(question)) == 3


def test_large_tables_are_not_asked(screen: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semijoin, "MANY_ROWS", 5)
    assert opened(screen.catalog.sql(f"FROM nuclei JOIN wells w USING ({KEY}) WHERE w.compound = 'C2'")) == 6
    assert asked == []


def test_a_condition_that_fails_for_some_rows_is_the_questions_own_business(screen: Any) -> None:
    # The cast fails for c1, which the question itself never meets.
    question = f"SELECT count(*) FROM nuclei JOIN wells w USING ({KEY}) WHERE w.gene = 'none' AND substr(w.compound, 1)::INTEGER = 1"
    assert screen.catalog.sql(question).fetchall() == [(0,)]


def test_nothing_outside_the_lake_is_read_by_conditions(screen: Any, tmp_path: Path) -> None:
    from cytolake.errors import QueryError

    secret = tmp_path / "secret.txt"
    secret.write_text("C2")
    question = f"FROM nuclei JOIN wells w USING ({KEY}) WHERE w.compound = (SELECT content FROM read_text('{secret}'))"
    with pytest.raises(QueryError):
        screen.catalog.sql(question).fetchall()


def test_attached_tables_choose_files_too(screen: Any, tmp_path: Path) -> None:
    import pyarrow as pa
    from cytolake.catalog.attachments import attach, detach
    from deltalake import write_deltalake

    hits = pa.table({"plate": ["P3", "P1"], "study": ["S1", "S2"], "score": [0.9, 0.1]})
    write_deltalake(str(tmp_path / "hits"), hits)
    attach(screen.root, str(tmp_path / "hits"), name="hits")
    try:
        question = "FROM nuclei n JOIN hits h ON n.plate_id = h.plate AND n.study_id = h.study WHERE h.score > 0.5"
        result = screen.catalog.sql(question)
        assert opened(result) == 1
        assert len(result.fetchall()) == 3
        assert (
            opened(screen.catalog.sql("FROM nuclei WHERE plate_id IN (SELECT plate FROM hits WHERE score > 0.5)")) == 2
        )
    finally:
        detach(screen.root, "hits")


def test_two_tables_of_which_no_file_is_left_are_asked(screen: Any) -> None:
    question = """
        SELECT count(*) FROM nuclei n JOIN wells w USING (study_id) WHERE w.plate_id > 'Z' AND w.compound = 'c1'
        UNION ALL SELECT count(*) FROM nuclei n JOIN plates p USING (study_id) WHERE p.plate_id > 'Z'"""
    assert screen.catalog.sql(question).fetchall() == [(0,), (0,)]
