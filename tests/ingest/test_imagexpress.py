"""ImageXpress: the export with its HTD, the database layout, and what goes wrong in both."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import tifffile
from cytolake.errors import InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.vendors.imagexpress import ImageXpressReader
from vendor_exports.imagexpress import WAVES, Img, Plate, grid, mixed, write_stk

READER = ImageXpressReader()


def read(folder: Path) -> PlateExport:
    (export,) = READER.read(folder)
    return export


def told(export: PlateExport, word: str) -> list[str]:
    return [w for w in export.warnings if word in w]


def counts(export: PlateExport) -> dict[str, tuple[list[str], int, int]]:
    """Return of each Z mode its channels, planes and missing planes."""
    found: dict[str, Any] = {}
    for acquisition in export.acquisitions:
        own = export.planes.filter(pc.field("acquisition_id") == acquisition.acquisition_id)
        names = [c.name for c in export.channels if c.acquisition_id == acquisition.acquisition_id]
        found[str(acquisition.z_mode)] = (names, own.num_rows, own["size"].null_count)
    return found


class TestExportContract(ReaderContract):
    reader = READER

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return mixed(exported=True).write(tmp_path / "plate1_Plate_12")


class TestDatabaseContract(ReaderContract):
    reader = READER

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        mixed(exported=False).write(tmp_path / "plate1" / "2024-07-09" / "12", htd=False)
        return tmp_path / "plate1"


class TestPlainContract(ReaderContract):
    reader = READER

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(timed=False).write(tmp_path / "plain")


def test_an_export(tmp_path: Path) -> None:
    export = read(Plate(description=b"a\x82\x81b \xb5m").write(tmp_path / "p"))
    assert (export.name, export.plate_id, export.n_rows, export.n_columns) == ("plate1", "plate1", 8, 12)
    assert export.format_version == "HTD 1.0, MetaXpress 6.7.0.211"
    assert counts(export) == {"plane": (["DAPI", "FITC"], 8, 0)}
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (6, 8, 1.25)
    assert (acquisition.magnification, acquisition.numerical_aperture) == (20.0, 0.75)
    assert acquisition.measurement_id == "6f0ba473-0000-4a31-8db8-e2087bc78145"
    dapi = export.channels[0]
    assert (dapi.vendor_id, dapi.emission_nm, dapi.excitation_nm, dapi.exposure_ms) == ("w1", 460.0, 405.0, 15.0)
    assert (dapi.role, dapi.contrast_method, dapi.binning, dapi.max_intensity) == ("DNA", "fluorescence", 4, 65535)
    assert export.metadata_files == ("plate1.HTD",)
    assert export.fields.to_pylist()[1] == {
        "acquisition_id": 1, "well_id": "B02", "field_id": 2, "x_um": 50.0, "y_um": 0.0, "z_um": 100.0,
    }  # fmt: skip
    assert told(export, "no time zone")


@pytest.mark.parametrize("exported", [True, False])
def test_stacks_projections_and_planes_are_kept_apart(tmp_path: Path, exported: bool) -> None:
    folder = mixed(exported=exported).write(tmp_path / "p", htd=exported)
    export = read(folder)
    assert counts(export) == {
        "stack": (["DAPI"], 12, 0),
        "projection": (["DAPI", "FITC"], 8, 0),
        "plane": (["Texas Red"], 4, 0),
    }
    assert export.acquisitions[0].z_step_um == 2.5
    assert [a.z_step_um for a in export.acquisitions[1:]] == [None, None]
    z = export.planes.filter(pc.field("acquisition_id") == 1)["z_um"].to_pylist()
    assert {v for v in z if v is not None} == {100.0, 102.5, 105.0}
    assert [c.acquisition_mode for c in export.channels if c.acquisition_id == 2] == ["Maximum projection"] * 2
    assert bool(told(export, "repeat a projection or a single plane")) == exported
    assert bool(told(export, "wave 4 (Cy5) is listed in the HTD and has not one file")) == exported


def test_a_wave_that_was_not_collected_is_not_promised(tmp_path: Path) -> None:
    plate = Plate(waves=WAVES[:3], collected=(1, 1, 0))
    assert counts(read(plate.write(tmp_path / "p"))) == {"plane": (["DAPI", "FITC"], 8, 0)}


def test_one_copy_lost_is_no_plane_lost(tmp_path: Path) -> None:
    folder = mixed(exported=True).write(tmp_path / "p")
    (folder / "TimePoint_1/ZStep_1/plate1_B02_s1_w3.TIF").unlink()
    (folder / "TimePoint_1/ZStep_0/plate1_B02_s1_w2.TIF").unlink()
    export = read(folder)
    assert {m: c[1:] for m, c in counts(export).items()} == {"stack": (12, 0), "projection": (8, 0), "plane": (4, 0)}


def test_lost_planes_of_each_kind(tmp_path: Path) -> None:
    folder = mixed(exported=True).write(tmp_path / "p")
    for step in range(4):
        (folder / f"TimePoint_1/ZStep_{step}/plate1_B02_s1_w3.TIF").unlink()
    (folder / "TimePoint_1/ZStep_2/plate1_B03_s2_w1.TIF").unlink()
    (folder / "TimePoint_1/ZStep_0/plate1_B03_s2_w1.TIF").unlink()
    export = read(folder)
    assert {m: c[1:] for m, c in counts(export).items()} == {"stack": (12, 1), "projection": (8, 1), "plane": (4, 1)}
    missing = set(export.planes.filter(pc.is_null(export.planes["size"]))["file"].to_pylist())
    assert {
        "TimePoint_1/ZStep_1/plate1_B02_s1_w3.TIF",
        "TimePoint_1/ZStep_2/plate1_B03_s2_w1.TIF",
        "TimePoint_1/ZStep_0/plate1_B03_s2_w1.TIF",
    } <= missing


def test_whole_z_folder_lost(tmp_path: Path) -> None:
    folder = Plate(images=grid(steps=(1, 2, 3)), steps=3).write(tmp_path / "p")
    shutil.rmtree(folder / "TimePoint_1/ZStep_2")
    shutil.rmtree(folder / "TimePoint_1/ZStep_3")
    export = read(folder)
    assert counts(export) == {"stack": (["DAPI", "FITC"], 24, 16)}


def test_one_site_one_wave(tmp_path: Path) -> None:
    plate = Plate(sites=((True,),), waves=("DAPI",), images=grid(sites=(1,), waves=(1,)), timed=False)
    export = read(plate.write(tmp_path / "p"))
    assert export.planes["file"].to_pylist() == ["plate1_B02.TIF", "plate1_B03.TIF"]
    assert export.fields["field_id"].to_pylist() == [1, 1]
    assert [c.name for c in export.channels] == ["DAPI"]


@pytest.mark.parametrize("change", [{"guids": True}, {"bracketed": True}, {"suffix": ".tif"}, {"suffix": ".Tif"}])
def test_names(tmp_path: Path, change: dict[str, Any]) -> None:
    plate = Plate(name="w1_A01_x", **change)
    thumbs = [replace(image, thumb=True) for image in plate.images]
    for htd in (True, False):
        export = read(replace(plate, images=[*plate.images, *thumbs]).write(tmp_path / str(htd), htd=htd))
        assert export.name == "w1_A01_x"
        assert (export.planes.num_rows, export.planes["size"].null_count) == (8, 0)
        assert not any("thumb" in file for file in export.planes["file"].to_pylist())


def test_lower_case_wells_and_folders(tmp_path: Path) -> None:
    folder = Plate().write(tmp_path / "p", htd=False)
    low = tmp_path / "low" / "timepoint_1"
    low.mkdir(parents=True)
    for file in folder.rglob("*.TIF"):
        shutil.copy(file, low / file.name.lower())
    export = read(tmp_path / "low")
    assert sorted(set(export.planes["well_id"].to_pylist())) == ["B02", "B03"]
    assert export.planes.num_rows == 8


def test_time_points(tmp_path: Path) -> None:
    plate = Plate(images=grid(times=(1, 2, 3)), times=3)
    folder = plate.write(tmp_path / "p")
    export = read(folder)
    assert counts(export) == {"plane": (["DAPI", "FITC"], 24, 0)}
    assert export.acquisitions[0].time_interval_s == 30.0
    assert sorted(set(export.planes["timepoint"].to_pylist())) == [0, 1, 2]
    shutil.rmtree(folder / "TimePoint_2")
    assert counts(read(folder)) == {"plane": (["DAPI", "FITC"], 24, 8)}


def test_a_wave_at_the_first_time_point_only(tmp_path: Path) -> None:
    images = [*grid(times=(1, 2, 3), waves=(1,)), *grid(waves=(2,))]
    export = read(Plate(images=images, times=3).write(tmp_path / "p"))
    assert counts(export) == {"plane": (["DAPI", "FITC"], 16, 0)}
    assert told(export, "wave 2 was acquired at the first time point only")


def test_sites_that_fill_no_rectangle(tmp_path: Path) -> None:
    sites = ((False, True, False), (True, False, False), (False, False, True))
    plate = Plate(sites=sites, images=grid(sites=(1, 2, 3)))
    folder = plate.write(tmp_path / "p")
    export = read(folder)
    first = [f for f in export.fields.to_pylist() if f["well_id"] == "B02"]
    assert [(f["field_id"], f["x_um"], f["y_um"]) for f in first] == [(1, 0, -100), (2, -100, 0), (3, 100, 100)]
    for file in folder.rglob("*_s3_*"):
        file.unlink()
    assert counts(read(folder)) == {"plane": (["DAPI", "FITC"], 12, 4)}


def test_sites_numbered_by_their_place(tmp_path: Path) -> None:
    folder = Plate(sites=((False, True), (False, True)), images=grid(sites=(1, 2))).write(tmp_path / "p")
    for file in sorted(folder.rglob("*.TIF"), reverse=True):
        file.rename(file.with_name(file.name.replace("_s2", "_s4").replace("_s1", "_s2")))
    export = read(folder)
    assert (export.planes.num_rows, export.planes["size"].null_count) == (8, 0)


def test_several_plates_in_one_folder(tmp_path: Path) -> None:
    Plate(name="a").write(tmp_path / "one")
    Plate(name="b", images=grid(waves=(1,)), waves=("DAPI",)).write(tmp_path / "one")
    exports = READER.read(tmp_path / "one")
    assert [(e.plate_id, e.planes.num_rows, e.planes["size"].null_count) for e in exports] == [("a", 8, 0), ("b", 4, 0)]


def test_measurements_of_one_plate_are_acquisitions(tmp_path: Path) -> None:
    first, second = Plate(), Plate(header=lambda text: text.replace("20240709", "20240708"))
    first.write(tmp_path / "x/2024-07-08/12", htd=False)
    second.write(tmp_path / "x/2024-07-09/3", htd=False)
    Plate(name="other").write(tmp_path / "x/2024-07-09/4", htd=False)
    exports = READER.read(tmp_path / "x")
    assert [e.plate_id for e in exports] == ["other", "plate1"]
    assert [a.measurement_id for a in exports[1].acquisitions] == ["3", "12"]
    assert [a.name for a in exports[1].acquisitions] == ["2024-07-09/3", "2024-07-08/12"]
    assert Counter(exports[1].planes["acquisition_id"].to_pylist()) == {1: 8, 2: 8}
    assert READER.read(tmp_path / "x/2024-07-09/3")[0].acquisitions[0].measurement_id == "3"


def test_plates_that_all_have_one_name_are_called_as_their_folders(tmp_path: Path) -> None:
    """A screen whose images are all called ``HTS``: its plates are not measurements of one."""
    for folder in ("A0001", "A0002"):
        Plate(name="HTS", guids=True, timed=False).write(tmp_path / "batch 1" / folder, htd=False)
    exports = READER.read(tmp_path / "batch 1")
    assert [(e.plate_id, e.name, e.planes.num_rows, len(e.acquisitions)) for e in exports] == [
        ("A0001", "A0001", 8, 1),
        ("A0002", "A0002", 8, 1),
    ]
    assert told(exports[0], "the images of 2 folders are all named HTS; each is a plate, called as its folder")
    assert READER.read(tmp_path / "batch 1/A0001")[0].plate_id == "HTS"


def test_exports_of_one_plate_stay_its_acquisitions(tmp_path: Path) -> None:
    for number in (12, 13):
        Plate().write(tmp_path / f"plate1_Plate_{number}", htd=False)
    (export,) = READER.read(tmp_path)
    assert (export.plate_id, len(export.acquisitions)) == ("plate1", 2)


def test_plates_of_two_barcodes_and_one_name(tmp_path: Path) -> None:
    for barcode in ("BC1", "BC2"):
        labelled = Plate(header=lambda text, b=barcode: text.replace("Binning:", f"Barcode: {b}&#13;&#10;Binning:"))
        labelled.write(tmp_path / "plate1/2024-07-09" / barcode[2:], htd=False)
    exports = READER.read(tmp_path)
    assert [(e.plate_id, e.barcode) for e in exports] == [("BC1", "BC1"), ("BC2", "BC2")]


def test_folders_that_are_given(tmp_path: Path) -> None:
    folder = mixed(exported=True).write(tmp_path / "exports" / "plate1_Plate_12")
    for path in (
        tmp_path / "exports",
        folder / "TimePoint_1",
        folder / "TimePoint_1/ZStep_1",
        folder / "TimePoint_1/plate1.HTD",
        folder / "TimePoint_1/ZStep_1/plate1_B02_s1_w1.TIF",
    ):
        evidence = READER.detect(path)
        assert evidence is not None
        assert evidence.confidence == 1
        assert read(path).root == str(folder)


def test_plate_size_from_the_distance_of_wells(tmp_path: Path) -> None:
    export = read(Plate().write(tmp_path / "p", htd=False))
    assert (export.n_rows, export.n_columns) == (8, 12)
    assert told(export, "9 mm apart")
    one = Plate(images=grid(wells=("B02",)))
    folder = one.write(tmp_path / "q", htd=False)
    assert (read(folder).n_rows, read(folder).n_columns) == (2, 2)
    told_size = READER.with_options(ReaderOptions(plate_format=(16, 24))).read(folder)[0]
    assert (told_size.n_rows, told_size.n_columns) == (16, 24)


def test_positions_from_the_stage_alone(tmp_path: Path) -> None:
    sites = ((True, True), (True, True))
    export = read(Plate(offsets=False, sites=sites, images=grid(sites=(1, 2, 3, 4))).write(tmp_path / "p"))
    first = [f for f in export.fields.to_pylist() if f["well_id"] == "B03"]
    assert [(f["x_um"], f["y_um"]) for f in first] == [(-50, -50), (50, -50), (-50, 50), (50, 50)]
    assert told(export, "from the middle of its fields")


def test_no_positions(tmp_path: Path) -> None:
    export = read(Plate(offsets=False, stage=False).write(tmp_path / "p"))
    assert export.fields["x_um"].null_count == export.fields["y_um"].null_count == 4
    assert told(export, "those fields have no position")


def test_no_pixel_size(tmp_path: Path) -> None:
    folder = Plate(pixel_um=None).write(tmp_path / "p")
    with pytest.raises(InvalidDataError, match="how large its pixels are") as caught:
        READER.read(folder)
    assert "--pixel-size UM" in str(caught.value)
    export = READER.with_options(ReaderOptions(pixel_size_um=0.5)).read(folder)[0]
    assert export.acquisitions[0].pixel_size_x_um == 0.5


def test_headers_that_say_nothing(tmp_path: Path) -> None:
    export = READER.with_options(ReaderOptions(pixel_size_um=1.0)).read(
        Plate(header=lambda _: "no XML", images=grid(steps=(0, 1, 2)), steps=2, projection=True).write(tmp_path / "p")
    )[0]
    assert {mode: c[1:] for mode, c in counts(export).items()} == {"stack": (16, 0), "projection": (8, 0)}


@pytest.mark.parametrize("damage", ["<MetaData><PlaneInfo>", '<!DOCTYPE x [<!ENTITY y "z">]><MetaData/>'])
def test_a_damaged_header_costs_its_own_plane_only(tmp_path: Path, damage: str) -> None:
    folder = Plate().write(tmp_path / "p")
    image = folder / "TimePoint_1/plate1_B02_s1_w1.TIF"
    Plate(header=lambda text: damage if "document" not in text else text, images=[Img()]).write(tmp_path / "bad")
    shutil.copy(tmp_path / "bad/TimePoint_1/plate1_B02_s1_w1.TIF", image)
    (folder / "TimePoint_1/plate1_B02_s1_w2.TIF").write_bytes(b"")
    export = read(folder)
    assert export.planes.num_rows == 8
    assert export.planes["acquired_at"].null_count >= 1
    assert told(export, "2 images have no readable header") or damage.startswith("<!")


def test_images_of_older_metamorph(tmp_path: Path) -> None:
    plate = Plate(images=[], sites=((True,),), waves=("DAPI",), wells=("A01", "A02"))
    folder = plate.write(tmp_path / "p")
    for number, well in enumerate(plate.wells):
        pixels = np.full((6, 8), number, np.uint16)
        write_stk(folder / f"plate1_{well}.tif", pixels, x=14_300 + 9_000 * number)
    export = read(folder)
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (6, 8, 1.72)
    (channel,) = export.channels
    assert (channel.exposure_ms, channel.emission_nm) == (500.0, 460.0)
    assert export.planes["z_um"].to_pylist() == [9_100.0, 9_100.0]
    assert export.planes["acquired_at"][0].as_py() == datetime(2012, 3, 14, 10, tzinfo=UTC)
    assert export.fields["x_um"].to_pylist() == [0.0, 0.0]


def test_files_that_the_htd_does_not_promise(tmp_path: Path) -> None:
    export = read(Plate(images=grid(wells=("B02", "B03", "C05")), wells=("B02", "B03")).write(tmp_path / "p"))
    assert export.planes.num_rows == 12
    assert "C05" in export.planes["well_id"].to_pylist()


def test_an_htd_without_images(tmp_path: Path) -> None:
    folder = Plate(images=[]).write(tmp_path / "p")
    with pytest.raises(InvalidDataError, match="not one image"):
        READER.read(folder)


def test_an_htd_without_images_beside_another_plate(tmp_path: Path) -> None:
    folder = Plate(name="a").write(tmp_path / "p")
    Plate(name="b", images=[]).write(folder)
    export = read(folder)
    assert (export.name, export.planes.num_rows) == ("a", 8)
    assert told(export, "b.HTD describes a plate of which not one image is there; it is left out")
    assert not told(export, "a.HTD describes")
    for named in ("b.HTD", "TimePoint_1/b.HTD"):
        with pytest.raises(InvalidDataError, match=r"b\.HTD describes a plate of which not one image is there"):
            READER.read(folder / named)
    assert READER.read(folder / "TimePoint_1" / "a.HTD")[0].planes.num_rows == 8


def test_a_folder_with_an_htd_alone_beside_a_plate(tmp_path: Path) -> None:
    Plate(name="a").write(tmp_path / "all" / "a")
    Plate(name="b", images=[]).write(tmp_path / "all" / "b")
    assert told(read(tmp_path / "all"), "b/b.HTD describes a plate of which not one image is there")


def test_images_below_a_plate_that_are_not_its_own(tmp_path: Path) -> None:
    folder = Plate(name="a").write(tmp_path / "all")
    Plate(name="b").write(folder / "again" / "b")
    export = read(folder)
    assert export.planes.num_rows == 8
    assert told(export, "lie in folders of no plate (10 in again/b); not read")


def test_plates_in_folders_of_folders(tmp_path: Path) -> None:
    Plate(name="a").write(tmp_path / "all" / "a")
    Plate(name="b").write(tmp_path / "all" / "batch" / "week" / "day" / "hour" / "b")
    assert [(e.name, e.planes.num_rows) for e in READER.read(tmp_path / "all")] == [("a", 8), ("b", 8)]


def test_plates_behind_links(tmp_path: Path) -> None:
    all_of = tmp_path / "all"
    all_of.mkdir()
    for name in ("a", "b"):
        Plate(name=name).write(tmp_path / "elsewhere" / name)
        (all_of / name).symlink_to(tmp_path / "elsewhere" / name, target_is_directory=True)
    (all_of / "round").symlink_to(all_of, target_is_directory=True)
    with pytest.raises(NotAnExportError, match="it links to a, b"):
        READER.read(all_of)
    assert read(all_of / "a").planes.num_rows == 8
    Plate(name="c").write(all_of / "c")
    assert told(read(all_of), "folders that are links are not followed: a, b")


@pytest.mark.parametrize("bad", ["b", "b/TimePoint_1"])
def test_a_folder_that_cannot_be_listed_is_no_loss_in_silence(
    tmp_path: Path, unlistable: Callable[[Path], None], bad: str
) -> None:
    for name in ("a", "b"):
        Plate(name=name).write(tmp_path / name)
    unlistable(tmp_path / bad)
    assert READER.detect(tmp_path) is not None
    with pytest.raises(StorageError, match=f"{bad} cannot be listed: Permission denied"):
        READER.read(tmp_path)


def test_half_a_pixel_size(tmp_path: Path) -> None:
    def half(text: str) -> str:
        return text.replace('id="spatial-calibration-y" type="string" value="1.25"', 'id="y" type="string" value="0"')

    export = read(Plate(header=half).write(tmp_path / "p"))
    assert (export.acquisitions[0].pixel_size_x_um, export.acquisitions[0].pixel_size_y_um) == (1.25, 1.25)
    assert told(export, "a pixel is 1.25 µm wide and not how high; the same is taken")
    given = READER.with_options(ReaderOptions(pixel_size_um=0.5)).read(tmp_path / "p")[0]
    assert told(given, "--pixel-size 0.5 µm overrules the 1.25 µm of the images")


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_files_of_several_images_are_told(tmp_path: Path, byteorder: str) -> None:
    folder = Plate().write(tmp_path / "p")
    assert not told(read(folder), "several images")
    image = folder / "TimePoint_1/plate1_B02_s1_w1.TIF"
    tifffile.imwrite(
        image, np.zeros((2, 6, 8), np.uint16), description=Plate().xml(Img()), metadata=None, byteorder=byteorder
    )
    assert told(
        read(folder), "1 files hold several images, of which the first is read: TimePoint_1/plate1_B02_s1_w1.TIF"
    )


def test_units_of_the_header(tmp_path: Path) -> None:
    def other(text: str) -> str:
        return (
            text.replace('value="um"', 'value="mm"').replace('value="1.25"', 'value="0.00125"').replace("15 ms", "15")
        )

    export = read(Plate(header=other).write(tmp_path / "p"))
    assert export.acquisitions[0].pixel_size_x_um == pytest.approx(1.25)
    assert export.channels[0].exposure_ms is None


def test_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "x.HTD").write_text("something else")
    evidence = READER.detect(tmp_path)
    assert evidence is not None
    assert evidence.confidence == 0
    with pytest.raises(NotAnExportError):
        READER.read(tmp_path / "x.HTD")
    other = tmp_path / "other"
    Plate(header=lambda _: "ImageJ=1.53").write(other, htd=False)
    assert READER.detect(other) is None
    assert READER.detect(tmp_path / "absent") is None


def test_names_alone_are_a_weak_claim(tmp_path: Path) -> None:
    folder = Plate(header=lambda _: "", guids=True).write(tmp_path / "p", htd=False)
    evidence = READER.detect(folder)
    assert evidence is not None
    assert 0.5 < evidence.confidence < 1


def test_absurd_numbers(tmp_path: Path) -> None:
    folder = Plate().write(tmp_path / "p")
    htd = folder / "plate1.HTD"
    good = htd.read_bytes()
    for old, new in ((b'"XWells", 12', b'"XWells", 999'), (b'"TimePoints", 1', b'"TimePoints", 9999999')):
        htd.write_bytes(good.replace(old, new))
        with pytest.raises(InvalidDataError, match=r"XWells|TimePoints"):
            READER.read(folder)
    htd.write_bytes(good.replace(b"FALSE", b"TRUE").replace(b'"TimePoints", 1', b'"TimePoints", 99999'))
    with pytest.raises(InvalidDataError, match="more than 10000000 planes"):
        READER.read(folder)
    htd.write_bytes(good.replace(b'"EndFile"', b""))
    with pytest.raises(SourceFileError, match="cut off"):
        READER.read(folder)


def test_two_images_of_one_plane(tmp_path: Path) -> None:
    folder = Plate(guids=True).write(tmp_path / "p", htd=False)
    image = next(folder.rglob("*.TIF"))
    Plate(guids=True, images=[Img()], header=lambda text: text.replace("10:00", "11:00")).write(
        tmp_path / "q", htd=False
    )
    shutil.copy(next((tmp_path / "q").rglob("*.TIF")), image.with_name(image.name.replace("66923EBB", "76923EBB")))
    with pytest.raises(InvalidDataError, match="planes twice"):
        READER.read(folder)


def test_the_real_export(shared_data: Path) -> None:
    export = read(shared_data / "vendors/imagexpress/exported-htd-3434")
    assert counts(export) == {
        "stack": (["DAPI"], 12, 4),
        "projection": (["DAPI", "FITC"], 8, 0),
        "plane": (["Texas Red"], 4, 0),
    }
    stack = export.acquisitions[0]
    assert (stack.pixel_size_x_um, stack.z_step_um, stack.magnification) == (1.3672, 3.0, 40.0)
    fields = [f for f in export.fields.to_pylist() if f["acquisition_id"] == 1]
    assert [(f["well_id"], f["x_um"], f["y_um"]) for f in fields[:2]] == [
        ("B02", -315.02, -314.98),
        ("B02", 0.04, -314.98),
    ]


def test_the_real_database_layout(shared_data: Path) -> None:
    export = read(shared_data / "vendors/imagexpress/raw-projection-mix")
    assert counts(export) == {
        "stack": (["FITC_05", "FITC_05-2"], 80, 0),
        "projection": (["FITC_05", "FITC_05-2", "FITC_05-3"], 12, 0),
        "plane": (["FITC_05-4"], 4, 0),
    }
    assert (export.n_rows, export.n_columns) == (8, 12)
    assert export.acquisitions[0].z_step_um == 5.0
    assert [c.acquisition_mode for c in export.channels if c.acquisition_id == 2] == [
        "Maximum projection",
        "Best Focus projection",
        "Maximum projection",
    ]
