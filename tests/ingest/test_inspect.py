"""``inspect``: what an export is, in the keys that the command line promises."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cytolake import inspect
from cytolake.errors import InvalidDataError, PixelSizeError
from cytolake.ingest.inspect import summarize
from cytolake.ingest.readers import detect, read_export
from harmony_xml import Export, changed, grid
from vendor_exports import imagexpress
from vendor_exports.pattern import cellomics, write_folder

KEYS = {
    "plate", "barcode", "rows", "columns", "wells", "fields", "channels", "timepoints", "z_planes", "pixel_size_um",
    "planes", "missing_planes", "bytes",
}  # fmt: skip


def test_counts_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    images = changed(grid(planes=3, times=2), 5, write=False)
    folder = Export(images=images).write(tmp_path / "M")
    summary = summarize(detect(folder), read_export(folder))
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["reader"], summary["format_version"]) == ("harmony", "V5")
    assert summary["evidence"]["confidence"] == 1.0
    (plate,) = summary["plates"]
    assert plate.keys() >= KEYS
    assert (plate["plate"], plate["rows"], plate["columns"]) == ("P0001", 8, 12)
    assert (plate["wells"], plate["well_ids"], plate["fields"]) == (2, ["A01", "B03"], 4)
    assert (plate["timepoints"], plate["z_planes"], plate["planes"], plate["missing_planes"]) == (2, 3, 48, 1)
    assert plate["bytes"] == sum(f.stat().st_size for f in (folder / "Images").glob("*.tiff"))
    assert plate["pixel_size_um"] == pytest.approx(0.25)
    assert [(c["name"], c["role"]) for c in plate["channels"]] == [("HOECHST 33342", "DNA"), ("Alexa 488", None)]
    assert any("Alexa 488" in w for w in summary["warnings"])


def test_names_the_planes_that_are_missing(tmp_path: Path) -> None:
    images = changed(changed(grid(planes=3, times=2), 5, write=False), 46, write=False)
    (plate,) = inspect(Export(images=images).write(tmp_path / "M"))["plates"]
    gone = [image for image in images if not image.write]
    missing = plate["missing"]
    assert missing["wells"] == {"A01": 1, "B03": 1}
    assert sum(missing["channels"].values()) == plate["missing_planes"] == 2
    assert [(one["well_id"], one["file"].rpartition("/")[2]) for one in missing["first"]] == [
        (f"{'AB'[image.row - 1]}{image.col:02d}", image.name) for image in gone
    ]
    assert [(one["field_id"], one["z"], one["timepoint"]) for one in missing["first"]] == [
        (image.field, image.plane - 1, image.t) for image in gone
    ]


def test_many_missing_planes_are_counted_and_some_named(tmp_path: Path) -> None:
    folder = Export(images=tuple(replace(image, write=False) for image in grid(planes=3, times=2))).write(
        tmp_path / "M"
    )
    summary = inspect(folder)
    (plate,) = summary["plates"]
    assert (plate["missing"]["wells"], len(plate["missing"]["first"])) == ({"A01": 24, "B03": 24}, 5)
    assert any("not one image file is there: all 48 planes are missing" in w for w in summary["warnings"])


def test_each_of_several_plates_says_its_own(tmp_path: Path) -> None:
    Export(images=grid(), plate_id="P1").write(tmp_path / "E" / "M1")
    Export(images=changed(grid(), 0, write=False), plate_id="P2", version="V7").write(tmp_path / "E" / "M2")
    summary = inspect(tmp_path / "E")
    assert [(p["plate"], p["format_version"], Path(p["path"]).name) for p in summary["plates"]] == [
        ("P1", "V5", "M1"), ("P2", "V7", "M2"),
    ]  # fmt: skip
    assert summary["warnings"]
    assert all(warning.startswith(("plate P1: ", "plate P2: ")) for warning in summary["warnings"])


def test_the_index_is_one_that_was_read(shared_data: Path) -> None:
    assert inspect(shared_data / "vendors" / "czi")["evidence"]["index"].endswith("WellD6_S1.czi")


def test_a_pixel_size_that_nobody_says_is_none(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "scans", cellomics(), resolution=(72, 72), resolutionunit="INCH")
    summary = inspect(folder)
    (plate,) = summary["plates"]
    assert (plate["wells"], plate["fields"], plate["planes"], len(plate["channels"])) == (2, 4, 8, 2)
    (acquisition,) = plate["acquisitions"]
    assert {plate["pixel_size_um"], plate["pixel_size_y_um"], acquisition["pixel_size_um"]} == {None}
    (told,) = (warning for warning in summary["warnings"] if "--pixel-size" in warning)
    assert told.startswith("the size of a pixel is not known, and so the export cannot be ingested: ")
    with pytest.raises(PixelSizeError):
        read_export(folder)
    with pytest.raises(InvalidDataError, match="number the wells"):
        inspect(write_folder(tmp_path / "numbers", ["a_1.tif"], resolution=(72, 72)), pattern=r"(?P<well_number>\d+)")


def test_tells_each_acquisition_apart(tmp_path: Path) -> None:
    folder = imagexpress.mixed(exported=True).write(tmp_path / "plate")
    (plate,) = summarize(detect(folder), read_export(folder))["plates"]
    acquisitions = plate["acquisitions"]
    assert [one["acquisition_id"] for one in acquisitions] == [1, 2, 3]
    assert [one["z_mode"] for one in acquisitions] == ["stack", "projection", "plane"]
    assert acquisitions[0]["z_planes"] > 1
    assert [one["z_planes"] for one in acquisitions[1:]] == [1, 1]
    for count in ("fields", "planes", "missing_planes"):
        assert plate[count] == sum(one[count] for one in acquisitions)
    assert len(plate["channels"]) == sum(one["channels"] for one in acquisitions)


@pytest.mark.parametrize(
    ("sample", "wells", "fields", "channels", "pixel", "planes", "missing"),
    [
        ("phenix-v5/images", ["A01"], 1, 6, 0.59798, 6, 0),
        ("phenix-v7-index-only", ["A01"], 1, 7, 0.29669, 7, 7),
        ("operetta-cls", ["C03"], 2, 1, 1.19595, 2, 0),
    ],
)
def test_real_exports(
    shared_data: Path,
    sample: str,
    wells: list[str],
    fields: int,
    channels: int,
    pixel: float,
    planes: int,
    missing: int,
) -> None:
    folder = shared_data / "vendors" / "harmony" / sample
    (plate,) = summarize(detect(folder), read_export(folder))["plates"]
    assert (plate["well_ids"], plate["fields"], len(plate["channels"])) == (wells, fields, channels)
    assert plate["pixel_size_um"] == pytest.approx(pixel, abs=1e-5)
    assert (plate["planes"], plate["missing_planes"]) == (planes, missing)
