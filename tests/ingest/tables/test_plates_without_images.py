"""A plate that the lake knows from tables alone: what needs images says so, and an ingest fills the plate in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cytolake.errors import InvalidDataError, NotFoundError
from cytolake.lake import Lake, open_lake
from cytolake.store.check import validate
from cytolake.store.root import LakeRoot
from table_examples import Bring, write_csv


@pytest.fixture
def lake(root: LakeRoot, bring: Bring, tmp_path: Path) -> Lake:
    """Profiles of two wells of the plate tiny-1, of which there may be images later."""
    rows = [
        {"Metadata_Plate": "tiny-1", "Metadata_Well": well, "Metadata_drug": "x", "Cells_AreaShape_Area": area}
        for well, area in (("A01", 1.5), ("A02", 2.5), ("B01", 3.5))
    ]
    bring(write_csv(tmp_path / "profiles.csv", rows), study="pilot")
    return open_lake(root.url)


def test_what_needs_images_says_so(lake: Lake, tmp_path: Path) -> None:
    said = "plate tiny-1 has no images in the lake, only tables"
    for ask in (
        lambda: lake.plate("pilot", "tiny-1"),
        lambda: lake.transform(study="pilot"),
        lambda: lake.transform(study="pilot", plates=["tiny-1"]),
        lambda: lake.report(study="pilot", output=tmp_path / "x.html"),
        lambda: lake.preview(1, study="pilot", output=tmp_path / "x.html"),
    ):
        with pytest.raises(NotFoundError, match=said):
            ask()
    assert lake.validate()["errors"] == []


def test_it_can_be_annotated(lake: Lake, bring: Bring, tmp_path: Path) -> None:
    sheet = write_csv(
        tmp_path / "map.csv", [{"well": "A01", "compound": "nocodazole"}, {"well": "A02", "compound": "DMSO"}]
    )
    told = lake.annotate(sheet, study="pilot", plate="tiny-1")
    assert (told["status"], told["rows"]) == ("ok", 2)
    wells = {row["well_id"]: row for row in bring.table("wells")}
    assert wells["A01"]["compound"] == "nocodazole"
    assert wells["A01"]["attributes"] == {"Metadata_drug": "x"}


def test_the_images_come_later(lake: Lake, bring: Bring, tiny_export: Path, tmp_path: Path) -> None:
    sheet = write_csv(tmp_path / "map.csv", [{"well": "A01", "compound": "nocodazole"}])
    lake.annotate(sheet, study="pilot", plate="tiny-1")
    with pytest.raises(InvalidDataError, match="B01"):
        lake.ingest(tiny_export, study="pilot", plate="tiny-1", plate_format="1x2")
    assert lake.ingest(tiny_export, study="pilot")["status"] == "ok"
    (plate,) = bring.table("plates")
    assert (plate["status"], plate["n_wells"], plate["n_fields"]) == ("ok", 2, 4)
    assert plate["path"] is not None
    wells = {row["well_id"]: row for row in bring.table("wells")}
    assert set(wells) == {"A01", "A02", "B01"}
    assert (wells["A01"]["compound"], wells["A01"]["attributes"]["Metadata_drug"]) == ("nocodazole", "x")
    assert [row["Cells_AreaShape_Area"] for row in bring.rows("well")] == [1.5, 2.5, 3.5]
    assert lake.validate()["errors"] == []
    # What was made elsewhere does not come from the pixels that are replaced.
    lake.ingest(tiny_export, study="pilot", existing="replace")
    assert len(bring.rows("well")) == 3


def test_wells_that_the_plate_in_the_lake_has_no_image_of(
    root: LakeRoot, bring: Bring, tiny_export: Path, tmp_path: Path
) -> None:
    lake = open_lake(root.url)
    lake.ingest(tiny_export, study="pilot")
    rows = [
        {"Metadata_Plate": "tiny-1", "Metadata_Well": well, "Cells_AreaShape_Area": 1} for well in ("A01", "A02", "A03")
    ]
    report = bring(write_csv(tmp_path / "x.csv", rows), study="pilot")
    assert report["plates_created"] == []
    assert report["unlinked"] == {"tiny-1": ["A03"]}
    assert {row["well_id"] for row in bring.table("wells")} == {"A01", "A02", "A03"}


def test_it_can_be_removed(lake: Lake, bring: Bring) -> None:
    told = lake.remove(study="pilot", plate="tiny-1", reason="test")
    assert told["kept"] == []
    assert bring.rows("well") == bring.table("plates") == bring.table("wells") == []


def test_objects_of_images_that_the_lake_does_not_have_are_no_fault(
    bring: Bring, cellprofiler: Callable[..., Path]
) -> None:
    bring(cellprofiler())
    assert bring.rows("cells")
    assert validate(bring.root, deep=True)["errors"] == []


def test_plates_with_tables_of_fields_alone_can_be_corrected(bring: Bring, cellprofiler: Callable[..., Path]) -> None:
    bring(cellprofiler())
    lake = open_lake(bring.root.url)
    (plate,) = {row["plate_id"] for row in bring.table("plates")}
    well = bring.table("wells")[0]["well_id"]
    assert lake.exclude(well, study="s", plate=plate, reason="dust")["status"] == "ok"
    lake.remove(study="s", plate=plate, reason="wrong")
    assert bring.rows("field") == []
