"""What ``--explain`` says: files, and the reason in words."""

# ruff: noqa: E501 - a question is read best on one line
from __future__ import annotations

from typing import Any

import pytest
from cytolake.errors import QueryError

KEY = "study_id, plate_id, well_id"


def because(lake: Any, question: str) -> dict[str, str]:
    found = lake.catalog.explain(question)["scans"]
    return {"objects" if one["table"].startswith("features/") else one["relation"]: one["because"] for one in found}


@pytest.mark.parametrize(
    ("question", "relation", "reason"),
    [
        ("FROM wells WHERE plate_id = 'P1'", "wells", "plate_id = 'P1'"),
        ("FROM wells WHERE plate_id IN ('P1', 'P2')", "wells", "plate_id in ('P1', 'P2')"),
        ("FROM wells WHERE plate_id >= 'P1' AND plate_id < 'P3' AND study_id = 'one'", "wells", "plate_id < 'P3' and plate_id >= 'P1' and study_id = 'one'"),
        ("FROM wells WHERE plate_id LIKE 'P%'", "wells", "plate_id < 'Q' and plate_id >= 'P'"),
        ("FROM nuclei WHERE plate_id = 'P1'", "objects", "plate_id = 'P1'"),
        ("FROM nuclei WHERE plate_id = 'P1'", "wells of nuclei", "plate_id = 'P1'"),
        ("FROM nuclei WHERE plate_id = 'P1'", "images of nuclei", "nothing has been written to it"),
        ("FROM nuclei WHERE compound = 'taxol'", "objects", "compound = 'taxol'"),
        ("FROM nuclei n SEMI JOIN wells w ON n.plate_id = w.plate_id AND w.compound = 'taxol'", "objects", "plate_id among 1 plate of wells where compound = 'taxol'"),
        ("FROM nuclei n SEMI JOIN wells w ON n.plate_id = w.plate_id AND lower(w.compound) <> 'x'", "objects", "plate_id among 2 plates of wells where lower(compound) <> 'x'"),
        ("FROM nuclei WHERE (study_id, plate_id) IN (SELECT study_id, plate_id FROM wells WHERE compound LIKE 'noc%')", "objects", "study_id among 2 studies, plate_id among 1 plate of wells where compound LIKE 'noc%'"),
        ("SELECT count(*) FROM wells", "wells", "answered from the log"),
        ("SELECT count(*) FROM wells WHERE plate_id = 'P1'", "wells", "answered from the log, plate_id = 'P1'"),
        # nothing known
        ("FROM wells", "wells", "nothing known: no condition on its columns"),
        ("FROM wells WHERE compound = 'taxol'", "wells", "nothing known: files cannot be chosen by compound"),
        ("FROM wells WHERE plate_id = 'P1' OR compound = 'x'", "wells", "nothing known: an OR with another column: plate_id = 'P1' OR compound = 'x'"),
        ("FROM wells WHERE upper(plate_id) = 'P1'", "wells", "nothing known: a function on the column: upper(plate_id) = 'P1'"),
        ("FROM wells WHERE plate_id <> 'P1'", "wells", "nothing known: a condition on what it is not: plate_id <> 'P1'"),
        ("FROM wells WHERE plate_id = 1", "wells", "nothing known: a column is compared with a value of another type"),
        ("FROM wells TABLESAMPLE 50%", "wells", "nothing known: a join or a sample that is not followed"),
        ("DESCRIBE wells", "wells", "nothing known: the question is not a plain SELECT"),
        ("SELECT * FROM wells a, wells b WHERE a.plate_id = 'P1'", "wells", "nothing known: no condition on its columns"),
    ],
)  # fmt: skip
def test_reasons(shared_lake: Any, question: str, relation: str, reason: str) -> None:
    assert because(shared_lake, question)[relation] == reason


def test_files_are_counted(shared_lake: Any) -> None:
    (scan,) = shared_lake.catalog.explain("FROM wells WHERE plate_id = 'P2'")["scans"]
    assert scan == {
        "relation": "wells",
        "table": "wells",
        "version": 3,
        "files_considered": 3,
        "files_pruned": 2,
        "files_opened": 1,
        "because": "plate_id = 'P2'",
    }


def test_macros_and_views_are_named(shared_lake: Any) -> None:
    assert shared_lake.catalog.explain("FROM well_profiles(nuclei) JOIN controls USING (well_id)")["macros"] == [
        "controls",
        "well_profiles",
    ]
    assert shared_lake.catalog.explain("FROM wells")["macros"] == []


@pytest.mark.parametrize(
    "question",
    ["EXPLAIN FROM wells", "EXPLAIN ANALYZE SELECT 1", "EXPLAIN ANALYZE INSERT INTO wells SELECT * FROM wells"],
)
def test_the_word_explain_is_no_question(shared_lake: Any, question: str) -> None:
    for ask in (shared_lake.catalog.sql, shared_lake.catalog.explain):
        with pytest.raises(QueryError, match="EXPLAIN is not asked in SQL") as caught:
            ask(question)
        assert "--explain" in str(caught.value.hint)
