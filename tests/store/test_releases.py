"""Releases: one moment of all tables, for ever; what changed between two; what is said where one is not whole."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidDataError,
    NotFoundError,
    StorageError,
    UsageError,
)
from cytolake.schemas.tables import arrow_schema
from cytolake.store import commit as commit_module
from cytolake.store import release_diff
from cytolake.store import releases as releases_module
from cytolake.store.check import validate
from cytolake.store.commit import Commit
from cytolake.store.compaction import compact
from cytolake.store.current import choose
from cytolake.store.lineage import Run
from cytolake.store.registry import register
from cytolake.store.release_diff import diff_releases
from cytolake.store.release_files import check_release, list_releases, show_release
from cytolake.store.releases import create_release, find_release, releases, withdraw_release
from cytolake.store.root import LakeRoot, init_root, open_root
from cytolake.store.scan import file_paths

Rows = Callable[..., pa.Table]
NUCLEI = "features/nuclei/0123abcd/nuclei"
CELLS = "features/nuclei/0123abcd/cells"
AREA = "Nuclei_AreaShape_Area"


def put(lake: LakeRoot, table: str, rows: pa.Table, *, key: Mapping[str, str], run_id: str = "run-1") -> None:
    with Commit(lake, run_id=run_id, app_id=f"test/{table}/{key}") as commit:
        commit.replace(table, key, rows)
        commit.commit()


def declared(table: str, *records: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([dict(record) for record in records], schema=arrow_schema(table))


def plate_row(plate_id: str, run_id: str = "run-1") -> pa.Table:
    row = {
        "study_id": "pilot",
        "plate_id": plate_id,
        "n_rows": 8,
        "n_columns": 12,
        "status": "ok",
        "run_id": run_id,
    }
    return declared("plates", row)


def add_plate(lake: LakeRoot, wells: Rows, objects: Rows, plate_id: str, run_id: str, n: int = 3, **more: Any) -> None:
    """One commit over three tables, as a verb makes it, with its run."""
    key = {"study_id": "pilot", "plate_id": plate_id}
    run = Run.start("transform", study_id="pilot", plate_ids=[plate_id])
    run.run_id = run_id
    with Commit(lake, run_id=run_id, app_id=f"plate/pilot/{plate_id}") as commit:
        commit.replace("plates", key, plate_row(plate_id, run_id))
        commit.replace("wells", key, wells(plate_id, n, run_id=run_id))
        commit.replace(NUCLEI, key, objects(plate_id, n, run_id=run_id, **more))
        commit.append("runs", run.record("ok"))
        commit.commit()


def files(lake: LakeRoot, table: str) -> list[Path]:
    folder = Path(lake.url) / "tables" / table
    return [folder / path for path in file_paths(lake.tables.open(table))]


@pytest.fixture
def filled(lake: LakeRoot, wells: Rows, objects: Rows) -> LakeRoot:
    add_plate(lake, wells, objects, "P1", "run-1")
    add_plate(lake, wells, objects, "P2", "run-2")
    return lake


def test_a_release_names_all_tables_and_what_they_hold(filled: LakeRoot) -> None:
    made = create_release(filled, "spring", "what the paper used")
    assert made["tables"] == {table: filled.tables.version(table) for table in ("plates", "wells", NUCLEI)} | {
        "runs": made["tables"]["runs"]
    }
    (release,) = releases(filled)
    assert (release.name, release.note, release.withdrawn) == ("spring", "what the paper used", False)
    assert (release.pins["wells"].rows, release.pins["wells"].files) == (6, 2)
    assert (made["rows"], made["warnings"]) == (2 + 6 + 6 + 2, [])
    # The record of the making is not part of it: it comes after.
    assert filled.tables.read("runs", version=made["tables"]["runs"]).num_rows == 2
    run = filled.tables.read("runs", where={"run_id": made["run_id"]}).to_pylist()[0]
    assert {(one["name"], one["version"]) for one in run["inputs"]} == set(made["tables"].items())


def test_what_a_release_names_does_not_change(filled: LakeRoot, wells: Rows, objects: Rows) -> None:
    create_release(filled, "spring")
    add_plate(filled, wells, objects, "P1", "run-3", 5)
    add_plate(filled, wells, objects, "P3", "run-4")
    version = find_release(filled, "spring").pins[NUCLEI].version
    assert sorted(filled.tables.read(NUCLEI, version=version)["run_id"].to_pylist()) == ["run-1"] * 3 + ["run-2"] * 3
    create_release(filled, "summer")
    assert [one.name for one in releases(filled)] == ["spring", "summer"]
    assert "releases" in find_release(filled, "summer").pins


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("spring", AlreadyExistsError, "there is a release 'spring' already"),
        ("2026-03-01", UsageError, "could be a time"),
        ("20260301", UsageError, "could be a time"),
        ("2026-03-01T12:00", UsageError, "could be a time"),
        ("now", UsageError, "means the newest versions"),
        ("a/b", InvalidDataError, "cannot be the identifier of a release"),
    ],
)
def test_names_that_cannot_be(filled: LakeRoot, name: str, error: type[Exception], message: str) -> None:
    create_release(filled, "spring")
    with pytest.raises(error, match=message) if name != "2026-03-01T12:00" else pytest.raises(InvalidDataError):
        create_release(filled, name)
    assert len(releases(filled)) == 1


def test_an_empty_lake_has_nothing_to_release(lake: LakeRoot) -> None:
    with pytest.raises(InvalidDataError, match="no tables yet"):
        create_release(lake, "spring")
    assert lake.tables.names() == []


def test_a_commit_that_was_interrupted_is_whole_in_the_release(
    filled: LakeRoot, wells: Rows, objects: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "apply", killed)
        with pytest.raises(KeyboardInterrupt):
            add_plate(filled, wells, objects, "P3", "run-3")
    assert filled.storage.list("tables/_journal")
    made = create_release(filled, "spring")
    for table in ("plates", "wells", NUCLEI):
        rows = filled.tables.read(table, version=made["tables"][table])
        assert "run-3" in rows["run_id"].to_pylist(), table


def generations_stay_together(lake: LakeRoot, names: list[str], pause: float) -> None:
    """Make releases while somebody commits to two tables; no release may lie between the two."""
    stop = threading.Event()

    def write() -> None:
        generation = 0
        while not stop.is_set():
            generation += 1
            rows = pa.table({"study_id": ["s"], "plate_id": ["P"], "run_id": [f"run-{generation}"]})
            with Commit(lake, run_id=f"run-{generation}", app_id="plate/s/P") as commit:
                for table in (NUCLEI, CELLS):
                    commit.replace(table, {"study_id": "s", "plate_id": "P"}, rows)
                commit.commit()
            time.sleep(pause)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            while not lake.tables.exists(CELLS) and not writer.done():
                time.sleep(0.01)
            for name in names:
                create_release(lake, name)
        finally:
            stop.set()
        writer.result()
    for release in releases(lake):
        runs = [lake.tables.read(table, version=release.pins[table].version)["run_id"] for table in (NUCLEI, CELLS)]
        assert runs[0] == runs[1], release.name


def test_no_commit_lies_half_inside(lake: LakeRoot) -> None:
    generations_stay_together(lake, [f"r-{number}" for number in range(4)], 0.0)


@pytest.mark.slow
def test_no_commit_lies_half_inside_where_there_are_no_locks(s3_url: str) -> None:
    generations_stay_together(init_root(s3_url), ["first", "second", "third"], 1.0)


def test_without_locks_a_release_waits_for_a_journal(s3_url: str, wells: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = init_root(s3_url)
    put(lake, "wells", wells("P1"), key={"study_id": "pilot", "plate_id": "P1"})

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "apply", killed)
        with pytest.raises(KeyboardInterrupt):
            put(lake, "wells", wells("P2"), key={"study_id": "pilot", "plate_id": "P2"})
    monkeypatch.setattr(releases_module, "_WAIT", 0.3)
    # For all that anybody knows, this process is still at work on it.
    with pytest.raises(ConflictError, match="others commit without a pause"):
        create_release(lake, "spring")
    assert releases(lake) == []


# ---- what stands in the way -------------------------------------------------------------------------------------


def quality(lake: LakeRoot, label: str, hash_: str, verdict: str, run_id: str, *, plate: str | None = "P1") -> None:
    row = {
        "study_id": "pilot",
        "plate_id": plate,
        "feature_set": label,
        "feature_set_hash": hash_,
        "object_set": "nuclei",
        "feature": AREA,
        "metric": "NullFraction",
        "value": 0.31,
        "threshold": 0.2,
        "verdict": verdict,
        "reason": None,
        "run_id": run_id,
    }
    with Commit(lake, run_id=run_id, app_id=f"check/{run_id}") as commit:
        commit.append("feature_quality", declared("feature_quality", row))
        commit.commit()


def feature_set(lake: LakeRoot, objects: Rows, run_id: str, **definition: Any) -> tuple[str, str]:
    """Register a set, give plate P1 rows of it, and return label and hash."""
    found = register(lake, "basic", {"objects": {"nuclei": {}}, **definition}, recipe_text=None, run_id=run_id)
    with Commit(lake, run_id=run_id, app_id=f"transform/{run_id}") as commit:
        found.add_to(commit)
        key = {"study_id": "pilot", "plate_id": "P1"}
        commit.replace(found.set.table("nuclei"), key, objects("P1", run_id=run_id))
        commit.commit()
    return found.set.label, found.set.hash


def test_refused_features_are_not_released(filled: LakeRoot, objects: Rows) -> None:
    label, hash_ = feature_set(filled, objects, "run-3")
    quality(filled, label, hash_, "refused", "run-4")
    with pytest.raises(InvalidDataError) as raised:
        create_release(filled, "spring")
    assert "basic@1 pilot/P1 nuclei Nuclei_AreaShape_Area: NullFraction 0.31 (threshold 0.2)" in raised.value.message
    assert "--accept-quality" in str(raised.value.hint)
    with pytest.raises(InvalidDataError, match="their check refused"):
        create_release(filled, "spring", accept_quality=" ")
    assert releases(filled) == []
    made = create_release(filled, "spring", accept_quality="known dead plate")
    assert made["warnings"] == ["released although 1 measures of quality were refused (known dead plate)"]
    shown = show_release(filled, "spring")
    assert shown["accepted_quality"] == "known dead plate"
    assert len(shown["refused"]) == 1


def test_the_newest_check_counts(filled: LakeRoot, objects: Rows) -> None:
    label, hash_ = feature_set(filled, objects, "run-3")
    quality(filled, label, hash_, "refused", "run-4")
    quality(filled, label, hash_, "warning", "run-5")
    assert create_release(filled, "spring")["warnings"] == []
    quality(filled, label, hash_, "refused", "run-6", plate=None)  # of the whole study: another check
    with pytest.raises(InvalidDataError, match=r"basic@1 pilot nuclei"):
        create_release(filled, "summer")


def test_what_no_view_shows_stands_in_nobodys_way(filled: LakeRoot, objects: Rows) -> None:
    old = feature_set(filled, objects, "run-3")
    feature_set(filled, objects, "run-4", threshold=2)
    quality(filled, *old, "refused", "run-5")
    assert create_release(filled, "spring")["warnings"] == []
    choose(filled, old[0], study_id="pilot")
    with pytest.raises(InvalidDataError, match="basic@1"):
        create_release(filled, "summer")


def test_a_plate_that_was_removed_stands_in_nobodys_way(filled: LakeRoot, objects: Rows) -> None:
    label, hash_ = feature_set(filled, objects, "run-3")
    quality(filled, label, hash_, "refused", "run-4", plate="P9")
    assert create_release(filled, "spring")["warnings"] == []


# ---- withdrawing ------------------------------------------------------------------------------------------------


def test_withdrawing(filled: LakeRoot) -> None:
    create_release(filled, "spring", "first")
    create_release(filled, "summer")
    gone = withdraw_release(filled, "spring", "a donor withdrew consent")
    assert gone["status"] == "ok"
    with pytest.raises(NotFoundError) as raised:
        find_release(filled, "spring")
    assert "was withdrawn on" in raised.value.message
    assert "a donor withdrew consent" in raised.value.message
    assert "summer" in str(raised.value.hint)
    kept = find_release(filled, "spring", withdrawn=True)
    assert kept.note == "first"
    assert kept.pins.keys() == find_release(filled, "summer").pins.keys() - {"releases"}
    version = filled.tables.version("releases")
    again = withdraw_release(filled, "spring", "another reason")
    assert (again["status"], again["reason"]) == ("skipped", "a donor withdrew consent")
    assert filled.tables.version("releases") == version
    with pytest.raises(AlreadyExistsError, match="and was withdrawn on"):
        create_release(filled, "spring")


def test_withdrawing_what_is_not_there(filled: LakeRoot) -> None:
    create_release(filled, "spring")
    with pytest.raises(NotFoundError, match="no release 'sprign'") as raised:
        withdraw_release(filled, "sprign", "x")
    assert "did you mean 'spring'?" in str(raised.value.hint)
    with pytest.raises(UsageError, match="none is given"):
        withdraw_release(filled, "spring", "  ")


# ---- whole or not -----------------------------------------------------------------------------------------------


def test_files_that_somebody_else_removed(filled: LakeRoot, wells: Rows, objects: Rows) -> None:
    create_release(filled, "spring")
    create_release(filled, "other")
    withdraw_release(filled, "other", "not needed")
    assert check_release(filled, "spring") == {"release": "spring", "ok": True, "problems": []}
    old = files(filled, NUCLEI)
    add_plate(filled, wells, objects, "P1", "run-3")
    add_plate(filled, wells, objects, "P2", "run-3")
    for path in old:
        path.unlink()
    (problem,) = check_release(filled, "spring")["problems"]
    assert (problem["table"], problem["missing"], problem["files"]) == (NUCLEI, 2, 2)
    errors = [error for error in validate(filled)["errors"] if error["code"] == "release-incomplete"]
    assert [error["where"] for error in errors] == ["releases/spring"]
    assert "2 of 2 files" in errors[0]["message"]
    assert [one.get("ok") for one in list_releases(filled, check=True)] == [False, None]
    assert show_release(filled, "spring")["ok"] is False


def test_a_difference_where_the_log_does_not_count_rows(filled: LakeRoot, wells: Rows, objects: Rows) -> None:
    create_release(filled, "spring")
    add_plate(filled, wells, objects, "P9", "run-9", 4)
    # As some other writers commit: statistics of files are optional in Delta tables.
    log = sorted((Path(filled.url) / "tables" / NUCLEI / "_delta_log").glob("*.json"))[-1]
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        action.get("add", {}).pop("stats", None)
    log.write_text("".join(f"{json.dumps(action)}\n" for action in actions))
    found = diff_releases(open_root(filled.url), "spring", "now")
    nuclei = next(one for one in found["tables"] if one["table"] == NUCLEI)
    assert nuclei["rows_before"] is not None
    assert nuclei["rows_after"] is None
    assert (nuclei["rows_added"], nuclei["rows_removed"]) == (4, 0)


def test_a_difference_that_needs_files_that_are_gone(filled: LakeRoot, wells: Rows, objects: Rows) -> None:
    for number in range(3, 6):
        add_plate(filled, wells, objects, f"P{number}", f"run-{number}")
    compact(filled, "wells", run_id="x")
    create_release(filled, "spring")
    (joined,) = files(filled, "wells")  # of several plates: the log does not say whose each row is
    put(filled, "wells", wells("P1", 4, run_id="run-9"), key={"study_id": "pilot", "plate_id": "P1"})
    joined.unlink()
    with pytest.raises(StorageError, match="release 'spring' cannot be answered: 1 of 1 files of table wells"):
        diff_releases(filled, "spring", "now")


def test_a_log_that_somebody_else_cleaned(filled: LakeRoot, wells: Rows, objects: Rows) -> None:
    create_release(filled, "spring")
    for number in range(3, 6):
        add_plate(filled, wells, objects, "P1", f"run-{number}")
    delta = filled.tables.open("wells")
    delta.create_checkpoint()
    for version in range(delta.version()):
        (Path(filled.url) / "tables" / "wells" / "_delta_log" / f"{version:020}.json").unlink()
    (problem,) = check_release(filled, "spring")["problems"]
    assert (problem["table"], problem["missing"]) == ("wells", None)
    assert "is lost" in problem["message"]
    assert {error["code"] for error in validate(filled)["errors"]} >= {"release-incomplete"}
    with pytest.raises(StorageError, match=r"release 'spring': version \d+ of table wells cannot be read"):
        diff_releases(filled, "spring", "now")


# ---- what changed -----------------------------------------------------------------------------------------------


def by_name(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["table"]: one for one in found["tables"]}


def test_what_changed(filled: LakeRoot, wells: Rows, objects: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    create_release(filled, "spring")
    add_plate(filled, wells, objects, "P1", "run-5", 5)  # replaced
    add_plate(filled, wells, objects, "P3", "run-6", Nuclei_AreaShape_Perimeter=2.0)  # new, with a new column
    for table in ("plates", "wells", NUCLEI):  # removed
        with Commit(filled, run_id="run-7", app_id=f"remove/{table}") as commit:
            commit.delete(table, {"study_id": "pilot", "plate_id": "P2"})
            commit.commit()
    label, _ = feature_set(filled, objects, "run-8")
    create_release(filled, "summer")

    read = release_diff._Side._read

    def only_small(side: Any, table: str, *rest: Any) -> Any:
        assert not table.startswith("features/"), "the log says whose rows a feature file has"
        return read(side, table, *rest)

    monkeypatch.setattr(release_diff._Side, "_read", only_small)
    found = diff_releases(filled, "spring", "summer")
    tables = by_name(found)
    assert tables[NUCLEI]["change"] == "changed"
    assert (tables[NUCLEI]["rows_before"], tables[NUCLEI]["rows_after"]) == (6, 8)
    assert (tables[NUCLEI]["rows_added"], tables[NUCLEI]["rows_removed"]) == (8, 6)
    assert tables[NUCLEI]["columns_added"] == ["Nuclei_AreaShape_Perimeter"]
    assert tables["wells"]["change"] == "changed"
    assert tables["feature_sets"]["change"] == "new"
    assert found["plates"]["added"] == [{"study_id": "pilot", "plate_id": "P3"}]
    assert found["plates"]["removed"] == [{"study_id": "pilot", "plate_id": "P2"}]
    (changed,) = found["plates"]["changed"]
    assert (changed["plate_id"], changed["tables"][NUCLEI]) == ("P1", {"rows_added": 5, "rows_removed": 3})
    assert found["feature_sets"] == [label]
    assert found["views"] == [
        {"kind": "features", "part": "nuclei", "study_id": "pilot", "before": None, "after": "basic@1"}
    ]
    assert [run["run_id"] for run in found["runs"] if run["verb"] == "transform"] == ["run-5", "run-6"]

    back = by_name(diff_releases(filled, "summer", "spring"))
    assert back["feature_sets"]["change"] == "gone"
    assert (back[NUCLEI]["rows_added"], back[NUCLEI]["columns_removed"]) == (6, ["Nuclei_AreaShape_Perimeter"])
    nothing = diff_releases(filled, "spring", "spring")
    assert {one["change"] for one in nothing["tables"]} == {"same"}
    assert nothing["plates"] == {"added": [], "removed": [], "changed": []}


def test_joining_files_changes_no_rows(filled: LakeRoot, wells: Rows, objects: Rows) -> None:
    for number in range(3, 8):
        add_plate(filled, wells, objects, f"P{number}", f"run-{number}")
    create_release(filled, "spring")
    assert compact(filled, "wells", run_id="x").joined == 7
    tables = by_name(diff_releases(filled, "spring", "now"))
    assert tables["wells"]["change"] == "same rows"
    put(filled, "wells", wells("P1", 4, run_id="run-9"), key={"study_id": "pilot", "plate_id": "P1"})
    after = by_name(diff_releases(filled, "spring", "now"))["wells"]
    assert (after["rows_added"], after["rows_removed"]) == (4, 3)


def test_a_release_that_cannot_be_compared(filled: LakeRoot) -> None:
    create_release(filled, "spring")
    with pytest.raises(NotFoundError, match="no release 'fall'"):
        diff_releases(filled, "spring", "fall")
    withdraw_release(filled, "spring", "wrong")
    with pytest.raises(NotFoundError, match="was withdrawn"):
        diff_releases(filled, "spring", "now")
