"""Everything that was made from a thing: complete, by identity and runs alone, releases and removed rows included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lineage_lake
import pyarrow.compute as pc
import pytest
from cytolake.errors import NotFoundError, StorageError, UsageError
from cytolake.lake import Lake
from cytolake.store import scan as scanning
from cytolake.store.commit import Commit
from cytolake.store.lineage import parse_start
from cytolake.store.tables import Tables
from lineage_lake import CONTROLS, OBJECTS, PLATES, STUDY, WELLS, Story, sha

Counted = dict[tuple[str, str], int]


@pytest.fixture
def rows(story: Story) -> Callable[..., Counted]:
    """Rows of each table by relation, and shorter names of tables, as following a thing finds them."""
    short = {
        **{story.nuclei.table(part): part for part in story.nuclei.parts},
        **{one.table(part): f"{one.name} {part}" for one in (story.plates, story.whole) for part in one.parts},
    }

    def follow(start: str) -> Counted:
        found: Counted = {}
        for entry in Lake(story.root).lineage(start, forward=True)["rows"]:
            key = short.get(entry["table"], entry["table"]), entry["relation"].removeprefix("was_").split("_")[0]
            found[key] = found.get(key, 0) + entry["rows"]
        return found

    return follow


def test_nothing_that_names_a_plate_is_missed(story: Story) -> None:
    """Each table is read whole, as no lineage does, and its rows of the plate are counted."""
    graph = Lake(story.root).lineage(f"{STUDY}/P1", forward=True)
    derived = {
        entry["table"]: entry["rows"]
        for entry in graph["rows"]
        if entry["relation"] == "was_derived_from" and entry["part"] == f"{STUDY}/P1"
    }
    expected = {}
    for table in story.root.tables.names():
        whole = story.root.tables.read(table)
        if "plate_id" in whole.column_names and table != "profile_fits":
            number = pc.sum(pc.equal(whole["plate_id"], "P1")).as_py() or 0
            if number:
                expected[table] = number
    assert derived == expected
    assert len(expected) == 8


def test_a_well_that_is_no_control_goes_into_its_treatment_alone(rows: Callable[..., Counted]) -> None:
    found = rows(f"{STUDY}/P1/A03")
    assert found == {
        ("wells", "derived"): 1,
        ("images", "derived"): 1,
        ("quality", "derived"): 1,
        ("nuclei", "derived"): OBJECTS,
        ("cells", "derived"): OBJECTS,
        ("plates well", "derived"): 1,
        ("plates treatment", "derived"): 1,
        ("whole well", "derived"): 1,
        ("whole treatment", "derived"): 1,
        ("runs", "names"): 4,
    }


def test_a_control_well_is_in_all_that_was_normalised_by_it(rows: Callable[..., Counted]) -> None:
    found = rows(f"{STUDY}/P2/A01")
    # Its plate was normalised by it, and the whole study after that by the controls of both plates.
    assert found["plates well", "derived"] == 1
    assert found["plates well", "influenced"] == len(WELLS)
    assert found["plates treatment", "derived"] == found["plates treatment", "influenced"] == 1
    assert found["whole well", "derived"] == 1
    assert found["whole well", "influenced"] == len(WELLS) * len(PLATES)
    assert found["profile_fits", "derived"] == 2
    assert found["nuclei", "derived"] == OBJECTS


def test_a_plate_whose_fit_was_borrowed_is_found(story: Story, rows: Callable[..., Counted]) -> None:
    """A plate without parameters of its own may have been normalised by those of any plate."""
    table = story.plates.table("well")
    strange = story.root.tables.read(table, where={"plate_id": "P1"})
    place = strange.column_names.index("plate_id")
    strange = strange.set_column(place, "plate_id", pc.replace_substring(strange["plate_id"], "P1", "P3"))
    with Commit(story.root, run_id="x", app_id="x") as commit:
        commit.replace(table, {"study_id": STUDY, "plate_id": "P3"}, strange)
        commit.commit()
    assert rows(f"{STUDY}/P2/A01")["plates well", "influenced"] == 2 * len(WELLS)
    assert ("plates well", "influenced") not in rows(f"{STUDY}/P2/A03")


@pytest.mark.parametrize(
    "start",
    [
        f"{STUDY}/P1/A03/1",
        "file:Images/P1-A03-ch1.tiff",
        "file:P1-A03-ch1.tiff",
        f"sha256:{sha('P1', 'A03', 1)}",
        sha("P1", "A03", 1),
        f"images/{STUDY}/P1.ome.zarr/A/03/a1f1",
        f"image:images/{STUDY}/P1.ome.zarr/A/03/a1f1",
    ],
)
def test_a_field_a_file_and_an_image_lead_to_the_same_rows(rows: Callable[..., Counted], start: str) -> None:
    found = rows(start)
    measured = {key: number for key, number in found.items() if key[0] in {"nuclei", "cells", "quality", "images"}}
    assert measured == {
        ("nuclei", "derived"): OBJECTS,
        ("cells", "derived"): OBJECTS,
        ("quality", "derived"): 1,
        ("images", "derived"): 1,
    } or start.startswith(("image:", "images/"))
    assert found["nuclei", "derived"] == OBJECTS
    # A profile of the well is made from all of its fields, this one among them.
    assert found["plates well", "derived"] == found["whole treatment", "derived"] == 1


def test_an_object_leads_to_those_within_it(rows: Callable[..., Counted]) -> None:
    found = rows(f"{STUDY}/P1/A03/1/nuclei/2")
    assert found["nuclei", "derived"] == found["cells", "derived"] == found["plates well", "derived"] == 1
    assert "nuclei" not in {table for table, _ in rows(f"{STUDY}/P1/A03/1/cells/2")}
    assert "quality" not in {table for table, _ in found}


def test_a_label_image_leads_to_what_was_measured_in_it(story: Story, rows: Callable[..., Counted]) -> None:
    from cytolake.store.lineage.label_images import label_name

    path = f"images/{STUDY}/P1.ome.zarr/A/03/a1f1/labels"
    nuclei = rows(f"{path}/{label_name(story.nuclei.definition, 'nuclei')}")
    assert nuclei["nuclei", "derived"] == nuclei["cells", "derived"] == OBJECTS
    cells = rows(f"labels:{path}/{label_name(story.nuclei.definition, 'cells')}")
    assert ("nuclei", "derived") not in cells
    assert cells["cells", "derived"] == OBJECTS
    with pytest.raises(NotFoundError, match="no feature set was measured in"):
        rows(f"{path}/nuclei_00000000")


def test_sets_and_fits(story: Story, rows: Callable[..., Counted]) -> None:
    every = len(WELLS) * len(PLATES)
    found = rows("feature_set:nuclei")
    assert found["nuclei", "derived"] == found["cells", "derived"] == every * OBJECTS
    assert found["plates well", "derived"] == found["whole well", "derived"] == every
    assert found["quality", "derived"] == every
    found = rows("profile_set:whole@1")
    assert found["whole well", "derived"] == every
    assert found["whole treatment", "derived"] == 2
    assert "plates well" not in {table for table, _ in found}
    assert rows(f"fit:plates@1#1/{STUDY}/P1")["plates well", "derived"] == len(WELLS)
    assert rows("fit:plates@1#1")["whole well", "derived"] == every
    of_row = rows(f"{STUDY}/P1/A01@plates")
    assert of_row["plates well", "derived"] == 1
    assert of_row["plates well", "influenced"] == len(WELLS)


def test_runs_tables_and_releases(story: Story, rows: Callable[..., Counted]) -> None:
    found = rows(f"run:{story.runs['transform P2']}")
    assert found["nuclei", "derived"] == len(WELLS) * OBJECTS
    assert found["plates well", "derived"] == len(WELLS)
    assert rows(f"run:{story.runs['ingest P1']}")["nuclei", "derived"] == len(WELLS) * OBJECTS
    lake = Lake(story.root)
    version = story.root.tables.version("wells")
    assert rows(f"table:wells@{version}")["plates treatment", "derived"] == 2
    lake.create_release("spring")
    found = lake.lineage("release:spring", forward=True)
    assert any(edge["relation"] == "had_member" and edge["from"] == "release:spring" for edge in found["edges"])
    assert {node["kind"] for node in found["nodes"]} >= {"release", "table", "run", "profiles"}
    assert lake.lineage(f"table:wells@{version}", forward=True)["releases"][0]["release"] == "spring"


def test_a_release_still_pins_what_was_removed(story: Story) -> None:
    lake = Lake(story.root)
    lake.create_release("spring", note="n")
    before = lake.lineage(f"{STUDY}/P1/A03", forward=True)
    assert before["releases"][0]["release"] == "spring"
    lake.remove(study=STUDY, plate="P1")
    after = lake.lineage(f"{STUDY}/P1/A03", forward=True)
    # Treatments are of the study: they still have the plate in them.
    assert [entry["table"] for entry in after["rows"]] == [
        *sorted(one.table("treatment") for one in (story.plates, story.whole)),
        "runs",
    ]
    (release,) = after["releases"]
    assert set(before["releases"][0]["tables"]) == set(release["tables"])
    assert story.nuclei.table("nuclei") in release["tables"]
    assert lake.lineage(f"{STUDY}/P2/A03", forward=True)["releases"]


def test_a_release_of_which_nothing_can_be_told_counts_and_says_so(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(story.root)
    lake.create_release("spring")
    lake.remove(study=STUDY, plate="P1")
    pinned = next(iter(lake.releases()))["tables"]["quality"]
    opened = Tables.open

    def lost(self: Tables, name: str, *, version: int | None = None) -> Any:
        if (name, version) == ("quality", pinned):
            raise StorageError("its log is gone")
        return opened(self, name, version=version)

    monkeypatch.setattr(Tables, "open", lost)
    found = lake.lineage(f"{STUDY}/P1", forward=True)
    assert "quality" in found["releases"][0]["tables"]
    assert any("may pin such rows of quality, which cannot be told: its log is gone" in note for note in found["notes"])


def test_no_feature_is_read_and_a_plate_is_counted_from_the_log(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, tuple[str, ...]]] = []
    original = scanning.Scan.read

    def noted(self: Any, columns: Any = None) -> Any:
        if self.files:
            read.append((self.table, tuple(columns or self.schema.names)))
        return original(self, columns)

    monkeypatch.setattr(scanning.Scan, "read", noted)
    Lake(story.root).lineage(f"{STUDY}/P1/A01", forward=True)
    assert not any("AreaShape" in name for _, names in read for name in names)
    read.clear()
    Lake(story.root).lineage("feature_set:nuclei", forward=True)
    assert not {table for table, _ in read if table.startswith("features/")}


def test_imported_profiles_of_a_plate_without_images(story: Story, rows: Callable[..., Counted]) -> None:
    jump = lineage_lake.bring_in(story.root)
    found = rows("file:profiles.csv.gz")
    assert found[jump.table("well"), "derived"] == 2
    assert found["plates", "derived"] == 1
    assert rows(f"{STUDY}/P7/A01")[jump.table("well"), "derived"] == 1


def test_a_whole_study(rows: Callable[..., Counted]) -> None:
    found = rows(STUDY)
    assert found["plates", "derived"] == 2
    assert found["nuclei", "derived"] == len(WELLS) * len(PLATES) * OBJECTS


@pytest.mark.parametrize(
    ("start", "error", "said"),
    [
        (f"{STUDY}/P9", NotFoundError, "anything of row pilot/P9"),
        ("other", NotFoundError, "anything of row other"),
        ("file:nothing.tiff", NotFoundError, "was made from file nothing.tiff"),
        (f"sha256:{'0' * 64}", NotFoundError, "was made from sha256"),
        ("images/pilot/P1.ome.zarr/Z/99/a1f1", NotFoundError, "no image"),
        ("run:20000101T000000000000-000000", NotFoundError, "no run"),
        ("release:autumn", NotFoundError, "no release 'autumn'"),
        ("table:nothing", NotFoundError, "no table"),
        ("fit:plates@1#7", NotFoundError, "no parameters of fit version 7"),
        ("fit:plates", UsageError, "names no fit"),
        ("table:wells@new", UsageError, "no version of a table"),
        ("fiel:x.tiff", UsageError, "did you mean 'file'"),
        ("run:", UsageError, "names no run"),
        (f"{STUDY}/P1/A01/x", UsageError, "is no field number"),
    ],
)
def test_what_leads_nowhere(story: Story, start: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Lake(story.root).lineage(start, forward=True)


def test_nothing_is_made_from_a_treatment(story: Story) -> None:
    with pytest.raises(UsageError, match="nothing is made from treatments"):
        Lake(story.root).lineage(f"{STUDY}@plates", forward=True, treatment="DMSO")


def test_kinds_before_a_colon() -> None:
    assert parse_start("file:a:b.tiff").name == "a:b.tiff"
    assert parse_start("well:s/P1/a1").row["well_id"] == "A01"
    assert parse_start(f" {STUDY} ").row == {"study_id": STUDY}
    assert parse_start("A" * 64).kind == "sha256"


def test_controls_are_the_first_two_wells() -> None:
    assert WELLS[:2] == CONTROLS
