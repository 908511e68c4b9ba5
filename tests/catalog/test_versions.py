"""Versions of single tables: ``--as-of wells@3,plates@7``, or the number alone."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from cytolake.errors import CytolakeError, NotFoundError, QueryError
from cytolake.store.releases import create_release


def ask(lake: Any, question: str, as_of: Any = None) -> list[tuple[Any, ...]]:
    return list(lake.catalog.sql(question, as_of=as_of).fetchall())


WELLS = "SELECT count(*) FROM wells"


def test_a_number_is_a_version_of_the_table_that_is_asked(shared_lake: Any) -> None:
    now = ask(shared_lake, WELLS)[0][0]
    version = shared_lake.catalog.sql("FROM wells").scans[0].version
    rows = [ask(shared_lake, WELLS, number)[0][0] for number in range(version + 1)]
    assert rows[-1] == now
    assert rows[1] < rows[2] < rows[3]
    assert ask(shared_lake, WELLS, "2") == ask(shared_lake, WELLS, 2) == [(rows[2],)]
    assert ask(shared_lake, "FROM wells WHERE plate_id = 'P2'", "1") == []
    assert shared_lake.catalog.sql("FROM wells", as_of=2).scans[0].version == 2
    assert shared_lake.catalog.explain("FROM wells", as_of="2")["scans"][0]["version"] == 2
    assert shared_lake.catalog.table("wells", as_of=2).to_arrow().num_rows == rows[2]


def test_tables_are_pinned_by_name_and_the_others_are_as_now(shared_lake: Any) -> None:
    question = "SELECT (SELECT count(*) FROM wells), (SELECT count(*) FROM plates)"
    ((wells, plates),) = ask(shared_lake, question)
    ((then,),) = ask(shared_lake, WELLS, 1)
    assert ask(shared_lake, question, "wells@1") == [(then, plates)]
    assert ask(shared_lake, question, "Wells@1, plates@2") == [(then, plates - 1)]
    assert ask(shared_lake, question, "studies@0") == [(wells, plates)]


def test_a_view_is_joined_to_the_pinned_wells(lake: Any) -> None:
    version = lake.catalog.sql("FROM wells").scans[0].version
    lake.wells("one", "P2", {"A01": {"compound": "later"}})
    question = "SELECT DISTINCT compound FROM nuclei WHERE plate_id = 'P2' AND well_id = 'A01'"
    assert ask(lake, question) == [("later",)]
    assert ask(lake, question, f"wells@{version}") == [(None,)]


def test_tables_of_features_have_versions(lake: Any) -> None:
    table = next(name for name in lake.root.tables.names() if name.startswith("features/"))
    ((now,),) = ask(lake, f'SELECT count(*) FROM "{table}"')
    ((then,),) = ask(lake, f'SELECT count(*) FROM "{table}"', "2")
    assert 0 < then < now
    assert ask(lake, f'SELECT count(*) FROM "{table}"', f"{table}@2") == [(then,)]


def test_a_release_that_is_called_like_a_number_is_a_release(lake: Any) -> None:
    create_release(lake.root, "2")
    now = ask(lake, WELLS)
    lake.wells("two", "P5", {"A01": {}})
    assert ask(lake, WELLS, "2") == now
    assert ask(lake, WELLS, 2) != now


@pytest.mark.parametrize(
    ("question", "as_of", "kind", "message", "hint"),
    [
        ("FROM wells JOIN plates USING (plate_id)", "3", QueryError, "reads plates, wells", "wells@3,plates@7"),
        ("SELECT 1", "3", QueryError, "reads none", "wells@3,plates@7"),
        ("FROM nuclei", 1, QueryError, "nuclei is a view", "wells@3,plates@7"),
        ("FROM nuclei", "nuclei@1", QueryError, "nuclei is a view", "wells@3,plates@7"),
        ("FROM controls", "controls@1", QueryError, "controls is a view", "wells@3,plates@7"),
        ("FROM wells", "99", NotFoundError, "table wells has no version 99", "its newest version is"),
        ("FROM wells", "wells@99", NotFoundError, "table wells has no version 99", "its newest version is"),
        ("FROM images", "1", NotFoundError, "nothing has been written to table images", "leave out"),
        ("FROM wells", "wels@1", NotFoundError, "no table 'wels'", "did you mean 'wells'?"),
        ("FROM wells", "wells@1,wells@2", QueryError, "a table has one version", "once"),
        ("FROM wells", -1, QueryError, "-1 is no version", "counted from 0"),
        ("FROM wells", "spring", NotFoundError, "no release 'spring'", "wells@3,plates@7"),
    ],
)
def test_what_is_no_version_is_told(
    shared_lake: Any, question: str, as_of: Any, kind: type[CytolakeError], message: str, hint: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        shared_lake.catalog.sql(question, as_of=as_of)
    assert hint in str(caught.value.hint)


def test_days_are_times_and_other_things_are_told(shared_lake: Any) -> None:
    assert shared_lake.catalog.sql("SELECT count(*) FROM wells", as_of=date(2000, 1, 1)).fetchall() == [(0,)]
    for wrong in (3.5, b"x", ["wells@1"]):
        with pytest.raises(QueryError, match="is no moment"):
            shared_lake.catalog.sql("SELECT count(*) FROM wells", as_of=wrong)
