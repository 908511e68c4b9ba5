"""The Harmony reader: every version and layout that Harmony writes, and every way in which an index is wrong."""

from __future__ import annotations

import csv
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.export import PlateExport
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.vendors.harmony import HarmonyReader
from cytolake.ingest.vendors.harmony_files import Layout
from harmony_xml import BRIGHT, DAPI, FITC, Chan, Export, Img, changed, grid

VERSIONS = ["V5", "V6", "V7"]


def read(folder: Path) -> PlateExport:
    (export,) = HarmonyReader().read(folder)
    return export


def written(tmp_path: Path, **values: Any) -> PlateExport:
    return read(Export(**{"images": grid()} | values).write(tmp_path / "Measurement 1"))


def field_of(export: PlateExport, well: str, field: int) -> dict[str, Any]:
    return next(f for f in export.fields.to_pylist() if (f["well_id"], f["field_id"]) == (well, field))


# --- versions and layouts


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_versions_say_the_same(tmp_path: Path, version: str, bom: bool) -> None:
    export = written(tmp_path, version=version, bom=bom, images=grid(planes=3, times=2), plate_type="384 µClear")
    assert export.format_version == version
    assert export.plate_type == "384 µClear"
    assert (export.plate_id, export.barcode, export.n_rows, export.n_columns) == ("P0001", "P0001", 8, 12)
    assert export.planes.num_rows == 2 * 2 * 2 * 3 * 2
    assert export.planes["size"].null_count == 0
    assert sorted(set(export.planes["timepoint"].to_pylist())) == [0, 1]
    assert sorted(set(export.planes["z"].to_pylist())) == [0, 1, 2]
    assert [(c.name, c.vendor_id, c.role) for c in export.channels] == [
        ("HOECHST 33342", "1", "DNA"),
        ("Alexa 488", "2", None),
    ]
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width) == (6, 8)
    assert acquisition.pixel_size_x_um == pytest.approx(0.25)
    assert acquisition.z_step_um == pytest.approx(2.0)
    assert acquisition.time_interval_s == pytest.approx(300.5)
    assert acquisition.started_at == datetime(2024, 5, 1, 8, 0, 0, 123456, tzinfo=UTC)
    assert acquisition.ended_at == datetime(2024, 5, 1, 8, 1, 30, 250000, tzinfo=UTC)
    assert acquisition.measurement_id == "5de72537-0fda-42a5-8715-2e605ccb652c"
    assert (acquisition.instrument_model, acquisition.modality) == ("Opera Phenix", "widefield")
    assert (acquisition.magnification, acquisition.numerical_aperture) == (20.0, 0.8)
    channel = export.channels[0]
    assert (channel.excitation_nm, channel.emission_nm, channel.exposure_ms) == (405.0, 456.0, 20.0)
    assert channel.excitation_power == (None if version == "V5" else 20.0)


def test_the_stage_points_up_and_the_image_down(tmp_path: Path) -> None:
    export = written(tmp_path)
    assert field_of(export, "A01", 1) == {
        "acquisition_id": 1, "well_id": "A01", "field_id": 1, "x_um": 0.0, "y_um": 0.0, "z_um": 0.0,
    }  # fmt: skip
    moved = field_of(export, "B03", 2)
    assert (moved["x_um"], moved["y_um"]) == (100.0, -50.0)
    assert str(field_of(export, "A01", 1)["y_um"]) == "0.0"


@pytest.mark.parametrize("given", ["", "Images", "Images/Index.idx.xml"])
def test_an_export_may_be_named_in_three_ways(tmp_path: Path, given: str) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    export = read(folder / given)
    assert export.root == str(folder)
    assert export.planes["file"][0].as_py() == "Images/r01c01f01p01-ch1sk1fk1fl1.tiff"
    assert export.metadata_files == ("Images/Index.idx.xml",)


@pytest.mark.parametrize("name", ["Index.idx.xml", "Index.xml", "Index.ref.xml", "INDEX.XML"])
def test_an_index_has_several_names(tmp_path: Path, name: str) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    (folder / "Images" / "Index.idx.xml").rename(folder / "Images" / name)
    assert read(folder).planes["size"].null_count == 0


@pytest.mark.parametrize("subdirectory", ["", "Images"])
def test_an_index_above_the_images(tmp_path: Path, subdirectory: str) -> None:
    folder = Export(version="V7", images=grid(), index_above=True, subdirectory=subdirectory).write(tmp_path / "M")
    for given in (folder, folder / "Images", folder / "Index.xml"):
        export = read(given)
        assert export.root == str(folder)
        assert export.planes["size"].null_count == 0


def test_a_subdirectory_in_the_url_that_copying_dropped(tmp_path: Path) -> None:
    export = written(tmp_path, version="V7", subdirectory="Images")
    assert export.planes["size"].null_count == 0
    export = written(tmp_path / "other", version="V7", subdirectory="7f3c/Images")
    assert export.planes["size"].null_count == 0


def test_an_index_folder_beside_the_images(tmp_path: Path) -> None:
    folder = Export(version="V7", images=grid()).write(tmp_path / "M")
    (folder / "index").mkdir()
    (folder / "Images" / "Index.xml").rename(folder / "index" / "Index.xml")
    export = read(folder)
    assert export.planes["size"].null_count == 0
    assert export.metadata_files == ("index/Index.xml",)


