"""The OME-TIFF reader: plates in one file, in sets and with companions; wells by name; and what is no plate."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.pixels import read_plane
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.vendors.ome_tiff import OmeTiffReader
from cytolake.ingest.vendors.ome_tiff_names import field_in, well_in, well_of_file
from vendor_exports.ome import Img, Plate, grid, pixels, write_tiff


class TestCompanion(ReaderContract):
    reader = OmeTiffReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(images=grid(z=2, t=2)).write(tmp_path / "plate")


class TestSingleFile(ReaderContract):
    reader = OmeTiffReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(layout="single", images=grid(z=2)).write(tmp_path / "plate")

    # The one file holds all: without it nothing is promised.
    test_absent_files_are_counted = None  # type: ignore[assignment]


class TestSet(ReaderContract):
    reader = OmeTiffReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(layout="set").write(tmp_path / "plate")


class TestFilePerField(ReaderContract):
    reader = OmeTiffReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(layout="alone").write(tmp_path / "plate")


class TestWellsByName(ReaderContract):
    reader = OmeTiffReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(layout="alone", with_plate=False).write(tmp_path / "plate")


def read(path: Path, **options: Any) -> PlateExport:
    (export,) = OmeTiffReader().with_options(ReaderOptions(**options)).read(path)
    return export


def written(tmp_path: Path, **values: Any) -> PlateExport:
    return read(Plate(**values).write(tmp_path / "plate"))


def places(export: PlateExport) -> dict[tuple[str, int], tuple[float, float]]:
    return {(f["well_id"], f["field_id"]): (f["x_um"], f["y_um"]) for f in export.fields.to_pylist()}


def value(export: PlateExport, plane: dict[str, Any]) -> int:
    (acquisition,) = [a for a in export.acquisitions if a.acquisition_id == plane["acquisition_id"]]
    out = np.zeros((acquisition.height, acquisition.width), np.uint16)
    read_plane(Path(export.root) / plane["file"], plane["page"], out)
    return int(out[0, 0])


# --- plates


@pytest.mark.parametrize("layout", ["companion", "set", "single", "alone"])
def test_what_a_plate_says(tmp_path: Path, layout: str) -> None:
    export = written(tmp_path, layout=layout, images=grid(z=3, t=2))
    assert (export.plate_id, export.name, export.barcode) == ("BC007", "Plate 7", "BC007")
    assert (export.n_rows, export.n_columns, export.format_version) == (8, 12, "2016-06")
    assert export.planes.num_rows == 4 * 2 * 3 * 2
    assert export.planes["size"].null_count == 0
    assert sorted(places(export)) == [("A01", 1), ("A01", 2), ("B03", 1), ("B03", 2)]
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.name) == (6, 8, "Run 1")
    assert (acquisition.pixel_size_x_um, acquisition.pixel_size_y_um, acquisition.z_step_um) == (0.325, 0.325, 2.0)
    assert acquisition.started_at == datetime(2024, 5, 1, 8, tzinfo=UTC)
    assert (acquisition.time_interval_s, acquisition.magnification, acquisition.camera) == (60.0, 20.0, "Cam 9")
    assert (acquisition.modality, acquisition.instrument_model) == ("widefield", "Z1")
    channel = export.channels[0]
    assert (channel.name, channel.role, channel.color, channel.binning) == ("Hoechst 33342", "DNA", "FF0000", 2)
    assert (channel.excitation_nm, channel.emission_nm, channel.exposure_ms) == (405.0, 450.0, 50.0)
    assert channel.contrast_method == "fluorescence"


@pytest.mark.parametrize("layout", ["companion", "single"])
@pytest.mark.parametrize("order", ["XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"])
def test_every_order_of_planes(tmp_path: Path, order: str, layout: str) -> None:
    export = written(tmp_path, layout=layout, order=order, images=grid(wells=[(0, 0)], fields=2, z=3, t=2))
    sizes = {"C": 2, "Z": 3, "T": 2}
    for plane in export.planes.to_pylist():
        at = {"C": plane["channel_index"], "Z": plane["z"], "T": plane["timepoint"]}
        page, stride = 0, 1
        for axis in order[2:]:
            page, stride = page + at[axis] * stride, stride * sizes[axis]
        assert value(export, plane) == 1000 * (plane["field_id"] - 1) + page


def test_pixels_are_those_of_tifffile(tmp_path: Path) -> None:
    folder = tmp_path / "plate"
    folder.mkdir()
    stack = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    tifffile.imwrite(
        folder / "A01_f1.ome.tif",
        stack,
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["DAPI", "GFP"]}},
    )
    export = read(folder)
    assert [c.name for c in export.channels] == ["DAPI", "GFP"]
    for plane in export.planes.to_pylist():
        out = np.zeros((4, 5), np.uint16)
        read_plane(folder / plane["file"], plane["page"], out)
        np.testing.assert_array_equal(out, stack[plane["channel_index"], plane["z"]])


def test_any_file_of_a_plate_stands_for_it(tmp_path: Path) -> None:
    for layout in ("companion", "set", "alone"):
        folder = Plate(layout=layout).write(tmp_path / layout)
        for file in folder.iterdir():
            assert read(file).planes.equals(read(folder).planes), file


def test_plates_of_one_folder_are_apart(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        plate = Plate(layout="single", name=name, barcode=None)
        plate.write(tmp_path / name)
        (tmp_path / name / "plate.ome.tif").rename(tmp_path / f"{name}.ome.tif")
        (tmp_path / name).rmdir()
    assert [e.plate_id for e in OmeTiffReader().read(tmp_path)] == ["p1", "p2"]
    assert read(tmp_path / "p2.ome.tif").plate_id == "p2"


def test_acquisitions_are_those_of_the_plate(tmp_path: Path) -> None:
    images = grid(fields=1)
    export = written(tmp_path, acquisitions=2, images=(*images, *(replace(i, acquisition=1) for i in images)))
    assert [(a.acquisition_id, a.name, a.measurement_id) for a in export.acquisitions] == [
        (1, "Run 1", "PA:0"),
        (2, "Run 2", "PA:1"),
    ]
    assert export.fields["field_id"].to_pylist() == [1, 1, 1, 1]


@pytest.mark.parametrize("acquisitions", [0, 1])
def test_no_acquisition_is_one(tmp_path: Path, acquisitions: int) -> None:
    export = written(
        tmp_path,
        acquisitions=acquisitions,
        tweak=lambda text: text.replace("<WellSampleRef", "<Other"),
    )
    assert len(export.acquisitions) == 1


def test_fields_that_no_acquisition_lists(tmp_path: Path) -> None:
    images = grid(fields=1)
    export = written(tmp_path, acquisitions=2, images=(*images, replace(images[0], acquisition=9)))
    assert len(export.acquisitions) == 2
    assert any("no <PlateAcquisition>" in w for w in export.warnings)


def test_stacks_and_planes_are_kept_apart(tmp_path: Path) -> None:
    flat = [replace(i, z=1) for i in grid(fields=1)]
    export = written(tmp_path, images=(*grid(fields=1, z=3), *(replace(i, number=5) for i in flat)))
    assert [(a.acquisition_id, a.z_mode) for a in export.acquisitions] == [(1, "stack"), (2, "plane")]
    assert {p["z"] for p in export.planes.to_pylist() if p["acquisition_id"] == 2} == {0}


def test_wells_in_fewer_channels(tmp_path: Path) -> None:
    images = grid(fields=1)
    export = written(tmp_path, images=(images[0], replace(images[1], channels=("GFP",))))
    assert [c.name for c in export.channels] == ["Hoechst 33342", "GFP"]
    seen = {(p["well_id"], p["channel_index"]) for p in export.planes.to_pylist()}
    assert seen == {("A01", 0), ("A01", 1), ("B03", 1)}


def test_a_plate_that_does_not_say_its_size(tmp_path: Path) -> None:
    folder = Plate(rows=None, columns=None).write(tmp_path / "plate")
    export = read(folder)
    assert (export.n_rows, export.n_columns) == (2, 3)
    assert any("does not say the size" in w for w in export.warnings)
    assert read(folder, plate_format=(16, 24)).n_columns == 24


def test_absent_files(tmp_path: Path) -> None:
    folder = Plate().write(tmp_path / "plate")
    (folder / "B03_0_1.ome.tif").unlink()
    export = read(folder)
    assert export.planes["size"].null_count == 2
    assert export.planes.num_rows == 8


def test_fields_are_numbered_as_image_names_say(tmp_path: Path) -> None:
    images = (Img(number=1, name="Well A1, Field #2"), Img(number=4, name="Well A1, Field #5"))
    assert written(tmp_path, images=images).fields["field_id"].to_pylist() == [2, 5]


def test_a_renamed_file_is_known_by_its_uuid(tmp_path: Path) -> None:
    folder = Plate(layout="alone", images=(Img(),)).write(tmp_path / "plate")
    (folder / "A01_0_0.ome.tif").rename(folder / "copy of it.ome.tif")
    export = read(folder)
    assert export.planes["file"].to_pylist() == ["copy of it.ome.tif"] * 2
    assert export.planes["size"].null_count == 0


def test_tiff_data_without_attributes_is_the_whole_image(tmp_path: Path) -> None:
    image = Img(z=3)
    xml = Plate(layout="single", images=(image,)).xml().replace('<TiffData IFD="0" PlaneCount="6"/>', "<TiffData/>")
    write_tiff(tmp_path / "p" / "x.ome.tiff", pixels(0, image), xml)
    export = read(tmp_path / "p")
    assert [value(export, p) for p in export.planes.to_pylist()] == list(range(6))


def test_planes_that_no_tiff_data_names(tmp_path: Path) -> None:
    export = written(tmp_path, images=(Img(z=3),), tweak=lambda t: t.replace('PlaneCount="6"', 'PlaneCount="4"'))
    assert export.planes.num_rows == 4
    assert any("2 planes within the sizes" in w for w in export.warnings)


# --- positions


def test_positions_are_around_the_mean_of_the_well(tmp_path: Path) -> None:
    assert places(written(tmp_path)) == {
        ("A01", 1): (-50.0, 0.0),
        ("A01", 2): (50.0, 0.0),
        ("B03", 1): (-50.0, 0.0),
        ("B03", 2): (50.0, 0.0),
    }


def test_a_stage_whose_y_points_up_is_seen_in_the_rows(tmp_path: Path) -> None:
    images = tuple(replace(i, stage=(9000.0 * i.column, -9000.0 * i.row + 80.0 * i.number)) for i in grid())
    export = written(tmp_path, images=images)
    assert places(export)["A01", 1] == (0.0, 40.0)
    assert any("y points up" in w for w in export.warnings)


def test_positions_in_the_well_stay(tmp_path: Path) -> None:
    images = tuple(replace(i, sample=(100.0 * i.number, 7.0)) for i in grid())
    export = written(tmp_path, images=images)
    assert places(export)["B03", 2] == (100.0, 7.0)
    images = tuple(replace(i, stage=(100.0 * i.number, 7.0)) for i in grid())
    assert places(written(tmp_path / "b", images=images))["B03", 2] == (100.0, 7.0)


def test_samples_at_zero_say_nothing(tmp_path: Path) -> None:
    images = tuple(replace(i, sample=(0.0, 0.0)) for i in grid())
    assert places(written(tmp_path, images=images))["A01", 2] == (50.0, 0.0)


def test_a_frame_of_reference_is_no_length(tmp_path: Path) -> None:
    export = written(tmp_path, stage_unit="reference frame")
    assert set(places(export).values()) == {(None, None)}
    assert any("no length" in w for w in export.warnings)


def test_no_unit_is_micrometres(tmp_path: Path) -> None:
    export = written(tmp_path, stage_unit=None)
    assert places(export)["A01", 1] == (-50.0, 0.0)
    assert any("name no unit" in w for w in export.warnings)
    export = written(tmp_path / "b", stage_unit=None, schema="2013-06")
    assert not any("name no unit" in w for w in export.warnings)


def test_one_place_for_all_fields_is_none(tmp_path: Path) -> None:
    export = written(tmp_path, images=tuple(replace(i, stage=(5.0, 5.0)) for i in grid()))
    assert set(places(export).values()) == {(None, None)}


# --- without a plate


def test_files_of_one_channel_are_one_field(tmp_path: Path) -> None:
    for name, channel in (("B03_DAPI", "DAPI"), ("B03_GFP", "GFP"), ("C04_DAPI", "DAPI"), ("C04_GFP", "GFP")):
        image = Img(channels=(channel,))
        write_tiff(
            tmp_path / f"{name}.ome.tif",
            pixels(0, image),
            Plate(layout="single", images=(image,), with_plate=False).xml(),
        )
    export = read(tmp_path, plate_format=(8, 12))
    assert export.fields["well_id"].to_pylist() == ["B03", "C04"]
    assert export.fields["field_id"].to_pylist() == [1, 1]
    assert export.planes.num_rows == 4


def test_folders_called_after_wells(tmp_path: Path) -> None:
    image = Img()
    xml = Plate(layout="single", images=(image,), with_plate=False).xml()
    for name in ("B3/x.ome.tif", "B3/y.ome.tif", "C12/x.ome.tif", "overview.ome.tif"):
        write_tiff(tmp_path / name, pixels(0, image), xml)
    export = read(tmp_path)
    assert places(export).keys() == {("B03", 1), ("B03", 2), ("C12", 1)}
    assert any("1 images say no well" in w for w in export.warnings)


@pytest.mark.parametrize(
    ("name", "well"),
    [
        ("A01.ome.tif", (1, 1)),
        ("plate1_B03_f2.ome.tif", (2, 3)),
        ("AF48.ome.tif", (32, 48)),
        ("exp r02c03f01.ome.tif", (2, 3)),
        ("x_well-C7_GFP.ome.tif", (3, 7)),
        ("D4/img_C01.ome.tif", (3, 1)),
        ("D4/img.ome.tif", (4, 4)),
        ("multi-channel.ome.tif", None),
        ("img_T01_C02.ome.tif", None),
        ("img_Z1_C2.ome.tif", None),
        ("img_f01.ome.tif", None),
        ("2024-B03x.ome.tif", None),
    ],
)
def test_wells_in_names(name: str, well: tuple[int, int] | None) -> None:
    assert well_of_file(name) == well


def test_fields_in_names() -> None:
    assert field_in("A01_f12.ome.tif") == 12
    assert field_in("A01_site 3_w1.ome.tif") == 3
    assert field_in("A01.ome.tif") is None
    assert well_in("Row 2 Col 3") == (2, 3)


def test_what_is_no_plate_is_described(shared_data: Path) -> None:
    path = shared_data / "vendors" / "ome-tiff" / "multi-channel-z-series.ome.tif"
    evidence = OmeTiffReader().detect(path)
    assert evidence is not None
    assert evidence.confidence == 0
    with pytest.raises(NotAnExportError, match=r"439 × 167 int8 pixels, 3 channels, 5 depths") as error:
        read(path)
    assert "--pattern" in (error.value.hint or "")


def test_the_real_document(shared_data: Path) -> None:
    export = read(shared_data / "vendors" / "ome-tiff" / "plate-ome-xml" / "A1-B1-only-no-acqs.xml")
    assert export.planes["well_id"].to_pylist() == ["A01", "B01"]
    assert export.planes["size"].null_count == 2
    assert (export.n_rows, export.n_columns, export.name) == (8, 12, "Plate Name 0")
    assert any("not read" in w for w in export.warnings)


# --- what is wrong


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('Type="uint16"', 'Type="float"', "float pixels"),
        ('Type="uint16"', 'Type="int8"', "int8 pixels"),
        ('SamplesPerPixel="1"', 'SamplesPerPixel="3"', "colour"),
        ('PhysicalSizeX="325" PhysicalSizeXUnit="nm" PhysicalSizeY="0.325"', "", "no pixel size"),
        ('FileName="A01', 'FileName="../A01', r"'\.\.'"),
        ('FileName="A01', 'FileName="C:\\A01', "drive"),
        ('SizeX="8"', 'SizeX="8e9"', "no whole number"),
        ('SizeX="8"', "", "no SizeX"),
        ('SizeT="1"', 'SizeT="99999999999999"', "no whole number"),
        ('SizeT="1"', 'SizeT="9999999"', "too many"),
        ('Row="1"', 'Row="40"', "largest plate"),
        ('FileName="A01_0_1', 'FileName="A01_0_0', "two planes"),
        ('DimensionOrder="XYZCT"', 'DimensionOrder="XYABC"', "not one of"),
        ('PhysicalSizeXUnit="nm"', 'PhysicalSizeXUnit="pixel2"', "'pixel2', a unit that is not known"),
        ("PlaneCount", "FirstC='9' PlaneCount", "starts at C 9"),
    ],
)
def test_wrong_documents(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(CytolakeError, match=said):
        written(tmp_path, tweak=lambda text: text.replace(old, new))


def test_a_pixel_size_may_be_told(tmp_path: Path) -> None:
    folder = Plate(pixel_size="").write(tmp_path / "plate")
    assert read(folder, pixel_size_um=0.5).acquisitions[0].pixel_size_x_um == 0.5


def test_a_pixel_size_that_is_given_counts(tmp_path: Path) -> None:
    export = read(Plate().write(tmp_path / "plate"), pixel_size_um=0.65)
    assert export.acquisitions[0].pixel_size_x_um == 0.65
    assert sum("--pixel-size 0.65 µm overrules the 0.325 × 0.325 µm of 4 images" in w for w in export.warnings) == 1


def test_planes_that_do_not_say_when_have_no_time(tmp_path: Path) -> None:
    def without(text: str) -> str:
        return re.sub(r'DeltaT="\d+" DeltaTUnit="ms" ', "", text)

    export = written(tmp_path, images=grid(fields=1), tweak=without)
    assert export.planes["acquired_at"].null_count == export.planes.num_rows
    assert export.acquisitions[0].started_at == datetime(2024, 5, 1, 8, tzinfo=UTC)
    # The time of an image of one plane is that of the plane.
    one = read(Plate(images=grid(fields=1, channels=("DAPI",)), tweak=without).write(tmp_path / "one"))
    assert set(one.planes["acquired_at"].to_pylist()) == {datetime(2024, 5, 1, 8, tzinfo=UTC)}


def test_measured_and_planned_heights_are_never_mixed(tmp_path: Path) -> None:
    images = grid(wells=[(0, 0)], fields=1, z=2, channels=("DAPI",))

    def second(text: str) -> str:
        return re.sub(r'(TheZ="1".*?)PositionZ="12" ', r"\1", text)

    export = written(tmp_path, images=images, tweak=second)
    assert export.planes["z_um"].to_pylist() == [10.0, None]
    planned = Plate(images=images, tweak=lambda text: re.sub(r'PositionZ="\d+" ', "", text))
    assert read(planned.write(tmp_path / "planned")).planes["z_um"].to_pylist() == [0.0, 2.0]


def test_a_plate_that_is_told_by_half(tmp_path: Path) -> None:
    export = written(tmp_path, rows=None, columns=24)
    assert (export.n_rows, export.n_columns) == (16, 24)
    assert any("24 columns and not how many rows" in w for w in export.warnings)


def test_a_companion_that_is_not_there(tmp_path: Path) -> None:
    folder = Plate().write(tmp_path / "plate")
    (folder / "plate.companion.ome").unlink()
    with pytest.raises(SourceFileError, match=r"plate\.companion\.ome, which is not beside it"):
        read(folder)


def test_a_size_that_two_files_tell_differently(tmp_path: Path) -> None:
    folder = Plate(layout="alone").write(tmp_path / "plate")
    image = Img(row=3)
    write_tiff(
        folder / "D01.ome.tif", pixels(0, image), Plate(layout="single", images=(image,), rows=16, columns=24).xml()
    )
    with pytest.raises(InvalidDataError, match="8 × 12 wells and one of 16 × 24"):
        read(folder)


def test_a_plate_in_an_annotation_is_none(tmp_path: Path) -> None:
    foreign = (
        "<StructuredAnnotations><XMLAnnotation><Value><Plate/><Image/></Value></XMLAnnotation></StructuredAnnotations>"
    )
    export = written(tmp_path, tweak=lambda text: text.replace("</OME>", f"{foreign}</OME>"))
    assert export.planes.num_rows == 8


def test_times_without_a_zone(tmp_path: Path) -> None:
    export = written(tmp_path, date="2024-05-01T10:00:00")
    assert any("no time zone" in w for w in export.warnings)
    assert export.acquisitions[0].started_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
