"""A vendor export into the lake: whole, once, exactly, or not at all."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
import tifffile
from cytolake.errors import AlreadyExistsError, ConflictError, RecipeError, SourceFileError, StorageError
from cytolake.lake import Lake
from cytolake.store.images import engine
from harmony_xml import Export, grid


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return cytolake.init_lake(tmp_path / "lake")


@pytest.fixture
def export(tiny_export: Path, tmp_path: Path) -> Path:
    """A copy of the tiny export that a test may damage."""
    return Path(shutil.copytree(tiny_export, tmp_path / "exports" / tiny_export.name))


def files_of(lake: Lake) -> dict[str, bytes]:
    root = Path(lake.url)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "staging/locks" not in str(path)
    }


def rows(lake: Lake, table: str, **where: Any) -> list[dict[str, Any]]:
    return lake.root.tables.read(table, where=where or None).to_pylist()


def test_the_pixels_are_the_files_pixels(lake: Lake, export: Path) -> None:
    report = lake.ingest(export, study="pilot")
    assert report["status"] == "ok"
    plate = lake.plate("pilot", report["plates"][0]["plate_id"])
    compared = 0
    for image in rows(lake, "images"):
        field = plate.field(image["well_id"], image["field_id"])
        pixels = field.read()
        for source in image["source_files"]:
            file = next(export.rglob(source["file"].rpartition("/")[2]))
            assert np.array_equal(pixels[source["channel_index"], source["z"]], tifffile.imread(file))
            compared += 1
    assert compared == report["plates"][0]["planes"] == 12


def test_the_metadata_of_a_plate_are_one_read(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wells and measurements it has; all that it says of itself is in that one document."""
    wells = [(row, column) for row in range(1, 5) for column in range(1, 7)]
    for number in (1, 2):
        started = f"2026-01-0{number}T08:00:00Z"
        Export(images=grid(wells=wells), started=started).write(tmp_path / "P" / f"m-Measurement {number}")
    plate_id = lake.ingest(tmp_path / "P", study="s")["plates"][0]["plate_id"]
    read: list[str] = []
    original = engine.read_document

    def counted(store: Any, key: str) -> Any:
        read.append(key)
        return original(store, key)

    monkeypatch.setattr(engine, "read_document", counted)
    plate = lake.plate("s", plate_id)
    assert (len(plate.wells), len(plate.fields()), len(plate.acquisitions)) == (24, 96, 2)
    assert (plate.name, plate.n_rows, plate.n_columns) == (plate_id, 8, 12)
    assert plate.attributes["vendor"] == "PerkinElmer Harmony"
    assert read == ["zarr.json"]


def test_the_height_of_each_channel_is_a_column(lake: Lake, export: Path) -> None:
    index = next(export.rglob("Index.idx.xml"))
    text = index.read_text(encoding="utf-8-sig")
    image = r"(<ChannelID>2</ChannelID>(?:(?!</Image>).)*<PositionZ[^>]*>)[^<]*"
    index.write_text(re.sub(image, r"\g<1>3e-06", text, flags=re.DOTALL), encoding="utf-8")
    lake.ingest(export, study="pilot")
    heights = {channel["vendor_id"]: channel["z_offset_um"] for channel in rows(lake, "channels")}
    assert heights["2"] == 3.0
    assert heights["1"] != 3.0