def test_files_are_found_whatever_their_capitals(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    for file in (folder / "Images").glob("*.tiff"):
        file.rename(file.with_name(file.name.replace(".tiff", ".TIFF")))
    export = read(folder)
    assert export.planes["size"].null_count == 0
    assert all(str(f).endswith(".TIFF") for f in export.planes["file"].to_pylist())


def test_an_index_under_a_link_stays_where_it_was_named(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "real" / "M")
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    assert read(link).root == str(link)


# --- numbers


@pytest.mark.parametrize(("version", "base"), [("V5", 0), ("V7", 1), ("V5", 1), ("V6", 0)])
def test_time_points_count_from_zero_whatever_the_vendor_does(tmp_path: Path, version: str, base: int) -> None:
    export = written(tmp_path, version=version, first_timepoint=base, images=grid(times=3))
    assert sorted(set(export.planes["timepoint"].to_pylist())) == [0, 1, 2]


@pytest.mark.parametrize("version", ["V5", "V7"])
def test_later_time_points_alone_keep_their_numbers(tmp_path: Path, version: str) -> None:
    later = tuple(i for i in grid(times=4) if i.t >= 2)
    export = written(tmp_path, version=version, images=later)
    assert sorted(set(export.planes["timepoint"].to_pylist())) == [2, 3]


def test_fields_are_identified_by_their_number(tmp_path: Path) -> None:
    images = (*grid(wells=[(1, 1)], fields=[1, 3, 120]), *grid(wells=[(1, 2)], fields=[2, 3]))
    export = written(tmp_path, images=images)
    told = {(f["well_id"], f["field_id"]) for f in export.fields.to_pylist()}
    assert told == {("A01", 1), ("A01", 3), ("A01", 120), ("A02", 2), ("A02", 3)}
    wide = [f for f in export.planes["file"].to_pylist() if "f120p" in str(f)]
    assert len(wide) == 2
    assert export.planes["size"].null_count == 0


def test_wells_may_have_other_channels_than_their_neighbours(tmp_path: Path) -> None:
    images = (*grid(wells=[(1, 1)], channels=[1, 2]), *grid(wells=[(1, 2)], channels=[2]))
    export = written(tmp_path, images=images)
    seen = {(p["well_id"], p["channel_index"]) for p in export.planes.to_pylist()}
    assert seen == {("A01", 0), ("A01", 1), ("A02", 1)}


def test_channels_that_were_not_acquired_are_left_out(tmp_path: Path) -> None:
    export = written(tmp_path, version="V7", channels=(DAPI, FITC, BRIGHT), images=grid(channels=[1, 3]))
    assert [(c.channel_index, c.vendor_id) for c in export.channels] == [(0, "1"), (1, "3")]


def test_brightfield_has_no_emission(tmp_path: Path) -> None:
    export = written(tmp_path, channels=(DAPI, BRIGHT), images=grid(channels=[1, 3]))
    bright = export.channels[1]
    assert (bright.emission_nm, bright.contrast_method, bright.role) == (None, "brightfield", "Brightfield")
    assert bright.excitation_nm == 740.0


def test_channels_may_lie_at_different_heights(tmp_path: Path) -> None:
    export = written(tmp_path, channels=(DAPI, BRIGHT), images=grid(channels=[1, 3], planes=3), z_step_um=1.5)
    heights = {(p["channel_index"], p["z"]): p["z_um"] for p in export.planes.to_pylist()}
    assert heights == {(0, 0): 0.0, (0, 1): 1.5, (0, 2): 3.0, (1, 0): 4.0, (1, 1): 5.5, (1, 2): 7.0}
    assert export.acquisitions[0].z_step_um == pytest.approx(1.5)
    assert not any("evenly" in w for w in export.warnings)


def test_a_stack_in_one_channel_only(tmp_path: Path) -> None:
    images = (*grid(channels=[1], planes=4), *grid(channels=[2]))
    export = written(tmp_path, images=images)
    counts = [p["channel_index"] for p in export.planes.to_pylist()]
    assert (counts.count(0), counts.count(1)) == (16, 4)


def test_the_height_of_a_channel_is_kept_where_it_is_one(tmp_path: Path) -> None:
    images = grid(channels=[1, 3], planes=2)
    export = written(tmp_path / "a", channels=(DAPI, BRIGHT), images=images)
    assert [c.z_offset_um for c in export.channels] == [0.0, 4.0]
    moved = '<ChannelID>1</ChannelID>.*?<PositionZ Unit="m">'
    export = written(
        tmp_path / "b",
        channels=(DAPI, BRIGHT),
        images=images,
        tweak=lambda t: re.sub(f"({moved})0<", r"\g<1>5e-06<", t, count=1, flags=re.DOTALL),
    )
    assert [c.z_offset_um for c in export.channels] == [None, 4.0]


def test_channels_of_one_name_are_told_apart_by_id(tmp_path: Path) -> None:
    twice = (Chan(id=1, name="DAPI"), Chan(id=4, name="DAPI"))
    export = written(tmp_path, channels=twice, images=grid(channels=[1, 4]))
    assert [(c.name, c.vendor_id) for c in export.channels] == [("DAPI", "1"), ("DAPI", "4")]
    assert any("1, 4 are all called 'DAPI'" in w for w in export.warnings)
    assert [c.role for c in export.channels] == [None, None]


@pytest.mark.parametrize(("told", "given"), [({"rows": 16, "columns": 0}, "16 rows"), ({"rows": 0}, "12 columns")])
def test_half_a_plate_size_is_taken_and_told(tmp_path: Path, told: dict[str, int], given: str) -> None:
    export = written(tmp_path, **told)
    assert (export.n_rows, export.n_columns) == ((16, 24) if "rows" in given else (8, 12))
    assert any(f"says that the plate has {given} and not how many" in w for w in export.warnings)


def test_an_index_that_says_no_size_of_its_plate(tmp_path: Path) -> None:
    export = written(tmp_path, rows=0, columns=0)
    assert (export.n_rows, export.n_columns) == (2, 3)
    assert any("the export does not say the size of the plate; 2 × 3 holds its wells" in w for w in export.warnings)


def test_what_the_user_says_stands_above_the_index(tmp_path: Path) -> None:
    reader = HarmonyReader().with_options(ReaderOptions(pixel_size_um=0.5, plate_format=(16, 24)))
    (export,) = reader.read(Export(images=grid()).write(tmp_path / "M"))
    acquisition = export.acquisitions[0]
    assert (acquisition.pixel_size_x_um, acquisition.pixel_size_y_um) == (0.5, 0.5)
    assert (export.n_rows, export.n_columns) == (16, 24)
    assert any("--pixel-size 0.5 µm overrules the 0.25 × 0.25 µm of the index" in w for w in export.warnings)
    assert any("the index says 8 × 12 wells; 16 × 24 was given" in w for w in export.warnings)
    folder = Export(images=grid(), tweak=lambda t: t.replace("2.5E-07", "0")).write(tmp_path / "none")
    with pytest.raises(InvalidDataError, match="ImageResolutionX") as raised:
        read(folder)
    assert "--pixel-size UM" in str(raised.value.hint)
    assert reader.read(folder)[0].acquisitions[0].pixel_size_x_um == 0.5


def test_units_that_harmony_does_not_use_are_counted_in(tmp_path: Path) -> None:
    def tweak(text: str) -> str:
        text = text.replace('MeasurementTimeOffset Unit="s"', 'MeasurementTimeOffset Unit="ms"')
        text = text.replace('ExposureTime Unit="s"', 'ExposureTime Unit="ms"')
        return re.sub(r'(Position\w) Unit="m"', r'\1 Unit="mm"', text)

    export = written(tmp_path, images=grid(times=2), tweak=tweak)
    assert (field_of(export, "A01", 2)["x_um"], export.channels[0].exposure_ms) == (0.1, 0.02)
    assert export.acquisitions[0].time_interval_s == 0.3005


def test_a_moment_that_was_never_set_is_none(tmp_path: Path) -> None:
    export = written(tmp_path, tweak=lambda t: re.sub(r"(<AbsTime>)[^<]*", r"\g<1>0001-01-01T00:00:00", t))
    assert export.planes["acquired_at"].null_count == export.planes.num_rows


def test_a_position_that_the_first_image_of_a_field_leaves_out(tmp_path: Path) -> None:
    def drop(text: str) -> str:
        at = text.rindex('<PositionX Unit="m">0.0001<', 0, text.index("<Row>2</Row><Col>3</Col><FieldID>1"))
        at = text.rindex('<PositionX Unit="m">0.0001<', 0, at)
        return text[:at] + text[at:].replace('<PositionX Unit="m">0.0001</PositionX>', "", 1)

    export = written(tmp_path, version="V7", tweak=drop)
    assert field_of(export, "A01", 2)["x_um"] == 100.0
    none = written(tmp_path / "none", tweak=lambda t: re.sub(r"<PositionX[^>]*>[^<]*</PositionX>", "", t))
    assert none.fields["x_um"].null_count == none.fields.num_rows


def test_measurements_far_below_are_read_with_the_others(tmp_path: Path) -> None:
    Export(images=grid()).write(tmp_path / "all" / "m1")
    Export(images=grid(), plate_id="P2").write(tmp_path / "all" / "batch" / "week" / "m2")
    Export(images=grid(), plate_id="P3").write(tmp_path / "elsewhere" / "m3")
    (tmp_path / "all" / "m3").symlink_to(tmp_path / "elsewhere" / "m3", target_is_directory=True)
    (tmp_path / "all" / "batch" / "round").symlink_to(tmp_path / "all", target_is_directory=True)
    found = HarmonyReader().read(tmp_path / "all")
    assert sorted((export.plate_id, export.planes["size"].null_count) for export in found) == [
        ("P0001", 0), ("P2", 0), ("P3", 0),
    ]  # fmt: skip


def test_images_without_an_index_beside_a_measurement_are_told(tmp_path: Path) -> None:
    Export(images=grid()).write(tmp_path / "m1")
    lost = Export(images=grid()).write(tmp_path / "m2")
    (lost / "Images" / "Index.idx.xml").unlink()
    (tmp_path / "notes").mkdir()
    (doubt,) = [w for w in read(tmp_path).warnings if "no index" in w]
    assert doubt.startswith(f"{lost} holds images of Harmony and no index")


def test_a_url_with_backslashes(tmp_path: Path) -> None:
    export = written(tmp_path, images=changed(grid(), 1, url="Images\\" + grid()[1].name))
    assert export.planes["size"].null_count == 0


# --- what travels with an export

LAYOUT = """<?xml version="1.0" encoding="utf-8"?>
<AssayLayout xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5"><PlateCols>12</PlateCols><PlateRows>8</PlateRows>
<Layer><Name>Compound</Name><ValueType>string</ValueType>
<Well><Row>1</Row><Col>1</Col><Value>Aspirin</Value></Well>
<Well><Row>1</Row><Col>2</Col><Value /></Well>
<Well><Row>2</Row><Col>3</Col><Value>DMSO</Value></Well></Layer>
<Layer><Name>Dose</Name><Well><Row>1</Row><Col>1</Col><Value>10 µM</Value></Well></Layer></AssayLayout>"""


@pytest.mark.parametrize("place", ["Assaylayout", "Images/AssayLayout"])
def test_assay_layouts_are_annotation(tmp_path: Path, place: str) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    (folder / place).mkdir()
    (folder / place / "plate.xml").write_text(LAYOUT, encoding="utf-8-sig")
    export = read(folder)
    assert export.annotation.to_pylist() == [
        {"well_id": "A01", "layer": "Compound", "value": "Aspirin"},
        {"well_id": "B03", "layer": "Compound", "value": "DMSO"},
        {"well_id": "A01", "layer": "Dose", "value": "10 µM"},
    ]
    assert f"{place}/plate.xml" in export.metadata_files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAYOUT[:-40], "cut off"),
        (LAYOUT.replace("AssayLayout", "Other"), "<Other>"),
        (LAYOUT.replace("<Row>2</Row>", "<Row>9</Row>"), "outside the plate"),
        (LAYOUT.replace("<PlateCols>12", "<PlateCols>6"), "of a plate of 8 × 6 wells, this one has 8 × 12"),
        (LAYOUT.replace("<PlateRows>8", "<PlateRows>16"), "of a plate of 16 × 12 wells, this one has 8 × 12"),
        (LAYOUT.replace("<Row>2</Row>", "<Row>b</Row>"), "whole number"),
        ("<!DOCTYPE x>" + LAYOUT.split("?>")[1], "declares a document type"),
    ],
)
def test_a_broken_assay_layout_is_a_warning(tmp_path: Path, text: str, said: str) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    (folder / "Assaylayout").mkdir()
    (folder / "Assaylayout" / "plate.xml").write_text(text)
    export = read(folder)
    assert export.annotation.num_rows == 0
    assert any(said in w for w in export.warnings)


