"""Wells excluded and taken in again, plates and studies removed: in one step, for a reason, with a memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cytolake.catalog import Catalog
from cytolake.errors import ConflictError, NotFoundError, UsageError
from cytolake.ingest.annotation.apply import annotate
from cytolake.ingest.annotation.exclude import exclude_wells
from cytolake.ingest.removal import remove
from cytolake.ingest.rows import table_of
from cytolake.schemas.identifiers import parse_well
from cytolake.schemas.tables import feature_table_schema
from cytolake.store.check import validate
from cytolake.store.commit import Commit
from cytolake.store.root import LakeRoot, init_root, open_root

WELLS = ("A01", "A02", "B01", "B02")
#: Columns that a row must have, in any table that is filled here.
FILLED: dict[str, Any] = {
    "acquisition_id": 1, "channel_index": 0, "field_id": 1, "timepoint": 0, "n_timepoints": 1, "n_channels": 1,
    "n_z_planes": 1, "n_planes": 1, "n_missing_planes": 0, "n_corrupt_planes": 0, "height": 2, "width": 2,
    "dtype": "uint16", "pixel_size_x_um": 1.0, "pixel_size_y_um": 1.0, "vendor": "v", "format_version": "1",
    "reader": "r", "name": "c", "flatfield_applied": False, "metric": "count", "source_files": [],
    "n_perturbations": 0, "excluded": False, "n_rows": 8, "n_columns": 12, "fingerprint": "f", "status": "ok",
}  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies of two plates, with a row in every table that knows plates, and features of one cell per well."""
    folder = tmp_path_factory.mktemp("template") / "lake"
    lake = init_root(folder)
    for study in ("pilot", "other"):
        for plate in ("P1", "P2"):
            fill(lake, study, plate)
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path) -> LakeRoot:
    """A copy of the lake of :func:`template`."""
    return open_root(shutil.copytree(template, tmp_path / "lake"))


def fill(lake: LakeRoot, study: str, plate: str) -> None:
    run_id = f"ingest-{study}-{plate}"
    key = {"study_id": study, "plate_id": plate}
    base = FILLED | key | {"run_id": run_id, "path": f"images/{study}/{plate}.ome.zarr", "title": study}
    with Commit(lake, run_id=run_id, app_id=f"ingest/{study}/{plate}") as commit:
        commit.insert("studies", only("studies", base), on=["study_id"], same=["study_id"])
        for table in ("plates", "acquisitions", "channels"):
            commit.replace(table, key, only(table, base))
        wells = [base | {"well_id": w, "row": parse_well(w)[0], "column": parse_well(w)[1]} for w in WELLS]
        commit.replace("wells", key, only("wells", *wells))
        commit.replace("images", key, only("images", *wells))
        commit.replace("quality", key, only("quality", wells[0]))
        schema = feature_table_schema(["Nuclei_AreaShape_Area"])
        cells = [w | {"object_id": 1, "Nuclei_AreaShape_Area": 1.0} for w in wells]
        rows = pa.Table.from_pylist([{n: c.get(n) for n in schema.names} for c in cells], schema=schema)
        commit.replace("features/nuclei/00000000/nuclei", key, rows)
        commit.append("runs", run_row(run_id, study, plate))
        commit.commit()


def only(table: str, *rows: dict[str, Any]) -> Any:
    from cytolake.schemas.tables import arrow_schema

    names = arrow_schema(table).names
    return table_of(table, [{name: row.get(name) for name in names} for row in rows])


def run_row(run_id: str, study: str, plate: str) -> Any:
    from cytolake.store.lineage import Run

    run = Run.start("ingest", study_id=study, plate_ids=[plate])
    run.run_id = run_id
    return run.record("ok")


