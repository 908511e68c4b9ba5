"""Questions of a release: the tables, the registry and the views as they were, whatever came and went since."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aging import age
from cytolake.errors import NotFoundError, StorageError
from cytolake.store.commit import Commit
from cytolake.store.current import choose
from cytolake.store.maintenance import maintain
from cytolake.store.registry import feature_sets
from cytolake.store.releases import create_release, withdraw_release

AREA = "Nuclei_AreaShape_Area"
BY_PLATE = f"SELECT study_id, plate_id, count(*), sum({AREA}), min(feature_set) FROM nuclei GROUP BY ALL ORDER BY ALL"


def ask(lake: Any, question: str, as_of: str | datetime | None = None) -> list[tuple[Any, ...]]:
    return list(lake.catalog.sql(question, as_of=as_of).fetchall())


def test_views_show_what_they_showed(lake: Any) -> None:
    then = ask(lake, BY_PLATE)
    wells = ask(lake, "SELECT study_id, plate_id, well_id, compound FROM wells ORDER BY ALL")
    create_release(lake.root, "spring")
    lake.features("one", "P1", {"A01": [{AREA: 1.0}]})  # replaced
    lake.features("one", "P9", {"A01": [{AREA: 2.0}]})  # new
    lake.features("two", "P1", {"A01": [{AREA: 3.0}]}, definition={"threshold": 9})  # by a newer set
    lake.features("one", "P1", {"A01": [{"Spots_AreaShape_Area": 3.0}]}, object_set="spots", name="spots")
    lake.put("wells", {"study_id": "one", "plate_id": "P7", "well_id": "A01", "compound": "late"})
    assert ask(lake, BY_PLATE) != then
    assert ask(lake, BY_PLATE, "spring") == then
    assert ask(lake, "SELECT study_id, plate_id, well_id, compound FROM wells ORDER BY ALL", "spring") == wells
    # What was registered since is not there yet.
    assert ask(lake, "SELECT count(*) FROM feature_sets", "spring") == [(1,)]
    assert ask(lake, "SELECT count(*) FROM feature_sets") == [(3,)]
    newer = next(one for one in feature_sets(lake.root) if one.label == "nuclei@2").table("nuclei")
    assert ask(lake, f'SELECT count(*) FROM "{newer}"', "spring") == [(0,)]
    # The release itself comes after what it names.
    assert ask(lake, "SELECT count(*) FROM releases", "spring") == [(0,)]


def test_what_was_chosen_since_is_not_shown(lake: Any) -> None:
    lake.features("one", "P1", {"A01": [{AREA: 1.0}]}, definition={"threshold": 9})
    create_release(lake.root, "spring")
    shown = "SELECT DISTINCT feature_set FROM nuclei WHERE study_id = 'one'"
    assert ask(lake, shown, "spring") == [("nuclei@2",)]
    choose(lake.root, "nuclei@1", study_id="one")
    create_release(lake.root, "summer")
    assert ask(lake, shown) == [("nuclei@1",)]
    assert ask(lake, shown, "spring") == [("nuclei@2",)]
    assert ask(lake, shown, "summer") == [("nuclei@1",)]


def test_after_forty_days_and_maintenance(lake: Any) -> None:
    then = ask(lake, BY_PLATE)
    create_release(lake.root, "spring")
    between = datetime.now(UTC)
    time.sleep(0.05)
    for number in range(3):
        lake.features("one", "P1", {"A01": [{AREA: float(number)}]})
        lake.features("two", "P1", {"A01": [{AREA: float(number)}]})
        lake.wells("one", "P1", {"A01": {"compound": f"c{number}"}})
    unpinned = datetime.now(UTC)
    time.sleep(0.05)
    lake.features("one", "P1", {"A01": [{AREA: 7.0}]})
    maintain(lake.root)
    age(lake.root.url, 40)
    now = ask(lake, BY_PLATE)
    assert maintain(lake.root)["files_removed"] > 0
    assert ask(lake, BY_PLATE) == now
    assert ask(lake, BY_PLATE, "spring") == then
    # A time that happens to be the release's is whole as well; one whose files nobody pinned is not.
    assert ask(lake, BY_PLATE, between - timedelta(days=40)) == then
    with pytest.raises(StorageError, match=r"the lake as of .* cannot be answered: 1 of 3 files of table features/"):
        ask(lake, BY_PLATE, unpinned - timedelta(days=40))

    withdraw_release(lake.root, "spring", "a donor withdrew consent")
    with pytest.raises(NotFoundError, match=r"was withdrawn on .* \(a donor withdrew consent\)"):
        lake.catalog.sql(BY_PLATE, as_of="spring")


def test_unknown_names(lake: Any) -> None:
    with pytest.raises(NotFoundError, match="no release 'spring'") as raised:
        lake.catalog.sql("FROM wells", as_of="spring")
    assert "make one with `cytolake release create NAME`; or give a time" in str(raised.value.hint)
    create_release(lake.root, "spring")
    create_release(lake.root, "paper-2")
    with pytest.raises(NotFoundError, match="no release 'sprng'") as raised:
        lake.catalog.sql("FROM wells", as_of="sprng")
    assert "did you mean 'spring'? there are: spring, paper-2" in str(raised.value.hint)


def test_files_that_somebody_else_removed(lake: Any) -> None:
    create_release(lake.root, "spring")
    tables = Path(lake.root.url) / "tables"
    old = [Path(uri) for uri in lake.root.tables.open("wells").file_uris()]
    lake.wells("one", "P1", {"A01": {"compound": "new"}})
    live = {Path(uri).name for uri in lake.root.tables.open("wells").file_uris()}
    gone = [path for path in tables.glob("wells/**/*.parquet") if path.name not in live]
    assert len(gone) == 1
    assert gone[0].name in {path.name for path in old}
    gone[0].unlink()
    with pytest.raises(StorageError) as raised:
        ask(lake, BY_PLATE, "spring")
    assert "release 'spring' cannot be answered: 1 of 3 files of table wells, version" in raised.value.message
    assert "restore the files from a backup" in str(raised.value.hint)
    # What does not need the file is answered, and so is now.
    assert ask(lake, "SELECT count(*) FROM studies", "spring") == [(2,)]
    assert ask(lake, "SELECT count(*) FROM wells WHERE study_id = 'two'", "spring") == [(1,)]
    assert ask(lake, BY_PLATE)


def test_a_table_that_somebody_else_removed(lake: Any) -> None:
    with Commit(lake.root, run_id="r", app_id="x") as commit:
        commit.append("labels", lake.root.tables.schema("labels").empty_table())
        commit.commit()
    create_release(lake.root, "spring")
    folder = Path(lake.root.url) / "tables" / "wells"
    folder.rename(folder.with_name("_wells"))
    with pytest.raises(StorageError, match=r"release 'spring' cannot be answered: version .* of table wells is lost"):
        ask(lake, "FROM wells", "spring")


def test_a_release_in_a_bucket(s3_url: str, shared_lake: Any) -> None:
    from cytolake.store.root import init_root

    lake = type(shared_lake)(init_root(s3_url))
    lake.wells("one", "P1", {"A01": {"compound": "taxol"}})
    lake.features("one", "P1", {"A01": [{AREA: 5.0}]})
    create_release(lake.root, "spring")
    lake.features("one", "P1", {"A01": [{AREA: 9.0}]})
    assert ask(lake, f"SELECT compound, {AREA} FROM nuclei", "spring") == [("taxol", 5.0)]
    table = feature_sets(lake.root)[0].table("nuclei")
    live = {uri.rpartition("/")[2] for uri in lake.root.tables.open(table).file_uris()}
    for path in lake.root.storage.list(f"tables/{table}"):
        if path.endswith(".parquet") and path.rpartition("/")[2] not in live:
            lake.root.storage.delete(path)
    with pytest.raises(StorageError, match="release 'spring' cannot be answered: 1 of 1 files"):
        ask(lake, f"SELECT {AREA} FROM nuclei", "spring")
    assert ask(lake, f"SELECT {AREA} FROM nuclei") == [(9.0,)]