def test_flat_field_profiles_are_kept_with_their_channel(tmp_path: Path) -> None:
    export = written(tmp_path, channels=(DAPI, Chan(id=2, name="405ex, 570-630-em)", excitation=405, emission=599)))
    flatfield = export.channels[1].flatfield
    assert flatfield is not None
    assert flatfield["ChannelName"] == "405ex, 570-630-em)"
    assert flatfield["Background"]["Profile"]["Coefficients"] == [[1.2], [0.1, -0.2], [-0.8, 0.05, -0.4]]
    assert flatfield["Background"]["NoiseConst"] == "INF"


def test_flat_field_profiles_of_an_older_operetta(tmp_path: Path) -> None:
    export = Export(images=grid())
    folder = Export(images=grid(), profiles=False).write(tmp_path / "P1__2024-Measurement 2")
    (folder / "FFC_Profile").mkdir()
    entries = re.search(r"<Maps>.*</Maps>", export.xml().decode(), re.DOTALL)
    assert entries is not None
    own = f'<EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5">{entries[0]}</EvaluationInputData>'
    (folder / "FFC_Profile" / "FFC_Profile_Measurement 2.xml").write_text(own)
    (folder / "FFC_Profile" / "FFC_Profile_Measurement 1.xml").write_text(own.replace("373.6", "1.0"))
    read_back = read(folder)
    assert [c.flatfield is not None for c in read_back.channels] == [True, True]
    assert read_back.channels[0].flatfield is not None
    assert read_back.channels[0].flatfield["Background"]["Mean"] == 373.6
    assert "FFC_Profile/FFC_Profile_Measurement 2.xml" in read_back.metadata_files