def test_every_plane_is_remembered_with_its_hash(lake: Lake, export: Path) -> None:
    import hashlib

    lake.ingest(export, study="pilot")
    sources = [source for image in rows(lake, "images") for source in image["source_files"]]
    for source in sources:
        file = next(export.rglob(source["file"].rpartition("/")[2]))
        assert source["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert source["status"] == "ok"
    assert len({source["file"] for source in sources}) == 12


def test_a_second_ingest_changes_no_file(lake: Lake, export: Path) -> None:
    lake.ingest(export, study="pilot")
    before = files_of(lake)
    report = lake.ingest(export, study="pilot", existing="skip")
    assert report["status"] == "skipped"
    assert report["run_id"] is None
    assert report["plates"][0]["planes"] == 12
    assert report["plates"][0]["bytes_read"] == 0
    assert files_of(lake) == before


def test_a_second_ingest_is_an_error_unless_told_otherwise(lake: Lake, export: Path) -> None:
    lake.ingest(export, study="pilot")
    with pytest.raises(AlreadyExistsError, match="from these very files") as caught:
        lake.ingest(export, study="pilot")
    assert "--existing" in str(caught.value.hint)


def test_skip_refuses_other_files_of_the_same_name(lake: Lake, export: Path) -> None:
    lake.ingest(export, study="pilot")
    file = next(export.rglob("r01c01f01*ch1*.tiff"))
    tifffile.imwrite(file, np.zeros((256, 256), np.uint16), compression="zlib")
    with pytest.raises(AlreadyExistsError, match="other files"):
        lake.ingest(export, study="pilot", existing="skip")


@pytest.mark.parametrize("existing", ["skip", "extend"])
def test_a_cycle_that_is_called_like_the_first_is_not_passed_over(lake: Lake, tmp_path: Path, existing: Any) -> None:
    for cycle in (1, 2):
        folder = tmp_path / f"cycle{cycle}" / "plate"
        folder.mkdir(parents=True)
        for well in ("A01", "B01"):
            tifffile.imwrite(folder / f"P1_{well}_s1_w1.tif", np.full((6, 8), cycle, np.uint16))
    first, second = (tmp_path / f"cycle{cycle}" / "plate" for cycle in (1, 2))
    lake.ingest(first, study="s", pixel_size_um=0.5)
    assert lake.ingest(first, study="s", pixel_size_um=0.5, existing=existing)["status"] == "skipped"
    with pytest.raises(AlreadyExistsError, match=r"of these names and sizes, but .*A01_s1_w1\.tif holds other bytes"):
        lake.ingest(second, study="s", pixel_size_um=0.5, existing=existing)


def test_a_dry_run_writes_nothing(lake: Lake, export: Path) -> None:
    before = files_of(lake)
    report = lake.ingest(export, study="pilot", dry_run=True)
    assert report["plates"][0]["planes"] == 12
    assert files_of(lake) == before


def test_a_missing_plane_is_missing_and_never_invented(lake: Lake, export: Path) -> None:
    next(export.rglob("r01c02f02*ch2*.tiff")).unlink()
    report = lake.ingest(export, study="pilot")
    assert report["status"] == "partial"
    assert report["plates"][0]["missing_planes"] == 1
    assert any("well A02 field 2" in warning for warning in report["warnings"])
    (image,) = rows(lake, "images", well_id="A02", field_id=2)
    (missing,) = [source for source in image["source_files"] if source["status"] != "ok"]
    assert (missing["status"], missing["sha256"]) == ("missing", None)
    field = lake.plate("pilot", report["plates"][0]["plate_id"]).field("A02", 2)
    assert [tuple(plane) for plane in field.missing_planes] == [(0, missing["channel_index"], 0)]
    assert rows(lake, "plates")[0]["status"] == "partial"


def test_a_field_without_any_file_has_a_row_and_no_image(lake: Lake, export: Path) -> None:
    for file in export.rglob("r01c02f02*.tiff"):
        file.unlink()
    report = lake.ingest(export, study="pilot")
    assert report["plates"][0]["missing_planes"] == 3
    (image,) = rows(lake, "images", well_id="A02", field_id=2)
    assert image["path"] is None
    keys = lake.plate("pilot", report["plates"][0]["plate_id"]).fields()
    assert [(k.well_id, k.field_id) for k in keys] == [("A01", 1), ("A01", 2), ("A02", 1)]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:3000]), "cut|truncat|end"),
        (lambda f: tifffile.imwrite(f, np.zeros((128, 256), np.uint16)), "128"),
        (lambda f: tifffile.imwrite(f, np.zeros((256, 256), np.float32)), "float32"),
        (lambda f: f.write_bytes(b"this is no image"), "TIFF"),
    ],
    ids=["truncated", "other size", "other type", "no tiff"],
)
def test_a_damaged_plane_is_recorded_with_its_reason(lake: Lake, export: Path, damage: Any, why: str) -> None:
    damage(next(export.rglob("r01c01f02*ch1*.tiff")))
    report = lake.ingest(export, study="pilot")
    assert report["status"] == "partial"
    assert report["plates"][0]["corrupt_planes"] == 1
    (image,) = rows(lake, "images", well_id="A01", field_id=2)
    (corrupt,) = [source for source in image["source_files"] if source["status"] == "corrupt"]
    assert corrupt["sha256"] is None
    import re

    assert re.search(why, corrupt["reason"])