def rows(root: LakeRoot, table: str, **where: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = root.tables.read(table, where=where or None).to_pylist()
    return found


def excluded(root: LakeRoot, study: str = "pilot", plate: str = "P1") -> dict[str, str | None]:
    return {
        row["well_id"]: row["exclusion_reason"]
        for row in rows(root, "wells", study_id=study, plate_id=plate)
        if row["excluded"]
    }


def whole(root: LakeRoot) -> dict[str, int]:
    return {name: root.tables.read(name).num_rows for name in root.tables.names() if name != "runs"}


# --- exclude


def test_wells_are_excluded_and_taken_in_again(root: LakeRoot) -> None:
    report = exclude_wells(root, study_id="pilot", plate_id="P1", wells=["b1", "A01:A02"], reason=" out of focus ")
    assert (report["status"], report["rows"], report["wells"]) == ("ok", 3, ["A01", "A02", "B01"])
    assert excluded(root) == dict.fromkeys(("A01", "A02", "B01"), "out of focus")
    assert excluded(root, plate="P2") == {}
    again = exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], include=True)
    assert (again["status"], excluded(root)) == ("ok", dict.fromkeys(("A02", "B01"), "out of focus"))
    assert {row["run_id"] for row in rows(root, "wells", study_id="pilot", plate_id="P1")} == {
        "ingest-pilot-P1", report["run_id"], again["run_id"],
    }  # fmt: skip


def test_the_same_again_writes_nothing(root: LakeRoot) -> None:
    exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], reason="dust")
    version = root.tables.version("wells")
    report = exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], reason="dust")
    assert (report["status"], report["run_id"], root.tables.version("wells")) == ("skipped", None, version)
    exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], reason="dust, and cells are gone")
    assert excluded(root) == {"A01": "dust, and cells are gone"}


def test_a_dry_run_says_what_would_change(root: LakeRoot) -> None:
    report = exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], reason="dust", dry_run=True)
    assert (report["rows"], report["run_id"], excluded(root)) == (1, None, {})


def test_history_knows_who_was_excluded_when(root: LakeRoot) -> None:
    before = root.tables.version("wells")
    exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], reason="dust")
    exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], include=True)
    states = [
        [r["excluded"] for r in root.tables.read("wells", where={"study_id": "pilot"}, version=v).to_pylist()].count(
            True
        )
        for v in range(before, before + 3)
    ]
    assert states == [0, 1, 0]
    asked = rows(root, "runs", verb="exclude")
    assert ['"reason": "dust"' in r["parameters"] for r in sorted(asked, key=lambda r: r["run_id"])] == [True, False]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"wells": []}, UsageError, "no well is named"),
        ({"reason": None}, UsageError, "needs a reason"),
        ({"reason": "  "}, UsageError, "needs a reason"),
        ({"include": True}, UsageError, "has no reason"),
        ({"plate_id": None}, UsageError, "has 2 plates, and none is named"),
        ({"plate_id": "P9"}, NotFoundError, "has no plate 'P9'"),
        ({"study_id": "pilott"}, NotFoundError, "did you mean 'pilot'"),
        ({"wells": ["A01", "C03"]}, NotFoundError, "has no well C03"),
        ({"wells": ["B02:A01"]}, UsageError, "ends before it begins"),
    ],
)
def test_what_cannot_be_excluded(root: LakeRoot, options: dict[str, Any], error: Any, said: str) -> None:
    given = {"study_id": "pilot", "plate_id": "P1", "wells": ["A01"], "reason": "dust"} | options
    with pytest.raises(error) as raised:
        exclude_wells(root, **given)
    assert said in raised.value.message
    assert excluded(root) == {}


def test_an_annotation_does_not_take_a_well_in_again(root: LakeRoot, tmp_path: Path) -> None:
    exclude_wells(root, study_id="pilot", plate_id="P1", wells=["A01"], reason="dust")
    (tmp_path / "map.csv").write_text("well,compound\nA1,X\n")
    annotate(root, study_id="pilot", plate_id="P1", files=[tmp_path / "map.csv"], replace=True)
    assert excluded(root) == {"A01": "dust"}


# --- remove