def test_a_broken_flat_field_profile_is_a_warning(tmp_path: Path) -> None:
    export = written(tmp_path, tweak=lambda text: text.replace("Version: Acapella:2013}", "Version: ", 1))
    assert export.channels[0].flatfield is None
    assert export.channels[1].flatfield is not None
    assert any("flat-field profile of channel 1" in w for w in export.warnings)


def test_measurements_of_one_plate_become_its_acquisitions(tmp_path: Path) -> None:
    Export(images=grid(), started="2024-05-02T10:00:00Z").write(tmp_path / "P1" / "a-Measurement 2")
    Export(images=grid(fields=[1]), started="2024-05-01T10:00:00Z").write(tmp_path / "P1" / "b-Measurement 1")
    Export(images=grid(), plate_id="P0002").write(tmp_path / "P1" / "c-Measurement 1")
    both, other = HarmonyReader().read(tmp_path / "P1")
    assert (both.plate_id, other.plate_id) == ("P0001", "P0002")
    assert [(a.acquisition_id, a.started_at) for a in both.acquisitions] == [
        (1, datetime(2024, 5, 1, 10, tzinfo=UTC)),
        (2, datetime(2024, 5, 2, 10, tzinfo=UTC)),
    ]
    assert both.planes["size"].null_count == 0
    assert both.planes.num_rows == 4 + 8
    assert all((Path(both.root) / str(f)).is_file() for f in both.planes["file"].to_pylist())
    assert sorted({c.acquisition_id for c in both.channels}) == [1, 2]