def test_an_export_without_a_readable_file_is_refused(lake: Lake, export: Path) -> None:
    for file in export.rglob("*.tiff"):
        file.unlink()
    before = files_of(lake)
    for dry_run in (True, False):
        with pytest.raises(SourceFileError, match="none of the 12 image files"):
            lake.ingest(export, study="pilot", dry_run=dry_run)
    assert rows(lake, "plates") == []
    assert files_of(lake) == before, "work that nobody can go on with"


def test_replace_keeps_annotation_and_drops_what_was_computed_from_the_old_pixels(lake: Lake, export: Path) -> None:
    plate_map = export.parent / "map.csv"
    plate_map.write_text("well,compound,concentration,control_type\nA01,DMSO,,negative_vehicle\nA02,inflatin,10 uM,\n")
    lake.ingest(export, study="pilot", plate_map=plate_map)
    (old,) = rows(lake, "plates")
    file = next(export.rglob("r01c01f01*ch1*.tiff"))
    tifffile.imwrite(file, np.full((256, 256), 7, np.uint16), compression="zlib")
    report = lake.ingest(export, study="pilot", existing="replace")
    (new,) = rows(lake, "plates")
    assert new["path"] != old["path"]
    assert not (Path(lake.url) / old["path"]).exists()
    assert [w["compound"] for w in rows(lake, "wells")] == ["DMSO", "inflatin"]
    pixels = lake.plate("pilot", report["plates"][0]["plate_id"]).field("A01", 1).read()
    assert (pixels == 7).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("existing", ["skip", "extend"])
def test_a_role_may_be_named_later(lake: Lake, export: Path, existing: Any) -> None:
    lake.ingest(export, study="pilot", roles={"HOECHST 33342": "Other"})
    study = {"study": "pilot", "recipe": "nuclei", "device": "cpu", "workers": 1}
    with pytest.raises(RecipeError, match="DNA"):
        lake.transform(**study)
    before = files_of(lake)
    renamed = {"HOECHST 33342": "dna"}
    report = lake.ingest(export, study="pilot", existing=existing, roles=renamed, dry_run=True)
    assert any("is now DNA" in warning for warning in report["warnings"])
    assert files_of(lake) == before
    report = lake.ingest(export, study="pilot", existing=existing, roles=renamed)
    assert (report["status"], report["plates"][0]["action"]) == ("ok", "skip")
    assert "role of HOECHST 33342 is now DNA, no longer Other; features" in "".join(report["warnings"])
    channels = {channel["name"]: channel for channel in rows(lake, "channels")}
    assert len(channels) == 3
    assert (channels["HOECHST 33342"]["role"], channels["HOECHST 33342"]["run_id"]) == ("DNA", report["run_id"])
    assert max(run["run_id"] for run in rows(lake, "runs", verb="ingest")) == report["run_id"]
    before = files_of(lake)
    assert lake.ingest(export, study="pilot", existing=existing, roles=renamed)["status"] == "skipped"
    assert files_of(lake) == before
    assert lake.transform(**study)["status"] == "ok"


