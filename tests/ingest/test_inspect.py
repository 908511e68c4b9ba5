"""``inspect``: what an export is, in the keys that the command line promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cytolake.ingest.inspect import summarize
from cytolake.ingest.readers import detect, read_export
from harmony_xml import Export, changed, grid
from vendor_exports import imagexpress

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