@pytest.mark.parametrize("differ", [False, True])
def test_layouts_of_several_measurements_are_all_kept(tmp_path: Path, differ: bool) -> None:
    texts = (LAYOUT, LAYOUT.replace("DMSO", "water") if differ else LAYOUT, "")
    for number, text in enumerate(texts, start=1):
        folder = Export(images=grid(), started=f"2024-05-0{number}T10:00:00Z").write(tmp_path / f"m{number}")
        if text:
            (folder / "Assaylayout").mkdir()
            (folder / "Assaylayout" / "plate.xml").write_text(text, encoding="utf-8")
    export = read(tmp_path)
    told = [(row["well_id"], row["layer"], row["value"]) for row in export.annotation.to_pylist()]
    if not differ:
        assert told == [("A01", "Compound", "Aspirin"), ("B03", "Compound", "DMSO"), ("A01", "Dose", "10 µM")]
        return
    assert told == [
        ("A01", "Compound (m1)", "Aspirin"),
        ("B03", "Compound (m1)", "DMSO"),
        ("A01", "Compound (m2)", "Aspirin"),
        ("B03", "Compound (m2)", "water"),
        ("A01", "Dose", "10 µM"),
    ]
    assert any("differ in the layer 'Compound'" in w for w in export.warnings)


def test_layers_that_one_measurement_has_alone_are_kept(tmp_path: Path) -> None:
    for name, layer in (("m1", "Dose"), ("m2", "Batch")):
        folder = Export(images=grid()).write(tmp_path / name)
        (folder / "Assaylayout").mkdir()
        (folder / "Assaylayout" / "plate.xml").write_text(LAYOUT.replace("Dose", layer), encoding="utf-8")
    export = read(tmp_path)
    assert sorted(set(export.annotation["layer"].to_pylist())) == ["Batch", "Compound", "Dose"]
    assert not any("differ in the layer" in w for w in export.warnings)


def test_several_measurements_below_a_path_with_dots(tmp_path: Path) -> None:
    for name in ("m1", "m2"):
        Export(images=grid()).write(tmp_path / "all" / name)
    export = read(tmp_path / "all" / "m1" / "..")
    assert (export.root, export.planes["size"].null_count) == (str(tmp_path / "all"), 0)


@pytest.mark.parametrize("bad", ["m2", "m2/Images"])
def test_a_folder_that_cannot_be_listed_is_no_loss_in_silence(
    tmp_path: Path, unlistable: Callable[[Path], None], bad: str
) -> None:
    for name in ("m1", "m2"):
        Export(images=grid()).write(tmp_path / name)
    unlistable(tmp_path / bad)
    assert HarmonyReader().detect(tmp_path) is not None
    with pytest.raises(StorageError, match=f"{bad} cannot be listed: Permission denied"):
        HarmonyReader().read(tmp_path)


def test_plates_of_alike_names_are_not_one_plate(tmp_path: Path) -> None:
    for number, name in enumerate(("A B", "A/B", "A-B")):
        Export(images=grid(), plate_id=name).write(tmp_path / f"m{number}-Measurement 1")
    found = HarmonyReader().read(tmp_path)
    assert sorted(str(export.barcode) for export in found) == ["A B", "A-B", "A/B"]
    assert len({export.plate_id for export in found}) == 3
    assert {len(export.acquisitions) for export in found} == {1}


# --- what is missing


def test_absent_files_are_counted_not_dropped(tmp_path: Path) -> None:
    export = written(tmp_path, images=changed(grid(), 3, write=False))
    assert export.planes.num_rows == 8
    missing = [p for p in export.planes.to_pylist() if p["size"] is None]
    assert [(p["well_id"], p["field_id"], p["channel_index"]) for p in missing] == [("A01", 2, 1)]
    assert missing[0]["file"] == "Images/r01c01f02p01-ch2sk1fk1fl1.tiff"