def test_extend_adds_the_fields_that_came_later(lake: Lake, tiny_export: Path, tmp_path: Path) -> None:
    early = Path(shutil.copytree(tiny_export, tmp_path / "early"))
    index = next(early.rglob("Index.idx.xml"))
    _keep_images(index, lambda url: "r01c01" in url)
    first = lake.ingest(early, study="pilot")
    assert first["plates"][0]["wells"] == 1
    second = lake.ingest(tiny_export, study="pilot", existing="extend")
    assert second["plates"][0]["fields"] == 2  # those of A02
    plate = lake.plate("pilot", first["plates"][0]["plate_id"])
    assert plate.wells == ["A01", "A02"]
    assert len(rows(lake, "images")) == 4
    assert rows(lake, "plates")[0]["n_wells"] == 2
    assert lake.ingest(tiny_export, study="pilot", existing="extend")["status"] == "skipped"
    assert lake.ingest(early, study="pilot", existing="skip")["status"] == "skipped"
    assert lake.validate()["errors"] == []


def _keep_images(index: Path, keep: Any) -> None:
    from lxml import etree

    tree = etree.parse(index)
    ns = {"h": tree.getroot().nsmap[None]}
    ids = set()
    for image in tree.findall(".//h:Images/h:Image", ns):
        if not keep(image.findtext("h:URL", namespaces=ns)):
            ids.add(image.findtext("h:id", namespaces=ns))
            image.getparent().remove(image)
    for reference in tree.findall(".//h:Wells/h:Well/h:Image", ns):
        if reference.get("id") in ids:
            reference.getparent().remove(reference)
    for well in tree.findall(".//h:Wells/h:Well", ns):
        if well.find("h:Image", ns) is None:
            well.getparent().remove(well)
    tree.write(index, xml_declaration=True, encoding="utf-8")


@pytest.mark.parametrize("has_start", [True, False])
def test_extend_knows_a_measurement_without_an_id(
    lake: Lake, tiny_export: Path, tmp_path: Path, *, has_start: bool
) -> None:
    """The same files again are nothing new, and the rest of a measurement goes into the same acquisition."""
    part = Path(shutil.copytree(tiny_export, tmp_path / "part" / tiny_export.name))
    whole = Path(shutil.copytree(tiny_export, tmp_path / "whole" / tiny_export.name))
    for copy in (part, whole):
        index = next(copy.rglob("Index.idx.xml"))
        text = re.sub(r"<MeasurementID>[^<]*</MeasurementID>", "", index.read_text(encoding="utf-8-sig"))
        if not has_start:
            text = re.sub(r"<MeasurementStartTime>[^<]*</MeasurementStartTime>", "", text)
        index.write_text(text, encoding="utf-8")
    _keep_images(next(part.rglob("Index.idx.xml")), lambda url: "r01c01" in url)
    lake.ingest(part, study="pilot")
    before = files_of(lake)
    assert lake.ingest(part, study="pilot", existing="extend")["status"] == "skipped"
    assert files_of(lake) == before
    assert lake.ingest(whole, study="pilot", existing="extend")["status"] == "ok"
    assert {image["acquisition_id"] for image in rows(lake, "images")} == {1}
    assert len(rows(lake, "acquisitions")) == 1
    before = files_of(lake)
    assert lake.ingest(part, study="pilot", existing="extend")["status"] == "skipped"
    assert files_of(lake) == before


def test_extend_refuses_a_field_whose_files_changed(lake: Lake, export: Path) -> None:
    lake.ingest(export, study="pilot")
    tifffile.imwrite(next(export.rglob("r01c01f01*ch1*.tiff")), np.zeros((256, 256), np.uint16), compression="zlib")
    with pytest.raises(ConflictError, match="well A01 field 1"):
        lake.ingest(export, study="pilot", existing="extend")


def test_extend_refuses_other_channels_in_a_measurement(lake: Lake, tiny_export: Path, tmp_path: Path) -> None:
    early = Path(shutil.copytree(tiny_export, tmp_path / "early"))
    index = next(early.rglob("Index.idx.xml"))
    _keep_images(index, lambda url: "r01c01" in url)
    index.write_bytes(index.read_bytes().replace(b"Alexa 568", b"Alexa 750"))
    lake.ingest(early, study="pilot")
    with pytest.raises(ConflictError, match=r"Alexa 750.*Alexa 568"):
        lake.ingest(tiny_export, study="pilot", existing="extend")


