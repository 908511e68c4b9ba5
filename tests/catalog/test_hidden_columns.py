"""Columns that a question uses without their names are there: a table is not narrowed to what can be read."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("SELECT well_id FROM wells AS w(well_id) GROUP BY 1 ORDER BY 1", ["one", "two"]),
        ("SELECT c FROM wells AS w(a, b, c) GROUP BY 1 ORDER BY 1", ["A01", "A02", "A03", "B02"]),
        ("SELECT count(*) > 10 FROM (DESCRIBE wells)", [True]),
        ("SELECT count(*) > 10 FROM (SUMMARIZE wells)", [True]),
        ("SELECT count(*) > 10 FROM (SHOW wells)", [True]),
    ],
)
def test_columns_by_place_and_of_descriptions(shared_lake: Any, question: str, expected: list[object]) -> None:
    assert [row[0] for row in shared_lake.catalog.sql(question).fetchall()] == expected