def test_no_files_at_all(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    for file in (folder / "Images").glob("*.tiff"):
        file.unlink()
    assert read(folder).planes["size"].null_count == 8


def test_what_the_microscope_marks_is_a_warning(tmp_path: Path) -> None:
    export = written(tmp_path, images=changed(grid(), 0, state="Failed"))
    assert any("marks 1 images as not Ok: 0101K1F1P1R1 (Failed)" in w for w in export.warnings)
    assert export.planes.num_rows == 8


def test_images_listed_and_not_described_are_a_warning(tmp_path: Path) -> None:
    def drop(text: str) -> str:
        return re.sub(r'<Image Version="1">(?:(?!</Image>).)*</Image>', "", text, count=1, flags=re.DOTALL)

    assert any("lists 8 images in its wells and describes 7" in w for w in written(tmp_path, tweak=drop).warnings)


def test_times_without_a_zone_are_taken_as_utc_with_a_warning(tmp_path: Path) -> None:
    export = written(tmp_path, tweak=lambda text: text.replace("+02:00", ""))
    assert export.acquisitions[0].started_at == datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert sum("time zone" in w for w in export.warnings) == 2


def test_an_exposure_that_varies_is_a_warning(tmp_path: Path) -> None:
    export = written(tmp_path, tweak=lambda t: t.replace('Unit="s">0.02<', 'Unit="s">0.04<', 1))
    assert any("channel 1 has ExposureTime '0.04' in its first image, '0.02'" in w for w in export.warnings)


# --- what is wrong

BROKEN: dict[str, tuple[dict[str, Any], type[CytolakeError], str]] = {
    "a plane twice": (
        {"images": (*grid(), Img(url="other.tiff", write=False))},
        InvalidDataError,
        "describes 1 planes twice: A01 field 1 channel 1 z 0 time point 0 is r01c01f01p01-ch1sk1fk1fl1.tiff and other",
    ),
    "a file twice": (
        {"images": changed(grid(), 1, url="r01c01f01p01-ch1sk1fk1fl1.tiff")},
        InvalidDataError,
        "0101K1F1P1R1 and 0101K1F1P1R2 are one file",
    ),
    "a well outside": (
        {"images": grid(wells=[(1, 1), (9, 1)])},
        InvalidDataError,
        "lies in row 9, column 1, outside its plate of 8 × 12 wells",
    ),
    "row 0": ({"images": grid(wells=[(0, 1)])}, InvalidDataError, "lies in row 0"),
    "too large a plate": ({"rows": 33}, InvalidDataError, "33 × 12"),
    "no images": ({"images": ()}, InvalidDataError, "describes no image"),
    "sizes differ": (
        {"channels": (DAPI, Chan(id=2, name="x", height=3, width=4))},
        InvalidDataError,
        "ImageSizeY differs (channel 1 6, channel 2 3)",
    ),
    "a size differs in one image": (
        {"tweak": lambda t: t.replace("<ImageSizeX>8<", "<ImageSizeX>9<", 1)},
        InvalidDataError,
        "ImageSizeX differs",
    ),
    "resolutions differ": (
        {"tweak": lambda t: t.replace("2.5E-07</ImageResolutionX>", "5E-07</ImageResolutionX>", 1)},
        InvalidDataError,
        "ImageResolutionX differs",
    ),
    "no resolution": (
        {"tweak": lambda t: t.replace("2.5E-07", "0")},
        InvalidDataError,
        "says no ImageResolutionX above 0",
    ),
    "no number": (
        {"tweak": lambda t: t.replace("<FieldID>2<", "<FieldID>two<", 1)},
        InvalidDataError,
        "FieldID of image 0101K1F2P1R1 is 'two', no whole number",
    ),
    "no field": (
        {"tweak": lambda t: t.replace("<FieldID>1</FieldID>", "", 1)},
        InvalidDataError,
        "image 0101K1F1P1R1 has no FieldID",
    ),
    "no URL": (
        {"tweak": lambda t: re.sub(r"<URL>[^<]*</URL>", "<URL />", t)},
        InvalidDataError,
        "no image has a URL",
    ),
    "an endless time": (
        {"tweak": lambda t: t.replace("<TimepointID>0<", "<TimepointID>2000000000<", 1)},
        InvalidDataError,
        "TimepointID of image 0101K1F1P1R1 is 2000000000, far from all others",
    ),
    "a time far off": (
        {"tweak": lambda t: t.replace("<TimepointID>0<", "<TimepointID>90000<", 1)},
        InvalidDataError,
        "TimepointID of image 0101K1F1P1R1 is 90000, far from all others",
    ),
    "all times far off": (
        {"tweak": lambda t: t.replace("<TimepointID>0<", "<TimepointID>90000<")},
        InvalidDataError,
        "TimepointID of image 0101K1F1P1R1 is 90000, no number that counts",
    ),
    "a plane far off": (
        {"tweak": lambda t: t.replace("<PlaneID>1<", "<PlaneID>90000<", 1)},
        InvalidDataError,
        "PlaneID of image 0101K1F1P1R1 is 90000, far from all others",
    ),
    "a field below 0": (
        {"tweak": lambda t: t.replace("<FieldID>2<", "<FieldID>-2<", 1)},
        InvalidDataError,
        "FieldID of image 0101K1F2P1R1 is -2, below 0",
    ),
    "binning": (
        {"tweak": lambda t: t.replace("<BinningX>2<", "<BinningX>99999999999<")},
        InvalidDataError,
        "channel 1: BinningX is 99999999999, beyond",
    ),
    "intensity": (
        {"tweak": lambda t: t.replace(">65535<", ">1e30<")},
        InvalidDataError,
        "channel 1: MaxIntensity is 1e30, beyond",
    ),
    "exposure": (
        {"tweak": lambda t: t.replace(">0.02<", ">1e308<")},
        InvalidDataError,
        "channel 1: ExposureTime is 1e308, beyond",
    ),
    "a side too long": (
        {"tweak": lambda t: t.replace("<ImageSizeX>8<", "<ImageSizeX>25600000000000<")},
        InvalidDataError,
        "channel 1: ImageSizeX is 25600000000000, beyond the 65536",
    ),
    "a plane too large": (
        {"tweak": lambda t: t.replace("SizeX>8<", "SizeX>65000<").replace("SizeY>6<", "SizeY>65000<")},
        InvalidDataError,
        "is 65000 × 65000",
    ),
    "far away": (
        {"tweak": lambda t: re.sub(r"(<PositionX[^>]*>)[^<]*", r"\g<1>1e305", t, count=1)},
        InvalidDataError,
        "PositionX of image 0101K1F1P1R1 is 1e305, more than 10 m away",
    ),
    "a resolution too coarse": (
        {"tweak": lambda t: t.replace("2.5E-07", "1e308")},
        InvalidDataError,
        "ImageResolutionX is 1e308, beyond",
    ),
    "a resolution too fine": (
        {"tweak": lambda t: t.replace("2.5E-07", "2.5E-12")},
        InvalidDataError,
        "ImageResolutionX is 2.5e-06 µm a pixel",
    ),
    "an unknown unit": (
        {"tweak": lambda t: t.replace('PositionX Unit="m"', 'PositionX Unit="pixel"')},
        InvalidDataError,
        "PositionX is in 'pixel', which is no unit",
    ),
    "two units": (
        {"tweak": lambda t: t[::-1].replace('"m"=tinU XnoitisoP<', '"mm"=tinU XnoitisoP<', 1)[::-1]},
        InvalidDataError,
        "PositionX is in 'm' here and in 'mm' there",
    ),
    "half a plate that there is not": (
        {"rows": 5, "columns": 0},
        InvalidDataError,
        "5 rows and not how many columns",
    ),
    "two plates": (
        {"tweak": lambda t: t.replace("</Plates>", "<Plate><PlateID>2</PlateID></Plate></Plates>")},
        InvalidDataError,
        "describes 2 plates",
    ),
    "another root": (
        {"tweak": lambda t: t.replace("EvaluationInputData", "Measurement")},
        NotAnExportError,
        "root element is <Measurement> in namespace http://www.perkinelmer.com/PEHH/HarmonyV5",
    ),
    "another namespace": (
        {"tweak": lambda t: t.replace("http://www.perkinelmer.com/PEHH/HarmonyV5", "urn:other")},
        NotAnExportError,
        "root element is <EvaluationInputData> in namespace urn:other",
    ),
    "a document type": (
        {"tweak": lambda t: t.replace("?>", '?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', 1)},
        NotAnExportError,
        "declares a document type",
    ),
    "not XML": ({"tweak": lambda t: "Index of images"}, NotAnExportError, "is not XML"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_index_is_refused(tmp_path: Path, case: str) -> None:
    values, kind, said = BROKEN[case]
    folder = Export(**{"images": grid()} | values).write(tmp_path / "M")
    with pytest.raises(kind) as raised:
        read(folder)
    assert said in raised.value.message
    assert "Index.idx.xml" in raised.value.message


@pytest.mark.parametrize(
    "url",
    [
        "/etc/passwd",
        "../../secret.tiff",
        "Images/../../x.tiff",
        "..\\x.tiff",
        "C:/x.tiff",
        "file:///x.tiff",
        "https://example.org/x.tiff",
        "a&#9;b.tiff",
        "folder/",
    ],
)
def test_urls_that_leave_the_export_are_refused(tmp_path: Path, url: str) -> None:
    folder = Export(images=changed(grid(), 2, url=url, write=False)).write(tmp_path / "M")
    with pytest.raises(SourceFileError, match="image 0101K1F2P1R1 names the file"):
        read(folder)


@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.05])
def test_an_index_that_is_cut_off_says_where(tmp_path: Path, share: float) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    index = folder / "Images" / "Index.idx.xml"
    data = index.read_bytes()
    size = int(len(data) * share)
    index.write_bytes(data[:size])
    with pytest.raises(SourceFileError, match=rf"Index.idx.xml is cut off at byte \d+ of {size}"):
        read(folder)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x" * 10}">' for i in range(10))
    folder = Export(images=grid(), tweak=lambda t: t.replace("?>", f"?><!DOCTYPE x [{bomb}]>", 1)).write(tmp_path / "M")
    started = time.monotonic()
    with pytest.raises(NotAnExportError, match="document type"):
        read(folder)
    assert time.monotonic() - started < 5


def test_a_folder_without_an_index(tmp_path: Path) -> None:
    (tmp_path / "Images").mkdir()
    with pytest.raises(NotAnExportError, match="holds no Harmony index"):
        HarmonyReader().read(tmp_path)


# --- real exports


@pytest.fixture
def harmony(shared_data: Path) -> Path:
    return shared_data / "vendors" / "harmony"


@pytest.mark.parametrize(("sample", "table"), [("phenix-v5", "version1"), ("phenix-v7-index-only", "version7")])
def test_real_phenix_against_another_reader(harmony: Path, sample: str, table: str) -> None:
    """pe2loaddata's file list for the same index, channel by channel."""
    export = read(harmony / sample / "images")
    with (harmony / sample / f"load_data_{table}.csv").open() as file:
        (expected,) = csv.DictReader(file)
    stains = {n.removeprefix("FileName_Orig") for n in expected if n.startswith("FileName_Orig")}
    planes = {p["channel_index"]: p for p in export.planes.to_pylist()}
    assert len(stains) == len(export.channels) == len(planes)
    by_id = {c.vendor_id: c for c in export.channels}
    for stain in stains:
        channel = by_id[expected[f"Metadata_ChannelID_Orig{stain}"]]
        plane = planes[channel.channel_index]
        assert Path(plane["file"]).name == expected[f"FileName_Orig{stain}"]
        assert channel.name == expected[f"Metadata_ChannelName_Orig{stain}"]
        assert channel.excitation_nm == float(expected[f"Metadata_MainExcitationWavelength_Orig{stain}"])
        assert (channel.emission_nm or 0) == float(expected[f"Metadata_MainEmissionWavelength_Orig{stain}"])
        exposure = expected.get(f"Metadata_ExposureTime_Orig{stain}") or expected["Metadata_ExposureTime"]
        assert channel.exposure_ms == pytest.approx(1000 * float(exposure))
        assert plane["z_um"] == pytest.approx(1e6 * float(expected[f"Metadata_PositionZ_Orig{stain}"]))
        taken = datetime.fromisoformat(expected[f"Metadata_AbsTime_Orig{stain}"])
        assert plane["acquired_at"] == taken.astimezone(UTC)
        # What the other reader was told the stain is, and we infer; its "Actin" is a name of that laboratory.
        assert channel.role == (None if stain == "Actin" else stain)
    (acquisition,) = export.acquisitions
    assert (acquisition.width, acquisition.height) == (
        int(expected["Metadata_ImageSizeX"]),
        int(expected["Metadata_ImageSizeY"]),
    )
    assert acquisition.pixel_size_x_um == pytest.approx(1e6 * float(expected["Metadata_ImageResolutionX"]))
    assert export.plate_id == expected["Metadata_Plate"]
    assert export.planes["well_id"][0].as_py() == expected["Metadata_Well"]
    assert all(c.flatfield for c in export.channels)


def test_real_operetta(harmony: Path) -> None:
    export = read(harmony / "operetta-cls")
    assert (export.plate_type, export.n_rows, export.n_columns) == ("384 Greiner µClear", 16, 24)
    assert export.metadata_files == ("Images/Index.idx.xml", "Assaylayout/Unnamed.xml")
    assert export.annotation.num_rows == 0, "its layout holds empty values only"
    assert export.acquisitions[0].instrument_model == "Operetta CLS"
    one, two = field_of(export, "C03", 1), field_of(export, "C03", 2)
    assert (one["y_um"], two["y_um"]) == (-645.814, -645.814)
    # The second field lies one field width to the right: positions need no OrientationMatrix.
    width = export.acquisitions[0].width * export.acquisitions[0].pixel_size_x_um
    assert two["x_um"] - one["x_um"] == pytest.approx(width, rel=1e-4)
    assert [c.role for c in export.channels] == [None]
    assert any("--role 'Fluorescein (FITC)=ROLE'" in w for w in export.warnings)


# --- scale


def test_a_large_index_is_read_in_seconds(tmp_path: Path) -> None:
    """384 wells × 9 fields × 6 channels: 20,736 planes of a 35 MB index."""
    channels = tuple(Chan(id=i, name=f"c{i}", excitation=400 + 50 * i, emission=450 + 50 * i) for i in range(1, 7))
    wells = [(r, c) for r in range(1, 17) for c in range(1, 25)]
    images = tuple(
        Img(row=r, col=c, field=f, channel=ch, write=False)
        for r, c in wells
        for f in range(1, 10)
        for ch in range(1, 7)
    )
    folder = Export(rows=16, columns=24, channels=channels, images=images).write(tmp_path / "M")
    started = time.process_time()
    export = read(folder)
    assert export.planes.num_rows == export.planes["size"].null_count == 20_736
    assert time.process_time() - started < 10


def test_one_listing_per_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never one question per image: the folder may be on a share at the other end of the house."""
    images = grid(fields=range(1, 30))
    folder = Export(images=images).write(tmp_path / "M")
    listed: list[str] = []
    scandir = os.scandir

    def counted(path: Any) -> Any:
        listed.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    layout = Layout.of(folder / "Images" / "Index.idx.xml")
    _, sizes = layout.locate([i.name for i in images])
    assert None not in sizes
    assert len(listed) <= 6, listed