def test_an_interrupted_ingest_goes_on_where_it_stopped(
    lake: Lake, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cytolake.ingest.sources import PlaneSources

    class Stop(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        lake.ingest(export, study="pilot", workers=1, progress=stop)
    assert rows(lake, "plates") == []
    read: list[Path] = []
    real = PlaneSources.read_plane

    def counting(self: PlaneSources, path: Path, *rest: Any) -> str:
        read.append(path)
        return real(self, path, *rest)

    monkeypatch.setattr(PlaneSources, "read_plane", counting)
    assert lake.ingest(export, study="pilot")["status"] == "ok"
    assert 0 < len(read) <= 6, "fields that were done are not read again"
    assert lake.validate(deep=True)["errors"] == []


def test_a_full_disk_says_so_and_leaves_nothing_visible(
    lake: Lake, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cytolake.store.images import engine

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(engine, "sync_tree", full)
    with pytest.raises((StorageError, OSError), match=r"[Nn]o space"):
        lake.ingest(export, study="pilot")
    monkeypatch.undo()
    assert rows(lake, "plates") == []
    assert lake.validate()["errors"] == []
    assert lake.ingest(export, study="pilot")["status"] == "ok"


def test_two_first_ingests_at_once_give_one_plate(lake: Lake, export: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def ingest(_: int) -> str:
        try:
            return str(cytolake.open_lake(lake.url).ingest(export, study="pilot")["status"])
        except (ConflictError, AlreadyExistsError) as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(ingest, range(2)))
    assert outcomes in (["conflict", "ok"], ["already-exists", "ok"])
    assert len(rows(lake, "plates")) == 1
    assert lake.validate()["errors"] == []


def test_of_several_plates_one_that_is_broken_keeps_none_of_the_others_out(lake: Lake, tmp_path: Path) -> None:
    for name in ("P1", "P2", "P3"):
        Export(images=grid(), plate_id=name).write(tmp_path / "exports" / f"{name}-Measurement 1")
    for image in (tmp_path / "exports" / "P2-Measurement 1").rglob("*.tiff"):
        image.unlink()
    report = lake.ingest(tmp_path / "exports", study="pilot")
    assert report["status"] == "partial"
    assert [plate["plate_id"] for plate in report["plates"]] == ["P1", "P3"]
    (error,) = report["errors"]
    assert error["plate_id"] == "P2"
    assert "P2" in error["message"]
    assert sorted(row["plate_id"] for row in rows(lake, "plates")) == ["P1", "P3"]

    again = lake.ingest(tmp_path / "exports", study="pilot", existing="skip")
    assert [plate["action"] for plate in again["plates"]] == ["skip", "skip"]
    assert [error["plate_id"] for error in again["errors"]] == ["P2"]

    with pytest.raises(AlreadyExistsError, match=r"plate P1 .*\(P2, P3 failed too\)"):
        lake.ingest(tmp_path / "exports", study="pilot")


def test_of_a_plate_of_which_nothing_can_be_read_nothing_stays(lake: Lake, tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    whole = {image: image.read_bytes() for image in folder.rglob("*.tiff")}
    for image in whole:
        height, width = tifffile.imread(image).shape
        tifffile.imwrite(image, np.zeros((2 * height, width // 2), np.uint16))
    with pytest.raises(SourceFileError, match=r"not one image .* could be read; .*tiff: .*12 × 4 uint16, not 6 × 8"):
        lake.ingest(folder, study="s")
    assert not [name for name in files_of(lake) if name.startswith("staging/")]
    # The same names and sizes, copied anew: looked at again.
    for image, data in whole.items():
        image.write_bytes(data)
    assert lake.ingest(folder, study="s")["status"] == "ok"