def test_a_plate_leaves_every_table_at_once(root: LakeRoot) -> None:
    before = {name: root.tables.version(name) for name in root.tables.names()}
    planned = remove(root, study_id="pilot", plate_id="P1", dry_run=True)
    assert {name: root.tables.version(name) for name in root.tables.names()} == before
    report = remove(root, study_id="pilot", plate_id="P1", reason="wrong plate")
    assert report["tables"] == planned["tables"] == {
        "acquisitions": 1, "channels": 1, "features/nuclei/00000000/nuclei": 4, "images": 4, "plates": 1, "quality": 1,
        "wells": 4,
    }  # fmt: skip
    assert (report["rows"], report["plates"], report["kept"]) == (16, ["P1"], ["images/pilot/P1.ome.zarr"])
    for name in report["tables"]:
        left = {(r["study_id"], r["plate_id"]) for r in rows(root, name)}
        assert left == {("pilot", "P2"), ("other", "P1"), ("other", "P2")}
    assert {s["study_id"] for s in rows(root, "studies")} == {"pilot", "other"}
    (run,) = rows(root, "runs", verb="remove")
    assert (run["run_id"], run["plate_ids"]) == (report["run_id"], ["P1"])
    assert '"reason": "wrong plate"' in run["parameters"]
    with pytest.raises(NotFoundError):
        remove(root, study_id="pilot", plate_id="P1")


def test_history_keeps_what_was_removed(root: LakeRoot) -> None:
    version = root.tables.version("wells")
    remove(root, study_id="pilot", plate_id="P1")
    there = root.tables.read("wells", where={"study_id": "pilot", "plate_id": "P1"}, version=version)
    assert there.num_rows == 4
    left = Catalog(root).sql("SELECT DISTINCT plate_id FROM wells WHERE study_id = 'pilot'").fetchall()
    assert ("P1",) not in left


def test_a_study_goes_with_everything_that_is_its(root: LakeRoot, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("plate,well,compound,cell_line\nP1,A1,X,HepG2\nP2,A1,X,HepG2\n")
    annotate(root, study_id="pilot", files=[tmp_path / "map.csv"])
    report = remove(root, study_id="pilot")
    assert report["plates"] == ["P1", "P2"]
    assert {"studies", "biosamples", "perturbations", "well_perturbations"} <= report["tables"].keys()
    for name in root.tables.names():
        if name not in ("runs", "feature_sets", "feature_dictionary"):
            assert {r["study_id"] for r in rows(root, name)} <= {"other"}, name
    with pytest.raises(NotFoundError):
        remove(root, study_id="pilot")


def test_a_study_without_plates_can_go(root: LakeRoot) -> None:
    for plate in ("P1", "P2"):
        remove(root, study_id="pilot", plate_id=plate)
    assert remove(root, study_id="pilot")["tables"] == {"studies": 1}


def test_a_plate_that_somebody_works_on_stays(root: LakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytolake.store.plates.LOCK_WAIT_S", 0.0)
    before = whole(root)
    with root.storage.lock("plate-pilot-P2"), pytest.raises(ConflictError):
        remove(root, study_id="pilot")
    assert whole(root) == before


def test_a_plate_may_come_again(root: LakeRoot) -> None:
    before = whole(root)
    remove(root, study_id="pilot", plate_id="P1")
    fill(root, "pilot", "P1")
    assert whole(root) == before


def test_what_is_left_is_whole(root: LakeRoot) -> None:
    def problems() -> set[str]:
        # The plates here have no pixels, and the features no registry: that is not what is asked.
        ignored = {"plate-missing", "not-a-plate", "unregistered-features"}
        return {e["code"] for e in validate(root)["errors"]} - ignored

    before = problems()
    remove(root, study_id="pilot", plate_id="P1")
    assert problems() <= before


KILLED = """
    import os, sys
    import cytolake.store.journal as journal
    from cytolake.ingest.removal import remove
    from cytolake.store.root import open_root

    steps, real = int(sys.argv[2]), journal._transact

    def transact(*arguments, **options):
        global steps
        steps -= 1
        if steps < 0:
            os._exit(9)
        return real(*arguments, **options)

    journal._transact = transact
    remove(open_root(sys.argv[1]), study_id="pilot", plate_id="P1")
"""


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_kill_leaves_all_or_nothing(root: LakeRoot, steps: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), root.url, str(steps)], check=False, capture_output=True
    )
    assert done.returncode == 9, done.stderr
    lake = open_root(root.url)
    # The removal was decided: whoever opens the lake next carries it out.
    left = {name: len(rows(lake, name, study_id="pilot", plate_id="P1")) for name in ("plates", "wells", "images")}
    assert left == {"plates": 0, "wells": 0, "images": 0}
    assert len(rows(lake, "runs", verb="remove")) == 1
    assert len(rows(lake, "wells")) == 12
